/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Life of an object as a table: named states, allowed moves, and a trace of the last ones. A move that the table does not allow is a
 * programmer error and trips an assertion that names the object's type, where it was, how it got there and where it was to go.
 */
#ifndef CAIRN_BASE_SM_H
#define CAIRN_BASE_SM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SM_STATES_MAX 32
#define SM_TRACE_NR 7

/** Allowed moves of one state: `SM_TO(A) | SM_TO(B)`. */
#define SM_TO(state) (UINT32_C(1) << (state))

struct sm_state_def {
    const char *name;
    uint32_t to; /* bit set of the states that may follow */
};

/** Constant table of one type of object. */
struct sm_def {
    const char *name;
    const struct sm_state_def *states;
    uint32_t states_nr; /* at most SM_STATES_MAX */
};

/** Part of the object; owned by whoever owns the object. */
struct sm {
    const struct sm_def *def;
    uint32_t moves_nr;
    uint8_t state;
    uint8_t trace[SM_TRACE_NR]; /* states left, oldest overwritten first */
};

/** Put a new object into its first state. */
void sm_init(struct sm *sm, const struct sm_def *def, uint32_t state);

/** Whether the table allows the move. */
bool sm_can_move(const struct sm *sm, uint32_t to);

/** Move; asserts that it is allowed. */
void sm_move(struct sm *sm, uint32_t to);

static inline uint32_t
sm_state(const struct sm *sm)
{
    return sm->state;
}

static inline bool
sm_is(const struct sm *sm, uint32_t state)
{
    return sm->state == state;
}

const char *sm_state_name(const struct sm *sm);

/** "type: A > B > C" with the last moves, into *buf*; returns *buf*. */
char *sm_to_text(const struct sm *sm, char *buf, size_t buf_bytes);

#endif /* CAIRN_BASE_SM_H */
