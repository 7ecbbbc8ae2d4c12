/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The whole path, with nothing going wrong: pool, container, objects, listings, service requests.
 * Method: two engines of two targets, one client, real
 * messages; the same on the simulator and over sockets.
 */
#include <stdio.h>

#include "base/crc.h"
#include "server/server_rig.h"
#include "vos/vos.h"

static void
body_small_io(struct rig *rig)
{
    char buf[64];

    if (!rig_setup(rig))
        return;
    for (uint32_t rank = 0; rank < 2; rank++) {
        for (uint32_t tgt = 0; tgt < RIG_TGTS; tgt++) {
            struct rig_value v = {RIG_OID(7), "fruit", "colour", "yellow", VOS_MOD_UPDATE, 0};
            struct proto_obj_apply_rep rep;

            EXPECT_OK(rig_apply(rig, rank, tgt, &v, NULL, &rep));
            EXPECT_GT(rep.epoch, 0);
            EXPECT(!rep.is_replay);
            EXPECT_OK(rig_fetch(rig, rank, tgt, v.oid, "fruit", "colour", 0, buf, sizeof(buf)));
            EXPECT_STR_EQ(buf, "yellow");
            EXPECT_OK(rig_fetch(rig, rank, tgt, v.oid, "fruit", "taste", 0, buf, sizeof(buf)));
            EXPECT_STR_EQ(buf, "");
            EXPECT_ERR(rig_fetch(rig, rank, tgt, v.oid, "nut", "colour", VOS_COND_DKEY_FETCH, buf,
                           sizeof(buf)),
                NONEXIST);
        }
    }
}

TEST_ON(server_path, small_values_on_every_target, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_small_io);
}

/* Several modifications of one request take effect together or not at all. */
static void
body_batch(struct rig *rig)
{
    struct rig_value v[3] = {
        {RIG_OID(1), "a", "x", "one", VOS_MOD_UPDATE, 0},
        {RIG_OID(1), "b", "x", "two", VOS_MOD_UPDATE, 0},
        {RIG_OID(2), "c", "x", "three", VOS_MOD_UPDATE, VOS_COND_DKEY_UPDATE},
    };
    struct rig_apply a;
    struct proto_obj_apply_rep rep;
    char buf[64];

    if (!rig_setup(rig))
        return;
    rig_apply_fill(&a, v, 3);
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &rep, NULL), NONEXIST);
    EXPECT_OK(rig_fetch(rig, 0, 0, RIG_OID(1), "a", "x", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "");
    v[2].cond = VOS_COND_DKEY_INSERT;
    rig_apply_fill(&a, v, 3);
    EXPECT_OK(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &a.req, &rep, NULL));
    EXPECT_OK(rig_fetch(rig, 0, 0, RIG_OID(1), "b", "x", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "two");
    EXPECT_OK(rig_fetch(rig, 0, 0, RIG_OID(2), "c", "x", 0, buf, sizeof(buf)));
    EXPECT_STR_EQ(buf, "three");
}

TEST_ON(server_path, batch_is_atomic, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_batch);
}

/* ---- arrays and bulk ------------------------------------------------------------------------ */

enum { BIG = 300000, REC = 1 };

static void
fill(uint8_t *buf, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)(test_rand(&seed) >> 24);
    }
}

static int
bulk_put(struct rig *rig, struct proto_recx *recxs, uint32_t nr, uint8_t *data, uint64_t len,
    uint32_t crc_xor)
{
    struct iov iov = {data, len};
    struct sgl sgl = {1, &iov};
    struct proto_iod iod = {
        .akey = rig_str("0"), .type = VOS_IOD_ARRAY, .size = REC, .recxs = {nr, recxs}, .buf_len = len};
    struct proto_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = RIG_OID(9),
        .layout_ver = 1,
        .dkey = rig_str("chunk"),
        .iods = {1, &iod}};
    struct proto_obj_apply_req req = {.mods = {1, &mod}, .data_len = len};
    struct proto_obj_apply_rep rep;
    struct rpc_bulk *bulk;
    int rc;

    if (!EXPECT_OK(rpc_bulk_create(rig->rpc, &sgl, RPC_BULK_READ, &bulk)))
        return -DER_NOMEM;
    rpc_bulk_desc(bulk, &req.bulk);
    req.data_crc = crc32c(0, data, len) ^ crc_xor;
    rc = rig_call(rig, 1, 2, PROTO_OBJ_APPLY, &req, &rep, NULL);
    rpc_bulk_free(bulk);
    return rc;
}

static int
bulk_get(struct rig *rig, struct proto_recx *recxs, uint32_t nr, uint8_t *data, uint64_t len,
    struct proto_obj_fetch_rep *rep)
{
    struct iov iov = {data, len};
    struct sgl sgl = {1, &iov};
    struct proto_iod iod = {
        .akey = rig_str("0"), .type = VOS_IOD_ARRAY, .recxs = {nr, recxs}, .buf_len = len};
    struct proto_obj_fetch_req req = {.oid = RIG_OID(9),
        .layout_ver = 1,
        .epoch = UINT64_MAX,
        .dkey = rig_str("chunk"),
        .iods = {1, &iod}};
    struct rpc_bulk *bulk;
    int rc;

    if (!EXPECT_OK(rpc_bulk_create(rig->rpc, &sgl, RPC_BULK_WRITE, &bulk)))
        return -DER_NOMEM;
    rpc_bulk_desc(bulk, &req.bulk);
    rc = rig_call(rig, 1, 2, PROTO_OBJ_FETCH, &req, rep, NULL);
    rpc_bulk_free(bulk);
    return rc;
}

static void
body_bulk(struct rig *rig)
{
    uint8_t *in = arena_alloc(&rig->arena, BIG), *out = arena_alloc(&rig->arena, 2 * BIG);
    struct proto_recx two[2] = {{0, 100000}, {500000, 200000}};
    struct proto_recx over[1] = {{50000, 550000}};
    struct proto_obj_fetch_rep rep;
    const struct proto_fetch_iod *iod;

    if (!rig_setup(rig))
        return;
    fill(in, BIG, 1);
    EXPECT_ERR(bulk_put(rig, two, 2, in, BIG, 1), CSUM);
    memset(out, 0xee, 2 * BIG);
    EXPECT_OK(bulk_get(rig, over, 1, out, 550000, &rep));
    EXPECT_EQ(rep.data_len, 0); /* a payload whose checksum differs leaves nothing (OBJ-2) */
    EXPECT_OK(bulk_put(rig, two, 2, in, BIG, 0));
    EXPECT_OK(bulk_get(rig, over, 1, out, 550000, &rep));
    /* [50000, 100000) from the first range, a hole, [500000, 600000) from the second */
    EXPECT_EQ(rep.data_len, 150000);
    iod = rep.iods.items;
    if (EXPECT_EQ(rep.iods.nr, 1)) {
        const struct proto_seg *segs = iod->segs.items;

        EXPECT_EQ(iod->size, REC);
        if (EXPECT_EQ(iod->segs.nr, 3)) {
            EXPECT(segs[0].is_present && segs[0].idx == 50000 && segs[0].nr == 50000);
            EXPECT(!segs[1].is_present && segs[1].idx == 100000 && segs[1].nr == 400000);
            EXPECT(segs[2].is_present && segs[2].idx == 500000 && segs[2].nr == 100000);
        }
    }
    EXPECT_MEM_EQ(out, in + 50000, 50000);
    EXPECT_EQ(out[50000], 0xee); /* holes are left alone */
    EXPECT_EQ(out[449999], 0xee);
    EXPECT_MEM_EQ(out + 450000, in + 100000, 100000);
    EXPECT_EQ(rep.data_crc, crc32c(crc32c(0, in + 50000, 50000), in + 100000, 100000));
    EXPECT_ERR(bulk_get(rig, over, 1, out, 549999, &rep), REC2BIG);
    if (EXPECT_EQ(rep.iods.nr, 1))
        EXPECT_EQ(((struct proto_fetch_iod *)rep.iods.items)->size, REC);
}

TEST_ON(server_path, bulk_ranges_with_a_hole, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_bulk);
}

/* ---- listings and queries ------------------------------------------------------------------- */

static void
body_list(struct rig *rig)
{
    struct proto_obj_list_req req = {
        .oid = RIG_OID(3), .layout_ver = 1, .level = 1, .epoch = UINT64_MAX, .bytes_max = 64};
    struct proto_obj_list_rep rep;
    uint32_t seen = 0, calls = 0;

    if (!rig_setup(rig))
        return;
    for (int i = 0; i < 20; i++) {
        char dkey[16];
        struct rig_value v = {RIG_OID(3), dkey, "a", "v", VOS_MOD_UPDATE, 0};

        snprintf(dkey, sizeof(dkey), "key%02d", i);
        EXPECT_OK(rig_apply(rig, 0, 1, &v, NULL, NULL));
    }
    do {
        if (!EXPECT_OK(rig_call(rig, 0, 2, PROTO_OBJ_LIST, &req, &rep, NULL)))
            return;
        for (uint32_t i = 0; i < rep.entries.nr; i++) {
            struct proto_list_entry *e = &((struct proto_list_entry *)rep.entries.items)[i];
            const char *key = e->key.buf;

            if (EXPECT_EQ(e->key.len, 5))
                seen |= 1u << ((key[3] - '0') * 10 + (key[4] - '0'));
        }
        EXPECT_LE(rep.entries.nr * 5, 64);
        req.anchor = rep.anchor;
    } while (!rep.eof && ++calls < 100);
    EXPECT_EQ(seen, (1u << 20) - 1);
    EXPECT_GE(calls, 1);
    req.anchor = (struct iov){NULL, 0};
    req.bytes_max = 4;
    EXPECT_ERR(rig_call(rig, 0, 2, PROTO_OBJ_LIST, &req, &rep, NULL), KEY2BIG);
    EXPECT_EQ(rep.key_len, 5);
    req.level = 9;
    EXPECT_ERR(rig_call(rig, 0, 2, PROTO_OBJ_LIST, &req, &rep, NULL), INVAL);
    req.level = 1;
    req.bytes_max = 1024;
    req.anchor = (struct iov){rig->err, 5};
    EXPECT_ERR(rig_call(rig, 0, 2, PROTO_OBJ_LIST, &req, &rep, NULL), INVAL);
}

TEST_ON(server_path, listing_by_pages, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_list);
}

static void
body_query(struct rig *rig)
{
    struct oid oid = {.lo = 5, .hi = UINT64_C(13) << 56 | UINT64_C(1) << 32}; /* ARRAY_BYTE */
    uint64_t dkey = 3;
    struct proto_recx recx = {10, 5};
    struct proto_iod iod = {
        .akey = rig_str("0"), .type = 2, .size = 1, .recxs = {1, &recx}, .buf_len = 5};
    struct proto_mod mod = {
        .op = 1, .oid = oid, .layout_ver = 1, .dkey = {&dkey, 8}, .iods = {1, &iod}};
    struct proto_obj_apply_req areq = {
        .mods = {1, &mod}, .data_len = 5, .data = {(void *)(uintptr_t) "hello", 5}};
    struct proto_obj_apply_rep arep;
    struct proto_obj_query_req qreq = {.oid = oid,
        .layout_ver = 1,
        .epoch = UINT64_MAX,
        .flags = VOS_GET_MAX | VOS_GET_DKEY | VOS_GET_RECX,
        .akey = rig_str("0")};
    struct proto_obj_query_rep qrep;

    if (!rig_setup(rig))
        return;
    EXPECT_ERR(rig_call(rig, 0, 1, PROTO_OBJ_QUERY_KEY, &qreq, &qrep, NULL), NONEXIST);
    areq.data_crc = crc32c(0, "hello", 5);
    EXPECT_OK(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &areq, &arep, NULL));
    dkey = 2;
    EXPECT_OK(rig_call(rig, 0, 1, PROTO_OBJ_APPLY, &areq, &arep, NULL));
    EXPECT_OK(rig_call(rig, 0, 1, PROTO_OBJ_QUERY_KEY, &qreq, &qrep, NULL));
    EXPECT_EQ(qrep.dkey, 3);
    EXPECT_EQ(qrep.recx.idx, 10);
    EXPECT_EQ(qrep.recx.nr, 5);
    EXPECT_EQ(qrep.rec_size, 1);
}

TEST_ON(server_path, key_query, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, body_query);
}
