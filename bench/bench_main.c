/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * main() of every benchmark program.
 * usage: bench_x [--reps N] [--quick | --full] [--set NAME=N]... [--dir DIR] [--json FILE] [filter]
 * Prints a table; --json writes the figures as a list, which bench/run merges. --quick does little, to see that the program still runs,
 * and prints the lines of the test harness. --full runs the long shapes. --set changes a size: each program says which it has.
 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIGURES_MAX = 256, REPS_MAX = 101, REPS_DEFAULT = 5, QUICK_DIVISOR = 100, SETS_MAX = 32 };

struct figure {
    struct bench_figure last;
    double values[REPS_MAX];
    int values_nr;
};

static struct {
    struct bench_case *first;
    struct figure figures[FIGURES_MAX];
    int figures_nr;
    int reps;
    bool is_quick;
    bool is_full;
    bool is_failed;
    const char *json;
    const char *filter;
    const char *dir;
    const char *sets[SETS_MAX];
    int sets_nr;
} bench = {.reps = REPS_DEFAULT, .dir = "."};

void
bench_register(struct bench_case *bc)
{
    struct bench_case **at = &bench.first;

    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = bc;
}

void
bench_put(const struct bench_figure *figure)
{
    struct figure *f = bench.figures;
    struct figure *end = f + bench.figures_nr;

    while (f < end && strcmp(f->last.name, figure->name) != 0) {
        f++;
    }
    if (f == end) {
        if (bench.figures_nr == FIGURES_MAX)
            abort();
        bench.figures_nr++;
    }
    f->last = *figure;
    if (bench.is_full) /* it may take an hour */
        fprintf(stderr, "%s %.6g %s\n", figure->name, figure->value, figure->unit);
    if (f->values_nr < REPS_MAX)
        f->values[f->values_nr++] = figure->value;
}

void
bench_fail(const char *why)
{
    fprintf(stderr, "bench: %s\n", why);
    bench.is_failed = true;
}

uint64_t
bench_times(uint64_t nr)
{
    if (!bench.is_quick)
        return nr;
    return nr < QUICK_DIVISOR ? 1 : nr / QUICK_DIVISOR;
}

uint64_t
bench_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
bench_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

bool
bench_is_quick(void)
{
    return bench.is_quick;
}

bool
bench_is_full(void)
{
    return bench.is_full;
}

uint64_t
bench_opt(const char *name, uint64_t dflt)
{
    size_t len = strlen(name);

    for (int i = bench.sets_nr - 1; i >= 0; i--) {
        const char *unit = "KMG";
        const char *at;
        uint64_t value;
        char *end;

        if (strncmp(bench.sets[i], name, len) != 0 || bench.sets[i][len] != '=')
            continue;
        value = strtoull(bench.sets[i] + len + 1, &end, 10);
        at = *end != '\0' ? strchr(unit, *end) : NULL;
        return at == NULL ? value : value << (10 * (at - unit + 1));
    }
    return dflt;
}

const char *
bench_dir(void)
{
    return bench.dir;
}

const char *
bench_name(const char *fmt, ...)
{
    enum { NAME_BYTES = 64 };
    char *name = malloc(NAME_BYTES); /* never freed: figures borrow it */
    va_list ap;

    if (name == NULL)
        abort();
    va_start(ap, fmt);
    vsnprintf(name, NAME_BYTES, fmt, ap);
    va_end(ap);
    return name;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double
median(struct figure *f)
{
    qsort(f->values, (size_t)f->values_nr, sizeof(f->values[0]), compare_doubles);
    return f->values[f->values_nr / 2];
}

static void
print_table(void)
{
    for (int i = 0; i < bench.figures_nr; i++) {
        struct figure *f = &bench.figures[i];

        printf("%-32s %16.6g %-12s", f->last.name, median(f), f->last.unit);
        if (f->last.target != 0)
            printf(" target %g", f->last.target);
        printf("  (%.6g .. %.6g)\n", f->values[0], f->values[f->values_nr - 1]);
    }
}

static void
write_json(void)
{
    FILE *file = fopen(bench.json, "w");

    if (file == NULL) {
        bench_fail("cannot write the file given with --json");
        return;
    }
    fprintf(file, "[");
    for (int i = 0; i < bench.figures_nr; i++) {
        struct figure *f = &bench.figures[i];

        fprintf(file, "%s\n  {\"name\": \"%s\", \"value\": %.9g, \"unit\": \"%s\"",
            i == 0 ? "" : ",", f->last.name, median(f), f->last.unit);
        if (f->last.target != 0)
            fprintf(file, ", \"target\": %.9g", f->last.target);
        if (f->last.against != NULL)
            fprintf(file, ", \"against\": \"%s\"", f->last.against);
        fprintf(file, "}");
    }
    fprintf(file, "\n]\n");
    if (fclose(file) != 0)
        bench_fail("cannot write the file given with --json");
}

static int
parse_args(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            bench.is_quick = true;
            bench.reps = 1;
        } else if (strcmp(argv[i], "--reps") == 0 && i + 1 < argc) {
            bench.reps = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            bench.json = argv[++i];
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            bench.dir = argv[++i];
        } else if (strcmp(argv[i], "--full") == 0) {
            bench.is_full = true;
        } else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc && bench.sets_nr < SETS_MAX) {
            bench.sets[bench.sets_nr++] = argv[++i];
        } else if (argv[i][0] != '-') {
            bench.filter = argv[i];
        } else {
            return -1;
        }
    }
    return bench.reps >= 1 && bench.reps <= REPS_MAX ? 0 : -1;
}

static void
run_case(struct bench_case *bc)
{
    uint64_t start_ns = bench_now_ns();
    int before = bench.figures_nr;
    bool ok;

    for (int rep = 0; rep < (bc->is_once ? 1 : bench.reps) && !bench.is_failed; rep++) {
        bc->body();
    }
    if (!bench.is_quick)
        return;
    ok = !bench.is_failed && bench.figures_nr > before;
    printf("%s bench.%s %llu\n", ok ? "ok" : "FAIL", bc->name,
        (unsigned long long)(bench_now_ns() - start_ns) / 1000000);
    bench.is_failed = !ok;
}

int
main(int argc, char **argv)
{
    if (parse_args(argc, argv) != 0) {
        fprintf(stderr,
            "usage: %s [--reps 1..%d] [--quick | --full] [--set NAME=N]... [--dir DIR] "
            "[--json FILE] [filter]\n",
            argv[0], REPS_MAX);
        return 2;
    }
    for (struct bench_case *bc = bench.first; bc != NULL; bc = bc->next) {
        if (bench.filter == NULL || strstr(bc->name, bench.filter) != NULL)
            run_case(bc);
    }
    if (!bench.is_quick)
        print_table();
    if (bench.json != NULL)
        write_json();
    return bench.is_failed ? 1 : 0;
}
