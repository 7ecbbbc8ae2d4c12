/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The shards of one group go down the tree. In each part, its children come one after another, in the order in which they were added to the
 * map, and each takes some of the shards from its elder siblings. So a younger sibling changes nothing but what it takes: what moves
 * is what must (PL-5), as with jump consistent hashing, of which this is the form for several shards that must differ and for weights.
 *
 * Of c shards and a child d with weight w of W, its elder siblings and itself:
 *  - As long as there are fewer children than shards, d takes about c w / W, but evenness goes first: what lies in a child is at most the
 *    smallest cap for which all find room, in domains of the level on which they must differ (PL-4).
 *  - From then on each child holds at most one, and d takes one with the probability c w / W: from each with the same, so that all
 *    chances shrink alike and stay in proportion to the weights. This is the sampling plan of Chao (1982). A child whose share were more than
 *    one shard has one always; what it cannot take goes to the others: capped children below.
 *
 * All in integers of 32 and 64 bits: the same on every machine (PL-1).
 */
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "placement/placement_priv.h"

#define SPREAD_ONE (UINT64_C(1) << 24) /* probability 1 where children are capped */

uint32_t
placement_below_nr(const struct poolmap_view *view, uint32_t part, uint32_t part_depth, uint32_t depth)
{
    uint32_t first = part;
    uint32_t last = part;

    if (depth + 1 == view->depths_nr)
        return view->parts[part].tgts_nr;
    for (uint32_t d = part_depth; d < depth; d++) {
        first = view->parts[first].first;
        last = view->parts[last].first + view->parts[last].nr - 1;
    }
    return last - first + 1;
}

/* Smallest cap with which *want* shards find room in parts of one depth; *want* when there is none. */
static uint32_t
cap_of(const struct poolmap_view *view, uint32_t depth, uint32_t distinct, uint32_t want)
{
    uint32_t first = view->depth_first[depth];
    uint32_t nr = view->depth_first[depth + 1] - first;

    for (uint32_t cap = DIV_UP(want, nr); cap < want; cap++) {
        uint64_t room = 0;

        for (uint32_t i = 0; i < nr && room < want; i++) {
            room += MIN(cap, placement_below_nr(view, first + i, depth, distinct));
        }
        if (room >= want)
            return cap;
    }
    return want;
}

void
placement_caps_fill(struct placement_ctx *ctx)
{
    const struct poolmap_view *view = ctx->view;

    ctx->distinct = 0;
    for (uint32_t d = ctx->perf_depth + 1; d < view->depths_nr && ctx->distinct == 0; d++) {
        if (view->depth_first[d + 1] - view->depth_first[d] >= ctx->grp_size)
            ctx->distinct = d;
    }
    for (uint32_t d = 1; d <= ctx->distinct; d++) {
        ctx->caps[d] =
            d == ctx->perf_depth ? ctx->pda : cap_of(view, d, ctx->distinct, ctx->grp_size);
        if (ctx->perf_depth != 0 && d != ctx->distinct)
            ctx->caps[d] = MAX(ctx->caps[d], ctx->pda);
    }
}

/* Shards of a group at the children of one part: *owners* says which child each has. */
struct spread_level {
    const struct poolmap_view *view;
    uint64_t key; /* of the depth of the children */
    uint32_t first; /* position of the first child */
    uint32_t nr; /* of children */
    uint32_t shards_nr;
    uint32_t *owners; /* by shard: number of the child, 0..nr-1 */
};

/* Children whose share is more than one shard: they have one, always. */
struct spread_caps {
    uint32_t nr;
    uint64_t free_weight; /* of the children so far that are not capped */
    uint32_t kids[PLACEMENT_GRP_SIZE_MAX + 1];
};

static uint32_t
weight_of(const struct spread_level *l, uint32_t kid)
{
    return l->view->parts[l->first + kid].weight;
}

/* The smallest cap for children 0..kids_nr-1, whose room is *room*. */
static uint32_t
even_cap(const uint32_t *room, uint32_t kids_nr, uint32_t shards_nr)
{
    for (uint32_t cap = DIV_UP(shards_nr, kids_nr); cap < shards_nr; cap++) {
        uint32_t sum = 0;

        for (uint32_t i = 0; i < kids_nr; i++) {
            sum += MIN(cap, room[i]);
        }
        if (sum >= shards_nr)
            return cap;
    }
    return shards_nr;
}

/* Of the elder siblings: one that is over its cap before others, then the one that has most; ties by *hash*. */
static uint32_t
donor_of(const uint32_t *counts, const uint32_t *caps, uint32_t kids_nr, uint64_t hash)
{
    uint32_t best = (uint32_t)(hash % kids_nr);
    uint32_t kid = best;

    for (uint32_t i = 1; i < kids_nr; i++) {
        bool is_over, best_is_over;

        kid = kid + 1 == kids_nr ? 0 : kid + 1;
        is_over = counts[kid] > caps[kid];
        best_is_over = counts[best] > caps[best];
        if (is_over != best_is_over ? is_over : counts[kid] > counts[best])
            best = kid;
    }
    return best;
}

/* Give the *nth* shard of child *from* to child *to*. */
static void
shard_give(struct spread_level *l, uint32_t *counts, uint32_t from, uint32_t to, uint32_t nth)
{
    for (uint32_t i = 0; i < l->shards_nr; i++) {
        if (l->owners[i] != from || nth-- != 0)
            continue;
        l->owners[i] = to;
        counts[from]--;
        counts[to]++;
        return;
    }
}

/* Caps of children 0..kid: what evenness and their room allow. */
static uint32_t
caps_of(const uint32_t *room, uint32_t kid, uint32_t shards_nr, uint32_t *caps)
{
    uint32_t cap = even_cap(room, kid + 1, shards_nr);
    uint64_t all = 0;

    for (uint32_t i = 0; i <= kid; i++) {
        caps[i] = MIN(cap, room[i]);
        all += caps[i];
    }
    for (uint32_t i = 0; i <= kid && all < shards_nr; i++) {
        caps[i] = shards_nr; /* no room for all yet: no caps */
    }
    return caps[kid];
}

/* Children while there are fewer than shards: see above. *room*: shards that each can hold. */
static void
few_children(struct spread_level *l, const uint32_t *room)
{
    uint32_t counts[PLACEMENT_GRP_SIZE_MAX] = {l->shards_nr};
    uint32_t caps[PLACEMENT_GRP_SIZE_MAX];

    for (uint32_t kid = 1; kid < MIN(l->nr, l->shards_nr); kid++) {
        uint32_t draw = placement_child_draw(l->key, l->view->draws[l->first + kid].idx);
        uint64_t hash = hash_mix64(l->key ^ draw);
        uint32_t most = caps_of(room, kid, l->shards_nr, caps);
        uint32_t want = (uint32_t)(((uint64_t)l->shards_nr * l->view->draws[l->first + kid].share +
                                       (hash >> 32)) >>
            32);
        uint32_t over = 0;

        for (uint32_t i = 0; i < kid; i++) {
            over += counts[i] > caps[i] ? counts[i] - caps[i] : 0;
        }
        want = MIN(MAX(want, MAX(over, l->shards_nr / (kid + 1))), most);
        for (uint32_t i = 0; i < want; i++) {
            uint64_t pick = hash_mix64(hash + i + 1);
            uint32_t donor = donor_of(counts, caps, kid, pick >> 32);

            shard_give(l, counts, donor, kid, (uint32_t)pick % counts[donor]);
        }
        /* Elder siblings may have to balance among themselves, when the newcomer has little room. */
        for (uint32_t i = 0; i < kid; i++) {
            for (uint32_t to = 0; to <= kid && counts[i] > caps[i]; to++) {
                while (to != i && counts[to] < caps[to] && counts[i] > caps[i]) {
                    shard_give(l, counts, i, to, 0);
                }
            }
        }
    }
}

static bool
is_capped(const struct spread_caps *caps, uint32_t kid)
{
    for (uint32_t i = 0; i < caps->nr; i++) {
        if (caps->kids[i] == kid)
            return true;
    }
    return false;
}

/* Let go of those whose share is below one shard now: the lightest first. */
static void
caps_shrink(const struct spread_level *l, struct spread_caps *caps)
{
    while (caps->nr > 0) {
        uint32_t light = 0;

        for (uint32_t i = 1; i < caps->nr; i++) {
            if (weight_of(l, caps->kids[i]) < weight_of(l, caps->kids[light]))
                light = i;
        }
        if (caps->nr < l->shards_nr &&
            (uint64_t)(l->shards_nr - caps->nr) * weight_of(l, caps->kids[light]) >= caps->free_weight)
            return;
        caps->free_weight += weight_of(l, caps->kids[light]);
        caps->kids[light] = caps->kids[--caps->nr];
    }
}

/* Probability that a child that is not capped has a shard. */
static uint64_t
chance_of(const struct spread_level *l, const struct spread_caps *caps, uint32_t kid)
{
    uint64_t part = (uint64_t)(l->shards_nr - caps->nr) * weight_of(l, kid);

    return MIN(part * SPREAD_ONE / MAX(caps->free_weight, UINT64_C(1)), SPREAD_ONE);
}

/* One child where some are capped, before or after it. */
static void
capped_child(struct spread_level *l, struct spread_caps *caps, uint32_t kid, uint32_t draw)
{
    struct spread_caps before = *caps;
    uint64_t hash = hash_mix64(l->key ^ draw);
    uint64_t pick = hash >> 40;
    uint64_t chance;
    uint32_t plain[PLACEMENT_GRP_SIZE_MAX];
    uint32_t plain_nr = 0;
    uint32_t last = 0;

    caps->kids[caps->nr++] = kid;
    caps_shrink(l, caps);
    chance = is_capped(caps, kid) ? SPREAD_ONE : chance_of(l, caps, kid);
    if (draw >> 8 >= chance)
        return;
    /* From one that was capped and is no more, so often that its chance becomes what it must be; else from any other. */
    for (uint32_t i = 0; i < l->shards_nr; i++) {
        uint64_t loss;

        if (!is_capped(&before, l->owners[i])) {
            plain[plain_nr++] = i;
            continue;
        }
        if (is_capped(caps, l->owners[i]))
            continue;
        last = i;
        loss = (SPREAD_ONE - chance_of(l, caps, l->owners[i])) * SPREAD_ONE / chance;
        if (pick < loss) {
            l->owners[i] = kid;
            return;
        }
        pick -= loss;
    }
    l->owners[plain_nr == 0 ? last : plain[(uint32_t)hash % plain_nr]] = kid;
}

/* The first child from *kid* on that takes one of *shards_nr* shards; *nr* when none does. */
static uint32_t
kid_find(const struct poolmap_draw *draws, uint32_t kid, uint32_t nr, uint64_t key, uint32_t shards_nr)
{
    while (kid < nr) {
        uint32_t idx = draws[kid].idx;
        uint64_t hash = placement_child_hash(key, idx >> 1);

        if ((uint32_t)(hash >> (idx & 1) * 32) < (uint64_t)shards_nr * draws[kid].share)
            break;
        kid++;
        if ((idx & 1) != 0 || kid == nr || draws[kid].idx != idx + 1)
            continue;
        if (hash >> 32 < (uint64_t)shards_nr * draws[kid].share)
            break;
        kid++;
    }
    return kid;
}

/* Children from the first that finds one shard in each of as many as there are shards. */
static void
many_children(struct spread_level *l)
{
    const struct poolmap_draw *draws = &l->view->draws[l->first];
    struct spread_caps caps;
    uint32_t weighed = 0; /* children whose weight is in caps.free_weight, when none is capped */

    caps.nr = 0;
    caps.free_weight = 0;
    for (uint32_t i = 1; i < l->shards_nr; i++) {
        if (weight_of(l, i) != weight_of(l, 0))
            caps.nr = l->shards_nr;
    }
    for (uint32_t i = 0; i < caps.nr; i++) {
        caps.kids[i] = i;
    }
    for (uint32_t kid = l->shards_nr; kid < l->nr; kid++) {
        uint32_t draw;

        if (caps.nr == 0)
            kid = kid_find(draws, kid, l->nr, l->key, l->shards_nr);
        if (kid == l->nr)
            return;
        draw = placement_child_draw(l->key, draws[kid].idx);
        if (caps.nr == 0 && (uint64_t)l->shards_nr * draws[kid].share <= UINT64_C(1) << 32) {
            l->owners[draw / draws[kid].share] = kid;
            continue;
        }
        for (; caps.nr == 0 && weighed < kid; weighed++) {
            caps.free_weight += weight_of(l, weighed);
        }
        capped_child(l, &caps, kid, draw);
        weighed = kid + 1;
    }
}

/* One shard among the children of a part: jump consistent hashing with weights. */
static uint32_t
one_child(const struct poolmap_view *view, uint32_t part, uint64_t key)
{
    uint32_t first = view->parts[part].first;
    uint32_t nr = view->parts[part].nr;
    uint32_t owner = 0;

    for (uint32_t kid = 1; kid < nr; kid++) {
        kid = kid_find(&view->draws[first], kid, nr, key, 1);
        if (kid < nr)
            owner = kid;
    }
    return first + owner;
}

uint32_t
placement_draw(const struct poolmap_view *view, uint64_t key)
{
    uint32_t part = 0;

    for (uint32_t depth = 1; depth < view->depths_nr; depth++) {
        part = one_child(view, part, placement_depth_key(key, depth));
    }
    return view->draws[part].idx;
}

/* Which child each of *shards_nr* shards (or blocks of them) goes to. */
static void
level_spread(const struct placement_ctx *ctx, struct spread_level *l, uint32_t depth)
{
    uint32_t room[PLACEMENT_GRP_SIZE_MAX];

    memset(l->owners, 0, l->shards_nr * sizeof(l->owners[0]));
    for (uint32_t i = 0; i < MIN(l->nr, l->shards_nr); i++) {
        if (depth == ctx->perf_depth) {
            room[i] = l->shards_nr;
        } else if (depth == ctx->distinct) {
            room[i] = 1;
        } else {
            room[i] = placement_below_nr(ctx->view, l->first + i, depth,
                depth < ctx->distinct ? ctx->distinct : ctx->view->depths_nr - 1);
        }
    }
    few_children(l, room);
    if (l->nr > l->shards_nr)
        many_children(l);
}

/* Take *shards_nr* shards of a group (*members*) down from *part*, which is at *depth*. */
static void
part_spread(const struct placement_ctx *ctx, uint64_t key, uint32_t part, uint32_t depth,
    const uint16_t *members, uint32_t shards_nr, uint32_t *tgts)
{
    const struct poolmap_view *view = ctx->view;
    uint32_t owners[PLACEMENT_GRP_SIZE_MAX];
    uint16_t those[PLACEMENT_GRP_SIZE_MAX];
    bool is_perf;
    uint32_t each;
    struct spread_level l;

    while (depth + 1 < view->depths_nr && (shards_nr == 1 || view->parts[part].nr == 1)) {
        depth++;
        part = one_child(view, part, placement_depth_key(key, depth));
    }
    if (depth + 1 == view->depths_nr) {
        for (uint32_t i = 0; i < shards_nr; i++) {
            tgts[members[i]] = view->draws[part].idx;
        }
        return;
    }
    is_perf = depth + 1 == ctx->perf_depth;
    each = is_perf ? ctx->pda : 1;
    l = (struct spread_level){.view = view,
        .key = placement_depth_key(key, depth + 1),
        .first = view->parts[part].first,
        .nr = view->parts[part].nr,
        .shards_nr = DIV_UP(shards_nr, each),
        .owners = owners};
    level_spread(ctx, &l, depth + 1);
    for (uint32_t i = 0; i < l.shards_nr; i++) {
        uint32_t nr = 0;
        bool is_done = false;

        for (uint32_t k = 0; k < shards_nr; k++) {
            if (owners[k / each] != owners[i])
                continue;
            is_done = is_done || k / each < i;
            those[nr++] = members[k];
        }
        if (!is_done)
            part_spread(ctx, key, l.first + owners[i], depth + 1, those, nr, tgts);
    }
}

void
placement_spread(const struct placement_ctx *ctx, uint64_t key, uint32_t *ret_tgts)
{
    uint16_t members[PLACEMENT_GRP_SIZE_MAX];

    CAIRN_ASSERT(ctx->grp_size <= PLACEMENT_GRP_SIZE_MAX);
    for (uint32_t i = 0; i < ctx->grp_size; i++) {
        members[i] = (uint16_t)i;
    }
    part_spread(ctx, key, 0, 0, members, ctx->grp_size, ret_tgts);
}
