/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Waiting: one queue of ULTs, and mutex, condition, eventual and semaphore on it.
 *
 *   ULT-9   Ownership is handed over, not raced for: an unlocked mutex belongs to its first waiter at once, given units to the first
 *           waiters that they satisfy. Nobody overtakes (ULT-3), so nobody starves.
 *   ULT-10  A waker touches the object only before it makes a waiter ready and a woken waiter does not touch an eventual again:
 *           the result travels in the ULT, so that whoever waited may free the eventual.
 *
 * A wait ends by a wake or by its timer, whichever comes first on the xstream; the other one finds nothing to do.
 * Tested by ult_wait_test.c.
 */
#include "ult_priv.h"

void
ult_waitq_init(struct ult_waitq *wq)
{
    list_init(&wq->waiters);
}

static struct ult *
waitq_first(const struct ult_waitq *wq)
{
    return LIST_FIRST(&wq->waiters, struct ult, link);
}

static void
wait_end(struct ult *u, int rc)
{
    CAIRN_ASSERT(u->state == ULT_WAITING);
    list_del(&u->link);
    u->wq = NULL;
    u->wait_rc = rc;
    ult_make_ready(u);
}

void
ult_wait_timer_fn(struct ult_timer *t)
{
    wait_end(t->arg, -DER_TIMEDOUT);
}

int
ult_waitq_wait(struct ult_waitq *wq, uint64_t deadline_ns)
{
    struct ult *u = ult_self_checked();
    const struct ult *first = waitq_first(wq);

    CAIRN_ASSERT(u->wq == NULL);
    CAIRN_ASSERT(ERGO(first != NULL, first->xs == u->xs)); /* ULT-2 */
    u->wq = wq;
    u->state = ULT_WAITING;
    list_add_tail(&u->link, &wq->waiters);
    if (deadline_ns != PLAT_NEVER_NS)
        ult_timer_set(&u->timer, deadline_ns);
    ult_suspend(u);
    return u->wait_rc;
}

/* The first waiter, if any, becomes ready with this code. */
bool
ult_waitq_wake(struct ult_waitq *wq, int rc)
{
    struct ult *u = waitq_first(wq);

    if (u == NULL)
        return false;
    CAIRN_ASSERT(ult_runs_on(u->xs)); /* ULT-2 */
    ult_timer_cancel(&u->timer);
    wait_end(u, rc);
    return true;
}

/* ---- mutex ---------------------------------------------------------------------------------------------------------- */

void
ult_mutex_init(struct ult_mutex *m)
{
    m->owner = NULL;
    ult_waitq_init(&m->wq);
}

void
ult_mutex_fini(struct ult_mutex *m)
{
    CAIRN_ASSERT(m->owner == NULL);
    CAIRN_ASSERT(list_empty(&m->wq.waiters));
}

void
ult_mutex_lock(struct ult_mutex *m)
{
    struct ult *u = ult_self_checked();

    CAIRN_ASSERT(m->owner != u); /* not recursive */
    CAIRN_ASSERT(ERGO(m->owner != NULL, m->owner->xs == u->xs)); /* ULT-2 */
    CAIRN_ASSERT(ERGO(m->owner == NULL, list_empty(&m->wq.waiters))); /* ULT-9 */
    if (m->owner == NULL) {
        m->owner = u;
        u->mutexes_nr++;
        return;
    }
    CAIRN_IGNORE(ult_waitq_wait(&m->wq, PLAT_NEVER_NS)); /* cannot time out */
    CAIRN_ASSERT(m->owner == u);
}

bool
ult_mutex_trylock(struct ult_mutex *m)
{
    struct ult *u = ult_self_checked();

    if (m->owner != NULL)
        return false;
    m->owner = u;
    u->mutexes_nr++;
    return true;
}

void
ult_mutex_unlock(struct ult_mutex *m)
{
    struct ult *u = ult_self_checked();
    struct ult *next = waitq_first(&m->wq);

    CAIRN_ASSERT(m->owner == u);
    CAIRN_ASSERT(u->mutexes_nr > 0);
    u->mutexes_nr--;
    m->owner = next;
    if (next == NULL)
        return;
    next->mutexes_nr++;
    ult_waitq_wake(&m->wq, 0);
}

/* ---- condition ------------------------------------------------------------------------------------------------------ */

void
ult_cond_init(struct ult_cond *c)
{
    ult_waitq_init(&c->wq);
}

void
ult_cond_fini(struct ult_cond *c)
{
    CAIRN_ASSERT(list_empty(&c->wq.waiters));
}

int
ult_cond_wait_until(struct ult_cond *c, struct ult_mutex *m, uint64_t deadline_ns)
{
    int rc;

    if (m != NULL)
        ult_mutex_unlock(m);
    rc = ult_waitq_wait(&c->wq, deadline_ns);
    if (m != NULL)
        ult_mutex_lock(m);
    return rc;
}

void
ult_cond_wait(struct ult_cond *c, struct ult_mutex *m)
{
    CAIRN_IGNORE(ult_cond_wait_until(c, m, PLAT_NEVER_NS)); /* cannot time out */
}

void
ult_cond_signal(struct ult_cond *c)
{
    ult_waitq_wake(&c->wq, 0);
}

void
ult_cond_signal_next(struct ult_cond *c)
{
    struct ult *u = waitq_first(&c->wq);

    if (!ult_waitq_wake(&c->wq, 0))
        return;
    list_del(&u->link);
    list_add(&u->link, &u->xs->ready[u->cls]);
}

void
ult_cond_broadcast(struct ult_cond *c)
{
    /* Ends: nobody runs, hence nobody can wait anew, before this returns. */
    while (ult_waitq_wake(&c->wq, 0)) {
    }
}

/* ---- eventual ------------------------------------------------------------------------------------------------------- */

void
ult_eventual_init(struct ult_eventual *e)
{
    e->is_set = false;
    e->rc = 0;
    ult_waitq_init(&e->wq);
}

void
ult_eventual_set(struct ult_eventual *e, int rc)
{
    CAIRN_ASSERT(!e->is_set);
    e->is_set = true;
    e->rc = rc;
    while (ult_waitq_wake(&e->wq, rc)) {
    }
}

int
ult_eventual_wait_until(struct ult_eventual *e, uint64_t deadline_ns)
{
    return e->is_set ? e->rc : ult_waitq_wait(&e->wq, deadline_ns); /* ULT-10 */
}

int
ult_eventual_wait(struct ult_eventual *e)
{
    return ult_eventual_wait_until(e, PLAT_NEVER_NS);
}

/* ---- semaphore ------------------------------------------------------------------------------------------------------ */

void
ult_sem_init(struct ult_sem *s, uint64_t nr)
{
    s->avail = nr;
    ult_waitq_init(&s->wq);
}

bool
ult_sem_trytake(struct ult_sem *s, uint64_t nr)
{
    if (!list_empty(&s->wq.waiters)) /* ULT-3 */
        return false;
    if (s->avail < nr)
        return false;
    s->avail -= nr;
    return true;
}

void
ult_sem_take(struct ult_sem *s, uint64_t nr)
{
    struct ult *u = ult_self_checked();

    if (ult_sem_trytake(s, nr))
        return;
    u->sem_nr = nr;
    CAIRN_IGNORE(ult_waitq_wait(&s->wq, PLAT_NEVER_NS)); /* cannot time out */
}

void
ult_sem_give(struct ult_sem *s, uint64_t nr)
{
    const struct ult *u;

    CAIRN_ASSERT(nr <= UINT64_MAX - s->avail);
    s->avail += nr;
    while ((u = waitq_first(&s->wq)) != NULL && u->sem_nr <= s->avail) {
        s->avail -= u->sem_nr;
        ult_waitq_wake(&s->wq, 0);
    }
}
