/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: what one caller sees of updates, reads, punches, listings and conditions, one feature at a time, on both backends. */
#include "vos_test_fix.h"

static void
single_values(struct fix *f)
{
    static uint8_t big[300000], back[300000];
    char buf[64];
    size_t len = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "hello", 5, 0));
    EXPECT_OK(fix_get(f, 1, "d", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 5);
    EXPECT_MEM_EQ(buf, "hello", 5);
    EXPECT_OK(fix_put(f, 1, "d", "a", "world!", 6, 0));
    EXPECT_OK(fix_get(f, 1, "d", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 6);
    EXPECT_MEM_EQ(buf, "world!", 6);
    EXPECT_OK(fix_get(f, 1, "d", "b", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 0);
    EXPECT_OK(fix_get(f, 2, "d", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 0);
    /* With the metadata, in the data role, and at both sides of the border. */
    rng_bytes(&f->rng, big, sizeof(big));
    for (size_t n = 4095; n < sizeof(big); n = n < 4097 ? n + 1 : n * 3) {
        EXPECT_OK(fix_put(f, 1, "big", "a", big, n, 0));
        EXPECT_OK(fix_get(f, 1, "big", "a", back, sizeof(back), &len));
        EXPECT_EQ(len, n);
        EXPECT_MEM_EQ(back, big, n);
    }
    /* A punched value. */
    EXPECT_OK(fix_put(f, 1, "d", "a", NULL, 0, 0));
    EXPECT_OK(fix_get(f, 1, "d", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 0);
    fix_close(f);
    if (!fix_open(f))
        return;
    EXPECT_OK(fix_get(f, 1, "big", "a", back, sizeof(back), &len));
    EXPECT_GT(len, 4096);
    EXPECT_MEM_EQ(back, big, len);
    fix_close(f);
}

TEST_ON(vos_io, single_values, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(single_values);
}

static void
arrays(struct fix *f)
{
    static uint8_t model[1 << 20], data[1 << 20], back[1 << 20];
    struct vos_oid oid = fix_oid(5);
    struct vos_query_ret q;
    struct iov dk = IOV("d"), ak = IOV("a");

    if (!fix_format(f))
        return;
    memset(model, 0, sizeof(model));
    for (uint32_t i = 0; i < 300; i++) {
        uint64_t nr = 1 + rng_below(&f->rng, rng_chance(&f->rng, 1, 4) ? 200000 : 3000);
        uint64_t idx = rng_below(&f->rng, sizeof(model) - nr);

        if (rng_chance(&f->rng, 1, 10)) {
            EXPECT_OK(fix_write(f, 5, "d", "a", idx, nr, 0, NULL));
            memset(model + idx, 0, nr);
            continue;
        }
        for (uint64_t j = 0; j < nr; j++) {
            data[j] = (uint8_t)(1 + rng_below(&f->rng, 255));
        }
        memcpy(model + idx, data, nr);
        if (!EXPECT_OK(fix_write(f, 5, "d", "a", idx, nr, 1, data)))
            return;
        if (i % 10 == 0) {
            nr = 1 + rng_below(&f->rng, sizeof(model));
            idx = rng_below(&f->rng, sizeof(model) - nr + 1);
            if (!EXPECT_OK(fix_read(f, 5, "d", "a", VOS_EPOCH_MAX, idx, nr, 0, back)))
                return;
            EXPECT_MEM_EQ(back, model + idx, nr);
        }
    }
    EXPECT_OK(fix_read(f, 5, "d", "a", VOS_EPOCH_MAX, 0, sizeof(model), 0, back));
    EXPECT_MEM_EQ(back, model, sizeof(model));
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_RECX, &dk, &ak, &q));
    uint64_t last = sizeof(model) - 1;

    while (last > 0 && model[last] == 0) {
        last--;
    }
    EXPECT_EQ(q.recx.idx + q.recx.nr - 1, last);
    /* Another size of records is refused. */
    EXPECT_ERR(fix_write(f, 5, "d", "a", 0, 4, 2, data), REC_SIZE);
    fix_close(f);
}

TEST_ON(vos_io, arrays, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(arrays);
}

static void
conditions(struct fix *f)
{
    char buf[8];
    size_t len = 0;

    if (!fix_format(f))
        return;
    EXPECT_ERR(fix_put(f, 1, "d", "a", "x", 1, VOS_COND_DKEY_UPDATE), NONEXIST);
    EXPECT_ERR(fix_put(f, 1, "d", "a", "x", 1, VOS_COND_AKEY_UPDATE), NONEXIST);
    EXPECT_ERR(fix_punch(f, 1, NULL, NULL, VOS_COND_PUNCH), NONEXIST);
    EXPECT_ERR(fix_punch(f, 1, "d", NULL, VOS_COND_PUNCH), NONEXIST);
    EXPECT_ERR(fix_punch(f, 1, "d", "a", VOS_COND_PUNCH), NONEXIST);
    EXPECT_OK(fix_put(f, 1, "d", "a", "x", 1, VOS_COND_DKEY_INSERT));
    EXPECT_ERR(fix_put(f, 1, "d", "a", "y", 1, VOS_COND_DKEY_INSERT), EXIST);
    EXPECT_ERR(fix_put(f, 1, "d", "a", "y", 1, VOS_COND_AKEY_INSERT), EXIST);
    EXPECT_OK(fix_put(f, 1, "d", "b", "y", 1, VOS_COND_AKEY_INSERT));
    EXPECT_OK(fix_put(f, 1, "d", "b", "z", 1, VOS_COND_AKEY_UPDATE | VOS_COND_DKEY_UPDATE));
    EXPECT_ERR(
        fix_get_at(f, 1, "e", "a", VOS_EPOCH_MAX, VOS_COND_DKEY_FETCH, buf, 8, &len), NONEXIST);
    EXPECT_ERR(
        fix_get_at(f, 1, "d", "c", VOS_EPOCH_MAX, VOS_COND_AKEY_FETCH, buf, 8, &len), NONEXIST);
    EXPECT_OK(fix_get_at(f, 1, "d", "b", VOS_EPOCH_MAX, VOS_COND_AKEY_FETCH, buf, 8, &len));
    EXPECT_EQ(buf[0], 'z');
    /* Punches, and lives after them. */
    EXPECT_OK(fix_punch(f, 1, "d", "a", VOS_COND_PUNCH));
    EXPECT_ERR(fix_punch(f, 1, "d", "a", VOS_COND_PUNCH), NONEXIST);
    EXPECT_OK(fix_punch(f, 1, "d", "a", 0));
    EXPECT_ERR(fix_put(f, 1, "d", "b", "y", 1, VOS_COND_DKEY_INSERT), EXIST);
    EXPECT_OK(fix_punch(f, 1, "d", "b", VOS_COND_PUNCH)); /* the last one: the dkey goes, too */
    EXPECT_ERR(fix_punch(f, 1, "d", NULL, VOS_COND_PUNCH), NONEXIST);
    EXPECT_OK(fix_put(f, 1, "d", "b", "y", 1, VOS_COND_DKEY_INSERT));
    EXPECT_OK(fix_get(f, 1, "d", "a", buf, 8, &len));
    EXPECT_EQ(len, 0);
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, VOS_COND_PUNCH));
    EXPECT_OK(fix_get(f, 1, "d", "b", buf, 8, &len));
    EXPECT_EQ(len, 0);
    EXPECT_OK(fix_put(f, 1, "e", "b", "q", 1, VOS_COND_DKEY_INSERT));
    EXPECT_OK(fix_get(f, 1, "d", "b", buf, 8, &len));
    EXPECT_EQ(len, 0);
    fix_close(f);
}

TEST_ON(vos_io, conditions, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(conditions);
}

static void
one_request(struct fix *f)
{
    struct vos_iod x = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("x")};
    struct vos_iod y = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("y")};
    struct vos_mod mods[3] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d1"), .iod_nr = 1, .iods = &x},
        {.op = VOS_MOD_PUNCH_OBJ, .oid = fix_oid(1)},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d2"), .iod_nr = 1, .iods = &y},
    };
    struct vos_apply_args args = {.mods = mods, .mod_nr = 3};
    struct vos_apply_ret ret;
    struct fix_keys keys;
    char buf[8];
    size_t len = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d0", "a", "0", 1, 0));
    EXPECT_OK(vos_apply(f->cont, &args, &ret));
    EXPECT(!ret.is_replay);
    /* The punch in the middle hides what came before it, in the request and before the request. */
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, 1, &keys));
    EXPECT_EQ(keys.nr, 1);
    EXPECT_STR_EQ(keys.keys[0], "d2");
    EXPECT_OK(fix_get(f, 1, "d1", "a", buf, 8, &len));
    EXPECT_EQ(len, 0);
    EXPECT_OK(fix_get_at(f, 1, "d0", "a", ret.epoch - 1, 0, buf, 8, &len));
    EXPECT_EQ(len, 1);
    /* All or nothing: the third fails. */
    mods[2].cond = VOS_COND_DKEY_INSERT;
    mods[1] = (struct vos_mod){.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(1), .dkey = IOV("nothing")};
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), EXIST);
    EXPECT_OK(fix_get(f, 1, "d1", "a", buf, 8, &len));
    EXPECT_EQ(len, 0);
    /* The same key twice: the later one is seen. */
    mods[2] = mods[0];
    mods[2].iods = &y;
    EXPECT_OK(vos_apply(f->cont, &args, &ret));
    EXPECT_OK(fix_get(f, 1, "d1", "a", buf, 8, &len));
    EXPECT_EQ(buf[0], 'y');
    fix_close(f);
}

TEST_ON(vos_io, one_request_with_many_modifications, BACKEND_SIM)
{
    fix_body(one_request);
}

static void
listings(struct fix *f)
{
    static struct fix_keys keys;
    char name[16];

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "key%03u", i);
        if (!EXPECT_OK(fix_put(f, 1, name, "a", name, 6, 0)) ||
            !EXPECT_OK(fix_put(f, 1, "dk", name, name, 6, 0)))
            return;
    }
    for (uint32_t max = 1; max < 400; max = max * 3 + 1) {
        bool seen[300] = {0};

        EXPECT_OK(fix_list_keys(f, VOS_LEVEL_AKEY, 1, "dk", VOS_EPOCH_MAX, max, &keys));
        EXPECT_EQ(keys.nr, 300);
        for (uint32_t i = 0; i < keys.nr; i++) {
            uint32_t k = (uint32_t)atoi(keys.keys[i] + 3);

            EXPECT(k < 300 && !seen[k]);
            seen[k % 300] = true;
        }
        EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, max, &keys));
        EXPECT_EQ(keys.nr, 301);
    }
    fix_close(f);
}

TEST_ON(vos_io, listings, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(listings);
}

static void
list_io(struct fix *f)
{
    static struct recx recxs[VOS_RECXS_NR_MAX];
    static uint8_t data[VOS_RECXS_NR_MAX * 3], back[VOS_RECXS_NR_MAX * 10];
    struct vos_iod iod = {.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = VOS_RECXS_NR_MAX,
        .recxs = recxs,
        .data = {data, sizeof(data)}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_oid oid = fix_oid(1);
    struct iov dk = IOV("d");
    struct vos_fetch *fetch;
    bool same = true;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, data, sizeof(data));
    for (uint64_t i = 0; i < VOS_RECXS_NR_MAX; i++) {
        recxs[i] = (struct recx){(i * 7919) % VOS_RECXS_NR_MAX * 10, 3};
    }
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, sizeof(back), 0xee, back));
    for (uint64_t i = 0; i < VOS_RECXS_NR_MAX; i++) {
        same = same && memcmp(back + recxs[i].idx, data + i * 3, 3) == 0 &&
            back[recxs[i].idx + 3] == 0xee;
    }
    EXPECT(same);
    if (EXPECT_OK(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch))) {
        EXPECT_EQ(fetch->iods[0].seg_nr, VOS_RECXS_NR_MAX);
        EXPECT_EQ(fetch->data_bytes, sizeof(data));
        for (uint32_t i = 0; i < fetch->iods[0].seg_nr; i++) {
            same = same && memcmp(fetch->iods[0].segs[i].buf, data + (size_t)i * 3, 3) == 0;
        }
        EXPECT(same);
        vos_fetch_free(f->cont, fetch);
    }
    /* Again, over what is there, and beside it. */
    for (uint64_t i = 0; i < VOS_RECXS_NR_MAX; i++) {
        recxs[i].idx += i % 2 * 5;
    }
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, sizeof(back), 0xee, back));
    for (uint64_t i = 0; i < VOS_RECXS_NR_MAX; i++) {
        same = same && memcmp(back + recxs[i].idx, data + i * 3, 3) == 0;
    }
    EXPECT(same);
    EXPECT_OK(vos_tgt_check(f->tgt));
    recxs[5] = recxs[4];
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL); /* they overlap */
    iod.recx_nr++;
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL);
    fix_close(f);
}

/* Goal: what one transaction does is bounded over all its modifications together (ST-9). */
static void
parts_io(struct fix *f)
{
    enum { MOD_NR = 5, NR = VOS_PARTS_NR_MAX / (MOD_NR - 1) };
    static struct recx recxs[NR + 1];
    static uint8_t data[NR + 1];
    struct vos_iod iods[MOD_NR];
    struct vos_mod mods[MOD_NR];

    if (!fix_format(f))
        return;
    for (uint64_t i = 0; i <= NR; i++) {
        recxs[i] = (struct recx){i * 2, 1};
    }
    for (uint32_t m = 0; m < MOD_NR; m++) {
        iods[m] = (struct vos_iod){.akey = IOV("a"),
            .type = VOS_IOD_ARRAY,
            .size = 1,
            .recx_nr = NR,
            .recxs = recxs,
            .data = {data, NR}};
        mods[m] = (struct vos_mod){.op = VOS_MOD_UPDATE,
            .oid = fix_oid(m + 1),
            .dkey = IOV("d"),
            .iod_nr = 1,
            .iods = &iods[m]};
    }
    struct vos_apply_args args = {.mods = mods, .mod_nr = MOD_NR - 1};

    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    args.mod_nr = MOD_NR;
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    mods[MOD_NR - 1].op = VOS_MOD_PUNCH_OBJ;
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    mods[MOD_NR - 1].op = VOS_MOD_PUNCH_AKEYS;
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    args.mod_nr = MOD_NR - 1;
    iods[0].recx_nr++;
    iods[0].data.len++;
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_io, parts_of_a_request_are_bounded, BACKEND_SIM)
{
    fix_body(parts_io);
}

/* Goal: the largest request there may be fits a log record, also where every range splits a node. */
static void
splits_io(struct fix *f)
{
    enum { LEN = VOS_INLINE_SMALL_BYTES_MAX, LEAF_NR = 15, FULL_NR = VOS_PARTS_NR_MAX * LEAF_NR };
    static uint8_t data[VOS_PARTS_NR_MAX * LEN], back[LEN];
    static struct recx recxs[VOS_PARTS_NR_MAX];
    struct vos_iod iod = {.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = VOS_PARTS_NR_MAX,
        .recxs = recxs,
        .data = {data, VOS_PARTS_NR_MAX}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, data, sizeof(data));
    /* Full leaves, one after the other. */
    for (uint64_t i = 0; i < FULL_NR; i += VOS_PARTS_NR_MAX) {
        for (uint64_t k = 0; k < VOS_PARTS_NR_MAX; k++) {
            recxs[k] = (struct recx){(i + k) * 1000, 1};
        }
        EXPECT_OK(fix_mod(f, &mod, NULL));
    }
    for (uint64_t k = 0; k < VOS_PARTS_NR_MAX; k++) {
        recxs[k] = (struct recx){(k * LEAF_NR + 7) * 1000 + 100, LEN};
    }
    iod.data.len = sizeof(data);
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, recxs[77].idx, LEN, 0, back));
    EXPECT_MEM_EQ(back, data + 77 * LEN, LEN);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_io, every_range_splits_a_node, BACKEND_SIM)
{
    fix_body(splits_io);
}

/* Goal: values that would make the log record of a request too large go to the data role; the others stay with the index. */
static void
inline_sum_io(struct fix *f)
{
    enum { NR = 1000, LEN = 4096, SMALL = 500 };
    static uint8_t data[NR * LEN], back[NR * LEN];
    static struct recx recxs[NR];
    struct vos_iod iod = {.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = NR,
        .recxs = recxs,
        .data = {data, sizeof(data)}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_cont_info info;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, data, sizeof(data));
    for (uint64_t i = 0; i < NR; i++) {
        recxs[i] = (struct recx){i * 7 % NR * LEN, LEN};
    }
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, sizeof(back), 0, back));
    for (uint32_t i = 0; i < NR && !test_failed(); i++) {
        EXPECT_MEM_EQ(back + recxs[i].idx, data + (size_t)i * LEN, LEN);
    }
    EXPECT_OK(vos_cont_query(f->cont, &info));
    EXPECT_EQ(info.data_used, sizeof(data));
    EXPECT_LT(info.meta_used, 400 * NR);
    /* As many bytes in values of which most are small. */
    for (uint64_t i = 0; i < NR; i++) {
        recxs[i].nr = i % 4 == 0 ? LEN : SMALL;
    }
    iod.data.len = NR / 4 * LEN + NR / 4 * 3 * SMALL;
    mod.oid = fix_oid(2);
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(vos_cont_query(f->cont, &info));
    EXPECT_EQ(info.data_used, sizeof(data) + NR / 4 * LEN);
    /* Fewer bytes: all with the index. */
    iod.recx_nr = 200;
    iod.data.len = 50 * LEN + 150 * SMALL;
    mod.oid = fix_oid(3);
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(vos_cont_query(f->cont, &info));
    EXPECT_EQ(info.data_used, sizeof(data) + NR / 4 * LEN);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_io, many_values_of_a_page, BACKEND_SIM)
{
    fix_body(inline_sum_io);
}

/* Many ranges of both sorts of values, not in order. */
static void
mixed_list_io(struct fix *f)
{
    enum { NR = 50, LEN = 6000 };
    static uint8_t data[NR * LEN], back[NR * LEN];
    struct recx recxs[NR];
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_ARRAY, .size = 1, .recx_nr = NR, .recxs = recxs};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    uint64_t at = 0;

    if (!fix_format(f))
        return;
    rng_bytes(&f->rng, data, sizeof(data));
    for (uint64_t i = 0; i < NR; i++) {
        recxs[i] = (struct recx){i * 17 % NR * LEN, i % 3 == 0 ? LEN - 5 : 100 + i};
        at += recxs[i].nr;
    }
    iod.data = (struct iov){data, at};
    EXPECT_OK(fix_mod(f, &mod, NULL));
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, sizeof(back), 0, back));
    at = 0;
    for (uint64_t i = 0; i < NR; i++) {
        EXPECT_MEM_EQ(back + recxs[i].idx, data + at, recxs[i].nr);
        at += recxs[i].nr;
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_io, ranges_of_both_sorts, BACKEND_SIM)
{
    fix_body(mixed_list_io);
}

TEST_ON(vos_io, as_many_ranges_as_allowed, BACKEND_SIM)
{
    fix_body(list_io);
}

static int
try_update(struct fix *f, struct iov dkey, struct iov akey, enum vos_iod_type type, uint64_t size,
    size_t data_len)
{
    static uint8_t data[64];
    struct recx recx = {0, 4};
    struct vos_iod iod = {.akey = akey,
        .type = type,
        .size = size,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {data, data_len}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = dkey, .iod_nr = 1, .iods = &iod};

    return fix_mod(f, &mod, NULL);
}

static void
bad_arguments(struct fix *f)
{
    static char key[VOS_KEY_BYTES_MAX + 1];
    struct iov k = IOV("k"), none = {NULL, 0}, empty = {key, 0}, longest = {key, VOS_KEY_BYTES_MAX},
               over = {key, VOS_KEY_BYTES_MAX + 1};
    struct vos_iod iods[2] = {{.akey = k, .type = VOS_IOD_SINGLE, .size = 1, .data = k},
        {.akey = k, .type = VOS_IOD_SINGLE, .size = 1, .data = k}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = k, .iod_nr = 2, .iods = iods};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 0};
    char buf[8];
    size_t len = 0;

    if (!fix_format(f))
        return;
    memset(key, 'k', sizeof(key));
    EXPECT_ERR(try_update(f, none, k, VOS_IOD_SINGLE, 1, 1), INVAL);
    EXPECT_ERR(try_update(f, empty, k, VOS_IOD_SINGLE, 1, 1), INVAL);
    EXPECT_ERR(try_update(f, k, none, VOS_IOD_SINGLE, 1, 1), INVAL);
    EXPECT_ERR(try_update(f, over, k, VOS_IOD_SINGLE, 1, 1), KEY2BIG);
    EXPECT_ERR(try_update(f, k, over, VOS_IOD_SINGLE, 1, 1), KEY2BIG);
    EXPECT_OK(try_update(f, longest, longest, VOS_IOD_SINGLE, 1, 1));
    EXPECT_ERR(try_update(f, k, k, VOS_IOD_SINGLE, 1, 2), INVAL);
    EXPECT_ERR(try_update(f, k, k, VOS_IOD_SINGLE, VOS_VALUE_BYTES_MAX + 1, 0), REC2BIG);
    EXPECT_ERR(try_update(f, k, k, VOS_IOD_ARRAY, VOS_VALUE_BYTES_MAX, 0), REC2BIG);
    EXPECT_ERR(try_update(f, k, k, VOS_IOD_ARRAY, UINT64_MAX, 0), REC2BIG);
    EXPECT_ERR(try_update(f, k, k, VOS_IOD_ARRAY, 2, 4), INVAL);
    EXPECT_ERR(try_update(f, k, k, (enum vos_iod_type)7, 1, 1), INVAL);
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL); /* one akey twice */
    mod.iod_nr = 0;
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL);
    mod.iod_nr = 1;
    mod.op = (enum vos_mod_op)9;
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL);
    mod.op = VOS_MOD_UPDATE;
    mod.cond = 256;
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL);
    mod.cond = 0;
    mod.oid.oid.hi = UINT64_C(200) << 56; /* no such type of objects */
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL);
    mod.oid.oid.hi = UINT64_C(2) << 56; /* integer dkeys have 8 bytes */
    EXPECT_ERR(fix_mod(f, &mod, NULL), INVAL);
    mod.oid.oid.hi = UINT64_C(7) << 56; /* lexical ones at most 80 */
    mod.dkey = (struct iov){key, VOS_KEY_LEXICAL_BYTES_MAX + 1};
    EXPECT_ERR(fix_mod(f, &mod, NULL), KEY2BIG);
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    args.mod_nr = VOS_MODS_NR_MAX + 1;
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INVAL);
    /* An akey holds one kind of value. */
    EXPECT_OK(try_update(f, k, k, VOS_IOD_SINGLE, 1, 1));
    EXPECT_ERR(try_update(f, k, k, VOS_IOD_ARRAY, 1, 4), INVAL);
    EXPECT_OK(fix_read(f, 1, "k", "k", VOS_EPOCH_MAX, 0, 4, 9, (uint8_t *)buf));
    EXPECT_EQ(buf[0], 9);
    EXPECT_ERR(fix_get_at(f, 1, "k", "k", VOS_EPOCH_MAX, 1 << 20, buf, 8, &len), INVAL);
    fix_close(f);
}

TEST_ON(vos_io, bad_arguments, BACKEND_SIM)
{
    fix_body(bad_arguments);
}
