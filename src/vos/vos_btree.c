/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* B+tree: see vos_btree.h. After Comer, "The Ubiquitous B-Tree" (1979); extents are an interval tree by augmentation (CLRS, ch. 14). */
#include "vos/vos_btree.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "vos/vos_rec.h"

#include <inttypes.h>
#include <string.h>

/* A leaf that is the root starts with this many entries. */
enum { CAP_FIRST = 4, CAP_SECOND = 12, SHORT_ENT_BYTES = 16 };

/* What trees without extents have of a struct vos_ent_df. */
struct vos_short_ent {
    uint64_t hkey, off;
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_short_ent) == SHORT_ENT_BYTES, "entries");

void
vos_bad_log(uint64_t off, const char *what)
{
    CAIRN_IGNORE(CAIRN_ERR(DF_INVAL)); /* for the ring of errors */
    LOG_WARN("metadata arena: bad %s at offset %#" PRIx64, what, off);
}

static inline uint32_t
node_bytes(const struct vos_btr *t, uint32_t cap)
{
    return vos_btr_node_bytes(t->kind, cap);
}

static inline bool
has_hi(const struct vos_btr *t)
{
    return t->kind->ent_bytes == sizeof(struct vos_ent_df);
}

enum { LINE_BYTES = 64, AHEAD_LINES_NR = 8 };

/* A node that is not in the processor's cache: its lines come at the same time, not one after the other as the search asks for them. */
static inline void
node_ahead(const struct vos_node_df *node)
{
    const char *line = (const char *)node;

    for (uint32_t i = 0; i < AHEAD_LINES_NR; i++) {
        vos_line_ahead(line + (size_t)i * LINE_BYTES);
    }
}

int
vos_btr_node(struct vos_btr *t, uint64_t off, uint32_t level, struct vos_node_df **ret_node)
{
    struct vos_node_df *node;
    int rc = vos_ptr(t->op, off, sizeof(*node), &node);

    t->op->visit_nr++;
    if (rc != 0)
        return rc;
    node_ahead(node);
    if (CAIRN_UNLIKELY(node->magic != VOS_NODE_MAGIC || node->id != t->kind->id ||
            node->level != level || node->nr == 0 || node->nr > node->cap ||
            node->cap > t->kind->order))
        return vos_bad(off, "tree node");
    if (CAIRN_UNLIKELY((off & (UMEM_PAGE_BYTES - 1)) + node_bytes(t, node->cap) > UMEM_PAGE_BYTES))
        return vos_bad(off, "tree node size");
    *ret_node = node;
    return 0;
}

int
vos_btr_init(struct vos_btr *t, struct vos_op *op, const struct vos_btr_kind *kind,
    struct vos_tree_df *df, uint64_t df_off)
{
    t->op = op;
    t->kind = kind;
    t->df = df;
    t->df_off = df_off;
    t->depth = df->depth;
    t->got = 0;
    if (CAIRN_UNLIKELY(df->depth > VOS_BTR_DEPTH_MAX || (df->id != kind->id && df->id != 0) ||
            (df->depth != 0 && df->root == 0)))
        return vos_bad(df_off, "tree root");
    return 0;
}

static int go_behind(struct vos_btr *t, uint32_t nr, int rc);

/* Leftmost leaf entry at or below an entry of a node of the given level. */
static int
leftmost(struct vos_btr *t, const struct vos_ent_df *e, uint32_t level,
    const struct vos_ent_df **ret_ent)
{
    struct vos_node_df *node;
    int rc;

    while (level-- > 0) {
        rc = vos_btr_node(t, e->off, level, &node);
        if (rc != 0)
            return rc;
        e = vos_btr_ent(t, node, 0);
    }
    *ret_ent = e;
    return 0;
}

/* Order of the key against a leaf entry with the same hkey. Plain ones tell it without their records. */
static int
leaf_cmp(struct vos_btr *t, const struct vos_ent_df *e, const struct vos_btr_key *key, int *ret_cmp)
{
    uint64_t bytes;
    uint32_t len;

    if (!t->kind->has_plain || !vos_ent_is_plain(e))
        return t->kind->cmp(t->op, key, vos_btr_ent_rec(t->kind, e), ret_cmp);
    len = vos_ent_key_len(e);
    bytes = vos_key_of_ent(t->kind, e->hkey, len);
    *ret_cmp = key->len == 0 ? 0 : memcmp(key->buf, &bytes, MIN(key->len, len));
    if (*ret_cmp == 0)
        *ret_cmp = key->len < len ? -1 : key->len > len ? 1 : 0;
    return 0;
}

static inline bool
is_below(const uint8_t *ent, uint64_t hkey, bool above)
{
    uint64_t k = *(const uint64_t *)(const void *)ent;

    return above ? k <= hkey : k < hkey;
}

/* First entry in [0, nr) of `stride` bytes that is_below() is not true for; without branches that depend on the keys. */
static inline __attribute__((always_inline)) uint32_t
bound_in(const uint8_t *first, uint32_t stride, uint32_t nr, uint64_t hkey, bool above)
{
    const uint8_t *base = first;

    while (nr > 1) {
        uint32_t half = nr / 2;
        const uint8_t *mid = base + half * stride;

        base = is_below(mid - stride, hkey, above) ? mid : base;
        nr -= half;
    }
    return (uint32_t)(base - first) / stride + is_below(base, hkey, above);
}

/* First entry whose hkey is not below (or with `above`: is above) hkey. */
static inline uint32_t
bound(const struct vos_btr *t, const struct vos_node_df *node, uint64_t hkey, bool above)
{
    const uint8_t *first = (const uint8_t *)(node + 1);

    return CAIRN_LIKELY(t->kind->ent_bytes == SHORT_ENT_BYTES)
        ? bound_in(first, SHORT_ENT_BYTES, node->nr, hkey, above)
        : bound_in(first, sizeof(struct vos_ent_df), node->nr, hkey, above);
}

/*
 * Extents: the epochs of the entry often tell without a look at the records below it. Where the next entry has the same first index, all below
 * this one have it, too, and the smallest epoch is that of the leftmost; otherwise it is at most that.
 */
static bool
tie_by_epoch(const struct vos_btr *t, struct vos_node_df *node, uint32_t idx,
    const struct vos_btr_key *key, int *ret_cmp)
{
    const struct vos_ent_df *e = vos_btr_ent(t, node, idx);
    uint64_t want;

    if (!has_hi(t))
        return false;
    want = ((const struct vos_epoch *)key->buf)->epoch;
    if (want == e->epoch)
        return false;
    *ret_cmp = want < e->epoch ? -1 : 1;
    return want < e->epoch || node->level == 0 ||
        (idx + 1u < node->nr && vos_btr_ent(t, node, idx + 1)->hkey == key->hkey);
}

/* Order of the key against the (leftmost) record at or below an entry with the same hkey. */
static int
tie_cmp(struct vos_btr *t, struct vos_node_df *node, uint32_t idx, const struct vos_btr_key *key,
    int *ret_cmp)
{
    const struct vos_ent_df *e;
    struct vos_ent_df true_ent;
    int rc;

    if (tie_by_epoch(t, node, idx, key, ret_cmp))
        return 0;
    rc = leftmost(t, vos_btr_ent(t, node, idx), node->level, &e);
    if (rc == 0 && node->level > 0) {
        /* BTR-2: the true minimum below may have a larger hkey than the entry. */
        true_ent.hkey = e->hkey;
        if (!t->kind->has_plain || !vos_ent_is_plain(e))
            rc = t->kind->ent(t->op, vos_btr_ent_rec(t->kind, e), &true_ent);
        if (rc == 0 && true_ent.hkey != key->hkey) {
            *ret_cmp = key->hkey < true_ent.hkey ? -1 : 1;
            return 0;
        }
    }
    return rc != 0 ? rc : leaf_cmp(t, e, key, ret_cmp);
}

/* Among entries [lo, hi) of equal hkey: the first whose (leftmost) record is not below the key. */
static int
bound_tie(struct vos_btr *t, struct vos_node_df *node, const struct vos_btr_key *key, uint32_t *lo,
    uint32_t hi, bool *ret_exact)
{
    bool exact = false;

    while (*lo < hi) {
        uint32_t mid = (*lo + hi) / 2;
        int cmp, rc = tie_cmp(t, node, mid, key, &cmp);

        if (rc != 0)
            return rc;
        if (cmp > 0) {
            *lo = mid + 1;
        } else {
            hi = mid;
            exact = cmp == 0;
        }
    }
    *ret_exact = exact;
    return 0;
}

/* The child that a key belongs to: the last whose minimum is not above it. */
static int
pick_child(
    struct vos_btr *t, struct vos_node_df *node, const struct vos_btr_key *key, uint32_t *ret_idx)
{
    uint32_t b = bound(t, node, key->hkey, true);
    bool exact = false;

    if (!t->kind->is_exact && b > 0 && vos_btr_ent(t, node, b - 1)->hkey == key->hkey) {
        uint32_t a = bound(t, node, key->hkey, false);
        int rc = bound_tie(t, node, key, &a, b, &exact);

        if (rc != 0)
            return rc;
        b = exact ? a + 1 : a;
    }
    *ret_idx = b > 0 ? b - 1 : 0;
    return 0;
}

static int
search_single(struct vos_btr *t, const struct vos_btr_key *key, bool *ret_exact)
{
    struct vos_ent_df e;
    int rc, cmp;

    t->path[0].idx = 0;
    *ret_exact = false;
    if (t->df->root == 0)
        return 0;
    if (t->kind->has_full_cmp) {
        rc = t->kind->cmp(t->op, key, t->df->root, &cmp);
        *ret_exact = rc == 0 && cmp == 0;
        if (rc != 0 || cmp == 0)
            return rc; /* found without a hash */
    }
    rc = t->kind->ent(t->op, t->df->root, &e);
    if (rc != 0)
        return rc;
    cmp = key->hkey < e.hkey ? -1 : key->hkey > e.hkey ? 1 : 0;
    if (cmp == 0 && !t->kind->is_exact)
        rc = t->kind->cmp(t->op, key, t->df->root, &cmp);
    if (rc != 0)
        return rc;
    *ret_exact = cmp == 0;
    t->path[0].idx = cmp > 0;
    return 0;
}

int
vos_btr_search(struct vos_btr *t, const struct vos_btr_key *key, bool *ret_exact)
{
    uint64_t off = t->df->root;
    int rc;

    t->depth = t->df->depth;
    if (t->depth == 0)
        return search_single(t, key, ret_exact);
    for (uint32_t i = 0; i < t->depth; i++) {
        struct vos_btr_pos *pos = &t->path[i];
        uint32_t level = t->depth - 1 - i;

        rc = vos_btr_node(t, off, level, &pos->node);
        if (CAIRN_UNLIKELY(rc != 0)) {
            t->got = i;
            *ret_exact = false;
            return go_behind(t, i, rc);
        }
        pos->off = off;
        if (level > 0) {
            rc = pick_child(t, pos->node, key, &pos->idx);
            if (rc != 0)
                return rc;
            off = vos_btr_ent(t, pos->node, pos->idx)->off;
        }
    }

    struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    uint32_t lo = bound(t, leaf->node, key->hkey, false);

    *ret_exact = false;
    if (lo < leaf->node->nr && vos_btr_ent(t, leaf->node, lo)->hkey == key->hkey) {
        if (t->kind->is_exact) {
            *ret_exact = true;
        } else {
            bool is_tie =
                lo + 1u < leaf->node->nr && vos_btr_ent(t, leaf->node, lo + 1)->hkey == key->hkey;
            int cmp = 0;

            if (CAIRN_LIKELY(!is_tie)) {
                rc = has_hi(t) ? tie_cmp(t, leaf->node, lo, key, &cmp)
                               : leaf_cmp(t, vos_btr_ent(t, leaf->node, lo), key, &cmp);
                *ret_exact = rc == 0 && cmp == 0;
                lo += cmp > 0;
            } else {
                rc = bound_tie(
                    t, leaf->node, key, &lo, bound(t, leaf->node, key->hkey, true), ret_exact);
            }
            if (rc != 0)
                return rc;
        }
    }
    leaf->idx = lo;
    return 0;
}

static inline int
look_node(struct vos_op *op, const struct vos_btr_kind *kind, uint64_t off, uint32_t level,
    const struct vos_node_df **ret_node)
{
    const struct vos_node_df *node;
    int rc = vos_ptr(op, off, sizeof(*node), &node);

    op->visit_nr++;
    if (CAIRN_UNLIKELY(rc != 0))
        return rc;
    node_ahead(node);
    if (CAIRN_UNLIKELY(node->magic != VOS_NODE_MAGIC || node->id != kind->id ||
            node->level != level || node->nr == 0 || node->nr > node->cap || node->cap > kind->order ||
            (off & (UMEM_PAGE_BYTES - 1)) + sizeof(*node) + (size_t)node->cap * SHORT_ENT_BYTES >
                UMEM_PAGE_BYTES))
        return vos_bad(off, "tree node");
    *ret_node = node;
    return 0;
}

int
vos_btr_look(struct vos_op *op, const struct vos_btr_kind *kind, const struct vos_tree_df *df,
    uint64_t df_off, uint64_t hkey, uint64_t *ret_rec, bool *ret_tie)
{
    uint64_t off = df->root;
    uint32_t depth = df->depth;

    *ret_tie = false;
    if (CAIRN_UNLIKELY(depth > VOS_BTR_DEPTH_MAX || (df->id != kind->id && df->id != 0) ||
            (depth != 0 && off == 0)))
        return vos_bad(df_off, "tree root");
    while (depth-- > 0) {
        const struct vos_node_df *node;
        const struct vos_short_ent *ents;
        uint32_t b;
        int rc = look_node(op, kind, off, depth, &node);

        if (CAIRN_UNLIKELY(rc != 0))
            return rc;
        ents = (const void *)(node + 1);
        /* The first entry above the key: the one before it is that of its child or, in a leaf, its own. */
        b = bound_in((const uint8_t *)ents, SHORT_ENT_BYTES, node->nr, hkey, true);
        if (depth == 0 && (b == 0 || ents[b - 1].hkey != hkey)) {
            *ret_rec = 0;
            return 0;
        }
        if (!kind->is_exact && b > 0 && ents[b - 1].hkey == hkey &&
            (depth > 0 || (b > 1 && ents[b - 2].hkey == hkey))) {
            *ret_tie = true;
            return 0;
        }
        off = ents[b > 0 ? b - 1 : 0].off;
    }
    *ret_rec = kind->has_plain ? off & VOS_ENT_REC_MASK : off;
    return 0;
}

/* Node and first level of a hint: in bounds, and plausible. */
static inline const struct vos_node_df *
hint_node(const struct umem *um, uint64_t off)
{
    const uint32_t at = off & (UMEM_PAGE_BYTES - 1);

    return (off & 7) != 0 || at + sizeof(struct vos_node_df) > UMEM_PAGE_BYTES ? NULL
                                                                               : umem_peek(um, off);
}

static inline bool
hint_fits(
    const struct vos_btr_kind *kind, const struct vos_node_df *node, uint64_t off, uint32_t level)
{
    return node != NULL && node->magic == VOS_NODE_MAGIC && node->id == kind->id &&
        node->level == level && node->nr != 0 && node->nr <= node->cap && node->cap <= kind->order &&
        (off & (UMEM_PAGE_BYTES - 1)) + sizeof(*node) + (size_t)node->cap * kind->ent_bytes <=
        UMEM_PAGE_BYTES;
}

void
vos_btr_hint(const struct umem *um, uint64_t off)
{
    const struct vos_node_df *node = off == 0 ? NULL : hint_node(um, off);

    if (node != NULL)
        node_ahead(node);
}

bool
vos_btr_hint_step(const struct umem *um, const struct vos_btr_kind *kind, uint64_t off,
    uint32_t level, uint64_t hkey, uint64_t *ret_off)
{
    const struct vos_node_df *node = hint_node(um, off);
    const struct vos_short_ent *ents;
    uint32_t b;

    if (CAIRN_UNLIKELY(!hint_fits(kind, node, off, level)))
        return false;
    ents = (const void *)(node + 1);
    b = bound_in((const uint8_t *)ents, SHORT_ENT_BYTES, node->nr, hkey, true);
    if (level == 0 && (b == 0 || (ents[b - 1].hkey != hkey && kind->id != VOS_TREE_SINGLE)))
        return false;
    if (!kind->is_exact && b > 0 && ents[b - 1].hkey == hkey &&
        (level > 0 || (b > 1 && ents[b - 2].hkey == hkey)))
        return false; /* a tie */
    *ret_off = ents[b > 0 ? b - 1 : 0].off;
    if (level == 0 && kind->has_plain)
        *ret_off &= VOS_ENT_REC_MASK;
    return true;
}

/* Fill the path below path[i] going down at one edge. On an error *ret_at is the level above the node that cannot be had. */
static int
descend(struct vos_btr *t, uint32_t i, bool to_last, uint32_t *ret_at)
{
    for (; i + 1 < t->depth; i++) {
        uint64_t off = vos_btr_ent(t, t->path[i].node, t->path[i].idx)->off;
        struct vos_btr_pos *pos = &t->path[i + 1];
        int rc = vos_btr_node(t, off, t->depth - 2 - i, &pos->node);

        if (CAIRN_UNLIKELY(rc != 0)) {
            t->got = i + 1;
            *ret_at = i;
            return rc;
        }
        pos->off = off;
        pos->idx = to_last ? pos->node->nr - 1u : 0;
    }
    return 0;
}

bool
vos_lost_may_pass(struct vos_op *op, int *rc)
{
    int miss_rc;

    if (op->lost == NULL)
        return false;
    miss_rc = *rc == -DER_AGAIN ? umem_miss_rc(op->um) : 0;
    *rc = miss_rc != 0 ? miss_rc : *rc;
    return *rc == -DER_DF_INVAL || *rc == -DER_CSUM;
}

/* To the next record behind what lies below path[i], of `nr` levels that have a node; false: there is none, and *ret_hi is the largest key that there may be. */
static bool
step_behind(struct vos_btr *t, uint32_t nr, uint32_t *ret_i, uint64_t *ret_hi)
{
    *ret_hi = UINT64_MAX;
    for (uint32_t i = nr; i-- > 0;) {
        if (t->path[i].idx + 1u < t->path[i].node->nr) {
            *ret_i = i;
            *ret_hi = vos_btr_ent(t, t->path[i].node, ++t->path[i].idx)->hkey;
            *ret_hi -= t->kind->is_exact && *ret_hi > 0;
            return true;
        }
    }
    return false;
}

/* The node below path[at] (the root: `nr` 0) cannot be had: to the first record behind it, if that may be passed over. Errors: rc it may not; NONEXIST. */
static __attribute__((noinline)) int
go_behind(struct vos_btr *t, uint32_t nr, int rc)
{
    while (rc != 0) {
        uint64_t lo = nr == 0 ? 0 : vos_btr_ent(t, t->path[nr - 1].node, t->path[nr - 1].idx)->hkey;
        uint64_t hi;
        uint32_t i = 0;
        bool has_next;

        if (!vos_lost_may_pass(t->op, &rc) || t->op->lost->passed_nr == VOS_LOST_NR_MAX)
            return rc;
        t->op->lost->passed_nr++;
        has_next = step_behind(t, nr, &i, &hi);
        t->op->lost->fn(t->op->lost, t, lo, hi, rc);
        if (!has_next)
            return -DER_NONEXIST;
        rc = descend(t, i, false, &nr);
        nr++;
    }
    return 0;
}

static int
edge(struct vos_btr *t, bool to_last)
{
    uint32_t at;
    int rc;

    t->depth = t->df->depth;
    t->path[0].idx = 0;
    if (t->depth == 0)
        return t->df->root == 0 ? -DER_NONEXIST : 0;
    t->path[0].off = t->df->root;
    rc = vos_btr_node(t, t->df->root, t->depth - 1, &t->path[0].node);
    if (CAIRN_UNLIKELY(rc != 0))
        return to_last ? rc : go_behind(t, 0, rc);
    t->path[0].idx = to_last ? t->path[0].node->nr - 1u : 0;
    rc = descend(t, 0, to_last, &at);
    return CAIRN_LIKELY(rc == 0) || to_last ? rc : go_behind(t, at + 1, rc);
}

int
vos_btr_first(struct vos_btr *t)
{
    return edge(t, false);
}

int
vos_btr_last(struct vos_btr *t)
{
    return edge(t, true);
}

int
vos_btr_settle(struct vos_btr *t)
{
    if (t->depth == 0)
        return t->df->root == 0 || t->path[0].idx > 0 ? -DER_NONEXIST : 0;
    if (t->path[t->depth - 1].idx < t->path[t->depth - 1].node->nr)
        return 0;
    t->path[t->depth - 1].idx--;
    return vos_btr_next(t);
}

int
vos_btr_next(struct vos_btr *t)
{
    if (t->depth == 0)
        return -DER_NONEXIST;
    for (uint32_t i = t->depth; i-- > 0;) {
        if (t->path[i].idx + 1u < t->path[i].node->nr) {
            uint32_t at;
            int rc;

            t->path[i].idx++;
            rc = descend(t, i, false, &at);
            return CAIRN_LIKELY(rc == 0) ? 0 : go_behind(t, at + 1, rc);
        }
    }
    return -DER_NONEXIST;
}

/* The parent behind that of the leaf; 0: none. */
static uint64_t
uncle_off(const struct vos_btr *t)
{
    const struct vos_btr_pos *top = t->depth < 3 ? NULL : &t->path[t->depth - 3];

    return top == NULL || top->idx + 1u >= top->node->nr
        ? 0
        : vos_btr_ent(t, top->node, top->idx + 1)->off;
}

/* The leaf that comes `dist` behind that of the cursor, below the same parent or the next one; 0: it is not known. */
static uint64_t
leaf_behind(const struct vos_btr *t, uint32_t dist)
{
    const struct vos_btr_pos *up = &t->path[t->depth - 2];
    uint32_t i = up->idx + dist;
    struct vos_node_df *node = up->node;
    uint64_t off;

    if (i >= node->nr) {
        i -= node->nr;
        off = uncle_off(t);
        node = off == 0 ? NULL : (struct vos_node_df *)(uintptr_t)hint_node(t->op->um, off);
        if (!hint_fits(t->kind, node, off, 1) || i >= node->nr)
            return 0;
    }
    return vos_btr_ent(t, node, i)->off;
}

void
vos_btr_ahead(const struct vos_btr *t, uint32_t nr, bool is_first)
{
    const struct vos_btr_pos *up;
    uint32_t left;

    if (t->depth < 2 || nr == 0)
        return;
    up = &t->path[t->depth - 2];
    left = up->node->nr - up->idx;
    if (nr >= left && (left == 2 * VOS_BTR_AHEAD_NR || (is_first && left < 2 * VOS_BTR_AHEAD_NR)))
        vos_btr_hint(t->op->um, uncle_off(t));
    for (uint32_t i = is_first ? 1 : VOS_BTR_AHEAD_NR; i <= MIN(nr, (uint32_t)VOS_BTR_AHEAD_NR); i++) {
        vos_btr_hint(t->op->um, leaf_behind(t, i));
    }
}

const struct vos_ent_df *
vos_btr_run_behind(const struct vos_btr *t, uint32_t *ret_nr)
{
    uint64_t off = t->depth < 2 ? 0 : leaf_behind(t, 1);
    const struct vos_node_df *node = off == 0 ? NULL : hint_node(t->op->um, off);

    if (!hint_fits(t->kind, node, off, 0))
        return NULL;
    *ret_nr = node->nr;
    return (const void *)(node + 1);
}

void
vos_btr_miss_ahead(const struct vos_btr *t, uint32_t nr)
{
    const struct vos_btr_pos *up;

    if (t->depth < 2 || t->got != t->depth - 1)
        return;
    up = &t->path[t->depth - 2];
    for (uint32_t i = up->idx + 1; i < up->node->nr && nr > 0; i++, nr--) {
        umem_ahead(t->op->um, vos_btr_ent(t, up->node, i)->off);
    }
}

int
vos_btr_prev(struct vos_btr *t)
{
    if (t->depth == 0) {
        if (t->df->root == 0 || t->path[0].idx == 0)
            return -DER_NONEXIST;
        t->path[0].idx = 0;
        return 0;
    }
    for (uint32_t i = t->depth; i-- > 0;) {
        if (t->path[i].idx > 0) {
            uint32_t at;

            t->path[i].idx--;
            return descend(t, i, true, &at);
        }
    }
    return -DER_NONEXIST;
}

int
vos_btr_search_le(struct vos_btr *t, const struct vos_btr_key *key)
{
    bool exact;
    int rc = vos_btr_search(t, key, &exact);

    if (rc != 0 || exact)
        return rc;
    return vos_btr_prev(t);
}

uint64_t
vos_btr_rec(const struct vos_btr *t)
{
    if (t->depth == 0)
        return t->df->root;

    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];

    CAIRN_ASSERT(leaf->idx < leaf->node->nr);
    return vos_btr_ent_rec(t->kind, vos_btr_ent(t, leaf->node, leaf->idx));
}

uint64_t
vos_btr_plain_bits(const struct vos_btr *t)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth == 0 ? 0 : t->depth - 1];

    return t->depth == 0 || !t->kind->has_plain
        ? 0
        : vos_btr_ent(t, leaf->node, leaf->idx)->off & ~VOS_ENT_REC_MASK;
}

uint64_t
vos_btr_hkey(const struct vos_btr *t)
{
    const struct vos_btr_pos *leaf = &t->path[t->depth - 1];

    CAIRN_ASSERT(t->depth > 0);
    return vos_btr_ent(t, leaf->node, leaf->idx)->hkey;
}

/* ---- changes -------------------------------------------------------------------------------------------------------- */

static int
node_alloc(struct vos_btr *t, uint32_t level, uint32_t cap, uint64_t *ret_off,
    struct vos_node_df **ret_node)
{
    struct vos_node_df *node;
    int rc = vos_alloc(t->op, node_bytes(t, cap), ret_off, &node);

    if (rc != 0)
        return rc;
    node->magic = VOS_NODE_MAGIC;
    node->id = t->kind->id;
    node->level = (uint8_t)level;
    node->cap = (uint16_t)cap;
    *ret_node = node;
    return 0;
}

static int
node_free(struct vos_btr *t, uint64_t off, const struct vos_node_df *node)
{
    return vos_free(t->op, off, node_bytes(t, node->cap));
}

/* Cover the header and the entries [from, to). */
static int
node_touch(struct vos_btr *t, uint64_t off, uint32_t from, uint32_t to)
{
    const struct vos_node_df *node;
    int rc;

    if (t->op->is_bulk) {
        rc = vos_ptr(t->op, off, sizeof(*node), &node);
        return rc != 0 ? rc : vos_range(t->op, off, node_bytes(t, node->cap));
    }
    rc = vos_range(t->op, off, sizeof(struct vos_node_df));
    if (rc == 0 && to > from) {
        rc = vos_range(t->op, off + sizeof(struct vos_node_df) + (uint64_t)from * t->kind->ent_bytes,
            (to - from) * t->kind->ent_bytes);
    }
    return rc;
}

static int
root_set(struct vos_btr *t, uint64_t root, uint32_t depth)
{
    int rc = vos_range(t->op, t->df_off, sizeof(*t->df));

    if (rc != 0)
        return rc;
    t->df->root = root;
    t->df->depth = (uint8_t)depth;
    t->df->id = t->kind->id;
    return 0;
}

static void
ent_copy(const struct vos_btr *t, struct vos_ent_df *dst, const struct vos_ent_df *src)
{
    memcpy(dst, src, t->kind->ent_bytes);
}

/* BTR-3 for one node: what its parent's entry must say. */
static void
node_extent(const struct vos_btr *t, struct vos_node_df *node, struct vos_ent_df *ret_ent)
{
    ret_ent->hi = ret_ent->epoch_max = 0;
    ret_ent->epoch = UINT64_MAX;
    for (uint32_t i = 0; i < node->nr; i++) {
        const struct vos_ent_df *e = vos_btr_ent(t, node, i);

        ret_ent->hi = MAX(ret_ent->hi, e->hi);
        ret_ent->epoch = MIN(ret_ent->epoch, e->epoch);
        ret_ent->epoch_max = MAX(ret_ent->epoch_max, e->epoch_max);
    }
}

static inline bool
extent_eq(const struct vos_ent_df *a, const struct vos_ent_df *b)
{
    return a->hi == b->hi && a->epoch == b->epoch && a->epoch_max == b->epoch_max;
}

/* Set hi and epochs of the parent's entry of path[i] from its content. */
static int
extent_refresh(struct vos_btr *t, uint32_t i)
{
    struct vos_btr_pos *up = &t->path[i - 1];
    struct vos_ent_df *e = vos_btr_ent(t, up->node, up->idx);
    struct vos_ent_df want;
    int rc;

    if (!has_hi(t))
        return 0;
    node_extent(t, t->path[i].node, &want);
    if (extent_eq(e, &want))
        return 0;
    rc = node_touch(t, up->off, up->idx, up->idx + 1);
    if (rc != 0)
        return rc;
    e->hi = want.hi;
    e->epoch = want.epoch;
    e->epoch_max = want.epoch_max;
    return 0;
}

/* Before an insert: the ancestors' entries cover the new one (BTR-2, BTR-3). */
static int
ancestors_extend(struct vos_btr *t, const struct vos_ent_df *ent)
{
    for (uint32_t i = 0; i + 1 < t->depth; i++) {
        struct vos_btr_pos *pos = &t->path[i];
        struct vos_ent_df *e = vos_btr_ent(t, pos->node, pos->idx);
        bool is_min = ent->hkey < e->hkey;
        bool is_wider = has_hi(t) &&
            (ent->hi > e->hi || ent->epoch < e->epoch || ent->epoch_max > e->epoch_max);
        int rc;

        if (!is_min && !is_wider)
            continue;
        rc = node_touch(t, pos->off, pos->idx, pos->idx + 1);
        if (rc != 0)
            return rc;
        e->hkey = MIN(e->hkey, ent->hkey);
        if (has_hi(t)) {
            e->hi = MAX(e->hi, ent->hi);
            e->epoch = MIN(e->epoch, ent->epoch);
            e->epoch_max = MAX(e->epoch_max, ent->epoch_max);
        }
    }
    return 0;
}

/* Insert into a node with room. */
static int
node_insert(struct vos_btr *t, struct vos_node_df *node, uint64_t off, uint32_t idx,
    const struct vos_ent_df *ent)
{
    int rc = node_touch(t, off, idx, node->nr + 1u);

    if (rc != 0)
        return rc;
    memmove(vos_btr_ent(t, node, idx + 1), vos_btr_ent(t, node, idx),
        (size_t)(node->nr - idx) * t->kind->ent_bytes);
    ent_copy(t, vos_btr_ent(t, node, idx), ent);
    node->nr++;
    return 0;
}

/* The first node of a tree: two records. */
static int
insert_second(struct vos_btr *t, const struct vos_ent_df *ent)
{
    struct vos_ent_df old;
    struct vos_node_df *node;
    uint64_t off;
    int rc = t->kind->ent(t->op, t->df->root, &old);

    if (rc == 0)
        rc = node_alloc(t, 0, CAP_FIRST, &off, &node);
    if (rc != 0)
        return rc;
    ent_copy(t, vos_btr_ent(t, node, t->path[0].idx > 0 ? 0 : 1), &old);
    ent_copy(t, vos_btr_ent(t, node, t->path[0].idx > 0 ? 1 : 0), ent);
    node->nr = 2;
    return root_set(t, off, 1);
}

/* A small root leaf is full: move to a larger block. */
static int
root_grow(struct vos_btr *t)
{
    struct vos_btr_pos *pos = &t->path[0];
    struct vos_node_df *node;
    uint32_t cap =
        pos->node->cap < CAP_SECOND && CAP_SECOND < t->kind->order ? CAP_SECOND : t->kind->order;
    uint64_t off;
    int rc = node_alloc(t, 0, cap, &off, &node);

    if (rc != 0)
        return rc;
    node->nr = pos->node->nr;
    memcpy(node + 1, pos->node + 1, (size_t)node->nr * t->kind->ent_bytes);
    rc = node_free(t, pos->off, pos->node);
    if (rc != 0)
        return rc;
    pos->node = node;
    pos->off = off;
    return root_set(t, off, 1);
}

static bool
at_right_edge(const struct vos_btr *t, uint32_t i)
{
    if (t->path[i].idx < t->path[i].node->nr)
        return false;
    while (i-- > 0) {
        if (t->path[i].idx + 1u < t->path[i].node->nr)
            return false;
    }
    return true;
}

/* Split the full node path[i] while inserting *ent at its idx; *ent becomes the entry of the new right node. */
static int
node_split(struct vos_btr *t, uint32_t i, bool is_append, struct vos_ent_df *ent)
{
    struct vos_btr_pos *pos = &t->path[i];
    struct vos_node_df *left = pos->node, *right;
    uint32_t cut = is_append ? left->nr : left->nr / 2;
    uint64_t off;
    int rc = node_alloc(t, left->level, t->kind->order, &off, &right);

    CAIRN_PROBE("vos.btree.split");
    if (rc == 0)
        rc = node_touch(t, pos->off, 0, 0);
    if (rc != 0)
        return rc;
    right->nr = (uint16_t)(left->nr - cut);
    memcpy(right + 1, vos_btr_ent(t, left, cut), (size_t)right->nr * t->kind->ent_bytes);
    left->nr = (uint16_t)cut;
    if (pos->idx > cut || is_append) {
        rc = node_insert(t, right, off, pos->idx - cut, ent);
    } else {
        rc = node_insert(t, left, pos->off, pos->idx, ent);
    }
    if (rc != 0)
        return rc;
    ent->hkey = vos_btr_ent(t, right, 0)->hkey;
    ent->off = off;
    if (has_hi(t))
        node_extent(t, right, ent);
    return 0;
}

/* The root was split: a new one above it. */
static int
root_raise(struct vos_btr *t, const struct vos_ent_df *right)
{
    struct vos_node_df *old = t->path[0].node, *node;
    struct vos_ent_df left = {.hkey = vos_btr_ent(t, old, 0)->hkey, .off = t->path[0].off};
    uint64_t off;
    int rc;

    if (t->depth == VOS_BTR_DEPTH_MAX)
        return CAIRN_ERR(NOSPACE);
    rc = node_alloc(t, t->depth, t->kind->order, &off, &node);
    if (rc != 0)
        return rc;
    if (has_hi(t))
        node_extent(t, old, &left);
    ent_copy(t, vos_btr_ent(t, node, 0), &left);
    ent_copy(t, vos_btr_ent(t, node, 1), right);
    node->nr = 2;
    return root_set(t, off, t->depth + 1);
}

/* Inline kinds have no records: their first entry makes a leaf. */
static int
insert_first_inline(struct vos_btr *t, const struct vos_ent_df *ent)
{
    struct vos_node_df *node;
    uint64_t off;
    int rc = node_alloc(t, 0, CAP_FIRST, &off, &node);

    if (rc != 0)
        return rc;
    ent_copy(t, vos_btr_ent(t, node, 0), ent);
    node->nr = 1;
    return root_set(t, off, 1);
}

int
vos_btr_insert(struct vos_btr *t, const struct vos_ent_df *new_ent)
{
    struct vos_ent_df ent = *new_ent;
    int rc;

    if (t->depth == 0) {
        if (t->kind->is_inline)
            return insert_first_inline(t, &ent);
        return t->df->root == 0 ? root_set(t, ent.off, 0) : insert_second(t, &ent);
    }
    rc = ancestors_extend(t, &ent);
    if (rc != 0)
        return rc;
    for (uint32_t i = t->depth; i-- > 0;) {
        struct vos_btr_pos *pos = &t->path[i];

        if (pos->node->nr == pos->node->cap && pos->node->cap < t->kind->order) {
            if (CAIRN_UNLIKELY(i != 0 || pos->node->level != 0))
                return vos_bad(pos->off, "small tree node");
            rc = root_grow(t);
            if (rc != 0)
                return rc;
        }
        if (pos->node->nr < pos->node->cap)
            return node_insert(t, pos->node, pos->off, pos->idx, &ent);
        rc = node_split(t, i, at_right_edge(t, i), &ent);
        if (rc == 0 && i > 0)
            rc = extent_refresh(t, i);
        if (rc != 0)
            return rc;
        if (i > 0)
            t->path[i - 1].idx++;
    }
    return root_raise(t, &ent);
}

int
vos_btr_set(struct vos_btr *t, uint64_t value)
{
    struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    int rc;

    CAIRN_ASSERT(t->depth > 0);
    rc = node_touch(t, leaf->off, leaf->idx, leaf->idx + 1);
    if (rc == 0)
        vos_btr_ent(t, leaf->node, leaf->idx)->off = value;
    return rc;
}

static int
node_remove(struct vos_btr *t, struct vos_node_df *node, uint64_t off, uint32_t idx)
{
    int rc = node_touch(t, off, idx, node->nr - 1u);

    if (rc != 0)
        return rc;
    memmove(vos_btr_ent(t, node, idx), vos_btr_ent(t, node, idx + 1),
        (size_t)(node->nr - 1u - idx) * t->kind->ent_bytes);
    node->nr--;
    return 0;
}

/* path[i] is thin: join it with a neighbour under the same parent when both fit well. *ret_done is false when they do not. */
static int
node_merge(struct vos_btr *t, uint32_t i, bool *ret_done)
{
    struct vos_btr_pos *up = &t->path[i - 1];
    uint32_t left_idx = up->idx + 1u < up->node->nr ? up->idx : up->idx - 1u;
    struct vos_node_df *left, *right;
    uint64_t left_off, right_off;
    int rc;

    *ret_done = false;
    if (up->node->nr < 2)
        return 0;
    left_off = vos_btr_ent(t, up->node, left_idx)->off;
    right_off = vos_btr_ent(t, up->node, left_idx + 1)->off;
    rc = vos_btr_node(t, left_off, t->path[i].node->level, &left);
    if (rc == 0)
        rc = vos_btr_node(t, right_off, t->path[i].node->level, &right);
    if (rc != 0)
        return rc;
    if (left->nr + right->nr > t->kind->order * 3 / 4 || left->nr + right->nr > left->cap)
        return 0;
    CAIRN_PROBE("vos.btree.merge");
    rc = node_touch(t, left_off, left->nr, (uint32_t)left->nr + right->nr);
    if (rc != 0)
        return rc;
    memcpy(vos_btr_ent(t, left, left->nr), right + 1, (size_t)right->nr * t->kind->ent_bytes);
    left->nr = (uint16_t)(left->nr + right->nr);
    rc = node_free(t, right_off, right);
    if (rc == 0)
        rc = node_remove(t, up->node, up->off, left_idx + 1);
    if (rc != 0)
        return rc;
    t->path[i].node = left;
    t->path[i].off = left_off;
    up->idx = left_idx;
    *ret_done = true;
    return extent_refresh(t, i);
}

/* Lower the root while it has a single entry. */
static int
root_lower(struct vos_btr *t)
{
    struct vos_node_df *node = t->path[0].node;
    uint64_t off = t->path[0].off;
    uint32_t depth = t->depth;
    uint64_t root = off;
    int rc;

    while (depth > 0) {
        bool keep_leaf = node->level == 0 && t->kind->is_inline;

        if (node->nr > 1 || (node->nr == 1 && keep_leaf))
            break;
        root = node->nr == 0 ? 0 : vos_btr_ent(t, node, 0)->off & VOS_ENT_REC_MASK;
        rc = node_free(t, off, node);
        if (rc != 0)
            return rc;
        depth--;
        if (depth == 0)
            break;
        off = root;
        rc = vos_btr_node(t, off, depth - 1, &node);
        if (rc != 0)
            return rc;
    }
    return depth == t->depth ? 0 : root_set(t, root, depth);
}

/* Entries of its leaf went: the nodes above follow. */
static int
leaf_shrunk(struct vos_btr *t)
{
    bool merged;
    int rc;

    for (uint32_t i = t->depth - 1; i > 0; i--) {
        struct vos_btr_pos *pos = &t->path[i], *up = &t->path[i - 1];

        if (pos->node->nr == 0) {
            rc = node_free(t, pos->off, pos->node);
            if (rc == 0)
                rc = node_remove(t, up->node, up->off, up->idx);
            if (rc != 0)
                return rc;
            continue;
        }
        rc = extent_refresh(t, i);
        if (rc != 0)
            return rc;
        if (pos->node->nr < t->kind->order / 4) {
            rc = node_merge(t, i, &merged);
            if (rc != 0)
                return rc;
        }
    }
    return root_lower(t);
}

int
vos_btr_delete(struct vos_btr *t)
{
    struct vos_btr_pos *leaf;
    int rc;

    t->op->is_key_gone = t->op->is_key_gone || vos_btr_is_of_keys(t->kind);
    if (t->depth == 0)
        return root_set(t, 0, 0);
    leaf = &t->path[t->depth - 1];
    rc = node_remove(t, leaf->node, leaf->off, leaf->idx);
    return rc != 0 ? rc : leaf_shrunk(t);
}

int
vos_btr_delete_some(struct vos_btr *t, uint32_t mask)
{
    struct vos_btr_pos *leaf = &t->path[t->depth - 1];
    uint32_t first = (uint32_t)__builtin_ctz(mask), to = first, nr = leaf->node->nr;
    int rc = node_touch(t, leaf->off, first, nr - (uint32_t)__builtin_popcount(mask));

    CAIRN_ASSERT(t->depth > 0);
    if (rc != 0)
        return rc;
    for (uint32_t i = first; i < nr; i++) {
        if ((mask >> i & 1) == 0)
            ent_copy(t, vos_btr_ent(t, leaf->node, to++), vos_btr_ent(t, leaf->node, i));
    }
    leaf->node->nr = (uint16_t)to;
    return leaf_shrunk(t);
}

/* ---- checking ------------------------------------------------------------------------------------------------------- */

int
vos_btr_check_at(struct vos_btr *t)
{
    struct vos_ent_df true_ent;
    struct vos_ent_df *e;
    int rc;

    if (t->depth == 0)
        return t->kind->ent(t->op, t->df->root, &true_ent);
    e = vos_btr_ent(t, t->path[t->depth - 1].node, t->path[t->depth - 1].idx);
    true_ent.hkey = e->hkey;
    if (!t->kind->is_inline) {
        rc = t->kind->ent(t->op, vos_btr_ent_rec(t->kind, e), &true_ent);
        if (rc != 0)
            return rc;
        true_ent.off |= vos_btr_plain_bits(t); /* whether it is: vos_check.c */
        if (memcmp(e, &true_ent, t->kind->ent_bytes) != 0)
            return vos_bad(e->off, "entry of a record");
    }
    for (uint32_t i = 0; i + 1 < t->depth; i++) {
        struct vos_btr_pos *pos = &t->path[i];
        struct vos_ent_df *sep = vos_btr_ent(t, pos->node, pos->idx);
        struct vos_ent_df want;

        if (sep->hkey > true_ent.hkey ||
            (pos->idx + 1u < pos->node->nr &&
                true_ent.hkey > vos_btr_ent(t, pos->node, pos->idx + 1)->hkey))
            return vos_bad(pos->off, "order of a tree node");
        if (!has_hi(t))
            continue;
        node_extent(t, t->path[i + 1].node, &want);
        if (!extent_eq(sep, &want))
            return vos_bad(pos->off, "extent of a tree node");
    }
    return 0;
}
