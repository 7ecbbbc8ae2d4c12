/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: handles of processes that died go, with all they hold; handles that anybody who lives may use stay; nobody is refused for the sake
 * of the dead (POL-6). Method: processes of the simulator, on the host of the service and elsewhere, that open handles and are killed.
 */
#include <stdio.h>

#include "cont/cont.h"
#include "pool/pool.h"
#include "proto/ctl/ctl.pb-c.h"
#include "server/server_rig.h"
#include "vos/vos.h"

#define FRUIT RIG_OID(41)
#define S UINT64_C(1000000000)

/* A process that holds handles: the rig speaks for it. */
struct holder {
    struct plat *plat;
    struct proto_proc proc;
    struct uuid pool_hdl, cont_hdl;
};

static void
holder_start(struct rig *rig, struct holder *h, const char *host, const char *name)
{
    struct plat_proc proc;

    memset(h, 0, sizeof(*h));
    EXPECT_OK(sim_node_start(rig->sim, host, name, &h->plat));
    h->plat->ops->proc_self(h->plat, &proc);
    memcpy(h->proc.realm.b, proc.realm, sizeof(proc.realm));
    h->proc.pid = proc.pid;
    h->proc.start = proc.start;
    h->pool_hdl = rig_uuid(rig);
    h->cont_hdl = rig_uuid(rig);
}

static int
holder_connect(struct rig *rig, struct holder *h, uint64_t flags)
{
    struct proto_pool_connect_req req = {
        .pool = rig->pool, .hdl = h->pool_hdl, .flags = flags, .proc = h->proc};
    struct proto_pool_connect_rep rep;

    return rig_svc(rig, PROTO_POOL_CONNECT, &req, &rep);
}

/* One attempt: what the service says at once. */
static int
holder_try(struct rig *rig, struct holder *h)
{
    struct proto_pool_connect_req req = {
        .pool = rig->pool, .hdl = h->pool_hdl, .flags = POOL_PC_RW, .proc = h->proc};
    struct proto_pool_connect_rep rep;
    struct rig_id id = rig_id(rig);

    return rig_call_once(
        rig, rig->svc_rank, 0, PROTO_POOL_CONNECT, &req, &rep, &id, RIG_CALL_NS, NULL);
}

static int
holder_open(struct rig *rig, struct holder *h, uint64_t flags)
{
    struct proto_cont_open_req req = {.pool = rig->pool,
        .id = rig_str("box"),
        .cont_hdl = h->cont_hdl,
        .flags = flags,
        .proc = h->proc};
    struct proto_cont_open_rep rep;
    struct uuid own = rig->pool_hdl;
    int rc;

    rig->pool_hdl = h->pool_hdl;
    rc = rig_svc(rig, PROTO_CONT_OPEN, &req, &rep);
    rig->pool_hdl = own;
    return rc;
}

/* `h` got the handles of another one. */
static int
holder_attach(struct rig *rig, const struct holder *h, struct uuid pool_hdl, struct uuid cont_hdl)
{
    struct proto_pool_attach_req req = {.pool = rig->pool, .proc = h->proc};
    struct uuid own_pool = rig->pool_hdl, own_cont = rig->cont_hdl;
    struct proto_empty rep;
    int rc;

    rig->pool_hdl = pool_hdl;
    rig->cont_hdl = cont_hdl;
    rc = rig_svc(rig, PROTO_POOL_ATTACH, &req, &rep);
    rig->pool_hdl = own_pool;
    rig->cont_hdl = own_cont;
    return rc;
}

/* An update with the holder's handles. */
static int
holder_write(struct rig *rig, const struct holder *h, uint32_t rank, uint32_t tgt)
{
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct uuid own_pool = rig->pool_hdl, own_cont = rig->cont_hdl;
    int rc;

    rig->pool_hdl = h->pool_hdl;
    rig->cont_hdl = h->cont_hdl;
    rc = rig_apply(rig, rank, tgt, &v, NULL, NULL);
    rig->pool_hdl = own_pool;
    rig->cont_hdl = own_cont;
    return rc;
}

static void
holder_kill(struct rig *rig, struct holder *h)
{
    sim_node_kill(rig->sim, h->plat);
}

static uint32_t
pool_hdls(struct rig *rig)
{
    struct proto_pool_query_req req = {.pool = rig->pool};
    struct proto_pool_query_rep rep = {.hdl_nr = 0};

    EXPECT_OK(rig_svc(rig, PROTO_POOL_QUERY, &req, &rep));
    return rep.hdl_nr;
}

static uint32_t
cont_hdls(struct rig *rig)
{
    struct proto_cont_query_req req = {rig->pool, rig->cont};
    struct proto_cont_query_rep rep = {.hdl_nr = 0};

    EXPECT_OK(rig_svc(rig, PROTO_CONT_QUERY, &req, &rep));
    return rep.hdl_nr;
}

static int
destroy(struct rig *rig)
{
    struct proto_cont_destroy_req req = {.pool = rig->pool, .id = rig_str("box")};
    struct proto_empty rep;

    return rig_svc(rig, PROTO_CONT_DESTROY, &req, &rep);
}

static const char *
svc_host(struct rig *rig)
{
    return rig->engines[rig->svc_rank].host;
}

/* ---- the dead -------------------------------------------------------------------------------- */

static void
body_dead(struct rig *rig)
{
    struct holder dead, alive, far;

    if (!rig_setup(rig))
        return;
    holder_start(rig, &dead, svc_host(rig), "dead");
    holder_start(rig, &alive, svc_host(rig), "alive");
    holder_start(rig, &far, "elsewhere", "far");
    EXPECT_OK(holder_connect(rig, &dead, POOL_PC_RW));
    EXPECT_OK(holder_connect(rig, &alive, POOL_PC_RW));
    EXPECT_OK(holder_connect(rig, &far, POOL_PC_RW));
    EXPECT_OK(holder_open(rig, &dead, CONT_COO_RW));
    EXPECT_OK(holder_open(rig, &alive, CONT_COO_RW));
    EXPECT_OK(holder_open(rig, &far, CONT_COO_RW));
    for (uint32_t i = 0; i < 4; i++) { /* on each target */
        EXPECT_OK(holder_write(rig, &dead, i / 2, i % 2));
    }
    EXPECT_EQ(pool_hdls(rig), 4);
    EXPECT_EQ(cont_hdls(rig), 4);
    ult_sleep(10 * POOL_LOOK_NS);
    EXPECT_EQ(pool_hdls(rig), 4); /* nobody uses them, and all live */
    holder_kill(rig, &dead);
    holder_kill(rig, &far);
    ult_sleep(POOL_LOOK_NS + S);
    EXPECT_EQ(pool_hdls(rig), 3); /* of the far one nobody knows */
    EXPECT_EQ(cont_hdls(rig), 3);
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_ERR(holder_write(rig, &dead, i / 2, i % 2), NO_HDL);
    }
    EXPECT_OK(holder_write(rig, &alive, 0, 0));
    EXPECT_OK(holder_write(rig, &far, 1, 1));
}

TEST_ON(server_evict, handles_of_the_dead_go, BACKEND_SIM)
{
    rig_run(2, body_dead);
}

/* Who is in the way is looked at at once. */
static void
body_at_once(struct rig *rig)
{
    struct proto_pool_disconnect_req req;
    struct holder ex, next;
    struct proto_empty rep;

    if (!rig_setup(rig))
        return;
    req = (struct proto_pool_disconnect_req){rig->pool, rig->pool_hdl};
    EXPECT_OK(rig_svc(rig, PROTO_POOL_DISCONNECT, &req, &rep));
    holder_start(rig, &ex, svc_host(rig), "ex");
    holder_start(rig, &next, svc_host(rig), "next");
    EXPECT_OK(holder_connect(rig, &ex, POOL_PC_EX));
    EXPECT_OK(holder_open(rig, &ex, CONT_COO_EX));
    EXPECT_ERR(holder_connect(rig, &next, POOL_PC_RW), BUSY);
    holder_kill(rig, &ex);
    EXPECT_OK(holder_connect(rig, &next, POOL_PC_EX));
    EXPECT_OK(holder_open(rig, &next, CONT_COO_EX));
    rig->pool_hdl = next.pool_hdl;

    /* A container handle of a process whose pool handle is another's. */
    holder_start(rig, &ex, svc_host(rig), "guest");
    ex.pool_hdl = next.pool_hdl;
    EXPECT_ERR(holder_open(rig, &ex, CONT_COO_RW), BUSY);
    EXPECT_ERR(destroy(rig), BUSY);
    rig->cont_hdl = next.cont_hdl;
    EXPECT_OK(rig_svc(
        rig, PROTO_CONT_CLOSE, &(struct proto_cont_close_req){rig->pool, next.cont_hdl}, &rep));
    EXPECT_OK(holder_open(rig, &ex, CONT_COO_RW));
    EXPECT_ERR(destroy(rig), BUSY);
    holder_kill(rig, &ex);
    EXPECT_OK(destroy(rig));
    EXPECT_EQ(pool_hdls(rig), 1);
}

TEST_ON(server_evict, the_dead_are_in_nobodys_way, BACKEND_SIM)
{
    rig_run(2, body_at_once);
}

/* A pool is destroyed without force when only dead clients have it. */
static void
body_pool(struct rig *rig)
{
    Cairn__Ctl__PoolDestroyReq ctl = CAIRN__CTL__POOL_DESTROY_REQ__INIT;
    struct proto_pool_disconnect_req req;
    struct proto_empty rep;
    struct holder h;

    if (!rig_setup(rig))
        return;
    holder_start(rig, &h, svc_host(rig), "one");
    EXPECT_OK(holder_connect(rig, &h, POOL_PC_RW));
    req = (struct proto_pool_disconnect_req){rig->pool, rig->pool_hdl};
    EXPECT_OK(rig_svc(rig, PROTO_POOL_DISCONNECT, &req, &rep));
    ctl.id = (char[]){"tank"};
    ctl.recursive = true;
    EXPECT_ERR(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_DESTROY, &ctl, NULL), BUSY);
    holder_kill(rig, &h);
    EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_DESTROY, &ctl, NULL));
}

TEST_ON(server_evict, a_pool_of_the_dead_is_destroyed, BACKEND_SIM)
{
    rig_run(2, body_pool);
}

/* More than one commit takes, and more than the targets are told one by one. */
static void
body_many(struct rig *rig)
{
    enum { NR = 100 };
    static struct holder h[NR];
    struct holder alive;
    char name[24];

    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < NR; i++) {
        snprintf(name, sizeof(name), "many%u", i);
        holder_start(rig, &h[i], svc_host(rig), name);
        EXPECT_OK(holder_connect(rig, &h[i], POOL_PC_RW));
        EXPECT_OK(holder_open(rig, &h[i], CONT_COO_RW));
        h[i].cont_hdl = rig_uuid(rig);
        EXPECT_OK(holder_open(rig, &h[i], CONT_COO_RO));
    }
    holder_start(rig, &alive, svc_host(rig), "alive");
    EXPECT_OK(holder_connect(rig, &alive, POOL_PC_RW));
    EXPECT_OK(holder_open(rig, &alive, CONT_COO_RW));
    EXPECT_EQ(cont_hdls(rig), 2 * NR + 2);
    for (uint32_t i = 0; i < NR; i++) {
        if (i % 10 != 3)
            holder_kill(rig, &h[i]);
    }
    ult_sleep(POOL_LOOK_NS + 2 * S);
    EXPECT_EQ(pool_hdls(rig), NR / 10 + 2);
    EXPECT_EQ(cont_hdls(rig), 2 * NR / 10 + 2);
    EXPECT_OK(holder_write(rig, &alive, 0, 1));
}

TEST_ON(server_evict, many_at_a_time, BACKEND_SIM)
{
    rig_run(2, body_many);
}

/* ---- handles that were passed on --------------------------------------------------------------- */

static void
body_passed(struct rig *rig)
{
    struct holder a, b, c, far;
    struct uuid none = {{0}};

    if (!rig_setup(rig))
        return;
    holder_start(rig, &a, svc_host(rig), "a");
    holder_start(rig, &b, svc_host(rig), "b");
    holder_start(rig, &c, svc_host(rig), "c");
    holder_start(rig, &far, "elsewhere", "far");
    EXPECT_OK(holder_connect(rig, &a, POOL_PC_RW));
    EXPECT_OK(holder_open(rig, &a, CONT_COO_RW));
    EXPECT_OK(holder_attach(rig, &b, a.pool_hdl, none));
    EXPECT_OK(holder_attach(rig, &b, a.pool_hdl, none)); /* twice is once */
    EXPECT_OK(holder_attach(rig, &b, a.pool_hdl, a.cont_hdl));
    EXPECT_ERR(holder_attach(rig, &b, a.pool_hdl, rig->cont_hdl), NO_HDL); /* not of that pool handle */
    EXPECT_ERR(holder_attach(rig, &b, rig_uuid(rig), none), NO_HDL);
    holder_kill(rig, &a);
    ult_sleep(10 * POOL_LOOK_NS);
    EXPECT_EQ(pool_hdls(rig), 2);
    EXPECT_EQ(cont_hdls(rig), 2);
    EXPECT_OK(holder_write(rig, &a, 0, 0)); /* as b does */
    EXPECT_OK(holder_attach(rig, &c, a.pool_hdl, none));
    holder_kill(rig, &b);
    ult_sleep(POOL_LOOK_NS + S);
    EXPECT_EQ(pool_hdls(rig), 2);
    EXPECT_EQ(cont_hdls(rig), 1); /* c has the pool alone */
    EXPECT_OK(holder_attach(rig, &far, a.pool_hdl, none));
    holder_kill(rig, &c);
    ult_sleep(10 * POOL_LOOK_NS);
    EXPECT_EQ(pool_hdls(rig), 2); /* the far one may use it */

    holder_start(rig, &a, svc_host(rig), "a2");
    EXPECT_OK(holder_connect(rig, &a, POOL_PC_RW));
    holder_kill(rig, &a);
    ult_sleep(POOL_LOOK_NS + S);
    EXPECT_ERR(holder_attach(rig, &far, a.pool_hdl, none), NO_HDL); /* too late */
}

TEST_ON(server_evict, handles_that_were_passed_on_stay, BACKEND_SIM)
{
    rig_run(2, body_passed);
}

/* More holders than are remembered: of the rest nobody knows. */
static void
body_crowd(struct rig *rig)
{
    enum { NR = POOL_HOLDERS_NR_MAX + 3 };
    static struct holder h[NR];
    struct uuid none = {{0}};
    char name[24];

    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < NR; i++) {
        snprintf(name, sizeof(name), "crowd%u", i);
        holder_start(rig, &h[i], svc_host(rig), name);
    }
    EXPECT_OK(holder_connect(rig, &h[0], POOL_PC_RW));
    for (uint32_t i = 1; i < NR - 1; i++) {
        if (i == POOL_HOLDERS_NR_MAX) {
            holder_kill(rig, &h[0]); /* makes room for two */
            holder_kill(rig, &h[1]);
        }
        EXPECT_OK(holder_attach(rig, &h[i], h[0].pool_hdl, none));
    }
    for (uint32_t i = 2; i < NR - 1; i++) {
        holder_kill(rig, &h[i]);
    }
    ult_sleep(POOL_LOOK_NS + S);
    EXPECT_EQ(pool_hdls(rig), 1); /* all were remembered, and have ended */

    h[0].pool_hdl = rig_uuid(rig);
    for (uint32_t i = 0; i < NR; i++) {
        snprintf(name, sizeof(name), "again%u", i);
        EXPECT_OK(sim_node_start(rig->sim, svc_host(rig), name, &h[i].plat));
        h[i].proc.pid = h[i].plat->ops->pid(h[i].plat);
        h[i].proc.start = sim_now_ns(rig->sim);
    }
    EXPECT_OK(holder_connect(rig, &h[0], POOL_PC_RW));
    for (uint32_t i = 1; i < NR; i++) {
        EXPECT_OK(holder_attach(rig, &h[i], h[0].pool_hdl, none));
    }
    for (uint32_t i = 0; i < NR - 1; i++) {
        holder_kill(rig, &h[i]);
    }
    ult_sleep(10 * POOL_LOOK_NS);
    EXPECT_EQ(pool_hdls(rig), 2); /* the last one lives */
}

TEST_ON(server_evict, more_holders_than_are_remembered, BACKEND_SIM)
{
    rig_run(2, body_crowd);
}

/* ---- a full table ------------------------------------------------------------------------------ */

static void
body_full(struct rig *rig)
{
    struct holder h[4], used, old, more;
    char name[24];

    if (!rig_setup(rig))
        return;
    holder_start(rig, &used, "elsewhere", "used");
    holder_start(rig, &old, "elsewhere", "old");
    EXPECT_OK(holder_connect(rig, &old, POOL_PC_RW));
    EXPECT_OK(holder_connect(rig, &used, POOL_PC_RW));
    EXPECT_OK(holder_open(rig, &old, CONT_COO_RW));
    EXPECT_OK(holder_open(rig, &used, CONT_COO_RW));
    EXPECT_OK(holder_write(rig, &old, 0, 0));
    for (uint32_t i = 0; i < 4; i++) { /* and the rig's own makes 7 of 7 */
        snprintf(name, sizeof(name), "full%u", i);
        holder_start(rig, &h[i], svc_host(rig), name);
        EXPECT_OK(holder_connect(rig, &h[i], POOL_PC_RW));
    }
    holder_start(rig, &more, svc_host(rig), "more");
    EXPECT_ERR(holder_try(rig, &more), OVERLOAD_RETRY); /* all live or were used just now */
    holder_kill(rig, &h[2]);
    EXPECT_OK(holder_connect(rig, &more, POOL_PC_RW)); /* the dead first, and at once */
    EXPECT_EQ(pool_hdls(rig), 7);

    /* The one of the two far ones that is used goes on; the other goes, and those that live stay whatever they do. */
    for (int i = 0; i < 10; i++) {
        EXPECT_OK(holder_write(rig, &used, 1, 0));
        EXPECT_EQ(pool_hdls(rig), 7); /* the rig's own handle, too */
        ult_sleep(10 * S);
    }
    holder_start(rig, &h[2], "elsewhere", "newcomer");
    EXPECT_OK(holder_connect(rig, &h[2], POOL_PC_RW));
    EXPECT_EQ(pool_hdls(rig), 7);
    EXPECT_ERR(holder_write(rig, &old, 0, 0), NO_HDL);
    EXPECT_OK(holder_write(rig, &used, 1, 0));
    EXPECT_OK(holder_open(rig, &h[0], CONT_COO_RW));

    /* A service that starts again knows nothing of their use, and waits before it takes one from anybody. */
    rig_engine_restart(rig, rig->svc_rank);
    EXPECT_EQ(pool_hdls(rig), 7);
    holder_start(rig, &old, "elsewhere", "late");
    EXPECT_ERR(holder_try(rig, &old), OVERLOAD_RETRY);
    for (int i = 0; i < 6; i++) {
        EXPECT_OK(holder_write(rig, &used, 1, 0));
        EXPECT_EQ(pool_hdls(rig), 7);
        ult_sleep(10 * S);
    }
    EXPECT_OK(holder_connect(rig, &old, POOL_PC_RW));
    EXPECT_OK(holder_write(rig, &used, 1, 0));
    EXPECT_ERR(holder_open(rig, &h[2], CONT_COO_RW), NO_HDL); /* that one was silent */
}

TEST_ON(server_evict, a_full_table_makes_room, BACKEND_SIM)
{
    rig_run_hdls(2, 7, body_full);
}

/* ---- services that start again ------------------------------------------------------------------ */

static void
body_restart(struct rig *rig)
{
    struct holder killed, alive, of_before;

    if (!rig_setup(rig))
        return;
    holder_start(rig, &killed, svc_host(rig), "killed");
    holder_start(rig, &alive, svc_host(rig), "alive");
    EXPECT_OK(holder_connect(rig, &killed, POOL_PC_RW));
    EXPECT_OK(holder_connect(rig, &alive, POOL_PC_RW));
    rig_engine_kill(rig, rig->svc_rank);
    holder_kill(rig, &killed); /* while nobody watches */
    EXPECT_OK(rig_engine_start(rig, rig->svc_rank));
    EXPECT_OK(rig_group_push(rig));
    ult_sleep(POOL_LOOK_NS + 2 * S);
    EXPECT_EQ(pool_hdls(rig), 2);

    /* After a loss of power pids mean others: nothing is known of those of before. */
    of_before = alive;
    rig_engine_power_loss(rig, rig->svc_rank);
    EXPECT_OK(rig_engine_start(rig, rig->svc_rank));
    EXPECT_OK(rig_group_push(rig));
    ult_sleep(10 * POOL_LOOK_NS);
    EXPECT_EQ(pool_hdls(rig), 2);
    EXPECT_OK(holder_open(rig, &of_before, CONT_COO_RW));
}

TEST_ON(server_evict, a_service_that_starts_again_knows_the_dead, BACKEND_SIM)
{
    rig_run(2, body_restart);
}

/* ---- eviction on request ------------------------------------------------------------------------ */

static void
body_evict(struct rig *rig)
{
    Cairn__Ctl__PoolEvictReq ctl = CAIRN__CTL__POOL_EVICT_REQ__INIT;
    Cairn__Ctl__PoolEvictRep *rep;
    struct proto_pool_evict_req direct = {.is_all = 1};
    struct proto_pool_evict_rep drep;
    struct holder h[40], again;
    struct iov body;
    char name[24];

    if (!rig_setup(rig))
        return;
    for (uint32_t i = 0; i < ARRAY_SIZE(h); i++) {
        snprintf(name, sizeof(name), "h%u", i);
        memset(&h[i], 0, sizeof(h[i])); /* who they are does not matter */
        h[i].pool_hdl = rig_uuid(rig);
        h[i].cont_hdl = rig_uuid(rig);
        EXPECT_OK(holder_connect(rig, &h[i], POOL_PC_RW));
        EXPECT_OK(holder_open(rig, &h[i], CONT_COO_RW));
    }
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_OK(holder_write(rig, &h[7], i / 2, i % 2));
    }
    direct.pool = rig->pool;
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_EVICT, &direct, &drep), NO_PERM); /* for engines */
    ctl.id = (char[]){"nowhere"};
    EXPECT_ERR(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_EVICT, &ctl, &body), NONEXIST);
    ctl.id = (char[]){"tank"};
    EXPECT_OK(rig_ctl(rig, 0, CAIRN__CTL__METHOD__POOL_EVICT, &ctl, &body));
    rep = cairn__ctl__pool_evict_rep__unpack(NULL, body.len, body.buf);
    EXPECT(rep != NULL);
    EXPECT_EQ(rep->handles, ARRAY_SIZE(h) + 1);
    cairn__ctl__pool_evict_rep__free_unpacked(rep, NULL);
    for (uint32_t i = 0; i < 4; i++) { /* told before the answer */
        EXPECT_ERR(holder_write(rig, &h[7], i / 2, i % 2), NO_HDL);
    }
    EXPECT_ERR(holder_open(rig, &h[3], CONT_COO_RO), NO_HDL);
    memset(&again, 0, sizeof(again));
    again.pool_hdl = rig_uuid(rig);
    EXPECT_OK(holder_connect(rig, &again, POOL_PC_EX)); /* nobody else is there */
    rig->pool_hdl = again.pool_hdl;
    EXPECT_EQ(cont_hdls(rig), 0);
    EXPECT_OK(destroy(rig));
}

TEST_ON(server_evict, on_request, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_evict);
}
