/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See plat_linux_ofi.h. Tested by plat_net_test.c and plat_ofi_test.c. */
#include "plat/linux/plat_linux_ofi.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_rma.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    OFI_CQ_ENTRIES = 4096,
    OFI_CQ_ROUNDS_MAX = 8, /* in one poll */
    OFI_ADDRS_BITS = 4,
};
#define OFI_API_VERSION FI_VERSION(1, 11)

/* ---- the library ---------------------------------------------------------------------------------------------------- */

struct ofi_lib {
    void *so;
    int (*getinfo)(uint32_t version, const char *node, const char *service, uint64_t flags,
        const struct fi_info *hints, struct fi_info **ret_info);
    void (*freeinfo)(struct fi_info *info);
    struct fi_info *(*dupinfo)(const struct fi_info *info);
    int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **ret_fabric, void *context);
    const char *(*strerror)(int err);
};

static bool
lib_symbols(struct ofi_lib *lib)
{
    struct {
        const char *name;
        void **slot;
    } syms[] = {
        {"fi_getinfo", (void **)&lib->getinfo},
        {"fi_freeinfo", (void **)&lib->freeinfo},
        {"fi_dupinfo", (void **)&lib->dupinfo},
        {"fi_fabric", (void **)&lib->fabric},
        {"fi_strerror", (void **)&lib->strerror},
    };

    for (size_t i = 0; i < ARRAY_SIZE(syms); i++) {
        void *sym = dlsym(lib->so, syms[i].name);

        if (sym == NULL)
            return false;
        memcpy(syms[i].slot, &sym, sizeof(sym));
    }
    return true;
}

/*
 * Libraries that libfabric brings along (libinfinipath, libpsm2) take the handlers of SIGTERM and of fatal signals for themselves when they are
 * loaded, and end the process with status 1 from then on. They belong to the application: what it had stays.
 */
static void *
lib_load(void)
{
    struct sigaction kept[NSIG], now;
    bool is_known[NSIG] = {false};
    void *so;

    for (int sig = 1; sig < NSIG; sig++) {
        is_known[sig] = sigaction(sig, NULL, &kept[sig]) == 0;
    }
    so = dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); /* OFIF-1 */
    for (int sig = 1; sig < NSIG; sig++) {
        if (is_known[sig] && sigaction(sig, NULL, &now) == 0 && now.sa_handler != kept[sig].sa_handler)
            (void)sigaction(sig, &kept[sig], NULL);
    }
    return so;
}

/*
 * Over TCP rxm allocates some 70 MiB of bounce buffers for an endpoint unless told otherwise before the library starts; with these, 5. It
 * reads the environment only then, and knows no other way. Packets stay below the eager limit, since rendezvous costs a round trip. What
 * the user has set stays. Other fabrics get the library's own defaults.
 */
static void
lib_defaults(const char *prov)
{
    static const char *const tcp[][2] = {
        {"FI_OFI_RXM_BUFFER_SIZE", "2048"}, {"FI_OFI_RXM_MSG_RX_SIZE", "32"},
        {"FI_OFI_RXM_EAGER_LIMIT", "65536"},
        {"FI_OFI_RXM_CM_PROGRESS_INTERVAL", "1000"}, /* us; connecting takes some of them */
    };

    if (strncmp(prov, "tcp", 3) != 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(tcp); i++) {
        setenv(tcp[i][0], tcp[i][1], 0);
    }
}

static int
lib_get(struct plat_linux *pl, const char *prov, struct ofi_lib **ret_lib)
{
    struct ofi_lib *lib;
    int rc = 0;

    pthread_mutex_lock(&pl->lists_lock);
    if (pl->ofi == NULL) {
        lib = calloc(1, sizeof(*lib));
        if (lib != NULL) {
            lib_defaults(prov);
            lib->so = lib_load();
        }
        if (lib == NULL) {
            rc = CAIRN_ERR(NOMEM);
        } else if (lib->so == NULL || !lib_symbols(lib)) {
            LOG_WARN("libfabric.so.1 cannot be used: %s", dlerror());
            free(lib);
            rc = CAIRN_ERR(NOSYS);
        } else {
            pl->ofi = lib;
        }
    }
    *ret_lib = pl->ofi;
    pthread_mutex_unlock(&pl->lists_lock);
    return rc;
}

void
plat_linux_ofi_lib_destroy(struct ofi_lib *lib)
{
    free(lib);
}

/* ---- completions ---------------------------------------------------------------------------------------------------- */

static void
rx_post(struct ofi_ep *ep, struct ofi_pkt *pkt)
{
    ssize_t rc = fi_recv(ep->ep, pkt->bytes, OFI_RX_BYTES, NULL, FI_ADDR_UNSPEC, &pkt->ctx.ctx);

    if (rc != 0)
        LOG_WARN("%s: a receive cannot be posted: %s", ep->prov, ep->lib->strerror((int)-rc));
}

static struct ofi_rd *
rd_get(struct ofi_ep *ep, size_t len)
{
    struct ofi_rd *rd = LIST_FIRST(&ep->free_rds, struct ofi_rd, link);

    if (rd == NULL || len > OFI_RD_BYTES) {
        rd = malloc(sizeof(*rd) + MAX(len, (size_t)OFI_RD_BYTES));
    } else {
        list_del(&rd->link);
        ep->free_rds_nr--;
    }
    if (rd == NULL)
        return NULL;
    rd->ctx.op = OFI_OP_READ;
    list_init(&rd->link);
    rd->owner = NULL;
    rd->len = len;
    return rd;
}

static void
rd_put(struct ofi_ep *ep, struct ofi_rd *rd)
{
    if (rd->len > OFI_RD_BYTES || ep->free_rds_nr >= OFI_FREE_RD_NR_MAX) {
        free(rd);
        return;
    }
    list_add(&rd->link, &ep->free_rds);
    ep->free_rds_nr++;
}

static void
completed(struct ofi_ep *ep, struct ofi_ctx *ctx, size_t len, int rc)
{
    struct ofi_pkt *pkt = CAIRN_CONTAINER_OF(ctx, struct ofi_pkt, ctx);
    struct ofi_rd *rd = CAIRN_CONTAINER_OF(ctx, struct ofi_rd, ctx);

    if (ctx == NULL)
        return;
    switch (ctx->op) {
    case OFI_OP_SEND:
        ep->flying_nr--;
        ep->cbs->sent(ep->arg, pkt, rc);
        break;
    case OFI_OP_READ:
        list_del(&rd->link);
        if (rd->owner != NULL)
            ep->cbs->read(ep->arg, rd, rc);
        rd_put(ep, rd);
        break;
    case OFI_OP_RECV:
        if (rc == 0)
            ep->cbs->recv(ep->arg, ep, pkt->bytes, len);
        rx_post(ep, pkt);
        break;
    }
}

static void
completed_badly(struct ofi_ep *ep)
{
    struct fi_cq_err_entry err;
    ssize_t n;

    memset(&err, 0, sizeof(err));
    n = fi_cq_readerr(ep->cq, &err, 0);
    if (n == 1)
        completed(ep, err.op_context, 0, CAIRN_ERR(UNREACH));
}

/* Ask the provider. True: there is something to run. */
static bool
ep_look(struct ofi_ep *ep)
{
    ssize_t n;

    if (ep->found_nr > 0 || ep->is_error_found)
        return true;
    n = fi_cq_read(ep->cq, ep->found, OFI_CQ_READ_NR);
    ep->loop->stats.calls_nr += n != -FI_EAGAIN;
    ep->found_nr = n > 0 ? (uint32_t)n : 0;
    ep->is_error_found = n == -FI_EAVAIL;
    return n > 0 || ep->is_error_found;
}

static void
found_run(struct ofi_ep *ep)
{
    struct fi_cq_msg_entry entries[OFI_CQ_READ_NR];
    uint32_t nr = ep->found_nr;

    memcpy(entries, ep->found, nr * sizeof(entries[0])); /* what runs may poll */
    ep->found_nr = 0;
    for (uint32_t i = 0; i < nr; i++) {
        completed(ep, entries[i].op_context, entries[i].len, 0);
    }
}

uint32_t
ofi_ep_poll(struct ofi_ep *ep)
{
    uint32_t nr = 0;

    for (int round = 0; round < OFI_CQ_ROUNDS_MAX; round++) {
        uint32_t found_nr;

        if (!ep_look(ep))
            return nr;
        found_nr = ep->found_nr;
        if (ep->is_error_found) {
            ep->is_error_found = false;
            completed_badly(ep);
            nr++;
        } else {
            found_run(ep);
            nr += found_nr;
            if (found_nr < OFI_CQ_READ_NR)
                return nr; /* that was all */
        }
    }
    plat_linux_loop_wake(ep->loop); /* the others' turn first */
    return nr;
}

static void
ep_poller_poll(struct loop_poller *poller)
{
    CAIRN_IGNORE(ofi_ep_poll(CAIRN_CONTAINER_OF(poller, struct ofi_ep, poller)));
}

static bool
ep_poller_look(struct loop_poller *poller)
{
    return ep_look(CAIRN_CONTAINER_OF(poller, struct ofi_ep, poller));
}

static bool
ep_poller_may_sleep(struct loop_poller *poller)
{
    struct ofi_ep *ep = CAIRN_CONTAINER_OF(poller, struct ofi_ep, poller);
    struct fid *fid = &ep->cq->fid;

    return ep->found_nr == 0 && !ep->is_error_found && fi_trywait(ep->fabric, &fid, 1) == FI_SUCCESS;
}

/* It only ends sleeps: the queue is read in every poll (OFIF-2). */
static void
ep_src_fn(struct loop_src *src, uint32_t events)
{
    (void)src;
    (void)events;
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

static int
ep_rc(struct ofi_ep *ep, const char *what, ssize_t rc)
{
    LOG_WARN("fabric provider %s: %s: %s", ep->prov, what, ep->lib->strerror((int)-rc));
    if (rc == -FI_ENOMEM || rc == -FI_EMFILE)
        return CAIRN_ERR(NOMEM);
    return rc == -FI_ENODATA || rc == -FI_ENOSYS ? CAIRN_ERR(NOSYS) : CAIRN_ERR(UNREACH);
}

static int
ep_info(struct ofi_ep *ep)
{
    struct fi_info *hints = ep->lib->dupinfo(NULL);
    char node[INET_ADDRSTRLEN];
    int rc;

    if (hints == NULL)
        return CAIRN_ERR(NOMEM);
    hints->caps = FI_MSG | FI_RMA;
    hints->mode = FI_CONTEXT;
    hints->ep_attr->type = FI_EP_RDM;
    hints->domain_attr->threading = FI_THREAD_DOMAIN;
    hints->domain_attr->mr_mode = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
    hints->tx_attr->msg_order = FI_ORDER_SAS;
    hints->rx_attr->msg_order = FI_ORDER_SAS;
    hints->fabric_attr->prov_name = strdup(ep->prov); /* fi_freeinfo() frees it */
    inet_ntop(AF_INET, &ep->ip, node, sizeof(node));
    rc = ep->lib->getinfo(OFI_API_VERSION, node, NULL, FI_SOURCE | FI_NUMERICHOST, hints, &ep->info);
    ep->lib->freeinfo(hints);
    return rc == 0 ? 0 : ep_rc(ep, node, rc);
}

static int
ep_open(struct ofi_ep *ep)
{
    struct fi_av_attr av_attr = {.type = FI_AV_UNSPEC};
    struct fi_cq_attr cq_attr = {
        .size = OFI_CQ_ENTRIES, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
    size_t name_len = sizeof(ep->name);
    ssize_t rc = ep->lib->fabric(ep->info->fabric_attr, &ep->fabric, NULL);

    if (rc != 0)
        return ep_rc(ep, "fi_fabric", rc);
    rc = fi_domain(ep->fabric, ep->info, &ep->domain, NULL);
    if (rc != 0)
        return ep_rc(ep, "fi_domain", rc);
    rc = fi_av_open(ep->domain, &av_attr, &ep->av, NULL);
    if (rc != 0)
        return ep_rc(ep, "fi_av_open", rc);
    rc = fi_cq_open(ep->domain, &cq_attr, &ep->cq, NULL);
    if (rc != 0)
        return ep_rc(ep, "fi_cq_open", rc);
    rc = fi_endpoint(ep->domain, ep->info, &ep->ep, NULL);
    if (rc != 0)
        return ep_rc(ep, "fi_endpoint", rc);
    rc = fi_ep_bind(ep->ep, &ep->av->fid, 0);
    if (rc == 0)
        rc = fi_ep_bind(ep->ep, &ep->cq->fid, FI_TRANSMIT | FI_RECV);
    if (rc == 0)
        rc = fi_enable(ep->ep);
    if (rc != 0)
        return ep_rc(ep, "fi_enable", rc);
    rc = fi_getname(&ep->ep->fid, ep->name, &name_len);
    if (rc != 0)
        return ep_rc(ep, "fi_getname", rc);
    ep->name_len = (uint32_t)name_len;
    return 0;
}

static int
ep_watch(struct ofi_ep *ep)
{
    int fd = -1;
    int rc = fi_control(&ep->cq->fid, FI_GETWAIT, &fd);

    if (rc != 0)
        return ep_rc(ep, "FI_GETWAIT", rc);
    ep->src = (struct loop_src){.fd = fd, .events = EPOLLIN | EPOLLET, .fn = ep_src_fn};
    rc = loop_src_add(ep->loop, &ep->src);
    if (rc != 0) {
        ep->src.events = 0;
        return rc;
    }
    ep->poller.poll = ep_poller_poll;
    ep->poller.look = ep_poller_look;
    ep->poller.may_sleep = ep_poller_may_sleep;
    loop_poller_add(ep->loop, &ep->poller);
    return 0;
}

int
ofi_ep_create(struct plat_loop *loop, const char *prov, uint32_t ip, const struct ofi_ep_cbs *cbs,
    void *arg, struct ofi_ep **ret_ep)
{
    struct ofi_lib *lib;
    struct ofi_ep *ep = NULL;
    int rc = lib_get(loop->pl, prov, &lib);

    if (rc != 0)
        return rc;
    ep = calloc(1, sizeof(*ep));
    if (ep == NULL)
        return CAIRN_ERR(NOMEM);
    list_init(&ep->link);
    list_init(&ep->free);
    list_init(&ep->free_big);
    list_init(&ep->rds);
    list_init(&ep->free_rds);
    list_init(&ep->poller.link);
    ep->lib = lib;
    ep->loop = loop;
    ep->cbs = cbs;
    ep->arg = arg;
    ep->ip = ip;
    snprintf(ep->prov, sizeof(ep->prov), "%s", prov);
    rc = hmap_init(&ep->addrs, OFI_ADDRS_BITS);
    if (rc == 0) {
        ep->rx = calloc(OFI_RX_NR, sizeof(*ep->rx));
        ep->rx_bytes = malloc((size_t)OFI_RX_NR * OFI_RX_BYTES);
        rc = ep->rx == NULL || ep->rx_bytes == NULL ? CAIRN_ERR(NOMEM) : ep_info(ep);
    }
    if (rc == 0)
        rc = ep_open(ep);
    if (rc == 0)
        rc = ep_watch(ep);
    if (rc != 0) {
        ofi_ep_destroy(ep);
        return rc;
    }
    for (uint32_t i = 0; i < OFI_RX_NR; i++) {
        ep->rx[i].ctx.op = OFI_OP_RECV;
        ep->rx[i].bytes = ep->rx_bytes + (size_t)i * OFI_RX_BYTES;
        rx_post(ep, &ep->rx[i]);
    }
    *ret_ep = ep;
    return 0;
}

static void
fid_close(struct fid *fid)
{
    int rc = fi_close(fid);

    if (rc != 0)
        LOG_WARN("fi_close: error %d", rc);
}

void
ofi_ep_destroy(struct ofi_ep *ep)
{
    if (ep == NULL)
        return;
    CAIRN_ASSERT(ep->addrs.nr == 0);
    list_del(&ep->link);
    if (!list_empty(&ep->poller.link))
        loop_poller_del(ep->loop, &ep->poller);
    if (ep->src.events != 0)
        loop_src_del(ep->loop, &ep->src);
    found_run(ep);
    if (ep->ep != NULL)
        fid_close(&ep->ep->fid);
    if (ep->cq != NULL)
        fid_close(&ep->cq->fid);
    if (ep->av != NULL)
        fid_close(&ep->av->fid);
    if (ep->domain != NULL)
        fid_close(&ep->domain->fid);
    if (ep->fabric != NULL)
        fid_close(&ep->fabric->fid);
    if (ep->info != NULL)
        ep->lib->freeinfo(ep->info);
    list_splice_tail(&ep->free_big, &ep->free);
    while (!list_empty(&ep->free)) {
        struct ofi_pkt *pkt = LIST_FIRST(&ep->free, struct ofi_pkt, link);

        list_del(&pkt->link);
        free(pkt);
    }
    list_splice_tail(&ep->free_rds, &ep->rds);
    while (!list_empty(&ep->rds)) {
        struct ofi_rd *rd = LIST_FIRST(&ep->rds, struct ofi_rd, link);

        list_del(&rd->link);
        free(rd);
    }
    hmap_fini(&ep->addrs);
    free(ep->rx);
    free(ep->rx_bytes);
    free(ep);
}

/* ---- packets -------------------------------------------------------------------------------------------------------- */

struct ofi_pkt *
ofi_pkt_get(struct ofi_ep *ep, bool is_big)
{
    struct ofi_pkt *pkt = LIST_FIRST(is_big ? &ep->free_big : &ep->free, struct ofi_pkt, link);
    size_t cap = is_big ? OFI_PKT_BYTES_MAX : OFI_PKT_BYTES;

    if (pkt != NULL) {
        list_del(&pkt->link);
        *(is_big ? &ep->free_big_nr : &ep->free_nr) -= 1;
        return pkt;
    }
    pkt = malloc(sizeof(*pkt) + cap);
    if (pkt == NULL)
        return NULL;
    *pkt = (struct ofi_pkt){.ctx = {.op = OFI_OP_SEND}, .bytes = (uint8_t *)(pkt + 1), .cap = cap};
    list_init(&pkt->link);
    return pkt;
}

void
ofi_pkt_put(struct ofi_ep *ep, struct ofi_pkt *pkt)
{
    bool is_big = pkt->cap > OFI_PKT_BYTES;
    uint32_t *nr = is_big ? &ep->free_big_nr : &ep->free_nr;

    if (*nr >= (is_big ? OFI_FREE_BIG_NR_MAX : OFI_FREE_NR_MAX)) {
        free(pkt);
        return;
    }
    pkt->owner = NULL;
    list_add(&pkt->link, is_big ? &ep->free_big : &ep->free);
    *nr += 1;
}

int
ofi_pkt_send(struct ofi_ep *ep, const struct ofi_addr *to, struct ofi_pkt *pkt)
{
    ssize_t rc;

    ep->loop->stats.calls_nr++;
    rc = fi_send(ep->ep, pkt->bytes, pkt->len, NULL, to->fi_addr, &pkt->ctx.ctx);
    if (rc == 0) {
        ep->flying_nr++;
        return 0;
    }
    return rc == -FI_EAGAIN ? -(int)DER_BUSY : CAIRN_ERR(UNREACH);
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

int
ofi_rd_start(struct ofi_ep *ep, const struct ofi_addr *from, size_t len, uint64_t at, uint64_t key,
    struct ofi_rd **ret_rd)
{
    struct ofi_rd *rd = rd_get(ep, len);
    ssize_t rc;

    if (rd == NULL)
        return CAIRN_ERR(NOMEM);
    ep->loop->stats.calls_nr++;
    rc = fi_read(ep->ep, rd->bytes, len, NULL, from->fi_addr, at, key, &rd->ctx.ctx);
    if (rc != 0) {
        rd_put(ep, rd);
        return rc == -FI_EAGAIN ? -(int)DER_BUSY : CAIRN_ERR(UNREACH);
    }
    list_add_tail(&rd->link, &ep->rds);
    *ret_rd = rd;
    return 0;
}

int
ofi_mr_open(struct ofi_ep *ep, const struct iov *buf, struct fid_mr **ret_mr, uint64_t *ret_at,
    uint64_t *ret_key)
{
    uint64_t key, mode = (uint64_t)ep->info->domain_attr->mr_mode;
    size_t key_bytes = ep->info->domain_attr->mr_key_size;
    struct plat *plat = &ep->loop->pl->plat;
    struct fid_mr *mr;
    int rc;

    plat->ops->random(plat, &key, sizeof(key));
    if (key_bytes < sizeof(key))
        key &= (UINT64_C(1) << (8 * key_bytes)) - 1;
    rc = fi_mr_reg(ep->domain, buf->buf, buf->len, FI_REMOTE_READ, 0, key, 0, &mr, NULL);
    if (rc != 0)
        return rc == -FI_ENOKEY ? CAIRN_ERR(BUSY) : CAIRN_ERR(NOMEM);
    *ret_mr = mr;
    *ret_key = fi_mr_key(mr);
    *ret_at = (mode & FI_MR_VIRT_ADDR) != 0 ? (uint64_t)(uintptr_t)buf->buf : 0;
    return 0;
}

void
ofi_mr_close(struct fid_mr *mr)
{
    fid_close(&mr->fid);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

int
ofi_addr_get(struct ofi_ep *ep, const void *name, size_t name_len, struct ofi_addr **ret_addr)
{
    uint64_t hash = hash_bytes64(name, name_len, 0);
    struct ofi_addr *addr;
    int rc;

    if (name_len != ep->name_len)
        return CAIRN_ERR(PROTO);
    HMAP_FOREACH_HASH(addr, &ep->addrs, hash, struct ofi_addr, link) {
        if (memcmp(addr->name, name, name_len) == 0)
            break;
    }
    if (addr != NULL) {
        addr->refs_nr++;
        *ret_addr = addr;
        return 0;
    }
    addr = calloc(1, sizeof(*addr));
    if (addr == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(addr->name, name, name_len);
    addr->name_len = (uint32_t)name_len;
    addr->refs_nr = 1;
    rc = fi_av_insert(ep->av, addr->name, 1, &addr->fi_addr, 0, NULL);
    if (rc != 1) {
        free(addr);
        return CAIRN_ERR(UNREACH);
    }
    hmap_insert(&ep->addrs, &addr->link, hash);
    *ret_addr = addr;
    return 0;
}

void
ofi_addr_put(struct ofi_ep *ep, struct ofi_addr *addr)
{
    int rc;

    if (addr == NULL || --addr->refs_nr > 0)
        return;
    hmap_remove(&ep->addrs, &addr->link);
    rc = fi_av_remove(ep->av, &addr->fi_addr, 1, 0);
    if (rc != 0)
        LOG_WARN("fi_av_remove: %s", ep->lib->strerror(-rc));
    free(addr);
}
