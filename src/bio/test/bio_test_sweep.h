/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Each allocation, or each disk operation, of a call fails once: what the sweeps over the public calls of bio and of vos share. */
#ifndef CAIRN_BIO_TEST_SWEEP_H
#define CAIRN_BIO_TEST_SWEEP_H

#include <stdio.h>
#include <stdlib.h>

#include "base/probe.h"
#include "bio_test_shim.h"
#include "harness/harness.h"

struct sweep {
    uint64_t n; /* which fails */
    uint64_t fired_nr; /* that failed, over all runs */
    bool is_alloc;
    bool is_done; /* nothing failed in the last run */
};

static inline void
sweep_arm(const struct sweep *s, uint64_t nth)
{
    if (s->is_alloc) {
        fault_arm_nth(nth);
    } else {
        disk_shim_arm(nth);
    }
}

/** The call with the next failure. Answers what it answered: success, or a failure that was made to happen. */
static inline int
sweep_run(struct sweep *s, int (*run)(void *arg), void *arg)
{
    uint64_t fired;
    int rc;

    sweep_arm(s, ++s->n);
    rc = run(arg);
    fired = s->is_alloc ? fault_fired_nr() : disk_shim.fired_nr;
    sweep_arm(s, 0);
    s->fired_nr += fired;
    s->is_done = fired == 0;
    EXPECT(rc == 0 || fired > 0);
    EXPECT(rc == 0 || rc == (s->is_alloc ? -DER_NOMEM : -DER_NVME_IO) || rc == -DER_SHUTDOWN);
    return rc;
}

/** Sweep through calls 0 to nr - 1: sweep() answers how many failures there were, and says in *ret_names of what. */
static inline void
sweep_all(uint64_t (*sweep)(uint32_t i, bool is_alloc, const char **ret_names), uint32_t nr,
    bool is_alloc)
{
    const char *names = "";
    uint64_t fired = 0;

    for (uint32_t i = 0; i < nr && !test_failed(); i++) {
        uint64_t n = sweep(i, is_alloc, &names);

        if (getenv("CAIRN_TEST_LOG") != NULL)
            fprintf(stderr, "    %s: %llu failures\n", names, (unsigned long long)n);
        fired += n;
    }
    EXPECT_GT(fired, (is_alloc ? 1 : 3) * nr);
}

#endif
