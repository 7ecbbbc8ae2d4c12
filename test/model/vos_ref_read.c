/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Reads of the store, compared with the reference model: fetches, listings (also interrupted ones), queries. */
#include "vos/vos_dtx.h"
#include "vos_ref_run.h"

static uint64_t
now_of(const struct ref_run *run, uint64_t epoch)
{
    return epoch == VOS_EPOCH_MAX ? vos_epoch_now(run->f->tgt) : epoch;
}

/* ---- what is not decided -------------------------------------------------------------------------------------------- */

void
ref_view_pick(struct ref_run *run, const struct ref_place *p, struct ref_view *v)
{
    uint32_t own = (uint32_t)rng_below(&run->r, REF_TX_NR);

    memset(v, 0, sizeof(*v));
    v->mask = ref_txs_open(p->ref);
    v->asked = ref_txs_touch(p->ref, REF_OBJ_NR, UINT64_MAX);
    if (v->asked == 0 || rng_chance(&run->r, 1, 4))
        return;
    v->dtx = &v->mem;
    if ((v->asked & UINT32_C(1) << own) != 0 && rng_chance(&run->r, 1, 2)) {
        v->mem.own = p->ref->txs[own].id;
        v->own = UINT32_C(1) << own;
        v->mask &= ~v->own;
        v->asked &= ~v->own;
    }
    /* Nobody passes over what was decided, though the store does not know it. */
    v->mem.is_passing = (v->asked & ~v->mask) == 0 && rng_chance(&run->r, 1, 2);
    v->mask = v->mem.is_passing ? 0 : v->mask;
    v->asked = v->mem.is_passing ? 0 : v->asked;
    run->sums.passed_nr++;
}

void
ref_asked(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint64_t epoch,
    const struct vos_dtx_asks *asks)
{
    uint32_t touch = ref_txs_touch(p->ref, obj, epoch);

    run->sums.asked_nr++;
    REF_CHECK(run, touch != 0);
    if (asks == NULL)
        return;
    REF_CHECK(run, asks->nr > 0 && asks->nr <= REF_TX_NR);
    for (uint32_t i = 0; i < MIN(asks->nr, (uint32_t)REF_TX_NR); i++) {
        bool known = false;

        for (uint32_t t = 0; t < REF_TX_NR; t++) {
            known = known ||
                ((touch & UINT32_C(1) << t) != 0 && vos_dtx_id_eq(&asks->ids[i], &p->ref->txs[t].id));
        }
        REF_CHECK(run, known);
    }
}

static void
read_asked(struct ref_run *run, const struct ref_place *p, const struct ref_view *v, uint32_t obj,
    uint64_t epoch)
{
    REF_CHECK(run, v->asked != 0);
    ref_asked(run, p, obj, epoch, v->dtx == NULL ? NULL : &v->dtx->asks);
}

/* ---- clocks that may be behind -------------------------------------------------------------------------------------- */

/* What is asked: its answer as a number, of the world at hand. */
struct question {
    uint64_t (*answer)(const struct ref_cont *c, const void *arg, uint64_t epoch);
    const void *arg;
    uint32_t obj; /* REF_OBJ_NR: all of them */
};

/* 0: none. Where versions may have been dropped there is no telling. */
static uint64_t
bound_pick(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint64_t epoch)
{
    if (epoch == VOS_EPOCH_MAX || epoch < p->agg_hi || rng_chance(&run->r, 1, 2))
        return 0;
    run->sums.bound_nr++;
    return ref_bound(run, p, obj % REF_OBJ_NR, epoch);
}

/*
 * A read is uncertain when the answer changes within (epoch, bound], if everything that is prepared counts; it may be when anything happened there to what was asked about.
 * True: it answered so.
 */
static bool
is_uncertain(struct ref_run *run, struct ref_place *p, const struct question *q, uint64_t epoch,
    uint64_t bound, int rc)
{
    struct ref_cont *c = p->ref;
    bool must = false, may = false;
    uint32_t lo = q->obj == REF_OBJ_NR ? 0 : q->obj, hi = q->obj == REF_OBJ_NR ? q->obj : lo + 1;
    uint64_t first;

    if (bound <= epoch || epoch == VOS_EPOCH_MAX) {
        REF_CHECK(run, rc != -DER_TX_RESTART);
        return false;
    }
    c->world = UINT32_MAX;
    first = q->answer(c, q->arg, epoch);
    for (uint32_t o = lo; o < hi; o++) {
        const struct ref_log *log = &c->objs[o].log;

        for (uint32_t i = 0; i < log->nr && !must; i++) {
            uint64_t at = log->events[i]->epoch;

            if (at <= epoch || at > bound)
                continue;
            may = true;
            must = q->answer(c, q->arg, at) != first;
        }
    }
    c->world = 0;
    REF_CHECK(run, rc == -DER_TX_RESTART ? may : !must);
    run->sums.uncertain_nr += rc == -DER_TX_RESTART;
    return rc == -DER_TX_RESTART;
}

/* ---- fetches -------------------------------------------------------------------------------------------------------- */

struct fetch_args {
    uint32_t obj, dkey, flags, iod_nr;
    uint64_t epoch, bound;
    struct ref_iod iods[REF_AKEY_NR];
};

static bool
single_matches(const struct ref_akey_state *a, const struct vos_fetch_iod *got, bool size_only)
{
    uint32_t size = a->exists && a->has_value ? a->size : 0;

    if (got->size != size || got->seg_nr != (size != 0))
        return false;
    if (size != 0 && !size_only && !ref_fills(a->seed, 0, got->segs[0].buf, size))
        return false;
    return size == 0 || !size_only || got->segs[0].buf == NULL;
}

static bool
cell_matches(const struct ref_cell *cell, const struct vos_seg *seg, uint64_t at, uint64_t size,
    bool size_only)
{
    if (size_only)
        return seg->buf == NULL;
    if (cell->is_there != (seg->buf != NULL))
        return false;
    return !cell->is_there ||
        ref_fills(cell->seed, cell->pos * size, (const uint8_t *)seg->buf + at * size, size);
}

/* Segments cover the ranges in the order asked, and hold what is there. */
static bool
array_matches(const struct ref_akey_state *a, const struct ref_iod *iod,
    const struct vos_fetch_iod *got, bool size_only)
{
    uint64_t base = ref_array_base(iod->akey);
    uint32_t g = 0;
    bool any = false;

    for (uint32_t r = 0; r < iod->recx_nr; r++) {
        uint64_t pos = base + iod->recxs[r].lo, end = pos + iod->recxs[r].nr;

        while (pos < end) {
            const struct vos_seg *seg = &got->segs[g];

            if (g++ == got->seg_nr || seg->idx != pos || seg->nr == 0 || seg->nr > end - pos)
                return false;
            for (uint64_t k = 0; k < seg->nr; k++) {
                const struct ref_cell *cell = &a->cells[seg->idx - base + k];

                any = any || cell->is_there;
                if (!cell_matches(cell, seg, k, got->size, size_only))
                    return false;
            }
            pos += seg->nr;
        }
    }
    return g == got->seg_nr && any == (got->size != 0);
}

static bool
iod_matches(const struct ref_cont *c, const struct fetch_args *fa, const struct ref_dkey_state *d,
    uint32_t i, const struct vos_fetch *got)
{
    static const struct ref_akey_state nothing;
    const struct ref_iod *iod = &fa->iods[i];
    const struct ref_akey_state *a = &d->akeys[iod->akey];
    bool size_only = (fa->flags & VOS_FETCH_SIZE_ONLY) != 0;

    if (c->objs[fa->obj].fixed[fa->dkey][iod->akey].type != iod->type)
        a = &nothing;
    return iod->type == VOS_IOD_SINGLE ? single_matches(a, &got->iods[i], size_only)
                                       : array_matches(a, iod, &got->iods[i], size_only);
}

static int
fetch_want(const struct fetch_args *fa, const struct ref_dkey_state *d)
{
    int rc = (fa->flags & VOS_COND_DKEY_FETCH) != 0 && !d->exists ? -DER_NONEXIST : 0;

    for (uint32_t i = 0; rc == 0 && i < fa->iod_nr; i++) {
        uint32_t cond = (fa->flags & VOS_COND_PER_AKEY) != 0 ? fa->iods[i].cond : fa->flags;

        if ((cond & VOS_COND_AKEY_FETCH) != 0 && !d->akeys[fa->iods[i].akey].exists)
            rc = -DER_NONEXIST;
    }
    return rc;
}

static uint64_t
fetch_answer(const struct ref_cont *c, const void *arg, uint64_t epoch)
{
    const struct fetch_args *fa = arg;
    struct ref_dkey_state d;
    uint64_t sum;

    ref_dkey_at(c, fa->obj, fa->dkey, epoch, &d);
    sum = (uint64_t)fetch_want(fa, &d);
    for (uint32_t i = 0; i < fa->iod_nr; i++) {
        const struct ref_iod *iod = &fa->iods[i];
        const struct ref_akey_state *a = &d.akeys[iod->akey];

        if (c->objs[fa->obj].fixed[fa->dkey][iod->akey].type != iod->type)
            continue;
        if (iod->type == VOS_IOD_SINGLE)
            sum = ref_mix(sum, a->exists && a->has_value ? a->epoch : 0);
        for (uint32_t r = 0; iod->type == VOS_IOD_ARRAY && r < iod->recx_nr; r++) {
            for (uint32_t k = 0; k < iod->recxs[r].nr; k++) {
                const struct ref_cell *cell = &a->cells[iod->recxs[r].lo + k];

                sum = ref_mix(sum, cell->is_there ? cell->epoch : 0);
            }
        }
    }
    return sum;
}

static int
fetch_send(struct ref_run *run, struct ref_place *p, const struct fetch_args *fa,
    struct ref_view *v, struct vos_fetch **ret_fetch)
{
    struct vos_fetch_args args;
    struct recx recxs[REF_AKEY_NR][REF_RECX_NR_MAX];
    struct vos_iod iods[REF_AKEY_NR];
    struct iov dkey = ref_key(fa->obj, true, fa->dkey);
    struct vos_oid oid = ref_oid(fa->obj);

    for (uint32_t i = 0; i < fa->iod_nr; i++) {
        const struct ref_iod *t = &fa->iods[i];

        for (uint32_t r = 0; r < t->recx_nr; r++) {
            recxs[i][r] = (struct recx){ref_array_base(t->akey) + t->recxs[r].lo, t->recxs[r].nr};
        }
        iods[i] = (struct vos_iod){.akey = ref_key(fa->obj, false, t->akey),
            .type = t->type,
            .cond = t->cond,
            .recx_nr = t->recx_nr,
            .recxs = recxs[i]};
    }
    ref_say(run, "fetch obj %u dkey %u epoch %#llx flags %#x, %u akeys from %u, own %u, worlds %#x",
        fa->obj, fa->dkey, (unsigned long long)fa->epoch, fa->flags, fa->iod_nr, fa->iods[0].akey,
        v->own, v->mask);
    args = (struct vos_fetch_args){.oid = oid,
        .epoch = fa->epoch,
        .epoch_bound = fa->bound,
        .flags = fa->flags,
        .dkey = dkey,
        .iods = iods,
        .iod_nr = fa->iod_nr,
        .dtx = v->dtx};
    return vos_fetch_all(p->h, &args, ret_fetch);
}

static void
fetch_judge(struct ref_run *run, struct ref_place *p, const struct fetch_args *fa, int rc,
    uint64_t epoch, const struct vos_fetch *fetch)
{
    struct ref_dkey_state d;

    ref_dkey_at(p->ref, fa->obj, fa->dkey, fa->epoch, &d);
    if (ref_rc(run, "fetch", rc, fetch_want(fa, &d)) && rc == 0) {
        REF_CHECK(run, fetch->epoch == epoch && fetch->iod_nr == fa->iod_nr);
        for (uint32_t i = 0; i < fa->iod_nr; i++) {
            REF_CHECK(run, iod_matches(p->ref, fa, &d, i, fetch));
        }
    }
}

static void
fetch_compare(struct ref_run *run, struct ref_place *p, const struct fetch_args *fa)
{
    const struct question q = {fetch_answer, fa, fa->obj};
    uint64_t epoch = now_of(run, fa->epoch);
    struct vos_fetch *fetch = NULL;
    struct ref_view v;
    bool uncertain;
    int rc;

    ref_view_pick(run, p, &v);
    rc = fetch_send(run, p, fa, &v, &fetch);
    if (rc == -DER_INPROGRESS) {
        read_asked(run, p, &v, fa->obj, epoch);
        return;
    }
    uncertain = is_uncertain(run, p, &q, fa->epoch, fa->bound, rc);
    p->ref->world = v.own;
    do {
        if (!uncertain)
            fetch_judge(run, p, fa, rc, epoch, fetch);
    } while (ref_world_next(p->ref, v.mask));
    p->ref->world = 0;
    for (uint32_t i = 0; i < fa->iod_nr; i++) {
        ref_saw_akey(p->ref, fa->obj, fa->dkey, fa->iods[i].akey, epoch,
            (fa->flags & VOS_COND_DKEY_FETCH) != 0);
    }
    if (fetch != NULL)
        vos_fetch_free(p->h, fetch);
}

void
ref_fetch_whole(struct ref_run *run, struct ref_place *p, uint32_t obj, uint32_t dkey, uint64_t epoch)
{
    struct fetch_args fa = {.obj = obj, .dkey = dkey, .epoch = epoch, .iod_nr = REF_AKEY_NR};

    for (uint32_t i = 0; i < REF_AKEY_NR; i++) {
        uint32_t type = p->ref->objs[obj].fixed[dkey][i].type;

        fa.iods[i] =
            (struct ref_iod){.akey = i, .type = type == 0 ? VOS_IOD_SINGLE : type, .recx_nr = 1};
        fa.iods[i].recxs[0].nr = REF_CELL_NR;
    }
    fetch_compare(run, p, &fa);
}

void
ref_op_fetch(struct ref_run *run, struct ref_place *p)
{
    struct rng *r = &run->r;
    struct fetch_args fa = {.obj = (uint32_t)rng_below(r, REF_OBJ_NR),
        .dkey = (uint32_t)rng_below(r, REF_DKEY_NR),
        .iod_nr = 1 + (uint32_t)rng_below(r, REF_AKEY_NR)};
    const struct ref_tx *tx = &p->ref->txs[rng_below(r, REF_TX_NR)];

    if (tx->is_open && rng_chance(r, 1, 2)) {
        fa.obj = tx->parts[0].mods[0].obj;
        fa.dkey = tx->parts[0].mods[0].dkey;
    }
    fa.epoch = ref_epoch_pick(run, p, fa.obj);
    fa.bound = bound_pick(run, p, fa.obj, fa.epoch);
    if (rng_chance(r, 1, 6))
        fa.flags |= VOS_COND_DKEY_FETCH;
    if (rng_chance(r, 1, 6))
        fa.flags |= rng_chance(r, 1, 2) ? VOS_COND_AKEY_FETCH : VOS_COND_PER_AKEY;
    if (rng_chance(r, 1, 6))
        fa.flags |= VOS_FETCH_SIZE_ONLY;
    for (uint32_t i = 0; i < fa.iod_nr; i++) {
        fa.iods[i].akey = (uint32_t)rng_below(r, REF_AKEY_NR);
        fa.iods[i].type =
            (fa.iods[i].akey < 2) != rng_chance(r, 1, 30) ? VOS_IOD_SINGLE : VOS_IOD_ARRAY;
        fa.iods[i].cond = rng_chance(r, 1, 2) ? VOS_COND_AKEY_FETCH : 0;
        ref_random_recxs(r, &fa.iods[i]);
    }
    fetch_compare(run, p, &fa);
}

/* ---- listings ------------------------------------------------------------------------------------------------------- */

/* Which items of a listing's level are there, and since when they were written. */
struct items {
    bool is_there[REF_CELL_NR];
    uint64_t since[REF_CELL_NR], last[REF_CELL_NR];
};

static void
items_get(const struct ref_list *l, uint64_t epoch, struct items *ret)
{
    struct ref_dkey_state d;
    struct ref_obj_state o;

    memset(ret, 0, sizeof(*ret));
    for (uint32_t i = 0; i < l->item_nr; i++) {
        switch (l->args.level) {
        case VOS_LEVEL_OBJ:
            ref_obj_at(l->place->ref, i, epoch, &o);
            ret->is_there[i] = o.exists;
            ret->since[i] = o.since;
            ret->last[i] = o.last;
            break;
        case VOS_LEVEL_DKEY:
            ref_dkey_at(l->place->ref, l->obj, i, epoch, &d);
            ret->is_there[i] = d.exists;
            ret->since[i] = d.since;
            ret->last[i] = d.last;
            break;
        default:
            if (i == 0)
                ref_dkey_at(l->place->ref, l->obj, l->dkey, epoch, &d);
            ret->is_there[i] = l->args.level == VOS_LEVEL_AKEY ? d.akeys[i].exists
                                                               : d.akeys[l->akey].cells[i].is_there;
            ret->since[i] = l->args.level == VOS_LEVEL_AKEY ? d.akeys[i].since
                                                            : d.akeys[l->akey].cells[i].epoch;
            ret->last[i] = l->args.level == VOS_LEVEL_AKEY ? d.akeys[i].last : ret->since[i];
        }
    }
}

static uint64_t
list_answer(const struct ref_cont *c, const void *arg, uint64_t epoch)
{
    const struct ref_list *l = arg;
    struct items now;
    uint64_t sum = 0;

    (void)c;
    items_get(l, epoch, &now);
    for (uint32_t i = 0; i < l->item_nr; i++) {
        sum = ref_mix(sum,
            !now.is_there[i]                      ? 0
                : l->args.level == VOS_LEVEL_RECX ? now.since[i]
                                                  : 1);
    }
    return sum;
}

static void
list_note(struct ref_list *l)
{
    struct items now;

    items_get(l, VOS_EPOCH_MAX, &now);
    for (uint32_t i = 0; i < l->item_nr; i++) {
        l->always[i] = l->always[i] && now.is_there[i];
        l->ever[i] = l->ever[i] || now.is_there[i];
    }
}

void
ref_lists_note(struct ref_run *run, const struct ref_place *p)
{
    for (uint32_t i = 0; i < REF_LIST_NR; i++) {
        if (run->lists[i].is_open && run->lists[i].is_now && run->lists[i].place == p)
            list_note(&run->lists[i]);
    }
}

void
ref_lists_drop(struct ref_run *run, const struct ref_place *p)
{
    for (uint32_t i = 0; i < REF_LIST_NR; i++) {
        if (run->lists[i].place == p)
            run->lists[i].is_open = false;
    }
}

struct list_call {
    struct ref_run *run;
    struct ref_list *l;
    struct items at; /* of a listing at a fixed epoch */
    uint32_t nr;
};

/* One item, or one cell of an extent. */
static void
list_item(struct list_call *c, int64_t item, uint64_t epoch, bool is_ordered)
{
    struct ref_list *l = c->l;

    if (!REF_CHECK(c->run, item >= 0 && item < l->item_nr))
        return;
    REF_CHECK(c->run, l->ever[item]);
    REF_CHECK(c->run, ++l->count[item] == 1);
    if (is_ordered && l->last >= 0)
        REF_CHECK(c->run, l->args.descending ? item < l->last : item > l->last);
    l->last = item;
    if (l->args.level != VOS_LEVEL_RECX)
        REF_CHECK(c->run, epoch == 0);
}

/* Extents are as long as they can be, unless versions were merged. */
static void
list_extent(struct list_call *c, const struct vos_entry *e)
{
    struct ref_list *l = c->l;
    uint64_t lo = e->recx.idx - ref_array_base(l->akey), hi = lo + e->recx.nr - 1;

    if (!REF_CHECK(c->run, hi < REF_CELL_NR && lo <= hi))
        return;
    for (uint64_t i = lo; i <= hi; i++) {
        uint64_t item = l->args.descending ? hi - (i - lo) : i;

        list_item(c, (int64_t)item, e->epoch, true);
        if (!l->is_now && !l->place->was_aggregated)
            REF_CHECK(c->run, c->at.since[item] == e->epoch);
        if (!l->is_now)
            REF_CHECK(c->run, c->at.since[item] <= e->epoch && e->epoch <= l->epoch);
    }
    if (!l->is_now && !l->place->was_aggregated) {
        uint64_t next = l->args.descending ? lo - 1 : hi + 1;

        REF_CHECK(
            c->run, next >= REF_CELL_NR || !c->at.is_there[next] || c->at.since[next] != e->epoch);
    }
}

static bool
list_fn(void *arg, const struct vos_entry *e)
{
    struct list_call *c = arg;
    struct ref_list *l = c->l;
    bool is_dkey = l->args.level == VOS_LEVEL_DKEY;

    if (c->nr++ == l->refuse_at)
        return false;
    switch (l->args.level) {
    case VOS_LEVEL_OBJ:
        for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
            struct vos_oid oid = ref_oid(o);

            if (oid_cmp(oid.oid, e->oid.oid) == 0 && oid.shard == e->oid.shard &&
                oid.layout_ver == e->oid.layout_ver) {
                list_item(c, o, e->epoch, false);
                return true;
            }
        }
        REF_CHECK(c->run, e == NULL);
        break;
    case VOS_LEVEL_RECX:
        list_extent(c, e);
        break;
    default:
        list_item(c, ref_key_find(l->obj, is_dkey, &e->key), e->epoch,
            ref_is_uint(l->obj, is_dkey) || ref_is_lexical(l->obj, is_dkey));
    }
    return true;
}

static void
list_end(struct ref_run *run, struct ref_list *l)
{
    for (uint32_t i = 0; i < l->item_nr; i++) {
        REF_CHECK(run, l->count[i] >= l->always[i]);
    }
    l->is_open = false;
    run->sums.list_nr++;
}

static void
list_stamp(struct ref_run *run, struct ref_list *l)
{
    uint64_t epoch = now_of(run, l->epoch);

    if (l->args.level == VOS_LEVEL_OBJ) {
        ref_saw_objs(l->place->ref, epoch);
    } else if (l->args.level == VOS_LEVEL_DKEY) {
        ref_saw_obj(l->place->ref, l->obj, epoch);
    } else {
        ref_saw_dkey(l->place->ref, l->obj, l->dkey, epoch);
    }
}

/* One call. */
static void
list_go_on(struct ref_run *run, struct ref_list *l)
{
    uint32_t obj = l->args.level == VOS_LEVEL_OBJ ? REF_OBJ_NR : l->obj;
    const struct question q = {list_answer, l, obj};
    struct list_call c = {.run = run, .l = l};
    struct ref_cont *ref = l->place->ref;
    int rc;

    l->refuse_at = rng_chance(&run->r, 1, 4) ? (uint32_t)rng_below(&run->r, 4) : UINT32_MAX;
    l->args.nr_max = rng_chance(&run->r, 1, 3) ? 0 : 1 + (uint32_t)rng_below(&run->r, 6);
    l->args.fn = list_fn;
    l->args.arg = &c;
    l->args.dtx = l->view.dtx == NULL ? NULL : &l->view.mem;
    ref->world = l->view.own;
    if (!l->is_now)
        items_get(l, l->epoch, &c.at);
    ref_say(run, "list level %u obj %u dkey %u akey %u epoch %#llx%s, at most %u, refused at %d",
        l->args.level, l->obj, l->dkey, l->akey, (unsigned long long)l->epoch,
        l->args.descending ? " downwards" : "", l->args.nr_max, (int)l->refuse_at);
    rc = vos_list(l->place->h, &l->args, &l->anchor);
    ref->world = 0;
    if (rc == -DER_INPROGRESS) {
        run->fail[0] = 0; /* what was told is to be forgotten */
        l->is_open = false;
        l->view.dtx = l->args.dtx;
        read_asked(run, l->place, &l->view, obj, now_of(run, l->epoch));
        return;
    }
    list_stamp(run, l);
    if (is_uncertain(run, l->place, &q, l->epoch, l->args.epoch_bound, rc)) {
        l->is_open = false;
        return;
    }
    if (!ref_rc(run, "list", rc, 0))
        return;
    if (l->anchor.eof)
        list_end(run, l);
}

/* Begin behind a key, or at it. */
static void
list_from_key(struct ref_run *run, struct ref_list *l)
{
    bool is_dkey = l->args.level == VOS_LEVEL_DKEY, is_at = rng_chance(&run->r, 1, 2);
    uint32_t from = (uint32_t)rng_below(&run->r, l->item_nr);
    struct iov key = ref_key(l->obj, is_dkey, from);
    struct vos_oid oid = ref_oid(l->obj);

    if (!ref_is_uint(l->obj, is_dkey) && !ref_is_lexical(l->obj, is_dkey))
        return;
    if (!ref_rc(run, "anchor",
            vos_anchor_from_key(l->place->h, &oid, l->args.level, &key, is_at, &l->anchor), 0))
        return;
    l->last = is_at ? (int64_t)from - 1 : from;
    for (uint32_t i = 0; i < from + !is_at; i++) {
        l->always[i] = false;
    }
}

static void
list_begin(struct ref_run *run, struct ref_place *p, struct ref_list *l, enum vos_level level,
    uint32_t obj, uint32_t dkey, uint32_t akey, uint64_t epoch)
{
    static const uint32_t nrs[] = {REF_OBJ_NR, REF_DKEY_NR, REF_AKEY_NR, REF_CELL_NR};
    struct ref_view view;
    struct items items;

    ref_view_pick(run, p, &view);
    *l = (struct ref_list){.is_open = true,
        .is_now = epoch == VOS_EPOCH_MAX,
        .place = p,
        .view = view,
        .obj = obj,
        .dkey = dkey,
        .akey = akey,
        .epoch = epoch,
        .item_nr = nrs[level],
        .last = -1};
    l->args = (struct vos_list_args){.level = level,
        .oid = ref_oid(obj),
        .dkey = ref_key(obj, true, dkey),
        .akey = ref_key(obj, false, akey),
        .epoch = epoch,
        .epoch_bound = bound_pick(run, p, obj, epoch),
        .descending = level == VOS_LEVEL_RECX && rng_chance(&run->r, 1, 2)};
    p->ref->world = view.own;
    items_get(l, epoch, &items);
    p->ref->world = 0;
    memcpy(l->always, items.is_there, sizeof(l->always));
    memcpy(l->ever, items.is_there, sizeof(l->ever));
}

static bool
single_fn(void *arg, const struct vos_entry *e)
{
    struct vos_entry *entry = arg;

    *entry = *e;
    return true;
}

static uint64_t
single_answer(const struct ref_cont *c, const void *arg, uint64_t epoch)
{
    const struct ref_list *l = arg;
    struct ref_dkey_state d;
    const struct ref_akey_state *a = &d.akeys[l->akey];

    ref_dkey_at(c, l->obj, l->dkey, epoch, &d);
    return a->exists && a->has_value ? a->epoch : 0;
}

/* The value of an akey that holds single ones. */
static void
list_single(struct ref_run *run, struct ref_place *p, uint32_t obj, uint32_t dkey, uint32_t akey,
    uint64_t epoch)
{
    struct vos_entry entry = {0};
    struct vos_list_args args = {.level = VOS_LEVEL_SINGLE,
        .oid = ref_oid(obj),
        .dkey = ref_key(obj, true, dkey),
        .akey = ref_key(obj, false, akey),
        .epoch = epoch,
        .epoch_bound = bound_pick(run, p, obj, epoch),
        .fn = single_fn,
        .arg = &entry};
    const struct ref_list l = {.obj = obj, .dkey = dkey, .akey = akey};
    const struct question q = {single_answer, &l, obj};
    struct vos_anchor anchor = {.eof = false};
    struct ref_view v;
    int rc;

    ref_view_pick(run, p, &v);
    args.dtx = v.dtx;
    ref_say(run, "list the value of obj %u dkey %u akey %u epoch %#llx", obj, dkey, akey,
        (unsigned long long)epoch);
    rc = vos_list(p->h, &args, &anchor);
    if (rc == -DER_INPROGRESS) {
        read_asked(run, p, &v, obj, now_of(run, epoch));
        return;
    }
    ref_saw_dkey(p->ref, obj, dkey, now_of(run, epoch));
    if (is_uncertain(run, p, &q, epoch, args.epoch_bound, rc) || !ref_rc(run, "list", rc, 0))
        return;
    REF_CHECK(run, anchor.eof);
    p->ref->world = v.own;
    do {
        struct ref_dkey_state d;
        const struct ref_akey_state *a = &d.akeys[akey];
        bool there;

        ref_dkey_at(p->ref, obj, dkey, epoch, &d);
        there =
            a->exists && a->has_value && p->ref->objs[obj].fixed[dkey][akey].type == VOS_IOD_SINGLE;
        REF_CHECK(run, entry.size == (there ? a->size : 0));
        REF_CHECK(run, entry.epoch == (there ? a->epoch : 0));
    } while (ref_world_next(p->ref, v.mask));
    p->ref->world = 0;
}

/* From the beginning to the end. */
static void
list_all(struct ref_run *run, struct ref_place *p, enum vos_level level, uint32_t obj,
    uint32_t dkey, uint32_t akey, uint64_t epoch)
{
    struct ref_list l;
    struct items items;

    list_begin(run, p, &l, level, obj, dkey, akey, epoch);
    for (uint32_t i = 0; l.is_open && run->fail[0] == 0; i++) {
        REF_CHECK(run, i < 10000);
        list_go_on(run, &l);
    }
    if (!l.anchor.eof || run->fail[0] != 0)
        return;
    /* An answer: the same in all worlds. */
    p->ref->world = l.view.own;
    while (ref_world_next(p->ref, l.view.mask)) {
        items_get(&l, epoch, &items);
        REF_CHECK(run, memcmp(items.is_there, l.ever, sizeof(l.ever)) == 0);
    }
    p->ref->world = 0;
}

void
ref_op_list(struct ref_run *run, struct ref_place *p)
{
    struct rng *r = &run->r;
    struct ref_list *l = &run->lists[rng_below(r, REF_LIST_NR)];
    uint32_t obj = (uint32_t)rng_below(r, REF_OBJ_NR), dkey = (uint32_t)rng_below(r, REF_DKEY_NR);
    uint32_t akey = (uint32_t)rng_below(r, REF_AKEY_NR);
    enum vos_level level = (enum vos_level)rng_below(r, 5);

    if (l->is_open && l->place->h != NULL) {
        if (!l->is_now && !ref_is_readable(l->place, l->epoch)) {
            l->is_open = false;
        } else {
            list_go_on(run, l);
        }
        return;
    }
    if (level == VOS_LEVEL_SINGLE) {
        list_single(run, p, obj, dkey, akey, ref_epoch_pick(run, p, obj));
        return;
    }
    if (ref_txs_open(p->ref) != 0) {
        list_all(run, p, level, obj, dkey, akey, ref_epoch_pick(run, p, obj));
        return;
    }
    list_begin(run, p, l, level, obj, dkey, akey, ref_epoch_pick(run, p, obj));
    if ((level == VOS_LEVEL_DKEY || level == VOS_LEVEL_AKEY) && rng_chance(r, 1, 3))
        list_from_key(run, l);
    list_go_on(run, l);
}

void
ref_op_list_whole(struct ref_run *run, struct ref_place *p, uint64_t epoch)
{
    list_all(run, p, VOS_LEVEL_OBJ, 0, 0, 0, epoch);
    for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
        list_all(run, p, VOS_LEVEL_DKEY, o, 0, 0, epoch);
        for (uint32_t d = 0; d < REF_DKEY_NR; d++) {
            list_all(run, p, VOS_LEVEL_AKEY, o, d, 0, epoch);
            for (uint32_t a = 0; a < REF_AKEY_NR; a++) {
                if (p->ref->objs[o].fixed[d][a].type == VOS_IOD_ARRAY)
                    list_all(run, p, VOS_LEVEL_RECX, o, d, a, epoch);
            }
        }
    }
}

/* ---- queries -------------------------------------------------------------------------------------------------------- */

struct query_want {
    bool found;
    uint32_t dkey, akey;
    uint32_t lo, hi; /* cells; nothing: lo above hi */
};

/* The outermost extent of an akey. */
static void
want_extent(const struct ref_akey_state *a, bool is_max, struct query_want *w)
{
    w->lo = 1;
    w->hi = 0;
    for (uint32_t i = 0; i < REF_CELL_NR; i++) {
        uint32_t at = is_max ? REF_CELL_NR - 1 - i : i;

        if (!a->cells[at].is_there)
            continue;
        w->lo = w->hi = at;
        while (is_max && w->lo > 0 && a->cells[w->lo - 1].is_there &&
            a->cells[w->lo - 1].epoch == a->cells[at].epoch) {
            w->lo--;
        }
        while (!is_max && w->hi + 1 < REF_CELL_NR && a->cells[w->hi + 1].is_there &&
            a->cells[w->hi + 1].epoch == a->cells[at].epoch) {
            w->hi++;
        }
        return;
    }
}

static bool
want_in_dkey(const struct ref_dkey_state *d, uint32_t flags, struct query_want *w)
{
    bool is_max = (flags & VOS_GET_MAX) != 0;

    if ((flags & VOS_GET_AKEY) == 0 && (flags & VOS_GET_RECX) == 0)
        return true;
    for (uint32_t i = 0; i < REF_AKEY_NR; i++) {
        uint32_t a = (flags & VOS_GET_AKEY) == 0 ? w->akey : is_max ? REF_AKEY_NR - 1 - i : i;

        want_extent(&d->akeys[a], is_max, w);
        if (d->akeys[a].exists && ((flags & VOS_GET_RECX) == 0 || w->lo <= w->hi)) {
            w->akey = a;
            return true;
        }
        if ((flags & VOS_GET_AKEY) == 0)
            break;
    }
    return false;
}

static void
query_want(
    const struct ref_cont *c, uint32_t obj, uint64_t epoch, uint32_t flags, struct query_want *w)
{
    struct ref_dkey_state d;

    for (uint32_t i = 0; i < REF_DKEY_NR && !w->found; i++) {
        uint32_t k = (flags & VOS_GET_DKEY) == 0 ? w->dkey
            : (flags & VOS_GET_MAX) != 0         ? REF_DKEY_NR - 1 - i
                                                 : i;

        ref_dkey_at(c, obj, k, epoch, &d);
        if (((flags & VOS_GET_DKEY) == 0 || d.exists) && want_in_dkey(&d, flags, w)) {
            w->dkey = k;
            w->found = true;
        }
        if ((flags & VOS_GET_DKEY) == 0)
            break;
    }
}

static void
query_compare(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint32_t flags,
    const struct query_want *w, const struct vos_query_ret *q)
{
    uint64_t base = ref_array_base(w->akey), lo, hi;

    if ((flags & VOS_GET_DKEY) != 0)
        REF_CHECK(run, memcmp(&q->dkey, ref_key(obj, true, w->dkey).buf, 8) == 0);
    if ((flags & VOS_GET_AKEY) != 0)
        REF_CHECK(run, memcmp(&q->akey, ref_key(obj, false, w->akey).buf, 8) == 0);
    if ((flags & VOS_GET_RECX) == 0)
        return;
    REF_CHECK(run, (q->recx.nr != 0) == (w->lo <= w->hi));
    if (q->recx.nr == 0 || w->lo > w->hi)
        return;
    lo = q->recx.idx - base;
    hi = lo + q->recx.nr - 1;
    REF_CHECK(run, (flags & VOS_GET_MAX) != 0 ? hi == w->hi : lo == w->lo);
    if (!p->was_aggregated)
        REF_CHECK(run, lo == w->lo && hi == w->hi);
    REF_CHECK(run, q->rec_size == p->ref->objs[obj].fixed[w->dkey][w->akey].rec_size);
}

struct query {
    uint32_t obj, flags;
    struct query_want from;
};

static uint64_t
query_answer(const struct ref_cont *c, const void *arg, uint64_t epoch)
{
    const struct query *q = arg;
    struct query_want w = q->from;
    struct ref_dkey_state d;
    uint64_t sum;

    if ((q->flags & ~(uint32_t)(VOS_GET_MAX | VOS_GET_MIN)) == 0)
        return 0; /* of the newest epoch what is decided counts: not told here */
    query_want(c, q->obj, epoch, q->flags, &w);
    sum = ref_mix(w.found, w.dkey * 16 + w.akey);
    if ((q->flags & VOS_GET_RECX) == 0 || !w.found || w.lo > w.hi)
        return sum;
    ref_dkey_at(c, q->obj, w.dkey, epoch, &d);
    return ref_mix(sum, ref_mix(w.lo * 1000 + w.hi, d.akeys[w.akey].cells[w.lo].epoch));
}

/* Is the newest change in between? */
static bool
max_is_uncertain(struct ref_run *run, const struct ref_place *p, uint32_t obj, uint64_t epoch,
    uint64_t bound, int rc)
{
    const struct ref_obj *o = &p->ref->objs[obj];
    bool is_between = epoch != VOS_EPOCH_MAX && o->epoch_max > epoch && o->epoch_max <= bound;

    if (!p->was_aggregated && !o->is_max_loose)
        REF_CHECK(run, (rc == -DER_TX_RESTART) == is_between);
    return rc == -DER_TX_RESTART;
}

void
ref_op_query(struct ref_run *run, struct ref_place *p)
{
    struct rng *r = &run->r;
    uint32_t obj = (uint32_t)rng_below(r, REF_OBJ_NR);
    struct query_want w = {.dkey = (uint32_t)rng_below(r, REF_DKEY_NR),
                          .akey = (uint32_t)rng_below(r, REF_AKEY_NR),
                          .lo = 1},
                      first;
    uint32_t flags = rng_chance(r, 1, 2) ? VOS_GET_MAX : VOS_GET_MIN;
    uint64_t epoch = ref_epoch_pick(run, p, obj);
    struct vos_query_args args = {.oid = ref_oid(obj),
        .epoch = epoch,
        .epoch_bound = bound_pick(run, p, obj, epoch),
        .dkey = ref_key(obj, true, w.dkey),
        .akey = ref_key(obj, false, w.akey)};
    struct vos_query_ret q = {0};
    struct query asked;
    struct ref_view v;
    int rc, want;

    flags |= (uint32_t)rng_below(r, 8) * VOS_GET_DKEY;
    want = ((flags & VOS_GET_DKEY) != 0 && !ref_is_uint(obj, true)) ||
            ((flags & VOS_GET_AKEY) != 0 && !ref_is_uint(obj, false))
        ? -DER_INVAL
        : 0;
    ref_say(run, "query obj %u dkey %u akey %u epoch %#llx flags %#x", obj, w.dkey, w.akey,
        (unsigned long long)epoch, flags);
    ref_view_pick(run, p, &v);
    args.flags = flags;
    args.dtx = v.dtx;
    rc = vos_query_key(p->h, &args, &q);
    if (want == 0 && rc == -DER_INPROGRESS) {
        read_asked(run, p, &v, obj, now_of(run, epoch));
        return;
    }
    if (want == -DER_INVAL) {
        ref_rc(run, "query", rc, want);
        return;
    }
    ref_saw_obj(p->ref, obj, now_of(run, epoch));
    asked = (struct query){obj, flags, w};
    if ((flags & ~(uint32_t)(VOS_GET_MAX | VOS_GET_MIN)) == 0
            ? max_is_uncertain(run, p, obj, epoch, args.epoch_bound, rc)
            : is_uncertain(run, p, &(struct question){query_answer, &asked, obj}, epoch,
                  args.epoch_bound, rc))
        return;
    first = w;
    p->ref->world = v.own;
    do {
        w = first;
        query_want(p->ref, obj, epoch, flags, &w);
        want = !w.found && (flags & (VOS_GET_DKEY | VOS_GET_AKEY)) != 0 ? -DER_NONEXIST : 0;
        if (ref_rc(run, "query", rc, want) && rc == 0)
            query_compare(run, p, obj, flags, &w, &q);
    } while (ref_world_next(p->ref, v.mask));
    p->ref->world = 0;
    if (!p->was_aggregated && !p->ref->objs[obj].is_max_loose)
        REF_CHECK(run, q.epoch_max == p->ref->objs[obj].epoch_max);
}

/* Some objects: bits. */
static uint64_t
look_answer(const struct ref_cont *c, const void *arg, uint64_t epoch)
{
    uint64_t there = 0;
    struct ref_obj_state o;

    for (uint32_t i = 0; i < REF_OBJ_NR; i++) {
        ref_obj_at(c, i, epoch, &o);
        there |= (uint64_t)o.exists << i;
    }
    return there & *(const uint32_t *)arg;
}

void
ref_op_look(struct ref_run *run, struct ref_place *p)
{
    uint32_t which = 1 + (uint32_t)rng_below(&run->r, (1 << REF_OBJ_NR) - 1), nr = 0;
    const struct question q = {look_answer, &which, REF_OBJ_NR};
    uint64_t epoch = ref_epoch_pick(run, p, 0), got = 0;
    struct vos_oid oids[REF_OBJ_NR];
    uint8_t there[REF_OBJ_NR];
    struct vos_obj_look_args args = {
        .oids = oids, .epoch = epoch, .epoch_bound = bound_pick(run, p, REF_OBJ_NR, epoch)};
    struct ref_view v;
    int rc;

    for (uint32_t i = 0; i < REF_OBJ_NR; i++) {
        if ((which >> i & 1) != 0)
            oids[nr++] = ref_oid(i);
    }
    args.nr = nr;
    ref_view_pick(run, p, &v);
    args.dtx = v.dtx;
    ref_say(run, "look at objects %#x, epoch %#llx, bound %#llx", which, (unsigned long long)epoch,
        (unsigned long long)args.epoch_bound);
    rc = vos_obj_look(p->h, &args, there);
    if (rc == -DER_INPROGRESS) {
        read_asked(run, p, &v, REF_OBJ_NR, now_of(run, epoch));
        return;
    }
    ref_saw_objs(p->ref, now_of(run, epoch));
    if (is_uncertain(run, p, &q, epoch, args.epoch_bound, rc) || !ref_rc(run, "look", rc, 0))
        return;
    for (uint32_t i = 0, k = 0; i < REF_OBJ_NR; i++) {
        if ((which >> i & 1) != 0)
            got |= (uint64_t)there[k++] << i;
    }
    p->ref->world = v.own;
    do {
        REF_CHECK(run, got == look_answer(p->ref, &which, epoch));
    } while (ref_world_next(p->ref, v.mask));
    p->ref->world = 0;
}

void
ref_compare_place(struct ref_run *run, struct ref_place *p, uint64_t epoch)
{
    struct vos_cont_info info;
    uint64_t records = 0;

    for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
        for (uint32_t d = 0; d < REF_DKEY_NR; d++) {
            ref_fetch_whole(run, p, o, d, epoch);
        }
        records += p->ref->objs[o].has_record || p->ref->objs[o].tx_writers != 0;
    }
    ref_op_list_whole(run, p, epoch);
    ref_txs_compare(run, p);
    if (!ref_rc(run, "query", vos_cont_query(p->h, &info), 0) || p->was_aggregated)
        return;
    REF_CHECK(run, info.obj_nr == records);
    if (!p->ref->is_max_loose)
        REF_CHECK(run, info.epoch_max == p->ref->epoch_max);
}
