/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Network backend `ofi`: messages over a libfabric RDM endpoint ("ofi+tcp;ofi_rxm://a.b.c.d:port"; "ofi+verbs;ofi_rxm://..." is the same
 * code with another provider).
 *
 * RDM endpoints know no connections: a send to a process that died stays pending for ever, and its successor at the same address gets
 * what was meant for it. So each connection has a line, a TCP connection to the URI's address, on which both sides say hello (token,
 * provider, fabric address) and which ends when either process does. Messages never travel on it.
 *
 *             TCP, then hello          hello                error, end of line, disconnect()          task
 *   CONNECTING ---------> HELLO ----------------> UP ---------------------------------> FAILED ----------------> LINGER -> GONE
 *      accepted ------------^                                                              every tx told, down()
 *
 *   OFI-1  Packets are a byte stream of frames (plat_frame.h), cut at what the receiver said it takes. Each names the receiver's token of its connection and
 *          its number in it. A token that nobody has is dropped: it was meant for a predecessor. Packets may complete out of order (a
 *          provider that moves large ones another way); one that never comes is OFI-4's affair.
 *   OFI-2  A side that ends a connection itself first waits until its packets have left (LINGER, at most OFI_FLUSH_NS), then says how many
 *          there were (BYE) and closes the line; the other delivers those, and then says down(). Without a BYE what is in the queue
 *          already is delivered.
 *   OFI-3  At most OFI_FLYING_NR_MAX packets with OFI_FLYING_BYTES_MAX bytes of a peer are with the provider: one that does not read holds so much memory, and nobody else's.
 *   OFI-4  A fabric that is broken while the line is well (sends do not complete, or complete and do not arrive, and the process there
 *          answers on the line) ends the connection after ofi_dead_ns. A process that is stopped does not, as on sockets.
 *
 *   OFI-5  At most OFI_READING_NR_MAX reads of a peer's memory are with the provider, each into a buffer of its own, which stays behind when
 *          the peer goes down first. A read that fails ends the connection: providers over TCP have lost theirs then, and what was in it.
 *
 * As in `sock`: SOCK-1 to SOCK-3 hold with "packet" for "sendmsg()". Tested by plat_net_test.c and plat_ofi_test.c.
 */
#include "plat/linux/plat_linux_ofi.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/codec.h"
#include "plat/linux/plat_linux_sendq.h"

enum {
    OFI_BACKLOG = 1024,
    OFI_ACCEPTS_MAX = 16, /* in one poll */
    OFI_PEERS_MAX = 4096, /* of one endpoint; further ones are turned away */
    OFI_FLYING_NR_MAX = 32, /* packets of one peer */
    OFI_FLYING_BYTES_MAX = 512 << 10, /* a packet more, at most */
    OFI_BIG_FROM_BYTES = 2 * OFI_PKT_BYTES, /* queued: a big packet */
    OFI_READ_BYTES_MIN = 256 << 10, /* as measured over tcp;ofi_rxm: docs/performance.md */
    OFI_READING_NR_MAX = 8, /* reads of one peer's memory */
    OFI_EARLY_NR_MAX = 2 * OFI_FLYING_NR_MAX, /* packets of one peer that wait for others */
    OFI_LINE_HDR_BYTES = 24,
    OFI_LINE_BODY_BYTES_MAX = 2 + OFI_PROV_BYTES_MAX + OFI_NAME_BYTES_MAX,
    OFI_LINE_BUF_BYTES = 512,
    OFI_LINE_VERSION = 2,
    OFI_TOKENS_BITS = 6,
};
#define OFI_PKT_MAGIC UINT32_C(0x314b5043) /* "CPK1" */
#define OFI_LINE_MAGIC UINT32_C(0x314e4c43) /* "CLN1" */
#define OFI_TICK_NS UINT64_C(100000000)
#define OFI_HELLO_NS UINT64_C(10000000000)
#define OFI_FLUSH_NS UINT64_C(200000000)
#define OFI_BYE_NS UINT64_C(1000000000) /* for packets that were announced */

/* Head of a packet. */
struct ofi_pkt_hdr {
    uint8_t magic[4];
    uint8_t len[4]; /* of what follows */
    uint8_t token[8]; /* of the receiver */
    uint8_t seq[8]; /* 1, 2, ... in one direction of one connection */
    uint8_t reserved[8];
};
_Static_assert(sizeof(struct ofi_pkt_hdr) == OFI_PKT_HDR_BYTES, "packet header");

/* Head of what is said on a line. */
enum ofi_line_kind {
    OFI_LINE_HELLO =
        1, /* a: token, b: u32 version, u32 bytes of a packet that are taken; body: length and text of the provider, fabric address */
    OFI_LINE_PING, /* how many of my packets have you got */
    OFI_LINE_PONG, /* a: so many */
    OFI_LINE_BYE, /* a: so many were sent; the line ends here */
};
struct ofi_line_hdr {
    uint8_t magic[4];
    uint8_t kind[2];
    uint8_t len[2]; /* of the body */
    uint8_t a[8], b[8];
};
_Static_assert(sizeof(struct ofi_line_hdr) == OFI_LINE_HDR_BYTES, "line header");

enum ofi_state { OFI_CONNECTING, OFI_HELLO, OFI_UP, OFI_FAILED, OFI_LINGER, OFI_GONE };

struct net {
    struct plat *plat;
    struct plat_loop *loop;
    struct net_cbs cbs;
    void *arg;
    struct loop_src listen_src; /* fd -1: a client */
    int reserve_fd; /* given up for a moment to turn a connection away when descriptors run out */
    bool turned_away;
    uint32_t in_cbs; /* depth of callbacks: close is not allowed inside */
    struct loop_src tick_src;
    bool tick_is_on;
    struct list_head eps; /* struct ofi_ep, one per provider and interface */
    struct list_head mems; /* struct net_mem */
    struct hmap tokens; /* peers by the token that packets to them carry */
    struct list_head peers;
    uint32_t peers_nr;
    struct sockaddr_in bound;
    char prov[OFI_PROV_BYTES_MAX];
    char uri[NET_URI_MAX];
};

/* Offered memory, registered with each endpoint where a peer was told of it. */
struct ofi_mr {
    struct list_head link;
    struct ofi_ep *ep;
    struct fid_mr *mr;
    uint64_t at, key;
};
struct net_mem {
    struct list_head link;
    struct net *net;
    struct iov buf;
    struct list_head mrs;
};

/* What a net_read carries in priv. */
struct ofi_read {
    struct list_head link;
    struct net_peer *peer;
    struct ofi_rd *rd; /* NULL: not yet with the provider */
    uint64_t at, key;
};
_Static_assert(sizeof(struct ofi_read) <= sizeof(((struct net_read *)0)->priv), "ofi_read fits");

struct net_peer {
    struct net *net; /* NULL once GONE */
    struct list_head link;
    struct loop_src src; /* the line */
    struct loop_task task;
    enum ofi_state state;
    int down_rc;
    bool user_ref;
    bool is_told; /* the user knows this peer */
    struct sockaddr_in remote;
    char prov[OFI_PROV_BYTES_MAX];
    struct ofi_ep *ep;
    struct ofi_addr *addr;
    struct hmap_link token_link;
    uint64_t token_in, token_out;
    struct sendq sendq;
    struct list_head unsent; /* packets that the provider had no room for, in order */
    struct list_head flying; /* packets with the provider */
    uint32_t flying_nr; /* of both lists */
    size_t flying_bytes;
    size_t pkt_bytes_max; /* that the peer takes */
    struct list_head reads; /* struct ofi_read, not yet with the provider */
    struct list_head reading; /* with it */
    uint32_t reading_nr;
    uint64_t tx_seq; /* packets made */
    uint64_t left_nr; /* of those, completed */
    uint64_t rx_seq; /* packets received */
    struct list_head early; /* struct ofi_early */
    uint32_t early_nr;
    bool is_bye;
    uint64_t bye_seq;
    uint64_t since_ns; /* HELLO: of the start; LINGER, bye: of that */
    uint64_t moved_ns; /* packets completed, or there were none */
    uint64_t got_nr; /* packets the peer said it has */
    uint64_t ping_left_nr, ping_before_left_nr; /* left_nr at the last two pings */
    uint64_t ping_ns; /* of the last one; 0: none yet */
    bool is_pinging;
    struct frame_rx rx;
    size_t line_len;
    uint8_t line[OFI_LINE_BUF_BYTES];
    void *arg;
};

/* A packet that came before its predecessors. */
struct ofi_early {
    struct list_head link;
    uint64_t seq;
    size_t len;
    uint8_t bytes[];
};

static uint64_t
now_ns(const struct net *net)
{
    return plat_linux_mono_ns(net->plat);
}

static void peer_task_fn(struct loop_task *task);
static void line_src_fn(struct loop_src *src, uint32_t events);

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

/* "ofi+PROVIDER://a.b.c.d:port"; PROVIDER tcp and verbs mean that with ofi_rxm. */
static int
ofi_uri_parse(const char *uri, char ret_prov[OFI_PROV_BYTES_MAX], struct sockaddr_in *ret_addr)
{
    const char *sep = strstr(uri, "://");
    size_t len;

    if (strlen(uri) >= NET_URI_MAX || strncmp(uri, "ofi+", 4) != 0 || sep == NULL)
        return CAIRN_ERR(INVAL);
    len = (size_t)(sep - uri) - 4;
    if (len == 0 || len + sizeof(";ofi_rxm") > OFI_PROV_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    memcpy(ret_prov, uri + 4, len);
    ret_prov[len] = '\0';
    if (strcmp(ret_prov, "tcp") == 0 || strcmp(ret_prov, "verbs") == 0)
        memcpy(ret_prov + len, ";ofi_rxm", sizeof(";ofi_rxm"));
    return plat_linux_tcp_addr(sep + 3, ret_addr);
}

/* ---- the tick ------------------------------------------------------------------------------------------------------- */

static void
tick_set(struct net *net, bool is_on)
{
    const long ns = is_on ? (long)OFI_TICK_NS : 0;
    struct itimerspec its = {{0, ns}, {0, ns}};

    if (net->tick_is_on == is_on)
        return;
    net->tick_is_on = is_on;
    timerfd_settime(net->tick_src.fd, 0, &its, NULL);
}

/* ---- the end of a peer ---------------------------------------------------------------------------------------------- */

static void
peer_soon(struct net_peer *peer)
{
    list_del(&peer->task.link); /* it may wait on the list for later */
    loop_task_add(peer->net->loop, &peer->task);
}

static void
line_close(struct net_peer *peer)
{
    if (peer->src.fd < 0)
        return;
    if (peer->src.events != 0)
        loop_src_del(peer->net->loop, &peer->src);
    peer->src.events = 0;
    close(peer->src.fd);
    peer->src.fd = -1;
}

static void
ofi_read_told(struct net_peer *peer, struct ofi_read *ord, int rc)
{
    struct net_read *rd = CAIRN_CONTAINER_OF(ord, struct net_read, priv);

    list_del(&ord->link);
    if (ord->rd != NULL) {
        ord->rd->owner = NULL; /* OFI-5 */
        peer->reading_nr--;
    }
    peer->net->loop->cbs_nr++;
    rd->done(rd, rc);
}

/* From any state to FAILED; the rest follows in peer_finish(). */
static void
peer_fail(struct net_peer *peer, int rc)
{
    if (peer->state >= OFI_FAILED)
        return;
    if (rc != -(int)DER_CANCELED || peer->state != OFI_UP)
        line_close(peer); /* else OFI-2 */
    peer->state = OFI_FAILED;
    peer->down_rc = rc;
    peer_soon(peer);
}

static void
early_free(struct net_peer *peer, struct ofi_early *early)
{
    list_del(&early->link);
    peer->early_nr--;
    free(early);
}

static void
peer_free(struct net_peer *peer)
{
    while (!list_empty(&peer->early)) {
        early_free(peer, LIST_FIRST(&peer->early, struct ofi_early, link));
    }
    frame_rx_fini(&peer->rx);
    free(peer);
}

static bool
line_say(struct net_peer *peer, enum ofi_line_kind kind, uint64_t a, uint64_t b, const void *body,
    size_t body_len)
{
    uint8_t buf[OFI_LINE_HDR_BYTES + OFI_LINE_BODY_BYTES_MAX];
    struct ofi_line_hdr *hdr = (struct ofi_line_hdr *)(void *)buf;
    size_t len = OFI_LINE_HDR_BYTES + body_len;

    CAIRN_ASSERT(len <= sizeof(buf));
    if (peer->src.fd < 0)
        return false;
    le32_put(hdr->magic, OFI_LINE_MAGIC);
    le16_put(hdr->kind, (uint16_t)kind);
    le16_put(hdr->len, (uint16_t)body_len);
    le64_put(hdr->a, a);
    le64_put(hdr->b, b);
    if (body_len > 0)
        memcpy(buf + OFI_LINE_HDR_BYTES, body, body_len);
    peer->net->loop->stats.calls_nr++;
    return send(peer->src.fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

/* LINGER is over, or there is nothing to linger for. */
static void
peer_gone(struct net_peer *peer)
{
    struct net *net = peer->net;
    struct ofi_pkt *pkt;

    line_say(peer, OFI_LINE_BYE, peer->left_nr, 0, NULL, 0); /* where the line is still open */
    line_close(peer);
    while ((pkt = LIST_FIRST(&peer->unsent, struct ofi_pkt, link)) != NULL) {
        list_del(&pkt->link);
        ofi_pkt_put(peer->ep, pkt);
    }
    while ((pkt = LIST_FIRST(&peer->flying, struct ofi_pkt, link)) != NULL) {
        list_del(&pkt->link);
        pkt->owner = NULL; /* it comes back some time */
    }
    hmap_remove(&net->tokens, &peer->token_link);
    if (peer->addr != NULL)
        ofi_addr_put(peer->ep, peer->addr);
    peer->addr = NULL;
    list_del(&peer->link);
    list_del(&peer->task.link);
    net->peers_nr--;
    peer->net = NULL;
    peer->state = OFI_GONE;
    if (!peer->user_ref)
        peer_free(peer);
}

static void
peer_finish(struct net_peer *peer)
{
    struct net *net = peer->net;
    struct ofi_read *ord;

    CAIRN_ASSERT(peer->state == OFI_FAILED);
    net->in_cbs++;
    list_splice_tail(&peer->reads, &peer->reading);
    while ((ord = LIST_FIRST(&peer->reading, struct ofi_read, link)) != NULL) {
        ofi_read_told(peer, ord, CAIRN_ERR(UNREACH));
    }
    sendq_end(&peer->sendq, peer->down_rc);
    peer->state = OFI_LINGER;
    if (peer->user_ref) {
        net->loop->cbs_nr++;
        net->cbs.down(net->arg, peer, peer->down_rc);
    }
    net->in_cbs--;
    peer->since_ns = now_ns(net);
    if (peer->src.fd < 0 || peer->flying_nr == 0) {
        peer_gone(peer);
    } else {
        tick_set(net, true);
    }
}

/* ---- sending -------------------------------------------------------------------------------------------------------- */

/* Hand packets to the provider, oldest first. False: it has no room. */
static bool
unsent_flush(struct net_peer *peer)
{
    struct ofi_pkt *pkt;

    while ((pkt = LIST_FIRST(&peer->unsent, struct ofi_pkt, link)) != NULL) {
        int rc = ofi_pkt_send(peer->ep, peer->addr, pkt);

        if (rc == -(int)DER_BUSY) {
            loop_task_add_later(peer->net->loop, &peer->task);
            return false;
        }
        if (rc != 0) {
            peer_fail(peer, rc);
            return false;
        }
        list_move_tail(&pkt->link, &peer->flying);
    }
    return true;
}

static void
on_sent(void *arg, struct ofi_pkt *pkt, int rc)
{
    struct net_peer *peer = pkt->owner;

    (void)arg;
    if (peer == NULL) {
        free(pkt); /* its endpoint may have many of these */
        return;
    }
    list_del(&pkt->link);
    peer->flying_nr--;
    peer->flying_bytes -= pkt->len;
    peer->left_nr++;
    peer->moved_ns = now_ns(peer->net);
    ofi_pkt_put(peer->ep, pkt);
    if (rc != 0)
        peer_fail(peer, rc);
    if (peer->state == OFI_UP && (!sendq_is_empty(&peer->sendq) || !list_empty(&peer->unsent)))
        peer_soon(peer);
    if (peer->state == OFI_LINGER && peer->flying_nr == 0)
        peer_soon(peer);
}

static void
on_read(void *arg, struct ofi_rd *rd, int rc)
{
    struct net *net = arg;
    struct ofi_read *ord = rd->owner;
    struct net_peer *peer = ord->peer;

    if (rc == 0)
        memcpy(CAIRN_CONTAINER_OF(ord, struct net_read, priv)->dst.buf, rd->bytes, rd->len);
    net->in_cbs++;
    ofi_read_told(peer, ord, rc);
    net->in_cbs--;
    if (rc != 0)
        peer_fail(peer, CAIRN_ERR(UNREACH));
    if (peer->state == OFI_UP && !list_empty(&peer->reads))
        peer_soon(peer);
}

/* Hand reads to the provider. */
static void
reads_flush(struct net_peer *peer)
{
    struct ofi_read *ord;

    while (peer->state == OFI_UP && peer->reading_nr < OFI_READING_NR_MAX &&
        (ord = LIST_FIRST(&peer->reads, struct ofi_read, link)) != NULL) {
        struct net_read *rd = CAIRN_CONTAINER_OF(ord, struct net_read, priv);
        int rc = ofi_rd_start(peer->ep, peer->addr, rd->dst.len, ord->at, ord->key, &ord->rd);

        if (rc == -(int)DER_BUSY) {
            loop_task_add_later(peer->net->loop, &peer->task);
            return;
        }
        if (rc == 0) {
            ord->rd->owner = ord;
            peer->reading_nr++;
            list_move_tail(&ord->link, &peer->reading);
        } else {
            peer->net->in_cbs++;
            ofi_read_told(peer, ord, rc);
            peer->net->in_cbs--;
        }
    }
}

/* As many bytes of the first message as there is room for. */
static size_t
tx_copy(struct sendq *q, uint8_t *dst, size_t room)
{
    struct iovec iovs[SENDQ_IOVS_MAX];
    int nr = sendq_gather(LIST_FIRST(&q->queue, struct sendq_tx, link), iovs);
    size_t total = 0;

    for (int i = 0; i < nr && total < room; i++) {
        size_t n = MIN(iovs[i].iov_len, room - total);

        memcpy(dst + total, iovs[i].iov_base, n);
        total += n;
    }
    sendq_advance(q, total);
    return total;
}

static bool
has_room(const struct net_peer *peer)
{
    return peer->flying_nr < OFI_FLYING_NR_MAX && peer->flying_bytes < OFI_FLYING_BYTES_MAX;
}

/* Is more queued than fits in a few small packets? */
static bool
is_bulk_queued(struct net_peer *peer)
{
    struct sendq_tx *stx;
    uint64_t total = 0;

    if (peer->pkt_bytes_max < OFI_PKT_BYTES_MAX)
        return false;
    LIST_FOREACH(stx, &peer->sendq.queue, struct sendq_tx, link) {
        total += sendq_left(stx);
        if (total >= OFI_BIG_FROM_BYTES)
            return true;
    }
    return false;
}

/* A packet full of what is queued. */
static void
pkt_fill(struct net_peer *peer, struct ofi_pkt *pkt)
{
    struct ofi_pkt_hdr *hdr = (struct ofi_pkt_hdr *)(void *)pkt->bytes;
    size_t len = OFI_PKT_HDR_BYTES;

    while (!sendq_is_empty(&peer->sendq) && len < pkt->cap) {
        len += tx_copy(&peer->sendq, pkt->bytes + len, pkt->cap - len);
    }
    le32_put(hdr->magic, OFI_PKT_MAGIC);
    le32_put(hdr->len, (uint32_t)(len - OFI_PKT_HDR_BYTES));
    le64_put(hdr->token, peer->token_out);
    le64_put(hdr->seq, ++peer->tx_seq);
    le64_put(hdr->reserved, 0);
    pkt->len = len;
    pkt->owner = peer;
}

static void
peer_flush(struct net_peer *peer)
{
    struct net *net = peer->net;

    while (peer->state == OFI_UP && unsent_flush(peer) && !sendq_is_empty(&peer->sendq) &&
        has_room(peer)) {
        struct ofi_pkt *pkt = ofi_pkt_get(peer->ep, is_bulk_queued(peer));

        if (pkt == NULL) {
            loop_task_add_later(net->loop, &peer->task);
            break;
        }
        if (peer->flying_nr == 0)
            peer->moved_ns = now_ns(net);
        pkt_fill(peer, pkt);
        list_add_tail(&pkt->link, &peer->unsent);
        peer->flying_nr++;
        peer->flying_bytes += pkt->len;
        tick_set(net, true);
        net->in_cbs++;
        sendq_tell(&peer->sendq);
        net->in_cbs--;
    }
}

/* ---- receiving ------------------------------------------------------------------------------------------------------ */

static void
peer_place(struct net_peer *peer)
{
    struct net *net = peer->net;
    struct frame_rx *rx = &peer->rx;
    struct iov dst;

    if (net->cbs.place == NULL ||
        !net->cbs.place(net->arg, peer, rx->head, rx->head_len, rx->payload_len, &dst)) {
        frame_rx_place(rx, NULL);
        return;
    }
    CAIRN_ASSERT(dst.len >= rx->payload_len);
    frame_rx_place(rx, dst.buf);
}

static void
peer_feed(struct net_peer *peer, const uint8_t *bytes, size_t len)
{
    struct net *net = peer->net;
    struct frame_rx *rx = &peer->rx;
    enum frame_event ev = FRAME_NEED;
    size_t used;

    do {
        int rc = frame_rx_feed(rx, bytes, len, &used, &ev);

        if (rc != 0) {
            if (rc == -(int)DER_PROTO) {
                LOG_WARN("%s: a peer sent bytes that are not ours; its connection is closed",
                    peer->prov);
            }
            peer_fail(peer, rc);
            return;
        }
        bytes += used;
        len -= used;
        net->in_cbs++;
        if (ev == FRAME_PLACE) {
            peer_place(peer);
        } else if (ev == FRAME_MSG) {
            net->loop->cbs_nr++;
            net->cbs.recv(net->arg, peer, rx->head, rx->head_len, rx->payload, rx->payload_len);
        }
        net->in_cbs--;
    } while (ev != FRAME_NEED && (peer->state == OFI_UP || peer->state == OFI_HELLO));
}

static struct net_peer *
token_find(struct net *net, uint64_t token)
{
    struct net_peer *peer;

    HMAP_FOREACH_HASH(peer, &net->tokens, hash_mix64(token), struct net_peer, token_link) {
        if (peer->token_in == token)
            break;
    }
    return peer;
}

static void
bye_check(struct net_peer *peer)
{
    if (peer->is_bye && peer->rx_seq >= peer->bye_seq)
        peer_fail(peer, CAIRN_ERR(UNREACH));
}

/* A client hears the server's first packets perhaps before its hello. */
static bool
is_hearing(const struct net_peer *peer)
{
    return peer->state == OFI_UP || (peer->state == OFI_HELLO && peer->is_told);
}

/* The packet whose turn it is, and those that waited for it. */
static void
in_turn(struct net_peer *peer, const uint8_t *bytes, size_t len)
{
    struct ofi_early *early;

    peer->rx_seq++;
    if (is_hearing(peer))
        peer_feed(peer, bytes, len);
    while (is_hearing(peer)) {
        LIST_FOREACH(early, &peer->early, struct ofi_early, link) {
            if (early->seq == peer->rx_seq + 1)
                break;
        }
        if (&early->link == &peer->early)
            return;
        peer->rx_seq++;
        peer_feed(peer, early->bytes, early->len);
        early_free(peer, early);
    }
}

static void
early_keep(struct net_peer *peer, uint64_t seq, const uint8_t *bytes, size_t len)
{
    struct ofi_early *early = NULL;

    if (seq > peer->rx_seq && seq - peer->rx_seq <= OFI_EARLY_NR_MAX &&
        peer->early_nr < OFI_EARLY_NR_MAX)
        early = malloc(sizeof(*early) + len);
    if (early == NULL) {
        LOG_WARN("%s: a packet came twice or long before its turn; the connection is closed",
            peer->prov);
        peer_fail(peer, CAIRN_ERR(UNREACH));
        return;
    }
    early->seq = seq;
    early->len = len;
    memcpy(early->bytes, bytes, len);
    list_add_tail(&early->link, &peer->early);
    peer->early_nr++;
}

/* Hostile until the token was found. */
static void
on_recv(void *arg, struct ofi_ep *ep, const uint8_t *bytes, size_t len)
{
    struct net *net = arg;
    const struct ofi_pkt_hdr *hdr = (const struct ofi_pkt_hdr *)(const void *)bytes;
    struct net_peer *peer;

    if (len < OFI_PKT_HDR_BYTES || le32_get(hdr->magic) != OFI_PKT_MAGIC ||
        le32_get(hdr->len) != len - OFI_PKT_HDR_BYTES)
        return;
    peer = token_find(net, le64_get(hdr->token));
    if (peer == NULL || peer->ep != ep) /* OFI-1 */
        return;
    if (le64_get(hdr->seq) == peer->rx_seq + 1) {
        in_turn(peer, bytes + OFI_PKT_HDR_BYTES, len - OFI_PKT_HDR_BYTES);
        bye_check(peer);
    } else {
        early_keep(peer, le64_get(hdr->seq), bytes + OFI_PKT_HDR_BYTES, len - OFI_PKT_HDR_BYTES);
    }
}

static const struct ofi_ep_cbs ep_cbs = {.sent = on_sent, .read = on_read, .recv = on_recv};

/* The endpoint of this provider on the interface that a line goes through. */
static int
ep_get(struct net *net, const char *prov, uint32_t ip, struct ofi_ep **ret_ep)
{
    struct ofi_ep *ep;
    int rc;

    LIST_FOREACH(ep, &net->eps, struct ofi_ep, link) {
        if (ep->ip == ip && strcmp(ep->prov, prov) == 0) {
            *ret_ep = ep;
            return 0;
        }
    }
    rc = ofi_ep_create(net->loop, prov, ip, &ep_cbs, net, &ep);
    if (rc != 0)
        return rc;
    list_add_tail(&ep->link, &net->eps);
    *ret_ep = ep;
    return 0;
}

/* ---- the line ------------------------------------------------------------------------------------------------------- */

static struct net_peer *
peer_new(struct net *net, int fd, const char *prov)
{
    struct net_peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return NULL;
    peer->net = net;
    peer->src = (struct loop_src){.fd = fd, .fn = line_src_fn};
    peer->task.fn = peer_task_fn;
    list_init(&peer->task.link);
    sendq_init(&peer->sendq, net->loop);
    list_init(&peer->unsent);
    list_init(&peer->flying);
    list_init(&peer->early);
    list_init(&peer->reads);
    list_init(&peer->reading);
    snprintf(peer->prov, sizeof(peer->prov), "%s", prov);
    do {
        net->plat->ops->random(net->plat, &peer->token_in, sizeof(peer->token_in));
    } while (peer->token_in == 0 || token_find(net, peer->token_in) != NULL);
    hmap_insert(&net->tokens, &peer->token_link, hash_mix64(peer->token_in));
    peer->since_ns = now_ns(net);
    list_add_tail(&peer->link, &net->peers);
    peer->user_ref = true;
    net->peers_nr++;
    tick_set(net, true);
    return peer;
}

static int
line_watch(struct net_peer *peer, uint32_t events)
{
    int rc;

    peer->src.events = events;
    rc = loop_src_add(peer->net->loop, &peer->src);
    if (rc != 0)
        peer->src.events = 0;
    return rc;
}

static int
hello_say(struct net_peer *peer)
{
    struct sockaddr_in here;
    socklen_t here_len = sizeof(here);
    uint8_t body[OFI_LINE_BODY_BYTES_MAX];
    size_t prov_len = strlen(peer->prov);
    int rc;

    if (getsockname(peer->src.fd, (struct sockaddr *)&here, &here_len) != 0)
        return PLAT_LINUX_ERR(errno);
    rc = ep_get(peer->net, peer->prov, here.sin_addr.s_addr, &peer->ep);
    if (rc != 0)
        return rc;
    body[0] = (uint8_t)prov_len;
    memcpy(body + 1, peer->prov, prov_len);
    memcpy(body + 1 + prov_len, peer->ep->name, peer->ep->name_len);
    if (!line_say(peer, OFI_LINE_HELLO, peer->token_in,
            OFI_LINE_VERSION | (uint64_t)OFI_PKT_BYTES_MAX << 32, body,
            1 + prov_len + peer->ep->name_len))
        return CAIRN_ERR(UNREACH);
    return 0;
}

/* The other side has said hello: a server answers. */
static int
on_hello(struct net_peer *peer, const struct ofi_line_hdr *hdr, const uint8_t *body, size_t len)
{
    struct net *net = peer->net;
    size_t prov_len = len > 0 ? body[0] : 0;
    int rc = 0;

    if (peer->state != OFI_HELLO || (uint32_t)le64_get(hdr->b) != OFI_LINE_VERSION)
        return CAIRN_ERR(PROTO);
    peer->pkt_bytes_max = (size_t)(le64_get(hdr->b) >> 32);
    if (peer->pkt_bytes_max < OFI_PKT_BYTES)
        return CAIRN_ERR(PROTO);
    if (prov_len != strlen(peer->prov) || len <= 1 + prov_len ||
        memcmp(body + 1, peer->prov, prov_len) != 0) {
        LOG_WARN("%s: a peer of another provider or version; its connection is closed", peer->prov);
        return CAIRN_ERR(PROTO);
    }
    peer->token_out = le64_get(hdr->a);
    if (!peer->is_told)
        rc = hello_say(peer);
    if (rc == 0)
        rc = ofi_addr_get(peer->ep, body + 1 + prov_len, len - 1 - prov_len, &peer->addr);
    if (rc != 0)
        return rc;
    peer->state = OFI_UP;
    if (!peer->is_told) {
        peer->is_told = true;
        peer->user_ref = true;
        net->loop->cbs_nr++;
        net->in_cbs++;
        net->cbs.accepted(net->arg, peer);
        net->in_cbs--;
    }
    if (peer->state == OFI_UP)
        peer_flush(peer);
    return 0;
}

static void
on_pong(struct net_peer *peer, uint64_t got_nr)
{
    uint64_t dead_ns = peer->net->loop->pl->ofi_dead_ns;
    bool is_stuck = peer->flying_nr > 0 && now_ns(peer->net) - peer->moved_ns > dead_ns;

    peer->is_pinging = false;
    peer->got_nr = MAX(peer->got_nr, got_nr);
    if (!is_stuck && got_nr >= peer->ping_before_left_nr)
        return;
    LOG_WARN("%s: the fabric lets nothing through to a peer that answers", peer->prov); /* OFI-4 */
    peer_fail(peer, CAIRN_ERR(UNREACH));
}

static int
line_heard(struct net_peer *peer, const struct ofi_line_hdr *hdr, const uint8_t *body, size_t len)
{
    switch (le16_get(hdr->kind)) {
    case OFI_LINE_HELLO:
        return on_hello(peer, hdr, body, len);
    case OFI_LINE_PING:
        if (peer->state != OFI_UP)
            return CAIRN_ERR(PROTO);
        CAIRN_IGNORE(ofi_ep_poll(peer->ep)); /* what is there counts */
        if (peer->state == OFI_UP && !line_say(peer, OFI_LINE_PONG, peer->rx_seq, 0, NULL, 0))
            return CAIRN_ERR(UNREACH);
        return 0;
    case OFI_LINE_PONG:
        if (peer->state != OFI_UP || !peer->is_pinging)
            return CAIRN_ERR(PROTO);
        on_pong(peer, le64_get(hdr->a));
        return 0;
    case OFI_LINE_BYE:
        if (peer->state != OFI_UP)
            return CAIRN_ERR(UNREACH);
        peer->is_bye = true;
        peer->bye_seq = le64_get(hdr->a);
        peer->since_ns = now_ns(peer->net);
        tick_set(peer->net, true);
        bye_check(peer);
        return 0;
    default:
        return CAIRN_ERR(PROTO);
    }
}

/* The bytes that the line has brought: whole records are heard, the rest stays. */
static int
line_feed(struct net_peer *peer)
{
    size_t off = 0;
    int rc = 0;

    while (rc == 0 && peer->state < OFI_FAILED && peer->line_len - off >= OFI_LINE_HDR_BYTES) {
        const struct ofi_line_hdr *hdr =
            (const struct ofi_line_hdr *)(const void *)(peer->line + off);
        size_t len = le16_get(hdr->len);

        if (le32_get(hdr->magic) != OFI_LINE_MAGIC || len > OFI_LINE_BODY_BYTES_MAX)
            return CAIRN_ERR(PROTO);
        if (peer->line_len - off < OFI_LINE_HDR_BYTES + len)
            break;
        rc = line_heard(peer, hdr, peer->line + off + OFI_LINE_HDR_BYTES, len);
        off += OFI_LINE_HDR_BYTES + len;
    }
    peer->line_len -= off;
    memmove(peer->line, peer->line + off, peer->line_len);
    return rc;
}

static void
line_ended(struct net_peer *peer)
{
    if (peer->state == OFI_LINGER) {
        line_close(peer);
        peer_soon(peer);
        return;
    }
    if (peer->is_bye) {
        line_close(peer); /* what was announced may still come */
        return;
    }
    if (peer->state == OFI_UP)
        CAIRN_IGNORE(ofi_ep_poll(peer->ep)); /* OFI-2 */
    peer_fail(peer, CAIRN_ERR(UNREACH));
}

static void
line_read(struct net_peer *peer)
{
    ssize_t n = recv(peer->src.fd, peer->line + peer->line_len, sizeof(peer->line) - peer->line_len,
        MSG_DONTWAIT);
    int rc;

    peer->net->loop->stats.calls_nr++;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        line_ended(peer);
        return;
    }
    if (peer->state >= OFI_FAILED)
        return; /* nobody listens */
    peer->line_len += (size_t)n;
    rc = line_feed(peer);
    if (rc == -(int)DER_PROTO)
        LOG_WARN("%s: a peer said what makes no sense; its connection is closed", peer->prov);
    if (rc != 0)
        peer_fail(peer, rc);
}

static void
line_connected(struct net_peer *peer)
{
    int err = 0;
    socklen_t len = sizeof(err);
    int rc;

    if (getsockopt(peer->src.fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    if (err != 0 || plat_linux_tcp_is_self(peer->src.fd)) {
        peer_fail(peer, CAIRN_ERR(UNREACH));
        return;
    }
    peer->state = OFI_HELLO;
    peer->since_ns = now_ns(peer->net);
    loop_src_mod(peer->net->loop, &peer->src, EPOLLIN);
    rc = hello_say(peer);
    if (rc != 0)
        peer_fail(peer, rc);
}

static void
line_connect(struct net_peer *peer)
{
    int rc = connect(peer->src.fd, (struct sockaddr *)&peer->remote, sizeof(peer->remote));

    if (rc != 0 && errno != EINPROGRESS && errno != EINTR) {
        peer_fail(peer, CAIRN_ERR(UNREACH));
        return;
    }
    rc = line_watch(peer, EPOLLOUT);
    if (rc != 0)
        peer_fail(peer, rc);
}

static void
line_src_fn(struct loop_src *src, uint32_t events)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(src, struct net_peer, src);

    (void)events;
    if (peer->state == OFI_CONNECTING) {
        line_connected(peer);
    } else {
        line_read(peer);
    }
}

static void
peer_task_fn(struct loop_task *task)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(task, struct net_peer, task);

    switch (peer->state) {
    case OFI_CONNECTING:
        if (peer->src.events == 0)
            line_connect(peer);
        break;
    case OFI_UP:
        reads_flush(peer);
        peer_flush(peer);
        break;
    case OFI_FAILED:
        peer_finish(peer);
        break;
    case OFI_LINGER:
        if (peer->src.fd < 0 || (unsent_flush(peer) && peer->flying_nr == 0))
            peer_gone(peer);
        break;
    case OFI_HELLO:
    case OFI_GONE:
        break;
    }
}

/* ---- time ----------------------------------------------------------------------------------------------------------- */

/* OFI-4: ask for a sign of life while packets are on their way. True: there is more to watch. */
static bool
up_tick(struct net_peer *peer, uint64_t now)
{
    uint64_t every_ns = peer->net->loop->pl->ofi_dead_ns / 4;
    bool is_owed = peer->flying_nr > 0 || peer->got_nr < peer->left_nr;

    if (!is_owed || peer->is_pinging || now - peer->ping_ns < every_ns)
        return is_owed;
    peer->ping_before_left_nr = peer->ping_ns == 0 ? 0 : peer->ping_left_nr;
    peer->ping_left_nr = peer->left_nr;
    peer->ping_ns = now;
    peer->is_pinging = true;
    if (!line_say(peer, OFI_LINE_PING, 0, 0, NULL, 0))
        peer_fail(peer, CAIRN_ERR(UNREACH));
    return true;
}

/* True: there is more to watch. */
static bool
peer_tick(struct net_peer *peer, uint64_t now)
{
    switch (peer->state) {
    case OFI_CONNECTING:
        return true; /* the kernel's time */
    case OFI_HELLO:
        if (now - peer->since_ns > OFI_HELLO_NS)
            peer_fail(peer, CAIRN_ERR(UNREACH));
        return true;
    case OFI_UP:
        if (peer->is_bye && now - peer->since_ns > OFI_BYE_NS)
            peer_fail(peer, CAIRN_ERR(UNREACH));
        return peer->is_bye || up_tick(peer, now);
    case OFI_LINGER:
        if (now - peer->since_ns > OFI_FLUSH_NS)
            peer_gone(peer);
        return true;
    case OFI_FAILED:
    case OFI_GONE:
        return true;
    }
    return false;
}

static void
tick_fn(struct loop_src *src, uint32_t events)
{
    struct net *net = CAIRN_CONTAINER_OF(src, struct net, tick_src);
    struct net_peer *peer, *tmp;
    uint64_t now = now_ns(net);
    uint64_t count;
    bool is_on = false;

    (void)events;
    if (read(src->fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
        return;
    LIST_FOREACH_SAFE(peer, tmp, &net->peers, struct net_peer, link) {
        is_on = peer_tick(peer, now) || is_on;
    }
    tick_set(net, is_on);
}

/* ---- listening ------------------------------------------------------------------------------------------------------ */

static void
net_turn_away(struct net *net, int fd, const char *why)
{
    if (fd >= 0)
        close(fd);
    if (!net->turned_away)
        LOG_WARN("%s: turning connections away: %s", net->uri, why);
    net->turned_away = true;
}

/* Out of descriptors: accept with the reserve and close, or the listener would stay readable for ever. */
static void
net_accept_starved(struct net *net)
{
    if (net->reserve_fd >= 0)
        close(net->reserve_fd);
    net_turn_away(net, accept4(net->listen_src.fd, NULL, NULL, SOCK_CLOEXEC), "no descriptors left");
    net->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
net_accepted(struct net *net, int fd)
{
    struct net_peer *peer;

    if (net->peers_nr >= OFI_PEERS_MAX) {
        net_turn_away(net, fd, "too many");
        return;
    }
    plat_linux_tcp_options(fd);
    peer = peer_new(net, fd, net->prov);
    if (peer == NULL) {
        net_turn_away(net, fd, "out of memory");
        return;
    }
    peer->state = OFI_HELLO;
    peer->user_ref = false; /* until accepted() */
    if (line_watch(peer, EPOLLIN) != 0)
        peer_fail(peer, CAIRN_ERR(NOMEM));
}

static void
net_listen_fn(struct loop_src *src, uint32_t events)
{
    struct net *net = CAIRN_CONTAINER_OF(src, struct net, listen_src);

    (void)events;
    for (int i = 0; i < OFI_ACCEPTS_MAX; i++) {
        int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            net_accepted(net, fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            net_accept_starved(net);
        } else if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static int
net_listen(struct net *net, const char *uri)
{
    struct sockaddr_in *addr = &net->bound;
    socklen_t addr_len = sizeof(*addr);
    const int on = 1;
    struct ofi_ep *ep;
    int rc = ofi_uri_parse(uri, net->prov, addr);
    int fd;

    if (rc != 0)
        return rc;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    net->listen_src.fd = fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)addr, addr_len) != 0 || listen(fd, OFI_BACKLOG) != 0) {
        LOG_WARN("%s: cannot listen there: %s", uri, strerror(errno));
        return PLAT_LINUX_ERR(errno);
    }
    if (getsockname(fd, (struct sockaddr *)addr, &addr_len) != 0)
        return PLAT_LINUX_ERR(errno);
    snprintf(net->uri, sizeof(net->uri), "%.*s:%u", (int)(strrchr(uri, ':') - uri), uri,
        ntohs(addr->sin_port));
    if (addr->sin_addr.s_addr != htonl(INADDR_ANY)) {
        rc = ep_get(
            net, net->prov, addr->sin_addr.s_addr, &ep); /* better now than at the first client */
        if (rc != 0)
            return rc;
    }
    net->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    net->listen_src.events = EPOLLIN;
    net->listen_src.fn = net_listen_fn;
    rc = loop_src_add(net->loop, &net->listen_src);
    if (rc != 0)
        net->listen_src.events = 0;
    return rc;
}

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static void
src_close(struct plat_loop *loop, struct loop_src *src)
{
    if (src->fd < 0)
        return;
    if (src->events != 0)
        loop_src_del(loop, src);
    close(src->fd);
    src->fd = -1;
}

/* All peers LINGER: let what they sent leave (OFI-2). */
static void
net_flush(struct net *net)
{
    uint64_t end_ns = now_ns(net) + OFI_FLUSH_NS;
    struct net_peer *peer, *tmp;
    struct ofi_ep *ep;

    while (!list_empty(&net->peers)) {
        LIST_FOREACH(ep, &net->eps, struct ofi_ep, link) {
            CAIRN_IGNORE(ofi_ep_poll(ep));
        }
        LIST_FOREACH_SAFE(peer, tmp, &net->peers, struct net_peer, link) {
            if (now_ns(net) > end_ns || (unsent_flush(peer) && peer->flying_nr == 0))
                peer_gone(peer);
        }
        sched_yield();
    }
}

static void
ofi_close(struct net *net)
{
    struct net_peer *peer, *tmp;
    struct ofi_ep *ep;

    if (net == NULL)
        return;
    CAIRN_ASSERT(net->in_cbs == 0);
    src_close(net->loop, &net->listen_src);
    if (net->reserve_fd >= 0)
        close(net->reserve_fd);
    LIST_FOREACH(peer, &net->peers, struct net_peer, link) {
        peer_fail(peer, -(int)DER_CANCELED); /* before any callback: no more sends */
    }
    LIST_FOREACH_SAFE(peer, tmp, &net->peers, struct net_peer, link) {
        if (peer->state == OFI_FAILED)
            peer_finish(peer);
    }
    net_flush(net);
    CAIRN_ASSERT(list_empty(&net->mems));
    src_close(net->loop, &net->tick_src);
    while ((ep = LIST_FIRST(&net->eps, struct ofi_ep, link)) != NULL) {
        ofi_ep_destroy(ep);
    }
    hmap_fini(&net->tokens);
    free(net);
}

static int
ofi_open(struct plat *plat, struct plat_loop *loop, const char *listen_uri,
    const struct net_cbs *cbs, void *arg, struct net **ret_net)
{
    struct net *net = calloc(1, sizeof(*net));
    int rc;

    if (net == NULL)
        return CAIRN_ERR(NOMEM);
    net->plat = plat;
    net->loop = loop;
    net->cbs = *cbs;
    net->arg = arg;
    net->listen_src.fd = -1;
    net->reserve_fd = -1;
    list_init(&net->peers);
    list_init(&net->eps);
    list_init(&net->mems);
    net->tick_src = (struct loop_src){
        .fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), .fn = tick_fn};
    rc = net->tick_src.fd < 0 ? PLAT_LINUX_ERR(errno) : hmap_init(&net->tokens, OFI_TOKENS_BITS);
    if (rc == 0) {
        net->tick_src.events = EPOLLIN;
        rc = loop_src_add(loop, &net->tick_src);
        if (rc != 0)
            net->tick_src.events = 0;
    }
    if (rc == 0 && listen_uri != NULL)
        rc = net_listen(net, listen_uri);
    if (rc != 0) {
        ofi_close(net);
        return rc;
    }
    *ret_net = net;
    return 0;
}

static int
ofi_connect(struct net *net, const char *uri, struct net_peer **ret_peer)
{
    char prov[OFI_PROV_BYTES_MAX];
    struct sockaddr_in addr;
    struct net_peer *peer;
    int rc = ofi_uri_parse(uri, prov, &addr);
    int fd;

    if (rc != 0)
        return rc;
    if (net->peers_nr >= OFI_PEERS_MAX)
        return CAIRN_ERR(BUSY);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    plat_linux_tcp_options(fd);
    peer = peer_new(net, fd, prov);
    if (peer == NULL) {
        close(fd);
        return CAIRN_ERR(NOMEM);
    }
    peer->state = OFI_CONNECTING;
    peer->is_told = true;
    peer->remote = addr;
    loop_task_add(net->loop, &peer->task);
    *ret_peer = peer;
    return 0;
}

static int
ofi_send(struct net_peer *peer, struct net_tx *tx)
{
    int rc;

    if (peer->state >= OFI_FAILED)
        return CAIRN_ERR(UNREACH);
    rc = sendq_add(&peer->sendq, tx);
    if (rc == 0 && peer->state == OFI_UP && has_room(peer))
        loop_task_add(peer->net->loop, &peer->task);
    return rc;
}

static void
ofi_tx_cancel(struct net_peer *peer, struct net_tx *tx)
{
    if (sendq_cancel(&peer->sendq, tx, peer->state == OFI_UP))
        return;
    peer_fail(peer, CAIRN_ERR(NOMEM));
    sendq_cancelled(&peer->sendq, tx);
}

static void
ofi_disconnect(struct net_peer *peer)
{
    peer_fail(peer, -(int)DER_CANCELED);
}

static void
ofi_peer_put(struct net_peer *peer)
{
    if (peer == NULL)
        return;
    CAIRN_ASSERT(peer->user_ref);
    peer->user_ref = false;
    if (peer->state == OFI_GONE) {
        peer_free(peer);
    } else {
        peer_fail(peer, -(int)DER_CANCELED); /* no down(): nobody is there to hear it */
    }
}

static void *
ofi_peer_arg(struct net_peer *peer)
{
    return peer->arg;
}

static void
ofi_peer_arg_set(struct net_peer *peer, void *arg)
{
    peer->arg = arg;
}

static const char *
ofi_uri(struct net *net)
{
    return net->uri;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static int
ofi_mem_offer(struct net *net, const struct iov *buf, struct net_mem **ret_mem)
{
    struct net_mem *mem = calloc(1, sizeof(*mem));

    if (mem == NULL)
        return CAIRN_ERR(NOMEM);
    mem->net = net;
    mem->buf = *buf;
    list_init(&mem->mrs);
    list_add_tail(&mem->link, &net->mems);
    *ret_mem = mem;
    return 0;
}

static void
ofi_mem_revoke(struct net_mem *mem)
{
    struct ofi_mr *mr;

    while ((mr = LIST_FIRST(&mem->mrs, struct ofi_mr, link)) != NULL) {
        ofi_mr_close(mr->mr);
        list_del(&mr->link);
        free(mr);
    }
    list_del(&mem->link);
    free(mem);
}

/* Where: the address and the key that the provider wants to hear. */
static bool
ofi_mem_where(
    struct net_mem *mem, struct net_peer *peer, size_t off, uint8_t ret_where[NET_WHERE_BYTES])
{
    struct ofi_mr *mr;

    if (peer->state != OFI_UP)
        return false;
    LIST_FOREACH(mr, &mem->mrs, struct ofi_mr, link) {
        if (mr->ep == peer->ep)
            break;
    }
    if (&mr->link == &mem->mrs) {
        mr = calloc(1, sizeof(*mr));
        if (mr == NULL || ofi_mr_open(peer->ep, &mem->buf, &mr->mr, &mr->at, &mr->key) != 0) {
            free(mr);
            return false;
        }
        mr->ep = peer->ep;
        list_add_tail(&mr->link, &mem->mrs);
    }
    memset(ret_where, 0, NET_WHERE_BYTES);
    le64_put(ret_where, mr->at + off);
    le64_put(ret_where + 8, mr->key);
    return true;
}

static int
ofi_read(struct net_peer *peer, struct net_read *rd, const uint8_t where[NET_WHERE_BYTES])
{
    struct ofi_read *ord = (struct ofi_read *)(void *)rd->priv;

    if (peer->state != OFI_UP)
        return CAIRN_ERR(UNREACH);
    ord->at = le64_get(where) + rd->off;
    ord->key = le64_get(where + 8);
    ord->peer = peer;
    ord->rd = NULL;
    list_add_tail(&ord->link, &peer->reads);
    loop_task_add(peer->net->loop, &peer->task);
    return 0;
}

const struct net_ops plat_linux_ofi_ops = {
    .name = "ofi",
    .open = ofi_open,
    .close = ofi_close,
    .connect = ofi_connect,
    .send = ofi_send,
    .tx_cancel = ofi_tx_cancel,
    .disconnect = ofi_disconnect,
    .peer_put = ofi_peer_put,
    .peer_arg = ofi_peer_arg,
    .peer_arg_set = ofi_peer_arg_set,
    .uri = ofi_uri,
    .mem_offer = ofi_mem_offer,
    .mem_revoke = ofi_mem_revoke,
    .mem_where = ofi_mem_where,
    .read = ofi_read,
    .read_bytes_min = OFI_READ_BYTES_MIN,
};
