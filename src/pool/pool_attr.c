/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Attributes of pools and containers: key = name, value = u8 0, then the bytes (so that an empty
 * value is one). Tested by test/server.
 */
#include "pool_priv.h"

struct names {
    struct arena *arena;
    struct proto_attr *attrs;
    uint32_t nr;
    int rc;
};

static bool
name_add(void *arg, struct iov key, struct iov value)
{
    struct names *n = arg;

    (void)value;
    if (n->nr == POOL_ATTRS_NR_MAX) {
        n->rc = CAIRN_ERR(OVERFLOW);
        return false;
    }
    n->attrs[n->nr].name = (struct iov){arena_dup(n->arena, key.buf, key.len), key.len};
    if (n->attrs[n->nr].name.buf == NULL) {
        n->rc = CAIRN_ERR(NOMEM);
        return false;
    }
    n->nr++;
    return true;
}

int
pool_attr_list(struct pool_call *call, const char *table, struct proto_attr_rep *rep)
{
    struct names n = {.arena = call->arena};
    int rc;

    n.attrs = arena_calloc(call->arena, POOL_ATTRS_NR_MAX, sizeof(*n.attrs));
    if (n.attrs == NULL)
        return CAIRN_ERR(NOMEM);
    rc = pool_call_list(call, table, (struct iov){NULL, 0}, name_add, &n);
    if (rc == 0)
        rc = n.rc;
    if (rc == 0)
        rep->attrs = (struct proto_array){n.nr, n.attrs};
    return rc;
}

/* Names as they may be: 1..511 bytes, each once is the caller's concern. */
static int
attrs_check(const struct proto_attr_req *in, uint32_t nr_max)
{
    const struct proto_attr *attrs = in->attrs.items;

    if (in->attrs.nr == 0)
        return CAIRN_ERR(INVAL);
    if (in->attrs.nr > nr_max)
        return CAIRN_ERR(OVERFLOW);
    for (uint32_t i = 0; i < in->attrs.nr; i++) {
        if (attrs[i].name.len == 0 || attrs[i].name.len > PROTO_ATTR_NAME_BYTES_MAX)
            return CAIRN_ERR(INVAL);
        if (attrs[i].value.len > PROTO_ATTR_VALUE_BYTES_MAX)
            return CAIRN_ERR(OVERFLOW);
    }
    return 0;
}

int
pool_attr_get(struct pool_call *call, const char *table, const struct proto_attr_req *in,
    struct proto_attr_rep *rep)
{
    const struct proto_attr *src = in->attrs.items;
    struct proto_attr *out;
    int rc;

    rc = attrs_check(in, POOL_ATTRS_NR_MAX);
    if (rc != 0)
        return rc;
    out = arena_calloc(call->arena, in->attrs.nr, sizeof(*out));
    if (out == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < in->attrs.nr; i++) {
        struct iov row;

        out[i].name = src[i].name;
        rc = pool_call_get(call, table, src[i].name, &row);
        if (rc != 0)
            return rc; /* NONEXIST: no such attribute */
        if (row.len < 1)
            return CAIRN_ERR(DF_INVAL);
        out[i].value = (struct iov){(uint8_t *)row.buf + 1, row.len - 1};
    }
    rep->attrs = (struct proto_array){in->attrs.nr, out};
    return 0;
}

int
pool_attr_set(struct pool_call *call, const char *table, const struct proto_attr_req *in)
{
    const struct proto_attr *src = in->attrs.items;
    uint32_t have_nr;
    int rc;

    rc = attrs_check(in, POOL_ATTRS_SET_NR_MAX);
    if (rc == 0)
        rc = pool_call_count(call, table, &have_nr);
    if (rc != 0)
        return rc;
    if (have_nr + in->attrs.nr > POOL_ATTRS_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    for (uint32_t i = 0; i < in->attrs.nr; i++) {
        uint8_t *row = arena_alloc(call->arena, 1 + src[i].value.len);

        if (row == NULL)
            return CAIRN_ERR(NOMEM);
        row[0] = 0;
        if (src[i].value.len > 0)
            memcpy(row + 1, src[i].value.buf, src[i].value.len);
        pool_call_put(call, table, src[i].name, (struct iov){row, 1 + src[i].value.len});
    }
    return 0;
}

int
pool_attr_del(struct pool_call *call, const char *table, const struct proto_attr_req *in)
{
    const struct proto_attr *src = in->attrs.items;
    int rc;

    rc = attrs_check(in, POOL_ATTRS_SET_NR_MAX);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < in->attrs.nr; i++) {
        pool_call_del(call, table, src[i].name);
    }
    return 0;
}
