/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Plain types shared by all public headers: scattered memory, ranks, strings.
 */
#ifndef CAIRN_GURT_TYPES_H
#define CAIRN_GURT_TYPES_H

#include <byteswap.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** A UUID as a structure, so that it can be assigned. */
struct d_uuid {
    uuid_t uuid;
};

/** One piece of memory. */
typedef struct {
    void *iov_buf;
    /** Bytes that the memory can hold. */
    size_t iov_buf_len;
    /** Bytes in it that are valid. */
    size_t iov_len;
} d_iov_t;

/** Number of an engine in its system. */
typedef uint32_t d_rank_t;

typedef struct {
    d_rank_t *rl_ranks;
    uint32_t rl_nr;
} d_rank_list_t;

typedef d_rank_list_t *d_rank_list_ptr_t;

/** Ranks lo to hi, both included. */
typedef struct {
    d_rank_t lo;
    d_rank_t hi;
} d_rank_range_t;

typedef struct {
    d_rank_range_t *rrl_ranges;
    uint32_t rrl_nr;
} d_rank_range_list_t;

typedef char *d_string_t;
typedef const char *d_const_string_t;

/** Scattered memory: sg_nr pieces, used in order. */
typedef struct {
    uint32_t sg_nr;
    /** Pieces that a call filled. */
    uint32_t sg_nr_out;
    d_iov_t *sg_iovs;
} d_sg_list_t;

/** Text that grows; see d_write_string_buffer(). Start with all zeros. */
struct d_string_buffer_t {
    int status;
    size_t str_size;
    size_t buf_size;
    char *str;
};

/** Make *iov* describe *size* valid bytes at *buf*. */
static inline void
d_iov_set(d_iov_t *iov, void *buf, size_t size)
{
    iov->iov_buf = buf;
    iov->iov_buf_len = size;
    iov->iov_len = size;
}

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_GURT_TYPES_H */
