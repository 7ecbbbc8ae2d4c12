/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * mgmt: the system service: which ranks there are and which pools, by uuid and label; creating and
 * destroying pools over many engines.
 *
 * Life of a pool (row of the table "pools"):
 *
 *      no row --> CREATING --> READY --> DESTROYING --> no row         CREATING --> DESTROYING
 *      when a step failed
 *
 *   MGT-1  A change of state is committed before its steps are taken, and all steps are
 *          idempotent: whoever leads next takes them again, so that a pool
 *          is finished or undone whatever dies in between.
 *   MGT-2  A label names at most one pool; it is free again when the row is gone.
 *   MGT-3  The uuid, chosen by the asker, is the identity of a creation: asked again, the
 *          same pool is the answer. The request id is stored with the
 *          decision (MS-2); who sends it again waits for the steps.
 *   MGT-4  One ULT works on a pool at a time; others wait for it.
 *   MGT-5  Each creation has a number, its life, larger than those before. Steps carry it: whoever begins something when that life was
 *          ended there begins nothing, who ends something when a later one has begun ends nothing, however late they come (tgt_life.h).
 *
 * Every engine has a mgmt; on ranks without the service it answers NOTLEADER and names the rank
 * that has it. Owner: the system xstream. Rows: README.md.
 * Tested by test/server.
 */
#ifndef CAIRN_MGMT_H
#define CAIRN_MGMT_H

#include "pool/pool.h"

enum {
    MGMT_POOL_RANKS_NR_MAX = 1024,
    MGMT_ROW_BYTES_MAX = 49152,
};
#define MGMT_META_BYTES_MIN (UINT64_C(256) << 10) /* of a target */
#define MGMT_STEP_NS UINT64_C(20000000000) /* for all targets together to do one step */
#define MGMT_RETRY_NS UINT64_C(2000000000) /* before unfinished pools are looked at again */

/* The numbers of proto_sys_rank and proto_pool_entry. */
enum mgmt_rank_state { MGMT_RANK_JOINED = 1, MGMT_RANK_STOPPED = 2, MGMT_RANK_UNRESPONSIVE = 3 };
enum mgmt_pool_state { MGMT_POOL_CREATING = 0, MGMT_POOL_READY = 1, MGMT_POOL_DESTROYING = 2 };

/* A rank as the engine's group knows it. */
struct mgmt_rank {
    uint32_t rank;
    uint64_t incarnation;
    uint32_t state;
    uint32_t tgt_nr;
    uint32_t node;
    const char *uri; /* of tag 0 */
};

struct mgmt_env {
    struct plat *plat;
    struct vos_tgt *sys;
    struct rpc_ctx *rpc;
    struct pool_svcs *pools;
    struct uuid system;
    uint32_t self_rank;
    uint32_t svc_rank; /* where the service is */
    bool (*is_engine)(void *arg, const struct rpc_hdr *hdr);
    /* All ranks of the group, in the arena. */
    int (*ranks)(void *arg, struct arena *arena, struct mgmt_rank **ret_ranks, uint32_t *ret_nr);
    void *arg;
};

struct mgmt;

/** Uuid of the database of the system service. */
struct uuid mgmt_svc_uuid(struct uuid system);

/**
 * Create the service's database if this is its rank and it is not there; lead it. Errors: those of
 * rsvc; NOMEM.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int mgmt_start(const struct mgmt_env *env, struct mgmt **ret_mgmt);
/**
 * Stop: no new calls (SHUTDOWN), those at work and the worker are waited for. What runs in the functions below may go on with `mgmt`. NULL
 * is fine.
 */
CAIRN_YIELDS void mgmt_stop(struct mgmt *mgmt);
/** Free, after mgmt_stop() and when no request is left. NULL is fine. */
void mgmt_destroy(struct mgmt *mgmt);
void mgmt_abandon(struct mgmt *mgmt);
/** NULL where the service is not. For tests. */
struct rsvc *mgmt_rsvc(struct mgmt *mgmt);
/** Something changed in the group: record it, and try unfinished pools again. */
void mgmt_group_changed(struct mgmt *mgmt);

/*
 * The requests, for messages (with the request in `req`) and for the engine's control (req NULL).
 * What the reply points at lives in the arena.
 */

struct mgmt_pool {
    struct uuid pool;
    struct iov label;
    uint32_t state;
    uint32_t svc_rank;
    uint32_t uid, gid;
    uint64_t life; /* MGT-5; 0: made before there were any */
    uint64_t meta_bytes, data_bytes; /* of each target */
    uint32_t rank_nr;
    struct poolmap_rank_desc *ranks;
    struct proto_array props; /* as given at the creation */
};

/**
 * Errors: INVAL; NOTSUPPORTED rd_fac or another property; EXIST label or uuid; OOG no such rank;
 * NOSPACE; UNREACH, TIMEDOUT a target; BUSY it is being destroyed.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int mgmt_pool_create(struct mgmt *mgmt, struct rpc_req *req,
    const struct proto_sys_pool_create_req *args, struct arena *arena, struct mgmt_pool *ret_pool);
/**
 * Errors: NONEXIST; BUSY handles are open (unless force) or it holds containers (unless
 * recursive); UNREACH some target: it is finished later.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int mgmt_pool_destroy(struct mgmt *mgmt, struct rpc_req *req,
    struct uuid pool, bool force, bool recursive, struct arena *arena);
/** Close all handles of the pool, whoever holds them. *ret_nr: pool handles that were open. Errors: BUSY it is not ready; those of its service. */
CAIRN_YIELDS CAIRN_MUST_CHECK int mgmt_pool_evict(
    struct mgmt *mgmt, const struct mgmt_pool *pool, struct arena *arena, uint32_t *ret_nr);
/**
 * Set properties of a pool, its label among them, in its service (and label in the system's). Errors: those of pool_prop_check(); EXIST another pool has the label;
 * BUSY it is not ready; those of its service.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int mgmt_pool_props_set(struct mgmt *mgmt,
    const struct mgmt_pool *pool, const struct proto_array *props, struct arena *arena);
/** By label or text of the uuid. Errors: NONEXIST; INVAL; NOTLEADER. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
mgmt_pool_find(struct mgmt *mgmt, struct iov id, struct arena *arena, struct mgmt_pool *ret_pool);
/** At most nr_max rows after `after`. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
mgmt_pool_list(struct mgmt *mgmt, struct uuid after, uint32_t nr_max, struct arena *arena,
    struct mgmt_pool **ret_pools, uint32_t *ret_nr, bool *ret_eof);
/** All ranks that were ever known. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
mgmt_ranks(struct mgmt *mgmt, struct arena *arena, struct mgmt_rank **ret_ranks, uint32_t *ret_nr);

CAIRN_YIELDS int mgmt_h_pool_create(struct mgmt *mgmt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int mgmt_h_pool_destroy(struct mgmt *mgmt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int mgmt_h_pool_resolve(struct mgmt *mgmt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int mgmt_h_pool_list(struct mgmt *mgmt, struct rpc_req *req, void *rep);
CAIRN_YIELDS int mgmt_h_query(struct mgmt *mgmt, struct rpc_req *req, void *rep);

#endif
