/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Bulk over the message stream, driven by the server, chunk by chunk with RPC_BULK_WINDOW_NR of them in flight. Here is the server's side, in rpc_region.c
 * the client's:
 *
 *      handler                       client's context
 *      pull   -- GET xfer, part --->  checks; sends the part straight from the region
 *             <-- DATA, payload ----  place() puts it straight into the handler's buffer
 *             <-- HERE, where ------  instead, where the transport reads memory: it reads the part, whose checksum came along
 *             <-- HERE, where ------  unasked, right after the request: then there is no GET (RPC-14)
 *      push   -- PUT, payload ----->  place() puts it straight into the region
 *             -- TAKE, where ------>  instead, where the client said that its transport reads memory: it reads the part into its region
 *             <-- DONE, rc ---------  (also the answer to a GET that is refused; of a TAKE it may come after the reply: RPC-15)
 *
 *   RPC-10 A chunk leaves the table when it was answered (or given up), its message has left the transport and nothing is being received
 *          or read into it. Only then does the handler's buffer go back to the handler. What comes for an unknown chunk is dropped.
 *   RPC-12 What the transport read is believed only with the checksum that the client computed over a live region (MS-3: the region may
 *          be gone by now, or the process). Any failure makes that chunk a stream, a refusal of the transport all later ones of its
 *          connection. Nothing is ever written into a client's memory but by the client: what is pushed it reads itself, and believes with the
 *          checksum that the server sent; when it can't, it says so, and that chunk comes as a stream.
 *   RPC-14 Only who compares the whole for himself (rpc_bulk_pull_whole) is given bytes that no checksum of their part came with, or that were read where the
 *          client said unasked: the region may be gone since, and what is read there then is for that comparison to find.
 */
#include <stdlib.h>

#include "base/crc.h"
#include "rpc/rpc_priv.h"

struct rpc_bulk_op;

struct rpc_chunk {
    struct hmap_link id_link;
    struct list_head conn_link;
    struct rpc_conn *conn;
    struct rpc_bulk_op *op;
    uint64_t xfer;
    uint64_t off; /* in the region */
    uint8_t *buf;
    uint32_t len;
    uint32_t crc; /* of a push */
    bool is_used;
    bool is_answered;
    bool is_placed;
    bool is_direct; /* may be answered with HERE; of a push: TAKE */
    bool is_reading;
    bool is_unsummed; /* what is read now has no checksum to compare with */
    bool is_hinted; /* it is read where the client said unasked */
    uint32_t here_crc;
    struct net_read rd;
    struct rpc_msg *tx; /* a PUT that the transport has */
    struct net_mem *mem; /* of a TAKE */
};

/* One pull or push; lives on the handler's stack, a push in parts in the request's arena. */
struct rpc_bulk_op {
    struct list_head link; /* ctx->bulk_ops */
    struct rpc_run *run;
    const struct proto_bulk *desc;
    bool is_push;
    bool is_whole; /* RPC-14 */
    rpc_landed_fn landed; /* NULL: nobody is told */
    void *landed_arg;
    const uint8_t *buf; /* where the first byte goes */
    bool is_take; /* the client reads by itself */
    uint32_t active_nr;
    int rc;
    struct ult_cond cond;
    struct rpc_chunk chunks[RPC_BULK_WINDOW_NR];
};

/* ---- chunks of our handlers ----------------------------------------------------------------------------------------- */

static struct rpc_chunk *
chunk_find(struct rpc_conn *conn, uint64_t xfer)
{
    struct rpc_chunk *chunk;

    HMAP_FOREACH_HASH(chunk, &conn->ctx->chunks, hash_mix64(xfer), struct rpc_chunk, id_link) {
        if (chunk->xfer == xfer && chunk->conn == conn)
            break;
    }
    return chunk;
}

static void
mem_drop(struct rpc_chunk *chunk)
{
    if (chunk->mem != NULL) {
        chunk->conn->net->ops->mem_revoke(chunk->mem);
        chunk->mem = NULL;
    }
}

/* RPC-10 */
static void
chunk_settle(struct rpc_chunk *chunk)
{
    struct rpc_bulk_op *op = chunk->op;

    if (!chunk->is_used || !chunk->is_answered || chunk->is_placed || chunk->is_reading ||
        chunk->tx != NULL)
        return;
    hmap_remove(&chunk->conn->ctx->chunks, &chunk->id_link);
    list_del(&chunk->conn_link);
    mem_drop(chunk);
    rpc_conn_put(chunk->conn);
    chunk->is_used = false;
    op->active_nr--;
    ult_cond_signal(&op->cond);
}

static void
chunk_answer(struct rpc_chunk *chunk, int rc)
{
    if (chunk->is_answered)
        return;
    chunk->is_answered = true;
    if (rc != 0 && chunk->op->rc == 0) {
        chunk->op->rc = rc;
        ult_cond_signal(&chunk->op->cond);
    } else if (rc == 0) {
        chunk->conn->ctx->stats.bulk_bytes += chunk->len;
        if (chunk->op->landed != NULL && chunk->op->rc == 0) {
            chunk->op->landed(
                chunk->op->landed_arg, (size_t)(chunk->buf - chunk->op->buf), chunk->len);
        }
    }
    chunk_settle(chunk);
}

static void
on_data(struct rpc_conn *conn, const struct rpc_head *head, const struct rpc_bulk_body *body,
    const void *payload)
{
    struct rpc_chunk *chunk = chunk_find(conn, body->xfer);
    bool is_unsummed;
    int rc = 0;

    if (chunk == NULL || chunk->is_answered || chunk->op->is_push)
        return; /* given up, or a duplicate */
    is_unsummed = chunk->op->is_whole && (head->hdr.flags & RPC_FLAG_WHOLE) != 0;
    if (payload == NULL || head->payload_len != chunk->len) {
        rc = CAIRN_ERR(PROTO);
    } else if (!is_unsummed && crc32c(0, payload, chunk->len) != head->payload_crc) {
        rc = CAIRN_ERR(CSUM);
    } else if (payload != chunk->buf) {
        memcpy(chunk->buf, payload, chunk->len);
    }
    chunk_answer(chunk, rc);
}

static int chunk_send(struct rpc_chunk *chunk);

/* RPC-12: ask again, for the bytes themselves. */
static void
chunk_stream(struct rpc_chunk *chunk)
{
    int rc;

    CAIRN_PROBE("rpc.bulk.direct_failed");
    chunk->is_direct = false;
    chunk->is_hinted = false;
    mem_drop(chunk);
    chunk->conn->ctx->stats.direct_failed_nr++;
    rc = chunk_send(chunk);
    if (rc != 0) {
        chunk_answer(chunk, rc);
    }
}

static void
on_done(struct rpc_conn *conn, const struct rpc_bulk_body *body)
{
    struct rpc_chunk *chunk = chunk_find(conn, body->xfer);

    if (chunk == NULL || chunk->is_answered)
        return;
    if (body->rc > 0 || (body->rc == 0 && !chunk->op->is_push)) {
        chunk_answer(chunk, CAIRN_ERR(PROTO));
    } else if (body->rc != 0 && chunk->op->is_push && chunk->is_direct &&
        body->rc != -DER_UNREACH && body->rc != -DER_INVAL) {
        chunk->op->is_take = chunk->op->is_take && body->rc == -DER_CSUM;
        chunk_stream(chunk);
    } else {
        chunk_answer(chunk, body->rc);
    }
}

static void
on_read(struct net_read *rd, int rc)
{
    struct rpc_chunk *chunk = CAIRN_CONTAINER_OF(rd, struct rpc_chunk, rd);

    chunk->is_reading = false;
    if (rc == -DER_NO_PERM) {
        chunk->conn->is_direct_off = true;
    }
    if (chunk->is_answered) { /* given up meanwhile */
        chunk_settle(chunk);
    } else if (rc == 0 &&
        (chunk->is_unsummed || crc32c(0, chunk->buf, chunk->len) == chunk->here_crc)) {
        chunk->conn->ctx->stats.direct_bytes += chunk->len;
        chunk->conn->ctx->stats.hinted_bytes += chunk->is_hinted ? chunk->len : 0;
        chunk_answer(chunk, 0);
    } else {
        chunk_stream(chunk);
    }
}

/* Have the transport read it, there and so many bytes further. */
static void
chunk_read(struct rpc_chunk *chunk, const uint8_t *where, uint64_t off)
{
    struct rpc_conn *conn = chunk->conn;
    int rc;

    chunk->rd.dst = (struct iov){chunk->buf, chunk->len};
    chunk->rd.off = off;
    chunk->rd.done = on_read;
    chunk->is_reading = true;
    rc = conn->net->ops->read(conn->peer, &chunk->rd, where);
    if (rc == 0)
        return;
    chunk->is_reading = false;
    conn->is_direct_off = conn->is_direct_off || rc == -DER_NOSYS;
    chunk_stream(chunk);
}

static void
on_here(struct rpc_conn *conn, const struct rpc_head *head, const struct rpc_bulk_body *body,
    const struct rpc_bulk_here *here)
{
    struct rpc_chunk *chunk = chunk_find(conn, body->xfer);
    struct rpc_run *run;

    if (body->xfer == 0) { /* unasked: for when its request pulls */
        run = rpc_serve_run_find(conn, head->call);
        if (run != NULL && body->off == 0) {
            run->here.id = body->id;
            run->here.key = body->key;
            run->here.len = body->len;
            memcpy(run->here.where, here->where, NET_WHERE_BYTES);
        }
        return;
    }
    if (chunk == NULL || chunk->is_answered || chunk->op->is_push || !chunk->is_direct ||
        chunk->is_reading)
        return;
    chunk->here_crc = here->crc;
    chunk->is_unsummed = chunk->op->is_whole && (head->hdr.flags & RPC_FLAG_WHOLE) != 0;
    chunk_read(chunk, here->where, 0);
}

/* ---- what connections tell ------------------------------------------------------------------------------------------ */

bool
rpc_bulk_place(struct rpc_conn *conn, const struct rpc_head *head, const struct rpc_bulk_body *body,
    size_t payload_len, struct iov *ret_dst)
{
    struct rpc_chunk *chunk;

    if (head->kind == RPC_KIND_BULK_DATA) {
        chunk = chunk_find(conn, body->xfer);
        if (chunk == NULL || chunk->is_answered || chunk->op->is_push || chunk->len != payload_len)
            return false;
        chunk->is_placed = true;
        conn->placed.chunk = chunk;
        *ret_dst = (struct iov){chunk->buf, payload_len};
    } else if (head->kind != RPC_KIND_BULK_PUT ||
        !rpc_region_place(conn, head, body, payload_len, ret_dst)) {
        return false;
    }
    conn->placed.dst = ret_dst->buf;
    return true;
}

void
rpc_bulk_unplace(struct rpc_conn *conn)
{
    struct rpc_chunk *chunk = conn->placed.chunk;
    struct rpc_bulk *bulk = conn->placed.bulk;

    conn->placed.dst = NULL;
    conn->placed.chunk = NULL;
    conn->placed.bulk = NULL;
    if (chunk != NULL) {
        chunk->is_placed = false;
        chunk_settle(chunk);
    }
    if (bulk != NULL) {
        rpc_region_unplace(bulk);
    }
}

void
rpc_bulk_on_msg(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, const void *body_bytes, const void *payload)
{
    struct rpc_bulk_here here;

    switch (head->kind) {
    case RPC_KIND_BULK_GET:
        rpc_region_on_get(conn, head, body);
        break;
    case RPC_KIND_BULK_DATA:
        on_data(conn, head, body, payload);
        break;
    case RPC_KIND_BULK_PUT:
        rpc_region_on_put(conn, head, body, payload);
        break;
    case RPC_KIND_BULK_HERE:
    case RPC_KIND_BULK_TAKE:
        if (rpc_bulk_here_decode(body_bytes, head->body_len, &here) != 0) {
            conn->ctx->stats.bad_crc_nr++;
            rpc_conn_close(conn);
        } else if (head->kind == RPC_KIND_BULK_HERE) {
            on_here(conn, head, body, &here);
        } else {
            rpc_region_on_take(conn, head, body, &here);
        }
        break;
    default:
        on_done(conn, body);
        break;
    }
}

void
rpc_bulk_msg_done(struct rpc_msg *msg)
{
    if (msg->bulk != NULL) {
        list_del(&msg->bulk_link);
    }
    if (msg->chunk != NULL) {
        msg->chunk->tx = NULL;
        chunk_settle(msg->chunk);
    }
    if (msg->is_bulk_data) {
        msg->conn->serving_nr--;
        rpc_region_gets_serve(msg->conn);
    }
}

void
rpc_bulk_conn_down(struct rpc_conn *conn)
{
    struct rpc_chunk *chunk, *tmp;

    LIST_FOREACH_SAFE(chunk, tmp, &conn->chunks, struct rpc_chunk, conn_link) {
        chunk_answer(chunk, CAIRN_ERR(UNREACH));
    }
}

void
rpc_bulk_stop(struct rpc_ctx *ctx)
{
    struct rpc_bulk_op *op;

    LIST_FOREACH(op, &ctx->bulk_ops, struct rpc_bulk_op, link) {
        ult_cond_signal(&op->cond);
    }
}

/* ---- pull and push -------------------------------------------------------------------------------------------------- */

/* Where the client may read the chunk. False: it must be sent. */
static bool
chunk_offer(struct rpc_chunk *chunk, struct rpc_bulk_here *here)
{
    const struct net_ops *ops = chunk->conn->net->ops;
    struct iov buf = {chunk->buf, chunk->len};

    if (ops->mem_offer(chunk->conn->net->net, &buf, &chunk->mem) != 0) {
        chunk->mem = NULL;
    } else if (ops->mem_where(chunk->mem, chunk->conn->peer, 0, here->where)) {
        here->crc = chunk->crc;
        return true;
    }
    mem_drop(chunk);
    chunk->is_direct = false;
    return false;
}

static int
chunk_send(struct rpc_chunk *chunk)
{
    struct rpc_bulk_op *op = chunk->op;
    struct rpc_conn *conn = chunk->conn;
    struct rpc_bulk_body body = {.xfer = chunk->xfer,
        .id = op->desc->id,
        .key = op->desc->key,
        .off = chunk->off,
        .len = chunk->len};
    struct rpc_head head = {.kind = op->is_push ? RPC_KIND_BULK_PUT : RPC_KIND_BULK_GET,
        .call = op->run->call,
        .hdr = {.dst_incarnation = op->run->hdr.src_incarnation, .hint_rank = RPC_RANK_NONE}};
    size_t body_len = RPC_BULK_BODY_BYTES;
    struct rpc_bulk_here here;
    struct rpc_msg *msg;

    if (op->is_push && chunk->is_direct && chunk_offer(chunk, &here)) {
        head.kind = RPC_KIND_BULK_TAKE;
        body_len = RPC_BULK_HERE_BYTES;
    }
    msg = rpc_msg_create(conn->ctx, body_len);
    if (msg == NULL)
        return CAIRN_ERR(NOMEM);
    rpc_bulk_body_encode(&body, rpc_msg_body(msg));
    switch (head.kind) {
    case RPC_KIND_BULK_TAKE:
        rpc_bulk_here_encode(&here, rpc_msg_body(msg));
        break;
    case RPC_KIND_BULK_PUT:
        head.payload_len = chunk->len;
        head.payload_crc = chunk->crc;
        msg->chunk = chunk;
        chunk->tx = msg;
        break;
    default:
        head.hdr.flags = (uint16_t)((chunk->is_direct ? RPC_FLAG_DIRECT : 0) |
            (op->is_whole ? RPC_FLAG_WHOLE : 0));
        break;
    }
    rpc_msg_seal(conn->ctx, msg, &head, body_len);
    if (head.kind == RPC_KIND_BULK_PUT) {
        msg->tx.payload = (struct iov){chunk->buf, chunk->len};
    }
    rpc_msg_send(conn, msg);
    return 0;
}

/* Where the asker said that its region lies, if that is the one and the part is in it (RPC-14); else NULL. */
static const uint8_t *
pull_hint(const struct rpc_bulk_op *op, uint64_t off, size_t len)
{
    const struct rpc_run *run = op->run;

    if (!op->is_whole || run->here.id == 0 || run->here.id != op->desc->id ||
        run->here.key != op->desc->key || run->conn == NULL || run->conn->is_direct_off)
        return NULL;
    if (!run->conn->net->ops->may_read_late || off > run->here.len || len > run->here.len - off)
        return NULL;
    return run->here.where;
}

/* There is room for one more in the window. */
static int
chunk_start(struct rpc_bulk_op *op, uint64_t off, uint8_t *buf, size_t len, uint32_t crc)
{
    struct rpc_conn *conn = op->run->conn;
    struct rpc_ctx *ctx = op->run->pub.ctx;
    struct rpc_chunk *chunk = op->chunks;
    const uint8_t *where = pull_hint(op, off, len);

    if (conn == NULL || conn->state != RPC_CONN_UP)
        return CAIRN_ERR(UNREACH);
    while (chunk->is_used) {
        chunk++;
    }
    CAIRN_ASSERT(chunk < op->chunks + RPC_BULK_WINDOW_NR);
    memset(chunk, 0, sizeof(*chunk));
    chunk->op = op;
    chunk->conn = conn;
    rpc_conn_ref(conn);
    chunk->xfer = ++ctx->xfer_last;
    chunk->off = off;
    chunk->buf = buf;
    chunk->len = (uint32_t)len;
    chunk->crc = crc;
    chunk->is_used = true;
    chunk->is_direct = conn->net->ops->read != NULL && chunk->len >= conn->net->ops->read_bytes_min &&
        (op->is_push ? op->is_take : !conn->is_direct_off);
    op->active_nr++;
    list_add_tail(&chunk->conn_link, &conn->chunks);
    hmap_insert(&ctx->chunks, &chunk->id_link, hash_mix64(chunk->xfer));
    if (where == NULL)
        return chunk_send(chunk);
    chunk->is_unsummed = true;
    chunk->is_hinted = true;
    chunk_read(chunk, where, off);
    return 0;
}

/* Give up what is in flight, and wait until no chunk's memory is touched any more (RPC-10). */
static void
op_drain(struct rpc_bulk_op *op)
{
    uint64_t drain_ns = rpc_now_ns(op->run->pub.ctx) + RPC_DRAIN_NS;

    for (uint32_t i = 0; i < RPC_BULK_WINDOW_NR; i++) {
        struct rpc_chunk *chunk = &op->chunks[i];

        if (!chunk->is_used)
            continue;
        chunk->is_answered = true;
        if (chunk->tx != NULL) {
            rpc_msg_cancel(chunk->tx); /* settles it, too */
        } else {
            chunk_settle(chunk);
        }
    }
    while (op->active_nr > 0) {
        if (ult_cond_wait_until(&op->cond, NULL, drain_ns) == 0)
            continue;
        CAIRN_PROBE("rpc.bulk.drain_closes");
        drain_ns = PLAT_NEVER_NS;
        for (uint32_t i = 0; i < RPC_BULK_WINDOW_NR; i++) {
            if (op->chunks[i].is_used) {
                rpc_conn_close(op->chunks[i].conn);
            }
        }
    }
}

static int
op_begin(struct rpc_bulk_op *op, struct rpc_req *req, const struct proto_bulk *desc, bool is_push)
{
    memset(op, 0, sizeof(*op));
    op->run = CAIRN_CONTAINER_OF(req, struct rpc_run, pub);
    op->desc = desc;
    op->is_push = is_push;
    op->is_take = is_push && (op->run->hdr.flags & RPC_FLAG_DIRECT) != 0;
    if (desc->id == 0)
        return CAIRN_ERR(INVAL);
    ult_cond_init(&op->cond);
    list_add_tail(&op->link, &req->ctx->bulk_ops);
    return 0;
}

/* Wait for a chunk to end, or for the reason to give up. */
static void
op_wait(struct rpc_bulk_op *op)
{
    struct rpc_ctx *ctx = op->run->pub.ctx;
    int rc = ult_cond_wait_until(&op->cond, NULL, op->run->pub.deadline_ns);

    if (op->rc != 0 || op->active_nr == 0)
        return;
    if (rc != 0 && rpc_now_ns(ctx) >= op->run->pub.deadline_ns) {
        op->rc = CAIRN_ERR(TIMEDOUT);
    } else if (ctx->is_stopping) {
        op->rc = CAIRN_ERR(SHUTDOWN);
    }
}

static int
op_part(struct rpc_bulk_op *op, uint64_t off, void *buf, size_t len, uint32_t crc)
{
    struct rpc_ctx *ctx = op->run->pub.ctx;

    if (op->rc != 0)
        return op->rc;
    if (off > op->desc->len || len > op->desc->len - off) {
        op->rc = CAIRN_ERR(INVAL);
    } else if (rpc_now_ns(ctx) >= op->run->pub.deadline_ns) {
        op->rc = CAIRN_ERR(TIMEDOUT);
    }
    while (op->rc == 0 && op->active_nr == RPC_BULK_WINDOW_NR) {
        op_wait(op);
    }
    if (op->rc == 0) {
        int rc = chunk_start(op, off, buf, len, crc);

        if (rc != 0 && op->rc == 0) {
            op->rc = rc;
        }
        if (op->rc == 0 && ctx->is_stopping) {
            op->rc = CAIRN_ERR(SHUTDOWN);
        }
    }
    return op->rc;
}

static int
op_flush(struct rpc_bulk_op *op)
{
    while (op->rc == 0 && op->active_nr > 0) {
        op_wait(op);
    }
    op_drain(op);
    return op->rc;
}

/* What to do with it all. */
struct bulk_how {
    bool is_push, is_whole;
    rpc_landed_fn landed;
    void *arg;
};

static int
bulk_move(struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, void *buf, size_t len,
    const struct bulk_how *how)
{
    struct rpc_bulk_op op;
    bool is_push = how->is_push;
    uint8_t *at = buf;
    size_t n_max;
    int rc;

    if (desc->id == 0 || off > desc->len || len > desc->len - off)
        return CAIRN_ERR(INVAL);
    if (len == 0)
        return 0;
    rc = op_begin(&op, req, desc, is_push);
    op.is_whole = how->is_whole;
    op.landed = how->landed;
    op.landed_arg = how->arg;
    op.buf = buf;
    n_max = pull_hint(&op, off, len) != NULL ? RPC_BULK_PART_BYTES : RPC_BULK_CHUNK_BYTES;
    while (rc == 0 && len > 0) {
        size_t n = MIN(len, n_max);

        rc = op_part(&op, off, at, n, is_push ? crc32c(0, at, n) : 0);
        off += n;
        at += n;
        len -= n;
    }
    rc = op_flush(&op);
    list_del(&op.link);
    return rc;
}

int
rpc_bulk_pull(struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, void *buf, size_t len)
{
    return bulk_move(req, desc, off, buf, len, &(struct bulk_how){.is_push = false});
}

int
rpc_bulk_pull_whole(struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, void *buf,
    size_t len, rpc_landed_fn landed, void *arg)
{
    return bulk_move(req, desc, off, buf, len,
        &(struct bulk_how){.is_whole = true, .landed = landed, .arg = arg});
}

int
rpc_bulk_push(
    struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, const void *buf, size_t len)
{
    return bulk_move(
        req, desc, off, (void *)(uintptr_t)buf, len, &(struct bulk_how){.is_push = true});
}

/* ---- pushes in parts ------------------------------------------------------------------------------------------------ */

struct rpc_push {
    struct rpc_bulk_op op;
};

int
rpc_push_begin(struct rpc_req *req, const struct proto_bulk *desc, struct rpc_push **ret_push)
{
    struct rpc_push *push = arena_alloc(req->arena, sizeof(*push));
    int rc = push == NULL ? CAIRN_ERR(NOMEM) : op_begin(&push->op, req, desc, true);

    if (rc == 0)
        *ret_push = push;
    return rc;
}

int
rpc_push_part(struct rpc_push *push, uint64_t off, const void *buf, size_t len, uint32_t crc)
{
    CAIRN_ASSERT(len > 0 && len <= RPC_PUSH_PART_BYTES_MAX);
    return op_part(&push->op, off, (void *)(uintptr_t)buf, len, crc);
}

size_t
rpc_push_part_best(const struct rpc_push *push)
{
    const struct rpc_conn *conn = push->op.run->conn;

    return push->op.is_take && conn != NULL && conn->net->ops->may_read_late ? RPC_PUSH_PART_BYTES_MAX
                                                                             : RPC_BULK_CHUNK_BYTES;
}

/* Is all that is under way for the client to read? */
static bool
push_is_all_take(const struct rpc_push *push)
{
    const struct rpc_bulk_op *op = &push->op;

    for (uint32_t i = 0; i < RPC_BULK_WINDOW_NR; i++) {
        if (op->chunks[i].is_used && !op->chunks[i].is_direct)
            return false;
    }
    return op->rc == 0 && op->active_nr > 0;
}

void
rpc_push_reply(struct rpc_push *push, const void *rep)
{
    struct rpc_run *run = push->op.run;
    uint64_t hlc;

    if ((run->hdr.flags & RPC_FLAG_EARLY) == 0 || run->is_in_dups || !push_is_all_take(push))
        return;
    hlc = rpc_hlc(run->pub.ctx); /* may yield */
    if (push_is_all_take(push) && !run->is_replied)
        rpc_serve_reply_early(run, rep, hlc);
}

int
rpc_push_flush(struct rpc_push *push)
{
    return op_flush(&push->op);
}

int
rpc_push_end(struct rpc_push *push)
{
    int rc = 0;

    if (push != NULL) {
        rc = op_flush(&push->op);
        list_del(&push->op.link);
    }
    return rc;
}
