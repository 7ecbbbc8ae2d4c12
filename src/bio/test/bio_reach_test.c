/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what bio_reach says of a store is what was marked in it: blocks and extents that nobody refers to, that several refer to, that are referred to and free, and places where there is nothing.
 * Method: a store with known blocks of every size and known extents; all of them marked, then all but some, then more than there are.
 */
#include "base/log.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio/bio_reach.h"
#include "bio_test_fix.h"

enum { BLOCK_NR = 400, EXT_NR = 12, FREED_NR = 20 };

static struct {
    uint64_t blocks[BLOCK_NR], freed[FREED_NR];
    uint32_t lens[BLOCK_NR]; /* of the blocks, as they were given */
    struct bio_ext exts[EXT_NR], freed_ext;
    uint32_t lines; /* logged as errors */
} t;

static void
count_line(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    (void)arg;
    (void)file;
    (void)line;
    (void)text;
    t.lines += level == LOG_LEVEL_ERROR;
}

static bool
ext_put(struct fix *f, uint64_t len, struct bio_ext *ret_ext)
{
    struct bio_resv *resv = NULL;
    struct umem_tx tx;
    uint64_t lsn;

    if (!EXPECT_OK(bio_ext_reserve(f->tgt, len, 0, &resv)))
        return false;
    *ret_ext = bio_resv_ext(resv);
    EXPECT_OK(umem_tx_admit(bio_umem(f->tgt)));
    EXPECT_OK(umem_tx_begin(bio_umem(f->tgt), 0, 0, &tx));
    EXPECT_OK(bio_ext_publish(&tx, f->tgt, resv));
    umem_tx_commit(&tx, &lsn);
    bio_ext_published(f->tgt, resv);
    return true;
}

static bool
setup(struct fix *f)
{
    struct umem *um;
    struct umem_tx tx;
    uint64_t lsn = 0;

    if (!EXPECT_OK(bio_format(f->xs, &f->cfg)) || !EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return false;
    um = bio_umem(f->tgt);
    /* Every third is freed again, as far as there is room to remember it. */
    for (uint32_t i = 0; i < BLOCK_NR + FREED_NR; i++) {
        bool is_freed = i < 3 * FREED_NR && i % 3 == 2;
        uint32_t len = i % 50 == 0 ? UMEM_BARE_BYTES : 16 + i * 37 % 1500;
        uint32_t at = i < 3 * FREED_NR ? i - i / 3 : i - FREED_NR;
        uint64_t *off = is_freed ? &t.freed[i / 3] : &t.blocks[at];

        EXPECT_OK(umem_tx_admit(um));
        EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
        if (!EXPECT_OK(umem_alloc(&tx, len, off)))
            return false;
        umem_tx_commit(&tx, &lsn);
        if (!is_freed)
            t.lens[at] = umem_block_bytes(um, *off);
    }
    for (uint32_t i = 0; i < FREED_NR; i++) {
        EXPECT_OK(umem_tx_admit(um));
        EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
        EXPECT_OK(umem_free(&tx, t.freed[i]));
        umem_tx_commit(&tx, &lsn);
    }
    for (uint32_t i = 0; i < EXT_NR; i++) {
        if (!ext_put(f, (1 + i) * UINT64_C(5000), &t.exts[i]))
            return false;
    }
    if (!ext_put(f, 9000, &t.freed_ext))
        return false;
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    EXPECT_OK(bio_ext_free(&tx, f->tgt, t.freed_ext));
    umem_tx_commit(&tx, &lsn);
    return EXPECT_OK(bio_wal_wait(f->tgt, lsn));
}

/* All from block `block` and extent `ext` on. */
static struct bio_reach *
marked(struct fix *f, uint32_t block, uint32_t ext)
{
    struct bio_reach *r = bio_reach_create(f->tgt);

    if (!EXPECT(r != NULL))
        return NULL;
    for (; block < BLOCK_NR; block++) {
        EXPECT_OK(bio_reach_block(r, t.blocks[block]));
    }
    for (; ext < EXT_NR; ext++) {
        EXPECT_OK(bio_reach_ext(r, t.exts[ext].addr, t.exts[ext].len));
    }
    return r;
}

static void
leaks_check(struct fix *f, uint32_t block_nr, uint32_t ext_nr)
{
    struct bio_reach_sum sum = {.free_nr = 9}, want = {.blocks_nr = block_nr};

    for (uint32_t i = 0; i < block_nr; i++) {
        want.block_bytes += t.lens[i];
    }
    for (uint32_t i = 0; i < ext_nr; i++) {
        want.data_bytes += t.exts[i].len;
    }
    for (uint32_t tells = 0; tells < 2; tells++) {
        struct bio_reach *r = marked(f, block_nr, ext_nr);
        int rc;

        if (r == NULL)
            return;
        t.lines = 0;
        rc = bio_reach_end(r, tells != 0, &sum);
        EXPECT_EQ(rc, tells != 0 && block_nr + ext_nr > 0 ? -DER_DF_INVAL : 0);
        EXPECT_EQ(sum.blocks_nr, want.blocks_nr);
        EXPECT_EQ(sum.block_bytes, want.block_bytes);
        EXPECT_EQ(sum.data_bytes, want.data_bytes);
        EXPECT_EQ(sum.free_nr, 0);
        if (tells == 0 || block_nr + ext_nr == 0) {
            EXPECT_EQ(t.lines, 0);
        } else {
            EXPECT(t.lines > 0 && t.lines <= MIN(block_nr + ext_nr, 200U)); /* neighbours in one line */
        }
        bio_reach_free(r);
    }
}

static void
body(struct fix *f)
{
    struct bio_reach_sum sum;
    struct bio_reach *r;

    if (!setup(f))
        return;
    log_sink_set(count_line, NULL, LOG_LEVEL_ERROR);
    leaks_check(f, 0, 0);
    leaks_check(f, 1, 0);
    leaks_check(f, 0, 1);
    leaks_check(f, 7, 3);
    leaks_check(f, BLOCK_NR, EXT_NR); /* more than are told */
    /* What can't be referred to. */
    r = marked(f, 0, 0);
    if (r == NULL)
        return;
    t.lines = 0;
    EXPECT_ERR(bio_reach_block(r, t.blocks[3]), DF_INVAL);
    EXPECT_ERR(bio_reach_block(r, t.blocks[3] + 1), DF_INVAL);
    EXPECT_ERR(bio_reach_block(r, 0), DF_INVAL);
    EXPECT_ERR(bio_reach_block(r, f->cfg.meta_bytes), DF_INVAL);
    EXPECT_ERR(bio_reach_block(r, UINT64_MAX - 15), DF_INVAL);
    EXPECT_ERR(bio_reach_ext(r, t.exts[2].addr + 4096, 1), DF_INVAL);
    EXPECT_ERR(bio_reach_ext(r, 0, 4096), DF_INVAL);
    EXPECT_ERR(bio_reach_ext(r, f->cfg.data_bytes - 4096, 8192), DF_INVAL);
    EXPECT_ERR(bio_reach_ext(r, UINT64_MAX - 4095, 8192), DF_INVAL);
    EXPECT_EQ(t.lines, 9);
    EXPECT_OK(bio_reach_ext(r, t.exts[0].addr, 0)); /* nothing */
    EXPECT_OK(bio_reach_end(r, true, &sum));
    bio_reach_free(r);
    /* What is free, and referred to. */
    r = marked(f, 0, 0);
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < FREED_NR; i++) {
        EXPECT_OK(bio_reach_block(r, t.freed[i]));
    }
    EXPECT_OK(bio_reach_ext(r, t.freed_ext.addr, t.freed_ext.len));
    EXPECT_ERR(bio_reach_end(r, false, &sum), DF_INVAL);
    EXPECT_EQ(sum.free_nr, FREED_NR + t.freed_ext.len / BIO_BLK_BYTES);
    EXPECT_EQ(sum.blocks_nr + sum.data_bytes, 0);
    bio_reach_free(r);
    bio_reach_free(NULL);
    log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    bio_close(f->tgt);
    f->tgt = NULL;
}

TEST_ON(bio_reach, all_that_is_allocated_and_no_more, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body);
    fix_fini(&f);
}
