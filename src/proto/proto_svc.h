/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Messages of the pool, container and system services and between engines. Pool and container handles of the caller stand in the RPC header.
 * Errors travel in the RPC header; NOTLEADER replies carry the hint there too.
 */
#ifndef CAIRN_PROTO_SVC_H
#define CAIRN_PROTO_SVC_H

#include "proto/proto_obj.h"

enum {
    PROTO_LABEL_BYTES_MAX = 127,
    PROTO_ATTR_NAME_BYTES_MAX = 511,
    PROTO_ATTR_VALUE_BYTES_MAX = 16384,
    PROTO_MAP_BYTES_MAX = 16384
};

/* Limits that the decoder enforces; encode() answers OVERFLOW above them. */
enum {
    PROTO_PROP_BYTES_MAX = 16384,
    PROTO_PROPS_NR_MAX = 128,
    PROTO_ATTRS_NR_MAX = 1024,
    PROTO_RANKS_NR_MAX = 4096,
    PROTO_CONTS_NR_MAX = 1024, /* of one reply */
    PROTO_POOLS_NR_MAX = 1024, /* of one reply */
    PROTO_URI_BYTES_MAX = 127,
    PROTO_SNAPS_NR_MAX = 256, /* of one reply */
    PROTO_SNAP_NAME_BYTES_MAX = 127,
    PROTO_STABLE_BYTES_MAX = 65536, /* of the snapshots of a container */
};

struct proto_empty {
    uint8_t reserved;
};

/* A property by the API's number (api.md 4.5): exactly one of num and bytes is meant, by the type of that property. */
struct proto_prop {
    uint32_t type;
    uint64_t num;
    struct iov bytes;
};

struct proto_rank {
    uint32_t rank;
};

struct proto_space {
    uint64_t total[2], free[2]; /* 0: metadata tier, 1: data tier; bytes */
    uint64_t free_min[2], free_max[2], free_mean[2]; /* over targets */
    uint32_t tgt_nr;
};

/* The process that asks (struct plat_proc); realm nil: it says nothing about itself. */
struct proto_proc {
    struct uuid realm;
    uint32_t pid;
    uint64_t start;
};

struct proto_pool_connect_req {
    struct uuid pool;
    struct uuid hdl; /* chosen by the client */
    uint64_t flags;
    struct proto_proc proc;
};
struct proto_pool_connect_rep {
    struct iov map; /* poolmap_encode() */
    struct proto_array props; /* struct proto_prop */
};
struct proto_pool_disconnect_req {
    struct uuid pool;
    struct uuid hdl;
};
/* The process uses a pool handle that another one opened, or a container handle: those in the head. */
struct proto_pool_attach_req {
    struct uuid pool;
    struct proto_proc proc;
};
struct proto_pool_evict_req {
    struct uuid pool;
    uint8_t is_all; /* 0: those of processes that have ended */
};
struct proto_pool_evict_rep {
    uint32_t nr; /* pool handles that were open */
};
struct proto_pool_query_req {
    struct uuid pool;
    uint64_t bits;
};
struct proto_pool_query_rep {
    struct iov map;
    uint32_t leader;
    struct proto_space space;
    struct proto_array props;
    uint32_t hdl_nr, cont_nr;
    uint64_t create_time_ns;
    uint32_t out_nr; /* targets of the map that serve, but not this pool: scrub_thresh */
};
struct proto_pool_map_req {
    struct uuid pool;
};
struct proto_pool_map_rep {
    struct iov map;
};
struct proto_pool_tgt_query_req {
    struct uuid pool;
    uint32_t tgt; /* pool target id */
};
struct proto_pool_tgt_query_rep {
    uint32_t state;
    struct proto_space space;
};
/* What a handle may do, for a target's table: filled from the service, never from the client (FM-3). */
struct proto_pool_hdl_req {
    struct uuid pool;
    struct uuid pool_hdl;
    struct uuid cont_hdl; /* nil: only the pool handle is asked */
};
struct proto_pool_hdl_rep {
    uint64_t pool_flags; /* DAOS_PC_* */
    struct uuid cont;
    uint64_t cont_flags; /* DAOS_COO_* */
    uint32_t csum_type;
    uint32_t map_ver;
    uint64_t csum_chunk_bytes;
    uint32_t scrub_mode, scrub_freq_s, scrub_thresh; /* properties of the pool */
};
struct proto_attr {
    struct iov name;
    struct iov value;
};
struct proto_attr_req { /* of a pool (cont nil) or container */
    struct uuid pool;
    struct uuid cont;
    struct proto_array attrs; /* struct proto_attr; values empty in get and del */
};
struct proto_attr_rep {
    struct proto_array attrs;
};
struct proto_pool_list_cont_req {
    struct uuid pool;
    struct uuid after;
    uint32_t nr_max;
};
struct proto_cont_entry {
    struct uuid uuid;
    struct iov label;
};
struct proto_pool_list_cont_rep {
    struct proto_array conts; /* struct proto_cont_entry */
    uint8_t eof;
};
struct proto_prop_req { /* get: types only, none = all; set */
    struct uuid pool;
    struct uuid cont; /* nil: the pool's */
    struct proto_array props;
    struct proto_array expect; /* set, of a container: must have these values, else TX_RESTART and nothing is set */
};
struct proto_prop_rep {
    struct proto_array props;
};

struct proto_cont_create_req {
    struct uuid pool;
    struct uuid cont;
    struct proto_array props;
    uint32_t uid_nr; /* reserved */
};
struct proto_cont_destroy_req {
    struct uuid pool;
    struct iov id; /* label or uuid as text */
    uint8_t force;
};
struct proto_cont_open_req {
    struct uuid pool;
    struct iov id; /* label or uuid as text */
    struct uuid cont_hdl; /* chosen by the client */
    uint64_t flags;
    struct proto_proc proc;
};
struct proto_cont_open_rep {
    struct uuid cont;
    struct proto_array props;
    uint64_t md_otime, md_mtime; /* HLC */
    uint32_t hdl_nr, snap_nr;
    uint64_t snap_last; /* epoch of the newest snapshot, 0: none */
};
struct proto_cont_close_req {
    struct uuid pool;
    struct uuid cont_hdl;
};
struct proto_cont_query_req {
    struct uuid pool;
    struct uuid cont;
};
struct proto_cont_query_rep {
    struct proto_array props;
    uint64_t md_otime, md_mtime;
    uint32_t hdl_nr, snap_nr;
    uint64_t snap_last; /* epoch of the newest snapshot, 0: none */
};
struct proto_cont_oid_alloc_req {
    struct uuid pool;
    struct uuid cont;
    uint64_t nr;
};
struct proto_cont_oid_alloc_rep {
    uint64_t lo;
};
enum proto_snap_flags { PROTO_SNAP_OIT = 1 /* its table of objects may be opened */ };
struct proto_snap {
    uint64_t epoch;
    uint32_t flags; /* enum proto_snap_flags */
    struct iov name; /* empty: none */
};
struct proto_snap_create_req {
    struct uuid pool;
    struct uuid cont;
    uint32_t flags;
    struct iov name;
};
struct proto_snap_create_rep {
    uint64_t epoch;
};
struct proto_snap_list_req {
    struct uuid pool;
    struct uuid cont;
    uint64_t from; /* epochs not below this one */
    uint32_t nr_max;
    struct iov name; /* not empty: only the snapshot of that name */
};
struct proto_snap_list_rep {
    struct proto_array snaps; /* struct proto_snap, by epoch */
    uint8_t eof;
    uint32_t total; /* snapshots of the container */
};
struct proto_snap_set_req {
    struct uuid pool;
    struct uuid cont;
    uint64_t epoch;
    uint32_t flags; /* all that it has from now on */
};
struct proto_snap_destroy_req {
    struct uuid pool;
    struct uuid cont;
    uint64_t lo, hi; /* both included */
};
struct proto_cont_stable_req {
    struct uuid pool;
    struct uuid cont;
};
/* CON-7: below `epoch`, nobody reads but at these snapshots. */
struct proto_cont_stable_rep {
    uint64_t epoch;
    uint32_t reclaim; /* the pool's property */
    struct iov snaps; /* epochs of the snapshots, u64 little-endian, ascending */
    uint32_t scrub_mode, scrub_freq_s, scrub_thresh; /* the pool's properties, too */
    uint32_t is_scrub_off; /* of the container: scrubber_disabled */
};

struct proto_sys_resolve_req {
    struct iov id; /* label or uuid as text */
};
struct proto_sys_resolve_rep {
    struct uuid pool;
    struct iov label;
    struct proto_array svc_ranks; /* struct proto_rank */
};
struct proto_sys_pool_list_req {
    struct uuid after;
    uint32_t nr_max;
};
struct proto_pool_entry {
    struct uuid uuid;
    struct iov label;
    uint32_t state; /* 0 creating, 1 ready, 2 destroying */
    struct proto_array svc_ranks;
};
struct proto_sys_pool_list_rep {
    struct proto_array pools; /* struct proto_pool_entry */
    uint8_t eof;
};
struct proto_sys_pool_create_req {
    struct uuid pool;
    uint64_t meta_bytes, data_bytes; /* per target */
    struct proto_array ranks; /* struct proto_rank; none: all */
    struct proto_array props; /* struct proto_prop */
    uint32_t uid, gid;
};
struct proto_sys_pool_create_rep {
    struct proto_array svc_ranks;
    struct proto_array tgt_ranks;
    uint64_t tier_bytes[2]; /* over all targets */
};
struct proto_sys_pool_destroy_req {
    struct uuid pool;
    uint8_t force, recursive;
};
struct proto_sys_rank {
    uint32_t rank;
    uint64_t incarnation;
    uint32_t state; /* 1 joined, 2 stopped, 3 unresponsive */
    uint32_t tgt_nr;
    struct iov uri; /* of tag 0 */
};
struct proto_sys_query_rep {
    struct proto_array ranks; /* struct proto_sys_rank */
    uint32_t leader;
};

struct proto_tgt_pool_req {
    struct uuid pool;
    uint64_t meta_bytes, data_bytes;
    uint64_t life; /* of the pool's row (MGT-5); 0: it does not matter */
};
struct proto_tgt_pool_query_rep {
    uint64_t meta_total, meta_used, data_total, data_used, cont_nr;
    uint32_t is_out; /* the shard is out of service: scrub_thresh was reached */
    uint64_t scrub_bad_nr; /* what the scrubber found bad, see tgt_scrub_found() */
};
struct proto_tgt_cont_req {
    struct uuid pool;
    struct uuid cont;
};
struct proto_tgt_revoke_req {
    struct uuid pool;
    struct uuid hdl; /* a pool or container handle; nil: ask again about every handle of the pool */
};
struct proto_tgt_epoch_req {
    struct uuid pool;
    uint64_t epoch; /* 0: only say where you are (the clock in the head of the answer) */
};
struct proto_svc_pool_req {
    struct uuid pool;
    struct iov map;
    struct proto_array props;
    uint32_t uid, gid;
    uint64_t life; /* of the pool's row (MGT-5); 0: it does not matter */
};

#endif
