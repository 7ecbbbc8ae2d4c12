/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Aggregation of one array. What was written over as a whole goes first (vos_agg_prune.c). Extents that overlap others after that are taken in the order of the tree, BATCH_NR at a time.
 * Those that overlap each other, or are joined by such, make a cluster; when all of it is in the batch, what shows of each at the view of its interval is told by comparing them, otherwise
 * by one search for each interval. An extent of which nothing shows there goes: whatever hides it stays, or is hidden itself (AGG-2); of a large one that shows in part the rest goes
 * (vos_agg_cut.c). Then holes below which nothing is left go. Between steps the place is the key of an extent; what was found stays true, since nothing comes at or below hi.
 */
#include "base/probe.h"
#include "vos/vos_agg.h"
#include "vos/vos_dtx.h"
#include "vos/vos_evtree.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_NR = 320, HOLE_ROUNDS_NR = 8, RANGES_NR = 256 };

struct ext {
    uint64_t lo, hi, off;
    struct vos_epoch ver;
    uint32_t k; /* its interval */
    bool is_hole, is_shown;
    bool is_big; /* lies in the data role */
};

struct array {
    struct vos_agg *a;
    bool has_from, from_end; /* extents behind `from` come next; there is none */
    uint64_t from_lo;
    struct vos_epoch from_ver;
    bool holes_only; /* the second phase */
    bool has_holes, is_left;
    uint64_t hole_nr; /* up to hi, seen by this round of the second phase */
    uint64_t range_lo, range_hi; /* that searches look at */
    uint32_t k; /* and at which view */
    bool is_searching;
    /* Extents that overlap none before or behind them are passed over. */
    bool may_pass, has_hi;
    uint64_t hi_max; /* of those before */
    bool had_hi; /* both when the batch began */
    uint64_t hi_before;
    bool is_cut_off; /* the last cluster goes on behind the batch, or its first began before it */
    bool has_marks; /* of transactions */
    uint32_t nr, drop_at, drop_end;
    uint32_t reach_nr;
    uint16_t reach[BATCH_NR];
    uint32_t by_off[BATCH_NR];
    struct ext ext[BATCH_NR];
    struct vos_agg_range ranges[RANGES_NR];
    struct vos_evt_search search;
};

/* ---- the next extents ----------------------------------------------------------------------------------------------- */

static int
ext_take(struct array *y, struct vos_op *op, uint64_t off)
{
    struct vos_agg *a = y->a;
    struct vos_ver ext;
    int rc = vos_ext_get(op, off, &ext);

    if (rc != 0)
        return rc;
    y->has_from = true;
    y->from_lo = ext.lo;
    y->from_ver = vos_ver_epoch(&ext);
    a->stat.ver_nr++;
    if (ext.epoch > a->hi)
        return 0;
    if (ext.dtx != 0)
        y->is_left = y->has_marks = true;
    y->has_holes = y->has_holes || (ext.flags & VOS_VER_HOLE) != 0;
    if (y->holes_only && (ext.flags & VOS_VER_HOLE) == 0)
        return 0;
    y->hole_nr++;
    y->ext[y->nr++] = (struct ext){.lo = ext.lo,
        .hi = ext.hi,
        .off = off,
        .ver = y->from_ver,
        .k = vos_agg_interval(a, ext.epoch),
        .is_hole = (ext.flags & VOS_VER_HOLE) != 0,
        .is_big = ext.addr != 0 && ext.dtx == 0,
        .is_shown = ext.dtx != 0 || (a->is_discard && ext.epoch <= a->lo)};
    return 0;
}

/* Whether the extent at the cursor overlaps none, as far as its leaf tells; then it is seen whole, and nothing is to be done with it. */
static bool
is_alone(const struct array *y, const struct vos_btr *t)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    const struct vos_ent_df *e = vos_btr_ent(t, leaf->node, leaf->idx);

    return (!y->has_hi || e->hkey > y->hi_max) && leaf->idx + 1u < leaf->node->nr &&
        vos_btr_ent(t, leaf->node, leaf->idx + 1)->hkey > e->hi;
}

static void
ext_pass(struct array *y, const struct vos_btr *t)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    const struct vos_ent_df *e = vos_btr_ent(t, leaf->node, leaf->idx);

    y->has_from = true;
    y->from_lo = e->hkey;
    y->from_ver = (struct vos_epoch){e->epoch, UINT16_MAX};
    y->a->stat.ver_nr++;
}

/* The batch ends before its cluster does: all of that comes with the next one, unless it fills a batch. */
static void
batch_end(struct array *y)
{
    uint64_t hi = y->hi_before, first_hi = y->hi_before;
    uint32_t first = 0;

    for (uint32_t i = 0; i < y->nr; i++) {
        if (i > 0 && y->ext[i].lo > hi) {
            first = i;
            first_hi = hi;
        }
        hi = y->had_hi || i > 0 ? MAX(hi, y->ext[i].hi) : y->ext[i].hi;
    }
    y->is_cut_off = first == 0;
    if (first == 0)
        return;
    y->nr = first;
    y->from_lo = y->ext[first - 1].lo;
    y->from_ver = y->ext[first - 1].ver;
    y->hi_max = first_hi;
}

/* The records of a leaf, which lie anywhere, come beside each other. */
static void
recs_ahead(const struct vos_op *op, const struct vos_btr *t)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];

    for (uint32_t i = leaf->idx; i < leaf->node->nr; i++) {
        __builtin_prefetch(umem_peek(op->um, vos_btr_ent(t, leaf->node, i)->off));
    }
}

static int
batch_take(struct array *y, struct vos_op *op, struct vos_btr *t)
{
    enum { PASSED_A_STEP = 16 };
    const struct vos_node_df *ahead = NULL;
    uint32_t passed = 0, nr;
    int rc = 0;

    while (rc == 0 && y->nr < BATCH_NR) {
        if (op->steps_left == 0)
            return 0;
        if (t->depth > 0 && t->path[t->depth - 1].node != ahead) {
            ahead = t->path[t->depth - 1].node;
            recs_ahead(op, t);
        }
        if (y->may_pass && t->depth > 0 && is_alone(y, t)) {
            ext_pass(y, t);
            op->steps_left -= ++passed % PASSED_A_STEP == 0;
        } else if (y->nr == 0 && passed > 0 && op->steps_left < BATCH_NR) {
            return 0; /* a batch begins here that may need them all */
        } else {
            op->steps_left--;
            nr = y->nr;
            rc = ext_take(y, op, vos_btr_rec(t));
            if (rc == 0 && y->nr > nr) {
                y->hi_max = y->has_hi ? MAX(y->hi_max, y->ext[nr].hi) : y->ext[nr].hi;
                y->has_hi = true;
            }
        }
        if (rc == 0)
            rc = vos_btr_next(t);
    }
    return rc;
}

static int
batch_body(struct vos_op *op, void *arg)
{
    struct array *y = arg;
    struct vos_epoch ver = y->from_ver;
    struct vos_btr_key key = {.hkey = y->from_lo, .buf = &ver, .len = sizeof(ver)};
    struct vos_key_df *akey;
    struct vos_btr t;
    uint64_t off;
    bool exact;
    int rc = vos_agg_akey_get(y->a, op, &akey, &off);

    if (rc == 0 && (off == 0 || akey->tree.id != VOS_TREE_EXT)) {
        y->from_end = true;
        return 0;
    }
    y->may_pass = !y->a->is_discard && !y->holes_only && y->a->levels[VOS_AGG_AKEY].nr == 0 &&
        vos_dtx_oldest(y->a->cont) > y->a->hi;
    if (rc == 0)
        rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(off));
    if (rc == 0 && !y->has_from) {
        rc = vos_btr_first(&t);
    } else if (rc == 0) {
        rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = exact ? vos_btr_next(&t) : vos_btr_settle(&t);
    }
    if (rc == 0)
        rc = batch_take(y, op, &t);
    y->from_end = rc == -DER_NONEXIST;
    if (rc == 0 && y->nr > 0 && !y->a->is_discard && !y->holes_only)
        batch_end(y);
    y->is_cut_off = y->is_cut_off || (y->nr > 0 && y->had_hi && y->ext[0].lo <= y->hi_before);
    return y->from_end ? 0 : rc;
}

/* ---- what shows ----------------------------------------------------------------------------------------------------- */

static int
search_body(struct vos_op *op, void *arg)
{
    struct array *y = arg;
    struct vos_agg *a = y->a;
    struct vos_key_df *akey;
    uint64_t off;
    int rc = vos_agg_akey_get(a, op, &akey, &off);

    if (rc != 0)
        return rc;
    if (off == 0)
        return -DER_NONEXIST;
    if (!y->is_searching) {
        vos_evt_begin(&y->search, &a->cont->tgt->heap, y->range_lo, y->range_hi, a->views[y->k],
            vos_agg_punch_at(&a->levels[VOS_AGG_AKEY], y->k));
        y->is_searching = true;
    }
    y->search.gen = *vos_obj_lsn(a->cont->tgt, vos_obj_hash(a->cont, &a->pos.oid));
    return vos_evt_collect(op, &akey->tree, vos_key_tree_off(off), &y->search);
}

static void
search_end(struct array *y)
{
    if (y->is_searching)
        vos_evt_fini(&y->search);
    y->is_searching = false;
}

/* The pieces of [lo, hi] at view k. OVERFLOW: too many to tell. */
static int
search_run(struct array *y, uint32_t k, uint64_t lo, uint64_t hi)
{
    struct vos_tgt *tgt = y->a->cont->tgt;
    struct vos_op op;

    search_end(y);
    y->k = k;
    y->range_lo = lo;
    y->range_hi = hi;
    vos_op_init(&op, tgt);
    return vos_read_run(tgt, &op, search_body, y);
}

/* Place of the first in by_off that does not lie before `off`. */
static uint32_t
off_find(const struct array *y, uint64_t off)
{
    uint32_t lo = 0, hi = y->nr;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (y->ext[y->by_off[mid]].off < off) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void
offs_sort(struct array *y)
{
    uint32_t nr = y->nr;

    y->nr = 0;
    for (uint32_t i = 0; i < nr; i++) {
        uint32_t at = off_find(y, y->ext[i].off);

        memmove(&y->by_off[at + 1], &y->by_off[at], (y->nr - at) * sizeof(y->by_off[0]));
        y->by_off[at] = i;
        y->nr++;
    }
}

static void
pieces_mark(struct array *y)
{
    for (uint32_t i = 0; i < y->search.piece_nr; i++) {
        uint64_t off = y->search.pieces[i].rec;
        uint32_t at = off_find(y, off);

        if (at < y->nr && y->ext[y->by_off[at]].off == off)
            y->ext[y->by_off[at]].is_shown = true;
    }
}

/* Too much to look at: whatever it is stays. */
static int
mark_all(struct array *y, uint32_t from, uint32_t k)
{
    for (uint32_t i = from; i < y->nr; i++) {
        if (y->ext[i].k == k)
            y->ext[i].is_shown = true;
    }
    y->is_left = true;
    return 0;
}

/* Which of [from, end) show at the views of their intervals, by searches. */
static int
range_mark(struct array *y, uint32_t from, uint32_t end)
{
    uint64_t lo = y->ext[from].lo, hi = y->ext[end - 1].hi;
    uint32_t last = UINT32_MAX;
    int rc = 0;

    for (uint32_t i = from; rc == 0 && i < end; i++) {
        uint32_t k = y->ext[i].k;
        bool is_old = k == last;

        for (uint32_t j = from; j < i && !is_old; j++) {
            is_old = y->ext[j].k == k;
        }
        last = k;
        if (is_old)
            continue;
        rc = search_run(y, k, lo, hi);
        if (rc == 0)
            pieces_mark(y);
        if (rc == -DER_OVERFLOW)
            rc = mark_all(y, 0, k);
    }
    for (uint32_t i = from; rc == 0 && i < end; i++) {
        if (y->ext[i].is_shown || y->ext[i].hi <= hi)
            continue;
        rc = search_run(y, y->ext[i].k, hi + 1, y->ext[i].hi);
        if (rc == 0)
            pieces_mark(y);
        if (rc == -DER_OVERFLOW) {
            y->ext[i].is_shown = y->is_left = true;
            rc = 0;
        }
    }
    search_end(y);
    return rc;
}

/* Those of [from, at) that reach the first index of ext[at], or one behind it: of all that came up while `at` only grew. */
static void
reach_next(struct array *y, uint32_t at)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < y->reach_nr; i++) {
        if (y->ext[y->reach[i]].hi >= y->ext[at].lo)
            y->reach[nr++] = y->reach[i];
    }
    y->reach_nr = nr;
}

struct seen {
    uint64_t next; /* up to here it is decided */
    bool is_over; /* all of it */
    struct vos_agg_range *r;
    uint32_t nr, max;
};

/* What `o` hides of `x`; o's that come later begin at no lower index. */
static void
seen_take(const struct array *y, const struct ext *x, const struct ext *o, struct seen *s)
{
    if (s->is_over || o->hi < s->next || o->lo > x->hi || o->ver.epoch > y->a->views[x->k] ||
        !vos_epoch_gt(o->ver, x->ver))
        return;
    if (o->lo > s->next) {
        s->r[s->nr++] = (struct vos_agg_range){s->next, o->lo - 1};
        if (s->nr == s->max) {
            s->r[s->nr - 1].hi = x->hi;
            s->is_over = true;
            return;
        }
    }
    s->is_over = o->hi >= x->hi;
    s->next = o->hi + 1;
}

/*
 * What is seen of ext[at] at the view of its interval, when all that overlaps it is in its cluster, which ends before `end`, and y->reach knows those before it that reach it: at most
 * `max` ranges, in order; the last of so many has the rest. Returns how many.
 */
static uint32_t
seen_get(const struct array *y, uint32_t at, uint32_t end, struct vos_agg_range *r, uint32_t max)
{
    const struct ext *x = &y->ext[at];
    struct seen s = {.next = x->lo, .r = r, .max = max};

    if (!vos_epoch_gt(x->ver, vos_agg_punch_at(&y->a->levels[VOS_AGG_AKEY], x->k)))
        return 0;
    for (uint32_t i = 0; i < y->reach_nr && !s.is_over; i++) {
        seen_take(y, x, &y->ext[y->reach[i]], &s);
    }
    for (uint32_t i = at + 1; i < end && !s.is_over && y->ext[i].lo <= x->hi; i++) {
        seen_take(y, x, &y->ext[i], &s);
    }
    if (!s.is_over)
        r[s.nr++] = (struct vos_agg_range){s.next, x->hi};
    return s.nr;
}

/* Behind the cluster that begins at `from`: extents that overlap each other, or are joined by such. */
static uint32_t
cluster_end(const struct array *y, uint32_t from)
{
    uint64_t hi = y->ext[from].hi;
    uint32_t end = from + 1;

    while (end < y->nr && y->ext[end].lo <= hi) {
        hi = MAX(hi, y->ext[end].hi);
        end++;
    }
    return end;
}

/* Which extents of the batch show at the views of their intervals. */
static int
batch_mark(struct array *y)
{
    struct vos_agg_range first;
    int rc = 0;

    if (y->is_cut_off || y->has_marks || y->nr == 0) {
        offs_sort(y);
        return y->nr == 0 ? 0 : range_mark(y, 0, y->nr);
    }
    for (uint32_t from = 0, end; from < y->nr; from = end) {
        end = cluster_end(y, from);
        y->reach_nr = 0;
        for (uint32_t i = from; i < end; i++) {
            reach_next(y, i);
            y->ext[i].is_shown = seen_get(y, i, end, &first, 1) > 0;
            y->reach[y->reach_nr++] = (uint16_t)i;
        }
    }
    return rc;
}

/* What is not seen of those that are seen in part goes. */
static int
batch_cut(struct array *y, bool *ret_stop)
{
    uint64_t cut_nr;
    int rc = 0;

    if (y->is_cut_off || y->has_marks)
        return 0;
    for (uint32_t from = 0, end; rc == 0 && from < y->nr; from = end) {
        end = cluster_end(y, from);
        y->reach_nr = 0;
        for (uint32_t i = from; rc == 0 && i < end && end - from > 1 && !*ret_stop; i++) {
            const struct ext *x = &y->ext[i];
            struct vos_agg_seen seen = {
                .lo = x->lo, .hi = x->hi, .off = x->off, .ver = x->ver, .k = x->k};

            reach_next(y, i);
            y->reach[y->reach_nr++] = (uint16_t)i;
            if (!x->is_big || !x->is_shown)
                continue;
            seen.nr = seen_get(y, i, end, y->ranges, RANGES_NR); /* itself hides nothing of it */
            seen.ranges = y->ranges;
            cut_nr = y->a->stat.cut_nr;
            rc = vos_agg_cut(y->a, &seen, ret_stop);
            if (y->has_holes && y->a->stat.cut_nr > cut_nr)
                CAIRN_PROBE("vos.agg.cut_beside_hole");
        }
    }
    return rc;
}

/* Holes of the batch with something older below. */
static int
holes_body(struct vos_op *op, void *arg)
{
    struct array *y = arg;
    struct vos_key_df *akey;
    uint64_t off;
    bool found;
    int rc = vos_agg_akey_get(y->a, op, &akey, &off);

    while (rc == 0 && off != 0 && y->drop_at < y->nr) {
        struct ext *x = &y->ext[y->drop_at];

        if (op->steps_left < VOS_STEPS_NR / 2)
            return -DER_INPROGRESS;
        rc = vos_evt_has_older(op, &akey->tree, vos_key_tree_off(off), x->lo, x->hi, x->ver, &found);
        if (rc == -DER_INPROGRESS) { /* too much to look at: it stays */
            found = true;
            rc = 0;
        }
        if (rc == 0)
            x->is_shown = found;
        y->drop_at += rc == 0;
    }
    return rc;
}

static int
holes_mark(struct array *y)
{
    struct vos_tgt *tgt = y->a->cont->tgt;
    struct vos_op op;

    y->drop_at = 0;
    vos_op_init(&op, tgt);
    return vos_read_run(tgt, &op, holes_body, y);
}

/* ---- what goes ------------------------------------------------------------------------------------------------------ */

static int
ext_drop(struct array *y, struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off,
    const struct ext *x)
{
    struct vos_epoch ver = x->ver;
    struct vos_btr_key key = {.hkey = x->lo, .buf = &ver, .len = sizeof(ver)};
    struct vos_btr t;
    uint64_t rec;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(akey_off));

    if (rc == 0)
        rc = vos_rec_find(&t, &key, &rec);
    if (rc != 0 || rec == 0)
        return rc;
    rc = vos_btr_delete(&t);
    y->a->stat.ver_del_nr++;
    return rc != 0 ? rc : vos_gc_free_version(y->a->cont->tgt, op, rec);
}

static int
drop_body(struct vos_op *op, void *arg)
{
    struct array *y = arg;
    struct vos_key_df *akey;
    uint64_t off;
    uint32_t nr = 0;
    int rc = vos_agg_akey_get(y->a, op, &akey, &off);

    if (rc != 0 || off == 0)
        return rc;
    vos_agg_touch(y->a);
    y->drop_end = y->drop_at;
    while (rc == 0 && y->drop_end < y->nr && nr < VOS_AGG_STEP_NR) {
        if (!y->ext[y->drop_end].is_shown) {
            rc = ext_drop(y, op, akey, off, &y->ext[y->drop_end]);
            nr++;
        }
        y->drop_end++;
    }
    return rc;
}

/* All of the batch that does not show. */
static int
batch_drop(struct array *y, bool *ret_any, bool *ret_stop)
{
    int rc = 0;

    *ret_any = false;
    y->drop_at = 0;
    while (rc == 0 && !*ret_stop) {
        while (y->drop_at < y->nr && y->ext[y->drop_at].is_shown) {
            y->drop_at++;
        }
        if (y->drop_at == y->nr)
            break;
        *ret_any = true;
        y->drop_end = y->nr; /* when the akey is gone */
        vos_agg_let_read(y->a);
        rc = vos_agg_tx(y->a, drop_body, y);
        y->drop_at = y->drop_end;
        *ret_stop = vos_agg_pace(y->a);
    }
    return rc;
}

/* Whether something in the tree is newer than hi. */
static int
has_newer(
    struct array *y, struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off, bool *ret_newer)
{
    struct vos_node_df *node;
    struct vos_ver ext;
    struct vos_btr t;
    int rc;

    *ret_newer = false;
    if (akey->tree.depth == 0) {
        rc = akey->tree.root == 0 ? 0 : vos_ext_get(op, akey->tree.root, &ext);
        *ret_newer = rc == 0 && akey->tree.root != 0 && ext.epoch > y->a->hi;
        return rc;
    }
    rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(akey_off));
    if (rc == 0)
        rc = vos_btr_node(&t, akey->tree.root, t.depth - 1, &node);
    for (uint32_t i = 0; rc == 0 && i < node->nr; i++) {
        *ret_newer = *ret_newer || vos_btr_ent(&t, node, i)->epoch_max > y->a->hi;
    }
    return rc;
}

/* All of it was looked through, and has no hole any more: it need not be again. Nothing came meanwhile, else it is newer than hi. */
static int
holes_end_body(struct vos_op *op, void *arg)
{
    struct array *y = arg;
    struct vos_key_df *akey;
    uint64_t off;
    bool newer;
    int rc = vos_agg_akey_get(y->a, op, &akey, &off);

    if (rc != 0 || off == 0 || akey->tree.id != VOS_TREE_EXT || (akey->flags & VOS_KEY_HOLES) == 0)
        return rc;
    rc = has_newer(y, op, akey, off, &newer);
    if (rc == 0 && !newer) {
        rc = vos_range(op, off + offsetof(struct vos_key_df, flags), sizeof(uint8_t));
        if (rc == 0)
            akey->flags = (uint8_t)(akey->flags & ~VOS_KEY_HOLES);
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int
phase_run(struct array *y, bool *ret_any, bool *ret_stop)
{
    struct vos_agg *a = y->a;
    struct vos_tgt *tgt = a->cont->tgt;
    bool any = false;
    struct vos_op op;
    int rc = 0;

    *ret_any = y->has_from = y->from_end = false;
    y->from_lo = 0;
    y->from_ver = (struct vos_epoch){0, 0};
    y->has_hi = false;
    y->hi_max = 0;
    while (rc == 0 && !y->from_end && !*ret_stop) {
        y->nr = 0;
        y->has_marks = y->is_cut_off = false;
        y->had_hi = y->has_hi;
        y->hi_before = y->hi_max;
        vos_op_init(&op, tgt);
        rc = vos_read_run(tgt, &op, batch_body, y);
        if (rc == 0 && y->nr > 0 && !a->is_discard)
            rc = y->holes_only ? holes_mark(y) : batch_mark(y);
        if (rc == -DER_NONEXIST)
            return 0; /* the akey is gone */
        if (rc == 0)
            rc = batch_drop(y, &any, ret_stop);
        if (rc == 0 && !y->holes_only && !a->is_discard)
            rc = batch_cut(y, ret_stop);
        *ret_any = *ret_any || any;
        if (rc == 0 && !*ret_stop)
            *ret_stop = vos_agg_pace(y->a);
    }
    return rc;
}

int
vos_agg_array(struct vos_agg *a, bool *ret_stop)
{
    struct array *y = vos_heap_alloc(&a->cont->tgt->heap, sizeof(*y));
    uint64_t left_nr = a->stat.left_nr;
    struct vos_agg_pruned pruned = {.is_overlapped = true};
    bool any = true;
    int rc = 0;

    if (y == NULL)
        return CAIRN_ERR(NOMEM);
    memset(y, 0, offsetof(struct array, by_off));
    y->a = a;
    if (!a->is_discard)
        rc = vos_agg_prune(a, &pruned, ret_stop);
    y->has_holes = pruned.has_holes;
    if (rc == 0 && !*ret_stop && pruned.is_overlapped)
        rc = phase_run(y, &any, ret_stop);
    if (rc == 0 && !*ret_stop && !y->is_left && !a->is_discard &&
        (a->args->flags & VOS_AGG_NO_MERGE) == 0)
        rc = vos_agg_merge(a, &pruned, ret_stop);
    any = y->has_holes && !a->is_discard;
    y->holes_only = true;
    for (uint32_t i = 0; rc == 0 && any && !*ret_stop && i < HOLE_ROUNDS_NR; i++) {
        y->hole_nr = 0;
        rc = phase_run(y, &any, ret_stop);
    }
    if (rc == 0 && !*ret_stop && y->has_holes && !a->is_discard && y->from_end && y->hole_nr == 0 &&
        !y->is_left)
        rc = vos_agg_tx(a, holes_end_body, y);
    search_end(y);
    a->pos.array_done = true;
    a->pos.is_clean[VOS_AGG_AKEY] = !y->is_left;
    a->stat.left_nr += y->is_left;
    if (y->is_left || a->stat.left_nr > left_nr)
        vos_agg_again(a, true);
    a->state = VOS_AGG_MORE;
    vos_heap_free(y);
    return rc;
}
