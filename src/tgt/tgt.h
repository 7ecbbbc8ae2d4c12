/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * tgt: what all services share on one target: which handles may do what, which containers are
 * open, and the orderly end of both.
 *
 *   TGT-1  A request works on a container between tgt_op_begin() and tgt_op_end(). Nothing
 *          is closed, destroyed or stopped under it.
 *   TGT-2  Capabilities come from the pool service, through the look-up callback, never
 *          from the wire (FM-3). A look-up that overlaps a
 *          revocation is repeated: no handle that was revoked enters the table afterwards.
 *   TGT-3  A container of the store is created by the first request with a valid handle.
 *          Once a destroy has begun, requests that hold
 *          an older look-up do not bring it back.
 *   TGT-4  Tables are bounded; what is not in use makes room, what is in use is never
 *          dropped; when all is in use the request is told to try again.
 *   TGT-5  An entry older than TGT_HDL_TTL_NS is asked about again in the background; while
 *          the service cannot be reached it stays valid.
 *   TGT-6  Old versions are dropped up to an epoch that the service has called stable (CON-7) and at which or after which every read
 *          at work reads; what a snapshot of the service's list, or a read at work, reads is kept.
 *   TGT-7  A read at a given epoch below the newest that was aggregated up to is served only when the service's list had it; else it answers
 *          EP_OLD, never what is left of the data.
 *   TGT-8  Nothing to reclaim: no timer, no message, no work; but for one question each TGT_AGG_SNAPS_NS about a container that has snapshots.
 *   TGT-9  A shard is scrubbed as the pool's properties say, which come with the service's answers; while
 *          they say off, nothing runs and no timer is set. While any pool's say on, what lies on the metadata role is verified, too.
 *          What is bad is told and counted, and left alone, unless a good copy is in memory.
 *   TGT-10 A shard in which a pass found scrub_thresh bad chunks or more is out of service: requests get DATA_LOSS, also after a restart, until the service
 *          says another threshold that is not reached. It is scrubbed on.
 *
 * Drain states of the target, a container entry, a pool:
 *      tgt:   SERVING -> DRAINING -> STOPPED
 *      cont:  OPENING -> OPEN -> DRAINING -> gone       (OPENING -> gone when opening failed)
 *      pool:  no entry -> STOPPING -> no entry          (an entry exists only while the shard is
 *      being destroyed)
 *
 * Owner: the target's xstream; every call comes from one of its ULTs. Tested by test/tgt_test.c.
 */
#ifndef CAIRN_TGT_H
#define CAIRN_TGT_H

#include "base/ids.h"
#include "bio/bio.h"
#include "tgt/tgt_life.h"
#include "ult/ult.h"
#include "vos/vos.h"

struct tgt;
struct tgt_hdl;
struct tgt_cont;

enum {
    TGT_HDLS_NR_MAX = 8192,
    TGT_CONTS_NR_MAX = 1024, /* open at a time */
    TGT_LOOKUP_TRIES_MAX = 8, /* look-ups repeated because of revocations */
    TGT_AGGS_NR_MAX = 16384, /* containers whose aggregation is remembered */
};
#define TGT_HDL_TTL_NS UINT64_C(30000000000)

/* After a change before what it made old is looked for; longer while that finds nothing. */
#define TGT_AGG_GAP_NS UINT64_C(5000000000)
/* Who was not told that a snapshot went asks after so long. */
#define TGT_AGG_SNAPS_NS UINT64_C(600000000000)
/* Used part of a shard, of metadata or data, from which aggregation does not wait for the gap, and from which it does not rest. */
enum { TGT_AGG_META_WARM_PCT = 75, TGT_AGG_DATA_WARM_PCT = 80 };
enum { TGT_AGG_META_TIGHT_PCT = 90, TGT_AGG_DATA_TIGHT_PCT = 92 };

/* The property `reclaim` of a pool: the numbers of the API. */
enum tgt_reclaim {
    TGT_RECLAIM_DISABLED = 0, /* only when asked for by tgt_aggregate() */
    TGT_RECLAIM_LAZY =
        1, /* a tenth to a fifth of the processor while requests are served, all that is left else */
    TGT_RECLAIM_SNAPSHOT = 2, /* as LAZY */
    TGT_RECLAIM_BATCH = 3, /* as LAZY */
    TGT_RECLAIM_TIME = 4, /* soon after each gap, with up to half of the processor */
};

/* The property `scrub` of a pool: numbers of the API. */
enum tgt_scrub_mode {
    TGT_SCRUB_OFF = 0,
    TGT_SCRUB_LAZY = 1, /* what requests leave of the processor */
    TGT_SCRUB_TIMED = 2, /* a pass takes the time of one period */
};

/* Properties of a pool: how its shard is scrubbed (TGT-9). */
struct tgt_scrub_conf {
    uint32_t mode; /* enum tgt_scrub_mode */
    uint32_t freq_s; /* from the begin of a pass to that of the next */
    uint32_t thresh; /* bad chunks from which on the shard is out of service (TGT-10); 0: any number may be */
};

/* What the service says of a container (CON-7). */
struct tgt_stable {
    uint64_t epoch;
    uint32_t reclaim; /* enum tgt_reclaim */
    struct tgt_scrub_conf scrub;
    bool is_scrub_off; /* this container is left out */
    uint32_t snap_nr;
    uint64_t *snaps; /* ascending; the asker's: free() */
};

/* Flags of handles: the numbers of the API. */
enum tgt_pool_cap { TGT_PC_RO = 1, TGT_PC_RW = 2, TGT_PC_EX = 4 };
enum tgt_cont_cap { TGT_COO_RO = 1, TGT_COO_RW = 2, TGT_COO_EX = 4 };

/* The caller's handles, as they stand in the head of its message. */
struct tgt_ids {
    struct uuid pool, pool_hdl, cont_hdl;
};

/* What a pair of handles may do. */
struct tgt_hdl_info {
    uint64_t pool_flags;
    struct uuid cont;
    uint64_t cont_flags;
    uint32_t csum_type;
    uint32_t map_ver;
    uint64_t csum_chunk_bytes;
    struct tgt_scrub_conf scrub;
};

struct tgt_opts {
    uint32_t idx; /* 0-based number of the target in its engine */
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    /*
     * Ask the pool service. May yield. Errors: NO_HDL unknown handle; NONEXIST unknown pool;
     * others: it could not be asked.
     */
    CAIRN_YIELDS int (*hdl_lookup)(
        void *arg, const struct tgt_ids *ids, struct tgt_hdl_info *ret_info);
    /*
     * Ask the pool service up to where a container may be aggregated. NULL: never. May yield. Errors: NONEXIST no such container any more; others: it could not
     * be asked.
     */
    CAIRN_YIELDS int (*stable)(
        void *arg, struct uuid pool, struct uuid cont, struct tgt_stable *ret_stable);
    void *arg;
    uint64_t agg_gap_ns; /* 0: TGT_AGG_GAP_NS */
    uint32_t hdls_nr_max, conts_nr_max; /* 0: TGT_HDLS_NR_MAX, TGT_CONTS_NR_MAX; less for tests */
};

/** On the target's xstream. Borrows bio and vos until tgt_destroy(). Errors: NOMEM. */
CAIRN_MUST_CHECK int tgt_create(const struct tgt_opts *opts, struct tgt **ret_tgt);
/** Refuse new requests (SHUTDOWN) and wait for those that run. Idempotent. */
CAIRN_YIELDS void tgt_drain(struct tgt *tgt);
/** Drains, closes the containers, frees. NULL is fine. */
CAIRN_YIELDS void tgt_destroy(struct tgt *tgt);
/** Frees memory alone (simulated kill). */
void tgt_abandon(struct tgt *tgt);

struct vos_tgt *tgt_vos(struct tgt *tgt);
struct tgt_lives *tgt_lives(struct tgt *tgt); /* of shards */
struct bio_tgt *tgt_bio(struct tgt *tgt);
uint32_t tgt_idx(const struct tgt *tgt);

/* One request at work; filled by tgt_op_begin(). */
struct tgt_op {
    struct tgt *tgt;
    struct tgt_hdl *hdl;
    struct tgt_cont *cont;
    struct vos_cont *vos;
    struct tgt_hdl_info info; /* as of the begin */
    /* of tgt_op_read() and tgt_op_space_wait() */
    struct list_head reader;
    uint64_t read_epoch;
    bool is_reader;
    bool has_waited;
    uint32_t held_nr; /* times that it waited for what is held up */
    uint64_t freed_seen, deadline_ns;
};

/**
 * Look the handles up and open the container. map_ver: of the sender's pool map, 0 when it does
 * not matter. Errors: NO_HDL; STALE the sender's map is
 * older than the pool's (op->info.map_ver is set); SHUTDOWN; DATA_LOSS the shard is out of service (TGT-10); NONEXIST the pool or container is not
 * or no longer here; AGAIN a table is full
 * of entries in use; those of the look-up and of vos.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_op_begin(struct tgt *tgt, const struct tgt_ids *ids, uint32_t map_ver, struct tgt_op *op);
void tgt_op_end(struct tgt_op *op);
/**
 * The request reads at `epoch` (VOS_EPOCH_MAX: at the newest, which it fixes later): before it reads, once. Yields when the epoch is given and nothing is known of the container's
 * snapshots. Errors: EP_OLD no snapshot has that epoch any more (TGT-7); AGAIN the service could not be asked.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int tgt_op_read(struct tgt_op *op, uint64_t epoch);
/** The request has changed something: there may be something to reclaim now. */
void tgt_op_changed(struct tgt_op *op);
/**
 * The request found no space (`arg` is its struct tgt_op): wait, until op->deadline_ns at most, until some has come back in its pool, true then; false at once when
 * nothing can be reclaimed.
 */
CAIRN_YIELDS bool tgt_op_space_wait(void *arg);
/**
 * Aggregate the container of this request up to `epoch` (0: now) and wait for that until deadline_ns. *ret_done: it is, up to *ret_epoch. Errors: those of
 * vos_cont_aggregate(); NOSYS; NONEXIST.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int tgt_aggregate(
    struct tgt_op *op, uint64_t epoch, uint64_t deadline_ns, bool *ret_done, uint64_t *ret_epoch);
/** A snapshot of the container is gone: look, soon, what it kept. */
void tgt_aggregate_later(struct tgt *tgt, struct uuid pool, struct uuid cont);

/** Idempotent by its result. Errors: EXIST a shard of other sizes; NOSPACE. Durable on return. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_pool_create(struct tgt *tgt, struct uuid pool, uint64_t meta_bytes, uint64_t data_bytes);
/** Revokes, drains, closes, destroys. Absent is no error. Durable on return. */
CAIRN_YIELDS CAIRN_MUST_CHECK int tgt_pool_destroy(struct tgt *tgt, struct uuid pool);
/** The same for one container. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_cont_destroy(struct tgt *tgt, struct uuid pool, struct uuid cont);
/**
 * Forget a pool handle (and every container handle used with it) or a container handle; nil: all of the pool, which
 * are looked up again when they are used. Requests at work go on.
 */
void tgt_hdl_revoke(struct tgt *tgt, struct uuid pool, struct uuid hdl);

struct tgt_stats {
    uint64_t ops_nr, lookups_nr, revokes_nr, evictions_nr;
    uint32_t running_nr, hdls_nr, conts_nr;
    uint64_t agg_passes_nr, agg_asks_nr; /* containers aggregated; questions to services */
    uint64_t agg_freed_bytes, agg_work_ns; /* given back; time that passes worked, rests left out */
    uint64_t space_waits_nr; /* updates that waited for space */
    uint64_t scrub_passes_nr, scrub_bytes,
        scrub_bad_nr; /* passes that ended; verified; bad chunks found in all of them */
    uint64_t scrub_over_nr; /* times that a pool's threshold was reached */
    uint64_t scrub_meta_passes_nr,
        scrub_meta_bytes; /* of the metadata role: passes that ended; verified. Bad ones are in scrub_bad_nr */
    uint64_t scrub_mended_nr; /* what was bad there and is written anew */
    uint64_t scrub_skipped_nr; /* containers left out of passes */
    uint32_t out_nr; /* shards that are out of service now, as far as they are known to be */
};
void tgt_stats_get(const struct tgt *tgt, struct tgt_stats *ret_stats);
/** What the scrubber found bad in a shard, in the pass under way or in the last one, whichever has more, and on the metadata role; 0 also when nobody looked in this life. */
uint64_t tgt_scrub_found(const struct tgt *tgt, struct uuid pool);

/* ---- work in the background ----------------------------------------------------------------- */

/* How much of the processor background work takes. Zeroed, then tgt_pace() between its steps, each a millisecond or less; it yields after some of them. */
struct tgt_pace {
    uint64_t ops_seen;
    uint64_t run_since_ns; /* of ult_run_ns(): waits are no work */
    uint64_t cpu_since_ns,
        idle_since_ns; /* of the thread: nor is what other processes take of the processor */
    int64_t owed_ns; /* of rest; below 0: rested more than it had to */
    uint64_t work_ns; /* all of the work so far */
    bool is_begun;
};
/**
 * Yield to others, or, when requests were served since the last call, rest `rest` times as long as the calling ULT (background class) ran since then (0: only yield). Also usable for other background
 * work of this target. False: the target is stopping, end soon.
 */
CAIRN_YIELDS bool tgt_pace(struct tgt *tgt, struct tgt_pace *pace, uint32_t rest);

#endif
