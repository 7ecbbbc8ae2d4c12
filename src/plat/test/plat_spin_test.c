/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * plat_linux_spin.h in a model: two ends answer each other in turn, each with a policy of its own. Times are numbers of the model; the machine's clock plays no part.
 */
#include "harness/harness.h"
#include "plat/linux/plat_linux_spin.h"

enum { WORK_US = 5, SWITCH_US = 2, POLL_US = 50 };

struct model {
    struct spin ends[2];
    bool is_asleep[2];
    bool is_shared; /* one CPU for both */
    uint32_t wake_us;
};

static void
model_init(struct model *m, bool is_shared, uint32_t wake_us)
{
    *m = (struct model){.is_shared = is_shared, .wake_us = wake_us};
    spin_init(&m->ends[0]);
    spin_init(&m->ends[1]);
}

/*
 * End `me` has sent and waits until end 1 - me has worked and answered; how long that takes. On CPUs of their own the other end, if it sleeps, has to be woken first; on
 * a shared one it runs when this end sleeps.
 */
static uint32_t
turn(struct model *m, int me)
{
    bool polls = spin_is_due(&m->ends[me]);
    uint32_t comes_us = WORK_US + (m->is_asleep[1 - me] ? m->wake_us : 0);
    bool found = polls && !m->is_shared && comes_us <= POLL_US;

    if (polls)
        spin_learn(&m->ends[me], found);
    m->is_asleep[me] = !found;
    if (m->is_shared)
        return (polls ? POLL_US : 0) + SWITCH_US + WORK_US;
    return comes_us;
}

static double
round_us(struct model *m, int nr)
{
    uint64_t sum_us = 0;

    for (int i = 0; i < nr; i++) {
        sum_us += turn(m, 0) + turn(m, 1);
    }
    return (double)sum_us / nr;
}

/* Goal: ends with CPUs of their own poll, and after a pause that put both to sleep they are back at it within some round trips. */
TEST(plat_spin, own_cpus)
{
    struct model m;

    for (uint32_t wake_us = 10; wake_us <= 40; wake_us += 10) {
        model_init(&m, false, wake_us);
        EXPECT_LT(round_us(&m, 1000), 2 * WORK_US + 1);
        for (int end = 0; end < 2; end++) {
            m.is_asleep[end] = true;
        }
        EXPECT_LT(round_us(&m, 10), 2 * WORK_US + wake_us);
        EXPECT_LT(round_us(&m, 100), 2 * WORK_US + 1);
    }
}

/* Goal: ends that share a CPU stop polling. */
TEST(plat_spin, shared_cpu)
{
    struct model m;

    model_init(&m, true, 0);
    round_us(&m, 100);
    EXPECT_EQ(m.ends[0].score, 0);
    EXPECT_EQ(m.ends[1].score, 0);
    EXPECT_LT(round_us(&m, 10000), 2 * (SWITCH_US + WORK_US) + 1);
}

/* Goal: so they do where each of them first finds the completion of what it sent, which comes while it polls. */
TEST(plat_spin, shared_cpu_and_own_completions)
{
    struct model m;
    uint64_t sum_us = 0;

    model_init(&m, true, 0);
    for (int i = 0; i < 10000; i++) {
        for (int end = 0; end < 2; end++) {
            if (spin_is_due(&m.ends[end]))
                spin_learn(&m.ends[end], true);
            sum_us += turn(&m, end);
        }
    }
    EXPECT_LT(sum_us / 10000, 2 * (SWITCH_US + WORK_US) + POLL_US / 4);
}

/* Goal: from sharing to CPUs of their own and back: both are found out. */
TEST(plat_spin, moves_between_cpus)
{
    struct model m;

    model_init(&m, true, 20);
    round_us(&m, 10000);
    m.is_shared = false;
    round_us(&m, 2 * SPIN_PROBE_HI);
    EXPECT_LT(round_us(&m, 100), 2 * WORK_US + 1);
    m.is_shared = true;
    round_us(&m, 20);
    EXPECT_LT(round_us(&m, 1000), 2 * (SWITCH_US + WORK_US) + 5);
}

/* Goal: what never finds anything polls in one wait of SPIN_PROBE_HI. */
TEST(plat_spin, idle)
{
    struct spin spin;
    uint32_t polls_nr = 0;

    spin_init(&spin);
    for (int i = 0; i < 1000; i++) {
        if (spin_is_due(&spin))
            spin_learn(&spin, false);
    }
    for (int i = 0; i < 10 * SPIN_PROBE_HI; i++) {
        bool polls = spin_is_due(&spin);

        polls_nr += polls;
        if (polls)
            spin_learn(&spin, false);
    }
    EXPECT_EQ(polls_nr, 10);
}
