/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the scrubber looks at every value once in a pass, finds every bad chunk and says where it is, whatever changes beside it, and goes on after a restart where
 * it was (SCR-1 to SCR-5). Method: bits flipped on the medium, as many as there are chunks; steps of a few bytes with random changes and evicted pages in
 * between; kills and power cuts; damaged index pages.
 */
#include "base/codec.h"
#include "vos_test_fix.h"

enum { KEYS_NR = 40, LEN_MAX = 700000, BADS_NR = 512 };

struct bads {
    uint32_t nr;
    struct {
        struct vos_scrub_bad bad;
        char dkey[16];
    } at[BADS_NR];
};

static uint8_t data[LEN_MAX];
static struct bads bads;

static void
bad_note(void *arg, const struct vos_scrub_bad *bad)
{
    struct bads *b = arg;

    if (!EXPECT_LT(b->nr, BADS_NR))
        return;
    b->at[b->nr].bad = *bad;
    snprintf(b->at[b->nr].dkey, sizeof(b->at[0].dkey), "%.*s", (int)bad->dkey.len,
        (const char *)bad->dkey.buf);
    b->nr++;
}

static size_t
len_of(uint32_t i)
{
    static const size_t lens[] = {10, 4096, 5000, 33000, 100000, LEN_MAX};

    return lens[i % ARRAY_SIZE(lens)];
}

static int
put(struct fix *f, uint32_t i)
{
    struct recx recx = {1000, len_of(i)};
    char key[16];
    struct vos_iod iod = {.akey = IOV("a"),
        .type = i % 2 == 0 ? VOS_IOD_ARRAY : VOS_IOD_SINGLE,
        .size = i % 2 == 0 ? 1 : len_of(i),
        .recx_nr = i % 2 == 0,
        .recxs = &recx,
        .data = {data, len_of(i)}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE, .oid = fix_oid(1 + i % 3), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod,
        .mod_nr = 1,
        .csum_type = i % CSUM_TYPES_NR,
        .csum_chunk_bytes = i % 3 == 0 ? 4096 : 0};
    struct vos_apply_ret ret;

    snprintf(key, sizeof(key), "k%u", i);
    mod.dkey = IOV(key);
    return vos_apply(f->cont, &args, &ret);
}

static bool
fill(struct fix *f)
{
    rng_bytes(&f->rng, data, sizeof(data));
    for (uint32_t i = 0; i < KEYS_NR; i++) {
        if (!EXPECT_OK(put(f, i)))
            return false;
    }
    return true;
}

static uint64_t
bytes_all(void)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < KEYS_NR; i++) {
        bytes += len_of(i);
    }
    return bytes;
}

/* One pass to its end, in steps of `bytes`. */
static uint32_t
pass(struct vos_scrub *s, uint64_t bytes)
{
    uint64_t before = vos_scrub_stats(s)->passes_nr;
    uint32_t steps = 0;

    while (vos_scrub_stats(s)->passes_nr == before && !test_failed()) {
        EXPECT_OK(vos_scrub_step(s, bytes));
        if (!EXPECT_LT(++steps, 100000))
            break;
    }
    return steps;
}

static bool
scrub_new(struct fix *f, struct vos_scrub **s)
{
    bads.nr = 0;
    return EXPECT_OK(vos_scrub_create(f->tgt, f->pool, bad_note, &bads, s));
}

/* ---- a sound store -------------------------------------------------------------------------------------------------- */

static void
body_sound(struct fix *f)
{
    const struct vos_scrub_stats *stats;
    struct vos_scrub *s = NULL;
    struct uuid none = {{1}};
    uint32_t steps;

    if (!fix_format(f))
        return;
    EXPECT_ERR(vos_scrub_create(f->tgt, none, NULL, NULL, &s), NONEXIST);
    if (!scrub_new(f, &s))
        return;
    stats = vos_scrub_stats(s);
    EXPECT_EQ(stats->start_ns, 0);
    EXPECT_EQ(pass(s, 1 << 20), 1); /* nothing there */
    EXPECT_EQ(stats->last.records_nr, 0);
    EXPECT(stats->start_ns != 0);
    if (!fill(f))
        return;
    EXPECT_OK(fix_punch(f, 1, "k0", "a", 0));
    steps = pass(s, UINT64_MAX);
    EXPECT_EQ(steps, 1);
    EXPECT_EQ(stats->last.records_nr, KEYS_NR);
    EXPECT_EQ(stats->last.bytes, bytes_all());
    /* A step verifies what it is asked for, and a chunk more at most. */
    for (uint64_t seen = 0; stats->passes_nr == 2;) {
        EXPECT_OK(vos_scrub_step(s, 10000));
        if (stats->passes_nr == 2)
            EXPECT_LE(stats->pass.bytes - seen, 10000 + VOS_CSUM_CHUNK_BYTES);
        seen = stats->pass.bytes;
    }
    EXPECT_EQ(stats->last.records_nr, KEYS_NR);
    EXPECT_EQ(stats->last.bytes, bytes_all());
    EXPECT_EQ(stats->bad_nr, 0);
    EXPECT_EQ(bads.nr, 0);
    vos_scrub_free(s);
    vos_scrub_free(NULL);
    fix_close(f);
}

static void
run(const char *dir, void (*body)(struct fix *f))
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        if (dir != NULL)
            strcpy(f.cfg.dir, dir);
        EXPECT(fix_run(&f, body));
    }
    fix_down(&f);
}

TEST_ON(vos_scrub, looks_at_all_once, BACKEND_LINUX | BACKEND_SIM)
{
    run(NULL, body_sound);
}

TEST_ON(vos_scrub, looks_at_all_in_memory, BACKEND_SIM)
{
    run("/shm/d0", body_sound);
}

/* ---- flipped bits --------------------------------------------------------------------------------------------------- */

/* Where the values are in the data role. */
struct places {
    uint32_t nr;
    struct {
        uint64_t addr, len; /* of a chunk */
        uint32_t key;
    } at[BADS_NR];
};
static struct places places;

struct look {
    struct fix *f;
    uint32_t i;
    struct vos_ver ver;
    uint64_t rec;
};

static int
look_body(struct vos_op *op, void *arg)
{
    struct look *look = arg;
    struct vos_oid oid = fix_oid(1 + look->i % 3);
    char key[16];
    struct iov dkey, akey = IOV("a");
    struct vos_walk w;
    int rc = vos_walk_init(&w, look->f->cont, &oid);

    snprintf(key, sizeof(key), "k%u", look->i);
    dkey = IOV(key);
    op->epoch = vos_epoch_now(look->f->tgt);
    if (rc == 0)
        rc = vos_walk_obj(op, look->f->cont, &oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &dkey, false, &w);
    if (rc == 0)
        rc = vos_walk_akey(op, &akey, false, &w);
    if (rc == 0) /* one version: the tree is the record */
        rc = vos_ver_get(op, w.akey->tree.root, &look->ver);
    if (rc == 0)
        look->rec = w.akey->tree.root;
    return rc;
}

static void
places_find(struct fix *f)
{
    places.nr = 0;
    for (uint32_t i = 0; i < KEYS_NR; i++) {
        struct look look = {.f = f, .i = i};
        struct vos_op op;

        vos_op_init(&op, f->tgt);
        EXPECT_OK(vos_read_run(f->tgt, &op, look_body, &look));
        for (uint32_t c = 0; look.ver.addr != 0 && c < look.ver.csum_nr; c++) {
            uint64_t off = (uint64_t)c << look.ver.csum.chunk_bits;

            if (!EXPECT_LT(places.nr, BADS_NR))
                return;
            places.at[places.nr].addr = look.ver.addr + off;
            places.at[places.nr].len =
                MIN(look.ver.stored_len - off, UINT64_C(1) << look.ver.csum.chunk_bits);
            places.at[places.nr++].key = i;
        }
    }
}

static void
body_flip_fill(struct fix *f)
{
    if (fix_format(f) && fill(f))
        places_find(f);
    fix_close(f);
}

static void
body_flip_pass(struct fix *f)
{
    struct vos_scrub *s;

    if (!fix_open(f) || !scrub_new(f, &s))
        return;
    pass(s, 100000);
    EXPECT_EQ(vos_scrub_stats(s)->bad_nr, bads.nr);
    EXPECT_EQ(vos_scrub_stats(s)->last.bad_nr, bads.nr);
    EXPECT_EQ(vos_scrub_stats(s)->last.records_nr, KEYS_NR);
    vos_scrub_free(s);
    fix_close(f);
}

static const char *
dir_file(const char *dir, char *buf)
{
    snprintf(buf, 64, "%s/data", dir);
    return buf;
}

static void
flip(struct fix *f, const char *file, uint32_t place)
{
    uint64_t bit = rng_below(&f->rng, places.at[place].len * 8);

    EXPECT_OK(sim_file_flip_bit(f->sim, FIX_HOST, file, places.at[place].addr * 8 + bit));
}

/* The report of a place, which must be the only one. */
static void
reported(struct fix *f, uint32_t place)
{
    char key[16];
    uint32_t nr = 0;

    snprintf(key, sizeof(key), "k%u", places.at[place].key);
    for (uint32_t i = 0; i < bads.nr; i++) {
        const struct vos_scrub_bad *b = &bads.at[i].bad;

        if (b->addr != places.at[place].addr)
            continue;
        nr++;
        EXPECT_EQ(b->len, places.at[place].len);
        EXPECT(!b->is_meta);
        EXPECT_EQ(b->rc, -DER_CSUM);
        EXPECT_STR_EQ(bads.at[i].dkey, key);
        EXPECT_EQ(b->oid.oid.lo, 1 + places.at[place].key % 3);
        EXPECT_EQ(b->is_array, places.at[place].key % 2 == 0);
        EXPECT_EQ(b->recx.nr, b->is_array ? len_of(places.at[place].key) : 1);
        EXPECT_EQ(cuuid_cmp(&b->cont, &f->cont_id), 0);
        EXPECT_EQ(cuuid_cmp(&b->pool, &f->pool), 0);
        EXPECT(b->epoch != 0);
    }
    EXPECT_EQ(nr, 1);
}

static void
flips(const char *dir)
{
    struct fix f;
    char file[64];

    fix_prepare(&f);
    dir_file(dir, file);
    if (fix_up_default(&f)) {
        strcpy(f.cfg.dir, dir);
        EXPECT(fix_run(&f, body_flip_fill));
        EXPECT_GT(places.nr, 100);
        EXPECT(fix_run(&f, body_flip_pass));
        EXPECT_EQ(bads.nr, 0);
        /* Some, among them the last chunk of a long value; then all of them. */
        for (uint32_t i = 0; i < places.nr; i += 7) {
            flip(&f, file, i);
        }
        EXPECT(fix_run(&f, body_flip_pass));
        EXPECT_EQ(bads.nr, DIV_UP(places.nr, 7));
        for (uint32_t i = 0; i < places.nr && !test_failed(); i++) {
            if (i % 7 == 0) {
                reported(&f, i);
            } else {
                flip(&f, file, i);
            }
        }
        EXPECT(fix_run(&f, body_flip_pass));
        EXPECT_EQ(bads.nr, places.nr);
        for (uint32_t i = 0; i < places.nr && !test_failed(); i++) {
            reported(&f, i);
        }
    }
    fix_down(&f);
}

TEST_ON(vos_scrub, every_flipped_chunk_is_reported, BACKEND_SIM)
{
    flips("/t/d0");
}

TEST_ON(vos_scrub, every_flipped_chunk_in_memory_is_reported, BACKEND_SIM)
{
    flips("/shm/d0");
}

/* Values beside the index: changed in memory, since pages have checksums of their own. */
static void
body_inline(struct fix *f)
{
    struct vos_scrub *s;
    struct look look = {.f = f, .i = 6}; /* ten bytes */
    struct vos_op op;

    if (!fix_format(f) || !fill(f) || !scrub_new(f, &s))
        return;
    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_read_run(f->tgt, &op, look_body, &look));
    EXPECT_EQ(look.ver.stored_len, 10);
    {
        struct umem_tx tx;
        uint64_t lsn, rec = look.rec;

        EXPECT_OK(umem_tx_admit(f->tgt->um));
        EXPECT_OK(umem_tx_begin(f->tgt->um, 0, 0, &tx));
        EXPECT_OK(umem_tx_range(&tx, rec, look.ver.bytes));
        ((uint8_t *)umem_ptr(f->tgt->um, rec))[look.ver.bytes - 1] ^= 1;
        umem_tx_commit(&tx, &lsn);
        pass(s, UINT64_MAX);
        if (EXPECT_EQ(bads.nr, 1)) {
            EXPECT(bads.at[0].bad.is_meta);
            EXPECT_EQ(bads.at[0].bad.addr, rec);
            EXPECT_STR_EQ(bads.at[0].dkey, "k6");
        }
    }
    vos_scrub_free(s);
    fix_close(f);
}

TEST_ON(vos_scrub, values_beside_the_index, BACKEND_SIM)
{
    run(NULL, body_inline);
}

/* ---- beside changes ------------------------------------------------------------------------------------------------- */

/* Steps of any size; in between others write, punch, make and destroy containers; pages go. What stayed is looked at once in each pass. */
static void
body_beside(struct fix *f)
{
    static uint8_t val[LEN_MAX];
    const struct vos_scrub_stats *stats;
    struct vos_scrub *s;
    char key[16];

    if (!fix_format(f) || !fill(f) || !scrub_new(f, &s))
        return;
    stats = vos_scrub_stats(s);
    for (uint32_t i = 0; stats->passes_nr < 6 && !test_failed(); i++) {
        uint64_t dice = rng_below(&f->rng, 100);
        struct uuid other = {{(uint8_t)(1 + rng_below(&f->rng, 20))}};

        umem_evict(f->tgt->um, (uint32_t)rng_below(&f->rng, 50), rng_u64(&f->rng));
        EXPECT_OK(vos_scrub_step(s, 1 + rng_below(&f->rng, dice < 50 ? 200000 : 3000)));
        snprintf(key, sizeof(key), "x%u", (uint32_t)rng_below(&f->rng, 30));
        if (dice < 40) {
            size_t len = 1 + rng_below(&f->rng, dice < 10 ? 100000 : 5000);

            EXPECT_OK(fix_put(f, 1 + dice % 5, key, "a", val, len, 0));
        } else if (dice < 60) {
            EXPECT_OK(fix_write(f, 9, key, "a", dice * 50, 200 * dice, 1, val));
        } else if (dice < 70) {
            EXPECT_OK(fix_punch(f, 1 + dice % 5, key, NULL, 0));
        } else if (dice < 80) {
            int rc = vos_cont_create(f->tgt, f->pool, other);

            EXPECT(rc == 0 || rc == -DER_EXIST);
        } else if (dice < 90 && other.b[0] != f->cont_id.b[0]) {
            int rc = vos_cont_destroy(f->tgt, f->pool, other);

            EXPECT(rc == 0 || rc == -DER_NONEXIST);
        } else if (dice < 93) {
            EXPECT_OK(vos_scrub_save(s));
        }
        if (stats->passes_nr > 0)
            EXPECT_GE(stats->last.records_nr, KEYS_NR);
        if (!EXPECT_LT(i, 100000))
            break;
    }
    EXPECT_EQ(bads.nr, 0);
    EXPECT_OK(vos_tgt_check(f->tgt));
    vos_scrub_free(s);
    fix_close(f);
}

TEST_ON(vos_scrub, beside_changes, BACKEND_SIM)
{
    run(NULL, body_beside);
    run("/shm/d0", body_beside);
}

/* The shard goes away between two steps. */
static void
body_pool_gone(struct fix *f)
{
    struct vos_scrub *s;

    if (!fix_format(f) || !fill(f) || !scrub_new(f, &s))
        return;
    EXPECT_OK(vos_scrub_step(s, 50000));
    vos_cont_close(f->cont);
    f->cont = NULL;
    EXPECT_OK(vos_pool_destroy(f->tgt, f->pool)); /* the scrubber holds nothing */
    EXPECT_ERR(vos_scrub_step(s, 50000), NONEXIST);
    EXPECT_ERR(vos_scrub_save(s), NONEXIST);
    vos_scrub_free(s);
    EXPECT_EQ(bads.nr, 0);
    vos_tgt_close(f->tgt);
    f->tgt = NULL;
    bio_close(f->bio);
    f->bio = NULL;
}

TEST_ON(vos_scrub, of_a_shard_that_is_destroyed, BACKEND_SIM)
{
    run(NULL, body_pool_gone);
}

/* ---- restarts ------------------------------------------------------------------------------------------------------- */

static void
body_half(struct fix *f)
{
    struct vos_scrub *s;

    if (!fix_format(f) || !fill(f) || !scrub_new(f, &s))
        return;
    /* Objects come by their hashes; some 13 values each. */
    while (vos_scrub_stats(s)->pass.records_nr < KEYS_NR / 2 && !test_failed()) {
        EXPECT_OK(vos_scrub_step(s, 20000));
    }
    EXPECT_OK(vos_scrub_save(s));
    f->seq = vos_scrub_stats(s)->start_ns;
}

static void
body_rest(struct fix *f)
{
    const struct vos_scrub_stats *stats;
    struct vos_scrub *s;

    if (!fix_open(f) || !scrub_new(f, &s))
        return;
    stats = vos_scrub_stats(s);
    EXPECT_EQ(stats->start_ns, f->seq);
    EXPECT(stats->is_running);
    pass(s, 20000);
    /* Not all of it, but all that was not looked at before. */
    EXPECT_GE(stats->last.records_nr, KEYS_NR / 2);
    EXPECT_LT(stats->last.records_nr, KEYS_NR - 5);
    EXPECT_OK(vos_scrub_save(s));
    vos_scrub_free(s);
    /* A pass that ended is not gone on with. */
    if (!scrub_new(f, &s))
        return;
    stats = vos_scrub_stats(s);
    EXPECT(!stats->is_running);
    EXPECT_EQ(stats->start_ns, f->seq);
    pass(s, UINT64_MAX);
    EXPECT_EQ(stats->last.records_nr, KEYS_NR);
    EXPECT_GT(stats->start_ns, f->seq);
    vos_scrub_free(s);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_scrub, goes_on_after_a_crash, BACKEND_SIM)
{
    for (int power = 0; power < 2; power++) {
        struct fix f;

        fix_prepare(&f);
        if (fix_up_default(&f)) {
            EXPECT(fix_run(&f, body_half));
            EXPECT(fix_crash(&f, power == 1));
            EXPECT(fix_run(&f, body_rest));
        }
        fix_down(&f);
    }
}

/* Power goes at any moment of a pass that saves its place all the time: what is found afterwards is sound, and a pass over it complete. */
static void
body_cut(struct fix *f)
{
    struct vos_scrub *s;

    if (!fix_open(f) || !scrub_new(f, &s))
        return;
    for (;;) {
        if (vos_scrub_step(s, 30000) != 0 || vos_scrub_save(s) != 0)
            return;
    }
}

static void
body_after_cut(struct fix *f)
{
    struct vos_scrub *s;

    if (!fix_open(f) || !scrub_new(f, &s))
        return;
    pass(s, UINT64_MAX); /* the rest of the one that was cut, or a new one */
    EXPECT_LE(vos_scrub_stats(s)->last.records_nr, KEYS_NR);
    pass(s, UINT64_MAX);
    EXPECT_EQ(vos_scrub_stats(s)->last.records_nr, KEYS_NR);
    EXPECT_EQ(bads.nr, 0);
    vos_scrub_free(s);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_scrub, power_cuts, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        EXPECT(fix_run(&f, body_flip_fill));
        for (uint32_t i = 0; i < 12 && !test_failed(); i++) {
            f.fn = body_cut;
            f.done = false;
            EXPECT_OK(xstream_post(f.xs, ULT_SERVICE, fix_ult, &f));
            sim_run_for(f.sim, 1 + rng_below(&f.rng, 60000000));
            if (!EXPECT(fix_crash(&f, i % 2 == 0)))
                break;
            EXPECT(fix_run(&f, body_after_cut));
        }
    }
    fix_down(&f);
}

/* What a pass found counts once, whenever the scrubber is started anew in it (SCR-5); that the shard is out of service is remembered. */
static void
body_found_half(struct fix *f)
{
    struct vos_pool_info info;
    struct vos_scrub *s;

    if (!fix_open(f) || !scrub_new(f, &s))
        return;
    for (uint32_t i = 0; i < 100 && vos_scrub_stats(s)->passes_nr == 0; i++) {
        EXPECT_OK(vos_scrub_step(s, 20000));
        EXPECT_OK(vos_scrub_save(s));
        vos_scrub_free(s);
        if (!EXPECT_OK(vos_scrub_create(f->tgt, f->pool, NULL, NULL, &s)) ||
            !vos_scrub_stats(s)->is_running)
            break;
        if (i % 3 == 2) /* past the largest object */
            EXPECT_OK(vos_scrub_step(s, 4800000));
        EXPECT_OK(vos_scrub_save(s));
    }
    EXPECT(!vos_scrub_stats(s)->is_running);
    EXPECT_EQ(vos_scrub_stats(s)->last.bad_nr, places.nr);
    EXPECT(!vos_scrub_stats(s)->is_out);
    EXPECT_OK(vos_scrub_out_set(s, true));
    EXPECT(vos_scrub_stats(s)->is_out);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT(info.is_out);
}

static void
body_found_rest(struct fix *f)
{
    struct vos_pool_info info;
    struct vos_scrub *s;

    if (!fix_open(f) || !scrub_new(f, &s))
        return;
    EXPECT(vos_scrub_stats(s)->is_out);
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT(info.is_out);
    EXPECT_EQ(vos_scrub_stats(s)->last.bad_nr, places.nr);
    EXPECT_OK(vos_scrub_out_set(s, false));
    vos_cont_space(f->cont, &info);
    EXPECT(!info.is_out);
    vos_scrub_free(s);
    fix_close(f);
}

TEST_ON(vos_scrub, what_was_found_is_remembered, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f)) {
        EXPECT(fix_run(&f, body_flip_fill));
        for (uint32_t i = 0; i < places.nr; i++) {
            flip(&f, "/t/d0/data", i);
        }
        EXPECT(fix_run(&f, body_found_half));
        EXPECT(fix_crash(&f, true));
        EXPECT(fix_run(&f, body_found_rest));
    }
    fix_down(&f);
}

/* ---- containers that are left out ------------------------------------------------------------------------------------ */

enum { CONTS_NR = 5 };

struct skips {
    struct bads bads; /* first: as bad_note() wants it */
    uint32_t asked[CONTS_NR], out_mask;
};

static struct uuid
skip_cont(uint32_t i)
{
    return (struct uuid){.b = {(uint8_t)(50 + 30 * i), 1}};
}

static bool
skip_ask(void *arg, const struct uuid *cont)
{
    struct skips *sk = arg;

    for (uint32_t i = 0; i < CONTS_NR; i++) {
        struct uuid id = skip_cont(i);

        if (cuuid_cmp(cont, &id) == 0) {
            sk->asked[i]++;
            ult_yield();
            return (sk->out_mask & 1u << i) != 0;
        }
    }
    return false; /* the fixture's own */
}

static void
body_skips(struct fix *f)
{
    static struct skips sk;
    struct vos_cont *own;
    struct vos_scrub *s;
    uint64_t all;

    if (!fix_format(f) || !fill(f))
        return;
    own = f->cont;
    for (uint32_t i = 0; i < CONTS_NR; i++) {
        EXPECT_OK(vos_cont_create(f->tgt, f->pool, skip_cont(i)));
        EXPECT_OK(vos_cont_open(f->tgt, f->pool, skip_cont(i), &f->cont));
        for (uint32_t k = 0; k <= i; k++) {
            EXPECT_OK(put(f, k));
        }
        vos_cont_close(f->cont);
    }
    f->cont = own;
    all = KEYS_NR + 15;
    for (uint32_t round = 0; round < 20 && !test_failed(); round++) {
        uint32_t mask = round == 0 ? 0 : rng_below(&f->rng, 1u << CONTS_NR), expected = (uint32_t)all;

        memset(&sk, 0, sizeof(sk));
        sk.out_mask = mask;
        EXPECT_OK(vos_scrub_create(f->tgt, f->pool, bad_note, &sk, &s));
        vos_scrub_skip_set(s, skip_ask);
        pass(s, 1 + rng_below(&f->rng, 200000));
        for (uint32_t i = 0; i < CONTS_NR; i++) {
            EXPECT_EQ(sk.asked[i], 1);
            expected -= (mask & 1u << i) != 0 ? i + 1 : 0;
        }
        EXPECT_EQ(vos_scrub_stats(s)->last.records_nr, expected);
        EXPECT_EQ(vos_scrub_stats(s)->skipped_nr, (uint64_t)__builtin_popcount(mask));
        vos_scrub_free(s);
    }
    EXPECT_EQ(sk.bads.nr, 0);
    fix_close(f);
}

TEST_ON(vos_scrub, containers_are_left_out, BACKEND_SIM)
{
    run(NULL, body_skips);
}

/* ---- damage to the index -------------------------------------------------------------------------------------------- */

/* Words of the arena changed at random, as a bug would: a pass has an end, whatever it says on the way (SCR-4). */
/* The word there; its page may have been hidden or dropped meanwhile. */
static uint64_t *
word_at(struct umem *um, uint64_t off)
{
    void *word;

    while ((word = umem_ptr(um, off)) == NULL && EXPECT_OK(umem_fault(um))) {
    }
    umem_fault_done(um);
    return word;
}

static void
body_index(struct fix *f)
{
    struct umem_pub *pub;
    struct vos_scrub *s;
    uint32_t found = 0;

    if (!fix_format(f) || !fill(f))
        return;
    for (uint32_t i = 0; i < 200; i++) {
        char key[16];

        snprintf(key, sizeof(key), "m%u", i);
        EXPECT_OK(fix_put(f, 1 + i % 7, key, "a", data, 100, 0));
    }
    pub = (struct umem_pub *)(void *)f->tgt->um;
    for (uint32_t round = 0; round < 150 && !test_failed(); round++) {
        uint64_t page, old[3], offs[3];

        if (!scrub_new(f, &s))
            return;
        for (uint32_t i = 0; i < 3; i++) {
            do {
                page = rng_below(&f->rng, pub->page_nr);
            } while (pub->pages[page].mem == NULL);
            offs[i] = (page << UMEM_PAGE_BITS) + rng_below(&f->rng, UMEM_PAGE_BYTES / 8) * 8;
            old[i] = le64_get(umem_ptr(f->tgt->um, offs[i] == 0 ? 8 : offs[i]));
        }
        for (uint32_t i = 0; i < 3; i++) {
            uint64_t *p = umem_ptr(f->tgt->um, offs[i] == 0 ? 8 : offs[i]);

            *p ^= UINT64_C(1) << rng_below(&f->rng, 64);
        }
        for (uint32_t steps = 0; vos_scrub_stats(s)->passes_nr == 0; steps++) {
            int rc = vos_scrub_step(s, UINT64_MAX);

            if (rc != 0 || !EXPECT_LT(steps, 10))
                break;
        }
        found += bads.nr > 0;
        for (uint32_t i = 3; i-- > 0;) {
            uint64_t *word = word_at(f->tgt->um, offs[i] == 0 ? 8 : offs[i]);

            if (word != NULL)
                *word = old[i];
        }
        vos_scrub_free(s);
    }
    EXPECT_GT(found, 0);
    EXPECT_OK(vos_tgt_check(f->tgt)); /* all was put back */
    fix_close(f);
}

TEST_ON(vos_scrub, damaged_index, BACKEND_SIM)
{
    run(NULL, body_index);
}
