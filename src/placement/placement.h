/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * placement: object classes, what an object id says, and the layout of an object: which pool target holds each of its shards.
 *
 *  PL-1  A layout is a function of object id, pool map and layout version. Nothing about it is stored, and every process
 *        computes the same one: integers only, no addresses, no order of memory.
 *  PL-2  The number of groups is fixed when the id is generated and is part of the id ("X" is resolved then).
 *  PL-3  The layout version is stored with the container (FM-4); an algorithm once released is never changed, a new one gets a
 *        new number.
 *  PL-4  The shards of a group lie in different domains of the highest level that has enough of them; on each level above they are
 *        spread as evenly as can be. The shards of an object lie on different targets while there are enough targets and the
 *        domains leave a choice.
 *  PL-5  A target gets shards in proportion to its weight. A domain added to n moves w/W of the shards (its weight by that of all),
 *        all of them onto it, and no others.
 *  PL-6  A failure moves the shards of what failed and no others. Failures are replayed in the order of fail_seq: a spare is taken among
 *        the targets that served at that time, whatever became of them since.
 *  PL-7  While data moves a shard has two places: where it is read (tgt_id), and where it will be (next_id); writes go to both.
 *
 * The algorithm: placement_layout.c (what failed and what moves), placement_spread.c (one group), placement_wide.c (several groups);
 * what was rejected: docs/decisions/0022-placement.md. Pure; tested by test/placement_*_test.c.
 */
#ifndef CAIRN_PLACEMENT_H
#define CAIRN_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "poolmap/poolmap.h"

/** Newest layout version: what new containers record. */
#define PLACEMENT_LAYOUT_VERSION 2u

/** Group count of a class that means "all targets" (X). */
#define PLACEMENT_GRP_ALL 0xffffu
/** Most shards of one object. */
#define PLACEMENT_SHARDS_MAX (1u << 20)
/** Longest class name with terminator. */
#define PLACEMENT_OCLASS_NAME_BYTES 24

/* ---- object classes ------------------------------------------------------------------------------------------------- */

/** What a class id means. */
struct placement_oclass {
    uint32_t id; /* method << 24 | groups */
    uint8_t method; /* redundancy method number */
    bool is_ec; /* erasure coded, else replicated */
    uint32_t data; /* data shards of a group: k, or 1 */
    uint32_t parity; /* parity shards of a group: p, or replicas - 1: failures that a group survives */
    uint32_t grp_nr; /* groups, PLACEMENT_GRP_ALL for X */
};

/** Shards of one group: data + parity. */
static inline uint32_t
placement_oclass_grp_size(const struct placement_oclass *oclass)
{
    return oclass->data + oclass->parity;
}

/** Take a class id apart; any group count from 1 is fine, named or not. Errors: NOSCHEMA unknown method or no groups. */
CAIRN_MUST_CHECK int placement_oclass_from_id(uint32_t id, struct placement_oclass *ret_oclass);

/** Id of a class name ("RP_2G1", any case); 0 when unknown. */
uint32_t placement_oclass_name2id(const char *name);

/** Name of an id that has one, else NULL. Static string. */
const char *placement_oclass_id2name(uint32_t id);

/** Number of named classes, and the name of the one at *idx* (0-based). */
uint32_t placement_oclass_nr(void);
const char *placement_oclass_name_at(uint32_t idx);

/* ---- object ids ----------------------------------------------------------------------------------------------------- */

/** Object types (the top byte of an id). */
enum placement_otype {
    PLACEMENT_OT_MULTI_HASHED = 0,
    PLACEMENT_OT_OIT = 1,
    PLACEMENT_OT_DKEY_UINT64 = 2,
    PLACEMENT_OT_AKEY_UINT64 = 3,
    PLACEMENT_OT_MULTI_UINT64 = 4,
    PLACEMENT_OT_DKEY_LEXICAL = 5,
    PLACEMENT_OT_AKEY_LEXICAL = 6,
    PLACEMENT_OT_MULTI_LEXICAL = 7,
    PLACEMENT_OT_KV_HASHED = 8,
    PLACEMENT_OT_KV_UINT64 = 9,
    PLACEMENT_OT_KV_LEXICAL = 10,
    PLACEMENT_OT_ARRAY = 11,
    PLACEMENT_OT_ARRAY_ATTR = 12,
    PLACEMENT_OT_ARRAY_BYTE = 13,
    PLACEMENT_OT_OIT_V2 = 14,
    PLACEMENT_OT_NR = 15,
};

/** How keys of one level are compared and stored. */
enum placement_key { PLACEMENT_KEY_HASHED, PLACEMENT_KEY_UINT64, PLACEMENT_KEY_LEXICAL };

uint32_t placement_oid_type(struct oid oid);
/** Class id: method << 24 | groups. */
uint32_t placement_oid_oclass(struct oid oid);
uint32_t placement_oid_grp_nr(struct oid oid);
enum placement_key placement_otype_dkey(uint32_t otype);
enum placement_key placement_otype_akey(uint32_t otype);
/** Arrays (ARRAY, ARRAY_ATTR, ARRAY_BYTE); key-value types. */
bool placement_otype_is_array(uint32_t otype);
bool placement_otype_is_kv(uint32_t otype);

/** An id whose type and class are known and whose class has groups, as any id from outside must be. Errors: INVAL, NOSCHEMA. */
CAIRN_MUST_CHECK int placement_oid_check(struct oid oid);

/** The user's 96 bits with type and class put in; *grp_nr* is resolved, 1..0xffff. */
struct oid placement_oid_encode(struct oid user, uint32_t otype, uint8_t method, uint32_t grp_nr);

/** Hints for choosing a class: redundancy in the low half, sharding in the high half; the API's numbers. */
enum placement_hint {
    PLACEMENT_RDD_DEF = 1 << 0,
    PLACEMENT_RDD_NO = 1 << 1,
    PLACEMENT_RDD_RP = 1 << 2,
    PLACEMENT_RDD_EC = 1 << 3,
    PLACEMENT_SHD_DEF = 1 << 4,
    PLACEMENT_SHD_TINY = 1 << 5,
    PLACEMENT_SHD_REG = 1 << 6,
    PLACEMENT_SHD_HI = 1 << 7,
    PLACEMENT_SHD_EXT = 1 << 8,
    PLACEMENT_SHD_MAX = 1 << 9,
};

/** What the choice of a class depends on. */
struct placement_choice {
    uint32_t otype;
    uint32_t oclass_id; /* 0: choose from the hints and rd_fac */
    uint32_t hints; /* enum placement_hint bits, 0 = defaults */
    uint32_t rd_fac; /* redundancy factor of the container, 0..4 */
    uint32_t fdom_nr; /* fault domains of the container's level (poolmap_domains_count()) */
    uint32_t tgts_nr; /* targets that can hold shards (poolmap_tgts_count()) */
};

/** Fill in fault domains and targets of a map, for a container whose redundancy level (POOLMAP_LEVEL_) is *rd_lvl*. */
void
placement_choice_map(struct placement_choice *choice, const struct poolmap *map, uint32_t rd_lvl);

/**
 * The class that an object gets, groups resolved. Errors: INVAL rd_fac above 4, unknown type, fewer fault domains than the group
 * has shards, a class below rd_fac; NOSCHEMA unknown class.
 */
CAIRN_MUST_CHECK int
placement_oclass_choose(const struct placement_choice *choice, struct placement_oclass *ret_oclass);

/** Put type and chosen class into *oid*, whose user bits are set. Errors: as placement_oclass_choose(); *oid* unchanged then. */
CAIRN_MUST_CHECK int placement_oid_generate(const struct placement_choice *choice, struct oid *oid);

/** Name of a class, also of one without a name ("RP_2G5"), into *buf* of PLACEMENT_OCLASS_NAME_BYTES; returns *buf*. */
char *placement_oclass_to_text(uint32_t id, char *buf);

/* ---- layout --------------------------------------------------------------------------------------------------------- */

#define PLACEMENT_TGT_NONE UINT32_MAX

enum placement_shard_flags {
    PLACEMENT_SHARD_REBUILDING =
        1, /* tgt_id is a spare that is being filled: write to it, do not read */
    PLACEMENT_SHARD_LOST = 2, /* its target does not serve and no spare took its place */
    PLACEMENT_SHARD_MOVING =
        4, /* next_id is being filled: write to it, too; read tgt_id (if neither of the above) */
};

struct placement_shard {
    uint32_t tgt_id; /* target of the pool map */
    uint32_t next_id; /* where it will be when what the map says is under way is done; PLACEMENT_TGT_NONE: where it is */
    uint32_t flags;
};

/** Layout of one object. shards[g * grp_size + m] is member m of group g. */
struct placement_layout {
    uint32_t map_version;
    uint32_t grp_nr;
    uint32_t grp_size;
    struct placement_shard *shards;
};

/** What a layout depends on beside object and map: properties of the container. */
struct placement_how {
    uint32_t layout_version;
    uint32_t perf_level; /* POOLMAP_LEVEL_PERF: keep groups within performance domains; anything else: spread over them, too */
    uint32_t pda; /* with it: shards of a group in one performance domain; 0 or more than there are: all of them */
};

/**
 * Compute the layout of *oid* (PL-1). *ret* returns owned: free with placement_layout_fini().
 * Errors: DF_INCOMPT unknown layout version; INVAL, NOSCHEMA an id that is none; OVERFLOW more than PLACEMENT_SHARDS_MAX shards;
 * NOMEM.
 */
CAIRN_MUST_CHECK int placement_layout_how(const struct poolmap *map, struct oid oid,
    const struct placement_how *how, struct placement_layout *ret);

/** The same without performance domains. */
static inline int
placement_layout(const struct poolmap *map, struct oid oid, uint32_t layout_version,
    struct placement_layout *ret)
{
    struct placement_how how = {.layout_version = layout_version};

    return placement_layout_how(map, oid, &how, ret);
}

/** Free a layout; a zeroed one is fine. */
void placement_layout_fini(struct placement_layout *layout);

static inline uint32_t
placement_shards_nr(const struct placement_layout *layout)
{
    return layout->grp_nr * layout->grp_size;
}

static inline const struct placement_shard *
placement_shard_at(const struct placement_layout *layout, uint32_t grp, uint32_t member)
{
    return &layout->shards[grp * layout->grp_size + member];
}

/**
 * Hash of a distribution key: its integer value for the types with integer dkeys (then *len* is 8, else INVAL), XXH64 of its bytes
 * for the others. The same on client and engine.
 */
CAIRN_MUST_CHECK int
placement_dkey_hash(uint32_t otype, const void *dkey, size_t len, uint64_t *ret_hash);

/** The group (0..grp_nr-1) that holds a dkey. Consecutive integer dkeys go to consecutive groups. */
uint32_t placement_dkey_grp(const struct placement_layout *layout, uint64_t dkey_hash);

/** Jump consistent hash (Lamping and Veach): bucket 0..buckets_nr-1; a bucket more moves 1/(n+1) of the keys, all to it. */
uint32_t placement_jump_hash(uint64_t key, uint32_t buckets_nr);

#endif
