/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Events and queues (api.md 2.2), and threads that share one client, over the naive system of client_fake.h. */
#include "client/test/client_fake.h"
#include "daos.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { EVENTS_NR = 64, THREADS_NR = 6, ROUNDS_NR = 60 };

static bool
kv_make(daos_handle_t coh, daos_oclass_id_t cid, uint64_t lo, daos_handle_t *oh)
{
    daos_obj_id_t oid = {.lo = lo};

    return EXPECT_OK(daos_obj_generate_oid(coh, &oid, DAOS_OT_KV_HASHED, cid, 0, 0)) &&
        EXPECT_OK(daos_kv_open(coh, oid, DAOS_OO_RW, oh, NULL));
}

static void
queue_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh, eqh;
    static daos_event_t evs[EVENTS_NR];
    static char keys[EVENTS_NR][16];
    daos_event_t *done[EVENTS_NR];
    uint64_t values[EVENTS_NR], got;
    daos_size_t size;
    bool flag = false;
    int nr = 0, n;

    if (!fake_open(fake, &poh, &coh) || !kv_make(coh, OC_SX, 1, &oh) ||
        !EXPECT_OK(daos_eq_create(&eqh)))
        return;
    EXPECT_EQ(daos_eq_poll(eqh, 0, DAOS_EQ_NOWAIT, EVENTS_NR, done), 0);
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, EVENTS_NR, done), 0); /* nothing runs: no wait */
    EXPECT_EQ(daos_eq_poll(eqh, 0, 2000, EVENTS_NR, done), 0); /* until the timeout */
    for (int i = 0; i < EVENTS_NR; i++) {
        EXPECT_OK(daos_event_init(&evs[i], eqh, NULL));
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        values[i] = 1000 + i;
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, keys[i], sizeof(values[i]), &values[i], &evs[i]));
    }
    EXPECT_EQ(daos_eq_query(eqh, DAOS_EQR_ALL, 0, NULL), EVENTS_NR);
    EXPECT_ERR(daos_eq_destroy(eqh, 0), BUSY);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, keys[0], 8, &values[0], &evs[0]), NO_PERM);
    while (nr < EVENTS_NR) {
        n = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, EVENTS_NR, done);
        if (!EXPECT_GT(n, 0))
            break;
        for (int i = 0; i < n; i++) {
            EXPECT_EQ(done[i]->ev_error, 0);
        }
        nr += n;
    }
    EXPECT_EQ(nr, EVENTS_NR);
    EXPECT_EQ(daos_eq_query(eqh, DAOS_EQR_ALL, 0, NULL), 0);
    for (int i = 0; i < EVENTS_NR; i++) {
        size = sizeof(got);
        EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, keys[i], &size, &got, NULL));
        EXPECT_EQ(got, values[i]);
    }
    /* an error arrives in the event; the event may be used again */
    size = sizeof(got);
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, DAOS_COND_KEY_GET, "none", &size, &got, &evs[0]));
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 1, done), 1);
    EXPECT(done[0] == &evs[0]);
    EXPECT_ERR(evs[0].ev_error, NONEXIST);
    /* a single event of a queue may be tested: that takes it out */
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, keys[1], 8, &values[1], &evs[1]));
    EXPECT_OK(daos_event_test(&evs[1], DAOS_EQ_WAIT, &flag));
    EXPECT(flag);
    EXPECT_EQ(daos_eq_query(eqh, DAOS_EQR_ALL, 0, NULL), 0);
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 1, done), 0);
    /* force waits for what runs */
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, keys[1], 8, &values[2], &evs[1]));
    EXPECT_OK(daos_eq_destroy(eqh, DAOS_EQ_DESTROY_FORCE));
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, keys[1], 8, &values[2], &evs[1]),
        NONEXIST); /* its queue is gone */
    EXPECT_ERR(daos_event_test(&evs[1], 0, &flag), NONEXIST);
    EXPECT_ERR(daos_event_abort(&evs[1]), NONEXIST);
    EXPECT_ERR(daos_eq_poll(eqh, 0, 0, 1, done), NONEXIST);
    EXPECT_ERR(daos_eq_query(eqh, DAOS_EQR_ALL, 0, NULL), NONEXIST);
    EXPECT_ERR(daos_eq_destroy(eqh, 0), NONEXIST);
    EXPECT_ERR(daos_event_init(&evs[1], eqh, NULL), NONEXIST);
    for (int i = 0; i < EVENTS_NR; i++) {
        EXPECT_OK(daos_event_fini(&evs[i]));
    }
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_event, queue_gives_back_what_completes, BACKEND_LINUX | BACKEND_SIM)
{
    struct fake fake;

    if (fake_init(&fake))
        fake_run(&fake, queue_body);
    fake_fini(&fake);
}

/* Writes a letter for each call, and returns `rc`. */
struct cb_mark {
    char *log;
    char letter;
    int rc;
    int seen_rc;
};

static int
cb_mark(void *arg, daos_event_t *ev, int rc)
{
    struct cb_mark *mark = arg;
    size_t len = strlen(mark->log);

    (void)ev;
    mark->log[len] = mark->letter;
    mark->log[len + 1] = '\0';
    mark->seen_rc = rc;
    return mark->rc;
}

/* Goal: callbacks run once, in order, and the first failing one decides; the event may be used again with others. */
static void
callbacks_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh;
    char log[16] = "";
    struct cb_mark a = {.log = log, .letter = 'a'}, b = {.log = log, .letter = 'b', .rc = -DER_MISC},
                   c = {.log = log, .letter = 'c', .rc = -DER_IO};
    daos_event_t ev;
    uint64_t value = 5;
    bool flag = false;

    if (!fake_open(fake, &poh, &coh) || !kv_make(coh, OC_S1, 2, &oh))
        return;
    EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL));
    EXPECT_ERR(daos_event_register_comp_cb(&ev, NULL, NULL), INVAL);
    EXPECT_OK(daos_event_register_comp_cb(&ev, cb_mark, &a));
    EXPECT_OK(daos_event_register_comp_cb(&ev, cb_mark, &b));
    EXPECT_OK(daos_event_register_comp_cb(&ev, cb_mark, &c));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", sizeof(value), &value, &ev));
    EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    EXPECT(flag);
    EXPECT_STR_EQ(log, "abc");
    EXPECT_ERR(ev.ev_error, MISC); /* b's */
    EXPECT_EQ(c.seen_rc, 0); /* each is told the call's own */
    /* used again: no callback is left, and one may be registered anew */
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", sizeof(value), &value, &ev));
    EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    EXPECT_EQ(ev.ev_error, 0);
    EXPECT_STR_EQ(log, "abc");
    EXPECT_OK(daos_event_register_comp_cb(&ev, cb_mark, &b));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, "a", sizeof(value), &value, &ev));
    EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    EXPECT_STR_EQ(log, "abcb");
    EXPECT_ERR(b.seen_rc, EXIST);
    EXPECT_ERR(ev.ev_error, EXIST); /* the call's own error stays */
    EXPECT_OK(daos_event_register_comp_cb(&ev, cb_mark, &a)); /* never called */
    EXPECT_OK(daos_event_fini(&ev));
    EXPECT_STR_EQ(log, "abcb");
    EXPECT_ERR(daos_event_register_comp_cb(&ev, cb_mark, &a), INVAL);
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_event, callbacks_serve_one_completion, BACKEND_LINUX | BACKEND_SIM)
{
    struct fake fake;

    if (fake_init(&fake))
        fake_run(&fake, callbacks_body);
    fake_fini(&fake);
}

/* Goal: an aborted call ends although its target refuses it for ever. */
static void
abort_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh, eqh;
    daos_event_t evs[3], *done[3];
    uint64_t value = 5;
    bool flag = true;

    if (!fake_open(fake, &poh, &coh) || !kv_make(coh, OC_S1, 2, &oh) ||
        !EXPECT_OK(daos_eq_create(&eqh)))
        return;
    fake_rule_add(fake,
        (struct fake_rule){
            FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 1000000});
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(daos_event_init(&evs[i], eqh, NULL));
        EXPECT_ERR(daos_event_abort(&evs[i]), NO_PERM); /* does not run */
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", sizeof(value), &value, &evs[i]));
    }
    EXPECT_EQ(daos_eq_poll(eqh, 1, 20000, 3, done), 0);
    EXPECT_OK(daos_event_test(&evs[1], 0, &flag));
    EXPECT(!flag);
    EXPECT_OK(daos_event_abort(&evs[1]));
    EXPECT_OK(daos_event_abort(&evs[1]));
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 3, done), 1);
    EXPECT(done[0] == &evs[1]);
    EXPECT_ERR(evs[1].ev_error, CANCELED);
    EXPECT_EQ(daos_eq_query(eqh, DAOS_EQR_WAITING, 0, NULL), 2);
    fake->rules[0].nr = 0; /* the others go on */
    for (int nr = 0; nr < 2;) {
        nr += daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 3, done);
    }
    EXPECT_EQ(evs[0].ev_error, 0);
    EXPECT_EQ(evs[2].ev_error, 0);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", sizeof(value), &value, &evs[1])); /* once more */
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 3, done), 1);
    EXPECT_EQ(evs[1].ev_error, 0);
    EXPECT_OK(daos_eq_destroy(eqh, 0));
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_event, abort_ends_what_repeats, BACKEND_SIM)
{
    struct fake fake;

    if (fake_init(&fake))
        fake_run(&fake, abort_body);
    fake_fini(&fake);
}

static void
single_body(struct fake *fake)
{
    daos_handle_t poh, coh, oh, eqh;
    daos_event_t ev, parent, child[3], *next, *done[4];
    uint64_t value = 5;
    bool flag = false;

    if (!fake_open(fake, &poh, &coh) || !kv_make(coh, OC_S1, 2, &oh))
        return;
    EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", sizeof(value), &value, &ev));
    if (test_backend() == BACKEND_SIM) /* elsewhere the answer may be there already */
        EXPECT_ERR(daos_event_fini(&ev), BUSY);
    EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    EXPECT(flag);
    EXPECT_EQ(ev.ev_error, 0);
    EXPECT_OK(daos_event_test(&ev, 0, &flag)); /* idle: nothing to wait for */
    EXPECT(flag);
    EXPECT_OK(daos_event_fini(&ev));
    EXPECT_ERR(daos_event_test(&ev, 0, &flag), INVAL);
    EXPECT_ERR(daos_event_abort(&ev), INVAL);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", sizeof(value), &value, &ev), INVAL);

    EXPECT_OK(daos_event_init(&parent, DAOS_HDL_INVAL, NULL));
    EXPECT_ERR(daos_event_parent_barrier(&parent), INVAL); /* no children */
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(daos_event_init(&child[i], DAOS_HDL_INVAL, &parent));
    }
    EXPECT_ERR(daos_event_init(&ev, DAOS_HDL_INVAL, &child[0]), NO_PERM); /* no grandchildren */
    next = daos_event_next(&parent, NULL);
    EXPECT(next == &child[0]);
    EXPECT(daos_event_next(&parent, &child[0]) == &child[1]);
    EXPECT(daos_event_next(&parent, &child[2]) == NULL);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "b", sizeof(value), &value, &child[0]));
    EXPECT_OK(daos_kv_put(
        oh, DAOS_TX_NONE, DAOS_COND_KEY_UPDATE, "absent", sizeof(value), &value, &child[1]));
    EXPECT_ERR(daos_event_parent_barrier(&parent), NO_PERM); /* a child is not launched */
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, "c", sizeof(value), &value, &parent), NO_PERM);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "c", sizeof(value), &value, &child[2]));
    EXPECT_ERR(daos_event_test(&child[2], 0, &flag), NO_PERM); /* the parent tells */
    EXPECT_OK(daos_event_parent_barrier(&parent));
    EXPECT_OK(daos_event_test(&parent, DAOS_EQ_WAIT, &flag));
    EXPECT(flag);
    EXPECT_ERR(parent.ev_error, NONEXIST); /* the first error of the children */
    EXPECT_EQ(child[0].ev_error, 0);
    for (int i = 0; i < 3; i++) { /* once more; one of them completes before the barrier */
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "d", sizeof(value), &value, &child[i]));
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "e", sizeof(value), &value, NULL));
    }
    EXPECT_OK(daos_event_parent_barrier(&parent));
    EXPECT_OK(daos_event_test(&parent, DAOS_EQ_WAIT, &flag));
    EXPECT_EQ(parent.ev_error, 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(daos_event_fini(&child[i]));
    }
    EXPECT_OK(daos_event_fini(&parent));

    /* a parent with a call of its own, of a queue: handed out when no child runs, and the children never */
    EXPECT_OK(daos_eq_create(&eqh));
    EXPECT_OK(daos_event_init(&parent, eqh, NULL));
    EXPECT_OK(daos_event_init(&child[0], DAOS_HDL_INVAL, &parent));
    fake_rule_add(fake,
        (struct fake_rule){
            FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 3});
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "f", sizeof(value), &value, &child[0]));
    EXPECT_OK(daos_kv_remove(oh, DAOS_TX_NONE, 0, "none", &parent));
    EXPECT_ERR(daos_event_fini(&child[0]), BUSY);
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 4, done), 1);
    EXPECT(done[0] == &parent);
    EXPECT_EQ(child[0].ev_error, 0);
    EXPECT_EQ(daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 4, done), 0);
    EXPECT_OK(daos_event_fini(&parent)); /* its child becomes an event of its own */
    EXPECT_OK(daos_event_fini(&child[0]));
    EXPECT_OK(daos_eq_destroy(eqh, 0));
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
}

TEST_ON(client_event, alone_and_with_children, BACKEND_LINUX | BACKEND_SIM)
{
    struct fake fake;

    if (fake_init(&fake))
        fake_run(&fake, single_body);
    fake_fini(&fake);
}

/* ---- threads ------------------------------------------------------------------------------------------------------------- */

struct thread_job {
    daos_handle_t oh;
    int idx;
    int bad_nr;
};

static void *
thread_main(void *arg)
{
    struct thread_job *job = arg;

    for (int i = 0; i < ROUNDS_NR; i++) {
        char key[32], value[64], got[64] = "";
        daos_size_t size = sizeof(got);

        snprintf(key, sizeof(key), "t%d.%d", job->idx, i % 7);
        snprintf(value, sizeof(value), "value %d of %d", i, job->idx);
        job->bad_nr += daos_kv_put(job->oh, DAOS_TX_NONE, 0, key, sizeof(value), value, NULL) != 0;
        job->bad_nr += daos_kv_get(job->oh, DAOS_TX_NONE, 0, key, &size, got, NULL) != 0;
        job->bad_nr += strcmp(value, got) != 0;
    }
    return NULL;
}

/* Goal: the gate hands the driver's role on and wakes everybody (TH-3). Method: threads with calls of their own; each checks what it wrote. */
TEST_LINUX(client_threads, share_one_client, "OS threads of an application are not simulated")
{
    struct thread_job jobs[THREADS_NR];
    pthread_t threads[THREADS_NR];
    daos_handle_t poh, coh, oh, eqh;
    daos_event_t *done[1];
    struct fake fake;

    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, OC_SX, 3, &oh))
        goto out;
    EXPECT_OK(daos_eq_create(&eqh));
    for (int i = 0; i < THREADS_NR; i++) {
        jobs[i] = (struct thread_job){.oh = oh, .idx = i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, thread_main, &jobs[i]), 0);
    }
    /* a wait with a timeout ends although others drive */
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(daos_eq_poll(eqh, 0, 1000, 1, done), 0);
    }
    for (int i = 0; i < THREADS_NR; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
        EXPECT_EQ(jobs[i].bad_nr, 0);
    }
    EXPECT_OK(daos_eq_destroy(eqh, 0));
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
out:
    fake_fini(&fake);
}

/* What is open when the client ends, ends with it, calls in flight included. */
TEST_LINUX(client_threads, fini_with_calls_in_flight, "daos_fini() without a simulator's ULT")
{
    static daos_event_t evs[8];
    static uint64_t value = 1;
    daos_handle_t poh, coh, oh, eqh;
    struct fake fake;

    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, OC_SX, 3, &oh))
        goto out;
    EXPECT_OK(daos_eq_create(&eqh));
    fake_rule_add(&fake,
        (struct fake_rule){
            FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 1000000});
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(daos_event_init(&evs[i], eqh, NULL));
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &evs[i]));
    }
out:
    fake_fini(&fake);
    for (int i = 0; i < 8; i++) {
        EXPECT_NE(evs[i].ev_error, 0);
    }
}
