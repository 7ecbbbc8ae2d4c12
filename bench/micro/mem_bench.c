/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos on metadata that is larger than the memory it may use (bio_cfg.mem_bytes, 64 MiB here): values of 64 bytes under dkeys in random order, 16 requests in
 * flight, on tmpfs, where a read of a page is a copy: what counts is how many there are. For each number of keys: updates; fetches from a
 * hot set of 500 keys (some 1,500 pages), for a million also without a limit; fetches of any key, and page loads for each; closing; opening until the first
 * answer. CAIRN_BENCH_KEYS=N, CAIRN_BENCH_MIB=M: that many keys, and that limit, instead. And how fast a log is replayed.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/util.h"
#include "plat/plat_linux.h"
#include "vos/vos.h"

enum { FLIGHT_NR = 16, HOT_NR = 500, VALUE_BYTES = 64, FETCH_NR = 200000, MEM_BYTES = 64 << 20 };

struct world {
    struct plat *plat;
    struct xstream *xs;
    struct bio_cfg cfg;
    struct bio_tgt *bio;
    struct vos_tgt *tgt;
    struct vos_cont *cont;
    uint64_t keys, next, times, range;
    uint32_t live_nr;
    struct ult_cond idle;
    bool done, is_replay;
};

static const struct vos_oid bench_oid = {.oid = {.lo = 1}};
static const struct uuid pool_id = {{1}}, cont_id = {{2}};

static void
must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "mem bench: %s\n", err_name(rc));
        abort();
    }
}

static struct iov
dkey_of(uint64_t i, uint64_t *mem)
{
    *mem = hash_mix64(i);
    return (struct iov){mem, sizeof(*mem)};
}

static void
update_main(void *arg)
{
    struct world *w = arg;
    uint8_t value[VALUE_BYTES];

    w->live_nr++;
    while (w->next < w->times) {
        uint64_t i = w->next++, key;
        struct vos_iod iod = {.type = VOS_IOD_SINGLE,
            .akey = {(void *)(uintptr_t) "a", 1},
            .size = VALUE_BYTES,
            .data = {value, VALUE_BYTES}};
        struct vos_mod mod = {
            .op = VOS_MOD_UPDATE, .oid = bench_oid, .dkey = dkey_of(i, &key), .iod_nr = 1, .iods = &iod};
        struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
        struct vos_apply_ret ret;

        memset(value, (int)(i & 0xff), sizeof(value));
        must(vos_apply(w->cont, &args, &ret));
    }
    if (--w->live_nr == 0)
        ult_cond_signal(&w->idle);
}

static void
fetch_main(void *arg)
{
    struct world *w = arg;

    w->live_nr++;
    while (w->next < w->times) {
        uint64_t i = hash_mix64(w->next++ ^ 0x5555) % w->range, key;
        struct vos_iod iod = {.type = VOS_IOD_SINGLE, .akey = {(void *)(uintptr_t) "a", 1}};
        struct iov dkey = dkey_of(i, &key);
        struct vos_fetch *fetch;

        must(vos_fetch(w->cont, &bench_oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch));
        must(fetch->iods[0].size == VALUE_BYTES ? 0 : -DER_MISC);
        vos_fetch_free(w->cont, fetch);
    }
    if (--w->live_nr == 0)
        ult_cond_signal(&w->idle);
}

static double
rate(struct world *w, uint64_t times, void (*fn)(void *arg))
{
    uint64_t start = bench_now_ns();

    w->next = 0;
    w->times = times;
    for (uint32_t i = 0; i < FLIGHT_NR; i++) {
        must(ult_create(w->xs, ULT_IO, fn, w, NULL));
    }
    do {
        ult_cond_wait(&w->idle, NULL);
    } while (w->live_nr > 0);
    return bench_rate(times, start);
}

static void
put(const char *what, uint64_t keys, const char *unit, double value)
{
    char *name = malloc(64); /* lives as long as the process */

    snprintf(name, 64, "mem.%s.%llu", what, (unsigned long long)keys);
    bench_put(&(struct bench_figure){.name = name, .unit = unit, .value = value});
}

static void
store_open(struct world *w)
{
    must(bio_open(w->xs, &w->cfg, &w->bio));
    must(vos_tgt_open(w->bio, &w->tgt));
    must(vos_cont_open(w->tgt, pool_id, cont_id, &w->cont));
}

static void
store_close(struct world *w)
{
    vos_cont_close(w->cont);
    vos_tgt_close(w->tgt);
    bio_close(w->bio);
}

static struct umem_stats
stats_of(struct world *w)
{
    struct umem_stats st;

    umem_stats_get(bio_umem(w->bio), &st);
    return st;
}

static void
curve_body(struct world *w)
{
    uint64_t keys = w->keys, start, loads;
    struct umem_stats st;

    if (w->cfg.mem_bytes == 0) { /* for comparison */
        (void)rate(w, keys, update_main);
        w->range = HOT_NR;
        (void)rate(w, FETCH_NR / 4, fetch_main);
        put("fetch_hot_no_limit", keys, "op/s", rate(w, FETCH_NR, fetch_main));
        store_close(w);
        return;
    }
    put("update", keys, "op/s", rate(w, keys, update_main));
    st = stats_of(w);
    put("arena_per_key", keys, "B", (double)st.used_bytes / (double)keys);
    put("memory", keys, "MiB",
        (double)((st.resident_pages_nr << UMEM_PAGE_BITS) + st.table_bytes) / (1 << 20));
    must(bio_checkpoint(w->bio));
    w->range = MIN(keys, (uint64_t)HOT_NR);
    (void)rate(w, FETCH_NR / 4, fetch_main); /* it becomes hot */
    loads = stats_of(w).loads_nr;
    put("fetch_hot", keys, "op/s", rate(w, FETCH_NR, fetch_main));
    put("loads_per_fetch_hot", keys, "reads", (double)(stats_of(w).loads_nr - loads) / FETCH_NR);
    w->range = keys;
    loads = stats_of(w).loads_nr;
    put("fetch_any", keys, "op/s", rate(w, FETCH_NR, fetch_main));
    put("loads_per_fetch", keys, "reads", (double)(stats_of(w).loads_nr - loads) / FETCH_NR);
    start = bench_now_ns();
    store_close(w);
    put("close", keys, "ms", (double)(bench_now_ns() - start) / 1e6);
    start = bench_now_ns();
    store_open(w);
    (void)rate(w, 1, fetch_main);
    put("open", keys, "ms", (double)(bench_now_ns() - start) / 1e6);
    store_close(w);
}

/* A log of updates: a copy of the store is opened, as if the process had ended. */
static void
replay_body(struct world *w)
{
    char cmd[4 * sizeof(w->cfg.dir)];
    struct bio_stats st;
    uint64_t start, ns;

    (void)rate(w, w->keys, update_main);
    bio_stats_get(w->bio, &st);
    snprintf(cmd, sizeof(cmd), "cp -r %s %s.copy", w->cfg.dir, w->cfg.dir);
    if (system(cmd) != 0)
        bench_fail("cannot copy the store");
    store_close(w);
    strcat(w->cfg.dir, ".copy");
    start = bench_now_ns();
    must(bio_open(w->xs, &w->cfg, &w->bio));
    ns = bench_now_ns() - start;
    put("replay", w->keys, "MB/s", (double)st.wal_bytes * 1e3 / (double)ns);
    put("replay_log", w->keys, "MB", (double)st.wal_bytes / 1e6);
    bio_close(w->bio);
}

static void
world_main(void *arg)
{
    struct world *w = arg;

    must(bio_format(w->xs, &w->cfg));
    must(bio_open(w->xs, &w->cfg, &w->bio));
    must(vos_tgt_open(w->bio, &w->tgt));
    must(vos_pool_create(w->tgt, pool_id, UINT64_C(12) << 30, UINT64_C(1) << 30));
    must(vos_cont_create(w->tgt, pool_id, cont_id));
    must(vos_cont_open(w->tgt, pool_id, cont_id, &w->cont));
    if (w->is_replay) {
        replay_body(w);
    } else {
        curve_body(w);
    }
    w->done = true;
}

static void
world_run(uint64_t keys, uint64_t mem_bytes, bool is_replay)
{
    struct world w = {.keys = keys, .is_replay = is_replay};
    char dir[] = "/dev/shm/cairn-bench-XXXXXX", cmd[64];

    if (mkdtemp(dir) == NULL) {
        bench_fail("/dev/shm cannot be written");
        return;
    }
    snprintf(w.cfg.dir, sizeof(w.cfg.dir), "%s/t", dir);
    w.cfg.wal_bytes = UINT64_C(1) << 30;
    w.cfg.meta_bytes = UINT64_C(16) << 30;
    w.cfg.data_bytes = UINT64_C(1) << 30;
    w.cfg.mem_bytes = mem_bytes;
    w.cfg.system.b[0] = 1;
    if (is_replay) { /* all of it is in the log */
        w.cfg.ckpt_pct = 90;
        w.cfg.ckpt_interval_ns = UINT64_C(3600) * 1000000000;
    }
    must(plat_linux_create(&w.plat));
    must(xstream_create(w.plat, NULL, &w.xs));
    ult_cond_init(&w.idle);
    must(ult_create(w.xs, ULT_SERVICE, world_main, &w, NULL));
    must(xstream_drive(w.xs, &w.done, PLAT_NEVER_NS));
    xstream_destroy(w.xs);
    plat_linux_destroy(w.plat);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
    if (system(cmd) != 0)
        bench_fail("cannot clean up in /dev/shm");
}

BENCH(curve)
{
    const char *more = getenv("CAIRN_BENCH_KEYS"), *mib = getenv("CAIRN_BENCH_MIB");

    if (more != NULL) {
        world_run(strtoull(more, NULL, 10),
            mib != NULL ? strtoull(mib, NULL, 10) << 20 : (uint64_t)MEM_BYTES, false);
        return;
    }
    world_run(10000, MEM_BYTES, false);
    if (bench_times(100) == 100) {
        world_run(100000, MEM_BYTES, false);
        world_run(1000000, MEM_BYTES, false);
        world_run(1000000, 0, false);
    }
}

BENCH(replay)
{
    world_run(bench_times(1000000), 0, true);
}
