/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions that are decided later, on the arena: preparing (a part of vos_apply()), deciding and settling, forgetting. Settling goes through the references from the newest
 * to the oldest, so that an abort undoes in the opposite order; at each end of a transaction of the store exactly the references of the marks that are left are there.
 */
#include <stdlib.h>
#include <string.h>

#include "vos/vos_dtx.h"
#include "vos/vos_priv.h"

enum { ITEMS_NR_MAX = 64, REF_KIND_MASK = 7, TRIM_BLKS_NR = 4 };

/* ---- outcomes ------------------------------------------------------------------------------------------------------- */

/* Forget the oldest outcomes of the first block: `nr` of those that it has. */
static int
outs_forget(struct vos_op *op, uint64_t tab_off, uint32_t nr)
{
    struct vos_dtx_done_df *blk;
    struct vos_dtx_tab_df *tab;
    uint64_t off;
    int rc = vos_dtx_tab_get(op, tab_off, &tab);

    if (rc != 0)
        return rc;
    off = tab->done_head;
    rc = vos_dtx_done_get(op, off, &blk);
    if (rc == 0)
        rc = vos_range(op, tab_off, sizeof(*tab));
    if (rc == 0)
        rc = vos_range(op, off, offsetof(struct vos_dtx_done_df, aborted));
    if (rc != 0)
        return rc;
    for (uint32_t i = blk->first; i < blk->first + nr; i++) {
        tab->horizon = MAX(tab->horizon, blk->outs[i].hlc);
    }
    blk->first = (uint16_t)(blk->first + nr);
    tab->done_nr -= nr;
    if (blk->first < blk->end)
        return 0;
    tab->done_head = blk->next;
    if (tab->done_head == 0)
        tab->done_tail = 0;
    return vos_free(op, off, sizeof(*blk));
}

static int
out_blk_add(struct vos_op *op, struct vos_dtx_tab_df *tab)
{
    struct vos_dtx_done_df *blk, *tail;
    uint64_t off;
    int rc = vos_alloc(op, sizeof(*blk), &off, &blk);

    if (rc != 0)
        return rc;
    blk->magic = VOS_DTX_DONE_MAGIC;
    if (tab->done_tail == 0) {
        tab->done_head = off;
    } else {
        rc = vos_dtx_done_get(op, tab->done_tail, &tail);
        if (rc == 0) {
            rc = vos_range(
                op, tab->done_tail + offsetof(struct vos_dtx_done_df, next), sizeof(uint64_t));
        }
        if (rc != 0)
            return rc;
        tail->next = off;
    }
    tab->done_tail = off;
    return 0;
}

/* Remember an outcome; *trim_nr is raised by those that were forgotten for it. */
static int
out_add(struct vos_op *op, uint64_t tab_off, const struct vos_dtx_id *id, uint64_t epoch,
    bool is_aborted, uint32_t *trim_nr, uint64_t *ret_horizon)
{
    struct vos_dtx_done_df *blk = NULL;
    struct vos_dtx_tab_df *tab;
    struct vos_dtx_out_df *out;
    int rc = vos_dtx_tab_get(op, tab_off, &tab);

    if (rc == 0)
        rc = vos_range(op, tab_off, sizeof(*tab));
    if (rc == 0 && tab->done_nr >= VOS_DTX_DONE_NR_MAX) {
        rc = vos_dtx_done_get(op, tab->done_head, &blk);
        if (rc == 0) {
            uint32_t nr = blk->end - (uint32_t)blk->first;

            rc = outs_forget(op, tab_off, nr);
            *trim_nr += nr;
        }
    }
    if (rc == 0 && tab->done_tail != 0)
        rc = vos_dtx_done_get(op, tab->done_tail, &blk);
    if (rc == 0 && (tab->done_tail == 0 || blk->end == VOS_DTX_DONES_NR)) {
        rc = out_blk_add(op, tab);
        if (rc == 0)
            rc = vos_dtx_done_get(op, tab->done_tail, &blk);
    }
    if (rc == 0)
        rc = vos_range(op, tab->done_tail, offsetof(struct vos_dtx_done_df, next));
    if (rc == 0) {
        rc = vos_range(op,
            tab->done_tail + offsetof(struct vos_dtx_done_df, outs) + blk->end * sizeof(*out),
            sizeof(*out));
    }
    if (rc != 0)
        return rc;
    out = &blk->outs[blk->end];
    memcpy(out->uuid, id->uuid.b, sizeof(out->uuid));
    out->hlc = id->hlc;
    out->epoch = epoch;
    if (is_aborted)
        blk->aborted |= UINT32_C(1) << blk->end;
    blk->end++;
    tab->done_nr++;
    *ret_horizon = tab->horizon;
    return 0;
}

/* ---- preparing ------------------------------------------------------------------------------------------------------ */

int
vos_dtx_args_check(const struct vos_apply_args *args)
{
    const struct vos_dtx_args *dtx = args->dtx;

    if (cuuid_is_nil(&dtx->id.uuid) || dtx->id.hlc == 0 || !cuuid_is_nil(&args->req.client) ||
        args->result.len > 0 || (args->flags & VOS_APPLY_NO_HISTORY) != 0 ||
        (dtx->flags & VOS_DTX_FLAGS_OWN & ~(uint32_t)VOS_DTX_SOLO) != 0 ||
        dtx->blob.len > VOS_DTX_BLOB_BYTES_MAX || (dtx->blob.len > 0 && dtx->blob.buf == NULL) ||
        (dtx->part > 0 && (dtx->blob.len > 0 || (dtx->flags & VOS_DTX_SOLO) != 0)))
        return CAIRN_ERR(INVAL);
    return 0;
}

static int
begin_known(struct vos_op *op, struct vos_dtx_prep *p, struct vos_dtx_act *act)
{
    if (act->state == VOS_DTX_ABORTED)
        return CAIRN_ERR(TX_RESTART);
    if (act->state == VOS_DTX_COMMITTED || p->args->part < act->part_nr) {
        p->is_replay = true;
        p->epoch = act->epoch;
        return CAIRN_ERR(EXIST);
    }
    if (act->state != VOS_DTX_PREPARED || (op->epoch != 0 && op->epoch != act->epoch))
        return CAIRN_ERR(INVAL);
    if (p->args->part > act->part_nr)
        return CAIRN_ERR(NONEXIST);
    p->act = act;
    p->minor = act->minor;
    op->epoch = act->epoch;
    op->lid = act->lid;
    return 0;
}

int
vos_dtx_begin(struct vos_op *op, struct vos_dtx_prep *p)
{
    struct vos_dtxs *d = p->cont->dtxs;
    struct vos_dtx_act *act = vos_dtx_act_find(d, &p->args->id);
    const struct vos_dtx_done *done;
    uint32_t lid = d->lid_hint;

    op->prep = p;
    p->is_replay = p->is_new = p->has_tab = false;
    p->act = NULL;
    p->minor = 0;
    p->ref_nr = p->trim_nr = 0;
    p->blk_off = 0;
    if (act != NULL)
        return begin_known(op, p, act);
    done = vos_dtx_done_find(d, &p->args->id);
    if (done != NULL && !done->is_aborted) {
        p->is_replay = true;
        p->epoch = done->epoch;
        return CAIRN_ERR(EXIST);
    }
    if (done != NULL && op->epoch != 0 && op->epoch <= done->epoch)
        return CAIRN_ERR(TX_RESTART);
    if (done == NULL && p->args->id.hlc <= d->horizon)
        return CAIRN_ERR(TX_UNCERTAIN);
    if (p->args->part > 0)
        return CAIRN_ERR(NONEXIST);
    p->is_new = true;
    if ((p->args->flags & VOS_DTX_SOLO) != 0)
        return 0;
    while (lid <= d->blk_nr * VOS_DTX_SLOTS_NR && d->acts[lid - 1] != NULL) {
        lid++;
    }
    d->lid_hint = lid;
    if (lid > VOS_DTX_ACTIVE_NR_MAX)
        return CAIRN_ERR(BUSY);
    op->lid = lid;
    return 0;
}

int
vos_dtx_ref(struct vos_op *op, enum vos_dtx_ref_kind kind, uint64_t rec, uint64_t owner, uint64_t obj)
{
    struct vos_dtx_prep *p = op->prep;

    if (p->ref_nr == p->ref_cap) {
        uint32_t cap = MAX(p->ref_cap * 2, UINT32_C(16));
        struct vos_dtx_ref_df *refs =
            vos_heap_realloc(&p->cont->tgt->heap, p->refs, cap * sizeof(*refs));

        if (refs == NULL)
            return CAIRN_ERR(NOMEM);
        p->refs = refs;
        p->ref_cap = cap;
    }
    p->refs[p->ref_nr++] =
        (struct vos_dtx_ref_df){.rec = rec | (uint64_t)kind, .owner = owner, .obj = obj};
    return 0;
}

/* The record of the table, made when there is none. */
static int
tab_make(struct vos_op *op, struct vos_dtx_prep *p)
{
    struct vos_dtx_tab_df *tab;
    struct vos_cont_df *rec;
    int rc;

    p->tab_off = p->cont->dtxs->off;
    if (p->tab_off != 0)
        return 0;
    rc = vos_cont_get(op, p->cont->off, &rec);
    if (rc == 0)
        rc = vos_alloc(op, sizeof(*tab), &p->tab_off, &tab);
    if (rc == 0)
        rc = vos_range(op, p->cont->off + offsetof(struct vos_cont_df, dtx), sizeof(uint64_t));
    if (rc != 0)
        return rc;
    tab->magic = VOS_DTX_TAB_MAGIC;
    rec->dtx = p->tab_off;
    p->has_tab = true;
    return 0;
}

/* A block of slots more. */
static int
slots_make(struct vos_op *op, struct vos_dtx_prep *p)
{
    struct vos_dtxs *d = p->cont->dtxs;
    struct vos_dtx_slots_df *blk, *last;
    struct vos_dtx_tab_df *tab;
    uint64_t *link, link_off;
    int rc = vos_dtxs_grow(d);

    if (rc == 0)
        rc = vos_alloc(op, sizeof(*blk), &p->blk_off, &blk);
    if (rc != 0)
        return rc;
    blk->magic = VOS_DTX_SLOTS_MAGIC;
    if (d->blk_nr == 0) {
        rc = vos_dtx_tab_get(op, p->tab_off, &tab);
        link_off = p->tab_off + offsetof(struct vos_dtx_tab_df, slots);
        link = rc != 0 ? NULL : &tab->slots;
    } else {
        rc = vos_dtx_slots_get(op, d->blks[d->blk_nr - 1], &last);
        link_off = d->blks[d->blk_nr - 1] + offsetof(struct vos_dtx_slots_df, next);
        link = rc != 0 ? NULL : &last->next;
    }
    if (rc == 0)
        rc = vos_range(op, link_off, sizeof(uint64_t));
    if (rc == 0)
        *link = p->blk_off;
    return rc;
}

/* References from number `from` on, into the chain of the record. */
static int
chain_add(struct vos_op *op, struct vos_dtx_prep *p, uint32_t from, uint64_t *chain)
{
    struct vos_dtx_refs_df *blk = NULL;
    uint64_t off;
    int rc = 0;

    if (*chain != 0) {
        rc = vos_dtx_refs_get(op, *chain, &blk);
        if (rc == 0)
            rc = vos_range(op, *chain, offsetof(struct vos_dtx_refs_df, next));
        if (rc == 0 && blk->nr < VOS_DTX_REFS_NR && from < p->ref_nr) {
            uint32_t nr = MIN(p->ref_nr - from, (uint32_t)VOS_DTX_REFS_NR - blk->nr);

            rc = vos_range(op,
                *chain + offsetof(struct vos_dtx_refs_df, refs) + blk->nr * sizeof(p->refs[0]),
                nr * (uint32_t)sizeof(p->refs[0]));
        }
    }
    for (uint32_t i = from; rc == 0 && i < p->ref_nr; i++) {
        if (blk == NULL || blk->nr == VOS_DTX_REFS_NR) {
            rc = vos_alloc(op, sizeof(*blk), &off, &blk);
            if (rc != 0)
                return rc;
            blk->magic = VOS_DTX_REFS_MAGIC;
            blk->next = *chain;
            *chain = off;
        }
        blk->refs[blk->nr++] = p->refs[i];
    }
    return rc;
}

static int
rec_make(struct vos_op *op, struct vos_dtx_prep *p)
{
    const struct vos_dtx_args *args = p->args;
    uint32_t inline_nr = MIN(p->ref_nr, (uint32_t)VOS_DTX_INLINE_REFS_NR_MAX);
    struct vos_dtx_df *rec,
        shape = {.blob_len = (uint16_t)args->blob.len, .inline_cap = (uint16_t)inline_nr};
    int rc = vos_alloc(op, vos_dtx_bytes(&shape), &p->off, &rec);

    if (rc != 0)
        return rc;
    *rec = shape;
    rec->magic = VOS_DTX_MAGIC;
    rec->state = VOS_DTX_DF_PREPARED;
    rec->lid = op->lid;
    memcpy(rec->uuid, args->id.uuid.b, sizeof(rec->uuid));
    rec->hlc = args->id.hlc;
    rec->epoch = op->epoch;
    rec->flags = args->flags;
    rec->pm_ver = op->pm_ver;
    rec->part_nr = 1;
    rec->minor = p->minor;
    rec->inline_nr = (uint16_t)inline_nr;
    rec->ref_nr = p->ref_nr;
    if (args->blob.len > 0)
        memcpy(rec + 1, args->blob.buf, args->blob.len);
    if (inline_nr > 0)
        memcpy(vos_dtx_inline_refs(rec), p->refs, inline_nr * sizeof(*p->refs));
    return chain_add(op, p, inline_nr, &rec->refs);
}

static int
slot_set(struct vos_op *op, uint64_t off, uint64_t value)
{
    uint64_t *slot;
    int rc = vos_ptr(op, off, sizeof(*slot), &slot);

    if (rc == 0)
        rc = vos_range(op, off, sizeof(*slot));
    if (rc == 0)
        *slot = value;
    return rc;
}

/*
 * A further part of few references goes into the record, as long as nothing is in the chain (they are in order); when that has no room, into a larger one in its place, with room for
 * as many again. *ret_rec: where they are now.
 */
static int
inline_add(struct vos_op *op, struct vos_dtx_prep *p, struct vos_dtx_df **ret_rec)
{
    struct vos_dtx_df *old = *ret_rec, *rec = old, shape = *old;
    uint32_t nr = old->inline_nr + p->ref_nr, at;
    int rc;

    p->off = p->act->off;
    if (nr <= old->inline_cap) {
        at = (uint32_t)((uint8_t *)&vos_dtx_inline_refs(rec)[old->inline_nr] - (uint8_t *)rec);
        rc = vos_range(op, p->off + at, p->ref_nr * (uint32_t)sizeof(*p->refs));
        if (rc == 0)
            rc = vos_range(op, p->off, sizeof(*rec));
    } else {
        shape.inline_cap = (uint16_t)MIN(2 * nr, (uint32_t)VOS_DTX_INLINE_REFS_NR_MAX);
        rc = vos_alloc(op, vos_dtx_bytes(&shape), &p->off, &rec);
        if (rc == 0)
            rc = vos_dtx_get(op, p->act->off, &old);
        if (rc != 0)
            return rc;
        memcpy(rec, old, vos_dtx_bytes(old));
        rec->inline_cap = shape.inline_cap;
        rc = vos_free(op, p->act->off, vos_dtx_bytes(old));
        if (rc == 0)
            rc = slot_set(op, vos_dtx_slot_off(p->cont->dtxs, p->act->lid), p->off);
    }
    if (rc != 0)
        return rc;
    memcpy(vos_dtx_inline_refs(rec) + rec->inline_nr, p->refs, p->ref_nr * sizeof(*p->refs));
    rec->inline_nr = (uint16_t)nr;
    *ret_rec = rec;
    return 0;
}

static int
rec_extend(struct vos_op *op, struct vos_dtx_prep *p)
{
    struct vos_dtx_df *rec;
    int rc = vos_dtx_get(op, p->act->off, &rec);

    p->off = p->act->off;
    if (rc == 0 && rec->refs == 0 && p->ref_nr > 0 &&
        rec->inline_nr + p->ref_nr <= VOS_DTX_INLINE_REFS_NR_MAX) {
        rc = inline_add(op, p, &rec);
    } else if (rc == 0) {
        rc = vos_range(op, p->act->off, sizeof(*rec));
        if (rc == 0)
            rc = chain_add(op, p, 0, &rec->refs);
    }
    if (rc != 0)
        return rc;
    rec->part_nr++;
    rec->minor = p->minor;
    rec->ref_nr += p->ref_nr;
    return 0;
}

int
vos_dtx_store(struct vos_op *op, struct vos_dtx_prep *p)
{
    struct vos_dtxs *d = p->cont->dtxs;
    uint64_t slot;
    int rc;

    if (!p->is_new)
        return rec_extend(op, p);
    rc = tab_make(op, p);
    if (rc != 0)
        return rc;
    if ((p->args->flags & VOS_DTX_SOLO) != 0) {
        if (p->done == NULL)
            p->done = vos_heap_alloc(&p->cont->tgt->heap, sizeof(*p->done));
        if (p->done == NULL)
            return CAIRN_ERR(NOMEM);
        *p->done = (struct vos_dtx_done){.id = p->args->id, .epoch = op->epoch};
        return out_add(op, p->tab_off, &p->args->id, op->epoch, false, &p->trim_nr, &p->horizon);
    }
    if (p->mem == NULL)
        p->mem = vos_heap_alloc(&p->cont->tgt->heap, sizeof(*p->mem));
    if (p->mem == NULL)
        return CAIRN_ERR(NOMEM);
    if (op->lid > d->blk_nr * VOS_DTX_SLOTS_NR)
        rc = slots_make(op, p);
    if (rc == 0)
        rc = rec_make(op, p);
    if (rc != 0)
        return rc;
    slot = p->blk_off != 0 ? p->blk_off + offsetof(struct vos_dtx_slots_df, slots)
                           : vos_dtx_slot_off(d, op->lid);
    return slot_set(op, slot, p->off);
}

void
vos_dtx_stored(struct vos_dtx_prep *p, const struct vos_op *op, uint64_t lsn)
{
    struct vos_dtxs *d = p->cont->dtxs;

    if (p->has_tab)
        d->off = p->tab_off;
    if (!p->is_new) {
        p->act->off = p->off;
        p->act->part_nr++;
        p->act->minor = p->minor;
        p->act->ref_nr += p->ref_nr;
        return;
    }
    if ((p->args->flags & VOS_DTX_SOLO) != 0) {
        vos_dtx_done_trim(d, p->trim_nr);
        vos_dtx_done_add(d, p->done);
        d->horizon = p->horizon;
        d->lsn = lsn;
        p->done = NULL;
        return;
    }
    if (p->blk_off != 0)
        d->blks[d->blk_nr++] = p->blk_off;
    *p->mem = (struct vos_dtx_act){.id = p->args->id,
        .state = VOS_DTX_PREPARED,
        .epoch = op->epoch,
        .off = p->off,
        .ref_nr = p->ref_nr,
        .since_ns = ult_now_ns(),
        .lid = op->lid,
        .flags = p->args->flags,
        .pm_ver = op->pm_ver,
        .part_nr = 1,
        .blob_len = (uint32_t)p->args->blob.len,
        .minor = p->minor};
    vos_dtx_act_add(d, p->mem);
    p->mem = NULL;
}

void
vos_dtx_prep_fini(struct vos_dtx_prep *p)
{
    vos_heap_free(p->refs);
    vos_heap_free(p->mem);
    vos_heap_free(p->done);
}

/* ---- settling ------------------------------------------------------------------------------------------------------- */

/* What becomes of one active transaction by the transaction of the store at hand. */
struct item {
    struct vos_dtx_act *act;
    bool is_decided_here, is_finished;
    uint64_t ref_nr; /* left */
    struct vos_dtx_done *done; /* is_decided_here: kept over retries, NULL after it was used */
};

struct decide {
    struct vos_cont *cont;
    const struct vos_dtx_id *ids;
    uint32_t nr, at;
    bool is_commit;
    int bad; /* of ids before `at` */
    /* of the transaction at hand */
    uint32_t next, budget, item_nr, hash_nr, trim_nr;
    int next_bad;
    uint64_t horizon, epoch_max;
    struct item items[ITEMS_NR_MAX];
    uint64_t hashes[VOS_DTX_STEP_NR]; /* of objects changed */
};

static int
tree_kind(const struct vos_tree_df *df, const struct vos_btr_kind **ret_kind)
{
    static const struct vos_btr_kind *const kinds[] = {
        &vos_kind_key_hashed, &vos_kind_key_uint, &vos_kind_key_lex};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i]->id == df->id) {
            *ret_kind = kinds[i];
            return 0;
        }
    }
    return -DER_DF_INVAL;
}

/* Take a record out of its tree; it is the one with this key. */
static int
tree_remove(struct vos_btr *t, const struct vos_btr_key *key, uint64_t rec)
{
    bool exact;
    int rc = vos_btr_search(t, key, &exact);

    if (rc == 0 && (!exact || vos_btr_rec(t) != rec))
        rc = vos_bad(rec, "reference of a transaction");
    return rc != 0 ? rc : vos_btr_delete(t);
}

static int
version_abort(struct decide *s, struct vos_op *op, const struct vos_dtx_ref_df *ref, uint64_t off,
    const struct vos_ver *ver)
{
    struct vos_epoch at = vos_ver_epoch(ver);
    struct vos_btr_key key = vos_key_epoch(&at);
    struct vos_key_df *akey;
    struct vos_btr t;
    int rc = vos_key_get(op, ref->owner, &akey);

    if (rc != 0)
        return rc;
    if (ver->is_ext)
        key.hkey = ver->lo;
    rc = vos_btr_init(&t, op, ver->is_ext ? &vos_kind_ext : &vos_kind_single, &akey->tree,
        vos_key_tree_off(ref->owner));
    if (rc == 0)
        rc = tree_remove(&t, &key, off);
    return rc != 0 ? rc : vos_gc_free_version(s->cont->tgt, op, off);
}

static int
version_settle(struct decide *s, struct vos_op *op, const struct vos_dtx_act *act,
    const struct vos_dtx_ref_df *ref, uint64_t off)
{
    bool is_ext = (ref->rec & REF_KIND_MASK) == VOS_DTX_REF_EXT;
    struct vos_ver ver;
    int rc = vos_ver_get(op, off, &ver);

    if (rc == 0 && (ver.dtx != act->lid || ver.epoch != act->epoch || ver.is_ext != is_ext))
        rc = vos_bad(off, "mark of a version");
    if (rc != 0)
        return rc;
    return s->is_commit ? vos_ver_dtx_set(op, off, 0) : version_abort(s, op, ref, off, &ver);
}

/* An object or key of which nothing is left goes. */
static int
obj_remove(struct vos_op *op, const struct vos_obj_df *obj, uint64_t off, uint64_t cont_off)
{
    struct vos_oid oid = {.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
        .shard = obj->shard,
        .layout_ver = obj->layout_ver};
    struct vos_oid_bytes bytes;
    struct vos_btr_key key = vos_key_oid(op, &oid, &bytes);
    struct vos_cont_df *cont;
    struct vos_btr t;
    int rc = vos_cont_get(op, cont_off, &cont);

    if (rc == 0) {
        rc = vos_btr_init(
            &t, op, &vos_kind_obj, &cont->objs, cont_off + offsetof(struct vos_cont_df, objs));
    }
    if (rc == 0)
        rc = tree_remove(&t, &key, off);
    op->obj_delta--;
    op->is_obj_gone = true;
    return rc != 0 ? rc : vos_free(op, off, sizeof(*obj));
}

static int
key_remove(struct vos_op *op, const struct vos_key_df *rec, uint64_t off, struct vos_tree_df *df,
    uint64_t df_off)
{
    struct iov iov = vos_key_iov(rec);
    const struct vos_btr_kind *kind;
    struct vos_btr_key key;
    struct vos_btr t;
    int rc = tree_kind(df, &kind);

    if (rc != 0)
        return vos_bad(df_off, "tree of keys");
    key = vos_key_bytes(op, kind, &iov);
    rc = vos_btr_init(&t, op, kind, df, df_off);
    if (rc == 0)
        rc = tree_remove(&t, &key, off);
    return rc != 0 ? rc : vos_key_free(op, off);
}

static int
log_settle_obj(struct decide *s, struct vos_op *op, const struct vos_dtx_act *act, uint64_t off)
{
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, off, &obj);

    if (rc == 0) {
        rc = vos_ilog_decide(
            op, &obj->ilog, vos_obj_ilog_off(off), act->epoch, act->lid, s->is_commit);
    }
    if (rc != 0 || s->is_commit || !vos_ilog_is_empty(&obj->ilog) || !vos_btr_is_empty(&obj->dkeys))
        return rc;
    return obj_remove(op, obj, off, s->cont->off);
}

/* What was marked is plain now, or again. */
static int
key_settled(struct vos_op *op, const struct vos_key_df *key, uint64_t off, struct vos_tree_df *df,
    uint64_t df_off)
{
    const struct vos_btr_kind *kind;
    int rc;

    if (vos_ilog_is_empty(&key->ilog) && vos_btr_is_empty(&key->tree))
        return key_remove(op, key, off, df, df_off);
    if (!vos_ilog_is_plain(&key->ilog) || key->key_len > VOS_ENT_KEY_BYTES_MAX)
        return 0;
    rc = tree_kind(df, &kind);
    return rc != 0 ? rc : vos_key_plain_set(op, kind, df, df_off, off, true);
}

static int
log_settle_key(struct decide *s, struct vos_op *op, const struct vos_dtx_act *act,
    const struct vos_dtx_ref_df *ref, uint64_t off)
{
    struct vos_key_df *key, *dkey;
    struct vos_obj_df *obj;
    int rc = vos_key_get(op, off, &key);

    if (rc == 0) {
        rc = vos_ilog_decide(
            op, &key->ilog, vos_key_ilog_off(off), act->epoch, act->lid, s->is_commit);
    }
    if (rc != 0)
        return rc;
    if ((ref->rec & REF_KIND_MASK) == VOS_DTX_REF_DKEY) {
        rc = vos_obj_get(op, ref->owner, &obj);
        return rc != 0 ? rc : key_settled(op, key, off, &obj->dkeys, vos_obj_tree_off(ref->owner));
    }
    rc = vos_key_get(op, ref->owner, &dkey);
    return rc != 0 ? rc : key_settled(op, key, off, &dkey->tree, vos_key_tree_off(ref->owner));
}

/* The object of a reference changes. */
static int
obj_touch(struct decide *s, struct vos_op *op, const struct vos_dtx_act *act, uint64_t off)
{
    struct vos_obj_df *obj;
    struct vos_oid oid;
    uint64_t h;
    int rc = vos_obj_get(op, off, &obj);

    if (rc != 0)
        return rc;
    oid = (struct vos_oid){.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
        .shard = obj->shard,
        .layout_ver = obj->layout_ver};
    h = vos_obj_hash(s->cont, &oid);
    if (s->hash_nr == 0 || s->hashes[s->hash_nr - 1] != h) {
        CAIRN_ASSERT(s->hash_nr < VOS_DTX_STEP_NR);
        s->hashes[s->hash_nr++] = h;
    }
    if (!s->is_commit || obj->epoch_max >= act->epoch)
        return 0;
    rc = vos_range(op, off + offsetof(struct vos_obj_df, epoch_max), sizeof(uint64_t));
    if (rc == 0)
        obj->epoch_max = act->epoch;
    return rc;
}

static int
ref_settle(struct decide *s, struct vos_op *op, const struct vos_dtx_act *act,
    const struct vos_dtx_ref_df *ref)
{
    uint64_t off = ref->rec & ~(uint64_t)REF_KIND_MASK;
    int rc = obj_touch(s, op, act, ref->obj);

    if (rc != 0)
        return rc;
    switch (ref->rec & REF_KIND_MASK) {
    case VOS_DTX_REF_VALUE:
    case VOS_DTX_REF_EXT:
        return version_settle(s, op, act, ref, off);
    case VOS_DTX_REF_OBJ:
        return log_settle_obj(s, op, act, off);
    case VOS_DTX_REF_DKEY:
    case VOS_DTX_REF_AKEY:
        return log_settle_key(s, op, act, ref, off);
    default:
        return vos_bad(off, "reference of a transaction");
    }
}

/* Those of the newest block of the chain. */
static int
block_settle(
    struct decide *s, struct vos_op *op, const struct vos_dtx_act *act, struct vos_dtx_df *left)
{
    struct vos_dtx_refs_df *blk;
    uint64_t off = left->refs;
    uint32_t nr;
    int rc = vos_dtx_refs_get(op, off, &blk);

    if (rc == 0 && blk->nr > left->ref_nr)
        rc = vos_bad(off, "references of a transaction");
    if (rc != 0)
        return rc;
    for (nr = blk->nr; rc == 0 && nr > 0 && s->budget > 0; s->budget--) {
        struct vos_dtx_ref_df ref = blk->refs[--nr];

        rc = ref_settle(s, op, act, &ref);
        left->ref_nr--;
    }
    if (rc != 0)
        return rc;
    if (nr == 0) {
        left->refs = blk->next;
        return vos_free(op, off, sizeof(*blk));
    }
    rc = vos_range(op, off, offsetof(struct vos_dtx_refs_df, next));
    if (rc == 0)
        blk->nr = (uint16_t)nr;
    return rc;
}

/* Settle newest references, within the budget; *left becomes what the record is to tell, which is written when it stays. */
static int
refs_settle(struct decide *s, struct vos_op *op, const struct vos_dtx_act *act,
    struct vos_dtx_df *rec, struct vos_dtx_df *left)
{
    int rc = 0;

    while (rc == 0 && left->ref_nr > 0 && s->budget > 0) {
        struct vos_dtx_ref_df ref;

        if (left->refs != 0) {
            rc = block_settle(s, op, act, left);
            continue;
        }
        if (left->inline_nr == 0)
            return vos_bad(act->off, "references of a transaction");
        ref = vos_dtx_inline_refs(rec)[--left->inline_nr];
        rc = ref_settle(s, op, act, &ref);
        left->ref_nr--;
        s->budget--;
    }
    return rc;
}

static int
act_settle(struct decide *s, struct vos_op *op, struct item *it)
{
    const struct vos_dtx_act *act = it->act;
    struct vos_dtxs *d = s->cont->dtxs;
    struct vos_dtx_df *rec, left;
    int rc = vos_dtx_get(op, act->off, &rec);

    if (rc != 0)
        return rc;
    left = *rec;
    it->is_decided_here = act->state == VOS_DTX_PREPARED || act->state == VOS_DTX_COMMITTABLE;
    if (it->is_decided_here) {
        if (it->done == NULL)
            it->done = vos_heap_alloc(&s->cont->tgt->heap, sizeof(*it->done));
        if (it->done == NULL)
            return CAIRN_ERR(NOMEM);
        *it->done =
            (struct vos_dtx_done){.id = act->id, .epoch = act->epoch, .is_aborted = !s->is_commit};
        rc = out_add(op, d->off, &act->id, act->epoch, !s->is_commit, &s->trim_nr, &s->horizon);
        if (rc != 0)
            return rc;
        left.state = s->is_commit ? VOS_DTX_DF_COMMITTED : VOS_DTX_DF_ABORTED;
    }
    if (s->is_commit)
        s->epoch_max = MAX(s->epoch_max, act->epoch);
    rc = refs_settle(s, op, act, rec, &left);
    it->ref_nr = left.ref_nr;
    it->is_finished = left.ref_nr == 0;
    if (rc == 0) {
        rc = it->is_finished ? slot_set(op, vos_dtx_slot_off(d, act->lid), 0)
                             : vos_range(op, act->off, sizeof(*rec));
    }
    if (rc != 0)
        return rc;
    if (it->is_finished)
        return vos_free(op, act->off, vos_dtx_bytes(rec));
    *rec = left;
    return 0;
}

/* The id at hand: is there something to do? *ret_act NULL: no. */
static int
id_judge(const struct decide *s, const struct vos_dtx_id *id, struct vos_dtx_act **ret_act)
{
    struct vos_dtx_act *act = vos_dtx_act_find(s->cont->dtxs, id);
    const struct vos_dtx_done *done;

    *ret_act = NULL;
    if (act == NULL) {
        done = vos_dtx_done_find(s->cont->dtxs, id);
        if (s->is_commit)
            return done != NULL && !done->is_aborted ? 0 : CAIRN_ERR(NONEXIST);
        return done != NULL && !done->is_aborted ? CAIRN_ERR(EXIST) : 0;
    }
    if (s->is_commit && act->state == VOS_DTX_ABORTED)
        return CAIRN_ERR(NONEXIST);
    if (!s->is_commit && (act->state == VOS_DTX_COMMITTED || act->state == VOS_DTX_COMMITTABLE))
        return CAIRN_ERR(EXIST);
    *ret_act = act;
    return 0;
}

static bool
is_item(const struct decide *s, const struct vos_dtx_act *act)
{
    for (uint32_t i = 0; i < s->item_nr; i++) {
        if (s->items[i].act == act)
            return true;
    }
    return false;
}

static int
cont_count(struct decide *s, struct vos_op *op)
{
    struct vos_cont_df *rec;
    int rc = vos_cont_get(op, s->cont->off, &rec);

    if (rc == 0) {
        rc = vos_range(
            op, s->cont->off + offsetof(struct vos_cont_df, epoch_max), 4 * sizeof(uint64_t));
    }
    if (rc != 0)
        return rc;
    rec->epoch_max = MAX(rec->epoch_max, s->epoch_max);
    rec->obj_nr += (uint64_t)op->obj_delta;
    rec->meta_used += (uint64_t)op->meta_delta;
    rec->data_used += (uint64_t)op->data_delta;
    return 0;
}

static int
decide_body(struct vos_op *op, void *arg)
{
    struct decide *s = arg;
    int rc = 0;

    s->next = s->at;
    s->next_bad = s->bad;
    s->budget = VOS_DTX_STEP_NR;
    s->item_nr = s->hash_nr = s->trim_nr = 0;
    s->epoch_max = 0;
    s->horizon = s->cont->dtxs->horizon;
    while (rc == 0 && s->next < s->nr && s->item_nr < ITEMS_NR_MAX && s->budget > 0) {
        struct vos_dtx_act *act;
        struct item *it = &s->items[s->item_nr];
        int bad = id_judge(s, &s->ids[s->next], &act);

        s->next_bad = s->next_bad != 0 ? s->next_bad : bad;
        if (act == NULL || is_item(s, act)) {
            s->next++;
            continue;
        }
        /* What does not fit behind others comes first next time. */
        if (s->item_nr > 0 && act->ref_nr > s->budget)
            break;
        it->act = act;
        s->item_nr++;
        rc = act_settle(s, op, it);
        if (rc == 0 && !it->is_finished)
            break;
        s->next++;
    }
    return rc != 0 || s->item_nr == 0 ? rc : cont_count(s, op);
}

static void
item_done(struct decide *s, struct item *it, uint64_t lsn)
{
    struct vos_dtxs *d = s->cont->dtxs;
    struct vos_dtx_act *act = it->act;

    if (it->is_decided_here) {
        vos_dtx_done_add(d, it->done);
        it->done = NULL;
        d->lsn = lsn;
        act->state = s->is_commit ? VOS_DTX_COMMITTED : VOS_DTX_ABORTED;
        list_del(&act->ready);
        /* Objects that are not settled yet are read through the look-up: whoever reads waits for this, too (ST-2). */
        if (!it->is_finished)
            s->cont->tgt->bound_lsn = MAX(s->cont->tgt->bound_lsn, lsn);
    }
    act->ref_nr = it->ref_nr;
    if (it->is_finished)
        vos_dtx_act_drop(d, act);
}

/* After the commit, before any yield. */
static void
decide_done(struct decide *s, const struct vos_op *op, uint64_t lsn)
{
    struct vos_tgt *tgt = s->cont->tgt;

    s->at = s->next;
    s->bad = s->next_bad;
    if (s->item_nr == 0)
        return;
    s->cont->pool->meta_used += (uint64_t)op->meta_delta;
    s->cont->pool->data_used += (uint64_t)op->data_delta;
    s->cont->lsn_last = lsn;
    s->cont->dtxs->horizon = s->horizon;
    for (uint32_t i = 0; i < s->hash_nr; i++) {
        *vos_obj_lsn(tgt, s->hashes[i]) = lsn;
        if (!s->is_commit) {
            ++*vos_obj_drops(tgt, s->hashes[i]);
        } else if (vos_dirty_knows(&s->cont->dirty, s->hashes[i])) {
            /* The entry may be younger than what was prepared. */
            CAIRN_IGNORE(vos_dirty_whole(&s->cont->dirty, s->hashes[i], s->epoch_max));
        }
    }
    vos_dtx_done_trim(s->cont->dtxs, s->trim_nr);
    for (uint32_t i = 0; i < s->item_nr; i++) {
        item_done(s, &s->items[i], lsn);
    }
}

static int
decide(struct vos_cont *cont, const struct vos_dtx_id *ids, uint32_t nr, bool is_commit)
{
    struct vos_tgt *tgt = cont->tgt;
    struct decide *s;
    struct vos_op op;
    uint64_t lsn = 0;
    int rc = 0, wait_rc;

    if (cont->dtxs == NULL)
        return nr > 0 && is_commit ? CAIRN_ERR(NONEXIST) : 0;
    s = vos_heap_alloc(&tgt->heap, sizeof(*s));
    if (s == NULL)
        return CAIRN_ERR(NOMEM);
    memset(s, 0, sizeof(*s));
    s->cont = cont;
    s->ids = ids;
    s->nr = nr;
    s->is_commit = is_commit;
    while (rc == 0 && s->at < nr) {
        vos_op_init(&op, tgt);
        rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, cont->pool->shard, decide_body, s, &lsn);
        if (rc == 0)
            decide_done(s, &op, lsn);
        if (rc == 0 && s->at < nr)
            ult_yield();
    }
    if (rc == 0)
        rc = s->bad;
    for (uint32_t i = 0; i < ITEMS_NR_MAX; i++) {
        vos_heap_free(s->items[i].done);
    }
    vos_heap_free(s);
    wait_rc = vos_wait(tgt, MAX(cont->dtxs->lsn, cont->lsn_last));
    return wait_rc != 0 ? wait_rc : rc;
}

int
vos_dtx_commit(struct vos_cont *cont, const struct vos_dtx_id *ids, uint32_t nr)
{
    return decide(cont, ids, nr, true);
}

int
vos_dtx_abort(struct vos_cont *cont, const struct vos_dtx_id *ids, uint32_t nr)
{
    return decide(cont, ids, nr, false);
}

int
vos_dtx_settle_all(struct vos_cont *cont)
{
    struct vos_dtx_act *act;
    int rc = 0;

    while (rc == 0 && cont->dtxs != NULL) {
        struct vos_dtx_id id = {0};
        bool is_commit = false;

        LIST_FOREACH(act, &cont->dtxs->order, struct vos_dtx_act, order) {
            if (act->state == VOS_DTX_COMMITTED || act->state == VOS_DTX_ABORTED) {
                id = act->id;
                is_commit = act->state == VOS_DTX_COMMITTED;
                break;
            }
        }
        if (id.hlc == 0)
            break;
        rc = decide(cont, &id, 1, is_commit);
    }
    return rc;
}

/* ---- forgetting ----------------------------------------------------------------------------------------------------- */

struct forget {
    struct vos_cont *cont;
    uint64_t hlc, horizon;
    uint32_t nr_max, nr; /* nr: by the transaction at hand */
    bool is_done;
};

static int
forget_body(struct vos_op *op, void *arg)
{
    struct forget *f = arg;
    struct vos_dtxs *d = f->cont->dtxs;
    struct vos_dtx_done_df *blk;
    struct vos_dtx_tab_df *tab;
    struct vos_cont_df *rec;
    int rc = vos_dtx_tab_get(op, d->off, &tab);

    f->nr = 0;
    f->is_done = false;
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; rc == 0 && i < TRIM_BLKS_NR && !f->is_done; i++) {
        uint32_t nr = 0;

        if (tab->done_head == 0) {
            f->is_done = true;
            break;
        }
        rc = vos_dtx_done_get(op, tab->done_head, &blk);
        if (rc != 0)
            return rc;
        while (blk->first + nr < blk->end &&
            (tab->done_nr - nr > f->nr_max || blk->outs[blk->first + nr].hlc < f->hlc)) {
            nr++;
        }
        f->is_done = blk->first + nr < blk->end;
        if (nr > 0)
            rc = outs_forget(op, d->off, nr);
        f->nr += nr;
    }
    f->horizon = tab->horizon;
    if (rc == 0 && op->meta_delta != 0) {
        rc = vos_cont_get(op, f->cont->off, &rec);
        if (rc == 0) {
            rc = vos_range(
                op, f->cont->off + offsetof(struct vos_cont_df, meta_used), sizeof(uint64_t));
        }
        if (rc == 0)
            rec->meta_used += (uint64_t)op->meta_delta;
    }
    return rc;
}

int
vos_dtx_aggregate(struct vos_cont *cont, uint64_t hlc, uint32_t nr_max, uint32_t *ret_gone_nr)
{
    struct forget f = {.cont = cont, .hlc = hlc, .nr_max = nr_max};
    struct vos_tgt *tgt = cont->tgt;
    struct vos_op op;
    uint32_t gone = 0;
    uint64_t lsn;
    int rc = 0;

    f.is_done = cont->dtxs == NULL || cont->dtxs->off == 0;
    while (rc == 0 && !f.is_done) {
        vos_op_init(&op, tgt);
        rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, cont->pool->shard, forget_body, &f, &lsn);
        if (rc != 0)
            break;
        vos_dtx_done_trim(cont->dtxs, f.nr);
        cont->dtxs->horizon = f.horizon;
        cont->pool->meta_used += (uint64_t)op.meta_delta;
        cont->lsn_last = MAX(cont->lsn_last, lsn);
        gone += f.nr;
        ult_yield();
    }
    if (rc == 0)
        rc = vos_wait(tgt, cont->lsn_last);
    if (rc == 0)
        *ret_gone_nr = gone;
    return rc;
}

/* ---- with the container --------------------------------------------------------------------------------------------- */

static int
drop_act(struct vos_op *op, uint64_t off, uint64_t slot_off)
{
    struct vos_dtx_refs_df *blk;
    struct vos_dtx_df *rec;
    uint64_t chain;
    int rc = vos_dtx_get(op, off, &rec);

    if (rc != 0)
        return rc;
    if (rec->refs == 0) {
        rc = slot_set(op, slot_off, 0);
        return rc != 0 ? rc : vos_free(op, off, vos_dtx_bytes(rec));
    }
    chain = rec->refs;
    rc = vos_dtx_refs_get(op, chain, &blk);
    if (rc == 0)
        rc = vos_range(op, off, sizeof(*rec));
    if (rc != 0)
        return rc;
    rec->refs = blk->next;
    rec->ref_nr = blk->next == 0 ? rec->inline_nr : rec->ref_nr - blk->nr;
    return vos_free(op, chain, sizeof(*blk));
}

int
vos_dtx_drop_one(struct vos_op *op, uint64_t cont_off, bool *ret_done)
{
    struct vos_dtx_slots_df *blk;
    struct vos_dtx_done_df *done;
    struct vos_dtx_tab_df *tab;
    struct vos_cont_df *rec;
    uint64_t off, at;
    int rc = vos_cont_get(op, cont_off, &rec);

    *ret_done = rc == 0 && rec->dtx == 0;
    if (rc != 0 || *ret_done)
        return rc;
    off = rec->dtx;
    rc = vos_dtx_tab_get(op, off, &tab);
    if (rc != 0)
        return rc;
    if (tab->slots != 0) {
        at = tab->slots;
        rc = vos_dtx_slots_get(op, at, &blk);
        for (uint32_t i = 0; rc == 0 && i < VOS_DTX_SLOTS_NR; i++) {
            if (blk->slots[i] != 0) {
                return drop_act(op, blk->slots[i],
                    at + offsetof(struct vos_dtx_slots_df, slots) + i * sizeof(uint64_t));
            }
        }
        if (rc == 0)
            rc = vos_range(op, off, sizeof(*tab));
        if (rc != 0)
            return rc;
        tab->slots = blk->next;
        return vos_free(op, at, sizeof(*blk));
    }
    if (tab->done_head != 0) {
        at = tab->done_head;
        rc = vos_dtx_done_get(op, at, &done);
        return rc != 0 ? rc : outs_forget(op, off, done->end - (uint32_t)done->first);
    }
    rc = vos_range(op, cont_off + offsetof(struct vos_cont_df, dtx), sizeof(uint64_t));
    if (rc != 0)
        return rc;
    rec->dtx = 0;
    return vos_free(op, off, sizeof(*tab));
}
