/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * harness: the runner behind harness.h. One process-wide state, which a test framework may have; counters are atomic,
 * because expectations come from any thread (HAR-2). The line of a test that dies is written by a signal handler with
 * nothing but write() and integer formatting (HAR-3); forked children keep silent.
 */
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HARNESS_SEED_DEFAULT 20240229ULL
#define HARNESS_NAME_MAX 256
#define HARNESS_MSGS_MAX 20 /* Failures printed for one test; the rest are counted. */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HARNESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HARNESS_SANITIZED 1
#endif
#endif

/* Of base, when it is linked. */
const char *err_name(int rc) __attribute__((weak));
/* Of the sanitizers, when they are linked. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static struct {
    struct test_case *first;
    struct test_case **tail;
    uint64_t seed;
    pid_t pid;
    /* The running test. */
    char name[HARNESS_NAME_MAX];
    atomic_bool running;
    enum test_backend_id backend;
    uint64_t start_ns;
    atomic_uint checks_nr;
    atomic_uint fails_nr;
    const char *_Atomic skip_reason;
    char tmpdir[PATH_MAX];
} har = {.seed = HARNESS_SEED_DEFAULT};

static uint64_t
now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

void
test_register(struct test_case *tc)
{
    if (har.tail == NULL)
        har.tail = &har.first;
    *har.tail = tc;
    har.tail = &tc->next;
}

void
test_skip(const char *reason)
{
    har.skip_reason = reason;
}

enum test_backend_id
test_backend(void)
{
    return har.backend;
}

uint64_t
test_seed(void)
{
    return har.seed;
}

uint64_t
test_rand(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

bool
test_failed(void)
{
    return har.fails_nr != 0;
}

/* Count one expectation. True when its failure is to be printed. */
static bool
count_check(bool ok)
{
    har.checks_nr++;
    if (ok)
        return false;
    return har.fails_nr++ < HARNESS_MSGS_MAX;
}

bool
test_expect(bool cond, const char *text, const char *file, int line)
{
    if (count_check(cond))
        fprintf(stderr, "    %s:%d: expected: %s\n", file, line, text);
    return cond;
}

static void
num_to_text(struct test_num n, char *buf, size_t len)
{
    switch (n.kind) {
    case TEST_NUM_SIGNED:
        snprintf(buf, len, "%lld", n.v.s);
        break;
    case TEST_NUM_UNSIGNED:
        if (n.v.u > 9) {
            snprintf(buf, len, "%llu (0x%llx)", n.v.u, n.v.u);
        } else {
            snprintf(buf, len, "%llu", n.v.u);
        }
        break;
    case TEST_NUM_FLOAT:
        snprintf(buf, len, "%g", n.v.f);
        break;
    case TEST_NUM_PTR:
        snprintf(buf, len, "%p", (const void *)(uintptr_t)n.v.p);
        break;
    }
}

static double
num_to_float(struct test_num n)
{
    if (n.kind == TEST_NUM_FLOAT)
        return n.v.f;
    return n.kind == TEST_NUM_SIGNED ? (double)n.v.s : (double)n.v.u;
}

/* -1, 0, 1 by value; 2 for what has no order (NaN). */
static int
num_cmp(struct test_num a, struct test_num b)
{
    unsigned long long ua, ub;

    if (a.kind == TEST_NUM_FLOAT || b.kind == TEST_NUM_FLOAT) {
        double fa = num_to_float(a);
        double fb = num_to_float(b);

        if (fa < fb)
            return -1;
        if (fa > fb)
            return 1;
        return fa == fb ? 0 : 2;
    }
    bool a_neg = a.kind == TEST_NUM_SIGNED && a.v.s < 0;
    bool b_neg = b.kind == TEST_NUM_SIGNED && b.v.s < 0;

    if (a_neg != b_neg)
        return a_neg ? -1 : 1;
    /* Of one sign: two's complement keeps the order. */
    ua = a.kind == TEST_NUM_PTR ? (uintptr_t)a.v.p : a.v.u;
    ub = b.kind == TEST_NUM_PTR ? (uintptr_t)b.v.p : b.v.u;
    if (ua == ub)
        return 0;
    return ua < ub ? -1 : 1;
}

bool
test_expect_cmp(enum test_cmp op, struct test_num a, struct test_num b, const char *a_text,
    const char *b_text, const char *file, int line)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    char a_buf[64], b_buf[64];
    int c = num_cmp(a, b);
    bool ok = false;

    switch (op) {
    case TEST_CMP_EQ:
        ok = c == 0;
        break;
    case TEST_CMP_NE:
        ok = c != 0;
        break;
    case TEST_CMP_LT:
        ok = c == -1;
        break;
    case TEST_CMP_LE:
        ok = c == -1 || c == 0;
        break;
    case TEST_CMP_GT:
        ok = c == 1;
        break;
    case TEST_CMP_GE:
        ok = c == 1 || c == 0;
        break;
    }
    if (count_check(ok)) {
        num_to_text(a, a_buf, sizeof(a_buf));
        num_to_text(b, b_buf, sizeof(b_buf));
        fprintf(stderr, "    %s:%d: expected: %s %s %s; got %s and %s\n", file, line, a_text,
            ops[op], b_text, a_buf, b_buf);
    }
    return ok;
}

bool
test_expect_str(const char *a, const char *b, const char *a_text, const char *b_text,
    const char *file, int line)
{
    bool ok = a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);

    if (count_check(ok)) {
        fprintf(stderr, "    %s:%d: expected: %s == %s; got \"%s\" and \"%s\"\n", file, line,
            a_text, b_text, a != NULL ? a : "(null)", b != NULL ? b : "(null)");
    }
    return ok;
}

bool
test_expect_mem(const void *a, const void *b, size_t len, const char *a_text, const char *b_text,
    const char *file, int line)
{
    const unsigned char *pa = a;
    const unsigned char *pb = b;
    bool ok = len == 0 || (a != NULL && b != NULL && memcmp(a, b, len) == 0);
    size_t off = 0;

    if (!count_check(ok))
        return ok;
    if (a == NULL || b == NULL) {
        fprintf(stderr, "    %s:%d: expected %zu equal bytes: %s, %s; got a NULL\n", file, line,
            len, a_text, b_text);
        return ok;
    }
    while (off < len && pa[off] == pb[off]) {
        off++;
    }
    fprintf(stderr, "    %s:%d: expected %zu equal bytes: %s, %s; at %zu got 0x%02x and 0x%02x\n",
        file, line, len, a_text, b_text, off, pa[off], pb[off]);
    return ok;
}

bool
test_expect_rc(long long rc, long long want, const char *rc_text, const char *want_text,
    const char *file, int line)
{
    bool ok = rc == want;

    if (count_check(ok)) {
        const char *name = err_name != NULL && rc <= 0 && rc >= INT_MIN ? err_name((int)rc) : NULL;

        fprintf(stderr, "    %s:%d: expected %s: %s; got %lld%s%s\n", file, line, want_text,
            rc_text, rc, name != NULL ? " " : "", name != NULL ? name : "");
    }
    return ok;
}

int
test_death_begin(void)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int fd = open("/dev/null", O_WRONLY);

        if (fd >= 0) {
            dup2(fd, STDERR_FILENO);
            dup2(fd, STDOUT_FILENO);
        }
        signal(SIGABRT, SIG_DFL);
    }
    return pid;
}

void
test_death_survived(void)
{
    _exit(0);
}

bool
test_death_end(int pid, const char *text, const char *file, int line)
{
    int status = 0;
    bool ok;

    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        ;
    }
    ok = pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (count_check(ok)) {
        fprintf(stderr, "    %s:%d: expected an abort: %s; got status 0x%x\n", file, line, text,
            (unsigned int)status);
    }
    return ok;
}

const char *
test_tmpdir(void)
{
    const char *top = getenv("TMPDIR");

    if (har.backend != BACKEND_LINUX) {
        EXPECT(!"test_tmpdir() is for tests on linux");
        return NULL;
    }
    if (har.tmpdir[0] != '\0')
        return har.tmpdir;
    if (top == NULL || top[0] == '\0')
        top = "/tmp";
    snprintf(har.tmpdir, sizeof(har.tmpdir), "%s/cairn-test-XXXXXX", top);
    if (mkdtemp(har.tmpdir) == NULL) {
        fprintf(stderr, "    cannot make a directory in %s: %s\n", top, strerror(errno));
        har.tmpdir[0] = '\0';
        EXPECT(!"mkdtemp");
        return NULL;
    }
    return har.tmpdir;
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void
tmpdir_end(bool failed)
{
    if (har.tmpdir[0] == '\0')
        return;
    if (failed) {
        fprintf(stderr, "    left for inspection: %s\n", har.tmpdir);
    } else if (nftw(har.tmpdir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "    cannot remove %s: %s\n", har.tmpdir, strerror(errno));
    har.tmpdir[0] = '\0';
}

static size_t
put_str(char *buf, size_t off, size_t len, const char *s)
{
    while (*s != '\0' && off < len) {
        buf[off++] = *s++;
    }
    return off;
}

static size_t
put_num(char *buf, size_t off, size_t len, uint64_t n)
{
    char digits[24];
    size_t i = sizeof(digits) - 1;

    digits[i] = '\0';
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    return put_str(buf, off, len, &digits[i]);
}

/* Print the line of a test that the process dies in. Async-signal-safe. */
static void
die_line(const char *why, int signo)
{
    char buf[HARNESS_NAME_MAX + 128];
    size_t off = 0;

    if (getpid() != har.pid || !atomic_exchange(&har.running, false))
        return;
    off = put_str(buf, off, sizeof(buf), "FAIL ");
    off = put_str(buf, off, sizeof(buf), har.name);
    off = put_str(buf, off, sizeof(buf), " ");
    off = put_num(buf, off, sizeof(buf), (now_ns() - har.start_ns) / 1000000);
    off = put_str(buf, off, sizeof(buf), " died: ");
    off = put_str(buf, off, sizeof(buf), why);
    if (signo != 0)
        off = put_num(buf, off, sizeof(buf), (uint64_t)signo);
    off = put_str(buf, off, sizeof(buf), ", seed ");
    off = put_num(buf, off, sizeof(buf), har.seed);
    off = put_str(buf, off, sizeof(buf), "\n");
    if (write(STDOUT_FILENO, buf, off) < 0)
        _exit(1);
}

static void
on_fatal_signal(int signo)
{
    die_line("signal ", signo);
    signal(signo, SIG_DFL);
    raise(signo);
}

static void
on_sanitizer_death(void)
{
    die_line("sanitizer report", 0);
}

static void
install_handlers(void)
{
    static char stack[64 * 1024];
    const int signals[] = {SIGABRT, SIGTERM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction sa = {.sa_handler = on_fatal_signal, .sa_flags = SA_ONSTACK};
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
    size_t nr = sizeof(signals) / sizeof(signals[0]);

#ifdef HARNESS_SANITIZED
    /* The sanitizer reports the hardware signals itself. */
    nr = 2;
#else
    sigaltstack(&ss, NULL);
#endif
    (void)ss;
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < nr; i++) {
        sigaction(signals[i], &sa, NULL);
    }
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(on_sanitizer_death);
}

static void
name_make(const struct test_case *tc, enum test_backend_id backend, char *buf, size_t len)
{
    const char *suffix = "";

    if (backend == BACKEND_LINUX) {
        suffix = "/linux";
    } else if (backend == BACKEND_SIM)
        suffix = "/sim";
    snprintf(buf, len, "%s.%s%s", tc->suite, tc->name, suffix);
}

/* Run one test on one backend and print its line. True unless it failed. */
static bool
run_one(const struct test_case *tc, enum test_backend_id backend)
{
    unsigned int fails_nr;
    const char *skip;
    uint64_t ms;

    name_make(tc, backend, har.name, sizeof(har.name));
    har.backend = backend;
    har.checks_nr = 0;
    har.fails_nr = 0;
    har.skip_reason = NULL;
    har.start_ns = now_ns();
    har.running = true;
    tc->body();
    har.running = false;
    ms = (now_ns() - har.start_ns) / 1000000;
    fails_nr = har.fails_nr;
    skip = har.skip_reason;
    tmpdir_end(fails_nr != 0);

    if (fails_nr > HARNESS_MSGS_MAX)
        fprintf(stderr, "    (%u more failures not shown)\n", fails_nr - HARNESS_MSGS_MAX);
    if (fails_nr != 0) {
        printf("FAIL %s %llu %u of %u expectations, seed %llu\n", har.name, (unsigned long long)ms,
            fails_nr, har.checks_nr, (unsigned long long)har.seed);
    } else if (skip != NULL) {
        printf("skip %s %llu %s\n", har.name, (unsigned long long)ms, skip);
    } else if (har.checks_nr == 0) {
        printf("FAIL %s %llu nothing was expected\n", har.name, (unsigned long long)ms);
    } else if (tc->linux_reason != NULL) {
        printf("ok %s %llu linux only: %s\n", har.name, (unsigned long long)ms, tc->linux_reason);
    } else {
        printf("ok %s %llu\n", har.name, (unsigned long long)ms);
    }
    fflush(stdout);
    return fails_nr == 0 && (skip != NULL || har.checks_nr != 0);
}

struct options {
    bool list;
    const char *filter;
};

/* List or run the test on `backend` if the filter names it. True unless it failed. */
static bool
visit(const struct test_case *tc, enum test_backend_id backend, const struct options *opts,
    unsigned int *ret_nr)
{
    char name[HARNESS_NAME_MAX];

    name_make(tc, backend, name, sizeof(name));
    if (opts->filter != NULL && strstr(name, opts->filter) == NULL)
        return true;
    (*ret_nr)++;
    if (!opts->list)
        return run_one(tc, backend);
    printf("%s%s%s\n", name, tc->linux_reason != NULL ? " linux only: " : "",
        tc->linux_reason != NULL ? tc->linux_reason : "");
    return true;
}

static bool
parse(int argc, char **argv, struct options *ret_opts)
{
    struct options opts = {0};

    for (int i = 1; i < argc; i++) {
        char *end = NULL;

        if (strcmp(argv[i], "--list") == 0) {
            opts.list = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            har.seed = strtoull(argv[++i], &end, 0);
            if (end == argv[i] || *end != '\0')
                return false;
        } else if (argv[i][0] != '-' && opts.filter == NULL) {
            opts.filter = argv[i];
        } else {
            return false;
        }
    }
    *ret_opts = opts;
    return true;
}

int
main(int argc, char **argv)
{
    struct options opts;
    unsigned int nr = 0;
    bool ok = true;

    if (!parse(argc, argv, &opts)) {
        fprintf(stderr, "usage: %s [--list] [--seed N] [filter-substring]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    har.pid = getpid();
    if (!opts.list)
        install_handlers();
    for (struct test_case *tc = har.first; tc != NULL; tc = tc->next) {
        if (tc->backends == BACKEND_NONE)
            ok &= visit(tc, BACKEND_NONE, &opts, &nr);
        if (tc->backends & BACKEND_LINUX)
            ok &= visit(tc, BACKEND_LINUX, &opts, &nr);
        if (tc->backends & BACKEND_SIM)
            ok &= visit(tc, BACKEND_SIM, &opts, &nr);
    }
    if (nr == 0) {
        fprintf(stderr, "%s: no test%s%s\n", argv[0],
            opts.filter != NULL ? " has a name with " : "", opts.filter != NULL ? opts.filter : "");
        return 2;
    }
    return ok ? 0 : 1;
}
