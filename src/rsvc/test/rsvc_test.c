/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The service database on a real store in the simulator: tables, keys of every length, order,
 * atomic commits, answers of resends, terms, loss of
 * leadership at a yield, restart by kill.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "bio/bio.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"
#include "rpc/rpc.h"
#include "rsvc/rsvc.h"
#include "ult/ult.h"

static const struct uuid svc_id = {{7, 7, 7}};

struct env {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct rsvc *rsvc;
    struct arena arena;
    uint32_t ups, downs;
    int step_up_rc;
    void (*body)(struct env *env);
    bool is_done;
};

static void
env_reap(void *arg)
{
    struct env *env = arg;

    xstream_abandon(env->xs);
    rsvc_abandon(env->rsvc);
    if (env->vos != NULL)
        vos_tgt_abandon(env->vos);
    if (env->bio != NULL)
        bio_abandon(env->bio);
    xstream_destroy(env->xs);
    env->rsvc = NULL;
    env->vos = NULL;
    env->bio = NULL;
    env->xs = NULL;
}

static int
step_up(void *arg)
{
    struct env *env = arg;

    env->ups++;
    return env->step_up_rc;
}

static void
step_down(void *arg)
{
    ((struct env *)arg)->downs++;
}

static int
svc_start(struct env *env)
{
    struct rsvc_opts opts = {
        .svc = svc_id, .self_rank = 5, .step_up = step_up, .step_down = step_down, .arg = env};

    return rsvc_start(env->vos, &opts, &env->rsvc);
}

static int
store_open(struct env *env)
{
    struct bio_cfg cfg = {.dir = "/sys",
        .wal_bytes = 16 << 20,
        .meta_bytes = 64 << 20,
        .data_bytes = 64 << 20,
        .system = {{1}},
        .device = {{2}}};
    int rc = 0;

    if (!bio_is_formatted(env->plat, cfg.dir)) {
        rc = env->plat->ops->dir_create(env->plat, cfg.dir);
        if (rc == 0)
            rc = bio_format(env->xs, &cfg);
    }
    if (rc == 0)
        rc = bio_open(env->xs, &cfg, &env->bio);
    return rc == 0 ? vos_tgt_open(env->bio, &env->vos) : rc;
}

static void
env_ult(void *arg)
{
    struct env *env = arg;
    int rc;

    rc = store_open(env);
    if (EXPECT_OK(rc)) {
        rc = rsvc_create(env->vos, svc_id);
        EXPECT(rc == 0 || rc == -DER_EXIST);
        if (EXPECT_OK(svc_start(env)))
            env->body(env);
        rsvc_stop(env->rsvc);
        env->rsvc = NULL;
        vos_tgt_close(env->vos);
        env->vos = NULL;
        bio_close(env->bio);
        env->bio = NULL;
    }
    env->is_done = true;
}

static bool
env_is_done(void *arg)
{
    return ((struct env *)arg)->is_done;
}

static bool
env_begin(struct env *env, const char *name, void (*body)(struct env *env))
{
    struct xstream_opts opts = {.name = "sys", .cpu = UINT32_MAX};

    env->body = body;
    env->is_done = false;
    if (!EXPECT_OK(sim_node_start(env->sim, "host", name, &env->plat)))
        return false;
    sim_node_on_kill(env->plat, env_reap, env);
    return EXPECT_OK(xstream_create(env->plat, &opts, &env->xs)) &&
        EXPECT_OK(xstream_start(env->xs)) &&
        EXPECT_OK(xstream_post(env->xs, ULT_SERVICE, env_ult, env));
}

static void
env_init(struct env *env)
{
    struct sim_opts opts = {.seed = test_seed(), .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 90000};

    memset(env, 0, sizeof(*env));
    arena_init(&env->arena, 4096, 16 << 20);
    EXPECT_OK(sim_create(&opts, &env->sim));
}

static void
env_fini(struct env *env)
{
    sim_destroy(env->sim);
    arena_fini(&env->arena);
}

static void
run(void (*body)(struct env *env))
{
    struct env env;

    env_init(&env);
    if (env_begin(&env, "one", body))
        EXPECT_OK(sim_run_until(env.sim, env_is_done, &env, UINT64_C(100000000000)));
    env_fini(&env);
}

/* ---- helpers -------------------------------------------------------------------------------- */

static struct iov
str(const char *s)
{
    return (struct iov){(void *)(uintptr_t)s, strlen(s)};
}

static struct rsvc_update
put(const char *table, struct iov key, const char *value)
{
    return (struct rsvc_update){RSVC_PUT, table, key, str(value)};
}

static int
commit(struct env *env, struct rsvc_update u)
{
    struct vos_apply_ret ret;

    return rsvc_propose(env->rsvc, &u, 1, NULL, (struct iov){NULL, 0}, &ret);
}

static bool
is_value(struct env *env, const char *table, struct iov key, const char *want)
{
    struct iov v;
    int rc = rsvc_get(env->rsvc, table, key, &env->arena, &v);

    if (want == NULL)
        return rc == -DER_NONEXIST;
    return rc == 0 && v.len == strlen(want) && memcmp(v.buf, want, v.len) == 0;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
body_tables(struct env *env)
{
    struct rsvc_update u[4] = {put("a", str("k"), "1"), put("b", str("k"), "2"),
        put("a", str("l"), ""), put("a", str("k"), "3")};
    struct rsvc_update bad = put("a", str("k"), "x");
    struct vos_apply_ret ret;
    static char big[RSVC_VALUE_BYTES_MAX + 1];

    EXPECT_OK(rsvc_propose(env->rsvc, u, 4, NULL, (struct iov){NULL, 0}, &ret));
    EXPECT(is_value(env, "a", str("k"), "3")); /* in order */
    EXPECT(is_value(env, "b", str("k"), "2"));
    EXPECT(is_value(env, "a", str("l"), "")); /* an empty value is one */
    EXPECT(is_value(env, "a", str("m"), NULL));
    EXPECT(is_value(env, "c", str("k"), NULL));
    u[0] = (struct rsvc_update){.op = RSVC_DEL, .table = "b", .key = str("k")};
    u[1] = (struct rsvc_update){.op = RSVC_DEL_TABLE, .table = "a"};
    u[2] = put("a", str("n"), "new");
    EXPECT_OK(rsvc_propose(env->rsvc, u, 3, NULL, (struct iov){NULL, 0}, &ret));
    EXPECT(is_value(env, "b", str("k"), NULL));
    EXPECT(is_value(env, "a", str("k"), NULL));
    EXPECT(is_value(env, "a", str("n"), "new"));
    EXPECT_OK(commit(env, (struct rsvc_update){.op = RSVC_DEL, .table = "b", .key = str("none")}));

    memset(big, 'b', sizeof(big));
    bad.value = (struct iov){big, sizeof(big)};
    EXPECT_ERR(commit(env, bad), OVERFLOW);
    bad.value.len--;
    EXPECT_OK(commit(env, bad));
    bad.key = (struct iov){big, RSVC_KEY_BYTES_MAX + 1};
    EXPECT_ERR(commit(env, bad), INVAL);
    bad.key.len = 0;
    EXPECT_ERR(commit(env, bad), INVAL);
    bad = put("", str("k"), "x");
    EXPECT_ERR(commit(env, bad), INVAL);
    EXPECT_ERR(rsvc_propose(env->rsvc, u, 0, NULL, (struct iov){NULL, 0}, &ret), INVAL);
}

TEST_ON(rsvc, tables_and_limits, BACKEND_SIM)
{
    run(body_tables);
}

struct seen {
    uint8_t keys[64][RSVC_KEY_BYTES_MAX];
    size_t lens[64];
    uint32_t nr, stop_at;
};

static bool
see(void *arg, struct iov key, struct iov value)
{
    struct seen *s = arg;
    char want[32];

    snprintf(want, sizeof(want), "%zu", key.len);
    EXPECT_EQ(value.len, strlen(want));
    EXPECT_MEM_EQ(value.buf, want, strlen(want));
    memcpy(s->keys[s->nr], key.buf, key.len);
    s->lens[s->nr++] = key.len;
    return s->nr != s->stop_at;
}

/*
 * Keys of every kind: short, as long as a plain one may be, folded ones that share their prefix,
 * with zero bytes.
 */
static void
body_keys(struct env *env)
{
    struct seen *s = arena_calloc(&env->arena, 1, sizeof(*s));
    uint8_t key[RSVC_KEY_BYTES_MAX];
    static const size_t lens[] = {1, 2, 16, 78, 79, 80, 81, 511, 512, 1024};
    char value[32];
    uint32_t n = sizeof(lens) / sizeof(lens[0]);

    for (uint32_t i = 0; i < n; i++) {
        memset(key, 'p', sizeof(key));
        if (lens[i] > 2)
            key[1] = 0;
        key[lens[i] - 1] = (uint8_t)('a' + i);
        snprintf(value, sizeof(value), "%zu", lens[i]);
        EXPECT_OK(commit(env, put("t", (struct iov){key, lens[i]}, value)));
    }
    for (uint32_t i = 0; i < n; i++) {
        memset(key, 'p', sizeof(key));
        if (lens[i] > 2)
            key[1] = 0;
        key[lens[i] - 1] = (uint8_t)('a' + i);
        snprintf(value, sizeof(value), "%zu", lens[i]);
        EXPECT(is_value(env, "t", (struct iov){key, lens[i]}, value));
        key[lens[i] - 1]++;
        EXPECT(is_value(env, "t", (struct iov){key, lens[i]}, NULL) ||
            lens[i] == 1); /* 'b' alone is none of them, but check the rest */
    }
    EXPECT_OK(rsvc_list_keys(env->rsvc, "t", (struct iov){NULL, 0}, see, s));
    EXPECT_EQ(s->nr, n);
    for (uint32_t i = 1; i < s->nr; i++) {
        EXPECT_LE(memcmp(s->keys[i - 1], s->keys[i], 1), 0);
    }
    /* By pages of three, each starting after the last key of the one before: everything once. */
    {
        struct seen *p = arena_calloc(&env->arena, 1, sizeof(*p));
        struct iov after = {NULL, 0};
        uint32_t before;

        do {
            before = p->nr;
            p->stop_at = p->nr + 3;
            EXPECT_OK(rsvc_list_keys(env->rsvc, "t", after, see, p));
            if (p->nr > 0)
                after = (struct iov){p->keys[p->nr - 1], p->lens[p->nr - 1]};
        } while (p->nr > before && p->nr < 60);
        if (EXPECT_EQ(p->nr, n)) {
            for (uint32_t i = 0; i < n; i++) {
                EXPECT(p->lens[i] == s->lens[i] && memcmp(p->keys[i], s->keys[i], s->lens[i]) == 0);
            }
        }
    }
}

TEST_ON(rsvc, keys_of_every_length_in_order, BACKEND_SIM)
{
    run(body_keys);
}

static bool
in_order(void *arg, struct iov key, struct iov value)
{
    uint32_t *next = arg;

    (void)value;
    EXPECT_EQ(key.len, 4);
    EXPECT_EQ(__builtin_bswap32(le32_get(key.buf)), *next);
    (*next)++;
    return true;
}

static void
body_order(struct env *env)
{
    uint32_t next = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t n = i * 777 % 1000;
        uint8_t key[4];

        le32_put(key, __builtin_bswap32(n));
        EXPECT_OK(commit(env, put("n", (struct iov){key, 4}, "v")));
    }
    EXPECT_OK(rsvc_list_keys(env->rsvc, "n", (struct iov){NULL, 0}, in_order, &next));
    EXPECT_EQ(next, 1000);
}

TEST_ON(rsvc, many_keys_in_byte_order, BACKEND_SIM)
{
    run(body_order);
}

/* A service rewrites the same keys for ever: its shard must not fill. */
static void
body_rewrite(struct env *env)
{
    struct vos_pool_info before, after;
    char value[128];

    for (int i = 0; i < 6000; i++) {
        struct rsvc_update del = {.op = RSVC_DEL, .table = "h", .key = str("handle")};
        struct rsvc_update u = put("h", str("handle"), value);

        snprintf(value, sizeof(value), "%0100d", i);
        EXPECT_OK(commit(env, u));
        EXPECT_OK(commit(env, put("h", str("counter"), value)));
        if (i % 2 == 0)
            EXPECT_OK(commit(env, del));
        if (i == 999)
            EXPECT_OK(vos_pool_query(env->vos, svc_id, &before));
    }
    EXPECT_OK(vos_pool_query(env->vos, svc_id, &after));
    EXPECT_LE(after.meta_used, before.meta_used + 65536);
    EXPECT(is_value(env, "h", str("counter"), value));
}

TEST_ON(rsvc, rewritten_keys_take_no_more_space, BACKEND_SIM)
{
    run(body_rewrite);
}

/* A service begins small and grows while the store has space; another keeps what it has; deletions always work. */
static void
body_grow(struct env *env)
{
    const struct uuid other_id = {{8, 8}};
    struct rsvc_opts opts = {.svc = other_id, .self_rank = 5};
    struct vos_pool_info info;
    struct rsvc *other = NULL;
    uint8_t *big = arena_calloc(&env->arena, 1, 60000);
    char key[32];
    uint32_t nr = 0;
    int rc = 0;

    EXPECT_OK(vos_pool_query(env->vos, svc_id, &info));
    EXPECT_EQ(info.meta_quota, RSVC_META_BYTES_MIN);
    EXPECT_EQ(info.data_quota, RSVC_DATA_BYTES_MIN);
    EXPECT_OK(rsvc_create(env->vos, other_id));
    EXPECT_OK(rsvc_start(env->vos, &opts, &other));
    while (rc == 0 && nr < 2000) {
        struct rsvc_update u = {.op = RSVC_PUT, .table = "t", .value = {big, 60000}};

        snprintf(key, sizeof(key), "key %u", nr);
        u.key = str(key);
        rc = commit(env, u);
        nr += rc == 0;
    }
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_GT(nr, 500); /* 32 of 64 MiB; the next doubling does not fit */
    for (rc = 0; rc == 0 && nr < 100000;) {
        struct rsvc_update u = {.op = RSVC_PUT, .table = "s", .value = {big, 500}};

        snprintf(key, sizeof(key), "small %u", nr);
        u.key = str(key);
        rc = commit(env, u);
        nr += rc == 0;
    }
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_GT(nr, 20000);
    EXPECT_OK(vos_pool_query(env->vos, svc_id, &info));
    EXPECT_GE(info.data_quota, 32 << 20);
    EXPECT_GE(info.meta_quota, 16 << 20);
    for (uint32_t i = 0; i < 20; i++) {
        struct rsvc_update u = put("t", str(key), "x");

        snprintf(key, sizeof(key), "key %u", i);
        u.key = str(key);
        EXPECT_OK(rsvc_propose(other, &u, 1, NULL, (struct iov){NULL, 0}, NULL));
        u.op = RSVC_DEL;
        EXPECT_OK(commit(env, u));
    }
    EXPECT_OK(commit(env, (struct rsvc_update){.op = RSVC_DEL_TABLE, .table = "s"}));
    EXPECT_OK(commit(env, put("t", str("room"), "again")));
    rsvc_stop(other);
}

TEST_ON(rsvc, a_service_grows_while_there_is_space, BACKEND_SIM)
{
    run(body_grow);
}

static void
body_replay(struct env *env)
{
    struct vos_req_id id = {{{3}}, 0, 1, UINT64_C(1) << 60};
    struct rsvc_update u = put("a", str("k"), "1");
    struct vos_apply_ret ret;
    uint64_t now;

    EXPECT_OK(vos_epoch_next(env->vos, &now));
    id.hlc = now;
    EXPECT_ERR(rsvc_replay(env->rsvc, &id, &ret), NONEXIST);
    EXPECT_OK(rsvc_propose(env->rsvc, &u, 1, &id, str("answer"), &ret));
    EXPECT(!ret.is_replay);
    EXPECT_OK(commit(env, put("a", str("k"), "2")));
    EXPECT_OK(rsvc_replay(env->rsvc, &id, &ret));
    EXPECT_EQ(ret.result_len, 6);
    EXPECT_MEM_EQ(ret.result, "answer", 6);
    EXPECT_OK(rsvc_propose(env->rsvc, &u, 1, &id, str("other"), &ret));
    EXPECT(ret.is_replay);
    EXPECT_MEM_EQ(ret.result, "answer", 6);
    EXPECT(is_value(env, "a", str("k"), "2"));
    memset(&id.client, 0, sizeof(id.client));
    EXPECT_ERR(rsvc_replay(env->rsvc, &id, &ret), NONEXIST); /* nobody's: nothing is remembered */
}

TEST_ON(rsvc, a_resend_gets_the_first_answer, BACKEND_SIM)
{
    run(body_replay);
}

/* ---- leadership ----------------------------------------------------------------------------- */

struct lost {
    struct env *env;
    int rc;
    bool is_started, is_done;
};

static void
lost_ult(void *arg)
{
    struct lost *l = arg;

    l->is_started = true;
    l->rc = commit(l->env, put("a", str("lost"), "1"));
    l->is_done = true;
}

static void
body_leader(struct env *env)
{
    struct lost lost = {.env = env};
    uint64_t term = rsvc_term(env->rsvc);
    struct ult *ult;
    uint32_t hint = 0;

    EXPECT_EQ(env->ups, 1);
    EXPECT_OK(rsvc_check_leader(env->rsvc, &hint));
    EXPECT_OK(ult_create(env->xs, ULT_SERVICE, lost_ult, &lost, &ult));
    ult_yield(); /* its commit is on the way to the log */
    EXPECT(lost.is_started);
    EXPECT(!lost.is_done);
    rsvc_resign(env->rsvc);
    EXPECT_EQ(env->downs, 1);
    EXPECT_ERR(rsvc_check_leader(env->rsvc, &hint), NOTLEADER);
    EXPECT_EQ(hint, 5);
    ult_join(ult);
    EXPECT_ERR(lost.rc, NOTLEADER); /* RSV-3: whatever became of it */
    for (int i = 0; i < 100 && rsvc_check_leader(env->rsvc, NULL) != 0; i++) {
        ult_sleep(1000000);
    }
    EXPECT_OK(rsvc_check_leader(env->rsvc, NULL));
    EXPECT_GT(rsvc_term(env->rsvc), term);
    EXPECT_EQ(env->ups, 2);
    EXPECT(is_value(env, "a", str("lost"), "1"));
    /* A step-up that fails is tried again. */
    env->step_up_rc = -DER_NOMEM;
    rsvc_resign(env->rsvc);
    ult_sleep(UINT64_C(1500000000));
    EXPECT_ERR(rsvc_check_leader(env->rsvc, NULL), NOTLEADER);
    EXPECT_GE(env->ups, 3);
    env->step_up_rc = 0;
    ult_sleep(UINT64_C(2500000000));
    EXPECT_OK(rsvc_check_leader(env->rsvc, NULL));
    rsvc_stop(env->rsvc);
    env->rsvc = NULL;
    EXPECT_OK(svc_start(env));
}

TEST_ON(rsvc, leadership_is_lost_at_a_yield, BACKEND_SIM)
{
    run(body_leader);
}

static void
body_before(struct env *env)
{
    EXPECT_OK(commit(env, put("a", str("k"), "kept")));
    sim_node_kill(env->sim, env->plat);
    env->is_done = true; /* this ULT ends here: the node dies with this event */
    ult_sleep(UINT64_C(1000000000000));
    EXPECT(!"alive");
}

static void
body_after(struct env *env)
{
    EXPECT(is_value(env, "a", str("k"), "kept"));
    EXPECT_EQ(rsvc_term(env->rsvc), 2);
    EXPECT_ERR(rsvc_create(env->vos, svc_id), EXIST);
}

static void
body_gone(struct env *env)
{
    struct uuid list[4];
    uint32_t nr;

    EXPECT_OK(rsvc_list(env->vos, (struct uuid){{0}}, list, 4, &nr));
    if (EXPECT_EQ(nr, 1))
        EXPECT_EQ(cuuid_cmp(&list[0], &svc_id), 0);
    rsvc_stop(env->rsvc);
    env->rsvc = NULL;
    EXPECT_OK(rsvc_destroy(env->vos, svc_id));
    EXPECT_OK(rsvc_list(env->vos, (struct uuid){{0}}, list, 4, &nr));
    EXPECT_EQ(nr, 0);
    EXPECT_ERR(svc_start(env), NONEXIST);
    EXPECT_OK(rsvc_create(env->vos, svc_id));
    EXPECT_OK(svc_start(env));
    EXPECT(is_value(env, "a", str("k"), NULL));
}

TEST_ON(rsvc, what_was_committed_survives_a_kill, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    if (env_begin(&env, "one", body_before))
        EXPECT_OK(sim_run_until(env.sim, env_is_done, &env, UINT64_C(100000000000)));
    sim_run_for(env.sim, 1000000);
    EXPECT(env.xs == NULL);
    if (env_begin(&env, "two", body_after))
        EXPECT_OK(sim_run_until(env.sim, env_is_done, &env, UINT64_C(100000000000)));
    sim_node_kill(env.sim, env.plat);
    sim_run_for(env.sim, 1000000);
    if (env_begin(&env, "three", body_gone))
        EXPECT_OK(sim_run_until(env.sim, env_is_done, &env, UINT64_C(100000000000)));
    env_fini(&env);
}
