/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Layout version 2.
 *
 * Where shards lie when nothing has failed is a matter of tree and weights alone: placement_spread.c for objects of one group,
 * placement_wide.c for others. States come after that, twice:
 *
 *  NOW   what is in use: targets that have served (poolmap_view NOW); out are those that are DOWN, DOWN_OUT, UP, DRAIN.
 *  NEXT  what will be when all that the map says is under way is done: NEW and UP targets count, out are DOWN, DOWN_OUT, DRAIN.
 *
 * A shard whose target is out gets a spare. Failures are replayed in the order of fail_seq (PL-6): a queue of shards by (fail_seq of
 * the target, number of the shard); the first one draws targets by weight until one fits that was not out by then. If that one
 * is out since a later time, the shard goes into the queue again with that time. So a further failure adds to the end of the history
 * and changes nothing before it. A drain is part of it from its beginning on, so that it may turn into a failure at any time; until then
 * the shard stays in use where it is: the first target of its way that is in state DRAIN is its home.
 *
 * A spare fits when it keeps the caps of the group (placement_priv.h) and the object does not use it; if a number of draws finds none,
 * one that the object uses already will do; then every target is looked at. There is none when the group has a shard in every domain
 * that is left: the shard is LOST until something comes back. Shards without redundancy are LOST where they are when their target fails,
 * since there is nothing to rebuild from; from one that is drained they can be moved, and as long as it serves it is a source for
 * whatever happens where they go. The history goes on for them all the same: what becomes of the others does not depend on it.
 *
 * Where a shard is in use and where it ends in NEXT differ, it is MOVING (PL-7): drain, reintegration and extension are nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "placement/placement_priv.h"

#define LAYOUT_DRAWS_NR 24u
#define LAYOUT_KEY_GROUP UINT64_C(0x434149524e504c32)
#define LAYOUT_KEY_SPARE UINT64_C(0x434149524e535032)

#define LAYOUT_STUCK \
    0x80u /* beside enum placement_shard_flags: nothing took the place of its last target */

/* Targets of all shards at one time. */
struct layout_side {
    const struct poolmap *map;
    struct placement_ctx ctx;
    enum poolmap_when when;
    uint32_t shards_nr;
    uint32_t *tgts; /* by shard: the last of its way */
    uint32_t *homes; /* by shard: the target of its way where it is, before the last one, or PLACEMENT_TGT_NONE; NULL: nothing is out */
    uint32_t *safe; /* by shard: the version until which a target that is or was drained had all of it */
    uint8_t *flags; /* by shard, enum placement_shard_flags, of its home if there is one */
    uint32_t *used; /* shards by target, made when the first spare is needed */
};

/* A shard whose target is out, and since when. */
struct layout_event {
    uint32_t fail_seq;
    uint32_t shard;
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

/* ---- failures ----------------------------------------------------------------------------------------------------------- */

static uint32_t
out_mask(enum poolmap_when when)
{
    return POOLMAP_BIT(POOLMAP_DOWN) | POOLMAP_BIT(POOLMAP_DOWN_OUT) | POOLMAP_BIT(POOLMAP_DRAIN) |
        (when == POOLMAP_NOW ? POOLMAP_BIT(POOLMAP_UP) : 0);
}

static bool
is_out(const struct layout_side *side, uint32_t tgt_id)
{
    return (POOLMAP_BIT(side->map->tgts[tgt_id].state) & out_mask(side->when)) != 0;
}

static bool
event_before(const struct layout_event *a, const struct layout_event *b)
{
    return a->fail_seq != b->fail_seq ? a->fail_seq < b->fail_seq : a->shard < b->shard;
}

/* A heap with the first event on top. */
static void
events_down(struct layout_event *events, uint32_t nr, uint32_t at)
{
    for (;;) {
        uint32_t best = at;
        struct layout_event event = events[at];

        for (uint32_t kid = 2 * at + 1; kid < MIN(2 * at + 3, nr); kid++) {
            if (event_before(&events[kid], &events[best]))
                best = kid;
        }
        if (best == at)
            return;
        events[at] = events[best];
        events[best] = event;
        at = best;
    }
}

/* Whether the group of *shard* leaves room in all that is above a target, and does not use the target itself. */
static bool
group_allows(const struct layout_side *side, uint32_t shard, uint32_t tgt_id)
{
    const struct placement_ctx *ctx = &side->ctx;
    uint32_t first = shard - shard % ctx->grp_size;

    for (uint32_t s = first; s < first + ctx->grp_size; s++) {
        if (s != shard && side->tgts[s] == tgt_id)
            return false;
    }
    for (uint32_t depth = ctx->distinct; depth > 0; depth--) {
        uint32_t part;
        uint32_t nr = 0;

        if (ctx->caps[depth] >= ctx->grp_size)
            continue;
        part = placement_part_of(ctx->view, tgt_id, depth);
        for (uint32_t s = first; s < first + ctx->grp_size; s++) {
            nr += s != shard && placement_part_of(ctx->view, side->tgts[s], depth) == part;
        }
        if (nr >= ctx->caps[depth])
            return false;
    }
    return true;
}

/* Whether a target may be a spare for a failure at *fail_seq*: it was not out by then. */
static bool
spare_fits(const struct layout_side *side, uint32_t shard, uint32_t tgt_id, uint32_t fail_seq)
{
    if (is_out(side, tgt_id) && side->map->tgts[tgt_id].fail_seq <= fail_seq)
        return false;
    return side->tgts[shard] != tgt_id && group_allows(side, shard, tgt_id);
}

/* A spare, or PLACEMENT_TGT_NONE. */
static uint32_t
spare_find(const struct layout_side *side, uint32_t shard, uint32_t fail_seq)
{
    const struct poolmap_view *view = side->ctx.view;
    uint32_t leaf_first = view->depth_first[view->depths_nr - 1];
    uint32_t leaves_nr = view->nr - leaf_first;
    uint64_t key = hash_mix64((side->ctx.key ^ LAYOUT_KEY_SPARE) +
        (((uint64_t)side->tgts[shard] << 32 | shard) + 1) * PLACEMENT_STEP);
    uint32_t used = PLACEMENT_TGT_NONE;
    uint32_t tgt_id = 0;

    for (uint32_t i = 0; i < LAYOUT_DRAWS_NR; i++) {
        tgt_id = placement_draw(view, hash_mix64(key + (i + 1) * PLACEMENT_STEP));
        if (!spare_fits(side, shard, tgt_id, fail_seq))
            continue;
        if (side->used[tgt_id] == 0)
            return tgt_id;
        if (used == PLACEMENT_TGT_NONE)
            used = tgt_id;
    }
    for (uint32_t i = 0; used == PLACEMENT_TGT_NONE && i < leaves_nr; i++) {
        tgt_id = view->draws[leaf_first + (uint32_t)(((key >> 32) + i) % leaves_nr)].idx;
        if (spare_fits(side, shard, tgt_id, fail_seq))
            used = tgt_id;
    }
    return used;
}

/* Shards whose targets are out, as a heap. */
static int
events_collect(const struct layout_side *side, struct layout_event **ret_events, uint32_t *ret_nr)
{
    struct layout_event *events;
    uint32_t nr = 0;

    for (uint32_t i = 0; i < side->shards_nr; i++) {
        nr += is_out(side, side->tgts[i]);
    }
    if (nr == 0) {
        *ret_events = NULL;
        *ret_nr = 0;
        return 0;
    }
    events = malloc(nr * sizeof(*events));
    if (events == NULL)
        return CAIRN_ERR(NOMEM);
    nr = 0;
    for (uint32_t i = 0; i < side->shards_nr; i++) {
        if (is_out(side, side->tgts[i]))
            events[nr++] = (struct layout_event){side->map->tgts[side->tgts[i]].fail_seq, i};
    }
    for (uint32_t i = nr / 2; i-- > 0;) {
        events_down(events, nr, i);
    }
    *ret_events = events;
    *ret_nr = nr;
    return 0;
}

/*
 * One step of the history: the shard leaves its target. False when that was the last one for it, else *event* says when the spare went
 * out, too.
 */
static bool
shard_leave(struct layout_side *side, struct layout_event *event)
{
    uint32_t shard = event->shard;
    const struct poolmap_tgt *tgt = &side->map->tgts[side->tgts[shard]];
    bool has_source =
        side->ctx.grp_size > 1 || tgt->drained != 0 || side->safe[shard] > event->fail_seq;
    bool has_home = side->homes[shard] != PLACEMENT_TGT_NONE;
    uint32_t spare = spare_find(side, shard, event->fail_seq);

    if (tgt->state == POOLMAP_DRAIN || tgt->drained != 0)
        side->safe[shard] = MAX(side->safe[shard], tgt->drained != 0 ? tgt->out_ver : UINT32_MAX);
    if (!has_home && tgt->state == POOLMAP_DRAIN) {
        side->homes[shard] = tgt->id;
    } else if (!has_home && (!has_source || spare == PLACEMENT_TGT_NONE)) {
        side->homes[shard] = tgt->id;
        side->flags[shard] = LAYOUT_STUCK | PLACEMENT_SHARD_LOST;
    } else if (!has_home && tgt->out_ver == 0) {
        side->flags[shard] |= PLACEMENT_SHARD_REBUILDING;
    }
    if (spare == PLACEMENT_TGT_NONE) {
        side->flags[shard] |= LAYOUT_STUCK;
        return false;
    }
    side->used[side->tgts[shard]]--;
    side->tgts[shard] = spare;
    side->used[spare]++;
    event->fail_seq = side->map->tgts[spare].fail_seq;
    return is_out(side, spare);
}

static int
failures_replay(struct layout_side *side)
{
    struct layout_event *events;
    uint32_t nr;
    int rc;

    rc = events_collect(side, &events, &nr);
    if (rc != 0 || nr == 0)
        return rc;
    side->used = calloc(side->map->tgts_nr, sizeof(*side->used));
    side->homes = malloc(side->shards_nr * sizeof(*side->homes));
    side->safe = calloc(side->shards_nr, sizeof(*side->safe));
    if (side->used == NULL || side->homes == NULL || side->safe == NULL) {
        free(events);
        return CAIRN_ERR(NOMEM);
    }
    memset(side->homes, 0xff, side->shards_nr * sizeof(*side->homes));
    for (uint32_t i = 0; i < side->shards_nr; i++) {
        side->used[side->tgts[i]]++;
    }
    while (nr > 0) {
        if (!shard_leave(side, &events[0]))
            events[0] = events[--nr];
        events_down(events, nr, 0);
    }
    free(events);
    return 0;
}

/* ---- both times --------------------------------------------------------------------------------------------------------- */

static void
side_fini(struct layout_side *side)
{
    free(side->tgts);
    free(side->homes);
    free(side->safe);
    free(side->flags);
    free(side->used);
}

/* Depth of the performance domains, when they matter and are there. */
static uint32_t
perf_depth_of(const struct poolmap *map, const struct placement_how *how)
{
    for (uint32_t i = 0; i < map->levels_nr; i++) {
        if (map->levels[i] == POOLMAP_LEVEL_PERF && how->perf_level == POOLMAP_LEVEL_PERF)
            return i + 1;
    }
    return 0;
}

static int
side_spread(struct layout_side *side)
{
    const struct placement_ctx *ctx = &side->ctx;

    if (ctx->grp_nr > 1 && ctx->perf_depth == 0)
        return placement_wide(ctx, side->tgts);
    for (uint32_t g = 0; g < ctx->grp_nr; g++) {
        uint64_t key = hash_mix64((ctx->key ^ LAYOUT_KEY_GROUP) + (g + 1) * PLACEMENT_STEP);

        placement_spread(ctx, key, side->tgts + (size_t)g * ctx->grp_size);
    }
    return 0;
}

/* The layout at one time. */
static int
side_make(const struct poolmap *map, struct oid oid, const struct placement_how *how,
    const struct placement_oclass *oclass, struct layout_side *side)
{
    struct placement_ctx *ctx = &side->ctx;
    int rc;

    side->map = map;
    side->shards_nr = oclass->grp_nr * placement_oclass_grp_size(oclass);
    ctx->view = poolmap_view(map, side->when);
    ctx->key = oid_hash(oid);
    ctx->grp_nr = oclass->grp_nr;
    ctx->grp_size = placement_oclass_grp_size(oclass);
    ctx->perf_depth = perf_depth_of(map, how);
    ctx->pda = how->pda == 0 ? ctx->grp_size : MIN(how->pda, ctx->grp_size);
    placement_caps_fill(ctx);
    side->tgts = malloc(side->shards_nr * sizeof(*side->tgts));
    side->flags = calloc(side->shards_nr, sizeof(*side->flags));
    if (side->tgts == NULL || side->flags == NULL)
        return CAIRN_ERR(NOMEM);
    rc = side_spread(side);
    if (rc == 0 && map->state_nr[POOLMAP_UPIN] != map->tgts_nr)
        rc = failures_replay(side);
    return rc;
}

/* Whether NEXT has another history than NOW. */
static bool
map_has_next(const struct poolmap *map)
{
    return map->now != map->next || map->state_nr[POOLMAP_UP] != 0;
}

/* Put both times together. */
static void
shards_fill(
    struct placement_layout *layout, const struct layout_side *now, const struct layout_side *next)
{
    for (uint32_t i = 0; i < now->shards_nr; i++) {
        struct placement_shard *shard = &layout->shards[i];
        bool has_home = now->homes != NULL && now->homes[i] != PLACEMENT_TGT_NONE;

        *shard = (struct placement_shard){.tgt_id = has_home ? now->homes[i] : now->tgts[i],
            .next_id = PLACEMENT_TGT_NONE,
            .flags = now->flags[i] & ~LAYOUT_STUCK};
        if (next->tgts[i] == shard->tgt_id || (next->flags[i] & LAYOUT_STUCK) != 0)
            continue;
        shard->next_id = next->tgts[i];
        shard->flags |= PLACEMENT_SHARD_MOVING;
    }
}

int
placement_layout_how(const struct poolmap *map, struct oid oid, const struct placement_how *how,
    struct placement_layout *ret)
{
    struct layout_side now = {.when = POOLMAP_NOW};
    struct layout_side next = {.when = POOLMAP_NEXT};
    struct placement_layout layout = {0};
    struct placement_oclass oclass;
    int rc;

    if (how->layout_version != PLACEMENT_LAYOUT_VERSION)
        return CAIRN_ERR(DF_INCOMPT);
    rc = placement_oid_check(oid);
    if (rc == 0)
        rc = placement_oclass_from_id(placement_oid_oclass(oid), &oclass);
    if (rc != 0)
        return rc;
    if (map->now->parts[0].tgts_nr == 0 || oclass.grp_nr == PLACEMENT_GRP_ALL)
        return CAIRN_ERR(INVAL);
    layout.map_version = map->version;
    layout.grp_nr = oclass.grp_nr;
    layout.grp_size = placement_oclass_grp_size(&oclass);
    if ((uint64_t)layout.grp_nr * layout.grp_size > PLACEMENT_SHARDS_MAX)
        return CAIRN_ERR(OVERFLOW);
    layout.shards = malloc(placement_shards_nr(&layout) * sizeof(layout.shards[0]));
    if (layout.shards == NULL)
        return CAIRN_ERR(NOMEM);
    rc = side_make(map, oid, how, &oclass, &now);
    if (rc == 0 && map_has_next(map))
        rc = side_make(map, oid, how, &oclass, &next);
    if (rc != 0)
        goto out;
    shards_fill(&layout, &now, next.tgts != NULL ? &next : &now);
    *ret = layout;
    layout.shards = NULL;
out:
    side_fini(&now);
    side_fini(&next);
    placement_layout_fini(&layout);
    return rc;
}

void
placement_layout_fini(struct placement_layout *layout)
{
    free(layout->shards);
    layout->shards = NULL;
}
