/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * place: layouts a second, by class, on maps of 1,000 targets of which none, some or a rank failed; time of a change of the map and of
 * its decoding. Processor's time, so that what else runs counts little. The target of place.layout.* is 500,000/s.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "bench.h"
#include "placement/placement.h"

static void
must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "place: %d\n", rc);
        abort();
    }
}

static struct poolmap *
map_make(uint32_t nodes_nr, uint32_t tgts_nr, uint32_t racks_nr)
{
    struct poolmap_rank_desc *descs = calloc(nodes_nr, sizeof(*descs));
    struct poolmap *map = NULL;

    for (uint32_t i = 0; i < nodes_nr; i++) {
        descs[i] = (struct poolmap_rank_desc){.rank = {i}, .node_id = 1000 + i, .tgts_nr = tgts_nr};
        if (racks_nr > 0) {
            descs[i].above_nr = 1;
            descs[i].above[0] = (struct poolmap_above){POOLMAP_LEVEL_FAULT, i % racks_nr};
        }
    }
    must(poolmap_create(descs, nodes_nr, &map));
    free(descs);
    return map;
}

static struct oid
oid_make(uint64_t lo, uint32_t oclass_id)
{
    return placement_oid_encode((struct oid){.lo = lo, .hi = 1}, PLACEMENT_OT_MULTI_HASHED,
        (uint8_t)(oclass_id >> 24), oclass_id & 0xffff);
}

static void
layouts(const struct poolmap *map, const char *name, uint32_t oclass_id, uint64_t nr, double target)
{
    uint64_t times = bench_times(nr);
    uint64_t start = bench_cpu_ns();
    struct bench_figure f = {.unit = "1/s", .target = target};

    for (uint64_t i = 0; i < times; i++) {
        struct placement_layout layout;

        must(placement_layout(
            map, oid_make(hash_mix64(i + 1), oclass_id), PLACEMENT_LAYOUT_VERSION, &layout));
        bench_keep(layout.shards);
        placement_layout_fini(&layout);
    }
    f.name = bench_name("place.layout.%s", name);
    f.value = (double)times * 1e9 / (double)(bench_cpu_ns() - start + 1);
    bench_put(&f);
}

BENCH(place_layout)
{
    struct poolmap *nodes = map_make(125, 8, 0);
    struct poolmap *racks = map_make(125, 8, 10);
    struct poolmap *flat = map_make(1000, 1, 0);

    layouts(nodes, "s1_125x8", 0x01000001, 100000, 500000);
    layouts(nodes, "rp3_125x8", 0x09000001, 100000, 500000);
    layouts(nodes, "ec8p2_125x8", 0x25000001, 50000, 500000);
    layouts(racks, "rp3_10x12x8", 0x09000001, 100000, 500000);
    layouts(flat, "s1_1000x1", 0x01000001, 100000, 500000);
    layouts(flat, "rp3_1000x1", 0x09000001, 100000, 500000);
    layouts(nodes, "rp2g8_125x8", 0x08000008, 5000, 0);
    layouts(nodes, "sx_125x8", 0x010003e8, 200, 0);
    layouts(nodes, "rp2gx_125x8", 0x080001f4, 200, 0);
    layouts(nodes, "ec8p2gx_125x8", 0x25000064, 200, 0);
    must(poolmap_change_rank(nodes, POOLMAP_OP_EXCLUDE, (struct rank){77}));
    layouts(nodes, "rp3_125x8_down1", 0x09000001, 50000, 0);
    must(poolmap_change_rank(nodes, POOLMAP_OP_FINISH, (struct rank){77}));
    must(poolmap_change_rank(nodes, POOLMAP_OP_REINTEGRATE, (struct rank){77}));
    layouts(nodes, "rp3_125x8_up1", 0x09000001, 50000, 0);
    poolmap_destroy(nodes);
    poolmap_destroy(racks);
    poolmap_destroy(flat);
}

BENCH(place_map)
{
    struct poolmap *map = map_make(2048, 16, 0);
    uint64_t times = bench_times(200);
    uint64_t start = bench_cpu_ns();
    uint8_t *buf;
    size_t len;
    struct enc e;

    for (uint64_t i = 0; i < times; i++) {
        must(poolmap_change_rank(
            map, i % 2 == 0 ? POOLMAP_OP_DRAIN : POOLMAP_OP_REVERT, (struct rank){5}));
    }
    bench_put_plain(
        "place.map_change.32768", "us", (double)(bench_cpu_ns() - start) / 1e3 / (double)times);
    len = poolmap_encoded_bytes(map);
    buf = malloc(len);
    enc_init(&e, buf, len);
    poolmap_encode(map, &e);
    start = bench_cpu_ns();
    for (uint64_t i = 0; i < times; i++) {
        struct poolmap *back = NULL;

        must(poolmap_decode(buf, len, &back));
        poolmap_destroy(back);
    }
    bench_put_plain(
        "place.map_decode.32768", "us", (double)(bench_cpu_ns() - start) / 1e3 / (double)times);
    bench_put_plain("place.map_bytes.32768", "B", (double)len);
    free(buf);
    poolmap_destroy(map);
}
