/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * sim_run: whole systems under faults, seed by seed (README.md). Each run is a child process of its own, so that a failed assert, a
 * fault or an endless loop is a result like any other; some are run twice, with the heap laid out and filled differently, and must give
 * the same trace (SM-1). Prints harness lines; a failure is followed by the command that replays it.
 *
 * usage: sim_run [--seed N] [--seeds N] [--ops N] [--minutes M] [--twice-every N] [--work obj,md,dfs] [--fault NAME|none]
 *                [--trace] [--verbose] [--no-fork] [--name NAME] [--fails N] [--list FILE]
 *                [--narrow hot,wide,big,pauses,restless,pools,mortals,agg,crowded,parts,window,slow,short,badio,rot,unheard]
 *
 * A line of FILE is "SEED [OPTION VALUE] ...   # why"; each is run once.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "sim/simt_sys.h"

enum { PROBES_MAX = 512, RUN_REAL_MS_MAX = 240000 };

struct result {
    struct simt_report report;
    uint64_t hits[PROBES_MAX];
    bool is_whole;
};

static struct {
    struct simt_opts run;
    uint64_t seeds;
    double minutes;
    uint64_t twice_every;
    uint64_t fails_max;
    bool no_fork, trace;
    const char *name;
    const char *list;
    const char *extra; /* options to repeat in the replay command */
} opts = {
    .run = {.only_fault = -1}, .seeds = 1, .twice_every = 4, .fails_max = 20, .name = "run", .extra = ""};

/* What all runs together did. */
static struct {
    uint64_t runs, fails, sim_ns, ops, unknown, gave_up, restarts, evicted, retried, listed, pools,
        refused, scrubbed, trace;
    uint64_t faults[SIMT_FAULTS_NR];
    uint64_t hits[PROBES_MAX];
} sum;

/* Killed processes leave what was on their stacks; it is no leak of a process that lives. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
    return "detect_leaks=0:detect_stack_use_after_return=0";
}

static uint64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
log_line(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    (void)arg;
    fprintf(stderr, "  %s %s:%d %s\n", log_level_name(level), file, line, text);
}

static void
run_here(const struct simt_opts *run, struct result *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (run->is_verbose)
        log_sink_set(log_line, NULL, opts.trace ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    probe_reset();
    simt_run(run, &ret->report);
    for (size_t i = 0; i < MIN(probe_nr(), (size_t)PROBES_MAX); i++) {
        ret->hits[i] = probe_at(i)->hits;
    }
    ret->is_whole = true;
}

static void
child(const struct simt_opts *run, bool is_second, int fd)
{
    static struct result result;
    const char *at = (const char *)&result;
    size_t left = sizeof(result);

    if (is_second) {
        void *shift = malloc(12345 + 4096 * 7);

        memset(shift, 1, 12345);
        (void)mallopt(M_PERTURB, 0xa5);
        (void)mallopt(M_MMAP_THRESHOLD, 40000);
    }
    run_here(run, &result);
    while (left > 0) {
        ssize_t nr = write(fd, at, left);

        if (nr <= 0)
            _exit(3);
        at += nr;
        left -= (size_t)nr;
    }
    _exit(0);
}

/* Read what the child sends, for a limited time. */
static void
child_read(int fd, int pid, struct result *ret)
{
    uint64_t end_ms = now_ms() + RUN_REAL_MS_MAX;
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char *at = (char *)ret;
    size_t left = sizeof(*ret);

    while (left > 0) {
        uint64_t now = now_ms();
        ssize_t nr;

        if (now >= end_ms || poll(&pfd, 1, (int)(end_ms - now)) == 0) {
            kill(pid, SIGKILL);
            return;
        }
        nr = read(fd, at, left);
        if (nr <= 0)
            return;
        at += nr;
        left -= (size_t)nr;
    }
}

static void
run_one(const struct simt_opts *run, bool is_second, struct result *ret)
{
    int fds[2], pid, status = 0;

    memset(ret, 0, sizeof(*ret));
    if (opts.no_fork) {
        run_here(run, ret);
        return;
    }
    fflush(NULL);
    if (pipe(fds) != 0 || (pid = fork()) < 0) {
        perror("sim_run");
        exit(2);
    }
    if (pid == 0) {
        close(fds[0]);
        child(run, is_second, fds[1]);
    }
    close(fds[1]);
    child_read(fds[0], pid, ret);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (ret->is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    ret->is_whole = false;
    ret->report.seed = run->seed;
    ret->report.is_failed = true;
    if (WIFSIGNALED(status)) {
        snprintf(ret->report.fail, sizeof(ret->report.fail), "ended by signal %d%s\n",
            WTERMSIG(status), WTERMSIG(status) == SIGKILL ? " (took too long)" : "");
    } else {
        snprintf(ret->report.fail, sizeof(ret->report.fail), "exit status %d\n", WEXITSTATUS(status));
    }
}

static void
add(const struct result *result)
{
    const struct simt_report *r = &result->report;

    sum.runs++;
    sum.fails += r->is_failed;
    sum.sim_ns += r->sim_ns;
    sum.ops += r->ops_nr;
    sum.unknown += r->unknown_nr;
    sum.gave_up += r->gave_up_nr;
    sum.restarts += r->restarts_nr;
    sum.evicted += r->evicted_nr;
    sum.retried += r->retried_nr;
    sum.pools += r->pools_nr;
    sum.refused += r->refused_nr;
    sum.scrubbed += r->scrub_found_nr;
    sum.listed += r->list_nr;
    sum.trace = (sum.trace ^ r->trace_hash) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < SIMT_FAULTS_NR; i++) {
        sum.faults[i] += r->faults_nr[i];
    }
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        sum.hits[i] += result->hits[i];
    }
}

static void
seed_run(const char *self, uint64_t seed)
{
    static struct result first, second;
    struct simt_opts run = opts.run;
    uint64_t start_ms = now_ms();

    run.seed = seed;
    run_one(&run, false, &first);
    if (opts.twice_every != 0 && seed % opts.twice_every == 0 && first.is_whole) {
        run_one(&run, true, &second);
        if (second.report.trace_hash != first.report.trace_hash || !second.is_whole) {
            first.report.is_failed = true;
            snprintf(first.report.fail, sizeof(first.report.fail),
                "not deterministic: trace %016llx, then %016llx %.800s\n",
                (unsigned long long)first.report.trace_hash,
                (unsigned long long)second.report.trace_hash, second.report.fail);
        }
    }
    add(&first);
    if (!first.report.is_failed) {
        if (opts.run.is_verbose) {
            printf("# seed %llu: trace %016llx\n", (unsigned long long)seed,
                (unsigned long long)first.report.trace_hash);
        }
        return;
    }
    fprintf(stderr, "# seed %llu failed:\n%s# again: %s --seed %llu%s\n", (unsigned long long)seed,
        first.report.fail, self, (unsigned long long)seed, opts.extra);
    printf("FAIL sim.%s.seed_%llu %llu %.*s\n", opts.name, (unsigned long long)seed,
        (unsigned long long)(now_ms() - start_ms), (int)strcspn(first.report.fail, "\n"),
        first.report.fail);
    fflush(stdout);
}

static void
sum_print(uint64_t start_ms)
{
    uint32_t probes = 0, reached = 0;

    printf("# %llu seeds, %llu failed, trace %016llx, %.2f simulated hours, %llu operations (%llu "
           "without an answer), %llu "
           "keys listed\n",
        (unsigned long long)sum.runs, (unsigned long long)sum.fails, (unsigned long long)sum.trace,
        (double)sum.sim_ns / 3.6e12, (unsigned long long)sum.ops, (unsigned long long)sum.unknown,
        (unsigned long long)sum.listed);
    printf("# starts of engines %llu, requests sent again %llu, pages evicted %llu, histories "
           "given up %llu, pools made or destroyed %llu, answers of bad targets %llu, bad chunks "
           "found %llu\n# faults:",
        (unsigned long long)sum.restarts, (unsigned long long)sum.retried,
        (unsigned long long)sum.evicted, (unsigned long long)sum.gave_up,
        (unsigned long long)sum.pools, (unsigned long long)sum.refused,
        (unsigned long long)sum.scrubbed);
    for (uint32_t i = 0; i < SIMT_FAULTS_NR; i++) {
        printf(" %s %llu", simt_fault_name((enum simt_fault)i), (unsigned long long)sum.faults[i]);
    }
    printf("\n# probes:");
    for (uint32_t i = 0; i < MIN(probe_nr(), (size_t)PROBES_MAX); i++) {
        if (!probe_at(i)->is_fault && sum.hits[i] > 0)
            printf(" %s %llu", probe_at(i)->name, (unsigned long long)sum.hits[i]);
    }
    printf("\n# probes not reached:");
    for (uint32_t i = 0; i < MIN(probe_nr(), (size_t)PROBES_MAX); i++) {
        probes += !probe_at(i)->is_fault;
        reached += !probe_at(i)->is_fault && sum.hits[i] > 0;
        if (!probe_at(i)->is_fault && sum.hits[i] == 0)
            printf(" %s", probe_at(i)->name);
    }
    printf("\n# probes reached: %u of %u\n", reached, probes);
    if (sum.fails == 0) {
        printf("ok sim.%s %llu %llu seeds\n", opts.name, (unsigned long long)(now_ms() - start_ms),
            (unsigned long long)sum.runs);
    }
}

/* ---- options ----------------------------------------------------------------------------------------------------------------------- */

static void
usage(void)
{
    fprintf(stderr,
        "usage: sim_run [--seed N] [--seeds N] [--ops N] [--minutes M] [--twice-every N] [--work "
        "obj,md,dfs]\n"
        "               [--fault NAME|none] [--trace] [--verbose] [--no-fork] [--name NAME]\n"
        "               [--fails N] [--list FILE] [--narrow NAMES]\n");
    exit(2);
}

static void
fault_option(const char *value)
{
    if (strcmp(value, "none") == 0) {
        opts.run.faults_off = true;
        return;
    }
    for (uint32_t i = 0; i < SIMT_FAULTS_NR; i++) {
        if (strcmp(value, simt_fault_name((enum simt_fault)i)) == 0) {
            opts.run.only_fault = (int)i;
            return;
        }
    }
    usage();
}

static void
option(const char *name, const char *value)
{
    static char extra[256];
    size_t len = strlen(opts.extra);

    if (strcmp(name, "--seed") == 0) {
        opts.run.seed = strtoull(value, NULL, 0);
    } else if (strcmp(name, "--seeds") == 0) {
        opts.seeds = strtoull(value, NULL, 0);
    } else if (strcmp(name, "--minutes") == 0) {
        opts.minutes = strtod(value, NULL);
        opts.seeds = opts.seeds == 1 ? UINT64_MAX : opts.seeds;
    } else if (strcmp(name, "--twice-every") == 0) {
        opts.twice_every = strtoull(value, NULL, 0);
    } else if (strcmp(name, "--fails") == 0) {
        opts.fails_max = strtoull(value, NULL, 0);
    } else if (strcmp(name, "--name") == 0) {
        opts.name = value;
    } else if (strcmp(name, "--list") == 0) {
        opts.list = value;
    } else {
        if (strcmp(name, "--ops") == 0) {
            opts.run.ops = (uint32_t)strtoul(value, NULL, 0);
        } else if (strcmp(name, "--narrow") == 0) {
            opts.run.narrow = value;
        } else if (strcmp(name, "--fault") == 0) {
            fault_option(value);
        } else if (strcmp(name, "--work") == 0) {
            opts.run.works = (strstr(value, "obj") != NULL ? 1u : 0) |
                (strstr(value, "md") != NULL ? 2u : 0) | (strstr(value, "dfs") != NULL ? 4u : 0) |
                (strstr(value, "snap") != NULL ? 8u : 0) |
                (strstr(value, "space") != NULL ? 16u : 0);
        } else {
            usage();
        }
        if (len == 0)
            extra[0] = '\0';
        snprintf(extra + len, sizeof(extra) - len, " %s %s", name, value);
        opts.extra = extra;
    }
}

/* Seeds of a file, each with its own options. */
static void
list_run(const char *self)
{
    static char line[512];
    const struct simt_opts base = opts.run;
    FILE *file = fopen(opts.list, "r");
    char *save, *word, *value;

    if (file == NULL) {
        perror(opts.list);
        exit(2);
    }
    while (fgets(line, sizeof(line), file) != NULL && sum.fails < opts.fails_max) {
        line[strcspn(line, "#\n")] = '\0';
        word = strtok_r(line, " ", &save);
        if (word == NULL)
            continue;
        opts.run = base;
        opts.extra = "";
        opts.run.seed = strtoull(word, NULL, 0);
        while ((word = strtok_r(NULL, " ", &save)) != NULL) {
            value = strtok_r(NULL, " ", &save);
            if (value == NULL)
                usage();
            option(word, value);
        }
        seed_run(self, opts.run.seed);
    }
    fclose(file);
}

int
main(int argc, char **argv)
{
    uint64_t start_ms = now_ms();

    opts.run.seed = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-fork") == 0) {
            opts.no_fork = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            opts.run.is_verbose = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            opts.run.is_verbose = opts.trace = true;
        } else if (i + 1 < argc) {
            option(argv[i], argv[i + 1]);
            i++;
        } else {
            usage();
        }
    }
    if (opts.list != NULL) {
        list_run(argv[0]);
        opts.seeds = 0;
    }
    for (uint64_t i = 0; i < opts.seeds && sum.fails < opts.fails_max; i++) {
        if (opts.minutes > 0 && (double)(now_ms() - start_ms) > opts.minutes * 60000)
            break;
        seed_run(argv[0], opts.run.seed + i);
    }
    sum_print(start_ms);
    return sum.fails == 0 ? 0 : 1;
}
