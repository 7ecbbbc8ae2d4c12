/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: listings. What exists throughout is listed once whatever changes meanwhile, for every kind of key and with equal hashes; orders; refused
 * entries; anchors from keys; damaged anchors; extents up and down; queries.
 */
#include "base/codec.h"
#include "vos_test_fix.h"

enum { KEY_NR = 400, LONG_BYTES = 200 };

struct churn {
    struct fix *f;
    struct vos_oid oid;
    bool is_uint, is_long, at_objs;
    bool exists[KEY_NR];
    uint32_t seen[KEY_NR];
    uint32_t room; /* entries accepted before one is refused */
    uint64_t last_int;
    char last[LONG_BYTES + 8];
    size_t last_len;
    bool ordered;
};

static struct iov
churn_key(const struct churn *c, uint32_t i, char *mem)
{
    if (c->is_uint) {
        le64_put(mem, (uint64_t)i * 3 + 1);
        return (struct iov){mem, 8};
    }
    if (c->is_long) {
        /* A common beginning that is longer than what an anchor holds. */
        memset(mem, 'x', LONG_BYTES);
        snprintf(mem + LONG_BYTES, 8, "%u", i);
        return (struct iov){mem, strlen(mem)};
    }
    snprintf(mem, 16, "key%u", i);
    return (struct iov){mem, strlen(mem)};
}

static int
churn_set(struct churn *c, uint32_t i, bool exists)
{
    char mem[LONG_BYTES + 8];
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = {"v", 1}};
    struct vos_mod mod = {
        .op = exists ? VOS_MOD_UPDATE : VOS_MOD_PUNCH_DKEY, .oid = c->oid, .iod_nr = 1, .iods = &iod};

    if (c->at_objs) {
        mod.oid.oid.lo = i;
        mod.op = exists ? VOS_MOD_UPDATE : VOS_MOD_PUNCH_OBJ;
        mod.dkey = IOV("d");
    } else {
        mod.dkey = churn_key(c, i, mem);
    }
    c->exists[i] = exists;
    return fix_mod(c->f, &mod, NULL);
}

static bool
churn_fn(void *arg, const struct vos_entry *e)
{
    struct churn *c = arg;
    uint32_t i;

    if (c->room == 0)
        return false;
    c->room--;
    if (c->at_objs) {
        i = (uint32_t)e->oid.oid.lo;
    } else if (c->is_uint) {
        uint64_t v = le64_get(e->key.buf);

        c->ordered = c->ordered && v > c->last_int;
        c->last_int = v;
        i = (uint32_t)(v / 3);
    } else {
        int cmp = memcmp(c->last, e->key.buf, MIN(c->last_len, e->key.len));

        c->ordered = c->ordered && (cmp < 0 || (cmp == 0 && c->last_len < e->key.len));
        memcpy(c->last, e->key.buf, e->key.len);
        c->last_len = e->key.len;
        c->last[e->key.len] = 0;
        i = (uint32_t)atoi(c->last + (c->is_long ? LONG_BYTES : 3));
    }
    if (EXPECT_LT(i, KEY_NR))
        c->seen[i]++;
    return true;
}

/* Even keys stay; odd ones come and go between the calls. Listings are of "now", so that what comes may be seen. */
static void
churn_run(struct churn *c, bool want_order)
{
    struct vos_list_args args = {.level = c->at_objs ? VOS_LEVEL_OBJ : VOS_LEVEL_DKEY,
        .oid = c->oid,
        .epoch = VOS_EPOCH_MAX,
        .fn = churn_fn,
        .arg = c};
    struct vos_anchor anchor = {.eof = false};
    struct rng *r = &c->f->rng;

    c->ordered = true;
    for (uint32_t i = 0; i < KEY_NR; i++) {
        if (i % 2 == 0 || rng_chance(r, 1, 2))
            EXPECT_OK(churn_set(c, i, true));
    }
    while (!anchor.eof && !test_failed()) {
        args.nr_max = 1 + (uint32_t)rng_below(r, 20);
        c->room = (uint32_t)rng_below(r, 12);
        EXPECT_OK(vos_list(c->f->cont, &args, &anchor));
        for (uint32_t n = 0; n < 8; n++) {
            uint32_t i = (uint32_t)rng_below(r, KEY_NR / 2) * 2 + 1;

            EXPECT_OK(churn_set(c, i, !c->exists[i]));
        }
        umem_evict(c->f->tgt->um, 5, rng_u64(r));
    }
    for (uint32_t i = 0; i < KEY_NR; i++) {
        if (i % 2 == 0) {
            EXPECT_EQ(c->seen[i], 1);
        } else {
            EXPECT_LE(c->seen[i], 1);
        }
    }
    EXPECT(c->ordered || !want_order);
}

static void
churn(struct fix *f)
{
    static const struct {
        uint64_t type, mask;
        bool is_uint, is_long, at_objs, want_order;
    } kinds[] = {
        {0, UINT64_MAX, false, false, false, false},
        {0, 7, false, false, false, false},
        {0, 0, false, false, false, false},
        {0, 0, false, true, false, false},
        {2, UINT64_MAX, true, false, false, true},
        {7, UINT64_MAX, false, false, false, true},
        {0, UINT64_MAX, false, false, true, false},
        {0, 3, false, false, true, false},
    };

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < ARRAY_SIZE(kinds) && !test_failed(); i++) {
        struct uuid id = {.b = {77, (uint8_t)i}};
        struct churn *c = calloc(1, sizeof(*c));

        vos_test_hash_mask(f->tgt, kinds[i].mask);
        EXPECT_OK(vos_cont_create(f->tgt, f->pool, id));
        vos_cont_close(f->cont);
        EXPECT_OK(vos_cont_open(f->tgt, f->pool, id, &f->cont));
        c->f = f;
        c->oid = fix_oid_type(kinds[i].type, 5);
        c->is_uint = kinds[i].is_uint;
        c->is_long = kinds[i].is_long;
        c->at_objs = kinds[i].at_objs;
        churn_run(c, kinds[i].want_order);
        if (test_failed())
            fprintf(stderr, "    kind %u\n", i);
        free(c);
    }
    fix_close(f);
}

/* ---- pages that are not in memory ----------------------------------------------------------------------------------- */

enum { COLD_NR = 16000, COLD_LAT_NS = 100000, COLD_MEM_BYTES = 8 << 20 };

static bool
cold_fn(void *arg, const struct vos_entry *e)
{
    (void)e;
    ++*(uint32_t *)arg;
    return true;
}

/* A listing for which no page is in memory. One that waits for each page by itself would take as many latencies as there are pages. */
static void
cold_list(struct fix *f, struct vos_oid oid, struct umem_stats *ret_used)
{
    uint32_t nr = 0;
    struct vos_list_args args = {
        .level = VOS_LEVEL_DKEY, .oid = oid, .epoch = VOS_EPOCH_MAX, .fn = cold_fn, .arg = &nr};
    struct vos_anchor anchor = {.eof = false};
    struct umem_stats before, after;
    uint64_t start;

    EXPECT_OK(bio_checkpoint(f->bio));
    (void)umem_evict(f->tgt->um, UINT32_MAX, 0);
    umem_stats_get(f->tgt->um, &before);
    start = ult_now_ns();
    while (!anchor.eof && EXPECT_OK(vos_list(f->cont, &args, &anchor))) {
    }
    umem_stats_get(f->tgt->um, &after);
    EXPECT_EQ(nr, COLD_NR);
    EXPECT_LE(after.resident_pages_nr, after.limit_pages_nr);
    *ret_used = (struct umem_stats){.loads_nr = after.loads_nr - before.loads_nr,
        .aheads_nr = after.aheads_nr - before.aheads_nr};
    EXPECT_LE(ult_now_ns() - start, (after.loads_nr - before.loads_nr) * COLD_LAT_NS / 2);
}

static void
cold_body(struct fix *f)
{
    static const struct {
        uint64_t type;
        uint32_t key_len;
    } kinds[] = {{2, 8}, {0, 8}, {7, 8},
        {0, 16}}; /* integers; hashed; lexical; hashed ones that no entry can hold */
    struct umem_stats used[ARRAY_SIZE(kinds)];

    if (!fix_format(f))
        return;
    for (uint32_t t = 0; t < ARRAY_SIZE(kinds) && !test_failed(); t++) {
        struct vos_oid oid = fix_oid_type(kinds[t].type, 1 + t);

        for (uint64_t i = 0; i < COLD_NR; i++) {
            uint64_t key[2] = {hash_mix64(i), i};
            struct vos_iod iod = {
                .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = {"v", 1}};
            struct vos_mod mod = {.op = VOS_MOD_UPDATE,
                .oid = oid,
                .dkey = {key, kinds[t].key_len},
                .iod_nr = 1,
                .iods = &iod};

            EXPECT_OK(fix_mod(f, &mod, NULL));
        }
        cold_list(f, oid, &used[t]);
        EXPECT_GT(used[t].aheads_nr, used[t].loads_nr / 2);
        fprintf(stderr, "    %u keys: %u pages read, %u of them along with others\n", COLD_NR,
            (uint32_t)used[t].loads_nr, (uint32_t)used[t].aheads_nr);
    }
    /* The first ones read leaves alone, each once. */
    for (uint32_t t = 0; t < 3; t++) {
        EXPECT_LT(used[t].loads_nr * 2, used[3].loads_nr);
    }
    fix_close(f);
}

TEST_ON(vos_list, reads_ahead, BACKEND_SIM)
{
    struct sim_opts opts = {
        .seed = test_seed(), .disk_lat_lo_ns = COLD_LAT_NS, .disk_lat_hi_ns = COLD_LAT_NS};
    struct fix f;

    fix_prepare(&f);
    f.cfg.mem_bytes = COLD_MEM_BYTES; /* whatever the environment says */
    if (fix_up(&f, &opts))
        EXPECT(fix_run(&f, cold_body));
    fix_down(&f);
}

/* ---- anchors -------------------------------------------------------------------------------------------------------- */

static void
anchors(struct fix *f)
{
    struct vos_list_args args = {
        .level = VOS_LEVEL_DKEY, .oid = fix_oid_type(7, 1), .epoch = VOS_EPOCH_MAX, .nr_max = 3};
    struct vos_anchor anchor = {.eof = false}, bad;
    struct fix_keys keys = {0};
    struct iov from = IOV("c5zz"), none = {NULL, 0};
    char name[8];

    if (!fix_format(f))
        return;
    args.fn = fix_keys_fn;
    args.arg = &keys;
    for (uint32_t i = 0; i < 30; i++) {
        struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = {"v", 1}};
        struct vos_mod mod = {.op = VOS_MOD_UPDATE, .oid = args.oid, .iod_nr = 1, .iods = &iod};

        snprintf(name, sizeof(name), "%c%u", 'a' + i / 10, i % 10);
        mod.dkey = IOV(name);
        EXPECT_OK(fix_mod(f, &mod, NULL));
    }
    EXPECT_OK(vos_anchor_from_key(f->cont, &args.oid, VOS_LEVEL_DKEY, &from, false, &anchor));
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT_EQ(keys.nr, 3);
    EXPECT_STR_EQ(keys.keys[0], "c6");
    EXPECT_STR_EQ(keys.keys[2], "c8");
    EXPECT_ERR(vos_anchor_from_key(f->cont, &args.oid, VOS_LEVEL_RECX, &from, false, &bad), INVAL);
    EXPECT_ERR(vos_anchor_from_key(f->cont, &args.oid, VOS_LEVEL_DKEY, &none, false, &bad), INVAL);
    /* Any damage is noticed. */
    for (uint32_t bit = 0; bit < 8 * VOS_ANCHOR_BYTES; bit++) {
        bad = anchor;
        bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (bit < 8 && bad.bytes[0] == 0)
            continue; /* means: from the start */
        EXPECT_ERR(vos_list(f->cont, &args, &bad), INVAL);
    }
    args.level = VOS_LEVEL_AKEY;
    args.dkey = IOV("a1");
    EXPECT_ERR(vos_list(f->cont, &args, &anchor), INVAL); /* of another level */
    args.level = (enum vos_level)9;
    EXPECT_ERR(vos_list(f->cont, &args, &anchor), INVAL);
    fix_close(f);
}

/* ---- extents -------------------------------------------------------------------------------------------------------- */

struct recxs {
    uint32_t nr;
    struct vos_entry e[4000];
};

static bool
recx_fn(void *arg, const struct vos_entry *e)
{
    struct recxs *r = arg;

    r->e[r->nr++ % ARRAY_SIZE(r->e)] = *e;
    return true;
}

static void
list_recxs(struct fix *f, bool descending, uint32_t nr_max, struct recxs *ret)
{
    struct vos_list_args args = {.level = VOS_LEVEL_RECX,
        .oid = fix_oid(1),
        .dkey = IOV("d"),
        .akey = IOV("a"),
        .epoch = VOS_EPOCH_MAX,
        .descending = descending,
        .fn = recx_fn,
        .arg = ret,
        .nr_max = nr_max};
    struct vos_anchor anchor = {.eof = false};

    ret->nr = 0;
    while (!anchor.eof && EXPECT_OK(vos_list(f->cont, &args, &anchor))) {
    }
}

static void
extents(struct fix *f)
{
    static uint8_t data[1000];
    static struct recxs up, down;
    struct recx touching[3] = {{50000, 10}, {50010, 5}, {50015, 5}};
    struct vos_iod iod = {.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 3,
        .recxs = touching,
        .data = {data, 20}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 700; i++) {
        EXPECT_OK(fix_write(f, 1, "d", "a", (i * 7919) % 700 * 20, 10, 1, data));
    }
    EXPECT_OK(fix_mod(f, &mod, NULL));
    for (uint32_t i = 0; i < 300; i++) {
        EXPECT_OK(fix_write(f, 1, "d", "a", 60000, 100, 1, data)); /* one place, many versions */
    }
    list_recxs(f, false, 7, &up);
    EXPECT_EQ(up.nr, 702);
    for (uint32_t i = 0; i < 700; i++) {
        EXPECT_EQ(up.e[i].recx.idx, i * 20);
        EXPECT_EQ(up.e[i].recx.nr, 10);
        EXPECT_EQ(up.e[i].size, 1);
    }
    EXPECT_EQ(up.e[700].recx.idx, 50000);
    EXPECT_EQ(up.e[700].recx.nr, 20); /* merged: they touch and have one epoch */
    EXPECT_EQ(up.e[701].recx.nr, 100);
    list_recxs(f, true, 11, &down);
    EXPECT_EQ(down.nr, up.nr);
    for (uint32_t i = 0; i < up.nr; i++) {
        EXPECT_EQ(down.e[i].recx.idx, up.e[up.nr - 1 - i].recx.idx);
        EXPECT_EQ(down.e[i].recx.nr, up.e[up.nr - 1 - i].recx.nr);
        EXPECT_EQ(down.e[i].epoch, up.e[up.nr - 1 - i].epoch);
    }
    /* A long extent under many short ones; a hole over some of them. */
    EXPECT_OK(fix_write(f, 1, "d", "a", 5, 990, 1, data));
    EXPECT_OK(fix_write(f, 1, "d", "a", 100, 5000, 0, NULL));
    list_recxs(f, false, 100, &up);
    list_recxs(f, true, 1, &down);
    EXPECT_EQ(up.nr, down.nr);
    EXPECT_EQ(up.e[0].recx.nr, 5);
    EXPECT_EQ(up.e[1].recx.idx, 5);
    EXPECT_EQ(up.e[1].recx.nr, 95);
    EXPECT_EQ(up.e[2].recx.idx, 5100);
    fix_close(f);
}

/* ---- queries -------------------------------------------------------------------------------------------------------- */

static int
put_int(struct fix *f, struct vos_oid oid, uint64_t dkey, uint64_t akey, uint64_t idx, bool punch)
{
    struct recx recx = {idx, 4};
    struct vos_iod iod = {.akey = {&akey, 8},
        .type = VOS_IOD_ARRAY,
        .size = punch ? 0 : 2,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {"abcdefgh", punch ? 0 : 8}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = oid, .dkey = {&dkey, 8}, .iod_nr = 1, .iods = &iod};

    return fix_mod(f, &mod, NULL);
}

static void
queries(struct fix *f)
{
    struct vos_oid oid = fix_oid_type(4, 1);
    const uint32_t all = VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX;
    struct vos_query_ret q = {0};
    uint64_t seven = 7, five = 5;
    struct iov dkey = {&seven, 8}, akey = {&five, 8};

    if (!fix_format(f))
        return;
    EXPECT_ERR(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | all, NULL, NULL, &q), NONEXIST);
    EXPECT_EQ(q.epoch_max, 0);
    EXPECT_OK(put_int(f, oid, 3, 5, 100, false));
    EXPECT_OK(put_int(f, oid, 7, 5, 40, false));
    EXPECT_OK(put_int(f, oid, 7, 9, 10, false));
    EXPECT_OK(put_int(f, oid, UINT64_MAX, 0, 0, false));
    EXPECT_OK(put_int(f, oid, 0, UINT64_MAX, UINT64_C(1) << 62, false));
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | all, NULL, NULL, &q));
    EXPECT_EQ(q.dkey, UINT64_MAX);
    EXPECT_EQ(q.akey, 0);
    EXPECT_EQ(q.recx.nr, 4);
    EXPECT_EQ(q.rec_size, 2);
    EXPECT_GT(q.epoch_max, 0);
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MIN | all, NULL, NULL, &q));
    EXPECT_EQ(q.dkey, 0);
    EXPECT_EQ(q.akey, UINT64_MAX);
    EXPECT_EQ(q.recx.idx, UINT64_C(1) << 62);
    /* What is punched away is passed over: the range, then the dkey. */
    EXPECT_OK(put_int(f, oid, UINT64_MAX, 0, 0, true));
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | all, NULL, NULL, &q));
    EXPECT_EQ(q.dkey, 7);
    EXPECT_EQ(q.akey, 9);
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_DKEY, NULL, NULL, &q));
    EXPECT_EQ(q.dkey, UINT64_MAX);
    EXPECT_OK(fix_query(
        f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_DKEY | VOS_GET_RECX, NULL, &akey, &q));
    EXPECT_EQ(q.dkey, 7);
    EXPECT_EQ(q.recx.idx, 40);
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MIN | VOS_GET_AKEY, &dkey, NULL, &q));
    EXPECT_EQ(q.akey, 5);
    EXPECT_OK(put_int(f, oid, 7, 5, 0, true));
    EXPECT_OK(put_int(f, oid, 7, 5, 40, true));
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_RECX, &dkey, &akey, &q));
    EXPECT_EQ(q.recx.nr, 0); /* empty is an answer */
    EXPECT_OK(fix_query(f, &oid, VOS_EPOCH_MAX, 0, NULL, NULL, &q));
    EXPECT_GT(q.epoch_max, 0);
    /* Wrong flags and kinds. */
    EXPECT_ERR(fix_query(f, &oid, VOS_EPOCH_MAX, all, NULL, NULL, &q), INVAL);
    EXPECT_ERR(
        fix_query(f, &oid, VOS_EPOCH_MAX, all | VOS_GET_MAX | VOS_GET_MIN, NULL, NULL, &q), INVAL);
    EXPECT_ERR(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_RECX, NULL, &akey, &q), INVAL);
    oid = fix_oid(1);
    EXPECT_ERR(fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_DKEY, NULL, NULL, &q), INVAL);
    fix_close(f);
}

TEST_ON(vos_list, under_change, BACKEND_SIM)
{
    fix_body(churn);
}

TEST_ON(vos_list, anchors, BACKEND_SIM)
{
    fix_body(anchors);
}

TEST_ON(vos_list, extents, BACKEND_SIM)
{
    fix_body(extents);
}

TEST_ON(vos_list, queries, BACKEND_LINUX | BACKEND_SIM)
{
    fix_body(queries);
}
