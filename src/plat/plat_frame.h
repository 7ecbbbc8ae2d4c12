/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * plat_frame: how messages lie in a byte stream, as a pure machine: no I/O, bytes in, events out. Used by the sock backend; tested with
 * every split of a stream by plat_frame_test.c and fuzzed by plat_frame_fuzz.c (SM-4).
 *
 * A frame, little-endian:
 *
 *     off  bytes
 *       0      4  magic 0x314d4e43 ("CNM1")
 *       4      4  head_len, 1..NET_HDR_BYTES_MAX
 *       8      4  payload_len, 0..NET_PAYLOAD_BYTES_MAX
 *      12      4  CRC-32C of bytes 0..11
 *      16         head, then payload; what they hold is the affair of `rpc`, which checksums both
 *
 *   FRM-1  Nothing is allocated before the header was checked, and never more than both limits for one connection.
 *   FRM-2  The first wrong header ends the machine for good: there is no way to find the next frame in a stream that lied.
 *   FRM-3  The events do not depend on how the stream was cut into pieces.
 */
#ifndef CAIRN_PLAT_FRAME_H
#define CAIRN_PLAT_FRAME_H

#include "plat/plat.h"

enum { FRAME_HDR_BYTES = 16 };
#define FRAME_MAGIC UINT32_C(0x314d4e43)

enum frame_event {
    FRAME_NEED, /* all bytes are used; feed more */
    FRAME_PLACE, /* a head with a payload to follow: call frame_rx_place(), then feed on */
    FRAME_MSG, /* a whole message */
};

enum frame_state { FRAME_IN_HDR, FRAME_IN_HEAD, FRAME_AT_PLACE, FRAME_IN_PAYLOAD, FRAME_BROKEN };

/* One direction of one connection. Zero-initialise. head and payload are valid at PLACE (head only) and MSG, until the next feed. */
struct frame_rx {
    enum frame_state state;
    uint8_t hdr[FRAME_HDR_BYTES];
    size_t got; /* bytes of the current part so far */
    const uint8_t *head; /* in the fed bytes or in head_buf */
    size_t head_len;
    const uint8_t *payload; /* in the fed bytes, in the placed buffer or in own_buf */
    size_t payload_len;
    uint8_t *head_buf;
    size_t head_cap;
    uint8_t *own_buf; /* payload nobody placed; freed after the message */
    uint8_t *dst; /* where payload bytes go; NULL: not yet decided */
};

/** Fill the header of a frame; the lengths are in range (asserted). */
void frame_hdr_put(uint8_t hdr[FRAME_HDR_BYTES], size_t head_len, size_t payload_len);

void frame_rx_fini(struct frame_rx *rx);

/**
 * Go on with `len` bytes (may be 0). Sets *ret_used and *ret_ev; when bytes are left over, feed them next, at the same
 * place in memory, until NEED. Errors: PROTO not a frame (FRM-2); NOMEM. Both are final.
 */
CAIRN_MUST_CHECK int frame_rx_feed(struct frame_rx *rx, const uint8_t *bytes, size_t len,
    size_t *ret_used, enum frame_event *ret_ev);

/** The answer to PLACE: payload goes to `dst` (borrowed until MSG; at least payload_len bytes), or, with NULL, to memory of the machine. */
void frame_rx_place(struct frame_rx *rx, void *dst);

/** Inside a payload: where its next bytes go, to be read there directly. False: there is no such place, feed bytes. */
bool frame_rx_direct(struct frame_rx *rx, struct iov *ret_iov);
/** `nr` bytes were put there. Then feed, if only 0 bytes. */
void frame_rx_direct_done(struct frame_rx *rx, size_t nr);

#endif
