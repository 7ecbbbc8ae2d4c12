/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The fabric under backend `ofi`: one libfabric endpoint with its packets, and nothing of connections (plat_linux_ofi.c has those).
 *
 *   OFIF-1  libfabric is loaded when the first URI of this backend is used, and never unloaded: a program that does not use it does not
 *           pay for its providers, and runs where it is not installed.
 *   OFIF-2  An endpoint belongs to one loop: FI_THREAD_DOMAIN, a domain of its own, no locks. The loop sleeps on the wait descriptor of the
 *           completion queue, after fi_trywait() agreed; while it is awake it reads the queue itself and lets the descriptor be
 *           (edge-triggered), since taking its signal back and having it given again costs two system calls for each message.
 *   OFIF-3  What is sent is copied into packets, what is read comes into buffers of its own: nothing of the user's memory is lent to the
 *           provider, because neither can be taken back from it.
 *   OFIF-4  Memory that is offered can be read by whoever knows its key, which is random; nothing can be written. The provider may still be
 *           sending from memory that was just revoked: readers compare checksums (MS-3).
 */
#ifndef CAIRN_PLAT_LINUX_OFI_H
#define CAIRN_PLAT_LINUX_OFI_H

#include <rdma/fabric.h>
#include <rdma/fi_eq.h>

#include "base/hash.h"
#include "plat/linux/plat_linux_priv.h"

enum {
    OFI_PKT_BYTES = 8192, /* with header */
    OFI_PKT_BYTES_MAX = 65536, /* of one that carries bulk */
    OFI_PKT_HDR_BYTES = 32,
    OFI_NAME_BYTES_MAX = 128, /* a fabric address */
    OFI_PROV_BYTES_MAX = 32,
    OFI_RX_NR = 64, /* receives posted */
    OFI_RX_BYTES = OFI_PKT_BYTES_MAX + 256, /* each at another place in the caches' sets */
    OFI_FREE_NR_MAX = 128, /* packets kept for the next sends */
    OFI_FREE_BIG_NR_MAX = 16, /* and of OFI_PKT_BYTES_MAX */
    OFI_RD_BYTES = 256 << 10, /* a common read */
    OFI_FREE_RD_NR_MAX =
        8, /* buffers of such reads kept: fresh memory costs as much again as the read */
    OFI_CQ_READ_NR = 32, /* completions at a time */
};
#define OFI_ADDR_NONE UINT64_MAX

/* What completions carry. */
enum ofi_op { OFI_OP_SEND, OFI_OP_RECV, OFI_OP_READ };

struct ofi_ctx {
    struct fi_context ctx; /* first: the provider's */
    enum ofi_op op;
};

/* A read of a peer's memory. Its target is its own, since a read cannot be taken back (OFIF-3). */
struct ofi_rd {
    struct ofi_ctx ctx; /* first */
    struct list_head link; /* ep->rds, or ep->free_rds */
    void *owner; /* who reads; NULL: nobody cares any more */
    size_t len;
    uint8_t bytes[];
};

struct ofi_pkt {
    struct ofi_ctx ctx; /* first */
    struct list_head link; /* free list; or the sender's list of those that the provider had no room for */
    void *owner; /* who sent it; NULL: nobody cares any more */
    size_t len;
    uint8_t *bytes; /* sends: they follow */
    size_t cap;
};

/* A peer endpoint's address in the address vector, shared by the connections to it. */
struct ofi_addr {
    struct hmap_link link;
    uint64_t fi_addr;
    uint32_t refs_nr;
    uint32_t name_len;
    uint8_t name[OFI_NAME_BYTES_MAX];
};

struct ofi_ep;

struct ofi_ep_cbs {
    void (*sent)(void *arg, struct ofi_pkt *pkt, int rc); /* the packet is the callee's again */
    void (*read)(void *arg, struct ofi_rd *rd, int rc); /* rd is the endpoint's again after it */
    void (*recv)(void *arg, struct ofi_ep *ep, const uint8_t *bytes, size_t len);
};

struct ofi_lib;

struct ofi_ep {
    struct list_head link; /* the owner's */
    struct ofi_lib *lib;
    struct plat_loop *loop;
    const struct ofi_ep_cbs *cbs;
    void *arg;
    char prov[OFI_PROV_BYTES_MAX];
    uint32_t ip; /* of the interface, network order */
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_av *av;
    struct fid_cq *cq;
    struct fid_ep *ep;
    struct loop_src src;
    struct loop_poller poller;
    struct fi_cq_msg_entry found[OFI_CQ_READ_NR]; /* read, not yet run */
    uint32_t found_nr;
    bool is_error_found; /* the queue has one */
    struct ofi_pkt *rx; /* OFI_RX_NR of them */
    uint8_t *rx_bytes;
    struct list_head rds; /* reads without a completion */
    struct list_head free_rds; /* of OFI_RD_BYTES */
    uint32_t free_rds_nr;
    struct list_head free, free_big;
    uint32_t free_nr, free_big_nr;
    uint32_t flying_nr; /* sends without a completion */
    struct hmap addrs;
    uint32_t name_len;
    uint8_t name[OFI_NAME_BYTES_MAX];
};

/** Errors: NOSYS libfabric or the provider is not there; NOMEM; INVAL. */
CAIRN_MUST_CHECK int ofi_ep_create(struct plat_loop *loop, const char *prov, uint32_t ip,
    const struct ofi_ep_cbs *cbs, void *arg, struct ofi_ep **ret_ep);
/** Sends without a completion are dropped without a word. NULL-safe. */
void ofi_ep_destroy(struct ofi_ep *ep);
/** Run what has completed. How many completions there were. */
uint32_t ofi_ep_poll(struct ofi_ep *ep);

/** One of OFI_PKT_BYTES or OFI_PKT_BYTES_MAX. NULL: no memory. */
struct ofi_pkt *ofi_pkt_get(struct ofi_ep *ep, bool is_big);
void ofi_pkt_put(struct ofi_ep *ep, struct ofi_pkt *pkt);
/** 0: sent() will follow. BUSY: no room, or the way there is not open yet: later. Else: it cannot be sent. */
CAIRN_MUST_CHECK int ofi_pkt_send(struct ofi_ep *ep, const struct ofi_addr *to, struct ofi_pkt *pkt);

/** 0: read() will follow. BUSY: later. */
CAIRN_MUST_CHECK int ofi_rd_start(struct ofi_ep *ep, const struct ofi_addr *from, size_t len,
    uint64_t at, uint64_t key, struct ofi_rd **ret_rd);

/** Let peers read `buf`. `ret_at` is what they call its first byte. */
CAIRN_MUST_CHECK int ofi_mr_open(struct ofi_ep *ep, const struct iov *buf, struct fid_mr **ret_mr,
    uint64_t *ret_at, uint64_t *ret_key);
void ofi_mr_close(struct fid_mr *mr);

CAIRN_MUST_CHECK int
ofi_addr_get(struct ofi_ep *ep, const void *name, size_t name_len, struct ofi_addr **ret_addr);
void ofi_addr_put(struct ofi_ep *ep, struct ofi_addr *addr); /* NULL-safe */

#endif
