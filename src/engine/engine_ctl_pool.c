/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Control requests about pools. Tested by test/engine_ctl_test.c, test/server and src/control/test/control_system_test.py. */
#include "base/assert.h"
#include "base/hash.h"
#include "engine_ctl.h"

enum { POOLS_BATCH_NR = 256 };

/*
 * Of a size given for both tiers together, metadata gets the share that it has of a target's
 * storage, but so much at least (at most half of the size), and no more than other pools leave.
 */
#define META_EACH_MIN (UINT64_C(32) << 20)

int
engine_ctl_pool_fail(struct engine_ctl *ctl, int rc, const char *id)
{
    switch (-rc) {
    case DER_NONEXIST:
        return engine_ctl_fail(ctl, rc, "pool '%s' does not exist: list the pools", id);
    case DER_NOTLEADER:
        return engine_ctl_fail(ctl, rc, "rank %u does not lead the system: ask rank %u",
            ctl->engine->cfg.rank, ctl->engine->cfg.svc_rank);
    case DER_INVAL:
        return engine_ctl_fail(ctl,
            rc, "pool '%s': not a label or uuid (1 to 127 of letters, digits and _-.:), or a value out of range",
            id);
    case DER_BUSY:
        return engine_ctl_fail(ctl, rc,
            "pool '%s' is in use: close its handles and destroy its containers, or force it", id);
    case DER_NOSPACE:
        return engine_ctl_fail(ctl, rc,
            "pool '%s' does not fit on some target: choose a smaller size, or destroy other pools",
            id);
    case DER_EXIST:
        return engine_ctl_fail(ctl, rc, "a pool with label or uuid '%s' exists: choose another", id);
    case DER_OOG:
        return engine_ctl_fail(
            ctl, rc, "pool '%s': a rank that was asked for has not joined: query the system", id);
    case DER_NOTSUPPORTED:
        return engine_ctl_fail(ctl, rc,
            "pool '%s': a property asks for what this version cannot do: rd_fac and svc_rf are 0",
            id);
    case DER_CSUM:
    case DER_DF_INVAL:
    case DER_DF_INCOMPT:
    case DER_DATA_LOSS:
    case DER_NVME_IO:
        if (ctl->req->method == CAIRN__CTL__METHOD__POOL_DESTROY) {
            return engine_ctl_fail(ctl, rc,
                "pool '%s': storage of it is out of service (%s): its rest is destroyed when that "
                "is "
                "back: `dmg system query` shows which",
                id, err_text(rc));
        }
        return engine_ctl_fail(ctl, rc,
            "pool '%s': storage that it needs is out of service (%s): `dmg system query` shows "
            "which; "
            "restore that, or use other ranks",
            id, err_text(rc));
    case DER_UNREACH:
    case DER_TIMEDOUT:
        return engine_ctl_fail(ctl,
            rc, "pool '%s': an engine cannot be reached: query the system; what was begun is finished or undone when it is back",
            id);
    default:
        return engine_ctl_fail(ctl, rc, "pool '%s': %s", id, err_text(rc));
    }
}

/* Properties of a request, with room for some more. */
static int
props_take(struct engine_ctl *ctl, Cairn__Ctl__Property *const *list, size_t list_nr, size_t extra,
    struct proto_prop **ret_props)
{
    struct proto_prop *props;

    if (list_nr + extra > PROTO_PROPS_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    props = arena_calloc(ctl->arena, list_nr + extra + 1, sizeof(*props));
    if (props == NULL)
        return CAIRN_ERR(NOMEM);
    for (size_t i = 0; i < list_nr; i++) {
        const Cairn__Ctl__Property *src = list[i];

        props[i] = (struct proto_prop){
            .type = src->number, .num = src->num, .bytes = pool_key_str(src->str)};
        if (src->data.len > 0)
            props[i].bytes = (struct iov){src->data.data, src->data.len};
    }
    *ret_props = props;
    return 0;
}

static int
props_from(struct engine_ctl *ctl, const Cairn__Ctl__PoolCreateReq *in, struct proto_array *ret_props)
{
    size_t extra = (in->user[0] != '\0') + (in->group[0] != '\0');
    struct proto_prop *props;
    uint32_t nr = (uint32_t)in->n_properties;
    int rc = props_take(ctl, in->properties, in->n_properties, extra, &props);

    if (rc != 0)
        return rc;
    if (in->user[0] != '\0')
        props[nr++] = (struct proto_prop){.type = 6, .bytes = pool_key_str(in->user)};
    if (in->group[0] != '\0')
        props[nr++] = (struct proto_prop){.type = 7, .bytes = pool_key_str(in->group)};
    *ret_props = (struct proto_array){nr, props};
    return 0;
}

/* Targets of the ranks that the request means. */
static uint32_t
targets_count(struct engine_ctl *ctl, const Cairn__Ctl__PoolCreateReq *in, uint32_t *ret_rank_nr)
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
meta_of(struct engine_ctl *ctl, uint64_t each)
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
ranks_choose(struct engine_ctl *ctl, Cairn__Ctl__PoolCreateReq *in)
{
    const struct engine_group *g = engine_sys(ctl->engine)->group;
    uint32_t *joined = arena_calloc(ctl->arena, 2 * (size_t)g->nr + 1, sizeof(*joined));
    uint32_t nr = 0, first;

    if (joined == NULL)
        return CAIRN_ERR(NOMEM);
    if (in->n_ranks > 0)
        return engine_ctl_fail(ctl, CAIRN_ERR(INVAL), "give either the ranks or their number");
    for (uint32_t i = 0; i < g->nr; i++) {
        if (g->ranks[i].state == MGMT_RANK_JOINED)
            joined[nr++] = g->ranks[i].rank;
    }
    if (in->nranks > nr) {
        return engine_ctl_fail(ctl, CAIRN_ERR(INVAL),
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
sizes_from(struct engine_ctl *ctl, const Cairn__Ctl__PoolCreateReq *in,
    struct proto_sys_pool_create_req *args)
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
        return engine_ctl_fail(ctl, CAIRN_ERR(INVAL), "a size is given for both tiers or for none");
    }
    args->meta_bytes = ALIGN_DOWN(args->meta_bytes, (uint64_t)BIO_BLK_BYTES);
    args->data_bytes = ALIGN_DOWN(args->data_bytes, (uint64_t)BIO_BLK_BYTES);
    if (args->meta_bytes < MGMT_META_BYTES_MIN) {
        return engine_ctl_fail(ctl, CAIRN_ERR(INVAL),
            "the size gives %llu bytes of metadata to a target: it must be at least %llu",
            (unsigned long long)args->meta_bytes, (unsigned long long)MGMT_META_BYTES_MIN);
    }
    return 0;
}

static int
pool_create_reply(struct engine_ctl *ctl, const struct mgmt_pool *pool)
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
    rep.uuid = engine_ctl_bytes(ctl, &pool->pool);
    rep.label = engine_ctl_str(ctl, pool->label);
    rep.svc_ldr = pool->svc_rank;
    rep.svc_reps = &rep.svc_ldr;
    rep.n_svc_reps = 1;
    rep.n_tgt_ranks = pool->rank_nr;
    rep.tier_bytes = tiers;
    rep.n_tier_bytes = 2;
    rep.targets = tgt_nr;
    return engine_ctl_reply(ctl, &rep.base);
}

int
engine_ctl_pool_create(struct engine_ctl *ctl)
{
    Cairn__Ctl__PoolCreateReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__pool_create_req__descriptor);
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
        return engine_ctl_fail(ctl, CAIRN_ERR(NOTSUPPORTED),
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
        return engine_ctl_pool_fail(ctl, rc, id);
    return rc;
}

int
engine_ctl_pool_destroy(struct engine_ctl *ctl)
{
    Cairn__Ctl__PoolDestroyReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__pool_destroy_req__descriptor);
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
    return rc != 0 ? engine_ctl_pool_fail(ctl, rc, in->id) : 0;
}

int
engine_ctl_pool_evict(struct engine_ctl *ctl)
{
    Cairn__Ctl__PoolEvictReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__pool_evict_req__descriptor);
    Cairn__Ctl__PoolEvictRep rep = CAIRN__CTL__POOL_EVICT_REP__INIT;
    struct mgmt_pool pool;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    rc = mgmt_pool_find(ctl->engine->mgmt, pool_key_str(in->id), ctl->arena, &pool);
    if (rc == 0)
        rc = mgmt_pool_evict(ctl->engine->mgmt, &pool, ctl->arena, &rep.handles);
    return rc != 0 ? engine_ctl_pool_fail(ctl, rc, in->id) : engine_ctl_reply(ctl, &rep.base);
}

/* The list of an answer, grown batch by batch. */
struct pool_rows {
    Cairn__Ctl__PoolListRep rep;
    size_t room, bytes; /* entries there is room for; what they take when packed, about */
    struct uuid last;
};

static int
pool_row_add(struct engine_ctl *ctl, struct pool_rows *rows, const struct mgmt_pool *pool)
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
    e->uuid = engine_ctl_bytes(ctl, &pool->pool);
    e->label = engine_ctl_str(ctl, pool->label);
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
pool_rows_more(struct engine_ctl *ctl, struct pool_rows *rows, bool *ret_eof)
{
    struct mgmt_pool *pools;
    struct arena arena;
    uint32_t nr = 0;
    int rc;

    arena_init(&arena, 65536, ENGINE_CTL_ARENA_BYTES_MAX);
    rc = mgmt_pool_list(ctl->engine->mgmt, rows->last, POOLS_BATCH_NR, &arena, &pools, &nr, ret_eof);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        rc = pool_row_add(ctl, rows, &pools[i]);
    }
    arena_fini(&arena);
    return rc;
}

int
engine_ctl_pool_list(struct engine_ctl *ctl)
{
    struct pool_rows rows = {.rep = CAIRN__CTL__POOL_LIST_REP__INIT};
    bool eof = false;
    int rc = 0;

    while (rc == 0 && !eof) {
        rc = pool_rows_more(ctl, &rows, &eof);
        if (rc == 0 && rows.bytes > ENGINE_CTL_BYTES_MAX) {
            return engine_ctl_fail(
                ctl, CAIRN_ERR(OVERFLOW), "the list of pools is longer than 1 MiB");
        }
    }
    return rc != 0 ? engine_ctl_pool_fail(ctl, rc, "") : engine_ctl_reply(ctl, &rows.rep.base);
}

int
engine_ctl_pool_ask(
    struct engine_ctl *ctl, const struct mgmt_pool *pool, struct proto_pool_query_rep *rep)
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
query_map(struct engine_ctl *ctl, struct iov bytes, Cairn__Ctl__PoolQueryRep *rep)
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
query_props(struct engine_ctl *ctl, const struct proto_array *props, Cairn__Ctl__PoolQueryRep *rep)
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
            dst[i].str = engine_ctl_str(ctl, src[i].bytes);
        if (def->kind == POOL_PROP_BYTES)
            dst[i].data = (ProtobufCBinaryData){src[i].bytes.len, src[i].bytes.buf};
        rep->properties[rep->n_properties++] = &dst[i];
    }
    return 0;
}

static int
query_fill(struct engine_ctl *ctl, struct mgmt_pool *pool, const struct proto_pool_query_rep *src)
{
    Cairn__Ctl__PoolQueryRep rep = CAIRN__CTL__POOL_QUERY_REP__INIT;
    Cairn__Ctl__TierStats tiers[2], *tier_ptrs[2] = {&tiers[0], &tiers[1]};
    int rc;

    rc = query_map(ctl, src->map, &rep);
    rep.active_targets -= MIN(rep.active_targets, src->out_nr);
    rep.disabled_targets = rep.total_targets - rep.active_targets;
    if (rc == 0)
        rc = query_props(ctl, &src->props, &rep);
    if (rc != 0)
        return rc;
    tier_fill(&tiers[0], &src->space, 0);
    tier_fill(&tiers[1], &src->space, 1);
    rep.uuid = engine_ctl_bytes(ctl, &pool->pool);
    rep.label = engine_ctl_str(ctl, pool->label);
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
    return engine_ctl_reply(ctl, &rep.base);
}

int
engine_ctl_pool_query(struct engine_ctl *ctl)
{
    Cairn__Ctl__PoolQueryReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__pool_query_req__descriptor);
    struct proto_pool_query_rep *src = arena_calloc(ctl->arena, 1, sizeof(*src));
    struct mgmt_pool pool;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    if (src == NULL)
        return CAIRN_ERR(NOMEM);
    rc = mgmt_pool_find(ctl->engine->mgmt, pool_key_str(in->id), ctl->arena, &pool);
    if (rc == 0)
        rc = engine_ctl_pool_ask(ctl, &pool, src);
    if (rc == 0)
        rc = query_fill(ctl, &pool, src);
    return rc != 0 ? engine_ctl_pool_fail(ctl, rc, in->id) : 0;
}

int
engine_ctl_pool_set_prop(struct engine_ctl *ctl)
{
    Cairn__Ctl__PoolSetPropReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__pool_set_prop_req__descriptor);
    struct proto_array props;
    struct proto_prop *list;
    struct mgmt_pool pool;
    int rc;

    if (in == NULL)
        return CAIRN_ERR(PROTO);
    rc = mgmt_pool_find(ctl->engine->mgmt, pool_key_str(in->id), ctl->arena, &pool);
    if (rc == 0)
        rc = props_take(ctl, in->properties, in->n_properties, 0, &list);
    if (rc != 0)
        return engine_ctl_pool_fail(ctl, rc, in->id);
    props = (struct proto_array){(uint32_t)in->n_properties, list};
    rc = mgmt_pool_props_set(ctl->engine->mgmt, &pool, &props, ctl->arena);
    switch (-rc) {
    case 0:
        return 0;
    case DER_EXIST:
        return engine_ctl_fail(ctl, rc, "another pool has that label: choose another");
    case DER_NO_PERM:
        return engine_ctl_fail(ctl, rc,
            "pool '%s': a property among these is set when the pool is made, and not later", in->id);
    case DER_INVAL:
        return engine_ctl_fail(
            ctl, rc, "pool '%s': no such property, or a value out of range", in->id);
    default:
        return engine_ctl_pool_fail(ctl, rc, in->id);
    }
}
