/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * harness_planted: tests that must not pass, one for each way to fail. harness_test.c runs each in a child process and
 * reads what was reported; this program is no test of its own.
 */
#include "harness/harness.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define DER_PLANTED 1234

TEST(planted, expect)
{
    bool value = EXPECT(1 == 2);

    EXPECT(!value);
}

TEST(planted, eq)
{
    EXPECT_EQ(3, 4);
    EXPECT_EQ(-1, 0xffffffffffffffffULL);
}

TEST(planted, str)
{
    EXPECT_STR_EQ("abc", NULL);
}

TEST(planted, mem)
{
    EXPECT_MEM_EQ("abcd", "abXd", 4);
}

TEST(planted, rc_ok)
{
    EXPECT_OK(-5);
}

TEST(planted, rc_err)
{
    EXPECT_ERR(0, PLANTED);
}

TEST(planted, no_death)
{
    EXPECT_DEATH(close(-1));
}

TEST(planted, empty)
{
}

TEST(planted, abort)
{
    EXPECT(1 == 1);
    abort();
}

TEST(planted, silent_child)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        abort();
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
}

TEST(planted, skipped)
{
    TEST_SKIP("planted reason");
}

TEST(planted, fails_then_skips)
{
    EXPECT(1 == 2);
    TEST_SKIP("too late");
}

TEST_ON(planted, fails_on_sim, BACKEND_LINUX | BACKEND_SIM)
{
    EXPECT_EQ(test_backend(), BACKEND_LINUX);
}

TEST_ON(planted, tmpdir, BACKEND_LINUX | BACKEND_SIM)
{
    EXPECT(test_tmpdir() != NULL);
}

TEST_LINUX(planted, tmpdir_kept, "the directory of a failed test stays")
{
    EXPECT_STR_EQ(test_tmpdir(), "");
}

TEST(planted, many)
{
    for (int i = 0; i < 1000; i++) {
        EXPECT_LT(i, 0);
    }
}
