/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The system service: its life, its worker, and the requests that read. Tested by test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "mgmt_priv.h"

struct uuid
mgmt_svc_uuid(struct uuid system)
{
    return cuuid_derive(&system, 1);
}

/* ---- requests ------------------------------------------------------------------------------- */

int
mgmt_call_begin(struct mgmt *mgmt, struct rpc_req *req)
{
    uint32_t hint = mgmt->env.svc_rank;
    int rc = CAIRN_ERR(NOTLEADER);

    if (mgmt->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    if (mgmt->rsvc != NULL)
        rc = rsvc_check_leader(mgmt->rsvc, &hint);
    if (rc != 0) {
        if (req != NULL)
            req->hint_rank = hint;
        return rc;
    }
    mgmt->calls_nr++;
    return 0;
}

void
mgmt_call_end(struct mgmt *mgmt)
{
    CAIRN_ASSERT(mgmt->calls_nr > 0);
    mgmt->calls_nr--;
    ult_cond_broadcast(&mgmt->changed);
}

static int
pool_find(struct mgmt *mgmt, struct iov id, struct arena *arena, struct mgmt_pool *ret_pool)
{
    char text[CUUID_TEXT_BYTES];
    struct uuid pool;
    struct iov row;
    int rc;

    if (id.len == CUUID_TEXT_BYTES - 1) {
        memcpy(text, id.buf, id.len);
        text[id.len] = '\0';
        if (cuuid_parse(text, &pool) == 0)
            return mgmt_row_get(mgmt, &pool, arena, ret_pool);
    }
    rc = pool_label_check(id);
    if (rc == 0)
        rc = rsvc_get(mgmt->rsvc, MGMT_TABLE_LABELS, id, arena, &row);
    if (rc != 0)
        return rc;
    if (row.len != sizeof(pool))
        return CAIRN_ERR(DF_INVAL);
    memcpy(&pool, row.buf, sizeof(pool));
    return mgmt_row_get(mgmt, &pool, arena, ret_pool);
}

int
mgmt_pool_find(struct mgmt *mgmt, struct iov id, struct arena *arena, struct mgmt_pool *ret_pool)
{
    int rc;

    rc = mgmt_call_begin(mgmt, NULL);
    if (rc != 0)
        return rc;
    rc = pool_find(mgmt, id, arena, ret_pool);
    mgmt_call_end(mgmt);
    return rc;
}

struct lister {
    struct arena *arena;
    struct mgmt_pool *pools;
    uint32_t nr, nr_max;
    bool is_more;
    int rc;
};

static bool
list_add_pool(void *arg, struct iov key, struct iov value)
{
    struct lister *l = arg;
    struct iov copy;

    if (l->nr == l->nr_max) {
        l->is_more = true;
        return false;
    }
    copy = (struct iov){arena_dup(l->arena, value.buf, value.len), value.len};
    l->rc = copy.buf == NULL ? CAIRN_ERR(NOMEM)
                             : mgmt_row_decode(key, copy, l->arena, &l->pools[l->nr]);
    l->nr++;
    return l->rc == 0;
}

int
mgmt_pool_list(struct mgmt *mgmt, struct uuid after, uint32_t nr_max, struct arena *arena,
    struct mgmt_pool **ret_pools, uint32_t *ret_nr, bool *ret_eof)
{
    struct iov from = cuuid_is_nil(&after) ? (struct iov){NULL, 0} : pool_key_uuid(&after);
    struct lister l = {.arena = arena, .nr_max = nr_max};
    int rc;

    l.pools = arena_calloc(arena, MAX(nr_max, 1), sizeof(*l.pools));
    if (l.pools == NULL)
        return CAIRN_ERR(NOMEM);
    rc = mgmt_call_begin(mgmt, NULL);
    if (rc != 0)
        return rc;
    rc = rsvc_list_keys(mgmt->rsvc, MGMT_TABLE_POOLS, from, list_add_pool, &l);
    mgmt_call_end(mgmt);
    if (rc == 0)
        rc = l.rc;
    if (rc != 0)
        return rc;
    *ret_pools = l.pools;
    *ret_nr = l.nr;
    *ret_eof = !l.is_more;
    return 0;
}

/* ---- ranks ---------------------------------------------------------------------------------- */

enum { RANK_ROW_BYTES_MAX = 1 + 8 + 4 + 4 + 4 + NET_URI_MAX };

static void
rank_encode(struct enc *e, const struct mgmt_rank *r)
{
    enc_u8(e, 1);
    enc_u64(e, r->incarnation);
    enc_u32(e, r->tgt_nr);
    enc_u32(e, r->node);
    enc_str(e, r->uri);
}

static int
rank_decode(struct iov key, struct iov value, struct arena *arena, struct mgmt_rank *ret_rank)
{
    char uri[NET_URI_MAX];
    struct mgmt_rank r = {.state = MGMT_RANK_UNRESPONSIVE};
    struct dec d;
    uint8_t version;

    if (key.len != 4)
        return CAIRN_ERR(DF_INVAL);
    r.rank = __builtin_bswap32(le32_get(key.buf));
    dec_init(&d, value.buf, value.len);
    version = dec_u8(&d);
    r.incarnation = dec_u64(&d);
    r.tgt_nr = dec_u32(&d);
    r.node = dec_u32(&d);
    dec_str(&d, uri, sizeof(uri));
    if (dec_check(&d) != 0 || version != 1)
        return CAIRN_ERR(DF_INVAL);
    r.uri = arena_strdup(arena, uri);
    if (r.uri == NULL)
        return CAIRN_ERR(NOMEM);
    *ret_rank = r;
    return 0;
}

/* Record ranks whose row differs (worker). */
static int
ranks_record(struct mgmt *mgmt, struct arena *arena)
{
    struct mgmt_rank *ranks;
    uint32_t nr;
    int rc;

    rc = mgmt->env.ranks(mgmt->env.arg, arena, &ranks, &nr);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        uint8_t key[4], row[RANK_ROW_BYTES_MAX];
        struct rsvc_update u = {.op = RSVC_PUT, .table = MGMT_TABLE_RANKS, .key = {key, sizeof(key)}};
        struct vos_apply_ret ret;
        struct iov old;
        struct enc e;

        le32_put(key, __builtin_bswap32(ranks[i].rank));
        enc_init(&e, row, sizeof(row));
        rank_encode(&e, &ranks[i]);
        CAIRN_ASSERT(enc_check(&e) == 0);
        u.value = (struct iov){row, e.len};
        rc = rsvc_get(mgmt->rsvc, MGMT_TABLE_RANKS, u.key, arena, &old);
        if (rc == 0 && old.len == e.len && memcmp(old.buf, row, e.len) == 0)
            continue;
        if (rc == 0 || rc == -DER_NONEXIST)
            rc = rsvc_propose(mgmt->rsvc, &u, 1, NULL, (struct iov){NULL, 0}, &ret);
    }
    return rc;
}

struct rank_lister {
    struct arena *arena;
    struct mgmt_rank *ranks;
    uint32_t nr;
    int rc;
};

static bool
list_add_rank(void *arg, struct iov key, struct iov value)
{
    struct rank_lister *l = arg;

    if (l->nr == MGMT_POOL_RANKS_NR_MAX)
        return false;
    l->rc = rank_decode(key, value, l->arena, &l->ranks[l->nr]);
    l->nr++;
    return l->rc == 0;
}

/* What the group says of a rank wins over what was recorded. */
static void
ranks_merge(struct rank_lister *l, const struct mgmt_rank *group, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        uint32_t k = 0;

        while (k < l->nr && l->ranks[k].rank != group[i].rank) {
            k++;
        }
        if (k == MGMT_POOL_RANKS_NR_MAX)
            continue;
        l->ranks[k] = group[i];
        l->nr = MAX(l->nr, k + 1);
    }
}

int
mgmt_ranks(struct mgmt *mgmt, struct arena *arena, struct mgmt_rank **ret_ranks, uint32_t *ret_nr)
{
    struct rank_lister l = {.arena = arena};
    struct mgmt_rank *group;
    uint32_t nr;
    int rc;

    l.ranks = arena_calloc(arena, MGMT_POOL_RANKS_NR_MAX, sizeof(*l.ranks));
    if (l.ranks == NULL)
        return CAIRN_ERR(NOMEM);
    rc = mgmt_call_begin(mgmt, NULL);
    if (rc != 0)
        return rc;
    rc = rsvc_list_keys(mgmt->rsvc, MGMT_TABLE_RANKS, (struct iov){NULL, 0}, list_add_rank, &l);
    if (rc == 0)
        rc = l.rc;
    mgmt_call_end(mgmt);
    if (rc == 0)
        rc = mgmt->env.ranks(mgmt->env.arg, arena, &group, &nr);
    if (rc != 0)
        return rc;
    ranks_merge(&l, group, nr);
    *ret_ranks = l.ranks;
    *ret_nr = l.nr;
    return 0;
}

/* ---- worker --------------------------------------------------------------------------------- */

void
mgmt_group_changed(struct mgmt *mgmt)
{
    mgmt->has_ranks = true;
    mgmt->has_unfinished = true;
    ult_cond_broadcast(&mgmt->changed);
}

enum { UNFINISHED_BATCH_NR = 16 };

struct unfinished {
    struct uuid pools[UNFINISHED_BATCH_NR];
    uint32_t nr;
};

static bool
find_unfinished(void *arg, struct iov key, struct iov value)
{
    struct unfinished *u = arg;
    uint32_t state;

    if (key.len != sizeof(u->pools[0]) || mgmt_row_state(value, &state) != 0)
        return true; /* logged where it is asked for */
    if (state != MGMT_POOL_READY)
        memcpy(&u->pools[u->nr++], key.buf, key.len);
    return u->nr < UNFINISHED_BATCH_NR;
}

/* One of them; false when it is to be tried again. */
static bool
take_up(struct mgmt *mgmt, struct uuid pool)
{
    char text[CUUID_TEXT_BYTES];
    int rc;

    arena_reset(&mgmt->arena);
    rc = mgmt_pool_drive(mgmt, pool, &mgmt->arena);
    if (rc == 0) {
        LOG_INFO("pool %s: unfinished change taken up and done", cuuid_format(&pool, text));
    } else {
        LOG_DEBUG("pool %s: unfinished change taken up: %s", cuuid_format(&pool, text), err_text(rc));
    }
    return rc == 0;
}

/* Finish or undo what was left in the middle (MGT-1): each once, so that what cannot be done now holds up nothing else. */
static void
work_unfinished(struct mgmt *mgmt)
{
    struct iov after = {NULL, 0};
    struct unfinished u;
    struct uuid last = {{0}};
    int rc;

    mgmt->has_unfinished = false;
    do {
        u.nr = 0;
        rc = rsvc_list_keys(mgmt->rsvc, MGMT_TABLE_POOLS, after, find_unfinished, &u);
        if (rc != 0)
            mgmt->has_unfinished = true; /* also when no longer leader: the next term looks anyway */
        for (uint32_t i = 0; rc == 0 && i < u.nr && !mgmt->is_stopping; i++) {
            if (!take_up(mgmt, u.pools[i]))
                mgmt->has_unfinished = true;
        }
        if (u.nr > 0)
            last = u.pools[u.nr - 1];
        after = pool_key_uuid(&last);
    } while (rc == 0 && u.nr == UNFINISHED_BATCH_NR && !mgmt->is_stopping);
}

static void
work_ult(void *arg)
{
    struct mgmt *mgmt = arg;

    while (!mgmt->is_stopping) {
        bool is_leader = rsvc_check_leader(mgmt->rsvc, NULL) == 0;

        if (is_leader && mgmt->has_ranks) {
            mgmt->has_ranks = false;
            arena_reset(&mgmt->arena);
            if (ranks_record(mgmt, &mgmt->arena) != 0)
                mgmt->has_ranks = true;
        }
        if (is_leader && mgmt->has_unfinished && !mgmt->is_stopping)
            work_unfinished(mgmt);
        if (mgmt->is_stopping)
            break;
        if (mgmt->has_ranks || mgmt->has_unfinished) {
            ult_cond_wait_until(&mgmt->changed, NULL, ult_now_ns() + MGMT_RETRY_NS);
        } else {
            ult_cond_wait(&mgmt->changed, NULL);
        }
    }
    mgmt->is_working = false;
    ult_cond_broadcast(&mgmt->changed);
}

/* ---- life ----------------------------------------------------------------------------------- */

static int
step_up(void *arg)
{
    mgmt_group_changed(arg);
    return 0;
}

static int
svc_start(struct mgmt *mgmt)
{
    struct rsvc_opts opts = {.svc = mgmt_svc_uuid(mgmt->env.system),
        .self_rank = mgmt->env.self_rank,
        .step_up = step_up,
        .arg = mgmt};
    int rc;

    rc = rsvc_create(mgmt->env.sys, opts.svc);
    if (rc == 0 || rc == -DER_EXIST)
        rc = rsvc_start(mgmt->env.sys, &opts, &mgmt->rsvc);
    if (rc != 0)
        return rc;
    mgmt->is_working = true;
    rc = ult_create(rpc_ctx_xstream(mgmt->env.rpc), ULT_SERVICE, work_ult, mgmt, NULL);
    if (rc != 0)
        mgmt->is_working = false;
    return rc;
}

int
mgmt_start(const struct mgmt_env *env, struct mgmt **ret_mgmt)
{
    struct mgmt *mgmt = calloc(1, sizeof(*mgmt));
    int rc = 0;

    if (mgmt == NULL)
        return CAIRN_ERR(NOMEM);
    mgmt->env = *env;
    ult_mutex_init(&mgmt->lock);
    ult_cond_init(&mgmt->changed);
    list_init(&mgmt->jobs);
    arena_init(&mgmt->arena, 1024, 4 << 20);
    *ret_mgmt = mgmt; /* for abandon() while this call waits */
    if (env->self_rank == env->svc_rank)
        rc = svc_start(mgmt);
    if (rc != 0) {
        mgmt_stop(mgmt);
        *ret_mgmt = NULL;
        mgmt_destroy(mgmt);
    }
    return rc;
}

void
mgmt_stop(struct mgmt *mgmt)
{
    if (mgmt == NULL)
        return;
    mgmt->is_stopping = true;
    ult_cond_broadcast(&mgmt->changed);
    while (mgmt->is_working || mgmt->calls_nr > 0) {
        ult_cond_wait(&mgmt->changed, NULL);
    }
    rsvc_stop(mgmt->rsvc);
    mgmt->rsvc = NULL;
}

void
mgmt_destroy(struct mgmt *mgmt)
{
    if (mgmt == NULL)
        return;
    CAIRN_ASSERT(mgmt->is_stopping && mgmt->calls_nr == 0);
    ult_mutex_fini(&mgmt->lock);
    ult_cond_fini(&mgmt->changed);
    arena_fini(&mgmt->arena);
    free(mgmt);
}

void
mgmt_abandon(struct mgmt *mgmt)
{
    struct mgmt_job *job, *tmp;

    if (mgmt == NULL)
        return;
    LIST_FOREACH_SAFE(job, tmp, &mgmt->jobs, struct mgmt_job, link) {
        free(job);
    }
    rsvc_abandon(mgmt->rsvc);
    arena_fini(&mgmt->arena);
    free(mgmt);
}

struct rsvc *
mgmt_rsvc(struct mgmt *mgmt)
{
    return mgmt->rsvc;
}

/* ---- handlers ------------------------------------------------------------------------------- */

static int
ranks_one(struct arena *arena, uint32_t rank, struct proto_array *ret_ranks)
{
    struct proto_rank *r = arena_calloc(arena, 1, sizeof(*r));

    if (r == NULL)
        return CAIRN_ERR(NOMEM);
    r->rank = rank;
    *ret_ranks = (struct proto_array){1, r};
    return 0;
}

int
mgmt_h_pool_create(struct mgmt *mgmt, struct rpc_req *req, void *rep)
{
    struct proto_sys_pool_create_rep *out = rep;
    struct proto_rank *ranks;
    struct mgmt_pool pool;
    uint64_t tgt_nr = 0;
    int rc;

    rc = mgmt_pool_create(mgmt, req, req->body, req->arena, &pool);
    if (rc != 0)
        return rc;
    ranks = arena_calloc(req->arena, MAX(pool.rank_nr, 1), sizeof(*ranks));
    if (ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < pool.rank_nr; i++) {
        ranks[i].rank = pool.ranks[i].rank.v;
        tgt_nr += pool.ranks[i].tgts_nr;
    }
    out->tgt_ranks = (struct proto_array){pool.rank_nr, ranks};
    out->tier_bytes[0] = pool.meta_bytes * tgt_nr;
    out->tier_bytes[1] = pool.data_bytes * tgt_nr;
    return ranks_one(req->arena, pool.svc_rank, &out->svc_ranks);
}

int
mgmt_h_pool_destroy(struct mgmt *mgmt, struct rpc_req *req, void *rep)
{
    const struct proto_sys_pool_destroy_req *in = req->body;

    (void)rep;
    return mgmt_pool_destroy(mgmt, req, in->pool, in->force != 0, in->recursive != 0, req->arena);
}

int
mgmt_h_pool_resolve(struct mgmt *mgmt, struct rpc_req *req, void *rep)
{
    const struct proto_sys_resolve_req *in = req->body;
    struct proto_sys_resolve_rep *out = rep;
    struct mgmt_pool pool;
    int rc;

    rc = mgmt_call_begin(mgmt, req);
    if (rc != 0)
        return rc;
    rc = pool_find(mgmt, in->id, req->arena, &pool);
    mgmt_call_end(mgmt);
    if (rc == 0 && pool.state == MGMT_POOL_CREATING)
        rc = CAIRN_ERR(BUSY);
    if (rc == 0 && pool.state == MGMT_POOL_DESTROYING)
        rc = CAIRN_ERR(NONEXIST);
    if (rc != 0)
        return rc;
    out->pool = pool.pool;
    out->label = pool.label;
    return ranks_one(req->arena, pool.svc_rank, &out->svc_ranks);
}

int
mgmt_h_pool_list(struct mgmt *mgmt, struct rpc_req *req, void *rep)
{
    const struct proto_sys_pool_list_req *in = req->body;
    struct proto_sys_pool_list_rep *out = rep;
    uint32_t nr_max = in->nr_max == 0 ? PROTO_POOLS_NR_MAX : in->nr_max;
    struct proto_pool_entry *entries;
    struct mgmt_pool *pools;
    uint32_t nr;
    bool eof;
    int rc;

    rc = mgmt_call_begin(mgmt, req); /* for the hint */
    if (rc != 0)
        return rc;
    mgmt_call_end(mgmt);
    rc = mgmt_pool_list(
        mgmt, in->after, MIN(nr_max, (uint32_t)PROTO_POOLS_NR_MAX), req->arena, &pools, &nr, &eof);
    if (rc != 0)
        return rc;
    entries = arena_calloc(req->arena, MAX(nr, 1), sizeof(*entries));
    if (entries == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        entries[i].uuid = pools[i].pool;
        entries[i].label = pools[i].label;
        entries[i].state = pools[i].state;
        rc = ranks_one(req->arena, pools[i].svc_rank, &entries[i].svc_ranks);
    }
    out->pools = (struct proto_array){nr, entries};
    out->eof = eof;
    return rc;
}

int
mgmt_h_query(struct mgmt *mgmt, struct rpc_req *req, void *rep)
{
    struct proto_sys_query_rep *out = rep;
    struct proto_sys_rank *dst;
    struct mgmt_rank *ranks;
    uint32_t nr;
    int rc;

    rc = mgmt_call_begin(mgmt, req);
    if (rc != 0)
        return rc;
    mgmt_call_end(mgmt);
    rc = mgmt_ranks(mgmt, req->arena, &ranks, &nr);
    if (rc != 0)
        return rc;
    dst = arena_calloc(req->arena, MAX(nr, 1), sizeof(*dst));
    if (dst == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        dst[i] = (struct proto_sys_rank){.rank = ranks[i].rank,
            .incarnation = ranks[i].incarnation,
            .state = ranks[i].state,
            .tgt_nr = ranks[i].tgt_nr,
            .uri = pool_key_str(ranks[i].uri)};
    }
    out->ranks = (struct proto_array){nr, dst};
    out->leader = mgmt->env.self_rank;
    return 0;
}
