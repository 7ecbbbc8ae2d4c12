/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "rpc/test/rpc_fake.h"

#include <stdlib.h>
#include <string.h>

struct net {
    struct fake *fake;
};

static int
fake_net_open(struct plat *plat, struct plat_loop *loop, const char *listen_uri,
    const struct net_cbs *cbs, void *arg, struct net **ret_net)
{
    struct fake *fake = CAIRN_CONTAINER_OF(
        CAIRN_CONTAINER_OF(plat->ops, struct fake_plat_ops, ops), struct fake, fops);

    (void)loop;
    (void)listen_uri;
    fake->cbs = *cbs;
    fake->cbs_arg = arg;
    *ret_net = calloc(1, sizeof(**ret_net));
    (*ret_net)->fake = fake;
    return 0;
}

static void
fake_net_close(struct net *net)
{
    free(net);
}

static struct net_peer *
peer_create(struct fake *fake)
{
    struct net_peer *peer = calloc(1, sizeof(*peer));

    peer->fake = fake;
    peer->room = FAKE_TXS_MAX;
    return peer;
}

static int
fake_net_connect(struct net *net, const char *uri, struct net_peer **ret_peer)
{
    (void)uri;
    net->fake->connected = peer_create(net->fake);
    *ret_peer = net->fake->connected;
    return 0;
}

static int
fake_net_send(struct net_peer *peer, struct net_tx *tx)
{
    if (peer->is_broken)
        return -DER_UNREACH;
    if (peer->room == 0 || peer->txs_nr == FAKE_TXS_MAX)
        return -DER_BUSY;
    peer->room--;
    peer->txs[peer->txs_nr++] = tx;
    return 0;
}

static void
fake_net_cancel(struct net_peer *peer, struct net_tx *tx)
{
    for (uint32_t i = 0; i < peer->txs_nr; i++) {
        if (peer->txs[i] == tx) {
            memmove(&peer->txs[i], &peer->txs[i + 1], (--peer->txs_nr - i) * sizeof(tx));
            tx->done(tx, -DER_CANCELED);
            return;
        }
    }
    abort(); /* a tx that is not here */
}

static void
fake_net_disconnect(struct net_peer *peer)
{
    peer->is_disconnected = true;
}

static void
fake_net_put(struct net_peer *peer)
{
    if (peer->fake->connected == peer)
        peer->fake->connected = NULL;
    free(peer);
}

static void *
fake_net_arg(struct net_peer *peer)
{
    return peer->arg;
}

static void
fake_net_arg_set(struct net_peer *peer, void *arg)
{
    peer->arg = arg;
}

static const char *
fake_net_uri(struct net *net)
{
    (void)net;
    return "fake://";
}

static const struct net_ops fake_net_ops = {.name = "fake",
    .open = fake_net_open,
    .close = fake_net_close,
    .connect = fake_net_connect,
    .send = fake_net_send,
    .tx_cancel = fake_net_cancel,
    .disconnect = fake_net_disconnect,
    .peer_put = fake_net_put,
    .peer_arg = fake_net_arg,
    .peer_arg_set = fake_net_arg_set,
    .uri = fake_net_uri};

static const struct net_ops *
fake_plat_net(struct plat *plat, const char *uri)
{
    (void)plat;
    (void)uri;
    return &fake_net_ops;
}

static int
fake_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    (void)arg;
    (void)ep;
    (void)ret_addr;
    return 0;
}

struct fake *
fake_create(const struct rpc_handler *handlers, uint32_t handler_nr, void *handler_arg)
{
    static const struct sim_opts sim_opts = {.seed = 1};
    struct fake *fake = calloc(1, sizeof(*fake));
    struct rpc_ctx_opts opts = {.listen_uri = "fake://",
        .rank = 1,
        .incarnation = 100,
        .client = {{1}},
        .handlers = handlers,
        .handler_nr = handler_nr,
        .handler_arg = handler_arg,
        .resolve = fake_resolve};

    fake->incarnation = opts.incarnation;
    if (sim_create(&sim_opts, &fake->sim) != 0 ||
        sim_node_start(fake->sim, "h", "n", &fake->plat) != 0)
        abort();
    fake->fops.ops = *fake->plat->ops;
    fake->fops.ops.net = fake_plat_net;
    fake->plat->ops = &fake->fops.ops;
    if (xstream_create(fake->plat, NULL, &fake->xs) != 0)
        abort();
    opts.xs = fake->xs;
    if (rpc_ctx_create(&opts, &fake->ctx) != 0 || xstream_start(fake->xs) != 0)
        abort();
    return fake;
}

static void
end_main(void *arg)
{
    struct fake *fake = arg;

    rpc_ctx_destroy(fake->ctx);
    fake->is_destroyed = true;
}

/* What a transport would do about every disconnect(). */
static void
downs(struct fake *fake)
{
    struct rpc_conn *conn, *tmp;

    LIST_FOREACH_SAFE(conn, tmp, &fake->ctx->conns, struct rpc_conn, link) {
        fake_flush(conn->peer);
        if (conn->peer->is_disconnected) {
            fake_down(conn->peer);
        }
    }
}

void
fake_destroy(struct fake *fake)
{
    fake_ult(fake, end_main, fake);
    for (int i = 0; i < 2000 && !fake->is_destroyed; i++) {
        fake_run(fake, 10 * 1000 * 1000);
        if (!fake->is_destroyed) {
            downs(fake);
        }
    }
    if (!fake->is_destroyed)
        abort();
    fake_run(fake, 1000 * 1000);
    xstream_stop(fake->xs);
    xstream_destroy(fake->xs);
    sim_destroy(fake->sim);
    free(fake);
}

struct net_peer *
fake_accept(struct fake *fake)
{
    struct net_peer *peer = peer_create(fake);

    fake->cbs.accepted(fake->cbs_arg, peer);
    return peer;
}

bool
fake_place(struct net_peer *peer, const void *head, size_t head_len, size_t payload_len,
    struct iov *ret_dst)
{
    return peer->fake->cbs.place(peer->fake->cbs_arg, peer, head, head_len, payload_len, ret_dst);
}

void
fake_recv(struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    struct fake *fake = peer->fake;
    struct iov dst;

    if (payload_len > 0 && fake_place(peer, head, head_len, payload_len, &dst)) {
        memcpy(dst.buf, payload, payload_len);
        payload = dst.buf;
    }
    fake->cbs.recv(
        fake->cbs_arg, peer, head, head_len, payload_len > 0 ? payload : NULL, payload_len);
}

void
fake_flush(struct net_peer *peer)
{
    while (peer->txs_nr > 0) {
        struct net_tx *tx = peer->txs[0];

        memmove(&peer->txs[0], &peer->txs[1], --peer->txs_nr * sizeof(tx));
        tx->done(tx, 0);
    }
}

void
fake_down(struct net_peer *peer)
{
    struct fake *fake = peer->fake;

    while (peer->txs_nr > 0) {
        struct net_tx *tx = peer->txs[--peer->txs_nr];

        tx->done(tx, -DER_UNREACH);
    }
    fake->cbs.down(fake->cbs_arg, peer, -DER_UNREACH);
}

void
fake_run(struct fake *fake, uint64_t ns)
{
    fake->plat->ops->loop_wake(
        xstream_loop(fake->xs)); /* what was delivered from outside made ULTs ready */
    sim_run_for(fake->sim, ns);
}

void
fake_ult(struct fake *fake, void (*fn)(void *arg), void *arg)
{
    if (xstream_post(fake->xs, ULT_SERVICE, fn, arg) != 0)
        abort();
}
