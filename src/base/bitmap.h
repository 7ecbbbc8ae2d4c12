/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Bits in an array of 64-bit words; bit i is bit i % 64 of word i / 64. The caller owns the words: BITMAP_WORDS(nr) of them. */
#ifndef CAIRN_BASE_BITMAP_H
#define CAIRN_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_WORDS(bits_nr) (((bits_nr) + 63) / 64)
#define BITMAP_NONE SIZE_MAX

static inline bool
bitmap_test(const uint64_t *map, size_t bit)
{
    return (map[bit / 64] >> (bit % 64) & 1) != 0;
}

static inline void
bitmap_set(uint64_t *map, size_t bit)
{
    map[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline void
bitmap_clear(uint64_t *map, size_t bit)
{
    map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

/** Set or clear the bits [start, start + nr). */
void bitmap_set_range(uint64_t *map, size_t start, size_t nr);
void bitmap_clear_range(uint64_t *map, size_t start, size_t nr);

/** Number of set bits among the first *bits_nr*. */
size_t bitmap_count(const uint64_t *map, size_t bits_nr);

/** First set (clear) bit in [start, bits_nr), or BITMAP_NONE. */
size_t bitmap_find_set(const uint64_t *map, size_t bits_nr, size_t start);
size_t bitmap_find_clear(const uint64_t *map, size_t bits_nr, size_t start);

/** First run of *run_nr* (at least 1) clear bits in [start, bits_nr), or BITMAP_NONE. */
size_t bitmap_find_clear_run(const uint64_t *map, size_t bits_nr, size_t start, size_t run_nr);

#endif /* CAIRN_BASE_BITMAP_H */
