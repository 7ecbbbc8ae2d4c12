/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The extent space of the data role, in blocks of 4 KiB.
 *
 *           reserve            publish (transaction commits)            free (transaction commits)
 *    FREE ----------> RESERVED ------------------------------> ALLOCATED -------------------------> WAITING
 *     ^                  | cancel, or a crash                                                          |
 *     +------------------+-------- reap: the freeing transaction is durable, its readers are gone -----+
 *
 * Durable: one bit for each block, in the arena (chunks of 4,080 bytes, made when first used), changed only by publish and free
 * (BIO-3). Volatile: for each chunk a bitmap of all that is not free, its count of free blocks, and a bound on the longest free run
 * that lets a search pass by. An extent never crosses a chunk. First fit: small extents from the lowest chunk on, large ones from the highest down, so that small ones
 * do not break the runs that large ones need; streams avoid chunks where another one is at work. Where the role is memory all come from the lowest: new memory
 * costs more than a search. (Next fit, which was here before, had no run of 1 MiB left in a space of which a quarter was free; this one has many with 15%:
 * bio_frag_test.c.)
 *
 * Rejected: trees of free runs (the bitmaps are smaller, exact, and a full scan of a chunk is 510 words); freeing at commit (ST-4).
 * Tested by bio_ext_test.c against a naive twin, and by test/crash.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum { CHUNK_BYTES = BIO_EXT_CHUNK_BLKS / 8, CHUNK_WORDS = BIO_EXT_CHUNK_BLKS / 64 };
CAIRN_STATIC_ASSERT(BIO_EXT_CHUNK_BLKS % 64 == 0, "whole words");
CAIRN_STATIC_ASSERT(BIO_EXT_L1_NR * 8 == CHUNK_BYTES, "directory blocks and chunks are of one size");

static uint32_t
chunk_blks(const struct bio_space_map *sp, uint32_t chunk)
{
    return (uint32_t)MIN(
        (uint64_t)BIO_EXT_CHUNK_BLKS, sp->blk_nr - (uint64_t)chunk * BIO_EXT_CHUNK_BLKS);
}

/* ---- durable map ------------------------------------------------------------------------------------------------------ */

/* Where a chunk or a directory block could lie. */
static bool
is_in_page(uint64_t off)
{
    return (off & 7) == 0 && (off & (UMEM_PAGE_BYTES - 1)) + CHUNK_BYTES <= UMEM_PAGE_BYTES;
}

/* Offset of a chunk's bitmap in the arena; 0: it has none. Errors: AGAIN. */
static int
chunk_find(struct umem *um, uint32_t chunk, uint64_t *ret_off)
{
    uint64_t l1 = umem_root_df(um)->ext_l0[chunk / BIO_EXT_L1_NR];
    const uint64_t *dir;

    *ret_off = 0;
    if (l1 == 0)
        return 0;
    if (!is_in_page(l1))
        return CAIRN_ERR(DF_INVAL);
    dir = umem_ptr(um, l1);
    if (dir == NULL)
        return CAIRN_ERR(AGAIN);
    *ret_off = dir[chunk % BIO_EXT_L1_NR];
    return *ret_off == 0 || is_in_page(*ret_off) ? 0 : CAIRN_ERR(DF_INVAL);
}

/* The same, and make it. */
static int
chunk_make(struct umem_tx *tx, uint32_t chunk, uint64_t *ret_off)
{
    struct umem *um = tx->um;
    uint64_t *l0 = &umem_root_df(um)->ext_l0[chunk / BIO_EXT_L1_NR];
    uint64_t l0_off = offsetof(struct umem_root_df, ext_l0) + chunk / BIO_EXT_L1_NR * 8;
    uint64_t off = 0, slot_off, *slot;
    int rc;

    if (*l0 == 0) {
        CAIRN_PROBE("bio.ext.directory_made");
        rc = umem_tx_range(tx, l0_off, 8);
        if (rc == 0)
            rc = umem_alloc(tx, CHUNK_BYTES, &off);
        if (rc != 0)
            return rc;
        *l0 = off;
    }
    slot_off = *l0 + chunk % BIO_EXT_L1_NR * 8;
    slot = umem_ptr(um, slot_off);
    if (slot == NULL)
        return CAIRN_ERR(AGAIN);
    if (*slot == 0) {
        rc = umem_tx_range(tx, slot_off, 8);
        if (rc == 0)
            rc = umem_alloc(tx, CHUNK_BYTES, &off);
        if (rc != 0)
            return rc;
        *slot = off;
    }
    *ret_off = *slot;
    return 0;
}

static bool
bits_are(const uint8_t *map, uint32_t bit, uint32_t nr, bool set)
{
    for (; nr > 0 && bit % 8 != 0; bit++, nr--) {
        if ((map[bit / 8] >> (bit % 8) & 1) != set)
            return false;
    }
    for (; nr >= 8; bit += 8, nr -= 8) {
        if (map[bit / 8] != (set ? 0xff : 0))
            return false;
    }
    for (; nr > 0; bit++, nr--) {
        if ((map[bit / 8] >> (bit % 8) & 1) != set)
            return false;
    }
    return true;
}

static void
bits_set(uint8_t *map, uint32_t bit, uint32_t nr, bool set)
{
    for (; nr > 0; bit++, nr--) {
        if (bit % 8 == 0 && nr >= 8) {
            map[bit / 8] = set ? 0xff : 0;
            bit += 7;
            nr -= 7;
        } else if (set) {
            map[bit / 8] = (uint8_t)(map[bit / 8] | 1u << (bit % 8));
        } else {
            map[bit / 8] = (uint8_t)(map[bit / 8] & ~(1u << (bit % 8)));
        }
    }
}

/* Set or clear `nr` bits of one chunk, all of which must be the other way round. Errors: DF_INVAL, as umem_tx_range(). */
static int
durable_flip(struct umem_tx *tx, uint32_t chunk, uint32_t bit, uint32_t nr, bool set)
{
    uint32_t first = bit / 8, last = (bit + nr - 1) / 8;
    uint64_t off = 0;
    uint8_t *map;
    int rc;

    rc = set ? chunk_make(tx, chunk, &off) : chunk_find(tx->um, chunk, &off);
    if (rc != 0)
        return rc;
    if (off == 0)
        return CAIRN_ERR(DF_INVAL);
    map = umem_ptr(tx->um, off);
    if (map == NULL)
        return CAIRN_ERR(AGAIN);
    if (!bits_are(map, bit, nr, !set))
        return CAIRN_ERR(DF_INVAL);
    rc = umem_tx_range(tx, off + first, last - first + 1);
    if (rc != 0)
        return rc;
    bits_set(map, bit, nr, set);
    return 0;
}

/* ---- volatile map ----------------------------------------------------------------------------------------------------- */

static int
chunk_busy_make(struct bio_space_map *sp, uint32_t chunk)
{
    struct bio_ext_chunk *ch = &sp->chunks[chunk];
    uint32_t nr = chunk_blks(sp, chunk);

    if (ch->busy != NULL)
        return 0;
    ch->busy = bio_mem_zeroed(CHUNK_WORDS, 8);
    if (ch->busy == NULL)
        return CAIRN_ERR(NOMEM);
    bitmap_set_range(ch->busy, nr, BIO_EXT_CHUNK_BLKS - nr);
    return 0;
}

static void
volatile_take(struct bio_space_map *sp, uint32_t chunk, uint32_t bit, uint32_t nr)
{
    struct bio_ext_chunk *ch = &sp->chunks[chunk];

    bitmap_set_range(ch->busy, bit, nr);
    ch->free_nr -= nr;
    if (bit == ch->low)
        ch->low += nr;
    sp->free_blks -= nr;
}

/* Where the free run begins that ends before `bit`. */
static uint32_t
run_start(const uint64_t *busy, uint32_t bit)
{
    while (bit > 0) {
        uint32_t n = (bit - 1) % 64 + 1;
        uint64_t word = busy[(bit - 1) / 64] << (64 - n);

        if (word != 0)
            return bit - (uint32_t)__builtin_clzll(word);
        bit -= n;
    }
    return 0;
}

/* Blocks [bit, bit + nr) of a chunk are free again: what is known of its runs. */
static void
run_note(struct bio_space_map *sp, uint32_t chunk, uint32_t bit, uint32_t nr)
{
    struct bio_ext_chunk *ch = &sp->chunks[chunk];
    size_t end = bitmap_find_set(ch->busy, chunk_blks(sp, chunk), bit + nr);
    uint32_t run = (uint32_t)MIN(end, (size_t)chunk_blks(sp, chunk)) - run_start(ch->busy, bit);

    ch->run_max = MAX(ch->run_max, run);
    ch->low = MIN(ch->low, bit);
    for (uint32_t i = 0; i < BIO_EXT_SIZE_NR && run >> i > 0; i++) {
        sp->hint_lo[i] = MIN(sp->hint_lo[i], chunk);
        sp->hint_hi[i] = MAX(sp->hint_hi[i], chunk);
    }
}

static void
volatile_give(struct bio_space_map *sp, struct bio_ext ext)
{
    uint64_t blk = ext.addr / BIO_BLK_BYTES, nr = ext.len / BIO_BLK_BYTES;

    while (nr > 0) {
        struct bio_ext_chunk *ch = &sp->chunks[blk / BIO_EXT_CHUNK_BLKS];
        uint32_t bit = (uint32_t)(blk % BIO_EXT_CHUNK_BLKS);
        uint32_t n = (uint32_t)MIN(nr, (uint64_t)(BIO_EXT_CHUNK_BLKS - bit));

        CAIRN_DASSERT(bitmap_find_clear(ch->busy, bit + n, bit) == BITMAP_NONE); /* BIO-1 */
        bitmap_clear_range(ch->busy, bit, n);
        ch->free_nr += n;
        run_note(sp, (uint32_t)(blk / BIO_EXT_CHUNK_BLKS), bit, n);
        sp->free_blks += n;
        blk += n;
        nr -= n;
    }
}

/* The first free run of nr in the chunk, or BITMAP_NONE, which sharpens run_max. */
static size_t
chunk_search(struct bio_space_map *sp, uint32_t chunk, uint32_t nr)
{
    struct bio_ext_chunk *ch = &sp->chunks[chunk];
    size_t bit;

    if (ch->busy == NULL)
        return 0; /* run_max says that it is long enough */
    bit = bitmap_find_clear_run(ch->busy, chunk_blks(sp, chunk), ch->low, nr);
    if (bit == BITMAP_NONE)
        ch->run_max = nr - 1;
    return bit;
}

static bool
chunk_is_others(const struct bio_space_map *sp, uint32_t stream, uint32_t chunk)
{
    for (uint32_t s = 0; s < BIO_EXT_STREAM_NR; s++) {
        for (uint32_t end = 0; s != stream && end < 2; end++) {
            if (sp->streams[s].is_used[end] && sp->streams[s].chunk[end] == chunk)
                return true;
        }
    }
    return false;
}

/* Of a chunk: does it have a run of nr, for this stream? */
static bool
chunk_try(struct bio_space_map *sp, uint32_t stream, bool avoids, uint32_t chunk, uint32_t nr,
    size_t *ret_bit)
{
    const struct bio_ext_chunk *ch = &sp->chunks[chunk];

    if (MIN(ch->free_nr, ch->run_max) < nr || (avoids && chunk_is_others(sp, stream, chunk)))
        return false;
    *ret_bit = chunk_search(sp, chunk, nr);
    return *ret_bit != BITMAP_NONE;
}

/* First fit from the end that is for this size; in chunks where nobody else works, then in any. */
static bool
run_find(struct bio_space_map *sp, uint32_t stream, bool from_top, uint32_t nr, uint32_t *ret_chunk,
    size_t *ret_bit)
{
    uint32_t size = log2_floor_u64(nr), least = 1u << size;
    uint32_t *lo = &sp->hint_lo[size], *hi = &sp->hint_hi[size];
    bool found = false;

    while (*lo < sp->chunk_nr && sp->chunks[*lo].run_max < least) {
        (*lo)++;
    }
    while (*hi > 0 && sp->chunks[*hi].run_max < least) {
        (*hi)--;
    }
    for (uint32_t pass = 0; !found && pass < 2; pass++) {
        for (uint32_t i = *lo; !found && i <= *hi; i++) {
            *ret_chunk = from_top ? *hi - (i - *lo) : i;
            found = chunk_try(sp, stream, pass == 0, *ret_chunk, nr, ret_bit);
        }
    }
    return found;
}

/* ---- reservations ----------------------------------------------------------------------------------------------------- */

int
bio_ext_reserve(struct bio_tgt *tgt, uint64_t bytes, uint32_t stream, struct bio_resv **ret_resv)
{
    struct bio_space_map *sp = &tgt->space;
    uint32_t nr = (uint32_t)DIV_UP(bytes, (uint64_t)BIO_BLK_BYTES), chunk = 0;
    bool is_large = nr >= BIO_EXT_LARGE_BLKS && tgt->data_map == NULL;
    size_t bit = 0;
    uint64_t kept = (stream & BIO_STREAM_RECLAIM) != 0 ? 0 : sp->reserve_blks;
    struct bio_resv *resv;
    int rc;

    if (tgt->stop_rc != 0)
        return tgt->stop_rc;
    if (bytes == 0 || bytes > (uint64_t)BIO_EXT_BLKS_MAX * BIO_BLK_BYTES)
        return CAIRN_ERR(INVAL);
    if (sp->resv_nr == BIO_RESV_NR_MAX)
        return CAIRN_ERR(BUSY);
    stream = tgt->data_map != NULL ? 0 : (stream & ~BIO_STREAM_RECLAIM) % BIO_EXT_STREAM_NR;
    bio_ext_reap(tgt);
    if (sp->free_blks < nr + kept || !run_find(sp, stream, is_large, nr, &chunk, &bit))
        return CAIRN_ERR(NOSPACE);
    rc = chunk_busy_make(sp, chunk);
    if (rc != 0)
        return rc;
    resv = sp->resv_free;
    if (resv != NULL) {
        sp->resv_free = resv->next;
    } else {
        resv = bio_mem_zeroed(1, sizeof(*resv));
        if (resv == NULL)
            return CAIRN_ERR(NOMEM);
        resv->next_all = sp->resv_all;
        sp->resv_all = resv;
    }

    volatile_take(sp, chunk, (uint32_t)bit, nr);
    sp->resv_blks += nr;
    sp->resv_nr++;
    sp->streams[stream].chunk[is_large] = chunk;
    sp->streams[stream].is_used[is_large] = true;
    list_init(&resv->tx_link);
    resv->live = true;
    resv->published = false;
    resv->ext.addr = ((uint64_t)chunk * BIO_EXT_CHUNK_BLKS + bit) * BIO_BLK_BYTES;
    resv->ext.len = (uint64_t)nr * BIO_BLK_BYTES;
    *ret_resv = resv;
    return 0;
}

struct bio_ext
bio_resv_ext(const struct bio_resv *resv)
{
    return resv->ext;
}

static void
resv_end(struct bio_space_map *sp, struct bio_resv *resv)
{
    CAIRN_ASSERT(resv->live);
    CAIRN_ASSERT(list_empty(&resv->tx_link));
    resv->live = false;
    resv->next = sp->resv_free;
    sp->resv_free = resv;
    sp->resv_nr--;
}

int
bio_ext_publish(struct umem_tx *tx, struct bio_tgt *tgt, struct bio_resv *resv)
{
    struct bio_space_map *sp = &tgt->space;
    uint64_t blk = resv->ext.addr / BIO_BLK_BYTES;
    int rc;

    CAIRN_ASSERT(resv->live);
    CAIRN_ASSERT(!resv->published);
    CAIRN_ASSERT(list_empty(&resv->tx_link));
    rc = durable_flip(tx, (uint32_t)(blk / BIO_EXT_CHUNK_BLKS),
        (uint32_t)(blk % BIO_EXT_CHUNK_BLKS), (uint32_t)(resv->ext.len / BIO_BLK_BYTES), true);
    if (rc != 0)
        return rc;
    list_add_tail(&resv->tx_link, &sp->tx_pubs);
    tgt->um->tx.hooked = true;
    return 0;
}

void
bio_ext_published(struct bio_tgt *tgt, struct bio_resv *resv)
{
    CAIRN_ASSERT(resv->published);
    resv_end(&tgt->space, resv);
}

void
bio_ext_cancel(struct bio_tgt *tgt, struct bio_resv *resv)
{
    struct bio_space_map *sp = &tgt->space;

    if (resv == NULL)
        return;
    CAIRN_ASSERT(!resv->published);
    sp->resv_blks -= resv->ext.len / BIO_BLK_BYTES;
    volatile_give(sp, resv->ext);
    resv_end(sp, resv);
}

/* ---- freeing ---------------------------------------------------------------------------------------------------------- */

static int
tx_free_note(struct bio_space_map *sp, struct bio_ext ext)
{
    if (sp->tx_free_nr == sp->tx_free_cap) {
        uint32_t cap = MAX(sp->tx_free_cap * 2, 64u);
        struct bio_ext *frees;

        if (cap > BIO_EXT_TX_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        frees = bio_mem_resize(sp->tx_frees, cap * sizeof(*frees));
        if (frees == NULL)
            return CAIRN_ERR(NOMEM);
        sp->tx_frees = frees;
        sp->tx_free_cap = cap;
    }
    sp->tx_frees[sp->tx_free_nr++] = ext;
    return 0;
}

/* Room for the frees of the running transaction, taken while it can still fail. */
static int
waits_grow(struct bio_space_map *sp)
{
    uint64_t used = sp->wait_head - sp->wait_tail, cap = MAX(sp->wait_cap * 2, UINT64_C(256));
    struct bio_ext_wait *waits;

    if (used + sp->tx_free_nr + 1 <= sp->wait_cap)
        return 0;
    waits = bio_mem_get(cap * sizeof(*waits));
    if (waits == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint64_t i = sp->wait_tail; i < sp->wait_head; i++) {
        waits[i % cap] = sp->waits[i % sp->wait_cap];
    }
    free(sp->waits);
    sp->waits = waits;
    sp->wait_cap = cap;
    return 0;
}

int
bio_ext_free(struct umem_tx *tx, struct bio_tgt *tgt, struct bio_ext ext)
{
    struct bio_space_map *sp = &tgt->space;
    uint64_t blk = ext.addr / BIO_BLK_BYTES, nr = ext.len / BIO_BLK_BYTES;
    int rc;

    if (!IS_ALIGNED(ext.addr | ext.len, (uint64_t)BIO_BLK_BYTES) || nr == 0 || blk == 0 ||
        blk >= sp->blk_nr || nr > sp->blk_nr - blk)
        return CAIRN_ERR(DF_INVAL);
    rc = waits_grow(sp);
    while (rc == 0 && nr > 0) {
        uint32_t bit = (uint32_t)(blk % BIO_EXT_CHUNK_BLKS);
        uint32_t n = (uint32_t)MIN(nr, (uint64_t)(BIO_EXT_CHUNK_BLKS - bit));

        rc = durable_flip(tx, (uint32_t)(blk / BIO_EXT_CHUNK_BLKS), bit, n, false);
        blk += n;
        nr -= n;
    }
    if (rc == 0)
        rc = tx_free_note(sp, ext);
    if (rc == 0)
        tgt->um->tx.hooked = true;
    return rc;
}

void
bio_ext_tx_end(struct bio_tgt *tgt, bool committed, uint64_t lsn)
{
    struct bio_space_map *sp = &tgt->space;
    struct bio_resv *resv, *tmp;

    LIST_FOREACH_SAFE(resv, tmp, &sp->tx_pubs, struct bio_resv, tx_link) {
        uint64_t nr = resv->ext.len / BIO_BLK_BYTES;

        list_del(&resv->tx_link);
        if (!committed)
            continue;
        resv->published = true;
        sp->resv_blks -= nr;
        sp->alloc_blks += nr;
        tgt->wal.fill->data_seq = tgt->data_written; /* ST-3 */
    }
    for (uint32_t i = 0; committed && i < sp->tx_free_nr; i++) {
        uint64_t nr = sp->tx_frees[i].len / BIO_BLK_BYTES;

        sp->waits[sp->wait_head++ % sp->wait_cap] =
            (struct bio_ext_wait){.ext = sp->tx_frees[i], .lsn = lsn, .reader_seq = sp->reader_seq};
        sp->alloc_blks -= nr;
        sp->wait_blks += nr;
    }
    sp->tx_free_nr = 0;
}

void
bio_ext_reap(struct bio_tgt *tgt)
{
    struct bio_space_map *sp = &tgt->space;

    while (sp->wait_tail != sp->wait_head) {
        const struct bio_ext_wait *w = &sp->waits[sp->wait_tail % sp->wait_cap];
        const struct bio_reader *oldest = LIST_FIRST(&sp->readers, struct bio_reader, link);

        if (w->lsn > tgt->wal.durable_lsn || (oldest != NULL && oldest->seq <= w->reader_seq))
            break; /* BIO-4 */
        sp->wait_blks -= w->ext.len / BIO_BLK_BYTES;
        volatile_give(sp, w->ext);
        sp->wait_tail++;
    }
}

void
bio_reader_enter(struct bio_tgt *tgt, struct bio_reader *rd)
{
    rd->seq = ++tgt->space.reader_seq;
    list_add_tail(&rd->link, &tgt->space.readers);
}

void
bio_reader_leave(struct bio_tgt *tgt, struct bio_reader *rd)
{
    list_del(&rd->link);
    bio_ext_reap(tgt);
}

/* ---- open and check --------------------------------------------------------------------------------------------------- */

/* Take the allocated blocks of a chunk out of the volatile map. */
static int
chunk_load(struct bio_tgt *tgt, uint32_t chunk)
{
    struct bio_space_map *sp = &tgt->space;
    uint32_t nr = chunk_blks(sp, chunk), used;
    struct bio_ext_chunk *ch = &sp->chunks[chunk];
    uint64_t off = 0;
    const uint8_t *map;
    int rc;

    ch->free_nr = nr;
    ch->run_max = nr;
    rc = chunk_find(tgt->um, chunk, &off);
    if (rc != 0 || off == 0)
        return rc;
    map = umem_ptr(tgt->um, off);
    if (map == NULL)
        return CAIRN_ERR(AGAIN);
    if (umem_block_bytes(tgt->um, off) < CHUNK_BYTES) { /* resident */
        LOG_ERROR("data: the bitmap of chunk %u is not a block of the arena", chunk);
        return CAIRN_ERR(DF_INVAL);
    }
    rc = chunk_busy_make(sp, chunk);
    if (rc != 0)
        return rc;
    memcpy(ch->busy, map, CHUNK_BYTES);
    used = (uint32_t)bitmap_count(ch->busy, nr);
    if (bitmap_count(ch->busy, BIO_EXT_CHUNK_BLKS) != used) {
        LOG_ERROR("data: the bitmap of chunk %u has bits beyond its end", chunk);
        return CAIRN_ERR(DF_INVAL);
    }
    bitmap_set_range(ch->busy, nr, BIO_EXT_CHUNK_BLKS - nr);
    ch->free_nr -= used;
    ch->run_max = ch->free_nr;
    sp->alloc_blks += used;
    return 0;
}

/*
 * Read the pages with the bitmaps of `chunk` and those after it together, as many as are read at a time; returns the first chunk that has to wait for the next
 * round. What cannot be had is left to chunk_load(), which says so.
 */
static uint32_t
chunks_read_ahead(struct bio_tgt *tgt, uint32_t chunk)
{
    struct umem *um = tgt->um;
    uint64_t nr_max = MIN((uint64_t)BIO_LOAD_BATCH_NR, um->limit_nr / 4);
    uint32_t pages[BIO_LOAD_BATCH_NR], nr = 0, begin = chunk;

    for (; chunk < tgt->space.chunk_nr && nr < nr_max; chunk++) {
        uint64_t off = 0, page;

        if (chunk_find(um, chunk, &off) != 0)
            break; /* the directory block comes first */
        page = off >> UMEM_PAGE_BITS;
        if (off == 0 || page >= um->pub.page_nr || (nr > 0 && pages[nr - 1] == page) ||
            (um->pub.pages[page].flags & (UMEM_PF_LOAD | UMEM_PF_RES | UMEM_PF_SLOT)) != UMEM_PF_SLOT)
            continue;
        um->pub.pages[page].flags |= UMEM_PF_LOAD; /* listed */
        pages[nr++] = (uint32_t)page;
    }
    for (uint32_t i = 0; i < nr; i++) {
        um->pub.pages[pages[i]].flags &= ~(uint32_t)UMEM_PF_LOAD;
    }
    CAIRN_IGNORE(bio_ckpt_batch_load(tgt, pages, nr));
    for (uint32_t i = 0; i < nr; i++) {
        if ((um->pub.pages[pages[i]].flags & UMEM_PF_RES) == 0)
            continue;
        if (umem_image_fits(um, pages[i], umem_page_peek(um, pages[i]))) {
            umem_page_room(um, pages[i], true);
            um->loads_nr++;
        } else {
            umem_page_drop(um, pages[i]);
        }
    }
    return MAX(chunk, begin + 1);
}

int
bio_ext_init(struct bio_tgt *tgt)
{
    struct bio_space_map *sp = &tgt->space;
    uint32_t ahead = 0;
    int rc = 0;

    memset(sp, 0, sizeof(*sp));
    list_init(&sp->tx_pubs);
    list_init(&sp->readers);
    sp->blk_nr = tgt->sb.data_bytes / BIO_BLK_BYTES;
    if (umem_root_df(tgt->um)->ext_blk_nr != sp->blk_nr) {
        LOG_ERROR("the root page of the arena says that the data role has another size");
        return CAIRN_ERR(DF_INVAL);
    }
    sp->chunk_nr = (uint32_t)DIV_UP(sp->blk_nr, (uint64_t)BIO_EXT_CHUNK_BLKS);
    sp->reserve_blks = MIN(sp->blk_nr / 100, UINT64_C(64) << 20 >> 12);
    sp->chunks = bio_mem_zeroed(sp->chunk_nr, sizeof(*sp->chunks));
    if (sp->chunks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t chunk = 0; rc == 0 && chunk < sp->chunk_nr; chunk++) {
        if (chunk >= ahead)
            ahead = chunks_read_ahead(tgt, chunk);
        while ((rc = chunk_load(tgt, chunk)) == -DER_AGAIN) {
            rc = umem_fault(tgt->um);
            if (rc != 0)
                break;
        }
        if (bio_may_pass(tgt, rc)) {
            LOG_ERROR("data: nothing is known of what is free in chunk %u: %s", chunk, err_name(rc));
            rc = 0;
        }
    }
    umem_fault_done(tgt->um);
    if (rc == 0)
        rc = chunk_busy_make(sp, 0);
    if (rc != 0)
        return rc;
    if (bitmap_test(sp->chunks[0].busy, 0)) {
        LOG_ERROR("data: the superblock is allocated");
        return CAIRN_ERR(DF_INVAL);
    }
    sp->free_blks = sp->blk_nr - sp->alloc_blks;
    volatile_take(sp, 0, 0, 1);
    for (uint32_t i = 0; i < BIO_EXT_SIZE_NR; i++) {
        sp->hint_hi[i] = sp->chunk_nr - 1;
    }
    return 0;
}

void
bio_ext_fini(struct bio_tgt *tgt)
{
    struct bio_space_map *sp = &tgt->space;

    for (uint32_t chunk = 0; sp->chunks != NULL && chunk < sp->chunk_nr; chunk++) {
        free(sp->chunks[chunk].busy);
    }
    free(sp->chunks);
    while (sp->resv_all != NULL) {
        struct bio_resv *resv = sp->resv_all;

        sp->resv_all = resv->next_all;
        free(resv);
    }
    free(sp->waits);
    free(sp->tx_frees);
}

static void
run_count(struct bio_ext_stats *st, uint64_t nr)
{
    uint32_t c = 63 - (uint32_t)__builtin_clzll(nr);

    st->free_runs_nr++;
    st->free_runs[MIN(c, (uint32_t)BIO_EXT_RUN_CLS_NR - 1)]++;
    st->free_run_max_bytes = MAX(st->free_run_max_bytes, nr * BIO_BLK_BYTES);
}

void
bio_ext_stats_get(const struct bio_tgt *tgt, struct bio_ext_stats *ret_stats)
{
    const struct bio_space_map *sp = &tgt->space;

    *ret_stats = (struct bio_ext_stats){.free_bytes = sp->free_blks * BIO_BLK_BYTES,
        .resv_bytes = sp->resv_blks * BIO_BLK_BYTES,
        .wait_bytes = sp->wait_blks * BIO_BLK_BYTES,
        .alloc_bytes = sp->alloc_blks * BIO_BLK_BYTES};
    for (uint32_t chunk = 0; chunk < sp->chunk_nr; chunk++) {
        const uint64_t *busy = sp->chunks[chunk].busy;
        size_t nr = chunk_blks(sp, chunk), end;

        if (busy == NULL) {
            run_count(ret_stats, nr);
            continue;
        }
        for (size_t bit = bitmap_find_clear(busy, nr, 0); bit != BITMAP_NONE;
             bit = end < nr ? bitmap_find_clear(busy, nr, end) : BITMAP_NONE) {
            end = bitmap_find_set(busy, nr, bit);
            end = MIN(end, nr); /* BITMAP_NONE: to the end */
            run_count(ret_stats, end - bit);
        }
    }
}

/* The durable map of a chunk against the volatile one. Errors: AGAIN. */
static int
chunk_check(const struct bio_tgt *tgt, uint32_t chunk)
{
    const struct bio_ext_chunk *ch = &tgt->space.chunks[chunk];
    const uint8_t *map;
    uint64_t off = 0;
    int rc = chunk_find(tgt->um, chunk, &off);

    if (rc != 0 || off == 0)
        return rc;
    map = umem_ptr(tgt->um, off);
    if (map == NULL)
        return CAIRN_ERR(AGAIN);
    for (uint32_t bit = 0; bit < chunk_blks(&tgt->space, chunk); bit++) {
        if ((map[bit / 8] >> (bit % 8) & 1) != 0 &&
            (ch->busy == NULL || !bitmap_test(ch->busy, bit))) {
            LOG_ERROR("data: block %lu is allocated and free",
                (unsigned long)chunk * BIO_EXT_CHUNK_BLKS + bit);
            return CAIRN_ERR(DF_INVAL);
        }
    }
    return 0;
}

static int
counts_check(const struct bio_space_map *sp)
{
    uint64_t free_blks = 0;

    for (uint32_t chunk = 0; chunk < sp->chunk_nr; chunk++) {
        const struct bio_ext_chunk *ch = &sp->chunks[chunk];
        uint32_t nr = chunk_blks(sp, chunk);

        free_blks += ch->free_nr;
        if (ch->busy != NULL && nr - bitmap_count(ch->busy, nr) != ch->free_nr) {
            LOG_ERROR("data: chunk %u has a wrong count of free blocks", chunk);
            return CAIRN_ERR(DF_INVAL);
        }
    }
    /* BIO-1; 1: the superblock */
    if (free_blks != sp->free_blks ||
        sp->free_blks + sp->resv_blks + sp->wait_blks + sp->alloc_blks + 1 != sp->blk_nr) {
        LOG_ERROR("data: free, reserved, waiting and allocated blocks do not add up");
        return CAIRN_ERR(DF_INVAL);
    }
    return 0;
}

int
bio_ext_check(struct bio_tgt *tgt)
{
    int rc = counts_check(&tgt->space);

    for (uint32_t chunk = 0; chunk < tgt->space.chunk_nr; chunk++) {
        int rc2;

        while ((rc2 = chunk_check(tgt, chunk)) == -DER_AGAIN) {
            rc2 = umem_fault(tgt->um);
            umem_fault_done(tgt->um);
            if (rc2 != 0)
                break;
        }
        rc = rc != 0 ? rc : rc2;
        if (rc != 0 && !bio_may_pass(tgt, rc))
            break;
    }
    return rc;
}
