/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * pool: the service of each pool (map, handles, properties, attributes) on its replicated
 * database, the base on which cont builds its part of
 * the same service, and the engine's target-side requests about shards and handles.
 *
 *   POL-1  A modifying request first asks for its stored answer, then evaluates, then
 *          commits effect and answer together (MS-2). Modifying requests of a
 *          service run one at a time; the service holds nothing in memory that a request could
 *          find stale: every request reads the database.
 *   POL-2  A request that spans a change of leadership answers NOTLEADER; the asker sends
 *          it again with the same id (RSV-3).
 *   POL-3  What targets must still do (forget a destroyed container) is in the database
 *          until all have done it; the service repeats it.
 *   POL-4  Capabilities are given out by the service alone, to targets of the group (FM-3).
 *   POL-5  rd_fac is 0 and reported as 0: a request for more is refused with NOTSUPPORTED
 *          until there is replication.
 *   POL-6  A handle is held by processes: the one that opened it, and those that it was passed to and that said so. It goes when it
 *          is closed, when its eviction is asked for, or when all its holders are known to have ended (struct plat_proc). Only where
 *          the table is full and nobody knows whether holders live, the handle goes that was unused for the longest time, at
 *          least POOL_SILENT_NS. docs/decisions/0012-dead-clients.md.
 *
 * Owner: service parts: the system xstream; pool_tgt: a target's xstream. Formats of the rows:
 * README.md. Tested by src/cont/test and test/server.
 */
#ifndef CAIRN_POOL_H
#define CAIRN_POOL_H

#include "base/codec.h"
#include "plat/plat.h"
#include "poolmap/poolmap.h"
#include "proto/proto_svc.h"
#include "rpc/rpc.h"
#include "rsvc/rsvc.h"
#include "tgt/tgt.h"

struct pool_svc;

enum {
    POOL_BCAST_WIDTH = 16, /* targets asked at a time */
    POOL_AGGREGATES_NR_MAX = 256, /* containers waiting for pool_aggregate(); more are not told */
    POOL_REVOKES_NR_MAX =
        1024, /* waiting to be told to the targets; beyond it they ask again about all */
    POOL_ATTRS_SET_NR_MAX = 100, /* of one request */
    POOL_ATTRS_NR_MAX = PROTO_ATTRS_NR_MAX,
    POOL_HDLS_NR_MAX = 16384, /* open handles of a pool, of either kind */
    POOL_HOLDERS_NR_MAX = 64, /* processes that are remembered for one handle */
    POOL_EVICT_BATCH_NR = 32, /* handles that go with one commit */
    POOL_LAYOUT_VERSION = 2, /* of placement, recorded with the pool and its containers (FM-4) */
};
#define POOL_BCAST_NS UINT64_C(5000000000) /* one round over the targets */
#define POOL_RETRY_NS UINT64_C(20000000) /* before a busy peer is asked again */
#define POOL_WORKER_NS UINT64_C(2000000000) /* before the service repeats what targets did not do */
#define POOL_LOOK_NS UINT64_C(10000000000) /* between two looks for holders that have ended */
#define POOL_FULL_NS UINT64_C(1000000000) /* between two looks for room in a full table */
/*
 * A handle that nobody knows anything about may go when it was unused for so long. Targets ask about handles in use every TGT_HDL_TTL_NS, so that
 * one that the service did not hear of for twice that long has not been used for at least that long. Less than the patience of a client's call.
 */
#define POOL_SILENT_NS (2 * TGT_HDL_TTL_NS)

/* Open flags: the numbers of the API. */
enum pool_cap { POOL_PC_RO = 1, POOL_PC_RW = 2, POOL_PC_EX = 4 };

/* ---- services of an engine ------------------------------------------------------------------ */

/* What services need from the engine; all of it lives longer than they do. */
struct pool_env {
    struct plat *plat;
    struct vos_tgt *sys;
    struct rpc_ctx *rpc;
    uint32_t self_rank;
    /* May the sender of this message act as an engine? */
    bool (*is_engine)(void *arg, const struct rpc_hdr *hdr);
    void *arg;
    uint32_t revokes_nr_max; /* 0: POOL_REVOKES_NR_MAX; less for tests */
    uint32_t hdls_nr_max; /* 0: POOL_HDLS_NR_MAX; less for tests */
};

struct pool_call;

/* What cont adds to the service; set by the engine. */
struct pool_hooks {
    /*
     * Add updates that close container handles opened with these pool handles, at most POOL_EVICT_BATCH_NR; *ret_is_more: there
     * are others.
     */
    CAIRN_YIELDS int (*hdl_close)(
        struct pool_call *call, const struct uuid *pool_hdls, uint32_t nr, bool *ret_is_more);
    /* Close container handles whose holders have all ended, in parts. *ret_local_nr: how many are left of which that could be known. */
    CAIRN_YIELDS int (*hdl_evict_gone)(
        struct pool_call *call, uint32_t *ret_nr, uint32_t *ret_local_nr);
};

struct pool_svcs;
CAIRN_MUST_CHECK int pool_svcs_create(
    const struct pool_env *env, const struct pool_hooks *hooks, struct pool_svcs **ret_svcs);
/** Open a service whose database is in the system store. Errors: those of rsvc_start(); ALREADY; SHUTDOWN. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_svc_start(struct pool_svcs *svcs, struct uuid pool);
/** pool_svc_start() failed for good: requests to the service get `rc` until it is destroyed. Errors: NOMEM. */
CAIRN_MUST_CHECK int pool_svc_damaged(struct pool_svcs *svcs, struct uuid pool, int rc);
/**
 * Stop all services: what starts or ends one is waited for, so are calls; from now on none is started (SHUTDOWN) nor called (NOTREPLICA).
 * What runs in the functions below may go on with `svcs`. NULL is fine.
 */
CAIRN_YIELDS void pool_svcs_stop(struct pool_svcs *svcs);
/** Free, after pool_svcs_stop() and when no handler is left. NULL is fine. */
void pool_svcs_destroy(struct pool_svcs *svcs);
void pool_svcs_abandon(struct pool_svcs *svcs);
/** NULL: no such service here. For tests. */
struct rsvc *pool_svc_rsvc(struct pool_svcs *svcs, struct uuid pool);

/**
 * Create the service's database with map and properties, start it. What is there already is
 * completed. Errors: INVAL; NOTSUPPORTED; BUSY it is being started or stopped; SHUTDOWN; NONEXIST its life was ended (MGT-5); those of rsvc.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_svc_create(struct pool_svcs *svcs, const struct proto_svc_pool_req *args, struct arena *arena);
/**
 * Stop it and destroy its database. Absent is no error, nor that a later life has begun (MGT-5), of which nothing is touched. Errors: BUSY it is being started
 * or stopped; SHUTDOWN; those of rsvc.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_svc_destroy(struct pool_svcs *svcs, struct uuid pool, uint64_t life);

/* ---- requests to a service ------------------------------------------------------------------ */

/* One request to a service. Lives in its arena; updates are collected and committed together. */
struct pool_call {
    struct pool_svcs *svcs;
    struct pool_svc *svc;
    struct rpc_req *req; /* NULL: the engine itself asks */
    struct arena *arena;
    struct uuid pool;
    uint64_t term;
    bool is_modifying;
    bool is_replay; /* was committed before: `answer` is the stored result */
    struct vos_apply_ret answer;
    uint32_t update_nr;
    int build_rc; /* first failure while updates were added */
    struct rsvc_update updates[RSVC_UPDATES_NR_MAX];
};

/**
 * Find the pool's service and begin a request to it; a modifying one waits its turn. End it with
 * pool_call_end(). Errors: NOTREPLICA no service
 * of this pool here; NOTLEADER; NOMEM; TX_UNCERTAIN.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_begin(struct pool_svcs *svcs, struct rpc_req *req,
    struct uuid pool, bool is_modifying, struct pool_call **ret_call);
/** The same for the engine itself: nobody's request id, memory from `arena`. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_begin_local(struct pool_svcs *svcs, struct arena *arena,
    struct uuid pool, bool is_modifying, struct pool_call **ret_call);
/** NULL is fine. */
void pool_call_end(struct pool_call *call);
/**
 * A handler answered this request with an error: when it is final, copies that arrive later get the
 * same answer and have no effect (MS-2). Before the reply.
 */
CAIRN_YIELDS void pool_svcs_refuse(struct pool_svcs *svcs, const struct rpc_req *req, int rc);

/** Read a row. Errors: NONEXIST; NOTLEADER. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_call_get(struct pool_call *call, const char *table, struct iov key, struct iov *ret_value);
/** Walk a table in the order of its keys. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_list(struct pool_call *call, const char *table,
    struct iov after, bool (*fn)(void *arg, struct iov key, struct iov value), void *arg);
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_call_count(struct pool_call *call, const char *table, uint32_t *ret_nr);
/*
 * Collect changes; key and value are copied, the table's name is borrowed. Failures show at the
 * commit.
 */
void pool_call_put(struct pool_call *call, const char *table, struct iov key, struct iov value);
void pool_call_del(struct pool_call *call, const char *table, struct iov key);
void pool_call_del_table(struct pool_call *call, const char *table);
/**
 * Commit what was collected, with the request's id and `result` (at most VOS_RESULT_BYTES_MAX
 * bytes).
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_commit(struct pool_call *call, struct iov result);
/** Commit a part of a long change, without the id; more follows. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_commit_part(struct pool_call *call);

/** What an open pool handle may do. Errors: NO_HDL. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_call_hdl(struct pool_call *call, struct uuid pool_hdl, uint64_t *ret_flags);
/**
 * The handle in the request's head, which must be open (NO_HDL) and, if is_write, opened for
 * writing (NO_PERM).
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_check(struct pool_call *call, bool is_write);
/** Let the worker look for holders that have ended, from now on. */
void pool_look_soon(struct pool_call *call);
/** One more process uses a pool handle. Errors: NO_HDL. The caller commits. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_hdl_attach(struct pool_call *call, struct uuid pool_hdl, const struct proto_proc *proc);
/** Nobody needs a handle: an engine, or this engine itself, asks. */
bool pool_call_is_engine(const struct pool_call *call);

CAIRN_YIELDS CAIRN_MUST_CHECK int pool_call_map(struct pool_call *call, struct poolmap **ret_map);
/** Wall time of now as HLC. */
uint64_t pool_call_hlc(struct pool_call *call);

/* ---- holders of handles (POL-6) ------------------------------------------------------------- */

struct pool_holders {
    bool has_unknown; /* also others than these, of whom nothing can be known */
    uint32_t nr;
    struct plat_proc procs[POOL_HOLDERS_NR_MAX];
};

enum pool_holders_state {
    POOL_HOLDERS_LIVE, /* one of them does, or cannot be looked at */
    POOL_HOLDERS_GONE, /* all have ended */
    POOL_HOLDERS_UNKNOWN /* none is known to live, one may */
};

enum { POOL_HOLDERS_BYTES_MAX = 1 + 2 + 28 * POOL_HOLDERS_NR_MAX };

/** Add one; false: it is there already. One that this engine can know nothing of becomes has_unknown, as do those beyond the limit. */
bool pool_holders_add(
    struct pool_svcs *svcs, struct pool_holders *holders, const struct proto_proc *proc);
void pool_holders_encode(const struct pool_holders *holders, struct enc *enc);
void pool_holders_decode(struct dec *dec, struct pool_holders *ret_holders);
enum pool_holders_state pool_holders_look(struct pool_svcs *svcs, const struct pool_holders *holders);

/**
 * In a modifying call that collected nothing yet: close all handles, of the pool and its containers, whose holders have ended. In parts; what is
 * closed stays closed. *ret_nr: how many.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_evict_gone(struct pool_call *call, uint32_t *ret_nr);
/**
 * For engines: close all handles, or those whose holders have ended, and have the targets forget them. *ret_nr: pool handles. Errors: NOTREPLICA; NOTLEADER;
 * NOMEM.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_evict_local(
    struct pool_svcs *svcs, struct arena *arena, struct uuid pool, bool is_all, uint32_t *ret_nr);

/** A key of 16 bytes, a string. */
static inline struct iov
pool_key_uuid(const struct uuid *id)
{
    return (struct iov){(void *)(uintptr_t)id->b, sizeof(id->b)};
}

static inline struct iov
pool_key_str(const char *str)
{
    return (struct iov){(void *)(uintptr_t)str, strlen(str)};
}

/* A code that says that stored bytes or a device are bad: final, and told to the client (ENG-6). */
static inline bool
pool_is_fault(int rc)
{
    return rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_DF_INCOMPT ||
        rc == -DER_DATA_LOSS || rc == -DER_NVME_IO;
}

/* ---- targets of a pool ---------------------------------------------------------------------- */

struct pool_bcast_item {
    uint32_t rank, tgt_idx, tgt_id;
    int rc;
    struct proto_tgt_pool_query_rep rep; /* of TGT_POOL_QUERY */
};

/**
 * Send one request to every serving target of the map. *ret_items lives in the call's arena. Only
 * failures to begin are returned.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_bcast(struct pool_call *call, uint16_t opcode,
    const void *body, struct pool_bcast_item **ret_items, uint32_t *ret_nr);
/** The same to given targets, from anywhere on the system xstream. */
CAIRN_YIELDS void pool_bcast_to(struct rpc_ctx *rpc, struct arena *arena, uint16_t opcode,
    const void *body, uint64_t deadline_ns, struct pool_bcast_item *items, uint32_t nr);
/**
 * An epoch between what was and what will be: all that targets of the pool acknowledged before this
 * call is not above it, all that reaches them after the return is, also when they restart. Asks all
 * of them twice; not in a modifying call. Errors: AGAIN one of them did not answer; pool_is_fault()
 * its store is out of service.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_epoch_draw(struct pool_call *call, uint64_t *ret_epoch);

/*
 * A snapshot under way, from before its epoch is drawn until its row is committed or given up: no
 * stable epoch overtakes it. In the memory of who draws.
 */
struct pool_draw {
    struct list_head link;
    struct uuid pool;
    uint64_t floor; /* the epoch to be drawn is above */
};
/** Before pool_epoch_draw(). Errors: those of vos_epoch_next(), and nothing to end. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_draw_begin(struct pool_svcs *svcs, struct uuid pool, struct pool_draw *draw);
void pool_draw_end(struct pool_draw *draw);
/**
 * An epoch below which no snapshot of the pool will be taken any more (CON-7): not by this service, nor by one that runs on its database
 * later (ST-6). Ask before the snapshots that there are are looked at. Errors: those of vos_epoch_next().
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_epoch_stable(struct pool_call *call, uint64_t *ret_epoch);
/** Whether a row for a snapshot at `epoch` may still be committed. */
bool pool_epoch_is_free(const struct pool_call *call, uint64_t epoch);
/**
 * Have the targets look, soon, what of a container can be reclaimed: a snapshot is gone. Whoever is not told finds it with the next change of the
 * container, or when space is short.
 */
void pool_aggregate(struct pool_svcs *svcs, struct uuid pool, struct uuid cont);
/** The first failure among the items, 0 when there is none. */
int pool_bcast_rc(const struct pool_bcast_item *items, uint32_t nr);

/*
 * The two that wait are called outside of a modifying call: a slow target must not hold up the
 * service.
 */
/** Have the targets forget a handle, soon. */
void pool_revoke(struct pool_call *call, struct uuid hdl);
/** Have them forget it (nil: ask again about all) now; those that cannot be reached do so by TGT-5. */
CAIRN_YIELDS void
pool_revoke_wait(struct pool_svcs *svcs, struct arena *arena, struct uuid pool, struct uuid hdl);

/**
 * In the commit that removes a container: remember that targets must destroy theirs (POL-3).
 * pool_gone_run() does it at once, and again later where
 * that failed.
 */
void pool_gone_add(struct pool_call *call, struct uuid cont);
/** Errors: BUSY targets still hold a container of that uuid which was destroyed. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_gone_check(struct pool_call *call, struct uuid cont);
CAIRN_YIELDS void
pool_gone_run(struct pool_svcs *svcs, struct arena *arena, struct uuid pool, struct uuid cont);

/* ---- properties and attributes (also of containers) ----------------------------------------- */

enum pool_prop_kind { POOL_PROP_NUM, POOL_PROP_STR, POOL_PROP_BYTES };

struct pool_prop_def {
    uint32_t type;
    enum pool_prop_kind kind;
    bool is_settable; /* after the creation; all but computed ones can be given then */
    bool is_computed; /* the service tells it; never stored */
    uint64_t num; /* default */
    uint64_t lo, hi; /* of a NUM: allowed, both included */
    uint64_t only; /* of a NUM, when not UINT64_MAX: all that is supported now (NOTSUPPORTED) */
    const char *str; /* default of a STR */
    uint32_t bytes_max; /* of STR and BYTES */
};

const struct pool_prop_def *
pool_prop_find(const struct pool_prop_def *defs, uint32_t nr, uint32_t type);
/**
 * Errors: INVAL unknown, wrong kind or out of range; NOTSUPPORTED; NO_PERM not settable (when not
 * creating).
 */
CAIRN_MUST_CHECK int pool_prop_check(
    const struct pool_prop_def *defs, uint32_t nr, const struct proto_prop *prop, bool is_create);
void pool_prop_put(struct pool_call *call, const char *table, const struct pool_prop_def *def,
    const struct proto_prop *prop);
/** The value in force, stored or default. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_prop_get(struct pool_call *call, const char *table,
    const struct pool_prop_def *def, struct proto_prop *ret_prop);
/**
 * Those asked for (none: all), in the call's arena. Computed ones are left 0 for the caller.
 * Errors: INVAL unknown.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_prop_get_all(struct pool_call *call, const char *table, const struct pool_prop_def *defs,
    uint32_t nr, const struct proto_array *wanted, struct proto_array *ret_props);
/**
 * A label that the API accepts: 1..127 of letters, digits and _ - . :, not a uuid's text. Errors:
 * INVAL.
 */
CAIRN_MUST_CHECK int pool_label_check(struct iov label);
/** The property `reclaim` of the pool (enum tgt_reclaim). */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_reclaim_get(struct pool_call *call, uint32_t *ret_reclaim);
/** Its properties `scrub`, `scrub_freq` (seconds) and `scrub_thresh`. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_scrub_get(
    struct pool_call *call, uint32_t *ret_mode, uint32_t *ret_freq_s, uint32_t *ret_thresh);
/** Pool properties. */
const struct pool_prop_def *pool_prop_defs(uint32_t *ret_nr);
enum {
    POOL_PROP_LABEL = 1,
    POOL_PROP_RECLAIM = 5,
    POOL_PROP_SVC_LIST = 8,
    POOL_PROP_RD_FAC = 11,
    POOL_PROP_SCRUB_MODE = 16,
    POOL_PROP_SCRUB_FREQ = 17,
    POOL_PROP_SCRUB_THRESH = 18,
};

CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_attr_list(struct pool_call *call, const char *table, struct proto_attr_rep *rep);
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_attr_get(struct pool_call *call, const char *table,
    const struct proto_attr_req *in, struct proto_attr_rep *rep);
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_attr_set(struct pool_call *call, const char *table, const struct proto_attr_req *in);
CAIRN_YIELDS CAIRN_MUST_CHECK int
pool_attr_del(struct pool_call *call, const char *table, const struct proto_attr_req *in);

/* ---- rows that pool and cont share ---------------------------------------------------------- */

#define POOL_TABLE_CONTS "conts" /* cont's: one row for each container */
#define POOL_TABLE_CONT_HDLS "chdls" /* cont's: one row for each open container handle */

/* ---- handlers of the system xstream --------------------------------------------------------- */

CAIRN_YIELDS int pool_h_connect(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_disconnect(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_query(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_map(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_tgt_query(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_prop_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_prop_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_attr_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_attr_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_attr_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_attr_del(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_evict(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_svc_start(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_svc_stop(struct pool_svcs *svcs, struct rpc_req *req, void *rep);

/** POOL_QUERY without a message: for the engine's control requests. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_query_local(struct pool_svcs *svcs, struct arena *arena,
    struct uuid pool, struct proto_pool_query_rep *ret_rep);
/** PROP_SET without a message, for the same; the label, too (that it is free is the system service's affair). Errors: as of the message. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_prop_set_local(
    struct pool_svcs *svcs, struct arena *arena, struct uuid pool, const struct proto_array *props);

/* ---- a target's side ------------------------------------------------------------------------ */

/* How a target asks pool services. One for each target xstream. */
struct pool_tgt_opts {
    struct rpc_ctx *rpc;
    uint32_t (*sys_rank)(void *arg); /* where the system service is */
    void *arg;
};
struct pool_tgt;
CAIRN_MUST_CHECK int pool_tgt_create(const struct pool_tgt_opts *opts, struct pool_tgt **ret_pt);
/* Calls in flight end with the rpc context. Also abandons: it holds memory alone. */
void pool_tgt_destroy(struct pool_tgt *pt);
void pool_tgt_rpc_set(struct pool_tgt *pt, struct rpc_ctx *rpc);
/**
 * The look-up of tgt_opts; arg is a struct pool_tgt. Errors: NO_HDL; AGAIN the service could not be
 * asked; those of pool_is_fault(): the service's storage is out of service; NOMEM.
 */
CAIRN_YIELDS int
pool_tgt_hdl_lookup(void *arg, const struct tgt_ids *ids, struct tgt_hdl_info *ret_info);
/**
 * The question of tgt_opts about stable epochs; arg is a struct pool_tgt. Errors: NONEXIST no such container, or pool, any more; NOMEM; others: the service
 * could not be asked.
 */
CAIRN_YIELDS int
pool_tgt_stable(void *arg, struct uuid pool, struct uuid cont, struct tgt_stable *ret_stable);

CAIRN_YIELDS int pool_h_tgt_create(struct tgt *tgt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_tgt_destroy(struct tgt *tgt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_tgt_space(struct tgt *tgt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_tgt_cont_destroy(struct tgt *tgt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int pool_h_tgt_revoke(struct tgt *tgt, struct rpc_req *req, void *rep);
/**
 * PROTO_TGT_EPOCH: what this target writes from now on, also after a restart, has larger epochs.
 * Errors: HLC_SYNC.
 */
CAIRN_YIELDS int pool_h_tgt_epoch(struct tgt *tgt, struct rpc_req *req, void *rep);
/** PROTO_TGT_AGGREGATE. */
CAIRN_YIELDS int pool_h_tgt_aggregate(struct tgt *tgt, struct rpc_req *req, void *rep);

#endif
