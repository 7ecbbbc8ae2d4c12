/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Requests of the pool and container services, and what handles may do. Method: one client with
 * several handles; on both backends where nothing is killed.
 */
#include <stdio.h>

#include "base/codec.h"
#include "cont/cont.h"
#include "mgmt/mgmt.h"
#include "placement/placement.h"
#include "server/server_rig.h"
#include "vos/vos.h"

#define FRUIT RIG_OID(31)

/* ---- permissions and handles that are none -------------------------------------------------- */

static void
body_permissions(struct rig *rig)
{
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct proto_pool_connect_req connect = {.flags = 1};
    struct proto_pool_connect_rep crep;
    struct proto_cont_oid_alloc_req alloc = {.nr = 1};
    struct proto_cont_oid_alloc_rep arep;
    struct proto_pool_query_req query;
    struct proto_pool_query_rep qrep;
    struct uuid rw_pool, rw_cont, ro_pool, ro_cont;
    char buf[32];

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    rw_pool = rig->pool_hdl;
    rw_cont = rig->cont_hdl;

    /* A container handle that may only read. */
    ro_cont = rig_uuid(rig);
    EXPECT_OK(rig_cont_open(rig, "box", CONT_COO_RO, ro_cont));
    rig->cont_hdl = ro_cont;
    EXPECT_ERR(rig_apply(rig, 0, 0, &v, NULL, NULL), NO_PERM);
    EXPECT_OK(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "red");
    alloc.pool = rig->pool;
    alloc.cont = rig->cont;
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_OID_ALLOC, &alloc, &arep), NO_PERM);

    /* A pool handle that may only read. */
    ro_pool = rig_uuid(rig);
    connect.pool = rig->pool;
    connect.hdl = ro_pool;
    EXPECT_OK(rig_svc(rig, PROTO_POOL_CONNECT, &connect, &crep));
    rig->pool_hdl = ro_pool;
    EXPECT_ERR(rig_cont_create(rig, rig_uuid(rig), "other"), NO_PERM);
    EXPECT_ERR(rig_cont_open(rig, "box", CONT_COO_RW, rig_uuid(rig)), NO_PERM);
    ro_cont = rig_uuid(rig);
    EXPECT_OK(rig_cont_open(rig, "box", CONT_COO_RO, ro_cont));

    /* Handles of different pool handles do not go together; unknown ones do not go at all. */
    rig->cont_hdl = rw_cont;
    EXPECT_ERR(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)), NO_HDL);
    rig->pool_hdl = rw_pool;
    rig->cont_hdl = rig_uuid(rig);
    EXPECT_ERR(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)), NO_HDL);
    EXPECT_ERR(rig_apply(rig, 1, 1, &v, NULL, NULL), NO_HDL);
    rig->cont_hdl = rw_cont;
    rig->pool_hdl = rig_uuid(rig);
    query.pool = rig->pool;
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_QUERY, &query, &qrep), NO_HDL);
    memset(&rig->pool_hdl, 0, sizeof(rig->pool_hdl));
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_QUERY, &query, &qrep), NO_HDL);
    EXPECT_ERR(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)), NO_HDL);
}

TEST_ON(server_service, permissions_and_unknown_handles, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_permissions);
}

/* What only engines may ask is not answered to a client. */
static void
body_engines_only(struct rig *rig)
{
    struct proto_tgt_pool_req treq = {.meta_bytes = 1};
    struct proto_pool_hdl_req hreq;
    struct proto_pool_hdl_rep hrep;
    struct proto_svc_pool_req sreq;
    struct proto_empty rep;

    if (!rig_setup(rig))
        return;
    treq.pool = rig->pool;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_TGT_POOL_DESTROY, &treq, &rep, NULL), NO_PERM);
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_TGT_POOL_CREATE, &treq, &rep, NULL), NO_PERM);
    hreq = (struct proto_pool_hdl_req){rig->pool, rig->pool_hdl, rig->cont_hdl};
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_HDL, &hreq, &hrep), NO_PERM);
    memset(&sreq, 0, sizeof(sreq));
    sreq.pool = rig->pool;
    EXPECT_ERR(rig_svc(rig, PROTO_SVC_POOL_STOP, &sreq, &rep), NO_PERM);
}

TEST_ON(server_service, requests_for_engines_only, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_engines_only);
}

/* ---- wrong things --------------------------------------------------------------------------- */

static void
body_wrong(struct rig *rig)
{
    struct proto_sys_resolve_req rreq = {.id = rig_str("lake")};
    struct proto_sys_resolve_rep rrep;
    struct proto_pool_connect_req connect = {.flags = 2};
    struct proto_pool_connect_rep crep;
    struct proto_cont_create_req create;
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct proto_obj_apply_rep arep;
    struct proto_empty rep;
    struct proto_prop prop;
    struct rig_apply a;
    struct uuid pool;

    if (!rig_setup(rig))
        return;
    pool = rig->pool;
    EXPECT_ERR(rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL), NONEXIST);
    rreq.id = rig_str("00000000-1111-2222-3333-444444444444");
    EXPECT_ERR(rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL), NONEXIST);
    rreq.id = rig_str("a b");
    EXPECT_ERR(rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL), INVAL);
    rreq.id = rig_str("tank");
    EXPECT_ERR(
        rig_call_once(rig, 1, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL, RIG_CALL_NS, NULL),
        NOTLEADER);

    connect.pool = rig_uuid(rig);
    connect.hdl = rig_uuid(rig);
    EXPECT_ERR(rig_call_once(rig, rig->svc_rank, 0, PROTO_POOL_CONNECT, &connect, &crep, NULL,
                   RIG_CALL_NS, NULL),
        NOTREPLICA);
    connect.pool = pool;
    connect.flags = 3;
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_CONNECT, &connect, &crep), INVAL);
    connect.flags = 4;
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_CONNECT, &connect, &crep), BUSY); /* not alone */

    EXPECT_ERR(rig_cont_open(rig, "nowhere", CONT_COO_RO, rig_uuid(rig)), NONEXIST);
    EXPECT_ERR(rig_cont_open(rig, "", CONT_COO_RO, rig_uuid(rig)), INVAL);
    EXPECT_ERR(rig_cont_open(rig, "box", 0, rig_uuid(rig)), INVAL);
    EXPECT_ERR(rig_cont_open(rig, "box", CONT_COO_RO | CONT_COO_RW, rig_uuid(rig)), INVAL);
    EXPECT_ERR(rig_cont_open(rig, "box", CONT_COO_RO | 0x1000, rig_uuid(rig)), INVAL);
    EXPECT_ERR(rig_cont_create(rig, rig_uuid(rig), "box"), EXIST);
    EXPECT_ERR(rig_cont_create(rig, rig->cont, "box2"), EXIST);
    EXPECT_ERR(rig_cont_create(rig, rig_uuid(rig), "00000000-1111-2222-3333-444444444444"), INVAL);
    create = (struct proto_cont_create_req){.pool = pool, .props = {1, &prop}};
    create.cont = rig_uuid(rig);
    prop = (struct proto_prop){.type = 0x1007, .num = 1};
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_CREATE, &create, &rep), NOTSUPPORTED); /* rd_fac */
    prop = (struct proto_prop){.type = 0x1004, .num = 8};
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_CREATE, &create, &rep), INVAL); /* no kind of checksum */
    prop = (struct proto_prop){.type = 0x10ff, .num = 5};
    EXPECT_ERR(rig_svc(rig, PROTO_CONT_CREATE, &create, &rep), INVAL);

    /* Sizes that do not fit the data, a checksum that does not, an operation that is none. */
    rig_apply_fill(&a, &v, 1);
    a.iods[0].size = 4;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), IO_INVAL);
    rig_apply_fill(&a, &v, 1);
    a.req.data_len = 2;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), INVAL);
    rig_apply_fill(&a, &v, 1);
    a.req.data_crc ^= 1;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), CSUM);
    rig_apply_fill(&a, &v, 1);
    a.iods[0].size = a.iods[0].buf_len = UINT64_C(1) << 40;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), REC2BIG);
    rig_apply_fill(&a, &v, 1);
    a.mods[0].op = 9;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), INVAL);
    rig_apply_fill(&a, &v, 1);
    a.iods[0].type = 3;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), INVAL);
    rig_apply_fill(&a, &v, 1);
    a.mods[0].dkey = (struct iov){NULL, 0};
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), INVAL);
    a.req.mods.nr = 0;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &arep, NULL), INVAL);
}

TEST_ON(server_service, wrong_requests, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_wrong);
}

/* ---- exclusive opens, eviction, destroy ----------------------------------------------------- */

static int
destroy(struct rig *rig, const char *id, bool force)
{
    struct proto_cont_destroy_req req = {.pool = rig->pool, .id = rig_str(id), .force = force};
    struct proto_empty rep;

    return rig_svc(rig, PROTO_CONT_DESTROY, &req, &rep);
}

static void
body_exclusive(struct rig *rig)
{
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct uuid ex;
    char buf[32];

    if (!rig_setup(rig))
        return;
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    EXPECT_OK(rig_apply(rig, 1, 0, &v, NULL, NULL));
    ex = rig_uuid(rig);
    EXPECT_ERR(rig_cont_open(rig, "box", CONT_COO_EX, ex), BUSY);
    EXPECT_OK(rig_cont_open(rig, "box", CONT_COO_EX | CONT_COO_EVICT_ALL, ex));
    EXPECT_ERR(rig_cont_open(rig, "box", CONT_COO_RO, rig_uuid(rig)), BUSY);
    /* The evicted handle is known nowhere any more, also where it was used before (CON-3). */
    EXPECT_ERR(rig_apply(rig, 0, 0, &v, NULL, NULL), NO_HDL);
    EXPECT_ERR(rig_apply(rig, 1, 0, &v, NULL, NULL), NO_HDL);
    rig->cont_hdl = ex;
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    EXPECT_ERR(destroy(rig, "box", false), BUSY);
    EXPECT_OK(destroy(rig, "box", true));
    EXPECT_ERR(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)), NO_HDL);
    EXPECT_ERR(destroy(rig, "box", true), NONEXIST);

    /* The label is free again, and the new container is empty. */
    rig->cont = rig_uuid(rig);
    EXPECT_OK(rig_cont_create(rig, rig->cont, "box"));
    rig->cont_hdl = rig_uuid(rig);
    EXPECT_OK(rig_cont_open(rig, "box", CONT_COO_RW, rig->cont_hdl));
    EXPECT_OK(rig_fetch(rig, 0, 0, FRUIT, "fruit", "colour", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "");
}

TEST_ON(server_service, exclusive_open_eviction_destroy, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_exclusive);
}

/* A container destroyed while an engine is down is gone from it when it is back (POL-3). */
static void
body_destroy_later(struct rig *rig)
{
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    uint32_t other;
    struct proto_pool_tgt_query_req treq;
    struct proto_pool_tgt_query_rep trep;
    struct uuid cont;
    int tries = 0;

    if (!rig_setup(rig))
        return;
    other = 1 - rig->svc_rank;
    cont = rig->cont;
    EXPECT_OK(rig_apply(rig, other, 0, &v, NULL, NULL));
    rig_engine_kill(rig, other);
    EXPECT_OK(destroy(rig, "box", true));
    EXPECT_ERR(rig_cont_create(rig, cont, "box"), BUSY); /* CON-2 */
    EXPECT_OK(rig_engine_start(rig, other));
    EXPECT_OK(rig_group_push(rig));
    do { /* the service repeats it by itself; simulated time */
        ult_sleep(UINT64_C(1000000000));
    } while (rig_cont_create(rig, cont, "box") == -DER_BUSY && ++tries < 30);
    EXPECT_LT(tries, 30);
    EXPECT_ERR(rig_cont_create(rig, cont, "box"), EXIST);
    treq = (struct proto_pool_tgt_query_req){rig->pool, 0};
    EXPECT_OK(rig_svc(rig, PROTO_POOL_TGT_QUERY, &treq, &trep));
    EXPECT_EQ(trep.space.tgt_nr, 1);
    treq.tgt = 77;
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_TGT_QUERY, &treq, &trep), NONEXIST);
}

TEST_ON(server_service, destroy_reaches_an_engine_that_was_down, BACKEND_SIM)
{
    rig_run(2, body_destroy_later);
}

/* ---- properties, attributes, listings ------------------------------------------------------- */

static uint64_t
num_of(const struct proto_array *props, uint32_t type)
{
    const struct proto_prop *p = props->items;

    for (uint32_t i = 0; i < props->nr; i++) {
        if (p[i].type == type)
            return p[i].num;
    }
    EXPECT(!"property is there");
    return UINT64_MAX;
}

static void
body_props(struct rig *rig)
{
    struct proto_prop_req req = {.props = {0, NULL}};
    struct proto_prop_rep rep;
    struct proto_prop set = {.type = 0x1018, .num = 1};
    struct proto_prop pset = {.type = 3, .num = 7};
    struct proto_cont_query_req creq;
    struct proto_cont_query_rep crep;
    struct proto_cont_oid_alloc_req alloc = {.nr = 5};
    struct proto_cont_oid_alloc_rep arep;
    uint64_t mtime;

    if (!rig_setup(rig))
        return;
    req.pool = creq.pool = alloc.pool = rig->pool;
    EXPECT_OK(rig_svc(rig, PROTO_POOL_PROP_GET, &req, &rep));
    EXPECT_EQ(rep.props.nr, 27);
    EXPECT_EQ(num_of(&rep.props, 11), 0); /* rd_fac (POL-5) */
    EXPECT_EQ(num_of(&rep.props, 9), 131072);
    EXPECT_EQ(num_of(&rep.props, 20), PLACEMENT_LAYOUT_VERSION);
    req.props = (struct proto_array){1, &pset};
    EXPECT_OK(rig_svc(rig, PROTO_POOL_PROP_SET, &req, NULL));
    EXPECT_OK(rig_svc(rig, PROTO_POOL_PROP_GET, &req, &rep));
    EXPECT_EQ(rep.props.nr, 1);
    EXPECT_EQ(num_of(&rep.props, 3), 7);
    pset = (struct proto_prop){.type = 11, .num = 2};
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_PROP_SET, &req, NULL), NO_PERM);
    pset = (struct proto_prop){.type = 3, .num = 101};
    EXPECT_ERR(rig_svc(rig, PROTO_POOL_PROP_SET, &req, NULL), INVAL);

    creq.cont = rig->cont;
    EXPECT_OK(rig_svc(rig, PROTO_CONT_QUERY, &creq, &crep));
    EXPECT_EQ(crep.props.nr, 26);
    EXPECT_EQ(num_of(&crep.props, 0x1004), 2); /* crc32 on by default */
    EXPECT_EQ(num_of(&crep.props, 0x1007), 0);
    EXPECT_EQ(num_of(&crep.props, 0x1019), PLACEMENT_LAYOUT_VERSION);
    EXPECT_EQ(num_of(&crep.props, 0x1013), 0);
    EXPECT_EQ(crep.hdl_nr, 1);
    mtime = crep.md_mtime;
    alloc.cont = rig->cont;
    EXPECT_OK(rig_svc(rig, PROTO_CONT_OID_ALLOC, &alloc, &arep));
    EXPECT_EQ(arep.lo, 1);
    req.cont = rig->cont;
    req.props = (struct proto_array){1, &set};
    EXPECT_OK(rig_svc(rig, PROTO_CONT_PROP_SET, &req, NULL));
    EXPECT_OK(rig_svc(rig, PROTO_CONT_QUERY, &creq, &crep));
    EXPECT_EQ(num_of(&crep.props, 0x1018), 1);
    EXPECT_EQ(num_of(&crep.props, 0x1013), 5);
    EXPECT_GT(crep.md_mtime, mtime);

    /* A new label names the container, the old one no longer does. */
    set = (struct proto_prop){.type = 0x1001, .bytes = rig_str("chest")};
    EXPECT_OK(rig_svc(rig, PROTO_CONT_PROP_SET, &req, NULL));
    EXPECT_ERR(rig_cont_open(rig, "box", CONT_COO_RO, rig_uuid(rig)), NONEXIST);
    EXPECT_OK(rig_cont_open(rig, "chest", CONT_COO_RO, rig_uuid(rig)));
}

TEST_ON(server_service, properties, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_props);
}

static void
attrs_of(struct rig *rig, uint16_t base)
{
    static uint8_t big[PROTO_ATTR_VALUE_BYTES_MAX];
    char name[PROTO_ATTR_NAME_BYTES_MAX + 2];
    struct proto_attr attrs[3] = {{rig_str("b"), rig_str("2")}, {rig_str("a"), {NULL, 0}}};
    struct proto_attr_req req = {.pool = rig->pool, .cont = rig->cont, .attrs = {3, attrs}};
    struct proto_attr_rep rep;
    const struct proto_attr *got;

    memset(big, 0x5a, sizeof(big));
    memset(name, 'n', sizeof(name));
    attrs[2].name = (struct iov){name, PROTO_ATTR_NAME_BYTES_MAX};
    attrs[2].value = (struct iov){big, sizeof(big)};
    EXPECT_OK(rig_svc(rig, base + 2, &req, NULL));
    EXPECT_OK(rig_svc(rig, base + 0, &req, &rep));
    got = rep.attrs.items;
    if (EXPECT_EQ(rep.attrs.nr, 3)) { /* in the order of their bytes */
        EXPECT_MEM_EQ(got[0].name.buf, "a", 1);
        EXPECT_MEM_EQ(got[1].name.buf, "b", 1);
        EXPECT_EQ(got[2].name.len, PROTO_ATTR_NAME_BYTES_MAX);
    }
    EXPECT_OK(rig_svc(rig, base + 1, &req, &rep));
    got = rep.attrs.items;
    if (EXPECT_EQ(rep.attrs.nr, 3)) {
        EXPECT_EQ(got[0].value.len, 1);
        EXPECT_EQ(got[1].value.len, 0); /* empty, and there */
        if (EXPECT_EQ(got[2].value.len, sizeof(big)))
            EXPECT_MEM_EQ(got[2].value.buf, big, sizeof(big));
    }
    req.attrs.nr = 1;
    EXPECT_OK(rig_svc(rig, base + 3, &req, NULL));
    EXPECT_ERR(rig_svc(rig, base + 1, &req, &rep), NONEXIST);
    req.attrs.nr = 0;
    EXPECT_ERR(rig_svc(rig, base + 2, &req, NULL), INVAL);
}

static void
body_attrs(struct rig *rig)
{
    if (!rig_setup(rig))
        return;
    attrs_of(rig, PROTO_POOL_ATTR_LIST);
    attrs_of(rig, PROTO_CONT_ATTR_LIST);
}

TEST_ON(server_service, attributes, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_attrs);
}

static void
body_list(struct rig *rig)
{
    struct proto_pool_list_cont_req req = {.nr_max = 7};
    struct proto_pool_list_cont_rep rep;
    struct proto_sys_pool_list_req preq = {.nr_max = 1};
    struct proto_sys_pool_list_rep prep;
    uint32_t nr = 0, calls = 0;
    struct uuid last = {{0}};

    if (!rig_setup(rig))
        return;
    for (int i = 0; i < 22; i++) {
        char label[16];

        snprintf(label, sizeof(label), "c%d", i);
        EXPECT_OK(rig_cont_create(rig, rig_uuid(rig), label));
    }
    req.pool = rig->pool;
    do {
        if (!EXPECT_OK(rig_svc(rig, PROTO_POOL_LIST_CONT, &req, &rep)))
            return;
        for (uint32_t i = 0; i < rep.conts.nr; i++) {
            const struct proto_cont_entry *e = &((struct proto_cont_entry *)rep.conts.items)[i];

            EXPECT_GT(cuuid_cmp(&e->uuid, &last), 0);
            EXPECT_GT(e->label.len, 0);
            last = e->uuid;
            nr++;
        }
        req.after = last;
    } while (!rep.eof && ++calls < 10);
    EXPECT_EQ(nr, 23);

    EXPECT_OK(rig_pool_create(rig, rig_uuid(rig), "second"));
    EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_LIST, &preq, &prep, NULL));
    EXPECT_EQ(prep.pools.nr, 1);
    EXPECT(!prep.eof);
    if (prep.pools.nr == 1)
        preq.after = ((struct proto_pool_entry *)prep.pools.items)->uuid;
    EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_LIST, &preq, &prep, NULL));
    EXPECT_EQ(prep.pools.nr, 1);
    EXPECT(prep.eof);
}

TEST_ON(server_service, listings_by_pages, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_list);
}

/* Closing the pool handle closes the container handles opened with it. */
static void
body_disconnect(struct rig *rig)
{
    struct proto_pool_disconnect_req req;
    struct rig_value v = {FRUIT, "fruit", "colour", "red", VOS_MOD_UPDATE, 0};
    struct proto_pool_connect_req connect = {.flags = 2};
    struct proto_pool_connect_rep crep;
    struct proto_cont_query_req creq;
    struct proto_cont_query_rep qrep;
    struct proto_empty rep;

    if (!rig_setup(rig))
        return;
    for (int i = 0; i < 100; i++) /* more than one commit takes */
    {
        EXPECT_OK(rig_cont_open(rig, "box", CONT_COO_RO, rig_uuid(rig)));
    }
    EXPECT_OK(rig_apply(rig, 0, 0, &v, NULL, NULL));
    connect.pool = rig->pool;
    connect.hdl = rig_uuid(rig);
    EXPECT_OK(rig_svc(rig, PROTO_POOL_CONNECT, &connect, &crep));
    req = (struct proto_pool_disconnect_req){rig->pool, rig->pool_hdl};
    EXPECT_OK(rig_svc(rig, PROTO_POOL_DISCONNECT, &req, &rep));
    rig->pool_hdl = connect.hdl;
    creq = (struct proto_cont_query_req){rig->pool, rig->cont};
    EXPECT_OK(rig_svc(rig, PROTO_CONT_QUERY, &creq, &qrep));
    EXPECT_EQ(qrep.hdl_nr, 0);
    rig->pool_hdl = req.hdl;
    EXPECT_ERR(rig_apply(rig, 1, 0, &v, NULL, NULL), NO_HDL);
}

TEST_ON(server_service, disconnect_closes_containers, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_disconnect);
}
