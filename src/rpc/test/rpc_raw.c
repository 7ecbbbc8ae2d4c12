/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "rpc/test/rpc_raw.h"

#include <stdio.h>

#include "base/crc.h"

struct raw_tx {
    struct raw *raw;
    struct net_tx tx;
    uint8_t bytes[];
};

static void
on_recv(void *arg, struct net_peer *peer, const void *buf, size_t len, const void *payload,
    size_t payload_len)
{
    struct raw *raw = arg;
    struct raw_msg *msg = &raw->inbox[raw->inbox_nr];

    (void)peer;
    (void)payload;
    if (!EXPECT_LT(raw->inbox_nr, (uint32_t)RAW_INBOX_NR))
        return;
    memset(msg, 0, sizeof(*msg));
    EXPECT_OK(rpc_head_decode(buf, len, &msg->head));
    msg->payload_len = (uint32_t)payload_len;
    if (msg->head.kind >= RPC_KIND_BULK_GET) {
        EXPECT_OK(rpc_bulk_body_decode(
            (const uint8_t *)buf + RPC_HEAD_BYTES, len - RPC_HEAD_BYTES, &msg->bulk));
    }
    raw->inbox_nr++;
    if (raw->on_msg != NULL) {
        raw->on_msg(raw, msg);
    }
    ult_cond_broadcast(&raw->cond);
}

static void
on_accepted(void *arg, struct net_peer *peer)
{
    struct raw *raw = arg;

    raw->peer = peer;
    raw->is_down = false;
}

static void
on_down(void *arg, struct net_peer *peer, int rc)
{
    struct raw *raw = arg;

    (void)rc;
    raw->ops->peer_put(peer);
    if (raw->peer == peer) {
        raw->is_down = true;
        raw->peer = NULL;
    }
    ult_cond_broadcast(&raw->cond);
}

static const struct net_cbs raw_cbs = {.recv = on_recv, .accepted = on_accepted, .down = on_down};

static bool
raw_open(struct raw *raw, struct rig *rig, const char *uri, const char *listen_uri)
{
    memset(raw, 0, sizeof(*raw));
    raw->rig = rig;
    raw->inbox = calloc(RAW_INBOX_NR, sizeof(*raw->inbox));
    ult_cond_init(&raw->cond);
    raw->ops = rig->cplat->ops->net(rig->cplat, uri);
    return EXPECT(raw->ops != NULL) &&
        EXPECT_OK(raw->ops->open(
            rig->cplat, xstream_loop(rig->cxs), listen_uri, &raw_cbs, raw, &raw->net));
}

bool
raw_connect(struct raw *raw, struct rig *rig)
{
    return raw_open(raw, rig, rig->suri, NULL) &&
        EXPECT_OK(raw->ops->connect(raw->net, rig->suri, &raw->peer));
}

bool
raw_listen(struct raw *raw, struct rig *rig, char *ret_uri)
{
    char uri[NET_URI_MAX];

    if (strcmp(rig->transport, "sim") == 0) {
        snprintf(uri, sizeof(uri), "sim://client/raw");
    } else if (strcmp(rig->transport, "tcp") == 0) {
        snprintf(uri, sizeof(uri), "tcp://127.0.0.1:0");
    } else if (strcmp(rig->transport, "inproc") == 0) {
        snprintf(uri, sizeof(uri), "inproc://raw");
    } else if (strcmp(rig->transport, "ofi") == 0) {
        snprintf(uri, sizeof(uri), "ofi+tcp;ofi_rxm://127.0.0.1:0");
    } else {
        snprintf(uri, sizeof(uri), "unix://%s/raw", test_tmpdir());
    }
    if (!raw_open(raw, rig, uri, uri))
        return false;
    snprintf(ret_uri, NET_URI_MAX, "%s", raw->ops->uri(raw->net));
    return true;
}

void
raw_close(struct raw *raw)
{
    while (raw->pending_nr > 0 && raw->peer != NULL) {
        ult_cond_wait(&raw->cond, NULL);
    }
    if (raw->peer != NULL) {
        raw->ops->disconnect(raw->peer);
        raw_down_wait(raw);
    }
    raw->ops->close(raw->net);
    free(raw->inbox);
}

struct rpc_head
raw_head(struct raw *raw, uint16_t kind, uint16_t opcode, uint64_t call)
{
    struct rpc_ctx *ctx = raw->rig->ctx;

    return (struct rpc_head){.ver_lo = RPC_VER_LO,
        .ver_hi = RPC_VER_HI,
        .ver = RPC_VER_HI,
        .kind = kind,
        .call = call,
        .hdr = {.opcode = opcode,
            .system = ctx->opts.system,
            .src_rank = RPC_RANK_NONE,
            .src_incarnation = 555,
            .client = {{5, 5}},
            .timeout_ns = RIG_LONG_NS}};
}

static void
on_tx_done(struct net_tx *tx, int rc)
{
    struct raw_tx *rtx = CAIRN_CONTAINER_OF(tx, struct raw_tx, tx);

    (void)rc;
    rtx->raw->pending_nr--;
    ult_cond_broadcast(&rtx->raw->cond);
    free(rtx);
}

void
raw_send_bytes(
    struct raw *raw, const void *head, size_t head_len, const void *payload, size_t payload_len)
{
    struct raw_tx *rtx = calloc(1, sizeof(*rtx) + head_len + payload_len);
    int rc;

    rtx->raw = raw;
    memcpy(rtx->bytes, head, head_len);
    if (payload_len > 0) {
        memcpy(rtx->bytes + head_len, payload, payload_len);
    }
    rtx->tx = (struct net_tx){.head = {rtx->bytes, head_len},
        .payload = {rtx->bytes + head_len, payload_len},
        .done = on_tx_done};
    raw->pending_nr++;
    do {
        rc = raw->peer != NULL ? raw->ops->send(raw->peer, &rtx->tx) : -DER_UNREACH;
        if (rc == -DER_BUSY) {
            ult_sleep(RIG_MS);
        }
    } while (rc == -DER_BUSY);
    if (rc != 0) {
        raw->pending_nr--;
        free(rtx);
    }
}

void
raw_send(struct raw *raw, struct rpc_head *head, const void *body, size_t body_len,
    const void *payload, size_t payload_len)
{
    uint8_t *buf = malloc(RPC_HEAD_BYTES + body_len);

    head->body_len = (uint32_t)body_len;
    head->body_crc = crc32c(0, body, body_len);
    head->payload_len = (uint32_t)payload_len;
    rpc_head_encode(head, buf);
    if (body_len > 0) {
        memcpy(buf + RPC_HEAD_BYTES, body, body_len);
    }
    raw_send_bytes(raw, buf, RPC_HEAD_BYTES + body_len, payload, payload_len);
    free(buf);
}

const struct raw_msg *
raw_recv(struct raw *raw)
{
    uint64_t limit_ns = plat_mono_ns(raw->rig->cplat) + RIG_LONG_NS;

    while (raw->taken_nr == raw->inbox_nr) {
        if (raw->is_down)
            return NULL;
        if (ult_cond_wait_until(&raw->cond, NULL, limit_ns) != 0)
            return NULL;
    }
    return &raw->inbox[raw->taken_nr++];
}

bool
raw_down_wait(struct raw *raw)
{
    uint64_t limit_ns = plat_mono_ns(raw->rig->cplat) + RIG_LONG_NS;

    while (!raw->is_down) {
        if (ult_cond_wait_until(&raw->cond, NULL, limit_ns) != 0)
            return false;
    }
    return true;
}

void
raw_apply_send(struct raw *raw, uint64_t call, uint64_t len, uint64_t timeout_ns)
{
    struct rpc_head head = raw_head(raw, RPC_KIND_REQUEST, PROTO_OBJ_APPLY, call);
    struct proto_obj_apply_req req = {.data_len = len, .bulk = {.id = 1, .key = 2, .len = len}};
    uint8_t body[256];
    size_t body_len = 0;

    head.hdr.timeout_ns = timeout_ns;
    head.hdr.seq = call;
    EXPECT_OK(proto_encode(proto_op_find(PROTO_OBJ_APPLY)->req, &req, body, sizeof(body), &body_len));
    raw_send(raw, &head, body, body_len, NULL, 0);
}
