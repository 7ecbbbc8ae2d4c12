/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: timers fire in order of (time, order of setting), once, whatever is set, moved and cancelled around them (ULT-8).
 * Method: a few thousand random operations against a plain array in which the next one is searched; then the edges.
 */
#include "ult_test.h"

enum { TIMERS_NR = 200, ROUNDS_NR = 20000 };

struct model {
    struct fixture f;
    struct ult_timer timers[TIMERS_NR];
    struct {
        bool is_set;
        uint64_t at_ns, seq;
    } want[TIMERS_NR];
    uint64_t seq;
    uint64_t fired_nr;
};

/* Index of the one that must fire next; -1: none is due. */
static int
model_next(const struct model *m, uint64_t now_ns)
{
    int best = -1;

    for (int i = 0; i < TIMERS_NR; i++) {
        if (!m->want[i].is_set || m->want[i].at_ns > now_ns)
            continue;
        if (best < 0 || m->want[i].at_ns < m->want[best].at_ns ||
            (m->want[i].at_ns == m->want[best].at_ns && m->want[i].seq < m->want[best].seq))
            best = i;
    }
    return best;
}

static void
model_fired(struct ult_timer *t)
{
    struct model *m = t->arg;
    int idx = (int)(t - m->timers);

    EXPECT_EQ(idx, model_next(m, m->f.fake.now_ns));
    m->want[idx].is_set = false;
    m->fired_nr++;
}

TEST(ult_timer, agrees_with_a_plain_array)
{
    struct model *m = calloc(1, sizeof(*m));
    uint64_t state = test_seed();

    fixture_init(&m->f, NULL);
    for (int i = 0; i < TIMERS_NR; i++) {
        ult_timer_init(&m->timers[i], m->f.xs, model_fired, m);
    }
    for (int round = 0; round < ROUNDS_NR && !test_failed(); round++) {
        int i = (int)(test_rand(&state) % TIMERS_NR);
        uint64_t op = test_rand(&state) % 8;

        if (op < 5) { /* few distinct times, so that order of setting matters */
            m->want[i].at_ns = m->f.fake.now_ns + test_rand(&state) % 16 * 100;
            m->want[i].seq = m->seq++;
            m->want[i].is_set = true;
            ult_timer_set(&m->timers[i], m->want[i].at_ns);
        } else if (op < 7) {
            m->want[i].is_set = false;
            ult_timer_cancel(&m->timers[i]);
        } else {
            m->f.fake.now_ns += test_rand(&state) % 300;
            xstream_step(m->f.xs);
            EXPECT_EQ(model_next(m, m->f.fake.now_ns), -1); /* none was left out */
        }
    }
    EXPECT_GT(m->fired_nr, 1000);
    for (int i = 0; i < TIMERS_NR; i++) {
        ult_timer_cancel(&m->timers[i]);
    }
    EXPECT_EQ(xstream_step(m->f.xs), PLAT_NEVER_NS);
    fixture_fini(&m->f);
    free(m);
}

struct pair {
    struct ult_timer timer;
    struct ult_timer *other;
    int fired_nr;
};

static void
rearm_fn(struct ult_timer *t)
{
    struct pair *p = t->arg;

    p->fired_nr++;
    ult_timer_set(t, 0);
}

/* A timer that sets itself for a time that has passed does not hold up the step. */
TEST(ult_timer, set_by_itself_fires_once_a_step)
{
    struct fixture f;
    struct pair p = {.fired_nr = 0};

    fixture_init(&f, NULL);
    ult_timer_init(&p.timer, f.xs, rearm_fn, &p);
    ult_timer_set(&p.timer, f.fake.now_ns);
    EXPECT_EQ(xstream_step(f.xs), 0); /* due again, so do not sleep */
    EXPECT_EQ(p.fired_nr, 1);
    EXPECT_EQ(xstream_step(f.xs), 0);
    EXPECT_EQ(p.fired_nr, 2);
    ult_timer_cancel(&p.timer);
    EXPECT_EQ(xstream_step(f.xs), PLAT_NEVER_NS);
    EXPECT_EQ(p.fired_nr, 2);
    fixture_fini(&f);
}

static void
cancel_other_fn(struct ult_timer *t)
{
    struct pair *p = t->arg;

    p->fired_nr++;
    EXPECT(xstream_self() == t->xs);
    EXPECT(ult_self() == NULL);
    ult_timer_cancel(p->other);
}

TEST(ult_timer, callback_may_cancel_one_that_is_due)
{
    struct fixture f;
    struct pair a = {.fired_nr = 0}, b = {.fired_nr = 0};

    fixture_init(&f, NULL);
    ult_timer_init(&a.timer, f.xs, cancel_other_fn, &a);
    ult_timer_init(&b.timer, f.xs, cancel_other_fn, &b);
    a.other = &b.timer;
    b.other = &a.timer;
    ult_timer_set(&a.timer, f.fake.now_ns);
    ult_timer_set(&b.timer, f.fake.now_ns);
    EXPECT_EQ(xstream_step(f.xs), PLAT_NEVER_NS);
    EXPECT_EQ(a.fired_nr, 1);
    EXPECT_EQ(b.fired_nr, 0);
    EXPECT(!b.timer.is_set);
    ult_timer_cancel(&b.timer); /* not set: nothing happens */
    fixture_fini(&f);
}
