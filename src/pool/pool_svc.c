/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Services of an engine and the life of a request to one of them.
 *
 *      begin: find, count, wait for the turn (modifying), leader? answered before?  ->  read,
 *      collect updates  ->  commit  ->  end
 *
 * Tested by test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/hlc.h"
#include "base/log.h"
#include "base/probe.h"
#include "pool_priv.h"

/* ---- registry ------------------------------------------------------------------------------- */

int
pool_svcs_create(
    const struct pool_env *env, const struct pool_hooks *hooks, struct pool_svcs **ret_svcs)
{
    struct pool_svcs *svcs = calloc(1, sizeof(*svcs));

    if (svcs == NULL)
        return CAIRN_ERR(NOMEM);
    svcs->env = *env;
    if (svcs->env.revokes_nr_max == 0)
        svcs->env.revokes_nr_max = POOL_REVOKES_NR_MAX;
    if (svcs->env.hdls_nr_max == 0)
        svcs->env.hdls_nr_max = POOL_HDLS_NR_MAX;
    env->plat->ops->proc_self(env->plat, &svcs->self);
    if (hooks != NULL)
        svcs->hooks = *hooks;
    list_init(&svcs->svcs);
    list_init(&svcs->damaged);
    list_init(&svcs->draws);
    list_init(&svcs->changes);
    ult_cond_init(&svcs->changed);
    *ret_svcs = svcs;
    return 0;
}

struct pool_svc *
pool_svc_find(struct pool_svcs *svcs, const struct uuid *pool)
{
    struct pool_svc *svc;

    LIST_FOREACH(svc, &svcs->svcs, struct pool_svc, link) {
        if (cuuid_cmp(&svc->pool, pool) == 0)
            return svc;
    }
    return NULL;
}

static struct pool_damaged *
damaged_find(struct pool_svcs *svcs, const struct uuid *pool)
{
    struct pool_damaged *d;

    LIST_FOREACH(d, &svcs->damaged, struct pool_damaged, link) {
        if (cuuid_cmp(&d->pool, pool) == 0)
            return d;
    }
    return NULL;
}

static void
damaged_free(struct pool_damaged *d)
{
    if (d == NULL)
        return;
    list_del(&d->link);
    free(d);
}

static void
damaged_free_all(struct pool_svcs *svcs)
{
    struct pool_damaged *d, *tmp;

    LIST_FOREACH_SAFE(d, tmp, &svcs->damaged, struct pool_damaged, link) {
        damaged_free(d);
    }
}

int
pool_svc_damaged(struct pool_svcs *svcs, struct uuid pool, int rc)
{
    struct pool_damaged *d = calloc(1, sizeof(*d));
    char text[CUUID_TEXT_BYTES];

    if (d == NULL)
        return CAIRN_ERR(NOMEM);
    LOG_ERROR(
        "pool %s: its service is out of service: %s: restore the engine's directory sys from a "
        "copy, or destroy the pool",
        cuuid_format(&pool, text), err_text(rc));
    d->pool = pool;
    d->rc = pool_is_fault(rc) || rc == -DER_NOSPACE ? rc : CAIRN_ERR(NVME_IO);
    list_add(&d->link, &svcs->damaged);
    return 0;
}

/* Why there is no service for this pool. */
static int
absent_rc(struct pool_svcs *svcs, const struct uuid *pool)
{
    const struct pool_damaged *d = damaged_find(svcs, pool);

    return d != NULL ? d->rc : CAIRN_ERR(NOTREPLICA);
}

struct rsvc *
pool_svc_rsvc(struct pool_svcs *svcs, struct uuid pool)
{
    struct pool_svc *svc = pool_svc_find(svcs, &pool);

    return svc == NULL ? NULL : svc->rsvc;
}

static void
svc_free(struct pool_svc *svc)
{
    struct pool_revoke *r, *tmp;
    struct pool_aggregate *a, *atmp;

    list_del(&svc->link);
    LIST_FOREACH_SAFE(a, atmp, &svc->aggregates, struct pool_aggregate, link) {
        free(a);
    }
    LIST_FOREACH_SAFE(r, tmp, &svc->revokes, struct pool_revoke, link) {
        free(r);
    }
    pool_uses_free(svc);
    hmap_fini(&svc->uses);
    arena_fini(&svc->arena);
    arena_fini(&svc->start_arena);
    free(svc);
}

/*
 * A new leader finds out whether the database is complete and whether targets have something left
 * to do.
 */
static int
svc_step_up(void *arg)
{
    struct pool_svc *svc = arg;
    struct iov row;
    int rc;

    arena_reset(&svc->start_arena);
    rc = rsvc_get(svc->rsvc, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_HEAD), &svc->start_arena, &row);
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    svc->is_ready = rc == 0;
    svc->has_gone = true; /* look once */
    /* Above all that was promised before (ST-6): what a turn of an earlier leadership drew is void. */
    rc = vos_epoch_next(svc->svcs->env.sys, &svc->promised);
    if (rc != 0)
        return rc;
    pool_use_forget_all(svc);
    svc->look_ns = ult_now_ns() + POOL_LOOK_NS;
    pool_work_kick(svc);
    return 0;
}

static void
svc_step_down(void *arg)
{
    struct pool_svc *svc = arg;

    svc->is_ready = false;
}

int
pool_svc_start(struct pool_svcs *svcs, struct uuid pool)
{
    struct rsvc_opts opts = {.svc = pool,
        .self_rank = svcs->env.self_rank,
        .step_up = svc_step_up,
        .step_down = svc_step_down};
    struct pool_svc *svc;
    int rc;

    if (svcs->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    if (pool_svc_find(svcs, &pool) != NULL)
        return CAIRN_ERR(ALREADY);
    svc = calloc(1, sizeof(*svc));
    if (svc == NULL || hmap_init(&svc->uses, 4) != 0) {
        free(svc);
        return CAIRN_ERR(NOMEM);
    }
    svc->look_ns = PLAT_NEVER_NS;
    svc->svcs = svcs;
    svc->pool = pool;
    svc->is_starting = true;
    ult_mutex_init(&svc->lock);
    ult_cond_init(&svc->changed);
    list_init(&svc->revokes);
    list_init(&svc->aggregates);
    arena_init(&svc->arena, 1024, 4 << 20);
    arena_init(&svc->start_arena, 128, 4096);
    list_add_tail(&svc->link, &svcs->svcs);
    opts.arg = svc;
    rc = rsvc_start(svcs->env.sys, &opts, &svc->rsvc);
    if (rc == 0)
        rc = pool_work_start(svc);
    svc->is_starting = rc != 0;
    if (rc != 0) {
        rsvc_stop(svc->rsvc);
        ult_mutex_fini(&svc->lock);
        ult_cond_fini(&svc->changed);
        svc_free(svc);
    }
    return rc;
}

/* No new calls, none at work, no worker; then gone. */
static void
svc_stop(struct pool_svc *svc)
{
    svc->is_stopping = true;
    pool_work_stop(svc);
    while (svc->refs > 0) {
        ult_cond_wait(&svc->changed, NULL);
    }
    rsvc_stop(svc->rsvc);
    ult_mutex_fini(&svc->lock);
    ult_cond_fini(&svc->changed);
    svc_free(svc);
}

/* A request that starts or ends a service: nobody else does that meanwhile. Errors: BUSY somebody does: ask again. */
static int
change_begin(struct pool_svcs *svcs, struct pool_change *change, const struct uuid *pool)
{
    const struct pool_change *other;

    if (svcs->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    LIST_FOREACH(other, &svcs->changes, struct pool_change, link) {
        if (cuuid_cmp(&other->pool, pool) == 0) {
            CAIRN_PROBE("pool.svcs.change.busy");
            return CAIRN_ERR(BUSY);
        }
    }
    change->pool = *pool;
    list_add(&change->link, &svcs->changes);
    return 0;
}

static void
change_end(struct pool_svcs *svcs, struct pool_change *change)
{
    list_del(&change->link);
    ult_cond_broadcast(&svcs->changed);
}

void
pool_svcs_stop(struct pool_svcs *svcs)
{
    struct pool_svc *svc;

    if (svcs == NULL)
        return;
    svcs->is_stopping = true;
    while (!list_empty(&svcs->changes)) {
        CAIRN_PROBE("pool.svcs.stop.waits");
        ult_cond_wait(&svcs->changed, NULL);
    }
    while ((svc = LIST_FIRST(&svcs->svcs, struct pool_svc, link)) != NULL) {
        svc_stop(svc);
    }
}

void
pool_svcs_destroy(struct pool_svcs *svcs)
{
    if (svcs == NULL)
        return;
    CAIRN_ASSERT(svcs->is_stopping && list_empty(&svcs->svcs) && list_empty(&svcs->draws));
    ult_cond_fini(&svcs->changed);
    damaged_free_all(svcs);
    free(svcs);
}

void
pool_svcs_abandon(struct pool_svcs *svcs)
{
    struct pool_svc *svc, *tmp;

    if (svcs == NULL)
        return;
    LIST_FOREACH_SAFE(svc, tmp, &svcs->svcs, struct pool_svc, link) {
        rsvc_abandon(svc->rsvc);
        svc_free(svc);
    }
    damaged_free_all(svcs);
    free(svcs);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* The request has an identity: all of clients have; what an engine sends without one may be executed again. */
static bool
call_has_id(const struct pool_call *call)
{
    return call->req != NULL && (call->req->hdr->seq != 0 || !pool_call_is_engine(call));
}

/*
 * The turn of a modifying request: alone, leader, and its answer if it was committed before
 * (POL-1).
 */
static int
call_take_turn(struct pool_call *call)
{
    struct pool_svc *svc = call->svc;
    const struct rpc_hdr *hdr = call->req == NULL ? NULL : call->req->hdr;
    int rc;

    ult_mutex_lock(&svc->lock);
    rc = svc->is_stopping ? CAIRN_ERR(NOTREPLICA) : rsvc_check_leader(svc->rsvc, NULL);
    call->term = rsvc_term(svc->rsvc);
    if (rc == 0 && call_has_id(call)) {
        struct vos_req_id id = {hdr->client, hdr->slot, hdr->seq, hdr->first_hlc};

        rc = rsvc_replay(svc->rsvc, &id, &call->answer);
        call->is_replay = rc == 0;
        if (rc == -DER_NONEXIST && !call->answer.is_replay)
            rc = 0;
    }
    if (rc != 0)
        ult_mutex_unlock(&svc->lock);
    return rc;
}

/* may_be_empty: the request that completes the database itself. */
static int
call_begin(struct pool_svc *svc, struct rpc_req *req, struct arena *arena, bool is_modifying,
    bool may_be_empty, struct pool_call **ret_call)
{
    struct pool_call *call;
    uint32_t hint = RPC_RANK_NONE;
    int rc;

    if (svc->is_stopping)
        return CAIRN_ERR(NOTREPLICA);
    rc = rsvc_check_leader(svc->rsvc, &hint);
    if (rc == 0 && !svc->is_ready && !may_be_empty)
        rc = CAIRN_ERR(NOTREPLICA); /* its creation has not been finished */
    if (rc != 0) {
        if (req != NULL)
            req->hint_rank = hint;
        return rc;
    }
    call = arena_calloc(arena, 1, sizeof(*call));
    if (call == NULL)
        return CAIRN_ERR(NOMEM);
    call->svcs = svc->svcs;
    call->svc = svc;
    call->req = req;
    call->arena = arena;
    call->pool = svc->pool;
    call->is_modifying = is_modifying;
    call->term = rsvc_term(svc->rsvc);
    svc->refs++;
    if (is_modifying) {
        rc = call_take_turn(call);
        if (rc != 0) {
            svc->refs--;
            ult_cond_broadcast(&svc->changed);
            return rc;
        }
    }
    *ret_call = call;
    return 0;
}

int
pool_call_begin_svc(struct pool_svc *svc, struct rpc_req *req, struct arena *arena,
    bool is_modifying, struct pool_call **ret_call)
{
    return call_begin(svc, req, arena, is_modifying, false, ret_call);
}

int
pool_call_begin(struct pool_svcs *svcs, struct rpc_req *req, struct uuid pool, bool is_modifying,
    struct pool_call **ret_call)
{
    struct pool_svc *svc = pool_svc_find(svcs, &pool);

    if (svc == NULL)
        return absent_rc(svcs, &pool);
    return pool_call_begin_svc(svc, req, req->arena, is_modifying, ret_call);
}

int
pool_call_begin_local(struct pool_svcs *svcs, struct arena *arena, struct uuid pool,
    bool is_modifying, struct pool_call **ret_call)
{
    struct pool_svc *svc = pool_svc_find(svcs, &pool);

    if (svc == NULL)
        return absent_rc(svcs, &pool);
    return pool_call_begin_svc(svc, NULL, arena, is_modifying, ret_call);
}

/* What the client does not ask again after: see is_worth_a_resend() there. */
static bool
is_final(int rc)
{
    enum err_class cls = err_class(rc);

    return cls == ERR_CLASS_CALLER || cls == ERR_CLASS_ABSENT || cls == ERR_CLASS_NOSPACE ||
        rc == -DER_BUSY;
}

void
pool_svcs_refuse(struct pool_svcs *svcs, const struct rpc_req *req, int rc)
{
    const struct rpc_hdr *hdr = req->hdr;
    struct vos_req_id id = {hdr->client, hdr->slot, hdr->seq, hdr->first_hlc};
    const struct proto_op *op = proto_op_find(hdr->opcode);
    struct pool_svc *svc;

    if (!is_final(rc) || op == NULL || !op->is_modifying || hdr->seq == 0 ||
        cuuid_is_nil(&hdr->client))
        return;
    svc = pool_svc_find(svcs, &hdr->pool);
    if (svc == NULL || svc->is_stopping)
        return;
    svc->refs++;
    rsvc_refuse(svc->rsvc, &id, rc);
    svc->refs--;
    if (svc->refs == 0)
        ult_cond_broadcast(&svc->changed);
}

void
pool_call_end(struct pool_call *call)
{
    struct pool_svc *svc;

    if (call == NULL)
        return;
    svc = call->svc;
    if (call->is_modifying)
        ult_mutex_unlock(&svc->lock);
    CAIRN_ASSERT(svc->refs > 0);
    svc->refs--;
    if (svc->refs == 0)
        ult_cond_broadcast(&svc->changed);
}

/* A result of rsvc, unless leadership changed since the call began (POL-2). */
static int
call_rc(struct pool_call *call, int rc)
{
    if (rsvc_term(call->svc->rsvc) == call->term)
        return rc;
    return CAIRN_ERR(NOTLEADER);
}

int
pool_call_get(struct pool_call *call, const char *table, struct iov key, struct iov *ret_value)
{
    return call_rc(call, rsvc_get(call->svc->rsvc, table, key, call->arena, ret_value));
}

int
pool_call_list(struct pool_call *call, const char *table, struct iov after,
    bool (*fn)(void *arg, struct iov key, struct iov value), void *arg)
{
    return call_rc(call, rsvc_list_keys(call->svc->rsvc, table, after, fn, arg));
}

static bool
count_one(void *arg, struct iov key, struct iov value)
{
    (void)key;
    (void)value;
    (*(uint32_t *)arg)++;
    return true;
}

int
pool_call_count(struct pool_call *call, const char *table, uint32_t *ret_nr)
{
    uint32_t nr = 0;
    int rc;

    rc = pool_call_list(call, table, (struct iov){NULL, 0}, count_one, &nr);
    if (rc == 0)
        *ret_nr = nr;
    return rc;
}

static void
call_add(struct pool_call *call, enum rsvc_op op, const char *table, struct iov key, struct iov value)
{
    struct rsvc_update *u;

    if (call->update_nr == RSVC_UPDATES_NR_MAX) {
        call->build_rc = CAIRN_ERR(OVERFLOW);
        return;
    }
    u = &call->updates[call->update_nr];
    u->op = op;
    u->table = table;
    u->key = (struct iov){arena_dup(call->arena, key.buf, key.len), key.len};
    u->value = (struct iov){arena_dup(call->arena, value.buf, value.len), value.len};
    if (u->key.buf == NULL || u->value.buf == NULL) {
        call->build_rc = CAIRN_ERR(NOMEM);
        return;
    }
    call->update_nr++;
}

void
pool_call_put(struct pool_call *call, const char *table, struct iov key, struct iov value)
{
    call_add(call, RSVC_PUT, table, key, value);
}

void
pool_call_del(struct pool_call *call, const char *table, struct iov key)
{
    call_add(call, RSVC_DEL, table, key, (struct iov){NULL, 0});
}

void
pool_call_del_table(struct pool_call *call, const char *table)
{
    call_add(call, RSVC_DEL_TABLE, table, (struct iov){NULL, 0}, (struct iov){NULL, 0});
}

static int
call_commit(struct pool_call *call, const struct vos_req_id *id, struct iov result)
{
    int rc;

    CAIRN_ASSERT(call->is_modifying);
    if (call->build_rc != 0)
        return call->build_rc;
    rc = call_rc(call, 0);
    if (rc == 0)
        rc = rsvc_propose(call->svc->rsvc, call->updates, call->update_nr, id, result, &call->answer);
    call->update_nr = 0;
    return call_rc(call, rc);
}

int
pool_call_commit(struct pool_call *call, struct iov result)
{
    struct vos_req_id id;

    if (!call_has_id(call))
        return call->update_nr == 0 ? call->build_rc : call_commit(call, NULL, result);
    /* A request without effect is not remembered: executed again it has none again. */
    if (call->update_nr == 0)
        return call->build_rc;
    id = (struct vos_req_id){call->req->hdr->client, call->req->hdr->slot, call->req->hdr->seq,
        call->req->hdr->first_hlc};
    return call_commit(call, &id, result);
}

int
pool_call_commit_part(struct pool_call *call)
{
    return call->update_nr == 0 ? call->build_rc : call_commit(call, NULL, (struct iov){NULL, 0});
}

bool
pool_call_is_engine(const struct pool_call *call)
{
    const struct pool_env *env = &call->svcs->env;

    return call->req == NULL || env->is_engine(env->arg, call->req->hdr);
}

uint64_t
pool_call_hlc(struct pool_call *call)
{
    return hlc_from_unix_ns(plat_wall_ns(call->svcs->env.plat));
}

/* ---- creation and end of a service ---------------------------------------------------------- */

static int
create_check(const struct proto_svc_pool_req *args)
{
    const struct proto_prop *props = args->props.items;
    const struct pool_prop_def *defs;
    struct poolmap *map;
    uint32_t nr;
    int rc;

    rc = poolmap_decode(args->map.buf, args->map.len, &map);
    if (rc != 0)
        return rc;
    poolmap_destroy(map);
    defs = pool_prop_defs(&nr);
    for (uint32_t i = 0; i < args->props.nr; i++) {
        rc = pool_prop_check(defs, nr, &props[i], true);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Fill the database in one commit; the head row makes it complete. */
static int
create_fill(struct pool_call *call, const struct proto_svc_pool_req *args)
{
    const struct proto_prop *props = args->props.items;
    const struct pool_prop_def *defs;
    uint8_t head[17];
    struct enc e;
    uint32_t nr;

    defs = pool_prop_defs(&nr);
    for (uint32_t i = 0; i < args->props.nr; i++) {
        pool_prop_put(call, POOL_TABLE_PROPS, pool_prop_find(defs, nr, props[i].type), &props[i]);
    }
    pool_call_put(call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_MAP), args->map);
    enc_init(&e, head, sizeof(head));
    enc_u8(&e, 1);
    enc_u64(&e, pool_call_hlc(call));
    enc_u32(&e, args->uid);
    enc_u32(&e, args->gid);
    pool_call_put(
        call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_HEAD), (struct iov){head, sizeof(head)});
    return pool_call_commit(call, (struct iov){NULL, 0});
}

static int
svc_create(struct pool_svcs *svcs, const struct proto_svc_pool_req *args, struct arena *arena)
{
    struct pool_svc *svc;
    struct pool_call *call;
    int rc;

    rc = create_check(args);
    if (rc != 0)
        return rc;
    if (pool_svc_find(svcs, &args->pool) == NULL) {
        rc = rsvc_create(svcs->env.sys, args->pool);
        if (rc == 0 || rc == -DER_EXIST)
            rc = pool_svc_start(svcs, args->pool);
        if (rc != 0 && rc != -DER_ALREADY)
            return rc;
    }
    svc = pool_svc_find(svcs, &args->pool);
    if (svc == NULL || svc->is_stopping)
        return CAIRN_ERR(BUSY);
    rc = call_begin(svc, NULL, arena, true, true, &call);
    if (rc != 0)
        return rc;
    if (!svc->is_ready) { /* idempotent */
        rc = create_fill(call, args);
        svc->is_ready = rc == 0;
    }
    pool_call_end(call);
    return rc;
}

int
pool_svc_create(struct pool_svcs *svcs, const struct proto_svc_pool_req *args, struct arena *arena)
{
    struct pool_change change;
    int rc;

    rc = change_begin(svcs, &change, &args->pool);
    if (rc != 0)
        return rc;
    rc = tgt_life_begin(&svcs->lives, &args->pool, args->life) ? svc_create(svcs, args, arena)
                                                               : CAIRN_ERR(NONEXIST);
    change_end(svcs, &change);
    return rc;
}

static int
svc_destroy(struct pool_svcs *svcs, struct uuid pool)
{
    struct pool_svc *svc = pool_svc_find(svcs, &pool);
    int rc;

    if (svc != NULL && (svc->is_starting || svc->is_stopping))
        return CAIRN_ERR(BUSY);
    if (svc != NULL)
        svc_stop(svc);
    rc = rsvc_destroy(svcs->env.sys, pool);
    if (rc == -DER_NONEXIST)
        rc = 0;
    if (rc == 0)
        damaged_free(damaged_find(svcs, &pool));
    return rc;
}

int
pool_svc_destroy(struct pool_svcs *svcs, struct uuid pool, uint64_t life)
{
    struct pool_change change;
    int rc;

    rc = change_begin(svcs, &change, &pool);
    if (rc != 0)
        return rc;
    if (tgt_life_end(&svcs->lives, &pool, life))
        rc = svc_destroy(svcs, pool);
    change_end(svcs, &change);
    return rc;
}

int
pool_h_svc_start(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    (void)rep;
    if (!svcs->env.is_engine(svcs->env.arg, req->hdr))
        return CAIRN_ERR(NO_PERM);
    return pool_svc_create(svcs, req->body, req->arena);
}

int
pool_h_svc_stop(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_svc_pool_req *in = req->body;

    (void)rep;
    if (!svcs->env.is_engine(svcs->env.arg, req->hdr))
        return CAIRN_ERR(NO_PERM);
    return pool_svc_destroy(svcs, in->pool, in->life);
}
