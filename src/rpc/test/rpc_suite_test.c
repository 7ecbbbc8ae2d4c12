/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: RPC-1 to RPC-6, as callers and handlers see them, are the same over every transport.
 * Method: each test is a function on a ULT of the client; SUITE runs it over AF_UNIX, TCP, inproc and libfabric on plat/linux and over the simulated
 * network on plat/sim. Calls, handlers and regions; hostile peers are in rpc_hostile_test.c.
 */
#define RPC_SUITE rpc_suite
#include "rpc/test/rpc_suite.h"

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

static void
echo_once(struct rig *rig, uint32_t attrs_nr, size_t value_len)
{
    struct arena arena;
    struct proto_attr *attrs = calloc(attrs_nr, sizeof(*attrs));
    uint8_t *value = malloc(value_len);
    struct proto_attr_req req = {.attrs = {attrs_nr, attrs}};
    struct proto_attr_rep rep;
    struct rpc_call_info info;
    struct rpc_call_opts opts;

    arena_init(&arena, 4096, 64u << 20);
    opts = rig_opts(rig, RIG_LONG_NS, &arena);
    opts.map_ver = 40;
    rig_pattern(value, value_len, 5);
    for (uint32_t i = 0; i < attrs_nr; i++) {
        attrs[i].name = (struct iov){"name", 4};
        attrs[i].value = (struct iov){value, value_len};
    }
    EXPECT_OK(rpc_call(rig->ctx, rig_ep(), PROTO_POOL_ATTR_GET, &req, &rep, &opts, &info));
    EXPECT(info.is_replied);
    EXPECT_EQ(info.map_ver, 41u);
    EXPECT_EQ(info.hint_rank, RPC_RANK_NONE);
    if (EXPECT_EQ(rep.attrs.nr, attrs_nr)) {
        const struct proto_attr *got = rep.attrs.items;

        for (uint32_t i = 0; i < attrs_nr; i++) {
            EXPECT_EQ(got[i].value.len, value_len);
            EXPECT_MEM_EQ(got[i].value.buf, value, value_len);
        }
    }
    arena_fini(&arena);
    free(attrs);
    free(value);
}

SUITE(echo)
{
    struct rpc_stats stats;

    echo_once(rig, 0, 1);
    echo_once(rig, 1, 64);
    echo_once(rig, 1, 16384);
    echo_once(rig, 3, 16384); /* beyond NET_HDR_BYTES_MAX: the body travels as payload */
    echo_once(rig, 60, 16384); /* close to RPC_BODY_BYTES_MAX */
    EXPECT_EQ(rig->resolved_nr, 1u); /* one connection, kept */
    rpc_ctx_stats(rig->ctx, &stats);
    EXPECT_EQ(stats.calls_nr, 5u);
    EXPECT_EQ(stats.replies_nr, 5u);
    EXPECT_EQ(stats.inflight_nr, 0u);
    rig_stats(rig, &stats);
    EXPECT_EQ(stats.requests_nr, 5u);
    EXPECT_EQ(stats.running_nr, 0u);
    EXPECT_EQ(rig->server.hlc_last, 4000u);
}

SUITE(body_too_large)
{
    struct proto_attr attrs[100];
    struct proto_attr_req req = {.attrs = {100, attrs}};
    uint8_t *value = calloc(1, 16384);
    struct rpc_call_opts opts = rig_opts(rig, RIG_LONG_NS, NULL);
    struct rpc_call_info info;

    for (int i = 0; i < 100; i++) {
        attrs[i] = (struct proto_attr){{"n", 1}, {value, 16384}};
    }
    EXPECT_ERR(rpc_call(rig->ctx, rig_ep(), PROTO_POOL_ATTR_GET, &req, NULL, &opts, &info), OVERFLOW);
    EXPECT(!info.is_replied);
    req.attrs.nr = 1;
    attrs[0].name = (struct iov){(void *)(uintptr_t) "a\0b", 3};
    EXPECT_ERR(rpc_call(rig->ctx, rig_ep(), PROTO_POOL_ATTR_GET, &req, NULL, &opts, &info), INVAL);
    EXPECT(!info.is_replied);
    attrs[0].name.len = 1;
    rig_mode_set(rig, RIG_MODE_TOO_LARGE);
    EXPECT_ERR(rpc_call(rig->ctx, rig_ep(), PROTO_POOL_ATTR_GET, &req, NULL, &opts, &info), OVERFLOW);
    EXPECT(info.is_replied);
    rig_mode_set(rig, RIG_MODE_BAD_STRING);
    EXPECT_ERR(rpc_call(rig->ctx, rig_ep(), PROTO_POOL_ATTR_GET, &req, NULL, &opts, &info), INVAL);
    EXPECT(info.is_replied);
    free(value);
}

SUITE(handler_error)
{
    struct arena arena;
    struct proto_attr attr = {{"x", 1}, {NULL, 0}};
    struct proto_attr_req req = {.attrs = {1, &attr}};
    struct proto_attr_rep rep;
    struct rpc_call_info info;
    struct rpc_call_opts opts;

    arena_init(&arena, 4096, 1u << 20);
    opts = rig_opts(rig, RIG_LONG_NS, &arena);
    rig_mode_set(rig, RIG_MODE_NOTLEADER);
    EXPECT_ERR(
        rpc_call(rig->ctx, rig_ep(), PROTO_POOL_ATTR_GET, &req, &rep, &opts, &info), NOTLEADER);
    EXPECT(info.is_replied);
    EXPECT_EQ(info.hint_rank, 7u);
    EXPECT_EQ(rep.attrs.nr, 1u); /* the body of an error reply is sent, too */
    arena_fini(&arena);
}

SUITE(unknown_operation)
{
    struct rpc_call_opts opts = rig_opts(rig, RIG_LONG_NS, NULL);
    struct rpc_call_info info;
    struct proto_pool_map_req req = {.pool = {{0}}};

    EXPECT_ERR(rpc_call(rig->ctx, rig_ep(), PROTO_POOL_MAP, &req, NULL, &opts, &info), UNREG);
    EXPECT(!info.is_replied);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

struct callers {
    struct rig *rig;
    uint32_t ok_nr, failed_nr;
};

static void
ping_main(void *arg)
{
    struct callers *callers = arg;

    if (rig_ping(callers->rig, RIG_LONG_NS) == 0) {
        callers->ok_nr++;
    } else {
        callers->failed_nr++;
    }
}

/* RPC-5: a thousand callers, no more than RPC_INFLIGHT_NR_MAX of them at the server at a time. */
SUITE(concurrent_calls)
{
    struct callers callers = {rig, 0, 0};
    struct ult *ults[1000];
    struct rpc_stats stats;

    rig_mode_set(rig, RIG_MODE_GATE);
    for (int i = 0; i < 1000; i++) {
        EXPECT_OK(ult_create(rig->cxs, ULT_IO, ping_main, &callers, &ults[i]));
    }
    rig_running_wait(rig, RPC_INFLIGHT_NR_MAX);
    rpc_ctx_stats(rig->ctx, &stats);
    EXPECT_EQ(stats.inflight_nr, (uint32_t)RPC_INFLIGHT_NR_MAX);
    rig_gate_open(rig);
    for (int i = 0; i < 1000; i++) {
        ult_join(ults[i]);
    }
    EXPECT_EQ(callers.ok_nr, 1000u);
    EXPECT_EQ(callers.failed_nr, 0u);
    EXPECT_LE(rig->server.running_nr_max, (uint32_t)RPC_INFLIGHT_NR_MAX);
    rpc_ctx_stats(rig->ctx, &stats);
    EXPECT_EQ(stats.inflight_nr, 0u);
}

/* Callers that wait for a credit give up at their deadline, and leave the credits right. */
static void
ping_short_main(void *arg)
{
    struct callers *callers = arg;

    if (rig_ping(callers->rig, RIG_SHORT_NS) == -DER_TIMEDOUT) {
        callers->failed_nr++;
    }
}

SUITE(credit_deadline)
{
    struct callers callers = {rig, 0, 0};
    struct ult *ults[400];

    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    rig_mode_set(rig, RIG_MODE_GATE);
    for (int i = 0; i < 400; i++) {
        EXPECT_OK(ult_create(rig->cxs, ULT_IO, ping_short_main, &callers, &ults[i]));
    }
    for (int i = 0; i < 400; i++) {
        ult_join(ults[i]);
    }
    EXPECT_EQ(callers.failed_nr, 400u);
    rig_gate_open(rig);
    callers.failed_nr = 0;
    for (int i = 0; i < 400; i++) {
        EXPECT_OK(ult_create(rig->cxs, ULT_IO, ping_main, &callers, &ults[i]));
    }
    for (int i = 0; i < 400; i++) {
        ult_join(ults[i]);
    }
    EXPECT_EQ(callers.ok_nr, 400u);
}

SUITE(deadline)
{
    struct rpc_stats stats;
    struct rpc_call_info info;
    struct rpc_call_opts opts;
    uint64_t start_ns;

    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    rig_mode_set(rig, RIG_MODE_GATE);
    start_ns = plat_mono_ns(rig->cplat);
    opts = rig_opts(rig, RIG_SHORT_NS, NULL);
    EXPECT_ERR(rpc_call(rig->ctx, rig_ep(), PROTO_PING, &(struct proto_empty){0}, NULL, &opts, &info),
        TIMEDOUT);
    EXPECT(!info.is_replied);
    EXPECT_GE(plat_mono_ns(rig->cplat) - start_ns, RIG_SHORT_NS);
    EXPECT_ERR(rig_ping(rig, 0), TIMEDOUT); /* over before it began */
    rig_gate_open(rig); /* the late reply finds nobody */
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    rpc_ctx_stats(rig->ctx, &stats);
    EXPECT_EQ(stats.timeouts_nr, 2u);
    EXPECT_EQ(stats.replies_nr, 2u);
    EXPECT_EQ(stats.down_nr, 0u);
}

/* ---- who is there --------------------------------------------------------------------------------------------------- */

struct cutter {
    struct rig *rig;
    int rc;
    bool is_replied;
};

static void
cut_ping_main(void *arg)
{
    struct cutter *cutter = arg;
    struct rpc_call_opts opts = rig_opts(cutter->rig, RIG_LONG_NS, NULL);
    struct rpc_call_info info;

    cutter->rc = rpc_call(
        cutter->rig->ctx, rig_ep(), PROTO_PING, &(struct proto_empty){0}, NULL, &opts, &info);
    cutter->is_replied = info.is_replied;
}

SUITE(server_gone_in_the_middle)
{
    struct cutter cutter = {.rig = rig, .rc = 1};
    struct ult *ult;
    struct rpc_stats stats;

    rig_mode_set(rig, RIG_MODE_GATE);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, cut_ping_main, &cutter, &ult));
    rig_running_wait(rig, 1);
    rig_server_cut(rig);
    ult_join(ult);
    EXPECT_ERR(cutter.rc, UNREACH);
    EXPECT(!cutter.is_replied);
    rig_gate_open(rig);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS)); /* a new connection */
    EXPECT_EQ(rig->resolved_nr, 2u);
    rpc_ctx_stats(rig->ctx, &stats);
    EXPECT_EQ(stats.down_nr, 1u);
}

SUITE(restarted_server)
{
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS)); /* learns the incarnation */
    rig_server_restart(rig, 200);
    while (LIST_FIRST(&rig->ctx->conns, struct rpc_conn, link) != NULL) {
        ult_sleep(RIG_MS); /* until the loss is known; a call before that would say UNREACH */
    }
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), STALE);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    EXPECT_EQ(rig->server.ran_nr, 2u); /* the refused one never reached a handler */
    rig->resolve_inc = 200; /* known beforehand: no detour */
    rig_server_restart(rig, 300);
    while (LIST_FIRST(&rig->ctx->conns, struct rpc_conn, link) != NULL) {
        ult_sleep(RIG_MS);
    }
    rig->resolve_inc = 300;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

SUITE(wrong_incarnation_known)
{
    struct rpc_stats stats;

    rig->resolve_inc = 99;
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), STALE);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    rig_stats(rig, &stats);
    EXPECT_EQ(stats.refused_nr, 1u);
}

SUITE(other_system)
{
    rig->ctx->opts.system.b[0] ^= 1;
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), MISMATCH);
    EXPECT_EQ(rig->server.ran_nr, 0u);
    rig->ctx->opts.system.b[0] ^= 1;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

SUITE(clock_refuses)
{
    rig->server.hlc_rc = -DER_HLC_SYNC;
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), HLC_SYNC);
    EXPECT_EQ(rig->server.ran_nr, 0u);
    rig->server.hlc_rc = 0;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

SUITE(nobody_there)
{
    char uri[NET_URI_MAX];

    rig->resolve_rc = -DER_OOG;
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), OOG);
    rig->resolve_rc = 0;
    rig->resolve_uri = "carrier-pigeon://roof";
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), UNREACH);
    if (strcmp(rig->transport, "tcp") == 0) {
        snprintf(uri, sizeof(uri), "tcp://127.0.0.1:1");
    } else {
        snprintf(uri, sizeof(uri), "%.100s-x", rig->suri);
    }
    rig->resolve_uri = uri;
    EXPECT_ERR(rig_ping(rig, RIG_LONG_NS), UNREACH);
    rig->resolve_uri = NULL;
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

SUITE(address_in_use)
{
    struct rpc_ctx_opts opts = {.xs = rig->cxs, .rank = 1, .incarnation = 1};
    struct rpc_ctx *ctx = NULL;

    if (rig->sim != NULL) { /* there, an address belongs to its node */
        opts.listen_uri = rig->curi;
    } else {
        opts.listen_uri = rig->suri;
    }
    EXPECT_ERR(rpc_ctx_create(&opts, &ctx), BUSY);
    EXPECT(ctx == NULL);
    opts.listen_uri = "carrier-pigeon://roof";
    EXPECT_ERR(rpc_ctx_create(&opts, &ctx), INVAL);
}

/* Both are server and client: a ping that is answered after a ping the other way. */
SUITE(two_contexts)
{
    rig_mode_set(rig, RIG_MODE_CALL_BACK);
    for (int i = 0; i < 10; i++) {
        EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    }
}

/* ---- duplicates ----------------------------------------------------------------------------------------------------- */

struct dup {
    struct rig *rig;
    uint64_t seq, timeout_ns;
    int rc;
};

static void
dup_main(void *arg)
{
    struct dup *dup = arg;
    struct proto_obj_apply_req req = {.bulk = {.id = 1, .len = 0}};
    struct rpc_call_opts opts = rig_opts(dup->rig, dup->timeout_ns, NULL);

    opts.slot = 3;
    opts.seq = dup->seq;
    dup->rc = rpc_call(dup->rig->ctx, rig_ep(), PROTO_OBJ_APPLY, &req, NULL, &opts, NULL);
}

/* RPC-2 */
SUITE(resend_joins)
{
    struct dup first = {rig, 7, RIG_LONG_NS, 1};
    struct dup again = {rig, 7, RIG_LONG_NS, 1};
    struct dup other = {rig, 8, RIG_LONG_NS, 1};
    struct ult *ults[3];
    struct rpc_stats stats;

    rig_mode_set(rig, RIG_MODE_GATE);
    first.timeout_ns = RIG_SHORT_NS;
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, dup_main, &first, &ults[0]));
    rig_running_wait(rig, 1);
    ult_join(ults[0]);
    EXPECT_ERR(first.rc, TIMEDOUT);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, dup_main, &again, &ults[1]));
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, dup_main, &other, &ults[2]));
    rig_running_wait(rig, 2);
    do {
        rig_stats(rig, &stats);
    } while (stats.dup_requests_nr == 0);
    rig_gate_open(rig);
    ult_join(ults[1]);
    ult_join(ults[2]);
    EXPECT_OK(again.rc); /* answered, though the first attempt runs */
    EXPECT_OK(other.rc);
    rig_stats(rig, &stats);
    EXPECT_EQ(stats.requests_nr, 2u);
    EXPECT_EQ(stats.dup_requests_nr, 1u);
    EXPECT_EQ(rig->server.ran_nr, 2u);
}

/* The same over a new connection: the answer goes there. */
SUITE(resend_joins_after_reconnect)
{
    struct dup first = {rig, 7, RIG_LONG_NS, 1};
    struct dup again = {rig, 7, RIG_LONG_NS, 1};
    struct ult *ults[2];
    struct rpc_stats stats;

    rig_mode_set(rig, RIG_MODE_GATE);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, dup_main, &first, &ults[0]));
    rig_running_wait(rig, 1);
    rig_server_cut(rig);
    ult_join(ults[0]);
    EXPECT_ERR(first.rc, UNREACH);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, dup_main, &again, &ults[1]));
    do {
        rig_stats(rig, &stats);
    } while (stats.dup_requests_nr == 0);
    rig_gate_open(rig);
    ult_join(ults[1]);
    EXPECT_OK(again.rc);
    EXPECT_EQ(rig->server.ran_nr, 1u);
}

/* ---- bulk ----------------------------------------------------------------------------------------------------------- */

static const size_t bulk_sizes[] = {
    0, 1, 4095, RPC_BULK_CHUNK_BYTES, RPC_BULK_CHUNK_BYTES + 1, 1 << 20, (16 << 20) + 3};

SUITE(bulk_pull)
{
    uint8_t *mem = malloc(bulk_sizes[ARRAY_SIZE(bulk_sizes) - 1]);
    struct rpc_stats stats;
    uint64_t total = 0;

    for (size_t i = 0; i < ARRAY_SIZE(bulk_sizes); i++) {
        struct iov iov = {mem, bulk_sizes[i]};
        struct rpc_bulk *bulk = NULL;
        uint32_t crc = 1;

        rig_pattern(mem, iov.len, 100 + i);
        EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ, &bulk));
        EXPECT_OK(rig_pull(rig, bulk, RIG_LONG_NS, &crc));
        EXPECT_EQ(crc, rig_crc(mem, iov.len));
        rpc_bulk_free(bulk);
        total += iov.len;
    }
    rig_stats(rig, &stats);
    EXPECT_EQ(stats.bulk_bytes, total);
    if (strcmp(rig->transport, "ofi") == 0) {
        EXPECT_GT(stats.direct_bytes, 0u);
        EXPECT_EQ(stats.direct_failed_nr, 0u);
    } else if (strcmp(rig->transport, "unix") == 0) {
        EXPECT(stats.direct_bytes > 0 || stats.direct_failed_nr > 0); /* a container may forbid it */
    } else {
        EXPECT_EQ(stats.direct_bytes, 0u);
    }
    free(mem);
}

/* MS-3, RPC-14: who compares the whole gets it with fewer looks, and where the client says unasked. */
SUITE(bulk_pull_whole)
{
    uint8_t *mem = malloc(bulk_sizes[ARRAY_SIZE(bulk_sizes) - 1]);
    bool is_unix = strcmp(rig->transport, "unix") == 0;
    struct rpc_stats stats;

    rig_mode_set(rig, RIG_MODE_WHOLE);
    for (size_t i = 0; i < ARRAY_SIZE(bulk_sizes); i++) {
        size_t half = bulk_sizes[i] / 2;
        struct iov iovs[] = {{mem, half}, {mem + half, bulk_sizes[i] - half}};
        struct iov one = {mem, bulk_sizes[i]};

        rig_pattern(mem, one.len, 200 + i);
        for (uint32_t pieces = 1; pieces <= 2; pieces++) { /* two: asked for */
            struct sgl sgl = {pieces, pieces == 1 ? &one : iovs};
            struct rpc_bulk *bulk = NULL;

            EXPECT_OK(rpc_bulk_create(rig->ctx, &sgl, RPC_BULK_READ, &bulk));
            EXPECT_OK(rig_pull_whole(rig, bulk, RIG_LONG_NS, rig_crc(mem, one.len)));
            EXPECT_EQ(rig->server.landed_bytes, one.len);
            EXPECT_ERR(rig_pull_whole(rig, bulk, RIG_LONG_NS, rig_crc(mem, one.len) ^ 1), CSUM);
            rpc_bulk_free(bulk);
        }
    }
    rig_stats(rig, &stats);
    if (is_unix) {
        EXPECT(stats.hinted_bytes > 0 || stats.direct_failed_nr > 0); /* a container may forbid it */
    } else {
        EXPECT_EQ(stats.hinted_bytes, 0u);
    }
    free(mem);
}

struct torn {
    struct rig *rig;
    struct rpc_bulk *bulk;
    uint64_t timeout_ns;
    uint32_t crc;
    int rc;
};

static void
torn_main(void *arg)
{
    struct torn *torn = arg;

    torn->rc = rig_pull_whole(torn->rig, torn->bulk, torn->timeout_ns, torn->crc);
}

static void
handlers_end(struct rig *rig)
{
    struct rpc_stats stats;

    do {
        rig_stats(rig, &stats);
        ult_sleep(stats.running_nr > 0 ? RIG_MS : 0);
    } while (stats.running_nr > 0);
}

/* MS-3: the region is given up, or its bytes change, between the request and the pull. Such bytes are never taken for those that were offered. */
SUITE(bulk_torn)
{
    enum { LEN = (1 << 20) + 5 };
    uint8_t *mem = malloc(LEN);

    for (uint32_t is_freed = 0; is_freed < 2; is_freed++) {
        struct iov iov = {mem, LEN};
        struct torn torn = {.rig = rig, .timeout_ns = is_freed ? RIG_SHORT_NS : RIG_LONG_NS};
        struct ult *ult;

        rig_pattern(mem, LEN, 5);
        torn.crc = rig_crc(mem, LEN);
        rig->server.bulk_rc = 1;
        rig_mode_set(rig, RIG_MODE_WHOLE_GATE);
        EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ, &torn.bulk));
        EXPECT_OK(ult_create(rig->cxs, ULT_IO, torn_main, &torn, &ult));
        EXPECT(rig_running_wait(rig, 1));
        if (is_freed) {
            ult_join(ult);
            EXPECT_ERR(torn.rc, TIMEDOUT);
            rpc_bulk_free(torn.bulk);
        }
        mem[LEN / 2] ^= 1;
        rig_gate_open(rig);
        if (!is_freed) {
            ult_join(ult);
            EXPECT_ERR(torn.rc, CSUM);
            rpc_bulk_free(torn.bulk);
        }
        handlers_end(rig);
        EXPECT_LT(rig->server.bulk_rc, 0);
    }
    rig_mode_set(rig, RIG_MODE_PLAIN);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
    free(mem);
}

SUITE(bulk_push)
{
    size_t max = bulk_sizes[ARRAY_SIZE(bulk_sizes) - 1];
    uint8_t *mem = malloc(max + 16);
    uint8_t *want = malloc(max);

    for (size_t i = 0; i < ARRAY_SIZE(bulk_sizes); i++) {
        struct iov iov = {mem, bulk_sizes[i]};
        struct rpc_bulk *bulk = NULL;

        memset(mem, 0xcc, max + 16);
        rig_pattern(want, iov.len, 77);
        EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
        EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS));
        EXPECT_MEM_EQ(mem, want, iov.len);
        EXPECT_EQ(mem[iov.len], 0xccu);
        rpc_bulk_free(bulk);
    }
    free(mem);
    free(want);
}

/* RPC-15: the reply may overtake the client's reads; the call does not end before them, and the server lets go of the data. */
SUITE(bulk_early)
{
    size_t max = bulk_sizes[ARRAY_SIZE(bulk_sizes) - 1];
    uint8_t *mem = malloc(max + 16);
    uint8_t *want = malloc(max);
    struct rpc_stats stats;

    rig_mode_set(rig, RIG_MODE_EARLY);
    for (size_t i = 0; i < ARRAY_SIZE(bulk_sizes); i++) {
        struct iov iov = {mem, bulk_sizes[i]};
        struct rpc_bulk *bulk = NULL;

        memset(mem, 0xcc, max + 16);
        rig_pattern(want, iov.len, 77);
        EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
        EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS));
        EXPECT_MEM_EQ(mem, want, iov.len);
        EXPECT_EQ(mem[iov.len], 0xccu);
        rpc_bulk_free(bulk);
    }
    handlers_end(rig);
    EXPECT_OK(rig->server.bulk_rc);
    rig_stats(rig, &stats);
    if (strcmp(rig->transport, "unix") == 0)
        EXPECT(stats.early_nr > 0);
    if (strcmp(rig->transport, "tcp") == 0)
        EXPECT_EQ(stats.early_nr, 0u);
    free(mem);
    free(want);
}

/* What a region says of how its bytes arrived is what they are. */
SUITE(bulk_arrived)
{
    enum { LEN = 300000, BIG = (3 << 20) + 5 };
    uint8_t *mem = malloc(BIG);
    struct iov iov = {mem, BIG};
    struct rpc_bulk *bulk = NULL;
    uint32_t crc = 0;

    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
    EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS));
    EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS)); /* over the first one */
    rpc_bulk_close(bulk);
    EXPECT(rpc_bulk_arrived(bulk, 0, BIG, &crc));
    EXPECT_EQ(crc, rig_crc(mem, BIG));
    EXPECT(!rpc_bulk_arrived(bulk, 0, BIG - 1, &crc));
    EXPECT(!rpc_bulk_arrived(bulk, 1, BIG - 1, &crc));
    rpc_bulk_free(bulk);

    iov.len = LEN;
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
    rig_mode_set(rig, RIG_MODE_PARTS);
    EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS));
    rpc_bulk_close(bulk);
    EXPECT(rpc_bulk_arrived(bulk, 0, LEN, &crc)); /* whatever their order */
    EXPECT_EQ(crc, rig_crc(mem, LEN));
    rpc_bulk_free(bulk);

    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
    rig_mode_set(rig, RIG_MODE_PARTS_AGAIN);
    EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS));
    rig_mode_set(rig, RIG_MODE_PLAIN);
    rpc_bulk_close(bulk);
    EXPECT_EQ(mem[50100], 0x5au);
    EXPECT(!rpc_bulk_arrived(bulk, 0, LEN, &crc)); /* a part of it was written twice */
    EXPECT(!rpc_bulk_arrived(bulk, 0, 150000, &crc));
    EXPECT(rpc_bulk_arrived(bulk, 50100, 50, &crc));
    EXPECT_EQ(crc, rig_crc(mem + 50100, 50));
    rpc_bulk_free(bulk);
    free(mem);
}

/* Pieces of many sizes, some empty, with gaps that must stay as they are. */
static uint32_t
scatter(uint8_t *mem, size_t len, struct iov *iovs, uint32_t iov_max)
{
    static const size_t sizes[] = {1, 0, 4096, 100000, 3, 400000, 17, 65536};
    uint32_t nr = 0;
    size_t at = 0;

    while (len > 0) {
        size_t piece = nr + 1 == iov_max ? len : MIN(len, sizes[nr % ARRAY_SIZE(sizes)]);

        iovs[nr++] = (struct iov){mem + at, piece};
        at += piece + 13;
        len -= piece;
    }
    return nr;
}

SUITE(bulk_scattered)
{
    enum { LEN = (3 << 20) + 3, ROOM = LEN + 100 * 13 };
    uint8_t *mem = malloc(ROOM);
    uint8_t *flat = malloc(LEN);
    struct iov iovs[100];
    struct sgl sgl = {scatter(mem, LEN, iovs, 100), iovs};
    struct rpc_bulk *bulk = NULL;
    uint32_t crc = 0;
    uint32_t gaps_bad = 0;

    rig_pattern(flat, LEN, 9);
    EXPECT_EQ(sgl_copy_in(&sgl, 0, flat, LEN), (size_t)LEN);
    EXPECT_OK(rpc_bulk_create(rig->ctx, &sgl, RPC_BULK_READ | RPC_BULK_WRITE, &bulk));
    EXPECT_OK(rig_pull(rig, bulk, RIG_LONG_NS, &crc));
    EXPECT_EQ(crc, rig_crc(flat, LEN));
    memset(mem, 0xcc, ROOM);
    EXPECT_OK(rig_push(rig, bulk, RIG_LONG_NS));
    rig_pattern(flat, LEN, 77);
    crc = rig_crc(flat, LEN);
    EXPECT_EQ(sgl_copy_out(&sgl, 0, flat, LEN), (size_t)LEN);
    EXPECT_EQ(rig_crc(flat, LEN), crc);
    for (uint32_t i = 0; i + 1 < sgl.iov_nr; i++) {
        uint8_t *gap = (uint8_t *)iovs[i].buf + iovs[i].len;

        for (int k = 0; k < 13; k++) {
            gaps_bad += gap[k] != 0xcc;
        }
    }
    EXPECT_EQ(gaps_bad, 0u);
    rpc_bulk_free(bulk);
    free(mem);
    free(flat);
}

struct puller {
    struct rig *rig;
    size_t len;
    uint64_t timeout_ns;
    bool is_push;
    int rc;
};

static void
bulk_main(void *arg)
{
    struct puller *puller = arg;
    uint8_t *mem = malloc(puller->len);
    uint8_t *want = malloc(puller->len);
    struct iov iov = {mem, puller->len};
    struct rpc_bulk *bulk = NULL;
    uint32_t crc = 0;

    rig_pattern(mem, iov.len, iov.len);
    EXPECT_OK(rpc_bulk_create(
        puller->rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ | RPC_BULK_WRITE, &bulk));
    if (puller->is_push) {
        puller->rc = rig_push(puller->rig, bulk, puller->timeout_ns);
        rig_pattern(want, iov.len, 77);
        EXPECT(puller->rc != 0 || memcmp(mem, want, iov.len) == 0);
    } else {
        puller->rc = rig_pull(puller->rig, bulk, puller->timeout_ns, &crc);
        EXPECT(puller->rc != 0 || crc == rig_crc(mem, iov.len));
    }
    rpc_bulk_free(bulk);
    memset(mem, 0xee, iov.len); /* nothing reads or writes it any more: a sanitizer would see the free */
    free(mem);
    free(want);
}

/* More transfers than RPC_BULK_SERVE_NR_MAX at a time, both ways at once (RPC-11). */
SUITE(bulk_concurrent)
{
    struct puller pullers[24];
    struct ult *ults[24];

    for (int i = 0; i < 24; i++) {
        pullers[i] = (struct puller){rig, 700000 + (size_t)i * 100, RIG_LONG_NS, i % 3 == 0, 1};
        EXPECT_OK(ult_create(rig->cxs, ULT_IO, bulk_main, &pullers[i], &ults[i]));
    }
    for (int i = 0; i < 24; i++) {
        ult_join(ults[i]);
        EXPECT_OK(pullers[i].rc);
    }
}

/* The caller's time is over while its data moves: the region is given back at once, whatever is under way (RPC-4). */
SUITE(bulk_free_in_the_middle)
{
    int rc;

    for (int i = 0; i < 12; i++) {
        struct puller puller = {rig, 8 << 20, (uint64_t)(i / 2 + 1) * RIG_MS / 2, i % 2 == 1, 1};

        bulk_main(&puller);
        EXPECT(puller.rc == 0 || puller.rc == -DER_TIMEDOUT || puller.rc == -DER_UNREACH);
    }
    rc = rig_ping(rig, RIG_LONG_NS);
    if (strcmp(rig->transport, "ofi") == 0 && rc == -DER_UNREACH)
        rc = rig_ping(rig, RIG_LONG_NS); /* a read of what was revoked costs the connection (OFI-5) */
    EXPECT_OK(rc);
}

/* Gone before the handler asks for it. */
SUITE(bulk_freed_before_use)
{
    for (int push = 0; push < 2; push++) {
        struct puller puller = {rig, 1 << 20, RIG_SHORT_NS, push == 1, 1};
        struct rpc_stats stats;

        rig_mode_set(rig, RIG_MODE_GATE);
        bulk_main(&puller);
        EXPECT_ERR(puller.rc, TIMEDOUT);
        rig->server.bulk_rc = 1;
        rig_gate_open(rig);
        do {
            rig_stats(rig, &stats);
        } while (stats.running_nr > 0);
        EXPECT(rig->server.bulk_rc == -DER_UNREACH || rig->server.bulk_rc == -DER_TIMEDOUT);
    }
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

static void
tampered(struct rig *rig, enum rig_mode mode, int want)
{
    uint8_t mem[5000];
    struct iov iov = {mem, sizeof(mem)};
    struct rpc_bulk *bulk = NULL;
    uint32_t crc = 0;

    memset(mem, 0xcc, sizeof(mem));
    rig_mode_set(rig, mode);
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ, &bulk));
    EXPECT_EQ(rig_pull(rig, bulk, RIG_LONG_NS, &crc), want);
    rpc_bulk_free(bulk);
    EXPECT_OK(rpc_bulk_create(rig->ctx, &(struct sgl){1, &iov}, RPC_BULK_WRITE, &bulk));
    EXPECT_EQ(rig_push(rig, bulk, RIG_LONG_NS), want);
    rpc_bulk_free(bulk);
    EXPECT_EQ(mem[0], 0xccu);
    EXPECT_EQ(mem[4999], 0xccu);
}

SUITE(bulk_bad_descriptors)
{
    tampered(rig, RIG_MODE_KEY, -DER_INVAL);
    tampered(rig, RIG_MODE_ID, -DER_UNREACH);
    tampered(rig, RIG_MODE_ID_NONE, -DER_INVAL);
    tampered(rig, RIG_MODE_LEN, -DER_INVAL);
    tampered(rig, RIG_MODE_OTHER_WAY, -DER_INVAL);
    rig_mode_set(rig, RIG_MODE_PLAIN);
    EXPECT_OK(rig_ping(rig, RIG_LONG_NS));
}

/* ---- the end -------------------------------------------------------------------------------------------------------- */

SUITE(context_ends_with_calls)
{
    struct cutter cutter[3];
    struct ult *ults[3];

    rig_mode_set(rig, RIG_MODE_GATE);
    for (int i = 0; i < 3; i++) {
        cutter[i] = (struct cutter){.rig = rig, .rc = 1};
        EXPECT_OK(ult_create(rig->cxs, ULT_IO, cut_ping_main, &cutter[i], &ults[i]));
    }
    rig_running_wait(rig, 3);
    rpc_ctx_destroy(rig->ctx);
    rig->ctx = NULL;
    for (int i = 0; i < 3; i++) {
        ult_join(ults[i]);
        EXPECT_ERR(cutter[i].rc, SHUTDOWN);
    }
    rig_gate_open(rig);
}

/* A server that ends answers what runs, and cuts pulls short. */
SUITE(server_ends_with_handlers)
{
    struct cutter cutter = {.rig = rig, .rc = 1};
    struct ult *ult;

    rig_mode_set(rig, RIG_MODE_GATE);
    EXPECT_OK(ult_create(rig->cxs, ULT_IO, cut_ping_main, &cutter, &ult));
    rig_running_wait(rig, 1);
    rig_server_restart(rig, 101); /* opens the gate */
    ult_join(ult);
    EXPECT_OK(cutter.rc);
    EXPECT(cutter.is_replied);
}
