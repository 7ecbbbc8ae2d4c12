/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stopping in good order and starting again: no wait for the wall clock (ST-6, ENG-5), and time goes on above everything that clients were told,
 * though they send until the last moment.
 */
#include <stdio.h>

#include "base/hash.h"
#include "base/probe.h"
#include "server/server_rig.h"

enum { SENDERS_NR = 6, STOPS_NR = 4 };
#define START_NS UINT64_C(150000000)

struct sender {
    struct rig *rig;
    struct ult *ult;
    uint32_t idx, done_nr;
    uint64_t epoch_max;
    bool is_ending;
};

static void
sender_ult(void *arg)
{
    struct sender *s = arg;
    char text[32];

    while (!s->is_ending) {
        struct rig_value v = {
            .oid = RIG_OID(1 + s->idx), .dkey = "d", .akey = "a", .data = text, .op = VOS_MOD_UPDATE};
        struct rig_apply *a = arena_alloc(&s->rig->arena, sizeof(*a));
        struct rpc_call_info info = {.is_replied = false};
        struct proto_obj_apply_rep rep;

        snprintf(text, sizeof(text), "%u of %u", s->done_nr, s->idx);
        rig_apply_fill(a, &v, 1);
        if (rig_call_once(s->rig, 0, 1 + s->idx % RIG_TGTS, PROTO_OBJ_APPLY, &a->req, &rep, NULL,
                RIG_CALL_NS, &info) != 0) {
            ult_sleep(1000000);
            continue;
        }
        EXPECT_GT(rep.epoch, s->epoch_max);
        s->epoch_max = rep.epoch;
        s->done_nr++;
    }
}

static void
body_stops(struct rig *rig)
{
    static struct sender senders[SENDERS_NR];

    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < SENDERS_NR; i++) {
        senders[i] = (struct sender){.rig = rig, .idx = i};
        EXPECT_OK(ult_create(rig->xs, ULT_IO, sender_ult, &senders[i], &senders[i].ult));
    }
    for (uint32_t n = 0; n < STOPS_NR; n++) {
        uint32_t done_nr = senders[0].done_nr;
        uint64_t begun_ns;

        ult_sleep(30000000 + n * 400000000);
        EXPECT_GT(senders[0].done_nr, done_nr);
        engine_stop_begin(rig->engines[0].engine);
        engine_wait_stopped(rig->engines[0].engine);
        rig_engine_kill(rig, 0);
        begun_ns = ult_now_ns();
        EXPECT_OK(rig_engine_start(rig, 0));
        EXPECT_LT(ult_now_ns() - begun_ns, START_NS);
        EXPECT_OK(rig_group_push(rig));
    }
    for (uint32_t i = 0; i < SENDERS_NR; i++) {
        uint32_t done_nr = senders[i].done_nr;

        while (senders[i].done_nr < done_nr + 2) {
            ult_sleep(1000000);
        }
        senders[i].is_ending = true;
        ult_join(senders[i].ult);
    }
}

/* ---- services that are being changed -------------------------------------------------------- */

enum { MOMENTS_NR = 24, ROUNDS_NR = 2 * MOMENTS_NR, ASKS_NR_MAX = 20 };
#define ASK_NS UINT64_C(1000000000)

struct change {
    struct rig *rig;
    struct uuid pool;
    char label[16];
    int rc;
    bool is_destroy;
};

static void
change_ask(struct change *c)
{
    struct proto_sys_pool_destroy_req req = {.pool = c->pool};
    struct proto_empty rep;

    if (c->is_destroy) {
        c->rc = rig_call(c->rig, 0, 0, PROTO_SYS_POOL_DESTROY, &req, &rep, NULL);
        if (c->rc == -DER_NONEXIST)
            c->rc = 0; /* a first request failed, and was done later */
    } else {
        c->rc = rig_pool_create(c->rig, c->pool, c->label);
    }
}

static void
change_ult(void *arg)
{
    change_ask(arg);
}

/* The change undisturbed, or `stop_ns` after its begin the engine of the pool's service stops; some are killed while they stop. */
static uint64_t
change_run(struct rig *rig, struct change *c, uint64_t stop_ns, uint64_t kill_ns)
{
    uint64_t begun_ns = ult_now_ns(), ns;
    struct ult *ult;

    if (!EXPECT_OK(ult_create(rig->xs, ULT_SERVICE, change_ult, c, &ult)))
        return 0;
    if (stop_ns > 0) {
        ult_sleep(stop_ns);
        engine_stop_begin(rig->engines[1].engine);
        if (kill_ns > 0) {
            ult_sleep(kill_ns);
        } else {
            engine_wait_stopped(rig->engines[1].engine);
        }
        rig_engine_kill(rig, 1);
        EXPECT_OK(rig_engine_start(rig, 1));
        EXPECT_OK(rig_group_push(rig));
    }
    ult_join(ult);
    ns = ult_now_ns() - begun_ns;
    for (uint32_t i = 0; i < ASKS_NR_MAX && c->rc != 0;
         i++) { /* a target was not there; it is undone first */
        ult_sleep(ASK_NS);
        change_ask(c);
    }
    EXPECT_OK(c->rc);
    return ns;
}

static void
body_changes(struct rig *rig)
{
    struct change c = {.rig = rig};
    uint64_t create_ns = 0, destroy_ns = 0;

    for (uint32_t i = 0; i <= ROUNDS_NR; i++) {
        uint32_t moment = i % MOMENTS_NR;
        uint64_t kill_ns = i % 3 == 2 ? 200000 * (1 + moment) : 0;

        do {
            c.pool = rig_uuid(rig);
        } while (hash_bytes64(c.pool.b, sizeof(c.pool.b), 0) % 2 != 1); /* its service is on rank 1 */
        snprintf(c.label, sizeof(c.label), "pool%u", i);
        c.is_destroy = false;
        if (i == 0) {
            create_ns = change_run(rig, &c, 0, 0);
            c.is_destroy = true;
            destroy_ns = change_run(rig, &c, 0, 0);
            continue;
        }
        change_run(rig, &c, i <= MOMENTS_NR ? 1 + create_ns * moment / MOMENTS_NR : 0, kill_ns);
        c.is_destroy = true;
        change_run(rig, &c, i > MOMENTS_NR ? 1 + destroy_ns * moment / MOMENTS_NR : 0, kill_ns);
    }
    EXPECT_GT(probe_hits("pool.svcs.stop.waits"), 0);
}

/*
 * A request that starts or ends a service runs on the engine of the service while that engine stops: the stop waits for it, and what it
 * asks for is done in the end.
 */
TEST_ON(server_stop, services_that_are_being_changed, BACKEND_SIM)
{
    rig_run(2, body_changes);
}

TEST_ON(server_stop, the_next_start_does_not_wait_and_time_goes_on, BACKEND_SIM)
{
    rig_run(1, body_stops);
}
