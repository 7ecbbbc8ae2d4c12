/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Handles that go although nobody closed them (POL-6): of clients that died, of clients that nothing is known of when there is no room, and
 * all of them, when an administrator asks for it.
 *
 * Who has died is read from the handle's row and from the processes of this machine, never from memory or from connections: a client that lost its
 * connection lives, and a service that started again knows as much as before. The dead are looked for when somebody finds no room or an exclusive
 * handle in his way, and every POOL_LOOK_NS while there are holders that can be looked at; the look takes at most a thousandth of the time.
 *
 * When a handle was used last is known from the requests that name it and from the targets, which ask about a handle in use again and again
 * (TGT-5); this is kept in memory only, and a service that starts counts from its start. Tested by test/server/server_evict_test.c, test/sim.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "pool_priv.h"

enum { LOOK_BATCH_NR = 64, LOOK_SHARE = 1000 };

/* ---- when handles were used ------------------------------------------------------------------ */

static uint64_t
use_hash(const struct uuid *hdl)
{
    return hash_bytes64(hdl, sizeof(*hdl), 0);
}

static struct pool_use *
use_find(struct pool_svc *svc, const struct uuid *hdl)
{
    struct pool_use *use;

    HMAP_FOREACH_HASH(use, &svc->uses, use_hash(hdl), struct pool_use, link) {
        if (cuuid_cmp(&use->hdl, hdl) == 0)
            break;
    }
    return use;
}

void
pool_use_note(struct pool_svc *svc, const struct uuid *hdl)
{
    struct pool_use *use = use_find(svc, hdl);

    if (use == NULL) {
        if (svc->uses.nr >= 2 * POOL_HDLS_NR_MAX)
            pool_use_forget_all(svc); /* handles that were closed under a request */
        use = calloc(1, sizeof(*use));
        if (use == NULL) {
            svc->since_ns = ult_now_ns(); /* as if all were used now */
            return;
        }
        use->hdl = *hdl;
        hmap_insert(&svc->uses, &use->link, use_hash(hdl));
    }
    use->used_ns = ult_now_ns();
}

void
pool_use_forget(struct pool_svc *svc, const struct uuid *hdl)
{
    struct pool_use *use = use_find(svc, hdl);

    if (use == NULL)
        return;
    hmap_remove(&svc->uses, &use->link);
    free(use);
}

void
pool_uses_free(struct pool_svc *svc)
{
    struct hmap_link *link;

    while ((link = hmap_pop(&svc->uses)) != NULL) {
        free(CAIRN_CONTAINER_OF(link, struct pool_use, link));
    }
}

void
pool_use_forget_all(struct pool_svc *svc)
{
    pool_uses_free(svc);
    svc->since_ns = ult_now_ns();
    svc->silent_ns = 0;
}

static uint64_t
used_ns(struct pool_svc *svc, const struct uuid *hdl)
{
    const struct pool_use *use = use_find(svc, hdl);

    return use == NULL ? svc->since_ns : MAX(use->used_ns, svc->since_ns);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* At most POOL_EVICT_BATCH_NR. */
static int
evict_batch(struct pool_call *call, const struct uuid *hdls, uint32_t nr)
{
    const struct pool_hooks *hooks = &call->svcs->hooks;
    bool is_more = false;
    int rc = 0;

    do {
        if (hooks->hdl_close != NULL)
            rc = hooks->hdl_close(call, hdls, nr, &is_more);
        if (rc == 0 && is_more)
            rc = pool_call_commit_part(call);
    } while (rc == 0 && is_more);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        pool_call_del(call, POOL_TABLE_HDLS, pool_key_uuid(&hdls[i]));
    }
    if (rc == 0)
        rc = pool_call_commit_part(call);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        pool_use_forget(call->svc, &hdls[i]);
        pool_revoke(call, hdls[i]);
    }
    return rc;
}

/* ---- handles of the dead --------------------------------------------------------------------- */

/* A part of the table. */
struct look {
    struct pool_svcs *svcs;
    bool is_all; /* whoever holds them */
    struct uuid hdls[POOL_EVICT_BATCH_NR], last;
    uint32_t nr, seen_nr;
    uint32_t local_nr; /* that stay and can be looked at */
};

static bool
look_one(void *arg, struct iov key, struct iov value)
{
    struct look *l = arg;
    struct pool_hdl hdl;

    if (key.len != sizeof(l->last))
        return true;
    memcpy(&l->last, key.buf, key.len);
    l->seen_nr++;
    if (l->is_all ||
        (pool_hdl_decode(value, &hdl) == 0 &&
            pool_holders_look(l->svcs, &hdl.holders) == POOL_HOLDERS_GONE)) {
        l->hdls[l->nr++] = l->last;
    } else if (hdl.holders.nr > 0) {
        l->local_nr++;
    }
    return l->nr < POOL_EVICT_BATCH_NR && l->seen_nr < LOOK_BATCH_NR;
}

/* Close all, or those of the dead. *ret_local_nr: how many are left that can be looked at. */
static int
evict_pool_hdls(struct pool_call *call, bool is_all, uint32_t *ret_nr, uint32_t *ret_local_nr)
{
    struct look *l = arena_calloc(call->arena, 1, sizeof(*l));
    struct iov after = {NULL, 0};
    bool is_more;
    int rc;

    if (l == NULL)
        return CAIRN_ERR(NOMEM);
    l->svcs = call->svcs;
    l->is_all = is_all;
    do {
        l->nr = l->seen_nr = 0;
        rc = pool_call_list(call, POOL_TABLE_HDLS, after, look_one, l);
        is_more = l->nr == POOL_EVICT_BATCH_NR || l->seen_nr == LOOK_BATCH_NR;
        if (rc == 0 && l->nr > 0)
            rc = evict_batch(call, l->hdls, l->nr);
        *ret_nr += rc == 0 ? l->nr : 0;
        after = pool_key_uuid(&l->last);
        ult_yield();
    } while (rc == 0 && is_more);
    *ret_local_nr += l->local_nr;
    return rc;
}

static int
evict_gone(struct pool_call *call, uint32_t *ret_nr, uint32_t *ret_local_nr)
{
    const struct pool_hooks *hooks = &call->svcs->hooks;
    char text[CUUID_TEXT_BYTES];
    uint32_t pool_nr = 0, cont_nr = 0;
    int rc;

    *ret_local_nr = 0;
    rc = evict_pool_hdls(call, false, &pool_nr, ret_local_nr);
    if (rc == 0 && hooks->hdl_evict_gone != NULL)
        rc = hooks->hdl_evict_gone(call, &cont_nr, ret_local_nr);
    if (pool_nr > 0)
        CAIRN_PROBE("pool.evict.gone");
    if (pool_nr + cont_nr > 0) {
        LOG_INFO("pool %s: closed %u handles, and %u of containers besides, of clients that died",
            cuuid_format(&call->pool, text), pool_nr, cont_nr);
    }
    *ret_nr = pool_nr + cont_nr;
    return rc;
}

int
pool_evict_gone(struct pool_call *call, uint32_t *ret_nr)
{
    uint32_t local_nr;

    return evict_gone(call, ret_nr, &local_nr);
}

/* ---- handles nobody knows anything about ------------------------------------------------------ */

struct silent {
    struct pool_call *call;
    struct uuid hdl, client;
    uint64_t used_ns, hlc;
    bool is_found;
};

static bool
silent_one(void *arg, struct iov key, struct iov value)
{
    struct silent *s = arg;
    struct pool_hdl row;
    struct uuid hdl;
    uint64_t ns;

    if (key.len != sizeof(hdl) || pool_hdl_decode(value, &row) != 0)
        return true;
    memcpy(&hdl, key.buf, key.len);
    ns = used_ns(s->call->svc, &hdl);
    if (s->is_found && (ns > s->used_ns || (ns == s->used_ns && row.hlc >= s->hlc)))
        return true;
    if (pool_holders_look(s->call->svcs, &row.holders) != POOL_HOLDERS_UNKNOWN)
        return true;
    *s = (struct silent){s->call, hdl, row.client, ns, row.hlc, true};
    return true;
}

int
pool_evict_silent(struct pool_call *call, uint32_t *ret_nr)
{
    char pool[CUUID_TEXT_BYTES], hdl[CUUID_TEXT_BYTES], client[CUUID_TEXT_BYTES];
    struct pool_svc *svc = call->svc;
    struct silent s = {.call = call};
    uint64_t now_ns = ult_now_ns();
    int rc;

    *ret_nr = 0;
    if (now_ns < svc->silent_ns)
        return 0;
    rc = pool_call_list(call, POOL_TABLE_HDLS, (struct iov){NULL, 0}, silent_one, &s);
    if (rc != 0 || !s.is_found)
        return rc;
    if (now_ns - s.used_ns < POOL_SILENT_NS) {
        svc->silent_ns = s.used_ns + POOL_SILENT_NS; /* those used later are not earlier ready */
        CAIRN_PROBE("pool.evict.silent_later");
        return 0;
    }
    rc = evict_batch(call, &s.hdl, 1);
    if (rc != 0)
        return rc;
    CAIRN_PROBE("pool.evict.silent");
    LOG_WARN("pool %s: as many handles are open as may be: closed %s of client %s, of which "
             "nothing was heard for %llu s",
        cuuid_format(&call->pool, pool), cuuid_format(&s.hdl, hdl), cuuid_format(&s.client, client),
        (unsigned long long)((now_ns - s.used_ns) / UINT64_C(1000000000)));
    *ret_nr = 1;
    return 0;
}

/* ---- the worker, administrators --------------------------------------------------------------- */

void
pool_look_soon(struct pool_call *call)
{
    struct pool_svc *svc = call->svc;

    if (svc->look_ns != PLAT_NEVER_NS)
        return;
    svc->look_ns = ult_now_ns() + POOL_LOOK_NS;
    pool_work_kick(svc);
}

void
pool_evict_work(struct pool_svc *svc)
{
    uint64_t begin_ns = ult_now_ns();
    uint32_t nr, local_nr = 0;
    struct pool_call *call;
    int rc;

    svc->look_ns = PLAT_NEVER_NS;
    arena_reset(&svc->arena);
    rc = pool_call_begin_svc(svc, NULL, &svc->arena, true, &call);
    if (rc == 0) {
        rc = evict_gone(call, &nr, &local_nr);
        pool_call_end(call);
    }
    if (rc == -DER_NOTLEADER || rc == -DER_NOTREPLICA)
        return; /* the next step-up says when */
    if (rc != 0 || local_nr > 0) {
        uint64_t now_ns = ult_now_ns();

        svc->look_ns = now_ns + MAX(POOL_LOOK_NS, LOOK_SHARE * (now_ns - begin_ns));
    }
}

static int
evict_all(struct pool_call *call, uint32_t *ret_nr)
{
    char text[CUUID_TEXT_BYTES];
    uint32_t local_nr = 0;
    int rc = evict_pool_hdls(call, true, ret_nr, &local_nr);

    if (rc == 0) {
        LOG_INFO("pool %s: evicted all %u handles, as was asked for",
            cuuid_format(&call->pool, text), *ret_nr);
    }
    return rc;
}

int
pool_evict_local(
    struct pool_svcs *svcs, struct arena *arena, struct uuid pool, bool is_all, uint32_t *ret_nr)
{
    struct pool_call *call;
    uint32_t nr = 0;
    int rc;

    rc = pool_call_begin_local(svcs, arena, pool, true, &call);
    if (rc != 0)
        return rc;
    rc = is_all ? evict_all(call, &nr) : pool_evict_gone(call, &nr);
    pool_call_end(call);
    if (rc == 0 && is_all)
        pool_revoke_wait(svcs, arena, pool, (struct uuid){{0}});
    if (rc == 0)
        *ret_nr = nr;
    return rc;
}

int
pool_h_evict(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_evict_req *in = req->body;
    struct proto_pool_evict_rep *out = rep;

    if (!svcs->env.is_engine(svcs->env.arg, req->hdr))
        return CAIRN_ERR(NO_PERM);
    return pool_evict_local(svcs, req->arena, in->pool, in->is_all != 0, &out->nr);
}
