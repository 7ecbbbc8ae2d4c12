/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Engines as simulated processes, and the keeper's side of them: starting, telling about each other, looking inside (SYS-2). */
#include "sim/simt_sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "proto/ctl/ctl.pb-c.h"

#define LOOK_NS (SIMT_MS / 2) /* how often the keeper looks whether something is done */
#define KEEP_NS (10 * SIMT_MS)
#define CTL_NS (30 * SIMT_S)
#define READY_NS (120 * SIMT_S)
#define STOP_NS (120 * SIMT_S)

enum { ATTACH_BYTES = 8192, FAILS_SHOWN_MAX = 8, MENDED_MAX = 10 };

uint64_t
simt_now(const struct simt *t)
{
    return sim_now_ns(t->sim);
}

void
simt_fail(struct simt *t, const char *fmt, ...)
{
    struct simt_report *r = t->report;
    size_t len = strlen(r->fail);
    va_list ap;

    r->is_failed = true;
    if (t->fail_nr++ >= FAILS_SHOWN_MAX || len + 32 > sizeof(r->fail))
        return;
    len += (size_t)snprintf(
        r->fail + len, sizeof(r->fail) - len, "%.6f s: ", (double)simt_now(t) / 1e9);
    va_start(ap, fmt);
    if (len < sizeof(r->fail))
        (void)vsnprintf(r->fail + len, sizeof(r->fail) - len, fmt, ap);
    va_end(ap);
    len = strlen(r->fail);
    if (t->opts.is_verbose)
        fprintf(stderr, "FAIL %s\n", strrchr(r->fail, '\n') != NULL ? r->fail : r->fail);
    if (len + 1 < sizeof(r->fail))
        snprintf(r->fail + len, sizeof(r->fail) - len, "\n");
}

void
simt_say(struct simt *t, const char *fmt, ...)
{
    va_list ap;

    if (!t->opts.is_verbose)
        return;
    fprintf(stderr, "%12.6f ", (double)simt_now(t) / 1e9);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
}

/* ---- looking into an engine ------------------------------------------------------------------------------------------- */

/* Something posted to an engine. It outlives everybody: freed when the run ends. */
struct ask {
    struct list_head link;
    bool is_done;
    int rc;
    void *rep;
    size_t rep_len;
    int (*fn)(struct engine_xs *xs, void *arg);
    void *arg;
    struct engine_xs *xs;
};

static struct ask *
ask_new(struct simt *t)
{
    struct ask *ask = calloc(1, sizeof(*ask));

    CAIRN_ASSERT(ask != NULL);
    list_add_tail(&ask->link, &t->asks);
    return ask;
}

void
simt_asks_free(struct simt *t)
{
    struct ask *ask, *next;

    LIST_FOREACH_SAFE(ask, next, &t->asks, struct ask, link) {
        list_del(&ask->link);
        free(ask->rep);
        free(ask);
    }
}

/* Until it is done, the engine died, or too long. */
static int
ask_wait(struct simt_engine *e, struct ask *ask, uint64_t limit_ns)
{
    uint64_t end_ns = simt_now(e->t) + limit_ns;
    uint32_t life = e->life;

    while (!ask->is_done) {
        if (e->engine == NULL || e->life != life)
            return -DER_UNREACH;
        if (simt_now(e->t) >= end_ns)
            return -DER_TIMEDOUT;
        ult_sleep(LOOK_NS);
    }
    return 0;
}

static void
ask_run(void *arg)
{
    struct ask *ask = arg;

    ask->rc = ask->fn(ask->xs, ask->arg);
    ask->is_done = true;
}

int
simt_engine_run(struct simt_engine *e, uint32_t tag, int (*fn)(struct engine_xs *xs, void *arg),
    void *arg, uint64_t limit_ns, int *ret_rc)
{
    struct ask *ask = ask_new(e->t);
    int rc;

    ask->fn = fn;
    ask->arg = arg;
    ask->xs = &e->engine->xs[tag];
    rc = xstream_post(ask->xs->xs, ULT_SERVICE, ask_run, ask);
    if (rc == 0)
        rc = ask_wait(e, ask, limit_ns);
    if (rc == 0)
        *ret_rc = ask->rc;
    return rc;
}

/* ---- control messages ---------------------------------------------------------------------------------------------------- */

static void
ctl_done(void *arg, int rc, const void *rep, size_t len)
{
    struct ask *ask = arg;

    ask->rc = rc;
    if (rc == 0) {
        ask->rep = malloc(len + 1);
        CAIRN_ASSERT(ask->rep != NULL);
        memcpy(ask->rep, rep, len);
        ask->rep_len = len;
    }
    ask->is_done = true;
}

int
simt_ctl(
    struct simt_engine *e, int method, const ProtobufCMessage *body, ProtobufCBinaryData *ret_body)
{
    Cairn__Ctl__Envelope req = CAIRN__CTL__ENVELOPE__INIT, *rep;
    struct ask *ask = ask_new(e->t);
    size_t len = protobuf_c_message_get_packed_size(body);
    uint8_t *buf = malloc(len + 1), *packed;
    int rc;

    req.body = (ProtobufCBinaryData){protobuf_c_message_pack(body, buf), buf};
    req.version = 1;
    req.id = ++e->t->seq;
    req.method = (Cairn__Ctl__Method)method;
    packed = malloc(cairn__ctl__envelope__get_packed_size(&req));
    len = cairn__ctl__envelope__pack(&req, packed);
    rc = engine_ctl_submit(e->engine, packed, len, ctl_done, ask);
    free(packed);
    free(buf);
    if (rc == 0)
        rc = ask_wait(e, ask, CTL_NS);
    if (rc == 0)
        rc = ask->rc;
    if (rc != 0)
        return rc;
    rep = cairn__ctl__envelope__unpack(NULL, ask->rep_len, ask->rep);
    if (rep == NULL)
        return -DER_PROTO;
    rc = rep->rc;
    if (rc != 0)
        simt_say(e->t, "control %d to rank %u: %s", method, e->rank, rep->error);
    if (rc == 0 && ret_body != NULL) {
        ret_body->data = malloc(rep->body.len + 1);
        CAIRN_ASSERT(ret_body->data != NULL);
        memcpy(ret_body->data, rep->body.data, rep->body.len);
        ret_body->len = rep->body.len;
    }
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    return rc;
}

struct group_msg {
    Cairn__Ctl__GroupUpdateReq req;
    Cairn__Ctl__Rank ranks[SIMT_ENGINES], *ptrs[SIMT_ENGINES];
    char *uris[SIMT_ENGINES][SIMT_TAGS];
    struct uuid system;
};

static void
group_fill(struct simt *t, struct group_msg *m)
{
    cairn__ctl__group_update_req__init(&m->req);
    m->system = SIMT_SYSTEM_UUID;
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        struct simt_engine *e = &t->engines[i];
        Cairn__Ctl__Rank *rank = &m->ranks[i];

        cairn__ctl__rank__init(rank);
        m->ptrs[i] = rank;
        rank->rank = rank->node = i;
        rank->targets = SIMT_TGTS;
        rank->state = CAIRN__CTL__RANK_STATE__RANK_UNRESPONSIVE;
        if (e->incarnation == 0)
            continue;
        if (e->engine != NULL && e->is_ready)
            rank->state = CAIRN__CTL__RANK_STATE__RANK_JOINED;
        rank->incarnation = e->incarnation;
        for (uint32_t tag = 0; tag < SIMT_TAGS; tag++) {
            m->uris[i][tag] = e->uris[tag];
        }
        rank->uris = m->uris[i];
        rank->n_uris = SIMT_TAGS;
    }
    m->req.version = ++t->group_ver;
    m->req.system_uuid = (ProtobufCBinaryData){sizeof(m->system.b), m->system.b};
    m->req.ranks = m->ptrs;
    m->req.n_ranks = SIMT_ENGINES;
}

/* What daos_server writes for clients. */
static size_t
attach_text(struct simt *t, char *buf)
{
    struct uuid system = SIMT_SYSTEM_UUID;
    char uuid[CUUID_TEXT_BYTES];
    size_t len;
    bool first = true;

    len = (size_t)snprintf(buf, ATTACH_BYTES,
        "{\"version\": 1, \"system\": \"%s\", \"uuid\": \"%s\", \"leader\": 0, \"ranks\": [",
        SIMT_SYSTEM, cuuid_format(&system, uuid));
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        struct simt_engine *e = &t->engines[i];

        if (e->incarnation == 0)
            continue;
        len += (size_t)snprintf(buf + len, ATTACH_BYTES - len,
            "%s{\"rank\": %u, \"incarnation\": %llu, \"uris\": [\"%s\", \"%s\", \"%s\"]}",
            first ? "" : ", ", i, (unsigned long long)e->incarnation, e->uris[0], e->uris[1],
            e->uris[2]);
        first = false;
    }
    len += (size_t)snprintf(buf + len, ATTACH_BYTES - len, "]}");
    return len;
}

static void
attach_write(struct simt *t, struct plat *plat)
{
    char *text = malloc(ATTACH_BYTES);
    size_t len = attach_text(t, text);
    int rc = plat->ops->dir_create(plat, "/run/cairn/" SIMT_SYSTEM);

    if (rc == 0)
        rc = plat->ops->file_write(plat, "/run/cairn/" SIMT_SYSTEM "/attach.json", text, len);
    if (rc != 0)
        simt_say(t, "attach file: %s", err_name(rc));
    free(text);
}

/* Tell everybody who is where. What does not arrive is repeated by the next round of a keeper. */
static void
group_push(struct simt *t)
{
    bool is_told = true;

    ult_mutex_lock(&t->group_lock);
    t->group_dirty = false;
    for (uint32_t i = 0; i < SIMT_PROCS; i++) {
        if (t->procs[i].plat != NULL)
            attach_write(t, t->procs[i].plat);
    }
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        struct simt_engine *e = &t->engines[i];
        struct group_msg *m;
        int rc;

        if (e->engine == NULL || !e->is_ready)
            continue;
        m = calloc(1, sizeof(*m));
        group_fill(t, m);
        rc = simt_ctl(e, CAIRN__CTL__METHOD__GROUP_UPDATE, &m->req.base, NULL);
        free(m);
        is_told = is_told && rc == 0;
    }
    if (!is_told)
        t->group_dirty = true;
    ult_mutex_unlock(&t->group_lock);
}

int
simt_pool_create(struct simt *t)
{
    Cairn__Ctl__PoolCreateReq req = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property label = CAIRN__CTL__PROPERTY__INIT, scrub = label, freq = label,
                         thresh = label, *props[] = {&label, &scrub, &freq, &thresh};
    uint64_t tiers[2] = {t->cfg.meta_bytes, t->cfg.data_bytes};
    char name[] = SIMT_POOL, user[] = "root@", none[] = "";
    struct uuid uuid = cuuid_from_random(rng_u64(&t->rng), rng_u64(&t->rng));

    label.number = DAOS_PROP_PO_LABEL;
    label.str = name;
    req.uuid = (ProtobufCBinaryData){sizeof(uuid.b), uuid.b};
    req.tier_bytes = tiers;
    req.n_tier_bytes = 2;
    scrub.number = DAOS_PROP_PO_SCRUB_MODE;
    scrub.num = DAOS_SCRUB_MODE_TIMED;
    freq.number = DAOS_PROP_PO_SCRUB_FREQ;
    freq.num = 2;
    thresh.number = DAOS_PROP_PO_SCRUB_THRESH;
    thresh.num = t->cfg.scrub_thresh;
    req.properties = props;
    req.n_properties = t->cfg.scrub ? ARRAY_SIZE(props) : 1;
    req.user = user;
    req.group = user;
    (void)none;
    return simt_ctl(&t->engines[0], CAIRN__CTL__METHOD__POOL_CREATE, &req.base, NULL);
}

/* ---- life of an engine ------------------------------------------------------------------------------------------------------ */

void
simt_engines_init(struct simt *t)
{
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        struct simt_engine *e = &t->engines[i];

        e->t = t;
        e->rank = i;
        snprintf(e->host, sizeof(e->host), "h%u", i);
    }
}

/* Killed, or its host lost power. */
static void
engine_reap(void *arg)
{
    struct simt_engine *e = arg;

    engine_abandon(e->engine);
    e->engine = NULL;
    e->plat = NULL;
    e->is_ready = false;
}

int
simt_engine_start(struct simt_engine *e)
{
    struct engine_cfg cfg;
    char err[ENGINE_TEXT_BYTES] = "";
    int rc;

    snprintf(e->name, sizeof(e->name), "e%u", e->rank); /* a successor inherits the addresses (MS-1) */
    e->life++;
    rc = sim_node_start(e->t->sim, e->host, e->name, &e->plat);
    if (rc != 0)
        return rc;
    if (e->t->mortals != NULL)
        sim_node_realm_set(e->plat, SIMT_REALM);
    sim_node_on_kill(e->plat, engine_reap, e);
    engine_cfg_init(&cfg);
    snprintf(cfg.system, sizeof(cfg.system), SIMT_SYSTEM);
    cfg.system_uuid = SIMT_SYSTEM_UUID;
    snprintf(cfg.dir, sizeof(cfg.dir), "/store");
    snprintf(cfg.uri_base, sizeof(cfg.uri_base), "sim://%s", e->name);
    cfg.rank = e->rank;
    cfg.tgt_nr = SIMT_TGTS;
    cfg.wal_bytes = cfg.sys_wal_bytes = UINT64_C(16) << 20;
    cfg.meta_bytes = UINT64_C(96) << 20;
    cfg.data_bytes = UINT64_C(256) << 20;
    cfg.mem_bytes = e->t->cfg.mem_bytes;
    cfg.sys_meta_bytes = UINT64_C(128) << 20;
    cfg.sys_data_bytes = UINT64_C(64) << 20;
    cfg.limits = e->t->cfg.limits;
    rc = engine_start(e->plat, &cfg, err, &e->engine);
    if (rc != 0)
        simt_fail(e->t, "rank %u does not start: %s: %s", e->rank, err_name(rc), err);
    return rc;
}

void
simt_engine_kill(struct simt_engine *e, uint64_t down_ns)
{
    e->down_ns = down_ns;
    if (e->plat != NULL)
        sim_node_kill(e->t->sim, e->plat);
}

static int
epoch_next(struct engine_xs *xs, void *arg)
{
    return xs->vos == NULL ? -DER_NVME_IO : vos_epoch_next(xs->vos, arg);
}

/* No epoch is handed out twice, also across restarts (ST-6). */
static void
epochs_check(struct simt_engine *e)
{
    for (uint32_t tag = 0; tag < SIMT_TAGS; tag++) {
        uint64_t *epoch = calloc(1, sizeof(*epoch)); /* the engine may write it after we gave up */
        struct ask *ask = ask_new(e->t);
        int rc, fn_rc = 0;

        ask->rep = epoch;
        ask->is_done = true;
        if (e->engine == NULL || !e->is_ready)
            return;
        rc = simt_engine_run(e, tag, epoch_next, epoch, 20 * SIMT_S, &fn_rc);
        if (rc != 0 || fn_rc != 0)
            continue;
        if (*epoch <= e->epoch_max[tag]) {
            simt_fail(e->t, "rank %u tag %u: epoch %#llx is not above %#llx", e->rank, tag,
                (unsigned long long)*epoch, (unsigned long long)e->epoch_max[tag]);
        }
        e->epoch_max[tag] = MAX(e->epoch_max[tag], *epoch);
    }
}

static void
engine_seen(struct simt_engine *e)
{
    e->is_ready = true;
    e->ready_ns = simt_now(e->t);
    e->dead_incarnation = e->incarnation;
    e->incarnation = engine_incarnation(e->engine);
    for (uint32_t tag = 0; tag < SIMT_TAGS; tag++) {
        snprintf(e->uris[tag], sizeof(e->uris[tag]), "%s", engine_uri(e->engine, tag));
    }
}

/* Start, and wait until it serves. False: try again later. */
static bool
engine_bring_up(struct simt_engine *e)
{
    struct simt *t = e->t;
    uint64_t end_ns = simt_now(t) + READY_NS;
    char err[ENGINE_TEXT_BYTES];
    enum engine_state state;
    uint32_t life;
    int rc;

    if (simt_engine_start(e) != 0)
        return false;
    life = e->life;
    while (e->engine != NULL && e->life == life) {
        state = engine_state_get(e->engine, err, &rc);
        if (state == ENGINE_READY) {
            engine_seen(e);
            t->report->restarts_nr++;
            simt_say(t, "rank %u serves, life %u", e->rank, e->life);
            return true;
        }
        if (state == ENGINE_FAILED) {
            simt_fail(t, "rank %u failed to open: %s: %s", e->rank, err_name(rc), err);
            simt_engine_kill(e, SIMT_S);
            return false;
        }
        if (simt_now(t) > end_ns) {
            simt_fail(
                t, "rank %u is still opening after %u s", e->rank, (uint32_t)(READY_NS / SIMT_S));
            simt_engine_kill(e, SIMT_S);
            return false;
        }
        ult_sleep(LOOK_NS);
    }
    return false; /* killed again */
}

/* The address that its predecessor had, and that process's incarnation (MS-1). */
static int
resolve_dead(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    const struct simt_engine *e = arg;

    snprintf(ret_addr->uri, sizeof(ret_addr->uri), "%s", e->uris[ep.tag]);
    ret_addr->incarnation = e->dead_incarnation;
    return 0;
}

/* A message for the process that died does not reach its successor, which inherited the address. */
static void
dead_check(struct simt_engine *e)
{
    struct simt *t = e->t;
    struct rpc_ctx_opts opts = {.xs = t->procs[SIMT_PROCS - 1].xs,
        .system = SIMT_SYSTEM_UUID,
        .rank = RPC_RANK_NONE,
        .incarnation = 1,
        .client = cuuid_from_random(rng_u64(&t->rng), rng_u64(&t->rng)),
        .resolve = resolve_dead,
        .arg = e};
    struct rpc_call_opts call = {.deadline_ns = ult_now_ns() + 2 * SIMT_S};
    struct rpc_call_info info = {.is_replied = false};
    struct proto_empty none = {0};
    struct rpc_ctx *ctx;

    if (e->dead_incarnation == 0 || e->engine == NULL || rpc_ctx_create(&opts, &ctx) != 0)
        return;
    CAIRN_IGNORE(rpc_call(ctx, (struct rpc_ep){e->rank, (uint32_t)rng_below(&t->rng, SIMT_TAGS)},
        PROTO_PING, &none, NULL, &call, &info)); /* refused, lost or cut: only an answer is wrong */
    if (info.is_replied)
        simt_fail(t, "rank %u answered a message for its dead predecessor", e->rank);
    rpc_ctx_destroy(ctx);
}

bool
simt_is_damage(struct simt *t, int rc)
{
    if (t->cfg.victim_tag == 0 || !pool_is_fault(rc))
        return false;
    t->report->refused_nr++;
    t->bad_reads_nr += rc == -DER_CSUM && !t->rough_on;
    return true;
}

/*
 * A target that stopped (ST-1), or could not be opened (ENG-6), comes back only with the process: it is started again when the disk may be
 * better then, some times, else its neighbours would never serve. Only the target with the bad disk may need it.
 */
static bool
engine_is_well(struct simt_engine *e)
{
    struct simt *t = e->t;

    for (uint32_t tag = 0; tag < SIMT_TAGS; tag++) {
        struct engine_xs *xs = &e->engine->xs[tag];
        int rc = engine_xs_fault(xs);

        if (rc == 0)
            continue;
        if (!simt_is_victim(t, e->rank, tag)) {
            simt_fail(
                t, "rank %u tag %u is out of service: %s: %s", e->rank, tag, err_name(rc), xs->err);
        }
        if (!t->cfg.faults[SIMT_ROT] && (!t->rough_on || e->mended_nr < MENDED_MAX))
            return false;
    }
    return true;
}

void
simt_engine_keeper(void *arg)
{
    struct simt_engine *e = arg;
    struct simt *t = e->t;

    t->keepers_nr++;
    while (!t->is_over) {
        if (t->keep_on && e->engine == NULL) {
            ult_sleep(e->down_ns + 1);
            e->down_ns = 0;
            if (engine_bring_up(e)) {
                group_push(t);
                epochs_check(e);
                dead_check(e);
            }
        } else if (e->engine != NULL && e->is_ready && !engine_is_well(e)) {
            simt_say(t, "rank %u: a target stopped", e->rank);
            e->mended_nr++;
            simt_engine_kill(e, SIMT_S);
        } else if (t->group_dirty && e->rank == 0) {
            group_push(t);
        }
        ult_sleep(KEEP_NS);
    }
    t->keepers_nr--;
}

void
simt_engines_wait(struct simt *t)
{
    uint64_t end_ns = simt_now(t) + 300 * SIMT_S;
    bool is_up;

    do {
        ult_sleep(KEEP_NS);
        is_up = !t->group_dirty;
        for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
            is_up = is_up && t->engines[i].engine != NULL && t->engines[i].is_ready &&
                engine_is_well(&t->engines[i]);
        }
        if (simt_now(t) > end_ns) {
            simt_fail(t, "the engines do not come back");
            return;
        }
    } while (!is_up);
    group_push(t);
}

void
simt_engines_stop(struct simt *t)
{
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        struct simt_engine *e = &t->engines[i];
        uint64_t end_ns = simt_now(t) + STOP_NS;
        struct plat *plat = e->plat;

        if (e->engine == NULL)
            continue;
        e->is_ready = false;
        engine_stop_begin(e->engine);
        while (e->engine != NULL && engine_state_get(e->engine, NULL, NULL) != ENGINE_STOPPED) {
            if (simt_now(t) > end_ns) {
                simt_fail(t, "rank %u does not stop", e->rank);
                break;
            }
            ult_sleep(LOOK_NS);
        }
        if (e->engine == NULL || engine_state_get(e->engine, NULL, NULL) != ENGINE_STOPPED)
            continue;
        engine_destroy(e->engine);
        e->engine = NULL;
        sim_node_kill(t->sim, plat);
    }
}

/* ---- the stores ------------------------------------------------------------------------------------------------------------ */

struct store_check {
    struct tgt_stats stats; /* of the target, with its scrubber at work */
    uint64_t bad_nr; /* chunks that a pass of its own found */
    uint32_t thresh;
    /* Of two walks over the metadata role with a checkpoint in between: images that were bad and are in memory, or not. */
    uint32_t walk, mended_nr[2], lost_nr[2];
    bool is_out, is_past; /* some shard is out of service, or should be */
};

static void
image_note(void *arg, const struct bio_img_bad *bad)
{
    struct store_check *c = arg;

    c->mended_nr[c->walk] += bad->is_mended;
    c->lost_nr[c->walk] += !bad->is_mended;
}

static int
store_images(struct engine_xs *xs, struct store_check *c)
{
    int rc = 0;

    for (c->walk = 0; rc == 0 && c->walk < 2; c->walk++) {
        uint64_t place = 0, bytes;

        while (rc == 0 && place < bio_scrub_places(xs->bio)) {
            rc = bio_scrub_step(xs->bio, &place, UINT64_MAX, 1 << 20, image_note, c, &bytes);
        }
        if (rc == 0 && c->walk == 0)
            rc = bio_checkpoint(xs->bio);
    }
    return rc;
}

/* What its scrubber knows of the shards, and what it made of that; it had the time. */
static int
store_outs(struct engine_xs *xs, struct store_check *c)
{
    struct uuid pools[8], none = {{0}};
    uint32_t nr = 0;
    int rc;

    ult_sleep(SIMT_S);
    rc = vos_pool_list(xs->vos, none, pools, ARRAY_SIZE(pools), &nr);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        bool is_out = vos_pool_is_out(xs->vos, pools[i]);

        c->is_out |= is_out;
        c->is_past |= !is_out && c->thresh != 0 && tgt_scrub_found(xs->tgt, pools[i]) >= c->thresh;
    }
    return rc;
}

/* A pass over each shard, to its end. */
static int
store_scrub(struct engine_xs *xs, uint64_t *ret_bad_nr)
{
    struct uuid pools[8], none = {{0}};
    struct vos_scrub *scrub;
    uint32_t nr = 0;
    int rc = vos_pool_list(xs->vos, none, pools, ARRAY_SIZE(pools), &nr);

    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        uint64_t passes_nr;

        rc = vos_scrub_create(xs->vos, pools[i], NULL, NULL, &scrub);
        if (rc != 0)
            break;
        /* The first may go on in the middle. */
        passes_nr = vos_scrub_stats(scrub)->passes_nr + 2;
        while (rc == 0 && vos_scrub_stats(scrub)->passes_nr < passes_nr) {
            rc = vos_scrub_step(scrub, 1 << 20);
            ult_yield();
        }
        *ret_bad_nr += vos_scrub_stats(scrub)->last.bad_nr;
        vos_scrub_free(scrub);
    }
    return rc;
}

static int
store_check(struct engine_xs *xs, void *arg)
{
    struct store_check *c = arg;
    int rc = engine_xs_fault(xs);

    if (rc == 0 && xs->tgt != NULL) {
        tgt_stats_get(xs->tgt, &c->stats);
        rc = store_outs(xs, c);
        if (rc == 0)
            rc = store_scrub(xs, &c->bad_nr);
    }
    if (rc == 0)
        rc = store_images(xs, c);
    if (rc == 0)
        rc = vos_tgt_check(xs->vos);
    if (rc == 0)
        rc = bio_check(xs->bio);
    if (rc == 0)
        rc = umem_check(bio_umem(xs->bio));
    return rc;
}

/* The scrubber reports what is bad, and nothing else: what readers met on the target with the bad disk, it finds. */
static void
scrub_judge(struct simt *t, uint32_t rank, uint32_t tag, const struct store_check *c, int fn_rc)
{
    if (c->is_past || (c->is_out && c->thresh == 0)) {
        simt_fail(t, "scrub_thresh of rank %u tag %u is %u: a shard %s", rank, tag, c->thresh,
            c->is_past ? "past it serves" : "is out of service");
    }
    if (!simt_is_victim(t, rank, tag)) {
        if (c->bad_nr > 0 || c->stats.scrub_bad_nr > 0 || c->stats.scrub_mended_nr > 0 ||
            c->mended_nr[0] + c->lost_nr[0] > 0 || c->is_out)
            simt_fail(t, "the scrubber of rank %u tag %u reports what is good", rank, tag);
        return;
    }
    t->report->scrub_found_nr +=
        c->bad_nr + c->lost_nr[0] + c->stats.scrub_mended_nr + c->mended_nr[0];
    if (!pool_is_fault(fn_rc) && t->cfg.faults[SIMT_ROT] &&
        (c->mended_nr[1] > 0 || c->lost_nr[0] > 0)) {
        simt_fail(t,
            "rank %u tag %u: of what lies on the metadata role %u were bad, and %u still are once "
            "they were written anew; the check finds nothing",
            rank, tag, c->lost_nr[0], c->mended_nr[1]);
    }
    if (!pool_is_fault(fn_rc) && t->bad_reads_nr > 0 && c->bad_nr == 0) {
        simt_fail(t, "readers met %u bad values on rank %u tag %u, the scrubber none",
            (uint32_t)t->bad_reads_nr, rank, tag);
    }
    t->bad_reads_nr = 0;
}

void
simt_stores_check(struct simt *t)
{
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        for (uint32_t tag = 0; tag < SIMT_TAGS; tag++) {
            struct simt_engine *e = &t->engines[i];
            struct store_check *c;
            int rc, fn_rc = 0;

            if (e->engine == NULL)
                continue;
            c = calloc(1, sizeof(*c));
            c->thresh = t->cfg.scrub_thresh;
            rc = simt_engine_run(e, tag, store_check, c, 300 * SIMT_S, &fn_rc);
            if (rc == 0)
                scrub_judge(t, i, tag, c, fn_rc);
            free(rc == 0 ? c : NULL); /* else it may still be used */
            if (t->cfg.faults[SIMT_ROT] && simt_is_victim(t, i, tag) && pool_is_fault(fn_rc))
                continue;
            if (rc != 0 || fn_rc != 0) {
                simt_fail(t, "check of the store of rank %u tag %u: %s", i, tag,
                    err_name(rc != 0 ? rc : fn_rc));
            }
        }
    }
}
