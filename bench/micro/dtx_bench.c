/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a transaction that is decided later costs beside a plain update, on tmpfs, with 16 requests in flight: values of 64 bytes, each of a new dkey, as in bench_vos' vos_small.
 *
 *   plain       one vos_apply()
 *   solo        one vos_apply() with VOS_DTX_SOLO: done at once, remembered
 *   one         prepared and committed
 *   one.late    prepared, made committable, committed 64 at a time, as a leader does
 *   three       prepared in three parts with a value each, and committed
 *   three.plain the same three values by three plain updates
 *
 * Of each the time of the processor and the bytes of log for one. Instructions: `valgrind --tool=callgrind --toggle-collect=bench_store_rate bench_dtx dtx_one`.
 */
#include "bench_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/hash.h"
#include "base/util.h"

enum { TXS_NR = 200000, VALUE_BYTES = 64, PARTS_NR = 3, LATE_NR = 64 };

struct world {
    const char *rate, *cpu, *log; /* names of the figures */
    bool is_dtx, is_late;
    uint32_t flags, part_nr;
    struct vos_dtx_id late[LATE_NR];
    uint32_t late_nr;
    uint8_t value[VALUE_BYTES];
};

static int
apply(struct bench_store *st, uint64_t i, const struct vos_dtx_args *dtx)
{
    static const struct vos_oid oid = {.oid = {.lo = 1}};
    struct world *w = st->arg;
    char dkey[24];
    struct vos_iod iod = {.akey = {"a", 1},
        .type = VOS_IOD_SINGLE,
        .size = VALUE_BYTES,
        .data = {w->value, VALUE_BYTES}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE, .oid = oid, .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .dtx = dtx};
    struct vos_apply_ret ret;

    mod.dkey = (struct iov){
        dkey, (size_t)snprintf(dkey, sizeof(dkey), "%016llx", (unsigned long long)hash_mix64(i))};
    return vos_apply(st->cont, &args, &ret);
}

static void
tx_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    struct world *w = st->arg;
    struct vos_dtx_args dtx = {.id = {.hlc = i + 1}, .flags = w->flags, .blob = {w->value, 32}};
    struct vos_dtx_id batch[LATE_NR];

    (void)slot;
    dtx.id.uuid.b[15] = 1;
    le64_put(dtx.id.uuid.b, i);
    for (uint32_t part = 0; part < w->part_nr; part++) {
        dtx.part = part;
        bench_must(apply(st, i * w->part_nr + part, w->is_dtx ? &dtx : NULL));
        dtx.blob.len = 0;
    }
    if (!w->is_dtx || w->flags != 0)
        return;
    if (!w->is_late) {
        bench_must(vos_dtx_commit(st->cont, &dtx.id, 1));
        return;
    }
    bench_must(vos_dtx_committable(st->cont, &dtx.id));
    w->late[w->late_nr++] = dtx.id;
    if (w->late_nr < LATE_NR)
        return;
    memcpy(batch, w->late, sizeof(batch));
    w->late_nr = 0;
    bench_must(vos_dtx_commit(st->cont, batch, LATE_NR));
}

static void
body(struct bench_store *st)
{
    struct world *w = st->arg;
    uint64_t nr = bench_times(TXS_NR), start = bench_cpu_ns();
    struct bio_stats before, after;
    double rate;

    bio_stats_get(st->bio, &before);
    rate = bench_store_rate(st, nr, tx_op);
    bio_stats_get(st->bio, &after);
    bench_put_plain(w->rate, "op/s", rate);
    bench_put_plain(w->cpu, "ns", (double)(bench_cpu_ns() - start) / (double)nr);
    bench_put_plain(w->log, "B", (double)(after.wal_bytes - before.wal_bytes) / (double)nr);
}

static void
run(struct world *w)
{
    struct bench_store st = {.flight_nr = 16, .arg = w};

    memset(w->value, 'v', sizeof(w->value));
    bench_store_run(&st, body);
}

#define NAMES(name_) .rate = "dtx.rate." name_, .cpu = "dtx.cpu." name_, .log = "dtx.log." name_

BENCH(dtx_plain)
{
    run(&(struct world){NAMES("plain"), .part_nr = 1});
}

BENCH(dtx_solo)
{
    run(&(struct world){NAMES("solo"), .part_nr = 1, .is_dtx = true, .flags = VOS_DTX_SOLO});
}

BENCH(dtx_one)
{
    run(&(struct world){NAMES("one"), .part_nr = 1, .is_dtx = true});
}

BENCH(dtx_one_late)
{
    run(&(struct world){NAMES("one.late"), .part_nr = 1, .is_dtx = true, .is_late = true});
}

BENCH(dtx_three)
{
    run(&(struct world){NAMES("three"), .part_nr = PARTS_NR, .is_dtx = true});
}

BENCH(dtx_three_plain)
{
    run(&(struct world){NAMES("three.plain"), .part_nr = PARTS_NR});
}
