/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where control messages arrive: an endpoint of the net table on the system xstream's loop, whose
 * heads are packed Envelopes; an answer that is longer than a head goes out in pieces (ctl.proto).
 * Each peer may have PEER_REQS_NR_MAX requests at work; one that sends more is turned away.
 * Tested by test/engine_ctl_test.c and test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "engine_priv.h"
#include "proto/ctl/ctl.pb-c.h"

enum {
    PEER_REQS_NR_MAX = 16,
    PIECE_BYTES = NET_HDR_BYTES_MAX - 1024, /* of a body, beside the other fields of an Envelope */
};

struct ctl_peer {
    struct list_head link;
    struct engine_ctl_net *net;
    struct net_peer *peer; /* NULL: gone */
    uint32_t refs; /* the connection, requests at work, messages on the way */
    uint32_t req_nr;
};

/* An answer on its way, a piece at a time: a peer that does not read holds one piece in the transport. */
struct ctl_msg {
    struct list_head link; /* of engine_ctl_net.msgs */
    struct net_tx tx;
    struct ctl_peer *cp;
    Cairn__Ctl__Envelope *whole; /* NULL: it is one piece */
    size_t off; /* of whole's body that was sent */
    uint8_t bytes[];
};

struct engine_ctl_net {
    struct engine *engine;
    const struct net_ops *ops;
    struct net *net;
    struct list_head peers, msgs;
    struct ult_cond idle; /* a message left */
};

static void
peer_unref(struct ctl_peer *cp)
{
    CAIRN_ASSERT(cp->refs > 0);
    cp->refs--;
    if (cp->refs > 0)
        return;
    list_del(&cp->link);
    free(cp);
}

static void
msg_free(struct ctl_msg *msg)
{
    list_del(&msg->link);
    cairn__ctl__envelope__free_unpacked(msg->whole, NULL);
    peer_unref(msg->cp);
    free(msg);
}

static void msg_done(struct net_tx *tx, int rc);

/* Put the next piece of the body into the message. */
static void
piece_make(struct ctl_msg *msg)
{
    Cairn__Ctl__Envelope piece = *msg->whole;

    piece.body.data = msg->whole->body.data + msg->off;
    piece.body.len = MIN(msg->whole->body.len - msg->off, (size_t)PIECE_BYTES);
    msg->off += piece.body.len;
    piece.more = msg->off < msg->whole->body.len;
    msg->tx.head = (struct iov){msg->bytes, cairn__ctl__envelope__pack(&piece, msg->bytes)};
    CAIRN_ASSERT(msg->tx.head.len <= NET_HDR_BYTES_MAX);
}

static int
msg_send(struct ctl_msg *msg)
{
    struct iov head;

    if (msg->whole != NULL)
        piece_make(msg);
    head = msg->tx.head;
    memset(&msg->tx, 0, sizeof(msg->tx));
    msg->tx.head = head;
    msg->tx.done = msg_done;
    msg->tx.arg = msg;
    return msg->cp->net->ops->send(msg->cp->peer, &msg->tx);
}

static void
msg_done(struct net_tx *tx, int rc)
{
    struct ctl_msg *msg = tx->arg;
    struct ctl_peer *cp = msg->cp;
    struct engine_ctl_net *net = cp->net;

    if (rc == 0 && cp->peer != NULL && msg->whole != NULL && msg->off < msg->whole->body.len) {
        rc = msg_send(msg);
        if (rc == 0)
            return;
        net->ops->disconnect(cp->peer); /* it has half an answer */
    }
    msg_free(msg); /* a peer that is gone needs no answer */
    ult_cond_broadcast(&net->idle);
}

/* Errors: NOMEM; those of the transport. Then the peer is to be told by the end of the connection. */
static int
msg_start(struct ctl_peer *cp, const void *rep, size_t len)
{
    struct engine_ctl_net *net = cp->net;
    bool is_long = len > NET_HDR_BYTES_MAX;
    struct ctl_msg *msg = malloc(sizeof(*msg) + (is_long ? NET_HDR_BYTES_MAX : len));
    int rc;

    if (msg == NULL)
        return CAIRN_ERR(NOMEM);
    memset(msg, 0, sizeof(*msg));
    msg->cp = cp;
    cp->refs++;
    list_add(&msg->link, &net->msgs);
    if (is_long) {
        msg->whole = cairn__ctl__envelope__unpack(NULL, len, rep);
        rc = msg->whole == NULL ? CAIRN_ERR(NOMEM) : msg_send(msg);
    } else {
        memcpy(msg->bytes, rep, len);
        msg->tx.head = (struct iov){msg->bytes, len};
        rc = msg_send(msg);
    }
    if (rc != 0)
        msg_free(msg);
    return rc;
}

/* The answer, on the system xstream. */
static void
answered(void *arg, int rc, const void *rep, size_t len)
{
    struct ctl_peer *cp = arg;

    cp->req_nr--;
    if (rc == 0 && cp->peer != NULL)
        rc = msg_start(cp, rep, len);
    if (rc != 0 && cp->peer != NULL)
        cp->net->ops->disconnect(cp->peer); /* it asked for what cannot be said: PROTO, no memory */
    peer_unref(cp);
}

static void
on_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    struct engine_ctl_net *net = arg;
    struct ctl_peer *cp = net->ops->peer_arg(peer);
    int rc = CAIRN_ERR(PROTO);

    (void)payload;
    if (cp == NULL)
        return;
    if (payload_len == 0 && cp->req_nr < PEER_REQS_NR_MAX) {
        cp->refs++;
        cp->req_nr++;
        rc = engine_ctl_submit(net->engine, head, head_len, answered, cp);
        if (rc != 0) {
            cp->req_nr--;
            peer_unref(cp);
        }
    }
    if (rc != 0)
        net->ops->disconnect(peer);
}

static void
on_accepted(void *arg, struct net_peer *peer)
{
    struct engine_ctl_net *net = arg;
    struct ctl_peer *cp = calloc(1, sizeof(*cp));

    if (cp == NULL) {
        net->ops->disconnect(peer);
        return;
    }
    cp->net = net;
    cp->peer = peer;
    cp->refs = 1;
    list_add(&cp->link, &net->peers);
    net->ops->peer_arg_set(peer, cp);
}

static void
on_down(void *arg, struct net_peer *peer, int rc)
{
    struct engine_ctl_net *net = arg;
    struct ctl_peer *cp = net->ops->peer_arg(peer);

    (void)rc;
    if (cp != NULL) {
        net->ops->peer_arg_set(peer, NULL);
        cp->peer = NULL;
        peer_unref(cp);
    }
    net->ops->peer_put(peer);
}

static const struct net_cbs ctl_cbs = {.recv = on_recv, .accepted = on_accepted, .down = on_down};

int
engine_ctl_net_open(struct engine *engine, struct engine_ctl_net **ret_net)
{
    const char *uri = engine->cfg.ctl_uri;
    struct engine_ctl_net *net;
    int rc;

    net = calloc(1, sizeof(*net));
    if (net == NULL)
        return CAIRN_ERR(NOMEM);
    net->engine = engine;
    list_init(&net->peers);
    list_init(&net->msgs);
    ult_cond_init(&net->idle);
    net->ops = engine->plat->ops->net(engine->plat, uri);
    rc = net->ops == NULL ? CAIRN_ERR(INVAL)
                          : net->ops->open(engine->plat, xstream_loop(engine_sys(engine)->xs), uri,
                                &ctl_cbs, net, &net->net);
    if (rc != 0) {
        free(net);
        return rc;
    }
    *ret_net = net;
    return 0;
}

void
engine_ctl_net_close(struct engine_ctl_net *net)
{
    uint64_t deadline_ns = ult_now_ns() + UINT64_C(1000000000);

    if (net == NULL)
        return;
    while (!list_empty(&net->msgs)) { /* the answer to a stop leaves first, if somebody takes it */
        if (ult_cond_wait_until(&net->idle, NULL, deadline_ns) != 0)
            break;
    }
    net->ops->close(net->net);
    ult_cond_fini(&net->idle);
    CAIRN_ASSERT(list_empty(&net->msgs));
    while (!list_empty(&net->peers)) {
        peer_unref(LIST_FIRST(&net->peers, struct ctl_peer, link));
    }
    free(net);
}

void
engine_ctl_net_abandon(struct engine_ctl_net *net)
{
    struct ctl_msg *msg, *mtmp;
    struct ctl_peer *cp, *ptmp;

    if (net == NULL)
        return;
    LIST_FOREACH_SAFE(msg, mtmp, &net->msgs, struct ctl_msg, link) {
        cairn__ctl__envelope__free_unpacked(msg->whole, NULL);
        free(msg);
    }
    LIST_FOREACH_SAFE(cp, ptmp, &net->peers, struct ctl_peer, link) {
        free(cp);
    }
    free(net);
}
