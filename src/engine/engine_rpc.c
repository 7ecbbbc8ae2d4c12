/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Which function answers which message. What a handler needs is taken from the xstream here, so
 * that components know nothing of the engine; so are the
 * two checks that hold for all: the engine is ready (ENG-1), and some messages come from engines
 * alone (FM-3).
 * Tested by test/server.
 */
#include "engine_priv.h"

static int
admit(const struct engine_xs *xs)
{
    switch (engine_state_load(xs->engine)) {
    case ENGINE_READY:
        return 0;
    case ENGINE_STARTING:
        return CAIRN_ERR(AGAIN);
    default:
        return CAIRN_ERR(SHUTDOWN);
    }
}

/* What needs the store of this xstream (ENG-6). */
static int
admit_store(const struct engine_xs *xs)
{
    int rc = admit(xs);

    return rc != 0 ? rc : engine_xs_fault(xs);
}

static int
admit_mgmt(const struct engine_xs *xs)
{
    int rc = admit(xs);

    return rc != 0 ? rc : engine_svc_fault(xs->engine);
}

static int
admit_engine(const struct engine_xs *xs, const struct rpc_hdr *hdr)
{
    int rc = admit_store(xs);

    if (rc == 0 && !engine_is_member(xs->group, hdr))
        rc = CAIRN_ERR(NO_PERM);
    return rc;
}

static int
engine_h_ping(struct rpc_req *req, void *rep)
{
    (void)req;
    (void)rep;
    return 0;
}

/*
 * After a request to a pool's service. Its failure is what later copies get, too (MS-2). A service that is being closed with the engine is
 * not gone for good.
 */
static int
svc_ended(const struct engine_xs *xs, const struct rpc_req *req, int rc)
{
    if (rc == 0)
        return 0;
    if (admit(xs) != 0)
        return rc == -DER_NOTREPLICA ? CAIRN_ERR(SHUTDOWN) : rc;
    pool_svcs_refuse(xs->engine->pools, req, rc);
    return rc;
}

/* clang-format off */
#define HANDLER(fn, check, what) \
    static int engine_h_##fn(struct rpc_req *req, void *rep) \
    { \
        struct engine_xs *xs = req->handler_arg; \
        int rc = check; \
        return rc != 0 ? rc : fn(what, req, rep); \
    }
#define POOL(fn) \
    static int engine_h_##fn(struct rpc_req *req, void *rep) \
    { \
        struct engine_xs *xs = req->handler_arg; \
        int rc = admit_store(xs); \
        return rc != 0 ? rc : svc_ended(xs, req, fn(xs->engine->pools, req, rep)); \
    }
#define MGMT(fn) HANDLER(fn, admit_mgmt(xs), xs->engine->mgmt)
#define OBJ(fn) HANDLER(fn, admit_store(xs), xs->tgt)
#define TGT(fn) HANDLER(fn, admit_engine(xs, req->hdr), xs->tgt)
/* clang-format on */

POOL(pool_h_connect)
POOL(pool_h_disconnect)
POOL(pool_h_query)
POOL(pool_h_map)
POOL(pool_h_tgt_query)
POOL(pool_h_prop_get)
POOL(pool_h_prop_set)
POOL(pool_h_attr_list)
POOL(pool_h_attr_get)
POOL(pool_h_attr_set)
POOL(pool_h_attr_del)
POOL(pool_h_evict)
POOL(pool_h_svc_start)
POOL(pool_h_svc_stop)
POOL(cont_h_create)
POOL(cont_h_destroy)
POOL(cont_h_open)
POOL(cont_h_close)
POOL(cont_h_query)
POOL(cont_h_oid_alloc)
POOL(cont_h_prop_get)
POOL(cont_h_prop_set)
POOL(cont_h_attr_list)
POOL(cont_h_attr_get)
POOL(cont_h_attr_set)
POOL(cont_h_attr_del)
POOL(cont_h_snap_create)
POOL(cont_h_snap_list)
POOL(cont_h_snap_set)
POOL(cont_h_snap_destroy)
POOL(cont_h_stable)
POOL(cont_h_list)
POOL(cont_h_attach)
POOL(cont_h_hdl)
MGMT(mgmt_h_pool_create)
MGMT(mgmt_h_pool_destroy)
MGMT(mgmt_h_pool_resolve)
MGMT(mgmt_h_pool_list)
MGMT(mgmt_h_query)
OBJ(objsrv_apply)
OBJ(objsrv_fetch)
OBJ(objsrv_list)
OBJ(objsrv_query)
OBJ(objsrv_look)
OBJ(objsrv_anchor)
OBJ(objsrv_aggregate)
TGT(pool_h_tgt_create)
TGT(pool_h_tgt_destroy)
TGT(pool_h_tgt_space)
TGT(pool_h_tgt_cont_destroy)
TGT(pool_h_tgt_revoke)
TGT(pool_h_tgt_epoch)
TGT(pool_h_tgt_aggregate)

static const struct rpc_handler sys_handlers[] = {
    {PROTO_POOL_CONNECT, ULT_SERVICE, engine_h_pool_h_connect},
    {PROTO_POOL_DISCONNECT, ULT_SERVICE, engine_h_pool_h_disconnect},
    {PROTO_POOL_QUERY, ULT_SERVICE, engine_h_pool_h_query},
    {PROTO_POOL_MAP, ULT_SERVICE, engine_h_pool_h_map},
    {PROTO_POOL_HDL, ULT_SERVICE, engine_h_cont_h_hdl},
    {PROTO_POOL_ATTACH, ULT_SERVICE, engine_h_cont_h_attach},
    {PROTO_POOL_EVICT, ULT_SERVICE, engine_h_pool_h_evict},
    {PROTO_POOL_ATTR_LIST, ULT_SERVICE, engine_h_pool_h_attr_list},
    {PROTO_POOL_ATTR_GET, ULT_SERVICE, engine_h_pool_h_attr_get},
    {PROTO_POOL_ATTR_SET, ULT_SERVICE, engine_h_pool_h_attr_set},
    {PROTO_POOL_ATTR_DEL, ULT_SERVICE, engine_h_pool_h_attr_del},
    {PROTO_POOL_LIST_CONT, ULT_SERVICE, engine_h_cont_h_list},
    {PROTO_POOL_PROP_GET, ULT_SERVICE, engine_h_pool_h_prop_get},
    {PROTO_POOL_PROP_SET, ULT_SERVICE, engine_h_pool_h_prop_set},
    {PROTO_POOL_TGT_QUERY, ULT_SERVICE, engine_h_pool_h_tgt_query},
    {PROTO_CONT_CREATE, ULT_SERVICE, engine_h_cont_h_create},
    {PROTO_CONT_DESTROY, ULT_SERVICE, engine_h_cont_h_destroy},
    {PROTO_CONT_OPEN, ULT_SERVICE, engine_h_cont_h_open},
    {PROTO_CONT_CLOSE, ULT_SERVICE, engine_h_cont_h_close},
    {PROTO_CONT_QUERY, ULT_SERVICE, engine_h_cont_h_query},
    {PROTO_CONT_OID_ALLOC, ULT_SERVICE, engine_h_cont_h_oid_alloc},
    {PROTO_CONT_PROP_GET, ULT_SERVICE, engine_h_cont_h_prop_get},
    {PROTO_CONT_PROP_SET, ULT_SERVICE, engine_h_cont_h_prop_set},
    {PROTO_CONT_ATTR_LIST, ULT_SERVICE, engine_h_cont_h_attr_list},
    {PROTO_CONT_ATTR_GET, ULT_SERVICE, engine_h_cont_h_attr_get},
    {PROTO_CONT_ATTR_SET, ULT_SERVICE, engine_h_cont_h_attr_set},
    {PROTO_CONT_ATTR_DEL, ULT_SERVICE, engine_h_cont_h_attr_del},
    {PROTO_CONT_SNAP_CREATE, ULT_SERVICE, engine_h_cont_h_snap_create},
    {PROTO_CONT_SNAP_LIST, ULT_SERVICE, engine_h_cont_h_snap_list},
    {PROTO_CONT_SNAP_SET, ULT_SERVICE, engine_h_cont_h_snap_set},
    {PROTO_CONT_SNAP_DESTROY, ULT_SERVICE, engine_h_cont_h_snap_destroy},
    {PROTO_CONT_STABLE, ULT_SERVICE, engine_h_cont_h_stable},
    {PROTO_SYS_POOL_RESOLVE, ULT_SERVICE, engine_h_mgmt_h_pool_resolve},
    {PROTO_SYS_POOL_LIST, ULT_SERVICE, engine_h_mgmt_h_pool_list},
    {PROTO_SYS_POOL_CREATE, ULT_SERVICE, engine_h_mgmt_h_pool_create},
    {PROTO_SYS_POOL_DESTROY, ULT_SERVICE, engine_h_mgmt_h_pool_destroy},
    {PROTO_SYS_QUERY, ULT_SERVICE, engine_h_mgmt_h_query},
    {PROTO_SVC_POOL_START, ULT_SERVICE, engine_h_pool_h_svc_start},
    {PROTO_SVC_POOL_STOP, ULT_SERVICE, engine_h_pool_h_svc_stop},
    {PROTO_PING, ULT_SERVICE, engine_h_ping},
};

static const struct rpc_handler tgt_handlers[] = {
    {PROTO_OBJ_APPLY, ULT_IO, engine_h_objsrv_apply},
    {PROTO_OBJ_FETCH, ULT_IO, engine_h_objsrv_fetch},
    {PROTO_OBJ_LIST, ULT_IO, engine_h_objsrv_list},
    {PROTO_OBJ_QUERY_KEY, ULT_IO, engine_h_objsrv_query},
    {PROTO_OBJ_LOOK, ULT_IO, engine_h_objsrv_look},
    {PROTO_OBJ_ANCHOR, ULT_IO, engine_h_objsrv_anchor},
    {PROTO_OBJ_AGGREGATE, ULT_SERVICE, engine_h_objsrv_aggregate},
    {PROTO_TGT_POOL_CREATE, ULT_SERVICE, engine_h_pool_h_tgt_create},
    {PROTO_TGT_POOL_DESTROY, ULT_SERVICE, engine_h_pool_h_tgt_destroy},
    {PROTO_TGT_POOL_QUERY, ULT_SERVICE, engine_h_pool_h_tgt_space},
    {PROTO_TGT_CONT_DESTROY, ULT_SERVICE, engine_h_pool_h_tgt_cont_destroy},
    {PROTO_TGT_HDL_REVOKE, ULT_SERVICE, engine_h_pool_h_tgt_revoke},
    {PROTO_TGT_EPOCH, ULT_SERVICE, engine_h_pool_h_tgt_epoch},
    {PROTO_TGT_AGGREGATE, ULT_SERVICE, engine_h_pool_h_tgt_aggregate},
    {PROTO_PING, ULT_SERVICE, engine_h_ping},
};

const struct rpc_handler *
engine_rpc_sys(uint32_t *ret_nr)
{
    *ret_nr = ARRAY_SIZE(sys_handlers);
    return sys_handlers;
}

const struct rpc_handler *
engine_rpc_tgt(uint32_t *ret_nr)
{
    *ret_nr = ARRAY_SIZE(tgt_handlers);
    return tgt_handlers;
}
