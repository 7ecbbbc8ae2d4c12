/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * rpc: one call after another (us; a ping without a body, and a round trip with 64 bytes each way), many at a time (calls/s), and bulk that the server pulls or pushes (MB/s), between two threads
 * on CPUs of their own. Held against the bare socket in the same wait mode; bulk against the bare socket, or copies of memory.
 */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/plat_linux.h"
#include "proto/proto_svc.h"
#include "rpc/rpc.h"

enum { RANK = 3, BULK_BYTES = 1 << 20, CALLERS_NR = 16, PAIRS_NR = 5 };

struct world {
    struct plat *plat;
    struct xstream *sxs, *cxs;
    struct rpc_ctx *sctx, *cctx;
    char uri[NET_URI_MAX];
    char *server_buf, *client_buf;
    struct rpc_bulk *bulk;
    uint64_t pings_nr, callers_nr, bulks_nr;
    pid_t neighbour; /* another client, in its own process; 0: none */
    int neighbour_uri_fd, neighbour_said_fd;
    double beside_stopped; /* rate beside the neighbour, stopped amid a transfer, over the rate alone */
    double ping_us, roundtrip_us, pings_rate, pull_rate, push_rate;
};

static void
must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- server --------------------------------------------------------------------------------------------------------- */

static int
ping_handler(struct rpc_req *req, void *rep)
{
    (void)req;
    (void)rep;
    return 0;
}

/* The attributes come back. */
static int
echo_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_attr_req *body = req->body;
    struct proto_attr_rep *rep = rep_arg;

    rep->attrs = body->attrs;
    return 0;
}

static int
pull_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_apply_req *body = req->body;
    struct world *w = req->handler_arg;

    (void)rep;
    return rpc_bulk_pull(req, &body->bulk, 0, w->server_buf, BULK_BYTES);
}

static int
push_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_fetch_req *body = req->body;
    struct world *w = req->handler_arg;

    (void)rep;
    return rpc_bulk_push(req, &body->bulk, 0, w->server_buf, BULK_BYTES);
}

static const struct rpc_handler handlers[] = {
    {PROTO_PING, ULT_SERVICE, ping_handler},
    {PROTO_POOL_ATTR_GET, ULT_SERVICE, echo_handler},
    {PROTO_OBJ_APPLY, ULT_IO, pull_handler},
    {PROTO_OBJ_FETCH, ULT_IO, push_handler},
};

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct world *w = arg;

    (void)ep;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", w->uri);
    ret_addr->incarnation = 100;
    return 0;
}

static void
server_main(void *arg)
{
    struct world *w = arg;
    struct rpc_ctx_opts opts = {.xs = w->sxs,
        .listen_uri = w->uri,
        .rank = RANK,
        .incarnation = 100,
        .client = {{1}},
        .handlers = handlers,
        .handler_nr = sizeof(handlers) / sizeof(handlers[0]),
        .handler_arg = w,
        .resolve = resolve,
        .arg = w};

    must(rpc_ctx_create(&opts, &w->sctx) == 0);
    snprintf(w->uri, sizeof(w->uri), "%s", rpc_ctx_uri(w->sctx));
}

static void
server_end(void *arg)
{
    struct world *w = arg;

    rpc_ctx_destroy(w->sctx);
}

/* ---- client --------------------------------------------------------------------------------------------------------- */

static struct rpc_call_opts
call_opts(struct world *w)
{
    return (struct rpc_call_opts){.deadline_ns = plat_mono_ns(w->plat) + UINT64_C(30000000000)};
}

static void
ping(struct world *w)
{
    struct rpc_call_opts opts = call_opts(w);
    struct proto_empty empty = {0};

    must(rpc_call(w->cctx, (struct rpc_ep){RANK, 0}, PROTO_PING, &empty, NULL, &opts, NULL) == 0);
}

static void
pings_main(void *arg)
{
    struct world *w = arg;

    for (uint64_t i = 0; i < w->pings_nr; i++) {
        ping(w);
    }
}

static void
roundtrips(struct world *w)
{
    char bytes[64] = {0};
    struct proto_attr attr = {.value = {bytes, sizeof(bytes)}};
    struct proto_attr_req req = {.attrs = {1, &attr}};
    struct proto_attr_rep rep;
    struct arena arena;
    uint64_t start_ns;

    arena_init(&arena, 4096, 65536);
    start_ns = bench_now_ns();
    for (uint64_t i = 0; i < w->pings_nr; i++) {
        struct rpc_call_opts opts = call_opts(w);

        opts.arena = &arena;
        must(rpc_call(w->cctx, (struct rpc_ep){RANK, 0}, PROTO_POOL_ATTR_GET, &req, &rep, &opts,
                 NULL) == 0 &&
            rep.attrs.nr == 1);
        arena_reset(&arena);
    }
    w->roundtrip_us = (double)(bench_now_ns() - start_ns) / 1e3 / (double)w->pings_nr;
    arena_fini(&arena);
}

static void
pings_at_a_time(struct world *w)
{
    struct ult *ults[CALLERS_NR];
    uint64_t start_ns = bench_now_ns();

    for (int i = 0; i < CALLERS_NR; i++) {
        must(ult_create(w->cxs, ULT_IO, pings_main, w, &ults[i]) == 0);
    }
    for (int i = 0; i < CALLERS_NR; i++) {
        ult_join(ults[i]);
    }
    w->pings_rate = bench_rate(CALLERS_NR * w->pings_nr, start_ns);
}

static double
bulk_rate(struct world *w, uint16_t opcode)
{
    struct proto_obj_apply_req apply = {.data_len = BULK_BYTES};
    struct proto_obj_fetch_req fetch = {.epoch = UINT64_MAX};
    uint64_t start_ns = bench_now_ns();

    rpc_bulk_desc(w->bulk, &apply.bulk);
    fetch.bulk = apply.bulk;
    for (uint64_t i = 0; i < w->bulks_nr; i++) {
        struct rpc_call_opts opts = call_opts(w);
        const void *req = opcode == PROTO_OBJ_APPLY ? (const void *)&apply : &fetch;

        must(rpc_call(w->cctx, (struct rpc_ep){RANK, 0}, opcode, req, NULL, &opts, NULL) == 0);
    }
    return bench_rate(w->bulks_nr * BULK_BYTES, start_ns) / 1e6;
}

static void neighbour_stop(struct world *w);

/* A pair: the rate alone, then beside the neighbour. */
static void
beside_stopped(struct world *w)
{
    double alone;

    w->pings_nr /= CALLERS_NR;
    pings_at_a_time(w); /* warm */
    pings_at_a_time(w);
    alone = w->pings_rate;
    neighbour_stop(w);
    pings_at_a_time(w);
    w->beside_stopped = w->pings_rate / alone;
}

static void
client_main(void *arg)
{
    struct world *w = arg;
    struct rpc_ctx_opts opts = {.xs = w->cxs,
        .rank = RPC_RANK_NONE,
        .incarnation = 4242,
        .client = {{9}},
        .resolve = resolve,
        .arg = w};
    struct iov iov = {w->client_buf, BULK_BYTES};
    struct sgl sgl = {.iovs = &iov, .iov_nr = 1};
    uint64_t start_ns;

    must(rpc_ctx_create(&opts, &w->cctx) == 0);
    ping(w); /* connects */
    if (w->neighbour != 0) {
        beside_stopped(w);
        rpc_ctx_destroy(w->cctx);
        return;
    }
    start_ns = bench_now_ns();
    pings_main(w);
    w->ping_us = (double)(bench_now_ns() - start_ns) / 1e3 / (double)w->pings_nr;
    roundtrips(w);
    pings_at_a_time(w);
    must(rpc_bulk_create(w->cctx, &sgl, RPC_BULK_READ | RPC_BULK_WRITE, &w->bulk) == 0);
    w->pull_rate = bulk_rate(w, PROTO_OBJ_APPLY);
    w->push_rate = bulk_rate(w, PROTO_OBJ_FETCH);
    rpc_bulk_free(w->bulk);
    rpc_ctx_destroy(w->cctx);
}

/* ---- a neighbour that is stopped ------------------------------------------------------------------------------------ */

static void
neighbour_main(void *arg)
{
    struct world *w = arg;
    struct rpc_ctx_opts opts = {.xs = w->cxs,
        .rank = RPC_RANK_NONE,
        .incarnation = 777,
        .client = {{7}},
        .resolve = resolve,
        .arg = w};
    struct iov iov = {w->client_buf, BULK_BYTES};
    struct sgl sgl = {.iovs = &iov, .iov_nr = 1};

    must(rpc_ctx_create(&opts, &w->cctx) == 0);
    must(rpc_bulk_create(w->cctx, &sgl, RPC_BULK_READ | RPC_BULK_WRITE, &w->bulk) == 0);
    w->bulks_nr = 1;
    for (;;) {
        bulk_rate(w, PROTO_OBJ_APPLY);
        bulk_rate(w, PROTO_OBJ_FETCH);
        must(write(w->neighbour_said_fd, "x", 1) == 1);
    }
}

/* While this process has one thread. */
static void
neighbour_fork(struct world *w)
{
    int uri[2], said[2];

    must(pipe(uri) == 0 && pipe(said) == 0);
    w->neighbour = fork();
    must(w->neighbour >= 0);
    w->neighbour_uri_fd = uri[w->neighbour != 0];
    w->neighbour_said_fd = said[w->neighbour == 0];
    close(uri[w->neighbour == 0]);
    close(said[w->neighbour != 0]);
    if (w->neighbour != 0)
        return;
    if (read(w->neighbour_uri_fd, w->uri, sizeof(w->uri)) != (ssize_t)sizeof(w->uri))
        _exit(0);
    w->client_buf = calloc(1, BULK_BYTES);
    must(w->client_buf != NULL && plat_linux_create(&w->plat) == 0);
    must(xstream_create(
             w->plat, &(struct xstream_opts){.name = "other", .cpu = UINT32_MAX}, &w->cxs) == 0);
    must(xstream_start(w->cxs) == 0);
    must(xstream_call(w->cxs, ULT_SERVICE, neighbour_main, w) == 0);
    _exit(0);
}

static void
neighbour_stop(struct world *w)
{
    char c;

    must(write(w->neighbour_uri_fd, w->uri, sizeof(w->uri)) == (ssize_t)sizeof(w->uri));
    for (int i = 0; i < 10; i++) {
        must(read(w->neighbour_said_fd, &c, 1) == 1);
    }
    must(kill(w->neighbour, SIGSTOP) == 0);
    must(waitpid(w->neighbour, NULL, WUNTRACED) == w->neighbour);
}

static void
neighbour_end(struct world *w)
{
    must(kill(w->neighbour, SIGKILL) == 0);
    must(waitpid(w->neighbour, NULL, 0) == w->neighbour);
    close(w->neighbour_uri_fd);
    close(w->neighbour_said_fd);
}

/* ---- runs ----------------------------------------------------------------------------------------------------------- */

static void
world_run(struct world *w, const char *uri)
{
    struct xstream_opts sopts = {.name = "server", .cpu = 1}, copts = {.name = "client", .cpu = 0};

    w->pings_nr = bench_times(20000); /* at least CALLERS_NR */
    w->bulks_nr = bench_times(500);
    must(plat_linux_create(&w->plat) == 0);
    if (w->plat->ops->cpu_nr(w->plat) < 2) {
        sopts.cpu = UINT32_MAX;
        copts.cpu = UINT32_MAX;
    }
    snprintf(w->uri, sizeof(w->uri), "%s", uri);
    w->server_buf = calloc(1, BULK_BYTES);
    w->client_buf = calloc(1, BULK_BYTES);
    must(w->server_buf != NULL && w->client_buf != NULL);
    must(xstream_create(w->plat, &sopts, &w->sxs) == 0);
    must(xstream_create(w->plat, &copts, &w->cxs) == 0);
    must(xstream_start(w->sxs) == 0);
    must(xstream_start(w->cxs) == 0);
    must(xstream_call(w->sxs, ULT_SERVICE, server_main, w) == 0);
    must(xstream_call(w->cxs, ULT_SERVICE, client_main, w) == 0);
    must(xstream_call(w->sxs, ULT_SERVICE, server_end, w) == 0);
    xstream_stop(w->cxs);
    xstream_stop(w->sxs);
    xstream_abandon(w->cxs);
    xstream_abandon(w->sxs);
    xstream_destroy(w->cxs);
    xstream_destroy(w->sxs);
    free(w->server_buf);
    free(w->client_buf);
    plat_linux_destroy(w->plat);
}

static void
put(const char *name, const char *unit, double value, const char *against)
{
    bench_put(&(struct bench_figure){.name = name, .unit = unit, .value = value, .against = against});
}

/* The path of a socket is short: `ret_dir` for it. */
static void
unix_uri(char ret_dir[64], char ret_uri[NET_URI_MAX])
{
    const char *top = getenv("TMPDIR");

    snprintf(ret_dir, 64, "%s/rpc_XXXXXX", top != NULL && strlen(top) < 40 ? top : "/var/tmp");
    must(mkdtemp(ret_dir) != NULL);
    snprintf(ret_uri, NET_URI_MAX, "unix://%s/s", ret_dir);
}

static void
unix_gone(const char *dir)
{
    char path[NET_URI_MAX];

    snprintf(path, sizeof(path), "%s/s", dir);
    unlink(path);
    rmdir(dir);
}

BENCH(rpc_inproc)
{
    struct world w = {.neighbour = 0};

    world_run(&w, "inproc://bench_rpc");
    put("rpc.ping_inproc.0B", "us", w.ping_us, "ult.call.1");
    put("rpc.roundtrip_inproc.64B", "us", w.roundtrip_us, "ult.call.1");
    put("rpc.pings_inproc.16", "calls/s", w.pings_rate, NULL);
    put("rpc.pull_inproc.1MiB", "MB/s", w.pull_rate, "raw.memcpy.1MiB");
    put("rpc.push_inproc.1MiB", "MB/s", w.push_rate, "raw.memcpy.1MiB");
}

BENCH(rpc_unix)
{
    struct world w = {.neighbour = 0};
    char dir[64], uri[NET_URI_MAX];

    unix_uri(dir, uri);
    world_run(&w, uri);
    unix_gone(dir);
    put("rpc.ping_unix.0B", "us", w.ping_us, "raw.unix_pingpong.64B");
    put("rpc.roundtrip_unix.64B", "us", w.roundtrip_us, "raw.unix_pingpong.64B");
    put("rpc.pings_unix.16", "calls/s", w.pings_rate, NULL);
    put("rpc.pull_unix.1MiB", "MB/s", w.pull_rate, "raw.unix_pull.1MiB");
    put("rpc.push_unix.1MiB", "MB/s", w.push_rate, "raw.unix_pull.1MiB");
}

BENCH(rpc_tcp)
{
    struct world w = {.neighbour = 0};

    world_run(&w, "tcp://127.0.0.1:0");
    put("rpc.ping_tcp.0B", "us", w.ping_us, "raw.tcp_pingpong.64B");
    put("rpc.roundtrip_tcp.64B", "us", w.roundtrip_us, "raw.tcp_pingpong.64B");
    put("rpc.pings_tcp.16", "calls/s", w.pings_rate, NULL);
    put("rpc.pull_tcp.1MiB", "MB/s", w.pull_rate, "raw.tcp_pull.1MiB");
    put("rpc.push_tcp.1MiB", "MB/s", w.push_rate, "raw.tcp_pull.1MiB");
}

BENCH(rpc_ofi)
{
    struct world w = {.neighbour = 0};

    world_run(&w, "ofi+tcp;ofi_rxm://127.0.0.1:0");
    put("rpc.ping_ofi.0B", "us", w.ping_us, "raw.ofi_pingpong.64B");
    put("rpc.roundtrip_ofi.64B", "us", w.roundtrip_us, "raw.ofi_pingpong.64B");
    put("rpc.pings_ofi.16", "calls/s", w.pings_rate, NULL);
    put("rpc.pull_ofi.1MiB", "MB/s", w.pull_rate, "raw.ofi_pull.1MiB");
    put("rpc.push_ofi.1MiB", "MB/s", w.push_rate, "raw.ofi_push.1MiB");
}

static int
double_cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/*
 * MS-6: what a client keeps of its rate while another is stopped: alone, beside, alone, beside ...; the median of the pairs. Rates follow
 * the machine's mood; rpc_stop_test asserts the same in the server's turns and system calls.
 */
static void
beside(const char *name, const char *uri)
{
    double ratios[PAIRS_NR];

    for (int i = 0; i < PAIRS_NR; i++) {
        struct world w = {.neighbour = 0};

        neighbour_fork(&w);
        world_run(&w, uri);
        neighbour_end(&w);
        ratios[i] = w.beside_stopped;
    }
    qsort(ratios, PAIRS_NR, sizeof(ratios[0]), double_cmp);
    bench_put(&(struct bench_figure){.name = name,
        .unit = "rate/s" /* of the rate alone; more is better */,
        .value = ratios[PAIRS_NR / 2],
        .target = 0.9});
}

BENCH(rpc_beside_stopped)
{
    char dir[64], uri[NET_URI_MAX];

    unix_uri(dir, uri);
    beside("rpc.beside_stopped_unix", uri);
    unix_gone(dir);
    beside("rpc.beside_stopped_tcp", "tcp://127.0.0.1:0");
    beside("rpc.beside_stopped_ofi", "ofi+tcp;ofi_rxm://127.0.0.1:0");
}
