/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Attributes of pools and containers. One request carries at most ATTR_BATCH_BYTES of names and values: a longer list goes in several requests, so it
 * is not atomic.
 */
#include "client/core/client_prop.h"

#include "base/util.h"

#include <string.h>

enum { ATTR_BATCH_BYTES = 20480, ATTR_BATCH_NR = 64, ATTRS_NR_MAX = 4096 };

struct owner {
    struct client_pool *pool;
    struct client_cont *cont; /* NULL: the pool's attributes */
    struct uuid cont_uuid;
};

static int
owner_get(const struct client_attr_args *args, struct owner *ret_owner)
{
    struct daos_client *client = client_self();
    struct owner owner = {0};
    int rc;

    if (args->is_cont) {
        rc = client_cont_of(client, args->hdl.cookie, &owner.cont);
        if (rc != 0)
            return rc;
        client_cont_get(owner.cont);
        owner.pool = owner.cont->pool;
        owner.cont_uuid = owner.cont->uuid;
    } else {
        rc = client_pool_of(client, args->hdl.cookie, &owner.pool);
        if (rc != 0)
            return rc;
        client_pool_get(owner.pool);
    }
    *ret_owner = owner;
    return 0;
}

static void
owner_put(struct owner *owner)
{
    if (owner->cont != NULL) {
        client_cont_put(owner->cont);
    } else {
        client_pool_put(owner->pool);
    }
}

static int
attr_call(const struct owner *owner, uint16_t opcode, struct proto_attr *attrs, uint32_t nr,
    struct proto_attr_rep *rep, struct arena *arena)
{
    struct proto_attr_req req = {
        .pool = owner->pool->uuid,
        .cont = owner->cont_uuid,
        .attrs = {.nr = nr, .items = attrs},
    };

    *rep = (struct proto_attr_rep){0};
    return owner->cont != NULL ? client_cont_call(owner->cont, opcode, &req, rep, arena)
                               : client_pool_call(owner->pool, opcode, &req, rep, arena);
}

static int
names_check(const struct client_attr_args *args)
{
    if (args->n <= 0 || args->n > ATTRS_NR_MAX || args->names == NULL)
        return CAIRN_ERR(INVAL);
    for (int i = 0; i < args->n; i++) {
        size_t len =
            args->names[i] == NULL ? 0 : strnlen(args->names[i], PROTO_ATTR_NAME_BYTES_MAX + 1);

        if (len == 0 || len > PROTO_ATTR_NAME_BYTES_MAX)
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

static struct iov
name_iov(const struct client_attr_args *args, int i)
{
    return (struct iov){.buf = (void *)(uintptr_t)args->names[i], .len = strlen(args->names[i])};
}

int
client_attr_list_ult(void *arg)
{
    struct client_attr_args *args = arg;
    struct proto_attr_rep rep;
    const struct proto_attr *attrs;
    struct owner owner;
    struct arena arena;
    size_t need = 0;
    int rc;

    if (args->sizes == NULL || (args->names_buf == NULL && *args->sizes != 0))
        return CAIRN_ERR(INVAL);
    rc = owner_get(args, &owner);
    if (rc != 0)
        return rc;
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = attr_call(
        &owner, args->is_cont ? PROTO_CONT_ATTR_LIST : PROTO_POOL_ATTR_LIST, NULL, 0, &rep, &arena);
    attrs = rep.attrs.items;
    for (uint32_t i = 0; rc == 0 && i < rep.attrs.nr; i++) {
        size_t len = attrs[i].name.len;

        if (len == 0) {
            rc = CAIRN_ERR(PROTO); /* nobody can set one without a name */
            break;
        }
        if (need + len + 1 <= *args->sizes) {
            memcpy(args->names_buf + need, attrs[i].name.buf, len);
            args->names_buf[need + len] = '\0';
        }
        need += len + 1;
    }
    if (rc == 0)
        *args->sizes = need;
    arena_fini(&arena);
    owner_put(&owner);
    return rc;
}

/* Each attribute by itself: their values may not fit one message together. */
static int
get_one(struct client_attr_args *args, const struct owner *owner, int i)
{
    struct proto_attr attr = {.name = name_iov(args, i)};
    const struct proto_attr *got;
    struct proto_attr_rep rep;
    struct arena arena;
    int rc;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = attr_call(
        owner, args->is_cont ? PROTO_CONT_ATTR_GET : PROTO_POOL_ATTR_GET, &attr, 1, &rep, &arena);
    if (rc == 0 && rep.attrs.nr != 1)
        rc = CAIRN_ERR(PROTO);
    if (rc == 0) {
        got = rep.attrs.items;
        if (args->buffers != NULL && args->buffers[i] != NULL && got->value.len > 0)
            memcpy(args->buffers[i], got->value.buf, MIN(args->sizes[i], got->value.len));
        args->sizes[i] = got->value.len;
    }
    arena_fini(&arena);
    return rc;
}

int
client_attr_get_ult(void *arg)
{
    struct client_attr_args *args = arg;
    struct owner owner;
    int rc = names_check(args);

    if (rc == 0 && args->sizes == NULL)
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = owner_get(args, &owner);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < args->n; i++) {
        rc = get_one(args, &owner, i);
    }
    owner_put(&owner);
    return rc;
}

/* Set or delete, in batches. */
static int
attr_change(const struct client_attr_args *args, uint16_t opcode)
{
    struct proto_attr_rep rep;
    struct proto_attr *attrs;
    struct owner owner;
    struct arena arena;
    size_t bytes = 0;
    uint32_t nr = 0;
    int rc = owner_get(args, &owner);

    if (rc != 0)
        return rc;
    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    attrs = arena_calloc(&arena, (size_t)args->n, sizeof(*attrs));
    if (attrs == NULL)
        rc = CAIRN_ERR(NOMEM);
    for (int i = 0; rc == 0 && i < args->n; i++) {
        struct proto_attr attr = {.name = name_iov(args, i)};

        if (args->values != NULL) {
            attr.value =
                (struct iov){.buf = (void *)(uintptr_t)args->values[i], .len = args->sizes[i]};
        }
        if (nr > 0 &&
            (nr == ATTR_BATCH_NR || bytes + attr.name.len + attr.value.len > ATTR_BATCH_BYTES)) {
            rc = attr_call(&owner, opcode, attrs, nr, &rep, &arena);
            nr = 0;
            bytes = 0;
        }
        attrs[nr++] = attr;
        bytes += attr.name.len + attr.value.len;
    }
    if (rc == 0)
        rc = attr_call(&owner, opcode, attrs, nr, &rep, &arena);
    arena_fini(&arena);
    owner_put(&owner);
    return rc;
}

int
client_attr_set_ult(void *arg)
{
    struct client_attr_args *args = arg;
    int rc = names_check(args);

    if (rc != 0)
        return rc;
    if (args->values == NULL || args->sizes == NULL)
        return CAIRN_ERR(INVAL);
    for (int i = 0; i < args->n; i++) {
        if (args->values[i] == NULL || args->sizes[i] == 0)
            return CAIRN_ERR(INVAL);
        if (args->sizes[i] > PROTO_ATTR_VALUE_BYTES_MAX)
            return CAIRN_ERR(OVERFLOW);
    }
    return attr_change(args, args->is_cont ? PROTO_CONT_ATTR_SET : PROTO_POOL_ATTR_SET);
}

int
client_attr_del_ult(void *arg)
{
    struct client_attr_args *args = arg;
    int rc = names_check(args);

    if (rc != 0)
        return rc;
    args->values = NULL;
    return attr_change(args, args->is_cont ? PROTO_CONT_ATTR_DEL : PROTO_POOL_ATTR_DEL);
}
