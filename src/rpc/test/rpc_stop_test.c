/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: MS-5 and MS-6 with real processes: a client that is stopped in the middle of its transfers costs the server its own requests until
 * their deadlines, costs other clients nothing, and goes on when it continues. Over AF_UNIX, TCP and libfabric.
 * Method: a forked client pulls and pushes without end and says so through a pipe; it is stopped; the rig's client works; the stopped one's
 * requests end; it continues and is served again.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/test/rpc_rig.h"

enum {
    VICTIM_FDS_NR = 100,
    WORKERS_NR = 8,
    REGION_BYTES = 2 << 20,
    OTHER_CALLS_NR = 200,
    OTHER_BYTES = 300000
};

/* ---- the client that will be stopped -------------------------------------------------------------------------------- */

struct victim {
    struct plat *plat;
    struct xstream *xs;
    struct rpc_ctx *ctx;
    char uri[NET_URI_MAX];
    int said_fd;
    uint64_t timeout_ns; /* of its calls */
    uint32_t workers_nr, workers_max;
};

static int
victim_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct victim *v = arg;

    (void)ep;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", v->uri);
    ret_addr->incarnation = 0;
    return 0;
}

/* Take little from the kernel at a time, so that the server has the rest when this process is stopped. */
static void
victim_small_buffers(void)
{
    const int bytes = 65536;

    for (int fd = 3; fd < VICTIM_FDS_NR; fd++) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* those that are sockets */
    }
}

/* Half of them pull, half push. One letter for each transfer that was served. */
static void
victim_worker(void *arg)
{
    struct victim *v = arg;
    struct iov iov = {calloc(1, REGION_BYTES), REGION_BYTES};
    struct rig as_rig = {.cplat = v->plat, .ctx = v->ctx};
    bool is_pull = v->workers_nr++ % 2 == 0;
    uint32_t crc;

    for (;;) {
        struct rpc_bulk *bulk = NULL;
        int rc =
            rpc_bulk_create(v->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ | RPC_BULK_WRITE, &bulk);

        if (rc != 0)
            _exit(2);
        rc = is_pull ? rig_pull(&as_rig, bulk, v->timeout_ns, &crc)
                     : rig_push(&as_rig, bulk, v->timeout_ns);
        rpc_bulk_free(bulk);
        victim_small_buffers();
        if (rc == 0 && write(v->said_fd, "x", 1) != 1)
            _exit(3);
        if (rc != 0)
            ult_sleep(RIG_MS);
    }
}

static void
victim_start(void *arg)
{
    struct victim *v = arg;
    struct rpc_ctx_opts opts = {.xs = v->xs,
        .system = {{1, 2, 3, 4}},
        .rank = RPC_RANK_NONE,
        .incarnation = 777,
        .client = {{7}},
        .resolve = victim_resolve,
        .arg = v};

    if (rpc_ctx_create(&opts, &v->ctx) != 0)
        _exit(4);
    for (uint32_t i = 0; i < v->workers_max; i++) {
        if (ult_create(v->xs, ULT_IO, victim_worker, v, NULL) != 0)
            _exit(5);
    }
}

/* Forked while the process has one thread; waits for the server's address. */
static pid_t
victim_fork(uint32_t workers_max, uint64_t timeout_ns, int *ret_uri_fd, int *ret_said_fd)
{
    struct victim v = {.said_fd = -1, .timeout_ns = timeout_ns, .workers_max = workers_max};
    int uri_pipe[2], said_pipe[2];
    pid_t child;

    EXPECT_EQ(pipe(uri_pipe), 0);
    EXPECT_EQ(pipe(said_pipe), 0);
    child = fork();
    if (child != 0) {
        close(uri_pipe[0]);
        close(said_pipe[1]);
        *ret_uri_fd = uri_pipe[1];
        *ret_said_fd = said_pipe[0];
        return child;
    }
    close(uri_pipe[1]);
    close(said_pipe[0]);
    v.said_fd = said_pipe[1];
    if (read(uri_pipe[0], v.uri, sizeof(v.uri)) != (ssize_t)sizeof(v.uri))
        _exit(6);
    if (plat_linux_create(&v.plat) != 0 ||
        xstream_create(v.plat, &(struct xstream_opts){.name = "victim", .cpu = UINT32_MAX}, &v.xs) !=
            0 ||
        xstream_start(v.xs) != 0 || xstream_call(v.xs, ULT_SERVICE, victim_start, &v) != 0)
        _exit(7);
    for (;;) {
        pause();
    }
}

/* ---- the other client ----------------------------------------------------------------------------------------------- */

static void
other_works(struct rig *rig)
{
    struct iov iov = {malloc(OTHER_BYTES), OTHER_BYTES};
    struct rpc_bulk *bulk = NULL;
    uint32_t crc = 0;

    rig_pattern(iov.buf, iov.len, 3);
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ, &bulk));
    for (int i = 0; i < OTHER_CALLS_NR && !test_failed(); i++) {
        EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
        if (i % 10 == 0) {
            EXPECT_OK(rig_pull(rig, bulk, RIG_LONG_NS, &crc));
            EXPECT_EQ(crc, rig_crc(iov.buf, iov.len));
        }
    }
    rpc_bulk_free(bulk);
    free(iov.buf);
}

/* Until the server runs nothing of the stopped one any more. */
static void
others_end(struct rig *rig)
{
    uint64_t limit_ns = plat_mono_ns(rig->cplat) + RIG_LONG_NS;
    struct rpc_stats stats;

    do {
        rig_stats(rig, &stats);
        EXPECT_LE(stats.running_nr, (uint32_t)WORKERS_NR);
        ult_sleep(10 * RIG_MS);
    } while (stats.running_nr > 0 && plat_mono_ns(rig->cplat) < limit_ns);
    EXPECT_EQ(stats.running_nr, 0u);
}

static bool
said(int fd, uint32_t nr)
{
    char c;

    for (uint32_t i = 0; i < nr; i++) {
        if (read(fd, &c, 1) != 1)
            return EXPECT(!"the client goes on");
    }
    return true;
}

/* What it had said before it was stopped. */
static void
said_drop(int fd, pid_t child)
{
    char buf[512];

    kill(child, SIGSTOP);
    EXPECT_EQ(waitpid(child, NULL, WUNTRACED), child);
    for (;;) {
        struct timeval none = {0, 0};
        fd_set set;

        FD_ZERO(&set);
        FD_SET(fd, &set);
        if (select(fd + 1, &set, NULL, NULL, &none) <= 0 || read(fd, buf, sizeof(buf)) <= 0)
            return;
    }
}

static void
stopped_over(const char *transport)
{
    int uri_fd, said_fd;
    pid_t child = victim_fork(WORKERS_NR, 5 * RIG_SHORT_NS, &uri_fd, &said_fd);
    struct rig rig;

    if (!rig_init(&rig, transport, NULL))
        return;
    EXPECT_EQ(write(uri_fd, rig.suri, sizeof(rig.suri)), (ssize_t)sizeof(rig.suri));
    if (said(said_fd, WORKERS_NR)) {
        said_drop(said_fd, child);
        rig_run(&rig, other_works);
        rig_run(&rig, others_end); /* MS-6 */
        rig_run(&rig, other_works);
        kill(child, SIGCONT);
        said(said_fd, 2 * WORKERS_NR); /* also after their old requests failed */
    }
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    rig_fini(&rig);
    close(uri_fd);
    close(said_fd);
}

TEST_LINUX(rpc_stop, stopped_client_unix, "processes are Linux's")
{
    stopped_over("unix");
}

TEST_LINUX(rpc_stop, stopped_client_tcp, "processes are Linux's")
{
    stopped_over("tcp");
}

TEST_LINUX(rpc_stop, stopped_client_ofi, "processes are Linux's")
{
    stopped_over("ofi");
}

/* ---- what a stopped client costs ------------------------------------------------------------------------------------ */

/*
 * Client and server in one thread, stepped by hand in turns, so that the figures do not depend on who gets a CPU when: the server's turns
 * and calls for each ping of the one client, alone and beside another that was stopped amid its transfers, whose requests still run.
 */
/* So many that what the server pushes does not fit in the sockets' buffers. */
enum {
    BESIDE_WORKERS_NR = 32,
    BESIDE_PINGS_NR = 1000,
    BESIDE_SETTLES_NR_MAX = 50,
    BESIDE_WAITS_NR = 50
};

struct beside {
    struct rig rig;
    bool is_done;
};

static void
beside_step(struct beside *b)
{
    struct plat *plat = b->rig.splat;

    plat->ops->loop_poll(xstream_loop(b->rig.cxs));
    xstream_step(b->rig.cxs);
    plat->ops->loop_poll(xstream_loop(b->rig.sxs));
    xstream_step(b->rig.sxs);
}

static void
beside_pings(void *arg)
{
    struct beside *b = arg;

    for (int i = 0; i < BESIDE_PINGS_NR && !test_failed(); i++) {
        EXPECT_OK(rig_ping(&b->rig, RIG_LONG_NS));
    }
    b->is_done = true;
}

/* Turns and calls of the server for the pings. */
static void
beside_measure(struct beside *b, struct plat_linux_loop_stats *ret_used)
{
    struct plat_linux_loop_stats before, after;

    b->is_done = false;
    plat_linux_loop_stats(xstream_loop(b->rig.sxs), &before);
    EXPECT_OK(ult_create(b->rig.cxs, ULT_IO, beside_pings, b, NULL));
    while (!b->is_done) {
        beside_step(b);
    }
    plat_linux_loop_stats(xstream_loop(b->rig.sxs), &after);
    ret_used->turns_nr = after.turns_nr - before.turns_nr;
    ret_used->calls_nr = after.calls_nr - before.calls_nr;
}

/* Turns of the server while nobody asks for anything. */
static uint64_t
beside_quiet(struct beside *b)
{
    struct plat_linux_loop_stats before, after;

    plat_linux_loop_stats(xstream_loop(b->rig.sxs), &before);
    for (int i = 0; i < BESIDE_WAITS_NR; i++) {
        b->rig.splat->ops->loop_wait(
            xstream_loop(b->rig.sxs), plat_mono_ns(b->rig.splat) + 2 * RIG_MS);
        b->rig.splat->ops->loop_poll(xstream_loop(b->rig.sxs));
        xstream_step(b->rig.sxs);
    }
    plat_linux_loop_stats(xstream_loop(b->rig.sxs), &after);
    return after.turns_nr - before.turns_nr;
}

static void
beside_over(const char *transport)
{
    struct plat_linux_loop_stats alone, beside;
    uint64_t quiet_alone, quiet_beside;
    struct beside b = {.is_done = false};
    struct rpc_stats stats;
    int uri_fd, said_fd;
    pid_t child = victim_fork(BESIDE_WORKERS_NR, RIG_LONG_NS, &uri_fd, &said_fd);
    uint32_t said_nr = 0, settles_nr = 0;
    char c;

    if (!rig_make(&b.rig, transport, NULL))
        return;
    beside_measure(&b, &alone); /* connects */
    beside_measure(&b, &alone);
    quiet_alone = beside_quiet(&b);
    fcntl(said_fd, F_SETFL, O_NONBLOCK);
    EXPECT_EQ(write(uri_fd, b.rig.suri, sizeof(b.rig.suri)), (ssize_t)sizeof(b.rig.suri));
    while (said_nr < 4 * BESIDE_WORKERS_NR) {
        beside_step(&b);
        said_nr += read(said_fd, &c, 1) == 1;
    }
    kill(child, SIGSTOP);
    EXPECT_EQ(waitpid(child, NULL, WUNTRACED), child);
    do { /* the kernels go on for a while with what was on its way */
        quiet_beside = beside_quiet(&b);
    } while (quiet_beside > 0 && ++settles_nr < BESIDE_SETTLES_NR_MAX);
    rpc_ctx_stats(b.rig.server.ctx, &stats);
    EXPECT_GT(stats.running_nr, 0u);
    beside_measure(&b, &beside);
    quiet_beside = beside_quiet(&b);
    rpc_ctx_stats(b.rig.server.ctx, &stats);
    EXPECT_GT(stats.running_nr, 0u); /* it was beside them all the time */
    EXPECT_LE(beside.turns_nr, alone.turns_nr + alone.turns_nr / 10);
    EXPECT_LE(beside.calls_nr, alone.calls_nr + alone.calls_nr / 10);
    EXPECT_LE(quiet_beside, quiet_alone + BESIDE_WAITS_NR / 10);
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    EXPECT_OK(xstream_drive(b.rig.sxs, &b.is_done, PLAT_NEVER_NS)); /* this thread was the last */
    EXPECT_OK(xstream_drive(b.rig.cxs, &b.is_done, PLAT_NEVER_NS));
    EXPECT_OK(xstream_start(b.rig.sxs));
    EXPECT_OK(xstream_start(b.rig.cxs));
    rig_fini(&b.rig);
    close(uri_fd);
    close(said_fd);
}

TEST_LINUX(rpc_stop, beside_stopped_unix, "processes are Linux's")
{
    beside_over("unix");
}

TEST_LINUX(rpc_stop, beside_stopped_tcp, "processes are Linux's")
{
    beside_over("tcp");
}

TEST_LINUX(rpc_stop, beside_stopped_ofi, "processes are Linux's")
{
    beside_over("ofi");
}
