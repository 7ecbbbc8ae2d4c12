/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Iterations over a range of epochs (vos_iter()), compared with what the model knows of every version: it goes through the modifications once more, and counts for each thing what must be
 * told of it. Of what was aggregated nothing is known: the range begins behind it then.
 */
#include "vos_ref_run.h"

#include "base/codec.h"

enum { STATES_NR = 3 };
static const uint32_t states[STATES_NR] = {VOS_ITER_VISIBLE, VOS_ITER_COVERED, VOS_ITER_PUNCHED};

/* A version of the values of an akey. */
struct ver {
    uint64_t epoch, seed;
    uint32_t size; /* 0: a hole */
    bool is_punched;
    const struct ref_iod *iod;
};

struct iter {
    struct ref_run *run;
    struct ref_place *p;
    struct vos_iter_args args;
    uint32_t obj, dkey, akey;
    uint32_t refuse_at, nr;
    /* what happened */
    struct ref_dkey_state *d;
    struct ref_obj_state o;
    bool dkey_ever, akey_ever[REF_AKEY_NR], obj_ever; /* right before the range, or in it */
    struct ver *vers;
    uint32_t ver_nr;
    /* keys */
    uint8_t count[REF_OBJ_NR + REF_DKEY_NR + REF_AKEY_NR];
    uint32_t state[REF_OBJ_NR + REF_DKEY_NR + REF_AKEY_NR];
    /* values: by version, cell and state; single values have one cell */
    int16_t (*cells)[REF_CELL_NR][STATES_NR];
    uint64_t last_epoch, last_idx;
    uint16_t last_minor;
};

static uint32_t
state_idx(uint32_t state)
{
    return state == VOS_ITER_VISIBLE ? 0 : state == VOS_ITER_COVERED ? 1 : 2;
}

static uint32_t
wanted(const struct iter *it)
{
    uint32_t all = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED;

    return (it->args.flags & all) == 0 ? VOS_ITER_VISIBLE : it->args.flags & all;
}

/* ---- what the model says -------------------------------------------------------------------------------------------- */

/* One modification, as far as the akey has versions of it. */
static void
vers_step(struct iter *it, const struct ref_dkey_state *before, const struct ref_event *e)
{
    const struct ref_mod *mod = &e->mod;
    bool is_punch = mod->op == VOS_MOD_PUNCH_OBJ || mod->op == VOS_MOD_PUNCH_DKEY;

    for (uint32_t i = 0; mod->op != VOS_MOD_PUNCH_OBJ && i < mod->iod_nr; i++) {
        const struct ref_iod *iod = &mod->iods[i];

        if (iod->akey != it->akey)
            continue;
        if (mod->op == VOS_MOD_PUNCH_AKEYS)
            is_punch = true;
        if (mod->op == VOS_MOD_UPDATE && (iod->size != 0 || before->akeys[it->akey].exists)) {
            it->vers[it->ver_nr++] =
                (struct ver){.epoch = e->epoch, .seed = iod->seed, .size = iod->size, .iod = iod};
        }
    }
    /* A dkey that lost its last akey: they all went before. */
    for (uint32_t i = 0; is_punch && i < it->ver_nr; i++) {
        it->vers[i].is_punched = true;
    }
}

static void
dkey_replay(struct iter *it, uint32_t dkey)
{
    const struct ref_log *log = &it->p->ref->objs[it->obj].dkeys[dkey];
    struct ref_dkey_state *before = malloc(sizeof(*before));

    memset(it->d, 0, sizeof(*it->d));
    it->dkey_ever = false;
    memset(it->akey_ever, 0, sizeof(it->akey_ever));
    it->ver_nr = 0;
    it->vers = realloc(it->vers, (log->nr + 1) * sizeof(*it->vers));
    for (uint32_t i = 0; i < log->nr && log->events[i]->epoch <= it->args.hi; i++) {
        const struct ref_event *e = log->events[i];

        if (!ref_event_counts(it->p->ref, e))
            continue; /* not decided: as if it were not there */
        if (e->epoch < it->args.lo) {
            it->dkey_ever = false;
            memset(it->akey_ever, 0, sizeof(it->akey_ever));
        }
        *before = *it->d;
        ref_dkey_step(it->d, e);
        vers_step(it, before, e);
        it->dkey_ever = it->dkey_ever || it->d->exists;
        for (uint32_t a = 0; a < REF_AKEY_NR; a++) {
            it->akey_ever[a] = it->akey_ever[a] || it->d->akeys[a].exists;
        }
    }
    free(before);
}

static void
obj_replay(struct iter *it, uint32_t obj)
{
    const struct ref_log *log = &it->p->ref->objs[obj].log;

    it->o = (struct ref_obj_state){0};
    it->obj_ever = false;
    for (uint32_t i = 0; i < log->nr && log->events[i]->epoch <= it->args.hi; i++) {
        const struct ref_event *e = log->events[i];

        if (!ref_event_counts(it->p->ref, e))
            continue; /* not decided: as if it were not there */
        if (e->epoch < it->args.lo)
            it->obj_ever = false;
        ref_obj_step(&it->o, e);
        it->obj_ever = it->obj_ever || it->o.exists;
    }
}

/* ---- keys ----------------------------------------------------------------------------------------------------------- */

static bool
key_fn(void *arg, const struct vos_iter_ent *e)
{
    struct iter *it = arg;
    int item = -1;

    if (it->nr++ == it->refuse_at)
        return false;
    if (it->args.type == VOS_ITER_OBJ) {
        for (uint32_t o = 0; o < REF_OBJ_NR; o++) {
            struct vos_oid oid = ref_oid(o);

            if (oid_cmp(oid.oid, e->oid.oid) == 0 && oid.shard == e->oid.shard &&
                oid.layout_ver == e->oid.layout_ver)
                item = (int)o;
        }
    } else {
        item = ref_key_find(it->obj, it->args.type == VOS_ITER_DKEY, &e->key);
    }
    if (!REF_CHECK(it->run, item >= 0))
        return true;
    it->count[item]++;
    it->state[item] = e->state;
    it->run->sums.iter_hidden_nr += e->state != VOS_ITER_VISIBLE;
    if (!it->p->was_aggregated) {
        bool is_new = e->create.epoch >= MAX(e->punch.epoch, e->punch_above.epoch);

        REF_CHECK(it->run, e->create.epoch <= it->args.hi && e->punch.epoch <= it->args.hi);
        REF_CHECK(it->run, e->create.epoch != 0 && (e->state != VOS_ITER_VISIBLE || is_new));
    }
    return true;
}

/* Whether it must be told, and was. */
static void
key_check(struct iter *it, uint32_t item, bool exists, bool ever, bool is_certain)
{
    uint32_t state = exists ? VOS_ITER_VISIBLE : VOS_ITER_PUNCHED;
    bool want = (wanted(it) & state) != 0 && (exists || ever);

    REF_CHECK(it->run, it->count[item] <= 1);
    if (!REF_CHECK(it->run, it->count[item] == want || (!is_certain && want))) {
        ref_say(it->run, "    item %u: told %u, exists %u, ever %u", item, it->count[item], exists,
            ever);
    }
    if (it->count[item] > 0)
        REF_CHECK(it->run, it->state[item] == state);
}

static void
keys_check(struct iter *it)
{
    for (uint32_t i = 0; it->args.type == VOS_ITER_OBJ && i < REF_OBJ_NR; i++) {
        const struct ref_obj *o = &it->p->ref->objs[i];
        bool is_loose = it->p->was_aggregated || o->is_max_loose;
        bool is_old = !is_loose && o->epoch_max < it->args.lo;

        obj_replay(it, i);
        key_check(it, i, it->o.exists && !is_old, it->obj_ever && !is_old, !is_loose);
    }
    for (uint32_t i = 0; it->args.type == VOS_ITER_DKEY && i < REF_DKEY_NR; i++) {
        dkey_replay(it, i);
        key_check(it, i, it->d->exists, it->dkey_ever, true);
    }
    if (it->args.type != VOS_ITER_AKEY)
        return;
    dkey_replay(it, it->dkey);
    for (uint32_t i = 0; i < REF_AKEY_NR; i++) {
        key_check(it, i, it->d->akeys[i].exists, it->akey_ever[i], true);
    }
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

/* How often each version must be told, by cell and state. */
static void
cells_expect(struct iter *it)
{
    int32_t top[REF_CELL_NR];

    memset(top, 0xff, sizeof(top));
    it->cells = calloc(it->ver_nr + 1, sizeof(*it->cells));
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t v = 0; v < it->ver_nr; v++) {
            const struct ver *ver = &it->vers[v];
            bool is_single = ver->iod->type == VOS_IOD_SINGLE;

            for (uint32_t r = 0; r < (is_single ? 1 : ver->iod->recx_nr); r++) {
                uint32_t lo = is_single ? 0 : ver->iod->recxs[r].lo;
                uint32_t nr = is_single ? 1 : ver->iod->recxs[r].nr;

                for (uint32_t i = lo; i < lo + nr; i++) {
                    uint32_t state = ver->is_punched ? VOS_ITER_PUNCHED
                        : top[i] == (int32_t)v       ? VOS_ITER_VISIBLE
                                                     : VOS_ITER_COVERED;

                    if (pass == 0) {
                        top[i] = (int32_t)v;
                    } else if ((wanted(it) & state) != 0 && ver->epoch >= it->args.lo &&
                        (ver->size != 0 || (it->args.flags & VOS_ITER_HOLES) != 0))
                        it->cells[v][i][state_idx(state)]++;
                }
            }
        }
    }
}

/* Does a single value that was told hold the bytes of a version? One without bytes may be any. */
static bool
bytes_match(const struct vos_iter_ent *e, const struct ver *ver)
{
    return e->type != VOS_ITER_SINGLE || e->data == NULL || ref_fills(ver->seed, 0, e->data, e->size);
}

/* One cell was told: it is taken off the first version of that epoch that misses it. One request may bring several, of the same size, too. */
static void
cell_told(struct iter *it, const struct vos_iter_ent *e, uint32_t cell)
{
    uint32_t s = state_idx(e->state);

    for (uint32_t v = 0; v < it->ver_nr; v++) {
        const struct ver *ver = &it->vers[v];

        if (ver->epoch != e->epoch || it->cells[v][cell][s] == 0 || (ver->size == 0) != e->is_hole ||
            (e->type == VOS_ITER_SINGLE && ver->size != e->size) || !bytes_match(e, ver))
            continue;
        it->cells[v][cell][s]--;
        return;
    }
    ref_say(it->run, "    epoch %#llx cell %u state %u hole %u", (unsigned long long)e->epoch, cell,
        e->state, e->is_hole);
    REF_CHECK(it->run, e == NULL); /* there is no such version */
}

static bool
value_fn(void *arg, const struct vos_iter_ent *e)
{
    struct iter *it = arg;
    bool is_single = e->type == VOS_ITER_SINGLE;
    uint64_t lo = is_single ? 0 : e->recx.idx - ref_array_base(it->akey);
    uint64_t nr = is_single ? 1 : e->recx.nr;

    if (it->nr++ == it->refuse_at)
        return false;
    it->run->sums.iter_hidden_nr += e->state != VOS_ITER_VISIBLE;
    REF_CHECK(it->run, e->epoch >= it->args.lo && e->epoch <= it->args.hi);
    if (e->dtx != 0) {
        const struct ref_cont *ref = it->p->ref;
        bool known = false, is_ready = false;

        for (uint32_t t = 0; t < REF_TX_NR; t++) {
            if (!ref->txs[t].is_open || ref->txs[t].lid != e->dtx)
                continue;
            known = ref->txs[t].epoch == e->epoch;
            is_ready = ref->txs[t].ready != 0;
        }
        REF_CHECK(it->run, known);
        if (!is_ready) {
            REF_CHECK(it->run, e->state != VOS_ITER_VISIBLE);
            return true;
        }
    }
    if (!REF_CHECK(it->run, lo < REF_CELL_NR && nr > 0 && nr <= REF_CELL_NR - lo))
        return true;
    if (is_single && it->last_epoch != 0) {
        bool is_down = (it->args.flags & VOS_ITER_DESCENDING) != 0;
        struct vos_epoch last = {it->last_epoch, it->last_minor}, at = {e->epoch, e->minor};

        REF_CHECK(it->run, is_down ? vos_epoch_gt(last, at) : vos_epoch_gt(at, last));
    }
    it->last_epoch = e->epoch;
    it->last_minor = e->minor;
    for (uint64_t i = lo; i < lo + nr && it->run->fail[0] == 0; i++) {
        cell_told(it, e, (uint32_t)i);
    }
    return true;
}

static void
values_check(struct iter *it)
{
    for (uint32_t v = 0; v < it->ver_nr && it->run->fail[0] == 0; v++) {
        for (uint32_t i = 0; i < REF_CELL_NR; i++) {
            for (uint32_t s = 0; s < STATES_NR; s++) {
                if (it->cells[v][i][s] != 0) {
                    ref_say(it->run, "    missing: epoch %#llx cell %u state %u size %u",
                        (unsigned long long)it->vers[v].epoch, i, states[s], it->vers[v].size);
                }
                if (!REF_CHECK(it->run, it->cells[v][i][s] == 0))
                    return;
            }
        }
    }
}

/* ---- one iteration -------------------------------------------------------------------------------------------------- */

static void
iter_run(struct iter *it)
{
    struct ref_run *run = it->run;
    struct vos_iter_anchor anchor = {.eof = false}, kept;

    while (!anchor.eof && run->fail[0] == 0) {
        it->args.nr_max = rng_chance(&run->r, 1, 2) ? 0 : 1 + (uint32_t)rng_below(&run->r, 5);
        it->refuse_at = rng_chance(&run->r, 1, 4) ? (uint32_t)rng_below(&run->r, 5) : UINT32_MAX;
        it->nr = 0;
        memset(&kept, 0, sizeof(kept));
        memcpy(kept.text, anchor.text, sizeof(kept.text));
        if (!ref_rc(run, "iteration", vos_iter(run->f->tgt, &it->args, &kept), 0))
            return;
        anchor = kept;
        if (rng_chance(&run->r, 1, 8))
            umem_evict(run->f->tgt->um, 1 + (uint32_t)rng_below(&run->r, 30), rng_u64(&run->r));
    }
}

/* The values that the akey may have by all that the model knows are of one kind. */
static bool
is_one_kind(const struct iter *it)
{
    for (uint32_t v = 1; v < it->ver_nr; v++) {
        if (it->vers[v].iod->type != it->vers[0].iod->type)
            return false;
    }
    return true;
}

static void
iter_one(struct ref_run *run, struct ref_place *p, struct iter it)
{
    if (it.args.type == VOS_ITER_SINGLE && rng_chance(&run->r, 1, 2))
        it.args.flags |= VOS_ITER_DESCENDING;
    it.args.arg = &it;
    ref_say(run, "iterate type %u obj %u dkey %u akey %u [%#llx, %#llx] flags %#x", it.args.type,
        it.obj, it.dkey, it.akey, (unsigned long long)it.args.lo, (unsigned long long)it.args.hi,
        it.args.flags);
    run->sums.iter_nr++;
    it.p = p;
    it.d = malloc(sizeof(*it.d));
    if (it.args.type <= VOS_ITER_AKEY) {
        it.args.fn = key_fn;
        iter_run(&it);
        if (run->fail[0] == 0)
            keys_check(&it);
    } else {
        it.args.fn = value_fn;
        dkey_replay(&it, it.dkey);
        if (is_one_kind(&it) &&
            (it.ver_nr == 0 || (it.vers[0].iod->type == VOS_IOD_SINGLE) == (it.akey < 2))) {
            cells_expect(&it);
            iter_run(&it);
            if (run->fail[0] == 0)
                values_check(&it);
        }
    }
    free(it.cells);
    free(it.vers);
    free(it.d);
}

void
ref_op_iter(struct ref_run *run, struct ref_place *p)
{
    struct iter it = {.run = run};

    it.obj = rng_chance(&run->r, 1, 2) ? REF_HOT_OBJ : (uint32_t)rng_below(&run->r, REF_OBJ_NR);
    it.dkey = (uint32_t)rng_below(&run->r, REF_DKEY_NR);
    it.args = (struct vos_iter_args){.hi = VOS_EPOCH_MAX,
        .cont = p->h,
        .oid = ref_oid(it.obj),
        .dkey = ref_key(it.obj, true, it.dkey)};
    if (rng_chance(&run->r, 1, 2))
        it.args.hi = ref_event_epoch(run, p, it.obj);
    if (rng_chance(&run->r, 1, 2))
        it.args.lo = ref_event_epoch(run, p, it.obj);
    if (p->was_aggregated)
        it.args.lo = MAX(it.args.lo, p->agg_hi + 1);
    if (it.args.lo > it.args.hi)
        it.args.hi = VOS_EPOCH_MAX;
    /* What it takes for undecided was decided. */
    if (p->ref->is_no_history ||
        (ref_txs_touch(p->ref, REF_OBJ_NR, UINT64_MAX) & ~ref_txs_open(p->ref)) != 0)
        return;
    for (enum vos_iter_type t = VOS_ITER_OBJ; t <= VOS_ITER_EXTENT && run->fail[0] == 0; t++) {
        it.akey = (uint32_t)rng_below(&run->r, 2) + (t == VOS_ITER_EXTENT ? 2 : 0);
        it.args.type = t;
        it.args.flags = (uint32_t)rng_below(&run->r, 16);
        it.args.akey = ref_key(it.obj, false, it.akey);
        iter_one(run, p, it);
    }
}
