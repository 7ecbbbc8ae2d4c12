/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos_pool_*(): connections, queries, attributes, the list of containers. Tested by test/client. */
#include "base/assert.h"
#include "base/util.h"
#include "client/core/client_glob.h"
#include "client/core/client_prop.h"
#include "daos_pool.h"

#include <stdlib.h>
#include <string.h>

CAIRN_STATIC_ASSERT(sizeof(daos_pool_info_t) == 192, "size in the API");
CAIRN_STATIC_ASSERT(sizeof(daos_target_info_t) == 48, "size in the API");
CAIRN_STATIC_ASSERT(sizeof(struct daos_pool_cont_info) == 144, "size in the API");

enum { LIST_BATCH_NR = 128, CONTS_NR_MAX = 1 << 20 };

struct pool_args {
    char id[DAOS_PROP_LABEL_MAX_LEN + 1]; /* a copy: the call may outlive the caller's */
    unsigned int flags;
    daos_handle_t poh;
    daos_handle_t *ret_poh;
    d_rank_list_t **ranks;
    daos_pool_info_t *info;
    daos_prop_t *prop;
    uint32_t tgt;
    d_rank_t rank;
    daos_target_info_t *tgt_info;
    daos_size_t *cont_nr;
    struct daos_pool_cont_info *conts;
};

/* ---- query ------------------------------------------------------------------------------------------------------------- */

static void
space_fill(const struct proto_space *space, struct daos_pool_space *ret_space)
{
    *ret_space = (struct daos_pool_space){.ps_ntargets = space->tgt_nr};
    for (uint32_t m = 0; m < DAOS_MEDIA_MAX; m++) {
        ret_space->ps_space.s_total[m] = space->total[m];
        ret_space->ps_space.s_free[m] = space->free[m];
        ret_space->ps_free_min[m] = space->free_min[m];
        ret_space->ps_free_max[m] = space->free_max[m];
        ret_space->ps_free_mean[m] = space->free_mean[m];
    }
}

static void
info_fill(
    const struct client_pool *pool, const struct proto_pool_query_rep *rep, daos_pool_info_t *info)
{
    const struct poolmap *map = pool->map;

    memcpy(info->pi_uuid, pool->uuid.b, sizeof(info->pi_uuid));
    info->pi_ntargets = map->tgts_nr;
    info->pi_nnodes = map->ranks_nr;
    info->pi_ndisabled =
        poolmap_tgts_count(map, POOLMAP_BIT(POOLMAP_DOWN) | POOLMAP_BIT(POOLMAP_DOWN_OUT));
    info->pi_map_ver = map->version;
    info->pi_leader = pool->leader;
    if (rep == NULL)
        return;
    if ((info->pi_bits & DPI_SPACE) != 0)
        space_fill(&rep->space, &info->pi_space);
    if ((info->pi_bits & DPI_REBUILD_STATUS) != 0)
        info->pi_rebuild_st = (struct daos_rebuild_status){.rs_state = DRS_NOT_STARTED};
    if ((info->pi_bits & DPI_REBUILD_MAX_LAYOUT_VER) != 0)
        info->pi_rebuild_st.rs_max_supported_layout_ver = PLACEMENT_LAYOUT_VERSION;
}

/* The ranks that the bits ask for: with a serving target (enabled), without (disabled, dead); no bit: all. Freed by d_rank_list_free(). */
static int
ranks_make(const struct poolmap *map, uint64_t bits, d_rank_list_t **ret_ranks)
{
    d_rank_list_t *ranks = calloc(1, sizeof(*ranks));
    bool is_enabled = (bits & DPI_ENGINES_ENABLED) != 0;
    bool is_any = !is_enabled && (bits & (DPI_ENGINES_DISABLED | DPI_ENGINES_DEAD)) == 0;

    if (ranks == NULL)
        return CAIRN_ERR(NOMEM);
    ranks->rl_ranks = calloc(MAX(map->ranks_nr, 1U), sizeof(*ranks->rl_ranks));
    if (ranks->rl_ranks == NULL) {
        free(ranks);
        return CAIRN_ERR(NOMEM);
    }
    for (uint32_t i = 0; i < map->ranks_nr; i++) {
        bool serves = poolmap_rank_has(map, map->ranks[i].rank, POOLMAP_SERVING);

        if (is_any || serves == is_enabled)
            ranks->rl_ranks[ranks->rl_nr++] = map->ranks[i].rank.v;
    }
    *ret_ranks = ranks;
    return 0;
}

static int
query(struct client_pool *pool, const struct pool_args *args)
{
    struct proto_pool_query_req req = {.pool = pool->uuid};
    struct proto_pool_query_rep rep = {0};
    struct arena arena;
    int rc;

    if (args->info != NULL)
        req.bits = args->info->pi_bits;
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_pool_call(pool, PROTO_POOL_QUERY, &req, &rep, &arena);
    if (rc == 0)
        rc = client_pool_map_take(pool, &rep.map);
    if (rc == 0 && args->prop != NULL)
        rc = client_prop_decode(&rep.props, args->prop);
    if (rc == 0 && args->ranks != NULL)
        rc = ranks_make(pool->map, req.bits, args->ranks);
    if (rc == 0 && args->info != NULL)
        info_fill(pool, &rep, args->info);
    arena_fini(&arena);
    return rc;
}

static int
query_ult(void *arg)
{
    struct pool_args *args = arg;
    struct client_pool *pool;
    int rc = client_pool_of(client_self(), args->poh.cookie, &pool);

    if (rc != 0)
        return rc;
    client_pool_get(pool);
    rc = query(pool, args);
    client_pool_put(pool);
    return rc;
}

int
daos_pool_query(daos_handle_t poh, d_rank_list_t **ranks, daos_pool_info_t *info,
    daos_prop_t *pool_prop, daos_event_t *ev)
{
    struct pool_args args = {.poh = poh, .ranks = ranks, .info = info, .prop = pool_prop};

    return client_run(ev, query_ult, &args, sizeof(args));
}

static int
query_target(struct client_pool *pool, const struct pool_args *args)
{
    const struct poolmap_tgt *tgt = poolmap_tgt_find(pool->map, (struct rank){args->rank}, args->tgt);
    struct proto_pool_tgt_query_req req = {.pool = pool->uuid};
    struct proto_pool_tgt_query_rep rep = {0};
    struct arena arena;
    int rc;

    if (tgt == NULL)
        return CAIRN_ERR(NONEXIST);
    req.tgt = tgt->id;
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_pool_call(pool, PROTO_POOL_TGT_QUERY, &req, &rep, &arena);
    arena_fini(&arena);
    if (rc != 0)
        return rc;
    *args->tgt_info = (daos_target_info_t){.ta_state = (daos_target_state_t)rep.state};
    for (uint32_t m = 0; m < DAOS_MEDIA_MAX; m++) {
        args->tgt_info->ta_space.s_total[m] = rep.space.total[m];
        args->tgt_info->ta_space.s_free[m] = rep.space.free[m];
    }
    return 0;
}

static int
query_target_ult(void *arg)
{
    struct pool_args *args = arg;
    struct client_pool *pool;
    int rc = client_pool_of(client_self(), args->poh.cookie, &pool);

    if (rc != 0)
        return rc;
    client_pool_get(pool);
    rc = query_target(pool, args);
    client_pool_put(pool);
    return rc;
}

int
daos_pool_query_target(
    daos_handle_t poh, uint32_t tgt, d_rank_t rank, daos_target_info_t *info, daos_event_t *ev)
{
    struct pool_args args = {.poh = poh, .tgt = tgt, .rank = rank, .tgt_info = info};

    if (info == NULL)
        return client_refuse();
    return client_run(ev, query_target_ult, &args, sizeof(args));
}

/* ---- connect and disconnect -------------------------------------------------------------------------------------------- */

static bool
is_id(const char *id)
{
    return id != NULL && (daos_label_is_valid(id) || daos_is_valid_uuid_string(id, UUID_SST_NONE));
}

static int
resolve(struct daos_client *client, const char *id, struct uuid *ret_pool, uint32_t *ret_rank)
{
    struct proto_sys_resolve_req req = {.id = {.buf = (void *)(uintptr_t)id, .len = strlen(id)}};
    struct proto_sys_resolve_rep rep = {0};
    struct arena arena;
    int rc;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_sys_call(client, PROTO_SYS_POOL_RESOLVE, &req, &rep, &arena);
    if (rc == 0 && rep.svc_ranks.nr == 0)
        rc = CAIRN_ERR(NO_SERVICE);
    if (rc == 0) {
        *ret_pool = rep.pool;
        *ret_rank = ((struct proto_rank *)rep.svc_ranks.items)[0].rank;
    }
    arena_fini(&arena);
    return rc;
}

static int
connect_send(struct daos_client *client, struct uuid uuid, uint64_t flags, uint32_t leader,
    struct client_pool **ret_pool)
{
    struct proto_pool_connect_req req = {
        .pool = uuid, .hdl = client_uuid_new(client), .flags = flags};
    struct proto_pool_connect_rep rep = {0};
    struct client_call call = {
        .ep = {.rank = leader, .tag = RPC_TAG_SYSTEM},
        .opcode = PROTO_POOL_CONNECT,
        .req = &req,
        .rep = &rep,
        .pool = uuid,
        .pool_hdl = req.hdl,
        .follow_leader = true,
    };
    struct poolmap *map = NULL;
    struct arena arena;
    int rc;

    client_proc(client, &req.proc);
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    call.arena = &arena;
    rc = client_call(client, &call);
    if (rc == 0)
        rc = poolmap_decode(rep.map.buf, rep.map.len, &map);
    arena_fini(&arena);
    if (rc == 0)
        rc = client_pool_new(client, uuid, req.hdl, flags, call.ep.rank, map, ret_pool);
    if (rc != 0)
        poolmap_destroy(map);
    return rc;
}

static int
disconnect_send(struct client_pool *pool)
{
    struct proto_pool_disconnect_req req = {.pool = pool->uuid, .hdl = pool->hdl};
    struct proto_empty rep = {0};
    struct arena arena;
    int rc;

    if (pool->is_slave)
        return 0;
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_pool_call(pool, PROTO_POOL_DISCONNECT, &req, &rep, &arena);
    arena_fini(&arena);
    return rc == -DER_NO_HDL || rc == -DER_NONEXIST ? 0 : rc; /* evicted, or destroyed with its pool */
}

static int
connect_ult(void *arg)
{
    struct pool_args *args = arg;
    struct daos_client *client = client_self();
    struct client_pool *pool;
    struct uuid uuid;
    uint32_t leader;
    uint64_t cookie;
    int rc = resolve(client, args->id, &uuid, &leader);

    if (rc != 0)
        return rc;
    rc = connect_send(client, uuid, args->flags, leader, &pool);
    if (rc != 0)
        return rc;
    if (args->info != NULL)
        rc = query(pool, args);
    if (rc == 0)
        rc = client_pool_hdl_new(pool, &cookie);
    if (rc != 0) {
        CAIRN_IGNORE(disconnect_send(
            pool)); /* the first error tells; the service forgets handles of the dead */
        client_pool_put(pool);
        return rc;
    }
    args->ret_poh->cookie = cookie;
    return 0;
}

#undef daos_pool_connect

int
daos_pool_connect2(const char *pool, const char *sys, unsigned int flags, daos_handle_t *poh,
    daos_pool_info_t *info, daos_event_t *ev)
{
    struct pool_args args = {.flags = flags, .ret_poh = poh, .info = info};
    unsigned int mode = flags & DAOS_PC_MASK;

    if (poh == NULL || !is_id(pool) || mode != flags || !IS_POW2(mode))
        return client_refuse();
    memcpy(args.id, pool, strlen(pool) + 1);
    return client_run_attached(sys, ev, connect_ult, &args, sizeof(args));
}

int daos_pool_connect(const char *pool, const char *sys, unsigned int flags, daos_handle_t *poh,
    daos_pool_info_t *info, daos_event_t *ev)
    __attribute__((alias("daos_pool_connect2"), visibility("default")));

static int
disconnect_ult(void *arg)
{
    struct pool_args *args = arg;
    struct daos_client *client = client_self();
    struct client_pool *pool;
    int rc = client_pool_of(client, args->poh.cookie, &pool);

    if (rc != 0)
        return rc;
    if (pool->cont_nr > 0)
        return CAIRN_ERR(BUSY);
    client_pool_get(pool);
    rc = disconnect_send(pool);
    if (rc == 0 && client_hdl_del(client, CLIENT_HDL_POOL, args->poh.cookie) != NULL)
        client_pool_put(pool); /* the handle's reference */
    client_pool_put(pool);
    return rc;
}

int
daos_pool_disconnect(daos_handle_t poh, daos_event_t *ev)
{
    struct pool_args args = {.poh = poh};

    return client_run(ev, disconnect_ult, &args, sizeof(args));
}

/* ---- global handles ------------------------------------------------------------------------------------------------------ */

static int
local2global_ult(void *arg)
{
    struct client_glob_args *args = arg;
    struct client_pool *pool;
    int rc = client_pool_of(client_self(), args->hdl.cookie, &pool);

    return rc != 0 ? rc : client_glob_pool(pool, args->glob);
}

int
daos_pool_local2global(daos_handle_t poh, d_iov_t *glob)
{
    struct client_glob_args args = {.hdl = poh, .glob = glob};

    if (glob == NULL)
        return client_refuse();
    return client_run_sync(local2global_ult, &args);
}

static int
global2local_ult(void *arg)
{
    struct client_glob_args *args = arg;
    struct client_pool *pool;
    uint64_t cookie;
    int rc = client_glob_pool_open(client_self(), args->glob, &pool);

    if (rc != 0)
        return rc;
    rc = client_attach_hdl(pool, NULL);
    if (rc == 0)
        rc = client_pool_hdl_new(pool, &cookie);
    if (rc != 0) {
        client_pool_put(pool);
    } else {
        args->ret_hdl->cookie = cookie;
    }
    return rc;
}

int
daos_pool_global2local(d_iov_t glob, daos_handle_t *poh)
{
    struct client_glob_args args = {.glob = &glob, .ret_hdl = poh};
    char sys[CLIENT_SYS_NAME_BYTES_MAX];
    int rc;

    if (poh == NULL)
        return client_refuse();
    rc = client_glob_sys(&glob, sys);
    if (rc != 0)
        return rc;
    return client_run_attached(sys, NULL, global2local_ult, &args, sizeof(args));
}

/* ---- attributes ------------------------------------------------------------------------------------------------------------ */

int
daos_pool_list_attr(daos_handle_t poh, char *buffer, size_t *size, daos_event_t *ev)
{
    struct client_attr_args args = {.hdl = poh, .names_buf = buffer, .sizes = size};

    return client_run(ev, client_attr_list_ult, &args, sizeof(args));
}

int
daos_pool_get_attr(daos_handle_t poh, int n, char const *const names[], void *const buffers[],
    size_t sizes[], daos_event_t *ev)
{
    struct client_attr_args args = {
        .hdl = poh, .n = n, .names = names, .buffers = buffers, .sizes = sizes};

    return client_run(ev, client_attr_get_ult, &args, sizeof(args));
}

int
daos_pool_set_attr(daos_handle_t poh, int n, char const *const names[], void const *const values[],
    size_t const sizes[], daos_event_t *ev)
{
    struct client_attr_args args = {
        .hdl = poh, .n = n, .names = names, .values = values, .sizes = (size_t *)(uintptr_t)sizes};

    return client_run(ev, client_attr_set_ult, &args, sizeof(args));
}

int
daos_pool_del_attr(daos_handle_t poh, int n, char const *const names[], daos_event_t *ev)
{
    struct client_attr_args args = {.hdl = poh, .n = n, .names = names};

    return client_run(ev, client_attr_del_ult, &args, sizeof(args));
}

/* ---- containers of a pool ---------------------------------------------------------------------------------------------------- */

static int
list_cont(struct client_pool *pool, const struct pool_args *args)
{
    uint64_t room = args->conts == NULL ? 0 : *args->cont_nr, nr = 0;
    struct proto_pool_list_cont_req req = {.pool = pool->uuid, .nr_max = LIST_BATCH_NR};
    struct proto_pool_list_cont_rep rep;
    int rc;

    do {
        const struct proto_cont_entry *entries;
        struct arena arena;

        rep = (struct proto_pool_list_cont_rep){0};
        arena_init(&arena, 4096, CLIENT_REPLY_ARENA_BYTES_MAX);
        rc = client_pool_call(pool, PROTO_POOL_LIST_CONT, &req, &rep, &arena);
        entries = rep.conts.items;
        for (uint32_t i = 0; rc == 0 && i < rep.conts.nr; i++, nr++) {
            req.after = entries[i].uuid;
            if (nr >= room)
                continue;
            memset(&args->conts[nr], 0, sizeof(args->conts[nr]));
            memcpy(args->conts[nr].pci_uuid, entries[i].uuid.b, sizeof(args->conts[nr].pci_uuid));
            if (entries[i].label.len > 0) {
                memcpy(args->conts[nr].pci_label, entries[i].label.buf,
                    MIN(entries[i].label.len, (size_t)DAOS_PROP_LABEL_MAX_LEN));
            }
        }
        arena_fini(&arena);
    } while (rc == 0 && !rep.eof && rep.conts.nr > 0 && nr < CONTS_NR_MAX);
    if (rc != 0)
        return rc;
    *args->cont_nr = nr;
    return args->conts != NULL && nr > room ? CAIRN_ERR(TRUNC) : 0;
}

static int
list_cont_ult(void *arg)
{
    struct pool_args *args = arg;
    struct client_pool *pool;
    int rc = client_pool_of(client_self(), args->poh.cookie, &pool);

    if (rc != 0)
        return rc;
    client_pool_get(pool);
    rc = list_cont(pool, args);
    client_pool_put(pool);
    return rc;
}

int
daos_pool_list_cont(
    daos_handle_t poh, daos_size_t *ncont, struct daos_pool_cont_info *cbuf, daos_event_t *ev)
{
    struct pool_args args = {.poh = poh, .cont_nr = ncont, .conts = cbuf};

    if (ncont == NULL)
        return client_refuse();
    return client_run(ev, list_cont_ult, &args, sizeof(args));
}
