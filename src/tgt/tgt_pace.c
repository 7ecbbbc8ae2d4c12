/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* How much of the processor work in the background takes. Tested by test/tgt_agg_test.c. */
#include "tgt_priv.h"

/*
 * Shorter pieces of work are summed up; longer rests come in parts, so that a target that stops does not wait. What is owed at most: a process that was stopped for long
 * did not work meanwhile.
 */
#define WORK_NS_MIN UINT64_C(100000)
#define REST_NS_MAX UINT64_C(50000000)
#define OWED_NS_MAX UINT64_C(2000000000)

uint64_t
tgt_pace_owe(struct tgt_pace *pace, uint64_t work_ns, uint32_t rest)
{
    pace->work_ns += work_ns;
    pace->owed_ns = MIN(pace->owed_ns + MIN(work_ns, OWED_NS_MAX) * rest, OWED_NS_MAX);
    return MIN(pace->owed_ns, REST_NS_MAX);
}

void
tgt_pace_rested(struct tgt_pace *pace, uint64_t rest_ns)
{
    pace->owed_ns -= MIN(pace->owed_ns, rest_ns);
}

bool
tgt_pace(struct tgt *tgt, struct tgt_pace *pace, uint32_t rest)
{
    uint64_t now_ns = ult_run_ns(), work_ns, rest_ns, begin_ns;
    bool is_busy;

    if (!pace->is_begun) {
        pace->is_begun = true;
        pace->since_ns = now_ns;
        pace->ops_seen = tgt->stats.ops_nr;
    }
    work_ns = now_ns - pace->since_ns;
    if (rest > 0 && work_ns < WORK_NS_MIN) {
        ult_yield();
        return sm_is(&tgt->sm, TGT_SERVING);
    }
    /* Requests do not run while this works: those that came in the rest or yield before count. */
    is_busy = tgt->stats.ops_nr != pace->ops_seen;
    pace->ops_seen = tgt->stats.ops_nr;
    rest_ns = tgt_pace_owe(pace, work_ns, rest);
    if (rest > 0 && is_busy) {
        begin_ns = plat_mono_ns(xstream_plat(tgt->xs));
        ult_sleep(rest_ns);
        tgt_pace_rested(pace, plat_mono_ns(xstream_plat(tgt->xs)) - begin_ns);
    } else {
        pace->owed_ns = 0;
        ult_yield(); /* nobody to leave the processor to, but for who waits right now */
    }
    pace->since_ns = ult_run_ns();
    return sm_is(&tgt->sm, TGT_SERVING);
}
