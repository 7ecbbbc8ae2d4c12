/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The row of a pool in the system service's database. Tested by test/mgmt_row_test.c. */
#include "mgmt_priv.h"

enum { ROW_VERSION = 2, ROW_VERSION_NO_LIFE = 1, PROPS_NR_MAX = PROTO_PROPS_NR_MAX };

static void
row_encode(struct enc *e, const struct mgmt_pool *pool)
{
    const struct proto_prop *props = pool->props.items;

    enc_u8(e, ROW_VERSION);
    enc_u8(e, (uint8_t)pool->state);
    enc_u32(e, pool->svc_rank);
    enc_u32(e, pool->uid);
    enc_u32(e, pool->gid);
    enc_u64(e, pool->meta_bytes);
    enc_u64(e, pool->data_bytes);
    enc_blob(e, pool->label.buf, pool->label.len);
    enc_u32(e, pool->rank_nr);
    for (uint32_t i = 0; i < pool->rank_nr; i++) {
        enc_u32(e, pool->ranks[i].rank.v);
        enc_u32(e, pool->ranks[i].node_id);
        enc_u32(e, pool->ranks[i].tgts_nr);
    }
    enc_u32(e, pool->props.nr);
    for (uint32_t i = 0; i < pool->props.nr; i++) {
        enc_u32(e, props[i].type);
        enc_u64(e, props[i].num);
        enc_blob(e, props[i].bytes.buf, props[i].bytes.len);
    }
    enc_u64(e, pool->life);
}

int
mgmt_row_update(const struct mgmt_pool *pool, struct arena *arena, struct rsvc_update *ret_update)
{
    struct enc e;
    void *key, *row;

    enc_init(&e, NULL, SIZE_MAX);
    row_encode(&e, pool);
    if (enc_check(&e) != 0 || e.len > MGMT_ROW_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    row = arena_alloc(arena, e.len);
    key = arena_dup(arena, pool->pool.b, sizeof(pool->pool.b));
    if (row == NULL || key == NULL)
        return CAIRN_ERR(NOMEM);
    enc_init(&e, row, e.len);
    row_encode(&e, pool);
    *ret_update = (struct rsvc_update){.op = RSVC_PUT,
        .table = MGMT_TABLE_POOLS,
        .key = {key, sizeof(pool->pool.b)},
        .value = {row, e.len}};
    return enc_check(&e);
}

static int
ranks_decode(struct dec *d, struct arena *arena, struct mgmt_pool *p)
{
    p->rank_nr = dec_u32(d);
    if (dec_check(d) != 0 || p->rank_nr > MGMT_POOL_RANKS_NR_MAX)
        return CAIRN_ERR(DF_INVAL);
    p->ranks = arena_calloc(arena, MAX(p->rank_nr, 1), sizeof(*p->ranks));
    if (p->ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < p->rank_nr; i++) {
        p->ranks[i].rank.v = dec_u32(d);
        p->ranks[i].node_id = dec_u32(d);
        p->ranks[i].tgts_nr = dec_u32(d);
    }
    return 0;
}

static int
props_decode(struct dec *d, struct arena *arena, struct mgmt_pool *p)
{
    uint32_t nr = dec_u32(d);
    struct proto_prop *props;

    if (dec_check(d) != 0 || nr > PROPS_NR_MAX)
        return CAIRN_ERR(DF_INVAL);
    props = arena_calloc(arena, MAX(nr, 1), sizeof(*props));
    if (props == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        props[i].type = dec_u32(d);
        props[i].num = dec_u64(d);
        props[i].bytes.buf =
            (void *)(uintptr_t)dec_blob(d, PROTO_PROP_BYTES_MAX, &props[i].bytes.len);
    }
    p->props = (struct proto_array){nr, props};
    return 0;
}

int
mgmt_row_decode(struct iov key, struct iov value, struct arena *arena, struct mgmt_pool *ret_pool)
{
    struct mgmt_pool p = {.state = 0};
    struct dec d;
    uint8_t version;
    int rc;

    if (key.len != sizeof(p.pool.b))
        return CAIRN_ERR(DF_INVAL);
    memcpy(p.pool.b, key.buf, key.len);
    dec_init(&d, value.buf, value.len);
    version = dec_u8(&d);
    if (version != ROW_VERSION && version != ROW_VERSION_NO_LIFE)
        return CAIRN_ERR(DF_INCOMPT);
    p.state = dec_u8(&d);
    p.svc_rank = dec_u32(&d);
    p.uid = dec_u32(&d);
    p.gid = dec_u32(&d);
    p.meta_bytes = dec_u64(&d);
    p.data_bytes = dec_u64(&d);
    p.label.buf = (void *)(uintptr_t)dec_blob(&d, PROTO_LABEL_BYTES_MAX, &p.label.len);
    rc = ranks_decode(&d, arena, &p);
    if (rc == 0)
        rc = props_decode(&d, arena, &p);
    if (rc == 0 && version != ROW_VERSION_NO_LIFE)
        p.life = dec_u64(&d);
    if (rc == 0 && (dec_end(&d) != 0 || p.state > MGMT_POOL_DESTROYING))
        rc = CAIRN_ERR(DF_INVAL);
    if (rc == 0)
        *ret_pool = p;
    return rc;
}

int
mgmt_row_state(struct iov value, uint32_t *ret_state)
{
    uint32_t state;
    uint8_t version;
    struct dec d;

    dec_init(&d, value.buf, value.len);
    version = dec_u8(&d);
    if (version != ROW_VERSION && version != ROW_VERSION_NO_LIFE)
        return CAIRN_ERR(DF_INCOMPT);
    state = dec_u8(&d);
    if (dec_check(&d) != 0 || state > MGMT_POOL_DESTROYING)
        return CAIRN_ERR(DF_INVAL);
    *ret_state = state;
    return 0;
}

int
mgmt_row_get(
    struct mgmt *mgmt, const struct uuid *pool, struct arena *arena, struct mgmt_pool *ret_pool)
{
    struct iov key = pool_key_uuid(pool), row;
    int rc;

    rc = rsvc_get(mgmt->rsvc, MGMT_TABLE_POOLS, key, arena, &row);
    return rc != 0 ? rc : mgmt_row_decode(key, row, arena, ret_pool);
}
