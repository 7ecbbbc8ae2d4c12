/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The checksums that an application can choose for its data, by the numbers of the container property: CRCs and Adler-32 through ISA-L, SHA through
 * OpenSSL (docs/decisions/0014-checksums.md). As bytes: numbers are little-endian, digests as published.
 *
 * Nothing here allocates, locks or keeps state between calls, and stacks of ULTs are deep enough. Tested against published test vectors.
 */
#ifndef CAIRN_BASE_CSUM_H
#define CAIRN_BASE_CSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum csum_type {
    CSUM_TYPE_OFF = 0,
    CSUM_TYPE_CRC16 = 1, /* T10 DIF, 2 bytes */
    CSUM_TYPE_CRC32 = 2, /* CRC-32C, 4 bytes */
    CSUM_TYPE_CRC64 = 3, /* ECMA-182 reflected (as in XZ), 8 bytes */
    CSUM_TYPE_SHA1 = 4, /* 20 bytes */
    CSUM_TYPE_SHA256 = 5, /* 32 bytes */
    CSUM_TYPE_SHA512 = 6, /* 64 bytes */
    CSUM_TYPE_ADLER32 = 7, /* 4 bytes */
    CSUM_TYPES_NR,
};

enum { CSUM_BYTES_MAX = 64 };

/** Bytes of a checksum of that type; 0 for OFF and for unknown types. */
uint32_t csum_bytes(uint32_t type);

/** "crc32" etc. (names of the property), "off", or "unknown". */
const char *csum_type_name(uint32_t type);

/** Compute over *len* bytes; the result has csum_bytes() bytes. Errors: INVAL OFF or an unknown type. */
CAIRN_MUST_CHECK int csum_compute(uint32_t type, const void *buf, size_t len, uint8_t *ret_csum);

/** Whether *csum*, of csum_bytes() bytes, is that of the bytes. False for OFF and for unknown types. */
bool csum_is_good(uint32_t type, const void *buf, size_t len, const uint8_t *csum);

#endif /* CAIRN_BASE_CSUM_H */
