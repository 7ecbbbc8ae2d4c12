/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: hashes are the published ones for ever (HASH-1); the table holds what was put in, in a stable order (HASH-2).
 * Method: published vectors, golden values of our own, bit balance; random operations against an array.
 */
#include "base/hash.h"

#include <string.h>

#include "base/ids.h"
#include "base/rng.h"
#include "harness/harness.h"

TEST(base_hash, published_vectors)
{
    EXPECT_EQ(hash_bytes64(NULL, 0, 0), UINT64_C(0xEF46DB3751D8E999));
    EXPECT_EQ(hash_str64("a"), UINT64_C(0xD24EC4F1A98C6E5B));
    EXPECT_EQ(hash_str64("abc"), UINT64_C(0x44BC2CF5AD770999));
    EXPECT_EQ(hash_str64("Nobody inspects the spammish repetition"), UINT64_C(0xFBCEA83C8A378BF1));
    EXPECT_EQ(hash_mix32(0), 0);
    EXPECT_EQ(hash_mix32(1), UINT32_C(0x514E28B7));
    EXPECT_EQ(hash_mix64(0), 0);
    EXPECT_EQ(hash_mix64(UINT64_C(0x9e3779b97f4a7c15)), UINT64_C(0xe220a8397b1dcdaf));
}

TEST(base_hash, unmix)
{
    EXPECT_EQ(hash_unmix64(0), 0);
    EXPECT_EQ(hash_unmix64(UINT64_C(0xe220a8397b1dcdaf)), UINT64_C(0x9e3779b97f4a7c15));
    for (uint64_t i = 0; i < 4096; i++) {
        uint64_t v = i % 64 == 0 ? UINT64_C(1) << i / 64 : i * UINT64_C(0xd1342543de82ef95);

        EXPECT_EQ(hash_unmix64(hash_mix64(v)), v);
        EXPECT_EQ(hash_mix64(hash_unmix64(v)), v);
    }
}

TEST(base_hash, alignment_and_seed)
{
    uint8_t buf[128];
    uint8_t shifted[136];

    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 0; len <= sizeof(buf); len++) {
        uint64_t h = hash_bytes64(buf, len, 5);

        memcpy(shifted + 3, buf, len);
        EXPECT_EQ(hash_bytes64(shifted + 3, len, 5), h);
        EXPECT_NE(hash_bytes64(buf, len, 6), h);
        if (len > 0)
            EXPECT_NE(hash_bytes64(buf, len - 1, 5), h);
    }
}

/* One flipped input bit flips about half of the output bits. */
TEST(base_hash, avalanche)
{
    uint64_t flips = 0;
    uint64_t trials = 0;
    uint8_t key[24] = "the quick brown fox jump";

    for (size_t bit = 0; bit < sizeof(key) * 8; bit++) {
        uint64_t h = hash_bytes64(key, sizeof(key), 0);

        key[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        flips += (uint64_t)__builtin_popcountll(h ^ hash_bytes64(key, sizeof(key), 0));
        key[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        trials += 64;
    }
    EXPECT_GT(flips * 100, trials * 48);
    EXPECT_LT(flips * 100, trials * 52);
}

struct entry {
    uint64_t key;
    bool in;
    struct hmap_link link;
};

static struct entry *
entry_find(struct hmap *map, uint64_t key)
{
    struct entry *pos;

    /* Few distinct hashes: chains with equal hashes and different keys. */
    HMAP_FOREACH_HASH(pos, map, key % 40, struct entry, link) {
        if (pos->key == key)
            break;
    }
    return pos;
}

TEST(base_hmap, random_against_array)
{
    enum { NR = 200 };
    static struct entry entries[NR];
    struct entry *pos;
    struct hmap map;
    struct rng rng;
    size_t nr = 0;
    size_t walked = 0;

    memset(entries, 0, sizeof(entries));
    rng_init(&rng, test_seed());
    EXPECT_OK(hmap_init(&map, 0));
    for (int step = 0; step < 20000; step++) {
        struct entry *e = &entries[rng_below(&rng, NR)];

        e->key = (uint64_t)(e - entries);
        if (entry_find(&map, e->key) != (e->in ? e : NULL)) {
            EXPECT(entry_find(&map, e->key) == (e->in ? e : NULL));
            break;
        }
        if (e->in) {
            hmap_remove(&map, &e->link);
            nr--;
        } else {
            hmap_insert(&map, &e->link, e->key % 40);
            nr++;
        }
        e->in = !e->in;
    }
    EXPECT_EQ(map.nr, nr);
    EXPECT_GE(map.buckets_nr, 64);
    HMAP_FOREACH(pos, &map, struct entry, link) {
        EXPECT(pos->in);
        walked++;
    }
    EXPECT_EQ(walked, nr);
    while (hmap_pop(&map) != NULL) {
        nr--;
    }
    EXPECT_EQ(nr, 0);
    EXPECT(hmap_first(&map, 3) == NULL);
    hmap_fini(&map);
    EXPECT(hmap_first(&map, 3) == NULL);
    hmap_fini(&map);
}

TEST(base_hmap, order_does_not_depend_on_addresses)
{
    enum { NR = 100 };
    struct entry *pos;
    uint64_t orders[2] = {0};

    for (int round = 0; round < 2; round++) {
        struct entry entries[NR];
        struct hmap map;

        EXPECT_OK(hmap_init(&map, 2));
        for (uint64_t i = 0; i < NR; i++) {
            struct entry *e = &entries[round == 0 ? i : NR - 1 - i];

            e->key = i;
            hmap_insert(&map, &e->link, i);
        }
        HMAP_FOREACH(pos, &map, struct entry, link) {
            orders[round] = hash_mix64(orders[round] * 31 + pos->key + 1);
        }
        hmap_fini(&map);
    }
    EXPECT_EQ(orders[0], orders[1]);
    EXPECT_NE(orders[0], 0);
}

TEST(base_ids, uuid_text)
{
    struct uuid id;
    struct uuid again;
    char text[CUUID_TEXT_BYTES];
    const char *bad[] = {"", "x", "01234567-89ab-cdef-0123-456789abcde",
        "01234567089ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdeg",
        "01234567-89ab-cdef-0123-456789abcdef0", NULL};

    EXPECT_OK(cuuid_parse("01234567-89AB-cdef-0123-456789abcdef", &id));
    EXPECT_EQ(id.b[0], 1);
    EXPECT_EQ(id.b[15], 0xef);
    EXPECT_STR_EQ(cuuid_format(&id, text), "01234567-89ab-cdef-0123-456789abcdef");
    again = id;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        EXPECT_ERR(cuuid_parse(bad[i], &id), INVAL);
    }
    EXPECT_EQ(cuuid_cmp(&id, &again), 0);
    id = cuuid_from_random(UINT64_MAX, UINT64_MAX);
    EXPECT_STR_EQ(cuuid_format(&id, text), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    EXPECT_GT(cuuid_cmp(&id, &again), 0);
    EXPECT(!cuuid_is_nil(&id));
    cuuid_clear(&id);
    EXPECT(cuuid_is_nil(&id));
    id = cuuid_derive(&again, 1);
    EXPECT_NE(cuuid_cmp(&id, &again), 0);
    EXPECT_EQ(id.b[6] >> 4, 8);
    again = cuuid_derive(&again, 1);
    EXPECT_EQ(cuuid_cmp(&id, &again), 0);
}

TEST(base_ids, oid_order_and_text)
{
    struct oid a = {.lo = 5, .hi = 1};
    struct oid b = {.lo = 4, .hi = 2};
    char text[OID_TEXT_BYTES];

    EXPECT_LT(oid_cmp(a, b), 0);
    EXPECT_GT(oid_cmp(b, a), 0);
    EXPECT_EQ(oid_cmp(a, a), 0);
    EXPECT_NE(oid_hash(a), oid_hash(b));
    EXPECT_STR_EQ(oid_to_text(a, text), "1.5");
    a = (struct oid){UINT64_MAX, UINT64_MAX};
    EXPECT_STR_EQ(oid_to_text(a, text), "18446744073709551615.18446744073709551615");
    EXPECT(oid_is_nil((struct oid){0, 0}));
    EXPECT(!oid_is_nil(a));
    EXPECT(rank_eq((struct rank){3}, (struct rank){3}));
    EXPECT(!rank_eq(RANK_NONE, (struct rank){3}));
}
