/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Field tables of the messages of the services and between engines. The order of the lines is the order on the wire: append only (docs/protocol.md). */
#include "proto/proto_svc.h"

#include "proto/proto_priv.h"

/* clang-format off */

static const struct proto_field empty_fields[] = {
    PROTO_F(struct proto_empty, reserved, U8),
};
PROTO_MSG_DEFINE(empty);

static const struct proto_field prop_fields[] = {
    PROTO_F(struct proto_prop, type, U32),
    PROTO_F(struct proto_prop, num, U64),
    PROTO_F_MAX(struct proto_prop, bytes, BYTES, PROTO_PROP_BYTES_MAX),
};
PROTO_MSG_DEFINE(prop);

static const struct proto_field rank_fields[] = {
    PROTO_F(struct proto_rank, rank, U32),
};
PROTO_MSG_DEFINE(rank);

static const struct proto_field space_fields[] = {
    PROTO_F(struct proto_space, total[0], U64),
    PROTO_F(struct proto_space, total[1], U64),
    PROTO_F(struct proto_space, free[0], U64),
    PROTO_F(struct proto_space, free[1], U64),
    PROTO_F(struct proto_space, free_min[0], U64),
    PROTO_F(struct proto_space, free_min[1], U64),
    PROTO_F(struct proto_space, free_max[0], U64),
    PROTO_F(struct proto_space, free_max[1], U64),
    PROTO_F(struct proto_space, free_mean[0], U64),
    PROTO_F(struct proto_space, free_mean[1], U64),
    PROTO_F(struct proto_space, tgt_nr, U32),
};
PROTO_MSG_DEFINE(space);

static const struct proto_field pool_connect_req_fields[] = {
    PROTO_F(struct proto_pool_connect_req, pool, UUID),
    PROTO_F(struct proto_pool_connect_req, hdl, UUID),
    PROTO_F(struct proto_pool_connect_req, flags, U64),
    PROTO_F(struct proto_pool_connect_req, proc.realm, UUID),
    PROTO_F(struct proto_pool_connect_req, proc.pid, U32),
    PROTO_F(struct proto_pool_connect_req, proc.start, U64),
};
PROTO_MSG_DEFINE(pool_connect_req);

static const struct proto_field pool_connect_rep_fields[] = {
    PROTO_F_MAX(struct proto_pool_connect_rep, map, BYTES, PROTO_MAP_BYTES_MAX),
    PROTO_F_SUB(struct proto_pool_connect_rep, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
};
PROTO_MSG_DEFINE(pool_connect_rep);

static const struct proto_field pool_disconnect_req_fields[] = {
    PROTO_F(struct proto_pool_disconnect_req, pool, UUID),
    PROTO_F(struct proto_pool_disconnect_req, hdl, UUID),
};
PROTO_MSG_DEFINE(pool_disconnect_req);

static const struct proto_field pool_attach_req_fields[] = {
    PROTO_F(struct proto_pool_attach_req, pool, UUID),
    PROTO_F(struct proto_pool_attach_req, proc.realm, UUID),
    PROTO_F(struct proto_pool_attach_req, proc.pid, U32),
    PROTO_F(struct proto_pool_attach_req, proc.start, U64),
};
PROTO_MSG_DEFINE(pool_attach_req);

static const struct proto_field pool_evict_req_fields[] = {
    PROTO_F(struct proto_pool_evict_req, pool, UUID),
    PROTO_F(struct proto_pool_evict_req, is_all, U8),
};
PROTO_MSG_DEFINE(pool_evict_req);

static const struct proto_field pool_evict_rep_fields[] = {
    PROTO_F(struct proto_pool_evict_rep, nr, U32),
};
PROTO_MSG_DEFINE(pool_evict_rep);

static const struct proto_field pool_query_req_fields[] = {
    PROTO_F(struct proto_pool_query_req, pool, UUID),
    PROTO_F(struct proto_pool_query_req, bits, U64),
};
PROTO_MSG_DEFINE(pool_query_req);

static const struct proto_field pool_query_rep_fields[] = {
    PROTO_F_MAX(struct proto_pool_query_rep, map, BYTES, PROTO_MAP_BYTES_MAX),
    PROTO_F(struct proto_pool_query_rep, leader, U32),
    PROTO_F_SUB(struct proto_pool_query_rep, space, STRUCT, 0, &proto_msg_space),
    PROTO_F_SUB(struct proto_pool_query_rep, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F(struct proto_pool_query_rep, hdl_nr, U32),
    PROTO_F(struct proto_pool_query_rep, cont_nr, U32),
    PROTO_F(struct proto_pool_query_rep, create_time_ns, U64),
    PROTO_F(struct proto_pool_query_rep, out_nr, U32),
};
PROTO_MSG_DEFINE(pool_query_rep);

static const struct proto_field pool_map_req_fields[] = {
    PROTO_F(struct proto_pool_map_req, pool, UUID),
};
PROTO_MSG_DEFINE(pool_map_req);

static const struct proto_field pool_map_rep_fields[] = {
    PROTO_F_MAX(struct proto_pool_map_rep, map, BYTES, PROTO_MAP_BYTES_MAX),
};
PROTO_MSG_DEFINE(pool_map_rep);

static const struct proto_field pool_tgt_query_req_fields[] = {
    PROTO_F(struct proto_pool_tgt_query_req, pool, UUID),
    PROTO_F(struct proto_pool_tgt_query_req, tgt, U32),
};
PROTO_MSG_DEFINE(pool_tgt_query_req);

static const struct proto_field pool_tgt_query_rep_fields[] = {
    PROTO_F(struct proto_pool_tgt_query_rep, state, U32),
    PROTO_F_SUB(struct proto_pool_tgt_query_rep, space, STRUCT, 0, &proto_msg_space),
};
PROTO_MSG_DEFINE(pool_tgt_query_rep);

static const struct proto_field pool_hdl_req_fields[] = {
    PROTO_F(struct proto_pool_hdl_req, pool, UUID),
    PROTO_F(struct proto_pool_hdl_req, pool_hdl, UUID),
    PROTO_F(struct proto_pool_hdl_req, cont_hdl, UUID),
};
PROTO_MSG_DEFINE(pool_hdl_req);

static const struct proto_field pool_hdl_rep_fields[] = {
    PROTO_F(struct proto_pool_hdl_rep, pool_flags, U64),
    PROTO_F(struct proto_pool_hdl_rep, cont, UUID),
    PROTO_F(struct proto_pool_hdl_rep, cont_flags, U64),
    PROTO_F(struct proto_pool_hdl_rep, csum_type, U32),
    PROTO_F(struct proto_pool_hdl_rep, map_ver, U32),
    PROTO_F(struct proto_pool_hdl_rep, csum_chunk_bytes, U64),
    PROTO_F(struct proto_pool_hdl_rep, scrub_mode, U32),
    PROTO_F(struct proto_pool_hdl_rep, scrub_freq_s, U32),
    PROTO_F(struct proto_pool_hdl_rep, scrub_thresh, U32),
};
PROTO_MSG_DEFINE(pool_hdl_rep);

static const struct proto_field attr_fields[] = {
    PROTO_F_MAX(struct proto_attr, name, STR, PROTO_ATTR_NAME_BYTES_MAX),
    PROTO_F_MAX(struct proto_attr, value, BYTES, PROTO_ATTR_VALUE_BYTES_MAX),
};
PROTO_MSG_DEFINE(attr);

static const struct proto_field attr_req_fields[] = {
    PROTO_F(struct proto_attr_req, pool, UUID),
    PROTO_F(struct proto_attr_req, cont, UUID),
    PROTO_F_SUB(struct proto_attr_req, attrs, ARRAY, PROTO_ATTRS_NR_MAX, &proto_msg_attr),
};
PROTO_MSG_DEFINE(attr_req);

static const struct proto_field attr_rep_fields[] = {
    PROTO_F_SUB(struct proto_attr_rep, attrs, ARRAY, PROTO_ATTRS_NR_MAX, &proto_msg_attr),
};
PROTO_MSG_DEFINE(attr_rep);

static const struct proto_field pool_list_cont_req_fields[] = {
    PROTO_F(struct proto_pool_list_cont_req, pool, UUID),
    PROTO_F(struct proto_pool_list_cont_req, after, UUID),
    PROTO_F(struct proto_pool_list_cont_req, nr_max, U32),
};
PROTO_MSG_DEFINE(pool_list_cont_req);

static const struct proto_field cont_entry_fields[] = {
    PROTO_F(struct proto_cont_entry, uuid, UUID),
    PROTO_F_MAX(struct proto_cont_entry, label, STR, PROTO_LABEL_BYTES_MAX),
};
PROTO_MSG_DEFINE(cont_entry);

static const struct proto_field pool_list_cont_rep_fields[] = {
    PROTO_F_SUB(struct proto_pool_list_cont_rep, conts, ARRAY, PROTO_CONTS_NR_MAX, &proto_msg_cont_entry),
    PROTO_F(struct proto_pool_list_cont_rep, eof, U8),
};
PROTO_MSG_DEFINE(pool_list_cont_rep);

static const struct proto_field prop_req_fields[] = {
    PROTO_F(struct proto_prop_req, pool, UUID),
    PROTO_F(struct proto_prop_req, cont, UUID),
    PROTO_F_SUB(struct proto_prop_req, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F_SUB(struct proto_prop_req, expect, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
};
PROTO_MSG_DEFINE(prop_req);

static const struct proto_field prop_rep_fields[] = {
    PROTO_F_SUB(struct proto_prop_rep, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
};
PROTO_MSG_DEFINE(prop_rep);

static const struct proto_field cont_create_req_fields[] = {
    PROTO_F(struct proto_cont_create_req, pool, UUID),
    PROTO_F(struct proto_cont_create_req, cont, UUID),
    PROTO_F_SUB(struct proto_cont_create_req, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F(struct proto_cont_create_req, uid_nr, U32),
};
PROTO_MSG_DEFINE(cont_create_req);

static const struct proto_field cont_destroy_req_fields[] = {
    PROTO_F(struct proto_cont_destroy_req, pool, UUID),
    PROTO_F_MAX(struct proto_cont_destroy_req, id, STR, PROTO_LABEL_BYTES_MAX),
    PROTO_F(struct proto_cont_destroy_req, force, U8),
};
PROTO_MSG_DEFINE(cont_destroy_req);

static const struct proto_field cont_open_req_fields[] = {
    PROTO_F(struct proto_cont_open_req, pool, UUID),
    PROTO_F_MAX(struct proto_cont_open_req, id, STR, PROTO_LABEL_BYTES_MAX),
    PROTO_F(struct proto_cont_open_req, cont_hdl, UUID),
    PROTO_F(struct proto_cont_open_req, flags, U64),
    PROTO_F(struct proto_cont_open_req, proc.realm, UUID),
    PROTO_F(struct proto_cont_open_req, proc.pid, U32),
    PROTO_F(struct proto_cont_open_req, proc.start, U64),
};
PROTO_MSG_DEFINE(cont_open_req);

static const struct proto_field cont_open_rep_fields[] = {
    PROTO_F(struct proto_cont_open_rep, cont, UUID),
    PROTO_F_SUB(struct proto_cont_open_rep, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F(struct proto_cont_open_rep, md_otime, U64),
    PROTO_F(struct proto_cont_open_rep, md_mtime, U64),
    PROTO_F(struct proto_cont_open_rep, hdl_nr, U32),
    PROTO_F(struct proto_cont_open_rep, snap_nr, U32),
    PROTO_F(struct proto_cont_open_rep, snap_last, U64),
};
PROTO_MSG_DEFINE(cont_open_rep);

static const struct proto_field cont_close_req_fields[] = {
    PROTO_F(struct proto_cont_close_req, pool, UUID),
    PROTO_F(struct proto_cont_close_req, cont_hdl, UUID),
};
PROTO_MSG_DEFINE(cont_close_req);

static const struct proto_field cont_query_req_fields[] = {
    PROTO_F(struct proto_cont_query_req, pool, UUID),
    PROTO_F(struct proto_cont_query_req, cont, UUID),
};
PROTO_MSG_DEFINE(cont_query_req);

static const struct proto_field cont_query_rep_fields[] = {
    PROTO_F_SUB(struct proto_cont_query_rep, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F(struct proto_cont_query_rep, md_otime, U64),
    PROTO_F(struct proto_cont_query_rep, md_mtime, U64),
    PROTO_F(struct proto_cont_query_rep, hdl_nr, U32),
    PROTO_F(struct proto_cont_query_rep, snap_nr, U32),
    PROTO_F(struct proto_cont_query_rep, snap_last, U64),
};
PROTO_MSG_DEFINE(cont_query_rep);

static const struct proto_field cont_oid_alloc_req_fields[] = {
    PROTO_F(struct proto_cont_oid_alloc_req, pool, UUID),
    PROTO_F(struct proto_cont_oid_alloc_req, cont, UUID),
    PROTO_F(struct proto_cont_oid_alloc_req, nr, U64),
};
PROTO_MSG_DEFINE(cont_oid_alloc_req);

static const struct proto_field cont_oid_alloc_rep_fields[] = {
    PROTO_F(struct proto_cont_oid_alloc_rep, lo, U64),
};
PROTO_MSG_DEFINE(cont_oid_alloc_rep);

static const struct proto_field sys_resolve_req_fields[] = {
    PROTO_F_MAX(struct proto_sys_resolve_req, id, STR, PROTO_LABEL_BYTES_MAX),
};
PROTO_MSG_DEFINE(sys_resolve_req);

static const struct proto_field sys_resolve_rep_fields[] = {
    PROTO_F(struct proto_sys_resolve_rep, pool, UUID),
    PROTO_F_MAX(struct proto_sys_resolve_rep, label, STR, PROTO_LABEL_BYTES_MAX),
    PROTO_F_SUB(struct proto_sys_resolve_rep, svc_ranks, ARRAY, PROTO_RANKS_NR_MAX, &proto_msg_rank),
};
PROTO_MSG_DEFINE(sys_resolve_rep);

static const struct proto_field sys_pool_list_req_fields[] = {
    PROTO_F(struct proto_sys_pool_list_req, after, UUID),
    PROTO_F(struct proto_sys_pool_list_req, nr_max, U32),
};
PROTO_MSG_DEFINE(sys_pool_list_req);

static const struct proto_field pool_entry_fields[] = {
    PROTO_F(struct proto_pool_entry, uuid, UUID),
    PROTO_F_MAX(struct proto_pool_entry, label, STR, PROTO_LABEL_BYTES_MAX),
    PROTO_F(struct proto_pool_entry, state, U32),
    PROTO_F_SUB(struct proto_pool_entry, svc_ranks, ARRAY, PROTO_RANKS_NR_MAX, &proto_msg_rank),
};
PROTO_MSG_DEFINE(pool_entry);

static const struct proto_field sys_pool_list_rep_fields[] = {
    PROTO_F_SUB(struct proto_sys_pool_list_rep, pools, ARRAY, PROTO_POOLS_NR_MAX, &proto_msg_pool_entry),
    PROTO_F(struct proto_sys_pool_list_rep, eof, U8),
};
PROTO_MSG_DEFINE(sys_pool_list_rep);

static const struct proto_field sys_pool_create_req_fields[] = {
    PROTO_F(struct proto_sys_pool_create_req, pool, UUID),
    PROTO_F(struct proto_sys_pool_create_req, meta_bytes, U64),
    PROTO_F(struct proto_sys_pool_create_req, data_bytes, U64),
    PROTO_F_SUB(struct proto_sys_pool_create_req, ranks, ARRAY, PROTO_RANKS_NR_MAX, &proto_msg_rank),
    PROTO_F_SUB(struct proto_sys_pool_create_req, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F(struct proto_sys_pool_create_req, uid, U32),
    PROTO_F(struct proto_sys_pool_create_req, gid, U32),
};
PROTO_MSG_DEFINE(sys_pool_create_req);

static const struct proto_field sys_pool_create_rep_fields[] = {
    PROTO_F_SUB(struct proto_sys_pool_create_rep, svc_ranks, ARRAY, PROTO_RANKS_NR_MAX, &proto_msg_rank),
    PROTO_F_SUB(struct proto_sys_pool_create_rep, tgt_ranks, ARRAY, PROTO_RANKS_NR_MAX, &proto_msg_rank),
    PROTO_F(struct proto_sys_pool_create_rep, tier_bytes[0], U64),
    PROTO_F(struct proto_sys_pool_create_rep, tier_bytes[1], U64),
};
PROTO_MSG_DEFINE(sys_pool_create_rep);

static const struct proto_field sys_pool_destroy_req_fields[] = {
    PROTO_F(struct proto_sys_pool_destroy_req, pool, UUID),
    PROTO_F(struct proto_sys_pool_destroy_req, force, U8),
    PROTO_F(struct proto_sys_pool_destroy_req, recursive, U8),
};
PROTO_MSG_DEFINE(sys_pool_destroy_req);

static const struct proto_field sys_rank_fields[] = {
    PROTO_F(struct proto_sys_rank, rank, U32),
    PROTO_F(struct proto_sys_rank, incarnation, U64),
    PROTO_F(struct proto_sys_rank, state, U32),
    PROTO_F(struct proto_sys_rank, tgt_nr, U32),
    PROTO_F_MAX(struct proto_sys_rank, uri, STR, PROTO_URI_BYTES_MAX),
};
PROTO_MSG_DEFINE(sys_rank);

static const struct proto_field sys_query_rep_fields[] = {
    PROTO_F_SUB(struct proto_sys_query_rep, ranks, ARRAY, PROTO_RANKS_NR_MAX, &proto_msg_sys_rank),
    PROTO_F(struct proto_sys_query_rep, leader, U32),
};
PROTO_MSG_DEFINE(sys_query_rep);

static const struct proto_field tgt_pool_req_fields[] = {
    PROTO_F(struct proto_tgt_pool_req, pool, UUID),
    PROTO_F(struct proto_tgt_pool_req, meta_bytes, U64),
    PROTO_F(struct proto_tgt_pool_req, data_bytes, U64),
    PROTO_F(struct proto_tgt_pool_req, life, U64),
};
PROTO_MSG_DEFINE(tgt_pool_req);

static const struct proto_field tgt_pool_query_rep_fields[] = {
    PROTO_F(struct proto_tgt_pool_query_rep, meta_total, U64),
    PROTO_F(struct proto_tgt_pool_query_rep, meta_used, U64),
    PROTO_F(struct proto_tgt_pool_query_rep, data_total, U64),
    PROTO_F(struct proto_tgt_pool_query_rep, data_used, U64),
    PROTO_F(struct proto_tgt_pool_query_rep, cont_nr, U64),
    PROTO_F(struct proto_tgt_pool_query_rep, is_out, U32),
    PROTO_F(struct proto_tgt_pool_query_rep, scrub_bad_nr, U64),
};
PROTO_MSG_DEFINE(tgt_pool_query_rep);

static const struct proto_field tgt_cont_req_fields[] = {
    PROTO_F(struct proto_tgt_cont_req, pool, UUID),
    PROTO_F(struct proto_tgt_cont_req, cont, UUID),
};
PROTO_MSG_DEFINE(tgt_cont_req);

static const struct proto_field tgt_revoke_req_fields[] = {
    PROTO_F(struct proto_tgt_revoke_req, pool, UUID),
    PROTO_F(struct proto_tgt_revoke_req, hdl, UUID),
};
PROTO_MSG_DEFINE(tgt_revoke_req);

static const struct proto_field svc_pool_req_fields[] = {
    PROTO_F(struct proto_svc_pool_req, pool, UUID),
    PROTO_F_MAX(struct proto_svc_pool_req, map, BYTES, PROTO_MAP_BYTES_MAX),
    PROTO_F_SUB(struct proto_svc_pool_req, props, ARRAY, PROTO_PROPS_NR_MAX, &proto_msg_prop),
    PROTO_F(struct proto_svc_pool_req, uid, U32),
    PROTO_F(struct proto_svc_pool_req, gid, U32),
    PROTO_F(struct proto_svc_pool_req, life, U64),
};
PROTO_MSG_DEFINE(svc_pool_req);

static const struct proto_field snap_fields[] = {
    PROTO_F(struct proto_snap, epoch, U64),
    PROTO_F(struct proto_snap, flags, U32),
    PROTO_F_MAX(struct proto_snap, name, STR, PROTO_SNAP_NAME_BYTES_MAX),
};
PROTO_MSG_DEFINE(snap);

static const struct proto_field snap_create_req_fields[] = {
    PROTO_F(struct proto_snap_create_req, pool, UUID),
    PROTO_F(struct proto_snap_create_req, cont, UUID),
    PROTO_F(struct proto_snap_create_req, flags, U32),
    PROTO_F_MAX(struct proto_snap_create_req, name, STR, PROTO_SNAP_NAME_BYTES_MAX),
};
PROTO_MSG_DEFINE(snap_create_req);

static const struct proto_field snap_create_rep_fields[] = {
    PROTO_F(struct proto_snap_create_rep, epoch, U64),
};
PROTO_MSG_DEFINE(snap_create_rep);

static const struct proto_field snap_list_req_fields[] = {
    PROTO_F(struct proto_snap_list_req, pool, UUID),
    PROTO_F(struct proto_snap_list_req, cont, UUID),
    PROTO_F(struct proto_snap_list_req, from, U64),
    PROTO_F(struct proto_snap_list_req, nr_max, U32),
    PROTO_F_MAX(struct proto_snap_list_req, name, STR, PROTO_SNAP_NAME_BYTES_MAX),
};
PROTO_MSG_DEFINE(snap_list_req);

static const struct proto_field snap_list_rep_fields[] = {
    PROTO_F_SUB(struct proto_snap_list_rep, snaps, ARRAY, PROTO_SNAPS_NR_MAX, &proto_msg_snap),
    PROTO_F(struct proto_snap_list_rep, eof, U8),
    PROTO_F(struct proto_snap_list_rep, total, U32),
};
PROTO_MSG_DEFINE(snap_list_rep);

static const struct proto_field snap_set_req_fields[] = {
    PROTO_F(struct proto_snap_set_req, pool, UUID),
    PROTO_F(struct proto_snap_set_req, cont, UUID),
    PROTO_F(struct proto_snap_set_req, epoch, U64),
    PROTO_F(struct proto_snap_set_req, flags, U32),
};
PROTO_MSG_DEFINE(snap_set_req);

static const struct proto_field snap_destroy_req_fields[] = {
    PROTO_F(struct proto_snap_destroy_req, pool, UUID),
    PROTO_F(struct proto_snap_destroy_req, cont, UUID),
    PROTO_F(struct proto_snap_destroy_req, lo, U64),
    PROTO_F(struct proto_snap_destroy_req, hi, U64),
};
PROTO_MSG_DEFINE(snap_destroy_req);

static const struct proto_field tgt_epoch_req_fields[] = {
    PROTO_F(struct proto_tgt_epoch_req, pool, UUID),
    PROTO_F(struct proto_tgt_epoch_req, epoch, U64),
};
PROTO_MSG_DEFINE(tgt_epoch_req);

static const struct proto_field cont_stable_req_fields[] = {
    PROTO_F(struct proto_cont_stable_req, pool, UUID),
    PROTO_F(struct proto_cont_stable_req, cont, UUID),
};
PROTO_MSG_DEFINE(cont_stable_req);

static const struct proto_field cont_stable_rep_fields[] = {
    PROTO_F(struct proto_cont_stable_rep, epoch, U64),
    PROTO_F(struct proto_cont_stable_rep, reclaim, U32),
    PROTO_F_MAX(struct proto_cont_stable_rep, snaps, BYTES, PROTO_STABLE_BYTES_MAX),
    PROTO_F(struct proto_cont_stable_rep, scrub_mode, U32),
    PROTO_F(struct proto_cont_stable_rep, scrub_freq_s, U32),
    PROTO_F(struct proto_cont_stable_rep, scrub_thresh, U32),
    PROTO_F(struct proto_cont_stable_rep, is_scrub_off, U32),
};
PROTO_MSG_DEFINE(cont_stable_rep);
