/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: ULTs run, yield in order, sleep, end and are joined; limits hold; slots are inherited; yields in no-yield regions are caught.
 * Method: bodies that log one character for each thing that happens, compared with the order that ULT-3 and ULT-11 ask for.
 */
#include "ult_test.h"

struct letter {
    struct fixture *f;
    char c;
    int times;
};

static void
log_and_yield(void *arg)
{
    struct letter *l = arg;

    for (int i = 0; i < l->times; i++) {
        fixture_log(l->f, l->c);
        ult_yield();
    }
}

static void
round_robin_body(struct fixture *f)
{
    struct letter a = {f, 'a', 3}, b = {f, 'b', 2}, c = {f, 'c', 4};
    struct ult *ua = must_create(f, ULT_IO, log_and_yield, &a);
    struct ult *ub = must_create(f, ULT_IO, log_and_yield, &b);
    struct ult *uc = must_create(f, ULT_IO, log_and_yield, &c);

    ult_join(uc); /* last to end, joined first */
    ult_join(ua);
    ult_join(ub);
    EXPECT_STR_EQ(f->log, "abcabcacc");
}

TEST(ult_thread, yield_is_round_robin)
{
    fixture_run_once(round_robin_body);
}
