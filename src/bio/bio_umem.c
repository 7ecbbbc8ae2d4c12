/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The arena's pages and its allocator (umem.h). Blocks come from slab pages of one class each; a page is found through the volatile
 * list of its class, a block through the bitmap at the head of the page. An allocation costs one changed bitmap byte of redo.
 *
 * A free may be followed by an allocation of the same block in the same transaction: then the abort must bring the old bytes
 * back, so blocks from a page in which this transaction freed something are covered with an undo copy instead of as fresh.
 *
 * Blocks that are freed here and there in a large arena leave one or two in each of many pages. To take those first would mean another page for each allocation: its head, its
 * lines, its image at the next checkpoint. So a page with less than a sixteenth of its blocks free waits until it has more, and new pages are taken meanwhile, unless the arena or its
 * memory is half full. That costs a fifteenth of the space of a class at most.
 * Tested by bio_umem_test.c against a naive twin.
 */
#include "bio/umem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_umem_priv.h"

CAIRN_STATIC_ASSERT((int)UMEM_PAGE_BYTES == (int)UMEM_DF_PAGE_BYTES, "page size");
CAIRN_STATIC_ASSERT(UMEM_ROOT_BYTES == sizeof(((struct umem_root_df *)NULL)->user), "user root");

/* Chosen so that little of a page's 16,320 bytes is left over; the last three came later (numbers are stored), for the records of keys and small values. */
static const uint32_t umem_cls_bytes[UMEM_SLAB_CLS_NR] = {16, 32, 48, 64, 80, 96, 112, 128, 160,
    192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1088, 1360, 1632, 2040, 2720, 3264, 4080,
    5440, 8160, 8192, 40, 56, 88};

/* Which class serves which length, of the first `cls_nr` classes. */
static void
cls_of_init(struct umem *um, uint32_t cls_nr)
{
    for (uint32_t len8 = 0; len8 <= UMEM_ALLOC_BYTES_MAX / 8; len8++) {
        uint32_t best = UMEM_CLS_NR;

        for (uint32_t c = 0; c < cls_nr; c++) {
            if (um->cls[c].bytes >= len8 * 8 &&
                (best == UMEM_CLS_NR || um->cls[c].bytes < um->cls[best].bytes))
                best = c;
        }
        um->cls_of[len8] = (uint8_t)best;
    }
}

static void
cls_init(struct umem *um)
{
    for (uint32_t c = 0; c < UMEM_SLAB_CLS_NR; c++) {
        struct umem_cls *cls = &um->cls[c];

        cls->bytes = umem_cls_bytes[c];
        cls->start = 64;
        for (;;) {
            cls->nr = (UMEM_PAGE_BYTES - cls->start) / cls->bytes;
            cls->words_nr = DIV_UP(cls->nr, 64);
            if (UMEM_DF_SLAB_HDR_BYTES + cls->words_nr * 8 <= cls->start)
                break;
            cls->start += 16;
        }
        cls->recip = (uint32_t)(((UINT64_C(1) << 32) + cls->bytes - 1) / cls->bytes);
        cls->tail = cls->nr % 64 == 0 ? 0 : ~UINT64_C(0) << (cls->nr % 64);
    }
    um->cls[UMEM_CLS_BARE] = (struct umem_cls){.bytes = UMEM_DF_BARE_BYTES,
        .nr = UMEM_DF_BARE_NR,
        .recip = (uint32_t)((UINT64_C(1) << 32) / UMEM_DF_BARE_BYTES)};
    for (uint32_t c = 0; c < 2 * UMEM_CLS_NR; c++) {
        um->partial[c] = UMEM_NONE;
        um->partial_tail[c] = UMEM_NONE;
    }
    cls_of_init(um, UMEM_CLS_NR);
}

void
umem_bare_forbid(struct umem *um)
{
    um->no_bare = true;
    cls_of_init(um, UMEM_SLAB_CLS_NR);
}

int
umem_create(
    uint64_t arena_bytes, const struct umem_hooks *hooks, void *hooks_arg, struct umem **ret_um)
{
    struct umem *um = bio_mem_zeroed(1, sizeof(*um));
    uint64_t page_nr = arena_bytes >> UMEM_PAGE_BITS;
    int rc = 0;

    if (um == NULL)
        return CAIRN_ERR(NOMEM);
    CAIRN_ASSERT(page_nr >= UMEM_PAGE_NR_MIN);
    CAIRN_ASSERT(page_nr < UMEM_NONE);
    um->pub.page_nr = page_nr;
    um->dir_page_nr = (uint32_t)DIV_UP(page_nr, UMEM_PAGE_BYTES);
    um->hooks = hooks;
    um->hooks_arg = hooks_arg;
    um->limit_nr = UINT64_MAX;
    um->dirty_max = UINT64_MAX;
    um->dirty_start = UINT64_MAX;
    for (uint32_t q = 0; q < UMEM_Q_NR; q++) {
        um->queues[q] = (struct umem_queue){.first = UMEM_NONE, .last = UMEM_NONE};
    }
    um->reserve_nr = MAX(page_nr / 50, (uint64_t)UMEM_RESERVE_PAGES_MIN);
    um->pub.pages = bio_mem_zeroed(page_nr, sizeof(*um->pub.pages));
    um->vol = bio_mem_zeroed(page_nr, sizeof(*um->vol));
    um->free_map = bio_mem_zeroed(BITMAP_WORDS(page_nr), 8);
    um->dirty_map = bio_mem_zeroed(BITMAP_WORDS(page_nr), 8);
    um->tx.ranges = bio_mem_get(UMEM_TX_RANGE_NR_MAX * sizeof(*um->tx.ranges));
    um->tx.touched = bio_mem_get(UMEM_TX_RANGE_NR_MAX * sizeof(*um->tx.touched));
    um->tx.undo = bio_mem_get(UMEM_TX_BYTES_MAX);
    if (um->pub.pages == NULL || um->vol == NULL || um->free_map == NULL || um->dirty_map == NULL ||
        um->tx.ranges == NULL || um->tx.touched == NULL || um->tx.undo == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    cls_init(um);
    ult_cond_init(&um->io_cond);
    *ret_um = um;
    um = NULL;
out:
    umem_destroy(um);
    return rc;
}

void
umem_destroy(struct umem *um)
{
    if (um == NULL)
        return;
    for (uint32_t i = 0; i < um->chunk_nr; i++) {
        free(um->chunks[i]);
    }
    free(um->chunks);
    free(um->frames);
    free(um->pub.pages);
    free(um->vol);
    free(um->free_map);
    free(um->dirty_map);
    free(um->tx.ranges);
    free(um->tx.touched);
    free(um->tx.undo);
    free(um);
}

uint64_t
umem_root(const struct umem *um)
{
    (void)um;
    return UMEM_DF_USER_OFF;
}

/* ---- volatile state ----------------------------------------------------------------------------------------------------- */

static inline bool
code_is_cls(uint8_t code)
{
    return code >= 1 && code <= UMEM_CLS_NR;
}

/* The list of a page with room. */
static inline uint32_t
list_of(const struct umem_vol *v, uint32_t c)
{
    return v->is_sparse ? c + UMEM_CLS_NR : c;
}

static inline bool
page_is_sparse(const struct umem *um, const struct umem_vol *v, uint32_t c)
{
    return (uint32_t)v->free_nr * UMEM_SPARSE_PART < um->cls[c].nr;
}

static void
partial_del(struct umem *um, uint32_t c, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];

    c = list_of(v, c);
    if (v->prev == UMEM_NONE) {
        um->partial[c] = v->next;
    } else {
        um->vol[v->prev].next = v->next;
    }
    if (v->next == UMEM_NONE) {
        um->partial_tail[c] = v->prev;
    } else {
        um->vol[v->next].prev = v->prev;
    }
}

static void
partial_add(struct umem *um, uint32_t c, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];

    c = list_of(v, c);
    v->prev = UMEM_NONE;
    v->next = um->partial[c];
    if (v->next == UMEM_NONE) {
        um->partial_tail[c] = page;
    } else {
        um->vol[v->next].prev = page;
    }
    um->partial[c] = page;
}

static void
partial_add_tail(struct umem *um, uint32_t c, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];

    c = list_of(v, c);
    v->next = UMEM_NONE;
    v->prev = um->partial_tail[c];
    if (v->prev == UMEM_NONE) {
        um->partial[c] = page;
    } else {
        um->vol[v->prev].next = page;
    }
    um->partial_tail[c] = page;
}

/* Those in memory are asked first. */
static void
page_list(struct umem *um, uint32_t c, uint32_t page)
{
    if ((um->pub.pages[page].flags & UMEM_PF_RES) != 0) {
        partial_add(um, c, page);
    } else {
        partial_add_tail(um, c, page);
    }
}

void
umem_page_room(struct umem *um, uint32_t page, bool resident)
{
    const struct umem_vol *v = &um->vol[page];

    if (!code_is_cls(v->code) || v->free_nr == 0)
        return;
    partial_del(um, v->code - 1u, page);
    if (resident) {
        partial_add(um, v->code - 1u, page);
    } else {
        partial_add_tail(um, v->code - 1u, page);
    }
}

/* Take the page out of the volatile state; page_account() puts it back. */
static void
page_unaccount(struct umem *um, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];

    if (v->code == UMEM_DIR_FREE) {
        bitmap_clear(um->free_map, page);
        um->free_nr--;
    } else if (code_is_cls(v->code)) {
        const struct umem_cls *cls = &um->cls[v->code - 1];

        if (v->free_nr > 0)
            partial_del(um, v->code - 1u, page);
        um->used_bytes -= (uint64_t)(cls->nr - v->free_nr) * cls->bytes;
    }
}

/* By the bitmap at its head. */
static uint32_t
page_free_count(const struct umem_cls *cls, const uint8_t *mem)
{
    uint32_t used = 0;
    uint64_t word;

    for (uint32_t w = 0; w < cls->words_nr; w++) {
        memcpy(&word, mem + UMEM_DF_SLAB_HDR_BYTES + w * 8, 8);
        used += (uint32_t)__builtin_popcountll(word);
    }
    return cls->words_nr * 64 - used;
}

static void
page_account(struct umem *um, uint32_t page, uint8_t code)
{
    struct umem_vol *v = &um->vol[page];

    v->code = code;
    v->hint = 0;
    v->free_nr = 0;
    if (code == UMEM_DIR_FREE) {
        bitmap_set(um->free_map, page);
        um->free_nr++;
        um->free_hint = MIN(um->free_hint, page / 64);
    } else if (code_is_cls(code)) {
        const struct umem_cls *cls = &um->cls[code - 1];

        if (code == UMEM_CODE_BARE) {
            v->free_nr = (uint16_t)umem_dir_bare_free_nr(*umem_dir_byte(um, page));
        } else if ((um->pub.pages[page].flags & UMEM_PF_RES) != 0) {
            v->free_nr = (uint16_t)page_free_count(cls, umem_page_peek(um, page));
        } else {
            v->free_nr = v->img_free_nr; /* only at open */
        }
        v->is_sparse = page_is_sparse(um, v, code - 1u);
        if (v->free_nr > 0)
            partial_add(um, code - 1u, page);
        um->used_bytes += (uint64_t)(cls->nr - v->free_nr) * cls->bytes;
    }
}

void
umem_page_resync(struct umem *um, uint32_t page)
{
    page_unaccount(um, page);
    page_account(um, page, umem_dir_code(*umem_dir_byte(um, page)));
}

/* The header of a page that has one. */
static bool
slab_is_valid(const struct umem *um, uint8_t code, const uint8_t *mem)
{
    const struct umem_cls *cls = &um->cls[code - 1];
    struct umem_slab_df hdr;
    uint64_t word;

    memcpy(&hdr, mem, sizeof(hdr));
    memcpy(&word, mem + UMEM_DF_SLAB_HDR_BYTES + (cls->words_nr - 1) * 8, 8);
    return hdr.magic == UMEM_SLAB_MAGIC && hdr.cls == code - 1 && (word & cls->tail) == cls->tail;
}

/* At open: of a page that is resident the header is checked, of others what the slot map says about the image. */
static bool
page_is_sound(struct umem *um, uint32_t page, uint8_t code)
{
    uint32_t free_nr = um->vol[page].img_free_nr;

    if (code == UMEM_CODE_BARE)
        return true; /* UP-6 */
    if ((um->pub.pages[page].flags & UMEM_PF_RES) != 0)
        return slab_is_valid(um, code, umem_page_peek(um, page));
    return free_nr <= um->cls[code - 1].nr &&
        (free_nr == 0) == ((*umem_dir_byte(um, page) & UMEM_DIR_FULL) != 0);
}

bool
umem_image_fits(struct umem *um, uint32_t page, const uint8_t *mem)
{
    const struct umem_vol *v = &um->vol[page];

    return !um->is_built || !code_is_cls(v->code) || v->code == UMEM_CODE_BARE ||
        (slab_is_valid(um, v->code, mem) && page_free_count(&um->cls[v->code - 1], mem) == v->free_nr);
}

uint32_t
umem_image_free_nr(const struct umem *um, uint32_t page, const uint8_t *mem)
{
    struct umem_slab_df hdr;

    if (um->is_built && um->vol[page].code == UMEM_CODE_BARE)
        return 0;
    memcpy(&hdr, mem, sizeof(hdr));
    if (hdr.magic != UMEM_SLAB_MAGIC || hdr.cls >= UMEM_SLAB_CLS_NR)
        return 0;
    return page_free_count(&um->cls[hdr.cls], mem);
}

/* At open: does what the directory says of the page agree with the rest? */
static int
page_judge(struct umem *um, uint32_t p)
{
    uint8_t code = umem_dir_code(*umem_dir_byte(um, p));
    bool sys = p <= um->dir_page_nr;

    if (sys != (code == UMEM_DIR_SYSTEM) || (!sys && code > UMEM_CLS_NR) ||
        (code == UMEM_CODE_BARE && um->no_bare)) {
        LOG_ERROR("page %u of the arena has directory code %u", p, code);
        return CAIRN_ERR(DF_INVAL);
    }
    if (code != UMEM_DIR_FREE && (um->pub.pages[p].flags & (UMEM_PF_RES | UMEM_PF_SLOT)) == 0) {
        LOG_ERROR("page %u of the arena is in use and has no content", p);
        return CAIRN_ERR(DF_INVAL);
    }
    if (code_is_cls(code) && !page_is_sound(um, p, code)) {
        LOG_ERROR("page %u of the arena has a bad slab header", p);
        return CAIRN_ERR(DF_INVAL);
    }
    return 0;
}

int
umem_rebuild(struct umem *um, bool is_tolerant)
{
    const struct umem_root_df *root = umem_root_df(um);
    bool is_whole = true;

    um->is_tolerant = is_tolerant;
    for (uint32_t p = 1; p <= um->dir_page_nr; p++) {
        is_whole &= um->pub.pages[p].mem != NULL;
    }
    if (um->pub.pages[0].mem == NULL || (!is_whole && !is_tolerant))
        root = NULL;
    um->is_built = is_whole;
    if (root == NULL || root->magic != UMEM_ROOT_MAGIC || root->version != 1 ||
        root->page_nr != um->pub.page_nr || root->dir_page_nr != um->dir_page_nr) {
        LOG_ERROR("the root page of the arena is not one of this arena");
        return CAIRN_ERR(DF_INVAL);
    }
    if (!is_whole) {
        LOG_ERROR("a page of the arena's directory is missing: nothing is known of its blocks");
        return 0;
    }
    for (uint32_t c = 0; c < 2 * UMEM_CLS_NR; c++) {
        um->partial[c] = UMEM_NONE;
        um->partial_tail[c] = UMEM_NONE;
    }
    memset(um->free_map, 0, BITMAP_WORDS(um->pub.page_nr) * 8);
    um->used_bytes = 0;
    um->free_nr = 0;
    um->page_hi = 1 + um->dir_page_nr;
    /* Backwards, so that the lists hand out low pages first. */
    for (uint64_t page = um->pub.page_nr; page > 0; page--) {
        uint32_t p = (uint32_t)page - 1;
        uint8_t code = umem_dir_code(*umem_dir_byte(um, p));
        int rc = page_judge(um, p);

        if (rc != 0 && !is_tolerant)
            return rc;
        if (rc != 0)
            code = p <= um->dir_page_nr ? (uint8_t)UMEM_DIR_SYSTEM : (uint8_t)UMEM_DIR_FREE;
        if ((um->pub.pages[p].flags & (UMEM_PF_RES | UMEM_PF_SLOT)) != 0)
            um->page_hi = MAX(um->page_hi, page);
        page_account(um, p, code);
    }
    um->free_hint = 0;
    return 0;
}

int
umem_init_root(struct umem *um, uint64_t ext_blk_nr)
{
    struct umem_root_df *root;

    for (uint32_t p = 0; p <= um->dir_page_nr; p++) {
        int rc = umem_page_mem(um, p);

        if (rc != 0)
            return rc;
        umem_mark_dirty(um, p, 0);
    }
    root = umem_root_df(um);
    root->magic = UMEM_ROOT_MAGIC;
    root->version = 1;
    root->page_nr = um->pub.page_nr;
    root->dir_page_nr = um->dir_page_nr;
    root->ext_blk_nr = ext_blk_nr;
    for (uint32_t p = 0; p <= um->dir_page_nr; p++) {
        *umem_dir_byte(um, p) = UMEM_DIR_SYSTEM;
    }
    return umem_rebuild(um, false);
}

int
umem_replay(struct umem *um, uint64_t lsn, uint64_t off, uint32_t len, const uint8_t *bytes)
{
    uint64_t page = off >> UMEM_PAGE_BITS;
    uint64_t in_page = off & (UMEM_PAGE_BYTES - 1);
    int rc;

    if (page >= um->pub.page_nr || in_page + len > UMEM_PAGE_BYTES)
        return CAIRN_ERR(DF_INVAL);
    rc = umem_page_get(um, page);
    if (rc != 0)
        return rc;
    memcpy(um->pub.pages[page].mem + in_page, bytes, len);
    umem_mark_dirty(um, page, lsn);
    return 0;
}

/* ---- blocks ----------------------------------------------------------------------------------------------------------- */

static inline void
page_touch(struct umem *um, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];

    if (v->touch_seq == um->tx.seq)
        return;
    v->touch_seq = um->tx.seq;
    CAIRN_ASSERT(um->tx.touch_nr < UMEM_TX_RANGE_NR_MAX);
    um->tx.touched[um->tx.touch_nr++] = page;
}

/* Make a free page a slab of class c, first in its list. */
static int
page_take(struct umem *um, uint32_t c, uint32_t *ret_page)
{
    const struct umem_cls *cls = &um->cls[c];
    struct umem_slab_df hdr = {.magic = UMEM_SLAB_MAGIC, .cls = (uint16_t)c};
    bool is_bare = c == UMEM_CLS_BARE;
    struct umem_vol *v;
    uint8_t *mem;
    size_t page;
    int rc;

    if (um->free_nr == 0 || (um->free_nr <= um->reserve_nr && (um->tx.flags & UMEM_TX_RECLAIM) == 0))
        return CAIRN_ERR(NOSPACE); /* UM-7 */
    page = bitmap_find_set(um->free_map, um->pub.page_nr, um->free_hint * 64);
    CAIRN_ASSERT(page != BITMAP_NONE);
    um->free_hint = page / 64;
    v = &um->vol[page];
    mem = umem_page_see(um, page);
    if (mem == NULL && v->freed_seq == um->tx.seq) {
        /* A bare page that this transaction made free unseen: should it abort, the page needs what it held. */
        CAIRN_PROBE("bio.umem.bare_retaken");
        umem_page_miss(um, (uint32_t)page);
        return CAIRN_ERR(AGAIN);
    }
    if (mem == NULL) {
        rc = umem_page_mem(um, page);
        if (rc != 0)
            return rc;
        mem = um->pub.pages[page].mem;
    }
    rc = umem_tx_cover(um, umem_dir_off(page), 1, umem_dir_byte(um, page), false);
    if (rc != 0)
        return rc;
    /* What a free page holds is of no interest, unless this transaction made it free. */
    if (!is_bare) {
        rc = umem_tx_cover(
            um, (uint64_t)page << UMEM_PAGE_BITS, cls->start, mem, v->freed_seq != um->tx.seq);
    }
    if (rc != 0)
        return rc;
    page_touch(um, (uint32_t)page);
    page_unaccount(um, (uint32_t)page);
    if (!is_bare) {
        memset(mem, 0, cls->start);
        memcpy(mem, &hdr, sizeof(hdr));
        memcpy(mem + UMEM_DF_SLAB_HDR_BYTES + (cls->words_nr - 1) * 8, &cls->tail, 8);
    }
    *umem_dir_byte(um, page) = (uint8_t)(is_bare ? UMEM_DIR_BARE : c + 1);
    page_account(um, (uint32_t)page, (uint8_t)(c + 1));
    if (page >= um->page_hi)
        um->page_hi = page + 1;
    *ret_page = (uint32_t)page;
    return 0;
}

/* Find a clear bit in the page's bitmap; UMEM_NONE: none, which contradicts the count (a scribbled page). */
static inline uint32_t
block_find(const struct umem_cls *cls, struct umem_vol *v, const uint8_t *mem)
{
    uint64_t word;

    for (uint32_t w = v->hint; w < cls->words_nr; w++) {
        memcpy(&word, mem + UMEM_DF_SLAB_HDR_BYTES + w * 8, 8);
        if (word != UINT64_MAX) {
            v->hint = (uint8_t)w;
            return w * 64 + (uint32_t)__builtin_ctzll(~word);
        }
    }
    return UMEM_NONE;
}

/* A page of the class to allocate from, when all with room enough are full. */
static int
page_more(struct umem *um, uint32_t c, uint32_t *ret_page)
{
    uint32_t page = um->partial[c + UMEM_CLS_NR];
    bool is_scarce = umem_is_short(um) || um->free_nr <= 2 * um->reserve_nr;
    int rc = page == UMEM_NONE || !is_scarce ? page_take(um, c, ret_page) : -DER_NOSPACE;

    if (rc != -DER_NOSPACE || page == UMEM_NONE)
        return rc;
    partial_del(um, c, page);
    um->vol[page].is_sparse = false;
    partial_add(um, c, page);
    *ret_page = page;
    return 0;
}

/* A page of the class that has a free block, in memory. */
static inline int
page_with_room(struct umem *um, uint32_t c, uint32_t *ret_page, uint8_t **ret_mem)
{
    uint32_t page = um->partial[c];
    int rc;

    if (CAIRN_UNLIKELY(page == UMEM_NONE)) {
        rc = page_more(um, c, &page);
        if (rc != 0)
            return rc;
    }
    *ret_page = page;
    *ret_mem = um->pub.pages[page].mem;
    if (CAIRN_UNLIKELY(*ret_mem == NULL))
        *ret_mem = umem_page_miss(um, page);
    return *ret_mem != NULL ? 0 : CAIRN_ERR(AGAIN);
}

/* A block was marked as used: what it holds, and one less in the page. */
static inline void
block_given(struct umem *um, uint32_t c, uint32_t page, uint8_t *mem, uint32_t len, uint32_t clear_len)
{
    struct umem_vol *v = &um->vol[page];

    page_touch(um, page);
    memset(mem, 0, MIN(clear_len, len));
    memset(mem + len, 0, ALIGN_UP(len, 8u) - len);
    um->used_bytes += um->cls[c].bytes;
    if (v->free_nr == 1)
        partial_del(um, c, page);
    v->free_nr--;
}

/* A block of a bare page: found and marked in the directory's byte. */
static int
bare_alloc(struct umem *um, uint32_t len, uint32_t clear_len, uint64_t *ret_off)
{
    uint32_t page, idx;
    uint8_t *mem, *dir;
    uint64_t off;
    int rc = page_with_room(um, UMEM_CLS_BARE, &page, &mem);

    if (rc != 0)
        return rc;
    dir = umem_dir_byte(um, page);
    idx = (uint32_t)__builtin_ctz(~(uint32_t)*dir);
    if (CAIRN_UNLIKELY(idx >= UMEM_DF_BARE_NR))
        return CAIRN_ERR(DF_INVAL);
    off = ((uint64_t)page << UMEM_PAGE_BITS) + idx * UMEM_DF_BARE_BYTES;
    mem += idx * UMEM_DF_BARE_BYTES;
    rc = umem_tx_cover(um, umem_dir_off(page), 1, dir, false);
    if (rc == 0)
        rc = umem_tx_cover(um, off, ALIGN_UP(len, 8u), mem, um->vol[page].freed_seq != um->tx.seq);
    if (rc != 0)
        return rc;

    *dir = (uint8_t)(*dir | 1u << idx);
    block_given(um, UMEM_CLS_BARE, page, mem, len, clear_len);
    *ret_off = off;
    return 0;
}

int
umem_alloc_part(struct umem_tx *tx, uint32_t len, uint32_t clear_len, uint64_t *ret_off)
{
    struct umem *um = tx->um;
    uint32_t len8 = ALIGN_UP(len, 8u), c, page, idx, in_page, bit_off;
    const struct umem_cls *cls;
    struct umem_vol *v;
    uint8_t *mem;
    int rc;

    CAIRN_DASSERT(um->tx.active);
    if (len == 0 || len > UMEM_ALLOC_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    c = um->cls_of[len8 / 8];
    if (c == UMEM_CLS_BARE)
        return bare_alloc(um, len, clear_len, ret_off);
    rc = page_with_room(um, c, &page, &mem);
    if (rc != 0)
        return rc;
    cls = &um->cls[c];
    v = &um->vol[page];
    idx = block_find(cls, v, mem);
    if (CAIRN_UNLIKELY(idx == UMEM_NONE))
        return CAIRN_ERR(DF_INVAL);
    in_page = cls->start + idx * cls->bytes;
    bit_off = UMEM_DF_SLAB_HDR_BYTES + idx / 8;

    rc = umem_tx_cover(um, ((uint64_t)page << UMEM_PAGE_BITS) + bit_off, 1, mem + bit_off, false);
    if (rc != 0)
        return rc;
    if (v->free_nr == 1) {
        rc = umem_tx_cover(um, umem_dir_off(page), 1, umem_dir_byte(um, page), false);
        if (rc != 0)
            return rc;
    }
    rc = umem_tx_cover(um, ((uint64_t)page << UMEM_PAGE_BITS) + in_page, len8, mem + in_page,
        v->freed_seq != um->tx.seq);
    if (rc != 0)
        return rc;

    mem[bit_off] = (uint8_t)(mem[bit_off] | 1u << (idx % 8));
    if (v->free_nr == 1)
        *umem_dir_byte(um, page) |= UMEM_DIR_FULL;
    block_given(um, c, page, mem + in_page, len, clear_len);
    *ret_off = ((uint64_t)page << UMEM_PAGE_BITS) + in_page;
    return 0;
}

int
umem_alloc(struct umem_tx *tx, uint32_t len, uint64_t *ret_off)
{
    return umem_alloc_part(tx, len, len, ret_off);
}

int
umem_block_place(const struct umem *um, uint64_t off, uint32_t *ret_c, uint32_t *ret_idx)
{
    uint64_t page = off >> UMEM_PAGE_BITS;
    uint32_t in_page = (uint32_t)(off & (UMEM_PAGE_BYTES - 1)), idx;
    const struct umem_cls *cls;
    uint8_t code;

    if (page >= um->pub.page_nr)
        return CAIRN_ERR(DF_INVAL);
    code = um->vol[page].code;
    if (!code_is_cls(code))
        return CAIRN_ERR(DF_INVAL);
    cls = &um->cls[code - 1];
    if (in_page < cls->start)
        return CAIRN_ERR(DF_INVAL);
    idx = (uint32_t)((uint64_t)(in_page - cls->start) * cls->recip >> 32);
    if (idx >= cls->nr || cls->start + idx * cls->bytes != in_page)
        return CAIRN_ERR(DF_INVAL);
    *ret_c = code - 1u;
    *ret_idx = idx;
    return 0;
}

bool
umem_block_is_live(struct umem *um, uint64_t page, uint32_t idx, const uint8_t *mem)
{
    if (um->vol[page].code == UMEM_CODE_BARE)
        return (*umem_dir_byte(um, page) >> idx & 1) != 0;
    return (mem[UMEM_DF_SLAB_HDR_BYTES + idx / 8] >> (idx % 8) & 1) != 0;
}

/* Class and number of the live block at off. Errors: AGAIN, DF_INVAL. */
static int
block_at(struct umem *um, uint64_t off, uint32_t *ret_c, uint32_t *ret_idx)
{
    uint64_t page = off >> UMEM_PAGE_BITS;
    const uint8_t *mem;
    int rc = umem_block_place(um, off, ret_c, ret_idx);

    if (rc != 0)
        return rc;
    mem = um->pub.pages[page].mem;
    if (CAIRN_UNLIKELY(mem == NULL) && *ret_c != UMEM_CLS_BARE) {
        mem = umem_page_miss(um, (uint32_t)page);
        if (mem == NULL)
            return CAIRN_ERR(AGAIN);
    }
    return umem_block_is_live(um, page, *ret_idx, mem) ? 0 : CAIRN_ERR(DF_INVAL);
}

int
umem_free(struct umem_tx *tx, uint64_t off)
{
    struct umem *um = tx->um;
    uint32_t page = (uint32_t)(off >> UMEM_PAGE_BITS), c = 0, idx = 0, bit_off;
    bool was_full, is_last, is_bare;
    const struct umem_cls *cls;
    struct umem_vol *v;
    uint8_t *mem;
    int rc;

    CAIRN_DASSERT(um->tx.active);
    rc = block_at(um, off, &c, &idx);
    if (rc != 0)
        return rc;
    cls = &um->cls[c];
    v = &um->vol[page];
    is_bare = c == UMEM_CLS_BARE;
    mem = um->pub.pages[page].mem; /* NULL only of a bare page */
    bit_off = UMEM_DF_SLAB_HDR_BYTES + idx / 8;
    was_full = v->free_nr == 0;
    /* The last block gives the page back, unless it is the only page of its class with room. */
    is_last = v->free_nr + 1u == cls->nr && !(um->partial[c] == page && v->next == UMEM_NONE) &&
        !(was_full && um->partial[c] == UMEM_NONE);

    if (!is_bare)
        rc = umem_tx_cover(um, ((uint64_t)page << UMEM_PAGE_BITS) + bit_off, 1, mem + bit_off, false);
    if (rc == 0 && (was_full || is_last || is_bare))
        rc = umem_tx_cover(um, umem_dir_off(page), 1, umem_dir_byte(um, page), false);
    /* A page that becomes free is changed, if only so that the checkpoint gives its memory and its slot back. */
    if (rc == 0 && is_bare && is_last && umem_page_see(um, page) != NULL)
        rc = umem_tx_cover(um, (uint64_t)page << UMEM_PAGE_BITS, 1, umem_page_peek(um, page), false);
    if (rc != 0)
        return rc;
    page_touch(um, page);
    v->freed_seq = um->tx.seq;
    if (is_bare) {
        *umem_dir_byte(um, page) &= (uint8_t) ~(1u << idx);
    } else {
        mem[bit_off] = (uint8_t)(mem[bit_off] & ~(1u << (idx % 8)));
    }
    um->used_bytes -= cls->bytes;
    v->free_nr++;
    v->hint = MIN(v->hint, (uint8_t)(idx / 64));
    if (was_full) {
        if (!is_bare)
            *umem_dir_byte(um, page) = (uint8_t)(c + 1);
        v->is_sparse = page_is_sparse(um, v, c);
        page_list(um, c, page);
    } else if (v->is_sparse && !page_is_sparse(um, v, c)) {
        partial_del(um, c, page);
        v->is_sparse = false;
        page_list(um, c, page);
    }
    if (is_last) {
        page_unaccount(um, page);
        *umem_dir_byte(um, page) = UMEM_DIR_FREE;
        page_account(um, page, UMEM_DIR_FREE);
    }
    return 0;
}

uint32_t
umem_block_bytes(struct umem *um, uint64_t off)
{
    uint32_t c = 0, idx = 0;

    if (CAIRN_UNLIKELY(!um->is_built))
        return UMEM_PAGE_BYTES; /* nobody knows */
    if (block_at(um, off, &c, &idx) != 0)
        return 0;
    return um->cls[c].bytes;
}

/* ---- whole arena ------------------------------------------------------------------------------------------------------ */

void
umem_stats_get(const struct umem *um, struct umem_stats *ret_stats)
{
    *ret_stats = (struct umem_stats){
        .arena_bytes = um->pub.page_nr << UMEM_PAGE_BITS,
        .used_bytes = um->used_bytes,
        .reserve_bytes = um->reserve_nr << UMEM_PAGE_BITS,
        .resident_pages_nr = um->resident_nr,
        .dirty_pages_nr = um->dirty_nr,
        .tx_nr = um->tx_nr,
        .redo_bytes = um->redo_total,
        .misses_nr = um->misses_nr,
        .limit_pages_nr = um->limit_nr == UINT64_MAX ? 0 : um->limit_nr,
        .loads_nr = um->loads_nr,
        .aheads_nr = um->aheads_nr,
        .evicted_nr = um->evicted_nr,
        .revived_nr = um->revived_nr,
        .over_nr = um->over_nr,
        .table_bytes = umem_table_bytes(um),
    };
}

bool
umem_is_short(const struct umem *um)
{
    return um->used_bytes >> UMEM_PAGE_BITS > MIN(um->limit_nr, um->pub.page_nr) / 2;
}

CAIRN_STATIC_ASSERT((int)UMEM_CLS_NR <= (int)UMEM_CLS_NR_MAX, "umem_cls_stats_get");

uint32_t
umem_cls_stats_get(const struct umem *um, struct umem_cls_stats ret_stats[UMEM_CLS_NR_MAX])
{
    uint8_t at[UMEM_CLS_NR]; /* by size, smallest first */

    memset(ret_stats, 0, UMEM_CLS_NR_MAX * sizeof(*ret_stats));
    for (uint32_t c = 0; c < UMEM_CLS_NR; c++) {
        at[c] = 0;
        for (uint32_t k = 0; k < UMEM_CLS_NR; k++) {
            at[c] += um->cls[k].bytes < um->cls[c].bytes;
        }
        ret_stats[at[c]].bytes = um->cls[c].bytes;
    }
    for (uint64_t page = 0; page < um->page_hi; page++) {
        const struct umem_vol *v = &um->vol[page];

        if (!code_is_cls(v->code))
            continue;
        ret_stats[at[v->code - 1]].pages_nr++;
        ret_stats[at[v->code - 1]].free_nr += v->free_nr;
        ret_stats[at[v->code - 1]].live_nr += um->cls[v->code - 1].nr - v->free_nr;
    }
    return UMEM_CLS_NR;
}

static int
page_check(struct umem *um, uint32_t page)
{
    const struct umem_vol *v = &um->vol[page];
    uint8_t dir = *umem_dir_byte(um, page);
    uint8_t code = umem_dir_code(dir);
    const char *what = NULL;
    uint8_t *mem;

    if (code != v->code) {
        what = "directory code and volatile code differ";
    } else if (code == UMEM_DIR_FREE && !bitmap_test(um->free_map, page)) {
        what = "free page not in the free map";
    } else if (code != UMEM_DIR_FREE && bitmap_test(um->free_map, page)) {
        what = "used page in the free map";
    } else if (code != UMEM_DIR_SYSTEM && code > UMEM_CLS_NR)
        what = "unknown directory code";
    if (what == NULL && code_is_cls(code)) {
        const struct umem_cls *cls = &um->cls[code - 1];

        while ((mem = umem_ptr(um, (uint64_t)page << UMEM_PAGE_BITS | 1)) == NULL) {
            int rc = umem_fault(um);

            if (rc != 0)
                return rc;
        }
        umem_fault_done(um);
        mem -= 1;
        if (v->code != code) /* changed while the page was loaded */
            return 0;
        if (code == UMEM_CODE_BARE) {
            if (umem_dir_bare_free_nr(*umem_dir_byte(um, page)) != v->free_nr)
                what = "wrong count of free blocks";
        } else if (!slab_is_valid(um, code, mem)) {
            what = "bad slab header";
        } else if (page_free_count(cls, mem) != v->free_nr) {
            what = "wrong count of free blocks";
        } else if (((*umem_dir_byte(um, page) & UMEM_DIR_FULL) != 0) != (v->free_nr == 0))
            what = "wrong full flag";
    }
    if (what == NULL)
        return 0;
    LOG_ERROR("arena page %u, directory %#x: %s", page, dir, what);
    return CAIRN_ERR(DF_INVAL);
}

static int
lists_check(struct umem *um)
{
    uint64_t wants[2 * UMEM_CLS_NR] = {0};

    for (uint64_t p = 0; p < um->pub.page_nr; p++) {
        if (code_is_cls(um->vol[p].code) && um->vol[p].free_nr > 0)
            wants[list_of(&um->vol[p], um->vol[p].code - 1u)]++;
    }
    for (uint32_t c = 0; c < 2 * UMEM_CLS_NR; c++) {
        uint32_t prev = UMEM_NONE;
        uint64_t nr = 0, want = wants[c];

        for (uint32_t p = um->partial[c]; p != UMEM_NONE && nr <= um->pub.page_nr; nr++) {
            if (um->vol[p].prev != prev || um->vol[p].code != c % UMEM_CLS_NR + 1 ||
                list_of(&um->vol[p], c % UMEM_CLS_NR) != c || um->vol[p].free_nr == 0) {
                LOG_ERROR("arena class %u: list broken at page %u", c, p);
                return CAIRN_ERR(DF_INVAL);
            }
            prev = p;
            p = um->vol[p].next;
        }
        if (nr != want || um->partial_tail[c] != prev) {
            LOG_ERROR("arena class %u: %lu pages in its list, %lu have room", c, (unsigned long)nr,
                (unsigned long)want);
            return CAIRN_ERR(DF_INVAL);
        }
    }
    return 0;
}

int
umem_check(struct umem *um)
{
    uint64_t used = 0, free_nr = 0;
    int rc = um->is_built ? 0 : CAIRN_ERR(DF_INVAL); /* which was logged */

    for (uint64_t page = 0; um->is_built && page < um->pub.page_nr; page++) {
        int rc2 = page_check(um, (uint32_t)page);

        rc = rc != 0 ? rc : rc2;
        if (rc2 != 0 && !(um->is_tolerant && rc2 != -DER_NOMEM))
            break;
    }
    if (rc == 0)
        rc = lists_check(um);
    if (rc != 0)
        return rc;
    for (uint64_t page = 0; page < um->pub.page_nr; page++) {
        const struct umem_vol *v = &um->vol[page];

        free_nr += v->code == UMEM_DIR_FREE;
        if (code_is_cls(v->code))
            used += (uint64_t)(um->cls[v->code - 1].nr - v->free_nr) * um->cls[v->code - 1].bytes;
    }
    if (used != um->used_bytes || free_nr != um->free_nr) {
        LOG_ERROR("arena: counts are wrong");
        return CAIRN_ERR(DF_INVAL);
    }
    return 0;
}
