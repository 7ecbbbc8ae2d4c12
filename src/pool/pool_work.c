/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What a service does with the targets: one request to many, and a worker that repeats what must
 * reach all of them.
 * Tested by test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "pool_priv.h"

/* ---- one request to many targets ------------------------------------------------------------ */

/* Shared by the ULTs of one round; in the arena of the asker, who joins them. */
struct bcast {
    struct rpc_ctx *rpc;
    struct arena *arena;
    uint16_t opcode;
    const void *body;
    uint64_t deadline_ns;
    struct pool_bcast_item *items;
    uint32_t nr, next;
};

/* Said by a peer that is there and will take it soon; or we have just started and do not know the ranks yet (OOG). */
static bool
is_passing(int rc)
{
    /* NO_PERM: it has just started, and was not told yet that the asker is an engine. */
    return rc == -DER_OOG || rc == -DER_STALE || rc == -DER_OVERLOAD_RETRY || rc == -DER_BUSY ||
        rc == -DER_AGAIN || rc == -DER_INPROGRESS || rc == -DER_NO_PERM;
}

static void
bcast_one(struct bcast *b, struct pool_bcast_item *item)
{
    struct rpc_ep ep = {item->rank, RPC_TAG_SYSTEM + 1 + item->tgt_idx};
    struct rpc_call_opts opts = {.deadline_ns = b->deadline_ns, .arena = b->arena};

    for (;;) {
        item->rc = rpc_call(b->rpc, ep, b->opcode, b->body, &item->rep, &opts, NULL);
        if (!is_passing(item->rc) || ult_now_ns() + POOL_RETRY_NS >= b->deadline_ns)
            return;
        ult_sleep(POOL_RETRY_NS);
    }
}

static void
bcast_ult(void *arg)
{
    struct bcast *b = arg;

    while (b->next < b->nr) {
        bcast_one(b, &b->items[b->next++]);
    }
}

void
pool_bcast_to(struct rpc_ctx *rpc, struct arena *arena, uint16_t opcode, const void *body,
    uint64_t deadline_ns, struct pool_bcast_item *items, uint32_t nr)
{
    struct bcast b = {rpc, arena, opcode, body, deadline_ns, items, nr, 0};
    struct ult *ults[POOL_BCAST_WIDTH];
    uint32_t ult_nr = 0;

    /* This ULT works as well, so one target needs no other. */
    while (ult_nr + 1 < MIN(nr, (uint32_t)POOL_BCAST_WIDTH)) {
        if (ult_create(rpc_ctx_xstream(rpc), ULT_SERVICE, bcast_ult, &b, &ults[ult_nr]) != 0)
            break;
        ult_nr++;
    }
    bcast_ult(&b);
    for (uint32_t i = 0; i < ult_nr; i++) {
        ult_join(ults[i]);
    }
}

int
pool_bcast_rc(const struct pool_bcast_item *items, uint32_t nr)
{
    for (uint32_t i = 0; i < nr; i++) {
        if (items[i].rc != 0)
            return items[i].rc;
    }
    return 0;
}

static int
items_of_map(const struct poolmap *map, struct arena *arena, struct pool_bcast_item **ret_items,
    uint32_t *ret_nr)
{
    uint32_t nr = poolmap_tgts_count(map, POOLMAP_SERVING), i = 0;
    const struct poolmap_tgt *tgt;
    struct pool_bcast_item *items;

    items = arena_calloc(arena, MAX(nr, 1), sizeof(*items));
    if (items == NULL)
        return CAIRN_ERR(NOMEM);
    POOLMAP_FOREACH_TGT(tgt, map, POOLMAP_SERVING)
    {
        items[i].rank = poolmap_tgt_rank(map, tgt)->rank.v;
        items[i].tgt_idx = tgt->tgt_idx;
        items[i].tgt_id = tgt->id;
        i++;
    }
    *ret_items = items;
    *ret_nr = nr;
    return 0;
}

int
pool_bcast(struct pool_call *call, uint16_t opcode, const void *body,
    struct pool_bcast_item **ret_items, uint32_t *ret_nr)
{
    struct pool_bcast_item *items;
    struct poolmap *map;
    uint32_t nr;
    int rc;

    rc = pool_call_map(call, &map);
    if (rc != 0)
        return rc;
    rc = items_of_map(map, call->arena, &items, &nr);
    poolmap_destroy(map);
    if (rc != 0)
        return rc;
    pool_bcast_to(
        call->svcs->env.rpc, call->arena, opcode, body, ult_now_ns() + POOL_BCAST_NS, items, nr);
    *ret_items = items;
    *ret_nr = nr;
    return 0;
}

/* ---- epochs --------------------------------------------------------------------------------- */

static int
epoch_round(struct pool_call *call, uint64_t epoch)
{
    struct proto_tgt_epoch_req body = {.pool = call->pool, .epoch = epoch};
    struct pool_bcast_item *items;
    uint32_t nr;
    int rc;

    rc = pool_bcast(call, PROTO_TGT_EPOCH, &body, &items, &nr);
    if (rc == 0)
        rc = pool_bcast_rc(items, nr);
    return rc == 0 || rc == -DER_NOMEM || pool_is_fault(rc) ? rc : CAIRN_ERR(AGAIN);
}

/*
 * The answers of the first round carry the targets' clocks, above all that they have written, and
 * ours is above them when they are merged; the second round takes theirs beyond what we draw then.
 * One round would not do: a target may be ahead of us, by skew or after a restart (ST-6), and who
 * was answered by it may have told whoever asks us now by other means than our messages.
 */
int
pool_epoch_draw(struct pool_call *call, uint64_t *ret_epoch)
{
    uint64_t epoch;
    int rc;

    rc = epoch_round(call, 0);
    if (rc == 0)
        rc = vos_epoch_next(call->svcs->env.sys, &epoch);
    if (rc == 0)
        rc = epoch_round(call, epoch);
    if (rc == 0)
        *ret_epoch = epoch;
    return rc;
}

int
pool_draw_begin(struct pool_svcs *svcs, struct uuid pool, struct pool_draw *draw)
{
    int rc = vos_epoch_next(svcs->env.sys, &draw->floor);

    if (rc != 0)
        return rc;
    draw->pool = pool;
    list_add(&draw->link, &svcs->draws);
    return 0;
}

void
pool_draw_end(struct pool_draw *draw)
{
    list_del(&draw->link);
}

int
pool_epoch_stable(struct pool_call *call, uint64_t *ret_epoch)
{
    struct pool_draw *draw;
    uint64_t epoch;
    int rc = vos_epoch_next(call->svcs->env.sys, &epoch);

    if (rc != 0)
        return rc;
    LIST_FOREACH(draw, &call->svcs->draws, struct pool_draw, link) {
        if (cuuid_cmp(&draw->pool, &call->pool) == 0 && draw->floor < epoch) {
            CAIRN_PROBE("pool.stable.under_way");
            epoch = draw->floor;
        }
    }
    call->svc->promised = MAX(call->svc->promised, epoch);
    *ret_epoch = epoch;
    return 0;
}

bool
pool_epoch_is_free(const struct pool_call *call, uint64_t epoch)
{
    return epoch > call->svc->promised;
}

/* ---- revocations ---------------------------------------------------------------------------- */

void
pool_revoke(struct pool_call *call, struct uuid hdl)
{
    struct pool_svc *svc = call->svc;
    struct pool_revoke *r;

    if (svc->revoke_all)
        return;
    r = svc->revoke_nr < call->svcs->env.revokes_nr_max ? malloc(sizeof(*r)) : NULL;
    if (r == NULL) { /* one message instead of many */
        CAIRN_PROBE("pool.revoke.all");
        svc->revoke_all = true;
        pool_work_kick(svc);
        return;
    }
    r->hdl = hdl;
    list_add_tail(&r->link, &svc->revokes);
    svc->revoke_nr++;
    pool_work_kick(svc);
}

void
pool_revoke_wait(struct pool_svcs *svcs, struct arena *arena, struct uuid pool, struct uuid hdl)
{
    struct proto_tgt_revoke_req body = {pool, hdl};
    struct pool_bcast_item *items;
    struct pool_call *call;
    uint32_t nr;

    if (pool_call_begin_local(svcs, arena, pool, false, &call) != 0)
        return; /* what is not told forgets by TGT-5 */
    CAIRN_IGNORE(pool_bcast(call, PROTO_TGT_HDL_REVOKE, &body, &items, &nr));
    pool_call_end(call);
}

/* ---- containers that targets must destroy --------------------------------------------------- */

void
pool_gone_add(struct pool_call *call, struct uuid cont)
{
    uint8_t row = 0;

    pool_call_put(call, POOL_TABLE_GONE, pool_key_uuid(&cont), (struct iov){&row, 1});
}

int
pool_gone_check(struct pool_call *call, struct uuid cont)
{
    struct iov row;
    int rc;

    rc = pool_call_get(call, POOL_TABLE_GONE, pool_key_uuid(&cont), &row);
    if (rc == -DER_NONEXIST)
        return 0;
    return rc == 0 ? CAIRN_ERR(BUSY) : rc;
}

/* Ask all targets of the pool, without holding up the requests that change it. */
static int
gone_tell(struct pool_svcs *svcs, struct arena *arena, struct uuid pool, struct uuid cont)
{
    struct proto_tgt_cont_req body = {pool, cont};
    struct pool_bcast_item *items;
    struct pool_call *call;
    uint32_t nr;
    int rc;

    rc = pool_call_begin_local(svcs, arena, pool, false, &call);
    if (rc != 0)
        return rc;
    rc = pool_bcast(call, PROTO_TGT_CONT_DESTROY, &body, &items, &nr);
    pool_call_end(call);
    return rc == 0 ? pool_bcast_rc(items, nr) : rc;
}

void
pool_gone_run(struct pool_svcs *svcs, struct arena *arena, struct uuid pool, struct uuid cont)
{
    struct pool_call *call;
    struct pool_svc *svc;
    int rc;

    rc = gone_tell(svcs, arena, pool, cont);
    if (rc == 0)
        rc = pool_call_begin_local(svcs, arena, pool, true, &call);
    if (rc == 0) {
        pool_call_del(call, POOL_TABLE_GONE, pool_key_uuid(&cont));
        rc = pool_call_commit_part(call);
        pool_call_end(call);
    }
    svc = pool_svc_find(svcs, &pool);
    if (rc != 0 && svc != NULL) {
        CAIRN_PROBE("pool.gone.later");
        svc->has_gone = true;
        pool_work_kick(svc);
    }
}

/* ---- what destroyed snapshots kept ---------------------------------------------------------- */

void
pool_aggregate(struct pool_svcs *svcs, struct uuid pool, struct uuid cont)
{
    struct pool_svc *svc = pool_svc_find(svcs, &pool);
    struct pool_aggregate *a;

    if (svc == NULL || svc->is_stopping)
        return;
    LIST_FOREACH(a, &svc->aggregates, struct pool_aggregate, link) {
        if (cuuid_cmp(&a->cont, &cont) == 0)
            return;
    }
    a = svc->aggregate_nr < POOL_AGGREGATES_NR_MAX ? malloc(sizeof(*a)) : NULL;
    if (a == NULL)
        return;
    a->cont = cont;
    list_add_tail(&a->link, &svc->aggregates);
    svc->aggregate_nr++;
    pool_work_kick(svc);
}

static void
aggregate_tell(struct pool_svc *svc, struct uuid cont)
{
    struct proto_tgt_cont_req body = {svc->pool, cont};
    struct pool_bcast_item *items;
    struct pool_call *call;
    uint32_t nr;

    arena_reset(&svc->arena);
    if (pool_call_begin_svc(svc, NULL, &svc->arena, false, &call) != 0)
        return;
    CAIRN_IGNORE(pool_bcast(call, PROTO_TGT_AGGREGATE, &body, &items, &nr));
    pool_call_end(call);
}

static void
work_aggregates(struct pool_svc *svc)
{
    struct pool_aggregate *a;

    while (!svc->is_stopping &&
        (a = LIST_FIRST(&svc->aggregates, struct pool_aggregate, link)) != NULL) {
        struct uuid cont = a->cont;

        list_del(&a->link);
        svc->aggregate_nr--;
        free(a);
        aggregate_tell(svc, cont);
    }
}

/* ---- worker --------------------------------------------------------------------------------- */

enum { GONE_BATCH_NR = 16 };

struct gone {
    struct uuid conts[GONE_BATCH_NR];
    uint32_t nr;
};

static bool
gone_add(void *arg, struct iov key, struct iov value)
{
    struct gone *g = arg;

    (void)value;
    if (key.len == sizeof(struct uuid))
        memcpy(&g->conts[g->nr++], key.buf, key.len);
    return g->nr < GONE_BATCH_NR;
}

/* The next of them after `after`. */
static int
gone_next(struct pool_svc *svc, struct iov after, struct gone *g)
{
    struct pool_call *call;
    int rc;

    g->nr = 0;
    arena_reset(&svc->arena);
    rc = pool_call_begin_svc(svc, NULL, &svc->arena, false, &call);
    if (rc != 0)
        return rc;
    rc = pool_call_list(call, POOL_TABLE_GONE, after, gone_add, g);
    pool_call_end(call);
    return rc;
}

/* Each once: what cannot be told now holds up nothing behind it. pool_gone_run() says when one is left. */
static void
work_gone(struct pool_svc *svc)
{
    struct iov after = {NULL, 0};
    struct uuid last = {{0}};
    struct gone g;
    int rc;

    svc->has_gone = false;
    do {
        rc = gone_next(svc, after, &g);
        for (uint32_t i = 0; rc == 0 && i < g.nr && !svc->is_stopping; i++) {
            arena_reset(&svc->arena);
            pool_gone_run(svc->svcs, &svc->arena, svc->pool, g.conts[i]);
        }
        if (g.nr > 0)
            last = g.conts[g.nr - 1];
        after = pool_key_uuid(&last);
    } while (rc == 0 && g.nr == GONE_BATCH_NR && !svc->is_stopping);
    /* Without a leader, or before the database is complete, the next step-up looks again. */
    if (rc != 0 && rc != -DER_NOTLEADER && rc != -DER_NOTREPLICA)
        svc->has_gone = true;
}

static bool
has_revokes(const struct pool_svc *svc)
{
    return svc->revoke_all || !list_empty(&svc->revokes);
}

/* The next one; nil: all, which leaves none. */
static struct uuid
revoke_next(struct pool_svc *svc)
{
    struct uuid hdl = {{0}};
    struct pool_revoke *r;

    while ((r = LIST_FIRST(&svc->revokes, struct pool_revoke, link)) != NULL) {
        bool is_all = svc->revoke_all;

        if (!is_all)
            hdl = r->hdl;
        list_del(&r->link);
        svc->revoke_nr--;
        free(r);
        if (!is_all)
            break;
    }
    svc->revoke_all = false;
    return hdl;
}

static void
work_revokes(struct pool_svc *svc)
{
    while (!svc->is_stopping && has_revokes(svc)) {
        struct uuid hdl = revoke_next(svc);

        arena_reset(&svc->arena);
        pool_revoke_wait(svc->svcs, &svc->arena, svc->pool, hdl);
    }
}

static void
work_ult(void *arg)
{
    struct pool_svc *svc = arg;

    while (!svc->is_stopping) {
        bool was_gone = svc->has_gone;
        uint64_t wake_ns;

        work_revokes(svc);
        work_aggregates(svc);
        if (svc->has_gone && !svc->is_stopping)
            work_gone(svc);
        if (!svc->is_stopping && ult_now_ns() >= svc->look_ns)
            pool_evict_work(svc);
        if (svc->is_stopping || has_revokes(svc) || !list_empty(&svc->aggregates) ||
            (svc->has_gone && !was_gone))
            continue;
        wake_ns = svc->has_gone ? ult_now_ns() + POOL_WORKER_NS : PLAT_NEVER_NS;
        wake_ns = MIN(wake_ns, svc->look_ns);
        if (wake_ns == PLAT_NEVER_NS) {
            ult_cond_wait(&svc->changed, NULL);
        } else {
            ult_cond_wait_until(&svc->changed, NULL, wake_ns);
        }
    }
    svc->is_working = false;
    ult_cond_broadcast(&svc->changed);
}

int
pool_work_start(struct pool_svc *svc)
{
    int rc;

    svc->is_working = true;
    rc = ult_create(rpc_ctx_xstream(svc->svcs->env.rpc), ULT_SERVICE, work_ult, svc, NULL);
    if (rc != 0)
        svc->is_working = false;
    return rc;
}

void
pool_work_stop(struct pool_svc *svc)
{
    CAIRN_ASSERT(svc->is_stopping);
    ult_cond_broadcast(&svc->changed);
    while (svc->is_working) {
        ult_cond_wait(&svc->changed, NULL);
    }
}

void
pool_work_kick(struct pool_svc *svc)
{
    ult_cond_broadcast(&svc->changed);
}
