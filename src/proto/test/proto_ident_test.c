/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: identity files stay what they were, and any other bytes are told apart: damage, a later version.
 * Method: golden images of each version (test/compat/engine); every flipped bit and every length of them.
 */
#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/hash.h"
#include "harness/harness.h"
#include "proto/proto_ident.h"

static size_t
image_read(const char *name, uint8_t *buf, size_t buf_bytes)
{
    char path[512];
    size_t len;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", PROTO_IDENT_GOLDEN_DIR, name);
    file = fopen(path, "rb");
    if (!EXPECT(file != NULL))
        return 0;
    len = fread(buf, 1, buf_bytes, file);
    fclose(file);
    return len;
}

static const struct uuid golden_uuid = {{0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x4a, 0x6b, 0x8c, 0x7d,
    0x9e, 0xaf, 0xb0, 0xc1, 0xd2, 0xe3}};

TEST(proto_ident, golden)
{
    struct proto_ident id,
        want = {.rank = 3,
            .tgt_nr = 17,
            .incarnation = UINT64_C(0x1122334455667788),
            .system = golden_uuid,
            .name = "daos_server"};
    uint8_t golden[PROTO_IDENT_BYTES_MAX], now[PROTO_IDENT_BYTES];
    size_t len = image_read("identity_v2.img", golden, sizeof(golden));

    EXPECT_EQ(len, PROTO_IDENT_BYTES);
    proto_ident_encode(&want, now);
    EXPECT_MEM_EQ(now, golden, PROTO_IDENT_BYTES);
    if (EXPECT_OK(proto_ident_decode(golden, len, &id)))
        EXPECT_MEM_EQ(&id, &want, sizeof(id));
    EXPECT(proto_ident_has_name(&id, "daos_server"));
    EXPECT(!proto_ident_has_name(&id, "daos_serve"));

    len = image_read("identity_v1.img", golden, sizeof(golden));
    want.incarnation = UINT64_C(0x18ea5f8ceae8cead);
    want.system = cuuid_derive(&(struct uuid){{0}}, hash_str64("daos_server"));
    memset(want.name, 0, sizeof(want.name));
    EXPECT_EQ(len, 64);
    if (EXPECT_OK(proto_ident_decode(golden, len, &id)))
        EXPECT_MEM_EQ(&id, &want, sizeof(id));
    EXPECT(proto_ident_has_name(&id, "daos_server"));
    EXPECT(!proto_ident_has_name(&id, "other"));
}

TEST(proto_ident, damage)
{
    static const char *const names[] = {"identity_v1.img", "identity_v2.img"};

    for (int v = 0; v < 2; v++) {
        uint8_t buf[PROTO_IDENT_BYTES_MAX + 1] = {0};
        struct proto_ident id = {.rank = 99};
        size_t len = image_read(names[v], buf, sizeof(buf));

        for (size_t bit = 0; bit < len * 8; bit++) {
            buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
            EXPECT_ERR(proto_ident_decode(buf, len, &id), DF_INVAL);
            buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t cut = 0; cut <= sizeof(buf); cut++) {
            if (cut != len)
                EXPECT_ERR(proto_ident_decode(buf, cut, &id), DF_INVAL);
        }
        EXPECT_EQ(id.rank, 99); /* nothing is returned with an error */
    }
}

/* A right checksum over what no engine writes. */
TEST(proto_ident, other_content)
{
    uint8_t buf[PROTO_IDENT_BYTES_MAX] = {0};
    size_t len = image_read("identity_v2.img", buf, sizeof(buf));
    struct proto_ident id;

    le32_put(buf + 8, 3);
    le32_put(buf + 300 - 4, crc32c(0, buf, 300 - 4)); /* a later version may have any length */
    EXPECT_ERR(proto_ident_decode(buf, 300, &id), DF_INCOMPT);
    for (uint32_t version = 0; version < 2; version++) {
        le32_put(buf + 8, version);
        le32_put(buf + len - 4, crc32c(0, buf, len - 4));
        EXPECT_ERR(proto_ident_decode(buf, len, &id), DF_INVAL);
    }
    le32_put(buf + 8, 2);
    memset(buf + 48, 'x', 16); /* no terminator */
    le32_put(buf + len - 4, crc32c(0, buf, len - 4));
    EXPECT_ERR(proto_ident_decode(buf, len, &id), DF_INVAL);
    memset(buf + 48, 0, 16);
    le32_put(buf + len - 4, crc32c(0, buf, len - 4));
    EXPECT_ERR(proto_ident_decode(buf, len, &id), DF_INVAL);
}
