/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * CRCs that guard our own records, pages and messages; those that an application can choose for its data are in csum.h. Computed by ISA-L. Tested
 * against the published check values of "123456789".
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

#endif /* CAIRN_BASE_CRC_H */
