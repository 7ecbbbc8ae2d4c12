/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The arena without disks: a log that hands every record to a second arena at once (so that the redo is checked), pages whose "slots"
 * are copies in memory, and a naive twin that remembers the bytes of every live block.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "harness/harness.h"

enum { ARENA_BYTES = 8 << 20, LIVE_MAX = 4000, PAGES = ARENA_BYTES / UMEM_PAGE_BYTES };

struct fake {
    struct umem *um;
    struct umem *redo; /* rebuilt from records alone */
    uint64_t lsn;
    uint32_t ends_nr, commits_nr;
    size_t touched_bytes;
    bool full; /* no room in the log */
    uint8_t *rec;
    uint32_t rec_bytes;
    uint8_t *images[PAGES];
    int load_rc;
};

static bool
fake_room(void *arg)
{
    return !((struct fake *)arg)->full;
}

static uint8_t *
fake_begin(void *arg, uint32_t bytes, uint64_t *ret_lsn)
{
    struct fake *f = arg;

    f->rec = malloc(bytes);
    memset(f->rec, 0xee, bytes);
    f->rec_bytes = bytes;
    *ret_lsn = f->lsn + 1;
    return f->rec;
}

static void
fake_end(void *arg, uint64_t lsn)
{
    struct fake *f = arg;
    struct bio_rec_df hdr;
    const uint8_t *data;

    memcpy(&hdr, f->rec, sizeof(hdr));
    EXPECT_EQ(hdr.lsn, lsn);
    EXPECT_EQ(hdr.bytes, f->rec_bytes);
    data = f->rec + sizeof(hdr) + (size_t)hdr.range_nr * 8;
    for (uint32_t i = 0; i < hdr.range_nr; i++) {
        uint64_t word;

        memcpy(&word, f->rec + sizeof(hdr) + (size_t)i * 8, 8);
        EXPECT_OK(umem_replay(f->redo, lsn, word >> 16, (uint32_t)(word & 0xffff), data));
        data += word & 0xffff;
    }
    EXPECT(data <= f->rec + f->rec_bytes && data + 8 > f->rec + f->rec_bytes);
    free(f->rec);
    f->lsn = lsn;
}

static uint64_t
fake_last(void *arg)
{
    return ((struct fake *)arg)->lsn;
}

static int
fake_admit(void *arg)
{
    ((struct fake *)arg)->full = false;
    return 0;
}

static void
fake_load(void *arg, const uint32_t *pages, uint8_t *const *mems, int *rcs, uint32_t nr)
{
    struct fake *f = arg;

    for (uint32_t i = 0; i < nr; i++) {
        rcs[i] = f->load_rc;
        if (rcs[i] != 0)
            continue;
        EXPECT(f->images[pages[i]] != NULL);
        memcpy(mems[i], f->images[pages[i]], UMEM_PAGE_BYTES);
    }
}

static void
fake_tx_end(void *arg, bool committed, uint64_t lsn)
{
    struct fake *f = arg;

    f->ends_nr++;
    f->commits_nr += committed;
    EXPECT(!committed || lsn == f->lsn);
}

static void
fake_touch(void *arg, void *mem, size_t len)
{
    struct fake *f = arg;

    EXPECT_EQ((uintptr_t)mem % 4096, 0);
    EXPECT_EQ(len % UMEM_PAGE_BYTES, 0);
    memset(mem, 0xdd, len);
    f->touched_bytes += len;
}

static const struct umem_hooks fake_hooks = {
    fake_room, fake_begin, fake_end, fake_last, fake_admit, fake_load, fake_tx_end, fake_touch};

static bool
fake_init(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    return EXPECT_OK(umem_create(ARENA_BYTES, &fake_hooks, f, &f->um)) &&
        EXPECT_OK(umem_create(ARENA_BYTES, &fake_hooks, f, &f->redo)) &&
        EXPECT_OK(umem_init_root(f->um, 1000)) && EXPECT_OK(umem_init_root(f->redo, 1000));
}

static void
fake_fini(struct fake *f)
{
    EXPECT_EQ(f->touched_bytes, /* each chunk, once, when it came */
        (size_t)(f->um->chunk_nr + f->redo->chunk_nr) * UMEM_FRAME_CHUNK_NR * UMEM_PAGE_BYTES);
    umem_destroy(f->um);
    umem_destroy(f->redo);
    for (uint32_t i = 0; i < PAGES; i++) {
        free(f->images[i]);
    }
}

/* As a checkpoint does: every page gets an image and is clean. */
static void
fake_ckpt(struct fake *f)
{
    for (uint32_t p = 0; p < PAGES; p++) {
        struct umem_page *pg = &f->um->pub.pages[p];

        if ((pg->flags & UMEM_PF_DIRTY) == 0)
            continue;
        if (f->images[p] == NULL)
            f->images[p] = malloc(UMEM_PAGE_BYTES);
        memcpy(f->images[p], pg->mem, UMEM_PAGE_BYTES);
        pg->flags = (pg->flags & ~(uint32_t)UMEM_PF_DIRTY) | UMEM_PF_SLOT;
        bitmap_clear(f->um->dirty_map, p);
        f->um->dirty_nr--;
    }
}

struct twin_blk {
    uint64_t off;
    uint32_t len;
    uint8_t *bytes;
};

struct twin {
    struct twin_blk blks[LIVE_MAX];
    uint32_t nr;
};

static void
twin_copy(struct twin *dst, const struct twin *src)
{
    dst->nr = src->nr;
    for (uint32_t i = 0; i < src->nr; i++) {
        dst->blks[i] = src->blks[i];
        dst->blks[i].bytes = malloc(src->blks[i].len);
        memcpy(dst->blks[i].bytes, src->blks[i].bytes, src->blks[i].len);
    }
}

static void
twin_clear(struct twin *t)
{
    for (uint32_t i = 0; i < t->nr; i++) {
        free(t->blks[i].bytes);
    }
    t->nr = 0;
}

static void
twin_check(const struct twin *t, struct umem *um)
{
    for (uint32_t i = 0; i < t->nr; i++) {
        const uint8_t *mem;

        while ((mem = umem_ptr(um, t->blks[i].off)) == NULL) {
            if (!EXPECT_OK(umem_fault(um)))
                return;
        }
        if (memcmp(mem, t->blks[i].bytes, t->blks[i].len) != 0) {
            EXPECT_MEM_EQ(mem, t->blks[i].bytes, t->blks[i].len);
            return;
        }
        if (!EXPECT_GE(umem_block_bytes(um, t->blks[i].off), t->blks[i].len))
            return;
    }
}

/* Does [off, off + len) touch a block of the twin? */
static bool
twin_overlaps(const struct twin *t, uint64_t off, uint32_t len)
{
    for (uint32_t i = 0; i < t->nr; i++) {
        if (off < t->blks[i].off + t->blks[i].len && t->blks[i].off < off + len)
            return true;
    }
    return false;
}

static uint32_t
random_len(struct rng *rng)
{
    switch (rng_below(rng, 4)) {
    case 0:
        if (rng_chance(rng, 1, 3))
            return (uint32_t)rng_range(rng, 4081, UMEM_BARE_BYTES);
        return (uint32_t)rng_range(rng, 1, UMEM_ALLOC_BYTES_MAX);
    case 1:
        return (uint32_t)rng_range(rng, 1, 1024);
    default:
        return (uint32_t)rng_range(rng, 1, 160);
    }
}

/* One random operation in tx; -DER_AGAIN: the caller faults and starts anew. */
static int
random_op(struct rng *rng, struct umem_tx *tx, struct twin *t)
{
    uint64_t what = rng_below(rng, 10), off = 0;
    int rc;

    if (t->nr < LIVE_MAX && (what < 4 || t->nr == 0)) {
        uint32_t len = random_len(rng);
        struct twin_blk *b = &t->blks[t->nr];
        uint8_t *mem;

        rc = umem_alloc(tx, len, &off);
        if (rc != 0)
            return rc == -DER_NOSPACE ? 0 : rc;
        EXPECT(!twin_overlaps(t, off, len));
        EXPECT_EQ(off % 8, 0);
        EXPECT_EQ(off >> UMEM_PAGE_BITS, (off + len - 1) >> UMEM_PAGE_BITS); /* UM-5 */
        mem = umem_ptr(tx->um, off);
        for (uint32_t i = 0; i < len; i++) {
            if (mem[i] != 0) {
                EXPECT(!"a new block is zero");
                break;
            }
        }
        rng_bytes(rng, mem, len);
        *b = (struct twin_blk){.off = off, .len = len, .bytes = malloc(len)};
        memcpy(b->bytes, mem, len);
        t->nr++;
        return 0;
    }
    if (t->nr == 0)
        return 0;
    struct twin_blk *b = &t->blks[rng_below(rng, t->nr)];
    if (what < 7) {
        rc = umem_free(tx, b->off);
        if (rc != 0)
            return rc;
        EXPECT_ERR(umem_free(tx, b->off), DF_INVAL);
        EXPECT_EQ(umem_block_bytes(tx->um, b->off), 0);
        free(b->bytes);
        *b = t->blks[--t->nr];
    } else {
        uint32_t at = (uint32_t)rng_below(rng, b->len);
        uint32_t len = (uint32_t)rng_range(rng, 1, MIN(b->len - at, 200u));

        rc = umem_tx_range(tx, b->off + at, len);
        if (rc != 0)
            return rc;
        rng_bytes(rng, b->bytes + at, len);
        memcpy((uint8_t *)umem_ptr(tx->um, b->off) + at, b->bytes + at, len);
    }
    return 0;
}

/*
 * Goal: allocator and transactions do what a naive twin does; an abort leaves no trace; the redo alone gives the same arena.
 * Method: random transactions, a third of them aborted, with images taken and clean pages evicted in between.
 */
TEST(bio_umem, model)
{
    static struct twin now, before;
    struct fake f;
    struct rng rng;
    uint32_t aborts = 0, faults = 0;

    rng_init(&rng, test_seed());
    if (!fake_init(&f))
        return;
    for (uint32_t round = 0; round < 3000 && !test_failed(); round++) {
        uint32_t ops = (uint32_t)rng_range(&rng, 0, round % 50 == 0 ? 300 : 12);
        struct umem_tx tx;
        uint64_t lsn = 0, used = f.um->used_bytes;
        bool abort_it;
        int rc = 0;

        twin_copy(&before, &now);
        EXPECT_OK(umem_tx_begin(f.um, 0, 7, &tx));
        for (uint32_t i = 0; rc == 0 && i < ops; i++) {
            rc = random_op(&rng, &tx, &now);
        }
        abort_it = rc != 0 || rng_chance(&rng, 1, 3);
        if (abort_it) {
            umem_tx_abort(&tx);
            twin_clear(&now);
            twin_copy(&now, &before);
            EXPECT_EQ(f.um->used_bytes, used);
            aborts++;
        } else {
            uint64_t last = f.lsn;

            umem_tx_commit(&tx, &lsn);
            EXPECT_EQ(lsn, f.lsn);
            EXPECT(lsn == last || lsn == last + 1);
        }
        twin_clear(&before);
        if (rc == -DER_AGAIN) {
            faults++;
            EXPECT_OK(umem_fault(f.um));
        } else if (rc != 0) {
            EXPECT_ERR(rc, OVERFLOW);
        }
        if (rng_chance(&rng, 1, 20))
            fake_ckpt(&f);
        umem_evict(f.um, (uint32_t)rng_below(&rng, 3), rng_u64(&rng));
        if (round % 100 == 99) {
            twin_check(&now, f.um);
            EXPECT_OK(umem_check(f.um));
            EXPECT_OK(umem_rebuild(f.redo, false));
            EXPECT_OK(umem_check(f.redo));
            twin_check(&now, f.redo);
            EXPECT_EQ(f.um->used_bytes, f.redo->used_bytes);
        }
    }
    EXPECT_GT(aborts, 500);
    EXPECT_GT(faults, 20);
    EXPECT_GT(f.um->misses_nr, 20);
    twin_clear(&now);
    fake_fini(&f);
}

/*
 * Goal: a full arena refuses ordinary transactions, lets reclaiming ones go on (UM-7), and gives everything back.
 */
TEST(bio_umem, full_arena_keeps_a_reserve)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, off = 0, *offs = calloc(PAGES * 3, 8);
    uint32_t nr = 0, extra = 0;
    int rc = 0;

    if (!fake_init(&f))
        return;
    while (rc == 0) {
        EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
        rc = umem_alloc(&tx, 8192, &off);
        if (rc == 0)
            offs[nr++] = off;
        umem_tx_commit(&tx, &lsn);
    }
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_EQ(f.um->free_nr, f.um->reserve_nr);
    for (rc = 0; rc == 0; extra++) {
        EXPECT_OK(umem_tx_begin(f.um, UMEM_TX_RECLAIM, 0, &tx));
        rc = umem_alloc(&tx, 8192, &off);
        if (rc == 0)
            offs[nr++] = off;
        umem_tx_commit(&tx, &lsn);
    }
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_EQ(f.um->free_nr, 0);
    EXPECT_GE(extra, f.um->reserve_nr);
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
        EXPECT_OK(umem_free(&tx, offs[i]));
        umem_tx_commit(&tx, &lsn);
    }
    EXPECT_OK(umem_check(f.um));
    EXPECT_EQ(f.um->used_bytes, 0);
    EXPECT_GE(f.um->free_nr, PAGES - 3);
    free(offs);
    fake_fini(&f);
}

/* Four blocks of one bare page, each full of its number, and one more of another, so that the first page is given back when it is empty. */
static void
bare_make(struct fake *f, uint64_t offs[UMEM_DF_BARE_NR])
{
    struct umem_tx tx;
    uint64_t lsn, off = 0;

    EXPECT_OK(umem_tx_begin(f->um, 0, 0, &tx));
    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        EXPECT_OK(umem_alloc(&tx, UMEM_BARE_BYTES, &offs[i]));
        EXPECT_EQ(offs[i], (offs[0] & ~(uint64_t)(UMEM_PAGE_BYTES - 1)) + i * UMEM_BARE_BYTES);
        memset(umem_ptr(f->um, offs[i]), (int)(i + 1), UMEM_BARE_BYTES);
    }
    EXPECT_EQ(*umem_dir_byte(f->um, offs[0] >> UMEM_PAGE_BITS), UMEM_DIR_BARE | UMEM_DF_BARE_BITS);
    EXPECT_OK(umem_alloc(&tx, UMEM_BARE_BYTES - 15, &off));
    EXPECT_NE(off >> UMEM_PAGE_BITS, offs[0] >> UMEM_PAGE_BITS);
    umem_tx_commit(&tx, &lsn);
    fake_ckpt(f);
}

static void
bare_check(struct fake *f, const uint64_t offs[UMEM_DF_BARE_NR])
{
    uint8_t want[UMEM_BARE_BYTES];

    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        memset(want, (int)(i + 1), sizeof(want));
        while (umem_ptr(f->um, offs[i]) == NULL) {
            if (!EXPECT_OK(umem_fault(f->um)))
                return;
        }
        EXPECT_MEM_EQ((uint8_t *)umem_ptr(f->um, offs[i]), want, sizeof(want));
    }
    EXPECT_OK(umem_check(f->um));
}

/* Goal: blocks of a bare page are freed without a look at it; taken again in the same transaction, it gets back what it held when that aborts. */
TEST(bio_umem, bare_page_is_freed_unseen)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, offs[UMEM_DF_BARE_NR], off = 0, loads;
    uint32_t page;

    if (!fake_init(&f))
        return;
    bare_make(&f, offs);
    page = (uint32_t)(offs[0] >> UMEM_PAGE_BITS);
    EXPECT_GT(umem_evict(f.um, PAGES, 0), 0);
    EXPECT_EQ(f.um->pub.pages[page].flags & UMEM_PF_RES, 0);
    loads = f.um->loads_nr;

    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        EXPECT_OK(umem_free(&tx, offs[i]));
        EXPECT_ERR(umem_free(&tx, offs[i]), DF_INVAL);
    }
    EXPECT_EQ(f.um->vol[page].code, UMEM_DIR_FREE);
    EXPECT_ERR(umem_alloc(&tx, 100, &off), AGAIN); /* it would be that page */
    umem_tx_abort(&tx);
    EXPECT_EQ(f.um->loads_nr, loads);
    EXPECT_OK(umem_fault(f.um));
    EXPECT_EQ(f.um->loads_nr, loads + 1);
    bare_check(&f, offs);

    /* Now it is there: taken by another class, which aborts as well. */
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        EXPECT_OK(umem_free(&tx, offs[i]));
    }
    EXPECT_OK(umem_alloc(&tx, 8000, &off));
    EXPECT_EQ(off >> UMEM_PAGE_BITS, page);
    memset(umem_ptr(f.um, off), 0x77, 8000);
    umem_tx_abort(&tx);
    bare_check(&f, offs);

    EXPECT_GT(umem_evict(f.um, PAGES, 0), 0);
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        EXPECT_OK(umem_free(&tx, offs[i]));
    }
    umem_tx_commit(&tx, &lsn);
    EXPECT_EQ(f.um->pub.pages[page].flags & UMEM_PF_RES, 0);
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    EXPECT_OK(umem_alloc(&tx, 100, &off)); /* nobody needs what it held */
    EXPECT_EQ(off >> UMEM_PAGE_BITS, page);
    umem_tx_commit(&tx, &lsn);
    EXPECT_OK(umem_check(f.um));
    EXPECT_OK(umem_rebuild(f.redo, false));
    EXPECT_EQ(f.um->used_bytes, f.redo->used_bytes);
    fake_fini(&f);
}

/* Goal: of what users wrote to a bare page nothing is believed: neither a header, nor what an image of it would count. A directory byte that can't be is refused. */
TEST(bio_umem, bare_page_says_nothing)
{
    struct umem_slab_df hdr = {.magic = UMEM_SLAB_MAGIC, .cls = 3};
    uint64_t offs[UMEM_DF_BARE_NR];
    uint8_t *dir, *mem, image[UMEM_PAGE_BYTES];
    struct fake f;
    uint32_t page;

    if (!fake_init(&f))
        return;
    bare_make(&f, offs);
    page = (uint32_t)(offs[0] >> UMEM_PAGE_BITS);
    dir = umem_dir_byte(f.um, page);
    mem = umem_ptr(f.um, offs[0]);
    memcpy(image, mem, sizeof(image));
    memset(mem, 0, 1024);
    memcpy(mem, &hdr, sizeof(hdr));
    EXPECT_EQ(umem_image_free_nr(f.um, page, mem), 0);
    EXPECT(umem_image_fits(f.um, page, mem));
    EXPECT_OK(umem_check(f.um));
    memcpy(mem, image, sizeof(image));
    for (uint32_t b = 0; b <= UINT8_MAX; b++) {
        bool is_bare = (b & 0xf0) == UMEM_DIR_BARE, is_free = (b & ~(uint32_t)UMEM_DIR_FULL) == 0;

        *dir = (uint8_t)b;
        EXPECT_EQ(umem_rebuild(f.um, false), is_bare || is_free ? 0 : -DER_DF_INVAL);
        if (is_bare) {
            EXPECT_EQ(f.um->vol[page].free_nr, 4 - __builtin_popcount(b & 0xf));
            for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
                EXPECT_EQ(umem_block_bytes(f.um, offs[i]), (b >> i & 1) != 0 ? UMEM_BARE_BYTES : 0);
            }
        }
    }
    /* No store that was made before there were such pages has one. */
    *dir = UMEM_DIR_BARE | UMEM_DF_BARE_BITS;
    EXPECT_OK(umem_rebuild(f.um, false));
    bare_check(&f, offs);
    umem_bare_forbid(f.um);
    EXPECT_ERR(umem_rebuild(f.um, false), DF_INVAL);
    fake_fini(&f);
}

/* Goal: bytes of a block that is freed, allocated again and overwritten in one transaction come back when it aborts. */
TEST(bio_umem, abort_restores_reused_block)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, off[300], got = 0;
    uint8_t want[8192];

    if (!fake_init(&f))
        return;
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_OK(umem_alloc(&tx, 4000, &off[i]));
        memset(umem_ptr(f.um, off[i]), (int)(i + 1), 4000);
    }
    umem_tx_commit(&tx, &lsn);

    /* The page becomes free and a page of another class in the same transaction. */
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    EXPECT_OK(umem_alloc(
        &tx, 4000, &got)); /* another page with room, so that the first one is given back */
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_OK(umem_free(&tx, off[i]));
    }
    EXPECT_EQ(f.um->vol[off[0] >> UMEM_PAGE_BITS].code, UMEM_DIR_FREE);
    for (uint32_t i = 0; i < 250; i++) {
        EXPECT_OK(umem_alloc(&tx, 512, &got));
        memset(umem_ptr(f.um, got), 0xff, 512);
    }
    EXPECT_NE(f.um->vol[off[0] >> UMEM_PAGE_BITS].code, UMEM_DIR_FREE);
    umem_tx_abort(&tx);

    for (uint32_t i = 0; i < 4; i++) {
        memset(want, (int)(i + 1), sizeof(want));
        EXPECT_MEM_EQ(umem_ptr(f.um, off[i]), want, 4000);
    }
    EXPECT_OK(umem_check(f.um));
    fake_fini(&f);
}

/* Goal: hostile offsets and lengths are answered, not believed. */
TEST(bio_umem, bad_arguments)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, off = 0, none = 0;

    if (!fake_init(&f))
        return;
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    EXPECT_OK(umem_alloc(&tx, 100, &off));
    EXPECT_ERR(umem_alloc(&tx, 0, &none), INVAL);
    EXPECT_ERR(umem_alloc(&tx, UMEM_ALLOC_BYTES_MAX + 1, &none), INVAL);
    EXPECT_ERR(umem_free(&tx, 0), DF_INVAL);
    EXPECT_ERR(umem_free(&tx, off + 8), DF_INVAL);
    EXPECT_ERR(umem_free(&tx, off + 112), DF_INVAL); /* the next block, not live */
    EXPECT_ERR(umem_free(&tx, UINT64_MAX), DF_INVAL);
    EXPECT_ERR(umem_free(&tx, UMEM_PAGE_BYTES + 8), DF_INVAL); /* directory */
    EXPECT_ERR(umem_tx_range(&tx, UMEM_PAGE_BYTES - 4, 8), DF_INVAL);
    EXPECT_ERR(umem_tx_range(&tx, (uint64_t)ARENA_BYTES, 8), AGAIN);
    umem_tx_abort(&tx);
    EXPECT(umem_ptr(f.um, 0) == NULL);
    EXPECT_ERR(umem_fault(f.um), DF_INVAL);
    EXPECT(umem_ptr(f.um, ARENA_BYTES) == NULL);
    EXPECT_ERR(umem_fault(f.um), DF_INVAL);
    EXPECT(umem_ptr(f.um, ARENA_BYTES - 8) == NULL); /* inside, never used */
    EXPECT_ERR(umem_fault(f.um), DF_INVAL);
    EXPECT_EQ(umem_block_bytes(f.um, off), 0);
    f.full = true;
    EXPECT_ERR(umem_tx_begin(f.um, 0, 0, &tx), AGAIN);
    EXPECT_OK(umem_tx_admit(f.um));
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    umem_tx_commit(&tx, &lsn);
    EXPECT_EQ(lsn, f.lsn);
    fake_fini(&f);
}

/* Goal: a transaction that grows too large is refused at the limit, and its abort restores all of it. */
/* Goal: of a block that is not cleared as a whole, the head and what is beyond the length are zero, whatever lay there before. */
TEST(bio_umem, block_cleared_in_part)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, first = 0, off = 0;
    uint8_t *mem;

    if (!fake_init(&f))
        return;
    for (uint32_t clear = 0; clear <= 101; clear += 20 + (clear == 80)) {
        EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
        EXPECT_OK(umem_alloc(&tx, 104, &first));
        memset(umem_ptr(f.um, first), 0xee, 104);
        umem_tx_commit(&tx, &lsn);
        EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
        EXPECT_OK(umem_free(&tx, first));
        umem_tx_commit(&tx, &lsn);

        EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
        EXPECT_OK(umem_alloc_part(&tx, 101, clear, &off));
        EXPECT_EQ(off, first);
        mem = umem_ptr(f.um, off);
        for (uint32_t i = 0; i < 104; i++) {
            if (i < clear || i >= 101)
                EXPECT_EQ(mem[i], 0);
        }
        EXPECT(clear > 100 || mem[100] == 0xee); /* it is the caller's to write */
        memset(mem + clear, 0x11, 101 - clear);
        EXPECT_OK(umem_free(&tx, off));
        umem_tx_commit(&tx, &lsn);
    }
    fake_fini(&f);
}

TEST(bio_umem, overflow)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t off[600], used, lsn;
    uint8_t want[8000];
    uint32_t nr = 0;
    int rc = 0;

    if (!fake_init(&f))
        return;
    for (; nr < 600 && !test_failed(); nr++) {
        EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
        EXPECT_OK(umem_alloc(&tx, 8000, &off[nr]));
        memset(umem_ptr(f.um, off[nr]), (int)nr, 8000);
        umem_tx_commit(&tx, &lsn);
    }
    used = f.um->used_bytes;
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    for (nr = 0; rc == 0 && nr < 600; nr++) {
        rc = umem_tx_range(&tx, off[nr], 8000);
        if (rc == 0)
            memset(umem_ptr(f.um, off[nr]), 0xaa, 8000);
    }
    EXPECT_ERR(rc, OVERFLOW);
    EXPECT_EQ(nr - 1, UMEM_TX_BYTES_MAX / 8008);
    umem_tx_abort(&tx);
    for (nr = 0; nr < 600; nr++) {
        memset(want, (int)nr, sizeof(want));
        EXPECT_MEM_EQ(umem_ptr(f.um, off[nr]), want, sizeof(want));
    }
    EXPECT_EQ(f.um->used_bytes, used);
    EXPECT_OK(umem_check(f.um));
    fake_fini(&f);
}

/* Goal: small changes cost few redo bytes; doubled and adjacent ranges are merged. */
TEST(bio_umem, redo_is_small)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, off = 0, before;

    if (!fake_init(&f))
        return;
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    EXPECT_OK(umem_alloc(&tx, 64, &off));
    umem_tx_commit(&tx, &lsn);

    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    EXPECT_OK(umem_alloc(&tx, 64, &off));
    EXPECT_LE(f.um->tx.redo_bytes, 64 + 24);
    for (uint32_t i = 0; i < 8; i++) {
        EXPECT_OK(umem_tx_range(&tx, off + i * 8, 8)); /* inside a fresh block */
    }
    EXPECT_LE(f.um->tx.redo_bytes, 64 + 24);
    umem_tx_commit(&tx, &lsn);

    before = f.um->redo_total;
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    for (uint32_t i = 0; i < 8; i++) {
        EXPECT_OK(umem_tx_range(&tx, off + i * 8, 8));
    }
    for (uint32_t i = 0; i < 8; i++) {
        EXPECT_OK(umem_tx_range(&tx, off + i * 8, 8));
    }
    EXPECT_EQ(f.um->tx.range_nr, 1);
    umem_tx_commit(&tx, &lsn);
    EXPECT_EQ(f.um->redo_total - before, 24 + 8 + 64);
    fake_fini(&f);
}

/* Goal: a page that can't be read, or memory that can't be had, is an error of that call alone. */
TEST(bio_umem, load_failures)
{
    struct fake f;
    struct umem_tx tx;
    uint64_t lsn, off = 0;

    if (!fake_init(&f))
        return;
    EXPECT_OK(umem_tx_begin(f.um, 0, 0, &tx));
    EXPECT_OK(umem_alloc(&tx, 64, &off));
    memset(umem_ptr(f.um, off), 0x5a, 64);
    umem_tx_commit(&tx, &lsn);
    EXPECT_EQ(umem_evict(f.um, PAGES, 0), 0); /* dirty */
    fake_ckpt(&f);
    EXPECT_EQ(umem_evict(f.um, PAGES, 0), 1); /* root and directory stay */
    EXPECT(umem_ptr(f.um, off) == NULL);
    f.load_rc = -DER_CSUM;
    EXPECT_ERR(umem_fault(f.um), CSUM);
    EXPECT(umem_ptr(f.um, off) == NULL);
    f.load_rc = 0;
    EXPECT_OK(umem_fault(f.um));
    EXPECT_EQ(*(uint8_t *)umem_ptr(f.um, off), 0x5a);
    fake_fini(&f);
}
