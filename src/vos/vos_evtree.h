/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * evtree: the extents of an array over index and epoch. Every write adds a rectangle [lo, hi] x [epoch, infinity); a read at e sees at each
 * index the newest one (epoch, then minor epoch) not above e; a punched range is an extent that shows nothing.
 *
 *   EVT-1  Extents are never cut or changed once written.
 *   EVT-2  Two extents of one (epoch, minor) never overlap.
 *
 * The structure is the store's B+tree by (lo, epoch, minor), every inner entry with the largest index and smallest epoch below it: a search
 * for overlaps skips what ends before, starts behind or is too new. Chosen over an R-tree with least enlargement because leaves in
 * the order of `lo` give listings a cursor that survives changes, reads a place to resume after a yield, and size queries (largest
 * index) a logarithmic answer; long extents do not hurt, for each lies in one leaf. Reads sweep the overlapping extents by start with a heap by version.
 * Tested by test/vos_evtree_test.c against a plain array per epoch.
 */
#ifndef CAIRN_VOS_EVTREE_H
#define CAIRN_VOS_EVTREE_H

#include "vos/vos_heap.h"
#include "vos/vos_rec.h"

/* One extent found by a search. */
struct vos_evt_hit {
    uint64_t lo, hi;
    struct vos_epoch ver;
    uint64_t rec;
    bool is_hole;
};

/* A search; zero it, set the first five, and call vos_evt_collect() until it is done. Memory grows as needed; end with vos_evt_fini(). */
struct vos_evt_search {
    uint64_t lo, hi; /* indexes, both inclusive */
    uint64_t epoch; /* nothing newer */
    struct vos_epoch punch; /* nothing that is not newer */
    struct vos_heap *heap; /* for the hits */
    uint32_t hit_nr;
    uint32_t hit_cap;
    struct vos_evt_hit *hits; /* in order of lo, epoch, minor */
    bool has_resume;
    uint64_t resume_lo; /* everything up to here was looked at */
    struct vos_epoch resume_ver;
};

enum { VOS_EVT_HITS_NR_MAX = 1 << 20 };

/** Insert an extent record. Errors: AGAIN, NOSPACE, DF_INVAL; EXIST an extent with the same start, epoch and minor is there. */
CAIRN_MUST_CHECK int
vos_evt_insert(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t rec);

/** Collect overlapping extents. Errors: AGAIN; INPROGRESS op->steps_left ran out: yield, then call again; NOMEM; OVERFLOW. */
CAIRN_MUST_CHECK int vos_evt_collect(
    struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, struct vos_evt_search *s);
void vos_evt_fini(struct vos_evt_search *s);

/** True in *ret when an extent with exactly this epoch overlaps [lo, hi] and is not newer than `minor`. */
CAIRN_MUST_CHECK int vos_evt_at(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off,
    uint64_t lo, uint64_t hi, uint64_t epoch, struct vos_heap *heap, bool *ret_found);

/* What is visible, piece by piece from s->lo to s->hi, gaps left out. */
struct vos_evt_sweep {
    const struct vos_evt_search *s;
    uint32_t next; /* first hit not yet in the heap */
    uint32_t heap_nr;
    uint32_t *heap; /* indexes of hits, newest on top; room for hit_nr */
    uint64_t pos;
    bool is_end;
};

/** Errors: NOMEM. End with vos_evt_sweep_fini(). */
CAIRN_MUST_CHECK int vos_evt_sweep_init(struct vos_evt_sweep *sw, const struct vos_evt_search *s);
/** The next piece [*ret_lo, *ret_hi] of *ret_hit; false when there is none. Holes are pieces, too. */
bool vos_evt_sweep_next(struct vos_evt_sweep *sw, uint64_t *ret_lo, uint64_t *ret_hi,
    const struct vos_evt_hit **ret_hit);
void vos_evt_sweep_fini(struct vos_evt_sweep *sw);

/** Largest last index in the tree (any version). Errors: NONEXIST empty; AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int
vos_evt_hi_max(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t *ret_hi);

#endif
