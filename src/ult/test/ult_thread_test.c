/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: ULTs run, yield in order, sleep, end and are joined; limits hold; slots are inherited; classes get their shares; misuse is
 * caught.
 * Method: bodies that log one character for each thing that happens, compared with the order that ULT-3 and ULT-11 ask for.
 */
#include "ult_test.h"

struct letter {
    struct fixture *f;
    char c;
    int times;
};

static void
log_and_yield(void *arg)
{
    struct letter *l = arg;

    for (int i = 0; i < l->times; i++) {
        fixture_log(l->f, l->c);
        ult_yield();
    }
}

/* ---- order ---------------------------------------------------------------------------------------------------------- */

static void
round_robin_body(struct fixture *f)
{
    struct letter a = {f, 'a', 3}, b = {f, 'b', 2}, c = {f, 'c', 4};
    struct ult *ua = must_create(f, ULT_IO, log_and_yield, &a);
    struct ult *ub = must_create(f, ULT_IO, log_and_yield, &b);
    struct ult *uc = must_create(f, ULT_IO, log_and_yield, &c);

    ult_join(uc); /* last to end, joined first */
    ult_join(ua);
    ult_join(ub);
    EXPECT_STR_EQ(f->log, "abcabcacc");
}

TEST_ON(ult_thread, yield_is_round_robin, BACKEND_BOTH)
{
    fixture_run_once(round_robin_body);
}

/* ---- peers ---------------------------------------------------------------------------------------------------------- */

static void
peer_seen(void *arg)
{
    *(int *)arg = ult_has_peer();
}

static void
peers_body(struct fixture *f)
{
    int net[2] = {-1, -1}, service = -1;
    struct ult *u[3] = {must_create(f, ULT_NET, peer_seen, &net[0]),
        must_create(f, ULT_NET, peer_seen, &net[1]),
        must_create(f, ULT_SERVICE, peer_seen, &service)};

    EXPECT(!ult_has_peer()); /* they are of other classes */
    for (int i = 0; i < 3; i++) {
        ult_join(u[i]);
    }
    EXPECT_EQ(net[0], 1);
    EXPECT_EQ(net[1], 0);
    EXPECT_EQ(service, 0);
}

TEST_ON(ult_thread, peers_are_of_the_same_class, BACKEND_BOTH)
{
    fixture_run_once(peers_body);
}

struct hog {
    struct fixture *f;
    uint64_t runs_nr;
    uint64_t gap_max; /* runs of others in between */
    uint64_t last;
};

static void
hog_fn(void *arg)
{
    struct hog *hog = arg;
    struct fixture *f = hog->f;

    while (f->nr > 0) {
        f->nr--;
        hog->runs_nr++;
        if (hog->last != 0)
            hog->gap_max = MAX(hog->gap_max, hog->last - f->nr - 1);
        hog->last = f->nr;
        ult_yield();
    }
}

/* How often each class runs while those of the mask have endless work. */
static void
share(unsigned int mask, uint64_t ret_runs[ULT_CLASS_NR], uint64_t *ret_background_gap)
{
    struct fixture f;
    struct hog hogs[ULT_CLASS_NR] = {0};
    struct ult *ults[ULT_CLASS_NR] = {NULL};
    bool never = false;

    fixture_init(&f, NULL);
    f.nr = 1600;
    for (unsigned int i = 0; i < ULT_CLASS_NR; i++) {
        hogs[i].f = &f;
        if (mask & 1u << i)
            ults[i] = must_create(&f, (enum ult_class)i, hog_fn, &hogs[i]);
    }
    while (f.nr > 0) {
        EXPECT_EQ(xstream_drive(f.xs, &never, 0), -DER_TIMEDOUT);
    }
    EXPECT_EQ(xstream_drive(f.xs, &never, 0), -DER_TIMEDOUT);
    for (unsigned int i = 0; i < ULT_CLASS_NR; i++) {
        ret_runs[i] = hogs[i].runs_nr;
        if (ults[i] != NULL)
            ult_join(ults[i]);
    }
    *ret_background_gap = hogs[ULT_BACKGROUND].gap_max;
    fixture_fini(&f);
}

TEST(ult_thread, classes_get_their_shares)
{
    uint64_t runs[ULT_CLASS_NR], gap;

    share(0xf, runs, &gap);
    EXPECT_EQ(runs[ULT_NET], 800);
    EXPECT_EQ(runs[ULT_IO], 400);
    EXPECT_EQ(runs[ULT_SERVICE], 300);
    EXPECT_EQ(runs[ULT_BACKGROUND], 100);
    EXPECT_EQ(gap, 15);

    share(1u << ULT_IO | 1u << ULT_BACKGROUND, runs, &gap);
    EXPECT_EQ(runs[ULT_IO], 1500);
    EXPECT_EQ(runs[ULT_BACKGROUND], 100);

    share(1u << ULT_BACKGROUND, runs, &gap);
    EXPECT_EQ(runs[ULT_BACKGROUND], 1600);
}

TEST(ult_thread, earlier_class_runs_first)
{
    struct fixture f;
    struct letter n = {&f, 'n', 1}, i = {&f, 'i', 1}, s = {&f, 's', 1}, b = {&f, 'b', 1};
    bool never = false;

    fixture_init(&f, NULL);
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, log_and_yield, &b, NULL));
    EXPECT_OK(ult_create(f.xs, ULT_SERVICE, log_and_yield, &s, NULL));
    EXPECT_OK(ult_create(f.xs, ULT_IO, log_and_yield, &i, NULL));
    EXPECT_OK(ult_create(f.xs, ULT_NET, log_and_yield, &n, NULL));
    EXPECT_EQ(xstream_drive(f.xs, &never, 0), -DER_TIMEDOUT);
    EXPECT_EQ(f.log[0], 'n');
    EXPECT_EQ(f.log[1], 'i');
    EXPECT_EQ(f.log_nr, 4);
    EXPECT_EQ(f.log[3], 'b');
    fixture_fini(&f);
}

/* However much is ready, a step ends so that the loop is polled. */
TEST(ult_thread, step_is_bounded)
{
    struct fixture f;
    struct hog hog = {.f = &f};
    struct ult *u;
    uint64_t before;

    fixture_init(&f, NULL);
    f.nr = 1000;
    u = must_create(&f, ULT_NET, hog_fn, &hog);
    before = fixture_stats(&f).switches_nr;
    EXPECT_EQ(xstream_step(f.xs), 0);
    EXPECT_EQ(fixture_stats(&f).switches_nr - before, 128);
    EXPECT_EQ(fixture_stats(&f).ready_nr, 1);
    while (xstream_step(f.xs) == 0) {
    }
    EXPECT_EQ(f.nr, 0);
    EXPECT_EQ(xstream_step(f.xs), PLAT_NEVER_NS);
    ult_join(u);
    fixture_fini(&f);
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static void
nop_fn(void *arg)
{
    (void)arg;
}

static void
count_and_wait(void *arg)
{
    struct fixture *f = arg;

    f->nr++;
    EXPECT_EQ(ult_eventual_wait(&f->eventual), 7);
    f->nr--;
}

static void
hundred_thousand_body(struct fixture *f)
{
    enum {
        WAVES_NR = 10,
        WAVE_NR = TEST_TSAN ? 1000 : 10000
    }; /* it knows 8128 threads and fibers */
    struct ult **ults = calloc(WAVE_NR, sizeof(struct ult *));
    int failed_nr = 0;

    for (int wave = 0; wave < WAVES_NR; wave++) {
        bool waits = wave % 5 == 0; /* all alive at once, each on a stack of its own */

        ult_eventual_init(&f->eventual);
        for (int i = 0; i < WAVE_NR; i++) {
            failed_nr += ult_create(f->xs, ULT_IO, waits ? count_and_wait : nop_fn, f, &ults[i]) != 0;
        }
        if (!EXPECT_EQ(failed_nr, 0))
            break;
        EXPECT_EQ(fixture_stats(f).live_nr, WAVE_NR + 1);
        while (waits && f->nr < WAVE_NR) {
            ult_yield();
        }
        if (waits)
            EXPECT_GT(fixture_stats(f).stacks_nr, WAVE_NR);
        ult_eventual_set(&f->eventual, 7);
        for (int i = 0; i < WAVE_NR; i++) {
            ult_join(ults[i]);
        }
        EXPECT_EQ(f->nr, 0);
    }
    EXPECT_EQ(fixture_stats(f).created_nr, WAVES_NR * WAVE_NR + 1);
    EXPECT_EQ(fixture_stats(f).live_nr, 1);
    free(ults);
}

TEST_ON(ult_thread, hundred_thousand_are_created_and_joined, BACKEND_BOTH)
{
    fixture_run_once(hundred_thousand_body);
}

static void
join_body(struct fixture *f)
{
    struct ult *u = must_create(f, ULT_IO, nop_fn, NULL);
    uint64_t switches_nr;

    ult_yield();
    switches_nr = fixture_stats(f).switches_nr;
    EXPECT_EQ(fixture_stats(f).live_nr, 2); /* ended, kept for the join */
    ult_join(u);
    EXPECT_EQ(fixture_stats(f).live_nr, 1);
    EXPECT_EQ(fixture_stats(f).switches_nr, switches_nr); /* did not wait */

    EXPECT_OK(ult_create(f->xs, ULT_IO, nop_fn, NULL, NULL));
    EXPECT_EQ(fixture_stats(f).live_nr, 2);
    ult_yield();
    EXPECT_EQ(fixture_stats(f).live_nr, 1); /* detached: gone by itself */
}

TEST_ON(ult_thread, ended_is_kept_for_join_unless_detached, BACKEND_BOTH)
{
    fixture_run_once(join_body);
}

static void
limit_body(struct fixture *f)
{
    struct ult *ults[3];

    for (int i = 0; i < 3; i++) {
        ults[i] = must_create(f, ULT_IO, nop_fn, NULL);
    }
    EXPECT_ERR(ult_create(f->xs, ULT_IO, nop_fn, NULL, NULL), AGAIN);
    EXPECT_EQ(fixture_stats(f).live_nr, 4);
    ult_join(ults[0]);
    EXPECT_OK(ult_create(f->xs, ULT_IO, nop_fn, NULL, NULL));
    ult_join(ults[1]);
    ult_join(ults[2]);
}

TEST_ON(ult_thread, create_is_limited, BACKEND_BOTH)
{
    struct xstream_opts opts = {
        .name = "a name of more than fifteen", .cpu = UINT32_MAX, .ult_nr_max = 4};
    struct fixture f;

    fixture_init(&f, &opts);
    EXPECT_STR_EQ(xstream_name(f.xs), "a name of more ");
    fixture_run(&f, limit_body);
    fixture_fini(&f);
}

/* ---- what belongs to a ULT ------------------------------------------------------------------------------------------ */

static void
slot_child(void *arg)
{
    struct fixture *f = arg;

    EXPECT(ult_slot_get(ULT_SLOT_CLIENT) == f);
    EXPECT(ult_slot_get(ULT_SLOT_TRACE) == NULL);
    ult_slot_set(ULT_SLOT_CLIENT, NULL);
    ult_slot_set(ULT_SLOT_TRACE, f);
    ult_yield();
    EXPECT(ult_slot_get(ULT_SLOT_CLIENT) == NULL);
}

static void
slot_body(struct fixture *f)
{
    struct ult *u;

    EXPECT(ult_slot_get(ULT_SLOT_CLIENT) == NULL);
    ult_slot_set(ULT_SLOT_CLIENT, f);
    u = must_create(f, ULT_IO, slot_child, f);
    ult_slot_set(ULT_SLOT_CLIENT, u); /* inherited at creation, not at the first run */
    ult_yield();
    EXPECT(ult_slot_get(ULT_SLOT_CLIENT) == u);
    EXPECT(ult_slot_get(ULT_SLOT_TRACE) == NULL);
    ult_join(u);
}

TEST_ON(ult_thread, slots_are_inherited_and_private, BACKEND_BOTH)
{
    EXPECT(ult_slot_get(ULT_SLOT_CLIENT) == NULL); /* outside of ULTs */
    fixture_run_once(slot_body);
}

static void
raise_twice(void *arg)
{
    (void)arg;
    EXPECT_EQ(err_ring_get()->raised_nr, 0);
    CAIRN_IGNORE(CAIRN_ERR(NOSPACE)); /* only its record matters here */
    ult_yield();
    CAIRN_IGNORE(CAIRN_ERR(CSUM)); /* as above */
    EXPECT_EQ(err_ring_get()->raised_nr, 2);
    EXPECT_EQ(err_ring_get()->entries[0].rc, -DER_NOSPACE);
    EXPECT_EQ(err_ring_get()->entries[1].rc, -DER_CSUM);
}

static void
err_ring_body(struct fixture *f)
{
    struct ult *a = must_create(f, ULT_IO, raise_twice, NULL);
    struct ult *b = must_create(f, ULT_IO, raise_twice, NULL);

    ult_join(a);
    ult_join(b);
    EXPECT_EQ(err_ring_get()->raised_nr, 0);
    ult_join(must_create(f, ULT_IO, raise_twice, NULL)); /* a pooled struct ult starts clean */
}

TEST_ON(ult_thread, error_ring_is_swapped, BACKEND_BOTH)
{
    struct err_ring ring = {0}, *outer = err_ring_get();

    err_ring_set(&ring);
    fixture_run_once(err_ring_body);
    EXPECT(err_ring_get() == &ring);
    EXPECT_EQ(ring.raised_nr, 0);
    err_ring_set(outer);
}

static void
identity_body(struct fixture *f)
{
    EXPECT(xstream_self() == f->xs);
    EXPECT(ult_self() != NULL);
    EXPECT(ult_runs_on(f->xs));
    EXPECT(xstream_plat(f->xs) == f->plat);
    EXPECT_LE(ult_now_ns(), plat_mono_ns(f->plat));
}

TEST_ON(ult_thread, identity, BACKEND_BOTH)
{
    EXPECT(xstream_self() == NULL);
    EXPECT(ult_self() == NULL);
    fixture_run_once(identity_body);
    EXPECT(xstream_self() == NULL);
    EXPECT(ult_self() == NULL);
}

/* ---- sleep ---------------------------------------------------------------------------------------------------------- */

struct sleeper {
    struct fixture *f;
    char c;
    uint64_t until_ns;
};

static void
sleep_and_log(void *arg)
{
    struct sleeper *s = arg;

    ult_sleep_until(s->until_ns);
    EXPECT_GE(plat_mono_ns(s->f->plat), s->until_ns);
    fixture_log(s->f, s->c);
}

static void
sleep_body(struct fixture *f)
{
    uint64_t t = ult_now_ns() + 2 * MS;
    struct sleeper s[] = {
        {f, 'd', t + 2 * MS}, {f, 'b', t}, {f, 'a', t - MS}, {f, 'c', t}, {f, '0', 0}};
    struct ult *ults[5];
    uint64_t start_ns;

    for (int i = 0; i < 5; i++) {
        ults[i] = must_create(f, ULT_IO, sleep_and_log, &s[i]);
    }
    for (int i = 0; i < 5; i++) {
        ult_join(ults[i]);
    }
    EXPECT_STR_EQ(f->log, "0abcd"); /* equal times: first set, first up */

    start_ns = plat_mono_ns(f->plat);
    ult_sleep(MS);
    EXPECT_GE(plat_mono_ns(f->plat), start_ns + MS);
}

TEST_ON(ult_thread, sleepers_wake_in_order, BACKEND_BOTH)
{
    fixture_run_once(sleep_body);
}

/* Works for 3 ms, yields to one that works for 50, works for 2 and sleeps. */
static void
metered(void *arg)
{
    struct fixture *f = arg;

    EXPECT_EQ(ult_run_ns(), 0);
    f->fake.now_ns += 3 * MS;
    EXPECT_EQ(ult_run_ns(), 3 * MS);
    ult_yield();
    EXPECT_EQ(ult_run_ns(), 3 * MS);
    f->fake.now_ns += 2 * MS;
    ult_sleep(100 * MS);
    EXPECT_EQ(ult_run_ns(), 5 * MS);
    fixture_log(f, 'm');
}

static void
work_50(void *arg)
{
    ((struct fixture *)arg)->fake.now_ns += 50 * MS;
}

TEST(ult_thread, run_time_leaves_waits_and_others_out)
{
    struct fixture f;

    fixture_init(&f, NULL);
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, metered, &f, NULL));
    EXPECT_OK(ult_create(f.xs, ULT_BACKGROUND, work_50, &f, NULL));
    while (f.log_nr == 0 && !test_failed()) {
        f.fake.now_ns = MAX(f.fake.now_ns, xstream_step(f.xs));
    }
    EXPECT_STR_EQ(f.log, "m");
    fixture_fini(&f);
}

TEST(ult_thread, sleep_lasts_exactly_as_asked)
{
    struct fixture f;
    struct sleeper s = {&f, 'x', 0};
    bool never = false;

    fixture_init(&f, NULL);
    s.until_ns = f.fake.now_ns + 5 * MS;
    EXPECT_OK(ult_create(f.xs, ULT_IO, sleep_and_log, &s, NULL));
    EXPECT_EQ(xstream_step(f.xs), s.until_ns);
    f.fake.now_ns = s.until_ns - 1;
    EXPECT_EQ(xstream_step(f.xs), s.until_ns);
    EXPECT_EQ(f.log_nr, 0);
    f.fake.now_ns = s.until_ns;
    EXPECT_EQ(xstream_step(f.xs), PLAT_NEVER_NS);
    EXPECT_EQ(f.log_nr, 1);
    EXPECT_EQ(xstream_drive(f.xs, &never, f.fake.now_ns), -DER_TIMEDOUT);
    fixture_fini(&f);
}

/* ---- misuse --------------------------------------------------------------------------------------------------------- */

static void
end_with_mutex(void *arg)
{
    ult_mutex_lock(arg);
}

static void
misuse_body(struct fixture *f)
{
    EXPECT_DEATH({
        ult_mutex_lock(&f->mutex);
        ult_mutex_lock(&f->mutex);
    });
    EXPECT_DEATH(ult_mutex_unlock(&f->mutex));
    EXPECT_DEATH(ult_join(ult_self()));
    EXPECT_DEATH(xstream_step(f->xs));
    EXPECT_DEATH(ult_noyield_end());
    EXPECT_DEATH({
        ult_eventual_set(&f->eventual, 0);
        ult_eventual_set(&f->eventual, 0);
    });
    EXPECT_DEATH(ult_join(must_create(f, ULT_IO, end_with_mutex, &f->mutex)));
#ifdef CAIRN_DEBUG_ASSERTS
    EXPECT_DEATH({
        ult_noyield_begin();
        ult_yield();
    });
    EXPECT_DEATH({
        ult_noyield_begin();
        ult_noyield_begin();
        ult_noyield_end();
        ult_sleep(1);
    });
#endif
    ult_noyield_begin();
    ult_eventual_set(&f->eventual, 0);
    EXPECT_EQ(ult_eventual_wait(&f->eventual), 0); /* does not wait */
    ult_noyield_end();
    ult_yield();
}

TEST(ult_thread, misuse_is_caught)
{
    struct fixture f;

    fixture_init(&f, NULL);
    EXPECT_DEATH(ult_yield());
    EXPECT_DEATH(CAIRN_IGNORE(ult_now_ns()));
    fixture_run(&f, misuse_body);
    EXPECT_OK(ult_create(f.xs, ULT_IO, nop_fn, NULL, NULL));
    EXPECT_DEATH(xstream_destroy(f.xs)); /* a ULT is left */
    xstream_step(f.xs);
    fixture_fini(&f);
}
