/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The tables of proto_obj.c and proto_svc.c, for proto_ops.c. Every message stands once in PROTO_MSGS. */
#ifndef CAIRN_PROTO_PRIV_H
#define CAIRN_PROTO_PRIV_H

#include "proto/proto.h"

/* clang-format off */
#define PROTO_MSGS(X) \
    X(recx) X(bulk) X(iod) X(mod) X(obj_apply_req) X(obj_apply_rep) X(obj_fetch_req) X(seg) X(fetch_iod) \
    X(obj_fetch_rep) X(obj_list_req) X(list_entry) X(obj_list_rep) X(obj_query_req) X(obj_query_rep) \
    X(obj_ref) X(obj_look_req) X(obj_look_rep) X(obj_anchor_req) X(obj_anchor_rep) X(snap) X(snap_create_req) X(snap_create_rep) X(snap_list_req) \
    X(snap_list_rep) X(snap_set_req) X(snap_destroy_req) X(tgt_epoch_req) \
    X(obj_aggregate_req) X(obj_aggregate_rep) X(cont_stable_req) X(cont_stable_rep) \
    X(empty) X(prop) X(rank) X(space) X(pool_connect_req) X(pool_connect_rep) X(pool_disconnect_req) \
    X(pool_query_req) X(pool_query_rep) X(pool_map_req) X(pool_map_rep) X(pool_tgt_query_req) \
    X(pool_tgt_query_rep) X(pool_hdl_req) X(pool_hdl_rep) X(attr) X(attr_req) X(attr_rep) \
    X(pool_list_cont_req) X(cont_entry) X(pool_list_cont_rep) X(prop_req) X(prop_rep) X(cont_create_req) \
    X(cont_destroy_req) X(cont_open_req) X(cont_open_rep) X(cont_close_req) X(cont_query_req) \
    X(cont_query_rep) X(cont_oid_alloc_req) X(cont_oid_alloc_rep) X(sys_resolve_req) X(sys_resolve_rep) \
    X(sys_pool_list_req) X(pool_entry) X(sys_pool_list_rep) X(sys_pool_create_req) X(sys_pool_create_rep) \
    X(sys_pool_destroy_req) X(sys_rank) X(sys_query_rep) X(tgt_pool_req) X(tgt_pool_query_rep) \
    X(tgt_cont_req) X(tgt_revoke_req) X(svc_pool_req) X(pool_attach_req) X(pool_evict_req) X(pool_evict_rep)
/* clang-format on */

#define PROTO_MSG_DECLARE(name_) extern const struct proto_msg proto_msg_##name_;
PROTO_MSGS(PROTO_MSG_DECLARE)
#undef PROTO_MSG_DECLARE

/* The message struct proto_<name> with the field table <name>_fields. */
#define PROTO_MSG_DEFINE(name_) \
    const struct proto_msg proto_msg_##name_ = {#name_, sizeof(struct proto_##name_), \
        sizeof(name_##_fields) / sizeof(name_##_fields[0]), name_##_fields}

#endif
