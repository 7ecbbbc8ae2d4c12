/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Properties and attributes of containers. Tested by test/cont_prop_test.c and test/server. */
#include "base/csum.h"
#include "base/probe.h"
#include "cont_priv.h"

#define ANY UINT64_MAX
#define NUM(type_, settable_, def_, lo_, hi_, only_) \
    { \
        .type = 0x1000 + (type_), .kind = POOL_PROP_NUM, .is_settable = settable_, .num = def_, \
        .lo = lo_, .hi = hi_, .only = only_ \
    }
#define STR(type_, settable_, def_, max_) \
    { \
        .type = 0x1000 + (type_), .kind = POOL_PROP_STR, .is_settable = settable_, .str = def_, \
        .bytes_max = max_, .only = ANY \
    }
#define BYTES(type_, settable_, max_) \
    { \
        .type = 0x1000 + (type_), .kind = POOL_PROP_BYTES, .is_settable = settable_, \
        .bytes_max = max_, .only = ANY \
    }
#define COMPUTED(type_) \
    { \
        .type = type_, .kind = POOL_PROP_NUM, .is_computed = true, .only = ANY \
    }

enum { OWNER_BYTES_MAX = 256, ROOTS_BYTES = 64 };

/* Numbers and defaults of the API (api.md 4.5), but csum: on. */
static const struct pool_prop_def cont_props[] = {
    STR(0x1, true, "", PROTO_LABEL_BYTES_MAX),
    NUM(0x2, false, 0, 0, UINT16_MAX, ANY), /* layout_type: unknown */
    NUM(0x3, false, 1, 0, UINT16_MAX, ANY), /* layout_ver */
    NUM(0x4, false, CSUM_TYPE_CRC32, 0, 7, ANY), /* csum */
    NUM(0x5, false, 32768, 1024, 1 << 30, ANY), /* csum_chunk_size */
    NUM(0x6, false, 0, 0, 1, ANY), /* csum_server_verify */
    NUM(0x7, false, 0, 0, 4, 0), /* rd_fac: POL-5 */
    NUM(0x8, false, 2, 1, 254, ANY), /* rd_lvl: node */
    NUM(0x9, true, 0, 0, UINT32_MAX, ANY), /* snapshot_max */
    BYTES(0xa, true, PROTO_PROP_BYTES_MAX), /* acl */
    NUM(0xb, false, 0, 0, UINT16_MAX, 0), /* compress */
    NUM(0xc, false, 0, 0, UINT16_MAX, 0), /* encrypt */
    STR(0xd, true, "", OWNER_BYTES_MAX), /* owner */
    STR(0xe, true, "", OWNER_BYTES_MAX), /* owner group */
    NUM(0xf, false, 0, 0, 2, 0), /* dedup */
    NUM(0x10, false, 4096, 0, UINT32_MAX, ANY), /* dedup_threshold */
    BYTES(0x11, false, ROOTS_BYTES), /* roots: 4 object ids, little-endian lo hi */
    COMPUTED(CONT_PROP_STATUS), COMPUTED(CONT_PROP_ALLOCED_OID),
    NUM(0x14, false, 131072, 1024, 1 << 30, ANY), /* ec_cell_sz */
    NUM(0x15, false, 1, 1, UINT32_MAX, ANY), /* ec_pda */
    NUM(0x16, false, UINT32_MAX, 1, UINT32_MAX, ANY), /* rp_pda */
    NUM(0x17, false, 1, 0, UINT32_MAX, 1), /* global_version */
    NUM(0x18, true, 0, 0, 1, ANY), /* scrubber_disabled */
    NUM(0x19, false, POOL_LAYOUT_VERSION, 1, UINT32_MAX, POOL_LAYOUT_VERSION), /* obj_version */
    NUM(0x1a, false, 255, 0, 255, ANY), /* perf_domain: root */
};

const struct pool_prop_def *
cont_prop_defs(uint32_t *ret_nr)
{
    *ret_nr = ARRAY_SIZE(cont_props);
    return cont_props;
}

const char *
cont_table(struct pool_call *call, enum cont_table table, const struct uuid *cont)
{
    static const char *const prefix[] = {
        [CONT_TABLE_PROPS] = "cp.", [CONT_TABLE_ATTRS] = "ca.", [CONT_TABLE_HDLS] = "ch.", [CONT_TABLE_SNAPS] = "cs."};
    char text[CUUID_TEXT_BYTES + 4];
    char *name;

    memcpy(text, prefix[table], 3);
    cuuid_format(cont, text + 3);
    name = arena_strdup(call->arena, text);
    if (name == NULL)
        call->build_rc = CAIRN_ERR(NOMEM);
    return name;
}

/* ---- values in force ------------------------------------------------------------------------ */

static int
oid_next(struct pool_call *call, const struct uuid *cont, uint64_t *ret_next)
{
    struct iov row;
    int rc;

    rc = pool_call_get(call, CONT_TABLE_OIDS, pool_key_uuid(cont), &row);
    if (rc == -DER_NONEXIST) {
        *ret_next = CONT_OID_FIRST;
        return 0;
    }
    if (rc == 0 && row.len != 8)
        rc = CAIRN_ERR(DF_INVAL);
    if (rc == 0)
        *ret_next = le64_get(row.buf);
    return rc;
}

static int
prop_compute(struct pool_call *call, const struct uuid *cont, struct proto_prop *prop)
{
    struct poolmap *map;
    uint64_t next;
    int rc;

    if (prop->type == CONT_PROP_ALLOCED_OID) {
        rc = oid_next(call, cont, &next);
        if (rc == 0)
            prop->num = next - 1;
        return rc;
    }
    rc = pool_call_map(call, &map);
    if (rc != 0)
        return rc;
    prop->num = map->version; /* flags 0 and status 0 (healthy) above it */
    poolmap_destroy(map);
    return 0;
}

int
cont_props_get(struct pool_call *call, const struct uuid *cont, const struct cont_row *row,
    const struct proto_array *wanted, struct proto_array *ret_props)
{
    const char *table = cont_table(call, CONT_TABLE_PROPS, cont);
    struct proto_prop *props;
    int rc;

    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    rc = pool_prop_get_all(call, table, cont_props, ARRAY_SIZE(cont_props), wanted, ret_props);
    if (rc != 0)
        return rc;
    props = ret_props->items;
    for (uint32_t i = 0; rc == 0 && i < ret_props->nr; i++) {
        if (props[i].type == CONT_PROP_LABEL) {
            props[i].bytes = row->label;
        } else if (props[i].type == CONT_PROP_STATUS || props[i].type == CONT_PROP_ALLOCED_OID)
            rc = prop_compute(call, cont, &props[i]);
    }
    return rc;
}

/* ---- giving values -------------------------------------------------------------------------- */

static int
prop_check(const struct proto_prop *prop, bool is_create)
{
    int rc;

    rc = pool_prop_check(cont_props, ARRAY_SIZE(cont_props), prop, is_create);
    if (rc != 0)
        return rc;
    if (prop->type == CONT_PROP_LABEL)
        return pool_label_check(prop->bytes);
    return 0;
}

int
cont_props_put(struct pool_call *call, const struct uuid *cont, const struct proto_array *props,
    bool is_create, struct iov *ret_label)
{
    const struct proto_prop *src = props->items;
    const char *table = cont_table(call, CONT_TABLE_PROPS, cont);
    struct iov label = {NULL, 0};
    int rc;

    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < props->nr; i++) {
        rc = prop_check(&src[i], is_create);
        if (rc != 0)
            return rc;
        if (src[i].type == CONT_PROP_LABEL) {
            label = src[i].bytes;
            continue;
        }
        pool_prop_put(
            call, table, pool_prop_find(cont_props, ARRAY_SIZE(cont_props), src[i].type), &src[i]);
    }
    *ret_label = label;
    return 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

int
cont_h_prop_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_prop_req *in = req->body;
    struct proto_prop_rep *out = rep;
    struct pool_call *call = NULL;
    struct cont_row row;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = cont_hdl_check(call, &in->cont, false);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc == 0)
        rc = cont_props_get(call, &in->cont, &row, &in->props, &out->props);
    pool_call_end(call);
    return rc;
}

/* Give the container another label. */
static int
label_set(struct pool_call *call, const struct uuid *cont, struct cont_row *row, struct iov label)
{
    struct iov other;
    int rc;

    rc = pool_call_get(call, CONT_TABLE_LABELS, label, &other);
    if (rc == 0)
        return memcmp(other.buf, cont, MIN(other.len, sizeof(*cont))) == 0 ? 0 : CAIRN_ERR(EXIST);
    if (rc != -DER_NONEXIST)
        return rc;
    if (row->label.len > 0)
        pool_call_del(call, CONT_TABLE_LABELS, row->label);
    pool_call_put(call, CONT_TABLE_LABELS, label, pool_key_uuid(cont));
    row->label = label;
    return 0;
}

/* Errors: TX_RESTART one has another value; INVAL one that cannot be compared. */
static int
expect_check(struct pool_call *call, const struct proto_prop_req *in)
{
    const char *table = cont_table(call, CONT_TABLE_PROPS, &in->cont);
    const struct proto_prop *want = in->expect.items;
    int rc;

    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < in->expect.nr; i++) {
        const struct pool_prop_def *def =
            pool_prop_find(cont_props, ARRAY_SIZE(cont_props), want[i].type);
        struct proto_prop now;

        if (def == NULL || def->is_computed || want[i].type == CONT_PROP_LABEL)
            return CAIRN_ERR(INVAL);
        rc = pool_prop_get(call, table, def, &now);
        if (rc != 0)
            return rc;
        if (def->kind == POOL_PROP_NUM ? now.num != want[i].num
                                       : now.bytes.len != want[i].bytes.len ||
                    (now.bytes.len > 0 &&
                        memcmp(now.bytes.buf, want[i].bytes.buf, now.bytes.len) != 0))
            return CAIRN_ERR(TX_RESTART);
    }
    return 0;
}

static int
prop_set(struct pool_call *call, const struct proto_prop_req *in)
{
    struct cont_row row;
    struct iov label;
    int rc;

    rc = cont_hdl_check(call, &in->cont, true);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc == 0 && in->props.nr == 0)
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = expect_check(call, in);
    if (rc == 0)
        rc = cont_props_put(call, &in->cont, &in->props, false, &label);
    if (rc == 0 && label.len > 0)
        rc = label_set(call, &in->cont, &row, label);
    if (rc != 0)
        return rc;
    row.mtime_hlc = pool_call_hlc(call);
    cont_row_put(call, &in->cont, &row);
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
cont_h_prop_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_prop_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = prop_set(call, in);
    pool_call_end(call);
    return rc;
}

/* The attribute table of an existing container that the caller may use. */
static int
attrs_begin(struct pool_call *call, const struct uuid *cont, bool is_write, struct cont_row *row,
    const char **ret_table)
{
    int rc;

    rc = cont_hdl_check(call, cont, is_write);
    if (rc == 0)
        rc = cont_row_get(call, cont, row);
    if (rc != 0)
        return rc;
    *ret_table = cont_table(call, CONT_TABLE_ATTRS, cont);
    return *ret_table == NULL ? CAIRN_ERR(NOMEM) : 0;
}

int
cont_h_attr_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_attr_req *in = req->body;
    struct pool_call *call = NULL;
    struct cont_row row;
    const char *table;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = attrs_begin(call, &in->cont, false, &row, &table);
    if (rc == 0)
        rc = pool_attr_list(call, table, rep);
    pool_call_end(call);
    return rc;
}

int
cont_h_attr_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_attr_req *in = req->body;
    struct pool_call *call = NULL;
    struct cont_row row;
    const char *table;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = attrs_begin(call, &in->cont, false, &row, &table);
    if (rc == 0)
        rc = pool_attr_get(call, table, in, rep);
    pool_call_end(call);
    return rc;
}

static int
attr_change(struct pool_svcs *svcs, struct rpc_req *req,
    int (*change)(struct pool_call *call, const char *table, const struct proto_attr_req *in))
{
    const struct proto_attr_req *in = req->body;
    struct pool_call *call = NULL;
    struct cont_row row;
    const char *table;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc != 0 || call->is_replay)
        goto out;
    rc = attrs_begin(call, &in->cont, true, &row, &table);
    if (rc == 0)
        rc = change(call, table, in);
    if (rc != 0)
        goto out;
    row.mtime_hlc = pool_call_hlc(call);
    cont_row_put(call, &in->cont, &row);
    rc = pool_call_commit(call, (struct iov){NULL, 0});
out:
    pool_call_end(call);
    return rc;
}

int
cont_h_attr_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    (void)rep;
    return attr_change(svcs, req, pool_attr_set);
}

int
cont_h_attr_del(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    (void)rep;
    return attr_change(svcs, req, pool_attr_del);
}

/* ---- object ids ----------------------------------------------------------------------------- */

static int
oid_alloc(struct pool_call *call, const struct proto_cont_oid_alloc_req *in, uint64_t *ret_lo)
{
    uint64_t next, end;
    uint8_t row[8], result[8];
    struct cont_row crow;
    int rc;

    rc = cont_hdl_check(call, &in->cont, true);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &crow);
    if (rc == 0)
        rc = oid_next(call, &in->cont, &next);
    if (rc != 0)
        return rc;
    if (in->nr == 0 || !add_u64(next, in->nr, &end))
        return CAIRN_ERR(INVAL);
    le64_put(row, end);
    le64_put(result, next);
    pool_call_put(call, CONT_TABLE_OIDS, pool_key_uuid(&in->cont), (struct iov){row, sizeof(row)});
    rc = pool_call_commit(call, (struct iov){result, sizeof(result)});
    if (rc == 0)
        *ret_lo = next;
    return rc;
}

int
cont_h_oid_alloc(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_oid_alloc_req *in = req->body;
    struct proto_cont_oid_alloc_rep *out = rep;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc != 0)
        return rc;
    if (!call->is_replay) {
        rc = oid_alloc(call, in, &out->lo);
    } else if (call->answer.result_len == 8) {
        out->lo = le64_get(call->answer.result); /* CON-4 */
    } else {
        rc = CAIRN_ERR(DF_INVAL);
    }
    pool_call_end(call);
    return rc;
}
