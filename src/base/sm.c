/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/sm.h"

#include "base/assert.h"
#include "base/strbuf.h"
#include "base/util.h"

void
sm_init(struct sm *sm, const struct sm_def *def, uint32_t state)
{
    CAIRN_ASSERT(def->states_nr <= SM_STATES_MAX);
    CAIRN_ASSERT(state < def->states_nr);
    *sm = (struct sm){.def = def, .state = (uint8_t)state};
}

bool
sm_can_move(const struct sm *sm, uint32_t to)
{
    return to < sm->def->states_nr && (sm->def->states[sm->state].to & SM_TO(to)) != 0;
}

/* Say what was wrong, and end. */
__attribute__((noreturn, cold)) static void
move_refused(const struct sm *sm, uint32_t to)
{
    char history[160];
    char text[256];
    struct strbuf sb;

    strbuf_init(&sb, text, sizeof(text));
    strbuf_add(&sb, "%s may not move to %s", sm_to_text(sm, history, sizeof(history)),
        to < sm->def->states_nr ? sm->def->states[to].name : "an unknown state");
    assert_failed(text, __FILE__, __LINE__);
}

void
sm_move(struct sm *sm, uint32_t to)
{
    if (!sm_can_move(sm, to))
        move_refused(sm, to);
    sm->trace[sm->moves_nr % SM_TRACE_NR] = sm->state;
    sm->moves_nr++;
    sm->state = (uint8_t)to;
}

const char *
sm_state_name(const struct sm *sm)
{
    return sm->def->states[sm->state].name;
}

char *
sm_to_text(const struct sm *sm, char *buf, size_t buf_bytes)
{
    struct strbuf sb;
    uint32_t nr = MIN(sm->moves_nr, SM_TRACE_NR);

    strbuf_init(&sb, buf, buf_bytes);
    strbuf_add(&sb, "%s: ", sm->def->name);
    for (uint32_t i = nr; i > 0; i--) {
        uint8_t state = sm->trace[(sm->moves_nr - i) % SM_TRACE_NR];

        strbuf_add(&sb, "%s > ", sm->def->states[state].name);
    }
    strbuf_add_str(&sb, sm_state_name(sm));
    return buf;
}
