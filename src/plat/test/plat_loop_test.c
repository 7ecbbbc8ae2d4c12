/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: loops, posts, wake-ups, deadlines and driven threads as plat.h promises, on each backend.
 * Method: counters set by posts; times are checked as lower bounds only, since an upper bound would measure the machine.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "plat/test/plat_test_fix.h"

struct note {
    struct plat_post post;
    uint32_t *order;
    uint32_t *nr;
    uint32_t id;
};

static void
note_fn(struct plat_post *post)
{
    struct note *note = (struct note *)post; /* first member */

    note->order[*note->nr] = note->id;
    (*note->nr)++;
}

TEST_ON(plat_loop, posts_in_order, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    struct note notes[8];
    uint32_t order[8];
    uint32_t nr = 0;

    if (!fix_init(&f))
        return;
    for (uint32_t i = 0; i < 8; i++) {
        notes[i] = (struct note){.post.fn = note_fn, .order = order, .nr = &nr, .id = i};
        f.plat->ops->loop_post(f.loop, &notes[i].post);
    }
    EXPECT_EQ(nr, 0); /* PLT-1: only in poll */
    EXPECT_EQ(f.plat->ops->loop_poll(f.loop), 8);
    EXPECT_EQ(nr, 8);
    for (uint32_t i = 0; i < 8; i++) {
        EXPECT_EQ(order[i], i);
    }
    EXPECT_EQ(f.plat->ops->loop_poll(f.loop), 0);
    fix_fini(&f);
}

TEST_ON(plat_loop, posts_run_at_destroy, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    struct note note;
    uint32_t order[1];
    uint32_t nr = 0;

    if (!fix_init(&f))
        return;
    note = (struct note){.post.fn = note_fn, .order = order, .nr = &nr};
    f.plat->ops->loop_post(f.loop, &note.post);
    f.plat->ops->loop_destroy(f.loop);
    f.loop = NULL;
    EXPECT_EQ(nr, 1);
    fix_fini(&f);
}

/* ---- driven threads ------------------------------------------------------------------------------------------------- */

struct driven {
    struct plat *plat;
    struct plat_loop *loop;
    struct plat_thread *thread;
    atomic_uint steps_nr;
    atomic_uint ticks_nr;
    uint64_t next_ns;
    uint64_t late_ns_min;
    bool early;
    bool signals_blocked;
};

enum { TICK_NS = 2000000 };

static uint64_t
driven_step(void *arg)
{
    struct driven *d = arg;
    uint64_t now_ns = plat_mono_ns(d->plat);
    sigset_t set;

    atomic_fetch_add(&d->steps_nr, 1);
    if (atomic_load(&d->ticks_nr) == 0) {
        d->next_ns = now_ns + TICK_NS;
        pthread_sigmask(SIG_BLOCK, NULL, &set);
        d->signals_blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGUSR1) == 1;
        atomic_fetch_add(&d->ticks_nr, 1);
    } else if (now_ns >= d->next_ns) {
        d->next_ns = now_ns + TICK_NS;
        atomic_fetch_add(&d->ticks_nr, 1);
    }
    return d->next_ns;
}

/* Goal: a step is called again at the time that it asked for, not before, and does not run hot meanwhile. */
TEST_ON(plat_loop, thread_deadlines, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    struct driven d = {0};
    uint64_t start_ns;

    if (!fix_init(&f))
        return;
    d.plat = f.plat;
    start_ns = plat_mono_ns(f.plat);
    EXPECT_OK(f.plat->ops->loop_create(f.plat, &d.loop));
    EXPECT_OK(f.plat->ops->thread_start(f.plat, d.loop, "driven", 0, driven_step, &d, &d.thread));
    EXPECT(fix_wait(&f, (uint32_t *)&d.ticks_nr, 11));
    f.plat->ops->thread_stop(d.thread);
    EXPECT_GE(plat_mono_ns(f.plat) - start_ns, 10u * TICK_NS);
    EXPECT_LT(atomic_load(&d.steps_nr), 60);
    if (f.sim == NULL)
        EXPECT(d.signals_blocked); /* TH-3 */
    f.plat->ops->loop_destroy(d.loop);
    fix_fini(&f);
}

static uint64_t
idle_step(void *arg)
{
    struct driven *d = arg;

    atomic_fetch_add(&d->steps_nr, 1);
    return PLAT_NEVER_NS;
}

struct ping {
    struct plat_post post;
    struct fix *f;
    struct plat_loop *other;
    struct plat_loop *home;
    uint32_t left;
    uint32_t done_nr;
    bool back;
};

static void
ping_fn(struct plat_post *post)
{
    struct ping *ping = (struct ping *)post;

    if (ping->back && --ping->left == 0) {
        __atomic_store_n(&ping->done_nr, 1, __ATOMIC_RELEASE);
        return;
    }
    ping->back = !ping->back;
    ping->f->plat->ops->loop_post(ping->back ? ping->home : ping->other, &ping->post);
}

/* Goal: no wake-up is lost when loops post to each other and sleep in between (LOOP-1). */
TEST_ON(plat_loop, posts_between_threads, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    struct driven a = {0}, b = {0};
    struct ping ping = {.post.fn = ping_fn, .left = 2000};

    if (!fix_init(&f))
        return;
    if (f.sim == NULL)
        plat_linux_spin_set(f.plat, 0); /* sleep every time */
    EXPECT_OK(f.plat->ops->loop_create(f.plat, &a.loop));
    EXPECT_OK(f.plat->ops->loop_create(f.plat, &b.loop));
    EXPECT_OK(f.plat->ops->thread_start(f.plat, a.loop, "a", UINT32_MAX, idle_step, &a, &a.thread));
    EXPECT_OK(f.plat->ops->thread_start(f.plat, b.loop, "b", UINT32_MAX, idle_step, &b, &b.thread));
    ping.f = &f;
    ping.home = a.loop;
    ping.other = b.loop;
    f.plat->ops->loop_post(b.loop, &ping.post);
    EXPECT(fix_wait(&f, &ping.done_nr, 1));
    f.plat->ops->thread_stop(a.thread);
    f.plat->ops->thread_stop(b.thread);
    EXPECT_GE(atomic_load(&b.steps_nr), 100);
    f.plat->ops->loop_destroy(a.loop);
    f.plat->ops->loop_destroy(b.loop);
    fix_fini(&f);
}

/* Goal: posts of many threads at once all arrive, those of one thread in its order. */
enum { POSTERS_NR = 4, POSTS_NR = 5000 };

struct poster {
    struct fix *f;
    pthread_t pthread;
    uint32_t id;
    struct flood_post {
        struct plat_post post;
        struct poster *poster;
        uint32_t seq;
    } * posts;
    uint32_t next_seq;
    uint32_t *total;
};

static void
flood_fn(struct plat_post *post)
{
    struct flood_post *fp = (struct flood_post *)post;

    if (fp->seq != fp->poster->next_seq)
        EXPECT_EQ(fp->seq, fp->poster->next_seq);
    fp->poster->next_seq++;
    (*fp->poster->total)++;
}

static void *
poster_main(void *arg)
{
    struct poster *p = arg;

    for (uint32_t i = 0; i < POSTS_NR; i++) {
        p->f->plat->ops->loop_post(p->f->loop, &p->posts[i].post);
    }
    return NULL;
}

TEST_LINUX(plat_loop, posts_from_many_threads, "the simulator has one thread")
{
    struct fix f;
    struct poster posters[POSTERS_NR];
    uint32_t total = 0;

    if (!fix_init(&f))
        return;
    for (uint32_t t = 0; t < POSTERS_NR; t++) {
        posters[t] = (struct poster){.f = &f, .id = t, .total = &total};
        posters[t].posts = calloc(POSTS_NR, sizeof(struct flood_post));
        for (uint32_t i = 0; i < POSTS_NR; i++) {
            posters[t].posts[i] =
                (struct flood_post){.post.fn = flood_fn, .poster = &posters[t], .seq = i};
        }
        EXPECT_EQ(pthread_create(&posters[t].pthread, NULL, poster_main, &posters[t]), 0);
    }
    EXPECT(fix_wait(&f, &total, POSTERS_NR * POSTS_NR));
    for (uint32_t t = 0; t < POSTERS_NR; t++) {
        pthread_join(posters[t].pthread, NULL);
        free(posters[t].posts);
    }
    EXPECT_EQ(total, POSTERS_NR * POSTS_NR);
    fix_fini(&f);
}

TEST_LINUX(plat_loop, wait_deadline, "under sim nobody waits: the event queue drives")
{
    struct fix f;
    uint64_t now_ns;

    if (!fix_init(&f))
        return;
    now_ns = plat_mono_ns(f.plat);
    f.plat->ops->loop_wait(f.loop, now_ns + 3 * FIX_MS);
    EXPECT_GE(plat_mono_ns(f.plat), now_ns + 3 * FIX_MS);
    now_ns = plat_mono_ns(f.plat);
    f.plat->ops->loop_wait(f.loop, now_ns - 1); /* past: at once */
    f.plat->ops->loop_wake(f.loop);
    f.plat->ops->loop_wait(f.loop, PLAT_NEVER_NS); /* a wake-up before the wait counts */
    EXPECT_LT(plat_mono_ns(f.plat), now_ns + FIX_LIMIT_NS);
    fix_fini(&f);
}

TEST_ON(plat_loop, clocks_and_random, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;
    uint64_t mono_ns, wall_ns, cpu_ns;
    uint8_t a[32] = {0}, b[32] = {0};

    if (!fix_init(&f))
        return;
    mono_ns = plat_mono_ns(f.plat);
    wall_ns = plat_wall_ns(f.plat);
    cpu_ns = plat_cpu_ns(f.plat);
    EXPECT_GT(mono_ns, 0);
    for (uint32_t i = 0; i < 1000000 && f.sim == NULL && plat_cpu_ns(f.plat) == cpu_ns; i++) {
    }
    EXPECT_GT(wall_ns, UINT64_C(1600000000) * 1000000000);
    fix_pass(&f, FIX_MS);
    EXPECT_GE(plat_mono_ns(f.plat), mono_ns + (f.sim != NULL ? FIX_MS : 0));
    EXPECT_GT(plat_cpu_ns(f.plat), cpu_ns);
    EXPECT_LE(plat_cpu_ns(f.plat) - cpu_ns, plat_mono_ns(f.plat) - mono_ns); /* of one thread */
    f.plat->ops->random(f.plat, a, sizeof(a));
    f.plat->ops->random(f.plat, b, sizeof(b));
    EXPECT(memcmp(a, b, sizeof(a)) != 0);
    EXPECT(f.plat->ops->env(f.plat, "CAIRN_NO_SUCH_NAME") == NULL);
    EXPECT_GE(f.plat->ops->cpu_nr(f.plat), 1);
    EXPECT_NE(f.plat->ops->pid(f.plat), 0);
    fix_fini(&f);
}
