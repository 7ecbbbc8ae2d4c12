/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Workers write through a network that loses, repeats, reorders and cuts, to engines that are
 * killed at random; each request is sent again with its id
 * until it has an answer. Then nothing acknowledged may be missing, nothing may have happened
 * twice, and what was refused must not be there.
 *
 * The record of what was acknowledged is kept outside of the engines. Method: each worker owns
 * keys of its own, so that the right state is known:
 *      counter   an array whose records are appended one by one with an insert condition: done
 *      twice it would answer EXIST
 *      value     a key rewritten with growing numbers: a revived old value would be seen
 *      token     inserted and punched in turns, both conditionally
 */
#include <stdio.h>

#include "base/codec.h"
#include "server/server_rig.h"
#include "vos/vos.h"

/*
 * Most of a request's time is the write of the log, so that most kills find requests whose effect is, or is going to be, there, while
 * nobody will ever answer them; and everybody goes on as long as kills do. So a resend that has its effect anew does not stay unnoticed.
 */
enum {
    WORKERS_NR = 4,
    OPS_NR = 60,
    KILLS_NR = 12,
    SERVICE_OPS_NR = 25,
    OPS_NR_MAX = 2000,
    CONTS_NR_MAX = 200
};

struct worker {
    struct rig *rig;
    uint32_t idx;
    struct ult *ult;
    uint64_t seq;
    /* what is known to be there */
    char value[16];
    bool is_token_in;
    uint32_t ops_nr, inserted_nr;
    const bool *is_over; /* no more kills will come; NULL: none comes */
    bool is_done;
};

static struct rig_id
worker_id(struct worker *w)
{
    struct rig_id id = rig_id(w->rig);

    id.slot = 10 + w->idx; /* a slot of its own; numbers grow with the rig's */
    return id;
}

static int
worker_apply(struct worker *w, uint32_t rank, uint32_t tgt, const struct rig_value *v)
{
    struct rig_id id = worker_id(w);
    int rc;

    for (int i = 0; i < 20; i++) {
        rc = rig_apply(w->rig, rank, tgt, v, &id, NULL);
        if (err_class(rc) != ERR_CLASS_PEER)
            break;
    }
    return rc;
}

static void
object_op(struct worker *w, uint64_t n)
{
    uint32_t rank = w->idx % 2, tgt = w->idx / 2 % RIG_TGTS;
    char dkey[32], text[16];
    struct rig_value v = {RIG_OID(1000 + w->idx), dkey, "a", text, VOS_MOD_UPDATE, 0};

    snprintf(text, sizeof(text), "%u", (unsigned int)n);
    switch (n % 3) {
    case 0:
        snprintf(dkey, sizeof(dkey), "rec%u", w->inserted_nr);
        v.cond = VOS_COND_DKEY_INSERT;
        if (EXPECT_OK(worker_apply(w, rank, tgt, &v)))
            w->inserted_nr++;
        break;
    case 1:
        snprintf(dkey, sizeof(dkey), "value");
        if (EXPECT_OK(worker_apply(w, rank, tgt, &v)))
            memcpy(w->value, text, sizeof(text));
        break;
    default:
        snprintf(dkey, sizeof(dkey), "token");
        if (w->is_token_in) {
            v.op = VOS_MOD_PUNCH_DKEY;
            v.akey = v.data = NULL;
            v.cond = VOS_COND_PUNCH;
        } else {
            v.cond = VOS_COND_DKEY_INSERT;
        }
        if (EXPECT_OK(worker_apply(w, rank, tgt, &v)))
            w->is_token_in = !w->is_token_in;
    }
}

static void
worker_ult(void *arg)
{
    struct worker *w = arg;

    while ((w->ops_nr < OPS_NR || !*w->is_over) && w->ops_nr < OPS_NR_MAX && !test_failed()) {
        object_op(w, w->ops_nr++);
    }
    w->is_done = true;
}

static void
worker_check(struct worker *w)
{
    uint32_t rank = w->idx % 2, tgt = w->idx / 2 % RIG_TGTS;
    char dkey[32], buf[32];

    for (uint32_t i = 0; i <= w->inserted_nr; i++) {
        snprintf(dkey, sizeof(dkey), "rec%u", i);
        EXPECT_OK(
            rig_fetch(w->rig, rank, tgt, RIG_OID(1000 + w->idx), dkey, "a", 0, buf, sizeof(buf)));
        EXPECT_EQ(buf[0] != '\0', i < w->inserted_nr);
    }
    EXPECT_OK(
        rig_fetch(w->rig, rank, tgt, RIG_OID(1000 + w->idx), "value", "a", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, w->value);
    EXPECT_OK(
        rig_fetch(w->rig, rank, tgt, RIG_OID(1000 + w->idx), "token", "a", 0, buf, sizeof(buf)));
    EXPECT_EQ(buf[0] != '\0', w->is_token_in);
}

/* Containers come and go, object ids are drawn: no range twice, no container lost or left. */
static void
service_ult(void *arg)
{
    struct worker *w = arg;
    struct rig *rig = w->rig;
    struct proto_cont_oid_alloc_req alloc = {.pool = rig->pool, .cont = rig->cont, .nr = 3};
    struct proto_cont_oid_alloc_rep arep;
    struct proto_empty rep;
    uint64_t last = 0;

    for (uint64_t n = 0;
         (n < SERVICE_OPS_NR || (w->is_over != NULL && !*w->is_over && n < CONTS_NR_MAX)) &&
         !test_failed();
         n++) {
        char label[16];
        struct proto_prop prop = {.type = 0x1001};
        struct proto_cont_create_req create = {
            .pool = rig->pool, .cont = rig_uuid(rig), .props = {1, &prop}};
        struct proto_cont_destroy_req destroy = {.pool = rig->pool};
        struct rig_id id = worker_id(w);

        EXPECT_OK(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_OID_ALLOC, &alloc, &arep, &id));
        EXPECT_GE(arep.lo, last + (n > 0 ? 3 : 0));
        last = arep.lo;
        w->ops_nr++;
        snprintf(label, sizeof(label), "c%u", (unsigned int)n);
        prop.bytes = destroy.id = rig_str(label);
        id = worker_id(w);
        EXPECT_OK(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_CREATE, &create, &rep, &id));
        if (n % 2 == 0)
            continue;
        id = worker_id(w);
        EXPECT_OK(rig_call(rig, rig->svc_rank, 0, PROTO_CONT_DESTROY, &destroy, &rep, &id));
    }
    EXPECT_EQ(last, 1 + 3 * (w->ops_nr - 1)); /* no range was given away unasked */
    w->is_done = true;
}

static void
service_check(const struct worker *w)
{
    struct rig *rig = w->rig;
    struct proto_pool_list_cont_req req = {.pool = rig->pool};
    struct proto_pool_list_cont_rep rep;

    EXPECT_OK(rig_svc(rig, PROTO_POOL_LIST_CONT, &req, &rep));
    EXPECT_EQ(rep.conts.nr, 1 + (w->ops_nr + 1) / 2);
}

static void
body_chaos(struct rig *rig)
{
    struct worker w[WORKERS_NR + 1];
    uint64_t seed = test_seed();
    bool is_over = false;
    uint32_t victim;

    if (!rig_setup(rig))
        return;
    memset(w, 0, sizeof(w));
    for (uint32_t i = 0; i <= WORKERS_NR; i++) {
        w[i].rig = rig;
        w[i].is_over = &is_over;
        w[i].idx = i;
        EXPECT_OK(ult_create(
            rig->xs, ULT_IO, i < WORKERS_NR ? worker_ult : service_ult, &w[i], &w[i].ult));
    }
    for (int k = 0; k < KILLS_NR; k++) {
        ult_sleep(50000000 + test_rand(&seed) % 100000000);
        victim = (uint32_t)(test_rand(&seed) % 2);
        if (k % 2 == 0) {
            rig_engine_kill(rig, victim);
        } else {
            rig_engine_power_loss(rig, victim);
        }
        EXPECT_OK(rig_engine_start(rig, victim));
        EXPECT_OK(rig_group_push(rig));
    }
    is_over = true;
    for (uint32_t i = 0; i <= WORKERS_NR; i++) {
        ult_join(w[i].ult);
        EXPECT(w[i].is_done);
    }
    for (uint32_t i = 0; i < WORKERS_NR; i++) {
        EXPECT_EQ(w[i].inserted_nr, (w[i].ops_nr + 2) / 3);
        worker_check(&w[i]);
    }
    service_check(&w[WORKERS_NR]);
}

static void
chaos(uint64_t salt, uint32_t bad_ppm)
{
    struct sim_opts opts = {.seed = test_seed() + salt,
        .net_lat_lo_ns = 20000,
        .net_lat_hi_ns = bad_ppm == 0 ? 500000 : 3000000,
        .net_loss_ppm = bad_ppm,
        .net_dup_ppm = bad_ppm,
        .net_reorder_ppm = bad_ppm,
        .net_cut_ppm = bad_ppm / 4,
        .disk_lat_lo_ns = 20000,
        .disk_lat_hi_ns = 4000000};

    rig_run_with(&opts, 2, body_chaos);
}

TEST_ON(server_chaos, kills_alone, BACKEND_SIM)
{
    chaos(1, 0);
}

TEST_ON(server_chaos, kills_and_a_bad_network, BACKEND_SIM)
{
    for (uint64_t i = 0; i < 3 && !test_failed(); i++) {
        chaos(100 + i, 10000);
    }
}

/* The services lose their leaders again and again; nothing is done twice or lost (POL-2, RSV-3). */
static void
body_resign(struct rig *rig)
{
    struct worker w = {.rig = rig, .idx = 0};
    struct uuid nil = {{0}}, pool;
    uint64_t seed = test_seed();
    uint32_t rounds = 0;

    if (!rig_setup(rig))
        return;
    EXPECT_OK(ult_create(rig->xs, ULT_IO, service_ult, &w, &w.ult));
    while (!w.is_done && rounds < 10000) {
        ult_sleep(200000 + test_rand(&seed) % 3000000);
        EXPECT_OK(engine_resign(rig->engines[rig->svc_rank].engine, rig->pool));
        rounds++;
    }
    ult_join(w.ult);
    EXPECT_GT(rounds, 20);
    service_check(&w);
    /* The system service likewise, under creations of pools. */
    for (int i = 0; i < 2; i++) {
        char label[16];

        snprintf(label, sizeof(label), "pool%d", i);
        pool = rig_uuid(rig);
        EXPECT_OK(engine_resign(rig->engines[0].engine, nil));
        EXPECT_OK(rig_pool_create(rig, pool, label));
        EXPECT_OK(engine_resign(rig->engines[0].engine, nil));
    }
    EXPECT_ERR(engine_resign(rig->engines[1 - rig->svc_rank].engine, rig->pool), NOTREPLICA);
}

TEST_ON(server_chaos, leaders_resign, BACKEND_SIM)
{
    rig_run(2, body_resign);
}
