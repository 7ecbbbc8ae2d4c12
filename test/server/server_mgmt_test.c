/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The system service and the control requests of an engine: creating and destroying pools, also
 * with a crash at any moment of it (MGT-1); system query;
 * errors as one line.
 */
#include <stdio.h>

#include "mgmt/mgmt.h"
#include "proto/ctl/ctl.pb-c.h"
#include "server/server_rig.h"

static int
ctl_create(struct rig *rig, struct uuid *pool, const char *label, uint64_t total, uint32_t rd_fac)
{
    Cairn__Ctl__PoolCreateReq req = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property props[2], *ptrs[2] = {&props[0], &props[1]};

    cairn__ctl__property__init(&props[0]);
    cairn__ctl__property__init(&props[1]);
    props[0].number = 1;
    props[0].str = (char *)(uintptr_t)label;
    props[1].number = 11;
    props[1].num = rd_fac;
    req.uuid = (ProtobufCBinaryData){sizeof(pool->b), pool->b};
    req.total_bytes = total;
    req.properties = ptrs;
    req.n_properties = 2;
    return rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_CREATE, &req, NULL);
}

static int
ctl_destroy(struct rig *rig, const char *id, bool force, bool recursive)
{
    Cairn__Ctl__PoolDestroyReq req = CAIRN__CTL__POOL_DESTROY_REQ__INIT;

    req.id = (char *)(uintptr_t)id;
    req.force = force;
    req.recursive = recursive;
    return rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_DESTROY, &req, NULL);
}

static Cairn__Ctl__PoolQueryRep *
ctl_query(struct rig *rig, const char *id, int *ret_rc)
{
    Cairn__Ctl__PoolQueryReq req = CAIRN__CTL__POOL_QUERY_REQ__INIT;
    struct iov body;

    req.id = (char *)(uintptr_t)id;
    *ret_rc = rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_QUERY, &req, &body);
    return *ret_rc == 0 ? cairn__ctl__pool_query_rep__unpack(NULL, body.len, body.buf) : NULL;
}

static uint32_t
ctl_pools(struct rig *rig)
{
    Cairn__Ctl__PoolListRep *rep;
    struct iov body;
    uint32_t nr;

    if (!EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_LIST, NULL, &body)))
        return 0;
    rep = cairn__ctl__pool_list_rep__unpack(NULL, body.len, body.buf);
    if (!EXPECT(rep != NULL))
        return 0;
    nr = (uint32_t)rep->n_pools;
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_EQ(rep->pools[i]->uuid.len, 16);
    }
    cairn__ctl__pool_list_rep__free_unpacked(rep, NULL);
    return nr;
}

#define MIB (UINT64_C(1) << 20)

static void
body_ctl(struct rig *rig)
{
    Cairn__Ctl__EngineStatusRep *st;
    Cairn__Ctl__SystemQueryRep *sys;
    Cairn__Ctl__PoolQueryRep *q;
    struct uuid a = rig_uuid(rig), b = rig_uuid(rig);
    struct iov body;
    int rc;

    EXPECT_OK(rig_ctl(rig, 1, CAIRN__CTL__METHOD__PING, NULL, NULL));
    EXPECT_OK(rig_ctl(rig, 1, CAIRN__CTL__METHOD__ENGINE_STATUS, NULL, &body));
    st = cairn__ctl__engine_status_rep__unpack(NULL, body.len, body.buf);
    if (EXPECT(st != NULL)) {
        EXPECT(st->ready);
        EXPECT_STR_EQ(st->system, RIG_SYSTEM);
        EXPECT_EQ(st->self->rank, 1);
        EXPECT_EQ(st->self->n_uris, 1 + RIG_TGTS);
        EXPECT_EQ(st->self->incarnation, engine_incarnation(rig->engines[1].engine));
        EXPECT_EQ(st->n_targets, RIG_TGTS);
        EXPECT_GT(st->targets[1]->meta_free, 50 * MIB);
        EXPECT_EQ(st->storage, CAIRN__CTL__STORAGE_STATE__STORAGE_READY);
        cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
    }
    EXPECT_ERR(rig_ctl(rig, 0, 99, NULL, NULL), NOSYS);
    EXPECT_OK(ctl_create(rig, &a, "alpha", 400 * MIB, 0));
    EXPECT_OK(ctl_create(rig, &a, "alpha", 400 * MIB, 0)); /* the same request again (MGT-3) */
    EXPECT_ERR(ctl_create(rig, &b, "alpha", 400 * MIB, 0), EXIST);
    EXPECT_ERR(ctl_create(rig, &a, "alpha", 404 * MIB, 0), EXIST);
    EXPECT_ERR(ctl_create(rig, &b, "beta", 400 * MIB, 1), NOTSUPPORTED);
    EXPECT(strstr(rig->err, "rd_fac") != NULL);
    EXPECT_ERR(ctl_create(rig, &b, "b eta", 400 * MIB, 0), INVAL);
    EXPECT_ERR(ctl_create(rig, &b, "beta", MIB, 0), INVAL);
    EXPECT_ERR(ctl_create(rig, &b, "beta", UINT64_C(1) << 40, 0), NOSPACE);
    EXPECT_EQ(ctl_pools(rig) >= 1, true);
    q = ctl_query(rig, "alpha", &rc);
    if (EXPECT_OK(rc) && EXPECT(q != NULL)) {
        EXPECT_EQ(q->total_targets, 4);
        EXPECT_EQ(q->active_targets, 4);
        EXPECT_EQ(q->total_engines, 2);
        EXPECT_EQ(q->tiers[0]->total + q->tiers[1]->total, 400 * MIB);
        EXPECT_EQ(q->tiers[0]->total, 128 * MIB); /* 32 MiB at least to a target */
        EXPECT_GT(q->tiers[1]->free, 0);
        EXPECT_EQ(q->state, CAIRN__CTL__POOL_STATE__POOL_READY);
        cairn__ctl__pool_query_rep__free_unpacked(q, NULL);
    }
    (void)ctl_query(rig, "gamma", &rc);
    EXPECT_ERR(rc, NONEXIST);
    EXPECT(strstr(rig->err, "gamma") != NULL);
    EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__SYSTEM_QUERY, NULL, &body));
    sys = cairn__ctl__system_query_rep__unpack(NULL, body.len, body.buf);
    if (EXPECT(sys != NULL)) {
        EXPECT_EQ(sys->n_members, 2);
        cairn__ctl__system_query_rep__free_unpacked(sys, NULL);
    }
    EXPECT_ERR(rig_ctl(rig, 1, CAIRN__CTL__METHOD__SYSTEM_QUERY, NULL, NULL), NOTLEADER);
    EXPECT_ERR(ctl_destroy(rig, "gamma", false, false), NONEXIST);
    EXPECT_OK(ctl_destroy(rig, "alpha", false, false));
    EXPECT_ERR(ctl_destroy(rig, "alpha", false, false), NONEXIST);
    EXPECT_OK(ctl_create(rig, &b, "alpha", 400 * MIB, 0)); /* label and space are free again */
    /* Metadata gets what others leave, before a pool that fits is refused. */
    a = rig_uuid(rig);
    EXPECT_OK(ctl_create(rig, &a, "second", 400 * MIB, 0));
    a = rig_uuid(rig);
    EXPECT_OK(ctl_create(rig, &a, "third", 300 * MIB, 0));
    a = rig_uuid(rig);
    EXPECT_ERR(ctl_create(rig, &a, "fourth", 4 * MIB, 0), NOSPACE);
    q = ctl_query(rig, "third", &rc);
    if (EXPECT_OK(rc)) {
        EXPECT_EQ(q->tiers[0]->total + q->tiers[1]->total, 300 * MIB);
        EXPECT_LT(q->tiers[0]->total, 128 * MIB); /* of 32 MiB in each target */
        EXPECT_GT(q->tiers[0]->total, 80 * MIB);
        cairn__ctl__pool_query_rep__free_unpacked(q, NULL);
    }
}

TEST_ON(server_mgmt, control_requests, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_ctl);
}

static void
body_in_use(struct rig *rig)
{
    struct rig_value v = {RIG_OID(1), "d", "a", "x", 1, 0};
    struct proto_cont_close_req close;
    struct proto_pool_disconnect_req dis;
    struct proto_empty rep;

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    EXPECT_ERR(ctl_destroy(rig, "tank", false, false), BUSY); /* handle and container */
    EXPECT_ERR(ctl_destroy(rig, "tank", true, false), BUSY);
    EXPECT_ERR(ctl_destroy(rig, "tank", false, true), BUSY);
    close = (struct proto_cont_close_req){rig->pool, rig->cont_hdl};
    EXPECT_OK(rig_svc(rig, PROTO_CONT_CLOSE, &close, &rep));
    dis = (struct proto_pool_disconnect_req){rig->pool, rig->pool_hdl};
    EXPECT_OK(rig_svc(rig, PROTO_POOL_DISCONNECT, &dis, &rep));
    EXPECT_ERR(ctl_destroy(rig, "tank", false, false), BUSY);
    EXPECT_OK(ctl_destroy(rig, "tank", false, true));
    EXPECT_EQ(ctl_pools(rig), 0);
}

TEST_ON(server_mgmt, destroy_of_a_pool_in_use, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_in_use);
}

/* A forced destroy takes the pool from under clients that use it. */
static void
body_forced(struct rig *rig)
{
    struct rig_value v = {RIG_OID(1), "d", "a", "x", 1, 0};

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    EXPECT_OK(rig_apply(rig, 1, 1, &v, NULL, NULL));
    EXPECT_OK(ctl_destroy(rig, "tank", true, true));
    EXPECT_ERR(rig_apply(rig, 0, 0, &v, NULL, NULL), NO_HDL);
    EXPECT_ERR(rig_apply(rig, 1, 1, &v, NULL, NULL), NO_HDL);
}

TEST_ON(server_mgmt, forced_destroy, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_forced);
}

/* ---- a crash in the middle ------------------------------------------------------------------ */

/* What a ULT of the client does while another kills engines. */
struct op {
    struct rig *rig;
    struct proto_sys_pool_create_req create;
    struct proto_sys_pool_destroy_req destroy;
    struct proto_prop label;
    bool is_destroy;
    struct rig_id id;
    int rc;
    bool is_done;
};

static void
op_ult(void *arg)
{
    struct op *op = arg;
    struct proto_sys_pool_create_rep crep;
    struct proto_empty drep;

    op->rc = op->is_destroy
        ? rig_call(op->rig, 0, 0, PROTO_SYS_POOL_DESTROY, &op->destroy, &drep, &op->id)
        : rig_call(op->rig, 0, 0, PROTO_SYS_POOL_CREATE, &op->create, &crep, &op->id);
    op->is_done = true;
}

static void
op_run_and_kill(struct rig *rig, struct op *op, uint32_t victim, uint64_t after_ns)
{
    struct ult *ult;

    op->is_done = false;
    op->id = rig_id(rig);
    op->id.slot = 3;
    if (!EXPECT_OK(ult_create(rig->xs, ULT_SERVICE, op_ult, op, &ult)))
        return;
    ult_sleep(after_ns);
    if (!op->is_done)
        rig_engine_restart(rig, victim);
    ult_join(ult);
}

/*
 * Kill rank 0 (the system service) at moment after moment of a creation and of a destruction; the
 * asker sends again until it has its answer.
 */
static void
crash_sweep(struct rig *rig, uint32_t victim)
{
    uint32_t killed = 0, before = 0;

    for (uint64_t after = 200000; after < UINT64_C(6000000); after += 400000) {
        struct op op = {.rig = rig, .label = {.type = 1, .bytes = rig_str("wave")}};
        uint32_t life = rig->engines[victim].life;
        Cairn__Ctl__PoolQueryRep *q;
        int rc;

        op.create = (struct proto_sys_pool_create_req){.pool = rig_uuid(rig),
            .meta_bytes = RIG_META_BYTES,
            .data_bytes = RIG_DATA_BYTES,
            .props = {1, &op.label}};
        op_run_and_kill(rig, &op, victim, after);
        before = rig->engines[victim].life;
        if (op.rc != 0) { /* told that it failed: then it must be undone, soon */
            for (int i = 0; i < 20 && ctl_pools(rig) > 0; i++) {
                ult_sleep(UINT64_C(1000000000));
            }
            EXPECT_EQ(ctl_pools(rig), 0);
            killed += before - life;
            continue;
        }
        q = ctl_query(rig, "wave", &rc);
        if (EXPECT_OK(rc)) {
            EXPECT_EQ(q->state, CAIRN__CTL__POOL_STATE__POOL_READY);
            EXPECT_MEM_EQ(q->uuid.data, op.create.pool.b, 16);
            EXPECT_EQ(q->tiers[0]->total, 4 * RIG_META_BYTES);
            cairn__ctl__pool_query_rep__free_unpacked(q, NULL);
        }
        op.is_destroy = true;
        op.destroy.pool = op.create.pool;
        op_run_and_kill(rig, &op, victim, after);
        if (op.rc != 0)
            EXPECT(op.rc == -DER_UNREACH || op.rc == -DER_TIMEDOUT || op.rc == -DER_SHUTDOWN);
        for (int i = 0; i < 20 && ctl_pools(rig) > 0; i++) {
            ult_sleep(UINT64_C(1000000000));
        }
        EXPECT_EQ(ctl_pools(rig), 0);
        killed += rig->engines[victim].life - life;
    }
    EXPECT_GE(killed, 6); /* the moments hit */
}

static void
body_crash_service(struct rig *rig)
{
    crash_sweep(rig, 0);
}

TEST_ON(server_mgmt, service_killed_in_the_middle, BACKEND_SIM)
{
    rig_run(2, body_crash_service);
}

static void
body_crash_other(struct rig *rig)
{
    crash_sweep(rig, 1);
}

TEST_ON(server_mgmt, other_engine_killed_in_the_middle, BACKEND_SIM)
{
    rig_run(2, body_crash_other);
}

/* A pool is not created when an engine is down, and nothing of it stays. */
static void
body_down(struct rig *rig)
{
    struct uuid a = rig_uuid(rig), b = rig_uuid(rig);

    rig_engine_kill(rig, 1);
    EXPECT_ERR(ctl_create(rig, &a, "alpha", 400 * MIB, 0), UNREACH);
    EXPECT_OK(rig_group_push(rig)); /* the control plane says that it is gone */
    EXPECT_OK(ctl_create(rig, &b, "beta", 200 * MIB, 0));
    EXPECT_OK(rig_engine_start(rig, 1));
    EXPECT_OK(rig_group_push(rig));
    for (int i = 0; i < 20 && ctl_pools(rig) > 1; i++) {
        ult_sleep(UINT64_C(1000000000));
    }
    EXPECT_EQ(ctl_pools(rig), 1);
    EXPECT_OK(ctl_create(rig, &a, "alpha", 400 * MIB, 0));
}

TEST_ON(server_mgmt, creation_with_an_engine_down, BACKEND_SIM)
{
    rig_run(2, body_down);
}

struct resigner {
    struct rig *rig;
    bool is_ending;
};

static void
resign_ult(void *arg)
{
    struct resigner *r = arg;
    uint64_t rand = test_seed();
    struct uuid nil = {{0}};

    while (!r->is_ending) {
        CAIRN_IGNORE(engine_resign(r->rig->engines[0].engine, nil)); /* not every time it leads */
        ult_sleep(100000 + test_rand(&rand) % 1500000);
    }
}

/* An administrator does not see that the service's leadership comes and goes. */
static void
body_resigns(struct rig *rig)
{
    struct resigner r = {.rig = rig};
    Cairn__Ctl__PoolQueryRep *q;
    struct ult *ult;
    int rc;

    EXPECT_OK(ult_create(rig->xs, ULT_SERVICE, resign_ult, &r, &ult));
    for (int i = 0; i < 30 && !test_failed(); i++) {
        struct uuid a = rig_uuid(rig), b = rig_uuid(rig);

        EXPECT_OK(ctl_create(rig, &a, "alpha", 200 * MIB, 0));
        EXPECT_ERR(ctl_create(rig, &b, "alpha", 200 * MIB, 0), EXIST);
        EXPECT_EQ(ctl_pools(rig), 1);
        q = ctl_query(rig, "alpha", &rc);
        if (EXPECT_OK(rc)) {
            EXPECT_EQ(q->state, CAIRN__CTL__POOL_STATE__POOL_READY);
            cairn__ctl__pool_query_rep__free_unpacked(q, NULL);
        }
        EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__SYSTEM_QUERY, NULL, NULL));
        EXPECT_OK(ctl_destroy(rig, "alpha", false, false));
        EXPECT_EQ(ctl_pools(rig), 0);
        EXPECT_ERR(ctl_destroy(rig, "alpha", false, false), NONEXIST);
    }
    r.is_ending = true;
    ult_join(ult);
}

TEST_ON(server_mgmt, control_requests_while_the_leader_resigns, BACKEND_SIM)
{
    rig_run(2, body_resigns);
}
