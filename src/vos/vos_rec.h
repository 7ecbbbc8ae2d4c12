/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Records of the store: checked access, keys, and the kinds of trees that hold them. */
#ifndef CAIRN_VOS_REC_H
#define CAIRN_VOS_REC_H

#include "vos/vos.h"
#include "vos/vos_btree.h"
#include "vos/vos_op.h"

extern const struct vos_btr_kind vos_kind_pool, vos_kind_cont, vos_kind_obj, vos_kind_key_hashed,
    vos_kind_key_uint, vos_kind_key_lex, vos_kind_single, vos_kind_ext, vos_kind_ilog,
    vos_kind_client;

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
CAIRN_MUST_CHECK int
vos_ver_get(struct vos_op *op, uint64_t off, struct vos_ver_df **ret_rec); /* value or extent */
CAIRN_MUST_CHECK int vos_ext_get(struct vos_op *op, uint64_t off, struct vos_ext_df **ret_rec);
CAIRN_MUST_CHECK int vos_client_get(struct vos_op *op, uint64_t off, struct vos_client_df **ret_rec);
CAIRN_MUST_CHECK int vos_slots_get(struct vos_op *op, uint64_t off, struct vos_slots_df **ret_rec);

/* What the tree holds of an extent. */
static inline struct vos_ent_df
vos_ext_ent(const struct vos_ext_df *ext, uint64_t rec)
{
    return (struct vos_ent_df){.hkey = ext->lo,
        .off = rec,
        .hi = ext->hi,
        .epoch = ext->ver.epoch,
        .epoch_max = ext->ver.epoch};
}

/* Parts of a version record (checked by vos_ver_get). */
uint32_t vos_ver_bytes(const struct vos_ver_df *ver); /* of the whole record */
static inline uint32_t
vos_ver_fixed_bytes(const struct vos_ver_df *ver)
{
    return ver->magic == VOS_EXT_MAGIC ? sizeof(struct vos_ext_df) : sizeof(struct vos_ver_df);
}

/** Aligned to 8. */
static inline const uint8_t *
vos_ver_csums(const struct vos_ver_df *ver)
{
    return (const uint8_t *)ver + vos_ver_fixed_bytes(ver);
}

/** Inline only. */
static inline const uint8_t *
vos_ver_data(const struct vos_ver_df *ver)
{
    return vos_ver_csums(ver) + ALIGN_UP(ver->csum_nr * ver->csum_len, 8u);
}

uint64_t vos_ver_ext_bytes(const struct vos_ver_df *ver); /* of its extent in the data role; 0: none */

static inline uint32_t
vos_key_bytes_total(const struct vos_key_df *rec)
{
    return (uint32_t)sizeof(*rec) + rec->key_len;
}

static inline struct iov
vos_key_iov(const struct vos_key_df *rec)
{
    return (struct iov){.buf = (void *)(uintptr_t)(rec + 1), .len = rec->key_len};
}

/** Look up a record by key: *ret_off 0 when there is none. */
CAIRN_MUST_CHECK int
vos_rec_find(struct vos_btr *t, const struct vos_btr_key *key, uint64_t *ret_off);

#endif
