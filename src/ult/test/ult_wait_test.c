/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: mutex, condition, eventual and semaphore serve first in, first out (ULT-3) and hand over without overtaking (ULT-9); a
 * timeout and a wake-up that meet end a wait once, with the code of whichever came first.
 * Method: waiters that log a letter when served; timers that wake at the very time at which a wait times out.
 */
#include "ult_test.h"

struct waiter {
    struct fixture *f;
    char c;
    uint64_t nr;
    uint64_t deadline_ns;
    int rc;
};

static void
spawn(struct fixture *f, int idx, void (*fn)(void *arg), void *arg)
{
    f->ults[idx] = must_create(f, ULT_IO, fn, arg);
}

static void
join_all(struct fixture *f, int nr)
{
    for (int i = 0; i < nr; i++) {
        ult_join(f->ults[i]);
    }
}

/* ---- mutex ---------------------------------------------------------------------------------------------------------- */

static void
lock_log_yield(void *arg)
{
    struct waiter *w = arg;

    for (int i = 0; i < 2; i++) {
        ult_mutex_lock(&w->f->mutex);
        fixture_log(w->f, w->c);
        ult_yield();
        ult_yield();
        EXPECT(!ult_mutex_trylock(&w->f->mutex)); /* held, by itself */
        ult_mutex_unlock(&w->f->mutex);
    }
}

static void
mutex_body(struct fixture *f)
{
    struct waiter w[] = {{.f = f, .c = 'a'}, {.f = f, .c = 'b'}, {.f = f, .c = 'c'}};

    EXPECT(ult_mutex_trylock(&f->mutex));
    for (int i = 0; i < 3; i++) {
        spawn(f, i, lock_log_yield, &w[i]);
    }
    ult_yield();
    ult_yield();
    EXPECT_EQ(f->log_nr, 0);
    ult_mutex_unlock(&f->mutex);
    EXPECT(!ult_mutex_trylock(&f->mutex)); /* handed over, though nobody ran yet */
    join_all(f, 3);
    EXPECT_STR_EQ(f->log, "abcabc"); /* who unlocks and locks again goes to the end */
    EXPECT(ult_mutex_trylock(&f->mutex));
    ult_mutex_unlock(&f->mutex);
}

TEST_ON(ult_wait, mutex_is_handed_over_in_order, BACKEND_BOTH)
{
    fixture_run_once(mutex_body);
}

/* ---- condition ------------------------------------------------------------------------------------------------------ */

static void
cond_wait_log(void *arg)
{
    struct waiter *w = arg;
    struct ult_mutex *m = w->nr != 0 ? &w->f->mutex : NULL;

    if (m != NULL)
        ult_mutex_lock(m);
    w->rc = ult_cond_wait_until(&w->f->cond, m, w->deadline_ns);
    fixture_log(w->f, w->rc == 0 ? w->c : 't');
    if (m != NULL) {
        ult_yield(); /* the others must not get in */
        fixture_log(w->f, '.');
        ult_mutex_unlock(m);
    }
}

static void
cond_body(struct fixture *f)
{
    struct waiter w[4];

    ult_cond_signal(&f->cond); /* nobody waits: lost */
    for (int i = 0; i < 4; i++) {
        w[i] = (struct waiter){.f = f, .c = (char)('a' + i), .deadline_ns = PLAT_NEVER_NS};
        spawn(f, i, cond_wait_log, &w[i]);
    }
    ult_yield();
    EXPECT_EQ(f->log_nr, 0);
    ult_cond_signal(&f->cond);
    ult_yield();
    EXPECT_STR_EQ(f->log, "a");
    ult_cond_signal(&f->cond);
    ult_cond_broadcast(&f->cond);
    join_all(f, 4);
    EXPECT_STR_EQ(f->log, "abcd");
}

TEST_ON(ult_wait, cond_wakes_in_order, BACKEND_BOTH)
{
    fixture_run_once(cond_body);
}

static void
log_yield(void *arg)
{
    struct waiter *w = arg;

    fixture_log(w->f, w->c);
    ult_yield();
    fixture_log(w->f, w->c);
}

static void
cond_next_body(struct fixture *f)
{
    struct waiter w[4];

    ult_cond_signal_next(&f->cond); /* nobody waits: lost */
    for (int i = 0; i < 2; i++) {
        w[i] = (struct waiter){.f = f, .c = (char)('a' + i), .deadline_ns = PLAT_NEVER_NS};
        spawn(f, i, cond_wait_log, &w[i]);
    }
    ult_yield();
    for (int i = 2; i < 4; i++) {
        w[i] = (struct waiter){.f = f, .c = (char)('a' + i)};
        spawn(f, i, log_yield, &w[i]);
    }
    ult_cond_signal_next(&f->cond);
    ult_cond_signal(&f->cond);
    join_all(f, 4);
    EXPECT_STR_EQ(f->log, "acdbcd");
}

/* Goal: who is woken as the next one runs before those that were ready; the first waiter is woken. */
TEST_ON(ult_wait, cond_wakes_the_next_to_run, BACKEND_BOTH)
{
    fixture_run_once(cond_next_body);
}

static void
log_polls(void *arg)
{
    struct waiter *w = arg;

    fixture_log(w->f, (char)('0' + w->f->fake.polls_nr - w->f->nr));
    if (w->c == 'e')
        ult_step_end();
}

static void
step_end_body(struct fixture *f)
{
    struct waiter w[4];

    f->nr = f->fake.polls_nr;
    for (int i = 0; i < 4; i++) {
        w[i] = (struct waiter){.f = f, .c = i == 1 ? 'e' : 'a'};
        spawn(f, i, log_polls, &w[i]);
    }
    join_all(f, 4);
    EXPECT_STR_EQ(f->log, "0011");
}

/* Goal: a ULT that ends the step has the loop polled before others run, once. */
TEST(ult_wait, step_ends)
{
    fixture_run_once(step_end_body);
}

static void
cond_mutex_body(struct fixture *f)
{
    struct waiter w[3];

    for (int i = 0; i < 3; i++) {
        w[i] = (struct waiter){.f = f, .c = (char)('a' + i), .nr = 1, .deadline_ns = PLAT_NEVER_NS};
        spawn(f, i, cond_wait_log, &w[i]);
    }
    ult_yield();
    ult_mutex_lock(&f->mutex); /* free: waiters released it */
    ult_cond_broadcast(&f->cond);
    ult_yield();
    EXPECT_EQ(f->log_nr, 0); /* awake, but not without the mutex */
    ult_mutex_unlock(&f->mutex);
    join_all(f, 3);
    EXPECT_STR_EQ(f->log, "a.b.c.");
}

TEST_ON(ult_wait, cond_returns_with_the_mutex, BACKEND_BOTH)
{
    fixture_run_once(cond_mutex_body);
}

static void
cond_timeout_body(struct fixture *f)
{
    struct waiter w[3];

    for (int i = 0; i < 3; i++) {
        w[i] = (struct waiter){.f = f, .c = (char)('a' + i), .deadline_ns = PLAT_NEVER_NS};
        if (i == 1)
            w[i].deadline_ns = ult_now_ns() + MS;
        spawn(f, i, cond_wait_log, &w[i]);
    }
    ult_join(f->ults[1]);
    EXPECT_EQ(w[1].rc, -DER_TIMEDOUT);
    EXPECT_GE(plat_mono_ns(f->plat), w[1].deadline_ns);
    ult_cond_signal(&f->cond);
    ult_cond_signal(&f->cond); /* must skip the one that left */
    ult_join(f->ults[0]);
    ult_join(f->ults[2]);
    EXPECT_STR_EQ(f->log, "tac");

    /* A deadline that has passed is a timeout, with the mutex held again. */
    ult_mutex_lock(&f->mutex);
    EXPECT_EQ(ult_cond_wait_until(&f->cond, &f->mutex, 0), -DER_TIMEDOUT);
    ult_mutex_unlock(&f->mutex);
}

TEST_ON(ult_wait, cond_times_out, BACKEND_BOTH)
{
    fixture_run_once(cond_timeout_body);
}

/* ---- timeout against wake-up ---------------------------------------------------------------------------------------- */

static void
set_eventual_fn(struct ult_timer *t)
{
    struct fixture *f = t->arg;

    ult_eventual_set(&f->eventual, 5);
}

static void
wait_eventual_log(void *arg)
{
    struct waiter *w = arg;

    w->rc = ult_eventual_wait_until(&w->f->eventual, w->deadline_ns);
    fixture_log(w->f, w->rc == 5 ? w->c : 't');
}

/* Both are due in one step; the one armed first wins, and the other does nothing. */
static void
race_body(struct fixture *f)
{
    uint64_t t = ult_now_ns() + MS;
    struct waiter before = {.f = f, .c = 'b', .deadline_ns = t};
    struct waiter after = {.f = f, .c = 'a', .deadline_ns = t};
    struct ult_timer timer;

    ult_timer_init(&timer, f->xs, set_eventual_fn, f);
    spawn(f, 0, wait_eventual_log, &before);
    ult_yield(); /* its timer is armed */
    ult_timer_set(&timer, t);
    spawn(f, 1, wait_eventual_log, &after);
    join_all(f, 2);
    EXPECT_EQ(before.rc, -DER_TIMEDOUT);
    EXPECT_EQ(after.rc, 5);
    EXPECT(f->eventual.is_set);
    EXPECT_EQ(ult_eventual_wait_until(&f->eventual, 0), 5); /* set beats a passed deadline */
}

TEST_ON(ult_wait, timeout_races_with_set, BACKEND_BOTH)
{
    fixture_run_once(race_body);
}

static void
race_after_wake_body(struct fixture *f)
{
    struct waiter w = {.f = f, .c = 'a', .deadline_ns = ult_now_ns() + MS};

    spawn(f, 0, wait_eventual_log, &w);
    ult_yield();
    ult_eventual_set(&f->eventual, 5);
    while (plat_mono_ns(f->plat) < w.deadline_ns) /* ready, but it has not run when its deadline passes */
    {
        ult_sleep_until(w.deadline_ns);
    }
    ult_join(f->ults[0]);
    EXPECT_EQ(w.rc, 5);
    EXPECT_STR_EQ(f->log, "a");
}

TEST_ON(ult_wait, a_woken_waiter_does_not_time_out, BACKEND_BOTH)
{
    fixture_run_once(race_after_wake_body);
}

/* ---- eventual ------------------------------------------------------------------------------------------------------- */

static void
eventual_body(struct fixture *f)
{
    struct waiter w[3];

    for (int i = 0; i < 3; i++) {
        w[i] = (struct waiter){.f = f, .c = (char)('a' + i), .deadline_ns = PLAT_NEVER_NS};
        spawn(f, i, wait_eventual_log, &w[i]);
    }
    EXPECT_EQ(ult_eventual_wait_until(&f->eventual, ult_now_ns() + MS), -DER_TIMEDOUT);
    EXPECT_EQ(f->log_nr, 0);
    ult_eventual_set(&f->eventual, 5);
    EXPECT_EQ(f->log_nr, 0); /* a setter is not suspended */
    EXPECT_EQ(ult_eventual_wait(&f->eventual), 5);
    join_all(f, 3);
    EXPECT_STR_EQ(f->log, "abc");
}

TEST_ON(ult_wait, eventual_wakes_all_in_order, BACKEND_BOTH)
{
    fixture_run_once(eventual_body);
}

struct shared {
    struct ult_eventual e;
    int users_nr;
};

static void
wait_and_free(void *arg)
{
    struct shared *s = arg;

    EXPECT_EQ(ult_eventual_wait(&s->e), -DER_NOSPACE);
}

/* ULT-10: the first waiter to run frees the eventual; the others must not look at it. AddressSanitizer is the judge. */
static void
eventual_free_body(struct fixture *f)
{
    struct shared *s = calloc(1, sizeof(*s));

    ult_eventual_init(&s->e);
    spawn(f, 0, wait_and_free, s);
    spawn(f, 1, wait_and_free, s);
    ult_yield();
    ult_eventual_set(&s->e, -DER_NOSPACE);
    memset(s, 0xee, sizeof(*s));
    free(s);
    join_all(f, 2);
}

TEST_ON(ult_wait, eventual_may_be_freed_after_set, BACKEND_BOTH)
{
    fixture_run_once(eventual_free_body);
}

/* ---- semaphore ------------------------------------------------------------------------------------------------------ */

static void
take_log(void *arg)
{
    struct waiter *w = arg;

    ult_sem_take(&w->f->sem, w->nr);
    fixture_log(w->f, w->c);
}

static void
sem_body(struct fixture *f)
{
    struct waiter w[] = {{.f = f, .c = 'a', .nr = 2}, {.f = f, .c = 'b', .nr = 5},
        {.f = f, .c = 'c', .nr = 1}, {.f = f, .c = 'd', .nr = 1}};

    for (int i = 0; i < 4; i++) {
        spawn(f, i, take_log, &w[i]);
    }
    ult_yield();
    ult_sem_give(&f->sem, 1);
    ult_yield();
    EXPECT_EQ(f->log_nr, 0);
    EXPECT(!ult_sem_trytake(&f->sem, 1)); /* there is one, but others wait */
    ult_sem_give(&f->sem, 1);
    ult_yield();
    EXPECT_STR_EQ(f->log, "a");
    ult_sem_give(&f->sem, 4);
    ult_yield();
    EXPECT_STR_EQ(f->log, "a"); /* c would fit, but b is first */
    ult_sem_give(&f->sem, 3);
    ult_yield();
    EXPECT_STR_EQ(f->log, "abcd");
    EXPECT_EQ(f->sem.avail, 0);
    join_all(f, 4);
    ult_sem_give(&f->sem, 2);
    EXPECT(!ult_sem_trytake(&f->sem, 3));
    EXPECT(ult_sem_trytake(&f->sem, 2));
    ult_sem_take(&f->sem, 0);
}

TEST_ON(ult_wait, semaphore_is_first_come_first_served, BACKEND_BOTH)
{
    fixture_run_once(sem_body);
}
