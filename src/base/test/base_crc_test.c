/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: every checksum is the one that its name promises. Method: published check values of "123456789"; cutting the input anywhere
 * and gathering it from a list give the same.
 */
#include "base/crc.h"

#include "base/rng.h"
#include "base/util.h"
#include "harness/harness.h"

static const char nine[] = "123456789";

TEST(base_crc, check_values)
{
    uint64_t v = 0;

    EXPECT_EQ(crc32c(0, nine, 9), UINT32_C(0xE3069283));
    EXPECT_EQ(crc32c(0, nine, 0), 0);
    EXPECT_EQ(crc32_ieee_gzip(0, nine, 9), UINT32_C(0xCBF43926));
    EXPECT_OK(csum_compute(CSUM_TYPE_CRC16, nine, 9, &v));
    EXPECT_EQ(v, 0xD0DB);
    EXPECT_OK(csum_compute(CSUM_TYPE_CRC32, nine, 9, &v));
    EXPECT_EQ(v, UINT32_C(0xE3069283));
    EXPECT_OK(csum_compute(CSUM_TYPE_CRC64, nine, 9, &v));
    EXPECT_EQ(v, UINT64_C(0x995DC9BBDF1939FA));
    EXPECT_OK(csum_compute(CSUM_TYPE_ADLER32, nine, 9, &v));
    EXPECT_EQ(v, 0x091E01DE);
    EXPECT_OK(csum_compute(CSUM_TYPE_OFF, nine, 9, &v));
    EXPECT_EQ(v, 0);
    v = 5;
    EXPECT_ERR(csum_compute(CSUM_TYPE_SHA1, nine, 9, &v), NOSYS);
    EXPECT_ERR(csum_compute(99, nine, 9, &v), INVAL);
    EXPECT_EQ(v, 5);
}

TEST(base_crc, sizes_and_names)
{
    EXPECT_EQ(csum_bytes(CSUM_TYPE_OFF), 0);
    EXPECT_EQ(csum_bytes(CSUM_TYPE_CRC16), 2);
    EXPECT_EQ(csum_bytes(CSUM_TYPE_CRC32), 4);
    EXPECT_EQ(csum_bytes(CSUM_TYPE_CRC64), 8);
    EXPECT_EQ(csum_bytes(CSUM_TYPE_ADLER32), 4);
    EXPECT_EQ(csum_bytes(CSUM_TYPE_SHA256), 0);
    EXPECT_STR_EQ(csum_type_name(2), "crc32");
    EXPECT_STR_EQ(csum_type_name(7), "adler32");
    EXPECT_STR_EQ(csum_type_name(8), "unknown");
}

TEST(base_crc, cuts_do_not_matter)
{
    enum { BYTES = 777 };
    static const uint32_t types[] = {
        CSUM_TYPE_CRC16, CSUM_TYPE_CRC32, CSUM_TYPE_CRC64, CSUM_TYPE_ADLER32};
    uint8_t buf[BYTES];
    struct rng rng;

    rng_init(&rng, test_seed());
    rng_bytes(&rng, buf, BYTES);
    for (int step = 0; step < 200; step++) {
        size_t cut = (size_t)rng_below(&rng, BYTES + 1);
        size_t off = (size_t)rng_below(&rng, BYTES);
        size_t len = (size_t)rng_below(&rng, BYTES - off + 1);
        struct iov iovs[3] = {{buf, cut}, {NULL, 0}, {buf + cut, BYTES - cut}};
        struct sgl sgl = {3, iovs};
        uint64_t flat = 0;
        uint64_t listed = 1;

        EXPECT_EQ(crc32c(crc32c(0, buf, cut), buf + cut, BYTES - cut), crc32c(0, buf, BYTES));
        EXPECT_EQ(crc32c_sgl(0, &sgl, off, len), crc32c(0, buf + off, len));
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
            EXPECT_OK(csum_compute(types[i], buf + off, len, &flat));
            EXPECT_OK(csum_compute_sgl(types[i], &sgl, off, len, &listed));
            EXPECT_EQ(flat, listed);
            EXPECT_ERR(csum_compute_sgl(types[i], &sgl, off, BYTES - off + 1, &listed), INVAL);
        }
        if (test_failed())
            break;
    }
}

TEST(base_crc, joined)
{
    enum { BYTES = 100000 };
    static uint8_t buf[BYTES];
    static uint8_t zeros[1 << 20];
    uint32_t a, b = 0;
    struct rng rng;

    rng_init(&rng, test_seed());
    rng_bytes(&rng, buf, BYTES);
    for (int step = 0; step < 2000; step++) {
        size_t len = (size_t)rng_below(&rng, step % 2 == 0 ? BYTES : 70);
        size_t cut = (size_t)rng_below(&rng, len + 1);

        EXPECT_EQ(crc32c_combine(crc32c(0, buf, cut), crc32c(0, buf + cut, len - cut), len - cut),
            crc32c(0, buf, len));
    }
    EXPECT_EQ(crc32c_combine(crc32c(0, nine, 9), 0, 0), crc32c(0, nine, 9));
    EXPECT_EQ(crc32c_combine(0, crc32c(0, nine, 9), 9), crc32c(0, nine, 9));
    /* Lengths beyond the table: 2^30 MiB and a bit, put together by doubling. */
    a = crc32c(0, nine, 9);
    b = crc32c(0, zeros, sizeof(zeros));
    for (uint64_t len = sizeof(zeros); len < UINT64_C(1) << 50; len *= 2) {
        EXPECT_EQ(crc32c_combine(crc32c_combine(a, b, len), b, len),
            crc32c_combine(a, crc32c_combine(b, b, len), 2 * len));
        b = crc32c_combine(b, b, len);
    }
}
