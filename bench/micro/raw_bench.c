/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * raw: what this machine can do without Cairn, to hold other figures against: memory copies, and ping-pong over sockets between two
 * threads, each on a CPU of its own, in the ways in which a loop waits: sleeping at once (_block), or polling for some 50 us first, by
 * asking the epoll set or, as plat_linux_loop.c does with the connection that brought the last messages, by reading (_read).
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SPIN_NS = 50 * 1000 /* PLAT_LINUX_SPIN_NS */ };

static void
must(bool ok)
{
    if (!ok)
        abort();
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static double
memcpy_rate(size_t block_bytes, size_t area_bytes)
{
    char *from = malloc(area_bytes), *to = malloc(area_bytes);
    uint64_t total = bench_times(UINT64_C(4) << 30), done = 0;
    uint64_t start_ns;
    double rate;

    must(from != NULL && to != NULL);
    memset(from, 1, area_bytes);
    memset(to, 2, area_bytes);
    start_ns = bench_now_ns();
    while (done < total) {
        for (size_t off = 0; off + block_bytes <= area_bytes; off += block_bytes) {
            memcpy(to + off, from + off, block_bytes);
            bench_keep(to);
        }
        done += area_bytes;
    }
    rate = bench_rate(done, start_ns) / 1e6;
    free(from);
    free(to);
    return rate;
}

BENCH(raw_memcpy)
{
    bench_put(&(struct bench_figure){
        .name = "raw.memcpy.4KiB", .unit = "MB/s", .value = memcpy_rate(4096, 1 << 20)});
    bench_put(&(struct bench_figure){
        .name = "raw.memcpy.1MiB", .unit = "MB/s", .value = memcpy_rate(1 << 20, 64 << 20)});
}

/* ---- ping-pong ------------------------------------------------------------------------------------------------------ */

struct side {
    int fd;
    int epfd;
    uint64_t spin_ns;
    bool is_read; /* polls by reading */
    size_t send_bytes, recv_bytes; /* of each turn */
    uint64_t times;
    pthread_t thread;
};

/* The first or the last CPU that this process may use. */
static void
pin(pthread_t thread, bool is_last, const cpu_set_t *allowed)
{
    cpu_set_t set;
    int found = -1;

    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, allowed) && (found < 0 || is_last))
            found = cpu;
    }
    CPU_ZERO(&set);
    CPU_SET(found, &set);
    must(pthread_setaffinity_np(thread, sizeof(set), &set) == 0);
}

static void
side_wait(struct side *s)
{
    struct epoll_event ev;
    uint64_t end_ns;

    if (s->spin_ns > 0) {
        end_ns = bench_now_ns() + s->spin_ns;
        do {
            if (epoll_wait(s->epfd, &ev, 1, 0) > 0)
                return;
        } while (bench_now_ns() < end_ns);
    }
    while (epoll_wait(s->epfd, &ev, 1, -1) < 0) {
        must(errno == EINTR);
    }
}

static void
side_recv(struct side *s, char *buf)
{
    size_t got = 0;
    uint64_t end_ns = s->is_read ? bench_now_ns() + s->spin_ns : 0;

    while (got < s->recv_bytes) {
        ssize_t n = recv(s->fd, buf + got, s->recv_bytes - got, MSG_DONTWAIT);

        must(n > 0 || (n < 0 && errno == EAGAIN));
        if (n > 0) {
            got += (size_t)n;
        } else if (!s->is_read || bench_now_ns() >= end_ns) {
            side_wait(s);
        }
    }
}

static void
side_send(struct side *s, const char *buf)
{
    size_t sent = 0;

    while (sent < s->send_bytes) {
        ssize_t n = send(s->fd, buf + sent, s->send_bytes - sent, MSG_NOSIGNAL);

        must(n > 0 || errno == EINTR);
        sent += n > 0 ? (size_t)n : 0;
    }
}

static void *
echo_main(void *arg)
{
    struct side *s = arg;
    char *buf = calloc(1, s->send_bytes + s->recv_bytes);

    must(buf != NULL);
    for (uint64_t i = 0; i < s->times; i++) {
        side_recv(s, buf);
        side_send(s, buf);
    }
    free(buf);
    return NULL;
}

static void
side_init(
    struct side *s, int fd, uint64_t spin_ns, size_t send_bytes, size_t recv_bytes, uint64_t times)
{
    struct epoll_event ev = {.events = EPOLLIN};

    *s = (struct side){.fd = fd,
        .spin_ns = spin_ns,
        .send_bytes = send_bytes,
        .recv_bytes = recv_bytes,
        .times = times};
    s->epfd = epoll_create1(EPOLL_CLOEXEC);
    must(s->epfd >= 0);
    must(epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) == 0);
}

static void
side_fini(struct side *s)
{
    close(s->epfd);
    close(s->fd);
}

static void
tcp_pair(int fds[2])
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    must(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    must(listen(listener, 1) == 0);
    must(getsockname(listener, (struct sockaddr *)&addr, &len) == 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(fds[0], (struct sockaddr *)&addr, sizeof(addr)) == 0);
    fds[1] = accept(listener, NULL, NULL);
    must(fds[1] >= 0);
    for (int i = 0; i < 2; i++) {
        must(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
    }
    close(listener);
}

/* Microseconds for `bytes` there and `back_bytes` back. */
static double
pingpong(bool is_tcp, uint64_t spin_ns, bool is_read, size_t bytes, size_t back_bytes, uint64_t times)
{
    struct side here, there;
    uint64_t start_ns;
    cpu_set_t allowed;
    int fds[2];
    char *buf = calloc(1, bytes + back_bytes);
    const int buf_bytes = 1 << 20; /* as the loop's sockets have it */

    must(buf != NULL);
    must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    times = bench_times(times);
    if (is_tcp) {
        tcp_pair(fds);
    } else {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        for (int i = 0; i < 2; i++) {
            must(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buf_bytes, sizeof(buf_bytes)) == 0);
        }
    }
    side_init(&here, fds[0], spin_ns, bytes, back_bytes, times);
    side_init(&there, fds[1], spin_ns, back_bytes, bytes, times);
    here.is_read = is_read;
    there.is_read = is_read;
    must(pthread_create(&there.thread, NULL, echo_main, &there) == 0);
    pin(there.thread, true, &allowed);
    pin(pthread_self(), false, &allowed);
    start_ns = bench_now_ns();
    for (uint64_t i = 0; i < times; i++) {
        side_send(&here, buf);
        side_recv(&here, buf);
    }
    start_ns = bench_now_ns() - start_ns;
    pthread_join(there.thread, NULL);
    must(pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed) == 0);
    side_fini(&here);
    side_fini(&there);
    free(buf);
    return (double)start_ns / 1e3 / (double)times;
}

BENCH(raw_pingpong)
{
    static const struct {
        const char *name;
        bool is_tcp;
        uint64_t spin_ns;
        bool is_read;
        size_t bytes;
        uint64_t times;
    } cases[] = {
        {"raw.unix_pingpong.64B", false, SPIN_NS, false, 64, 50000},
        {"raw.unix_pingpong_read.64B", false, SPIN_NS, true, 64, 50000},
        {"raw.unix_pingpong.64KiB", false, SPIN_NS, false, 65536, 10000},
        {"raw.unix_pingpong_block.64B", false, 0, false, 64, 20000},
        {"raw.tcp_pingpong.64B", true, SPIN_NS, false, 64, 50000},
        {"raw.tcp_pingpong_read.64B", true, SPIN_NS, true, 64, 50000},
        {"raw.tcp_pingpong.64KiB", true, SPIN_NS, false, 65536, 10000},
        {"raw.tcp_pingpong_block.64B", true, 0, false, 64, 20000},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench_put(&(struct bench_figure){.name = cases[i].name,
            .unit = "us",
            .value = pingpong(cases[i].is_tcp, cases[i].spin_ns, cases[i].is_read, cases[i].bytes,
                cases[i].bytes, cases[i].times)});
    }
}

/* What a bulk transfer is held against: asked for with 64 bytes, it comes on the same socket. */
BENCH(raw_pull)
{
    static const struct {
        const char *name;
        bool is_tcp;
    } cases[] = {{"raw.unix_pull.1MiB", false}, {"raw.tcp_pull.1MiB", true}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench_put(&(struct bench_figure){.name = cases[i].name,
            .unit = "MB/s",
            .value = (1 << 20) / pingpong(cases[i].is_tcp, SPIN_NS, false, 64, 1 << 20, 2000)});
    }
}
