/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client's side of bulk: regions, what servers ask of them and put into them (rpc_bulk.c has the picture).
 *
 *   RPC-11 A client serves RPC_BULK_SERVE_NR_MAX chunks to one connection at a time; at most RPC_INFLIGHT_NR_MAX * RPC_BULK_WINDOW_NR more may
 *          wait, and be read by itself, which is all that an honest server can have asked for. The region is looked up when a chunk's turn comes.
 *   RPC-9  A region is given back only when nothing is being received or read into it (rpc_priv.h).
 *
 * Tested by rpc_suite_test and, with servers that lie, rpc_hostile_test.
 */
#include <stdlib.h>

#include "base/crc.h"
#include "rpc/rpc_priv.h"

enum { GETS_NR_MAX = RPC_INFLIGHT_NR_MAX * RPC_BULK_WINDOW_NR };

/* ---- regions -------------------------------------------------------------------------------------------------------- */

int
rpc_bulk_create(struct rpc_ctx *ctx, const struct sgl *sgl, uint32_t perm, struct rpc_bulk **ret_bulk)
{
    struct rpc_bulk *bulk = calloc(1, sizeof(*bulk) + sgl->iov_nr * sizeof(struct iov));

    CAIRN_ASSERT((perm & ~(uint32_t)(RPC_BULK_READ | RPC_BULK_WRITE)) == 0);
    if (bulk == NULL)
        return CAIRN_ERR(NOMEM);
    bulk->ctx = ctx;
    bulk->id = ++ctx->bulk_id_last;
    ctx->plat->ops->random(ctx->plat, &bulk->key, sizeof(bulk->key));
    bulk->perm = perm;
    if (sgl->iov_nr > 0) {
        memcpy(bulk->iovs, sgl->iovs, sgl->iov_nr * sizeof(struct iov));
    }
    bulk->sgl = (struct sgl){sgl->iov_nr, bulk->iovs};
    bulk->len = sgl_bytes(sgl);
    list_init(&bulk->msgs);
    list_init(&bulk->mems);
    list_init(&bulk->takes);
    ult_cond_init(&bulk->drained);
    list_add_tail(&bulk->link, &ctx->bulks);
    hmap_insert(&ctx->bulks_by_id, &bulk->id_link, hash_mix64(bulk->id));
    *ret_bulk = bulk;
    return 0;
}

void
rpc_bulk_desc(const struct rpc_bulk *bulk, struct proto_bulk *ret_desc)
{
    *ret_desc = (struct proto_bulk){.id = bulk->id, .key = bulk->key, .len = bulk->len};
}

uint64_t
rpc_bulk_written(const struct rpc_bulk *bulk)
{
    return bulk->written_bytes;
}

/* Something of it is going to be written. */
static void
arrived_drop(struct rpc_bulk *bulk, uint64_t off, uint64_t len)
{
    for (uint32_t i = 0; i < bulk->arrived_nr;) {
        struct rpc_arrived *a = &bulk->arrived[i];

        if (a->off < off + len && off < a->off + a->len) {
            *a = bulk->arrived[--bulk->arrived_nr];
        } else {
            i++;
        }
    }
}

/* Neighbours become one: chunks may come in any order. */
static void
arrived_add(struct rpc_bulk *bulk, uint64_t off, uint64_t len, uint32_t crc)
{
    struct rpc_arrived new = {off, len, crc};

    for (uint32_t i = 0; i < bulk->arrived_nr;) {
        struct rpc_arrived *a = &bulk->arrived[i];

        if (a->off + a->len == new.off) {
            new = (struct rpc_arrived){
                a->off, a->len + new.len, crc32c_combine(a->crc, new.crc, new.len)};
        } else if (new.off + new.len == a->off) {
            new.crc = crc32c_combine(new.crc, a->crc, a->len);
            new.len += a->len;
        } else {
            i++;
            continue;
        }
        *a = bulk->arrived[--bulk->arrived_nr];
        i = 0;
    }
    if (bulk->arrived_nr < RPC_ARRIVED_NR)
        bulk->arrived[bulk->arrived_nr++] = new;
}

bool
rpc_bulk_arrived(const struct rpc_bulk *bulk, uint64_t off, uint64_t len, uint32_t *ret_crc)
{
    CAIRN_ASSERT(bulk->is_closed);
    for (uint32_t i = 0; i < bulk->arrived_nr; i++) {
        if (bulk->arrived[i].off == off && bulk->arrived[i].len == len) {
            *ret_crc = bulk->arrived[i].crc;
            return true;
        }
    }
    return false;
}

/* Tell the server that what it asked for will not come, or that what it sent is there. */
static void
done_send(struct rpc_conn *conn, uint64_t call, uint64_t xfer, int rc)
{
    struct rpc_ctx *ctx = conn->ctx;
    struct rpc_bulk_body body = {.xfer = xfer, .rc = rc};
    struct rpc_head head = {.kind = RPC_KIND_BULK_DONE,
        .call = call,
        .hdr = {.dst_incarnation = conn->peer_incarnation, .hint_rank = RPC_RANK_NONE}};
    struct rpc_msg *msg = rpc_msg_create(ctx, RPC_BULK_BODY_BYTES);

    if (msg == NULL) {
        rpc_conn_close(conn);
        return;
    }
    rpc_bulk_body_encode(&body, rpc_msg_body(msg));
    rpc_msg_seal(ctx, msg, &head, RPC_BULK_BODY_BYTES);
    rpc_msg_send(conn, msg);
}

static void
placed_close(struct rpc_bulk *bulk)
{
    struct rpc_conn *conn, *tmp;
    struct rpc_take *take, *tmp_take;

    LIST_FOREACH_SAFE(conn, tmp, &bulk->ctx->conns, struct rpc_conn, link) {
        if (conn->placed.bulk == bulk) {
            rpc_conn_close(conn);
        }
    }
    LIST_FOREACH_SAFE(take, tmp_take, &bulk->takes, struct rpc_take, link) {
        rpc_conn_close(take->conn);
    }
}

void
rpc_bulk_close(struct rpc_bulk *bulk)
{
    uint64_t drain_ns;

    if (bulk->is_closed)
        return;
    bulk->is_closed = true;
    hmap_remove(&bulk->ctx->bulks_by_id, &bulk->id_link); /* nothing new from here on */
    while (!list_empty(&bulk->msgs)) {
        struct rpc_msg *msg = LIST_FIRST(&bulk->msgs, struct rpc_msg, bulk_link);
        struct rpc_conn *conn = msg->conn;
        uint64_t call = msg->call;
        uint64_t xfer = msg->xfer;

        CAIRN_PROBE("rpc.bulk.free_cancels");
        rpc_conn_ref(conn);
        rpc_msg_cancel(msg);
        done_send(conn, call, xfer, CAIRN_ERR(UNREACH));
        rpc_conn_put(conn);
    }
    while (!list_empty(&bulk->mems)) {
        struct rpc_mem *mem = LIST_FIRST(&bulk->mems, struct rpc_mem, link);

        mem->net->ops->mem_revoke(mem->mem);
        list_del(&mem->link);
        free(mem);
    }
    drain_ns = rpc_now_ns(bulk->ctx) + RPC_DRAIN_NS;
    while (bulk->placed_nr > 0) { /* RPC-9 */
        CAIRN_PROBE("rpc.bulk.free_waits");
        if (ult_cond_wait_until(&bulk->drained, NULL, drain_ns) != 0) {
            CAIRN_PROBE("rpc.bulk.free_closes");
            placed_close(bulk);
            drain_ns = PLAT_NEVER_NS;
        }
    }
}

void
rpc_bulk_free(struct rpc_bulk *bulk)
{
    if (bulk == NULL)
        return;
    rpc_bulk_close(bulk);
    list_del(&bulk->link);
    if (bulk->ctx->is_stopping) {
        ult_cond_broadcast(&bulk->ctx->idle);
    }
    free(bulk);
}

/* The region that a bulk message names, if all is right with it. A region or call that is gone: UNREACH. */
static int
region_check(struct rpc_conn *conn, const struct rpc_head *head, const struct rpc_bulk_body *body,
    enum rpc_bulk_perm perm, struct rpc_bulk **ret_bulk)
{
    struct rpc_bulk *bulk;

    if (rpc_call_find(conn, head->call) == NULL) /* RPC-4 */
        return CAIRN_ERR(UNREACH);
    HMAP_FOREACH_HASH(bulk, &conn->ctx->bulks_by_id, hash_mix64(body->id), struct rpc_bulk, id_link) {
        if (bulk->id == body->id)
            break;
    }
    if (bulk == NULL)
        return CAIRN_ERR(UNREACH);
    if (bulk->key != body->key || (bulk->perm & perm) == 0)
        return CAIRN_ERR(INVAL);
    if (body->len == 0 || body->len > RPC_PUSH_PART_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    if (body->off > bulk->len || body->len > bulk->len - body->off)
        return CAIRN_ERR(INVAL);
    *ret_bulk = bulk;
    return 0;
}

/* Where the part of a region lies when it lies in one piece, else NULL. */
static uint8_t *
region_piece(const struct rpc_bulk *bulk, uint64_t off, uint32_t len)
{
    struct iov piece;
    struct sgl slice;

    if (sgl_slice(&bulk->sgl, off, len, &piece, 1, &slice) < len)
        return NULL;
    return slice.iov_nr == 1 ? slice.iovs[0].buf : NULL;
}

bool
rpc_region_place(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, size_t payload_len, struct iov *ret_dst)
{
    struct rpc_bulk *bulk;
    uint8_t *dst;

    if (body->len != payload_len || region_check(conn, head, body, RPC_BULK_WRITE, &bulk) != 0)
        return false;
    dst = region_piece(bulk, body->off, body->len);
    if (dst == NULL)
        return false;
    bulk->placed_nr++;
    arrived_drop(bulk, body->off, body->len);
    bulk->written_bytes += payload_len;
    conn->placed.bulk = bulk;
    *ret_dst = (struct iov){dst, payload_len};
    return true;
}

void
rpc_region_unplace(struct rpc_bulk *bulk)
{
    if (--bulk->placed_nr == 0) {
        ult_cond_broadcast(&bulk->drained);
    }
}

/* The memory that holds this piece of a region, offered on the connection's backend. NULL: it cannot be. */
static struct rpc_mem *
region_mem(struct rpc_conn *conn, struct rpc_bulk *bulk, const uint8_t *piece, uint32_t len)
{
    struct rpc_mem *mem;

    LIST_FOREACH(mem, &bulk->mems, struct rpc_mem, link) {
        const uint8_t *base = mem->buf.buf;

        if (mem->net == conn->net && piece >= base && piece + len <= base + mem->buf.len)
            return mem;
    }
    for (uint32_t i = 0; i < bulk->sgl.iov_nr; i++) {
        const uint8_t *base = bulk->iovs[i].buf;

        if (piece < base || piece + len > base + bulk->iovs[i].len)
            continue;
        mem = calloc(1, sizeof(*mem));
        if (mem == NULL)
            return NULL;
        mem->net = conn->net;
        mem->buf = bulk->iovs[i];
        if (conn->net->ops->mem_offer(conn->net->net, &mem->buf, &mem->mem) != 0) {
            free(mem);
            return NULL;
        }
        list_add_tail(&mem->link, &bulk->mems);
        return mem;
    }
    return NULL;
}

/* ---- what servers ask ---------------------------------------------------------------------------------------------- */

/* Tell where this part lies. False: that cannot be. */
static bool
here_send(struct rpc_conn *conn, uint64_t call, const struct rpc_bulk_body *body, bool is_whole,
    struct rpc_bulk *bulk, const uint8_t *piece)
{
    const struct net_ops *ops = conn->net->ops;
    struct rpc_head head = {.kind = RPC_KIND_BULK_HERE,
        .call = call,
        .hdr = {.flags = is_whole ? RPC_FLAG_WHOLE : 0,
            .dst_incarnation = conn->peer_incarnation,
            .hint_rank = RPC_RANK_NONE}};
    struct rpc_bulk_here here = {.crc = 0};
    struct rpc_mem *mem;
    struct rpc_msg *msg;

    if (piece == NULL || ops->mem_offer == NULL)
        return false;
    mem = region_mem(conn, bulk, piece, body->len);
    if (mem == NULL ||
        !ops->mem_where(mem->mem, conn->peer, (size_t)(piece - (uint8_t *)mem->buf.buf), here.where))
        return false;
    msg = rpc_msg_create(conn->ctx, RPC_BULK_HERE_BYTES);
    if (msg == NULL)
        return false;
    if (!is_whole) {
        here.crc = crc32c(0, piece, body->len);
    }
    rpc_bulk_body_encode(body, rpc_msg_body(msg));
    rpc_bulk_here_encode(&here, rpc_msg_body(msg));
    rpc_msg_seal(conn->ctx, msg, &head, RPC_BULK_HERE_BYTES);
    rpc_msg_send(conn, msg);
    return true;
}

void
rpc_region_here_send(struct rpc_bulk *bulk, struct rpc_conn *conn, uint64_t call)
{
    struct rpc_bulk_body body = {
        .id = bulk->id, .key = bulk->key, .off = 0, .len = (uint32_t)bulk->len};

    if (!conn->net->ops->may_read_late || (bulk->perm & RPC_BULK_READ) == 0 ||
        bulk->len < conn->net->ops->read_bytes_min || bulk->len > UINT32_MAX)
        return;
    CAIRN_IGNORE(here_send(conn, call, &body, true, bulk, region_piece(bulk, 0, body.len)));
}

static int
get_serve(struct rpc_conn *conn, const struct rpc_get *get)
{
    struct rpc_ctx *ctx = conn->ctx;
    const struct rpc_bulk_body *body = &get->body;
    struct rpc_head head = {.kind = RPC_KIND_BULK_DATA,
        .call = get->call,
        .payload_len = body->len,
        .hdr = {.dst_incarnation = conn->peer_incarnation, .hint_rank = RPC_RANK_NONE}};
    struct rpc_bulk *bulk;
    struct rpc_msg *msg;
    uint8_t *data;
    int rc = region_check(conn, &head, body, RPC_BULK_READ, &bulk);

    if (rc != 0)
        return rc;
    data = region_piece(bulk, body->off, body->len);
    if (get->is_direct && here_send(conn, get->call, body, get->is_whole, bulk, data))
        return 0;
    msg = rpc_msg_create(ctx, RPC_BULK_BODY_BYTES);
    if (msg == NULL)
        return CAIRN_ERR(NOMEM);
    rpc_bulk_body_encode(body, rpc_msg_body(msg));
    if (data == NULL) { /* in several pieces: gathered */
        data = malloc(body->len);
        if (data == NULL) {
            rpc_msg_free(msg);
            return CAIRN_ERR(NOMEM);
        }
        sgl_copy_out(&bulk->sgl, body->off, data, body->len);
    } else {
        msg->bulk = bulk;
        msg->call = get->call;
        msg->xfer = body->xfer;
        list_add_tail(&msg->bulk_link, &bulk->msgs);
    }
    if (get->is_whole) {
        head.hdr.flags = RPC_FLAG_WHOLE;
    } else {
        head.payload_crc = crc32c(0, data, body->len);
    }
    rpc_msg_seal(ctx, msg, &head, RPC_BULK_BODY_BYTES);
    if (msg->bulk == NULL) {
        msg->payload_copy = data;
    }
    msg->tx.payload = (struct iov){data, body->len};
    msg->is_bulk_data = true;
    conn->serving_nr++;
    rpc_msg_send(conn, msg);
    return 0;
}

void
rpc_region_gets_serve(struct rpc_conn *conn)
{
    while (conn->state == RPC_CONN_UP && conn->serving_nr < RPC_BULK_SERVE_NR_MAX &&
        !list_empty(&conn->gets)) {
        struct rpc_get *get = LIST_FIRST(&conn->gets, struct rpc_get, link);
        int rc;

        list_del(&get->link);
        conn->gets_nr--;
        rc = get_serve(conn, get);
        if (rc != 0) {
            done_send(conn, get->call, get->body.xfer, rc);
        }
        free(get);
    }
}

void
rpc_region_on_get(struct rpc_conn *conn, const struct rpc_head *head, const struct rpc_bulk_body *body)
{
    struct rpc_get *get = conn->gets_nr < GETS_NR_MAX ? malloc(sizeof(*get)) : NULL;

    if (get == NULL) { /* RPC-11 */
        rpc_conn_close(conn);
        return;
    }
    get->call = head->call;
    get->is_direct = (head->hdr.flags & RPC_FLAG_DIRECT) != 0;
    get->is_whole = (head->hdr.flags & RPC_FLAG_WHOLE) != 0;
    get->body = *body;
    list_add_tail(&get->link, &conn->gets);
    conn->gets_nr++;
    rpc_region_gets_serve(conn);
}

/* ---- parts that the client reads ------------------------------------------------------------------------------------ */

static void
take_free(struct rpc_take *take)
{
    list_del(&take->call_link);
    take->conn->takes_nr--;
    rpc_conn_put(take->conn);
    free(take);
}

void
rpc_region_call_end(struct rpc_call *call)
{
    struct rpc_take *take, *tmp;

    LIST_FOREACH_SAFE(take, tmp, &call->takes, struct rpc_take, call_link) {
        take->owner = NULL;
        list_del(&take->call_link);
        if (take->bulk == NULL)
            take_free(take);
    }
}

/* This part has come as a PUT instead, or has failed for good. */
static void
owed_end(struct rpc_conn *conn, uint64_t id, uint64_t xfer, int rc)
{
    struct rpc_call *call = rpc_call_find(conn, id);
    struct rpc_take *take;

    if (call == NULL)
        return;
    LIST_FOREACH(take, &call->takes, struct rpc_take, call_link) {
        if (take->bulk == NULL && take->body.xfer == xfer) {
            if (rc != 0 && call->take_rc == 0)
                call->take_rc = rc;
            take_free(take);
            rpc_call_taken(call);
            return;
        }
    }
}

void
rpc_region_on_put(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, const void *payload)
{
    struct rpc_bulk *bulk;
    int rc = region_check(conn, head, body, RPC_BULK_WRITE, &bulk);

    if (rc == 0 && (payload == NULL || head->payload_len != body->len)) {
        rc = CAIRN_ERR(INVAL);
    }
    if (rc == 0 && crc32c(0, payload, body->len) != head->payload_crc) {
        rc = CAIRN_ERR(CSUM);
    }
    if (rc == 0 && payload != region_piece(bulk, body->off, body->len)) {
        bulk->written_bytes += body->len;
        arrived_drop(bulk, body->off, body->len);
        sgl_copy_in(&bulk->sgl, body->off, payload, body->len);
    }
    if (rc == 0) {
        arrived_add(bulk, body->off, body->len, head->payload_crc);
    }
    done_send(conn, head->call, body->xfer, rc);
    owed_end(conn, head->call, body->xfer, rc);
}

static void
on_taken(struct net_read *rd, int rc)
{
    struct rpc_take *take = CAIRN_CONTAINER_OF(rd, struct rpc_take, rd);
    struct rpc_bulk *bulk = take->bulk;
    struct rpc_conn *conn = take->conn;
    struct rpc_call *call = take->owner;

    if (rc == -DER_NO_PERM) {
        conn->is_direct_off = true;
    }
    if (rc == 0 && crc32c(0, rd->dst.buf, rd->dst.len) != take->crc) {
        rc = CAIRN_ERR(CSUM);
    }
    if (rc == 0) {
        conn->ctx->stats.direct_bytes += rd->dst.len;
        arrived_add(bulk, take->body.off, take->body.len, take->crc);
    } else {
        CAIRN_PROBE("rpc.bulk.take_failed");
        conn->ctx->stats.direct_failed_nr++;
    }
    if (conn->state == RPC_CONN_UP) {
        done_send(conn, take->call, take->body.xfer, rc);
    }
    list_del(&take->link);
    take->bulk = NULL;
    rpc_region_unplace(bulk);
    if (rc == 0 || call == NULL)
        take_free(take);
    if (call != NULL)
        rpc_call_taken(call);
}

/* 0 or an error after which the part is still owed: the server sends it. */
static int
take_start(struct rpc_take *take, struct rpc_bulk *bulk, const struct rpc_bulk_here *here)
{
    struct rpc_conn *conn = take->conn;
    const struct rpc_bulk_body *body = &take->body;
    uint8_t *dst = region_piece(bulk, body->off, body->len);
    int rc;

    if (dst == NULL || conn->net->ops->read == NULL || conn->is_direct_off)
        return CAIRN_ERR(NOSYS);
    take->crc = here->crc;
    take->rd.dst = (struct iov){dst, body->len};
    take->rd.done = on_taken;
    rc = conn->net->ops->read(conn->peer, &take->rd, here->where);
    if (rc != 0) {
        conn->is_direct_off = conn->is_direct_off || rc == -DER_NOSYS;
        return rc;
    }
    take->bulk = bulk;
    list_add_tail(&take->link, &bulk->takes);
    bulk->placed_nr++;
    bulk->written_bytes += body->len;
    arrived_drop(bulk, body->off, body->len);
    return 0;
}

void
rpc_region_on_take(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, const struct rpc_bulk_here *here)
{
    struct rpc_take *take;
    struct rpc_bulk *bulk;
    int rc;

    take = conn->takes_nr < GETS_NR_MAX ? calloc(1, sizeof(*take)) : NULL;
    if (take == NULL) { /* RPC-11 */
        rpc_conn_close(conn);
        return;
    }
    rc = region_check(conn, head, body, RPC_BULK_WRITE, &bulk);
    if (rc != 0) {
        struct rpc_call *call = rpc_call_find(conn, head->call);

        free(take);
        done_send(conn, head->call, body->xfer, rc);
        if (call != NULL && call->take_rc == 0)
            call->take_rc = rc;
        return;
    }
    take->conn = conn;
    take->owner = rpc_call_find(conn, head->call);
    take->call = head->call;
    take->body = *body;
    list_init(&take->link);
    list_add_tail(&take->call_link, &take->owner->takes);
    rpc_conn_ref(conn);
    conn->takes_nr++;
    rc = take_start(take, bulk, here);
    if (rc != 0)
        done_send(conn, head->call, body->xfer, rc);
}
