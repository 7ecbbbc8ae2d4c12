/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client's life and the way in: daos_client, the threads that drive it, and who "the client" of a caller is.
 *
 * Threads of the application (TH-3). A call is a ULT of the client's xstream. The first thread that comes drives (polls, steps, sleeps in the loop's one
 * wait) until its own call is done; others sleep, each on a seat of its own. When the driver leaves, it calls one of them, who takes over.
 * A call of another thread arrives as a post, which wakes the driver's wait. So a program that makes blocking calls from one thread never switches threads,
 * and there is no thread of ours until a call has an event (client_helper.c).
 */
#include "client/core/client.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "client/core/client_priv.h"
#include "plat/plat_linux.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The one mutable global (rule 6): set by daos_init() and daos_fini(); these two do not race with other calls but may with each other. */
static _Atomic(struct daos_client *) process_client;

/*
 * TH-4. A fork() keeps the helper out of the loop and holds the gate, so that the child's copy is in a known state: either nobody drove, or another thread of the
 * application was inside (is_driven) and the copy can only be left alone. A fork() on a ULT (a completion callback) is made by the driver itself.
 */
static void
fork_prepare(void)
{
    struct daos_client *client = atomic_load_explicit(&process_client, memory_order_acquire);

    if (client == NULL || client->is_inherited || client->gate == NULL || ult_self() != NULL)
        return;
    plat_gate_lock(client->gate);
    client->is_forking = true;
    while (client->helper.is_driving) {
        client_helper_ask(client);
        plat_gate_wait(client->gate);
    }
}

static void
fork_parent(void)
{
    struct daos_client *client = atomic_load_explicit(&process_client, memory_order_acquire);

    if (client == NULL || client->gate == NULL || ult_self() != NULL || !client->is_forking)
        return;
    client->is_forking = false;
    plat_gate_unlock(client->gate);
}

/* In the child the context is dead; directory locks of an embedded engine do not live on, and the parent's connections are the parent's. */
static void
fork_child(void)
{
    struct daos_client *client = atomic_load_explicit(&process_client, memory_order_acquire);

    if (client == NULL)
        return;
    fork_parent();
    client->is_inherited = true;
    client->helper.thread = NULL;
    if (client->owns_plat && (client->embedded != NULL || !client->is_driven))
        plat_linux_forked(client->plat);
}

__attribute__((constructor)) static void
forked_register(void)
{
    CAIRN_IGNORE(plat_gate_on_fork(
        fork_prepare, fork_parent, fork_child)); /* no memory at program start: nothing will work */
}

struct daos_client *
client_inherited(void)
{
    return atomic_load_explicit(&process_client, memory_order_acquire);
}

struct daos_client *
client_self(void)
{
    struct daos_client *client;

    if (ult_self() != NULL) {
        client = ult_slot_get(ULT_SLOT_CLIENT);
        if (client != NULL)
            return client;
    }
    client = client_inherited();
    if (client != NULL && client->is_inherited)
        return NULL; /* TH-4 */
    return client;
}

void
client_self_set(struct daos_client *client)
{
    struct daos_client *old;

    if (ult_self() != NULL) {
        ult_slot_set(ULT_SLOT_CLIENT, client);
        return;
    }
    old = client_inherited();
    if (old == NULL || old->gate == NULL || old->is_inherited) {
        atomic_store_explicit(&process_client, client, memory_order_release);
        return;
    }
    plat_gate_lock(old->gate); /* not between a fork's two ends */
    atomic_store_explicit(&process_client, client, memory_order_release);
    plat_gate_unlock(old->gate);
}

bool
client_self_publish(struct daos_client *client)
{
    struct daos_client *expected = NULL;

    return atomic_compare_exchange_strong(&process_client, &expected, client);
}

/* $CRT_TIMEOUT: seconds, 1 to 3600. */
static uint64_t
call_ns(struct plat *plat)
{
    const char *text = plat->ops->env(plat, "CRT_TIMEOUT");
    uint64_t seconds = 0;

    for (; text != NULL && *text >= '0' && *text <= '9' && seconds <= 3600; text++) {
        seconds = seconds * 10 + (uint64_t)(*text - '0');
    }
    return text != NULL && *text == '\0' && seconds >= 1 && seconds <= 3600 ? seconds * 1000000000
                                                                            : CLIENT_CALL_NS;
}

int
client_create(const struct client_opts *opts, struct daos_client **ret_client)
{
    struct daos_client *client = calloc(1, sizeof(*client));
    uint64_t random[4];
    int rc;

    if (client == NULL)
        return CAIRN_ERR(NOMEM);
    client->plat = opts->plat;
    client->xs = opts->xs;
    if (client->plat == NULL) {
        rc = plat_linux_create(&client->plat);
        if (rc != 0)
            goto out;
        client->owns_plat = true;
    }
    if (client->xs == NULL) {
        struct xstream_opts xs_opts = {.name = "client", .cpu = UINT32_MAX};

        rc = xstream_create(client->plat, &xs_opts, &client->xs);
        if (rc != 0)
            goto out;
        client->owns_xs = true;
        client->gate = plat_gate_create();
        if (client->gate == NULL) {
            rc = CAIRN_ERR(NOMEM);
            goto out;
        }
    }
    list_init(&client->watchers);
    client->ref_nr = 1;
    client->call_ns = call_ns(client->plat);
    client->pid = client->plat->ops->pid(client->plat);
    client->plat->ops->random(client->plat, random, sizeof(random));
    client->id = cuuid_from_random(random[0], random[1]);
    client->incarnation = random[2] | 1;
    rng_init(&client->rng, random[3]);
    for (uint32_t i = 0; i < CLIENT_SLOTS_NR; i++) {
        client->slot_stack[i] = CLIENT_SLOTS_NR - 1 - i;
    }
    client->slot_free_nr = CLIENT_SLOTS_NR;
    ult_sem_init(&client->slot_sem, CLIENT_SLOTS_NR);
    if (opts->sys != NULL) {
        rc = client_sys_copy(opts->sys, &client->sys);
        if (rc == 0)
            rc = client_rpc_open(client);
        if (rc != 0)
            goto out;
    }
    *ret_client = client;
    client = NULL;
    rc = 0;
out:
    client_destroy(client);
    return rc;
}

/* Ends every call with SHUTDOWN, then what they leave behind. */
static int
close_ult(void *arg)
{
    struct daos_client *client = arg;

    client->is_closing = true;
    rpc_ctx_destroy(client->rpc);
    while (client->task_nr > 0) {
        ult_sleep(CLIENT_BACKOFF_LO_NS);
    }
    client->rpc = NULL;
    client_hdl_fini_all(client);
    return 0;
}

static void
client_free(struct daos_client *client)
{
    if (client->owns_xs)
        xstream_destroy(client->xs);
    plat_gate_destroy(client->gate);
    client_sys_fini(&client->sys);
    if (client->owns_plat)
        plat_linux_destroy(client->plat);
    free(client->hdls);
    free(client);
}

void
client_destroy(struct daos_client *client)
{
    if (client == NULL)
        return;
    client_helper_stop(client);
    if (client->rpc != NULL) {
        CAIRN_IGNORE(client_exec(client, close_ult, client)); /* always 0 */
    } else {
        client_hdl_fini_all(client); /* queues: they need no attachment */
    }
    client_embedded_stop(client->embedded);
    client_free(client);
}

void
client_abandon(struct daos_client *client)
{
    if (client == NULL)
        return;
    if (client->is_inherited && client->is_driven)
        return; /* the fork caught a thread at work in it: nothing in there can be relied on */
    if (client->rpc != NULL)
        rpc_ctx_abandon(client->rpc);
    if (client->owns_xs)
        xstream_abandon(client->xs);
    client_hdl_fini_all(client);
    client_sys_fini(&client->sys);
    /* The gate may be locked by a thread that does not exist in this process, the loop's descriptors are the parent's: leave them. */
    plat_gate_abandon(client->gate);
    free(client->hdls);
    free(client);
}

uint64_t
client_hlc_now(struct daos_client *client)
{
    return hlc_now(&client->clock, plat_wall_ns(client->plat));
}

/* ---- the way in ------------------------------------------------------------------------------------------------------ */

struct exec {
    struct daos_client *client;
    int (*fn)(void *arg);
    void *arg;
    int rc;
    bool is_done;
};

/* A thread that waits for its call while another one drives. Lives on its stack; on client->watchers, guarded by the gate. */
struct watcher {
    struct list_head link;
    bool *done;
    struct plat_seat seat;
};

/* Only the thread that the call belongs to is woken: with many threads everything else would be noise. */
void
client_done_set(struct daos_client *client, bool *done)
{
    struct plat_seat *seat = NULL;
    struct watcher *watcher;

    if (client->gate == NULL) {
        *done = true;
        return;
    }
    plat_gate_lock(client->gate);
    *done = true;
    LIST_FOREACH(watcher, &client->watchers, struct watcher, link) {
        if (watcher->done == done)
            seat = &watcher->seat;
    }
    plat_gate_call_unlock(client->gate, seat);
}

static void
exec_ult(void *arg)
{
    struct exec *exec = arg;

    ult_slot_set(ULT_SLOT_CLIENT, exec->client);
    exec->rc = exec->fn(exec->arg);
    client_done_set(exec->client, &exec->is_done); /* last: *exec may be gone after it */
}

/* With the gate locked: another thread drives; sleep until the call is done, the other leaves, or the deadline. */
static int
watch(struct daos_client *client, bool *done, uint64_t deadline_ns)
{
    struct watcher watcher = {.done = done};
    int rc = 0;

    list_add_tail(&watcher.link, &client->watchers);
    while (!*done && client->is_driven && rc == 0) {
        uint64_t now_ns = deadline_ns == PLAT_NEVER_NS ? 0 : plat_mono_ns(client->plat);

        if (deadline_ns != PLAT_NEVER_NS && now_ns >= deadline_ns) {
            rc = -DER_TIMEDOUT;
        } else {
            plat_gate_sit(client->gate, &watcher.seat,
                deadline_ns == PLAT_NEVER_NS ? UINT64_MAX : deadline_ns - now_ns);
        }
    }
    list_del(&watcher.link);
    return rc;
}

struct plat_seat *
client_successor(struct daos_client *client)
{
    struct watcher *watcher;

    if (client->is_driven)
        return NULL;
    LIST_FOREACH(watcher, &client->watchers, struct watcher, link) {
        if (!*watcher->done)
            return &watcher->seat;
    }
    return NULL;
}

/* Whoever leaves while nobody drives, driver or called to be one, sees to it that somebody does. */
static void
handover_unlock(struct daos_client *client)
{
    struct plat_seat *seat = client_successor(client);

    plat_gate_call_unlock(client->gate, seat != NULL ? seat : client_helper_seat(client));
}

int
client_drive(struct daos_client *client, bool *done, uint64_t deadline_ns)
{
    int rc = 0;

    CAIRN_ASSERT(client->gate != NULL);
    plat_gate_lock(client->gate);
    client->drives_nr++;
    while (!*done && rc == 0) {
        if (client->is_driven) {
            client_helper_ask(client);
            rc = watch(client, done, deadline_ns);
            continue;
        }
        client->is_driven = true;
        plat_gate_unlock(client->gate);
        rc = xstream_drive(client->xs, done, deadline_ns);
        plat_gate_lock(client->gate);
        client->is_driven = false;
    }
    if (*done)
        rc = 0;
    handover_unlock(client);
    return rc;
}

/* The calling thread is the driver from here to drive_end(), unless there is one: false. */
static bool
drive_begin(struct daos_client *client)
{
    bool is_mine;

    CAIRN_ASSERT(client->gate != NULL);
    plat_gate_lock(client->gate);
    is_mine = !client->is_driven;
    if (is_mine) {
        client->is_driven = true;
        client->drives_nr++;
    }
    plat_gate_unlock(client->gate);
    return is_mine;
}

static void
drive_end(struct daos_client *client)
{
    plat_gate_lock(client->gate);
    client->is_driven = false;
    handover_unlock(client);
}

int
client_exec(struct daos_client *client, int (*fn)(void *arg), void *arg)
{
    struct exec exec = {.client = client, .fn = fn, .arg = arg};
    int rc;

    if (ult_self() != NULL)
        return fn(arg);
    if (drive_begin(client)) {
        rc = xstream_drive_new(client->xs, ULT_IO, exec_ult, &exec, &exec.is_done);
        drive_end(client);
        if (rc == 0)
            return exec.rc;
        /* Not now: too many ULTs. A post waits for its turn. */
    }
    rc = xstream_post(client->xs, ULT_IO, exec_ult, &exec);
    if (rc != 0)
        return rc;
    rc = client_drive(client, &exec.is_done, PLAT_NEVER_NS);
    CAIRN_ASSERT(rc == 0);
    return exec.rc;
}

int
client_exec_short(struct daos_client *client, int (*fn)(void *arg), void *arg, bool is_launch)
{
    int rc;

    if (ult_self() != NULL)
        return fn(arg);
    if (!drive_begin(client))
        return client_exec(client, fn, arg);
    rc = fn(arg);
    if (is_launch && rc == 0)
        xstream_nudge(client->xs, client->relaunches_nr % CLIENT_BATCH_NR_MAX == 0);
    drive_end(client);
    return rc;
}

/* ---- several at a time ------------------------------------------------------------------------------------------------ */

struct par {
    int (*fn)(void *arg, uint32_t i);
    void *arg;
    uint32_t nr, next;
    int rc;
};

static void
par_ult(void *arg)
{
    struct par *par = arg;

    while (par->next < par->nr && par->rc == 0) {
        int rc = par->fn(par->arg, par->next++);

        if (rc != 0 && par->rc == 0)
            par->rc = rc;
    }
}

int
client_par(struct daos_client *client, uint32_t nr, uint32_t width,
    int (*fn)(void *arg, uint32_t i), void *arg)
{
    struct par par = {.fn = fn, .arg = arg, .nr = nr};
    struct ult *ults[CLIENT_PAR_NR_MAX];
    uint32_t ult_nr = 0;

    CAIRN_ASSERT(width <= CLIENT_PAR_NR_MAX);
    while (ult_nr + 1 < MIN(nr, width)) {
        if (ult_create(client->xs, ULT_IO, par_ult, &par, &ults[ult_nr]) != 0)
            break; /* fewer do it too */
        ult_nr++;
    }
    par_ult(&par);
    for (uint32_t i = 0; i < ult_nr; i++) {
        ult_join(ults[i]);
    }
    return par.rc;
}
