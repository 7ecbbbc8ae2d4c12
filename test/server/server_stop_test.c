/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Stopping in good order and starting again: no wait for the wall clock (ST-6, ENG-5), and time goes on above everything that clients were told,
 * though they send until the last moment.
 */
#include <stdio.h>

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

TEST_ON(server_stop, the_next_start_does_not_wait_and_time_goes_on, BACKEND_SIM)
{
    rig_run(1, body_stops);
}
