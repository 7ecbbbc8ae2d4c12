/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/csum.h"

#include <string.h>

/*
 * The digests are called without OpenSSL's provider layer, which allocates, takes locks, and reads its configuration on the first call: nothing for a
 * ULT (TH-2).
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <isa-l/igzip_lib.h>
#include <openssl/sha.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"

static const struct csum_def {
    const char *name;
    uint32_t bytes;
} csum_defs[CSUM_TYPES_NR] = {
    [CSUM_TYPE_OFF] = {"off", 0},
    [CSUM_TYPE_CRC16] = {"crc16", 2},
    [CSUM_TYPE_CRC32] = {"crc32", 4},
    [CSUM_TYPE_CRC64] = {"crc64", 8},
    [CSUM_TYPE_SHA1] = {"sha1", SHA_DIGEST_LENGTH},
    [CSUM_TYPE_SHA256] = {"sha256", SHA256_DIGEST_LENGTH},
    [CSUM_TYPE_SHA512] = {"sha512", SHA512_DIGEST_LENGTH},
    [CSUM_TYPE_ADLER32] = {"adler32", 4},
};

uint32_t
csum_bytes(uint32_t type)
{
    return type < CSUM_TYPES_NR ? csum_defs[type].bytes : 0;
}

const char *
csum_type_name(uint32_t type)
{
    return type < CSUM_TYPES_NR ? csum_defs[type].name : "unknown";
}

static void
sha1(const void *buf, size_t len, uint8_t *ret_csum)
{
    SHA_CTX ctx;

    CAIRN_IGNORE(SHA1_Init(&ctx)); /* none of these can fail */
    CAIRN_IGNORE(SHA1_Update(&ctx, buf, len));
    CAIRN_IGNORE(SHA1_Final(ret_csum, &ctx));
}

static void
sha256(const void *buf, size_t len, uint8_t *ret_csum)
{
    SHA256_CTX ctx;

    CAIRN_IGNORE(SHA256_Init(&ctx));
    CAIRN_IGNORE(SHA256_Update(&ctx, buf, len));
    CAIRN_IGNORE(SHA256_Final(ret_csum, &ctx));
}

static void
sha512(const void *buf, size_t len, uint8_t *ret_csum)
{
    SHA512_CTX ctx;

    CAIRN_IGNORE(SHA512_Init(&ctx));
    CAIRN_IGNORE(SHA512_Update(&ctx, buf, len));
    CAIRN_IGNORE(SHA512_Final(ret_csum, &ctx));
}

int
csum_compute(uint32_t type, const void *buf, size_t len, uint8_t *ret_csum)
{
    switch (type) {
    case CSUM_TYPE_CRC16:
        le16_put(ret_csum, crc16_t10dif(0, buf, len));
        return 0;
    case CSUM_TYPE_CRC32:
        le32_put(ret_csum, crc32c(0, buf, len));
        return 0;
    case CSUM_TYPE_CRC64:
        le64_put(ret_csum, crc64_ecma_refl(0, buf, len));
        return 0;
    case CSUM_TYPE_ADLER32:
        le32_put(ret_csum, isal_adler32(1, buf, len));
        return 0;
    case CSUM_TYPE_SHA1:
        sha1(buf, len, ret_csum);
        return 0;
    case CSUM_TYPE_SHA256:
        sha256(buf, len, ret_csum);
        return 0;
    case CSUM_TYPE_SHA512:
        sha512(buf, len, ret_csum);
        return 0;
    default:
        return CAIRN_ERR(INVAL);
    }
}

bool
csum_is_good(uint32_t type, const void *buf, size_t len, const uint8_t *csum)
{
    uint8_t mine[CSUM_BYTES_MAX];
    uint32_t bytes = csum_bytes(type);

    return bytes != 0 && csum_compute(type, buf, len, mine) == 0 && memcmp(mine, csum, bytes) == 0;
}
