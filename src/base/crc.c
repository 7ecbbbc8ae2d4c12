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

/* On by 4 KiB, the length that is joined most: what each four bits of the checksum become. */
static const uint32_t crc32c_shift_4k[8][16] = {
    {0x00000000, 0xc2a5b65e, 0x80a71a4d, 0x4202ac13, 0x04a2426b, 0xc607f435, 0x84055826, 0x46a0ee78,
        0x094484d6, 0xcbe13288, 0x89e39e9b, 0x4b4628c5, 0x0de6c6bd, 0xcf4370e3, 0x8d41dcf0,
        0x4fe46aae},
    {0x00000000, 0x128909ac, 0x25121358, 0x379b1af4, 0x4a2426b0, 0x58ad2f1c, 0x6f3635e8, 0x7dbf3c44,
        0x94484d60, 0x86c144cc, 0xb15a5e38, 0xa3d35794, 0xde6c6bd0, 0xcce5627c, 0xfb7e7888,
        0xe9f77124},
    {0x00000000, 0x2d7cec31, 0x5af9d862, 0x77853453, 0xb5f3b0c4, 0x988f5cf5, 0xef0a68a6, 0xc2768497,
        0x6e0b1779, 0x4377fb48, 0x34f2cf1b, 0x198e232a, 0xdbf8a7bd, 0xf6844b8c, 0x81017fdf,
        0xac7d93ee},
    {0x00000000, 0xdc162ef2, 0xbdc02b15, 0x61d605e7, 0x7e6c20db, 0xa27a0e29, 0xc3ac0bce, 0x1fba253c,
        0xfcd841b6, 0x20ce6f44, 0x41186aa3, 0x9d0e4451, 0x82b4616d, 0x5ea24f9f, 0x3f744a78,
        0xe362648a},
    {0x00000000, 0xfc5cf59d, 0xfd559dcb, 0x01096856, 0xff474d67, 0x031bb8fa, 0x0212d0ac, 0xfe4e2531,
        0xfb62ec3f, 0x073e19a2, 0x063771f4, 0xfa6b8469, 0x0425a158, 0xf87954c5, 0xf9703c93,
        0x052cc90e},
    {0x00000000, 0xf329ae8f, 0xe3bf2bef, 0x10968560, 0xc292212f, 0x31bb8fa0, 0x212d0ac0, 0xd204a44f,
        0x80c834af, 0x73e19a20, 0x63771f40, 0x905eb1cf, 0x425a1580, 0xb173bb0f, 0xa1e53e6f,
        0x52cc90e0},
    {0x00000000, 0x047c1faf, 0x08f83f5e, 0x0c8420f1, 0x11f07ebc, 0x158c6113, 0x190841e2, 0x1d745e4d,
        0x23e0fd78, 0x279ce2d7, 0x2b18c226, 0x2f64dd89, 0x321083c4, 0x366c9c6b, 0x3ae8bc9a,
        0x3e94a335},
    {0x00000000, 0x47c1faf0, 0x8f83f5e0, 0xc8420f10, 0x1aeb9d31, 0x5d2a67c1, 0x956868d1, 0xd2a99221,
        0x35d73a62, 0x7216c092, 0xba54cf82, 0xfd953572, 0x2f3ca753, 0x68fd5da3, 0xa0bf52b3,
        0xe77ea843},
};

static inline uint32_t
crc32c_on_4k(uint32_t crc)
{
    uint32_t moved = 0;

    for (uint32_t i = 0; i < ARRAY_SIZE(crc32c_shift_4k); i++) {
        moved ^= crc32c_shift_4k[i][crc >> (4 * i) & 15];
    }
    return moved;
}

uint32_t
crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b)
{
    if (len_b == 4096)
        return crc32c_on_4k(crc_a) ^ crc_b;
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
