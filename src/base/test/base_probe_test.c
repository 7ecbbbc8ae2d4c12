/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: places are found by name, counted, and inject exactly what was armed. Method: a function with points of both kinds.
 */
#include "base/probe.h"

#include "base/err.h"
#include "harness/harness.h"

static int
step(void)
{
    CAIRN_PROBE("test.step.enter");
    if (CAIRN_FAULT("test.step.first"))
        return CAIRN_ERR(IO);
    if (CAIRN_FAULT("test.step.second"))
        return CAIRN_ERR(NOMEM);
    return 0;
}

TEST(base_probe, places_are_registered_and_counted)
{
    probe_reset();
    EXPECT_EQ(probe_nr(), 3);
    EXPECT_EQ(probe_hits("test.step.enter"), 0);
    EXPECT_OK(step());
    EXPECT_OK(step());
    EXPECT_EQ(probe_hits("test.step.enter"), 2);
    EXPECT_EQ(probe_hits("test.step.none"), 0);
    EXPECT(probe_find("test.step.none") == NULL);
    EXPECT(!probe_find("test.step.enter")->is_fault);
    EXPECT(probe_find("test.step.first")->is_fault);
    EXPECT_GT(probe_at(0)->line, 0);
    probe_reset();
    EXPECT_EQ(probe_hits("test.step.enter"), 0);
}

TEST(base_probe, armed_faults_fire_as_often_as_asked)
{
    probe_reset();
    EXPECT(!fault_arm("test.step.enter", 0, 1));
    EXPECT(!fault_arm("test.nothing", 0, 1));
    EXPECT(fault_arm("test.step.second", 1, 2));
    EXPECT_OK(step());
    EXPECT_ERR(step(), NOMEM);
    EXPECT_ERR(step(), NOMEM);
    EXPECT_OK(step());
    EXPECT_EQ(fault_fired_nr(), 2);
    EXPECT_EQ(probe_find("test.step.second")->fired, 2);
    EXPECT(fault_arm("test.*", 0, 1));
    EXPECT_ERR(step(), IO);
    EXPECT_ERR(step(), NOMEM);
    EXPECT_OK(step());
    EXPECT(fault_arm("test.step.first", 0, 9));
    fault_disarm_all();
    EXPECT_OK(step());
}

TEST(base_probe, sweep_reaches_each_point_once_and_ends)
{
    int failures = 0;
    uint64_t nth = 1;

    for (;; nth++) {
        int rc;

        fault_arm_nth(nth);
        rc = step();
        EXPECT_EQ(rc != 0, fault_fired_nr() == 1);
        if (fault_fired_nr() == 0)
            break;
        failures++;
    }
    fault_arm_nth(0);
    EXPECT_EQ(failures, 2);
    EXPECT_OK(step());
}
