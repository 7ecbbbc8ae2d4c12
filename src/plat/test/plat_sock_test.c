/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what is special to the real transports: threads, hostile bytes, socket files, dead processes and hosts, running out of descriptors.
 * Method: endpoints on driven threads under random cancels (run under tsan too), and raw sockets against an endpoint.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/util.h"
#include "plat/plat_frame.h"
#include "plat/test/plat_test_fix.h"

/* ---- threads -------------------------------------------------------------------------------------------------------- */

enum { STRESS_NR = 3000, STRESS_FLIGHT = 16, STRESS_PAYLOAD_MAX = 100000 };

struct stress_tx {
    struct net_tx tx;
    uint8_t head[16];
    uint8_t *payload;
    bool busy;
};

struct actor {
    struct plat *plat;
    const struct net_ops *ops;
    struct plat_loop *loop;
    struct plat_thread *thread;
    struct net *net;
    struct net_peer *peer;
    const char *uri; /* to connect to; NULL: a server */
    struct stress_tx txs[STRESS_FLIGHT];
    uint64_t seed;
    uint32_t sent_nr, done_nr, canceled_nr;
    uint32_t recv_nr, bad_nr;
    uint8_t *place_buf;
    atomic_uint finished;
};

static bool
actor_place(void *arg, struct net_peer *peer, const void *head, size_t head_len, size_t payload_len,
    struct iov *ret_dst)
{
    struct actor *actor = arg;

    (void)peer;
    (void)head_len;
    *ret_dst = (struct iov){actor->place_buf, payload_len};
    return le64_get(head) % 2 == 0;
}

static void
actor_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    struct actor *actor = arg;
    const uint8_t *bytes = payload;
    uint8_t want = (uint8_t)le64_get(head);

    (void)peer;
    (void)head_len;
    actor->recv_nr++;
    for (size_t i = 0; i < payload_len; i++) {
        if (bytes[i] != want) {
            actor->bad_nr++;
            break;
        }
    }
}

static void
actor_accepted(void *arg, struct net_peer *peer)
{
    ((struct actor *)arg)->peer = peer;
}

static void
actor_down(void *arg, struct net_peer *peer, int rc)
{
    struct actor *actor = arg;

    (void)rc;
    actor->ops->peer_put(peer);
    actor->peer = NULL;
    if (actor->uri == NULL)
        atomic_fetch_add(&actor->finished, 1);
}

static const struct net_cbs actor_cbs = {
    .place = actor_place, .recv = actor_recv, .accepted = actor_accepted, .down = actor_down};

static void
actor_done(struct net_tx *tx, int rc)
{
    struct actor *actor = tx->arg;
    struct stress_tx *stx = (struct stress_tx *)tx; /* first member */

    stx->busy = false;
    if (tx->payload.len > 0)
        memset(stx->payload, 0xff, tx->payload.len); /* ours again: nobody may be reading */
    actor->done_nr++;
    actor->canceled_nr += rc != 0;
}

static uint64_t
server_step(void *arg)
{
    (void)arg;
    return PLAT_NEVER_NS;
}

static uint64_t
client_step(void *arg)
{
    struct actor *actor = arg;

    if (actor->peer == NULL && actor->sent_nr == 0)
        EXPECT_OK(actor->ops->connect(actor->net, actor->uri, &actor->peer));
    for (uint32_t i = 0; i < STRESS_FLIGHT && actor->sent_nr < STRESS_NR; i++) {
        struct stress_tx *stx = &actor->txs[i];
        size_t len = test_rand(&actor->seed) % STRESS_PAYLOAD_MAX;

        if (stx->busy || actor->peer == NULL)
            continue;
        if (test_rand(&actor->seed) % 4 == 0)
            len = 0;
        le64_put(stx->head, actor->sent_nr);
        memset(stx->payload, (int)actor->sent_nr, len);
        stx->tx = (struct net_tx){.head = {stx->head, sizeof(stx->head)},
            .payload = {stx->payload, len},
            .done = actor_done,
            .arg = actor};
        stx->busy = true;
        EXPECT_OK(actor->ops->send(actor->peer, &stx->tx));
        actor->sent_nr++;
    }
    for (uint32_t i = 0; i < STRESS_FLIGHT && actor->peer != NULL; i++) {
        if (actor->txs[i].busy && test_rand(&actor->seed) % 16 == 0)
            actor->ops->tx_cancel(actor->peer, &actor->txs[i].tx);
    }
    if (actor->done_nr < STRESS_NR)
        return actor->done_nr < actor->sent_nr ? plat_mono_ns(actor->plat) + FIX_MS : 0;
    if (actor->peer != NULL && atomic_load(&actor->finished) == 0) {
        actor->ops->disconnect(actor->peer);
        atomic_fetch_add(&actor->finished, 1);
    }
    return PLAT_NEVER_NS;
}

static void
actor_init(struct actor *actor, struct fix *f, const struct net_ops *ops)
{
    memset(actor, 0, sizeof(*actor));
    actor->plat = f->plat;
    actor->ops = ops;
    actor->seed = test_seed();
    actor->place_buf = malloc(STRESS_PAYLOAD_MAX);
    for (uint32_t i = 0; i < STRESS_FLIGHT; i++) {
        actor->txs[i].payload = malloc(STRESS_PAYLOAD_MAX);
    }
    EXPECT_OK(f->plat->ops->loop_create(f->plat, &actor->loop));
}

static void
actor_fini(struct actor *actor)
{
    actor->plat->ops->thread_stop(actor->thread);
    actor->ops->close(actor->net);
    actor->plat->ops->loop_destroy(actor->loop);
    free(actor->place_buf);
    for (uint32_t i = 0; i < STRESS_FLIGHT; i++) {
        free(actor->txs[i].payload);
    }
}

static void
stress(const char *listen_uri)
{
    struct fix f;
    struct actor server, client;
    const struct net_ops *ops;

    if (!fix_init(&f))
        return;
    ops = f.plat->ops->net(f.plat, listen_uri);
    actor_init(&server, &f, ops);
    actor_init(&client, &f, ops);
    EXPECT_OK(ops->open(f.plat, server.loop, listen_uri, &actor_cbs, &server, &server.net));
    EXPECT_OK(ops->open(f.plat, client.loop, NULL, &actor_cbs, &client, &client.net));
    client.uri = ops->uri(server.net);
    EXPECT_OK(f.plat->ops->thread_start(
        f.plat, server.loop, "server", UINT32_MAX, server_step, &server, &server.thread));
    EXPECT_OK(f.plat->ops->thread_start(
        f.plat, client.loop, "client", UINT32_MAX, client_step, &client, &client.thread));
    EXPECT(fix_wait(&f, (uint32_t *)&client.finished, 1));
    EXPECT(fix_wait(&f, (uint32_t *)&server.finished, 1));
    actor_fini(&client);
    actor_fini(&server);
    EXPECT_EQ(client.done_nr, STRESS_NR);
    EXPECT_EQ(server.bad_nr, 0);
    /* One message may be half written, cancelled (told 0, to be finished from a copy) and lost by the disconnect. */
    EXPECT_LE(server.recv_nr, STRESS_NR - client.canceled_nr);
    EXPECT_GE(server.recv_nr + 1, STRESS_NR - client.canceled_nr);
    EXPECT_GT(server.recv_nr, STRESS_NR / 4);
    fix_fini(&f);
}

TEST_LINUX(plat_sock, stress_tcp, "threads and cancels against a real kernel")
{
    stress("tcp://127.0.0.1:0");
}

TEST_LINUX(plat_sock, stress_unix, "threads and cancels against a real kernel")
{
    char uri[NET_URI_MAX];

    snprintf(uri, sizeof(uri), "unix:///tmp/cairn-plat-stress-%d", (int)getpid());
    stress(uri);
}

TEST_LINUX(plat_sock, stress_inproc, "the simulator has one thread")
{
    stress("inproc://stress");
}

/* ---- raw sockets ---------------------------------------------------------------------------------------------------- */

struct guard {
    struct fix f;
    const struct net_ops *ops;
    struct net *net;
    char uri[NET_URI_MAX];
    struct sockaddr_un addr;
    struct net_peer *peer; /* accepted last */
    uint32_t accepted_nr, down_nr, recv_nr;
    int down_rc;
};

static void
guard_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    (void)peer;
    (void)head;
    (void)head_len;
    (void)payload;
    (void)payload_len;
    ((struct guard *)arg)->recv_nr++;
}

static void
guard_accepted(void *arg, struct net_peer *peer)
{
    ((struct guard *)arg)->peer = peer;
    ((struct guard *)arg)->accepted_nr++;
}

static void
guard_down(void *arg, struct net_peer *peer, int rc)
{
    struct guard *g = arg;

    g->down_nr++;
    g->down_rc = rc;
    g->ops->peer_put(peer);
}

static const struct net_cbs guard_cbs = {
    .recv = guard_recv, .accepted = guard_accepted, .down = guard_down};

static bool
guard_init(struct guard *g)
{
    memset(g, 0, sizeof(*g));
    if (!fix_init(&g->f))
        return false;
    g->addr.sun_family = AF_UNIX;
    snprintf(g->addr.sun_path, sizeof(g->addr.sun_path), "/tmp/cairn-plat-g-%d", (int)getpid());
    snprintf(g->uri, sizeof(g->uri), "unix://%s", g->addr.sun_path);
    g->ops = g->f.plat->ops->net(g->f.plat, g->uri);
    return EXPECT_OK(g->ops->open(g->f.plat, g->f.loop, g->uri, &guard_cbs, g, &g->net));
}

static void
guard_fini(struct guard *g)
{
    g->ops->close(g->net);
    fix_fini(&g->f);
}

static int
guard_dial(struct guard *g)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    EXPECT_EQ(connect(fd, (struct sockaddr *)&g->addr, sizeof(g->addr)), 0);
    return fd;
}

/* Foreign bytes end their own connection and nothing else. */
TEST_LINUX(plat_sock, hostile_bytes, "raw sockets are Linux's")
{
    struct guard g;
    uint8_t good[FRAME_HDR_BYTES + 3] = {0}, bad[FRAME_HDR_BYTES + 3];
    int fds[4];
    char c;

    if (!guard_init(&g))
        return;
    frame_hdr_put(good, 3, 0);
    memcpy(bad, good, sizeof(bad));
    bad[5] = 0xff; /* a head of 65 KB, checksum wrong */
    for (int i = 0; i < 4; i++) {
        fds[i] = guard_dial(&g);
    }
    EXPECT(fix_wait(&g.f, &g.accepted_nr, 4));
    EXPECT_EQ(send(fds[0], "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
    EXPECT_EQ(send(fds[1], bad, sizeof(bad), 0), (ssize_t)sizeof(bad));
    EXPECT(fix_wait(&g.f, &g.down_nr, 2));
    EXPECT_ERR(g.down_rc, PROTO);
    EXPECT_EQ(recv(fds[0], &c, 1, 0), 0); /* closed on that side */
    EXPECT_EQ(send(fds[2], good, 10, 0), 10); /* half a header, then gone */
    close(fds[2]);
    EXPECT(fix_wait(&g.f, &g.down_nr, 3));
    EXPECT_ERR(g.down_rc, UNREACH);
    EXPECT_EQ(send(fds[3], good, sizeof(good), 0), (ssize_t)sizeof(good));
    EXPECT(fix_wait(&g.f, &g.recv_nr, 1));
    EXPECT_EQ(g.recv_nr, 1);
    close(fds[0]);
    close(fds[1]);
    close(fds[3]);
    guard_fini(&g);
}

/* A peer that says no more, but would still listen, is gone: what half a connection is good for nobody knows. */
TEST_LINUX(plat_sock, half_closed, "raw sockets are Linux's")
{
    struct guard g;
    char c;
    int fd;

    if (!guard_init(&g))
        return;
    fd = guard_dial(&g);
    EXPECT(fix_wait(&g.f, &g.accepted_nr, 1));
    EXPECT_EQ(shutdown(fd, SHUT_WR), 0);
    EXPECT(fix_wait(&g.f, &g.down_nr, 1));
    EXPECT_ERR(g.down_rc, UNREACH);
    EXPECT_EQ(recv(fd, &c, 1, 0), 0);
    close(fd);
    guard_fini(&g);
}

static void
guard_say(int fd)
{
    uint8_t msg[FRAME_HDR_BYTES + 3] = {0};

    frame_hdr_put(msg, 3, 0);
    EXPECT_EQ(send(fd, msg, sizeof(msg), 0), (ssize_t)sizeof(msg));
}

/* Two messages make a connection the one that is read while the loop polls (LOOP-6). */
static int
guard_hot(struct guard *g)
{
    uint32_t recv_nr = g->recv_nr, accepted_nr = g->accepted_nr;
    int fd = guard_dial(g);

    EXPECT(fix_wait(&g->f, &g->accepted_nr, accepted_nr + 1));
    for (uint32_t i = 1; i <= 2; i++) {
        guard_say(fd);
        EXPECT(fix_wait(&g->f, &g->recv_nr, recv_nr + i));
    }
    return fd;
}

/* What is read while the loop polls is told in the next poll, once and in order; so is the end. What is read of a connection that ends before is dropped. */
TEST_LINUX(plat_sock, hot, "descriptors are Linux's")
{
    struct guard g;
    struct plat_linux_loop_stats stats;
    uint64_t hot_nr;
    uint32_t before;
    int fd;

    if (!guard_init(&g))
        return;
    plat_linux_spin_set(g.f.plat, UINT64_C(1000000000));
    fd = guard_hot(&g);
    plat_linux_loop_stats(g.f.loop, &stats);
    hot_nr = stats.hot_nr;
    guard_say(fd);
    guard_say(fd);
    before = g.recv_nr;
    g.f.plat->ops->loop_wait(g.f.loop, PLAT_NEVER_NS);
    plat_linux_loop_stats(g.f.loop, &stats);
    EXPECT_EQ(stats.hot_nr, hot_nr + 1);
    EXPECT_EQ(g.recv_nr, before); /* PLT-1 */
    guard_say(fd);
    g.f.plat->ops->loop_wait(g.f.loop, PLAT_NEVER_NS); /* has work: reads no more */
    g.f.plat->ops->loop_poll(g.f.loop);
    EXPECT_EQ(g.recv_nr, before + 2);
    EXPECT(fix_wait(&g.f, &g.recv_nr, before + 3));

    close(fd);
    g.f.plat->ops->loop_wait(g.f.loop, PLAT_NEVER_NS);
    EXPECT_EQ(g.down_nr, 0);
    EXPECT(fix_wait(&g.f, &g.down_nr, 1));
    EXPECT_ERR(g.down_rc, UNREACH);

    fd = guard_hot(&g);
    guard_say(fd);
    before = g.recv_nr;
    g.f.plat->ops->loop_wait(g.f.loop, PLAT_NEVER_NS);
    g.ops->disconnect(g.peer);
    g.f.plat->ops->loop_poll(g.f.loop);
    EXPECT_EQ(g.down_nr, 2);
    EXPECT_EQ(g.recv_nr, before);
    close(fd);
    guard_fini(&g);
}

/* While one connection always has more, another one's message is found within a few looks. */
TEST_LINUX(plat_sock, hot_and_others, "descriptors are Linux's")
{
    struct guard g;
    uint32_t accepted_nr;
    int hot, other;
    int turns_nr = 0;

    if (!guard_init(&g))
        return;
    plat_linux_spin_set(g.f.plat, UINT64_C(1000000000));
    hot = guard_hot(&g);
    accepted_nr = g.accepted_nr;
    other = guard_dial(&g); /* the listener is another descriptor */
    while (g.accepted_nr == accepted_nr && turns_nr++ < 100) {
        guard_say(hot);
        g.f.plat->ops->loop_wait(g.f.loop, PLAT_NEVER_NS);
        g.f.plat->ops->loop_poll(g.f.loop);
    }
    EXPECT_LE(turns_nr, 10);
    close(hot);
    close(other);
    EXPECT(fix_wait(&g.f, &g.down_nr, 2));
    guard_fini(&g);
}

/* Sockets of this process that are joined to this port, and of those the ones that notice a dead host within 20 s. */
static void
port_sockets(uint16_t port, uint32_t *ret_nr, uint32_t *ret_watched_nr)
{
    *ret_nr = 0;
    *ret_watched_nr = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in here, there;
        socklen_t here_len = sizeof(here), there_len = sizeof(there), len = sizeof(int);
        int keep = 0, idle_s = 0, probes = 0, interval_s = 0, dead_ms = 0;

        if (getsockname(fd, (struct sockaddr *)&here, &here_len) != 0 || here.sin_family != AF_INET ||
            getpeername(fd, (struct sockaddr *)&there, &there_len) != 0)
            continue;
        if (ntohs(here.sin_port) != port && ntohs(there.sin_port) != port)
            continue;
        getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep, &len);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &len);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, &len);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, &len);
        getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, &len);
        *ret_nr += 1;
        *ret_watched_nr += keep == 1 && idle_s > 0 && interval_s > 0 && probes > 0 &&
            idle_s + probes * interval_s <= 20 && dead_ms > 0 && dead_ms <= 20000;
    }
}

/* Half-open: a host that died says nothing. Both ends of a connection watch for that, idle (keep-alive) or with bytes on the way. */
TEST_LINUX(plat_sock, half_open_is_watched, "options of TCP are Linux's")
{
    static const char *const uris[] = {"tcp://127.0.0.1:0", "ofi+tcp://127.0.0.1:0"};

    for (size_t i = 0; i < ARRAY_SIZE(uris); i++) {
        struct guard g;
        struct net_peer *peer;
        uint32_t nr, watched_nr;
        char uri[NET_URI_MAX];

        memset(&g, 0, sizeof(g));
        if (!fix_init(&g.f))
            return;
        g.ops = g.f.plat->ops->net(g.f.plat, uris[i]);
        if (!EXPECT_OK(g.ops->open(g.f.plat, g.f.loop, uris[i], &guard_cbs, &g, &g.net)))
            return;
        snprintf(uri, sizeof(uri), "%s", g.ops->uri(g.net));
        EXPECT_OK(g.ops->connect(g.net, uri, &peer));
        EXPECT(fix_wait(&g.f, &g.accepted_nr, 1));
        port_sockets((uint16_t)atoi(strrchr(uri, ':') + 1), &nr, &watched_nr);
        EXPECT_EQ(nr, 2);
        EXPECT_EQ(watched_nr, 2);
        guard_fini(&g);
    }
}

TEST_LINUX(plat_sock, socket_files, "socket files are Linux's")
{
    struct guard g;
    struct net *other = NULL;
    char uri[NET_URI_MAX];
    struct stat st;
    int fd;

    if (!guard_init(&g))
        return;
    EXPECT_ERR(g.ops->open(g.f.plat, g.f.loop, g.uri, &guard_cbs, &g, &other), BUSY);
    g.ops->close(g.net);
    EXPECT(stat(g.addr.sun_path, &st) != 0); /* removed by its owner */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(fd, (struct sockaddr *)&g.addr, sizeof(g.addr)), 0);
    close(fd); /* as a killed process leaves it */
    EXPECT_OK(g.ops->open(g.f.plat, g.f.loop, g.uri, &guard_cbs, &g, &g.net));
    unlink(g.addr.sun_path);
    fd = open(g.addr.sun_path, O_CREAT | O_WRONLY, 0600); /* somebody's file is never removed */
    close(fd);
    EXPECT_ERR(g.ops->open(g.f.plat, g.f.loop, g.uri, &guard_cbs, &g, &other), BUSY);
    EXPECT_EQ(stat(g.addr.sun_path, &st), 0);
    snprintf(uri, sizeof(uri), "unix:///%0*d", 110, 1);
    EXPECT_ERR(g.ops->open(g.f.plat, g.f.loop, uri, &guard_cbs, &g, &other), INVAL);
    EXPECT_ERR(
        g.ops->open(g.f.plat, g.f.loop, "unix:///no/such/dir/s", &guard_cbs, &g, &other), NONEXIST);
    guard_fini(&g);
    EXPECT_EQ(stat(g.addr.sun_path, &st), 0); /* no longer ours: left alone */
    unlink(g.addr.sun_path);
}

/* A killed process shows at once, also with its child alive, which dropped what it inherited (TH-4). */
TEST_LINUX(plat_sock, killed_process, "processes are Linux's")
{
    struct guard g;
    struct net *net = NULL;
    struct net_peer *peer = NULL;
    int ready[2];
    pid_t pids[2] = {0, 0};
    pid_t child;

    if (!guard_init(&g))
        return;
    EXPECT_EQ(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct plat *plat = NULL;
        struct plat_loop *loop = NULL;
        pid_t grandchild;

        if (plat_linux_create(&plat) != 0 || plat->ops->loop_create(plat, &loop) != 0 ||
            g.ops->open(plat, loop, NULL, &guard_cbs, &g, &net) != 0 ||
            g.ops->connect(net, g.uri, &peer) != 0)
            _exit(1);
        for (int i = 0; i < 10; i++) {
            plat->ops->loop_poll(loop);
        }
        grandchild = fork();
        if (grandchild == 0) {
            plat_linux_forked(plat);
            plat->ops->loop_destroy(loop);
            if (write(ready[1], &grandchild, sizeof(grandchild)) < 0)
                _exit(1);
            pause();
            _exit(0);
        }
        if (write(ready[1], &grandchild, sizeof(grandchild)) < 0)
            _exit(1);
        pause();
        _exit(0);
    }
    EXPECT_EQ(read(ready[0], &pids[0], sizeof(pid_t)), (ssize_t)sizeof(pid_t));
    EXPECT_EQ(read(ready[0], &pids[1], sizeof(pid_t)), (ssize_t)sizeof(pid_t));
    EXPECT(fix_wait(&g.f, &g.accepted_nr, 1));
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    EXPECT(fix_wait(&g.f, &g.down_nr, 1));
    EXPECT_ERR(g.down_rc, UNREACH);
    kill(pids[0] > 0 ? pids[0] : pids[1], SIGKILL);
    close(ready[0]);
    close(ready[1]);
    guard_fini(&g);
}

/* Out of descriptors: the newcomer is turned away, the endpoint goes on and does not run hot. */
TEST_LINUX(plat_sock, no_descriptors, "descriptor limits are Linux's")
{
    struct guard g;
    struct rlimit old, low;
    struct pollfd pfd = {.events = POLLIN};
    int fds[2];
    uint32_t polls = 0;

    if (!guard_init(&g))
        return;
    fds[0] = guard_dial(&g);
    EXPECT(fix_wait(&g.f, &g.accepted_nr, 1));
    fds[1] = guard_dial(&g);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)fds[1] + 1;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    pfd.fd = fds[1];
    while (poll(&pfd, 1, 0) == 0 && polls++ < 1000) {
        g.f.plat->ops->loop_poll(g.f.loop);
    }
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    EXPECT_LT(polls, 1000); /* it was closed, not left waiting */
    EXPECT_EQ(g.accepted_nr, 1);
    close(fds[1]);
    fds[1] = guard_dial(&g);
    EXPECT(fix_wait(&g.f, &g.accepted_nr, 2));
    close(fds[0]);
    close(fds[1]);
    EXPECT(fix_wait(&g.f, &g.down_nr, 2));
    guard_fini(&g);
}
