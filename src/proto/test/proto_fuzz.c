/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: byte 0 of the input chooses a message, the rest is its body. What decodes must encode, and what was encoded must decode to
 * the same and encode to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto/proto.h"
#include "proto/test/proto_fill.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint64_t first[512], again[512];
    uint32_t nr;
    const struct proto_msg *const *msgs = proto_msg_table(&nr);
    const struct proto_msg *msg;
    struct arena arena;
    uint8_t *buf[2] = {NULL, NULL};
    size_t size, lens[2] = {0, 0};
    char text[512];
    struct strbuf sb;

    if (len < 1)
        return 0;
    msg = msgs[data[0] % nr];
    CAIRN_ASSERT(msg->struct_bytes <= sizeof(first));
    arena_init(&arena, 1024, 256u << 20);
    if (proto_decode(msg, data + 1, len - 1, &arena, first) != 0)
        goto out;
    strbuf_init(&sb, text, sizeof(text));
    proto_to_text(msg, first, &sb);
    size = proto_size(msg, first);
    buf[0] = malloc(size);
    buf[1] = malloc(size);
    CAIRN_ASSERT(buf[0] != NULL && buf[1] != NULL);
    CAIRN_ASSERT(proto_encode(msg, first, buf[0], size, &lens[0]) == 0);
    CAIRN_ASSERT(lens[0] == size);
    CAIRN_ASSERT(proto_decode(msg, buf[0], size, &arena, again) == 0);
    CAIRN_ASSERT(proto_fill_equal(msg, first, again));
    CAIRN_ASSERT(proto_encode(msg, again, buf[1], size, &lens[1]) == 0);
    CAIRN_ASSERT(lens[1] == size && memcmp(buf[0], buf[1], size) == 0);
out:
    free(buf[0]);
    free(buf[1]);
    arena_fini(&arena);
    return 0;
}
