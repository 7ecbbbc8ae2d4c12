/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a vos_apply() may ask for: every argument is checked before anything is done, and the work of its one transaction is bounded, by parts
 * and by the bytes that it puts beside the index (ST-9); so is its log record. Tested by test/vos_io_test.c.
 */
#include "vos/vos_priv.h"

#include <stdlib.h>
#include <string.h>

enum { COND_ALL = 0xff };

int
vos_recx_cmp(const void *a, const void *b)
{
    const struct recx *x = a, *y = b;

    return x->idx < y->idx ? -1 : x->idx > y->idx;
}

static int
recxs_check_overlap(const struct vos_iod *iod)
{
    struct recx *sorted;
    bool overlap = false, ascending = true;

    for (uint32_t i = 1; i < iod->recx_nr && ascending; i++) {
        ascending = iod->recxs[i - 1].idx + iod->recxs[i - 1].nr <= iod->recxs[i].idx;
    }
    if (ascending)
        return 0;
    sorted = vos_mem_get(iod->recx_nr * sizeof(*sorted));
    if (sorted == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(sorted, iod->recxs, iod->recx_nr * sizeof(*sorted));
    qsort(sorted, iod->recx_nr, sizeof(*sorted), vos_recx_cmp);
    for (uint32_t i = 1; i < iod->recx_nr && !overlap; i++) {
        overlap = sorted[i - 1].idx + sorted[i - 1].nr > sorted[i].idx;
    }
    free(sorted);
    return overlap ? CAIRN_ERR(INVAL) : 0;
}

static int
array_check(const struct vos_iod *iod)
{
    uint64_t total = 0, bytes;

    if (iod->recx_nr == 0 || iod->recx_nr > VOS_RECXS_NR_MAX || iod->recxs == NULL)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < iod->recx_nr; i++) {
        const struct recx *r = &iod->recxs[i];

        if (r->nr == 0 || r->idx >> 63 != 0 || r->nr > (UINT64_C(1) << 63) - r->idx)
            return CAIRN_ERR(INVAL);
        if (iod->size == 0)
            continue;
        if (!mul_u64(r->nr, iod->size, &bytes) || bytes > VOS_VALUE_BYTES_MAX)
            return CAIRN_ERR(REC2BIG);
        total += bytes;
    }
    if (iod->size != 0 && total != iod->data.len)
        return CAIRN_ERR(INVAL);
    return recxs_check_overlap(iod);
}

static int
iod_check(const struct vos_btr_kind *akey_kind, const struct vos_mod *mod, const struct vos_iod *iod)
{
    int rc = vos_key_check(akey_kind, &iod->akey);

    if (rc != 0 || mod->op == VOS_MOD_PUNCH_AKEYS)
        return rc;
    if (iod->size > VOS_VALUE_BYTES_MAX)
        return CAIRN_ERR(REC2BIG);
    if ((iod->cond & ~(uint32_t)COND_ALL) != 0)
        return CAIRN_ERR(INVAL);
    if (iod->type == VOS_IOD_ARRAY)
        return array_check(iod);
    if (iod->type != VOS_IOD_SINGLE)
        return CAIRN_ERR(INVAL);
    return iod->size != 0 && iod->data.len != iod->size ? CAIRN_ERR(INVAL) : 0;
}

static int
akey_cmp(const void *a, const void *b)
{
    const struct iov *x = &(*(const struct vos_iod *const *)a)->akey;
    const struct iov *y = &(*(const struct vos_iod *const *)b)->akey;

    return x->len != y->len ? (x->len < y->len ? -1 : 1) : memcmp(x->buf, y->buf, x->len);
}

static int
akeys_check_distinct(const struct vos_mod *mod)
{
    const struct vos_iod **sorted;
    bool same = false;

    if (mod->iod_nr < 2)
        return 0;
    sorted = vos_mem_get(mod->iod_nr * sizeof(*sorted));
    if (sorted == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        sorted[i] = &mod->iods[i];
    }
    qsort(sorted, mod->iod_nr, sizeof(*sorted), akey_cmp);
    for (uint32_t i = 1; i < mod->iod_nr && !same; i++) {
        same = akey_cmp(&sorted[i - 1], &sorted[i]) == 0;
    }
    free(sorted);
    return same ? CAIRN_ERR(INVAL) : 0;
}

static int
mod_check(const struct vos_mod *mod)
{
    const struct vos_btr_kind *dkey_kind, *akey_kind;
    int rc = vos_kind_of_dkey(mod->oid.oid, &dkey_kind);

    if (rc == 0)
        rc = vos_kind_of_akey(mod->oid.oid, &akey_kind);
    if (rc != 0)
        return rc;
    if ((mod->cond & ~(uint32_t)COND_ALL) != 0)
        return CAIRN_ERR(INVAL);
    switch (mod->op) {
    case VOS_MOD_PUNCH_OBJ:
        return 0;
    case VOS_MOD_PUNCH_DKEY:
        return vos_key_check(dkey_kind, &mod->dkey);
    case VOS_MOD_UPDATE:
    case VOS_MOD_PUNCH_AKEYS:
        break;
    default:
        return CAIRN_ERR(INVAL);
    }
    rc = vos_key_check(dkey_kind, &mod->dkey);
    if (rc == 0 && (mod->iod_nr == 0 || mod->iod_nr > VOS_IODS_NR_MAX || mod->iods == NULL))
        rc = CAIRN_ERR(INVAL);
    for (uint32_t i = 0; rc == 0 && i < mod->iod_nr; i++) {
        rc = iod_check(akey_kind, mod, &mod->iods[i]);
    }
    return rc != 0 ? rc : akeys_check_distinct(mod);
}

/* Parts of a modification, as far as the limit; the bytes of its values that are small enough for the index. */
static uint32_t
mod_size(const struct vos_mod *mod, uint64_t *bytes)
{
    bool is_update = mod->op == VOS_MOD_UPDATE;
    uint32_t nr = 0;

    if (!is_update && mod->op != VOS_MOD_PUNCH_AKEYS)
        return 1;
    for (uint32_t i = 0; i < mod->iod_nr && nr <= VOS_PARTS_NR_MAX; i++) {
        const struct vos_iod *iod = &mod->iods[i];

        if (!is_update || iod->type == VOS_IOD_SINGLE) {
            nr++;
            *bytes += is_update && iod->size <= VOS_INLINE_BYTES_MAX ? iod->size : 0;
            continue;
        }
        nr += iod->recx_nr;
        for (uint32_t r = 0; r < iod->recx_nr && iod->size != 0; r++) {
            uint64_t len = iod->recxs[r].nr * iod->size;

            *bytes += len <= VOS_INLINE_BYTES_MAX ? len : 0;
        }
    }
    return nr;
}

static bool
has_all_data(const struct vos_mod *mod)
{
    for (uint32_t i = 0; mod->op == VOS_MOD_UPDATE && i < mod->iod_nr; i++) {
        if (mod->iods[i].size != 0 && mod->iods[i].data.buf == NULL)
            return false;
    }
    return true;
}

int
vos_args_check(const struct vos_apply_args *args, bool has_data, uint64_t *ret_inline_max)
{
    uint64_t bytes = 0;
    uint32_t nr = 0;
    int rc;

    if (args->mod_nr == 0 || args->mod_nr > VOS_MODS_NR_MAX || args->mods == NULL ||
        args->epoch == VOS_EPOCH_MAX || (args->flags & ~(uint32_t)VOS_APPLY_NO_HISTORY) != 0 ||
        args->csum_type >= CSUM_TYPES_NR || args->result.len > VOS_RESULT_BYTES_MAX ||
        (args->result.len > 0 && args->result.buf == NULL))
        return CAIRN_ERR(INVAL);
    rc = vos_req_check(&args->req);
    for (uint32_t i = 0; rc == 0 && i < args->mod_nr; i++) {
        rc = mod_check(&args->mods[i]);
        if (rc == 0)
            nr += mod_size(&args->mods[i], &bytes);
        if (nr > VOS_PARTS_NR_MAX || (rc == 0 && has_data && !has_all_data(&args->mods[i])))
            rc = CAIRN_ERR(INVAL);
    }
    if (rc == 0) {
        *ret_inline_max =
            bytes > VOS_INLINE_SUM_BYTES_MAX ? VOS_INLINE_SMALL_BYTES_MAX : VOS_INLINE_BYTES_MAX;
    }
    return rc;
}
