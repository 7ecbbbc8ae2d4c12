/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Records of the store: checked access, keys, and the kinds of trees that hold them. */
#ifndef CAIRN_VOS_REC_H
#define CAIRN_VOS_REC_H

#include "base/codec.h"
#include "base/hash.h"
#include "vos/vos.h"
#include "vos/vos_btree.h"
#include "vos/vos_csum.h"
#include "vos/vos_op.h"

extern const struct vos_btr_kind vos_kind_pool, vos_kind_cont, vos_kind_obj, vos_kind_key_hashed,
    vos_kind_key_uint, vos_kind_key_lex, vos_kind_single, vos_kind_ext, vos_kind_ilog,
    vos_kind_client;

enum { VOS_KEY_INSIDE_BYTES_MAX = 64 };
#define VOS_KEY_HASH_STEP UINT64_C(0x9e3779b97f4a7c15)

/* The object key of FM-1 as bytes to hash and compare. */
struct vos_oid_bytes {
    uint64_t hi, lo;
    uint32_t shard, layout_ver;
};

/** Keys of each level. The result borrows the argument (and *ret_bytes). */
struct vos_btr_key vos_key_uuid(const struct uuid *id);
struct vos_btr_key
vos_key_oid(const struct vos_op *op, const struct vos_oid *oid, struct vos_oid_bytes *ret_bytes);
struct vos_btr_key
vos_key_bytes(const struct vos_op *op, const struct vos_btr_kind *kind, const struct iov *key);
struct vos_btr_key vos_key_epoch(const struct vos_epoch *ver);

/** Prefix of a hashed key. Of one of at most VOS_ENT_KEY_BYTES_MAX bytes it says, with the length, what the key is. */
static inline uint64_t
vos_key_hash(const void *buf, size_t len)
{
    const uint8_t *p = buf;
    uint64_t key = 0;

    if (len > VOS_ENT_KEY_BYTES_MAX)
        return hash_bytes64(buf, len, 0);
    if (len == VOS_ENT_KEY_BYTES_MAX) {
        key = le64_get(p);
    } else {
        for (size_t i = 0; i < len; i++) {
            key |= (uint64_t)p[i] << 8 * i;
        }
    }
    return hash_mix64(key + len * VOS_KEY_HASH_STEP);
}

/** Bytes of the key of an entry that is plain. */
static inline uint32_t
vos_ent_key_len(const struct vos_ent_df *e)
{
    return (uint32_t)(e->off >> VOS_ENT_LEN_SHIFT) & VOS_ENT_LEN_MASK;
}

/** Of a leaf of keys: it says VOS_ENT_PLAIN, with a length that may be. */
static inline bool
vos_ent_is_plain(const struct vos_ent_df *e)
{
    return (e->off & VOS_ENT_PLAIN) != 0 && vos_ent_key_len(e) - 1 < VOS_ENT_KEY_BYTES_MAX;
}

/** The bytes of a key whose entry is plain, zeros behind a short one, as a number in memory. */
static inline uint64_t
vos_key_of_ent(const struct vos_btr_kind *kind, uint64_t hkey, uint32_t len)
{
    return kind->id == VOS_TREE_KEY_UINT ? hkey
        : kind->id == VOS_TREE_KEY_LEX   ? __builtin_bswap64(hkey)
                                         : hash_unmix64(hkey) - len * VOS_KEY_HASH_STEP;
}

/** What stands beside the record in the entry of a key whose log is plain; 0: such a key is not in its entry. */
static inline uint64_t
vos_key_plain_bits(const struct vos_op *op, const struct vos_btr_kind *kind, uint32_t len)
{
    if (len > VOS_ENT_KEY_BYTES_MAX || !kind->has_plain ||
        (kind->id == VOS_TREE_KEY_HASHED && op->hash_mask != UINT64_MAX))
        return 0;
    return VOS_ENT_PLAIN | (uint64_t)len << VOS_ENT_LEN_SHIFT;
}

/** Kind of the dkeys (akeys) of an object by its type. Errors: INVAL unknown type. */
CAIRN_MUST_CHECK int vos_kind_of_dkey(struct oid oid, const struct vos_btr_kind **ret_kind);
CAIRN_MUST_CHECK int vos_kind_of_akey(struct oid oid, const struct vos_btr_kind **ret_kind);
/** A key given by a user. Errors: INVAL empty or of a wrong size; KEY2BIG. */
CAIRN_MUST_CHECK int vos_key_check(const struct vos_btr_kind *kind, const struct iov *key);

/* Checked access to records. Errors: AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int vos_pool_get(struct vos_op *op, uint64_t off, struct vos_pool_df **ret_rec);
CAIRN_MUST_CHECK int vos_cont_get(struct vos_op *op, uint64_t off, struct vos_cont_df **ret_rec);
CAIRN_MUST_CHECK int vos_obj_get(struct vos_op *op, uint64_t off, struct vos_obj_df **ret_rec);
CAIRN_MUST_CHECK int
vos_key_get(struct vos_op *op, uint64_t off, struct vos_key_df **ret_rec); /* dkey or akey */
CAIRN_MUST_CHECK int vos_client_get(struct vos_op *op, uint64_t off, struct vos_client_df **ret_rec);
CAIRN_MUST_CHECK int vos_slots_get(struct vos_op *op, uint64_t off, struct vos_slots_df **ret_rec);

/* ---- versions ------------------------------------------------------------------------------------------------------- */

/* A version as it was read, or is to be written (vos_format.h). */
struct vos_ver {
    uint64_t epoch;
    uint16_t minor;
    uint8_t flags; /* VOS_VER_HOLE, VOS_VER_INLINE; of what was read, all. Inline: with the metadata, in the record or apart */
    bool is_ext; /* of an array, from lo to hi; else a single value */
    uint32_t dtx; /* 0: committed */
    uint32_t pm_ver;
    uint32_t stored_len, logical_len;
    uint32_t key_id; /* 0: not encrypted */
    struct vos_csum csum;
    uint32_t csum_nr; /* by stored_len and csum */
    uint64_t gsize; /* of an erasure-coded single value; else 0 */
    uint64_t addr; /* in the data role; 0 when inline or hole */
    uint64_t lo, hi;
    const uint8_t *csums; /* inside of the record when it was read; to write: NULL is zeros */
    const uint8_t *data; /* the same; inline only; NULL when it was read and lies apart: vos_ver_data() */
    uint64_t apart; /* where the value lies in the arena; 0: in the record, or not there */
    uint32_t bytes; /* of the whole record, without what lies apart */
};

/** The record at `p`, of which `room` bytes may be looked at. False: it is none. */
bool vos_ver_decode(const void *p, uint32_t room, struct vos_ver *ret_ver);
/** Read one, value or extent. *ret_ver is good until the next yield. Errors: AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int vos_ver_get(struct vos_op *op, uint64_t off, struct vos_ver *ret_ver);
/** Set `data` of a version that was just read, if its value lies apart. Errors: AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK static inline int
vos_ver_data(struct vos_op *op, struct vos_ver *ver)
{
    return ver->apart == 0 ? 0 : vos_ptr(op, ver->apart, ver->stored_len, &ver->data);
}
/** Free the blocks of a record that was just read. What it has in the data role is not looked at. Errors: AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int vos_ver_free(struct vos_op *op, uint64_t off, const struct vos_ver *ver);
/** The same, an extent only. */
CAIRN_MUST_CHECK int vos_ext_get(struct vos_op *op, uint64_t off, struct vos_ver *ret_ver);
/** Write a new record; `csums` and `data` are copied from where they are; `csum_nr`, `bytes`, `apart` and other flags than HOLE and INLINE are not looked at. Errors: as of
 * vos_alloc(). */
CAIRN_MUST_CHECK int vos_ver_create(struct vos_op *op, const struct vos_ver *ver, uint64_t *ret_off);
/** Change the DTX id of one that was made with one, or make it 0. Errors: AGAIN; DF_INVAL, also when there is no room for it. */
CAIRN_MUST_CHECK int vos_ver_dtx_set(struct vos_op *op, uint64_t off, uint32_t dtx);

static inline struct vos_epoch
vos_ver_epoch(const struct vos_ver *ver)
{
    return (struct vos_epoch){ver->epoch, ver->minor};
}

/* What the tree holds of an extent. */
static inline struct vos_ent_df
vos_ext_ent(const struct vos_ver *ext, uint64_t rec)
{
    return (struct vos_ent_df){
        .hkey = ext->lo, .off = rec, .hi = ext->hi, .epoch = ext->epoch, .epoch_max = ext->epoch};
}

/** Of its extent in the data role; 0: none. */
static inline uint64_t
vos_ver_ext_bytes(const struct vos_ver *ver)
{
    return ver->addr == 0 ? 0 : ALIGN_UP((uint64_t)ver->stored_len, (uint64_t)BIO_BLK_BYTES);
}

/* ---- keys ----------------------------------------------------------------------------------------------------------- */

/** Where the room of a dkey begins, from its record on. */
static inline uint32_t
vos_key_room_at(const struct vos_key_df *rec)
{
    return ALIGN_UP((uint32_t)sizeof(*rec) + rec->key_len, 8u);
}

/** Room for an akey of that many bytes; 0: such are not put into rooms. */
static inline uint32_t
vos_key_room_for(size_t akey_len)
{
    return akey_len > VOS_KEY_INSIDE_BYTES_MAX
        ? 0
        : ALIGN_UP((uint32_t)sizeof(struct vos_key_df) + (uint32_t)akey_len, 8u);
}

/** Of the block; 0: it has none of its own. */
static inline uint32_t
vos_key_block_bytes(const struct vos_key_df *rec)
{
    if ((rec->flags & VOS_KEY_INSIDE) != 0)
        return 0;
    return rec->magic == VOS_DKEY_MAGIC && rec->room != 0 ? vos_key_room_at(rec) + rec->room
                                                          : (uint32_t)sizeof(*rec) + rec->key_len;
}

/** Free the record of a dkey or akey that is in no tree any more and has nothing below it. Errors: AGAIN; DF_INVAL. */
CAIRN_MUST_CHECK int vos_key_free(struct vos_op *op, uint64_t off);

static inline struct iov
vos_key_iov(const struct vos_key_df *rec)
{
    return (struct iov){.buf = (void *)(uintptr_t)(rec + 1), .len = rec->key_len};
}

/**
 * Say of the key's entry in the tree at `df` whether its log is plain (VOS_ENT_PLAIN). Cheap when it does so already, or has no room to say it. Errors: AGAIN; DF_INVAL; OVERFLOW.
 */
CAIRN_MUST_CHECK int vos_key_plain_set(struct vos_op *op, const struct vos_btr_kind *kind,
    struct vos_tree_df *df, uint64_t df_off, uint64_t rec, bool is_plain);

/**
 * Look up a dkey or akey in the tree at `df` = arena offset `df_off`: *ret_off 0 when there is none. Cheaper than a cursor, which is what inserting takes.
 * Errors: AGAIN; DF_INVAL.
 */
CAIRN_MUST_CHECK int
vos_key_find(struct vos_op *op, const struct vos_btr_kind *kind, struct vos_tree_df *df,
    uint64_t df_off, const struct vos_btr_key *key, uint64_t *ret_off, struct vos_key_df **ret_rec);

/** The end of it: `off` is the only record that may have the key. */
CAIRN_MUST_CHECK int vos_key_find_at(struct vos_op *op, uint64_t off, const struct vos_btr_key *key,
    uint64_t *ret_off, struct vos_key_df **ret_rec);

/** Look up a record by key: *ret_off 0 when there is none. */
CAIRN_MUST_CHECK int
vos_rec_find(struct vos_btr *t, const struct vos_btr_key *key, uint64_t *ret_off);

#endif
