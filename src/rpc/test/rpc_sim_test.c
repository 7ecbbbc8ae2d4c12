/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: with a network that loses, duplicates, reorders and cuts, and processes that are killed and paused, every modifying request takes effect
 * exactly once (RPC-2 with the memory of effects that vos has), data arrives as it was sent, nothing hangs, nothing is leaked.
 * Method: three clients of four workers each call one server until every request is acknowledged. The server's handler is a model of vos: it
 * looks its request up, works for a while, then does and remembers the effect in one step, as a transaction would. Two runs of one request at a
 * time would both miss the lookup: that is what the planted bug (no joining of resends) does, and the checker must see it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/rng.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"
#include "proto/proto_svc.h"
#include "rpc/rpc_priv.h"

#define MS UINT64_C(1000000)

enum {
    CLIENTS_NR = 3,
    WORKERS_NR = 4,
    REQUESTS_NR = 25,
    BULK_BYTES = 3 * RPC_BULK_CHUNK_BYTES + 77
};

struct world;

/* One process. */
struct node {
    struct world *world;
    const char *host, *name;
    struct plat *plat;
    struct xstream *xs;
    struct rpc_ctx *ctx;
    uint64_t incarnation;
    uint32_t idx;
    uint32_t workers_nr; /* that still run */
    bool is_alive;
    bool is_destroyed;
};

struct worker {
    struct node *node;
    uint32_t slot;
    struct rng rng;
    uint64_t timeout_ns;
    uint8_t mem[BULK_BYTES];
    uint8_t flat[BULK_BYTES];
    uint32_t acked_nr; /* survives its process */
};

struct world {
    struct sim *sim;
    struct node server;
    struct node clients[CLIENTS_NR];
    struct worker workers[CLIENTS_NR][WORKERS_NR];
    struct rng rng;
    bool dups_off; /* the planted bug */
    /* The durable store: what request (client, slot, seq) did, and whether it runs now. */
    uint32_t effects[CLIENTS_NR][WORKERS_NR][REQUESTS_NR + 1];
    uint32_t running[CLIENTS_NR][WORKERS_NR][REQUESTS_NR + 1];
    uint32_t overlaps_nr, corrupt_nr, attempts_nr, replays_nr;
    uint32_t rc_seen[8]; /* by kind of failure, see failure_count() */
};

/* ---- the server ----------------------------------------------------------------------------------------------------- */

static int
effect_handler(struct rpc_req *req, int (*work)(struct rpc_req *req))
{
    struct world *world = req->handler_arg;
    uint32_t client = req->hdr->client.b[0];
    uint32_t slot = req->hdr->slot;
    uint64_t seq = req->hdr->seq;
    uint32_t *effect = &world->effects[client][slot][seq];
    uint32_t *running = &world->running[client][slot][seq];
    int rc;

    if (*effect > 0) {
        world->replays_nr++;
        return 0;
    }
    world->overlaps_nr += *running > 0;
    (*running)++;
    ult_sleep(rng_below(&world->rng, 30 * MS));
    rc = work != NULL ? work(req) : 0;
    (*running)--;
    if (rc == 0) {
        (*effect)++;
    }
    return rc;
}

static int
set_handler(struct rpc_req *req, void *rep)
{
    (void)rep;
    return effect_handler(req, NULL);
}

static int
pull_work(struct rpc_req *req)
{
    const struct proto_obj_apply_req *body = req->body;
    struct world *world = req->handler_arg;
    uint8_t *buf = arena_alloc(req->arena, body->bulk.len);
    int rc = rpc_bulk_pull(req, &body->bulk, 0, buf, body->bulk.len);

    if (rc == 0 && crc32c(0, buf, body->bulk.len) != body->data_crc) {
        world->corrupt_nr++;
    }
    return rc;
}

static int
apply_handler(struct rpc_req *req, void *rep)
{
    (void)rep;
    return effect_handler(req, pull_work);
}

static int
fetch_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_obj_fetch_req *body = req->body;
    struct proto_obj_fetch_rep *rep = rep_arg;
    uint8_t *buf = arena_alloc(req->arena, body->bulk.len);

    memset(buf, (int)body->shard, body->bulk.len);
    rep->data_crc = crc32c(0, buf, body->bulk.len);
    return rpc_bulk_push(req, &body->bulk, 0, buf, body->bulk.len);
}

static const struct rpc_handler handlers[] = {
    {PROTO_POOL_ATTR_SET, ULT_SERVICE, set_handler},
    {PROTO_OBJ_APPLY, ULT_IO, apply_handler},
    {PROTO_OBJ_FETCH, ULT_IO, fetch_handler},
};

/* ---- processes ------------------------------------------------------------------------------------------------------ */

static void
node_reap(void *arg)
{
    struct node *node = arg;

    if (node->xs == NULL) { /* ended before the simulator was */
        return;
    }
    rpc_ctx_abandon(node->ctx);
    xstream_abandon(node->xs);
    xstream_destroy(node->xs);
    node->ctx = NULL;
    node->xs = NULL;
    node->is_alive = false;
}

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    (void)arg;
    (void)ep;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "sim://server/0");
    ret_addr->incarnation = 0;
    return 0;
}

static bool
node_start(struct world *world, struct node *node, bool is_server)
{
    struct rpc_ctx_opts opts = {.listen_uri = is_server ? "sim://server/0" : NULL,
        .rank = is_server ? 0 : RPC_RANK_NONE,
        .incarnation = ++node->incarnation,
        .client = {{(uint8_t)node->idx, 1}}, /* never nil */
        .handlers = handlers,
        .handler_nr = is_server ? ARRAY_SIZE(handlers) : 0,
        .handler_arg = world,
        .resolve = resolve};

    node->world = world;
    if (!EXPECT_OK(sim_node_start(world->sim, node->host, node->name, &node->plat)) ||
        !EXPECT_OK(xstream_create(node->plat, NULL, &node->xs)))
        return false;
    opts.xs = node->xs;
    if (!EXPECT_OK(rpc_ctx_create(&opts, &node->ctx)) || !EXPECT_OK(xstream_start(node->xs)))
        return false;
    node->ctx->dups_off = world->dups_off;
    node->is_alive = true;
    sim_node_on_kill(node->plat, node_reap, node);
    return true;
}

static void
server_kill(struct world *world)
{
    sim_node_kill(world->sim, world->server.plat);
    memset(world->running, 0, sizeof(world->running));
}

/* ---- the clients ---------------------------------------------------------------------------------------------------- */

static void
failure_count(struct world *world, int rc)
{
    static const int kinds[] = {-DER_TIMEDOUT, -DER_UNREACH, -DER_STALE, -DER_CSUM};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        world->rc_seen[i] += rc == kinds[i];
    }
    EXPECT(rc == -DER_TIMEDOUT || rc == -DER_UNREACH ||
        rc == -DER_STALE); /* nothing else is right here */
}

static struct rpc_call_opts
call_opts(struct worker *w, uint64_t seq)
{
    return (struct rpc_call_opts){
        .deadline_ns = plat_mono_ns(w->node->plat) + w->timeout_ns, .slot = w->slot, .seq = seq};
}

static int
attempt_set(struct worker *w, uint64_t seq)
{
    struct proto_attr_req req = {.attrs = {0, NULL}};
    struct rpc_call_opts opts = call_opts(w, seq);

    return rpc_call(
        w->node->ctx, (struct rpc_ep){0, 0}, PROTO_POOL_ATTR_SET, &req, NULL, &opts, NULL);
}

/* Regions in two pieces: some chunks lie in one of them, one in both. */
static int
region_create(struct worker *w, uint32_t perm, struct rpc_bulk **ret_bulk)
{
    size_t cut = 1 + rng_below(&w->rng, BULK_BYTES - 1);
    struct iov iovs[2] = {{w->mem, cut}, {w->mem + cut, BULK_BYTES - cut}};

    return rpc_bulk_create(w->node->ctx, &(struct sgl){2, iovs}, perm, ret_bulk);
}

static int
attempt_pull(struct worker *w, uint64_t seq)
{
    struct proto_obj_apply_req req = {.data_len = BULK_BYTES};
    struct rpc_call_opts opts = call_opts(w, seq);
    struct rpc_bulk *bulk = NULL;
    int rc;

    memset(w->mem, (int)(seq * 7 + w->slot), BULK_BYTES);
    req.data_crc = crc32c(0, w->mem, BULK_BYTES);
    EXPECT_OK(region_create(w, RPC_BULK_READ, &bulk));
    rpc_bulk_desc(bulk, &req.bulk);
    rc = rpc_call(w->node->ctx, (struct rpc_ep){0, 0}, PROTO_OBJ_APPLY, &req, NULL, &opts, NULL);
    rpc_bulk_free(bulk);
    memset(w->mem, 0xdd, BULK_BYTES); /* who reads it now, reads rubbish */
    return rc;
}

static int
attempt_push(struct worker *w, uint64_t seq)
{
    struct world *world = w->node->world;
    struct proto_obj_fetch_req req = {.shard = (uint8_t)(seq * 3 + w->slot)};
    struct rpc_call_opts opts = call_opts(w, 0);
    struct rpc_bulk *bulk = NULL;
    int rc;

    EXPECT_OK(region_create(w, RPC_BULK_WRITE, &bulk));
    rpc_bulk_desc(bulk, &req.bulk);
    rc = rpc_call(w->node->ctx, (struct rpc_ep){0, 0}, PROTO_OBJ_FETCH, &req, NULL, &opts, NULL);
    rpc_bulk_free(bulk);
    memset(w->flat, (int)req.shard, BULK_BYTES);
    if (rc == 0 && memcmp(w->mem, w->flat, BULK_BYTES) != 0) {
        world->corrupt_nr++;
    }
    memset(w->mem, 0xdd, BULK_BYTES);
    ult_sleep(rng_below(&w->rng, MS));
    for (size_t i = 0; i < BULK_BYTES; i++) {
        if (w->mem[i] != 0xdd) { /* RPC-4: written after it was given back */
            world->corrupt_nr++;
            break;
        }
    }
    return rc;
}

static void
worker_main(void *arg)
{
    struct worker *w = arg;
    struct world *world = w->node->world;

    for (uint64_t seq = w->acked_nr + 1; seq <= REQUESTS_NR; seq++) {
        int kind = (int)rng_below(&w->rng, 8);
        int rc;

        do {
            world->attempts_nr++;
            rc = kind == 0 ? attempt_push(w, seq) : 0;
            if (rc == 0) {
                rc = kind <= 2 ? attempt_pull(w, seq) : attempt_set(w, seq);
            }
            if (rc != 0) {
                failure_count(world, rc);
                ult_sleep(rng_below(&w->rng, 5 * MS));
            }
        } while (rc != 0);
        w->acked_nr++;
        EXPECT_EQ(world->effects[w->node->idx][w->slot][seq] > 0, true); /* acknowledged, hence done */
    }
    w->node->workers_nr--;
}

static void
client_go(struct world *world, struct node *node)
{
    if (!node_start(world, node, false))
        return;
    node->workers_nr = WORKERS_NR;
    for (uint32_t i = 0; i < WORKERS_NR; i++) {
        EXPECT_OK(xstream_post(node->xs, ULT_IO, worker_main, &world->workers[node->idx][i]));
    }
}

static void
node_end_main(void *arg)
{
    struct node *node = arg;

    rpc_ctx_destroy(node->ctx);
    node->ctx = NULL;
    node->is_destroyed = true;
}

static bool
all_done(void *arg)
{
    struct world *world = arg;
    uint32_t left = 0;

    for (uint32_t i = 0; i < CLIENTS_NR; i++) {
        left += world->clients[i].workers_nr;
    }
    return left == 0;
}

static bool
node_ended(void *arg)
{
    return ((struct node *)arg)->is_destroyed;
}

static void
node_end(struct world *world, struct node *node)
{
    node->is_destroyed = false;
    EXPECT_OK(xstream_post(node->xs, ULT_SERVICE, node_end_main, node));
    EXPECT_OK(sim_run_until(world->sim, node_ended, node, sim_now_ns(world->sim) + 60000 * MS));
    sim_run_for(world->sim, MS);
    xstream_stop(node->xs);
    xstream_destroy(node->xs);
    node->xs = NULL;
}

static struct world *
world_create(const struct sim_opts *opts, bool dups_off)
{
    static const char *const names[] = {"c0", "c1", "c2"};
    struct world *world = calloc(1, sizeof(*world));

    EXPECT_OK(sim_create(opts, &world->sim));
    world->dups_off = dups_off;
    rng_init(&world->rng, opts->seed + 1);
    world->server = (struct node){.host = "hs", .name = "server", .incarnation = 100};
    node_start(world, &world->server, true);
    for (uint32_t c = 0; c < CLIENTS_NR; c++) {
        world->clients[c] = (struct node){.host = names[c], .name = names[c], .idx = c};
        for (uint32_t i = 0; i < WORKERS_NR; i++) {
            struct worker *w = &world->workers[c][i];

            w->node = &world->clients[c];
            w->slot = i;
            w->timeout_ns = 25 * MS;
            rng_init(&w->rng, opts->seed * 1000 + c * 10 + i);
        }
    }
    return world;
}

static void
world_end(struct world *world)
{
    for (uint32_t c = 0; c < CLIENTS_NR; c++) {
        node_end(world, &world->clients[c]);
    }
    node_end(world, &world->server);
    sim_destroy(world->sim);
    free(world);
}

/* The checker: how many requests did not take effect exactly once, or ran twice at a time. */
static uint32_t
violations(const struct world *world)
{
    uint32_t nr = world->overlaps_nr + world->corrupt_nr;

    for (uint32_t c = 0; c < CLIENTS_NR; c++) {
        for (uint32_t s = 0; s < WORKERS_NR; s++) {
            for (uint32_t q = 1; q <= REQUESTS_NR; q++) {
                nr += world->effects[c][s][q] != 1;
            }
        }
    }
    return nr;
}

static struct sim_opts
stormy(uint64_t seed)
{
    return (struct sim_opts){.seed = seed,
        .net_lat_lo_ns = 5000,
        .net_lat_hi_ns = 200000,
        .net_loss_ppm = 20000,
        .net_dup_ppm = 30000,
        .net_reorder_ppm = 50000,
        .net_cut_ppm = 3000};
}

static uint32_t
storm(uint64_t seed, bool dups_off, bool kills, uint64_t *ret_hash, struct world *ret_sums)
{
    struct sim_opts opts = stormy(seed);
    struct world *world = world_create(&opts, dups_off);
    uint32_t nr;

    for (uint32_t c = 0; c < CLIENTS_NR; c++) {
        client_go(world, &world->clients[c]);
    }
    for (int i = 0; kills && i < 5 && !all_done(world); i++) {
        struct node *victim = &world->clients[rng_below(&world->rng, CLIENTS_NR)];

        sim_run_for(world->sim, rng_below(&world->rng, 200 * MS));
        if (i % 2 == 0) {
            server_kill(world);
            sim_run_for(world->sim, rng_below(&world->rng, 50 * MS));
            node_start(world, &world->server, true);
        } else {
            sim_node_kill(world->sim, victim->plat);
            sim_run_for(world->sim,
                100 * MS); /* what it asked for comes to its end before its successor asks */
            client_go(world, victim);
        }
    }
    EXPECT_OK(sim_run_until(world->sim, all_done, world, sim_now_ns(world->sim) + 600000 * MS));
    nr = violations(world);
    *ret_hash = sim_trace_hash(world->sim);
    ret_sums->attempts_nr += world->attempts_nr;
    ret_sums->replays_nr += world->replays_nr;
    for (size_t i = 0; i < ARRAY_SIZE(ret_sums->rc_seen); i++) {
        ret_sums->rc_seen[i] += world->rc_seen[i];
    }
    world_end(world);
    return nr;
}

TEST_ON(rpc_sim, storm, BACKEND_SIM)
{
    struct world *sums = calloc(1, sizeof(*sums));
    uint64_t hash;

    probe_reset();
    for (uint64_t i = 0; i < 6; i++) {
        EXPECT_EQ(storm(test_seed() + i, false, false, &hash, sums), 0u);
    }
    /* The storm did what it is for. */
    EXPECT_GT(sums->attempts_nr, 6u * CLIENTS_NR * WORKERS_NR * REQUESTS_NR);
    EXPECT_GT(sums->replays_nr, 0u);
    EXPECT_GT(sums->rc_seen[0], 0u); /* TIMEDOUT */
    EXPECT_GT(sums->rc_seen[1], 0u); /* UNREACH */
    EXPECT_GT(probe_hits("rpc.serve.dup_join"), 0u);
    EXPECT_GT(probe_hits("rpc.bulk.free_cancels"), 0u);
    free(sums);
}

TEST_ON(rpc_sim, storm_with_kills, BACKEND_SIM)
{
    struct world *sums = calloc(1, sizeof(*sums));
    uint64_t hash;

    for (uint64_t i = 0; i < 6; i++) {
        EXPECT_EQ(storm(test_seed() + 100 + i, false, true, &hash, sums), 0u);
    }
    EXPECT_GT(sums->rc_seen[2], 0u); /* STALE */
    free(sums);
}

/* The planted bug: resends do not join. The checker must see it. */
TEST_ON(rpc_sim, checker_sees_double_runs, BACKEND_SIM)
{
    struct world *sums = calloc(1, sizeof(*sums));
    uint64_t hash;
    uint32_t nr = 0;

    for (uint64_t i = 0; i < 3; i++) {
        nr += storm(test_seed() + i, true, false, &hash, sums) > 0;
    }
    EXPECT_EQ(nr, 3u);
    free(sums);
}

TEST_ON(rpc_sim, same_seed_same_trace, BACKEND_SIM)
{
    struct world *sums = calloc(1, sizeof(*sums));
    uint64_t first = 0, again = 0, other = 0;

    EXPECT_EQ(storm(test_seed(), false, true, &first, sums), 0u);
    EXPECT_EQ(storm(test_seed(), false, true, &again, sums), 0u);
    EXPECT_EQ(storm(test_seed() + 1, false, true, &other, sums), 0u);
    EXPECT_EQ(first, again);
    EXPECT_NE(first, other);
    free(sums);
}

/* ---- one process fails in the middle of a transfer ------------------------------------------------------------------ */

static struct world *
calm(void)
{
    struct sim_opts opts = {.seed = test_seed(), .net_lat_lo_ns = 5000, .net_lat_hi_ns = 60000};

    return world_create(&opts, false);
}

static bool
server_is_idle(void *arg)
{
    struct world *world = arg;

    return world->server.ctx->stats.running_nr == 0;
}

static bool
chunks_move(void *arg)
{
    struct world *world = arg;

    return world->server.ctx->chunks.nr > 0;
}

static void
pull_main(void *arg)
{
    struct worker *w = arg;

    CAIRN_IGNORE(attempt_pull(w, 1)); /* any end is fine: the test looks at the other side */
    w->node->workers_nr--;
}

static void
push_main(void *arg)
{
    struct worker *w = arg;

    CAIRN_IGNORE(attempt_push(w, 1)); /* as above */
    w->node->workers_nr--;
}

/* MS-3, MS-6: the client dies, or stops, at many points of a transfer; the handler ends, in time, and the server goes on. */
static void
client_fails(bool is_push, bool is_pause)
{
    for (uint64_t delay_ns = 0; delay_ns < MS / 2; delay_ns += MS / 32) {
        struct world *world = calm();
        struct worker *w = &world->workers[0][0];
        uint64_t start_ns;

        w->timeout_ns = 40 * MS;
        node_start(world, &world->clients[0], false);
        EXPECT_OK(xstream_post(world->clients[0].xs, ULT_IO, is_push ? push_main : pull_main, w));
        EXPECT_OK(sim_run_until(world->sim, chunks_move, world, 1000 * MS));
        start_ns = sim_now_ns(world->sim);
        sim_run_for(world->sim, delay_ns);
        if (is_pause) {
            sim_node_pause(world->clients[0].plat, true);
        } else {
            sim_node_kill(world->sim, world->clients[0].plat);
        }
        EXPECT_OK(sim_run_until(world->sim, server_is_idle, world, start_ns + 5000 * MS));
        EXPECT_LE(sim_now_ns(world->sim) - start_ns, 45 * MS + RPC_DRAIN_NS);
        EXPECT_EQ(world->server.ctx->chunks.nr, 0u);
        if (is_pause) {
            sim_node_kill(world->sim, world->clients[0].plat);
        }
        sim_run_for(world->sim, 100 * MS);
        EXPECT_EQ(world->server.ctx->conns_nr, 0u);
        node_end(world, &world->server);
        sim_destroy(world->sim);
        free(world);
    }
}

TEST_ON(rpc_sim, client_killed_in_pull, BACKEND_SIM)
{
    client_fails(false, false);
}

TEST_ON(rpc_sim, client_killed_in_push, BACKEND_SIM)
{
    client_fails(true, false);
}

TEST_ON(rpc_sim, client_stopped_in_pull, BACKEND_SIM)
{
    client_fails(false, true);
}

TEST_ON(rpc_sim, client_stopped_in_push, BACKEND_SIM)
{
    client_fails(true, true);
}

static bool
client_is_done(void *arg)
{
    return ((struct world *)arg)->clients[0].workers_nr == 0;
}

/* The server dies, or stops, while it pulls or pushes: the call ends and the region can be given back. */
static void
server_fails(bool is_push, bool is_pause)
{
    for (uint64_t delay_ns = 0; delay_ns < MS / 2; delay_ns += MS / 32) {
        struct world *world = calm();
        struct worker *w = &world->workers[0][0];
        struct node *node = &world->clients[0];

        w->timeout_ns = 40 * MS;
        node_start(world, node, false);
        node->workers_nr = 1;
        EXPECT_OK(xstream_post(node->xs, ULT_IO, is_push ? push_main : pull_main, w));
        EXPECT_OK(sim_run_until(world->sim, chunks_move, world, 1000 * MS));
        sim_run_for(world->sim, delay_ns);
        if (world->server.ctx->stats.running_nr > 0) {
            if (is_pause) {
                sim_node_pause(world->server.plat, true);
            } else {
                sim_node_kill(world->sim, world->server.plat);
            }
        }
        EXPECT_OK(
            sim_run_until(world->sim, client_is_done, world, sim_now_ns(world->sim) + 5000 * MS));
        if (is_pause) {
            sim_node_pause(world->server.plat, false);
        }
        node_end(world, node);
        if (is_pause) {
            node_end(world, &world->server);
        }
        sim_destroy(world->sim);
        free(world);
    }
}

TEST_ON(rpc_sim, server_killed_in_pull, BACKEND_SIM)
{
    server_fails(false, false);
}

TEST_ON(rpc_sim, server_killed_in_push, BACKEND_SIM)
{
    server_fails(true, false);
}

TEST_ON(rpc_sim, server_stopped_in_pull, BACKEND_SIM)
{
    server_fails(false, true);
}

TEST_ON(rpc_sim, server_stopped_in_push, BACKEND_SIM)
{
    server_fails(true, true);
}

/* The caller's time ends at every point of a push; attempt_push() looks whether the region is left alone afterwards (RPC-4). */
static void
impatient_main(void *arg)
{
    struct worker *w = arg;
    uint32_t failed_nr = 0;

    for (int i = 0; i < 200; i++) {
        w->timeout_ns = (uint64_t)(100 + i * 5) * 1000;
        failed_nr += attempt_push(w, 1) != 0;
    }
    EXPECT_GT(failed_nr, 20u);
    EXPECT_LT(failed_nr, 200u);
    w->node->workers_nr--;
}

TEST_ON(rpc_sim, impatient_caller, BACKEND_SIM)
{
    struct world *world = calm();

    probe_reset();
    node_start(world, &world->clients[0], false);
    world->clients[0].workers_nr = 1;
    EXPECT_OK(xstream_post(world->clients[0].xs, ULT_IO, impatient_main, &world->workers[0][0]));
    EXPECT_OK(sim_run_until(world->sim, client_is_done, world, 60000 * MS));
    EXPECT_EQ(world->corrupt_nr, 0u);
    EXPECT_GT(probe_hits("rpc.bulk.free_waits"), 0u);
    EXPECT_EQ(probe_hits("rpc.bulk.free_closes"), 0u);
    node_end(world, &world->clients[0]);
    node_end(world, &world->server);
    sim_destroy(world->sim);
    free(world);
}
