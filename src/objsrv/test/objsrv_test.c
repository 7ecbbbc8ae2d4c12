/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Object requests over rpc on one real target in the simulator, with a pool service played by the
 * test: capabilities, map versions, sizes that lie, many
 * small segments beside large ones, and requests of random numbers, which may be refused but must
 * not harm.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/crc.h"
#include "base/csum.h"
#include "base/probe.h"
#include "harness/harness.h"
#include "objsrv/objsrv.h"
#include "plat/plat_sim.h"

struct env {
    struct sim *sim;
    /* server */
    struct plat *splat;
    struct xstream *sxs;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct tgt *tgt;
    struct rpc_ctx *srpc;
    struct tgt_hdl_info info;
    bool is_up;
    /* client */
    struct plat *cplat;
    struct xstream *cxs;
    struct rpc_ctx *rpc;
    struct arena arena;
    uint64_t seq;
    uint32_t map_ver, rep_map_ver;
    uint64_t timeout_ns;
    const char *dir; /* below /shm/ the data role is memory */
    uint32_t crc_flip; /* put() lies about the checksum */
    void (*body)(struct env *env);
    bool is_done, is_down;
};

static const struct uuid sys_id = {{1}}, pool = {{2}}, pool_hdl = {{3}}, cont_hdl = {{4}};

/* ---- the server ----------------------------------------------------------------------------- */

static int
lookup(void *arg, const struct tgt_ids *ids, struct tgt_hdl_info *ret_info)
{
    struct env *env = arg;

    if (cuuid_cmp(&ids->cont_hdl, &cont_hdl) != 0)
        return -DER_NO_HDL;
    *ret_info = env->info;
    return 0;
}

static int
h_apply(struct rpc_req *req, void *rep)
{
    return objsrv_apply(((struct env *)req->handler_arg)->tgt, req, rep);
}

static int
h_fetch(struct rpc_req *req, void *rep)
{
    return objsrv_fetch(((struct env *)req->handler_arg)->tgt, req, rep);
}

static int
h_list(struct rpc_req *req, void *rep)
{
    return objsrv_list(((struct env *)req->handler_arg)->tgt, req, rep);
}

static int
h_query(struct rpc_req *req, void *rep)
{
    return objsrv_query(((struct env *)req->handler_arg)->tgt, req, rep);
}

static const struct rpc_handler handlers[] = {
    {PROTO_OBJ_APPLY, ULT_IO, h_apply},
    {PROTO_OBJ_FETCH, ULT_IO, h_fetch},
    {PROTO_OBJ_LIST, ULT_IO, h_list},
    {PROTO_OBJ_QUERY_KEY, ULT_IO, h_query},
};

static void
server_ult(void *arg)
{
    struct env *env = arg;
    struct bio_cfg cfg = {.wal_bytes = 16 << 20,
        .meta_bytes = 64 << 20,
        .data_bytes = 120 << 20, /* one chunk of the allocator: the first extent lies at its beginning */
        .system = sys_id,
        .device = {{2}}};
    struct tgt_opts topts = {.hdl_lookup = lookup, .arg = env};
    struct rpc_ctx_opts ropts = {.xs = env->sxs,
        .listen_uri = "sim://srv/t",
        .system = sys_id,
        .incarnation = 7,
        .handlers = handlers,
        .handler_nr = 4,
        .handler_arg = env};

    snprintf(cfg.dir, sizeof(cfg.dir), "%s", env->dir);
    EXPECT_OK(env->splat->ops->dir_create(env->splat, cfg.dir));
    EXPECT_OK(bio_format(env->sxs, &cfg));
    EXPECT_OK(bio_open(env->sxs, &cfg, &env->bio));
    EXPECT_OK(vos_tgt_open(env->bio, &env->vos));
    topts.bio = env->bio;
    topts.vos = env->vos;
    EXPECT_OK(tgt_create(&topts, &env->tgt));
    EXPECT_OK(tgt_pool_create(env->tgt, pool, 48 << 20, 100 << 20));
    EXPECT_OK(rpc_ctx_create(&ropts, &env->srpc));
    env->info = (struct tgt_hdl_info){.pool_flags = TGT_PC_RW,
        .cont = {{9}},
        .cont_flags = TGT_COO_RW,
        .csum_type = (uint32_t)(test_seed() % CSUM_TYPES_NR), /* any will do */
        .map_ver = 3};
    env->is_up = true;
}

static void
server_down_ult(void *arg)
{
    struct env *env = arg;

    tgt_drain(env->tgt);
    rpc_ctx_destroy(env->srpc);
    tgt_destroy(env->tgt);
    EXPECT_OK(vos_tgt_check(env->vos)); /* whatever was sent, the store is sound */
    vos_tgt_close(env->vos);
    bio_close(env->bio);
    env->is_down = true;
}

/* ---- the client ----------------------------------------------------------------------------- */

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    (void)arg;
    (void)ep;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "sim://srv/t");
    ret_addr->incarnation = 7;
    return 0;
}

static void
client_ult(void *arg)
{
    struct env *env = arg;

    env->body(env);
    rpc_ctx_destroy(env->rpc);
    env->is_done = true;
}

static int
call(struct env *env, uint16_t opcode, const void *req, void *rep)
{
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + env->timeout_ns,
        .slot = 0,
        .seq = ++env->seq,
        .map_ver = env->map_ver,
        .pool = pool,
        .pool_hdl = pool_hdl,
        .cont_hdl = cont_hdl,
        .arena = &env->arena};
    struct rpc_call_info info = {.is_replied = false};
    int rc;

    memset(rep, 0, proto_op_find(opcode)->rep->struct_bytes);
    rc = rpc_call(env->rpc, (struct rpc_ep){0, 1}, opcode, req, rep, &opts, &info);
    env->rep_map_ver = info.map_ver;
    return rc;
}

static bool
is_up(void *arg)
{
    return ((struct env *)arg)->is_up;
}

static bool
is_done(void *arg)
{
    return ((struct env *)arg)->is_done;
}

static bool
is_down(void *arg)
{
    return ((struct env *)arg)->is_down;
}

/* Server up, client at work on `body`. */
static void
env_begin(
    struct env *env, const struct sim_opts *opts, const char *dir, void (*body)(struct env *env))
{
    struct xstream_opts xopts = {.name = "x", .cpu = UINT32_MAX};
    struct rpc_ctx_opts copts = {
        .system = sys_id, .rank = RPC_RANK_NONE, .incarnation = 1, .resolve = resolve};

    memset(env, 0, sizeof(*env));
    env->body = body;
    env->dir = dir;
    env->timeout_ns = UINT64_C(20000000000);
    arena_init(&env->arena, 65536, 512 << 20);
    EXPECT_OK(sim_create(opts, &env->sim));
    EXPECT_OK(sim_node_start(env->sim, "s", "srv", &env->splat));
    EXPECT_OK(sim_node_start(env->sim, "c", "cli", &env->cplat));
    EXPECT_OK(xstream_create(env->splat, &xopts, &env->sxs));
    EXPECT_OK(xstream_create(env->cplat, &xopts, &env->cxs));
    EXPECT_OK(xstream_start(env->sxs));
    EXPECT_OK(xstream_start(env->cxs));
    EXPECT_OK(xstream_post(env->sxs, ULT_SERVICE, server_ult, env));
    EXPECT_OK(sim_run_until(env->sim, is_up, env, UINT64_C(10000000000)));
    copts.xs = env->cxs;
    EXPECT_OK(rpc_ctx_create(&copts, &env->rpc));
    EXPECT_OK(xstream_post(env->cxs, ULT_IO, client_ult, env));
}

static void
env_end(struct env *env)
{
    xstream_stop(env->sxs);
    xstream_stop(env->cxs);
    xstream_destroy(env->sxs);
    xstream_destroy(env->cxs);
    sim_destroy(env->sim);
    arena_fini(&env->arena);
}

static void
run_slow(uint64_t disk_ns, void (*body)(struct env *env))
{
    struct sim_opts opts = {.seed = test_seed(),
        .net_lat_lo_ns = 5000,
        .net_lat_hi_ns = 50000,
        .disk_lat_lo_ns = disk_ns,
        .disk_lat_hi_ns = disk_ns};
    static const char *const dirs[] = {"/t", "/shm/t"};

    for (int i = 0; i < 2; i++) {
        struct env env;

        env_begin(&env, &opts, dirs[i], body);
        EXPECT_OK(sim_run_until(env.sim, is_done, &env, UINT64_C(1000000000000)));
        EXPECT_OK(xstream_post(env.sxs, ULT_SERVICE, server_down_ult, &env));
        EXPECT_OK(sim_run_until(env.sim, is_down, &env, UINT64_C(100000000000)));
        env_end(&env);
    }
}

static void
run(void (*body)(struct env *env))
{
    run_slow(0, body);
}

/* ---- requests ------------------------------------------------------------------------------- */

static struct iov
str(const char *s)
{
    return (struct iov){(void *)(uintptr_t)s, strlen(s)};
}

/* One array modification: ranges and inline or bulk data. */
static int
put(struct env *env, struct proto_recx *recxs, uint32_t nr, uint64_t size, uint8_t *data, uint64_t len)
{
    struct proto_iod iod = {
        .akey = str("a"), .type = 2, .size = size, .recxs = {nr, recxs}, .buf_len = len};
    struct proto_mod mod = {
        .op = 1, .oid = {1, 1}, .layout_ver = 1, .dkey = str("d"), .iods = {1, &iod}};
    struct proto_obj_apply_req req = {.mods = {1, &mod}, .data_len = len};
    struct proto_obj_apply_rep rep;
    struct rpc_bulk *bulk = NULL;
    struct iov iov = {data, len};
    struct sgl sgl = {1, &iov};
    int rc;

    req.data_crc = crc32c(0, data, len) ^ env->crc_flip;
    if (len <= PROTO_INLINE_BYTES_MAX) {
        req.data = iov;
    } else {
        EXPECT_OK(rpc_bulk_create(env->rpc, &sgl, RPC_BULK_READ, &bulk));
        rpc_bulk_desc(bulk, &req.bulk);
    }
    rc = call(env, PROTO_OBJ_APPLY, &req, &rep);
    rpc_bulk_free(bulk);
    return rc;
}

/* Bytes in any number of ranges, in as many requests as that takes. */
static int
put_many(struct env *env, struct proto_recx *recxs, uint32_t nr, uint8_t *data)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < nr; i += PROTO_RECXS_NR_MAX) {
        uint32_t part = MIN(nr - i, (uint32_t)PROTO_RECXS_NR_MAX);
        uint64_t len = 0;

        for (uint32_t k = 0; k < part; k++) {
            len += recxs[i + k].nr;
        }
        rc = put(env, recxs + i, part, 1, data, len);
        data += len;
    }
    return rc;
}

static int
get(struct env *env, struct proto_recx *recxs, uint32_t nr, uint8_t *data, uint64_t len,
    struct proto_obj_fetch_rep *rep)
{
    struct proto_iod iod = {.akey = str("a"), .type = 2, .recxs = {nr, recxs}, .buf_len = len};
    struct proto_obj_fetch_req req = {
        .oid = {1, 1}, .layout_ver = 1, .epoch = UINT64_MAX, .dkey = str("d"), .iods = {1, &iod}};
    struct rpc_bulk *bulk = NULL;
    struct iov iov = {data, len};
    struct sgl sgl = {1, &iov};
    int rc;

    if (data != NULL) {
        EXPECT_OK(rpc_bulk_create(env->rpc, &sgl, RPC_BULK_WRITE, &bulk));
        rpc_bulk_desc(bulk, &req.bulk);
    }
    rc = call(env, PROTO_OBJ_FETCH, &req, rep);
    rpc_bulk_free(bulk);
    return rc;
}

static void
body_caps(struct env *env)
{
    struct proto_obj_fetch_rep rep;
    struct proto_recx recx = {0, 4};
    uint8_t data[4] = "abcd";

    env->map_ver = 2;
    EXPECT_ERR(put(env, &recx, 1, 1, data, 4), STALE);
    EXPECT_EQ(env->rep_map_ver, 3); /* OBJ-4: the version it lacks */
    env->map_ver = 3;
    EXPECT_OK(put(env, &recx, 1, 1, data, 4));
    EXPECT_EQ(env->rep_map_ver, 3);
    env->info.cont_flags = TGT_COO_RO;
    env->info.map_ver = 4;
    env->map_ver = 4; /* makes the target ask again */
    EXPECT_ERR(put(env, &recx, 1, 1, data, 4), NO_PERM);
    EXPECT_OK(get(env, &recx, 1, NULL, 4, &rep));
    EXPECT_EQ(rep.data_len, 4);
    env->info.cont_flags = 0;
    env->info.map_ver = env->map_ver = 5;
    EXPECT_ERR(get(env, &recx, 1, NULL, 4, &rep), NO_PERM);
}

TEST_ON(objsrv, capabilities_and_map_versions, BACKEND_SIM)
{
    run(body_caps);
}

/*
 * 3000 segments of 1 to 40 records, holes between them, three large ones: what is pushed must be
 * what was stored, holes untouched.
 */
static void
body_gather(struct env *env)
{
    enum { SEGS = 3000, SPAN = 4 << 20 };
    struct proto_recx *recxs = arena_alloc(&env->arena, SEGS * sizeof(*recxs));
    uint8_t *model = arena_calloc(&env->arena, 1, SPAN), *out = arena_alloc(&env->arena, SPAN);
    uint8_t *data = arena_alloc(&env->arena, SPAN);
    struct proto_recx all = {0, SPAN};
    struct proto_obj_fetch_rep rep;
    uint64_t seed = test_seed(), at = 0, len = 0, present = 0;
    uint32_t crc = 0;

    memset(model, 0x77, SPAN);
    for (uint32_t i = 0; i < SEGS; i++) {
        uint64_t nr = i % 1000 == 500 ? 300000 : 1 + test_rand(&seed) % 40;

        recxs[i] = (struct proto_recx){at, nr};
        for (uint64_t k = 0; k < nr; k++) {
            data[len + k] = model[at + k] = (uint8_t)test_rand(&seed);
        }
        len += nr;
        at += nr + (i % 3 == 0 ? 0 : 1 + test_rand(&seed) % 30);
    }
    if (!EXPECT_LE(at, SPAN) || !EXPECT_OK(put_many(env, recxs, SEGS, data)))
        return;
    memset(out, 0x77, SPAN);
    if (!EXPECT_OK(get(env, &all, 1, out, SPAN, &rep)))
        return;
    EXPECT_MEM_EQ(out, model, SPAN);
    EXPECT_EQ(rep.data_len, len);
    for (uint32_t i = 0; i < SEGS; i++) {
        crc = crc32c(crc, model + recxs[i].idx, recxs[i].nr);
        present += recxs[i].nr;
    }
    EXPECT_EQ(rep.data_crc, crc);
    EXPECT_EQ(present, len);
    EXPECT_ERR(get(env, &all, 1, NULL, SPAN, &rep), INVAL); /* nowhere to put it */
    EXPECT_ERR(get(env, &all, 1, out, SPAN - 1, &rep), REC2BIG);
}

TEST_ON(objsrv, many_segments_are_gathered, BACKEND_SIM)
{
    run(body_gather);
}

/* Little data in so many ranges that the reply is longer than a header: it comes all the same, without a region to put it. */
static void
body_thin(struct env *env)
{
    enum { SEGS = 3000, EACH = 5 };
    struct proto_recx *recxs = arena_alloc(&env->arena, SEGS * sizeof(*recxs));
    uint8_t *data = arena_alloc(&env->arena, SEGS * EACH);
    struct proto_recx all = {0, (uint64_t)SEGS * 2 * EACH};
    struct proto_obj_fetch_rep rep;

    for (uint32_t i = 0; i < SEGS; i++) {
        recxs[i] = (struct proto_recx){(uint64_t)i * 2 * EACH, EACH};
        memset(data + i * EACH, (int)(1 + i % 255), EACH);
    }
    EXPECT_OK(put_many(env, recxs, SEGS, data));
    if (!EXPECT_OK(get(env, &all, 1, NULL, all.nr, &rep)))
        return;
    EXPECT_EQ(((struct proto_fetch_iod *)rep.iods.items)[0].segs.nr, 2 * SEGS);
    EXPECT_EQ(rep.data.len, SEGS * EACH);
    EXPECT_MEM_EQ(rep.data.buf, data, SEGS * EACH);
}

TEST_ON(objsrv, little_data_in_many_ranges, BACKEND_SIM)
{
    run(body_thin);
}

/* Several large fetches at once: together they want more memory than a target gives, and all come to their end. */
enum { LARGE_NR = 6, LARGE_BYTES = 12 << 20 };

struct large {
    struct env *env;
    uint8_t *out;
    int rc;
};

static void
large_ult(void *arg)
{
    struct large *l = arg;
    struct proto_recx all = {0, LARGE_BYTES};
    struct proto_obj_fetch_rep rep;

    l->rc = get(l->env, &all, 1, l->out, LARGE_BYTES, &rep);
}

static void
body_large(struct env *env)
{
    struct proto_recx all = {0, LARGE_BYTES};
    uint8_t *data = malloc(LARGE_BYTES);
    struct large l[LARGE_NR];
    struct ult *ults[LARGE_NR];

    memset(data, 7, LARGE_BYTES);
    EXPECT_OK(put(env, &all, 1, 1, data, LARGE_BYTES));
    for (uint32_t i = 0; i < LARGE_NR; i++) {
        l[i] = (struct large){env, calloc(1, LARGE_BYTES), -1};
        EXPECT_OK(ult_create(xstream_self(), ULT_IO, large_ult, &l[i], &ults[i]));
    }
    for (uint32_t i = 0; i < LARGE_NR; i++) {
        ult_join(ults[i]);
        EXPECT_OK(l[i].rc);
        EXPECT_MEM_EQ(l[i].out, data, LARGE_BYTES);
        free(l[i].out);
    }
    free(data);
}

TEST_ON(objsrv, large_fetches_at_once, BACKEND_SIM)
{
    run_slow(5000000, body_large);
}

/* Who asked has given up: so does the target, at the next step, and nothing of the request is left (MS-6). */
static void
body_late(struct env *env)
{
    const uint64_t disk_ns = UINT64_C(100000000);
    struct proto_recx all = {0, LARGE_BYTES};
    uint8_t *data = arena_calloc(&env->arena, 1, LARGE_BYTES);
    struct proto_obj_fetch_rep rep;
    struct tgt_stats st;

    EXPECT_OK(put(env, &all, 1, 1, data, LARGE_BYTES));
    EXPECT_OK(get(env, &all, 1, data, LARGE_BYTES, &rep));
    if (strncmp(env->dir, "/shm/", 5) == 0) /* reads take no time there */
        return;
    env->timeout_ns = disk_ns / 2 * 3;
    EXPECT_ERR(get(env, &all, 1, data, LARGE_BYTES, &rep), TIMEDOUT);
    tgt_stats_get(env->tgt, &st);
    EXPECT_EQ(st.running_nr, 1);
    ult_sleep(disk_ns);
    tgt_stats_get(env->tgt, &st);
    EXPECT_EQ(st.running_nr, 0);
}

TEST_ON(objsrv, a_fetch_past_its_deadline, BACKEND_SIM)
{
    run_slow(UINT64_C(100000000), body_late);
}

/*
 * A bit of what is being fetched flips, at any moment: before it is verified, while it waits to be sent, behind it. The answer is CSUM, or the data and a checksum
 * that does not belong to them, which is the same to a client (MS-4); or the data as they were.
 */
enum { ROT_BYTES = 3 << 20, ROT_ROUNDS = 40 };

static void
rot_ult(void *arg)
{
    struct large *l = arg;
    struct proto_recx all = {0, ROT_BYTES};
    struct proto_obj_fetch_rep rep;

    l->rc = get(l->env, &all, 1, l->out, ROT_BYTES, &rep);
    if (l->rc == 0 && crc32c(0, l->out, ROT_BYTES) != rep.data_crc)
        l->rc = -DER_CSUM;
}

static void
body_rot(struct env *env)
{
    uint8_t *data = arena_alloc(&env->arena, ROT_BYTES), *out = arena_alloc(&env->arena, ROT_BYTES);
    struct proto_recx all = {0, ROT_BYTES};
    struct large l = {env, out, -1};
    uint32_t bad = 0, good = 0;
    uint64_t took_ns = 0, seed = test_seed();
    char file[32];

    snprintf(file, sizeof(file), "%s/data", env->dir);
    for (uint32_t i = 0; i < ROT_BYTES; i++) {
        data[i] = (uint8_t)test_rand(&seed);
    }
    EXPECT_OK(put(env, &all, 1, 1, data, ROT_BYTES));
    for (uint32_t i = 0; i < ROT_ROUNDS && !test_failed(); i++) {
        uint64_t bit = test_rand(&seed) % (UINT64_C(8) * ROT_BYTES), start_ns = ult_now_ns();
        struct ult *ult;

        EXPECT_OK(ult_create(xstream_self(), ULT_IO, rot_ult, &l, &ult));
        if (i > 0) { /* the first one runs undisturbed */
            ult_sleep(test_rand(&seed) % took_ns);
            EXPECT_OK(sim_file_flip_bit(env->sim, "s", file, bit));
        }
        ult_join(ult);
        if (i == 0)
            took_ns = ult_now_ns() - start_ns;
        if (i > 0)
            EXPECT_OK(sim_file_flip_bit(env->sim, "s", file, bit));
        if (l.rc == 0) {
            EXPECT_MEM_EQ(out, data, ROT_BYTES);
            good++;
        } else {
            EXPECT_EQ(l.rc, -DER_CSUM);
            bad++;
        }
    }
    EXPECT_GT(good, 1);
    EXPECT_GT(bad, 1);
}

TEST_ON(objsrv, bits_that_flip_meanwhile, BACKEND_SIM)
{
    run_slow(100000, body_rot);
}

static void
body_lies(struct env *env)
{
    struct proto_recx huge[2] = {{0, UINT64_MAX}, {1, UINT64_MAX}};
    struct proto_recx recx = {0, 4};
    struct proto_iod iods[2] = {
        {.akey = str("a"), .type = 2, .recxs = {1, &recx}, .buf_len = UINT64_MAX},
        {.akey = str("b"), .type = 2, .recxs = {1, &recx}, .buf_len = 2}};
    struct proto_obj_fetch_req freq = {
        .oid = {1, 1}, .layout_ver = 1, .epoch = UINT64_MAX, .dkey = str("d"), .iods = {2, iods}};
    struct proto_obj_fetch_rep frep;
    struct proto_obj_apply_req areq = {.data_len = 0};
    struct proto_obj_apply_rep arep;
    uint8_t data[64] = {0};

    EXPECT_ERR(put(env, huge, 2, 1, data, 4), REC2BIG);
    EXPECT_ERR(put(env, huge, 1, UINT64_MAX, data, 4), REC2BIG);
    EXPECT_ERR(put(env, &recx, 1, 2, data, 4), IO_INVAL);
    EXPECT_ERR(put(env, &recx, 1, 1, data, 5), IO_INVAL);
    EXPECT_ERR(call(env, PROTO_OBJ_FETCH, &freq, &frep), INVAL); /* the rooms add up to no number */
    EXPECT_ERR(call(env, PROTO_OBJ_APPLY, &areq, &arep), INVAL); /* nothing to do */
    areq.data_len = UINT64_MAX;
    EXPECT_ERR(call(env, PROTO_OBJ_APPLY, &areq, &arep), INVAL);
    {
        struct proto_mod mod = {.op = 4, .oid = {1, 1}, .layout_ver = 1, .dkey = str("d")};

        areq.mods = (struct proto_array){1, &mod};
        EXPECT_ERR(call(env, PROTO_OBJ_APPLY, &areq, &arep), REC2BIG);
        areq.data_len = 100; /* a region that was never offered */
        areq.bulk = (struct proto_bulk){99, 98, 100};
        EXPECT(call(env, PROTO_OBJ_APPLY, &areq, &arep) != 0);
    }
}

TEST_ON(objsrv, sizes_that_lie, BACKEND_SIM)
{
    run(body_lies);
}

/* ---- large values --------------------------------------------------------------------------- */

enum { SPREAD = 1 << 20 };

static void
large_check(struct env *env, const struct proto_recx *recxs, uint32_t nr, const uint8_t *want)
{
    uint8_t *out = malloc(16 << 20);

    for (uint32_t i = 0; i < nr; i++) {
        struct proto_recx recx = recxs[i];
        struct proto_obj_fetch_rep rep;

        memset(out, 0xee, recx.nr);
        EXPECT_OK(get(env, &recx, 1, out, recx.nr, &rep));
        EXPECT_EQ(rep.data_len, recx.nr);
        EXPECT_MEM_EQ(rep.data.len > 0 ? rep.data.buf : out, want, recx.nr);
        want += recx.nr;
    }
    free(out);
}

static uint64_t
data_free(struct env *env)
{
    struct bio_space sp;

    bio_space_get(env->bio, &sp);
    return sp.data_free;
}

/*
 * Goal: what is pulled to its place shows when it was compared, and not otherwise (OBJ-2); a mix of large and small values takes the other way.
 */
static void
body_ahead(struct env *env)
{
    enum { LEN = 1 << 20 };
    struct proto_recx one = {0, LEN};
    struct proto_recx three[] = {{7 * SPREAD, 300001}, {5 * SPREAD, 4097}, {SPREAD * 3, 700000}};
    struct proto_recx mixed[] = {{8 * SPREAD, 300001}, {9 * SPREAD, 100}, {10 * SPREAD, 700000}};
    uint64_t seed = test_seed(), free_bytes, aheads = probe_hits("objsrv.apply.ahead");
    uint8_t *old = arena_alloc(&env->arena, LEN), *new = arena_alloc(&env->arena, LEN);
    uint64_t csums = probe_hits("objsrv.apply.csum");

    for (uint32_t i = 0; i < LEN; i++) {
        old[i] = (uint8_t)test_rand(&seed);
        new[i] = (uint8_t)test_rand(&seed);
    }
    EXPECT_OK(put(env, &one, 1, 1, old, LEN));
    EXPECT_OK(put(env, three, 3, 1, old, 1004098));
    EXPECT_EQ(probe_hits("objsrv.apply.ahead"), aheads + 2);
    EXPECT_OK(put(env, mixed, 3, 1, old, 1000101));
    EXPECT_EQ(probe_hits("objsrv.apply.ahead"), aheads + 2);
    large_check(env, &one, 1, old);
    large_check(env, three, 3, old);
    large_check(env, mixed, 3, old);

    free_bytes = data_free(env);
    env->crc_flip = 1;
    EXPECT_ERR(put(env, &one, 1, 1, new, LEN), CSUM);
    EXPECT_ERR(put(env, three, 3, 1, new, 1004098), CSUM);
    EXPECT_ERR(put(env, mixed, 3, 1, new, 1000101), CSUM);
    env->crc_flip = 0;
    EXPECT_EQ(probe_hits("objsrv.apply.csum"), csums + 3);
    EXPECT_EQ(data_free(env), free_bytes);
    large_check(env, &one, 1, old);
    large_check(env, three, 3, old);
    large_check(env, mixed, 3, old);
    EXPECT_OK(put(env, three, 3, 1, new, 1004098));
    large_check(env, three, 3, new);
    large_check(env, &one, 1, old);
}

TEST_ON(objsrv, large_values_go_to_their_place, BACKEND_SIM)
{
    run(body_ahead);
}

/* ---- random requests ------------------------------------------------------------------------ */

static uint64_t
odd(uint64_t *seed)
{
    static const uint64_t some[] = {
        0, 1, 2, 3, 8, 4096, 16384, UINT32_MAX, UINT64_C(1) << 62, UINT64_C(1) << 63, UINT64_MAX};

    return some[test_rand(seed) % (sizeof(some) / sizeof(some[0]))];
}

static struct iov
odd_key(struct env *env, uint64_t *seed)
{
    static const size_t lens[] = {0, 1, 7, 8, 9, 80, 81, 4096};
    size_t len = lens[test_rand(seed) % 8];
    uint8_t *buf = arena_alloc(&env->arena, len);

    memset(buf, (int)(test_rand(seed) % 3), len);
    return (struct iov){buf, len};
}

static struct oid
odd_oid(uint64_t *seed)
{
    return (struct oid){test_rand(seed) % 3, (test_rand(seed) % 18) << 56 | UINT64_C(1) << 32};
}

static struct proto_array
odd_iods(struct env *env, uint64_t *seed, uint64_t *ret_len)
{
    uint32_t nr = (uint32_t)(test_rand(seed) % 4);
    struct proto_iod *iods = arena_calloc(&env->arena, nr + 1, sizeof(*iods));

    for (uint32_t i = 0; i < nr; i++) {
        uint32_t rnr = (uint32_t)(test_rand(seed) % 4);
        struct proto_recx *recxs = arena_calloc(&env->arena, rnr + 1, sizeof(*recxs));
        uint64_t sum = 0;

        for (uint32_t k = 0; k < rnr; k++) {
            recxs[k].idx = test_rand(seed) % 4 == 0 ? odd(seed) : test_rand(seed) % 100;
            recxs[k].nr = test_rand(seed) % 8 == 0 ? odd(seed) : test_rand(seed) % 20;
            sum += recxs[k].nr;
        }
        iods[i].akey = odd_key(env, seed);
        iods[i].type =
            (uint8_t)(test_rand(seed) % 8 == 0 ? test_rand(seed) : 1 + test_rand(seed) % 2);
        iods[i].cond = (uint32_t)(test_rand(seed) % 4 == 0 ? test_rand(seed) : 0);
        iods[i].size = test_rand(seed) % 8 == 0 ? odd(seed) : test_rand(seed) % 9;
        iods[i].recxs = (struct proto_array){rnr, recxs};
        iods[i].buf_len = iods[i].type == 1 ? iods[i].size : sum * iods[i].size;
        if (test_rand(seed) % 8 == 0)
            iods[i].buf_len = odd(seed);
        *ret_len += iods[i].buf_len;
    }
    return (struct proto_array){nr, iods};
}

static int
odd_apply(struct env *env, uint64_t *seed)
{
    uint32_t nr = (uint32_t)(test_rand(seed) % 4);
    struct proto_mod *mods = arena_calloc(&env->arena, nr + 1, sizeof(*mods));
    struct proto_obj_apply_req req = {.mods = {nr, mods}};
    struct proto_obj_apply_rep rep;
    static uint8_t data[PROTO_INLINE_BYTES_MAX];

    for (uint32_t i = 0; i < nr; i++) {
        uint64_t len = 0;

        mods[i].op = (uint8_t)(1 + test_rand(seed) % 5);
        mods[i].oid = odd_oid(seed);
        mods[i].cond = (uint32_t)(test_rand(seed) % 4 == 0 ? test_rand(seed) : 0);
        mods[i].dkey = odd_key(env, seed);
        mods[i].iods = odd_iods(env, seed, &len);
        req.data_len += mods[i].op == 1 ? len : 0;
    }
    if (req.data_len <= sizeof(data)) {
        req.data = (struct iov){data, req.data_len};
        req.data_crc = crc32c(0, data, req.data_len);
    }
    return call(env, PROTO_OBJ_APPLY, &req, &rep);
}

static void
body_random(struct env *env)
{
    uint64_t seed = test_seed();
    uint32_t good = 0, bad = 0;

    for (int i = 0; i < 4000; i++) {
        struct proto_obj_fetch_rep frep;
        struct proto_obj_list_rep lrep;
        struct proto_obj_query_rep qrep;
        uint64_t len = 0;
        int rc = 0;

        arena_reset(&env->arena);
        switch (i % 4) {
        case 0:
            rc = odd_apply(env, &seed);
            break;
        case 1: {
            struct proto_obj_fetch_req req = {.oid = odd_oid(&seed),
                .epoch = test_rand(&seed) % 2 == 0 ? UINT64_MAX : odd(&seed),
                .flags = (uint32_t)(test_rand(&seed) % 4 == 0 ? test_rand(&seed) : 0),
                .dkey = odd_key(env, &seed),
                .iods = odd_iods(env, &seed, &len)};

            rc = call(env, PROTO_OBJ_FETCH, &req, &frep);
            break;
        }
        case 2: {
            uint8_t anchor[PROTO_ANCHOR_BYTES_MAX];
            struct proto_obj_list_req req = {.oid = odd_oid(&seed),
                .level = (uint8_t)(test_rand(&seed) % 6),
                .descending = (uint8_t)(test_rand(&seed) % 2),
                .epoch = test_rand(&seed) % 2 == 0 ? UINT64_MAX : odd(&seed),
                .dkey = odd_key(env, &seed),
                .akey = odd_key(env, &seed),
                .nr_max = (uint32_t)odd(&seed),
                .bytes_max = (uint32_t)odd(&seed)};

            for (size_t k = 0; k < sizeof(anchor); k++) {
                anchor[k] = (uint8_t)(test_rand(&seed) % 4);
            }
            if (test_rand(&seed) % 2 == 0)
                req.anchor = (struct iov){anchor, sizeof(anchor)};
            rc = call(env, PROTO_OBJ_LIST, &req, &lrep);
            break;
        }
        default: {
            struct proto_obj_query_req req = {.oid = odd_oid(&seed),
                .epoch = test_rand(&seed) % 2 == 0 ? UINT64_MAX : odd(&seed),
                .flags = (uint32_t)(test_rand(&seed) % 32),
                .dkey = odd_key(env, &seed),
                .akey = odd_key(env, &seed)};

            rc = call(env, PROTO_OBJ_QUERY_KEY, &req, &qrep);
        }
        }
        good += rc == 0;
        bad += rc != 0;
        EXPECT(rc != -DER_UNREACH && rc != -DER_TIMEDOUT && rc != -DER_NVME_IO && rc != -DER_CSUM);
    }
    EXPECT_GT(good, 100); /* the numbers are not all nonsense */
    EXPECT_GT(bad, 100);
}

TEST_ON(objsrv, random_requests, BACKEND_SIM)
{
    run(body_random);
}

/* ---- a client that stands still ------------------------------------------------------------- */

static void
body_stuck(struct env *env)
{
    uint8_t *data = arena_calloc(&env->arena, 1, 8 << 20);
    struct proto_recx recx = {0, 8 << 20};

    env->timeout_ns = UINT64_MAX >> 2;
    CAIRN_IGNORE(put(env, &recx, 1, 1, data, 8 << 20)); /* paused in the middle of it */
}

static bool
is_pulling(void *arg)
{
    struct env *env = arg;
    struct tgt_stats st;

    tgt_stats_get(env->tgt, &st);
    return st.running_nr == 1;
}

/*
 * The client stops in the middle of a transfer and has given a deadline of years: the target can be
 * drained all the same (MS-6).
 */
static void
stands_still(const char *dir)
{
    struct sim_opts opts = {.seed = test_seed(), .net_lat_lo_ns = 5000, .net_lat_hi_ns = 50000};
    struct env env;

    env_begin(&env, &opts, dir, body_stuck);
    EXPECT_OK(sim_run_until(env.sim, is_pulling, &env, UINT64_C(10000000000)));
    sim_node_pause(env.cplat, true);
    EXPECT_OK(xstream_post(env.sxs, ULT_SERVICE, server_down_ult, &env));
    EXPECT_OK(sim_run_until(env.sim, is_down, &env, OBJSRV_BULK_NS + UINT64_C(30000000000)));
    sim_node_pause(env.cplat, false);
    EXPECT_OK(sim_run_until(env.sim, is_done, &env, UINT64_C(100000000000)));
    env_end(&env);
}

TEST_ON(objsrv, a_client_that_stands_still, BACKEND_SIM)
{
    stands_still("/t");
    stands_still("/shm/t");
}
