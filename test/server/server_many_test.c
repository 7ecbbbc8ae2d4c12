/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A thousand pools on two engines of two targets with the default sizes: each of them serves, also after a restart of both engines.
 */
#include <stdio.h>

#include "server/server_rig.h"

enum { POOLS_NR = 1000 };
#define META_BYTES (UINT64_C(512) << 10)
#define DATA_BYTES (UINT64_C(8) << 20)

static int
pool_create(struct rig *rig, struct uuid pool, uint32_t i)
{
    char label[32];
    struct proto_prop prop = {.type = 1};
    struct proto_sys_pool_create_req req = {
        .pool = pool, .meta_bytes = META_BYTES, .data_bytes = DATA_BYTES, .props = {1, &prop}};
    struct proto_sys_pool_create_rep rep;

    snprintf(label, sizeof(label), "pool-%u", i);
    prop.bytes = rig_str(label);
    return rig_call(rig, 0, 0, PROTO_SYS_POOL_CREATE, &req, &rep, NULL);
}

/* Connect to a pool, put into a container of it and read it back. */
static void
pool_use(struct rig *rig, uint32_t i, bool is_first)
{
    char label[32], value[64], got[64];
    struct proto_sys_resolve_req rreq = {.id = {label, 0}};
    struct proto_sys_resolve_rep rrep;
    struct proto_pool_connect_req creq = {.flags = 2};
    struct proto_pool_connect_rep crep;

    rreq.id.len = (size_t)snprintf(label, sizeof(label), "pool-%u", i);
    if (!EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL)))
        return;
    rig->pool = rrep.pool;
    rig->svc_rank = ((struct proto_rank *)rrep.svc_ranks.items)[0].rank;
    rig->pool_hdl = rig_uuid(rig);
    creq.pool = rig->pool;
    creq.hdl = rig->pool_hdl;
    EXPECT_OK(rig_svc(rig, PROTO_POOL_CONNECT, &creq, &crep));
    if (is_first)
        EXPECT_OK(rig_cont_create(rig, rig_uuid(rig), "box"));
    rig->cont_hdl = rig_uuid(rig);
    EXPECT_OK(rig_cont_open(rig, "box", 2, rig->cont_hdl));
    snprintf(value, sizeof(value), "value of %u", i);
    for (uint32_t t = 0; t < 2 * RIG_TGTS; t++) {
        struct rig_value v = {
            .oid = RIG_OID(t + 1), .dkey = "d", .akey = "a", .data = value, .op = VOS_MOD_UPDATE};

        if (is_first)
            EXPECT_OK(rig_apply(rig, t / RIG_TGTS, t % RIG_TGTS, &v, NULL, NULL));
        EXPECT_OK(rig_fetch(rig, t / RIG_TGTS, t % RIG_TGTS, v.oid, "d", "a", 0, got, sizeof(got)));
        EXPECT_STR_EQ(got, value);
    }
}

static void
body_many(struct rig *rig)
{
    uint32_t i = 0;

    while (i < POOLS_NR && EXPECT_OK(pool_create(rig, rig_uuid(rig), i))) {
        i++;
    }
    for (i = 0; i < POOLS_NR && !test_failed(); i += 37) {
        pool_use(rig, i, true);
    }
    rig_engine_kill(rig, 0);
    rig_engine_kill(rig, 1);
    EXPECT_OK(rig_engine_start(rig, 0));
    EXPECT_OK(rig_engine_start(rig, 1));
    EXPECT_OK(rig_group_push(rig));
    for (i = 0; i < POOLS_NR && !test_failed(); i += 37) {
        pool_use(rig, i, false);
    }
}

TEST_ON(server_many, a_thousand_pools, BACKEND_SIM)
{
    rig_run_default(2, body_many);
}
