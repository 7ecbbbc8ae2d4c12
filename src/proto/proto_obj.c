/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Field tables of the messages of object I/O. The order of the lines is the order on the wire: append only (docs/protocol.md). */
#include "proto/proto_obj.h"

#include "proto/proto_priv.h"

/* clang-format off */

static const struct proto_field recx_fields[] = {
    PROTO_F(struct proto_recx, idx, U64),
    PROTO_F(struct proto_recx, nr, U64),
};
PROTO_MSG_DEFINE(recx);

static const struct proto_field bulk_fields[] = {
    PROTO_F(struct proto_bulk, id, U64),
    PROTO_F(struct proto_bulk, key, U64),
    PROTO_F(struct proto_bulk, len, U64),
};
PROTO_MSG_DEFINE(bulk);

static const struct proto_field iod_fields[] = {
    PROTO_F_MAX(struct proto_iod, akey, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F(struct proto_iod, type, U8),
    PROTO_F(struct proto_iod, cond, U32),
    PROTO_F(struct proto_iod, size, U64),
    PROTO_F_SUB(struct proto_iod, recxs, ARRAY, PROTO_RECXS_NR_MAX, &proto_msg_recx),
    PROTO_F(struct proto_iod, buf_len, U64),
};
PROTO_MSG_DEFINE(iod);

static const struct proto_field mod_fields[] = {
    PROTO_F(struct proto_mod, op, U8),
    PROTO_F(struct proto_mod, oid, OID),
    PROTO_F(struct proto_mod, shard, U32),
    PROTO_F(struct proto_mod, layout_ver, U32),
    PROTO_F(struct proto_mod, cond, U32),
    PROTO_F_MAX(struct proto_mod, dkey, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F_SUB(struct proto_mod, iods, ARRAY, PROTO_IODS_NR_MAX, &proto_msg_iod),
};
PROTO_MSG_DEFINE(mod);

static const struct proto_field obj_apply_req_fields[] = {
    PROTO_F_SUB(struct proto_obj_apply_req, mods, ARRAY, PROTO_MODS_NR_MAX, &proto_msg_mod),
    PROTO_F(struct proto_obj_apply_req, data_len, U64),
    PROTO_F(struct proto_obj_apply_req, data_crc, U32),
    PROTO_F_MAX(struct proto_obj_apply_req, data, BYTES, PROTO_INLINE_BYTES_MAX),
    PROTO_F_SUB(struct proto_obj_apply_req, bulk, STRUCT, 0, &proto_msg_bulk),
};
PROTO_MSG_DEFINE(obj_apply_req);

static const struct proto_field obj_apply_rep_fields[] = {
    PROTO_F(struct proto_obj_apply_rep, epoch, U64),
    PROTO_F(struct proto_obj_apply_rep, is_replay, U8),
};
PROTO_MSG_DEFINE(obj_apply_rep);

static const struct proto_field obj_fetch_req_fields[] = {
    PROTO_F(struct proto_obj_fetch_req, oid, OID),
    PROTO_F(struct proto_obj_fetch_req, shard, U32),
    PROTO_F(struct proto_obj_fetch_req, layout_ver, U32),
    PROTO_F(struct proto_obj_fetch_req, epoch, U64),
    PROTO_F(struct proto_obj_fetch_req, flags, U32),
    PROTO_F_MAX(struct proto_obj_fetch_req, dkey, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F_SUB(struct proto_obj_fetch_req, iods, ARRAY, PROTO_IODS_NR_MAX, &proto_msg_iod),
    PROTO_F_SUB(struct proto_obj_fetch_req, bulk, STRUCT, 0, &proto_msg_bulk),
};
PROTO_MSG_DEFINE(obj_fetch_req);

static const struct proto_field seg_fields[] = {
    PROTO_F(struct proto_seg, idx, U64),
    PROTO_F(struct proto_seg, nr, U64),
    PROTO_F(struct proto_seg, is_present, U8),
};
PROTO_MSG_DEFINE(seg);

static const struct proto_field fetch_iod_fields[] = {
    PROTO_F(struct proto_fetch_iod, size, U64),
    PROTO_F_SUB(struct proto_fetch_iod, segs, ARRAY, PROTO_SEGS_NR_MAX, &proto_msg_seg),
};
PROTO_MSG_DEFINE(fetch_iod);

static const struct proto_field obj_fetch_rep_fields[] = {
    PROTO_F(struct proto_obj_fetch_rep, epoch, U64),
    PROTO_F_SUB(struct proto_obj_fetch_rep, iods, ARRAY, PROTO_IODS_NR_MAX, &proto_msg_fetch_iod),
    PROTO_F(struct proto_obj_fetch_rep, data_len, U64),
    PROTO_F(struct proto_obj_fetch_rep, data_crc, U32),
    PROTO_F_MAX(struct proto_obj_fetch_rep, data, BYTES, PROTO_INLINE_BYTES_MAX),
};
PROTO_MSG_DEFINE(obj_fetch_rep);

static const struct proto_field obj_list_req_fields[] = {
    PROTO_F(struct proto_obj_list_req, oid, OID),
    PROTO_F(struct proto_obj_list_req, shard, U32),
    PROTO_F(struct proto_obj_list_req, layout_ver, U32),
    PROTO_F(struct proto_obj_list_req, level, U8),
    PROTO_F(struct proto_obj_list_req, descending, U8),
    PROTO_F(struct proto_obj_list_req, epoch, U64),
    PROTO_F_MAX(struct proto_obj_list_req, dkey, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F_MAX(struct proto_obj_list_req, akey, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F_MAX(struct proto_obj_list_req, anchor, BYTES, PROTO_ANCHOR_BYTES_MAX),
    PROTO_F(struct proto_obj_list_req, nr_max, U32),
    PROTO_F(struct proto_obj_list_req, bytes_max, U32),
};
PROTO_MSG_DEFINE(obj_list_req);

static const struct proto_field list_entry_fields[] = {
    PROTO_F_MAX(struct proto_list_entry, key, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F(struct proto_list_entry, oid, OID),
    PROTO_F(struct proto_list_entry, idx, U64),
    PROTO_F(struct proto_list_entry, nr, U64),
    PROTO_F(struct proto_list_entry, size, U64),
    PROTO_F(struct proto_list_entry, epoch, U64),
};
PROTO_MSG_DEFINE(list_entry);

static const struct proto_field obj_list_rep_fields[] = {
    PROTO_F_SUB(struct proto_obj_list_rep, entries, ARRAY, PROTO_LIST_NR_MAX, &proto_msg_list_entry),
    PROTO_F_MAX(struct proto_obj_list_rep, anchor, BYTES, PROTO_ANCHOR_BYTES_MAX),
    PROTO_F(struct proto_obj_list_rep, eof, U8),
    PROTO_F(struct proto_obj_list_rep, key_len, U32),
};
PROTO_MSG_DEFINE(obj_list_rep);

static const struct proto_field obj_query_req_fields[] = {
    PROTO_F(struct proto_obj_query_req, oid, OID),
    PROTO_F(struct proto_obj_query_req, shard, U32),
    PROTO_F(struct proto_obj_query_req, layout_ver, U32),
    PROTO_F(struct proto_obj_query_req, epoch, U64),
    PROTO_F(struct proto_obj_query_req, flags, U32),
    PROTO_F_MAX(struct proto_obj_query_req, dkey, BYTES, PROTO_KEY_BYTES_MAX),
    PROTO_F_MAX(struct proto_obj_query_req, akey, BYTES, PROTO_KEY_BYTES_MAX),
};
PROTO_MSG_DEFINE(obj_query_req);

static const struct proto_field obj_query_rep_fields[] = {
    PROTO_F(struct proto_obj_query_rep, dkey, U64),
    PROTO_F(struct proto_obj_query_rep, akey, U64),
    PROTO_F_SUB(struct proto_obj_query_rep, recx, STRUCT, 0, &proto_msg_recx),
    PROTO_F(struct proto_obj_query_rep, rec_size, U64),
    PROTO_F(struct proto_obj_query_rep, epoch_max, U64),
};
PROTO_MSG_DEFINE(obj_query_rep);

static const struct proto_field obj_ref_fields[] = {
    PROTO_F(struct proto_obj_ref, oid, OID),
    PROTO_F(struct proto_obj_ref, shard, U32),
    PROTO_F(struct proto_obj_ref, layout_ver, U32),
};
PROTO_MSG_DEFINE(obj_ref);

static const struct proto_field obj_look_req_fields[] = {
    PROTO_F(struct proto_obj_look_req, epoch, U64),
    PROTO_F_SUB(struct proto_obj_look_req, objs, ARRAY, PROTO_LOOK_NR_MAX, &proto_msg_obj_ref),
};
PROTO_MSG_DEFINE(obj_look_req);

static const struct proto_field obj_look_rep_fields[] = {
    PROTO_F_MAX(struct proto_obj_look_rep, is_there, BYTES, PROTO_LOOK_NR_MAX),
};
PROTO_MSG_DEFINE(obj_look_rep);

static const struct proto_field obj_anchor_req_fields[] = {
    PROTO_F(struct proto_obj_anchor_req, oid, OID),
    PROTO_F(struct proto_obj_anchor_req, shard, U32),
    PROTO_F(struct proto_obj_anchor_req, layout_ver, U32),
    PROTO_F(struct proto_obj_anchor_req, level, U8),
    PROTO_F_MAX(struct proto_obj_anchor_req, key, BYTES, PROTO_KEY_BYTES_MAX),
};
PROTO_MSG_DEFINE(obj_anchor_req);

static const struct proto_field obj_anchor_rep_fields[] = {
    PROTO_F_MAX(struct proto_obj_anchor_rep, anchor, BYTES, PROTO_ANCHOR_BYTES_MAX),
};
PROTO_MSG_DEFINE(obj_anchor_rep);

static const struct proto_field obj_aggregate_req_fields[] = {
    PROTO_F(struct proto_obj_aggregate_req, epoch, U64),
};
PROTO_MSG_DEFINE(obj_aggregate_req);

static const struct proto_field obj_aggregate_rep_fields[] = {
    PROTO_F(struct proto_obj_aggregate_rep, is_done, U8),
    PROTO_F(struct proto_obj_aggregate_rep, epoch, U64),
};
PROTO_MSG_DEFINE(obj_aggregate_rep);
