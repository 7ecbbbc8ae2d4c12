/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Whether to poll before a sleep: polling pays where the event comes while this end polls on a CPU of its own. The score rises with each wait in which it did and falls
 * with each in which it did not; at 0 only a probe polls, one wait in SPIN_PROBE_LO at first, in twice as many after each probe in vain, up to SPIN_PROBE_HI.
 *
 *   SPIN-1  An event that came soon after polling ended counts against polling: where both ends of a connection share one CPU, polling only keeps the other end from
 *           running, and the event comes as soon as this end sleeps.
 *   SPIN-2  What is there at the first look teaches nothing: it would be there without polling as well.
 *           Nor does a loop poll on where every other wait is for a completion of its own, found soon (libfabric), and every other one in vain.
 *   SPIN-3  An idle loop, woken by its timers only, soon does not poll at all.
 *
 * Tested by plat_spin_test.c, in a model of two ends that share a CPU or do not.
 */
#ifndef CAIRN_PLAT_LINUX_SPIN_H
#define CAIRN_PLAT_LINUX_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SPIN_SCORE_MAX = 16,
    SPIN_SCORE_START = 4,
    SPIN_HIT = 2, /* added when polling found an event, which saves a wake-up: 20 to 40 us */
    SPIN_MISS = 4, /* taken off when it did not, which cost the time of polling: 50 us */
    SPIN_PROBE_LO = 16,
    SPIN_PROBE_HI = 256,
};

struct spin {
    int score; /* 0..SPIN_SCORE_MAX */
    uint32_t probe; /* at score 0: waits until one polls */
    uint32_t skipped_nr; /* of them, so far */
};

static inline void
spin_init(struct spin *spin)
{
    *spin = (struct spin){.score = SPIN_SCORE_START, .probe = SPIN_PROBE_LO};
}

/** Does this wait poll? Asked once for each wait. */
static inline bool
spin_is_due(struct spin *spin)
{
    return spin->score > 0 || ++spin->skipped_nr >= spin->probe;
}

/** What came of it, when it took more than one look (SPIN-2). */
static inline void
spin_learn(struct spin *spin, bool found)
{
    spin->skipped_nr = 0;
    if (found) {
        spin->score =
            spin->score + SPIN_HIT > SPIN_SCORE_MAX ? SPIN_SCORE_MAX : spin->score + SPIN_HIT;
        spin->probe = SPIN_PROBE_LO;
    } else if (spin->score > 0) {
        spin->score = spin->score > SPIN_MISS ? spin->score - SPIN_MISS : 0;
    } else if (spin->probe < SPIN_PROBE_HI) {
        spin->probe *= 2;
    }
}

#endif
