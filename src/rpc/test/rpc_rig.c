/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "rpc/test/rpc_rig.h"

#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crc.h"

static const struct uuid rig_system = {{1, 2, 3, 4}};
static const struct uuid rig_client = {{9, 9, 9, 9}};

/* ---- the server's handlers ------------------------------------------------------------------------------------------ */

static void
gate_pass(struct rig_server *server)
{
    server->running_nr++;
    server->running_nr_max = MAX(server->running_nr_max, server->running_nr);
    while (!server->is_gate_open) {
        ult_cond_wait(&server->gate, NULL);
    }
    server->running_nr--;
}

static int
handle_common(struct rpc_req *req)
{
    struct rig_server *server = ((struct rig *)req->handler_arg)->server.ctx == req->ctx
        ? &((struct rig *)req->handler_arg)->server
        : NULL;

    if (server == NULL)
        return 0; /* the client's context serves, too */
    if (server->ran_nr < RIG_RAN_NR_MAX) {
        server->ran[server->ran_nr].incarnation = req->hdr->src_incarnation;
        server->ran[server->ran_nr].call = CAIRN_CONTAINER_OF(req, struct rpc_run, pub)->call;
    }
    server->ran_nr++;
    if (server->mode == RIG_MODE_GATE || server->mode == RIG_MODE_WHOLE_GATE) {
        gate_pass(server);
    }
    if (server->mode == RIG_MODE_NOTLEADER) {
        req->hint_rank = 7;
        return -DER_NOTLEADER;
    }
    return 0;
}

static int
ping_handler(struct rpc_req *req, void *rep)
{
    struct rig *rig = req->handler_arg;

    (void)rep;
    if (rig->server.mode == RIG_MODE_CALL_BACK && req->ctx == rig->server.ctx) {
        struct rpc_call_opts opts = {.deadline_ns = req->deadline_ns};

        return rpc_call(req->ctx, (struct rpc_ep){RIG_CLIENT_RANK, 0}, PROTO_PING,
            &(struct proto_empty){0}, NULL, &opts, NULL);
    }
    return handle_common(req);
}

/* Attributes come back as they are. */
static int
echo_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_attr_req *body = req->body;
    struct proto_attr_rep *rep = rep_arg;
    struct rig *rig = req->handler_arg;
    struct proto_attr *attr;

    req->rep_map_ver = req->hdr->map_ver + 1;
    rep->attrs = body->attrs;
    if (rig->server.mode == RIG_MODE_TOO_LARGE) {
        rep->attrs.nr = 100;
        rep->attrs.items = attr = arena_calloc(req->arena, 100, sizeof(*attr));
        for (int i = 0; i < 100; i++) {
            attr[i].value = (struct iov){arena_calloc(req->arena, 1, 16384), 16384};
        }
    } else if (rig->server.mode == RIG_MODE_BAD_STRING) {
        rep->attrs.nr = 1;
        rep->attrs.items = attr = arena_calloc(req->arena, 1, sizeof(*attr));
        attr->name = (struct iov){(void *)(uintptr_t) "a\0b", 3};
    }
    return handle_common(req);
}

static void
desc_tamper(uint32_t mode, struct proto_bulk *desc, size_t *len)
{
    switch (mode) {
    case RIG_MODE_KEY:
        desc->key ^= 1;
        break;
    case RIG_MODE_ID:
        desc->id += 1000;
        break;
    case RIG_MODE_ID_NONE:
        desc->id = 0;
        break;
    case RIG_MODE_LEN:
        desc->len++;
        (*len)++;
        break;
    default:
        break;
    }
}

/* What has landed is there to stay: its checksum is that of the end. */
struct rig_landing {
    const uint8_t *buf;
    struct {
        size_t off, len;
        uint32_t crc;
    } parts[RIG_PARTS_NR];
    uint32_t nr;
};

static void
landed(void *arg, size_t off, size_t len)
{
    struct rig_landing *l = arg;

    EXPECT_EQ(off % RPC_BULK_PART_BYTES, 0u);
    if (EXPECT(l->nr < RIG_PARTS_NR)) {
        l->parts[l->nr].off = off;
        l->parts[l->nr].len = len;
        l->parts[l->nr++].crc = crc32c(0, l->buf + off, len);
    }
}

static int
whole_pull(struct rpc_req *req, const struct proto_bulk *desc, uint8_t *buf, uint32_t want)
{
    struct rig *rig = req->handler_arg;
    struct rig_landing *l = calloc(1, sizeof(*l));
    int rc;

    l->buf = buf;
    rc = rpc_bulk_pull_whole(req, desc, 0, buf, desc->len, landed, l);
    rig->server.landed_bytes = 0;
    for (uint32_t i = 0; rc == 0 && i < l->nr; i++) {
        EXPECT_EQ(crc32c(0, buf + l->parts[i].off, l->parts[i].len), l->parts[i].crc);
        for (uint32_t k = 0; k < i; k++) {
            EXPECT(l->parts[k].off != l->parts[i].off);
        }
        rig->server.landed_bytes += l->parts[i].len;
    }
    free(l);
    return rc == 0 && crc32c(0, buf, desc->len) != want ? -DER_CSUM : rc;
}

static int
apply_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_obj_apply_req *body = req->body;
    struct proto_obj_apply_rep *rep = rep_arg;
    struct rig *rig = req->handler_arg;
    struct proto_bulk desc = body->bulk;
    size_t len = body->bulk.len;
    uint8_t *buf = arena_alloc(req->arena, len + 1);
    uint32_t mode = rig->server.mode; /* the gate changes it */
    int rc = handle_common(req);

    desc_tamper(rig->server.mode, &desc, &len);
    if (rc == 0 && rig->server.mode == RIG_MODE_OTHER_WAY) {
        rc = rpc_bulk_push(req, &desc, 0, buf, len);
    } else if (rc == 0 && (mode == RIG_MODE_WHOLE || mode == RIG_MODE_WHOLE_GATE)) {
        rc = whole_pull(req, &desc, buf, body->data_crc);
    } else if (rc == 0) {
        rc = rpc_bulk_pull(req, &desc, 0, buf, len);
    }
    rig->server.bulk_rc = rc;
    rep->epoch = rc == 0 ? crc32c(0, buf, len) : 0;
    return rc;
}

/* 300 kB: in order; backwards; and, when asked for, a piece in the middle once more, which is other bytes. */
static int
parts_push(struct rpc_req *req, const struct proto_bulk *desc, uint8_t *buf, bool is_again)
{
    enum { EACH = 50000 };
    static const uint32_t order[] = {0, 1, 2, 5, 4, 3};
    struct rpc_push *push = NULL;
    int rc = rpc_push_begin(req, desc, &push);

    for (uint32_t i = 0; rc == 0 && i < ARRAY_SIZE(order); i++) {
        uint8_t *part = buf + (size_t)order[i] * EACH;

        rc = rpc_push_part(push, (uint64_t)order[i] * EACH, part, EACH, crc32c(0, part, EACH));
    }
    if (rc == 0)
        rc = rpc_push_flush(push);
    if (is_again)
        memset(buf + EACH + 100, 0x5a, 50);
    if (rc == 0 && is_again)
        rc = rpc_push_part(push, EACH + 100, buf + EACH + 100, 50, crc32c(0, buf + EACH + 100, 50));
    CAIRN_IGNORE(rpc_push_end(push));
    return rc;
}

static int
early_push(
    struct rpc_req *req, const struct proto_bulk *desc, uint8_t *buf, size_t len, const void *rep)
{
    struct rpc_push *push = NULL;
    int rc = rpc_push_begin(req, desc, &push);
    int end_rc;

    for (size_t off = 0; rc == 0 && off < len;) {
        size_t n = MIN(len - off, rpc_push_part_best(push));

        rc = rpc_push_part(push, off, buf + off, n, crc32c(0, buf + off, n));
        off += n;
    }
    if (rc == 0)
        rpc_push_reply(push, rep);
    end_rc = rpc_push_end(push);
    return rc != 0 ? rc : end_rc;
}

static int
fetch_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_fetch_req *body = req->body;
    struct rig *rig = req->handler_arg;
    struct proto_bulk desc = body->bulk;
    size_t len = body->bulk.len;
    uint8_t *buf = arena_alloc(req->arena, len + 1);
    int rc = handle_common(req);

    rig_pattern(buf, len, 77);
    desc_tamper(rig->server.mode, &desc, &len);
    if (rc == 0 && rig->server.mode == RIG_MODE_OTHER_WAY) {
        rc = rpc_bulk_pull(req, &desc, 0, buf, len);
    } else if (rc == 0 &&
        (rig->server.mode == RIG_MODE_PARTS || rig->server.mode == RIG_MODE_PARTS_AGAIN)) {
        rc = parts_push(req, &desc, buf, rig->server.mode == RIG_MODE_PARTS_AGAIN);
    } else if (rc == 0 && rig->server.mode == RIG_MODE_EARLY) {
        rc = early_push(req, &desc, buf, len, rep);
    } else if (rc == 0) {
        rc = rpc_bulk_push(req, &desc, 0, buf, len);
    }
    rig->server.bulk_rc = rc;
    return rc;
}

static const struct rpc_handler rig_handlers[] = {
    {PROTO_PING, ULT_SERVICE, ping_handler},
    {PROTO_POOL_ATTR_GET, ULT_SERVICE, echo_handler},
    {PROTO_OBJ_APPLY, ULT_IO, apply_handler},
    {PROTO_OBJ_FETCH, ULT_IO, fetch_handler},
};

/* ---- contexts ------------------------------------------------------------------------------------------------------- */

static int
client_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct rig *rig = arg;

    (void)ep;
    rig->resolved_nr++;
    ult_yield(); /* it may */
    if (rig->resolve_rc != 0)
        return rig->resolve_rc;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s",
        rig->resolve_uri != NULL ? rig->resolve_uri : rig->suri);
    ret_addr->incarnation = rig->resolve_inc;
    return 0;
}

/* The server asks for the client. */
static int
server_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct rig *rig = arg;

    if (ep.rank != RIG_CLIENT_RANK)
        return -DER_OOG;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", rig->curi);
    return 0;
}

static uint64_t
server_hlc_get(void *arg)
{
    (void)arg;
    ult_yield(); /* it may */
    return 5000;
}

static int
server_hlc_recv(void *arg, uint64_t hlc)
{
    struct rig *rig = arg;

    rig->server.hlc_last = hlc;
    ult_yield();
    return rig->server.hlc_rc;
}

static uint64_t
client_hlc_get(void *arg)
{
    (void)arg;
    return 4000;
}

static void
server_start(void *arg)
{
    struct rig *rig = arg;
    struct rpc_ctx_opts opts = {.xs = rig->sxs,
        .listen_uri = rig->suri,
        .system = rig_system,
        .rank = RIG_RANK,
        .incarnation = rig->sinc,
        .client = {{8}},
        .handlers = rig_handlers,
        .handler_nr = ARRAY_SIZE(rig_handlers),
        .handler_arg = rig,
        .resolve = server_resolve,
        .hlc_get = server_hlc_get,
        .hlc_recv = server_hlc_recv,
        .arg = rig};

    if (EXPECT_OK(rpc_ctx_create(&opts, &rig->server.ctx))) {
        snprintf(rig->suri, sizeof(rig->suri), "%s", rpc_ctx_uri(rig->server.ctx));
    }
}

static void
server_stop(void *arg)
{
    struct rig *rig = arg;

    rig->server.is_gate_open = true;
    ult_cond_broadcast(&rig->server.gate);
    rpc_ctx_destroy(rig->server.ctx);
    rig->server.ctx = NULL;
}

static void
client_start(struct rig *rig)
{
    struct rpc_ctx_opts opts = {.xs = rig->cxs,
        .listen_uri = rig->curi,
        .system = rig_system,
        .rank = RIG_CLIENT_RANK,
        .incarnation = 4242,
        .client = rig_client,
        .handlers = rig_handlers,
        .handler_nr = ARRAY_SIZE(rig_handlers),
        .handler_arg = rig,
        .resolve = client_resolve,
        .hlc_get = client_hlc_get,
        .arg = rig};

    if (EXPECT_OK(rpc_ctx_create(&opts, &rig->ctx))) {
        snprintf(rig->curi, sizeof(rig->curi), "%s", rpc_ctx_uri(rig->ctx));
    }
}

/* ---- the rig -------------------------------------------------------------------------------------------------------- */

const char *const *
rig_transports(void)
{
    static const char *const on_linux[] = {"unix", "tcp", "inproc", "ofi", NULL};
    static const char *const on_sim[] = {"sim", NULL};

    return test_backend() == BACKEND_SIM ? on_sim : on_linux;
}

static void
uri_make(struct rig *rig, const char *who, char *ret_uri)
{
    if (strcmp(rig->transport, "unix") == 0) {
        snprintf(ret_uri, NET_URI_MAX, "unix://%s/%s", test_tmpdir(), who);
    } else if (strcmp(rig->transport, "tcp") == 0) {
        snprintf(ret_uri, NET_URI_MAX, "tcp://127.0.0.1:0");
    } else if (strcmp(rig->transport, "ofi") == 0) {
        snprintf(ret_uri, NET_URI_MAX, "ofi+tcp;ofi_rxm://127.0.0.1:0");
    } else if (strcmp(rig->transport, "inproc") == 0) {
        snprintf(ret_uri, NET_URI_MAX, "inproc://%s", who);
    } else {
        snprintf(ret_uri, NET_URI_MAX, "sim://%s/0", who);
    }
}

bool
rig_make(struct rig *rig, const char *transport, const struct sim_opts *sim_opts)
{
    struct sim_opts defaults = {.seed = test_seed(), .net_lat_lo_ns = 5000, .net_lat_hi_ns = 60000};

    memset(rig, 0, sizeof(*rig));
    rig->transport = transport;
    rig->sinc = 100;
    ult_cond_init(&rig->server.gate);
    if (test_backend() == BACKEND_SIM) {
        if (!EXPECT_OK(sim_create(sim_opts != NULL ? sim_opts : &defaults, &rig->sim)))
            return false;
        if (!EXPECT_OK(sim_node_start(rig->sim, "h1", "server", &rig->splat)) ||
            !EXPECT_OK(sim_node_start(rig->sim, "h2", "client", &rig->cplat)))
            return false;
    } else {
        if (!EXPECT_OK(plat_linux_create(&rig->splat)))
            return false;
        rig->cplat = rig->splat;
    }
    if (!EXPECT_OK(xstream_create(
            rig->splat, &(struct xstream_opts){.name = "server", .cpu = UINT32_MAX}, &rig->sxs)) ||
        !EXPECT_OK(xstream_create(
            rig->cplat, &(struct xstream_opts){.name = "client", .cpu = UINT32_MAX}, &rig->cxs)))
        return false;
    uri_make(rig, "server", rig->suri);
    uri_make(rig, "client", rig->curi);
    server_start(rig);
    client_start(rig);
    return rig->server.ctx != NULL && rig->ctx != NULL;
}

bool
rig_init(struct rig *rig, const char *transport, const struct sim_opts *sim_opts)
{
    return rig_make(rig, transport, sim_opts) && EXPECT_OK(xstream_start(rig->sxs)) &&
        EXPECT_OK(xstream_start(rig->cxs));
}

struct rig_job {
    struct rig *rig;
    void (*fn)(struct rig *rig);
    bool is_done;
};

static void
job_main(void *arg)
{
    struct rig_job *job = arg;

    job->fn(job->rig);
    job->is_done = true;
}

static bool
job_is_done(void *arg)
{
    return ((struct rig_job *)arg)->is_done;
}

static void
job_run(struct rig *rig, struct xstream *xs, void (*fn)(struct rig *rig))
{
    struct rig_job job = {.rig = rig, .fn = fn};

    if (rig->sim == NULL) {
        EXPECT_OK(xstream_call(xs, ULT_SERVICE, job_main, &job));
        return;
    }
    EXPECT_OK(xstream_post(xs, ULT_SERVICE, job_main, &job));
    EXPECT_OK(sim_run_until(rig->sim, job_is_done, &job, sim_now_ns(rig->sim) + 600 * RIG_LONG_NS));
}

void
rig_run(struct rig *rig, void (*fn)(struct rig *rig))
{
    job_run(rig, rig->cxs, fn);
}

static void
client_stop(struct rig *rig)
{
    rpc_ctx_destroy(rig->ctx);
    rig->ctx = NULL;
}

static void
server_stop_rig(struct rig *rig)
{
    server_stop(rig);
}

/* A ULT may still be on its way out. */
static void
settle(struct rig *rig)
{
    (void)rig;
    ult_yield();
}

void
rig_fini(struct rig *rig)
{
    job_run(rig, rig->cxs, client_stop);
    job_run(rig, rig->sxs, server_stop_rig);
    job_run(rig, rig->cxs, settle);
    job_run(rig, rig->sxs, settle);
    if (rig->sim != NULL) {
        sim_run_for(rig->sim, RIG_MS);
    }
    xstream_stop(rig->cxs);
    xstream_stop(rig->sxs);
    xstream_destroy(rig->cxs);
    xstream_destroy(rig->sxs);
    if (rig->sim != NULL) {
        sim_destroy(rig->sim);
    } else {
        plat_linux_destroy(rig->splat);
    }
}

/* ---- acts of the test ----------------------------------------------------------------------------------------------- */

void
rig_on_server(struct rig *rig, void (*fn)(void *arg), void *arg)
{
    EXPECT_OK(xstream_call(rig->sxs, ULT_SERVICE, fn, arg));
}

static void
gate_open(void *arg)
{
    struct rig *rig = arg;

    rig->server.mode = RIG_MODE_PLAIN;
    rig->server.is_gate_open = true;
    ult_cond_broadcast(&rig->server.gate);
}

void
rig_gate_open(struct rig *rig)
{
    rig_on_server(rig, gate_open, rig);
}

struct mode_set {
    struct rig *rig;
    enum rig_mode mode;
};

static void
mode_set(void *arg)
{
    struct mode_set *set = arg;

    set->rig->server.mode = set->mode;
    set->rig->server.is_gate_open = false;
}

void
rig_mode_set(struct rig *rig, enum rig_mode mode)
{
    struct mode_set set = {rig, mode};

    rig_on_server(rig, mode_set, &set);
}

struct nr_get {
    struct rig *rig;
    uint32_t nr;
};

static void
running_get(void *arg)
{
    struct nr_get *get = arg;

    get->nr = get->rig->server.running_nr;
}

uint32_t
rig_running_nr(struct rig *rig)
{
    struct nr_get get = {rig, 0};

    rig_on_server(rig, running_get, &get);
    return get.nr;
}

bool
rig_running_wait(struct rig *rig, uint32_t nr)
{
    uint64_t limit_ns = plat_mono_ns(rig->cplat) + RIG_LONG_NS;

    while (rig_running_nr(rig) != nr) {
        if (plat_mono_ns(rig->cplat) > limit_ns)
            return EXPECT_EQ(rig_running_nr(rig), nr);
        ult_sleep(RIG_MS);
    }
    return true;
}

struct stats_get {
    struct rig *rig;
    struct rpc_stats *stats;
};

static void
stats_get(void *arg)
{
    struct stats_get *get = arg;

    rpc_ctx_stats(get->rig->server.ctx, get->stats);
}

void
rig_stats(struct rig *rig, struct rpc_stats *ret_stats)
{
    struct stats_get get = {rig, ret_stats};

    rig_on_server(rig, stats_get, &get);
}

static void
server_cut(void *arg)
{
    struct rig *rig = arg;
    struct rpc_conn *conn, *tmp;

    LIST_FOREACH_SAFE(conn, tmp, &rig->server.ctx->conns, struct rpc_conn, link) {
        rpc_conn_close(conn);
    }
}

void
rig_server_cut(struct rig *rig)
{
    rig_on_server(rig, server_cut, rig);
}

void
rig_server_restart(struct rig *rig, uint64_t incarnation)
{
    rig_on_server(rig, server_stop, rig);
    rig->sinc = incarnation;
    rig->server.mode = RIG_MODE_PLAIN;
    rig_on_server(rig, server_start, rig);
}

struct rpc_call_opts
rig_opts(struct rig *rig, uint64_t timeout_ns, struct arena *arena)
{
    return (struct rpc_call_opts){
        .deadline_ns = plat_mono_ns(rig->cplat) + timeout_ns, .arena = arena};
}

struct rpc_ep
rig_ep(void)
{
    return (struct rpc_ep){RIG_RANK, 0};
}

int
rig_ping(struct rig *rig, uint64_t timeout_ns)
{
    struct rpc_call_opts opts = rig_opts(rig, timeout_ns, NULL);

    return rpc_call(rig->ctx, rig_ep(), PROTO_PING, &(struct proto_empty){0}, NULL, &opts, NULL);
}

void
rig_pattern(uint8_t *buf, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = test_rand(&seed);

        memcpy(buf + i, &v, MIN(len - i, sizeof(v)));
    }
}

uint32_t
rig_crc(const uint8_t *buf, size_t len)
{
    return crc32c(0, buf, len);
}

int
rig_pull(struct rig *rig, const struct rpc_bulk *bulk, uint64_t timeout_ns, uint32_t *ret_crc)
{
    struct arena arena;
    struct proto_obj_apply_req req = {.data_len = bulk->len};
    struct proto_obj_apply_rep rep;
    struct rpc_call_opts opts;
    int rc;

    arena_init(&arena, 256, 4096);
    opts = rig_opts(rig, timeout_ns, &arena);
    rpc_bulk_desc(bulk, &req.bulk);
    rc = rpc_call(rig->ctx, rig_ep(), PROTO_OBJ_APPLY, &req, &rep, &opts, NULL);
    if (rc == 0) {
        *ret_crc = (uint32_t)rep.epoch;
    }
    arena_fini(&arena);
    return rc;
}

int
rig_pull_whole(struct rig *rig, struct rpc_bulk *bulk, uint64_t timeout_ns, uint32_t crc)
{
    struct arena arena;
    struct proto_obj_apply_req req = {.data_len = bulk->len, .data_crc = crc};
    struct proto_obj_apply_rep rep;
    struct rpc_call_opts opts;
    int rc;

    arena_init(&arena, 256, 4096);
    opts = rig_opts(rig, timeout_ns, &arena);
    opts.bulk = bulk;
    rpc_bulk_desc(bulk, &req.bulk);
    rc = rpc_call(rig->ctx, rig_ep(), PROTO_OBJ_APPLY, &req, &rep, &opts, NULL);
    if (rc == 0) {
        EXPECT_EQ((uint32_t)rep.epoch, crc);
    }
    arena_fini(&arena);
    return rc;
}

int
rig_push(struct rig *rig, const struct rpc_bulk *bulk, uint64_t timeout_ns)
{
    struct proto_obj_fetch_req req = {.epoch = UINT64_MAX};
    struct rpc_call_opts opts = rig_opts(rig, timeout_ns, NULL);

    rpc_bulk_desc(bulk, &req.bulk);
    return rpc_call(rig->ctx, rig_ep(), PROTO_OBJ_FETCH, &req, NULL, &opts, NULL);
}
