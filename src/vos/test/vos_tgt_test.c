/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: pools, containers, their space and its return, full stores, and the clock over restarts. */
#include "vos_test_fix.h"

static void
run_with(void (*fn)(struct fix *f), void (*fn2)(struct fix *f))
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        EXPECT(fix_run(&f, fn));
        if (fn2 != NULL && (f.sim == NULL || fix_crash(&f, false)))
            EXPECT(fix_run(&f, fn2));
    }
    fix_down(&f);
}

static struct uuid
id_of(uint32_t kind, uint32_t i)
{
    return (struct uuid){.b = {(uint8_t)kind, (uint8_t)(i >> 8), (uint8_t)i, 1}};
}

static void
pools(struct fix *f)
{
    struct uuid ids[16], again[16];
    struct vos_pool_info info;
    uint32_t nr;

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 10; i++) {
        EXPECT_OK(vos_pool_create(f->tgt, id_of(20, 9 - i), 1 << 20, i << 12));
    }
    EXPECT_ERR(vos_pool_create(f->tgt, id_of(20, 3), 1 << 20, 0), EXIST);
    EXPECT_ERR(vos_pool_create(f->tgt, id_of(21, 3), UINT64_C(1) << 40, 0), NOSPACE);
    EXPECT_ERR(vos_pool_create(f->tgt, id_of(21, 3), 1 << 20, UINT64_C(1) << 50), NOSPACE);
    EXPECT_ERR(vos_pool_create(f->tgt, id_of(21, 3), UINT64_MAX, UINT64_MAX), NOSPACE);
    EXPECT_ERR(vos_pool_create(f->tgt, (struct uuid){{0}}, 1 << 20, 0), INVAL);
    EXPECT_OK(vos_pool_list(f->tgt, (struct uuid){{0}}, ids, 16, &nr));
    EXPECT_EQ(nr, 11);
    for (uint32_t i = 1; i < nr; i++) {
        EXPECT(cuuid_cmp(&ids[i - 1], &ids[i]) < 0);
    }
    EXPECT_OK(vos_pool_list(f->tgt, ids[4], again, 3, &nr));
    EXPECT_EQ(nr, 3);
    EXPECT(cuuid_cmp(&again[0], &ids[5]) == 0);
    EXPECT_OK(vos_pool_query(f->tgt, id_of(20, 2), &info));
    EXPECT_EQ(info.data_quota, 7 << 12);
    EXPECT_EQ(info.cont_nr, 0);
    EXPECT_ERR(vos_pool_query(f->tgt, id_of(20, 11), &info), NONEXIST);
    EXPECT_ERR(vos_pool_destroy(f->tgt, f->pool), BUSY);
    EXPECT_OK(vos_pool_destroy(f->tgt, id_of(20, 2)));
    EXPECT_ERR(vos_pool_destroy(f->tgt, id_of(20, 2)), NONEXIST);
    EXPECT_ERR(vos_pool_query(f->tgt, id_of(20, 2), &info), NONEXIST);
    fix_close(f);
    if (!fix_open(f))
        return;
    EXPECT_OK(vos_pool_list(f->tgt, (struct uuid){{0}}, ids, 16, &nr));
    EXPECT_EQ(nr, 10);
    EXPECT_OK(vos_pool_create(f->tgt, id_of(20, 2), 1 << 20, 5));
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_tgt, pools, BACKEND_LINUX | BACKEND_SIM)
{
    run_with(pools, NULL);
}

static void
containers(struct fix *f)
{
    struct uuid ids[64];
    struct vos_pool_info info;
    struct vos_cont *a, *b;
    uint32_t nr;

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 150; i++) {
        EXPECT_OK(vos_cont_create(f->tgt, f->pool, id_of(30, i * 7 % 150)));
    }
    EXPECT_ERR(vos_cont_create(f->tgt, f->pool, id_of(30, 5)), EXIST);
    EXPECT_ERR(vos_cont_create(f->tgt, id_of(99, 9), id_of(30, 5)), NONEXIST);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_EQ(info.cont_nr, 151);
    EXPECT_OK(vos_cont_list(f->tgt, f->pool, id_of(30, 99), ids, 64, &nr));
    EXPECT_EQ(nr, 50);
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_EQ(ids[i].b[2], 100 + i);
    }
    EXPECT_ERR(vos_cont_open(f->tgt, f->pool, id_of(30, 777), &a), NONEXIST);
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, id_of(30, 7), &a));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, id_of(30, 7), &b));
    EXPECT(a == b);
    vos_cont_close(a);
    EXPECT_ERR(vos_cont_destroy(f->tgt, f->pool, id_of(30, 7)), BUSY);
    vos_cont_close(b);
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, id_of(30, 7)));
    EXPECT_ERR(vos_cont_destroy(f->tgt, f->pool, id_of(30, 7)), NONEXIST);
    EXPECT_ERR(vos_cont_open(f->tgt, f->pool, id_of(30, 7), &a), NONEXIST);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_tgt, containers, BACKEND_SIM)
{
    run_with(containers, NULL);
}

/* Something of everything in a container. */
static void
fill(struct fix *f, uint32_t nr)
{
    static uint8_t data[20000];
    char key[16];

    for (uint32_t i = 0; i < nr; i++) {
        snprintf(key, sizeof(key), "k%u", i % 97);
        EXPECT_OK(fix_put(f, i % 13, key, "a", data, i % 9 == 0 ? 20000 : 1 + i % 300, 0));
        EXPECT_OK(fix_write(f, i % 13, key, "arr", i * 100, 50 + i % 7000, 1, data));
        if (i % 10 == 9)
            EXPECT_OK(fix_punch(f, i % 13, key, i % 3 == 0 ? "a" : NULL, 0));
    }
}

static uint64_t
data_gap(struct fix *f)
{
    struct bio_space space;
    struct vos_pool_info info;

    bio_space_get(f->bio, &space);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    return space.data_total - space.data_free - info.data_used;
}

static void
collect(struct fix *f)
{
    struct vos_pool_info before, filled, after;
    uint64_t gap;

    if (!fix_format(f))
        return;
    gap = data_gap(f);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &before));
    fill(f, 300);
    EXPECT_EQ(data_gap(f), gap);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &filled));
    EXPECT_GT(filled.data_used, 300000);
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &after));
    EXPECT_GT(after.data_used, filled.data_used / 2); /* gone at once, but the space is not back yet */
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &after));
    EXPECT_EQ(after.data_used, 0);
    EXPECT_EQ(after.cont_nr, 0);
    EXPECT_EQ(after.meta_used, before.meta_used - sizeof(struct vos_cont_df));
    EXPECT_EQ(data_gap(f), gap);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont));
    fill(f, 10);
    fix_close(f);
}

TEST_ON(vos_tgt, destroyed_containers_are_collected, BACKEND_LINUX | BACKEND_SIM)
{
    run_with(collect, NULL);
}

static void
collect_later(struct fix *f)
{
    if (!fix_format(f))
        return;
    f->seq = data_gap(f);
    EXPECT_OK(vos_pool_create(f->tgt, id_of(50, 1), 1 << 20, 1 << 20));
    fill(f, 300);
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, f->cont_id));
    ult_yield(); /* a step or two of the collector */
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, id_of(51, 1)));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, id_of(51, 1), &f->cont));
    fill(f, 100);
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_pool_destroy(f->tgt, f->pool)); /* with a container in it, and one being collected */
    if (f->sim == NULL)
        fix_close(f);
}

static void
collect_after(struct fix *f)
{
    struct bio_space space;

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) || !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)))
        return;
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
    bio_space_get(f->bio, &space);
    EXPECT_EQ(space.data_total - space.data_free, f->seq);
    fix_close(f);
}

TEST_ON(vos_tgt, collection_goes_on_after_a_restart, BACKEND_LINUX | BACKEND_SIM)
{
    run_with(collect_later, collect_after);
}

/* Write until it is refused; how many went in. */
static uint32_t
write_until_full(struct fix *f, uint32_t obj, size_t len)
{
    static uint8_t data[65536];
    char key[16];
    int rc = 0;
    uint32_t n;

    for (n = 0; rc == 0; n++) {
        snprintf(key, sizeof(key), "k%u", n);
        rc = fix_put(f, obj, key, "a", data, len, 0);
    }
    EXPECT_ERR(rc, NOSPACE);
    return n - 1;
}

static void
quotas(struct fix *f)
{
    uint32_t first, second;
    struct vos_pool_info info;

    f->meta_quota = 1 << 20;
    f->data_quota = 3 << 20;
    if (!fix_format(f))
        return;
    first = write_until_full(f, 1, 65536);
    EXPECT_EQ(first, (3 << 20) / 65536);
    EXPECT_GT(write_until_full(f, 2, 100), 2000);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_LE(info.meta_used, info.meta_quota);
    EXPECT_EQ(info.data_used, info.data_quota);
    /* Punches work in a full shard, and so does destruction; then there is room again without a wait by the caller. */
    EXPECT_OK(fix_punch(f, 1, "k0", NULL, VOS_COND_PUNCH));
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    EXPECT_OK(fix_put(f, 2, "k1", "a", NULL, 0, 0));
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, id_of(60, 1)));
    second = write_until_full(f, 1, 65536);
    EXPECT_EQ(second, first);
    vos_cont_close(f->cont);
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, id_of(60, 1), &f->cont));
    EXPECT_OK(fix_put(f, 1, "k", "a", &info, 8, 0));
    second = write_until_full(f, 1, 65536); /* waits for the collector where it must */
    EXPECT_EQ(second, first);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_tgt, quotas, BACKEND_SIM)
{
    run_with(quotas, NULL);
}

/* Quotas grow while there is space, are kept over restarts, and never go down. */
static void
growth(struct fix *f)
{
    struct vos_pool_info info;
    uint64_t meta_left, data_left, meta, data;
    uint8_t value[5000] = {1};
    uint32_t nr;

    f->meta_quota = 1 << 20;
    f->data_quota = 1 << 20;
    if (!fix_format(f))
        return;
    nr = write_until_full(f, 1, 65536);
    vos_quota_left(f->tgt, &meta_left, &data_left);
    EXPECT_ERR(vos_pool_grow(f->tgt, f->pool, 1 << 20, (1 << 20) + data_left + 1), NOSPACE);
    EXPECT_ERR(vos_pool_grow(f->tgt, f->pool, (1 << 20) + meta_left + 1, 0), NOSPACE);
    EXPECT_ERR(vos_pool_grow(f->tgt, id_of(99, 1), 2 << 20, 0), NONEXIST);
    EXPECT_ERR(fix_put(f, 1, "more", "a", value, sizeof(value), 0), NOSPACE);
    EXPECT_OK(vos_pool_grow(f->tgt, f->pool, 0, 3 << 20));
    EXPECT_OK(fix_put(f, 1, "more", "a", value, sizeof(value), 0));
    vos_quota_left(f->tgt, &meta, &data);
    EXPECT_EQ(meta, meta_left);
    EXPECT_EQ(data, data_left - (2 << 20));
    fix_close(f);
    if (!fix_open(f))
        return;
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_EQ(info.meta_quota, 1 << 20);
    EXPECT_EQ(info.data_quota, 3 << 20);
    EXPECT_GE(write_until_full(f, 2, 65536), nr);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_tgt, quotas_grow, BACKEND_SIM)
{
    run_with(growth, NULL);
}

/* The arena itself is full: what gives space back still works. */
static void
full_arena(struct fix *f)
{
    struct bio_space space;

    f->cfg.meta_bytes = 4 << 20;
    if (!EXPECT_OK(bio_format(f->xs, &f->cfg)) || !EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) ||
        !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)))
        return;
    bio_space_get(f->bio, &space);
    f->meta_quota = space.meta_total;
    while (vos_pool_create(f->tgt, f->pool, f->meta_quota, 100 << 20) == -DER_NOSPACE &&
        f->meta_quota > 1 << 20) {
        f->meta_quota -= 65536;
    }
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, id_of(61, 1)));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont));
    EXPECT_OK(fix_put(f, 2, "first", "a", "v", 1, 0));
    EXPECT_GT(write_until_full(f, 1, 3000), 200);
    (void)write_until_full(f, 2, 10);
    EXPECT_OK(fix_punch(f, 1, "k1", NULL, VOS_COND_PUNCH));
    EXPECT_OK(fix_punch(f, 2, NULL, NULL, VOS_COND_PUNCH));
    vos_cont_close(f->cont);
    f->cont = NULL;
    fix_close(f);
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) || !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)))
        return;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, f->cont_id));
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, id_of(61, 1), &f->cont));
    EXPECT_GT(write_until_full(f, 1, 3000), 200);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
    fix_close(f);
}

TEST_ON(vos_tgt, full_arena, BACKEND_SIM)
{
    run_with(full_arena, NULL);
}

static void
clock_body(struct fix *f)
{
    uint64_t last = 0, epoch;

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 100; i++) {
        EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
        EXPECT_GT(epoch, last);
        last = epoch;
        if (f->sim != NULL)
            ult_sleep(i * 1000000);
    }
    EXPECT_OK(vos_epoch_recv(f->tgt, hlc_add_ns(last, 500000000)));
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_GT(epoch, hlc_add_ns(last, 500000000));
    EXPECT_ERR(vos_epoch_recv(f->tgt, hlc_add_ns(last, UINT64_C(3600000000000))), HLC_SYNC);
    f->seq = epoch;
    if (f->sim == NULL)
        fix_close(f);
}

static void
clock_after(struct fix *f)
{
    uint64_t epoch = 0, wall;

    if (f->sim != NULL)
        sim_node_clock_skew(f->plat, -INT64_C(3600) * 1000000000); /* set back by an hour */
    if (!fix_open(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_GT(epoch, f->seq);
    /* Not far ahead of both; on linux the wall clock has gone on, by as much as the machine took. */
    wall = hlc_from_unix_ns(plat_wall_ns(f->plat));
    EXPECT_LT(epoch, hlc_add_ns(MAX(f->seq, wall), UINT64_C(2500000000)));
    fix_close(f);
}

TEST_ON(vos_tgt, epochs_grow_over_restarts, BACKEND_LINUX | BACKEND_SIM)
{
    run_with(clock_body, clock_after);
}

static int
put_flags(struct fix *f, const char *dkey, size_t len, enum vos_mod_op op)
{
    static uint8_t data[8192];
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = len, .data = {data, len}};
    struct vos_mod mod = {.op = op, .oid = fix_oid(1), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .flags = VOS_APPLY_NO_HISTORY};

    return vos_apply(f->cont, &args, NULL);
}

static void
no_history(struct fix *f)
{
    struct vos_pool_info start, info;
    struct fix_keys keys;
    char buf[200];
    size_t len = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(put_flags(f, "counter", 100, VOS_MOD_UPDATE));
    EXPECT_OK(put_flags(f, "large", 8000, VOS_MOD_UPDATE));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &start));
    for (uint32_t i = 0; i < 500; i++) {
        EXPECT_OK(put_flags(f, "counter", 100, VOS_MOD_UPDATE));
        EXPECT_OK(put_flags(f, "large", 8000, VOS_MOD_UPDATE));
        EXPECT_OK(put_flags(f, i % 2 == 0 ? "x" : "yy", 100, VOS_MOD_UPDATE));
        EXPECT_OK(put_flags(
            f, i % 2 == 0 ? "x" : "yy", 0, i % 4 < 2 ? VOS_MOD_PUNCH_DKEY : VOS_MOD_PUNCH_AKEYS));
        umem_evict(f->tgt->um, 1, rng_u64(&f->rng));
    }
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_LE(info.meta_used, start.meta_used + 1000);
    EXPECT_EQ(info.data_used, start.data_used);
    EXPECT_OK(fix_get(f, 1, "counter", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 100);
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, 10, &keys));
    EXPECT_EQ(keys.nr, 2);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
    fix_close(f);
}

TEST_ON(vos_tgt, no_history, BACKEND_SIM)
{
    run_with(no_history, NULL);
}
