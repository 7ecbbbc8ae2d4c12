/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos/vos_evtree.h"

#include "vos/vos_dtx.h"

#include <stdlib.h>
#include <string.h>

int
vos_evt_insert(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t rec)
{
    struct vos_btr_key key;
    struct vos_ent_df ent;
    struct vos_epoch ver;
    struct vos_ver ext;
    struct vos_btr t;
    bool exact;
    int rc = vos_ext_get(op, rec, &ext);

    if (rc != 0)
        return rc;
    ver = vos_ver_epoch(&ext);
    key = (struct vos_btr_key){.hkey = ext.lo, .buf = &ver, .len = sizeof(ver)};
    ent = vos_ext_ent(&ext, rec);
    rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc != 0)
        return rc;
    return exact ? CAIRN_ERR(EXIST) : vos_btr_insert(&t, &ent);
}

/* ---- arrays that grow ----------------------------------------------------------------------------------------------- */

/* Make room for one more; `first` is the room inside of the search, which is never freed. */
static int
grow(struct vos_evt_search *s, void *array, void *first, uint32_t nr, uint32_t *cap, uint32_t max,
    size_t each)
{
    void **mem = array, *bigger;
    uint32_t want = *cap * 2;

    if (CAIRN_LIKELY(nr < *cap))
        return 0;
    if (nr >= max)
        return CAIRN_ERR(OVERFLOW);
    bigger = vos_heap_realloc(s->heap, *mem == first ? NULL : *mem, want * each);
    if (bigger == NULL)
        return CAIRN_ERR(NOMEM);
    if (*mem == first)
        memcpy(bigger, first, nr * each);
    *mem = bigger;
    *cap = want;
    return 0;
}

/* ---- gaps: indexes for which nothing was found yet ------------------------------------------------------------------ */

/* Block and place of the first gap that does not end before idx; false when there is none. */
static bool
gap_find(const struct vos_evt_search *s, uint64_t idx, uint32_t *ret_blk, uint32_t *ret_pos)
{
    uint32_t lo = 0, hi = s->blk_nr;
    const struct vos_evt_gaps *b;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        b = s->blks[mid];
        if (b->gap[b->nr - 1].hi < idx) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == s->blk_nr)
        return false;
    b = s->blks[lo];
    *ret_blk = lo;
    lo = 0;
    hi = b->nr - 1;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (b->gap[mid].hi < idx) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    *ret_pos = lo;
    return true;
}

/* Whether something of [lo, hi] is open. */
static inline bool
is_open(const struct vos_evt_search *s, uint64_t lo, uint64_t hi)
{
    uint32_t blk, pos;

    return gap_find(s, lo, &blk, &pos) && s->blks[blk]->gap[pos].lo <= hi;
}

static void
blk_free(struct vos_evt_search *s, struct vos_evt_gaps *b)
{
    if (b != &s->gaps_first)
        vos_heap_free(b);
}

static void
gap_remove(struct vos_evt_search *s, uint32_t blk, uint32_t pos)
{
    struct vos_evt_gaps *b = s->blks[blk];

    b->nr--;
    memmove(&b->gap[pos], &b->gap[pos + 1], (b->nr - pos) * sizeof(b->gap[0]));
    if (b->nr > 0)
        return;
    blk_free(s, b);
    s->blk_nr--;
    memmove(&s->blks[blk], &s->blks[blk + 1], (s->blk_nr - blk) * sizeof(s->blks[0]));
}

/* A full block becomes two. */
static int
blk_split(struct vos_evt_search *s, uint32_t blk)
{
    const uint32_t half = VOS_EVT_GAPS_NR / 2;
    struct vos_evt_gaps *left = s->blks[blk], *right;
    int rc = grow(s, &s->blks, s->blk_first, s->blk_nr, &s->blk_cap, VOS_EVT_PIECES_NR_MAX,
        sizeof(s->blks[0]));

    if (rc != 0)
        return rc;
    right = vos_heap_alloc(s->heap, sizeof(*right));
    if (right == NULL)
        return CAIRN_ERR(NOMEM);
    right->nr = left->nr - half;
    left->nr = half;
    memcpy(right->gap, &left->gap[half], right->nr * sizeof(right->gap[0]));
    memmove(&s->blks[blk + 2], &s->blks[blk + 1], (s->blk_nr - blk - 1) * sizeof(s->blks[0]));
    s->blks[blk + 1] = right;
    s->blk_nr++;
    return 0;
}

/* Cut [lo, hi], which lies inside of one gap, out of it. */
static int
gap_cut(struct vos_evt_search *s, uint32_t blk, uint32_t pos, uint64_t lo, uint64_t hi)
{
    struct vos_evt_gaps *b = s->blks[blk];
    struct vos_evt_gap *g = &b->gap[pos];
    int rc;

    if (lo == g->lo && hi == g->hi) {
        gap_remove(s, blk, pos);
    } else if (lo == g->lo) {
        g->lo = hi + 1;
    } else if (hi == g->hi) {
        g->hi = lo - 1;
    } else {
        if (b->nr == VOS_EVT_GAPS_NR) {
            rc = blk_split(s, blk);
            return rc != 0                  ? rc
                : pos < VOS_EVT_GAPS_NR / 2 ? gap_cut(s, blk, pos, lo, hi)
                                            : gap_cut(s, blk + 1, pos - VOS_EVT_GAPS_NR / 2, lo, hi);
        }
        memmove(g + 1, g, (b->nr - pos) * sizeof(*g));
        b->nr++;
        g[0].hi = lo - 1;
        g[1].lo = hi + 1;
    }
    return 0;
}

/* ---- the queue ------------------------------------------------------------------------------------------------------ */

/* Newer first; of equal ones the one nearer to the extents. */
static inline bool
is_before(const struct vos_evt_item *a, const struct vos_evt_item *b)
{
    if (a->bound.epoch != b->bound.epoch)
        return a->bound.epoch > b->bound.epoch;
    return a->bound.minor != b->bound.minor ? a->bound.minor > b->bound.minor : a->level < b->level;
}

static int
queue_push(struct vos_evt_search *s, const struct vos_evt_item *item)
{
    uint32_t i = s->queue_nr;
    int rc =
        grow(s, &s->queue, s->queue_first, i, &s->queue_cap, VOS_EVT_QUEUE_NR_MAX, sizeof(*item));

    if (rc != 0)
        return rc;
    s->queue_nr++;
    while (i > 0 && is_before(item, &s->queue[(i - 1) / 2])) {
        s->queue[i] = s->queue[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->queue[i] = *item;
    return 0;
}

/* Put *item where the top was. */
static void
queue_replace(struct vos_evt_search *s, const struct vos_evt_item *item)
{
    const struct vos_evt_item copy = *item;
    uint32_t i = 0;

    for (;;) {
        uint32_t c = 2 * i + 1;

        if (c >= s->queue_nr)
            break;
        if (c + 1 < s->queue_nr && is_before(&s->queue[c + 1], &s->queue[c]))
            c++;
        if (!is_before(&s->queue[c], &copy))
            break;
        s->queue[i] = s->queue[c];
        i = c;
    }
    s->queue[i] = copy;
}

static void
queue_pop(struct vos_evt_search *s)
{
    s->queue_nr--;
    if (s->queue_nr > 0)
        queue_replace(s, &s->queue[s->queue_nr]);
}

/* An entry of a node joins the queue, unless nothing of it can show. */
static int
entry_push(struct vos_evt_search *s, const struct vos_ent_df *e, uint32_t node_level)
{
    struct vos_evt_item item = {.bound = {MIN(e->epoch_max, s->epoch), UINT16_MAX},
        .lo = e->hkey,
        .hi = e->hi,
        .off = e->off,
        .level = (uint8_t)node_level};

    if (e->hi < s->lo || e->hkey > s->hi || e->epoch > s->epoch || e->epoch_max < s->punch.epoch ||
        !is_open(s, e->hkey, e->hi))
        return 0;
    return queue_push(s, &item);
}

/* ---- the search ----------------------------------------------------------------------------------------------------- */

void
vos_evt_begin(struct vos_evt_search *s, struct vos_heap *heap, uint64_t lo, uint64_t hi,
    uint64_t epoch, struct vos_epoch punch)
{
    memset(s, 0, offsetof(struct vos_evt_search, blk_first));
    s->lo = lo;
    s->hi = hi;
    s->epoch = epoch;
    s->punch = punch;
    s->heap = heap;
    s->piece_max = VOS_EVT_PIECES_NR_MAX;
    s->pieces = s->pieces_first;
    s->piece_cap = ARRAY_SIZE(s->pieces_first);
    s->queue = s->queue_first;
    s->queue_cap = ARRAY_SIZE(s->queue_first);
    s->blks = s->blk_first;
    s->blk_cap = ARRAY_SIZE(s->blk_first);
    s->blk_nr = 1;
    s->blk_first[0] = &s->gaps_first;
    s->gaps_first.nr = 1;
    s->gaps_first.gap[0] = (struct vos_evt_gap){lo, hi};
}

void
vos_evt_fini(struct vos_evt_search *s)
{
    for (uint32_t i = 0; i < s->blk_nr; i++) {
        blk_free(s, s->blks[i]);
    }
    if (s->blks != s->blk_first)
        vos_heap_free(s->blks);
    if (s->queue != s->queue_first)
        vos_heap_free(s->queue);
    if (s->pieces != s->pieces_first)
        vos_heap_free(s->pieces);
    s->blks = NULL;
    s->queue = NULL;
    s->pieces = NULL;
    s->blk_nr = s->queue_nr = s->piece_nr = 0;
}

/* An extent shows in every gap that it overlaps. */
static int
extent_show(struct vos_evt_search *s, const struct vos_evt_item *item)
{
    uint64_t from = MAX(item->lo, s->lo), to = MIN(item->hi, s->hi);
    uint32_t blk, pos;
    int rc = 0;

    while (rc == 0 && from <= to && gap_find(s, from, &blk, &pos)) {
        const struct vos_evt_gap g = s->blks[blk]->gap[pos];
        uint64_t lo = MAX(g.lo, from), hi = MIN(g.hi, to);

        if (g.lo > to)
            break;
        rc = grow(s, &s->pieces, s->pieces_first, s->piece_nr, &s->piece_cap, s->piece_max,
            sizeof(s->pieces[0]));
        if (rc == 0)
            rc = gap_cut(s, blk, pos, lo, hi);
        if (rc != 0)
            break;
        s->pieces[s->piece_nr++] = (struct vos_evt_piece){.lo = lo,
            .hi = hi,
            .ext_lo = item->lo,
            .ver = item->bound,
            .rec = item->off,
            .is_hole = item->is_hole};
        from = hi + 1;
    }
    return rc;
}

/* An extent with a mark. All that is newer was shown before it, but for its own epoch: what is hidden already is not asked about. */
static int
mark_shows(struct vos_op *op, const struct vos_evt_search *s, const struct vos_evt_item *item,
    uint32_t lid, bool *ret_shows)
{
    if (s->is_any) { /* conflicts with others: whatever becomes of them */
        *ret_shows = op->lid == 0 || lid != op->lid;
        return 0;
    }
    *ret_shows = false;
    return is_open(s, item->lo, item->hi) ? vos_dtx_sees(op, lid, ret_shows) : 0;
}

/* The top is an extent: read its version; show it when nothing that waits can be newer. */
static int
extent_take(struct vos_op *op, struct vos_evt_search *s)
{
    struct vos_evt_item item = s->queue[0];
    struct vos_ver ext;
    int rc;

    if (!item.is_read) {
        op->visit_nr++;
        rc = vos_ext_get(op, item.off, &ext);
        if (rc != 0)
            return rc;
        if (CAIRN_UNLIKELY(ext.lo != item.lo || ext.hi != item.hi || ext.epoch != item.bound.epoch))
            return vos_bad(item.off, "entry of an extent");
        item.bound.minor = ext.minor;
        item.is_hole = (ext.flags & VOS_VER_HOLE) != 0;
        item.is_read = true;
        if (!vos_epoch_gt(item.bound, s->punch)) {
            queue_pop(s);
            return 0;
        }
        if (CAIRN_UNLIKELY(ext.dtx != 0)) {
            bool shows;

            rc = mark_shows(op, s, &item, ext.dtx, &shows);
            if (rc != 0 || !shows) {
                if (rc == 0)
                    queue_pop(s);
                return rc;
            }
        }
        queue_replace(s, &item);
        return 0;
    }
    rc = extent_show(s, &item);
    if (rc == 0)
        queue_pop(s);
    return rc;
}

/* The top is a subtree: its entries take its place. */
static int
subtree_take(struct vos_btr *t, struct vos_evt_search *s)
{
    uint32_t level = s->queue[0].level - 1u;
    struct vos_node_df *node;
    int rc = vos_btr_node(t, s->queue[0].off, level, &node);

    if (rc != 0)
        return rc;
    queue_pop(s);
    for (uint32_t i = 0; rc == 0 && i < node->nr; i++) {
        const struct vos_ent_df *e = vos_btr_ent(t, node, i);

        if (e->hkey > s->hi)
            break;
        rc = entry_push(s, e, level);
    }
    return rc;
}

/* Empty the queue, newest first, until no gap is left. */
static int
queue_run(struct vos_btr *t, struct vos_evt_search *s)
{
    int rc = 0;

    while (rc == 0 && s->queue_nr > 0 && s->blk_nr > 0 && !(s->is_any && s->piece_nr > 0)) {
        const struct vos_evt_item *top = &s->queue[0];

        if (!is_open(s, top->lo, top->hi)) {
            queue_pop(s);
            continue;
        }
        if (t->op->steps_left == 0)
            return -DER_INPROGRESS;
        t->op->steps_left--;
        rc = top->level == 0 ? extent_take(t->op, s) : subtree_take(t, s);
    }
    return rc;
}

static int
root_push(struct vos_btr *t, struct vos_evt_search *s)
{
    struct vos_evt_item root = {.bound = {s->epoch, UINT16_MAX},
        .lo = s->lo,
        .hi = s->hi,
        .off = t->df->root,
        .level = (uint8_t)t->depth};
    struct vos_ver ext;
    struct vos_ent_df ent;
    int rc;

    if (t->depth > 0)
        return queue_push(s, &root);
    if (t->df->root == 0)
        return 0;
    rc = vos_ext_get(t->op, t->df->root, &ext);
    if (rc != 0)
        return rc;
    ent = vos_ext_ent(&ext, t->df->root);
    return entry_push(s, &ent, 0);
}

/* ---- the search in order of the tree -------------------------------------------------------------------------------- */

/*
 * For a read at an old epoch of a tree that changes all the time, and only there: everything that overlaps joins the queue, in the order of the
 * tree, with a place to go on that no change invalidates.
 */
static int
plain_leaf(struct vos_btr *t, struct vos_evt_search *s, struct vos_btr_pos *pos, bool *ret_end)
{
    struct vos_ver ext;
    int rc;

    for (; pos->idx < pos->node->nr; pos->idx++) {
        const struct vos_ent_df *e = vos_btr_ent(t, pos->node, pos->idx);

        if (e->hkey > s->hi) {
            *ret_end = true;
            return 0;
        }
        t->op->visit_nr++;
        rc = vos_ext_get(t->op, e->off, &ext);
        if (rc == 0)
            rc = entry_push(s, e, 0);
        if (rc != 0)
            return rc;
        s->has_resume = true;
        s->resume_lo = ext.lo;
        s->resume_ver = vos_ver_epoch(&ext);
    }
    return 0;
}

/* Stand where the search paused: path[i].idx is what comes next at each level. */
static int
plain_resume(struct vos_btr *t, const struct vos_evt_search *s)
{
    struct vos_btr_key key = {
        .hkey = s->resume_lo, .buf = &s->resume_ver, .len = sizeof(s->resume_ver)};
    bool exact;
    int rc = vos_btr_search(t, &key, &exact);

    for (uint32_t i = 0; rc == 0 && i + 1 < t->depth; i++) {
        t->path[i].idx++;
    }
    if (rc == 0 && exact)
        t->path[t->depth - 1].idx++;
    return rc;
}

static inline bool
can_skip(const struct vos_evt_search *s, const struct vos_ent_df *e)
{
    return e->hi < s->lo || e->epoch > s->epoch || e->epoch_max < s->punch.epoch;
}

/* Depth first, with t->path as the stack. */
static int
plain_run(struct vos_btr *t, struct vos_evt_search *s)
{
    uint32_t i = s->has_resume ? t->depth - 1 : 0;
    bool end = false;
    int rc;

    t->path[0].idx = 0;
    rc = s->has_resume ? plain_resume(t, s)
                       : vos_btr_node(t, t->df->root, t->depth - 1, &t->path[0].node);
    while (rc == 0) {
        struct vos_btr_pos *pos = &t->path[i];

        if (t->op->steps_left == 0)
            return -DER_INPROGRESS;
        t->op->steps_left--;
        if (pos->node->level == 0) {
            rc = plain_leaf(t, s, pos, &end);
            if (rc != 0 || end || i == 0)
                return rc;
            i--;
            continue;
        }
        while (pos->idx < pos->node->nr && can_skip(s, vos_btr_ent(t, pos->node, pos->idx))) {
            pos->idx++;
        }
        if (pos->idx == pos->node->nr) {
            if (i == 0)
                return 0;
            i--;
            continue;
        }
        if (vos_btr_ent(t, pos->node, pos->idx)->hkey > s->hi)
            return 0;
        rc = vos_btr_node(t, vos_btr_ent(t, pos->node, pos->idx)->off, pos->node->level - 1u,
            &t->path[i + 1].node);
        pos->idx++;
        t->path[++i].idx = 0;
    }
    return rc;
}

/* ---- the result ----------------------------------------------------------------------------------------------------- */

static int
piece_cmp(const void *a, const void *b)
{
    const struct vos_evt_piece *x = a, *y = b;

    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void
pieces_sort(struct vos_evt_search *s)
{
    bool up = true, down = true;

    for (uint32_t i = 1; i < s->piece_nr; i++) {
        up = up && s->pieces[i - 1].lo < s->pieces[i].lo;
        down = down && s->pieces[i - 1].lo > s->pieces[i].lo;
    }
    if (up)
        return;
    if (!down) {
        qsort(s->pieces, s->piece_nr, sizeof(s->pieces[0]), piece_cmp);
        return;
    }
    /* Written one after the other: newest first is backwards. */
    for (uint32_t i = 0, j = s->piece_nr - 1; i < j; i++, j--) {
        struct vos_evt_piece p = s->pieces[i];

        s->pieces[i] = s->pieces[j];
        s->pieces[j] = p;
    }
}

/* The queue holds offsets of nodes: after a change of the tree it begins anew, with what was found. */
static int
queue_begin(struct vos_btr *t, struct vos_evt_search *s)
{
    int rc;

    if (s->is_plain || (s->is_started && s->started_gen == s->gen))
        return 0;
    s->queue_nr = 0;
    s->restart_nr += s->is_started;
    if (s->restart_nr > VOS_EVT_RESTARTS_NR_MAX) {
        s->is_plain = true;
        return 0;
    }
    rc = root_push(t, s);
    s->is_started = rc == 0;
    s->started_gen = s->gen;
    return rc;
}

int
vos_evt_collect(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, struct vos_evt_search *s)
{
    struct vos_btr t;
    int rc;

    if (s->is_done)
        return 0;
    rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);
    if (rc == 0)
        rc = queue_begin(&t, s);
    if (rc == 0 && s->is_plain && !s->is_plain_done) {
        rc = t.depth == 0 ? root_push(&t, s) : plain_run(&t, s);
        s->is_plain_done = rc == 0;
    }
    if (rc == 0)
        rc = queue_run(&t, s);
    if (rc != 0)
        return rc;
    pieces_sort(s);
    s->is_done = true;
    return 0;
}

int
vos_evt_at(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t lo, uint64_t hi,
    uint64_t epoch, struct vos_heap *heap, bool *ret_found)
{
    uint32_t steps = op->steps_left;
    struct vos_evt_search s;
    int rc;

    vos_evt_begin(&s, heap, lo, hi, epoch, (struct vos_epoch){epoch, 0});
    s.is_any = true;
    op->steps_left = UINT32_MAX;
    rc = vos_evt_collect(op, df, df_off, &s);
    op->steps_left = steps;
    if (rc == 0)
        *ret_found = s.piece_nr > 0;
    vos_evt_fini(&s);
    return rc;
}

/* One leaf, or one step at an inner node: *i is the level of t->path at hand. */
static int
older_step(struct vos_btr *t, uint64_t lo, uint64_t hi, struct vos_epoch ver, uint32_t *i,
    bool *ret_end, bool *ret_found)
{
    struct vos_btr_pos *pos = &t->path[*i];
    const struct vos_ent_df *e;
    struct vos_ver ext;
    int rc;

    for (; pos->idx < pos->node->nr; pos->idx++) {
        e = vos_btr_ent(t, pos->node, pos->idx);
        if (e->hkey > hi)
            break;
        if (e->hi < lo || e->epoch > ver.epoch)
            continue;
        if (pos->node->level > 0) {
            rc = vos_btr_node(t, e->off, pos->node->level - 1u, &t->path[*i + 1].node);
            pos->idx++;
            t->path[++*i].idx = 0;
            return rc;
        }
        rc = vos_ext_get(t->op, e->off, &ext);
        if (rc != 0)
            return rc;
        if (vos_epoch_gt(ver, vos_ver_epoch(&ext))) {
            *ret_found = *ret_end = true;
            return 0;
        }
    }
    *ret_end = *i == 0;
    *i -= *i > 0;
    return 0;
}

int
vos_evt_has_older(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t lo,
    uint64_t hi, struct vos_epoch ver, bool *ret_found)
{
    struct vos_ver ext;
    bool end = false;
    struct vos_btr t;
    uint32_t i = 0;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);

    *ret_found = false;
    if (rc != 0)
        return rc;
    if (t.depth == 0) {
        rc = df->root == 0 ? -DER_NONEXIST : vos_ext_get(op, df->root, &ext);
        if (rc == 0) {
            *ret_found = ext.lo <= hi && ext.hi >= lo && vos_epoch_gt(ver, vos_ver_epoch(&ext));
        }
        return rc == -DER_NONEXIST ? 0 : rc;
    }
    t.path[0].idx = 0;
    rc = vos_btr_node(&t, df->root, t.depth - 1, &t.path[0].node);
    while (rc == 0 && !end) {
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = older_step(&t, lo, hi, ver, &i, &end, ret_found);
    }
    return rc;
}

int
vos_evt_hi_max(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t *ret_hi)
{
    struct vos_node_df *node;
    struct vos_ver ext;
    struct vos_btr t;
    uint64_t hi = 0;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);

    if (rc != 0)
        return rc;
    if (t.depth == 0) {
        if (df->root == 0)
            return -DER_NONEXIST;
        rc = vos_ext_get(op, df->root, &ext);
        if (rc == 0)
            *ret_hi = ext.hi;
        return rc;
    }
    rc = vos_btr_node(&t, df->root, t.depth - 1, &node);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < node->nr; i++) {
        hi = MAX(hi, vos_btr_ent(&t, node, i)->hi);
    }
    *ret_hi = hi;
    return 0;
}
