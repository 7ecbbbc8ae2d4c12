/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what aggregation does to values of the data role and for them: extents that are cut where they are, with sums of every kind; damage that stays what it is (AGG-4); a data
 * role without room. Method: overwrites with known places, the bytes that are taken counted to the block, everything read back at each snapshot, and chunks damaged on the medium.
 */
#include "vos_test_fix.h"

enum { BLK = BIO_BLK_BYTES };

/* Run fn on a fresh store. */
static void
run(void (*fn)(struct fix *f), uint64_t data_bytes)
{
    struct fix f;

    fix_prepare(&f);
    if (data_bytes != 0) {
        f.cfg.data_bytes = data_bytes;
        f.data_quota = data_bytes;
    }
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, fn));
    fix_down(&f);
}

static struct vos_agg_stat
pass_of(struct fix *f, struct vos_agg_args args)
{
    struct vos_agg_stat stat = {0};

    args.lo = 1;
    args.hi = VOS_EPOCH_MAX;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT(stat.is_finished);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(bio_check(f->bio));
    return stat;
}

static struct vos_agg_stat
pass(struct fix *f, uint32_t flags)
{
    return pass_of(f, (struct vos_agg_args){.flags = flags});
}

static struct vos_cont_info
info_of(struct fix *f)
{
    struct vos_cont_info info = {0};

    EXPECT_OK(vos_cont_query(f->cont, &info));
    return info;
}

/* Bytes [lo, lo + len) of the array "arr" below dkey, with sums of a kind. */
static int
put(struct fix *f, const char *dkey, uint64_t lo, const uint8_t *data, size_t len, uint32_t type,
    uint64_t chunk)
{
    struct recx recx = {lo, len};
    struct vos_iod iod = {.akey = IOV("arr"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {(void *)(uintptr_t)data, len}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {
        .mods = &mod, .mod_nr = 1, .csum_type = type, .csum_chunk_bytes = chunk};
    struct vos_apply_ret ret;

    return vos_apply(f->cont, &args, &ret);
}

static void
expect_array(struct fix *f, const char *dkey, uint64_t epoch, const uint8_t *want, size_t len)
{
    static uint8_t got[4 << 20];

    EXPECT_OK(fix_read(f, 1, dkey, "arr", epoch, 0, len, 0, got));
    EXPECT_MEM_EQ(got, want, len);
}

/* ---- sums ----------------------------------------------------------------------------------------------------------- */

enum { LEN = (1 << 20) + 5000 };

static uint8_t cur[2 << 20], old[2 << 20];

static void
one_kind(struct fix *f, uint32_t type, uint64_t chunk)
{
    struct vos_agg_stat stat;
    char dkey[16];
    uint64_t snap, used, at[12];

    snprintf(dkey, sizeof(dkey), "%u.%llu", type, (unsigned long long)chunk);
    rng_bytes(&f->rng, cur, LEN);
    EXPECT_OK(put(f, dkey, 0, cur, LEN, type, chunk));
    /* In the first half blocks, in the second some that begin and end amid blocks. */
    for (uint32_t i = 0; i < ARRAY_SIZE(at); i++) {
        uint64_t len = i < 6 ? (8 + rng_below(&f->rng, 9)) * BLK : 20000 + rng_below(&f->rng, 20000);

        at[i] = i * (LEN / 12);
        at[i] = i < 6 ? ALIGN_UP(at[i], (uint64_t)BLK) : at[i] + rng_below(&f->rng, 5000);
        rng_bytes(&f->rng, cur + at[i], len);
        EXPECT_OK(put(f, dkey, at[i], cur + at[i], len, type, chunk));
    }
    memcpy(old, cur, LEN);
    snap = info_of(f).epoch_max;
    /* The snapshot needs the rests of the first interval; it is cut all the same. */
    for (uint32_t i = 0; i < ARRAY_SIZE(at); i += 2) {
        rng_bytes(&f->rng, cur + at[i], 5000);
        EXPECT_OK(put(f, dkey, at[i], cur + at[i], 5000, type, chunk));
    }
    stat = pass_of(f,
        (struct vos_agg_args){.flags = VOS_AGG_NO_MERGE | VOS_AGG_COOL, .snaps = &snap, .snap_nr = 1});
    EXPECT_GE(stat.cut_nr, 1);
    EXPECT_EQ(stat.csum_bad_nr, 0);
    EXPECT_GT(stat.data_freed, 0);
    expect_array(f, dkey, snap, old, LEN);
    expect_array(f, dkey, VOS_EPOCH_MAX, cur, LEN);
    /* The same without the snapshot. */
    used = info_of(f).data_used;
    stat = pass(f, VOS_AGG_COOL);
    EXPECT_EQ(stat.csum_bad_nr, 0);
    EXPECT_LE(info_of(f).data_used, used);
    expect_array(f, dkey, VOS_EPOCH_MAX, cur, LEN);
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    (void)pass(f, 0);
    EXPECT_EQ(info_of(f).data_used, 0);
}

static void
kinds_body(struct fix *f)
{
    if (!fix_format(f))
        return;
    for (uint32_t type = 0; type < CSUM_TYPES_NR && !test_failed(); type++) {
        one_kind(f, type, 0);
        one_kind(f, type, 4096);
        if (type == CSUM_TYPE_CRC32)
            one_kind(f, type, 65536);
    }
    fix_close(f);
}

TEST_ON(vos_agg_cut, parts_have_sums_of_every_kind, BACKEND_LINUX | BACKEND_SIM)
{
    run(kinds_body, 0);
}

/* ---- many parts ----------------------------------------------------------------------------------------------------- */

/* Each fourth block of 2 MiB is written over: three parts of a block between two of them, and one transaction makes at most 287, and one of the rest. */
static void
many_body(struct fix *f)
{
    enum { BLKS = 512, FIRST_NR = 287 / 3 + 1 };
    struct vos_agg_stat stat;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, cur, BLKS * BLK);
    EXPECT_OK(put(f, "d", 0, cur, BLKS * BLK, 0, 0));
    EXPECT_EQ(info_of(f).data_used, BLKS * BLK);
    for (uint32_t i = 0; i < BLKS; i += 4) { /* with the metadata */
        memset(cur + i * BLK, (int)i, BLK);
        EXPECT_OK(put(f, "d", (uint64_t)i * BLK, cur + i * BLK, BLK, 0, 0));
    }
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 1);
    EXPECT_EQ(info_of(f).data_used, (BLKS - FIRST_NR) * BLK);
    expect_array(f, "d", VOS_EPOCH_MAX, cur, BLKS * BLK);
    stat = pass(f, VOS_AGG_NO_MERGE); /* what the first left in one piece */
    EXPECT_EQ(stat.cut_nr, 1);
    EXPECT_EQ(info_of(f).data_used, (BLKS - BLKS / 4) * BLK);
    expect_array(f, "d", VOS_EPOCH_MAX, cur, BLKS * BLK);
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 0);
    fix_close(f);
}

TEST_ON(vos_agg_cut, more_parts_than_fit_in_one_transaction, BACKEND_SIM)
{
    run(many_body, 0);
}

/* ---- what pays ------------------------------------------------------------------------------------------------------ */

/* An extent of 64 blocks loses seven blocks in one piece: less than an eighth; then one more. */
static void
little_body(struct fix *f)
{
    struct vos_agg_stat stat;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, cur, 64 * BLK);
    EXPECT_OK(put(f, "d", 0, cur, 64 * BLK, 0, 4096));
    EXPECT_OK(put(f, "d", 8 * BLK, cur + 8 * BLK, 7 * BLK, 0, 0));
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr + stat.ver_del_nr, 0);
    EXPECT_EQ(info_of(f).data_used, 71 * BLK);
    /* All of an eighth, but no block of it as a whole is hidden besides. */
    EXPECT_OK(put(f, "d", 20 * BLK + 100, cur + 20 * BLK + 100, BLK, 0, 0));
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 0);
    EXPECT_OK(put(f, "d", 15 * BLK, cur + 15 * BLK, BLK, 0, 0));
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 1);
    EXPECT_EQ(info_of(f).data_used, (64 - 8 + 7) * BLK); /* the last came in with the metadata */
    expect_array(f, "d", VOS_EPOCH_MAX, cur, 64 * BLK);
    fix_close(f);
}

TEST_ON(vos_agg_cut, only_where_it_gives_back_an_eighth, BACKEND_SIM)
{
    run(little_body, 0);
}

/* Records that do not fill a block a whole number of times: such an extent stays in one piece. */
static void
odd_records_body(struct fix *f)
{
    enum { SIZE = 3000, NR = 64 };
    struct vos_agg_stat stat;
    struct vos_iod iod = {.akey = IOV("arr"), .type = VOS_IOD_ARRAY, .recx_nr = 1};
    struct recx recx = {0, NR};
    struct vos_oid oid = fix_oid(1);
    struct iov dkey = IOV("d");
    struct vos_fetch *fetch;
    uint64_t at = 0;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, cur, NR * SIZE);
    EXPECT_OK(fix_write(f, 1, "d", "arr", 0, NR, SIZE, cur));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 16, 32, SIZE, cur + 16 * SIZE));
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 0);
    iod.recxs = &recx;
    if (!EXPECT_OK(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch)))
        return;
    for (uint32_t i = 0; i < fetch->iods[0].seg_nr; i++) {
        const struct vos_seg *s = &fetch->iods[0].segs[i];

        EXPECT_EQ(s->idx, at);
        EXPECT_MEM_EQ(s->buf, cur + at * SIZE, s->nr * SIZE);
        at += s->nr;
    }
    EXPECT_EQ(at, NR);
    vos_fetch_free(f->cont, fetch);
    fix_close(f);
}

TEST_ON(vos_agg_cut, records_that_do_not_fit_blocks_stay, BACKEND_SIM)
{
    run(odd_records_body, 0);
}

/* ---- damage --------------------------------------------------------------------------------------------------------- */

/* Change the byte at `at` of the block that begins as `begin` does. */
static bool
flip(struct fix *f, const uint8_t *begin, uint32_t at)
{
    bool found = false;
    uint8_t *buf;

    if (!EXPECT_OK(bio_buf_get(f->bio, BLK, (void **)&buf)))
        return false;
    for (uint64_t addr = BLK; !found && addr < f->cfg.data_bytes; addr += BLK) {
        EXPECT_OK(bio_data_read(f->bio, addr, buf, BLK));
        found = memcmp(buf, begin, 64) == 0;
        if (found) {
            buf[at] ^= 1;
            EXPECT_OK(bio_data_write(f->bio, addr, buf, BLK));
        }
    }
    bio_buf_put(f->bio, buf, BLK);
    return EXPECT(found);
}

/* Chunks of at least eight blocks. */
static void
damage_of(struct fix *f, uint32_t type, uint64_t chunk)
{
    uint8_t got[BLK];
    struct vos_agg_stat stat;
    uint64_t used;

    rng_bytes(&f->rng, cur, 64 * BLK);
    EXPECT_OK(put(f, "d", 0, cur, 64 * BLK, type, chunk));
    /* Half of each eight blocks. */
    for (uint32_t i = 0; i < 64; i += 8) {
        rng_bytes(&f->rng, old, 4 * BLK);
        EXPECT_OK(put(f, "d", (uint64_t)i * BLK, old, 4 * BLK, type, 0));
    }
    used = info_of(f).data_used;
    /* A byte that is seen; one that is not, in another chunk. */
    for (uint32_t i = 0; i < 2; i++) {
        const uint8_t *blk = cur + (i == 0 ? 21 : 34) * BLK;

        if (!flip(f, blk, 1000))
            return;
        stat = pass(f, VOS_AGG_NO_MERGE);
        EXPECT_EQ(stat.csum_bad_nr, 1);
        EXPECT_EQ(stat.cut_nr, 0);
        EXPECT_EQ(info_of(f).data_used, used);
        /* It was bad before, and is not given a sum by which it would be good. */
        EXPECT_ERR(
            fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, (i == 0 ? 21 : 37) * BLK, BLK, 0, got), CSUM);
        EXPECT_OK(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 53 * BLK, BLK, 0, got));
        EXPECT_MEM_EQ(got, cur + 53 * BLK, BLK);
        EXPECT(flip(f, blk, 1000));
    }
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 1);
    EXPECT_EQ(stat.csum_bad_nr, 0);
    EXPECT_EQ(info_of(f).data_used, used - 32 * BLK);
    for (uint32_t i = 0; i < 64; i += 8) {
        EXPECT_OK(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, (i + 5) * BLK, BLK, 0, got));
        EXPECT_MEM_EQ(got, cur + (i + 5) * BLK, BLK);
    }
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    (void)pass(f, 0);
}

/* Chunks of a block: what is seen of it is not looked at, and as bad as before. */
static void
damage_kept(struct fix *f)
{
    uint8_t got[BLK];
    struct vos_agg_stat stat;

    rng_bytes(&f->rng, cur, 64 * BLK);
    EXPECT_OK(put(f, "d", 0, cur, 64 * BLK, 0, 0));
    EXPECT_OK(put(f, "d", 0, cur, 16 * BLK, 0, 0));
    if (!flip(f, cur + 21 * BLK, 1000))
        return;
    stat = pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(stat.cut_nr, 1);
    EXPECT_EQ(info_of(f).data_used, 64 * BLK);
    EXPECT_ERR(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 21 * BLK, BLK, 0, got), CSUM);
    EXPECT_OK(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 20 * BLK, BLK, 0, got));
    EXPECT_MEM_EQ(got, cur + 20 * BLK, BLK);
    EXPECT_ERR(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 0, 64 * BLK, 0, old), CSUM); /* joined */
    EXPECT(flip(f, cur + 21 * BLK, 1000));
    expect_array(f, "d", VOS_EPOCH_MAX, cur, 64 * BLK);
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    (void)pass(f, 0);
}

static void
damage_body(struct fix *f)
{
    if (!fix_format(f))
        return;
    damage_of(f, CSUM_TYPE_CRC32, 16 * BLK);
    damage_of(f, CSUM_TYPE_SHA256, 0);
    damage_kept(f);
    fix_close(f);
}

TEST_ON(vos_agg_cut, a_chunk_that_is_damaged_is_not_cut, BACKEND_LINUX | BACKEND_SIM)
{
    run(damage_body, 16 << 20);
}

/* ---- without room --------------------------------------------------------------------------------------------------- */

/*
 * Values that have cooled, and a data role that is full but for single blocks: as many move as there are. What found no room is remembered, and moves by the next pass after some
 * was given back, although nothing in it changed.
 */
static void
crammed_body(struct fix *f)
{
    enum { COOL_NR = 200 };
    static uint8_t val[BLK];
    struct vos_agg_stat stat;
    uint64_t moved;
    uint32_t nr = 0;
    char key[16];
    size_t len = 0;
    int rc;

    if (!fix_format(f))
        return;
    do { /* two blocks, then one: */
        snprintf(key, sizeof(key), "%c%u", nr % 2 == 0 ? 'f' : 'h', nr);
        rc = fix_put(f, 2, key, "a", cur, nr % 2 == 0 ? 2 * BLK : BLK + 1, 0);
        nr += rc == 0;
    } while (rc == 0 && nr < 100000);
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_GT(nr, 200);
    for (uint32_t i = 0; i < COOL_NR; i++) {
        snprintf(key, sizeof(key), "c%u", i);
        memset(val, (int)i, BLK);
        EXPECT_OK(fix_put(f, 1, key, "a", val, BLK, 0));
    }
    stat = pass(f, VOS_AGG_COOL);
    moved = stat.move_nr;
    EXPECT_LT(moved, COOL_NR);
    EXPECT_GE(stat.left_nr, COOL_NR - moved);
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX) || moved < COOL_NR);
    /* Every tenth goes: holes of two blocks. */
    for (uint32_t i = 0; i < nr; i += 10) {
        snprintf(key, sizeof(key), "f%u", i);
        EXPECT_OK(fix_punch(f, 2, key, NULL, 0));
    }
    stat = pass(f, VOS_AGG_COOL | VOS_AGG_NO_MERGE); /* gives back, moves nothing */
    EXPECT_EQ(stat.move_nr, 0);
    EXPECT_GT(stat.data_freed, 0);
    for (uint32_t i = 0; moved < COOL_NR && i < 10; i++) {
        struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .flags = VOS_AGG_COOL}; /* as it remembers */

        EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
        moved += stat.move_nr;
    }
    EXPECT_EQ(moved, COOL_NR);
    EXPECT_GT(stat.step_nr, 2); /* not in one piece */
    for (uint32_t i = 0; i < COOL_NR; i++) {
        snprintf(key, sizeof(key), "c%u", i);
        memset(val, (int)i, BLK);
        EXPECT_OK(fix_get(f, 1, key, "a", old, sizeof(old), &len));
        EXPECT_EQ(len, BLK);
        EXPECT_MEM_EQ(old, val, BLK);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(bio_check(f->bio));
    fix_close(f);
}

TEST_ON(vos_agg_cut, what_cooled_moves_when_there_is_room_again, BACKEND_SIM)
{
    run(crammed_body, 16 << 20);
}

/* So many bytes of keys that fewer than a step takes are collected at once. */
static void
long_keys_body(struct fix *f)
{
    enum { NR = 40, KEY_BYTES = 3000 };
    static char dkey[KEY_BYTES + 1], akey[KEY_BYTES + 1];
    static uint8_t val[BLK];
    struct vos_agg_stat stat;
    size_t len = 0;

    if (!fix_format(f))
        return;
    memset(dkey, 'd', KEY_BYTES);
    memset(akey, 'a', KEY_BYTES);
    for (uint32_t i = 0; i < NR; i++) {
        snprintf(dkey + KEY_BYTES - 8, 9, "%08u", i);
        memset(val, (int)i + 1, BLK);
        EXPECT_OK(fix_put(f, 1, dkey, akey, val, BLK, 0));
    }
    stat = pass(f, VOS_AGG_COOL);
    EXPECT_EQ(stat.move_nr, NR);
    EXPECT_GE(stat.step_nr, NR / 10); /* ten of them have 60,000 bytes of keys */
    for (uint32_t i = 0; i < NR; i++) {
        snprintf(dkey + KEY_BYTES - 8, 9, "%08u", i);
        memset(val, (int)i + 1, BLK);
        EXPECT_OK(fix_get(f, 1, dkey, akey, old, sizeof(old), &len));
        EXPECT_EQ(len, BLK);
        EXPECT_MEM_EQ(old, val, BLK);
    }
    fix_close(f);
}

TEST_ON(vos_agg_cut, values_below_long_keys_move, BACKEND_SIM)
{
    run(long_keys_body, 0);
}

/* Small extents are not merged while the data role is full, and are once it is not. */
static void
merge_later_body(struct fix *f)
{
    struct vos_agg_stat stat;
    uint32_t nr = 0;
    char key[16];
    int rc;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, cur, 50 * 9000);
    for (uint32_t i = 0; i < 50; i++) {
        EXPECT_OK(put(f, "d", i * 9000, cur + i * 9000, 9000, 0, 0));
    }
    do {
        snprintf(key, sizeof(key), "f%u", nr);
        rc = fix_put(f, 2, key, "a", cur, 200000, 0);
        nr += rc == 0;
    } while (rc == 0);
    EXPECT_ERR(rc, NOSPACE);
    stat = pass(f, 0);
    /* The reserve is there for this, but is less than the run takes. */
    EXPECT_EQ(stat.merge_out_nr, 0);
    EXPECT_GE(stat.left_nr, 1);
    expect_array(f, "d", VOS_EPOCH_MAX, cur, 50 * 9000);
    for (uint32_t i = 0; i < 4; i++) {
        snprintf(key, sizeof(key), "f%u", i);
        EXPECT_OK(fix_punch(f, 2, key, NULL, 0));
    }
    stat = pass(f, 0);
    stat = pass(f, 0);
    EXPECT_EQ(stat.left_nr, 0);
    expect_array(f, "d", VOS_EPOCH_MAX, cur, 50 * 9000);
    EXPECT_LE(info_of(f).data_used, (nr - 4) * ALIGN_UP(200000, BLK) + ALIGN_UP(50 * 9000, BLK));
    fix_close(f);
}

TEST_ON(vos_agg_cut, merging_waits_for_room, BACKEND_SIM)
{
    run(merge_later_body, 16 << 20);
}

/* ---- more extents than are looked at together ------------------------------------------------------------------------- */

struct counted {
    struct fix *f;
    uint32_t nr;
};

static int
extents_body(struct vos_op *op, void *arg)
{
    struct counted *c = arg;
    struct vos_oid oid = fix_oid(1);
    struct iov dk = IOV("d"), ak = IOV("arr");
    struct vos_walk w;
    struct vos_btr t;
    int rc = vos_walk_init(&w, c->f->cont, &oid);

    op->epoch = UINT64_MAX - 1;
    c->nr = 0;
    if (rc == 0)
        rc = vos_walk_obj(op, c->f->cont, &oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &dk, false, &w);
    if (rc == 0)
        rc = vos_walk_akey(op, &ak, false, &w);
    if (rc == 0)
        rc = vos_btr_init(&t, op, &vos_kind_ext, &w.akey->tree, vos_key_tree_off(w.a.off));
    if (rc == 0)
        rc = vos_btr_first(&t);
    for (; rc == 0; rc = vos_btr_next(&t)) {
        c->nr++;
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

static uint32_t
extents(struct fix *f)
{
    struct counted c = {.f = f};
    struct vos_op op;

    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_read_run(f->tgt, &op, extents_body, &c));
    return c.nr;
}

/* Extents with at least one byte that is seen, from number `from` on. */
static uint32_t
owners_nr(const uint16_t *owner, size_t len, uint32_t from)
{
    static bool has[2048];
    uint32_t nr = 0;

    memset(has, 0, sizeof(has));
    for (size_t i = 0; i < len; i++) {
        nr += owner[i] >= from && !has[owner[i]];
        has[owner[i]] = true;
    }
    return nr;
}

/* One large extent and a thousand over it, each of which overlaps the next: what shows is told by searches, batch by batch. */
static void
large_cluster_body(struct fix *f)
{
    enum { FIRST_NR = 700, SECOND_NR = 300, SPAN = FIRST_NR * 1500 + 10000 };
    static uint16_t owner[SPAN];
    uint32_t old_nr, nr = 0;
    uint64_t snap = 0;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, cur, SPAN);
    memset(owner, 0, sizeof(owner));
    EXPECT_OK(put(f, "d", 0, cur, SPAN, 0, 0));
    for (uint32_t i = 0; i < FIRST_NR + SECOND_NR; i++) {
        uint64_t lo = i < FIRST_NR ? i * UINT64_C(1500) : rng_below(&f->rng, SPAN - 5000);
        uint64_t len = i < FIRST_NR ? 2000 : 100 + rng_below(&f->rng, 4900);

        if (i == FIRST_NR) {
            memcpy(old, cur, SPAN);
            snap = info_of(f).epoch_max;
            nr = owners_nr(owner, SPAN, 0);
        }
        rng_bytes(&f->rng, cur + lo, len);
        EXPECT_OK(put(f, "d", lo, cur + lo, len, 0, 0));
        for (uint64_t b = lo; b < lo + len; b++) {
            owner[b] = (uint16_t)(i + 1);
        }
    }
    old_nr = extents(f);
    EXPECT_EQ(old_nr, 1 + FIRST_NR + SECOND_NR);
    (void)pass_of(f, (struct vos_agg_args){.flags = VOS_AGG_NO_MERGE, .snaps = &snap, .snap_nr = 1});
    EXPECT_EQ(extents(f), nr + owners_nr(owner, SPAN, FIRST_NR + 1));
    EXPECT_LT(extents(f), old_nr);
    expect_array(f, "d", snap, old, SPAN);
    expect_array(f, "d", VOS_EPOCH_MAX, cur, SPAN);
    (void)pass(f, VOS_AGG_NO_MERGE);
    EXPECT_EQ(extents(f), owners_nr(owner, SPAN, 0));
    expect_array(f, "d", VOS_EPOCH_MAX, cur, SPAN);
    fix_close(f);
}

TEST_ON(vos_agg_cut, a_cluster_larger_than_a_batch, BACKEND_SIM)
{
    run(large_cluster_body, 0);
}
