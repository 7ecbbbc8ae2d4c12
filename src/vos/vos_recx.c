/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Visible extents of an array in order, upwards or downwards, in windows of a bounded number of pieces, merged where they touch and have one
 * epoch. Between windows the listing may pause; it goes on at the same epoch. The first window is as long as WINDOW_GUESS_NR extents of any
 * version; each next one is twice as long while there is little in it, and half as long when there is too much: extents that are covered
 * by newer ones cost nothing.
 */
#include "vos/vos_evtree.h"
#include "vos/vos_priv.h"

#include <stdlib.h>

enum { WINDOW_GUESS_NR = 64, WINDOW_PIECES_NR = 256 };
#define IDX_MAX ((UINT64_C(1) << 63) - 1)

/* A first guess: the window upwards from `pos` ends before the extent that would be one too many. */
static int
window_up(struct vos_btr *t, uint64_t pos, uint64_t *ret_hi)
{
    struct vos_epoch oldest = {0, 0};
    struct vos_btr_key key = {.hkey = pos + 1, .buf = &oldest, .len = sizeof(oldest)};
    struct vos_ver ext;
    bool exact;
    int rc = vos_btr_search(t, &key, &exact);

    if (rc == 0)
        rc = vos_btr_settle(t);
    for (uint32_t i = 0; rc == 0 && i < WINDOW_GUESS_NR; i++) {
        rc = vos_btr_next(t);
    }
    *ret_hi = IDX_MAX;
    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = vos_ext_get(t->op, vos_btr_rec(t), &ext);
    if (rc == 0 && ext.lo > pos)
        *ret_hi = ext.lo - 1;
    return rc;
}

static int
window_down(struct vos_btr *t, uint64_t pos, uint64_t *ret_lo)
{
    struct vos_epoch newest = {UINT64_MAX, UINT16_MAX};
    struct vos_btr_key key = {.hkey = pos, .buf = &newest, .len = sizeof(newest)};
    struct vos_ver ext;
    int rc = vos_btr_search_le(t, &key);

    for (uint32_t i = 0; rc == 0 && i < WINDOW_GUESS_NR; i++) {
        rc = vos_btr_prev(t);
    }
    *ret_lo = 0;
    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = vos_ext_get(t->op, vos_btr_rec(t), &ext);
    if (rc == 0)
        *ret_lo = ext.lo;
    return rc;
}

static int
window_guess(struct vos_recx_list *l, struct vos_btr *t)
{
    uint64_t edge;
    int rc = l->is_descending ? window_down(t, l->window, &edge) : window_up(t, l->window, &edge);

    if (rc != 0)
        return rc;
    l->win_len = (l->is_descending ? l->window - MIN(edge, l->window) : edge - l->window) + 1;
    return 0;
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
    l->window = MIN(l->window, IDX_MAX);
    if (l->win_len == 0) {
        rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);
        if (rc == 0)
            rc = window_guess(l, &t);
        if (rc != 0)
            return rc;
    }
    l->win_lo = l->win_hi = l->window;
    if (l->is_descending) {
        l->win_lo = l->win_len > l->win_hi ? 0 : l->win_hi - l->win_len + 1;
    } else {
        l->win_hi = l->win_len > IDX_MAX - l->win_lo ? IDX_MAX : l->win_lo + l->win_len - 1;
    }
    vos_evt_begin(l->search, &l->cont->tgt->heap, l->win_lo, l->win_hi, op->epoch, w->a.info.punch);
    l->search->piece_max = WINDOW_PIECES_NR;
    l->is_searching = true;
    l->h_obj = w->h_obj;
    l->drops = *vos_obj_drops(l->cont->tgt, w->h_obj);
    ++*vos_obj_searches(l->cont->tgt, w->h_obj);
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

static void
window_emit(struct vos_recx_list *l)
{
    const struct vos_evt_search *s = l->search;

    for (uint32_t i = 0; i < s->piece_nr && !l->is_stopped; i++) {
        const struct vos_evt_piece *p = &s->pieces[l->is_descending ? s->piece_nr - 1 - i : i];

        if (!p->is_hole)
            (void)piece_add(l, p->lo, p->hi, p->ver.epoch);
    }
    if (s->piece_nr < WINDOW_PIECES_NR / 2)
        l->win_len = MIN(l->win_len, IDX_MAX / 2) * 2;
}

static void
search_end(struct vos_recx_list *l)
{
    if (l->is_searching) {
        vos_evt_fini(l->search);
        --*vos_obj_searches(l->cont->tgt, l->h_obj);
    }
    l->is_searching = false;
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
        end = !l->is_searching;
    }
    if (rc != 0)
        return rc;
    if (end) {
        l->is_eof = flush(l);
        return 0;
    }
    if (l->drops != *vos_obj_drops(l->cont->tgt, w.h_obj)) { /* what it found may be gone */
        search_end(l);
        return -DER_INPROGRESS;
    }
    l->search->gen = *vos_obj_lsn(l->cont->tgt, w.h_obj);
    rc = vos_evt_collect(op, &w.akey->tree, vos_key_tree_off(w.a.off), l->search);
    if (rc == -DER_OVERFLOW && l->win_lo < l->win_hi) {
        search_end(l);
        l->win_len = MAX(l->win_len / 2, UINT64_C(1));
        return -DER_INPROGRESS;
    }
    if (rc != 0)
        return rc;
    window_emit(l);
    search_end(l);
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
    struct vos_evt_search search;
    int rc;

    l->search = &search;
    rc = vos_read_run(tgt, op, recx_list_body, l);
    search_end(l);
    l->search = NULL;
    return rc;
}
