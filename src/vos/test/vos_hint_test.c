/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: fetches and changes that go down together find what each alone would (HNT-1..4). Method: ULTs that fetch and change side by side, with and without evictions by the others in between, compared with
 * what they wrote; hints that are old on purpose, also of a dkey whose block belongs to another object since; offsets that make no sense.
 */
#include "vos_test_fix.h"

enum { ULTS_NR = 8, KEYS_NR = 3000, OPS_NR = 400, LONG_BYTES = 1500 };

static void
key_text(uint64_t key, char text[24])
{
    snprintf(text, 24, "k%llu", (unsigned long long)key);
}

/* ---- fetches alone, and side by side -------------------------------------------------------------------------------- */

struct flight {
    struct fix *f;
    uint64_t me;
    uint32_t *versions; /* of each key; 0: it is not there */
    bool changes;
};

static void
expect_value(struct fix *f, uint64_t key, uint32_t version)
{
    uint64_t value[2] = {0};
    size_t len = 0;
    char text[24];

    key_text(key, text);
    EXPECT_OK(fix_get(f, 1, text, "a", value, sizeof(value), &len));
    if (version == 0) {
        EXPECT_EQ(len, 0);
    } else {
        EXPECT_EQ(len, sizeof(value));
        EXPECT_EQ(value[0], key);
        EXPECT_EQ(value[1], version);
    }
}

static void
put_value(struct fix *f, uint64_t key, uint32_t version)
{
    uint64_t value[2] = {key, version};
    char text[24];

    key_text(key, text);
    EXPECT_OK(fix_put(f, 1, text, "a", value, sizeof(value), 0));
}

/* Each looks at keys that nobody else changes. */
static void
flight_main(void *arg)
{
    struct flight *fl = arg;
    struct fix *f = fl->f;
    struct rng rng;
    char text[24];

    rng_init(&rng, test_seed() + fl->me);
    for (uint32_t i = 0; i < OPS_NR; i++) {
        uint64_t key = rng_below(&rng, KEYS_NR / ULTS_NR) * ULTS_NR + fl->me;
        uint64_t what = fl->changes ? rng_below(&rng, 16) : 15;

        if (what == 0) {
            key_text(key, text);
            EXPECT_OK(fix_punch(f, 1, text, NULL, 0));
            fl->versions[key] = 0;
        } else if (what < 4) {
            put_value(f, key, i + 2);
            fl->versions[key] = i + 2;
        } else if (what == 4) {
            (void)umem_evict(bio_umem(f->bio), 8, rng_u64(&rng));
        } else {
            expect_value(f, key, fl->versions[key]);
        }
    }
}

static void
flights_run(struct fix *f, uint32_t *versions, bool changes)
{
    struct flight fl[ULTS_NR];
    struct ult *ults[ULTS_NR];

    for (uint64_t i = 0; i < ULTS_NR; i++) {
        fl[i] = (struct flight){.f = f, .me = i, .versions = versions, .changes = changes};
        EXPECT_OK(ult_create(f->xs, ULT_IO, flight_main, &fl[i], &ults[i]));
    }
    for (uint64_t i = 0; i < ULTS_NR; i++) {
        ult_join(ults[i]);
    }
}

static void
body_flights(struct fix *f)
{
    static uint32_t versions[KEYS_NR];

    if (!fix_format(f))
        return;
    for (uint64_t i = 0; i < KEYS_NR; i++) {
        put_value(f, i, 1);
        versions[i] = 1;
    }
    for (uint64_t i = 0; i < 100; i++) {
        expect_value(f, i * 29, 1);
    }
    EXPECT_EQ(f->tgt->hints.walked_nr, 0); /* HNT-4 */
    flights_run(f, versions, false);
    EXPECT_GE(f->tgt->hints.walked_nr, (uint64_t)ULTS_NR * OPS_NR / 2);
    flights_run(f, versions, true);
    for (uint64_t i = 0; i < KEYS_NR; i++) {
        expect_value(f, i, versions[i]);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* ---- an old hint ---------------------------------------------------------------------------------------------------- */

static uint8_t long_value[LONG_BYTES];

static void
put_long(struct fix *f, const char *key, uint8_t c)
{
    memset(long_value, c, sizeof(long_value));
    EXPECT_OK(fix_put(f, 1, key, "a", long_value, sizeof(long_value), 0));
}

static void
expect_long(struct fix *f, const char *key, int c)
{
    uint8_t got[LONG_BYTES] = {0};
    size_t len = 0;

    EXPECT_OK(fix_get(f, 1, key, "a", got, sizeof(got), &len));
    EXPECT_EQ(len, c < 0 ? 0 : sizeof(got));
    EXPECT_EQ(got[0], c < 0 ? 0 : c);
}

struct stale {
    struct fix *f;
    char one[24], twin[24]; /* the same hash */
};

/* Its turn comes first: it makes the hints for both, and then something else of what the other one is to find. */
static void
stale_first(void *arg)
{
    struct stale *s = arg;

    expect_long(s->f, "other", 'o');
    put_long(s->f, s->twin, 't');
}

static void
stale_second(void *arg)
{
    struct stale *s = arg;

    expect_long(s->f, s->twin, 't');
}

static void
body_stale(struct fix *f)
{
    enum { MASK = 0xff };
    struct stale s = {.f = f, .one = "k0"};
    struct ult *a, *b;
    uint64_t want;

    if (!fix_format(f))
        return;
    vos_test_hash_mask(f->tgt, MASK);
    want = vos_key_hash("k0", 2) & MASK;
    for (uint64_t i = 1; s.twin[0] == '\0'; i++) {
        char text[24];

        key_text(i, text);
        if ((vos_key_hash(text, strlen(text)) & MASK) == want)
            memcpy(s.twin, text, sizeof(text));
    }
    put_long(f, s.one, 'k');
    put_long(f, "other", 'o');
    expect_long(f, s.one, 'k');
    EXPECT_OK(ult_create(f->xs, ULT_IO, stale_first, &s, &a));
    EXPECT_OK(ult_create(f->xs, ULT_IO, stale_second, &s, &b));
    ult_join(a);
    ult_join(b);
    EXPECT_EQ(f->tgt->hints.walked_nr, 2);
    expect_long(f, s.one, 'k');
    fix_close(f);
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

/* Writes over what is there, and makes keys anew. */
static void
change_main(void *arg)
{
    struct flight *fl = arg;
    struct rng rng;

    rng_init(&rng, test_seed() + 100 + fl->me);
    for (uint32_t i = 0; i < OPS_NR; i++) {
        uint64_t key = rng_below(&rng, 2 * KEYS_NR / ULTS_NR) * ULTS_NR + fl->me;

        put_value(fl->f, key, i + 1);
        fl->versions[key] = i + 1;
    }
}

static void
body_changes(struct fix *f)
{
    static uint32_t versions[2 * KEYS_NR];
    struct flight fl[ULTS_NR];
    struct ult *ults[ULTS_NR];

    memset(versions, 0, sizeof(versions));
    if (!fix_format(f))
        return;
    for (uint64_t i = 0; i < KEYS_NR; i++) {
        put_value(f, i, 1);
        versions[i] = 1;
    }
    EXPECT_EQ(f->tgt->hints.walked_nr, 0); /* HNT-4 */
    for (uint64_t i = 0; i < ULTS_NR; i++) {
        fl[i] = (struct flight){.f = f, .me = i, .versions = versions};
        EXPECT_OK(ult_create(f->xs, ULT_IO, change_main, &fl[i], &ults[i]));
    }
    for (uint64_t i = 0; i < ULTS_NR; i++) {
        ult_join(ults[i]);
    }
    EXPECT_GE(f->tgt->hints.walked_nr, (uint64_t)ULTS_NR * OPS_NR / 2);
    for (uint64_t i = 0; i < 2 * KEYS_NR; i++) {
        expect_value(f, i, versions[i]);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* ---- a dkey that went ----------------------------------------------------------------------------------------------- */

static uint64_t
dkey_off(struct fix *f, uint64_t obj, const char *key)
{
    struct vos_oid oid = fix_oid(obj);
    struct iov dkey = IOV(key);
    struct vos_walk w;
    struct vos_op op;

    vos_op_init(&op, f->tgt);
    op.epoch = vos_epoch_now(f->tgt);
    if (EXPECT_OK(vos_walk_init(&w, f->cont, &oid)) &&
        EXPECT_OK(vos_walk_obj(&op, f->cont, &oid, false, &w)))
        EXPECT_OK(vos_walk_dkey(&op, &dkey, false, &w));
    return w.d.off;
}

/* The hints of both are made; then the block of the dkey that the other one has found becomes one of another object, with the same key. */
static void
gone_first(void *arg)
{
    struct fix *f = arg;
    char value[] = "second";
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 6, .data = {value, 6}};
    struct vos_mod mods[] = {{.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(1), .dkey = IOV("gone")},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(2), .dkey = IOV("gone"), .iod_nr = 1, .iods = &iod}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2, .flags = VOS_APPLY_NO_HISTORY};
    uint64_t off = dkey_off(f, 1, "gone");

    expect_long(f, "other", 'o');
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    EXPECT_EQ(dkey_off(f, 2, "gone"), off);
}

static void
gone_second(void *arg)
{
    EXPECT_OK(fix_put(arg, 1, "gone", "a", "first", 5, 0));
}

static void
expect_text(struct fix *f, uint64_t obj, const char *key, const char *text)
{
    char got[8] = {0};
    size_t len = 0;

    EXPECT_OK(fix_get(f, obj, key, "a", got, sizeof(got), &len));
    EXPECT_EQ(len, strlen(text));
    EXPECT(memcmp(got, text, len) == 0);
}

static void
body_gone(struct fix *f)
{
    struct ult *a, *b;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "gone", "a", "x", 1, 0));
    EXPECT_OK(fix_put(f, 2, "left", "a", "left", 4, 0));
    put_long(f, "other", 'o');
    put_long(f, "third", 't');
    expect_long(f, "third", 't');
    EXPECT_OK(ult_create(f->xs, ULT_IO, gone_first, f, &a));
    EXPECT_OK(ult_create(f->xs, ULT_IO, gone_second, f, &b));
    ult_join(a);
    ult_join(b);
    EXPECT_EQ(f->tgt->hints.walked_nr, 2);
    expect_text(f, 1, "gone", "first");
    expect_text(f, 2, "gone", "second");
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* ---- values in a row ------------------------------------------------------------------------------------------------ */

static void
body_row(struct fix *f)
{
    enum { NR = 40 };
    char text[24];

    if (!fix_format(f))
        return;
    for (uint64_t i = 0; i < NR; i++) {
        key_text(i, text);
        put_long(f, text, (uint8_t)i);
    }
    for (uint64_t i = 0; i < NR; i++) {
        key_text(i, text);
        expect_long(f, text, (int)i);
    }
    EXPECT_GE(f->cont->row.hit_nr, (uint32_t)VOS_HINT_ROW_NR / 2);
    /* Behind the last one there is none; and no order at all. */
    for (uint64_t i = 0; i < 4 * (uint64_t)NR; i++) {
        uint64_t at = hash_mix64(i) % NR;

        key_text(at, text);
        expect_long(f, text, (int)at);
    }
    EXPECT_LT(f->cont->row.hit_nr, (uint32_t)VOS_HINT_ROW_NR / 2);
    fix_close(f);
}

/* ---- what makes no sense -------------------------------------------------------------------------------------------- */

static void
body_nonsense(struct fix *f)
{
    static const uint64_t offs[] = {
        0, 3, UMEM_PAGE_BYTES - 8, UMEM_PAGE_BYTES, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX - 7};
    const struct umem *um;
    uint64_t off = 77;

    if (!fix_format(f))
        return;
    um = bio_umem(f->bio);
    for (uint32_t i = 0; i < ARRAY_SIZE(offs); i++) {
        vos_btr_hint(um, offs[i]);
        EXPECT(!vos_btr_hint_step(um, &vos_kind_key_hashed, offs[i], 0, 1, &off));
        EXPECT(!vos_btr_hint_step(um, &vos_kind_key_hashed, offs[i], UINT32_MAX, 1, &off));
        vos_hint_value(f->cont, offs[i], UMEM_PAGE_BYTES);
    }
    EXPECT_EQ(off, 77);
    fix_close(f);
}

#define HINT_TEST(name, body) \
    TEST_ON(vos_hint, name, BACKEND_SIM) \
    { \
        struct fix f; \
        fix_prepare(&f); \
        if (fix_up_default(&f)) \
            EXPECT(fix_run(&f, body)); \
        fix_down(&f); \
    }

HINT_TEST(side_by_side, body_flights)
HINT_TEST(old, body_stale)
HINT_TEST(changes, body_changes)
HINT_TEST(gone, body_gone)
HINT_TEST(in_a_row, body_row)
HINT_TEST(nonsense, body_nonsense)
