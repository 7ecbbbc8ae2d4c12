/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "poolmap/poolmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/sm.h"
#include "base/util.h"
#include "poolmap/poolmap_format.h"

/* PM-3: which state may follow which. */
static const struct sm_state_def poolmap_states[] = {
    [POOLMAP_UNKNOWN] = {"unknown", 0},
    [POOLMAP_DOWN_OUT] = {"down_out", SM_TO(POOLMAP_UP)},
    [POOLMAP_DOWN] = {"down", SM_TO(POOLMAP_DOWN_OUT) | SM_TO(POOLMAP_UP)},
    [POOLMAP_UP] = {"up", SM_TO(POOLMAP_UPIN) | SM_TO(POOLMAP_DOWN)},
    [POOLMAP_UPIN] = {"upin", SM_TO(POOLMAP_DOWN) | SM_TO(POOLMAP_DRAIN)},
    [POOLMAP_NEW] = {"new", SM_TO(POOLMAP_UPIN) | SM_TO(POOLMAP_DOWN)},
    [POOLMAP_DRAIN] = {"drain", SM_TO(POOLMAP_DOWN_OUT) | SM_TO(POOLMAP_DOWN)},
};

const char *
poolmap_state_name(uint32_t state)
{
    return state < ARRAY_SIZE(poolmap_states) ? poolmap_states[state].name : "invalid";
}

/* Grow an array to *nr* elements; at least one, so that NULL always means failure. */
static int
array_grow(void **array, size_t nr, size_t size)
{
    void *bigger;
    size_t bytes;

    if (!mul_size(MAX(nr, (size_t)1), size, &bytes))
        return CAIRN_ERR(NOMEM);
    bigger = realloc(*array, bytes);
    if (bigger == NULL)
        return CAIRN_ERR(NOMEM);
    *array = bigger;
    return 0;
}

/* Room for that many of each. The counts in the map stay, so that a failure half way is harmless. */
static int
map_reserve(struct poolmap *map, uint32_t nodes_nr, uint32_t ranks_nr, uint32_t tgts_nr)
{
    int rc;

    rc = array_grow((void **)&map->nodes, nodes_nr, sizeof(map->nodes[0]));
    if (rc == 0)
        rc = array_grow((void **)&map->ranks, ranks_nr, sizeof(map->ranks[0]));
    if (rc == 0)
        rc = array_grow((void **)&map->tgts, tgts_nr, sizeof(map->tgts[0]));
    return rc;
}

static uint32_t
node_find(const struct poolmap *map, uint32_t node_id)
{
    uint32_t idx = 0;

    while (idx < map->nodes_nr && map->nodes[idx].id != node_id) {
        idx++;
    }
    return idx;
}

const struct poolmap_rank *
poolmap_rank_find(const struct poolmap *map, struct rank rank)
{
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        if (rank_eq(map->ranks[i].rank, rank))
            return &map->ranks[i];
    }
    return NULL;
}

/* Append one rank; room has been made. */
static void
rank_append(struct poolmap *map, const struct poolmap_rank_desc *desc, uint32_t version,
    enum poolmap_state state)
{
    struct poolmap_rank *rank = &map->ranks[map->ranks_nr];
    uint32_t node_idx = node_find(map, desc->node_id);

    if (node_idx == map->nodes_nr) {
        map->nodes[node_idx] = (struct poolmap_node){.id = desc->node_id};
        map->nodes_nr++;
    }
    map->nodes[node_idx].ranks_nr++;
    *rank = (struct poolmap_rank){
        .rank = desc->rank,
        .node_idx = node_idx,
        .tgt_first = map->tgts_nr,
        .tgts_nr = desc->tgts_nr,
    };
    for (uint32_t i = 0; i < desc->tgts_nr; i++) {
        map->tgts[map->tgts_nr] = (struct poolmap_tgt){
            .id = map->tgts_nr,
            .rank_idx = map->ranks_nr,
            .tgt_idx = i,
            .added_ver = version,
            .changed_ver = version,
            .state = (uint8_t)state,
        };
        map->tgts_nr++;
    }
    map->ranks_nr++;
}

/* Check what is to be added against the map and itself. */
static int
descs_check(const struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr,
    uint32_t *ret_tgts_nr)
{
    uint64_t tgts_nr = map->tgts_nr;

    if (descs_nr == 0)
        return CAIRN_ERR(INVAL);
    if (descs_nr > POOLMAP_RANKS_MAX - map->ranks_nr)
        return CAIRN_ERR(OVERFLOW);
    for (uint32_t i = 0; i < descs_nr; i++) {
        if (descs[i].tgts_nr == 0 || descs[i].tgts_nr > POOLMAP_RANK_TGTS_MAX)
            return CAIRN_ERR(INVAL);
        if (rank_eq(descs[i].rank, RANK_NONE))
            return CAIRN_ERR(INVAL);
        if (poolmap_rank_find(map, descs[i].rank) != NULL)
            return CAIRN_ERR(EXIST);
        for (uint32_t j = 0; j < i; j++) {
            if (rank_eq(descs[i].rank, descs[j].rank))
                return CAIRN_ERR(INVAL);
        }
        tgts_nr += descs[i].tgts_nr;
    }
    if (tgts_nr > POOLMAP_TGTS_MAX)
        return CAIRN_ERR(OVERFLOW);
    *ret_tgts_nr = (uint32_t)tgts_nr;
    return 0;
}

static int
ranks_add(struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr,
    enum poolmap_state state)
{
    uint32_t tgts_nr;
    int rc;

    if (map->version == UINT32_MAX)
        return CAIRN_ERR(OVERFLOW);
    rc = descs_check(map, descs, descs_nr, &tgts_nr);
    if (rc == 0)
        rc = map_reserve(map, map->nodes_nr + descs_nr, map->ranks_nr + descs_nr, tgts_nr);
    if (rc != 0)
        return rc;
    map->version++;
    for (uint32_t i = 0; i < descs_nr; i++) {
        rank_append(map, &descs[i], map->version, state);
    }
    CAIRN_DASSERT(poolmap_check(map) == 0);
    return 0;
}

int
poolmap_create(const struct poolmap_rank_desc *descs, uint32_t descs_nr, struct poolmap **ret_map)
{
    struct poolmap *map;
    int rc;

    map = calloc(1, sizeof(*map));
    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    rc = ranks_add(map, descs, descs_nr, POOLMAP_UPIN);
    if (rc != 0)
        goto out;
    *ret_map = map;
    map = NULL;
out:
    poolmap_destroy(map);
    return rc;
}

void
poolmap_destroy(struct poolmap *map)
{
    if (map == NULL)
        return;
    free(map->nodes);
    free(map->ranks);
    free(map->tgts);
    free(map);
}

int
poolmap_dup(const struct poolmap *map, struct poolmap **ret_map)
{
    struct poolmap *copy;
    int rc;

    copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return CAIRN_ERR(NOMEM);
    rc = map_reserve(copy, map->nodes_nr, map->ranks_nr, map->tgts_nr);
    if (rc != 0)
        goto out;
    copy->version = map->version;
    copy->nodes_nr = map->nodes_nr;
    copy->ranks_nr = map->ranks_nr;
    copy->tgts_nr = map->tgts_nr;
    memcpy(copy->nodes, map->nodes, map->nodes_nr * sizeof(map->nodes[0]));
    memcpy(copy->ranks, map->ranks, map->ranks_nr * sizeof(map->ranks[0]));
    memcpy(copy->tgts, map->tgts, map->tgts_nr * sizeof(map->tgts[0]));
    *ret_map = copy;
    copy = NULL;
out:
    poolmap_destroy(copy);
    return rc;
}

int
poolmap_extend(struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr)
{
    return ranks_add(map, descs, descs_nr, POOLMAP_NEW);
}

int
poolmap_tgt_set_state(struct poolmap *map, uint32_t tgt_id, enum poolmap_state state)
{
    struct poolmap_tgt *tgt;

    if (tgt_id >= map->tgts_nr)
        return CAIRN_ERR(NONEXIST);
    tgt = &map->tgts[tgt_id];
    if (tgt->state == state)
        return CAIRN_ERR(ALREADY);
    if ((uint32_t)state >= ARRAY_SIZE(poolmap_states) ||
        (poolmap_states[tgt->state].to & SM_TO(state)) == 0)
        return CAIRN_ERR(NO_PERM);
    if (map->version == UINT32_MAX)
        return CAIRN_ERR(OVERFLOW);
    map->version++;
    tgt->state = (uint8_t)state;
    tgt->changed_ver = map->version;
    return 0;
}

size_t
poolmap_encoded_bytes(const struct poolmap *map)
{
    return POOLMAP_DF_HEAD_BYTES + (size_t)map->nodes_nr * POOLMAP_DF_NODE_BYTES +
        (size_t)map->ranks_nr * POOLMAP_DF_RANK_BYTES +
        (size_t)map->tgts_nr * POOLMAP_DF_TGT_BYTES + POOLMAP_DF_CSUM_BYTES;
}

void
poolmap_encode(const struct poolmap *map, struct enc *e)
{
    size_t start = e->len;

    enc_u32(e, POOLMAP_DF_MAGIC);
    enc_u16(e, POOLMAP_DF_VERSION);
    enc_u16(e, 0);
    enc_u32(e, map->version);
    enc_u32(e, map->nodes_nr);
    enc_u32(e, map->ranks_nr);
    enc_u32(e, map->tgts_nr);
    for (uint32_t i = 0; i < map->nodes_nr; i++) {
        enc_u32(e, map->nodes[i].id);
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        enc_u32(e, map->ranks[i].rank.v);
        enc_u32(e, map->ranks[i].node_idx);
        enc_u32(e, map->ranks[i].tgts_nr);
    }
    for (uint32_t i = 0; i < map->tgts_nr; i++) {
        enc_u32(e, map->tgts[i].added_ver);
        enc_u32(e, map->tgts[i].changed_ver);
        enc_u32(e, map->tgts[i].state);
    }
    if (enc_check(e) == 0 && e->buf != NULL) {
        enc_u32(e, crc32c(0, e->buf + start, e->len - start));
    } else {
        enc_u32(e, 0);
    }
}

/* Numbers of the head within limits and in agreement with the length. */
static int
head_check(const struct poolmap *map, size_t len)
{
    if (map->nodes_nr > POOLMAP_NODES_MAX || map->ranks_nr > POOLMAP_RANKS_MAX ||
        map->tgts_nr > POOLMAP_TGTS_MAX)
        return CAIRN_ERR(DF_INVAL);
    if (poolmap_encoded_bytes(map) != len)
        return CAIRN_ERR(DF_INVAL);
    return 0;
}

/* The records behind the head; counts and lengths have been checked. */
static int
records_decode(struct dec *d, struct poolmap *map)
{
    uint32_t tgt = 0;

    for (uint32_t i = 0; i < map->nodes_nr; i++) {
        map->nodes[i] = (struct poolmap_node){.id = dec_u32(d)};
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        struct poolmap_rank *rank = &map->ranks[i];

        rank->rank.v = dec_u32(d);
        rank->node_idx = dec_u32(d);
        rank->tgts_nr = dec_u32(d);
        rank->tgt_first = tgt;
        if (rank->tgts_nr > map->tgts_nr - tgt || rank->node_idx >= map->nodes_nr)
            return CAIRN_ERR(DF_INVAL);
        map->nodes[rank->node_idx].ranks_nr++;
        for (uint32_t j = 0; j < rank->tgts_nr; j++, tgt++) {
            map->tgts[tgt].id = tgt;
            map->tgts[tgt].rank_idx = i;
            map->tgts[tgt].tgt_idx = j;
        }
    }
    if (tgt != map->tgts_nr)
        return CAIRN_ERR(DF_INVAL);
    for (uint32_t i = 0; i < map->tgts_nr; i++) {
        uint32_t state;

        map->tgts[i].added_ver = dec_u32(d);
        map->tgts[i].changed_ver = dec_u32(d);
        state = dec_u32(d);
        if (state >= ARRAY_SIZE(poolmap_states))
            return CAIRN_ERR(DF_INVAL);
        map->tgts[i].state = (uint8_t)state;
    }
    return 0;
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
    struct dec d;
    int rc;

    rc = frame_check(buf, len);
    if (rc != 0)
        return rc;
    map = calloc(1, sizeof(*map));
    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    dec_init(&d, buf, len - POOLMAP_DF_CSUM_BYTES);
    dec_skip(&d, 8);
    map->version = dec_u32(&d);
    map->nodes_nr = dec_u32(&d);
    map->ranks_nr = dec_u32(&d);
    map->tgts_nr = dec_u32(&d);
    rc = head_check(map, len);
    if (rc == 0)
        rc = map_reserve(map, map->nodes_nr, map->ranks_nr, map->tgts_nr);
    if (rc == 0)
        rc = records_decode(&d, map);
    if (rc == 0)
        rc = poolmap_check(map);
    if (rc != 0)
        goto out;
    CAIRN_ASSERT(dec_end(&d) == 0);
    *ret_map = map;
    map = NULL;
out:
    poolmap_destroy(map);
    return rc;
}

static int
uint32_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Whether numbers at a stride repeat. Sorted copy: maps come from outside and may be large. */
static int
unique_check(const void *first, size_t stride, uint32_t nr)
{
    uint32_t *sorted;
    int rc = 0;

    sorted = malloc(MAX(nr, 1u) * sizeof(*sorted));
    if (sorted == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        memcpy(&sorted[i], (const uint8_t *)first + i * stride, sizeof(sorted[i]));
    }
    qsort(sorted, nr, sizeof(sorted[0]), uint32_cmp);
    for (uint32_t i = 1; i < nr; i++) {
        if (sorted[i] == sorted[i - 1])
            rc = CAIRN_ERR(DF_INVAL);
    }
    free(sorted);
    return rc;
}

static bool
tgt_is_valid(const struct poolmap *map, uint32_t id)
{
    const struct poolmap_tgt *tgt = &map->tgts[id];
    const struct poolmap_rank *rank;

    if (tgt->id != id || tgt->rank_idx >= map->ranks_nr)
        return false;
    rank = &map->ranks[tgt->rank_idx];
    if (tgt->tgt_idx >= rank->tgts_nr || rank->tgt_first + tgt->tgt_idx != id)
        return false;
    if (tgt->state == POOLMAP_UNKNOWN || tgt->state >= ARRAY_SIZE(poolmap_states))
        return false;
    return tgt->added_ver > 0 && tgt->added_ver <= tgt->changed_ver &&
        tgt->changed_ver <= map->version;
}

int
poolmap_check(const struct poolmap *map)
{
    int rc;

    if (map->version == 0 || map->ranks_nr == 0)
        return CAIRN_ERR(DF_INVAL);
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        const struct poolmap_rank *rank = &map->ranks[i];

        if (rank->tgts_nr == 0 || rank->tgts_nr > POOLMAP_RANK_TGTS_MAX ||
            rank->node_idx >= map->nodes_nr || rank_eq(rank->rank, RANK_NONE))
            return CAIRN_ERR(DF_INVAL);
    }
    for (uint32_t i = 0; i < map->nodes_nr; i++) {
        if (map->nodes[i].ranks_nr == 0)
            return CAIRN_ERR(DF_INVAL);
    }
    for (uint32_t i = 0; i < map->tgts_nr; i++) {
        if (!tgt_is_valid(map, i))
            return CAIRN_ERR(DF_INVAL);
    }
    rc = unique_check(&map->ranks[0].rank.v, sizeof(map->ranks[0]), map->ranks_nr);
    if (rc == 0)
        rc = unique_check(&map->nodes[0].id, sizeof(map->nodes[0]), map->nodes_nr);
    return rc;
}

const struct poolmap_tgt *
poolmap_tgt_at(const struct poolmap *map, uint32_t tgt_id)
{
    return tgt_id < map->tgts_nr ? &map->tgts[tgt_id] : NULL;
}

const struct poolmap_tgt *
poolmap_tgt_find(const struct poolmap *map, struct rank rank, uint32_t tgt_idx)
{
    const struct poolmap_rank *found = poolmap_rank_find(map, rank);

    if (found == NULL || tgt_idx >= found->tgts_nr)
        return NULL;
    return &map->tgts[found->tgt_first + tgt_idx];
}

const struct poolmap_tgt *
poolmap_tgt_next(const struct poolmap *map, uint32_t from, uint32_t mask)
{
    for (uint32_t i = from; i < map->tgts_nr; i++) {
        if ((POOLMAP_BIT(map->tgts[i].state) & mask) != 0)
            return &map->tgts[i];
    }
    return NULL;
}

uint32_t
poolmap_tgts_count(const struct poolmap *map, uint32_t mask)
{
    const struct poolmap_tgt *tgt;
    uint32_t count = 0;

    POOLMAP_FOREACH_TGT(tgt, map, mask)
    count++;
    return count;
}

static bool
rank_has(const struct poolmap *map, const struct poolmap_rank *rank, uint32_t mask)
{
    const struct poolmap_tgt *tgt = poolmap_tgt_next(map, rank->tgt_first, mask);

    return tgt != NULL && tgt->id < rank->tgt_first + rank->tgts_nr;
}

static bool
node_has(const struct poolmap *map, uint32_t node_idx, uint32_t mask)
{
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        if (map->ranks[i].node_idx == node_idx && rank_has(map, &map->ranks[i], mask))
            return true;
    }
    return false;
}

uint32_t
poolmap_domains_count(const struct poolmap *map, enum poolmap_level level, uint32_t mask)
{
    uint32_t count = 0;

    if (level == POOLMAP_LEVEL_TGT)
        return poolmap_tgts_count(map, mask);
    if (level == POOLMAP_LEVEL_RANK) {
        for (uint32_t i = 0; i < map->ranks_nr; i++) {
            count += rank_has(map, &map->ranks[i], mask);
        }
        return count;
    }
    for (uint32_t i = 0; i < map->nodes_nr; i++) {
        count += node_has(map, i, mask);
    }
    return count;
}

bool
poolmap_rank_has(const struct poolmap *map, struct rank rank, uint32_t mask)
{
    const struct poolmap_rank *found = poolmap_rank_find(map, rank);

    return found != NULL && rank_has(map, found, mask);
}
