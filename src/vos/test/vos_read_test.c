/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what a fetch reads of the data role: every checksum chunk once, neighbours together, several at a time, into bounded memory, not beyond its
 * deadline; and right. Method: large extents overwritten in many places on slow disks, in simulated time; pieces compared with a model,
 * their checksums computed anew.
 */
#include "base/crc.h"
#include "vos_test_fix.h"

#define MS UINT64_C(1000000)

enum { SPAN = 4 << 20, SMALL_NR = 400, SMALL_BYTES = 5000, STEP = 10000 };

static void held_body(struct fix *f);

static void
run_in(const char *dir, uint64_t disk_ns, void (*body)(struct fix *f))
{
    struct sim_opts opts = {
        .seed = test_seed(), .disk_lat_lo_ns = disk_ns, .disk_lat_hi_ns = disk_ns};
    struct fix f;

    fix_prepare(&f);
    if (body == held_body) {
        f.cfg.data_bytes = 6 << 20;
        f.data_quota = 5 << 20;
    }
    if (fix_up(&f, &opts)) {
        snprintf(f.cfg.dir, sizeof(f.cfg.dir), "%s", dir);
        EXPECT(fix_run(&f, body));
    }
    fix_down(&f);
}

static void
run_slow(uint64_t disk_ns, void (*body)(struct fix *f))
{
    run_in("/t/d0", disk_ns, body);
}

/* Where the data role is memory. */
static void
run_mapped(void (*body)(struct fix *f))
{
    run_in("/shm/d0", MS / 10, body);
}

/* One large extent, and as many small ones above it as one request takes ranges; model gets what must be read. */
static void
overlapped_write(struct fix *f, uint8_t *model)
{
    static struct recx recxs[SMALL_NR];
    static uint8_t data[(size_t)SMALL_NR * SMALL_BYTES];
    struct vos_iod iod = {.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = SMALL_NR,
        .recxs = recxs,
        .data = {data, sizeof(data)}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};

    rng_bytes(&f->rng, model, SPAN);
    EXPECT_OK(fix_write(f, 1, "d", "a", 0, SPAN, 1, model));
    rng_bytes(&f->rng, data, sizeof(data));
    for (uint32_t i = 0; i < SMALL_NR; i++) {
        recxs[i] = (struct recx){1000 + (uint64_t)i * STEP, SMALL_BYTES};
        memcpy(model + recxs[i].idx, data + (size_t)i * SMALL_BYTES, SMALL_BYTES);
    }
    EXPECT_OK(fix_mod(f, &mod, NULL));
}

static void
rests_body(struct fix *f)
{
    static uint8_t model[SPAN], back[SPAN];
    uint64_t start_ns;

    if (!fix_format(f))
        return;
    overlapped_write(f, model);
    start_ns = ult_now_ns();
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, SPAN, 0, back));
    EXPECT_MEM_EQ(back, model, SPAN);
    EXPECT_LE(ult_now_ns() - start_ns, 500 * MS); /* 801 pieces, one after the other, would be 20 s */
    fix_close(f);
}

/* 25 ms for each read, 801 pieces. */
TEST_ON(vos_read, rests_of_an_overwritten_extent, BACKEND_SIM)
{
    run_slow(25 * MS, rests_body);
}

/* ---- pieces --------------------------------------------------------------------------------------------------------- */

/* Keeps what it takes until drain(), as who sends it would. */
struct keeper {
    struct fix *f;
    struct vos_fetch *fetch;
    uint8_t *out; /* all present bytes, one after the other */
    uint64_t done;
    struct vos_piece held[4096];
    uint32_t held_nr, drains_nr, takes_nr, fail_at;
    uint32_t iod, seg;
    uint64_t off;
};

static int
keeper_take(void *arg, const struct vos_piece *piece)
{
    struct keeper *k = arg;

    if (++k->takes_nr == k->fail_at)
        return -DER_UNREACH;
    /* In the order of segments, without gaps. */
    if (piece->iod == k->iod && piece->seg == k->seg) {
        EXPECT_EQ(piece->off, k->off);
    } else {
        EXPECT(piece->iod > k->iod || (piece->iod == k->iod && piece->seg > k->seg));
        EXPECT_EQ(piece->off, 0);
    }
    k->iod = piece->iod;
    k->seg = piece->seg;
    k->off = piece->off + piece->len;
    if (k->held_nr == ARRAY_SIZE(k->held)) {
        EXPECT(false);
        return -DER_OVERFLOW;
    }
    k->held[k->held_nr++] = *piece;
    if (rng_chance(&k->f->rng, 1, 4))
        ult_yield();
    return 0;
}

static int
keeper_drain(void *arg)
{
    struct keeper *k = arg;

    for (uint32_t i = 0; i < k->held_nr; i++) {
        const struct vos_piece *p = &k->held[i];

        EXPECT_EQ(crc32c(0, p->buf, p->len), p->crc);
        memcpy(k->out + k->done, p->buf, p->len);
        k->done += p->len;
    }
    k->held_nr = 0;
    k->drains_nr++;
    return 0;
}

/* Ranges of [0, SPAN), in any order, overlapping or not. Returns their bytes. */
static uint64_t
ranges_draw(struct fix *f, struct recx *recxs, uint32_t nr, uint64_t len_max)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t len = rng_range(&f->rng, 1, len_max);

        recxs[i] = (struct recx){rng_below(&f->rng, SPAN - len), len};
        sum += len;
    }
    return sum;
}

static int
give(struct fix *f, const struct vos_iod *iods, uint32_t nr, uint64_t deadline_ns, struct keeper *k)
{
    struct vos_fetch_args args = {.oid = fix_oid(1),
        .epoch = VOS_EPOCH_MAX,
        .dkey = IOV("d"),
        .iods = iods,
        .iod_nr = nr,
        .deadline_ns = deadline_ns};
    struct vos_sink sink = {.arg = k, .take = keeper_take, .drain = keeper_drain};
    int rc = vos_fetch_begin(f->cont, &args, &k->fetch);

    if (rc == 0) {
        rc = vos_fetch_give(f->cont, k->fetch, &sink);
        vos_fetch_free(f->cont, k->fetch);
    }
    return rc;
}

/* A deadline in the middle: all of it, or a part from the start, and nothing stays. Returns how many were too late. */
static uint32_t
deadlines(struct fix *f, const struct vos_iod *iods, uint32_t nr, uint64_t took_ns,
    struct keeper *k, const uint8_t *want, uint64_t bytes)
{
    uint32_t late_nr = 0;
    struct bio_stats stats;

    for (uint32_t i = 1; i < 8; i++) {
        int rc;

        k->fail_at = k->takes_nr = k->iod = k->seg = 0;
        k->off = k->done = k->drains_nr = 0;
        k->held_nr = 0;
        rc = give(f, iods, nr, ult_now_ns() + took_ns * i / 8 + 1, k);
        EXPECT(rc == 0 || rc == -DER_TIMEDOUT);
        late_nr += rc != 0;
        EXPECT(rc == 0 ? k->done == bytes : k->done <= bytes);
        EXPECT_MEM_EQ(k->out, want, k->done);
        bio_stats_get(f->bio, &stats);
        EXPECT_EQ(stats.buf_bytes, 0);
    }
    return late_nr;
}

static void
pieces_body(struct fix *f)
{
    enum { ROUNDS = 40, NR = 30 };
    static uint8_t model[SPAN], out[(size_t)NR * 400000], want[(size_t)NR * 400000];
    static struct keeper k;
    static struct recx recxs[NR];
    uint64_t more = 0, windows = 0, took_ns;
    uint32_t late_nr = 0;

    if (!fix_format(f))
        return;
    overlapped_write(f, model);
    /* Some that lie with the metadata, and rests that are one byte long. */
    for (uint32_t i = 0; i < 50; i++) {
        uint64_t at = rng_below(&f->rng, SPAN - 3000);

        rng_bytes(&f->rng, model + at, 3000);
        EXPECT_OK(fix_write(f, 1, "d", "a", at, 3000, 1, model + at));
        EXPECT_OK(fix_write(f, 1, "d", "a", at + 2, 1000, 1, model + at + 2));
    }
    for (uint32_t round = 0; round < ROUNDS && !test_failed(); round++) {
        uint32_t nr = (uint32_t)rng_range(&f->rng, 1, NR), cut = (uint32_t)rng_below(&f->rng, nr + 1);
        uint64_t bytes = ranges_draw(f, recxs, nr,
            round % 3 == 0       ? 400000
                : round % 3 == 1 ? 40000
                                 : 50);
        struct vos_iod iods[2] = {
            {.akey = IOV("a"), .type = VOS_IOD_ARRAY, .recx_nr = cut, .recxs = recxs},
            {.akey = IOV("a"), .type = VOS_IOD_ARRAY, .recx_nr = nr - cut, .recxs = recxs + cut}};
        uint32_t from = cut == 0 ? 1 : 0, iod_nr = cut == 0 || cut == nr ? 1 : 2;

        more = 0;
        for (uint32_t i = 0; i < nr; i++) {
            memcpy(want + more, model + recxs[i].idx, recxs[i].nr);
            more += recxs[i].nr;
        }
        memset(&k, 0, sizeof(k));
        k.f = f;
        k.out = out;
        took_ns = ult_now_ns();
        EXPECT_OK(give(f, iods + from, iod_nr, 0, &k));
        took_ns = ult_now_ns() - took_ns;
        EXPECT_EQ(k.done, bytes);
        EXPECT_MEM_EQ(out, want, bytes);
        windows = MAX(windows, k.drains_nr);
        /* A sink that fails, a deadline that passes: the end, and everything is given back. */
        k.fail_at = (uint32_t)rng_range(&f->rng, 1, k.takes_nr);
        k.takes_nr = k.iod = k.seg = 0;
        k.off = k.done = k.drains_nr = 0;
        EXPECT_ERR(give(f, iods + from, iod_nr, 0, &k), UNREACH);
        EXPECT_GE(k.drains_nr, 1);
        EXPECT_ERR(give(f, iods + from, iod_nr, ult_now_ns(), &k), TIMEDOUT);
        late_nr += deadlines(f, iods + from, iod_nr, took_ns, &k, want, bytes);
    }
    EXPECT_GT(late_nr, ROUNDS); /* amid reads */
    EXPECT(windows > 1 || bio_data_map(f->bio, BIO_BLK_BYTES, 1) != NULL);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_read, pieces_in_order, BACKEND_SIM)
{
    run_slow(MS / 10, pieces_body);
}

TEST_ON(vos_read, pieces_where_they_lie, BACKEND_SIM)
{
    run_mapped(pieces_body);
}

/* Far more than one buffer: the memory that bio gives out stays small, and all of it comes back. */
static void
much_body(struct fix *f)
{
    enum { MIB = 1 << 20, NR = 66 };
    static uint8_t data[MIB];
    static struct keeper k;
    struct recx recx = {0, (uint64_t)NR * MIB};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    void *bufs[4] = {NULL};

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < NR; i++) {
        memset(data, (int)i + 1, MIB);
        EXPECT_OK(fix_write(f, 1, "d", "a", (uint64_t)i * MIB, MIB, 1, data));
    }
    k.f = f;
    k.out = malloc((size_t)NR * MIB);
    if (EXPECT(k.out != NULL)) {
        EXPECT_OK(give(f, &iod, 1, 0, &k));
        EXPECT_EQ(k.done, (uint64_t)NR * MIB);
        for (uint32_t i = 0; i < NR; i++) {
            EXPECT_EQ(k.out[(size_t)i * MIB + i], i + 1);
        }
        EXPECT(k.drains_nr >= NR / 4 || bio_data_map(f->bio, BIO_BLK_BYTES, 1) != NULL);
    }
    for (uint32_t i = 0; i < 4; i++) { /* the whole budget can be had */
        EXPECT_OK(bio_buf_get(f->bio, BIO_BUF_BYTES_MAX, &bufs[i]));
    }
    for (uint32_t i = 0; i < 4; i++) {
        bio_buf_put(f->bio, bufs[i], BIO_BUF_BYTES_MAX);
    }
    free(k.out);
    fix_close(f);
}

TEST_ON(vos_read, more_than_fits_a_buffer, BACKEND_SIM)
{
    run_slow(MS / 10, much_body);
}

/* ---- what is handed over stays -------------------------------------------------------------------------------------- */

enum { OLD_BYTES = 300000 };

static void
value_fill(uint8_t *buf, uint32_t i)
{
    struct rng r;

    rng_init(&r, 77 + i);
    rng_bytes(&r, buf, OLD_BYTES);
}

/* Replace the value; the old one's space is freed at once. */
static int
value_put(struct fix *f, uint32_t i)
{
    static uint8_t buf[OLD_BYTES];
    struct vos_iod iod = {
        .akey = IOV("v"), .type = VOS_IOD_SINGLE, .size = OLD_BYTES, .data = {buf, OLD_BYTES}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .flags = VOS_APPLY_NO_HISTORY};
    struct vos_apply_ret ret;

    value_fill(buf, i);
    return vos_apply(f->cont, &args, &ret);
}

/* Takes pieces, and while it holds them the value is replaced many times. */
struct holder {
    struct fix *f;
    struct vos_piece held[64];
    uint32_t held_nr, put_nr, bad_nr, full_nr;
};

static int
holder_take(void *arg, const struct vos_piece *piece)
{
    struct holder *h = arg;

    if (h->held_nr == ARRAY_SIZE(h->held))
        return -DER_OVERFLOW;
    h->held[h->held_nr++] = *piece;
    for (uint32_t i = 0; i < 5; i++) {
        int rc = value_put(h->f, ++h->put_nr);

        EXPECT(rc == 0 || rc == -DER_NOSPACE); /* all that is free is held */
        h->full_nr += rc != 0;
    }
    return 0;
}

static int
holder_drain(void *arg)
{
    struct holder *h = arg;

    for (uint32_t i = 0; i < h->held_nr; i++) {
        h->bad_nr += crc32c(0, h->held[i].buf, h->held[i].len) != h->held[i].crc;
    }
    return 0;
}

static void
held_body(struct fix *f)
{
    struct holder h = {.f = f};
    struct vos_sink sink = {.arg = &h, .take = holder_take, .drain = holder_drain};
    struct vos_iod iod = {.akey = IOV("v"), .type = VOS_IOD_SINGLE};
    struct vos_fetch_args args = {
        .oid = fix_oid(1), .epoch = VOS_EPOCH_MAX, .dkey = IOV("d"), .iods = &iod, .iod_nr = 1};
    struct vos_fetch *fetch;
    static uint8_t want[OLD_BYTES];

    if (!fix_format(f))
        return;
    EXPECT_OK(value_put(f, 0));
    value_fill(want, 0);
    if (EXPECT_OK(vos_fetch_begin(f->cont, &args, &fetch))) {
        EXPECT_OK(vos_fetch_give(f->cont, fetch, &sink));
        EXPECT_EQ(h.held_nr, (OLD_BYTES - 1) / VOS_CSUM_CHUNK_BYTES + 1);
        EXPECT_EQ(h.bad_nr, 0);
        EXPECT_EQ(h.held[1].crc, crc32c(0, want + VOS_CSUM_CHUNK_BYTES, VOS_CSUM_CHUNK_BYTES));
        vos_fetch_free(f->cont, fetch);
    }
    EXPECT_GT(h.full_nr, 0);
    EXPECT_OK(value_put(f, h.put_nr + 1));
    fix_close(f);
}

/* So little space that it would be used again at once. */
TEST_ON(vos_read, pieces_stay_while_they_are_held, BACKEND_SIM)
{
    run_mapped(held_body);
}
