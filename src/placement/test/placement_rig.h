/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Maps, ids and layouts for the tests of placement. */
#ifndef CAIRN_PLACEMENT_RIG_H
#define CAIRN_PLACEMENT_RIG_H

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"
#include "placement/placement.h"

#define RIG_RANKS_MAX 256u

#define RIG_S(n) (0x01000000u | (n))
#define RIG_RP2(n) (0x08000000u | (n))
#define RIG_RP3(n) (0x09000000u | (n))
#define RIG_RP5(n) (0x0b000000u | (n))
#define RIG_EC_4P2(n) (0x23000000u | (n))
#define RIG_EC_8P2(n) (0x25000000u | (n))

/** Ranks to make a map of. */
struct rig_shape {
    struct poolmap_rank_desc descs[RIG_RANKS_MAX];
    uint32_t nr;
};

/** Add a rank on a node of its own, in rack *rack* when that is not UINT32_MAX. */
static inline void
rig_add(struct rig_shape *shape, uint32_t rack, uint32_t tgts_nr, uint32_t weight)
{
    struct poolmap_rank_desc *desc = &shape->descs[shape->nr];

    *desc = (struct poolmap_rank_desc){
        .rank = {shape->nr}, .node_id = shape->nr, .tgts_nr = tgts_nr, .weight = weight};
    if (rack != UINT32_MAX) {
        desc->above_nr = 1;
        desc->above[0] = (struct poolmap_above){POOLMAP_LEVEL_FAULT, rack};
    }
    shape->nr++;
}

static inline struct poolmap *
rig_map(const struct rig_shape *shape)
{
    struct poolmap *map = NULL;

    EXPECT_OK(poolmap_create(shape->descs, shape->nr, &map));
    return map;
}

/** *nodes* nodes of one rank of *tgts* targets. */
static inline struct poolmap *
rig_equal(uint32_t nodes, uint32_t tgts)
{
    struct rig_shape shape = {.nr = 0};

    for (uint32_t i = 0; i < nodes; i++) {
        rig_add(&shape, UINT32_MAX, tgts, 0);
    }
    return rig_map(&shape);
}

/** Some racks (or none), nodes, ranks, targets; weights that differ or not. */
static inline void
rig_random(struct rng *rng, struct rig_shape *shape)
{
    uint32_t racks = (uint32_t)rng_below(rng, 6);
    uint32_t nodes = (uint32_t)rng_range(rng, 1, 14);
    bool is_even = rng_chance(rng, 1, 2);

    shape->nr = 0;
    for (uint32_t n = 0; n < nodes; n++) {
        uint32_t ranks = (uint32_t)rng_range(rng, 1, 2);
        uint32_t rack = racks == 0 ? UINT32_MAX : (uint32_t)rng_below(rng, racks);

        for (uint32_t r = 0; r < ranks; r++) {
            rig_add(shape, rack, is_even ? 4 : (uint32_t)rng_range(rng, 1, 6),
                is_even ? 0 : (uint32_t)rng_range(rng, 64, 512));
            shape->descs[shape->nr - 1].node_id = n;
            shape->descs[shape->nr - 1].rank.v = shape->nr * 7;
        }
    }
}

static inline struct oid
rig_oid(uint64_t lo, uint32_t oclass_id)
{
    return placement_oid_encode((struct oid){.lo = lo, .hi = 3}, PLACEMENT_OT_MULTI_HASHED,
        (uint8_t)(oclass_id >> 24), oclass_id & 0xffff);
}

static inline struct placement_layout
rig_layout(const struct poolmap *map, struct oid oid)
{
    struct placement_layout layout = {0};

    EXPECT_OK(placement_layout(map, oid, PLACEMENT_LAYOUT_VERSION, &layout));
    return layout;
}

/** One of some classes, of one group or several. */
static inline uint32_t
rig_oclass(struct rng *rng)
{
    static const uint32_t oclasses[] = {RIG_S(1), RIG_S(4), RIG_S(30), RIG_RP2(1), RIG_RP2(5),
        RIG_RP3(1), RIG_RP3(8), RIG_RP5(1), RIG_EC_4P2(1), RIG_EC_4P2(3), RIG_EC_8P2(1)};

    return oclasses[rng_below(rng, ARRAY_SIZE(oclasses))];
}

/** Number of the component of a level that a target is in. */
static inline uint32_t
rig_domain(const struct poolmap *map, uint32_t tgt_id, uint32_t level)
{
    const struct poolmap_tgt *tgt = poolmap_tgt_at(map, tgt_id);

    if (level == POOLMAP_LEVEL_TGT)
        return tgt_id;
    if (level == POOLMAP_LEVEL_RANK)
        return tgt->rank_idx;
    return poolmap_tgt_dom(map, tgt, level)->id;
}

#endif
