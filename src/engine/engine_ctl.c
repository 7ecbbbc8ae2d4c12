/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Control requests: one packed Envelope in, one out (src/proto/ctl/ctl.proto). Every failure
 * becomes a code and one line with cause and remedy.
 * Memory of a request, protobuf's too, is one arena. Tested by test/engine_ctl_test.c and
 * test/server.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/hlc.h"
#include "engine_priv.h"
#include "proto/ctl/ctl.pb-c.h"

enum { CTL_ARENA_BYTES_MAX = 16 << 20, CTL_VERSION = 1, CTLS_NR_MAX = 256, POOLS_BATCH_NR = 256 };
/* A leader that is there again after less is not missed. */
#define LEADER_WAIT_NS UINT64_C(20000000000)

/*
 * Of a size given for both tiers together, metadata gets the share that it has of a target's
 * storage, but so much at least (at most half of the size), and no more than other pools leave.
 */
#define META_EACH_MIN (UINT64_C(32) << 20)

/* One request. */
struct ctl {
    struct engine *engine;
    struct arena *arena;
    ProtobufCAllocator alloc;
    Cairn__Ctl__Envelope *req;
    char error[ENGINE_TEXT_BYTES];
    struct iov body; /* of the reply */
    bool was_found; /* the pool that is to be destroyed, by an earlier try */
};

static void *
ctl_pb_alloc(void *arg, size_t size)
{
    return arena_alloc(arg, size);
}

static void
ctl_pb_free(void *arg, void *ptr)
{
    (void)arg;
    (void)ptr; /* with the arena */
}

static int
ctl_fail(struct ctl *ctl, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int
ctl_fail(struct ctl *ctl, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(ctl->error, sizeof(ctl->error), fmt, ap);
    va_end(ap);
    return rc;
}

/* Pack the body of the reply. */
static int
ctl_reply(struct ctl *ctl, const ProtobufCMessage *msg)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    void *buf = arena_alloc(ctl->arena, len);

    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    ctl->body = (struct iov){buf, protobuf_c_message_pack(msg, buf)};
    return 0;
}

static ProtobufCMessage *
ctl_body(struct ctl *ctl, const ProtobufCMessageDescriptor *desc)
{
    return protobuf_c_message_unpack(desc, &ctl->alloc, ctl->req->body.len, ctl->req->body.data);
}

static ProtobufCBinaryData
ctl_bytes(struct ctl *ctl, const struct uuid *id)
{
    ProtobufCBinaryData data = {sizeof(id->b), arena_dup(ctl->arena, id->b, sizeof(id->b))};

    if (data.data == NULL)
        data.len = 0;
    return data;
}

static char *
ctl_str(struct ctl *ctl, struct iov text)
{
    char *str = arena_alloc(ctl->arena, text.len + 1);

    if (str == NULL)
        return (char *)(uintptr_t)protobuf_c_empty_string;
    if (text.len > 0)
        memcpy(str, text.buf, text.len);
    str[text.len] = '\0';
    return str;
}

/* ---- group and status ----------------------------------------------------------------------- */

static int
group_check(const Cairn__Ctl__GroupUpdateReq *in, const struct engine *engine, uint32_t *ret_uri_nr)
{
    uint32_t uri_nr = 0;

    if (in->system_uuid.len != sizeof(engine->system.b) ||
        memcmp(in->system_uuid.data, engine->system.b, sizeof(engine->system.b)) != 0)
        return CAIRN_ERR(MISMATCH);
    if (in->n_ranks > ENGINE_RANKS_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    for (size_t i = 0; i < in->n_ranks; i++) {
        if (in->ranks[i]->n_uris > ENGINE_TAGS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        for (size_t u = 0; u < in->ranks[i]->n_uris; u++) {
            if (strlen(in->ranks[i]->uris[u]) >= NET_URI_MAX)
                return CAIRN_ERR(OVERFLOW);
        }
        uri_nr += (uint32_t)in->ranks[i]->n_uris;
    }
    *ret_uri_nr = uri_nr;
    return 0;
}

static uint32_t
rank_state_of(Cairn__Ctl__RankState state)
{
    switch (state) {
    case CAIRN__CTL__RANK_STATE__RANK_JOINED:
        return MGMT_RANK_JOINED;
    case CAIRN__CTL__RANK_STATE__RANK_STOPPED:
        return MGMT_RANK_STOPPED;
    default:
        return MGMT_RANK_UNRESPONSIVE;
    }
}

static Cairn__Ctl__RankState
rank_state_to(uint32_t state)
{
    switch (state) {
    case MGMT_RANK_JOINED:
        return CAIRN__CTL__RANK_STATE__RANK_JOINED;
    case MGMT_RANK_STOPPED:
        return CAIRN__CTL__RANK_STATE__RANK_STOPPED;
    default:
        return CAIRN__CTL__RANK_STATE__RANK_UNRESPONSIVE;
    }
}

static struct engine_group *
group_build(const Cairn__Ctl__GroupUpdateReq *in, uint32_t uri_nr)
{
    struct engine_group *g = engine_group_alloc((uint32_t)in->n_ranks, uri_nr);
    uint32_t next = 0;

    if (g == NULL)
        return NULL;
    g->version = in->version;
    for (uint32_t i = 0; i < g->nr; i++) {
        const Cairn__Ctl__Rank *src = in->ranks[i];

        g->ranks[i] = (struct engine_group_rank){.rank = src->rank,
            .state = rank_state_of(src->state),
            .tgt_nr = src->targets,
            .node = src->node,
            .incarnation = src->incarnation,
            .uri_first = next,
            .uri_nr = (uint32_t)src->n_uris};
        for (size_t u = 0; u < src->n_uris; u++) {
            (void)snprintf(g->uris[next++], NET_URI_MAX, "%s", src->uris[u]);
        }
    }
    return g;
}

static int
ctl_group_update(struct ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__GroupUpdateReq *in = (void *)ctl_body(ctl, &cairn__ctl__group_update_req__descriptor);
    struct engine_group *group;
    uint32_t uri_nr;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    if (engine_state_load(engine) != ENGINE_READY)
        return ctl_fail(ctl, CAIRN_ERR(AGAIN), "the engine is not ready: send the group again");
    rc = group_check(in, engine, &uri_nr);
    if (rc != 0) {
        return ctl_fail(ctl, rc, "this group is not one of system '%s' that %s belongs to",
            engine->cfg.system, engine->cfg.dir);
    }
    group = group_build(in, uri_nr);
    rc = group == NULL ? CAIRN_ERR(NOMEM) : engine_group_set(engine, group);
    if (rc == 0 && engine->mgmt != NULL)
        mgmt_group_changed(engine->mgmt);
    return rc;
}

static int
status_targets(struct ctl *ctl, Cairn__Ctl__EngineStatusRep *rep)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__TargetStatus *st;
    int rc;

    rep->targets = arena_calloc(ctl->arena, engine->cfg.tgt_nr, sizeof(*rep->targets));
    st = arena_calloc(ctl->arena, engine->cfg.tgt_nr, sizeof(*st));
    if (rep->targets == NULL || st == NULL)
        return CAIRN_ERR(NOMEM);
    rc = engine_each_tgt(engine, engine_xs_status);
    rep->n_targets = engine->cfg.tgt_nr;
    for (uint32_t i = 0; i < engine->cfg.tgt_nr; i++) {
        const struct engine_xs *xs = &engine->xs[1 + i];

        cairn__ctl__target_status__init(&st[i]);
        st[i].target = i;
        st[i].meta_total = xs->space.meta_total;
        st[i].meta_free = xs->space.meta_free;
        st[i].data_total = xs->space.data_total;
        st[i].data_free = xs->space.data_free;
        st[i].pools = xs->pool_nr;
        st[i].rc = xs->task_rc;
        if (xs->task_rc != 0)
            st[i].error = ctl_str(ctl, pool_key_str(xs->err));
        rep->targets[i] = &st[i];
    }
    (void)rc; /* told for each target */
    return 0;
}

static int
status_self(struct ctl *ctl, Cairn__Ctl__Rank *self)
{
    struct engine *engine = ctl->engine;

    cairn__ctl__rank__init(self);
    self->rank = engine->cfg.rank;
    self->incarnation = engine->incarnation;
    self->targets = engine->cfg.tgt_nr;
    self->pid = engine->plat->ops->pid(engine->plat);
    self->state = CAIRN__CTL__RANK_STATE__RANK_STARTING;
    if (engine_state_load(engine) != ENGINE_READY)
        return 0;
    self->state = CAIRN__CTL__RANK_STATE__RANK_JOINED;
    self->uris = arena_calloc(ctl->arena, engine->xs_nr, sizeof(*self->uris));
    if (self->uris == NULL)
        return CAIRN_ERR(NOMEM);
    self->n_uris = engine->xs_nr;
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        self->uris[i] = engine->xs[i].uri;
    }
    return 0;
}

static const char *
svc_fault_text(const struct engine *engine)
{
    const struct engine_xs *sys = &engine->xs[0];

    if (sys->err[0] != '\0')
        return sys->err;
    return engine->err[0] != '\0' ? engine->err : err_text(engine_svc_fault(engine));
}

static int
ctl_status(struct ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__EngineStatusRep rep = CAIRN__CTL__ENGINE_STATUS_REP__INIT;
    Cairn__Ctl__Rank self;
    char err[ENGINE_TEXT_BYTES];
    enum engine_state state = engine_state_get(engine, err, &rep.rc);
    int rc;

    rc = status_self(ctl, &self);
    if (rc == 0 && state == ENGINE_READY)
        rc = status_targets(ctl, &rep);
    if (rc != 0)
        return rc;
    rep.system = engine->cfg.system;
    rep.system_uuid = ctl_bytes(ctl, &engine->system);
    rep.self = &self;
    rep.ready = state == ENGINE_READY;
    rep.storage = (Cairn__Ctl__StorageState)__atomic_load_n(&engine->storage, __ATOMIC_RELAXED);
    rep.error = err;
    rep.version = (char *)(uintptr_t)CAIRN_SOFTWARE_VERSION;
    if (state == ENGINE_READY && engine_svc_fault(engine) != 0) {
        rep.rc = engine_svc_fault(engine);
        (void)snprintf(err, sizeof(err), "services out of service: %.480s", svc_fault_text(engine));
    }
    if (state == ENGINE_READY)
        rep.group_version = engine_sys(engine)->group->version;
    return ctl_reply(ctl, &rep.base);
}

/* Of this rank: what is out of service. */
static int
bad_targets(struct ctl *ctl, Cairn__Ctl__Rank *self)
{
    Cairn__Ctl__EngineStatusRep st = CAIRN__CTL__ENGINE_STATUS_REP__INIT;
    int rc;

    rc = status_targets(ctl, &st);
    if (rc != 0)
        return rc;
    self->bad_targets = st.targets;
    for (size_t i = 0; i < st.n_targets; i++) {
        if (st.targets[i]->rc != 0)
            self->bad_targets[self->n_bad_targets++] = st.targets[i];
    }
    return 0;
}

static int
ctl_system_query(struct ctl *ctl)
{
    struct engine *engine = ctl->engine;
    Cairn__Ctl__SystemQueryRep rep = CAIRN__CTL__SYSTEM_QUERY_REP__INIT;
    Cairn__Ctl__Rank *m;
    struct mgmt_rank *ranks;
    uint32_t nr;
    int rc;

    rc = mgmt_ranks(engine->mgmt, ctl->arena, &ranks, &nr);
    if (rc != 0)
        return rc;
    rep.members = arena_calloc(ctl->arena, MAX(nr, 1), sizeof(*rep.members));
    m = arena_calloc(ctl->arena, MAX(nr, 1), sizeof(*m));
    if (rep.members == NULL || m == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        cairn__ctl__rank__init(&m[i]);
        m[i].rank = ranks[i].rank;
        m[i].incarnation = ranks[i].incarnation;
        m[i].targets = ranks[i].tgt_nr;
        m[i].node = ranks[i].node;
        m[i].state = rank_state_to(ranks[i].state);
        m[i].uris = arena_calloc(ctl->arena, 1, sizeof(*m[i].uris));
        if (m[i].uris == NULL)
            return CAIRN_ERR(NOMEM);
        m[i].uris[0] = (char *)(uintptr_t)ranks[i].uri;
        m[i].n_uris = 1;
        rep.members[i] = &m[i];
        if (m[i].rank == engine->cfg.rank) {
            rc = bad_targets(ctl, &m[i]);
            if (rc != 0)
                return rc;
        }
    }
    rep.n_members = nr;
    rep.leader = engine->cfg.svc_rank;
    rep.group_version = engine_sys(engine)->group->version;
    rep.system_uuid = ctl_bytes(ctl, &engine->system);
    rep.system = engine->cfg.system;
    return ctl_reply(ctl, &rep.base);
}

/* ---- pools ---------------------------------------------------------------------------------- */

/* Words for what pool requests commonly fail with. */
static int
pool_fail(struct ctl *ctl, int rc, const char *id)
{
    switch (-rc) {
    case DER_NONEXIST:
        return ctl_fail(ctl, rc, "pool '%s' does not exist: list the pools", id);
    case DER_NOTLEADER:
        return ctl_fail(ctl, rc, "rank %u does not lead the system: ask rank %u",
            ctl->engine->cfg.rank, ctl->engine->cfg.svc_rank);
    case DER_INVAL:
        return ctl_fail(ctl,
            rc, "pool '%s': not a label or uuid (1 to 127 of letters, digits and _-.:), or a value out of range",
            id);
    case DER_BUSY:
        return ctl_fail(ctl, rc,
            "pool '%s' is in use: close its handles and destroy its containers, or force it", id);
    case DER_NOSPACE:
        return ctl_fail(ctl, rc,
            "pool '%s' does not fit on some target: choose a smaller size, or destroy other pools",
            id);
    case DER_EXIST:
        return ctl_fail(ctl, rc, "a pool with label or uuid '%s' exists: choose another", id);
    case DER_OOG:
        return ctl_fail(
            ctl, rc, "pool '%s': a rank that was asked for has not joined: query the system", id);
    case DER_NOTSUPPORTED:
        return ctl_fail(ctl, rc,
            "pool '%s': a property asks for what this version cannot do: rd_fac and svc_rf are 0",
            id);
    case DER_CSUM:
    case DER_DF_INVAL:
    case DER_DF_INCOMPT:
    case DER_DATA_LOSS:
    case DER_NVME_IO:
        if (ctl->req->method == CAIRN__CTL__METHOD__POOL_DESTROY) {
            return ctl_fail(ctl, rc,
                "pool '%s': storage of it is out of service (%s): its rest is destroyed when that "
                "is "
                "back: `dmg system query` shows which",
                id, err_text(rc));
        }
        return ctl_fail(ctl, rc,
            "pool '%s': storage that it needs is out of service (%s): `dmg system query` shows "
            "which; "
            "restore that, or use other ranks",
            id, err_text(rc));
    case DER_UNREACH:
    case DER_TIMEDOUT:
        return ctl_fail(ctl,
            rc, "pool '%s': an engine cannot be reached: query the system; what was begun is finished or undone when it is back",
            id);
    default:
        return ctl_fail(ctl, rc, "pool '%s': %s", id, err_text(rc));
    }
}

static int
props_from(struct ctl *ctl, const Cairn__Ctl__PoolCreateReq *in, struct proto_array *ret_props)
{
    size_t extra = (in->user[0] != '\0') + (in->group[0] != '\0');
    struct proto_prop *props;
    uint32_t nr = 0;

    if (in->n_properties + extra > PROTO_PROPS_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    props = arena_calloc(ctl->arena, in->n_properties + extra + 1, sizeof(*props));
    if (props == NULL)
        return CAIRN_ERR(NOMEM);
    for (; nr < in->n_properties; nr++) {
        const Cairn__Ctl__Property *src = in->properties[nr];

        props[nr] = (struct proto_prop){
            .type = src->number, .num = src->num, .bytes = pool_key_str(src->str)};
        if (src->data.len > 0)
            props[nr].bytes = (struct iov){src->data.data, src->data.len};
    }
    if (in->user[0] != '\0')
        props[nr++] = (struct proto_prop){.type = 6, .bytes = pool_key_str(in->user)};
    if (in->group[0] != '\0')
        props[nr++] = (struct proto_prop){.type = 7, .bytes = pool_key_str(in->group)};
    *ret_props = (struct proto_array){nr, props};
    return 0;
}

/* Targets of the ranks that the request means. */
static uint32_t
targets_count(struct ctl *ctl, const Cairn__Ctl__PoolCreateReq *in, uint32_t *ret_rank_nr)
{
    const struct engine_group *g = engine_sys(ctl->engine)->group;
    uint32_t nr = 0, rank_nr = 0;

    for (uint32_t i = 0; i < g->nr; i++) {
        bool is_wanted = in->n_ranks == 0;

        for (size_t k = 0; k < in->n_ranks; k++) {
            is_wanted = is_wanted || in->ranks[k] == g->ranks[i].rank;
        }
        if (is_wanted && g->ranks[i].state == MGMT_RANK_JOINED) {
            nr += g->ranks[i].tgt_nr;
            rank_nr++;
        }
    }
    *ret_rank_nr = rank_nr;
    return nr;
}

/* The metadata tier's part of a target's bytes; targets of a system are alike. */
static uint64_t
meta_of(struct ctl *ctl, uint64_t each)
{
    struct engine *engine = ctl->engine;
    uint64_t meta = 0, data = 0, left = UINT64_MAX, share;

    CAIRN_IGNORE(engine_each_tgt(engine, engine_xs_status)); /* told for each target */
    for (uint32_t i = 1; i < engine->xs_nr; i++) {
        const struct engine_xs *xs = &engine->xs[i];

        if (xs->task_rc != 0)
            continue;
        meta = xs->space.meta_total;
        data = xs->space.data_total;
        left = MIN(left, xs->meta_left);
    }
    share = (each >> 20) * (meta >> 20) / MAX((meta + data) >> 20, 1) << 20;
    share = MAX(share, MIN(META_EACH_MIN, each / 2));
    return MIN(share, MAX(left, MGMT_META_BYTES_MIN));
}

/*
 * nranks of those that joined, in their order, from a place that follows from the pool's uuid: pools spread, and a resend means the same ranks.
 */
static int
ranks_choose(struct ctl *ctl, Cairn__Ctl__PoolCreateReq *in)
{
    const struct engine_group *g = engine_sys(ctl->engine)->group;
    uint32_t *joined = arena_calloc(ctl->arena, 2 * (size_t)g->nr + 1, sizeof(*joined));
    uint32_t nr = 0, first;

    if (joined == NULL)
        return CAIRN_ERR(NOMEM);
    if (in->n_ranks > 0)
        return ctl_fail(ctl, CAIRN_ERR(INVAL), "give either the ranks or their number");
    for (uint32_t i = 0; i < g->nr; i++) {
        if (g->ranks[i].state == MGMT_RANK_JOINED)
            joined[nr++] = g->ranks[i].rank;
    }
    if (in->nranks > nr) {
        return ctl_fail(ctl, CAIRN_ERR(INVAL),
            "a pool on %u ranks was asked for, and %u have joined: ask for so many at most",
            in->nranks, nr);
    }
    memcpy(joined + nr, joined, nr * sizeof(*joined));
    first = (uint32_t)(hash_bytes64(in->uuid.data, in->uuid.len, 0) % nr);
    in->ranks = joined + first;
    in->n_ranks = in->nranks;
    return 0;
}

/* Bytes of each target from what the request gives. */
static int
sizes_from(
    struct ctl *ctl, const Cairn__Ctl__PoolCreateReq *in, struct proto_sys_pool_create_req *args)
{
    uint32_t rank_nr, tgt_nr = targets_count(ctl, in, &rank_nr);
    uint64_t each;

    if (tgt_nr == 0)
        return CAIRN_ERR(OOG);
    if (in->n_tier_bytes == 2) {
        args->meta_bytes = in->tier_bytes[0] * rank_nr / tgt_nr;
        args->data_bytes = in->tier_bytes[1] * rank_nr / tgt_nr;
    } else if (in->n_tier_bytes == 0) {
        each = in->total_bytes / tgt_nr;
        args->meta_bytes = meta_of(ctl, each);
        args->data_bytes = each - args->meta_bytes;
    } else {
        return ctl_fail(ctl, CAIRN_ERR(INVAL), "a size is given for both tiers or for none");
    }
    args->meta_bytes = ALIGN_DOWN(args->meta_bytes, (uint64_t)BIO_BLK_BYTES);
    args->data_bytes = ALIGN_DOWN(args->data_bytes, (uint64_t)BIO_BLK_BYTES);
    if (args->meta_bytes < MGMT_META_BYTES_MIN) {
        return ctl_fail(ctl, CAIRN_ERR(INVAL),
            "the size gives %llu bytes of metadata to a target: it must be at least %llu",
            (unsigned long long)args->meta_bytes, (unsigned long long)MGMT_META_BYTES_MIN);
    }
    return 0;
}

static int
pool_create_reply(struct ctl *ctl, const struct mgmt_pool *pool)
{
    Cairn__Ctl__PoolCreateRep rep = CAIRN__CTL__POOL_CREATE_REP__INIT;
    uint64_t tiers[2];
    uint32_t tgt_nr = 0;

    rep.tgt_ranks = arena_calloc(ctl->arena, MAX(pool->rank_nr, 1), sizeof(*rep.tgt_ranks));
    if (rep.tgt_ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < pool->rank_nr; i++) {
        rep.tgt_ranks[i] = pool->ranks[i].rank.v;
        tgt_nr += pool->ranks[i].tgts_nr;
    }
    tiers[0] = pool->meta_bytes * tgt_nr / MAX(pool->rank_nr, 1);
    tiers[1] = pool->data_bytes * tgt_nr / MAX(pool->rank_nr, 1);
    rep.uuid = ctl_bytes(ctl, &pool->pool);
    rep.label = ctl_str(ctl, pool->label);
    rep.svc_ldr = pool->svc_rank;
    rep.svc_reps = &rep.svc_ldr;
    rep.n_svc_reps = 1;
    rep.n_tgt_ranks = pool->rank_nr;
    rep.tier_bytes = tiers;
    rep.n_tier_bytes = 2;
    rep.targets = tgt_nr;
    return ctl_reply(ctl, &rep.base);
}

static int
ctl_pool_create(struct ctl *ctl)
{
    Cairn__Ctl__PoolCreateReq *in = (void *)ctl_body(ctl, &cairn__ctl__pool_create_req__descriptor);
    struct proto_sys_pool_create_req args = {.meta_bytes = 0};
    char text[CUUID_TEXT_BYTES];
    const char *id = text;
    struct proto_rank *ranks;
    struct mgmt_pool pool;
    int rc;

    if (in == NULL || in->uuid.len != sizeof(args.pool.b))
        return CAIRN_ERR(PROTO);
    memcpy(args.pool.b, in->uuid.data, sizeof(args.pool.b));
    cuuid_format(&args.pool, text);
    for (size_t i = 0; i < in->n_properties; i++) {
        id = in->properties[i]->number == POOL_PROP_LABEL ? in->properties[i]->str : id;
    }
    if (in->svc_reps > 1) {
        return ctl_fail(ctl, CAIRN_ERR(NOTSUPPORTED),
            "a pool service has 1 replica in this version: ask for 1");
    }
    rc = in->nranks > 0 ? ranks_choose(ctl, in) : 0;
    if (rc != 0)
        return rc;
    ranks = arena_calloc(ctl->arena, in->n_ranks + 1, sizeof(*ranks));
    if (ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (size_t i = 0; i < in->n_ranks; i++) {
        ranks[i].rank = in->ranks[i];
    }
    args.ranks = (struct proto_array){(uint32_t)in->n_ranks, ranks};
    args.uid = in->uid;
    args.gid = in->gid;
    rc = sizes_from(ctl, in, &args);
    if (rc == 0)
        rc = props_from(ctl, in, &args.props);
    if (rc == 0)
        rc = mgmt_pool_create(ctl->engine->mgmt, NULL, &args, ctl->arena, &pool);
    if (rc == 0)
        rc = pool_create_reply(ctl, &pool);
    if (rc != 0 && ctl->error[0] == '\0')
        return pool_fail(ctl, rc, id);
    return rc;
}

static int
ctl_pool_destroy(struct ctl *ctl)
{
    Cairn__Ctl__PoolDestroyReq *in = (void *)ctl_body(ctl, &cairn__ctl__pool_destroy_req__descriptor);
    struct mgmt_pool pool;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    rc = mgmt_pool_find(ctl->engine->mgmt, pool_key_str(in->id), ctl->arena, &pool);
    if (rc == -DER_NONEXIST && ctl->was_found)
        return 0; /* somebody else finished what this request had decided */
    if (rc == 0) {
        ctl->was_found = true;
        rc = mgmt_pool_destroy(
            ctl->engine->mgmt, NULL, pool.pool, in->force, in->recursive, ctl->arena);
    }
    return rc != 0 ? pool_fail(ctl, rc, in->id) : 0;
}

/* The list of an answer, grown batch by batch. */
struct pool_rows {
    Cairn__Ctl__PoolListRep rep;
    size_t room, bytes; /* entries there is room for; what they take when packed, about */
    struct uuid last;
};

static int
pool_row_add(struct ctl *ctl, struct pool_rows *rows, const struct mgmt_pool *pool)
{
    Cairn__Ctl__PoolEntry *e = arena_calloc(ctl->arena, 1, sizeof(*e)), **list;

    if (rows->rep.n_pools == rows->room) {
        list = arena_alloc(ctl->arena, (2 * rows->room + POOLS_BATCH_NR) * sizeof(*list));
        if (list == NULL)
            return CAIRN_ERR(NOMEM);
        if (rows->room > 0)
            memcpy(list, rows->rep.pools, rows->room * sizeof(*list));
        rows->rep.pools = list;
        rows->room = 2 * rows->room + POOLS_BATCH_NR;
    }
    if (e == NULL)
        return CAIRN_ERR(NOMEM);
    cairn__ctl__pool_entry__init(e);
    e->uuid = ctl_bytes(ctl, &pool->pool);
    e->label = ctl_str(ctl, pool->label);
    e->state = (Cairn__Ctl__PoolState)pool->state;
    e->svc_reps = arena_dup(ctl->arena, &pool->svc_rank, sizeof(pool->svc_rank));
    e->n_svc_reps = e->svc_reps != NULL ? 1 : 0;
    rows->rep.pools[rows->rep.n_pools++] = e;
    rows->bytes += cairn__ctl__pool_entry__get_packed_size(e);
    rows->last = pool->pool;
    return 0;
}

/* The next rows. Their details, of which little is told, go with a short-lived arena. */
static int
pool_rows_more(struct ctl *ctl, struct pool_rows *rows, bool *ret_eof)
{
    struct mgmt_pool *pools;
    struct arena arena;
    uint32_t nr = 0;
    int rc;

    arena_init(&arena, 65536, CTL_ARENA_BYTES_MAX);
    rc = mgmt_pool_list(ctl->engine->mgmt, rows->last, POOLS_BATCH_NR, &arena, &pools, &nr, ret_eof);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        rc = pool_row_add(ctl, rows, &pools[i]);
    }
    arena_fini(&arena);
    return rc;
}

static int
ctl_pool_list(struct ctl *ctl)
{
    struct pool_rows rows = {.rep = CAIRN__CTL__POOL_LIST_REP__INIT};
    bool eof = false;
    int rc = 0;

    while (rc == 0 && !eof) {
        rc = pool_rows_more(ctl, &rows, &eof);
        if (rc == 0 && rows.bytes > ENGINE_CTL_BYTES_MAX)
            return ctl_fail(ctl, CAIRN_ERR(OVERFLOW), "the list of pools is longer than 1 MiB");
    }
    return rc != 0 ? pool_fail(ctl, rc, "") : ctl_reply(ctl, &rows.rep.base);
}

/* Ask the pool's service, here or where it is. */
static int
pool_ask(struct ctl *ctl, const struct mgmt_pool *pool, struct proto_pool_query_rep *rep)
{
    struct engine *engine = ctl->engine;
    struct proto_pool_query_req body = {.pool = pool->pool};
    struct rpc_call_opts opts = {
        .deadline_ns = ult_now_ns() + 2 * POOL_BCAST_NS, .arena = ctl->arena};
    struct rpc_ep ep = {pool->svc_rank, RPC_TAG_SYSTEM};
    int rc;

    memset(rep, 0, sizeof(*rep));
    do {
        if (pool->svc_rank == engine->cfg.rank) {
            rc = pool_query_local(engine->pools, ctl->arena, pool->pool, rep);
        } else {
            rc = rpc_call(engine_sys(engine)->rpc, ep, PROTO_POOL_QUERY, &body, rep, &opts, NULL);
        }
        if (err_class(rc) != ERR_CLASS_RETRY)
            break;
        ult_sleep(POOL_RETRY_NS);
    } while (ult_now_ns() < opts.deadline_ns);
    return rc;
}

static void
tier_fill(Cairn__Ctl__TierStats *st, const struct proto_space *space, int tier)
{
    cairn__ctl__tier_stats__init(st);
    st->total = space->total[tier];
    st->free = space->free[tier];
    st->min = space->free_min[tier];
    st->max = space->free_max[tier];
    st->mean = space->free_mean[tier];
    st->media = (char *)(uintptr_t)(tier == 0 ? "scm" : "nvme");
}

/* What the map says. */
static int
query_map(struct ctl *ctl, struct iov bytes, Cairn__Ctl__PoolQueryRep *rep)
{
    struct poolmap *map;
    int rc;

    rc = poolmap_decode(bytes.buf, bytes.len, &map);
    if (rc != 0)
        return rc;
    rep->total_targets = map->tgts_nr;
    rep->active_targets = poolmap_tgts_count(map, POOLMAP_SERVING);
    rep->disabled_targets = map->tgts_nr - rep->active_targets;
    rep->total_engines = map->ranks_nr;
    rep->version = map->version;
    rep->enabled_ranks = arena_calloc(ctl->arena, map->ranks_nr + 1, sizeof(uint32_t));
    rep->disabled_ranks = arena_calloc(ctl->arena, map->ranks_nr + 1, sizeof(uint32_t));
    if (rep->enabled_ranks == NULL || rep->disabled_ranks == NULL)
        rc = CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; rc == 0 && i < map->ranks_nr; i++) {
        if (poolmap_rank_has(map, map->ranks[i].rank, POOLMAP_SERVING)) {
            rep->enabled_ranks[rep->n_enabled_ranks++] = map->ranks[i].rank.v;
        } else {
            rep->disabled_ranks[rep->n_disabled_ranks++] = map->ranks[i].rank.v;
        }
    }
    poolmap_destroy(map);
    return rc;
}

static int
query_props(struct ctl *ctl, const struct proto_array *props, Cairn__Ctl__PoolQueryRep *rep)
{
    const struct proto_prop *src = props->items;
    const struct pool_prop_def *defs;
    Cairn__Ctl__Property *dst;
    uint32_t nr;

    defs = pool_prop_defs(&nr);
    rep->properties = arena_calloc(ctl->arena, props->nr + 1, sizeof(*rep->properties));
    dst = arena_calloc(ctl->arena, props->nr + 1, sizeof(*dst));
    if (rep->properties == NULL || dst == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < props->nr; i++) {
        const struct pool_prop_def *def = pool_prop_find(defs, nr, src[i].type);

        if (def == NULL || def->is_computed)
            continue;
        cairn__ctl__property__init(&dst[i]);
        dst[i].number = src[i].type;
        dst[i].num = src[i].num;
        if (def->kind == POOL_PROP_STR)
            dst[i].str = ctl_str(ctl, src[i].bytes);
        if (def->kind == POOL_PROP_BYTES)
            dst[i].data = (ProtobufCBinaryData){src[i].bytes.len, src[i].bytes.buf};
        rep->properties[rep->n_properties++] = &dst[i];
    }
    return 0;
}

static int
query_fill(struct ctl *ctl, struct mgmt_pool *pool, const struct proto_pool_query_rep *src)
{
    Cairn__Ctl__PoolQueryRep rep = CAIRN__CTL__POOL_QUERY_REP__INIT;
    Cairn__Ctl__TierStats tiers[2], *tier_ptrs[2] = {&tiers[0], &tiers[1]};
    int rc;

    rc = query_map(ctl, src->map, &rep);
    if (rc == 0)
        rc = query_props(ctl, &src->props, &rep);
    if (rc != 0)
        return rc;
    tier_fill(&tiers[0], &src->space, 0);
    tier_fill(&tiers[1], &src->space, 1);
    rep.uuid = ctl_bytes(ctl, &pool->pool);
    rep.label = ctl_str(ctl, pool->label);
    rep.state = (Cairn__Ctl__PoolState)pool->state;
    rep.svc_ldr = src->leader;
    rep.svc_reps = &pool->svc_rank;
    rep.n_svc_reps = 1;
    rep.tiers = tier_ptrs;
    rep.n_tiers = 2;
    rep.layout_version = POOL_LAYOUT_VERSION;
    rep.handles = src->hdl_nr;
    rep.containers = src->cont_nr;
    rep.create_time_ns = src->create_time_ns;
    return ctl_reply(ctl, &rep.base);
}

static int
ctl_pool_query(struct ctl *ctl)
{
    Cairn__Ctl__PoolQueryReq *in = (void *)ctl_body(ctl, &cairn__ctl__pool_query_req__descriptor);
    struct proto_pool_query_rep *src = arena_calloc(ctl->arena, 1, sizeof(*src));
    struct mgmt_pool pool;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    if (src == NULL)
        return CAIRN_ERR(NOMEM);
    rc = mgmt_pool_find(ctl->engine->mgmt, pool_key_str(in->id), ctl->arena, &pool);
    if (rc == 0)
        rc = pool_ask(ctl, &pool, src);
    if (rc == 0)
        rc = query_fill(ctl, &pool, src);
    return rc != 0 ? pool_fail(ctl, rc, in->id) : 0;
}

/* ---- dispatch ------------------------------------------------------------------------------- */

static int
ctl_stop(struct ctl *ctl)
{
    engine_stop_begin(ctl->engine); /* the answer leaves first: the stop waits for control requests */
    return 0;
}

static int
ctl_needs_ready(struct ctl *ctl, int (*fn)(struct ctl *ctl))
{
    switch (engine_state_load(ctl->engine)) {
    case ENGINE_READY:
        return fn(ctl);
    case ENGINE_STARTING:
        return ctl_fail(ctl, CAIRN_ERR(AGAIN), "rank %u is starting: try again in a moment",
            ctl->engine->cfg.rank);
    case ENGINE_FAILED:
        return ctl_fail(ctl, ctl->engine->fail_rc, "%s", ctl->engine->err);
    default:
        return ctl_fail(ctl, CAIRN_ERR(SHUTDOWN), "rank %u is stopping", ctl->engine->cfg.rank);
    }
}

/*
 * While the service here loses and wins its leadership, the asker waits: a request may be repeated, what
 * was begun is found by the pool's identity (MGT-3).
 */
static int
ctl_needs_services(struct ctl *ctl, int (*fn)(struct ctl *ctl))
{
    struct engine *engine = ctl->engine;
    uint64_t end_ns = ult_now_ns() + LEADER_WAIT_NS;
    int rc;

    for (;;) {
        rc = engine_state_load(engine) == ENGINE_READY ? engine_svc_fault(engine) : 0;
        if (rc != 0) {
            return ctl_fail(ctl, rc, "rank %u: services out of service: %.400s", engine->cfg.rank,
                svc_fault_text(engine));
        }
        rc = ctl_needs_ready(ctl, fn);
        if (rc != -DER_NOTLEADER || engine->cfg.svc_rank != engine->cfg.rank || ult_now_ns() >= end_ns)
            return rc;
        ctl->error[0] = '\0';
        ult_sleep(POOL_RETRY_NS);
    }
}

static int
ctl_dispatch(struct ctl *ctl)
{
    if (ctl->req->version != CTL_VERSION) {
        return ctl_fail(ctl, CAIRN_ERR(CONTROL_INCOMPAT),
            "control messages of version %u: this engine speaks version %d", ctl->req->version,
            CTL_VERSION);
    }
    switch (ctl->req->method) {
    case CAIRN__CTL__METHOD__PING:
        return 0;
    case CAIRN__CTL__METHOD__ENGINE_STATUS:
        return ctl_status(ctl);
    case CAIRN__CTL__METHOD__ENGINE_STOP:
        return ctl_stop(ctl);
    case CAIRN__CTL__METHOD__GROUP_UPDATE:
        return ctl_needs_ready(ctl, ctl_group_update);
    case CAIRN__CTL__METHOD__POOL_CREATE:
        return ctl_needs_services(ctl, ctl_pool_create);
    case CAIRN__CTL__METHOD__POOL_DESTROY:
        return ctl_needs_services(ctl, ctl_pool_destroy);
    case CAIRN__CTL__METHOD__POOL_LIST:
        return ctl_needs_services(ctl, ctl_pool_list);
    case CAIRN__CTL__METHOD__POOL_QUERY:
        return ctl_needs_services(ctl, ctl_pool_query);
    case CAIRN__CTL__METHOD__SYSTEM_QUERY:
        return ctl_needs_services(ctl, ctl_system_query);
    default:
        return ctl_fail(ctl, CAIRN_ERR(NOSYS), "control method %d is not known to this engine",
            (int)ctl->req->method);
    }
}

int
engine_ctl_answer(
    struct engine *engine, struct arena *arena, struct iov req, size_t len_max, struct iov *ret_rep)
{
    struct ctl *ctl = arena_calloc(arena, 1, sizeof(*ctl));
    Cairn__Ctl__Envelope rep = CAIRN__CTL__ENVELOPE__INIT;
    uint8_t *buf;
    size_t len;

    if (ctl == NULL)
        return CAIRN_ERR(NOMEM);
    ctl->engine = engine;
    ctl->arena = arena;
    ctl->alloc = (ProtobufCAllocator){ctl_pb_alloc, ctl_pb_free, arena};
    ctl->req = cairn__ctl__envelope__unpack(&ctl->alloc, req.len, req.buf);
    if (ctl->req == NULL || ctl->req->is_reply)
        return CAIRN_ERR(PROTO);
    rep.version = CTL_VERSION;
    rep.id = ctl->req->id;
    rep.method = ctl->req->method;
    rep.is_reply = 1;
    rep.rc = ctl_dispatch(ctl);
    if (rep.rc == 0) {
        rep.body = (ProtobufCBinaryData){ctl->body.len, ctl->body.buf};
    } else {
        if (ctl->error[0] == '\0')
            (void)snprintf(ctl->error, sizeof(ctl->error), "%s", err_text(rep.rc));
        rep.error = ctl->error;
    }
    len = cairn__ctl__envelope__get_packed_size(&rep);
    if (len > len_max) {
        rep.rc = CAIRN_ERR(OVERFLOW);
        rep.error = (char *)(uintptr_t) "the answer is longer than 1 MiB";
        rep.body = (ProtobufCBinaryData){0, NULL};
        len = cairn__ctl__envelope__get_packed_size(&rep);
    }
    buf = arena_alloc(arena, len);
    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    *ret_rep = (struct iov){buf, cairn__ctl__envelope__pack(&rep, buf)};
    return 0;
}

/* ---- from outside --------------------------------------------------------------------------- */

/* A request on its way; known to the engine while its ULT lives. */
struct ctl_task {
    struct list_head link; /* of engine.ctls */
    struct engine *engine;
    struct arena arena;
    struct iov req, rep;
    size_t len_max; /* of the answer */
    int rc;
    void (*fn)(void *arg, int rc, const void *rep, size_t len); /* submitted */
    void *arg;
};

static struct ctl_task *
task_create(struct engine *engine, const void *req, size_t len)
{
    struct ctl_task *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->engine = engine;
    t->len_max = ENGINE_CTL_BYTES_MAX;
    list_init(&t->link);
    arena_init(&t->arena, 4096, CTL_ARENA_BYTES_MAX);
    t->req = (struct iov){arena_dup(&t->arena, req, len), len};
    if (t->req.buf == NULL) {
        arena_fini(&t->arena);
        free(t);
        return NULL;
    }
    return t;
}

static void
task_free(struct ctl_task *t)
{
    arena_fini(&t->arena);
    free(t);
}

static void
task_run(struct ctl_task *t)
{
    struct engine *engine = t->engine;

    if (engine->ctl_nr >= CTLS_NR_MAX) {
        t->rc = CAIRN_ERR(OVERLOAD_RETRY);
        return;
    }
    list_add(&t->link, &engine->ctls);
    engine->ctl_nr++;
    t->rc = engine_ctl_answer(engine, &t->arena, t->req, t->len_max, &t->rep);
    list_del(&t->link);
    engine->ctl_nr--;
    ult_cond_broadcast(&engine->idle);
}

static void
call_task(void *arg)
{
    task_run(arg);
}

int
engine_ctl(struct engine *engine, const void *req, size_t req_len, void **ret_rep, size_t *ret_len)
{
    struct ctl_task *t;
    void *rep;
    int rc;

    if (req_len == 0 || req_len > ENGINE_CTL_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    t = task_create(engine, req, req_len);
    if (t == NULL)
        return CAIRN_ERR(NOMEM);
    rc = xstream_call(engine_sys(engine)->xs, ULT_SERVICE, call_task, t);
    if (rc == 0)
        rc = t->rc;
    rep = rc == 0 ? malloc(t->rep.len) : NULL;
    if (rc == 0 && rep == NULL)
        rc = CAIRN_ERR(NOMEM);
    if (rc == 0) {
        memcpy(rep, t->rep.buf, t->rep.len);
        *ret_rep = rep;
        *ret_len = t->rep.len;
    }
    task_free(t);
    return rc;
}

void
engine_buf_free(void *buf)
{
    free(buf);
}

static void
submit_task(void *arg)
{
    struct ctl_task *t = arg;

    task_run(t);
    t->fn(t->arg, t->rc, t->rep.buf, t->rep.len);
    task_free(t);
}

int
engine_ctl_submit(struct engine *engine, const void *req, size_t req_len,
    void (*fn)(void *arg, int rc, const void *rep, size_t len), void *arg)
{
    struct ctl_task *t;
    int rc;

    if (req_len == 0 || req_len > ENGINE_CTL_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    t = task_create(engine, req, req_len);
    if (t == NULL)
        return CAIRN_ERR(NOMEM);
    t->fn = fn;
    t->arg = arg;
    rc = xstream_post(engine_sys(engine)->xs, ULT_SERVICE, submit_task, t);
    if (rc != 0)
        task_free(t);
    return rc;
}

void
engine_ctl_abandon(struct engine *engine)
{
    struct ctl_task *t, *tmp;

    LIST_FOREACH_SAFE(t, tmp, &engine->ctls, struct ctl_task, link) {
        if (t->fn != NULL) /* the others belong to their callers */
            task_free(t);
    }
}
