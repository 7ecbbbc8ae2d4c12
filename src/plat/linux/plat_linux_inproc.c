/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Network backend `inproc`: endpoints "inproc://name" of one struct plat, on any of its loops and threads. For the embedded mode, where
 * client and engine share a process.
 *
 *     end 0 (loop A)                     pipe, under its lock                       end 1 (loop B)
 *     send() ----- message into inbox[1], kick B ------------------------------> drain: place(), copy, recv()
 *     drain: done() <---- the tx goes to told[0], kick A -----------------------------+
 *
 *   INP-1  Each end belongs to its loop. What crosses is in the pipe, under `lock`: inboxes, lists of told tx, `closed`. Callbacks
 *          run without the lock.
 *   INP-2  A head is copied when it is sent, a payload when it is delivered, straight from the sender's memory to where place() said;
 *          until then its tx is lent. While that copy runs (msg.copying) the buffer cannot be taken back: tx_cancel() and close wait
 *          for its end. A message that the receiver holds but has not copied is saved by tx_cancel(), revoked by close.
 *   INP-3  A kick is a post to the end's loop that is not queued twice; it holds a reference to the pipe. None is sent to an end that
 *          is closed, so a loop may be destroyed once its endpoints are.
 *   INP-4  What an end had sent before it closed is delivered first, up to the first message whose payload it still held.
 *
 * Tested by plat_net_test.c, also with the ends on different threads (run it under tsan).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "plat/linux/plat_linux_priv.h"

enum { INPROC_NAME_BYTES = NET_URI_MAX };

struct inproc_hub {
    pthread_mutex_t lock; /* names, and each net's `incoming` */
    struct list_head nets;
};

struct inproc_msg {
    struct list_head link; /* an inbox, or the receiving drain's list */
    struct net_tx *tx; /* whose payload it borrows; NULL: none, or `saved` */
    uint8_t *saved; /* a copy of the payload; owned */
    const uint8_t *payload;
    size_t head_len, payload_len;
    bool taken; /* the receiver works on it */
    bool copying; /* it reads the payload now */
    bool revoked; /* the sender closed: do not deliver */
    uint8_t head[];
};

/* One end as the pipe sees it. */
struct inproc_end {
    struct inproc_pipe *pipe;
    struct plat_loop *loop;
    struct plat_post kick;
    bool kicked;
    bool closed;
    struct net_peer *peer;
    struct list_head inbox; /* struct inproc_msg */
    uint32_t inbox_nr;
    struct list_head lent; /* struct inproc_tx of this end whose payload is borrowed */
    struct list_head told; /* struct inproc_tx of this end, finished */
};

struct inproc_pipe {
    pthread_mutex_t lock;
    pthread_cond_t copied;
    uint32_t refs_nr; /* ends with a peer, and kicks under way; under lock */
    struct plat_linux *pl;
    struct list_head incoming_link; /* the listener's `incoming`, until it has accepted */
    struct inproc_end ends[2]; /* 0 connected, 1 accepted */
};

enum inproc_state { INPROC_OPEN, INPROC_FAILED, INPROC_GONE };

struct net {
    struct plat_linux *pl;
    struct plat_loop *loop;
    struct net_cbs cbs;
    void *arg;
    struct list_head link; /* hub->nets, when it listens */
    struct list_head incoming; /* pipes not yet accepted; under hub->lock */
    struct list_head peers;
    uint32_t in_cbs;
    char uri[INPROC_NAME_BYTES];
};

struct net_peer {
    struct net *net; /* NULL once GONE */
    struct list_head link;
    struct inproc_pipe *pipe;
    uint32_t side;
    enum inproc_state state;
    int down_rc;
    bool user_ref;
    void *arg;
};

/* What a net_tx carries in priv; under the pipe's lock. */
struct inproc_tx {
    struct list_head link; /* lent or told */
    struct inproc_msg *msg; /* NULL once it no longer borrows */
    int rc;
};
_Static_assert(sizeof(struct inproc_tx) <= sizeof(((struct net_tx *)0)->priv), "inproc_tx fits");

static struct inproc_tx *
inproc_tx_of(struct net_tx *tx)
{
    return (struct inproc_tx *)(void *)tx->priv;
}

/* ---- pipes ---------------------------------------------------------------------------------------------------------- */

static void pipe_kicked(struct plat_post *post);

static struct inproc_pipe *
pipe_new(void)
{
    struct inproc_pipe *pipe = calloc(1, sizeof(*pipe));

    if (pipe == NULL)
        return NULL;
    pthread_mutex_init(&pipe->lock, NULL);
    pthread_cond_init(&pipe->copied, NULL);
    list_init(&pipe->incoming_link);
    for (int i = 0; i < 2; i++) {
        struct inproc_end *end = &pipe->ends[i];

        end->pipe = pipe;
        list_init(&end->inbox);
        list_init(&end->lent);
        list_init(&end->told);
        end->kick.fn = pipe_kicked;
        end->closed = true;
    }
    return pipe;
}

/* Unlocks. */
static void
pipe_unref_unlock(struct inproc_pipe *pipe)
{
    bool last;

    CAIRN_ASSERT(pipe->refs_nr > 0);
    last = --pipe->refs_nr == 0;
    pthread_mutex_unlock(&pipe->lock);
    if (!last)
        return;
    CAIRN_ASSERT(list_empty(&pipe->ends[0].inbox));
    CAIRN_ASSERT(list_empty(&pipe->ends[1].inbox));
    pthread_cond_destroy(&pipe->copied);
    pthread_mutex_destroy(&pipe->lock);
    free(pipe);
}

/* Under the lock. */
static void
pipe_kick(struct inproc_pipe *pipe, uint32_t side)
{
    struct inproc_end *end = &pipe->ends[side];

    if (end->kicked || end->closed)
        return;
    end->kicked = true;
    pipe->refs_nr++;
    plat_linux_loop_post(end->loop, &end->kick);
}

/* Under the lock: a message to side `to` no longer borrows from its sender, who is told. */
static void
msg_release(struct inproc_pipe *pipe, uint32_t to, struct inproc_msg *msg, int rc)
{
    struct inproc_tx *itx;

    if (msg->tx == NULL)
        return;
    itx = inproc_tx_of(msg->tx);
    itx->msg = NULL;
    itx->rc = rc;
    list_move_tail(&itx->link, &pipe->ends[1 - to].told);
    msg->tx = NULL;
    pipe_kick(pipe, 1 - to);
}

static void
msg_free(struct inproc_msg *msg)
{
    free(msg->saved);
    free(msg);
}

/* Under the lock. */
static void
inbox_drop(struct inproc_pipe *pipe, uint32_t side, struct inproc_msg *msg, int rc)
{
    list_del(&msg->link);
    pipe->ends[side].inbox_nr--;
    msg_release(pipe, side, msg, rc);
    msg_free(msg);
}

/* Under the lock, which it drops while it waits: until nobody reads the payload of this tx. */
static void
tx_copied_wait(struct inproc_pipe *pipe, struct inproc_tx *itx)
{
    while (itx->msg != NULL && itx->msg->copying) {
        pthread_cond_wait(&pipe->copied, &pipe->lock);
    }
}

/* Under the lock: an end closes. Takes back whatever it has lent; INP-4. */
static void
pipe_withdraw(struct inproc_pipe *pipe, uint32_t side, int rc)
{
    struct inproc_msg *msg, *next;
    struct inproc_tx *itx;
    bool drop = false;

    LIST_FOREACH_SAFE(msg, next, &pipe->ends[1 - side].inbox, struct inproc_msg, link) {
        drop = drop || msg->tx != NULL;
        if (drop)
            inbox_drop(pipe, 1 - side, msg, rc);
    }
    while ((itx = LIST_FIRST(&pipe->ends[side].lent, struct inproc_tx, link)) != NULL) {
        tx_copied_wait(pipe, itx);
        if (itx->msg == NULL)
            continue; /* it was copied meanwhile, and is told */
        itx->msg->revoked = true;
        msg_release(pipe, 1 - side, itx->msg, rc);
    }
    while ((msg = LIST_FIRST(&pipe->ends[side].inbox, struct inproc_msg, link)) != NULL) {
        inbox_drop(pipe, side, msg, -(int)DER_UNREACH);
    }
}

/* ---- ends ----------------------------------------------------------------------------------------------------------- */

static void
peer_tell(struct net_peer *peer, struct inproc_tx *itx, int rc)
{
    struct net_tx *tx = CAIRN_CONTAINER_OF(itx, struct net_tx, priv);

    peer->net->loop->cbs_nr++;
    tx->done(tx, rc);
}

/* Tell what is finished, one at a time: a callback may cancel another. */
static void
peer_tell_all(struct net_peer *peer)
{
    struct inproc_pipe *pipe = peer->pipe;
    struct inproc_tx *itx;

    for (;;) {
        pthread_mutex_lock(&pipe->lock);
        itx = LIST_FIRST(&pipe->ends[peer->side].told, struct inproc_tx, link);
        if (itx != NULL)
            list_del(&itx->link);
        pthread_mutex_unlock(&pipe->lock);
        if (itx == NULL)
            return;
        peer_tell(peer, itx, itx->rc);
    }
}

/* From OPEN to FAILED: this end takes no more part. A last kick finishes it. */
static void
peer_fail(struct net_peer *peer, int rc)
{
    struct inproc_pipe *pipe = peer->pipe;

    if (peer->state != INPROC_OPEN)
        return;
    peer->state = INPROC_FAILED;
    peer->down_rc = rc;
    pthread_mutex_lock(&pipe->lock);
    pipe_withdraw(pipe, peer->side, rc);
    pipe_kick(pipe, peer->side);
    pipe->ends[peer->side].closed = true;
    pipe_kick(pipe, 1 - peer->side);
    pthread_mutex_unlock(&pipe->lock);
}

static void
peer_finish(struct net_peer *peer)
{
    struct net *net = peer->net;
    struct inproc_pipe *pipe = peer->pipe;

    CAIRN_ASSERT(peer->state == INPROC_FAILED);
    net->in_cbs++;
    peer_tell_all(peer);
    if (peer->user_ref) {
        net->loop->cbs_nr++;
        net->cbs.down(net->arg, peer, peer->down_rc);
    }
    net->in_cbs--;
    list_del(&peer->link);
    peer->net = NULL;
    peer->state = INPROC_GONE;
    pthread_mutex_lock(&pipe->lock);
    pipe->ends[peer->side].peer = NULL;
    pipe_unref_unlock(pipe);
    if (!peer->user_ref)
        free(peer);
}

/* ---- receiving ------------------------------------------------------------------------------------------------------ */

/* Copy the payload to `dst`, or with NULL to memory of the message. Errors: UNREACH its sender has closed; NOMEM. */
static int
msg_copy(struct inproc_pipe *pipe, uint32_t to, struct inproc_msg *msg, uint8_t *dst,
    const uint8_t **ret_payload)
{
    uint8_t *own = NULL;
    bool revoked;

    if (dst == NULL) {
        own = malloc(msg->payload_len);
        if (own == NULL)
            return CAIRN_ERR(NOMEM);
        dst = own;
    }
    pthread_mutex_lock(&pipe->lock);
    revoked = msg->revoked;
    msg->copying = !revoked;
    pthread_mutex_unlock(&pipe->lock);
    if (revoked) {
        free(own);
        return CAIRN_ERR(UNREACH);
    }
    memcpy(dst, msg->payload, msg->payload_len);
    pthread_mutex_lock(&pipe->lock);
    msg->copying = false;
    msg_release(pipe, to, msg, 0);
    if (own != NULL) {
        free(msg->saved); /* of a cancelled tx */
        msg->saved = own;
    }
    pthread_cond_broadcast(&pipe->copied);
    pthread_mutex_unlock(&pipe->lock);
    *ret_payload = dst;
    return 0;
}

static void
peer_recv(struct net_peer *peer, struct inproc_msg *msg)
{
    struct net *net = peer->net;
    const uint8_t *payload = NULL;
    struct iov dst = {NULL, 0};
    int rc;

    if (msg->payload_len > 0) {
        if (net->cbs.place == NULL ||
            !net->cbs.place(net->arg, peer, msg->head, msg->head_len, msg->payload_len, &dst))
            dst = (struct iov){NULL, msg->payload_len};
        CAIRN_ASSERT(dst.len >= msg->payload_len);
        if (peer->state != INPROC_OPEN)
            return;
        rc = msg_copy(peer->pipe, peer->side, msg, dst.buf, &payload);
        if (rc != 0)
            peer_fail(peer, rc);
    }
    if (peer->state != INPROC_OPEN)
        return;
    net->loop->cbs_nr++;
    net->cbs.recv(net->arg, peer, msg->head, msg->head_len, payload, msg->payload_len);
}

static void
peer_drain(struct net_peer *peer)
{
    struct inproc_pipe *pipe = peer->pipe;
    struct inproc_end *end = &pipe->ends[peer->side];
    struct inproc_msg *msg;
    struct list_head round;

    list_init(&round);
    pthread_mutex_lock(&pipe->lock);
    list_splice_tail(&end->inbox, &round);
    end->inbox_nr = 0;
    LIST_FOREACH(msg, &round, struct inproc_msg, link) {
        msg->taken = true;
    }
    pthread_mutex_unlock(&pipe->lock);
    while ((msg = LIST_FIRST(&round, struct inproc_msg, link)) != NULL) {
        list_del(&msg->link);
        if (peer->state == INPROC_OPEN)
            peer_recv(peer, msg);
        pthread_mutex_lock(&pipe->lock);
        msg_release(pipe, peer->side, msg, -(int)DER_UNREACH); /* if nobody copied it */
        pthread_mutex_unlock(&pipe->lock);
        msg_free(msg);
    }
}

static void
peer_accept(struct net_peer *peer)
{
    struct net *net = peer->net;

    pthread_mutex_lock(&net->pl->inproc->lock);
    list_del(&peer->pipe->incoming_link);
    pthread_mutex_unlock(&net->pl->inproc->lock);
    list_add_tail(&peer->link, &net->peers);
    net->loop->cbs_nr++;
    net->cbs.accepted(net->arg, peer);
}

static void
peer_work(struct net_peer *peer)
{
    struct inproc_pipe *pipe = peer->pipe;
    struct net *net = peer->net;
    bool over;

    net->in_cbs++;
    if (list_empty(&peer->link))
        peer_accept(peer);
    peer_tell_all(peer);
    if (peer->state == INPROC_OPEN)
        peer_drain(peer);
    net->in_cbs--;
    pthread_mutex_lock(&pipe->lock);
    over = pipe->ends[1 - peer->side].closed && list_empty(&pipe->ends[peer->side].inbox);
    pthread_mutex_unlock(&pipe->lock);
    if (over)
        peer_fail(peer, CAIRN_ERR(UNREACH));
    if (peer->state == INPROC_FAILED)
        peer_finish(peer);
}

static void
pipe_kicked(struct plat_post *post)
{
    struct inproc_end *end = CAIRN_CONTAINER_OF(post, struct inproc_end, kick);
    struct inproc_pipe *pipe = end->pipe;
    struct net_peer *peer;

    pthread_mutex_lock(&pipe->lock);
    end->kicked = false;
    peer = end->peer;
    pthread_mutex_unlock(&pipe->lock);
    if (peer != NULL)
        peer_work(peer);
    pthread_mutex_lock(&pipe->lock);
    pipe_unref_unlock(pipe);
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static struct net *
hub_find(struct inproc_hub *hub, const char *uri)
{
    struct net *net;

    LIST_FOREACH(net, &hub->nets, struct net, link) {
        if (strcmp(net->uri, uri) == 0)
            return net;
    }
    return NULL;
}

static int
inproc_uri_check(const char *uri)
{
    if (strncmp(uri, "inproc://", 9) != 0 || uri[9] == '\0' || strlen(uri) >= INPROC_NAME_BYTES)
        return CAIRN_ERR(INVAL);
    return 0;
}

static int
inproc_open(struct plat *plat, struct plat_loop *loop, const char *listen_uri,
    const struct net_cbs *cbs, void *arg, struct net **ret_net)
{
    struct plat_linux *pl = plat_linux_of(plat);
    struct net *net;
    int rc = listen_uri == NULL ? 0 : inproc_uri_check(listen_uri);

    if (rc != 0)
        return rc;
    net = calloc(1, sizeof(*net));
    if (net == NULL)
        return CAIRN_ERR(NOMEM);
    net->pl = pl;
    net->loop = loop;
    net->cbs = *cbs;
    net->arg = arg;
    list_init(&net->link);
    list_init(&net->incoming);
    list_init(&net->peers);
    if (listen_uri != NULL) {
        snprintf(net->uri, sizeof(net->uri), "%s", listen_uri);
        pthread_mutex_lock(&pl->inproc->lock);
        if (hub_find(pl->inproc, listen_uri) != NULL) {
            rc = CAIRN_ERR(BUSY);
        } else {
            list_add_tail(&net->link, &pl->inproc->nets);
        }
        pthread_mutex_unlock(&pl->inproc->lock);
    }
    if (rc != 0) {
        LOG_WARN("%s: another endpoint of this process listens there", listen_uri);
        free(net);
        return rc;
    }
    *ret_net = net;
    return 0;
}

static void
inproc_close(struct net *net)
{
    struct net_peer *peer;

    if (net == NULL)
        return;
    CAIRN_ASSERT(net->in_cbs == 0);
    pthread_mutex_lock(&net->pl->inproc->lock);
    list_del(&net->link);
    while (!list_empty(&net->incoming)) { /* never accepted: the user does not know them */
        struct inproc_pipe *pipe = LIST_FIRST(&net->incoming, struct inproc_pipe, incoming_link);

        list_del(&pipe->incoming_link);
        pipe->ends[1].peer->user_ref = false;
        list_add_tail(&pipe->ends[1].peer->link, &net->peers);
    }
    pthread_mutex_unlock(&net->pl->inproc->lock);
    LIST_FOREACH(peer, &net->peers, struct net_peer, link) {
        peer_fail(peer, -(int)DER_CANCELED); /* before any callback: no more sends */
    }
    while ((peer = LIST_FIRST(&net->peers, struct net_peer, link)) != NULL) {
        peer_finish(peer);
    }
    free(net);
}

static struct net_peer *
peer_new(struct net *net, struct inproc_pipe *pipe, uint32_t side)
{
    struct net_peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return NULL;
    peer->net = net;
    peer->pipe = pipe;
    peer->side = side;
    peer->user_ref = true;
    list_init(&peer->link);
    pipe->ends[side].peer = peer;
    pipe->ends[side].loop = net->loop;
    pipe->ends[side].closed = false;
    pipe->refs_nr++;
    return peer;
}

static int
inproc_connect(struct net *net, const char *uri, struct net_peer **ret_peer)
{
    struct inproc_hub *hub = net->pl->inproc;
    struct inproc_pipe *pipe;
    struct net_peer *peer;
    struct net *listener;
    int rc = inproc_uri_check(uri);

    if (rc != 0)
        return rc;
    pipe = pipe_new();
    if (pipe == NULL)
        return CAIRN_ERR(NOMEM);
    peer = peer_new(net, pipe, 0);
    if (peer == NULL) {
        free(pipe);
        return CAIRN_ERR(NOMEM);
    }
    list_add_tail(&peer->link, &net->peers);
    pthread_mutex_lock(&hub->lock);
    listener = hub_find(hub, uri);
    pthread_mutex_lock(&pipe->lock);
    if (listener != NULL && peer_new(listener, pipe, 1) != NULL) {
        list_add_tail(&pipe->incoming_link, &listener->incoming);
        pipe_kick(pipe, 1);
    } else {
        pipe_kick(pipe, 0); /* it finds the other end closed */
    }
    pthread_mutex_unlock(&pipe->lock);
    pthread_mutex_unlock(&hub->lock);
    *ret_peer = peer;
    return 0;
}

static struct inproc_msg *
msg_new(const struct net_tx *tx)
{
    struct inproc_msg *msg = malloc(sizeof(*msg) + tx->head.len);

    if (msg == NULL)
        return NULL;
    memset(msg, 0, sizeof(*msg));
    memcpy(msg->head, tx->head.buf, tx->head.len);
    msg->head_len = tx->head.len;
    msg->payload = tx->payload.buf;
    msg->payload_len = tx->payload.len;
    list_init(&msg->link);
    return msg;
}

static int
inproc_send(struct net_peer *peer, struct net_tx *tx)
{
    struct inproc_tx *itx = inproc_tx_of(tx);
    struct inproc_pipe *pipe = peer->pipe;
    struct inproc_end *here, *there;
    struct inproc_msg *msg;
    int rc = 0;

    if (tx->head.len == 0 || tx->head.len > NET_HDR_BYTES_MAX ||
        tx->payload.len > NET_PAYLOAD_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    if (peer->state != INPROC_OPEN)
        return CAIRN_ERR(UNREACH);
    msg = msg_new(tx);
    if (msg == NULL)
        return CAIRN_ERR(NOMEM);
    here = &pipe->ends[peer->side];
    there = &pipe->ends[1 - peer->side];
    memset(itx, 0, sizeof(*itx));
    pthread_mutex_lock(&pipe->lock);
    if (there->closed) { /* as on a socket: taken, and failed a little later */
        itx->rc = -(int)DER_UNREACH;
        list_add_tail(&itx->link, &here->told);
        pipe_kick(pipe, peer->side);
    } else if (there->inbox_nr >= NET_SENDQ_MSGS_MAX) {
        rc = CAIRN_ERR(BUSY);
    } else {
        if (tx->payload.len > 0) {
            msg->tx = tx;
            itx->msg = msg;
            list_add_tail(&itx->link, &here->lent);
        } else {
            list_add_tail(&itx->link, &here->told);
            pipe_kick(pipe, peer->side);
        }
        list_add_tail(&msg->link, &there->inbox);
        there->inbox_nr++;
        msg = NULL;
        pipe_kick(pipe, 1 - peer->side);
    }
    pthread_mutex_unlock(&pipe->lock);
    free(msg);
    return rc;
}

static void
inproc_tx_cancel(struct net_peer *peer, struct net_tx *tx)
{
    struct inproc_tx *itx = inproc_tx_of(tx);
    struct inproc_pipe *pipe = peer->pipe;
    struct inproc_msg *msg;
    bool broken = false;
    int rc;

    pthread_mutex_lock(&pipe->lock);
    tx_copied_wait(pipe, itx);
    msg = itx->msg;
    rc = itx->rc; /* of a tx that is finished and only not told yet */
    if (msg != NULL && !msg->taken) {
        inbox_drop(pipe, 1 - peer->side, msg, 0);
        rc = -(int)DER_CANCELED;
    } else if (msg != NULL) {
        msg->saved = malloc(msg->payload_len);
        if (msg->saved != NULL) {
            memcpy(msg->saved, msg->payload, msg->payload_len);
            msg->payload = msg->saved;
        }
        broken = msg->saved == NULL;
        msg->revoked = msg->revoked || broken;
        msg_release(pipe, 1 - peer->side, msg, 0);
        rc = broken ? -(int)DER_CANCELED : 0;
    }
    list_del(&itx->link);
    pthread_mutex_unlock(&pipe->lock);
    if (broken)
        peer_fail(peer, CAIRN_ERR(NOMEM));
    peer_tell(peer, itx, rc);
}

static void
inproc_disconnect(struct net_peer *peer)
{
    peer_fail(peer, -(int)DER_CANCELED);
}

static void
inproc_peer_put(struct net_peer *peer)
{
    if (peer == NULL)
        return;
    CAIRN_ASSERT(peer->user_ref);
    peer->user_ref = false;
    if (peer->state == INPROC_GONE) {
        free(peer);
    } else {
        peer_fail(peer, -(int)DER_CANCELED); /* no down(): nobody is there to hear it */
    }
}

static void *
inproc_peer_arg(struct net_peer *peer)
{
    return peer->arg;
}

static void
inproc_peer_arg_set(struct net_peer *peer, void *arg)
{
    peer->arg = arg;
}

static const char *
inproc_uri(struct net *net)
{
    return net->uri;
}

int
plat_linux_inproc_hub_create(struct inproc_hub **ret_hub)
{
    struct inproc_hub *hub = calloc(1, sizeof(*hub));

    if (hub == NULL)
        return CAIRN_ERR(NOMEM);
    pthread_mutex_init(&hub->lock, NULL);
    list_init(&hub->nets);
    *ret_hub = hub;
    return 0;
}

void
plat_linux_inproc_hub_destroy(struct inproc_hub *hub)
{
    if (hub == NULL)
        return;
    CAIRN_ASSERT(list_empty(&hub->nets));
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

const struct net_ops plat_linux_inproc_ops = {
    .name = "inproc",
    .open = inproc_open,
    .close = inproc_close,
    .connect = inproc_connect,
    .send = inproc_send,
    .tx_cancel = inproc_tx_cancel,
    .disconnect = inproc_disconnect,
    .peer_put = inproc_peer_put,
    .peer_arg = inproc_peer_arg,
    .peer_arg_set = inproc_peer_arg_set,
    .uri = inproc_uri,
};
