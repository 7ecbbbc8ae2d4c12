/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Checksums. crc32c guards our own records, pages and messages; the numbered types are those of the container property (what an
 * application can choose for its data). Computed by ISA-L. Tested against the published check values of "123456789".
 */
#ifndef CAIRN_BASE_CRC_H
#define CAIRN_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/iov.h"

/** CRC-32C (Castagnoli) of *len* bytes, continuing *crc*: start with 0; crc32c(crc32c(0, a), b) equals that of a followed by b. */
uint32_t crc32c(uint32_t crc, const void *buf, size_t len);

/** crc32c(0, a followed by b) from those of a and of b, without a look at the bytes; some 40 ns for each bit set in the length of b. */
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);

/** CRC-32 (IEEE 802.3, as in gzip), continuing the same way. */
uint32_t crc32_ieee_gzip(uint32_t crc, const void *buf, size_t len);

/** crc32c of [off, off + len) of a list, which must have that many bytes. */
uint32_t crc32c_sgl(uint32_t crc, const struct sgl *sgl, size_t off, size_t len);

/** Types by the numbers of the container property. */
enum csum_type {
    CSUM_TYPE_OFF = 0,
    CSUM_TYPE_CRC16 = 1, /* T10 DIF, 2 bytes */
    CSUM_TYPE_CRC32 = 2, /* CRC-32C, 4 bytes */
    CSUM_TYPE_CRC64 = 3, /* ECMA-182 reflected (as in XZ), 8 bytes */
    CSUM_TYPE_SHA1 = 4,
    CSUM_TYPE_SHA256 = 5,
    CSUM_TYPE_SHA512 = 6,
    CSUM_TYPE_ADLER32 = 7, /* 4 bytes */
};

/** Bytes of a checksum of that type; 0 for OFF and for types that are unknown or not computed here (SHA). */
uint32_t csum_bytes(uint32_t type);

/** "crc32" etc. (names of the property), "off", or "unknown". */
const char *csum_type_name(uint32_t type);

/** Compute over *len* bytes; the result is a number of csum_bytes() bytes. OFF gives 0. Errors: NOSYS SHA types; INVAL unknown type. */
CAIRN_MUST_CHECK int csum_compute(uint32_t type, const void *buf, size_t len, uint64_t *ret_csum);

/** The same over [off, off + len) of a list; INVAL when it is shorter. */
CAIRN_MUST_CHECK int
csum_compute_sgl(uint32_t type, const struct sgl *sgl, size_t off, size_t len, uint64_t *ret_csum);

#endif /* CAIRN_BASE_CRC_H */
