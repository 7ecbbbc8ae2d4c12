/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what a search of the extent tree costs depends on the height of the tree and on what it finds, not on how many versions are covered
 * (EVT-3). Method: shapes of arrays that are known to be bad for such trees, VOS_EVCOST_NR extents each; nodes and extents looked at are
 * counted, by inserts and by searches at the newest and at older epochs, and compared with the height and the number of visible pieces.
 * With CAIRN_TEST_LOG in the environment the counts are printed (docs/decisions/0008-evtree.md has those of a million extents).
 */
#include "vos/vos_evtree.h"
#include "vos_test_fix.h"

enum { BATCH_NR = 64, BLK = 4096, SEARCH_NR = 64 };

struct shape {
    const char *name;
    /* Extent i of nr, in the order of their epochs. */
    void (*ext)(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi);
    uint64_t idx_nr; /* searches lie below it */
    uint64_t len; /* indexes of a search; 0: all */
    /* Most that a search may cost: height times the first, and for each piece height times the second. */
    uint32_t per_search, per_piece;
    uint32_t old_factor; /* times so much at old epochs; 0: not bounded by what is found */
};

struct cost {
    struct fix *f;
    struct vos_tgt tgt;
    const struct shape *shape;
    uint64_t nr, done;
    struct vos_evt_search search;
    uint32_t height;
    uint64_t insert_max;
};

static int
extent_add(struct vos_op *op, struct vos_tree_df *df, uint64_t lo, uint64_t hi, uint64_t epoch)
{
    struct vos_ver ext = {
        .is_ext = true, .epoch = epoch, .minor = 1, .flags = VOS_VER_HOLE, .lo = lo, .hi = hi};
    uint64_t rec;
    int rc = vos_ver_create(op, &ext, &rec);

    return rc != 0 ? rc : vos_evt_insert(op, df, umem_root(op->um), rec);
}

static int
insert_body(struct vos_op *op, void *arg)
{
    struct cost *c = arg;
    struct vos_tree_df *df = umem_ptr(op->um, umem_root(op->um));
    uint64_t lo, hi, end = MIN(c->nr, c->done + BATCH_NR);
    int rc = df == NULL ? -DER_AGAIN : 0;

    for (uint64_t i = c->done; rc == 0 && i < end; i++) {
        uint32_t before = op->visit_nr;

        c->shape->ext(i, c->nr, &lo, &hi);
        rc = extent_add(op, df, lo, hi, i + 1);
        c->insert_max = MAX(c->insert_max, op->visit_nr - before);
        c->height = df->depth;
    }
    return rc;
}

static int
search_body(struct vos_op *op, void *arg)
{
    struct cost *c = arg;
    struct vos_tree_df *df = umem_ptr(op->um, umem_root(op->um));

    return df == NULL ? -DER_AGAIN : vos_evt_collect(op, df, umem_root(op->um), &c->search);
}

/* SEARCH_NR searches at an epoch: the worst of them. */
static void
searches(struct cost *c, uint64_t epoch, bool is_old)
{
    const struct shape *sh = c->shape;
    uint64_t len = sh->len == 0 ? sh->idx_nr : sh->len, sum = 0, pieces = 0, worst = 0, allowed;
    uint32_t nr = sh->len == 0 ? 1 : SEARCH_NR;
    struct vos_op op;

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t lo = rng_below(&c->f->rng, sh->idx_nr - len + 1), cost;

        vos_evt_begin(&c->search, &c->tgt.heap, lo, lo + len - 1, epoch, (struct vos_epoch){0, 0});
        vos_op_init(&op, &c->tgt);
        c->tgt.visit_nr = 0;
        if (!EXPECT_OK(vos_read_run(&c->tgt, &op, search_body, c)))
            return;
        cost = c->tgt.visit_nr;
        allowed = c->height * (sh->per_search + (uint64_t)sh->per_piece * c->search.piece_nr);
        if (!is_old || sh->old_factor != 0)
            EXPECT_LE(cost, allowed * (is_old ? sh->old_factor : 1));
        sum += cost;
        pieces += c->search.piece_nr;
        worst = MAX(worst, cost);
        vos_evt_fini(&c->search);
    }
    if (getenv("CAIRN_TEST_LOG") != NULL) {
        printf("    %-22s %8lu extents, height %u, at epoch %7lu: %9.1f looked at (worst %lu) for "
               "%.1f "
               "pieces\n",
            sh->name, (unsigned long)c->nr, c->height, (unsigned long)epoch, (double)sum / nr,
            (unsigned long)worst, (double)pieces / nr);
    }
}

static void
body(struct fix *f)
{
    struct cost *c = calloc(1, sizeof(*c));
    struct vos_op op;
    uint64_t lsn;

    EXPECT_OK(bio_format(f->xs, &f->cfg));
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)))
        return;
    c->f = f;
    c->shape = f->arg;
    c->nr = VOS_EVCOST_NR;
    c->tgt.bio = f->bio;
    c->tgt.um = bio_umem(f->bio);
    c->tgt.hash_mask = UINT64_MAX;
    vos_heap_init(&c->tgt.heap);
    while (c->done < c->nr && !test_failed()) {
        vos_op_init(&op, &c->tgt);
        EXPECT_OK(vos_tx_run(&c->tgt, &op, 0, 1, insert_body, c, &lsn));
        c->done += BATCH_NR;
    }
    /* One way down, and one to the leftmost record where only that decides. */
    EXPECT_LE(c->insert_max, 4 * c->height);
    if (getenv("CAIRN_TEST_LOG") != NULL) {
        printf("    %-22s an insert looks at %lu at most\n", c->shape->name,
            (unsigned long)c->insert_max);
    }
    searches(c, c->nr, false);
    searches(c, c->nr + 1000, false);
    searches(c, c->nr - 1, true);
    searches(c, c->nr / 2, true);
    searches(c, c->nr / 100, true);
    bio_close(f->bio);
    f->bio = NULL;
    free(c);
}

static void
run(const struct shape *shape)
{
    struct fix f;

    fix_prepare(&f);
    f.cfg.meta_bytes = (UINT64_C(16) << 20) + (uint64_t)VOS_EVCOST_NR * 360;
    f.arg = (void *)(uintptr_t)shape;
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, body));
    fix_down(&f);
}

/* ---- shapes --------------------------------------------------------------------------------------------------------- */

static void
ext_same(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    (void)i;
    (void)nr;
    *ret_lo = 100;
    *ret_hi = 100 + BLK - 1;
}

TEST_ON(vos_evcost, versions_of_one_range, BACKEND_SIM)
{
    run(&(struct shape){"same range", ext_same, 3 * BLK, 0, 2, 1, 1});
}

/* Each longer than the one before, all from one start: the newest hides all. */
static void
ext_growing(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    (void)nr;
    *ret_lo = 0;
    *ret_hi = 10 * i;
}

TEST_ON(vos_evcost, a_file_rewritten_from_its_start, BACKEND_SIM)
{
    run(&(struct shape){"growing from 0", ext_growing, 1000, 0, 2, 1, 1});
}

static void
ext_long_over(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    uint64_t at = (i * 7919) % nr;

    *ret_lo = i + 1 == nr ? 0 : at * BLK;
    *ret_hi = i + 1 == nr ? nr * BLK : at * BLK + BLK - 1;
}

TEST_ON(vos_evcost, short_ones_under_a_long_one, BACKEND_SIM)
{
    run(&(struct shape){
        "short under long", ext_long_over, (uint64_t)VOS_EVCOST_NR * BLK, 64 * BLK, 2, 1, 3});
}

static void
ext_scattered(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    (void)nr;
    *ret_lo = hash_mix64(i) % (UINT64_C(1) << 28) * BLK;
    *ret_hi = *ret_lo + BLK - 1;
}

TEST_ON(vos_evcost, scattered_blocks_of_a_huge_array, BACKEND_SIM)
{
    run(&(struct shape){"4 KiB in 1 TiB", ext_scattered, UINT64_C(1) << 40, 1 << 20, 2, 1, 2});
}

TEST_ON(vos_evcost, a_long_read_of_scattered_blocks, BACKEND_SIM)
{
    run(&(struct shape){"4 KiB in 1 TiB, long", ext_scattered, UINT64_C(1) << 40,
        (UINT64_C(1) << 40) / VOS_EVCOST_NR * 100, 2, 1, 2});
}

static void
ext_hot(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    (void)nr;
    *ret_lo = hash_mix64(i) % 256 * BLK;
    *ret_hi = *ret_lo + BLK - 1;
}

TEST_ON(vos_evcost, blocks_rewritten_many_times, BACKEND_SIM)
{
    run(&(struct shape){"4 KiB in 1 MiB", ext_hot, 256 * BLK, 64 * BLK, 4, 4, 2});
}

static void
ext_mixed(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    uint64_t len = hash_mix64(i + 1) % 10 == 0 ? 1 << 20 : BLK;

    (void)nr;
    *ret_lo = hash_mix64(i) % (1 << 18) * BLK;
    *ret_hi = *ret_lo + len - 1;
}

TEST_ON(vos_evcost, long_ones_among_short_ones, BACKEND_SIM)
{
    run(&(struct shape){"1 MiB among 4 KiB", ext_mixed, UINT64_C(1) << 30, 1 << 20, 16, 8, 0});
}

/* Any start, any length: no two begin at the same place. */
static void
ext_unaligned(uint64_t i, uint64_t nr, uint64_t *ret_lo, uint64_t *ret_hi)
{
    (void)nr;
    *ret_lo = hash_mix64(i) % (1 << 20);
    *ret_hi = *ret_lo + hash_mix64(i + 7) % 8192;
}

TEST_ON(vos_evcost, unaligned_and_rewritten_many_times, BACKEND_SIM)
{
    run(&(struct shape){"unaligned in 1 MiB", ext_unaligned, 1 << 20, 16384, 32, 16, 0});
}
