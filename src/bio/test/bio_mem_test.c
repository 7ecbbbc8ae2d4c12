/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An arena that is larger than its memory: what stays, what is read, what waits, and that every operation ends. The metadata is a row of blocks that
 * fill a page each, whose offsets the test keeps. And what the allocators say about themselves.
 */
#include "base/probe.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"
#include "bio_test_shim.h"

enum {
    ROW_NR_MAX = 2000,
    BLOCK_BYTES = 8192, /* one to a page */
    ULT_NR = 40,
    NEED_NR = 9, /* pages of one operation */
    OTHERS_PAGES_NR = 60,
    OVER_NR = BIO_CKPT_BATCH_NR + ULT_NR + NEED_NR, /* see the head of bio_umem_page.c */
};

struct row {
    uint64_t offs[ROW_NR_MAX];
    uint64_t vals[ROW_NR_MAX]; /* what the block begins with, and ends with */
    uint32_t nr;
    struct fix *f;
    uint32_t live_nr; /* ULTs at work */
    uint64_t done_nr, seen_max, lsn;
    bool stop;
};

static struct row row;

static struct umem_stats
stats_of(struct fix *f)
{
    struct umem_stats st;

    umem_stats_get(bio_umem(f->tgt), &st);
    return st;
}

static uint64_t
pages(uint64_t nr)
{
    return nr << UMEM_PAGE_BITS;
}

/* A transaction that sets blocks; those whose offset is 0 are made. One of what ULTs do in production: a loop around admission, work and faults. */
static int
blocks_set(struct bio_tgt *tgt, const uint32_t *idx, uint32_t nr, uint64_t val, uint64_t *ret_lsn)
{
    struct umem *um = bio_umem(tgt);
    uint64_t offs[NEED_NR];
    struct umem_tx tx;
    int rc;

    for (;;) {
        rc = umem_tx_admit(um);
        if (rc != 0)
            break;
        rc = umem_tx_begin(um, 0, 1, &tx);
        if (rc == -DER_AGAIN)
            continue;
        EXPECT_OK(rc);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            offs[i] = row.offs[idx[i]];
            rc = offs[i] == 0 ? umem_alloc(&tx, BLOCK_BYTES, &offs[i]) : 0;
            if (rc == 0)
                rc = umem_tx_range(&tx, offs[i], 8);
            if (rc == 0)
                rc = umem_tx_range(&tx, offs[i] + BLOCK_BYTES - 8, 8);
            if (rc == 0) {
                uint8_t *mem = umem_ptr(um, offs[i]);

                memcpy(mem, &val, 8);
                memcpy(mem + BLOCK_BYTES - 8, &val, 8);
            }
        }
        if (rc == 0) {
            umem_tx_commit(&tx, ret_lsn);
            for (uint32_t i = 0; i < nr; i++) {
                row.offs[idx[i]] = offs[i];
                row.vals[idx[i]] = val;
            }
            break;
        }
        umem_tx_abort(&tx);
        if (rc == -DER_AGAIN)
            rc = umem_fault(um);
        if (rc != 0)
            break;
    }
    umem_fault_done(um);
    return rc;
}

/* Read blocks at one instant. */
static int
blocks_get(struct bio_tgt *tgt, const uint32_t *idx, uint32_t nr)
{
    struct umem *um = bio_umem(tgt);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        const uint8_t *mem = umem_ptr(um, row.offs[idx[i]]);

        if (mem == NULL) {
            rc = umem_fault(um);
            i = UINT32_MAX; /* anew, from the first */
            continue;
        }
        EXPECT_MEM_EQ(mem, &row.vals[idx[i]], 8);
        EXPECT_MEM_EQ(mem + BLOCK_BYTES - 8, &row.vals[idx[i]], 8);
    }
    umem_fault_done(um);
    return rc;
}

static void
row_make(struct fix *f, uint32_t nr)
{
    uint64_t lsn = 0;

    memset(&row, 0, sizeof(row));
    row.f = f;
    row.nr = nr;
    for (uint32_t i = 0; i < nr && !test_failed(); i++) {
        EXPECT_OK(blocks_set(f->tgt, &i, 1, 1000 + i, &lsn));
        if (f->cfg.mem_bytes != 0)
            EXPECT_LE(stats_of(f).resident_pages_nr, stats_of(f).limit_pages_nr + OVER_NR);
    }
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
}

static void
row_check(struct fix *f)
{
    for (uint32_t i = 0; i < row.nr && !test_failed(); i++) {
        EXPECT_OK(blocks_get(f->tgt, &i, 1));
    }
}

static bool
mem_fix(struct fix *f, uint64_t mem_pages)
{
    if (!fix_init(f))
        return false;
    f->cfg.meta_bytes = 48 << 20;
    f->cfg.mem_bytes = pages(mem_pages);
    f->cfg.ckpt_interval_ns = UINT64_C(1000) * 1000000000;
    return true;
}

static void
mem_test(uint64_t mem_pages, void (*body)(struct fix *f))
{
    struct fix f;

    if (mem_fix(&f, mem_pages))
        fix_run(&f, body);
    fix_fini(&f);
}

/* ---- what stays --------------------------------------------------------------------------------------------------------- */

static void
body_hot_set(struct fix *f)
{
    enum { HOT_NR = 80, NR = 1000 };
    uint64_t hot_loads = 0;

    if (!fix_tgt_new(f))
        return;
    row_make(f, NR);
    EXPECT_OK(bio_checkpoint(f->tgt));
    /* Two rounds, so that it is known to be used more than once. */
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < HOT_NR; i++) {
            EXPECT_OK(blocks_get(f->tgt, &i, 1));
        }
        for (uint32_t i = 500; i < 560; i++) {
            EXPECT_OK(blocks_get(f->tgt, &i, 1));
        }
    }
    /* A scan of all others, three times the memory, while the hot set is in use: one round for each 80 pages. */
    for (uint32_t i = HOT_NR; i < NR && !test_failed(); i++) {
        uint32_t hot = i % HOT_NR;
        uint64_t before;

        EXPECT_OK(blocks_get(f->tgt, &i, 1));
        before = stats_of(f).loads_nr;
        EXPECT_OK(blocks_get(f->tgt, &hot, 1));
        if (i >= HOT_NR * 3) /* it is known by then */
            hot_loads += stats_of(f).loads_nr - before;
    }
    EXPECT_LE(hot_loads, 3);
    EXPECT_GT(stats_of(f).revived_nr, 10);
    EXPECT_LE(stats_of(f).resident_pages_nr, stats_of(f).limit_pages_nr);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: pages in use stay while others are read once, however many these are. */
TEST_ON(bio_mem, scan_spares_the_hot_set, BACKEND_SIM)
{
    mem_test(260, body_hot_set);
}

static void
body_one_read(struct fix *f)
{
    uint64_t before, over;

    if (!fix_tgt_new(f))
        return;
    row_make(f, 600);
    EXPECT_OK(bio_checkpoint(f->tgt));
    EXPECT_GT(umem_evict(bio_umem(f->tgt), 10000, 0), 50);
    before = stats_of(f).loads_nr;
    over = stats_of(f).over_nr;
    row_check(f);
    EXPECT_EQ(stats_of(f).loads_nr - before, 600);
    EXPECT_EQ(stats_of(f).over_nr - over, 0);
    fix_tgt_close(f);
}

/* Goal: a page that is not in memory costs one read. */
TEST_ON(bio_mem, one_read_for_a_cold_page, BACKEND_SIM)
{
    mem_test(100, body_one_read);
}

/* ---- every operation ends ------------------------------------------------------------------------------------------------- */

static void
crowd_main(void *arg)
{
    struct rng rng;

    (void)arg;
    rng_init(&rng, test_seed() + row.live_nr++);
    for (uint32_t round = 0; round < 6 && !test_failed(); round++) {
        uint32_t idx[NEED_NR];

        for (uint32_t i = 0; i < NEED_NR; i++) {
            idx[i] = (uint32_t)rng_below(&rng, row.nr);
        }
        if (rng_chance(&rng, 1, 3)) {
            EXPECT_OK(blocks_set(row.f->tgt, idx, NEED_NR, rng_u64(&rng), &row.lsn));
        } else {
            EXPECT_OK(blocks_get(row.f->tgt, idx, NEED_NR));
        }
        row.done_nr++;
        row.seen_max = MAX(row.seen_max, stats_of(row.f).resident_pages_nr);
    }
    row.live_nr--;
}

static void
body_crowd(struct fix *f)
{
    struct ult *ults[ULT_NR];
    struct bio_stats st;

    if (!fix_tgt_new(f))
        return;
    row_make(f, 300);
    for (uint32_t i = 0; i < ULT_NR; i++) {
        EXPECT_OK(ult_create(f->xs, ULT_SERVICE, crowd_main, NULL, &ults[i]));
    }
    for (uint32_t i = 0; i < ULT_NR; i++) {
        ult_join(ults[i]);
    }
    EXPECT_EQ(row.done_nr, 6 * ULT_NR);
    EXPECT_LE(row.seen_max, stats_of(f).limit_pages_nr + OVER_NR);
    bio_stats_get(f->tgt, &st);
    EXPECT_GT(st.ckpt_nr, 10); /* because clean pages ran out: nothing else asked for one */
    EXPECT_OK(bio_check(f->tgt));
    row_check(f);
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    row_check(f);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/*
 * Goal: UP-3, UP-4: forty operations at a time that need nine pages each all end, with memory for twelve; and what they wrote is right,
 * now and when the target is opened again.
 */
TEST_ON(bio_mem, more_operations_than_pages, BACKEND_SIM)
{
    mem_test(1, body_crowd);
}

/* Loads one page after the other, among them those that the favoured one wants. */
static void
others_main(void *arg)
{
    uint32_t idx = row.live_nr++;

    (void)arg;
    while (!row.stop && !test_failed()) {
        EXPECT_OK(blocks_get(row.f->tgt, &idx, 1));
        idx = (idx + 1) % OTHERS_PAGES_NR;
    }
}

static void
favoured_main(void *arg)
{
    struct umem *um = bio_umem(row.f->tgt);
    uint32_t faults[NEED_NR] = {0};

    (void)arg;
    for (uint32_t i = 0; i < NEED_NR; i++) {
        if (umem_ptr(um, row.offs[i * 3]) == NULL) {
            faults[i]++;
            EXPECT_OK(umem_fault(um));
            i = UINT32_MAX;
        }
    }
    umem_fault_done(um);
    for (uint32_t i = 0; i < NEED_NR; i++) {
        EXPECT_LE(faults[i], 1);
        row.done_nr += faults[i];
    }
    row.stop = true;
}

static void
body_favoured(struct fix *f)
{
    struct ult *ults[ULT_NR];

    if (!fix_tgt_new(f))
        return;
    row_make(f, 300);
    EXPECT_OK(ult_create(f->xs, ULT_SERVICE, favoured_main, NULL, &ults[0]));
    for (uint32_t i = 1; i < ULT_NR; i++) {
        EXPECT_OK(ult_create(f->xs, ULT_SERVICE, others_main, NULL, &ults[i]));
    }
    for (uint32_t i = 0; i < ULT_NR; i++) {
        ult_join(ults[i]);
    }
    EXPECT_GT(row.done_nr, 1);
    fix_tgt_close(f);
}

/* Goal: UP-4: the favoured operation misses no page twice, also when it waits for one that another loads, which others would drop at once. */
TEST_ON(bio_mem, favoured_one_misses_a_page_once, BACKEND_SIM)
{
    mem_test(1, body_favoured);
}

/* ---- open and replay ------------------------------------------------------------------------------------------------------ */

static void
body_many(struct fix *f)
{
    if (!fix_tgt_new(f))
        return;
    row_make(f, ROW_NR_MAX);
    fix_tgt_close(f);
}

static void
body_open_is_lazy(struct fix *f)
{
    struct bio_stats st;

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    bio_stats_get(f->tgt, &st);
    EXPECT_EQ(st.replayed_records_nr, 0);
    EXPECT_LE(stats_of(f).resident_pages_nr, 4); /* of 2000 */
    EXPECT_EQ(stats_of(f).used_bytes, (uint64_t)ROW_NR_MAX * BLOCK_BYTES); /* known without them */
    row_check(f);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: open reads what it needs, not the arena. */
TEST_ON(bio_mem, open_reads_little, BACKEND_SIM)
{
    struct fix f;

    if (mem_fix(&f, 0) && fix_run(&f, body_many)) /* no limit: all that is there stays */
        fix_run(&f, body_open_is_lazy);
    fix_fini(&f);
}

static void
body_log_of_many_pages(struct fix *f)
{
    struct rng rng;

    rng_init(&rng, test_seed());
    f->cfg.mem_bytes = 0;
    if (!fix_tgt_new(f))
        return;
    row_make(f, 700);
    EXPECT_OK(bio_checkpoint(f->tgt));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < row.nr && !test_failed(); i++) {
            EXPECT_OK(blocks_set(f->tgt, &i, 1, rng_u64(&rng), &row.lsn));
        }
    }
    EXPECT_OK(bio_wal_wait(f->tgt, row.lsn));
}

static void
body_replay_in_little_memory(struct fix *f)
{
    struct bio_stats st;

    f->cfg.mem_bytes = pages(30);
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    bio_stats_get(f->tgt, &st);
    EXPECT_GE(st.replayed_records_nr, 2100);
    EXPECT_GT(st.ckpt_pages_nr, 700); /* written on the way */
    EXPECT_LE(stats_of(f).resident_pages_nr, stats_of(f).limit_pages_nr);
    EXPECT_OK(bio_check(f->tgt));
    row_check(f);
}

/* Goal: a log that changed more pages than there is memory for is replayed; if that is cut short, again. */
TEST_ON(bio_mem, replay_in_little_memory, BACKEND_SIM)
{
    struct fix f;

    if (mem_fix(&f, 30) && fix_run(&f, body_log_of_many_pages)) {
        fix_crash(&f, true);
        for (uint64_t cut = 5; cut < 200 && !test_failed(); cut += 35) {
            sim_host_power_loss_at(f.sim, "h0", cut);
            EXPECT(!fix_run(&f, body_replay_in_little_memory));
            sim_host_power_loss_at(f.sim, "h0", 0);
            EXPECT(f.xs == NULL);
            if (!fix_start(&f))
                break;
        }
        if (fix_run(&f, body_replay_in_little_memory)) {
            fix_crash(&f, true);
            if (fix_run(&f, body_replay_in_little_memory))
                fix_run(&f, fix_tgt_close);
        }
    }
    fix_fini(&f);
}

/* ---- slot map ------------------------------------------------------------------------------------------------------------- */

static void
body_map_in_parts(struct fix *f)
{
    struct bio_stats st, st2;
    uint32_t last = ROW_NR_MAX - 1;

    if (!fix_tgt_new(f))
        return;
    row_make(f, ROW_NR_MAX);
    EXPECT_OK(bio_checkpoint(f->tgt));
    bio_stats_get(f->tgt, &st);
    EXPECT_GE(st.ckpt_leaves_nr, ROW_NR_MAX / BIO_LEAF_ENTRY_NR_MIN);
    for (uint32_t round = 0; round < 5; round++) {
        EXPECT_OK(blocks_set(f->tgt, &last, 1, round, &row.lsn));
        EXPECT_OK(bio_checkpoint(f->tgt));
    }
    bio_stats_get(f->tgt, &st2);
    EXPECT_EQ(st2.ckpt_leaves_nr - st.ckpt_leaves_nr, 5); /* of 8 each time */
    EXPECT_LE(st2.ckpt_pages_nr - st.ckpt_pages_nr, 5);
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    row_check(f);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: a checkpoint writes the parts of the slot map that changed, not the map. */
TEST_ON(bio_mem, map_is_written_in_parts, BACKEND_SIM)
{
    mem_test(0, body_map_in_parts);
}

static void
body_old_leaf(struct fix *f)
{
    struct bio_disk disk = {.plat = f->plat};
    uint8_t *leaf = bio_mem_get(BIO_BLK_BYTES);
    uint64_t offs[2];
    uint32_t place;
    char path[300];

    if (!fix_tgt_new(f))
        return;
    row_make(f, 10);
    EXPECT_OK(bio_checkpoint(f->tgt));
    push_to(f->tgt, 5, 100);
    EXPECT_OK(bio_checkpoint(f->tgt));
    place = f->tgt->ckpt.hdr->places[0] & 1;
    memcpy(offs, f->tgt->ckpt.map_off, sizeof(offs));
    fix_tgt_close(f);

    /* The leaf before the last, which is whole, where the last one should be. */
    snprintf(path, sizeof(path), "%s/meta", f->cfg.dir);
    EXPECT_OK(f->plat->ops->disk_open(f->plat, xstream_loop(f->xs), path, 0, 0, &disk.disk));
    disk.bytes = f->plat->ops->disk_size(disk.disk);
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, offs[place ^ 1], leaf, BIO_BLK_BYTES));
    EXPECT(!bio_is_blank(leaf, BIO_BLK_BYTES));
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, offs[place], leaf, BIO_BLK_BYTES));
    f->plat->ops->disk_close(disk.disk);
    free(leaf);
    EXPECT_ERR(bio_open(f->xs, &f->cfg, &f->tgt), CSUM);
}

/* Goal: ST-7: a leaf that is whole, but older than the header says, is damage. */
TEST_ON(bio_mem, old_leaf_is_refused, BACKEND_SIM)
{
    mem_test(0, body_old_leaf);
}

/* ---- statistics ------------------------------------------------------------------------------------------------------------ */

static void
body_statistics(struct fix *f)
{
    struct umem_cls_stats cls[UMEM_CLS_NR_MAX];
    struct bio_resv *resvs[5] = {NULL};
    struct bio_ext_stats es;
    struct umem *um;
    struct umem_tx tx;
    uint64_t used = 0, lsn = 0, runs = 0;
    uint32_t nr;

    if (!fix_tgt_new(f))
        return;
    um = bio_umem(f->tgt);
    row_make(f, 7);
    push_to(f->tgt, 300, 40); /* blocks of 64 bytes: 255 to a page */
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(umem_free(&tx, row.offs[i]));
    }
    umem_tx_commit(&tx, &lsn);
    nr = umem_cls_stats_get(um, cls);
    EXPECT_EQ(nr, UMEM_CLS_NR_MAX);
    for (uint32_t c = 0; c < nr; c++) {
        used += cls[c].live_nr * cls[c].bytes;
        EXPECT(c == 0 || cls[c].bytes > cls[c - 1].bytes);
        if (cls[c].bytes == 64) {
            EXPECT_EQ(cls[c].live_nr, 300);
            EXPECT_EQ(cls[c].pages_nr, 2);
            EXPECT_EQ(cls[c].free_nr, 2 * 255 - 300);
        } else if (cls[c].bytes == BLOCK_BYTES) {
            EXPECT_EQ(cls[c].live_nr, 4);
            EXPECT_LE(cls[c].free_nr, 1); /* pages are given back but one */
        }
    }
    EXPECT_EQ(used, stats_of(f).used_bytes);

    bio_ext_stats_get(f->tgt, &es);
    EXPECT_EQ(es.free_bytes, f->cfg.data_bytes - BIO_BLK_BYTES);
    EXPECT_EQ(es.free_runs_nr, 3); /* 256 MiB: bitmaps of 127.5, 127.5 and 1 */
    for (uint32_t i = 0; i < 5; i++) {
        EXPECT_OK(bio_ext_reserve(f->tgt, 3 * BIO_BLK_BYTES, 0, &resvs[i]));
    }
    EXPECT_LE(bio_resv_ext(resvs[4]).addr, (uint64_t)17 * BIO_BLK_BYTES);
    bio_ext_cancel(f->tgt, resvs[1]);
    bio_ext_cancel(f->tgt, resvs[3]);
    bio_ext_stats_get(f->tgt, &es);
    EXPECT_EQ(es.resv_bytes, (uint64_t)9 * BIO_BLK_BYTES);
    EXPECT_EQ(es.free_runs_nr, 5);
    EXPECT_EQ(es.free_runs[1], 2); /* of three blocks */
    EXPECT_EQ(es.free_run_max_bytes, (uint64_t)BIO_EXT_CHUNK_BLKS * BIO_BLK_BYTES);
    for (uint32_t i = 0; i < BIO_EXT_RUN_CLS_NR; i++) {
        runs += es.free_runs[i];
    }
    EXPECT_EQ(runs, es.free_runs_nr);
    EXPECT_EQ(es.free_bytes + es.resv_bytes + es.alloc_bytes + es.wait_bytes,
        f->cfg.data_bytes - BIO_BLK_BYTES);
    for (uint32_t i = 0; i < 5; i += 2) {
        bio_ext_cancel(f->tgt, resvs[i]);
    }
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: what the allocators say about themselves is what was asked of them. */
TEST_ON(bio_mem, statistics, BACKEND_SIM)
{
    mem_test(0, body_statistics);
}

/* ---- errors --------------------------------------------------------------------------------------------------------------- */

static void
body_full(struct fix *f)
{
    uint64_t lsn = 0;
    int rc = 0;

    if (!fix_tgt_new(f))
        return;
    row_make(f, 200);
    EXPECT_OK(bio_checkpoint(f->tgt));
    sim_host_disk_limit(f->sim, "h0", 0);
    for (uint32_t i = 0; rc == 0 && i < row.nr; i++) {
        rc = blocks_set(f->tgt, &i, 1, 7000 + i, &lsn);
    }
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_OK(bio_status(f->tgt));
    row_check(f); /* reading goes on, also of what is not in memory: UP-3 */
    EXPECT_LE(stats_of(f).resident_pages_nr, stats_of(f).limit_pages_nr + OVER_NR);
    sim_host_disk_limit(f->sim, "h0", UINT64_MAX);
    for (uint32_t i = 0; i < row.nr && !test_failed(); i++) {
        EXPECT_OK(blocks_set(f->tgt, &i, 1, 8000 + i, &lsn));
    }
    row_check(f);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: when dirty pages can't be written, transactions get NOSPACE, nothing is lost, and reading goes on. */
TEST_ON(bio_mem, full_disk, BACKEND_SIM)
{
    mem_test(40, body_full);
}

static void
body_damaged_page(struct fix *f)
{
    uint32_t bad = 57, good = 58;
    uint64_t page, bit;
    char path[300];
    struct umem *um;

    if (!fix_tgt_new(f))
        return;
    row_make(f, 100);
    EXPECT_OK(bio_checkpoint(f->tgt));
    um = bio_umem(f->tgt);
    umem_evict(um, 1000, 0);
    page = row.offs[bad] >> UMEM_PAGE_BITS;
    snprintf(path, sizeof(path), "%s/meta", f->cfg.dir);
    bit = (f->tgt->ckpt.slots_off + (uint64_t)(um->pub.pages[page].slot - 1) * 16384) * 8 + 4321;
    EXPECT_OK(sim_file_flip_bit(f->sim, "h0", path, bit));
    EXPECT_ERR(blocks_get(f->tgt, &bad, 1), CSUM);
    EXPECT_OK(blocks_get(f->tgt, &good, 1));
    EXPECT_ERR(blocks_set(f->tgt, &bad, 1, 1, &row.lsn), CSUM);
    EXPECT_OK(blocks_set(f->tgt, &good, 1, 1, &row.lsn));
    EXPECT_OK(bio_status(f->tgt));
    EXPECT_ERR(bio_check(f->tgt), CSUM);
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)); /* the others are still good */
    EXPECT_ERR(blocks_get(f->tgt, &bad, 1), CSUM);
    EXPECT_OK(blocks_get(f->tgt, &good, 1));
    EXPECT_OK(sim_file_flip_bit(f->sim, "h0", path, bit));
    EXPECT_OK(blocks_get(f->tgt, &bad, 1));
    fix_tgt_close(f);
}

/* Goal: a damaged page is an error of who wants it; the target goes on, and opens. */
TEST_ON(bio_mem, damaged_page, BACKEND_SIM)
{
    mem_test(40, body_damaged_page);
}

static void
body_load_fails(struct fix *f)
{
    uint32_t failed_nr = 0;

    if (!fix_tgt_new(f))
        return;
    row_make(f, 40);
    EXPECT_OK(bio_checkpoint(f->tgt));
    disk_shim_install(f->plat, xstream_loop(f->xs));
    for (uint64_t nth = 1; nth <= 40 && !test_failed(); nth++) {
        umem_evict(bio_umem(f->tgt), 1000, 0);
        disk_shim_arm(nth);
        for (uint32_t i = 0; i < row.nr; i++) {
            int rc = blocks_get(f->tgt, &i, 1);

            EXPECT(rc == 0 || rc == -DER_NVME_IO);
            failed_nr += rc != 0;
        }
        EXPECT_EQ(disk_shim.fired_nr, 1);
        disk_shim_arm(0);
        EXPECT_EQ(failed_nr, nth); /* one each time, and nothing else */
        EXPECT_OK(bio_status(f->tgt));
        row_check(f);
    }
#ifdef CAIRN_FAULTS
    for (uint64_t nth = 1; nth <= 3; nth++) {
        umem_evict(bio_umem(f->tgt), 1000, 0);
        fault_arm_nth(nth);
        for (uint32_t i = 0; i < row.nr; i++) {
            int rc = blocks_set(f->tgt, &i, 1, nth + i, &row.lsn);

            EXPECT(rc == 0 || rc == -DER_NOMEM);
        }
        fault_arm_nth(0);
        row_check(f);
    }
#endif
    EXPECT_OK(bio_check(f->tgt));
    disk_shim_remove(f->plat);
    fix_tgt_close(f);
}

/* Goal: a page that can't be read, or memory that can't be had, is an error of who wants it; the next one reads it. */
TEST_ON(bio_mem, load_fails, BACKEND_SIM)
{
    mem_test(300, body_load_fails);
}
