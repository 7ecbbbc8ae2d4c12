/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the encoding of every message stays what it was (test/compat/rpc/<message>.bin).
 * Method: the pattern of proto_fill.c must encode to the stored bytes and these must decode to it; one message is also written out by hand.
 * CAIRN_GOLDEN_WRITE=1 in the environment writes files that are missing, never one that is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "proto/proto_ops.h"
#include "proto/proto_svc.h"
#include "proto/test/proto_fill.h"

enum { GOLDEN_BYTES_MAX = 65536 };

static size_t
golden_read(const char *path, uint8_t *buf)
{
    FILE *file = fopen(path, "rb");
    size_t len;

    if (file == NULL)
        return 0;
    len = fread(buf, 1, GOLDEN_BYTES_MAX, file);
    fclose(file);
    return len;
}

static void
golden_write(const char *path, const uint8_t *buf, size_t len)
{
    FILE *file = fopen(path, "wbx");

    if (file == NULL)
        return;
    EXPECT_EQ(fwrite(buf, 1, len, file), len);
    EXPECT_EQ(fclose(file), 0);
}

TEST(proto_golden, every_message)
{
    static uint8_t now[GOLDEN_BYTES_MAX], golden[GOLDEN_BYTES_MAX];
    uint32_t nr;
    const struct proto_msg *const *msgs = proto_msg_table(&nr);

    for (uint32_t m = 0; m < nr; m++) {
        struct arena arena;
        struct proto_fill fill;
        uint64_t st[512], back[512];
        char path[512];
        size_t now_len = 0;
        size_t golden_len;

        arena_init(&arena, 4096, 1u << 20);
        proto_fill_init(&fill, PROTO_FILL_PATTERN, 0, &arena);
        proto_fill_struct(&fill, msgs[m], st);
        EXPECT_OK(proto_encode(msgs[m], st, now, sizeof(now), &now_len));
        snprintf(path, sizeof(path), "%s/%s.bin", PROTO_GOLDEN_DIR, msgs[m]->name);
        if (getenv("CAIRN_GOLDEN_WRITE") != NULL) {
            golden_write(path, now, now_len);
        }
        golden_len = golden_read(path, golden);
        if (!EXPECT_EQ(golden_len, now_len) || !EXPECT_MEM_EQ(golden, now, now_len)) {
            fprintf(stderr, "message %s, file %s\n", msgs[m]->name, path);
        }
        EXPECT_OK(proto_decode(msgs[m], golden, golden_len, &arena, back));
        EXPECT(proto_fill_equal(msgs[m], st, back));
        arena_fini(&arena);
    }
}

TEST(proto_golden, by_hand)
{
    static const uint8_t want[] = {
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* epoch */
        1, 0, 0, 0, /* one iod */
        9, 0, 0, 0, 0, 0, 0, 0, /* its size */
        1, 0, 0, 0, /* one segment */
        1, 0, 0, 0, 0, 0, 0, 0, /* idx */
        2, 0, 0, 0, 0, 0, 0, 0, /* nr */
        1, /* is_present */
        3, 0, 0, 0, 0, 0, 0, 0, /* data_len */
        0xef, 0xbe, 0xad, 0xde, /* data_crc */
        3, 0, 0, 0, 'a', 'b', 'c', /* data */
    };
    struct proto_seg seg = {1, 2, 1};
    struct proto_fetch_iod iod = {9, {1, &seg}};
    struct proto_obj_fetch_rep rep = {0x1122334455667788, {1, &iod}, 3, 0xdeadbeef, {"abc", 3}};
    uint8_t buf[128];
    size_t len = 0;

    EXPECT_OK(proto_encode(proto_op_find(PROTO_OBJ_FETCH)->rep, &rep, buf, sizeof(buf), &len));
    EXPECT_EQ(len, sizeof(want));
    EXPECT_MEM_EQ(buf, want, sizeof(want));
}
