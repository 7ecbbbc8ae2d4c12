/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* plat_gate on POSIX threads. Tested through the client's tests with many threads. */
#include "plat/plat_gate.h"

#include "base/assert.h"

#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

struct plat_gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
};

static int
cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc != 0)
        return rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

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
    if (cond_init(&gate->cond) != 0) {
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
plat_gate_wait_for(struct plat_gate *gate, uint64_t ns)
{
    struct timespec at;
    int rc = clock_gettime(CLOCK_MONOTONIC, &at);

    CAIRN_ASSERT(rc == 0);
    if (ns / NS_PER_S > INT32_MAX) {
        plat_gate_wait(gate);
        return;
    }
    at.tv_sec += (time_t)(ns / NS_PER_S);
    at.tv_nsec += (long)(ns % NS_PER_S);
    if (at.tv_nsec >= NS_PER_S) {
        at.tv_nsec -= NS_PER_S;
        at.tv_sec++;
    }
    rc = pthread_cond_timedwait(&gate->cond, &gate->mutex, &at);
    CAIRN_ASSERT(rc == 0 || rc == ETIMEDOUT);
}

void
plat_gate_broadcast(struct plat_gate *gate)
{
    int rc = pthread_cond_broadcast(&gate->cond);

    CAIRN_ASSERT(rc == 0);
}

int
plat_gate_on_fork(void (*fn)(void))
{
    return pthread_atfork(NULL, NULL, fn) == 0 ? 0 : CAIRN_ERR(NOMEM);
}
