/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Messages of object I/O. Which pool and container: the handles in the RPC header (FM-3).
 *
 * Data of an apply: the values of all modifications and iods, one after the other, in message order; inline when they fit
 * (PROTO_INLINE_BYTES_MAX), else pulled by the server from the client's bulk region at the same offsets.
 * Data of a fetch: iod i owns the part [sum of buf_len of the iods before, + buf_len) of the client's bulk region, in which the asked ranges
 * lie one after the other: the server pushes each present segment at its place and leaves the rest of the region untouched. When everything
 * present fits PROTO_INLINE_BYTES_MAX it travels in the reply instead, present segments one after the other without gaps.
 * Every payload and key carries a CRC32C whatever the container's checksum property (MS-4): data_crc here, keys by the body CRC of the RPC header.
 */
#ifndef CAIRN_PROTO_OBJ_H
#define CAIRN_PROTO_OBJ_H

#include "proto/proto.h"

enum { PROTO_INLINE_BYTES_MAX = 16384, PROTO_LIST_BYTES_MAX = 24576, PROTO_ANCHOR_BYTES_MAX = 104 };

/* Limits that the decoder enforces; encode() answers OVERFLOW above them. */
enum {
    PROTO_KEY_BYTES_MAX = 4096,
    PROTO_MODS_NR_MAX = 256,
    PROTO_IODS_NR_MAX = 1024,
    PROTO_RECXS_NR_MAX = 1024,
    PROTO_SEGS_NR_MAX = 49152, /* of one iod in a fetch reply */
    PROTO_LIST_NR_MAX = 4096, /* entries of a listing: a server caps nr_max to this */
    PROTO_LOOK_NR_MAX = 512, /* objects of one look */
};

struct proto_recx {
    uint64_t idx, nr;
};

/* A region of the sender's memory that the receiver may pull from or push to: rpc/rpc.h fills it. */
struct proto_bulk {
    uint64_t id; /* 0: none */
    uint64_t key;
    uint64_t len;
};

struct proto_iod {
    struct iov akey;
    uint8_t type; /* 1 single value, 2 array */
    uint32_t cond;
    uint64_t size;
    struct proto_array recxs; /* struct proto_recx */
    uint64_t buf_len; /* apply: bytes of data of this iod; fetch: bytes of room */
};

struct proto_mod {
    uint8_t op; /* 1 update, 2 punch object, 3 punch dkey, 4 punch akeys */
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
    uint32_t cond;
    struct iov dkey;
    struct proto_array iods; /* struct proto_iod */
};

struct proto_obj_apply_req {
    struct proto_array mods; /* struct proto_mod */
    uint64_t data_len;
    uint32_t data_crc; /* CRC32C of all data */
    struct iov data; /* inline */
    struct proto_bulk bulk;
};

struct proto_obj_apply_rep {
    uint64_t epoch;
    uint8_t is_replay;
};

struct proto_obj_fetch_req {
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
    uint64_t epoch; /* UINT64_MAX: now */
    uint32_t flags; /* conditions; 1 << 16: sizes only */
    struct iov dkey;
    struct proto_array iods; /* struct proto_iod */
    struct proto_bulk bulk;
};

struct proto_seg {
    uint64_t idx, nr;
    uint8_t is_present;
};

struct proto_fetch_iod {
    uint64_t size;
    struct proto_array segs; /* struct proto_seg */
};

struct proto_obj_fetch_rep {
    uint64_t epoch;
    struct proto_array iods; /* struct proto_fetch_iod */
    uint64_t data_len; /* bytes of all present segments */
    uint32_t data_crc; /* CRC32C over them, in order */
    struct iov data; /* inline, or empty when pushed */
};

struct proto_obj_list_req {
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
    uint8_t level; /* 0 objects, 1 dkeys, 2 akeys, 3 extents, 4 single values */
    uint8_t descending;
    uint64_t epoch;
    struct iov dkey, akey;
    struct iov anchor; /* empty: from the start */
    uint32_t nr_max;
    uint32_t bytes_max; /* of keys, at most PROTO_LIST_BYTES_MAX */
};

struct proto_list_entry {
    struct iov key;
    struct oid oid;
    uint64_t idx, nr; /* of an object: its shard, 0 */
    uint64_t size;
    uint64_t epoch;
};

struct proto_obj_list_rep {
    struct proto_array entries; /* struct proto_list_entry */
    struct iov anchor;
    uint8_t eof;
    uint32_t key_len; /* with the error KEY2BIG: the length that did not fit bytes_max */
};

struct proto_obj_query_req {
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
    uint64_t epoch;
    uint32_t flags;
    struct iov dkey, akey;
};

struct proto_obj_query_rep {
    uint64_t dkey, akey;
    struct proto_recx recx;
    uint64_t rec_size;
    uint64_t epoch_max;
};

/* A shard of an object. */
struct proto_obj_ref {
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
};

struct proto_obj_look_req {
    uint64_t epoch; /* UINT64_MAX: now */
    struct proto_array objs; /* struct proto_obj_ref */
};

struct proto_obj_anchor_req {
    struct oid oid;
    uint32_t shard;
    uint32_t layout_ver;
    uint8_t level; /* 1 dkeys, 2 akeys */
    struct iov key; /* need not be there */
};

struct proto_obj_anchor_rep {
    struct iov anchor; /* before the key, in the order of the listing */
};

struct proto_obj_aggregate_req {
    uint64_t epoch; /* up to it; 0: now */
};

struct proto_obj_aggregate_rep {
    uint8_t is_done; /* 0: it is at work; ask again to wait for more */
    uint64_t epoch; /* up to which it is done */
};

struct proto_obj_look_rep {
    struct iov is_there; /* a byte for each: 1 it was written, and not punched as a whole since */
};

#endif
