/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: work reaches an xstream from other threads and xstreams, in order and without loss (ULT-12); a client thread can drive.
 * Method: many posts from real threads; calls between two xstreams; a limit on ULTs that the posts exceed.
 */
#include "ult_test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- posts ---------------------------------------------------------------------------------------------------------- */

enum { POSTERS_NR = 4, POSTS_NR = 10000 };

struct poster {
    struct posts *posts;
    pthread_t thread;
    uint64_t sent_nr; /* its own */
    uint64_t ran_nr; /* the xstream's */
    uint64_t disorder_nr;
};

struct posts {
    struct fixture f;
    struct poster posters[POSTERS_NR];
    uint64_t ran_nr;
    uint64_t want_nr;
};

struct post {
    struct poster *poster;
    uint64_t seq;
};

static void
post_run(void *arg)
{
    struct post *post = arg;
    struct poster *poster = post->poster;
    struct posts *posts = poster->posts;

    if (post->seq != poster->ran_nr)
        poster->disorder_nr++;
    poster->ran_nr++;
    if (++posts->ran_nr == posts->want_nr)
        posts->f.done = true;
    free(post);
}

static void
post_one(struct poster *poster)
{
    struct post *post = malloc(sizeof(*post));

    *post = (struct post){poster, poster->sent_nr++};
    must(xstream_post(poster->posts->f.xs, ULT_IO, post_run, post));
}

static void *
poster_main(void *arg)
{
    for (int i = 0; i < POSTS_NR; i++) {
        post_one(arg);
    }
    return NULL;
}

static void
posts_check(struct posts *posts, uint64_t each_nr)
{
    for (int i = 0; i < POSTERS_NR; i++) {
        EXPECT_EQ(posts->posters[i].ran_nr, each_nr);
        EXPECT_EQ(posts->posters[i].disorder_nr, 0);
    }
    EXPECT_EQ(fixture_stats(&posts->f).live_nr, 0);
}

TEST_LINUX(ult_xstream, posts_of_four_threads, "real threads race, which the simulator rules out")
{
    struct posts posts = {.want_nr = POSTERS_NR * POSTS_NR};

    fixture_init(&posts.f, NULL);
    for (int i = 0; i < POSTERS_NR; i++) {
        posts.posters[i].posts = &posts;
        must(pthread_create(&posts.posters[i].thread, NULL, poster_main, &posts.posters[i]));
    }
    fixture_drive(&posts.f, &posts.f.done);
    for (int i = 0; i < POSTERS_NR; i++) {
        pthread_join(posts.posters[i].thread, NULL);
    }
    posts_check(&posts, POSTS_NR);
    fixture_fini(&posts.f);
}

/* More posts than ULTs allowed: those that do not fit wait their turn. */
TEST_ON(ult_xstream, posts_wait_for_the_limit, BACKEND_BOTH)
{
    struct xstream_opts opts = {.name = "few", .cpu = UINT32_MAX, .ult_nr_max = 3};
    struct posts posts = {.want_nr = POSTERS_NR * 100};

    fixture_init(&posts.f, &opts);
    for (int i = 0; i < POSTERS_NR; i++) {
        posts.posters[i].posts = &posts;
    }
    for (int n = 0; n < 100; n++) {
        for (int i = 0; i < POSTERS_NR; i++) {
            post_one(&posts.posters[i]);
        }
    }
    fixture_drive(&posts.f, &posts.f.done);
    posts_check(&posts, 100);
    fixture_fini(&posts.f);
}

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

struct calls {
    struct fixture f;
    struct xstream *other;
    struct xstream *seen;
    int nr;
};

static void
called(void *arg)
{
    struct calls *calls = arg;

    calls->seen = xstream_self();
    EXPECT(ult_self() != NULL);
    ult_yield();
    ult_sleep(1000);
    calls->nr++;
}

static void
called_back(void *arg)
{
    struct calls *calls = arg;

    EXPECT(xstream_self() == calls->other);
    EXPECT_OK(xstream_call(calls->f.xs, ULT_IO, called, calls)); /* while its caller waits */
    EXPECT(calls->seen == calls->f.xs);
}

static void
calls_body(struct fixture *f)
{
    struct calls *calls = CAIRN_CONTAINER_OF(f, struct calls, f);

    for (int i = 0; i < 100; i++) {
        EXPECT_OK(xstream_call(calls->other, ULT_IO, called, calls));
        EXPECT_EQ(calls->nr, i + 1);
        EXPECT(calls->seen == calls->other);
        EXPECT(xstream_self() == f->xs);
    }
    EXPECT_OK(xstream_call(calls->other, ULT_SERVICE, called_back, calls));
    EXPECT_OK(xstream_call(f->xs, ULT_NET, called, calls)); /* itself */
    EXPECT_EQ(calls->nr, 102);
}

TEST_ON(ult_xstream, calls_between_xstreams, BACKEND_BOTH)
{
    struct calls calls = {.nr = 0};
    struct xstream_opts opts = {.name = "other", .cpu = UINT32_MAX};

    fixture_init(&calls.f, NULL);
    must(xstream_create(calls.f.plat, &opts, &calls.other));
    EXPECT_OK(xstream_start(calls.other));
    fixture_run(&calls.f, calls_body);
    xstream_stop(calls.other);
    xstream_destroy(calls.other);
    fixture_fini(&calls.f);
}

TEST_LINUX(ult_xstream, call_from_a_plain_thread, "a plain thread sleeps in the kernel for the answer")
{
    struct calls calls = {.nr = 0};

    fixture_init(&calls.f, NULL);
    EXPECT_OK(xstream_start(calls.f.xs));
    for (int i = 0; i < 100; i++) {
        EXPECT_OK(xstream_call(calls.f.xs, ULT_SERVICE, called, &calls));
    }
    EXPECT_EQ(calls.nr, 100);
    EXPECT(calls.seen == calls.f.xs);
    EXPECT(xstream_self() == NULL);
    xstream_stop(calls.f.xs);
    fixture_fini(&calls.f);
}

static void
wait_forever(void *arg)
{
    struct calls *calls = arg;

    calls->nr++;
    CAIRN_IGNORE(ult_eventual_wait(&calls->f.eventual)); /* never set */
}

static void
call_forever_body(struct fixture *f)
{
    struct calls *calls = CAIRN_CONTAINER_OF(f, struct calls, f);

    CAIRN_IGNORE(xstream_call(calls->other, ULT_IO, wait_forever, calls)); /* does not return */
    EXPECT(false);
}

/* Shutdown with a call under way: stop both, abandon both; nothing leaks or is touched (AddressSanitizer). */
TEST_ON(ult_xstream, abandon_during_a_call, BACKEND_BOTH)
{
    struct calls calls = {.nr = 0};
    bool called_it = false;

    fixture_init(&calls.f, NULL);
    must(xstream_create(calls.f.plat, NULL, &calls.other));
    EXPECT_OK(ult_create(calls.f.xs, ULT_IO, fixture_body, &calls.f, NULL));
    calls.f.body = call_forever_body;
    xstream_step(calls.f.xs); /* the call is posted */
    EXPECT_OK(ult_create(calls.other, ULT_IO, (void (*)(void *))called, &calls, NULL));
    xstream_abandon(calls.f.xs);
    xstream_abandon(calls.other);
    EXPECT_EQ(calls.nr, 0);
    EXPECT(!called_it);
    xstream_destroy(calls.other);
    fixture_fini(&calls.f);
}

/* The answer is on its way when the caller is abandoned. */
TEST(ult_xstream, answer_to_an_abandoned_call)
{
    struct calls calls = {.nr = 0};
    struct fake_plat fake = {.plat = {&fake_ops}, .now_ns = 1000};
    struct plat_post *reply;

    fixture_init(&calls.f, NULL);
    must(xstream_create(&fake.plat, NULL, &calls.other));
    EXPECT_OK(ult_create(calls.f.xs, ULT_IO, fixture_body, &calls.f, NULL));
    calls.f.body = call_forever_body;
    xstream_step(calls.f.xs);
    fake_loop_poll(xstream_loop(calls.other));
    xstream_step(calls.other);
    EXPECT_EQ(calls.nr, 1);
    xstream_abandon(calls.other);

    /* The same with a call that ends. */
    xstream_abandon(calls.f.xs);
    EXPECT_OK(ult_create(calls.f.xs, ULT_IO, fixture_body, &calls.f, NULL));
    calls.f.body = calls_body;
    xstream_step(calls.f.xs);
    fake_loop_poll(xstream_loop(calls.other));
    for (int i = 0; i < 3; i++) {
        xstream_step(calls.other);
        fake.now_ns += 1000;
    }
    reply = calls.f.fake.head;
    EXPECT(reply != NULL);
    xstream_abandon(calls.f.xs);
    fake_loop_poll(xstream_loop(calls.f.xs)); /* finds nobody */
    EXPECT_EQ(calls.nr, 2);
    xstream_destroy(calls.other);
    fixture_fini(&calls.f);
}

/* ---- driving -------------------------------------------------------------------------------------------------------- */

static void
done_set(void *arg)
{
    *(bool *)arg = true;
}

static void
yield_and_done(void *arg)
{
    ult_yield();
    *(bool *)arg = true;
}

/* Goal: a driver's own call runs before the loop is looked at; one that does not fit is refused; a nudge runs what is ready, and flushes when told to. */
TEST(ult_xstream, drive_new_and_nudge)
{
    struct xstream_opts opts = {.name = "one", .cpu = UINT32_MAX, .ult_nr_max = 1};
    bool done = false;
    struct fixture f;

    fixture_init(&f, &opts);
    EXPECT_OK(xstream_drive_new(f.xs, ULT_IO, done_set, &done, &done));
    EXPECT(done);
    EXPECT_EQ(f.fake.polls_nr, 0);
    done = false;
    EXPECT_OK(xstream_drive_new(f.xs, ULT_IO, yield_and_done, &done, &done));
    EXPECT(done);
    done = false;
    EXPECT_OK(ult_create(f.xs, ULT_IO, done_set, &done, NULL));
    EXPECT_ERR(xstream_drive_new(f.xs, ULT_IO, done_set, &done, &done), AGAIN);
    EXPECT(!done);
    xstream_nudge(f.xs, false);
    EXPECT(done);
    EXPECT_EQ(f.fake.flushes_nr, 0);
    xstream_nudge(f.xs, true);
    EXPECT_EQ(f.fake.flushes_nr, 1);
    fixture_fini(&f);
}

TEST_LINUX(ult_xstream, drive_times_out, "the simulator drives by itself")
{
    struct fixture f;
    bool never = false, always = true;
    uint64_t start_ns;

    fixture_init(&f, NULL);
    start_ns = plat_mono_ns(f.plat);
    EXPECT_ERR(xstream_drive(f.xs, &never, start_ns + MS), TIMEDOUT);
    EXPECT_GE(plat_mono_ns(f.plat), start_ns + MS);
    EXPECT_ERR(xstream_drive(f.xs, &never, 0), TIMEDOUT);
    EXPECT_OK(xstream_drive(f.xs, &always, 0));
    fixture_fini(&f);
}

struct wakeup {
    struct fixture f;
    pthread_t thread;
    int round;
};

static void
wakeup_fn(void *arg)
{
    struct wakeup *w = arg;

    w->f.done = true;
}

static void *
wakeup_main(void *arg)
{
    struct wakeup *w = arg;

    must(xstream_post(w->f.xs, ULT_NET, wakeup_fn, w));
    return NULL;
}

/* One post wakes a driver that may be before, in or after its sleep; lost wake-ups would hang. */
TEST_LINUX(ult_xstream, post_wakes_the_driver, "wake-up of a sleeping thread")
{
    struct wakeup w = {.round = 0};

    fixture_init(&w.f, NULL);
    plat_linux_spin_set(w.f.plat, 0);
    for (w.round = 0; w.round < 300; w.round++) {
        w.f.done = false;
        must(pthread_create(&w.thread, NULL, wakeup_main, &w));
        EXPECT_OK(xstream_drive(w.f.xs, &w.f.done, PLAT_NEVER_NS));
        pthread_join(w.thread, NULL);
    }
    EXPECT_EQ(fixture_stats(&w.f).created_nr, 300);
    fixture_fini(&w.f);
}

struct handover {
    struct fixture f;
    bool half, whole;
    uint64_t state;
};

static void
handover_fn(void *arg)
{
    struct handover *h = arg;

    for (int i = 0; i < 1000; i++) {
        h->state = h->state * 6364136223846793005u + (uint64_t)i;
        EXPECT(ult_runs_on(h->f.xs));
        ult_yield();
        if (i == 500)
            h->half = true;
    }
    h->whole = true;
}

static void *
handover_main(void *arg)
{
    struct handover *h = arg;

    EXPECT_OK(xstream_drive(h->f.xs, &h->whole, PLAT_NEVER_NS));
    return NULL;
}

/* ULT-1: a client's ULT starts on one thread and goes on on another. */
TEST_LINUX(ult_xstream, driver_may_change, "client threads take turns")
{
    struct handover h = {.state = 1};
    struct ult *u;
    pthread_t thread;

    fixture_init(&h.f, NULL);
    u = must_create(&h.f, ULT_IO, handover_fn, &h);
    EXPECT_OK(xstream_drive(h.f.xs, &h.half, PLAT_NEVER_NS));
    EXPECT(!h.whole);
    must(pthread_create(&thread, NULL, handover_main, &h));
    pthread_join(thread, NULL);
    EXPECT(h.whole);
    while (fixture_stats(&h.f).ready_nr > 0) {
        xstream_step(h.f.xs);
    }
    ult_join(u);
    fixture_fini(&h.f);
}

static void
tick_fn(void *arg)
{
    struct fixture *f = arg;

    for (;;) {
        f->nr++;
        if (f->nr == 10)
            f->done = true;
        ult_sleep(1000);
    }
}

static bool
fixture_ticked(void *arg)
{
    const struct fixture *f = arg;

    return f->done;
}

/* After stop nothing runs any more; what waits stays and can be run by the next driver. */
TEST_ON(ult_xstream, stop_and_start_again, BACKEND_SIM)
{
    struct fixture f;
    uint64_t nr;

    fixture_init(&f, NULL);
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, tick_fn, &f, NULL));
    EXPECT_OK(xstream_start(f.xs));
    EXPECT_OK(sim_run_until(f.sim, fixture_ticked, &f, PLAT_NEVER_NS));
    xstream_stop(f.xs);
    nr = f.nr;
    sim_run_for(f.sim, 100 * 1000);
    EXPECT_EQ(f.nr, nr);
    f.nr = 0;
    f.done = false;
    EXPECT_OK(xstream_start(f.xs));
    EXPECT_OK(sim_run_until(f.sim, fixture_ticked, &f, PLAT_NEVER_NS));
    xstream_stop(f.xs);
    xstream_abandon(f.xs);
    fixture_fini(&f);
}

TEST_LINUX(ult_xstream, stop_ends_the_thread, "a thread of its own; the simulator's is the test above")
{
    struct fixture f;
    uint64_t nr;

    fixture_init(&f, NULL);
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, tick_fn, &f, NULL));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(xstream_start(f.xs));
        EXPECT_OK(xstream_call(f.xs, ULT_IO, wakeup_fn, &(struct wakeup){.round = 0}));
        xstream_stop(f.xs);
        nr = f.nr;
        EXPECT_GE(nr, 1);
        EXPECT_EQ(f.nr, nr);
    }
    xstream_abandon(f.xs);
    fixture_fini(&f);
}

static void
reap_fn(void *arg)
{
    struct fixture *f = arg;

    xstream_abandon(f->xs);
    xstream_destroy(f->xs);
    f->xs = NULL;
}

/* A process that is killed takes its ULTs with it; what it allocated is freed by its reaper. */
TEST_ON(ult_xstream, killed_process_is_reaped, BACKEND_SIM)
{
    struct fixture f;
    uint64_t nr;

    fixture_init(&f, NULL);
    sim_node_on_kill(f.plat, reap_fn, &f);
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, tick_fn, &f, NULL));
    EXPECT_OK(xstream_start(f.xs));
    EXPECT_OK(sim_run_until(f.sim, fixture_ticked, &f, PLAT_NEVER_NS));
    nr = f.nr;
    sim_node_kill(f.sim, f.plat);
    EXPECT(f.xs == NULL);
    sim_run_for(f.sim, 100 * 1000);
    EXPECT_EQ(f.nr, nr);
    sim_destroy(f.sim);
}

/* One seed, one history (SM-1): the trace hash of a run with timers, posts and calls. */
static uint64_t
trace_of_a_run(void)
{
    struct fixture f;
    uint64_t hash;

    fixture_init(&f, NULL);
    EXPECT_OK(xstream_post(f.xs, ULT_IO, tick_fn, &f));
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, tick_fn, &f, NULL));
    EXPECT_OK(xstream_start(f.xs));
    EXPECT_OK(sim_run_until(f.sim, fixture_ticked, &f, PLAT_NEVER_NS));
    xstream_stop(f.xs);
    xstream_abandon(f.xs);
    hash = sim_trace_hash(f.sim);
    fixture_fini(&f);
    return hash;
}

TEST_ON(ult_xstream, same_seed_same_history, BACKEND_SIM)
{
    uint64_t first = trace_of_a_run();

    EXPECT_NE(first, 0);
    EXPECT_EQ(trace_of_a_run(), first);
}

/* TH-4: the child frees its copy, the parent's ULTs go on. */
TEST_LINUX(ult_xstream, abandon_in_a_forked_child, "a process is forked")
{
    struct handover h = {.state = 1};
    struct ult *u;
    int status = 0;
    pid_t pid;

    fixture_init(&h.f, NULL);
    u = must_create(&h.f, ULT_IO, handover_fn, &h);
    EXPECT_OK(xstream_drive(h.f.xs, &h.half, PLAT_NEVER_NS));
    pid = fork();
    if (pid == 0) {
        xstream_abandon(h.f.xs);
        xstream_destroy(h.f.xs);
        _exit(h.whole ? 1 : 42);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    EXPECT_OK(xstream_drive(h.f.xs, &h.whole, PLAT_NEVER_NS));
    while (fixture_stats(&h.f).ready_nr > 0) {
        xstream_step(h.f.xs);
    }
    ult_join(u);
    fixture_fini(&h.f);
}

static void
misuse_foreign(void *arg)
{
    struct fixture *f = arg;
    struct ult *u;

    EXPECT(!ult_runs_on(f->xs));
    EXPECT_DEATH(CAIRN_IGNORE(ult_create(f->xs, ULT_IO, tick_fn, f, &u)));
    f->done = true;
}

static void
misuse_body(struct fixture *f)
{
    struct xstream *other = NULL;

    must(xstream_create(f->plat, NULL, &other));
    EXPECT(!ult_runs_on(other));
    EXPECT_DEATH(CAIRN_IGNORE(ult_create(other, ULT_IO, misuse_foreign, f, NULL)));
    xstream_destroy(other);
}

TEST_ON(ult_xstream, foreign_use_is_caught, BACKEND_BOTH)
{
    fixture_run_once(misuse_body);
}
