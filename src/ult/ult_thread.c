/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The life of a ULT: create, run, yield, sleep, end, join; per-ULT slots; regions without yields.
 *
 *   create -> READY -> RUNNING -> DONE -> freed (detached) or kept until ult_join()
 *              ^  ^       | |
 *              |  +-yield-+ +--ult_waitq_wait()--> WAITING --ult_waitq_wake() or timer--> READY
 *
 * A ULT gets its stack at its first run and returns it at its end: ten thousand created ULTs that end at once use one stack.
 * Tested by ult_thread_test.c.
 */
#include "ult_priv.h"

#include <stdlib.h>

struct ult *
ult_self(void)
{
    struct xstream *xs = xstream_self();

    return xs == NULL ? NULL : xs->current;
}

struct ult *
ult_self_checked(void)
{
    struct ult *u = ult_self();

    CAIRN_ASSERT(u != NULL); /* only a ULT can wait */
    return u;
}

void
ult_make_ready(struct ult *u)
{
    struct xstream *xs = u->xs;

    u->state = ULT_READY;
    list_add_tail(&u->link, &xs->ready[u->cls]); /* ULT-3, ULT-5 */
    xs->ready_nr++;
}

void
ult_suspend(struct ult *u)
{
    CAIRN_DASSERT(u->noyield_nr == 0);
    ult_ctx_to_driver(u->stack);
}

static struct ult *
ult_alloc(struct xstream *xs)
{
    struct ult *u = LIST_FIRST(&xs->ults_free, struct ult, link);

    if (u == NULL)
        return calloc(1, sizeof(*u));
    list_del(&u->link);
    xs->ults_free_nr--;
    return u;
}

void
ult_free(struct ult *u)
{
    struct xstream *xs = u->xs;

    list_del(&u->all_link);
    xs->live_nr--;
    if (xs->ults_free_nr >= ULT_FREE_MAX) {
        free(u);
        return;
    }
    list_add(&u->link, &xs->ults_free);
    xs->ults_free_nr++;
}

int
ult_create(
    struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg, struct ult **ret_ult)
{
    const struct ult *parent = ult_self();
    struct ult *u;
    int rc;

    CAIRN_ASSERT(ult_runs_on(xs)); /* ULT-2 */
    CAIRN_ASSERT(cls < ULT_CLASS_NR);
    if (xs->live_nr >= xs->ult_nr_max)
        return CAIRN_ERR(AGAIN);
    if (xs->stacks_free_nr <= xs->promised_nr) {
        rc = ult_stack_grow(xs);
        if (rc != 0)
            return rc;
    }
    u = ult_alloc(xs);
    if (u == NULL)
        return CAIRN_ERR(NOMEM);

    xs->promised_nr++; /* ULT-6 */
    xs->unstarted_nr[cls]++;
    xs->live_nr++;
    xs->created_nr++;
    u->xs = xs;
    u->stack = NULL;
    u->cls = cls;
    u->is_detached = ret_ult == NULL;
    u->noyield_nr = 0;
    u->mutexes_nr = 0;
    u->fn = fn;
    u->arg = arg;
    u->wq = NULL;
    u->ring.raised_nr = 0;
    ult_timer_init(&u->timer, xs, ult_wait_timer_fn, u);
    ult_waitq_init(&u->joiners);
    for (uint32_t i = 0; i < ULT_SLOT_NR; i++) {
        u->slots[i] = parent == NULL ? NULL : parent->slots[i];
    }
    list_add_tail(&u->all_link, &xs->ults);
    ult_make_ready(u);
    if (ret_ult != NULL)
        *ret_ult = u;
    return 0;
}

/* On the driver's stack, after the last run. */
void
ult_finish(struct ult *u)
{
    ult_stack_release(u);
    if (u->is_detached) {
        ult_free(u);
    } else {
        ult_waitq_wake(&u->joiners, 0);
    }
}

void
ult_join(struct ult *u)
{
    CAIRN_ASSERT(ult_runs_on(u->xs));
    CAIRN_ASSERT(!u->is_detached);
    CAIRN_ASSERT(list_empty(&u->joiners.waiters));
    if (u->state != ULT_DONE) {
        CAIRN_ASSERT(u != ult_self());
        CAIRN_IGNORE(ult_waitq_wait(&u->joiners, PLAT_NEVER_NS)); /* cannot time out */
    }
    CAIRN_ASSERT(u->state == ULT_DONE);
    ult_free(u);
}

void
ult_yield(void)
{
    struct ult *u = ult_self_checked();

    ult_make_ready(u);
    ult_suspend(u);
}

void
ult_step_end(void)
{
    struct xstream *xs = xstream_self();

    if (xs != NULL)
        xs->is_step_over = true;
}

bool
ult_has_peer(void)
{
    const struct ult *u = ult_self_checked();

    return !list_empty(&u->xs->ready[u->cls]);
}

uint64_t
ult_run_ns(void)
{
    const struct ult *u = ult_self_checked();

    CAIRN_ASSERT(u->cls == ULT_BACKGROUND);
    return u->run_ns + (plat_mono_ns(u->xs->plat) - u->run_since_ns);
}

void
ult_sleep_until(uint64_t mono_ns)
{
    struct ult_waitq wq;

    ult_waitq_init(&wq);
    CAIRN_IGNORE(ult_waitq_wait(&wq, mono_ns)); /* always timed out */
}

void
ult_sleep(uint64_t ns)
{
    uint64_t now_ns = plat_mono_ns(ult_self_checked()->xs->plat);

    ult_sleep_until(ns > PLAT_NEVER_NS - now_ns ? PLAT_NEVER_NS : now_ns + ns);
}

uint64_t
ult_now_ns(void)
{
    struct xstream *xs = xstream_self();

    CAIRN_ASSERT(xs != NULL);
    return xs->now_ns;
}

void *
ult_slot_get(enum ult_slot slot)
{
    const struct ult *u = ult_self();

    CAIRN_ASSERT(slot < ULT_SLOT_NR);
    return u == NULL ? NULL : u->slots[slot];
}

void
ult_slot_set(enum ult_slot slot, void *value)
{
    CAIRN_ASSERT(slot < ULT_SLOT_NR);
    ult_self_checked()->slots[slot] = value;
}

void
ult_noyield_begin(void)
{
    struct ult *u = ult_self();

    if (u != NULL)
        u->noyield_nr++;
}

void
ult_noyield_end(void)
{
    struct ult *u = ult_self();

    if (u == NULL)
        return;
    CAIRN_ASSERT(u->noyield_nr > 0);
    u->noyield_nr--;
}
