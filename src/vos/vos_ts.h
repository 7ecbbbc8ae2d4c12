/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Timestamps of what was read and changed (multi-version concurrency control): they refuse a modification at an epoch in the past that
 * would change what somebody has already seen. Modifications at a fresh epoch always pass, being above every stamp.
 *
 *   TS-1  `lo` of an entity: the newest epoch at which all below it was read (a listing, a condition, a punch).
 *         `hi`: the newest epoch at which something below it was read or changed.
 *   TS-2  An update at e is refused when `lo` of the object, dkey or akey is e or newer; a punch also when `hi` of what it punches is.
 *         Not for e itself where it was read by nobody but the transaction that now changes it.
 *   TS-3  After a restart everything counts as read at the persisted bound of the clock (ST-6).
 *   TS-4  A conditional operation stamps, also when it fails (TX-5).
 *
 * Fixed tables by hash: entities that collide share a stamp, which only refuses more. Volatile; owner: the target's xstream.
 */
#ifndef CAIRN_VOS_TS_H
#define CAIRN_VOS_TS_H

#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

enum { VOS_TS_OBJ, VOS_TS_DKEY, VOS_TS_AKEY, VOS_TS_LEVEL_NR };
enum { VOS_TS_BITS = 13, VOS_TS_NR = 1 << VOS_TS_BITS };

struct vos_ts_ent {
    uint64_t lo, hi;
    uint64_t lo_tx, hi_tx; /* the only transaction that was there at that epoch; 0: none, or several */
};

struct vos_ts {
    uint64_t floor; /* TS-3 */
    struct vos_ts_ent ents[VOS_TS_LEVEL_NR][VOS_TS_NR];
};

static inline struct vos_ts_ent *
vos_ts_at(struct vos_ts *ts, uint32_t level, uint64_t hash)
{
    return &ts->ents[level][hash >> (64 - VOS_TS_BITS)];
}

static inline void
vos_ts_raise(uint64_t *at, uint64_t *at_tx, uint64_t epoch, uint64_t tx)
{
    if (epoch < *at)
        return;
    *at_tx = epoch > *at || *at_tx == tx ? tx : 0;
    *at = epoch;
}

static inline void
vos_ts_hi(struct vos_ts *ts, uint32_t level, uint64_t hash, uint64_t epoch, uint64_t tx)
{
    struct vos_ts_ent *e = vos_ts_at(ts, level, hash);

    vos_ts_raise(&e->hi, &e->hi_tx, epoch, tx);
}

static inline void
vos_ts_lo(struct vos_ts *ts, uint32_t level, uint64_t hash, uint64_t epoch, uint64_t tx)
{
    struct vos_ts_ent *e = vos_ts_at(ts, level, hash);

    vos_ts_raise(&e->lo, &e->lo_tx, epoch, tx);
    vos_ts_raise(&e->hi, &e->hi_tx, epoch, tx);
}

static inline bool
vos_ts_is_other(uint64_t at, uint64_t at_tx, uint64_t epoch, uint64_t tx)
{
    return at > epoch || (at == epoch && (tx == 0 || at_tx != tx));
}

/** Whether a change at `epoch` by `tx` (0: none) must be refused because all below was read since (and with is_punch: anything below). */
static inline bool
vos_ts_refuses(
    struct vos_ts *ts, uint32_t level, uint64_t hash, uint64_t epoch, bool is_punch, uint64_t tx)
{
    const struct vos_ts_ent *e = vos_ts_at(ts, level, hash);

    return epoch <= ts->floor || vos_ts_is_other(e->lo, e->lo_tx, epoch, tx) ||
        (is_punch && vos_ts_is_other(e->hi, e->hi_tx, epoch, tx));
}

/** Hash of a child from its parent's and its own key's. */
static inline uint64_t
vos_ts_hash(uint64_t parent, uint64_t key_hash)
{
    return hash_mix64(parent ^ hash_mix64(key_hash + UINT64_C(0x9e3779b97f4a7c15)));
}

#endif
