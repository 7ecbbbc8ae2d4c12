/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pool handles: connect, disconnect, what a handle may do. The client chooses the handle's uuid,
 * so that a connect sent again is the
 * same one. Row of POOL_TABLE_HDLS: key uuid; value u8 version, u64 flags, u64 HLC, client uuid.
 * Tested by test/server.
 */
#include "base/assert.h"
#include "pool_priv.h"

enum { HDL_ROW_BYTES = 33 };

static int
hdl_decode(struct iov row, uint64_t *ret_flags)
{
    struct dec d;
    uint8_t version;
    uint64_t flags;

    dec_init(&d, row.buf, row.len);
    version = dec_u8(&d);
    flags = dec_u64(&d);
    if (dec_check(&d) != 0 || version != 1)
        return CAIRN_ERR(DF_INVAL);
    *ret_flags = flags;
    return 0;
}

int
pool_call_hdl(struct pool_call *call, struct uuid pool_hdl, uint64_t *ret_flags)
{
    struct iov row;
    int rc;

    if (cuuid_is_nil(&pool_hdl))
        return CAIRN_ERR(NO_HDL);
    rc = pool_call_get(call, POOL_TABLE_HDLS, pool_key_uuid(&pool_hdl), &row);
    if (rc == -DER_NONEXIST)
        return CAIRN_ERR(NO_HDL);
    return rc != 0 ? rc : hdl_decode(row, ret_flags);
}

int
pool_call_check(struct pool_call *call, bool is_write)
{
    uint64_t flags;
    int rc;

    if (pool_call_is_engine(call))
        return 0;
    rc = pool_call_hdl(call, call->req->hdr->pool_hdl, &flags);
    if (rc != 0)
        return rc;
    return is_write && (flags & (POOL_PC_RW | POOL_PC_EX)) == 0 ? CAIRN_ERR(NO_PERM) : 0;
}

/* ---- connect -------------------------------------------------------------------------------- */

struct hdl_scan {
    uint32_t nr;
    bool has_ex;
};

static bool
hdl_scan_one(void *arg, struct iov key, struct iov value)
{
    struct hdl_scan *s = arg;
    uint64_t flags;

    (void)key;
    s->nr++;
    if (hdl_decode(value, &flags) == 0 && (flags & POOL_PC_EX) != 0)
        s->has_ex = true;
    return true;
}

/* May a handle with these flags join those that are open? */
static int
connect_check(struct pool_call *call, uint64_t flags)
{
    struct hdl_scan scan = {0, false};
    int rc;

    if (flags != POOL_PC_RO && flags != POOL_PC_RW && flags != POOL_PC_EX)
        return CAIRN_ERR(INVAL);
    rc = pool_call_list(call, POOL_TABLE_HDLS, (struct iov){NULL, 0}, hdl_scan_one, &scan);
    if (rc != 0)
        return rc;
    if (scan.has_ex || (flags == POOL_PC_EX && scan.nr > 0))
        return CAIRN_ERR(BUSY);
    return scan.nr >= POOL_HDLS_NR_MAX ? CAIRN_ERR(OVERLOAD_RETRY) : 0;
}

static int
connect_new(struct pool_call *call, const struct proto_pool_connect_req *in)
{
    uint8_t row[HDL_ROW_BYTES];
    uint64_t flags;
    struct enc e;
    int rc;

    if (cuuid_is_nil(&in->hdl))
        return CAIRN_ERR(INVAL);
    rc = pool_call_hdl(call, in->hdl, &flags);
    if (rc == 0)
        return flags == in->flags ? 0 : CAIRN_ERR(EXIST);
    if (rc != -DER_NO_HDL)
        return rc;
    rc = connect_check(call, in->flags);
    if (rc != 0)
        return rc;
    enc_init(&e, row, sizeof(row));
    enc_u8(&e, 1);
    enc_u64(&e, in->flags);
    enc_u64(&e, pool_call_hlc(call));
    enc_uuid(&e, &call->req->hdr->client);
    CAIRN_ASSERT(enc_check(&e) == 0);
    pool_call_put(call, POOL_TABLE_HDLS, pool_key_uuid(&in->hdl), (struct iov){row, sizeof(row)});
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
pool_h_connect(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_connect_req *in = req->body;
    struct proto_pool_connect_rep *out = rep;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = connect_new(call, in);
    if (rc == 0)
        rc = pool_call_get(call, POOL_TABLE_MAIN, pool_key_str(POOL_KEY_MAP), &out->map);
    if (rc == 0)
        rc = pool_props_get(call, NULL, &out->props);
    pool_call_end(call);
    return rc;
}

/* ---- disconnect ----------------------------------------------------------------------------- */

static int
disconnect(struct pool_call *call, struct uuid hdl)
{
    const struct pool_hooks *hooks = &call->svcs->hooks;
    bool is_more = false;
    uint64_t flags;
    int rc;

    rc = pool_call_hdl(call, hdl, &flags);
    if (rc != 0)
        return rc;
    do {
        if (hooks->hdl_close != NULL)
            rc = hooks->hdl_close(call, hdl, &is_more);
        if (rc == 0 && is_more)
            rc = pool_call_commit_part(call);
    } while (rc == 0 && is_more);
    if (rc != 0)
        return rc;
    pool_call_del(call, POOL_TABLE_HDLS, pool_key_uuid(&hdl));
    rc = pool_call_commit(call, (struct iov){NULL, 0});
    if (rc == 0)
        pool_revoke(call, hdl);
    return rc;
}

int
pool_h_disconnect(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_disconnect_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = disconnect(call, in->hdl);
    pool_call_end(call);
    return rc;
}
