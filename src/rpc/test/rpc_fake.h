/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A network that does nothing by itself: one context on a simulated node whose plat hands out the backend of this file. The test delivers
 * messages, completes sends and drops connections when it wants to, also in the middle of a payload. For tests of states that a real
 * transport passes in microseconds, and for fuzzing.
 */
#ifndef CAIRN_RPC_FAKE_H
#define CAIRN_RPC_FAKE_H

#include "plat/plat_sim.h"
#include "rpc/rpc_priv.h"

enum { FAKE_TXS_MAX = 16384 };

struct fake_plat_ops {
    struct plat_ops ops; /* first: those of the simulator, but for net */
    struct fake *fake;
};

struct net_peer {
    struct fake *fake;
    void *arg;
    struct net_tx *txs[FAKE_TXS_MAX]; /* sent, not completed */
    uint32_t txs_nr;
    uint32_t room; /* sends that are still taken before BUSY */
    bool is_broken; /* sends fail */
    bool is_disconnected; /* disconnect() was called: fake_down() is due */
};

struct fake {
    struct sim *sim;
    struct plat *plat;
    struct fake_plat_ops fops;
    struct xstream *xs;
    struct rpc_ctx *ctx;
    struct net_cbs cbs;
    void *cbs_arg;
    struct net_peer *connected; /* the newest that the context opened; NULL once put */
    bool is_done;
    bool is_destroyed;
    uint64_t incarnation;
};

/** Make node, xstream and a context that listens and serves `handlers`. */
struct fake *fake_create(const struct rpc_handler *handlers, uint32_t handler_nr, void *handler_arg);
/** End the context in order (open peers are dropped) and free everything. */
void fake_destroy(struct fake *fake);
/** A peer connects. */
struct net_peer *fake_accept(struct fake *fake);
/** Deliver a message; a payload goes where place() says (copied here) or stays. */
void fake_recv(struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len);
/** Only ask place(). */
bool fake_place(struct net_peer *peer, const void *head, size_t head_len, size_t payload_len,
    struct iov *ret_dst);
/** Complete what was sent. */
void fake_flush(struct net_peer *peer);
/** The connection is gone; frees the peer. */
void fake_down(struct net_peer *peer);
/** Let time pass. */
void fake_run(struct fake *fake, uint64_t ns);
/** Start fn(arg) on a ULT. */
void fake_ult(struct fake *fake, void (*fn)(void *arg), void *arg);

#endif
