/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/bitmap.h"

#include "base/assert.h"
#include "base/util.h"

/* Bits [from, to) of one word, 0 <= from < to <= 64. */
static uint64_t
word_mask(size_t from, size_t to)
{
    uint64_t below_to = to == 64 ? UINT64_MAX : (UINT64_C(1) << to) - 1;

    return below_to & (UINT64_MAX << from);
}

void
bitmap_set_range(uint64_t *map, size_t start, size_t nr)
{
    size_t end = start + nr;

    while (start < end) {
        size_t word_end = MIN(end, ALIGN_DOWN(start, 64) + 64);

        map[start / 64] |= word_mask(start % 64, word_end - ALIGN_DOWN(start, 64));
        start = word_end;
    }
}

void
bitmap_clear_range(uint64_t *map, size_t start, size_t nr)
{
    size_t end = start + nr;

    while (start < end) {
        size_t word_end = MIN(end, ALIGN_DOWN(start, 64) + 64);

        map[start / 64] &= ~word_mask(start % 64, word_end - ALIGN_DOWN(start, 64));
        start = word_end;
    }
}

size_t
bitmap_count(const uint64_t *map, size_t bits_nr)
{
    size_t count = 0;

    for (size_t i = 0; i < bits_nr / 64; i++) {
        count += (size_t)__builtin_popcountll(map[i]);
    }
    if (bits_nr % 64 != 0)
        count += (size_t)__builtin_popcountll(map[bits_nr / 64] & word_mask(0, bits_nr % 64));
    return count;
}

/* First bit at or after *start* that is set in map ^ flip. */
static size_t
find_bit(const uint64_t *map, size_t bits_nr, size_t start, uint64_t flip)
{
    size_t word_idx = start / 64;
    uint64_t word;

    if (start >= bits_nr)
        return BITMAP_NONE;
    word = (map[word_idx] ^ flip) & (UINT64_MAX << (start % 64));
    while (word == 0) {
        word_idx++;
        if (word_idx * 64 >= bits_nr)
            return BITMAP_NONE;
        word = map[word_idx] ^ flip;
    }
    start = word_idx * 64 + (size_t)__builtin_ctzll(word);
    return start < bits_nr ? start : BITMAP_NONE;
}

size_t
bitmap_find_set(const uint64_t *map, size_t bits_nr, size_t start)
{
    return find_bit(map, bits_nr, start, 0);
}

size_t
bitmap_find_clear(const uint64_t *map, size_t bits_nr, size_t start)
{
    return find_bit(map, bits_nr, start, UINT64_MAX);
}

size_t
bitmap_find_clear_run(const uint64_t *map, size_t bits_nr, size_t start, size_t run_nr)
{
    CAIRN_ASSERT(run_nr > 0);
    for (;;) {
        size_t end;

        start = bitmap_find_clear(map, bits_nr, start);
        if (start == BITMAP_NONE || bits_nr - start < run_nr)
            return BITMAP_NONE;
        end = bitmap_find_set(map, start + run_nr, start);
        if (end == BITMAP_NONE)
            return start;
        start = end;
    }
}
