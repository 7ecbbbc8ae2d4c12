/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The loop of an xstream: one epoll set that holds its sockets, its io_uring and an eventfd for wake-ups from other threads.
 *
 *   LOOP-1  Whoever posts or wakes first publishes its work, then looks at `sleeping`; the loop first sets `sleeping`, then looks for
 *           work. Both in sequentially consistent order, so one of them sees the other and no wake-up is lost.
 *   LOOP-2  Sends and disk operations begun by a step reach the kernel at the start of the next poll or flush, batched; loop_wait() never
 *           sleeps while such work is queued.
 *   LOOP-3  A source that is removed is never called again, also if its event was found before.
 *   LOOP-4  Where there are pollers, which bring most of the traffic then, only each LOOP_ASK_EVERY-th look while awake asks the epoll set;
 *           a sleep always does.
 *   LOOP-5  Tasks that called somebody back have made work that is more urgent than new events: a reply to an update waits for the write that a task has just
 *           told, and so does a reply to what a poller has found. So the look at the descriptors, a system call, is left out then, LOOP_LOOKS_LEFT_OUT_MAX times in a row at most.
 *   LOOP-6  A source that brought the last two events is `hot`: who polls before a sleep reads from it right away, without asking the epoll set whether there is
 *           something, and asks that at each LOOP_HOT_EVERY-th look only, for all the others. What was read is handed out first thing in the next poll, before anybody else
 *           could use the receive buffer, and stands for that poll's look at the descriptors, as in LOOP-5.
 *
 * Waiting. A blocking wake-up costs 20 to 80 us on a virtual machine, so loop_wait() polls for spin_ns before it sleeps, where that has paid lately
 * (plat_linux_spin.h), and no more loops than CPUs poll at one time. spin_ns is longer than a wake-up: after a hiccup that put both ends of a connection to sleep,
 * the one that is woken first would otherwise wait for the other in vain, which sleeps again by the time it is answered, and so on.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "plat/linux/plat_linux_priv.h"

enum {
    LOOP_LOOKS_LEFT_OUT_MAX = 8,
    LOOP_HOT_EVERY = 4,
    LOOP_TIMER_SLACK_NS = 1000,
    LOOP_ASK_EVERY = 8,
};

struct plat_thread {
    struct plat_loop *loop;
    plat_step_fn step;
    void *arg;
    pthread_t pthread;
    atomic_bool stop;
    char name[16];
};

/* ---- sources -------------------------------------------------------------------------------------------------------- */

int
loop_src_add(struct plat_loop *loop, struct loop_src *src)
{
    struct epoll_event ev = {.events = src->events, .data.ptr = src};

    if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, src->fd, &ev) != 0)
        return PLAT_LINUX_ERR(errno);
    list_add_tail(&src->link, &loop->srcs);
    return 0;
}

void
loop_src_mod(struct plat_loop *loop, struct loop_src *src, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = src};
    int rc;

    if (src->events == events)
        return;
    src->events = events;
    loop->stats.calls_nr++;
    rc = epoll_ctl(loop->epfd, EPOLL_CTL_MOD, src->fd, &ev);
    CAIRN_ASSERT(rc == 0);
}

void
loop_src_del(struct plat_loop *loop, struct loop_src *src)
{
    int rc = 0;

    if (loop->epfd >= 0) /* else a forked child, whose descriptors are gone */
        rc = epoll_ctl(loop->epfd, EPOLL_CTL_DEL, src->fd, NULL);
    CAIRN_ASSERT(rc == 0);
    list_del(&src->link);
    if (loop->last_src == src)
        loop->last_src = NULL;
    if (loop->hot_src == src) {
        loop->hot_src = NULL;
        loop->is_hot_found = false;
    }
    for (int i = 0; i < loop->events_nr; i++) { /* LOOP-3 */
        if (loop->events[i].data.ptr == src)
            loop->events[i].data.ptr = NULL;
    }
}

static void
loop_woken(struct loop_src *src, uint32_t events)
{
    uint64_t count;
    ssize_t n = read(src->fd, &count, sizeof(count));

    (void)events;
    (void)n; /* EAGAIN: somebody else's wake-up was read together with an earlier one */
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

int
plat_linux_loop_create(struct plat *plat, struct plat_loop **ret_loop)
{
    struct plat_loop *loop = calloc(1, sizeof(*loop));
    int rc = 0;

    if (loop == NULL)
        return CAIRN_ERR(NOMEM);
    loop->pl = plat_linux_of(plat);
    loop->pid = getpid();
    list_init(&loop->link);
    list_init(&loop->srcs);
    list_init(&loop->pollers);
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    loop->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    list_init(&loop->tasks);
    list_init(&loop->later);
    loop->retry_at_ns = PLAT_NEVER_NS;
    spin_init(&loop->spin);
    if (loop->epfd < 0 || loop->wakefd < 0) {
        rc = PLAT_LINUX_ERR(errno);
        goto out;
    }
    loop->wake_src = (struct loop_src){.fd = loop->wakefd, .events = EPOLLIN, .fn = loop_woken};
    rc = loop_src_add(loop, &loop->wake_src);
    if (rc != 0)
        goto out;
    pthread_mutex_lock(&loop->pl->lists_lock);
    list_add_tail(&loop->link, &loop->pl->loops);
    pthread_mutex_unlock(&loop->pl->lists_lock);
    *ret_loop = loop;
    loop = NULL;
out:
    plat_linux_loop_destroy(loop);
    return rc;
}

static void
loop_posts_run(struct plat_loop *loop)
{
    struct plat_post *post = atomic_exchange(&loop->posts, NULL);
    struct plat_post *first = NULL;

    while (post != NULL) { /* newest first: turn round */
        struct plat_post *next = post->next;

        post->next = first;
        first = post;
        post = next;
    }
    while (first != NULL) {
        post = first;
        first = post->next; /* fn may free the post */
        loop->cbs_nr++;
        post->fn(post);
    }
}

void
plat_linux_loop_forked(struct plat_loop *loop)
{
    struct loop_src *src;

    LIST_FOREACH(src, &loop->srcs, struct loop_src, link) {
        if (src->fd >= 0)
            close(src->fd); /* no EPOLL_CTL_DEL: the epoll set is the parent's too */
        src->fd = -1;
    }
    if (loop->epfd >= 0)
        close(loop->epfd);
    loop->epfd = -1;
}

void
plat_linux_loop_destroy(struct plat_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->pid != getpid()) {
        plat_linux_loop_forked(loop);
        list_del(&loop->link); /* the rest, in the state in which the fork caught it, is left alone */
        return;
    }
    pthread_mutex_lock(&loop->pl->lists_lock);
    list_del(&loop->link);
    pthread_mutex_unlock(&loop->pl->lists_lock);
    while (atomic_load(&loop->posts) != NULL) {
        loop_posts_run(loop);
    }
    CAIRN_ASSERT(list_empty(&loop->tasks));
    CAIRN_ASSERT(list_empty(&loop->later));
    disk_engine_destroy(loop->disk);
    free(loop->rxbuf);
    if (loop->wakefd >= 0)
        close(loop->wakefd);
    if (loop->epfd >= 0)
        close(loop->epfd);
    free(loop);
}

/* ---- pollers -------------------------------------------------------------------------------------------------------- */

void
loop_poller_add(struct plat_loop *loop, struct loop_poller *poller)
{
    list_add_tail(&poller->link, &loop->pollers);
}

static struct loop_poller *
poller_after(struct plat_loop *loop, struct loop_poller *poller)
{
    if (poller->link.next == &loop->pollers)
        return NULL;
    return CAIRN_CONTAINER_OF(poller->link.next, struct loop_poller, link);
}

void
loop_poller_del(struct plat_loop *loop, struct loop_poller *poller)
{
    if (loop->poller_next == poller)
        loop->poller_next = poller_after(loop, poller);
    list_del(&poller->link);
}

static void
loop_pollers_run(struct plat_loop *loop)
{
    struct loop_poller *poller = LIST_FIRST(&loop->pollers, struct loop_poller, link);

    while (poller != NULL) {
        loop->poller_next = poller_after(loop, poller);
        poller->poll(poller); /* which may take any of them out */
        poller = loop->poller_next;
    }
}

static bool
loop_pollers_look(struct plat_loop *loop)
{
    struct loop_poller *poller;

    LIST_FOREACH(poller, &loop->pollers, struct loop_poller, link) {
        if (poller->look(poller))
            loop->is_poller_found = true;
    }
    return loop->is_poller_found;
}

static bool
loop_pollers_may_sleep(struct plat_loop *loop)
{
    struct loop_poller *poller;

    LIST_FOREACH(poller, &loop->pollers, struct loop_poller, link) {
        if (!poller->may_sleep(poller))
            return false;
    }
    return true;
}

/* ---- poll ----------------------------------------------------------------------------------------------------------- */

/* One round: tasks that these add run in the next. True: there were some. */
static bool
loop_tasks_run(struct plat_loop *loop)
{
    struct list_head round;
    bool found = !list_empty(&loop->tasks);

    list_init(&round);
    list_splice_tail(&loop->tasks, &round);
    while (!list_empty(&round)) {
        struct loop_task *task = LIST_FIRST(&round, struct loop_task, link);

        list_del(&task->link);
        task->fn(task);
    }
    return found;
}

void
loop_task_add_later(struct plat_loop *loop, struct loop_task *task)
{
    if (!list_empty(&task->link))
        return;
    list_add_tail(&task->link, &loop->later);
    loop->retry_at_ns = MIN(loop->retry_at_ns, plat_linux_mono_ns(&loop->pl->plat) + LOOP_LATER_NS);
}

static void
loop_later_due(struct plat_loop *loop)
{
    if (loop->retry_at_ns == PLAT_NEVER_NS || plat_linux_mono_ns(&loop->pl->plat) < loop->retry_at_ns)
        return;
    loop->retry_at_ns = PLAT_NEVER_NS;
    list_splice_tail(&loop->later, &loop->tasks);
}

static bool
loop_events_find(struct plat_loop *loop)
{
    int nr;

    if (loop->events_nr == 0) {
        if (!list_empty(&loop->pollers) && ++loop->asks_nr % LOOP_ASK_EVERY != 0) /* LOOP-4 */
            return false;
        nr = epoll_wait(loop->epfd, loop->events, LOOP_EVENTS_MAX, 0);
        loop->events_nr = nr > 0 ? nr : 0;
    }
    return loop->events_nr > 0;
}

/* LOOP-6 */
static void
loop_events_dispatch(struct plat_loop *loop)
{
    for (int i = 0; i < loop->events_nr; i++) {
        struct loop_src *src = loop->events[i].data.ptr;

        if (src == NULL)
            continue;
        if (src->look != NULL) {
            loop->hot_src = loop->last_src == src ? src : NULL;
            loop->last_src = src;
        }
        src->fn(src, loop->events[i].events);
    }
    loop->events_nr = 0;
}

static void
loop_hot_dispatch(struct plat_loop *loop)
{
    if (!loop->is_hot_found)
        return;
    loop->is_hot_found = false;
    loop->hot_src->fn(loop->hot_src, LOOP_LOOKED);
}

static bool
loop_hot_look(struct plat_loop *loop)
{
    if (loop->hot_src != NULL && loop->hot_src->look(loop->hot_src)) {
        loop->is_hot_found = true;
        loop->stats.hot_nr++;
    }
    return loop->is_hot_found;
}

/* LOOP-5 */
static void
loop_events_look(struct plat_loop *loop, bool has_called)
{
    if (has_called && loop->looks_left_out_nr < LOOP_LOOKS_LEFT_OUT_MAX) {
        loop->looks_left_out_nr++;
        return;
    }
    loop->looks_left_out_nr = 0;
    loop_events_find(loop);
}

uint32_t
plat_linux_loop_poll(struct plat_loop *loop)
{
    uint32_t before = loop->cbs_nr;
    bool found;

    loop_hot_dispatch(loop);
    loop_later_due(loop);
    found = loop_tasks_run(loop);
    if (loop->disk != NULL)
        disk_engine_submit(loop->disk);
    loop_events_look(loop, loop->cbs_nr != before || loop->is_poller_found);
    loop->is_poller_found = false;
    loop_events_dispatch(loop);
    atomic_store(&loop->woken, false);
    loop_pollers_run(loop);
    loop_posts_run(loop);
    if (loop->disk != NULL)
        disk_engine_reap(loop->disk);
    found = loop_tasks_run(loop) || found;
    if (loop->disk != NULL)
        disk_engine_submit(loop->disk);
    loop->stats.turns_nr += found || loop->cbs_nr != before;
    return loop->cbs_nr - before;
}

void
plat_linux_loop_flush(struct plat_loop *loop)
{
    loop_tasks_run(loop);
    if (loop->disk != NULL)
        disk_engine_submit(loop->disk);
}

/* ---- wait ----------------------------------------------------------------------------------------------------------- */

static bool
loop_has_work(struct plat_loop *loop)
{
    return atomic_load(&loop->posts) != NULL || atomic_load(&loop->woken) || loop->events_nr > 0 ||
        loop->is_hot_found || !list_empty(&loop->tasks) ||
        (loop->disk != NULL && disk_engine_ready(loop->disk));
}

/* Polls; true when something came. */
static bool
loop_spin(struct plat_loop *loop, uint64_t now_ns, uint64_t deadline_ns)
{
    struct plat_linux *pl = loop->pl;
    uint64_t end_ns = MIN(now_ns + pl->spin_ns, deadline_ns);
    uint32_t looks_nr = 0;
    bool found = false;

    if (pl->spin_ns == 0 || !spin_is_due(&loop->spin))
        return false;
    if (atomic_fetch_add(&pl->spinners_nr, 1) < pl->cpu_nr) {
        do {
            found = loop_has_work(loop) || loop_pollers_look(loop) || loop_hot_look(loop);
            if (!found && (loop->hot_src == NULL || looks_nr % LOOP_HOT_EVERY == LOOP_HOT_EVERY - 1))
                found = loop_events_find(loop);
            looks_nr++;
        } while (!found && plat_linux_mono_ns(&pl->plat) < end_ns);
        if (looks_nr > 1)
            spin_learn(&loop->spin, found);
    }
    atomic_fetch_sub(&pl->spinners_nr, 1);
    return found;
}

static void
loop_sleep(struct plat_loop *loop, uint64_t now_ns, uint64_t deadline_ns)
{
    struct timespec ts;
    struct timespec *timeout = NULL;
    int nr;

    if (deadline_ns != PLAT_NEVER_NS) {
        ts.tv_sec = (time_t)((deadline_ns - now_ns) / 1000000000);
        ts.tv_nsec = (long)((deadline_ns - now_ns) % 1000000000);
        timeout = &ts;
    }
    atomic_store(&loop->sleeping, true); /* LOOP-1 */
    if (!loop_has_work(loop) && loop_pollers_may_sleep(loop)) {
        loop->stats.sleeps_nr++;
        nr = epoll_pwait2(loop->epfd, loop->events, LOOP_EVENTS_MAX, timeout, NULL);
        if (nr < 0 && errno == ENOSYS) {
            int ms = timeout == NULL ? -1 : (int)MIN((deadline_ns - now_ns) / 1000000 + 1, 60000u);

            nr = epoll_wait(loop->epfd, loop->events, LOOP_EVENTS_MAX, ms);
        }
        loop->events_nr = nr > 0 ? nr : 0; /* EINTR: the caller polls and comes back */
    }
    atomic_store(&loop->sleeping, false);
}

void
plat_linux_loop_wait(struct plat_loop *loop, uint64_t deadline_ns)
{
    uint64_t now_ns;

    if (loop->disk != NULL)
        disk_engine_submit(loop->disk); /* LOOP-2 */
    if (loop_has_work(loop))
        return;
    now_ns = plat_linux_mono_ns(&loop->pl->plat);
    deadline_ns = MIN(deadline_ns, loop->retry_at_ns);
    if (now_ns >= deadline_ns)
        return;
    if (loop_spin(loop, now_ns, deadline_ns))
        return;
    now_ns = plat_linux_mono_ns(&loop->pl->plat);
    if (now_ns >= deadline_ns)
        return;
    loop_sleep(loop, now_ns, deadline_ns);
}

void
plat_linux_loop_stats(const struct plat_loop *loop, struct plat_linux_loop_stats *ret_stats)
{
    *ret_stats = loop->stats;
}

/* ---- from other threads --------------------------------------------------------------------------------------------- */

static void
loop_kick(struct plat_loop *loop)
{
    uint64_t one = 1;
    ssize_t n;

    if (!atomic_load(&loop->sleeping) || !atomic_exchange(&loop->sleeping, false))
        return; /* it is awake, or somebody else wakes it */
    n = write(loop->wakefd, &one, sizeof(one));
    CAIRN_ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

void
plat_linux_loop_wake(struct plat_loop *loop)
{
    atomic_store(&loop->woken, true);
    loop_kick(loop);
}

void
plat_linux_loop_post(struct plat_loop *loop, struct plat_post *post)
{
    struct plat_post *head = atomic_load(&loop->posts);

    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak(&loop->posts, &head, post));
    loop_kick(loop);
}

/* ---- threads -------------------------------------------------------------------------------------------------------- */

static void *
thread_main(void *arg)
{
    struct plat_thread *thread = arg;
    struct plat_loop *loop = thread->loop;

    pthread_setname_np(pthread_self(), thread->name);
    prctl(PR_SET_TIMERSLACK, (unsigned long)LOOP_TIMER_SLACK_NS, 0, 0, 0);
    while (!atomic_load(&thread->stop)) {
        uint64_t next_ns;

        plat_linux_loop_poll(loop);
        next_ns = thread->step(thread->arg);
        if (next_ns != 0)
            plat_linux_loop_wait(loop, next_ns);
    }
    return NULL;
}

static void
thread_pin(struct plat_linux *pl, struct plat_thread *thread, uint32_t cpu)
{
    int nr = plat_linux_cpu(pl, cpu);
    cpu_set_t set;
    int rc;

    CPU_ZERO(&set);
    if (nr >= 0)
        CPU_SET(nr, &set);
    rc = nr < 0 ? EINVAL : pthread_setaffinity_np(thread->pthread, sizeof(set), &set);
    if (rc != 0) {
        LOG_WARN("thread %s cannot be pinned to CPU %d (%s); it runs anywhere", thread->name, nr,
            strerror(rc));
    }
}

int
plat_linux_thread_start(struct plat *plat, struct plat_loop *loop, const char *name, uint32_t cpu,
    plat_step_fn step, void *arg, struct plat_thread **ret_thread)
{
    struct plat_thread *thread = calloc(1, sizeof(*thread));
    sigset_t all, old;
    int rc;

    if (thread == NULL)
        return CAIRN_ERR(NOMEM);
    thread->loop = loop;
    thread->step = step;
    thread->arg = arg;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    sigfillset(&all); /* TH-3: the new thread inherits the mask */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&thread->pthread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        free(thread);
        return PLAT_LINUX_ERR(rc);
    }
    if (cpu != UINT32_MAX)
        thread_pin(plat_linux_of(plat), thread, cpu);
    *ret_thread = thread;
    return 0;
}

void
plat_linux_thread_stop(struct plat_thread *thread)
{
    int rc;

    if (thread == NULL)
        return;
    atomic_store(&thread->stop, true);
    plat_linux_loop_wake(thread->loop);
    rc = pthread_join(thread->pthread, NULL);
    CAIRN_ASSERT(rc == 0);
    free(thread);
}
