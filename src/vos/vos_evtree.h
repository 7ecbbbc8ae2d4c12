/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * evtree: the extents of an array over index and epoch. Every write adds a rectangle [lo, hi] x [epoch, infinity); a read at e sees at each
 * index the newest one (epoch, then minor epoch) not above e; a punched range is an extent that shows nothing.
 *
 *   EVT-1  Extents are never cut or changed once written, and none comes or goes at or below the epoch of a read that is under way, but by aggregation, which leaves
 *          what is seen as it is: who holds pieces over a yield begins anew after one of its steps (AGG-3; what only vanished was not seen).
 *   EVT-2  Two extents of one (epoch, minor) never overlap.
 *   EVT-3  A search looks at a node only when something below it may be newer than all that was found for some index of the range.
 *
 * The structure is the store's B+tree by (lo, epoch, minor), every inner entry with the largest index and the smallest and largest epoch below
 * it (docs/decisions/0008-evtree.md, with the numbers). A search goes best first: a queue of subtrees and extents by the newest epoch
 * that they can show; what leaves it fills the gaps that newer ones left; it ends when no gap is left. So versions that are covered by
 * newer ones are hardly looked at. Tested by test/vos_evtree_test.c against a plain list, its cost by test/vos_evcost_test.c.
 */
#ifndef CAIRN_VOS_EVTREE_H
#define CAIRN_VOS_EVTREE_H

#include "vos/vos_heap.h"
#include "vos/vos_rec.h"

enum {
    VOS_EVT_PIECES_NR_MAX = 1 << 20, /* visible pieces of one range */
    VOS_EVT_QUEUE_NR_MAX = 1 << 20, /* subtrees and extents waiting */
    VOS_EVT_RESTARTS_NR_MAX = 8, /* because of changes between steps; then in order of the tree */
    VOS_EVT_GAPS_NR = 32, /* in one block */
};

/* What is visible of one extent. Holes are pieces, too. */
struct vos_evt_piece {
    uint64_t lo, hi;
    uint64_t ext_lo; /* of the whole extent */
    struct vos_epoch ver;
    uint64_t rec;
    bool is_hole;
};

/* Something that waits: a subtree (level: of its root node, plus 1) or an extent (level 0). */
struct vos_evt_item {
    struct vos_epoch bound; /* nothing in it is newer; an extent whose record was read: its version */
    uint64_t lo, hi;
    uint64_t off;
    uint8_t level;
    bool is_read; /* an extent whose record was read */
    bool is_hole;
};

struct vos_evt_gap {
    uint64_t lo, hi;
};

struct vos_evt_gaps {
    uint32_t nr; /* at least 1 */
    struct vos_evt_gap gap[VOS_EVT_GAPS_NR];
};

/*
 * A search: vos_evt_begin(), vos_evt_collect() until it is done, vos_evt_fini(). It must not be copied. Across pauses it keeps the
 * pieces found, which stay true (EVT-1), and the queue as long as `gen` does not change.
 */
struct vos_evt_search {
    uint64_t lo, hi; /* indexes, both inclusive */
    uint64_t epoch; /* nothing newer */
    struct vos_epoch punch; /* nothing that is not newer */
    struct vos_heap *heap;
    uint32_t piece_max; /* OVERFLOW beyond it */
    bool is_any; /* stop at the first piece */
    uint64_t gen; /* to be set before each call: differs when the tree may have changed since */
    /* result: in order of lo */
    uint32_t piece_nr;
    struct vos_evt_piece *pieces;
    /* progress */
    bool is_started, is_done, is_plain, is_plain_done, has_resume;
    uint64_t started_gen;
    uint32_t restart_nr;
    uint64_t resume_lo; /* in order of the tree: everything up to here was looked at */
    struct vos_epoch resume_ver;
    uint32_t piece_cap, queue_nr, queue_cap, blk_nr, blk_cap;
    struct vos_evt_item *queue; /* a heap, newest on top */
    struct vos_evt_gaps **blks; /* gaps in order, in blocks in order */
    /* room for small searches */
    struct vos_evt_gaps *blk_first[4];
    struct vos_evt_gaps gaps_first;
    struct vos_evt_item queue_first[24];
    struct vos_evt_piece pieces_first[4];
};

/** Insert an extent record. Errors: AGAIN, NOSPACE, DF_INVAL; EXIST an extent with the same start, epoch and minor is there. */
CAIRN_MUST_CHECK int
vos_evt_insert(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t rec);

/** Begin a search of [lo, hi] at `epoch` above `punch`. */
void vos_evt_begin(struct vos_evt_search *s, struct vos_heap *heap, uint64_t lo, uint64_t hi,
    uint64_t epoch, struct vos_epoch punch);
/** Go on. Errors: AGAIN; INPROGRESS op->steps_left ran out: yield, then call again; NOMEM; OVERFLOW. */
CAIRN_MUST_CHECK int vos_evt_collect(
    struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, struct vos_evt_search *s);
void vos_evt_fini(struct vos_evt_search *s); /* of a zeroed one, too */

/** True in *ret when an extent with exactly this epoch overlaps [lo, hi]. */
CAIRN_MUST_CHECK int vos_evt_at(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off,
    uint64_t lo, uint64_t hi, uint64_t epoch, struct vos_heap *heap, bool *ret_found);

/** True in *ret when an extent older than `ver` overlaps [lo, hi]. Errors: INPROGRESS op->steps_left ran out; AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int vos_evt_has_older(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off,
    uint64_t lo, uint64_t hi, struct vos_epoch ver, bool *ret_found);

/** Largest last index in the tree (any version). Errors: NONEXIST empty; AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int
vos_evt_hi_max(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t *ret_hi);

#endif
