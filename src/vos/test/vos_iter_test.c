/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: an iteration tells everything of its range of epochs, once, in its order and with its state, whatever happens between its steps, and leaves no trace. Method: small histories with
 * what they must look like written down; a large array against a table of its cells; keys that come and go, aggregation, evictions and restarts between the steps; anchors that were
 * changed. Random histories of all kinds are compared in test/model.
 */
#include "vos_test_fix.h"

enum { ENTS_NR_MAX = 4096, BUF_BYTES = 1 << 20 };

struct got {
    uint32_t nr;
    struct vos_iter_ent ents[ENTS_NR_MAX];
    uint8_t buf[BUF_BYTES];
};

static struct got *
got_of(struct fix *f)
{
    return f->arg;
}

static void
run_body(void (*fn)(struct fix *f), uint64_t mem_bytes)
{
    struct fix f;

    fix_prepare(&f);
    f.arg = calloc(1, sizeof(struct got));
    if (mem_bytes != 0)
        f.cfg.mem_bytes = mem_bytes;
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, fn));
    fix_down(&f);
    free(f.arg);
}

#define ITER_TEST(name_) \
    TEST_ON(vos_iter, name_, BACKEND_SIM) \
    { \
        run_body(name_##_body, 0); \
    }

static struct vos_iter_args
args_of(struct fix *f, enum vos_iter_type type, uint32_t flags, uint64_t obj, const char *dkey,
    const char *akey)
{
    return (struct vos_iter_args){.type = type,
        .flags = flags,
        .hi = VOS_EPOCH_MAX,
        .pool = f->pool,
        .cont = f->cont,
        .oid = fix_oid(obj),
        .dkey = dkey == NULL ? (struct iov){0} : IOV(dkey),
        .akey = akey == NULL ? (struct iov){0} : IOV(akey)};
}

/* Everything, `step` entries a call. */
static int
take(struct fix *f, const struct vos_iter_args *args, uint32_t step)
{
    struct vos_iter_anchor anchor = {.eof = false};
    struct got *g = got_of(f);
    size_t at = 0;
    int rc = 0;

    g->nr = 0;
    while (rc == 0 && !anchor.eof && g->nr + step <= ENTS_NR_MAX) {
        uint32_t nr = 0;

        rc = vos_iter_fill(
            f->tgt, args, &anchor, &g->ents[g->nr], step, g->buf + at, sizeof(g->buf) - at, &nr);
        for (uint32_t i = 0; i < nr; i++) {
            const struct vos_iter_ent *e = &g->ents[g->nr + i];

            at += e->key.len + (e->csums != NULL ? (size_t)e->csum_nr * e->csum_len : 0) +
                (e->data != NULL ? e->stored_len : 0);
        }
        g->nr += nr;
    }
    return rc;
}

static bool
key_is(const struct vos_iter_ent *e, const char *key)
{
    return e->key.len == strlen(key) && memcmp(e->key.buf, key, e->key.len) == 0;
}

/* The entry of a key; NULL: not told. */
static const struct vos_iter_ent *
key_find(struct fix *f, const char *key)
{
    const struct vos_iter_ent *found = NULL;

    for (uint32_t i = 0; i < got_of(f)->nr; i++) {
        if (!key_is(&got_of(f)->ents[i], key))
            continue;
        EXPECT(found == NULL);
        found = &got_of(f)->ents[i];
    }
    return found;
}

static int
punch_value(struct fix *f, uint64_t obj, const char *dkey, const char *akey, uint64_t *ret_epoch)
{
    struct vos_iod iod = {.akey = IOV(akey), .type = VOS_IOD_SINGLE};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(obj), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};

    return fix_mod(f, &mod, ret_epoch);
}

static uint64_t
last(struct fix *f)
{
    return f->tgt->clock.last;
}

/* ---- single values -------------------------------------------------------------------------------------------------- */

static void
single_values_body(struct fix *f)
{
    const uint32_t all = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED | VOS_ITER_HOLES;
    const struct got *g = got_of(f);
    struct vos_iter_args args;
    uint64_t e[6] = {0};
    char big[9000];

    memset(big, 'b', sizeof(big));
    if (!fix_format(f))
        return;
    args = args_of(f, VOS_ITER_SINGLE, all, 1, "d", "a");
    EXPECT_OK(fix_put(f, 1, "d", "a", "one", 3, 0));
    e[0] = last(f);
    EXPECT_OK(fix_punch(f, 1, "d", NULL, 0));
    e[1] = last(f);
    EXPECT_OK(fix_put(f, 1, "d", "a", big, sizeof(big), 0));
    e[2] = last(f);
    EXPECT_OK(punch_value(f, 1, "d", "a", &e[3]));
    EXPECT_OK(fix_put(f, 1, "d", "a", "four", 4, 0));
    e[4] = last(f);
    for (uint32_t step = 1; step < 6; step++) {
        EXPECT_OK(take(f, &args, step));
        if (!EXPECT_EQ(g->nr, 4))
            return;
        EXPECT(g->ents[0].epoch == e[0] && g->ents[0].state == VOS_ITER_PUNCHED);
        EXPECT(g->ents[1].epoch == e[2] && g->ents[1].state == VOS_ITER_COVERED);
        EXPECT(g->ents[2].epoch == e[3] && g->ents[2].state == VOS_ITER_COVERED);
        EXPECT(g->ents[3].epoch == e[4] && g->ents[3].state == VOS_ITER_VISIBLE);
    }
    EXPECT(g->ents[0].is_inline && !g->ents[0].is_hole && g->ents[0].size == 3);
    EXPECT(g->ents[0].stored_len == 3 && memcmp(g->ents[0].data, "one", 3) == 0);
    EXPECT(g->ents[0].csum_type == 2 && g->ents[0].csum_nr == 1 && g->ents[0].csum_len == 4);
    EXPECT(!g->ents[1].is_inline && g->ents[1].addr != 0 && g->ents[1].addr % 4096 == 0);
    EXPECT(g->ents[1].size == sizeof(big) && g->ents[1].minor == 1 && g->ents[1].dtx == 0);
    EXPECT(g->ents[2].is_hole && g->ents[2].size == 0 && g->ents[2].addr == 0);
    args.flags |= VOS_ITER_DESCENDING;
    EXPECT_OK(take(f, &args, 3));
    EXPECT(g->nr == 4 && g->ents[0].epoch == e[4] && g->ents[3].epoch == e[0]);
    /* What is visible at the end of the range is told when it was written in it. */
    args.flags = 0;
    EXPECT_OK(take(f, &args, 3));
    EXPECT(g->nr == 1 && g->ents[0].epoch == e[4]);
    args.hi = e[2];
    EXPECT_OK(take(f, &args, 3));
    EXPECT(g->nr == 1 && g->ents[0].epoch == e[2] && g->ents[0].state == VOS_ITER_VISIBLE);
    args.hi = e[3];
    EXPECT_OK(take(f, &args, 3));
    EXPECT_EQ(g->nr, 0); /* a hole */
    args.flags = VOS_ITER_HOLES;
    EXPECT_OK(take(f, &args, 3));
    EXPECT(g->nr == 1 && g->ents[0].epoch == e[3] && g->ents[0].is_hole);
    args.lo = e[3] + 1;
    args.hi = e[4] - 1;
    EXPECT_OK(take(f, &args, 3));
    EXPECT_EQ(g->nr, 0);
    args.flags = VOS_ITER_PUNCHED;
    args.lo = e[0];
    args.hi = e[1];
    EXPECT_OK(take(f, &args, 3));
    EXPECT(g->nr == 1 && g->ents[0].epoch == e[0]);
    args.lo = e[0] + 1;
    EXPECT_OK(take(f, &args, 3));
    EXPECT_EQ(g->nr, 0);
    /* Another kind of value, and what is not there. */
    args = args_of(f, VOS_ITER_EXTENT, all, 1, "d", "a");
    EXPECT_OK(take(f, &args, 3));
    EXPECT_EQ(g->nr, 0);
    args = args_of(f, VOS_ITER_SINGLE, all, 1, "nothing", "a");
    EXPECT_OK(take(f, &args, 3));
    EXPECT_EQ(g->nr, 0);
    args = args_of(f, VOS_ITER_SINGLE, all, 2, "d", "a");
    EXPECT_OK(take(f, &args, 3));
    EXPECT_EQ(g->nr, 0);
    fix_close(f);
}
ITER_TEST(single_values)

/* ---- keys, objects, logs -------------------------------------------------------------------------------------------- */

static void
keys_body(struct fix *f)
{
    const struct got *g = got_of(f);
    const struct vos_iter_ent *e;
    struct vos_iter_args args;
    uint64_t e1, e2, e3, e4, e5;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "first", "a", "x", 1, 0));
    EXPECT_OK(fix_put(f, 1, "second", "a", "x", 1, 0));
    e1 = last(f);
    EXPECT_OK(fix_punch(f, 1, "first", NULL, 0));
    e2 = last(f);
    EXPECT_OK(fix_put(f, 1, "third", "a", "x", 1, 0));
    e3 = last(f);
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    e4 = last(f);
    EXPECT_OK(fix_put(f, 1, "second", "a", "x", 1, 0));
    EXPECT_OK(fix_write(f, 1, "second", "arr", 7, 3, 5, "123456789012345"));
    e5 = last(f);

    args = args_of(f, VOS_ITER_DKEY, 0, 1, NULL, NULL);
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && key_is(&g->ents[0], "second") && g->ents[0].state == VOS_ITER_VISIBLE);
    EXPECT(g->ents[0].create.epoch > e4 && g->ents[0].punch_above.epoch == e4);
    EXPECT_EQ(g->ents[0].punch.epoch, 0);
    args.hi = e3;
    EXPECT_OK(take(f, &args, 2));
    EXPECT(g->nr == 2 && key_find(f, "first") == NULL && key_find(f, "third") != NULL);

    args.flags = VOS_ITER_PUNCHED;
    EXPECT_OK(take(f, &args, 2));
    EXPECT(g->nr == 1 && key_is(&g->ents[0], "first") && g->ents[0].state == VOS_ITER_PUNCHED);
    EXPECT(g->ents[0].punch.epoch == e2 && g->ents[0].create.epoch < e1);
    args.flags |= VOS_ITER_VISIBLE;
    args.hi = VOS_EPOCH_MAX;
    EXPECT_OK(take(f, &args, 2));
    EXPECT_EQ(g->nr, 3);
    e = key_find(f, "third");
    if (EXPECT(e != NULL))
        EXPECT(e->state == VOS_ITER_PUNCHED && e->punch.epoch == 0 && e->punch_above.epoch == e4);
    /* "first" was gone before this range, "third" went in it. */
    args.lo = e2 + 1;
    EXPECT_OK(take(f, &args, 2));
    EXPECT(g->nr == 2 && key_find(f, "first") == NULL && key_find(f, "third") != NULL);
    args.lo = e4;
    EXPECT_OK(take(f, &args, 2));
    EXPECT(g->nr == 2 && key_find(f, "third") != NULL);
    args.lo = e4 + 1;
    EXPECT_OK(take(f, &args, 2));
    EXPECT(g->nr == 1 && key_find(f, "third") == NULL);

    args = args_of(f, VOS_ITER_AKEY, VOS_ITER_VISIBLE | VOS_ITER_PUNCHED, 1, "second", NULL);
    EXPECT_OK(take(f, &args, 2));
    EXPECT_EQ(g->nr, 2);
    e = key_find(f, "arr");
    if (EXPECT(e != NULL))
        EXPECT(e->value_type == VOS_IOD_ARRAY && e->rec_size == 5 && e->create.epoch == e5);
    e = key_find(f, "a");
    if (EXPECT(e != NULL))
        EXPECT(e->value_type == VOS_IOD_SINGLE && e->rec_size == 0 && e->off != 0);

    args = args_of(f, VOS_ITER_LOG, 0, 1, NULL, NULL);
    EXPECT_OK(take(f, &args, 1));
    if (EXPECT_EQ(g->nr, 3)) {
        EXPECT(g->ents[0].create_minor == 1 && g->ents[0].punch_minor == 0);
        EXPECT(g->ents[1].epoch == e4 && g->ents[1].punch_minor == 1);
        EXPECT(g->ents[2].epoch > e4 && g->ents[2].create_minor == 1);
    }
    args.lo = args.hi = e4;
    EXPECT_OK(take(f, &args, 5));
    EXPECT(g->nr == 1 && g->ents[0].epoch == e4);
    args = args_of(f, VOS_ITER_LOG, 0, 1, "first", NULL);
    EXPECT_OK(take(f, &args, 5));
    EXPECT(g->nr == 2 && g->ents[1].epoch == e2 && g->ents[1].punch_minor == 1);
    args = args_of(f, VOS_ITER_LOG, 0, 1, "second", "arr");
    EXPECT_OK(take(f, &args, 5));
    EXPECT(g->nr == 1 && g->ents[0].epoch == e5);
    fix_close(f);
}
ITER_TEST(keys)

static void
objects_body(struct fix *f)
{
    const struct got *g = got_of(f);
    struct vos_iter_args args;
    uint64_t e1, e2;
    struct uuid other = {.b = {5}};

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_pool_create(f->tgt, other, 1 << 20, 1 << 20));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, other));
    EXPECT_OK(fix_put(f, 1, "d", "a", "x", 1, 0));
    e1 = last(f);
    EXPECT_OK(fix_put(f, 2, "d", "a", "x", 1, 0));
    EXPECT_OK(fix_put(f, 3, "d", "a", "x", 1, 0));
    EXPECT_OK(fix_punch(f, 2, NULL, NULL, 0));
    e2 = last(f);
    args = args_of(f, VOS_ITER_POOL, 0, 0, NULL, NULL);
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 2 && cuuid_cmp(&g->ents[0].uuid, &other) == 0 &&
        cuuid_cmp(&g->ents[1].uuid, &f->pool) == 0);
    args.type = VOS_ITER_CONT;
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 2 && cuuid_cmp(&g->ents[0].uuid, &other) == 0);
    EXPECT(g->ents[1].cont.obj_nr == 3 && g->ents[1].cont.epoch_max == e2);
    args.lo = e2; /* the other one was never changed */
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && cuuid_cmp(&g->ents[0].uuid, &f->cont_id) == 0);
    args.pool = f->cont_id; /* no pool */
    EXPECT_OK(take(f, &args, 1));
    EXPECT_EQ(g->nr, 0);
    args = args_of(f, VOS_ITER_OBJ, 0, 0, NULL, NULL);
    EXPECT_OK(take(f, &args, 1));
    EXPECT_EQ(g->nr, 2);
    args.flags = VOS_ITER_PUNCHED;
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && g->ents[0].oid.oid.lo == 2 && g->ents[0].punch.epoch == e2);
    EXPECT_EQ(g->ents[0].epoch_max, e2);
    args.flags = 0;
    args.lo = e1 + 1;
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && g->ents[0].oid.oid.lo == 3);
    fix_close(f);
}
ITER_TEST(objects)

/* ---- extents -------------------------------------------------------------------------------------------------------- */

static bool
part_is(const struct vos_iter_ent *e, uint64_t lo, uint64_t nr, uint32_t state, uint64_t epoch)
{
    bool ok = e->recx.idx == lo && e->recx.nr == nr && e->state == state && e->epoch == epoch;

    if (!ok) {
        fprintf(stderr, "    [%llu+%llu] state %u\n", (unsigned long long)e->recx.idx,
            (unsigned long long)e->recx.nr, e->state);
    }
    return ok;
}

static int
punch_range(struct fix *f, uint64_t idx, uint64_t nr)
{
    return fix_write(f, 1, "d", "arr", idx, nr, 0, "");
}

static void
extents_body(struct fix *f)
{
    const uint32_t all = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED | VOS_ITER_HOLES;
    const struct got *g = got_of(f);
    struct vos_iter_args args;
    uint64_t e[6] = {0};
    char data[200];

    memset(data, 'x', sizeof(data));
    if (!fix_format(f))
        return;
    EXPECT_OK(fix_write(f, 1, "d", "arr", 50, 10, 1, data));
    e[0] = last(f);
    EXPECT_OK(fix_punch(f, 1, "d", "arr", 0));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 0, 100, 1, data));
    e[1] = last(f);
    EXPECT_OK(fix_write(f, 1, "d", "arr", 20, 10, 1, data));
    e[2] = last(f);
    EXPECT_OK(punch_range(f, 25, 20));
    e[3] = last(f);
    EXPECT_OK(fix_write(f, 1, "d", "arr", 90, 20, 1, data));
    e[4] = last(f);
    args = args_of(f, VOS_ITER_EXTENT, all, 1, "d", "arr");
    for (uint32_t step = 1; step < 10; step++) {
        EXPECT_OK(take(f, &args, step));
        if (!EXPECT_EQ(g->nr, 10 - 1))
            return;
        EXPECT(part_is(&g->ents[0], 0, 20, VOS_ITER_VISIBLE, e[1]));
        EXPECT(part_is(&g->ents[1], 20, 25, VOS_ITER_COVERED, e[1]));
        EXPECT(part_is(&g->ents[2], 45, 45, VOS_ITER_VISIBLE, e[1]));
        EXPECT(part_is(&g->ents[3], 90, 10, VOS_ITER_COVERED, e[1]));
        EXPECT(part_is(&g->ents[4], 20, 5, VOS_ITER_VISIBLE, e[2]));
        EXPECT(part_is(&g->ents[5], 25, 5, VOS_ITER_COVERED, e[2]));
        EXPECT(part_is(&g->ents[6], 25, 20, VOS_ITER_VISIBLE, e[3]) && g->ents[6].is_hole);
        EXPECT(part_is(&g->ents[7], 50, 10, VOS_ITER_PUNCHED, e[0]));
        EXPECT(part_is(&g->ents[8], 90, 20, VOS_ITER_VISIBLE, e[4]));
        EXPECT(g->ents[3].ext.idx == 0 && g->ents[3].ext.nr == 100 && g->ents[3].size == 100);
        EXPECT(g->ents[8].rec_size == 1 && g->ents[8].is_inline && g->ents[8].minor == 1);
    }
    args.flags = 0;
    EXPECT_OK(take(f, &args, 1));
    EXPECT_EQ(g->nr, 4);
    args.flags = VOS_ITER_COVERED;
    EXPECT_OK(take(f, &args, 1));
    EXPECT_EQ(g->nr, 3);
    args.flags = VOS_ITER_PUNCHED;
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && g->ents[0].recx.idx == 50);
    /* At an earlier end nothing is hidden yet; of an earlier beginning nothing is told. */
    args.flags = 0;
    args.hi = e[2];
    EXPECT_OK(take(f, &args, 1));
    EXPECT_EQ(g->nr, 3);
    args.lo = e[2];
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && part_is(&g->ents[0], 20, 10, VOS_ITER_VISIBLE, e[2]));
    args.lo = 0;
    args.hi = e[0];
    EXPECT_OK(take(f, &args, 1));
    EXPECT(g->nr == 1 && part_is(&g->ents[0], 50, 10, VOS_ITER_VISIBLE, e[0]));
    fix_close(f);
}
ITER_TEST(extents)

/* A large array against a table: for each index the epochs written to it, in order. */
enum { CELLS_NR = 3000, WRITES_NR = 1500 };

struct cells {
    uint32_t nr;
    struct {
        uint64_t lo, hi, epoch;
        bool is_hole;
    } w[WRITES_NR];
};

/* Compare an iteration of a range of epochs with all writes. */
static void
cells_compare(struct fix *f, const struct cells *c, const struct vos_iter_args *args, uint32_t step,
    bool with_evictions)
{
    static uint8_t seen[WRITES_NR][CELLS_NR];
    static uint32_t top[CELLS_NR];
    struct vos_iter_anchor anchor = {.eof = false};
    struct got *g = got_of(f);
    uint64_t want = 0, told = 0;

    memset(seen, 0, sizeof(seen));
    memset(top, 0xff, sizeof(top));
    for (uint32_t w = 0; w < c->nr && c->w[w].epoch <= args->hi; w++) {
        for (uint64_t i = c->w[w].lo; i <= c->w[w].hi; i++) {
            top[i] = w;
        }
    }
    while (!anchor.eof) {
        uint32_t nr = 0;

        if (!EXPECT_OK(
                vos_iter_fill(f->tgt, args, &anchor, g->ents, step, g->buf, sizeof(g->buf), &nr)))
            return;
        for (uint32_t k = 0; k < nr; k++) {
            const struct vos_iter_ent *e = &g->ents[k];
            uint32_t w = 0;

            while (w < c->nr && c->w[w].epoch != e->epoch) {
                w++;
            }
            if (!EXPECT(w < c->nr) || !EXPECT(e->recx.nr > 0 && e->is_hole == c->w[w].is_hole) ||
                !EXPECT(e->recx.idx >= c->w[w].lo && e->recx.idx + e->recx.nr - 1 <= c->w[w].hi) ||
                !EXPECT(e->ext.idx == c->w[w].lo && e->ext.idx + e->ext.nr - 1 == c->w[w].hi))
                return;
            for (uint64_t i = e->recx.idx; i < e->recx.idx + e->recx.nr; i++) {
                seen[w][i]++;
                told++;
                if (!EXPECT_EQ(e->state, top[i] == w ? VOS_ITER_VISIBLE : VOS_ITER_COVERED))
                    return;
            }
        }
        if (with_evictions)
            umem_evict(f->tgt->um, (uint32_t)rng_below(&f->rng, 40), rng_u64(&f->rng));
    }
    for (uint32_t w = 0; w < c->nr; w++) {
        for (uint64_t i = c->w[w].lo; i <= c->w[w].hi; i++) {
            uint32_t state = top[i] == w ? VOS_ITER_VISIBLE : VOS_ITER_COVERED;
            uint8_t n = c->w[w].epoch >= args->lo && c->w[w].epoch <= args->hi &&
                (args->flags & state) != 0 &&
                (!c->w[w].is_hole || (args->flags & VOS_ITER_HOLES) != 0);

            want += n;
            if (seen[w][i] != n && !EXPECT_EQ(seen[w][i], n))
                return;
        }
    }
    EXPECT_EQ(told, want);
}

static void
large_array_body(struct fix *f)
{
    struct cells *c = calloc(1, sizeof(*c));
    struct vos_iter_args args;
    char *data = calloc(1, CELLS_NR);

    if (!fix_format(f))
        return;
    while (c->nr < WRITES_NR && !test_failed()) {
        uint64_t what = rng_below(&f->rng, 20);
        uint64_t len = what == 0 ? CELLS_NR
            : what < 4           ? 1 + rng_below(&f->rng, 400)
                                 : 1 + rng_below(&f->rng, 6);
        uint64_t lo = rng_below(&f->rng, CELLS_NR - len + 1);
        bool is_hole = c->nr > 0 && rng_chance(&f->rng, 1, 10);

        /* At last many small ones above large ones. */
        if (c->nr > WRITES_NR / 3 && len > 6)
            continue;
        EXPECT_OK(fix_write(f, 1, "d", "arr", lo, len, is_hole ? 0 : 1, data));
        c->w[c->nr].lo = lo;
        c->w[c->nr].hi = lo + len - 1;
        c->w[c->nr].epoch = last(f);
        c->w[c->nr++].is_hole = is_hole;
    }
    args = args_of(f, VOS_ITER_EXTENT, 0, 1, "d", "arr");
    for (uint32_t i = 0; i < 30 && !test_failed(); i++) {
        uint64_t a = c->w[rng_below(&f->rng, c->nr)].epoch, b = c->w[rng_below(&f->rng, c->nr)].epoch;

        args.flags = i < 2
            ? VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_HOLES
            : (uint32_t)rng_below(&f->rng, 4) << 0 | (i % 2 == 0 ? VOS_ITER_HOLES : 0);
        if ((args.flags & (VOS_ITER_VISIBLE | VOS_ITER_COVERED)) == 0)
            args.flags |= VOS_ITER_VISIBLE;
        args.lo = i == 0 ? 0 : MIN(a, b);
        args.hi = i < 4 ? VOS_EPOCH_MAX : MAX(a, b);
        cells_compare(
            f, c, &args, 1 + (uint32_t)rng_below(&f->rng, i % 3 == 0 ? 3 : 2000), i % 5 == 1);
    }
    free(data);
    free(c);
    fix_close(f);
}
ITER_TEST(large_array)

TEST_ON(vos_iter, large_array_in_little_memory, BACKEND_SIM)
{
    run_body(large_array_body, 256 << 10);
}

/* ---- while others change -------------------------------------------------------------------------------------------- */

enum { STAY_NR = 700, COME_NR = 700 };

static void
name_of(uint32_t i, char *name)
{
    snprintf(name, 40, "%s%u", i < STAY_NR ? "stay" : "come", i);
}

struct churn {
    uint8_t is_there[STAY_NR + COME_NR], count[STAY_NR + COME_NR];
};

static void
churn_some(struct fix *f, struct churn *c)
{
    char name[40];

    for (uint32_t k = 0; k < 6; k++) {
        uint32_t i = STAY_NR + (uint32_t)rng_below(&f->rng, COME_NR);

        name_of(i, name);
        if (c->is_there[i]) {
            EXPECT_OK(fix_punch(f, 1, name, NULL, 0));
        } else {
            EXPECT_OK(fix_put(f, 1, name, "a", "x", 1, 0));
        }
        c->is_there[i] = !c->is_there[i];
    }
    if (rng_chance(&f->rng, 1, 10)) {
        struct vos_agg_args agg = {.hi = last(f)};

        EXPECT_OK(vos_cont_aggregate(f->cont, &agg, NULL));
    }
    if (rng_chance(&f->rng, 1, 4))
        umem_evict(f->tgt->um, (uint32_t)rng_below(&f->rng, 60), rng_u64(&f->rng));
}

static void
restart(struct fix *f)
{
    vos_cont_close(f->cont);
    vos_tgt_close(f->tgt);
    f->tgt = NULL;
    bio_close(f->bio);
    f->bio = NULL;
    (void)fix_open(f);
}

static void
churn_round(struct fix *f, struct churn *c, bool with_restarts)
{
    struct vos_iter_anchor anchor = {.eof = false}, kept;
    struct got *g = got_of(f);
    uint32_t nr = 0;
    char name[40];

    memset(c->count, 0, sizeof(c->count));
    while (!anchor.eof && !test_failed()) {
        struct vos_iter_args args = args_of(f, VOS_ITER_DKEY, 0, 1, NULL, NULL);

        for (const char *t = anchor.text; *t != 0; t++) {
            EXPECT(*t > ' ' && *t < 0x7f);
        }
        kept = anchor; /* the only thing that lives on */
        if (!EXPECT_OK(vos_iter_fill(f->tgt, &args, &kept, g->ents,
                1 + (uint32_t)rng_below(&f->rng, 30), g->buf, sizeof(g->buf), &nr)))
            return;
        anchor = kept;
        for (uint32_t k = 0; k < nr; k++) {
            uint32_t i = 0;

            snprintf(name, sizeof(name), "%.*s", (int)g->ents[k].key.len,
                (const char *)g->ents[k].key.buf);
            i = (uint32_t)atoi(name + 4);
            if (EXPECT(i < STAY_NR + COME_NR))
                c->count[i]++;
        }
        churn_some(f, c);
        if (with_restarts && rng_chance(&f->rng, 1, 10))
            restart(f);
    }
    for (uint32_t i = 0; i < STAY_NR + COME_NR; i++) {
        EXPECT(i < STAY_NR ? c->count[i] == 1 : c->count[i] <= 1);
    }
}

static void
others_change_body(struct fix *f)
{
    struct churn *c = calloc(1, sizeof(*c));
    char name[40];

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < STAY_NR; i++) {
        name_of(i, name);
        EXPECT_OK(fix_put(f, 1, name, "a", "x", 1, 0));
    }
    for (uint32_t i = 0; i < 4; i++) {
        churn_round(f, c, i == 3);
    }
    free(c);
    fix_close(f);
}
ITER_TEST(others_change)

TEST_ON(vos_iter, others_change_in_little_memory, BACKEND_SIM)
{
    run_body(others_change_body, 256 << 10);
}

/* Extents: those that stay are told once; what is aggregated away may be told or not. */
static void
extents_merge_body(struct fix *f)
{
    const struct got *g = got_of(f);
    struct vos_iter_anchor anchor = {.eof = false};
    struct vos_agg_args agg = {.lo = 1};
    struct vos_iter_args args;
    uint32_t nr = 0, calls = 0;
    static uint8_t count[4000];
    char data[4000] = {0};

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 400; i++) {
        EXPECT_OK(fix_write(f, 1, "d", "arr", i * 10, 10, 1, data));
    }
    agg.hi = last(f);
    args = args_of(f, VOS_ITER_EXTENT, 0, 1, "d", "arr");
    while (!anchor.eof && !test_failed()) {
        if (!EXPECT_OK(vos_iter_fill(
                f->tgt, &args, &anchor, got_of(f)->ents, 7, got_of(f)->buf, sizeof(g->buf), &nr)))
            return;
        for (uint32_t k = 0; k < nr; k++) {
            for (uint64_t i = g->ents[k].recx.idx; i < g->ents[k].recx.idx + g->ents[k].recx.nr; i++) {
                count[i]++;
            }
        }
        if (++calls == 3)
            EXPECT_OK(vos_cont_aggregate(f->cont, &agg, NULL));
    }
    /* Merged ones that begin behind the place are told; what was merged around the place may be missing, nothing comes twice. */
    for (uint32_t i = 0; i < 4000; i++) {
        EXPECT_LE(count[i], 1);
    }
    for (uint32_t i = 0; i < 200; i++) {
        EXPECT_EQ(count[i], 1);
    }
    fix_close(f);
}
ITER_TEST(extents_merge)

/* ---- no trace ------------------------------------------------------------------------------------------------------- */

static int
put_at(struct fix *f, uint64_t obj, const char *dkey, uint64_t epoch)
{
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = {"x", 1}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(obj), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .epoch = epoch};

    return vos_apply(f->cont, &args, NULL);
}

static void
leaves_no_trace_body(struct fix *f)
{
    struct vos_iter_args args;
    uint64_t past[4] = {0}, now;

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_OK(vos_epoch_next(f->tgt, &past[i]));
    }
    EXPECT_OK(fix_put(f, 1, "other", "a", "x", 1, 0));
    now = last(f);
    for (enum vos_iter_type t = VOS_ITER_POOL; t <= VOS_ITER_LOG; t++) {
        args = args_of(f, t, 0, 1, "other", "a");
        EXPECT_OK(take(f, &args, 10));
        EXPECT_EQ(got_of(f)->nr, t == VOS_ITER_EXTENT ? 0 : 1);
    }
    EXPECT_EQ(last(f), now); /* nor does the clock move */
    EXPECT_OK(put_at(f, 1, "d", past[0]));
    /* As a read it counts. */
    args = args_of(f, VOS_ITER_AKEY, VOS_ITER_STAMP, 1, "d", NULL);
    EXPECT_OK(take(f, &args, 10));
    EXPECT_ERR(put_at(f, 1, "d", past[1]), TX_RESTART);
    EXPECT_OK(put_at(f, 1, "e", past[1]));
    args = args_of(f, VOS_ITER_DKEY, VOS_ITER_STAMP, 1, NULL, NULL);
    EXPECT_OK(take(f, &args, 10));
    EXPECT_ERR(put_at(f, 1, "g", past[2]), TX_RESTART);
    EXPECT_OK(put_at(f, 2, "g", past[2]));
    args = args_of(f, VOS_ITER_OBJ, VOS_ITER_STAMP, 0, NULL, NULL);
    EXPECT_OK(take(f, &args, 10));
    EXPECT_ERR(put_at(f, 3, "g", past[3]), TX_RESTART);
    fix_close(f);
}
ITER_TEST(leaves_no_trace)

/* ---- what is not decided -------------------------------------------------------------------------------------------- */

static void
undecided_body(struct fix *f)
{
    const struct vos_dtx_args dtx = {.id = {.uuid = {.b = {3}}, .hlc = 5}};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 3, .data = IOV("new")};
    struct vos_mod mods[2] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(2), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2, .dtx = &dtx};
    const struct got *g = got_of(f);
    struct vos_iter_args it;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "old", 3, 0));
    EXPECT_OK(vos_epoch_next(f->tgt, &args.epoch));
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    for (int decided = 0; decided < 2; decided++) {
        it = args_of(f, VOS_ITER_OBJ, VOS_ITER_VISIBLE | VOS_ITER_PUNCHED, 0, NULL, NULL);
        EXPECT_OK(take(f, &it, 1));
        EXPECT_EQ(g->nr, 1 + decided);
        it = args_of(f, VOS_ITER_SINGLE, VOS_ITER_VISIBLE | VOS_ITER_COVERED, 1, "d", "a");
        EXPECT_OK(take(f, &it, 1));
        if (EXPECT_EQ(g->nr, 2)) {
            EXPECT_EQ(g->ents[0].state, decided ? VOS_ITER_COVERED : VOS_ITER_VISIBLE);
            EXPECT_EQ(g->ents[1].state, decided ? VOS_ITER_VISIBLE : VOS_ITER_COVERED);
            EXPECT(g->ents[1].epoch == args.epoch && (g->ents[1].dtx == 0) == decided);
        }
        it = args_of(f, VOS_ITER_LOG, 0, 2, NULL, NULL);
        EXPECT_OK(take(f, &it, 1));
        EXPECT(g->nr == 1 && (g->ents[0].dtx == 0) == decided);
        if (!decided)
            EXPECT_OK(vos_dtx_commit(f->cont, &dtx.id, 1));
    }
    fix_close(f);
}
ITER_TEST(undecided)

/* ---- arguments and anchors ------------------------------------------------------------------------------------------ */

static bool
never(void *arg, const struct vos_iter_ent *ent)
{
    (void)arg;
    (void)ent;
    return false;
}

static void
arguments_body(struct fix *f)
{
    struct vos_iter_anchor anchor = {.eof = false}, good, bad;
    struct vos_iter_ent ent;
    struct vos_iter_args args;
    uint32_t nr = 7;
    char buf[64];

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 10; i++) {
        snprintf(buf, sizeof(buf), "key%u", i);
        EXPECT_OK(fix_put(f, 1, buf, "a", "xyz", 3, 0));
    }
    args = args_of(f, VOS_ITER_DKEY, 0, 1, NULL, NULL);
    args.fn = never;
    EXPECT_OK(vos_iter(f->tgt, &args, &anchor));
    EXPECT(!anchor.eof && anchor.text[0] == 0); /* it was refused: the place is where it was */
    EXPECT_ERR(vos_iter_fill(f->tgt, &args, &anchor, &ent, 1, buf, 2, &nr), OVERFLOW);
    EXPECT_EQ(nr, 0);
    EXPECT_ERR(vos_iter_fill(f->tgt, &args, &anchor, &ent, 0, buf, 2, &nr), INVAL);
    EXPECT_OK(vos_iter_fill(f->tgt, &args, &anchor, &ent, 1, buf, sizeof(buf), &nr));
    EXPECT(nr == 1 && !anchor.eof && ent.key.buf == (void *)buf);
    good = anchor;
    for (uint32_t i = 0; good.text[i] != 0; i++) {
        bad = good;
        bad.text[i] = bad.text[i] == 'A' ? 'B' : 'A';
        EXPECT_ERR(vos_iter_fill(f->tgt, &args, &bad, &ent, 1, buf, sizeof(buf), &nr), INVAL);
        bad.text[i] = 0;
        if (i > 0)
            EXPECT_ERR(vos_iter_fill(f->tgt, &args, &bad, &ent, 1, buf, sizeof(buf), &nr), INVAL);
        bad.text[i] = '*';
        EXPECT_ERR(vos_iter_fill(f->tgt, &args, &bad, &ent, 1, buf, sizeof(buf), &nr), INVAL);
    }
    args.type = VOS_ITER_OBJ; /* another level's */
    EXPECT_ERR(vos_iter_fill(f->tgt, &args, &good, &ent, 1, buf, sizeof(buf), &nr), INVAL);

    memset(&anchor, 0, sizeof(anchor));
    args = args_of(f, VOS_ITER_DKEY, VOS_ITER_DESCENDING, 1, NULL, NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_POOL, VOS_ITER_STAMP, 1, NULL, NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_DKEY, 1 << 6, 1, NULL, NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, 0, 0, 1, NULL, NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_LOG + 1, 0, 1, NULL, NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_AKEY, 0, 1, NULL, NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_SINGLE, 0, 1, "d", NULL);
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_LOG, 0, 1, NULL, "a");
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_DKEY, 0, 1, NULL, NULL);
    args.lo = 5;
    args.hi = 4;
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_DKEY, 0, 1, NULL, NULL);
    args.cont = NULL;
    EXPECT_ERR(take(f, &args, 1), INVAL);
    args = args_of(f, VOS_ITER_DKEY, 0, 1, NULL, NULL);
    args.oid.oid.hi = UINT64_C(200) << 56;
    EXPECT_ERR(take(f, &args, 1), INVAL);
    fix_close(f);
}
ITER_TEST(arguments)
