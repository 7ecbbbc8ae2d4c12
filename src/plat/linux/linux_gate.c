/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* plat_gate on POSIX threads. Tested through the client's tests with many threads. */
#include "plat/plat_gate.h"

#include "base/assert.h"
#include "base/err.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000 };

struct plat_gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

struct plat_gate *
plat_gate_create(void)
{
    struct plat_gate *gate = malloc(sizeof(*gate));

    if (gate == NULL)
        return NULL;
    if (pthread_mutex_init(&gate->mutex, NULL) != 0) {
        free(gate);
        return NULL;
    }
    if (pthread_cond_init(&gate->cond, NULL) != 0) {
        (void)pthread_mutex_destroy(&gate->mutex);
        free(gate);
        return NULL;
    }
    return gate;
}

void
plat_gate_destroy(struct plat_gate *gate)
{
    if (gate == NULL)
        return;
    (void)pthread_cond_destroy(&gate->cond);
    (void)pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

void
plat_gate_abandon(struct plat_gate *gate)
{
    free(gate);
}

void
plat_gate_lock(struct plat_gate *gate)
{
    int rc = pthread_mutex_lock(&gate->mutex);

    CAIRN_ASSERT(rc == 0);
}

void
plat_gate_unlock(struct plat_gate *gate)
{
    int rc = pthread_mutex_unlock(&gate->mutex);

    CAIRN_ASSERT(rc == 0);
}

void
plat_gate_wait(struct plat_gate *gate)
{
    int rc = pthread_cond_wait(&gate->cond, &gate->mutex);

    CAIRN_ASSERT(rc == 0);
}

void
plat_gate_broadcast(struct plat_gate *gate)
{
    int rc = pthread_cond_broadcast(&gate->cond);

    CAIRN_ASSERT(rc == 0);
}

/*
 * A futex of its own, woken after the unlock, so that the sleeper finds the gate open. Waking an address whose owner has left is harmless: whoever sleeps there now looks again.
 */
void
plat_gate_sit(struct plat_gate *gate, struct plat_seat *seat, uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    bool is_for_ever = ns / NS_PER_S > INT32_MAX;

    plat_gate_unlock(gate);
    if (__atomic_load_n(&seat->is_called, __ATOMIC_ACQUIRE) == 0) {
        (void)syscall(SYS_futex, &seat->is_called, FUTEX_WAIT_PRIVATE, 0,
            is_for_ever ? NULL : &left, NULL, 0);
    }
    plat_gate_lock(gate);
    seat->is_called = 0;
}

void
plat_gate_call_unlock(struct plat_gate *gate, struct plat_seat *seat)
{
    if (seat != NULL)
        __atomic_store_n(&seat->is_called, 1, __ATOMIC_RELEASE);
    plat_gate_unlock(gate);
    if (seat != NULL)
        (void)syscall(SYS_futex, &seat->is_called, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int
plat_gate_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return pthread_atfork(prepare, parent, child) == 0 ? 0 : CAIRN_ERR(NOMEM);
}

struct plat_gate_thread {
    pthread_t pthread;
    void (*fn)(void *arg);
    void *arg;
    char name[16];
};

static void *
gate_thread_main(void *arg)
{
    struct plat_gate_thread *thread = arg;

    (void)pthread_setname_np(pthread_self(), thread->name);
    thread->fn(thread->arg);
    return NULL;
}

/* It would inherit the one CPU of a thread that is pinned: it may run wherever the process' first thread may. */
static int
gate_thread_create(struct plat_gate_thread *thread)
{
    pthread_attr_t attr;
    cpu_set_t set;
    int rc = pthread_attr_init(&attr);

    if (rc != 0)
        return rc;
    if (sched_getaffinity(getpid(), sizeof(set), &set) == 0)
        (void)pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
    rc = pthread_create(&thread->pthread, &attr, gate_thread_main, thread);
    (void)pthread_attr_destroy(&attr);
    return rc;
}

int
plat_gate_thread_start(
    const char *name, void (*fn)(void *arg), void *arg, struct plat_gate_thread **ret_thread)
{
    struct plat_gate_thread *thread = calloc(1, sizeof(*thread));
    sigset_t all, old;
    int rc;

    if (thread == NULL)
        return CAIRN_ERR(NOMEM);
    thread->fn = fn;
    thread->arg = arg;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    sigfillset(&all); /* TH-3: the new thread inherits the mask */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = gate_thread_create(thread);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        free(thread);
        return CAIRN_ERR(NOMEM);
    }
    *ret_thread = thread;
    return 0;
}

void
plat_gate_thread_join(struct plat_gate_thread *thread)
{
    int rc;

    if (thread == NULL)
        return;
    rc = pthread_join(thread->pthread, NULL);
    CAIRN_ASSERT(rc == 0);
    free(thread);
}
