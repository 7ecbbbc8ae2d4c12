/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shared by the files that compute layouts. */
#ifndef CAIRN_PLACEMENT_PRIV_H
#define CAIRN_PLACEMENT_PRIV_H

#include "base/hash.h"
#include "placement/placement.h"

/** Largest group: RP_128. */
#define PLACEMENT_GRP_SIZE_MAX 128u

/** One computation over one view of the map. */
struct placement_ctx {
    const struct poolmap_view *view;
    uint64_t key; /* of the object */
    uint32_t grp_nr;
    uint32_t grp_size;
    uint32_t perf_depth; /* depth of the performance domains that groups are kept within; 0: none */
    uint32_t pda; /* shards of a group in one of them, 1..grp_size */
    uint32_t distinct; /* depth on which the shards of a group differ; 0: there are not even enough targets */
    uint32_t caps[POOLMAP_LEVELS_MAX + 4]; /* most shards of a group in one part, by depth up to *distinct* */
};

#define PLACEMENT_STEP UINT64_C(0x9e3779b97f4a7c15)

/** What a key becomes for the children of one depth, and the hash of one of them. Fixed by the layout version. */
static inline uint64_t
placement_depth_key(uint64_t key, uint32_t depth)
{
    return hash_mix64(key + (depth + 1) * UINT64_C(0xd6e8feb86659fd93));
}

static inline uint64_t
placement_child_hash(uint64_t depth_key, uint32_t idx)
{
    return hash_mix64(depth_key + (idx + UINT64_C(1)) * PLACEMENT_STEP);
}

/**
 * The 32 bits that decide about one child. Two children whose positions in the map differ in the last bit alone share a hash, since walks
 * over many children are what a layout costs.
 */
static inline uint32_t
placement_child_draw(uint64_t depth_key, uint32_t idx)
{
    return (uint32_t)(placement_child_hash(depth_key, idx >> 1) >> (idx & 1) * 32);
}

/** Fill in *distinct* and *caps* for the view and the size of the groups. */
void placement_caps_fill(struct placement_ctx *ctx);

/** Parts of depth *depth* below a part of *part_depth* (smaller or equal). */
uint32_t placement_below_nr(
    const struct poolmap_view *view, uint32_t part, uint32_t part_depth, uint32_t depth);

/** The part of that depth above a target (or the target's own). */
static inline uint32_t
placement_part_of(const struct poolmap_view *view, uint32_t tgt_id, uint32_t depth)
{
    uint32_t part = view->tgt_parts[tgt_id];

    for (uint32_t d = view->depths_nr - 1; d > depth; d--) {
        part = view->parts[part].up;
    }
    return part;
}

/** Targets of one group, by member; *key* is that of the group. */
void placement_spread(const struct placement_ctx *ctx, uint64_t key, uint32_t *ret_tgts);

/** One target, in proportion to the weights. */
uint32_t placement_draw(const struct poolmap_view *view, uint64_t key);

/** Targets of all shards of an object of several groups. Errors: NOMEM. */
CAIRN_MUST_CHECK int placement_wide(const struct placement_ctx *ctx, uint32_t *ret_tgts);

#endif
