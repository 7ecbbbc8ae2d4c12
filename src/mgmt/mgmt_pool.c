/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Creating and destroying a pool.
 *
 *      create:  commit row CREATING, label, request id -> TGT_POOL_CREATE to every target ->
 *      SVC_POOL_START -> commit READY
 *               a step fails: commit DESTROYING and go on there
 *      destroy: commit DESTROYING, request id -> SVC_POOL_STOP -> TGT_POOL_DESTROY to every target
 *      -> commit: no row, no label
 *
 * The request id goes with the first commit, the decision: whoever takes the steps, a resend finds
 * that it was decided and waits for them.
 *
 * Tested by test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/probe.h"
#include "mgmt_priv.h"

#define EVICT_NS UINT64_C(60000000000) /* a full table, and targets that do not answer */

/* ---- commits -------------------------------------------------------------------------------- */

static int
propose(struct mgmt *mgmt, struct rsvc_update *updates, uint32_t nr, const struct vos_req_id *id)
{
    struct vos_apply_ret ret;

    return rsvc_propose(mgmt->rsvc, updates, nr, id, (struct iov){NULL, 0}, &ret);
}

static int
row_commit(struct mgmt *mgmt, struct mgmt_pool *pool, uint32_t state, const struct vos_req_id *id,
    struct arena *arena)
{
    struct rsvc_update u;
    int rc;

    pool->state = state;
    rc = mgmt_row_update(pool, arena, &u);
    return rc != 0 ? rc : propose(mgmt, &u, 1, id);
}

static int
row_remove(struct mgmt *mgmt, const struct mgmt_pool *pool)
{
    struct rsvc_update u[2] = {
        {.op = RSVC_DEL, .table = MGMT_TABLE_POOLS, .key = pool_key_uuid(&pool->pool)},
        {.op = RSVC_DEL, .table = MGMT_TABLE_LABELS, .key = pool->label},
    };

    return propose(mgmt, u, pool->label.len > 0 ? 2 : 1, NULL);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static int
ask_targets(struct mgmt *mgmt, const struct mgmt_pool *pool, uint16_t opcode, uint64_t ns,
    struct arena *arena, struct pool_bcast_item **ret_items, uint32_t *ret_nr)
{
    struct proto_tgt_pool_req body = {pool->pool, pool->meta_bytes, pool->data_bytes, pool->life};
    struct pool_bcast_item *items;
    uint32_t nr = 0, k = 0;

    for (uint32_t i = 0; i < pool->rank_nr; i++) {
        nr += pool->ranks[i].tgts_nr;
    }
    items = arena_calloc(arena, MAX(nr, 1), sizeof(*items));
    if (items == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < pool->rank_nr; i++) {
        for (uint32_t t = 0; t < pool->ranks[i].tgts_nr; t++, k++) {
            items[k].rank = pool->ranks[i].rank.v;
            items[k].tgt_idx = t;
        }
    }
    pool_bcast_to(mgmt->env.rpc, arena, opcode, &body, ult_now_ns() + ns, items, nr);
    *ret_items = items;
    *ret_nr = nr;
    return 0;
}

static int
tell_targets(struct mgmt *mgmt, const struct mgmt_pool *pool, uint16_t opcode, struct arena *arena)
{
    struct pool_bcast_item *items;
    uint32_t nr;
    int rc;

    rc = ask_targets(mgmt, pool, opcode, MGMT_STEP_NS, arena, &items, &nr);
    return rc != 0 ? rc : pool_bcast_rc(items, nr);
}

static int
map_encode(const struct mgmt_pool *pool, struct arena *arena, struct iov *ret_map)
{
    struct poolmap *map;
    struct enc e;
    void *buf;
    size_t len;
    int rc;

    rc = poolmap_create(pool->ranks, pool->rank_nr, &map);
    if (rc != 0)
        return rc;
    len = poolmap_encoded_bytes(map);
    buf = len > PROTO_MAP_BYTES_MAX ? NULL : arena_alloc(arena, len);
    if (buf == NULL) {
        poolmap_destroy(map);
        return len > PROTO_MAP_BYTES_MAX ? CAIRN_ERR(OVERFLOW) : CAIRN_ERR(NOMEM);
    }
    enc_init(&e, buf, len);
    poolmap_encode(map, &e);
    poolmap_destroy(map);
    rc = enc_check(&e);
    if (rc == 0)
        *ret_map = (struct iov){buf, e.len};
    return rc;
}

/* An engine that has just started was not told yet that the asker is one, too. */
static bool
is_early(int rc)
{
    return rc == -DER_NO_PERM;
}

/* A message to the pool's service. */
static int
service_ask(struct mgmt *mgmt, const struct mgmt_pool *pool, uint16_t opcode, const void *body,
    void *rep, const struct rpc_call_opts *opts)
{
    struct rpc_ep ep = {pool->svc_rank, RPC_TAG_SYSTEM};
    int rc;

    for (;;) {
        rc = rpc_call(mgmt->env.rpc, ep, opcode, body, rep, opts, NULL);
        if (!is_early(rc) || ult_now_ns() + POOL_RETRY_NS >= opts->deadline_ns)
            return rc;
        ult_sleep(POOL_RETRY_NS);
    }
}

/* A request to the pool's service, or the function behind it where the service is here. */
static int
tell_service(struct mgmt *mgmt, const struct mgmt_pool *pool, uint16_t opcode, struct arena *arena)
{
    struct proto_svc_pool_req body = {.pool = pool->pool,
        .props = pool->props,
        .uid = pool->uid,
        .gid = pool->gid,
        .life = pool->life};
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + MGMT_STEP_NS, .arena = arena};
    struct rpc_ep ep = {pool->svc_rank, RPC_TAG_SYSTEM};
    struct proto_empty rep;
    int rc = 0;

    if (opcode == PROTO_SVC_POOL_START)
        rc = map_encode(pool, arena, &body.map);
    if (rc != 0)
        return rc;
    do {
        if (pool->svc_rank != mgmt->env.self_rank) {
            rc = rpc_call(mgmt->env.rpc, ep, opcode, &body, &rep, &opts, NULL);
        } else if (opcode == PROTO_SVC_POOL_START) {
            rc = pool_svc_create(mgmt->env.pools, &body, arena);
        } else {
            rc = pool_svc_destroy(mgmt->env.pools, pool->pool, pool->life);
        }
        if (err_class(rc) != ERR_CLASS_RETRY && err_class(rc) != ERR_CLASS_BUSY && !is_early(rc))
            break;
        ult_sleep(POOL_RETRY_NS);
    } while (ult_now_ns() < opts.deadline_ns);
    return rc;
}

static int
steps_create(struct mgmt *mgmt, struct mgmt_pool *pool, struct arena *arena)
{
    int rc, rc2;

    rc = tell_targets(mgmt, pool, PROTO_TGT_POOL_CREATE, arena);
    if (rc == 0)
        rc = tell_service(mgmt, pool, PROTO_SVC_POOL_START, arena);
    if (rc == 0)
        return row_commit(mgmt, pool, MGMT_POOL_READY, NULL, arena);
    if (rc == -DER_NOTLEADER || rc == -DER_SHUTDOWN)
        return rc; /* the next leader goes on */
    CAIRN_PROBE("mgmt.create.undo");
    rc2 = row_commit(mgmt, pool, MGMT_POOL_DESTROYING, NULL, arena);
    mgmt->has_unfinished = true;
    ult_cond_broadcast(&mgmt->changed);
    return rc2 == -DER_NOTLEADER ? rc2 : rc;
}

static int
steps_destroy(struct mgmt *mgmt, const struct mgmt_pool *pool, struct arena *arena)
{
    int rc;

    rc = tell_service(mgmt, pool, PROTO_SVC_POOL_STOP, arena);
    if (rc == 0)
        rc = tell_targets(mgmt, pool, PROTO_TGT_POOL_DESTROY, arena);
    if (rc == 0)
        rc = row_remove(mgmt, pool);
    if (rc != 0) {
        mgmt->has_unfinished = true;
        ult_cond_broadcast(&mgmt->changed);
    }
    return rc;
}

/* ---- one at a time -------------------------------------------------------------------------- */

static struct mgmt_job *
job_find(struct mgmt *mgmt, const struct uuid *pool)
{
    struct mgmt_job *job;

    LIST_FOREACH(job, &mgmt->jobs, struct mgmt_job, link) {
        if (cuuid_cmp(&job->pool, pool) == 0)
            return job;
    }
    return NULL;
}

int
mgmt_pool_drive(struct mgmt *mgmt, struct uuid uuid, struct arena *arena)
{
    struct mgmt_job *job;
    struct mgmt_pool pool;
    int rc;

    while (job_find(mgmt, &uuid) != NULL) {
        ult_cond_wait(&mgmt->changed, NULL);
        if (mgmt->is_stopping)
            return CAIRN_ERR(SHUTDOWN);
    }
    job = calloc(1, sizeof(*job));
    if (job == NULL)
        return CAIRN_ERR(NOMEM);
    job->pool = uuid;
    list_add(&job->link, &mgmt->jobs);
    rc = mgmt_row_get(mgmt, &uuid, arena, &pool);
    if (rc == 0 && pool.state == MGMT_POOL_CREATING) {
        rc = steps_create(mgmt, &pool, arena);
    } else if (rc == 0 && pool.state == MGMT_POOL_DESTROYING) {
        rc = steps_destroy(mgmt, &pool, arena);
    } else if (rc == -DER_NONEXIST)
        rc = 0;
    list_del(&job->link);
    free(job);
    ult_cond_broadcast(&mgmt->changed);
    return rc;
}

/* ---- create --------------------------------------------------------------------------------- */

/* The ranks of the new pool with their targets: those asked for, or all that joined. */
static int
ranks_choose(struct mgmt *mgmt, const struct proto_sys_pool_create_req *args, struct arena *arena,
    struct mgmt_pool *pool)
{
    const struct proto_rank *want = args->ranks.items;
    struct mgmt_rank *all;
    uint32_t nr;
    int rc;

    rc = mgmt->env.ranks(mgmt->env.arg, arena, &all, &nr);
    if (rc != 0)
        return rc;
    pool->ranks = arena_calloc(arena, MAX(nr, 1), sizeof(*pool->ranks));
    if (pool->ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        bool is_wanted = args->ranks.nr == 0;

        for (uint32_t k = 0; k < args->ranks.nr; k++) {
            is_wanted = is_wanted || want[k].rank == all[i].rank;
        }
        if (!is_wanted || all[i].state != MGMT_RANK_JOINED)
            continue;
        pool->ranks[pool->rank_nr++] = (struct poolmap_rank_desc){
            .rank = {all[i].rank}, .node_id = all[i].node, .tgts_nr = all[i].tgt_nr};
    }
    if (pool->rank_nr == 0 || pool->rank_nr > MGMT_POOL_RANKS_NR_MAX ||
        (args->ranks.nr != 0 && pool->rank_nr != args->ranks.nr))
        return CAIRN_ERR(OOG);
    pool->svc_rank =
        pool->ranks[hash_bytes64(pool->pool.b, sizeof(pool->pool.b), 0) % pool->rank_nr].rank.v;
    return 0;
}

static int
create_check(const struct proto_sys_pool_create_req *args, struct mgmt_pool *pool)
{
    const struct proto_prop *props = args->props.items;
    const struct pool_prop_def *defs;
    uint32_t nr;
    int rc;

    if (cuuid_is_nil(&args->pool) || args->meta_bytes < MGMT_META_BYTES_MIN)
        return CAIRN_ERR(INVAL);
    defs = pool_prop_defs(&nr);
    for (uint32_t i = 0; i < args->props.nr; i++) {
        rc = pool_prop_check(defs, nr, &props[i], true);
        if (rc == 0 && props[i].type == POOL_PROP_LABEL) {
            rc = pool_label_check(props[i].bytes);
            pool->label = props[i].bytes;
        }
        if (rc != 0)
            return rc;
    }
    pool->pool = args->pool;
    pool->meta_bytes = args->meta_bytes;
    pool->data_bytes = args->data_bytes;
    pool->uid = args->uid;
    pool->gid = args->gid;
    pool->props = args->props;
    return 0;
}

/* Commit the row of a new pool. */
static int
create_begin(struct mgmt *mgmt, const struct proto_sys_pool_create_req *args,
    const struct vos_req_id *id, struct arena *arena)
{
    struct mgmt_pool pool = {.state = MGMT_POOL_CREATING};
    struct rsvc_update u[2];
    struct iov other;
    int rc;

    rc = create_check(args, &pool);
    if (rc == 0)
        rc = ranks_choose(mgmt, args, arena, &pool);
    if (rc == 0)
        rc = vos_epoch_next(mgmt->env.sys, &pool.life);
    if (rc == 0)
        rc = mgmt_row_update(&pool, arena, &u[0]);
    if (rc != 0)
        return rc;
    if (pool.label.len == 0)
        return propose(mgmt, u, 1, id);
    rc = rsvc_get(mgmt->rsvc, MGMT_TABLE_LABELS, pool.label, arena, &other);
    if (rc != -DER_NONEXIST)
        return rc == 0 ? CAIRN_ERR(EXIST) : rc; /* MGT-2 */
    u[1] = (struct rsvc_update){.op = RSVC_PUT,
        .table = MGMT_TABLE_LABELS,
        .key = pool.label,
        .value = pool_key_uuid(&pool.pool)};
    return propose(mgmt, u, 2, id);
}

/* The request's id, NULL for the engine's own. */
static const struct vos_req_id *
id_of(const struct rpc_req *req, struct vos_req_id *buf)
{
    if (req == NULL)
        return NULL;
    *buf = (struct vos_req_id){req->hdr->client, req->hdr->slot, req->hdr->seq, req->hdr->first_hlc};
    return buf;
}

/* Was this request decided before? 0: yes; NONEXIST: no. */
static int
replayed(struct mgmt *mgmt, const struct vos_req_id *id)
{
    struct vos_apply_ret ret = {0};

    return id == NULL ? -DER_NONEXIST : rsvc_replay(mgmt->rsvc, id, &ret);
}

/* Is a request for a pool that has a row the one that made it (MGT-3)? */
static int
create_again(const struct proto_sys_pool_create_req *args, const struct mgmt_pool *pool)
{
    bool is_same = args->meta_bytes == pool->meta_bytes && args->data_bytes == pool->data_bytes;

    if (pool->state == MGMT_POOL_DESTROYING)
        return CAIRN_ERR(BUSY);
    return is_same ? 0 : CAIRN_ERR(EXIST);
}

/*
 * A target that is out of service (ENG-6) would make the steps fail, and their undoing wait for it: no
 * pool is begun there. What cannot be asked now is left to the steps.
 */
static int
targets_check(struct mgmt *mgmt, const struct proto_sys_pool_create_req *args, struct arena *arena)
{
    struct mgmt_pool pool = {.state = MGMT_POOL_CREATING};
    struct pool_bcast_item *items;
    uint32_t nr;
    int rc;

    rc = create_check(args, &pool);
    if (rc == 0)
        rc = ranks_choose(mgmt, args, arena, &pool);
    if (rc == 0)
        rc = ask_targets(mgmt, &pool, PROTO_TGT_POOL_QUERY, POOL_BCAST_NS, arena, &items, &nr);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        if (!pool_is_fault(items[i].rc))
            continue;
        LOG_WARN("no pool is made on rank %u, whose target %u is out of service: %s", items[i].rank,
            items[i].tgt_idx, err_text(items[i].rc));
        rc = items[i].rc;
    }
    return rc;
}

/* The decision; without may_begin only whether it was taken before (NONEXIST: it was not). */
static int
create_decide(struct mgmt *mgmt, const struct proto_sys_pool_create_req *args,
    const struct vos_req_id *id, bool may_begin, struct arena *arena)
{
    struct mgmt_pool pool;
    int rc;

    ult_mutex_lock(&mgmt->lock);
    rc = replayed(mgmt, id);
    if (rc == -DER_NONEXIST) {
        rc = mgmt_row_get(mgmt, &args->pool, arena, &pool);
        if (rc == 0) {
            rc = create_again(args, &pool);
        } else if (rc == -DER_NONEXIST && may_begin)
            rc = create_begin(mgmt, args, id, arena);
    }
    ult_mutex_unlock(&mgmt->lock);
    return rc;
}

static int
create(struct mgmt *mgmt, struct rpc_req *req, const struct proto_sys_pool_create_req *args,
    struct arena *arena)
{
    struct vos_req_id buf;
    const struct vos_req_id *id = id_of(req, &buf);
    int rc;

    rc = create_decide(mgmt, args, id, false, arena);
    if (rc == -DER_NONEXIST) {
        rc = targets_check(mgmt, args, arena);
        if (rc == 0)
            rc = create_decide(mgmt, args, id, true, arena);
    }
    return rc != 0 ? rc : mgmt_pool_drive(mgmt, args->pool, arena);
}

int
mgmt_pool_create(struct mgmt *mgmt, struct rpc_req *req,
    const struct proto_sys_pool_create_req *args, struct arena *arena, struct mgmt_pool *ret_pool)
{
    int rc;

    rc = mgmt_call_begin(mgmt, req);
    if (rc != 0)
        return rc;
    rc = create(mgmt, req, args, arena);
    if (rc == 0)
        rc = mgmt_row_get(mgmt, &args->pool, arena, ret_pool);
    if (rc == -DER_NONEXIST || (rc == 0 && ret_pool->state != MGMT_POOL_READY))
        rc = CAIRN_ERR(TGT_CREATE); /* another ULT took the steps, one failed, it is being undone */
    mgmt_call_end(mgmt);
    return rc;
}

/* ---- destroy -------------------------------------------------------------------------------- */

static int
evict(struct mgmt *mgmt, const struct mgmt_pool *pool, bool is_all, struct arena *arena,
    uint32_t *ret_nr)
{
    struct proto_pool_evict_req body = {.pool = pool->pool, .is_all = is_all};
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + EVICT_NS, .arena = arena};
    struct proto_pool_evict_rep rep = {0};
    int rc;

    if (pool->svc_rank == mgmt->env.self_rank)
        return pool_evict_local(mgmt->env.pools, arena, pool->pool, is_all, ret_nr);
    rc = service_ask(mgmt, pool, PROTO_POOL_EVICT, &body, &rep, &opts);
    if (rc == 0)
        *ret_nr = rep.nr;
    return rc;
}

int
mgmt_pool_evict(struct mgmt *mgmt, const struct mgmt_pool *pool, struct arena *arena, uint32_t *ret_nr)
{
    int rc;

    rc = mgmt_call_begin(mgmt, NULL);
    if (rc != 0)
        return rc;
    rc = pool->state == MGMT_POOL_READY ? evict(mgmt, pool, true, arena, ret_nr) : CAIRN_ERR(BUSY);
    mgmt_call_end(mgmt);
    return rc;
}

/* ---- properties ----------------------------------------------------------------------------- */

/* The row and the table of labels, in one commit (MGT-2). */
static int
label_commit(struct mgmt *mgmt, struct mgmt_pool *pool, struct iov label, struct arena *arena)
{
    struct proto_prop *props = arena_calloc(arena, pool->props.nr + 1, sizeof(*props));
    struct rsvc_update u[3];
    uint32_t nr = 0, at = 0;
    int rc;

    if (props == NULL)
        return CAIRN_ERR(NOMEM);
    if (pool->props.nr > 0)
        memcpy(props, pool->props.items, pool->props.nr * sizeof(*props));
    while (at < pool->props.nr && props[at].type != POOL_PROP_LABEL) {
        at++;
    }
    props[at] = (struct proto_prop){.type = POOL_PROP_LABEL, .bytes = label};
    pool->props = (struct proto_array){MAX(pool->props.nr, at + 1), props};
    if (pool->label.len > 0) {
        u[nr++] =
            (struct rsvc_update){.op = RSVC_DEL, .table = MGMT_TABLE_LABELS, .key = pool->label};
    }
    u[nr++] = (struct rsvc_update){
        .op = RSVC_PUT, .table = MGMT_TABLE_LABELS, .key = label, .value = pool_key_uuid(&pool->pool)};
    pool->label = label;
    rc = mgmt_row_update(pool, arena, &u[nr++]);
    return rc != 0 ? rc : propose(mgmt, u, nr, NULL);
}

static int
label_set(struct mgmt *mgmt, const struct uuid *id, struct iov label, struct arena *arena)
{
    struct mgmt_pool pool;
    struct iov other;
    int rc;

    ult_mutex_lock(&mgmt->lock);
    rc = mgmt_row_get(mgmt, id, arena, &pool);
    if (rc == 0 && pool.state != MGMT_POOL_READY)
        rc = CAIRN_ERR(BUSY);
    if (rc == 0 &&
        (pool.label.len != label.len || memcmp(pool.label.buf, label.buf, label.len) != 0)) {
        rc = rsvc_get(mgmt->rsvc, MGMT_TABLE_LABELS, label, arena, &other);
        if (rc == -DER_NONEXIST) {
            rc = label_commit(mgmt, &pool, label, arena);
        } else if (rc == 0)
            rc = CAIRN_ERR(EXIST);
    }
    ult_mutex_unlock(&mgmt->lock);
    return rc;
}

static int
props_set(struct mgmt *mgmt, const struct mgmt_pool *pool, const struct proto_array *props,
    struct arena *arena)
{
    struct proto_prop_req body = {.pool = pool->pool, .props = *props};
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + POOL_BCAST_NS * 2, .arena = arena};
    const struct proto_prop *list = props->items;
    const struct pool_prop_def *defs;
    struct proto_prop_rep rep;
    uint32_t nr;
    int rc = 0;

    defs = pool_prop_defs(&nr);
    for (uint32_t i = 0; rc == 0 && i < props->nr; i++) {
        bool is_label = list[i].type == POOL_PROP_LABEL;

        rc = pool_prop_check(defs, nr, &list[i], is_label);
        if (rc == 0 && is_label)
            rc = pool_label_check(list[i].bytes);
    }
    for (uint32_t i = 0; rc == 0 && i < props->nr; i++) {
        if (list[i].type == POOL_PROP_LABEL)
            rc = label_set(mgmt, &pool->pool, list[i].bytes, arena);
    }
    if (rc != 0)
        return rc;
    if (pool->svc_rank == mgmt->env.self_rank)
        return pool_prop_set_local(mgmt->env.pools, arena, pool->pool, props);
    return service_ask(mgmt, pool, PROTO_POOL_PROP_SET, &body, &rep, &opts);
}

int
mgmt_pool_props_set(struct mgmt *mgmt, const struct mgmt_pool *pool,
    const struct proto_array *props, struct arena *arena)
{
    int rc;

    rc = mgmt_call_begin(mgmt, NULL);
    if (rc != 0)
        return rc;
    rc = pool->state == MGMT_POOL_READY ? props_set(mgmt, pool, props, arena) : CAIRN_ERR(BUSY);
    mgmt_call_end(mgmt);
    return rc;
}

static int
query(struct mgmt *mgmt, const struct mgmt_pool *pool, struct arena *arena,
    struct proto_pool_query_rep *rep)
{
    struct proto_pool_query_req body = {.pool = pool->pool};
    struct rpc_call_opts opts = {.deadline_ns = ult_now_ns() + POOL_BCAST_NS * 2, .arena = arena};

    memset(rep, 0, sizeof(*rep));
    if (pool->svc_rank == mgmt->env.self_rank)
        return pool_query_local(mgmt->env.pools, arena, pool->pool, rep);
    return service_ask(mgmt, pool, PROTO_POOL_QUERY, &body, rep, &opts);
}

/* Is anybody using it? */
static int
destroy_check(struct mgmt *mgmt, const struct mgmt_pool *pool, bool force, bool recursive,
    struct arena *arena)
{
    struct proto_pool_query_rep rep;
    uint32_t gone_nr = 0;
    int rc;

    if (force && recursive)
        return 0;
    rc = query(mgmt, pool, arena, &rep);
    if (rc == 0 && !force && rep.hdl_nr > 0) { /* perhaps nobody who lives */
        rc = evict(mgmt, pool, false, arena, &gone_nr);
        if (rc == 0 && gone_nr > 0)
            rc = query(mgmt, pool, arena, &rep);
    }
    if (rc != 0)
        return rc;
    if ((!force && rep.hdl_nr > 0) || (!recursive && rep.cont_nr > 0))
        return CAIRN_ERR(BUSY);
    return 0;
}

/* Commit the decision, unless it was taken before. */
static int
destroy_begin(struct mgmt *mgmt, const struct vos_req_id *id, struct uuid uuid, bool force,
    bool recursive, struct arena *arena)
{
    struct mgmt_pool pool;
    int rc;

    rc = mgmt_row_get(mgmt, &uuid, arena, &pool);
    if (rc != 0 || pool.state == MGMT_POOL_DESTROYING)
        return rc;
    if (pool.state == MGMT_POOL_CREATING)
        return CAIRN_ERR(BUSY);
    rc = destroy_check(mgmt, &pool, force, recursive, arena);
    return rc != 0 ? rc : row_commit(mgmt, &pool, MGMT_POOL_DESTROYING, id, arena);
}

static int
destroy(struct mgmt *mgmt, struct rpc_req *req, struct uuid uuid, bool force, bool recursive,
    struct arena *arena)
{
    struct vos_req_id buf;
    const struct vos_req_id *id = id_of(req, &buf);
    int rc;

    ult_mutex_lock(&mgmt->lock);
    rc = replayed(mgmt, id);
    if (rc == -DER_NONEXIST)
        rc = destroy_begin(mgmt, id, uuid, force, recursive, arena);
    ult_mutex_unlock(&mgmt->lock);
    return rc != 0 ? rc : mgmt_pool_drive(mgmt, uuid, arena);
}

int
mgmt_pool_destroy(struct mgmt *mgmt, struct rpc_req *req, struct uuid pool, bool force,
    bool recursive, struct arena *arena)
{
    int rc;

    rc = mgmt_call_begin(mgmt, req);
    if (rc != 0)
        return rc;
    rc = destroy(mgmt, req, pool, force, recursive, arena);
    mgmt_call_end(mgmt);
    return rc;
}
