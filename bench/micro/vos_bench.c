/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos alone, on tmpfs: every update is logged and acknowledged (bio_wal_wait), with a number of requests in flight on one xstream.
 * Keys are those of a random order: each update makes a dkey, an akey and a value. The "shape" figures are as the original's benchmark: ten akeys to a dkey, 100,000
 * values, fetched in the order in which they were written. vos.stall.* is the longest time of the processor for which one large request kept all others from running.
 */
#include "bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"

enum {
    KEYS_NR = 1000000,
    SHAPE_NR = 100000,
    SHAPE_AKEYS_NR = 10,
    SHAPE_FETCH_NR = 5 * SHAPE_NR,
    FLIGHT_NR = 16,
    VALUE_BYTES_MAX = 1 << 20
};

struct world {
    struct bench_store st;
    void (*body)(struct world *w);
    uint64_t values; /* that were written */
    uint64_t times; /* of the last rate() */
    uint32_t akeys; /* of a dkey */
    uint32_t stride; /* of fetches; 1: in the order of the updates */
    uint32_t value_bytes;
    bool with_ids;
    uint64_t seqs[FLIGHT_NR];
    uint8_t *value;
};

static void
world_main(struct bench_store *st)
{
    struct world *w = st->arg;

    w->body(w);
}

static void
world_run(void (*body)(struct world *w))
{
    struct world w = {.body = body, .akeys = 1, .stride = 7919};

    w.value = malloc(VALUE_BYTES_MAX);
    if (w.value == NULL)
        abort();
    memset(w.value, 'v', VALUE_BYTES_MAX);
    w.st.arg = &w;
    w.st.flight_nr = FLIGHT_NR;
    bench_store_run(&w.st, world_main);
    free(w.value);
}

/* Every number below 2^20 once, in an order that looks random. */
static uint64_t
scatter(uint64_t i)
{
    return hash_mix64(i);
}

static const struct vos_oid bench_oid = {.oid = {.lo = 1}};

struct names {
    char dkey[24], akey[4];
    struct iov d, a;
};

/* By hand: snprintf() takes 44 ns, a tenth of a fetch. */
static void
names_of(const struct world *w, uint64_t i, struct names *n)
{
    uint64_t key = scatter(i / w->akeys);

    for (uint32_t c = 0; c < 16; c++) {
        n->dkey[c] = "0123456789abcdef"[key >> (60 - 4 * c) & 15];
    }
    n->akey[0] = 'a';
    n->akey[1] = (char)('0' + i % w->akeys);
    n->d = (struct iov){n->dkey, 16};
    n->a = (struct iov){n->akey, w->akeys > 1 ? 2 : 1};
}

static void
update_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    struct world *w = st->arg;
    struct names n;
    struct vos_iod iod = {
        .type = VOS_IOD_SINGLE, .size = w->value_bytes, .data = {w->value, w->value_bytes}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE, .oid = bench_oid, .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_apply_ret ret;

    names_of(w, i, &n);
    iod.akey = n.a;
    mod.dkey = n.d;
    if (w->with_ids) {
        args.req =
            (struct vos_req_id){.client = {{3}}, .slot = slot, .seq = ++w->seqs[slot], .hlc = i + 1};
    }
    bench_must(vos_apply(st->cont, &args, &ret));
}

static void
fetch_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    struct world *w = st->arg;
    struct vos_iod iod = {.type = VOS_IOD_SINGLE};
    struct vos_fetch *fetch;
    struct names n;

    (void)slot;
    names_of(w, i * w->stride % w->values, &n);
    iod.akey = n.a;
    bench_must(vos_fetch(st->cont, &bench_oid, VOS_EPOCH_MAX, 0, &n.d, &iod, 1, &fetch));
    bench_must(fetch->iods[0].size == w->value_bytes ? 0 : -DER_MISC);
    vos_fetch_free(st->cont, fetch);
}

/* Operations per second, with requests in flight. */
static double
rate(struct world *w, uint64_t times, void (*op)(struct bench_store *st, uint64_t i, uint32_t slot))
{
    w->times = bench_times(times);
    if (op == update_op)
        w->values = w->times;
    return bench_store_rate(&w->st, w->times, op);
}

static bool
count_entry(void *arg, const struct vos_entry *entry)
{
    (void)entry;
    (*(uint64_t *)arg)++;
    return true;
}

static void
small_body(struct world *w)
{
    struct vos_anchor anchor = {.eof = false};
    uint64_t listed = 0, start;
    struct vos_list_args args = {.level = VOS_LEVEL_DKEY,
        .oid = bench_oid,
        .epoch = VOS_EPOCH_MAX,
        .fn = count_entry,
        .arg = &listed};
    struct bench_figure f = {.name = "vos.update.64", .unit = "op/s", .target = 200000};

    w->value_bytes = 64;
    f.value = rate(w, KEYS_NR, update_op);
    bench_put(&f);
    start = bench_cpu_ns();
    f = (struct bench_figure){
        .name = "vos.fetch.64", .unit = "op/s", .value = rate(w, KEYS_NR, fetch_op)};
    bench_put(&f);
    f = (struct bench_figure){.name = "vos.fetch_cpu.64",
        .unit = "ns",
        .value = (double)(bench_cpu_ns() - start) / (double)w->times};
    bench_put(&f);
    start = bench_now_ns();
    while (!anchor.eof) {
        bench_must(vos_list(w->st.cont, &args, &anchor));
    }
    bench_must(listed == w->times ? 0 : -DER_MISC);
    f = (struct bench_figure){
        .name = "vos.list.dkeys", .unit = "entry/s", .value = bench_rate(listed, start)};
    bench_put(&f);
}

static void
ids_body(struct world *w)
{
    struct bench_figure f = {.name = "vos.update_id.64", .unit = "op/s"};

    w->value_bytes = 64;
    w->with_ids = true;
    f.value = rate(w, KEYS_NR / 2, update_op);
    bench_put(&f);
}

static void
page_body(struct world *w)
{
    struct bench_figure f = {.name = "vos.update.4096", .unit = "op/s"};

    w->value_bytes = 4096;
    f.value = rate(w, KEYS_NR / 10, update_op);
    bench_put(&f);
    f = (struct bench_figure){
        .name = "vos.fetch.4096", .unit = "op/s", .value = rate(w, KEYS_NR / 10, fetch_op)};
    bench_put(&f);
}

static void
large_body(struct world *w)
{
    struct bench_figure f = {.name = "vos.update.1m", .unit = "op/s"};

    w->value_bytes = 1 << 20;
    f.value = rate(w, 2000, update_op);
    bench_put(&f);
    f = (struct bench_figure){
        .name = "vos.fetch.1m", .unit = "op/s", .value = rate(w, 2000, fetch_op)};
    bench_put(&f);
}

/* ---- the shape of the original's benchmark ---------------------------------------------------------------------------- */

/* Operations per second, and the processor's time for each, which other load changes little. */
static void
shape_put(struct world *w, const char *name, const char *cpu_name, uint64_t times, double target,
    void (*op)(struct bench_store *st, uint64_t i, uint32_t slot))
{
    uint64_t start = bench_cpu_ns();
    struct bench_figure f = {.name = name, .unit = "op/s", .target = target};
    struct bench_figure cpu = {.name = cpu_name, .unit = "ns"};

    f.value = rate(w, times, op);
    cpu.value = (double)(bench_cpu_ns() - start) / (double)w->times;
    bench_put(&f);
    bench_put(&cpu);
}

static void
shape_small_body(struct world *w)
{
    w->akeys = SHAPE_AKEYS_NR;
    w->stride = 1;
    w->value_bytes = 64;
    shape_put(w, "vos.shape_update.64", "vos.shape_update_cpu.64", SHAPE_NR, 600000, update_op);
    shape_put(w, "vos.shape_fetch.64", "vos.shape_fetch_cpu.64", SHAPE_FETCH_NR, 2000000, fetch_op);
}

static void
shape_page_body(struct world *w)
{
    w->akeys = SHAPE_AKEYS_NR;
    w->stride = 1;
    w->value_bytes = 4096;
    shape_put(w, "vos.shape_update.4096", "vos.shape_update_cpu.4096", SHAPE_NR, 250000, update_op);
    shape_put(
        w, "vos.shape_fetch.4096", "vos.shape_fetch_cpu.4096", SHAPE_FETCH_NR, 1800000, fetch_op);
}

/* ---- the longest time without a yield --------------------------------------------------------------------------------- */

struct stall {
    struct world *w;
    uint64_t longest_ns;
    bool stop, stopped;
};

static void
stall_main(void *arg)
{
    struct stall *s = arg;
    uint64_t last = bench_cpu_ns();

    while (!s->stop) {
        uint64_t now;

        ult_yield();
        now = bench_cpu_ns();
        s->longest_ns = now - last > s->longest_ns ? now - last : s->longest_ns;
        last = now;
    }
    s->stopped = true;
    ult_cond_signal(&s->w->st.idle);
}

/* The largest request there may be: as many ranges as allowed, values as large as stay with the index. */
static void
stall_body(struct world *w)
{
    static uint8_t data[VOS_INLINE_SUM_BYTES_MAX];
    static struct recx recxs[VOS_PARTS_NR_MAX];
    struct vos_iod iod = {.akey = {"a", 1},
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = VOS_PARTS_NR_MAX,
        .recxs = recxs,
        .data = {data, sizeof(data)}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = bench_oid, .dkey = {"d", 1}, .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    const uint32_t len = sizeof(data) / VOS_PARTS_NR_MAX;
    struct stall s = {.w = w};
    struct vos_apply_ret ret;
    struct bench_figure f = {.name = "vos.stall.ranges", .unit = "us"};

    for (uint64_t i = 0; i < VOS_PARTS_NR_MAX; i++) {
        recxs[i] = (struct recx){scatter(i) % (1 << 30) * len, len};
    }
    bench_must(ult_create(w->st.xs, ULT_IO, stall_main, &s, NULL));
    for (uint64_t i = 0; i < bench_times(100); i++) {
        recxs[0].idx++; /* elsewhere each time: extents over one another */
        bench_must(vos_apply(w->st.cont, &args, &ret));
    }
    s.stop = true;
    while (!s.stopped) {
        ult_cond_wait(&w->st.idle, NULL);
    }
    f.value = (double)s.longest_ns / 1e3;
    bench_put(&f);
}

/* ---- aggregation ---------------------------------------------------------------------------------------------------- */

enum { AGG_KEYS_NR = 200000, AGG_FILES_NR = 64, AGG_FILE_BYTES = 1 << 20, AGG_PIECE_BYTES = 8192 };

/* One pass; answers the seconds of the processor that it took. */
static double
agg_pass(struct world *w, uint64_t lo, struct vos_agg_stat *stat)
{
    struct vos_agg_args args = {.lo = lo, .hi = VOS_EPOCH_MAX};
    uint64_t start = bench_cpu_ns();

    bench_must(vos_cont_aggregate(w->st.cont, &args, stat));
    return (double)(bench_cpu_ns() - start + 1) / 1e9;
}

static void
agg_write_file(struct world *w, uint64_t file, uint8_t *data)
{
    struct recx recx = {0, AGG_PIECE_BYTES};
    struct vos_iod iod = {.akey = {"a", 1},
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {data, AGG_PIECE_BYTES}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = {.oid = {.lo = 2}},
        .dkey = {&file, sizeof(file)},
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};

    for (; recx.idx < AGG_FILE_BYTES; recx.idx += AGG_PIECE_BYTES) {
        bench_must(vos_apply(w->st.cont, &args, NULL));
    }
}

/* Keys of which each was written twice, the same when nothing is to do, all of them punched; then files written in pieces. */
static void
agg_body(struct world *w)
{
    static uint8_t data[AGG_PIECE_BYTES];
    struct vos_mod mod = {.op = VOS_MOD_PUNCH_OBJ, .oid = bench_oid};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct stall stall = {.w = w};
    struct vos_agg_stat stat;
    double s;

    w->value_bytes = 64;
    (void)rate(w, AGG_KEYS_NR, update_op);
    (void)rate(w, AGG_KEYS_NR, update_op);
    s = agg_pass(w, 0, &stat);
    bench_put_plain("vos.agg.replaced.64", "value/s", (double)stat.ver_del_nr / s);
    s = agg_pass(w, 1, &stat);
    bench_put_plain("vos.agg.clean", "key/s", (double)stat.key_nr / s);
    bench_must(vos_apply(w->st.cont, &args, NULL));
    s = agg_pass(w, 0, &stat);
    bench_put_plain("vos.agg.punched", "record/s", (double)(stat.ver_del_nr + stat.key_del_nr) / s);
    for (uint64_t i = 0; i < bench_times(AGG_FILES_NR); i++) {
        agg_write_file(w, i, data);
    }
    s = agg_pass(w, 0, &stat);
    bench_put_plain("vos.agg.merged.8k", "MB/s", (double)stat.merge_bytes / s / 1e6);
    /* Once more, over the merged ones: the longest time without a yield. */
    for (uint64_t i = 0; i < bench_times(AGG_FILES_NR); i++) {
        agg_write_file(w, i, data);
    }
    bench_must(ult_create(w->st.xs, ULT_IO, stall_main, &stall, NULL));
    (void)agg_pass(w, 0, &stat);
    stall.stop = true;
    while (!stall.stopped) {
        ult_cond_wait(&w->st.idle, NULL);
    }
    bench_put_plain("vos.agg.stall", "us", (double)stall.longest_ns / 1e3);
}

BENCH(vos_agg)
{
    world_run(agg_body);
}

BENCH(vos_shape_small)
{
    world_run(shape_small_body);
}

BENCH(vos_shape_page)
{
    world_run(shape_page_body);
}

BENCH(vos_stall)
{
    world_run(stall_body);
}

BENCH(vos_small)
{
    world_run(small_body);
}

BENCH(vos_ids)
{
    world_run(ids_body);
}

BENCH(vos_page)
{
    world_run(page_body);
}

BENCH(vos_large)
{
    world_run(large_body);
}
