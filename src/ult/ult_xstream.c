/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * xstream: the scheduler. A driver (thread of plat/linux, event of plat/sim, or a client thread in xstream_drive()) repeats: poll the
 * loop, step, wait. A step fires the due timers and runs ready ULTs, at most XSTREAM_STEP_RUNS_MAX of them and for about
 * XSTREAM_STEP_NS_MAX, so that the loop is polled often however much is ready.
 *
 *   ULT-11  Shares: of each 16 runs, one goes to BACKGROUND, three to SERVICE and four to IO first if they have work; every other
 *           run goes to the first class that has. So earlier classes are preferred and no class starves.
 *   ULT-12  A post is never lost and never overtaken by a later one of its thread and class: what cannot become a ULT yet (too many
 *           live, or enough of the class that have not run) waits in `pending`.
 *
 * Posts: any thread pushes to the inbox; whoever found it empty rings the doorbell, a plat_post. The doorbell is free again when its
 * callback runs, and only the callback empties the inbox, hence it is never posted twice at a time.
 *
 * Tested by ult_xstream_test.c and ult_thread_test.c.
 */
#include "ult_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define N ULT_NET
#define I ULT_IO
#define S ULT_SERVICE
#define B ULT_BACKGROUND
static const uint8_t share_pattern[16] = {N, I, N, S, N, I, N, S, N, I, N, S, N, I, N, B}; /* ULT-11 */
#undef N
#undef I
#undef S
#undef B

/* ---- the calling thread --------------------------------------------------------------------------------------------- */

static _Thread_local struct ult_thread_state thread_state;

ULT_OUT_OF_LINE struct ult_thread_state *
ult_thread_state(void)
{
    return &thread_state;
}

ULT_OUT_OF_LINE struct xstream *
xstream_self(void)
{
    return thread_state.xs;
}

bool
ult_runs_on(const struct xstream *xs)
{
    const struct ult_thread_state *state = ult_thread_state();
    const void *driver;

    if (state->xs != NULL)
        return state->xs == xs;
    driver = atomic_load_explicit(&xs->driver, memory_order_relaxed);
    return driver == NULL || driver == state;
}

/* ---- posts ---------------------------------------------------------------------------------------------------------- */

static void
inbox_push(struct xstream *xs, struct xstream_msg *msg)
{
    struct xstream_msg *head = atomic_load_explicit(&xs->inbox, memory_order_relaxed);

    do {
        msg->next = head;
    } while (!atomic_compare_exchange_weak_explicit(
        &xs->inbox, &head, msg, memory_order_acq_rel, memory_order_relaxed));
    if (head == NULL) /* acquired: the doorbell's last callback has begun before the inbox became empty */
        xs->plat->ops->loop_post(xs->loop, &xs->doorbell);
}

/* Oldest first to the ends of the `pending` lists. */
static void
inbox_take(struct xstream *xs)
{
    struct xstream_msg *msg = atomic_exchange_explicit(&xs->inbox, NULL, memory_order_acq_rel);
    struct xstream_msg *list = NULL;

    while (msg != NULL) {
        struct xstream_msg *next = msg->next;

        msg->next = list;
        list = msg;
        msg = next;
    }
    while (list != NULL) {
        struct xstream_msgs *pending = &xs->pending[list->cls];

        msg = list;
        list = msg->next;
        msg->next = NULL;
        if (pending->head == NULL) {
            pending->head = msg;
        } else {
            pending->tail->next = msg;
        }
        pending->tail = msg;
        xs->pending_nr++;
    }
}

static void
pending_pop(struct xstream *xs, enum ult_class cls)
{
    struct xstream_msg *msg = xs->pending[cls].head;

    xs->pending[cls].head = msg->next;
    xs->pending_nr--;
    free(msg);
}

static void
pending_run(struct xstream *xs)
{
    for (unsigned int cls = 0; cls < ULT_CLASS_NR; cls++) {
        const struct xstream_msg *msg;

        while ((msg = xs->pending[cls].head) != NULL &&
            xs->unstarted_nr[cls] < XSTREAM_POSTS_UNSTARTED_MAX) {
            if (ult_create(xs, (enum ult_class)cls, msg->fn, msg->arg, NULL) != 0)
                return; /* ULT-12: again in the next step */
            pending_pop(xs, (enum ult_class)cls);
        }
    }
}

static void
doorbell_fn(struct plat_post *post)
{
    struct xstream *xs = CAIRN_CONTAINER_OF(post, struct xstream, doorbell);

    inbox_take(xs);
    if (!xs->is_closing) /* else dropped: destroying a loop runs what was posted */
        pending_run(xs);
}

static void
pending_drop(struct xstream *xs)
{
    inbox_take(xs);
    for (unsigned int cls = 0; cls < ULT_CLASS_NR; cls++) {
        while (xs->pending[cls].head != NULL) {
            pending_pop(xs, (enum ult_class)cls);
        }
    }
}

int
xstream_post(struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg)
{
    struct xstream_msg *msg = malloc(sizeof(*msg));

    CAIRN_ASSERT(cls < ULT_CLASS_NR);
    if (msg == NULL)
        return CAIRN_ERR(NOMEM);
    *msg = (struct xstream_msg){.cls = cls, .fn = fn, .arg = arg};
    inbox_push(xs, msg);
    return 0;
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

/*
 * One call. Memory of the calling xstream: the answer needs none, so that it cannot fail, and a call whose ULT was abandoned
 * meanwhile (`waiter` NULL) is still there when its answer comes.
 */
struct call {
    struct list_head link; /* in `calls` of the calling xstream */
    struct plat_post reply;
    struct plat *plat; /* of the caller */
    struct plat_loop *loop;
    void (*fn)(void *arg);
    void *arg;
    struct ult_eventual *waiter;
    atomic_bool *left; /* set when the callee no longer touches `loop`; NULL: the loop outlives the call anyway */
    bool is_done;
};

static void
call_reply_fn(struct plat_post *post)
{
    struct call *call = CAIRN_CONTAINER_OF(post, struct call, reply);

    call->is_done = true;
    if (call->waiter != NULL)
        ult_eventual_set(call->waiter, 0);
}

static void
call_run(void *arg)
{
    struct call *call = arg;
    atomic_bool *left = call->left;

    call->fn(call->arg);
    call->plat->ops->loop_post(call->loop, &call->reply); /* *call may be gone now */
    if (left != NULL)
        atomic_store(left, true);
}

static int
call_from_ult(
    struct xstream *self, struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg)
{
    struct call *call = malloc(sizeof(*call));
    struct ult_eventual done;
    int rc;

    if (call == NULL)
        return CAIRN_ERR(NOMEM);
    ult_eventual_init(&done);
    *call = (struct call){.reply = {.fn = call_reply_fn},
        .plat = self->plat,
        .loop = self->loop,
        .fn = fn,
        .arg = arg,
        .waiter = &done};
    list_add_tail(&call->link, &self->calls);
    rc = xstream_post(xs, cls, call_run, call);
    if (rc == 0)
        rc = ult_eventual_wait(&done);
    list_del(&call->link);
    free(call);
    return rc;
}

/* A plain thread sleeps on a loop of its own (linux only). */
static int
call_from_thread(struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg)
{
    struct plat *plat = xs->plat;
    atomic_bool left = false;
    struct call call = {
        .reply = {.fn = call_reply_fn}, .plat = plat, .fn = fn, .arg = arg, .left = &left};
    int rc;

    CAIRN_ASSERT(xstream_self() == NULL);
    rc = plat->ops->loop_create(plat, &call.loop);
    if (rc != 0)
        return rc;
    rc = xstream_post(xs, cls, call_run, &call);
    while (rc == 0 && !call.is_done) {
        plat->ops->loop_wait(call.loop, PLAT_NEVER_NS);
        plat->ops->loop_poll(call.loop);
    }
    while (rc == 0 && !atomic_load(&left)) /* some instructions away */
    {
        plat->ops->loop_poll(call.loop);
    }
    plat->ops->loop_destroy(call.loop);
    return rc;
}

static void
calls_orphan(struct xstream *xs)
{
    struct call *call;

    LIST_FOREACH(call, &xs->calls, struct call, link) {
        call->waiter = NULL;
    }
}

static void
calls_free(struct xstream *xs)
{
    struct call *call, *tmp;

    LIST_FOREACH_SAFE(call, tmp, &xs->calls, struct call, link) {
        free(call);
    }
}

int
xstream_call(struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg)
{
    const struct ult *self = ult_self();

    return self == NULL ? call_from_thread(xs, cls, fn, arg)
                        : call_from_ult(self->xs, xs, cls, fn, arg);
}

/* ---- the step ------------------------------------------------------------------------------------------------------- */

static struct ult *
ready_pick(struct xstream *xs)
{
    struct list_head *queue = &xs->ready[share_pattern[xs->slot_idx++ % ARRAY_SIZE(share_pattern)]];

    if (list_empty(queue)) {
        queue = &xs->ready[0];
        while (list_empty(queue)) {
            queue++;
        }
    }
    return LIST_FIRST(queue, struct ult, link);
}

static void
ult_run(struct xstream *xs, struct ult *u)
{
    CAIRN_ASSERT(u->state == ULT_READY);
    list_del(&u->link);
    xs->ready_nr--;
    if (u->stack == NULL)
        ult_stack_take(u);
    u->state = ULT_RUNNING;
    xs->current = u;
    xs->switches_nr++;
    err_ring_set(&u->ring);
    if (u->cls == ULT_BACKGROUND)
        u->run_since_ns = plat_mono_ns(xs->plat);
    ult_ctx_to_ult(xs, u->stack);
    if (u->cls == ULT_BACKGROUND)
        u->run_ns += plat_mono_ns(xs->plat) - u->run_since_ns;
    xs->current = NULL;
    if (u->state == ULT_DONE)
        ult_finish(u);
}

static void
ready_run(struct xstream *xs)
{
    struct err_ring *outer_ring = err_ring_get();

    xs->is_step_over = false;
    for (uint32_t i = 1; i <= XSTREAM_STEP_RUNS_MAX && xs->ready_nr > 0 && !xs->is_step_over; i++) {
        ult_run(xs, ready_pick(xs));
        if (i % XSTREAM_CLOCK_EVERY == 0 && plat_mono_ns(xs->plat) - xs->now_ns > XSTREAM_STEP_NS_MAX)
            break;
    }
    err_ring_set(outer_ring);
}

uint64_t
xstream_step(struct xstream *xs)
{
    struct ult_thread_state *state = ult_thread_state();
    struct xstream *outer = state->xs;
    uint64_t next_ns;

    CAIRN_ASSERT(xs->current == NULL);
    CAIRN_ASSERT(ERGO(outer != NULL, outer->current == NULL)); /* never from a ULT */
    if (atomic_load_explicit(&xs->driver, memory_order_relaxed) != state)
        atomic_store_explicit(&xs->driver, state, memory_order_relaxed);
    state->xs = xs;
    xs->now_ns = plat_mono_ns(xs->plat);
    if (xs->idle_since_ns != 0)
        xs->idle_ns += xs->now_ns - xs->idle_since_ns;

    ult_timers_run(xs);
    if (xs->pending_nr > 0)
        pending_run(xs);
    ready_run(xs);
    if (xs->pending_nr > 0)
        pending_run(xs);

    next_ns = xs->ready_nr > 0 ? 0 : ult_timers_next_ns(xs);
    if (xs->pending_nr > 0)
        next_ns = MIN(next_ns, xs->now_ns + XSTREAM_POST_RETRY_NS);
    xs->idle_since_ns = next_ns == 0 ? 0 : plat_mono_ns(xs->plat);
    state->xs = outer;
    return next_ns;
}

uint64_t
xstream_idle_ns(const struct xstream *xs)
{
    return xs->idle_ns;
}

static uint64_t
step_fn(void *arg)
{
    return xstream_step(arg);
}

static void
driver_enter(struct xstream *xs)
{
    struct ult_thread_state *state = ult_thread_state();
    const void *other = atomic_exchange(&xs->driver, state);

    CAIRN_ASSERT(state->xs == NULL); /* on a ULT, wait instead */
    CAIRN_ASSERT(xs->thread == NULL);
    CAIRN_ASSERT(ERGO(other != NULL, other == state)); /* ULT-1: one thread at a time */
}

static void
driver_leave(struct xstream *xs)
{
    atomic_store(&xs->driver, NULL);
}

/* Step, wait, poll, until *done or the deadline. */
static int
drive(struct xstream *xs, const bool *done, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t next_ns = xstream_step(xs);

        if (*(const volatile bool *)done)
            return 0;
        if (deadline_ns != PLAT_NEVER_NS && plat_mono_ns(xs->plat) >= deadline_ns)
            return -DER_TIMEDOUT;
        if (next_ns != 0)
            xs->plat->ops->loop_wait(xs->loop, MIN(next_ns, deadline_ns));
        xs->plat->ops->loop_poll(xs->loop);
    }
}

int
xstream_drive(struct xstream *xs, const bool *done, uint64_t deadline_ns)
{
    int rc;

    driver_enter(xs);
    xs->plat->ops->loop_poll(xs->loop);
    rc = drive(xs, done, deadline_ns);
    driver_leave(xs);
    return rc;
}

int
xstream_drive_new(
    struct xstream *xs, enum ult_class cls, void (*fn)(void *arg), void *arg, const bool *done)
{
    int rc;

    driver_enter(xs);
    rc = ult_create(xs, cls, fn, arg, NULL);
    if (rc == 0)
        rc = drive(xs, done, PLAT_NEVER_NS);
    driver_leave(xs);
    return rc;
}

void
xstream_nudge(struct xstream *xs, bool flush)
{
    driver_enter(xs);
    CAIRN_IGNORE(xstream_step(xs)); /* what is left is for the next driver */
    if (flush)
        xs->plat->ops->loop_flush(xs->loop);
    driver_leave(xs);
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

int
xstream_create(struct plat *plat, const struct xstream_opts *opts, struct xstream **ret_xs)
{
    static const struct xstream_opts defaults = {.name = "xs", .cpu = UINT32_MAX};
    struct xstream *xs = calloc(1, sizeof(*xs));
    uint64_t stack_bytes;
    int rc;

    if (xs == NULL)
        return CAIRN_ERR(NOMEM);
    if (opts == NULL)
        opts = &defaults;
    rc = plat->ops->loop_create(plat, &xs->loop);
    if (rc != 0) {
        free(xs);
        return rc;
    }
    stack_bytes = opts->stack_bytes == 0 ? ULT_STACK_BYTES_DEFAULT : opts->stack_bytes;
    stack_bytes = MAX(stack_bytes, (uint64_t)ULT_STACK_BYTES_MIN);
    if (ULT_ASAN || ULT_TSAN)
        stack_bytes *= ULT_STACK_SANITIZER_FACTOR;
    xs->stack_bytes = ALIGN_UP(stack_bytes, ULT_STACK_BYTES_MIN);
    xs->plat = plat;
    xs->cpu = opts->cpu;
    xs->ult_nr_max = opts->ult_nr_max == 0 ? ULT_NR_MAX_DEFAULT : opts->ult_nr_max;
    snprintf(xs->name, sizeof(xs->name), "%s", opts->name == NULL ? "xs" : opts->name);
    xs->now_ns = plat_mono_ns(plat);
    xs->doorbell.fn = doorbell_fn;
    for (uint32_t i = 0; i < ULT_CLASS_NR; i++) {
        list_init(&xs->ready[i]);
    }
    list_init(&xs->ults);
    list_init(&xs->ults_free);
    list_init(&xs->stacks_free);
    list_init(&xs->calls);
    *ret_xs = xs;
    return 0;
}

void
xstream_destroy(struct xstream *xs)
{
    struct ult *u, *tmp;

    if (xs == NULL)
        return;
    CAIRN_ASSERT(xs->thread == NULL);
    CAIRN_ASSERT(xs->live_nr == 0);
    CAIRN_ASSERT(xs->ready_nr == 0);
    xs->is_closing = true;
    xs->plat->ops->loop_destroy(xs->loop);
    pending_drop(xs);
    calls_free(xs);
    ult_stack_discard_all(xs);
    LIST_FOREACH_SAFE(u, tmp, &xs->ults_free, struct ult, link) {
        free(u);
    }
    free(xs);
}

int
xstream_start(struct xstream *xs)
{
    CAIRN_ASSERT(xs->thread == NULL);
    xs->pid = xs->plat->ops->pid(xs->plat);
    return xs->plat->ops->thread_start(
        xs->plat, xs->loop, xs->name, xs->cpu, step_fn, xs, &xs->thread);
}

void
xstream_stop(struct xstream *xs)
{
    CAIRN_ASSERT(xstream_self() != xs);
    if (xs->thread == NULL)
        return;
    xs->plat->ops->thread_stop(xs->thread);
    xs->thread = NULL;
    atomic_store(&xs->driver, NULL);
}

void
xstream_abandon(struct xstream *xs)
{
    CAIRN_ASSERT(xstream_self() != xs);
    if (xs->thread != NULL && xs->pid == xs->plat->ops->pid(xs->plat))
        xs->plat->ops->thread_stop(xs->thread);
    xs->thread = NULL; /* a forked child never had it */
    atomic_store(&xs->driver, NULL);
    xs->current = NULL;
    ult_timers_drop(xs);
    pending_drop(xs);
    calls_orphan(xs);
    while (!list_empty(&xs->ults)) {
        struct ult *u = LIST_FIRST(&xs->ults, struct ult, all_link);

        list_del(&u->link); /* of a ready queue or of what it waits on, which may be on a stack */
        ult_free(u);
    }
    xs->ready_nr = 0;
    xs->promised_nr = 0;
    memset(xs->unstarted_nr, 0, sizeof(xs->unstarted_nr));
    ult_stack_discard_all(xs);
}

struct plat *
xstream_plat(struct xstream *xs)
{
    return xs->plat;
}

struct plat_loop *
xstream_loop(struct xstream *xs)
{
    return xs->loop;
}

const char *
xstream_name(const struct xstream *xs)
{
    return xs->name;
}

void
xstream_stats(const struct xstream *xs, struct ult_stats *ret_stats)
{
    *ret_stats = (struct ult_stats){
        .switches_nr = xs->switches_nr,
        .created_nr = xs->created_nr,
        .live_nr = xs->live_nr,
        .ready_nr = xs->ready_nr,
        .stacks_nr = xs->stacks_nr,
        .stack_used_bytes_max = ult_stack_used_max(xs),
    };
}
