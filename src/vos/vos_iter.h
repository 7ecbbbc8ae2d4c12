/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Inside of iteration: the one walker over a level of the store, below vos_iter() and vos_list().
 *
 *   ITR-1  The place is the key of what was told last, never a pointer: whatever comes, goes or moves, the walk goes on behind it. What existed throughout is told once.
 *   ITR-2  Between two yields at most VOS_STEPS_NR records are looked at. A page that is missing costs no entry: the place is behind what was told.
 *   ITR-3  Records and cursors live within one run of the body; entries point into the arena and are good for the call that is told of them.
 *   ITR-4  In damaged trees, too, a walk has an end: keys grow.
 *   ITR-5  A listing of keys believes VOS_ENT_PLAIN only where nothing above is punched and the object has no change above the epoch that is read.
 *
 * Tested by test/vos_iter_test.c, test/vos_list_test.c and test/model.
 */
#ifndef CAIRN_VOS_ITER_H
#define CAIRN_VOS_ITER_H

#include "vos/vos_priv.h"

enum { VOS_PLACE_KEY_BYTES = 80 };
enum vos_place_flags {
    VOS_PLACE_DESCENDING = 1,
    VOS_PLACE_AT = 2 /* the key itself is still to come */
};

/* A place in a level; all zero at the start. The bytes of a vos_anchor. */
struct vos_place {
    uint8_t type; /* of what; 0: the start */
    uint8_t flags;
    uint16_t key_len;
    uint32_t csum; /* of all else */
    uint64_t hkey; /* extents: first index */
    uint64_t hash; /* of a key that is longer than what fits */
    uint8_t key[VOS_PLACE_KEY_BYTES]; /* its beginning; an object id, a uuid; of versions: epoch and minor, extents also the index to go on with */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_place) == VOS_ANCHOR_BYTES, "anchor");

/* Set up to `nr_max`, the rest zero. */
struct vos_iter {
    struct vos_tgt *tgt;
    const struct vos_iter_args *args; /* checked */
    const struct vos_list_args
        *list; /* a listing of a tree (VISIBLE): its function is told, args->fn is not; NULL: vos_iter() */
    uint64_t hi; /* epoch */
    uint32_t states; /* VOS_ITER_VISIBLE, COVERED, PUNCHED: asked for */
    uint32_t nr_max;
    struct vos_place place; /* `type` is 1 once it is set */
    /* results */
    bool is_eof;
    uint64_t lsn;
    /* progress */
    uint32_t nr;
    bool is_stopped; /* an entry was refused */
    struct vos_walk walk;
    struct vos_iter_ent ent;
    struct vos_entry entry; /* of a listing; zero where it says nothing */
    struct vos_lost lost; /* args->lost_fn */
    struct vos_iter_exts *exts; /* vos_iter_ext.c */
};

void vos_place_set(struct vos_place *p, uint64_t hkey, const void *key, uint32_t len);
uint32_t vos_place_csum(struct vos_place p);
/** Hand over it->ent. False: refused. */
bool vos_iter_give(struct vos_iter *it);
/** What a version's record says, into it->ent. Errors: AGAIN, DF_INVAL. */
CAIRN_MUST_CHECK int
vos_iter_version(struct vos_iter *it, struct vos_op *op, uint64_t off, bool is_ext);
/** Body of one of the types POOL to AKEY, for vos_read_run(). */
CAIRN_MUST_CHECK int vos_iter_tree(struct vos_op *op, void *arg);
/** Extents. The place is behind what was told, also after a failure. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_iter_ext(struct vos_iter *it, struct vos_op *op);

#endif
