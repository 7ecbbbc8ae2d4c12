/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: the bodies of requests behind all that checks messages: a whole engine under plat/sim, alone in its system, with a pool and a container, gets
 * requests of every opcode whose bodies decode (what does not is for proto_fuzz.c and rpc_fuzz.c), as a client's and as an engine's, and control
 * requests (protobuf). Whatever they say, the engine answers, and answers a ping afterwards.
 *
 * An engine lives for ENGINE_FUZZ_INPUTS inputs (default 100; 1 to reproduce one alone).
 *
 * Input, repeated: flags, what, length (2 bytes), bytes. Flags 1: a control request, `what` its method, the bytes its body (2: the bytes are the whole
 * Envelope). Else `what` is the number of an operation; 2: as an engine; 4: to the other tag; 8: the id of the request before; 16, 32: without the
 * pool's, the container's handle; 64: an apply's data gets its length and checksum. Known ids: pool 16 times 7, container 16 times 9, handles 16 times 1 and 2.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/hlc.h"
#include "base/log.h"
#include "engine/engine_priv.h"
#include "plat/plat_sim.h"
#include "proto/ctl/ctl.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { REQS_NR_MAX = 24, LIFE_INPUTS_NR = 100 };
#define CALL_NS UINT64_C(2000000000)
#define INPUT_NS UINT64_C(3600000000000)
#define SYSTEM_UUID ((struct uuid){{0x1d, 0, 0, 0, 0, 0, 0x40, 0, 0x80}})
#define SAME_BYTES(b) ((struct uuid){{b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b}})

static struct stage {
    struct sim *sim;
    struct plat *plat, *client_plat;
    struct engine *engine;
    struct xstream *xs;
    struct rpc_ctx *clients[2]; /* a client, an engine */
    uint64_t seq;
    uint32_t inputs_nr, life_nr;
    const uint8_t *data;
    size_t len;
    bool is_done, is_stopped;
} * st;

/* ---- asking ----------------------------------------------------------------------------------------------------------------- */

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    (void)arg;
    if (ep.rank != 0 || ep.tag > 1)
        return -DER_OOG;
    (void)snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", engine_uri(st->engine, ep.tag));
    ret_addr->incarnation = engine_incarnation(st->engine);
    return ret_addr->uri[0] == '\0' ? -DER_UNREACH : 0;
}

static void
client_open(uint32_t which, uint32_t rank, uint64_t incarnation)
{
    struct rpc_ctx_opts opts = {.xs = st->xs,
        .system = SYSTEM_UUID,
        .rank = rank,
        .incarnation = incarnation,
        .client = SAME_BYTES(40 + which),
        .resolve = resolve};

    if (rpc_ctx_create(&opts, &st->clients[which]) != 0)
        abort();
}

static int
call(const struct proto_op *op, uint32_t flags, const void *body, struct arena *arena)
{
    bool is_io = op->opcode >> 8 == 1 ||
        (op->opcode >> 8 == 5 && op->opcode != PROTO_SVC_POOL_START &&
            op->opcode != PROTO_SVC_POOL_STOP);
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + CALL_NS,
        .pool = SAME_BYTES(7),
        .pool_hdl = SAME_BYTES((flags & 16) != 0 ? 0 : 1),
        .cont_hdl = SAME_BYTES((flags & 32) != 0 ? 0 : 2),
        .arena = arena};
    void *rep = arena_calloc(arena, 1, op->rep->struct_bytes + 1);

    if (op->is_modifying) {
        st->seq += (flags & 8) == 0;
        opts.seq = st->seq;
        opts.first_hlc = hlc_from_unix_ns(plat_wall_ns(st->client_plat));
    }
    return rpc_call(st->clients[(flags & 2) != 0],
        (struct rpc_ep){0, (uint32_t)(is_io != ((flags & 4) != 0))}, op->opcode, body, rep, &opts,
        NULL);
}

static int
control(const void *req, size_t len)
{
    Cairn__Ctl__Envelope *rep;
    void *answer = NULL;
    size_t answer_len = 0;
    int rc = engine_ctl(st->engine, req, len, &answer, &answer_len);

    if (rc != 0)
        return rc;
    rep = cairn__ctl__envelope__unpack(NULL, answer_len, answer);
    if (rep == NULL || !rep->is_reply || (rep->rc != 0) != (rep->error[0] != '\0'))
        abort();
    rc = rep->rc;
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    engine_buf_free(answer);
    return rc;
}

static int
control_body(Cairn__Ctl__Method method, const void *body, size_t len)
{
    Cairn__Ctl__Envelope env = CAIRN__CTL__ENVELOPE__INIT;
    uint8_t *packed = malloc(len + 64);
    int rc;

    env.version = 1;
    env.id = 5;
    env.method = method;
    env.body = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)body};
    rc = control(packed, cairn__ctl__envelope__pack(&env, packed));
    free(packed);
    return rc;
}

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, err_text(rc));
    abort();
}

/* What an input has destroyed or closed comes back with the next one, if it can. The first failure. */
static int
pool_make(void)
{
    Cairn__Ctl__PoolCreateReq req = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property label = CAIRN__CTL__PROPERTY__INIT, *labels[1] = {&label};
    struct uuid pool = SAME_BYTES(7);
    uint64_t tiers[2] = {24 << 20, 64 << 20};
    struct proto_pool_connect_req connect = {.pool = pool, .hdl = SAME_BYTES(1), .flags = POOL_PC_RW};
    struct proto_cont_create_req create = {.pool = pool, .cont = SAME_BYTES(9)};
    struct proto_cont_open_req open = {
        .pool = pool, .cont_hdl = SAME_BYTES(2), .flags = 2, .id = pool_key_str("box")};
    struct proto_prop prop = {.type = 0x1001, .bytes = pool_key_str("box")};
    struct arena arena;
    uint8_t buf[256];
    int rcs[4];

    label.number = 1;
    label.str = (char *)(uintptr_t) "tank";
    req.uuid = (ProtobufCBinaryData){sizeof(pool.b), pool.b};
    req.n_tier_bytes = 2;
    req.tier_bytes = tiers;
    req.n_properties = 1;
    req.properties = labels;
    rcs[0] = control_body(
        CAIRN__CTL__METHOD__POOL_CREATE, buf, cairn__ctl__pool_create_req__pack(&req, buf));
    arena_init(&arena, 4096, 1 << 20);
    create.props = (struct proto_array){1, &prop};
    rcs[1] = call(proto_op_find(PROTO_POOL_CONNECT), 0, &connect, &arena);
    rcs[2] = call(proto_op_find(PROTO_CONT_CREATE), 0, &create, &arena);
    rcs[3] = call(proto_op_find(PROTO_CONT_OPEN), 0, &open, &arena);
    arena_fini(&arena);
    for (uint32_t i = 0; i < 4; i++) {
        if (rcs[i] != 0)
            return rcs[i];
    }
    return 0;
}

/* ---- an engine's life ------------------------------------------------------------------------------------------------------- */

static void
begin_ult(void *arg)
{
    (void)arg;
    must(engine_wait_ready(st->engine), "engine");
    client_open(0, RPC_RANK_NONE, 1);
    client_open(1, 0, engine_incarnation(st->engine));
    must(pool_make(), "a pool");
    st->is_done = true;
}

static void
end_ult(void *arg)
{
    (void)arg;
    rpc_ctx_destroy(st->clients[0]);
    rpc_ctx_destroy(st->clients[1]);
    engine_stop_begin(st->engine);
    engine_wait_stopped(st->engine);
    st->is_done = true;
}

static bool
is_done(void *arg)
{
    (void)arg;
    return st->is_done;
}

static void
run(void (*fn)(void *arg))
{
    st->is_done = false;
    must(xstream_post(st->xs, ULT_SERVICE, fn, NULL), "post");
    must(sim_run_until(st->sim, is_done, NULL, INPUT_NS), "an end");
}

static void
on_stop(void *arg)
{
    (void)arg;
    st->is_stopped = true;
}

static void
stage_begin(void)
{
    struct xstream_opts xopts = {.name = "client", .cpu = UINT32_MAX};
    const char *inputs = getenv("ENGINE_FUZZ_INPUTS");
    struct sim_opts opts = {.seed = 1};
    char err[ENGINE_TEXT_BYTES];
    struct engine_cfg cfg;

    log_level_set(LOG_LEVEL_NONE);
    st = calloc(1, sizeof(*st));
    st->life_nr = inputs != NULL ? (uint32_t)atoi(inputs) : LIFE_INPUTS_NR;
    must(sim_create(&opts, &st->sim), "sim");
    must(sim_node_start(st->sim, "h", "e", &st->plat), "node");
    must(sim_node_start(st->sim, "c", "c", &st->client_plat), "node");
    engine_cfg_init(&cfg);
    cfg.tgt_nr = 1;
    cfg.is_alone = 1;
    cfg.on_stop = on_stop;
    cfg.system_uuid = SYSTEM_UUID;
    cfg.wal_bytes = cfg.sys_wal_bytes = UINT64_C(16) << 20;
    cfg.meta_bytes = UINT64_C(32) << 20;
    cfg.data_bytes = UINT64_C(96) << 20;
    cfg.sys_meta_bytes = cfg.sys_data_bytes = UINT64_C(96) << 20;
    (void)snprintf(cfg.system, sizeof(cfg.system), "fuzz");
    (void)snprintf(cfg.dir, sizeof(cfg.dir), "/store");
    (void)snprintf(cfg.uri_base, sizeof(cfg.uri_base), "sim://e");
    must(engine_start(st->plat, &cfg, err, &st->engine), "start");
    must(xstream_create(st->client_plat, &xopts, &st->xs), "xstream");
    must(xstream_start(st->xs), "xstream");
    run(begin_ult);
}

static void
stage_end(void)
{
    run(end_ult);
    engine_destroy(st->engine);
    xstream_stop(st->xs);
    xstream_destroy(st->xs);
    sim_destroy(st->sim);
    free(st);
    st = NULL;
}

/* ---- an input --------------------------------------------------------------------------------------------------------------- */

/* What a client would have written there, so that the data is looked at. */
static void
apply_seal(struct proto_obj_apply_req *req)
{
    req->bulk = (struct proto_bulk){0};
    req->data_len = req->data.len;
    req->data_crc = crc32c(0, req->data.buf, req->data.len);
}

/* One request; the bytes of the input it used. */
static size_t
one(const uint8_t *data, size_t len)
{
    uint32_t flags = data[0], op_nr;
    const struct proto_op *ops = proto_op_table(&op_nr), *op = &ops[data[1] % op_nr];
    size_t n = MIN((size_t)le16_get(data + 2), len - 4);
    uint8_t *exact = malloc(n + 1);
    struct arena arena;
    void *body;

    memcpy(exact, data + 4, n);
    arena_init(&arena, 4096, 64 << 20);
    if ((flags & 3) == 3) {
        CAIRN_IGNORE(control(exact, n)); /* any answer will do, here and below */
    } else if ((flags & 1) != 0) {
        CAIRN_IGNORE(control_body((Cairn__Ctl__Method)(data[1] % 12), exact, n));
    } else {
        body = arena_calloc(&arena, 1, op->req->struct_bytes + 1);
        if (proto_decode(op->req, exact, n, &arena, body) == 0) {
            if (op->opcode == PROTO_OBJ_APPLY && (flags & 64) != 0)
                apply_seal(body);
            CAIRN_IGNORE(call(op, flags, body, &arena));
        }
    }
    arena_fini(&arena);
    free(exact);
    return 4 + n;
}

static void
input_ult(void *arg)
{
    const uint8_t *data = st->data;
    size_t left = st->len;

    (void)arg;
    if (st->inputs_nr > 0)
        CAIRN_IGNORE(pool_make()); /* what is still there says so */
    for (uint32_t i = 0; i < REQS_NR_MAX && left >= 4; i++) {
        size_t used = one(data, left);

        data += used;
        left -= used;
        if (st->is_stopped)
            break;
    }
    if (!st->is_stopped) {
        const struct proto_op *ping = proto_op_find(PROTO_PING);
        struct proto_empty none = {0};
        struct arena arena;

        arena_init(&arena, 512, 65536);
        for (uint32_t flags = 0; flags <= 4; flags += 4) { /* target, services */
            int rc = call(ping, flags, &none, &arena);

            must(st->is_stopped ? 0 : rc, "ping"); /* it may have been asked to stop just now */
        }
        arena_fini(&arena);
    }
    st->is_done = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (st == NULL)
        stage_begin();
    st->data = data;
    st->len = len;
    run(input_ult);
    if (++st->inputs_nr >= st->life_nr || st->is_stopped)
        stage_end();
    return 0;
}
