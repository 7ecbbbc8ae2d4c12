/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Both allocators against what was marked: see bio_reach.h. The map of the data role itself lies in blocks of the arena, which are marked here. */
#include "bio/bio_reach.h"

#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/log.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum { TELL_NR_MAX = 200 /* lines about leaks; the sum counts all */ };

struct bio_reach {
    struct bio_tgt *tgt;
    uint64_t **pages; /* for each page of the arena NULL, or a bit for each block */
    uint64_t **chunks; /* the same of the data role */
    struct bio_reach_sum sum;
    bool tells;
    uint32_t told_nr;
    int rc; /* the first thing found */
};

struct bio_reach *
bio_reach_create(struct bio_tgt *tgt)
{
    struct bio_reach *r = bio_mem_zeroed(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->tgt = tgt;
    r->pages = bio_mem_zeroed(tgt->um->pub.page_nr, sizeof(*r->pages));
    r->chunks = bio_mem_zeroed(tgt->space.chunk_nr + 1, sizeof(*r->chunks));
    if (r->pages == NULL || r->chunks == NULL) {
        bio_reach_free(r);
        return NULL;
    }
    return r;
}

void
bio_reach_free(struct bio_reach *r)
{
    if (r == NULL)
        return;
    for (uint64_t i = 0; r->pages != NULL && i < r->tgt->um->pub.page_nr; i++) {
        free(r->pages[i]);
    }
    for (uint32_t i = 0; r->chunks != NULL && i < r->tgt->space.chunk_nr; i++) {
        free(r->chunks[i]);
    }
    free(r->pages);
    free(r->chunks);
    free(r);
}

/* ---- marks ------------------------------------------------------------------------------------------------------------ */

/* The bits of a page or a chunk. Errors: NOMEM. */
static int
bits_get(uint64_t **place, uint32_t nr, uint64_t **ret_bits)
{
    if (*place == NULL)
        *place = bio_mem_zeroed(BITMAP_WORDS(nr), 8);
    *ret_bits = *place;
    return *place == NULL ? CAIRN_ERR(NOMEM) : 0;
}

int
bio_reach_block(struct bio_reach *r, uint64_t off)
{
    struct umem *um = r->tgt->um;
    uint32_t c = 0, idx = 0;
    uint64_t *bits;
    int rc;

    if (!um->is_built)
        return 0; /* nobody knows */
    rc = umem_block_place(um, off, &c, &idx);
    if (rc != 0) {
        LOG_ERROR("arena: there is no block at offset %#lx, which something refers to",
            (unsigned long)off);
        return rc;
    }
    rc = bits_get(&r->pages[off >> UMEM_PAGE_BITS], um->cls[c].nr, &bits);
    if (rc != 0)
        return rc;
    if (bitmap_test(bits, idx)) {
        LOG_ERROR("arena: the block at offset %#lx is referred to twice", (unsigned long)off);
        return CAIRN_ERR(DF_INVAL);
    }
    bitmap_set(bits, idx);
    return 0;
}

int
bio_reach_ext(struct bio_reach *r, uint64_t addr, uint64_t bytes)
{
    const struct bio_space_map *sp = &r->tgt->space;
    uint64_t blk = addr / BIO_BLK_BYTES, end = DIV_UP(addr + bytes, (uint64_t)BIO_BLK_BYTES);

    if (bytes == 0)
        return 0;
    if (blk == 0 || end > sp->blk_nr || addr + bytes < addr) {
        LOG_ERROR("data: something refers to %lu bytes at %#lx, which are not there",
            (unsigned long)bytes, (unsigned long)addr);
        return CAIRN_ERR(DF_INVAL);
    }
    for (; blk < end; blk++) {
        uint32_t bit = (uint32_t)(blk % BIO_EXT_CHUNK_BLKS);
        uint64_t *bits;
        int rc = bits_get(&r->chunks[blk / BIO_EXT_CHUNK_BLKS], BIO_EXT_CHUNK_BLKS, &bits);

        if (rc != 0)
            return rc;
        if (bitmap_test(bits, bit)) {
            LOG_ERROR("data: the block at %#lx is referred to twice",
                (unsigned long)(blk * BIO_BLK_BYTES));
            return CAIRN_ERR(DF_INVAL);
        }
        bitmap_set(bits, bit);
    }
    return 0;
}

/* ---- comparing -------------------------------------------------------------------------------------------------------- */

/* The memory of a page. Errors: as umem_page_get(). */
static int
page_see(struct bio_reach *r, uint64_t page, const uint8_t **ret_mem)
{
    int rc = umem_page_get(r->tgt->um, page);

    if (rc == 0)
        *ret_mem = umem_page_peek(r->tgt->um, page);
    return rc;
}

static bool
may_tell(struct bio_reach *r)
{
    r->rc = r->rc != 0 || !r->tells ? r->rc : -DER_DF_INVAL;
    return r->tells && r->told_nr++ < TELL_NR_MAX;
}

static void
block_leaked(struct bio_reach *r, uint64_t page, const struct umem_cls *cls, uint32_t idx)
{
    uint64_t off = (page << UMEM_PAGE_BITS) + cls->start + (uint64_t)idx * cls->bytes;

    r->sum.blocks_nr++;
    r->sum.block_bytes += cls->bytes;
    if (may_tell(r)) {
        LOG_ERROR("arena: the block of %u bytes at offset %#lx is allocated, and nothing refers to "
                  "it",
            cls->bytes, (unsigned long)off);
    }
}

static void
is_free_found(struct bio_reach *r, const char *role, uint64_t off)
{
    r->sum.free_nr++;
    r->rc = r->rc != 0 ? r->rc : -DER_DF_INVAL;
    if (r->told_nr++ < TELL_NR_MAX) {
        LOG_ERROR(
            "%s: the block at %#lx is free, and something refers to it", role, (unsigned long)off);
    }
}

static int
page_compare(struct bio_reach *r, uint64_t page)
{
    struct umem *um = r->tgt->um;
    const uint64_t *bits = r->pages[page];
    uint8_t code = um->vol[page].code;
    const struct umem_cls *cls;
    const uint8_t *mem = NULL;
    int rc;

    if (code == UMEM_DIR_FREE || code > UMEM_CLS_NR)
        return 0; /* umem_block_place() lets nobody mark anything there */
    cls = &um->cls[code - 1];
    if (bits == NULL && um->vol[page].free_nr == cls->nr)
        return 0;
    if (code != UMEM_CODE_BARE) {
        rc = page_see(r, page, &mem);
        if (rc != 0)
            return rc;
    }
    for (uint32_t i = 0; i < cls->nr; i++) {
        bool is_live = umem_block_is_live(um, page, i, mem);
        bool is_marked = bits != NULL && bitmap_test(bits, i);

        if (is_live && !is_marked)
            block_leaked(r, page, cls, i);
        if (is_marked && !is_live) {
            is_free_found(
                r, "arena", (page << UMEM_PAGE_BITS) + cls->start + (uint64_t)i * cls->bytes);
        }
    }
    return 0;
}

static void
run_leaked(struct bio_reach *r, uint64_t blk, uint64_t end)
{
    r->sum.data_bytes += (end - blk) * BIO_BLK_BYTES;
    if (may_tell(r)) {
        LOG_ERROR("data: %lu bytes at %#lx are allocated, and nothing refers to them",
            (unsigned long)((end - blk) * BIO_BLK_BYTES), (unsigned long)(blk * BIO_BLK_BYTES));
    }
}

/* A chunk of the data role, whose map lies at `off` of the arena, 0: it has none; block 0 is the superblock, and not in the map. */
static int
chunk_compare(struct bio_reach *r, uint32_t chunk, uint64_t off)
{
    uint64_t first = (uint64_t)chunk * BIO_EXT_CHUNK_BLKS, start = 0;
    uint64_t nr = MIN((uint64_t)BIO_EXT_CHUNK_BLKS, r->tgt->space.blk_nr - first);
    const uint64_t *bits = r->chunks[chunk];
    const uint8_t *map = NULL;
    bool in_run = false;
    int rc = 0;

    if (off == 0 && bits == NULL)
        return 0;
    if (off != 0)
        rc = page_see(r, off >> UMEM_PAGE_BITS, &map);
    if (rc != 0)
        return rc;
    map = map == NULL ? NULL : map + (off & (UMEM_PAGE_BYTES - 1));
    for (uint64_t i = 0; i <= nr; i++) {
        bool is_live = i < nr && map != NULL && (map[i / 8] >> (i % 8) & 1) != 0;
        bool is_marked = i < nr && bits != NULL && bitmap_test(bits, i);

        if (is_marked && !is_live)
            is_free_found(r, "data", (first + i) * BIO_BLK_BYTES);
        if (in_run && !(is_live && !is_marked))
            run_leaked(r, first + start, first + i);
        if (!in_run)
            start = i;
        in_run = is_live && !is_marked;
        start = in_run ? start : i;
    }
    return 0;
}

/* A chunk's map, or a directory block, ends in its page. */
static bool
map_fits(uint64_t off)
{
    return (off & 7) == 0 &&
        (off & (UMEM_PAGE_BYTES - 1)) + BIO_EXT_CHUNK_BLKS / 8 <= UMEM_PAGE_BYTES;
}

/* The chunks of a directory block, which is marked, as are their maps. */
static int
dir_compare(struct bio_reach *r, uint32_t dir)
{
    uint64_t l1 = umem_root_df(r->tgt->um)->ext_l0[dir], off;
    const uint8_t *mem = NULL;
    int rc = 0;

    if (l1 != 0)
        rc = map_fits(l1) ? bio_reach_block(r, l1) : CAIRN_ERR(DF_INVAL);
    for (uint32_t i = 0; rc == 0 && i < BIO_EXT_L1_NR; i++) {
        uint32_t chunk = dir * BIO_EXT_L1_NR + i;

        off = 0;
        if (chunk >= r->tgt->space.chunk_nr)
            break;
        if (l1 != 0) {
            rc = page_see(r, l1 >> UMEM_PAGE_BITS, &mem);
            if (rc == 0)
                memcpy(&off, mem + (l1 & (UMEM_PAGE_BYTES - 1)) + (size_t)i * 8, 8);
        }
        if (rc == 0 && off != 0)
            rc = map_fits(off) ? bio_reach_block(r, off) : CAIRN_ERR(DF_INVAL);
        if (rc == 0)
            rc = chunk_compare(r, chunk, off);
    }
    return rc;
}

int
bio_reach_end(struct bio_reach *r, bool tell_leaks, struct bio_reach_sum *ret_sum)
{
    struct umem *um = r->tgt->um;
    uint32_t dir_nr = DIV_UP(r->tgt->space.chunk_nr, (uint32_t)BIO_EXT_L1_NR);
    int rc;

    r->sum = (struct bio_reach_sum){0};
    r->tells = tell_leaks;
    for (uint32_t dir = 0; um->is_built && dir < dir_nr; dir++) {
        rc = dir_compare(r, dir);
        r->rc = r->rc != 0 ? r->rc : rc;
        if (rc == -DER_NOMEM)
            break;
    }
    for (uint64_t page = 0; um->is_built && page < um->pub.page_nr && r->rc != -DER_NOMEM; page++) {
        rc = page_compare(r, page);
        r->rc = r->rc != 0 ? r->rc : rc;
    }
    *ret_sum = r->sum;
    return r->rc;
}
