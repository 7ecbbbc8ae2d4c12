/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * cont: containers of a pool: their part of the pool's service. Create, destroy, open, close,
 * query, object ids, properties, attributes, snapshots.
 *
 *   CON-1  A label names at most one container of a pool; label and uuid are never mistaken
 *          for each other.
 *   CON-2  A container is gone when the service says so; what targets hold of it goes
 *          afterwards (POL-3). Its uuid is not taken again before.
 *   CON-3  An exclusive open is alone; who evicts waits until the targets forgot the handles.
 *   CON-4  Object ids are handed out once, also across restarts; the answer of a resend is
 *          the range of the first (MS-2).
 *   CON-5  A container cannot be opened for writing with a pool handle that may only read.
 *   CON-6  Everything that was acknowledged before a snapshot was asked for is in it, nothing that
 *          began after it was answered is; what can be read at its epoch never changes.
 *   CON-7  With the answer {E, snapshots} of CONT_STABLE the service promises: no snapshot will get an epoch
 *          at or below E, also not one that is under way, also not after a restart. So below E only these can be read.
 *
 * All of POL-1 and POL-2 hold. Owner: the system xstream. Rows: README.md. Tested by test/ and
 * test/server.
 */
#ifndef CAIRN_CONT_H
#define CAIRN_CONT_H

#include "pool/pool.h"

/* Open flags: the numbers of the API. */
enum cont_flags {
    CONT_COO_RO = 1,
    CONT_COO_RW = 2,
    CONT_COO_EX = 4,
    CONT_COO_FORCE = 8,
    CONT_COO_RO_MDSTATS = 16,
    CONT_COO_EVICT = 32,
    CONT_COO_EVICT_ALL = 64,
    CONT_COO_NEW_LAYOUT = 128,
};

enum cont_prop {
    CONT_PROP_LABEL = 0x1001,
    CONT_PROP_CSUM = 0x1004,
    CONT_PROP_CSUM_CHUNK = 0x1005,
    CONT_PROP_STATUS = 0x1012,
    CONT_PROP_ALLOCED_OID = 0x1013,
    CONT_PROP_SCRUB_OFF = 0x1018,
};

enum {
    CONT_HDLS_NR_MAX = 8192,
    CONT_EVICT_BATCH_NR = 40,
    CONT_LOOK_BATCH_NR = 64,
    CONT_SNAPS_NR_MAX = 4096
};
#define CONT_OID_FIRST UINT64_C(1)

/** Properties of containers: what there is and what is in force by default. */
const struct pool_prop_def *cont_prop_defs(uint32_t *ret_nr);

/** The hooks of pool_hooks. */
CAIRN_YIELDS int
cont_hdl_close(struct pool_call *call, const struct uuid *pool_hdls, uint32_t nr, bool *ret_is_more);
CAIRN_YIELDS int
cont_hdl_evict_gone(struct pool_call *call, uint32_t *ret_nr, uint32_t *ret_local_nr);

CAIRN_YIELDS int cont_h_create(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_destroy(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_open(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_close(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_query(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_oid_alloc(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_prop_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_prop_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_attr_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_attr_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_attr_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_attr_del(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_snap_create(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_snap_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_snap_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_snap_destroy(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
/** PROTO_CONT_STABLE. Errors: NONEXIST; NO_PERM not from an engine. */
CAIRN_YIELDS int cont_h_stable(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
/** PROTO_POOL_LIST_CONT and PROTO_POOL_HDL: the pool's requests that look at containers. */
CAIRN_YIELDS int cont_h_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_attach(struct pool_svcs *svcs, struct rpc_req *req, void *rep);
CAIRN_YIELDS int cont_h_hdl(struct pool_svcs *svcs, struct rpc_req *req, void *rep);

#endif
