/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* plat_gate on POSIX threads. Tested through the client's tests with many threads. */
#include "plat/plat_gate.h"

#include "base/assert.h"
#include "base/err.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
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
plat_gate_on_fork(void (*fn)(void))
{
    return pthread_atfork(NULL, NULL, fn) == 0 ? 0 : CAIRN_ERR(NOMEM);
}
