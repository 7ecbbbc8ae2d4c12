/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * poolmap: the versioned map of a pool: its fault domains, its targets and the state of each.
 *
 *     root (the pool) > node > rank > target
 *
 *  PM-1  Versions only grow, and equal versions mean equal maps everywhere (MB-1): every change makes the version larger by one.
 *  PM-2  A target's id is its position, 0..tgts_nr-1; ids are handed out in the order of addition and are never used again.
 *        Placement depends on it: a map that grew is the old one with targets appended.
 *  PM-3  Target states follow the table in poolmap.c; a map that breaks PM-2 or the tree does not decode.
 *
 * Pure: no clock, no system calls, no locks. A map has one owner; it may be read by many while nobody changes it.
 * Encoded form: docs/format/poolmap.md. Tested by test/poolmap_test.c.
 */
#ifndef CAIRN_POOLMAP_H
#define CAIRN_POOLMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/ids.h"

#define POOLMAP_NODES_MAX (1u << 16)
#define POOLMAP_RANKS_MAX (1u << 16)
#define POOLMAP_TGTS_MAX (1u << 18)
#define POOLMAP_RANK_TGTS_MAX 4096u

/** State of a target; the numbers are those of the API's target states. */
enum poolmap_state {
    POOLMAP_UNKNOWN = 0,
    POOLMAP_DOWN_OUT = 1, /* failed, its data rebuilt elsewhere */
    POOLMAP_DOWN = 2, /* failed, its data being rebuilt elsewhere */
    POOLMAP_UP = 3, /* coming back, its data being rebuilt onto it */
    POOLMAP_UPIN = 4, /* serving */
    POOLMAP_NEW = 5, /* added, data not yet spread onto it */
    POOLMAP_DRAIN = 6, /* serving while its data is moved elsewhere */
};

/** Bit of a state in a mask. */
#define POOLMAP_BIT(state) (1u << (state))
#define POOLMAP_ANY (~0u)
/** States in which a target answers requests. */
#define POOLMAP_SERVING (POOLMAP_BIT(POOLMAP_UPIN) | POOLMAP_BIT(POOLMAP_DRAIN))

/** Levels of the tree below the root. */
enum poolmap_level { POOLMAP_LEVEL_TGT = 0, POOLMAP_LEVEL_RANK = 1, POOLMAP_LEVEL_NODE = 2 };

struct poolmap_tgt {
    uint32_t id; /* position in the map */
    uint32_t rank_idx; /* position of its rank in the map */
    uint32_t tgt_idx; /* 0-based number within its rank, stable */
    uint32_t added_ver; /* map version that added it */
    uint32_t changed_ver; /* map version of its last change of state */
    uint8_t state; /* enum poolmap_state */
};

struct poolmap_rank {
    struct rank rank;
    uint32_t node_idx; /* position of its node in the map */
    uint32_t tgt_first; /* its targets are [tgt_first, tgt_first + tgts_nr) */
    uint32_t tgts_nr;
};

struct poolmap_node {
    uint32_t id; /* number of the fault domain, chosen by the administrator or the host's */
    uint32_t ranks_nr; /* with a rank in it */
};

struct poolmap {
    uint32_t version; /* at least 1 */
    uint32_t nodes_nr;
    uint32_t ranks_nr;
    uint32_t tgts_nr;
    struct poolmap_node *nodes;
    struct poolmap_rank *ranks;
    struct poolmap_tgt *tgts;
};

/** One rank to put into a map. */
struct poolmap_rank_desc {
    struct rank rank;
    uint32_t node_id; /* ranks of one node have the same */
    uint32_t tgts_nr; /* 1..POOLMAP_RANK_TGTS_MAX */
};

/**
 * A map of version 1 whose targets are all UPIN. *ret_map returns owned: free with poolmap_destroy().
 * Errors: INVAL no ranks, a rank twice, a count out of range; OVERFLOW a limit above; NOMEM.
 */
CAIRN_MUST_CHECK int
poolmap_create(const struct poolmap_rank_desc *descs, uint32_t descs_nr, struct poolmap **ret_map);

/** Free a map; NULL is fine. */
void poolmap_destroy(struct poolmap *map);

/** A copy, owned by the caller: for a change to come. Errors: NOMEM. */
CAIRN_MUST_CHECK int poolmap_dup(const struct poolmap *map, struct poolmap **ret_map);

/**
 * Append ranks with targets in state NEW and make the version larger by one. Errors: EXIST a rank that is in the map;
 * INVAL, OVERFLOW, NOMEM as for poolmap_create(). On error the map is unchanged.
 */
CAIRN_MUST_CHECK int
poolmap_extend(struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr);

/**
 * Move a target to *state* and make the version larger by one. A target that is there already changes nothing and gives ALREADY.
 * Errors: NONEXIST no such target; NO_PERM the move is not allowed (PM-3).
 */
CAIRN_MUST_CHECK int
poolmap_tgt_set_state(struct poolmap *map, uint32_t tgt_id, enum poolmap_state state);

/** Bytes that poolmap_encode() writes. */
size_t poolmap_encoded_bytes(const struct poolmap *map);

/** Write the map at the cursor (checksummed). Errors stay in the cursor. */
void poolmap_encode(const struct poolmap *map, struct enc *e);

/**
 * Read a map from *len* bytes, all of them. *ret_map returns owned: free with poolmap_destroy().
 * Errors: CSUM damaged; DF_INCOMPT a later format; DF_INVAL bytes that make no valid map; NOMEM.
 */
CAIRN_MUST_CHECK int poolmap_decode(const void *buf, size_t len, struct poolmap **ret_map);

/** -DER_DF_INVAL when a rule of this header is broken, else 0. */
CAIRN_MUST_CHECK int poolmap_check(const struct poolmap *map);

/** The target with that id, NULL when there is none. */
const struct poolmap_tgt *poolmap_tgt_at(const struct poolmap *map, uint32_t tgt_id);

/** The target numbered *tgt_idx* of *rank*, or NULL. */
const struct poolmap_tgt *
poolmap_tgt_find(const struct poolmap *map, struct rank rank, uint32_t tgt_idx);

/** The rank, or NULL. */
const struct poolmap_rank *poolmap_rank_find(const struct poolmap *map, struct rank rank);

/** Rank and node of a target of this map. */
static inline const struct poolmap_rank *
poolmap_tgt_rank(const struct poolmap *map, const struct poolmap_tgt *tgt)
{
    return &map->ranks[tgt->rank_idx];
}

static inline const struct poolmap_node *
poolmap_tgt_node(const struct poolmap *map, const struct poolmap_tgt *tgt)
{
    return &map->nodes[map->ranks[tgt->rank_idx].node_idx];
}

/** First target at or after id *from* whose state is in *mask* (POOLMAP_BIT() values or-ed), NULL at the end. */
const struct poolmap_tgt *poolmap_tgt_next(const struct poolmap *map, uint32_t from, uint32_t mask);

/** `POOLMAP_FOREACH_TGT(tgt, map, POOLMAP_SERVING) { ... }`; *tgt* is declared by the caller; in order of ids. */
#define POOLMAP_FOREACH_TGT(tgt, map, mask) \
    for ((tgt) = poolmap_tgt_next(map, 0, mask); (tgt) != NULL; \
         (tgt) = poolmap_tgt_next(map, (tgt)->id + 1, mask))

/** Number of targets whose state is in *mask*. */
uint32_t poolmap_tgts_count(const struct poolmap *map, uint32_t mask);

/** Number of domains of that level that hold a target whose state is in *mask*. */
uint32_t poolmap_domains_count(const struct poolmap *map, enum poolmap_level level, uint32_t mask);

/** True when some target of the rank has a state in *mask*; false also when the rank is not in the map. */
bool poolmap_rank_has(const struct poolmap *map, struct rank rank, uint32_t mask);

/** "upin", "down_out", ... */
const char *poolmap_state_name(uint32_t state);

#endif
