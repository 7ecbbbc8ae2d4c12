/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a step of the system service that comes late brings nothing back and ends nothing new (MGT-5). Method: the steps of the creation and the end of a pool
 * reach an engine in every order that matters, and at the same time, at every moment; what there is afterwards is looked for.
 */
#include "base/probe.h"
#include "engine/engine_priv.h"
#include "server/server_rig.h"

#define META_BYTES (UINT64_C(4) << 20)

/* One step, to the services of an engine or to a target. */
struct late {
    struct engine *engine;
    struct pool_tgt *pt;
    struct proto_svc_pool_req svc;
    struct proto_tgt_pool_req tgt;
    struct rpc_req req;
    struct arena arena;
    bool is_end, is_done;
    uint32_t delay_ns;
    int rc;
};

static void
svc_task(void *arg)
{
    struct late *l = arg;

    if (l->delay_ns > 0)
        ult_sleep(l->delay_ns);
    do {
        l->rc = l->is_end ? pool_svc_destroy(l->engine->pools, l->svc.pool, l->svc.life)
                          : pool_svc_create(l->engine->pools, &l->svc, &l->arena);
        if (l->rc == -DER_BUSY)
            ult_sleep(1000000); /* as the system service does */
    } while (l->rc == -DER_BUSY);
    l->is_done = true;
}

static void
tgt_task(void *arg)
{
    struct late *l = arg;
    struct tgt *tgt = l->engine->xs[1].tgt;

    if (l->delay_ns > 0)
        ult_sleep(l->delay_ns);
    l->req.body = &l->tgt;
    l->rc =
        l->is_end ? pool_h_tgt_destroy(tgt, &l->req, NULL) : pool_h_tgt_create(tgt, &l->req, NULL);
    l->is_done = true;
}

static void
late_begin(struct rig *rig, struct late *l, uint64_t life, bool is_end, struct iov map)
{
    memset(l, 0, sizeof(*l));
    l->engine = rig->engines[0].engine;
    l->svc = (struct proto_svc_pool_req){.pool = {{7, 7}}, .map = map, .life = life};
    l->tgt = (struct proto_tgt_pool_req){
        .pool = {{7, 7}}, .meta_bytes = META_BYTES, .data_bytes = META_BYTES, .life = life};
    l->is_end = is_end;
    arena_init(&l->arena, 1024, 1 << 20);
}

static int
svc_now(struct rig *rig, uint64_t life, bool is_end, struct iov map)
{
    struct late *l = arena_alloc(&rig->arena, sizeof(*l));

    late_begin(rig, l, life, is_end, map);
    EXPECT_OK(xstream_post(l->engine->xs[0].xs, ULT_SERVICE, svc_task, l));
    while (!l->is_done) {
        ult_sleep(1000000);
    }
    arena_fini(&l->arena);
    return l->rc;
}

static int
tgt_now(struct rig *rig, uint64_t life, bool is_end)
{
    struct late *l = arena_alloc(&rig->arena, sizeof(*l));

    late_begin(rig, l, life, is_end, (struct iov){NULL, 0});
    EXPECT_OK(xstream_post(l->engine->xs[1].xs, ULT_SERVICE, tgt_task, l));
    while (!l->is_done) {
        ult_sleep(1000000);
    }
    arena_fini(&l->arena);
    return l->rc;
}

static struct iov
map_make(struct rig *rig)
{
    struct poolmap_rank_desc desc = {.rank = {0}, .node_id = 0, .tgts_nr = RIG_TGTS};
    struct poolmap *map = NULL;
    struct enc e;
    size_t len;
    void *buf;

    EXPECT_OK(poolmap_create(&desc, 1, &map));
    len = poolmap_encoded_bytes(map);
    buf = arena_alloc(&rig->arena, len);
    enc_init(&e, buf, len);
    poolmap_encode(map, &e);
    poolmap_destroy(map);
    return (struct iov){buf, e.len};
}

/* Whether there is a database, and a shard. */
static bool
has_svc(struct rig *rig)
{
    struct uuid pool = {{7, 7}};

    return pool_svc_rsvc(rig->engines[0].engine->pools, pool) != NULL;
}

static void
look_task(void *arg)
{
    struct late *l = arg;
    struct vos_pool_info info;

    l->rc = vos_pool_query(l->engine->xs[1].vos, l->tgt.pool, &info);
    l->is_done = true;
}

static int
shard_rc(struct rig *rig)
{
    struct late *l = arena_alloc(&rig->arena, sizeof(*l));

    late_begin(rig, l, 0, false, (struct iov){NULL, 0});
    EXPECT_OK(xstream_post(l->engine->xs[1].xs, ULT_SERVICE, look_task, l));
    while (!l->is_done) {
        ult_sleep(1000000);
    }
    arena_fini(&l->arena);
    return l->rc;
}

static void
body_orders(struct rig *rig)
{
    struct iov map = map_make(rig);

    /* The start of life 10 was given up, and undone; it comes now. */
    EXPECT_OK(svc_now(rig, 10, true, map));
    EXPECT_OK(tgt_now(rig, 10, true));
    EXPECT_EQ(svc_now(rig, 10, false, map), -DER_NONEXIST);
    EXPECT_EQ(tgt_now(rig, 10, false), -DER_NONEXIST);
    EXPECT(!has_svc(rig));
    EXPECT_EQ(shard_rc(rig), -DER_NONEXIST);
    /* The pool is made anew; steps of the first time change nothing of it. */
    EXPECT_OK(tgt_now(rig, 20, false));
    EXPECT_OK(svc_now(rig, 20, false, map));
    EXPECT_OK(svc_now(rig, 10, true, map));
    EXPECT_OK(tgt_now(rig, 10, true));
    EXPECT(has_svc(rig));
    EXPECT_OK(shard_rc(rig));
    EXPECT_EQ(svc_now(rig, 10, false, map), -DER_NONEXIST);
    /* Asked again it is the same answer. */
    EXPECT_OK(svc_now(rig, 20, false, map));
    EXPECT_OK(tgt_now(rig, 20, false));
    EXPECT_OK(svc_now(rig, 20, true, map));
    EXPECT_OK(svc_now(rig, 20, true, map));
    EXPECT_OK(tgt_now(rig, 20, true));
    EXPECT(!has_svc(rig));
    EXPECT_EQ(shard_rc(rig), -DER_NONEXIST);
    EXPECT_EQ(svc_now(rig, 20, false, map), -DER_NONEXIST);
}

TEST_ON(server_late, requests_in_every_order, BACKEND_SIM)
{
    rig_run(1, body_orders);
}

/* The end overtakes the start in the middle of it, wherever that is. */
static void
body_overtaken(struct rig *rig)
{
    struct iov map = map_make(rig);

    for (uint64_t i = 0; i < 60 && !test_failed(); i++) {
        struct late *l[2][2];

        for (int end = 0; end < 2; end++) {
            for (int tgt = 0; tgt < 2; tgt++) {
                l[end][tgt] = arena_alloc(&rig->arena, sizeof(struct late));
                late_begin(rig, l[end][tgt], 100 + i, end == 1, map);
                l[end][tgt]->delay_ns = end == 1 ? (uint32_t)(i * 20000) : 0;
                EXPECT_OK(xstream_post(l[end][tgt]->engine->xs[tgt].xs, ULT_SERVICE,
                    tgt == 1 ? tgt_task : svc_task, l[end][tgt]));
            }
        }
        for (int k = 0; k < 4; k++) {
            while (!l[k / 2][k % 2]->is_done) {
                ult_sleep(1000000);
            }
        }
        EXPECT_OK(l[1][0]->rc);
        EXPECT_OK(l[1][1]->rc);
        EXPECT(!has_svc(rig));
        EXPECT_EQ(shard_rc(rig), -DER_NONEXIST);
        for (int k = 0; k < 4; k++) {
            arena_fini(&l[k / 2][k % 2]->arena);
        }
    }
    EXPECT_GT(probe_hits("pool.svcs.change.busy"), 0);
}

TEST_ON(server_late, an_end_overtakes_the_start, BACKEND_SIM)
{
    rig_run(1, body_overtaken);
}
