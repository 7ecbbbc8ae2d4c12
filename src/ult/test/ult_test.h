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

enum { MS = 1000 * 1000 }; /* ns */

/* ---- the fake plat: also the loop of its only xstream --------------------------------------------------------------- */

struct fake_plat {
    struct plat plat;
    uint64_t now_ns;
    struct plat_post *head, *tail;
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
    if (fake->head == NULL)
        fake->head = post;
    else
        fake->tail->next = post;
    fake->tail = post;
}

static inline uint32_t
fake_loop_poll(struct plat_loop *loop)
{
    struct fake_plat *fake = (struct fake_plat *)loop;
    uint32_t nr = 0;

    while (fake->head != NULL) {
        struct plat_post *post = fake->head;

        fake->head = post->next;
        post->fn(post);
        nr++;
    }
    return nr;
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
    .loop_wait = fake_loop_wait,
    .loop_post = fake_loop_post,
};

/* ---- the fixture ---------------------------------------------------------------------------------------------------- */

struct fixture {
    struct plat *plat;
    struct fake_plat fake;
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
};

static inline void
fixture_log(struct fixture *f, char c)
{
    CAIRN_ASSERT(f->log_nr + 1 < sizeof(f->log));
    f->log[f->log_nr++] = c;
}

static inline void
fixture_init(struct fixture *f, const struct xstream_opts *opts)
{
    memset(f, 0, sizeof(*f));
    f->fake.plat.ops = &fake_ops;
    f->fake.now_ns = 1000;
    f->plat = &f->fake.plat;
    if (xstream_create(f->plat, opts, &f->xs) != 0)
        abort();
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
}

static inline void
fixture_body(void *arg)
{
    struct fixture *f = arg;

    f->body(f);
    f->done = true;
}

/* Run body on a ULT of the fixture's xstream until it returns. */
static inline void
fixture_run(struct fixture *f, void (*body)(struct fixture *f))
{
    f->body = body;
    f->done = false;
    EXPECT_OK(ult_create(f->xs, ULT_SERVICE, fixture_body, f, NULL));
    EXPECT_OK(xstream_drive(f->xs, &f->done, PLAT_NEVER_NS));
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

#endif
