/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Is a recorded history of one thing (a key, a name, an attribute) linearizable? The record is kept outside the system (SM-3).
 *
 *   LIN-1  An operation with an answer takes effect at one moment between its invocation and its answer, and the answer is what the
 *          model gives at that moment.
 *   LIN-2  An operation without an answer (its client died, or gave up) takes effect at most once, at a moment between its invocation
 *          and its expiry, or never.
 *   LIN-3  Moments are totally ordered: an operation that began after another one ended comes after it.
 *
 * Method: the events (begin, end) are walked in order while the set of all (state, operations done so far of those open) that explain
 * what was seen is kept. An end demands that its operation is done: the sets that can get there go on, by doing open operations in any
 * order. An empty set is a violation. This is exact, also for operations that never ended; what grows with them is bounded by
 * SIMT_LIN_CONFIGS_MAX, and giving up is reported as such, never as success. Tested by simt_lin_test.c.
 */
#ifndef CAIRN_SIMT_LIN_H
#define CAIRN_SIMT_LIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SIMT_LIN_STATE_BYTES_MAX = 64,
    SIMT_LIN_OPEN_MAX = 64, /* operations open at one moment */
    SIMT_LIN_CONFIGS_MAX = 400000,
};
#define SIMT_LIN_NEVER UINT64_MAX

/* Order of events: simulated time, then a counter that never repeats. */
struct simt_lin_moment {
    uint64_t ns, seq;
};

struct simt_lin_op {
    struct simt_lin_moment begin,
        end; /* end of one without an answer: its expiry, or ns SIMT_LIN_NEVER */
    bool is_answered;
    const void *op; /* for the model */
};

struct simt_lin_model {
    size_t state_bytes;
    /* Do the operation in the state. False: its answer is not what the model gives there (state then of no matter). */
    bool (*step)(void *arg, const struct simt_lin_op *op, void *state);
    void *arg;
};

enum simt_lin_verdict { SIMT_LIN_OK, SIMT_LIN_BAD, SIMT_LIN_GAVE_UP };

struct simt_lin_result {
    const struct simt_lin_op *bad; /* the operation whose answer nothing explains */
    /* States that were possible before it, at most 8. */
    uint32_t state_nr;
    uint8_t states[8][SIMT_LIN_STATE_BYTES_MAX];
    uint32_t configs_max;
};

/** Check ops[0..nr), in any order, from the zeroed state on. */
enum simt_lin_verdict simt_lin_check(const struct simt_lin_model *model,
    const struct simt_lin_op *ops, uint32_t nr, struct simt_lin_result *ret_result);

#endif
