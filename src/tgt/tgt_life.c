/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See tgt_life.h. */
#include "tgt/tgt_life.h"

#include "base/probe.h"
#include "base/util.h"

static uint32_t
life_find(const struct tgt_lives *lives, const struct uuid *pool)
{
    uint32_t i = 0;

    while (i < TGT_LIVES_NR &&
        ((lives->at[i].begun == 0 && lives->at[i].ended == 0) ||
            cuuid_cmp(&lives->at[i].pool, pool) != 0)) {
        i++;
    }
    return i;
}

/* The entry of a pool, made if it is not there. */
static uint32_t
life_get(struct tgt_lives *lives, const struct uuid *pool)
{
    uint32_t i = life_find(lives, pool);

    if (i < TGT_LIVES_NR)
        return i;
    i = lives->next++ % TGT_LIVES_NR;
    lives->floor = MAX(lives->floor, lives->at[i].ended);
    lives->at[i].pool = *pool;
    lives->at[i].begun = lives->at[i].ended = 0;
    return i;
}

bool
tgt_life_is_ended(const struct tgt_lives *lives, const struct uuid *pool, uint64_t life)
{
    uint32_t i = life_find(lives, pool);

    if (life == 0)
        return false;
    return life <= lives->floor || (i < TGT_LIVES_NR && life <= lives->at[i].ended);
}

bool
tgt_life_begin(struct tgt_lives *lives, const struct uuid *pool, uint64_t life)
{
    uint32_t i;

    if (life == 0)
        return true;
    if (tgt_life_is_ended(lives, pool, life)) {
        CAIRN_PROBE("tgt.life.late_begin");
        return false;
    }
    i = life_get(lives, pool);
    lives->at[i].begun = MAX(lives->at[i].begun, life);
    return true;
}

bool
tgt_life_end(struct tgt_lives *lives, const struct uuid *pool, uint64_t life)
{
    uint32_t i;

    if (life == 0)
        return true;
    i = life_get(lives, pool);
    if (lives->at[i].begun > life) {
        CAIRN_PROBE("tgt.life.late_end");
        return false;
    }
    lives->at[i].ended = MAX(lives->at[i].ended, life);
    return true;
}
