/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Structures of the store as they lie in the metadata arena (docs/format/vos.md shows every byte).
 *
 * Everything is little-endian; pointers are arena offsets, 0 is none; unused bytes are zero. Every record and node starts with a
 * magic byte or carries one, so that a wrong pointer is found at the first look (ST-7). Pages of the arena carry checksums of
 * their own below us (bio); values carry one each (VOS-4).
 *
 *   root > pools > containers > objects > dkeys > akeys > versions of a single value | extents of an array
 */
#ifndef CAIRN_VOS_FORMAT_H
#define CAIRN_VOS_FORMAT_H

#include "base/assert.h"

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored structures are used in place");

#define VOS_ROOT_MAGIC UINT64_C(0x31534f5652494143) /* "CAIRVOS1" */

enum {
    VOS_FORMAT_VERSION = 5,
    VOS_NODE_MAGIC = 0xb7,
    VOS_POOL_MAGIC = 0xa1,
    VOS_CONT_MAGIC = 0xa2,
    VOS_OBJ_MAGIC = 0xa3,
    VOS_DKEY_MAGIC = 0xa4,
    VOS_AKEY_MAGIC = 0xa5,
    VOS_VAL_MAGIC = 0xa6,
    VOS_EXT_MAGIC = 0xa7,
    VOS_CLIENT_MAGIC = 0xa8,
    VOS_SLOTS_MAGIC = 0xa9,
    VOS_GC_MAGIC = 0xaa,
    VOS_DTX_TAB_MAGIC = 0xc1,
    VOS_DTX_SLOTS_MAGIC = 0xc2,
    VOS_DTX_MAGIC = 0xc3,
    VOS_DTX_REFS_MAGIC = 0xc4,
    VOS_DTX_DONE_MAGIC = 0xc5,
};

/* Kinds of trees: what the keys are. Stored in roots and nodes. */
enum vos_tree_id {
    VOS_TREE_POOL = 1,
    VOS_TREE_CONT = 2,
    VOS_TREE_OBJ = 3,
    VOS_TREE_KEY_HASHED = 4,
    VOS_TREE_KEY_UINT = 5,
    VOS_TREE_KEY_LEX = 6,
    VOS_TREE_SINGLE = 7,
    VOS_TREE_EXT = 8,
    VOS_TREE_ILOG = 9,
    VOS_TREE_CLIENT = 10,
};

/* Root of a tree, embedded in its parent record. Depth 0: `root` is the only record (0: empty tree). */
struct vos_tree_df {
    uint64_t root : 48;
    uint64_t depth : 8;
    uint64_t id : 8;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_tree_df) == 8, "format");

struct vos_node_df {
    uint8_t magic;
    uint8_t id;
    uint8_t level; /* 0: leaf */
    uint8_t pad;
    uint16_t nr;
    uint16_t cap; /* entries that fit; less than the order only in a leaf that is the root */
    uint64_t rsvd;
    /* entries follow */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_node_df) == 16, "format");

/* Entry of a node. In an inner node `hkey` is at most the smallest of the child. Trees of extents have the second half, too. */
struct vos_ent_df {
    uint64_t hkey; /* extents: first index */
    uint64_t off; /* record or child; incarnation logs: struct vos_ilog_ent in 64 bits */
    uint64_t hi; /* last index below here */
    uint64_t epoch; /* smallest epoch below here */
    uint64_t epoch_max; /* largest epoch below here */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_ent_df) == 40, "format");
/*
 * In `off` of a leaf of keys, of one of at most 8 bytes, how many those are in bits 48 to 51: the log of the record is one creation and nothing else, decided, at or below the object's
 * epoch_max. Since `hkey` says what such a key is, the entry tells all that a listing of the newest state needs. Without it the record tells; it may be missing where it could be.
 */
#define VOS_ENT_PLAIN (UINT64_C(1) << 63)
#define VOS_ENT_REC_MASK ((UINT64_C(1) << 48) - 1)
enum { VOS_ENT_LEN_SHIFT = 48, VOS_ENT_LEN_MASK = 15, VOS_ENT_KEY_BYTES_MAX = 8 };

/*
 * Incarnation log: creations and punches. One entry is embedded: its epoch, and `ent` the rest (both zero: empty log). More: `ent` is
 * VOS_ILOG_TREE, and a tree has the entries by epoch, with their `ent` in place of record offsets.
 * `ent`: bits 0..15 minor epoch of the creation (0: none), 16..31 of the punch (0: none), 32..63 DTX id (0: committed).
 */
struct vos_ilog_df {
    union {
        uint64_t epoch;
        struct vos_tree_df tree;
    };
    uint64_t ent;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_ilog_df) == 16, "format");
/* Neither created nor punched, by a transaction that cannot be. */
#define VOS_ILOG_TREE UINT64_C(0xffffffff00000000)

/* At umem_root(). */
struct vos_root_df {
    uint64_t magic;
    uint32_t version;
    uint32_t pad;
    uint64_t feat_compat;
    uint64_t feat_ro_compat;
    uint64_t feat_incompat;
    uint64_t epoch_bound; /* no epoch above it was ever used (ST-6) */
    uint64_t shard_next; /* number of the next pool shard */
    uint64_t gc_head; /* queue of what is being destroyed: struct vos_gc_df, oldest first */
    uint64_t gc_tail;
    struct vos_tree_df pools;
    uint8_t rsvd[176];
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_root_df) == 256, "format");
CAIRN_STATIC_ASSERT(offsetof(struct vos_root_df, pools) == 72, "format");

struct vos_pool_df {
    uint8_t magic;
    uint8_t is_out; /* 1: out of service, since so much of it was bad */
    uint8_t pad[2];
    uint32_t scrub_bad_nr; /* found bad by the newest pass, as far as its place */
    uint8_t uuid[16];
    uint64_t shard; /* names it in log records (ST-12) */
    uint64_t meta_quota;
    uint64_t data_quota;
    uint64_t horizon; /* requests of forgotten clients are not newer (MS-2) */
    uint64_t meta_used; /* by the shard itself and its request table; containers count theirs */
    struct vos_tree_df conts;
    struct vos_tree_df clients;
    uint64_t scrub_start_ns; /* wall time at which the newest pass began; 0: there was none */
    uint64_t scrub_cont,
        scrub_obj; /* its place as prefixes of keys; the first UINT64_MAX: it is complete */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_pool_df) == 104, "format");

/* What the last pass of aggregation left. */
enum vos_agg_left {
    VOS_AGG_LEFT_WORK = 1 << 0, /* something that the next one has to look at */
    VOS_AGG_LEFT_COOL =
        1 << 1, /* values that move to the data role when the metadata become short of room */
};

struct vos_cont_df {
    uint8_t magic;
    uint8_t pad[7];
    uint8_t uuid[16];
    uint64_t shard;
    /* The next four change together. */
    uint64_t epoch_max;
    uint64_t obj_nr;
    uint64_t meta_used;
    uint64_t data_used;
    struct vos_tree_df objs;
    /* The next three change together. */
    uint64_t agg_epoch; /* everything at or below it was aggregated; 0: nothing */
    uint64_t agg_snaps; /* hash of the snapshots at or below it then */
    uint64_t agg_left; /* enum vos_agg_left */
    uint64_t dtx; /* struct vos_dtx_tab_df; 0: there was no transaction yet */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_cont_df) == 104, "format");

struct vos_obj_df {
    uint8_t magic;
    uint8_t pad[7];
    uint64_t oid_lo;
    uint64_t oid_hi;
    uint32_t shard;
    uint32_t layout_ver;
    uint64_t epoch_max;
    struct vos_ilog_df ilog;
    struct vos_tree_df dkeys;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_obj_df) == 64, "format");

enum vos_key_flags {
    VOS_KEY_INSIDE = 1 << 0, /* akey: it lies in the room of its dkey, not in a block of its own */
    VOS_KEY_HOLES =
        1 << 1, /* akey: an array in which ranges were punched; holes may be among its extents */
};

/*
 * A dkey (tree of akeys) or an akey (tree of versions or extents). The key's bytes follow. A dkey may have room for the record of one akey behind
 * its key, at the next multiple of 8: most have one akey, which then costs no block and no other line of memory. Whoever goes through trees sees
 * no difference. The room's first byte (the record's magic) is 0 while it is free.
 */
struct vos_key_df {
    uint8_t magic;
    uint8_t flags;
    uint16_t key_len;
    union {
        uint32_t rec_size; /* akey with an array: bytes of a record, 0 while only holes were written */
        uint32_t room; /* dkey: bytes of the room, a multiple of 8; 0: none */
    };
    struct vos_ilog_df ilog;
    struct vos_tree_df tree;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_key_df) == 32, "format");

enum vos_ver_flags {
    VOS_VER_HOLE = 1 << 0, /* punched: hides what is older */
    VOS_VER_INLINE = 1 << 1, /* the value follows the checksums */
    /* Fields that nearly always have the same value take room only where they do not. */
    VOS_VER_DTX = 1 << 2,
    VOS_VER_KIND = 1 << 3,
    VOS_VER_MORE = 1 << 4,
    VOS_VER_APART =
        1 << 5, /* with VOS_VER_INLINE: the value has a block of its own, since with it the record would be larger than VOS_REC_BYTES_MAX */
};
enum { VOS_REC_BYTES_MAX = 4096 };

/*
 * One version of a value (FM-1). Behind the part that all have follow, each as far as it is there and without gaps:
 *   first and last index, 8 bytes each: an extent (VOS_EXT_MAGIC)
 *   address in the data role, 8: neither VOS_VER_HOLE nor VOS_VER_INLINE; offset of the value's block, 8: VOS_VER_APART
 *   DTX id, 4: VOS_VER_DTX; else 0, committed
 *   kind of the checksums, struct vos_csum, 4: VOS_VER_KIND; else CRC-32C, of 32 KiB each
 *   logical length 4, key id 4, global size 8: VOS_VER_MORE; else the length, 0 (not encrypted) and 0 (not erasure-coded)
 *   checksums, one for each chunk of the value: not VOS_VER_HOLE
 *   the value: VOS_VER_INLINE without VOS_VER_APART
 * Read through vos_ver_get(), written by vos_ver_create() (vos_rec.h).
 */
struct vos_ver_df {
    uint8_t magic;
    uint8_t flags;
    uint16_t minor;
    uint32_t pm_ver;
    uint64_t epoch;
    uint32_t stored_len;
} __attribute__((packed, aligned(4)));
CAIRN_STATIC_ASSERT(sizeof(struct vos_ver_df) == 20, "format");

/* Request table (MS-2): a client, and its slots in groups. */
enum { VOS_SLOT_GROUP_NR = 16, VOS_SLOT_GROUPS_NR_MAX = 64 };

struct vos_slot_df {
    uint64_t seq; /* 0: never used */
    uint64_t hlc;
    uint64_t epoch;
    uint32_t result_len;
    uint32_t pad;
    uint8_t result[64];
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_slot_df) == 96, "format");

struct vos_slots_df {
    uint8_t magic;
    uint8_t pad[7];
    uint64_t rsvd;
    struct vos_slot_df slots[VOS_SLOT_GROUP_NR];
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_slots_df) == 1552, "format");

struct vos_client_df {
    uint8_t magic;
    uint8_t pad[7];
    uint8_t uuid[16];
    uint64_t horizon; /* of the shard when this record was made */
    uint64_t groups[VOS_SLOT_GROUPS_NR_MAX];
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_client_df) == 544, "format");

/*
 * Table of the transactions of a container (docs/decisions/0016-dtx-table.md). What one has prepared is marked with its local id, the number of a slot, from 1 on; the
 * slot points to its record, which has a reference to everything that is marked. No mark without a reference, no reference without its mark.
 */
enum {
    VOS_DTX_SLOTS_NR = 126,
    VOS_DTX_REFS_NR = 42,
    VOS_DTX_INLINE_REFS_NR_MAX = 32,
    VOS_DTX_DONES_NR = 31
};

struct vos_dtx_tab_df {
    uint8_t magic;
    uint8_t pad[7];
    uint64_t slots; /* first struct vos_dtx_slots_df */
    uint64_t done_head, done_tail; /* outcomes: struct vos_dtx_done_df, oldest first */
    uint64_t done_nr;
    uint64_t horizon; /* largest hlc of what was forgotten */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_tab_df) == 48, "format");

struct vos_dtx_slots_df {
    uint8_t magic;
    uint8_t pad[7];
    uint64_t next;
    uint64_t slots[VOS_DTX_SLOTS_NR]; /* struct vos_dtx_df; 0: free */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_slots_df) == 1024, "format");

enum vos_dtx_ref_kind {
    VOS_DTX_REF_VALUE = 1,
    VOS_DTX_REF_EXT,
    VOS_DTX_REF_OBJ, /* an event of its log, at the epoch of the transaction */
    VOS_DTX_REF_DKEY,
    VOS_DTX_REF_AKEY,
};

struct vos_dtx_ref_df {
    uint64_t rec; /* version, extent, object or key; lowest three bits: enum vos_dtx_ref_kind */
    uint64_t owner; /* in whose tree it is: akey; container, object, dkey */
    uint64_t obj; /* object record */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_ref_df) == 24, "format");

enum vos_dtx_df_state { VOS_DTX_DF_PREPARED = 1, VOS_DTX_DF_COMMITTED, VOS_DTX_DF_ABORTED };

/* The caller's blob follows, filled up to a multiple of 8, then the first references. */
struct vos_dtx_df {
    uint8_t magic;
    uint8_t state;
    uint16_t blob_len;
    uint32_t lid;
    uint8_t uuid[16];
    uint64_t hlc;
    uint64_t epoch;
    uint32_t flags;
    uint32_t pm_ver;
    uint32_t part_nr;
    uint16_t minor; /* last one used */
    uint16_t inline_cap, inline_nr; /* room for references here, those left */
    uint16_t pad[3];
    uint64_t ref_nr; /* left, here and in the chain */
    uint64_t refs; /* more: struct vos_dtx_refs_df, newest first */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_df) == 80, "format");

struct vos_dtx_refs_df {
    uint8_t magic;
    uint8_t pad;
    uint16_t nr;
    uint32_t pad2;
    uint64_t next;
    struct vos_dtx_ref_df refs[VOS_DTX_REFS_NR];
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_refs_df) == 1024, "format");

struct vos_dtx_out_df {
    uint8_t uuid[16];
    uint64_t hlc;
    uint64_t epoch;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_out_df) == 32, "format");

struct vos_dtx_done_df {
    uint8_t magic;
    uint8_t pad[3];
    uint16_t first, end; /* those forgotten come before, those not yet there from here on */
    uint32_t aborted; /* bit i: outs[i] was aborted */
    uint32_t pad2;
    uint64_t next;
    uint64_t rsvd;
    struct vos_dtx_out_df outs[VOS_DTX_DONES_NR];
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_dtx_done_df) == 1024, "format");

/* One thing being destroyed: a pool or container record that is in no tree any more. */
struct vos_gc_df {
    uint8_t magic;
    uint8_t id; /* VOS_TREE_POOL or VOS_TREE_CONT: what `rec` is */
    uint8_t pad[6];
    uint64_t rec;
    uint64_t next;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_gc_df) == 24, "format");

#endif
