/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading requests of the pool service: map, query, properties, attributes, one target. Tested by
 * test/server.
 */
#include "base/hlc.h"
#include "pool_priv.h"

int
pool_head_get(struct pool_call *call, struct pool_head *ret_head)
{
    struct pool_head head;
    struct iov row;
    struct dec d;
    uint8_t version;
    int rc;

    rc = pool_call_get(call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_HEAD), &row);
    if (rc != 0)
        return rc;
    dec_init(&d, row.buf, row.len);
    version = dec_u8(&d);
    head.create_hlc = dec_u64(&d);
    head.uid = dec_u32(&d);
    head.gid = dec_u32(&d);
    if (dec_check(&d) != 0 || version != 1)
        return CAIRN_ERR(DF_INVAL);
    *ret_head = head;
    return 0;
}

int
pool_call_map(struct pool_call *call, struct poolmap **ret_map)
{
    struct iov row;
    int rc;

    rc = pool_call_get(call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_MAP), &row);
    if (rc != 0)
        return rc;
    return poolmap_decode(row.buf, row.len, ret_map);
}

int
pool_props_get(struct pool_call *call, const struct proto_array *wanted, struct proto_array *ret_props)
{
    const struct pool_prop_def *defs;
    struct proto_prop *props;
    uint32_t nr;
    uint8_t *ranks;
    int rc;

    defs = pool_prop_defs(&nr);
    rc = pool_prop_get_all(call, POOL_TABLE_PROPS, defs, nr, wanted, ret_props);
    if (rc != 0)
        return rc;
    props = ret_props->items;
    for (uint32_t i = 0; i < ret_props->nr; i++) {
        if (props[i].type != POOL_PROP_SVC_LIST)
            continue;
        ranks = arena_alloc(call->arena, 4); /* u32 for each rank */
        if (ranks == NULL)
            return CAIRN_ERR(NOMEM);
        le32_put(ranks, call->svcs->env.self_rank);
        props[i].bytes = (struct iov){ranks, 4};
    }
    return 0;
}

int
pool_h_map(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_map_req *in = req->body;
    struct proto_pool_map_rep *out = rep;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = pool_call_get(call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_MAP), &out->map);
    pool_call_end(call);
    return rc;
}

/* ---- query ---------------------------------------------------------------------------------- */

static uint64_t
left(uint64_t total, uint64_t used)
{
    return used < total ? total - used : 0;
}

/* Sum up what the targets said; those that said nothing are not counted in tgt_nr. */
static void
space_sum(const struct pool_bcast_item *items, uint32_t nr, struct proto_space *space)
{
    memset(space, 0, sizeof(*space));
    for (uint32_t i = 0; i < nr; i++) {
        const struct proto_tgt_pool_query_rep *rep = &items[i].rep;
        uint64_t total[2] = {rep->meta_total, rep->data_total};
        uint64_t used[2] = {rep->meta_used, rep->data_used};

        if (items[i].rc != 0)
            continue;
        for (int t = 0; t < 2; t++) {
            uint64_t avail = left(total[t], used[t]);
            bool is_first = space->tgt_nr == 0;

            space->total[t] += total[t];
            space->free[t] += avail;
            space->free_min[t] = is_first ? avail : MIN(space->free_min[t], avail);
            space->free_max[t] = is_first ? avail : MAX(space->free_max[t], avail);
        }
        space->tgt_nr++;
    }
    for (int t = 0; t < 2 && space->tgt_nr > 0; t++) {
        space->free_mean[t] = space->free[t] / space->tgt_nr;
    }
}

static int
query(struct pool_call *call, struct proto_pool_query_rep *out)
{
    struct proto_tgt_pool_req body = {.pool = call->pool};
    struct pool_bcast_item *items;
    struct pool_head head;
    uint32_t nr;
    int rc;

    rc = pool_head_get(call, &head);
    if (rc == 0)
        rc = pool_call_get(call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_MAP), &out->map);
    if (rc == 0)
        rc = pool_props_get(call, NULL, &out->props);
    if (rc == 0)
        rc = pool_call_count(call, POOL_TABLE_HDLS, &out->hdl_nr);
    if (rc == 0)
        rc = pool_call_count(call, POOL_TABLE_CONTS, &out->cont_nr);
    if (rc == 0)
        rc = pool_bcast(call, PROTO_TGT_POOL_QUERY, &body, &items, &nr);
    if (rc != 0)
        return rc;
    space_sum(items, nr, &out->space);
    for (uint32_t i = 0; i < nr; i++) {
        out->out_nr += items[i].rc == 0 && items[i].rep.is_out != 0;
    }
    out->leader = call->svcs->env.self_rank;
    out->create_time_ns = hlc_to_unix_ns(head.create_hlc);
    return 0;
}

int
pool_h_query(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_query_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = query(call, rep);
    pool_call_end(call);
    return rc;
}

int
pool_query_local(struct pool_svcs *svcs, struct arena *arena, struct uuid pool,
    struct proto_pool_query_rep *ret_rep)
{
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin_local(svcs, arena, pool, false, &call);
    if (rc == 0)
        rc = query(call, ret_rep);
    pool_call_end(call);
    return rc;
}

static int
tgt_query(struct pool_call *call, uint32_t tgt_id, struct proto_pool_tgt_query_rep *out)
{
    struct proto_tgt_pool_req body = {.pool = call->pool};
    struct pool_bcast_item item = {.tgt_id = tgt_id};
    const struct poolmap_tgt *tgt;
    struct poolmap *map;
    int rc;

    rc = pool_call_map(call, &map);
    if (rc != 0)
        return rc;
    tgt = poolmap_tgt_at(map, tgt_id);
    if (tgt == NULL) {
        poolmap_destroy(map);
        return CAIRN_ERR(NONEXIST);
    }
    out->state = tgt->state;
    item.rank = poolmap_tgt_rank(map, tgt)->rank.v;
    item.tgt_idx = tgt->tgt_idx;
    poolmap_destroy(map);
    pool_bcast_to(call->svcs->env.rpc, call->arena, PROTO_TGT_POOL_QUERY, &body,
        ult_now_ns() + POOL_BCAST_NS, &item, 1);
    if (item.rc == 0)
        space_sum(&item, 1, &out->space);
    if (item.rc == 0 && item.rep.is_out != 0)
        out->state = POOLMAP_DOWN; /* TGT-10: the map does not say so yet */
    return item.rc;
}

int
pool_h_tgt_query(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_tgt_query_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = tgt_query(call, in->tgt, rep);
    pool_call_end(call);
    return rc;
}

/* ---- properties and attributes -------------------------------------------------------------- */

int
pool_h_prop_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_prop_req *in = req->body;
    struct proto_prop_rep *out = rep;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = pool_props_get(call, &in->props, &out->props);
    pool_call_end(call);
    return rc;
}

static int
prop_set(struct pool_call *call, const struct proto_array *list)
{
    const struct proto_prop *props = list->items;
    const struct pool_prop_def *defs;
    uint32_t nr;
    int rc;

    defs = pool_prop_defs(&nr);
    if (list->nr == 0)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < list->nr; i++) {
        /* An engine has given the pool the label, which nobody else can. */
        rc = pool_prop_check(
            defs, nr, &props[i], props[i].type == POOL_PROP_LABEL && pool_call_is_engine(call));
        if (rc != 0)
            return rc;
        pool_prop_put(call, POOL_TABLE_PROPS, pool_prop_find(defs, nr, props[i].type), &props[i]);
    }
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
pool_h_prop_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_prop_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay) {
        rc = pool_call_check(call, true);
        if (rc == 0)
            rc = prop_set(call, &in->props);
    }
    pool_call_end(call);
    return rc;
}

int
pool_prop_set_local(
    struct pool_svcs *svcs, struct arena *arena, struct uuid pool, const struct proto_array *props)
{
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin_local(svcs, arena, pool, true, &call);
    if (rc == 0)
        rc = prop_set(call, props);
    pool_call_end(call);
    return rc;
}

int
pool_h_attr_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_attr_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = pool_attr_list(call, POOL_TABLE_ATTRS, rep);
    pool_call_end(call);
    return rc;
}

int
pool_h_attr_get(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_attr_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = pool_attr_get(call, POOL_TABLE_ATTRS, in, rep);
    pool_call_end(call);
    return rc;
}

static int
attr_change(struct pool_svcs *svcs, struct rpc_req *req,
    int (*change)(struct pool_call *call, const char *table, const struct proto_attr_req *in))
{
    const struct proto_attr_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay) {
        rc = pool_call_check(call, true);
        if (rc == 0)
            rc = change(call, POOL_TABLE_ATTRS, in);
        if (rc == 0)
            rc = pool_call_commit(call, (struct iov){NULL, 0});
    }
    pool_call_end(call);
    return rc;
}

int
pool_h_attr_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    (void)rep;
    return attr_change(svcs, req, pool_attr_set);
}

int
pool_h_attr_del(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    (void)rep;
    return attr_change(svcs, req, pool_attr_del);
}
