/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Hash functions whose results are stored on disk and used in placement, and an intrusive hash table.
 *
 * HASH-1  hash_bytes64() is XXH64 as its published specification (xxHash fast digest algorithm, version 0.1.1) describes it: one
 *         result per (bytes, seed) on every machine, for ever. hash_mix64() is the SplitMix64 finaliser, hash_mix32() the
 *         32-bit finaliser of MurmurHash3; both are bijections. None of them may change: formats depend on them.
 * HASH-2  A table's iteration order depends only on hashes and the order of insertions, never on addresses (SM-1).
 *
 * Tested by test/base_hash_test.c against published vectors and against a plain list as model.
 */
#ifndef CAIRN_BASE_HASH_H
#define CAIRN_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/util.h"

/** 64-bit hash of *len* bytes. *buf* may be NULL when *len* is 0. */
uint64_t hash_bytes64(const void *buf, size_t len, uint64_t seed);

/** hash_bytes64() of the characters before the terminator, seed 0. */
uint64_t hash_str64(const char *str);

static inline uint64_t
hash_mix64(uint64_t v)
{
    v ^= v >> 30;
    v *= UINT64_C(0xbf58476d1ce4e5b9);
    v ^= v >> 27;
    v *= UINT64_C(0x94d049bb133111eb);
    v ^= v >> 31;
    return v;
}

/** What hash_mix64() made it of. */
static inline uint64_t
hash_unmix64(uint64_t v)
{
    v ^= v >> 31 ^ v >> 62;
    v *= UINT64_C(0x319642b2d24d8ec3);
    v ^= v >> 27 ^ v >> 54;
    v *= UINT64_C(0x96de1b173f119089);
    v ^= v >> 30 ^ v >> 60;
    return v;
}

static inline uint32_t
hash_mix32(uint32_t v)
{
    v ^= v >> 16;
    v *= UINT32_C(0x85ebca6b);
    v ^= v >> 13;
    v *= UINT32_C(0xc2b2ae35);
    v ^= v >> 16;
    return v;
}

/** Embedded in the entries of a table. */
struct hmap_link {
    struct hmap_link *next;
    uint64_t hash;
};

/** Chained table with a power of two of buckets, doubled when entries outnumber them. One owner, no locks. */
struct hmap {
    struct hmap_link **buckets;
    size_t buckets_nr;
    size_t nr;
};

/** Start with 2^*bits* buckets (bits 0..30). Errors: NOMEM. */
CAIRN_MUST_CHECK int hmap_init(struct hmap *map, uint32_t bits);

/** Free the buckets; entries are the caller's. A zeroed or finished map is fine. */
void hmap_fini(struct hmap *map);

/** Add an entry; duplicates are allowed and the caller's concern. Growing that fails for lack of memory only makes chains longer. */
void hmap_insert(struct hmap *map, struct hmap_link *link, uint64_t hash);

/** Take an entry out; it must be in the map. */
void hmap_remove(struct hmap *map, struct hmap_link *link);

/** First entry with this hash or NULL; the caller compares keys and goes on with hmap_next(). */
struct hmap_link *hmap_first(const struct hmap *map, uint64_t hash);

/** Next entry with the same hash or NULL. */
struct hmap_link *hmap_next(const struct hmap_link *link);

/** Walk over all entries: starts with *prev* NULL, ends by returning NULL. Nothing may be inserted or removed meanwhile. */
struct hmap_link *hmap_walk(const struct hmap *map, const struct hmap_link *prev);

/** Remove and return some entry, NULL when empty; for tearing down. */
struct hmap_link *hmap_pop(struct hmap *map);

/** `HMAP_FOREACH_HASH(pos, map, hash, struct thing, link) { if (same key) break; }`; *pos* is NULL after a full walk. */
#define HMAP_FOREACH_HASH(pos, map, hash_value, type, member) \
    for (struct hmap_link *hmap_l_ = hmap_first(map, hash_value); \
         (pos = hmap_l_ == NULL ? NULL : CAIRN_CONTAINER_OF(hmap_l_, type, member)) != NULL; \
         hmap_l_ = hmap_next(hmap_l_))

/** Every entry; nothing may be inserted or removed meanwhile. */
#define HMAP_FOREACH(pos, map, type, member) \
    for (struct hmap_link *hmap_l_ = hmap_walk(map, NULL); \
         (pos = hmap_l_ == NULL ? NULL : CAIRN_CONTAINER_OF(hmap_l_, type, member)) != NULL; \
         hmap_l_ = hmap_walk(map, hmap_l_))

#endif /* CAIRN_BASE_HASH_H */
