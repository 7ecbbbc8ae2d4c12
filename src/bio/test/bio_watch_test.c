/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Devices as they are: slow, stalled, failing, one for each role or one for several; and how the log's groups follow the load. Simulated, so that times are exact.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"

enum { MS = 1000000, LAT_NS = 100000 };

static const struct sim_opts steady = {.seed = 1, .disk_lat_lo_ns = LAT_NS, .disk_lat_hi_ns = LAT_NS};

/* ---- slow and stalled ----------------------------------------------------------------------------------------------- */

struct heard {
    uint32_t slow_nr, stalls_nr, ends_nr;
};

static void
heard_sink(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    struct heard *heard = arg;

    (void)level;
    (void)file;
    (void)line;
    heard->slow_nr += strstr(text, "is slow: an operation of its role wal took") != NULL;
    heard->stalls_nr += strstr(text, "stalls: an operation of its role wal has not") != NULL;
    heard->ends_nr += strstr(text, "stalls no more") != NULL;
}

/* Every disk operation takes that long from now on. */
static void
latency_set(struct fix *f, uint64_t ns)
{
    struct sim_opts opts = steady;

    opts.disk_lat_lo_ns = opts.disk_lat_hi_ns = ns;
    EXPECT_OK(sim_opts_set(f->sim, &opts));
}

static enum bio_health_state
state_of(struct fix *f)
{
    struct bio_health h;

    bio_health_get(f->tgt, &h);
    return h.state;
}

static void
body_late(struct fix *f)
{
    struct bio_health h;
    uint64_t lsn = 0;

    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, 10, 100);
    bio_health_get(f->tgt, &h);
    EXPECT_EQ(h.state, BIO_WELL);
    EXPECT_EQ(h.slow_nr, 0);
    EXPECT_GE(h.took_max_ns, LAT_NS);
    EXPECT_LT(h.took_max_ns, 2 * LAT_NS);

    /* Slow: told once, counted each time, over when it has been well for a while. */
    latency_set(f, BIO_SLOW_NS + 5 * MS);
    for (uint64_t nr = 11; nr <= 13; nr++) {
        push_to(f->tgt, nr, 100);
    }
    latency_set(f, LAT_NS);
    bio_health_get(f->tgt, &h);
    EXPECT_EQ(h.state, BIO_SLOW);
    EXPECT_EQ(h.slow_nr, 3);
    EXPECT_EQ(h.stalls_nr, 0);
    EXPECT_GE(h.took_max_ns, BIO_SLOW_NS + 5 * MS);
    ult_sleep(BIO_SLOW_HOLD_NS + MS);
    EXPECT_EQ(state_of(f), BIO_WELL);

    /* Stalled: seen while it lasts; the write is not given up. */
    latency_set(f, 3 * BIO_STALL_NS);
    EXPECT_OK(push(f->tgt, 13, 100, &lsn));
    ult_sleep(BIO_STALL_NS / 2);
    EXPECT_EQ(state_of(f), BIO_WELL);
    latency_set(f, LAT_NS);
    ult_sleep(BIO_STALL_NS);
    EXPECT_EQ(state_of(f), BIO_STALLED);
    EXPECT_LT(bio_wal_durable(f->tgt), lsn);
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    EXPECT_EQ(state_of(f), BIO_SLOW);
    ult_sleep(BIO_SLOW_HOLD_NS + BIO_STALL_NS);
    bio_health_get(f->tgt, &h);
    EXPECT_EQ(h.state, BIO_WELL);
    EXPECT_EQ(h.stalls_nr, 1);
    EXPECT_EQ(h.slow_nr, 4);
    EXPECT_EQ(h.oldest_ns, 0);
    fix_tgt_close(f);
}

/* Goal: a device that answers late is a state of the target, with a line when it begins (BW-1, BW-2), and no error. */
TEST_ON(bio_watch, late, BACKEND_SIM)
{
    struct heard heard = {0};
    struct fix f;

    if (fix_init_opts(&f, &steady)) {
        log_sink_set(heard_sink, &heard, LOG_LEVEL_WARN);
        fix_run(&f, body_late);
        log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
        EXPECT_EQ(heard.slow_nr, 2);
        EXPECT_EQ(heard.stalls_nr, 1);
        EXPECT_EQ(heard.ends_nr, 1);
    }
    fix_fini(&f);
}

/* ---- roles on devices that fail ------------------------------------------------------------------------------------- */

enum { WAL = 1 << BIO_ROLE_WAL, META = 1 << BIO_ROLE_META, DATA = 1 << BIO_ROLE_DATA };

struct layout {
    uint32_t dev_nr;
    uint32_t roles[3];
};

struct devs {
    struct layout layout;
    uint32_t fails; /* index of the device that fails */
};

static void
dev_path(uint32_t i, char *ret_path, size_t len)
{
    snprintf(ret_path, len, "/t/dev%u", i);
}

static bool
devs_take(struct fix *f, struct bio_dev **devs)
{
    const struct layout *layout = &((const struct devs *)f->arg)->layout;

    memset(f->cfg.places, 0, sizeof(f->cfg.places));
    EXPECT_OK(f->plat->ops->dir_create(f->plat, "/t"));
    for (uint32_t i = 0; i < layout->dev_nr; i++) {
        struct bio_dev_store store = {.tgt_idx = f->cfg.tgt_idx,
            .roles = layout->roles[i],
            .wal_bytes = f->cfg.wal_bytes,
            .meta_bytes = f->cfg.meta_bytes,
            .data_bytes = f->cfg.data_bytes};
        struct bio_dev_cfg cfg = {
            .file_bytes = UINT64_C(1) << 30, .stores = &store, .store_nr = 1, .rank = f->cfg.rank};

        cfg.system = f->cfg.system;
        dev_path(i, cfg.path, sizeof(cfg.path));
        if (!EXPECT_OK(bio_dev_take(f->xs, &cfg, NULL, &devs[i])))
            return false;
        bio_dev_place(devs[i], &f->cfg);
    }
    return true;
}

static void
devs_drop(struct bio_dev **devs)
{
    for (uint32_t i = 0; i < 3; i++) {
        bio_dev_release(devs[i]);
        devs[i] = NULL;
    }
}

/* A write of data, with an index that points to it; acknowledged or not. */
static int
data_put(struct fix *f, void *buf, uint64_t *ret_lsn)
{
    struct bio_resv *resv = NULL;
    struct umem_tx tx;
    int rc = bio_ext_reserve(f->tgt, BIO_BLK_BYTES, 0, &resv);

    if (rc == 0)
        rc = bio_data_write(f->tgt, bio_resv_ext(resv).addr, buf, BIO_BLK_BYTES);
    if (rc == 0)
        rc = umem_tx_admit(bio_umem(f->tgt));
    if (rc != 0) {
        bio_ext_cancel(f->tgt, resv);
        return rc;
    }
    EXPECT_OK(umem_tx_begin(bio_umem(f->tgt), 0, 1, &tx));
    EXPECT_OK(bio_ext_publish(&tx, f->tgt, resv));
    umem_tx_commit(&tx, ret_lsn);
    bio_ext_published(f->tgt, resv);
    return 0;
}

static void
body_device_fails(struct fix *f)
{
    const struct devs *d = f->arg;
    uint32_t roles = d->layout.roles[d->fails];
    struct bio_dev *devs[3] = {NULL};
    uint64_t lsn = 0;
    void *buf = NULL;
    char path[32];

    if (!devs_take(f, devs) || !fix_tgt_new(f))
        return;
    push_to(f->tgt, 50, 500);
    EXPECT_OK(bio_checkpoint(f->tgt));
    push_to(f->tgt, 100, 500);
    EXPECT_OK(bio_buf_get(f->tgt, BIO_BLK_BYTES, &buf));
    memset(buf, 0, BIO_BLK_BYTES);
    EXPECT_OK(data_put(f, buf, &lsn));
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));

    dev_path(d->fails, path, sizeof(path));
    sim_disk_errors_set(f->sim, "h0", path, 1000000);
    if ((roles & DATA) != 0) /* an error of that call */
        EXPECT_ERR(data_put(f, buf, &lsn), NVME_IO);
    EXPECT_OK(bio_status(f->tgt));
    if ((roles & WAL) != 0) {
        EXPECT_OK(push(f->tgt, 100, 500, &lsn));
        EXPECT_ERR(bio_wal_wait(f->tgt, lsn), NVME_IO);
        EXPECT_ERR(bio_status(f->tgt), NVME_IO);
    } else {
        push_to(f->tgt, 101, 500); /* the log takes it */
    }
    if ((roles & META) != 0) {
        EXPECT_ERR(bio_checkpoint(f->tgt), NVME_IO);
        EXPECT_ERR(bio_status(f->tgt), NVME_IO);
    } else if ((roles & WAL) == 0) {
        EXPECT_OK(bio_checkpoint(f->tgt));
        EXPECT_OK(bio_status(f->tgt)); /* reads and changes of metadata go on */
        /* Data that was written, and cannot be made durable: no promise. */
        sim_disk_errors_set(f->sim, "h0", path, 0);
        EXPECT_OK(data_put(f, buf, &lsn));
        sim_disk_errors_set(f->sim, "h0", path, 1000000);
        EXPECT_ERR(bio_wal_wait(f->tgt, lsn), NVME_IO);
        EXPECT_ERR(bio_status(f->tgt), NVME_IO);
    }
    EXPECT_ERR(push(f->tgt, 102, 500, &lsn), NVME_IO);
    bio_buf_put(f->tgt, buf, BIO_BLK_BYTES);
    fix_tgt_close(f);
    devs_drop(devs);

    /* It is well again: everything that was promised is there. */
    sim_disk_errors_set(f->sim, "h0", path, 0);
    if (!devs_take(f, devs) || !EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    EXPECT_GE(list_check(f->tgt), (roles & WAL) != 0 ? 100 : 101);
    EXPECT_OK(bio_check(f->tgt));
    push_to(f->tgt, 150, 500);
    EXPECT_OK(bio_checkpoint(f->tgt));
    fix_tgt_close(f);
    devs_drop(devs);
}

/*
 * Goal: with the roles on one, two or three devices, each of which fails: the target stops before it promises anything that the device should hold, and not
 * for less; when the device is well again all that was acknowledged is there.
 */
TEST_ON(bio_watch, each_device_fails, BACKEND_SIM)
{
    static const struct layout layouts[] = {
        {1, {WAL | META | DATA}},
        {2, {WAL | META, DATA}},
        {2, {WAL, META | DATA}},
        {2, {WAL | DATA, META}},
        {3, {WAL, META, DATA}},
    };

    for (uint32_t l = 0; l < ARRAY_SIZE(layouts); l++) {
        for (uint32_t i = 0; i < layouts[l].dev_nr && !test_failed(); i++) {
            struct devs d = {.layout = layouts[l], .fails = i};
            struct fix f;

            if (fix_init_opts(&f, &steady)) {
                f.arg = &d;
                EXPECT(fix_run(&f, body_device_fails));
            }
            fix_fini(&f);
            if (test_failed())
                fprintf(stderr, "    layout %u, device %u\n", l, i);
        }
    }
}

/* ---- groups and load ------------------------------------------------------------------------------------------------ */

enum { UPDATES_NR = 1280 };

struct load {
    enum ult_class cls; /* of the committers: all have run before one of them does */
    uint32_t flight_nr, left_nr, running_nr;
    uint64_t took_max_ns;
    struct ult_cond idle;
    struct fix *f;
};

static void
load_main(void *arg)
{
    struct load *load = arg;
    uint64_t lsn = 0;

    while (load->left_nr > 0 && !test_failed()) {
        uint64_t start_ns = plat_mono_ns(load->f->plat), took_ns;

        load->left_nr--;
        EXPECT_OK(push(load->f->tgt, load->left_nr, 64, &lsn));
        EXPECT_OK(bio_wal_wait(load->f->tgt, lsn));
        took_ns = plat_mono_ns(load->f->plat) - start_ns;
        load->took_max_ns = MAX(load->took_max_ns, took_ns);
    }
    if (--load->running_nr == 0)
        ult_cond_signal(&load->idle);
}

/* `ret_each`: writes of the log for each update. */
static void
load_run(struct fix *f, struct load *load, double *ret_each)
{
    struct bio_stats before, after;

    EXPECT_OK(bio_checkpoint(f->tgt));
    bio_stats_get(f->tgt, &before);
    ult_cond_init(&load->idle);
    load->f = f;
    load->left_nr = UPDATES_NR;
    load->running_nr = load->flight_nr;
    for (uint32_t i = 0; i < load->flight_nr; i++) {
        EXPECT_OK(ult_create(f->xs, load->cls, load_main, load, NULL));
    }
    while (load->running_nr > 0) {
        ult_cond_wait(&load->idle, NULL);
    }
    bio_stats_get(f->tgt, &after);
    *ret_each = (double)(after.wal_groups_nr - before.wal_groups_nr) / UPDATES_NR;
}

static void
body_load(struct fix *f)
{
    static const struct {
        uint32_t flight_nr;
        double groups_max; /* writes for each update, at most */
        double waits_max; /* the longest wait of an update, in writes */
    } cases[] = {{1, 1.0, 1.1}, {2, 1.0, 1.1}, {8, 0.55, 2.1}, {16, 0.3, 2.1}, {64, 0.08, 2.1}};
    double last = 2;

    if (!fix_tgt_new(f))
        return;
    for (uint32_t c = 0; c < ARRAY_SIZE(cases); c++) {
        struct load load = {.cls = ULT_SERVICE, .flight_nr = cases[c].flight_nr};
        double each = 0;

        load_run(f, &load, &each);
        if (!EXPECT(each <= cases[c].groups_max + 0.01) || !EXPECT(each <= last + 0.01) ||
            !EXPECT((double)load.took_max_ns <= cases[c].waits_max * LAT_NS)) {
            fprintf(stderr, "    %u in flight: %.3f writes for each update, %.2f of a write's time\n",
                load.flight_nr, each, (double)load.took_max_ns / LAT_NS);
        }
        if (load.flight_nr == 1)
            EXPECT(each >= 1.0); /* nobody waits for company */
        last = each;
    }
    fix_tgt_close(f);
}

/*
 * Goal: group commit that adapts to the load: alone, an update costs one durable write and waits for it alone; the more are in flight, the more share a
 * write, and none waits for more than two.
 */
TEST_ON(bio_watch, groups_follow_the_load, BACKEND_SIM)
{
    struct fix f;

    if (fix_init_opts(&f, &steady))
        fix_run(&f, body_load);
    fix_fini(&f);
}

static void
body_halves(struct fix *f)
{
    struct load load = {.cls = ULT_IO, .flight_nr = 64};
    uint64_t halves = probe_hits("bio.wal.half");
    struct bio_stats st;
    double each = 0;

    if (!fix_tgt_new(f))
        return;
    load_run(f, &load, &each);
    bio_stats_get(f->tgt, &st);
    switch (f->cfg.wal_halves) {
    case BIO_HALVES_ALWAYS:
        EXPECT_GT(probe_hits("bio.wal.half"), halves);
        EXPECT(each >= 1.8 / 64);
        EXPECT(each <= 3.2 / 64); /* or thirds, which the share allows */
        EXPECT_GE(st.wal_open_nr_max, 2);
        EXPECT((double)load.took_max_ns <= 2.1 * LAT_NS);
        break;
    default: /* gathering takes no time here: nothing pays */
        EXPECT_EQ(probe_hits("bio.wal.half"), halves);
        EXPECT(each <= 1.2 / 64);
    }
    fix_tgt_close(f);
}

/*
 * Goal: 64 requests that all wait for one write, and begin anew together, are written as two groups at the same time when that is asked for; else, as here, where a
 * write takes so much longer than they do, as one.
 */
TEST_ON(bio_watch, groups_are_halved, BACKEND_SIM)
{
    for (uint8_t halves = BIO_HALVES_PAY; halves <= BIO_HALVES_NEVER; halves++) {
        struct fix f;

        if (fix_init_opts(&f, &steady)) {
            f.cfg.wal_halves = halves;
            fix_run(&f, body_halves);
        }
        fix_fini(&f);
    }
}

enum { LARGE_BYTES = 4096 };

static void
large_main(void *arg)
{
    struct load *load = arg;
    uint64_t lsn = 0;

    while (load->left_nr > 0 && !test_failed()) {
        load->left_nr--;
        EXPECT_OK(push(load->f->tgt, load->left_nr, LARGE_BYTES, &lsn));
        EXPECT_OK(bio_wal_wait(load->f->tgt, lsn));
    }
    if (--load->running_nr == 0)
        ult_cond_signal(&load->idle);
}

static void
body_large(struct fix *f)
{
    struct load load = {
        .cls = ULT_IO, .flight_nr = 16, .left_nr = UPDATES_NR / 2, .running_nr = 16, .f = f};
    uint64_t large = probe_hits("bio.wal.large");
    bool is_memory;

    if (!fix_tgt_new(f))
        return;
    is_memory = f->plat->ops->disk_is_memory(f->tgt->wal.disk.disk);
    ult_cond_init(&load.idle);
    for (uint32_t i = 0; i < load.flight_nr; i++) {
        EXPECT_OK(ult_create(f->xs, load.cls, large_main, &load, NULL));
    }
    while (load.running_nr > 0) {
        ult_cond_wait(&load.idle, NULL);
    }
    EXPECT_LE(probe_hits("bio.wal.large") - large, (uint64_t)BIO_WAL_GROUP_NR); /* each buffer once */
    if (!is_memory)
        EXPECT_GT(probe_hits("bio.wal.large"), large);
    EXPECT_OK(bio_checkpoint(f->tgt));
    for (uint32_t i = 0; i < load.flight_nr; i++) {
        load.left_nr = 1;
        load.running_nr = 1;
        large_main(&load); /* in the log alone */
    }
    fix_tgt_close(f);
    if (EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt))) {
        EXPECT_OK(bio_check(f->tgt));
        EXPECT_EQ(list_nr(f->tgt), UPDATES_NR / 2 + load.flight_nr);
        fix_tgt_close(f);
    }
}

/* Goal: the buffers of groups are replaced by larger ones once, between two uses, and what was written through them is found. */
TEST_LINUX(bio_watch, groups_in_large_pages, "large pages of the system")
{
    struct fix f;

    if (fix_init_opts(&f, NULL))
        fix_run(&f, body_large);
    fix_fini(&f);
}
