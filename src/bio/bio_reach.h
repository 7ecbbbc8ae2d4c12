/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Does everything that is allocated belong to somebody, and to one alone? Who knows the structures marks each block of the arena and each extent of the data role that something refers to;
 * the end compares this with both allocators. One bit of memory for each block of the arena, and for each block of the data role, where something is marked. Nothing may change meanwhile.
 *
 * Owner: the target's xstream. Tested by test/bio_reach_test.c, by src/ddb and, as part of vos_look_check(), by src/vos/test.
 */
#ifndef CAIRN_BIO_REACH_H
#define CAIRN_BIO_REACH_H

#include "bio/bio.h"

struct bio_reach;

/** NULL: no memory. The target outlives it. */
struct bio_reach *bio_reach_create(struct bio_tgt *tgt);
void bio_reach_free(struct bio_reach *r); /* NULL-safe */
/** Something refers to the block at `off` of the arena. Errors, logged: DF_INVAL it is no block, or it was marked before; NOMEM. Does not yield. */
CAIRN_MUST_CHECK int bio_reach_block(struct bio_reach *r, uint64_t off);
/** The same of the blocks that hold [addr, addr + bytes) of the data role. */
CAIRN_MUST_CHECK int bio_reach_ext(struct bio_reach *r, uint64_t addr, uint64_t bytes);

struct bio_reach_sum {
    uint64_t blocks_nr, block_bytes; /* allocated in the arena, and nothing refers to them */
    uint64_t data_bytes; /* the same of the data role */
    uint64_t free_nr; /* blocks of either that are referred to and free */
};
/**
 * Compare. What is referred to and free is logged; with `tell_leaks` what nothing refers to, too. Errors: DF_INVAL something of what was to be told is wrong; those of a page that cannot be had;
 * NOMEM. *ret_sum is always set, as far as it came.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
bio_reach_end(struct bio_reach *r, bool tell_leaks, struct bio_reach_sum *ret_sum);

#endif
