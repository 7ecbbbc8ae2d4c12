/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Iteration over the extents of an array, in the order of the tree, each with the parts of it that are visible and those that are hidden.
 *
 * BATCH_NR extents of the range of epochs are taken at a time; one search tells what is visible where they lie (vos_evtree.h); then they are told, in one go. Where there are too many
 * visible pieces for one search it looks at less: an extent that reaches beyond it is told up to its end, and the rest by the next one. A step of aggregation between the taking and the
 * telling makes both begin anew (AGG-3).
 */
#include "vos/vos_iter.h"

#include "base/codec.h"
#include "vos/vos_evtree.h"

#include <stdlib.h>
#include <string.h>

enum {
    BATCH_NR = 64,
    BATCH_NR_MIN = 8,
    PIECES_NR = 192
}; /* together less than VOS_STEPS_NR parts */
enum { GUESS_NR = 64 };
enum { PLACE_BYTES = 18 }; /* epoch, minor, index to go on with */
#define IDX_MAX ((UINT64_C(1) << 63) - 1)

struct ext {
    uint64_t off, lo, hi;
    struct vos_epoch ver;
    bool is_punched;
};

struct vos_iter_exts {
    bool is_searching, is_last; /* a batch was taken; it is the last one */
    uint32_t nr, at; /* extents of the batch; the one to be told next */
    uint64_t from; /* part of that one that comes next, when has_from: then it is a batch of its own */
    bool has_from;
    struct vos_epoch end_ver; /* what was looked at last: the place when all was told */
    uint64_t end_lo;
    uint32_t drops;
    uint64_t win_len; /* indexes of a search at most; 0: to be guessed */
    struct ext ext[BATCH_NR];
    struct vos_evt_search search;
};

static void
place_ext(struct vos_iter *it, uint64_t lo, struct vos_epoch ver, bool is_at, uint64_t next)
{
    uint8_t key[PLACE_BYTES];

    le64_put(key, ver.epoch);
    le16_put(key + 8, ver.minor);
    le64_put(key + 10, next);
    vos_place_set(&it->place, lo, key, sizeof(key));
    if (is_at)
        it->place.flags |= VOS_PLACE_AT;
}

static void
search_end(struct vos_iter *it)
{
    struct vos_iter_exts *x = it->exts;

    if (x->is_searching) {
        vos_evt_fini(&x->search);
        --*vos_obj_searches(it->tgt, it->walk.h_obj);
    }
    x->is_searching = false;
}

/* ---- the next extents ----------------------------------------------------------------------------------------------- */

static int
batch_seek(struct vos_iter *it, struct vos_btr *t)
{
    const struct vos_place *p = &it->place;
    struct vos_epoch ver = {le64_get(p->key), le16_get(p->key + 8)};
    struct vos_btr_key key = {.hkey = p->hkey, .buf = &ver, .len = sizeof(ver)};
    struct vos_iter_exts *x = it->exts;
    bool exact;
    int rc;

    x->has_from = false;
    if (p->type == 0)
        return vos_btr_first(t);
    rc = vos_btr_search(t, &key, &exact);
    if (rc != 0)
        return rc;
    if (exact && (p->flags & VOS_PLACE_AT) != 0) {
        x->has_from = true;
        x->from = le64_get(p->key + 10);
    }
    return exact && !x->has_from ? vos_btr_next(t) : vos_btr_settle(t);
}

static int
batch_add(struct vos_iter *it, struct vos_op *op, uint64_t off)
{
    struct vos_iter_exts *x = it->exts;
    struct vos_ver ext;
    bool is_punched;
    int rc = vos_ext_get(op, off, &ext);

    if (rc != 0)
        return rc;
    x->end_lo = ext.lo;
    x->end_ver = vos_ver_epoch(&ext);
    is_punched = !vos_epoch_gt(x->end_ver, it->walk.a.info.punch);
    if (ext.epoch < it->args->lo || ext.epoch > it->hi ||
        ((ext.flags & VOS_VER_HOLE) != 0 && (it->args->flags & VOS_ITER_HOLES) == 0) ||
        (it->states & (is_punched ? VOS_ITER_PUNCHED : VOS_ITER_VISIBLE | VOS_ITER_COVERED)) == 0) {
        x->has_from = false;
        return 0;
    }
    if (x->has_from && x->from > ext.hi) {
        x->has_from = false;
        return 0;
    }
    x->ext[x->nr++] = (struct ext){
        .off = off, .lo = ext.lo, .hi = ext.hi, .ver = x->end_ver, .is_punched = is_punched};
    return 0;
}

/* A first guess: as far as GUESS_NR extents of any version begin. */
static int
window_guess(struct vos_iter *it, struct vos_btr *t, uint64_t from)
{
    struct vos_epoch oldest = {0, 0};
    struct vos_btr_key key = {.hkey = from, .buf = &oldest, .len = sizeof(oldest)};
    struct vos_iter_exts *x = it->exts;
    struct vos_ver ext;
    bool exact;
    int rc = vos_btr_search(t, &key, &exact);

    x->win_len = IDX_MAX;
    if (rc == 0)
        rc = vos_btr_settle(t);
    for (uint32_t i = 0; rc == 0 && i < GUESS_NR; i++) {
        rc = vos_btr_next(t);
    }
    if (rc != 0)
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = vos_ext_get(t->op, vos_btr_rec(t), &ext);
    if (rc == 0)
        x->win_len = ext.lo > from ? ext.lo - from : 1;
    return rc;
}

static int
search_begin(struct vos_iter *it, struct vos_btr *t)
{
    struct vos_iter_exts *x = it->exts;
    uint64_t lo = IDX_MAX, hi = 0;
    int rc;

    for (uint32_t i = 0; i < x->nr; i++) {
        if (x->ext[i].is_punched)
            continue;
        lo = MIN(lo, x->has_from ? MAX(x->from, x->ext[i].lo) : x->ext[i].lo);
        hi = MAX(hi, x->ext[i].hi);
    }
    if (lo > hi)
        lo = hi = x->ext[0].lo; /* all of them are punched */
    if (x->win_len == 0) {
        rc = window_guess(it, t, lo);
        if (rc != 0) {
            x->win_len = 0;
            return rc;
        }
    }
    if (hi - lo >= x->win_len)
        hi = lo + x->win_len - 1;
    vos_evt_begin(&x->search, &it->tgt->heap, lo, hi, it->hi, it->walk.a.info.punch);
    x->search.piece_max = PIECES_NR;
    x->is_searching = true;
    x->drops = *vos_obj_drops(it->tgt, it->walk.h_obj);
    ++*vos_obj_searches(it->tgt, it->walk.h_obj);
    return 0;
}

/* Take extents until there are enough, and begin to search. Nothing was taken: is_searching stays false. */
static int
batch_take(struct vos_iter *it, struct vos_op *op, struct vos_tree_df *df, uint64_t df_off)
{
    struct vos_iter_exts *x = it->exts;
    uint32_t looked = 0, nr_max = MIN(it->nr_max - it->nr, (uint32_t)BATCH_NR);
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);

    x->nr = x->at = 0;
    nr_max = MAX(nr_max, (uint32_t)BATCH_NR_MIN);
    if (rc == 0)
        rc = batch_seek(it, &t);
    while (rc == 0 && x->nr < (x->has_from ? 1 : nr_max) && op->steps_left > 0) {
        op->steps_left--;
        rc = batch_add(it, op, vos_btr_rec(&t));
        looked += rc == 0;
        if (rc == 0)
            rc = vos_btr_next(&t);
    }
    x->is_last = rc == -DER_NONEXIST;
    if (rc != 0 && !x->is_last)
        return rc;
    if (x->nr > 0)
        return search_begin(it, &t);
    if (looked > 0)
        place_ext(it, x->end_lo, x->end_ver, false, 0);
    return 0;
}

/* ---- telling -------------------------------------------------------------------------------------------------------- */

/* A part of the extent that it->ent is of. False: refused, or enough. */
static bool
part_give(struct vos_iter *it, const struct ext *e, uint64_t lo, uint64_t hi, uint32_t state)
{
    bool is_end = hi == e->hi;

    if ((it->states & state) != 0) {
        if (it->nr == it->nr_max)
            return false;
        it->ent.recx = (struct recx){lo, hi - lo + 1};
        it->ent.state = state;
        if (!vos_iter_give(it))
            return false;
    }
    place_ext(it, e->lo, e->ver, !is_end, is_end ? 0 : hi + 1);
    return true;
}

/* Visible pieces by extent. */
static int
piece_cmp(const void *a, const void *b)
{
    const struct vos_evt_piece *x = a, *y = b;

    if (x->ext_lo != y->ext_lo)
        return x->ext_lo < y->ext_lo ? -1 : 1;
    if (x->ver.epoch != y->ver.epoch)
        return x->ver.epoch < y->ver.epoch ? -1 : 1;
    if (x->ver.minor != y->ver.minor)
        return x->ver.minor < y->ver.minor ? -1 : 1;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static int
piece_ext_cmp(const struct vos_evt_piece *p, const struct ext *e)
{
    if (p->ext_lo != e->lo)
        return p->ext_lo < e->lo ? -1 : 1;
    if (vos_epoch_gt(e->ver, p->ver))
        return -1;
    return vos_epoch_gt(p->ver, e->ver);
}

/* The extent from x->from to `hi`; its pieces begin at *at. False: stop. */
static bool
ext_give(struct vos_iter *it, const struct ext *e, uint64_t from, uint64_t hi, uint32_t *at)
{
    const struct vos_evt_search *s = &it->exts->search;

    while (*at < s->piece_nr && piece_ext_cmp(&s->pieces[*at], e) < 0) {
        ++*at;
    }
    while (from <= hi) {
        const struct vos_evt_piece *p = &s->pieces[*at];
        bool is_mine = *at < s->piece_nr && piece_ext_cmp(p, e) == 0 && p->lo <= hi;
        uint64_t end = hi;

        if (is_mine && p->hi < from) {
            ++*at;
            continue;
        }
        if (is_mine && p->lo > from) {
            if (!part_give(it, e, from, p->lo - 1, VOS_ITER_COVERED))
                return false;
            from = p->lo;
        }
        end = is_mine ? MIN(p->hi, hi) : hi;
        /* Pieces that touch are one part. */
        for (; is_mine && *at + 1 < s->piece_nr && piece_ext_cmp(&s->pieces[*at + 1], e) == 0 &&
             s->pieces[*at + 1].lo == end + 1;
             ++*at) {
            end = MIN(s->pieces[*at + 1].hi, hi);
        }
        if (!part_give(it, e, from, end, is_mine ? VOS_ITER_VISIBLE : VOS_ITER_COVERED))
            return false;
        from = end + 1;
    }
    return true;
}

/* Tell the batch, as far as the search tells what is visible. */
static int
batch_give(struct vos_iter *it, struct vos_op *op)
{
    struct vos_iter_exts *x = it->exts;
    struct vos_evt_search *s = &x->search;
    uint32_t at = 0;

    if (s->piece_nr > 1)
        qsort(s->pieces, s->piece_nr, sizeof(*s->pieces), piece_cmp);
    for (; x->at < x->nr; x->at++, x->has_from = false) {
        const struct ext *e = &x->ext[x->at];
        uint64_t from = x->has_from ? MAX(x->from, e->lo) : e->lo;
        uint64_t hi = e->is_punched ? e->hi : MIN(e->hi, s->hi);
        bool is_on;
        int rc;

        if (!e->is_punched && from > s->hi)
            return 0; /* the next search begins here, or behind what was told of it */
        rc = vos_iter_version(it, op, e->off, true);
        if (rc != 0)
            return rc;
        it->ent.rec_size = it->walk.akey->rec_size;
        is_on = e->is_punched ? part_give(it, e, from, e->hi, VOS_ITER_PUNCHED)
                              : ext_give(it, e, from, hi, &at);
        if (!is_on) {
            it->is_stopped = true;
            return 0;
        }
        if (hi < e->hi)
            return 0;
    }
    it->is_eof = x->is_last;
    place_ext(it, x->end_lo, x->end_ver, false, 0);
    return 0;
}

static int
ext_body(struct vos_op *op, void *arg)
{
    struct vos_iter *it = arg;
    struct vos_iter_exts *x = it->exts;
    const struct vos_iter_args *args = it->args;
    struct vos_walk *w = &it->walk;
    uint64_t df_off;
    int rc;

    it->lsn = *vos_obj_lsn(it->tgt, w->h_obj);
    op->epoch = it->hi;
    rc = vos_walk_obj(op, args->cont, &args->oid, false, w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &args->dkey, false, w);
    if (rc == 0)
        rc = vos_walk_akey(op, &args->akey, false, w);
    if (rc != 0)
        return rc;
    if (w->a.off == 0 || vos_akey_type(w->akey) != VOS_IOD_ARRAY ||
        (!w->a.info.is_visible && (it->states & VOS_ITER_PUNCHED) == 0)) {
        it->is_eof = true;
        return 0;
    }
    df_off = vos_key_tree_off(w->a.off);
    if (!x->is_searching) {
        rc = batch_take(it, op, &w->akey->tree, df_off);
        if (rc != 0)
            return rc;
        it->is_eof = x->is_last && !x->is_searching;
        if (!x->is_searching)
            return it->is_eof ? 0 : -DER_INPROGRESS;
    }
    if (x->drops != *vos_obj_drops(it->tgt, w->h_obj)) { /* what was taken may be gone */
        search_end(it);
        return -DER_INPROGRESS;
    }
    x->search.gen = *vos_obj_lsn(it->tgt, w->h_obj);
    rc = vos_evt_collect(op, &w->akey->tree, df_off, &x->search);
    if (rc == -DER_OVERFLOW && x->search.lo < x->search.hi) {
        x->win_len = (x->search.hi - x->search.lo) / 2 + 1;
        search_end(it);
        return -DER_INPROGRESS;
    }
    if (rc == 0)
        rc = batch_give(it, op);
    if (rc == -DER_AGAIN || rc == -DER_INPROGRESS)
        return rc; /* of a record of the batch, too: what was told stays told */
    if (x->search.piece_nr < PIECES_NR / 2)
        x->win_len = MIN(x->win_len, IDX_MAX / 2) * 2;
    search_end(it);
    if (rc != 0 || it->is_eof || it->is_stopped || it->nr == it->nr_max)
        return rc;
    return -DER_INPROGRESS;
}

int
vos_iter_ext(struct vos_iter *it, struct vos_op *op)
{
    int rc;

    it->exts = vos_heap_alloc(&it->tgt->heap, sizeof(*it->exts));
    if (it->exts == NULL)
        return CAIRN_ERR(NOMEM);
    memset(it->exts, 0, sizeof(*it->exts));
    rc = vos_read_run(it->tgt, op, ext_body, it);
    search_end(it);
    vos_heap_free(it->exts);
    it->exts = NULL;
    return rc;
}
