/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Events, queues, and running a public call (client_event.h). An event's private bytes hold a struct ev; a queue is an object behind a handle.
 *
 * Waiting for events: a thread registers a flag with the queue (or the event) and drives the client until a completion sets the flag. Whoever drives, sets it.
 * In simulation the caller is a ULT and waits on the condition instead.
 */
#include "client/core/client_event.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/util.h"
#include "client/core/client_priv.h"
#include "daos_event.h"

#include <stdlib.h>
#include <string.h>

enum ev_state { EV_INIT = 0, EV_RUNNING = 1, EV_DONE = 2 };

enum { EV_MAGIC = 0x45764361, EQ_POLL_NR_MAX = 65536 };

struct eq {
    struct daos_client *client;
    bool is_ending; /* launches nothing any more */
    struct list_head running, completed; /* of struct ev */
    uint32_t running_nr, completed_nr;
    struct list_head waiters;
};

struct ev_cb {
    struct ev_cb *next;
    daos_event_comp_cb_t fn;
    void *arg;
};

/* In the private bytes of a daos_event_t. */
struct ev {
    uint32_t magic;
    uint32_t state;
    uint64_t eqh; /* 0: tested alone */
    struct eq *eq; /* while it is on one of its lists */
    struct ev *parent;
    struct list_head link; /* of the queue's lists (EV-1) */
    struct list_head waiters;
    struct list_head children, sibling;
    uint32_t child_nr, child_running_nr;
    bool is_barrier; /* a parent waits for its children */
    bool is_aborted; /* while RUNNING */
    bool is_errno; /* ev_error is a positive errno */
    int32_t child_rc;
    struct ev_cb *cbs; /* oldest first (EV-4) */
    daos_event_t *self;
};
CAIRN_STATIC_ASSERT(
    sizeof(struct ev) <= sizeof(((daos_event_t *)NULL)->ev_private), "private bytes of an event");
CAIRN_STATIC_ASSERT(sizeof(daos_event_t) == 176, "size of an event in the API");

struct waiter {
    struct list_head link;
    bool is_done;
    struct ult_eventual eventual; /* when the caller is a ULT */
};

static struct ev *
ev_of(daos_event_t *event)
{
    return (struct ev *)(void *)&event->ev_private;
}

static void
waiters_wake(struct daos_client *client, struct list_head *waiters)
{
    struct waiter *waiter, *next;

    LIST_FOREACH_SAFE(waiter, next, waiters, struct waiter, link) {
        list_del(&waiter->link);
        if (client->gate == NULL) {
            ult_eventual_set(&waiter->eventual, 0);
        } else {
            client_done_set(client, &waiter->is_done);
        }
    }
}

static uint64_t
deadline_of(struct daos_client *client, int64_t timeout_us)
{
    uint64_t now_ns = plat_mono_ns(client->plat);

    if (timeout_us < 0)
        return PLAT_NEVER_NS;
    if ((uint64_t)timeout_us > (PLAT_NEVER_NS - now_ns) / 1000 - 1)
        return PLAT_NEVER_NS;
    return now_ns + (uint64_t)timeout_us * 1000;
}

/* ---- completion ------------------------------------------------------------------------------------------------------ */

/* The queue that a launch will go to. Children report to their parent alone. */
static int
ev_prepare(struct daos_client *client, struct ev *ev)
{
    struct ev *child;

    if (ev->magic != EV_MAGIC)
        return CAIRN_ERR(INVAL);
    if (ev->state != EV_INIT)
        return CAIRN_ERR(NO_PERM);
    LIST_FOREACH(child, &ev->children, struct ev, sibling) {
        if (child->state == EV_INIT)
            return CAIRN_ERR(NO_PERM); /* EV-2 */
    }
    ev->eq = NULL;
    if (ev->eqh == 0 || ev->parent != NULL)
        return 0;
    ev->eq = client_hdl_get(client, CLIENT_HDL_EQ, ev->eqh);
    return ev->eq == NULL || ev->eq->is_ending ? CAIRN_ERR(NONEXIST) : 0;
}

/* Ready for another launch: the caller has seen the result. */
static void
ev_reset(struct ev *ev)
{
    struct ev *child;

    ev->state = EV_INIT;
    ev->eq = NULL;
    ev->is_barrier = false;
    ev->child_rc = 0;
    LIST_FOREACH(child, &ev->children, struct ev, sibling) {
        if (child->state == EV_DONE)
            child->state = EV_INIT;
    }
}

/* The caller has collected a completed event. */
static void
ev_take(struct ev *ev)
{
    if (ev->eq != NULL) {
        list_del(&ev->link);
        ev->eq->completed_nr--;
    }
    ev_reset(ev);
}

static void
ev_launch(struct ev *ev)
{
    ev->state = EV_RUNNING;
    ev->is_aborted = false;
    ev->is_errno = false;
    if (ev->parent != NULL)
        ev->parent->child_running_nr++;
    if (ev->eq != NULL) {
        list_add_tail(&ev->link, &ev->eq->running);
        ev->eq->running_nr++;
    }
}

static int
cbs_run(struct ev *ev, int rc)
{
    int result = rc;

    while (ev->cbs != NULL) {
        struct ev_cb *cb = ev->cbs;
        int cb_rc;

        ev->cbs = cb->next;
        cb_rc = cb->fn(cb->arg, ev->self, rc);
        free(cb);
        if (result == 0)
            result = cb_rc;
    }
    return result;
}

static void
cbs_free(struct ev *ev)
{
    while (ev->cbs != NULL) {
        struct ev_cb *cb = ev->cbs;

        ev->cbs = cb->next;
        free(cb);
    }
}

static void
waiters_of_wake(struct daos_client *client, struct ev *ev)
{
    if (ev->eq != NULL)
        waiters_wake(client, &ev->eq->waiters);
    waiters_wake(client, &ev->waiters);
}

static void
ev_complete(struct daos_client *client, struct ev *ev, int rc)
{
    struct ev *parent = ev->parent;

    CAIRN_ASSERT(ev->state == EV_RUNNING);
    rc = cbs_run(ev, rc);
    ev->self->ev_error = ev->is_errno ? err_to_errno(rc) : rc;
    ev->state = EV_DONE;
    if (ev->eq != NULL) {
        list_del(&ev->link);
        ev->eq->running_nr--;
        list_add_tail(&ev->link, &ev->eq->completed);
        ev->eq->completed_nr++;
    }
    if (ev->child_running_nr == 0)
        waiters_of_wake(client, ev);
    if (parent == NULL)
        return;
    if (parent->child_rc == 0)
        parent->child_rc = rc;
    parent->child_running_nr--;
    if (parent->child_running_nr > 0)
        return;
    if (parent->is_barrier) {
        ev_complete(client, parent, parent->child_rc);
    } else if (parent->state == EV_DONE) {
        waiters_of_wake(client, parent);
    }
}

/* ---- running calls --------------------------------------------------------------------------------------------------- */

struct task {
    struct daos_client *client;
    struct ev *ev;
    bool is_errno;
    int (*fn)(void *args);
    max_align_t args[];
};

static void
task_ult(void *arg)
{
    struct task *task = arg;
    struct daos_client *client = task->client;

    ult_slot_set(ULT_SLOT_CLIENT, client);
    ult_slot_set(ULT_SLOT_CALL, task->ev);
    ev_complete(client, task->ev, task->fn(task->args));
    free(task);
    if (--client->task_nr == 0)
        client_helper_idle(client);
}

bool
client_is_aborted(void)
{
    const struct ev *ev = ult_slot_get(ULT_SLOT_CALL);

    return ev != NULL && ev->is_aborted;
}

static int
task_launch(void *arg)
{
    struct task *task = arg;
    int rc = ev_prepare(task->client, task->ev);

    if (rc != 0)
        return rc;
    rc = ult_create(
        task->client->xs, ULT_IO, task_ult, task, NULL); /* does not run before this ULT waits */
    if (rc != 0)
        return rc;
    if (task->client->relaunches_nr > 0)
        task->client->relaunches_nr--;
    task->client->task_nr++;
    ev_launch(task->ev);
    task->ev->is_errno = task->is_errno;
    return 0;
}

static int
run(struct daos_event *event, bool is_errno, int (*fn)(void *args), void *args, size_t args_bytes)
{
    struct daos_client *client = client_self();
    struct task *task;
    int rc;

    if (client == NULL)
        return CAIRN_ERR(UNINIT);
    if (event == NULL)
        return client_exec(client, fn, args);
    task = malloc(sizeof(*task) + args_bytes);
    if (task == NULL)
        return CAIRN_ERR(NOMEM);
    task->client = client;
    task->ev = ev_of(event);
    task->is_errno = is_errno;
    task->fn = fn;
    memcpy(task->args, args, args_bytes);
    client_helper_start(client);
    rc = client_exec_short(client, task_launch, task, true);
    if (rc != 0)
        free(task);
    return rc;
}

int
client_run(struct daos_event *event, int (*fn)(void *args), void *args, size_t args_bytes)
{
    return run(event, false, fn, args, args_bytes);
}

int
client_run_errno(struct daos_event *event, int (*fn)(void *args), void *args, size_t args_bytes)
{
    return err_to_errno(run(event, true, fn, args, args_bytes));
}

int
client_run_attached(
    const char *sys, struct daos_event *event, int (*fn)(void *args), void *args, size_t args_bytes)
{
    struct daos_client *client = client_self();
    int rc;

    if (client == NULL)
        return CAIRN_ERR(UNINIT);
    rc = client_attach(client, sys);
    if (rc != 0)
        return rc;
    return client_run(event, fn, args, args_bytes);
}

int
client_refuse(void)
{
    return client_self() == NULL ? CAIRN_ERR(UNINIT) : CAIRN_ERR(INVAL);
}

int
client_run_sync(int (*fn)(void *args), void *args)
{
    return client_run(NULL, fn, args, 0);
}

/* A step that only looks at events and queues, or changes them. */
static int
run_short(int (*fn)(void *args), void *args)
{
    struct daos_client *client = client_self();

    return client == NULL ? CAIRN_ERR(UNINIT) : client_exec_short(client, fn, args, false);
}

/* ---- queues ---------------------------------------------------------------------------------------------------------- */

struct eq_args {
    daos_handle_t eqh;
    daos_handle_t *ret_eqh;
    int flags;
    int wait_running;
    unsigned int nr;
    daos_event_t **events;
    unsigned int query;
    struct waiter *waiter;
    int ret_nr;
};

static int
eq_of(daos_handle_t eqh, struct eq **ret_eq)
{
    struct eq *eq = client_hdl_get(client_self(), CLIENT_HDL_EQ, eqh.cookie);

    if (eq == NULL)
        return CAIRN_ERR(NONEXIST);
    *ret_eq = eq;
    return 0;
}

static int
eq_create_ult(void *arg)
{
    struct eq_args *args = arg;
    struct eq *eq = calloc(1, sizeof(*eq));
    uint64_t cookie;
    int rc;

    if (eq == NULL)
        return CAIRN_ERR(NOMEM);
    eq->client = client_self();
    list_init(&eq->running);
    list_init(&eq->completed);
    list_init(&eq->waiters);
    rc = client_hdl_new(eq->client, CLIENT_HDL_EQ, eq, free, &cookie);
    if (rc != 0) {
        free(eq);
        return rc;
    }
    args->ret_eqh->cookie = cookie;
    return 0;
}

int
daos_eq_create(daos_handle_t *eqh)
{
    struct eq_args args = {.ret_eqh = eqh};

    if (eqh == NULL)
        return CAIRN_ERR(INVAL);
    return client_run_sync(eq_create_ult, &args);
}

static int
eq_destroy_ult(void *arg)
{
    struct eq_args *args = arg;
    struct ev *ev, *next;
    struct eq *eq;
    int rc = eq_of(args->eqh, &eq);

    if (rc != 0)
        return rc;
    if (eq->running_nr > 0 || !list_empty(&eq->waiters)) {
        return CAIRN_ERR(
            BUSY); /* also with FORCE: buffers of running calls belong to the caller until they end */
    }
    if (eq->completed_nr > 0 && (args->flags & DAOS_EQ_DESTROY_FORCE) == 0)
        return CAIRN_ERR(BUSY);
    LIST_FOREACH_SAFE(ev, next, &eq->completed, struct ev, link) {
        ev_take(ev);
    }
    CAIRN_IGNORE(client_hdl_del(eq->client, CLIENT_HDL_EQ, args->eqh.cookie)); /* it is `eq` */
    free(eq);
    return 0;
}

static int
eq_drain_ult(void *arg)
{
    struct eq_args *args = arg;
    struct eq *eq;
    int rc = eq_of(args->eqh, &eq);

    if (rc != 0)
        return rc;
    if (eq->running_nr == 0)
        return 0;
    eq->is_ending = true;
    list_add_tail(&args->waiter->link, &eq->waiters);
    args->ret_nr = 1;
    return 0;
}

static int
waiter_wait(struct daos_client *client, struct waiter *waiter, uint64_t deadline_ns)
{
    if (client->gate == NULL)
        return ult_eventual_wait_until(&waiter->eventual, deadline_ns);
    return client_drive(client, &waiter->is_done, deadline_ns);
}

static int
waiter_forget_ult(void *arg)
{
    struct waiter *waiter = arg;

    if (!waiter->is_done && !waiter->eventual.is_set)
        list_del(&waiter->link);
    return 0;
}

int
daos_eq_destroy(daos_handle_t eqh, int flags)
{
    struct daos_client *client = client_self();
    struct eq_args args = {.eqh = eqh, .flags = flags};
    int rc;

    while (client != NULL && (flags & DAOS_EQ_DESTROY_FORCE) != 0) { /* let running calls end first */
        struct waiter waiter = {0};

        ult_eventual_init(&waiter.eventual);
        args.waiter = &waiter;
        args.ret_nr = 0;
        rc = client_run_sync(eq_drain_ult, &args);
        if (rc != 0)
            return rc;
        if (args.ret_nr == 0)
            break;
        CAIRN_IGNORE(waiter_wait(client, &waiter, PLAT_NEVER_NS)); /* no deadline, no error */
    }
    return client_run_sync(eq_destroy_ult, &args);
}

/* Take completed events; when there are none and the caller may wait, leave a waiter. */
static int
eq_take_ult(void *arg)
{
    struct eq_args *args = arg;
    struct ev *ev, *next;
    struct eq *eq;
    int rc = eq_of(args->eqh, &eq);

    if (rc != 0)
        return rc;
    LIST_FOREACH_SAFE(ev, next, &eq->completed, struct ev, link) {
        if ((unsigned int)args->ret_nr == args->nr)
            break;
        if (ev->child_running_nr > 0)
            continue; /* EV-2 */
        ev_take(ev);
        args->events[args->ret_nr++] = ev->self;
    }
    eq->client->relaunches_nr = (uint32_t)args->ret_nr;
    if (args->ret_nr == 0 && args->waiter != NULL && (args->wait_running == 0 || eq->running_nr > 0)) {
        list_add_tail(&args->waiter->link, &eq->waiters);
    } else {
        args->waiter = NULL;
    }
    return 0;
}

/* Let the client make progress without waiting: what has arrived is handled, what is ready runs. */
static void
poke(struct daos_client *client)
{
    bool never = false;

    if (client->gate != NULL) {
        CAIRN_IGNORE(client_drive(client, &never, plat_mono_ns(client->plat))); /* TIMEDOUT at once */
    } else {
        ult_yield();
    }
}

int
daos_eq_poll(daos_handle_t eqh, int wait_running, int64_t timeout, unsigned int nevents,
    struct daos_event **events)
{
    struct daos_client *client = client_self();
    struct eq_args args = {.eqh = eqh, .wait_running = wait_running, .nr = nevents, .events = events};
    uint64_t deadline_ns;
    int rc;

    if (client == NULL)
        return CAIRN_ERR(UNINIT);
    if (events == NULL || nevents == 0 || nevents > EQ_POLL_NR_MAX)
        return CAIRN_ERR(INVAL);
    poke(client);
    deadline_ns = deadline_of(client, timeout);
    for (;;) {
        struct waiter waiter = {0};

        ult_eventual_init(&waiter.eventual);
        args.waiter = timeout == DAOS_EQ_NOWAIT ? NULL : &waiter;
        rc = run_short(eq_take_ult, &args);
        if (rc != 0)
            return rc;
        if (args.ret_nr > 0 || args.waiter == NULL)
            return args.ret_nr;
        rc = waiter_wait(client, &waiter, deadline_ns);
        CAIRN_IGNORE(run_short(waiter_forget_ult, &waiter)); /* always 0 */
        if (rc != 0 && timeout != DAOS_EQ_WAIT)
            args.wait_running = 1, timeout = DAOS_EQ_NOWAIT; /* one last look */
    }
}

static int
eq_query_ult(void *arg)
{
    struct eq_args *args = arg;
    struct ev *ev;
    struct eq *eq;
    int rc = eq_of(args->eqh, &eq);
    unsigned int nr = 0;

    if (rc != 0)
        return rc;
    if (args->nr == 0 || args->events == NULL) {
        args->ret_nr = (int)(((args->query & DAOS_EQR_COMPLETED) != 0 ? eq->completed_nr : 0) +
            ((args->query & DAOS_EQR_WAITING) != 0 ? eq->running_nr : 0));
        return 0;
    }
    if ((args->query & DAOS_EQR_COMPLETED) != 0) {
        LIST_FOREACH(ev, &eq->completed, struct ev, link) {
            if (nr < args->nr)
                args->events[nr++] = ev->self;
        }
    }
    if ((args->query & DAOS_EQR_WAITING) != 0) {
        LIST_FOREACH(ev, &eq->running, struct ev, link) {
            if (nr < args->nr)
                args->events[nr++] = ev->self;
        }
    }
    args->ret_nr = (int)nr;
    return 0;
}

int
daos_eq_query(
    daos_handle_t eqh, daos_eq_query_t query, unsigned int nevents, struct daos_event **events)
{
    struct eq_args args = {.eqh = eqh, .query = (unsigned int)query, .nr = nevents, .events = events};
    int rc = run_short(eq_query_ult, &args);

    return rc != 0 ? rc : args.ret_nr;
}

/* ---- events ---------------------------------------------------------------------------------------------------------- */

struct ev_args {
    daos_event_t *event;
    daos_handle_t eqh;
    daos_event_t *parent;
    struct waiter *waiter;
    bool is_taken;
};

static int
event_init_ult(void *arg)
{
    struct ev_args *args = arg;
    struct ev *ev = ev_of(args->event);
    struct eq *eq;

    if (args->parent != NULL) {
        if (ev_of(args->parent)->magic != EV_MAGIC || ev_of(args->parent)->state != EV_INIT)
            return CAIRN_ERR(INVAL);
        if (ev_of(args->parent)->parent != NULL)
            return CAIRN_ERR(NO_PERM); /* no grandchildren */
        args->eqh.cookie = ev_of(args->parent)->eqh;
    } else if (args->eqh.cookie != 0) {
        int rc = eq_of(args->eqh, &eq);

        if (rc != 0)
            return rc;
    }
    memset(args->event, 0, sizeof(*args->event));
    ev->magic = EV_MAGIC;
    ev->eqh = args->eqh.cookie;
    ev->self = args->event;
    list_init(&ev->waiters);
    list_init(&ev->children);
    list_init(&ev->sibling);
    if (args->parent != NULL) {
        ev->parent = ev_of(args->parent);
        ev->parent->child_nr++;
        list_add_tail(&ev->sibling, &ev->parent->children);
    }
    return 0;
}

int
daos_event_init(struct daos_event *ev, daos_handle_t eqh, struct daos_event *parent)
{
    struct ev_args args = {.event = ev, .eqh = eqh, .parent = parent};

    if (ev == NULL)
        return CAIRN_ERR(INVAL);
    return run_short(event_init_ult, &args);
}

static void
child_unlink(struct ev *ev)
{
    list_del(&ev->sibling);
    ev->parent->child_nr--;
    ev->parent = NULL;
}

static int
event_fini_ult(void *arg)
{
    struct ev *ev = ev_of(arg), *child, *next;

    if (ev->magic != EV_MAGIC)
        return CAIRN_ERR(INVAL);
    if (ev->state == EV_RUNNING || ev->child_running_nr > 0)
        return CAIRN_ERR(BUSY);
    if (ev->parent != NULL && ev->parent->state != EV_INIT)
        return CAIRN_ERR(INVAL);
    if (ev->state == EV_DONE)
        ev_take(ev);
    if (ev->parent != NULL)
        child_unlink(ev);
    cbs_free(ev);
    LIST_FOREACH_SAFE(child, next, &ev->children, struct ev, sibling) {
        child_unlink(child);
    }
    ev->magic = 0;
    return 0;
}

int
daos_event_fini(struct daos_event *ev)
{
    if (ev == NULL)
        return CAIRN_ERR(INVAL);
    return run_short(event_fini_ult, ev);
}

static int
event_test_ult(void *arg)
{
    struct ev_args *args = arg;
    struct ev *ev = ev_of(args->event);

    if (ev->magic != EV_MAGIC)
        return CAIRN_ERR(INVAL);
    if (ev->parent != NULL)
        return CAIRN_ERR(NO_PERM); /* its parent tells */
    if (ev->eqh != 0 && client_hdl_get(client_self(), CLIENT_HDL_EQ, ev->eqh) == NULL)
        return CAIRN_ERR(NONEXIST);
    if (ev->state == EV_RUNNING || (ev->state == EV_DONE && ev->child_running_nr > 0)) {
        if (args->waiter != NULL)
            list_add_tail(&args->waiter->link, &ev->waiters);
        return 0;
    }
    args->waiter = NULL;
    args->is_taken = true;
    if (ev->state == EV_DONE)
        ev_take(ev);
    return 0;
}

int
daos_event_test(struct daos_event *ev, int64_t timeout, bool *flag)
{
    struct daos_client *client = client_self();
    struct ev_args args = {.event = ev};
    struct waiter waiter = {0};
    int rc;

    if (client == NULL)
        return CAIRN_ERR(UNINIT);
    if (ev == NULL || flag == NULL)
        return CAIRN_ERR(INVAL);
    poke(client);
    ult_eventual_init(&waiter.eventual);
    args.waiter = timeout == DAOS_EQ_NOWAIT ? NULL : &waiter;
    rc = run_short(event_test_ult, &args);
    if (rc != 0)
        return rc;
    if (!args.is_taken && args.waiter != NULL) {
        CAIRN_IGNORE(
            waiter_wait(client, &waiter, deadline_of(client, timeout))); /* the next look tells */
        CAIRN_IGNORE(run_short(waiter_forget_ult, &waiter)); /* always 0 */
        args.waiter = NULL;
        rc = run_short(event_test_ult, &args);
        if (rc != 0)
            return rc;
    }
    *flag = args.is_taken;
    return 0;
}

static int
parent_barrier_ult(void *arg)
{
    struct ev *ev = ev_of(arg);
    int rc;

    if (ev->magic != EV_MAGIC || ev->child_nr == 0)
        return CAIRN_ERR(INVAL);
    rc = ev_prepare(client_self(), ev);
    if (rc != 0)
        return rc;
    ev->is_barrier = true;
    ev_launch(ev);
    if (ev->child_running_nr == 0)
        ev_complete(client_self(), ev, ev->child_rc);
    return 0;
}

int
daos_event_parent_barrier(struct daos_event *ev)
{
    if (ev == NULL)
        return CAIRN_ERR(INVAL);
    return client_run_sync(parent_barrier_ult, ev);
}

struct cb_args {
    struct ev *ev;
    struct ev_cb *cb;
};

static int
comp_cb_ult(void *arg)
{
    struct cb_args *args = arg;
    struct ev_cb **link = &args->ev->cbs;

    if (args->ev->magic != EV_MAGIC)
        return CAIRN_ERR(INVAL);
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = args->cb;
    return 0;
}

int
daos_event_register_comp_cb(struct daos_event *ev, daos_event_comp_cb_t cb, void *arg)
{
    struct cb_args args;
    int rc;

    if (ev == NULL || cb == NULL)
        return CAIRN_ERR(INVAL);
    args.ev = ev_of(ev);
    args.cb = calloc(1, sizeof(*args.cb));
    if (args.cb == NULL)
        return CAIRN_ERR(NOMEM);
    args.cb->fn = cb;
    args.cb->arg = arg;
    rc = run_short(comp_cb_ult, &args);
    if (rc != 0)
        free(args.cb);
    return rc;
}

daos_event_t *
daos_event_next(daos_event_t *parent, daos_event_t *child)
{
    struct ev *ev;

    if (parent == NULL || ev_of(parent)->magic != EV_MAGIC)
        return NULL;
    ev = child == NULL ? LIST_FIRST(&ev_of(parent)->children, struct ev, sibling) : ev_of(child);
    if (child != NULL) {
        if (ev->magic != EV_MAGIC || ev->parent != ev_of(parent) ||
            ev->sibling.next == &ev->parent->children)
            return NULL;
        ev = CAIRN_CONTAINER_OF(ev->sibling.next, struct ev, sibling);
    }
    return ev == NULL ? NULL : ev->self;
}

static int
abort_ult(void *arg)
{
    struct ev *ev = ev_of(arg);
    struct ev *child;

    if (ev->magic != EV_MAGIC)
        return CAIRN_ERR(INVAL);
    if (ev->eqh != 0 && client_hdl_get(client_self(), CLIENT_HDL_EQ, ev->eqh) == NULL)
        return CAIRN_ERR(NONEXIST);
    if (ev->state != EV_RUNNING)
        return CAIRN_ERR(NO_PERM);
    ev->is_aborted = true; /* EV-5 */
    LIST_FOREACH(child, &ev->children, struct ev, sibling) {
        child->is_aborted = true;
    }
    return 0;
}

int
daos_event_abort(daos_event_t *ev)
{
    if (ev == NULL)
        return CAIRN_ERR(INVAL);
    return run_short(abort_ult, ev);
}
