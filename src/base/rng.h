/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pseudo-random numbers from a seed, for simulation, tests, jitter and skew; not for secrets. xoshiro256** of Blackman and Vigna,
 * seeded through SplitMix64. The state is an argument: same seed, same numbers on every machine.
 */
#ifndef CAIRN_BASE_RNG_H
#define CAIRN_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *rng, uint64_t seed);

uint64_t rng_u64(struct rng *rng);

/** Uniform in [0, bound), *bound* not 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/** Uniform in [lo, hi], both ends included. */
uint64_t rng_range(struct rng *rng, uint64_t lo, uint64_t hi);

/** True *num* times in *den* on average. */
bool rng_chance(struct rng *rng, uint64_t num, uint64_t den);

void rng_bytes(struct rng *rng, void *buf, size_t len);

/** An independent generator whose numbers depend on this one's state. */
void rng_fork(struct rng *rng, struct rng *ret_child);

#endif /* CAIRN_BASE_RNG_H */
