/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Layout version 1.
 *
 * Shards take targets one after another. Shard s draws numbers from (object id, s, attempt); each is mapped to one of the n targets of
 * the map by jump consistent hash over target ids. Because ids only grow at the end (PM-2), n + 1 targets leave each draw where it was
 * with probability n/(n+1): PL-5. Targets weigh alike, so that a node or rank gets shards in proportion to its targets.
 *
 * A draw is taken when the target holds no more shards of the object than the round (s / n) allows, and lies in a domain that its group
 * does not use yet (PL-4). After LAYOUT_DRAWS_NR draws the next fitting target after the last draw is taken; when none fits, first
 * evenness is given up, then the domains.
 *
 * A shard of a redundant class whose target failed gets a spare by the same walk from another seed, among serving targets that the object
 * does not use. Spares are given out in the order in which the targets failed, so that a later failure leaves earlier spares
 * where they are. Objects without redundancy keep their targets: there is nothing to rebuild from.
 *
 * Rejected: rendezvous hashing, n draws for each shard, too slow for classes over all targets; walking the tree domain by domain, which
 * needs weights where domains differ in size.
 */
#include "placement/placement.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/util.h"

#define LAYOUT_DRAWS_NR 16u
#define LAYOUT_SEED_FIRST UINT64_C(0x434149524e504c31)
#define LAYOUT_SEED_SPARE UINT64_C(0x434149524e535031)
#define LAYOUT_STEP UINT64_C(0x9e3779b97f4a7c15)
/* Up to so many shards, searching them beats an array over all targets. */
#define LAYOUT_SCAN_SHARDS_NR 16u

/* One computation. */
struct layout_ctx {
    const struct poolmap *map;
    struct placement_layout *layout;
    uint32_t *used; /* shards by target; NULL for few shards */
    uint64_t key; /* of the object */
    uint32_t cand_nr; /* candidates are the targets [0, cand_nr) */
    uint32_t placed_nr; /* shards that have a target */
    enum poolmap_level distinct; /* level on which the shards of a group differ, if they can */
    bool is_distinct;
    uint32_t tgt_mask; /* states that are taken */
};

uint32_t
placement_jump_hash(uint64_t key, uint32_t buckets_nr)
{
    int64_t bucket = -1;
    int64_t next = 0;

    CAIRN_ASSERT(buckets_nr > 0);
    while (next < buckets_nr) {
        bucket = next;
        key = key * UINT64_C(2862933555777941757) + 1;
        next = (int64_t)((double)(bucket + 1) *
            ((double)(INT64_C(1) << 31) / (double)((key >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

uint32_t
placement_dkey_grp(const struct placement_layout *layout, uint64_t dkey_hash)
{
    return (uint32_t)(dkey_hash % layout->grp_nr);
}

/* Candidates: all targets up to the last that is not new; those added since hold nothing yet. */
static uint32_t
candidates_nr(const struct poolmap *map)
{
    uint32_t nr = map->tgts_nr;

    while (nr > 0 && map->tgts[nr - 1].state == POOLMAP_NEW) {
        nr--;
    }
    return nr;
}

/* Highest level with enough domains for the shards of a group; false when there are not even enough targets. */
static bool
distinct_level(
    const struct poolmap *map, uint32_t cand_nr, uint32_t grp_size, enum poolmap_level *ret_level)
{
    uint32_t nodes_nr = 0;
    uint32_t ranks_nr = 0;

    /* Ranks and nodes are in the order of their first target. */
    for (; ranks_nr < map->ranks_nr && map->ranks[ranks_nr].tgt_first < cand_nr; ranks_nr++) {
        nodes_nr = MAX(nodes_nr, map->ranks[ranks_nr].node_idx + 1);
    }
    if (nodes_nr >= grp_size) {
        *ret_level = POOLMAP_LEVEL_NODE;
    } else if (ranks_nr >= grp_size) {
        *ret_level = POOLMAP_LEVEL_RANK;
    } else {
        *ret_level = POOLMAP_LEVEL_TGT;
    }
    return cand_nr >= grp_size;
}

static uint32_t
domain_of(const struct layout_ctx *ctx, uint32_t tgt_id)
{
    const struct poolmap_tgt *tgt = &ctx->map->tgts[tgt_id];

    switch (ctx->distinct) {
    case POOLMAP_LEVEL_NODE:
        return ctx->map->ranks[tgt->rank_idx].node_idx;
    case POOLMAP_LEVEL_RANK:
        return tgt->rank_idx;
    default:
        return tgt_id;
    }
}

static uint32_t
times_used(const struct layout_ctx *ctx, uint32_t tgt_id)
{
    uint32_t times = 0;

    if (ctx->used != NULL)
        return ctx->used[tgt_id];
    for (uint32_t i = 0; i < ctx->placed_nr; i++) {
        times += ctx->layout->shards[i].tgt_id == tgt_id;
    }
    return times;
}

/* Whether another placed shard of the group of *shard* is in the target's domain. */
static bool
group_has_domain(const struct layout_ctx *ctx, uint32_t shard, uint32_t tgt_id)
{
    uint32_t first = shard - shard % ctx->layout->grp_size;
    uint32_t end = MIN(first + ctx->layout->grp_size, ctx->placed_nr);
    uint32_t domain = domain_of(ctx, tgt_id);

    for (uint32_t i = first; i < end; i++) {
        if (i != shard && domain_of(ctx, ctx->layout->shards[i].tgt_id) == domain)
            return true;
    }
    return false;
}

enum fit { FIT_BEST, FIT_UNEVEN, FIT_ANY, FIT_NR };

static bool
fits(const struct layout_ctx *ctx, uint32_t shard, uint32_t tgt_id, uint32_t used_max, enum fit fit)
{
    if ((POOLMAP_BIT(ctx->map->tgts[tgt_id].state) & ctx->tgt_mask) == 0)
        return false;
    if (fit < FIT_ANY && ctx->is_distinct && group_has_domain(ctx, shard, tgt_id))
        return false;
    return fit > FIT_BEST || times_used(ctx, tgt_id) <= used_max;
}

/*
 * Find a target for *shard* that holds at most *used_max* shards of the object, worse ones down to *worst*.
 * False when there is none.
 */
static bool
target_draw(const struct layout_ctx *ctx, uint32_t shard, uint64_t seed, uint32_t used_max,
    enum fit worst, uint32_t *ret_tgt_id)
{
    uint64_t base = ctx->key ^ seed;
    uint32_t tgt_id = 0;

    for (uint32_t i = 0; i < LAYOUT_DRAWS_NR; i++) {
        uint64_t nr = (uint64_t)shard * LAYOUT_DRAWS_NR + i + 1;

        tgt_id = placement_jump_hash(hash_mix64(base + nr * LAYOUT_STEP), ctx->cand_nr);
        if (fits(ctx, shard, tgt_id, used_max, FIT_BEST)) {
            *ret_tgt_id = tgt_id;
            return true;
        }
    }
    for (int fit = FIT_BEST; fit <= (int)worst; fit++) {
        for (uint32_t i = 1; i <= ctx->cand_nr; i++) {
            uint32_t next = (tgt_id + i) % ctx->cand_nr;

            if (fits(ctx, shard, next, used_max, (enum fit)fit)) {
                *ret_tgt_id = next;
                return true;
            }
        }
    }
    return false;
}

/* Targets for all shards, whatever state the targets are in. */
static void
place_all(struct layout_ctx *ctx)
{
    uint32_t shards_nr = placement_shards_nr(ctx->layout);

    ctx->tgt_mask = POOLMAP_ANY;
    for (uint32_t i = 0; i < shards_nr; i++) {
        uint32_t tgt_id = 0;
        bool found = target_draw(ctx, i, LAYOUT_SEED_FIRST, i / ctx->cand_nr, FIT_ANY, &tgt_id);

        CAIRN_ASSERT(found);
        ctx->layout->shards[i] = (struct placement_shard){.tgt_id = tgt_id};
        ctx->placed_nr = i + 1;
        if (ctx->used != NULL)
            ctx->used[tgt_id]++;
    }
}

static bool
is_serving(const struct poolmap_tgt *tgt)
{
    return (POOLMAP_BIT(tgt->state) & POOLMAP_SERVING) != 0;
}

/* A spare for a shard whose target failed; marked lost when there is none. */
static void
place_spare(struct layout_ctx *ctx, uint32_t shard)
{
    struct placement_shard *s = &ctx->layout->shards[shard];
    const struct poolmap_tgt *failed = &ctx->map->tgts[s->tgt_id];
    uint32_t tgt_id;

    if (ctx->layout->grp_size == 1 ||
        !target_draw(ctx, shard, LAYOUT_SEED_SPARE, 0, FIT_BEST, &tgt_id)) {
        s->flags = PLACEMENT_SHARD_LOST;
        return;
    }
    s->tgt_id = tgt_id;
    s->flags = failed->state == POOLMAP_DOWN ? PLACEMENT_SHARD_REBUILDING : 0;
    if (ctx->used != NULL)
        ctx->used[tgt_id]++;
}

static int
uint64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Spares for the shards whose targets do not serve, in the order (map version of the failure, shard). */
static int
place_spares(struct layout_ctx *ctx)
{
    uint32_t shards_nr = placement_shards_nr(ctx->layout);
    uint64_t *failed = NULL;
    uint32_t failed_nr = 0;

    for (uint32_t i = 0; i < shards_nr; i++) {
        failed_nr += !is_serving(&ctx->map->tgts[ctx->layout->shards[i].tgt_id]);
    }
    if (failed_nr == 0)
        return 0;
    failed = calloc(failed_nr, sizeof(*failed));
    if (failed == NULL)
        return CAIRN_ERR(NOMEM);
    failed_nr = 0;
    for (uint32_t i = 0; i < shards_nr; i++) {
        const struct poolmap_tgt *tgt = &ctx->map->tgts[ctx->layout->shards[i].tgt_id];

        if (!is_serving(tgt))
            failed[failed_nr++] = (uint64_t)tgt->changed_ver << 32 | i;
    }
    qsort(failed, failed_nr, sizeof(failed[0]), uint64_cmp);
    ctx->tgt_mask = POOLMAP_BIT(POOLMAP_UPIN);
    for (uint32_t i = 0; i < failed_nr; i++) {
        place_spare(ctx, (uint32_t)failed[i]);
    }
    free(failed);
    return 0;
}

/* Memory for the shards, and for the counts when there are many. */
static int
layout_alloc(struct layout_ctx *ctx, const struct placement_oclass *oclass)
{
    uint64_t shards_nr = (uint64_t)oclass->grp_nr * placement_oclass_grp_size(oclass);

    if (shards_nr > PLACEMENT_SHARDS_MAX)
        return CAIRN_ERR(OVERFLOW);
    ctx->layout->map_version = ctx->map->version;
    ctx->layout->grp_nr = oclass->grp_nr;
    ctx->layout->grp_size = placement_oclass_grp_size(oclass);
    ctx->layout->shards = calloc(shards_nr, sizeof(ctx->layout->shards[0]));
    if (shards_nr > LAYOUT_SCAN_SHARDS_NR)
        ctx->used = calloc(ctx->map->tgts_nr, sizeof(ctx->used[0]));
    if (ctx->layout->shards == NULL || (shards_nr > LAYOUT_SCAN_SHARDS_NR && ctx->used == NULL))
        return CAIRN_ERR(NOMEM);
    return 0;
}

int
placement_layout(const struct poolmap *map, struct oid oid, uint32_t layout_version,
    struct placement_layout *ret)
{
    struct placement_layout layout = {0};
    struct layout_ctx ctx = {.map = map, .layout = &layout, .key = oid_hash(oid)};
    struct placement_oclass oclass;
    int rc;

    if (layout_version != PLACEMENT_LAYOUT_VERSION)
        return CAIRN_ERR(DF_INCOMPT);
    rc = placement_oid_check(oid);
    if (rc == 0)
        rc = placement_oclass_from_id(placement_oid_oclass(oid), &oclass);
    if (rc != 0)
        return rc;
    ctx.cand_nr = candidates_nr(map);
    if (ctx.cand_nr == 0 || oclass.grp_nr == PLACEMENT_GRP_ALL)
        return CAIRN_ERR(INVAL);
    rc = layout_alloc(&ctx, &oclass);
    if (rc != 0)
        goto out;
    ctx.is_distinct = distinct_level(map, ctx.cand_nr, layout.grp_size, &ctx.distinct);
    place_all(&ctx);
    rc = place_spares(&ctx);
    if (rc != 0)
        goto out;
    *ret = layout;
    layout.shards = NULL;
out:
    free(ctx.used);
    placement_layout_fini(&layout);
    return rc;
}

void
placement_layout_fini(struct placement_layout *layout)
{
    free(layout->shards);
    layout->shards = NULL;
}
