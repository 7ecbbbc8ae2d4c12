/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random operations on the store and on its reference model, one by one. Operation `i` of a seed follows from both numbers and from what is there when it runs, so that a
 * sequence is a list of numbers, and one that fails can be made shorter by leaving some out. A difference is noted in `fail` and ends the sequence.
 */
#ifndef CAIRN_VOS_REF_RUN_H
#define CAIRN_VOS_REF_RUN_H

#include "vos/test/vos_test_fix.h"
#include "vos_ref.h"

enum {
    REF_POOL_NR = 2,
    REF_CONT_NR = 3, /* of a pool; the last one keeps no history */
    REF_CLIENT_NR = 2,
    REF_SLOT_NR = 2,
    REF_LIST_NR = 4,
    REF_SNAP_NR = 4,
    REF_EVENTS_NR_MAX = 1200, /* then the container is destroyed */
};

/* How a read looks at what is not decided. */
struct ref_view {
    struct vos_dtx_view mem, *dtx; /* dtx NULL: without one */
    uint32_t own, mask; /* bits that count as done; bits in which the worlds differ */
    uint32_t asked; /* those that it may be told to ask about */
};

struct ref_place {
    bool exists;
    struct vos_cont *h; /* NULL: not open */
    struct ref_cont *ref;
    uint64_t agg_hi, snaps[REF_SNAP_NR]; /* readable: above agg_hi, at it and at the snapshots */
    uint32_t snap_nr;
    bool was_aggregated;
};

struct ref_slot {
    uint64_t seq, epoch; /* of the stored answer; seq 0: none */
    uint8_t result[VOS_RESULT_BYTES_MAX];
    uint32_t result_len;
    uint64_t failed_seq;
    int failed_rc;
    uint64_t last; /* newest sent */
};

/* A listing that was begun. */
struct ref_list {
    bool is_open, is_now;
    struct ref_place *place;
    struct ref_view view;
    uint32_t obj, dkey, akey;
    struct vos_list_args args;
    struct vos_anchor anchor;
    uint64_t epoch;
    uint32_t item_nr;
    bool always[REF_CELL_NR], ever[REF_CELL_NR]; /* of each item since the listing began */
    uint8_t count[REF_CELL_NR]; /* times listed */
    int64_t last; /* item; -1: none */
    uint32_t refuse_at; /* entry of this call, 0-based */
};

enum ref_next { REF_GO_ON, REF_CLOSE, REF_KILL, REF_POWER };

/* What happened, to be sure that it did. */
struct ref_sums {
    uint64_t given_nr, given_done_nr, spurious_nr, restart_nr, replay_nr, list_nr, agg_nr,
        agg_del_nr, agg_merge_nr, agg_cut_nr, iter_nr, iter_hidden_nr, tx_nr, part_nr, commit_nr,
        abort_nr, tx_replay_nr, asked_nr, passed_nr, waited_nr, tx_given_nr, tx_many_nr, ready_nr,
        solo_nr, forget_nr, discard_beside_nr, agg_beside_nr, bound_nr, uncertain_nr, mod_bound_nr,
        mod_uncertain_nr;
};

struct ref_run {
    struct fix *f;
    struct rng r; /* of the operation at hand */
    uint64_t hash_mask;
    bool is_verbose;
    char fail[256]; /* empty: none */
    uint64_t op;
    struct {
        bool exists;
        struct ref_place conts[REF_CONT_NR];
        struct ref_slot slots[REF_CLIENT_NR][REF_SLOT_NR];
    } pools[REF_POOL_NR];
    struct ref_list lists[REF_LIST_NR];
    uint64_t epoch_last; /* newest used by the store */
    uint64_t tx_seq; /* of the transaction begun last */
    struct ref_sums sums;
};

/** Bodies of ULTs: after opening the store; before closing it. */
void ref_run_opened(struct ref_run *run);
void ref_run_close(struct ref_run *run);
/** One operation. */
enum ref_next ref_run_op(struct ref_run *run, uint64_t seed, uint64_t op);
/** Everything at some epochs, and the store's own check. */
void ref_run_compare(struct ref_run *run);
/** The process died: no handle is any good. */
void ref_run_died(struct ref_run *run);
void ref_run_fini(struct ref_run *run);

/* Internals. */
bool ref_fail(struct ref_run *run, const char *what, const char *file, int line);
#define REF_CHECK(run, cond) ((cond) ? true : ref_fail((run), #cond, __FILE__, __LINE__))
bool ref_rc(struct ref_run *run, const char *what, int got, int want);
void ref_say(struct ref_run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The universe in terms of vos. */
struct vos_oid ref_oid(uint32_t obj);
bool ref_is_uint(uint32_t obj, bool is_dkey);
bool ref_is_lexical(uint32_t obj, bool is_dkey);
struct iov ref_key(uint32_t obj, bool is_dkey, uint32_t idx);
/** Number of the key, -1: none of ours. */
int ref_key_find(uint32_t obj, bool is_dkey, const struct iov *key);
uint64_t ref_array_base(uint32_t akey);

/** A request in terms of vos; the values are allocated. */
struct ref_built {
    struct vos_mod mods[REF_MODS_NR_MAX];
    struct vos_iod iods[REF_MODS_NR_MAX][REF_AKEY_NR];
    struct recx recxs[REF_MODS_NR_MAX][REF_AKEY_NR][REF_RECX_NR_MAX];
};
void ref_build(const struct ref_req *req, struct ref_built *b);
void ref_built_free(const struct ref_req *req, struct ref_built *b);

/** An epoch to read at: VOS_EPOCH_MAX, or one of the past or the near future that can be read. */
uint64_t ref_epoch_pick(struct ref_run *run, const struct ref_place *p, uint32_t obj);
/** Of this run: in the near future of the store's clock. */
uint64_t ref_near_future(struct ref_run *run);
/** Around something that happened to an object. */
uint64_t ref_event_epoch(struct ref_run *run, const struct ref_place *p, uint32_t obj);
/** Of a clock at `epoch`; it may lie below that. */
uint64_t ref_bound(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint64_t epoch);
bool ref_is_readable(const struct ref_place *p, uint64_t epoch);
void ref_compare_place(struct ref_run *run, struct ref_place *p, uint64_t epoch);
void ref_fetch_whole(
    struct ref_run *run, struct ref_place *p, uint32_t obj, uint32_t dkey, uint64_t epoch);

/** A way to look; counts with those there are. */
void ref_view_pick(struct ref_run *run, const struct ref_place *p, struct ref_view *ret_view);
/** A read answered INPROGRESS: is that right, and does it say whom to ask? obj REF_OBJ_NR: it was about all. */
void ref_asked(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint64_t epoch,
    const struct vos_dtx_asks *asks);

void ref_apply_asked(
    struct ref_run *run, const struct ref_place *p, int rc, const struct vos_dtx_asks *asks);
void ref_mod_say(struct ref_run *run, const struct ref_mod *mod);

/* vos_ref_tx.c */
void ref_op_tx(struct ref_run *run, struct ref_place *p);
/** What the table tells of those that are open, and of outcomes. */
void ref_txs_compare(struct ref_run *run, struct ref_place *p);

/* vos_ref_iter.c */
void ref_op_iter(struct ref_run *run, struct ref_place *p);

/* vos_ref_read.c */
void ref_op_fetch(struct ref_run *run, struct ref_place *p);
void ref_op_query(struct ref_run *run, struct ref_place *p);
void ref_op_look(struct ref_run *run, struct ref_place *p);
void ref_op_list(struct ref_run *run, struct ref_place *p);
void ref_op_list_whole(struct ref_run *run, struct ref_place *p, uint64_t epoch);
/** Something changed: what the open listings may show. */
void ref_lists_note(struct ref_run *run, const struct ref_place *p);
void ref_lists_drop(struct ref_run *run, const struct ref_place *p);

#endif
