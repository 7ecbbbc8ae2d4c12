/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what is special to the fabric backend: lines with hostile bytes, dead processes, a fabric that is dead while its process is
 * well, an idle loop that sleeps.
 * Method: an endpoint against raw sockets that speak the line's bytes (plat_linux_ofi.c), and against forked processes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/codec.h"
#include "plat/test/plat_test_fix.h"

enum { LINE_HDR_BYTES = 24, HELLO = 1, PING = 2, PONG = 3, BYE = 4 };
#define LINE_MAGIC UINT32_C(0x314e4c43)
#define PROV "tcp;ofi_rxm"
#define VERSION (2 | UINT64_C(65536) << 32) /* and how large packets may be */

struct guard {
    struct fix f;
    const struct net_ops *ops;
    struct net *net;
    struct net_peer *peer; /* the newest */
    uint16_t port;
    char uri[NET_URI_MAX];
    uint32_t accepted_nr, down_nr, recv_nr, done_nr;
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
    struct guard *g = arg;

    g->accepted_nr++;
    g->peer = peer;
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
    g->ops = g->f.plat->ops->net(g->f.plat, "ofi+tcp://127.0.0.1:0");
    if (!EXPECT_OK(
            g->ops->open(g->f.plat, g->f.loop, "ofi+tcp://127.0.0.1:0", &guard_cbs, g, &g->net)))
        return false;
    snprintf(g->uri, sizeof(g->uri), "%s", g->ops->uri(g->net));
    g->port = (uint16_t)atoi(strrchr(g->uri, ':') + 1);
    return true;
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
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(g->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    EXPECT_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void
guard_done(struct net_tx *tx, int rc)
{
    (void)rc;
    ((struct guard *)tx->arg)->done_nr++;
}

static size_t
line_make(uint8_t *buf, uint16_t kind, uint64_t a, uint64_t b, const void *body, size_t len)
{
    le32_put(buf, LINE_MAGIC);
    le16_put(buf + 4, kind);
    le16_put(buf + 6, (uint16_t)len);
    le64_put(buf + 8, a);
    le64_put(buf + 16, b);
    if (len > 0)
        memcpy(buf + LINE_HDR_BYTES, body, len);
    return LINE_HDR_BYTES + len;
}

/* A hello with this provider and the fabric address 127.0.0.1:port. */
static size_t
hello_make(uint8_t *buf, const char *prov, uint64_t version, uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint8_t body[128];
    size_t prov_len = strlen(prov);

    body[0] = (uint8_t)prov_len;
    memcpy(body + 1, prov, prov_len);
    memcpy(body + 1 + prov_len, &name, sizeof(name));
    return line_make(buf, HELLO, 77, version, body, 1 + prov_len + sizeof(name));
}

/* Until the other side has closed; what it said before is counted. */
static bool
line_is_closed(struct guard *g, int fd)
{
    uint64_t limit_ns = plat_mono_ns(g->f.plat) + FIX_LIMIT_NS;
    uint8_t buf[512];

    while (plat_mono_ns(g->f.plat) < limit_ns) {
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN))
            return true;
        g->f.plat->ops->loop_poll(g->f.loop);
        fix_pass(&g->f, FIX_MS);
    }
    return false;
}

/* Each of these ends its own line, and nobody is told of a peer that never said hello. */
TEST_LINUX(plat_ofi, hostile_lines, "lines are Linux's")
{
    struct guard g;
    uint8_t buf[8][256];
    size_t lens[8];

    if (!guard_init(&g))
        return;
    memset(buf, 0, sizeof(buf));
    memcpy(buf[0], "GET / HTTP/1.0\r\nHost: x\r\n\r\n", 27);
    lens[0] = 27;
    lens[1] = hello_make(buf[1], "verbs;ofi_rxm", VERSION, 9);
    lens[2] = hello_make(buf[2], PROV, VERSION + 1, 9);
    lens[3] = line_make(buf[3], PING, 0, 0, NULL, 0); /* before hello */
    lens[4] = line_make(buf[4], HELLO, 1, 1, NULL, 0); /* no body */
    lens[5] = hello_make(buf[5], PROV, VERSION, 9) - 1; /* an address too short */
    le16_put(buf[5] + 6, (uint16_t)(lens[5] - LINE_HDR_BYTES));
    lens[6] = line_make(buf[6], 9, 0, 0, NULL, 0);
    lens[7] = hello_make(buf[7], PROV, 2 | UINT64_C(8191) << 32, 9); /* packets too small to talk */
    for (int i = 0; i < 8; i++) {
        int fd = guard_dial(&g);

        EXPECT_EQ(send(fd, buf[i], lens[i], 0), (ssize_t)lens[i]);
        EXPECT(line_is_closed(&g, fd));
        close(fd);
    }
    EXPECT_EQ(g.accepted_nr, 0);
    EXPECT_EQ(g.down_nr, 0);
    guard_fini(&g);
}

/* Said twice, a pong nobody asked for, a bye and then more: the connection ends, once. */
TEST_LINUX(plat_ofi, hostile_after_hello, "lines are Linux's")
{
    struct guard g;
    uint8_t buf[512];

    if (!guard_init(&g))
        return;
    for (uint32_t i = 0; i < 4; i++) {
        size_t len = hello_make(buf, PROV, VERSION, 9);
        int fd = guard_dial(&g);

        if (i == 0)
            len += hello_make(buf + len, PROV, VERSION, 9);
        if (i == 1)
            len += line_make(buf + len, PONG, 5, 0, NULL, 0);
        if (i == 2)
            len += line_make(buf + len, BYE, 0, 0, NULL, 0);
        EXPECT_EQ(send(fd, buf, len, 0), (ssize_t)len);
        EXPECT(fix_wait(&g.f, &g.accepted_nr, i + 1));
        if (i == 3)
            close(fd);
        EXPECT(fix_wait(&g.f, &g.down_nr, i + 1));
        EXPECT_EQ(g.down_rc, i < 2 ? -(int)DER_PROTO : -(int)DER_UNREACH);
        if (i < 3)
            close(fd);
    }
    EXPECT_EQ(g.accepted_nr, 4);
    EXPECT_EQ(g.recv_nr, 0);
    guard_fini(&g);
}

/* OFI-4: the process answers on the line, but nobody is at the fabric address that it gave. */
TEST_LINUX(plat_ofi, dead_fabric, "lines are Linux's")
{
    struct guard g;
    uint64_t limit_ns;
    struct net_tx tx = {.done = guard_done, .arg = &g};
    uint8_t buf[512];
    uint32_t pings_nr = 0;
    uint8_t byte = 1;
    size_t len;
    int fd;

    if (!guard_init(&g))
        return;
    plat_linux_ofi_dead_set(g.f.plat, 400 * FIX_MS);
    fd = guard_dial(&g);
    len = hello_make(buf, PROV, VERSION, 9);
    EXPECT_EQ(send(fd, buf, len, 0), (ssize_t)len);
    EXPECT(fix_wait(&g.f, &g.accepted_nr, 1));
    tx.head = (struct iov){&byte, 1};
    EXPECT_OK(g.ops->send(g.peer, &tx));
    limit_ns = plat_mono_ns(g.f.plat) + FIX_LIMIT_NS;
    while (g.down_nr == 0 && plat_mono_ns(g.f.plat) < limit_ns) {
        ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n >= LINE_HDR_BYTES && le16_get(buf + n - LINE_HDR_BYTES + 4) == PING) {
            len = line_make(buf, PONG, 0, 0, NULL, 0);
            EXPECT_EQ(send(fd, buf, len, 0), (ssize_t)len);
            pings_nr++;
        }
        g.f.plat->ops->loop_poll(g.f.loop);
        fix_pass(&g.f, FIX_MS);
    }
    EXPECT_EQ(g.down_nr, 1);
    EXPECT_ERR(g.down_rc, UNREACH);
    EXPECT_GT(pings_nr, 1); /* not on the first doubt */
    close(fd);
    guard_fini(&g);
}

/* A client in a process of its own: connect, send one message, go on until killed. */
static pid_t
child_start(struct guard *g)
{
    struct net_tx tx = {.head = {&tx, 1}, .done = guard_done, .arg = g};
    struct plat *plat = NULL;
    struct plat_loop *loop = NULL;
    struct net *net = NULL;
    struct net_peer *peer = NULL;
    pid_t child = fork();

    if (child != 0)
        return child;
    if (plat_linux_create(&plat) != 0 || plat->ops->loop_create(plat, &loop) != 0 ||
        g->ops->open(plat, loop, NULL, &guard_cbs, g, &net) != 0 ||
        g->ops->connect(net, g->uri, &peer) != 0 || g->ops->send(peer, &tx) != 0)
        _exit(1);
    for (;;) {
        plat->ops->loop_poll(loop);
        plat->ops->loop_wait(loop, PLAT_NEVER_NS);
    }
}

/* A killed process shows at once, and its successor is somebody else. */
TEST_LINUX(plat_ofi, killed_process, "processes are Linux's")
{
    struct guard g;

    if (!guard_init(&g))
        return;
    for (uint32_t i = 1; i <= 3; i++) {
        pid_t child = child_start(&g);
        uint64_t start_ns;

        EXPECT(fix_wait(&g.f, &g.recv_nr, i));
        EXPECT_EQ(g.accepted_nr, i);
        kill(child, SIGKILL);
        EXPECT_EQ(waitpid(child, NULL, 0), child);
        start_ns = plat_mono_ns(g.f.plat);
        EXPECT(fix_wait(&g.f, &g.down_nr, i));
        EXPECT_LT(plat_mono_ns(g.f.plat) - start_ns, 5000 * FIX_MS);
        EXPECT_ERR(g.down_rc, UNREACH);
    }
    guard_fini(&g);
}

/* With a connection that has been used and now is not, the loop sleeps. */
TEST_LINUX(plat_ofi, idle_sleeps, "the processor's time is Linux's")
{
    const uint64_t idle_ns = 1000 * FIX_MS;
    struct rusage before, after;
    struct guard g;
    uint64_t start_ns, used_us;
    pid_t child;

    if (!guard_init(&g))
        return;
    child = child_start(&g);
    EXPECT(fix_wait(&g.f, &g.recv_nr, 1));
    start_ns = plat_mono_ns(g.f.plat);
    getrusage(RUSAGE_SELF, &before);
    while (plat_mono_ns(g.f.plat) < start_ns + idle_ns) {
        g.f.plat->ops->loop_poll(g.f.loop);
        g.f.plat->ops->loop_wait(g.f.loop, start_ns + idle_ns);
    }
    getrusage(RUSAGE_SELF, &after);
    used_us = (uint64_t)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
        (uint64_t)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
        (uint64_t)(after.ru_utime.tv_usec + after.ru_stime.tv_usec) -
        (uint64_t)(before.ru_utime.tv_usec + before.ru_stime.tv_usec);
    EXPECT_LT(used_us, 100000); /* a loop that polls uses all of it */
    printf("# idle loop: %llu us of processor time in 1 s\n", (unsigned long long)used_us);
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    EXPECT(fix_wait(&g.f, &g.down_nr, 1));
    guard_fini(&g);
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

enum { MEM_BYTES = 300000 };

struct reader {
    struct guard g; /* first: its callbacks get this */
    uint8_t where[NET_WHERE_BYTES];
    uint8_t *dst;
    struct net_read rd;
    uint32_t read_nr;
    uint32_t down_before; /* when the read ended */
    int read_rc;
};

static void
reader_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len,
    const void *payload, size_t payload_len)
{
    struct reader *r = arg;

    (void)peer;
    (void)payload;
    (void)payload_len;
    if (EXPECT_EQ(head_len, NET_WHERE_BYTES))
        memcpy(r->where, head, NET_WHERE_BYTES);
    r->g.recv_nr++;
}

static void
reader_done(struct net_read *rd, int rc)
{
    struct reader *r = (struct reader *)(void *)((uint8_t *)rd - offsetof(struct reader, rd));

    r->read_rc = rc;
    r->down_before = r->g.down_nr;
    r->read_nr++;
}

/* A process that offers memory, says where it is, and goes on until killed. */
static pid_t
owner_start(struct guard *g)
{
    uint8_t where[NET_WHERE_BYTES];
    struct net_tx tx = {.head = {where, sizeof(where)}, .done = guard_done, .arg = g};
    struct iov buf = {malloc(MEM_BYTES), MEM_BYTES};
    struct plat *plat = NULL;
    struct plat_loop *loop = NULL;
    struct net *net = NULL;
    struct net_peer *peer = NULL;
    struct net_mem *mem = NULL;
    pid_t child = fork();

    if (child != 0) {
        free(buf.buf);
        return child;
    }
    for (uint32_t i = 0; i < MEM_BYTES; i++) {
        ((uint8_t *)buf.buf)[i] = (uint8_t)(i * 7);
    }
    if (plat_linux_create(&plat) != 0 || plat->ops->loop_create(plat, &loop) != 0 ||
        g->ops->open(plat, loop, NULL, &guard_cbs, g, &net) != 0 ||
        g->ops->connect(net, g->uri, &peer) != 0 || g->ops->mem_offer(net, &buf, &mem) != 0)
        _exit(1);
    while (!g->ops->mem_where(mem, peer, 1000, where)) { /* until it is connected */
        plat->ops->loop_poll(loop);
        plat->ops->loop_wait(loop, plat_mono_ns(plat) + FIX_MS);
    }
    if (g->ops->send(peer, &tx) != 0)
        _exit(1);
    for (;;) {
        plat->ops->loop_poll(loop);
        plat->ops->loop_wait(loop, PLAT_NEVER_NS);
    }
}

static bool
reader_init(struct reader *r)
{
    static const struct net_cbs cbs = {
        .recv = reader_recv, .accepted = guard_accepted, .down = guard_down};

    memset(r, 0, sizeof(*r));
    if (!guard_init(&r->g))
        return false;
    r->g.ops->close(r->g.net);
    r->dst = calloc(1, MEM_BYTES);
    r->rd.dst = (struct iov){r->dst, MEM_BYTES - 1000};
    r->rd.done = reader_done;
    return EXPECT_OK(r->g.ops->open(r->g.f.plat, r->g.f.loop, r->g.uri, &cbs, r, &r->g.net));
}

/* A read brings the bytes; one with a wrong key does not, and ends the connection. */
TEST_LINUX(plat_ofi, read_memory, "processes are Linux's")
{
    struct reader r;
    pid_t child;

    if (!reader_init(&r))
        return;
    child = owner_start(&r.g);
    EXPECT(fix_wait(&r.g.f, &r.g.recv_nr, 1));
    EXPECT_OK(r.g.ops->read(r.g.peer, &r.rd, r.where));
    EXPECT_EQ(r.read_nr, 0); /* PLT-1 */
    EXPECT(fix_wait(&r.g.f, &r.read_nr, 1));
    EXPECT_OK(r.read_rc);
    for (uint32_t i = 0; i < MEM_BYTES - 1000; i++) {
        if (r.dst[i] != (uint8_t)((i + 1000) * 7)) {
            EXPECT(!"bytes as offered");
            break;
        }
    }
    r.where[8] ^= 1;
    EXPECT_OK(r.g.ops->read(r.g.peer, &r.rd, r.where));
    EXPECT(fix_wait(&r.g.f, &r.g.down_nr, 1));
    EXPECT_EQ(r.read_nr, 2);
    EXPECT_NE(r.read_rc, 0);
    EXPECT_EQ(r.down_before, 0);
    EXPECT_ERR(r.g.down_rc, UNREACH);
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    guard_fini(&r.g);
    free(r.dst);
}

/* OFI-5, MS-3: the owner is stopped, or dies: the read ends once, and before down(). */
TEST_LINUX(plat_ofi, read_from_stopped, "processes are Linux's")
{
    for (int is_killed = 0; is_killed < 2; is_killed++) {
        struct reader r;
        pid_t child;

        if (!reader_init(&r))
            return;
        child = owner_start(&r.g);
        EXPECT(fix_wait(&r.g.f, &r.g.recv_nr, 1));
        kill(child, SIGSTOP);
        EXPECT_EQ(waitpid(child, NULL, WUNTRACED), child);
        EXPECT_OK(r.g.ops->read(r.g.peer, &r.rd, r.where));
        for (int i = 0; i < 5; i++) {
            r.g.f.plat->ops->loop_poll(r.g.f.loop);
        }
        EXPECT_EQ(r.read_nr, 0);
        if (is_killed) {
            kill(child, SIGKILL);
        } else {
            r.g.ops->disconnect(r.g.peer);
        }
        EXPECT(fix_wait(&r.g.f, &r.g.down_nr, 1));
        EXPECT_EQ(r.read_nr, 1);
        EXPECT_NE(r.read_rc, 0);
        EXPECT_EQ(r.down_before, 0);
        EXPECT_EQ(r.g.down_rc, is_killed ? -(int)DER_UNREACH : -(int)DER_CANCELED);
        kill(child, SIGKILL);
        EXPECT_EQ(waitpid(child, NULL, 0), child);
        guard_fini(&r.g);
        free(r.dst);
    }
}

/* The endpoint closes while a read is under way. */
TEST_LINUX(plat_ofi, close_while_reading, "processes are Linux's")
{
    struct reader r;
    pid_t child;

    if (!reader_init(&r))
        return;
    child = owner_start(&r.g);
    EXPECT(fix_wait(&r.g.f, &r.g.recv_nr, 1));
    kill(child, SIGSTOP);
    EXPECT_EQ(waitpid(child, NULL, WUNTRACED), child);
    EXPECT_OK(r.g.ops->read(r.g.peer, &r.rd, r.where));
    for (int i = 0; i < 5; i++) {
        r.g.f.plat->ops->loop_poll(r.g.f.loop);
    }
    r.g.ops->close(r.g.net);
    r.g.net = NULL;
    EXPECT_EQ(r.read_nr, 1);
    EXPECT_NE(r.read_rc, 0);
    EXPECT_EQ(r.g.down_nr, 1);
    EXPECT_EQ(r.down_before, 0);
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, NULL, 0), child);
    guard_fini(&r.g);
    free(r.dst);
}
