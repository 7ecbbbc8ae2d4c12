/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Checksums of values: one for each chunk of a value, of the kind that the container's properties name, kept with the version (VOS-4).
 *
 *   CSM-1  Every value has checksums. A container whose property says `off` has those that it would have without the property: CRC-32C.
 *   CSM-2  The checksums of one value take at most VOS_CSUMS_BYTES_MAX bytes: chunks are doubled until that is so. Of the kind that is the default
 *          the chunks of a value longer than a block are blocks, as far as that allows: what aggregation cuts off needs no look at the rest.
 *   CSM-3  Chunks are whole blocks of the data role, but for the last; a value beside the index has one.
 *   CSM-4  Messages carry CRC-32C whatever the kind (MS-4). Of a kind that is not CRC-32C the stored checksum is taken before that of the message
 *          is compared, and that of an answer before the stored one is: bytes that change in between are found by one of the two.
 *
 * Tested by test/vos_csum_test.c.
 */
#ifndef CAIRN_VOS_CSUM_H
#define CAIRN_VOS_CSUM_H

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc.h"
#include "base/csum.h"
#include "base/util.h"

#include <stdbool.h>
#include <string.h>

enum {
    VOS_CSUM_CHUNK_BITS = 15,
    VOS_CSUM_CHUNK_BITS_MIN = 12, /* a block of the data role */
    VOS_CSUM_CHUNK_BITS_MAX = 20, /* of what is asked for */
    VOS_CSUM_CHUNK_BITS_STORED_MAX = 24,
    VOS_CSUMS_BYTES_MAX = 2048,
};

/* How the values of a request are summed. */
struct vos_csum {
    uint8_t type; /* enum csum_type, never OFF */
    uint8_t len; /* bytes of one checksum */
    uint8_t chunk_bits;
    uint8_t codec; /* 0: as it is */
};
CAIRN_STATIC_ASSERT(sizeof(struct vos_csum) == sizeof(uint32_t), "as it lies in a version");

static inline uint32_t
vos_csum_nr(uint64_t len, uint32_t chunk_bits)
{
    return (uint32_t)((len + (UINT64_C(1) << chunk_bits) - 1) >> chunk_bits);
}

/** What nearly all versions have, and whether one has it. */
static inline struct vos_csum
vos_csum_default(void)
{
    return (struct vos_csum){CSUM_TYPE_CRC32, 4, VOS_CSUM_CHUNK_BITS, 0};
}

static inline bool
vos_csum_is_default(struct vos_csum csum)
{
    struct vos_csum c = vos_csum_default();

    return memcmp(&csum, &c, sizeof(c)) == 0;
}

/** For chunks of `chunk_bytes` (0: as by default), of which a power of two is made. The type is known. */
struct vos_csum vos_csum_make(uint32_t type, uint64_t chunk_bytes);
static inline struct vos_csum
vos_csum_of(uint32_t type, uint64_t chunk_bytes)
{
    if (CAIRN_LIKELY((type | chunk_bytes) == 0))
        return vos_csum_default();
    return vos_csum_make(type, chunk_bytes);
}

/** The chunks of a value of `len` bytes in the data role (CSM-2). */
static inline uint8_t
vos_csum_bits(struct vos_csum c, uint64_t len)
{
    if (vos_csum_is_default(c) && len > UINT64_C(1) << VOS_CSUM_CHUNK_BITS_MIN)
        c.chunk_bits = VOS_CSUM_CHUNK_BITS_MIN;
    while (CAIRN_UNLIKELY(vos_csum_nr(len, c.chunk_bits) * c.len > VOS_CSUMS_BYTES_MAX)) {
        c.chunk_bits++;
    }
    return c.chunk_bits;
}

/** Compute one checksum of a known type. */
static inline void
vos_csum_put(uint32_t type, const void *buf, size_t len, uint8_t *ret_csum)
{
    if (CAIRN_LIKELY(type == CSUM_TYPE_CRC32)) {
        le32_put(ret_csum, crc32c(0, buf, len));
    } else {
        CAIRN_IGNORE(csum_compute(type, buf, len, ret_csum)); /* cannot fail */
    }
}

/**
 * Compare the bytes of a whole chunk (or inline value) with its checksum and tell the CRC-32C of the `nr` bytes at `off` among them; with CRC-32C each
 * byte is looked at once. False: they differ, or the type is unknown.
 */
static inline bool
vos_csum_part(uint32_t type, const uint8_t *csum, const uint8_t *buf, size_t len, size_t off,
    size_t nr, uint32_t *ret_crc)
{
    uint32_t crc = crc32c(0, buf + off, nr), all = crc;

    *ret_crc = crc;
    if (CAIRN_UNLIKELY(type != CSUM_TYPE_CRC32))
        return csum_is_good(type, buf, len, csum); /* CSM-4: after the other */
    if (off > 0)
        all = crc32c_combine(crc32c(0, buf, off), crc, nr);
    all = crc32c(all, buf + off + nr, len - off - nr);
    return all == le32_get(csum);
}

#endif
