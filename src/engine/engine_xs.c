/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What happens on one xstream of an engine: its store, its target, its RPC context. Tested by
 * test/engine_life_test.c and test/server.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hlc.h"
#include "base/log.h"
#include "engine_priv.h"
#include "proto/ctl/ctl.pb-c.h"

/* A restart soon after a start waits so long at most for the wall clock (ENG-5). */
#define CLOCK_WAIT_NS UINT64_C(10000000000)

/* ---- stores --------------------------------------------------------------------------------- */

static uint64_t
or_default(uint64_t v, uint64_t def)
{
    return v != 0 ? v : def;
}

static void
store_cfg(struct engine_xs *xs, struct bio_cfg *cfg)
{
    const struct engine_cfg *e = &xs->engine->cfg;

    memset(cfg, 0, sizeof(*cfg));
    cfg->system = xs->engine->system;
    cfg->rank = e->rank;
    cfg->pending = &xs->bio; /* for engine_xs_abandon() */
    cfg->ckpt_pct = e->limits.ckpt_pct;
    cfg->why = xs->why;
    cfg->is_pmem = e->is_pmem != 0;
    cfg->device = cuuid_derive(&cfg->system, (uint64_t)e->rank << 16 | xs->tag);
    if (xs->tag == RPC_TAG_SYSTEM) {
        (void)snprintf(cfg->dir, sizeof(cfg->dir), "%s/sys", e->dir);
        cfg->tgt_idx = ENGINE_SYS_IDX;
        cfg->wal_bytes = e->sys_wal_bytes;
        cfg->meta_bytes = e->sys_meta_bytes;
        cfg->data_bytes = e->sys_data_bytes;
        engine_devs_place(xs->engine, cfg);
        cfg->wal_bytes = or_default(cfg->wal_bytes, ENGINE_SYS_WAL_BYTES);
        cfg->meta_bytes = or_default(
            cfg->meta_bytes, cfg->is_pmem ? ENGINE_SYS_PMEM_META_BYTES : ENGINE_SYS_META_BYTES);
        cfg->data_bytes = or_default(cfg->data_bytes, ENGINE_SYS_DATA_BYTES);
        return;
    }
    (void)snprintf(cfg->dir, sizeof(cfg->dir), "%s/tgt%u", e->dir, xs->tag - 1);
    cfg->tgt_idx = xs->tag - 1;
    cfg->wal_bytes = e->wal_bytes;
    cfg->meta_bytes = e->meta_bytes;
    cfg->data_bytes = e->data_bytes;
    cfg->mem_bytes = e->mem_bytes;
    cfg->mem_is_default = e->mem_bytes == 0;
    if (e->mem_bytes == 0 && xs->engine->plat->ops->mem_bytes != NULL) {
        cfg->mem_bytes = MAX(xs->engine->plat->ops->mem_bytes(xs->engine->plat) / 4 / e->tgt_nr,
            (uint64_t)ENGINE_MEM_BYTES_MIN);
    }
    engine_devs_place(xs->engine, cfg);
}

static void
store_text(struct engine_xs *xs, const char *dir, int rc)
{
    const char *remedy = "see the log of the engine";

    if (rc == -DER_MISMATCH) {
        remedy = "it belongs to another system, rank or target: put the right directory there";
    } else if (rc == -DER_DF_INCOMPT) {
        remedy = "it was written by another version: use the software that wrote it";
    } else if (rc == -DER_NONEXIST) {
        remedy = "put it back, then start again";
    } else if (rc == -DER_CSUM || rc == -DER_DF_INVAL) {
        remedy = "restore it from a copy, then start again";
    } else if (rc == -DER_NOSPACE) {
        remedy = "free space there, or configure smaller sizes";
    } else if (rc == -DER_NVME_IO)
        remedy = "check the device and its cables, then start again";
    engine_text(xs->err, "store %s: %s%s%s: %s", dir, xs->why, xs->why[0] != '\0' ? ": " : "",
        err_text(rc), remedy);
}

static int
store_open(struct engine_xs *xs)
{
    struct bio_cfg cfg;
    bool is_formatted = false;
    int rc;

    rc = engine_devs_fault(xs->engine, xs->tag, xs->why);
    if (rc != 0)
        return rc;
    store_cfg(xs, &cfg);
    rc = bio_formatted(xs->xs, &cfg, &is_formatted);
    if (rc != 0 || is_formatted) {
        ;
    } else if (engine_dir_is_formatted(xs->engine)) {
        (void)snprintf(xs->why, sizeof(xs->why), "its mark 'target' is not there any more");
        rc = CAIRN_ERR(DF_INVAL);
    } else {
        xs->is_new = true;
        __atomic_store_n(
            &xs->engine->storage, CAIRN__CTL__STORAGE_STATE__STORAGE_FORMATTING, __ATOMIC_RELAXED);
        rc = xs->engine->plat->ops->dir_create(xs->engine->plat, cfg.dir);
        if (rc == 0)
            rc = bio_format(xs->xs, &cfg);
    }
    if (rc == 0)
        rc = bio_open(xs->xs, &cfg, &xs->bio);
    if (rc == 0)
        rc = vos_tgt_open(xs->bio, &xs->vos);
    return rc;
}

static uint32_t
sys_rank(void *arg)
{
    const struct engine_xs *xs = arg;

    return xs->engine->cfg.svc_rank;
}

static int
target_create(struct engine_xs *xs)
{
    struct pool_tgt_opts popts = {.rpc = NULL, .sys_rank = sys_rank, .arg = xs};
    const struct engine_limits *limits = &xs->engine->cfg.limits;
    struct tgt_opts topts = {.idx = xs->tag - 1,
        .bio = xs->bio,
        .vos = xs->vos,
        .agg_gap_ns = limits->agg_gap_ns,
        .hdls_nr_max = limits->tgt_hdls_nr,
        .conts_nr_max = limits->tgt_conts_nr};
    int rc;

    rc = pool_tgt_create(&popts, &xs->pool_tgt);
    if (rc != 0)
        return rc;
    topts.hdl_lookup = pool_tgt_hdl_lookup;
    topts.stable = pool_tgt_stable;
    topts.arg = xs->pool_tgt;
    return tgt_create(&topts, &xs->tgt);
}

/*
 * Wait until the epochs of the store, which start at its bound (ST-6), are near enough to the wall
 * clock (ENG-5).
 */
static int
clock_settle(struct engine_xs *xs)
{
    for (;;) {
        uint64_t wall_ns = plat_wall_ns(xs->engine->plat), epoch, lead_ns;
        int rc;

        rc = vos_epoch_next(xs->vos, &epoch);
        if (rc != 0)
            return rc;
        lead_ns = hlc_to_unix_ns(epoch) - MIN(hlc_to_unix_ns(epoch), wall_ns);
        if (lead_ns <= HLC_EPSILON_NS / 2)
            return 0;
        if (lead_ns > CLOCK_WAIT_NS) {
            engine_text(xs->err,
                "the clock of this host is %llu s behind what its storage has seen: set it right",
                (unsigned long long)(lead_ns / 1000000000));
            return CAIRN_ERR(HLC_SYNC);
        }
        ult_sleep(lead_ns - HLC_EPSILON_NS / 2);
    }
}

/* Of the store itself, and not of this start, of the whole host, or of a first format that could not be made. */
static bool
is_of_store(const struct engine_xs *xs, int rc)
{
    return !xs->is_new && rc != -DER_NOMEM && rc != -DER_HLC_SYNC && rc != -DER_SHUTDOWN;
}

/*
 * What requests get for it: a code that nobody takes for an answer about what they asked for. NONEXIST,
 * say, would tell that a value is not there.
 */
static int
fault_of(int rc)
{
    if (pool_is_fault(rc))
        return rc;
    return rc == -DER_MISMATCH || rc == -DER_NONEXIST ? CAIRN_ERR(DF_INVAL) : CAIRN_ERR(NVME_IO);
}

/* Close what is open of the store; its endpoint, if it has one, goes on answering. */
static void
store_close(struct engine_xs *xs)
{
    engine_scrub_stop(xs);
    tgt_destroy(xs->tgt);
    xs->tgt = NULL;
    pool_tgt_destroy(xs->pool_tgt);
    xs->pool_tgt = NULL;
    if (xs->vos != NULL)
        vos_tgt_close(xs->vos);
    xs->vos = NULL;
    if (xs->bio != NULL)
        bio_close(xs->bio);
    xs->bio = NULL;
}

void
engine_xs_open(void *arg)
{
    struct engine_xs *xs = arg;
    struct bio_cfg cfg;
    int rc;

    rc = store_open(xs);
    if (rc == 0)
        rc = clock_settle(xs);
    if (rc == 0 && xs->tag != RPC_TAG_SYSTEM)
        rc = target_create(xs);
    if (rc == 0 && xs->tag == RPC_TAG_SYSTEM)
        rc = engine_scrub_start(xs);
    if (rc != 0) {
        store_cfg(xs, &cfg);
        if (xs->err[0] == '\0')
            store_text(xs, cfg.dir, rc);
    }
    if (rc != 0 && is_of_store(xs, rc)) {
        store_close(xs);
        xs->fault_rc = fault_of(rc);
        rc = 0;
    }
    xs->task_rc = rc;
}

int
engine_xs_fault(const struct engine_xs *xs)
{
    if (xs->fault_rc != 0)
        return xs->fault_rc;
    return xs->bio == NULL ? 0 : bio_status(xs->bio);
}

/* ---- rpc ------------------------------------------------------------------------------------ */

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    const struct engine_xs *xs = arg;
    const struct engine_group_rank *r = engine_group_find(xs->group, ep.rank);

    if (r == NULL || ep.tag >= r->uri_nr)
        return CAIRN_ERR(OOG);
    memcpy(ret_addr->uri, xs->group->uris[r->uri_first + ep.tag], NET_URI_MAX);
    ret_addr->incarnation = r->incarnation;
    return 0;
}

static uint64_t
clock_get(void *arg)
{
    struct engine_xs *xs = arg;
    uint64_t epoch;

    if (xs->vos == NULL)
        return 0;
    return vos_epoch_next(xs->vos, &epoch) == 0 ? epoch : 0;
}

static int
clock_recv(void *arg, uint64_t hlc)
{
    struct engine_xs *xs = arg;

    return xs->vos == NULL ? 0 : vos_epoch_recv(xs->vos, hlc); /* nothing is dated there */
}

/* Where a tag listens, by the rules of engine_cfg.uri_base. Errors: INVAL. */
static int
uri_make(const struct engine_cfg *cfg, uint32_t tag, char *uri)
{
    const char *base = cfg->uri_base, *host, *colon;
    unsigned long port;
    char *end;

    if (strncmp(base, "unix://", 7) == 0) {
        (void)snprintf(uri, NET_URI_MAX, "%s/%u.%u", base, cfg->rank, tag);
        return 0;
    }
    if (strncmp(base, "inproc://", 9) == 0) {
        (void)snprintf(uri, NET_URI_MAX, "%s.%u.%u", base, cfg->rank, tag);
        return 0;
    }
    if (strncmp(base, "sim://", 6) == 0) {
        (void)snprintf(uri, NET_URI_MAX, "%s/e%u.%u", base, cfg->rank, tag);
        return 0;
    }
    host = strstr(base, "://");
    if (host == NULL || (strncmp(base, "tcp://", 6) != 0 && strncmp(base, "ofi+", 4) != 0))
        return CAIRN_ERR(INVAL);
    colon = strrchr(base, ':');
    if (colon == NULL || colon <= host)
        return CAIRN_ERR(INVAL);
    port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port + tag > 65535)
        return CAIRN_ERR(INVAL);
    (void)snprintf(
        uri, NET_URI_MAX, "%.*s:%lu", (int)(colon - base), base, port == 0 ? 0 : port + tag);
    return 0;
}

static void
listen_text(struct engine_xs *xs, const char *uri, int rc)
{
    if (rc == -DER_BUSY) {
        engine_text(xs->err,
            "address %s is in use: stop the process that listens there, or choose another", uri);
    } else {
        engine_text(xs->err, "cannot listen on %s: %s: check the address",
            uri[0] == '\0' ? xs->engine->cfg.uri_base : uri, err_text(rc));
    }
}

void
engine_xs_listen(void *arg)
{
    struct engine_xs *xs = arg;
    struct engine *engine = xs->engine;
    char uri[NET_URI_MAX] = "";
    struct rpc_ctx_opts opts = {.xs = xs->xs,
        .listen_uri = uri,
        .system = engine->system,
        .rank = engine->cfg.rank,
        .incarnation = engine->incarnation,
        .client = engine->client,
        .handler_arg = xs,
        .resolve = resolve,
        .hlc_get = clock_get,
        .hlc_recv = clock_recv,
        .arg = xs,
        .backlog_nr_max = engine->cfg.limits.rpc_backlog_nr};
    int rc;

    opts.handlers = xs->tag == RPC_TAG_SYSTEM ? engine_rpc_sys(&opts.handler_nr)
                                              : engine_rpc_tgt(&opts.handler_nr);
    rc = uri_make(&engine->cfg, xs->tag, uri);
    if (rc == 0)
        rc = rpc_ctx_create(&opts, &xs->rpc);
    if (rc != 0) {
        listen_text(xs, uri, rc);
    } else {
        (void)snprintf(xs->uri, sizeof(xs->uri), "%s", rpc_ctx_uri(xs->rpc));
        if (xs->pool_tgt != NULL)
            pool_tgt_rpc_set(xs->pool_tgt, xs->rpc);
    }
    xs->task_rc = rc;
}

/* ---- end ------------------------------------------------------------------------------------ */

void
engine_xs_close(void *arg)
{
    struct engine_xs *xs = arg;

    if (xs->tgt != NULL)
        tgt_drain(xs->tgt); /* look-ups use the rpc context */
    rpc_ctx_destroy(xs->rpc);
    xs->rpc = NULL;
    store_close(xs);
    free(xs->group);
    xs->group = NULL;
    xs->task_rc = 0;
}

void
engine_xs_abandon(struct engine_xs *xs)
{
    if (xs->rpc != NULL)
        rpc_ctx_abandon(xs->rpc);
    tgt_abandon(xs->tgt);
    pool_tgt_destroy(xs->pool_tgt);
    if (xs->vos != NULL)
        vos_tgt_abandon(xs->vos);
    if (xs->bio != NULL)
        bio_abandon(xs->bio);
    free(xs->group);
}

/* ---- status --------------------------------------------------------------------------------- */

void
engine_xs_status(void *arg)
{
    struct engine_xs *xs = arg;
    struct uuid after = {{0}}, batch[32];
    uint32_t nr = 0;

    xs->pool_nr = 0;
    memset(&xs->space, 0, sizeof(xs->space));
    xs->meta_left = xs->data_left = 0;
    xs->task_rc = engine_xs_fault(xs);
    if (xs->task_rc == 0 && xs->bio == NULL)
        xs->task_rc = CAIRN_ERR(UNINIT);
    if (xs->task_rc != 0) {
        struct bio_cfg cfg;

        store_cfg(xs, &cfg);
        if (xs->fault_rc == 0 && xs->err[0] == '\0') /* it stopped later */
            store_text(xs, cfg.dir, xs->task_rc);
        return;
    }
    bio_space_get(xs->bio, &xs->space);
    vos_quota_left(xs->vos, &xs->meta_left, &xs->data_left);
    do {
        xs->task_rc = vos_pool_list(xs->vos, after, batch, ARRAY_SIZE(batch), &nr);
        if (xs->task_rc != 0 || nr == 0)
            break;
        xs->pool_nr += nr;
        after = batch[nr - 1];
    } while (nr == ARRAY_SIZE(batch));
}

void
engine_xs_health(void *arg)
{
    struct engine_xs *xs = arg;
    struct bio_cfg cfg;

    engine_xs_status(xs);
    memset(&xs->health, 0, sizeof(xs->health));
    memset(&xs->tgt_stats, 0, sizeof(xs->tgt_stats));
    memset(&xs->umem_stats, 0, sizeof(xs->umem_stats));
    if (xs->bio != NULL) {
        bio_health_get(xs->bio, &xs->health);
        bio_stats_get(xs->bio, &xs->bio_stats);
        umem_stats_get(bio_umem(xs->bio), &xs->umem_stats);
    }
    if (xs->tgt != NULL)
        tgt_stats_get(xs->tgt, &xs->tgt_stats);
    if (xs->tag == RPC_TAG_SYSTEM)
        xs->tgt_stats = xs->scrub.stats;
    store_cfg(xs, &cfg);
    for (uint32_t role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
        const char *path = cfg.places[role].path;

        (void)snprintf(xs->paths[role], sizeof(xs->paths[role]), "%s", path[0] != 0 ? path : cfg.dir);
    }
}
