/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Inside aggregation (vos_aggregate.c, vos_agg_*.c).
 *
 * Views are the epochs that are read: the snapshots up to hi, and hi. View k ends the interval k, which begins behind view k - 1. Of all versions in an interval only what shows
 * at its view is needed by anybody: readers at later views see it or something newer, readers at earlier ones see nothing of it.
 *
 *   AGG-1  What is seen at a view, or at any epoch above hi, does not change.
 *   AGG-2  Nothing is taken away that hides something older which stays: versions that do not show go in any order; a hole or a punch goes when nothing older is left below it.
 *   AGG-3  Steps are transactions of bounded size; between them only keys are kept. A read that holds extents of an object over a yield looks for them anew after one of these took any.
 *   AGG-4  New data are durable before the index points to them (ST-3), old extents go the way of all (ST-4), and a value that fails its checksum stays as it is.
 */
#ifndef CAIRN_VOS_AGG_H
#define CAIRN_VOS_AGG_H

#include "vos/vos_priv.h"

enum {
    VOS_AGG_STEP_NR = 64, /* freed in one transaction */
    VOS_AGG_TX_LOOK_NR = 128, /* records looked at in one */
    VOS_AGG_TOUCH_NR = 64, /* objects changed in one */
    VOS_AGG_WAITS_NR =
        1024, /* yields before a step, for reads of the same object that would begin anew */
};

enum {
    VOS_AGG_SMALL_BYTES = 64 << 10, /* extents below are small */
    VOS_AGG_SMALL_NR = 4, /* so many of them may be worth to be merged */
    VOS_AGG_MERGE_VIEWS_NR = 32, /* the newest intervals, in which extents are merged */
};

enum { VOS_AGG_OBJ, VOS_AGG_DKEY, VOS_AGG_AKEY, VOS_AGG_LEVEL_NR };

/* The newest punch in interval k. */
struct vos_agg_punch {
    uint32_t k;
    struct vos_epoch at;
};

/* The newest punches of a record and those above it, ascending, at most one in each interval. */
struct vos_agg_level {
    const struct vos_agg_punch *p;
    uint32_t nr;
    struct vos_agg_punch *mine, *all; /* room for view_nr each */
};

/* What the log of a record says. */
struct vos_agg_log {
    bool has_old, has_new; /* entries up to hi, above it */
    bool is_seen; /* visible at some view */
    bool is_open; /* has undecided entries: hands off */
    bool has_useless; /* entries that no view needs, once all below was worked on */
};

struct vos_agg_key {
    bool is_set; /* else: before the first */
    bool is_at; /* next is the first at or behind it, else behind */
    uint16_t len;
    uint8_t buf[VOS_KEY_BYTES_MAX];
};

/* A place in the container. */
struct vos_agg_pos {
    bool has_oid, oid_is_at;
    bool in_obj, in_dkey; /* inside those, else at or behind */
    bool is_wanted; /* of the object it is in only the dkeys that are wanted are looked at */
    uint64_t want_from; /* sort key of a dkey: those below were */
    bool is_clean[VOS_AGG_LEVEL_NR]; /* all of it was worked on in this pass so far */
    bool has_newer[VOS_AGG_LEVEL_NR]; /* discard: something above hi is in it */
    bool log_done; /* of the record at hand: its log was shortened */
    bool array_done; /* of the akey at hand */
    struct vos_oid oid;
    struct vos_agg_key dkey, akey;
};

enum vos_agg_state {
    VOS_AGG_ON,
    VOS_AGG_WORK, /* something to do at pos: a transaction is needed */
    VOS_AGG_MORE, /* enough for this step */
    VOS_AGG_ARRAY, /* the akey at pos is an array to look into */
    VOS_AGG_MOVE, /* enough was collected to be moved */
    VOS_AGG_END,
};

struct vos_agg_moves;

struct vos_agg {
    struct vos_cont *cont;
    const struct vos_agg_args *args;
    bool is_discard;
    uint64_t lo; /* objects without a newer change are passed over; discard: the range begins behind it */
    uint64_t hi;
    uint64_t *views;
    uint32_t view_nr;
    struct vos_agg_stat stat, start_stat;
    struct vos_agg_pos pos, start; /* where the transaction at hand began */
    enum vos_agg_state state;
    /* What the container knows of changed dkeys: of the object (a hash) at pos. */
    bool uses_dirty, has_again,
        has_lost; /* something is looked at again by the next pass; that could not be remembered */
    uint64_t *wants, want_obj;
    uint32_t want_nr;
    bool cools; /* the metadata are short of room: what has cooled moves */
    bool has_uncooled, had_uncooled; /* something would have moved; so it was in passes before */
    struct vos_agg_moves *moves; /* what is to be moved to the data role; NULL: nothing so far */
    uint32_t start_move_nr; /* when the transaction at hand began */
    uint32_t budget;
    int64_t meta, data; /* of the transaction at hand */
    uint64_t touched[VOS_AGG_TOUCH_NR]; /* hashes of the objects it changed */
    uint32_t touched_nr;
    struct vos_agg_level levels[VOS_AGG_LEVEL_NR];
};

/** Interval of an epoch at or below hi. */
uint32_t vos_agg_interval(const struct vos_agg *a, uint64_t epoch);
/** The newest punch at view k. */
struct vos_epoch vos_agg_punch_at(const struct vos_agg_level *l, uint32_t k);
/** In a transaction: the object at pos changes. */
void vos_agg_touch(struct vos_agg *a);
void vos_agg_touch_obj(struct vos_agg *a, const struct vos_oid *oid);
/** The dkey at pos, or all of the object, could not be worked on: the next pass looks at it again. */
void vos_agg_again(struct vos_agg *a, bool is_dkey);
void vos_agg_again_at(struct vos_agg *a, const struct vos_oid *oid, const struct iov *dkey);
/** Look, or in a transaction work, from a->pos on until a->state says why not on. */
CAIRN_MUST_CHECK int vos_agg_walk(struct vos_op *op, void *arg);
/** Down to the akey at pos, with the punches of all levels. *ret_off 0: it is gone. */
CAIRN_MUST_CHECK int vos_agg_akey_get(
    struct vos_agg *a, struct vos_op *op, struct vos_key_df **ret_akey, uint64_t *ret_off);
/** Run `body` in a transaction of the pass, with the counters of the container. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_agg_tx(struct vos_agg *a, vos_body_fn body, void *arg);
/** Between steps: true in *ret_stop when the pass is to end. */
CAIRN_YIELDS bool vos_agg_pace(struct vos_agg *a);
/** Before extents of the object at pos go: let reads end that hold some, within limits. */
CAIRN_YIELDS void vos_agg_let_read(struct vos_agg *a);
/** Whether a version that stays is one that moves to the data role. */
bool vos_agg_moves(struct vos_agg *a, const struct vos_ver *ver);
/** Something has cooled and belongs into the data role: does it move now? */
static inline bool
vos_agg_cools(struct vos_agg *a)
{
    a->has_uncooled = a->has_uncooled || !a->cools;
    return a->cools;
}
/** Collect it; the akey at pos is its. *ret_full: no room, vos_agg_move() first. Errors: NOMEM. */
CAIRN_MUST_CHECK int
vos_agg_move_add(struct vos_agg *a, const struct vos_ver *ver, uint64_t off, bool *ret_full);
uint32_t vos_agg_move_nr(const struct vos_agg *a); /* collected */
void vos_agg_move_cut(struct vos_agg *a, uint32_t nr); /* forget those behind the first nr */
/** Move what was collected. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_agg_move(struct vos_agg *a, bool *ret_stop);
/* What vos_agg_prune() saw of an array. */
struct vos_agg_pruned {
    uint64_t kept_nr, gone_nr; /* extents up to hi; about, where steps began anew */
    uint64_t new_nr; /* of those that were kept: written since the pass before */
    uint64_t bytes; /* of those that were kept, overlapping ones each */
    uint8_t small_nr[VOS_AGG_MERGE_VIEWS_NR]; /* small ones, up to VOS_AGG_SMALL_NR, by interval: the newest first */
    bool is_overlapped; /* some of those that are left may be hidden, all or in part */
    bool has_holes; /* some may be holes */
};

/** Take out what was written over as a whole. Of the array at pos. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_agg_prune(struct vos_agg *a, struct vos_agg_pruned *ret_pruned, bool *ret_stop);
/* What an array holds, in memory of the caller. */
struct vos_agg_read {
    uint8_t *buf;
    uint64_t len, got;
    uint32_t crc; /* of what was verified */
};

/**
 * Read ranges of the array at pos as of the view `epoch`, verified, one after the other into rd->buf; rd->len is the sum of their bytes. Errors: CANCELED
 * there is a hole in them: it is not what was planned any more; those of vos_fetch_give().
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_agg_read(
    struct vos_agg *a, uint64_t epoch, struct recx *recxs, uint32_t nr, struct vos_agg_read *rd);
/** After new checksums were made: CSUM the bytes are not those that were verified any more (AGG-4). */
CAIRN_MUST_CHECK int vos_agg_read_still(const struct vos_agg_read *rd);
/** Write runs of small or partly hidden extents of the array at pos anew. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_agg_merge(struct vos_agg *a, const struct vos_agg_pruned *pruned, bool *ret_stop);

struct vos_agg_range {
    uint64_t lo, hi;
};

/* An extent, the interval that it belongs to, and what is seen of it at the view of that. */
struct vos_agg_seen {
    uint64_t lo, hi, off;
    struct vos_epoch ver;
    uint32_t k, nr;
    const struct vos_agg_range *ranges; /* in order */
};

/**
 * Give back what is not seen of an extent of the array at pos, where that pays. Errors: as of transactions; what cannot be done now is counted in left_nr.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_agg_cut(struct vos_agg *a, const struct vos_agg_seen *x, bool *ret_stop);
/** Work on the array at pos. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_agg_array(struct vos_agg *a, bool *ret_stop);

#endif
