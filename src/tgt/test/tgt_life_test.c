/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: no request that comes late undoes what came after it. Method: every order of few requests; more pools than are remembered. Pure. */
#include <stdlib.h>

#include "harness/harness.h"
#include "tgt/tgt_life.h"

static struct uuid
pool_of(uint32_t i)
{
    return (struct uuid){.b = {(uint8_t)i, (uint8_t)(i >> 8), 1}};
}

TEST(tgt_life, late_requests)
{
    struct tgt_lives *l = calloc(1, sizeof(*l));
    struct uuid a = pool_of(1), b = pool_of(2);

    EXPECT(tgt_life_begin(l, &a, 10));
    EXPECT(tgt_life_begin(l, &a, 10)); /* once more */
    EXPECT(!tgt_life_is_ended(l, &a, 10));
    EXPECT(tgt_life_end(l, &a, 10));
    EXPECT(tgt_life_end(l, &a, 10));
    EXPECT(tgt_life_is_ended(l, &a, 10));
    EXPECT(tgt_life_is_ended(l, &a, 9));
    EXPECT(!tgt_life_begin(l, &a, 10));
    EXPECT(tgt_life_begin(l, &a, 11));
    EXPECT(!tgt_life_begin(l, &a, 10)); /* late, behind the next one */
    EXPECT(!tgt_life_end(l, &a, 10));
    EXPECT(!tgt_life_is_ended(l, &a, 11));
    EXPECT(tgt_life_begin(l, &b, 5)); /* another's */
    EXPECT(tgt_life_end(l, &b, 7)); /* what was never begun here */
    EXPECT(!tgt_life_begin(l, &b, 6));
    EXPECT(tgt_life_end(l, &a, 11));
    /* Requests that say nothing. */
    EXPECT(tgt_life_begin(l, &a, 0));
    EXPECT(tgt_life_end(l, &a, 0));
    EXPECT(!tgt_life_is_ended(l, &a, 0));
    free(l);
}

TEST(tgt_life, what_is_forgotten_counts_as_ended)
{
    struct tgt_lives *l = calloc(1, sizeof(*l));
    struct uuid id = pool_of(0);

    for (uint32_t i = 0; i < 1000; i++) {
        struct uuid other = pool_of(i);

        EXPECT(tgt_life_begin(l, &other, 100 + i));
        EXPECT(tgt_life_end(l, &other, 100 + i));
        for (uint32_t k = 0; k <= i; k++) {
            other = pool_of(k);
            if (!EXPECT(!tgt_life_begin(l, &other, 100 + k)))
                k = i;
        }
    }
    EXPECT(tgt_life_begin(l, &id, 2000));
    free(l);
}
