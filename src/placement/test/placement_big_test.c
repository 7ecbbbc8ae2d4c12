/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: with ten million shards on 256 targets the most loaded one has at most 1.02 of the mean. Fixed ids. */
#include "placement_rig.h"

TEST(placement_big, ten_million_shards)
{
    enum { OBJECTS = 1000000, TGTS = 256 };
    struct poolmap *map = rig_equal(32, 8);
    uint32_t loads[TGTS] = {0};
    uint32_t most = 0;

    for (uint64_t i = 0; i < OBJECTS; i++) {
        struct placement_layout layout = rig_layout(map, rig_oid(i, RIG_EC_8P2(1)));

        for (uint32_t s = 0; s < 10; s++) {
            loads[layout.shards[s].tgt_id]++;
        }
        placement_layout_fini(&layout);
    }
    for (int t = 0; t < TGTS; t++) {
        most = MAX(most, loads[t]);
    }
    EXPECT_LE((uint64_t)most * TGTS * 1000 / (OBJECTS * 10ull), 1020);
    poolmap_destroy(map);
}
