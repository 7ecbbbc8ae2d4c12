/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The tree of a map as layouts need it: without the targets that do not count (PM-5), level by level, children side by side, with the
 * share of each among its elder siblings. Made once for each version of a map that changes it; layouts only read it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "poolmap/poolmap_priv.h"

/* Whether a target counts (PM-5). */
static bool
tgt_counts(const struct poolmap_tgt *tgt, enum poolmap_when when)
{
    if (tgt->in_ver != 0)
        return true;
    return when == POOLMAP_NEXT && (tgt->state == POOLMAP_NEW || tgt->state == POOLMAP_UP);
}

/* Targets and weight of each domain and rank, and which children each domain has. */
struct view_sums {
    uint32_t *dom_tgts;
    uint64_t *dom_weights;
    uint32_t *rank_tgts;
    uint64_t *rank_weights;
    uint32_t *kid_first; /* children of domain d: kids[kid_first[d] .. kid_first[d + 1]) */
    uint32_t *kids; /* positions of domains, of ranks below a node */
};

static void
sums_free(struct view_sums *s)
{
    free(s->dom_tgts);
    free(s->dom_weights);
    free(s->rank_tgts);
    free(s->rank_weights);
    free(s->kid_first);
    free(s->kids);
}

static int
sums_alloc(const struct poolmap *map, struct view_sums *s)
{
    s->dom_tgts = calloc(map->doms_nr, sizeof(*s->dom_tgts));
    s->dom_weights = calloc(map->doms_nr, sizeof(*s->dom_weights));
    s->rank_tgts = calloc(map->ranks_nr, sizeof(*s->rank_tgts));
    s->rank_weights = calloc(map->ranks_nr, sizeof(*s->rank_weights));
    s->kid_first = calloc((size_t)map->doms_nr + 2, sizeof(*s->kid_first));
    s->kids = calloc((size_t)map->doms_nr + map->ranks_nr, sizeof(*s->kids));
    if (s->dom_tgts == NULL || s->dom_weights == NULL || s->rank_tgts == NULL ||
        s->rank_weights == NULL || s->kid_first == NULL || s->kids == NULL)
        return CAIRN_ERR(NOMEM);
    return 0;
}

static void
sums_fill(const struct poolmap *map, enum poolmap_when when, struct view_sums *s)
{
    for (uint32_t i = 0; i < map->tgts_nr; i++) {
        const struct poolmap_tgt *tgt = &map->tgts[i];

        if (!tgt_counts(tgt, when))
            continue;
        s->rank_tgts[tgt->rank_idx]++;
        s->rank_weights[tgt->rank_idx] += tgt->weight;
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        s->dom_tgts[map->ranks[i].node_idx] += s->rank_tgts[i];
        s->dom_weights[map->ranks[i].node_idx] += s->rank_weights[i];
        s->kid_first[map->ranks[i].node_idx + 2] += s->rank_tgts[i] != 0;
    }
    /* Parents come before their children. */
    for (uint32_t i = map->doms_nr - 1; i > 0; i--) {
        s->dom_tgts[map->doms[i].parent] += s->dom_tgts[i];
        s->dom_weights[map->doms[i].parent] += s->dom_weights[i];
        s->kid_first[map->doms[i].parent + 2] += s->dom_tgts[i] != 0;
    }
    for (uint32_t i = 2; i < map->doms_nr + 2; i++) {
        s->kid_first[i] += s->kid_first[i - 1];
    }
    /* kid_first[d + 1] is where the next child of d goes, and in the end where those of d + 1 begin. */
    for (uint32_t i = 1; i < map->doms_nr; i++) {
        if (s->dom_tgts[i] != 0)
            s->kids[s->kid_first[map->doms[i].parent + 1]++] = i;
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        if (s->rank_tgts[i] != 0)
            s->kids[s->kid_first[map->ranks[i].node_idx + 1]++] = i;
    }
}

static void
part_append(struct poolmap_view *v, uint32_t up, uint32_t idx, uint32_t tgts_nr, uint64_t weight)
{
    struct poolmap_part *parent = &v->parts[up];

    v->parts[v->nr] = (struct poolmap_part){.up = up, .tgts_nr = tgts_nr, .weight = (uint32_t)weight};
    v->draws[v->nr].idx = idx;
    if (parent->nr++ == 0)
        parent->first = v->nr;
    v->nr++;
}

/* Append the children of all parts of one depth. */
static void
depth_append(const struct poolmap *map, enum poolmap_when when, const struct view_sums *s,
    struct poolmap_view *v, uint32_t depth)
{
    uint32_t end = v->depth_first[depth + 1];

    for (uint32_t up = v->depth_first[depth]; up < end; up++) {
        uint32_t idx = v->draws[up].idx;

        if (depth > map->levels_nr) {
            const struct poolmap_rank *rank = &map->ranks[idx];

            for (uint32_t t = rank->tgt_first; t < rank->tgt_first + rank->tgts_nr; t++) {
                if (!tgt_counts(&map->tgts[t], when))
                    continue;
                v->tgt_parts[t] = v->nr;
                part_append(v, up, t, 1, map->tgts[t].weight);
            }
            continue;
        }
        for (uint32_t k = s->kid_first[idx]; k < s->kid_first[idx + 1]; k++) {
            uint32_t kid = s->kids[k];

            if (depth == map->levels_nr) {
                part_append(v, up, kid, s->rank_tgts[kid], s->rank_weights[kid]);
            } else {
                part_append(v, up, kid, s->dom_tgts[kid], s->dom_weights[kid]);
            }
        }
    }
}

static void
shares_fill(struct poolmap_view *v)
{
    for (uint32_t i = 0; i < v->nr; i++) {
        const struct poolmap_part *part = &v->parts[i];
        uint64_t sum = 0;

        for (uint32_t k = part->first; k < part->first + part->nr; k++) {
            sum += v->parts[k].weight;
            v->draws[k].share =
                (uint32_t)MIN(((uint64_t)v->parts[k].weight << 32) / sum, (uint64_t)UINT32_MAX);
        }
    }
    v->draws[0].share = UINT32_MAX;
}

static void
view_free(struct poolmap_view *v)
{
    if (v == NULL)
        return;
    free(v->parts);
    free(v->draws);
    free(v->tgt_parts);
    free(v);
}

static int
view_make(const struct poolmap *map, enum poolmap_when when, struct poolmap_view **ret_view)
{
    size_t parts_max = (size_t)map->doms_nr + map->ranks_nr + map->tgts_nr;
    struct view_sums sums = {0};
    struct poolmap_view *v;
    int rc;

    v = calloc(1, sizeof(*v));
    if (v == NULL)
        return CAIRN_ERR(NOMEM);
    v->parts = calloc(parts_max, sizeof(*v->parts));
    v->draws = calloc(parts_max, sizeof(*v->draws));
    v->tgt_parts = malloc(MAX(map->tgts_nr, 1u) * sizeof(*v->tgt_parts));
    rc = v->parts == NULL || v->draws == NULL || v->tgt_parts == NULL ? CAIRN_ERR(NOMEM) : 0;
    if (rc == 0)
        rc = sums_alloc(map, &sums);
    if (rc != 0)
        goto out;
    memset(v->tgt_parts, 0xff, map->tgts_nr * sizeof(*v->tgt_parts));
    sums_fill(map, when, &sums);
    if (sums.dom_weights[0] > UINT32_MAX) {
        rc = CAIRN_ERR(OVERFLOW);
        goto out;
    }
    v->nr = 1;
    v->parts[0] =
        (struct poolmap_part){.tgts_nr = sums.dom_tgts[0], .weight = (uint32_t)sums.dom_weights[0]};
    v->depths_nr = map->levels_nr + 3;
    v->depth_first[1] = 1;
    for (uint32_t d = 0; d + 1 < v->depths_nr; d++) {
        depth_append(map, when, &sums, v, d);
        v->depth_first[d + 2] = v->nr;
    }
    shares_fill(v);
    *ret_view = v;
    v = NULL;
out:
    sums_free(&sums);
    view_free(v);
    return rc;
}

void
poolmap_views_drop(struct poolmap *map)
{
    if (map->next != map->now)
        view_free(map->next);
    view_free(map->now);
    map->now = NULL;
    map->next = NULL;
}

int
poolmap_views_make(struct poolmap *map)
{
    struct poolmap_view *now = NULL;
    struct poolmap_view *next;
    bool is_adding = false;
    int rc;

    for (uint32_t i = 0; i < map->tgts_nr && !is_adding; i++) {
        is_adding = tgt_counts(&map->tgts[i], POOLMAP_NOW) != tgt_counts(&map->tgts[i], POOLMAP_NEXT);
    }
    rc = view_make(map, POOLMAP_NOW, &now);
    if (rc != 0)
        return rc;
    next = now;
    if (is_adding)
        rc = view_make(map, POOLMAP_NEXT, &next);
    if (rc != 0) {
        view_free(now);
        return rc;
    }
    poolmap_views_drop(map);
    map->now = now;
    map->next = next;
    return 0;
}
