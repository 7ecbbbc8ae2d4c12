/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "vos/vos_evtree.h"

#include <stdlib.h>
#include <string.h>

int
vos_evt_insert(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t rec)
{
    struct vos_btr_key key;
    struct vos_ent_df ent;
    struct vos_epoch ver;
    struct vos_ext_df *ext;
    struct vos_btr t;
    bool exact;
    int rc = vos_ext_get(op, rec, &ext);

    if (rc != 0)
        return rc;
    ver = (struct vos_epoch){ext->ver.epoch, ext->ver.minor};
    key = (struct vos_btr_key){.hkey = ext->lo, .buf = &ver, .len = sizeof(ver)};
    ent = (struct vos_ent_df){.hkey = ext->lo, .off = rec, .hi = ext->hi, .epoch = ver.epoch};
    rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc != 0)
        return rc;
    return exact ? CAIRN_ERR(EXIST) : vos_btr_insert(&t, &ent);
}

static int
hit_add(struct vos_evt_search *s, const struct vos_ext_df *ext, uint64_t rec)
{
    struct vos_epoch ver = {ext->ver.epoch, ext->ver.minor};

    if (ext->lo > s->hi || ext->hi < s->lo || ver.epoch > s->epoch || !vos_epoch_gt(ver, s->punch))
        return 0;
    if (s->hit_nr == s->hit_cap) {
        uint32_t cap = s->hit_cap == 0 ? 16 : s->hit_cap * 2;
        struct vos_evt_hit *hits;

        if (cap > VOS_EVT_HITS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        hits = vos_heap_realloc(s->heap, s->hits, cap * sizeof(*hits));
        if (hits == NULL)
            return CAIRN_ERR(NOMEM);
        s->hits = hits;
        s->hit_cap = cap;
    }
    s->hits[s->hit_nr++] = (struct vos_evt_hit){.lo = ext->lo,
        .hi = ext->hi,
        .ver = ver,
        .rec = rec,
        .is_hole = (ext->ver.flags & VOS_VER_HOLE) != 0};
    return 0;
}

/* Whether nothing at or below an entry can matter. */
static inline bool
can_skip(const struct vos_evt_search *s, const struct vos_ent_df *e)
{
    return e->hi < s->lo || e->epoch > s->epoch;
}

/* The leaf from pos->idx on; the search resumes behind the last entry looked at. */
static int
collect_leaf(struct vos_btr *t, struct vos_evt_search *s, struct vos_btr_pos *pos, bool *ret_end)
{
    struct vos_ext_df *ext;
    int rc;

    for (; pos->idx < pos->node->nr; pos->idx++) {
        const struct vos_ent_df *e = vos_btr_ent(t, pos->node, pos->idx);
        bool skip = can_skip(s, e);

        if (e->hkey > s->hi) {
            *ret_end = true;
            return 0;
        }
        if (skip && pos->idx + 1u < pos->node->nr)
            continue;
        rc = vos_ext_get(t->op, e->off, &ext);
        if (rc == 0 && !skip)
            rc = hit_add(s, ext, e->off);
        if (rc != 0)
            return rc;
        s->has_resume = true;
        s->resume_lo = ext->lo;
        s->resume_ver = (struct vos_epoch){ext->ver.epoch, ext->ver.minor};
    }
    return 0;
}

/* Stand where the search paused: path[i].idx is what comes next at each level. */
static int
collect_resume(struct vos_btr *t, const struct vos_evt_search *s)
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

/* Depth first over what can overlap, in order, with t->path as the stack. */
static int
collect_tree(struct vos_btr *t, struct vos_evt_search *s)
{
    uint32_t i = s->has_resume ? t->depth - 1 : 0;
    bool end = false;
    int rc;

    t->path[0].idx = 0;
    rc = s->has_resume ? collect_resume(t, s)
                       : vos_btr_node(t, t->df->root, t->depth - 1, &t->path[0].node);
    while (rc == 0) {
        struct vos_btr_pos *pos = &t->path[i];

        if (t->op->steps_left == 0)
            return -DER_INPROGRESS;
        t->op->steps_left--;
        if (pos->node->level == 0) {
            rc = collect_leaf(t, s, pos, &end);
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

int
vos_evt_collect(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, struct vos_evt_search *s)
{
    struct vos_ext_df *ext;
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, df, df_off);

    if (rc != 0)
        return rc;
    if (t.depth > 0)
        return collect_tree(&t, s);
    if (df->root == 0 || s->has_resume)
        return 0;
    rc = vos_ext_get(op, df->root, &ext);
    if (rc == 0)
        rc = hit_add(s, ext, df->root);
    if (rc != 0)
        return rc;
    s->has_resume = true;
    s->resume_lo = ext->lo;
    s->resume_ver = (struct vos_epoch){ext->ver.epoch, ext->ver.minor};
    return 0;
}

void
vos_evt_fini(struct vos_evt_search *s)
{
    vos_heap_free(s->hits);
    s->hits = NULL;
    s->hit_nr = s->hit_cap = 0;
}

int
vos_evt_at(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t lo, uint64_t hi,
    uint64_t epoch, struct vos_heap *heap, bool *ret_found)
{
    struct vos_evt_search s = {.lo = lo, .hi = hi, .epoch = epoch, .punch = {epoch, 0}, .heap = heap};
    uint32_t steps = op->steps_left;
    int rc;

    op->steps_left = UINT32_MAX;
    rc = vos_evt_collect(op, df, df_off, &s);
    op->steps_left = steps;
    if (rc == 0)
        *ret_found = s.hit_nr > 0;
    vos_evt_fini(&s);
    return rc;
}

int
vos_evt_hi_max(struct vos_op *op, struct vos_tree_df *df, uint64_t df_off, uint64_t *ret_hi)
{
    struct vos_node_df *node;
    struct vos_ext_df *ext;
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
            *ret_hi = ext->hi;
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

/* ---- sweep ---------------------------------------------------------------------------------------------------------- */

int
vos_evt_sweep_init(struct vos_evt_sweep *sw, const struct vos_evt_search *s)
{
    *sw = (struct vos_evt_sweep){.s = s, .pos = s->lo};
    if (s->hit_nr == 0)
        return 0;
    sw->heap = vos_mem_get(s->hit_nr * sizeof(*sw->heap));
    return sw->heap == NULL ? CAIRN_ERR(NOMEM) : 0;
}

void
vos_evt_sweep_fini(struct vos_evt_sweep *sw)
{
    free(sw->heap);
    sw->heap = NULL;
}

static bool
is_newer(const struct vos_evt_sweep *sw, uint32_t a, uint32_t b)
{
    return vos_epoch_gt(sw->s->hits[a].ver, sw->s->hits[b].ver);
}

static void
heap_push(struct vos_evt_sweep *sw, uint32_t hit)
{
    uint32_t i = sw->heap_nr++;

    while (i > 0 && is_newer(sw, hit, sw->heap[(i - 1) / 2])) {
        sw->heap[i] = sw->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    sw->heap[i] = hit;
}

static void
heap_pop_top(struct vos_evt_sweep *sw)
{
    uint32_t hit = sw->heap[--sw->heap_nr];
    uint32_t i = 0;

    for (;;) {
        uint32_t c = 2 * i + 1;

        if (c >= sw->heap_nr)
            break;
        if (c + 1 < sw->heap_nr && is_newer(sw, sw->heap[c + 1], sw->heap[c]))
            c++;
        if (!is_newer(sw, sw->heap[c], hit))
            break;
        sw->heap[i] = sw->heap[c];
        i = c;
    }
    if (sw->heap_nr > 0)
        sw->heap[i] = hit;
}

bool
vos_evt_sweep_next(struct vos_evt_sweep *sw, uint64_t *ret_lo, uint64_t *ret_hi,
    const struct vos_evt_hit **ret_hit)
{
    const struct vos_evt_hit *hits = sw->s->hits;
    const struct vos_evt_hit *top;
    uint64_t end;

    if (sw->is_end)
        return false;
    for (;;) {
        while (sw->next < sw->s->hit_nr && hits[sw->next].lo <= sw->pos) {
            heap_push(sw, sw->next++);
        }
        while (sw->heap_nr > 0 && hits[sw->heap[0]].hi < sw->pos) {
            heap_pop_top(sw);
        }
        if (sw->heap_nr > 0)
            break;
        if (sw->next == sw->s->hit_nr) {
            sw->is_end = true;
            return false;
        }
        sw->pos = hits[sw->next].lo; /* a gap */
    }
    top = &hits[sw->heap[0]];
    end = MIN(top->hi, sw->s->hi);
    /* Up to where a newer one begins; older ones that begin below it wait in the heap. */
    while (sw->next < sw->s->hit_nr && hits[sw->next].lo <= end) {
        if (vos_epoch_gt(hits[sw->next].ver, top->ver)) {
            end = hits[sw->next].lo - 1;
            break;
        }
        heap_push(sw, sw->next++);
    }
    *ret_lo = sw->pos;
    *ret_hi = end;
    *ret_hit = top;
    if (end >= sw->s->hi)
        sw->is_end = true;
    sw->pos = end + 1;
    return true;
}
