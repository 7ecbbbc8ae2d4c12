/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* References, leaders and maps of pools and containers: what every public call on them shares. */
#include "client/core/client_pool.h"

#include "daos_cont.h"

#include "base/assert.h"
#include "base/util.h"

#include <stdlib.h>

void
client_pool_get(struct client_pool *pool)
{
    CAIRN_ASSERT(pool->ref_nr > 0);
    pool->ref_nr++;
}

void
client_pool_put(struct client_pool *pool)
{
    if (pool == NULL)
        return;
    CAIRN_ASSERT(pool->ref_nr > 0);
    if (--pool->ref_nr > 0)
        return;
    poolmap_destroy(pool->map);
    free(pool);
}

void
client_cont_get(struct client_cont *cont)
{
    CAIRN_ASSERT(cont->ref_nr > 0);
    cont->ref_nr++;
}

void
client_cont_put(struct client_cont *cont)
{
    if (cont == NULL)
        return;
    CAIRN_ASSERT(cont->ref_nr > 0);
    if (--cont->ref_nr > 0)
        return;
    if (cont->origin == NULL)
        cont->pool->cont_nr--;
    client_cont_put(cont->origin);
    client_pool_put(cont->pool);
    free(cont);
}

int
client_pool_new(struct daos_client *client, struct uuid uuid, struct uuid hdl, uint64_t flags,
    uint32_t leader, struct poolmap *map, struct client_pool **ret_pool)
{
    struct client_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return CAIRN_ERR(NOMEM);
    *pool = (struct client_pool){.client = client,
        .ref_nr = 1,
        .uuid = uuid,
        .hdl = hdl,
        .flags = flags,
        .leader = leader,
        .map = map};
    *ret_pool = pool;
    return 0;
}

int
client_cont_new(struct client_pool *pool, struct uuid uuid, struct uuid hdl, uint64_t flags,
    struct client_cont **ret_cont)
{
    struct client_cont *cont = calloc(1, sizeof(*cont));

    if (cont == NULL)
        return CAIRN_ERR(NOMEM);
    *cont = (struct client_cont){.pool = pool,
        .ref_nr = 1,
        .uuid = uuid,
        .hdl = hdl,
        .flags = flags,
        .layout_ver = PLACEMENT_LAYOUT_VERSION,
        .epoch = UINT64_MAX};
    client_pool_get(pool);
    pool->cont_nr++;
    *ret_cont = cont;
    return 0;
}

static void
pool_fini(void *ptr)
{
    client_pool_put(ptr);
}

static void
cont_fini(void *ptr)
{
    client_cont_put(ptr);
}

int
client_pool_hdl_new(struct client_pool *pool, uint64_t *ret_cookie)
{
    return client_hdl_new(pool->client, CLIENT_HDL_POOL, pool, pool_fini, ret_cookie);
}

int
client_cont_hdl_new(struct client_cont *cont, uint64_t *ret_cookie)
{
    return client_hdl_new(cont->pool->client, CLIENT_HDL_CONT, cont, cont_fini, ret_cookie);
}

struct uuid
client_uuid_new(struct daos_client *client)
{
    uint64_t random[2];

    client->plat->ops->random(client->plat, random, sizeof(random));
    return cuuid_from_random(random[0], random[1]);
}

int
client_pool_of(struct daos_client *client, uint64_t cookie, struct client_pool **ret_pool)
{
    struct client_pool *pool = client_hdl_get(client, CLIENT_HDL_POOL, cookie);

    if (pool == NULL)
        return CAIRN_ERR(NO_HDL);
    *ret_pool = pool;
    return 0;
}

int
client_cont_of(struct daos_client *client, uint64_t cookie, struct client_cont **ret_cont)
{
    struct client_cont *cont = client_hdl_get(client, CLIENT_HDL_CONT, cookie);

    if (cont == NULL)
        return CAIRN_ERR(NO_HDL);
    *ret_cont = cont;
    return 0;
}

int
client_cont_take(uint64_t cookie, bool needs_write, struct client_cont **ret_cont)
{
    struct client_cont *cont;
    int rc = client_cont_of(client_self(), cookie, &cont);

    if (rc != 0)
        return rc;
    if (needs_write && (cont->flags & (DAOS_COO_RW | DAOS_COO_EX)) == 0)
        return CAIRN_ERR(NO_PERM);
    client_cont_get(cont);
    *ret_cont = cont;
    return 0;
}

static int
svc_call(struct client_pool *pool, const struct uuid *cont_hdl, uint16_t opcode, const void *req,
    void *rep, struct arena *arena)
{
    struct client_call call = {
        .ep = {.rank = pool->leader, .tag = RPC_TAG_SYSTEM},
        .opcode = opcode,
        .req = req,
        .rep = rep,
        .arena = arena,
        .map_ver = pool->map->version,
        .pool = pool->uuid,
        .pool_hdl = pool->hdl,
        .cont_hdl = cont_hdl == NULL ? (struct uuid){{0}} : *cont_hdl,
        .follow_leader = true,
    };
    int rc = client_call(pool->client, &call);

    pool->leader = call.ep.rank;
    return rc;
}

int
client_pool_call(
    struct client_pool *pool, uint16_t opcode, const void *req, void *rep, struct arena *arena)
{
    return svc_call(pool, NULL, opcode, req, rep, arena);
}

/*
 * Addresses that lead to no other kernel than this one: AF_UNIX, loopback, the simulator's. Else nothing is said: two machines that were copied from one while
 * it ran would take processes of one another for their own.
 */
static bool
is_here(const char *uri)
{
    const char *host = strstr(uri, "://");

    if (strncmp(uri, "tcp://", 6) != 0 && strncmp(uri, "ofi+", 4) != 0)
        return true;
    return host != NULL && strncmp(host + 3, "127.", 4) == 0;
}

void
client_proc(const struct daos_client *client, struct proto_proc *ret_proc)
{
    struct plat_proc proc;

    *ret_proc = (struct proto_proc){.pid = 0};
    for (uint32_t i = 0; i < client->sys.rank_nr; i++) {
        const struct client_rank *rank = &client->sys.ranks[i];

        if (rank->uri_nr > 0 && !is_here(rank->uris[0]))
            return;
    }
    client->plat->ops->proc_self(client->plat, &proc);
    memcpy(ret_proc->realm.b, proc.realm, sizeof(ret_proc->realm.b));
    ret_proc->pid = proc.pid;
    ret_proc->start = proc.start;
}

int
client_attach_hdl(struct client_pool *pool, const struct uuid *cont_hdl)
{
    struct proto_pool_attach_req req = {.pool = pool->uuid};
    struct proto_empty rep = {0};
    struct arena arena;
    int rc;

    client_proc(pool->client, &req.proc);
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = svc_call(pool, cont_hdl, PROTO_POOL_ATTACH, &req, &rep, &arena);
    arena_fini(&arena);
    return rc;
}

int
client_cont_call(
    struct client_cont *cont, uint16_t opcode, const void *req, void *rep, struct arena *arena)
{
    return svc_call(cont->pool, &cont->hdl, opcode, req, rep, arena);
}

int
client_sys_call(
    struct daos_client *client, uint16_t opcode, const void *req, void *rep, struct arena *arena)
{
    struct client_call call = {
        .ep = {.rank = client->sys.leader_rank, .tag = RPC_TAG_SYSTEM},
        .timeout_ns = CLIENT_SYS_CALL_NS,
        .opcode = opcode,
        .req = req,
        .rep = rep,
        .arena = arena,
        .follow_leader = true,
    };
    int rc = client_call(client, &call);

    if (call.ep.rank != RPC_RANK_NONE)
        client->sys.leader_rank = call.ep.rank;
    return rc;
}

int
client_pool_map_take(struct client_pool *pool, const struct iov *bytes)
{
    struct poolmap *map;
    int rc;

    if (bytes->len == 0)
        return 0; /* not sent: unchanged */
    rc = poolmap_decode(bytes->buf, bytes->len, &map);
    if (rc != 0)
        return rc;
    if (map->version > pool->map->version) { /* another call may have been faster */
        struct poolmap *old = pool->map;

        pool->map = map;
        map = old;
    }
    poolmap_destroy(map);
    return 0;
}

int
client_pool_refresh(struct client_pool *pool)
{
    struct proto_pool_map_req req = {.pool = pool->uuid};
    struct proto_pool_map_rep rep = {0};
    struct arena arena;
    int rc;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_pool_call(pool, PROTO_POOL_MAP, &req, &rep, &arena);
    if (rc == 0)
        rc = client_pool_map_take(pool, &rep.map);
    arena_fini(&arena);
    return rc;
}

int
client_tgt_call(struct client_cont *cont, uint32_t tgt_id, uint16_t opcode, const void *req,
    void *rep, struct arena *arena)
{
    return client_tgt_call_bulk(cont, tgt_id, opcode, req, NULL, rep, arena);
}

int
client_tgt_call_bulk(struct client_cont *cont, uint32_t tgt_id, uint16_t opcode, const void *req,
    struct rpc_bulk *bulk, void *rep, struct arena *arena)
{
    struct client_pool *pool = cont->pool;
    const struct poolmap_tgt *tgt = poolmap_tgt_at(pool->map, tgt_id);
    struct client_call call = {
        .opcode = opcode,
        .req = req,
        .bulk = bulk,
        .rep = rep,
        .arena = arena,
        .pool = pool->uuid,
        .pool_hdl = pool->hdl,
        .cont_hdl = cont->hdl,
        .map_ver = pool->map->version,
    };
    int rc;

    if (tgt == NULL)
        return CAIRN_ERR(BAD_TARGET);
    call.ep.rank = poolmap_tgt_rank(pool->map, tgt)->rank.v;
    call.ep.tag = 1 + tgt->tgt_idx;
    rc = client_call(pool->client, &call);
    if (rc == -DER_STALE) {
        rc = client_pool_refresh(pool);
        return rc != 0 ? rc : CAIRN_ERR(STALE);
    }
    return rc;
}
