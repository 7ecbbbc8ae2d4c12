/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: buffers that a message is arriving into are not given back (RPC-9, RPC-10), a transport without room is waited for, one that takes
 * nothing at all ends the connection (RPC-5), failing sends end it.
 * Method: the network of rpc_fake.c stops where the test wants it to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "harness/harness.h"
#include "proto/proto_svc.h"
#include "rpc/test/rpc_fake.h"

#define MS UINT64_C(1000000)

enum { REGION_BYTES = 1000 };

struct fixture {
    struct fake *fake;
    uint8_t mem[REGION_BYTES];
    struct rpc_bulk *bulk;
    uint64_t timeout_ns;
    int rc; /* of the call or of the handler's pull; 1: not over */
    bool is_freed; /* the region */
    bool is_call_over;
};

static size_t
msg_make(uint8_t *buf, uint16_t kind, uint16_t opcode, uint64_t call, const void *body,
    size_t body_len, const void *payload, size_t payload_len)
{
    struct rpc_head head = {.ver_lo = 1,
        .ver_hi = 1,
        .ver = 1,
        .kind = kind,
        .call = call,
        .body_len = (uint32_t)body_len,
        .body_crc = crc32c(0, body, body_len),
        .payload_len = (uint32_t)payload_len,
        .payload_crc = crc32c(0, payload, payload_len),
        .hdr = {.opcode = opcode, .src_incarnation = 7, .client = {{3}}, .timeout_ns = 50 * MS}};

    rpc_head_encode(&head, buf);
    if (body_len > 0) {
        memcpy(buf + RPC_HEAD_BYTES, body, body_len);
    }
    return RPC_HEAD_BYTES + body_len;
}

/* The head of a message that the context sent. */
static bool
sent(const struct net_peer *peer, uint32_t idx, struct rpc_head *ret_head,
    struct rpc_bulk_body *ret_body)
{
    const struct net_tx *tx;

    if (!EXPECT_GT(peer->txs_nr, idx))
        return false;
    tx = peer->txs[idx];
    if (ret_body != NULL) {
        EXPECT_OK(rpc_bulk_body_decode(
            (uint8_t *)tx->head.buf + RPC_HEAD_BYTES, tx->head.len - RPC_HEAD_BYTES, ret_body));
    }
    return EXPECT_OK(rpc_head_decode(tx->head.buf, tx->head.len, ret_head));
}

/* ---- the caller's side ---------------------------------------------------------------------------------------------- */

static void
call_main(void *arg)
{
    struct fixture *f = arg;
    struct iov iov = {f->mem, REGION_BYTES};
    struct proto_obj_fetch_req req = {.epoch = 1};
    struct rpc_call_opts opts = {.deadline_ns = plat_mono_ns(f->fake->plat) + f->timeout_ns};

    EXPECT_OK(rpc_bulk_create(
        f->fake->ctx, &(struct sgl){1, &iov}, RPC_BULK_READ | RPC_BULK_WRITE, &f->bulk));
    rpc_bulk_desc(f->bulk, &req.bulk);
    f->rc = rpc_call(f->fake->ctx, (struct rpc_ep){9, 0}, PROTO_OBJ_FETCH, &req, NULL, &opts, NULL);
    f->is_call_over = true;
    rpc_bulk_free(f->bulk);
    f->is_freed = true;
}

/* A call in flight, and the PUT of the server that starts to arrive. */
static struct net_peer *
put_placed(struct fixture *f, uint8_t *ret_msg, size_t *ret_len, struct iov *ret_dst)
{
    static const uint8_t data[REGION_BYTES];
    struct rpc_bulk_body body = {.xfer = 5, .off = 100, .len = 500};
    struct rpc_head head;
    uint8_t body_buf[RPC_BULK_BODY_BYTES];
    struct net_peer *peer;

    f->rc = 1;
    f->timeout_ns = 20 * MS;
    fake_ult(f->fake, call_main, f);
    fake_run(f->fake, MS);
    peer = f->fake->connected;
    if (!EXPECT(peer != NULL) || !sent(peer, 0, &head, NULL))
        return NULL;
    body.id = f->bulk->id;
    body.key = f->bulk->key;
    rpc_bulk_body_encode(&body, body_buf);
    *ret_len =
        msg_make(ret_msg, RPC_KIND_BULK_PUT, 0, head.call, body_buf, sizeof(body_buf), data, 500);
    fake_flush(peer);
    if (!EXPECT(fake_place(peer, ret_msg, *ret_len, 500, ret_dst)))
        return NULL;
    EXPECT(ret_dst->buf == f->mem + 100);
    return peer;
}

TEST_ON(rpc_fake, free_waits_for_what_arrives, BACKEND_SIM)
{
    struct fixture f = {.fake = fake_create(NULL, 0, NULL)};
    uint8_t msg[512];
    uint8_t data[500] = {0};
    size_t len = 0;
    struct iov dst, other;
    struct net_peer *peer = put_placed(&f, msg, &len, &dst);

    if (peer == NULL)
        return;
    EXPECT(!fake_place(peer, msg, len, 500, &other)); /* one at a time */
    fake_run(f.fake, 100 * MS);
    EXPECT_ERR(f.rc, TIMEDOUT);
    EXPECT(f.is_call_over);
    EXPECT(!f.is_freed);
    memcpy(dst.buf, data, 500);
    f.fake->cbs.recv(f.fake->cbs_arg, peer, msg, len, dst.buf, 500);
    fake_run(f.fake, MS);
    EXPECT(f.is_freed);
    EXPECT(!peer->is_disconnected);
    EXPECT_EQ(f.fake->ctx->conns_nr, 1u);
    fake_destroy(f.fake);
}

TEST_ON(rpc_fake, free_closes_what_stalls, BACKEND_SIM)
{
    struct fixture f = {.fake = fake_create(NULL, 0, NULL)};
    uint8_t msg[512];
    size_t len = 0;
    struct iov dst;
    struct net_peer *peer = put_placed(&f, msg, &len, &dst);

    if (peer == NULL)
        return;
    fake_run(f.fake, 20 * MS + RPC_DRAIN_NS / 2);
    EXPECT(f.is_call_over);
    EXPECT(!peer->is_disconnected);
    fake_run(f.fake, RPC_DRAIN_NS);
    EXPECT(peer->is_disconnected);
    EXPECT(!f.is_freed); /* the transport may still write: until it says that it is over */
    fake_run(f.fake, 10 * RPC_DRAIN_NS);
    EXPECT(!f.is_freed);
    fake_down(peer);
    fake_run(f.fake, MS);
    EXPECT(f.is_freed);
    fake_destroy(f.fake);
}

/* DATA that the transport has, or that waits for it, is taken back; the server is told. */
static void
free_cancels(uint32_t room)
{
    struct fixture f = {.fake = fake_create(NULL, 0, NULL), .rc = 1, .timeout_ns = 20 * MS};
    struct rpc_bulk_body body = {.off = 0, .len = 500};
    struct rpc_head head;
    uint8_t body_buf[RPC_BULK_BODY_BYTES];
    uint8_t msg[512];
    struct net_peer *peer;
    size_t len;

    fake_ult(f.fake, call_main, &f);
    fake_run(f.fake, MS);
    peer = f.fake->connected;
    if (!sent(peer, 0, &head, NULL))
        return;
    fake_flush(peer);
    peer->room = room;
    for (uint32_t i = 0; i < RPC_BULK_SERVE_NR_MAX + 5; i++) {
        body.xfer = 1 + i;
        body.id = f.bulk->id;
        body.key = f.bulk->key;
        rpc_bulk_body_encode(&body, body_buf);
        len = msg_make(msg, RPC_KIND_BULK_GET, 0, head.call, body_buf, sizeof(body_buf), NULL, 0);
        fake_recv(peer, msg, len, NULL, 0);
    }
    EXPECT_EQ(peer->txs_nr, MIN(room, (uint32_t)RPC_BULK_SERVE_NR_MAX)); /* RPC-11 */
    fake_run(f.fake, 100 * MS);
    EXPECT_ERR(f.rc, TIMEDOUT);
    EXPECT(f.is_freed);
    peer->room = FAKE_TXS_MAX;
    for (uint32_t i = 0; i < peer->txs_nr; i++) {
        EXPECT_EQ(peer->txs[i]->payload.len, 0u); /* nothing of the region is left with the transport */
    }
    fake_flush(peer);
    fake_destroy(f.fake);
}

TEST_ON(rpc_fake, free_cancels_sends, BACKEND_SIM)
{
    free_cancels(100);
    free_cancels(3);
    free_cancels(0);
}

TEST_ON(rpc_fake, call_waits_for_room, BACKEND_SIM)
{
    struct fixture f = {.fake = fake_create(NULL, 0, NULL), .rc = 1, .timeout_ns = 200 * MS};
    struct fixture g = f;
    struct rpc_head head;
    uint8_t msg[512];
    size_t len;
    struct net_peer *peer;

    fake_ult(f.fake, call_main, &f);
    fake_run(f.fake, MS);
    peer = f.fake->connected;
    peer->room = 0;
    fake_ult(f.fake, call_main, &g);
    fake_run(f.fake, MS);
    EXPECT_EQ(peer->txs_nr, 1u);
    peer->room = 10;
    fake_flush(peer); /* the first leaves: there is room for the second */
    EXPECT(!g.is_call_over);
    for (uint64_t call = 1; call <= 2; call++) {
        len = msg_make(msg, RPC_KIND_REPLY, PROTO_OBJ_FETCH, call, NULL, 0, NULL, 0);
        if (EXPECT_OK(rpc_head_decode(msg, len, &head))) {
            fake_recv(peer, msg, len, NULL, 0);
        }
    }
    fake_run(f.fake, MS);
    EXPECT_OK(f.rc);
    EXPECT_OK(g.rc);
    fake_destroy(f.fake);
}

TEST_ON(rpc_fake, failing_send_ends_the_connection, BACKEND_SIM)
{
    struct fixture f = {.fake = fake_create(NULL, 0, NULL), .rc = 1, .timeout_ns = 200 * MS};
    struct fixture g = f;
    struct net_peer *peer;

    fake_ult(f.fake, call_main, &f);
    fake_run(f.fake, MS);
    peer = f.fake->connected;
    peer->is_broken = true;
    fake_ult(f.fake, call_main, &g);
    fake_run(f.fake, MS);
    EXPECT(peer->is_disconnected);
    EXPECT_EQ(g.rc, 1);
    fake_down(peer);
    fake_run(f.fake, MS);
    EXPECT_ERR(f.rc, UNREACH);
    EXPECT_ERR(g.rc, UNREACH);
    fake_destroy(f.fake);
}

/* ---- the server's side ---------------------------------------------------------------------------------------------- */

static int
pull_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_apply_req *body = req->body;
    struct fixture *f = req->handler_arg;

    (void)rep;
    f->rc = rpc_bulk_pull(req, &body->bulk, 0, f->mem, REGION_BYTES);
    memset(f->mem, 0xdd, REGION_BYTES);
    return f->rc;
}

static int
push_handler(struct rpc_req *req, void *rep)
{
    const struct proto_obj_fetch_req *body = req->body;
    struct fixture *f = req->handler_arg;

    (void)rep;
    f->rc = rpc_bulk_push(req, &body->bulk, 0, f->mem, REGION_BYTES);
    return f->rc;
}

static int
ping_handler(struct rpc_req *req, void *rep)
{
    (void)req;
    (void)rep;
    return 0;
}

static const struct rpc_handler handlers[] = {
    {PROTO_OBJ_APPLY, ULT_IO, pull_handler},
    {PROTO_OBJ_FETCH, ULT_IO, push_handler},
    {PROTO_PING, ULT_IO, ping_handler},
};

static struct net_peer *
request(struct fixture *f, uint16_t opcode, struct rpc_bulk_body *ret_body)
{
    struct proto_obj_apply_req apply = {.bulk = {1, 2, REGION_BYTES}};
    struct proto_obj_fetch_req fetch = {.bulk = {1, 2, REGION_BYTES}};
    const void *req = opcode == PROTO_OBJ_APPLY ? (const void *)&apply : &fetch;
    struct net_peer *peer = fake_accept(f->fake);
    struct rpc_head head;
    uint8_t body[256];
    uint8_t msg[512];
    size_t len = 0;

    f->rc = 1;
    EXPECT_OK(proto_encode(proto_op_find(opcode)->req, req, body, sizeof(body), &len));
    len = msg_make(msg, RPC_KIND_REQUEST, opcode, 77, body, len, NULL, 0);
    fake_recv(peer, msg, len, NULL, 0);
    fake_run(f->fake, MS);
    return sent(peer, 0, &head, ret_body) && EXPECT_EQ(head.call, 77u) ? peer : NULL;
}

/* The client's DATA stalls in the middle: the handler ends only when its buffer is safe. */
TEST_ON(rpc_fake, pull_drains, BACKEND_SIM)
{
    for (int down = 0; down < 2; down++) {
        struct fixture f = {.rc = 1};
        struct rpc_bulk_body body;
        struct net_peer *peer;
        uint8_t body_buf[RPC_BULK_BODY_BYTES];
        uint8_t msg[512];
        size_t len;
        struct iov dst;

        f.fake = fake_create(handlers, ARRAY_SIZE(handlers), &f);
        peer = request(&f, PROTO_OBJ_APPLY, &body);
        if (peer == NULL)
            return;
        fake_flush(peer);
        rpc_bulk_body_encode(&body, body_buf);
        len = msg_make(
            msg, RPC_KIND_BULK_DATA, 0, 77, body_buf, sizeof(body_buf), f.mem, REGION_BYTES);
        EXPECT(fake_place(peer, msg, len, REGION_BYTES, &dst));
        EXPECT(dst.buf == f.mem);
        fake_run(f.fake, 100 * MS); /* the deadline is over */
        EXPECT_EQ(f.rc, 1);
        EXPECT(!peer->is_disconnected);
        if (down == 0) { /* it comes after all */
            f.fake->cbs.recv(f.fake->cbs_arg, peer, msg, len, dst.buf, REGION_BYTES);
        } else {
            fake_run(f.fake, RPC_DRAIN_NS);
            EXPECT(peer->is_disconnected);
            EXPECT_EQ(f.rc, 1);
            fake_down(peer);
        }
        fake_run(f.fake, MS);
        EXPECT_ERR(f.rc, TIMEDOUT);
        fake_destroy(f.fake);
    }
}

/* A PUT that the transport does not take is taken back at the deadline. */
TEST_ON(rpc_fake, push_cancels, BACKEND_SIM)
{
    struct fixture f = {.rc = 1};
    struct rpc_bulk_body body;
    struct net_peer *peer;

    f.fake = fake_create(handlers, ARRAY_SIZE(handlers), &f);
    peer = request(&f, PROTO_OBJ_FETCH, &body);
    if (peer == NULL)
        return;
    EXPECT(peer->txs[0]->payload.buf == f.mem);
    fake_run(f.fake, 100 * MS);
    EXPECT_ERR(f.rc, TIMEDOUT);
    EXPECT_EQ(peer->txs_nr, 1u); /* the reply alone */
    EXPECT_EQ(peer->txs[0]->payload.len, 0u);
    fake_destroy(f.fake);
}

/* An answer before the transport has let go of the message: the buffer is not given back yet. */
TEST_ON(rpc_fake, push_answered_early, BACKEND_SIM)
{
    struct fixture f = {.rc = 1};
    struct rpc_bulk_body body;
    uint8_t body_buf[RPC_BULK_BODY_BYTES];
    uint8_t msg[512];
    size_t len;
    struct net_peer *peer;

    f.fake = fake_create(handlers, ARRAY_SIZE(handlers), &f);
    peer = request(&f, PROTO_OBJ_FETCH, &body);
    if (peer == NULL)
        return;
    body.rc = 0;
    rpc_bulk_body_encode(&body, body_buf);
    len = msg_make(msg, RPC_KIND_BULK_DONE, 0, 77, body_buf, sizeof(body_buf), NULL, 0);
    fake_recv(peer, msg, len, NULL, 0);
    fake_run(f.fake, MS);
    EXPECT_EQ(f.rc, 1);
    fake_flush(peer);
    fake_run(f.fake, MS);
    EXPECT_OK(f.rc);
    fake_destroy(f.fake);
}

/* RPC-5: a peer that asks and asks and never reads. */
TEST_ON(rpc_fake, deaf_peer, BACKEND_SIM)
{
    struct fixture f = {.rc = 1};
    uint8_t msg[512];
    struct net_peer *peer;
    uint32_t i;

    f.fake = fake_create(handlers, ARRAY_SIZE(handlers), &f);
    peer = fake_accept(f.fake);
    peer->room = 0;
    for (i = 0; i < 3 * RPC_BACKLOG_NR_MAX && !peer->is_disconnected; i++) {
        size_t len = msg_make(msg, RPC_KIND_REQUEST, PROTO_PING, 1 + i, "", 1, NULL, 0);

        fake_recv(peer, msg, len, NULL, 0);
        if (i % 100 == 0) {
            fake_run(f.fake, MS / 10);
        }
    }
    EXPECT(peer->is_disconnected);
    EXPECT_GE(i, (uint32_t)RPC_BACKLOG_NR_MAX);
    EXPECT_LE(f.fake->ctx->msgs_nr, (uint32_t)RPC_BACKLOG_NR_MAX);
    fake_down(peer);
    EXPECT_EQ(f.fake->ctx->msgs_nr, 0u);
    fake_destroy(f.fake);
}
