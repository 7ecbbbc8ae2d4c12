/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * umem: the metadata arena of a target. Memory addressed by 64-bit offset, changed only inside transactions, each of which becomes
 * one redo record of the target's WAL; dirty pages are checkpointed copy-on-write in the background (bio_ckpt.c).
 *
 *   UM-1  A transaction never yields between begin and commit/abort (verified by ult_noyield). Memory shows it at once; it is durable when
 *         bio_wal_wait(lsn) returns (ST-2). Records enter the log in commit order = the order in which memory changed (ST-1).
 *   UM-2  Every byte is changed only after umem_tx_range() covered it, or inside a block that this transaction allocated.
 *   UM-3  Abort restores every covered byte from a volatile undo copy (ST-10).
 *   UM-4  umem_ptr() gives a raw pointer that is good until the next yield (this is the pin of ST-11: since operations do not yield,
 *         every page they touched stays where it is until they end). NULL means that the page is not resident: the operation backs out
 *         with -DER_AGAIN (aborting its transaction), calls umem_fault() - which yields - and starts anew from the root.
 *         Simulation evicts random pages between operations.
 *   UM-5  A block never crosses a page. Blocks are at most UMEM_ALLOC_BYTES_MAX.
 *   UM-6  Memory freed by a transaction may be allocated by the next one: the redo order makes that safe. (Not so for data
 *         extents: see bio.h, ST-4.)
 *   UM-7  A part of the arena is kept for transactions begun with UMEM_TX_RECLAIM (punch, destroy, aggregation), so that a full store has
 *         a way out (ST-8).
 *
 * Owner: the target's xstream. The arena is private memory in every class (ST-10).
 */
#ifndef CAIRN_BIO_UMEM_H
#define CAIRN_BIO_UMEM_H

#include "base/err.h"
#include "ult/ult.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    UMEM_PAGE_BITS = 14,
    UMEM_PAGE_BYTES = 1 << UMEM_PAGE_BITS,
    UMEM_ALLOC_BYTES_MAX = 8192,
    UMEM_BARE_BYTES = 4096, /* blocks of that size cost nothing besides, and lie at multiples of it */
    UMEM_ROOT_BYTES = 2048, /* for the user of the arena, at umem_root() */
    UMEM_AHEAD_NR = 15,
    UMEM_TX_BYTES_MAX = 4 << 20, /* redo bytes of one transaction; beyond it -DER_OVERFLOW */
};

struct umem;

/* Page table entry, public for the sake of the inline accessor only. */
struct umem_page {
    uint8_t *mem; /* NULL: not resident, or hidden: the slow path tells */
    uint32_t flags;
    uint32_t slot;
    uint64_t lsn; /* of the newest change, for ST-5 */
};

struct umem_pub {
    struct umem_page *pages;
    uint64_t page_nr;
    uint64_t miss_page; /* the page that the last failed umem_ptr() wanted */
};

/* Not inlined slow path: records the miss (or a bad offset, which is corruption: counted and answered with NULL as well). */
void *umem_ptr_miss(struct umem *um, uint64_t off);

/** The memory at `off`, or NULL (UM-4). Offset 0 is never a block. */
static inline void *
umem_ptr(struct umem *um, uint64_t off)
{
    const struct umem_pub *pub = (const struct umem_pub *)(const void *)um;
    uint64_t page = off >> UMEM_PAGE_BITS;

    if (page < pub->page_nr && pub->pages[page].mem != NULL && off != 0)
        return pub->pages[page].mem + (off & (UMEM_PAGE_BYTES - 1));
    return umem_ptr_miss(um, off);
}

/** The same for who can do without: NULL is no miss, and a hidden page stays hidden. */
static inline void *
umem_peek(const struct umem *um, uint64_t off)
{
    const struct umem_pub *pub = (const struct umem_pub *)(const void *)um;
    uint64_t page = off >> UMEM_PAGE_BITS;

    if (page < pub->page_nr && pub->pages[page].mem != NULL)
        return pub->pages[page].mem + (off & (UMEM_PAGE_BYTES - 1));
    return NULL;
}

/**
 * After an operation backed out with -DER_AGAIN: load the page it missed. Errors: CSUM, NVME_IO the page can't be read; DF_INVAL the
 * offset was outside the arena (a corrupt pointer), or the page makes no sense; NOMEM. However small the memory limit is, and however many operations
 * miss pages at the same time, one of them (an operation is what a ULT does until umem_fault_done()) keeps all pages that it loaded until it
 * is done.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int umem_fault(struct umem *um);

/**
 * Whoever just missed a page will soon want this block, too: umem_fault() reads its page along, at the same time, when it is not in memory and there is room for it. Up to UMEM_AHEAD_NR
 * pages; forgotten at the next miss. Does not yield.
 */
void umem_ahead(struct umem *um, uint64_t off);

/**
 * What umem_fault() would answer without a look at the disk, for who goes on after damage: CSUM the page was found damaged before; DF_INVAL the offset was outside the arena, or in a page that
 * was never used. 0: it has to be loaded.
 */
int umem_miss_rc(const struct umem *um);

/**
 * The operation that faulted is over, however: what was loaded for it need not stay. Who runs operations that may miss many pages calls it, so that the
 * guarantee of umem_fault() goes to the next; cheap, does not yield.
 */
void umem_fault_done(struct umem *um);

/** The offset of UMEM_ROOT_BYTES zeroed at format time, for the user. Constant. */
uint64_t umem_root(const struct umem *um);

enum umem_tx_flags {
    UMEM_TX_RECLAIM = 1 << 0, /* may use the reserve (UM-7) */
};

/* One transaction at a time per arena (there is nothing to interleave: UM-1). */
struct umem_tx {
    struct umem *um;
    uint32_t flags;
    uint64_t shard; /* named in the log record (ST-12) */
};

/**
 * Wait until the log and its buffers can take a transaction of the largest size, and until enough pages are clean; call before umem_tx_begin(), which does not yield.
 * Errors: NVME_IO, SHUTDOWN the target has stopped (ST-1); NOSPACE the log is full and the file system has no room for the checkpoint
 * that would empty it (nothing is lost, a later call may succeed).
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int umem_tx_admit(struct umem *um);

/** Begin. Errors: AGAIN admission is needed again (somebody else took the space): call umem_tx_admit(). */
CAIRN_MUST_CHECK int
umem_tx_begin(struct umem *um, uint32_t flags, uint64_t shard, struct umem_tx *ret_tx);
/** Cover [off, off + len) of one block: its bytes may now be changed in place. Errors: AGAIN not resident; OVERFLOW; DF_INVAL across a page. */
CAIRN_MUST_CHECK int umem_tx_range(struct umem_tx *tx, uint64_t off, uint32_t len);
/** A block of at least `len` (1..UMEM_ALLOC_BYTES_MAX) bytes, zeroed, 8-aligned. Errors: NOSPACE; AGAIN not resident; OVERFLOW. */
CAIRN_MUST_CHECK int umem_alloc(struct umem_tx *tx, uint32_t len, uint64_t *ret_off);
/** The same, but only the first `clear_len` bytes are zeroed (and what is beyond `len`): the caller writes all others before the commit. */
CAIRN_MUST_CHECK int
umem_alloc_part(struct umem_tx *tx, uint32_t len, uint32_t clear_len, uint64_t *ret_off);
/** Free a block; `off` as umem_alloc() gave it. Errors: AGAIN not resident; DF_INVAL not a live block. */
CAIRN_MUST_CHECK int umem_free(struct umem_tx *tx, uint64_t off);
/** Visible now; durable once bio_wal_wait() has passed *ret_lsn. Never fails: what can fail was checked before. An empty one gives the last lsn. */
void umem_tx_commit(struct umem_tx *tx, uint64_t *ret_lsn);
void umem_tx_abort(struct umem_tx *tx);

struct umem_stats {
    uint64_t arena_bytes, used_bytes, reserve_bytes, resident_pages_nr, dirty_pages_nr;
    uint64_t tx_nr, redo_bytes, misses_nr;
    uint64_t limit_pages_nr; /* 0: no limit */
    uint64_t loads_nr, evicted_nr; /* pages read from the metadata role, dropped */
    uint64_t aheads_nr; /* of those that were read: along with one that was missed */
    uint64_t revived_nr; /* hidden pages that were used before their turn to be dropped came */
    uint64_t over_nr; /* times that a page came though nothing could be dropped for it */
    uint64_t table_bytes; /* memory of the tables about pages, besides the pages */
};
void umem_stats_get(const struct umem *um, struct umem_stats *ret_stats);
/** More than half of the arena is used, or what is used needs more than half of the memory it may have. */
bool umem_is_short(const struct umem *um);

enum { UMEM_CLS_NR_MAX = 33 };
struct umem_cls_stats {
    uint32_t bytes; /* of a block */
    uint64_t pages_nr, live_nr;
    uint64_t free_nr; /* blocks that are free in its pages: what fragmentation costs */
};
/** Blocks by size, smallest first; returns how many sizes there are. Looks at the table of pages alone, of which it reads 48 bytes each; does not yield. */
uint32_t umem_cls_stats_get(const struct umem *um, struct umem_cls_stats ret_stats[UMEM_CLS_NR_MAX]);

/** Walk all pages and lists: -DER_DF_INVAL with the first inconsistency logged. Loads pages: yields. */
CAIRN_YIELDS CAIRN_MUST_CHECK int umem_check(struct umem *um);
/** Usable size of a live block (for checks). 0: not a live block. */
uint32_t umem_block_bytes(struct umem *um, uint64_t off);

/** Evict up to nr clean pages chosen by rnd (simulation and tests). */
uint32_t umem_evict(struct umem *um, uint32_t nr, uint64_t rnd);

#endif
