/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The asking side: one attempt of a call (RPC-2). The call lives on the stack of its ULT; whatever ends it first (reply, refusal, loss of
 * the connection, end of the context, deadline) takes it out of the tables, so that later ones find nothing.
 */
#include "rpc/rpc_priv.h"

struct rpc_call *
rpc_call_find(struct rpc_conn *conn, uint64_t id)
{
    struct rpc_call *call;

    HMAP_FOREACH_HASH(call, &conn->ctx->calls, hash_mix64(id), struct rpc_call, id_link) {
        if (call->id == id && call->conn == conn)
            break;
    }
    return call;
}

/* ---- credits -------------------------------------------------------------------------------------------------------- */

/* Wait for one of the RPC_INFLIGHT_NR_MAX credits of the connection; first come, first served. */
static int
credit_take(struct rpc_conn *conn, uint64_t deadline_ns)
{
    int rc;

    if (conn->inflight_nr < RPC_INFLIGHT_NR_MAX) {
        conn->inflight_nr++;
        return 0;
    }
    rc = ult_cond_wait_until(&conn->credit, NULL, deadline_ns);
    if (rc != 0) {
        conn->ctx->stats.timeouts_nr++;
    }
    return rc;
}

/* The queue itself tells who waits: one whose time is over has left it, though it may not have run yet. */
static void
credit_give(struct rpc_conn *conn)
{
    if (conn->state == RPC_CONN_DOWN)
        return; /* nobody waits here any more */
    if (!list_empty(&conn->credit.wq.waiters)) {
        ult_cond_signal(&conn->credit);
    } else {
        conn->inflight_nr--;
    }
}

/* ---- the end of a call ---------------------------------------------------------------------------------------------- */

void
rpc_call_end(struct rpc_call *call, int rc)
{
    struct rpc_conn *conn = call->conn;

    hmap_remove(&conn->ctx->calls, &call->id_link);
    list_del(&call->conn_link);
    rpc_region_call_end(call);
    conn->ctx->stats.inflight_nr--;
    ult_eventual_set(&call->done, rc);
}

/* The peer's process is another than the one the call was meant for, or now known for the first time. */
static void
incarnation_learn(struct rpc_conn *conn, uint64_t incarnation)
{
    conn->peer_incarnation = incarnation;
    if (conn->ent != NULL) {
        conn->ent->incarnation = incarnation;
    }
}

static int
refusal_rc(struct rpc_conn *conn, const struct rpc_hdr *hdr)
{
    if (hdr->rc >= 0)
        return CAIRN_ERR(PROTO);
    if (hdr->rc == -DER_STALE) {
        incarnation_learn(conn, hdr->src_incarnation);
    }
    if (hdr->rc == -DER_SHUTDOWN) /* theirs; ours has that name */
        return CAIRN_ERR(UNREACH);
    return hdr->rc;
}

/* The reply outlives the receive buffer in the caller's arena. */
static int
reply_decode(struct rpc_call *call, const struct rpc_head *head, const void *body)
{
    void *copy;

    if (call->rep == NULL || head->body_len == 0)
        return 0;
    copy = arena_dup(call->arena, body, head->body_len);
    if (copy == NULL)
        return CAIRN_ERR(NOMEM);
    return proto_decode(call->op->rep, copy, head->body_len, call->arena, call->rep);
}

/* The reply is here, and so is what it speaks of. */
static void
call_replied(struct rpc_call *call)
{
    call->conn->ctx->stats.replies_nr++;
    call->is_replied = true;
    rpc_call_end(call, call->hdr.rc != 0 ? call->hdr.rc : call->take_rc);
}

void
rpc_call_taken(struct rpc_call *call)
{
    if (call->is_reply_here && list_empty(&call->takes))
        call_replied(call);
}

void
rpc_call_on_reply(struct rpc_conn *conn, const struct rpc_head *head, const void *body)
{
    struct rpc_ctx *ctx = conn->ctx;
    struct rpc_call *call = rpc_call_find(conn, head->call);
    int rc;

    if (call == NULL || call->is_reply_here) /* given up, or a duplicate */
        return;
    if (head->hdr.dst_incarnation != 0 && head->hdr.dst_incarnation != ctx->opts.incarnation) {
        ctx->stats.refused_nr++;
        return;
    }
    if ((head->hdr.flags & RPC_FLAG_REFUSED) != 0) {
        rpc_call_end(call, refusal_rc(conn, &head->hdr));
        return;
    }
    if (head->hdr.opcode != call->op->opcode || head->hdr.rc > 0) {
        rpc_call_end(call, CAIRN_ERR(PROTO));
        return;
    }
    rc = reply_decode(call, head, body);
    if (rc != 0) {
        rpc_call_end(call, rc);
        return;
    }
    if (conn->peer_incarnation == 0) {
        incarnation_learn(conn, head->hdr.src_incarnation);
    }
    call->hdr = head->hdr;
    if (head->hdr.rc != 0 || list_empty(&call->takes)) {
        call_replied(call);
    } else {
        call->is_reply_here = true; /* RPC-15 */
    }
}

/* ---- the call ------------------------------------------------------------------------------------------------------- */

/* Encode the request and put it on its way. */
static int
call_send(struct rpc_call *call, const void *req, const struct rpc_call_opts *opts, uint64_t hlc)
{
    struct rpc_conn *conn = call->conn;
    struct rpc_ctx *ctx = conn->ctx;
    size_t size = proto_size(call->op->req, req);
    uint64_t now_ns = rpc_now_ns(ctx);
    struct rpc_head head = {
        .kind = RPC_KIND_REQUEST,
        .call = call->id,
        .hdr =
            {
                .opcode = call->op->opcode,
                .dst_incarnation = conn->peer_incarnation,
                .client = ctx->opts.client,
                .slot = opts->slot,
                .seq = opts->seq,
                .first_hlc = opts->first_hlc,
                .hlc = hlc,
                .map_ver = opts->map_ver,
                .hint_rank = RPC_RANK_NONE,
                .pool = opts->pool,
                .pool_hdl = opts->pool_hdl,
                .cont_hdl = opts->cont_hdl,
            },
    };
    struct rpc_msg *msg;
    int rc;

    if (now_ns >= opts->deadline_ns)
        return CAIRN_ERR(TIMEDOUT);
    head.hdr.timeout_ns = opts->deadline_ns - now_ns;
    if (conn->net->ops->read != NULL && !conn->is_direct_off)
        head.hdr.flags = RPC_FLAG_DIRECT | RPC_FLAG_EARLY;
    if (size > RPC_BODY_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    msg = rpc_msg_create(ctx, size);
    if (msg == NULL)
        return CAIRN_ERR(NOMEM);
    rc = proto_encode(call->op->req, req, rpc_msg_body(msg), size, &size);
    if (rc != 0) {
        rpc_msg_free(msg);
        return rc;
    }
    rpc_msg_seal(ctx, msg, &head, size);
    hmap_insert(&ctx->calls, &call->id_link, hash_mix64(call->id));
    list_add_tail(&call->conn_link, &conn->calls);
    ctx->stats.calls_nr++;
    ctx->stats.inflight_nr++;
    rpc_msg_send(conn, msg);
    if (opts->bulk != NULL)
        rpc_region_here_send(opts->bulk, conn, call->id);
    return 0;
}

/* Send, and wait for whatever ends the call. The connection has given a credit. */
static int
call_attempt(struct rpc_call *call, const void *req, const struct rpc_call_opts *opts)
{
    struct rpc_ctx *ctx = call->conn->ctx;
    uint64_t hlc = rpc_hlc(ctx);
    int rc;

    if (ctx->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    if (call->conn->state != RPC_CONN_UP)
        return CAIRN_ERR(UNREACH);
    rc = call_send(call, req, opts, hlc);
    if (rc == 0) {
        CAIRN_IGNORE(ult_eventual_wait_until(&call->done, opts->deadline_ns)); /* is_set tells */
        if (!call->done.is_set) {
            rpc_call_end(call, CAIRN_ERR(TIMEDOUT));
        }
        rc = call->done.rc;
    }
    if (rc == -DER_TIMEDOUT && !call->is_replied) {
        ctx->stats.timeouts_nr++;
    }
    if (call->is_replied && call->hdr.hlc != 0 && ctx->opts.hlc_recv != NULL) {
        int hlc_rc = ctx->opts.hlc_recv(ctx->opts.arg, call->hdr.hlc);

        if (hlc_rc != 0) {
            call->is_replied = false;
            rc = hlc_rc;
        }
    }
    return rc;
}

static int
call_run(struct rpc_ctx *ctx, struct rpc_ep ep, struct rpc_call *call, const void *req,
    const struct rpc_call_opts *opts)
{
    struct rpc_conn *conn = NULL;
    int rc;

    if (ctx->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    rc = rpc_conn_get(ctx, ep, &conn);
    if (rc != 0)
        return rc;
    rc = credit_take(conn, opts->deadline_ns);
    if (rc == 0) {
        call->conn = conn;
        call->id = ++ctx->call_id_last;
        rc = call_attempt(call, req, opts);
        credit_give(conn);
    }
    rpc_conn_put(conn);
    return rc;
}

int
rpc_call(struct rpc_ctx *ctx, struct rpc_ep ep, uint16_t opcode, const void *req, void *ret_rep,
    const struct rpc_call_opts *opts, struct rpc_call_info *ret_info)
{
    struct rpc_call call = {
        .op = proto_op_find(opcode), .rep = ret_rep, .arena = opts->arena, .is_replied = false};
    int rc;

    CAIRN_ASSERT(ult_self() != NULL);
    CAIRN_ASSERT(call.op != NULL);
    CAIRN_ASSERT(ERGO(ret_rep != NULL, opts->arena != NULL));
    ult_eventual_init(&call.done);
    list_init(&call.takes);
    if (ret_rep != NULL) {
        memset(ret_rep, 0, call.op->rep->struct_bytes);
    }
    ctx->callers_nr++;
    rc = call_run(ctx, ep, &call, req, opts);
    ctx->callers_nr--;
    if (ctx->is_stopping) {
        ult_cond_broadcast(&ctx->idle);
    }
    if (ret_rep != NULL && !call.is_replied) {
        memset(ret_rep, 0, call.op->rep->struct_bytes);
    }
    if (ret_info != NULL) {
        *ret_info = (struct rpc_call_info){call.is_replied, call.is_replied ? call.hdr.map_ver : 0,
            call.is_replied ? call.hdr.hint_rank : RPC_RANK_NONE};
    }
    return rc;
}
