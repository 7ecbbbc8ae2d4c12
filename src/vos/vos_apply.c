/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Modifications (vos.h, vos_apply): large values go to the data role first, which yields; then conditions, index, request table and accounting
 * change in one transaction without a yield; then the log is waited for.
 */
#include "base/log.h"
#include "base/probe.h"
#include "vos/vos_csum.h"
#include "vos/vos_evtree.h"
#include "vos/vos_priv.h"

#include <stdlib.h>
#include <string.h>

enum { TRIM_NR_MAX = 16, BULK_RECXS_NR = 32 };
CAIRN_STATIC_ASSERT(1 << VOS_CSUM_CHUNK_BITS == VOS_CSUM_CHUNK_BYTES, "checksum chunk");
CAIRN_STATIC_ASSERT(
    VOS_INLINE_BYTES_MAX <= 1 << VOS_CSUM_CHUNK_BITS_MIN, "one checksum for an inline value");

/* One range of an array, and where its data are: in `data`, or in the values written before. */
struct part {
    struct recx recx;
    const uint8_t *data;
    uint32_t big_idx;
};

/* The ranges of an iod in ascending order, so that many of them touch each node once. Made once, however often the transaction begins anew. */
struct sorted {
    const struct vos_iod *iod;
    struct part *parts;
};

struct apply {
    struct vos_tgt *tgt;
    struct vos_cont *cont;
    const struct vos_apply_args *args;
    struct vos_req req;
    struct vos_bigs own_bigs;
    struct vos_bigs *bigs; /* these, or those of args->ahead */
    uint32_t big_next;
    struct sorted sorted[VOS_PARTS_NR_MAX / BULK_RECXS_NR];
    uint32_t sorted_nr;
    uint64_t inline_max; /* larger values go to the data role */
    uint64_t part_max; /* the same, of the array at hand */
    struct vos_walk walk; /* of the modification at hand, at last the last one */
    struct vos_hint_found hint; /* of the first one */
    struct vos_empty *empties; /* one for each modification; NULL: not needed yet */
    uint32_t undecided; /* modification for which one is */
    uint64_t bound; /* of the clock, moved by the transaction */
    struct vos_dtx_look look; /* what others did not decide yet */
    struct vos_dtx_prep prep; /* args->dtx */
    bool no_history;
    bool has_old, mod_has_old; /* it left something to aggregate; the modification at hand did */
};

static bool
mod_writes(const struct vos_mod *mod)
{
    if (mod->op != VOS_MOD_UPDATE)
        return false;
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        if (mod->iods[i].size != 0)
            return true;
    }
    return false;
}

/* Only punches: may use the reserve and goes beyond quotas (ST-8). */
static bool
is_reclaim(const struct vos_apply_args *args)
{
    for (uint32_t i = 0; i < args->mod_nr; i++) {
        if (mod_writes(&args->mods[i]))
            return false;
    }
    return true;
}

/* ---- the transaction: values ---------------------------------------------------------------------------------------- */

/* Make the record of a version, of which `ver` says what is special. */
static int
ver_create(struct apply *a, struct vos_op *op, struct vos_ver *ver, const uint8_t *data,
    uint64_t len, uint64_t *ret_off)
{
    uint8_t csum[CSUM_BYTES_MAX];

    ver->epoch = op->epoch;
    ver->minor = op->minor;
    ver->pm_ver = op->pm_ver;
    ver->dtx = op->lid;
    ver->csum = a->bigs->csum;
    ver->stored_len = ver->logical_len = (uint32_t)len;
    if (len == 0) {
        ver->flags = VOS_VER_HOLE;
    } else if (len > (ver->is_ext ? a->part_max : a->inline_max)) {
        const struct vos_big *big = &a->bigs->bigs[a->big_next++];

        ver->csum.chunk_bits = vos_csum_bits(ver->csum, len);
        ver->addr = bio_resv_ext(big->resv).addr;
        ver->csums = big->csums;
    } else {
        ver->flags = VOS_VER_INLINE;
        vos_csum_put(ver->csum.type, data, len, csum);
        ver->csums = csum;
        ver->data = data;
    }
    return vos_ver_create(op, ver, ret_off);
}

/* Drop the versions before the one at `at` (VOS_APPLY_NO_HISTORY); those of this request stay. */
static int
single_trim(struct apply *a, struct vos_op *op, struct vos_walk *w, const struct vos_epoch *at)
{
    struct vos_epoch before = {at->epoch - 1, UINT16_MAX};
    struct vos_btr_key key = vos_key_epoch(&before);
    struct vos_btr t;
    uint64_t rec;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < TRIM_NR_MAX; i++) {
        rc = vos_btr_init(&t, op, &vos_kind_single, &w->akey->tree, vos_key_tree_off(w->a.off));
        if (rc == 0)
            rc = vos_btr_search_le(&t, &key);
        if (rc != 0)
            break;
        rec = vos_btr_rec(&t);
        rc = vos_btr_delete(&t);
        if (rc == 0)
            rc = vos_gc_free_version(a->tgt, op, rec);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

/* It lies with the metadata until it has cooled (vos_agg_move.c). */
static bool
will_move(const struct apply *a, uint64_t len)
{
    return len >= VOS_AGG_MOVE_BYTES && !bio_data_is_mapped(a->tgt->bio);
}

static int
single_insert(struct apply *a, struct vos_op *op, struct vos_walk *w, const struct vos_iod *iod)
{
    struct vos_epoch at = {op->epoch, op->minor};
    struct vos_btr_key key = vos_key_epoch(&at);
    struct vos_ent_df ent = {.hkey = op->epoch};
    struct vos_ver ver = {0};
    struct vos_btr t;
    bool exact;
    int rc = ver_create(a, op, &ver, iod->data.buf, iod->size, &ent.off);

    if (rc == 0)
        rc = vos_btr_init(&t, op, &vos_kind_single, &w->akey->tree, vos_key_tree_off(w->a.off));
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc != 0)
        return rc;
    if (!vos_btr_is_empty(&w->akey->tree) || iod->size == 0 || will_move(a, iod->size))
        a->mod_has_old = true;
    rc = exact ? CAIRN_ERR(TX_RESTART) : vos_btr_insert(&t, &ent);
    if (rc == 0 && op->lid != 0)
        rc = vos_dtx_ref(op, VOS_DTX_REF_VALUE, ent.off, w->a.off, w->o.off);
    if (rc == 0 && a->no_history)
        rc = single_trim(a, op, w, &at);
    return rc;
}

static int
part_cmp(const void *a, const void *b)
{
    return vos_recx_cmp(&((const struct part *)a)->recx, &((const struct part *)b)->recx);
}

/* NULL: no memory. */
static const struct part *
parts_get(struct apply *a, const struct vos_iod *iod)
{
    const uint8_t *data = iod->data.buf;
    uint32_t big_idx = a->big_next;
    struct part *parts;

    for (uint32_t i = 0; i < a->sorted_nr; i++) {
        if (a->sorted[i].iod == iod)
            return a->sorted[i].parts;
    }
    CAIRN_ASSERT(a->sorted_nr < ARRAY_SIZE(a->sorted)); /* vos_args_check() */
    parts = vos_mem_get(iod->recx_nr * sizeof(*parts));
    if (parts == NULL)
        return NULL;
    for (uint32_t i = 0; i < iod->recx_nr; i++) {
        uint64_t len = iod->recxs[i].nr * iod->size;

        parts[i] = (struct part){iod->recxs[i], data, big_idx};
        big_idx += len > a->part_max;
        if (data != NULL)
            data += len;
    }
    qsort(parts, iod->recx_nr, sizeof(*parts), part_cmp);
    a->sorted[a->sorted_nr++] = (struct sorted){iod, parts};
    return parts;
}

static int
part_insert(struct apply *a, struct vos_op *op, struct vos_walk *w, const struct recx *recx,
    const uint8_t *data, uint64_t size)
{
    struct vos_ver ver = {.is_ext = true, .lo = recx->idx, .hi = recx->idx + recx->nr - 1};
    uint64_t off;
    int rc = ver_create(a, op, &ver, data, recx->nr * size, &off);

    if (rc != 0)
        return rc;
    if (!vos_btr_is_empty(&w->akey->tree) || size == 0 || will_move(a, recx->nr * size))
        a->mod_has_old = true;
    rc = vos_evt_insert(op, &w->akey->tree, vos_key_tree_off(w->a.off), off);
    if (rc == 0 && op->lid != 0)
        rc = vos_dtx_ref(op, VOS_DTX_REF_EXT, off, w->a.off, w->o.off);
    return rc;
}

static int
parts_insert(struct apply *a, struct vos_op *op, struct vos_walk *w, const struct vos_iod *iod)
{
    const struct part *parts = parts_get(a, iod);
    uint32_t big_end = a->big_next;
    int rc = parts == NULL ? CAIRN_ERR(NOMEM) : 0;

    op->is_bulk = true;
    for (uint32_t i = 0; rc == 0 && i < iod->recx_nr; i++) {
        a->big_next = parts[i].big_idx;
        rc = part_insert(a, op, w, &parts[i].recx, parts[i].data, iod->size);
        big_end = MAX(big_end, a->big_next);
    }
    op->is_bulk = false;
    a->big_next = big_end;
    return rc;
}

/*
 * The akey holds something else. If it has changes that are not decided, it may be made anew without them, and then hold anything.
 */
static int
mismatch(struct apply *a, struct vos_op *op, struct vos_walk *w, int rc)
{
    bool was_passing = a->look.is_passing;
    struct vos_ilog_info info;
    int rc2;

    a->look.is_passing = false;
    rc2 = vos_ilog_read(op, &w->akey->ilog, vos_key_ilog_off(w->a.off), UINT64_MAX,
        (struct vos_epoch){0, 0}, &info);
    a->look.is_passing = was_passing;
    return rc2 != 0 ? rc2 : rc;
}

static int
array_insert(struct apply *a, struct vos_op *op, struct vos_walk *w, const struct vos_iod *iod)
{
    const uint8_t *data = iod->data.buf;
    int rc = 0;

    a->part_max = vos_inline_max(a->cont, iod, a->inline_max);
    if (iod->size != 0 && w->akey->rec_size == 0) {
        rc = vos_range(op, w->a.off + offsetof(struct vos_key_df, rec_size), sizeof(uint32_t));
        if (rc != 0)
            return rc;
        w->akey->rec_size = (uint32_t)iod->size;
    }
    if (iod->size == 0 && (w->akey->flags & VOS_KEY_HOLES) == 0) {
        rc = vos_range(op, w->a.off + offsetof(struct vos_key_df, flags), sizeof(uint8_t));
        if (rc != 0)
            return rc;
        w->akey->flags |= VOS_KEY_HOLES;
    }
    if (iod->size != 0 && w->akey->rec_size != iod->size)
        return mismatch(a, op, w, CAIRN_ERR(REC_SIZE));
    if (iod->recx_nr >= BULK_RECXS_NR)
        rc = parts_insert(a, op, w, iod);
    for (uint32_t i = 0; rc == 0 && iod->recx_nr < BULK_RECXS_NR && i < iod->recx_nr; i++) {
        rc = part_insert(a, op, w, &iod->recxs[i], data, iod->size);
        if (iod->size != 0)
            data += iod->recxs[i].nr * iod->size;
    }
    return rc == -DER_EXIST ? CAIRN_ERR(TX_RESTART) : rc;
}

/* ---- the transaction: modifications --------------------------------------------------------------------------------- */

static int
cond_check(bool is_visible, uint32_t cond, uint32_t insert, uint32_t update)
{
    if ((cond & insert) != 0 && is_visible)
        return CAIRN_ERR(EXIST);
    if ((cond & update) != 0 && !is_visible)
        return CAIRN_ERR(NONEXIST);
    return 0;
}

/* What the end of the modification needs of memory comes while its middle runs. */
static inline void
dkey_ahead(struct apply *a, const struct vos_walk *w)
{
    __builtin_prefetch(vos_ts_at(&a->tgt->ts, VOS_TS_DKEY, w->h_dkey), 1);
    vos_dirty_ahead(&a->cont->dirty, w->h_obj, w->dkey_hkey);
}

/* The newest version, whose epoch the tree needs, while the next one is made. */
static inline void
akey_ahead(struct apply *a, struct vos_op *op, const struct vos_walk *w)
{
    __builtin_prefetch(vos_ts_at(&a->tgt->ts, VOS_TS_AKEY, w->h_akey), 1);
    vos_ahead(op, w->akey->tree.root);
}

static int
iod_update(struct apply *a, struct vos_op *op, struct vos_walk *w, uint32_t cond,
    const struct vos_iod *iod)
{
    uint32_t type;
    int rc = vos_walk_akey(op, &iod->akey, iod->size != 0, w);

    if (rc == 0) {
        rc = cond_check(w->a.info.is_visible, (cond & VOS_COND_PER_AKEY) != 0 ? iod->cond : cond,
            VOS_COND_AKEY_INSERT, VOS_COND_AKEY_UPDATE);
    }
    if (rc != 0)
        return rc;
    if (iod->size == 0 && !w->a.info.is_visible)
        return 0; /* nothing to punch */
    akey_ahead(a, op, w);
    type = vos_akey_type(w->akey);
    if (type != 0 && type != iod->type)
        return mismatch(a, op, w, CAIRN_ERR(INVAL));
    rc = vos_walk_akey_touch(op, w);
    if (rc != 0)
        return rc;
    return iod->type == VOS_IOD_SINGLE ? single_insert(a, op, w, iod) : array_insert(a, op, w, iod);
}

/* Which dkeys the next aggregation looks at; of an object with few it looks at all. */
static void
dirty_note(
    struct apply *a, const struct vos_op *op, const struct vos_mod *mod, const struct vos_walk *w)
{
    struct vos_dirty *d = &a->cont->dirty;

    if (w->obj->dkeys.depth < a->tgt->dirty_depth && !vos_dirty_knows(d, w->h_obj))
        return;
    vos_dirty_obj_changed(d, w->h_obj, w->obj->epoch_max, op->epoch);
    if (mod->op == VOS_MOD_PUNCH_OBJ) {
        CAIRN_IGNORE(
            vos_dirty_whole(d, w->h_obj, op->epoch)); /* without an entry it is looked at, too */
    } else if (a->mod_has_old)
        vos_dirty_dkey(d, w->h_obj, w->dkey_hkey, op->epoch);
}

/* The object of the modification changed. */
static int
obj_note(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w)
{
    int rc;

    dirty_note(a, op, mod, w);
    if (w->obj->epoch_max >= op->epoch || op->lid != 0)
        return 0; /* what is not decided is no change yet */
    rc = vos_range(op, w->o.off + offsetof(struct vos_obj_df, epoch_max), sizeof(uint64_t));
    if (rc == 0)
        w->obj->epoch_max = op->epoch;
    return rc;
}

static int
mod_update(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w)
{
    bool create = mod_writes(mod);
    int rc;

    w->akey_len = mod->iods[0].size != 0 ? mod->iods[0].akey.len : 0;
    rc = vos_walk_obj(op, a->cont, &mod->oid, create, w);

    if (rc == 0)
        rc = vos_walk_dkey(op, &mod->dkey, create, w);
    if (rc == 0) {
        dkey_ahead(a, w);
        rc = cond_check(w->d.info.is_visible, mod->cond, VOS_COND_DKEY_INSERT, VOS_COND_DKEY_UPDATE);
    }
    if (rc == 0 && create)
        rc = vos_walk_obj_touch(op, w);
    if (rc == 0 && create)
        rc = vos_walk_dkey_touch(op, w);
    for (uint32_t i = 0; rc == 0 && i < mod->iod_nr; i++) {
        rc = iod_update(a, op, w, mod->cond, &mod->iods[i]);
    }
    return rc != 0 || w->obj == NULL ? rc : obj_note(a, op, mod, w);
}

/* Punch what is visible; what is not needs no punch. */
static int
level_punch(struct apply *a, struct vos_op *op, struct vos_walk *w, const struct vos_level_pos *pos,
    int (*log)(struct vos_op *op, struct vos_walk *w, bool is_punch), uint32_t cond)
{
    if (!pos->info.is_visible)
        return (cond & VOS_COND_PUNCH) != 0 ? CAIRN_ERR(NONEXIST) : 0;
    a->mod_has_old = true;
    return log(op, w, true);
}

/* Take a dkey or akey out of its tree and free it, when it may be (VOS_APPLY_NO_HISTORY). */
static int
level_drop(struct apply *a, struct vos_op *op, struct vos_btr *t, const struct iov *key,
    const struct vos_btr_kind *below, bool *ret_dropped)
{
    struct vos_btr_key k = vos_key_bytes(op, t->kind, key);
    uint64_t rec;
    int rc = vos_rec_find(t, &k, &rec);

    *ret_dropped = false;
    if (rc != 0 || rec == 0)
        return rc;
    rc = vos_gc_can_drop(op, below, rec, ret_dropped);
    if (rc != 0 || !*ret_dropped)
        return rc;
    rc = vos_btr_delete(t);
    return rc != 0 ? rc : vos_gc_drop(a->tgt, op, rec);
}

static int
dkey_drop(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w,
    bool *ret_dropped)
{
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, w->dkey_kind, &w->obj->dkeys, vos_obj_tree_off(w->o.off));

    return rc != 0 ? rc : level_drop(a, op, &t, &mod->dkey, w->akey_kind, ret_dropped);
}

static int
akey_drop(struct apply *a, struct vos_op *op, const struct iov *akey, struct vos_walk *w,
    bool *ret_dropped)
{
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, w->akey_kind, &w->dkey->tree, vos_key_tree_off(w->d.off));

    return rc != 0 ? rc : level_drop(a, op, &t, akey, NULL, ret_dropped);
}

static int
mod_punch_obj(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w)
{
    int rc = vos_walk_obj(op, a->cont, &mod->oid, false, w);

    if (rc == 0) {
        rc = level_punch(a, op, w, &w->o, vos_walk_obj_log, mod->cond);
    }
    return rc != 0 || w->obj == NULL ? rc : obj_note(a, op, mod, w);
}

static int
mod_punch_dkey(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w)
{
    bool dropped = false;
    int rc = vos_walk_obj(op, a->cont, &mod->oid, false, w);

    if (rc == 0)
        rc = vos_walk_dkey(op, &mod->dkey, false, w);
    if (rc == 0 && w->dkey == NULL) {
        rc = (mod->cond & VOS_COND_PUNCH) != 0 ? CAIRN_ERR(NONEXIST) : 0;
    } else if (rc == 0)
        rc = level_punch(a, op, w, &w->d, vos_walk_dkey_log, mod->cond);
    if (rc == 0 && w->dkey != NULL && a->no_history)
        rc = dkey_drop(a, op, mod, w, &dropped);
    return rc != 0 || w->obj == NULL ? rc : obj_note(a, op, mod, w);
}

static int
akey_punch(struct apply *a, struct vos_op *op, const struct vos_mod *mod, const struct iov *akey,
    struct vos_walk *w)
{
    bool dropped = false;
    int rc = vos_walk_akey(op, akey, false, w);

    if (rc != 0)
        return rc;
    if (w->akey == NULL)
        return (mod->cond & VOS_COND_PUNCH) != 0 ? CAIRN_ERR(NONEXIST) : 0;
    rc = level_punch(a, op, w, &w->a, vos_walk_akey_log, mod->cond);
    if (rc == 0 && a->no_history)
        rc = akey_drop(a, op, akey, w, &dropped);
    return rc;
}

/* The epoch is not a fresh one. */
static bool
is_given(const struct apply *a)
{
    return a->args->epoch != 0 || a->prep.act != NULL;
}

static int
mod_punch_akeys(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w)
{
    bool is_empty = false, any = false, dropped = false;
    uint32_t at = (uint32_t)(mod - a->args->mods);
    int rc = vos_walk_obj(op, a->cont, &mod->oid, false, w);

    if (rc == 0)
        rc = vos_walk_dkey(op, &mod->dkey, false, w);
    for (uint32_t i = 0; rc == 0 && i < mod->iod_nr; i++) {
        rc = akey_punch(a, op, mod, &mod->iods[i].akey, w);
        any = any || w->a.info.is_visible;
    }
    /* A dkey that lost its last akey goes, too. */
    if (rc == 0 && any && w->d.info.is_visible) {
        rc = vos_empty_check(
            op, a->tgt, mod, w, a->empties == NULL ? NULL : &a->empties[at], &is_empty);
    }
    if (rc == -DER_INPROGRESS)
        a->undecided = at;
    /* That is a punch of the dkey (TS-2): what was changed in it since does not make it anew. */
    if (rc == 0 && is_empty && is_given(a) &&
        vos_ts_refuses(&a->tgt->ts, VOS_TS_DKEY, w->h_dkey, op->epoch, true, a->args->tx))
        rc = CAIRN_ERR(TX_RESTART);
    if (rc == 0 && is_empty)
        rc = vos_walk_dkey_log(op, w, true);
    if (rc == 0 && is_empty && a->no_history)
        rc = dkey_drop(a, op, mod, w, &dropped);
    return rc != 0 || w->obj == NULL ? rc : obj_note(a, op, mod, w);
}

/* What it does does not depend on what is there: nor does it on what others may commit or abort (DTX-5). */
static bool
is_blind(const struct vos_mod *mod)
{
    if (mod->op != VOS_MOD_UPDATE || mod->cond != 0)
        return false;
    for (uint32_t i = 0; i < mod->iod_nr; i++) {
        if (mod->iods[i].size == 0)
            return false;
    }
    return true;
}

static int
mod_apply(struct apply *a, struct vos_op *op, const struct vos_mod *mod)
{
    struct vos_walk *w = &a->walk;
    int rc = vos_walk_init(w, a->cont, &mod->oid);

    if (rc != 0)
        return rc;
    if (mod == a->args->mods && a->hint.cut_nr == a->tgt->cut_nr && !op->is_key_gone)
        w->dkey_hint = a->hint.dkey_off; /* HNT-2 */
    if (CAIRN_UNLIKELY(a->cont->dtxs != NULL))
        a->look.is_passing = is_blind(mod);
    switch (mod->op) {
    case VOS_MOD_UPDATE:
        return mod_update(a, op, mod, w);
    case VOS_MOD_PUNCH_OBJ:
        return mod_punch_obj(a, op, mod, w);
    case VOS_MOD_PUNCH_DKEY:
        return mod_punch_dkey(a, op, mod, w);
    default:
        return mod_punch_akeys(a, op, mod, w);
    }
}

/* ---- the transaction: epochs given by the caller -------------------------------------------------------------------- */

/* TX_RESTART when another request punched this level at exactly this epoch (TX-3). */
static int
level_conflict(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off)
{
    uint16_t create, punch;
    uint32_t lid = 0;
    bool exists;
    int rc = vos_ilog_at(op, ilog, ilog_off, op->epoch, &create, &punch);

    if (rc == 0 && punch != 0 && op->lid != 0) {
        rc = vos_ilog_mark(op, ilog, ilog_off, op->epoch, &exists, &lid);
        if (rc == 0 && lid == op->lid)
            return 0; /* an earlier part */
    }
    return rc != 0 ? rc : punch != 0 ? CAIRN_ERR(TX_RESTART) : 0;
}

static int
value_conflict(struct apply *a, struct vos_op *op, const struct vos_walk *w, const struct vos_iod *iod)
{
    struct vos_epoch newest = {op->epoch, UINT16_MAX};
    struct vos_btr_key key = vos_key_epoch(&newest);
    uint32_t type = vos_akey_type(w->akey);
    struct vos_ver ver;
    struct vos_btr t;
    bool found = false;
    int rc;

    if (type == VOS_IOD_SINGLE) {
        rc = vos_btr_init(&t, op, &vos_kind_single, &w->akey->tree, vos_key_tree_off(w->a.off));
        if (rc == 0)
            rc = vos_btr_search_le(&t, &key);
        if (rc == 0)
            rc = vos_ver_get(op, vos_btr_rec(&t), &ver);
        if (rc != 0)
            return rc == -DER_NONEXIST ? 0 : rc;
        return ver.epoch == op->epoch && (op->lid == 0 || ver.dtx != op->lid) ? CAIRN_ERR(TX_RESTART)
                                                                              : 0;
    }
    rc = 0;
    for (uint32_t i = 0; rc == 0 && type == iod->type && i < iod->recx_nr && !found; i++) {
        rc = vos_evt_at(op, &w->akey->tree, vos_key_tree_off(w->a.off), iod->recxs[i].idx,
            iod->recxs[i].idx + iod->recxs[i].nr - 1, op->epoch, &a->tgt->heap, &found);
    }
    return rc != 0 ? rc : found ? CAIRN_ERR(TX_RESTART) : 0;
}

static int
update_conflict(struct apply *a, struct vos_op *op, const struct vos_mod *mod, struct vos_walk *w)
{
    int rc = vos_walk_obj(op, a->cont, &mod->oid, false, w);

    if (rc == 0)
        rc = vos_walk_dkey(op, &mod->dkey, false, w);
    if (rc == 0 && w->obj != NULL)
        rc = level_conflict(op, &w->obj->ilog, vos_obj_ilog_off(w->o.off));
    if (rc == 0 && w->dkey != NULL)
        rc = level_conflict(op, &w->dkey->ilog, vos_key_ilog_off(w->d.off));
    for (uint32_t i = 0; rc == 0 && i < mod->iod_nr; i++) {
        rc = vos_walk_akey(op, &mod->iods[i].akey, false, w);
        if (rc == 0 && w->akey != NULL)
            rc = level_conflict(op, &w->akey->ilog, vos_key_ilog_off(w->a.off));
        if (rc == 0 && w->akey != NULL)
            rc = value_conflict(a, op, w, &mod->iods[i]);
    }
    return rc;
}

/* TS-2 for one modification. */
static bool
ts_refuses(
    struct apply *a, const struct vos_op *op, const struct vos_mod *mod, const struct vos_walk *w)
{
    struct vos_ts *ts = &a->tgt->ts;
    bool is_obj = mod->op == VOS_MOD_PUNCH_OBJ, is_dkey = mod->op == VOS_MOD_PUNCH_DKEY;
    uint64_t h;

    if (vos_ts_is_other(a->cont->read_epoch, a->cont->read_tx, op->epoch, a->args->tx) ||
        vos_ts_refuses(ts, VOS_TS_OBJ, w->h_obj, op->epoch, is_obj, a->args->tx))
        return true;
    if (is_obj)
        return false;
    h = vos_ts_hash(w->h_obj, vos_key_bytes(op, w->dkey_kind, &mod->dkey).hkey);
    if (vos_ts_refuses(ts, VOS_TS_DKEY, h, op->epoch, is_dkey, a->args->tx))
        return true;
    for (uint32_t i = 0; !is_dkey && i < mod->iod_nr; i++) {
        uint64_t k = vos_ts_hash(h, vos_key_bytes(op, w->akey_kind, &mod->iods[i].akey).hkey);

        if (vos_ts_refuses(ts, VOS_TS_AKEY, k, op->epoch, mod->op == VOS_MOD_PUNCH_AKEYS, a->args->tx))
            return true;
    }
    return false;
}

/* Before anything changes, so that what is found at this epoch is another request's. */
static int
conflicts_check(struct apply *a, struct vos_op *op)
{
    struct vos_walk w;
    int rc = 0;

    a->look.is_passing = true;
    for (uint32_t i = 0; rc == 0 && i < a->args->mod_nr; i++) {
        const struct vos_mod *mod = &a->args->mods[i];

        rc = vos_walk_init(&w, a->cont, &mod->oid);
        if (rc == 0 && ts_refuses(a, op, mod, &w))
            rc = CAIRN_ERR(TX_RESTART);
        if (rc == 0 && mod->op == VOS_MOD_UPDATE)
            rc = update_conflict(a, op, mod, &w);
        if (rc == 0 && a->args->epoch_bound > op->epoch)
            rc = vos_uncertain_mod(op, a->cont, mod, a->args->epoch_bound);
    }
    a->look.is_passing = false;
    return rc;
}

/* TS-1, TS-4: what one modification has seen and changed. */
static void
stamp_mod(
    struct vos_ts *ts, const struct vos_op *op, const struct vos_mod *mod, const struct vos_walk *w)
{
    const uint32_t dkey_conds = VOS_COND_DKEY_INSERT | VOS_COND_DKEY_UPDATE;
    bool is_update = mod->op == VOS_MOD_UPDATE;
    uint64_t h;

    if (mod->op == VOS_MOD_PUNCH_OBJ) {
        vos_ts_lo(ts, VOS_TS_OBJ, w->h_obj, op->epoch, 0);
        return;
    }
    vos_ts_hi(ts, VOS_TS_OBJ, w->h_obj, op->epoch, 0);
    h = vos_ts_hash(w->h_obj, vos_key_bytes(op, w->dkey_kind, &mod->dkey).hkey);
    if (!is_update || (mod->cond & dkey_conds) != 0) {
        vos_ts_lo(ts, VOS_TS_DKEY, h, op->epoch, 0);
    } else {
        vos_ts_hi(ts, VOS_TS_DKEY, h, op->epoch, 0);
    }
    for (uint32_t j = 0; mod->op != VOS_MOD_PUNCH_DKEY && j < mod->iod_nr; j++) {
        uint64_t k = vos_ts_hash(h, vos_key_bytes(op, w->akey_kind, &mod->iods[j].akey).hkey);

        if (!is_update || mod->cond != 0 || mod->iods[j].size == 0) {
            vos_ts_lo(ts, VOS_TS_AKEY, k, op->epoch, 0);
        } else {
            vos_ts_hi(ts, VOS_TS_AKEY, k, op->epoch, 0);
        }
    }
}

/* After the transaction, whether it succeeded or not. */
static void
stamp(struct apply *a, const struct vos_op *op)
{
    struct vos_ts *ts = &a->tgt->ts;
    const struct vos_mod *mod = a->args->mods;

    /* The plain update of one value: its hashes are at hand. */
    if (a->args->mod_nr == 1 && mod->op == VOS_MOD_UPDATE && mod->iod_nr == 1 && mod->cond == 0 &&
        mod->iods[0].size != 0 && a->walk.a.off != 0) {
        vos_ts_hi(ts, VOS_TS_OBJ, a->walk.h_obj, op->epoch, 0);
        vos_ts_hi(ts, VOS_TS_DKEY, a->walk.h_dkey, op->epoch, 0);
        vos_ts_hi(ts, VOS_TS_AKEY, a->walk.h_akey, op->epoch, 0);
        return;
    }
    for (uint32_t i = 0; i < a->args->mod_nr; i++) {
        if (vos_walk_init(&a->walk, a->cont, &mod[i].oid) == 0)
            stamp_mod(ts, op, &mod[i], &a->walk);
    }
}

/* ---- the transaction as a whole ------------------------------------------------------------------------------------- */

static int
cont_account(struct apply *a, struct vos_op *op, int64_t meta_delta)
{
    struct vos_cont_df *rec;
    int rc = vos_cont_get(op, a->cont->off, &rec);

    if (rc == 0) {
        rc = vos_range(
            op, a->cont->off + offsetof(struct vos_cont_df, epoch_max), 4 * sizeof(uint64_t));
    }
    if (rc != 0)
        return rc;
    rec->epoch_max = MAX(rec->epoch_max, op->lid != 0 ? 0 : op->epoch);
    rec->obj_nr += (uint64_t)op->obj_delta;
    rec->meta_used += (uint64_t)meta_delta;
    rec->data_used += (uint64_t)op->data_delta;
    if (CAIRN_LIKELY(op->epoch > rec->agg_epoch))
        return 0;
    /* In the past that was aggregated: the next pass looks there again. */
    rc = vos_range(op, a->cont->off + offsetof(struct vos_cont_df, agg_epoch), sizeof(uint64_t));
    if (rc == 0)
        rec->agg_epoch = op->epoch - 1;
    return rc;
}

/* Whatever came out depends on what is not decided. */
static int
asks_rc(const struct apply *a, int rc)
{
    return a->look.nr > 0 && rc != -DER_AGAIN && rc != -DER_TX_RESTART ? -DER_TX_BUSY : rc;
}

static int
apply_body(struct vos_op *op, void *arg)
{
    struct apply *a = arg;
    struct vos_pool *pool = a->cont->pool;
    int64_t meta_delta;
    int rc = 0;

    a->big_next = 0;
    a->has_old = false;
    /* What is not settled must stay where it is (DTX-1). */
    a->no_history = (a->args->flags & VOS_APPLY_NO_HISTORY) != 0 &&
        (a->cont->dtxs == NULL || a->cont->dtxs->act_nr == 0);
    a->look.nr = 0;
    if (a->look.asks != NULL)
        a->look.asks->nr = 0;
    op->look = &a->look;
    if (a->args->dtx != NULL)
        rc = vos_dtx_begin(op, &a->prep);
    if (rc == 0)
        rc = vos_epoch_take(a->tgt, op, &a->bound);
    if (rc == 0 && is_given(a))
        rc = conflicts_check(a, op);
    for (uint32_t i = 0; rc == 0 && i < a->args->mod_nr; i++) {
        op->minor = (uint16_t)(a->prep.minor + i + 1);
        a->mod_has_old = false;
        rc = mod_apply(a, op, &a->args->mods[i]);
        a->has_old = a->has_old || a->mod_has_old;
    }
    rc = asks_rc(a, rc);
    if (rc == 0)
        rc = vos_bigs_publish(a->bigs, op);
    if (rc == 0 && a->args->dtx != NULL) {
        a->prep.minor = (uint16_t)(a->prep.minor + a->args->mod_nr);
        rc = vos_dtx_store(op, &a->prep);
    }
    meta_delta = op->meta_delta;
    if (rc == 0)
        rc = vos_req_store(op, pool, &a->req, op->epoch, &a->args->result);
    if (rc == 0)
        rc = cont_account(a, op, meta_delta);
    if (rc == 0 && op->meta_delta > 0 &&
        pool->meta_used + (uint64_t)op->meta_delta > pool->meta_quota && !is_reclaim(a->args))
        rc = CAIRN_ERR(NOSPACE);
    return rc;
}

/* After the commit and before any yield. */
static void
apply_committed(struct apply *a, const struct vos_op *op, uint64_t lsn)
{
    struct vos_pool *pool = a->cont->pool;

    vos_bigs_published(a->bigs);
    pool->meta_used += (uint64_t)op->meta_delta;
    pool->data_used += (uint64_t)op->data_delta;
    vos_bound_moved(a->tgt, a->bound, lsn);
    vos_req_stored(pool, &a->req);
    if (a->args->dtx != NULL)
        vos_dtx_stored(&a->prep, op, lsn);
    a->cont->trim_nr += a->no_history;
    if (a->has_old)
        vos_agg_note(a->cont, op->epoch);
    a->cont->lsn_last = lsn;
    *vos_obj_lsn(a->tgt, a->walk.h_obj) = lsn;
    for (uint32_t i = 0; i + 1 < a->args->mod_nr; i++) {
        *vos_obj_lsn(a->tgt, vos_obj_hash(a->cont, &a->args->mods[i].oid)) = lsn;
    }
}

/* What a failure reveals must be durable, too (ST-2). */
static uint64_t
revealed_lsn(const struct apply *a, int rc)
{
    uint64_t lsn = 0;

    if (rc == -DER_NOSPACE)
        return bio_wal_last(a->tgt->bio);
    for (uint32_t i = 0; i < a->args->mod_nr; i++) {
        lsn = MAX(lsn, *vos_obj_lsn(a->tgt, vos_obj_hash(a->cont, &a->args->mods[i].oid)));
    }
    if (a->args->dtx != NULL)
        lsn = MAX(lsn, a->cont->dtxs->lsn);
    return MAX(lsn, a->tgt->bound_lsn);
}

/* The transaction was given up for want of a look at all akeys of a dkey. */
static int
undecided_scan(struct apply *a)
{
    if (a->empties == NULL) {
        a->empties = vos_heap_alloc(&a->tgt->heap, a->args->mod_nr * sizeof(*a->empties));
        if (a->empties == NULL)
            return CAIRN_ERR(NOMEM);
        memset(a->empties, 0, a->args->mod_nr * sizeof(*a->empties));
    }
    a->look.is_passing = false;
    return vos_empty_scan(
        a->cont, a->args, &a->args->mods[a->undecided], &a->look, &a->empties[a->undecided]);
}

static void
empties_free(struct apply *a)
{
    for (uint32_t i = 0; a->empties != NULL && i < a->args->mod_nr; i++) {
        vos_empty_fini(&a->empties[i]);
    }
    vos_heap_free(a->empties);
}

static bool
space_wait(struct apply *a)
{
    if (vos_gc_wait(a->tgt))
        return true;
    return a->args->space_wait != NULL && a->args->space_wait(a->args->space_arg);
}

static int
apply_run(struct apply *a, uint64_t *ret_epoch)
{
    uint32_t flags = is_reclaim(a->args) ? UMEM_TX_RECLAIM : 0;
    bool is_written = false;
    struct vos_op op;
    uint64_t lsn = 0;
    int rc = 0, wait_rc;

    for (uint32_t tries = 0;; tries++) {
        rc = rc == -DER_INPROGRESS ? undecided_scan(a) : 0;
        if (rc != 0)
            break;
        rc = is_written ? 0 : vos_bigs_write(a->bigs);
        is_written = rc == 0;
        if (rc == 0) {
            vos_op_init(&op, a->tgt);
            op.epoch = a->args->epoch;
            op.pm_ver = a->args->pm_ver;
            rc = vos_tx_run(a->tgt, &op, flags, a->cont->pool->shard, apply_body, a, &lsn);
        }
        if (rc == -DER_INPROGRESS)
            continue;
        /* In a full store space may still come back, also when collecting failed once. */
        if (rc == -DER_NOSPACE && tries == 0)
            vos_gc_retry(a->tgt);
        if (rc != -DER_NOSPACE || tries == VOS_APPLY_TRIES_NR_MAX || !space_wait(a))
            break;
    }
    if (rc == 0) {
        apply_committed(a, &op, lsn);
    } else {
        lsn = revealed_lsn(a, rc);
    }
    /* Not at an epoch that was refused for being too far ahead. */
    if (is_written && op.epoch != 0 && op.epoch <= a->tgt->clock.last && !a->prep.is_replay)
        stamp(a, &op);
    vos_bigs_cancel(a->bigs);
    wait_rc = vos_wait(a->tgt, lsn);
    if (rc == 0)
        *ret_epoch = op.epoch;
    if (rc == -DER_TX_BUSY)
        rc = CAIRN_ERR(INPROGRESS);
    return wait_rc != 0 ? wait_rc : rc;
}

/* Before anything is done for a transaction that is decided later. */
static int
dtx_open(struct apply *a)
{
    int rc = vos_dtx_args_check(a->args);

    if (rc != 0)
        return rc;
    if (a->cont->dtxs == NULL)
        a->cont->dtxs = vos_dtxs_create();
    if (a->cont->dtxs == NULL)
        return CAIRN_ERR(NOMEM);
    a->prep.args = a->args->dtx;
    a->prep.cont = a->cont;
    a->look.own = a->args->dtx->id;
    return 0;
}

/* Before anything else, so that those which wait for their turn have little. */
static void
keys_hint(struct apply *a)
{
    const struct vos_op op = {.hash_mask = a->tgt->hash_mask};
    const struct vos_mod *mod = a->args->mods;
    struct vos_walk *w = &a->walk;
    uint64_t dkey, akey;

    if ((mod->op != VOS_MOD_UPDATE && mod->op != VOS_MOD_PUNCH_AKEYS) || !ult_has_peer() ||
        vos_walk_init(w, a->cont, &mod->oid) != 0)
        return;
    dkey = vos_key_bytes(&op, w->dkey_kind, &mod->dkey).hkey;
    akey = vos_key_bytes(&op, w->akey_kind, &mod->iods[0].akey).hkey;
    vos_hint_change(a->cont, w, dkey, akey, &a->hint);
}

int
vos_apply(struct vos_cont *cont, const struct vos_apply_args *args, struct vos_apply_ret *ret)
{
    struct apply a = {.tgt = cont->tgt, .cont = cont, .args = args};
    struct vos_apply_ret answer = {0};
    int rc = vos_args_check(args, args->ahead == NULL, &a.inline_max);

    if (rc != 0)
        return rc;
    keys_hint(&a);
    a.look.asks = args->asks;
    if (args->dtx != NULL)
        rc = dtx_open(&a);
    if (rc != 0)
        return rc;
    a.own_bigs = (struct vos_bigs){.cont = cont,
        .inline_max = a.inline_max,
        .csum = vos_csum_of(args->csum_type, args->csum_chunk_bytes)};
    a.bigs = &a.own_bigs;
    if (args->ahead != NULL)
        rc = vos_ahead_take(args->ahead, args, &a.bigs);
    if (rc != 0)
        return rc;
    rc = vos_req_begin(cont->tgt, cont->pool, &args->req, &a.req, &answer);
    if (rc != 0)
        return rc;
    if (!answer.is_replay) {
        if (args->ahead == NULL)
            rc = vos_bigs_init(a.bigs, args);
        if (rc == 0)
            rc = apply_run(&a, &answer.epoch);
        if (a.prep.is_replay && rc == -DER_EXIST) {
            rc = 0;
            answer.is_replay = true;
            answer.epoch = a.prep.epoch;
        }
        vos_req_end(cont->pool, &a.req, rc);
        answer.result_len = (uint32_t)args->result.len;
        if (args->result.len > 0)
            memcpy(answer.result, args->result.buf, args->result.len);
    }
    vos_bigs_fini(&a.own_bigs);
    empties_free(&a);
    while (a.sorted_nr > 0) {
        free(a.sorted[--a.sorted_nr].parts);
    }
    if (args->dtx != NULL)
        vos_dtx_prep_fini(&a.prep);
    if (rc == 0 && ret != NULL)
        *ret = answer;
    return rc;
}
