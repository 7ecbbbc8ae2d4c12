/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A store that cannot be opened, or stops later, answers for itself (ENG-6): its target gives the cause
 * at once as final answer, all its neighbours serve, the status tells, and the medium is left as it is:
 * with the damage undone everything is there again.
 */
#include <stdio.h>

#include "base/probe.h"
#include "mgmt/mgmt.h"
#include "pool/pool.h"
#include "proto/ctl/ctl.pb-c.h"
#include "server/server_rig.h"

#define SOON_NS UINT64_C(1000000000)

/* What a bit is flipped in; `at` is the file's offset. */
struct place {
    const char *file;
    uint64_t at;
    bool is_killed; /* the engine is killed and not stopped: its log is needed */
};

/*
 * Of a store with the rig's sizes: the first group of the log while there is no later checkpoint; the four superblocks; the first page image of a
 * checkpoint.
 */
#define SLOT_MAP_BYTES (UINT64_C(96) << 20 >> 14 << 4)
static const struct place places[] = {
    {"wal", 4096 + 100, true},
    {"target", 20, false},
    {"wal", 40, false},
    {"meta", 40, true},
    {"data", 40, false},
    {"meta", 16384 + 2 * SLOT_MAP_BYTES + 1000, false},
};

static bool
is_fault(int rc)
{
    return rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_DF_INCOMPT || rc == -DER_NVME_IO;
}

static void
flip(struct rig *rig, uint32_t rank, const char *store, const char *file, uint64_t at)
{
    char path[64];

    snprintf(path, sizeof(path), "/store/%s/%s", store, file);
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[rank].host, path, at * 8 + 3));
}

static struct rig_value
value_on(uint32_t rank, uint32_t tgt, const char *data)
{
    return (struct rig_value){
        .oid = RIG_OID(1 + rank * 16 + tgt), .dkey = "d", .akey = "a", .data = data, .op = 1};
}

static void
put_everywhere(struct rig *rig, const char *data, uint32_t bad_rank, uint32_t bad_tgt)
{
    for (uint32_t rank = 0; rank < rig->engine_nr; rank++) {
        for (uint32_t t = 0; t < RIG_TGTS; t++) {
            struct rig_value v = value_on(rank, t, data);

            if (rank != bad_rank || t != bad_tgt)
                EXPECT_OK(rig_apply(rig, rank, t, &v, NULL, NULL));
        }
    }
}

static void
get_everywhere(struct rig *rig, const char *data, uint32_t bad_rank, uint32_t bad_tgt)
{
    char buf[32];

    for (uint32_t rank = 0; rank < rig->engine_nr; rank++) {
        for (uint32_t t = 0; t < RIG_TGTS; t++) {
            if (rank == bad_rank && t == bad_tgt)
                continue;
            EXPECT_OK(
                rig_fetch(rig, rank, t, value_on(rank, t, "").oid, "d", "a", 0, buf, sizeof(buf)));
            EXPECT_STR_EQ(buf, data);
        }
    }
}

/* Read and write on a target: both get the same final answer, which is returned, soon. */
static int
answer_of(struct rig *rig, uint32_t rank, uint32_t tgt)
{
    struct rig_value v = value_on(rank, tgt, "x");
    struct rig_apply *a = arena_alloc(&rig->arena, sizeof(*a));
    struct rpc_call_info info = {.is_replied = false};
    struct proto_obj_apply_rep rep;
    uint64_t begun_ns = ult_now_ns();
    char buf[32];
    int rc, rc2;

    rig_apply_fill(a, &v, 1);
    rc = rig_call_once(rig, rank, 1 + tgt, PROTO_OBJ_APPLY, &a->req, &rep, NULL, RIG_CALL_NS, &info);
    EXPECT(info.is_replied);
    rc2 = rig_fetch(rig, rank, tgt, v.oid, "d", "a", 0, buf, sizeof(buf));
    EXPECT_EQ(rc, rc2);
    EXPECT_LT(ult_now_ns() - begun_ns, SOON_NS);
    return rc;
}

static Cairn__Ctl__EngineStatusRep *
status_of(struct rig *rig, uint32_t rank)
{
    Cairn__Ctl__EngineStatusRep *st;
    struct iov body;

    if (!EXPECT_OK(rig_ctl(rig, rank, CAIRN__CTL__METHOD__ENGINE_STATUS, NULL, &body)))
        return NULL;
    st = cairn__ctl__engine_status_rep__unpack(NULL, body.len, body.buf);
    EXPECT(st != NULL);
    return st;
}

/* The status of a rank names this target alone, with where and what to do. */
static void
status_check(struct rig *rig, uint32_t rank, uint32_t tgt, int rc, const char *where)
{
    Cairn__Ctl__EngineStatusRep *st = status_of(rig, rank);

    if (st == NULL)
        return;
    EXPECT(st->ready);
    EXPECT_EQ(st->rc, 0);
    for (uint32_t t = 0; t < st->n_targets; t++) {
        EXPECT_EQ(st->targets[t]->rc, t == tgt ? rc : 0);
        EXPECT_EQ(st->targets[t]->error[0] != '\0', t == tgt);
        EXPECT_EQ(st->targets[t]->pools, t == tgt ? 0 : 1);
    }
    if (!EXPECT(strstr(st->targets[tgt]->error, where) != NULL) ||
        !EXPECT(strstr(st->targets[tgt]->error, "start again") != NULL))
        printf("    %s\n", st->targets[tgt]->error);
    cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
}

static void
engine_end(struct rig *rig, uint32_t rank, bool is_killed)
{
    if (!is_killed) {
        engine_stop_begin(rig->engines[rank].engine);
        engine_wait_stopped(rig->engines[rank].engine);
    }
    rig_engine_kill(rig, rank);
}

static void
engine_back(struct rig *rig, uint32_t rank)
{
    EXPECT_OK(rig_engine_start(rig, rank));
    EXPECT_OK(rig_group_push(rig));
}

/* Requests about pools with a target of rank 1 out of service. */
static void
pools_beside(struct rig *rig, int fault)
{
    struct proto_prop prop = {.type = 1, .bytes = rig_str("small")};
    struct proto_rank only = {.rank = 0};
    struct proto_sys_pool_create_req req = {.pool = rig_uuid(rig),
        .meta_bytes = RIG_META_BYTES,
        .data_bytes = RIG_DATA_BYTES,
        .props = {1, &prop}};
    struct proto_sys_pool_destroy_req dreq = {.pool = req.pool, .force = 1, .recursive = 1};
    struct proto_pool_query_req qreq = {.pool = rig->pool};
    struct proto_pool_query_rep qrep;
    struct proto_sys_pool_create_rep rep;
    struct proto_empty none;
    uint64_t begun_ns = ult_now_ns();

    EXPECT_EQ(rig_call(rig, 0, 0, PROTO_SYS_POOL_CREATE, &req, &rep, NULL), fault);
    EXPECT_LT(ult_now_ns() - begun_ns, SOON_NS);
    req.ranks = (struct proto_array){1, &only}; /* and nothing is left of it */
    EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_CREATE, &req, &rep, NULL));
    EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_DESTROY, &dreq, &none, NULL));
    EXPECT_OK(rig_svc(rig, PROTO_POOL_QUERY, &qreq, &qrep));
    EXPECT_EQ(qrep.space.tgt_nr, rig->engine_nr * RIG_TGTS - 1);
}

static void
body_flipped(struct rig *rig)
{
    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < ARRAY_SIZE(places) && !test_failed(); i++) {
        const struct place *p = &places[i];
        char text[16], more[16];
        int rc;

        snprintf(text, sizeof(text), "value %u", i);
        snprintf(more, sizeof(more), "more %u", i);
        put_everywhere(rig, text, UINT32_MAX, 0);
        engine_end(rig, 1, p->is_killed);
        flip(rig, 1, "tgt1", p->file, p->at);
        engine_back(rig, 1);
        rc = answer_of(rig, 1, 1);
        if (!EXPECT(is_fault(rc)))
            printf("    %s at %llu: %s\n", p->file, (unsigned long long)p->at, err_name(rc));
        status_check(rig, 1, 1, rc, p->file);
        get_everywhere(rig, text, 1, 1);
        put_everywhere(rig, more, 1, 1);
        get_everywhere(rig, more, 1, 1);
        pools_beside(rig, rc);
        /* A start later finds the same. */
        engine_end(rig, 1, false);
        engine_back(rig, 1);
        EXPECT_EQ(answer_of(rig, 1, 1), rc);
        get_everywhere(rig, more, 1, 1);
        engine_end(rig, 1, true);
        flip(rig, 1, "tgt1", p->file, p->at);
        engine_back(rig, 1);
        get_everywhere(rig, more, 1, 1);
        put_everywhere(rig, more, 0, 0);
        get_everywhere(rig, more, UINT32_MAX, 0);
    }
}

TEST_ON(server_fault, one_flipped_bit_costs_one_target, BACKEND_SIM)
{
    rig_run(2, body_flipped);
}

/* ---- the services' store -------------------------------------------------------------------- */

/* Everything that needs a service gets the cause, at once; requests to targets do not reach one either, unless they need none. */
static void
body_services(struct rig *rig)
{
    struct proto_sys_resolve_req rreq = {.id = rig_str("tank")};
    struct proto_sys_resolve_rep rrep;
    struct proto_pool_query_req qreq;
    struct proto_pool_query_rep qrep;
    Cairn__Ctl__EngineStatusRep *st;
    uint64_t begun_ns;
    int rc;

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "before", UINT32_MAX, 0);
    engine_end(rig, 0, false);
    flip(rig, 0, "sys", "meta", 40);
    engine_back(rig, 0);
    begun_ns = ult_now_ns();
    rc = rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL);
    EXPECT(is_fault(rc));
    qreq.pool = rig->pool;
    if (rig->svc_rank == 0) {
        EXPECT_EQ(rig_svc(rig, PROTO_POOL_QUERY, &qreq, &qrep), rc);
    } else {
        EXPECT_OK(rig_svc(rig, PROTO_POOL_QUERY, &qreq, &qrep));
    }
    EXPECT_EQ(answer_of(rig, 0, 0), rc); /* the handle cannot be asked about */
    EXPECT_EQ(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_LIST, NULL, NULL), rc);
    EXPECT(strstr(rig->err, "/store/sys") != NULL);
    EXPECT_EQ(rig_ctl(rig, 0, CAIRN__CTL__METHOD__SYSTEM_QUERY, NULL, NULL), rc);
    EXPECT_LT(ult_now_ns() - begun_ns, 2 * SOON_NS);
    EXPECT_ERR(engine_resign(rig->engines[0].engine, rig->pool), NOTREPLICA);
    st = status_of(rig, 0);
    if (st != NULL) {
        EXPECT(st->ready);
        EXPECT_EQ(st->rc, rc);
        EXPECT(strstr(st->error, "/store/sys") != NULL);
        EXPECT_EQ(st->targets[0]->rc, 0);
        EXPECT_EQ(st->targets[1]->rc, 0);
        cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
    }
    engine_end(rig, 0, false);
    flip(rig, 0, "sys", "meta", 40);
    engine_back(rig, 0);
    get_everywhere(rig, "before", UINT32_MAX, 0);
    put_everywhere(rig, "after", UINT32_MAX, 0);
}

TEST_ON(server_fault, damaged_services_say_so, BACKEND_SIM)
{
    rig_run(1, body_services);
    rig_run(2, body_services);
}

/* Connect to a pool by its label; *ret_pool when it could be resolved. */
static int
connect_to(struct rig *rig, const char *label, struct uuid *ret_pool)
{
    struct proto_sys_resolve_req rreq = {.id = rig_str(label)};
    struct proto_sys_resolve_rep rrep;
    struct proto_pool_connect_req creq = {.hdl = rig_uuid(rig), .flags = 2};
    struct proto_pool_connect_rep crep;
    int rc;

    rc = rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL);
    if (rc != 0)
        return rc;
    *ret_pool = creq.pool = rrep.pool;
    return rig_call(rig, 0, 0, PROTO_POOL_CONNECT, &creq, &crep, NULL);
}

/* The database of one pool's service cannot be opened: that pool answers so, and can be destroyed; the others serve. */
static void
body_one_service(struct rig *rig)
{
    static const char *const labels[] = {"tank", "other"};
    struct proto_sys_pool_destroy_req dreq = {.force = 1, .recursive = 1};
    struct proto_empty none;
    struct uuid ids[2];
    int rcs[2], bad;

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_pool_create(rig, rig_uuid(rig), labels[1]));
    engine_end(rig, 0, true);
    if (!fault_arm("engine.pool.start", 0, 1)) {
        engine_back(rig, 0); /* a build without faults */
        return;
    }
    engine_back(rig, 0);
    for (int i = 0; i < 2; i++) {
        uint64_t begun_ns = ult_now_ns();

        rcs[i] = connect_to(rig, labels[i], &ids[i]);
        EXPECT_LT(ult_now_ns() - begun_ns, SOON_NS);
    }
    bad = rcs[0] != 0 ? 0 : 1;
    EXPECT_ERR(rcs[bad], DF_INVAL);
    EXPECT_OK(rcs[1 - bad]);
    dreq.pool = ids[bad];
    EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_DESTROY, &dreq, &none, NULL));
    EXPECT_ERR(connect_to(rig, labels[bad], &ids[bad]), NONEXIST);
    EXPECT_OK(rig_pool_create(rig, rig_uuid(rig), labels[bad]));
    EXPECT_OK(connect_to(rig, labels[bad], &ids[bad]));
}

TEST_ON(server_fault, one_bad_service_costs_one_pool, BACKEND_SIM)
{
    rig_run(1, body_one_service);
}

/* ---- nothing left, and gone ----------------------------------------------------------------- */

static void
body_all(struct rig *rig)
{
    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "kept", UINT32_MAX, 0);
    engine_end(rig, 0, false);
    flip(rig, 0, "sys", "target", 20);
    flip(rig, 0, "tgt0", "target", 20);
    flip(rig, 0, "tgt1", "target", 20);
    EXPECT_ERR(rig_engine_start(rig, 0), CSUM);
    EXPECT_EQ(engine_state_get(rig->engines[0].engine, rig->err, NULL), ENGINE_FAILED);
    EXPECT(strstr(rig->err, "/store/sys") != NULL);
    engine_end(rig, 0, false);
    flip(rig, 0, "sys", "target", 20); /* the services alone are worth a start */
    engine_back(rig, 0);
    EXPECT_ERR(answer_of(rig, 0, 0), CSUM);
    EXPECT_ERR(answer_of(rig, 0, 1), CSUM);
    engine_end(rig, 0, false);
    flip(rig, 0, "tgt0", "target", 20);
    flip(rig, 0, "tgt1", "target", 20);
    engine_back(rig, 0);
    get_everywhere(rig, "kept", UINT32_MAX, 0);
}

TEST_ON(server_fault, nothing_left_is_no_start, BACKEND_SIM)
{
    rig_run(1, body_all);
}

/* The marker of a store is gone (another device is mounted there, say): nothing is formatted in its place (ENG-7). */
static void
body_gone(struct rig *rig)
{
    struct plat *plat = rig->engines[0].plat;
    uint8_t marker[8192];
    size_t len;

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "kept", UINT32_MAX, 0);
    engine_stop_begin(rig->engines[0].engine);
    engine_wait_stopped(rig->engines[0].engine);
    EXPECT_OK(plat->ops->file_read(plat, "/store/tgt1/target", marker, sizeof(marker), &len));
    EXPECT_OK(plat->ops->file_remove(plat, "/store/tgt1/target"));
    rig_engine_kill(rig, 0);
    engine_back(rig, 0);
    EXPECT_ERR(answer_of(rig, 0, 1), DF_INVAL);
    status_check(rig, 0, 1, -DER_DF_INVAL, "not there any more");
    get_everywhere(rig, "kept", 0, 1);
    engine_stop_begin(rig->engines[0].engine);
    engine_wait_stopped(rig->engines[0].engine);
    plat = rig->engines[0].plat;
    EXPECT_OK(plat->ops->file_write(plat, "/store/tgt1/target", marker, len));
    rig_engine_kill(rig, 0);
    engine_back(rig, 0);
    get_everywhere(rig, "kept", UINT32_MAX, 0);
}

TEST_ON(server_fault, a_store_that_is_gone_is_not_made_anew, BACKEND_SIM)
{
    rig_run(1, body_gone);
}

/* A pool is destroyed while one of its targets is out of service: that is told, and finished when it is back. */
static void
body_destroy(struct rig *rig)
{
    Cairn__Ctl__PoolDestroyReq dreq = CAIRN__CTL__POOL_DESTROY_REQ__INIT;
    char label[] = "tank";
    struct uuid id;
    int rc;

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "gone soon", UINT32_MAX, 0);
    engine_end(rig, 1, false);
    flip(rig, 1, "tgt1", "target", 20);
    engine_back(rig, 1);
    dreq.id = label;
    dreq.force = dreq.recursive = 1;
    EXPECT_ERR(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_DESTROY, &dreq.base, NULL), CSUM);
    EXPECT(strstr(rig->err, "when that is back") != NULL);
    EXPECT_ERR(connect_to(rig, label, &id), NONEXIST);
    engine_end(rig, 1, false);
    flip(rig, 1, "tgt1", "target", 20);
    engine_back(rig, 1);
    ult_sleep(2 * MGMT_RETRY_NS);
    EXPECT_OK(rig_pool_create(
        rig, rig_uuid(rig), label)); /* the label is free, nothing of the old one is left */
    rc = connect_to(rig, label, &id);
    EXPECT(rc == 0 || rc == -DER_NOTREPLICA); /* the service may be rank 1's */
}

TEST_ON(server_fault, a_destruction_waits_for_what_is_out_of_service, BACKEND_SIM)
{
    rig_run(2, body_destroy);
}

static int
pool_on(struct rig *rig, uint32_t rank, uint8_t first, const char *label)
{
    struct proto_prop prop = {.type = 1, .bytes = rig_str(label)};
    struct proto_rank only = {.rank = rank};
    struct proto_sys_pool_create_req req = {.pool = rig_uuid(rig),
        .meta_bytes = 1 << 20,
        .data_bytes = 1 << 20,
        .ranks = {1, &only},
        .props = {1, &prop}};
    struct proto_sys_pool_create_rep rep;

    req.pool.b[0] = first;
    return rig_call(rig, 0, 0, PROTO_SYS_POOL_CREATE, &req, &rep, NULL);
}

static int
pool_off(struct rig *rig, const char *label)
{
    Cairn__Ctl__PoolDestroyReq req = CAIRN__CTL__POOL_DESTROY_REQ__INIT;

    req.id = (char *)(uintptr_t)label;
    req.force = req.recursive = 1;
    return rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_DESTROY, &req.base, NULL);
}

enum { STUCK_NR = 40 };

/* Many pools whose destruction waits for a damaged target do not keep another one's from its end. */
static void
body_stuck(struct rig *rig)
{
    char label[16];

    EXPECT_OK(pool_on(rig, 2, 0xff, "last"));
    for (uint32_t i = 0; i < STUCK_NR; i++) {
        snprintf(label, sizeof(label), "stuck%u", i);
        EXPECT_OK(pool_on(rig, 1, (uint8_t)i, label));
    }
    engine_end(rig, 1, false);
    flip(rig, 1, "tgt0", "target", 20);
    engine_back(rig, 1);
    rig_engine_kill(rig, 2);
    EXPECT_ERR(pool_off(rig, "last"), UNREACH);
    for (uint32_t i = 0; i < STUCK_NR; i++) {
        snprintf(label, sizeof(label), "stuck%u", i);
        EXPECT_ERR(pool_off(rig, label), CSUM);
    }
    EXPECT_ERR(pool_on(rig, 0, 0x33, "last"), EXIST);
    engine_back(rig, 2);
    ult_sleep(2 * MGMT_RETRY_NS);
    EXPECT_OK(pool_on(rig, 0, 0x33, "last"));
    EXPECT_ERR(pool_on(rig, 0, 0x33, "stuck3"), EXIST);
    engine_end(rig, 1, false);
    flip(rig, 1, "tgt0", "target", 20);
    engine_back(rig, 1);
    ult_sleep(2 * MGMT_RETRY_NS);
    for (uint32_t i = 0; i < STUCK_NR; i++) {
        snprintf(label, sizeof(label), "stuck%u", i);
        EXPECT_OK(pool_on(rig, 0, 0x44, label));
    }
}

TEST_ON(server_fault, what_waits_keeps_nobody_else_waiting, BACKEND_SIM)
{
    rig_run(3, body_stuck);
}

/* Free metadata of a target, as the pool's service knows it. */
static uint64_t
free_of(struct rig *rig, uint32_t tgt_id)
{
    struct proto_pool_tgt_query_req req = {.pool = rig->pool, .tgt = tgt_id};
    struct proto_pool_tgt_query_rep rep = {.state = 0};

    EXPECT_OK(rig_svc(rig, PROTO_POOL_TGT_QUERY, &req, &rep));
    return rep.space.free[0];
}

/* The same for containers: those that a damaged target still has keep no other target from giving up its own. */
static void
body_conts(struct rig *rig)
{
    struct uuid conts[STUCK_NR];
    char label[16];
    uint32_t damaged, down;
    uint64_t before;

    if (!rig_setup(rig))
        return;
    damaged = (rig->svc_rank + 1) % 3;
    down = (rig->svc_rank + 2) % 3;
    before = free_of(rig, RIG_TGTS * down);
    for (uint32_t i = 0; i < STUCK_NR; i++) {
        struct rig_value v = value_on(down, 0, "a value");

        snprintf(label, sizeof(label), "cont%u", i);
        conts[i] = rig_uuid(rig);
        EXPECT_OK(rig_cont_create(rig, conts[i], label));
        rig->cont_hdl = rig_uuid(rig);
        EXPECT_OK(rig_cont_open(rig, label, 2, rig->cont_hdl));
        EXPECT_OK(rig_apply(rig, down, 0, &v, NULL, NULL));
    }
    EXPECT_LT(free_of(rig, RIG_TGTS * down), before);
    engine_end(rig, damaged, false);
    flip(rig, damaged, "tgt0", "target", 20);
    engine_back(rig, damaged);
    rig_engine_kill(rig, down);
    for (uint32_t i = 0; i < STUCK_NR; i++) {
        struct proto_cont_destroy_req req = {.pool = rig->pool, .force = 1};
        struct proto_empty none;

        snprintf(label, sizeof(label), "cont%u", i);
        req.id = rig_str(label);
        EXPECT_OK(rig_svc(rig, PROTO_CONT_DESTROY, &req, &none));
    }
    engine_back(rig, down);
    ult_sleep(8 * POOL_WORKER_NS);
    EXPECT_GE(free_of(rig, RIG_TGTS * down) + 4096, before); /* but for the record of the client */
}

TEST_ON(server_fault, containers_that_wait_keep_no_space_elsewhere, BACKEND_SIM)
{
    rig_run(3, body_conts);
}

/* ---- later ---------------------------------------------------------------------------------- */

/* The device of one target fails while it serves (ST-1): the same answers, until the engine starts anew. */
static void
body_later(struct rig *rig)
{
    struct sim_opts opts = {.net_lat_lo_ns = 20000,
        .net_lat_hi_ns = 200000,
        .disk_lat_lo_ns = 20000,
        .disk_lat_hi_ns = 400000};
    struct rig_value v = value_on(1, 1, "lost");
    struct rig_id id;

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "before", UINT32_MAX, 0);
    opts.disk_error_ppm = 1000000;
    EXPECT_OK(sim_opts_set(rig->sim, &opts));
    id = rig_id(rig);
    EXPECT_ERR(rig_apply(rig, 1, 1, &v, &id, NULL), NVME_IO);
    opts.disk_error_ppm = 0;
    EXPECT_OK(sim_opts_set(rig->sim, &opts));
    EXPECT_ERR(answer_of(rig, 1, 1), NVME_IO);
    status_check(rig, 1, 1, -DER_NVME_IO, "write of the log");
    put_everywhere(rig, "beside", 1, 1);
    get_everywhere(rig, "beside", 1, 1);
    pools_beside(rig, -DER_NVME_IO);
    engine_end(rig, 1, false);
    engine_back(rig, 1);
    EXPECT_OK(rig_apply(rig, 1, 1, &v, &id,
        NULL)); /* its outcome was not known: the same request again settles it */
    put_everywhere(rig, "after", UINT32_MAX, 0);
    get_everywhere(rig, "after", UINT32_MAX, 0);
}

TEST_ON(server_fault, a_target_that_stops_later_answers_alike, BACKEND_SIM)
{
    rig_run(2, body_later);
}

/* The same for the store of the services. */
static void
body_services_later(struct rig *rig)
{
    struct sim_opts opts = {.net_lat_lo_ns = 20000,
        .net_lat_hi_ns = 200000,
        .disk_lat_lo_ns = 20000,
        .disk_lat_hi_ns = 400000};
    Cairn__Ctl__EngineStatusRep *st;

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "before", UINT32_MAX, 0);
    opts.disk_error_ppm = 1000000;
    EXPECT_OK(sim_opts_set(rig->sim, &opts));
    EXPECT_ERR(rig_cont_create(rig, rig_uuid(rig), "lost"), NVME_IO);
    opts.disk_error_ppm = 0;
    EXPECT_OK(sim_opts_set(rig->sim, &opts));
    EXPECT_ERR(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_LIST, NULL, NULL), NVME_IO);
    EXPECT(strstr(rig->err, "/store/sys") != NULL);
    EXPECT(strstr(rig->err, "write of the log") != NULL);
    st = status_of(rig, 0);
    if (st != NULL) {
        EXPECT(st->ready);
        EXPECT_ERR(st->rc, NVME_IO);
        EXPECT(strstr(st->error, "/store/sys") != NULL);
        cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
    }
    get_everywhere(rig, "before", UINT32_MAX, 0); /* the targets know the handle */
    engine_end(rig, 0, false);
    engine_back(rig, 0);
    EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_LIST, NULL, NULL));
    put_everywhere(rig, "after", UINT32_MAX, 0);
}

TEST_ON(server_fault, services_that_stop_later_answer_alike, BACKEND_SIM)
{
    rig_run(1, body_services_later);
}

/* ---- devices -------------------------------------------------------------------------------- */

/* Where a bit is flipped on the device of rank 1's target 1. */
static const uint64_t dev_places[] = {60, 300, 4096 + 40, 4096 + 8000};

/* Goal: a device whose label or table is damaged costs the targets with a share on it; it is left as it is. */
static void
body_device_damaged(struct rig *rig)
{
    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < ARRAY_SIZE(dev_places) && !test_failed(); i++) {
        const char *host = rig->engines[1].host;
        int rc;

        put_everywhere(rig, "before", UINT32_MAX, 0);
        engine_end(rig, 1, i % 2 == 0);
        EXPECT_OK(sim_file_flip_bit(rig->sim, host, "/dev1", dev_places[i] * 8 + 2));
        engine_back(rig, 1);
        rc = answer_of(rig, 1, 1);
        EXPECT(is_fault(rc));
        status_check(rig, 1, 1, rc, "/dev1: its ");
        get_everywhere(rig, "before", 1, 1);
        put_everywhere(rig, "beside", 1, 1);
        pools_beside(rig, rc);
        engine_end(rig, 1, true);
        engine_back(rig, 1);
        EXPECT_EQ(answer_of(rig, 1, 1), rc);
        get_everywhere(rig, "beside", 1, 1);
        engine_end(rig, 1, false);
        EXPECT_OK(sim_file_flip_bit(rig->sim, host, "/dev1", dev_places[i] * 8 + 2));
        engine_back(rig, 1);
        get_everywhere(rig, "beside", 1, 1);
        put_everywhere(rig, "beside", 0, 0);
        get_everywhere(rig, "beside", UINT32_MAX, 0);
    }
}

TEST_ON(server_fault, one_damaged_device_costs_its_targets, BACKEND_SIM)
{
    rig_run_devs(2, 2, body_device_damaged);
}

/* Goal: a write that fails on a device stops all that have a share on it, also who asked for nothing; the other device's target goes on. */
static void
body_device_fails(struct rig *rig)
{
    struct rig_value v = value_on(1, 0, "lost");
    Cairn__Ctl__EngineStatusRep *st;
    struct rig_id id;

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "before", UINT32_MAX, 0);
    sim_disk_errors_set(rig->sim, rig->engines[1].host, "/dev0", 1000000);
    id = rig_id(rig);
    EXPECT_ERR(rig_apply(rig, 1, 0, &v, &id, NULL), NVME_IO);
    sim_disk_errors_set(rig->sim, rig->engines[1].host, "/dev0", 0);
    EXPECT_ERR(answer_of(rig, 1, 0), NVME_IO);
    st = status_of(rig, 1);
    if (st != NULL) {
        EXPECT_ERR(st->rc, NVME_IO); /* the services' store shares the device */
        EXPECT_ERR(st->targets[0]->rc, NVME_IO);
        EXPECT_OK(st->targets[1]->rc);
        cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
    }
    put_everywhere(rig, "beside", 1, 0);
    get_everywhere(rig, "beside", 1, 0);
    engine_end(rig, 1, false);
    engine_back(rig, 1);
    EXPECT_OK(rig_apply(rig, 1, 0, &v, &id, NULL));
    put_everywhere(rig, "after", UINT32_MAX, 0);
    get_everywhere(rig, "after", UINT32_MAX, 0);
}

TEST_ON(server_fault, a_device_that_fails_stops_all_on_it, BACKEND_SIM)
{
    rig_run_devs(2, 2, body_device_fails);
}

/* The same with one device for all: two targets, each its own xstream. */
static void
body_only_device_fails(struct rig *rig)
{
    struct rig_value v = value_on(1, 0, "lost");

    if (!rig_setup(rig))
        return;
    put_everywhere(rig, "before", UINT32_MAX, 0);
    sim_disk_errors_set(rig->sim, rig->engines[1].host, "/dev0", 1000000);
    EXPECT_ERR(rig_apply(rig, 1, 0, &v, NULL, NULL), NVME_IO);
    sim_disk_errors_set(rig->sim, rig->engines[1].host, "/dev0", 0);
    EXPECT_ERR(answer_of(rig, 1, 0), NVME_IO);
    EXPECT_ERR(answer_of(rig, 1, 1), NVME_IO);
    engine_end(rig, 1, false);
    engine_back(rig, 1);
    put_everywhere(rig, "after", UINT32_MAX, 0);
    get_everywhere(rig, "after", UINT32_MAX, 0);
}

TEST_ON(server_fault, the_only_device_fails, BACKEND_SIM)
{
    rig_run_devs(2, 1, body_only_device_fails);
}
