/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See plat_linux_sendq.h. */
#include "plat/linux/plat_linux_sendq.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(struct sendq_tx) <= sizeof(((struct net_tx *)0)->priv), "sendq_tx fits");

static struct sendq_tx *
sendq_tx_of(struct net_tx *tx)
{
    return (struct sendq_tx *)(void *)tx->priv;
}

static const struct net_tx *
net_tx_of(const struct sendq_tx *stx)
{
    return CAIRN_CONTAINER_OF(stx, const struct net_tx, priv);
}

static void
told(struct sendq *q, struct sendq_tx *stx, int rc)
{
    struct net_tx *tx = CAIRN_CONTAINER_OF(stx, struct net_tx, priv);

    list_del(&stx->link);
    q->loop->cbs_nr++;
    tx->done(tx, rc);
}

void
sendq_init(struct sendq *q, struct plat_loop *loop)
{
    q->loop = loop;
    list_init(&q->queue);
    list_init(&q->sent);
    q->nr = 0;
}

int
sendq_add(struct sendq *q, struct net_tx *tx)
{
    struct sendq_tx *stx = sendq_tx_of(tx);

    if (tx->head.len == 0 || tx->head.len > NET_HDR_BYTES_MAX ||
        tx->payload.len > NET_PAYLOAD_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    if (q->nr >= NET_SENDQ_MSGS_MAX)
        return CAIRN_ERR(BUSY);
    stx->state = SENDQ_QUEUED;
    stx->off = 0;
    frame_hdr_put(stx->hdr, tx->head.len, tx->payload.len);
    list_add_tail(&stx->link, &q->queue);
    q->nr++;
    return 0;
}

uint64_t
sendq_left(const struct sendq_tx *stx)
{
    const struct net_tx *tx = net_tx_of(stx);

    return FRAME_HDR_BYTES + tx->head.len + tx->payload.len - stx->off;
}

int
sendq_gather(const struct sendq_tx *stx, struct iovec *iovs)
{
    const struct net_tx *tx = net_tx_of(stx);
    const struct iov parts[SENDQ_IOVS_MAX] = {
        {(void *)(uintptr_t)stx->hdr, FRAME_HDR_BYTES}, tx->head, tx->payload};
    uint64_t skip = stx->off;
    int nr = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (skip >= parts[i].len) {
            skip -= parts[i].len;
            continue;
        }
        iovs[nr].iov_base = (uint8_t *)parts[i].buf + skip;
        iovs[nr].iov_len = parts[i].len - skip;
        skip = 0;
        nr++;
    }
    return nr;
}

void
sendq_advance(struct sendq *q, uint64_t n)
{
    while (n > 0) {
        struct sendq_tx *stx = LIST_FIRST(&q->queue, struct sendq_tx, link);
        uint64_t left = sendq_left(stx);

        if (n < left) {
            stx->off += n;
            return;
        }
        n -= left;
        stx->state = SENDQ_SENT;
        list_move_tail(&stx->link, &q->sent);
        q->nr--;
    }
}

void
sendq_tell(struct sendq *q)
{
    struct sendq_tx *stx;

    while ((stx = LIST_FIRST(&q->sent, struct sendq_tx, link)) != NULL) {
        told(q, stx, 0);
    }
}

void
sendq_end(struct sendq *q, int rc)
{
    struct sendq_tx *stx;

    sendq_tell(q);
    while ((stx = LIST_FIRST(&q->queue, struct sendq_tx, link)) != NULL) {
        q->nr--;
        told(q, stx, rc);
    }
}

/* A message that goes on without its sender. */
struct sendq_orphan {
    struct net_tx tx;
    uint8_t bytes[];
};

static void
orphan_done(struct net_tx *tx, int rc)
{
    (void)rc;
    free(CAIRN_CONTAINER_OF(tx, struct sendq_orphan, tx));
}

/* In its place in the queue. */
static bool
orphan_make(struct net_tx *tx)
{
    struct sendq_orphan *orphan = malloc(sizeof(*orphan) + tx->head.len + tx->payload.len);

    if (orphan == NULL)
        return false;
    memcpy(orphan->bytes, tx->head.buf, tx->head.len);
    if (tx->payload.len > 0)
        memcpy(orphan->bytes + tx->head.len, tx->payload.buf, tx->payload.len);
    orphan->tx = *tx;
    orphan->tx.head.buf = orphan->bytes;
    orphan->tx.payload.buf = orphan->bytes + tx->head.len;
    orphan->tx.done = orphan_done;
    list_add_tail(&sendq_tx_of(&orphan->tx)->link, &sendq_tx_of(tx)->link);
    list_del(&sendq_tx_of(tx)->link);
    return true;
}

bool
sendq_cancel(struct sendq *q, struct net_tx *tx, bool is_up)
{
    struct sendq_tx *stx = sendq_tx_of(tx);

    if (stx->state == SENDQ_SENT) {
        told(q, stx, 0);
        return true;
    }
    CAIRN_ASSERT(stx->state == SENDQ_QUEUED);
    if (stx->off > 0 && is_up && orphan_make(tx)) { /* SQ-2 */
        told(q, stx, 0);
        return true;
    }
    list_del(&stx->link);
    q->nr--;
    if (stx->off > 0)
        return false;
    told(q, stx, -(int)DER_CANCELED);
    return true;
}

void
sendq_cancelled(struct sendq *q, struct net_tx *tx)
{
    told(q, sendq_tx_of(tx), -(int)DER_CANCELED);
}
