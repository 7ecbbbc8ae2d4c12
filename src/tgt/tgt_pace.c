/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * How much of the processor work in the background takes: work and rest are counted in the time that the thread had the processor, and a rest also while the thread had nothing to do.
 * So the share is the same when others have the processors, too. Timers are late, by much then: a rest that came out longer than meant counts for what comes after it. Tested by
 * test/tgt_agg_test.c.
 */
#include "tgt_priv.h"

/*
 * Shorter pieces of work are summed up, and nobody else runs between them; longer rests come in parts, so that a target that stops does not wait. What is owed at most: a process that was stopped for long
 * did not work meanwhile. What may be had in advance: a rest that was much too long is not followed by work that holds requests up.
 */
#define WORK_NS_MIN UINT64_C(100000)
#define REST_NS_MAX INT64_C(50000000)
#define OWED_NS_MAX INT64_C(2000000000)
#define AHEAD_NS_MAX INT64_C(200000000)

uint64_t
tgt_pace_owe(struct tgt_pace *pace, uint64_t work_ns, uint32_t rest)
{
    pace->work_ns += work_ns;
    pace->owed_ns += (int64_t)(MIN(work_ns, (uint64_t)OWED_NS_MAX) * rest);
    pace->owed_ns = MIN(pace->owed_ns, OWED_NS_MAX);
    return pace->owed_ns <= 0 ? 0 : (uint64_t)MIN(pace->owed_ns, REST_NS_MAX);
}

void
tgt_pace_rested(struct tgt_pace *pace, uint64_t rest_ns)
{
    pace->owed_ns -= (int64_t)MIN(rest_ns, (uint64_t)OWED_NS_MAX);
    pace->owed_ns = MAX(pace->owed_ns, -AHEAD_NS_MAX);
}

/* From here on time is counted. */
static void
since_now(struct tgt *tgt, struct tgt_pace *pace)
{
    pace->run_since_ns = ult_run_ns();
    pace->cpu_since_ns = plat_cpu_ns(xstream_plat(tgt->xs));
    pace->idle_since_ns = xstream_idle_ns(tgt->xs);
}

void
tgt_pace_resume(struct tgt *tgt, struct tgt_pace *pace)
{
    uint64_t cpu_ns = pace->cpu_since_ns, idle_ns = pace->idle_since_ns;

    if (!pace->is_begun)
        return;
    since_now(tgt, pace);
    tgt_pace_rested(pace, pace->cpu_since_ns - cpu_ns + pace->idle_since_ns - idle_ns);
}

/* Others run: for so long, or for once. */
static void
others_run(struct tgt *tgt, struct tgt_pace *pace, uint64_t rest_ns)
{
    struct plat *plat = xstream_plat(tgt->xs);
    uint64_t mono_ns = plat_mono_ns(plat), cpu_ns = plat_cpu_ns(plat);
    uint64_t idle_ns = xstream_idle_ns(tgt->xs);

    if (rest_ns > 0) {
        ult_sleep(rest_ns);
    } else {
        ult_yield();
    }
    since_now(tgt, pace);
    mono_ns = plat_mono_ns(plat) - mono_ns;
    tgt_pace_rested(pace, MIN(mono_ns, pace->cpu_since_ns - cpu_ns + pace->idle_since_ns - idle_ns));
}

bool
tgt_pace(struct tgt *tgt, struct tgt_pace *pace, uint32_t rest)
{
    uint64_t run_ns, work_ns, cpu_ns, rest_ns;
    bool is_busy;

    if (!pace->is_begun) {
        pace->is_begun = true;
        pace->ops_seen = tgt->stats.ops_nr;
        since_now(tgt, pace);
    }
    run_ns = ult_run_ns() - pace->run_since_ns;
    if (run_ns < WORK_NS_MIN) {
        if (run_ns == 0) /* a clock that stands still while somebody works: the simulator's */
            ult_yield();
        return sm_is(&tgt->sm, TGT_SERVING);
    }
    cpu_ns = plat_cpu_ns(xstream_plat(tgt->xs)) - pace->cpu_since_ns;
    work_ns = MIN(run_ns, cpu_ns);
    /* Requests do not run while this works: those that came in the rest or yield before count. */
    is_busy = tgt->stats.ops_nr != pace->ops_seen;
    pace->ops_seen = tgt->stats.ops_nr;
    tgt_pace_rested(pace, cpu_ns - work_ns); /* where it waited or yielded by itself */
    rest_ns = tgt_pace_owe(pace, work_ns, rest);
    if (rest > 0 && is_busy) {
        others_run(tgt, pace, rest_ns);
    } else {
        pace->owed_ns = 0;
        others_run(tgt, pace, 0); /* nobody to leave the processor to, but for who waits right now */
    }
    return sm_is(&tgt->sm, TGT_SERVING);
}
