/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: a message of Raft. What is accepted is written anew and must be the same bytes (a message has one form), and every byte of it is touched.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "raft/raft_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct raft_msg msg;
    struct raft_conf conf;
    uint8_t *again;
    size_t bytes;

    if (raft_conf_parse(data, len, &conf) == 0)
        CAIRN_ASSERT(raft_conf_check(&conf) == 0);
    if (raft_msg_decode(data, len, &msg) != 0)
        return 0;
    bytes = raft_msg_bytes(&msg);
    CAIRN_ASSERT(bytes == len);
    again = malloc(bytes);
    if (again != NULL) {
        raft_msg_encode(&msg, again);
        CAIRN_ASSERT(memcmp(again, data, len) == 0);
    }
    free(again);
    raft_msg_fini(&msg);
    return 0;
}
