/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One way to run a test of plat.h on either backend: a fixture with one plat and its main loop, driven by fix_wait(). Under sim the
 * loop is polled by hand between slices of simulated time, unless a test starts a thread for it.
 */
#ifndef CAIRN_PLAT_TEST_FIX_H
#define CAIRN_PLAT_TEST_FIX_H

#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"

#define FIX_MS UINT64_C(1000000)
#define FIX_LIMIT_NS (20000 * FIX_MS) /* a hang, not a measure: far beyond any correct run */

struct fix {
    struct plat *plat;
    struct sim *sim;
    struct plat_loop *loop;
};

static inline struct sim_opts
fix_sim_opts(void)
{
    return (struct sim_opts){
        .seed = test_seed(),
        .net_lat_lo_ns = 5000,
        .net_lat_hi_ns = 60000,
        .disk_lat_lo_ns = 10000,
        .disk_lat_hi_ns = 200000,
    };
}

static inline bool
fix_init(struct fix *f)
{
    struct sim_opts opts = fix_sim_opts();
    int rc;

    memset(f, 0, sizeof(*f));
    if (test_backend() == BACKEND_SIM) {
        if (!EXPECT_OK(sim_create(&opts, &f->sim)))
            return false;
        rc = sim_node_start(f->sim, "h0", "n0", &f->plat);
    } else {
        rc = plat_linux_create(&f->plat);
    }
    if (!EXPECT_OK(rc))
        return false;
    return EXPECT_OK(f->plat->ops->loop_create(f->plat, &f->loop));
}

static inline void
fix_fini(struct fix *f)
{
    if (f->plat != NULL && f->loop != NULL)
        f->plat->ops->loop_destroy(f->loop);
    if (f->sim != NULL) {
        sim_destroy(f->sim);
    } else {
        plat_linux_destroy(f->plat);
    }
}

/* Let one slice of time pass for everything but the loop. */
static inline void
fix_pass(struct fix *f, uint64_t ns)
{
    if (f->sim != NULL) {
        sim_run_for(f->sim, ns);
    } else {
        f->plat->ops->loop_wait(f->loop, plat_mono_ns(f->plat) + ns);
    }
}

/* Drive the loop until *nr reaches want; false when that never happens. */
static inline bool
fix_wait(struct fix *f, const uint32_t *nr, uint32_t want)
{
    uint64_t limit_ns = plat_mono_ns(f->plat) + FIX_LIMIT_NS;

    for (;;) {
        f->plat->ops->loop_poll(f->loop);
        if (__atomic_load_n(nr, __ATOMIC_ACQUIRE) >= want)
            return true;
        if (plat_mono_ns(f->plat) > limit_ns)
            return EXPECT(!"the loop makes progress");
        fix_pass(f, f->sim != NULL ? 5000 : FIX_MS);
    }
}

/* A directory for the files of the test. */
static inline const char *
fix_dir(struct fix *f)
{
    if (f->sim == NULL)
        return test_tmpdir();
    if (!EXPECT_OK(f->plat->ops->dir_create(f->plat, "/t")))
        return NULL;
    return "/t";
}

#endif
