/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Identifiers that travel between components. One-field structs keep numbers that could be swapped apart. */
#ifndef CAIRN_BASE_IDS_H
#define CAIRN_BASE_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

/** Object id: hi[63:56] type, hi[55:48] redundancy method, hi[47:32] groups, the other 96 bits belong to the user. */
struct oid {
    uint64_t lo;
    uint64_t hi;
};

/** Records [idx, idx + nr) of an array. */
struct recx {
    uint64_t idx;
    uint64_t nr;
};

/** Number of an engine in its system. */
struct rank {
    uint32_t v;
};

#define RANK_NONE ((struct rank){UINT32_MAX})

static inline bool
rank_eq(struct rank a, struct rank b)
{
    return a.v == b.v;
}

/** 16 bytes in the order in which the text form shows them. */
struct uuid {
    uint8_t b[16];
};

/** Characters of the text form, with terminator. */
#define CUUID_TEXT_BYTES 37

/** Parse the 36-character form, upper or lower case. Errors: INVAL. */
CAIRN_MUST_CHECK int cuuid_parse(const char *text, struct uuid *ret_id);

/** Lower-case form into *buf* of CUUID_TEXT_BYTES; returns *buf*. */
char *cuuid_format(const struct uuid *id, char *buf);

/** A random (version 4) id from 128 bits of randomness. */
struct uuid cuuid_from_random(uint64_t r0, uint64_t r1);

/** An id derived from the bytes of another and a number (version 8): same arguments, same id. */
struct uuid cuuid_derive(const struct uuid *id, uint64_t salt);

static inline bool
cuuid_is_nil(const struct uuid *id)
{
    static const struct uuid nil = {{0}};

    return memcmp(id, &nil, sizeof(nil)) == 0;
}

static inline int
cuuid_cmp(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a, b, sizeof(*a));
}

static inline void
cuuid_clear(struct uuid *id)
{
    memset(id, 0, sizeof(*id));
}

static inline bool
oid_is_nil(struct oid oid)
{
    return oid.lo == 0 && oid.hi == 0;
}

/** Order by hi, then lo. */
static inline int
oid_cmp(struct oid a, struct oid b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    if (a.lo != b.lo)
        return a.lo < b.lo ? -1 : 1;
    return 0;
}

/** Two 64-bit decimal numbers, a dot, a terminator. */
#define OID_TEXT_BYTES 42

/** "hi.lo" in decimal into *buf* of OID_TEXT_BYTES; returns *buf*. */
char *oid_to_text(struct oid oid, char *buf);

/** Hash over both halves (HASH-1). */
uint64_t oid_hash(struct oid oid);

#endif /* CAIRN_BASE_IDS_H */
