/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/crc.h"

#include <isa-l/crc.h>

#include "base/util.h"

/* ISA-L takes int lengths in places: feed it pieces of at most this size. */
#define CRC_PIECE_BYTES_MAX ((size_t)1 << 30)

uint32_t
crc32c(uint32_t crc, const void *buf, size_t len)
{
    uint8_t *p = (uint8_t *)(uintptr_t)buf; /* ISA-L's prototype lacks const; it only reads. */

    crc = ~crc;
    while (len > 0) {
        size_t n = MIN(len, CRC_PIECE_BYTES_MAX);

        crc = crc32_iscsi(p, (int)n, crc);
        p += n;
        len -= n;
    }
    return ~crc;
}

/*
 * Joining: the checksum of a followed by b is that of a moved on by the bits of b, added to that of b; what inverts at both ends cancels out. To move on by
 * n bits is to multiply by x^n modulo the polynomial. Polynomials have the coefficient of x^0 in the highest bit.
 */
#define CRC32C_POLY UINT32_C(0x82f63b78)

/* x^(8 * 2^i). x^(2^31) is x again, so that 31 of them are all. */
static const uint32_t crc32c_shifts[31] = {
    0x00800000,
    0x00008000,
    0x82f63b78,
    0x6ea2d55c,
    0x18b8ea18,
    0x510ac59a,
    0xb82be955,
    0xb8fdb1e7,
    0x88e56f72,
    0x74c360a4,
    0xe4172b16,
    0x0d65762a,
    0x35d73a62,
    0x28461564,
    0xbf455269,
    0xe2ea32dc,
    0xfe7740e6,
    0xf946610b,
    0x3c204f8f,
    0x538586e3,
    0x59726915,
    0x734d5309,
    0xbc1ac763,
    0x7d0722cc,
    0xd289cabe,
    0xe94ca9bc,
    0x05b74f3f,
    0xa51e1f42,
    0x40000000,
    0x20000000,
    0x08000000,
};

static uint32_t
crc32c_mul(uint32_t a, uint32_t b)
{
    uint32_t product = 0;

    for (; a != 0; a <<= 1) {
        product ^= b & (0 - (a >> 31));
        b = (b >> 1) ^ (CRC32C_POLY & (0 - (b & 1)));
    }
    return product;
}

uint32_t
crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
    for (uint32_t i = 0; len_b != 0 && crc_a != 0;
         i = (i + 1) % ARRAY_SIZE(crc32c_shifts), len_b >>= 1) {
        if ((len_b & 1) != 0)
            crc_a = crc32c_mul(crc32c_shifts[i], crc_a);
    }
    return crc_a ^ crc_b;
}

uint32_t
crc32_ieee_gzip(uint32_t crc, const void *buf, size_t len)
{
    return crc32_gzip_refl(crc, buf, len);
}

uint32_t
crc32c_sgl(uint32_t crc, const struct sgl *sgl, size_t off, size_t len)
{
    for (uint32_t i = 0; i < sgl->iov_nr && len > 0; i++) {
        const struct iov *iov = &sgl->iovs[i];
        size_t n;

        if (off >= iov->len) {
            off -= iov->len;
            continue;
        }
        n = MIN(iov->len - off, len);
        crc = crc32c(crc, (const uint8_t *)iov->buf + off, n);
        len -= n;
        off = 0;
    }
    return crc;
}
