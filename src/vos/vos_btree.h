/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * B+tree over the metadata arena, one for every level of the store and for extents.
 *
 *   BTR-1  Entries are ordered by hkey, ties by the full key (kind->cmp on the record). hkey is a 64-bit hash, the integer itself, or
 *          the first bytes big-endian.
 *   BTR-2  In inner nodes an entry's hkey is at most that of every record below it, and at least that of every record before it. Ties at
 *          a boundary are decided by the leftmost record below the entry, which is always the true minimum.
 *   BTR-3  Extent trees: an inner entry's `hi`, `epoch` and `epoch_max` are exactly the largest `hi`, the smallest and the largest epoch
 *          below it.
 *   BTR-4  Every leaf is at the same level; nodes are never empty; a tree with one record has no node (inline-value trees excepted);
 *          a leaf that is the root may be small and grows.
 *   BTR-5  No function yields. -DER_AGAIN means a page is not resident: the operation is abandoned and started anew (UM-4). Levels
 *          strictly decrease on the way down and are checked, so that a corrupt pointer ends in DF_INVAL, never in a loop.
 *
 * A cursor holds raw pointers and lives within one operation; any change invalidates it. Tested by test/vos_btree_test.c (model test with
 * evictions, colliding hashes and damaged nodes).
 */
#ifndef CAIRN_VOS_BTREE_H
#define CAIRN_VOS_BTREE_H

#include "base/err.h"
#include "vos/vos_format.h"

#include <stdbool.h>

struct umem;
struct vos_op;

enum {
    VOS_BTR_DEPTH_MAX = 20,
    VOS_BTR_ORDER_MAX = 31,
    VOS_BTR_NODE_BYTES = 512,
    VOS_BTR_NODE_EXT_BYTES = 640,
};

/* What to look for. `buf`, `len` as the kind wants them: the bytes of the key, or a struct vos_epoch. */
struct vos_btr_key {
    uint64_t hkey;
    const void *buf;
    uint32_t len;
};

struct vos_btr_kind {
    uint8_t id; /* enum vos_tree_id */
    uint8_t ent_bytes;
    uint8_t order;
    bool is_exact; /* the hkey is the whole key */
    bool is_inline; /* leaf entries are values, not records */
    bool has_full_cmp; /* cmp() compares the whole key, the hkey's part too */
    bool has_plain; /* leaf entries may have VOS_ENT_PLAIN */
    /* Order of the key against a record with the same hkey: *ret_cmp < 0, 0, > 0. */
    int (*cmp)(struct vos_op *op, const struct vos_btr_key *key, uint64_t rec, int *ret_cmp);
    /* The entry of a record. */
    int (*ent)(struct vos_op *op, uint64_t rec, struct vos_ent_df *ret_ent);
};

struct vos_btr_pos {
    struct vos_node_df *node;
    uint64_t off;
    uint32_t idx;
};

struct vos_btr {
    struct vos_op *op;
    const struct vos_btr_kind *kind;
    struct vos_tree_df *df;
    uint64_t df_off;
    uint32_t depth;
    uint32_t got; /* after -DER_AGAIN for a node: how many above it are in the path; else of no meaning, or 0 */
    struct vos_btr_pos path[VOS_BTR_DEPTH_MAX]; /* [depth - 1] is the leaf; at depth 0, [0].idx is 0 at the record and 1 behind it */
};

enum { VOS_LOST_NR_MAX = 1 << 16 };

/*
 * For a look at a damaged store (vos_op.lost): searches and steps forward that come upon a node that cannot be had go on behind it, and tell what was passed over: everything with an hkey in
 * [lo, hi]. Told again when the operation is started anew.
 */
struct vos_lost {
    uint32_t passed_nr; /* nodes and records, at most VOS_LOST_NR_MAX: damaged trees may be endless */
    void (*fn)(struct vos_lost *lost, const struct vos_btr *t, uint64_t lo, uint64_t hi, int rc);
};

/** With vos_op.lost: is it damage, and to be gone on after? AGAIN is, of a page that is known not to be had: then *rc becomes what is wrong with it. */
bool vos_lost_may_pass(struct vos_op *op, int *rc);

/** Start a cursor on the tree whose root is at `df` = arena offset `df_off`. Errors: DF_INVAL not such a tree. */
CAIRN_MUST_CHECK int vos_btr_init(struct vos_btr *t, struct vos_op *op,
    const struct vos_btr_kind *kind, struct vos_tree_df *df, uint64_t df_off);

/** Place the cursor at the first record not below `key` (perhaps behind the last of its leaf). */
CAIRN_MUST_CHECK int
vos_btr_search(struct vos_btr *t, const struct vos_btr_key *key, bool *ret_exact);
/**
 * The record that alone may have the key (0: none), of a tree without extents, without a cursor; whether it has is for the caller to see. With *ret_tie
 * there may be several: use a cursor. Errors: AGAIN, DF_INVAL.
 */
CAIRN_MUST_CHECK int vos_btr_look(struct vos_op *op, const struct vos_btr_kind *kind,
    const struct vos_tree_df *df, uint64_t df_off, uint64_t hkey, uint64_t *ret_rec, bool *ret_tie);
/** For who does not look yet, but soon (vos_hint.h): the node at `off` comes to the processor, if it is in memory. */
void vos_btr_hint(const struct umem *um, uint64_t off);
/**
 * What vos_btr_look() would find in one node, of a tree without extents: the child or, in a leaf, the record; of versions the last one not above. False: nothing, several, or what is there
 * makes no sense, which is not told. Changes nothing.
 */
bool vos_btr_hint_step(const struct umem *um, const struct vos_btr_kind *kind, uint64_t off,
    uint32_t level, uint64_t hkey, uint64_t *ret_off);
/** Place it at the last record not above `key`; -DER_NONEXIST when there is none. */
CAIRN_MUST_CHECK int vos_btr_search_le(struct vos_btr *t, const struct vos_btr_key *key);
/** First and last; -DER_NONEXIST on an empty tree. */
CAIRN_MUST_CHECK int vos_btr_first(struct vos_btr *t);
CAIRN_MUST_CHECK int vos_btr_last(struct vos_btr *t);
/** One on, one back; -DER_NONEXIST at the end (the cursor is then invalid). */
CAIRN_MUST_CHECK int vos_btr_next(struct vos_btr *t);
CAIRN_MUST_CHECK int vos_btr_prev(struct vos_btr *t);
/** The entries of the leaf at the cursor from there on, *ret_nr of them; at least one. Depth > 0 only. */
static inline const struct vos_ent_df *vos_btr_run(const struct vos_btr *t, uint32_t *ret_nr);
/** Go on by `nr` entries of the same leaf. */
static inline void vos_btr_skip(struct vos_btr *t, uint32_t nr);
enum { VOS_BTR_AHEAD_NR = 4 };
/**
 * The next leaves, at most `nr`, will be looked at soon: they come to the processor meanwhile, as far as they are in memory. Who goes from leaf to leaf says it at each of them, with
 * is_first only at the first.
 */
void vos_btr_ahead(const struct vos_btr *t, uint32_t nr, bool is_first);
/** The entries of the next leaf, for hints alone; NULL: there is none, or it is not at hand. Changes nothing. */
const struct vos_ent_df *vos_btr_run_behind(const struct vos_btr *t, uint32_t *ret_nr);
/** A move of the cursor answered -DER_AGAIN: when it was for want of a leaf, up to `nr` leaves behind that are read along with it (umem_ahead()). */
void vos_btr_miss_ahead(const struct vos_btr *t, uint32_t nr);
/** After vos_btr_search(): step over the end of a leaf to a real record; -DER_NONEXIST when there is none. */
CAIRN_MUST_CHECK int vos_btr_settle(struct vos_btr *t);
/** The record (or value) at the cursor, which must be at one. */
uint64_t vos_btr_rec(const struct vos_btr *t);
uint64_t vos_btr_hkey(const struct vos_btr *t); /* depth > 0 only */

/** Insert where vos_btr_search() found no exact match. Needs a transaction. */
CAIRN_MUST_CHECK int vos_btr_insert(struct vos_btr *t, const struct vos_ent_df *ent);
/** Replace the value at the cursor (inline kinds), or what stands beside the record with VOS_ENT_PLAIN. */
CAIRN_MUST_CHECK int vos_btr_set(struct vos_btr *t, uint64_t value);
/** Take out the entry at the cursor; the record is the caller's to free. */
CAIRN_MUST_CHECK int vos_btr_delete(struct vos_btr *t);
/** The same with several of the leaf that the cursor is in (depth > 0): bit i of `mask`, not 0, is entry i. */
CAIRN_MUST_CHECK int vos_btr_delete_some(struct vos_btr *t, uint32_t mask);

/** A node below the cursor's tree, checked. */
CAIRN_MUST_CHECK int
vos_btr_node(struct vos_btr *t, uint64_t off, uint32_t level, struct vos_node_df **ret_node);

static inline struct vos_ent_df *
vos_btr_ent(const struct vos_btr *t, struct vos_node_df *node, uint32_t idx)
{
    return (struct vos_ent_df *)(void *)((uint8_t *)(node + 1) + (size_t)idx * t->kind->ent_bytes);
}

/** Its records are those of dkeys or akeys. */
static inline bool
vos_btr_is_of_keys(const struct vos_btr_kind *kind)
{
    return kind->id == VOS_TREE_KEY_HASHED || kind->id == VOS_TREE_KEY_UINT ||
        kind->id == VOS_TREE_KEY_LEX;
}

/** The record of a leaf's entry (or the value). */
static inline uint64_t
vos_btr_ent_rec(const struct vos_btr_kind *kind, const struct vos_ent_df *ent)
{
    return kind->has_plain ? ent->off & VOS_ENT_REC_MASK : ent->off;
}

/** What the entry at the cursor says beside its record: VOS_ENT_PLAIN and the key's length, or 0. */
uint64_t vos_btr_plain_bits(const struct vos_btr *t);

static inline const struct vos_ent_df *
vos_btr_run(const struct vos_btr *t, uint32_t *ret_nr)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];

    *ret_nr = leaf->node->nr - leaf->idx;
    return vos_btr_ent(t, leaf->node, leaf->idx);
}

static inline void
vos_btr_skip(struct vos_btr *t, uint32_t nr)
{
    t->path[t->depth - 1].idx += nr;
}

static inline bool
vos_btr_is_empty(const struct vos_tree_df *df)
{
    return df->depth == 0 && df->root == 0;
}

/** Bytes of a node with room for `cap` entries. */
static inline uint32_t
vos_btr_node_bytes(const struct vos_btr_kind *kind, uint32_t cap)
{
    if (cap < kind->order)
        return (uint32_t)sizeof(struct vos_node_df) + cap * kind->ent_bytes;
    return kind->ent_bytes == sizeof(struct vos_ent_df) ? VOS_BTR_NODE_EXT_BYTES : VOS_BTR_NODE_BYTES;
}

/** Verify the entry at the cursor against its record and its ancestors (BTR-2, BTR-3). */
CAIRN_MUST_CHECK int vos_btr_check_at(struct vos_btr *t);

#endif
