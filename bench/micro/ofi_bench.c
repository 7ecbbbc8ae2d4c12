/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * ofi: what bare libfabric (`tcp;ofi_rxm` over loopback) does without Cairn, in the wait mode of plat_linux_loop.c: the queue is polled for
 * some 50 us before a sleep on its descriptor. Each side has a thread on a CPU of its own, an endpoint, a domain and a queue. The settings
 * of rxm are those of the product (plat_linux_ofi_ep.c): what is measured is what Cairn adds.
 *
 *   pingpong  fi_send() there, fi_send() back: 64 bytes each; 4,400 there, as an update of 4 KiB; 4,400 back, as a fetch
 *   pull      64 bytes there; the other side reads 1 MiB of the asker's memory with four fi_read() of 256 KiB; 64 bytes back
 *   push      64 bytes there; the other side sends 1 MiB in messages of 64 KiB; 64 bytes back
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_rma.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    SPIN_NS = 50 * 1000 /* PLAT_LINUX_SPIN_NS */,
    RX_NR = 32,
    SMALL_BYTES = 64,
    PAGE_BYTES = 4096 + 304, /* a value of 4 KiB, with head and keys */
    BULK_BYTES = 1 << 20,
    READ_BYTES = 256 << 10,
    PIECE_BYTES = 64 << 10,
};

enum kind { PINGPONG, PAGE_THERE, PAGE_BACK, PULL, PUSH };

struct side {
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_av *av;
    struct fid_cq *cq;
    struct fid_ep *ep;
    struct fid_mr *mr;
    fi_addr_t there;
    struct fi_context ctxs[RX_NR], tx_ctx;
    char *rx, *mem;
    uint8_t name[128];
    size_t name_len;
    int epfd;
    uint32_t received_nr, completed_nr;
    enum kind kind;
    uint64_t peer_at, peer_key;
    uint64_t times;
    pthread_t thread;
};

static void
must(bool ok)
{
    if (!ok)
        abort();
}

static void
rx_post(struct side *s, uint32_t i)
{
    must(fi_recv(s->ep, s->rx + (size_t)i * PIECE_BYTES, PIECE_BYTES, NULL, FI_ADDR_UNSPEC,
             &s->ctxs[i]) == 0);
}

static void
side_open(struct side *s, uint64_t key)
{
    struct fi_info *hints = fi_allocinfo();
    struct fi_av_attr av_attr = {.type = FI_AV_UNSPEC};
    struct fi_cq_attr cq_attr = {.size = 4096, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
    struct epoll_event ev = {.events = EPOLLIN};
    int fd;

    must(hints != NULL);
    hints->caps = FI_MSG | FI_RMA;
    hints->mode = FI_CONTEXT;
    hints->ep_attr->type = FI_EP_RDM;
    hints->domain_attr->threading = FI_THREAD_DOMAIN;
    hints->fabric_attr->prov_name = strdup("tcp;ofi_rxm");
    must(fi_getinfo(FI_VERSION(1, 11), "127.0.0.1", NULL, FI_SOURCE | FI_NUMERICHOST, hints,
             &s->info) == 0);
    fi_freeinfo(hints);
    must(fi_fabric(s->info->fabric_attr, &s->fabric, NULL) == 0);
    must(fi_domain(s->fabric, s->info, &s->domain, NULL) == 0);
    must(fi_av_open(s->domain, &av_attr, &s->av, NULL) == 0);
    must(fi_cq_open(s->domain, &cq_attr, &s->cq, NULL) == 0);
    must(fi_endpoint(s->domain, s->info, &s->ep, NULL) == 0);
    must(fi_ep_bind(s->ep, &s->av->fid, 0) == 0);
    must(fi_ep_bind(s->ep, &s->cq->fid, FI_TRANSMIT | FI_RECV) == 0);
    must(fi_enable(s->ep) == 0);
    s->name_len = sizeof(s->name);
    must(fi_getname(&s->ep->fid, s->name, &s->name_len) == 0);
    s->rx = calloc(RX_NR, PIECE_BYTES);
    s->mem = calloc(1, BULK_BYTES);
    must(s->rx != NULL && s->mem != NULL);
    must(fi_mr_reg(s->domain, s->mem, BULK_BYTES, FI_REMOTE_READ, 0, key, 0, &s->mr, NULL) == 0);
    must(fi_control(&s->cq->fid, FI_GETWAIT, &fd) == 0);
    s->epfd = epoll_create1(EPOLL_CLOEXEC);
    must(s->epfd >= 0 && epoll_ctl(s->epfd, EPOLL_CTL_ADD, fd, &ev) == 0);
    for (uint32_t i = 0; i < RX_NR; i++) {
        rx_post(s, i);
    }
}

static void
side_close(struct side *s)
{
    close(s->epfd);
    fi_close(&s->mr->fid);
    fi_close(&s->ep->fid);
    fi_close(&s->cq->fid);
    fi_close(&s->av->fid);
    fi_close(&s->domain->fid);
    fi_close(&s->fabric->fid);
    fi_freeinfo(s->info);
    free(s->rx);
    free(s->mem);
}

/* What is in the queue now. False: nothing was. */
static bool
side_poll(struct side *s)
{
    struct fi_cq_msg_entry entries[32];
    ssize_t n = fi_cq_read(s->cq, entries, 32);

    must(n > 0 || n == -FI_EAGAIN);
    for (ssize_t i = 0; i < n; i++) {
        struct fi_context *ctx = entries[i].op_context;

        if (ctx >= s->ctxs && ctx < s->ctxs + RX_NR) {
            s->received_nr++;
            rx_post(s, (uint32_t)(ctx - s->ctxs));
        } else {
            s->completed_nr++;
        }
    }
    return n > 0;
}

/* Until something was there. */
static void
side_wait(struct side *s)
{
    struct fid *fid = &s->cq->fid;
    struct epoll_event ev;
    uint64_t end_ns = bench_now_ns() + SPIN_NS;

    do {
        if (side_poll(s))
            return;
    } while (bench_now_ns() < end_ns);
    if (fi_trywait(s->fabric, &fid, 1) == FI_SUCCESS)
        must(epoll_wait(s->epfd, &ev, 1, -1) >= 0 || errno == EINTR);
}

static void
side_recv(struct side *s, uint32_t nr)
{
    while (s->received_nr < nr) {
        side_wait(s);
    }
    s->received_nr -= nr;
}

static void
side_completed(struct side *s, uint32_t nr)
{
    while (s->completed_nr < nr) {
        side_wait(s);
    }
    s->completed_nr -= nr;
}

static void
side_send(struct side *s, size_t len)
{
    ssize_t rc;

    do {
        rc = fi_send(s->ep, s->mem, len, NULL, s->there, &s->tx_ctx);
        if (rc == -FI_EAGAIN)
            side_poll(s);
    } while (rc == -FI_EAGAIN);
    must(rc == 0);
}

static void
answer(struct side *s)
{
    uint32_t nr = 0;

    for (size_t off = 0; s->kind == PULL && off < BULK_BYTES; off += READ_BYTES) {
        must(fi_read(s->ep, s->mem + off, READ_BYTES, NULL, s->there, s->peer_at + off, s->peer_key,
                 &s->tx_ctx) == 0);
        nr++;
    }
    side_completed(s, nr);
    nr = 1;
    for (size_t off = 0; s->kind == PUSH && off < BULK_BYTES; off += PIECE_BYTES) {
        side_send(s, PIECE_BYTES);
        nr++;
    }
    side_send(s, s->kind == PAGE_BACK ? PAGE_BYTES : SMALL_BYTES);
    side_completed(s, nr);
}

static void *
other_main(void *arg)
{
    struct side *s = arg;

    for (uint64_t i = 0; i < s->times; i++) {
        side_recv(s, 1);
        answer(s);
    }
    return NULL;
}

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
turn(struct side *s)
{
    side_send(s, s->kind == PAGE_THERE ? PAGE_BYTES : SMALL_BYTES);
    side_recv(s, s->kind == PUSH ? 1 + BULK_BYTES / PIECE_BYTES : 1);
    side_completed(s, 1);
}

/* Microseconds of one turn. */
static double
turns(enum kind kind, uint64_t times)
{
    struct side here = {.kind = kind}, other = {.kind = kind};
    cpu_set_t allowed;
    uint64_t start_ns;

    times = bench_times(times);
    must(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
    side_open(&here, 1);
    side_open(&other, 2);
    must(fi_av_insert(here.av, other.name, 1, &here.there, 0, NULL) == 1);
    must(fi_av_insert(other.av, here.name, 1, &other.there, 0, NULL) == 1);
    other.times = times + 1;
    other.peer_at =
        (here.info->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0 ? (uint64_t)(uintptr_t)here.mem : 0;
    other.peer_key = fi_mr_key(here.mr);
    must(pthread_create(&other.thread, NULL, other_main, &other) == 0);
    pin(other.thread, true, &allowed);
    pin(pthread_self(), false, &allowed);
    turn(&here); /* connects */
    start_ns = bench_now_ns();
    for (uint64_t i = 0; i < times; i++) {
        turn(&here);
    }
    start_ns = bench_now_ns() - start_ns;
    pthread_join(other.thread, NULL);
    must(pthread_setaffinity_np(pthread_self(), sizeof(allowed), &allowed) == 0);
    side_close(&here);
    side_close(&other);
    return (double)start_ns / 1e3 / (double)times;
}

/* Before libfabric starts: it reads them only then. */
static void
settings(void)
{
    setenv("FI_OFI_RXM_BUFFER_SIZE", "2048", 0);
    setenv("FI_OFI_RXM_MSG_RX_SIZE", "32", 0);
    setenv("FI_OFI_RXM_EAGER_LIMIT", "65536", 0);
    setenv("FI_OFI_RXM_CM_PROGRESS_INTERVAL", "1000", 0);
}

BENCH(ofi_pingpong)
{
    settings();
    bench_put(&(struct bench_figure){
        .name = "raw.ofi_pingpong.64B", .unit = "us", .value = turns(PINGPONG, 30000)});
    bench_put(&(struct bench_figure){
        .name = "raw.ofi_there.4KiB", .unit = "us", .value = turns(PAGE_THERE, 30000)});
    bench_put(&(struct bench_figure){
        .name = "raw.ofi_back.4KiB", .unit = "us", .value = turns(PAGE_BACK, 30000)});
}

BENCH(ofi_bulk)
{
    settings();
    bench_put(&(struct bench_figure){
        .name = "raw.ofi_pull.1MiB", .unit = "MB/s", .value = BULK_BYTES / turns(PULL, 1000)});
    bench_put(&(struct bench_figure){
        .name = "raw.ofi_push.1MiB", .unit = "MB/s", .value = BULK_BYTES / turns(PUSH, 1000)});
}

/* What it costs to let others read a region, and to end that. */
BENCH(ofi_register)
{
    struct side s = {.kind = PULL};
    uint64_t times = bench_times(100000), start_ns;
    struct fid_mr *mr;

    settings();
    side_open(&s, 1);
    start_ns = bench_now_ns();
    for (uint64_t i = 0; i < times; i++) {
        must(fi_mr_reg(s.domain, s.mem, BULK_BYTES, FI_REMOTE_READ, 0, 2, 0, &mr, NULL) == 0);
        must(fi_close(&mr->fid) == 0);
    }
    bench_put(&(struct bench_figure){.name = "raw.ofi_register.1MiB",
        .unit = "ns",
        .value = (double)(bench_now_ns() - start_ns) / (double)times});
    side_close(&s);
}
