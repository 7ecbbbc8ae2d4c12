/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: threads of the library's own are in nobody's way. (Gates and seats are tested through the client with many threads.)
 * Method: start one from a thread that is pinned, and ask it where it may run and which signals it takes.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "harness/harness.h"
#include "plat/plat_gate.h"

struct seen {
    cpu_set_t cpus;
    sigset_t blocked;
};

static void
look(void *arg)
{
    struct seen *seen = arg;

    EXPECT_EQ(sched_getaffinity(0, sizeof(seen->cpus), &seen->cpus), 0);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, NULL, &seen->blocked), 0);
}

static void *
pinned_main(void *arg)
{
    struct plat_gate_thread *thread = NULL;
    cpu_set_t all, one;

    EXPECT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    }
    EXPECT_EQ(pthread_setaffinity_np(pthread_self(), sizeof(one), &one), 0);
    if (EXPECT_EQ(plat_gate_thread_start("look", look, arg, &thread), 0))
        plat_gate_thread_join(thread);
    return NULL;
}

TEST(plat_gate, thread_of_its_own)
{
    struct seen seen = {0};
    cpu_set_t all;
    pthread_t thread;

    EXPECT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    if (!EXPECT_EQ(pthread_create(&thread, NULL, pinned_main, &seen), 0))
        return;
    EXPECT_EQ(pthread_join(thread, NULL), 0);
    EXPECT(CPU_EQUAL(&seen.cpus, &all));
    EXPECT_EQ(sigismember(&seen.blocked, SIGTERM), 1); /* TH-3 */
    EXPECT_EQ(sigismember(&seen.blocked, SIGCHLD), 1);
}
