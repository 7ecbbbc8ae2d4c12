/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "poolmap/poolmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/sm.h"
#include "base/util.h"
#include "poolmap/poolmap_priv.h"

/* PM-3: which state may follow which. UP > DOWN_OUT only for a target whose data is complete elsewhere, see tgt_can_move(). */
static const struct sm_state_def poolmap_states[] = {
    [POOLMAP_UNKNOWN] = {"unknown", 0},
    [POOLMAP_DOWN_OUT] = {"down_out", SM_TO(POOLMAP_UP)},
    [POOLMAP_DOWN] = {"down", SM_TO(POOLMAP_DOWN_OUT) | SM_TO(POOLMAP_UP)},
    [POOLMAP_UP] = {"up", SM_TO(POOLMAP_UPIN) | SM_TO(POOLMAP_DOWN) | SM_TO(POOLMAP_DOWN_OUT)},
    [POOLMAP_UPIN] = {"upin", SM_TO(POOLMAP_DOWN) | SM_TO(POOLMAP_DRAIN)},
    [POOLMAP_NEW] = {"new", SM_TO(POOLMAP_UPIN) | SM_TO(POOLMAP_DOWN)},
    [POOLMAP_DRAIN] = {"drain", SM_TO(POOLMAP_DOWN_OUT) | SM_TO(POOLMAP_DOWN) | SM_TO(POOLMAP_UPIN)},
};

/* What an operation makes of a state: the next one, the same one (passed over), UNKNOWN (not allowed). */
enum {
    BACK = POOLMAP_DRAIN + 1
}; /* what it was before it came back: DOWN_OUT when its data is complete elsewhere, else DOWN */

static const uint8_t poolmap_ops[POOLMAP_OP_NR][POOLMAP_DRAIN + 1] = {
    [POOLMAP_OP_EXCLUDE] = {[POOLMAP_DOWN_OUT] = POOLMAP_DOWN_OUT,
        [POOLMAP_DOWN] = POOLMAP_DOWN,
        [POOLMAP_UP] = BACK,
        [POOLMAP_UPIN] = POOLMAP_DOWN,
        [POOLMAP_NEW] = POOLMAP_DOWN,
        [POOLMAP_DRAIN] = POOLMAP_DOWN},
    [POOLMAP_OP_DRAIN] = {[POOLMAP_DOWN_OUT] = POOLMAP_DOWN_OUT,
        [POOLMAP_DOWN] = POOLMAP_DOWN,
        [POOLMAP_UPIN] = POOLMAP_DRAIN,
        [POOLMAP_DRAIN] = POOLMAP_DRAIN},
    [POOLMAP_OP_REINTEGRATE] = {[POOLMAP_DOWN_OUT] = POOLMAP_UP,
        [POOLMAP_DOWN] = POOLMAP_UP,
        [POOLMAP_UP] = POOLMAP_UP,
        [POOLMAP_UPIN] = POOLMAP_UPIN,
        [POOLMAP_NEW] = POOLMAP_NEW},
    [POOLMAP_OP_FINISH] = {[POOLMAP_DOWN_OUT] = POOLMAP_DOWN_OUT,
        [POOLMAP_DOWN] = POOLMAP_DOWN_OUT,
        [POOLMAP_UP] = POOLMAP_UPIN,
        [POOLMAP_UPIN] = POOLMAP_UPIN,
        [POOLMAP_NEW] = POOLMAP_UPIN,
        [POOLMAP_DRAIN] = POOLMAP_DOWN_OUT},
    [POOLMAP_OP_REVERT] = {[POOLMAP_DOWN_OUT] = POOLMAP_DOWN_OUT,
        [POOLMAP_DOWN] = POOLMAP_DOWN,
        [POOLMAP_UP] = BACK,
        [POOLMAP_UPIN] = POOLMAP_UPIN,
        [POOLMAP_NEW] = POOLMAP_NEW,
        [POOLMAP_DRAIN] = POOLMAP_UPIN},
};

const char *
poolmap_state_name(uint32_t state)
{
    return state < ARRAY_SIZE(poolmap_states) ? poolmap_states[state].name : "invalid";
}

int
poolmap_array_grow(void *array, size_t nr, size_t size)
{
    void **at = array;
    void *bigger;
    size_t bytes;

    if (!mul_size(MAX(nr, (size_t)1), size, &bytes))
        return CAIRN_ERR(NOMEM);
    bigger = realloc(*at, bytes);
    if (bigger == NULL)
        return CAIRN_ERR(NOMEM);
    *at = bigger;
    return 0;
}

int
poolmap_reserve(struct poolmap *map, uint32_t doms_nr, uint32_t ranks_nr, uint32_t tgts_nr)
{
    int rc;

    rc = poolmap_array_grow(&map->doms, doms_nr, sizeof(map->doms[0]));
    if (rc == 0)
        rc = poolmap_array_grow(&map->ranks, ranks_nr, sizeof(map->ranks[0]));
    if (rc == 0)
        rc = poolmap_array_grow(&map->tgts, tgts_nr, sizeof(map->tgts[0]));
    return rc;
}

void
poolmap_destroy(struct poolmap *map)
{
    if (map == NULL)
        return;
    poolmap_views_drop(map);
    free(map->by_rank);
    free(map->by_place);
    free(map->doms);
    free(map->ranks);
    free(map->tgts);
    free(map);
}

int
poolmap_uint64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Order the ranks by their place in the tree. */
static int
by_place_fill(struct poolmap *map)
{
    uint32_t *ranks_nr;
    uint32_t *next;

    ranks_nr = calloc((size_t)map->doms_nr * 2, sizeof(*ranks_nr));
    if (ranks_nr == NULL)
        return CAIRN_ERR(NOMEM);
    next = ranks_nr + map->doms_nr; /* where the next child of a domain begins */
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        ranks_nr[map->ranks[i].node_idx]++;
    }
    for (uint32_t i = map->doms_nr - 1; i > 0; i--) {
        ranks_nr[map->doms[i].parent] += ranks_nr[i];
    }
    for (uint32_t i = 1; i < map->doms_nr; i++) {
        next[i] = next[map->doms[i].parent];
        next[map->doms[i].parent] += ranks_nr[i];
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        map->by_place[next[map->ranks[i].node_idx]++] = i;
    }
    free(ranks_nr);
    return 0;
}

static int
by_rank_fill(struct poolmap *map)
{
    uint64_t *sorted;

    sorted = malloc(map->ranks_nr * sizeof(*sorted));
    if (sorted == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        sorted[i] = (uint64_t)map->ranks[i].rank.v << 32 | i;
    }
    qsort(sorted, map->ranks_nr, sizeof(sorted[0]), poolmap_uint64_cmp);
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        map->by_rank[i] = (uint32_t)sorted[i];
    }
    free(sorted);
    return 0;
}

int
poolmap_index(struct poolmap *map)
{
    int rc;

    rc = poolmap_array_grow(&map->by_rank, map->ranks_nr, sizeof(map->by_rank[0]));
    if (rc == 0)
        rc = poolmap_array_grow(&map->by_place, map->ranks_nr, sizeof(map->by_place[0]));
    if (rc == 0)
        rc = by_rank_fill(map);
    if (rc == 0)
        rc = by_place_fill(map);
    if (rc == 0)
        rc = poolmap_views_make(map);
    if (rc != 0)
        return rc;
    memset(map->state_nr, 0, sizeof(map->state_nr));
    for (uint32_t i = 0; i < map->tgts_nr; i++) {
        map->state_nr[map->tgts[i].state]++;
    }
    return 0;
}

/* A copy without what is made from the rest, with room for more. */
static int
map_copy(const struct poolmap *map, uint32_t doms_more, uint32_t ranks_more, uint32_t tgts_more,
    struct poolmap **ret_map)
{
    struct poolmap *copy;
    int rc;

    copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return CAIRN_ERR(NOMEM);
    rc = poolmap_reserve(
        copy, map->doms_nr + doms_more, map->ranks_nr + ranks_more, map->tgts_nr + tgts_more);
    if (rc != 0)
        goto out;
    copy->version = map->version;
    copy->doms_nr = map->doms_nr;
    copy->ranks_nr = map->ranks_nr;
    copy->tgts_nr = map->tgts_nr;
    copy->levels_nr = map->levels_nr;
    memcpy(copy->levels, map->levels, sizeof(map->levels));
    memcpy(copy->doms, map->doms, map->doms_nr * sizeof(map->doms[0]));
    memcpy(copy->ranks, map->ranks, map->ranks_nr * sizeof(map->ranks[0]));
    memcpy(copy->tgts, map->tgts, map->tgts_nr * sizeof(map->tgts[0]));
    *ret_map = copy;
    copy = NULL;
out:
    poolmap_destroy(copy);
    return rc;
}

int
poolmap_dup(const struct poolmap *map, struct poolmap **ret_map)
{
    struct poolmap *copy;
    int rc;

    rc = map_copy(map, 0, 0, 0, &copy);
    if (rc != 0)
        return rc;
    rc = poolmap_index(copy);
    if (rc != 0) {
        poolmap_destroy(copy);
        return rc;
    }
    *ret_map = copy;
    return 0;
}

/* Put what *from* holds into *map*, and the old content into *from*, which is freed. */
static void
map_replace(struct poolmap *map, struct poolmap *from)
{
    struct poolmap old = *map;

    *map = *from;
    *from = old;
    poolmap_destroy(from);
}

/* ---- adding ------------------------------------------------------------------------------------------------------------- */

/* Domains by level and id, while ranks are added: open addressing, values are positions, 0 is free (the root is never looked up). */
struct dom_table {
    uint32_t *slots;
    uint32_t mask;
};

static uint32_t *
dom_slot(const struct poolmap *map, const struct dom_table *table, uint32_t level, uint32_t id)
{
    uint32_t at = (uint32_t)hash_mix64((uint64_t)level << 32 | id) & table->mask;

    while (table->slots[at] != 0 &&
        (map->doms[table->slots[at]].level != level || map->doms[table->slots[at]].id != id)) {
        at = (at + 1) & table->mask;
    }
    return &table->slots[at];
}

static int
dom_table_make(const struct poolmap *map, uint32_t doms_max, struct dom_table *table)
{
    uint32_t slots_nr = 4;

    while (slots_nr < doms_max * 2) {
        slots_nr *= 2;
    }
    table->slots = calloc(slots_nr, sizeof(*table->slots));
    if (table->slots == NULL)
        return CAIRN_ERR(NOMEM);
    table->mask = slots_nr - 1;
    for (uint32_t i = 1; i < map->doms_nr; i++) {
        *dom_slot(map, table, map->doms[i].level, map->doms[i].id) = i;
    }
    return 0;
}

/* The domain under *parent*, added when it is not there; INVAL when it is under another one. */
static int
dom_get(struct poolmap *map, const struct dom_table *table, uint32_t parent, uint32_t level,
    uint32_t id, uint32_t *ret_idx)
{
    uint32_t *slot = dom_slot(map, table, level, id);

    if (*slot == 0) {
        if (map->doms_nr == POOLMAP_DOMS_MAX)
            return CAIRN_ERR(OVERFLOW);
        map->doms[map->doms_nr] =
            (struct poolmap_dom){.id = id, .parent = parent, .level = (uint8_t)level};
        *slot = map->doms_nr++;
    }
    if (map->doms[*slot].parent != parent)
        return CAIRN_ERR(INVAL);
    *ret_idx = *slot;
    return 0;
}

/* Append one rank; room has been made. */
static int
rank_append(struct poolmap *map, const struct dom_table *table,
    const struct poolmap_rank_desc *desc, enum poolmap_state state)
{
    uint32_t dom = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < desc->above_nr; i++) {
        rc = dom_get(map, table, dom, desc->above[i].level, desc->above[i].id, &dom);
    }
    if (rc == 0)
        rc = dom_get(map, table, dom, POOLMAP_LEVEL_NODE, desc->node_id, &dom);
    if (rc != 0)
        return rc;
    map->ranks[map->ranks_nr] = (struct poolmap_rank){
        .rank = desc->rank,
        .node_idx = dom,
        .tgt_first = map->tgts_nr,
        .tgts_nr = desc->tgts_nr,
    };
    for (uint32_t i = 0; i < desc->tgts_nr; i++) {
        map->tgts[map->tgts_nr] = (struct poolmap_tgt){
            .id = map->tgts_nr,
            .rank_idx = map->ranks_nr,
            .tgt_idx = i,
            .added_ver = map->version,
            .changed_ver = map->version,
            .in_ver = state == POOLMAP_UPIN ? map->version : 0,
            .weight = (uint16_t)(desc->weight != 0 ? desc->weight : POOLMAP_WEIGHT_DFLT),
            .state = (uint8_t)state,
        };
        map->tgts_nr++;
    }
    map->ranks_nr++;
    return 0;
}

/* Whether the levels of a rank are those of the map, and fall. */
static bool
above_is_valid(const struct poolmap *map, const struct poolmap_rank_desc *desc)
{
    uint32_t higher = POOLMAP_LEVEL_PERF + 1;

    if (desc->above_nr != map->levels_nr - 1)
        return false;
    for (uint32_t i = 0; i < desc->above_nr; i++) {
        if (desc->above[i].level < POOLMAP_LEVEL_FAULT || desc->above[i].level >= higher ||
            desc->above[i].level != map->levels[i])
            return false;
        higher = desc->above[i].level;
    }
    return true;
}

/* A rank twice among what is to be added, or in the map already. */
static int
descs_unique_check(const struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr)
{
    uint64_t *sorted;
    int rc = 0;

    sorted = malloc(descs_nr * sizeof(*sorted));
    if (sorted == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < descs_nr; i++) {
        sorted[i] = descs[i].rank.v;
    }
    qsort(sorted, descs_nr, sizeof(sorted[0]), poolmap_uint64_cmp);
    for (uint32_t i = 1; rc == 0 && i < descs_nr; i++) {
        rc = sorted[i] == sorted[i - 1] ? CAIRN_ERR(INVAL) : 0;
    }
    for (uint32_t i = 0; rc == 0 && i < descs_nr && map->ranks_nr > 0; i++) {
        rc = poolmap_rank_find(map, descs[i].rank) != NULL ? CAIRN_ERR(EXIST) : 0;
    }
    free(sorted);
    return rc;
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
        if (descs[i].tgts_nr == 0 || descs[i].tgts_nr > POOLMAP_RANK_TGTS_MAX ||
            descs[i].weight > POOLMAP_WEIGHT_MAX || rank_eq(descs[i].rank, RANK_NONE) ||
            !above_is_valid(map, &descs[i]))
            return CAIRN_ERR(INVAL);
        tgts_nr += descs[i].tgts_nr;
    }
    if (tgts_nr > POOLMAP_TGTS_MAX)
        return CAIRN_ERR(OVERFLOW);
    *ret_tgts_nr = (uint32_t)(tgts_nr - map->tgts_nr);
    return descs_unique_check(map, descs, descs_nr);
}

/* Add ranks to a copy and put it into *map*. */
static int
ranks_add(struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr,
    enum poolmap_state state)
{
    struct poolmap *copy = NULL;
    struct dom_table table = {0};
    uint32_t doms_more;
    uint32_t tgts_more;
    int rc;

    if (map->version == UINT32_MAX)
        return CAIRN_ERR(OVERFLOW);
    rc = descs_check(map, descs, descs_nr, &tgts_more);
    if (rc != 0)
        return rc;
    doms_more = (uint32_t)MIN(
        (uint64_t)descs_nr * map->levels_nr, (uint64_t)POOLMAP_DOMS_MAX - map->doms_nr);
    rc = map_copy(map, doms_more, descs_nr, tgts_more, &copy);
    if (rc == 0)
        rc = dom_table_make(map, map->doms_nr + doms_more, &table);
    if (rc != 0)
        goto out;
    copy->version++;
    for (uint32_t i = 0; rc == 0 && i < descs_nr; i++) {
        rc = rank_append(copy, &table, &descs[i], state);
    }
    if (rc == 0)
        rc = poolmap_index(copy);
    if (rc != 0)
        goto out;
    CAIRN_DASSERT(poolmap_check(copy) == 0);
    map_replace(map, copy);
    copy = NULL;
out:
    free(table.slots);
    poolmap_destroy(copy);
    return rc;
}

int
poolmap_create(const struct poolmap_rank_desc *descs, uint32_t descs_nr, struct poolmap **ret_map)
{
    struct poolmap *map;
    int rc;

    if (descs_nr == 0 || descs[0].above_nr > POOLMAP_ABOVE_MAX)
        return CAIRN_ERR(INVAL);
    map = calloc(1, sizeof(*map));
    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    rc = poolmap_reserve(map, 1, 1, 1);
    if (rc != 0)
        goto out;
    map->doms_nr = 1;
    map->doms[0] = (struct poolmap_dom){.level = POOLMAP_LEVEL_ROOT};
    for (uint32_t i = 0; i < descs[0].above_nr; i++) {
        map->levels[i] = (uint8_t)MIN(descs[0].above[i].level, (uint32_t)POOLMAP_LEVEL_ROOT);
    }
    map->levels[descs[0].above_nr] = POOLMAP_LEVEL_NODE;
    map->levels_nr = descs[0].above_nr + 1;
    rc = ranks_add(map, descs, descs_nr, POOLMAP_UPIN);
    if (rc != 0)
        goto out;
    *ret_map = map;
    map = NULL;
out:
    poolmap_destroy(map);
    return rc;
}

int
poolmap_extend(struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr)
{
    return ranks_add(map, descs, descs_nr, POOLMAP_NEW);
}

/* ---- changing states ---------------------------------------------------------------------------------------------------- */

/* Whether its data was complete elsewhere when it came back. */
static bool
tgt_is_out(const struct poolmap_tgt *tgt)
{
    return tgt->out_ver != 0;
}

static bool
tgt_can_move(const struct poolmap_tgt *tgt, uint32_t state)
{
    if (state >= ARRAY_SIZE(poolmap_states) || (poolmap_states[tgt->state].to & SM_TO(state)) == 0)
        return false;
    return tgt->state != POOLMAP_UP || state != POOLMAP_DOWN_OUT || tgt_is_out(tgt);
}

/* Move a target (PM-4, PM-5); that it may has been checked. */
static void
tgt_move(struct poolmap_tgt *tgt, uint32_t state, uint32_t version)
{
    switch (state) {
    case POOLMAP_UPIN:
        tgt->in_ver = tgt->state == POOLMAP_DRAIN ? tgt->in_ver : version;
        tgt->fail_seq = 0;
        tgt->out_ver = 0;
        tgt->drained = 0;
        break;
    case POOLMAP_DOWN_OUT:
        if (!tgt_is_out(tgt))
            tgt->out_ver = version;
        if (tgt->state == POOLMAP_DRAIN)
            tgt->drained = 1;
        break;
    case POOLMAP_DOWN:
        tgt->out_ver = 0;
        tgt->drained = 0;
        if (tgt->fail_seq == 0)
            tgt->fail_seq = version;
        break;
    case POOLMAP_DRAIN:
        tgt->fail_seq = version;
        break;
    default:
        break;
    }
    tgt->state = (uint8_t)state;
    tgt->changed_ver = version;
}

/* The state that an operation leads to. */
static uint32_t
op_state(const struct poolmap_tgt *tgt, enum poolmap_op op)
{
    uint32_t state = poolmap_ops[op][tgt->state];

    if (state == BACK)
        return tgt_is_out(tgt) ? POOLMAP_DOWN_OUT : POOLMAP_DOWN;
    return state;
}

/* Whether a list of targets can be worked on. */
static int
ids_check(const struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    if (tgts_nr == 0)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < tgts_nr; i++) {
        if (tgt_ids[i] >= map->tgts_nr)
            return CAIRN_ERR(NONEXIST);
    }
    return map->version == UINT32_MAX ? CAIRN_ERR(OVERFLOW) : 0;
}

int
poolmap_change(struct poolmap *map, enum poolmap_op op, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    struct poolmap *copy;
    uint32_t moved_nr = 0;
    int rc;

    if ((uint32_t)op >= POOLMAP_OP_NR)
        return CAIRN_ERR(INVAL);
    rc = ids_check(map, tgt_ids, tgts_nr);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < tgts_nr; i++) {
        const struct poolmap_tgt *tgt = &map->tgts[tgt_ids[i]];
        uint32_t state = op_state(tgt, op);

        if (state == POOLMAP_UNKNOWN)
            return CAIRN_ERR(NO_PERM);
        moved_nr += state != tgt->state;
    }
    if (moved_nr == 0)
        return CAIRN_ERR(ALREADY);
    rc = map_copy(map, 0, 0, 0, &copy);
    if (rc != 0)
        return rc;
    copy->version++;
    for (uint32_t i = 0; i < tgts_nr; i++) {
        struct poolmap_tgt *tgt = &copy->tgts[tgt_ids[i]];
        uint32_t state = op_state(&map->tgts[tgt_ids[i]], op);

        if (state != tgt->state)
            tgt_move(tgt, state, copy->version);
    }
    rc = poolmap_index(copy);
    if (rc != 0) {
        poolmap_destroy(copy);
        return rc;
    }
    CAIRN_DASSERT(poolmap_check(copy) == 0);
    map_replace(map, copy);
    return 0;
}

int
poolmap_change_rank(struct poolmap *map, enum poolmap_op op, struct rank rank)
{
    const struct poolmap_rank *found = poolmap_rank_find(map, rank);
    uint32_t *ids;
    int rc;

    if (found == NULL)
        return CAIRN_ERR(NONEXIST);
    ids = malloc(found->tgts_nr * sizeof(*ids));
    if (ids == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < found->tgts_nr; i++) {
        ids[i] = found->tgt_first + i;
    }
    rc = poolmap_change(map, op, ids, found->tgts_nr);
    free(ids);
    return rc;
}

int
poolmap_tgt_set_state(struct poolmap *map, uint32_t tgt_id, enum poolmap_state state)
{
    struct poolmap_tgt before;
    int rc;

    rc = ids_check(map, &tgt_id, 1);
    if (rc != 0)
        return rc;
    before = map->tgts[tgt_id];
    if (before.state == state)
        return CAIRN_ERR(ALREADY);
    if (!tgt_can_move(&before, state))
        return CAIRN_ERR(NO_PERM);
    tgt_move(&map->tgts[tgt_id], state, map->version + 1);
    rc = before.in_ver == 0 ? poolmap_views_make(map) : 0;
    if (rc != 0) {
        map->tgts[tgt_id] = before;
        return rc;
    }
    map->state_nr[before.state]--;
    map->state_nr[state]++;
    map->version++;
    return 0;
}

int
poolmap_reweigh(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr, uint32_t weight)
{
    struct poolmap *copy;
    int rc;

    if (weight == 0 || weight > POOLMAP_WEIGHT_MAX)
        return CAIRN_ERR(INVAL);
    rc = ids_check(map, tgt_ids, tgts_nr);
    if (rc == 0)
        rc = map_copy(map, 0, 0, 0, &copy);
    if (rc != 0)
        return rc;
    copy->version++;
    for (uint32_t i = 0; i < tgts_nr; i++) {
        copy->tgts[tgt_ids[i]].weight = (uint16_t)weight;
    }
    rc = poolmap_index(copy);
    if (rc != 0) {
        poolmap_destroy(copy);
        return rc;
    }
    map_replace(map, copy);
    return 0;
}

/* ---- looking up --------------------------------------------------------------------------------------------------------- */

const struct poolmap_tgt *
poolmap_tgt_at(const struct poolmap *map, uint32_t tgt_id)
{
    return tgt_id < map->tgts_nr ? &map->tgts[tgt_id] : NULL;
}

const struct poolmap_rank *
poolmap_rank_find(const struct poolmap *map, struct rank rank)
{
    uint32_t lo = 0;
    uint32_t hi = map->ranks_nr;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (map->ranks[map->by_rank[mid]].rank.v < rank.v) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == map->ranks_nr || !rank_eq(map->ranks[map->by_rank[lo]].rank, rank))
        return NULL;
    return &map->ranks[map->by_rank[lo]];
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
    for (uint32_t i = 0; i < rank->tgts_nr; i++) {
        if ((POOLMAP_BIT(map->tgts[rank->tgt_first + i].state) & mask) != 0)
            return true;
    }
    return false;
}

/* Position of the domain of that level or the next higher one that a rank is in. */
static uint32_t
dom_above(const struct poolmap *map, const struct poolmap_rank *rank, uint32_t level)
{
    uint32_t dom = rank->node_idx;

    while (dom != 0 && map->doms[dom].level < level) {
        dom = map->doms[dom].parent;
    }
    return dom;
}

const struct poolmap_dom *
poolmap_tgt_dom(const struct poolmap *map, const struct poolmap_tgt *tgt, uint32_t level)
{
    const struct poolmap_dom *dom = &map->doms[dom_above(map, &map->ranks[tgt->rank_idx], level)];

    return dom->level == level ? dom : NULL;
}

uint32_t
poolmap_domains_count(const struct poolmap *map, uint32_t level, uint32_t mask)
{
    uint32_t last = UINT32_MAX;
    uint32_t count = 0;

    if (level == POOLMAP_LEVEL_TGT)
        return poolmap_tgts_count(map, mask);
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        const struct poolmap_rank *rank = &map->ranks[map->by_place[i]];
        uint32_t dom = level == POOLMAP_LEVEL_RANK ? i : dom_above(map, rank, level);

        if (dom == last || !rank_has(map, rank, mask))
            continue;
        if (level != POOLMAP_LEVEL_RANK && map->doms[dom].level != level)
            return 0;
        last = dom;
        count++;
    }
    return count;
}

bool
poolmap_rank_has(const struct poolmap *map, struct rank rank, uint32_t mask)
{
    const struct poolmap_rank *found = poolmap_rank_find(map, rank);

    return found != NULL && rank_has(map, found, mask);
}
