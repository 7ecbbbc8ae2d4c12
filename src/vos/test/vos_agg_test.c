/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what aggregation gives back, and what it leaves alone. Method: small histories with known outcomes (versions counted in the store itself), snapshots, full stores, passes that are
 * stopped, data under a reader's eyes, and the memory of earlier passes. That nothing visible changes is for vos_agg_model_test.c.
 */
#include "base/csum.h"
#include "base/probe.h"
#include "vos_test_fix.h"

/* Run fn on a fresh store. */
static void
run(void (*fn)(struct fix *f), bool small)
{
    struct fix f;

    fix_prepare(&f);
    if (small) {
        f.cfg.meta_bytes = 8 << 20;
        f.cfg.data_bytes = 32 << 20;
        f.meta_quota = 6 << 20;
        f.data_quota = 24 << 20;
    }
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, fn));
    fix_down(&f);
}

static struct vos_agg_stat
pass(struct fix *f, uint64_t hi, const uint64_t *snaps, uint32_t snap_nr)
{
    struct vos_agg_args args = {.hi = hi, .snaps = snaps, .snap_nr = snap_nr, .flags = VOS_AGG_COOL};
    struct vos_agg_stat stat = {0};

    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT(stat.is_finished);
    EXPECT_OK(vos_tgt_check(f->tgt));
    return stat;
}

static uint64_t
now(struct fix *f)
{
    struct vos_cont_info info = {0};

    EXPECT_OK(vos_cont_query(f->cont, &info));
    return info.epoch_max;
}

static struct vos_cont_info
info_of(struct fix *f)
{
    struct vos_cont_info info = {0};

    EXPECT_OK(vos_cont_query(f->cont, &info));
    return info;
}

static void
expect_value(struct fix *f, const char *dkey, const char *akey, uint64_t epoch, const char *want)
{
    char buf[64] = "";
    size_t len = 0;

    EXPECT_OK(fix_get_at(f, 1, dkey, akey, epoch, 0, buf, sizeof(buf), &len));
    EXPECT_EQ(len, strlen(want));
    EXPECT_MEM_EQ(buf, want, strlen(want));
}

/* ---- single values -------------------------------------------------------------------------------------------------- */

static void
versions_body(struct fix *f)
{
    uint64_t snaps[2];
    struct vos_agg_stat stat;
    char val[16];

    if (!fix_format(f))
        return;
    for (int i = 0; i < 30; i++) {
        snprintf(val, sizeof(val), "v%d", i);
        EXPECT_OK(fix_put(f, 1, "d", "a", val, strlen(val), 0));
        if (i == 9 || i == 19)
            snaps[i / 10] = now(f);
    }
    EXPECT(vos_cont_agg_is_needed(f->cont, now(f)));
    stat = pass(f, now(f), snaps, 2);
    EXPECT_EQ(stat.ver_del_nr, 27); /* one is left for each view */
    expect_value(f, "d", "a", snaps[0], "v9");
    expect_value(f, "d", "a", snaps[1], "v19");
    expect_value(f, "d", "a", VOS_EPOCH_MAX, "v29");
    EXPECT(!vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    /* Nothing changed: the object is passed over. */
    stat = pass(f, now(f), snaps, 2);
    EXPECT_EQ(stat.obj_skip_nr, 1);
    EXPECT_EQ(stat.key_nr, 0);
    /* A snapshot is deleted: looked at again. */
    stat = pass(f, now(f), snaps + 1, 1);
    EXPECT_EQ(stat.ver_del_nr, 1);
    expect_value(f, "d", "a", snaps[1], "v19");
    /* A punched value: nothing is left of it but the akey. */
    EXPECT_OK(fix_put(f, 1, "d", "a", NULL, 0, 0));
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 3);
    expect_value(f, "d", "a", VOS_EPOCH_MAX, "");
    EXPECT_ERR(fix_put(f, 1, "d", "a", "x", 1, VOS_COND_AKEY_INSERT), EXIST);
    fix_close(f);
}

TEST_ON(vos_agg, versions_of_a_value, BACKEND_LINUX | BACKEND_SIM)
{
    run(versions_body, false);
}

/* ---- punches -------------------------------------------------------------------------------------------------------- */

static void
punches_body(struct fix *f)
{
    struct vos_cont_info empty, before;
    struct vos_agg_stat stat;
    static uint8_t big[20000];
    uint64_t snap;
    char name[16];

    if (!fix_format(f))
        return;
    empty = info_of(f);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        EXPECT_OK(fix_put(f, 1, name, "a", big, i % 10 == 0 ? sizeof(big) : 10, 0));
        EXPECT_OK(fix_write(f, 1, name, "arr", 0, 5000, 1, big));
        EXPECT_OK(fix_punch(f, 1, name, i % 3 == 0 ? NULL : "a", 0));
    }
    snap = now(f);
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    /* The snapshot still needs what is not punched before it. */
    before = info_of(f);
    stat = pass(f, now(f), &snap, 1);
    EXPECT_EQ(stat.obj_del_nr, 0);
    EXPECT_GE(stat.key_del_nr, 100);
    EXPECT_LT(info_of(f).meta_used, before.meta_used);
    /* Nobody needs anything. */
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.obj_del_nr, 1);
    EXPECT_EQ(info_of(f).meta_used, empty.meta_used);
    EXPECT_EQ(info_of(f).data_used, 0);
    EXPECT_EQ(info_of(f).obj_nr, 0);
    /* A key that comes and goes: one entry is left in its log. */
    for (int i = 0; i < 2000; i++) {
        EXPECT_OK(fix_put(f, 1, "k", "a", "x", 1, 0));
        EXPECT_OK(fix_punch(f, 1, "k", NULL, 0));
    }
    EXPECT_OK(fix_put(f, 1, "k", "a", "last", 4, 0));
    EXPECT_OK(fix_put(f, 1, "other", "a", "y", 1, 0));
    stat = pass(f, now(f), NULL, 0);
    EXPECT_GE(stat.log_del_nr, 4000);
    expect_value(f, "k", "a", VOS_EPOCH_MAX, "last");
    EXPECT_EQ(info_of(f).meta_used,
        empty.meta_used + sizeof(struct vos_obj_df) + /* dkeys, with room for an akey: */
            2 * (40 + 40) + 2 * (sizeof(struct vos_ver_df) + 4) + 4 + 1 + /* the nodes: */
            vos_btr_node_bytes(&vos_kind_key_hashed, 4));
    fix_close(f);
}

TEST_ON(vos_agg, punched_things_go, BACKEND_SIM)
{
    run(punches_body, false);
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

static void
arrays_body(struct fix *f)
{
    static uint8_t data[65536], got[65536];
    struct vos_agg_args keep = {.hi = VOS_EPOCH_MAX, .flags = VOS_AGG_NO_MERGE};
    struct vos_agg_stat stat;
    uint64_t used = 0;

    if (!fix_format(f))
        return;
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < 16; i++) {
            memset(data + (size_t)i * 4096, (int)(round * 16 + i), 4096);
            EXPECT_OK(
                fix_write(f, 1, "d", "arr", (uint64_t)i * 4096, 4096, 1, data + (size_t)i * 4096));
        }
        if (round == 0)
            used = info_of(f).meta_used;
    }
    EXPECT_OK(vos_cont_aggregate(f->cont, &keep, &stat));
    EXPECT_EQ(stat.ver_del_nr, 7 * 16);
    EXPECT_LE(info_of(f).meta_used, used + 4096);
    EXPECT_OK(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 0, sizeof(got), 0, got));
    EXPECT_MEM_EQ(got, data, sizeof(got));
    /* A hole over everything, then one extent in it: hole and old extents go. */
    EXPECT_OK(fix_write(f, 1, "d", "arr", 0, 65536, 0, NULL));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 100, 50, 1, data));
    EXPECT_OK(vos_cont_aggregate(f->cont, &keep, &stat));
    EXPECT_EQ(stat.ver_del_nr, 17);
    EXPECT_OK(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 0, sizeof(got), 0xee, got));
    EXPECT_EQ(got[99], 0xee);
    EXPECT_MEM_EQ(got + 100, data, 50);
    EXPECT_EQ(got[150], 0xee);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_agg, covered_extents_and_holes_go, BACKEND_LINUX | BACKEND_SIM)
{
    run(arrays_body, false);
}

/* ---- merging -------------------------------------------------------------------------------------------------------- */

static uint32_t
extents(struct fix *f, const char *dkey)
{
    struct vos_walk w;
    struct vos_oid oid = fix_oid(1);
    struct iov dk = IOV(dkey), ak = IOV("arr");
    uint32_t nr = 0;
    struct vos_btr t;
    struct vos_op op;
    int rc;

    vos_op_init(&op, f->tgt);
    op.epoch = UINT64_MAX - 1;
    EXPECT_OK(vos_walk_init(&w, f->cont, &oid));
    EXPECT_OK(vos_walk_obj(&op, f->cont, &oid, false, &w));
    EXPECT_OK(vos_walk_dkey(&op, &dk, false, &w));
    EXPECT_OK(vos_walk_akey(&op, &ak, false, &w));
    EXPECT_OK(vos_btr_init(&t, &op, &vos_kind_ext, &w.akey->tree, vos_key_tree_off(w.a.off)));
    for (rc = vos_btr_first(&t); rc == 0; rc = vos_btr_next(&t)) {
        nr++;
    }
    return nr;
}

static void
expect_array(struct fix *f, const char *dkey, uint64_t epoch, const uint8_t *want, size_t len)
{
    static uint8_t got[4 << 20];

    EXPECT_OK(fix_read(f, 1, dkey, "arr", epoch, 0, len, 0xee, got));
    EXPECT_MEM_EQ(got, want, len);
}

static void
merge_body(struct fix *f)
{
    static uint8_t data[3 << 20], old[3 << 20];
    struct vos_agg_args quick = {.hi = VOS_EPOCH_MAX, .flags = VOS_AGG_NO_MERGE};
    uint64_t snap, meta;
    struct vos_agg_stat stat;

    if (!fix_format(f))
        return;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + i / 1000);
    }
    /* A file written in small pieces: tiny ones, and such as lie in the data role. */
    for (uint32_t i = 0; i < 200; i++) {
        EXPECT_OK(fix_write(f, 1, "tiny", "arr", i * 100, 100, 1, data + i * 100));
        EXPECT_OK(fix_write(f, 1, "small", "arr", i * 9000, 9000, 1, data + i * 9000));
    }
    meta = info_of(f).meta_used;
    EXPECT_OK(vos_cont_aggregate(f->cont, &quick, &stat));
    EXPECT_EQ(stat.merge_in_nr, 0);
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.merge_in_nr, 400);
    EXPECT_EQ(stat.left_nr + stat.csum_bad_nr, 0);
    EXPECT_EQ(extents(f, "tiny"), 1);
    EXPECT_EQ(extents(f, "small"), 1);
    EXPECT_LT(info_of(f).meta_used, meta / 4);
    EXPECT_EQ(info_of(f).data_used, ALIGN_UP(20000, 4096) + ALIGN_UP(1800000, 4096));
    expect_array(f, "tiny", VOS_EPOCH_MAX, data, 20000);
    expect_array(f, "small", VOS_EPOCH_MAX, data, 1800000);
    /* Merged once, not again. */
    EXPECT_OK(fix_put(f, 1, "other", "a", "x", 1, 0));
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.merge_in_nr, 0);
    /* A large extent of which half is covered is written anew; what a snapshot needs stays. */
    EXPECT_OK(fix_write(f, 1, "large", "arr", 0, 1 << 20, 1, data));
    memcpy(old, data, 1 << 20);
    snap = now(f);
    for (uint32_t i = 0; i < 128; i++) {
        memset(data + i * 8192, (int)i, 4096);
        EXPECT_OK(fix_write(f, 1, "large", "arr", i * 8192, 4096, 1, data + i * 8192));
    }
    stat = pass(f, VOS_EPOCH_MAX, &snap, 1);
    EXPECT_EQ(stat.merge_out_nr, 0);
    expect_array(f, "large", snap, old, 1 << 20);
    expect_array(f, "large", VOS_EPOCH_MAX, data, 1 << 20);
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.cut_nr, 1);
    EXPECT_EQ(stat.merge_in_nr, 256);
    EXPECT_EQ(extents(f, "large"), 1);
    expect_array(f, "large", VOS_EPOCH_MAX, data, 1 << 20);
    /* The end of a large one is cut off: its space comes back. */
    meta = info_of(f).data_used;
    EXPECT_OK(fix_write(f, 1, "large", "arr", 100000, (1 << 20) - 100000, 0, NULL));
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(info_of(f).data_used, meta - (1 << 20) + ALIGN_UP(100000, 4096));
    expect_array(f, "large", VOS_EPOCH_MAX, data, 100000);
    EXPECT_OK(bio_check(f->bio));
    fix_close(f);
}

TEST_ON(vos_agg, small_and_wasteful_extents_are_written_anew, BACKEND_SIM)
{
    run(merge_body, false);
}

/* Small extents before and between snapshots: each interval is merged for itself, what shows at the snapshots stays. */
static void
merge_between_body(struct fix *f)
{
    enum { LEN = 100 * 5000, SNAPS_NR = 3 };
    static uint8_t data[SNAPS_NR + 1][LEN];
    uint8_t *cur = data[SNAPS_NR];
    uint64_t snaps[SNAPS_NR];
    struct vos_agg_stat stat;

    if (!fix_format(f))
        return;
    for (uint32_t k = 0; k <= SNAPS_NR; k++) {
        /* All of it in 100 pieces; then a third of it, in 33. */
        for (uint32_t i = k * 20; i < (k == 0 ? 100 : k * 20 + 33); i++) {
            memset(cur + i * 5000, (int)(k * 100 + i), 5000);
            EXPECT_OK(fix_write(f, 1, "btw", "arr", i * 5000, 5000, 1, cur + i * 5000));
        }
        if (k < SNAPS_NR) {
            memcpy(data[k], cur, LEN);
            snaps[k] = now(f);
        }
    }
    EXPECT_EQ(extents(f, "btw"), 199);
    stat = pass(f, VOS_EPOCH_MAX, snaps, SNAPS_NR);
    EXPECT_EQ(stat.merge_in_nr, 199);
    EXPECT_EQ(stat.merge_out_nr, 4);
    EXPECT_EQ(stat.left_nr + stat.csum_bad_nr, 0);
    EXPECT_EQ(extents(f, "btw"), 4);
    for (uint32_t k = 0; k < SNAPS_NR; k++) {
        expect_array(f, "btw", snaps[k], data[k], LEN);
    }
    expect_array(f, "btw", VOS_EPOCH_MAX, cur, LEN);
    stat = pass(f, VOS_EPOCH_MAX, snaps, SNAPS_NR);
    EXPECT_EQ(stat.merge_in_nr, 0);
    /* One goes: what it alone needed does, too. */
    snaps[1] = snaps[2];
    stat = pass(f, VOS_EPOCH_MAX, snaps, 2);
    EXPECT_GE(stat.cut_nr, 1);
    expect_array(f, "btw", snaps[0], data[0], LEN);
    expect_array(f, "btw", snaps[1], data[2], LEN);
    expect_array(f, "btw", VOS_EPOCH_MAX, cur, LEN);
    fix_close(f);
}

TEST_ON(vos_agg, small_extents_between_snapshots_are_merged, BACKEND_LINUX | BACKEND_SIM)
{
    run(merge_between_body, false);
}

static void
expect_cut(struct fix *f, uint64_t epoch, const uint8_t *want, size_t len)
{
    static uint8_t got[2 << 20];

    EXPECT_OK(fix_read(f, 1, "cut", "arr", epoch, 0, len, 0, got));
    EXPECT_MEM_EQ(got, want, len);
}

static void
hot_pass(struct fix *f, uint64_t left_nr)
{
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat;

    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.left_nr, left_nr);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(bio_check(f->bio));
}

static int
cut_write(struct fix *f, uint32_t csum_type, uint64_t idx, uint64_t nr, const void *data)
{
    struct recx recx = {idx, nr};
    struct vos_iod iod = {.akey = IOV("arr"),
        .type = VOS_IOD_ARRAY,
        .size = data != NULL,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {(void *)(uintptr_t)data, data == NULL ? 0 : nr}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("cut"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .csum_type = csum_type};
    struct vos_apply_ret ret;

    return vos_apply(f->cont, &args, &ret);
}

/* Random overwrites of a large extent, with snapshots: what is seen stays, the rest is given back without a copy. */
static void
cut_any(struct fix *f, uint32_t csum_type)
{
    enum { LEN = (1 << 20) + 5000, ROUNDS = 12, WRITES = 40, SNAPS_NR = 3 };
    static uint8_t data[SNAPS_NR + 1][LEN];
    uint8_t *cur = data[SNAPS_NR];
    uint64_t snaps[SNAPS_NR], cut_nr = 0, gone_nr = 0;
    uint32_t snap_nr = 0;

    if (!fix_format(f))
        return;
    for (size_t i = 0; i < LEN; i++) {
        cur[i] = (uint8_t)(i * 13 + i / 777);
    }
    EXPECT_OK(cut_write(f, csum_type, 0, LEN, cur));
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .snaps = snaps};
        struct vos_agg_stat stat;

        for (uint32_t j = 0; j < WRITES; j++) {
            uint64_t lo = rng_below(&f->rng, LEN - 20000), len = 1 + rng_below(&f->rng, 20000);
            bool is_hole = rng_chance(&f->rng, 1, 10);

            if (rng_chance(&f->rng, 3, 4)) {
                lo = ALIGN_DOWN(lo, UINT64_C(4096));
                len = ALIGN_UP(len, UINT64_C(4096));
            }
            memset(cur + lo, is_hole ? 0 : (int)(i * WRITES + j), len);
            EXPECT_OK(cut_write(f, csum_type, lo, len, is_hole ? NULL : cur + lo));
        }
        args.snap_nr = snap_nr;
        EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
        EXPECT_OK(vos_tgt_check(f->tgt));
        EXPECT_OK(bio_check(f->bio));
        EXPECT_EQ(stat.merge_out_nr + stat.csum_bad_nr, 0); /* still written over */
        cut_nr += stat.cut_nr;
        gone_nr += stat.ver_del_nr;
        for (uint32_t k = 0; k < snap_nr; k++) {
            expect_cut(f, snaps[k], data[k], LEN);
        }
        expect_cut(f, VOS_EPOCH_MAX, cur, LEN);
        if (snap_nr < SNAPS_NR && i % 2 == 1) {
            memcpy(data[snap_nr], cur, LEN);
            snaps[snap_nr++] = now(f);
        }
        if (i == ROUNDS - 3)
            snap_nr = 1;
    }
    EXPECT_GT(cut_nr, 20);
    EXPECT_GT(gone_nr, 100);
    /* Every block is written over: nothing is left of what was there. */
    for (uint32_t i = 0; i < LEN / 4096 + 1; i++) {
        EXPECT_OK(
            cut_write(f, csum_type, i * UINT64_C(4096), MIN(4096, LEN - i * 4096), cur + i * 4096));
    }
    hot_pass(f, 1);
    EXPECT_EQ(info_of(f).data_used, 0);
    /* It becomes quiet: 258 blocks in a few extents. */
    EXPECT_OK(fix_put(f, 1, "other", "a", "x", 1, 0));
    hot_pass(f, 0);
    EXPECT_LT(extents(f, "cut"), 4);
    expect_cut(f, VOS_EPOCH_MAX, cur, LEN);
    fix_close(f);
}

/* Its chunks are blocks: nothing is looked at. */
static void
cut_body(struct fix *f)
{
    uint64_t sums_nr = probe_hits("vos.agg.cut_sums_anew");

    cut_any(f, 0);
    EXPECT_EQ(probe_hits("vos.agg.cut_sums_anew"), sums_nr);
}

/* Its chunks are longer: those that are seen in part are summed anew. */
static void
cut_sums_body(struct fix *f)
{
    uint64_t sums_nr = probe_hits("vos.agg.cut_sums_anew");

    cut_any(f, CSUM_TYPE_CRC64);
    EXPECT_GT(probe_hits("vos.agg.cut_sums_anew"), sums_nr + 20);
}

TEST_ON(vos_agg, what_is_not_seen_of_an_extent_is_cut_off, BACKEND_SIM)
{
    run(cut_body, false);
}

TEST_ON(vos_agg, long_chunks_that_are_cut_are_summed_anew, BACKEND_SIM)
{
    run(cut_sums_body, false);
}

static void
move_body(struct fix *f)
{
    static uint8_t data[4096];
    struct vos_agg_stat stat;
    uint64_t meta;
    char name[16];

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 50; i++) {
        memset(data, (int)i, sizeof(data));
        snprintf(name, sizeof(name), "file%u", i);
        EXPECT_OK(fix_write(f, i, name, "arr", 0, i % 2 == 0 ? 4096 : 1000, 1, data));
    }
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    meta = info_of(f).meta_used;
    EXPECT_EQ(info_of(f).data_used, 0);
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.move_nr, 25);
    EXPECT_EQ(stat.move_bytes, 25 * 4096);
    EXPECT_EQ(info_of(f).data_used, 25 * 4096);
    EXPECT_EQ(info_of(f).meta_used, meta - 25 * 4096); /* the address of a block in the other role */
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t got[4096];

        memset(data, (int)i, sizeof(data));
        snprintf(name, sizeof(name), "file%u", i);
        EXPECT_OK(fix_read(f, i, name, "arr", VOS_EPOCH_MAX, 0, 4096, (uint8_t)~i, got));
        EXPECT_MEM_EQ(got, data, i % 2 == 0 ? 4096 : 1000);
    }
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.move_nr, 0);
    fix_close(f);
}

TEST_ON(vos_agg, small_files_that_cooled_leave_the_metadata, BACKEND_SIM)
{
    run(move_body, false);
}

enum { SINGLES_NR = 300 };

static uint32_t
single_len(uint32_t i)
{
    static const uint32_t lens[] = {4096, 2048, 2047, 3000, 10};

    return lens[i % ARRAY_SIZE(lens)];
}

static void
singles_check(struct fix *f, uint64_t epoch, uint8_t plus)
{
    static uint8_t data[4096], got[4096];
    char key[16];
    size_t len = 0;

    for (uint32_t i = 0; i < SINGLES_NR && !test_failed(); i++) {
        memset(data, (int)i + plus, sizeof(data));
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(fix_get_at(f, 1, key, "a", epoch, 0, got, sizeof(got), &len));
        EXPECT_EQ(len, single_len(i));
        EXPECT_MEM_EQ(got, data, len);
    }
}

static void
move_singles_body(struct fix *f)
{
    static uint8_t data[4096];
    struct vos_agg_stat stat;
    uint64_t meta, snap = 0;
    char key[16];

    if (!fix_format(f))
        return;
    /* Two versions of each, the older one in a snapshot. */
    for (uint32_t v = 0; v < 2; v++) {
        for (uint32_t i = 0; i < SINGLES_NR; i++) {
            memset(data, (int)(i + v), sizeof(data));
            snprintf(key, sizeof(key), "k%u", i);
            EXPECT_OK(fix_put(f, 1, key, "a", data, single_len(i), 0));
        }
        EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
        if (v == 0) {
            snap = now(f);
            stat = pass(f, VOS_EPOCH_MAX, &snap, 1);
            EXPECT_EQ(stat.move_nr, SINGLES_NR / 5 * 3);
        }
    }
    EXPECT_EQ(info_of(f).data_used, SINGLES_NR / 5 * 3 * 4096);
    meta = info_of(f).meta_used;
    stat = pass(f, now(f), &snap, 1);
    EXPECT_EQ(stat.move_nr, SINGLES_NR / 5 * 3);
    EXPECT_EQ(stat.move_bytes, SINGLES_NR / 5 * (4096 + 2048 + 3000));
    EXPECT_EQ(stat.ver_del_nr, 0);
    EXPECT_LT(stat.step_nr, 10); /* many in one transaction */
    EXPECT_EQ(info_of(f).data_used, 2 * SINGLES_NR / 5 * 3 * 4096);
    EXPECT_EQ(info_of(f).meta_used,
        meta - SINGLES_NR / 5 * (4096 + 2048 + 3000 - 2 * 8)); /* an address instead; the largest had one */
    singles_check(f, VOS_EPOCH_MAX, 1);
    singles_check(f, snap, 0);
    EXPECT_OK(bio_check(f->bio));
    /* In the data role they are like all others: freed, read after a start. */
    fix_close(f);
    if (!fix_open(f))
        return;
    singles_check(f, snap, 0);
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, SINGLES_NR);
    EXPECT_EQ(stat.move_nr, 0);
    EXPECT_EQ(info_of(f).data_used, SINGLES_NR / 5 * 3 * 4096);
    singles_check(f, VOS_EPOCH_MAX, 1);
    fix_close(f);
}

TEST_ON(vos_agg, single_values_that_cooled_leave_the_metadata, BACKEND_SIM)
{
    run(move_singles_body, false);
}

static uint64_t
aggregate(struct fix *f)
{
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat = {0};

    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT(stat.is_finished);
    return stat.move_nr;
}

static void
room_body(struct fix *f)
{
    static uint8_t data[4096];
    uint32_t nr = 0;
    char key[16];

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 50; i++, nr++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(fix_put(f, 1, key, "a", data, sizeof(data), 0));
    }
    EXPECT_EQ(aggregate(f), 0);
    EXPECT(!vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    EXPECT_EQ(info_of(f).data_used, 0);
    /* Until more than half of the arena is used. */
    do {
        snprintf(key, sizeof(key), "k%u", nr++);
        EXPECT_OK(fix_put(f, 2, key, "a", data, 1000, 0));
    } while (!umem_is_short(f->tgt->um) && !test_failed());
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX)); /* also without these */
    EXPECT_EQ(aggregate(f), 50); /* what earlier passes left, too */
    EXPECT_EQ(info_of(f).data_used, 50 * 4096);
    EXPECT_EQ(aggregate(f), 0);
    fix_close(f);
}

TEST_ON(vos_agg, what_cooled_stays_while_there_is_room, BACKEND_SIM)
{
    run(room_body, false);
}

/* A value that is not what it was stays where it is, and is never given a checksum of its own. */
static void
move_bad_body(struct fix *f)
{
    static uint8_t data[4096], got[4096];
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .flags = VOS_AGG_COOL};
    struct vos_agg_stat stat;
    uint64_t off = umem_root(f->tgt == NULL ? NULL : f->tgt->um);
    size_t len = 0;
    uint8_t *p = NULL;

    memset(data, 0x5c, sizeof(data));
    EXPECT_OK(fix_put(f, 1, "good", "a", data, sizeof(data), 0));
    EXPECT_OK(fix_put(f, 1, "bad", "a", data, sizeof(data), 0));
    for (uint64_t at = off & ~(uint64_t)(UMEM_PAGE_BYTES - 1); p == NULL && at < (4 << 20); at += 8) {
        uint8_t *q = umem_ptr(f->tgt->um, at);

        if (q != NULL && (at & (UMEM_PAGE_BYTES - 1)) + 64 <= UMEM_PAGE_BYTES &&
            memcmp(q, data, 64) == 0)
            p = q;
    }
    if (!EXPECT(p != NULL))
        return;
    p[5] ^= 1;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.move_nr, 1);
    EXPECT_EQ(stat.csum_bad_nr, 1);
    EXPECT_EQ(fix_get(f, 1, "good", "a", got, sizeof(got), &len) == 0,
        fix_get(f, 1, "bad", "a", got, sizeof(got), &len) != 0);
    p[5] ^= 1;
    EXPECT_OK(fix_get(f, 1, "bad", "a", got, sizeof(got), &len));
}

static void
move_bad_run(struct fix *f)
{
    if (!fix_format(f))
        return;
    move_bad_body(f);
    fix_close(f);
}

TEST_ON(vos_agg, a_bad_value_does_not_move, BACKEND_SIM)
{
    run(move_bad_run, false);
}

/* One byte of the data role changes on the medium. */
static void
corrupt_body(struct fix *f)
{
    static uint8_t data[200000];
    struct vos_agg_stat stat;
    struct vos_fetch *fetch;
    struct recx recx = {0, sizeof(data)};
    struct vos_iod iod = {.akey = IOV("arr"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_oid oid = fix_oid(1);
    struct iov dk = IOV("d");
    void *buf;

    if (!fix_format(f))
        return;
    memset(data, 0x5a, sizeof(data));
    for (uint32_t i = 0; i < 20; i++) {
        EXPECT_OK(fix_write(f, 1, "d", "arr", i * 10000, 10000, 1, data));
    }
    EXPECT_OK(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch));
    vos_fetch_free(f->cont, fetch);
    if (!EXPECT_OK(bio_buf_get(f->bio, BIO_BLK_BYTES, &buf)))
        return;
    /* The first block that was given out, whichever extent it belongs to. */
    for (uint64_t addr = BIO_BLK_BYTES; addr < f->cfg.data_bytes; addr += BIO_BLK_BYTES) {
        EXPECT_OK(bio_data_read(f->bio, addr, buf, BIO_BLK_BYTES));
        if (((uint8_t *)buf)[7] != 0x5a)
            continue;
        ((uint8_t *)buf)[7] ^= 1;
        EXPECT_OK(bio_data_write(f->bio, addr, buf, BIO_BLK_BYTES));
        break;
    }
    bio_buf_put(f->bio, buf, BIO_BLK_BYTES);
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.csum_bad_nr, 1);
    EXPECT_EQ(stat.merge_out_nr, 0);
    EXPECT_EQ(extents(f, "d"), 20);
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), CSUM);
    fix_close(f);
}

TEST_ON(vos_agg, what_fails_its_checksum_is_not_merged, BACKEND_SIM)
{
    run(corrupt_body, false);
}

/* ---- discard -------------------------------------------------------------------------------------------------------- */

static void
discard_body(struct fix *f)
{
    static uint8_t a[5000], b[5000];
    struct vos_cont_info empty;
    struct vos_agg_stat stat;
    uint64_t from;

    if (!fix_format(f))
        return;
    empty = info_of(f);
    memset(a, 1, sizeof(a));
    memset(b, 2, sizeof(b));
    EXPECT_OK(fix_put(f, 1, "d", "a", "old", 3, 0));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 0, sizeof(a), 1, a));
    from = now(f) + 1;
    EXPECT_OK(fix_put(f, 1, "d", "a", "newer", 5, 0));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 1000, 2000, 1, b));
    EXPECT_OK(fix_put(f, 1, "made", "a", "x", 1, 0));
    EXPECT_OK(fix_put(f, 2, "made", "a", "x", 1, 0));
    EXPECT_OK(fix_punch(f, 1, "d", "arr", 0));
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    EXPECT_OK(vos_cont_discard(f->cont, from, now(f), NULL, &stat));
    EXPECT(stat.is_finished);
    EXPECT_OK(vos_tgt_check(f->tgt));
    expect_value(f, "d", "a", VOS_EPOCH_MAX, "old");
    expect_array(f, "d", VOS_EPOCH_MAX, a, sizeof(a));
    EXPECT_EQ(info_of(f).obj_nr, 1);
    EXPECT_ERR(fix_put(f, 1, "made", "a", "x", 1, VOS_COND_DKEY_UPDATE), NONEXIST);
    EXPECT_OK(vos_cont_discard(f->cont, 1, VOS_EPOCH_MAX, NULL, &stat));
    EXPECT_EQ(info_of(f).obj_nr, 0);
    EXPECT_EQ(info_of(f).meta_used, empty.meta_used);
    EXPECT_EQ(info_of(f).data_used, 0);
    EXPECT_ERR(vos_cont_discard(f->cont, 0, 5, NULL, NULL), INVAL);
    EXPECT_ERR(vos_cont_discard(f->cont, 6, 5, NULL, NULL), INVAL);
    fix_close(f);
}

TEST_ON(vos_agg, a_range_of_epochs_is_discarded, BACKEND_LINUX | BACKEND_SIM)
{
    run(discard_body, false);
}

/* ---- full stores ---------------------------------------------------------------------------------------------------- */

/* Overwrite the same few things until nothing fits any more. */
static uint32_t
fill(struct fix *f, size_t len)
{
    static uint8_t data[1 << 20];
    uint32_t nr = 0;
    int rc = 0;

    while (rc == 0 && nr < 100000) {
        memset(data, (int)nr, len);
        rc = fix_put(f, 1, nr % 2 == 0 ? "x" : "y", "a", data, len, 0);
        if (rc == 0 && len < 4096)
            rc = fix_write(f, 1, "arr", "b", nr % 7 * 100, 100, 1, data);
        nr += rc == 0;
    }
    EXPECT_ERR(rc, NOSPACE);
    return nr;
}

static void
full(struct fix *f, size_t len)
{
    uint32_t first, second;

    if (!fix_format(f))
        return;
    first = fill(f, len);
    EXPECT_GT(first, 10);
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    (void)pass(f, VOS_EPOCH_MAX, NULL, 0);
    second = fill(f, len);
    EXPECT_GE(second + 4, first * 9 / 10);
    /* Also with files that were removed. */
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    (void)pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(info_of(f).meta_used, sizeof(struct vos_cont_df));
    EXPECT_EQ(info_of(f).data_used, 0);
    EXPECT_OK(umem_check(f->tgt->um));
    fix_close(f);
}

static void
full_meta_body(struct fix *f)
{
    full(f, 2000);
}

static void
full_data_body(struct fix *f)
{
    full(f, 1 << 20);
}

TEST_ON(vos_agg, a_store_full_of_old_metadata_becomes_writable, BACKEND_SIM)
{
    run(full_meta_body, true);
}

TEST_ON(vos_agg, a_store_full_of_old_data_becomes_writable, BACKEND_SIM)
{
    run(full_data_body, true);
}

/* ---- readers -------------------------------------------------------------------------------------------------------- */

struct late {
    uint8_t bytes[300000];
    uint64_t len;
};

static int
late_take(void *arg, const struct vos_piece *piece)
{
    struct late *l = arg;

    memcpy(l->bytes + l->len, piece->buf, piece->len);
    l->len += piece->len;
    return 0;
}

static int
late_drain(void *arg)
{
    (void)arg;
    return 0;
}

static void
reader_body(struct fix *f)
{
    static uint8_t old[300000], other[300000];
    static struct late late;
    struct vos_sink sink = {.arg = &late, .take = late_take, .drain = late_drain};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE};
    struct vos_fetch_args args = {
        .oid = fix_oid(1), .epoch = VOS_EPOCH_MAX, .dkey = IOV("d"), .iods = &iod, .iod_nr = 1};
    struct vos_fetch *fetch = NULL;
    struct vos_agg_stat stat;

    if (!fix_format(f))
        return;
    memset(old, 1, sizeof(old));
    memset(other, 2, sizeof(other));
    EXPECT_OK(fix_put(f, 1, "d", "a", old, sizeof(old), 0));
    if (!EXPECT_OK(vos_fetch_begin(f->cont, &args, &fetch)))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "new", 3, 0));
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 1);
    /* Its space is not used again while the fetch may read it. */
    for (int i = 0; i < 40; i++) {
        EXPECT_OK(fix_put(f, 2, "d", "a", other, sizeof(other), 0));
    }
    late.len = 0;
    EXPECT_OK(vos_fetch_give(f->cont, fetch, &sink));
    EXPECT_EQ(late.len, sizeof(old));
    EXPECT_MEM_EQ(late.bytes, old, sizeof(old));
    vos_fetch_free(f->cont, fetch);
    fix_close(f);
}

TEST_ON(vos_agg, a_fetch_keeps_its_bytes, BACKEND_LINUX | BACKEND_SIM)
{
    run(reader_body, false);
}

/* ---- passes --------------------------------------------------------------------------------------------------------- */

struct paced {
    struct fix *f;
    uint32_t nr, stop_at;
    int rc_inside;
};

static int
paced_fn(void *arg, const struct vos_agg_stat *stat)
{
    struct paced *p = arg;
    struct vos_agg_args args = {.hi = 1};

    ult_yield();
    EXPECT_LE(stat->obj_nr + stat->key_nr, 512 * (p->nr + 1));
    p->rc_inside = vos_cont_aggregate(p->f->cont, &args, NULL);
    return ++p->nr == p->stop_at;
}

static void
passes_body(struct fix *f)
{
    struct paced p = {.f = f, .stop_at = 3};
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .pace = paced_fn, .arg = &p};
    uint64_t twice[2] = {5, 5};
    struct vos_agg_stat stat;
    char name[16];

    if (!fix_format(f))
        return;
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        EXPECT_OK(fix_put(f, 1, name, "a", "x", 1, 0));
    }
    EXPECT_OK(fix_put(f, 1, name, "a", "y", 1, 0));
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT(!stat.is_finished);
    EXPECT_ERR(p.rc_inside, BUSY);
    EXPECT_EQ(p.nr, 3);
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    p.stop_at = 0;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT(stat.is_finished);
    EXPECT_EQ(stat.ver_del_nr, 1);
    args.snaps = twice;
    args.snap_nr = 2;
    EXPECT_ERR(vos_cont_aggregate(f->cont, &args, NULL), INVAL);
    args = (struct vos_agg_args){.hi = 0};
    EXPECT_ERR(vos_cont_aggregate(f->cont, &args, NULL), INVAL);
    fix_close(f);
    /* The memory of earlier passes outlives a restart. */
    if (!fix_open(f))
        return;
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    stat = pass(f, VOS_EPOCH_MAX, NULL, 0);
    EXPECT_EQ(stat.obj_skip_nr, 1);
    EXPECT_EQ(stat.key_nr, 0);
    EXPECT(!vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    fix_close(f);
}

TEST_ON(vos_agg, passes_stop_and_remember, BACKEND_SIM)
{
    run(passes_body, false);
}

/* An array of which all holes are gone is not looked through for holes again. */
static void
holes_end_body(struct fix *f)
{
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .lo = 1, .flags = VOS_AGG_NO_MERGE};
    static char block[4096];
    struct vos_agg_stat stat;
    uint64_t nr;

    if (!fix_format(f))
        return;
    for (uint64_t i = 0; i < 60; i++) {
        EXPECT_OK(fix_write(f, 1, "d", "a", i, 1, sizeof(block), block));
    }
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    nr = stat.ver_nr;
    for (uint64_t round = 0; round < 2; round++) { /* they are found the second time, too */
        EXPECT_OK(fix_write(f, 1, "d", "a", 10, 1, 0, NULL)); /* it goes with what it hides */
        EXPECT_OK(fix_write(f, 1, "d", "a", 70, 1, 0, NULL)); /* below it is nothing */
        EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
        EXPECT_EQ(stat.ver_del_nr, 3);
        EXPECT_GT(stat.ver_nr, 2 * nr);
        EXPECT_OK(fix_write(f, 1, "d", "a", 10, 1, sizeof(block), block));
        EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
        EXPECT_EQ(stat.ver_del_nr, 0);
        EXPECT_EQ(stat.ver_nr, nr);
    }
    /* One that is above hi stays, and is found later. */
    args.hi = now(f);
    EXPECT_OK(fix_write(f, 1, "d", "a", 20, 1, 0, NULL));
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr, 0);
    args.hi = VOS_EPOCH_MAX;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr, 2);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_agg, holes_come_to_an_end, BACKEND_SIM)
{
    run(holes_end_body, false);
}

/* However many akeys a dkey has: no step looks at more than 512 of them, or frees more than it may. */
static int
akeys_pace(void *arg, const struct vos_agg_stat *stat)
{
    struct paced *p = arg;

    ult_yield();
    p->nr++;
    EXPECT_LE(stat->obj_nr + stat->key_nr + stat->ver_nr, 1024 * p->nr);
    EXPECT_LE(stat->ver_del_nr + stat->key_del_nr, 256 * p->nr);
    return 0;
}

static void
akeys_body(struct fix *f)
{
    enum { AKEYS_NR = 8000 };
    struct paced p = {.f = f};
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .pace = akeys_pace, .arg = &p};
    struct vos_agg_stat stat;
    char name[16];

    if (!fix_format(f))
        return;
    for (int i = 0; i < AKEYS_NR + 3; i++) {
        snprintf(name, sizeof(name), "a%d", i % AKEYS_NR);
        EXPECT_OK(fix_put(f, 1, "d", name, "x", 1, 0));
    }
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr, 3);
    EXPECT_GE(stat.key_nr, AKEYS_NR);
    EXPECT_GE(p.nr, AKEYS_NR / 512);
    for (int i = 0; i < AKEYS_NR; i++) {
        snprintf(name, sizeof(name), "a%d", i);
        EXPECT_OK(fix_put(f, 1, "d", name, "y", 1, 0));
    }
    p.nr = 0;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr, AKEYS_NR);
    EXPECT_GE(p.nr, AKEYS_NR / 256);
    EXPECT_OK(fix_punch(f, 1, "d", NULL, 0));
    p.nr = 0;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr, AKEYS_NR);
    EXPECT_EQ(stat.key_del_nr, AKEYS_NR + 1);
    EXPECT_GE(p.nr, AKEYS_NR / 256);
    fix_close(f);
}

TEST_ON(vos_agg, a_dkey_of_many_akeys_in_steps, BACKEND_SIM)
{
    run(akeys_body, true);
}

/* ---- what changed --------------------------------------------------------------------------------------------------- */

enum { MANY_NR = 5000 };

static void
many_put(struct fix *f, uint32_t from, uint32_t nr, uint32_t step)
{
    char key[16], val[16];

    for (uint32_t i = 0; i < nr && !test_failed(); i++) {
        snprintf(key, sizeof(key), "key %u", from + i * step);
        snprintf(val, sizeof(val), "%llu", (unsigned long long)f->tgt->clock.last);
        EXPECT_OK(fix_put(f, 1, key, "a", val, strlen(val), 0));
    }
}

static void
changed_body(struct fix *f)
{
    struct vos_agg_args none = {.hi = VOS_EPOCH_MAX, .lo = 1};
    struct vos_agg_stat stat;
    uint64_t hi;

    if (!fix_format(f))
        return;
    many_put(f, 0, MANY_NR, 1);
    pass(f, now(f), NULL, 0);
    /* A few of many: these alone are looked at, with one akey each. */
    many_put(f, 3, 100, 40);
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 100);
    EXPECT_LT(stat.key_nr, 220); /* some twice: where a step ends */
    EXPECT_EQ(stat.obj_nr, 1);
    /* What is new makes nothing old. */
    many_put(f, MANY_NR, 100, 1);
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.key_nr, 0);
    /* Changes above hi are for the next pass. */
    many_put(f, 5, 10, 40);
    hi = now(f);
    many_put(f, 7, 20, 40);
    stat = pass(f, hi, NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 10);
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 20);
    EXPECT_LT(stat.key_nr, 45);
    fix_close(f);
    /* After a start nothing is known: the first change has all of the object looked at once. */
    if (!fix_open(f))
        return;
    many_put(f, 9, 10, 40);
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 10);
    EXPECT_LT(stat.key_nr, 23); /* nothing had changed since the pass before */
    many_put(f, 9, 10, 40);
    fix_close(f);
    if (!fix_open(f))
        return;
    many_put(f, 19, 10, 40);
    stat = pass(f, now(f), NULL, 0);
    EXPECT_EQ(stat.ver_del_nr, 20);
    EXPECT_GT(stat.key_nr, MANY_NR);
    /* Nothing was forgotten by all this. */
    EXPECT_OK(vos_cont_aggregate(f->cont, &none, &stat));
    EXPECT_EQ(stat.ver_del_nr, 0);
    EXPECT_GE(stat.key_nr, 2 * MANY_NR);
    fix_close(f);
}

TEST_ON(vos_agg, what_changed_alone, BACKEND_SIM)
{
    run(changed_body, false);
}
