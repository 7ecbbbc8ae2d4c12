/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * harness: the test framework of the tree, a static library that brings its own main().
 *
 * Why our own: the code under test runs on user-level threads, and frameworks that leave a failed test by longjmp or
 * exception jump off that stack. Here an expectation records its failure and goes on (HAR-1); a test that cannot go on
 * returns by itself: `if (!EXPECT_OK(rc)) goto out;`.
 *
 *  HAR-1  No macro here jumps, returns, aborts or blocks. Each EXPECT is an expression of type bool.
 *  HAR-2  Expectations may be used from any thread and any ULT; each evaluates its arguments exactly once.
 *  HAR-3  One line is printed for each run of a test, also when the process dies in it (fatal signal, sanitizer report):
 *             ok|FAIL|skip <suite>.<name>[/linux|/sim] <ms> [reason]
 *         Diagnostics go to standard error, before that line.
 *  HAR-4  A test that evaluates no expectation and is not skipped fails: it proved nothing.
 *
 * Each test names where it runs. TEST: pure, reaches no backend. TEST_ON: once for each backend of plat named, asked for
 * with test_backend(). TEST_LINUX: on the real backend alone, with the reason, which `make check` lists.
 *
 * Scripts registered as Meson tests print the same lines. Tested by harness_test.c, which runs harness_planted.c.
 */
#ifndef CAIRN_TEST_HARNESS_H
#define CAIRN_TEST_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Backends of plat that a test runs on; bits of TEST_ON's mask. */
enum test_backend_id {
    BACKEND_NONE = 0,
    BACKEND_LINUX = 1,
    BACKEND_SIM = 2,
};

/** One registered test. Filled in by the macros below; lives for the whole process. */
struct test_case {
    const char *suite;
    const char *name;
    unsigned int backends;
    const char *linux_reason;
    void (*body)(void);
    struct test_case *next;
};

/** Either operand of a comparison, with its kind, so that signed and unsigned compare by value. */
struct test_num {
    enum { TEST_NUM_SIGNED, TEST_NUM_UNSIGNED, TEST_NUM_FLOAT, TEST_NUM_PTR } kind;
    union {
        long long s;
        unsigned long long u;
        double f;
        const volatile void *p;
    } v;
};

enum test_cmp { TEST_CMP_EQ, TEST_CMP_NE, TEST_CMP_LT, TEST_CMP_LE, TEST_CMP_GT, TEST_CMP_GE };

/* Internals of the macros. */
void test_register(struct test_case *tc);
void test_skip(const char *reason);
bool test_expect(bool cond, const char *text, const char *file, int line);
bool test_expect_cmp(enum test_cmp op, struct test_num a, struct test_num b, const char *a_text,
    const char *b_text, const char *file, int line);
bool test_expect_str(const char *a, const char *b, const char *a_text, const char *b_text,
    const char *file, int line);
bool test_expect_mem(const void *a, const void *b, size_t len, const char *a_text,
    const char *b_text, const char *file, int line);
bool test_expect_rc(long long rc, long long want, const char *rc_text, const char *want_text,
    const char *file, int line);
int test_death_begin(void);
bool test_death_end(int pid, const char *text, const char *file, int line);
void test_death_survived(void) __attribute__((noreturn));

static inline struct test_num
test_num_s(long long x)
{
    return (struct test_num){.kind = TEST_NUM_SIGNED, .v.s = x};
}

static inline struct test_num
test_num_u(unsigned long long x)
{
    return (struct test_num){.kind = TEST_NUM_UNSIGNED, .v.u = x};
}

static inline struct test_num
test_num_f(double x)
{
    return (struct test_num){.kind = TEST_NUM_FLOAT, .v.f = x};
}

static inline struct test_num
test_num_p(const volatile void *x)
{
    return (struct test_num){.kind = TEST_NUM_PTR, .v.p = x};
}

/* clang-format off */
#define TEST_NUM_(x) _Generic((x), \
    _Bool: test_num_u, char: test_num_s, signed char: test_num_s, short: test_num_s, int: test_num_s, \
    long: test_num_s, long long: test_num_s, unsigned char: test_num_u, unsigned short: test_num_u, \
    unsigned int: test_num_u, unsigned long: test_num_u, unsigned long long: test_num_u, \
    float: test_num_f, double: test_num_f, default: test_num_p)(x)
/* clang-format on */

#define TEST_CMP_(op, a, b) \
    test_expect_cmp((op), TEST_NUM_(a), TEST_NUM_(b), #a, #b, __FILE__, __LINE__)

#define TEST_DEFINE_(suite_, name_, backends_, reason_) \
    static void test_body_##suite_##_##name_(void); \
    static struct test_case test_case_##suite_##_##name_ = { \
        .suite = #suite_, \
        .name = #name_, \
        .backends = (backends_), \
        .linux_reason = (reason_), \
        .body = test_body_##suite_##_##name_, \
    }; \
    __attribute__((constructor)) static void test_ctor_##suite_##_##name_(void) \
    { \
        test_register(&test_case_##suite_##_##name_); \
    } \
    static void test_body_##suite_##_##name_(void)

/** Define a pure test: it reaches no backend of plat. Runs once. */
#define TEST(suite, name) TEST_DEFINE_(suite, name, BACKEND_NONE, NULL)

/** Define a test that runs once for each backend in the mask. The mask holds BACKEND_SIM: others need TEST_LINUX. */
#define TEST_ON(suite, name, mask) \
    _Static_assert(((mask)&BACKEND_SIM) != 0, "a test on linux only gives its reason: TEST_LINUX"); \
    TEST_DEFINE_(suite, name, mask, NULL)

/** Define a test for the linux backend alone; `reason` says why the simulator cannot run it. */
#define TEST_LINUX(suite, name, reason) \
    _Static_assert(sizeof(reason) > 8, "say why this test runs on linux only"); \
    TEST_DEFINE_(suite, name, BACKEND_LINUX, reason)

/** Expect `cond` to be true. False is recorded with its place; the test goes on. */
#define EXPECT(cond) test_expect(!!(cond), #cond, __FILE__, __LINE__)

/** Expect the relation between two integers (any signedness, compared by value), floats or pointers. */
#define EXPECT_EQ(a, b) TEST_CMP_(TEST_CMP_EQ, a, b)
#define EXPECT_NE(a, b) TEST_CMP_(TEST_CMP_NE, a, b)
#define EXPECT_LT(a, b) TEST_CMP_(TEST_CMP_LT, a, b)
#define EXPECT_LE(a, b) TEST_CMP_(TEST_CMP_LE, a, b)
#define EXPECT_GT(a, b) TEST_CMP_(TEST_CMP_GT, a, b)
#define EXPECT_GE(a, b) TEST_CMP_(TEST_CMP_GE, a, b)

/** Expect two strings to be equal; NULL equals only NULL. */
#define EXPECT_STR_EQ(a, b) test_expect_str((a), (b), #a, #b, __FILE__, __LINE__)

/** Expect `len` bytes to be equal; the first difference is printed. */
#define EXPECT_MEM_EQ(a, b, len) test_expect_mem((a), (b), (len), #a, #b, __FILE__, __LINE__)

/** Expect success (0), or the error -DER_<NAME>. Prints the code, and its name when `base` is linked. */
#define EXPECT_OK(rc) test_expect_rc((rc), 0, #rc, "success", __FILE__, __LINE__)
#define EXPECT_ERR(rc, NAME) \
    test_expect_rc((rc), -DER_##NAME, #rc, "-DER_" #NAME, __FILE__, __LINE__)

/** Expect the statement to end the process by abort (a failed assert). Runs it in a forked child. */
#define EXPECT_DEATH(...) \
    ({ \
        int test_death_pid_ = test_death_begin(); \
        if (test_death_pid_ == 0) { \
            __VA_ARGS__; \
            test_death_survived(); \
        } \
        test_death_end(test_death_pid_, #__VA_ARGS__, __FILE__, __LINE__); \
    })

/** Mark the running test as skipped. The test then returns by itself; failures recorded before still count. */
#define TEST_SKIP(reason) test_skip(reason)

/** The backend that this run of the test is for; BACKEND_NONE in a pure test. */
enum test_backend_id test_backend(void);

/** The seed of this run, from --seed or fixed; the same all through the process. Printed on failure. */
uint64_t test_seed(void);

/** Next number of a splitmix64 sequence that starts at `*state`; for data, not for simulation. */
uint64_t test_rand(uint64_t *state);

/**
 * A fresh directory for this run of the test, below $TMPDIR or /tmp. The same one for every call in that run; removed
 * after it with all that it holds, unless the test failed. Tests on linux only; elsewhere a failure, and NULL.
 */
const char *test_tmpdir(void);

/** True once an expectation of the running test failed. */
bool test_failed(void);

#endif
