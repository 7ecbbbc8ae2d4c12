/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A target on a real store in the simulator, for the tests of tgt; the services above it are played by the test. The body runs on a ULT of the target's xstream; the store is
 * checked after it.
 */
#ifndef CAIRN_TGT_FIX_H
#define CAIRN_TGT_FIX_H

#include "harness/harness.h"
#include "plat/plat_sim.h"
#include "tgt/tgt.h"

static const struct uuid fix_pool = {{1}};

struct tgt_fix {
    /* set by the test */
    struct tgt_opts opts; /* but for the store */
    uint64_t quota; /* of the pool, bytes of either role */
    void (*body)(void *arg);
    void *arg;
    /* for the body */
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct tgt *tgt;
    bool is_done;
};

/* The target, when there is none. */
static bool
fix_tgt_open(struct tgt_fix *f)
{
    f->opts.bio = f->bio;
    f->opts.vos = f->vos;
    return EXPECT_OK(tgt_create(&f->opts, &f->tgt));
}

static void
fix_ult(void *arg)
{
    struct tgt_fix *f = arg;
    struct bio_cfg cfg = {.dir = "/tgt0",
        .wal_bytes = 16 << 20,
        .meta_bytes = 64 << 20,
        .data_bytes = 64 << 20,
        .system = {{1}},
        .device = {{2}}};

    EXPECT_OK(f->plat->ops->dir_create(f->plat, cfg.dir));
    EXPECT_OK(bio_format(f->xs, &cfg));
    EXPECT_OK(bio_open(f->xs, &cfg, &f->bio));
    EXPECT_OK(vos_tgt_open(f->bio, &f->vos));
    if (fix_tgt_open(f) && EXPECT_OK(tgt_pool_create(f->tgt, fix_pool, f->quota, f->quota)))
        f->body(f->arg);
    tgt_destroy(f->tgt);
    EXPECT_OK(vos_tgt_check(f->vos));
    vos_tgt_close(f->vos);
    bio_close(f->bio);
    f->is_done = true;
}

static bool
fix_is_done(void *arg)
{
    return ((struct tgt_fix *)arg)->is_done;
}

/* Run the body, to its end, within days of simulated time. */
static void
fix_run(struct tgt_fix *f)
{
    struct sim_opts opts = {.seed = test_seed(), .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 90000};
    struct xstream_opts xopts = {.name = "tgt", .cpu = UINT32_MAX};

    EXPECT_OK(sim_create(&opts, &f->sim));
    EXPECT_OK(sim_node_start(f->sim, "host", "one", &f->plat));
    EXPECT_OK(xstream_create(f->plat, &xopts, &f->xs));
    EXPECT_OK(xstream_start(f->xs));
    EXPECT_OK(xstream_post(f->xs, ULT_SERVICE, fix_ult, f));
    EXPECT_OK(sim_run_until(f->sim, fix_is_done, f, UINT64_C(200000000000000)));
    xstream_stop(f->xs);
    xstream_destroy(f->xs);
    sim_destroy(f->sim);
}

#endif
