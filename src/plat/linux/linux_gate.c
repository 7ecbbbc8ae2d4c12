/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* plat_gate on POSIX threads. Tested through the client's tests with many threads. */
#include "plat/plat_gate.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdlib.h>

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
