/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fixture of the ult tests: one xstream on the backend of this run, and a body that runs on a ULT of it.
 *
 * Pure tests run on a fake plat: a clock that jumps to the next timer when nothing is ready, posts in a list, one thread. It shows the
 * scheduler's own order with nothing else around it. The others run on plat/linux and plat/sim (TEST_ON).
 */
#ifndef CAIRN_ULT_TEST_H
#define CAIRN_ULT_TEST_H

#include "harness/harness.h"
#include "ult/ult.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

#define MS UINT64_C(1000000) /* ns */

/* ---- the fake plat: also the loop of its only xstream --------------------------------------------------------------- */

struct fake_plat {
    struct plat plat;
    uint64_t now_ns;
    struct plat_post *head, *tail;
    uint32_t polls_nr, flushes_nr;
};

static inline uint64_t
fake_mono_ns(struct plat *plat)
{
    return ((struct fake_plat *)plat)->now_ns;
}

static inline int
fake_loop_create(struct plat *plat, struct plat_loop **ret_loop)
{
    *ret_loop = (struct plat_loop *)plat;
    return 0;
}

static inline void
fake_loop_destroy(struct plat_loop *loop)
{
    (void)loop;
}

static inline void
fake_loop_post(struct plat_loop *loop, struct plat_post *post)
{
    struct fake_plat *fake = (struct fake_plat *)loop;

    post->next = NULL;
    if (fake->head == NULL) {
        fake->head = post;
    } else {
        fake->tail->next = post;
    }
    fake->tail = post;
}

static inline uint32_t
fake_loop_poll(struct plat_loop *loop)
{
    struct fake_plat *fake = (struct fake_plat *)loop;
    uint32_t nr = 0;

    fake->polls_nr++;
    while (fake->head != NULL) {
        struct plat_post *post = fake->head;

        fake->head = post->next;
        post->fn(post);
        nr++;
    }
    return nr;
}

static inline void
fake_loop_flush(struct plat_loop *loop)
{
    ((struct fake_plat *)loop)->flushes_nr++;
}

static inline void
fake_loop_wait(struct plat_loop *loop, uint64_t deadline_ns)
{
    struct fake_plat *fake = (struct fake_plat *)loop;

    CAIRN_ASSERT(deadline_ns != PLAT_NEVER_NS || fake->head != NULL); /* a lost wake-up */
    if (fake->head == NULL && fake->now_ns < deadline_ns)
        fake->now_ns = deadline_ns;
}

static const struct plat_ops fake_ops = {
    .mono_ns = fake_mono_ns,
    .loop_create = fake_loop_create,
    .loop_destroy = fake_loop_destroy,
    .loop_poll = fake_loop_poll,
    .loop_flush = fake_loop_flush,
    .loop_wait = fake_loop_wait,
    .loop_post = fake_loop_post,
};

/* ---- the fixture ---------------------------------------------------------------------------------------------------- */

struct fixture {
    struct plat *plat;
    struct fake_plat fake; /* pure tests */
    struct sim *sim; /* on sim */
    struct xstream *xs;
    void (*body)(struct fixture *f);
    bool done;
    /* for tests */
    char log[256]; /* what happened, one character each */
    size_t log_nr;
    uint64_t nr;
    struct ult_mutex mutex;
    struct ult_cond cond;
    struct ult_eventual eventual;
    struct ult_sem sem;
    struct ult *ults[8];
};

static inline void
fixture_log(struct fixture *f, char c)
{
    CAIRN_ASSERT(f->log_nr + 1 < sizeof(f->log));
    f->log[f->log_nr++] = c;
}

static inline void
must(int rc)
{
    if (rc != 0)
        abort();
}

static inline void
fixture_init(struct fixture *f, const struct xstream_opts *opts)
{
    struct sim_opts sim_opts = {.seed = test_seed()};

    memset(f, 0, sizeof(*f));
    switch (test_backend()) {
    case BACKEND_NONE:
        f->fake.plat.ops = &fake_ops;
        f->fake.now_ns = 1000;
        f->plat = &f->fake.plat;
        break;
    case BACKEND_LINUX:
        must(plat_linux_create(&f->plat));
        break;
    case BACKEND_SIM:
        must(sim_create(&sim_opts, &f->sim));
        must(sim_node_start(f->sim, "host", "node", &f->plat));
        break;
    }
    must(xstream_create(f->plat, opts, &f->xs));
    ult_mutex_init(&f->mutex);
    ult_cond_init(&f->cond);
    ult_eventual_init(&f->eventual);
    ult_sem_init(&f->sem, 0);
}

static inline void
fixture_fini(struct fixture *f)
{
    ult_mutex_fini(&f->mutex);
    ult_cond_fini(&f->cond);
    xstream_destroy(f->xs); /* asserts that no ULT is left */
    if (test_backend() == BACKEND_LINUX)
        plat_linux_destroy(f->plat);
    if (test_backend() == BACKEND_SIM)
        sim_destroy(f->sim);
}

static inline void
fixture_body(void *arg)
{
    struct fixture *f = arg;

    f->body(f);
    f->done = true;
}

static inline bool
fixture_is_done(void *arg)
{
    return *(bool *)arg;
}

/* Let the backend work until *done. */
static inline void
fixture_drive(struct fixture *f, bool *done)
{
    if (test_backend() != BACKEND_SIM) {
        EXPECT_OK(xstream_drive(f->xs, done, PLAT_NEVER_NS));
        return;
    }
    EXPECT_OK(xstream_start(f->xs));
    EXPECT_OK(sim_run_until(f->sim, fixture_is_done, done, PLAT_NEVER_NS));
    xstream_stop(f->xs);
}

/* Run body on a ULT of the fixture's xstream until it returns. Its class is that of the ULTs that tests create. */
static inline void
fixture_run(struct fixture *f, void (*body)(struct fixture *f))
{
    f->body = body;
    f->done = false;
    EXPECT_OK(ult_create(f->xs, ULT_IO, fixture_body, f, NULL));
    fixture_drive(f, &f->done);
}

static inline void
fixture_run_once(void (*body)(struct fixture *f))
{
    struct fixture f;

    fixture_init(&f, NULL);
    fixture_run(&f, body);
    fixture_fini(&f);
}

static inline struct ult *
must_create(struct fixture *f, enum ult_class cls, void (*fn)(void *arg), void *arg)
{
    struct ult *u = NULL;

    EXPECT_OK(ult_create(f->xs, cls, fn, arg, &u));
    return u;
}

static inline struct ult_stats
fixture_stats(struct fixture *f)
{
    struct ult_stats stats;

    xstream_stats(f->xs, &stats);
    return stats;
}

#define BACKEND_BOTH (BACKEND_LINUX | BACKEND_SIM)

#endif
