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
#include "ult/ult.h"
#include "vos/vos.h"

struct tgt;
struct tgt_hdl;
struct tgt_cont;

enum {
    TGT_HDLS_NR_MAX = 8192,
    TGT_CONTS_NR_MAX = 1024, /* open at a time */
    TGT_LOOKUP_TRIES_MAX = 8, /* look-ups repeated because of revocations */
};
#define TGT_HDL_TTL_NS UINT64_C(30000000000)

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
    void *arg;
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
struct bio_tgt *tgt_bio(struct tgt *tgt);
uint32_t tgt_idx(const struct tgt *tgt);

/* One request at work; filled by tgt_op_begin(). */
struct tgt_op {
    struct tgt *tgt;
    struct tgt_hdl *hdl;
    struct tgt_cont *cont;
    struct vos_cont *vos;
    struct tgt_hdl_info info; /* as of the begin */
};

/**
 * Look the handles up and open the container. map_ver: of the sender's pool map, 0 when it does
 * not matter. Errors: NO_HDL; STALE the sender's map is
 * older than the pool's (op->info.map_ver is set); SHUTDOWN; NONEXIST the pool or container is not
 * or no longer here; AGAIN a table is full
 * of entries in use; those of the look-up and of vos.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_op_begin(struct tgt *tgt, const struct tgt_ids *ids, uint32_t map_ver, struct tgt_op *op);
void tgt_op_end(struct tgt_op *op);

/** Idempotent by its result. Errors: EXIST a shard of other sizes; NOSPACE. Durable on return. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_pool_create(struct tgt *tgt, struct uuid pool, uint64_t meta_bytes, uint64_t data_bytes);
/** Revokes, drains, closes, destroys. Absent is no error. Durable on return. */
CAIRN_YIELDS CAIRN_MUST_CHECK int tgt_pool_destroy(struct tgt *tgt, struct uuid pool);
/** The same for one container. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_cont_destroy(struct tgt *tgt, struct uuid pool, struct uuid cont);
/**
 * Forget a pool handle (and every container handle used with it) or a container handle. Requests
 * at work go on.
 */
void tgt_hdl_revoke(struct tgt *tgt, struct uuid pool, struct uuid hdl);

struct tgt_stats {
    uint64_t ops_nr, lookups_nr, revokes_nr, evictions_nr;
    uint32_t running_nr, hdls_nr, conts_nr;
};
void tgt_stats_get(const struct tgt *tgt, struct tgt_stats *ret_stats);

#endif
