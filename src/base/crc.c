/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/crc.h"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <isa-l/igzip_lib.h>

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

/* State of one computation of any type. Both CRC functions of ISA-L that invert do so on the way in and out, so chaining is plain. */
struct csum_state {
    uint32_t type;
    uint64_t v;
};

static int
csum_start(struct csum_state *st, uint32_t type)
{
    switch (type) {
    case CSUM_TYPE_OFF:
    case CSUM_TYPE_CRC16:
    case CSUM_TYPE_CRC32:
    case CSUM_TYPE_CRC64:
        st->v = 0;
        break;
    case CSUM_TYPE_ADLER32:
        st->v = 1;
        break;
    case CSUM_TYPE_SHA1:
    case CSUM_TYPE_SHA256:
    case CSUM_TYPE_SHA512:
        return CAIRN_ERR(NOSYS);
    default:
        return CAIRN_ERR(INVAL);
    }
    st->type = type;
    return 0;
}

static void
csum_add(struct csum_state *st, const void *buf, size_t len)
{
    switch (st->type) {
    case CSUM_TYPE_CRC16:
        st->v = crc16_t10dif((uint16_t)st->v, buf, len);
        break;
    case CSUM_TYPE_CRC32:
        st->v = crc32c((uint32_t)st->v, buf, len);
        break;
    case CSUM_TYPE_CRC64:
        st->v = crc64_ecma_refl(st->v, buf, len);
        break;
    case CSUM_TYPE_ADLER32:
        st->v = isal_adler32((uint32_t)st->v, buf, len);
        break;
    default:
        break;
    }
}

uint32_t
csum_bytes(uint32_t type)
{
    switch (type) {
    case CSUM_TYPE_CRC16:
        return 2;
    case CSUM_TYPE_CRC32:
    case CSUM_TYPE_ADLER32:
        return 4;
    case CSUM_TYPE_CRC64:
        return 8;
    default:
        return 0;
    }
}

const char *
csum_type_name(uint32_t type)
{
    static const char *const names[] = {
        [CSUM_TYPE_OFF] = "off",
        [CSUM_TYPE_CRC16] = "crc16",
        [CSUM_TYPE_CRC32] = "crc32",
        [CSUM_TYPE_CRC64] = "crc64",
        [CSUM_TYPE_SHA1] = "sha1",
        [CSUM_TYPE_SHA256] = "sha256",
        [CSUM_TYPE_SHA512] = "sha512",
        [CSUM_TYPE_ADLER32] = "adler32",
    };

    return type < ARRAY_SIZE(names) ? names[type] : "unknown";
}

int
csum_compute(uint32_t type, const void *buf, size_t len, uint64_t *ret_csum)
{
    struct csum_state st;
    int rc = csum_start(&st, type);

    if (rc != 0)
        return rc;
    if (len > 0)
        csum_add(&st, buf, len);
    *ret_csum = st.v;
    return 0;
}

/* Add the pieces of [off, off + len); returns the bytes that were not there. */
static size_t
csum_add_sgl(struct csum_state *st, const struct sgl *sgl, size_t off, size_t len)
{
    for (uint32_t i = 0; i < sgl->iov_nr && len > 0; i++) {
        const struct iov *iov = &sgl->iovs[i];
        size_t n;

        if (off >= iov->len) {
            off -= iov->len;
            continue;
        }
        n = MIN(iov->len - off, len);
        csum_add(st, (const uint8_t *)iov->buf + off, n);
        len -= n;
        off = 0;
    }
    return len;
}

int
csum_compute_sgl(uint32_t type, const struct sgl *sgl, size_t off, size_t len, uint64_t *ret_csum)
{
    struct csum_state st;
    int rc = csum_start(&st, type);

    if (rc != 0)
        return rc;
    if (csum_add_sgl(&st, sgl, off, len) != 0)
        return CAIRN_ERR(INVAL);
    *ret_csum = st.v;
    return 0;
}

uint32_t
crc32c_sgl(uint32_t crc, const struct sgl *sgl, size_t off, size_t len)
{
    struct csum_state st = {.type = CSUM_TYPE_CRC32, .v = crc};

    csum_add_sgl(&st, sgl, off, len);
    return (uint32_t)st.v;
}
