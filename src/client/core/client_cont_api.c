/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos_cont_*(): life, handles, properties, attributes, ranges of object ids. Tested by test/client. */
#include "daos_cont.h"

#include "base/assert.h"
#include "base/util.h"
#include "client/core/client_glob.h"
#include "client/core/client_prop.h"

#include <stdlib.h>
#include <string.h>

CAIRN_STATIC_ASSERT(sizeof(daos_cont_info_t) == 48, "size in the API");

struct cont_args {
    daos_handle_t poh, coh;
    char id[DAOS_PROP_LABEL_MAX_LEN + 1]; /* a copy: the call may outlive the caller's */
    unsigned int flags;
    int force;
    uuid_t *ret_uuid;
    daos_handle_t *ret_coh;
    daos_cont_info_t *info;
    daos_prop_t *prop;
    daos_size_t oid_nr;
    uint64_t *ret_lo;
};

static bool
is_id(const char *id)
{
    return id != NULL && (daos_label_is_valid(id) || daos_is_valid_uuid_string(id, UUID_SST_NONE));
}

static struct iov
id_iov(const char *id)
{
    return (struct iov){.buf = (void *)(uintptr_t)id, .len = strlen(id)};
}

/* A pool by its handle, which is kept for the time of a call; `needs_write` for what changes it. */
static int
pool_get(daos_handle_t poh, bool needs_write, struct client_pool **ret_pool)
{
    struct client_pool *pool;
    int rc = client_pool_of(client_self(), poh.cookie, &pool);

    if (rc != 0)
        return rc;
    if (needs_write && (pool->flags & (DAOS_PC_RW | DAOS_PC_EX)) == 0)
        return CAIRN_ERR(NO_PERM);
    client_pool_get(pool);
    *ret_pool = pool;
    return 0;
}

/* ---- create and destroy -------------------------------------------------------------------------------------------------- */

/* The label given beside the list goes into it; another one in the list is a contradiction. */
static int
label_add(struct proto_array *props, const char *label, struct arena *arena)
{
    struct proto_prop *items = props->items;

    for (uint32_t i = 0; i < props->nr; i++) {
        if (items[i].type != DAOS_PROP_CO_LABEL)
            continue;
        if (items[i].bytes.len != strlen(label) ||
            memcmp(items[i].bytes.buf, label, strlen(label)) != 0)
            return CAIRN_ERR(INVAL);
        return 0;
    }
    if (items == NULL) {
        items = arena_calloc(arena, 1, sizeof(*items));
        if (items == NULL)
            return CAIRN_ERR(NOMEM);
    }
    items[props->nr] = (struct proto_prop){.type = DAOS_PROP_CO_LABEL, .bytes = id_iov(label)};
    props->items = items;
    props->nr++;
    return 0;
}

static int
create(struct client_pool *pool, const struct cont_args *args)
{
    struct proto_cont_create_req req = {.pool = pool->uuid, .cont = client_uuid_new(pool->client)};
    struct proto_empty rep = {0};
    struct arena arena;
    int rc;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_prop_encode(args->prop, true, &arena, &req.props);
    if (rc == 0 && args->id[0] != '\0')
        rc = label_add(&req.props, args->id, &arena);
    if (rc == 0)
        rc = client_pool_call(pool, PROTO_CONT_CREATE, &req, &rep, &arena);
    arena_fini(&arena);
    if (rc == 0 && args->ret_uuid != NULL)
        memcpy(*args->ret_uuid, req.cont.b, sizeof(*args->ret_uuid));
    return rc;
}

static int
create_ult(void *arg)
{
    struct cont_args *args = arg;
    struct client_pool *pool;
    int rc = pool_get(args->poh, true, &pool);

    if (rc != 0)
        return rc;
    rc = create(pool, args);
    client_pool_put(pool);
    return rc;
}

#undef daos_cont_create
#undef daos_cont_open
#undef daos_cont_destroy

int
daos_cont_create2(daos_handle_t poh, uuid_t *uuid, daos_prop_t *cont_prop, daos_event_t *ev)
{
    struct cont_args args = {.poh = poh, .ret_uuid = uuid, .prop = cont_prop};

    return client_run(ev, create_ult, &args, sizeof(args));
}

int daos_cont_create(daos_handle_t poh, uuid_t *uuid, daos_prop_t *cont_prop, daos_event_t *ev)
    __attribute__((alias("daos_cont_create2"), visibility("default")));

int
daos_cont_create_with_label(
    daos_handle_t poh, const char *label, daos_prop_t *cont_prop, uuid_t *uuid, daos_event_t *ev)
{
    struct cont_args args = {.poh = poh, .ret_uuid = uuid, .prop = cont_prop};

    if (!daos_label_is_valid(label))
        return client_refuse();
    memcpy(args.id, label, strlen(label) + 1);
    return client_run(ev, create_ult, &args, sizeof(args));
}

static int
destroy_ult(void *arg)
{
    struct cont_args *args = arg;
    struct proto_cont_destroy_req req = {.id = id_iov(args->id), .force = args->force != 0};
    struct proto_empty rep = {0};
    struct client_pool *pool;
    struct arena arena;
    int rc = pool_get(args->poh, true, &pool);

    if (rc != 0)
        return rc;
    req.pool = pool->uuid;
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_pool_call(pool, PROTO_CONT_DESTROY, &req, &rep, &arena);
    arena_fini(&arena);
    client_pool_put(pool);
    return rc;
}

int
daos_cont_destroy2(daos_handle_t poh, const char *cont, int force, daos_event_t *ev)
{
    struct cont_args args = {.poh = poh, .force = force};

    if (!is_id(cont))
        return client_refuse();
    memcpy(args.id, cont, strlen(cont) + 1);
    return client_run(ev, destroy_ult, &args, sizeof(args));
}

int daos_cont_destroy(daos_handle_t poh, const char *cont, int force, daos_event_t *ev)
    __attribute__((alias("daos_cont_destroy2"), visibility("default")));

/* ---- open and close -------------------------------------------------------------------------------------------------------- */

static int
close_send(struct client_cont *cont)
{
    struct proto_cont_close_req req = {.pool = cont->pool->uuid, .cont_hdl = cont->hdl};
    struct proto_empty rep = {0};
    struct arena arena;
    int rc;

    if (cont->is_slave)
        return 0;
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_CLOSE, &req, &rep, &arena);
    arena_fini(&arena);
    /* Evicted, or destroyed with its container or pool: it is closed, and must not stay here for ever. */
    return rc == -DER_NO_HDL || rc == -DER_NONEXIST ? 0 : rc;
}

static void
info_fill(const struct uuid *uuid, uint32_t hdl_nr, uint32_t snap_nr, uint64_t snap_last,
    uint64_t md_otime, uint64_t md_mtime, daos_cont_info_t *info)
{
    *info = (daos_cont_info_t){
        .ci_lsnapshot = snap_last,
        .ci_nhandles = hdl_nr,
        .ci_nsnapshots = snap_nr,
        .ci_md_otime = md_otime,
        .ci_md_mtime = md_mtime,
    };
    memcpy(info->ci_uuid, uuid->b, sizeof(info->ci_uuid));
}

static int
open_send(struct client_pool *pool, const struct cont_args *args, struct client_cont **ret_cont)
{
    struct proto_cont_open_req req = {
        .pool = pool->uuid,
        .id = id_iov(args->id),
        .cont_hdl = client_uuid_new(pool->client),
        .flags = args->flags,
    };
    struct proto_cont_open_rep rep = {0};
    struct client_cont *cont;
    struct arena arena;
    int rc;

    client_proc(pool->client, &req.proc);
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_pool_call(pool, PROTO_CONT_OPEN, &req, &rep, &arena);
    if (rc == 0)
        rc = client_cont_new(pool, rep.cont, req.cont_hdl, args->flags, &cont);
    if (rc != 0)
        goto out;
    cont->layout_ver =
        (uint32_t)client_prop_num(&rep.props, DAOS_PROP_CO_OBJ_VERSION, PLACEMENT_LAYOUT_VERSION);
    cont->rd_fac = (uint32_t)client_prop_num(&rep.props, DAOS_PROP_CO_REDUN_FAC, 0);
    cont->csum_type = (uint32_t)client_prop_num(&rep.props, DAOS_PROP_CO_CSUM, 0);
    if (args->info != NULL) {
        info_fill(&rep.cont, rep.hdl_nr, rep.snap_nr, rep.snap_last, rep.md_otime, rep.md_mtime,
            args->info);
    }
    *ret_cont = cont;
out:
    arena_fini(&arena);
    return rc;
}

static int
open_ult(void *arg)
{
    struct cont_args *args = arg;
    struct client_pool *pool;
    struct client_cont *cont;
    uint64_t cookie;
    int rc = pool_get(args->poh, (args->flags & (DAOS_COO_RW | DAOS_COO_EX)) != 0, &pool);

    if (rc != 0)
        return rc;
    rc = open_send(pool, args, &cont);
    client_pool_put(pool);
    if (rc != 0)
        return rc;
    rc = client_cont_hdl_new(cont, &cookie);
    if (rc != 0) {
        CAIRN_IGNORE(close_send(cont)); /* ends with the pool handle at the latest */
        client_cont_put(cont);
        return rc;
    }
    args->ret_coh->cookie = cookie;
    return 0;
}

int
daos_cont_open2(daos_handle_t poh, const char *cont, unsigned int flags, daos_handle_t *coh,
    daos_cont_info_t *info, daos_event_t *ev)
{
    struct cont_args args = {.poh = poh, .flags = flags, .ret_coh = coh, .info = info};
    unsigned int mode = flags & DAOS_COO_IO_BASE_MASK;

    if (coh == NULL || !is_id(cont) || (flags & ~DAOS_COO_MASK) != 0 || !IS_POW2(mode))
        return client_refuse();
    if ((flags & DAOS_COO_RO_MDSTATS) != 0 && mode != DAOS_COO_RO)
        return client_refuse();
    memcpy(args.id, cont, strlen(cont) + 1);
    return client_run(ev, open_ult, &args, sizeof(args));
}

int daos_cont_open(daos_handle_t poh, const char *cont, unsigned int flags, daos_handle_t *coh,
    daos_cont_info_t *info, daos_event_t *ev)
    __attribute__((alias("daos_cont_open2"), visibility("default")));

static int
close_ult(void *arg)
{
    struct cont_args *args = arg;
    struct client_cont *cont;
    int rc = client_cont_take(args->coh.cookie, false, &cont);

    if (rc != 0)
        return rc;
    if (cont->obj_nr > 0) {
        client_cont_put(cont);
        return CAIRN_ERR(BUSY);
    }
    rc = close_send(cont);
    if (rc == 0 && client_hdl_del(client_self(), CLIENT_HDL_CONT, args->coh.cookie) != NULL)
        client_cont_put(cont); /* the handle's reference */
    client_cont_put(cont);
    return rc;
}

int
daos_cont_close(daos_handle_t coh, daos_event_t *ev)
{
    struct cont_args args = {.coh = coh};

    return client_run(ev, close_ult, &args, sizeof(args));
}

/* ---- queries and properties --------------------------------------------------------------------------------------------------- */

static int
query_ult(void *arg)
{
    struct cont_args *args = arg;
    struct proto_cont_query_rep rep = {0};
    struct proto_cont_query_req req;
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, false, &cont);

    if (rc != 0)
        return rc;
    req = (struct proto_cont_query_req){.pool = cont->pool->uuid, .cont = cont->uuid};
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_QUERY, &req, &rep, &arena);
    if (rc == 0 && args->prop != NULL)
        rc = client_prop_decode(&rep.props, args->prop);
    if (rc == 0 && args->info != NULL) {
        info_fill(&cont->uuid, rep.hdl_nr, rep.snap_nr, rep.snap_last, rep.md_otime, rep.md_mtime,
            args->info);
    }
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_query(daos_handle_t coh, daos_cont_info_t *info, daos_prop_t *cont_prop, daos_event_t *ev)
{
    struct cont_args args = {.coh = coh, .info = info, .prop = cont_prop};

    return client_run(ev, query_ult, &args, sizeof(args));
}

static int
set_prop_ult(void *arg)
{
    struct cont_args *args = arg;
    struct proto_prop_rep rep = {0};
    struct proto_prop_req req;
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    req = (struct proto_prop_req){.pool = cont->pool->uuid, .cont = cont->uuid};
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_prop_encode(args->prop, true, &arena, &req.props);
    if (rc == 0 && req.props.nr == 0)
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = client_cont_call(cont, PROTO_CONT_PROP_SET, &req, &rep, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_set_prop(daos_handle_t coh, daos_prop_t *prop, daos_event_t *ev)
{
    struct cont_args args = {.coh = coh, .prop = prop};

    if (prop == NULL)
        return client_refuse();
    return client_run(ev, set_prop_ult, &args, sizeof(args));
}

/* ---- attributes ------------------------------------------------------------------------------------------------------------------ */

int
daos_cont_list_attr(daos_handle_t coh, char *buffer, size_t *size, daos_event_t *ev)
{
    struct client_attr_args args = {.hdl = coh, .is_cont = true, .names_buf = buffer, .sizes = size};

    return client_run(ev, client_attr_list_ult, &args, sizeof(args));
}

int
daos_cont_get_attr(daos_handle_t coh, int n, char const *const names[], void *const buffers[],
    size_t sizes[], daos_event_t *ev)
{
    struct client_attr_args args = {
        .hdl = coh, .is_cont = true, .n = n, .names = names, .buffers = buffers, .sizes = sizes};

    return client_run(ev, client_attr_get_ult, &args, sizeof(args));
}

int
daos_cont_set_attr(daos_handle_t coh, int n, char const *const names[], void const *const values[],
    size_t const sizes[], daos_event_t *ev)
{
    struct client_attr_args args = {.hdl = coh,
        .is_cont = true,
        .n = n,
        .names = names,
        .values = values,
        .sizes = (size_t *)(uintptr_t)sizes};

    return client_run(ev, client_attr_set_ult, &args, sizeof(args));
}

int
daos_cont_del_attr(daos_handle_t coh, int n, char const *const names[], daos_event_t *ev)
{
    struct client_attr_args args = {.hdl = coh, .is_cont = true, .n = n, .names = names};

    return client_run(ev, client_attr_del_ult, &args, sizeof(args));
}

/* ---- object ids -------------------------------------------------------------------------------------------------------------------- */

static int
alloc_oids_ult(void *arg)
{
    struct cont_args *args = arg;
    struct proto_cont_oid_alloc_rep rep = {0};
    struct proto_cont_oid_alloc_req req;
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    req = (struct proto_cont_oid_alloc_req){
        .pool = cont->pool->uuid, .cont = cont->uuid, .nr = args->oid_nr};
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_OID_ALLOC, &req, &rep, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    if (rc == 0)
        *args->ret_lo = rep.lo;
    return rc;
}

int
daos_cont_alloc_oids(daos_handle_t coh, daos_size_t num_oids, uint64_t *oid, daos_event_t *ev)
{
    struct cont_args args = {.coh = coh, .oid_nr = num_oids, .ret_lo = oid};

    if (num_oids == 0 || oid == NULL)
        return client_refuse();
    return client_run(ev, alloc_oids_ult, &args, sizeof(args));
}

/* ---- global handles -------------------------------------------------------------------------------------------------------------------- */

static int
local2global_ult(void *arg)
{
    struct client_glob_args *args = arg;
    struct client_cont *cont;
    int rc = client_cont_of(client_self(), args->hdl.cookie, &cont);

    return rc != 0 ? rc : client_glob_cont(cont, args->glob);
}

int
daos_cont_local2global(daos_handle_t coh, d_iov_t *glob)
{
    struct client_glob_args args = {.hdl = coh, .glob = glob};

    if (glob == NULL)
        return client_refuse();
    return client_run_sync(local2global_ult, &args);
}

static int
global2local_ult(void *arg)
{
    struct client_glob_args *args = arg;
    struct client_pool *pool;
    struct client_cont *cont;
    uint64_t cookie;
    int rc = client_pool_of(client_self(), args->hdl.cookie, &pool);

    if (rc == 0)
        rc = client_glob_cont_open(pool, args->glob, &cont);
    if (rc != 0)
        return rc;
    rc = client_attach_hdl(cont->pool, &cont->hdl); /* the container holds its pool meanwhile */
    if (rc == 0)
        rc = client_cont_hdl_new(cont, &cookie);
    if (rc != 0) {
        client_cont_put(cont);
    } else {
        args->ret_hdl->cookie = cookie;
    }
    return rc;
}

int
daos_cont_global2local(daos_handle_t poh, d_iov_t glob, daos_handle_t *coh)
{
    struct client_glob_args args = {.hdl = poh, .glob = &glob, .ret_hdl = coh};

    if (coh == NULL)
        return client_refuse();
    return client_run_sync(global2local_ult, &args);
}
