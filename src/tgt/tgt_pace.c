/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* How much of the processor work in the background takes. Tested by test/tgt_agg_test.c. */
#include "tgt_priv.h"

/* Shorter pieces of work are summed up; longer rests are cut, so that a target that stops does not wait. */
#define WORK_NS_MIN UINT64_C(100000)
#define REST_NS_MAX UINT64_C(50000000)

bool
tgt_pace(struct tgt *tgt, struct tgt_pace *pace, uint32_t rest)
{
    uint64_t now_ns = plat_mono_ns(xstream_plat(tgt->xs)), work_ns;
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
    if (rest > 0 && is_busy) {
        ult_sleep(MIN(work_ns * rest, REST_NS_MAX));
    } else {
        ult_yield(); /* nobody to leave the processor to, but for who waits right now */
    }
    pace->since_ns = plat_mono_ns(xstream_plat(tgt->xs));
    return sm_is(&tgt->sm, TGT_SERVING);
}
