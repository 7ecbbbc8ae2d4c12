/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The helper thread: moves calls with events while the application computes. Started by the first such call, ended with the client; a program of blocking calls
 * never has one. All its signals are blocked (TH-3).
 *
 *   HLP-1  It never drives while an application thread does. One that comes while it drives asks it to leave (a post, which ends its wait) and takes over.
 *   HLP-2  It steps in only when calls run, nobody drives, and no application thread came for HELPER_PATIENCE_NS: an application that posts and polls all the
 *          time drives by itself, and no thread is switched.
 *   HLP-3  While it drives it sleeps in the loop's one wait; while it waits to step in it looks once in HELPER_PATIENCE_NS, and after HELPER_LOOKS_NR_MAX looks
 *          in vain it sleeps until it is called: by the thread that leaves calls behind that nobody moves.
 *   HLP-4  It leaves the loop when no call with an event is left.
 *
 * In simulation there is neither gate nor helper: the xstream runs by itself. In a forked child there is none either (client_core.c). Tested by client_helper_test.c.
 */
#include "base/log.h"
#include "base/util.h"
#include "client/core/client_priv.h"

enum { HELPER_LOOKS_NR_MAX = 64 };
#define HELPER_PATIENCE_NS UINT64_C(2000000)

static void
leave_fn(struct plat_post *post)
{
    struct daos_client *client = CAIRN_CONTAINER_OF(post, struct daos_client, helper.leave);

    plat_gate_lock(client->gate);
    client->helper.is_asked = false;
    plat_gate_unlock(client->gate);
    client->helper.is_leaving = true; /* of no effect when it has left meanwhile */
}

void
client_helper_ask(struct daos_client *client)
{
    struct client_helper *helper = &client->helper;

    if (!helper->is_driving || helper->is_asked)
        return;
    helper->is_asked = true;
    helper->leave.fn = leave_fn;
    client->plat->ops->loop_post(xstream_loop(client->xs), &helper->leave);
}

struct plat_seat *
client_helper_seat(struct daos_client *client)
{
    struct client_helper *helper = &client->helper;

    return helper->is_asleep && !client->is_driven && client->task_nr > 0 ? &helper->seat : NULL;
}

void
client_helper_idle(struct daos_client *client)
{
    client->helper.is_leaving = true; /* HLP-4; of no effect when another thread drives */
}

/* With the gate locked, which is open meanwhile. */
static void
helper_drive(struct daos_client *client)
{
    struct client_helper *helper = &client->helper;

    client->is_driven = true;
    helper->is_driving = true;
    helper->is_leaving = false;
    helper->looks_nr = 0;
    plat_gate_unlock(client->gate);
    CAIRN_IGNORE(
        xstream_drive(client->xs, &helper->is_leaving, PLAT_NEVER_NS)); /* no deadline, no error */
    plat_gate_lock(client->gate);
    helper->is_driving = false;
    client->is_driven = false;
    plat_gate_broadcast(client->gate); /* a fork() may wait for it */
    plat_gate_call_unlock(client->gate, client_successor(client));
    plat_gate_lock(client->gate);
}

/* With the gate locked, which is open meanwhile. */
static void
helper_look(struct daos_client *client)
{
    struct client_helper *helper = &client->helper;

    helper->is_asleep =
        ++helper->looks_nr > HELPER_LOOKS_NR_MAX && (client->is_driven || client->task_nr == 0);
    plat_gate_sit(client->gate, &helper->seat, helper->is_asleep ? UINT64_MAX : HELPER_PATIENCE_NS);
    if (helper->is_asleep)
        helper->looks_nr = 0;
    helper->is_asleep = false;
}

static void
helper_main(void *arg)
{
    struct daos_client *client = arg;
    uint64_t seen_nr;

    plat_gate_lock(client->gate);
    seen_nr = client->drives_nr - 1;
    while (!client->helper.is_stopping) {
        if (!client->is_driven && client->task_nr > 0 && client->drives_nr == seen_nr) {
            helper_drive(client);
        } else {
            seen_nr = client->drives_nr;
            helper_look(client);
        }
    }
    plat_gate_unlock(client->gate);
}

void
client_helper_start(struct daos_client *client)
{
    struct client_helper *helper = &client->helper;

    if (client->gate == NULL || ult_self() != NULL)
        return;
    plat_gate_lock(client->gate);
    if (helper->thread == NULL && !helper->is_stopping &&
        plat_gate_thread_start("daos_helper", helper_main, client, &helper->thread) != 0)
        LOG_WARN("no thread for calls with events: they make progress inside other calls only");
    plat_gate_unlock(client->gate);
}

void
client_helper_stop(struct daos_client *client)
{
    struct client_helper *helper = &client->helper;

    struct plat_gate_thread *thread;

    if (client->gate == NULL)
        return;
    plat_gate_lock(client->gate);
    thread = helper->thread;
    helper->thread = NULL;
    helper->is_stopping = true;
    client_helper_ask(client);
    plat_gate_call_unlock(client->gate, thread != NULL ? &helper->seat : NULL);
    plat_gate_thread_join(thread);
}
