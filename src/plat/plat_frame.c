/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The frame machine. See plat_frame.h.
 *
 *            16 bytes, checked            head whole, payload_len > 0          place()
 *   IN_HDR ---------------------> IN_HEAD ---------------------------> AT_PLACE -------> IN_PAYLOAD
 *      ^                             | head whole, no payload: MSG                           | payload whole: MSG
 *      +-----------------------------+------------------------------------------------------+
 *   any wrong header, or no memory: BROKEN
 *
 * A part that lies whole in the fed bytes is not copied. When the bytes end in the middle of a message, what points into them is saved.
 */
#include "plat/plat_frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"

enum { FRAME_HEAD_CAP_MIN = 512 };

void
frame_hdr_put(uint8_t hdr[FRAME_HDR_BYTES], size_t head_len, size_t payload_len)
{
    CAIRN_ASSERT(head_len > 0);
    CAIRN_ASSERT(head_len <= NET_HDR_BYTES_MAX);
    CAIRN_ASSERT(payload_len <= NET_PAYLOAD_BYTES_MAX);
    le32_put(hdr, FRAME_MAGIC);
    le32_put(hdr + 4, (uint32_t)head_len);
    le32_put(hdr + 8, (uint32_t)payload_len);
    le32_put(hdr + 12, crc32c(0, hdr, 12));
}

void
frame_rx_fini(struct frame_rx *rx)
{
    free(rx->head_buf);
    free(rx->own_buf);
    memset(rx, 0, sizeof(*rx));
    rx->state = FRAME_BROKEN;
}

static int
frame_hdr_check(struct frame_rx *rx)
{
    rx->head_len = le32_get(rx->hdr + 4);
    rx->payload_len = le32_get(rx->hdr + 8);
    if (le32_get(rx->hdr) != FRAME_MAGIC || le32_get(rx->hdr + 12) != crc32c(0, rx->hdr, 12))
        return CAIRN_ERR(PROTO);
    if (rx->head_len == 0 || rx->head_len > NET_HDR_BYTES_MAX)
        return CAIRN_ERR(PROTO);
    if (rx->payload_len > NET_PAYLOAD_BYTES_MAX)
        return CAIRN_ERR(PROTO);
    return 0;
}

static int
frame_head_buf_grow(struct frame_rx *rx)
{
    size_t cap = MAX(rx->head_cap, (size_t)FRAME_HEAD_CAP_MIN);
    uint8_t *buf;

    while (cap < rx->head_len) {
        cap *= 2;
    }
    if (cap == rx->head_cap)
        return 0;
    buf = malloc(cap);
    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    free(rx->head_buf);
    rx->head_buf = buf;
    rx->head_cap = cap;
    return 0;
}

/* The caller's bytes end here: keep what was only pointed at. */
static int
frame_head_save(struct frame_rx *rx)
{
    int rc;

    if (rx->state != FRAME_AT_PLACE && rx->state != FRAME_IN_PAYLOAD)
        return 0;
    if (rx->head == rx->head_buf)
        return 0;
    rc = frame_head_buf_grow(rx);
    if (rc != 0)
        return rc;
    memcpy(rx->head_buf, rx->head, rx->head_len);
    rx->head = rx->head_buf;
    return 0;
}

/* Take bytes of a header. True when it is whole. */
static bool
frame_take_hdr(struct frame_rx *rx, const uint8_t *bytes, size_t len, size_t *used)
{
    size_t nr = MIN(len - *used, FRAME_HDR_BYTES - rx->got);

    memcpy(rx->hdr + rx->got, bytes + *used, nr);
    rx->got += nr;
    *used += nr;
    return rx->got == FRAME_HDR_BYTES;
}

static int
frame_take_head(struct frame_rx *rx, const uint8_t *bytes, size_t len, size_t *used, bool *ret_whole)
{
    size_t nr = MIN(len - *used, rx->head_len - rx->got);
    int rc;

    if (rx->got == 0 && nr == rx->head_len) {
        rx->head = bytes + *used;
    } else {
        if (rx->got == 0) {
            rc = frame_head_buf_grow(rx);
            if (rc != 0)
                return rc;
        }
        memcpy(rx->head_buf + rx->got, bytes + *used, nr);
        rx->head = rx->head_buf;
    }
    rx->got += nr;
    *used += nr;
    *ret_whole = rx->got == rx->head_len;
    return 0;
}

static int
frame_own_buf_make(struct frame_rx *rx)
{
    rx->own_buf = malloc(rx->payload_len);
    if (rx->own_buf == NULL)
        return CAIRN_ERR(NOMEM);
    rx->dst = rx->own_buf;
    return 0;
}

static int
frame_take_payload(
    struct frame_rx *rx, const uint8_t *bytes, size_t len, size_t *used, bool *ret_whole)
{
    size_t nr = MIN(len - *used, rx->payload_len - rx->got);
    int rc;

    *ret_whole = true;
    if (rx->dst == NULL && nr == rx->payload_len) {
        rx->payload = bytes + *used;
        rx->got += nr;
        *used += nr;
        return 0;
    }
    if (nr > 0 && rx->dst == NULL) {
        rc = frame_own_buf_make(rx);
        if (rc != 0)
            return rc;
    }
    if (nr > 0)
        memcpy(rx->dst + rx->got, bytes + *used, nr);
    rx->payload = rx->dst;
    rx->got += nr;
    *used += nr;
    *ret_whole = rx->got == rx->payload_len;
    return 0;
}

/* One step: *ret_ev is set when something is to be told, *ret_more when the state moved on. */
static int
frame_step(struct frame_rx *rx, const uint8_t *bytes, size_t len, size_t *used,
    enum frame_event *ret_ev, bool *ret_more)
{
    bool whole = false;
    int rc = 0;

    switch (rx->state) {
    case FRAME_IN_HDR:
        if (!frame_take_hdr(rx, bytes, len, used))
            return 0;
        rc = frame_hdr_check(rx);
        rx->state = FRAME_IN_HEAD;
        rx->got = 0;
        *ret_more = true;
        return rc;
    case FRAME_IN_HEAD:
        if (len == *used)
            return 0;
        rc = frame_take_head(rx, bytes, len, used, &whole);
        if (rc != 0 || !whole)
            return rc;
        rx->got = 0;
        rx->payload = NULL;
        rx->state = rx->payload_len == 0 ? FRAME_IN_HDR : FRAME_AT_PLACE;
        *ret_ev = rx->payload_len == 0 ? FRAME_MSG : FRAME_PLACE;
        return 0;
    case FRAME_AT_PLACE: /* the caller did not answer: memory of our own */
        frame_rx_place(rx, NULL);
        *ret_more = true;
        return 0;
    case FRAME_IN_PAYLOAD:
        rc = frame_take_payload(rx, bytes, len, used, &whole);
        if (rc != 0 || !whole)
            return rc;
        rx->got = 0;
        rx->state = FRAME_IN_HDR;
        *ret_ev = FRAME_MSG;
        return 0;
    case FRAME_BROKEN:
        break;
    }
    return CAIRN_ERR(PROTO);
}

int
frame_rx_feed(struct frame_rx *rx, const uint8_t *bytes, size_t len, size_t *ret_used,
    enum frame_event *ret_ev)
{
    enum frame_event ev = FRAME_NEED;
    size_t used = 0;
    bool more;
    int rc;

    if (rx->state == FRAME_IN_HDR) { /* the message before is over */
        free(rx->own_buf);
        rx->own_buf = NULL;
        rx->dst = NULL;
    }
    do {
        more = false;
        rc = frame_step(rx, bytes, len, &used, &ev, &more);
    } while (rc == 0 && more);
    if (rc == 0 && ev == FRAME_NEED)
        rc = frame_head_save(rx);
    if (rc != 0) {
        rx->state = FRAME_BROKEN;
        return rc;
    }
    *ret_used = used;
    *ret_ev = ev;
    return 0;
}

void
frame_rx_place(struct frame_rx *rx, void *dst)
{
    CAIRN_ASSERT(rx->state == FRAME_AT_PLACE);
    rx->dst = dst;
    rx->got = 0;
    rx->state = FRAME_IN_PAYLOAD;
}

bool
frame_rx_direct(struct frame_rx *rx, struct iov *ret_iov)
{
    if (rx->state != FRAME_IN_PAYLOAD || rx->got == rx->payload_len)
        return false;
    if (rx->dst == NULL && frame_own_buf_make(rx) != 0)
        return false;
    ret_iov->buf = rx->dst + rx->got;
    ret_iov->len = rx->payload_len - rx->got;
    return true;
}

void
frame_rx_direct_done(struct frame_rx *rx, size_t nr)
{
    CAIRN_ASSERT(rx->state == FRAME_IN_PAYLOAD);
    CAIRN_ASSERT(nr <= rx->payload_len - rx->got);
    rx->got += nr;
    rx->payload = rx->dst;
}
