/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/rng.h"

#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/util.h"

#define SPLITMIX_STEP UINT64_C(0x9e3779b97f4a7c15)

void
rng_init(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_SIZE(rng->s); i++) {
        seed += SPLITMIX_STEP;
        rng->s[i] = hash_mix64(seed);
    }
}

uint64_t
rng_u64(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t ret = rotl_u64(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl_u64(s[3], 45);
    return ret;
}

uint64_t
rng_below(struct rng *rng, uint64_t bound)
{
    uint64_t limit;
    uint64_t v;

    CAIRN_ASSERT(bound > 0);
    /* Refuse the uneven rest at the top; at most half of all numbers, so that a few tries do. */
    limit = UINT64_MAX - UINT64_MAX % bound;
    do {
        v = rng_u64(rng);
    } while (v >= limit);
    return v % bound;
}

uint64_t
rng_range(struct rng *rng, uint64_t lo, uint64_t hi)
{
    CAIRN_ASSERT(lo <= hi);
    if (hi - lo == UINT64_MAX)
        return rng_u64(rng);
    return lo + rng_below(rng, hi - lo + 1);
}

bool
rng_chance(struct rng *rng, uint64_t num, uint64_t den)
{
    return rng_below(rng, den) < num;
}

void
rng_bytes(struct rng *rng, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len > 0) {
        uint8_t word[8];
        size_t n = MIN(len, sizeof(word));

        le64_put(word, rng_u64(rng));
        memcpy(p, word, n);
        p += n;
        len -= n;
    }
}

void
rng_fork(struct rng *rng, struct rng *ret_child)
{
    rng_init(ret_child, rng_u64(rng));
}
