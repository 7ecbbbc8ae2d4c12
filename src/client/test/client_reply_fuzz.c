/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: answers of servers, as the client takes them. Under plat/sim one rank answers every operation: in good order until the pool and the container
 * are open, then with what the input says, as far as it decodes; a walk through the API makes the calls. Whatever is answered: each call ends, with data or an error.
 *
 * Input: number of the first call, then, repeated, one part for each request that arrives: flags, length (2 bytes), bytes of the answer's body.
 * Flags: 1 the answer is an error (the first of the bytes says which), 2 data checksums are made right. When the parts are used up: -DER_NONEXIST.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/log.h"
#include "client/core/client.h"
#include "client/core/client_priv.h"
#include "daos.h"
#include "daos_array.h"
#include "daos_kv.h"
#include "plat/plat_sim.h"
#include "poolmap/poolmap.h"
#include "proto/proto_svc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { TAGS_NR = 3, OPS_NR_MAX = 128, CALLS_NR = 14, WALK_NR = 3, ROOM_BYTES = 512 };
#define SYSTEM_UUID ((struct uuid){{9}})
#define RUN_NS UINT64_C(360000000000000)

struct stage {
    struct sim *sim;
    struct plat *splat, *cplat;
    struct xstream *sxs, *cxs;
    struct rpc_ctx *tags[TAGS_NR];
    struct rpc_handler handlers[OPS_NR_MAX];
    uint32_t handler_nr;
    char uris[TAGS_NR][NET_URI_MAX];
    struct client_rank rank;
    struct client_sys sys;
    struct daos_client *client;
    struct poolmap *map;
    const uint8_t *data, *end;
    bool is_open, is_done;
};

/* ---- the other end ---------------------------------------------------------------------------------------------------------- */

static int
answer_good(struct stage *st, struct rpc_req *req, void *rep)
{
    struct proto_sys_resolve_rep *resolved = rep;
    struct proto_pool_connect_rep *connected = rep;
    struct proto_rank *rank;
    struct enc enc;
    size_t len;

    switch (req->hdr->opcode) {
    case PROTO_SYS_POOL_RESOLVE:
        rank = arena_calloc(req->arena, 1, sizeof(*rank));
        resolved->pool = (struct uuid){{7}};
        resolved->svc_ranks = (struct proto_array){1, rank};
        return 0;
    case PROTO_POOL_CONNECT:
        len = poolmap_encoded_bytes(st->map);
        connected->map = (struct iov){arena_calloc(req->arena, 1, len), len};
        enc_init(&enc, connected->map.buf, len);
        poolmap_encode(st->map, &enc);
        return 0;
    case PROTO_CONT_OPEN:
        ((struct proto_cont_open_rep *)rep)->cont = (struct uuid){{8}};
        return 0;
    default:
        return 0;
    }
}

static int
answer_input(struct stage *st, struct rpc_req *req, void *rep)
{
    const struct proto_op *op = proto_op_find(req->hdr->opcode);
    uint8_t flags;
    size_t n;

    if (st->end - st->data < 3)
        return -DER_NONEXIST;
    flags = st->data[0];
    n = MIN((size_t)le16_get(st->data + 1), (size_t)(st->end - st->data - 3));
    st->data += 3 + n;
    if ((flags & 1) != 0)
        return n > 0 ? -1000 - (int)st->data[-(ptrdiff_t)n] % 64 : -DER_NONEXIST;
    if (proto_decode(op->rep, st->data - n, n, req->arena, rep) != 0)
        return -DER_NONEXIST;
    if ((flags & 2) != 0 && req->hdr->opcode == PROTO_OBJ_FETCH) {
        struct proto_obj_fetch_rep *fetched = rep;

        fetched->data_len = fetched->data.len;
        fetched->data_crc = crc32c(0, fetched->data.buf, fetched->data.len);
    }
    return 0;
}

static int
answer(struct rpc_req *req, void *rep)
{
    struct stage *st = req->handler_arg;

    return st->is_open ? answer_input(st, req, rep) : answer_good(st, req, rep);
}

static int
nowhere(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    (void)arg;
    (void)ep;
    (void)ret_addr;
    return -DER_OOG; /* servers call nobody */
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------ */

struct handles {
    daos_handle_t poh, coh, obj, kv, arr;
};

static void
call_fetch(struct handles *h, bool is_array)
{
    static uint8_t buf[ROOM_BYTES];
    daos_key_t dkey;
    daos_recx_t recxs[2] = {{10, 20}, {100, 30}};
    daos_iod_t iod = {.iod_type = is_array ? DAOS_IOD_ARRAY : DAOS_IOD_SINGLE,
        .iod_size = is_array ? 1 : DAOS_REC_ANY,
        .iod_nr = is_array ? 2 : 1,
        .iod_recxs = is_array ? recxs : NULL};
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&dkey, (void *)(uintptr_t) "d", 1);
    d_iov_set(&iod.iod_name, (void *)(uintptr_t) "a", 1);
    d_iov_set(&iov, buf, is_array ? 50 : sizeof(buf));
    CAIRN_IGNORE(daos_obj_fetch(h->obj, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL, NULL));
    if (!is_array) {
        iod.iod_size = 7;
        d_iov_set(&iov, buf, 7);
        CAIRN_IGNORE(daos_obj_update(h->obj, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL));
    }
}

static void
call_list(struct handles *h, uint32_t what)
{
    char buf[256];
    daos_key_desc_t kds[8];
    daos_anchor_t anchor = {0};
    daos_recx_t recxs[8];
    daos_epoch_range_t eprs[8];
    daos_size_t size;
    daos_key_t dkey, akey;
    uint32_t nr = 8;
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, sizeof(buf));
    d_iov_set(&dkey, (void *)(uintptr_t) "d", 1);
    d_iov_set(&akey, (void *)(uintptr_t) "a", 1);
    for (uint32_t i = 0; i < 4 && !daos_anchor_is_eof(&anchor); i++) {
        int rc;

        nr = 8;
        if (what == 0) {
            rc = daos_obj_list_dkey(h->obj, DAOS_TX_NONE, &nr, kds, &sgl, &anchor, NULL);
        } else if (what == 1) {
            rc = daos_obj_list_akey(h->obj, DAOS_TX_NONE, &dkey, &nr, kds, &sgl, &anchor, NULL);
        } else if (what == 2) {
            rc = daos_obj_list_recx(
                h->obj, DAOS_TX_NONE, &dkey, &akey, &size, &nr, recxs, eprs, &anchor, true, NULL);
        } else {
            rc = daos_kv_list(h->kv, DAOS_TX_NONE, &nr, kds, &sgl, &anchor, NULL);
        }
        if (rc != 0)
            break;
    }
}

static void
call_arr(struct handles *h, bool writes)
{
    static uint8_t buf[ROOM_BYTES];
    daos_range_t range = {.rg_idx = 100, .rg_len = sizeof(buf)};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
    daos_size_t size;
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, sizeof(buf));
    if (writes) {
        CAIRN_IGNORE(daos_array_write(h->arr, DAOS_TX_NONE, &iod, &sgl, NULL));
    } else {
        CAIRN_IGNORE(daos_array_read(h->arr, DAOS_TX_NONE, &iod, &sgl, NULL));
        CAIRN_IGNORE(daos_array_get_size(h->arr, DAOS_TX_NONE, &size, NULL));
    }
}

static void
call_key(struct handles *h)
{
    uint64_t dkey_num, akey_num;
    daos_key_t dkey, akey;
    daos_recx_t recx;

    d_iov_set(&dkey, &dkey_num, sizeof(dkey_num));
    d_iov_set(&akey, &akey_num, sizeof(akey_num));
    CAIRN_IGNORE(daos_obj_query_key(h->arr, DAOS_TX_NONE,
        DAOS_GET_MAX | DAOS_GET_DKEY | DAOS_GET_AKEY | DAOS_GET_RECX, &dkey, &akey, &recx, NULL));
    CAIRN_IGNORE(daos_obj_query_key(h->obj, DAOS_TX_NONE,
        DAOS_GET_MAX | DAOS_GET_DKEY | DAOS_GET_AKEY | DAOS_GET_RECX, &dkey, &akey, &recx, NULL));
}

static void
call_attrs(struct handles *h, bool of_pool)
{
    char names[64], value[32];
    const char *want[1] = {"x"};
    void *values[1] = {value};
    size_t sizes[1] = {sizeof(value)}, size = sizeof(names);

    if (of_pool) {
        CAIRN_IGNORE(daos_pool_list_attr(h->poh, names, &size, NULL));
        CAIRN_IGNORE(daos_pool_get_attr(h->poh, 1, want, values, sizes, NULL));
    } else {
        CAIRN_IGNORE(daos_cont_list_attr(h->coh, names, &size, NULL));
        CAIRN_IGNORE(daos_cont_get_attr(h->coh, 1, want, values, sizes, NULL));
    }
}

static void
call_queries(struct handles *h, bool of_pool)
{
    struct daos_pool_cont_info conts[4];
    daos_pool_info_t pinfo = {.pi_bits = DPI_ALL};
    daos_prop_t *prop = daos_prop_alloc(0);
    daos_cont_info_t cinfo;
    daos_size_t nr = 4;

    if (of_pool) {
        CAIRN_IGNORE(daos_pool_query(h->poh, NULL, &pinfo, prop, NULL));
        CAIRN_IGNORE(daos_pool_list_cont(h->poh, &nr, conts, NULL));
    } else {
        CAIRN_IGNORE(daos_cont_query(h->coh, &cinfo, prop, NULL));
    }
    daos_prop_free(prop);
}

static void
call_visit(void)
{
    daos_handle_t poh, coh;

    if (daos_pool_connect("other", NULL, DAOS_PC_RO, &poh, NULL, NULL) != 0)
        return;
    if (daos_cont_open(poh, "box", DAOS_COO_RO, &coh, NULL, NULL) == 0)
        CAIRN_IGNORE(daos_cont_close(coh, NULL));
    CAIRN_IGNORE(daos_pool_disconnect(poh, NULL));
}

static void
call_make(struct handles *h, uint32_t which)
{
    static uint8_t buf[ROOM_BYTES];
    daos_size_t size = sizeof(buf);
    uint64_t oid;

    switch (which % CALLS_NR) {
    case 0:
    case 1:
        call_fetch(h, which % 2 == 1);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        call_list(h, which % CALLS_NR - 2);
        break;
    case 6:
        CAIRN_IGNORE(daos_kv_get(h->kv, DAOS_TX_NONE, 0, "k", &size, buf, NULL));
        break;
    case 7:
        call_arr(h, false);
        break;
    case 8:
        call_arr(h, true);
        break;
    case 9:
        call_key(h);
        break;
    case 10:
        call_attrs(h, true);
        call_attrs(h, false);
        break;
    case 11:
        call_queries(h, true);
        break;
    case 12:
        call_queries(h, false);
        CAIRN_IGNORE(daos_cont_alloc_oids(h->coh, 4, &oid, NULL));
        break;
    default:
        call_visit();
        break;
    }
}

static void
must(int rc, const char *what)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, err_text(rc));
    abort();
}

static void
walk_ult(void *arg)
{
    struct stage *st = arg;
    struct handles h;
    daos_obj_id_t oids[3] = {{.lo = 1}, {.lo = 2}, {.lo = 3}};
    uint32_t first = st->data < st->end ? *st->data++ : 0;

    client_self_set(st->client);
    must(daos_pool_connect("tank", NULL, DAOS_PC_RW, &h.poh, NULL, NULL), "connect");
    must(daos_cont_open(h.poh, "box", DAOS_COO_RW, &h.coh, NULL, NULL), "open");
    must(daos_obj_generate_oid(h.coh, &oids[0], DAOS_OT_MULTI_HASHED, OC_SX, 0, 0), "oid");
    must(daos_obj_generate_oid(h.coh, &oids[1], DAOS_OT_KV_HASHED, OC_SX, 0, 0), "oid");
    must(daos_array_generate_oid(h.coh, &oids[2], false, OC_SX, 0, 0), "oid");
    must(daos_obj_open(h.coh, oids[0], DAOS_OO_RW, &h.obj, NULL), "obj");
    must(daos_kv_open(h.coh, oids[1], DAOS_OO_RW, &h.kv, NULL), "kv");
    must(daos_array_open_with_attr(h.coh, oids[2], DAOS_TX_NONE, DAOS_OO_RW, 1, 256, &h.arr, NULL),
        "arr");
    st->is_open = true;
    for (uint32_t i = 0; i < WALK_NR; i++) {
        call_make(&h, first + i);
    }
    st->is_open = false;
    CAIRN_IGNORE(daos_array_close(h.arr, NULL));
    CAIRN_IGNORE(daos_kv_close(h.kv, NULL));
    CAIRN_IGNORE(daos_obj_close(h.obj, NULL));
    CAIRN_IGNORE(daos_cont_close(h.coh, NULL));
    CAIRN_IGNORE(daos_pool_disconnect(h.poh, NULL));
    client_destroy(st->client);
    st->is_done = true;
}

/* ---- a run ------------------------------------------------------------------------------------------------------------------ */

static bool
is_done(void *arg)
{
    return ((struct stage *)arg)->is_done;
}

static void
end_ult(void *arg)
{
    struct stage *st = arg;

    for (uint32_t t = 0; t < TAGS_NR; t++) {
        rpc_ctx_destroy(st->tags[t]);
    }
    st->is_done = true;
}

static void
run(struct stage *st, struct xstream *xs, void (*fn)(void *arg))
{
    st->is_done = false;
    must(xstream_post(xs, ULT_SERVICE, fn, st), "post");
    must(sim_run_until(st->sim, is_done, st, RUN_NS), "an end");
    sim_run_for(st->sim, 1000000);
}

static void
server_start(struct stage *st)
{
    uint32_t nr;
    const struct proto_op *ops = proto_op_table(&nr);

    for (st->handler_nr = 0; st->handler_nr < nr && st->handler_nr < OPS_NR_MAX; st->handler_nr++) {
        st->handlers[st->handler_nr] =
            (struct rpc_handler){ops[st->handler_nr].opcode, ULT_SERVICE, answer};
    }
    must(sim_node_start(st->sim, "e", "e", &st->splat), "node");
    must(xstream_create(st->splat, &(struct xstream_opts){.name = "e", .cpu = UINT32_MAX}, &st->sxs),
        "xs");
    for (uint32_t t = 0; t < TAGS_NR; t++) {
        struct rpc_ctx_opts opts = {.xs = st->sxs,
            .listen_uri = st->uris[t],
            .system = SYSTEM_UUID,
            .incarnation = 50,
            .client = {{100}},
            .handlers = st->handlers,
            .handler_nr = st->handler_nr,
            .handler_arg = st,
            .resolve = nowhere};

        (void)snprintf(st->uris[t], NET_URI_MAX, "sim://e/%u", t);
        must(rpc_ctx_create(&opts, &st->tags[t]), "rpc");
    }
    must(xstream_start(st->sxs), "xs");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct stage *st = calloc(1, sizeof(*st));
    struct poolmap_rank_desc desc = {.tgts_nr = TAGS_NR - 1};
    struct sim_opts opts = {.seed = 1};
    struct client_opts copts = {.sys = &st->sys};

    log_level_set(LOG_LEVEL_NONE);
    st->data = data;
    st->end = data + len;
    must(poolmap_create(&desc, 1, &st->map), "map");
    must(sim_create(&opts, &st->sim), "sim");
    server_start(st);
    st->rank =
        (struct client_rank){.rank = 0, .incarnation = 50, .uri_nr = TAGS_NR, .uris = st->uris};
    st->sys =
        (struct client_sys){.name = "fuzz", .uuid = SYSTEM_UUID, .rank_nr = 1, .ranks = &st->rank};
    must(sim_node_start(st->sim, "c", "c", &st->cplat), "node");
    must(xstream_create(st->cplat, &(struct xstream_opts){.name = "c", .cpu = UINT32_MAX}, &st->cxs),
        "xs");
    copts.plat = st->cplat;
    copts.xs = st->cxs;
    must(client_create(&copts, &st->client), "client");
    must(xstream_start(st->cxs), "xs");
    run(st, st->cxs, walk_ult);
    run(st, st->sxs, end_ult);
    xstream_stop(st->cxs);
    xstream_destroy(st->cxs);
    xstream_stop(st->sxs);
    xstream_destroy(st->sxs);
    poolmap_destroy(st->map);
    sim_destroy(st->sim);
    free(st);
    return 0;
}
