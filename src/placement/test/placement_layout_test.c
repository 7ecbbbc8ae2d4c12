/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: layouts keep PL-1 to PL-5. Method: properties over many objects and maps; golden values pin version 2 (PL-3). See also
 * placement_spread_test.c (random maps, weights, growth) and placement_fail_test.c (histories of failures).
 */
#include "placement/placement.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "harness/harness.h"

#define OC_S(n) (0x01000000u | (n))
#define OC_RP3(n) (0x09000000u | (n))
#define OC_EC_4P2(n) (0x23000000u | (n))

/* *nodes* nodes of *ranks* ranks of *tgts* targets. */
static struct poolmap *
map_make(uint32_t nodes, uint32_t ranks, uint32_t tgts)
{
    struct poolmap_rank_desc *descs = calloc(nodes * ranks, sizeof(*descs));
    struct poolmap *map = NULL;

    for (uint32_t i = 0; i < nodes * ranks; i++) {
        descs[i] =
            (struct poolmap_rank_desc){.rank = {i}, .node_id = 10 + i / ranks, .tgts_nr = tgts};
    }
    EXPECT_OK(poolmap_create(descs, nodes * ranks, &map));
    free(descs);
    return map;
}

static struct oid
oid_make(uint64_t lo, uint32_t oclass_id)
{
    return placement_oid_encode((struct oid){.lo = lo, .hi = 3}, PLACEMENT_OT_MULTI_HASHED,
        (uint8_t)(oclass_id >> 24), oclass_id & 0xffff);
}

static struct placement_layout
layout_make(const struct poolmap *map, struct oid oid)
{
    struct placement_layout layout = {0};

    EXPECT_OK(placement_layout(map, oid, PLACEMENT_LAYOUT_VERSION, &layout));
    return layout;
}

TEST(placement_layout, jump_hash)
{
    uint32_t moved = 0;
    uint32_t counts[10] = {0};

    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t key = hash_mix64(i + 1);
        uint32_t a = placement_jump_hash(key, 10);
        uint32_t b = placement_jump_hash(key, 11);

        counts[a]++;
        if (a != b) {
            EXPECT_EQ(b, 10);
            moved++;
        }
    }
    EXPECT_GT(moved, 20000 / 11 - 200);
    EXPECT_LT(moved, 20000 / 11 + 200);
    for (int i = 0; i < 10; i++) {
        EXPECT(counts[i] > 1800 && counts[i] < 2200);
    }
    EXPECT_EQ(placement_jump_hash(12345, 1), 0);
    /* Fixed for ever: layouts depend on them. */
    EXPECT_EQ(placement_jump_hash(0, 60), 0);
    EXPECT_EQ(placement_jump_hash(1, 1), 0);
    EXPECT_EQ(placement_jump_hash(UINT64_C(0xdeadbeef), 2), 1);
    EXPECT_EQ(placement_jump_hash(256, 1024), 520);
}

/* Hash of the layouts of 1000 objects, each of one of four classes. */
static uint64_t
layouts_digest(const struct poolmap *map)
{
    static const uint32_t oclasses[] = {OC_S(1), OC_S(24), OC_RP3(4), OC_EC_4P2(2)};
    uint64_t digest = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        struct placement_layout layout = layout_make(map, oid_make(i, oclasses[i % 4]));

        for (uint32_t s = 0; s < placement_shards_nr(&layout); s++) {
            digest = hash_mix64(
                digest * 31 + layout.shards[s].tgt_id * 4 + (layout.shards[s].flags & 3) + 1);
        }
        placement_layout_fini(&layout);
    }
    return digest;
}

TEST(placement_layout, version_2_is_pinned)
{
    struct poolmap *map = map_make(8, 1, 3);
    struct poolmap_rank_desc descs[24];

    EXPECT_EQ(layouts_digest(map), UINT64_C(0xccd4dd79e450c95b));
    EXPECT_OK(poolmap_tgt_set_state(map, 5, POOLMAP_DOWN));
    EXPECT_EQ(layouts_digest(map), UINT64_C(0xc42991cebf576bae));
    poolmap_destroy(map);
    /* Racks, ranks and weights that differ; failures, one of which met a spare; a drain; an extension. */
    for (uint32_t i = 0; i < 24; i++) {
        descs[i] = (struct poolmap_rank_desc){.rank = {50 - i},
            .node_id = i / 2,
            .tgts_nr = 1 + i % 5,
            .weight = 100 + i * 37 % 300,
            .above_nr = 1,
            .above = {{POOLMAP_LEVEL_FAULT, i / 2 % 5}}};
    }
    EXPECT_OK(poolmap_create(descs, 23, &map));
    EXPECT_EQ(layouts_digest(map), UINT64_C(0x5aa1f83d9d0815d3));
    EXPECT_OK(poolmap_change_rank(map, POOLMAP_OP_EXCLUDE, (struct rank){40}));
    EXPECT_OK(poolmap_exclude(map, (uint32_t[]){3, 17}, 2));
    EXPECT_OK(poolmap_change_rank(map, POOLMAP_OP_DRAIN, (struct rank){35}));
    EXPECT_OK(poolmap_extend(map, &descs[23], 1));
    EXPECT_EQ(layouts_digest(map), UINT64_C(0x11f7dc6a8a19ffec));
    poolmap_destroy(map);
}

/* One layout of each kind, to be compared by hand with another implementation. */
TEST(placement_layout, some_layouts_in_full)
{
    static const struct {
        uint32_t oclass;
        uint32_t tgts[6];
    } cases[] = {
        {OC_S(1), {38}},
        {OC_S(3), {39, 7, 26}},
        {OC_RP3(1), {27, 20, 1}},
        {OC_RP3(2), {8, 29, 32, 4, 27, 37}},
        {OC_EC_4P2(1), {34, 12, 29, 10, 20, 1}},
    };
    struct poolmap *map = map_make(10, 1, 4);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct placement_layout layout = layout_make(map, oid_make(12345, cases[i].oclass));

        for (uint32_t s = 0; s < MIN(placement_shards_nr(&layout), 6u); s++) {
            EXPECT_EQ(layout.shards[s].tgt_id, cases[i].tgts[s]);
        }
        placement_layout_fini(&layout);
    }
    poolmap_destroy(map);
}

TEST(placement_layout, all_targets_once)
{
    static const uint32_t sizes[] = {1, 2, 4, 16, 17, 100, 1000};

    for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
        uint32_t n = sizes[k];
        struct poolmap *map = map_make(1, 1, n);

        for (uint64_t lo = 0; lo < 5; lo++) {
            struct placement_layout layout = layout_make(map, oid_make(lo, OC_S(n)));
            uint8_t *seen = calloc(n, 1);

            EXPECT_EQ(layout.grp_nr, n);
            EXPECT_EQ(layout.grp_size, 1);
            for (uint32_t s = 0; s < n; s++) {
                if (!EXPECT(layout.shards[s].tgt_id < n))
                    break;
                EXPECT_EQ(seen[layout.shards[s].tgt_id]++, 0);
            }
            free(seen);
            placement_layout_fini(&layout);
        }
        poolmap_destroy(map);
    }
}

TEST(placement_layout, single_shards_spread_evenly)
{
    enum { TGTS = 16, OBJECTS = 16000 };
    struct poolmap *map = map_make(2, 2, 4);
    uint32_t counts[TGTS] = {0};

    for (uint64_t lo = 0; lo < OBJECTS; lo++) {
        struct placement_layout layout = layout_make(map, oid_make(lo, OC_S(1)));

        counts[layout.shards[0].tgt_id]++;
        placement_layout_fini(&layout);
    }
    for (int i = 0; i < TGTS; i++) {
        EXPECT(counts[i] > OBJECTS / TGTS * 85 / 100 && counts[i] < OBJECTS / TGTS * 115 / 100);
    }
    poolmap_destroy(map);
}

/* Number of a shard's domain: its node, its rank, itself. */
static uint32_t
shard_domain(const struct poolmap *map, const struct placement_shard *shard, enum poolmap_level level)
{
    const struct poolmap_tgt *tgt = poolmap_tgt_at(map, shard->tgt_id);

    if (level == POOLMAP_LEVEL_NODE)
        return poolmap_tgt_node(map, tgt)->id;
    return level == POOLMAP_LEVEL_RANK ? tgt->rank_idx : tgt->id;
}

static void
expect_distinct(const struct poolmap *map, uint32_t oclass_id, enum poolmap_level level)
{
    for (uint64_t lo = 0; lo < 300 && !test_failed(); lo++) {
        struct placement_layout layout = layout_make(map, oid_make(lo, oclass_id));

        for (uint32_t g = 0; g < layout.grp_nr; g++) {
            for (uint32_t a = 0; a < layout.grp_size; a++) {
                for (uint32_t b = a + 1; b < layout.grp_size; b++) {
                    EXPECT_NE(shard_domain(map, placement_shard_at(&layout, g, a), level),
                        shard_domain(map, placement_shard_at(&layout, g, b), level));
                }
            }
        }
        placement_layout_fini(&layout);
    }
}

TEST(placement_layout, groups_use_distinct_domains)
{
    struct poolmap *nodes = map_make(6, 2, 4);
    struct poolmap *ranks = map_make(2, 4, 2);
    struct poolmap *tgts = map_make(1, 2, 3);

    expect_distinct(nodes, OC_RP3(1), POOLMAP_LEVEL_NODE);
    expect_distinct(nodes, OC_RP3(16), POOLMAP_LEVEL_NODE);
    expect_distinct(nodes, OC_EC_4P2(8), POOLMAP_LEVEL_NODE);
    expect_distinct(ranks, OC_EC_4P2(2), POOLMAP_LEVEL_RANK);
    expect_distinct(ranks, OC_RP3(1), POOLMAP_LEVEL_RANK);
    expect_distinct(tgts, OC_EC_4P2(1), POOLMAP_LEVEL_TGT);
    poolmap_destroy(nodes);
    poolmap_destroy(ranks);
    poolmap_destroy(tgts);
}

TEST(placement_layout, more_shards_than_targets)
{
    struct poolmap *map = map_make(1, 1, 2);
    struct placement_layout layout = layout_make(map, oid_make(1, OC_S(7)));
    uint32_t counts[2] = {0};

    for (uint32_t s = 0; s < 7; s++) {
        counts[layout.shards[s].tgt_id]++;
    }
    EXPECT_EQ(counts[0] + counts[1], 7);
    EXPECT_GE(MIN(counts[0], counts[1]), 3);
    placement_layout_fini(&layout);
    layout = layout_make(map, oid_make(1, OC_EC_4P2(1)));
    EXPECT_EQ(placement_shards_nr(&layout), 6);
    placement_layout_fini(&layout);
    poolmap_destroy(map);
}

TEST(placement_layout, growth_moves_little)
{
    enum { OBJECTS = 4000 };
    const struct poolmap_rank_desc more = {.rank = {99}, .node_id = 99, .tgts_nr = 4};
    struct poolmap *before = map_make(9, 1, 4);
    struct poolmap *after = NULL;
    uint32_t moved = 0;
    uint32_t moved_elsewhere = 0;

    EXPECT_OK(poolmap_dup(before, &after));
    EXPECT_OK(poolmap_extend(after, &more, 1));
    EXPECT_EQ(layouts_digest(before), layouts_digest(after)); /* NEW targets hold nothing yet */
    for (uint32_t id = 36; id < 40; id++) {
        EXPECT_OK(poolmap_tgt_set_state(after, id, POOLMAP_UPIN));
    }
    for (uint64_t lo = 0; lo < OBJECTS; lo++) {
        struct placement_layout a = layout_make(before, oid_make(lo, OC_RP3(1)));
        struct placement_layout b = layout_make(after, oid_make(lo, OC_RP3(1)));

        for (uint32_t s = 0; s < 3; s++) {
            if (a.shards[s].tgt_id == b.shards[s].tgt_id)
                continue;
            moved++;
            moved_elsewhere += b.shards[s].tgt_id < 36;
        }
        placement_layout_fini(&a);
        placement_layout_fini(&b);
    }
    /* A tenth of the targets is new: ideally a tenth of the shards moves. */
    EXPECT_GT(moved, OBJECTS * 3 * 8 / 100);
    EXPECT_LT(moved, OBJECTS * 3 * 14 / 100);
    EXPECT_LT(moved_elsewhere, OBJECTS * 3 * 3 / 100);
    poolmap_destroy(before);
    poolmap_destroy(after);
}

TEST(placement_layout, failures_are_remapped_and_stay)
{
    struct poolmap *map = map_make(8, 1, 4);
    struct poolmap *once = NULL;
    struct poolmap *twice = NULL;
    uint32_t spares_nr = 0;

    EXPECT_OK(poolmap_dup(map, &once));
    EXPECT_OK(poolmap_tgt_set_state(once, 7, POOLMAP_DOWN));
    EXPECT_OK(poolmap_dup(once, &twice));
    EXPECT_OK(poolmap_tgt_set_state(twice, 7, POOLMAP_DOWN_OUT));
    EXPECT_OK(poolmap_tgt_set_state(twice, 20, POOLMAP_DOWN));
    for (uint64_t lo = 0; lo < 2000 && !test_failed(); lo++) {
        struct placement_layout a = layout_make(map, oid_make(lo, OC_RP3(2)));
        struct placement_layout b = layout_make(once, oid_make(lo, OC_RP3(2)));
        struct placement_layout c = layout_make(twice, oid_make(lo, OC_RP3(2)));

        for (uint32_t s = 0; s < 6; s++) {
            if (a.shards[s].tgt_id != 7) {
                EXPECT_EQ(b.shards[s].tgt_id, a.shards[s].tgt_id);
                EXPECT_EQ(b.shards[s].flags, 0);
            } else {
                EXPECT_NE(b.shards[s].tgt_id, 7);
                EXPECT_EQ(b.shards[s].flags, PLACEMENT_SHARD_REBUILDING);
                spares_nr++;
            }
            EXPECT_NE(c.shards[s].tgt_id, 7);
            EXPECT_NE(c.shards[s].tgt_id, 20);
            if (a.shards[s].tgt_id != 20 && b.shards[s].tgt_id != 20) {
                EXPECT_EQ(c.shards[s].tgt_id, b.shards[s].tgt_id);
                EXPECT_EQ(c.shards[s].flags, 0);
            }
        }
        placement_layout_fini(&a);
        placement_layout_fini(&b);
        placement_layout_fini(&c);
    }
    EXPECT_GT(spares_nr, 200);
    expect_distinct(twice, OC_RP3(2), POOLMAP_LEVEL_NODE);
    poolmap_destroy(map);
    poolmap_destroy(once);
    poolmap_destroy(twice);
}

TEST(placement_layout, nothing_to_rebuild_from)
{
    struct poolmap *map = map_make(2, 1, 2);
    struct placement_layout before = layout_make(map, oid_make(5, OC_S(4)));
    struct placement_layout after;

    EXPECT_OK(poolmap_tgt_set_state(map, 2, POOLMAP_DOWN));
    after = layout_make(map, oid_make(5, OC_S(4)));
    for (uint32_t s = 0; s < 4; s++) {
        EXPECT_EQ(after.shards[s].tgt_id, before.shards[s].tgt_id);
        EXPECT_EQ(after.shards[s].flags, after.shards[s].tgt_id == 2 ? PLACEMENT_SHARD_LOST : 0);
    }
    EXPECT_EQ(after.map_version, 2);
    placement_layout_fini(&before);
    placement_layout_fini(&after);
    poolmap_destroy(map);
}

TEST(placement_layout, bad_input)
{
    struct poolmap *map = map_make(1, 1, 2);
    struct placement_layout layout = {0};

    EXPECT_ERR(placement_layout(map, oid_make(1, OC_S(1)), 0, &layout), DF_INCOMPT);
    EXPECT_ERR(placement_layout(map, oid_make(1, OC_S(1)), 3, &layout), DF_INCOMPT);
    EXPECT_ERR(placement_layout(map, oid_make(1, OC_S(1)), 1, &layout), DF_INCOMPT);
    EXPECT_ERR(placement_layout(map, (struct oid){1, 2}, 2, &layout), NOSCHEMA);
    EXPECT_ERR(placement_layout(map, oid_make(1, OC_S(0xffff)), 2, &layout), INVAL);
    EXPECT_ERR(placement_layout(map, oid_make(1, 0x1400fffe), 2, &layout), OVERFLOW);
    EXPECT_ERR(
        placement_layout(map, (struct oid){1, UINT64_C(0xff01000100000000)}, 2, &layout), INVAL);
    EXPECT(layout.shards == NULL);
    poolmap_destroy(map);
}

TEST(placement_layout, dkeys_go_round_the_groups)
{
    struct poolmap *map = map_make(1, 1, 4);
    struct placement_layout layout = layout_make(map, oid_make(1, OC_S(4)));
    uint32_t counts[4] = {0};

    for (uint64_t chunk = 0; chunk < 40; chunk++) {
        EXPECT_EQ(placement_dkey_grp(&layout, chunk), chunk % 4);
    }
    for (uint64_t i = 0; i < 8000; i++) {
        uint64_t h = 0;

        EXPECT_OK(placement_dkey_hash(PLACEMENT_OT_MULTI_HASHED, &i, sizeof(i), &h));
        counts[placement_dkey_grp(&layout, h)]++;
    }
    for (int i = 0; i < 4; i++) {
        EXPECT(counts[i] > 1850 && counts[i] < 2150);
    }
    placement_layout_fini(&layout);
    poolmap_destroy(map);
}
