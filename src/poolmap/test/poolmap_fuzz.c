/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: an encoded pool map. The checksum is made right first, so that what is behind it gets something to read. What is taken keeps
 * the rules of poolmap.h, and is written again as the same bytes (PM-6).
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "poolmap/poolmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct poolmap *map = NULL;
    uint8_t *copy;
    uint8_t *back;
    struct enc e;

    if (len < 8)
        return 0;
    copy = malloc(len);
    CAIRN_ASSERT(copy != NULL);
    memcpy(copy, data, len);
    le32_put(copy + len - 4, crc32c(0, copy, len - 4));
    if (poolmap_decode(copy, len, &map) == 0) {
        CAIRN_ASSERT(poolmap_check(map) == 0);
        CAIRN_ASSERT(poolmap_encoded_bytes(map) == len);
        back = malloc(len);
        CAIRN_ASSERT(back != NULL);
        enc_init(&e, back, len);
        poolmap_encode(map, &e);
        CAIRN_ASSERT(e.len == len && memcmp(back, copy, len) == 0);
        for (uint32_t i = 0; i < map->ranks_nr; i++) {
            CAIRN_ASSERT(poolmap_rank_find(map, map->ranks[i].rank) == &map->ranks[i]);
        }
        free(back);
        poolmap_destroy(map);
    }
    free(copy);
    return 0;
}
