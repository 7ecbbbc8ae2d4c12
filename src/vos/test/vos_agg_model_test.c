/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: aggregation changes nothing that anybody may read (AGG-1), whatever goes on meanwhile. Method: the naive twin of test/model; random requests, snapshots taken and deleted,
 * passes up to now or to an epoch of the past; between the steps of a pass more requests, reads, evictions of pages, and at times an end of the pass; everything is compared at the
 * newest epoch, at hi and at each snapshot. At last everything is punched: nothing may be left.
 */
#include "model/vos_twin_io.h"

enum { SNAPS_NR_MAX = 6 };

struct model {
    struct fix *f;
    struct twin *twin;
    struct twin_state *at;
    uint32_t steps, rounds_left;
    uint64_t mask;
    bool is_new;
    uint64_t snaps[SNAPS_NR_MAX];
    uint32_t snap_nr;
    uint64_t hi; /* of the newest pass */
    uint32_t pace_nr;
    struct vos_agg_stat sum;
};

static uint64_t
readable(struct model *m)
{
    struct rng *r = &m->f->rng;
    const struct twin *t = m->twin;
    uint64_t e;

    if (m->snap_nr > 0 && rng_chance(r, 1, 2))
        return m->snaps[rng_below(r, m->snap_nr)];
    if (t->req_nr == 0 || rng_chance(r, 1, 2))
        return VOS_EPOCH_MAX;
    e = t->reqs[rng_below(r, t->req_nr)].epoch;
    return e >= m->hi ? e : VOS_EPOCH_MAX;
}

static void
request(struct model *m)
{
    struct twin_req req;
    struct twin_built built;
    struct vos_apply_args args = {.mods = built.mods};
    struct vos_apply_ret ret;
    static struct twin_state after;
    uint64_t epoch;
    int rc, want;

    twin_random(&m->f->rng, &req);
    twin_build(&req, &built);
    args.mod_nr = req.mod_nr;
    after = m->twin->now;
    want = twin_apply(&after, &req);
    rc = vos_apply(m->f->cont, &args, &ret);
    EXPECT_EQ(rc, want);
    if (rc == 0) {
        req.epoch = ret.epoch;
        twin_add(m->twin, &req);
    }
    twin_built_free(&built);
    epoch = readable(m);
    twin_at(m->twin, epoch, m->at);
    twin_compare_dkey(m->f, m->at, (uint32_t)rng_below(&m->f->rng, TWIN_OBJ_NR),
        (uint32_t)rng_below(&m->f->rng, TWIN_DKEY_NR), epoch);
}

static void
compare_at(struct model *m, uint64_t epoch)
{
    twin_at(m->twin, epoch, m->at);
    twin_compare_all(m->f, m->at, epoch);
}

static void
compare(struct model *m)
{
    compare_at(m, VOS_EPOCH_MAX);
    if (m->hi != 0)
        compare_at(m, m->hi);
    for (uint32_t i = 0; i < m->snap_nr && !test_failed(); i++) {
        compare_at(m, m->snaps[i]);
    }
}

static int
pace(void *arg, const struct vos_agg_stat *stat)
{
    struct model *m = arg;
    struct rng *r = &m->f->rng;

    (void)stat;
    ult_yield();
    if (test_failed())
        return 1;
    if (m->pace_nr > 0 && rng_chance(r, 1, 3)) {
        m->pace_nr--;
        request(m);
    }
    if (rng_chance(r, 1, 4))
        umem_evict(m->f->tgt->um, 1 + (uint32_t)rng_below(r, 30), rng_u64(r));
    if (rng_chance(r, 1, 40))
        EXPECT_OK(vos_tgt_check(m->f->tgt));
    if (rng_chance(r, 1, 40))
        compare_at(m, readable(m));
    return rng_chance(r, 1, 100);
}

static void
pass(struct model *m, uint64_t hi)
{
    struct vos_agg_args args = {.lo = rng_chance(&m->f->rng, 1, 8),
        .hi = hi,
        .snaps = m->snaps,
        .snap_nr = m->snap_nr,
        .flags = hi % 2 == 0 ? VOS_AGG_COOL : 0,
        .pace = pace,
        .arg = m};
    struct vos_agg_stat stat;

    m->hi = MAX(m->hi, hi);
    m->pace_nr = 20;
    EXPECT_OK(vos_cont_aggregate(m->f->cont, &args, &stat));
    m->sum.ver_del_nr += stat.ver_del_nr;
    m->sum.key_del_nr += stat.key_del_nr;
    m->sum.log_del_nr += stat.log_del_nr;
    m->sum.obj_skip_nr += stat.obj_skip_nr;
    m->sum.merge_in_nr += stat.merge_in_nr;
    EXPECT_EQ(stat.left_nr, 0);
    EXPECT_EQ(stat.csum_bad_nr, 0);
    EXPECT_OK(vos_tgt_check(m->f->tgt));
    if (!stat.is_finished)
        return;
    /* It left nothing that a look at all would find. */
    args = (struct vos_agg_args){
        .lo = 1, .hi = hi, .snaps = m->snaps, .snap_nr = m->snap_nr, .flags = args.flags};
    EXPECT_OK(vos_cont_aggregate(m->f->cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr, 0);
    EXPECT_EQ(stat.key_del_nr, 0);
    EXPECT_EQ(stat.log_del_nr, 0);
    EXPECT_EQ(stat.merge_in_nr, 0);
}

static void
some_pass(struct model *m)
{
    struct rng *r = &m->f->rng;
    const struct twin *t = m->twin;
    uint64_t hi = t->req_nr == 0 ? 1 : t->reqs[t->req_nr - 1].epoch;

    /* Up to now, or to a request of the past. */
    if (t->req_nr > 0 && rng_chance(r, 1, 3))
        hi = t->reqs[t->req_nr - 1 - rng_below(r, MIN(t->req_nr, 30u))].epoch;
    pass(m, MAX(hi, m->hi));
    compare(m);
}

static void
some_snapshot(struct model *m)
{
    struct rng *r = &m->f->rng;
    uint64_t now = m->twin->req_nr == 0 ? 0 : m->twin->reqs[m->twin->req_nr - 1].epoch;

    if (m->snap_nr == SNAPS_NR_MAX || (m->snap_nr > 0 && rng_chance(r, 1, 3))) {
        uint32_t i = (uint32_t)rng_below(r, m->snap_nr);

        m->snap_nr--;
        memmove(&m->snaps[i], &m->snaps[i + 1], (m->snap_nr - i) * sizeof(m->snaps[0]));
    } else if (now > (m->snap_nr == 0 ? 0 : m->snaps[m->snap_nr - 1])) {
        m->snaps[m->snap_nr++] = now;
    }
}

/* Punch everything: nothing may be left. */
static void
end_empty(struct model *m)
{
    struct vos_cont_info info;
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat;

    for (uint32_t o = 0; o < TWIN_OBJ_NR; o++) {
        struct vos_mod mod = {.op = VOS_MOD_PUNCH_OBJ, .oid = twin_oid(o)};

        EXPECT_OK(fix_mod(m->f, &mod, NULL));
    }
    m->snap_nr = 0;
    EXPECT_OK(vos_cont_aggregate(m->f->cont, &args, &stat));
    EXPECT(stat.is_finished);
    EXPECT_OK(vos_cont_query(m->f->cont, &info));
    EXPECT_EQ(info.obj_nr, 0);
    EXPECT_EQ(info.meta_used, sizeof(struct vos_cont_df));
    EXPECT_EQ(info.data_used, 0);
    EXPECT_OK(vos_tgt_check(m->f->tgt));
    EXPECT(!vos_cont_agg_is_needed(m->f->cont, VOS_EPOCH_MAX));
}

static void
one_round(struct fix *f)
{
    struct model *m = f->arg;

    if (m->is_new ? !fix_format(f) : !fix_open(f))
        return;
    m->is_new = false;
    m->f = f;
    vos_test_hash_mask(f->tgt, m->mask);
    f->tgt->dirty_depth = (uint8_t)rng_below(&f->rng, 2);
    compare(m);
    for (uint32_t i = 0; i < m->steps && !test_failed(); i++) {
        request(m);
        if (rng_chance(&f->rng, 1, 40))
            some_snapshot(m);
        if (rng_chance(&f->rng, 1, 60))
            some_pass(m);
        if (rng_chance(&f->rng, 1, 60))
            EXPECT_OK(bio_checkpoint(f->bio));
        if (rng_chance(&f->rng, 1, 3))
            umem_evict(f->tgt->um, 1 + (uint32_t)rng_below(&f->rng, 30), rng_u64(&f->rng));
    }
    some_pass(m);
    if (m->rounds_left == 1 && !test_failed())
        end_empty(m);
    EXPECT_OK(umem_check(f->tgt->um));
    if (f->sim == NULL || m->rounds_left == 1 || rng_chance(&f->rng, 1, 3))
        fix_close(f);
}

static void
model(uint32_t rounds, uint32_t steps, uint64_t mask)
{
    struct model *m = calloc(1, sizeof(*m));
    struct fix f;

    m->steps = steps;
    m->mask = mask;
    m->is_new = true;
    m->twin = calloc(1, sizeof(*m->twin));
    m->at = calloc(1, sizeof(*m->at));
    fix_prepare(&f);
    f.arg = m;
    if (fix_up_default(&f)) {
        for (m->rounds_left = rounds; m->rounds_left > 0 && !test_failed(); m->rounds_left--) {
            if (!EXPECT(fix_run(&f, one_round)))
                break;
            if (f.sim != NULL && !fix_crash(&f, rng_chance(&f.rng, 1, 2)))
                break;
        }
    }
    fix_down(&f);
    EXPECT(m->sum.ver_del_nr > 0);
    EXPECT(m->sum.key_del_nr > 0);
    EXPECT(m->sum.log_del_nr > 0);
    free(m->twin);
    free(m->at);
    free(m);
}

TEST_ON(vos_agg_model, random_requests_and_passes, BACKEND_SIM)
{
    model(4, 250, UINT64_MAX);
}

TEST_ON(vos_agg_model, with_colliding_hashes, BACKEND_SIM)
{
    model(3, 200, 3);
}
