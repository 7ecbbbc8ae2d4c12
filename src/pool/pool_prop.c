/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties: tables of what there is, what may be said, and what is in force when nothing was
 * said. Stored by number, big-endian:
 * key u32, value u8 kind, then u64 or bytes. Tested by src/cont/test/cont_prop_test.c.
 */
#include "base/assert.h"
#include "pool_priv.h"

#define NUM(type_, settable_, def_, lo_, hi_, only_) \
    { \
        .type = type_, .kind = POOL_PROP_NUM, .is_settable = settable_, .num = def_, .lo = lo_, \
        .hi = hi_, .only = only_ \
    }
#define STR(type_, settable_, def_, max_) \
    { \
        .type = type_, .kind = POOL_PROP_STR, .is_settable = settable_, .str = def_, \
        .bytes_max = max_, .only = UINT64_MAX \
    }
#define ANY UINT64_MAX

enum { OWNER_BYTES_MAX = 256 };

/*
 * Numbers and defaults of the API (api.md 4.5), but for what a safe default or this version
 * demands.
 */
static const struct pool_prop_def pool_props[] = {
    STR(POOL_PROP_LABEL, false, "", PROTO_LABEL_BYTES_MAX),
    {.type = 2,
        .kind = POOL_PROP_BYTES,
        .is_settable = true,
        .bytes_max = PROTO_PROP_BYTES_MAX,
        .only = ANY}, /* acl */
    NUM(3, true, 5, 0, 100, ANY), /* space_rb, percent */
    NUM(4, true, 3, 0, 7, ANY), /* self_heal: exclude | rebuild */
    NUM(POOL_PROP_RECLAIM, true, 1, 0, 4, ANY), /* lazy */
    STR(6, true, "", OWNER_BYTES_MAX), /* owner */
    STR(7, true, "", OWNER_BYTES_MAX), /* owner group */
    {.type = POOL_PROP_SVC_LIST, .kind = POOL_PROP_BYTES, .is_computed = true, .only = ANY},
    NUM(9, true, 131072, 1024, 1 << 30, ANY), /* ec_cell_sz */
    NUM(10, true, 4096, 0, 4096, ANY), /* data_thresh */
    NUM(POOL_PROP_RD_FAC, false, 0, 0, 4, 0), /* POL-5 */
    NUM(12, true, 1, 1, UINT32_MAX, ANY), /* ec_pda */
    NUM(13, true, UINT32_MAX, 1, UINT32_MAX, ANY), /* rp_pda: -1 */
    NUM(14, false, 1, 0, UINT32_MAX, 1), /* global_version */
    NUM(15, false, 0, 0, UINT32_MAX, 0), /* upgrade_status */
    NUM(POOL_PROP_SCRUB_MODE, true, 0, 0, 2, ANY), /* off */
    NUM(POOL_PROP_SCRUB_FREQ, true, 604800, 0, UINT32_MAX, ANY), /* seconds */
    NUM(POOL_PROP_SCRUB_THRESH, true, 0, 0, UINT32_MAX, ANY),
    NUM(19, false, 0, 0, 4, 0), /* svc_rf: one member */
    NUM(20, false, POOL_LAYOUT_VERSION, 1, UINT32_MAX, POOL_LAYOUT_VERSION), /* obj_version */
    NUM(21, false, 255, 0, 255, ANY), /* perf_domain: root */
    NUM(22, true, 1, 0, 2, ANY), /* checkpoint_mode: timed */
    NUM(23, true, 5, 1, 86400, ANY), /* checkpoint_freq, s */
    NUM(24, true, 50, 10, 75, ANY), /* checkpoint_thresh, percent */
    NUM(25, true, 0, 0, 2, ANY), /* reint_mode */
    NUM(26, false, 1, 0, 1, 1), /* svc_ops_enabled: always (MS-2) */
    NUM(27, false, 300, 0, UINT32_MAX, ANY), /* svc_ops_entry_age, s */
};

const struct pool_prop_def *
pool_prop_defs(uint32_t *ret_nr)
{
    *ret_nr = ARRAY_SIZE(pool_props);
    return pool_props;
}

const struct pool_prop_def *
pool_prop_find(const struct pool_prop_def *defs, uint32_t nr, uint32_t type)
{
    for (uint32_t i = 0; i < nr; i++) {
        if (defs[i].type == type)
            return &defs[i];
    }
    return NULL;
}

static bool
label_char(uint8_t c)
{
    bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

    return is_word || c == '_' || c == '-' || c == '.' || c == ':';
}

int
pool_label_check(struct iov label)
{
    const uint8_t *p = label.buf;
    char text[CUUID_TEXT_BYTES];
    struct uuid id;

    if (label.len == 0 || label.len > PROTO_LABEL_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    for (size_t i = 0; i < label.len; i++) {
        if (!label_char(p[i]))
            return CAIRN_ERR(INVAL);
    }
    if (label.len == CUUID_TEXT_BYTES - 1) {
        memcpy(text, label.buf, label.len);
        text[label.len] = '\0';
        if (cuuid_parse(text, &id) == 0)
            return CAIRN_ERR(INVAL); /* a label and a uuid must never be mistaken for each other */
    }
    return 0;
}

int
pool_prop_check(
    const struct pool_prop_def *defs, uint32_t nr, const struct proto_prop *prop, bool is_create)
{
    const struct pool_prop_def *def = pool_prop_find(defs, nr, prop->type);

    if (def == NULL)
        return CAIRN_ERR(INVAL);
    if (def->is_computed || (!is_create && !def->is_settable))
        return CAIRN_ERR(NO_PERM);
    if (def->kind != POOL_PROP_NUM)
        return prop->bytes.len > def->bytes_max ? CAIRN_ERR(INVAL) : 0;
    if (prop->num < def->lo || prop->num > def->hi)
        return CAIRN_ERR(INVAL);
    if (def->only != ANY && prop->num != def->only)
        return CAIRN_ERR(NOTSUPPORTED);
    return 0;
}

void
pool_prop_put(struct pool_call *call, const char *table, const struct pool_prop_def *def,
    const struct proto_prop *prop)
{
    uint8_t key[4], head[9] = {(uint8_t)def->kind};
    struct iov value = {head, 9};
    uint8_t *row;

    le32_put(key, __builtin_bswap32(def->type)); /* big-endian: in the order of the numbers */
    if (def->kind == POOL_PROP_NUM) {
        le64_put(head + 1, prop->num);
    } else {
        row = arena_alloc(call->arena, 1 + prop->bytes.len);
        if (row == NULL) {
            call->build_rc = CAIRN_ERR(NOMEM);
            return;
        }
        row[0] = (uint8_t)def->kind;
        if (prop->bytes.len > 0)
            memcpy(row + 1, prop->bytes.buf, prop->bytes.len);
        value = (struct iov){row, 1 + prop->bytes.len};
    }
    pool_call_put(call, table, (struct iov){key, sizeof(key)}, value);
}

int
pool_prop_get(struct pool_call *call, const char *table, const struct pool_prop_def *def,
    struct proto_prop *ret_prop)
{
    struct proto_prop prop = {.type = def->type, .num = def->num};
    struct iov row;
    uint8_t key[4];
    int rc;

    if (def->kind == POOL_PROP_STR && def->str != NULL)
        prop.bytes = pool_key_str(def->str);
    le32_put(key, __builtin_bswap32(def->type));
    rc = def->is_computed ? -DER_NONEXIST
                          : pool_call_get(call, table, (struct iov){key, sizeof(key)}, &row);
    if (rc == 0) {
        const uint8_t *p = row.buf;
        bool is_num = def->kind == POOL_PROP_NUM;

        if (row.len < 1 || p[0] != (uint8_t)def->kind || (is_num && row.len != 9))
            return CAIRN_ERR(DF_INVAL);
        if (is_num) {
            prop.num = le64_get(p + 1);
        } else {
            prop.bytes = (struct iov){(void *)(uintptr_t)(p + 1), row.len - 1};
        }
    } else if (rc != -DER_NONEXIST) {
        return rc;
    }
    *ret_prop = prop;
    return 0;
}

int
pool_prop_get_all(struct pool_call *call, const char *table, const struct pool_prop_def *defs,
    uint32_t nr, const struct proto_array *wanted, struct proto_array *ret_props)
{
    uint32_t out_nr = wanted == NULL || wanted->nr == 0 ? nr : wanted->nr;
    struct proto_prop *out;
    int rc;

    out = arena_calloc(call->arena, out_nr, sizeof(*out));
    if (out == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < out_nr; i++) {
        const struct pool_prop_def *def = &defs[i];

        if (wanted != NULL && wanted->nr != 0)
            def = pool_prop_find(defs, nr, ((struct proto_prop *)wanted->items)[i].type);
        if (def == NULL)
            return CAIRN_ERR(INVAL);
        rc = pool_prop_get(call, table, def, &out[i]);
        if (rc != 0)
            return rc;
    }
    *ret_props = (struct proto_array){out_nr, out};
    return 0;
}

static int
num_get(struct pool_call *call, uint32_t type, uint32_t *ret_num)
{
    const struct pool_prop_def *defs;
    struct proto_prop prop;
    uint32_t nr;
    int rc;

    defs = pool_prop_defs(&nr);
    rc = pool_prop_get(call, POOL_TABLE_PROPS, pool_prop_find(defs, nr, type), &prop);
    if (rc == 0)
        *ret_num = (uint32_t)prop.num;
    return rc;
}

int
pool_reclaim_get(struct pool_call *call, uint32_t *ret_reclaim)
{
    return num_get(call, POOL_PROP_RECLAIM, ret_reclaim);
}

int
pool_scrub_get(struct pool_call *call, uint32_t *ret_mode, uint32_t *ret_freq_s, uint32_t *ret_thresh)
{
    int rc = num_get(call, POOL_PROP_SCRUB_MODE, ret_mode);

    if (rc == 0)
        rc = num_get(call, POOL_PROP_SCRUB_FREQ, ret_freq_s);
    return rc != 0 ? rc : num_get(call, POOL_PROP_SCRUB_THRESH, ret_thresh);
}
