/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: no failed allocation and no failing disk loses anything, leaves half of anything, or leaks. Method: a script of one call of each kind, with
 * the n-th allocation failing, for every n (only where faults are built in); and a disk with random errors, over many restarts.
 */
#include "base/probe.h"
#include "vos_test_fix.h"

#ifdef CAIRN_FAULTS
static bool
any_entry(void *arg, const struct vos_entry *entry)
{
    (void)entry;
    (*(uint32_t *)arg)++;
    return true;
}

static int
list_recxs(struct fix *f, uint32_t *ret_nr)
{
    struct vos_list_args args = {.level = VOS_LEVEL_RECX,
        .oid = fix_oid(1),
        .dkey = IOV("d"),
        .akey = IOV("arr"),
        .epoch = VOS_EPOCH_MAX,
        .descending = true,
        .fn = any_entry,
        .arg = ret_nr};
    struct vos_anchor anchor = {.eof = false};

    *ret_nr = 0;
    return vos_list(f->cont, &args, &anchor);
}

/* One call of each kind; the bits of *ret_done say which succeeded. */
static int
script(struct fix *f, uint64_t n, uint32_t *ret_done)
{
    static uint8_t data[9000];
    struct recx recxs[2] = {{5000, 4500}, {100, 10}}; /* not in order: sorted for the check */
    struct vos_iod iod = {.akey = IOV("arr"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 2,
        .recxs = recxs,
        .data = {data, 4510}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod,
        .mod_nr = 1,
        .req = {.client = {.b = {1, (uint8_t)n, (uint8_t)(n >> 8)}},
            .slot = (uint32_t)n % 100,
            .seq = 1,
            .hlc = n}};
    struct uuid id = {.b = {3, (uint8_t)n, (uint8_t)(n >> 8)}};
    uint8_t buf[9000];
    uint32_t nr;
    size_t len = 0;
    int rcs[6];

    rcs[0] = vos_apply(f->cont, &args, NULL);
    rcs[1] = fix_put(f, 1, "d", "v", data, 9000, 0);
    rcs[2] = fix_get(f, 1, "d", "v", buf, sizeof(buf), &len);
    rcs[3] = fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 0, 9000, 0, buf);
    rcs[4] = list_recxs(f, &nr);
    rcs[5] = vos_cont_create(f->tgt, f->pool, id);
    *ret_done = 0;
    for (uint32_t i = 0; i < ARRAY_SIZE(rcs); i++) {
        EXPECT(rcs[i] == 0 || rcs[i] == -DER_NOMEM);
        *ret_done |= (uint32_t)(rcs[i] == 0) << i;
    }
    return *ret_done == 0x3f ? 0 : -DER_NOMEM;
}

static void
oom(struct fix *f)
{
    struct vos_cont *other;
    uint32_t done, nr;
    uint8_t buf[9000];
    size_t len = 0;

    if (!fix_format(f))
        return;
    for (uint64_t n = 1; !test_failed(); n++) {
        uint64_t fired;
        int rc;

        EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
        fault_arm_nth(n);
        rc = script(f, n, &done);
        fired = fault_fired_nr();
        fault_arm_nth(0);
        EXPECT_EQ(rc == 0, fired == 0);
        /* Whole or not at all. */
        EXPECT_OK(list_recxs(f, &nr));
        EXPECT_EQ(nr, (done & 1) != 0 ? 2 : 0);
        EXPECT_OK(fix_get(f, 1, "d", "v", buf, sizeof(buf), &len));
        EXPECT_EQ(len, (done & 2) != 0 ? 9000 : 0);
        rc = vos_cont_open(
            f->tgt, f->pool, (struct uuid){.b = {3, (uint8_t)n, (uint8_t)(n >> 8)}}, &other);
        EXPECT_EQ(rc, (done & 0x20) != 0 ? 0 : -DER_NONEXIST);
        if (rc == 0)
            vos_cont_close(other);
        EXPECT_OK(vos_tgt_check(f->tgt));
        if (fired == 0) {
            EXPECT_GT(n, 8);
            break;
        }
    }
    fix_close(f);
    for (uint64_t n = 1; !test_failed(); n++) {
        uint64_t fired;
        int rc;

        fault_arm_nth(n);
        rc = bio_open(f->xs, &f->cfg, &f->bio);
        if (rc == 0)
            rc = vos_tgt_open(f->bio, &f->tgt);
        if (rc == 0)
            rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);
        fired = fault_fired_nr();
        fault_arm_nth(0);
        EXPECT(rc == 0 || rc == -DER_NOMEM);
        fix_close(f);
        if (fired == 0)
            break;
    }
}

TEST_ON(vos_fault, every_allocation_fails_once, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, oom));
    fix_down(&f);
}
#endif

/* ---- a bad disk ----------------------------------------------------------------------------------------------------- */

enum { KEYS_NR = 400 };

struct bad_disk {
    uint32_t acked; /* keys below are there */
    uint32_t errors;
    uint32_t verified;
    bool is_formatted;
};

static size_t
bad_len(uint32_t i)
{
    return i % 7 == 0 ? 10000 : 40;
}

static void
bad_value(uint8_t *buf, uint32_t i)
{
    memset(buf, (int)(i % 251) + 1, bad_len(i));
}

static bool
bad_verify(struct fix *f, uint32_t i)
{
    uint8_t want[10000], got[10000];
    char key[16];
    size_t len = 0;
    int rc;

    snprintf(key, sizeof(key), "k%u", i);
    bad_value(want, i);
    rc = fix_get(f, 1, key, "a", got, sizeof(got), &len);
    if (rc != 0) {
        EXPECT_ERR(rc, NVME_IO);
        return false;
    }
    EXPECT_EQ(len, bad_len(i));
    return EXPECT_MEM_EQ(got, want, bad_len(i));
}

/* One life of the process: until the disk fails, or all is written and read. */
static void
bad_life(struct fix *f)
{
    struct bad_disk *b = f->arg;
    uint8_t buf[10000];
    char key[16];
    int rc = 0;

    if (!b->is_formatted)
        rc = bio_format(f->xs, &f->cfg);
    if (rc == 0 || rc == -DER_EXIST) {
        b->is_formatted = true;
        rc = bio_open(f->xs, &f->cfg, &f->bio);
    }
    if (rc == 0)
        rc = vos_tgt_open(f->bio, &f->tgt);
    if (rc == 0) {
        rc = vos_pool_create(f->tgt, f->pool, f->meta_quota, f->data_quota);
        rc = rc == -DER_EXIST ? 0 : rc;
    }
    if (rc == 0) {
        rc = vos_cont_create(f->tgt, f->pool, f->cont_id);
        rc = rc == -DER_EXIST ? 0 : rc;
    }
    if (rc == 0)
        rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);
    for (uint32_t i = 0; rc == 0 && i < 10 && b->acked > 0; i++) {
        rc = bad_verify(f, (uint32_t)rng_below(&f->rng, b->acked)) ? 0 : -DER_NVME_IO;
    }
    while (rc == 0 && b->acked < KEYS_NR) {
        snprintf(key, sizeof(key), "k%u", b->acked);
        bad_value(buf, b->acked);
        rc = fix_put(f, 1, key, "a", buf, bad_len(b->acked), 0);
        b->acked += rc == 0;
    }
    EXPECT(rc == 0 || rc == -DER_NVME_IO);
    b->errors += rc != 0;
    fix_close(f);
}

/* Read everything once, over as many lives as it takes. */
static void
verify_life(struct fix *f)
{
    struct bad_disk *b = f->arg;
    int rc = bio_open(f->xs, &f->cfg, &f->bio);

    if (rc == 0)
        rc = vos_tgt_open(f->bio, &f->tgt);
    if (rc == 0)
        rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);
    EXPECT(rc == 0 || rc == -DER_NVME_IO);
    while (rc == 0 && b->verified < KEYS_NR && bad_verify(f, b->verified)) {
        b->verified++;
    }
    fix_close(f);
}

TEST_ON(vos_fault, a_disk_with_errors, BACKEND_SIM)
{
    struct sim_opts opts = {
        .seed = test_seed(), .disk_lat_lo_ns = 1000, .disk_lat_hi_ns = 20000, .disk_error_ppm = 10000};
    struct bad_disk b = {0};
    struct fix f;

    fix_prepare(&f);
    f.cfg.meta_bytes = 4 << 20;
    f.cfg.data_bytes = 32 << 20;
    f.meta_quota = 2 << 20;
    f.data_quota = 20 << 20;
    f.arg = &b;
    if (fix_up(&f, &opts)) {
        for (uint32_t i = 0; i < 300 && b.acked < KEYS_NR && !test_failed(); i++) {
            EXPECT(fix_run(&f, bad_life));
            if (!fix_crash(&f, false))
                break;
        }
        EXPECT_EQ(b.acked, KEYS_NR);
        EXPECT_GT(b.errors, 3);
        for (uint32_t i = 0; i < 300 && b.verified < KEYS_NR && !test_failed(); i++) {
            EXPECT(fix_run(&f, verify_life));
            if (!fix_crash(&f, false))
                break;
        }
        EXPECT_EQ(b.verified, KEYS_NR);
    }
    fix_down(&f);
}
