/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Calls with events in real processes, on each network backend: a client that posts and then makes no call is done at the server; a fork while calls are in flight.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api_sys.h"

enum { WRITES_NR = 64, WRITE_BYTES = 1 << 20, FORKS_NR = 5 };

static int
store_open(daos_handle_t *poh, daos_handle_t *coh, daos_handle_t *oh)
{
    daos_obj_id_t oid = {.lo = 5};
    int rc = daos_pool_connect("tank", NULL, DAOS_PC_RW, poh, NULL, NULL);

    if (rc == 0)
        rc = daos_cont_create_with_label(*poh, "box", NULL, NULL, NULL);
    if (rc == 0 || rc == -DER_EXIST)
        rc = daos_cont_open(*poh, "box", DAOS_COO_RW, coh, NULL, NULL);
    if (rc == 0)
        rc = daos_obj_generate_oid(*coh, &oid, DAOS_OT_ARRAY_BYTE, OC_SX, 0, 0);
    if (rc == 0)
        rc = daos_array_open_with_attr(*coh, oid, DAOS_TX_NONE, DAOS_OO_RW, 1, WRITE_BYTES, oh, NULL);
    return rc;
}

static int
store_close(daos_handle_t poh, daos_handle_t coh, daos_handle_t oh)
{
    int rc = daos_array_close(oh, NULL);

    if (rc == 0)
        rc = daos_cont_close(coh, NULL);
    return rc == 0 ? daos_pool_disconnect(poh, NULL) : rc;
}

/* One write at a chunk of its own; lives as long as its event runs. */
struct transfer {
    daos_event_t ev;
    daos_array_iod_t iod;
    daos_range_t range;
    d_sg_list_t sgl;
    d_iov_t iov;
};

static int
transfer_start(struct transfer *t, daos_handle_t oh, uint64_t chunk, void *data)
{
    t->range = (daos_range_t){.rg_idx = chunk * WRITE_BYTES, .rg_len = WRITE_BYTES};
    t->iod = (daos_array_iod_t){.arr_nr = 1, .arr_rgs = &t->range};
    t->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &t->iov};
    d_iov_set(&t->iov, data, WRITE_BYTES);
    return daos_array_write(oh, DAOS_TX_NONE, &t->iod, &t->sgl, &t->ev);
}

static int
transfers_end(daos_handle_t eqh, int nr)
{
    daos_event_t *done[WRITES_NR];

    while (nr > 0) {
        int got = daos_eq_poll(eqh, 1, DAOS_EQ_WAIT, WRITES_NR, done);

        if (got <= 0)
            return got < 0 ? got : -DER_MISC;
        for (int i = 0; i < got; i++) {
            if (done[i]->ev_error != 0)
                return done[i]->ev_error;
        }
        nr -= got;
    }
    return 0;
}

/* ---- posted and left ----------------------------------------------------------------------------------------------------- */

struct pipes {
    int to_parent[2], to_child[2];
};

/* Posts, tells, and then makes no call until it is told that all was seen. */
static int
writer(void *arg)
{
    static struct transfer transfers[WRITES_NR];
    struct pipes *pipes = arg;
    daos_handle_t poh, coh, oh, eqh;
    uint8_t *data = malloc(WRITE_BYTES);
    char byte = 0;
    int rc = daos_init();

    if (rc == 0)
        rc = store_open(&poh, &coh, &oh);
    if (rc == 0)
        rc = daos_eq_create(&eqh);
    memset(data, 'w', WRITE_BYTES);
    for (int i = 0; rc == 0 && i < WRITES_NR; i++) {
        rc = daos_event_init(&transfers[i].ev, eqh, NULL);
        if (rc == 0)
            rc = transfer_start(&transfers[i], oh, i, data);
    }
    if (rc != 0 || !api_put(pipes->to_parent[1], &byte, 1) || !api_get(pipes->to_child[0], &byte, 1))
        return 1;
    if (transfers_end(eqh, WRITES_NR) != 0 || daos_eq_destroy(eqh, 0) != 0 ||
        store_close(poh, coh, oh) != 0)
        return 2;
    free(data);
    return daos_fini() == 0 ? 0 : 3;
}

/* Chunks that another client finds whole. */
static int
seen_nr(daos_handle_t oh, uint8_t *buf)
{
    int nr = 0;

    for (uint64_t i = 0; i < WRITES_NR; i++) {
        daos_range_t range = {.rg_idx = i * WRITE_BYTES + WRITE_BYTES - 1, .rg_len = 1};
        daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
        d_iov_t iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

        *buf = 0;
        d_iov_set(&iov, buf, 1);
        if (!EXPECT_OK(daos_array_read(oh, DAOS_TX_NONE, &iod, &sgl, NULL)))
            return WRITES_NR;
        nr += *buf == 'w' ? 1 : 0;
    }
    return nr;
}

/* Goal: 64 writes of 1 MiB are done although their client makes no call. Method: another client reads until it sees them all; without progress it never would. */
static void
posted_and_left(const char *net)
{
    daos_handle_t poh, coh, oh;
    struct api_sys sys;
    struct pipes pipes;
    uint8_t byte;
    int pid;

    if (!api_sys_start(&sys, net) || !EXPECT_EQ(pipe(pipes.to_parent), 0) ||
        !EXPECT_EQ(pipe(pipes.to_child), 0))
        return;
    pid = api_child(writer, &pipes);
    if (EXPECT(api_get(pipes.to_parent[0], &byte, 1)) && EXPECT_OK(daos_init()) &&
        EXPECT_OK(store_open(&poh, &coh, &oh))) {
        while (seen_nr(oh, &byte) < WRITES_NR) {
        }
        EXPECT(api_put(pipes.to_child[1], &byte, 1));
        EXPECT_OK(store_close(poh, coh, oh));
        EXPECT_OK(daos_fini());
    }
    EXPECT(api_child_wait(pid));
    api_sys_stop(&sys);
}

TEST_LINUX(api_async, posted_and_left_unix, "processes")
{
    posted_and_left("unix");
}

TEST_LINUX(api_async, posted_and_left_tcp, "processes")
{
    posted_and_left("tcp");
}

TEST_LINUX(api_async, posted_and_left_ofi, "processes")
{
    posted_and_left("ofi");
}

/* ---- a client that is stopped ---------------------------------------------------------------------------------------------- */

/* Goal: a client that is stopped with transfers in flight holds up nobody (MS-6), and goes on when it is continued. Method: SIGSTOP right after the posts; another client
 * writes and reads large and small; then SIGCONT. */
static void
stopped_client(const char *net)
{
    daos_handle_t poh, coh, oh, eqh;
    static struct transfer transfers[WRITES_NR];
    struct api_sys sys;
    struct pipes pipes;
    uint8_t *data = malloc(WRITE_BYTES), byte;
    int pid, status;

    memset(data, 'b', WRITE_BYTES);
    if (!api_sys_start(&sys, net) || !EXPECT_EQ(pipe(pipes.to_parent), 0) ||
        !EXPECT_EQ(pipe(pipes.to_child), 0))
        return;
    pid = api_child(writer, &pipes);
    EXPECT(api_get(pipes.to_parent[0], &byte, 1));
    kill(pid, SIGSTOP);
    EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    EXPECT(WIFSTOPPED(status));
    if (EXPECT_OK(daos_init()) && EXPECT_OK(store_open(&poh, &coh, &oh)) &&
        EXPECT_OK(daos_eq_create(&eqh))) {
        for (int i = 0; i < WRITES_NR; i++) {
            EXPECT_OK(daos_event_init(&transfers[i].ev, eqh, NULL));
            EXPECT_OK(transfer_start(&transfers[i], oh, 1000 + (uint64_t)i, data));
        }
        EXPECT_OK(transfers_end(eqh, WRITES_NR));
        EXPECT_LE(seen_nr(oh, &byte), WRITES_NR);
        kill(pid, SIGCONT);
        while (seen_nr(oh, &byte) < WRITES_NR) {
        }
        EXPECT(api_put(pipes.to_child[1], &byte, 1));
        EXPECT_OK(daos_eq_destroy(eqh, 0));
        EXPECT_OK(store_close(poh, coh, oh));
        EXPECT_OK(daos_fini());
    }
    EXPECT(api_child_wait(pid));
    api_sys_stop(&sys);
    free(data);
}

TEST_LINUX(api_async, a_stopped_client_holds_up_nobody_unix, "processes")
{
    stopped_client("unix");
}

TEST_LINUX(api_async, a_stopped_client_holds_up_nobody_tcp, "processes")
{
    stopped_client("tcp");
}

TEST_LINUX(api_async, a_stopped_client_holds_up_nobody_ofi, "processes")
{
    stopped_client("ofi");
}

/* ---- fork ------------------------------------------------------------------------------------------------------------------ */

struct fork_job {
    daos_handle_t poh, coh, oh, eqh;
    int idx;
};

/* The child gets a client of its own, and writes with it by event, so that it has a helper, too. */
static int
forked(void *arg)
{
    static struct transfer transfer;
    static uint8_t data[WRITE_BYTES];
    struct fork_job *job = arg;
    daos_handle_t poh, coh, oh, eqh;
    bool flag = false;

    if (daos_array_close(job->oh, NULL) != -DER_UNINIT ||
        daos_eq_poll(job->eqh, 1, 0, 1, NULL) != -DER_UNINIT)
        return 1;
    if (daos_reinit() != 0)
        return 2;
    if (daos_array_close(job->oh, NULL) != -DER_NO_HDL)
        return 3;
    memset(data, 'f', sizeof(data));
    if (store_open(&poh, &coh, &oh) != 0 || daos_eq_create(&eqh) != 0 ||
        daos_event_init(&transfer.ev, eqh, NULL) != 0)
        return 4;
    if (transfer_start(&transfer, oh, WRITES_NR + (uint64_t)job->idx, data) != 0 ||
        daos_event_test(&transfer.ev, DAOS_EQ_WAIT, &flag) != 0 || !flag || transfer.ev.ev_error != 0)
        return 5;
    if (daos_event_fini(&transfer.ev) != 0 || daos_eq_destroy(eqh, 0) != 0 ||
        store_close(poh, coh, oh) != 0)
        return 6;
    return daos_fini() == 0 ? 0 : 7;
}

/* Goal: a fork with calls in flight disturbs neither process (TH-4). */
static void
fork_in_flight(const char *net)
{
    static struct transfer transfers[WRITES_NR];
    struct fork_job job;
    struct api_sys sys;
    uint8_t *data = malloc(WRITE_BYTES), byte;
    int pids[FORKS_NR];

    memset(data, 'w', WRITE_BYTES);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    free(data);
    TEST_SKIP("a sanitizer's allocator may be locked by another thread across fork()");
    return;
#endif
    if (!api_sys_start(&sys, net) || !EXPECT_OK(daos_init()) ||
        !EXPECT_OK(store_open(&job.poh, &job.coh, &job.oh)) || !EXPECT_OK(daos_eq_create(&job.eqh)))
        return;
    for (int i = 0; i < WRITES_NR; i++) {
        EXPECT_OK(daos_event_init(&transfers[i].ev, job.eqh, NULL));
    }
    for (int i = 0; i < WRITES_NR; i++) {
        EXPECT_OK(transfer_start(&transfers[i], job.oh, i, data));
        if (i % (WRITES_NR / FORKS_NR) == 5 && i / (WRITES_NR / FORKS_NR) < FORKS_NR) {
            job.idx = i / (WRITES_NR / FORKS_NR);
            pids[job.idx] = api_child(forked, &job);
        }
    }
    EXPECT_OK(transfers_end(job.eqh, WRITES_NR));
    for (int i = 0; i < FORKS_NR; i++) {
        EXPECT(api_child_wait(pids[i]));
    }
    EXPECT_EQ(seen_nr(job.oh, &byte), WRITES_NR);
    for (int i = 0; i < FORKS_NR; i++) {
        daos_range_t range = {.rg_idx = (WRITES_NR + (uint64_t)i) * WRITE_BYTES, .rg_len = 1};
        daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
        d_iov_t iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

        d_iov_set(&iov, &byte, 1);
        EXPECT_OK(daos_array_read(job.oh, DAOS_TX_NONE, &iod, &sgl, NULL));
        EXPECT_EQ(byte, 'f');
    }
    EXPECT_OK(daos_eq_destroy(job.eqh, 0));
    EXPECT_OK(store_close(job.poh, job.coh, job.oh));
    EXPECT_OK(daos_fini());
    api_sys_stop(&sys);
    free(data);
}

TEST_LINUX(api_async, fork_with_calls_in_flight_unix, "processes")
{
    fork_in_flight("unix");
}

TEST_LINUX(api_async, fork_with_calls_in_flight_tcp, "processes")
{
    fork_in_flight("tcp");
}

TEST_LINUX(api_async, fork_with_calls_in_flight_ofi, "processes")
{
    fork_in_flight("ofi");
}

/* ---- abort ----------------------------------------------------------------------------------------------------------------- */

/* Goal: a call to an engine that is gone ends when it is aborted, not after two minutes. */
TEST_LINUX(api_async, abort_when_the_engine_is_gone, "processes")
{
    static struct transfer transfer;
    daos_handle_t poh, coh, oh;
    struct api_sys sys;
    uint8_t *data = malloc(WRITE_BYTES);
    bool flag = true;

    memset(data, 'w', WRITE_BYTES);
    if (!api_sys_start(&sys, "unix") || !EXPECT_OK(daos_init()) ||
        !EXPECT_OK(store_open(&poh, &coh, &oh)))
        return;
    api_sys_kill(&sys);
    EXPECT_OK(daos_event_init(&transfer.ev, DAOS_HDL_INVAL, NULL));
    EXPECT_OK(transfer_start(&transfer, oh, 0, data));
    EXPECT_OK(daos_event_test(&transfer.ev, 0, &flag));
    EXPECT(!flag);
    EXPECT_OK(daos_event_abort(&transfer.ev));
    EXPECT_OK(daos_event_test(&transfer.ev, DAOS_EQ_WAIT, &flag));
    EXPECT_ERR(transfer.ev.ev_error, CANCELED);
    EXPECT_OK(daos_event_fini(&transfer.ev));
    EXPECT_OK(daos_fini()); /* what is open ends with it */
    free(data);
}
