/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: assertions end the process or reach the hook, say what failed, and cost nothing else; state tables refuse moves.
 * Method: the hook jumps back into the test; real aborts run in a forked child.
 */
#define CAIRN_DEBUG_ASSERTS 1
#include "base/assert.h"

#include <setjmp.h>
#include <string.h>

#include "base/sm.h"
#include "harness/harness.h"

struct caught {
    jmp_buf env;
    char expr[256];
    int line;
};

static void
catch_assert(const char *expr, const char *file, int line, void *arg)
{
    struct caught *caught = arg;

    (void)file;
    strncpy(caught->expr, expr, sizeof(caught->expr) - 1);
    caught->line = line;
    longjmp(caught->env, 1);
}

static void
ignore_assert(const char *expr, const char *file, int line, void *arg)
{
    (void)expr;
    (void)file;
    (void)line;
    (void)arg;
}

TEST(base_assert, hook_hears_of_it)
{
    static struct caught caught;
    static int value;

    value = 3;
    assert_hook_set(catch_assert, &caught);
    if (setjmp(caught.env) == 0) {
        CAIRN_ASSERT(value == 3);
        CAIRN_ASSERT(value == 4);
        value = 100;
    }
    EXPECT_EQ(value, 3);
    EXPECT_STR_EQ(caught.expr, "value == 4");
    EXPECT_GT(caught.line, 0);
    if (setjmp(caught.env) == 0) {
        CAIRN_DASSERT(ERGO(value == 3, value > 5));
        value = 100;
    }
    EXPECT_EQ(value, 3);
    if (setjmp(caught.env) == 0)
        CAIRN_UNREACHABLE();
    EXPECT_STR_EQ(caught.expr, "unreachable");
    assert_hook_set(NULL, NULL);
    EXPECT(ERGO(false, false));
    EXPECT(!ERGO(true, false));
}

TEST(base_assert, death_without_hook_and_with_one_that_returns)
{
    EXPECT_DEATH(CAIRN_ASSERT(1 + 1 == 3));
    assert_hook_set(ignore_assert, NULL);
    EXPECT_DEATH(CAIRN_ASSERT(false));
    assert_hook_set(NULL, NULL);
}

enum { LIFE_NEW, LIFE_OPEN, LIFE_CLOSED };

static const struct sm_state_def life_states[] = {
    [LIFE_NEW] = {"NEW", SM_TO(LIFE_OPEN)},
    [LIFE_OPEN] = {"OPEN", SM_TO(LIFE_OPEN) | SM_TO(LIFE_CLOSED)},
    [LIFE_CLOSED] = {"CLOSED", 0},
};
static const struct sm_def life_def = {"life", life_states, 3};

TEST(base_sm, moves_follow_the_table)
{
    static struct caught caught;
    static struct sm sm;
    char text[128];

    sm_init(&sm, &life_def, LIFE_NEW);
    EXPECT(sm_is(&sm, LIFE_NEW));
    EXPECT(!sm_can_move(&sm, LIFE_CLOSED));
    EXPECT(!sm_can_move(&sm, 77));
    sm_move(&sm, LIFE_OPEN);
    EXPECT_STR_EQ(sm_state_name(&sm), "OPEN");
    EXPECT_STR_EQ(sm_to_text(&sm, text, sizeof(text)), "life: NEW > OPEN");

    assert_hook_set(catch_assert, &caught);
    if (setjmp(caught.env) == 0)
        sm_move(&sm, LIFE_NEW);
    assert_hook_set(NULL, NULL);
    EXPECT_STR_EQ(caught.expr, "life: NEW > OPEN may not move to NEW");
    EXPECT(sm_is(&sm, LIFE_OPEN));

    for (int i = 0; i < 20; i++) {
        sm_move(&sm, LIFE_OPEN);
    }
    sm_move(&sm, LIFE_CLOSED);
    EXPECT_EQ(sm.moves_nr, 22);
    EXPECT_STR_EQ(sm_to_text(&sm, text, sizeof(text)),
        "life: OPEN > OPEN > OPEN > OPEN > OPEN > OPEN > OPEN > CLOSED");
    EXPECT_STR_EQ(sm_to_text(&sm, text, 8), "life: O");
    EXPECT_DEATH(sm_move(&sm, LIFE_OPEN));
}
