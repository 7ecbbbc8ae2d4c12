/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Channels of the control plane: packed Envelopes (proto/ctl) in frames (plat/plat_frame.h) over AF_UNIX stream sockets, with plain blocking calls. For
 * dmg and daos_server; the engine's end runs on its own xstream.
 *
 * A request is answered before the next one is sent on the same channel. A channel belongs to one thread.
 */
#ifndef CAIRN_CTL_CHAN_H
#define CAIRN_CTL_CHAN_H

#include "base/err.h"
#include "plat/plat.h"
#include "proto/ctl/ctl.pb-c.h"

#include <stdint.h>

enum {
    CTL_MESSAGE_BYTES_MAX = NET_HDR_BYTES_MAX, /* an Envelope is the head of a frame */
    CTL_ANSWER_BYTES_MAX = 1 << 20, /* body of an answer, in pieces */
    CTL_PIECE_BYTES = CTL_MESSAGE_BYTES_MAX - 1024, /* of a body, beside the fields and an error line */
};

struct ctl_chan;

/** Connect to a socket. `*ret_chan` returns owned: ctl_chan_close(). Errors: UNREACH nobody listens there; TIMEDOUT it takes no connection for 5 s; INVAL
 * the path is too long; NO_PERM. */
CAIRN_MUST_CHECK int ctl_chan_connect(const char *path, struct ctl_chan **ret_chan);
/** Wrap an accepted socket; takes over fd, also on failure. */
CAIRN_MUST_CHECK int ctl_chan_wrap(int fd, struct ctl_chan **ret_chan);
void ctl_chan_close(struct ctl_chan *chan); /* NULL-safe */

/** Send one Envelope. Errors: UNREACH the other end is gone; TIMEDOUT it takes no bytes for 5 s; OVERFLOW above CTL_MESSAGE_BYTES_MAX. After any: close. */
CAIRN_MUST_CHECK int ctl_chan_send(struct ctl_chan *chan, const Cairn__Ctl__Envelope *env);
/** Send an answer, in as many pieces as its body needs. Errors: OVERFLOW its body has more than CTL_ANSWER_BYTES_MAX, or its error line does not fit: nothing was
 * sent, the channel is as it was; else as above. */
CAIRN_MUST_CHECK int ctl_chan_reply(struct ctl_chan *chan, const Cairn__Ctl__Envelope *env);
/** Receive one, waiting at most timeout_ms (-1: for ever). `*ret_env` returns owned: cairn__ctl__envelope__free_unpacked(). Errors: UNREACH closed; TIMEDOUT; PROTO not an Envelope. After any but
 * TIMEDOUT: close. */
CAIRN_MUST_CHECK int
ctl_chan_recv(struct ctl_chan *chan, int timeout_ms, Cairn__Ctl__Envelope **ret_env);

/**
 * Request and reply: pack `req`, send, wait, each piece of the answer at most timeout_ms. `*ret_body` returns owned (free()). An error of the other end is returned as such, its line is copied to `err`.
 * `ret_body` may be NULL. PROTO: the answer is not one to this request.
 */
CAIRN_MUST_CHECK int
ctl_call(struct ctl_chan *chan, Cairn__Ctl__Method method, const ProtobufCMessage *req,
    int timeout_ms, char *err, size_t err_bytes, uint8_t **ret_body, size_t *ret_len);

/** The same with a request that came packed: its method and body are passed on as they are. */
CAIRN_MUST_CHECK int ctl_relay(struct ctl_chan *chan, const Cairn__Ctl__Envelope *req,
    int timeout_ms, char *err, size_t err_bytes, uint8_t **ret_body, size_t *ret_len);

/** Listen on a socket of mode 0600; a socket file that nobody answers is replaced. Errors: BUSY somebody listens there; EXIST the file
 * there is no socket; NO_PERM; INVAL the path is too long. */
CAIRN_MUST_CHECK int ctl_listen(const char *path, int *ret_fd);

#endif
