/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One way to run bio on either backend: a plat with one xstream; the body of a test is a function that runs as a ULT there, so that
 * it reads top to bottom. Under sim a fixture can lose power or be killed and started again; what the process held is reaped.
 */
#ifndef CAIRN_BIO_TEST_FIX_H
#define CAIRN_BIO_TEST_FIX_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bio/bio_dev.h"
#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"

#define FIX_LIMIT_NS (UINT64_C(600) * 1000000000)

struct fix {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *tgt; /* set by the body; reaped when the node dies */
    struct bio_cfg cfg;
    bool done;
    void (*fn)(struct fix *f);
    void *arg;
};

static inline void
fix_reap(void *arg)
{
    struct fix *f = arg;

    xstream_stop(f->xs);
    xstream_abandon(f->xs);
    if (f->tgt != NULL)
        bio_abandon(f->tgt);
    f->tgt = NULL;
    xstream_destroy(f->xs);
    f->xs = NULL;
    f->plat = NULL;
}

static inline bool
fix_start(struct fix *f)
{
    struct xstream_opts opts = {.name = "test", .cpu = UINT32_MAX};

    if (f->sim != NULL && !EXPECT_OK(sim_node_start(f->sim, "h0", "n0", &f->plat)))
        return false;
    if (!EXPECT_OK(xstream_create(f->plat, &opts, &f->xs)))
        return false;
    if (f->sim != NULL)
        sim_node_on_kill(f->plat, fix_reap, f);
    return EXPECT_OK(xstream_start(f->xs));
}

/* With BIO_TEST_PMEM in the environment what lies in files is mapped as persistent memory. With BIO_TEST_MEM in the environment that many bytes of the arena stay in memory. With BIO_TEST_DEV in the environment all roles lie on a device, between those of others. */
static inline void
fix_dev_take(struct fix *f)
{
    struct bio_dev_store stores[3];
    struct bio_dev_cfg cfg = {.stores = stores, .store_nr = 3, .file_bytes = UINT64_C(1) << 30};
    struct bio_dev *dev = NULL;

    for (uint32_t i = 0; i < 3; i++) {
        stores[i] = (struct bio_dev_store){.tgt_idx = f->cfg.tgt_idx + i - 1,
            .roles = 1 << BIO_ROLE_WAL | 1 << BIO_ROLE_META | 1 << BIO_ROLE_DATA,
            .wal_bytes = f->cfg.wal_bytes,
            .meta_bytes = f->cfg.meta_bytes,
            .data_bytes = f->cfg.data_bytes};
    }
    snprintf(cfg.path, sizeof(cfg.path), "%.200s.dev", f->cfg.dir);
    cfg.system = f->cfg.system;
    cfg.rank = f->cfg.rank;
    if (f->sim != NULL)
        EXPECT_OK(f->plat->ops->dir_create(f->plat, "/t"));
    if (EXPECT_OK(bio_dev_take(f->xs, &cfg, NULL, &dev)))
        bio_dev_place(dev, &f->cfg);
    bio_dev_release(dev);
    for (uint32_t role = 0; role < BIO_ROLE_NR; role++) {
        f->cfg.places[role].has_failed = NULL; /* nobody else is there */
    }
}

static inline bool fix_run(struct fix *f, void (*fn)(struct fix *f));

/* Marks the test as skipped where files cannot be mapped as persistent memory: the simulator can without the library. */
static inline bool
fix_pmem_is_there(void)
{
    void *lib = dlopen("libpmem.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (lib == NULL)
        TEST_SKIP("libpmem is not installed");
    return lib != NULL;
}

static inline bool
fix_init_opts(struct fix *f, const struct sim_opts *opts)
{
    memset(f, 0, sizeof(*f));
    f->cfg.wal_bytes = 16 << 20;
    f->cfg.meta_bytes = 8 << 20;
    f->cfg.data_bytes = 256 << 20;
    f->cfg.system.b[0] = 1;
    f->cfg.rank = 3;
    f->cfg.tgt_idx = 1;
    f->cfg.pending = &f->tgt;
    f->cfg.is_pmem = getenv("BIO_TEST_PMEM") != NULL;
    if (getenv("BIO_TEST_MEM") != NULL)
        f->cfg.mem_bytes = strtoull(getenv("BIO_TEST_MEM"), NULL, 0);
    if (f->cfg.is_pmem && opts == NULL && !fix_pmem_is_there())
        return false;
    if (opts != NULL) {
        if (!EXPECT_OK(sim_create(opts, &f->sim)))
            return false;
        strcpy(f->cfg.dir, "/t/d0");
    } else {
        if (!EXPECT_OK(plat_linux_create(&f->plat)))
            return false;
        snprintf(f->cfg.dir, sizeof(f->cfg.dir), "%s/d0", test_tmpdir());
    }
    if (!fix_start(f))
        return false;
    return getenv("BIO_TEST_DEV") == NULL || fix_run(f, fix_dev_take);
}

static inline bool
fix_init(struct fix *f)
{
    struct sim_opts opts = {
        .seed = test_seed(),
        .disk_lat_lo_ns = 10000,
        .disk_lat_hi_ns = 200000,
    };

    return fix_init_opts(f, test_backend() == BACKEND_LINUX ? NULL : &opts);
}

static inline void
fix_ult(void *arg)
{
    struct fix *f = arg;

    f->fn(f);
    f->done = true;
}

static inline bool
fix_is_done(void *arg)
{
    struct fix *f = arg;

    return f->done || f->xs == NULL;
}

/* Run fn as a ULT; false when the node died meanwhile (or nothing happens any more). */
static inline bool
fix_run(struct fix *f, void (*fn)(struct fix *f))
{
    f->fn = fn;
    f->done = false;
    if (f->sim == NULL) {
        EXPECT_OK(xstream_call(f->xs, ULT_SERVICE, fix_ult, f));
        return f->done;
    }
    if (!EXPECT_OK(xstream_post(f->xs, ULT_SERVICE, fix_ult, f)))
        return false;
    EXPECT_OK(sim_run_until(f->sim, fix_is_done, f, FIX_LIMIT_NS));
    return f->done;
}

/* Crash (power: what was not synced is lost or torn) and start a new process. */
static inline bool
fix_crash(struct fix *f, bool power)
{
    if (f->xs != NULL) {
        if (power) {
            sim_host_power_loss(f->sim, "h0");
        } else {
            sim_node_kill(f->sim, f->plat);
        }
    }
    EXPECT(f->xs == NULL);
    return fix_start(f);
}

static inline void
fix_fini(struct fix *f)
{
    if (f->sim != NULL) {
        if (f->xs != NULL)
            sim_node_kill(f->sim, f->plat);
        sim_destroy(f->sim);
        return;
    }
    if (f->plat == NULL)
        return; /* skipped */
    EXPECT(f->tgt == NULL);
    xstream_stop(f->xs);
    xstream_destroy(f->xs);
    plat_linux_destroy(f->plat);
}

/* For bodies: format and open. */
static inline bool
fix_tgt_new(struct fix *f)
{
    return EXPECT_OK(bio_format(f->xs, &f->cfg)) && EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
}

static inline void
fix_tgt_close(struct fix *f)
{
    struct bio_tgt *tgt = f->tgt;

    f->tgt = NULL;
    bio_close(tgt);
}

#endif
