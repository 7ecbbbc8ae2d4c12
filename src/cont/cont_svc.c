/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Containers: create, destroy, query, list. Tested by test/server. */
#include "base/assert.h"
#include "cont_priv.h"

enum { ROW_FIXED_BYTES = 1 + 8 + 8 + 8 + 4 };

/* ---- rows ----------------------------------------------------------------------------------- */

static int
row_decode(struct iov row, struct cont_row *ret_row)
{
    struct cont_row r;
    struct dec d;
    uint8_t version;

    dec_init(&d, row.buf, row.len);
    version = dec_u8(&d);
    r.create_hlc = dec_u64(&d);
    r.otime_hlc = dec_u64(&d);
    r.mtime_hlc = dec_u64(&d);
    r.label.buf = (void *)(uintptr_t)dec_blob(&d, PROTO_LABEL_BYTES_MAX, &r.label.len);
    if (dec_check(&d) != 0 || version != 1)
        return CAIRN_ERR(DF_INVAL);
    *ret_row = r;
    return 0;
}

int
cont_row_get(struct pool_call *call, const struct uuid *cont, struct cont_row *ret_row)
{
    struct iov row;
    int rc;

    rc = pool_call_get(call, POOL_TABLE_CONTS, pool_key_uuid(cont), &row);
    return rc != 0 ? rc : row_decode(row, ret_row);
}

void
cont_row_put(struct pool_call *call, const struct uuid *cont, const struct cont_row *row)
{
    uint8_t buf[ROW_FIXED_BYTES + PROTO_LABEL_BYTES_MAX];
    struct enc e;

    enc_init(&e, buf, sizeof(buf));
    enc_u8(&e, 1);
    enc_u64(&e, row->create_hlc);
    enc_u64(&e, row->otime_hlc);
    enc_u64(&e, row->mtime_hlc);
    enc_blob(&e, row->label.buf, row->label.len);
    CAIRN_ASSERT(enc_check(&e) == 0);
    pool_call_put(call, POOL_TABLE_CONTS, pool_key_uuid(cont), (struct iov){buf, e.len});
}

int
cont_resolve(struct pool_call *call, struct iov id, struct uuid *ret_cont, struct cont_row *ret_row)
{
    char text[CUUID_TEXT_BYTES];
    struct uuid cont;
    struct iov row;
    int rc;

    if (id.len == CUUID_TEXT_BYTES - 1) {
        memcpy(text, id.buf, id.len);
        text[id.len] = '\0';
        if (cuuid_parse(text, &cont) == 0) {
            *ret_cont = cont;
            return cont_row_get(call, &cont, ret_row);
        }
    }
    rc = pool_label_check(id);
    if (rc == 0)
        rc = pool_call_get(call, CONT_TABLE_LABELS, id, &row);
    if (rc != 0)
        return rc;
    if (row.len != sizeof(cont))
        return CAIRN_ERR(DF_INVAL);
    memcpy(&cont, row.buf, sizeof(cont));
    *ret_cont = cont;
    return cont_row_get(call, &cont, ret_row);
}

/* ---- create --------------------------------------------------------------------------------- */

static int
create(struct pool_call *call, const struct proto_cont_create_req *in)
{
    struct cont_row row = {.create_hlc = pool_call_hlc(call)};
    struct cont_row old;
    struct iov other;
    int rc;

    rc = pool_call_check(call, true);
    if (rc == 0 && cuuid_is_nil(&in->cont))
        rc = CAIRN_ERR(INVAL);
    if (rc != 0)
        return rc;
    rc = cont_row_get(call, &in->cont, &old);
    if (rc != -DER_NONEXIST)
        return rc == 0 ? CAIRN_ERR(EXIST) : rc;
    rc = pool_gone_check(call, in->cont);
    if (rc != 0)
        return rc; /* CON-2 */
    rc = cont_props_put(call, &in->cont, &in->props, true, &row.label);
    if (rc != 0)
        return rc;
    if (row.label.len > 0) {
        rc = pool_call_get(call, CONT_TABLE_LABELS, row.label, &other);
        if (rc != -DER_NONEXIST)
            return rc == 0 ? CAIRN_ERR(EXIST) : rc; /* CON-1 */
        pool_call_put(call, CONT_TABLE_LABELS, row.label, pool_key_uuid(&in->cont));
    }
    row.otime_hlc = row.mtime_hlc = row.create_hlc;
    cont_row_put(call, &in->cont, &row);
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
cont_h_create(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_create_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = create(call, in);
    pool_call_end(call);
    return rc;
}

/* ---- destroy -------------------------------------------------------------------------------- */

/* How many handles are open once those of clients that died are closed. */
static int
evict_gone(struct pool_call *call, const struct uuid *cont, uint32_t *ret_nr)
{
    uint32_t nr;
    bool has_ex;
    int rc = pool_evict_gone(call, &nr);

    return rc != 0 || nr == 0 ? rc : cont_hdl_count(call, cont, ret_nr, &has_ex);
}

static int
destroy(struct pool_call *call, const struct proto_cont_destroy_req *in, struct uuid *ret_cont)
{
    const char *props, *attrs, *hdls, *snaps;
    struct proto_array evicted;
    struct cont_row row;
    uint32_t nr;
    bool has_ex;
    int rc;

    rc = pool_call_check(call, true);
    if (rc == 0)
        rc = cont_resolve(call, in->id, ret_cont, &row);
    if (rc == 0)
        rc = cont_hdl_count(call, ret_cont, &nr, &has_ex);
    if (rc == 0 && nr > 0 && !in->force)
        rc = evict_gone(call, ret_cont, &nr);
    if (rc == 0 && nr > 0)
        rc = in->force ? cont_hdl_evict(call, ret_cont, &evicted) : CAIRN_ERR(BUSY);
    if (rc != 0)
        return rc;
    props = cont_table(call, CONT_TABLE_PROPS, ret_cont);
    attrs = cont_table(call, CONT_TABLE_ATTRS, ret_cont);
    hdls = cont_table(call, CONT_TABLE_HDLS, ret_cont);
    snaps = cont_table(call, CONT_TABLE_SNAPS, ret_cont);
    if (props == NULL || attrs == NULL || hdls == NULL || snaps == NULL)
        return CAIRN_ERR(NOMEM);
    pool_call_del(call, POOL_TABLE_CONTS, pool_key_uuid(ret_cont));
    pool_call_del(call, CONT_TABLE_OIDS, pool_key_uuid(ret_cont));
    if (row.label.len > 0)
        pool_call_del(call, CONT_TABLE_LABELS, row.label);
    pool_call_del_table(call, props);
    pool_call_del_table(call, attrs);
    pool_call_del_table(call, hdls);
    pool_call_del_table(call, snaps);
    pool_gone_add(call, *ret_cont);
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
cont_h_destroy(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_destroy_req *in = req->body;
    struct pool_call *call = NULL;
    bool is_replay;
    struct uuid cont;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc != 0)
        return rc;
    is_replay = call->is_replay;
    if (!is_replay)
        rc = destroy(call, in, &cont);
    pool_call_end(call);
    if (rc == 0 && !is_replay)
        pool_gone_run(svcs, req->arena, in->pool, cont); /* also ends its handles at the targets */
    return rc;
}

/* ---- query and list ------------------------------------------------------------------------- */

int
cont_h_query(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_query_req *in = req->body;
    struct proto_cont_query_rep *out = rep;
    struct pool_call *call = NULL;
    struct cont_row row;
    bool has_ex;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc == 0)
        rc = cont_props_get(call, &in->cont, &row, NULL, &out->props);
    if (rc == 0)
        rc = cont_hdl_count(call, &in->cont, &out->hdl_nr, &has_ex);
    if (rc == 0)
        rc = cont_snap_stat(call, &in->cont, &out->snap_nr, &out->snap_last);
    if (rc == 0) {
        out->md_otime = row.otime_hlc;
        out->md_mtime = row.mtime_hlc;
    }
    pool_call_end(call);
    return rc;
}

struct lister {
    struct arena *arena;
    struct proto_cont_entry *entries;
    uint32_t nr, nr_max;
    bool is_more;
    int rc;
};

static bool
list_add_cont(void *arg, struct iov key, struct iov value)
{
    struct lister *l = arg;
    struct proto_cont_entry *e;
    struct cont_row row;

    if (l->nr == l->nr_max) {
        l->is_more = true;
        return false;
    }
    l->rc = key.len == sizeof(struct uuid) ? row_decode(value, &row) : CAIRN_ERR(DF_INVAL);
    if (l->rc != 0)
        return false;
    e = &l->entries[l->nr++];
    memcpy(&e->uuid, key.buf, key.len);
    e->label = (struct iov){arena_dup(l->arena, row.label.buf, row.label.len), row.label.len};
    if (e->label.buf == NULL)
        l->rc = CAIRN_ERR(NOMEM);
    return l->rc == 0;
}

int
cont_h_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_list_cont_req *in = req->body;
    struct proto_pool_list_cont_rep *out = rep;
    struct lister l = {.arena = req->arena};
    struct pool_call *call = NULL;
    struct iov after = {NULL, 0};
    int rc;

    l.nr_max = in->nr_max == 0 ? PROTO_CONTS_NR_MAX : MIN(in->nr_max, (uint32_t)PROTO_CONTS_NR_MAX);
    if (!cuuid_is_nil(&in->after))
        after = pool_key_uuid(&in->after);
    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_call_check(call, false);
    if (rc == 0) {
        l.entries = arena_calloc(req->arena, l.nr_max, sizeof(*l.entries));
        if (l.entries == NULL)
            rc = CAIRN_ERR(NOMEM);
    }
    if (rc == 0)
        rc = pool_call_list(call, POOL_TABLE_CONTS, after, list_add_cont, &l);
    if (rc == 0)
        rc = l.rc;
    if (rc == 0) {
        out->conts = (struct proto_array){l.nr, l.entries};
        out->eof = !l.is_more;
    }
    pool_call_end(call);
    return rc;
}
