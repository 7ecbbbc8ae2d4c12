/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A target on a real store in the simulator, with a pool service played by the test: lazy handles
 * and containers, revocations that overlap look-ups,
 * destroys under running requests, bounded tables, drain.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tgt_fix.h"

struct env {
    struct tgt_fix f;
    void (*body)(struct env *env);
    /* the service */
    uint32_t asked_nr;
    int answer_rc;
    uint32_t map_ver;
    bool is_gated;
    struct ult_cond gate;
    struct uuid cont;
    bool is_revoked; /* answers NO_HDL */
};

static const struct uuid pool_hdl = {{2}};

static int
lookup(void *arg, const struct tgt_ids *ids, struct tgt_hdl_info *ret_info)
{
    struct env *env = arg;
    bool was_revoked = env->is_revoked;

    env->asked_nr++;
    while (env->is_gated) {
        ult_cond_wait(&env->gate, NULL);
    }
    EXPECT_EQ(cuuid_cmp(&ids->pool, &fix_pool), 0);
    if (env->answer_rc != 0)
        return env->answer_rc;
    if (was_revoked)
        return -DER_NO_HDL;
    *ret_info = (struct tgt_hdl_info){
        .pool_flags = TGT_PC_RW, .cont = env->cont, .cont_flags = TGT_COO_RW, .map_ver = env->map_ver};
    return 0;
}

static void
env_body(void *arg)
{
    struct env *env = arg;

    ult_cond_init(&env->gate);
    env->map_ver = 1;
    env->cont = (struct uuid){{9}};
    env->body(env);
}

static void
run(void (*body)(struct env *env))
{
    struct env env = {.body = body};

    env.f = (struct tgt_fix){.opts = {.idx = 3, .hdl_lookup = lookup, .arg = &env},
        .quota = 16 << 20,
        .body = env_body,
        .arg = &env};
    fix_run(&env.f);
}

static struct tgt_ids
ids_of(uint32_t n)
{
    struct tgt_ids ids = {fix_pool, pool_hdl, {{0}}};

    ids.cont_hdl.b[0] = 0xc0;
    memcpy(&ids.cont_hdl.b[4], &n, sizeof(n));
    return ids;
}

/* ---- handles -------------------------------------------------------------------------------- */

static void
body_lazy(struct env *env)
{
    struct tgt_ids ids = ids_of(1);
    struct tgt_stats st;
    struct tgt_op op;
    struct uuid list[4];
    uint32_t nr;

    EXPECT_OK(vos_cont_list(env->f.vos, fix_pool, (struct uuid){{0}}, list, 4, &nr));
    EXPECT_EQ(nr, 0);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    EXPECT(op.vos != NULL);
    EXPECT_EQ(op.info.cont_flags, TGT_COO_RW);
    tgt_op_end(&op);
    EXPECT_OK(vos_cont_list(env->f.vos, fix_pool, (struct uuid){{0}}, list, 4, &nr));
    EXPECT_EQ(nr, 1); /* made by its first use (TGT-3) */
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 1, &op));
    tgt_op_end(&op);
    EXPECT_EQ(env->asked_nr, 1);
    tgt_hdl_revoke(env->f.tgt, fix_pool, ids.cont_hdl);
    env->is_revoked = true;
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), NO_HDL);
    EXPECT_EQ(env->asked_nr, 2);
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), NO_HDL); /* not remembered: it could be opened */
    EXPECT_EQ(env->asked_nr, 3);
    env->answer_rc = -DER_UNREACH;
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), UNREACH);
    env->answer_rc = 0;
    env->is_revoked = false;
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
    tgt_hdl_revoke(env->f.tgt, fix_pool, pool_hdl); /* takes those used with it along */
    env->is_revoked = true;
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), NO_HDL);
    tgt_stats_get(env->f.tgt, &st);
    EXPECT_EQ(st.hdls_nr, 0);
    EXPECT_EQ(st.running_nr, 0);
    EXPECT_EQ(st.conts_nr, 1);
    EXPECT_EQ(tgt_idx(env->f.tgt), 3);
}

TEST_ON(tgt, handles_and_containers_are_lazy, BACKEND_SIM)
{
    run(body_lazy);
}

static void
body_map(struct env *env)
{
    struct tgt_ids ids = ids_of(1);
    struct tgt_op op;

    env->map_ver = 4;
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 3, &op), STALE);
    EXPECT_EQ(op.info.map_ver, 4);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 4, &op));
    tgt_op_end(&op);
    EXPECT_EQ(env->asked_nr, 1);
    env->map_ver = 6;
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 5, &op), STALE); /* the sender knows more: ask */
    EXPECT_EQ(env->asked_nr, 2);
    EXPECT_EQ(op.info.map_ver, 6);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 6, &op));
    EXPECT_EQ(env->asked_nr, 2);
    tgt_op_end(&op);
}

TEST_ON(tgt, map_versions, BACKEND_SIM)
{
    run(body_map);
}

struct req {
    struct env *env;
    struct tgt_ids ids;
    int rc;
    bool is_begun, is_held, is_done;
    struct ult_cond let_go;
    struct ult *ult;
};

static void
req_ult(void *arg)
{
    struct req *r = arg;
    struct tgt_op op;

    r->rc = tgt_op_begin(r->env->f.tgt, &r->ids, 0, &op);
    r->is_begun = true;
    while (r->rc == 0 && r->is_held) {
        ult_cond_wait(&r->let_go, NULL);
    }
    if (r->rc == 0)
        tgt_op_end(&op);
    r->is_done = true;
}

static void
req_start(struct env *env, struct req *r, uint32_t n, bool is_held)
{
    memset(r, 0, sizeof(*r));
    r->env = env;
    r->ids = ids_of(n);
    r->is_held = is_held;
    ult_cond_init(&r->let_go);
    EXPECT_OK(ult_create(env->f.xs, ULT_IO, req_ult, r, &r->ult));
}

static void
req_end(struct req *r)
{
    r->is_held = false;
    ult_cond_broadcast(&r->let_go);
    ult_join(r->ult);
}

static void
gate_open(struct env *env)
{
    env->is_gated = false;
    ult_cond_broadcast(&env->gate);
}

/* A revocation while the service was answering: its old answer must not enter the table (TGT-2). */
static void
body_overlap(struct env *env)
{
    struct req a, b;

    env->is_gated = true;
    req_start(env, &a, 1, false);
    req_start(env, &b, 1, false);
    ult_yield();
    EXPECT_EQ(env->asked_nr, 1); /* one question for both */
    env->is_revoked = true;
    tgt_hdl_revoke(
        env->f.tgt, fix_pool, (struct uuid){{0xff}}); /* another handle: asked again all the same */
    gate_open(env);
    req_end(&a);
    req_end(&b);
    EXPECT_ERR(a.rc, NO_HDL);
    EXPECT_ERR(b.rc, NO_HDL);
    EXPECT_EQ(env->asked_nr, 2);
}

TEST_ON(tgt, a_revocation_overlaps_a_look_up, BACKEND_SIM)
{
    run(body_overlap);
}

static void
body_old(struct env *env)
{
    struct tgt_ids ids = ids_of(1);
    struct tgt_op op;

    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
    ult_sleep(TGT_HDL_TTL_NS + 1);
    env->answer_rc = -DER_UNREACH;
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op)); /* the service is away: it stays valid */
    tgt_op_end(&op);
    ult_sleep(1000000);
    EXPECT_EQ(env->asked_nr, 2);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
    EXPECT_EQ(env->asked_nr, 2); /* not asked at every request */
    ult_sleep(UINT64_C(3000000000));
    env->answer_rc = 0;
    env->is_revoked = true;
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op)); /* asked in the background */
    tgt_op_end(&op);
    ult_sleep(1000000);
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), NO_HDL);
}

/* Any handle of the pool may have gone: those at work go on, and each is asked about before it is used again. */
static void
body_doubt(struct env *env)
{
    struct tgt_ids ids = ids_of(2);
    struct tgt_stats st;
    struct tgt_op op;
    struct req a;

    req_start(env, &a, 1, true);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
    ult_yield();
    EXPECT_EQ(env->asked_nr, 2);
    tgt_hdl_revoke(env->f.tgt, (struct uuid){{0xee}}, (struct uuid){{0}}); /* of another pool */
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
    EXPECT_EQ(env->asked_nr, 2);
    tgt_hdl_revoke(env->f.tgt, fix_pool, (struct uuid){{0}});
    tgt_stats_get(env->f.tgt, &st);
    EXPECT_EQ(st.hdls_nr, 1); /* that in use */
    ids = ids_of(1);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
    EXPECT_EQ(env->asked_nr, 3);
    tgt_hdl_revoke(env->f.tgt, fix_pool, (struct uuid){{0}});
    env->is_revoked = true;
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), NO_HDL);
    req_end(&a);
    EXPECT_OK(a.rc);
    tgt_stats_get(env->f.tgt, &st);
    EXPECT_EQ(st.hdls_nr, 0);
}

TEST_ON(tgt, all_handles_of_a_pool_are_asked_about_again, BACKEND_SIM)
{
    run(body_doubt);
}

TEST_ON(tgt, old_entries_are_asked_about_again, BACKEND_SIM)
{
    run(body_old);
}

static void
body_bounds(struct env *env)
{
    struct tgt_stats st;
    struct tgt_op op;

    for (uint32_t i = 0; i < TGT_HDLS_NR_MAX + 10; i++) {
        struct tgt_ids ids = ids_of(i);

        if (!EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op)))
            return;
        tgt_op_end(&op);
    }
    tgt_stats_get(env->f.tgt, &st);
    EXPECT_EQ(st.hdls_nr, TGT_HDLS_NR_MAX);
    EXPECT_EQ(st.evictions_nr, 10);
    {
        struct tgt_ids ids = ids_of(0);
        uint32_t asked = env->asked_nr;

        EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op)); /* it was the first to go */
        tgt_op_end(&op);
        EXPECT_EQ(env->asked_nr, asked + 1);
    }
}

TEST_ON(tgt, the_table_of_handles_is_bounded, BACKEND_SIM)
{
    run(body_bounds);
}

static void
body_conts(struct env *env)
{
    struct tgt_stats st;
    struct tgt_op op;

    for (uint32_t i = 0; i < TGT_CONTS_NR_MAX + 5; i++) {
        struct tgt_ids ids = ids_of(i);

        memcpy(&env->cont.b[8], &i, sizeof(i));
        if (!EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op)))
            return;
        tgt_op_end(&op);
    }
    tgt_stats_get(env->f.tgt, &st);
    EXPECT_EQ(st.conts_nr, TGT_CONTS_NR_MAX);
}

TEST_ON(tgt, open_containers_are_bounded, BACKEND_SIM)
{
    run(body_conts);
}

/* ---- ends ----------------------------------------------------------------------------------- */

struct destroy {
    struct env *env;
    bool is_pool;
    int rc;
    bool is_done;
};

static void
destroy_ult(void *arg)
{
    struct destroy *d = arg;

    d->rc = d->is_pool ? tgt_pool_destroy(d->env->f.tgt, fix_pool)
                       : tgt_cont_destroy(d->env->f.tgt, fix_pool, d->env->cont);
    d->is_done = true;
}

/*
 * A destroy waits for the request at work; one that holds an older look-up does not bring the
 * container back (TGT-1, TGT-3).
 */
static void
destroy_under(struct env *env, bool is_pool)
{
    struct destroy d = {.env = env, .is_pool = is_pool};
    struct req held, late;
    struct ult *ult;
    struct uuid list[4];
    uint32_t nr;

    req_start(env, &held, 1, true);
    while (!held.is_begun) {
        ult_sleep(1000);
    }
    EXPECT_OK(held.rc);
    EXPECT_OK(ult_create(env->f.xs, ULT_SERVICE, destroy_ult, &d, &ult));
    ult_sleep(1000000);
    EXPECT(!d.is_done);
    req_start(env, &late, 2, false); /* the service still says yes: it has not committed yet */
    ult_sleep(1000000);
    EXPECT(late.is_done);
    EXPECT_ERR(late.rc, NONEXIST);
    req_end(&late);
    req_end(&held);
    ult_join(ult);
    EXPECT_OK(d.rc);
    if (!is_pool) {
        EXPECT_OK(vos_cont_list(env->f.vos, fix_pool, (struct uuid){{0}}, list, 4, &nr));
        EXPECT_EQ(nr, 0);
        EXPECT_OK(tgt_cont_destroy(env->f.tgt, fix_pool, env->cont)); /* absent is no error */
    } else {
        EXPECT_OK(vos_pool_list(env->f.vos, (struct uuid){{0}}, list, 4, &nr));
        EXPECT_EQ(nr, 0);
        EXPECT_OK(tgt_pool_destroy(env->f.tgt, fix_pool));
    }
}

static void
body_cont_destroy(struct env *env)
{
    struct req again;

    destroy_under(env, false);
    req_start(env, &again, 3, false);
    req_end(&again);
    EXPECT_OK(again.rc); /* a new container of that uuid, if the service says so */
}

TEST_ON(tgt, destroy_of_a_container_in_use, BACKEND_SIM)
{
    run(body_cont_destroy);
}

static void
body_pool_destroy(struct env *env)
{
    struct tgt_ids ids = ids_of(9);
    struct tgt_op op;

    destroy_under(env, true);
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), NONEXIST);
    EXPECT_OK(tgt_pool_create(env->f.tgt, fix_pool, 8 << 20, 8 << 20));
    EXPECT_OK(tgt_pool_create(env->f.tgt, fix_pool, 8 << 20, 8 << 20));
    EXPECT_ERR(tgt_pool_create(env->f.tgt, fix_pool, 9 << 20, 8 << 20), EXIST);
    EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op));
    tgt_op_end(&op);
}

TEST_ON(tgt, destroy_of_a_pool_in_use, BACKEND_SIM)
{
    run(body_pool_destroy);
}

static void
drain_ult(void *arg)
{
    struct destroy *d = arg;

    tgt_drain(d->env->f.tgt);
    d->is_done = true;
}

static void
body_drain(struct env *env)
{
    struct destroy d = {.env = env};
    struct req held;
    struct ult *ult;
    struct tgt_ids ids = ids_of(5);
    struct tgt_op op;

    req_start(env, &held, 1, true);
    while (!held.is_begun) {
        ult_sleep(1000);
    }
    EXPECT_OK(ult_create(env->f.xs, ULT_SERVICE, drain_ult, &d, &ult));
    ult_sleep(1000000);
    EXPECT(!d.is_done);
    EXPECT_ERR(tgt_op_begin(env->f.tgt, &ids, 0, &op), SHUTDOWN);
    EXPECT_ERR(tgt_pool_create(env->f.tgt, fix_pool, 1, 1), SHUTDOWN);
    req_end(&held);
    ult_join(ult);
    EXPECT(d.is_done);
}

TEST_ON(tgt, drain_waits_for_requests, BACKEND_SIM)
{
    run(body_drain);
}
