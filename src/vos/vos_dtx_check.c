/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos_tgt_check() of the table of transactions, one thing at a time: each reference has its mark, and, counted, each mark its reference (DTX-1).
 */
#include "vos/vos_dtx.h"
#include "vos/vos_priv.h"

#include <string.h>

enum { AT_TAB, AT_BLK, AT_SLOT, AT_REF, AT_CHAIN, AT_CHAIN_REF, AT_DONE, AT_END };

static int
ref_check_log(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t rec,
    const struct vos_dtx_df *dtx)
{
    uint32_t lid;
    bool exists;
    int rc = vos_ilog_mark(op, ilog, ilog_off, dtx->epoch, &exists, &lid);

    return rc != 0                  ? rc
        : exists && lid == dtx->lid ? 0
                                    : vos_bad(rec, "reference of a transaction");
}

/* The reference names a mark of its transaction. */
static int
ref_check(struct vos_op *op, const struct vos_dtx_ref_df *ref, const struct vos_dtx_df *dtx)
{
    uint64_t off = ref->rec & ~UINT64_C(7);
    uint32_t kind = (uint32_t)(ref->rec & 7);
    struct vos_obj_df *obj;
    struct vos_key_df *key;
    struct vos_ver ver;
    int rc = vos_obj_get(op, ref->obj, &obj);

    if (rc != 0)
        return rc;
    switch (kind) {
    case VOS_DTX_REF_VALUE:
    case VOS_DTX_REF_EXT:
        rc = vos_key_get(op, ref->owner, &key);
        if (rc == 0)
            rc = vos_ver_get(op, off, &ver);
        if (rc != 0)
            return rc;
        return ver.dtx == dtx->lid && ver.epoch == dtx->epoch
            ? 0
            : vos_bad(off, "reference of a transaction");
    case VOS_DTX_REF_OBJ:
        rc = vos_obj_get(op, off, &obj);
        return rc != 0 ? rc : ref_check_log(op, &obj->ilog, vos_obj_ilog_off(off), off, dtx);
    case VOS_DTX_REF_DKEY:
    case VOS_DTX_REF_AKEY:
        rc = vos_key_get(op, off, &key);
        return rc != 0 ? rc : ref_check_log(op, &key->ilog, vos_key_ilog_off(off), off, dtx);
    default:
        return vos_bad(off, "reference of a transaction");
    }
}

static int
step_tab(struct vos_op *op, struct vos_dtx_check *c, uint64_t tab_off, uint32_t *ret_bytes)
{
    struct vos_dtx_tab_df *tab;
    int rc = vos_dtx_tab_get(op, tab_off, &tab);

    if (rc != 0)
        return rc;
    if (tab->done_nr > VOS_DTX_DONE_NR_MAX)
        return vos_bad(tab_off, "outcomes of transactions");
    c->blk = tab->slots;
    c->next_done = tab->done_head;
    c->done_nr = tab->done_nr;
    c->at = AT_BLK;
    *ret_bytes = sizeof(*tab);
    return 0;
}

static int
step_blk(struct vos_op *op, struct vos_dtx_check *c, uint64_t *ret_off, uint32_t *ret_bytes)
{
    struct vos_dtx_slots_df *blk;
    uint32_t *nrs;
    int rc;

    if (c->blk == 0) {
        c->at = AT_DONE;
        return 0;
    }
    rc = vos_dtx_slots_get(op, c->blk, &blk);
    if (rc == 0 && c->blk_nr == VOS_DTX_ACTIVE_NR_MAX / VOS_DTX_SLOTS_NR)
        rc = vos_bad(c->blk, "table of transactions");
    if (rc != 0)
        return rc;
    nrs =
        vos_heap_realloc(c->heap, c->nrs, (size_t)(c->blk_nr + 1) * VOS_DTX_SLOTS_NR * sizeof(*nrs));
    if (nrs == NULL)
        return CAIRN_ERR(NOMEM);
    c->nrs = nrs;
    memset(nrs + c->nr, 0, VOS_DTX_SLOTS_NR * sizeof(*nrs));
    c->nr += VOS_DTX_SLOTS_NR;
    c->blk_nr++;
    c->idx = 0;
    c->at = AT_SLOT;
    *ret_off = c->blk;
    *ret_bytes = sizeof(*blk);
    return 0;
}

static int
step_slot(struct vos_op *op, struct vos_dtx_check *c, uint64_t *ret_off, uint32_t *ret_bytes)
{
    struct vos_dtx_slots_df *blk;
    struct vos_dtx_df *rec;
    uint32_t lid = (c->blk_nr - 1) * VOS_DTX_SLOTS_NR + c->idx + 1;
    int rc = vos_dtx_slots_get(op, c->blk, &blk);

    if (rc != 0)
        return rc;
    if (c->idx == VOS_DTX_SLOTS_NR) {
        c->blk = blk->next;
        c->at = AT_BLK;
        return 0;
    }
    if (blk->slots[c->idx] == 0) {
        c->idx++;
        return 0;
    }
    rc = vos_dtx_get(op, blk->slots[c->idx], &rec);
    if (rc == 0 && rec->lid != lid)
        rc = vos_bad(blk->slots[c->idx], "lid of a transaction");
    if (rc != 0)
        return rc;
    *ret_off = c->rec = blk->slots[c->idx];
    *ret_bytes = vos_dtx_bytes(rec);
    c->idx++;
    c->ref_idx = 0;
    c->ref_left = rec->ref_nr;
    c->chain = rec->refs;
    c->at = AT_REF;
    return 0;
}

static int
ref_count(struct vos_op *op, struct vos_dtx_check *c, const struct vos_dtx_ref_df *ref,
    const struct vos_dtx_df *rec)
{
    int rc = c->with_marks ? ref_check(op, ref, rec) : 0;

    if (rc == 0 && c->ref_left == 0)
        rc = vos_bad(c->rec, "references of a transaction");
    if (rc != 0)
        return rc;
    c->ref_left--;
    c->ref_idx++;
    c->nrs[rec->lid - 1]++;
    c->left++;
    return 0;
}

static int
step_ref(struct vos_op *op, struct vos_dtx_check *c)
{
    struct vos_dtx_df *rec;
    int rc = vos_dtx_get(op, c->rec, &rec);

    if (rc != 0)
        return rc;
    if (c->ref_idx < rec->inline_nr)
        return ref_count(op, c, &vos_dtx_inline_refs(rec)[c->ref_idx], rec);
    c->at = AT_CHAIN;
    return 0;
}

static int
step_chain(struct vos_op *op, struct vos_dtx_check *c, uint64_t *ret_off, uint32_t *ret_bytes)
{
    struct vos_dtx_refs_df *blk;
    int rc;

    if (c->chain == 0) {
        c->at = AT_SLOT;
        return c->ref_left == 0 ? 0 : vos_bad(c->rec, "references of a transaction");
    }
    rc = vos_dtx_refs_get(op, c->chain, &blk);
    if (rc != 0)
        return rc;
    c->ref_idx = 0;
    c->at = AT_CHAIN_REF;
    *ret_off = c->chain;
    *ret_bytes = sizeof(*blk);
    return 0;
}

static int
step_chain_ref(struct vos_op *op, struct vos_dtx_check *c)
{
    struct vos_dtx_refs_df *blk;
    struct vos_dtx_df *rec;
    int rc = vos_dtx_refs_get(op, c->chain, &blk);

    if (rc == 0)
        rc = vos_dtx_get(op, c->rec, &rec);
    if (rc != 0)
        return rc;
    if (c->ref_idx < blk->nr)
        return ref_count(op, c, &blk->refs[c->ref_idx], rec);
    c->chain = blk->next;
    c->at = AT_CHAIN;
    return 0;
}

static int
step_done(struct vos_op *op, struct vos_dtx_check *c, uint64_t *ret_off, uint32_t *ret_bytes)
{
    struct vos_dtx_done_df *blk;
    int rc;

    if (c->next_done == 0) {
        c->at = AT_END;
        return c->done_nr == 0 ? 0 : vos_bad(c->blk, "outcomes of transactions");
    }
    rc = vos_dtx_done_get(op, c->next_done, &blk);
    if (rc == 0 && (blk->first == blk->end || c->done_nr < (uint32_t)(blk->end - blk->first)))
        rc = vos_bad(c->next_done, "outcomes of transactions");
    if (rc != 0)
        return rc;
    c->done_nr -= (uint32_t)(blk->end - blk->first);
    *ret_off = c->next_done;
    *ret_bytes = sizeof(*blk);
    c->next_done = blk->next;
    return 0;
}

int
vos_dtx_check_step(struct vos_op *op, struct vos_dtx_check *c, uint64_t tab_off, uint64_t *ret_off,
    uint32_t *ret_bytes)
{
    *ret_off = tab_off;
    *ret_bytes = 0;
    switch (c->at) {
    case AT_TAB:
        return step_tab(op, c, tab_off, ret_bytes);
    case AT_BLK:
        return step_blk(op, c, ret_off, ret_bytes);
    case AT_SLOT:
        return step_slot(op, c, ret_off, ret_bytes);
    case AT_REF:
        return step_ref(op, c);
    case AT_CHAIN:
        return step_chain(op, c, ret_off, ret_bytes);
    case AT_CHAIN_REF:
        return step_chain_ref(op, c);
    case AT_DONE:
        return step_done(op, c, ret_off, ret_bytes);
    default:
        return -DER_NONEXIST;
    }
}

int
vos_dtx_check_mark(struct vos_dtx_check *c, uint32_t lid, uint64_t off)
{
    if (!c->with_marks || lid == 0)
        return 0;
    if (lid > c->nr || c->nrs[lid - 1] == 0)
        return vos_bad(off, "mark without a transaction");
    c->nrs[lid - 1]--;
    c->left--;
    return 0;
}

void
vos_dtx_check_fini(struct vos_dtx_check *c)
{
    vos_heap_free(c->nrs);
    c->nrs = NULL;
}
