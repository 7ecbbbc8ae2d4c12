/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: every checksum is the one that its name promises. Method: published check values of "123456789"; cutting the input anywhere
 * and gathering it from a list give the same.
 */
#include "base/crc.h"

#include "base/rng.h"
#include "harness/harness.h"

static const char nine[] = "123456789";

TEST(base_crc, check_values)
{
    EXPECT_EQ(crc32c(0, nine, 9), UINT32_C(0xE3069283));
    EXPECT_EQ(crc32c(0, nine, 0), 0);
    EXPECT_EQ(crc32_ieee_gzip(0, nine, 9), UINT32_C(0xCBF43926));
}

TEST(base_crc, cuts_do_not_matter)
{
    enum { BYTES = 777 };
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

        EXPECT_EQ(crc32c(crc32c(0, buf, cut), buf + cut, BYTES - cut), crc32c(0, buf, BYTES));
        EXPECT_EQ(crc32c_sgl(0, &sgl, off, len), crc32c(0, buf + off, len));
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
    for (int step = 0; step < 100; step++) { /* the length with a table of its own */
        size_t cut = (size_t)rng_below(&rng, BYTES - 4096);

        EXPECT_EQ(crc32c_combine(crc32c(0, buf, cut), crc32c(0, buf + cut, 4096), 4096),
            crc32c(0, buf, cut + 4096));
        a = (uint32_t)rng_u64(&rng);
        EXPECT_EQ(crc32c_combine(a, 0, 4096), crc32c_combine(crc32c_combine(a, 0, 4095), 0, 1));
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
