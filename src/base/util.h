/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Small macros and checked arithmetic used everywhere. */
#ifndef CAIRN_BASE_UTIL_H
#define CAIRN_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

/** Round *v* up or down to a multiple of *a*, a power of two. No overflow check. */
#define ALIGN_UP(v, a) (((v) + ((__typeof__(v))(a)-1)) & ~((__typeof__(v))(a)-1))
#define ALIGN_DOWN(v, a) ((v) & ~((__typeof__(v))(a)-1))
#define IS_ALIGNED(v, a) (((v) & ((__typeof__(v))(a)-1)) == 0)
#define IS_POW2(v) ((v) != 0 && ((v) & ((v)-1)) == 0)
#define DIV_UP(v, d) ((v) / (d) + ((v) % (d) != 0))

#define CAIRN_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define CAIRN_LIKELY(x) __builtin_expect(!!(x), 1)
#define CAIRN_UNLIKELY(x) __builtin_expect(!!(x), 0)

/** The function may yield: pointers and conditions taken before must be checked again. */
#ifndef CAIRN_YIELDS
#define CAIRN_YIELDS
#endif

/** True and *ret = a + b (a * b) when the result fits; false and *ret untouched otherwise. */
static inline bool
add_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;

    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

static inline bool
mul_u64(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;

    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

static inline bool
add_size(size_t a, size_t b, size_t *ret)
{
    size_t r;

    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

static inline bool
mul_size(size_t a, size_t b, size_t *ret)
{
    size_t r;

    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

/** Rotate left by 1..63 bits. */
static inline uint64_t
rotl_u64(uint64_t v, int bits)
{
    return v << bits | v >> (64 - bits);
}

/** Position of the highest set bit, 0..63; *v* is not 0. */
static inline uint32_t
log2_floor_u64(uint64_t v)
{
    return 63u - (uint32_t)__builtin_clzll(v);
}

/** Smallest power of two not below *v*; 1 for 0; *v* is at most 2^63. */
static inline uint64_t
pow2_up_u64(uint64_t v)
{
    return v <= 1 ? 1 : UINT64_C(1) << (log2_floor_u64(v - 1) + 1);
}

#endif /* CAIRN_BASE_UTIL_H */
