/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Extents that were written over as a whole, found by what the leaves of the tree say alone: the entry behind an entry has the same first index, and is newer; when it reaches as far and
 * belongs to the same interval, the first is seen by nobody (AGG-2: what hides it stays, or is hidden itself). That is nearly all that blocks written at random leave behind, and it costs
 * no look at a record but for those that go. What else overlaps is told to the caller, who searches (vos_agg_array.c).
 *
 * The entry says nothing of marks of transactions: nothing goes while one that is not settled is in reach (DTX-1), which is looked at in the transaction that takes the extents. Tested by
 * test/vos_agg_test.c, test/vos_agg_model_test.c, the reference model and the crash sweeps.
 */
#include "vos/vos_agg.h"
#include "vos/vos_dtx.h"
#include "vos/vos_evtree.h"

#include <string.h>

enum { PRUNE_NR = 256 }; /* freed in one transaction, and a leaf */

struct place {
    bool has_key, is_end;
    uint64_t lo; /* the leaf at hand begins with it */
    struct vos_epoch ver; /* or a version before */
    uint64_t rec_size;
    bool has_hi;
    uint64_t hi_max; /* of extents that stay */
    struct vos_agg_pruned sum;
};

struct prune {
    struct vos_agg *a;
    bool finds; /* something to do at the place */
    struct place at, start; /* where the transaction at hand began */
};

/* ---- a leaf --------------------------------------------------------------------------------------------------------- */

static bool
is_hidden(const struct vos_agg *a, const struct vos_ent_df *e, const struct vos_ent_df *behind)
{
    return behind != NULL && behind->hkey == e->hkey && behind->hi >= e->hi &&
        behind->epoch <= a->hi &&
        (a->view_nr == 1 || vos_agg_interval(a, e->epoch) == vos_agg_interval(a, behind->epoch));
}

/* Small extents of each interval. */
static void
small_count(const struct vos_agg *a, struct vos_agg_pruned *sum, uint64_t epoch, uint64_t bytes)
{
    uint32_t age = a->view_nr == 1 ? 0 : a->view_nr - 1 - vos_agg_interval(a, epoch);

    if (bytes < VOS_AGG_SMALL_BYTES && age < VOS_AGG_MERGE_VIEWS_NR &&
        sum->small_nr[age] < VOS_AGG_SMALL_NR)
        sum->small_nr[age]++;
}

/* Entries of the leaf, from the cursor on, that are hidden by the one behind them; `behind`: the first of the next leaf. */
static uint32_t
leaf_look(struct prune *p, const struct vos_btr *t, const struct vos_ent_df *behind)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    struct place *at = &p->at;
    uint32_t nr = leaf->node->nr, mask = 0;

    for (uint32_t i = leaf->idx; i < nr; i++) {
        const struct vos_ent_df *e = vos_btr_ent(t, leaf->node, i);

        if (e->epoch > p->a->hi)
            continue;
        if (is_hidden(p->a, e, i + 1 < nr ? vos_btr_ent(t, leaf->node, i + 1) : behind)) {
            mask |= UINT32_C(1) << i;
            at->sum.gone_nr++;
            continue;
        }
        at->sum.kept_nr++;
        at->sum.new_nr += e->epoch > p->a->lo;
        at->sum.bytes += (e->hi - e->hkey + 1) * at->rec_size;
        small_count(p->a, &at->sum, e->epoch, (e->hi - e->hkey + 1) * at->rec_size);
        at->sum.is_overlapped = at->sum.is_overlapped || (at->has_hi && e->hkey <= at->hi_max);
        at->hi_max = at->has_hi ? MAX(at->hi_max, e->hi) : e->hi;
        at->has_hi = true;
    }
    return mask;
}

static int
leaf_drop(struct prune *p, struct vos_op *op, struct vos_btr *t, uint32_t mask)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    uint64_t recs[VOS_BTR_ORDER_MAX];
    uint32_t nr = 0;
    int rc = 0;

    for (uint32_t m = mask; m != 0; m &= m - 1) {
        recs[nr] = vos_btr_ent(t, leaf->node, (uint32_t)__builtin_ctz(m))->off;
        __builtin_prefetch(umem_ptr(op->um, recs[nr]));
        nr++;
    }
    p->a->stat.ver_del_nr += nr;
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        rc = vos_gc_free_version(p->a->cont->tgt, op, recs[i]);
    }
    return rc != 0 ? rc : vos_btr_delete_some(t, mask);
}

/* ---- from leaf to leaf ---------------------------------------------------------------------------------------------- */

static void
place_set(struct place *at, const struct vos_ent_df *e)
{
    at->has_key = true;
    at->lo = e->hkey;
    at->ver = (struct vos_epoch){e->epoch, 0};
}

/* The cursor at the place; NONEXIST: behind the end. */
static int
place_find(struct prune *p, struct vos_btr *t)
{
    struct vos_btr_key key = {.hkey = p->at.lo, .buf = &p->at.ver, .len = sizeof(p->at.ver)};
    bool exact;
    int rc;

    if (!p->at.has_key)
        return vos_btr_first(t);
    rc = vos_btr_search(t, &key, &exact);
    return rc != 0 ? rc : vos_btr_settle(t);
}

/* Enough for now: go on exactly at the cursor, however many have that epoch. */
static int
place_keep(struct prune *p, struct vos_op *op, const struct vos_btr *t)
{
    struct vos_ver ext;
    int rc = vos_ext_get(op, vos_btr_rec(t), &ext);

    if (rc == 0)
        p->at.ver = vos_ver_epoch(&ext);
    return rc;
}

/* What probably goes of a leaf: the processor fetches the records, and the heads of their pages. */
static void
recs_ahead(const struct vos_op *op, const struct vos_btr *t)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];

    for (uint32_t i = 0; i + 1 < leaf->node->nr; i++) {
        const struct vos_ent_df *e = vos_btr_ent(t, leaf->node, i);

        if (vos_btr_ent(t, leaf->node, i + 1)->hkey == e->hkey) {
            __builtin_prefetch(umem_peek(op->um, e->off));
            __builtin_prefetch(umem_peek(op->um, ALIGN_DOWN(e->off, (uint64_t)UMEM_PAGE_BYTES)));
        }
    }
}

/* The leaf at the cursor, and the cursor to the next one. */
static int
leaf_step(struct prune *p, struct vos_op *op, struct vos_btr *t, bool *ret_enough)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    const struct place before = p->at;
    struct vos_ent_df behind;
    struct vos_btr next = *t;
    uint32_t mask;
    bool is_last;
    int rc;

    next.path[t->depth - 1].idx = leaf->node->nr - 1u;
    rc = vos_btr_next(&next);
    is_last = rc == -DER_NONEXIST;
    if (rc != 0 && !is_last)
        return rc;
    if (!is_last) {
        behind = *vos_btr_ent(&next, next.path[t->depth - 1].node, 0);
        vos_btr_ahead(&next, 1, true); /* the one after that comes while this one is worked on, */
        recs_ahead(op, &next); /* and what goes of the next one */
    }
    mask = leaf_look(p, t, is_last ? NULL : &behind);
    if (mask != 0 && op->tx == NULL) {
        p->at = before;
        p->finds = *ret_enough = true;
        return 0;
    }
    if (mask != 0) {
        rc = leaf_drop(p, op, t, mask);
        if (rc != 0)
            return rc;
    }
    p->at.is_end = is_last || t->df->depth == 0;
    if (p->at.is_end)
        return 0;
    place_set(&p->at, &behind);
    if (mask != 0)
        return place_find(p, t);
    *t = next;
    return 0;
}

static int
prune_walk(struct prune *p, struct vos_op *op)
{
    struct vos_agg *a = p->a;
    uint32_t gone_nr = p->at.sum.gone_nr;
    struct vos_key_df *akey;
    bool enough = false;
    struct vos_btr t;
    uint64_t off;
    int rc = vos_agg_akey_get(a, op, &akey, &off);

    if (rc != 0)
        return rc;
    p->at.is_end = off == 0 || akey->tree.id != VOS_TREE_EXT;
    if (p->at.is_end)
        return 0;
    p->at.rec_size = akey->rec_size;
    p->at.sum.has_holes = (akey->flags & VOS_KEY_HOLES) != 0;
    p->at.sum.is_overlapped = p->at.sum.is_overlapped || a->levels[VOS_AGG_AKEY].nr > 0;
    if (akey->tree.depth == 0 || vos_dtx_oldest(a->cont) <= a->hi) {
        p->at.sum.is_overlapped = p->at.is_end = true;
        return 0;
    }
    rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(off));
    if (rc == 0)
        rc = place_find(p, &t);
    while (rc == 0 && !p->at.is_end && !enough) {
        if (op->steps_left == 0 || p->at.sum.gone_nr - gone_nr >= PRUNE_NR)
            return place_keep(p, op, &t);
        op->steps_left--;
        rc = leaf_step(p, op, &t, &enough);
    }
    if (rc == -DER_NONEXIST) {
        p->at.is_end = true;
        rc = 0;
    }
    return rc;
}

static int
look_body(struct vos_op *op, void *arg)
{
    return prune_walk(arg, op);
}

static int
work_body(struct vos_op *op, void *arg)
{
    struct prune *p = arg;
    int rc;

    p->at = p->start;
    vos_agg_touch(p->a);
    rc = prune_walk(p, op);
    return rc;
}

int
vos_agg_prune(struct vos_agg *a, struct vos_agg_pruned *ret_pruned, bool *ret_stop)
{
    struct vos_tgt *tgt = a->cont->tgt;
    struct prune p = {.a = a};
    struct vos_op op;
    int rc = 0;

    while (rc == 0 && !p.at.is_end && !*ret_stop) {
        p.finds = false;
        vos_op_init(&op, tgt);
        rc = vos_read_run(tgt, &op, look_body, &p);
        if (rc == 0 && p.finds) {
            p.start = p.at;
            vos_agg_let_read(a);
            rc = vos_agg_tx(a, work_body, &p);
        }
        if (rc == 0 && !p.at.is_end)
            *ret_stop = vos_agg_pace(a);
    }
    a->stat.ver_nr += p.at.sum.kept_nr + p.at.sum.gone_nr;
    *ret_pruned = p.at.sum;
    return rc;
}
