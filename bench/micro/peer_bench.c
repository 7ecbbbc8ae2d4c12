/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos beside RocksDB and LMDB (those that were there when this was built), on one disk (--dir), with the same keys, values and durability: every store syncs
 * once for 64 updates. Phases: insert all keys in random order; overwrite any of them; fetch any; list ranges of 1000 keys; fetch any after all were closed and the kernel's copies
 * of their files dropped; of the small values also ranges of hashed and of lexical keys in vos, and of such of 16 bytes, beside the others' listings of the keys that they have. Each phase is cut into ten slices; in each slice the stores run one after the other, each
 * time another one first. Medians of slices; `*_time` is the median of vos' time by that of the faster of the other two in the same slice.
 *
 * What a store leaves for later (compaction; aggregation and checkpoint) is waited for after each of its slices, so that it does not
 * disturb the next store; that time is a figure of its own ("settle"). "cpu" is the processor's time of the process for each operation, "written" and "read" are bytes
 * to and from devices; what was left for later is counted apart ("later_cpu", "later_written").
 *
 * Overwrites are so many that a slice has some 80 groups: the first and last groups of a slice, which begins with the caches of the processor cold, would say
 * more than those between; so are fetches. Cold fetches: RocksDB and LMDB read through the kernel's cache, which is empty at first and stays warm for the rest of the phase; vos reads past it
 * (O_DIRECT) into memory of its own, a page of 16 KiB at a time, which stays likewise.
 *
 * --set keys64=N, keys4k=N (0: not at all), listed=N, updates=N, mem=BYTES of caches (4G; vos: as much metadata in memory), alone=1 (vos by itself), lmdb=0, rocksdb=0 (without it),
 * kinds=0 (integer keys alone). --full: 10 million, and
 * 500,000 (LMDB takes 8 KiB for each).
 */
#include "bench_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

enum {
    SLICES_NR = 10,
    PEERS_MAX = 3,
    RANGE_NR = 1000,
    COLD_NR = 500,
    SMALL_BYTES = 64,
    UPDATES_NR = 50000,
    FETCHES_NR = 200000
};

void
peer_must(bool ok, const char *store, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench: %s: %s\n", store, what);
        abort();
    }
}

void
peer_value(const struct peer_bench *pb, uint64_t key, uint8_t *buf)
{
    uint64_t at = key % (PEER_POOL_BYTES - PEER_VALUE_BYTES_MAX);

    memcpy(buf, pb->pool + at, pb->value_bytes);
    memcpy(buf, &key, sizeof(key));
}

void
peer_value_check(const struct peer_bench *pb, uint64_t key, const void *buf, size_t len)
{
    peer_must(len == pb->value_bytes && memcmp(buf, &key, sizeof(key)) == 0, "value", "wrong");
}

struct bench_peers {
    struct peer_bench pb;
    uint64_t keys;
    uint32_t nr;
    struct {
        const struct peer_ops *ops;
        struct peer *peer;
        char dir[BIO_PATH_BYTES];
        double settle_s;
    } all[PEERS_MAX]; /* vos is the first */
};

enum phase { INSERT, UPDATE, SINGLES, FETCH, LIST, COLD, COLD_MANY };

static void
run_list(const struct peer_ops *ops, struct peer *p, const struct peer_run *run)
{
    for (uint64_t i = 0; i * RANGE_NR < run->nr; i++) {
        uint64_t from = hash_mix64(i ^ run->salt) & (UINT64_MAX >> 1);
        uint64_t nr = MIN((uint64_t)RANGE_NR, run->range / 4);

        peer_must(ops->list(p, from, nr) == nr, ops->name, "a listing is too short");
    }
}

/* Nanoseconds. */
static double
run_phase(const struct peer_ops *ops, struct peer *p, enum phase phase, const struct peer_run *run)
{
    enum { HOT_FLIGHT_NR = 16 };
    uint64_t start = bench_now_ns();

    switch (phase) {
    case INSERT:
    case UPDATE:
        ops->update(p, run);
        break;
    case SINGLES:
        ops->update_singles(p, run);
        break;
    case FETCH:
    case COLD_MANY:
        ops->fetch(p, run, HOT_FLIGHT_NR);
        break;
    case COLD:
        ops->fetch(p, run, 1);
        break;
    case LIST:
        run_list(ops, p, run);
        break;
    }
    return (double)(bench_now_ns() - start);
}

static bool
has_phase(const struct peer_ops *ops, enum phase phase)
{
    if (phase == SINGLES)
        return ops->has_singles;
    return phase != COLD_MANY || ops == &peer_vos;
}

/* What the process used: with what runs in the background, and what the kernel does in its name (of a write to its cache, when a page becomes dirty; of a read, with what it reads ahead). */
struct usage {
    double cpu_ns, read_bytes, write_bytes;
};

static struct usage
usage_now(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    struct usage use = {0};
    unsigned long value;
    struct timespec ts;
    char line[64];

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    use.cpu_ns = (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "read_bytes: %lu", &value) == 1) {
            use.read_bytes = (double)value;
        } else if (sscanf(line, "write_bytes: %lu", &value) == 1)
            use.write_bytes = (double)value;
    }
    if (file != NULL)
        fclose(file);
    return use;
}

static void
usage_add(struct usage *sum, const struct usage *from)
{
    struct usage now = usage_now();

    sum->cpu_ns += now.cpu_ns - from->cpu_ns;
    sum->read_bytes += now.read_bytes - from->read_bytes;
    sum->write_bytes += now.write_bytes - from->write_bytes;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median_of(double *values)
{
    qsort(values, SLICES_NR, sizeof(values[0]), compare);
    return (values[SLICES_NR / 2 - 1] + values[SLICES_NR / 2]) / 2;
}

/* One store's part of a phase. */
struct part {
    double ns[SLICES_NR];
    struct usage use, later; /* in its slices; for what they left */
};

static void
slice_run(struct bench_peers *b, uint32_t i, enum phase phase, const struct peer_run *run,
    double *ret_ns, struct part *part)
{
    const struct peer_ops *ops = b->all[i].ops;
    struct usage from = usage_now();
    uint64_t start;

    *ret_ns = run_phase(ops, b->all[i].peer, phase, run);
    usage_add(&part->use, &from);
    if (phase > SINGLES)
        return;
    from = usage_now();
    start = bench_now_ns();
    ops->settle(b->all[i].peer);
    b->all[i].settle_s += (double)(bench_now_ns() - start) / 1e9;
    usage_add(&part->later, &from);
}

static void
part_put(const struct bench_peers *b, uint32_t i, enum phase phase, const char *name, uint64_t nr,
    struct part *part)
{
    const char *store = b->all[i].ops->name;
    uint32_t bytes = b->pb.value_bytes;

    bench_put_plain(bench_name("peer.%s.%u.%s", name, bytes, store), "op/s",
        (double)(nr / SLICES_NR) * 1e9 / median_of(part->ns));
    if (phase <= FETCH) {
        bench_put_plain(bench_name("peer.%s_cpu.%u.%s", name, bytes, store), "ns",
            part->use.cpu_ns / (double)nr);
    }
    if (phase <= SINGLES) {
        bench_put_plain(bench_name("peer.%s_later_cpu.%u.%s", name, bytes, store), "ns",
            part->later.cpu_ns / (double)nr);
        bench_put_plain(bench_name("peer.%s_written.%u.%s", name, bytes, store), "B",
            part->use.write_bytes / (double)nr);
        bench_put_plain(bench_name("peer.%s_later_written.%u.%s", name, bytes, store), "B",
            part->later.write_bytes / (double)nr);
    }
    if (phase >= COLD) {
        bench_put_plain(bench_name("peer.%s_read.%u.%s", name, bytes, store), "B",
            part->use.read_bytes / (double)nr);
    }
}

static void
phase_run(struct bench_peers *b, enum phase phase, const char *name, uint64_t nr, double target)
{
    static uint64_t salt;
    struct part parts[PEERS_MAX] = {0};
    double share[SLICES_NR];

    for (uint32_t s = 0; s < SLICES_NR; s++) {
        struct peer_run run = {.nr = nr / SLICES_NR, .salt = hash_mix64(++salt)};
        double best = 0;

        if (phase == INSERT) {
            run.first = s * run.nr;
        } else {
            run.range = b->keys;
        }
        for (uint32_t j = 0; j < b->nr; j++) {
            uint32_t i = (s + j) % b->nr;

            if (!has_phase(b->all[i].ops, phase))
                continue;
            slice_run(b, i, phase, &run, &parts[i].ns[s], &parts[i]);
            if (i > 0)
                best = best == 0 ? parts[i].ns[s] : MIN(best, parts[i].ns[s]);
        }
        share[s] = best == 0 ? 0 : parts[0].ns[s] / best;
    }
    for (uint32_t i = 0; i < b->nr; i++) {
        if (has_phase(b->all[i].ops, phase))
            part_put(b, i, phase, name, nr, &parts[i]);
    }
    if (b->nr > 1 && phase != SINGLES && phase != COLD_MANY) {
        bench_put(
            &(struct bench_figure){.name = bench_name("peer.%s_time.%u", name, b->pb.value_bytes),
                .unit = "of best",
                .value = median_of(share),
                .target = target});
    }
}

static void
sizes_put(struct bench_peers *b, const char *when)
{
    const double mb = 1e6;

    for (uint32_t i = 0; i < b->nr; i++) {
        const char *name = b->all[i].ops->name;

        bench_put_plain(bench_name("peer.%s_space.%u.%s", when, b->pb.value_bytes, name), "MB",
            (double)bench_files_bytes(b->all[i].dir) / mb);
        bench_put_plain(bench_name("peer.%s_memory.%u.%s", when, b->pb.value_bytes, name), "MB",
            (double)b->all[i].ops->memory(b->all[i].peer) / mb);
        bench_put_plain(bench_name("peer.%s_settle.%u.%s", when, b->pb.value_bytes, name), "s",
            b->all[i].settle_s);
        b->all[i].settle_s = 0;
    }
}

static void
all_reopen(struct bench_peers *b)
{
    /* What a store writes when it is opened, from its log, would lie in the kernel's cache. */
    for (uint32_t i = 0; i < b->nr; i++) {
        b->all[i].ops->close(b->all[i].peer);
        b->all[i].ops->open(b->all[i].peer);
        b->all[i].ops->settle(b->all[i].peer);
    }
    for (uint32_t i = 0; i < b->nr; i++) {
        b->all[i].ops->close(b->all[i].peer);
    }
    for (uint32_t i = 0; i < b->nr; i++) {
        bench_files_drop(b->all[i].dir);
        b->all[i].ops->open(b->all[i].peer);
    }
}

/* vos lists keys of other kinds, beside the others' listings, which know one kind. */
static void
kinds_list(struct bench_peers *b)
{
    static const char *const names[PEER_KIND_NR] = {
        NULL, "list_hashed", "list_lexical", "list_hashed_16", "list_lexical_16"};
    struct peer_run run = {.nr = b->keys}, warm = {.range = b->keys};

    warm.nr = MIN(8 * b->keys,
        (uint64_t)20000000); /* after a start: ranges at random, that meet nearly all */
    for (uint32_t i = 0; i < b->nr; i++) {
        run_list(b->all[i].ops, b->all[i].peer, &warm);
    }
    for (enum peer_kind kind = PEER_HASHED; kind < PEER_KIND_NR; kind++) {
        peer_vos_kind_set(b->all[0].peer, kind);
        b->all[0].ops->update(b->all[0].peer, &run);
        b->all[0].ops->settle(b->all[0].peer);
        phase_run(b, LIST, names[kind], bench_opt("listed", MIN(b->keys, (uint64_t)2000000)),
            kind >= PEER_HASHED_LONG ? 0 : 1); /* the others' keys are of 8 bytes all the same */
    }
    peer_vos_kind_set(b->all[0].peer, PEER_INTEGER);
}

static void
peers_body(struct bench_store *st)
{
    struct bench_peers *b = st->arg;
    uint64_t few = MAX(b->keys / 20, (uint64_t)SLICES_NR);
    uint64_t updates = bench_opt("updates", MIN(b->keys, MAX(few, (uint64_t)UPDATES_NR)));

    for (uint32_t i = 0; i < b->nr; i++) {
        snprintf(b->all[i].dir, sizeof(b->all[i].dir), "%s/%s", st->dir,
            i == 0 ? "t" : b->all[i].ops->name);
        b->all[i].peer = b->all[i].ops->create(&b->pb, b->all[i].dir);
        b->all[i].ops->open(b->all[i].peer);
    }
    phase_run(b, INSERT, "insert", b->keys, 0.5);
    sizes_put(b, "insert");
    phase_run(b, FETCH, "fetch",
        bench_is_quick() ? few : MIN(MAX(b->keys, (uint64_t)FETCHES_NR), (uint64_t)2000000), 1);
    phase_run(b, LIST, "list", bench_opt("listed", MIN(b->keys, (uint64_t)2000000)), 1);
    phase_run(b, UPDATE, "update", updates, 0.5);
    phase_run(b, SINGLES, "update_singles", updates, 0);
    sizes_put(b, "update");
    all_reopen(b);
    phase_run(b, COLD, "fetch_cold", MIN(few, (uint64_t)COLD_NR * SLICES_NR), 1);
    all_reopen(b);
    phase_run(b, COLD_MANY, "fetch_cold_16", MIN(few, (uint64_t)COLD_NR * SLICES_NR), 0);
    if (b->pb.value_bytes == SMALL_BYTES && bench_opt("kinds", 1) != 0)
        kinds_list(b);
    for (uint32_t i = 0; i < b->nr; i++) {
        if (b->all[i].ops->stats != NULL)
            b->all[i].ops->stats(b->all[i].peer);
        b->all[i].ops->close(b->all[i].peer);
        b->all[i].ops->destroy(b->all[i].peer);
    }
}

static void
peers_run(uint64_t keys, uint32_t value_bytes)
{
    const uint64_t gib = UINT64_C(1) << 30;
    enum { STACK_BYTES = 1 << 20 }; /* RocksDB runs on it */
    struct bench_peers b = {
        .keys = keys, .pb = {.value_bytes = value_bytes, .mem_bytes = bench_opt("mem", 4 * gib)}};
    struct bench_store st = {.on_disk = true, .stack_bytes = STACK_BYTES, .arg = &b};
    uint64_t *pool = malloc(PEER_POOL_BYTES);

    if (keys == 0 || pool == NULL) {
        free(pool);
        return;
    }
    for (uint64_t i = 0; i < PEER_POOL_BYTES / sizeof(*pool); i++) {
        pool[i] = hash_mix64(i ^ value_bytes);
    }
    b.pb.pool = (const uint8_t *)pool;
    b.pb.st = &st;
    b.all[b.nr++].ops = &peer_vos;
    if (!bench_is_quick() &&
        bench_opt("alone", 0) == 0) { /* ours alone, to see that it still runs: the others sync a lot */
#ifdef BENCH_ROCKSDB
        if (bench_opt("rocksdb", 1) != 0)
            b.all[b.nr++].ops = &peer_rocksdb;
#endif
#ifdef BENCH_LMDB
        if (bench_opt("lmdb", 1) != 0)
            b.all[b.nr++].ops = &peer_lmdb;
#endif
    }
    st.cfg.meta_bytes = 16 * gib;
    st.cfg.data_bytes = gib;
    st.cfg.mem_bytes = b.pb.mem_bytes;
    st.cfg.wal_halves = (uint8_t)bench_opt("halves", BIO_HALVES_PAY);
    bench_store_run(&st, peers_body);
    free(pool);
}

BENCH_ONCE(peer_small)
{
    peers_run(bench_opt("keys64", bench_is_full() ? 10000000 : bench_times(200000)), SMALL_BYTES);
}

BENCH_ONCE(peer_page)
{
    peers_run(
        bench_opt("keys4k", bench_is_full() ? 500000 : bench_times(20000)), PEER_VALUE_BYTES_MAX);
}
