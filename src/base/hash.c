/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"

/* The five primes of the XXH64 specification. */
#define XXH_P1 UINT64_C(0x9E3779B185EBCA87)
#define XXH_P2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define XXH_P3 UINT64_C(0x165667B19E3779F9)
#define XXH_P4 UINT64_C(0x85EBCA77C2B2AE63)
#define XXH_P5 UINT64_C(0x27D4EB2F165667C5)

#define XXH_STRIPE_BYTES 32
#define HMAP_BITS_MAX 30

static inline uint64_t
xxh_lane_round(uint64_t acc, uint64_t lane)
{
    return rotl_u64(acc + lane * XXH_P2, 31) * XXH_P1;
}

static inline uint64_t
xxh_merge(uint64_t h, uint64_t acc)
{
    return (h ^ xxh_lane_round(0, acc)) * XXH_P1 + XXH_P4;
}

/* Consume the whole stripes of *p*; returns the converged accumulator. */
static uint64_t
xxh_stripes(const uint8_t *p, size_t stripes_nr, uint64_t seed)
{
    uint64_t a1 = seed + XXH_P1 + XXH_P2;
    uint64_t a2 = seed + XXH_P2;
    uint64_t a3 = seed;
    uint64_t a4 = seed - XXH_P1;
    uint64_t h;

    for (; stripes_nr > 0; stripes_nr--, p += XXH_STRIPE_BYTES) {
        a1 = xxh_lane_round(a1, le64_get(p));
        a2 = xxh_lane_round(a2, le64_get(p + 8));
        a3 = xxh_lane_round(a3, le64_get(p + 16));
        a4 = xxh_lane_round(a4, le64_get(p + 24));
    }
    h = rotl_u64(a1, 1) + rotl_u64(a2, 7) + rotl_u64(a3, 12) + rotl_u64(a4, 18);
    h = xxh_merge(h, a1);
    h = xxh_merge(h, a2);
    h = xxh_merge(h, a3);
    return xxh_merge(h, a4);
}

uint64_t
hash_bytes64(const void *buf, size_t len, uint64_t seed)
{
    const uint8_t *p = buf;
    size_t left = len;
    uint64_t h = seed + XXH_P5;

    if (left >= XXH_STRIPE_BYTES) {
        h = xxh_stripes(p, left / XXH_STRIPE_BYTES, seed);
        p += left - left % XXH_STRIPE_BYTES;
        left %= XXH_STRIPE_BYTES;
    }
    h += (uint64_t)len;
    for (; left >= 8; left -= 8, p += 8) {
        h = rotl_u64(h ^ xxh_lane_round(0, le64_get(p)), 27) * XXH_P1 + XXH_P4;
    }
    if (left >= 4) {
        h = rotl_u64(h ^ (uint64_t)le32_get(p) * XXH_P1, 23) * XXH_P2 + XXH_P3;
        left -= 4;
        p += 4;
    }
    for (; left > 0; left--, p++) {
        h = rotl_u64(h ^ (uint64_t)*p * XXH_P5, 11) * XXH_P1;
    }
    h ^= h >> 33;
    h *= XXH_P2;
    h ^= h >> 29;
    h *= XXH_P3;
    h ^= h >> 32;
    return h;
}

uint64_t
hash_str64(const char *str)
{
    return hash_bytes64(str, strlen(str), 0);
}

/* Callers' hashes may be plain numbers: mix before choosing a bucket. */
static size_t
hmap_bucket(const struct hmap *map, uint64_t hash)
{
    return (size_t)(hash_mix64(hash) & (map->buckets_nr - 1));
}

int
hmap_init(struct hmap *map, uint32_t bits)
{
    CAIRN_ASSERT(bits <= HMAP_BITS_MAX);
    map->buckets_nr = (size_t)1 << bits;
    map->nr = 0;
    map->buckets = calloc(map->buckets_nr, sizeof(map->buckets[0]));
    if (map->buckets == NULL) {
        map->buckets_nr = 0;
        return CAIRN_ERR(NOMEM);
    }
    return 0;
}

void
hmap_fini(struct hmap *map)
{
    free(map->buckets);
    memset(map, 0, sizeof(*map));
}

/* Double the buckets. Entries are moved to the ends of their new chains, which keeps their order (HASH-2). */
static void
hmap_grow(struct hmap *map)
{
    struct hmap bigger = {.buckets_nr = map->buckets_nr * 2, .nr = map->nr};
    struct hmap_link **tails;

    bigger.buckets = calloc(bigger.buckets_nr, sizeof(bigger.buckets[0]));
    tails = calloc(bigger.buckets_nr, sizeof(tails[0]));
    if (bigger.buckets == NULL || tails == NULL) {
        free(bigger.buckets);
        free(tails);
        return;
    }
    for (size_t i = 0; i < map->buckets_nr; i++) {
        struct hmap_link *link = map->buckets[i];

        while (link != NULL) {
            struct hmap_link *next = link->next;
            size_t bucket = hmap_bucket(&bigger, link->hash);

            link->next = NULL;
            if (tails[bucket] == NULL) {
                bigger.buckets[bucket] = link;
            } else {
                tails[bucket]->next = link;
            }
            tails[bucket] = link;
            link = next;
        }
    }
    free(tails);
    free(map->buckets);
    *map = bigger;
}

void
hmap_insert(struct hmap *map, struct hmap_link *link, uint64_t hash)
{
    size_t bucket;

    CAIRN_ASSERT(map->buckets != NULL);
    if (map->nr >= map->buckets_nr && map->buckets_nr < (size_t)1 << HMAP_BITS_MAX)
        hmap_grow(map);
    bucket = hmap_bucket(map, hash);
    link->hash = hash;
    link->next = map->buckets[bucket];
    map->buckets[bucket] = link;
    map->nr++;
}

void
hmap_remove(struct hmap *map, struct hmap_link *link)
{
    struct hmap_link **pos = &map->buckets[hmap_bucket(map, link->hash)];

    while (*pos != link) {
        CAIRN_ASSERT(*pos != NULL);
        pos = &(*pos)->next;
    }
    *pos = link->next;
    link->next = NULL;
    map->nr--;
}

static struct hmap_link *
chain_find(struct hmap_link *link, uint64_t hash)
{
    while (link != NULL && link->hash != hash) {
        link = link->next;
    }
    return link;
}

struct hmap_link *
hmap_first(const struct hmap *map, uint64_t hash)
{
    if (map->buckets_nr == 0)
        return NULL;
    return chain_find(map->buckets[hmap_bucket(map, hash)], hash);
}

struct hmap_link *
hmap_next(const struct hmap_link *link)
{
    return chain_find(link->next, link->hash);
}

struct hmap_link *
hmap_walk(const struct hmap *map, const struct hmap_link *prev)
{
    size_t bucket = 0;

    if (prev != NULL) {
        if (prev->next != NULL)
            return prev->next;
        bucket = hmap_bucket(map, prev->hash) + 1;
    }
    for (; bucket < map->buckets_nr; bucket++) {
        if (map->buckets[bucket] != NULL)
            return map->buckets[bucket];
    }
    return NULL;
}

struct hmap_link *
hmap_pop(struct hmap *map)
{
    struct hmap_link *link = hmap_walk(map, NULL);

    if (link != NULL)
        hmap_remove(map, link);
    return link;
}
