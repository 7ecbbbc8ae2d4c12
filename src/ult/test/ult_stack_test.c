/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: stacks are guarded, pooled within a limit, measured, and given back by abandon; a switch keeps what the ABI says it keeps.
 * Method: overflow in a child process, recursion of a known depth, floating-point modes that differ between ULTs.
 */
#include "ult_test.h"

#include <fenv.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SANITIZED = TEST_ASAN || TEST_TSAN };

/* Uses at least 1 KiB of stack for each level; not a tail call. */
__attribute__((noinline)) static uint64_t
descend(uint64_t levels)
{
    volatile char frame[1024];

    memset((char *)(uintptr_t)frame, (int)(levels | 1), sizeof(frame));
    return levels == 0 ? (uint64_t)frame[7] : descend(levels - 1) + (uint64_t)frame[levels % 1024];
}

static void
descend_fn(void *arg)
{
    EXPECT_NE(descend(*(const uint64_t *)arg), UINT64_MAX);
}

static void
overflow_child(void)
{
    struct rlimit no_core = {0, 0};
    uint64_t levels = 1000 * 1000;
    struct fixture f;

    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGSEGV, SIG_DFL);
    fixture_init(&f, NULL);
    if (ult_create(f.xs, ULT_IO, descend_fn, &levels, NULL) == 0)
        xstream_step(f.xs);
    _exit(0);
}

TEST(ult_stack, overflow_hits_the_guard)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (SANITIZED && freopen("/dev/null", "w", stderr) == NULL)
            _exit(0);
        overflow_child();
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (SANITIZED) {
        EXPECT(WIFSIGNALED(status) || WEXITSTATUS(status) != 0); /* it reports and ends in its own way */
    } else {
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
}

static void
high_water_body(struct fixture *f)
{
    uint64_t levels = 0;
    uint64_t shallow;

    ult_join(must_create(f, ULT_IO, descend_fn, &levels));
    shallow = fixture_stats(f).stack_used_bytes_max;
    EXPECT_GT(shallow, 1024);
    levels = 20;
    ult_join(must_create(f, ULT_IO, descend_fn, &levels));
    EXPECT_GT(fixture_stats(f).stack_used_bytes_max, 20 * 1024);
    if (!SANITIZED)
        EXPECT_LT(fixture_stats(f).stack_used_bytes_max, 44 * 1024);
    levels = 0;
    ult_join(must_create(f, ULT_IO, descend_fn, &levels));
    EXPECT_GT(fixture_stats(f).stack_used_bytes_max, 20 * 1024); /* a mark, not a level */
}

TEST_ON(ult_stack, high_water_mark, BACKEND_BOTH)
{
    fixture_run_once(high_water_body);
}

static void
nothing_body(struct fixture *f)
{
    ult_yield();
    EXPECT_EQ(fixture_stats(f).live_nr, 1);
}

TEST_ON(ult_stack, size_is_as_asked, BACKEND_BOTH)
{
    struct xstream_opts opts = {.name = "big", .cpu = UINT32_MAX, .stack_bytes = 1024 * 1024};
    uint64_t levels = 900;
    struct fixture f;

    fixture_init(&f, &opts);
    EXPECT_OK(ult_create(f.xs, ULT_IO, descend_fn, &levels, NULL));
    fixture_run(&f, nothing_body);
    EXPECT_GT(fixture_stats(&f).stack_used_bytes_max, 900 * 1024);
    fixture_fini(&f);
}

static void
wait_fn(void *arg)
{
    struct fixture *f = arg;

    EXPECT_OK(ult_eventual_wait(&f->eventual));
}

static void
pool_body(struct fixture *f)
{
    enum { NR = TEST_TSAN ? 1000 : 2000 };
    struct ult **ults = calloc(NR, sizeof(struct ult *));

    /* Created, ended, created again: each uses the stack of the one before. */
    ult_eventual_set(&f->eventual, 0);
    for (int i = 0; i < NR; i++) {
        ult_join(must_create(f, ULT_IO, wait_fn, f));
    }
    EXPECT_LE(fixture_stats(f).stacks_nr, 2);

    ult_eventual_init(&f->eventual);
    for (int i = 0; i < NR; i++) {
        ults[i] = must_create(f, ULT_IO, wait_fn, f);
    }
    for (int i = 0; i < 100; i++) {
        ult_yield();
    }
    EXPECT_GE(fixture_stats(f).stacks_nr, NR);
    ult_eventual_set(&f->eventual, 0);
    for (int i = 0; i < NR; i++) {
        ult_join(ults[i]);
    }
    EXPECT_LE(fixture_stats(f).stacks_nr, 600); /* the rest went back */
    EXPECT_GT(fixture_stats(f).stacks_nr, 100);
    free(ults);
}

TEST_ON(ult_stack, pool_is_bounded, BACKEND_BOTH)
{
    fixture_run_once(pool_body);
}

/* ---- what a switch keeps -------------------------------------------------------------------------------------------- */

static void
round_up(void *arg)
{
    (void)arg;
    EXPECT_EQ(fegetround(), FE_TONEAREST);
    EXPECT_EQ(fesetround(FE_UPWARD), 0);
    ult_yield();
    EXPECT_EQ(fegetround(), FE_UPWARD);
    EXPECT_EQ(fesetround(FE_TONEAREST), 0); /* the ABI: a function that changes the mode restores it */
}

/* Values live in callee-saved registers across the yields, as many as the compiler can keep. */
static void
registers_fn(void *arg)
{
    uint64_t x = (uint64_t)(uintptr_t)arg;
    uint64_t a = x * 3, b = x * 5, c = x * 7, d = x * 11, e = x * 13, g = x * 17, h = x * 19;

    for (int i = 0; i < 100; i++) {
        ult_yield();
        a += b;
        b += c;
        c += d;
        d += e;
        e += g;
        g += h;
        h += x;
    }
    for (int i = 0; i < 100; i++) {
        h -= x;
        g -= h;
        e -= g;
        d -= e;
        c -= d;
        b -= c;
        a -= b;
        ult_yield();
    }
    EXPECT(a == x * 3 && b == x * 5 && c == x * 7 && d == x * 11);
    EXPECT(e == x * 13 && g == x * 17 && h == x * 19);
    EXPECT_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0); /* the ABI's alignment */
}

static void
switch_body(struct fixture *f)
{
    struct ult *ults[6];

    ults[0] = must_create(f, ULT_IO, round_up, NULL);
    ults[1] = must_create(f, ULT_IO, round_up, NULL);
    for (uintptr_t i = 2; i < 6; i++) {
        ults[i] = must_create(f, ULT_IO, registers_fn, (void *)(i << 33 | i));
    }
    for (int i = 0; i < 6; i++) {
        ult_join(ults[i]);
    }
    EXPECT_EQ(fegetround(), FE_TONEAREST);
}

TEST_ON(ult_stack, switch_keeps_registers_and_modes, BACKEND_BOTH)
{
    fixture_run_once(switch_body);
    EXPECT_EQ(fegetround(), FE_TONEAREST);
}

/* ---- abandon -------------------------------------------------------------------------------------------------------- */

static void
lock_fn(void *arg)
{
    struct fixture *f = arg;

    ult_mutex_lock(&f->mutex);
    f->nr++;
    ult_mutex_unlock(&f->mutex);
}

static void
sleep_fn(void *arg)
{
    struct fixture *f = arg;

    ult_sleep_until(PLAT_NEVER_NS - 1);
    f->nr++;
}

static void
never_timer_fn(struct ult_timer *t)
{
    struct fixture *f = t->arg;

    f->nr++;
}

static void
post_fn(void *arg)
{
    struct fixture *f = arg;

    f->nr++;
}

TEST_ON(ult_stack, abandon_frees_without_running, BACKEND_BOTH)
{
    struct fixture f;
    struct ult_timer timer;
    struct ult *kept;

    fixture_init(&f, NULL);
    ult_timer_init(&timer, f.xs, never_timer_fn, &f);
    ult_timer_set(&timer, PLAT_NEVER_NS - 1);
    kept = must_create(&f, ULT_IO, wait_fn, &f);
    EXPECT(kept != NULL);
    EXPECT_OK(ult_create(f.xs, ULT_IO, sleep_fn, &f, NULL));
    xstream_step(f.xs);
    EXPECT_OK(ult_create(f.xs, ULT_IO, lock_fn, &f, NULL)); /* ready, has not run */
    EXPECT_OK(xstream_post(f.xs, ULT_IO, post_fn, &f)); /* not even a ULT yet */
    EXPECT_EQ(fixture_stats(&f).live_nr, 3);
    xstream_abandon(f.xs);
    EXPECT_EQ(fixture_stats(&f).live_nr, 0);
    EXPECT_EQ(fixture_stats(&f).ready_nr, 0);
    EXPECT_EQ(fixture_stats(&f).stacks_nr, 0);
    EXPECT(!timer.is_set);
    ult_timer_cancel(&timer);
    ult_eventual_set(&f.eventual, 0); /* nobody is left on it */
    EXPECT_EQ(f.nr, 0);
    fixture_fini(&f);
    EXPECT_EQ(f.nr, 0); /* nor did destroy run the post */
}
