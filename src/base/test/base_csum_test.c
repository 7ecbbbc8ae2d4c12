/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: every checksum that an application can choose is the one that its name promises. Method: published check values of "123456789" and of the
 * digests' standards; any change of one bit is seen; nothing is written beyond the checksum.
 */
#include "base/csum.h"

#include <string.h>

#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"

static const struct vector {
    uint32_t type, bytes;
    const char *text, *csum; /* hexadecimal, in the order of the bytes kept */
} vectors[] = {
    {CSUM_TYPE_CRC16, 2, "123456789", "dbd0"},
    {CSUM_TYPE_CRC32, 4, "123456789", "839206e3"},
    {CSUM_TYPE_CRC64, 8, "123456789", "fa3919dfbbc95d99"},
    {CSUM_TYPE_ADLER32, 4, "123456789", "de011e09"},
    {CSUM_TYPE_ADLER32, 4, "Wikipedia", "9803e611"},
    {CSUM_TYPE_ADLER32, 4, "", "01000000"},
    {CSUM_TYPE_SHA1, 20, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {CSUM_TYPE_SHA1, 20, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    {CSUM_TYPE_SHA256, 32, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {CSUM_TYPE_SHA256, 32, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {CSUM_TYPE_SHA512, 64, "abc",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    {CSUM_TYPE_SHA512, 64, "",
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
};

static void
hex(const uint8_t *bytes, uint32_t nr, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (uint32_t i = 0; i < nr; i++) {
        *ret_text++ = digits[bytes[i] >> 4];
        *ret_text++ = digits[bytes[i] & 15];
    }
    *ret_text = '\0';
}

TEST(base_csum, published_values)
{
    char text[2 * CSUM_BYTES_MAX + 1];
    uint8_t csum[CSUM_BYTES_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct vector *v = &vectors[i];
        size_t len = strlen(v->text);

        memset(csum, 0xee, sizeof(csum));
        EXPECT_EQ(csum_bytes(v->type), v->bytes);
        EXPECT_OK(csum_compute(v->type, v->text, len, csum));
        hex(csum, v->bytes, text);
        EXPECT_STR_EQ(text, v->csum);
        EXPECT_EQ(csum[v->bytes], 0xee);
        EXPECT(csum_is_good(v->type, v->text, len, csum));
    }
}

TEST(base_csum, a_million_letters)
{
    static char a[1000000];
    char text[2 * CSUM_BYTES_MAX + 1];
    uint8_t csum[CSUM_BYTES_MAX];

    memset(a, 'a', sizeof(a));
    EXPECT_OK(csum_compute(CSUM_TYPE_SHA1, a, sizeof(a), csum));
    hex(csum, 20, text);
    EXPECT_STR_EQ(text, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    EXPECT_OK(csum_compute(CSUM_TYPE_SHA256, a, sizeof(a), csum));
    hex(csum, 32, text);
    EXPECT_STR_EQ(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    EXPECT_OK(csum_compute(CSUM_TYPE_SHA512, a, sizeof(a), csum));
    hex(csum, 64, text);
    EXPECT_STR_EQ(text,
        "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
        "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b");
}

TEST(base_csum, every_bit_counts)
{
    enum { BYTES = 300 };
    uint8_t buf[BYTES], csum[CSUM_BYTES_MAX];
    struct rng rng;

    rng_init(&rng, test_seed());
    rng_bytes(&rng, buf, BYTES);
    for (uint32_t type = CSUM_TYPE_CRC16; type < CSUM_TYPES_NR; type++) {
        EXPECT_OK(csum_compute(type, buf, BYTES, csum));
        for (uint32_t bit = 0; bit < BYTES * 8; bit++) {
            buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!EXPECT(!csum_is_good(type, buf, BYTES, csum)))
                return;
            buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (uint32_t bit = 0; bit < csum_bytes(type) * 8; bit++) {
            csum[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!EXPECT(!csum_is_good(type, buf, BYTES, csum)))
                return;
            csum[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        EXPECT(csum_is_good(type, buf, BYTES, csum));
    }
}

TEST(base_csum, names_and_what_is_none)
{
    static const char *const names[] = {
        "off", "crc16", "crc32", "crc64", "sha1", "sha256", "sha512", "adler32", "unknown"};
    uint8_t csum[CSUM_BYTES_MAX] = {7};

    for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
        EXPECT_STR_EQ(csum_type_name(i), names[i]);
    }
    EXPECT_EQ(csum_bytes(CSUM_TYPE_OFF), 0);
    EXPECT_EQ(csum_bytes(CSUM_TYPES_NR), 0);
    EXPECT_ERR(csum_compute(CSUM_TYPE_OFF, "x", 1, csum), INVAL);
    EXPECT_ERR(csum_compute(CSUM_TYPES_NR, "x", 1, csum), INVAL);
    EXPECT_EQ(csum[0], 7);
    EXPECT(!csum_is_good(CSUM_TYPE_OFF, "x", 1, csum));
    EXPECT(!csum_is_good(99, "x", 1, csum));
}
