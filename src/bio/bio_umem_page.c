/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The arena's pages in memory: frames, which pages are resident, faults, eviction under a limit.
 *
 *          load, new                 in its turn                          in its turn
 *   (slot) ---------> IN (used) ---------------------> COLD (hidden) ----------------------> (slot)
 *      |                                               |  ^      ^ |
 *      |  came back soon                          used |  | turn | | dirty: WAIT (hidden) until a checkpoint wrote it
 *      +--------------------------------------------> HOT (used)
 *
 * Nothing is counted where pages are used: umem_ptr() reads a pointer. A page whose turn comes is hidden (its pointer is NULL, its frame stays), and
 * whoever uses it comes by the slow path, which shows it again and notes that it is in use. So the hot set runs at full speed, and pages are
 * hidden only while memory is short. What comes new goes through IN, a quarter of the limit, and makes its way to HOT only if it is used again when it has
 * left it, or is loaded again soon after it was dropped: a listing, a check or aggregation that walks through all pages once does not push HOT out.
 *
 *   UP-1  A page is dropped only when its slot holds all of it, or when it is free (nothing of it is wanted).
 *   UP-2  Nothing is hidden or dropped but in calls that end the life of pointers (umem_fault(), umem_tx_admit(), checkpoints): never
 *         between two steps of an operation (UM-4). A transaction that needs new pages goes beyond the limit; the next admission makes up for it.
 *   UP-3  No transaction is admitted while three quarters of the limit are dirty or being written: whoever faults finds clean pages, so
 *         a fault never waits for a checkpoint, and reading goes on when the metadata role is full.
 *   UP-4  Progress: the pages that the favoured ULT faults on stay (HELD) until its operation is done. Each of its retries adds one, so it ends. Who
 *         does not say that it is done loses the favour when others have faulted many times since.
 *
 *   UP-5  A fault may read other pages along (umem_ahead()): never beyond the limit, and what they answer is nobody's concern until they are missed themselves.
 *
 * The limit is exceeded by at most: the new pages of one transaction, what the favoured operation holds beyond its share, one page for each fault under way, and the
 * pages of a checkpoint's batch. Tested by bio_umem_test.c, bio_mem_test.c and, with tiny limits, all suites of vos and model.
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

enum {
    UMEM_LIMIT_PAGES_MIN = 12, /* besides root and directory */
    UMEM_FAVOUR_IDLE_NR = 256, /* faults of others until a favour is taken to be over */
};

/* Root and directory: always resident, in no queue. */
static inline bool
page_is_sys(const struct umem *um, uint64_t page)
{
    return page <= um->dir_page_nr;
}

/* ---- frames ----------------------------------------------------------------------------------------------------------- */

static bool
frames_grow(struct umem *um)
{
    uint8_t *chunk = NULL;

    if (um->chunk_nr == um->chunk_cap) {
        uint32_t cap = MAX(um->chunk_cap * 2, 16u);
        uint8_t **chunks = bio_mem_resize(um->chunks, cap * sizeof(*chunks));
        uint32_t *frames;

        if (chunks == NULL)
            return false;
        um->chunks = chunks;
        frames = bio_mem_resize(um->frames, (size_t)cap * UMEM_FRAME_CHUNK_NR * sizeof(*frames));
        if (frames == NULL)
            return false;
        um->frames = frames;
        um->chunk_cap = cap;
        um->frame_cap = cap * UMEM_FRAME_CHUNK_NR;
    }
    chunk = bio_mem_get_aligned(PLAT_MEM_LARGE_BYTES, PLAT_MEM_LARGE_BYTES);
    if (chunk == NULL)
        return false;
    if (um->hooks->touch != NULL)
        um->hooks->touch(um->hooks_arg, chunk, PLAT_MEM_LARGE_BYTES);
    um->chunks[um->chunk_nr++] = chunk;
    for (uint32_t i = UMEM_FRAME_CHUNK_NR; i > 0; i--) {
        um->frames[um->frame_nr++] =
            um->chunk_nr * UMEM_FRAME_CHUNK_NR - 1 - (UMEM_FRAME_CHUNK_NR - i);
    }
    return true;
}

uint32_t
umem_frame_get(struct umem *um)
{
    if (um->frame_nr == 0 && !frames_grow(um))
        return UMEM_NONE;
    return um->frames[--um->frame_nr];
}

void
umem_frame_put(struct umem *um, uint32_t frame)
{
    if (frame == UMEM_NONE)
        return;
    CAIRN_ASSERT(um->frame_nr < um->frame_cap);
    um->frames[um->frame_nr++] = frame;
}

/* ---- queues ----------------------------------------------------------------------------------------------------------- */

static void
queue_del(struct umem *um, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];
    struct umem_queue *q = &um->queues[v->queue];

    if (v->queue == UMEM_Q_NONE)
        return;
    if (v->q_prev == UMEM_NONE) {
        q->first = v->q_next;
    } else {
        um->vol[v->q_prev].q_next = v->q_next;
    }
    if (v->q_next == UMEM_NONE) {
        q->last = v->q_prev;
    } else {
        um->vol[v->q_next].q_prev = v->q_prev;
    }
    q->nr--;
    v->queue = UMEM_Q_NONE;
}

/* As the newest of its queue, which is the last to have its turn. */
static void
queue_add(struct umem *um, enum umem_queue_id id, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];
    struct umem_queue *q = &um->queues[id];

    v->q_next = UMEM_NONE;
    v->q_prev = q->last;
    if (q->last == UMEM_NONE) {
        q->first = page;
    } else {
        um->vol[q->last].q_next = page;
    }
    q->last = page;
    q->nr++;
    v->queue = (uint8_t)id;
}

static void
queue_add_oldest(struct umem *um, enum umem_queue_id id, uint32_t page)
{
    struct umem_vol *v = &um->vol[page];
    struct umem_queue *q = &um->queues[id];

    v->q_prev = UMEM_NONE;
    v->q_next = q->first;
    if (q->first == UMEM_NONE) {
        q->last = page;
    } else {
        um->vol[q->first].q_prev = page;
    }
    q->first = page;
    q->nr++;
    v->queue = (uint8_t)id;
}

/* Take it out of its queue into that of used pages that it deserves. */
static void
page_show(struct umem *um, uint32_t page, enum umem_queue_id id)
{
    queue_del(um, page);
    um->pub.pages[page].flags &= ~(uint32_t)UMEM_PF_SOFT;
    um->pub.pages[page].mem = umem_page_peek(um, page);
    queue_add(um, id, page);
}

static void
page_hide(struct umem *um, uint32_t page, enum umem_queue_id id)
{
    queue_del(um, page);
    um->pub.pages[page].flags |= UMEM_PF_SOFT;
    um->pub.pages[page].mem = NULL;
    queue_add(um, id, page);
}

/* ---- pages ------------------------------------------------------------------------------------------------------------ */

void
umem_page_put(struct umem *um, uint64_t page, uint32_t frame)
{
    struct umem_page *pg = &um->pub.pages[page];
    struct umem_vol *v = &um->vol[page];
    bool often =
        (pg->flags & UMEM_PF_GHOST) != 0 && (uint32_t)um->evicted_nr - v->evict_seq <= um->limit_nr;

    CAIRN_ASSERT((pg->flags & UMEM_PF_RES) == 0);
    pg->flags =
        (pg->flags & ~(uint32_t)(UMEM_PF_GHOST | UMEM_PF_OFTEN | UMEM_PF_SOFT | UMEM_PF_BAD)) |
        UMEM_PF_RES | (often ? UMEM_PF_OFTEN : 0);
    v->frame = frame;
    pg->mem = umem_page_peek(um, page);
    um->resident_nr++;
    if (um->resident_nr > um->limit_nr)
        um->over_nr++;
    if (!page_is_sys(um, page))
        queue_add(um, often ? UMEM_Q_HOT : UMEM_Q_IN, (uint32_t)page);
}

int
umem_page_mem(struct umem *um, uint64_t page)
{
    uint32_t frame = umem_frame_get(um);

    if (frame == UMEM_NONE)
        return CAIRN_ERR(NOMEM);
    memset(umem_frame_mem(um, frame), 0, UMEM_PAGE_BYTES);
    um->pub.pages[page].flags &= ~(uint32_t)UMEM_PF_GHOST; /* not what was evicted */
    umem_page_put(um, page, frame);
    return 0;
}

void
umem_page_drop(struct umem *um, uint64_t page)
{
    struct umem_page *pg = &um->pub.pages[page];

    if ((pg->flags & UMEM_PF_RES) == 0)
        return;
    queue_del(um, (uint32_t)page);
    umem_frame_put(um, um->vol[page].frame);
    pg->mem = NULL;
    pg->flags &= ~(uint32_t)(UMEM_PF_RES | UMEM_PF_SOFT);
    um->resident_nr--;
}

void
umem_mark_dirty(struct umem *um, uint64_t page, uint64_t lsn)
{
    struct umem_page *pg = &um->pub.pages[page];

    pg->lsn = lsn;
    if ((pg->flags & UMEM_PF_DIRTY) != 0)
        return;
    pg->flags |= UMEM_PF_DIRTY;
    bitmap_set(um->dirty_map, page);
    um->dirty_nr++;
    if (page >= um->page_hi)
        um->page_hi = page + 1;
}

/* ---- limit ------------------------------------------------------------------------------------------------------------ */

uint64_t
umem_table_bytes(const struct umem *um)
{
    /* Tables are as large as the largest arena; memory is used for what was touched. */
    return um->page_hi * (sizeof(*um->vol) + sizeof(*um->pub.pages)) + um->pub.page_nr / 4 +
        (uint64_t)um->chunk_cap * (UMEM_FRAME_CHUNK_NR * sizeof(*um->frames) + sizeof(*um->chunks));
}

void
umem_limit_set(struct umem *um, uint64_t bytes)
{
    uint64_t sys = um->dir_page_nr + UINT64_C(1), tables = umem_table_bytes(um), nr;

    um->limit_bytes = bytes;
    if (bytes == 0) {
        um->limit_nr = um->dirty_max = um->dirty_start = UINT64_MAX;
        return;
    }
    nr = (bytes - MIN(bytes, tables)) >> UMEM_PAGE_BITS;
    um->limit_nr = MAX(nr, sys + UMEM_LIMIT_PAGES_MIN);
    um->dirty_max = sys + (um->limit_nr - sys) * 3 / 4;
    um->dirty_start = sys + (um->limit_nr - sys) / 2;
}

/* UP-1. */
static bool
page_is_spare(const struct umem *um, uint32_t page)
{
    uint32_t flags = um->pub.pages[page].flags;

    if ((flags & UMEM_PF_IO) != 0)
        return false;
    return (um->is_built && um->vol[page].code == UMEM_DIR_FREE) ||
        (flags & (UMEM_PF_DIRTY | UMEM_PF_SLOT)) == UMEM_PF_SLOT;
}

static void
page_evict(struct umem *um, uint32_t page)
{
    struct umem_page *pg = &um->pub.pages[page];

    umem_page_drop(um, page);
    um->evicted_nr++;
    um->vol[page].evict_seq = (uint32_t)um->evicted_nr;
    pg->flags |= UMEM_PF_GHOST;
    umem_page_room(um, page, false);
}

/* Hide pages until a quarter of the limit is hidden, those first that came last and were not used since. */
static void
cold_fill(struct umem *um)
{
    uint64_t quarter = MAX(um->limit_nr / 4, UINT64_C(1));

    while (um->queues[UMEM_Q_COLD].nr < quarter) {
        const struct umem_queue *from = &um->queues[UMEM_Q_IN];

        if (from->nr <= quarter && um->queues[UMEM_Q_HOT].nr > 0)
            from = &um->queues[UMEM_Q_HOT];
        if (from->nr == 0)
            return;
        page_hide(um, from->first, page_is_spare(um, from->first) ? UMEM_Q_COLD : UMEM_Q_WAIT);
    }
}

static bool
evict_one(struct umem *um)
{
    for (;;) {
        uint32_t page;

        cold_fill(um);
        page = um->queues[UMEM_Q_COLD].first;
        if (page == UMEM_NONE)
            return false;
        if (page_is_spare(um, page)) {
            page_evict(um, page);
            return true;
        }
        page_hide(um, page, UMEM_Q_WAIT);
    }
}

void
umem_room_make(struct umem *um, uint64_t nr)
{
    CAIRN_ASSERT(!um->tx.active);
    while (um->resident_nr + nr > um->limit_nr && evict_one(um)) {
    }
}

void
umem_page_cleaned(struct umem *um, uint64_t page)
{
    if (um->vol[page].queue != UMEM_Q_WAIT || !page_is_spare(um, (uint32_t)page))
        return;
    queue_del(um, (uint32_t)page);
    queue_add_oldest(um, UMEM_Q_COLD, (uint32_t)page); /* it has waited long enough */
}

uint32_t
umem_evict(struct umem *um, uint32_t nr, uint64_t rnd)
{
    uint64_t page;
    uint32_t done = 0;

    CAIRN_ASSERT(!um->tx.active);
    /* Only the used part of the arena is interesting. */
    page = rnd % (um->page_hi > 0 ? um->page_hi : um->pub.page_nr);
    for (uint64_t i = 0; i < um->page_hi && done < nr; i++, page++) {
        const struct umem_page *pg;

        if (page >= um->page_hi)
            page = 0;
        pg = &um->pub.pages[page];
        if ((pg->flags & UMEM_PF_RES) == 0 || (pg->flags & UMEM_PF_SLOT) == 0 ||
            (pg->flags & (UMEM_PF_DIRTY | UMEM_PF_IO)) != 0 || page_is_sys(um, page))
            continue;
        page_evict(um, (uint32_t)page);
        done++;
    }
    return done;
}

/* ---- misses ----------------------------------------------------------------------------------------------------------- */

void *
umem_page_miss(struct umem *um, uint32_t page)
{
    if ((um->pub.pages[page].flags & UMEM_PF_RES) != 0) {
        CAIRN_PROBE("bio.umem.page_revived");
        um->revived_nr++;
        page_show(um, page, UMEM_Q_HOT);
        return um->pub.pages[page].mem;
    }
    um->misses_nr++;
    um->ahead_nr = 0;
    um->pub.miss_page = page;
    um->missed_bad = false;
    return NULL;
}

void *
umem_ptr_miss(struct umem *um, uint64_t off)
{
    uint64_t page = off >> UMEM_PAGE_BITS;

    if (CAIRN_LIKELY(off != 0 && page < um->pub.page_nr)) {
        uint8_t *mem = umem_page_miss(um, (uint32_t)page);

        return mem == NULL ? NULL : mem + (off & (UMEM_PAGE_BYTES - 1));
    }
    um->misses_nr++;
    um->ahead_nr = 0;
    um->pub.miss_page = page;
    um->missed_bad = true;
    return NULL;
}

static void
favour_end(struct umem *um)
{
    struct umem_queue *held = &um->queues[UMEM_Q_HELD];

    um->favoured = NULL;
    while (held->nr > 0) {
        uint32_t page = held->first;
        bool often = (um->pub.pages[page].flags & UMEM_PF_OFTEN) != 0;

        queue_del(um, page);
        queue_add(um, often ? UMEM_Q_HOT : UMEM_Q_IN, page);
    }
}

/* UP-4. The caller is about to wait for the page: with the favour, when nobody else has it. */
static void
favour_ask(struct umem *um, uint64_t page)
{
    const struct ult *self = ult_self();

    if (self == NULL)
        return;
    if (self != um->favoured) {
        if (um->favoured != NULL && um->favoured_idle++ < UMEM_FAVOUR_IDLE_NR)
            return;
        favour_end(um);
        um->favoured = self;
    }
    um->favoured_idle = 0;
    um->favoured_page = page;
}

/* A page that came: it stays when the favoured ULT waits for it, whoever loaded it. Root and directory are in no queue, and always there. */
static void
page_hold(struct umem *um, uint64_t page)
{
    if (um->favoured != NULL && um->favoured_page == page && !page_is_sys(um, page))
        page_show(um, (uint32_t)page, UMEM_Q_HELD);
}

void
umem_fault_done(struct umem *um)
{
    if (um->favoured != NULL && um->favoured == ult_self())
        favour_end(um);
}

void
umem_ahead(struct umem *um, uint64_t off)
{
    uint64_t page = off >> UMEM_PAGE_BITS;

    if (page >= um->pub.page_nr || um->ahead_nr == UMEM_AHEAD_NR || page == um->pub.miss_page ||
        (um->pub.pages[page].flags & (UMEM_PF_LOAD | UMEM_PF_RES | UMEM_PF_SLOT)) != UMEM_PF_SLOT)
        return;
    for (uint32_t i = 0; i < um->ahead_nr; i++) {
        if (um->ahead[i] == page)
            return;
    }
    um->ahead[um->ahead_nr++] = (uint32_t)page;
}

/* A page that was to be read, or could not be. */
static int
load_end(struct umem *um, uint32_t page, uint32_t frame, int rc)
{
    struct umem_page *pg = &um->pub.pages[page];

    pg->flags &= ~(uint32_t)UMEM_PF_LOAD;
    if ((pg->flags & UMEM_PF_RES) != 0)
        rc = -DER_AGAIN; /* it was free, and has been taken anew meanwhile */
    if (rc == 0 && !umem_image_fits(um, page, umem_frame_mem(um, frame))) {
        LOG_ERROR("page %lu of the arena is not what is known of it", (unsigned long)page);
        rc = CAIRN_ERR(DF_INVAL);
    }
    if (rc == 0) {
        umem_page_put(um, page, frame);
        umem_page_room(um, page, true);
        um->loads_nr++;
        page_hold(um, page);
    } else {
        umem_frame_put(um, frame);
    }
    return rc;
}

/* How many of the pages that are wanted besides fit below the limit. They come as new ones, a small part of all, so that they are there when their turn comes. */
static uint32_t
ahead_room(struct umem *um)
{
    uint64_t nr = MIN((uint64_t)um->ahead_nr, um->limit_nr / 16);

    umem_room_make(um, 1 + um->ahead_io_nr + nr);
    if (um->resident_nr + um->ahead_io_nr >= um->limit_nr)
        return 0;
    return (uint32_t)MIN(nr, um->limit_nr - um->resident_nr - um->ahead_io_nr - 1);
}

/* Load the page from its slot, and those that are wanted besides. */
static int
page_load(struct umem *um, uint64_t page)
{
    uint32_t pages[1 + UMEM_AHEAD_NR], frames[1 + UMEM_AHEAD_NR], nr = 0, more = ahead_room(um);
    uint8_t *mems[1 + UMEM_AHEAD_NR];
    int rcs[1 + UMEM_AHEAD_NR];

    for (uint32_t i = 0; i <= more; i++) {
        uint32_t p = i == 0 ? (uint32_t)page : um->ahead[i - 1];

        if ((um->pub.pages[p].flags & (UMEM_PF_LOAD | UMEM_PF_RES | UMEM_PF_SLOT)) != UMEM_PF_SLOT)
            continue;
        frames[nr] = umem_frame_get(um);
        if (frames[nr] == UMEM_NONE)
            break;
        um->pub.pages[p].flags |= UMEM_PF_LOAD;
        mems[nr] = umem_frame_mem(um, frames[nr]);
        pages[nr++] = p;
    }
    um->ahead_nr = 0;
    if (nr == 0)
        return CAIRN_ERR(NOMEM);
    um->ahead_io_nr += nr - 1;
    um->aheads_nr += nr - 1;
    um->hooks->load(um->hooks_arg, pages, mems, rcs, nr);
    um->ahead_io_nr -= nr - 1;
    for (uint32_t i = 0; i < nr; i++) {
        rcs[i] = load_end(um, pages[i], frames[i], rcs[i]);
    }
    ult_cond_broadcast(&um->io_cond);
    return rcs[0] == -DER_AGAIN ? 0 : rcs[0]; /* whoever faulted looks again */
}

int
umem_miss_rc(const struct umem *um)
{
    const struct umem_page *pg = &um->pub.pages[um->missed_bad ? 0 : um->pub.miss_page];

    if (um->missed_bad)
        return -DER_DF_INVAL;
    if ((pg->flags & (UMEM_PF_LOAD | UMEM_PF_RES)) != 0)
        return 0;
    return (pg->flags & UMEM_PF_SLOT) == 0 ? -DER_DF_INVAL
        : (pg->flags & UMEM_PF_BAD) != 0   ? -DER_CSUM
                                           : 0;
}

int
umem_fault(struct umem *um)
{
    uint64_t page = um->pub.miss_page;
    struct umem_page *pg;

    if (um->missed_bad)
        return CAIRN_ERR(DF_INVAL);
    pg = &um->pub.pages[page];
    favour_ask(um, page);
    /* Without a hold, what others load may be gone before the caller is back, and be loaded again, as often as he looks. */
    while ((pg->flags & (UMEM_PF_LOAD | UMEM_PF_RES)) == UMEM_PF_LOAD) {
        ult_cond_wait(&um->io_cond, NULL);
    }
    if ((pg->flags & UMEM_PF_RES) != 0) {
        page_hold(um, page);
        return 0;
    }
    if ((pg->flags & UMEM_PF_SLOT) == 0)
        return CAIRN_ERR(DF_INVAL); /* a pointer into a page that was never used */
    return page_load(um, page);
}

int
umem_page_get(struct umem *um, uint64_t page)
{
    int rc = 0;

    while (rc == 0 && umem_page_see(um, page) == NULL) {
        if ((um->pub.pages[page].flags & UMEM_PF_SLOT) != 0) {
            umem_page_miss(um, (uint32_t)page);
            rc = umem_fault(um);
        } else {
            umem_room_make(um, 1);
            rc = umem_page_mem(um, page);
        }
    }
    umem_fault_done(um);
    return rc;
}
