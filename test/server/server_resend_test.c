/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * At most once, also across a restart (MS-2): the network loses the answer, the engine is killed
 * after the effect, started again, and gets the same
 * request id once more. Method: for each kind of conditional operation the resend must answer as
 * the first execution did, though evaluated anew
 * it would answer otherwise; and what others wrote meanwhile must survive it.
 */
#include <stdio.h>

#include "server/server_rig.h"
#include "vos/vos.h"

#define FRUIT RIG_OID(21)

/* ---- operations that evaluated anew would fail ---------------------------------------------- */

struct kind {
    const char *name;
    struct rig_value before; /* applied first; op 0: none */
    struct rig_value op; /* whose answer is lost */
    int anew; /* what the same operation with another id answers after it */
    const char *after; /* fruit/colour at the end */
};

static const struct kind kinds[] = {
    {"dkey insert", {.op = 0},
        {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, VOS_COND_DKEY_INSERT}, -DER_EXIST, "red"},
    {"akey insert", {FRUIT, "fruit", "taste", "sweet", VOS_MOD_UPDATE, 0},
        {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, VOS_COND_AKEY_INSERT}, -DER_EXIST, "red"},
    {"punch object", {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0},
        {FRUIT, NULL, NULL, NULL, VOS_MOD_PUNCH_OBJ, VOS_COND_PUNCH}, -DER_NONEXIST, ""},
    {"punch dkey", {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0},
        {FRUIT, "fruit", NULL, NULL, VOS_MOD_PUNCH_DKEY, VOS_COND_PUNCH}, -DER_NONEXIST, ""},
    {"punch akey", {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0},
        {FRUIT, "fruit", "colour", NULL, VOS_MOD_PUNCH_AKEYS, VOS_COND_PUNCH}, -DER_NONEXIST, ""},
};

static void
body_kinds(struct rig *rig)
{
    if (!rig_setup(rig))
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct kind *k = &kinds[i];
        struct rig_apply *a = arena_alloc(&rig->arena, sizeof(*a));
        struct rig_value before = k->before, op = k->op;
        struct proto_obj_apply_rep first = {0}, again;
        uint32_t rank = (uint32_t)i % 2, tgt = (uint32_t)i / 2 % RIG_TGTS;
        struct rig_id id;
        char buf[32];

        before.oid = op.oid = RIG_OID(100 + i);
        if (before.op != 0)
            EXPECT_OK(rig_apply(rig, rank, tgt, &before, NULL, NULL));
        id = rig_id(rig);
        rig_apply_fill(a, &op, 1);
        rig_lose_answer(rig, rank, 1 + tgt, PROTO_OBJ_APPLY, &a->req, &id);
        EXPECT_OK(rig_call(rig, rank, 1 + tgt, PROTO_OBJ_APPLY, &a->req, &first, &id));
        if (!EXPECT(first.is_replay))
            fprintf(stderr, "# %s was executed twice\n", k->name);
        EXPECT_OK(rig_call(rig, rank, 1 + tgt, PROTO_OBJ_APPLY, &a->req, &again, &id));
        EXPECT(again.is_replay);
        EXPECT_EQ(again.epoch, first.epoch);
        EXPECT_EQ(rig_apply(rig, rank, tgt, &op, NULL, NULL), k->anew);
        EXPECT_OK(rig_fetch(rig, rank, tgt, op.oid, "fruit", "colour", 0, buf, sizeof(buf)));
        EXPECT_STR_EQ(buf, k->after);
    }
}

TEST_ON(server_resend, conditional_operations_that_would_fail_anew, BACKEND_SIM)
{
    rig_run(2, body_kinds);
}

/* ---- operations that evaluated anew would revive an old value ------------------------------- */

static void
body_revive(struct rig *rig)
{
    static const uint32_t conds[] = {
        0, VOS_COND_DKEY_UPDATE, VOS_COND_AKEY_UPDATE, VOS_COND_DKEY_UPDATE | VOS_COND_AKEY_UPDATE};

    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < 4; i++) {
        struct rig_apply *a = arena_alloc(&rig->arena, sizeof(*a));
        struct oid oid = RIG_OID(200 + i);
        struct rig_value zero = {oid, "k", "v", "zero", VOS_MOD_UPDATE, 0};
        struct rig_value one = {oid, "k", "v", "one", VOS_MOD_UPDATE, conds[i]};
        struct rig_value two = {oid, "k", "v", "two", VOS_MOD_UPDATE, 0};
        struct rig_value gone = {oid, "k", NULL, NULL, VOS_MOD_PUNCH_DKEY, 0};
        struct proto_obj_apply_rep rep;
        struct rig_id id;
        char buf[32];

        EXPECT_OK(rig_apply(rig, 1, 0, &zero, NULL, NULL));
        id = rig_id(rig);
        rig_apply_fill(a, &one, 1);
        rig_lose_answer(rig, 1, 1, PROTO_OBJ_APPLY, &a->req, &id);
        EXPECT_OK(rig_fetch(rig, 1, 0, oid, "k", "v", 0, buf, sizeof(buf)));
        EXPECT_STR_EQ(buf, "one"); /* it took effect */
        {
            /* The slot of the lost request stays its own: others write with another. */
            struct rig_id other = rig_id(rig);

            other.slot = 1;
            EXPECT_OK(rig_apply(rig, 1, 0, &two, &other, NULL));
        }
        EXPECT_OK(rig_call(rig, 1, 1, PROTO_OBJ_APPLY, &a->req, &rep, &id));
        EXPECT(rep.is_replay);
        EXPECT_OK(rig_fetch(rig, 1, 0, oid, "k", "v", 0, buf, sizeof(buf)));
        EXPECT_STR_EQ(buf, "two");
        {
            struct rig_id other = rig_id(rig);

            other.slot = 1;
            EXPECT_OK(rig_apply(rig, 1, 0, &gone, &other, NULL));
        }
        EXPECT_OK(rig_call(rig, 1, 1, PROTO_OBJ_APPLY, &a->req, &rep, &id));
        EXPECT(rep.is_replay);
        EXPECT_OK(rig_fetch(rig, 1, 0, oid, "k", "v", 0, buf, sizeof(buf)));
        EXPECT_STR_EQ(buf, "");
    }
}

TEST_ON(server_resend, updates_that_would_revive_an_old_value, BACKEND_SIM)
{
    rig_run(2, body_revive);
}

/*
 * A condition that failed has no effect to remember: the resend is evaluated anew and fails as
 * well; fetches likewise.
 */
static void
body_failed(struct rig *rig)
{
    struct rig_apply *a = arena_alloc(&rig->arena, sizeof(*a));
    struct rig_value here = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct rig_value insert = {
        FRUIT, "fruit", "colour", "blue", VOS_MOD_UPDATE, VOS_COND_DKEY_INSERT};
    struct rig_value update = {FRUIT, "nut", "colour", "blue", VOS_MOD_UPDATE, VOS_COND_DKEY_UPDATE};
    const struct rig_value *ops[2] = {&insert, &update};
    const int want[2] = {-DER_EXIST, -DER_NONEXIST};
    struct proto_iod iod = {.akey = rig_str("colour"), .type = 1, .buf_len = 32};
    struct proto_obj_fetch_req freq = {.oid = FRUIT,
        .layout_ver = 1,
        .epoch = UINT64_MAX,
        .flags = VOS_COND_DKEY_FETCH,
        .dkey = rig_str("fruit"),
        .iods = {1, &iod}};
    struct proto_obj_fetch_rep frep;
    struct proto_obj_apply_rep rep;
    struct rig_id id;
    char buf[32];

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_apply(rig, 0, 1, &here, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        id = rig_id(rig);
        rig_apply_fill(a, ops[i], 1);
        rig_lose_answer(rig, 0, 2, PROTO_OBJ_APPLY, &a->req, &id);
        EXPECT_EQ(rig_call(rig, 0, 2, PROTO_OBJ_APPLY, &a->req, &rep, &id), want[i]);
    }
    EXPECT_OK(rig_fetch(rig, 0, 1, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "red");

    rig_lose_answer(rig, 0, 2, PROTO_OBJ_FETCH, &freq, NULL);
    EXPECT_OK(rig_call(rig, 0, 2, PROTO_OBJ_FETCH, &freq, &frep, NULL));
    if (EXPECT_EQ(frep.data.len, 3))
        EXPECT_MEM_EQ(frep.data.buf, "red", 3);
    freq.dkey = rig_str("nut");
    rig_lose_answer(rig, 0, 2, PROTO_OBJ_FETCH, &freq, NULL);
    EXPECT_ERR(rig_call(rig, 0, 2, PROTO_OBJ_FETCH, &freq, &frep, NULL), NONEXIST);
    freq.flags = VOS_COND_AKEY_FETCH;
    freq.dkey = rig_str("fruit");
    iod.akey = rig_str("weight");
    rig_lose_answer(rig, 0, 2, PROTO_OBJ_FETCH, &freq, NULL);
    EXPECT_ERR(rig_call(rig, 0, 2, PROTO_OBJ_FETCH, &freq, &frep, NULL), NONEXIST);
}

TEST_ON(server_resend, conditions_that_failed, BACKEND_SIM)
{
    rig_run(2, body_failed);
}

/* ---- services ------------------------------------------------------------------------------- */

static void
body_services(struct rig *rig)
{
    struct proto_prop label = {.type = 0x1001, .bytes = rig_str("crate")};
    struct proto_cont_create_req create = {.props = {1, &label}};
    struct proto_cont_open_req open = {.id = rig_str("crate"), .flags = 2};
    struct proto_cont_oid_alloc_req alloc = {.nr = 10};
    struct proto_cont_close_req close;
    struct proto_cont_destroy_req destroy = {.id = rig_str("crate")};
    struct proto_pool_connect_req connect = {.flags = 2};
    struct proto_pool_disconnect_req disconnect;
    struct proto_cont_oid_alloc_rep first, again, next;
    struct proto_cont_open_rep orep;
    struct proto_pool_connect_rep crep;
    struct proto_empty rep;
    struct rig_id id;
    uint32_t rank;

    if (!rig_setup(rig))
        return;
    rank = rig->svc_rank;
    create.pool = open.pool = alloc.pool = destroy.pool = connect.pool = rig->pool;
    create.cont = rig_uuid(rig);

    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_CONT_CREATE, &create, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_CREATE, &create, &rep, &id));
    EXPECT_ERR(rig_call(rig, rank, 0, PROTO_CONT_CREATE, &create, &rep, NULL), EXIST);

    open.cont_hdl = rig_uuid(rig);
    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_CONT_OPEN, &open, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_OPEN, &open, &orep, &id));
    EXPECT_EQ(cuuid_cmp(&orep.cont, &create.cont), 0);
    EXPECT_EQ(orep.hdl_nr, 1);

    rig->cont_hdl = open.cont_hdl;
    alloc.cont = create.cont;
    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_CONT_OID_ALLOC, &alloc, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_OID_ALLOC, &alloc, &first, &id));
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_OID_ALLOC, &alloc, &again, &id));
    EXPECT_EQ(again.lo, first.lo);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_OID_ALLOC, &alloc, &next, NULL));
    EXPECT_EQ(next.lo, first.lo + 10); /* the range of the lost answer was given once (CON-4) */

    close = (struct proto_cont_close_req){rig->pool, open.cont_hdl};
    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_CONT_CLOSE, &close, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_CLOSE, &close, &rep, &id));
    EXPECT_ERR(rig_call(rig, rank, 0, PROTO_CONT_CLOSE, &close, &rep, NULL), NO_HDL);

    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_CONT_DESTROY, &destroy, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_CONT_DESTROY, &destroy, &rep, &id));
    EXPECT_ERR(rig_call(rig, rank, 0, PROTO_CONT_DESTROY, &destroy, &rep, NULL), NONEXIST);

    connect.hdl = rig_uuid(rig);
    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_POOL_CONNECT, &connect, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_POOL_CONNECT, &connect, &crep, &id));
    disconnect = (struct proto_pool_disconnect_req){rig->pool, connect.hdl};
    id = rig_id(rig);
    rig_lose_answer(rig, rank, 0, PROTO_POOL_DISCONNECT, &disconnect, &id);
    EXPECT_OK(rig_call(rig, rank, 0, PROTO_POOL_DISCONNECT, &disconnect, &rep, &id));
    EXPECT_ERR(rig_call(rig, rank, 0, PROTO_POOL_DISCONNECT, &disconnect, &rep, NULL), NO_HDL);
}

/*
 * The application changed its buffer before the resend, so that the checksum does not fit any more: what was done was done, and a client that
 * is told CSUM would send it anew with another id (MS-4).
 */
static void
body_changed(struct rig *rig)
{
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, VOS_COND_DKEY_INSERT};
    struct rig_apply *a = arena_alloc(&rig->arena, sizeof(*a));
    struct proto_obj_apply_rep rep = {0};
    struct rig_id id;
    char buf[32];

    if (!rig_setup(rig))
        return;
    id = rig_id(rig);
    rig_apply_fill(a, &v, 1);
    rig_lose_answer(rig, 0, 1, PROTO_OBJ_APPLY, &a->req, &id);
    a->data[0]++;
    EXPECT_OK(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a->req, &rep, &id));
    EXPECT(rep.is_replay);
    id = rig_id(rig);
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a->req, &rep, &id), CSUM);
    EXPECT_OK(rig_fetch(rig, 0, 0, v.oid, "fruit", "colour", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "red");
}

TEST_ON(server_resend, a_buffer_that_changed_meanwhile, BACKEND_SIM)
{
    rig_run(2, body_changed);
}

/*
 * An open whose answer was lost, and whose container is destroyed by force before the resend comes: the open happened (a destroy without
 * force is told BUSY), so its answer may not be that there is no such container. The handle is worth nothing then, and closes.
 */
static void
body_open_then_gone(struct rig *rig)
{
    struct proto_cont_open_req open = {.id = rig_str("crate"), .flags = 2};
    struct proto_prop label = {.type = 0x1001, .bytes = rig_str("crate")};
    struct proto_cont_create_req create = {.props = {1, &label}};
    struct proto_cont_destroy_req destroy = {.id = rig_str("crate")};
    struct proto_cont_open_rep orep;
    struct proto_cont_close_req close;
    struct proto_empty rep;
    struct rig_id id;

    if (!rig_setup(rig))
        return;
    create.pool = open.pool = destroy.pool = rig->pool;
    create.cont = rig_uuid(rig);
    EXPECT_OK(rig_svc(rig, PROTO_CONT_CREATE, &create, &rep));
    open.cont_hdl = rig_uuid(rig);
    id = rig_id(rig);
    id.slot = 20; /* of its own: others ask meanwhile */
    rig_lose_answer(rig, rig->svc_rank, 0, PROTO_CONT_OPEN, &open, &id);
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_DESTROY, &destroy, &rep), BUSY);
    destroy.force = 1;
    EXPECT_OK(rig_svc(rig, PROTO_CONT_DESTROY, &destroy, &rep));
    EXPECT_OK(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_OPEN, &open, &orep, &id));
    EXPECT_EQ(cuuid_cmp(&orep.cont, &create.cont), 0);
    EXPECT_EQ(orep.hdl_nr, 0);
    close = (struct proto_cont_close_req){rig->pool, open.cont_hdl};
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_CLOSE, &close, &rep), NO_HDL);
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_OPEN, &open, &orep), NONEXIST);
}

TEST_ON(server_resend, an_open_whose_container_is_gone, BACKEND_SIM)
{
    rig_run(2, body_open_then_gone);
}

TEST_ON(server_resend, service_requests, BACKEND_SIM)
{
    rig_run(2, body_services);
}

/* A failure that was told to the client stays one: a copy of the request that arrives later has no effect. */
static void
body_services_failed(struct rig *rig)
{
    struct proto_cont_destroy_req open_box = {.id = rig_str("box")}, crate = {.id = rig_str("crate")};
    struct proto_prop label = {.type = 0x1001, .bytes = rig_str("crate")};
    struct proto_cont_create_req create = {.props = {1, &label}};
    struct proto_empty rep;
    struct rig_id busy, absent, exists, other;

    if (!rig_setup(rig))
        return;
    open_box.pool = crate.pool = create.pool = rig->pool;
    absent = rig_id(rig);
    EXPECT_ERR(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_DESTROY, &crate, &rep, &absent), NONEXIST);
    other = rig_id(rig);
    other.slot =
        1; /* the first slot stays with its request, so that only the failure's memory protects */
    create.cont = rig_uuid(rig);
    EXPECT_OK(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_CREATE, &create, &rep, &other));
    EXPECT_ERR(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_DESTROY, &crate, &rep, &absent), NONEXIST);
    exists = rig_id(rig);
    exists.slot = 2;
    create.cont = rig_uuid(rig);
    EXPECT_ERR(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_CREATE, &create, &rep, &exists), EXIST);
    other.seq = rig_id(rig).seq;
    EXPECT_OK(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_DESTROY, &crate, &rep, &other));
    EXPECT_ERR(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_CREATE, &create, &rep, &exists), EXIST);
    EXPECT_ERR(rig_cont_open(rig, "crate", 2, rig_uuid(rig)), NONEXIST);
    busy = rig_id(rig);
    busy.slot = 3;
    EXPECT_ERR(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_DESTROY, &open_box, &rep, &busy), BUSY);
    open_box.force = 1; /* what the copy says now does not matter */
    EXPECT_ERR(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_DESTROY, &open_box, &rep, &busy), BUSY);
}

TEST_ON(server_resend, service_requests_that_failed, BACKEND_SIM)
{
    rig_run(2, body_services_failed);
}

/*
 * Handles are in the service's database: I/O and service requests go on with them after a restart
 * of every engine.
 */
static void
body_handles(struct rig *rig)
{
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct proto_pool_query_req req;
    struct proto_pool_query_rep rep;
    char buf[32];

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    EXPECT_OK(rig_apply(rig, 1, 1, &v, NULL, NULL));
    rig_engine_restart(rig, 0);
    rig_engine_restart(rig, 1);
    EXPECT_OK(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "red");
    v.data = "green";
    EXPECT_OK(rig_apply(rig, 1, 1, &v, NULL, NULL));
    EXPECT_OK(rig_fetch(rig, 1, 1, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "green");
    req.pool = rig->pool;
    EXPECT_OK(rig_svc(rig, PROTO_POOL_QUERY, &req, &rep));
    EXPECT_EQ(rep.hdl_nr, 1);
    EXPECT_EQ(rep.cont_nr, 1);
    EXPECT_EQ(rep.space.tgt_nr, 4);
}

TEST_ON(server_resend, handles_survive_a_restart, BACKEND_SIM)
{
    rig_run(2, body_handles);
}
