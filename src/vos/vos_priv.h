/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Inside vos: the target, its pools and containers in memory, and how operations run. */
#ifndef CAIRN_VOS_PRIV_H
#define CAIRN_VOS_PRIV_H

#include "base/hash.h"
#include "base/hlc.h"
#include "base/list.h"
#include "vos/vos.h"
#include "vos/vos_csum.h"
#include "vos/vos_dirty.h"
#include "vos/vos_dtx.h"
#include "vos/vos_heap.h"
#include "vos/vos_hint.h"
#include "vos/vos_ilog.h"
#include "vos/vos_rec.h"
#include "vos/vos_ts.h"

enum {
    VOS_LSN_BITS = 13, /* objects share an entry by hash (ST-2) */
    VOS_STEPS_NR = 512, /* nodes or records visited between yields (ST-9) */
    VOS_GC_STEP_NR = 64, /* records freed in one transaction */
    VOS_FETCH_BYTES_MAX = 64 << 20,
    VOS_FETCH_FREE_NR = 32, /* of 6 KiB each */
    VOS_BOUND_AHEAD_NS = 1000000000, /* ST-6 */
    VOS_AGG_MOVE_BYTES =
        2048, /* extents that lie with the metadata move to the data role from here on */
    VOS_APPLY_TRIES_NR_MAX = 1000, /* waits for the collector in a full store */
};

struct vos_pool {
    struct list_head link;
    struct uuid uuid;
    uint64_t off; /* its record */
    uint64_t shard;
    uint64_t meta_quota, data_quota;
    uint64_t meta_used, data_used; /* containers, and what is queued for collection, included */
    uint64_t data_resv; /* of updates in flight */
    uint64_t horizon;
    bool is_out; /* as in its record */
    uint32_t open_nr; /* containers open, and operations that must not lose the pool */
    struct hmap clients; /* struct vos_client */
};

/*
 * An object that was looked at not long ago: what follows from its id, and where its record is. That is good until `gen` of the table, which is raised
 * whenever a record of an object is freed, and whenever a container is opened.
 */
enum { VOS_HELD_BITS = 6, VOS_HELD_NR = 1 << VOS_HELD_BITS };
struct vos_held {
    struct vos_oid oid;
    uint64_t cont_off; /* 0: nothing here */
    uint64_t h_obj;
    const struct vos_btr_kind *dkey_kind, *akey_kind;
    uint64_t off; /* 0: not known */
    uint64_t gen;
};

struct vos_cont {
    struct list_head link;
    struct vos_tgt *tgt;
    struct vos_pool *pool;
    struct uuid uuid;
    uint64_t off; /* its record */
    uint32_t refs;
    uint32_t stream; /* of the data role, for what is written to it; the next one is for what aggregation writes anew */
    uint64_t lsn_last; /* of the newest change of anything in it */
    uint64_t read_epoch; /* newest listing of its objects */
    uint64_t read_tx; /* transaction that did that, 0: none, or others too */
    uint64_t trim_nr; /* times old versions were dropped (VOS_APPLY_NO_HISTORY, aggregation) */
    uint64_t agg_hi; /* largest one of a pass that began: reads below it begin anew */
    bool is_agg; /* a pass is under way */
    struct vos_dtxs *dtxs; /* transactions that are decided later; NULL: there was none yet */
    struct vos_hint_row row;
    uint32_t long_bytes; /* of the single value that was fetched last, if it is long (vos_hint.h); else 0 */
    uint32_t single_bytes; /* of the record of the single value that was fetched last */
    /* Changes that leave something to aggregate: the oldest and newest since the last pass that finished; lo 0: none. */
    uint64_t agg_work_lo, agg_work_hi;
    struct vos_dirty dirty;
    bool is_left_known; /* `dirty` has what passes left, of all of them that did */
    bool has_uncooled; /* a pass may have left values with the metadata since these had room */
};

struct vos_tgt {
    struct bio_tgt *bio;
    struct umem *um;
    struct xstream *xs;
    struct plat *plat;
    uint64_t root_off;
    uint64_t hash_mask;
    uint8_t dirty_depth; /* of trees of dkeys whose changes are noted one by one (tests take less) */
    struct hlc_clock clock;
    uint64_t bound; /* persisted, or in the log at bound_lsn */
    uint64_t bound_lsn;
    uint64_t admin_lsn; /* newest creation or destruction of a pool or container */
    struct ult_mutex admin; /* creation and destruction, one at a time */
    struct list_head pools;
    struct list_head conts; /* open */
    struct vos_cont *opening; /* being opened, under `admin`: not in conts yet */
    uint64_t read_epoch; /* newest listing of objects in any container that was closed since */
    struct ult *gc_ult;
    struct ult_cond gc_wake; /* to the collector */
    struct ult_cond gc_moved; /* from it, after every step */
    bool gc_stop;
    bool gc_has_work;
    int gc_rc;
    bool gc_busy; /* in a step */
    uint32_t checks_nr; /* the collector waits for them: vos_tgt_check() */
    struct vos_heap heap;
    void *fetch_free[VOS_FETCH_FREE_NR]; /* memory of fetches that ended, for the next ones */
    uint32_t fetch_free_nr;
    uint64_t visit_nr; /* nodes and extents looked at by all operations; for tests and benchmarks */
    uint64_t lsns[1 << VOS_LSN_BITS];
    uint32_t drops[1 << VOS_LSN_BITS]; /* times aggregation took something away from objects */
    uint32_t searches[1 << VOS_LSN_BITS]; /* reads under way that hold extents of objects over yields */
    uint64_t cut_nr; /* raised when records of keys or objects went: where one was found, it still is while this is the same */
    uint64_t held_gen;
    struct vos_held held[VOS_HELD_NR]; /* by hash of object and container */
    struct vos_hints hints;
    struct vos_ts ts;
};

/* ---- running operations (vos_tgt.c) --------------------------------------------------------------------------------- */

typedef int (*vos_body_fn)(struct vos_op *op, void *arg);

/** A new operation of this target. */
void vos_op_init(struct vos_op *op, const struct vos_tgt *tgt);

/**
 * Run body in a transaction and commit when it answers 0; again from the start after loading a page that it missed. The body starts with
 * an op as given. After return op holds what the last run left. Errors: the body's; those of bio.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_tx_run(struct vos_tgt *tgt, struct vos_op *op, uint32_t flags,
    uint64_t shard, vos_body_fn body, void *arg, uint64_t *ret_lsn);
/** Run a body that only reads; again after a missing page (-DER_AGAIN) or a pause (-DER_INPROGRESS). It keeps its own progress in arg. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_read_run(struct vos_tgt *tgt, struct vos_op *op, vos_body_fn body, void *arg);
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_wait(struct vos_tgt *tgt, uint64_t lsn);

CAIRN_MUST_CHECK int
vos_root(struct vos_op *op, const struct vos_tgt *tgt, struct vos_root_df **ret_root);
uint64_t vos_wall_ns(const struct vos_tgt *tgt);

/**
 * In a transaction: a fresh epoch, or the clock raised to op->epoch when that is not 0; moves the persisted bound with it when needed:
 * *ret_bound is then the new one, to be noted with vos_bound_moved() after the commit, else 0. Errors: HLC_SYNC more than 1 s ahead.
 */
CAIRN_MUST_CHECK int vos_epoch_take(struct vos_tgt *tgt, struct vos_op *op, uint64_t *ret_bound);
void vos_bound_moved(struct vos_tgt *tgt, uint64_t bound, uint64_t lsn);
/** The newest epoch that anything may have here. */
static inline uint64_t
vos_epoch_now(const struct vos_tgt *tgt)
{
    /* An update that failed may have left the clock beyond the bound. */
    return MIN(tgt->clock.last, tgt->bound);
}

/**
 * Store the last epoch used as the bound (ST-6), durably: a clean stop, after which the next life need not wait for the wall clock. What is served
 * after it moves the bound again first. Errors: those of vos_tx_run(); the old bound stays.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_bound_settle(struct vos_tgt *tgt);

/** The epoch to read at: now, or the given one, with the clock raised to it. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_epoch_read(struct vos_tgt *tgt, uint64_t epoch, uint64_t *ret_epoch);

/* ST-2: the log position of the newest change of an object. */
uint64_t vos_obj_hash(const struct vos_cont *cont, const struct vos_oid *oid);
static inline uint64_t *
vos_obj_lsn(struct vos_tgt *tgt, uint64_t obj_hash)
{
    return &tgt->lsns[obj_hash >> (64 - VOS_LSN_BITS)];
}

/* AGG-3: differs when versions of the object were taken away since. */
static inline uint32_t *
vos_obj_drops(struct vos_tgt *tgt, uint64_t obj_hash)
{
    return &tgt->drops[obj_hash >> (64 - VOS_LSN_BITS)];
}

/* Reads that hold extents over a yield say so: aggregation lets them end, for a while. */
static inline uint32_t *
vos_obj_searches(struct vos_tgt *tgt, uint64_t obj_hash)
{
    return &tgt->searches[obj_hash >> (64 - VOS_LSN_BITS)];
}

/** A change at `epoch` that left something to aggregate. */
static inline void
vos_agg_note(struct vos_cont *cont, uint64_t epoch)
{
    if (cont->agg_work_lo == 0 || epoch < cont->agg_work_lo)
        cont->agg_work_lo = epoch;
    if (epoch > cont->agg_work_hi)
        cont->agg_work_hi = epoch;
}

struct vos_evt_search;

/* ---- walking down (vos_walk.c) -------------------------------------------------------------------------------------- */

struct vos_level_pos {
    uint64_t off; /* 0: no record */
    struct vos_ilog_info info; /* also when there is no record: invisible, below the ancestors' punch */
};

struct vos_walk {
    struct vos_obj_df *obj;
    struct vos_key_df *dkey, *akey;
    struct vos_level_pos o, d, a;
    uint64_t h_obj, h_dkey, h_akey; /* for vos_ts.h */
    uint64_t dkey_hkey;
    uint64_t cont_off;
    struct vos_held *held; /* of the object, as long as it names it */
    const struct vos_btr_kind *dkey_kind, *akey_kind;
    uint64_t dkey_hint; /* a dkey of the object, most likely the one looked for; 0: none (HNT-2) */
    size_t akey_len; /* of the akey that a new dkey is made for; 0: none that gets room in it */
};

/** Key kinds and hash of the object. Errors: INVAL unknown object type. */
CAIRN_MUST_CHECK int
vos_walk_init(struct vos_walk *w, const struct vos_cont *cont, const struct vos_oid *oid);
/* One level down, the state at op->epoch. With a transaction and `create`, a missing record is made (its log stays empty). Errors: AGAIN, DF_INVAL, NOSPACE. */
CAIRN_MUST_CHECK int vos_walk_obj(struct vos_op *op, const struct vos_cont *cont,
    const struct vos_oid *oid, bool create, struct vos_walk *w);
CAIRN_MUST_CHECK int
vos_walk_dkey(struct vos_op *op, const struct iov *key, bool create, struct vos_walk *w);
CAIRN_MUST_CHECK int
vos_walk_akey(struct vos_op *op, const struct iov *key, bool create, struct vos_walk *w);
/* The same with what vos_key_bytes() made of the key. */
CAIRN_MUST_CHECK int
vos_walk_dkey_at(struct vos_op *op, const struct vos_btr_key *k, bool create, struct vos_walk *w);
CAIRN_MUST_CHECK int
vos_walk_akey_at(struct vos_op *op, const struct vos_btr_key *k, bool create, struct vos_walk *w);
/* Log a creation where the level is not visible. */
CAIRN_MUST_CHECK int vos_walk_obj_touch(struct vos_op *op, struct vos_walk *w);
CAIRN_MUST_CHECK int vos_walk_dkey_touch(struct vos_op *op, struct vos_walk *w);
CAIRN_MUST_CHECK int vos_walk_akey_touch(struct vos_op *op, struct vos_walk *w);
/* Log a creation or a punch of a level, with a reference when it is marked. Errors: those of vos_ilog_add(); NOMEM. */
CAIRN_MUST_CHECK int vos_walk_obj_log(struct vos_op *op, struct vos_walk *w, bool is_punch);
CAIRN_MUST_CHECK int vos_walk_dkey_log(struct vos_op *op, struct vos_walk *w, bool is_punch);
CAIRN_MUST_CHECK int vos_walk_akey_log(struct vos_op *op, struct vos_walk *w, bool is_punch);
/** What an akey holds: 0 nothing yet, VOS_IOD_SINGLE or VOS_IOD_ARRAY. */
uint32_t vos_akey_type(const struct vos_key_df *akey);
/** The single value visible at op->epoch above `punch`. *ret_off 0: none. */
CAIRN_MUST_CHECK int vos_single_find(struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off,
    struct vos_epoch punch, uint64_t *ret_off, struct vos_ver *ret_ver);

static inline uint64_t
vos_obj_ilog_off(uint64_t off)
{
    return off + offsetof(struct vos_obj_df, ilog);
}

static inline uint64_t
vos_obj_tree_off(uint64_t off)
{
    return off + offsetof(struct vos_obj_df, dkeys);
}

static inline uint64_t
vos_key_ilog_off(uint64_t off)
{
    return off + offsetof(struct vos_key_df, ilog);
}

static inline uint64_t
vos_key_tree_off(uint64_t off)
{
    return off + offsetof(struct vos_key_df, tree);
}

/* ---- uncertainty of clocks (vos_uncertain.c) ------------------------------------------------------------------------ */

/* A read: of values (iods), or a listing. */
struct vos_uncertain {
    const struct vos_cont *cont;
    uint64_t epoch, bound;
    enum vos_level level; /* RECX or SINGLE: of values */
    const struct vos_oid *oid, *oids; /* oids: of vos_uncertain_objs() */
    uint32_t oid_nr;
    const struct iov *dkey;
    const struct vos_iod *iods; /* of another type than the array: all of it */
    uint32_t iod_nr;
    bool exists; /* whether the dkey is there matters */
    uint32_t query; /* of a query: its flags; iods: the akey */
    const struct vos_btr_kind *akey_kind; /* the same, set on the way */
    uint64_t from, akey_from; /* progress of a listing or query */
};

/** Body for vos_read_run(); arg: a struct vos_uncertain. Errors: TX_RESTART it is not certain; AGAIN, DF_INVAL. */
CAIRN_MUST_CHECK int vos_uncertain_read(struct vos_op *op, void *arg);
/** The same for whether some objects are there. */
CAIRN_MUST_CHECK int vos_uncertain_objs(struct vos_op *op, void *arg);
/** The same for a query: everything is looked at that may have been an answer, beyond the outermost, too. */
CAIRN_MUST_CHECK int vos_uncertain_query(struct vos_op *op, void *arg);
/** In a transaction: a modification at op->epoch. Errors: as above. */
CAIRN_MUST_CHECK int vos_uncertain_mod(
    struct vos_op *op, const struct vos_cont *cont, const struct vos_mod *mod, uint64_t bound);

/* ---- arguments (vos_args.c) ----------------------------------------------------------------------------------------- */

/** Check all of it, of the data their lengths and, when they are there already, that they are. *ret_inline_max: values longer than that go to the data
 * role (vos_inline_max()). Errors: as of vos_apply(). */
CAIRN_MUST_CHECK int
vos_args_check(const struct vos_apply_args *args, bool has_data, uint64_t *ret_inline_max);

/* ---- values in the data role (vos_big.c) ---------------------------------------------------------------------------- */

struct vos_big {
    struct bio_resv *resv; /* NULL: none, or published */
    uint8_t *csums; /* of its chunks */
    const uint8_t *data;
    uint64_t len;
    uint64_t summed_bytes; /* chunks with a checksum, from the first on */
    uint32_t crc; /* of these bytes */
    bool is_in_place; /* data is the extent itself */
    bool is_summed;
};

struct vos_bigs {
    struct vos_cont *cont; /* set by the user, as the next */
    uint64_t inline_max; /* larger values are these */
    struct vos_csum csum;
    struct vos_big *bigs; /* in the order of the modifications */
    uint32_t nr;
    uint32_t next; /* used while going through them */
    uint64_t resv_bytes;
};

enum {
    VOS_BLOCK_RECXS_NR = 16
}; /* in one array of a request: more of them stay with the metadata */

/**
 * Values of this part of a request that are longer go to the data role. Where that is memory, ranges of arrays from a whole block on: they are written once instead of into the log and the
 * arena, and what is written over at random does not make pages of the arena old.
 */
static inline uint64_t
vos_inline_max(const struct vos_cont *cont, const struct vos_iod *iod, uint64_t inline_max)
{
    return iod->type == VOS_IOD_ARRAY && iod->recx_nr <= VOS_BLOCK_RECXS_NR &&
            bio_data_is_mapped(cont->tgt->bio)
        ? MIN(inline_max, (uint64_t)BIO_BLK_BYTES - 1)
        : inline_max;
}

/** Find the large values; zeroed but for what the user set. Errors: NOMEM. End with vos_bigs_fini(). */
CAIRN_MUST_CHECK int vos_bigs_init(struct vos_bigs *b, const struct vos_apply_args *args);
/** Reserve room for them, write them, and their checksums. After a failure nothing is reserved. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_bigs_write(struct vos_bigs *b);
CAIRN_MUST_CHECK int vos_bigs_publish(struct vos_bigs *b, struct vos_op *op);
void vos_bigs_published(struct vos_bigs *b); /* after the commit */
void vos_bigs_cancel(struct vos_bigs *b);
void vos_bigs_fini(struct vos_bigs *b);
/** Those of vos_ahead_get(), for vos_bigs_write(). Errors: INVAL they are not of these args, or without checksums. */
CAIRN_MUST_CHECK int
vos_ahead_take(struct vos_ahead *ah, const struct vos_apply_args *args, struct vos_bigs **ret_bigs);
/** For qsort(): by first index. */
int vos_recx_cmp(const void *a, const void *b);

/* ---- dkeys without akeys (vos_empty.c) ------------------------------------------------------------------------------ */

/* What is known of a dkey with many akeys; zeroed at first. */
struct vos_empty {
    struct vos_cont *cont;
    const struct vos_mod *mod; /* names object and dkey */
    bool is_done, has_other; /* an akey is visible that the request does not name */
    uint64_t lsn; /* of the object's newest change then */
    uint32_t try_nr;
    uint32_t name_nr;
    const struct iov **names; /* akeys that the request names, sorted */
    uint8_t *after; /* progress: the akey looked at last */
    size_t after_len;
};

/** In a transaction that punched the last akey that `mod` names: is none left? `e` is NULL or what vos_empty_scan() found.
 * Errors: INPROGRESS give up, vos_empty_scan(), and again. */
CAIRN_MUST_CHECK int vos_empty_check(struct vos_op *op, struct vos_tgt *tgt,
    const struct vos_mod *mod, struct vos_walk *w, const struct vos_empty *e, bool *ret_empty);
/** Look at all akeys of the dkey of `mod`, for which vos_empty_check() answered INPROGRESS. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_empty_scan(struct vos_cont *cont, const struct vos_apply_args *args, const struct vos_mod *mod,
    struct vos_dtx_look *look, struct vos_empty *e);
void vos_empty_fini(struct vos_empty *e);

/* ---- reading extents in order (vos_recx.c) -------------------------------------------------------------------------- */

/* A listing of the visible extents of an akey; set up to `arg`, zero the rest. */
struct vos_recx_list {
    struct vos_cont *cont;
    const struct vos_oid *oid;
    const struct iov *dkey, *akey;
    bool is_descending;
    bool has_pos;
    uint64_t pos; /* next index to look at: upwards from it, or downwards */
    uint32_t nr_max;
    bool (*fn)(void *arg, const struct vos_entry *entry);
    void *arg;
    /* results */
    bool is_eof;
    /* progress */
    bool is_searching, has_pending, is_stopped, window_set;
    uint32_t nr, rec_size;
    uint32_t drops; /* of the object when the search began (AGG-3) */
    uint64_t h_obj;
    uint64_t window; /* where the next window begins */
    uint64_t win_len; /* 0: to be guessed */
    uint64_t win_lo, win_hi;
    struct vos_entry pending;
    struct vos_evt_search *search;
};

/** List at op->epoch until nr_max, the end or a refusal; pos moves along. Errors: AGAIN and INPROGRESS stay inside; NOMEM; DF_INVAL. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_recx_list(struct vos_tgt *tgt, struct vos_op *op, struct vos_recx_list *l);

/* ---- request table (vos_req.c) -------------------------------------------------------------------------------------- */

/* State of a slot that need not survive: requests in flight, and answers that were failures. */
struct vos_cslot {
    bool is_busy;
    int failed_rc;
    uint64_t failed_seq;
};

struct vos_client {
    struct hmap_link link;
    struct uuid uuid;
    uint64_t off; /* its record; 0: not stored yet */
    uint64_t hlc; /* of its newest request */
    uint64_t horizon;
    bool has_failure; /* remembered in a slot */
    uint32_t busy_nr; /* slots busy or waited for: may not be forgotten */
    struct ult_cond freed;
    struct vos_cslot *groups[VOS_SLOT_GROUPS_NR_MAX];
};

struct vos_req {
    struct vos_client *client; /* NULL: no duplicate detection */
    struct vos_cslot *slot;
    const struct vos_req_id *id;
    struct vos_client *evict; /* to forget with this transaction */
    uint64_t client_off; /* made by this transaction */
    uint64_t horizon;
};

CAIRN_MUST_CHECK int vos_req_check(const struct vos_req_id *id);
/** Wait for the slot and take it. *ret_is_replay: the stored answer is in *ret. Errors: TX_UNCERTAIN; a stored failure; NOMEM. On failure nothing is held. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_req_begin(struct vos_tgt *tgt, struct vos_pool *pool,
    const struct vos_req_id *id, struct vos_req *ret_req, struct vos_apply_ret *ret);
/** In the transaction: store the answer. */
CAIRN_MUST_CHECK int vos_req_store(struct vos_op *op, struct vos_pool *pool, struct vos_req *req,
    uint64_t epoch, const struct iov *result);
/** After its commit. */
void vos_req_stored(struct vos_pool *pool, struct vos_req *req);
/** Give the slot back; rc is what the client is told. */
void vos_req_end(struct vos_pool *pool, struct vos_req *req, int rc);
/** Load the clients of a pool. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_req_load(struct vos_tgt *tgt, struct vos_pool *pool);
void vos_req_unload(struct vos_pool *pool);

/* ---- collector (vos_gc.c) ------------------------------------------------------------------------------------------- */

/** In a transaction: queue a record that was taken out of its tree. */
CAIRN_MUST_CHECK int
vos_gc_add(struct vos_tgt *tgt, struct vos_op *op, uint8_t tree_id, uint64_t rec);
void vos_gc_kick(struct vos_tgt *tgt);
/** A collector that gave up, for want of memory or for a page that could not be read, tries again. */
void vos_gc_retry(struct vos_tgt *tgt);
CAIRN_MUST_CHECK int vos_gc_start(struct vos_tgt *tgt);
CAIRN_YIELDS void vos_gc_end(struct vos_tgt *tgt);
/**
 * In a transaction: free a dkey or akey record that is in no tree any more, with all below it, when it is small and holds single values only, none of
 * them of op->epoch. *ret_dropped says whether it was; if not, nothing was done.
 */
CAIRN_MUST_CHECK int
vos_gc_can_drop(struct vos_op *op, const struct vos_btr_kind *below, uint64_t rec, bool *ret_can);
CAIRN_MUST_CHECK int vos_gc_drop(struct vos_tgt *tgt, struct vos_op *op, uint64_t rec);
struct vos_gc_some {
    uint32_t budget; /* records to free at most; lowered */
    bool is_done; /* the record itself went, too */
    uint64_t ver_nr, key_nr; /* raised by what went */
};
/** In a transaction: free some of what is below an object's or key's record, from the end, at last the record itself, which its tree still names then. */
CAIRN_MUST_CHECK int vos_gc_free_some(struct vos_tgt *tgt, struct vos_op *op, uint8_t tree_id,
    uint64_t rec, struct vos_gc_some *some);
/** In a transaction: free a version record and its extent. */
CAIRN_MUST_CHECK int vos_gc_free_version(struct vos_tgt *tgt, struct vos_op *op, uint64_t rec);
/** Wait for a step of the collector; false when it has nothing to do. */
CAIRN_YIELDS bool vos_gc_wait(struct vos_tgt *tgt);

/* ---- pools and containers (vos_pool.c) ------------------------------------------------------------------------------ */

CAIRN_YIELDS CAIRN_MUST_CHECK int vos_pools_load(struct vos_tgt *tgt);
void vos_pools_unload(struct vos_tgt *tgt);
struct vos_pool *vos_pool_by_shard(struct vos_tgt *tgt, uint64_t shard);
struct vos_pool *vos_pool_by_uuid(struct vos_tgt *tgt, const struct uuid *id);
/** Call fn for the records of a tree by uuid after `after`, at most nr; *after moves along. No yields. */
CAIRN_MUST_CHECK int vos_uuid_tree_walk(struct vos_op *op, const struct vos_btr_kind *kind,
    struct vos_tree_df *df, uint64_t df_off, struct uuid *after, uint32_t *nr,
    int (*fn)(struct vos_op *op, uint64_t rec, void *arg), void *arg);

/* ---- for tests ------------------------------------------------------------------------------------------------------ */

/** Cut the hashes of keys to force collisions; on an empty store only. */
void vos_test_hash_mask(struct vos_tgt *tgt, uint64_t mask);

#endif
