/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * poolmap: the versioned map of a pool: its fault domains, its targets and the state of each.
 *
 *     root (the pool) > performance domain > fault domains > node > rank > target
 *
 * Performance domains and fault domains above the node (racks, rooms) are there or not, alike for all nodes of a map.
 *
 *  PM-1  Versions only grow, and equal versions mean equal maps everywhere (MB-1): every change makes the version larger by one.
 *  PM-2  A target's id is its position, 0..tgts_nr-1; ids are handed out in the order of addition and are never used again. So are the
 *        positions of ranks and domains. Placement depends on it: a map that grew is the old one with components appended.
 *  PM-3  Target states follow the table in poolmap.c; a map that breaks PM-2 or the tree does not decode.
 *  PM-4  fail_seq is the version in which a target left service, kept until it serves again, whatever happens to it meanwhile: every
 *        process replays failures in the same order (PL-6).
 *  PM-5  A target that never served (in_ver 0) changes no layout in use: it is in the view NEXT alone, and there only while it is
 *        to be filled (NEW, UP).
 *  PM-6  One map, one encoding: equal maps have equal bytes.
 *
 * Pure: no clock, no system calls, no locks. A map has one owner; it may be read by many while nobody changes it.
 * Encoded form: docs/format/poolmap.md. Tested by test/poolmap_test.c, test/poolmap_change_test.c; fuzzed by test/poolmap_fuzz.c.
 */
#ifndef CAIRN_POOLMAP_H
#define CAIRN_POOLMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/ids.h"

#define POOLMAP_DOMS_MAX (1u << 17) /* with the root */
#define POOLMAP_RANKS_MAX (1u << 16)
#define POOLMAP_TGTS_MAX (1u << 18)
#define POOLMAP_RANK_TGTS_MAX 4096u
/** Levels between root and rank: performance domain, fault domains, node. */
#define POOLMAP_LEVELS_MAX 8u
#define POOLMAP_ABOVE_MAX (POOLMAP_LEVELS_MAX - 1)

/** Weight of a target where none is given. Capacities relative to it: half the space, half the weight. */
#define POOLMAP_WEIGHT_DFLT 256u
#define POOLMAP_WEIGHT_MAX 65535u

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

/** Levels of the tree; numbers from FAULT to below PERF are the administrator's fault domains, the larger the higher. */
enum poolmap_level {
    POOLMAP_LEVEL_TGT = 0,
    POOLMAP_LEVEL_RANK = 1,
    POOLMAP_LEVEL_NODE = 2,
    POOLMAP_LEVEL_FAULT = 3,
    POOLMAP_LEVEL_PERF = 200,
    POOLMAP_LEVEL_ROOT = 255,
};

struct poolmap_tgt {
    uint32_t id; /* position in the map */
    uint32_t rank_idx; /* position of its rank in the map */
    uint32_t tgt_idx; /* 0-based number within its rank, stable */
    uint32_t added_ver; /* map version that added it */
    uint32_t changed_ver; /* map version of its last change of state */
    uint32_t in_ver; /* map version since which it serves or last served; 0: it never did */
    uint32_t fail_seq; /* map version in which it left service (DOWN, DRAIN); 0 while it serves (PM-4) */
    uint32_t out_ver; /* map version since which its data is complete elsewhere; 0 when it is not */
    uint16_t weight; /* 1..POOLMAP_WEIGHT_MAX */
    uint8_t state; /* enum poolmap_state */
    uint8_t drained; /* 1: it was emptied before it went out, so that nothing on it was lost */
};

struct poolmap_rank {
    struct rank rank;
    uint32_t node_idx; /* position of its node in doms */
    uint32_t tgt_first; /* its targets are [tgt_first, tgt_first + tgts_nr) */
    uint32_t tgts_nr;
};

/** A node, fault domain or performance domain; doms[0] is the root. */
struct poolmap_dom {
    uint32_t id; /* chosen by the administrator or the host's; unique within its level */
    uint32_t parent; /* position of the one above, always smaller; the root's is 0 */
    uint8_t level; /* enum poolmap_level */
};

/** One component as placement walks it. Parts of one parent, and those of one depth, lie side by side in the order of addition. */
struct poolmap_part {
    uint32_t first; /* position of its first child in the view */
    uint32_t nr; /* of children; 0 for a target */
    uint32_t up; /* position of its parent */
    uint32_t tgts_nr; /* in it */
    uint32_t weight; /* of all its targets */
};

/** What a walk over siblings reads, beside the parts. */
struct poolmap_draw {
    uint32_t share; /* 2^32 times its weight by the weight of all siblings up to it, rounded down; at most UINT32_MAX */
    uint32_t idx; /* position in doms, ranks or tgts of the map, by its depth */
};

/** The tree of the targets that count for layouts. Depth 0 is the root, the last one the targets. */
struct poolmap_view {
    uint32_t nr; /* of parts */
    uint32_t depths_nr;
    uint32_t depth_first[POOLMAP_LEVELS_MAX + 4]; /* depth d is [depth_first[d], depth_first[d + 1]) */
    struct poolmap_part *parts;
    struct poolmap_draw *draws;
    uint32_t *tgt_parts; /* position in parts by target id; UINT32_MAX: not in this view */
};

/** NOW: what has served; NEXT: with what is being filled (NEW, UP). */
enum poolmap_when { POOLMAP_NOW, POOLMAP_NEXT };

struct poolmap {
    uint32_t version; /* at least 1 */
    uint32_t doms_nr; /* with the root, doms[0] */
    uint32_t ranks_nr;
    uint32_t tgts_nr;
    uint32_t levels_nr;
    uint8_t levels[POOLMAP_LEVELS_MAX]; /* between root and rank, the highest first; the last is NODE */
    struct poolmap_dom *doms;
    struct poolmap_rank *ranks;
    struct poolmap_tgt *tgts;
    /* Made from the above: */
    uint32_t *by_rank; /* positions of the ranks, by rank number */
    uint32_t *by_place; /* positions of the ranks, those of one domain, of whichever level, side by side */
    uint32_t state_nr[POOLMAP_DRAIN + 1]; /* targets in each state */
    struct poolmap_view *now;
    struct poolmap_view *next; /* the same as now while nothing is being added */
};

/** A domain above the node. */
struct poolmap_above {
    uint32_t level; /* POOLMAP_LEVEL_FAULT..POOLMAP_LEVEL_PERF */
    uint32_t id;
};

/** One rank to put into a map. */
struct poolmap_rank_desc {
    struct rank rank;
    uint32_t node_id; /* ranks of one node have the same */
    uint32_t tgts_nr; /* 1..POOLMAP_RANK_TGTS_MAX */
    uint32_t weight; /* of each of its targets; 0: POOLMAP_WEIGHT_DFLT */
    uint32_t above_nr; /* 0..POOLMAP_ABOVE_MAX, the same for all ranks of a map, as are the levels */
    struct poolmap_above above[POOLMAP_ABOVE_MAX]; /* the highest first */
};

/**
 * A map of version 1 whose targets are all UPIN. *ret_map returns owned: free with poolmap_destroy().
 * Errors: INVAL no ranks, a rank twice, a count or weight out of range, levels that differ or do not fall, a domain in two places;
 * OVERFLOW a limit above, or weights whose sum passes UINT32_MAX; NOMEM.
 */
CAIRN_MUST_CHECK int
poolmap_create(const struct poolmap_rank_desc *descs, uint32_t descs_nr, struct poolmap **ret_map);

/** Free a map; NULL is fine. */
void poolmap_destroy(struct poolmap *map);

/** A copy, owned by the caller: for a change to come. Errors: NOMEM. */
CAIRN_MUST_CHECK int poolmap_dup(const struct poolmap *map, struct poolmap **ret_map);

/* ---- changes: each makes the version larger by one, or fails and leaves the map as it was ------------------------------- */

/**
 * Append ranks with targets in state NEW. Errors: EXIST a rank that is in the map; INVAL, OVERFLOW, NOMEM as for poolmap_create().
 */
CAIRN_MUST_CHECK int
poolmap_extend(struct poolmap *map, const struct poolmap_rank_desc *descs, uint32_t descs_nr);

enum poolmap_op {
    POOLMAP_OP_EXCLUDE, /* failed, or to be treated so */
    POOLMAP_OP_DRAIN, /* to be emptied */
    POOLMAP_OP_REINTEGRATE, /* is back and to be filled */
    POOLMAP_OP_FINISH, /* what was under way is complete: DOWN, DRAIN > DOWN_OUT; NEW, UP > UPIN */
    POOLMAP_OP_REVERT, /* is given up: DRAIN > UPIN; UP > what it was before */
    POOLMAP_OP_NR,
};

/**
 * Do *op* to targets, all in one version. Targets that are where it leads, or further, are passed over.
 * Errors: ALREADY none is left; NO_PERM one whose state does not allow it; NONEXIST an id that is none; INVAL no ids, an op that is none;
 * OVERFLOW the versions are used up; NOMEM.
 */
CAIRN_MUST_CHECK int
poolmap_change(struct poolmap *map, enum poolmap_op op, const uint32_t *tgt_ids, uint32_t tgts_nr);

/** poolmap_change() for all targets of a rank. Errors: as there; NONEXIST the rank. */
CAIRN_MUST_CHECK int poolmap_change_rank(struct poolmap *map, enum poolmap_op op, struct rank rank);

static inline int
poolmap_exclude(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    return poolmap_change(map, POOLMAP_OP_EXCLUDE, tgt_ids, tgts_nr);
}

static inline int
poolmap_drain(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    return poolmap_change(map, POOLMAP_OP_DRAIN, tgt_ids, tgts_nr);
}

static inline int
poolmap_reintegrate(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    return poolmap_change(map, POOLMAP_OP_REINTEGRATE, tgt_ids, tgts_nr);
}

static inline int
poolmap_finish(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    return poolmap_change(map, POOLMAP_OP_FINISH, tgt_ids, tgts_nr);
}

static inline int
poolmap_revert(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr)
{
    return poolmap_change(map, POOLMAP_OP_REVERT, tgt_ids, tgts_nr);
}

/**
 * Move one target to *state*. One that is there already changes nothing and gives ALREADY.
 * Errors: NONEXIST no such target; NO_PERM the move is not allowed (PM-3); OVERFLOW; NOMEM.
 */
CAIRN_MUST_CHECK int
poolmap_tgt_set_state(struct poolmap *map, uint32_t tgt_id, enum poolmap_state state);

/** Give targets another weight (1..POOLMAP_WEIGHT_MAX). Errors: INVAL, NONEXIST, OVERFLOW, NOMEM. */
CAIRN_MUST_CHECK int
poolmap_reweigh(struct poolmap *map, const uint32_t *tgt_ids, uint32_t tgts_nr, uint32_t weight);

/* ---- encoding ----------------------------------------------------------------------------------------------------------- */

/** Bytes that poolmap_encode() writes. */
size_t poolmap_encoded_bytes(const struct poolmap *map);

/** Write the map at the cursor (checksummed). Errors stay in the cursor. */
void poolmap_encode(const struct poolmap *map, struct enc *e);

/**
 * Read a map from *len* bytes, all of them. *ret_map returns owned: free with poolmap_destroy().
 * Errors: CSUM damaged; DF_INCOMPT a later format; DF_INVAL bytes that make no valid map; NOMEM.
 */
CAIRN_MUST_CHECK int poolmap_decode(const void *buf, size_t len, struct poolmap **ret_map);

/** -DER_DF_INVAL when a rule of this header is broken, else 0; -DER_NOMEM. What is made from the rest is not looked at. */
CAIRN_MUST_CHECK int poolmap_check(const struct poolmap *map);

/** Whether two maps are the same in all that is encoded. */
bool poolmap_eq(const struct poolmap *a, const struct poolmap *b);

/* ---- looking up --------------------------------------------------------------------------------------------------------- */

/** The target with that id, NULL when there is none. */
const struct poolmap_tgt *poolmap_tgt_at(const struct poolmap *map, uint32_t tgt_id);

/** The target numbered *tgt_idx* of *rank*, or NULL. */
const struct poolmap_tgt *
poolmap_tgt_find(const struct poolmap *map, struct rank rank, uint32_t tgt_idx);

/** The rank, or NULL: a binary search. */
const struct poolmap_rank *poolmap_rank_find(const struct poolmap *map, struct rank rank);

/** Rank and node of a target of this map. */
static inline const struct poolmap_rank *
poolmap_tgt_rank(const struct poolmap *map, const struct poolmap_tgt *tgt)
{
    return &map->ranks[tgt->rank_idx];
}

static inline const struct poolmap_dom *
poolmap_tgt_node(const struct poolmap *map, const struct poolmap_tgt *tgt)
{
    return &map->doms[map->ranks[tgt->rank_idx].node_idx];
}

/** The domain of that level (NODE or above) that a target is in; NULL when the map has no such level. */
const struct poolmap_dom *
poolmap_tgt_dom(const struct poolmap *map, const struct poolmap_tgt *tgt, uint32_t level);

/** First target at or after id *from* whose state is in *mask* (POOLMAP_BIT() values or-ed), NULL at the end. */
const struct poolmap_tgt *poolmap_tgt_next(const struct poolmap *map, uint32_t from, uint32_t mask);

/** `POOLMAP_FOREACH_TGT(tgt, map, POOLMAP_SERVING) { ... }`; *tgt* is declared by the caller; in order of ids. */
#define POOLMAP_FOREACH_TGT(tgt, map, mask) \
    for ((tgt) = poolmap_tgt_next(map, 0, mask); (tgt) != NULL; \
         (tgt) = poolmap_tgt_next(map, (tgt)->id + 1, mask))

/** Number of targets whose state is in *mask*. */
uint32_t poolmap_tgts_count(const struct poolmap *map, uint32_t mask);

/** Number of components of that level that hold a target whose state is in *mask*; 0 for a level that the map has not. */
uint32_t poolmap_domains_count(const struct poolmap *map, uint32_t level, uint32_t mask);

/** True when some target of the rank has a state in *mask*; false also when the rank is not in the map. */
bool poolmap_rank_has(const struct poolmap *map, struct rank rank, uint32_t mask);

/** The tree for layouts. Borrowed: valid until the map changes. */
static inline const struct poolmap_view *
poolmap_view(const struct poolmap *map, enum poolmap_when when)
{
    return when == POOLMAP_NOW ? map->now : map->next;
}

/** "upin", "down_out", ... */
const char *poolmap_state_name(uint32_t state);

#endif
