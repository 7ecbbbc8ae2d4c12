/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Visible extents of an array in order, upwards or downwards, in windows of a bounded number of extents, merged where they touch and have one
 * epoch. Between windows the listing may pause; it goes on at the same epoch.
 */
#include "vos/vos_evtree.h"
#include "vos/vos_priv.h"

#include <stdlib.h>

enum { WINDOW_NR = 128 };
#define IDX_MAX ((UINT64_C(1) << 63) - 1)

/* The window upwards from `pos` ends before the extent that would be one too many. */
static int
window_up(struct vos_btr *t, uint64_t pos, uint64_t *ret_hi)
{
    struct vos_epoch oldest = {0, 0};
    struct vos_btr_key key = {.hkey = pos + 1, .buf = &oldest, .len = sizeof(oldest)};
    struct vos_ext_df *ext;
    bool exact;
    int rc = vos_btr_search(t, &key, &exact);

    if (rc == 0)
        rc = vos_btr_settle(t);
    for (uint32_t i = 0; rc == 0 && i < WINDOW_NR; i++) {
        rc = vos_btr_next(t);
    }
    *ret_hi = IDX_MAX;
    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = vos_ext_get(t->op, vos_btr_rec(t), &ext);
    if (rc == 0 && ext->lo > pos)
        *ret_hi = ext->lo - 1;
    return rc;
}

static int
window_down(struct vos_btr *t, uint64_t pos, uint64_t *ret_lo)
{
    struct vos_epoch newest = {UINT64_MAX, UINT16_MAX};
    struct vos_btr_key key = {.hkey = pos, .buf = &newest, .len = sizeof(newest)};
    struct vos_ext_df *ext;
    int rc = vos_btr_search_le(t, &key);

    for (uint32_t i = 0; rc == 0 && i < WINDOW_NR; i++) {
        rc = vos_btr_prev(t);
    }
    *ret_lo = 0;
    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = vos_ext_get(t->op, vos_btr_rec(t), &ext);
    if (rc == 0)
        *ret_lo = ext->lo;
    return rc;
}

/* Choose the next window; *ret_end when there is nothing more. */
static int
window_next(struct vos_recx_list *l, struct vos_op *op, struct vos_walk *w, bool *ret_end)
{
    struct vos_tree_df *df = &w->akey->tree;
    uint64_t df_off = vos_key_tree_off(w->a.off), hi_max = 0;
    struct vos_btr t;
    int rc = vos_evt_hi_max(op, df, df_off, &hi_max);

    *ret_end = true;
    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    if (!l->window_set) {
        l->window = l->has_pos ? l->pos : l->is_descending ? hi_max : 0;
        l->window_set = true;
    }
    if (!l->is_descending && l->window > hi_max)
        return 0;
    rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);
    if (rc != 0)
        return rc;
    l->win_lo = l->win_hi = MIN(l->window, IDX_MAX);
    rc = l->is_descending ? window_down(&t, l->win_hi, &l->win_lo)
                          : window_up(&t, l->win_lo, &l->win_hi);
    if (rc != 0)
        return rc;
    if (l->win_lo > l->win_hi)
        l->win_lo = l->win_hi;
    *l->search = (struct vos_evt_search){.lo = l->win_lo,
        .hi = l->win_hi,
        .epoch = op->epoch,
        .punch = w->a.info.punch,
        .heap = &l->cont->tgt->heap};
    *ret_end = false;
    return 0;
}

/* Hand over what is pending. False: refused or enough. */
static bool
flush(struct vos_recx_list *l)
{
    if (!l->has_pending)
        return true;
    if (l->nr == l->nr_max || !l->fn(l->arg, &l->pending)) {
        l->is_stopped = true;
        l->has_pos = true;
        l->pos =
            l->is_descending ? l->pending.recx.idx + l->pending.recx.nr - 1 : l->pending.recx.idx;
        return false;
    }
    l->nr++;
    l->has_pending = false;
    return true;
}

static bool
piece_add(struct vos_recx_list *l, uint64_t lo, uint64_t hi, uint64_t epoch)
{
    struct recx *p = &l->pending.recx;

    if (l->has_pending && l->pending.epoch == epoch) {
        if (!l->is_descending && p->idx + p->nr == lo) {
            p->nr += hi - lo + 1;
            return true;
        }
        if (l->is_descending && hi + 1 == p->idx) {
            p->idx = lo;
            p->nr += hi - lo + 1;
            return true;
        }
    }
    if (!flush(l))
        return false;
    l->pending = (struct vos_entry){.recx = {lo, hi - lo + 1}, .size = l->rec_size, .epoch = epoch};
    l->has_pending = true;
    return true;
}

struct part {
    uint64_t lo, hi, epoch;
};

static int
window_emit(struct vos_recx_list *l)
{
    const struct vos_evt_hit *hit;
    struct vos_evt_sweep sw;
    struct part *parts = NULL;
    uint32_t nr = 0;
    uint64_t lo, hi;
    int rc = vos_evt_sweep_init(&sw, l->search);

    /* Every start and every end of an extent begins at most one piece. */
    if (rc == 0 && l->is_descending) {
        parts = vos_mem_get((2 * (size_t)l->search->hit_nr + 1) * sizeof(*parts));
        rc = parts == NULL ? CAIRN_ERR(NOMEM) : 0;
    }
    while (rc == 0 && !l->is_stopped && vos_evt_sweep_next(&sw, &lo, &hi, &hit)) {
        if (hit->is_hole)
            continue;
        if (parts != NULL) {
            parts[nr++] = (struct part){lo, hi, hit->ver.epoch};
        } else {
            (void)piece_add(l, lo, hi, hit->ver.epoch);
        }
    }
    while (nr > 0 && !l->is_stopped) {
        nr--;
        (void)piece_add(l, parts[nr].lo, parts[nr].hi, parts[nr].epoch);
    }
    free(parts);
    vos_evt_sweep_fini(&sw);
    return rc;
}

static int
recx_list_body(struct vos_op *op, void *arg)
{
    struct vos_recx_list *l = arg;
    struct vos_walk w;
    bool end = true;
    int rc = vos_walk_init(&w, l->cont, l->oid);

    if (rc == 0)
        rc = vos_walk_obj(op, l->cont, l->oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, l->dkey, false, &w);
    if (rc == 0)
        rc = vos_walk_akey(op, l->akey, false, &w);
    if (rc != 0)
        return rc;
    if (w.a.info.is_visible && vos_akey_type(w.akey) == VOS_IOD_ARRAY) {
        l->rec_size = w.akey->rec_size;
        rc = l->is_searching ? 0 : window_next(l, op, &w, &end);
        if (l->is_searching)
            end = false;
    }
    if (rc != 0)
        return rc;
    if (end) {
        l->is_eof = flush(l);
        return 0;
    }
    l->is_searching = true;
    rc = vos_evt_collect(op, &w.akey->tree, vos_key_tree_off(w.a.off), l->search);
    if (rc == 0)
        rc = window_emit(l);
    if (rc != 0)
        return rc;
    l->is_searching = false;
    vos_evt_fini(l->search);
    if (l->is_stopped)
        return 0;
    if (l->is_descending ? l->win_lo == 0 : l->win_hi == IDX_MAX) {
        l->is_eof = flush(l);
        return 0;
    }
    l->window = l->is_descending ? l->win_lo - 1 : l->win_hi + 1;
    return -DER_INPROGRESS;
}

int
vos_recx_list(struct vos_tgt *tgt, struct vos_op *op, struct vos_recx_list *l)
{
    struct vos_evt_search search = {0};
    int rc;

    l->search = &search;
    rc = vos_read_run(tgt, op, recx_list_body, l);
    l->search = NULL;
    vos_evt_fini(&search);
    return rc;
}
