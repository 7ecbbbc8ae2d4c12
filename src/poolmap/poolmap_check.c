/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Whether a map keeps the rules of poolmap.h: what decodes it must have passed here before anything else looks at it. */
#include <stdlib.h>

#include "base/util.h"
#include "poolmap/poolmap_priv.h"

static bool
levels_are_valid(const struct poolmap *map)
{
    uint32_t higher = POOLMAP_LEVEL_PERF + 1;

    if (map->levels_nr == 0 || map->levels_nr > POOLMAP_LEVELS_MAX)
        return false;
    for (uint32_t i = 0; i < map->levels_nr; i++) {
        if (map->levels[i] >= higher)
            return false;
        higher = map->levels[i];
        if ((i + 1 == map->levels_nr) != (map->levels[i] == POOLMAP_LEVEL_NODE))
            return false;
    }
    for (uint32_t i = map->levels_nr; i < POOLMAP_LEVELS_MAX; i++) {
        if (map->levels[i] != 0)
            return false;
    }
    return true;
}

/* The level below a domain's among those of the map; 0 below a node. */
static uint32_t
level_below(const struct poolmap *map, uint32_t level)
{
    for (uint32_t i = 0; i < map->levels_nr; i++) {
        if (map->levels[i] < level)
            return map->levels[i];
    }
    return 0;
}

/* Domains: each one level below its parent, none empty, none twice. */
static int
doms_check(const struct poolmap *map)
{
    const struct poolmap_dom *root = &map->doms[0];
    uint64_t *sorted;
    uint32_t *kids;
    int rc = 0;

    if (root->id != 0 || root->parent != 0 || root->level != POOLMAP_LEVEL_ROOT)
        return CAIRN_ERR(DF_INVAL);
    sorted = malloc(map->doms_nr * sizeof(*sorted));
    kids = calloc(map->doms_nr, sizeof(*kids));
    if (sorted == NULL || kids == NULL)
        rc = CAIRN_ERR(NOMEM);
    for (uint32_t i = 1; rc == 0 && i < map->doms_nr; i++) {
        const struct poolmap_dom *dom = &map->doms[i];

        if (dom->parent >= i || dom->level != level_below(map, map->doms[dom->parent].level) ||
            dom->level == 0) {
            rc = CAIRN_ERR(DF_INVAL);
            break;
        }
        kids[dom->parent]++;
        sorted[i - 1] = (uint64_t)dom->level << 32 | dom->id;
    }
    for (uint32_t i = 0; rc == 0 && i < map->ranks_nr; i++) {
        kids[map->ranks[i].node_idx]++;
    }
    for (uint32_t i = 0; rc == 0 && i < map->doms_nr; i++) {
        rc = kids[i] == 0 ? CAIRN_ERR(DF_INVAL) : 0;
    }
    if (rc == 0)
        qsort(sorted, map->doms_nr - 1, sizeof(sorted[0]), poolmap_uint64_cmp);
    for (uint32_t i = 1; rc == 0 && i + 1 < map->doms_nr; i++) {
        rc = sorted[i] == sorted[i - 1] ? CAIRN_ERR(DF_INVAL) : 0;
    }
    free(sorted);
    free(kids);
    return rc;
}

static int
ranks_check(const struct poolmap *map)
{
    uint64_t *sorted;
    int rc = 0;

    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        const struct poolmap_rank *rank = &map->ranks[i];

        if (rank->tgts_nr == 0 || rank->tgts_nr > POOLMAP_RANK_TGTS_MAX ||
            rank->node_idx >= map->doms_nr ||
            map->doms[rank->node_idx].level != POOLMAP_LEVEL_NODE || rank_eq(rank->rank, RANK_NONE))
            return CAIRN_ERR(DF_INVAL);
    }
    sorted = malloc(map->ranks_nr * sizeof(*sorted));
    if (sorted == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        sorted[i] = map->ranks[i].rank.v;
    }
    qsort(sorted, map->ranks_nr, sizeof(sorted[0]), poolmap_uint64_cmp);
    for (uint32_t i = 1; i < map->ranks_nr; i++) {
        if (sorted[i] == sorted[i - 1])
            rc = CAIRN_ERR(DF_INVAL);
    }
    free(sorted);
    return rc;
}

/* What the versions of a target must be in its state. */
static bool
tgt_state_is_valid(const struct poolmap_tgt *tgt)
{
    bool is_out = tgt->out_ver != 0;

    if (tgt->drained > 1 || (tgt->drained == 1 && !is_out))
        return false;
    switch (tgt->state) {
    case POOLMAP_UPIN:
        return tgt->in_ver != 0 && tgt->fail_seq == 0 && !is_out;
    case POOLMAP_NEW:
        return tgt->in_ver == 0 && tgt->fail_seq == 0 && !is_out;
    case POOLMAP_DRAIN:
        return tgt->in_ver != 0 && tgt->fail_seq != 0 && !is_out;
    case POOLMAP_DOWN:
        return tgt->fail_seq != 0 && !is_out;
    case POOLMAP_DOWN_OUT:
        return tgt->fail_seq != 0 && is_out;
    case POOLMAP_UP:
        return tgt->fail_seq != 0;
    default:
        return false;
    }
}

static bool
tgt_is_valid(const struct poolmap *map, uint32_t id)
{
    const struct poolmap_tgt *tgt = &map->tgts[id];
    const struct poolmap_rank *rank;

    if (tgt->id != id || tgt->rank_idx >= map->ranks_nr || tgt->weight == 0)
        return false;
    rank = &map->ranks[tgt->rank_idx];
    if (tgt->tgt_idx >= rank->tgts_nr || rank->tgt_first + tgt->tgt_idx != id)
        return false;
    if (tgt->added_ver == 0 || tgt->added_ver > tgt->changed_ver || tgt->changed_ver > map->version)
        return false;
    if ((tgt->in_ver != 0 && tgt->in_ver < tgt->added_ver) || tgt->in_ver > tgt->changed_ver ||
        tgt->fail_seq > tgt->changed_ver || (tgt->fail_seq != 0 && tgt->fail_seq <= tgt->in_ver) ||
        (tgt->fail_seq != 0 && tgt->fail_seq <= tgt->added_ver) ||
        tgt->out_ver > tgt->changed_ver || (tgt->out_ver != 0 && tgt->out_ver <= tgt->fail_seq))
        return false;
    return tgt_state_is_valid(tgt);
}

int
poolmap_check(const struct poolmap *map)
{
    int rc;

    if (map->version == 0 || map->ranks_nr == 0 || map->doms_nr < 2 || !levels_are_valid(map))
        return CAIRN_ERR(DF_INVAL);
    rc = ranks_check(map);
    if (rc == 0)
        rc = doms_check(map);
    for (uint32_t i = 0; rc == 0 && i < map->tgts_nr; i++) {
        rc = tgt_is_valid(map, i) ? 0 : CAIRN_ERR(DF_INVAL);
    }
    return rc;
}
