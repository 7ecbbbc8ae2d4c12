/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Overwriting an array for a long time, with the target's own aggregation (src/tgt) at its default pace: random blocks of 4 KiB in a part of an array of 1 TiB (chunks of 1 MiB, as
 * libdaos makes them, far apart), which was written in whole chunks before. Does it become slower, what does aggregation cost, how much space is
 * taken? First a quarter of the writes with aggregation off, then, in a fresh store, all with it. The ratios are those of ten million writes in 10 GiB with a log of 1 GiB: writes, gap between
 * passes and log follow the part of the array that is given. Then passes apart: a fifth is written over, a pass that nobody slows down, and so on, in the processor's time.
 *
 * The gap is how long a container rests after a change before it is aggregated (tgt_opts.agg_gap_ns): what was written over within it, nobody has promised to have given back. So of the space that
 * is taken at a time that is taken off which was written in the gap that ends then, and what is left at most is over.space. The gap counts the processor's time: on a loaded machine, where the
 * writer is often not at work, that stays what it is on a quiet one. over.space_wall: the same by the clock of the wall.
 *
 * On a disk (--dir), or with --set tmpfs=1 on tmpfs. --set over_mib=N: the part of the array; over_nr=N writes; over_flight=N in flight; over_gap_ms=N; over_mem_mib=N:
 * memory for metadata. --full: ten million in 10 GiB, which takes 25 GB of disk.
 */
#include "bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "tgt/tgt.h"

enum { CHUNKS_FULL = 10240, OVERS_A_CHUNK = 1000, LOOKS_NR = 4096 };
enum { CHUNK_BYTES = 1 << 20, BLOCK_BYTES = 4096, TENTHS = 10, QUARTER = 4, OTYPE_ARRAY_BYTE = 13 };
#define ARRAY_BYTES (UINT64_C(1) << 40)

/* When so much had been written. */
struct mark {
    uint64_t cpu_ns, ns, nr;
};

struct world {
    struct bench_store st;
    struct tgt *tgt;
    uint64_t chunks, nr, seed;
    uint32_t reclaim;
    uint8_t *data;
    /* results */
    uint64_t starts_ns[TENTHS + 1], cpus_ns[TENTHS + 1];
    uint64_t passes, gap_from,
        gap_bytes; /* aggregation: passes seen; written at the begin of this gap; most of any gap */
    uint64_t agg_work_ns, agg_gap_ns;
    uint64_t live_bytes, used_bytes; /* before the first overwrite; at most */
    struct mark *marks;
    uint64_t mark_nr, cpu_from, wall_from; /* the gap that ends now begins behind these of them */
    uint64_t late_bytes, late_wall_bytes; /* taken, less what the gap wrote; at most */
    uint64_t gap_max_bytes; /* that one gap wrote */
};

static const struct tgt_ids ids = {{{1}}, {{2}}, {{3}}};

static int
lookup(void *arg, const struct tgt_ids *asked, struct tgt_hdl_info *ret_info)
{
    struct world *w = arg;

    (void)asked;
    *ret_info = (struct tgt_hdl_info){
        .pool_flags = TGT_PC_RW, .cont = w->st.cont_id, .cont_flags = TGT_COO_RW, .map_ver = 1};
    return 0;
}

static int
stable(void *arg, struct uuid pool, struct uuid cont, struct tgt_stable *ret_stable)
{
    struct world *w = arg;

    (void)pool;
    (void)cont;
    *ret_stable = (struct tgt_stable){.epoch = vos_epoch_last(w->st.tgt), .reclaim = w->reclaim};
    return 0;
}

/* As objsrv does it. */
static void
write_at(struct world *w, uint64_t chunk, uint64_t off, uint32_t len)
{
    uint64_t dkey = chunk * (ARRAY_BYTES / CHUNK_BYTES / w->chunks) + 1;
    struct recx recx = {off, len};
    struct vos_iod iod = {.akey = {(void *)(uintptr_t) "0", 1},
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {w->data, len}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = {.oid = {.lo = 1, .hi = (uint64_t)OTYPE_ARRAY_BYTE << 56}},
        .dkey = {&dkey, sizeof(dkey)},
        .iod_nr = 1,
        .iods = &iod};
    struct tgt_op op;
    struct vos_apply_args args = {
        .mods = &mod, .mod_nr = 1, .pm_ver = 1, .space_wait = tgt_op_space_wait, .space_arg = &op};
    struct tgt_ids asks = ids;

    asks.pool = w->st.pool_id;
    bench_must(tgt_op_begin(w->tgt, &asks, 0, &op));
    op.deadline_ns = ult_now_ns() + UINT64_C(60000000000);
    bench_must(vos_apply(op.vos, &args, NULL));
    tgt_op_changed(&op);
    tgt_op_end(&op);
}

static void
fill_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    (void)slot;
    write_at(st->arg, i, 0, CHUNK_BYTES);
}

static uint64_t
space_used(struct world *w)
{
    struct vos_pool_info info;

    vos_cont_space(w->st.cont, &info);
    return info.meta_used + info.data_used;
}

/* What is taken beside what the newest gap wrote. */
static void
gap_look(struct world *w, uint64_t i, uint64_t used)
{
    struct mark now = {.cpu_ns = bench_cpu_ns(), .ns = bench_now_ns(), .nr = i};
    uint64_t cpu_bytes, wall_bytes;

    if (w->agg_gap_ns == 0 || w->mark_nr == LOOKS_NR)
        return;
    w->marks[w->mark_nr++] = now;
    while (w->marks[w->cpu_from].cpu_ns + w->agg_gap_ns < now.cpu_ns) {
        w->cpu_from++;
    }
    while (w->marks[w->wall_from].ns + w->agg_gap_ns < now.ns) {
        w->wall_from++;
    }
    cpu_bytes = (i - w->marks[w->cpu_from].nr) * BLOCK_BYTES;
    wall_bytes = (i - w->marks[w->wall_from].nr) * BLOCK_BYTES;
    w->late_bytes = MAX(w->late_bytes, used - MIN(used, cpu_bytes));
    w->late_wall_bytes = MAX(w->late_wall_bytes, used - MIN(used, wall_bytes));
    w->gap_max_bytes = MAX(w->gap_max_bytes, cpu_bytes);
}

static void
look(struct world *w, uint64_t i)
{
    uint64_t used = space_used(w);
    struct tgt_stats stats;

    tgt_stats_get(w->tgt, &stats);
    w->agg_work_ns = stats.agg_work_ns;
    if (stats.agg_passes_nr != w->passes) {
        w->passes = stats.agg_passes_nr;
        w->gap_bytes = MAX(w->gap_bytes, (i - w->gap_from) * BLOCK_BYTES);
        w->gap_from = i;
    }
    w->used_bytes = MAX(w->used_bytes, used);
    gap_look(w, i, used);
}

static void
over_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    struct world *w = st->arg;
    uint64_t block = hash_mix64(w->seed + i) % (w->chunks * (CHUNK_BYTES / BLOCK_BYTES));

    (void)slot;
    if (i % (w->nr / TENTHS) == 0 && i / (w->nr / TENTHS) < TENTHS) {
        w->starts_ns[i / (w->nr / TENTHS)] = bench_now_ns();
        w->cpus_ns[i / (w->nr / TENTHS)] = bench_cpu_ns();
    }
    if (i % (w->nr / LOOKS_NR + 1) == 0)
        look(w, i);
    write_at(w, block / (CHUNK_BYTES / BLOCK_BYTES),
        block % (CHUNK_BYTES / BLOCK_BYTES) * BLOCK_BYTES, BLOCK_BYTES);
}

static void
world_body(struct bench_store *st)
{
    const uint64_t gap_ms = TGT_AGG_GAP_NS / 1000000; /* of the default */
    struct world *w = st->arg;
    struct tgt_opts opts = {.bio = st->bio,
        .vos = st->tgt,
        .hdl_lookup = lookup,
        .stable = stable,
        .arg = w,
        .agg_gap_ns = bench_opt("over_gap_ms", MAX(20, gap_ms * w->chunks / CHUNKS_FULL)) * 1000000};

    w->agg_gap_ns = opts.agg_gap_ns;
    bench_must(tgt_create(&opts, &w->tgt));
    (void)bench_store_rate(st, w->chunks, fill_op);
    w->live_bytes = space_used(w);
    (void)bench_store_rate(st, w->nr, over_op);
    w->starts_ns[TENTHS] = bench_now_ns();
    w->cpus_ns[TENTHS] = bench_cpu_ns();
    look(w, w->nr);
    tgt_destroy(w->tgt);
}

static void
world_run(struct world *w, void (*body)(struct bench_store *st))
{
    const uint64_t mib = 1 << 20;
    uint64_t bytes = w->chunks * CHUNK_BYTES, written = w->nr * BLOCK_BYTES;

    w->data = malloc(CHUNK_BYTES);
    w->marks = malloc(LOOKS_NR * sizeof(*w->marks));
    if (w->data == NULL || w->marks == NULL)
        abort();
    memset(w->data, 'o', CHUNK_BYTES);
    w->st.arg = w;
    w->st.on_disk = bench_opt("tmpfs", 0) == 0;
    w->st.flight_nr = (uint32_t)bench_opt("over_flight", 64);
    w->st.cfg.wal_bytes = bench_opt("over_log_mib", MAX(64, 1024 * w->chunks / CHUNKS_FULL)) * mib;
    w->st.cfg.mem_bytes = bench_opt("over_mem_mib", 2048) * mib;
    w->st.cfg.meta_bytes =
        (w->reclaim == TGT_RECLAIM_DISABLED ? 3 * written : 2 * MIN(2 * written, 2 * bytes)) +
        2 * bytes + 512 * mib;
    w->st.cfg.data_bytes = 3 * bytes + 512 * mib;
    bench_store_run(&w->st, body);
    free(w->data);
    free(w->marks);
}

/* ---- passes apart ------------------------------------------------------------------------------------------------------ */

enum { ROUNDS_NR = 25, ROUND_PCT = 20 };

/* Rounds of the figure: what one gap writes, then a pass that nobody slows down. */
static void
rounds_body(struct bench_store *st)
{
    struct world *w = st->arg;
    struct tgt_opts opts = {.bio = st->bio, .vos = st->tgt, .hdl_lookup = lookup, .arg = w};
    uint64_t nr = w->chunks * (CHUNK_BYTES / BLOCK_BYTES) * bench_opt("over_pct", ROUND_PCT) / 100;
    uint64_t rounds = bench_opt("over_rounds", bench_is_quick() ? 2 : ROUNDS_NR);
    uint64_t begin, write_ns = 0, pass_ns = 0, live, used_max = 0;

    bench_must(tgt_create(&opts, &w->tgt));
    (void)bench_store_rate(st, w->chunks, fill_op);
    live = space_used(w);
    for (uint64_t i = 0; i < rounds; i++) {
        struct vos_agg_args args = {.hi = vos_epoch_last(st->tgt)};
        struct vos_agg_stat stat;

        w->seed = i * nr;
        w->nr = nr;
        begin = bench_cpu_ns();
        (void)bench_store_rate(st, nr, over_op);
        write_ns += bench_cpu_ns() - begin;
        args.hi = vos_epoch_last(st->tgt);
        begin = bench_cpu_ns();
        bench_must(vos_cont_aggregate(st->cont, &args, &stat));
        begin = bench_cpu_ns() - begin;
        pass_ns += begin;
        used_max = MAX(used_max, space_used(w));
        if (bench_opt("over_tell", 0) != 0) {
            fprintf(
                stderr, "pass %3lu: %.0f ns each, %.3f of live; versions %lu gone %lu merged %lu -> %lu cut %lu left %lu\n",
                (unsigned long)i, (double)begin / (double)nr, (double)space_used(w) / (double)live,
                (unsigned long)stat.ver_nr, (unsigned long)stat.ver_del_nr,
                (unsigned long)stat.merge_in_nr, (unsigned long)stat.merge_out_nr,
                (unsigned long)stat.cut_nr, (unsigned long)stat.left_nr);
        }
    }
    bench_put_plain("over.pass.write_cpu", "ns", (double)write_ns / (double)(nr * rounds));
    bench_put_plain("over.pass.pass_cpu", "ns", (double)pass_ns / (double)(nr * rounds));
    bench_put_plain(
        "over.pass.share", "% of cpu", 100 * (double)pass_ns / (double)(write_ns + pass_ns));
    bench_put_plain("over.pass.space", "of live", (double)used_max / (double)live);
    tgt_destroy(w->tgt);
}

BENCH_ONCE(over_pass)
{
    struct world w = {.chunks = bench_opt("over_mib", bench_is_quick() ? 4 : 128),
        .nr = 1,
        .reclaim = TGT_RECLAIM_DISABLED};

    world_run(&w, rounds_body);
}

static double
per_op(const struct world *w, const uint64_t *at, uint32_t from, uint32_t to)
{
    return (double)(at[to] - at[from]) / ((double)w->nr / TENTHS * (to - from));
}

BENCH_ONCE(over)
{
    const double mb = 1e6;
    uint64_t chunks = bench_opt("over_mib",
        bench_is_full()        ? CHUNKS_FULL
            : bench_is_quick() ? 4
                               : 128);
    uint64_t nr = MAX(bench_opt("over_nr", bench_is_full() ? 10000000 : chunks * OVERS_A_CHUNK),
        (uint64_t)TENTHS);
    struct world off = {
        .chunks = chunks, .nr = MAX(nr / QUARTER, (uint64_t)TENTHS), .reclaim = TGT_RECLAIM_DISABLED};
    struct world on = {.chunks = chunks, .nr = nr, .reclaim = TGT_RECLAIM_LAZY};
    double live;

    world_run(&off, world_body);
    world_run(&on, world_body);
    live = (double)on.live_bytes;
    bench_put_plain("over.write.off", "op/s", 1e9 / per_op(&off, off.starts_ns, 0, TENTHS));
    bench_put_plain("over.write.first", "op/s", 1e9 / per_op(&on, on.starts_ns, 0, 1));
    bench_put_plain("over.write.all", "op/s", 1e9 / per_op(&on, on.starts_ns, 0, TENTHS));
    bench_put_plain("over.write.last", "op/s", 1e9 / per_op(&on, on.starts_ns, TENTHS - 1, TENTHS));
    bench_put_plain("over.cpu.off", "ns", per_op(&off, off.cpus_ns, 0, TENTHS));
    bench_put_plain("over.cpu.first", "ns", per_op(&on, on.cpus_ns, 0, 1));
    bench_put_plain("over.cpu.all", "ns", per_op(&on, on.cpus_ns, 0, TENTHS));
    bench_put_plain("over.cpu.last", "ns", per_op(&on, on.cpus_ns, TENTHS - 1, TENTHS));
    bench_put(&(struct bench_figure){.name = "over.slowdown",
        .unit = "times",
        .target = 2,
        .value = per_op(&on, on.starts_ns, TENTHS - 1, TENTHS) / per_op(&on, on.starts_ns, 0, 1)});
    bench_put(&(struct bench_figure){.name = "over.aggregation_cost",
        .unit = "% of time",
        .target = 20,
        .value = 100 *
            (1 - per_op(&off, off.starts_ns, 0, TENTHS) / per_op(&on, on.starts_ns, 0, TENTHS))});
    bench_put(&(struct bench_figure){.name = "over.aggregation_cpu",
        .unit = "% of cpu",
        .target = 20,
        .value =
            100 * (1 - per_op(&off, off.cpus_ns, 0, TENTHS) / per_op(&on, on.cpus_ns, 0, TENTHS))});
    bench_put(&(struct bench_figure){.name = "over.aggregation_share",
        .unit = "% of cpu",
        .target = 20,
        .value = 100 * (double)on.agg_work_ns / (double)(on.cpus_ns[TENTHS] - on.cpus_ns[0])});
    bench_put_plain("over.live", "MB", live / mb);
    bench_put_plain("over.used_max", "MB", (double)on.used_bytes / mb);
    bench_put_plain("over.gap_max", "MB", (double)on.gap_max_bytes / mb);
    bench_put_plain("over.between_passes_max", "MB", (double)on.gap_bytes / mb);
    bench_put_plain("over.passes", "passes", (double)on.passes);
    bench_put(&(struct bench_figure){
        .name = "over.space", .unit = "of live", .target = 1.3, .value = (double)on.late_bytes / live});
    bench_put_plain("over.space_wall", "of live", (double)on.late_wall_bytes / live);
    bench_put_plain("over.space_max", "of live", (double)on.used_bytes / live);
}
