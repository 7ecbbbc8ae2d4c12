/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The helper thread (client_helper.c), over the naive system of client_fake.h: what is posted gets done although nobody calls; who needs no helper has none; application
 * threads and the helper hand the client to and fro; fork.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/test/client_fake.h"
#include "daos.h"

enum { PUTS_NR = 64, PUT_BYTES = 1 << 20, ROUNDS_NR = 20, THREADS_NR = 3 };

static bool
kv_make(daos_handle_t coh, uint64_t lo, daos_handle_t *oh)
{
    daos_obj_id_t oid = {.lo = lo};

    return EXPECT_OK(daos_obj_generate_oid(coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0)) &&
        EXPECT_OK(daos_kv_open(coh, oid, DAOS_OO_RW, oh, NULL));
}

struct count {
    const struct fake *fake;
    uint32_t rank, applied_nr;
};

static void
count_ult(void *arg)
{
    struct count *count = arg;

    for (uint32_t t = 0; t < FAKE_TAGS_NR; t++) {
        count->applied_nr += count->fake->tags[count->rank][t].applied_nr;
    }
}

/* Modifications that the targets have applied, asked on their own xstreams: not through the client. */
static uint32_t
applied_nr(const struct fake *fake)
{
    struct count count = {.fake = fake};

    for (count.rank = 0; count.rank < FAKE_RANKS_NR; count.rank++) {
        if (fake->sim != NULL) {
            count_ult(&count);
        } else {
            EXPECT_OK(xstream_call(fake->xss[count.rank], ULT_IO, count_ult, &count));
        }
    }
    return count.applied_nr;
}

/* ---- nobody calls -------------------------------------------------------------------------------------------------------- */

/*
 * Goal: 64 puts of 1 MiB are done at the servers within 200 ms although the client makes no call. Method: in simulation by its clock; with OS threads the servers are asked
 * until it is so (without a helper: never).
 */
static void
left_body(struct fake *fake)
{
    static char keys[PUTS_NR][16];
    daos_event_t *evs = calloc(PUTS_NR, sizeof(*evs)), *done[PUTS_NR];
    uint8_t *data = malloc(PUT_BYTES);
    daos_handle_t poh, coh, oh, eqh;
    uint32_t before;
    int nr = 0;

    memset(data, 'd', PUT_BYTES);
    if (!fake_open(fake, &poh, &coh) || !kv_make(coh, 1, &oh) || !EXPECT_OK(daos_eq_create(&eqh)))
        goto out;
    before = applied_nr(fake);
    for (int i = 0; i < PUTS_NR; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        EXPECT_OK(daos_event_init(&evs[i], eqh, NULL));
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, keys[i], PUT_BYTES, data, &evs[i]));
    }
    if (fake->sim != NULL) {
        ult_sleep(UINT64_C(200000000));
        EXPECT_EQ(applied_nr(fake) - before, PUTS_NR);
        ult_sleep(UINT64_C(1800000000));
    } else {
        while (applied_nr(fake) - before < PUTS_NR) {
        }
        EXPECT_EQ(applied_nr(fake) - before, PUTS_NR);
    }
    while (nr < PUTS_NR) {
        int got = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, PUTS_NR, done);

        if (!EXPECT_GT(got, 0))
            break;
        for (int i = 0; i < got; i++) {
            EXPECT_EQ(done[i]->ev_error, 0);
        }
        nr += got;
    }
    EXPECT_OK(daos_eq_destroy(eqh, 0));
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
out:
    free(data);
    free(evs);
}

TEST_ON(client_helper, what_is_posted_gets_done_while_nobody_calls, BACKEND_LINUX | BACKEND_SIM)
{
    struct fake fake;

    if (fake_init(&fake))
        fake_run(&fake, left_body);
    fake_fini(&fake);
}

/*
 * Goal: what is launched after a poll that gave several events, and not all of them again, gets done although the client makes no call then: such launches wait for
 * each other (client_exec_short). Method: as above.
 */
TEST_LINUX(client_helper, fewer_are_launched_than_were_polled, "OS threads")
{
    daos_event_t evs[8], *done[8];
    daos_handle_t poh, coh, oh, eqh;
    struct fake fake;
    uint64_t value = 1;
    uint32_t want;

    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, 1, &oh) ||
        !EXPECT_OK(daos_eq_create(&eqh)))
        goto out;
    want = applied_nr(&fake);
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(daos_event_init(&evs[i], eqh, NULL));
    }
    for (int round = 0; round < ROUNDS_NR; round++) {
        int nr = 0, again = 0;

        for (int i = 0; i < 8; i++, want++) {
            EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &evs[i]));
        }
        while (nr < 8) {
            int got = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 8, done);

            if (!EXPECT_GT(got, 0))
                break;
            nr += got;
            for (int i = 0; nr == 8 && i < got - (got > 1); i++, again++, want++) {
                EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, done[i]));
            }
        }
        while (applied_nr(&fake) < want) {
        }
        while (again > 0) {
            int got = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 8, done);

            if (!EXPECT_GT(got, 0))
                break;
            again -= got;
        }
    }
    EXPECT_EQ(applied_nr(&fake), want);
    EXPECT_OK(daos_eq_destroy(eqh, 0));
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
out:
    fake_fini(&fake);
}

/* ---- the thread ---------------------------------------------------------------------------------------------------------- */

/* Threads of this process called "daos_helper"; the last one's blocked signals as the kernel prints them. */
static int
helpers_nr(char *ret_blocked, size_t bytes)
{
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;
    int nr = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[300], line[128];
        bool is_helper = false;
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
            if (strncmp(line, "Name:", 5) == 0)
                is_helper = strstr(line, "daos_helper") != NULL;
            if (is_helper && strncmp(line, "SigBlk:", 7) == 0)
                snprintf(ret_blocked, bytes, "%s", line + 7 + strspn(line + 7, " \t"));
        }
        if (file != NULL)
            fclose(file);
        nr += is_helper ? 1 : 0;
    }
    if (dir != NULL)
        closedir(dir);
    return nr;
}

TEST_LINUX(client_helper, only_for_calls_with_events, "OS threads and their signal masks")
{
    daos_handle_t poh, coh, oh;
    char blocked[64] = "";
    struct fake fake;
    uint64_t value = 1, mask;
    daos_event_t ev;
    bool flag;

    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, 1, &oh))
        goto out;
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, NULL));
    EXPECT_EQ(helpers_nr(blocked, sizeof(blocked)), 0);
    EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL));
    for (int i = 0; i < 3; i++) {
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &ev));
        EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    }
    EXPECT_OK(daos_event_fini(&ev));
    while (helpers_nr(blocked, sizeof(blocked)) == 0) { /* it gives itself the name */
    }
    EXPECT_EQ(helpers_nr(blocked, sizeof(blocked)), 1);
    mask = strtoull(blocked, NULL, 16);
    for (int sig = 1; sig < 32; sig++) { /* the kernel leaves out two */
        if (sig != SIGKILL && sig != SIGSTOP)
            EXPECT((mask >> (sig - 1) & 1) != 0);
    }
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
out:
    fake_fini(&fake);
    EXPECT_EQ(helpers_nr(blocked, sizeof(blocked)), 0); /* ends with the client */
}

/* Without a call, until the helper drives (true) or nothing is left to drive. */
static bool
helper_await(struct daos_client *client)
{
    bool is_driving = false, is_idle = false;

    while (!is_driving && !is_idle) {
        plat_gate_lock(client->gate);
        is_driving = client->helper.is_driving;
        is_idle = !client->is_driven && client->task_nr == 0;
        plat_gate_unlock(client->gate);
    }
    return is_driving;
}

struct caller {
    daos_handle_t oh;
    int idx;
    int bad_nr;
};

static void *
caller_main(void *arg)
{
    struct caller *caller = arg;

    for (int i = 0; i < ROUNDS_NR; i++) {
        uint64_t value = i, got = 0;
        daos_size_t size = sizeof(got);
        char key[16];

        snprintf(key, sizeof(key), "t%d", caller->idx);
        caller->bad_nr +=
            daos_kv_put(caller->oh, DAOS_TX_NONE, 0, key, sizeof(value), &value, NULL) != 0;
        caller->bad_nr += daos_kv_get(caller->oh, DAOS_TX_NONE, 0, key, &size, &got, NULL) != 0;
        caller->bad_nr += got != value;
    }
    return NULL;
}

/* Goal: the helper steps in again and again, and gives way to threads that call. Method: a call that its target refuses many times keeps the client busy. */
TEST_LINUX(client_helper, gives_way_and_steps_in_again, "OS threads")
{
    struct caller callers[THREADS_NR];
    pthread_t threads[THREADS_NR];
    daos_handle_t poh, coh, oh, other;
    struct fake fake;
    uint64_t value = 7;
    uint32_t stepped_in_nr = 0;
    daos_event_t ev;
    bool flag;

    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, 1, &oh) ||
        !kv_make(coh, 2, &other))
        goto out;
    EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL));
    for (int i = 0; i < 4; i++) {
        fake_rule_add(&fake,
            (struct fake_rule){
                FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 4});
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &ev));
        while (helper_await(fake.client)) {
            EXPECT_OK(daos_kv_put(other, DAOS_TX_NONE, 0, "o", sizeof(value), &value, NULL));
            stepped_in_nr++;
        }
        EXPECT_OK(daos_event_test(&ev, 0, &flag)); /* the helper ended it */
        EXPECT(flag);
        EXPECT_EQ(ev.ev_error, 0);
    }
    EXPECT_GE(stepped_in_nr, 4);
    /* many threads, while calls with events come and go */
    for (int i = 0; i < THREADS_NR; i++) {
        callers[i] = (struct caller){.oh = other, .idx = i};
        EXPECT_EQ(pthread_create(&threads[i], NULL, caller_main, &callers[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &ev));
        EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
        EXPECT_EQ(ev.ev_error, 0);
    }
    for (int i = 0; i < THREADS_NR; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
        EXPECT_EQ(callers[i].bad_nr, 0);
    }
    EXPECT_OK(daos_event_fini(&ev));
    EXPECT_OK(daos_kv_close(oh, NULL));
    EXPECT_OK(daos_kv_close(other, NULL));
    fake_close(poh, coh);
out:
    fake_fini(&fake);
}

/* ---- fork ---------------------------------------------------------------------------------------------------------------- */

/* What the child finds: nothing works until daos_reinit(), then a client without any handle. Returns bits of what is wrong. */
static int
child_check(daos_handle_t oh, daos_handle_t eqh)
{
    daos_event_t *done[1];
    uint64_t value = 1;
    char blocked[64];
    int bad = 0;

    bad |= helpers_nr(blocked, sizeof(blocked)) != 0 ? 1 : 0;
    bad |= daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, NULL) != -DER_UNINIT ? 2 : 0;
    bad |= daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 1, done) != -DER_UNINIT ? 4 : 0;
    bad |= daos_fini() != -DER_UNINIT || daos_init() != -DER_UNINIT ? 8 : 0;
    bad |= daos_reinit() != 0 ? 16 : 0;
    bad |= daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, NULL) != -DER_NO_HDL ? 32 : 0;
    bad |= daos_eq_create(&eqh) != 0 || daos_eq_destroy(eqh, 0) != 0 ? 64 : 0;
    bad |= daos_fini() != 0 ? 128 : 0;
    return bad;
}

/* Goal: a fork while the helper drives calls leaves both processes sound (TH-4). */
TEST_LINUX(client_helper, fork_with_calls_in_flight, "processes")
{
    daos_handle_t poh, coh, oh, eqh;
    daos_event_t evs[8], *done[8];
    struct fake fake;
    uint64_t value = 1;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    TEST_SKIP("a sanitizer's allocator may be locked by another thread across fork()");
    return;
#endif
    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, 1, &oh))
        goto out;
    EXPECT_OK(daos_eq_create(&eqh));
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(daos_event_init(&evs[i], eqh, NULL));
    }
    for (int round = 0; round < ROUNDS_NR; round++) {
        int pid, status = -1, nr = 0;

        fake_rule_add(&fake,
            (struct fake_rule){
                FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 6});
        for (int i = 0; i < 8; i++) {
            EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", sizeof(value), &value, &evs[i]));
        }
        if (round % 2 == 0)
            CAIRN_IGNORE(helper_await(fake.client)); /* either way a fork is due */
        pid = fork();
        if (pid == 0)
            _exit(child_check(oh, eqh));
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
        while (nr < 8) {
            int got = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, 8, done);

            if (!EXPECT_GT(got, 0))
                break;
            for (int i = 0; i < got; i++) {
                EXPECT_EQ(done[i]->ev_error, 0);
            }
            nr += got;
        }
    }
    EXPECT_OK(daos_eq_destroy(eqh, 0));
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
out:
    fake_fini(&fake);
}

static void *
driver_main(void *arg)
{
    uint64_t value = 1;

    return daos_kv_put(*(daos_handle_t *)arg, DAOS_TX_NONE, 0, "k", sizeof(value), &value, NULL) == 0
        ? NULL
        : arg;
}

/* The same while another thread of the application drives a blocking call: its copy is left alone. */
TEST_LINUX(client_helper, fork_while_another_thread_calls, "processes")
{
    daos_handle_t poh, coh, oh;
    pthread_t thread;
    struct fake fake;
    int pid, status = -1;
    void *result;
    bool is_driven = false;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    TEST_SKIP("a sanitizer's allocator may be locked by another thread across fork()");
    return;
#endif
    if (!fake_init(&fake) || !fake_open(&fake, &poh, &coh) || !kv_make(coh, 1, &oh))
        goto out;
    fake_rule_add(&fake,
        (struct fake_rule){
            FAKE_ANY, FAKE_ANY, PROTO_OBJ_APPLY, FAKE_FAIL_BEFORE, -DER_OVERLOAD_RETRY, 12});
    EXPECT_EQ(pthread_create(&thread, NULL, driver_main, &oh), 0);
    while (!is_driven) {
        plat_gate_lock(fake.client->gate);
        is_driven = fake.client->is_driven;
        plat_gate_unlock(fake.client->gate);
    }
    pid = fork();
    if (pid == 0)
        _exit(child_check(oh, DAOS_HDL_INVAL));
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(pthread_join(thread, &result), 0);
    EXPECT(result == NULL);
    EXPECT_OK(daos_kv_close(oh, NULL));
    fake_close(poh, coh);
out:
    fake_fini(&fake);
}
