/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target of the frame machine. The input's first byte chooses how the rest is cut into pieces and what place() answers; what the
 * machine yields in that cutting must equal what it yields in one piece (FRM-3), and stay inside its limits (FRM-1).
 *
 * Headers with a right checksum are hard to guess: bit 7 of the first byte makes the harness repair the header at the start of each
 * piece of 64 bytes, so that lengths are explored too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"
#include "plat/plat_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct digest {
    uint32_t crc;
    uint32_t msgs_nr;
    int rc;
};

static void
digest_run(const uint8_t *data, size_t size, size_t piece, bool place, struct digest *d)
{
    struct frame_rx rx = {0};
    uint8_t *dst = malloc(NET_PAYLOAD_BYTES_MAX);
    size_t off = 0;

    CAIRN_ASSERT(dst != NULL);
    while (off < size && d->rc == 0) {
        size_t len = MIN(piece, size - off), used = 0;
        enum frame_event ev;

        do {
            d->rc = frame_rx_feed(&rx, data + off, len, &used, &ev);
            if (d->rc != 0)
                break;
            off += used;
            len -= used;
            CAIRN_ASSERT(ERGO(ev != FRAME_NEED, rx.head_len >= 1));
            CAIRN_ASSERT(ERGO(ev != FRAME_NEED, rx.head_len <= NET_HDR_BYTES_MAX));
            CAIRN_ASSERT(ERGO(ev != FRAME_NEED, rx.payload_len <= NET_PAYLOAD_BYTES_MAX));
            if (ev == FRAME_PLACE)
                frame_rx_place(&rx, place ? dst : NULL);
            if (ev == FRAME_MSG) {
                d->msgs_nr++;
                d->crc = crc32c(d->crc, rx.head, rx.head_len);
                if (rx.payload_len > 0)
                    d->crc = crc32c(d->crc, rx.payload, rx.payload_len);
            }
        } while (ev != FRAME_NEED);
    }
    frame_rx_fini(&rx);
    free(dst);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest whole = {0}, cut = {0};
    uint8_t *copy;
    uint8_t mode;

    if (size < 2)
        return 0;
    mode = data[0];
    size--;
    copy = malloc(size);
    CAIRN_ASSERT(copy != NULL);
    memcpy(copy, data + 1, size);
    if ((mode & 0x80) != 0) {
        for (size_t off = 0; off + FRAME_HDR_BYTES <= size; off += 64) {
            le32_put(copy + off, FRAME_MAGIC);
            le32_put(copy + off + 4, le32_get(copy + off + 4) & 0xffff);
            le32_put(copy + off + 8, le32_get(copy + off + 8) & 0x1fffff);
            le32_put(copy + off + 12, crc32c(0, copy + off, 12));
        }
    }
    digest_run(copy, size, size, false, &whole);
    digest_run(copy, size, 1 + (mode & 0x3f), (mode & 0x40) != 0, &cut);
    CAIRN_ASSERT(whole.rc == cut.rc);
    CAIRN_ASSERT(whole.msgs_nr == cut.msgs_nr);
    CAIRN_ASSERT(whole.crc == cut.crc);
    free(copy);
    return 0;
}
