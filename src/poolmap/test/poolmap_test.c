/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: maps are what was put in, change only as allowed (PM-1 to PM-3), and no bytes from outside make a bad one.
 * Method: fixed maps; a golden encoding; every cut, every flipped bit; random changes of valid encodings with the checksum repaired.
 */
#include "poolmap/poolmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"

static const struct poolmap_rank_desc three_ranks[] = {
    {.rank = {7}, .node_id = 100, .tgts_nr = 2},
    {.rank = {3}, .node_id = 200, .tgts_nr = 1},
    {.rank = {9}, .node_id = 100, .tgts_nr = 3},
};

static struct poolmap *
three_ranks_map(void)
{
    struct poolmap *map = NULL;

    EXPECT_OK(poolmap_create(three_ranks, 3, &map));
    return map;
}

static uint8_t *
encode(const struct poolmap *map, size_t *ret_len)
{
    size_t len = poolmap_encoded_bytes(map);
    uint8_t *buf = malloc(len);
    struct enc e;

    enc_init(&e, buf, len);
    poolmap_encode(map, &e);
    EXPECT_OK(enc_check(&e));
    EXPECT_EQ(e.len, len);
    *ret_len = len;
    return buf;
}

TEST(poolmap, create_and_look_up)
{
    struct poolmap *map = three_ranks_map();
    const struct poolmap_tgt *tgt;
    uint64_t ids = 0;

    EXPECT_EQ(map->version, 1);
    EXPECT_EQ(map->tgts_nr, 6);
    EXPECT_EQ(map->doms_nr, 3);
    EXPECT_OK(poolmap_check(map));
    tgt = poolmap_tgt_find(map, (struct rank){9}, 2);
    if (EXPECT(tgt != NULL)) {
        EXPECT_EQ(tgt->id, 5);
        EXPECT_EQ(tgt->state, POOLMAP_UPIN);
        EXPECT_EQ(poolmap_tgt_rank(map, tgt)->rank.v, 9);
        EXPECT_EQ(poolmap_tgt_node(map, tgt)->id, 100);
    }
    EXPECT(poolmap_tgt_find(map, (struct rank){9}, 3) == NULL);
    EXPECT(poolmap_tgt_find(map, (struct rank){1}, 0) == NULL);
    EXPECT_EQ(poolmap_tgt_at(map, 2)->tgt_idx, 0);
    EXPECT(poolmap_tgt_at(map, 6) == NULL);
    POOLMAP_FOREACH_TGT(tgt, map, POOLMAP_SERVING)
    ids = ids * 10 + tgt->id;
    EXPECT_EQ(ids, 12345);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_NODE, POOLMAP_SERVING), 2);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_RANK, POOLMAP_SERVING), 3);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_TGT, POOLMAP_SERVING), 6);
    EXPECT_STR_EQ(poolmap_state_name(POOLMAP_UPIN), "upin");
    EXPECT_STR_EQ(poolmap_state_name(77), "invalid");
    poolmap_destroy(map);
    poolmap_destroy(NULL);
}

TEST(poolmap, create_refuses_nonsense)
{
    struct poolmap_rank_desc descs[2] = {
        {.rank = {1}, .node_id = 1, .tgts_nr = 1}, {.rank = {1}, .node_id = 2, .tgts_nr = 1}};
    struct poolmap_rank_desc *many = calloc(POOLMAP_RANKS_MAX + 1, sizeof(*many));
    struct poolmap *map = NULL;

    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    EXPECT_ERR(poolmap_create(descs, 0, &map), INVAL);
    descs[1].rank = RANK_NONE;
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    descs[1].rank.v = 2;
    descs[1].tgts_nr = 0;
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    descs[1].tgts_nr = POOLMAP_RANK_TGTS_MAX + 1;
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    EXPECT_ERR(poolmap_create(many, POOLMAP_RANKS_MAX + 1, &map), OVERFLOW);
    descs[1] = (struct poolmap_rank_desc){.rank = {2}, .node_id = 1, .tgts_nr = 1};
    descs[1].weight = POOLMAP_WEIGHT_MAX + 1;
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    descs[1].weight = 0;
    descs[1].above_nr = 1; /* not the levels of the first */
    descs[1].above[0] = (struct poolmap_above){POOLMAP_LEVEL_FAULT, 1};
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    descs[0].above_nr = 1;
    descs[0].above[0] = (struct poolmap_above){POOLMAP_LEVEL_FAULT, 2};
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL); /* one node in two racks */
    descs[0].above[0].level = POOLMAP_LEVEL_FAULT + 1;
    descs[0].node_id = 2;
    EXPECT_ERR(poolmap_create(descs, 2, &map), INVAL);
    for (uint32_t level = 0; level < 1000; level++) {
        bool is_fine = level >= POOLMAP_LEVEL_FAULT && level <= POOLMAP_LEVEL_PERF;

        descs[0].above[0].level = level;
        EXPECT_EQ(poolmap_create(descs, 1, &map), is_fine ? 0 : -DER_INVAL);
        if (is_fine)
            poolmap_destroy(map);
    }
    descs[0].above_nr = POOLMAP_ABOVE_MAX + 1;
    EXPECT_ERR(poolmap_create(descs, 1, &map), INVAL);
    descs[0].above_nr = 2; /* levels that do not fall */
    descs[0].above[0] = descs[0].above[1] = (struct poolmap_above){POOLMAP_LEVEL_FAULT, 2};
    EXPECT_ERR(poolmap_create(descs, 1, &map), INVAL);
    for (uint32_t i = 0; i < 65; i++) {
        many[i] =
            (struct poolmap_rank_desc){.rank = {i}, .node_id = i, .tgts_nr = POOLMAP_RANK_TGTS_MAX};
    }
    EXPECT_ERR(poolmap_create(many, 65, &map), OVERFLOW);
    EXPECT_OK(poolmap_create(many, 64, &map));
    poolmap_destroy(map);
    free(many);
}

TEST(poolmap, every_state_move)
{
    /* Rows: from; columns: to, in the order of the numbers 1..6. */
    static const char *const allowed[] = {
        "", "001000", "101000", "110100", "010001", "010100", "110100"};

    for (uint32_t from = POOLMAP_DOWN_OUT; from <= POOLMAP_DRAIN; from++) {
        for (uint32_t to = POOLMAP_UNKNOWN; to <= POOLMAP_DRAIN + 1; to++) {
            struct poolmap *map = three_ranks_map();
            bool in_range = to >= POOLMAP_DOWN_OUT && to <= POOLMAP_DRAIN;
            int rc;

            map->tgts[1].state = (uint8_t)from;
            map->tgts[1].out_ver = from == POOLMAP_UP; /* else it cannot go back to DOWN_OUT */
            rc = poolmap_tgt_set_state(map, 1, (enum poolmap_state)to);
            if (to == from) {
                EXPECT_ERR(rc, ALREADY);
            } else if (in_range && allowed[from][to - 1] == '1') {
                EXPECT_OK(rc);
                EXPECT_EQ(map->version, 2);
                EXPECT_EQ(map->tgts[1].changed_ver, 2);
                EXPECT_EQ(map->tgts[1].state, to);
            } else {
                EXPECT_ERR(rc, NO_PERM);
            }
            if (rc != 0) {
                EXPECT_EQ(map->version, 1);
                EXPECT_EQ(map->tgts[1].state, from);
            }
            poolmap_destroy(map);
        }
    }
}

TEST(poolmap, exclusion_shows_in_counts)
{
    struct poolmap *map = three_ranks_map();

    EXPECT_ERR(poolmap_tgt_set_state(map, 6, POOLMAP_DOWN), NONEXIST);
    EXPECT_OK(poolmap_tgt_set_state(map, 2, POOLMAP_DOWN));
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_NODE, POOLMAP_SERVING), 1);
    EXPECT_EQ(poolmap_tgts_count(map, POOLMAP_SERVING), 5);
    EXPECT_EQ(poolmap_tgts_count(map, POOLMAP_ANY), 6);
    EXPECT(!poolmap_rank_has(map, (struct rank){3}, POOLMAP_SERVING));
    EXPECT(poolmap_rank_has(map, (struct rank){3}, POOLMAP_BIT(POOLMAP_DOWN)));
    EXPECT(poolmap_rank_has(map, (struct rank){7}, POOLMAP_SERVING));
    EXPECT(!poolmap_rank_has(map, (struct rank){8}, POOLMAP_ANY));
    EXPECT_OK(poolmap_tgt_set_state(map, 0, POOLMAP_DRAIN));
    EXPECT_EQ(poolmap_tgts_count(map, POOLMAP_SERVING), 5);
    EXPECT_EQ(map->version, 3);
    poolmap_destroy(map);
}

TEST(poolmap, extend_appends)
{
    struct poolmap *map = three_ranks_map();
    struct poolmap *before = NULL;
    struct poolmap_rank_desc more[2] = {
        {.rank = {20}, .node_id = 200, .tgts_nr = 2}, {.rank = {3}, .node_id = 300, .tgts_nr = 1}};

    EXPECT_OK(poolmap_dup(map, &before));
    EXPECT_ERR(poolmap_extend(map, more, 2), EXIST);
    EXPECT_EQ(map->version, 1);
    EXPECT_EQ(map->tgts_nr, 6);
    more[1].rank.v = 21;
    EXPECT_OK(poolmap_extend(map, more, 2));
    EXPECT_EQ(map->version, 2);
    EXPECT_EQ(map->tgts_nr, 9);
    EXPECT_EQ(map->doms_nr, 4);
    EXPECT_OK(poolmap_check(map));
    EXPECT_MEM_EQ(map->tgts, before->tgts, 6 * sizeof(map->tgts[0])); /* PM-2 */
    EXPECT_EQ(poolmap_tgts_count(map, POOLMAP_BIT(POOLMAP_NEW)), 3);
    EXPECT_EQ(poolmap_tgt_find(map, (struct rank){20}, 1)->added_ver, 2);
    EXPECT_EQ(poolmap_domains_count(map, POOLMAP_LEVEL_NODE, POOLMAP_SERVING), 2);
    poolmap_destroy(map);
    poolmap_destroy(before);
}

TEST(poolmap, golden_bytes)
{
    static const uint8_t golden[] = {'C', 'P', 'M', 'P', 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0,
        0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 7, 2, 0, 0, 0, 0, 0, 0, /* domains: */ 9, 0, 0, 0,
        0, 0, 0, 0, 7, 0, 0, 0, 0x39, 0x30, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, /* rank: */ 5, 0, 0, 0, 2,
        0, 0, 0, 3, 0, 0, 0, /* targets: */ 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0,
        0, 0, 0, 0, 0, 44, 1, 2, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 44, 1, 4, 0};
    const struct poolmap_rank_desc desc = {
        .rank = {5}, .node_id = 12345, .tgts_nr = 3, .weight = 300, .above_nr = 1, .above = {{7, 9}}};
    struct poolmap *map = NULL;
    uint8_t *buf;
    size_t len;

    EXPECT_OK(poolmap_create(&desc, 1, &map));
    EXPECT_OK(poolmap_tgt_set_state(map, 0, POOLMAP_DOWN));
    buf = encode(map, &len);
    EXPECT_EQ(len, sizeof(golden) + 4);
    EXPECT_MEM_EQ(buf, golden, sizeof(golden));
    EXPECT_EQ(le32_get(buf + sizeof(golden)), crc32c(0, golden, sizeof(golden)));
    free(buf);
    poolmap_destroy(map);
}

TEST(poolmap, round_trip_every_cut_and_every_bit)
{
    struct poolmap *map = three_ranks_map();
    struct poolmap *back = NULL;
    uint8_t *buf;
    size_t len;

    EXPECT_OK(poolmap_tgt_set_state(map, 4, POOLMAP_DRAIN));
    buf = encode(map, &len);
    EXPECT_OK(poolmap_decode(buf, len, &back));
    EXPECT_EQ(back->version, 2);
    EXPECT_MEM_EQ(back->tgts, map->tgts, 6 * sizeof(map->tgts[0]));
    EXPECT_MEM_EQ(back->ranks, map->ranks, 3 * sizeof(map->ranks[0]));
    EXPECT(poolmap_eq(back, map));
    poolmap_destroy(back);
    back = NULL;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut + 1); /* so that a read past the end is seen */

        memcpy(exact, buf, cut);
        EXPECT(poolmap_decode(exact, cut, &back) != 0);
        free(exact);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        EXPECT_EQ(poolmap_decode(buf, len, &back), bit < 32 ? -DER_DF_INVAL : -DER_CSUM);
        buf[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    EXPECT(back == NULL);
    free(buf);
    poolmap_destroy(map);
}

static void
csum_repair(uint8_t *buf, size_t len)
{
    le32_put(buf + len - 4, crc32c(0, buf, len - 4));
}

TEST(poolmap, valid_checksum_is_not_enough)
{
    struct poolmap *map = three_ranks_map();
    struct poolmap *back = NULL;
    struct rng rng;
    uint8_t *good;
    uint8_t *bad;
    size_t len;

    good = encode(map, &len);
    bad = malloc(len);
    rng_init(&rng, test_seed());
    for (int step = 0; step < 20000; step++) {
        size_t at = (size_t)rng_below(&rng, (len - 4) / 4) * 4;

        memcpy(bad, good, len);
        le32_put(bad + at, (uint32_t)(rng_chance(&rng, 1, 4) ? rng_u64(&rng) : rng_below(&rng, 8)));
        csum_repair(bad, len);
        if (poolmap_decode(bad, len, &back) == 0) {
            EXPECT_OK(poolmap_check(back));
            EXPECT_LE(back->tgts_nr, 8);
            poolmap_destroy(back);
        }
    }
    memcpy(bad, good, len);
    bad[4] = 3;
    csum_repair(bad, len);
    EXPECT_ERR(poolmap_decode(bad, len, &back), DF_INCOMPT);
    memcpy(bad, good, len);
    bad[6] = 1;
    csum_repair(bad, len);
    EXPECT_ERR(poolmap_decode(bad, len, &back), DF_INCOMPT);
    memcpy(bad, good, len);
    bad[4] = 1;
    csum_repair(bad, len);
    EXPECT_ERR(poolmap_decode(bad, len, &back), DF_INCOMPT); /* the first format: nobody has one */
    memcpy(bad, good, len);
    le32_put(bad + 20, UINT32_MAX);
    csum_repair(bad, len);
    EXPECT_ERR(poolmap_decode(bad, len, &back), DF_INVAL);
    free(good);
    free(bad);
    poolmap_destroy(map);
}
