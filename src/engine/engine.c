/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The life of an engine. Threads outside only post; what happens, happens on ULTs of the system
 * xstream:
 *
 *      start: directory, xstreams | stores of all in parallel -> endpoints of all -> services ->
 *      READY
 *      stop:  services: no new work, what is under way is waited for -> control requests ->
 *      targets in parallel: drain, endpoint, stores -> system: endpoint, stores -> services are freed
 *      -> STOPPED
 *
 * A store that cannot be opened does not keep the others from it (ENG-6). A failure on the way leaves
 * what was opened; the stop closes whatever is there. Tested by test/server.
 */
#include "engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "engine_priv.h"
#include "proto/ctl/ctl.pb-c.h"

void
engine_text(char *err, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(err, ENGINE_TEXT_BYTES, fmt, ap);
    va_end(ap);
}

void
engine_cfg_init(struct engine_cfg *cfg)
{
    memset(cfg, 0, sizeof(*cfg));
    cfg->struct_bytes = sizeof(*cfg);
    cfg->cpu_first = UINT32_MAX;
}

static void
state_set(struct engine *engine, enum engine_state state)
{
    __atomic_store_n(&engine->state, (int)state, __ATOMIC_RELEASE);
}

static void
storage_set(struct engine *engine, Cairn__Ctl__StorageState state)
{
    __atomic_store_n(&engine->storage, (int)state, __ATOMIC_RELAXED);
}

/* ---- opening -------------------------------------------------------------------------------- */

struct each {
    struct engine_xs *xs;
    void (*task)(void *arg);
};

static void
each_ult(void *arg)
{
    struct each *each = arg;
    int rc;

    rc = xstream_call(each->xs->xs, ULT_SERVICE, each->task, each->xs);
    if (rc != 0)
        each->xs->task_rc = rc;
}

int
engine_each_tgt(struct engine *engine, void (*task)(void *arg))
{
    struct each each[ENGINE_TGTS_NR_MAX];
    struct ult *ults[ENGINE_TGTS_NR_MAX];
    uint32_t nr = 0;
    int rc = 0;

    for (; nr < engine->cfg.tgt_nr; nr++) {
        each[nr] = (struct each){&engine->xs[1 + nr], task};
        each[nr].xs->task_rc = 0;
        rc = ult_create(engine_sys(engine)->xs, ULT_SERVICE, each_ult, &each[nr], &ults[nr]);
        if (rc != 0)
            break;
    }
    for (uint32_t i = 0; i < nr; i++) {
        ult_join(ults[i]);
    }
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        rc = each[i].xs->task_rc;
        if (rc != 0)
            memcpy(engine->err, each[i].xs->err, sizeof(engine->err));
    }
    return rc;
}

static int
task_here(struct engine *engine, void (*task)(void *arg))
{
    struct engine_xs *sys = engine_sys(engine);

    task(sys);
    if (sys->task_rc != 0)
        memcpy(engine->err, sys->err, sizeof(engine->err));
    return sys->task_rc;
}

static bool
is_engine(void *arg, const struct rpc_hdr *hdr)
{
    struct engine *engine = arg;

    return engine_is_member(engine_sys(engine)->group, hdr);
}

static int
ranks_list(void *arg, struct arena *arena, struct mgmt_rank **ret_ranks, uint32_t *ret_nr)
{
    struct engine *engine = arg;
    const struct engine_group *g = engine_sys(engine)->group;
    struct mgmt_rank *ranks = arena_calloc(arena, MAX(g->nr, 1), sizeof(*ranks));

    if (ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < g->nr; i++) {
        const struct engine_group_rank *r = &g->ranks[i];

        ranks[i] = (struct mgmt_rank){.rank = r->rank,
            .incarnation = r->incarnation,
            .state = r->state,
            .tgt_nr = r->tgt_nr,
            .node = r->node};
        ranks[i].uri = arena_strdup(arena, r->uri_nr > 0 ? g->uris[r->uri_first] : "");
        if (ranks[i].uri == NULL)
            return CAIRN_ERR(NOMEM);
    }
    *ret_ranks = ranks;
    *ret_nr = g->nr;
    return 0;
}

/* Open every service whose database is here. */
static int
pools_start(struct engine *engine)
{
    struct uuid svc = mgmt_svc_uuid(engine->system), after = {{0}}, batch[16];
    uint32_t nr;
    int rc;

    do {
        rc = rsvc_list(engine_sys(engine)->vos, after, batch, ARRAY_SIZE(batch), &nr);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            after = batch[i];
            if (cuuid_cmp(&batch[i], &svc) == 0)
                continue;
            rc = CAIRN_FAULT("engine.pool.start") ? CAIRN_ERR(DF_INVAL)
                                                  : pool_svc_start(engine->pools, batch[i]);
            if (rc == -DER_NONEXIST)
                rc = 0; /* a creation that a crash cut short: the system service completes or undoes it */
            if (rc != 0 && rc != -DER_NOMEM)
                rc = pool_svc_damaged(engine->pools, batch[i], rc);
        }
    } while (rc == 0 && nr == ARRAY_SIZE(batch));
    return rc;
}

static int
services_start(struct engine *engine)
{
    static const struct pool_hooks hooks = {
        .hdl_close = cont_hdl_close, .hdl_evict_gone = cont_hdl_evict_gone};
    struct engine_xs *sys = engine_sys(engine);
    struct pool_env penv = {.plat = engine->plat,
        .sys = sys->vos,
        .rpc = sys->rpc,
        .self_rank = engine->cfg.rank,
        .is_engine = is_engine,
        .arg = engine,
        .revokes_nr_max = engine->cfg.limits.pool_revokes_nr,
        .hdls_nr_max = engine->cfg.limits.pool_hdls_nr};
    struct mgmt_env menv = {.plat = engine->plat,
        .sys = sys->vos,
        .rpc = sys->rpc,
        .system = engine->system,
        .self_rank = engine->cfg.rank,
        .svc_rank = engine->cfg.svc_rank,
        .is_engine = is_engine,
        .ranks = ranks_list,
        .arg = engine};
    int rc;

    if (sys->fault_rc != 0) {
        engine->mgmt_rc = sys->fault_rc;
        return 0;
    }
    rc = pool_svcs_create(&penv, &hooks, &engine->pools);
    if (rc == 0)
        rc = pools_start(engine);
    menv.pools = engine->pools;
    if (rc == 0) {
        rc = mgmt_start(&menv, &engine->mgmt);
        if (rc != 0 && rc != -DER_NOMEM) {
            engine_text(sys->err,
                "the system's service in %s/sys: %s: restore it from a copy, then start again",
                engine->cfg.dir, err_text(rc));
            LOG_ERROR("rank %u: %s", engine->cfg.rank, sys->err);
            engine->mgmt_rc = pool_is_fault(rc) ? rc : CAIRN_ERR(NVME_IO);
            return 0;
        }
    }
    if (rc != 0)
        engine_text(engine->err, "services of %s: %s: see the log", engine->cfg.dir, err_text(rc));
    return rc;
}

int
engine_svc_fault(const struct engine *engine)
{
    int rc = engine_xs_fault(&engine->xs[0]);

    return rc != 0 ? rc : engine->mgmt_rc;
}

/* Say what was not opened; an error when nothing was. */
static int
faults_tell(struct engine *engine)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        const struct engine_xs *xs = &engine->xs[i];

        if (xs->fault_rc == 0)
            continue;
        nr++;
        CAIRN_PROBE("engine.store.fault");
        if (i == RPC_TAG_SYSTEM) {
            LOG_ERROR("rank %u: the services are out of service: %s", engine->cfg.rank, xs->err);
        } else {
            LOG_ERROR("rank %u: target %u is out of service: %s", engine->cfg.rank, i - 1, xs->err);
        }
    }
    if (nr < engine->xs_nr)
        return 0;
    memcpy(engine->err, engine_sys(engine)->err, sizeof(engine->err));
    return engine_sys(engine)->fault_rc;
}

static int
open_all(struct engine *engine)
{
    struct engine_group *group;
    int rc;

    rc = engine_devs_take(engine);
    if (rc == 0)
        rc = task_here(engine, engine_xs_open);
    if (rc == 0)
        rc = engine_each_tgt(engine, engine_xs_open);
    if (rc == 0)
        rc = faults_tell(engine);
    if (rc == 0)
        rc = engine_dir_formatted(engine);
    if (rc == 0)
        rc = task_here(engine, engine_xs_listen);
    if (rc == 0)
        rc = engine_each_tgt(engine, engine_xs_listen);
    if (rc != 0)
        return rc;
    group = engine_group_self(engine);
    rc = group == NULL ? CAIRN_ERR(NOMEM) : engine_group_set(engine, group);
    return rc != 0 ? rc : services_start(engine);
}

static void
open_ult(void *arg)
{
    struct engine *engine = arg;
    int rc;

    storage_set(engine, CAIRN__CTL__STORAGE_STATE__STORAGE_OPENING);
    rc = open_all(engine);
    engine->fail_rc = rc;
    if (rc != 0) {
        if (engine->err[0] == '\0')
            engine_text(engine->err, "%s: %s", engine->cfg.dir, err_text(rc));
        LOG_ERROR("rank %u: %s", engine->cfg.rank, engine->err);
    }
    storage_set(engine,
        rc == 0 ? CAIRN__CTL__STORAGE_STATE__STORAGE_READY
                : CAIRN__CTL__STORAGE_STATE__STORAGE_FAILED);
    state_set(engine, rc == 0 ? ENGINE_READY : ENGINE_FAILED);
    ult_eventual_set(&engine->opened, rc);
}

/* ---- start ---------------------------------------------------------------------------------- */

static int
cfg_check(const struct engine_cfg *cfg, char *err)
{
    if (cfg->struct_bytes != sizeof(*cfg)) {
        engine_text(err, "the engine's module is of another version than the program that loads it");
        return CAIRN_ERR(MISMATCH);
    }
    if (memchr(cfg->system, '\0', sizeof(cfg->system)) == NULL || cfg->system[0] == '\0') {
        engine_text(
            err, "the system's name must have 1 to %d characters", ENGINE_SYSTEM_NAME_BYTES - 1);
        return CAIRN_ERR(INVAL);
    }
    if (memchr(cfg->dir, '\0', sizeof(cfg->dir)) == NULL || cfg->dir[0] != '/') {
        engine_text(err, "the storage directory must be an absolute path of at most %d characters",
            ENGINE_DIR_BYTES - 1);
        return CAIRN_ERR(INVAL);
    }
    if (cfg->tgt_nr == 0 || cfg->tgt_nr > ENGINE_TGTS_NR_MAX) {
        engine_text(err, "%u targets: an engine has 1 to %d", cfg->tgt_nr, ENGINE_TGTS_NR_MAX);
        return CAIRN_ERR(INVAL);
    }
    if (memchr(cfg->uri_base, '\0', sizeof(cfg->uri_base)) == NULL ||
        memchr(cfg->ctl_uri, '\0', sizeof(cfg->ctl_uri)) == NULL || cfg->uri_base[0] == '\0') {
        engine_text(err, "an address must have 1 to %d characters", NET_URI_MAX - 25);
        return CAIRN_ERR(INVAL);
    }
    return engine_devs_check(cfg, err);
}

static int
xstreams_create(struct engine *engine)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < engine->xs_nr; i++) {
        char name[16];
        struct xstream_opts opts = {.name = name, .cpu = UINT32_MAX};

        (void)snprintf(name, sizeof(name), i == 0 ? "sys" : "tgt%u", i - 1);
        if (engine->cfg.cpu_first != UINT32_MAX)
            opts.cpu = (engine->cfg.cpu_first + i) % MAX(engine->plat->ops->cpu_nr(engine->plat), 1);
        engine->xs[i].engine = engine;
        engine->xs[i].tag = i;
        rc = xstream_create(engine->plat, &opts, &engine->xs[i].xs);
    }
    for (uint32_t i = 0; rc == 0 && i < engine->xs_nr; i++) {
        rc = xstream_start(engine->xs[i].xs);
        engine->xs[i].is_started = rc == 0;
    }
    return rc;
}

int
engine_start(struct plat *plat, const struct engine_cfg *cfg, char *err, struct engine **ret_engine)
{
    struct engine *engine = NULL;
    uint64_t r[2];
    int rc;

    rc = cfg_check(cfg, err);
    if (rc != 0)
        return rc;
    engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return CAIRN_ERR(NOMEM);
    engine->plat = plat;
    engine->cfg = *cfg;
    engine->xs_nr = 1 + cfg->tgt_nr;
    engine->state = ENGINE_STARTING;
    list_init(&engine->ctls);
    ult_eventual_init(&engine->opened);
    ult_eventual_init(&engine->stopped);
    ult_cond_init(&engine->idle);
    plat->ops->random(plat, r, sizeof(r));
    engine->client = cuuid_from_random(r[0], r[1]);
    rc = engine_dir_take(engine, err);
    if (rc != 0)
        goto out;
    rc = xstreams_create(engine);
    if (rc == 0 && cfg->ctl_uri[0] != '\0')
        rc = engine_ctl_net_open(engine, &engine->ctl_net);
    if (rc != 0) {
        engine_text(err, "%s: cannot start: %s", cfg->ctl_uri[0] != '\0' ? cfg->ctl_uri : cfg->dir,
            err_text(rc));
        goto out;
    }
    rc = xstream_post(engine_sys(engine)->xs, ULT_SERVICE, open_ult, engine);
    if (rc != 0)
        goto out;
    *ret_engine = engine;
    engine = NULL;
out:
    engine_destroy(engine);
    return rc;
}

enum engine_state
engine_state_get(struct engine *engine, char *err, int *ret_rc)
{
    enum engine_state state = (enum engine_state)engine_state_load(engine);
    int rc = state == ENGINE_STARTING ? 0 : engine->fail_rc;

    if (ret_rc != NULL)
        *ret_rc = rc;
    engine_text(err, "%s", rc != 0 ? engine->err : "");
    return state;
}

/* ---- stop ----------------------------------------------------------------------------------- */

/*
 * No request starts anything in them any more, and nothing of theirs is at work. They are still there: for control requests, and for
 * handlers, which may be anywhere between two calls to them.
 */
static void
services_stop(struct engine *engine)
{
    mgmt_stop(engine->mgmt); /* it calls the other */
    pool_svcs_stop(engine->pools);
}

/* When no handler is left. */
static void
services_free(struct engine *engine)
{
    mgmt_destroy(engine->mgmt);
    engine->mgmt = NULL;
    pool_svcs_destroy(engine->pools);
    engine->pools = NULL;
}

static void
stop_ult(void *arg)
{
    struct engine *engine = arg;

    if (engine->is_stop_asked)
        return;
    engine->is_stop_asked = true;
    CAIRN_IGNORE(
        ult_eventual_wait(&engine->opened)); /* half-way there is no way back: open, then close */
    if (engine->cfg.on_stop != NULL)
        engine->cfg.on_stop(engine->cfg.on_stop_arg);
    state_set(engine, ENGINE_STOPPING);
    services_stop(engine);
    while (engine->ctl_nr > 0) {
        ult_cond_wait(&engine->idle, NULL);
    }
    CAIRN_IGNORE(engine_each_tgt(engine, engine_xs_close)); /* closes never fail */
    engine_xs_close(engine_sys(engine));
    services_free(engine);
    engine_ctl_net_close(engine->ctl_net);
    engine->ctl_net = NULL;
    storage_set(engine, CAIRN__CTL__STORAGE_STATE__STORAGE_STOPPED);
    state_set(engine, ENGINE_STOPPED);
    ult_eventual_set(&engine->stopped, 0);
}

void
engine_stop_begin(struct engine *engine)
{
    /* Without memory for a post nothing more can be done: the owner may ask again. */
    CAIRN_IGNORE(xstream_post(engine_sys(engine)->xs, ULT_SERVICE, stop_ult, engine));
}

struct wait {
    struct engine *engine;
    int rc;
};

static void
wait_ready_task(void *arg)
{
    struct wait *w = arg;

    w->rc = ult_eventual_wait(&w->engine->opened);
}

static void
wait_stopped_task(void *arg)
{
    struct wait *w = arg;

    w->rc = ult_eventual_wait(&w->engine->stopped);
}

int
engine_wait_ready(struct engine *engine)
{
    struct wait w = {engine, 0};
    int rc;

    rc = xstream_call(engine_sys(engine)->xs, ULT_SERVICE, wait_ready_task, &w);
    return rc != 0 ? rc : w.rc;
}

void
engine_wait_stopped(struct engine *engine)
{
    struct wait w = {engine, 0};

    CAIRN_IGNORE(xstream_call(engine_sys(engine)->xs, ULT_SERVICE, wait_stopped_task, &w));
}

void
engine_destroy(struct engine *engine)
{
    if (engine == NULL)
        return;
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        if (engine->xs[i].is_started)
            xstream_stop(engine->xs[i].xs);
    }
    engine_ctl_net_abandon(engine->ctl_net); /* of a start that failed */
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        if (engine->xs[i].xs != NULL)
            xstream_destroy(engine->xs[i].xs);
    }
    engine_devs_release(engine);
    if (engine->lock != NULL)
        engine->plat->ops->dir_unlock(engine->lock);
    free(engine);
}

void
engine_stop(struct engine *engine)
{
    if (engine == NULL)
        return;
    engine_stop_begin(engine);
    engine_wait_stopped(engine);
    engine_destroy(engine);
}

void
engine_abandon(struct engine *engine)
{
    if (engine == NULL)
        return;
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        xstream_abandon(engine->xs[i].xs);
    }
    engine_ctl_abandon(engine);
    engine_ctl_net_abandon(engine->ctl_net);
    mgmt_abandon(engine->mgmt);
    pool_svcs_abandon(engine->pools);
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        engine_xs_abandon(&engine->xs[i]);
    }
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        xstream_destroy(engine->xs[i].xs);
    }
    engine_devs_abandon(engine);
    free(engine);
}

const char *
engine_uri(struct engine *engine, uint32_t tag)
{
    return tag < engine->xs_nr ? engine->xs[tag].uri : "";
}

uint64_t
engine_incarnation(const struct engine *engine)
{
    return engine->incarnation;
}

struct uuid
engine_system_uuid(const struct engine *engine)
{
    return engine->system;
}

uint32_t
engine_tgt_nr(const struct engine *engine)
{
    return engine->cfg.tgt_nr;
}

struct resign {
    struct engine *engine;
    struct uuid pool;
    int rc;
};

static void
resign_task(void *arg)
{
    struct resign *r = arg;
    struct engine *engine = r->engine;
    struct rsvc *rsvc = NULL;

    if (engine_state_load(engine) == ENGINE_READY && engine_svc_fault(engine) == 0) {
        rsvc = cuuid_is_nil(&r->pool) ? mgmt_rsvc(engine->mgmt)
                                      : pool_svc_rsvc(engine->pools, r->pool);
    }
    r->rc = rsvc == NULL ? CAIRN_ERR(NOTREPLICA) : 0;
    if (rsvc != NULL)
        rsvc_resign(rsvc);
}

int
engine_resign(struct engine *engine, struct uuid pool)
{
    struct resign r = {engine, pool, 0};
    int rc;

    rc = xstream_call(engine_sys(engine)->xs, ULT_SERVICE, resign_task, &r);
    return rc != 0 ? rc : r.rc;
}
