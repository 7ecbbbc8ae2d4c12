/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "server/server_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crc.h"
#include "base/hash.h"
#include "base/hlc.h"
#include "plat/plat_linux.h"
#include "proto/ctl/ctl.pb-c.h"

#define READY_NS UINT64_C(60000000000)
#define BODY_NS UINT64_C(600000000000)

struct uuid
rig_uuid(struct rig *rig)
{
    uint64_t a = test_rand(&rig->id_seed), b = test_rand(&rig->id_seed);

    return cuuid_from_random(a, b);
}

/* ---- engines -------------------------------------------------------------------------------- */

void
rig_cfg(struct rig *rig, uint32_t rank, struct engine_cfg *cfg)
{
    engine_cfg_init(cfg);
    snprintf(cfg->system, sizeof(cfg->system), RIG_SYSTEM);
    cfg->system_uuid = RIG_SYSTEM_UUID;
    cfg->rank = rank;
    cfg->tgt_nr = RIG_TGTS;
    cfg->limits.pool_hdls_nr = rig->hdls_nr;
    cfg->limits.sys_scrub_ns = rig->sys_scrub_ns;
    if (!rig->has_default_sizes) {
        cfg->wal_bytes = cfg->sys_wal_bytes = UINT64_C(16) << 20;
        cfg->meta_bytes = UINT64_C(96) << 20;
        cfg->data_bytes = UINT64_C(256) << 20;
        cfg->sys_meta_bytes = UINT64_C(128) << 20;
        cfg->sys_data_bytes = UINT64_C(128) << 20;
    }
    for (uint32_t i = 0; i < rig->dev_nr; i++) {
        struct engine_dev_cfg *dev = &cfg->devs[cfg->dev_nr++];

        snprintf(dev->path, sizeof(dev->path), "/dev%u", i);
        dev->bytes = UINT64_C(2) << 30;
        dev->roles = 1 << 1 | 1 << 2 | 1 << 3;
    }
    if (rig->sim != NULL) {
        snprintf(cfg->dir, sizeof(cfg->dir), "/store");
        snprintf(cfg->uri_base, sizeof(cfg->uri_base), "sim://%s", rig->engines[rank].name);
    } else {
        snprintf(cfg->dir, sizeof(cfg->dir), "%.150s/e%u", rig->dir, rank);
        snprintf(cfg->uri_base, sizeof(cfg->uri_base), "unix://%.80s", rig->dir);
    }
}

static void
engine_reap(void *arg)
{
    struct rig_engine *e = arg;

    engine_abandon(e->engine);
    e->engine = NULL;
}

static int
engine_begin(struct rig *rig, uint32_t rank)
{
    struct rig_engine *e = &rig->engines[rank];
    struct engine_cfg cfg;
    int rc;

    e->rig = rig;
    e->rank = rank;
    e->plat = rig->linux_plat;
    snprintf(e->host, sizeof(e->host), "h%u", rank);
    snprintf(e->name, sizeof(e->name), "e%u-%u", rank, e->life++);
    if (rig->sim != NULL) {
        rc = sim_node_start(rig->sim, e->host, e->name, &e->plat);
        if (rc != 0)
            return rc;
        sim_node_on_kill(e->plat, engine_reap, e);
    }
    rig_cfg(rig, rank, &cfg);
    return engine_start(e->plat, &cfg, rig->err, &e->engine);
}

int
rig_engine_start(struct rig *rig, uint32_t rank)
{
    int rc;

    rc = engine_begin(rig, rank);
    if (rc != 0)
        return rc;
    return engine_wait_ready(rig->engines[rank].engine);
}

void
rig_engine_kill(struct rig *rig, uint32_t rank)
{
    sim_node_kill(rig->sim, rig->engines[rank].plat);
    ult_sleep(1000000); /* it dies after this event */
    EXPECT(rig->engines[rank].engine == NULL);
}

void
rig_engine_power_loss(struct rig *rig, uint32_t rank)
{
    sim_host_power_loss(rig->sim, rig->engines[rank].host);
    ult_sleep(1000000);
    EXPECT(rig->engines[rank].engine == NULL);
}

void
rig_engine_restart(struct rig *rig, uint32_t rank)
{
    rig_engine_kill(rig, rank);
    EXPECT_OK(rig_engine_start(rig, rank));
    EXPECT_OK(rig_group_push(rig));
}

/* ---- control -------------------------------------------------------------------------------- */

int
rig_ctl(struct rig *rig, uint32_t rank, int method, const void *body, struct iov *ret_body)
{
    Cairn__Ctl__Envelope req = CAIRN__CTL__ENVELOPE__INIT, *rep;
    size_t len = body == NULL ? 0 : protobuf_c_message_get_packed_size(body), rep_len;
    uint8_t *buf = arena_alloc(&rig->arena, len + 1), *packed;
    void *answer;
    int rc;

    if (body != NULL)
        req.body = (ProtobufCBinaryData){protobuf_c_message_pack(body, buf), buf};
    req.version = 1;
    req.id = ++rig->seq;
    req.method = method;
    packed = arena_alloc(&rig->arena, cairn__ctl__envelope__get_packed_size(&req));
    len = cairn__ctl__envelope__pack(&req, packed);
    rc = engine_ctl(rig->engines[rank].engine, packed, len, &answer, &rep_len);
    if (rc != 0)
        return rc;
    rep = cairn__ctl__envelope__unpack(NULL, rep_len, answer);
    engine_buf_free(answer);
    if (!EXPECT(rep != NULL))
        return -DER_PROTO;
    EXPECT(rep->is_reply);
    EXPECT_EQ(rep->id, req.id);
    EXPECT_EQ(rep->method, method);
    rc = rep->rc;
    snprintf(rig->err, sizeof(rig->err), "%s", rep->error);
    EXPECT_EQ(rc != 0, rep->error[0] != '\0');
    if (ret_body != NULL) {
        *ret_body =
            (struct iov){arena_dup(&rig->arena, rep->body.data, rep->body.len), rep->body.len};
    }
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    return rc;
}

int
rig_group_push(struct rig *rig)
{
    Cairn__Ctl__GroupUpdateReq req = CAIRN__CTL__GROUP_UPDATE_REQ__INIT;
    Cairn__Ctl__Rank ranks[RIG_ENGINES_MAX], *ptrs[RIG_ENGINES_MAX];
    char *uris[RIG_ENGINES_MAX][1 + RIG_TGTS];
    struct uuid system = RIG_SYSTEM_UUID;
    int rc = 0;

    for (uint32_t i = 0; i < rig->engine_nr; i++) {
        struct engine *engine = rig->engines[i].engine;

        cairn__ctl__rank__init(&ranks[i]);
        ptrs[i] = &ranks[i];
        ranks[i].rank = i;
        ranks[i].node = i;
        ranks[i].targets = RIG_TGTS;
        ranks[i].state = engine == NULL ? CAIRN__CTL__RANK_STATE__RANK_UNRESPONSIVE
                                        : CAIRN__CTL__RANK_STATE__RANK_JOINED;
        if (engine == NULL)
            continue;
        ranks[i].incarnation = engine_incarnation(engine);
        for (uint32_t t = 0; t <= RIG_TGTS; t++) {
            uris[i][t] = (char *)(uintptr_t)engine_uri(engine, t);
        }
        ranks[i].uris = uris[i];
        ranks[i].n_uris = 1 + RIG_TGTS;
    }
    req.version = ++rig->group_ver;
    req.system_uuid = (ProtobufCBinaryData){sizeof(system.b), system.b};
    req.ranks = ptrs;
    req.n_ranks = rig->engine_nr;
    for (uint32_t i = 0; rc == 0 && i < rig->engine_nr; i++) {
        if (rig->engines[i].engine != NULL)
            rc = rig_ctl(rig, i, CAIRN__CTL__METHOD__GROUP_UPDATE, &req.base, NULL);
    }
    return rc;
}

/* ---- the client ----------------------------------------------------------------------------- */

static int
client_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct rig *rig = arg;
    struct engine *engine;

    if (ep.rank >= rig->engine_nr)
        return -DER_OOG;
    engine = rig->engines[ep.rank].engine;
    if (engine == NULL)
        return -DER_UNREACH;
    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", engine_uri(engine, ep.tag));
    ret_addr->incarnation = engine_incarnation(engine);
    return ret_addr->uri[0] == '\0' ? -DER_UNREACH : 0;
}

static int
client_start(struct rig *rig)
{
    struct xstream_opts xopts = {.name = "client", .cpu = UINT32_MAX};
    struct rpc_ctx_opts opts = {.system = RIG_SYSTEM_UUID,
        .rank = RPC_RANK_NONE,
        .incarnation = 1,
        .resolve = client_resolve,
        .arg = rig};
    int rc;

    rig->client = rig_uuid(rig);
    rc = xstream_create(rig->client_plat, &xopts, &rig->xs);
    if (rc != 0)
        return rc;
    opts.xs = rig->xs;
    opts.client = rig->client;
    rc = rpc_ctx_create(&opts, &rig->rpc);
    if (rc == 0 && rig->sim != NULL)
        rc = xstream_start(rig->xs);
    return rc;
}

struct rig_id
rig_id(struct rig *rig)
{
    struct rig_id id = {.slot = 0, .seq = ++rig->seq};

    id.hlc = hlc_from_unix_ns(plat_wall_ns(rig->client_plat));
    return id;
}

int
rig_call_once(struct rig *rig, uint32_t rank, uint32_t tag, uint16_t opcode, const void *req,
    void *rep, const struct rig_id *id, uint64_t timeout_ns, struct rpc_call_info *ret_info)
{
    const struct proto_op *op = proto_op_find(opcode);
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + timeout_ns,
        .pool = rig->pool,
        .pool_hdl = rig->pool_hdl,
        .cont_hdl = rig->cont_hdl,
        .arena = &rig->arena};
    struct rig_id own;

    if (id == NULL && op->is_modifying) {
        own = rig_id(rig);
        id = &own;
    }
    if (id != NULL) {
        opts.slot = id->slot;
        opts.seq = id->seq;
        opts.first_hlc = id->hlc;
    }
    if (rep != NULL)
        memset(rep, 0, op->rep->struct_bytes);
    return rpc_call(rig->rpc, (struct rpc_ep){rank, tag}, opcode, req, rep, &opts, ret_info);
}

int
rig_call(struct rig *rig, uint32_t rank, uint32_t tag, uint16_t opcode, const void *req, void *rep,
    const struct rig_id *id)
{
    const struct proto_op *op = proto_op_find(opcode);
    void *own_rep = arena_calloc(&rig->arena, 1, op->rep->struct_bytes);
    struct rig_id own;
    int rc = 0;

    if (id == NULL) {
        own = rig_id(rig);
        id = &own;
    }
    for (int i = 0; i < 300; i++) {
        struct rpc_call_info info = {.is_replied = false};
        enum err_class cls;

        rc = rig_call_once(
            rig, rank, tag, opcode, req, rep == NULL ? own_rep : rep, id, RIG_CALL_NS, &info);
        cls = err_class(rc);
        if (rc == 0 || (info.is_replied && cls != ERR_CLASS_RETRY) ||
            (!info.is_replied && cls != ERR_CLASS_RETRY && cls != ERR_CLASS_PEER))
            break;
        ult_sleep(100000000);
    }
    return rc;
}

int
rig_svc(struct rig *rig, uint16_t opcode, const void *req, void *rep)
{
    return rig_call(rig, rig->svc_rank, 0, opcode, req, rep, NULL);
}

void
rig_lose_answer(struct rig *rig, uint32_t rank, uint32_t tag, uint16_t opcode, const void *req,
    const struct rig_id *id)
{
    const struct proto_op *op = proto_op_find(opcode);
    void *rep = arena_calloc(&rig->arena, 1, op->rep->struct_bytes);
    struct rpc_call_info info = {.is_replied = true};
    struct proto_empty none = {0}, pong;
    int rc;

    /* A connection that is up already, so that the request gets there. */
    EXPECT_OK(rig_call(rig, rank, tag, PROTO_PING, &none, &pong, NULL));
    sim_link_set(rig->sim, rig->engines[rank].host, "client", false);
    rc = rig_call_once(rig, rank, tag, opcode, req, rep, id, RIG_CALL_NS, &info);
    EXPECT(rc != 0);
    EXPECT(!info.is_replied);
    sim_link_set(rig->sim, rig->engines[rank].host, "client", true);
    rig_engine_restart(rig, rank);
}

/* ---- a run ---------------------------------------------------------------------------------- */

struct run {
    struct rig *rig;
    void (*body)(struct rig *rig);
    bool is_done;
};

static void
run_engines_stop(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->engine_nr; i++) {
        struct engine *engine = rig->engines[i].engine;

        if (engine == NULL)
            continue;
        engine_stop_begin(engine);
        engine_wait_stopped(engine);
    }
}

static void
run_ult(void *arg)
{
    struct run *run = arg;
    struct rig *rig = run->rig;
    bool is_up = true;

    for (uint32_t i = 0; i < rig->engine_nr; i++) {
        if (rig->engines[i].engine == NULL || !EXPECT_OK(engine_wait_ready(rig->engines[i].engine)))
            is_up = false;
    }
    if (is_up && EXPECT_OK(rig_group_push(rig)))
        run->body(rig);
    rpc_ctx_destroy(rig->rpc);
    run_engines_stop(rig);
    run->is_done = true;
}

static bool
run_is_done(void *arg)
{
    return ((struct run *)arg)->is_done;
}

static int
rig_start(struct rig *rig, const struct sim_opts *opts, uint32_t engine_nr)
{
    int rc;

    arena_init(&rig->arena, 65536, 256 << 20);
    rig->id_seed = test_seed();
    rig->engine_nr = engine_nr;
    if (test_backend() == BACKEND_LINUX) {
        rig->dir = test_tmpdir();
        rc = plat_linux_create(&rig->linux_plat);
        rig->client_plat = rig->linux_plat;
    } else {
        rc = sim_create(opts, &rig->sim);
        if (rc == 0)
            rc = sim_node_start(rig->sim, "client", "client", &rig->client_plat);
    }
    for (uint32_t i = 0; rc == 0 && i < engine_nr; i++) {
        rc = engine_begin(rig, i);
    }
    return rc == 0 ? client_start(rig) : rc;
}

static void
rig_end(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->engine_nr; i++) {
        engine_destroy(rig->engines[i].engine);
        rig->engines[i].engine = NULL;
    }
    if (rig->sim != NULL)
        xstream_stop(rig->xs);
    xstream_destroy(rig->xs);
    arena_fini(&rig->arena);
    sim_destroy(rig->sim);
    plat_linux_destroy(rig->linux_plat);
}

static void
run_as(const struct sim_opts *opts, uint32_t engine_nr, struct rig rig, void (*body)(struct rig *rig))
{
    struct run run = {&rig, body, false};
    int rc;

    if (!EXPECT_OK(rig_start(&rig, opts, engine_nr)))
        return; /* the process ends with a failure: what was begun is not torn down */
    if (!EXPECT_OK(xstream_post(rig.xs, ULT_SERVICE, run_ult, &run)))
        return;
    if (rig.sim != NULL) {
        rc = sim_run_until(rig.sim, run_is_done, &run, BODY_NS);
    } else {
        rc = xstream_drive(rig.xs, &run.is_done, plat_mono_ns(rig.client_plat) + BODY_NS);
    }
    if (EXPECT_OK(rc))
        rig_end(&rig);
}

static struct sim_opts
quiet_opts(void)
{
    return (struct sim_opts){.seed = test_seed(),
        .net_lat_lo_ns = 20000,
        .net_lat_hi_ns = 200000,
        .disk_lat_lo_ns = 20000,
        .disk_lat_hi_ns = 400000};
}

void
rig_run_with(const struct sim_opts *opts, uint32_t engine_nr, void (*body)(struct rig *rig))
{
    run_as(opts, engine_nr, (struct rig){.sim = NULL}, body);
}

void
rig_run(uint32_t engine_nr, void (*body)(struct rig *rig))
{
    struct sim_opts opts = quiet_opts();

    run_as(&opts, engine_nr, (struct rig){.sim = NULL}, body);
}

void
rig_run_default(uint32_t engine_nr, void (*body)(struct rig *rig))
{
    struct sim_opts opts = quiet_opts();

    run_as(&opts, engine_nr, (struct rig){.has_default_sizes = true}, body);
}

void
rig_run_devs(uint32_t engine_nr, uint32_t dev_nr, void (*body)(struct rig *rig))
{
    struct sim_opts opts = quiet_opts();

    run_as(&opts, engine_nr, (struct rig){.dev_nr = dev_nr}, body);
}

void
rig_run_hdls(uint32_t engine_nr, uint32_t hdls_nr, void (*body)(struct rig *rig))
{
    struct sim_opts opts = quiet_opts();

    run_as(&opts, engine_nr, (struct rig){.hdls_nr = hdls_nr}, body);
}

void
rig_run_scrub(
    uint32_t engine_nr, uint32_t dev_nr, uint64_t sys_scrub_ns, void (*body)(struct rig *rig))
{
    struct sim_opts opts = quiet_opts();

    run_as(&opts, engine_nr, (struct rig){.sys_scrub_ns = sys_scrub_ns, .dev_nr = dev_nr}, body);
}

/* ---- pools and containers ------------------------------------------------------------------- */

int
rig_pool_create(struct rig *rig, struct uuid pool, const char *label)
{
    struct proto_prop prop = {.type = 1, .bytes = rig_str(label)};
    struct proto_sys_pool_create_req req = {
        .pool = pool, .meta_bytes = RIG_META_BYTES, .data_bytes = RIG_DATA_BYTES, .props = {1, &prop}};
    struct proto_sys_pool_create_rep rep;

    return rig_call(rig, 0, 0, PROTO_SYS_POOL_CREATE, &req, &rep, NULL);
}

int
rig_cont_create(struct rig *rig, struct uuid cont, const char *label)
{
    struct proto_prop prop = {.type = 0x1001, .bytes = rig_str(label)};
    struct proto_cont_create_req req = {.pool = rig->pool, .cont = cont, .props = {1, &prop}};
    struct proto_empty rep;

    return rig_svc(rig, PROTO_CONT_CREATE, &req, &rep);
}

int
rig_cont_open(struct rig *rig, const char *id, uint64_t flags, struct uuid hdl)
{
    struct proto_cont_open_req req = {
        .pool = rig->pool, .id = rig_str(id), .cont_hdl = hdl, .flags = flags};
    struct proto_cont_open_rep rep;

    return rig_svc(rig, PROTO_CONT_OPEN, &req, &rep);
}

bool
rig_setup(struct rig *rig)
{
    struct proto_sys_resolve_req rreq = {.id = rig_str("tank")};
    struct proto_sys_resolve_rep rrep;
    struct proto_pool_connect_req creq = {.flags = 2};
    struct proto_pool_connect_rep crep;

    if (!EXPECT_OK(rig_pool_create(rig, rig_uuid(rig), "tank")) ||
        !EXPECT_OK(rig_call(rig, 0, 0, PROTO_SYS_POOL_RESOLVE, &rreq, &rrep, NULL)) ||
        !EXPECT_EQ(rrep.svc_ranks.nr, 1))
        return false;
    rig->pool = rrep.pool;
    rig->svc_rank = ((struct proto_rank *)rrep.svc_ranks.items)[0].rank;
    rig->pool_hdl = rig_uuid(rig);
    rig->cont = rig_uuid(rig);
    creq.pool = rig->pool;
    creq.hdl = rig->pool_hdl;
    if (!EXPECT_OK(rig_svc(rig, PROTO_POOL_CONNECT, &creq, &crep)) ||
        !EXPECT_OK(rig_cont_create(rig, rig->cont, "box")))
        return false;
    rig->cont_hdl = rig_uuid(rig);
    return EXPECT_OK(rig_cont_open(rig, "box", 2, rig->cont_hdl));
}

/* ---- object I/O ----------------------------------------------------------------------------- */

void
rig_apply_fill(struct rig_apply *a, const struct rig_value *values, uint32_t nr)
{
    uint64_t len = 0;

    memset(a, 0, sizeof(*a));
    for (uint32_t i = 0; i < nr; i++) {
        const struct rig_value *v = &values[i];
        size_t bytes = v->data == NULL ? 0 : strlen(v->data);

        a->mods[i] = (struct proto_mod){.op = v->op,
            .oid = v->oid,
            .layout_ver = 1,
            .cond = v->cond,
            .dkey = v->dkey == NULL ? (struct iov){NULL, 0} : rig_str(v->dkey)};
        if (v->akey != NULL) {
            a->iods[i] = (struct proto_iod){
                .akey = rig_str(v->akey), .type = 1, .size = bytes, .buf_len = bytes};
            a->mods[i].iods = (struct proto_array){1, &a->iods[i]};
        }
        if (bytes > 0)
            memcpy(a->data + len, v->data, bytes);
        len += bytes;
    }
    a->req.mods = (struct proto_array){nr, a->mods};
    a->req.data_len = len;
    a->req.data = (struct iov){a->data, len};
    a->req.data_crc = crc32c(0, a->data, len);
}

int
rig_apply(struct rig *rig, uint32_t rank, uint32_t tgt, const struct rig_value *value,
    const struct rig_id *id, struct proto_obj_apply_rep *ret_rep)
{
    struct rig_apply *a = arena_alloc(&rig->arena, sizeof(*a));
    struct proto_obj_apply_rep rep;

    rig_apply_fill(a, value, 1);
    return rig_call(
        rig, rank, 1 + tgt, PROTO_OBJ_APPLY, &a->req, ret_rep == NULL ? &rep : ret_rep, id);
}

int
rig_fetch(struct rig *rig, uint32_t rank, uint32_t tgt, struct oid oid, const char *dkey,
    const char *akey, uint32_t flags, char *buf, size_t buf_len)
{
    struct proto_iod iod = {.akey = rig_str(akey), .type = 1, .buf_len = buf_len - 1};
    struct proto_obj_fetch_req req = {.oid = oid,
        .layout_ver = 1,
        .epoch = UINT64_MAX,
        .flags = flags,
        .dkey = rig_str(dkey),
        .iods = {1, &iod}};
    struct proto_obj_fetch_rep rep;
    int rc;

    buf[0] = '\0';
    rc = rig_call(rig, rank, 1 + tgt, PROTO_OBJ_FETCH, &req, &rep, NULL);
    if (rc != 0)
        return rc;
    EXPECT_EQ(rep.iods.nr, 1);
    EXPECT_EQ(rep.data_crc, crc32c(0, rep.data.buf, rep.data.len));
    if (EXPECT_LT(rep.data.len, buf_len)) {
        if (rep.data.len > 0)
            memcpy(buf, rep.data.buf, rep.data.len);
        buf[rep.data.len] = '\0';
    }
    return 0;
}
