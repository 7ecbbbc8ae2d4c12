/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fragmentation of the arena and of the extent space in long random use, against the bounds that README.md derives.
 */
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"

static const struct sim_opts quick = {.seed = 1, .disk_lat_lo_ns = 1000, .disk_lat_hi_ns = 1000};

/* Sizes whose logarithms are evenly spread. */
static uint64_t
size_draw(struct rng *rng, uint64_t lo, uint64_t hi)
{
    uint64_t top = lo << rng_below(rng, log2_floor_u64(hi / lo) + 1);

    return rng_range(rng, MAX(lo, top / 2), MIN(top, hi));
}

/* ---- arena ---------------------------------------------------------------------------------------------------------- */

enum { BLOCKS_MAX = 60000, TX_OPS = 100 };

struct arena {
    uint64_t offs[BLOCKS_MAX];
    uint32_t nr;
    struct {
        uint32_t bytes;
        uint64_t live_nr, peak_nr;
    } cls[UMEM_CLS_NR_MAX];
    uint32_t cls_nr;
};

static uint32_t
cls_of(struct arena *a, uint32_t bytes)
{
    uint32_t c = 0;

    while (c < a->cls_nr && a->cls[c].bytes != bytes) {
        c++;
    }
    EXPECT_LT(c, a->cls_nr);
    return c;
}

/* A transaction of allocations, or one of frees, so that no block waits for its end. */
static void
arena_tx(struct fix *f, struct arena *a, struct rng *rng, bool allocates, uint32_t bytes_max)
{
    struct umem *um = bio_umem(f->tgt);
    struct umem_tx tx;
    uint64_t lsn = 0;

    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    for (uint32_t i = 0; i < TX_OPS && !test_failed(); i++) {
        uint32_t c, at;

        if (allocates && a->nr < BLOCKS_MAX) {
            if (!EXPECT_OK(umem_alloc(&tx, (uint32_t)size_draw(rng, 16, bytes_max), &a->offs[a->nr])))
                break;
            c = cls_of(a, umem_block_bytes(um, a->offs[a->nr++]));
            a->cls[c].live_nr++;
            a->cls[c].peak_nr = MAX(a->cls[c].peak_nr, a->cls[c].live_nr);
        } else if (!allocates && a->nr > 0) {
            at = (uint32_t)rng_below(rng, a->nr);
            a->cls[cls_of(a, umem_block_bytes(um, a->offs[at]))].live_nr--;
            EXPECT_OK(umem_free(&tx, a->offs[at]));
            a->offs[at] = a->offs[--a->nr];
        }
    }
    umem_tx_commit(&tx, &lsn);
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
}

static void
body_arena(struct fix *f)
{
    static struct arena arena;
    struct arena *a = &arena;
    struct umem_cls_stats cls[UMEM_CLS_NR_MAX];
    struct rng rng;

    memset(a, 0, sizeof(*a));
    rng_init(&rng, test_seed());
    if (!fix_tgt_new(f))
        return;
    a->cls_nr = umem_cls_stats_get(bio_umem(f->tgt), cls);
    for (uint32_t c = 0; c < a->cls_nr; c++) {
        a->cls[c].bytes = cls[c].bytes;
    }
    for (uint32_t round = 0; round < 1200 && !test_failed(); round++) {
        /* Times of growth and of decay, of small blocks and of large ones. */
        bool grows = rng_chance(&rng, round / 100 % 3 == 2 ? 1 : 2, 3);

        arena_tx(f, a, &rng, grows && a->nr + TX_OPS < 30000, round / 200 % 2 == 0 ? 8192 : 256);
        umem_cls_stats_get(bio_umem(f->tgt), cls);
        for (uint32_t c = 0; c < a->cls_nr; c++) {
            uint64_t each = cls[c].pages_nr == 0
                ? 1
                : (cls[c].live_nr + cls[c].free_nr) / cls[c].pages_nr; /* blocks of a page */

            EXPECT_EQ(cls[c].live_nr, a->cls[c].live_nr);
            /* A page is taken only while all pages of the size are full, but for less than a sixteenth. */
            EXPECT_LE(cls[c].pages_nr, DIV_UP(a->cls[c].peak_nr, each - (each - 1) / 16));
        }
        if (round % 300 == 299)
            EXPECT_OK(bio_check(f->tgt));
    }
    /* When all is freed, all pages but one of each size are free again, for any size. */
    while (a->nr > 0 && !test_failed()) {
        arena_tx(f, a, &rng, false, 0);
    }
    umem_cls_stats_get(bio_umem(f->tgt), cls);
    for (uint32_t c = 0; c < a->cls_nr; c++) {
        EXPECT_EQ(cls[c].live_nr, 0);
        EXPECT_LE(cls[c].pages_nr, 1);
    }
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: the pages of a size are never more than the most blocks that lived at a time fill, but for less than a sixteenth of each. */
TEST_ON(bio_frag, arena, BACKEND_SIM)
{
    struct fix f;

    if (fix_init_opts(&f, &quick)) {
        f.cfg.meta_bytes = 256 << 20;
        fix_run(&f, body_arena);
    }
    fix_fini(&f);
}

/* ---- extents -------------------------------------------------------------------------------------------------------- */

enum { EXTS_MAX = 40000, EXT_TX_OPS = 64, EXT_BYTES_MAX = 1 << 20, FULL_PCT = 85 };

struct exts {
    struct bio_ext exts[EXTS_MAX];
    struct bio_resv *resvs[EXT_TX_OPS];
    uint32_t nr;
    uint64_t refused_nr;
};

/* Free some at random, then take as many bytes anew from several streams, up to FULL_PCT. */
static void
exts_round(struct fix *f, struct exts *e, struct rng *rng, uint32_t frees)
{
    struct umem *um = bio_umem(f->tgt);
    struct bio_space space;
    struct umem_tx tx;
    uint64_t lsn = 0;
    uint32_t nr = 0;

    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    for (uint32_t i = 0; i < frees && e->nr > 0; i++) {
        uint32_t at = (uint32_t)rng_below(rng, e->nr);

        EXPECT_OK(bio_ext_free(&tx, f->tgt, e->exts[at]));
        e->exts[at] = e->exts[--e->nr];
    }
    umem_tx_commit(&tx, &lsn);
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    bio_ext_reap(f->tgt);
    bio_space_get(f->tgt, &space);
    while (nr < EXT_TX_OPS && e->nr + nr < EXTS_MAX &&
        space.data_free > space.data_total / 100 * (100 - FULL_PCT)) {
        int rc = bio_ext_reserve(f->tgt, size_draw(rng, BIO_BLK_BYTES, EXT_BYTES_MAX),
            (uint32_t)rng_below(rng, 4), &e->resvs[nr]);

        e->refused_nr += rc != 0;
        if (!EXPECT_OK(rc))
            break;
        nr++;
        bio_space_get(f->tgt, &space);
    }
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_OK(bio_ext_publish(&tx, f->tgt, e->resvs[i]));
    }
    umem_tx_commit(&tx, &lsn);
    for (uint32_t i = 0; i < nr; i++) {
        e->exts[e->nr++] = bio_resv_ext(e->resvs[i]);
        bio_ext_published(f->tgt, e->resvs[i]);
    }
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
}

static void
body_exts(struct fix *f)
{
    static struct exts exts;
    struct exts *e = &exts;
    struct bio_ext_stats st;
    uint64_t chunk_nr, run_max_least = UINT64_MAX;
    struct rng rng;

    memset(e, 0, sizeof(*e));
    rng_init(&rng, test_seed());
    if (!fix_tgt_new(f))
        return;
    chunk_nr = f->tgt->space.chunk_nr;
    for (uint32_t round = 0; round < 1500 && !test_failed(); round++) {
        exts_round(f, e, &rng, (uint32_t)rng_below(&rng, EXT_TX_OPS));
        if (round % 10 != 9)
            continue;
        bio_ext_stats_get(f->tgt, &st);
        /* Every free run ends at an extent or at the end of a bitmap. */
        EXPECT_LE(st.free_runs_nr, e->nr + chunk_nr);
        EXPECT_GE(st.free_run_max_bytes, st.free_bytes / (e->nr + chunk_nr));
        run_max_least = MIN(run_max_least, st.free_run_max_bytes);
    }
    EXPECT_GT(e->nr, 2000);
    EXPECT_EQ(e->refused_nr, 0);
    EXPECT_GE(run_max_least, EXT_BYTES_MAX); /* the largest in use would always have found room */
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/*
 * Goal: a space that is 85% full, in which extents of 4 KiB to 1 MiB come and go for long, does not fall apart: runs are never more than extents and bitmaps
 * together, and one of 1 MiB is always there.
 */
TEST_ON(bio_frag, extents, BACKEND_SIM)
{
    struct fix f;

    if (fix_init_opts(&f, &quick)) {
        f.cfg.data_bytes = UINT64_C(1) << 30;
        f.cfg.meta_bytes = 32 << 20;
        fix_run(&f, body_exts);
    }
    fix_fini(&f);
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

enum { OPEN_CHUNKS = 2000, OPEN_LAT_NS = 100000 };

static void
body_many_bitmaps(struct fix *f)
{
    struct bio_resv *resv = NULL;
    struct umem_tx tx;
    uint64_t lsn = 0;

    if (!fix_tgt_new(f))
        return;
    for (uint32_t i = 0; i < OPEN_CHUNKS * 7 && !test_failed();
         i++) { /* an extent of 16 MiB fits seven times */
        EXPECT_OK(bio_ext_reserve(f->tgt, UINT64_C(16) << 20, 0, &resv));
        EXPECT_OK(umem_tx_admit(bio_umem(f->tgt)));
        EXPECT_OK(umem_tx_begin(bio_umem(f->tgt), 0, 0, &tx));
        EXPECT_OK(bio_ext_publish(&tx, f->tgt, resv));
        umem_tx_commit(&tx, &lsn);
        bio_ext_published(f->tgt, resv);
    }
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    fix_tgt_close(f);
}

static void
body_open_many(struct fix *f)
{
    struct bio_space space;
    struct umem_stats st;
    uint64_t start_ns = plat_mono_ns(f->plat);

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    *(uint64_t *)f->arg = plat_mono_ns(f->plat) - start_ns;
    umem_stats_get(bio_umem(f->tgt), &st);
    EXPECT_GE(st.loads_nr, OPEN_CHUNKS / 4);
    EXPECT_LE(st.resident_pages_nr, st.limit_pages_nr == 0 ? 1000 : st.limit_pages_nr);
    bio_space_get(f->tgt, &space);
    EXPECT_EQ(
        space.data_total - space.data_free, (UINT64_C(16) << 20) * OPEN_CHUNKS * 7 + BIO_BLK_BYTES);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: a large store is opened in the time that its bitmaps take when many are read at a time, not one by one; also with memory for few pages. */
TEST_ON(bio_frag, open_reads_bitmaps_together, BACKEND_SIM)
{
    uint64_t took_ns = 0, pages_nr = OPEN_CHUNKS / 4;
    struct fix f;

    if (fix_init_opts(&f, &quick)) {
        struct sim_opts opts = quick;

        f.arg = &took_ns;
        f.cfg.data_bytes = (UINT64_C(255) << 19) * OPEN_CHUNKS + (UINT64_C(16) << 20);
        f.cfg.meta_bytes = 64 << 20;
        fix_run(&f, body_many_bitmaps);
        opts.disk_lat_lo_ns = opts.disk_lat_hi_ns = OPEN_LAT_NS;
        EXPECT_OK(sim_opts_set(f.sim, &opts));
        fix_run(&f, body_open_many);
        EXPECT_LT(took_ns, OPEN_LAT_NS * pages_nr / 5);
        f.cfg.mem_bytes = 1;
        fix_run(&f, body_open_many);
        EXPECT_LT(took_ns, OPEN_LAT_NS * pages_nr / 2);
    }
    fix_fini(&f);
}
