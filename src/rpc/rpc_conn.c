/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Connections of a context and the messages on them: opening on demand, one per endpoint; sending with a backlog where the transport has
 * no room; checking and handing out what arrives; telling everybody when a connection is gone (RPC-8).
 */
#include <stdlib.h>

#include "base/crc.h"
#include "rpc/rpc_priv.h"

/* ---- messages out --------------------------------------------------------------------------------------------------- */

struct rpc_msg *
rpc_msg_create(struct rpc_ctx *ctx, size_t body_len)
{
    bool is_outside = body_len > NET_HDR_BYTES_MAX - RPC_HEAD_BYTES;
    size_t head_len = RPC_HEAD_BYTES + (is_outside ? 0 : body_len);
    struct rpc_msg *msg = malloc(sizeof(*msg) + head_len);

    if (msg == NULL)
        return NULL;
    memset(msg, 0, sizeof(*msg));
    msg->ctx = ctx;
    msg->head_len = head_len;
    if (is_outside) {
        msg->payload_copy = malloc(body_len);
        if (msg->payload_copy == NULL) {
            free(msg);
            return NULL;
        }
    }
    list_add_tail(&msg->link, &ctx->msgs);
    ctx->msgs_nr++;
    list_init(&msg->backlog_link);
    list_init(&msg->bulk_link);
    return msg;
}

void *
rpc_msg_body(struct rpc_msg *msg)
{
    return msg->payload_copy != NULL ? msg->payload_copy : msg->head + RPC_HEAD_BYTES;
}

void
rpc_msg_seal(struct rpc_ctx *ctx, struct rpc_msg *msg, struct rpc_head *head, size_t body_len)
{
    head->ver_lo = RPC_VER_LO;
    head->ver_hi = RPC_VER_HI;
    head->ver = RPC_VER_HI;
    head->features = RPC_FEATURES_KNOWN;
    head->hdr.system = ctx->opts.system;
    head->hdr.src_rank = ctx->opts.rank;
    head->hdr.src_incarnation = ctx->opts.incarnation;
    head->body_len = (uint32_t)body_len;
    head->body_crc = crc32c(0, rpc_msg_body(msg), body_len);
    if (body_len > NET_HDR_BYTES_MAX - RPC_HEAD_BYTES) {
        head->hdr.flags |= RPC_FLAG_BODY_OUTSIDE;
        head->payload_len = head->body_len;
        head->payload_crc = head->body_crc;
        msg->tx.payload = (struct iov){msg->payload_copy, body_len};
    }
    rpc_head_encode(head, msg->head);
    msg->tx.head = (struct iov){msg->head, msg->head_len};
}

void
rpc_msg_free(struct rpc_msg *msg)
{
    struct rpc_ctx *ctx = msg->ctx;
    struct rpc_conn *conn = msg->conn;

    if (!list_empty(&msg->backlog_link)) {
        list_del(&msg->backlog_link);
        conn->backlog_nr--;
    }
    list_del(&msg->link);
    ctx->msgs_nr--;
    rpc_bulk_msg_done(msg);
    free(msg->payload_copy);
    free(msg);
    rpc_conn_put(conn);
    if (ctx->is_stopping && ctx->msgs_nr == 0) {
        ult_cond_broadcast(&ctx->idle);
    }
}

static void backlog_drain(struct rpc_conn *conn);

static void
on_tx_done(struct net_tx *tx, int rc)
{
    struct rpc_msg *msg = CAIRN_CONTAINER_OF(tx, struct rpc_msg, tx);
    struct rpc_conn *conn = msg->conn;

    (void)rc; /* an error is followed by down() */
    rpc_conn_ref(conn);
    rpc_msg_free(msg);
    backlog_drain(conn);
    rpc_conn_put(conn);
}

/* 0, or BUSY: later. On other errors the connection ends, and the message with it. */
static int
msg_hand_over(struct rpc_conn *conn, struct rpc_msg *msg)
{
    int rc;

    msg->tx.done = on_tx_done;
    msg->tx.arg = msg;
    msg->is_handed = true;
    rc = conn->net->ops->send(conn->peer, &msg->tx);
    if (rc == 0)
        return 0;
    msg->is_handed = false;
    if (rc != -DER_BUSY) {
        rpc_conn_close(conn);
    }
    return rc;
}

static void
backlog_drain(struct rpc_conn *conn)
{
    while (conn->state == RPC_CONN_UP && !list_empty(&conn->backlog)) {
        struct rpc_msg *msg = LIST_FIRST(&conn->backlog, struct rpc_msg, backlog_link);
        int rc = msg_hand_over(conn, msg);

        if (rc == -DER_BUSY)
            return;
        list_del(&msg->backlog_link);
        conn->backlog_nr--;
        if (rc != 0) {
            rpc_msg_free(msg);
        }
    }
}

void
rpc_msg_send(struct rpc_conn *conn, struct rpc_msg *msg)
{
    int rc = -DER_UNREACH;

    rpc_conn_ref(conn);
    msg->conn = conn;
    if (conn->state == RPC_CONN_UP) {
        rc = list_empty(&conn->backlog) ? msg_hand_over(conn, msg) : -DER_BUSY;
    }
    if (rc == 0)
        return;
    if (rc == -DER_BUSY && conn->backlog_nr < conn->ctx->opts.backlog_nr_max) {
        CAIRN_PROBE("rpc.conn.backlog");
        list_add_tail(&msg->backlog_link, &conn->backlog);
        conn->backlog_nr++;
        return;
    }
    if (rc == -DER_BUSY) { /* it does not read (RPC-5) */
        CAIRN_PROBE("rpc.conn.backlog_full");
        rpc_conn_close(conn);
    }
    rpc_msg_free(msg);
}

void
rpc_msg_cancel(struct rpc_msg *msg)
{
    struct rpc_conn *conn = msg->conn;

    if (msg->is_handed) {
        conn->net->ops->tx_cancel(conn->peer, &msg->tx);
    } else {
        rpc_msg_free(msg);
    }
}

/* ---- life of a connection ------------------------------------------------------------------------------------------- */

static struct rpc_conn *
conn_create(struct rpc_net *net, struct net_peer *peer)
{
    struct rpc_ctx *ctx = net->ctx;
    struct rpc_conn *conn = calloc(1, sizeof(*conn));

    if (conn == NULL)
        return NULL;
    conn->ctx = ctx;
    conn->net = net;
    conn->peer = peer;
    conn->state = RPC_CONN_UP;
    conn->refs_nr = 1;
    list_init(&conn->calls);
    list_init(&conn->reqs);
    for (int cls = 0; cls < ULT_CLASS_NR; cls++) {
        rpc_turn_init(&conn->turns[cls]);
    }
    list_init(&conn->chunks);
    list_init(&conn->backlog);
    list_init(&conn->gets);
    ult_cond_init(&conn->credit);
    list_add_tail(&conn->link, &ctx->conns);
    ctx->conns_nr++;
    net->ops->peer_arg_set(peer, conn);
    return conn;
}

static void
gets_free(struct rpc_conn *conn)
{
    while (!list_empty(&conn->gets)) {
        struct rpc_get *get = LIST_FIRST(&conn->gets, struct rpc_get, link);

        list_del(&get->link);
        free(get);
    }
}

void
rpc_conn_put(struct rpc_conn *conn)
{
    if (conn == NULL || --conn->refs_nr > 0)
        return;
    CAIRN_ASSERT(conn->state == RPC_CONN_DOWN);
    CAIRN_ASSERT(list_empty(&conn->calls));
    CAIRN_ASSERT(list_empty(&conn->chunks));
    CAIRN_ASSERT(list_empty(&conn->backlog));
    gets_free(conn);
    free(conn);
}

void
rpc_conn_abandon(struct rpc_conn *conn)
{
    gets_free(conn);
    free(conn);
}

static void
conn_leave_ep(struct rpc_conn *conn)
{
    if (conn->ent != NULL) {
        conn->ent->conn = NULL;
        conn->ent = NULL;
    }
}

void
rpc_conn_close(struct rpc_conn *conn)
{
    if (conn->state != RPC_CONN_UP)
        return;
    conn->state = RPC_CONN_CLOSING;
    conn_leave_ep(conn);
    conn->net->ops->disconnect(conn->peer);
}

static void
conn_down(struct rpc_conn *conn)
{
    struct rpc_ctx *ctx = conn->ctx;
    struct rpc_call *call, *tmp;

    CAIRN_ASSERT(conn->state != RPC_CONN_DOWN);
    conn->state = RPC_CONN_DOWN;
    conn_leave_ep(conn);
    list_del(&conn->link);
    ctx->conns_nr--;
    ctx->stats.down_nr++;
    rpc_bulk_unplace(conn);
    while (!list_empty(&conn->backlog)) {
        rpc_msg_free(LIST_FIRST(&conn->backlog, struct rpc_msg, backlog_link));
    }
    LIST_FOREACH_SAFE(call, tmp, &conn->calls, struct rpc_call, conn_link) {
        rpc_call_end(call, ctx->is_stopping ? CAIRN_ERR(SHUTDOWN) : CAIRN_ERR(UNREACH));
    }
    ult_cond_broadcast(&conn->credit);
    rpc_bulk_conn_down(conn);
    rpc_serve_conn_down(conn);
    conn->net->ops->peer_put(conn->peer);
    conn->peer = NULL;
    if (ctx->is_stopping) {
        ult_cond_broadcast(&ctx->idle);
    }
    rpc_conn_put(conn);
}

/* ---- endpoints ------------------------------------------------------------------------------------------------------ */

static uint64_t
ep_hash(struct rpc_ep ep)
{
    return hash_mix64((uint64_t)ep.rank << 32 | ep.tag);
}

static struct rpc_ep_ent *
ep_find(struct rpc_ctx *ctx, struct rpc_ep ep)
{
    struct rpc_ep_ent *ent;

    HMAP_FOREACH_HASH(ent, &ctx->eps, ep_hash(ep), struct rpc_ep_ent, link) {
        if (ent->ep.rank == ep.rank && ent->ep.tag == ep.tag)
            break;
    }
    return ent;
}

static struct rpc_ep_ent *
ep_add(struct rpc_ctx *ctx, struct rpc_ep ep)
{
    struct rpc_ep_ent *ent;

    if (ctx->eps.nr >= RPC_EPS_NR_MAX)
        return NULL;
    ent = calloc(1, sizeof(*ent));
    if (ent == NULL)
        return NULL;
    ent->ep = ep;
    hmap_insert(&ctx->eps, &ent->link, ep_hash(ep));
    return ent;
}

/* The context's endpoint on the backend of this URI, opened for use as a client where there is none. */
static int
net_for_uri(struct rpc_ctx *ctx, const char *uri, struct rpc_net **ret_net)
{
    const struct net_ops *ops = ctx->plat->ops->net(ctx->plat, uri);
    struct rpc_net *net;
    int rc;

    if (ops == NULL)
        return CAIRN_ERR(UNREACH);
    for (uint32_t i = 0; i < ctx->nets_nr; i++) {
        if (ctx->nets[i].ops == ops) {
            *ret_net = &ctx->nets[i];
            return 0;
        }
    }
    if (ctx->nets_nr == RPC_NETS_NR_MAX)
        return CAIRN_ERR(UNREACH);
    net = &ctx->nets[ctx->nets_nr];
    net->ctx = ctx;
    net->ops = ops;
    rc = ops->open(ctx->plat, xstream_loop(ctx->opts.xs), NULL, &rpc_conn_cbs, net, &net->net);
    if (rc != 0)
        return rc;
    ctx->nets_nr++;
    *ret_net = net;
    return 0;
}

static int
conn_open(struct rpc_ctx *ctx, struct rpc_ep_ent *ent, const char *uri)
{
    struct rpc_net *net;
    struct net_peer *peer;
    int rc = net_for_uri(ctx, uri, &net);

    if (rc != 0)
        return rc;
    if (ctx->conns_nr >= RPC_CONNS_NR_MAX)
        return CAIRN_ERR(OVERLOAD_RETRY);
    rc = net->ops->connect(net->net, uri, &peer);
    if (rc != 0)
        return rc == -DER_NOMEM ? rc : CAIRN_ERR(UNREACH);
    ent->conn = conn_create(net, peer);
    if (ent->conn == NULL) {
        net->ops->disconnect(peer);
        return CAIRN_ERR(NOMEM);
    }
    ent->conn->ent = ent;
    ent->conn->peer_incarnation = ent->incarnation;
    return 0;
}

int
rpc_conn_get(struct rpc_ctx *ctx, struct rpc_ep ep, struct rpc_conn **ret_conn)
{
    struct rpc_ep_ent *ent = ep_find(ctx, ep);
    struct rpc_addr addr = {.incarnation = 0};
    int rc;

    if (ent == NULL || ent->conn == NULL) {
        if (ctx->opts.resolve == NULL)
            return CAIRN_ERR(OOG);
        rc = ctx->opts.resolve(ctx->opts.arg, ep, &addr);
        if (rc != 0)
            return rc;
        if (ctx->is_stopping)
            return CAIRN_ERR(SHUTDOWN);
        ent = ep_find(ctx, ep); /* again: resolve may have yielded */
        if (ent == NULL) {
            ent = ep_add(ctx, ep);
        }
        if (ent == NULL)
            return CAIRN_ERR(NOMEM);
    }
    if (ent->conn == NULL) {
        if (addr.incarnation != 0) {
            ent->incarnation = addr.incarnation;
        }
        rc = conn_open(ctx, ent, addr.uri);
        if (rc != 0)
            return rc;
    }
    rpc_conn_ref(ent->conn);
    *ret_conn = ent->conn;
    return 0;
}

/* ---- messages in ---------------------------------------------------------------------------------------------------- */

/* Take a message apart. PROTO: not ours, or damaged (RPC-3). */
static int
message_open(const void *buf, size_t len, const void *payload, size_t payload_len,
    struct rpc_head *ret_head, const void **ret_body)
{
    bool is_outside;
    int rc = rpc_head_decode(buf, len, ret_head);

    if (rc != 0)
        return rc;
    is_outside = (ret_head->hdr.flags & RPC_FLAG_BODY_OUTSIDE) != 0;
    if (ret_head->payload_len != payload_len)
        return CAIRN_ERR(PROTO);
    if (len - RPC_HEAD_BYTES != (is_outside ? 0 : ret_head->body_len))
        return CAIRN_ERR(PROTO);
    if (is_outside && (payload == NULL || ret_head->body_len != payload_len))
        return CAIRN_ERR(PROTO);
    *ret_body = is_outside ? payload : (const uint8_t *)buf + RPC_HEAD_BYTES;
    if (crc32c(0, *ret_body, ret_head->body_len) != ret_head->body_crc)
        return CAIRN_ERR(PROTO);
    return 0;
}

static bool
is_bulk(const struct rpc_head *head)
{
    return head->kind >= RPC_KIND_BULK_GET && head->kind <= RPC_KIND_BULK_TAKE;
}

/* The message is whole; whether it is for us is the question. */
static void
message_dispatch(
    struct rpc_conn *conn, const struct rpc_head *head, const void *body, const void *payload)
{
    struct rpc_ctx *ctx = conn->ctx;
    bool is_refusal = head->kind == RPC_KIND_REPLY && (head->hdr.flags & RPC_FLAG_REFUSED) != 0;
    struct rpc_bulk_body bulk_body;
    int rc = is_refusal ? 0 : rpc_serve_check(ctx, head);

    if (head->kind == RPC_KIND_REQUEST && rc != 0) {
        rpc_serve_refuse(conn, head, rc);
    } else if (rc != 0) {
        ctx->stats.refused_nr++; /* RPC-1 */
    } else if (head->kind == RPC_KIND_REQUEST) {
        rpc_serve_on_request(conn, head, body);
    } else if (head->kind == RPC_KIND_REPLY) {
        rpc_call_on_reply(conn, head, body);
    } else if (is_bulk(head) && rpc_bulk_body_decode(body, head->body_len, &bulk_body) == 0) {
        rpc_bulk_on_msg(conn, head, &bulk_body, body, payload);
    } else {
        ctx->stats.bad_crc_nr++;
        rpc_conn_close(conn);
    }
}

static void
on_recv(void *arg, struct net_peer *peer, const void *buf, size_t len, const void *payload,
    size_t payload_len)
{
    struct rpc_net *net = arg;
    struct rpc_conn *conn = net->ops->peer_arg(peer);
    struct rpc_head head;
    const void *body;

    if (conn == NULL)
        return;
    rpc_bulk_unplace(conn); /* RPC-9 */
    if (conn->state != RPC_CONN_UP)
        return;
    if (message_open(buf, len, payload, payload_len, &head, &body) != 0) {
        conn->ctx->stats.bad_crc_nr++;
        rpc_conn_close(conn);
        return;
    }
    rpc_conn_ref(conn);
    message_dispatch(conn, &head, body, payload);
    rpc_conn_put(conn);
}

static bool
on_place(void *arg, struct net_peer *peer, const void *buf, size_t len, size_t payload_len,
    struct iov *ret_dst)
{
    struct rpc_net *net = arg;
    struct rpc_conn *conn = net->ops->peer_arg(peer);
    struct rpc_head head;
    struct rpc_bulk_body body;
    const uint8_t *p = buf;

    if (conn == NULL || conn->state != RPC_CONN_UP || conn->placed.dst != NULL)
        return false;
    if (rpc_head_decode(buf, len, &head) != 0 || rpc_serve_check(conn->ctx, &head) != 0)
        return false;
    if (head.body_len != len - RPC_HEAD_BYTES || head.payload_len != payload_len)
        return false;
    if (crc32c(0, p + RPC_HEAD_BYTES, head.body_len) != head.body_crc)
        return false;
    if (!is_bulk(&head) || rpc_bulk_body_decode(p + RPC_HEAD_BYTES, head.body_len, &body) != 0)
        return false;
    return rpc_bulk_place(conn, &head, &body, payload_len, ret_dst);
}

static void
on_accepted(void *arg, struct net_peer *peer)
{
    struct rpc_net *net = arg;

    if (net->ctx->is_stopping || net->ctx->conns_nr >= RPC_CONNS_NR_MAX ||
        conn_create(net, peer) == NULL) {
        net->ops->disconnect(peer);
    }
}

static void
on_down(void *arg, struct net_peer *peer, int rc)
{
    struct rpc_net *net = arg;
    struct rpc_conn *conn = net->ops->peer_arg(peer);

    (void)rc;
    if (conn == NULL) {
        net->ops->peer_put(peer);
        return;
    }
    conn_down(conn);
}

const struct net_cbs rpc_conn_cbs = {
    .place = on_place,
    .recv = on_recv,
    .accepted = on_accepted,
    .down = on_down,
};
