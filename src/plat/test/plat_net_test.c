/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: every network backend keeps the contract of net_ops: tcp, unix, inproc and ofi on linux, sim on sim (SM-4).
 * Method: a server and a client endpoint, driven by one thread; each case runs on every transport of the backend. Heads carry a sequence
 * number, payloads a pattern that follows from it, so that loss, order and mix-ups show.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/util.h"
#include "plat/test/plat_test_fix.h"

enum { SIDES = 2, SERVER = 0, CLIENT = 1, HEAD_BYTES = 24, PEERS_MAX = 8 };

struct nf;

struct side {
    struct nf *nf;
    struct plat *plat;
    struct plat_loop *loop;
    struct net *net;
    struct net_peer *peer; /* the newest */
    struct net_peer *peers[PEERS_MAX];
    uint32_t accepted_nr, down_nr, recv_nr, done_nr, done_ok_nr;
    uint64_t recv_bytes;
    int down_rc;
    bool echo;
    bool place;
    bool close_at_recv;
    bool gaps; /* numbers may be missing */
    uint8_t *place_buf;
    uint32_t placed_nr;
    uint64_t next_seq;
    bool in_send;
    struct net_tx echo_tx;
    uint8_t *echo_buf;
    size_t echo_len;
};

struct nf {
    struct fix f;
    const struct net_ops *ops;
    struct side sides[SIDES];
    char uri[NET_URI_MAX];
    bool is_sim;
};

static void
pattern_fill(uint8_t *buf, size_t len, uint64_t seq)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)(seq * 31 + i + (i >> 8));
    }
}

static bool
pattern_is(const uint8_t *buf, size_t len, uint64_t seq)
{
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != (uint8_t)(seq * 31 + i + (i >> 8)))
            return false;
    }
    return true;
}

/* ---- callbacks ------------------------------------------------------------------------------------------------------ */

static void
side_tx_done(struct net_tx *tx, int rc)
{
    struct side *side = tx->arg;

    EXPECT(!side->in_send); /* PLT-1 */
    side->done_nr++;
    side->done_ok_nr += rc == 0;
}

static int
side_send(struct side *side, struct net_peer *peer, struct net_tx *tx)
{
    int rc;

    tx->done = side_tx_done;
    tx->arg = side;
    side->in_send = true;
    rc = side->nf->ops->send(peer, tx);
    side->in_send = false;
    return rc;
}

static bool
on_place(void *arg, struct net_peer *peer, const void *head, size_t head_len, size_t payload_len,
    struct iov *ret_dst)
{
    struct side *side = arg;

    (void)peer;
    EXPECT_EQ(head_len, HEAD_BYTES);
    EXPECT_EQ(le64_get((const uint8_t *)head + 8), payload_len);
    side->placed_nr++;
    if (!side->place)
        return false;
    *ret_dst = (struct iov){side->place_buf, NET_PAYLOAD_BYTES_MAX};
    return true;
}

static void
on_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    struct side *side = arg;
    uint64_t seq;

    if (!EXPECT_EQ(head_len, HEAD_BYTES))
        return;
    seq = le64_get(head);
    if (side->gaps ? seq < side->next_seq : seq != side->next_seq)
        EXPECT_EQ(seq, side->next_seq);
    side->next_seq = seq + 1;
    EXPECT_EQ(le64_get((const uint8_t *)head + 8), payload_len);
    if (payload_len > 0 && !pattern_is(payload, payload_len, seq))
        EXPECT(!"payload as sent");
    if (payload_len > 0 && side->place)
        EXPECT(payload == side->place_buf);
    side->recv_nr++;
    side->recv_bytes += payload_len;
    if (side->echo) {
        side->echo_buf = realloc(side->echo_buf, head_len + payload_len);
        memcpy(side->echo_buf, head, head_len);
        if (payload_len > 0)
            memcpy(side->echo_buf + head_len, payload, payload_len);
        side->echo_tx.head = (struct iov){side->echo_buf, head_len};
        side->echo_tx.payload = (struct iov){side->echo_buf + head_len, payload_len};
        EXPECT_OK(side_send(side, peer, &side->echo_tx));
    }
    if (side->close_at_recv)
        side->nf->ops->disconnect(peer);
}

static void
on_accepted(void *arg, struct net_peer *peer)
{
    struct side *side = arg;

    if (side->accepted_nr < PEERS_MAX)
        side->peers[side->accepted_nr] = peer;
    side->accepted_nr++;
    side->peer = peer;
    side->nf->ops->peer_arg_set(peer, side);
    EXPECT(side->nf->ops->peer_arg(peer) == side);
}

static void
on_down(void *arg, struct net_peer *peer, int rc)
{
    struct side *side = arg;
    struct net_tx tx = {.head = {&tx, 1}};

    EXPECT_NE(rc, 0);
    side->down_nr++;
    side->down_rc = rc;
    EXPECT_ERR(side->nf->ops->send(peer, &tx), UNREACH);
    side->nf->ops->peer_put(peer);
    if (side->peer == peer)
        side->peer = NULL;
}

static const struct net_cbs side_cbs = {
    .place = on_place, .recv = on_recv, .accepted = on_accepted, .down = on_down};

/* ---- fixture -------------------------------------------------------------------------------------------------------- */

static bool
side_open(struct side *side, const char *uri)
{
    return EXPECT_OK(side->nf->ops->open(side->plat, side->loop, uri, &side_cbs, side, &side->net));
}

static bool
nf_init(struct nf *nf, const char *scheme)
{
    char uri[NET_URI_MAX];

    memset(nf, 0, sizeof(*nf));
    if (!fix_init(&nf->f))
        return false;
    nf->is_sim = nf->f.sim != NULL;
    for (int i = 0; i < SIDES; i++) {
        nf->sides[i].nf = nf;
        nf->sides[i].plat = nf->f.plat;
        nf->sides[i].loop = nf->f.loop;
        nf->sides[i].place_buf = malloc(NET_PAYLOAD_BYTES_MAX);
    }
    if (nf->is_sim) {
        EXPECT_OK(sim_node_start(nf->f.sim, "h1", "n1", &nf->sides[CLIENT].plat));
        EXPECT_OK(nf->sides[CLIENT].plat->ops->loop_create(
            nf->sides[CLIENT].plat, &nf->sides[CLIENT].loop));
        snprintf(uri, sizeof(uri), "sim://n0/tag0");
    } else if (strcmp(scheme, "tcp") == 0) {
        snprintf(uri, sizeof(uri), "tcp://127.0.0.1:0");
    } else if (strcmp(scheme, "ofi") == 0) {
        snprintf(uri, sizeof(uri), "ofi+tcp;ofi_rxm://127.0.0.1:0");
    } else if (strcmp(scheme, "unix") == 0) {
        snprintf(uri, sizeof(uri), "unix:///tmp/cairn-plat-%d.sock", (int)getpid());
    } else {
        snprintf(uri, sizeof(uri), "%s", "inproc://server");
    }
    nf->ops = nf->f.plat->ops->net(nf->f.plat, uri);
    if (!EXPECT(nf->ops != NULL))
        return false;
    if (!side_open(&nf->sides[SERVER], uri))
        return false;
    snprintf(nf->uri, sizeof(nf->uri), "%s", nf->ops->uri(nf->sides[SERVER].net));
    return side_open(&nf->sides[CLIENT], NULL) &&
        EXPECT_STR_EQ(nf->ops->uri(nf->sides[CLIENT].net), "");
}

static void
nf_fini(struct nf *nf)
{
    for (int i = SIDES - 1; i >= 0; i--) {
        struct side *side = &nf->sides[i];

        if (side->net != NULL)
            nf->ops->close(side->net);
        if (side->loop != nf->f.loop)
            side->plat->ops->loop_destroy(side->loop);
        free(side->place_buf);
        free(side->echo_buf);
    }
    fix_fini(&nf->f);
}

/* Runs body once for each transport of the backend. */
static void
each_transport(void (*body)(struct nf *nf))
{
    static const char *const schemes[] = {"tcp", "unix", "inproc", "ofi"};

    for (size_t i = 0; i < (test_backend() == BACKEND_SIM ? 1u : ARRAY_SIZE(schemes)); i++) {
        struct nf nf;

        if (nf_init(&nf, schemes[i]))
            body(&nf);
        nf_fini(&nf);
    }
}

static void
nf_poll(struct nf *nf)
{
    nf->f.plat->ops->loop_poll(nf->sides[SERVER].loop);
    if (nf->is_sim)
        nf->sides[CLIENT].plat->ops->loop_poll(nf->sides[CLIENT].loop);
}

static bool
nf_wait(struct nf *nf, const uint32_t *nr, uint32_t want)
{
    uint64_t limit_ns = plat_mono_ns(nf->f.plat) + 3 * FIX_LIMIT_NS;

    for (;;) {
        nf_poll(nf);
        if (*nr >= want)
            return true;
        if (plat_mono_ns(nf->f.plat) > limit_ns)
            return EXPECT(!"the network makes progress");
        fix_pass(&nf->f, nf->is_sim ? 5000 : FIX_MS);
    }
}

struct msg {
    struct net_tx tx;
    uint8_t head[HEAD_BYTES];
    uint8_t *payload;
};

static void
msg_set(struct msg *msg, uint64_t seq, size_t payload_len)
{
    memset(msg, 0, sizeof(*msg));
    le64_put(msg->head, seq);
    le64_put(msg->head + 8, payload_len);
    msg->tx.head = (struct iov){msg->head, HEAD_BYTES};
    if (payload_len > 0) {
        msg->payload = malloc(payload_len);
        pattern_fill(msg->payload, payload_len, seq);
        msg->tx.payload = (struct iov){msg->payload, payload_len};
    }
}

static struct net_peer *
nf_connect(struct nf *nf)
{
    struct net_peer *peer = NULL;

    EXPECT_OK(nf->ops->connect(nf->sides[CLIENT].net, nf->uri, &peer));
    nf->sides[CLIENT].peer = peer;
    return peer;
}

/* ---- cases ---------------------------------------------------------------------------------------------------------- */

static void
body_echo(struct nf *nf)
{
    const size_t lens[] = {0, 1, 100, 4096, 70000, 300000, NET_PAYLOAD_BYTES_MAX};
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer = nf_connect(nf);
    uint64_t seq = 0;
    struct msg msg;

    if (peer == NULL)
        return;
    nf->sides[SERVER].echo = true;
    for (int place = 0; place < 2; place++) {
        client->place = place;
        nf->sides[SERVER].place = place;
        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
            msg_set(&msg, seq++, lens[i]);
            EXPECT_OK(side_send(client, peer, &msg.tx));
            EXPECT(nf_wait(nf, &client->recv_nr, (uint32_t)seq));
            EXPECT(nf_wait(nf, &client->done_nr, (uint32_t)seq));
            EXPECT(nf_wait(nf, &nf->sides[SERVER].done_nr, (uint32_t)seq));
            free(msg.payload);
        }
    }
    EXPECT_EQ(client->done_ok_nr, seq);
    EXPECT_EQ(client->placed_nr, 2 * (sizeof(lens) / sizeof(lens[0]) - 1));
    EXPECT_EQ(nf->sides[SERVER].accepted_nr, 1);
    EXPECT_EQ(nf->sides[SERVER].recv_nr, seq);
    EXPECT_EQ(client->down_nr, 0);
}

TEST_ON(plat_net, echo, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_echo);
}

/* 10,000 messages, as many queued as the transport takes: in order, whole, each told once. */
static void
body_flood(struct nf *nf)
{
    enum { NR = 10000 };
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer = nf_connect(nf);
    struct msg *msgs = calloc(NR, sizeof(*msgs));
    uint32_t busy_nr = 0, sent = 0;

    while (peer != NULL && sent < NR) {
        int rc = 0;

        if (msgs[sent].tx.head.len == 0)
            msg_set(&msgs[sent], sent, sent % 5 == 0 ? 1 + sent * 7 % 9000 : 0);
        rc = side_send(client, peer, &msgs[sent].tx);
        if (rc == 0) {
            sent++;
            continue;
        }
        EXPECT_ERR(rc, BUSY);
        busy_nr++;
        EXPECT(nf_wait(nf, &client->done_nr, client->done_nr + 1));
        if (test_failed())
            break;
    }
    EXPECT_GT(busy_nr, 0); /* the queue has an end */
    EXPECT(nf_wait(nf, &nf->sides[SERVER].recv_nr, NR));
    EXPECT(nf_wait(nf, &client->done_nr, NR));
    EXPECT_EQ(client->done_ok_nr, NR);
    for (uint32_t i = 0; i < NR; i++) {
        free(msgs[i].payload);
    }
    free(msgs);
}

TEST_ON(plat_net, flood_in_order, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_flood);
}

/* Close while much is queued: every tx is told once, inside close. */
static void
body_close_queued(struct nf *nf)
{
    enum { NR = 250 };
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer = nf_connect(nf);
    struct msg msgs[NR];

    for (uint32_t i = 0; i < NR; i++) {
        msg_set(&msgs[i], i, 200000);
        EXPECT_OK(side_send(client, peer, &msgs[i].tx));
    }
    if (strcmp(nf->ops->name, "inproc") != 0) /* there one poll delivers everything */
        nf_poll(nf);
    nf->ops->close(client->net);
    client->net = NULL;
    EXPECT_EQ(client->done_nr, NR);
    EXPECT_LT(client->done_ok_nr, NR);
    EXPECT_EQ(client->down_nr, 1);
    EXPECT_ERR(client->down_rc, CANCELED);
    for (uint32_t i = 0; i < NR; i++) {
        free(msgs[i].payload);
    }
    if (nf->sides[SERVER].accepted_nr > 0) { /* the server may not have looked yet */
        EXPECT(nf_wait(nf, &nf->sides[SERVER].down_nr, 1));
        EXPECT_ERR(nf->sides[SERVER].down_rc, UNREACH);
    }
}

TEST_ON(plat_net, close_with_queued, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_close_queued);
}

/* The server dies: the client hears it, pending sends end, and a new server takes new connections. */
static void
body_server_dies(struct nf *nf)
{
    enum { NR = 40 };
    struct side *client = &nf->sides[CLIENT];
    struct side *server = &nf->sides[SERVER];
    struct net_peer *peer = nf_connect(nf);
    struct msg msgs[NR];
    struct msg more;
    char uri[NET_URI_MAX];

    msg_set(&msgs[0], 0, 0);
    EXPECT_OK(side_send(client, peer, &msgs[0].tx));
    EXPECT(nf_wait(nf, &server->recv_nr, 1));
    for (uint32_t i = 1; i < NR; i++) {
        msg_set(&msgs[i], i, 300000);
        EXPECT_OK(side_send(client, peer, &msgs[i].tx));
    }
    snprintf(uri, sizeof(uri), "%s", nf->uri);
    nf->ops->close(server->net);
    server->net = NULL;
    EXPECT(nf_wait(nf, &client->down_nr, 1));
    EXPECT_ERR(client->down_rc, UNREACH);
    EXPECT_EQ(client->done_nr, NR);
    EXPECT_LT(client->done_ok_nr, NR);
    for (uint32_t i = 0; i < NR; i++) {
        free(msgs[i].payload);
    }

    server->next_seq = 100;
    EXPECT(side_open(server, uri));
    peer = nf_connect(nf);
    msg_set(&more, 100, 10);
    EXPECT_OK(side_send(client, peer, &more.tx));
    EXPECT(nf_wait(nf, &server->recv_nr, 2));
    EXPECT(nf_wait(nf, &client->done_nr, NR + 1));
    free(more.payload);
}

TEST_ON(plat_net, server_dies_and_returns, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_server_dies);
}

static void
body_connect_nobody(struct nf *nf)
{
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer;
    struct msg msg;
    char uri[NET_URI_MAX];

    snprintf(uri, sizeof(uri), "%s", nf->uri);
    nf->ops->close(nf->sides[SERVER].net);
    nf->sides[SERVER].net = NULL;
    peer = nf_connect(nf);
    EXPECT_EQ(client->down_nr, 0);
    msg_set(&msg, 0, 100);
    EXPECT_OK(side_send(client, peer, &msg.tx)); /* may be queued at once */
    EXPECT(nf_wait(nf, &client->down_nr, 1));
    EXPECT_ERR(client->down_rc, UNREACH);
    EXPECT_EQ(client->done_nr, 1);
    EXPECT_EQ(client->done_ok_nr, 0);
    free(msg.payload);
}

TEST_ON(plat_net, connect_to_nobody, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_connect_nobody);
}

/* Cancel: before anything was sent, in the middle, and after; what follows still arrives whole. */
static void
body_cancel(struct nf *nf)
{
    enum { NR = 60 };
    struct side *client = &nf->sides[CLIENT];
    struct side *server = &nf->sides[SERVER];
    struct net_peer *peer = nf_connect(nf);
    struct msg msgs[NR];
    struct msg last;
    uint32_t canceled = 0;

    msg_set(&last, 1000, 5);
    EXPECT_OK(side_send(client, peer, &last.tx));
    nf->ops->tx_cancel(peer, &last.tx); /* nothing was sent yet */
    EXPECT_EQ(client->done_nr, 1);
    EXPECT_EQ(client->done_ok_nr, 0);
    free(last.payload);
    for (uint32_t i = 0; i < NR; i++) {
        msg_set(&msgs[i], i, 400000);
        EXPECT_OK(side_send(client, peer, &msgs[i].tx));
    }
    server->gaps = true;
    if (strcmp(nf->ops->name, "inproc") != 0) /* there one poll delivers everything */
        nf_poll(nf);
    for (uint32_t i = client->done_nr - 1; i < NR; i++) {
        uint32_t before = client->done_nr, before_ok = client->done_ok_nr;

        nf->ops->tx_cancel(peer, &msgs[i].tx);
        EXPECT_EQ(client->done_nr, before + 1);
        memset(msgs[i].payload, 0xee, 400000); /* ours again */
        canceled += client->done_ok_nr == before_ok;
    }
    EXPECT_GT(canceled, 0);
    msg_set(&last, NR, 7);
    EXPECT_OK(side_send(client, peer, &last.tx));
    EXPECT(nf_wait(nf, &server->recv_nr, NR - canceled + 1));
    EXPECT(nf_wait(nf, &client->done_nr, NR + 2));
    EXPECT_EQ(server->next_seq, NR + 1);
    EXPECT_EQ(client->down_nr, 0);
    free(last.payload);
    for (uint32_t i = 0; i < NR; i++) {
        free(msgs[i].payload);
    }
}

TEST_ON(plat_net, cancel, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_cancel);
}

/* Both ends listen and connect to each other at once: two connections, both work. */
static void
body_cross(struct nf *nf)
{
    struct side *a = &nf->sides[SERVER];
    struct side *b = &nf->sides[CLIENT];
    struct net_peer *ab = NULL, *ba = NULL;
    struct msg ma, mb;
    char uri[NET_URI_MAX];

    nf->ops->close(b->net);
    b->net = NULL;
    snprintf(uri, sizeof(uri), "%s", nf->uri);
    if (nf->is_sim) {
        snprintf(uri, sizeof(uri), "sim://n1/b");
    } else if (strncmp(uri, "tcp://", 6) == 0) {
        snprintf(uri, sizeof(uri), "tcp://127.0.0.1:0");
    } else if (strncmp(uri, "ofi+", 4) == 0) {
        snprintf(uri, sizeof(uri), "ofi+tcp;ofi_rxm://127.0.0.1:0");
    } else {
        snprintf(uri + strlen(uri), sizeof(uri) - strlen(uri), "-b");
    }
    if (!side_open(b, uri))
        return;
    EXPECT_OK(nf->ops->connect(a->net, nf->ops->uri(b->net), &ab));
    EXPECT_OK(nf->ops->connect(b->net, nf->uri, &ba));
    msg_set(&ma, 0, 1000);
    msg_set(&mb, 0, 2000);
    EXPECT_OK(side_send(a, ab, &ma.tx));
    EXPECT_OK(side_send(b, ba, &mb.tx));
    EXPECT(nf_wait(nf, &a->recv_nr, 1));
    EXPECT(nf_wait(nf, &b->recv_nr, 1));
    EXPECT(nf_wait(nf, &a->done_nr, 1));
    EXPECT(nf_wait(nf, &b->done_nr, 1));
    EXPECT_EQ(a->accepted_nr, 1);
    EXPECT_EQ(b->accepted_nr, 1);
    EXPECT_EQ(a->recv_bytes, 2000);
    free(ma.payload);
    free(mb.payload);
}

TEST_ON(plat_net, connect_to_each_other, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_cross);
}

/* disconnect(): down() with CANCELED here, from the loop; UNREACH there. Also from inside recv(). */
static void
body_disconnect(struct nf *nf)
{
    struct side *client = &nf->sides[CLIENT];
    struct side *server = &nf->sides[SERVER];
    struct net_peer *peer = nf_connect(nf);
    struct msg msgs[3];

    msg_set(&msgs[0], 0, 10);
    EXPECT_OK(side_send(client, peer, &msgs[0].tx));
    EXPECT(nf_wait(nf, &server->recv_nr, 1));
    EXPECT(nf_wait(nf, &client->done_nr, 1));
    nf->ops->disconnect(peer);
    nf->ops->disconnect(peer);
    EXPECT_EQ(client->down_nr, 0); /* PLT-1 */
    EXPECT(nf_wait(nf, &client->down_nr, 1));
    EXPECT_ERR(client->down_rc, CANCELED);
    EXPECT(nf_wait(nf, &server->down_nr, 1));
    EXPECT_ERR(server->down_rc, UNREACH);

    peer = nf_connect(nf);
    server->close_at_recv = true;
    for (uint32_t i = 1; i < 3; i++) {
        msg_set(&msgs[i], i, 100);
        EXPECT_OK(side_send(client, peer, &msgs[i].tx));
    }
    EXPECT(nf_wait(nf, &server->down_nr, 2));
    EXPECT_ERR(server->down_rc, CANCELED);
    EXPECT(nf_wait(nf, &client->down_nr, 2));
    EXPECT_EQ(server->recv_nr, 2); /* the second of the two was dropped with the connection */
    EXPECT_EQ(client->done_nr, 3);
    for (uint32_t i = 0; i < 3; i++) {
        free(msgs[i].payload);
    }
}

TEST_ON(plat_net, disconnect, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_disconnect);
}

/* A reference put early: no down(), but every tx is told. A reference kept beyond close: the handle stays valid. */
static void
body_refs(struct nf *nf)
{
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer = nf_connect(nf);
    struct msg msg;

    msg_set(&msg, 0, 500);
    EXPECT_OK(side_send(client, peer, &msg.tx));
    nf->ops->peer_put(peer);
    EXPECT(nf_wait(nf, &client->done_nr, 1));
    EXPECT_EQ(client->down_nr, 0);
    nf->ops->peer_put(NULL);
    free(msg.payload);
}

TEST_ON(plat_net, references, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_refs);
}

static void
body_refuses(struct nf *nf)
{
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer = nf_connect(nf);
    struct net *other = NULL;
    struct net_peer *none = NULL;
    struct net_tx tx = {.done = side_tx_done, .arg = client};
    uint8_t byte = 1;
    const char *bad[] = {"", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "tcp://host:1",
        "tcp://1.2.3.4:70000", "unix://relative", "inproc://", "sim://", "sim://n", "sim:///x",
        "http://x", "ofi+://127.0.0.1:1", "ofi+tcp://host:1", "ofi+tcp:/127.0.0.1:1"};

    EXPECT_ERR(side_send(client, peer, &tx), INVAL); /* no head */
    tx.head = (struct iov){&byte, NET_HDR_BYTES_MAX + 1};
    EXPECT_ERR(side_send(client, peer, &tx), INVAL);
    tx.head.len = 1;
    tx.payload = (struct iov){&byte, NET_PAYLOAD_BYTES_MAX + 1};
    EXPECT_ERR(side_send(client, peer, &tx), INVAL);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT_ERR(nf->ops->connect(client->net, bad[i], &none), INVAL);
        EXPECT_ERR(
            nf->ops->open(client->plat, client->loop, bad[i], &side_cbs, client, &other), INVAL);
    }
    EXPECT_ERR(nf->ops->open(nf->f.plat, nf->f.loop, nf->uri, &side_cbs, client, &other), BUSY);
    EXPECT_EQ(client->done_nr, 0);
    nf->ops->close(NULL);
}

TEST_ON(plat_net, refuses, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_refuses);
}

/* Heads of every size up to the limit pass. */
static void
body_heads(struct nf *nf)
{
    static const size_t lens[] = {1, 15, 16, 17, 1000, 32767, NET_HDR_BYTES_MAX};
    struct side *client = &nf->sides[CLIENT];
    struct net_peer *peer = nf_connect(nf);
    uint8_t *head = malloc(NET_HDR_BYTES_MAX);
    struct net_tx txs[7] = {0};

    memset(head, 0x3c, NET_HDR_BYTES_MAX);
    for (size_t i = 0; i < 7; i++) {
        txs[i].head = (struct iov){head, lens[i]};
        EXPECT_OK(side_send(client, peer, &txs[i]));
    }
    EXPECT(nf_wait(nf, &client->done_nr, 7));
    EXPECT_EQ(client->done_ok_nr, 7);
    free(head);
}

static void
on_recv_head(void *arg, struct net_peer *peer, const void *head, size_t head_len,
    const void *payload, size_t payload_len)
{
    struct side *side = arg;
    const uint8_t *bytes = head;

    (void)peer;
    EXPECT(payload == NULL);
    EXPECT_EQ(payload_len, 0);
    for (size_t i = 0; i < head_len; i++) {
        if (bytes[i] != 0x3c) {
            EXPECT(!"head as sent");
            break;
        }
    }
    side->recv_bytes += head_len;
    side->recv_nr++;
}

static void
body_heads_checked(struct nf *nf)
{
    static const struct net_cbs cbs = {
        .recv = on_recv_head, .accepted = on_accepted, .down = on_down};
    struct side *server = &nf->sides[SERVER];
    char uri[NET_URI_MAX];

    snprintf(uri, sizeof(uri), "%s", nf->uri);
    nf->ops->close(server->net);
    server->net = NULL;
    EXPECT_OK(nf->ops->open(server->plat, server->loop, uri, &cbs, server, &server->net));
    body_heads(nf);
    EXPECT(nf_wait(nf, &server->recv_nr, 7));
    EXPECT_EQ(server->recv_bytes, 1 + 15 + 16 + 17 + 1000 + 32767 + NET_HDR_BYTES_MAX);
}

TEST_ON(plat_net, heads, BACKEND_LINUX | BACKEND_SIM)
{
    each_transport(body_heads_checked);
}
