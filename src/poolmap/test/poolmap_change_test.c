/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: operations change what they say, all or nothing, one version at a time (PM-1, PM-4, PM-5), and what is made from a map (views, orders)
 * agrees with it. Method: a table of every operation on every state; random histories with a naive look at the result of each step.
 */
#include "poolmap/poolmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"

static const struct poolmap_rank_desc four_ranks[] = {
    {.rank = {4}, .node_id = 1, .tgts_nr = 2, .above_nr = 1, .above = {{3, 50}}},
    {.rank = {2}, .node_id = 2, .tgts_nr = 2, .above_nr = 1, .above = {{3, 60}}},
    {.rank = {9}, .node_id = 1, .tgts_nr = 1, .above_nr = 1, .above = {{3, 50}}},
    {.rank = {7}, .node_id = 3, .tgts_nr = 3, .weight = 512, .above_nr = 1, .above = {{3, 50}}},
};

static struct poolmap *
four_ranks_map(void)
{
    struct poolmap *map = NULL;

    EXPECT_OK(poolmap_create(four_ranks, 4, &map));
    return map;
}

/* Bring target 0 of a map into a state. */
static void
tgt_bring(struct poolmap *map, enum poolmap_state state)
{
    const uint32_t id = 0;

    if (state == POOLMAP_DRAIN)
        EXPECT_OK(poolmap_drain(map, &id, 1));
    if (state == POOLMAP_DOWN || state == POOLMAP_DOWN_OUT || state == POOLMAP_UP)
        EXPECT_OK(poolmap_exclude(map, &id, 1));
    if (state == POOLMAP_DOWN_OUT)
        EXPECT_OK(poolmap_finish(map, &id, 1));
    if (state == POOLMAP_UP)
        EXPECT_OK(poolmap_reintegrate(map, &id, 1));
}

TEST(poolmap_change, every_operation_on_every_state)
{
    /* Columns: DOWN_OUT, DOWN, UP, UPIN, DRAIN; '-': passed over, 'x': refused, else the number of the state. */
    static const char *const want[POOLMAP_OP_NR] = {
        [POOLMAP_OP_EXCLUDE] = "--222",
        [POOLMAP_OP_DRAIN] = "--x6-",
        [POOLMAP_OP_REINTEGRATE] = "33--x",
        [POOLMAP_OP_FINISH] = "-14-1",
        [POOLMAP_OP_REVERT] = "--2-4",
    };
    static const enum poolmap_state states[] = {
        POOLMAP_DOWN_OUT, POOLMAP_DOWN, POOLMAP_UP, POOLMAP_UPIN, POOLMAP_DRAIN};

    for (uint32_t op = 0; op < POOLMAP_OP_NR; op++) {
        for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
            struct poolmap *map = four_ranks_map();
            const uint32_t ids[] = {0, 0}; /* twice is once */
            uint32_t version;
            int rc;

            tgt_bring(map, states[i]);
            version = map->version;
            EXPECT_EQ(map->tgts[0].state, states[i]);
            rc = poolmap_change(map, (enum poolmap_op)op, ids, 2);
            if (want[op][i] == '-') {
                EXPECT_ERR(rc, ALREADY);
            } else if (want[op][i] == 'x') {
                EXPECT_ERR(rc, NO_PERM);
            } else {
                EXPECT_OK(rc);
                EXPECT_EQ(map->tgts[0].state, want[op][i] - '0');
                EXPECT_EQ(map->tgts[0].changed_ver, version + 1);
            }
            EXPECT_EQ(map->version, version + (rc == 0));
            EXPECT_OK(poolmap_check(map));
            poolmap_destroy(map);
        }
    }
}

TEST(poolmap_change, versions_of_a_life)
{
    struct poolmap *map = four_ranks_map();
    const struct poolmap_tgt *tgt;
    const uint32_t id = 3;

    EXPECT_OK(poolmap_drain(map, &id, 1)); /* 2 */
    EXPECT_OK(poolmap_exclude(map, &id, 1)); /* 3: left service in 2 */
    tgt = poolmap_tgt_at(map, id);
    EXPECT_EQ(tgt->fail_seq, 2);
    EXPECT_EQ(tgt->out_ver, 0);
    EXPECT_OK(poolmap_finish(map, &id, 1)); /* 4 */
    EXPECT_OK(poolmap_reintegrate(map, &id, 1)); /* 5 */
    tgt = poolmap_tgt_at(map, id);
    EXPECT_EQ(tgt->fail_seq, 2);
    EXPECT_EQ(tgt->out_ver, 4);
    EXPECT_EQ(tgt->drained, 0);
    EXPECT_OK(poolmap_exclude(map, &id, 1)); /* 6: its data is complete elsewhere */
    tgt = poolmap_tgt_at(map, id);
    EXPECT_EQ(tgt->state, POOLMAP_DOWN_OUT);
    EXPECT_EQ(tgt->out_ver, 4);
    EXPECT_OK(poolmap_reintegrate(map, &id, 1)); /* 7 */
    EXPECT_OK(poolmap_finish(map, &id, 1)); /* 8 */
    tgt = poolmap_tgt_at(map, id);
    EXPECT_EQ(tgt->in_ver, 8);
    EXPECT_EQ(tgt->fail_seq, 0);
    EXPECT_EQ(tgt->out_ver, 0);
    EXPECT_OK(poolmap_drain(map, &id, 1)); /* 9 */
    EXPECT_OK(poolmap_finish(map, &id, 1)); /* 10 */
    EXPECT_EQ(poolmap_tgt_at(map, id)->drained, 1);
    EXPECT_EQ(map->version, 10);
    poolmap_destroy(map);
}

TEST(poolmap_change, all_or_nothing)
{
    struct poolmap *map = four_ranks_map();
    struct poolmap *before = NULL;
    const uint32_t drained = 1, both[] = {0, 1}, none[] = {0, 8};

    EXPECT_OK(poolmap_drain(map, &drained, 1));
    EXPECT_OK(poolmap_dup(map, &before));
    EXPECT_ERR(poolmap_reintegrate(map, both, 2), NO_PERM);
    EXPECT_ERR(poolmap_exclude(map, none, 2), NONEXIST);
    EXPECT_ERR(poolmap_exclude(map, none, 0), INVAL);
    EXPECT_ERR(poolmap_change(map, POOLMAP_OP_NR, both, 2), INVAL);
    EXPECT_ERR(poolmap_change_rank(map, POOLMAP_OP_DRAIN, (struct rank){5}), NONEXIST);
    EXPECT_ERR(poolmap_reweigh(map, both, 2, 0), INVAL);
    EXPECT_ERR(poolmap_reweigh(map, both, 2, POOLMAP_WEIGHT_MAX + 1), INVAL);
    EXPECT_ERR(poolmap_reweigh(map, none, 2, 7), NONEXIST);
    EXPECT(poolmap_eq(map, before));
    EXPECT_OK(poolmap_reweigh(map, both, 2, 7));
    EXPECT(!poolmap_eq(map, before));
    EXPECT_EQ(map->tgts[1].weight, 7);
    map->version = UINT32_MAX;
    EXPECT_ERR(poolmap_exclude(map, both, 2), OVERFLOW);
    EXPECT_ERR(poolmap_reweigh(map, both, 2, 9), OVERFLOW);
    EXPECT_ERR(poolmap_extend(map, four_ranks, 1), OVERFLOW);
    EXPECT_ERR(poolmap_tgt_set_state(map, 0, POOLMAP_DOWN), OVERFLOW);
    poolmap_destroy(map);
    poolmap_destroy(before);
}

TEST(poolmap_change, domains_and_ranks_are_found)
{
    struct poolmap *map = four_ranks_map();

    EXPECT_EQ(poolmap_domains_count(map, 3, POOLMAP_ANY), 2);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_NODE, POOLMAP_ANY), 3);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_RANK, POOLMAP_ANY), 4);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_ROOT, POOLMAP_ANY), 1);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_PERF, POOLMAP_ANY), 0); /* no such level */
    EXPECT_EQ(poolmap_domains_count(map, 4, POOLMAP_ANY), 0);
    EXPECT_EQ(poolmap_tgt_dom(map, poolmap_tgt_find(map, (struct rank){9}, 0), 3)->id, 50);
    EXPECT(poolmap_tgt_dom(map, poolmap_tgt_at(map, 0), 4) == NULL);
    EXPECT_OK(poolmap_change_rank(map, POOLMAP_OP_EXCLUDE, (struct rank){2}));
    EXPECT_EQ(poolmap_domains_count(map, 3, POOLMAP_SERVING), 1);
    for (uint32_t v = 0; v < 12; v++) {
        const struct poolmap_rank *rank = poolmap_rank_find(map, (struct rank){v});
        bool is_there = v == 2 || v == 4 || v == 7 || v == 9;

        EXPECT_EQ(rank != NULL, is_there);
        if (rank != NULL)
            EXPECT_EQ(rank->rank.v, v);
    }
    poolmap_destroy(map);
}

/* The view holds what counts, once, and sums agree. */
static void
expect_view(const struct poolmap *map, enum poolmap_when when)
{
    const struct poolmap_view *view = poolmap_view(map, when);
    uint32_t leaf = view->depth_first[view->depths_nr - 1];
    uint32_t nr = 0;

    for (uint32_t t = 0; t < map->tgts_nr; t++) {
        const struct poolmap_tgt *tgt = &map->tgts[t];
        bool counts = tgt->in_ver != 0 ||
            (when == POOLMAP_NEXT && (tgt->state == POOLMAP_NEW || tgt->state == POOLMAP_UP));

        nr += counts;
        EXPECT_EQ(view->tgt_parts[t] != UINT32_MAX, counts);
        if (counts) {
            EXPECT_GE(view->tgt_parts[t], leaf);
            EXPECT_EQ(view->draws[view->tgt_parts[t]].idx, t);
        }
    }
    EXPECT_EQ(view->nr - leaf, nr);
    EXPECT_EQ(view->parts[0].tgts_nr, nr);
    for (uint32_t i = 0; i < leaf; i++) {
        const struct poolmap_part *part = &view->parts[i];
        uint32_t tgts = 0, weight = 0;

        for (uint32_t k = part->first; k < part->first + part->nr; k++) {
            EXPECT_EQ(view->parts[k].up, i);
            EXPECT(k == part->first || view->draws[k].idx > view->draws[k - 1].idx);
            tgts += view->parts[k].tgts_nr;
            weight += view->parts[k].weight;
        }
        EXPECT_GT(part->nr, 0);
        EXPECT_EQ(part->tgts_nr, tgts);
        EXPECT_EQ(part->weight, weight);
    }
}

TEST(poolmap_change, random_histories)
{
    struct rng rng;

    rng_init(&rng, test_seed());
    for (int m = 0; m < 60 && !test_failed(); m++) {
        struct poolmap *map = four_ranks_map();

        for (uint32_t i = 0; i < 40; i++) {
            uint32_t version = map->version;
            struct poolmap_rank_desc desc = four_ranks[rng_below(&rng, 4)];
            uint32_t nr = (uint32_t)rng_range(&rng, 1, 4);
            uint32_t ids[4];
            int rc;

            for (uint32_t k = 0; k < nr; k++) {
                ids[k] = (uint32_t)rng_below(&rng, map->tgts_nr);
            }
            desc.rank.v = 100 + i;
            rc = rng_chance(&rng, 1, 8)
                ? poolmap_extend(map, &desc, 1)
                : poolmap_change(map, (enum poolmap_op)rng_below(&rng, POOLMAP_OP_NR), ids, nr);
            EXPECT_EQ(map->version, version + (rc == 0));
            EXPECT_OK(poolmap_check(map));
            expect_view(map, POOLMAP_NOW);
            expect_view(map, POOLMAP_NEXT);
            for (uint32_t s = POOLMAP_DOWN_OUT; s <= POOLMAP_DRAIN; s++) {
                EXPECT_EQ(map->state_nr[s], poolmap_tgts_count(map, POOLMAP_BIT(s)));
            }
        }
        poolmap_destroy(map);
    }
}
