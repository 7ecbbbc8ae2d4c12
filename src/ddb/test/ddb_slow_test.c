/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a store is sound or damaged, however long its devices take to answer: what bio says of slow and stalled ones is no damage. Method: the same store in the simulator,
 * with operations that take so long that bio speaks of it; and once more with a byte changed, which is still found.
 */
#include <jansson.h>

#include "bio/bio_priv.h"
#include "ddb/ddb.h"
#include "vos/test/vos_test_fix.h"

enum { BIG_BYTES = 20000 };

struct slow {
    uint64_t lat_ns;
    bool is_damaged;
};

static void
body_make(struct fix *f)
{
    static uint8_t big[BIG_BYTES];

    if (!fix_format(f))
        return;
    memset(big, 7, sizeof(big));
    EXPECT_OK(fix_put(f, 1, "d", "a", "value", 5, 0));
    EXPECT_OK(fix_put(f, 1, "d", "b", big, sizeof(big), 0));
    fix_close(f);
}

static void
body_check(struct fix *f)
{
    const struct slow *s = f->arg;
    struct ddb d = {.is_json = true, .out = stdout, .path = f->cfg.dir, .xs = f->xs, .plat = f->plat};
    struct bio_health health;
    char *words[] = {NULL};

    d.findings_end = &d.findings;
    d.response = json_object();
    strcpy(d.cfg.dir, f->cfg.dir);
    log_sink_set(ddb_log_line, &d, LOG_LEVEL_WARN);
    if (EXPECT_OK(ddb_open_at(&d))) {
        EXPECT_OK(ddb_cmd_check(&d, 1, words));
        bio_health_get(d.bio, &health);
        EXPECT_EQ(health.slow_nr > 0, s->lat_ns >= BIO_SLOW_NS);
        EXPECT_EQ(health.stalls_nr > 0, s->lat_ns > BIO_STALL_NS);
        ddb_close(&d);
    }
    log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    EXPECT(d.has_verdict);
    EXPECT_EQ(d.verdict, s->is_damaged ? DDB_DAMAGED : DDB_OK);
    EXPECT_EQ(d.finding_nr > 0, s->is_damaged);
    ddb_findings_clear(&d);
    json_decref(d.response);
}

TEST_ON(ddb_slow, devices_that_answer_late, BACKEND_SIM)
{
    static const uint64_t lats_ns[] = {1000000, 600000000, UINT64_C(5000000000)};
    struct sim_opts opts = {.seed = test_seed(), .disk_lat_lo_ns = 1000, .disk_lat_hi_ns = 1000};
    struct slow s = {.lat_ns = 0};
    struct fix f;

    fix_prepare(&f);
    f.arg = &s;
    if (fix_up(&f, &opts) && EXPECT(fix_run(&f, body_make))) {
        for (uint32_t i = 0; i < ARRAY_SIZE(lats_ns) * 2 && !test_failed(); i++) {
            s.is_damaged = i >= ARRAY_SIZE(lats_ns);
            s.lat_ns = lats_ns[i % ARRAY_SIZE(lats_ns)];
            if (i == ARRAY_SIZE(lats_ns))
                EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/data", (4096 + 100) * 8));
            opts.disk_lat_lo_ns = opts.disk_lat_hi_ns = s.lat_ns;
            EXPECT_OK(sim_opts_set(f.sim, &opts));
            EXPECT(fix_run(&f, body_check));
        }
    }
    fix_down(&f);
}
