/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The messages that wait to leave for one peer, as both network backends that send streams of frames keep them (`sock` writes them to
 * a socket, `ofi` copies them into packets): in order, some of the first one's bytes may have left.
 *
 *     sendq_add() -> queue -- all its bytes have left, sendq_advance() --> sent -- sendq_tell() --> done(0)
 *                      `---- sendq_end(), sendq_cancel() --> done(error)
 *
 *   SQ-1  A tx is in exactly one of the lists until done() is called, once.
 *   SQ-2  A tx of which bytes have left can only be finished: sendq_cancel() copies the rest, which goes on without its sender.
 *
 * Owner: the loop. Tested by plat_net_test.c, plat_sock_test.c and plat_ofi_test.c.
 */
#ifndef CAIRN_PLAT_LINUX_SENDQ_H
#define CAIRN_PLAT_LINUX_SENDQ_H

#include <sys/uio.h>

#include "plat/linux/plat_linux_priv.h"
#include "plat/plat_frame.h"

enum { SENDQ_IOVS_MAX = 3 }; /* of one message */

enum sendq_state { SENDQ_QUEUED = 1, SENDQ_SENT };

/* What a net_tx carries in priv. */
struct sendq_tx {
    struct list_head link;
    enum sendq_state state;
    uint64_t off; /* bytes of header, head and payload that have left */
    uint8_t hdr[FRAME_HDR_BYTES];
};

struct sendq {
    struct plat_loop *loop;
    struct list_head queue; /* struct sendq_tx, not yet left whole */
    struct list_head sent; /* left, not yet told */
    uint32_t nr; /* of queue */
};

void sendq_init(struct sendq *q, struct plat_loop *loop);
/** Errors: INVAL the lengths; BUSY NET_SENDQ_MSGS_MAX wait already. */
CAIRN_MUST_CHECK int sendq_add(struct sendq *q, struct net_tx *tx);
static inline bool
sendq_is_empty(const struct sendq *q)
{
    return list_empty(&q->queue);
}
/** Bytes of it that have not left. */
uint64_t sendq_left(const struct sendq_tx *stx);
/** Where they lie, in at most SENDQ_IOVS_MAX pieces. Returns how many. */
int sendq_gather(const struct sendq_tx *stx, struct iovec *iovs);
/** The first `n` bytes of what is queued have left. */
void sendq_advance(struct sendq *q, uint64_t n);
/** Tell those whose bytes have left. Callbacks run inside. */
void sendq_tell(struct sendq *q);
/** Tell all: 0 those whose bytes have left, rc the others. Callbacks run inside. */
void sendq_end(struct sendq *q, int rc);
/**
 * Take a tx back; done() runs inside. False: half of it has left, and the rest could not be kept: the connection must end (the caller
 * does that before sendq_cancelled()).
 */
CAIRN_MUST_CHECK bool sendq_cancel(struct sendq *q, struct net_tx *tx, bool is_up);
void sendq_cancelled(struct sendq *q, struct net_tx *tx);

#endif
