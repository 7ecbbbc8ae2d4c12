/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The simulated network: endpoints "sim://node/name", connections between them, packets on the event queue.
 *
 * It behaves as `sock` does over TCP, as far as a user of net_ops can tell, and worse where sim_opts says so:
 *
 *   SNET-1  Packets of one direction of a connection arrive in order, each after a random latency; one chosen for reordering arrives out
 *           of order; a duplicated one twice; a lost one never. None of this happens to the packets that open and close a connection.
 *   SNET-2  A direction holds SNET_WINDOW_BYTES (or sim_opts) that the receiver has not consumed; beyond them a tx stays pending. So a stopped
 *           peer pushes back, as sockets do (MS-6).
 *   SNET-3  A packet that meets a link which is down, or a host without power, is parked, and those behind it too. They go on when
 *           the link heals or the host is back. After SNET_DEAD_NS the connection drops at both ends.
 *   SNET-4  A process that dies lets its packets in flight arrive, then the end of the stream. A host that loses power says nothing.
 *           What arrives where nobody is any more is answered by a reset.
 *   SNET-5  Where place() named a buffer, one payload in four arrives in two parts, with time (or the end) in between.
 *
 *   connect():  SYN ----> an end at the listener, accepted()     <---- SYNACK: the sends queued so far leave
 *
 * States of an end: OPENING -> UP -> FAILED (told by the next poll) -> GONE. Tested by plat_net_test.c and plat_sim_net_test.c.
 */
#include "plat/sim/plat_sim_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"

#define SNET_DEAD_NS (UINT64_C(20) * 1000000000)
#define SNET_HEAL_NS_MAX UINT64_C(200000000) /* until the retransmission after a heal */

enum {
    SNET_WINDOW_BYTES = 256 << 10,
    SNET_REORDER_FACTOR = 10, /* a packet out of order takes up to that many latencies */
    SNET_BYTES_PER_NS = 8,
    SNET_SPLIT_ONE_IN = 4,
    SNET_NAME_BYTES = 64,
};

enum snet_kind { SNET_SYN = 1, SNET_SYNACK, SNET_DATA, SNET_EOF, SNET_RST };
enum snet_state { SNET_OPENING, SNET_UP, SNET_FAILED, SNET_GONE };

struct sim_link {
    struct list_head link; /* sim->links_down */
    struct sim_host *from, *to;
};

struct snet_pkt {
    struct list_head link; /* conn->pkts, in order of sending */
    struct list_head rx_link; /* the receiving end's rxq, once arrived */
    struct sim_ev ev;
    struct snet_conn *conn;
    enum snet_kind kind;
    uint32_t to; /* side */
    bool parked;
    bool charged; /* counts in the sender's window */
    size_t head_len, payload_len;
    uint8_t bytes[];
};

struct snet_conn {
    struct list_head link; /* sim->conns */
    struct sim *sim;
    struct net_peer *ends[2]; /* 0 connected, 1 accepted; NULL: not there (any more) */
    struct sim_host *hosts[2];
    uint64_t last_ns[2]; /* when the newest ordered packet to that side arrives */
    uint32_t parked_nr[2]; /* packets to that side that wait */
    struct list_head pkts;
    struct sim_ev dead_ev;
    bool cut;
    char node_name[SIM_NAME_BYTES]; /* where it leads */
    char net_name[SNET_NAME_BYTES];
};

struct net {
    struct list_head link; /* node->nets */
    struct sim_node *node;
    struct plat_loop *loop;
    struct net_cbs cbs;
    void *arg;
    struct list_head peers;
    uint32_t in_cbs;
    char name[SNET_NAME_BYTES]; /* "" for clients */
    char uri[NET_URI_MAX];
};

struct net_peer {
    struct list_head link; /* net->peers, until GONE */
    struct list_head all_link; /* node->peers, until freed */
    struct net *net; /* NULL when GONE */
    struct snet_conn *conn;
    uint32_t side;
    enum snet_state state;
    bool user_ref;
    bool told_accept;
    bool eof; /* FAILED once rxq is consumed */
    int down_rc;
    void *arg;
    struct sim_ready ready;
    struct list_head sendq; /* struct snet_tx */
    uint32_t sendq_nr;
    size_t inflight_bytes;
    struct list_head rxq; /* arrived packets */
    struct snet_pkt *rx_part; /* its payload is there in part */
    uint8_t *rx_dst;
    struct sim_ev rx_ev; /* the other part comes */
};

struct snet_tx {
    struct list_head link;
};

static struct net_tx *
net_tx_of(struct snet_tx *stx)
{
    return CAIRN_CONTAINER_OF(stx, struct net_tx, priv);
}

static struct snet_tx *
snet_tx_of(struct net_tx *tx)
{
    return (struct snet_tx *)(void *)tx->priv;
}

static void conn_free_if_over(struct snet_conn *conn);
static void pkt_arrive(struct sim *sim, struct sim_ev *ev);

/* ---- links ---------------------------------------------------------------------------------------------------------- */

static struct sim_link *
link_down_find(struct sim *sim, const struct sim_host *from, const struct sim_host *to)
{
    struct sim_link *down;

    LIST_FOREACH(down, &sim->links_down, struct sim_link, link) {
        if (down->from == from && down->to == to)
            return down;
    }
    return NULL;
}

/* Parked packets try again: in order, a retransmission time from now. */
void
sim_conns_retry(struct sim *sim)
{
    struct snet_conn *conn;
    struct snet_pkt *pkt;

    LIST_FOREACH(conn, &sim->conns, struct snet_conn, link) {
        uint64_t at_ns = sim->now_ns + rng_below(&sim->net_rng, SNET_HEAL_NS_MAX);

        if (conn->cut || conn->parked_nr[0] + conn->parked_nr[1] == 0)
            continue;
        conn->parked_nr[0] = 0;
        conn->parked_nr[1] = 0;
        sim_ev_cancel(sim, &conn->dead_ev);
        LIST_FOREACH(pkt, &conn->pkts, struct snet_pkt, link) {
            if (!pkt->parked)
                continue;
            pkt->parked = false;
            conn->last_ns[pkt->to] = MAX(conn->last_ns[pkt->to], at_ns);
            sim_ev_set(sim, &pkt->ev, conn->last_ns[pkt->to]);
        }
    }
}

void
sim_link_set(struct sim *sim, const char *from_host, const char *to_host, bool up)
{
    struct sim_host *from = sim_host_get(sim, from_host);
    struct sim_host *to = sim_host_get(sim, to_host);
    struct sim_link *down = link_down_find(sim, from, to);

    sim_trace(sim, SIM_TRACE_CONN, 100, up);
    if (up && down != NULL) {
        list_del(&down->link);
        free(down);
        sim_conns_retry(sim);
    } else if (!up && down == NULL) {
        down = sim_alloc(sizeof(*down));
        down->from = from;
        down->to = to;
        list_add_tail(&down->link, &sim->links_down);
    }
}

/* ---- packets -------------------------------------------------------------------------------------------------------- */

/* Its window is given back, if its sender is still there. */
static void
pkt_free(struct snet_pkt *pkt)
{
    struct snet_conn *conn = pkt->conn;
    struct net_peer *sender = conn->ends[1 - pkt->to];

    sim_ev_cancel(conn->sim, &pkt->ev);
    if (pkt->charged && sender != NULL) {
        sender->inflight_bytes -= pkt->head_len + pkt->payload_len;
        if (!list_empty(&sender->sendq))
            sim_loop_ready(sender->net->loop, &sender->ready);
    }
    if (pkt->parked)
        conn->parked_nr[pkt->to]--;
    list_del(&pkt->link);
    list_del(&pkt->rx_link);
    free(pkt);
}

static struct snet_pkt *
pkt_new(struct snet_conn *conn, enum snet_kind kind, uint32_t to, size_t len)
{
    struct snet_pkt *pkt = sim_alloc(sizeof(*pkt) + len);

    pkt->conn = conn;
    pkt->kind = kind;
    pkt->to = to;
    pkt->ev.fn = pkt_arrive;
    list_init(&pkt->rx_link);
    list_add_tail(&pkt->link, &conn->pkts);
    return pkt;
}

static uint64_t
pkt_latency_ns(struct sim *sim, size_t len)
{
    return rng_range(&sim->net_rng, sim->opts.net_lat_lo_ns, sim->opts.net_lat_hi_ns) + 1 +
        len / SNET_BYTES_PER_NS;
}

static void
pkt_send_ordered(struct snet_pkt *pkt)
{
    struct snet_conn *conn = pkt->conn;
    uint64_t at_ns = conn->sim->now_ns + pkt_latency_ns(conn->sim, pkt->head_len + pkt->payload_len);

    conn->last_ns[pkt->to] = MAX(conn->last_ns[pkt->to], at_ns);
    sim_ev_set(conn->sim, &pkt->ev, conn->last_ns[pkt->to]);
}

static void
conn_signal(struct snet_conn *conn, enum snet_kind kind, uint32_t to)
{
    pkt_send_ordered(pkt_new(conn, kind, to, 0));
}

/* ---- ends ----------------------------------------------------------------------------------------------------------- */

static void
end_fail(struct net_peer *peer, int rc)
{
    if (peer->state == SNET_FAILED || peer->state == SNET_GONE)
        return;
    peer->state = SNET_FAILED;
    peer->down_rc = rc;
    sim_ev_cancel(peer->net->node->sim, &peer->rx_ev);
    sim_loop_ready(peer->net->loop, &peer->ready);
}

/* The end leaves its connection; what it had received and not consumed goes. */
static void
end_detach(struct net_peer *peer)
{
    struct snet_conn *conn = peer->conn;

    if (conn == NULL)
        return;
    sim_ev_cancel(conn->sim, &peer->rx_ev);
    if (peer->rx_part != NULL)
        pkt_free(peer->rx_part);
    peer->rx_part = NULL;
    while (!list_empty(&peer->rxq)) {
        pkt_free(LIST_FIRST(&peer->rxq, struct snet_pkt, rx_link));
    }
    conn->ends[peer->side] = NULL;
    peer->conn = NULL;
    conn_free_if_over(conn);
}

static void
conn_free_if_over(struct snet_conn *conn)
{
    if (conn->ends[0] != NULL || conn->ends[1] != NULL || !list_empty(&conn->pkts))
        return;
    sim_ev_cancel(conn->sim, &conn->dead_ev);
    list_del(&conn->link);
    free(conn);
}

static void
conn_dead(struct sim *sim, struct sim_ev *ev)
{
    struct snet_conn *conn = CAIRN_CONTAINER_OF(ev, struct snet_conn, dead_ev);
    struct snet_pkt *pkt, *next;

    sim_trace(sim, SIM_TRACE_CONN, 101, 0);
    conn->cut = true;
    for (int side = 0; side < 2; side++) {
        if (conn->ends[side] != NULL)
            end_fail(conn->ends[side], CAIRN_ERR(UNREACH));
    }
    LIST_FOREACH_SAFE(pkt, next, &conn->pkts, struct snet_pkt, link) {
        struct net_peer *to = conn->ends[pkt->to];

        if (list_empty(&pkt->rx_link) && (to == NULL || to->rx_part != pkt))
            pkt_free(pkt); /* those that have arrived go with their end */
    }
    conn_free_if_over(conn);
}

static void
conn_doubt(struct snet_conn *conn)
{
    if (!heap_node_is_in(&conn->dead_ev.hn))
        sim_ev_set(conn->sim, &conn->dead_ev, conn->sim->now_ns + SNET_DEAD_NS);
}

static struct net_peer *end_new(struct net *net, struct snet_conn *conn, uint32_t side);

static struct net *
net_find(struct sim *sim, const char *node_name, const char *net_name)
{
    struct sim_node *node;
    struct net *net;

    LIST_FOREACH(node, &sim->nodes, struct sim_node, link) {
        if (sim_node_gone(node) || strcmp(node->name, node_name) != 0)
            continue;
        LIST_FOREACH(net, &node->nets, struct net, link) {
            if (net->name[0] != '\0' && strcmp(net->name, net_name) == 0)
                return net;
        }
    }
    return NULL;
}

static void
conn_syn(struct snet_conn *conn)
{
    struct net *net = net_find(conn->sim, conn->node_name, conn->net_name);
    struct net_peer *peer;

    if (net == NULL || net->node->host != conn->hosts[1]) {
        conn_signal(conn, SNET_RST, 0);
        return;
    }
    peer = end_new(net, conn, 1);
    peer->state = SNET_UP;
    conn_signal(conn, SNET_SYNACK, 0);
    sim_loop_ready(net->loop, &peer->ready);
}

/* A packet to an end that is there. Takes the packet over. */
static void
end_arrive(struct net_peer *peer, struct snet_pkt *pkt)
{
    switch (pkt->kind) {
    case SNET_SYNACK:
        if (peer->state == SNET_OPENING)
            peer->state = SNET_UP;
        break;
    case SNET_DATA:
        if (peer->state == SNET_OPENING)
            peer->state = SNET_UP; /* it overtook the SYNACK */
        if (peer->state != SNET_UP || peer->eof)
            break;
        list_add_tail(&pkt->rx_link, &peer->rxq);
        sim_loop_ready(peer->net->loop, &peer->ready);
        return;
    case SNET_EOF:
        peer->eof = true;
        break;
    case SNET_RST:
        end_fail(peer, CAIRN_ERR(UNREACH));
        break;
    case SNET_SYN:
        break;
    }
    sim_loop_ready(peer->net->loop, &peer->ready);
    pkt_free(pkt);
}

static void
pkt_arrive(struct sim *sim, struct sim_ev *ev)
{
    struct snet_pkt *pkt = CAIRN_CONTAINER_OF(ev, struct snet_pkt, ev);
    struct snet_conn *conn = pkt->conn;
    struct net_peer *peer = conn->ends[pkt->to];
    bool nowhere = !conn->hosts[pkt->to]->up;

    if (conn->parked_nr[pkt->to] > 0 || nowhere ||
        link_down_find(sim, conn->hosts[1 - pkt->to], conn->hosts[pkt->to]) != NULL) {
        pkt->parked = true; /* SNET-3 */
        conn->parked_nr[pkt->to]++;
        conn_doubt(conn);
        return;
    }
    sim_trace(sim, SIM_TRACE_MSG, (uint64_t)pkt->kind << 56 ^ pkt->head_len << 24 ^ pkt->payload_len,
        crc32c(0, pkt->bytes, pkt->head_len + pkt->payload_len));
    if (peer != NULL && sim_node_gone(peer->net->node))
        peer = NULL; /* it dies at this instant */
    if (peer != NULL && !conn->cut) {
        end_arrive(peer, pkt);
        return;
    }
    if (pkt->kind == SNET_SYN) {
        conn_syn(conn);
    } else if (pkt->kind == SNET_DATA && !conn->cut)
        conn_signal(conn, SNET_RST, 1 - pkt->to);
    pkt_free(pkt);
    conn_free_if_over(conn);
}

/* The connection breaks; each end learns of it a latency later. */
static void
conn_cut(struct snet_conn *conn)
{
    conn->cut = true;
    sim_trace(conn->sim, SIM_TRACE_CONN, 102, 0);
    sim_ev_set(conn->sim, &conn->dead_ev, conn->sim->now_ns + pkt_latency_ns(conn->sim, 0));
}

/* ---- sending -------------------------------------------------------------------------------------------------------- */

static void
data_send(struct net_peer *peer, const struct net_tx *tx)
{
    struct snet_conn *conn = peer->conn;
    struct sim *sim = conn->sim;
    struct rng *rng = &sim->net_rng;
    size_t len = tx->head.len + tx->payload.len;
    int copies = 1;

    if (sim_ppm(rng, sim->opts.net_cut_ppm))
        conn_cut(conn);
    if (conn->cut || sim_ppm(rng, sim->opts.net_loss_ppm))
        return;
    if (sim_ppm(rng, sim->opts.net_dup_ppm))
        copies = 2;
    for (int i = 0; i < copies; i++) {
        struct snet_pkt *pkt = pkt_new(conn, SNET_DATA, 1 - peer->side, len);

        pkt->head_len = tx->head.len;
        pkt->payload_len = tx->payload.len;
        memcpy(pkt->bytes, tx->head.buf, tx->head.len);
        if (tx->payload.len > 0)
            memcpy(pkt->bytes + tx->head.len, tx->payload.buf, tx->payload.len);
        if (i == 0) {
            pkt->charged = true;
            peer->inflight_bytes += len;
        }
        if (i == 0 && !sim_ppm(rng, sim->opts.net_reorder_ppm)) {
            pkt_send_ordered(pkt);
        } else {
            sim_ev_set(sim, &pkt->ev,
                sim->now_ns + pkt_latency_ns(sim, len) * rng_range(rng, 1, SNET_REORDER_FACTOR));
        }
    }
}

static void
end_tx_told(struct net_peer *peer, struct snet_tx *stx, int rc)
{
    struct net_tx *tx = net_tx_of(stx);

    list_del(&stx->link);
    peer->sendq_nr--;
    peer->net->loop->cbs_nr++;
    tx->done(tx, rc);
}

static bool
end_runs(const struct net_peer *peer)
{
    return peer->state != SNET_FAILED && peer->state != SNET_GONE && !sim_node_gone(peer->net->node);
}

static void
end_pump(struct net_peer *peer)
{
    const struct sim_opts *opts = &peer->conn->sim->opts;
    uint32_t window = opts->net_window_bytes != 0 ? opts->net_window_bytes : SNET_WINDOW_BYTES;
    struct snet_tx *stx;

    while (peer->state == SNET_UP && end_runs(peer) && peer->inflight_bytes < window &&
        (stx = LIST_FIRST(&peer->sendq, struct snet_tx, link)) != NULL) {
        data_send(peer, net_tx_of(stx));
        end_tx_told(peer, stx, 0);
    }
}

/* ---- receiving ------------------------------------------------------------------------------------------------------ */

static void
end_recv(struct net_peer *peer, struct snet_pkt *pkt, const uint8_t *payload)
{
    struct net *net = peer->net;

    net->loop->cbs_nr++;
    net->cbs.recv(net->arg, peer, pkt->bytes, pkt->head_len, payload, pkt->payload_len);
    pkt_free(pkt);
}

/* The second part of a payload: as any packet, or much later. */
static uint64_t
part_latency_ns(struct sim *sim, size_t len)
{
    uint64_t ns = pkt_latency_ns(sim, len);

    if (sim->opts.net_part_hi_ns != 0 && rng_below(&sim->net_rng, 4) == 0)
        ns += rng_below(&sim->net_rng, sim->opts.net_part_hi_ns);
    return ns;
}

static void
end_rx_rest(struct sim *sim, struct sim_ev *ev)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(ev, struct net_peer, rx_ev);

    (void)sim;
    sim_loop_ready(peer->net->loop, &peer->ready);
}

/* False: part of the payload is still to come. */
static bool
end_rx_one(struct net_peer *peer, struct snet_pkt *pkt)
{
    struct net *net = peer->net;
    struct sim *sim = net->node->sim;
    const uint8_t *payload = pkt->bytes + pkt->head_len;
    struct iov dst = {NULL, 0};

    if (pkt->payload_len == 0 || net->cbs.place == NULL ||
        !net->cbs.place(net->arg, peer, pkt->bytes, pkt->head_len, pkt->payload_len, &dst)) {
        if (end_runs(peer)) {
            end_recv(peer, pkt, pkt->payload_len > 0 ? payload : NULL);
        } else {
            pkt_free(pkt);
        }
        return true;
    }
    CAIRN_ASSERT(dst.len >= pkt->payload_len);
    if (!end_runs(peer)) {
        pkt_free(pkt);
        return true;
    }
    if (rng_below(&sim->net_rng, SNET_SPLIT_ONE_IN) == 0) { /* SNET-5 */
        memcpy(dst.buf, payload, pkt->payload_len / 2);
        peer->rx_part = pkt;
        peer->rx_dst = dst.buf;
        sim_ev_set(sim, &peer->rx_ev, sim->now_ns + part_latency_ns(sim, pkt->payload_len));
        return false;
    }
    memcpy(dst.buf, payload, pkt->payload_len);
    end_recv(peer, pkt, dst.buf);
    return true;
}

static void
end_rx(struct net_peer *peer)
{
    struct snet_pkt *pkt = peer->rx_part;

    if (pkt != NULL && heap_node_is_in(&peer->rx_ev.hn))
        return;
    if (pkt != NULL) {
        peer->rx_part = NULL;
        memcpy(peer->rx_dst, pkt->bytes + pkt->head_len, pkt->payload_len);
        end_recv(peer, pkt, peer->rx_dst);
    }
    while (end_runs(peer) && (pkt = LIST_FIRST(&peer->rxq, struct snet_pkt, rx_link)) != NULL) {
        list_del(&pkt->rx_link);
        if (!end_rx_one(peer, pkt))
            return;
    }
    if (peer->eof && list_empty(&peer->rxq) && peer->rx_part == NULL)
        end_fail(peer, CAIRN_ERR(UNREACH));
}

/* ---- life of an end ------------------------------------------------------------------------------------------------- */

static void
end_free(struct net_peer *peer)
{
    list_del(&peer->all_link);
    free(peer);
}

/* Everything is told, then the end is GONE. */
static void
end_finish(struct net_peer *peer)
{
    struct net *net = peer->net;
    struct snet_tx *stx;

    CAIRN_ASSERT(peer->state == SNET_FAILED);
    net->in_cbs++;
    while ((stx = LIST_FIRST(&peer->sendq, struct snet_tx, link)) != NULL) {
        end_tx_told(peer, stx, peer->down_rc);
    }
    if (peer->user_ref) {
        net->loop->cbs_nr++;
        net->cbs.down(net->arg, peer, peer->down_rc);
    }
    net->in_cbs--;
    list_del(&peer->link);
    list_del(&peer->ready.link);
    end_detach(peer);
    peer->net = NULL;
    peer->state = SNET_GONE;
    if (!peer->user_ref)
        end_free(peer);
}

static void
end_ready(struct sim_ready *ready)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(ready, struct net_peer, ready);
    struct net *net = peer->net;

    net->in_cbs++;
    if (!peer->told_accept) {
        peer->told_accept = true;
        net->loop->cbs_nr++;
        net->cbs.accepted(net->arg, peer);
    }
    if (end_runs(peer))
        end_pump(peer);
    if (end_runs(peer))
        end_rx(peer);
    if (end_runs(peer))
        end_pump(peer);
    net->in_cbs--;
    if (peer->state == SNET_FAILED && !sim_node_gone(net->node))
        end_finish(peer);
}

static struct net_peer *
end_new(struct net *net, struct snet_conn *conn, uint32_t side)
{
    struct net_peer *peer = sim_alloc(sizeof(*peer));

    peer->net = net;
    peer->conn = conn;
    peer->side = side;
    peer->state = SNET_OPENING;
    peer->told_accept = side == 0;
    peer->user_ref = true;
    peer->ready.fn = end_ready;
    peer->rx_ev.fn = end_rx_rest;
    list_init(&peer->ready.link);
    list_init(&peer->sendq);
    list_init(&peer->rxq);
    list_add_tail(&peer->link, &net->peers);
    list_add_tail(&peer->all_link, &net->node->peers);
    conn->ends[side] = peer;
    return peer;
}

/* From this side, by close or disconnect: the other side sees the end of the stream after what was sent. */
static void
end_leave(struct net_peer *peer, int rc)
{
    struct snet_conn *conn = peer->conn;

    if (peer->state == SNET_FAILED || peer->state == SNET_GONE)
        return;
    if (conn != NULL && !conn->cut && !sim_node_gone(peer->net->node))
        conn_signal(conn, SNET_EOF, 1 - peer->side);
    end_fail(peer, rc);
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

/* "sim://node/name" */
static int
snet_uri_parse(const char *uri, char *ret_node, char *ret_net)
{
    const char *node, *slash;

    if (strncmp(uri, "sim://", 6) != 0 || strlen(uri) >= NET_URI_MAX)
        return CAIRN_ERR(INVAL);
    node = uri + 6;
    slash = strchr(node, '/');
    if (slash == NULL || slash == node || slash[1] == '\0' ||
        (size_t)(slash - node) >= SIM_NAME_BYTES || strlen(slash + 1) >= SNET_NAME_BYTES)
        return CAIRN_ERR(INVAL);
    memcpy(ret_node, node, (size_t)(slash - node));
    ret_node[slash - node] = '\0';
    snprintf(ret_net, SNET_NAME_BYTES, "%s", slash + 1);
    return 0;
}

static int
snet_open(struct plat *plat, struct plat_loop *loop, const char *listen_uri,
    const struct net_cbs *cbs, void *arg, struct net **ret_net)
{
    struct sim_node *node = sim_node_of(plat);
    char node_name[SIM_NAME_BYTES] = "", net_name[SNET_NAME_BYTES] = "";
    struct net *net;
    int rc;

    if (listen_uri != NULL) {
        rc = snet_uri_parse(listen_uri, node_name, net_name);
        if (rc != 0)
            return rc;
        if (strcmp(node_name, node->name) != 0)
            return CAIRN_ERR(INVAL);
        if (net_find(node->sim, node_name, net_name) != NULL)
            return CAIRN_ERR(BUSY);
    }
    net = sim_alloc(sizeof(*net));
    net->node = node;
    net->loop = loop;
    net->cbs = *cbs;
    net->arg = arg;
    snprintf(net->name, sizeof(net->name), "%s", net_name);
    if (listen_uri != NULL)
        snprintf(net->uri, sizeof(net->uri), "%s", listen_uri);
    list_init(&net->peers);
    list_add_tail(&net->link, &node->nets);
    *ret_net = net;
    return 0;
}

static void
snet_close(struct net *net)
{
    struct net_peer *peer;

    if (net == NULL || net->node->dead)
        return; /* the simulator frees what a dead node leaves */
    CAIRN_ASSERT(net->in_cbs == 0);
    LIST_FOREACH(peer, &net->peers, struct net_peer, link) {
        end_leave(peer, -(int)DER_CANCELED);
    }
    while ((peer = LIST_FIRST(&net->peers, struct net_peer, link)) != NULL) {
        end_finish(peer);
    }
    list_del(&net->link);
    free(net);
}

/* The host that a node of that name runs on or ran on last; NULL: no such node ever. */
static struct sim_host *
node_host_find(struct sim *sim, const char *name)
{
    struct sim_host *host = NULL;
    struct sim_node *node;

    LIST_FOREACH(node, &sim->nodes, struct sim_node, link) {
        if (strcmp(node->name, name) == 0)
            host = node->host;
    }
    return host;
}

static int
snet_connect(struct net *net, const char *uri, struct net_peer **ret_peer)
{
    struct sim *sim = net->node->sim;
    struct snet_conn *conn = sim_alloc(sizeof(*conn));
    int rc = snet_uri_parse(uri, conn->node_name, conn->net_name);

    if (rc != 0) {
        free(conn);
        return rc;
    }
    conn->sim = sim;
    conn->hosts[0] = net->node->host;
    conn->hosts[1] = node_host_find(sim, conn->node_name);
    if (conn->hosts[1] == NULL)
        conn->hosts[1] = conn->hosts[0]; /* refused at once */
    conn->dead_ev.fn = conn_dead;
    list_init(&conn->pkts);
    list_add_tail(&conn->link, &sim->conns);
    *ret_peer = end_new(net, conn, 0);
    if (!sim_node_gone(net->node))
        conn_signal(conn, SNET_SYN, 1);
    return 0;
}

static int
snet_send(struct net_peer *peer, struct net_tx *tx)
{
    const struct sim_opts *opts;

    if (tx->head.len == 0 || tx->head.len > NET_HDR_BYTES_MAX ||
        tx->payload.len > NET_PAYLOAD_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    if (peer->state != SNET_OPENING && peer->state != SNET_UP)
        return CAIRN_ERR(UNREACH);
    opts = &peer->net->node->sim->opts;
    if (peer->sendq_nr >= (opts->net_sendq_nr != 0 ? opts->net_sendq_nr : NET_SENDQ_MSGS_MAX))
        return CAIRN_ERR(BUSY);
    list_add_tail(&snet_tx_of(tx)->link, &peer->sendq);
    peer->sendq_nr++;
    if (peer->state == SNET_UP)
        sim_loop_ready(peer->net->loop, &peer->ready);
    return 0;
}

static void
snet_tx_cancel(struct net_peer *peer, struct net_tx *tx)
{
    if (peer->net == NULL || peer->net->node->dead)
        return;
    end_tx_told(peer, snet_tx_of(tx), -(int)DER_CANCELED);
}

static void
snet_disconnect(struct net_peer *peer)
{
    if (peer->net != NULL && !peer->net->node->dead)
        end_leave(peer, -(int)DER_CANCELED);
}

static void
snet_peer_put(struct net_peer *peer)
{
    if (peer == NULL)
        return;
    CAIRN_ASSERT(peer->user_ref);
    peer->user_ref = false;
    if (peer->net != NULL && peer->net->node->dead)
        return;
    if (peer->state == SNET_GONE) {
        end_free(peer);
    } else {
        end_leave(peer, -(int)DER_CANCELED); /* no down(): nobody is there to hear it */
    }
}

static void *
snet_peer_arg(struct net_peer *peer)
{
    return peer->arg;
}

static void
snet_peer_arg_set(struct net_peer *peer, void *arg)
{
    peer->arg = arg;
}

static const char *
snet_uri(struct net *net)
{
    return net->uri;
}

const struct net_ops sim_net_ops = {
    .name = "sim",
    .open = snet_open,
    .close = snet_close,
    .connect = snet_connect,
    .send = snet_send,
    .tx_cancel = snet_tx_cancel,
    .disconnect = snet_disconnect,
    .peer_put = snet_peer_put,
    .peer_arg = snet_peer_arg,
    .peer_arg_set = snet_peer_arg_set,
    .uri = snet_uri,
};

/* ---- death of nodes ------------------------------------------------------------------------------------------------- */

void
sim_node_nets_drop(struct sim_node *node)
{
    struct net *net;
    struct net_peer *peer;

    LIST_FOREACH(net, &node->nets, struct net, link) {
        LIST_FOREACH(peer, &net->peers, struct net_peer, link) {
            struct snet_conn *conn = peer->conn;

            if (conn != NULL && node->host->up && !conn->cut && peer->state != SNET_FAILED) {
                conn_signal(conn, SNET_EOF, 1 - peer->side); /* SNET-4 */
            } else if (conn != NULL && !node->host->up)
                conn_doubt(conn);
            peer->state = SNET_FAILED;
            list_del(&peer->ready.link);
            end_detach(peer);
        }
    }
}

void
sim_node_nets_free(struct sim_node *node)
{
    while (!list_empty(&node->peers)) {
        end_free(LIST_FIRST(&node->peers, struct net_peer, all_link));
    }
    while (!list_empty(&node->nets)) {
        struct net *net = LIST_FIRST(&node->nets, struct net, link);

        list_del(&net->link);
        free(net);
    }
}

void
sim_links_free(struct sim *sim)
{
    while (!list_empty(&sim->conns)) {
        struct snet_conn *conn = LIST_FIRST(&sim->conns, struct snet_conn, link);

        while (!list_empty(&conn->pkts)) {
            pkt_free(LIST_FIRST(&conn->pkts, struct snet_pkt, link));
        }
        conn_free_if_over(conn);
    }
    while (!list_empty(&sim->links_down)) {
        struct sim_link *down = LIST_FIRST(&sim->links_down, struct sim_link, link);

        list_del(&down->link);
        free(down);
    }
}
