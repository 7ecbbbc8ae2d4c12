/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: RPC-13: a client with many requests at once does not keep another waiting for all of them; what one client asks begins in the
 * order in which it asked; requests of a client that is gone still run.
 * Method: server and clients in one thread, stepped by hand: all requests lie in the server's sockets before it looks at the first. Over
 * AF_UNIX, TCP, inproc and libfabric.
 */
#include <stdio.h>

#include "rpc/test/rpc_rig.h"

enum { MANY_NR = 100, LATE_NR_MAX = 8, ROUNDS_MAX = 200000 };
enum { INC_MANY = 4242 /* the rig's client */, INC_ONE = 555 };

struct turns {
    struct rig rig;
    struct rpc_ctx *one; /* the other client */
    uint32_t asked_nr, answered_nr;
    int rc_want;
};

static int
turns_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct turns *t = arg;

    (void)ep;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", t->rig.suri);
    ret_addr->incarnation = t->rig.sinc;
    return 0;
}

static uint64_t
turns_hlc_get(void *arg)
{
    (void)arg;
    return 4000;
}

static void
clients_step(struct turns *t)
{
    t->rig.cplat->ops->loop_poll(xstream_loop(t->rig.cxs));
    xstream_step(t->rig.cxs);
}

static void
server_step(struct turns *t)
{
    t->rig.splat->ops->loop_poll(xstream_loop(t->rig.sxs));
    xstream_step(t->rig.sxs);
}

static void
answered_wait(struct turns *t, uint32_t nr)
{
    for (int i = 0; i < ROUNDS_MAX && t->answered_nr < nr; i++) {
        clients_step(t);
        server_step(t);
    }
    EXPECT_EQ(t->answered_nr, nr);
}

static void
many_ask(void *arg)
{
    struct turns *t = arg;

    t->asked_nr++;
    EXPECT_EQ(rig_ping(&t->rig, RIG_LONG_NS), t->rc_want);
    t->answered_nr++;
}

static void
one_asks(void *arg)
{
    struct turns *t = arg;
    struct rig as_rig = {.cplat = t->rig.cplat, .ctx = t->one};

    t->asked_nr++;
    EXPECT_EQ(rig_ping(&as_rig, RIG_LONG_NS), t->rc_want);
    t->answered_nr++;
}

/* MANY_NR requests of one client, then one of the other, have left. */
static void
all_ask(struct turns *t)
{
    t->asked_nr = 0;
    t->answered_nr = 0;
    t->rig.server.ran_nr = 0;
    for (int i = 0; i < MANY_NR; i++) {
        EXPECT_OK(ult_create(t->rig.cxs, ULT_IO, many_ask, t, NULL));
    }
    for (int i = 0; i < 10; i++) {
        clients_step(t);
    }
    EXPECT_OK(ult_create(t->rig.cxs, ULT_IO, one_asks, t, NULL));
    for (int i = 0; i < 10; i++) {
        clients_step(t);
    }
    EXPECT_EQ(t->asked_nr, MANY_NR + 1);
}

static bool
turns_init(struct turns *t, const char *transport)
{
    struct rpc_ctx_opts opts = {.system = {{1, 2, 3, 4}},
        .rank = RPC_RANK_NONE,
        .incarnation = INC_ONE,
        .client = {{5}},
        .resolve = turns_resolve,
        .hlc_get = turns_hlc_get, /* the server's clock yields */
        .arg = t};

    memset(t, 0, sizeof(*t));
    if (!rig_make(&t->rig, transport, NULL))
        return false;
    opts.xs = t->rig.cxs;
    if (!EXPECT_OK(rpc_ctx_create(&opts, &t->one)))
        return false;
    EXPECT_OK(ult_create(t->rig.cxs, ULT_IO, many_ask, t, NULL)); /* connect */
    EXPECT_OK(ult_create(t->rig.cxs, ULT_IO, one_asks, t, NULL));
    answered_wait(t, 2);
    return !test_failed();
}

static void
one_end(void *arg)
{
    struct turns *t = arg;

    rpc_ctx_destroy(t->one);
    t->one = NULL;
}

static void
turns_fini(struct turns *t)
{
    bool is_done = true;

    EXPECT_OK(ult_create(t->rig.cxs, ULT_SERVICE, one_end, t, NULL));
    for (int i = 0; i < ROUNDS_MAX && t->one != NULL; i++) {
        clients_step(t);
        server_step(t);
    }
    EXPECT_OK(xstream_drive(t->rig.sxs, &is_done, PLAT_NEVER_NS)); /* this thread was the last */
    EXPECT_OK(xstream_drive(t->rig.cxs, &is_done, PLAT_NEVER_NS));
    EXPECT_OK(xstream_start(t->rig.sxs));
    EXPECT_OK(xstream_start(t->rig.cxs));
    rig_fini(&t->rig);
}

TEST_LINUX(rpc_turns, one_beside_many, "loops are polled by hand")
{
    for (const char *const *transport = rig_transports(); *transport != NULL; transport++) {
        struct rig_server *server;
        struct turns t;
        uint32_t at = 0;

        if (!turns_init(&t, *transport))
            return;
        server = &t.rig.server;
        all_ask(&t);
        answered_wait(&t, MANY_NR + 1);
        EXPECT_EQ(server->ran_nr, MANY_NR + 1);
        while (at < server->ran_nr && server->ran[at].incarnation != INC_ONE) {
            at++;
        }
        EXPECT_LE(at, LATE_NR_MAX); /* not MANY_NR */
        for (uint32_t i = 0, last = 0; i < server->ran_nr; i++) {
            if (i == at)
                continue;
            EXPECT_EQ(server->ran[i].incarnation, INC_MANY);
            EXPECT_GT(server->ran[i].call, last);
            last = (uint32_t)server->ran[i].call;
        }
        turns_fini(&t);
    }
}

/* The server has read them all and begun few when the connection ends. */
TEST_LINUX(rpc_turns, sender_gone, "loops are polled by hand")
{
    struct rpc_conn *conn, *tmp;
    struct rpc_stats stats;
    struct turns t;

    if (!turns_init(&t, "unix"))
        return;
    t.rc_want = -(int)DER_UNREACH;
    all_ask(&t);
    t.rig.splat->ops->loop_poll(xstream_loop(t.rig.sxs));
    EXPECT_EQ(t.rig.server.ran_nr, 0);
    LIST_FOREACH_SAFE(conn, tmp, &t.rig.server.ctx->conns, struct rpc_conn, link) {
        rpc_conn_close(conn);
    }
    for (int i = 0; i < 10; i++) {
        server_step(&t);
    }
    EXPECT_EQ(t.rig.server.ran_nr, MANY_NR + 1);
    rpc_ctx_stats(t.rig.server.ctx, &stats);
    EXPECT_EQ(stats.running_nr, 0);
    answered_wait(&t, MANY_NR + 1);
    turns_fini(&t);
}
