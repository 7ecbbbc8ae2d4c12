/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A naive versioned object store to compare vos with: the list of all requests that succeeded, and for a read at an epoch the state made by
 * doing those up to it in order. A small universe of objects and keys; contents follow from seeds.
 */
#ifndef CAIRN_VOS_TWIN_H
#define CAIRN_VOS_TWIN_H

#include "base/rng.h"
#include "vos/vos.h"

enum {
    TWIN_OBJ_NR = 4,
    TWIN_DKEY_NR = 7,
    TWIN_AKEY_NR = 4, /* 0 and 1 hold single values, 2 and 3 arrays of bytes */
    TWIN_ARRAY_BYTES = 700,
    TWIN_MODS_NR_MAX = 4,
    TWIN_RECX_NR_MAX = 3,
    TWIN_REQS_NR_MAX = 20000,
};

struct twin_iod {
    uint32_t akey;
    uint32_t size; /* single: bytes; array: 1 or 0 */
    uint32_t cond;
    uint32_t recx_nr;
    struct recx recxs[TWIN_RECX_NR_MAX];
    uint64_t seed;
};

struct twin_mod {
    enum vos_mod_op op;
    uint32_t obj, dkey, cond;
    uint32_t iod_nr;
    struct twin_iod iods[TWIN_AKEY_NR];
};

struct twin_req {
    uint64_t epoch;
    uint32_t mod_nr;
    struct twin_mod mods[TWIN_MODS_NR_MAX];
};

struct twin_akey {
    bool exists;
    uint32_t size; /* of the single value; 0: none */
    uint64_t seed;
    bool present[TWIN_ARRAY_BYTES];
    uint8_t bytes[TWIN_ARRAY_BYTES];
};

struct twin_state {
    struct {
        bool exists;
        struct {
            bool exists;
            struct twin_akey akeys[TWIN_AKEY_NR];
        } dkeys[TWIN_DKEY_NR];
    } objs[TWIN_OBJ_NR];
};

struct twin {
    struct twin_state now;
    uint32_t req_nr;
    struct twin_req reqs[TWIN_REQS_NR_MAX];
};

/** Byte `i` of the value of a seed. */
static inline uint8_t
twin_byte(uint64_t seed, uint64_t i)
{
    return (uint8_t)((seed * UINT64_C(0x9e3779b97f4a7c15) + i * 131) >> 24);
}

/** What a request must answer in this state; when 0, the state becomes what it leaves. Otherwise unchanged. */
int twin_apply(struct twin_state *state, const struct twin_req *req);
/** Remember a request that succeeded at req->epoch. */
void twin_add(struct twin *twin, const struct twin_req *req);
/** The state at an epoch. */
void twin_at(const struct twin *twin, uint64_t epoch, struct twin_state *ret_state);
/** A random request. */
void twin_random(struct rng *rng, struct twin_req *ret_req);

#endif
