/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The control socket: Envelopes in frames from a peer that is another process, good and bad ones.
 * Method: a net endpoint as daos_server's, in the simulator and
 * over AF_UNIX.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine_priv.h"
#include "harness/harness.h"
#include "mgmt/mgmt_priv.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"
#include "proto/ctl/ctl.pb-c.h"
#include "ult/ult.h"

struct env {
    struct sim *sim;
    struct plat *plat, *peer_plat;
    struct engine *engine;
    struct xstream *xs;
    const struct net_ops *ops;
    struct net *net;
    struct net_peer *peer;
    char uri[NET_URI_MAX];
    uint8_t reply[NET_HDR_BYTES_MAX];
    size_t reply_len;
    uint8_t *body; /* of the last answer, joined */
    size_t body_len;
    uint32_t piece_nr;
    int rc;
    uint32_t replies, downs, stops;
    struct ult_cond changed;
    bool is_first; /* piece */
    uint32_t cut_at; /* the connection is closed with that piece of an answer; 0: never */
    bool is_done;
};

/* Join the pieces of an answer. True: it goes on. */
static bool
piece_take(struct env *env)
{
    Cairn__Ctl__Envelope *rep = cairn__ctl__envelope__unpack(NULL, env->reply_len, env->reply);
    bool has_more;

    if (!EXPECT(rep != NULL))
        return false;
    if (env->is_first) {
        env->body_len = 0;
        env->piece_nr = 0;
    }
    env->body = realloc(env->body, env->body_len + rep->body.len + 1);
    if (rep->body.len > 0)
        memcpy(env->body + env->body_len, rep->body.data, rep->body.len);
    env->body_len += rep->body.len;
    env->piece_nr++;
    env->rc = rep->rc;
    EXPECT_EQ(rep->id, 77);
    has_more = rep->more;
    env->is_first = !has_more;
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    return has_more;
}

static void
on_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    struct env *env = arg;

    (void)payload;
    EXPECT_EQ(payload_len, 0);
    memcpy(env->reply, head, head_len);
    env->reply_len = head_len;
    if (!piece_take(env))
        env->replies++;
    if (env->cut_at > 0 && env->piece_nr == env->cut_at) {
        env->is_first = true;
        env->ops->disconnect(peer);
    }
    ult_cond_broadcast(&env->changed);
}

static void
on_down(void *arg, struct net_peer *peer, int rc)
{
    struct env *env = arg;

    (void)rc;
    env->ops->peer_put(peer);
    env->peer = NULL;
    env->downs++;
    ult_cond_broadcast(&env->changed);
}

static void
on_sent(struct net_tx *tx, int rc)
{
    (void)rc;
    *(bool *)tx->arg = true;
}

static const struct net_cbs cbs = {.recv = on_recv, .down = on_down};

static void
on_stop(void *arg)
{
    ((struct env *)arg)->stops++;
}

/* Send bytes and wait for the reply (true) or the end of the connection (false). */
static bool
ask(struct env *env, const void *buf, size_t len)
{
    uint32_t replies = env->replies, downs = env->downs;
    bool is_sent = false;
    struct net_tx tx = {.head = {(void *)(uintptr_t)buf, len}, .done = on_sent, .arg = &is_sent};

    if (env->peer == NULL && !EXPECT_OK(env->ops->connect(env->net, env->uri, &env->peer)))
        return false;
    if (!EXPECT_OK(env->ops->send(env->peer, &tx)))
        return false;
    while (env->replies == replies && env->downs == downs) {
        ult_cond_wait_until(&env->changed, NULL, ult_now_ns() + UINT64_C(100000000));
    }
    while (!is_sent) {
        ult_sleep(1000000);
    }
    return env->replies != replies;
}

static bool
ask_bytes(struct env *env, uint32_t version, int method)
{
    Cairn__Ctl__Envelope req = CAIRN__CTL__ENVELOPE__INIT;
    uint8_t buf[64];
    size_t len;

    req.version = version;
    req.id = 77;
    req.method = method;
    len = cairn__ctl__envelope__pack(&req, buf);
    return ask(env, buf, len);
}

static Cairn__Ctl__Envelope *
ask_method(struct env *env, uint32_t version, int method)
{
    if (!EXPECT(ask_bytes(env, version, method)))
        return NULL;
    return cairn__ctl__envelope__unpack(NULL, env->reply_len, env->reply);
}

/* Each xstream tells what it holds: a ULT answers, nothing else is going on. */
static void
counters_look(struct env *env)
{
    Cairn__Ctl__Envelope *rep = ask_method(env, 1, CAIRN__CTL__METHOD__ENGINE_COUNTERS);
    Cairn__Ctl__EngineCountersRep *counters = NULL;
    uint32_t ults_nr = 0, idle_nr = 0;

    if (EXPECT(rep != NULL))
        counters = cairn__ctl__engine_counters_rep__unpack(NULL, rep->body.len, rep->body.data);
    if (EXPECT(counters != NULL)) {
        EXPECT_EQ(counters->n_counters, 2 * ENGINE_COUNTS_NR); /* of services and one target */
        for (size_t i = 0; i < counters->n_counters; i++) {
            const Cairn__Ctl__Counter *c = counters->counters[i];

            ults_nr += strcmp(c->name, "0.ults") == 0 && c->value > 0;
            idle_nr += strcmp(c->name, "1.requests") == 0 && c->value == 0;
            idle_nr += strcmp(c->name, "1.reservations") == 0 && c->value == 0;
            idle_nr += strcmp(c->name, "1.meta_used") == 0 && c->value > 0;
            idle_nr += strcmp(c->name, "1.store_state") == 0 && c->value == 0; /* well */
        }
        EXPECT_EQ(ults_nr, 1);
        EXPECT_EQ(idle_nr, 4);
        cairn__ctl__engine_counters_rep__free_unpacked(counters, NULL);
    }
    cairn__ctl__envelope__free_unpacked(rep, NULL);
}

static int
rc_of(struct env *env, uint32_t version, int method)
{
    Cairn__Ctl__Envelope *rep = ask_method(env, version, method);
    int rc;

    if (!EXPECT(rep != NULL))
        return -DER_MISC;
    rc = rep->rc;
    EXPECT_EQ(rep->id, 77);
    EXPECT(rep->is_reply);
    EXPECT_EQ(rc != 0, rep->error[0] != '\0');
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    return rc;
}

struct rows {
    struct engine *engine;
    uint32_t from, nr;
};

static void
row_label(uint32_t i, char *buf, size_t buf_bytes)
{
    snprintf(buf, buf_bytes, "pool-%0120u", i);
}

enum { ROWS_BATCH_NR = 100 };

/* Rows of pools, straight into the table of the system service; rows->nr is a multiple of the batch. */
static void
rows_put(void *arg)
{
    struct rsvc_update updates[ROWS_BATCH_NR];
    char label[128];
    struct rows *rows = arg;
    struct arena arena;

    arena_init(&arena, 4096, 16 << 20);
    for (uint32_t i = rows->from; i < rows->from + rows->nr; i++) {
        uint32_t k = i % ROWS_BATCH_NR;
        struct poolmap_rank_desc rank = {.tgts_nr = 1};
        struct mgmt_pool pool = {
            .state = CAIRN__CTL__POOL_STATE__POOL_READY, .rank_nr = 1, .ranks = &rank};

        row_label(i, label, sizeof(label));
        pool.pool = cuuid_derive(&(struct uuid){{0}}, i);
        pool.label = (struct iov){label, strlen(label)};
        EXPECT_OK(mgmt_row_update(&pool, &arena, &updates[k]));
        if (k + 1 < ROWS_BATCH_NR)
            continue;
        EXPECT_OK(rsvc_propose(mgmt_rsvc(rows->engine->mgmt), updates, ROWS_BATCH_NR, NULL,
            (struct iov){NULL, 0}, NULL));
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

static int
label_cmp(const void *a, const void *b)
{
    Cairn__Ctl__PoolEntry *const *x = a, *const *y = b;

    return strcmp((*x)->label, (*y)->label);
}

/* All of them come, through frames of 32 KiB; what is too long is an answer, too, and the connection goes on. */
static void
long_lists(struct env *env)
{
    struct rows rows = {env->engine, 0, 2000};
    Cairn__Ctl__PoolListRep *list;
    char label[128];

    EXPECT_OK(xstream_call(engine_sys(env->engine)->xs, ULT_SERVICE, rows_put, &rows));
    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__POOL_LIST));
    EXPECT(env->piece_nr > 8);
    list = cairn__ctl__pool_list_rep__unpack(NULL, env->body_len, env->body);
    if (EXPECT(list != NULL) && EXPECT_EQ(list->n_pools, rows.nr)) {
        qsort(list->pools, list->n_pools, sizeof(*list->pools), label_cmp);
        for (uint32_t i = 0; i < rows.nr; i++) {
            struct uuid id = cuuid_derive(&(struct uuid){{0}}, i);

            row_label(i, label, sizeof(label));
            EXPECT_STR_EQ(list->pools[i]->label, label);
            EXPECT_MEM_EQ(list->pools[i]->uuid.data, id.b, 16);
            EXPECT_EQ(list->pools[i]->n_svc_reps, 1);
        }
        cairn__ctl__pool_list_rep__free_unpacked(list, NULL);
    }
    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__PING));
    EXPECT_EQ(env->piece_nr, 1);
    /* A peer that goes away in the middle. */
    for (env->cut_at = 1; env->cut_at < 8; env->cut_at += 3) {
        EXPECT(!ask_bytes(env, 1, CAIRN__CTL__METHOD__POOL_LIST));
    }
    env->cut_at = 0;
    EXPECT_EQ(env->downs, 3);
    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__PING));
    rows.from = rows.nr;
    rows.nr = 5000;
    EXPECT_OK(xstream_call(engine_sys(env->engine)->xs, ULT_SERVICE, rows_put, &rows));
    EXPECT_ERR(rc_of(env, 1, CAIRN__CTL__METHOD__POOL_LIST), OVERFLOW);
    EXPECT_EQ(env->downs, 3);
}

static void
peer_ult(void *arg)
{
    struct env *env = arg;
    Cairn__Ctl__EngineStatusRep *st;
    Cairn__Ctl__Envelope *rep;

    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__PING));
    /* While it starts, too, its state can be asked for. */
    do {
        bool is_ready = true;

        rep = ask_method(env, 1, CAIRN__CTL__METHOD__ENGINE_STATUS);
        if (!EXPECT(rep != NULL))
            break;
        st = cairn__ctl__engine_status_rep__unpack(NULL, rep->body.len, rep->body.data);
        if (EXPECT(st != NULL)) {
            is_ready = st->ready;
            EXPECT_EQ(st->self->n_uris, is_ready ? 2 : 0);
            cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
        }
        cairn__ctl__envelope__free_unpacked(rep, NULL);
        if (is_ready)
            break;
        ult_sleep(1000000);
    } while (true);
    counters_look(env);
    EXPECT_ERR(rc_of(env, 2, CAIRN__CTL__METHOD__PING), CONTROL_INCOMPAT);
    EXPECT_ERR(rc_of(env, 1, 55), NOSYS);
    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__POOL_LIST));
    long_lists(env);
    /* What is no Envelope ends the connection, and nothing else. */
    EXPECT(!ask(env, "\xff\xff\xff\xff", 4));
    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__PING));
    EXPECT_OK(rc_of(env, 1, CAIRN__CTL__METHOD__ENGINE_STOP)); /* the answer comes before the end */
    if (env->sim == NULL)
        engine_wait_stopped(env->engine);
    while (engine_state_get(env->engine, NULL, NULL) != ENGINE_STOPPED) {
        ult_sleep(1000000);
    }
    while (env->peer != NULL) {
        ult_sleep(1000000);
    }
    env->ops->close(env->net);
    env->is_done = true;
}

static bool
is_done(void *arg)
{
    return ((struct env *)arg)->is_done;
}

static bool
env_start(struct env *env)
{
    struct xstream_opts xopts = {.name = "peer", .cpu = UINT32_MAX};
    struct sim_opts sopts = {.seed = test_seed()};
    char err[ENGINE_TEXT_BYTES];
    struct engine_cfg cfg;

    engine_cfg_init(&cfg);
    if (test_backend() == BACKEND_LINUX) {
        if (!EXPECT_OK(plat_linux_create(&env->plat)))
            return false;
        env->peer_plat = env->plat;
        snprintf(env->uri, sizeof(env->uri), "unix://%.80s/ctl", test_tmpdir());
        snprintf(cfg.dir, sizeof(cfg.dir), "%.120s/store", test_tmpdir());
        snprintf(cfg.uri_base, sizeof(cfg.uri_base), "unix://%.80s", test_tmpdir());
    } else {
        if (!EXPECT_OK(sim_create(&sopts, &env->sim)) ||
            !EXPECT_OK(sim_node_start(env->sim, "h", "e", &env->plat)) ||
            !EXPECT_OK(sim_node_start(env->sim, "h", "s", &env->peer_plat)))
            return false;
        snprintf(env->uri, sizeof(env->uri), "sim://e/ctl");
        snprintf(cfg.dir, sizeof(cfg.dir), "/store");
        snprintf(cfg.uri_base, sizeof(cfg.uri_base), "sim://e");
    }
    snprintf(cfg.system, sizeof(cfg.system), "ctl");
    snprintf(cfg.ctl_uri, sizeof(cfg.ctl_uri), "%s", env->uri);
    cfg.tgt_nr = 1;
    cfg.wal_bytes = 16 << 20;
    cfg.on_stop = on_stop;
    cfg.on_stop_arg = env;
    ult_cond_init(&env->changed);
    return EXPECT_OK(engine_start(env->plat, &cfg, err, &env->engine)) &&
        EXPECT_OK(xstream_create(env->peer_plat, &xopts, &env->xs)) &&
        EXPECT((env->ops = env->peer_plat->ops->net(env->peer_plat, env->uri)) != NULL) &&
        EXPECT_OK(env->ops->open(env->peer_plat, xstream_loop(env->xs), NULL, &cbs, env, &env->net)) &&
        EXPECT_OK(xstream_post(env->xs, ULT_SERVICE, peer_ult, env));
}

TEST_ON(engine_ctl, control_socket, BACKEND_LINUX | BACKEND_SIM)
{
    struct env env;

    memset(&env, 0, sizeof(env));
    env.is_first = true;
    if (!env_start(&env))
        return;
    if (env.sim != NULL) {
        EXPECT_OK(xstream_start(env.xs));
        EXPECT_OK(sim_run_until(env.sim, is_done, &env, UINT64_C(100000000000)));
        xstream_stop(env.xs);
    } else {
        EXPECT_OK(
            xstream_drive(env.xs, &env.is_done, plat_mono_ns(env.plat) + UINT64_C(60000000000)));
    }
    EXPECT_EQ(env.stops, 1);
    engine_destroy(env.engine);
    free(env.body);
    xstream_destroy(env.xs);
    sim_destroy(env.sim);
    if (env.sim == NULL)
        plat_linux_destroy(env.plat);
}
