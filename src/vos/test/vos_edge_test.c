/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: the less travelled paths: a queue of destroyed things over a crash, listings of single values, reads that are large or wrong, tall logs. */
#include "vos_test_fix.h"

/* ---- the collector's queue ------------------------------------------------------------------------------------------ */

enum { GONE_NR = 6, GONE_KEYS_NR = 400 };

static struct vos_pool_info base_info;

static void
queue_fill(struct fix *f)
{
    static uint8_t data[5000];
    struct vos_cont *keep;
    char key[16];

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &base_info));
    keep = f->cont;
    for (uint8_t c = 0; c < GONE_NR; c++) {
        struct uuid id = {.b = {0xc0, c}};

        EXPECT_OK(vos_cont_create(f->tgt, f->pool, id));
        EXPECT_OK(vos_cont_open(f->tgt, f->pool, id, &f->cont));
        for (uint32_t i = 0; i < GONE_KEYS_NR; i++) {
            snprintf(key, sizeof(key), "k%u", i);
            EXPECT_OK(fix_put(f, 1 + i % 3, key, "a", data, i % 10 == 0 ? sizeof(data) : 30, 0));
        }
        vos_cont_close(f->cont);
    }
    f->cont = keep;
    for (uint8_t c = 0; c < GONE_NR; c++) {
        EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, (struct uuid){.b = {0xc0, c}}));
    }
    EXPECT(f->tgt->gc_has_work);
}

static void
queue_check(struct fix *f)
{
    struct vos_pool_info info;

    if (!fix_open(f))
        return;
    /* What waits is still charged; nothing is lost by the crash, nothing is counted twice. */
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_GT(info.meta_used, base_info.meta_used);
    EXPECT_GT(info.data_used, base_info.data_used);
    EXPECT_EQ(info.cont_nr, 1);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_EQ(info.meta_used, base_info.meta_used);
    EXPECT_EQ(info.data_used, base_info.data_used);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(umem_check(f->tgt->um));
    fix_close(f);
}

TEST_ON(vos_edge, queue_of_destroyed_containers_over_a_crash, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        EXPECT(fix_run(&f, queue_fill));
        EXPECT(fix_crash(&f, true));
        EXPECT(fix_run(&f, queue_check));
    }
    fix_down(&f);
}

/* A pool with stored answers goes with all of them. */
static void
pool_goes(struct fix *f)
{
    struct uuid pool = {.b = {0x55}}, cont = {.b = {0x56}};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("x")};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct umem_stats before, after;
    struct vos_cont *other;

    f->meta_quota = 20 << 20;
    f->data_quota = 50 << 20;
    if (!fix_format(f))
        return;
    umem_stats_get(f->tgt->um, &before);
    EXPECT_OK(vos_pool_create(f->tgt, pool, 20 << 20, 50 << 20));
    EXPECT_OK(vos_cont_create(f->tgt, pool, cont));
    EXPECT_OK(vos_cont_open(f->tgt, pool, cont, &other));
    for (uint8_t i = 0; i < 40; i++) {
        args.req = (struct vos_req_id){
            .client = {.b = {7, i}}, .slot = i * 25u, .seq = 1, .hlc = UINT64_C(100) + i};
        EXPECT_OK(vos_apply(other, &args, NULL));
    }
    EXPECT_ERR(vos_pool_destroy(f->tgt, pool), BUSY);
    vos_cont_close(other);
    EXPECT_OK(vos_pool_destroy(f->tgt, pool));
    EXPECT_ERR(vos_pool_destroy(f->tgt, pool), NONEXIST);
    EXPECT_OK(vos_tgt_collect(f->tgt));
    umem_stats_get(f->tgt->um, &after);
    EXPECT_EQ(after.used_bytes, before.used_bytes);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_edge, a_pool_goes_with_its_answers, BACKEND_SIM)
{
    fix_body(pool_goes);
}

/* ---- listings ------------------------------------------------------------------------------------------------------- */

struct single {
    uint32_t nr;
    bool refuse;
    struct vos_entry last;
};

static bool
see_single(void *arg, const struct vos_entry *entry)
{
    struct single *s = arg;

    if (s->refuse)
        return false;
    s->nr++;
    s->last = *entry;
    return true;
}

static void
singles(struct fix *f)
{
    struct single s = {0};
    struct vos_list_args args = {.level = VOS_LEVEL_SINGLE,
        .oid = fix_oid(1),
        .dkey = IOV("d"),
        .akey = IOV("a"),
        .epoch = VOS_EPOCH_MAX,
        .fn = see_single,
        .arg = &s};
    struct vos_anchor anchor = {.eof = false};
    uint64_t epoch = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_list(f->cont, &args, &anchor)); /* nothing there */
    EXPECT(anchor.eof);
    EXPECT_EQ(s.nr, 0);
    EXPECT_OK(fix_put(f, 1, "d", "a", "value", 5, 0));
    anchor = (struct vos_anchor){.eof = false};
    s.refuse = true;
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT(!anchor.eof); /* it did not fit: once more */
    s.refuse = false;
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT(anchor.eof);
    EXPECT_EQ(s.nr, 1);
    EXPECT_EQ(s.last.size, 5);
    epoch = s.last.epoch;
    EXPECT_OK(fix_put(f, 1, "d", "a", "longer value", 12, 0));
    anchor = (struct vos_anchor){.eof = false};
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT_EQ(s.last.size, 12);
    EXPECT_GT(s.last.epoch, epoch);
    args.epoch = epoch;
    anchor = (struct vos_anchor){.eof = false};
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT_EQ(s.last.size, 5);
    args.epoch = VOS_EPOCH_MAX;
    EXPECT_OK(fix_punch(f, 1, "d", "a", 0));
    s.nr = 0;
    anchor = (struct vos_anchor){.eof = false};
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT(anchor.eof);
    /* An array has none. */
    EXPECT_OK(fix_write(f, 1, "d", "arr", 0, 5, 1, "12345"));
    args.akey = IOV("arr");
    anchor = (struct vos_anchor){.eof = false};
    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    EXPECT_EQ(s.nr, 0);
    fix_close(f);
}

TEST_ON(vos_edge, listing_of_single_values, BACKEND_SIM)
{
    fix_body(singles);
}

/* A long key at which a listing stands goes; the listing goes on behind it. */
static void
long_keys(struct fix *f)
{
    enum { NR = 12, LEN = 130 };
    char names[NR][LEN + 1];
    struct fix_keys all, keys = {0};
    struct vos_list_args args = {.level = VOS_LEVEL_DKEY,
        .oid = fix_oid(1),
        .epoch = VOS_EPOCH_MAX,
        .fn = fix_keys_fn,
        .arg = &keys,
        .nr_max = 1};
    struct vos_anchor anchor = {.eof = false};
    uint32_t gone = NR;

    if (!fix_format(f))
        return;
    vos_test_hash_mask(f->tgt, 0); /* all tie */
    for (uint32_t i = 0; i < NR; i++) {
        memset(names[i], 'x', LEN);
        names[i][LEN] = '\0';
        names[i][LEN - 1] = (char)('a' + i);
        EXPECT_OK(fix_put(f, 1, names[i], "a", "v", 1, 0));
    }
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, 1, &all));
    EXPECT_EQ(all.nr, NR);
    for (uint32_t i = 0; i < 5; i++) {
        EXPECT_OK(vos_list(f->cont, &args, &anchor));
    }
    EXPECT_EQ(keys.nr, 5);
    /* The fifth by the order of bytes. */
    gone = 4;
    struct vos_mod mod = {.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(1), .dkey = {names[gone], LEN}};
    struct vos_apply_args apply = {.mods = &mod, .mod_nr = 1, .flags = VOS_APPLY_NO_HISTORY};

    EXPECT_OK(vos_apply(f->cont, &apply, NULL));
    while (!anchor.eof) {
        EXPECT_OK(vos_list(f->cont, &args, &anchor));
    }
    /* Each at least once; those before it, which the lost place cannot tell apart, may come again. */
    EXPECT_GE(keys.nr, NR);
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, 100, &all));
    EXPECT_EQ(all.nr, NR - 1);
    fix_close(f);
}

TEST_ON(vos_edge, a_listing_at_a_long_key_that_goes, BACKEND_SIM)
{
    fix_body(long_keys);
}

/* ---- reads ---------------------------------------------------------------------------------------------------------- */

static void
large_reads(struct fix *f)
{
    enum { MIB = 1 << 20, NR = 66 };
    static uint8_t data[MIB];
    uint8_t *back = malloc((size_t)20 * MIB);
    bool same = true;

    if (!EXPECT(back != NULL) || !fix_format(f))
        return;
    for (uint32_t i = 0; i < NR; i++) {
        memset(data, (int)i + 1, MIB);
        EXPECT_OK(fix_write(f, 1, "d", "a", (uint64_t)i * MIB, MIB, 1, data));
    }
    /* More than one buffer of bio may hold. */
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, (uint64_t)20 * MIB, 0, back));
    for (size_t i = 0; i < (size_t)20 * MIB; i++) {
        same = same && back[i] == i / MIB + 1;
    }
    EXPECT(same);
    /* More than a fetch may read. */
    struct recx recx = {0, (uint64_t)NR * MIB};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_oid oid = fix_oid(1);
    struct iov dk = IOV("d");
    struct vos_fetch *fetch = NULL;

    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), OVERFLOW);
    /* But it may ask how much there is. */
    if (EXPECT_OK(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, VOS_FETCH_SIZE_ONLY, &dk, &iod, 1, &fetch))) {
        EXPECT_EQ(fetch->data_bytes, (uint64_t)NR * MIB);
        EXPECT_EQ(fetch->iods[0].size, 1);
        EXPECT_EQ(fetch->iods[0].seg_nr, NR);
        for (uint32_t i = 0; i < fetch->iods[0].seg_nr; i++) {
            EXPECT(fetch->iods[0].segs[i].buf == NULL);
        }
        vos_fetch_free(f->cont, fetch);
    }
    vos_fetch_free(f->cont, NULL);
    free(back);
    fix_close(f);
}

TEST_ON(vos_edge, large_reads, BACKEND_SIM)
{
    fix_body(large_reads);
}

static void
wrong_reads(struct fix *f)
{
    struct recx recx = {0, 1};
    struct vos_iod good = {.akey = IOV("a"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_oid oid = fix_oid(1), unknown = fix_oid_type(200, 1);
    struct iov dk = IOV("d"), none = {0};
    struct vos_fetch *fetch = NULL;
    struct vos_iod iod = good;

    if (!fix_format(f))
        return;
    EXPECT_ERR(vos_fetch(f->cont, &unknown, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &none, &iod, 1, &fetch), INVAL);
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 0, &fetch), INVAL);
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, NULL, 1, &fetch), INVAL);
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 1 << 20, &dk, &iod, 1, &fetch), INVAL);
    EXPECT_ERR(
        vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, VOS_IODS_NR_MAX + 1, &fetch), INVAL);
    iod.type = 3;
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    iod = good;
    iod.akey = none;
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    iod = good;
    iod.recxs = NULL;
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    iod = good;
    iod.recx_nr = VOS_RECXS_NR_MAX + 1;
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    iod.recx_nr = 0;
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    iod = good;
    recx.nr = 0;
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    recx = (struct recx){UINT64_C(1) << 63, 1};
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    recx = (struct recx){1, UINT64_C(1) << 63};
    EXPECT_ERR(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch), INVAL);
    EXPECT(fetch == NULL);
    /* The whole of the numbers is a range like any other. */
    recx = (struct recx){0, UINT64_C(1) << 63};
    if (EXPECT_OK(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch)))
        vos_fetch_free(f->cont, fetch);
    fix_close(f);
}

TEST_ON(vos_edge, wrong_reads, BACKEND_SIM)
{
    fix_body(wrong_reads);
}

/* A given epoch above a tall log of creations and punches. */
static void
tall_log(struct fix *f)
{
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 3, .data = IOV("new")};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    char buf[8];
    size_t len = 0;

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < 40; i++) {
        EXPECT_OK(fix_put(f, 1, "d", "a", "v", 1, 0));
        EXPECT_OK(fix_punch(f, 1, "d", i % 3 == 0 ? NULL : "a", VOS_COND_PUNCH));
    }
    EXPECT_OK(vos_epoch_next(f->tgt, &args.epoch));
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    EXPECT_OK(fix_get(f, 1, "d", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 3);
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), TX_RESTART); /* at the same epoch */
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_edge, a_given_epoch_above_a_tall_log, BACKEND_SIM)
{
    fix_body(tall_log);
}

/* ---- space of the data role ------------------------------------------------------------------------------------------- */

enum { PART_BYTES = 64 << 10, PARTS_NR = 20, CONTS_NR = 16 };

struct addrs {
    uint32_t nr;
    uint64_t at[PARTS_NR];
};

static bool
addr_note(void *arg, const struct vos_iter_ent *e)
{
    struct addrs *a = arg;

    if (EXPECT_LT(a->nr, PARTS_NR) && EXPECT(!e->is_inline))
        a->at[a->nr++] = e->addr;
    return true;
}

static void
streams(struct fix *f)
{
    static uint8_t data[PART_BYTES];
    struct vos_cont *first, *conts[2] = {NULL, NULL};

    if (!fix_format(f))
        return;
    first = conts[0] = f->cont;
    for (uint8_t c = 0; c < CONTS_NR && conts[1] == NULL; c++) {
        struct uuid id = {.b = {0xc0, c}};

        EXPECT_OK(vos_cont_create(f->tgt, f->pool, id));
        EXPECT_OK(vos_cont_open(f->tgt, f->pool, id, &f->cont));
        if (f->cont->stream != first->stream) {
            conts[1] = f->cont;
        } else {
            vos_cont_close(f->cont); /* they share one by chance */
        }
    }
    if (EXPECT(conts[1] != NULL)) {
        for (uint32_t i = 0; i < PARTS_NR * 2; i++) {
            f->cont = conts[i % 2];
            EXPECT_OK(fix_write(f, 1, "d", "a", (uint64_t)(i / 2) * PART_BYTES, PART_BYTES, 1, data));
        }
        for (uint32_t c = 0; c < 2; c++) {
            struct vos_iter_anchor anchor = {.eof = false};
            struct addrs addrs = {.nr = 0};
            struct vos_iter_args args = {.type = VOS_ITER_EXTENT,
                .hi = VOS_EPOCH_MAX,
                .pool = f->pool,
                .cont = conts[c],
                .oid = fix_oid(1),
                .dkey = IOV("d"),
                .akey = IOV("a"),
                .fn = addr_note,
                .arg = &addrs};

            while (!anchor.eof && EXPECT_OK(vos_iter(f->tgt, &args, &anchor))) {
            }
            EXPECT_EQ(addrs.nr, PARTS_NR);
            for (uint32_t i = 1; i < addrs.nr; i++) {
                EXPECT_EQ(addrs.at[i], addrs.at[i - 1] + PART_BYTES);
            }
        }
        vos_cont_close(conts[1]);
    }
    f->cont = first;
    fix_close(f);
}

/* Goal: what two containers write in turns lies one behind the other in each, not mixed. */
TEST_ON(vos_edge, containers_write_apart, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    f.cfg.data_bytes = 512 << 20; /* several bitmaps */
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, streams));
    fix_down(&f);
}
