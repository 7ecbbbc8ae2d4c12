/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Which lives of pools were begun and ended here (MGT-5), so that a request that was on its way for long neither brings back what was ended nor ends what was begun
 * since. Lives grow from one creation of a pool to the next. Remembered in memory alone: requests to an earlier life of the engine are refused anyway. Bounded:
 * what is forgotten counts as ended. Pure. Tested by test/tgt_life_test.c and test/server/server_late_test.c.
 */
#ifndef CAIRN_TGT_LIFE_H
#define CAIRN_TGT_LIFE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"

enum { TGT_LIVES_NR = 256 };

struct tgt_lives {
    struct {
        struct uuid pool;
        uint64_t begun, ended; /* the newest; 0: none */
    } at[TGT_LIVES_NR]; /* replaced in turn */
    uint32_t next;
    uint64_t floor; /* newest that was ended and forgotten: what is not above it counts as ended */
};

/* Life 0 is of requests that say nothing: they are never late. */

/** Something of this life is to begin. False: it was ended. */
bool tgt_life_begin(struct tgt_lives *lives, const struct uuid *pool, uint64_t life);
/** All of this life, and of those before, is to end. False: a later one has begun; there is nothing left of this one. */
bool tgt_life_end(struct tgt_lives *lives, const struct uuid *pool, uint64_t life);
bool tgt_life_is_ended(const struct tgt_lives *lives, const struct uuid *pool, uint64_t life);

#endif
