/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/hlc.h"

#include "base/util.h"

#define HLC_TICKS_PER_NS 16
#define HLC_NS_MAX (UINT64_MAX / HLC_TICKS_PER_NS)

uint64_t
hlc_from_unix_ns(uint64_t unix_ns)
{
    uint64_t ns;

    if (unix_ns < HLC_ORIGIN_UNIX_NS)
        return 0;
    ns = MIN(unix_ns - HLC_ORIGIN_UNIX_NS, HLC_NS_MAX);
    return ns * HLC_TICKS_PER_NS & ~HLC_LOGICAL_MASK;
}

uint64_t
hlc_to_unix_ns(uint64_t hlc)
{
    return hlc / HLC_TICKS_PER_NS + HLC_ORIGIN_UNIX_NS;
}

uint64_t
hlc_add_ns(uint64_t hlc, uint64_t ns)
{
    uint64_t ticks;

    if (!mul_u64(ns, HLC_TICKS_PER_NS, &ticks) || !add_u64(hlc, ticks, &hlc))
        return UINT64_MAX;
    return hlc;
}

uint64_t
hlc_now(struct hlc_clock *clock, uint64_t wall_ns)
{
    uint64_t physical = hlc_from_unix_ns(wall_ns);

    clock->last = MAX(physical, clock->last + 1);
    return clock->last;
}

int
hlc_recv(struct hlc_clock *clock, uint64_t msg_hlc, uint64_t wall_ns, uint64_t eps_ns)
{
    uint64_t physical = hlc_from_unix_ns(wall_ns);

    if (msg_hlc > clock->last && msg_hlc > (hlc_add_ns(physical, eps_ns) | HLC_LOGICAL_MASK))
        return CAIRN_ERR(HLC_SYNC);
    clock->last = MAX(clock->last, msg_hlc);
    return 0;
}

void
hlc_raise(struct hlc_clock *clock, uint64_t bound)
{
    clock->last = MAX(clock->last, bound);
}
