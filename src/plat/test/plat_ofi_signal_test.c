/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: an application keeps its signal handlers when the fabric's library is loaded, which brings along others that take them. Method: a
 * program of its own, since that happens once in a process; it begins with nothing loaded.
 */
#include <dlfcn.h>
#include <signal.h>

#include "base/util.h"
#include "plat/test/plat_test_fix.h"

static void
on_signal(int sig)
{
    (void)sig;
}

TEST_LINUX(plat_ofi_signal, handlers_stay, "signals are Linux's")
{
    static const int sigs[] = {SIGTERM, SIGINT, SIGABRT, SIGUSR1};
    static const struct net_cbs cbs = {0};
    const struct net_ops *ops;
    struct sigaction before, now;
    struct net *net = NULL;
    struct fix f;

    if (!fix_init(&f))
        return;
    EXPECT(dlopen("libfabric.so.1", RTLD_NOW | RTLD_NOLOAD) == NULL);
    for (uint32_t i = 0; i < ARRAY_SIZE(sigs); i++) {
        EXPECT(signal(sigs[i], on_signal) != SIG_ERR);
    }
    EXPECT(signal(SIGHUP, SIG_IGN) != SIG_ERR);
    EXPECT_EQ(sigaction(SIGBUS, NULL, &before), 0);
    ops = f.plat->ops->net(f.plat, "ofi+tcp://127.0.0.1:0");
    if (EXPECT_OK(ops->open(f.plat, f.loop, "ofi+tcp://127.0.0.1:0", &cbs, NULL, &net))) {
        EXPECT(dlopen("libfabric.so.1", RTLD_NOW | RTLD_NOLOAD) != NULL);
        for (uint32_t i = 0; i < ARRAY_SIZE(sigs); i++) {
            EXPECT_EQ(sigaction(sigs[i], NULL, &now), 0);
            EXPECT(now.sa_handler == on_signal);
        }
        EXPECT_EQ(sigaction(SIGHUP, NULL, &now), 0);
        EXPECT(now.sa_handler == SIG_IGN);
        EXPECT_EQ(sigaction(SIGBUS, NULL, &now), 0);
        EXPECT(now.sa_handler == before.sa_handler);
        ops->close(net);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(sigs); i++) {
        EXPECT(signal(sigs[i], SIG_DFL) != SIG_ERR);
    }
    fix_fini(&f);
}
