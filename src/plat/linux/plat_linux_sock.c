/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Network backend `sock`: TCP ("tcp://a.b.c.d:port") and AF_UNIX ("unix:///path"), streams of frames (plat_frame.h).
 *
 *             connected                    error, end of stream, disconnect()           task
 *   CONNECTING --------> UP -----------------------------------------------> FAILED ----------> GONE
 *        +---------------------------------------------------------------------^  every tx told, down()
 *
 *   SOCK-1  What net_send() queues is written at the start of the next poll, many messages with one sendmsg(). A tx is told only
 *           inside loop_poll(), or by close and tx_cancel, which say so (PLT-1).
 *   SOCK-2  The descriptor of a peer that FAILED is closed at once; its callbacks follow from a task. A peer's memory lives until it
 *           is GONE and the user's reference is put.
 *   SOCK-3  A tx whose bytes are partly written can only be finished: tx_cancel() copies the rest (SQ-2).
 *   SOCK-4  Payloads are read straight into the buffer that place() named, whatever of them the shared receive buffer did not
 *           catch together with the head.
 *
 *   SOCK-5  Reads of a peer's memory (MS-3) go only over AF_UNIX, only to the process that the kernel names for the connection, with our
 *           own user id, and each reads a nonce of the peer's along with the data, in one call: another process at that number, or another
 *           program in it, does not have it there. Where that fails, this connection is not read from again; memory that is gone by now is
 *           NONEXIST, and the next read another matter. Nothing is ever written.
 *
 * Dead peers: a process that dies closes its sockets, which shows at once. A host that dies shows by keep-alive and user timeout, at
 * most SOCK_DEAD_S. A connection to oneself (loopback may join a socket to its own port when nobody listens) is refused.
 *
 * A socket file that is in the way is removed only when nobody answers on it. Names are never resolved (TH-2).
 * Tested by plat_net_test.c, which runs on every backend, and plat_sock_test.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/codec.h"
#include "plat/linux/plat_linux_sendq.h"

enum {
    SOCK_BACKLOG = 1024,
    SOCK_ACCEPTS_MAX = 16, /* in one poll */
    SOCK_READS_MAX = 4, /* of one peer in one poll */
    SOCK_IOVS_MAX = 96, /* of one sendmsg() */
    SOCK_LITTLE_BYTES = 1 << 10, /* copied together instead of a list of pieces */
    SOCK_WRITE_BYTES_MAX = 4 << 20, /* of one peer in one poll */
    SOCK_BUF_BYTES = 1 << 20, /* asked of the kernel for AF_UNIX, which does not tune itself */
    SOCK_PEERS_MAX = 4096, /* of one endpoint; further ones are turned away */
    SOCK_DEAD_S = 20,
    SOCK_SYN_NR = 3, /* some 15 s to connect */
    SOCK_READ_MEM_BYTES_MAX =
        256 << 10, /* of one peer's memory in one poll: then what was made of it leaves */
    SOCK_NONCE_BYTES = 16,
    SOCK_READ_BYTES_MIN = 64 << 10, /* as measured: docs/performance.md */
    SOCK_RETRIES_MAX = 2000, /* of a connect to a full AF_UNIX backlog, 1 ms apart */
};

enum sock_state { SOCK_CONNECTING, SOCK_UP, SOCK_FAILED, SOCK_GONE };

struct sock_addr {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_un un;
    } u;
    socklen_t len;
};

struct net {
    struct plat_loop *loop;
    struct net_cbs cbs;
    void *arg;
    struct loop_src listen_src; /* fd -1: a client */
    int reserve_fd; /* given up for a moment to turn a connection away when descriptors run out */
    bool turned_away;
    uint32_t in_cbs; /* depth of callbacks: close is not allowed inside */
    uint32_t peers_nr;
    struct list_head peers;
    struct sock_addr bound; /* AF_UNIX: the file to remove, if it is still ours */
    dev_t bound_dev;
    ino_t bound_ino;
    char uri[NET_URI_MAX];
    uint8_t nonce[SOCK_NONCE_BYTES]; /* read by peers, where it lies */
};

/* SOCK-5 */
struct net_mem {
    struct net *net;
    struct iov buf;
};

struct sock_read {
    struct list_head link;
    uint64_t nonce_at, at;
    uint8_t nonce[SOCK_NONCE_BYTES];
};
_Static_assert(sizeof(struct sock_read) <= sizeof(((struct net_read *)0)->priv), "sock_read fits");

struct net_peer {
    struct net *net; /* NULL once GONE */
    struct list_head link;
    struct loop_src src;
    struct loop_task task;
    enum sock_state state;
    int down_rc;
    bool user_ref;
    uint32_t retries_nr;
    struct sock_addr remote; /* of a connecting peer */
    struct sendq sendq;
    struct list_head reads; /* struct sock_read */
    pid_t mem_pid; /* whose memory is read; 0: not asked yet; -1: nobody's */
    struct frame_rx rx;
    ssize_t looked_n; /* what look() got, in the loop's buffer: bytes, 0: the end, -1: an error */
    void *arg;
};

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

static int
sock_addr_unix(const char *path, struct sock_addr *ret_addr)
{
    size_t len = strlen(path);

    if (path[0] != '/' || len >= sizeof(ret_addr->u.un.sun_path)) {
        LOG_WARN("unix://%s: the path must be absolute and shorter than %zu bytes", path,
            sizeof(ret_addr->u.un.sun_path));
        return CAIRN_ERR(INVAL);
    }
    memset(ret_addr, 0, sizeof(*ret_addr));
    ret_addr->u.un.sun_family = AF_UNIX;
    memcpy(ret_addr->u.un.sun_path, path, len + 1);
    ret_addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return 0;
}

int
plat_linux_tcp_addr(const char *text, struct sockaddr_in *ret_addr)
{
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN];
    unsigned long port;
    char *end;

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host))
        return CAIRN_ERR(INVAL);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || colon[1] < '0' || colon[1] > '9' || port > 65535)
        return CAIRN_ERR(INVAL);
    memset(ret_addr, 0, sizeof(*ret_addr));
    ret_addr->sin_family = AF_INET;
    ret_addr->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &ret_addr->sin_addr) == 1 ? 0 : CAIRN_ERR(INVAL);
}

static int
sock_addr_tcp(const char *text, struct sock_addr *ret_addr)
{
    memset(ret_addr, 0, sizeof(*ret_addr));
    ret_addr->len = sizeof(ret_addr->u.in);
    return plat_linux_tcp_addr(text, &ret_addr->u.in);
}

static int
sock_addr_parse(const char *uri, struct sock_addr *ret_addr)
{
    if (strlen(uri) >= NET_URI_MAX)
        return CAIRN_ERR(INVAL);
    if (strncmp(uri, "tcp://", 6) == 0)
        return sock_addr_tcp(uri + 6, ret_addr);
    if (strncmp(uri, "unix://", 7) == 0)
        return sock_addr_unix(uri + 7, ret_addr);
    return CAIRN_ERR(INVAL);
}

/* Each is an improvement only: without it the socket works, so failures do not matter. */
void
plat_linux_tcp_options(int fd)
{
    const int on = 1, idle_s = SOCK_DEAD_S / 2, interval_s = SOCK_DEAD_S / 8, probes = 4;
    const int dead_ms = SOCK_DEAD_S * 1000, syns = SOCK_SYN_NR;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &syns, sizeof(syns));
}

static void
sock_fd_options(int fd, int family)
{
    const int buf_bytes = SOCK_BUF_BYTES;

    if (family == AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buf_bytes, sizeof(buf_bytes));
    } else {
        plat_linux_tcp_options(fd);
    }
}

/* ---- the end of a peer ---------------------------------------------------------------------------------------------- */

static void
sock_read_told(struct net_peer *peer, struct sock_read *srd, int rc)
{
    struct net_read *rd = CAIRN_CONTAINER_OF(srd, struct net_read, priv);

    list_del(&srd->link);
    peer->net->loop->cbs_nr++;
    rd->done(rd, rc);
}

/* From any state to FAILED; the rest follows in peer_finish(). */
static void
peer_fail(struct net_peer *peer, int rc)
{
    struct plat_loop *loop;

    if (peer->state == SOCK_FAILED || peer->state == SOCK_GONE)
        return;
    loop = peer->net->loop;
    peer->state = SOCK_FAILED;
    peer->down_rc = rc;
    list_del(&peer->task.link); /* it may wait on the list for later */
    if (peer->src.fd >= 0) {
        if (peer->src.events != 0)
            loop_src_del(loop, &peer->src);
        close(peer->src.fd);
        peer->src.fd = -1;
    }
    loop_task_add(loop, &peer->task);
}

static void
peer_free(struct net_peer *peer)
{
    frame_rx_fini(&peer->rx);
    free(peer);
}

static void
peer_finish(struct net_peer *peer)
{
    struct net *net = peer->net;
    struct sock_read *srd;

    CAIRN_ASSERT(peer->state == SOCK_FAILED);
    net->in_cbs++;
    sendq_end(&peer->sendq, peer->down_rc);
    while ((srd = LIST_FIRST(&peer->reads, struct sock_read, link)) != NULL) {
        sock_read_told(peer, srd, CAIRN_ERR(UNREACH));
    }
    if (peer->user_ref) {
        net->loop->cbs_nr++;
        net->cbs.down(net->arg, peer, peer->down_rc);
    }
    net->in_cbs--;
    list_del(&peer->link);
    list_del(&peer->task.link);
    net->peers_nr--;
    peer->net = NULL;
    peer->state = SOCK_GONE;
    if (!peer->user_ref)
        peer_free(peer);
}

/* ---- sending -------------------------------------------------------------------------------------------------------- */

static ssize_t
peer_write_many(struct net_peer *peer)
{
    struct iovec iovs[SOCK_IOVS_MAX];
    struct msghdr msg = {.msg_iov = iovs};
    struct sendq_tx *stx;

    LIST_FOREACH(stx, &peer->sendq.queue, struct sendq_tx, link) {
        if (msg.msg_iovlen + SENDQ_IOVS_MAX > SOCK_IOVS_MAX)
            break;
        msg.msg_iovlen += (size_t)sendq_gather(stx, iovs + msg.msg_iovlen);
    }
    return sendmsg(peer->src.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* All that is queued, when it is little: the kernel takes one piece faster than a list of pieces. 0: it is too much. */
static ssize_t
peer_write_little(struct net_peer *peer)
{
    uint8_t bytes[SOCK_LITTLE_BYTES];
    struct sendq_tx *stx;
    size_t len = 0;

    LIST_FOREACH(stx, &peer->sendq.queue, struct sendq_tx, link) {
        struct iovec iovs[SENDQ_IOVS_MAX];
        int nr = sendq_left(stx) > sizeof(bytes) - len ? 0 : sendq_gather(stx, iovs);

        if (nr == 0)
            return 0;
        for (int i = 0; i < nr; i++) {
            memcpy(bytes + len, iovs[i].iov_base, iovs[i].iov_len);
            len += iovs[i].iov_len;
        }
    }
    return send(peer->src.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* One system call for as much as fits. Returns the bytes written, 0 when the socket is full or broken. */
static uint64_t
peer_write(struct net_peer *peer)
{
    ssize_t n;

    peer->net->loop->stats.calls_nr++;
    do {
        n = peer_write_little(peer);
        if (n == 0)
            n = peer_write_many(peer);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        sendq_advance(&peer->sendq, (uint64_t)n);
        return (uint64_t)n;
    }
    if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) {
        loop_src_mod(peer->net->loop, &peer->src, EPOLLIN | EPOLLOUT);
    } else {
        peer_fail(peer, CAIRN_ERR(UNREACH));
    }
    return 0;
}

static void
peer_flush(struct net_peer *peer)
{
    struct net *net = peer->net;
    uint64_t total = 0;
    uint64_t n;

    do {
        n = sendq_is_empty(&peer->sendq) ? 0 : peer_write(peer);
        total += n;
        net->in_cbs++;
        sendq_tell(&peer->sendq);
        net->in_cbs--;
        if (peer->state != SOCK_UP)
            return;
    } while (n > 0 && total < SOCK_WRITE_BYTES_MAX);
    if (sendq_is_empty(&peer->sendq)) {
        loop_src_mod(net->loop, &peer->src, EPOLLIN);
    } else if (n > 0)
        loop_task_add(net->loop, &peer->task); /* the others' turn first */
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

/* Bytes have come. False: the peer is no longer UP. */
static bool
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
                    net->uri[0] != '\0' ? net->uri : "client");
            }
            peer_fail(peer, rc);
            return false;
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
        if (peer->state != SOCK_UP)
            return false;
    } while (ev != FRAME_NEED);
    return true;
}

/* True: there may be more. */
static bool
peer_read(struct net_peer *peer)
{
    struct plat_loop *loop = peer->net->loop;
    struct iovec iovs[2];
    struct iov direct = {NULL, 0};
    int nr = 0;
    ssize_t n;

    if (frame_rx_direct(&peer->rx, &direct))
        iovs[nr++] = (struct iovec){direct.buf, direct.len};
    iovs[nr++] = (struct iovec){loop->rxbuf, LOOP_RXBUF_BYTES};
    loop->stats.calls_nr++;
    n = nr == 1 ? recv(peer->src.fd, loop->rxbuf, LOOP_RXBUF_BYTES, 0)
                : readv(peer->src.fd, iovs, nr);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        peer_fail(peer, CAIRN_ERR(UNREACH)); /* closed or reset */
        return false;
    }
    if (direct.len > 0) {
        size_t placed = MIN((size_t)n, direct.len);

        frame_rx_direct_done(&peer->rx, placed);
        if (!peer_feed(peer, loop->rxbuf, (size_t)n - placed))
            return false;
    } else if (!peer_feed(peer, loop->rxbuf, (size_t)n)) {
        return false;
    }
    return (size_t)n == direct.len + LOOP_RXBUF_BYTES;
}

/* LOOP-6. A payload that goes straight to its place is read as usual. */
static bool
peer_look(struct loop_src *src)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(src, struct net_peer, src);
    struct plat_loop *loop = peer->net->loop;
    struct iov direct;

    if (peer->state != SOCK_UP || frame_rx_direct(&peer->rx, &direct))
        return false;
    peer->looked_n = recv(src->fd, loop->rxbuf, LOOP_RXBUF_BYTES, MSG_DONTWAIT);
    if (peer->looked_n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    loop->stats.calls_nr++;
    return true;
}

/* True: there may be more. */
static bool
peer_looked(struct net_peer *peer)
{
    if (peer->looked_n <= 0) {
        peer_fail(peer, CAIRN_ERR(UNREACH)); /* closed or reset */
        return false;
    }
    return peer_feed(peer, peer->net->loop->rxbuf, (size_t)peer->looked_n) &&
        peer->looked_n == LOOP_RXBUF_BYTES;
}

/* ---- connecting ----------------------------------------------------------------------------------------------------- */

static void peer_src_fn(struct loop_src *src, uint32_t events);
static void peer_task_fn(struct loop_task *task);

static struct net_peer *
peer_new(struct net *net, int fd)
{
    struct net_peer *peer = calloc(1, sizeof(*peer));

    if (net->loop->rxbuf == NULL)
        net->loop->rxbuf = malloc(LOOP_RXBUF_BYTES);
    if (peer == NULL || net->loop->rxbuf == NULL) {
        free(peer);
        return NULL;
    }
    peer->net = net;
    peer->src = (struct loop_src){.fd = fd, .fn = peer_src_fn, .look = peer_look};
    peer->task.fn = peer_task_fn;
    list_init(&peer->task.link);
    sendq_init(&peer->sendq, net->loop);
    list_init(&peer->reads);
    list_add_tail(&peer->link, &net->peers);
    peer->user_ref = true;
    net->peers_nr++;
    return peer;
}

static int
peer_watch(struct net_peer *peer, uint32_t events)
{
    int rc;

    peer->src.events = events;
    rc = loop_src_add(peer->net->loop, &peer->src);
    if (rc != 0)
        peer->src.events = 0;
    return rc;
}

bool
plat_linux_tcp_is_self(int fd)
{
    struct sock_addr here = {.len = sizeof(here.u)}, there = {.len = sizeof(there.u)};

    if (getsockname(fd, &here.u.sa, &here.len) != 0 || here.u.sa.sa_family != AF_INET)
        return false;
    if (getpeername(fd, &there.u.sa, &there.len) != 0)
        return false;
    return here.u.in.sin_port == there.u.in.sin_port &&
        here.u.in.sin_addr.s_addr == there.u.in.sin_addr.s_addr;
}

static void
peer_connected(struct net_peer *peer)
{
    int err = 0;
    socklen_t len = sizeof(err);

    if (getsockopt(peer->src.fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    if (err != 0 || plat_linux_tcp_is_self(peer->src.fd)) {
        peer_fail(peer, CAIRN_ERR(UNREACH));
        return;
    }
    peer->state = SOCK_UP;
    loop_src_mod(peer->net->loop, &peer->src, EPOLLIN);
    peer_flush(peer);
}

static void
peer_connect(struct net_peer *peer)
{
    int rc = connect(peer->src.fd, &peer->remote.u.sa, peer->remote.len);

    if (rc != 0 && errno == EAGAIN && ++peer->retries_nr <= SOCK_RETRIES_MAX) {
        loop_task_add_later(peer->net->loop, &peer->task); /* AF_UNIX: the backlog is full */
        return;
    }
    if (rc != 0 && errno != EINPROGRESS && errno != EINTR) {
        peer_fail(peer, CAIRN_ERR(UNREACH));
        return;
    }
    rc = peer_watch(peer, EPOLLOUT);
    if (rc != 0)
        peer_fail(peer, rc);
}

static void
peer_src_fn(struct loop_src *src, uint32_t events)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(src, struct net_peer, src);

    if (peer->state == SOCK_CONNECTING) {
        peer_connected(peer);
        return;
    }
    if ((events & LOOP_LOOKED) != 0 && !peer_looked(peer))
        return;
    if ((events & EPOLLOUT) != 0)
        peer_flush(peer);
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return;
    for (int i = 0; i < SOCK_READS_MAX && peer->state == SOCK_UP; i++) {
        if (!peer_read(peer))
            break;
    }
}

static int
mem_read(struct net_peer *peer, const struct sock_read *srd, const struct iov *dst)
{
    uint8_t nonce[SOCK_NONCE_BYTES] = {0};
    struct iovec here[] = {{nonce, sizeof(nonce)}, {dst->buf, dst->len}};
    struct iovec there[] = {
        {(void *)(uintptr_t)srd->nonce_at, sizeof(nonce)}, {(void *)(uintptr_t)srd->at, dst->len}};
    ssize_t n;

    peer->net->loop->stats.calls_nr++;
    n = process_vm_readv(peer->mem_pid, here, 2, there, 2, 0);
    if (n >= (ssize_t)sizeof(nonce) && memcmp(nonce, srd->nonce, sizeof(nonce)) == 0) {
        return n == (ssize_t)(sizeof(nonce) + dst->len) ? 0
                                                        : CAIRN_ERR(NONEXIST); /* unmapped by now */
    }
    peer->mem_pid = -1;
    return CAIRN_ERR(NO_PERM);
}

static void
peer_reads_run(struct net_peer *peer)
{
    struct sock_read *srd;
    size_t total = 0;

    while (peer->state == SOCK_UP && total < SOCK_READ_MEM_BYTES_MAX &&
        (srd = LIST_FIRST(&peer->reads, struct sock_read, link)) != NULL) {
        struct net_read *rd = CAIRN_CONTAINER_OF(srd, struct net_read, priv);

        total += rd->dst.len;
        peer->net->in_cbs++;
        sock_read_told(
            peer, srd, peer->mem_pid > 0 ? mem_read(peer, srd, &rd->dst) : CAIRN_ERR(NO_PERM));
        peer->net->in_cbs--;
    }
    if (peer->state == SOCK_UP && !list_empty(&peer->reads))
        loop_task_add(peer->net->loop, &peer->task); /* the others' turn first */
}

static void
peer_task_fn(struct loop_task *task)
{
    struct net_peer *peer = CAIRN_CONTAINER_OF(task, struct net_peer, task);

    switch (peer->state) {
    case SOCK_CONNECTING:
        if (peer->src.events == 0)
            peer_connect(peer);
        break;
    case SOCK_UP:
        peer_reads_run(peer);
        if (peer->state == SOCK_UP)
            peer_flush(peer);
        break;
    case SOCK_FAILED:
        peer_finish(peer);
        break;
    case SOCK_GONE:
        break;
    }
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

    if (net->peers_nr >= SOCK_PEERS_MAX) {
        net_turn_away(net, fd, "too many");
        return;
    }
    sock_fd_options(fd, net->bound.u.sa.sa_family);
    peer = peer_new(net, fd);
    if (peer == NULL) {
        net_turn_away(net, fd, "out of memory");
        return;
    }
    peer->state = SOCK_UP;
    if (peer_watch(peer, EPOLLIN) != 0) {
        peer->user_ref = false; /* never told of: nothing to put */
        peer_fail(peer, CAIRN_ERR(NOMEM));
        return;
    }
    net->loop->cbs_nr++;
    net->in_cbs++;
    net->cbs.accepted(net->arg, peer);
    net->in_cbs--;
}

static void
net_listen_fn(struct loop_src *src, uint32_t events)
{
    struct net *net = CAIRN_CONTAINER_OF(src, struct net, listen_src);

    (void)events;
    for (int i = 0; i < SOCK_ACCEPTS_MAX; i++) {
        int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            net_accepted(net, fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            net_accept_starved(net);
        } else if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

/* True: a socket file on which nobody answers was removed. */
static bool
sock_stale_removed(const struct sock_addr *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat st;
    bool stale;

    if (fd < 0)
        return false;
    stale = connect(fd, &addr->u.sa, addr->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!stale || lstat(addr->u.un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    return unlink(addr->u.un.sun_path) == 0;
}

static int
net_bind(struct net *net, const char *uri)
{
    struct sock_addr *addr = &net->bound;
    const int on = 1;
    struct stat st;
    int fd = net->listen_src.fd;
    int err;

    if (addr->u.sa.sa_family == AF_INET)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    err = bind(fd, &addr->u.sa, addr->len) == 0 ? 0 : errno;
    if (err == EADDRINUSE && addr->u.sa.sa_family == AF_UNIX && sock_stale_removed(addr))
        err = bind(fd, &addr->u.sa, addr->len) == 0 ? 0 : errno;
    if (err == 0)
        err = listen(fd, SOCK_BACKLOG) == 0 ? 0 : errno;
    if (err != 0) {
        LOG_WARN("%s: cannot listen there: %s", uri, strerror(err));
        return PLAT_LINUX_ERR(err);
    }
    if (addr->u.sa.sa_family == AF_UNIX) {
        if (stat(addr->u.un.sun_path, &st) == 0) {
            net->bound_dev = st.st_dev;
            net->bound_ino = st.st_ino;
        }
        snprintf(net->uri, sizeof(net->uri), "%s", uri);
        return 0;
    }
    if (getsockname(fd, &addr->u.sa, &addr->len) != 0)
        return PLAT_LINUX_ERR(errno);
    snprintf(net->uri, sizeof(net->uri), "%.*s:%u", (int)(strrchr(uri, ':') - uri), uri,
        ntohs(addr->u.in.sin_port));
    return 0;
}

static int
net_listen(struct net *net, const char *uri)
{
    int rc = sock_addr_parse(uri, &net->bound);

    if (rc != 0)
        return rc;
    net->listen_src.fd =
        socket(net->bound.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (net->listen_src.fd < 0)
        return PLAT_LINUX_ERR(errno);
    rc = net_bind(net, uri);
    if (rc != 0)
        return rc;
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
sock_unlink_bound(struct net *net)
{
    struct stat st;

    if (net->bound.u.sa.sa_family != AF_UNIX || net->bound_ino == 0)
        return;
    if (stat(net->bound.u.un.sun_path, &st) == 0 && st.st_dev == net->bound_dev &&
        st.st_ino == net->bound_ino)
        unlink(net->bound.u.un.sun_path);
}

static void
sock_close(struct net *net)
{
    struct net_peer *peer;

    if (net == NULL)
        return;
    CAIRN_ASSERT(net->in_cbs == 0);
    if (net->listen_src.fd >= 0) {
        sock_unlink_bound(net);
        if (net->listen_src.events != 0)
            loop_src_del(net->loop, &net->listen_src);
        close(net->listen_src.fd);
        net->listen_src.fd = -1;
    }
    if (net->reserve_fd >= 0)
        close(net->reserve_fd);
    LIST_FOREACH(peer, &net->peers, struct net_peer, link) {
        peer_fail(peer, -(int)DER_CANCELED); /* before any callback: no more sends */
    }
    while ((peer = LIST_FIRST(&net->peers, struct net_peer, link)) != NULL) {
        peer_finish(peer);
    }
    free(net);
}

static int
sock_open(struct plat *plat, struct plat_loop *loop, const char *listen_uri,
    const struct net_cbs *cbs, void *arg, struct net **ret_net)
{
    struct net *net = calloc(1, sizeof(*net));
    int rc = 0;

    if (net == NULL)
        return CAIRN_ERR(NOMEM);
    net->loop = loop;
    net->cbs = *cbs;
    net->arg = arg;
    net->listen_src.fd = -1;
    net->reserve_fd = -1;
    list_init(&net->peers);
    plat->ops->random(plat, net->nonce, sizeof(net->nonce));
    if (listen_uri != NULL)
        rc = net_listen(net, listen_uri);
    if (rc != 0) {
        sock_close(net);
        return rc;
    }
    *ret_net = net;
    return 0;
}

static int
sock_connect(struct net *net, const char *uri, struct net_peer **ret_peer)
{
    struct sock_addr addr;
    struct net_peer *peer;
    int rc = sock_addr_parse(uri, &addr);
    int fd;

    if (rc != 0)
        return rc;
    if (net->peers_nr >= SOCK_PEERS_MAX)
        return CAIRN_ERR(BUSY);
    fd = socket(addr.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    sock_fd_options(fd, addr.u.sa.sa_family);
    peer = peer_new(net, fd);
    if (peer == NULL) {
        close(fd);
        return CAIRN_ERR(NOMEM);
    }
    peer->state = SOCK_CONNECTING;
    peer->remote = addr;
    loop_task_add(net->loop, &peer->task);
    *ret_peer = peer;
    return 0;
}

static int
sock_send(struct net_peer *peer, struct net_tx *tx)
{
    int rc;

    if (peer->state != SOCK_CONNECTING && peer->state != SOCK_UP)
        return CAIRN_ERR(UNREACH);
    rc = sendq_add(&peer->sendq, tx);
    if (rc == 0 && peer->state == SOCK_UP && (peer->src.events & EPOLLOUT) == 0)
        loop_task_add(peer->net->loop, &peer->task);
    return rc;
}

static void
sock_tx_cancel(struct net_peer *peer, struct net_tx *tx)
{
    if (sendq_cancel(&peer->sendq, tx, peer->state == SOCK_UP))
        return;
    peer_fail(peer, CAIRN_ERR(NOMEM));
    sendq_cancelled(&peer->sendq, tx);
}

static void
sock_disconnect(struct net_peer *peer)
{
    peer_fail(peer, -(int)DER_CANCELED);
}

static void
sock_peer_put(struct net_peer *peer)
{
    if (peer == NULL)
        return;
    CAIRN_ASSERT(peer->user_ref);
    peer->user_ref = false;
    if (peer->state == SOCK_GONE) {
        peer_free(peer);
    } else {
        peer_fail(peer, -(int)DER_CANCELED); /* no down(): nobody is there to hear it */
    }
}

static void *
sock_peer_arg(struct net_peer *peer)
{
    return peer->arg;
}

static void
sock_peer_arg_set(struct net_peer *peer, void *arg)
{
    peer->arg = arg;
}

static const char *
sock_uri(struct net *net)
{
    return net->uri;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static int
sock_mem_offer(struct net *net, const struct iov *buf, struct net_mem **ret_mem)
{
    struct net_mem *mem = malloc(sizeof(*mem));

    if (mem == NULL)
        return CAIRN_ERR(NOMEM);
    *mem = (struct net_mem){.net = net, .buf = *buf};
    *ret_mem = mem;
    return 0;
}

static void
sock_mem_revoke(struct net_mem *mem)
{
    free(mem);
}

static bool
peer_is_unix(const struct net_peer *peer)
{
    struct sockaddr_un addr;
    socklen_t len = sizeof(addr);

    return peer->src.fd >= 0 && getsockname(peer->src.fd, (struct sockaddr *)&addr, &len) == 0 &&
        addr.sun_family == AF_UNIX;
}

/* Where: the nonce's address, the nonce, the address. */
static bool
sock_mem_where(
    struct net_mem *mem, struct net_peer *peer, size_t off, uint8_t ret_where[NET_WHERE_BYTES])
{
    if (peer->mem_pid == 0)
        peer->mem_pid = peer_is_unix(peer) ? 0 : -1;
    if (peer->mem_pid < 0)
        return false;
    le64_put(ret_where, (uint64_t)(uintptr_t)mem->net->nonce);
    memcpy(ret_where + 8, mem->net->nonce, SOCK_NONCE_BYTES);
    le64_put(ret_where + 24, (uint64_t)(uintptr_t)mem->buf.buf + off);
    return true;
}
_Static_assert(NET_WHERE_BYTES == 8 + SOCK_NONCE_BYTES + 8, "where");

static void
peer_cred(struct net_peer *peer)
{
    struct ucred cred = {.pid = 0};
    socklen_t len = sizeof(cred);

    peer->mem_pid = -1;
    if (peer_is_unix(peer) && getsockopt(peer->src.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
        cred.pid > 0 && cred.uid == geteuid())
        peer->mem_pid = cred.pid;
}

static int
sock_read(struct net_peer *peer, struct net_read *rd, const uint8_t where[NET_WHERE_BYTES])
{
    struct sock_read *srd = (struct sock_read *)(void *)rd->priv;

    if (peer->state != SOCK_UP)
        return CAIRN_ERR(UNREACH);
    if (peer->mem_pid == 0)
        peer_cred(peer);
    if (peer->mem_pid < 0)
        return -(int)DER_NOSYS;
    srd->nonce_at = le64_get(where);
    memcpy(srd->nonce, where + 8, SOCK_NONCE_BYTES);
    srd->at = le64_get(where + 24) + rd->off;
    list_add_tail(&srd->link, &peer->reads);
    loop_task_add(peer->net->loop, &peer->task);
    return 0;
}

const struct net_ops plat_linux_sock_ops = {
    .name = "sock",
    .open = sock_open,
    .close = sock_close,
    .connect = sock_connect,
    .send = sock_send,
    .tx_cancel = sock_tx_cancel,
    .disconnect = sock_disconnect,
    .peer_put = sock_peer_put,
    .peer_arg = sock_peer_arg,
    .peer_arg_set = sock_peer_arg_set,
    .uri = sock_uri,
    .mem_offer = sock_mem_offer,
    .mem_revoke = sock_mem_revoke,
    .mem_where = sock_mem_where,
    .read = sock_read,
    .read_bytes_min = SOCK_READ_BYTES_MIN,
    .may_read_late = true,
};
