/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the harness reports what happened (HAR-1 to HAR-4); a framework that cannot fail proves nothing.
 * Method: what must pass is tried here; what must fail is in harness_planted.c, run as a child whose lines, messages
 * and exit status are compared.
 */
#include "harness/harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX 16384

/* Run the planted program; its exit status, and both its streams in `out`. */
static int
run_planted(const char *args, char out[OUTPUT_MAX])
{
    char exe[3072];
    char cmd[4096];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    size_t got;
    FILE *f;
    int status;

    out[0] = '\0';
    if (!EXPECT_GT(len, 0))
        return -1;
    exe[len] = '\0';
    *strrchr(exe, '/') = '\0';
    snprintf(cmd, sizeof(cmd), "%s/harness_planted %s 2>&1", exe, args);
    f = popen(cmd, "r");
    if (!EXPECT_NE(f, NULL))
        return -1;
    got = fread(out, 1, OUTPUT_MAX - 1, f);
    out[got] = '\0';
    status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool
has(const char *out, const char *text)
{
    bool found = strstr(out, text) != NULL;

    if (!found)
        fprintf(stderr, "    no \"%s\" in:\n%s", text, out);
    return found;
}

TEST_LINUX(harness, reports_planted_failures, "runs a child process")
{
    static const struct {
        const char *filter;
        const char *line;
        const char *message;
    } rows[] = {
        {"planted.expect", "FAIL planted.expect ", "expected: 1 == 2"},
        {"planted.eq", "FAIL planted.eq ", "got 3 and 4"},
        {"planted.eq", "2 of 2 expectations, seed 20240229", "got -1 and 18446744073709551615"},
        {"planted.str", "FAIL planted.str ", "got \"abc\" and \"(null)\""},
        {"planted.mem", "FAIL planted.mem ", "at 2 got 0x63 and 0x58"},
        {"planted.rc_ok", "FAIL planted.rc_ok ", "expected success: -5; got -5"},
        {"planted.rc_err", "FAIL planted.rc_err ", "expected -DER_PLANTED: 0; got 0"},
        {"planted.no_death", "FAIL planted.no_death ", "expected an abort: close"},
        {"planted.empty", "FAIL planted.empty ", "nothing was expected"},
        {"planted.fails_then_skips", "FAIL planted.fails_then_skips ", "expected: 1 == 2"},
        {"planted.many", "1000 of 1000 expectations", "(980 more failures not shown)"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[OUTPUT_MAX];

        EXPECT_EQ(run_planted(rows[i].filter, out), 1);
        EXPECT(has(out, rows[i].line));
        EXPECT(has(out, rows[i].message));
    }
}

TEST_LINUX(harness, reports_the_test_that_died, "runs a child process")
{
    char out[OUTPUT_MAX];

    EXPECT_NE(run_planted("planted.abort", out), 0);
    EXPECT(has(out, "FAIL planted.abort "));
    EXPECT(has(out, "died: signal 6"));
    EXPECT_EQ(run_planted("planted.silent_child", out), 0);
    EXPECT(has(out, "ok planted.silent_child "));
    EXPECT(strstr(out, "FAIL") == NULL);
}

TEST_LINUX(harness, reports_skips, "runs a child process")
{
    char out[OUTPUT_MAX];

    EXPECT_EQ(run_planted("planted.skipped", out), 0);
    EXPECT(has(out, "skip planted.skipped "));
    EXPECT(has(out, " planted reason\n"));
}

TEST_LINUX(harness, runs_each_backend, "runs a child process")
{
    char out[OUTPUT_MAX];

    EXPECT_EQ(run_planted("fails_on_sim", out), 1);
    EXPECT(has(out, "ok planted.fails_on_sim/linux "));
    EXPECT(has(out, "FAIL planted.fails_on_sim/sim "));
    EXPECT_EQ(run_planted("fails_on_sim/linux", out), 0);
    EXPECT_EQ(run_planted("planted.tmpdir/", out), 1);
    EXPECT(has(out, "ok planted.tmpdir/linux "));
    EXPECT(has(out, "FAIL planted.tmpdir/sim "));
}

TEST_LINUX(harness, keeps_the_directory_of_a_failed_test, "looks at a directory that a child left")
{
    char out[OUTPUT_MAX];
    char *dir;

    EXPECT_EQ(run_planted("tmpdir_kept", out), 1);
    dir = strstr(out, "left for inspection: ");
    if (!EXPECT_NE(dir, NULL))
        return;
    dir = strchr(dir, '/');
    *strchr(dir, '\n') = '\0';
    EXPECT_EQ(rmdir(dir), 0);
}

TEST_LINUX(harness, arguments, "runs a child process")
{
    char out[OUTPUT_MAX];

    EXPECT_EQ(run_planted("--list", out), 0);
    EXPECT(has(out, "planted.tmpdir_kept/linux linux only: the directory of a failed test stays\n"));
    EXPECT(has(out, "planted.expect\n"));
    EXPECT(strstr(out, "FAIL") == NULL);
    EXPECT_EQ(run_planted("--seed 7 planted.eq", out), 1);
    EXPECT(has(out, "seed 7"));
    EXPECT_EQ(run_planted("--seed x", out), 2);
    EXPECT_EQ(run_planted("--nonsense", out), 2);
    EXPECT_EQ(run_planted("no-such-test", out), 2);
}

TEST(harness, compares_by_value)
{
    uint8_t small = 200;
    int64_t min = INT64_MIN;
    int x = 0;
    int evaluations = 0;

    EXPECT_EQ(small, 200);
    EXPECT_NE(-1, UINT64_MAX);
    EXPECT_LT(-1, UINT64_MAX);
    EXPECT_LT(min, 0u);
    EXPECT_LE(min, min + 1);
    EXPECT_GT(UINT64_MAX, min);
    EXPECT_GE(0, 0u);
    EXPECT_GT(0.5, 0);
    EXPECT_LT(-3, -2);
    EXPECT_NE(&x, NULL);
    EXPECT_EQ(&x, &x);
    EXPECT_EQ(evaluations++, 0);
    EXPECT_EQ(evaluations, 1);
    EXPECT_STR_EQ(NULL, NULL);
    EXPECT_MEM_EQ(NULL, NULL, 0);
    EXPECT_EQ(EXPECT(true), true);
    EXPECT_DEATH(abort());
}

static void *
count_many(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        EXPECT_NE(arg, NULL);
    }
    return NULL;
}

TEST_LINUX(harness, counts_from_threads, "starts threads")
{
    pthread_t thr[4];

    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(pthread_create(&thr[i], NULL, count_many, thr), 0);
    }
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(pthread_join(thr[i], NULL), 0);
    }
}

TEST_LINUX(harness, tmpdir_is_fresh, "makes a directory")
{
    const char *dir = test_tmpdir();
    struct stat st;

    if (!EXPECT_NE(dir, NULL))
        return;
    EXPECT_EQ(stat(dir, &st), 0);
    EXPECT(S_ISDIR(st.st_mode));
    EXPECT_STR_EQ(test_tmpdir(), dir);
    EXPECT_EQ(test_backend(), BACKEND_LINUX);
}
