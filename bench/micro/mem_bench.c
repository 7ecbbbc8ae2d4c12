/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos by the number of keys: values of 64 bytes, each under a dkey of its own, in random order, 16 requests in flight, on tmpfs (--set disk=1: below --dir).
 *
 *   dram    all metadata in memory: time and pages for an operation, memory for a value, restart
 *   limit   metadata larger than the memory it may use (bio_cfg.mem_bytes, 64 MiB): a hot set of 500 keys (some 1,500 pages), any key; page loads
 *           for each. On tmpfs a load is a copy: what counts is how many there are
 *   scale   one store on a disk (--dir) that grows from ten thousand to 100 million keys, in 1 GiB of memory (--set mib=M): at each size reads of the device,
 *           pages, restart, memory. Keys are inserted in slices of the hash, 4,096 in flight, as are updates: in one random order each insert beyond memory would read and write
 *           a page, for hours. --set keep=1: the store stays in DIR/cairn-bench-keep; reuse=1: it is there, with --set keys=N of them, and only its hot set is
 *           looked at (system/bench_instructions.py --scale)
 *   files   memory of a file-like object (object, dkey, akey, extent of 4 KiB), before and after it has cooled; on disk
 *   replay  how fast a log is replayed
 *
 * --set keys=N: that many keys, instead of ten thousand to a million (--full: to ten million); fetches=N and as many updates; mib=M: that limit; files=N;
 * replay=N updates. Under callgrind bench_mark() tells the phases apart (system/bench_instructions.py).
 */
#include "bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"

enum {
    HOT_NR = 500,
    VALUE_BYTES = 64,
    FETCH_NR = 200000,
    SAMPLES_NR = 64,
    FILE_BYTES = 4096,
    TEN_MILLION = 10000000
};

struct world {
    struct bench_store st;
    uint64_t keys;
    uint64_t first; /* those below it are there: scale */
    uint64_t range; /* fetches and updates of any of that many keys */
    uint64_t salt; /* a different order each time */
};

static const struct vos_oid bench_oid = {.oid = {.lo = 1}};

/* A place for tools that look at one phase: everything since the last call belongs to what came before. */
__attribute__((noinline)) static void
bench_mark(const char *phase)
{
    bench_keep(phase);
}

static struct iov
dkey_of(uint64_t i, uint64_t *mem)
{
    *mem = hash_mix64(i);
    return (struct iov){mem, sizeof(*mem)};
}

static void
update(struct bench_store *st, uint64_t i)
{
    uint8_t value[VALUE_BYTES];
    uint64_t key;
    struct vos_iod iod = {.type = VOS_IOD_SINGLE,
        .akey = {(void *)(uintptr_t) "a", 1},
        .size = VALUE_BYTES,
        .data = {value, VALUE_BYTES}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = bench_oid, .dkey = dkey_of(i, &key), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_apply_ret ret;

    memset(value, (int)(i & 0xff), sizeof(value));
    bench_must(vos_apply(st->cont, &args, &ret));
}

static void
insert_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    (void)slot;
    update(st, i);
}

static uint64_t
any_key(const struct world *w, uint64_t i)
{
    return hash_mix64(i ^ w->salt) % w->range;
}

static void
update_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    (void)slot;
    update(st, any_key(st->arg, i));
}

static void
fetch_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    uint64_t key;
    struct vos_iod iod = {.type = VOS_IOD_SINGLE, .akey = {(void *)(uintptr_t) "a", 1}};
    struct iov dkey = dkey_of(any_key(st->arg, i), &key);
    struct vos_fetch *fetch;

    (void)slot;
    bench_must(vos_fetch(st->cont, &bench_oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch));
    bench_must(fetch->iods[0].size == VALUE_BYTES ? 0 : -DER_MISC);
    vos_fetch_free(st->cont, fetch);
}

static void
put_target(const char *what, uint64_t nr, const char *unit, double value, double target)
{
    bench_put(&(struct bench_figure){.name = bench_name("mem.%s.%llu", what, (unsigned long long)nr),
        .unit = unit,
        .value = value,
        .target = target});
}

static void
put(const char *what, uint64_t nr, const char *unit, double value)
{
    put_target(what, nr, unit, value, 0);
}

static uint64_t
fetches_nr(void)
{
    return bench_opt("fetches", bench_times(FETCH_NR));
}

static double
any_rate(struct world *w, uint64_t times, void (*op)(struct bench_store *, uint64_t, uint32_t))
{
    w->salt = hash_mix64(w->salt + 1);
    return bench_store_rate(&w->st, times, op);
}

static void
reopen(struct world *w, const char *what, double target_ms)
{
    uint64_t start = bench_now_ns();

    bench_store_close(&w->st);
    put(bench_name("close%s", what), w->keys, "ms", (double)(bench_now_ns() - start) / 1e6);
    bench_files_drop(w->st.cfg.dir);
    start = bench_now_ns();
    bench_store_open(&w->st);
    (void)any_rate(w, 1, fetch_op);
    put_target(bench_name("open%s", what), w->keys, "ms", (double)(bench_now_ns() - start) / 1e6,
        target_ms);
}

/* ---- everything in memory ---------------------------------------------------------------------------------------------- */

/* Pages of 16 KiB that one operation touches: those that it loads when none is there. */
static double
pages_of(struct world *w, void (*op)(struct bench_store *, uint64_t, uint32_t))
{
    struct umem *um = bio_umem(w->st.bio);
    uint64_t sum = 0;

    for (uint64_t i = 0; i < SAMPLES_NR; i++) {
        uint64_t loads;

        bench_must(bio_checkpoint(w->st.bio));
        (void)umem_evict(um, UINT32_MAX, 0);
        loads = bench_store_umem(&w->st).loads_nr;
        op(&w->st, i, 0);
        sum += bench_store_umem(&w->st).loads_nr - loads;
    }
    return (double)sum / SAMPLES_NR;
}

static void
dram_body(struct bench_store *st)
{
    struct world *w = st->arg;
    uint64_t keys = w->keys, cpu;

    bench_mark("insert");
    put("insert", keys, "op/s", bench_store_rate(st, keys, insert_op));
    put_target("dram_per_value", keys, "B", (double)bench_store_memory(st) / (double)keys,
        keys >= TEN_MILLION / 10 ? 200 : 0);
    put("arena_per_value", keys, "B", (double)bench_store_umem(st).used_bytes / (double)keys);
    bench_must(bio_checkpoint(st->bio));
    w->range = keys;
    cpu = bench_cpu_ns();
    bench_mark("update");
    put("update_any", keys, "op/s", any_rate(w, fetches_nr(), update_op));
    bench_mark("rest");
    put("update_any_cpu", keys, "ns", (double)(bench_cpu_ns() - cpu) / (double)fetches_nr());
    (void)any_rate(w, fetches_nr(), fetch_op);
    cpu = bench_cpu_ns();
    bench_mark("fetch");
    put_target("fetch_any", keys, "op/s", any_rate(w, fetches_nr(), fetch_op),
        keys >= TEN_MILLION ? 400000 : 0);
    bench_mark("rest");
    put("fetch_any_cpu", keys, "ns", (double)(bench_cpu_ns() - cpu) / (double)fetches_nr());
    put("pages_per_fetch", keys, "pages", pages_of(w, fetch_op));
    put("pages_per_update", keys, "pages", pages_of(w, update_op));
    reopen(w, "", 5000);
}

/* ---- under a limit ----------------------------------------------------------------------------------------------------- */

static void
limit_body(struct bench_store *st)
{
    struct world *w = st->arg;
    uint64_t keys = w->keys, loads;

    put("limit_insert", keys, "op/s", bench_store_rate(st, keys, insert_op));
    put("limit_memory", keys, "MiB", (double)bench_store_memory(st) / (1 << 20));
    bench_must(bio_checkpoint(st->bio));
    w->range = MIN(keys, (uint64_t)HOT_NR);
    (void)any_rate(w, fetches_nr() / 4, fetch_op); /* it becomes hot */
    loads = bench_store_umem(st).loads_nr;
    put("limit_fetch_hot", keys, "op/s", any_rate(w, fetches_nr(), fetch_op));
    put("limit_loads_per_fetch_hot", keys, "reads",
        (double)(bench_store_umem(st).loads_nr - loads) / (double)fetches_nr());
    w->range = keys;
    loads = bench_store_umem(st).loads_nr;
    put("limit_fetch_any", keys, "op/s", any_rate(w, fetches_nr(), fetch_op));
    put("limit_loads_per_fetch", keys, "reads",
        (double)(bench_store_umem(st).loads_nr - loads) / (double)fetches_nr());
    loads = bench_store_umem(st).loads_nr;
    put("limit_update_any", keys, "op/s", any_rate(w, fetches_nr(), update_op));
    put("limit_loads_per_update", keys, "reads",
        (double)(bench_store_umem(st).loads_nr - loads) / (double)fetches_nr());
    reopen(w, "_limit", 5000);
}

/* ---- on a disk, to 100 million ----------------------------------------------------------------------------------------- */

enum { LOAD_FLIGHT_NR = 4096, SLICE_KEYS_NR = 5000000, SCALE_MIB = 1024, ARENA_BYTES_A_KEY = 320 };

/* Those of the keys from w->first on that are in the slice w->salt of w->range. */
static void
slice_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    const struct world *w = st->arg;
    uint64_t key;
    struct iov iov = dkey_of(w->first + i, &key);

    (void)slot;
    if ((hash_bytes64(iov.buf, iov.len, 0) >> 32) * w->range >> 32 == w->salt)
        update(st, w->first + i);
}

/* Go on to w->keys. A slice has its leaves in memory. */
static void
load(struct world *w)
{
    uint64_t nr = w->keys - w->first, start = bench_now_ns(), cpu = bench_cpu_ns();
    uint32_t flight_nr = w->st.flight_nr;

    w->st.flight_nr = LOAD_FLIGHT_NR;
    w->range = DIV_UP(w->keys, (uint64_t)SLICE_KEYS_NR);
    for (w->salt = 0; w->salt < w->range; w->salt++) {
        (void)bench_store_rate(&w->st, nr, slice_op);
    }
    w->st.flight_nr = flight_nr;
    put("scale_load", w->keys, "op/s", bench_rate(nr, start));
    put("scale_load_cpu", w->keys, "ns", (double)(bench_cpu_ns() - cpu) / (double)nr);
}

/* Rate, processor's time and reads of the device of one operation. */
static void
scale_rate(struct world *w, const char *what, void (*op)(struct bench_store *, uint64_t, uint32_t))
{
    uint64_t nr = fetches_nr(), loads = bench_store_umem(&w->st).loads_nr, cpu = bench_cpu_ns();
    uint32_t flight_nr = w->st.flight_nr;

    w->st.flight_nr = op == update_op ? LOAD_FLIGHT_NR : flight_nr;
    bench_mark(what);
    put(bench_name("scale_%s", what), w->keys, "op/s", any_rate(w, nr, op));
    bench_mark("rest");
    w->st.flight_nr = flight_nr;
    put(bench_name("scale_%s_cpu", what), w->keys, "ns", (double)(bench_cpu_ns() - cpu) / (double)nr);
    put(bench_name("scale_%s_reads", what), w->keys, "reads",
        (double)(bench_store_umem(&w->st).loads_nr - loads) / (double)nr);
}

/* At one size. */
static void
scale_look(struct world *w)
{
    struct bench_store *st = &w->st;
    uint64_t keys = w->keys;

    put("scale_memory", keys, "MiB", (double)bench_store_memory(st) / (1 << 20));
    put("scale_arena_per_value", keys, "B", (double)bench_store_umem(st).used_bytes / (double)keys);
    bench_must(bio_checkpoint(st->bio));
    put("scale_disk", keys, "MB", (double)bench_files_bytes(st->cfg.dir) / 1e6);
    w->range = MIN(keys, (uint64_t)HOT_NR);
    (void)any_rate(w, (uint64_t)HOT_NR * 20, fetch_op); /* it becomes hot */
    scale_rate(w, "fetch_hot", fetch_op);
    w->range = keys;
    scale_rate(w, "fetch_any", fetch_op);
    scale_rate(w, "update_any", update_op);
    put("scale_fetch_cold_pages", keys, "pages", pages_of(w, fetch_op));
    put("scale_update_cold_pages", keys, "pages", pages_of(w, update_op));
    reopen(w, "_scale", 5000);
    put("scale_open_memory", keys, "MiB", (double)bench_store_memory(st) / (1 << 20));
}

/* Of a store that is there already. */
static void
scale_hot(struct world *w)
{
    w->range = MIN(w->keys, (uint64_t)HOT_NR);
    (void)any_rate(w, (uint64_t)HOT_NR * 20, fetch_op);
    scale_rate(w, "fetch_hot", fetch_op);
    (void)any_rate(w, (uint64_t)HOT_NR * 4, update_op);
    scale_rate(w, "update_hot", update_op);
}

static void
scale_body(struct bench_store *st)
{
    static const uint64_t sizes[] = {
        1000, 10000, 100000, 1000000, 3000000, 10000000, 30000000, 100000000};
    struct world *w = st->arg;
    uint64_t max = w->keys;

    if (st->is_reused) {
        scale_hot(w);
        return;
    }
    for (size_t i = bench_is_quick() ? 0 : 1; i < ARRAY_SIZE(sizes) && sizes[i] <= max; i++) {
        w->keys = sizes[i];
        load(w);
        scale_look(w);
        w->first = w->keys;
    }
}

/* ---- files ------------------------------------------------------------------------------------------------------------- */

static void
file_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    static uint8_t data[FILE_BYTES];
    struct recx recx = {0, FILE_BYTES};
    uint64_t chunk = 0;
    struct vos_iod iod = {.akey = {(void *)(uintptr_t) "0", 1},
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {data, FILE_BYTES}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = {.oid = {.lo = hash_mix64(i)}},
        .dkey = {&chunk, sizeof(chunk)},
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};

    (void)slot;
    bench_must(vos_apply(st->cont, &args, NULL));
}

static void
files_body(struct bench_store *st)
{
    struct world *w = st->arg;
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX, .flags = VOS_AGG_COOL};
    uint64_t used = bench_store_umem(st).used_bytes, start;
    struct vos_agg_stat stat;
    double nr = (double)w->keys;

    put("file_write", w->keys, "op/s", bench_store_rate(st, w->keys, file_op));
    put_target("file_warm", w->keys, "B", (double)(bench_store_umem(st).used_bytes - used) / nr,
        400 + FILE_BYTES);
    start = bench_cpu_ns();
    bench_must(vos_cont_aggregate(st->cont, &args, &stat));
    put("file_cooling_cpu", w->keys, "ns", (double)(bench_cpu_ns() - start) / nr);
    bench_must(bio_checkpoint(st->bio));
    put("file_moved", w->keys, "%", 100.0 * (double)stat.move_nr / nr);
    put_target(
        "file_cooled", w->keys, "B", (double)(bench_store_umem(st).used_bytes - used) / nr, 400);
    put("file_cooled_memory", w->keys, "B", (double)bench_store_memory(st) / nr);
}

/* ---- replay ------------------------------------------------------------------------------------------------------------ */

/* A log of updates: a copy of the store is opened, as if the process had ended. */
static void
replay_body(struct bench_store *st)
{
    struct world *w = st->arg;
    char cmd[4 * sizeof(st->cfg.dir)];
    struct bio_stats stats;
    uint64_t start, ns;

    (void)bench_store_rate(st, w->keys, insert_op);
    bio_stats_get(st->bio, &stats);
    snprintf(cmd, sizeof(cmd), "cp -r %s %s.copy", st->cfg.dir, st->cfg.dir);
    if (system(cmd) != 0)
        bench_fail("cannot copy the store");
    bench_store_close(st);
    strcat(st->cfg.dir, ".copy");
    start = bench_now_ns();
    bench_must(bio_open(st->xs, &st->cfg, &st->bio));
    ns = bench_now_ns() - start;
    put_target("replay", w->keys, "MB/s", (double)stats.wal_bytes * 1e3 / (double)ns, 500);
    put("replay_log", w->keys, "MB", (double)stats.wal_bytes / 1e6);
    bio_close(st->bio);
}

/* ---- sizes ------------------------------------------------------------------------------------------------------------- */

static void
world_run(struct world *w, void (*body)(struct bench_store *))
{
    const uint64_t gib = UINT64_C(1) << 30;

    w->st.arg = w;
    w->st.on_disk = w->st.on_disk || bench_opt("disk", 0) != 0;
    w->st.cfg.meta_bytes = w->st.cfg.meta_bytes == 0 ? 16 * gib : w->st.cfg.meta_bytes;
    w->st.cfg.data_bytes = w->st.cfg.data_bytes == 0 ? gib : w->st.cfg.data_bytes;
    bench_store_run(&w->st, body);
}

static void
curve(void (*body)(struct bench_store *), uint64_t mem_bytes)
{
    uint64_t keys = bench_opt("keys", 0);
    uint64_t max = bench_is_quick() ? 1000 : bench_is_full() ? TEN_MILLION : TEN_MILLION / 10;

    for (uint64_t nr = keys != 0 ? keys : MIN(max, (uint64_t)10000); nr <= MAX(max, keys);
         nr = keys != 0 ? UINT64_MAX : nr * 10) {
        struct world w = {.keys = nr, .st.cfg.mem_bytes = mem_bytes};

        world_run(&w, body);
    }
}

BENCH_ONCE(dram)
{
    curve(dram_body, 0);
}

BENCH_ONCE(limit)
{
    curve(limit_body, bench_opt("mib", 64) << 20);
}

BENCH_ONCE(scale)
{
    uint64_t gib = UINT64_C(1) << 30;
    uint64_t max = bench_is_quick() ? 1000
        : bench_is_full()           ? (uint64_t)TEN_MILLION * 10
                                    : TEN_MILLION / 10;
    struct world w = {.keys = bench_opt("keys", max),
        .st = {.on_disk = true,
            .is_kept = bench_opt("keep", 0) != 0,
            .is_reused = bench_opt("reuse", 0) != 0}};

    w.st.cfg.mem_bytes = bench_opt("mib", SCALE_MIB) << 20;
    w.st.cfg.meta_bytes = ALIGN_UP(MAX(w.keys * ARENA_BYTES_A_KEY, gib), gib);
    world_run(&w, scale_body);
}

BENCH_ONCE(files)
{
    struct world w = {.keys = bench_opt("files", bench_times(100000)),
        .st = {.on_disk = true, .cfg = {.data_bytes = UINT64_C(8) << 30}}};

    world_run(&w, files_body);
}

BENCH(replay)
{
    struct world w = {.keys = bench_opt("replay", bench_times(1000000))};

    w.st.cfg.ckpt_pct = 90; /* all of it is in the log */
    w.st.cfg.ckpt_interval_ns = UINT64_C(3600) * 1000000000;
    world_run(&w, replay_body);
}
