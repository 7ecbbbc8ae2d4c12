/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a process that ended is known as such, one that may live never (struct plat_proc). Method: real children: alive, zombies, reaped, with a
 * first thread that ended, in a namespace of their own, and pids that were given again.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"

/* What a child says of itself. */
static pid_t
child_start(struct plat *plat, void (*body)(void), struct plat_proc *ret_proc)
{
    int fds[2];
    pid_t pid;

    EXPECT_EQ(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        struct plat_proc self;

        plat->ops->proc_self(plat, &self);
        if (write(fds[1], &self, sizeof(self)) != sizeof(self))
            _exit(1);
        body();
        _exit(0);
    }
    EXPECT(pid > 0);
    EXPECT_EQ(read(fds[0], ret_proc, sizeof(*ret_proc)), sizeof(*ret_proc));
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void
body_wait(void)
{
    for (;;) {
        pause();
    }
}

static void
body_end(void)
{
}

static void *
thread_wait(void *arg)
{
    int fd = *(int *)arg;

    if (write(fd, "x", 1) == 1)
        body_wait();
    return NULL;
}

static int first_ended[2]; /* pipe: the child's second thread runs */

/* The first thread ends, the process goes on. */
static void
body_first_ends(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, thread_wait, &first_ended[1]) == 0)
        pthread_exit(NULL);
}

static char
stat_state(pid_t pid)
{
    char path[64], text[512] = "";
    const char *p;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    EXPECT(fgets(text, sizeof(text), file) != NULL);
    fclose(file);
    p = strrchr(text, ')');
    return p == NULL ? 0 : p[2];
}

static bool
is_known(const struct plat_proc *proc)
{
    static const uint8_t unknown[16];

    return memcmp(proc->realm, unknown, sizeof(unknown)) != 0;
}

TEST_LINUX(plat_proc, alive_zombie_reaped_and_given_again, "processes of the kernel")
{
    struct plat_proc self, child, other;
    struct plat *plat;
    siginfo_t info;
    pid_t pid;

    EXPECT_OK(plat_linux_create(&plat));
    plat->ops->proc_self(plat, &self);
    EXPECT(is_known(&self));
    EXPECT_EQ(self.pid, (uint32_t)getpid());
    EXPECT(!plat->ops->proc_is_gone(plat, &self));

    pid = child_start(plat, body_wait, &child);
    EXPECT_EQ(child.pid, (uint32_t)pid);
    EXPECT_MEM_EQ(child.realm, self.realm, sizeof(self.realm));
    EXPECT(!plat->ops->proc_is_gone(plat, &child));

    /* The same pid, begun at another time: that process is gone. Of another realm, or one that is not known: nobody can say. */
    other = child;
    other.start--;
    EXPECT(plat->ops->proc_is_gone(plat, &other));
    other = child;
    other.realm[3] ^= 1;
    other.start--;
    EXPECT(!plat->ops->proc_is_gone(plat, &other));
    memset(other.realm, 0, sizeof(other.realm));
    EXPECT(!plat->ops->proc_is_gone(plat, &other));
    other = child;
    other.pid = 0;
    EXPECT(!plat->ops->proc_is_gone(plat, &other));

    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0); /* a zombie */
    EXPECT_EQ(stat_state(pid), 'Z');
    EXPECT(plat->ops->proc_is_gone(plat, &child));
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    EXPECT(plat->ops->proc_is_gone(plat, &child));

    pid = child_start(plat, body_end, &child); /* an end in good order is one, too */
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    EXPECT(plat->ops->proc_is_gone(plat, &child));
    plat_linux_destroy(plat);
}

/* /proc calls it a zombie, and it works. */
TEST_LINUX(plat_proc, the_first_thread_ends, "processes of the kernel")
{
    struct plat_proc child;
    struct plat *plat;
    siginfo_t info;
    pid_t pid;
    char c;

    EXPECT_OK(plat_linux_create(&plat));
    EXPECT_EQ(pipe(first_ended), 0);
    pid = child_start(plat, body_first_ends, &child);
    EXPECT_EQ(read(first_ended[0], &c, 1), 1);
    while (stat_state(pid) != 'Z') {
        sched_yield();
    }
    EXPECT(!plat->ops->proc_is_gone(plat, &child));
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    EXPECT(plat->ops->proc_is_gone(plat, &child));
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    close(first_ended[0]);
    close(first_ended[1]);
    plat_linux_destroy(plat);
}

/* In a namespace of its own a process calls itself 1, and its /proc is not that namespace's. */
TEST_LINUX(plat_proc, another_namespace, "processes of the kernel")
{
    struct plat_proc inner;
    struct plat *plat;
    int fds[2];
    pid_t pid;

    EXPECT_OK(plat_linux_create(&plat));
    EXPECT_EQ(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        memset(&inner, 0xff, sizeof(inner));
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0) {
            pid_t second = fork();

            if (second == 0) {
                plat->ops->proc_self(plat, &inner);
                _exit(write(fds[1], &inner, sizeof(inner)) != sizeof(inner));
            }
            _exit(waitpid(second, NULL, 0) != second);
        }
        _exit(write(fds[1], &inner, sizeof(inner)) != sizeof(inner)); /* forbidden here */
    }
    EXPECT_EQ(read(fds[0], &inner, sizeof(inner)), sizeof(inner));
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    if (inner.pid != UINT32_MAX) {
        EXPECT(!is_known(&inner));
        EXPECT(!plat->ops->proc_is_gone(plat, &inner));
    }
    close(fds[0]);
    close(fds[1]);
    plat_linux_destroy(plat);
}

TEST_ON(plat_proc, simulated, BACKEND_SIM)
{
    struct sim_opts opts = {.seed = test_seed()};
    struct plat *engine, *near, *far;
    struct plat_proc near_proc, far_proc;
    struct sim *sim;

    EXPECT_OK(sim_create(&opts, &sim));
    EXPECT_OK(sim_node_start(sim, "a", "engine", &engine));
    EXPECT_OK(sim_node_start(sim, "a", "near", &near));
    EXPECT_OK(sim_node_start(sim, "b", "far", &far));
    near->ops->proc_self(near, &near_proc);
    far->ops->proc_self(far, &far_proc);
    EXPECT(!engine->ops->proc_is_gone(engine, &near_proc));
    sim_node_kill(sim, near);
    sim_node_kill(sim, far);
    EXPECT(engine->ops->proc_is_gone(engine, &near_proc));
    EXPECT(!engine->ops->proc_is_gone(engine, &far_proc));
    sim_host_power_loss(sim, "a");
    EXPECT_OK(sim_node_start(sim, "a", "engine2", &engine));
    EXPECT(!engine->ops->proc_is_gone(engine, &near_proc)); /* another boot */
    sim_destroy(sim);
}
