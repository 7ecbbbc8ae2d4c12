/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The engine as a module inside an application: one exported table, loaded with dlopen, with the
 * application's plat. Method: what libdaos does for embedded
 * use, by hand: start, control request, one message over inproc, stop, start again.
 */
#include <dlfcn.h>
#include <stdio.h>

#include "engine/engine.h"
#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "proto/ctl/ctl.pb-c.h"
#include "proto/proto_svc.h"
#include "rpc/rpc.h"

struct client {
    const struct cairn_engine_entry_v1 *entry;
    struct engine *engine;
    struct rpc_ctx *rpc;
    int rc;
    bool is_done;
};

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct client *c = arg;

    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", c->entry->uri(c->engine, ep.tag));
    ret_addr->incarnation = c->entry->incarnation(c->engine);
    return 0;
}

static void
client_ult(void *arg)
{
    struct client *c = arg;
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + UINT64_C(10000000000)};
    struct proto_empty req = {0};

    c->rc = rpc_call(c->rpc, (struct rpc_ep){0, 1}, PROTO_PING, &req, NULL, &opts, NULL);
    rpc_ctx_destroy(c->rpc);
    c->is_done = true;
}

/* One message to target 0. */
static void
ping(struct plat *plat, const struct cairn_engine_entry_v1 *entry, struct engine *engine)
{
    struct client c = {.entry = entry, .engine = engine};
    struct xstream_opts xopts = {.name = "app", .cpu = UINT32_MAX};
    struct rpc_ctx_opts opts = {.system = entry->system_uuid(engine),
        .rank = RPC_RANK_NONE,
        .incarnation = 1,
        .client = {{5}},
        .resolve = resolve,
        .arg = &c};

    if (!EXPECT_OK(xstream_create(plat, &xopts, &opts.xs)))
        return;
    EXPECT_OK(rpc_ctx_create(&opts, &c.rpc));
    EXPECT_OK(xstream_post(opts.xs, ULT_SERVICE, client_ult, &c));
    EXPECT_OK(xstream_drive(opts.xs, &c.is_done, plat_mono_ns(plat) + UINT64_C(20000000000)));
    EXPECT_OK(c.rc);
    xstream_destroy(opts.xs);
}

static void
control(const struct cairn_engine_entry_v1 *entry, struct engine *engine)
{
    Cairn__Ctl__Envelope req = CAIRN__CTL__ENVELOPE__INIT, *rep;
    Cairn__Ctl__EngineStatusRep *st;
    uint8_t buf[128];
    void *answer;
    size_t len;

    req.version = 1;
    req.id = 42;
    req.method = CAIRN__CTL__METHOD__ENGINE_STATUS;
    len = cairn__ctl__envelope__pack(&req, buf);
    if (!EXPECT_OK(entry->ctl(engine, buf, len, &answer, &len)))
        return;
    rep = cairn__ctl__envelope__unpack(NULL, len, answer);
    entry->buf_free(answer);
    if (!EXPECT(rep != NULL))
        return;
    EXPECT_EQ(rep->id, 42);
    EXPECT_OK(rep->rc);
    st = cairn__ctl__engine_status_rep__unpack(NULL, rep->body.len, rep->body.data);
    if (EXPECT(st != NULL)) {
        EXPECT(st->ready);
        cairn__ctl__engine_status_rep__free_unpacked(st, NULL);
    }
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    EXPECT_ERR(entry->ctl(engine, "\xff\xff\xff", 3, &answer, &len), PROTO);
}

TEST_LINUX(engine_module, embedded_engine, "dlopen and threads are Linux's")
{
    const struct cairn_engine_entry_v1 *entry;
    char err[ENGINE_TEXT_BYTES] = "";
    struct engine *engine = NULL;
    struct plat *plat = NULL;
    struct engine_cfg cfg;
    void *module;

    module = dlopen(ENGINE_MODULE_PATH, RTLD_NOW | RTLD_LOCAL);
    if (!EXPECT(module != NULL)) {
        fprintf(stderr, "%s\n", dlerror());
        return;
    }
    entry = dlsym(module, ENGINE_ENTRY_SYMBOL);
    if (!EXPECT(entry != NULL))
        return;
    EXPECT_EQ(entry->version, 1);
    EXPECT_EQ(entry->struct_bytes, sizeof(*entry));
    EXPECT_EQ(entry->plat_ops_bytes, sizeof(struct plat_ops));
    EXPECT_EQ(entry->cfg_bytes, sizeof(cfg));
    EXPECT(dlsym(module, "engine_start") == NULL); /* nothing else shows */
    EXPECT(dlsym(module, "vos_apply") == NULL);
    if (!EXPECT_OK(plat_linux_create(&plat)))
        return;
    engine_cfg_init(&cfg);
    snprintf(cfg.system, sizeof(cfg.system), "embedded");
    snprintf(cfg.dir, sizeof(cfg.dir), "%.150s/e", test_tmpdir());
    snprintf(cfg.uri_base, sizeof(cfg.uri_base), "inproc://module");
    cfg.tgt_nr = 2;
    cfg.is_alone = 1;
    cfg.wal_bytes = 16 << 20;
    for (int life = 0; life < 2; life++) {
        if (!EXPECT_OK(entry->start(plat, &cfg, err, &engine)))
            break;
        if (EXPECT_OK(entry->wait_ready(engine))) {
            EXPECT_EQ(entry->state_get(engine, err, NULL), ENGINE_READY);
            control(entry, engine);
            ping(plat, entry, engine);
        }
        entry->stop(engine);
    }
    plat_linux_destroy(plat);
    dlclose(module);
}
