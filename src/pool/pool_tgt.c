/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A target's side: requests about shards and handles that services send, and the question a target
 * asks a service about a handle. Where the service of
 * a pool is, is asked of the system service and remembered in a small table. Tested by test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "pool_priv.h"

enum { WHERE_NR = 64, LOOKUP_TRIES_MAX = 64 };
#define LOOKUP_NS UINT64_C(5000000000)
/* About stable epochs: whoever asks comes again later. */
enum { STABLE_TRIES_MAX = 3 };
#define STABLE_NS UINT64_C(2000000000)

struct where {
    struct uuid pool; /* nil: free */
    uint32_t rank;
};

struct pool_tgt {
    struct pool_tgt_opts opts;
    struct where where[WHERE_NR];
    uint32_t where_next; /* replaced round robin */
    struct list_head asks; /* memory of look-ups in flight */
};

struct ask {
    struct list_head link;
    struct arena arena;
    struct proto_sys_resolve_rep resolve;
    struct proto_pool_hdl_rep hdl;
    struct proto_cont_stable_rep stable;
    char text[CUUID_TEXT_BYTES];
};

int
pool_tgt_create(const struct pool_tgt_opts *opts, struct pool_tgt **ret_pt)
{
    struct pool_tgt *pt = calloc(1, sizeof(*pt));

    if (pt == NULL)
        return CAIRN_ERR(NOMEM);
    pt->opts = *opts;
    list_init(&pt->asks);
    *ret_pt = pt;
    return 0;
}

void
pool_tgt_rpc_set(struct pool_tgt *pt, struct rpc_ctx *rpc)
{
    pt->opts.rpc = rpc;
}

static void
ask_free(struct ask *ask)
{
    list_del(&ask->link);
    arena_fini(&ask->arena);
    free(ask);
}

void
pool_tgt_destroy(struct pool_tgt *pt)
{
    struct ask *ask, *tmp;

    if (pt == NULL)
        return;
    LIST_FOREACH_SAFE(ask, tmp, &pt->asks, struct ask, link) {
        ask_free(ask);
    }
    free(pt);
}

static struct where *
where_find(struct pool_tgt *pt, const struct uuid *pool)
{
    for (uint32_t i = 0; i < WHERE_NR; i++) {
        if (cuuid_cmp(&pt->where[i].pool, pool) == 0)
            return &pt->where[i];
    }
    return NULL;
}

static void
where_set(struct pool_tgt *pt, const struct uuid *pool, uint32_t rank)
{
    struct where *w = where_find(pt, pool);

    if (w == NULL)
        w = &pt->where[pt->where_next++ % WHERE_NR];
    w->pool = *pool;
    w->rank = rank;
}

static void
where_forget(struct pool_tgt *pt, const struct uuid *pool)
{
    struct where *w = where_find(pt, pool);

    if (w != NULL)
        memset(w, 0, sizeof(*w));
}

static int
where_ask(struct pool_tgt *pt, struct ask *ask, const struct uuid *pool, uint64_t deadline_ns)
{
    struct proto_sys_resolve_req body = {.id = {ask->text, CUUID_TEXT_BYTES - 1}};
    struct rpc_call_opts opts = {.deadline_ns = deadline_ns, .arena = &ask->arena};
    struct rpc_ep ep = {pt->opts.sys_rank(pt->opts.arg), RPC_TAG_SYSTEM};
    int rc;

    cuuid_format(pool, ask->text);
    rc = rpc_call(pt->opts.rpc, ep, PROTO_SYS_POOL_RESOLVE, &body, &ask->resolve, &opts, NULL);
    if (rc != 0)
        return rc;
    if (ask->resolve.svc_ranks.nr == 0)
        return CAIRN_ERR(NO_SERVICE);
    where_set(pt, pool, ((struct proto_rank *)ask->resolve.svc_ranks.items)[0].rank);
    return 0;
}

/* One request to the service of a pool; where that is may have to be asked first. */
static int
svc_ask(struct pool_tgt *pt, struct ask *ask, const struct uuid *pool, uint16_t opcode,
    const void *body, void *rep, uint64_t deadline_ns)
{
    struct rpc_call_opts opts = {.deadline_ns = deadline_ns, .arena = &ask->arena};
    struct rpc_call_info info = {.is_replied = false};
    struct where *w = where_find(pt, pool);
    struct rpc_ep ep;
    int rc;

    if (w == NULL) {
        rc = where_ask(pt, ask, pool, deadline_ns);
        if (rc != 0)
            return rc;
        w = where_find(pt, pool);
        if (w == NULL)
            return CAIRN_ERR(AGAIN);
    }
    ep = (struct rpc_ep){w->rank, RPC_TAG_SYSTEM};
    rc = rpc_call(pt->opts.rpc, ep, opcode, body, rep, &opts, &info);
    if (rc == -DER_NOTREPLICA || (rc == -DER_NOTLEADER && info.hint_rank == RPC_RANK_NONE)) {
        where_forget(pt, pool);
    } else if (rc == -DER_NOTLEADER)
        where_set(pt, pool, info.hint_rank);
    return rc;
}

/* Worth another try before the request's sender is told. */
static bool
is_retry(int rc)
{
    enum err_class cls = err_class(rc);

    return cls == ERR_CLASS_RETRY || cls == ERR_CLASS_BUSY || rc == -DER_UNREACH ||
        rc == -DER_OOG || rc == -DER_NO_PERM;
}

int
pool_tgt_hdl_lookup(void *arg, const struct tgt_ids *ids, struct tgt_hdl_info *ret_info)
{
    struct proto_pool_hdl_req body = {ids->pool, ids->pool_hdl, ids->cont_hdl};
    struct pool_tgt *pt = arg;
    uint64_t deadline_ns = ult_now_ns() + LOOKUP_NS;
    struct ask *ask;
    int rc = 0;

    if (cuuid_is_nil(&ids->pool) || cuuid_is_nil(&ids->pool_hdl) || cuuid_is_nil(&ids->cont_hdl))
        return CAIRN_ERR(NO_HDL);
    ask = calloc(1, sizeof(*ask));
    if (ask == NULL)
        return CAIRN_ERR(NOMEM);
    arena_init(&ask->arena, 256, 65536);
    list_add(&ask->link, &pt->asks);
    for (int i = 0; i < LOOKUP_TRIES_MAX; i++) {
        rc = svc_ask(pt, ask, &ids->pool, PROTO_POOL_HDL, &body, &ask->hdl, deadline_ns);
        if (!is_retry(rc) || ult_now_ns() + POOL_RETRY_NS >= deadline_ns)
            break;
        ult_sleep(POOL_RETRY_NS);
    }
    if (rc == 0) {
        *ret_info = (struct tgt_hdl_info){.pool_flags = ask->hdl.pool_flags,
            .cont = ask->hdl.cont,
            .cont_flags = ask->hdl.cont_flags,
            .csum_type = ask->hdl.csum_type,
            .csum_chunk_bytes = ask->hdl.csum_chunk_bytes,
            .scrub = {ask->hdl.scrub_mode, ask->hdl.scrub_freq_s, ask->hdl.scrub_thresh},
            .map_ver = ask->hdl.map_ver};
    } else if (rc == -DER_NONEXIST || rc == -DER_NO_HDL) {
        rc = CAIRN_ERR(NO_HDL); /* no such handle, or no such pool any more */
    } else if (pool_is_fault(rc)) {
        ; /* its storage is out of service: the client is told so */
    } else {
        /*
         * The service did not say. What came instead is about the way there (no address yet, no
         * leader, a group that does not know this rank yet) and would mislead the client.
         */
        rc = CAIRN_ERR(AGAIN);
    }
    ask_free(ask);
    return rc;
}

static int
stable_take(const struct proto_cont_stable_rep *rep, struct tgt_stable *ret_stable)
{
    uint32_t nr = (uint32_t)(rep->snaps.len / sizeof(uint64_t));
    const uint8_t *src = rep->snaps.buf;
    uint64_t *snaps = malloc(MAX(nr, 1U) * sizeof(*snaps));

    if (snaps == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        snaps[i] = le64_get(src + i * sizeof(uint64_t));
        if (i > 0 && snaps[i] <= snaps[i - 1]) {
            free(snaps);
            return CAIRN_ERR(PROTO);
        }
    }
    *ret_stable = (struct tgt_stable){.epoch = rep->epoch,
        .reclaim = rep->reclaim,
        .scrub = {rep->scrub_mode, rep->scrub_freq_s, rep->scrub_thresh},
        .is_scrub_off = rep->is_scrub_off != 0,
        .snap_nr = nr,
        .snaps = snaps};
    return 0;
}

int
pool_tgt_stable(void *arg, struct uuid pool, struct uuid cont, struct tgt_stable *ret_stable)
{
    struct proto_cont_stable_req body = {pool, cont};
    struct pool_tgt *pt = arg;
    uint64_t deadline_ns = ult_now_ns() + STABLE_NS;
    struct ask *ask;
    int rc = 0;

    if (pt->opts.rpc == NULL)
        return CAIRN_ERR(AGAIN); /* not listening yet */
    ask = calloc(1, sizeof(*ask));
    if (ask == NULL)
        return CAIRN_ERR(NOMEM);
    arena_init(&ask->arena, 256, 1 << 20);
    list_add(&ask->link, &pt->asks);
    for (int i = 0; i < STABLE_TRIES_MAX; i++) {
        rc = svc_ask(pt, ask, &pool, PROTO_CONT_STABLE, &body, &ask->stable, deadline_ns);
        if (rc != -DER_NOTREPLICA && rc != -DER_NOTLEADER)
            break;
    }
    if (rc == 0)
        rc = stable_take(&ask->stable, ret_stable);
    ask_free(ask);
    return rc;
}

/* ---- requests of services ------------------------------------------------------------------- */

int
pool_h_tgt_create(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_pool_req *in = req->body;

    int rc;

    (void)rep;
    if (!tgt_life_begin(tgt_lives(tgt), &in->pool, in->life))
        return CAIRN_ERR(NONEXIST);
    rc = tgt_pool_create(tgt, in->pool, in->meta_bytes, in->data_bytes);
    if (rc == 0 && tgt_life_is_ended(tgt_lives(tgt), &in->pool, in->life)) {
        rc = tgt_pool_destroy(tgt, in->pool); /* that was asked for meanwhile, and found nothing */
        if (rc == 0)
            rc = CAIRN_ERR(NONEXIST);
    }
    return rc;
}

int
pool_h_tgt_destroy(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_pool_req *in = req->body;

    (void)rep;
    return tgt_life_end(tgt_lives(tgt), &in->pool, in->life) ? tgt_pool_destroy(tgt, in->pool) : 0;
}

int
pool_h_tgt_space(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_pool_req *in = req->body;
    struct proto_tgt_pool_query_rep *out = rep;
    struct vos_pool_info info;
    int rc;

    rc = vos_pool_query(tgt_vos(tgt), in->pool, &info);
    if (rc != 0)
        return rc;
    out->meta_total = info.meta_quota;
    out->meta_used = info.meta_used;
    out->data_total = info.data_quota;
    out->data_used = info.data_used;
    out->cont_nr = info.cont_nr;
    out->is_out = info.is_out;
    out->scrub_bad_nr = tgt_scrub_found(tgt, in->pool);
    return 0;
}

int
pool_h_tgt_cont_destroy(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_cont_req *in = req->body;

    (void)rep;
    return tgt_cont_destroy(tgt, in->pool, in->cont);
}

int
pool_h_tgt_revoke(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_revoke_req *in = req->body;

    (void)rep;
    tgt_hdl_revoke(tgt, in->pool, in->hdl);
    return 0;
}

int
pool_h_tgt_epoch(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_epoch_req *in = req->body;

    (void)rep;
    return in->epoch == 0 ? 0 : vos_epoch_recv(tgt_vos(tgt), in->epoch);
}

int
pool_h_tgt_aggregate(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_tgt_cont_req *in = req->body;

    (void)rep;
    tgt_aggregate_later(tgt, in->pool, in->cont);
    return 0;
}
