/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* SUITE(name) { uses rig }: one test that runs on every transport of either backend. */
#ifndef CAIRN_RPC_SUITE_H
#define CAIRN_RPC_SUITE_H

#include <stdio.h>

#include "rpc/test/rpc_rig.h"

static inline void
suite_run(void (*fn)(struct rig *rig))
{
    for (const char *const *transport = rig_transports(); *transport != NULL; transport++) {
        struct rig rig;
        bool was_failed = test_failed();

        if (rig_init(&rig, *transport, NULL)) {
            rig_run(&rig, fn);
            rig_fini(&rig);
        }
        if (test_failed() && !was_failed) {
            fprintf(stderr, "first failed over %s\n", *transport);
        }
    }
}

/* RPC_SUITE: the suite's name, set by the test file before it includes this. */
#define SUITE_DEFINE(suite, name) \
    static void suite_##name(struct rig *rig); \
    TEST_ON(suite, name, BACKEND_LINUX | BACKEND_SIM) \
    { \
        suite_run(suite_##name); \
    } \
    static void suite_##name(struct rig *rig)
#define SUITE_EXPAND(suite, name) SUITE_DEFINE(suite, name)
#define SUITE(name) SUITE_EXPAND(RPC_SUITE, name)

#endif
