/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: vos answers like its naive twin. Method: random requests of one to four modifications with conditions; after each, something is read at
 * the newest or at an old epoch and compared; now and then everything is compared, pages are evicted, checkpoints are taken, the store
 * is closed or killed and opened again with replay. With and without colliding hashes.
 */
#include "vos_twin_io.h"

struct model {
    struct twin *twin;
    struct twin_state *at;
    uint32_t steps;
    uint64_t mask;
    bool is_new;
};

static uint64_t
some_epoch(struct fix *f, const struct twin *t)
{
    uint64_t e;

    if (t->req_nr == 0 || rng_chance(&f->rng, 1, 2))
        return VOS_EPOCH_MAX;
    e = t->reqs[rng_below(&f->rng, t->req_nr)].epoch;
    return rng_chance(&f->rng, 1, 3) ? e - 1 : e;
}

static void
step(struct fix *f, struct model *m)
{
    struct twin_req req;
    struct twin_built built;
    struct vos_apply_args args = {.mods = built.mods};
    struct vos_apply_ret ret;
    static struct twin_state after;
    uint64_t epoch;
    int rc, want;

    twin_random(&f->rng, &req);
    twin_build(&req, &built);
    args.mod_nr = req.mod_nr;
    after = m->twin->now;
    want = twin_apply(&after, &req);
    rc = vos_apply(f->cont, &args, &ret);
    EXPECT_EQ(rc, want);
    if (rc == 0) {
        EXPECT(m->twin->req_nr == 0 || ret.epoch > m->twin->reqs[m->twin->req_nr - 1].epoch);
        req.epoch = ret.epoch;
        twin_add(m->twin, &req);
    }
    twin_built_free(&built);
    epoch = some_epoch(f, m->twin);
    twin_at(m->twin, epoch, m->at);
    twin_compare_dkey(f, m->at, (uint32_t)rng_below(&f->rng, TWIN_OBJ_NR),
        (uint32_t)rng_below(&f->rng, TWIN_DKEY_NR), epoch);
}

static void
compare_at(struct fix *f, struct model *m, uint64_t epoch)
{
    twin_at(m->twin, epoch, m->at);
    twin_compare_all(f, m->at, epoch);
}

static void
one_round(struct fix *f)
{
    struct model *m = f->arg;

    if (m->is_new ? !fix_format(f) : !fix_open(f))
        return;
    m->is_new = false;
    vos_test_hash_mask(f->tgt, m->mask);
    compare_at(f, m, VOS_EPOCH_MAX);
    for (uint32_t i = 0; i < m->steps && !test_failed(); i++) {
        step(f, m);
        if (rng_chance(&f->rng, 1, 40))
            EXPECT_OK(bio_checkpoint(f->bio));
        if (rng_chance(&f->rng, 1, 3))
            umem_evict(f->tgt->um, 1 + (uint32_t)rng_below(&f->rng, 30), rng_u64(&f->rng));
        if (rng_chance(&f->rng, 1, 60))
            compare_at(f, m, some_epoch(f, m->twin));
        if (rng_chance(&f->rng, 1, 60))
            EXPECT_OK(vos_tgt_check(f->tgt));
    }
    compare_at(f, m, VOS_EPOCH_MAX);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
    if (f->sim == NULL || rng_chance(&f->rng, 1, 3))
        fix_close(f);
}

static void
model(uint32_t rounds, uint32_t steps, uint64_t mask)
{
    struct model m = {.steps = steps, .mask = mask, .is_new = true};
    struct fix f;

    m.twin = calloc(1, sizeof(*m.twin));
    m.at = calloc(1, sizeof(*m.at));
    fix_prepare(&f);
    f.arg = &m;
    if (fix_up_default(&f)) {
        for (uint32_t i = 0; i < rounds && !test_failed(); i++) {
            if (!EXPECT(fix_run(&f, one_round)))
                break;
            if (f.sim != NULL && !fix_crash(&f, rng_chance(&f.rng, 1, 2)))
                break;
        }
    }
    fix_down(&f);
    free(m.twin);
    free(m.at);
}

TEST_ON(vos_model, random_requests, BACKEND_LINUX | BACKEND_SIM)
{
    model(5, test_backend() == BACKEND_LINUX ? 60 : 150, UINT64_MAX);
}

TEST_ON(vos_model, random_requests_with_colliding_hashes, BACKEND_SIM)
{
    model(4, 120, 3);
}
