/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: shards of a group are apart as far as the map allows (PL-4), targets get what their weights say, and a map that grows moves what it
 * must (PL-5). Method: properties over random maps; counts over many objects against their expectation, fixed seeds.
 */
#include <math.h>

#include "placement_rig.h"

/* Levels of a map from the top, and how many components of each hold a target. */
static uint32_t
levels_of(const struct poolmap *map, uint32_t *levels)
{
    for (uint32_t i = 0; i < map->levels_nr; i++) {
        levels[i] = map->levels[i];
    }
    levels[map->levels_nr] = POOLMAP_LEVEL_RANK;
    levels[map->levels_nr + 1] = POOLMAP_LEVEL_TGT;
    return map->levels_nr + 2;
}

/* Smallest cap with which *want* shards, all in different domains of *distinct*, find room in the domains of *level*. */
static uint32_t
cap_naive(const struct poolmap *map, uint32_t level, uint32_t distinct, uint32_t want)
{
    uint32_t room[2048] = {0};
    bool seen[2048] = {false};

    for (uint32_t t = 0; t < map->tgts_nr; t++) {
        uint32_t inner = rig_domain(map, t, distinct);

        if (!seen[inner])
            room[rig_domain(map, t, level)]++;
        seen[inner] = true;
    }
    for (uint32_t cap = 1;; cap++) {
        uint32_t sum = 0;

        for (uint32_t i = 0; i < 2048; i++) {
            sum += MIN(cap, room[i]);
        }
        if (sum >= want)
            return cap;
    }
}

/* Most shards of one group in one domain of a level. */
static uint32_t
crowd(const struct poolmap *map, const struct placement_layout *layout, uint32_t grp, uint32_t level)
{
    uint32_t most = 0;

    for (uint32_t a = 0; a < layout->grp_size; a++) {
        uint32_t nr = 0;

        for (uint32_t b = 0; b < layout->grp_size; b++) {
            nr += rig_domain(map, placement_shard_at(layout, grp, a)->tgt_id, level) ==
                rig_domain(map, placement_shard_at(layout, grp, b)->tgt_id, level);
        }
        most = MAX(most, nr);
    }
    return most;
}

/* PL-4 for all groups of a layout. */
static void
expect_apart(const struct poolmap *map, const struct placement_layout *layout)
{
    uint32_t levels[POOLMAP_LEVELS_MAX + 2];
    uint32_t levels_nr = levels_of(map, levels);
    uint32_t distinct = 0;

    while (distinct < levels_nr &&
        poolmap_domains_count(map, levels[distinct], POOLMAP_ANY) < layout->grp_size) {
        distinct++;
    }
    for (uint32_t g = 0; g < layout->grp_nr && distinct < levels_nr; g++) {
        EXPECT_EQ(crowd(map, layout, g, levels[distinct]), 1);
        /* Of two levels above, both as even as can be need not be possible. */
        if (distinct == 1) {
            EXPECT_LE(crowd(map, layout, g, levels[0]),
                cap_naive(map, levels[0], levels[distinct], layout->grp_size));
        }
    }
}

TEST(placement_spread, groups_are_apart_on_random_maps)
{
    struct rng rng;

    rng_init(&rng, test_seed());
    for (uint32_t m = 0; m < 300 && !test_failed(); m++) {
        struct rig_shape shape;
        struct poolmap *map;

        rig_random(&rng, &shape);
        map = rig_map(&shape);
        for (uint32_t i = 0; i < 30; i++) {
            struct placement_layout layout =
                rig_layout(map, rig_oid(rng_u64(&rng), rig_oclass(&rng)));

            expect_apart(map, &layout);
            for (uint32_t s = 0; s < placement_shards_nr(&layout); s++) {
                EXPECT_LT(layout.shards[s].tgt_id, map->tgts_nr);
                EXPECT_EQ(layout.shards[s].next_id, PLACEMENT_TGT_NONE);
                EXPECT_EQ(layout.shards[s].flags, 0);
            }
            placement_layout_fini(&layout);
        }
        poolmap_destroy(map);
    }
}

/* Each target once before any is used twice: without redundancy on every map, else where domains are alike. */
TEST(placement_spread, targets_take_turns)
{
    static const uint32_t oclasses[] = {RIG_S(5), RIG_S(20), RIG_S(64), RIG_S(100), RIG_RP2(16),
        RIG_RP2(32), RIG_RP3(21), RIG_EC_4P2(10), RIG_EC_8P2(6)};
    struct poolmap *equal = rig_equal(16, 4);
    struct rng rng;

    rng_init(&rng, test_seed());
    for (uint32_t i = 0; i < 600 && !test_failed(); i++) {
        struct rig_shape shape;
        struct poolmap *map = equal;
        uint32_t oclass = oclasses[i % ARRAY_SIZE(oclasses)];
        uint32_t used[512] = {0};
        uint32_t most = 0, least = UINT32_MAX;
        struct placement_layout layout;

        if (i % ARRAY_SIZE(oclasses) < 4) {
            rig_random(&rng, &shape);
            map = rig_map(&shape);
        }
        layout = rig_layout(map, rig_oid(i, oclass));
        for (uint32_t s = 0; s < placement_shards_nr(&layout); s++) {
            used[layout.shards[s].tgt_id]++;
        }
        for (uint32_t t = 0; t < map->tgts_nr; t++) {
            most = MAX(most, used[t]);
            least = MIN(least, used[t]);
        }
        EXPECT_LE(most - least, 1);
        placement_layout_fini(&layout);
        if (map != equal)
            poolmap_destroy(map);
    }
    poolmap_destroy(equal);
}

/* Chi-square of the loads of targets against their weights, in tenths; the most loaded one, in thousandths of its share. */
static uint32_t
chi_square(const struct poolmap *map, uint32_t oclass, uint32_t objects, uint32_t *ret_most)
{
    uint32_t *loads = calloc(map->tgts_nr, sizeof(*loads));
    uint64_t shards = 0, weight = 0;
    double chi = 0, most = 0;

    for (uint32_t i = 0; i < objects; i++) {
        struct placement_layout layout = rig_layout(map, rig_oid(hash_mix64(i + 1), oclass));

        for (uint32_t s = 0; s < placement_shards_nr(&layout); s++) {
            loads[layout.shards[s].tgt_id]++;
            shards++;
        }
        placement_layout_fini(&layout);
    }
    for (uint32_t t = 0; t < map->tgts_nr; t++) {
        weight += map->tgts[t].weight;
    }
    for (uint32_t t = 0; t < map->tgts_nr; t++) {
        double want = (double)shards * map->tgts[t].weight / (double)weight;

        chi += (loads[t] - want) * (loads[t] - want) / want;
        most = fmax(most, loads[t] / want);
    }
    free(loads);
    *ret_most = (uint32_t)(most * 1000);
    return (uint32_t)(chi * 10);
}

TEST(placement_spread, as_even_as_chance)
{
    struct poolmap *map = rig_equal(32, 8);
    uint32_t most;

    /* 255 degrees of freedom: a uniform choice is above 330.5 once in a thousand. */
    EXPECT_LT(chi_square(map, RIG_S(1), 100000, &most), 3305);
    EXPECT_LT(chi_square(map, RIG_RP3(1), 40000, &most), 3305);
    EXPECT_LT(chi_square(map, RIG_EC_4P2(1), 20000, &most), 3305);
    EXPECT_LT(chi_square(map, RIG_S(8), 10000, &most), 3305);
    EXPECT_LT(chi_square(map, RIG_RP2(4), 10000, &most), 3305);
    poolmap_destroy(map);
}

TEST(placement_spread, by_weight_where_domains_differ)
{
    static const uint32_t oclasses[] = {RIG_S(1), RIG_RP2(1), RIG_RP3(1), RIG_EC_4P2(1)};
    struct rig_shape shape = {.nr = 0};
    struct poolmap *map;
    uint32_t most;

    /* 16 nodes of 2, 4, 6 or 8 targets with weights 100 to 400: 80 targets; none has more than a sixth of all. */
    for (uint32_t i = 0; i < 16; i++) {
        rig_add(&shape, UINT32_MAX, 2 + i % 4 * 2, 100 + i / 4 * 100);
    }
    map = rig_map(&shape);
    for (size_t i = 0; i < ARRAY_SIZE(oclasses); i++) {
        /* 79 degrees of freedom: above 123.6 once in a thousand. Shards of one object are apart: less than by chance. */
        EXPECT_LT(chi_square(map, oclasses[i], 30000, &most), 1236);
        EXPECT_LT(most, 1250);
    }
    chi_square(map, RIG_S(10), 10000, &most);
    EXPECT_LT(most, 1150); /* sorted by keys, which is not exact where few are chosen */
    chi_square(map, RIG_RP2(8), 6000, &most);
    EXPECT_LT(most, 1150);
    poolmap_destroy(map);
}

/* A node with more than its share of a group is in every group, with one shard; the others share the rest by weight. */
TEST(placement_spread, no_domain_takes_more_than_one)
{
    static const uint32_t orders[3][5] = {{8, 2, 2, 1, 1}, {1, 2, 8, 1, 2}, {1, 1, 2, 2, 8}};

    for (int k = 0; k < 3; k++) {
        struct rig_shape shape = {.nr = 0};
        struct poolmap *map;
        uint32_t loads[5] = {0};

        for (int i = 0; i < 5; i++) {
            rig_add(&shape, UINT32_MAX, 1, orders[k][i] * 100);
        }
        map = rig_map(&shape);
        for (uint64_t lo = 0; lo < 30000; lo++) {
            struct placement_layout layout = rig_layout(map, rig_oid(lo, RIG_RP3(1)));

            for (uint32_t s = 0; s < 3; s++) {
                loads[layout.shards[s].tgt_id]++;
            }
            placement_layout_fini(&layout);
        }
        for (int i = 0; i < 5; i++) {
            uint32_t want = orders[k][i] == 8 ? 30000 : 60000 * orders[k][i] / 6;

            EXPECT(loads[i] > want * 97 / 100 && loads[i] < want * 103 / 100 + 1);
        }
        poolmap_destroy(map);
    }
}

/* Shards that are in a domain where their group was not before; all others of a group may trade places. */
static uint32_t
moved_as_sets(const struct placement_layout *a, const struct placement_layout *b)
{
    uint32_t moved = 0;

    for (uint32_t g = 0; g < a->grp_nr; g++) {
        for (uint32_t i = 0; i < a->grp_size; i++) {
            bool is_there = false;

            for (uint32_t k = 0; k < a->grp_size; k++) {
                is_there = is_there ||
                    placement_shard_at(b, g, i)->tgt_id == placement_shard_at(a, g, k)->tgt_id;
            }
            moved += !is_there;
        }
    }
    return moved;
}

/* Add a node to *nodes* nodes: what moves, in thousandths of what must, and how much of all went elsewhere, in thousandths. */
static uint32_t
growth(uint32_t nodes, uint32_t oclass, uint32_t objects, uint32_t *ret_elsewhere)
{
    struct poolmap *before = rig_equal(nodes, 4);
    struct poolmap *after = rig_equal(nodes + 1, 4);
    uint64_t moved = 0, elsewhere = 0, shards = 0;

    for (uint32_t i = 0; i < objects; i++) {
        struct placement_layout a = rig_layout(before, rig_oid(hash_mix64(i + 1), oclass));
        struct placement_layout b = rig_layout(after, rig_oid(hash_mix64(i + 1), oclass));

        moved += moved_as_sets(&a, &b);
        for (uint32_t s = 0; s < placement_shards_nr(&a); s++) {
            elsewhere += a.shards[s].tgt_id != b.shards[s].tgt_id && b.shards[s].tgt_id < nodes * 4;
        }
        shards += placement_shards_nr(&a);
        placement_layout_fini(&a);
        placement_layout_fini(&b);
    }
    poolmap_destroy(before);
    poolmap_destroy(after);
    *ret_elsewhere = (uint32_t)(elsewhere * 1000 / shards);
    return (uint32_t)(moved * 1000 * (nodes + 1) / shards);
}

TEST(placement_spread, growth_moves_what_it_must)
{
    static const struct {
        uint32_t nodes, oclass, objects, most, elsewhere;
    } cases[] = {
        {4, RIG_S(1), 20000, 1050, 0},
        {32, RIG_S(1), 60000, 1100, 0},
        {4, RIG_RP2(1), 20000, 1050, 0},
        {8, RIG_RP3(1), 20000, 1050, 0},
        {32, RIG_RP3(1), 30000, 1100, 0},
        {10, RIG_EC_4P2(1), 10000, 1050, 0},
        {9, RIG_EC_8P2(1), 10000, 1200, 1000}, /* the first time that there are nodes enough */
        {20, RIG_EC_8P2(1), 10000, 1100, 0},
        {16, RIG_S(16), 3000, 1100, 0},
        {16, RIG_S(64), 1000, 1100, 0},
        {16, RIG_RP2(8), 3000, 1100, 20},
        {16, RIG_RP2(32), 1000, 1150, 40},
        {16, RIG_EC_4P2(10), 1000, 1150, 40},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t elsewhere;
        uint32_t moved = growth(cases[i].nodes, cases[i].oclass, cases[i].objects, &elsewhere);

        if (!EXPECT_LE(moved, cases[i].most) || !EXPECT_GT(moved, 900) ||
            !EXPECT_LE(elsewhere, cases[i].elsewhere))
            EXPECT_EQ(i, SIZE_MAX); /* shows which case */
    }
}

/* A rank on a node that is there, a node in a rack that is there, heavier targets: what else moves than must. */
TEST(placement_spread, growth_within_a_domain)
{
    struct rig_shape shape = {.nr = 0};
    struct poolmap *before, *after;
    uint32_t moved = 0, shards = 0;

    for (uint32_t i = 0; i < 20; i++) {
        rig_add(&shape, i % 5, 4, 0);
    }
    before = rig_map(&shape);
    rig_add(&shape, 2, 4, 0);
    after = rig_map(&shape);
    for (uint32_t i = 0; i < 20000; i++) {
        struct placement_layout a = rig_layout(before, rig_oid(hash_mix64(i + 1), RIG_RP2(1)));
        struct placement_layout b = rig_layout(after, rig_oid(hash_mix64(i + 1), RIG_RP2(1)));

        moved += moved_as_sets(&a, &b);
        shards += 2;
        placement_layout_fini(&a);
        placement_layout_fini(&b);
    }
    EXPECT_GT(moved, shards / 21 * 9 / 10);
    EXPECT_LT(moved,
        shards / 21 * 3); /* the rack takes its share from the others, the node from the rack */
    poolmap_destroy(before);
    poolmap_destroy(after);
}

/* Domains by performance: how many of them a group is in. */
static uint32_t
perf_domains_of(const struct poolmap *map, const struct placement_layout *layout, uint32_t grp)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < layout->grp_size; i++) {
        seen |= UINT64_C(1) << rig_domain(
                    map, placement_shard_at(layout, grp, i)->tgt_id, POOLMAP_LEVEL_PERF);
    }
    return (uint32_t)__builtin_popcountll(seen);
}

TEST(placement_spread, performance_domains)
{
    static const struct {
        uint32_t oclass, pda, want;
    } cases[] = {
        {RIG_RP3(1), 0, 1}, {RIG_RP3(1), UINT32_MAX, 1}, {RIG_RP3(4), 0, 1}, {RIG_RP3(1), 1, 3},
        {RIG_RP3(1), 2, 2}, {RIG_EC_4P2(1), 2, 3}, {RIG_EC_4P2(7), 2, 3}, {RIG_EC_4P2(1), 3, 2},
        {RIG_EC_4P2(1), 1, 6}, {RIG_EC_8P2(1), 1, 8}, /* more than there are domains: all of them */
    };
    struct rig_shape shape = {.nr = 0};
    struct poolmap *map;

    for (uint32_t i = 0; i < 64; i++) {
        rig_add(&shape, i % 8, 2, 0);
        shape.descs[i].above[0].level = POOLMAP_LEVEL_PERF;
    }
    map = rig_map(&shape);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t loads[8] = {0};
        uint32_t shards = 0;

        for (uint64_t lo = 0; lo < 5000; lo++) {
            struct placement_how how = {.layout_version = PLACEMENT_LAYOUT_VERSION,
                .perf_level = POOLMAP_LEVEL_PERF,
                .pda = cases[i].pda};
            struct placement_layout layout = {0};

            EXPECT_OK(placement_layout_how(map, rig_oid(lo, cases[i].oclass), &how, &layout));
            for (uint32_t g = 0; g < layout.grp_nr; g++) {
                EXPECT_EQ(perf_domains_of(map, &layout, g), cases[i].want);
                EXPECT_EQ(crowd(map, &layout, g, POOLMAP_LEVEL_NODE), 1);
            }
            for (uint32_t s = 0; s < placement_shards_nr(&layout); s++, shards++) {
                loads[rig_domain(map, layout.shards[s].tgt_id, POOLMAP_LEVEL_PERF)]++;
            }
            placement_layout_fini(&layout);
        }
        for (uint32_t d = 0; d < 8; d++) {
            EXPECT(loads[d] > shards / 8 * 85 / 100 && loads[d] < shards / 8 * 115 / 100);
        }
    }
    poolmap_destroy(map);
}
