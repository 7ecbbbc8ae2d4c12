/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The table of operations. Numbers: proto_ops.h; texts of what they mean: docs/protocol.md. */
#include "proto/proto_ops.h"

#include "base/util.h"
#include "proto/proto_priv.h"

/* clang-format off */
#define OP(code_, is_modifying_, name_, req_, rep_) \
    {PROTO_##code_, is_modifying_, name_, &proto_msg_##req_, &proto_msg_##rep_}

/* Sorted by number. */
static const struct proto_op ops[] = {
    OP(OBJ_APPLY, true, "obj_apply", obj_apply_req, obj_apply_rep),
    OP(OBJ_FETCH, false, "obj_fetch", obj_fetch_req, obj_fetch_rep),
    OP(OBJ_LIST, false, "obj_list", obj_list_req, obj_list_rep),
    OP(OBJ_QUERY_KEY, false, "obj_query_key", obj_query_req, obj_query_rep),
    OP(OBJ_LOOK, false, "obj_look", obj_look_req, obj_look_rep),
    OP(OBJ_ANCHOR, false, "obj_anchor", obj_anchor_req, obj_anchor_rep),
    OP(OBJ_AGGREGATE, false, "obj_aggregate", obj_aggregate_req, obj_aggregate_rep),

    OP(POOL_CONNECT, true, "pool_connect", pool_connect_req, pool_connect_rep),
    OP(POOL_DISCONNECT, true, "pool_disconnect", pool_disconnect_req, empty),
    OP(POOL_QUERY, false, "pool_query", pool_query_req, pool_query_rep),
    OP(POOL_MAP, false, "pool_map", pool_map_req, pool_map_rep),
    OP(POOL_HDL, false, "pool_hdl", pool_hdl_req, pool_hdl_rep),
    OP(POOL_ATTR_LIST, false, "pool_attr_list", attr_req, attr_rep),
    OP(POOL_ATTR_GET, false, "pool_attr_get", attr_req, attr_rep),
    OP(POOL_ATTR_SET, true, "pool_attr_set", attr_req, attr_rep),
    OP(POOL_ATTR_DEL, true, "pool_attr_del", attr_req, attr_rep),
    OP(POOL_LIST_CONT, false, "pool_list_cont", pool_list_cont_req, pool_list_cont_rep),
    OP(POOL_PROP_GET, false, "pool_prop_get", prop_req, prop_rep),
    OP(POOL_PROP_SET, true, "pool_prop_set", prop_req, prop_rep),
    OP(POOL_TGT_QUERY, false, "pool_tgt_query", pool_tgt_query_req, pool_tgt_query_rep),
    OP(POOL_ATTACH, true, "pool_attach", pool_attach_req, empty),
    OP(POOL_EVICT, false, "pool_evict", pool_evict_req, pool_evict_rep),

    OP(CONT_CREATE, true, "cont_create", cont_create_req, empty),
    OP(CONT_DESTROY, true, "cont_destroy", cont_destroy_req, empty),
    OP(CONT_OPEN, true, "cont_open", cont_open_req, cont_open_rep),
    OP(CONT_CLOSE, true, "cont_close", cont_close_req, empty),
    OP(CONT_QUERY, false, "cont_query", cont_query_req, cont_query_rep),
    OP(CONT_OID_ALLOC, true, "cont_oid_alloc", cont_oid_alloc_req, cont_oid_alloc_rep),
    OP(CONT_PROP_GET, false, "cont_prop_get", prop_req, prop_rep),
    OP(CONT_PROP_SET, true, "cont_prop_set", prop_req, prop_rep),
    OP(CONT_ATTR_LIST, false, "cont_attr_list", attr_req, attr_rep),
    OP(CONT_ATTR_GET, false, "cont_attr_get", attr_req, attr_rep),
    OP(CONT_ATTR_SET, true, "cont_attr_set", attr_req, attr_rep),
    OP(CONT_ATTR_DEL, true, "cont_attr_del", attr_req, attr_rep),
    OP(CONT_SNAP_CREATE, true, "cont_snap_create", snap_create_req, snap_create_rep),
    OP(CONT_SNAP_LIST, false, "cont_snap_list", snap_list_req, snap_list_rep),
    OP(CONT_SNAP_SET, true, "cont_snap_set", snap_set_req, empty),
    OP(CONT_SNAP_DESTROY, true, "cont_snap_destroy", snap_destroy_req, empty),
    OP(CONT_STABLE, false, "cont_stable", cont_stable_req, cont_stable_rep),

    OP(SYS_POOL_RESOLVE, false, "sys_pool_resolve", sys_resolve_req, sys_resolve_rep),
    OP(SYS_POOL_LIST, false, "sys_pool_list", sys_pool_list_req, sys_pool_list_rep),
    OP(SYS_POOL_CREATE, true, "sys_pool_create", sys_pool_create_req, sys_pool_create_rep),
    OP(SYS_POOL_DESTROY, true, "sys_pool_destroy", sys_pool_destroy_req, empty),
    OP(SYS_QUERY, false, "sys_query", empty, sys_query_rep),

    OP(TGT_POOL_CREATE, false, "tgt_pool_create", tgt_pool_req, empty),
    OP(TGT_POOL_DESTROY, false, "tgt_pool_destroy", tgt_pool_req, empty),
    OP(TGT_POOL_QUERY, false, "tgt_pool_query", tgt_pool_req, tgt_pool_query_rep),
    OP(TGT_CONT_DESTROY, false, "tgt_cont_destroy", tgt_cont_req, empty),
    OP(TGT_HDL_REVOKE, false, "tgt_hdl_revoke", tgt_revoke_req, empty),
    OP(SVC_POOL_START, false, "svc_pool_start", svc_pool_req, empty),
    OP(SVC_POOL_STOP, false, "svc_pool_stop", svc_pool_req, empty),
    OP(PING, false, "ping", empty, empty),
    OP(TGT_EPOCH, false, "tgt_epoch", tgt_epoch_req, empty),
    OP(TGT_AGGREGATE, false, "tgt_aggregate", tgt_cont_req, empty),
};

static const struct proto_msg *const msgs[] = {
#define MSG(name_) &proto_msg_##name_,
    PROTO_MSGS(MSG)
#undef MSG
};
/* clang-format on */

const struct proto_op *
proto_op_find(uint16_t opcode)
{
    uint32_t lo = 0;
    uint32_t hi = ARRAY_SIZE(ops);

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (ops[mid].opcode == opcode)
            return &ops[mid];
        if (ops[mid].opcode < opcode) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

const struct proto_op *
proto_op_table(uint32_t *ret_nr)
{
    *ret_nr = ARRAY_SIZE(ops);
    return ops;
}

const struct proto_msg *const *
proto_msg_table(uint32_t *ret_nr)
{
    *ret_nr = ARRAY_SIZE(msgs);
    return msgs;
}
