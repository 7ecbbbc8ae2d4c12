/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Inside of the arena, shared by its allocator (bio_umem.c), its transactions (bio_umem_tx.c) and the checkpointer.
 *
 * What is durable about the allocator: one directory byte per page (class and "full"), and a bitmap at the head of each slab page. Bare pages, of four
 * blocks of 4096 bytes, have no head: their bitmap is in the directory's byte. The
 * rest (lists of pages with room, counts, the map of free pages) is volatile and rebuilt from these: at open for all pages, after
 * an abort for the pages that the transaction touched.
 *
 *   UP-6  Nothing of the allocator is read from the image of a bare page, which holds what users wrote. To free a block of one, it need not be in memory.
 */
#ifndef CAIRN_BIO_UMEM_PRIV_H
#define CAIRN_BIO_UMEM_PRIV_H

#include "base/list.h"
#include "bio/bio_format.h"
#include "bio/umem.h"

enum {
    UMEM_CLS_BARE = UMEM_SLAB_CLS_NR, /* the last class: blocks of bare pages */
    UMEM_CLS_NR,
    UMEM_CODE_BARE = UMEM_CLS_BARE + 1, /* of a bare page in umem_vol, which the directory never says */
    UMEM_CODE_BAD = 0x7e, /* of what is no directory byte */
    UMEM_TX_RANGE_NR_MAX = UMEM_TX_BYTES_MAX / 9 + 1,
    UMEM_TX_CACHE_NR = 64,
    UMEM_FRAME_CHUNK_NR =
        PLAT_MEM_LARGE_BYTES / UMEM_PAGE_BYTES, /* pages of memory taken from the system at once */
    UMEM_RESERVE_PAGES_MIN = 32,
    UMEM_SPARSE_PART = 16, /* a page with less than that part of its blocks free waits for more */
    UMEM_PAGE_NR_MIN = 256,
};
#define UMEM_NONE UINT32_MAX

/* Flags of struct umem_page. */
enum umem_page_flag {
    UMEM_PF_DIRTY = 1 << 0, /* changed since its last image was taken */
    UMEM_PF_SLOT = 1 << 1, /* `slot` holds the newest image that was written */
    UMEM_PF_IO = 1 << 2, /* an image is being written: the page stays */
    UMEM_PF_RES = 1 << 3, /* resident: it has a frame */
    UMEM_PF_SOFT =
        1 << 4, /* resident, but hidden: `mem` is NULL, so that the next use is noticed (bio_umem_page.c) */
    UMEM_PF_GHOST = 1 << 5, /* `evict_seq` tells when it was evicted */
    UMEM_PF_OFTEN = 1 << 6, /* came back soon after it was evicted */
    UMEM_PF_LOAD = 1 << 7, /* somebody reads it */
    UMEM_PF_BAD = 1 << 8, /* its image is damaged, and that was logged */
};

/* Where a resident page waits for its eviction; see bio_umem_page.c. */
enum umem_queue_id {
    UMEM_Q_NONE,
    UMEM_Q_IN,
    UMEM_Q_HOT,
    UMEM_Q_COLD,
    UMEM_Q_WAIT,
    UMEM_Q_HELD,
    UMEM_Q_NR
};

/* Oldest first; linked by page number through umem_vol. */
struct umem_queue {
    uint32_t first, last;
    uint64_t nr;
};

/* The volatile twin of a page, one for each page of the arena. */
struct umem_vol {
    uint32_t next,
        prev; /* list of the class's pages with room; valid while code is a class and free_nr > 0 */
    uint16_t free_nr;
    uint16_t img_free_nr; /* the same of the image in the slot */
    uint8_t code; /* umem_dir_code() of the directory byte, as accounted */
    uint8_t hint; /* bitmap word where the next search begins */
    uint8_t queue; /* enum umem_queue_id */
    uint8_t is_sparse; /* it is in the list of those with little room */
    uint32_t crc; /* of the image in the slot */
    union {
        uint32_t frame; /* while it is resident */
        uint32_t evict_seq; /* umem.evicted_nr when it was evicted: UMEM_PF_GHOST */
    };
    uint64_t lsn; /* of the image in the slot */
    uint32_t touch_seq,
        freed_seq; /* transaction that last touched its allocation state, freed a block in it */
    uint32_t q_next, q_prev;
};
CAIRN_STATIC_ASSERT(sizeof(struct umem_vol) + sizeof(struct umem_page) <= 72, "of each page");

struct umem_cls {
    uint32_t bytes, nr, start, words_nr;
    uint32_t recip; /* x / bytes == x * recip >> 32 for x below a page */
    uint64_t tail; /* bits of the last word beyond the last block */
};

/* undo_off UMEM_NONE: a fresh block, nothing to restore. */
struct umem_range {
    uint64_t off;
    uint32_t len;
    uint32_t undo_off;
};

struct umem_txs {
    bool active;
    bool hooked; /* someone wants tx_end() */
    uint32_t flags;
    uint64_t shard;
    uint32_t seq; /* never 0 */
    uint32_t range_nr, touch_nr;
    uint32_t redo_bytes, undo_used;
    struct umem_range *ranges;
    uint8_t *undo;
    uint32_t *touched;
    uint32_t cache[UMEM_TX_CACHE_NR]; /* range index by hash of its start; stale entries are recognised */
};

/* What the arena needs from the log, the disk and the extent space. */
struct umem_hooks {
    bool (*log_room)(void *arg); /* a record of the largest size fits now */
    uint8_t *(*log_begin)(
        void *arg, uint32_t bytes, uint64_t *ret_lsn); /* never fails after log_room() */
    void (*log_end)(void *arg, uint64_t lsn);
    uint64_t (*log_last)(void *arg);
    CAIRN_YIELDS int (*admit)(void *arg);
    /* Read and verify, all at the same time; each has its own rc. */
    CAIRN_YIELDS void (*load)(
        void *arg, const uint32_t *pages, uint8_t *const *mems, int *rcs, uint32_t nr);
    void (*tx_end)(void *arg, bool committed, uint64_t lsn);
    void (*touch)(void *arg, void *mem,
        size_t len); /* NULL: none. New memory, page-aligned: will be written soon */
};

struct umem {
    struct umem_pub pub; /* first: umem_ptr() */
    struct umem_vol *vol;
    const struct umem_hooks *hooks;
    void *hooks_arg;
    uint32_t dir_page_nr;

    struct umem_cls cls[UMEM_CLS_NR];
    /* Pages with room, by class; behind them, by class, those with too little to be taken from (page_is_sparse()). */
    uint32_t partial[2 * UMEM_CLS_NR], partial_tail[2 * UMEM_CLS_NR];
    uint8_t cls_of[UMEM_ALLOC_BYTES_MAX / 8 + 1];
    bool no_bare; /* umem_bare_forbid() */

    uint64_t *free_map; /* bit set: page is free */
    uint64_t free_hint, free_nr, reserve_nr;
    uint64_t page_hi; /* pages from here on were never used */

    uint64_t *dirty_map;
    uint64_t dirty_nr;

    uint8_t **chunks; /* of frames */
    uint32_t chunk_nr, chunk_cap;
    uint32_t *frames; /* free ones; number n is in chunk n / UMEM_FRAME_CHUNK_NR */
    uint32_t frame_nr, frame_cap;

    /* Bounds in pages, of all that are resident; UINT64_MAX: none. */
    uint64_t limit_bytes; /* as asked for */
    uint64_t limit_nr;
    uint64_t dirty_max; /* no transaction begins with that many that can't be evicted */
    uint64_t dirty_start; /* a checkpoint begins */
    struct umem_queue queues[UMEM_Q_NR];
    const struct ult *favoured; /* the pages it faults on stay until its operation is done */
    uint64_t favoured_page; /* the newest of them, which may not have come yet */
    uint32_t favoured_idle;

    struct umem_txs tx;
    struct ult_cond io_cond; /* a page lost UMEM_PF_LOAD */
    bool missed_bad; /* the last miss was an offset outside the arena */
    uint32_t ahead[UMEM_AHEAD_NR], ahead_nr; /* pages wanted besides the one that was missed */
    uint64_t ahead_io_nr; /* such, being read */
    uint64_t aheads_nr;
    bool is_tolerant; /* a check goes on after damage */
    bool is_built; /* the volatile state is there; false when open only in a tolerant look */

    uint64_t io_nr; /* pages being written */
    uint64_t used_bytes, resident_nr, tx_nr, redo_total, misses_nr;
    uint64_t loads_nr, evicted_nr, revived_nr, over_nr;
};

/* bio_io.c: memory, given back by free(): I/O-aligned and not cleared; cleared; moved. NULL: none. */
void *bio_mem_get(size_t bytes);
void *bio_mem_get_aligned(size_t bytes, size_t align);
void *bio_mem_zeroed(size_t nr, size_t bytes);
void *bio_mem_resize(void *mem, size_t bytes);

/* Errors: NOMEM. `arena_bytes` is a multiple of the page size. */
CAIRN_MUST_CHECK int umem_create(
    uint64_t arena_bytes, const struct umem_hooks *hooks, void *hooks_arg, struct umem **ret_um);
void umem_destroy(struct umem *um);
/* An empty arena: root and directory, all pages dirty. Errors: NOMEM. */
CAIRN_MUST_CHECK int umem_init_root(struct umem *um, uint64_t ext_blk_nr);

/* ---- bio_umem_page.c ---- */

/* Give a page that is not resident zeroed memory. Errors: NOMEM. */
CAIRN_MUST_CHECK int umem_page_mem(struct umem *um, uint64_t page);
void umem_page_drop(struct umem *um, uint64_t page);
/* Give a page that is not resident the frame, which holds its image. */
void umem_page_put(struct umem *um, uint64_t page, uint32_t frame);
/* Make a page resident: from its slot, or zeroed. Errors: as umem_fault(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int umem_page_get(struct umem *um, uint64_t page);
/* The page has an image in a slot that holds all of it, or has not (redirtied): it may be evicted. */
void umem_page_cleaned(struct umem *um, uint64_t page);
/* Memory of one page, 4096-aligned, not cleared; UMEM_NONE: none left. */
uint32_t umem_frame_get(struct umem *um);
void umem_frame_put(struct umem *um, uint32_t frame);
/* The slow path of what looks for a page: its memory if it is only hidden, else NULL: a miss for umem_fault(). */
void *umem_page_miss(struct umem *um, uint32_t page);
/* Evict until there is room for `nr` pages, as far as that can be. No pointer into the arena survives. */
void umem_room_make(struct umem *um, uint64_t nr);
/* Not more than `bytes` of memory for pages and tables; 0: no limit. */
void umem_limit_set(struct umem *um, uint64_t bytes);
uint64_t umem_table_bytes(const struct umem *um);

static inline uint8_t *
umem_frame_mem(const struct umem *um, uint32_t frame)
{
    return um->chunks[frame / UMEM_FRAME_CHUNK_NR] +
        (size_t)(frame % UMEM_FRAME_CHUNK_NR) * UMEM_PAGE_BYTES;
}

/* The memory of a resident page, hidden or not. */
static inline uint8_t *
umem_page_peek(const struct umem *um, uint64_t page)
{
    return umem_frame_mem(um, um->vol[page].frame);
}

/* The same as a use; NULL: not resident, which is no miss. */
static inline uint8_t *
umem_page_see(struct umem *um, uint64_t page)
{
    return (um->pub.pages[page].flags & UMEM_PF_RES) == 0 ? NULL
        : um->pub.pages[page].mem != NULL                 ? um->pub.pages[page].mem
                                                          : umem_page_miss(um, (uint32_t)page);
}

/* May a transaction begin? So many pages always can be evicted that whoever faults finds room. */
static inline bool
umem_has_room(const struct umem *um)
{
    return um->dirty_nr + um->io_nr < um->dirty_max;
}

/* ---- bio_umem.c ---- */

/* A page with room for blocks came, or went: resident ones are asked first. */
void umem_page_room(struct umem *um, uint32_t page, bool resident);
/* The class and the number in its page of the block that begins at `off`, live or not. Errors: DF_INVAL no block begins there. */
CAIRN_MUST_CHECK int
umem_block_place(const struct umem *um, uint64_t off, uint32_t *ret_c, uint32_t *ret_idx);
/* Does an image that was loaded say what is known of the page? */
bool umem_image_fits(struct umem *um, uint32_t page, const uint8_t *mem);
/* Free blocks in the image of a page, by its header; 0 if it has none. */
uint32_t umem_image_free_nr(const struct umem *um, uint32_t page, const uint8_t *mem);
/* A store that was made before there were bare pages: it gets none. */
void umem_bare_forbid(struct umem *um);
/* Is a block of a page in use? `mem`: of the page, when it has a header. */
bool umem_block_is_live(struct umem *um, uint64_t page, uint32_t idx, const uint8_t *mem);
void umem_mark_dirty(struct umem *um, uint64_t page, uint64_t lsn);

/* Replay: set bytes. Errors: DF_INVAL outside of the arena or across a page; as umem_page_get(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
umem_replay(struct umem *um, uint64_t lsn, uint64_t off, uint32_t len, const uint8_t *bytes);
/*
 * After replay, root and directory resident: build the volatile state. Tolerant: a page that makes no sense is logged and counts as free;
 * without all of the directory nothing is built. Errors: DF_INVAL.
 */
CAIRN_MUST_CHECK int umem_rebuild(struct umem *um, bool is_tolerant);

/* Record [off, off + len), which lies in a resident page at mem. Nothing changed on error. Errors: OVERFLOW. */
CAIRN_MUST_CHECK int
umem_tx_cover(struct umem *um, uint64_t off, uint32_t len, const uint8_t *mem, bool fresh);
/* Recompute the volatile state of a page from its durable state. */
void umem_page_resync(struct umem *um, uint32_t page);

static inline uint8_t *
umem_dir_byte(struct umem *um, uint64_t page)
{
    return um->pub.pages[1 + (page >> UMEM_PAGE_BITS)].mem + (page & (UMEM_PAGE_BYTES - 1));
}

/* What a directory byte says of its page: UMEM_DIR_FREE, class + 1, UMEM_DIR_SYSTEM; others make no sense. */
static inline uint8_t
umem_dir_code(uint8_t dir)
{
    if ((dir & ~UMEM_DF_BARE_BITS) == UMEM_DIR_BARE)
        return UMEM_CODE_BARE;
    dir = (uint8_t)(dir & ~UMEM_DIR_FULL);
    return dir == UMEM_CODE_BARE ? (uint8_t)UMEM_CODE_BAD : dir;
}

static inline uint32_t
umem_dir_bare_free_nr(uint8_t dir)
{
    return UMEM_DF_BARE_NR - (uint32_t)__builtin_popcount(dir & UMEM_DF_BARE_BITS);
}

static inline uint64_t
umem_dir_off(uint64_t page)
{
    return UMEM_PAGE_BYTES + page;
}

static inline struct umem_root_df *
umem_root_df(struct umem *um)
{
    return (struct umem_root_df *)(void *)um->pub.pages[0].mem;
}

#endif /* CAIRN_BIO_UMEM_PRIV_H */
