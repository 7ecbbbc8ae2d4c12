/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * bench: what the programs of `make bench` share. A program registers benchmarks; bench_main.c runs each several times and reports the
 * median of every figure that it puts. bench/run runs all programs and writes build/bench.json.
 *
 * Names of figures are component.operation.size and stay the same for ever. Units that end in "/s" are better when larger, all
 * others when smaller. A figure may name another one, of any program of the same run, that it is compared with (`against`).
 */
#ifndef CAIRN_BENCH_H
#define CAIRN_BENCH_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_case {
    const char *name;
    void (*body)(void);
    bool is_once; /* takes medians itself, or too long: --reps does not count */
    struct bench_case *next;
};

void bench_register(struct bench_case *bc);

/** Define a benchmark: one run puts its figures with bench_put(). Leave nothing behind. */
#define BENCH(id) BENCH_CASE(id, false)
#define BENCH_ONCE(id) BENCH_CASE(id, true)
#define BENCH_CASE(id, is_once_) \
    static void bench_body_##id(void); \
    static struct bench_case bench_case_##id = { \
        .name = #id, .body = bench_body_##id, .is_once = (is_once_)}; \
    __attribute__((constructor)) static void bench_ctor_##id(void) \
    { \
        bench_register(&bench_case_##id); \
    } \
    static void bench_body_##id(void)

struct bench_figure {
    const char *name; /* component.operation.size */
    const char *unit;
    double value;
    double target; /* 0: none is set */
    const char *against; /* name of a figure, or NULL */
};

/** Record one value of this run; strings are borrowed for the whole process. */
void bench_put(const struct bench_figure *figure);

/** The benchmark cannot run here; prints the reason; the program will end with status 1. */
void bench_fail(const char *why);

/** How often to do something: `nr`, or a hundredth of it (at least 1) in a quick run. */
uint64_t bench_times(uint64_t nr);

bool bench_is_quick(void); /* --quick: only whether it still works */
bool bench_is_full(void); /* --full: the long shapes, which take up to an hour */
/** The number given with --set NAME=N (N may end in K, M or G: powers of 1024), or `dflt`. */
uint64_t bench_opt(const char *name, uint64_t dflt);
/** --dir: where what must be on a disk goes; the working folder otherwise. Borrowed. */
const char *bench_dir(void);
/** A name for a figure; lives as long as the process. */
__attribute__((format(printf, 1, 2))) const char *bench_name(const char *fmt, ...);

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(
    void); /* the processor's time of this thread: what other processes take does not count */

/** bench_put() without a target. */
static inline void
bench_put_plain(const char *name, const char *unit, double value)
{
    struct bench_figure f = {.name = name, .unit = unit, .value = value};

    bench_put(&f);
}

/** Events per second of `nr` events since `start_ns`. */
static inline double
bench_rate(uint64_t nr, uint64_t start_ns)
{
    uint64_t ns = bench_now_ns() - start_ns;

    return (double)nr * 1e9 / (double)(ns == 0 ? 1 : ns);
}

/** Keep the compiler from dropping a result. */
static inline void
bench_keep(const volatile void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

#endif
