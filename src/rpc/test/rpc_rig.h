/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Two processes for tests of rpc: a server and a client, each an xstream with a context; on plat/linux two threads of one process joined by
 * AF_UNIX, TCP, inproc or libfabric, on plat/sim two nodes on two hosts. A test is a function that runs on a ULT of the client's xstream.
 *
 * The server's handlers do what `mode` (and the request) says; what they count is read by the test over rig_on_server().
 */
#ifndef CAIRN_RPC_RIG_H
#define CAIRN_RPC_RIG_H

#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"
#include "proto/proto_svc.h"
#include "rpc/rpc_priv.h"

#define RIG_MS UINT64_C(1000000)
#define RIG_LONG_NS (20000 * RIG_MS) /* a deadline that no correct run meets */
#define RIG_SHORT_NS (100 * RIG_MS)

enum { RIG_RANK = 3, RIG_CLIENT_RANK = 4, RIG_RAN_NR_MAX = 256, RIG_PARTS_NR = 256 };

/* What a handler does besides its work. */
enum rig_mode {
    RIG_MODE_PLAIN,
    RIG_MODE_GATE, /* waits for rig_gate_open() */
    RIG_MODE_NOTLEADER,
    RIG_MODE_TOO_LARGE, /* a reply above RPC_BODY_BYTES_MAX */
    RIG_MODE_BAD_STRING, /* a reply that cannot be encoded */
    RIG_MODE_KEY, /* bulk descriptors are changed before use ... */
    RIG_MODE_ID,
    RIG_MODE_ID_NONE,
    RIG_MODE_LEN, /* ... one byte too long, and asked for */
    RIG_MODE_OTHER_WAY, /* pull instead of push and the reverse */
    RIG_MODE_WHOLE, /* pulls as one that compares the whole, and answers CSUM */
    RIG_MODE_WHOLE_GATE, /* the same behind the gate */
    RIG_MODE_PARTS, /* pushes in parts, some of them out of order */
    RIG_MODE_PARTS_AGAIN, /* and a piece again */
    RIG_MODE_EARLY, /* pushes, and replies before that is done where it can */
    RIG_MODE_CALL_BACK, /* ping the caller's own context */
};

struct rig_server {
    struct rpc_ctx *ctx;
    uint32_t mode;
    struct ult_cond gate;
    bool is_gate_open;
    uint32_t running_nr, running_nr_max; /* in the gate */
    uint32_t ran_nr; /* handlers of any kind */
    struct {
        uint64_t incarnation, call; /* of the sender; its number there */
    } ran[RIG_RAN_NR_MAX]; /* the first ones, in the order in which they began */
    int bulk_rc; /* of the last pull or push */
    uint64_t landed_bytes; /* of it, told of once */
    uint64_t hlc_last; /* received */
    int hlc_rc; /* what the clock says to a received one */
};

struct rig {
    const char *transport;
    struct sim *sim; /* NULL on linux */
    struct plat *splat, *cplat;
    struct xstream *sxs, *cxs;
    char suri[NET_URI_MAX]; /* where the server listens */
    uint64_t sinc; /* its incarnation */
    struct rig_server server;
    struct rpc_ctx *ctx; /* the client's */
    char curi[NET_URI_MAX]; /* "": it does not listen */
    /* What the client's resolver says. */
    uint64_t resolve_inc;
    int resolve_rc;
    const char *resolve_uri; /* NULL: suri */
    uint32_t resolved_nr;
};

/** The transports of the backend that the test runs on, ended by NULL. */
const char *const *rig_transports(void);
/** As rig_init(), but nothing runs yet: step the xstreams by hand, then start them. */
bool rig_make(struct rig *rig, const char *transport, const struct sim_opts *sim_opts);
/** False: an expectation failed, do not go on. */
bool rig_init(struct rig *rig, const char *transport, const struct sim_opts *sim_opts);
void rig_fini(struct rig *rig);
/** Run the test on a ULT of the client's xstream, to its end. */
void rig_run(struct rig *rig, void (*fn)(struct rig *rig));

/* On the client's ULT: */
void rig_on_server(struct rig *rig, void (*fn)(void *arg), void *arg);
void rig_gate_open(struct rig *rig);
void rig_mode_set(struct rig *rig, enum rig_mode mode);
uint32_t rig_running_nr(struct rig *rig);
/** Wait until that many handlers stand in the gate. */
bool rig_running_wait(struct rig *rig, uint32_t nr);
void rig_stats(struct rig *rig, struct rpc_stats *ret_stats); /* the server's */
/** End the server's connections at once, as its death would. */
void rig_server_cut(struct rig *rig);
/** End the server's context and start another with this incarnation at the same place. */
void rig_server_restart(struct rig *rig, uint64_t incarnation);

/** Options with a deadline from now; NULL arena where the reply is not wanted. */
struct rpc_call_opts rig_opts(struct rig *rig, uint64_t timeout_ns, struct arena *arena);
struct rpc_ep rig_ep(void);
/** PING; the rc of rpc_call(). */
int rig_ping(struct rig *rig, uint64_t timeout_ns);

/* The data of bulk tests. */
void rig_pattern(uint8_t *buf, size_t len, uint64_t seed);
uint32_t rig_crc(const uint8_t *buf, size_t len);
/** One attempt of an OBJ_APPLY that makes the server pull the region, or of an OBJ_FETCH that makes it push the pattern of seed 77 into it. */
int rig_pull(struct rig *rig, const struct rpc_bulk *bulk, uint64_t timeout_ns, uint32_t *ret_crc);
/** Of bytes with this checksum, by a handler that compares it (RIG_MODE_WHOLE). */
int rig_pull_whole(struct rig *rig, struct rpc_bulk *bulk, uint64_t timeout_ns, uint32_t crc);
int rig_push(struct rig *rig, const struct rpc_bulk *bulk, uint64_t timeout_ns);

#endif
