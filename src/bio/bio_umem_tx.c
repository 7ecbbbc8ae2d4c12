/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transactions of the arena (umem.h, UM-1..UM-3): a flat array of covered ranges, a bump buffer of undo copies, and at commit one
 * redo record composed from memory as it then is. Value logging: replaying a record twice, or over a page that already holds later
 * changes, is harmless as long as all later records follow.
 *
 * A range that was covered before is found among the last four, by a small hash of starts, or not at all; a double one only costs
 * redo bytes, since undo copies are restored newest first. Adjacent ranges grow together when their undo copies are adjacent too.
 */
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "bio/bio_umem_priv.h"
#include "bio/umem.h"

enum { UMEM_TX_LOOKBACK = 4, UMEM_TX_RANGE_BYTES = 8 };

static inline uint32_t
range_hash(uint64_t off)
{
    return (uint32_t)((off * UINT64_C(0x9e3779b97f4a7c15)) >> 58);
}
CAIRN_STATIC_ASSERT(UMEM_TX_CACHE_NR == 64, "range_hash");

/* Most ranges are tiny: spare them the call. */
static inline void
copy_small(uint8_t *dst, const uint8_t *src, uint32_t len)
{
    if (len == 1) {
        dst[0] = src[0];
    } else if (len == 8) {
        memcpy(dst, src, 8);
    } else {
        memcpy(dst, src, len);
    }
}

static inline bool
range_holds(const struct umem_range *r, uint64_t off, uint32_t len)
{
    return off >= r->off && off + len <= r->off + r->len;
}

int
umem_tx_cover(struct umem *um, uint64_t off, uint32_t len, const uint8_t *mem, bool fresh)
{
    struct umem_txs *txs = &um->tx;
    uint32_t nr = txs->range_nr, h = range_hash(off), cost = len + UMEM_TX_RANGE_BYTES;
    struct umem_range *r;

    /* Nothing of a fresh block was covered before. */
    for (uint32_t i = nr; !fresh && i > 0 && i + UMEM_TX_LOOKBACK > nr; i--) {
        if (range_holds(&txs->ranges[i - 1], off, len))
            return 0;
    }
    if (!fresh && txs->cache[h] < nr && range_holds(&txs->ranges[txs->cache[h]], off, len))
        return 0;

    r = nr > 0 ? &txs->ranges[nr - 1] : NULL;
    if (r != NULL && r->off + r->len == off && (r->off ^ off) >> UMEM_PAGE_BITS == 0 &&
        (r->undo_off == UMEM_NONE) == fresh && (fresh || r->undo_off + r->len == txs->undo_used)) {
        if (txs->redo_bytes + len > UMEM_TX_BYTES_MAX)
            return CAIRN_ERR(OVERFLOW);
        r->len += len;
        cost = len;
    } else {
        if (txs->redo_bytes + cost > UMEM_TX_BYTES_MAX || nr == UMEM_TX_RANGE_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        r = &txs->ranges[nr];
        r->off = off;
        r->len = len;
        r->undo_off = fresh ? UMEM_NONE : txs->undo_used;
        txs->cache[h] = nr;
        txs->range_nr = nr + 1;
    }
    txs->redo_bytes += cost;
    if (!fresh) {
        copy_small(txs->undo + txs->undo_used, mem, len);
        txs->undo_used += len;
    }
    return 0;
}

int
umem_tx_admit(struct umem *um)
{
    if (CAIRN_UNLIKELY(um->resident_nr > um->limit_nr))
        umem_room_make(um, 0);
    if (umem_has_room(um) && um->hooks->log_room(um->hooks_arg))
        return 0;
    return um->hooks->admit(um->hooks_arg);
}

/* The numbers of transactions that pages remember come again. */
static void
seq_restart(struct umem *um)
{
    for (uint64_t page = 0; page < um->pub.page_nr; page++) {
        um->vol[page].touch_seq = 0;
        um->vol[page].freed_seq = 0;
    }
    um->tx.seq = 1;
}

int
umem_tx_begin(struct umem *um, uint32_t flags, uint64_t shard, struct umem_tx *ret_tx)
{
    struct umem_txs *txs = &um->tx;

    CAIRN_ASSERT(!txs->active); /* UM-1 */
    if (!umem_has_room(um) || !um->hooks->log_room(um->hooks_arg))
        return CAIRN_ERR(AGAIN);
    ult_noyield_begin();
    txs->active = true;
    txs->hooked = false;
    txs->flags = flags;
    txs->shard = shard;
    if (CAIRN_UNLIKELY(++txs->seq == 0))
        seq_restart(um);
    txs->range_nr = 0;
    txs->touch_nr = 0;
    txs->redo_bytes = 0;
    txs->undo_used = 0;
    *ret_tx = (struct umem_tx){.um = um, .flags = flags, .shard = shard};
    return 0;
}

int
umem_tx_range(struct umem_tx *tx, uint64_t off, uint32_t len)
{
    struct umem *um = tx->um;
    uint64_t in_page = off & (UMEM_PAGE_BYTES - 1);
    const uint8_t *mem;

    CAIRN_DASSERT(um->tx.active);
    if (len == 0 || in_page + len > UMEM_PAGE_BYTES)
        return len == 0 ? 0 : CAIRN_ERR(DF_INVAL);
    mem = umem_ptr(um, off);
    if (mem == NULL)
        return CAIRN_ERR(AGAIN);
    return umem_tx_cover(um, off, len, mem, false);
}

static void
tx_end(struct umem *um, bool committed, uint64_t lsn)
{
    um->tx.active = false;
    ult_noyield_end();
    if (um->tx.hooked)
        um->hooks->tx_end(um->hooks_arg, committed, lsn);
}

static void
record_fill(struct umem *um, uint8_t *rec, uint32_t bytes, uint64_t lsn)
{
    const struct umem_txs *txs = &um->tx;
    struct bio_rec_df hdr = {
        .lsn = lsn, .shard = txs->shard, .range_nr = txs->range_nr, .bytes = bytes};
    uint8_t *desc = rec + sizeof(hdr);
    uint8_t *data = desc + (size_t)txs->range_nr * UMEM_TX_RANGE_BYTES;
    uint64_t page_seen = UINT64_MAX;

    memcpy(rec, &hdr, sizeof(hdr));
    for (uint32_t i = 0; i < txs->range_nr; i++) {
        const struct umem_range *r = &txs->ranges[i];
        uint64_t page = r->off >> UMEM_PAGE_BITS;
        uint64_t word = r->off << 16 | r->len;

        memcpy(desc, &word, 8);
        desc += 8;
        copy_small(data, um->pub.pages[page].mem + (r->off & (UMEM_PAGE_BYTES - 1)), r->len);
        data += r->len;
        if (page != page_seen)
            umem_mark_dirty(um, page, lsn);
        page_seen = page;
    }
    memset(data, 0, (size_t)(rec + bytes - data));
}

void
umem_tx_commit(struct umem_tx *tx, uint64_t *ret_lsn)
{
    struct umem *um = tx->um;
    uint64_t lsn = 0;
    uint32_t bytes;
    uint8_t *rec;

    CAIRN_ASSERT(um->tx.active);
    if (um->tx.range_nr == 0) {
        lsn = um->hooks->log_last(um->hooks_arg);
    } else {
        bytes = ALIGN_UP((uint32_t)sizeof(struct bio_rec_df) + um->tx.redo_bytes, 8u);
        rec = um->hooks->log_begin(um->hooks_arg, bytes, &lsn);
        record_fill(um, rec, bytes, lsn);
        um->hooks->log_end(um->hooks_arg, lsn);
        um->tx_nr++;
        um->redo_total += bytes;
    }
    tx_end(um, true, lsn);
    *ret_lsn = lsn;
}

void
umem_tx_abort(struct umem_tx *tx)
{
    struct umem *um = tx->um;
    struct umem_txs *txs = &um->tx;

    CAIRN_ASSERT(txs->active);
    for (uint32_t i = txs->range_nr; i > 0; i--) {
        const struct umem_range *r = &txs->ranges[i - 1];

        if (r->undo_off == UMEM_NONE)
            continue;
        copy_small(um->pub.pages[r->off >> UMEM_PAGE_BITS].mem + (r->off & (UMEM_PAGE_BYTES - 1)),
            txs->undo + r->undo_off, r->len);
    }
    for (uint32_t i = 0; i < txs->touch_nr; i++) {
        umem_page_resync(um, txs->touched[i]);
    }
    tx_end(um, false, 0);
}
