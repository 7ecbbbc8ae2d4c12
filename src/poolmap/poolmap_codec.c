/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Encoded maps (docs/format/poolmap.md). Targets that were treated alike, whichever ranks they are of, are one run: a map of a healthy pool
 * grows with its ranks, not with its targets. Runs are as long as they can be, so that equal maps have equal bytes (PM-6).
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/util.h"
#include "poolmap/poolmap_format.h"
#include "poolmap/poolmap_priv.h"

/* Whether two targets may share a run. */
static bool
tgt_is_alike(const struct poolmap_tgt *a, const struct poolmap_tgt *b)
{
    return a->added_ver == b->added_ver && a->changed_ver == b->changed_ver &&
        a->in_ver == b->in_ver && a->fail_seq == b->fail_seq && a->out_ver == b->out_ver &&
        a->weight == b->weight && a->state == b->state && a->drained == b->drained;
}

static uint32_t
runs_nr(const struct poolmap *map)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < map->tgts_nr; i++) {
        nr += i == 0 || !tgt_is_alike(&map->tgts[i], &map->tgts[i - 1]);
    }
    return nr;
}

static size_t
encoded_bytes(uint32_t doms_nr, uint32_t ranks_nr, uint32_t nr)
{
    return POOLMAP_DF_HEAD_BYTES + (size_t)(doms_nr - 1) * POOLMAP_DF_DOM_BYTES +
        (size_t)ranks_nr * POOLMAP_DF_RANK_BYTES + (size_t)nr * POOLMAP_DF_RUN_BYTES +
        POOLMAP_DF_CSUM_BYTES;
}

size_t
poolmap_encoded_bytes(const struct poolmap *map)
{
    return encoded_bytes(map->doms_nr, map->ranks_nr, runs_nr(map));
}

static void
run_encode(const struct poolmap_tgt *tgt, uint32_t nr, struct enc *e)
{
    enc_u32(e, nr);
    enc_u32(e, tgt->added_ver);
    enc_u32(e, tgt->changed_ver);
    enc_u32(e, tgt->in_ver);
    enc_u32(e, tgt->fail_seq);
    enc_u32(e, tgt->out_ver);
    enc_u16(e, tgt->weight);
    enc_u8(e, tgt->state);
    enc_u8(e, tgt->drained);
}

void
poolmap_encode(const struct poolmap *map, struct enc *e)
{
    size_t start = e->len;
    uint32_t first = 0;

    enc_u32(e, POOLMAP_DF_MAGIC);
    enc_u16(e, POOLMAP_DF_VERSION);
    enc_u16(e, 0);
    enc_u32(e, map->version);
    enc_u32(e, map->doms_nr);
    enc_u32(e, map->ranks_nr);
    enc_u32(e, map->tgts_nr);
    enc_u32(e, runs_nr(map));
    enc_u32(e, map->levels_nr);
    enc_bytes(e, map->levels, sizeof(map->levels));
    for (uint32_t i = 1; i < map->doms_nr; i++) {
        enc_u32(e, map->doms[i].id);
        enc_u32(e, map->doms[i].parent);
        enc_u32(e, map->doms[i].level);
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        enc_u32(e, map->ranks[i].rank.v);
        enc_u32(e, map->ranks[i].node_idx);
        enc_u32(e, map->ranks[i].tgts_nr);
    }
    for (uint32_t i = 1; i <= map->tgts_nr; i++) {
        if (i < map->tgts_nr && tgt_is_alike(&map->tgts[i], &map->tgts[first]))
            continue;
        run_encode(&map->tgts[first], i - first, e);
        first = i;
    }
    if (enc_check(e) == 0 && e->buf != NULL) {
        enc_u32(e, crc32c(0, e->buf + start, e->len - start));
    } else {
        enc_u32(e, 0);
    }
}

/* The head. Numbers within limits and in agreement with the length. */
static int
head_decode(struct dec *d, size_t len, struct poolmap *map, uint32_t *ret_runs_nr)
{
    dec_skip(d, 8);
    map->version = dec_u32(d);
    map->doms_nr = dec_u32(d);
    map->ranks_nr = dec_u32(d);
    map->tgts_nr = dec_u32(d);
    *ret_runs_nr = dec_u32(d);
    map->levels_nr = dec_u32(d);
    dec_bytes(d, map->levels, sizeof(map->levels));
    if (map->doms_nr < 2 || map->doms_nr > POOLMAP_DOMS_MAX || map->ranks_nr == 0 ||
        map->ranks_nr > POOLMAP_RANKS_MAX || map->tgts_nr == 0 || map->tgts_nr > POOLMAP_TGTS_MAX ||
        *ret_runs_nr > map->tgts_nr || map->levels_nr == 0 || map->levels_nr > POOLMAP_LEVELS_MAX)
        return CAIRN_ERR(DF_INVAL);
    if (encoded_bytes(map->doms_nr, map->ranks_nr, *ret_runs_nr) != len)
        return CAIRN_ERR(DF_INVAL);
    return 0;
}

/* Domains and ranks; counts and lengths have been checked. */
static int
tree_decode(struct dec *d, struct poolmap *map)
{
    uint32_t tgt = 0;

    map->doms[0] = (struct poolmap_dom){.level = POOLMAP_LEVEL_ROOT};
    for (uint32_t i = 1; i < map->doms_nr; i++) {
        uint32_t level;

        map->doms[i].id = dec_u32(d);
        map->doms[i].parent = dec_u32(d);
        level = dec_u32(d);
        if (level > POOLMAP_LEVEL_PERF)
            return CAIRN_ERR(DF_INVAL);
        map->doms[i].level = (uint8_t)level;
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        struct poolmap_rank *rank = &map->ranks[i];

        rank->rank.v = dec_u32(d);
        rank->node_idx = dec_u32(d);
        rank->tgts_nr = dec_u32(d);
        rank->tgt_first = tgt;
        if (rank->tgts_nr > map->tgts_nr - tgt)
            return CAIRN_ERR(DF_INVAL);
        for (uint32_t j = 0; j < rank->tgts_nr; j++, tgt++) {
            map->tgts[tgt] = (struct poolmap_tgt){.id = tgt, .rank_idx = i, .tgt_idx = j};
        }
    }
    return tgt == map->tgts_nr ? 0 : CAIRN_ERR(DF_INVAL);
}

static int
runs_decode(struct dec *d, uint32_t nr, struct poolmap *map)
{
    uint32_t tgt = 0;

    for (uint32_t i = 0; i < nr; i++) {
        uint32_t tgts_nr = dec_u32(d);
        struct poolmap_tgt run = {.added_ver = dec_u32(d)};

        run.changed_ver = dec_u32(d);
        run.in_ver = dec_u32(d);
        run.fail_seq = dec_u32(d);
        run.out_ver = dec_u32(d);
        run.weight = dec_u16(d);
        run.state = dec_u8(d);
        run.drained = dec_u8(d);
        if (tgts_nr == 0 || tgts_nr > map->tgts_nr - tgt)
            return CAIRN_ERR(DF_INVAL);
        if (tgt > 0 && tgt_is_alike(&run, &map->tgts[tgt - 1]))
            return CAIRN_ERR(DF_INVAL);
        for (uint32_t end = tgt + tgts_nr; tgt < end; tgt++) {
            run.id = tgt;
            run.rank_idx = map->tgts[tgt].rank_idx;
            run.tgt_idx = map->tgts[tgt].tgt_idx;
            map->tgts[tgt] = run;
        }
    }
    return tgt == map->tgts_nr ? 0 : CAIRN_ERR(DF_INVAL);
}

/* Magic, checksum and format version, in the order in which they can be trusted. */
static int
frame_check(const void *buf, size_t len)
{
    const uint8_t *bytes = buf;

    if (len < POOLMAP_DF_HEAD_BYTES + POOLMAP_DF_CSUM_BYTES || le32_get(bytes) != POOLMAP_DF_MAGIC)
        return CAIRN_ERR(DF_INVAL);
    if (le32_get(bytes + len - POOLMAP_DF_CSUM_BYTES) != crc32c(0, buf, len - POOLMAP_DF_CSUM_BYTES))
        return CAIRN_ERR(CSUM);
    if (le16_get(bytes + 4) != POOLMAP_DF_VERSION || le16_get(bytes + 6) != 0)
        return CAIRN_ERR(DF_INCOMPT);
    return 0;
}

int
poolmap_decode(const void *buf, size_t len, struct poolmap **ret_map)
{
    struct poolmap *map = NULL;
    uint32_t nr;
    struct dec d;
    int rc;

    rc = frame_check(buf, len);
    if (rc != 0)
        return rc;
    map = calloc(1, sizeof(*map));
    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    dec_init(&d, buf, len - POOLMAP_DF_CSUM_BYTES);
    rc = head_decode(&d, len, map, &nr);
    if (rc == 0)
        rc = poolmap_reserve(map, map->doms_nr, map->ranks_nr, map->tgts_nr);
    if (rc == 0)
        rc = tree_decode(&d, map);
    if (rc == 0)
        rc = runs_decode(&d, nr, map);
    if (rc == 0)
        rc = poolmap_check(map);
    if (rc == 0)
        rc = poolmap_index(map);
    if (rc == -DER_OVERFLOW)
        rc = CAIRN_ERR(DF_INVAL);
    if (rc != 0)
        goto out;
    CAIRN_ASSERT(dec_end(&d) == 0);
    *ret_map = map;
    map = NULL;
out:
    poolmap_destroy(map);
    return rc;
}

bool
poolmap_eq(const struct poolmap *a, const struct poolmap *b)
{
    if (a->version != b->version || a->doms_nr != b->doms_nr || a->ranks_nr != b->ranks_nr ||
        a->tgts_nr != b->tgts_nr || a->levels_nr != b->levels_nr ||
        memcmp(a->levels, b->levels, sizeof(a->levels)) != 0)
        return false;
    for (uint32_t i = 1; i < a->doms_nr; i++) {
        if (a->doms[i].id != b->doms[i].id || a->doms[i].parent != b->doms[i].parent ||
            a->doms[i].level != b->doms[i].level)
            return false;
    }
    for (uint32_t i = 0; i < a->ranks_nr; i++) {
        if (!rank_eq(a->ranks[i].rank, b->ranks[i].rank) ||
            a->ranks[i].node_idx != b->ranks[i].node_idx ||
            a->ranks[i].tgts_nr != b->ranks[i].tgts_nr)
            return false;
    }
    for (uint32_t i = 0; i < a->tgts_nr; i++) {
        if (!tgt_is_alike(&a->tgts[i], &b->tgts[i]))
            return false;
    }
    return true;
}
