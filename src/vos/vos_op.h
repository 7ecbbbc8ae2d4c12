/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * One operation on the arena: what the trees, logs and records below need of their caller. It runs without yielding; -DER_AGAIN
 * from anything here means that a page is missing and that the whole operation is abandoned and started anew (VOS-5).
 */
#ifndef CAIRN_VOS_OP_H
#define CAIRN_VOS_OP_H

#include "base/util.h"
#include "bio/umem.h"
#include "vos/vos_epoch.h"

enum { VOS_FRESH_NR = 2 };

struct vos_op {
    struct umem *um;
    struct umem_tx *tx; /* NULL: read only */
    uint64_t hash_mask; /* hashes of keys are cut by it (tests force collisions) */
    uint64_t epoch; /* of the modification, or read at */
    uint16_t minor; /* of the modification */
    uint32_t pm_ver;
    uint32_t lid; /* marks what is changed: of a transaction that is decided later; 0: done at once */
    struct vos_dtxs *dtxs; /* of the container at hand; NULL: it has none (vos_dtx.h) */
    struct vos_dtx_look *look; /* what of others' to see; NULL: nothing that is not decided */
    struct vos_dtx_prep *prep; /* of the transaction with `lid` */
    int64_t meta_delta; /* bytes allocated less freed */
    int64_t data_delta;
    int64_t obj_delta;
    bool is_obj_gone; /* an object's record was freed */
    bool is_key_gone; /* a dkey or akey was taken out of its tree, or its record freed */
    struct {
        uint64_t off;
        uint32_t len;
    } fresh[VOS_FRESH_NR]; /* the newest blocks of this transaction: need no covering (UM-2) */
    uint32_t fresh_next;
    bool is_bulk; /* many inserts close together: cover whole nodes, once each */
    uint32_t steps_left; /* of bounded work (ST-9); 0: come back after a yield */
    struct vos_lost *lost; /* not NULL: a look at what is damaged (vos_btree.h) */
    uint32_t visit_nr; /* nodes of trees looked at, and extents */
};

void vos_bad_log(uint64_t off, const char *what);

/** A pointer or length that cannot be: logs it, answers -DER_DF_INVAL. */
CAIRN_MUST_CHECK static inline int
vos_bad(uint64_t off, const char *what)
{
    vos_bad_log(off, what);
    return -DER_DF_INVAL;
}

/** The `len` bytes at `off`. Errors: AGAIN not resident; DF_INVAL misaligned, or beyond its page. */
CAIRN_MUST_CHECK static inline int
vos_ptr(struct vos_op *op, uint64_t off, uint32_t len, void *ret_ptr)
{
    void *p;

    if (CAIRN_UNLIKELY((off & 7) != 0 || (off & (UMEM_PAGE_BYTES - 1)) + len > UMEM_PAGE_BYTES))
        return vos_bad(off, "offset");
    p = umem_ptr(op->um, off);
    if (CAIRN_UNLIKELY(p == NULL))
        return -DER_AGAIN;
    *(void **)ret_ptr = p;
    return 0;
}

/** The line of p will be looked at soon. A function that does nothing else has no effect for the compiler, which leaves out its calls: hence the empty statement. */
static inline void
vos_line_ahead(const void *p)
{
    __builtin_prefetch(p);
    __asm__ volatile("");
}

/** All lines of something that will be looked at, at once: they come beside each other, not after each other. */
static inline void
vos_prefetch(const void *p, size_t len)
{
    for (size_t i = 0; i < len; i += 64) {
        vos_line_ahead((const uint8_t *)p + i);
    }
}

/** Nearly all of the time that a large value takes is that of its lines: all are asked for at once, in few instructions. */
static inline void
vos_value_ahead(const uint8_t *p, uint32_t len)
{
    enum { LINE_BYTES = 64, STEP_BYTES = 4 * LINE_BYTES };
    uint32_t at = 0;

    for (; at + STEP_BYTES <= len; at += STEP_BYTES) {
        vos_line_ahead(p + at);
        vos_line_ahead(p + at + LINE_BYTES);
        vos_line_ahead(p + at + 2 * LINE_BYTES);
        vos_line_ahead(p + at + 3 * LINE_BYTES);
    }
    vos_prefetch(p + at, len - at + ((uintptr_t)p & (LINE_BYTES - 1)));
}

/** The line at `off`, if it is in memory, which will be looked at soon. No use of its page, and no miss. */
static inline void
vos_ahead(struct vos_op *op, uint64_t off)
{
    const struct umem_pub *pub = (const struct umem_pub *)(const void *)op->um;
    uint64_t page = off >> UMEM_PAGE_BITS;

    if (page < pub->page_nr && pub->pages[page].mem != NULL)
        vos_line_ahead(pub->pages[page].mem + (off & (UMEM_PAGE_BYTES - 1)));
}

/** A new block, charged to the operation; zeroed up to `clear_len`, the rest is for the caller to write. */
CAIRN_MUST_CHECK static inline int
vos_alloc_part(struct vos_op *op, uint32_t len, uint32_t clear_len, uint64_t *ret_off, void *ret_ptr)
{
    int rc = umem_alloc_part(op->tx, len, clear_len, ret_off);

    if (CAIRN_UNLIKELY(rc != 0))
        return rc;
    op->meta_delta += len;
    op->fresh[op->fresh_next].off = *ret_off;
    op->fresh[op->fresh_next].len = len;
    op->fresh_next = (op->fresh_next + 1) % VOS_FRESH_NR;
    return vos_ptr(op, *ret_off, len, ret_ptr);
}

/** A new zeroed block, charged to the operation. */
CAIRN_MUST_CHECK static inline int
vos_alloc(struct vos_op *op, uint32_t len, uint64_t *ret_off, void *ret_ptr)
{
    return vos_alloc_part(op, len, len, ret_off, ret_ptr);
}

/** Free a block of which `len` bytes were asked for. */
CAIRN_MUST_CHECK static inline int
vos_free(struct vos_op *op, uint64_t off, uint32_t len)
{
    op->meta_delta -= len;
    for (uint32_t i = 0; i < VOS_FRESH_NR; i++) {
        if (op->fresh[i].off == off)
            op->fresh[i].len = 0;
    }
    return umem_free(op->tx, off);
}

CAIRN_MUST_CHECK static inline int
vos_range(struct vos_op *op, uint64_t off, uint32_t len)
{
    for (uint32_t i = 0; i < VOS_FRESH_NR; i++) {
        if (off - op->fresh[i].off < op->fresh[i].len)
            return 0;
    }
    return umem_tx_range(op->tx, off, len);
}

#endif
