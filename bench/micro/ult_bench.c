/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ult: switches (a ULT yields, the next one runs), create-run-join, timers that are cancelled, posts and calls between threads.
 * The figures without threads are of one core.
 */
#include "bench.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plat/plat_linux.h"
#include "ult/ult.h"

struct world {
    struct plat *plat;
    struct xstream *xs, *other;
    bool done;
    void (*body)(struct world *w);
    uint64_t times;
    uint64_t ults_nr;
    uint64_t start_ns;
    double value;
};

static void
must(int rc)
{
    if (rc != 0)
        abort();
}

static void
world_body(void *arg)
{
    struct world *w = arg;

    w->body(w);
    w->done = true;
}

/* Run body on a ULT; its figure comes back. */
static double
world_run(void (*body)(struct world *w), uint64_t times, uint64_t ults_nr)
{
    struct world w = {.body = body, .times = bench_times(times), .ults_nr = ults_nr};

    must(plat_linux_create(&w.plat));
    must(xstream_create(w.plat, NULL, &w.xs));
    must(ult_create(w.xs, ULT_SERVICE, world_body, &w, NULL));
    must(xstream_drive(w.xs, &w.done, PLAT_NEVER_NS));
    xstream_destroy(w.xs);
    plat_linux_destroy(w.plat);
    return w.value;
}

/* ---- switches ------------------------------------------------------------------------------------------------------- */

static void
yield_fn(void *arg)
{
    uint64_t times = *(const uint64_t *)arg;

    for (uint64_t i = 0; i < times; i++) {
        ult_yield();
    }
}

static void
switch_body(struct world *w)
{
    struct ult **ults = calloc(w->ults_nr, sizeof(struct ult *));
    uint64_t each_nr = w->times / w->ults_nr + 1;

    for (uint64_t i = 0; i < w->ults_nr; i++) {
        must(ult_create(w->xs, ULT_IO, yield_fn, &each_nr, &ults[i]));
    }
    w->start_ns = bench_now_ns();
    for (uint64_t i = 0; i < w->ults_nr; i++) {
        ult_join(ults[i]);
    }
    w->value = bench_rate(each_nr * w->ults_nr, w->start_ns);
    free(ults);
}

BENCH(ult_switch)
{
    bench_put(&(struct bench_figure){.name = "ult.switch.2",
        .unit = "switches/s",
        .target = 10e6,
        .value = world_run(switch_body, 20000000, 2)});
    bench_put(&(struct bench_figure){.name = "ult.switch.1000",
        .unit = "switches/s",
        .target = 10e6,
        .value = world_run(switch_body, 20000000, 1000)});
}

/* ---- create, run, join ---------------------------------------------------------------------------------------------- */

static void
nop_fn(void *arg)
{
    bench_keep(arg);
}

static void
create_join_body(struct world *w)
{
    struct ult **ults = calloc(w->ults_nr, sizeof(struct ult *));

    w->start_ns = bench_now_ns();
    for (uint64_t n = 0; n < w->times; n += w->ults_nr) {
        for (uint64_t i = 0; i < w->ults_nr; i++) {
            must(ult_create(w->xs, ULT_IO, nop_fn, w, &ults[i]));
        }
        for (uint64_t i = 0; i < w->ults_nr; i++) {
            ult_join(ults[i]);
        }
    }
    w->value = bench_rate(w->times, w->start_ns);
    free(ults);
}

BENCH(ult_create_join)
{
    bench_put(&(struct bench_figure){.name = "ult.create_join.1",
        .unit = "ults/s",
        .target = 2e6,
        .value = world_run(create_join_body, 5000000, 1)});
    bench_put(&(struct bench_figure){.name = "ult.create_join.100",
        .unit = "ults/s",
        .target = 2e6,
        .value = world_run(create_join_body, 5000000, 100)});
}

/* ---- deadlines that do not expire ----------------------------------------------------------------------------------- */

static void
timer_fn(struct ult_timer *t)
{
    bench_keep(t);
}

static void
timer_body(struct world *w)
{
    struct ult_timer *timers = calloc(w->ults_nr, sizeof(*timers));
    uint64_t far_ns = ult_now_ns() + UINT64_C(3600000000000);

    for (uint64_t i = 0; i < w->ults_nr; i++) {
        ult_timer_init(&timers[i], w->xs, timer_fn, w);
    }
    w->start_ns = bench_now_ns();
    for (uint64_t n = 0; n < w->times; n++) {
        struct ult_timer *t = &timers[n * 7919 % w->ults_nr]; /* moves one that was set long ago */

        ult_timer_set(t, far_ns + n);
    }
    w->value = bench_rate(w->times, w->start_ns);
    for (uint64_t i = 0; i < w->ults_nr; i++) {
        ult_timer_cancel(&timers[i]);
    }
    free(timers);
}

BENCH(ult_timer)
{
    bench_put(&(struct bench_figure){.name = "ult.timer_move.10000",
        .unit = "timers/s",
        .value = world_run(timer_body, 5000000, 10000)});
}

/* ---- between threads ------------------------------------------------------------------------------------------------ */

static void
call_body(struct world *w)
{
    w->start_ns = bench_now_ns();
    for (uint64_t i = 0; i < w->times; i++) {
        must(xstream_call(w->other, ULT_IO, nop_fn, w));
    }
    w->value = (double)(bench_now_ns() - w->start_ns) / 1e3 / (double)w->times;
}

static void
count_fn(void *arg)
{
    struct world *w = arg;

    if (++w->ults_nr == w->times)
        w->done = true;
}

static void
post_all(void *arg)
{
    struct world *w = arg;

    for (uint64_t i = 0; i < w->times; i++) {
        must(xstream_post(w->xs, ULT_IO, count_fn, w));
    }
}

static void
wait_all(struct world *w)
{
    w->start_ns = bench_now_ns();
    must(xstream_post(w->other, ULT_IO, post_all, w));
    while (!w->done) {
        ult_yield();
    }
    w->value = bench_rate(w->times, w->start_ns);
    w->done = false;
}

/* Two threads, each on a CPU of its own where there are two. */
BENCH(ult_between)
{
    struct xstream_opts opts = {.name = "xs", .cpu = 0}, other_opts = {.name = "other", .cpu = 1};
    struct world w = {.body = call_body, .times = bench_times(20000)};

    must(plat_linux_create(&w.plat));
    if (w.plat->ops->cpu_nr(w.plat) < 2) {
        opts.cpu = UINT32_MAX;
        other_opts.cpu = UINT32_MAX;
    }
    must(xstream_create(w.plat, &opts, &w.xs));
    must(xstream_create(w.plat, &other_opts, &w.other));
    must(xstream_start(w.xs));
    must(xstream_start(w.other));
    must(xstream_call(w.xs, ULT_SERVICE, world_body, &w));
    bench_put(&(struct bench_figure){.name = "ult.call.1", .unit = "us", .value = w.value});

    w.body = wait_all;
    w.done = false;
    w.times = bench_times(1000000);
    must(xstream_call(w.xs, ULT_BACKGROUND, world_body, &w));
    bench_put(&(struct bench_figure){.name = "ult.post.1", .unit = "posts/s", .value = w.value});
    xstream_stop(w.other);
    xstream_stop(w.xs);
    xstream_destroy(w.other);
    xstream_destroy(w.xs);
    plat_linux_destroy(w.plat);
}

/* ---- idle ----------------------------------------------------------------------------------------------------------- */

enum { IDLE_XSTREAMS_NR = 8, IDLE_TICK_MS = 100 };

static void
tick_fn(void *arg)
{
    bench_keep(arg);
    for (;;) {
        ult_sleep(IDLE_TICK_MS * UINT64_C(1000000));
    }
}

static double
cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
        (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Xstreams with nothing but ticks, as of an engine that nobody uses. */
BENCH(ult_idle)
{
    struct xstream *xs[IDLE_XSTREAMS_NR];
    struct plat *plat;
    double start_s;
    uint64_t start_ns;

    must(plat_linux_create(&plat));
    for (int i = 0; i < IDLE_XSTREAMS_NR; i++) {
        must(xstream_create(plat, NULL, &xs[i]));
        must(ult_create(xs[i], ULT_SERVICE, tick_fn, NULL, NULL));
        must(xstream_start(xs[i]));
    }
    usleep(100 * 1000); /* until polling before sleep has been given up */
    start_s = cpu_s();
    start_ns = bench_now_ns();
    usleep((useconds_t)bench_times(1000 * 1000));
    bench_put(&(struct bench_figure){.name = "ult.idle_cpu.8",
        .unit = "% of a core",
        .target = 1,
        .value = (cpu_s() - start_s) * 1e11 / (double)(bench_now_ns() - start_ns)});
    for (int i = 0; i < IDLE_XSTREAMS_NR; i++) {
        xstream_stop(xs[i]);
    }
    for (int i = 0; i < IDLE_XSTREAMS_NR; i++) {
        xstream_abandon(xs[i]);
        xstream_destroy(xs[i]);
    }
    plat_linux_destroy(plat);
}
