/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos: the versioned object store of one target. Pool shards > containers > objects > dkeys > akeys > versions of a value.
 * Nothing is overwritten: every update and punch adds a version at its epoch, readers see the newest visible one at theirs.
 *
 *   VOS-1  Every function returns only when all that its result reveals is durable: an update, a read, a listing, an EXIST, a NONEXIST (ST-2).
 *   VOS-2  vos_apply() is atomic over all its modifications, and the result of the request id is stored in the same transaction (MS-2).
 *   VOS-3  Epochs handed out by vos_epoch_next() are larger than any handed out, stored or read at before, also across restarts (ST-6).
 *   VOS-4  Every value carries a checksum, verified whenever it is read from the medium (ST-7); a mismatch answers CSUM, never data.
 *   VOS-5  No operation holds a raw pointer over a yield: operations run without yielding, back out on a page that is not resident and start anew (UM-4).
 *   VOS-6  Work between yields is bounded; destroys are queued and done in steps (ST-9). Punch, destroy and their collection work in a full store (ST-8).
 *
 * Owner: the target's xstream; every call comes from one of its ULTs.
 */
#ifndef CAIRN_VOS_H
#define CAIRN_VOS_H

#include "base/arena.h"
#include "base/ids.h"
#include "base/iov.h"
#include "bio/bio.h"
#include "vos/vos_epoch.h"

struct vos_tgt;
struct vos_cont;
struct vos_ahead;

enum {
    VOS_KEY_BYTES_MAX = 4096, /* hashed keys */
    VOS_KEY_LEXICAL_BYTES_MAX = 80, /* lexical keys; integer keys are exactly 8 bytes, little-endian */
    VOS_MODS_NR_MAX = 256, /* of one vos_apply() */
    VOS_IODS_NR_MAX = 1024, /* of one modification or fetch */
    VOS_RECXS_NR_MAX = 1024, /* of one iod */
    VOS_PARTS_NR_MAX = 1024, /* of one vos_apply(): punches, single values, ranges, together (ST-9) */
    VOS_VALUE_BYTES_MAX = 16 << 20, /* one single value, or one extent */
    VOS_INLINE_BYTES_MAX = 4096, /* data_thresh: larger values go to the data role */
    VOS_INLINE_SUM_BYTES_MAX =
        1 << 20, /* with more such bytes in one vos_apply(), values above the next go there, too */
    VOS_INLINE_SMALL_BYTES_MAX = 512,
    VOS_CSUM_CHUNK_BYTES = 32768,
    VOS_ANCHOR_BYTES = 104,
    VOS_RESULT_BYTES_MAX = 64, /* kept with a request id */
    VOS_AHEAD_NR_MAX = 16, /* values of one vos_ahead_get() */
    VOS_CLIENTS_NR_MAX = 4096, /* clients remembered by a shard (MS-2) */
    VOS_SLOTS_NR_MAX = 1024, /* requests a client may have in flight */
    VOS_DTX_ACTIVE_NR_MAX = 65520, /* undecided transactions of a container's shard */
    VOS_DTX_DONE_NR_MAX = 16384, /* decided ones that it remembers */
    VOS_DTX_BLOB_BYTES_MAX = 2048, /* of the protocol, kept with an undecided one */
    VOS_DTX_ASKS_NR_MAX = 16, /* undecided transactions told of by one call */
};
#define VOS_EPOCH_MAX UINT64_MAX

/* ---- target --------------------------------------------------------------------------------------------------------- */

/** Open (on first use: create) the store in an opened bio target; starts the collector ULT. *ret_tgt is set while
 * this works on it, for who may have to abandon it (a simulated kill), and NULL again after a failure. In a bio target that is open for a look (bio_cfg.is_rdonly) nothing is created,
 * collected or changed: NONEXIST there is none. Errors: those of bio; DF_INVAL, DF_INCOMPT. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_tgt_open(struct bio_tgt *bio, struct vos_tgt **ret_tgt);
CAIRN_YIELDS void
vos_tgt_close(struct vos_tgt *tgt); /* no container open (asserted); does not close bio */
void vos_tgt_abandon(struct vos_tgt *tgt); /* frees memory without I/O (simulated kill) */

/** A fresh epoch (VOS-3). Yields only when the persisted bound must move. Errors: NVME_IO stopped. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_epoch_next(struct vos_tgt *tgt, uint64_t *ret_epoch);
/** The newest epoch of anything here. A read of the newest state that begins now reads at it, or later. Does not yield. */
uint64_t vos_epoch_last(const struct vos_tgt *tgt);
/** Merge a clock value from a message. Errors: HLC_SYNC more than 1 s ahead. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_epoch_recv(struct vos_tgt *tgt, uint64_t hlc);

/* ---- pool shards ---------------------------------------------------------------------------------------------------- */

struct vos_pool_info {
    struct uuid uuid;
    uint64_t meta_quota, data_quota; /* bytes */
    uint64_t meta_used, data_used; /* bytes charged to the shard */
    uint64_t cont_nr;
    bool is_out; /* vos_scrub_out_set() */
};

/** Errors: EXIST; NOSPACE the quotas do not fit beside those of the other shards. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_pool_create(struct vos_tgt *tgt, struct uuid pool, uint64_t meta_quota, uint64_t data_quota);
/** Raise the quotas of a shard; what would be lower stays. Durable on return. Errors: NONEXIST; NOSPACE they do not fit beside those of the others. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_pool_grow(struct vos_tgt *tgt, struct uuid pool, uint64_t meta_quota, uint64_t data_quota);
/** What the quotas of all shards leave: as much vos_pool_create() can give. */
void vos_quota_left(struct vos_tgt *tgt, uint64_t *ret_meta, uint64_t *ret_data);
/** Gone at once for users, space comes back in the background. Errors: NONEXIST; BUSY a container is open. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_pool_destroy(struct vos_tgt *tgt, struct uuid pool);
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_pool_query(struct vos_tgt *tgt, struct uuid pool, struct vos_pool_info *ret_info);
/** At most nr uuids after `after` (nil: from the start), in order. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_pool_list(
    struct vos_tgt *tgt, struct uuid after, struct uuid *uuids, uint32_t nr, uint32_t *ret_nr);

/* ---- containers ----------------------------------------------------------------------------------------------------- */

/** Errors: NONEXIST no such pool; EXIST; NOSPACE; for destroy BUSY: it is open. The space of a destroyed one comes back in the background. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_cont_create(struct vos_tgt *tgt, struct uuid pool, struct uuid cont);
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_cont_destroy(struct vos_tgt *tgt, struct uuid pool, struct uuid cont);
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_cont_list(struct vos_tgt *tgt, struct uuid pool,
    struct uuid after, struct uuid *uuids, uint32_t nr, uint32_t *ret_nr);
/** `*ret_cont` returns owned: free with vos_cont_close(). Opens of the same container share one object (counted). Errors: NONEXIST. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_cont_open(struct vos_tgt *tgt, struct uuid pool, struct uuid cont, struct vos_cont **ret_cont);
void vos_cont_close(struct vos_cont *cont);

/** Quotas and use of its pool's shard, the space of updates at work included; without yields. Counts nothing else. */
void vos_cont_space(const struct vos_cont *cont, struct vos_pool_info *ret_info);
/** vos_scrub_out_set() said so. Without yields; false: no such pool. */
bool vos_cont_is_out(const struct vos_cont *cont);
bool vos_pool_is_out(struct vos_tgt *tgt, struct uuid pool);

struct vos_cont_info {
    uint64_t obj_nr; /* objects with any version */
    uint64_t epoch_max; /* of the newest change */
    uint64_t meta_used, data_used;
};
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_cont_query(struct vos_cont *cont, struct vos_cont_info *ret_info);

/* ---- transactions that are decided later (the rest of them: below) -------------------------------------------------- */

/* Who: chosen by who begins the transaction, for ever (hlc: the clock then). */
struct vos_dtx_id {
    struct uuid uuid;
    uint64_t hlc;
};

/* Undecided transactions that stand in the way: ask their leaders. */
struct vos_dtx_asks {
    uint32_t nr; /* at most VOS_DTX_ASKS_NR_MAX are told; there may be more */
    struct vos_dtx_id ids[VOS_DTX_ASKS_NR_MAX];
};

/* How a read treats what is not decided. A call without one is of no transaction, and is not told whom to ask. */
struct vos_dtx_view {
    struct vos_dtx_id own; /* sees what this one prepared; uuid nil: none */
    bool is_passing; /* pass over what others prepared: for who knows that it was not decided before the read */
    struct vos_dtx_asks asks; /* out, with INPROGRESS */
};

/* ---- modifications -------------------------------------------------------------------------------------------------- */

/* FM-1. The key kinds of dkeys and akeys follow from the type bits of the object id (api.md 4.1: hashed, uint64, lexical). */
struct vos_oid {
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
};

enum vos_iod_type { VOS_IOD_SINGLE = 1, VOS_IOD_ARRAY = 2 };

/* Condition flags: the numbers of the API. */
enum vos_cond {
    VOS_COND_PUNCH = 1,
    VOS_COND_DKEY_INSERT = 2,
    VOS_COND_DKEY_UPDATE = 4,
    VOS_COND_DKEY_FETCH = 8,
    VOS_COND_AKEY_INSERT = 16,
    VOS_COND_AKEY_UPDATE = 32,
    VOS_COND_AKEY_FETCH = 64,
    VOS_COND_PER_AKEY = 128, /* the akey conditions stand in each iod */
};

struct vos_iod {
    struct iov akey;
    enum vos_iod_type type;
    uint32_t cond; /* with VOS_COND_PER_AKEY */
    uint64_t size; /* SINGLE: bytes of the value; ARRAY: bytes of one record; 0 in an update punches (value or ranges); 0 in a fetch: any */
    uint32_t recx_nr; /* ARRAY */
    const struct recx *recxs; /* bit 63 of an index is kept for parity: INVAL */
    struct iov data; /* updates: the value, or the records of all ranges one after the other; best from bio_buf_get() when large */
};

enum vos_mod_op { VOS_MOD_UPDATE = 1, VOS_MOD_PUNCH_OBJ, VOS_MOD_PUNCH_DKEY, VOS_MOD_PUNCH_AKEYS };

struct vos_mod {
    enum vos_mod_op op;
    struct vos_oid oid;
    uint32_t cond;
    struct iov dkey;
    uint32_t iod_nr; /* UPDATE; PUNCH_AKEYS uses the akey names only */
    const struct vos_iod *iods;
};

/* Who asks (MS-2). A client uses a slot for one request at a time; seq grows within a slot; hlc is the clock at the first send of this
 * request (unchanged in resends). Client nil: no duplicate detection. */
struct vos_req_id {
    struct uuid client;
    uint32_t slot; /* below VOS_SLOTS_NR_MAX */
    uint64_t seq;
    uint64_t hlc;
};

enum vos_apply_flags {
    /*
     * Nobody reads this container at epochs of the past: single values that this request replaces, and dkeys and akeys that it punches (those
     * with single values only, and not too many), are freed at once. For the state of services, which rewrite a few keys for ever.
     */
    VOS_APPLY_NO_HISTORY = 1 << 0,
};

enum vos_dtx_flags {
    VOS_DTX_SOLO = 1 << 0, /* nobody else takes part: committed by vos_apply() itself */
    VOS_DTX_FLAGS_OWN = 0xff, /* the others are the caller's, kept with the record */
};

/*
 * Prepare instead of doing: nobody sees it before vos_dtx_commit(), and vos_dtx_abort() takes it back. The id is the identity of the request, too: `req` is nil and
 * `result` empty, a resend of a part that was prepared, or of a transaction that was committed, is answered with is_replay.
 */
struct vos_dtx_args {
    struct vos_dtx_id id;
    uint32_t flags;
    /*
     * A transaction may come in parts, by one vos_apply() each, 0, 1, ...; all have its one epoch, a later part the later minor epochs. What a part punched or tested by
     * a condition a later one may not change (TX_RESTART): it counts as read.
     */
    uint32_t part;
    struct iov blob; /* of part 0: leader, members, whatever who resyncs needs; at most VOS_DTX_BLOB_BYTES_MAX */
};

struct vos_apply_args {
    const struct vos_mod *mods; /* applied in order, with minor epochs 1, 2, ... */
    uint32_t mod_nr; /* 1..VOS_MODS_NR_MAX */
    uint64_t epoch; /* 0: a fresh one is taken */
    /* With a given epoch. The clock that gave it may be behind: TX_RESTART when there is a change in (epoch, epoch_bound] that is written over or tested; 0: none is. */
    uint64_t epoch_bound;
    uint64_t tx; /* transaction, chosen at random; what it read itself at this epoch (below) does not stand in its way; 0: none */
    uint32_t flags; /* enum vos_apply_flags */
    uint32_t pm_ver; /* FM-1: map version kept with each version */
    uint32_t csum_type; /* kept with the values: enum csum_type; OFF: CRC-32C as well */
    uint64_t csum_chunk_bytes; /* covered by one checksum; rounded up to a power of two in 4 KiB..1 MiB; 0: VOS_CSUM_CHUNK_BYTES (CSM-2: or less) */
    struct vos_req_id req;
    struct iov result; /* kept with the request id, at most VOS_RESULT_BYTES_MAX bytes */
    struct vos_ahead *ahead; /* not NULL: has the bytes of all values; iods[].data.buf is not looked at */
    const struct vos_dtx_args *dtx; /* NULL: do it at once */
    struct vos_dtx_asks *asks; /* out, with INPROGRESS; may be NULL */
    /* There is no space, and none comes from the collector: wait until there may be; false: there will be none. NULL: do not wait. */
    bool (*space_wait)(void *arg);
    void *space_arg;
};

struct vos_apply_ret {
    bool is_replay; /* a resend: nothing was done, the stored answer follows */
    uint64_t epoch; /* at which it was applied */
    uint8_t result[VOS_RESULT_BYTES_MAX];
    uint32_t result_len;
};

/**
 * Apply all modifications or none. Durable on return. Errors: EXIST, NONEXIST a condition failed; INVAL sizes, numbers, keys or a record size that differs
 * from the array's (REC_SIZE); KEY2BIG; REC2BIG; NOSPACE; TX_RESTART a conflict at a given epoch; TX_UNCERTAIN the request is older than what the
 * shard remembers; NVME_IO the target has stopped; CSUM; INPROGRESS the outcome depends on transactions that are not decided (args->asks): punches, holes and conditions, never
 * plain updates. With args->dtx also: TX_RESTART it was aborted at this epoch or later; NONEXIST parts before this one are not here; BUSY too many undecided ones.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_apply(struct vos_cont *cont, const struct vos_apply_args *args, struct vos_apply_ret *ret);
/**
 * For large values that come from elsewhere: where to put them, if possible to where they will stay. `args` are those of the vos_apply() to come, without the bytes
 * (iods[].data.len counts). The caller puts the bytes into the places, in the order of the data; then vos_ahead_sum() takes their checksums, once, for the
 * index and, joined, for him to compare; then vos_apply() with args.ahead. Nothing points to the places before that (ST-3). `*ret_ahead` returns owned:
 * vos_ahead_free(), after vos_apply() as well as without it; nobody writes into the places any more then. Waits for a buffer where the data role is not
 * memory. Errors: NOSYS a value is not large, or they are too many: vos_apply() alone is the way; NOSPACE; BUSY; NOMEM; those of vos_apply() for its arguments.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_ahead_get(
    struct vos_cont *cont, const struct vos_apply_args *args, struct vos_ahead **ret_ahead);
const struct iov *vos_ahead_places(const struct vos_ahead *ahead, uint32_t *ret_nr);
/** These bytes of a place are there and stay what they are: a good moment to look at them. Where it is not told, in any order or not at all, vos_ahead_sum() does. */
void vos_ahead_landed(struct vos_ahead *ahead, uint32_t place, uint64_t off, uint64_t len);
/** CRC32C of all bytes in the places, in order. */
uint32_t vos_ahead_sum(struct vos_ahead *ahead);
void vos_ahead_free(struct vos_ahead *ahead); /* NULL-safe */

/** The stored answer for a request id: NONEXIST when it was never applied here. With is_replay the code is that of its final failure. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_req_lookup(struct vos_cont *cont, const struct vos_req_id *req, struct vos_apply_ret *ret);
/**
 * Remember, in memory, that the request ended with `failure` before it came to vos_apply(): copies of it that arrive later must not take effect.
 * Errors: as of vos_req_lookup(); nothing is remembered then.
 */
CAIRN_YIELDS int vos_req_refuse(struct vos_cont *cont, const struct vos_req_id *req, int failure);

/* ---- reads ---------------------------------------------------------------------------------------------------------- */

struct vos_seg {
    uint64_t idx, nr; /* records; a SINGLE value is idx 0 nr 1 */
    void *buf; /* NULL: nothing there (never written or punched), or is_later */
    uint32_t crc; /* of buf's bytes, CRC32C; after vos_fetch_begin() */
    bool is_later; /* of vos_fetch_begin(): there is something, vos_fetch_give() hands it over */
};

struct vos_fetch_iod {
    uint64_t size; /* of the value or of one record; 0: nothing visible */
    uint32_t seg_nr; /* ARRAY: cover all asked ranges in the order asked, split where presence or buffers change */
    struct vos_seg *segs;
};

struct vos_fetch {
    uint64_t epoch; /* read at */
    uint64_t data_bytes; /* sum over segs with data */
    uint32_t iod_nr;
    struct vos_fetch_iod *iods;
};

enum vos_fetch_flags {
    VOS_FETCH_SIZE_ONLY = 1 << 16 /* beside VOS_COND_*: fill sizes and segs, buf NULL */
};

struct vos_fetch_args {
    struct vos_oid oid;
    uint64_t epoch; /* VOS_EPOCH_MAX: now */
    uint64_t epoch_bound; /* with a given epoch: TX_RESTART when there is a change in (epoch, epoch_bound] that would be seen; 0: none is looked for */
    uint64_t tx; /* transaction that reads; 0: none */
    uint32_t flags;
    struct iov dkey;
    const struct vos_iod *iods;
    uint32_t iod_nr;
    uint64_t deadline_ns; /* monotonic; 0: none */
    struct arena *arena; /* not NULL: what segments have in `buf` is allocated there, and outlives the fetch */
    struct vos_dtx_view *dtx; /* may be NULL */
};

/**
 * Look up what is visible. Missing keys are no error without conditions: size 0. What lies in the data role stays readable until vos_fetch_give()
 * or vos_fetch_free(): soon, since no space freed meanwhile is used again before. `*ret_fetch` returns owned: free with vos_fetch_free().
 * Errors: NONEXIST a fetch condition failed; INVAL; CSUM; TIMEDOUT the deadline; NVME_IO; TX_RESTART epoch_bound;
 * INPROGRESS the answer depends on transactions that are not decided (args->dtx).
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_fetch_begin(
    struct vos_cont *cont, const struct vos_fetch_args *args, struct vos_fetch **ret_fetch);

/* Bytes of a segment. */
struct vos_piece {
    uint32_t iod, seg;
    uint64_t off; /* bytes, within the segment */
    const void *buf;
    size_t len;
    uint32_t crc; /* CRC32C that these bytes shall have: who finds another later holds other bytes */
};

/*
 * Where pieces go. take() may keep what is at piece->buf until drain() returned; both may yield; a failure ends the reading. Pieces were verified,
 * or are compared with their crc where they arrive, of which take() or drain() tell with CSUM (FTD-6).
 */
struct vos_sink {
    void *arg;
    bool is_comparing;
    int (*take)(void *arg, const struct vos_piece *piece);
    int (*drain)(void *arg); /* nothing that was taken is needed any more */
    void (*taken)(
        void *arg); /* may be NULL: everything was taken, and only the last drain() is left to fail; may yield */
};

/**
 * Hand over all data, once, in the order of the segments: reads are bounded in number and memory, pieces at most as long as a checksum chunk. The
 * last call of the sink is drain(), also after a failure. Errors: CSUM, NVME_IO, TIMEDOUT, NOMEM; those of the sink.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_fetch_give(struct vos_cont *cont, struct vos_fetch *fetch, const struct vos_sink *sink);

/** Both at once, into memory of the fetch. Errors: as above; OVERFLOW more than VOS_FETCH_BYTES_MAX. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_fetch_all(
    struct vos_cont *cont, const struct vos_fetch_args *args, struct vos_fetch **ret_fetch);
/** The same for who has neither deadline nor transaction. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_fetch(struct vos_cont *cont, const struct vos_oid *oid,
    uint64_t epoch, uint32_t flags, const struct iov *dkey, const struct vos_iod *iods,
    uint32_t iod_nr, struct vos_fetch **ret_fetch);
void vos_fetch_free(struct vos_cont *cont, struct vos_fetch *fetch); /* NULL-safe */

/* ---- listing -------------------------------------------------------------------------------------------------------- */

enum vos_level { VOS_LEVEL_OBJ, VOS_LEVEL_DKEY, VOS_LEVEL_AKEY, VOS_LEVEL_RECX, VOS_LEVEL_SINGLE };

/* A place in a listing; starts zeroed. Stays valid across concurrent changes: what existed throughout is listed once, what came or went meanwhile
 * at most once. Bytes may travel through clients: checked, never trusted. */
struct vos_anchor {
    uint8_t bytes[VOS_ANCHOR_BYTES];
    bool eof;
};

struct vos_entry {
    struct vos_oid oid; /* OBJ */
    struct iov key; /* DKEY, AKEY */
    struct recx recx; /* RECX: visible extents, merged when contiguous with equal epoch */
    uint64_t size; /* RECX: record size; SINGLE: value size */
    uint64_t epoch; /* RECX, SINGLE: of the version */
};

struct vos_list_args {
    enum vos_level level;
    struct vos_oid oid;
    struct iov dkey, akey; /* as the level needs */
    uint64_t epoch; /* VOS_EPOCH_MAX: now */
    uint64_t epoch_bound, tx; /* as of a fetch */
    bool descending; /* RECX only */
    /* Called for each entry on the calling ULT, without yields; the entry is borrowed. Returns false when this entry does not fit any more: the
     * anchor then stands before it. */
    bool (*fn)(void *arg, const struct vos_entry *entry);
    void *arg;
    uint32_t nr_max; /* entries of this call; 0: 1024 */
    struct vos_dtx_view *dtx; /* may be NULL */
};

/**
 * List from *anchor on and move it. Errors: INVAL a bad anchor or level; CSUM; NVME_IO; TX_RESTART epoch_bound; INPROGRESS what is listed depends on transactions that are not decided (args->dtx): what
 * fn was given is to be forgotten, the anchor stays.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_list(struct vos_cont *cont, const struct vos_list_args *args, struct vos_anchor *anchor);

/**
 * An anchor behind `key` (which need not exist), or with is_at before it, for a listing of dkeys or akeys of this object upwards: lexical keys in the order of their bytes,
 * integers by value, hashed ones in that of their hashes. Does not yield. Errors: INVAL level or key; KEY2BIG.
 */
CAIRN_MUST_CHECK int vos_anchor_from_key(struct vos_cont *cont, const struct vos_oid *oid,
    enum vos_level level, const struct iov *key, bool is_at, struct vos_anchor *ret_anchor);

struct vos_obj_look_args {
    const struct vos_oid *oids;
    uint32_t nr;
    uint64_t epoch; /* VOS_EPOCH_MAX: now */
    uint64_t epoch_bound, tx; /* as of a fetch */
    struct vos_dtx_view *dtx; /* may be NULL */
};

/**
 * Which of these objects are there: written, and not punched as a whole since; those that vos_list() gives at that epoch. One byte of ret_is_there for each.
 * Errors: INVAL an id without a known type; CSUM; NVME_IO; TX_RESTART epoch_bound; INPROGRESS as of vos_list().
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_obj_look(struct vos_cont *cont, const struct vos_obj_look_args *args, uint8_t *ret_is_there);

/* Query flags: the numbers of the API's DAOS_GET_*. */
enum vos_query {
    VOS_GET_MAX = 1,
    VOS_GET_MIN = 2,
    VOS_GET_DKEY = 4,
    VOS_GET_AKEY = 8,
    VOS_GET_RECX = 16
};

struct vos_query_args {
    struct vos_oid oid;
    uint64_t epoch; /* VOS_EPOCH_MAX: now */
    uint64_t epoch_bound,
        tx; /* as of a fetch; a query for nothing but the newest epoch is uncertain when that lies in between */
    uint32_t flags; /* enum vos_query; 0: the newest epoch only */
    struct iov dkey, akey; /* those not asked for, as far as they are needed */
    struct vos_dtx_view *dtx; /* may be NULL */
};

struct vos_query_ret {
    uint64_t dkey, akey; /* integer keys found (or those given) */
    struct recx recx; /* nr 0: empty */
    uint64_t rec_size;
    uint64_t epoch_max; /* newest change of the object that was decided, whatever its epoch */
};

/** Largest or smallest visible integer dkey, akey, extent. Errors: NONEXIST none (ret_query->epoch_max is set all the same); INVAL flags or key kinds; TX_RESTART epoch_bound;
 * INPROGRESS the answer depends on transactions that are not decided (args->dtx). */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_query_key(
    struct vos_cont *cont, const struct vos_query_args *args, struct vos_query_ret *ret_query);

/* ---- iterating over versions ---------------------------------------------------------------------------------------- */

/*
 * Everything that lies in the store, level by level, old versions included: for inspection, for moving data elsewhere, for enumeration. Reads only: without
 * VOS_ITER_STAMP it leaves no trace, neither stamps nor the clock.
 *
 * A range of epochs [lo, hi] is looked at from its end: what is told as visible is what a reader at hi sees. Of
 *   values     those versions (extents) are told whose epoch is in the range and whose state at hi is asked for;
 *   keys       those that are visible at hi, and with VOS_ITER_PUNCHED also others: what was visible right before lo, or was created or punched in the range;
 *   objects    the same, less those whose newest change is older than lo;
 *   containers those whose newest change is not older than lo; pools: all.
 */
enum vos_iter_type {
    VOS_ITER_POOL = 1, /* by uuid */
    VOS_ITER_CONT, /* of a pool, by uuid */
    VOS_ITER_OBJ, /* of a container; like all below in the order of the tree */
    VOS_ITER_DKEY,
    VOS_ITER_AKEY,
    VOS_ITER_SINGLE, /* versions of the single value of an akey, by epoch and minor epoch; nothing in an akey with an array */
    VOS_ITER_EXTENT, /* of the array of an akey, by first index, epoch, minor epoch; nothing in an akey with a single value */
    VOS_ITER_LOG, /* creations and punches of an object (dkey empty), a dkey (akey empty) or an akey, by epoch */
};

enum vos_iter_flags {
    VOS_ITER_VISIBLE = 1 << 0, /* without this and the next two: this one */
    VOS_ITER_COVERED = 1 << 1, /* values hidden by a newer value or hole */
    VOS_ITER_PUNCHED =
        1 << 2, /* keys that are not visible; values hidden by the punch of something above them */
    VOS_ITER_HOLES = 1 << 3, /* punched values and ranges, too, in the states asked for */
    VOS_ITER_DESCENDING = 1 << 4, /* SINGLE only: newest first */
    VOS_ITER_STAMP =
        1 << 5, /* this is a read (TS-1) at hi, which is then VOS_EPOCH_MAX for now; not for POOL, CONT and LOG */
};

enum { VOS_ITER_ANCHOR_BYTES = 144 };

/*
 * A place in an iteration; starts zeroed. The text is printable, ends with a NUL, and may be kept over restarts and travel: checked, never trusted. What existed
 * throughout is told once, whatever else comes, goes or is merged; what came or went meanwhile at most once. (Once means: of keys longer than 80 bytes
 * of which one vanished, others that have the same 80 first bytes and the same 64-bit hash may come again.)
 */
struct vos_iter_anchor {
    char text[VOS_ITER_ANCHOR_BYTES];
    bool eof;
};

/* One thing. Zero where its type has no such thing. Pointers are borrowed for the call. */
struct vos_iter_ent {
    enum vos_iter_type type;
    uint64_t off; /* of its record, in the arena; LOG: of the record that has the log */
    uint32_t state; /* one of VOS_ITER_VISIBLE, COVERED, PUNCHED; of POOL, CONT, LOG: VISIBLE */
    struct uuid uuid; /* POOL, CONT */
    struct vos_cont_info cont; /* CONT */
    uint64_t agg_epoch; /* CONT: aggregated up to here */
    struct vos_oid oid; /* OBJ */
    uint64_t epoch_max; /* OBJ: of its newest change, whatever its epoch */
    struct iov key; /* DKEY, AKEY */
    uint32_t value_type; /* AKEY: VOS_IOD_SINGLE, VOS_IOD_ARRAY, 0: nothing was written yet */
    /* OBJ, DKEY, AKEY: the newest creation and the newest punch at or below hi, and the newest punch of what is above it; epoch 0: none */
    struct vos_epoch create, punch, punch_above;
    uint64_t rec_size; /* AKEY with an array, EXTENT: bytes of a record; 0 while only holes were written */
    /* SINGLE, EXTENT, LOG; minor 0 in LOG */
    uint64_t epoch;
    uint16_t minor;
    uint16_t create_minor, punch_minor; /* LOG: 0: none */
    uint32_t dtx; /* 0: committed; else the mark (lid) of a transaction that is not settled. What is not decided counts as not there: told of values only, as COVERED, below a punch as PUNCHED */
    /* EXTENT: `recx` is a part of the extent `ext`, all of it in one state: an extent comes in parts, in their order, where not all of it is visible or hidden; neighbours may be in one state. */
    struct recx recx, ext;
    /* SINGLE, EXTENT */
    bool is_hole;
    bool is_inline; /* the value lies with the metadata, at `data` */
    uint8_t csum_type, csum_len, csum_chunk_bits; /* kind, bytes of one, of a chunk */
    uint32_t pm_ver;
    uint32_t csum_nr;
    const uint8_t *csums;
    const uint8_t *data;
    uint64_t size, stored_len; /* of the value (all of the extent), and as it is stored */
    uint64_t gsize;
    uint64_t addr; /* of the first byte of the value (extent), in the arena when is_inline, else in the data role */
};

struct vos_iter_args {
    enum vos_iter_type type;
    uint32_t flags; /* enum vos_iter_flags */
    uint64_t lo, hi; /* epochs, both inclusive; hi VOS_EPOCH_MAX: all there are */
    struct uuid pool; /* CONT */
    struct vos_cont *cont; /* the levels below it */
    struct vos_oid oid;
    struct iov dkey, akey; /* as the type needs */
    uint32_t nr_max; /* entries of this call; 0: 1024 */
    /* Called on the calling ULT, without yields. Returns false when this one does not fit any more: the anchor then stands before it. */
    bool (*fn)(void *arg, const struct vos_iter_ent *ent);
    void *arg;
    /*
     * Not NULL, types POOL to AKEY: go on behind what is damaged, and say what was left out: keys whose hkey (the key itself of integers, the first 8 bytes of lexical keys, else a hash) is in
     * [lo, hi]. May say the same several times.
     */
    void (*lost_fn)(void *arg, uint64_t lo, uint64_t hi, int rc);
};

/**
 * Go on from *anchor and move it. Yields between steps of bounded work, at most VOS_STEPS_NR records each, and finds its place anew after each. Below something that is not there
 * there is nothing: no error. Errors: INVAL type, flags, range, keys or anchor; NOMEM; CSUM; DF_INVAL; NVME_IO. After a failure the anchor stands behind what was told.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_iter(struct vos_tgt *tgt, const struct vos_iter_args *args, struct vos_iter_anchor *anchor);
/**
 * The same into an array: at most `nr` entries, whose keys, checksums and inline values are put into `buf`,. args->fn is not looked at.
 * Errors: as above; OVERFLOW the first entry does not fit into buf (nothing was told, the anchor stays).
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_iter_fill(struct vos_tgt *tgt, const struct vos_iter_args *args, struct vos_iter_anchor *anchor,
    struct vos_iter_ent *ents, uint32_t nr, void *buf, size_t buf_len, uint32_t *ret_nr);

/* ---- transactions that are decided later ---------------------------------------------------------------------------- */

/*
 * The table of a container's shard. The protocol that decides (who leads, who asks whom, when) is the caller's; the store keeps what was prepared, decides when told, and
 * remembers the outcome for a while.
 */
enum vos_dtx_state {
    VOS_DTX_PREPARED = 1, /* durable here, invisible to others */
    VOS_DTX_COMMITTABLE, /* all took part; visible; in memory only: PREPARED again after closing the container */
    VOS_DTX_COMMITTED,
    VOS_DTX_ABORTED,
};

struct vos_dtx_info {
    struct vos_dtx_id id;
    enum vos_dtx_state state;
    uint64_t epoch; /* of all that it changes */
    /* The rest only while it is in the active table: until everything of it was settled. */
    bool is_active;
    uint32_t lid; /* what its versions are marked with */
    uint32_t flags, pm_ver, part_nr, blob_len;
    uint64_t ref_nr; /* marks that are left: versions, holes, creations and punches */
    uint64_t since_ns; /* monotonic: committable since; else prepared, or loaded */
};

/** What is known of it. Does not yield. Errors: NONEXIST nothing; TX_UNCERTAIN nothing, and it may have been forgotten. */
CAIRN_MUST_CHECK int vos_dtx_lookup(
    const struct vos_cont *cont, const struct vos_dtx_id *id, struct vos_dtx_info *ret_info);
/** The blob of an active one. Errors: NONEXIST; OVERFLOW it is longer than buf; CSUM; NVME_IO. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_dtx_blob(
    struct vos_cont *cont, const struct vos_dtx_id *id, void *buf, size_t buf_len, size_t *ret_len);
/** All have prepared: it is decided, and visible from now on. Does not yield. Errors: NONEXIST it is not active, or aborted. Committed already: 0. */
CAIRN_MUST_CHECK int vos_dtx_committable(struct vos_cont *cont, const struct vos_dtx_id *id);
/**
 * Commit or abort these. Durable on return; repeating it changes nothing. One with few marks is settled together with others in a transaction of the store; one with many is
 * decided in one, seen or gone as a whole, and settled in further ones of bounded size before this returns (a restart amid them goes on when the container is opened). All are
 * looked at whatever happens to some. Errors: NONEXIST (commit) one is not known, or was aborted; EXIST (abort) one is committed or committable; NOSPACE; NVME_IO. An id that is
 * not known counts as aborted.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_dtx_commit(struct vos_cont *cont, const struct vos_dtx_id *ids, uint32_t nr);
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_dtx_abort(struct vos_cont *cont, const struct vos_dtx_id *ids, uint32_t nr);
/** Active ones, at most nr, from lid *pos on (0: the first), which moves on; UINT32_MAX at the end. For resync. Does not yield. */
void vos_dtx_list(struct vos_cont *cont, uint32_t *pos, struct vos_dtx_info *infos, uint32_t nr,
    uint32_t *ret_nr);
/** Committable ones, longest since first, at most nr. Does not yield. */
void vos_dtx_committables(
    struct vos_cont *cont, struct vos_dtx_info *infos, uint32_t nr, uint32_t *ret_nr);
/** The oldest epoch of anything that is not settled; VOS_EPOCH_MAX: there is none. Nothing at it or above is stable. Does not yield. */
uint64_t vos_dtx_oldest(const struct vos_cont *cont);

struct vos_dtx_counts {
    uint32_t active_nr, committable_nr, done_nr;
    uint64_t horizon; /* ids with an hlc at or below it may have been forgotten */
};
void vos_dtx_count(const struct vos_cont *cont, struct vos_dtx_counts *ret_counts);
/**
 * Forget outcomes, those decided first first: of ids with an hlc below `hlc`, and beyond `nr_max`, until one is met that is to stay. In steps of bounded size; durable
 * on return. Errors: NVME_IO; DF_INVAL.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_dtx_aggregate(struct vos_cont *cont, uint64_t hlc, uint32_t nr_max, uint32_t *ret_gone_nr);

/* ---- old versions --------------------------------------------------------------------------------------------------- */

enum { VOS_AGG_SNAPS_NR_MAX = 65536 };

/* What a pass did so far. */
struct vos_agg_stat {
    uint64_t obj_nr, key_nr, ver_nr; /* looked at: objects, dkeys and akeys, versions */
    uint64_t obj_skip_nr; /* objects passed over: nothing changed in them since an earlier pass */
    uint64_t obj_del_nr, key_del_nr, ver_del_nr,
        log_del_nr; /* freed: objects, keys, versions (holes, too), entries of incarnation logs */
    uint64_t merge_in_nr, merge_out_nr; /* extents merged, and those that took their place */
    uint64_t merge_bytes; /* read and written for that */
    uint64_t cut_nr; /* extents of which only the parts that are seen were left */
    uint64_t move_nr, move_bytes; /* values moved from the metadata to the data role */
    uint64_t meta_freed,
        data_freed; /* bytes given back less those taken, over steps that gave back more; reused once nobody reads them (ST-4) */
    uint64_t meta_taken, data_taken; /* the same over steps that took more (merging) */
    uint64_t csum_bad_nr; /* values that do not match their checksum: logged, and left as they are */
    uint64_t left_nr; /* places that were not worked on: no space to merge, too many pieces, or still written over; looked at again by the next pass */
    uint64_t step_nr; /* transactions */
    bool is_finished; /* false: pace() stopped it, or it failed */
};

struct vos_agg_args {
    /*
     * Objects whose newest change is older than `lo` are passed over. 0: the store's own memory of earlier passes decides, which knows the snapshots they went by, so that
     * 0 is always right, also after snapshots were deleted. 1: everything is looked at.
     */
    uint64_t lo;
    uint64_t hi; /* stable: nothing at or below it is still to come, and nobody reads below it but at snapshots; lowered below vos_dtx_oldest() */
    const uint64_t *snaps; /* epochs that are read, ascending, without duplicates; those above hi do not matter */
    uint32_t snap_nr; /* at most VOS_AGG_SNAPS_NR_MAX */
    uint32_t flags; /* enum vos_agg_flags */
    /*
     * Called between steps, at least once for each 512 records looked at or 64 freed; yields and sleeps as it likes (nothing else yields between steps), and must not close the container. Not 0: stop here (no error). NULL:
     * go on at once. `stat` is what was done so far.
     */
    int (*pace)(void *arg, const struct vos_agg_stat *stat);
    void *arg;
};

enum vos_agg_flags {
    VOS_AGG_NO_MERGE =
        1 << 0, /* only give back: under space pressure; the next pass without it merges what this one passed */
    /*
     * What has cooled moves to the data role, however much room the metadata have. Without it, only when more than half of the arena, of its memory or of the
     * shard's quota is used: where they lie with the metadata, values cost no read.
     */
    VOS_AGG_COOL = 1 << 1,
};

/**
 * Aggregate: of all versions in each interval between snapshots, and from the last one to hi, keep only what is seen at its end; give the rest back; merge small extents that touch.
 * AGG-1: what a reader sees at hi, above it, or at a snapshot is the same before, during and after, except that (a) neighbouring extents of a listing may come as one, with the
 * newest of their epochs, and (b) the newest epoch of an object of which nothing is left is 0. Works in a full store (ST-8), in steps of bounded size, while everything else goes on.
 * Reads at other epochs below hi see anything. May be called again and again; one at a time for a container (BUSY). What was freed is durable on return.
 * *ret_stat (may be NULL) is filled always. Errors: INVAL snapshots out of order, or too many; BUSY; NVME_IO; DF_INVAL; NOMEM; NOSYS.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_cont_aggregate(
    struct vos_cont *cont, const struct vos_agg_args *args, struct vos_agg_stat *ret_stat);

/**
 * Whether a pass up to `hi` may find something: a value was replaced, a range written again or beside another, anything punched, at or below hi since the last pass that finished;
 * true after opening the container until then. Of deleted snapshots the caller knows himself. Costs nothing, does not yield.
 */
bool vos_cont_agg_is_needed(const struct vos_cont *cont, uint64_t hi);

/**
 * Remove every version with an epoch in [lo, hi], values, punches and creations, as if they had never been; keys and objects of which nothing is left go, too. What an earlier
 * aggregation took away does not come back: nothing in the range may have been aggregated. Reads meanwhile see all, some or nothing of them. pace() as above, only it and its
 * argument are taken from `args` (may be NULL). Errors: INVAL lo is 0 or above hi; BUSY, also when a transaction in the range is not
 * settled; NVME_IO; DF_INVAL; NOMEM; NOSYS.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_cont_discard(struct vos_cont *cont, uint64_t lo, uint64_t hi,
    const struct vos_agg_args *args, struct vos_agg_stat *ret_stat);

/* ---- scrubbing ------------------------------------------------------------------------------------------------------ */

struct vos_scrub;

/* Bytes that are not those written. Borrowed for the call. */
struct vos_scrub_bad {
    struct uuid pool, cont;
    struct vos_oid oid;
    struct iov dkey, akey; /* empty: the index itself is damaged at a level above */
    bool is_array;
    struct recx recx; /* of the extent */
    uint64_t epoch;
    uint16_t minor;
    bool is_meta; /* the value lies beside the index: `addr` is of the arena, else of the data role */
    uint64_t addr,
        len; /* of the chunk, bytes; both 0: of the index, which a line of the log before names */
    int rc; /* CSUM; NVME_IO it cannot be read; DF_INVAL the index */
};

struct vos_scrub_stats {
    uint64_t start_ns; /* wall time at which the pass under way or, when none is, the last one began; 0: never */
    bool is_running; /* a pass was begun and did not end */
    uint64_t passes_nr; /* that ended, since vos_scrub_create() */
    uint64_t bad_nr; /* reports since then */
    /* Of the pass under way, in this life; of the last one that ended. What is bad counts also when it was found in an earlier life. */
    struct {
        uint64_t records_nr, bytes, bad_nr;
    } pass, last;
    uint64_t skipped_nr; /* containers that were left out since vos_scrub_create() */
    bool is_out; /* vos_scrub_out_set() */
};

/**
 * Verify the values of a pool shard against their checksums, pass after pass, beside all other work. Every bad chunk is reported once in a pass, by an error
 * line and a call of `bad` (may be NULL; does not yield). What was stored by vos_scrub_save() is gone on with. `*ret_scrub` returns owned: free with vos_scrub_free(),
 * before the target is closed. Errors: NONEXIST no such pool; NOMEM; CSUM, DF_INVAL, NVME_IO its record cannot be read.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_scrub_create(struct vos_tgt *tgt, struct uuid pool,
    void (*bad)(void *arg, const struct vos_scrub_bad *bad), void *arg, struct vos_scrub **ret_scrub);
/**
 * Go on, with a new pass when none is running, until about `bytes_max` bytes were verified (a chunk more at most) or the pass ended. Whatever is bad is
 * no error. Errors: NONEXIST the pool is gone; NOMEM; NVME_IO the target has stopped.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_scrub_step(struct vos_scrub *scrub, uint64_t bytes_max);
/** Ask `skip`, with the `arg` of vos_scrub_create(), before a container is looked at; true: leave it out. It may yield. */
void vos_scrub_skip_set(struct vos_scrub *scrub, bool (*skip)(void *arg, const struct uuid *cont));
/**
 * Note that the shard is out of service, or that it is not any more; vos only remembers it: vos_pool_info, vos_scrub_stats. Durable on return; with an error it counts
 * until the target is closed. Errors: those of vos_scrub_save(); CSUM, DF_INVAL its record can't be had.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_scrub_out_set(struct vos_scrub *scrub, bool is_out);
/** Store the place, to the object, for vos_scrub_create() after a restart. Durable on return. Errors: those of step. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_scrub_save(struct vos_scrub *scrub);
void vos_scrub_free(struct vos_scrub *scrub); /* NULL-safe */
const struct vos_scrub_stats *vos_scrub_stats(const struct vos_scrub *scrub);

/* ---- checking ------------------------------------------------------------------------------------------------------- */

/** Walk every tree, verify structure, checksums of inline values, the space accounting against bio and the arena. Errors: DF_INVAL, CSUM (logged). */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_tgt_check(struct vos_tgt *tgt);
/** Let the collector run until nothing is queued (tests, full stores). */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_tgt_collect(struct vos_tgt *tgt);

#endif
