/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Hybrid logical clock arithmetic: the 64-bit epochs stamped on every operation.
 *
 * A tick is 1/16 ns since 2021-01-01T00:00:00Z. The low 18 bits are a counter, so that physical time has a grain of 2^18 ticks (16.384 us)
 * and the range ends in 2057. Time is an argument: nothing here reads a clock.
 *
 * HLC-1  Values given out by one clock strictly increase.
 * HLC-2  After hlc_recv() of a message, everything given out is above that message's time.
 */
#ifndef CAIRN_BASE_HLC_H
#define CAIRN_BASE_HLC_H

#include <stdint.h>

#include "base/err.h"

#define HLC_LOGICAL_BITS 18
#define HLC_LOGICAL_MASK ((UINT64_C(1) << HLC_LOGICAL_BITS) - 1)
/** Unix time of tick 0. */
#define HLC_ORIGIN_UNIX_NS UINT64_C(1609459200000000000)
/** Default of how far another's clock may lead ours. */
#define HLC_EPSILON_NS UINT64_C(1000000000)

/** One per process or engine; owned by one xstream or guarded by its owner. Zero is "never used". */
struct hlc_clock {
    uint64_t last; /* newest value given out or merged */
};

/** Physical part for a Unix time in nanoseconds (before the origin: 0; after the end of the range: the largest value). */
uint64_t hlc_from_unix_ns(uint64_t unix_ns);

/** Unix time of a value, including its counter, in nanoseconds. */
uint64_t hlc_to_unix_ns(uint64_t hlc);

/** *hlc* plus a duration, saturating. */
uint64_t hlc_add_ns(uint64_t hlc, uint64_t ns);

/** Next value at wall clock *wall_ns* (Unix time): above everything before (HLC-1). */
uint64_t hlc_now(struct hlc_clock *clock, uint64_t wall_ns);

/**
 * Merge the time of a received message (HLC-2). Errors: HLC_SYNC it leads *wall_ns* by more than *eps_ns*; the clock is unchanged.
 */
CAIRN_MUST_CHECK int
hlc_recv(struct hlc_clock *clock, uint64_t msg_hlc, uint64_t wall_ns, uint64_t eps_ns);

/** Never give out values at or below *bound* again (restart, ST-6). */
void hlc_raise(struct hlc_clock *clock, uint64_t bound);

#endif /* CAIRN_BASE_HLC_H */
