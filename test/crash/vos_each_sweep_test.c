/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Crash sweep of all sequences of up to three operations out of 24: six kinds, two dkeys, two epochs (one of the past, and a fresh one). Power is cut at each write and each
 * sync of the last operation and of a checkpoint after it (cuts before that are those of the shorter sequence); in some sequences a checkpoint stands between the
 * operations. The disk loses, tears and reorders what was not synced. Then the store is opened again, and must hold, for the reference model (test/model):
 *
 *   - every acknowledged operation; the last one whole, when its request id is known, else nothing of it; asked again, it is done once;
 *   - the same at every epoch of the past;
 *   - no structure that vos_tgt_check() or umem_check() finds fault with, and epochs that go on above those seen.
 *
 * EACH_STRIDE: only each such sequence of three; 1, in the long list: all 13,824.
 */
#include "../model/vos_ref_run.h"
#include "vos_sweep_world.h"

#ifndef EACH_STRIDE
#define EACH_STRIDE 499
#endif

enum { KIND_NR = 6, OP_NR = KIND_NR * 2 * 2, SEQ_NR_MAX = 3, WORLD_RUNS_NR = 200 };

struct each {
    struct world *w;
    struct ref_run run;
    struct ref_place place;
    uint32_t ops[SEQ_NR_MAX], nr;
    uint32_t ckpt_at; /* before this operation */
    bool aggregates; /* after the last one */
    uint64_t past; /* the epoch given */
    uint64_t epochs[SEQ_NR_MAX + 2]; /* to look at */
    uint32_t epoch_nr;
    struct ref_req reqs[SEQ_NR_MAX];
    struct ref_built built[SEQ_NR_MAX];
    bool sent, acked; /* the last one */
    uint64_t newest;
};

static void
iod_add(struct ref_mod *mod, uint32_t akey, uint32_t size, uint32_t seed)
{
    mod->iods[mod->iod_nr++] = (struct ref_iod){
        .akey = akey, .type = akey < 2 ? VOS_IOD_SINGLE : VOS_IOD_ARRAY, .size = size, .seed = seed};
}

static struct ref_mod *
mod_add(struct ref_req *req, enum vos_mod_op op, uint32_t dkey)
{
    struct ref_mod *mod = &req->mods[req->mod_nr++];

    *mod = (struct ref_mod){.op = op, .dkey = dkey};
    return mod;
}

static void
ranges_add(struct ref_mod *mod, uint32_t lo, uint32_t hole)
{
    struct ref_iod *iod = &mod->iods[mod->iod_nr - 1];

    iod->recx_nr = 2;
    iod->recxs[0].lo = lo;
    iod->recxs[0].nr = 30;
    iod->recxs[1].lo = hole;
    iod->recxs[1].nr = 5;
}

/* Kinds: a small value; a large one, in the data role; ranges; a hole and a punched akey; a punched dkey; an object punched and made anew. */
static void
op_make(uint32_t op, uint32_t place, struct ref_req *req)
{
    uint32_t kind = op / 4, dkey = op / 2 % 2, seed = 1 + op * 10 + place;
    struct ref_mod *mod;

    memset(req, 0, sizeof(*req));
    switch (kind) {
    case 0:
        mod = mod_add(req, VOS_MOD_UPDATE, dkey);
        iod_add(mod, 0, 30, seed);
        break;
    case 1:
        mod = mod_add(req, VOS_MOD_UPDATE, dkey);
        iod_add(mod, 1, 9000, seed);
        break;
    case 2:
        mod = mod_add(req, VOS_MOD_UPDATE, dkey);
        iod_add(mod, 2, 1, seed);
        ranges_add(mod, 10 * place, 100);
        break;
    case 3:
        mod = mod_add(req, VOS_MOD_UPDATE, dkey);
        iod_add(mod, 2, 0, seed);
        ranges_add(mod, 12, 101);
        mod = mod_add(req, VOS_MOD_PUNCH_AKEYS, dkey);
        iod_add(mod, 0, 0, seed);
        iod_add(mod, 1, 0, seed);
        break;
    case 4:
        mod_add(req, VOS_MOD_PUNCH_DKEY, dkey);
        break;
    default:
        mod_add(req, VOS_MOD_PUNCH_OBJ, dkey);
        mod = mod_add(req, VOS_MOD_UPDATE, dkey);
        mod->cond = VOS_COND_DKEY_INSERT;
        iod_add(mod, 0, 5000, seed);
        iod_add(mod, 3, 5, seed);
        ranges_add(mod, 3, 50);
    }
}

static struct vos_apply_args
args_of(const struct each *e, uint32_t i)
{
    return (struct vos_apply_args){.mods = e->built[i].mods,
        .mod_nr = e->reqs[i].mod_nr,
        .epoch = e->ops[i] % 2 == 0 ? e->past : 0,
        .req = {.client = {.b = {7}},
            .slot = 3,
            .seq = e->w->run_nr * 8 + i + 1,
            .hlc = 1000 + e->w->run_nr * 8 + i}};
}

/* Do operation i on the model, as the store answered. */
static void
note(struct each *e, uint32_t i, int rc, uint64_t epoch)
{
    struct ref_how how = {.is_given = e->ops[i] % 2 == 0, .newest = e->newest, .got = rc};

    how.epoch = epoch = how.is_given ? e->past : rc == 0 ? epoch : e->newest + 1;
    EXPECT_EQ(rc, ref_apply(e->place.ref, &e->reqs[i], &how));
    e->newest = MAX(e->newest, epoch);
    if (rc == 0 && !how.is_given)
        e->epochs[e->epoch_nr++] = epoch;
}

static int
send(struct each *e, uint32_t i, struct vos_apply_ret *ret)
{
    struct vos_apply_args args = args_of(e, i);

    return vos_apply(e->place.h, &args, ret);
}

static struct uuid
cont_of(const struct each *e)
{
    return (struct uuid){.b = {8, (uint8_t)e->w->run_nr, (uint8_t)(e->w->run_nr >> 8)}};
}

static void
setup(struct fix *f)
{
    struct each *e = f->arg;
    struct vos_apply_ret ret;

    if (!e->w->is_formatted) {
        if (!fix_format(f))
            return;
        vos_cont_close(f->cont);
        f->cont = NULL;
        e->w->is_formatted = true;
    }
    ult_sleep(UINT64_C(2000000000)); /* after a kill the bound is ahead of the clock */
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, cont_of(e)));
    if (!EXPECT_OK(vos_cont_open(f->tgt, f->pool, cont_of(e), &e->place.h)))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &e->past));
    e->newest = e->past;
    e->epochs[e->epoch_nr++] = e->past;
    for (uint32_t i = 0; i < e->nr && !test_failed(); i++) {
        if (i == e->ckpt_at)
            EXPECT_OK(bio_checkpoint(f->bio));
        if (i + 1 < e->nr) {
            int rc = send(e, i, &ret);

            note(e, i, rc, ret.epoch);
        }
    }
}

/* The last operation, and a checkpoint. */
static void
last(struct fix *f)
{
    struct each *e = f->arg;
    uint32_t i = e->nr - 1;
    struct vos_apply_ret ret;
    int rc;

    e->sent = true;
    rc = send(e, i, &ret);
    if (rc == -DER_NVME_IO || rc == -DER_SHUTDOWN)
        return;
    note(e, i, rc, ret.epoch);
    e->acked = true;
    /* In some sequences old versions go: then only the newest state can be read. */
    if (e->aggregates) {
        struct vos_agg_args args = {.lo = 1, .hi = e->newest, .flags = VOS_AGG_COOL};

        e->epoch_nr = 0;
        e->place.was_aggregated = e->place.ref->is_loose = true;
        CAIRN_IGNORE(vos_cont_aggregate(e->place.h, &args, NULL)); /* the power may go */
    }
    CAIRN_IGNORE(bio_checkpoint(f->bio)); /* likewise */
}

/* The store against the model, now and at every epoch. */
static void
compare(struct each *e)
{
    for (uint32_t i = 0; i <= e->epoch_nr; i++) {
        for (uint32_t d = 0; d < 2; d++) {
            ref_fetch_whole(
                &e->run, &e->place, 0, d, i == e->epoch_nr ? VOS_EPOCH_MAX : e->epochs[i]);
        }
    }
    ref_op_list_whole(&e->run, &e->place, VOS_EPOCH_MAX);
    EXPECT_STR_EQ(e->run.fail, "");
}

/* The one that was in flight. */
static void
settle(struct each *e)
{
    uint32_t i = e->nr - 1;
    struct vos_apply_args args = args_of(e, i);
    struct vos_apply_ret ret = {.epoch = 0};
    bool is_given = e->ops[i] % 2 == 0;
    int rc = vos_req_lookup(e->place.h, &args.req, &ret);

    if (rc == 0)
        note(e, i, 0, ret.epoch);
    EXPECT(rc == 0 || rc == -DER_NONEXIST);
    compare(e);
    rc = send(e, i, &ret);
    if (rc == 0 && ret.is_replay)
        return;
    /* After a restart the past is over. */
    if (is_given) {
        EXPECT_ERR(rc, TX_RESTART);
    } else {
        EXPECT(ret.epoch > e->newest || rc != 0);
        note(e, i, rc, ret.epoch);
    }
}

static void
verify(struct fix *f)
{
    struct each *e = f->arg;
    uint64_t epoch = 0;

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) || !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)) ||
        !EXPECT_OK(vos_cont_open(f->tgt, f->pool, cont_of(e), &e->place.h)))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_GT(epoch, e->newest);
    if (!e->acked && e->sent)
        settle(e);
    compare(e);
    vos_cont_close(e->place.h);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, cont_of(e)));
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
}

static bool
cut_and_verify(struct each *e, uint64_t cut)
{
    struct fix *f = &e->w->f;
    bool lost;

    f->arg = e;
    if (!EXPECT(fix_run(f, setup)) || test_failed())
        return false;
    sim_host_power_loss_at(f->sim, FIX_HOST, cut);
    CAIRN_IGNORE(fix_run(f, last)); /* what happened is in *e */
    lost = world_power_off(e->w);
    if (!EXPECT(fix_start(f)) || !EXPECT(fix_run(f, verify)) || test_failed()) {
        fprintf(stderr,
            "    operations %u %u %u, %u of them, checkpoint before %u, cut at write %llu\n",
            e->ops[0], e->ops[1], e->ops[2], e->nr, e->ckpt_at, (unsigned long long)cut);
    }
    return lost;
}

/* False when the power was never cut because the work ended before. */
static bool
run_one(struct world *w, const uint32_t *ops, uint32_t nr, uint32_t ckpt_at, uint64_t cut)
{
    struct each *e = calloc(1, sizeof(*e));
    bool lost;

    if (w->is_up && ++w->run_nr == WORLD_RUNS_NR)
        world_down(w);
    if (!w->is_up) {
        w->seed = test_seed() + w->run_nr;
        w->run_nr = 0;
        if (!world_up(w, w->seed, 4 << 20)) {
            free(e);
            return false;
        }
    }
    memcpy(e->ops, ops, SEQ_NR_MAX * sizeof(*ops));
    e->w = w;
    e->nr = nr;
    e->ckpt_at = ckpt_at;
    e->aggregates = (ops[0] + ops[1] + ops[2]) % 3 == 1;
    e->place.exists = true;
    e->place.ref = calloc(1, sizeof(*e->place.ref));
    e->run.f = &w->f;
    rng_init(&e->run.r, cut + ops[0] * 576 + ops[1] * 24 + ops[2]);
    for (uint32_t i = 0; i < nr; i++) {
        op_make(ops[i], i, &e->reqs[i]);
        ref_build(&e->reqs[i], &e->built[i]);
    }
    lost = cut_and_verify(e, cut);
    for (uint32_t i = 0; i < nr; i++) {
        ref_built_free(&e->reqs[i], &e->built[i]);
    }
    ref_cont_free(&e->place.ref);
    free(e);
    return lost;
}

/* One sequence with all its cuts; answers how many there were. */
static uint64_t
sequence(struct world *w, const uint32_t *ops, uint32_t nr, uint32_t ckpt_at)
{
    uint64_t cut = 1;

    while (!test_failed() && run_one(w, ops, nr, ckpt_at, cut)) {
        cut++;
    }
    return cut - 1;
}

/* Each `stride`th sequence of a length in [from, to). */
static void
sequences(uint32_t nr, uint32_t from, uint32_t to, uint32_t stride)
{
    struct world w = {.is_up = false};
    uint64_t cuts = 0, done = 0;

    for (uint32_t i = from + (uint32_t)(test_seed() % stride); i < to && !test_failed(); i += stride) {
        uint32_t ops[SEQ_NR_MAX] = {0};

        for (uint32_t k = 0, left = i; k < nr; k++) {
            ops[nr - 1 - k] = left % OP_NR;
            left /= OP_NR;
        }
        cuts += sequence(&w, ops, nr, (i / OP_NR + i) % 4);
        done++;
    }
    world_down(&w);
    fprintf(stderr, "    %llu sequences of %u, %llu power cuts\n", (unsigned long long)done, nr,
        (unsigned long long)cuts);
    EXPECT_GT(cuts, done * 4);
}

TEST_ON(vos_each_sweep, short_one_operation, BACKEND_SIM)
{
    sequences(1, 0, OP_NR, EACH_STRIDE > 1 ? 5 : 1);
}

TEST_ON(vos_each_sweep, short_two_operations, BACKEND_SIM)
{
    sequences(2, 0, OP_NR * OP_NR, EACH_STRIDE > 1 ? 59 : 1);
}

/* In halves, which may run at the same time. */
enum { THREE_NR = OP_NR * OP_NR * OP_NR };

TEST_ON(vos_each_sweep, every_three_operations_first, BACKEND_SIM)
{
    sequences(3, 0, THREE_NR / 2, EACH_STRIDE);
}

TEST_ON(vos_each_sweep, every_three_operations_second, BACKEND_SIM)
{
    sequences(3, THREE_NR / 2, THREE_NR, EACH_STRIDE);
}
