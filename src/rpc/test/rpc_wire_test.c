/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the head is laid out as docs/format/rpc.md says, nothing damaged passes, and it stays so (test/compat/rpc/head.bin).
 * Method: a head with a different value in every field, written out byte by byte here; every bit flipped; every length.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/crc.h"
#include "harness/harness.h"
#include "rpc/rpc_wire.h"

static const struct rpc_head sample =
    {
        .ver_lo = 1,
        .ver_hi = 1,
        .ver = 1,
        .features = 0x0807060504030201,
        .kind = RPC_KIND_REPLY,
        .call = 0x1817161514131211,
        .body_len = 0x24232221,
        .body_crc = 0x34333231,
        .payload_len = 0x44434241,
        .payload_crc = 0x54535251,
        .hdr =
            {
                .opcode = 0x0102,
                .flags = 0x0304,
                .rc = -1011,
                .system = {{0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
                .src_rank = 0x64636261,
                .src_incarnation = 0x7877767574737271,
                .dst_incarnation = 0x8887868584838281,
                .client = {{0xb0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
                .slot = 0x94939291,
                .seq = 0xa8a7a6a5a4a3a2a1,
                .first_hlc = 0xb8b7b6b5b4b3b2b1,
                .timeout_ns = 0xc8c7c6c5c4c3c2c1,
                .hlc = 0xd8d7d6d5d4d3d2d1,
                .map_ver = 0xe4e3e2e1,
                .hint_rank = 0xf4f3f2f1,
                .pool = {{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
                .pool_hdl = {{0xd0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
                .cont_hdl = {{0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
            },
};

/* clang-format off */
#define UUID_OF(first) first, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
static const uint8_t sample_bytes[204] = {
    'C', 'P', 'R', 'C',  1, 0,  1, 0,
    1, 2, 3, 4, 5, 6, 7, 8,
    1, 0,  2, 0,  0x02, 0x01,  0x04, 0x03,
    0x0d, 0xfc, 0xff, 0xff,  0x61, 0x62, 0x63, 0x64,
    UUID_OF(0xa0),
    0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
    0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    UUID_OF(0xb0),
    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,
    0x91, 0x92, 0x93, 0x94,  0xe1, 0xe2, 0xe3, 0xe4,
    0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8,
    0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8,
    0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8,
    0xf1, 0xf2, 0xf3, 0xf4,  0, 0, 0, 0,
    UUID_OF(0xc0), UUID_OF(0xd0), UUID_OF(0xe0),
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
    0x21, 0x22, 0x23, 0x24,  0x31, 0x32, 0x33, 0x34,
    0x41, 0x42, 0x43, 0x44,  0x51, 0x52, 0x53, 0x54,
    0, 0, 0, 0,
};
/* clang-format on */

static bool
heads_equal(const struct rpc_head *a, const struct rpc_head *b)
{
    uint8_t ab[RPC_HEAD_BYTES];
    uint8_t bb[RPC_HEAD_BYTES];

    rpc_head_encode(a, ab);
    rpc_head_encode(b, bb);
    return memcmp(ab, bb, sizeof(ab)) == 0;
}

TEST(rpc_wire, layout)
{
    uint8_t buf[RPC_HEAD_BYTES];
    struct rpc_head back;

    rpc_head_encode(&sample, buf);
    for (size_t i = 0; i < sizeof(sample_bytes); i++) {
        if (!EXPECT_EQ(buf[i], sample_bytes[i])) {
            fprintf(stderr, "at offset %zu\n", i);
        }
    }
    EXPECT_EQ(le32_get(buf + 204), crc32c(0, buf, 204));
    EXPECT_OK(rpc_head_decode(buf, sizeof(buf), &back));
    EXPECT(heads_equal(&sample, &back));
    EXPECT_EQ(back.hdr.rc, -1011);
    EXPECT_EQ(back.call, sample.call);
    EXPECT_EQ(back.hdr.cont_hdl.b[0], 0xe0u);
}

TEST(rpc_wire, damage)
{
    uint8_t buf[RPC_HEAD_BYTES];
    struct rpc_head back;

    rpc_head_encode(&sample, buf);
    for (size_t bit = 0; bit < sizeof(buf) * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        EXPECT_ERR(rpc_head_decode(buf, sizeof(buf), &back), PROTO);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < sizeof(buf); len++) {
        EXPECT_ERR(rpc_head_decode(buf, len, &back), PROTO);
    }
    EXPECT_OK(rpc_head_decode(buf, sizeof(buf), &back));
}

TEST(rpc_wire, golden)
{
    uint8_t golden[RPC_HEAD_BYTES + 1];
    uint8_t now[RPC_HEAD_BYTES];
    FILE *file;
    size_t len = 0;

    rpc_head_encode(&sample, now);
    if (getenv("CAIRN_GOLDEN_WRITE") != NULL) {
        file = fopen(RPC_GOLDEN_DIR "/head.bin", "wbx");
        if (file != NULL) {
            EXPECT_EQ(fwrite(now, 1, sizeof(now), file), sizeof(now));
            fclose(file);
        }
    }
    file = fopen(RPC_GOLDEN_DIR "/head.bin", "rb");
    if (EXPECT(file != NULL)) {
        len = fread(golden, 1, sizeof(golden), file);
        fclose(file);
    }
    EXPECT_EQ(len, sizeof(now));
    EXPECT_MEM_EQ(golden, now, sizeof(now));
}

TEST(rpc_wire, bulk_body)
{
    static const uint8_t want[RPC_BULK_BODY_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13,
        0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x32,
        0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x41, 0x42, 0x43, 0x44, 0x0d, 0xfc, 0xff, 0xff};
    struct rpc_bulk_body body = {0x0807060504030201, 0x1817161514131211, 0x2827262524232221,
        0x3837363534333231, 0x44434241, -1011};
    struct rpc_bulk_body back;
    uint8_t buf[RPC_BULK_BODY_BYTES];

    rpc_bulk_body_encode(&body, buf);
    EXPECT_MEM_EQ(buf, want, sizeof(want));
    EXPECT_OK(rpc_bulk_body_decode(buf, sizeof(buf), &back));
    EXPECT_EQ(back.rc, -1011);
    EXPECT_EQ(back.off, body.off);
    EXPECT_ERR(rpc_bulk_body_decode(buf, sizeof(buf) - 1, &back), PROTO);
}
