/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pool handles: connect, disconnect, who holds a handle, what a handle may do. The client chooses the handle's uuid,
 * so that a connect sent again is the same one. Row of POOL_TABLE_HDLS: key uuid; value u8 version, u64 flags, u64 HLC, client uuid, from
 * version 2 on its holders. Tested by test/server.
 */
#include "base/assert.h"
#include "pool_priv.h"

enum { HDL_ROW_BYTES_MAX = 33 + POOL_HOLDERS_BYTES_MAX, HDL_ROW_VERSION = 2 };

int
pool_hdl_decode(struct iov row, struct pool_hdl *ret_hdl)
{
    struct dec d;
    uint8_t version;

    dec_init(&d, row.buf, row.len);
    version = dec_u8(&d);
    ret_hdl->flags = dec_u64(&d);
    ret_hdl->hlc = dec_u64(&d);
    ret_hdl->client = dec_uuid(&d);
    ret_hdl->holders.nr = 0;
    ret_hdl->holders.has_unknown = true; /* those who wrote version 1 did not ask */
    if (version == HDL_ROW_VERSION)
        pool_holders_decode(&d, &ret_hdl->holders);
    if (dec_end(&d) != 0 || version == 0 || version > HDL_ROW_VERSION)
        return CAIRN_ERR(DF_INVAL);
    return 0;
}

static void
hdl_put(struct pool_call *call, const struct uuid *id, const struct pool_hdl *hdl)
{
    uint8_t row[HDL_ROW_BYTES_MAX];
    struct enc e;

    enc_init(&e, row, sizeof(row));
    enc_u8(&e, HDL_ROW_VERSION);
    enc_u64(&e, hdl->flags);
    enc_u64(&e, hdl->hlc);
    enc_uuid(&e, &hdl->client);
    pool_holders_encode(&hdl->holders, &e);
    CAIRN_ASSERT(enc_check(&e) == 0);
    pool_call_put(call, POOL_TABLE_HDLS, pool_key_uuid(id), (struct iov){row, e.len});
}

/* Errors: NO_HDL. */
static int
hdl_get(struct pool_call *call, const struct uuid *id, struct pool_hdl *ret_hdl)
{
    struct iov row;
    int rc;

    if (cuuid_is_nil(id))
        return CAIRN_ERR(NO_HDL);
    rc = pool_call_get(call, POOL_TABLE_HDLS, pool_key_uuid(id), &row);
    if (rc == -DER_NONEXIST)
        return CAIRN_ERR(NO_HDL);
    return rc != 0 ? rc : pool_hdl_decode(row, ret_hdl);
}

int
pool_call_hdl(struct pool_call *call, struct uuid pool_hdl, uint64_t *ret_flags)
{
    struct pool_hdl hdl;
    int rc = hdl_get(call, &pool_hdl, &hdl);

    if (rc != 0)
        return rc;
    pool_use_note(call->svc, &pool_hdl);
    *ret_flags = hdl.flags;
    return 0;
}

int
pool_hdl_attach(struct pool_call *call, struct uuid pool_hdl, const struct proto_proc *proc)
{
    struct pool_hdl hdl;
    int rc = hdl_get(call, &pool_hdl, &hdl);

    if (rc != 0)
        return rc;
    pool_use_note(call->svc, &pool_hdl);
    if (pool_holders_add(call->svcs, &hdl.holders, proc))
        hdl_put(call, &pool_hdl, &hdl);
    return 0;
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
    struct pool_hdl hdl;

    (void)key;
    s->nr++;
    if (pool_hdl_decode(value, &hdl) == 0 && (hdl.flags & POOL_PC_EX) != 0)
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
    return scan.nr >= call->svcs->env.hdls_nr_max ? CAIRN_ERR(OVERLOAD_RETRY) : 0;
}

/* The same, once what nobody needs any more has made room. */
static int
connect_room(struct pool_call *call, uint64_t flags)
{
    struct pool_svc *svc = call->svc;
    uint32_t nr;
    int rc, rc2;

    rc = connect_check(call, flags);
    if (rc == -DER_OVERLOAD_RETRY && ult_now_ns() < svc->full_ns)
        return rc;
    if (rc == -DER_BUSY || rc == -DER_OVERLOAD_RETRY) {
        rc2 = pool_evict_gone(call, &nr);
        if (rc2 != 0)
            return rc2;
        if (nr > 0)
            rc = connect_check(call, flags);
    }
    if (rc == -DER_OVERLOAD_RETRY) {
        rc2 = pool_evict_silent(call, &nr);
        if (rc2 != 0)
            return rc2;
        if (nr > 0)
            rc = connect_check(call, flags);
    }
    if (rc == -DER_OVERLOAD_RETRY)
        svc->full_ns = ult_now_ns() + POOL_FULL_NS;
    return rc;
}

static int
connect_new(struct pool_call *call, const struct proto_pool_connect_req *in)
{
    struct pool_hdl hdl = {.flags = in->flags, .client = call->req->hdr->client};
    uint64_t flags;
    int rc;

    if (cuuid_is_nil(&in->hdl))
        return CAIRN_ERR(INVAL);
    rc = pool_call_hdl(call, in->hdl, &flags);
    if (rc == 0)
        return flags == in->flags ? 0 : CAIRN_ERR(EXIST);
    if (rc != -DER_NO_HDL)
        return rc;
    rc = connect_room(call, in->flags);
    if (rc != 0)
        return rc;
    hdl.hlc = pool_call_hlc(call);
    CAIRN_IGNORE(pool_holders_add(call->svcs, &hdl.holders, &in->proc));
    hdl_put(call, &in->hdl, &hdl);
    rc = pool_call_commit(call, (struct iov){NULL, 0});
    if (rc == 0) {
        pool_use_note(call->svc, &in->hdl);
        if (hdl.holders.nr > 0)
            pool_look_soon(call);
    }
    return rc;
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
            rc = hooks->hdl_close(call, &hdl, 1, &is_more);
        if (rc == 0 && is_more)
            rc = pool_call_commit_part(call);
    } while (rc == 0 && is_more);
    if (rc != 0)
        return rc;
    pool_call_del(call, POOL_TABLE_HDLS, pool_key_uuid(&hdl));
    rc = pool_call_commit(call, (struct iov){NULL, 0});
    if (rc == 0) {
        pool_use_forget(call->svc, &hdl);
        pool_revoke(call, hdl);
    }
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
