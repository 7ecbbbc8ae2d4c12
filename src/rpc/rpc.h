/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * rpc: request and reply between xstreams, and server-driven bulk, over any net_ops backend. One context per xstream.
 *
 *   RPC-1  A process is (address, incarnation): messages for another incarnation, system or protocol version are refused with a named error and
 *          never reach a handler (MS-1). The refusal tells the right incarnation.
 *   RPC-2  rpc_call() is one attempt: it ends with the reply, the loss of the connection or the deadline. Resends are the caller's, with the same
 *          request id; a context that still runs the first attempt does not run a second one: the reply goes to whoever asked last (MS-2; effects that
 *          outlive the process are remembered by vos).
 *   RPC-3  Head and body carry CRC32C; a bad one is dropped, counted, and the connection closed.
 *   RPC-4  A bulk region is written only between rpc_bulk_create() and the return of rpc_bulk_free() (MS-3), and only by a peer that knows its
 *          secret key, over the connection of a call that is in flight. It is read likewise; but a transport that reads memory by itself may
 *          be late, and what it reads then is not believed (RPC-12).
 *   RPC-5  Limits push back: calls in flight per peer (RPC_INFLIGHT_NR_MAX, then rpc_call() waits), requests running per peer
 *          (RPC_CONN_RUNNING_NR_MAX) and per context (RPC_RUNNING_NR_MAX; then the sender gets OVERLOAD_RETRY). Data leaves room for services, and
 *          who has many requests running leaves room for who has few (MS-5). Nothing waits for a client without a deadline (MS-6). A peer that does not
 *          read its answers is disconnected when RPC_BACKLOG_NR_MAX of them wait.
 *   RPC-6  Callbacks of the transport do not wait: handlers, hlc_recv, hlc_get and resolve run on ULTs.
 *
 * Owner: the context's xstream; everything here is called on it (ULT-2). Layout of messages: docs/format/rpc.md. Tested by rpc_wire_test.c,
 * rpc_suite_test.c (the same suite over inproc, AF_UNIX, TCP and the simulator) and rpc_sim_test.c (loss, duplicates, reordering, kills).
 */
#ifndef CAIRN_RPC_H
#define CAIRN_RPC_H

#include "base/arena.h"
#include "base/ids.h"
#include "proto/proto.h"
#include "proto/proto_obj.h"
#include "proto/proto_ops.h"
#include "ult/ult.h"

struct rpc_ctx;
struct rpc_bulk;
struct rpc_req;

enum {
    RPC_INFLIGHT_NR_MAX = 256, /* calls per endpoint */
    /* Handlers of a context (MS-5): of all; of those that move data; from where on only peers with few of them get more; of one peer. */
    RPC_RUNNING_NR_MAX = 4096,
    RPC_RUNNING_IO_NR_MAX = 3584,
    RPC_RUNNING_SCARCE_NR = 3072,
    RPC_CONN_FEW_NR = 16,
    RPC_CONN_RUNNING_NR_MAX =
        1024, /* an honest one that gave up calls has more running than in flight */
    RPC_CONNS_NR_MAX = 8192, /* per context */
    RPC_BACKLOG_NR_MAX = 8192, /* messages to one peer that wait for the transport */
    RPC_BODY_BYTES_MAX = NET_PAYLOAD_BYTES_MAX, /* one encoded request or reply */
    RPC_ARENA_BYTES_MAX = 64 << 20, /* of one request: arrays, the handler's memory, the reply */
    RPC_BULK_CHUNK_BYTES = 256 * 1024,
    RPC_BULK_PART_BYTES = 128 * 1024, /* chunks of reads without the client's help: half a cache */
    RPC_PUSH_PART_BYTES_MAX =
        1024 * 1024, /* of a chunk that the client reads by itself: it is woken once for each */
    RPC_BULK_WINDOW_NR = 4, /* chunks of one pull or push in flight */
    RPC_BULK_SERVE_NR_MAX = 16, /* chunks that a client sends to one server at a time; more wait */
    RPC_TAG_SYSTEM = 0, /* tag 1 + i: target i */
};
/* How long a buffer that a message is arriving into is waited for before the connection is closed. */
#define RPC_DRAIN_NS UINT64_C(1000000000)
#define RPC_RANK_NONE UINT32_MAX

struct rpc_ep {
    uint32_t rank;
    uint32_t tag;
};

/* Where an endpoint is now. incarnation 0: not known yet (the first refusal or reply tells it). */
struct rpc_addr {
    char uri[NET_URI_MAX];
    uint64_t incarnation;
};

/* The fixed part of every message (FM-3), decoded. Byte-exact layout: docs/format/rpc.md. */
struct rpc_hdr {
    uint16_t opcode;
    uint16_t flags;
    int32_t rc; /* of a reply */
    struct uuid system;
    uint32_t src_rank; /* RPC_RANK_NONE: a client */
    uint64_t src_incarnation, dst_incarnation;
    struct uuid client; /* request id: process that asks */
    uint32_t slot;
    uint64_t seq;
    uint64_t first_hlc; /* clock at the first send of this request id */
    uint64_t timeout_ns; /* what is left of the deadline, relative (clocks differ) */
    uint64_t hlc;
    uint32_t map_ver;
    uint32_t hint_rank; /* of a NOTLEADER reply */
    struct uuid pool, pool_hdl, cont_hdl;
};

/* ---- server side ---------------------------------------------------------------------------------------------------- */

struct rpc_req {
    struct rpc_ctx *ctx;
    const struct rpc_hdr *hdr;
    const void *body; /* the decoded request struct of this opcode */
    struct arena *arena; /* of this request, lives until the reply has been encoded */
    uint64_t deadline_ns; /* monotonic, here */
    uint32_t hint_rank; /* the handler may set it with -DER_NOTLEADER */
    uint32_t rep_map_ver; /* the handler may set it: travels in the reply head */
    void *handler_arg;
};

/**
 * Serve one request on a ULT of its own: fill *rep (zeroed, the reply struct of this opcode) and return 0 or an error, which becomes the rc of the
 * reply; the body of an error reply is sent too.
 */
typedef int (*rpc_handler_fn)(struct rpc_req *req, void *rep);

struct rpc_handler {
    uint16_t opcode;
    enum ult_class cls;
    rpc_handler_fn fn;
};

/* ---- contexts ------------------------------------------------------------------------------------------------------- */

struct rpc_ctx_opts {
    struct xstream *xs;
    const char *listen_uri; /* NULL: a client */
    struct uuid system;
    uint32_t rank; /* RPC_RANK_NONE: a client */
    uint64_t incarnation;
    struct uuid client; /* this process as an asker (request ids) */
    const struct rpc_handler *handlers;
    uint32_t handler_nr;
    void *handler_arg;
    /* Where is this endpoint? Errors: OOG no such rank. May yield. */
    int (*resolve)(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr);
    /* The clock that travels: current value to send, and merge of a received one (HLC_SYNC refuses the message). May be NULL; may yield. */
    uint64_t (*hlc_get)(void *arg);
    int (*hlc_recv)(void *arg, uint64_t hlc);
    void *arg; /* of the three above */
    uint32_t backlog_nr_max; /* 0: RPC_BACKLOG_NR_MAX; less for tests */
};

/** Call on the xstream or before it runs. Errors: BUSY the address is in use; INVAL; NOMEM. */
CAIRN_MUST_CHECK int rpc_ctx_create(const struct rpc_ctx_opts *opts, struct rpc_ctx **ret_ctx);
/** Stops accepting, fails calls in flight with SHUTDOWN, waits for handlers and until every region has been freed. NULL-safe. */
CAIRN_YIELDS void rpc_ctx_destroy(struct rpc_ctx *ctx);
void rpc_ctx_abandon(struct rpc_ctx *ctx); /* free memory only (simulated kill, forked child) */
const char *rpc_ctx_uri(struct rpc_ctx *ctx);
struct xstream *rpc_ctx_xstream(struct rpc_ctx *ctx);

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

struct rpc_call_opts {
    uint64_t deadline_ns; /* monotonic; required */
    uint32_t slot; /* request id of a modifying call: see vos_req_id */
    uint64_t seq; /* 0: it has none, resends run again */
    uint64_t first_hlc;
    uint32_t map_ver;
    struct uuid pool, pool_hdl, cont_hdl;
    struct arena *arena; /* holds arrays and bytes of the reply; required where ret_rep is given */
    /* A region that the request names and the server will pull as a whole: told where it lies, it need not ask. May be NULL. */
    struct rpc_bulk *bulk;
};

struct rpc_call_info {
    bool is_replied; /* rc is the handler's word; else it is about the way there */
    uint32_t map_ver; /* of the replier */
    uint32_t hint_rank;
};

/**
 * One attempt. Returns the handler's rc when info->is_replied, else: UNREACH nobody there or the connection broke (the request may have been
 * executed); TIMEDOUT the deadline; OVERLOAD_RETRY; MISMATCH another system; PROTO another version or a malformed reply; STALE the peer is a new
 * incarnation (known now: call again); OOG unknown rank; SHUTDOWN this context ends; UNREG the peer does not serve this operation; HLC_SYNC clocks
 * too far apart; INVAL, OVERFLOW the request cannot be encoded; NOMEM. `ret_rep` (zero unless is_replied) and `ret_info` may be NULL.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int rpc_call(struct rpc_ctx *ctx, struct rpc_ep ep, uint16_t opcode,
    const void *req, void *ret_rep, const struct rpc_call_opts *opts, struct rpc_call_info *ret_info);

/* ---- bulk ----------------------------------------------------------------------------------------------------------- */

enum rpc_bulk_perm {
    RPC_BULK_READ = 1 /* peers may pull from it */,
    RPC_BULK_WRITE = 2 /* peers may push into it */
};

/** Offer memory to the servers that this context calls. The sgl's iovs are copied, the memory is borrowed until rpc_bulk_free() returns. */
CAIRN_MUST_CHECK int rpc_bulk_create(
    struct rpc_ctx *ctx, const struct sgl *sgl, uint32_t perm, struct rpc_bulk **ret_bulk);
void rpc_bulk_desc(const struct rpc_bulk *bulk, struct proto_bulk *ret_desc);
/** Bytes that pushes have written, or begun to, in all attempts: more than the one that was answered tells of are traces of others. */
uint64_t rpc_bulk_written(const struct rpc_bulk *bulk);
/**
 * After return no byte of the memory is written any more, and none that is read matters (RPC-4). Waits only while a push is just arriving in the memory, after
 * RPC_DRAIN_NS by closing its connection.
 */
CAIRN_YIELDS void rpc_bulk_close(struct rpc_bulk *bulk);
/**
 * Of a closed region: the CRC32C that its bytes [off, off+len) arrived with, when pushes are known to have written exactly these last; each part was compared when it
 * arrived. False: not known, look at the bytes.
 */
bool rpc_bulk_arrived(const struct rpc_bulk *bulk, uint64_t off, uint64_t len, uint32_t *ret_crc);
/** Closes it when that was not done. NULL-safe. rpc_ctx_destroy() waits for it. */
CAIRN_YIELDS void rpc_bulk_free(struct rpc_bulk *bulk);

/**
 * In a handler: copy [off, off+len) of the caller's region into buf, or buf into it. Errors: INVAL outside the region or not allowed; UNREACH the client
 * or its region is gone; TIMEDOUT the request's deadline passed; CSUM the bytes changed on the way or while they were sent; SHUTDOWN this context ends.
 * After an error buf (pull) or the region (push) holds any part of the bytes; nothing touches buf any more.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int rpc_bulk_pull(
    struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, void *buf, size_t len);
/**
 * The same for a caller who compares a checksum over all that he pulls for himself (MS-4): nobody else does, and bytes of a region that was given up
 * meanwhile may be among them (RPC-12). `landed` (may be NULL) is told of each part of buf once, in the loop, when its bytes are there to stay and in the cache; parts
 * end at the end or at multiples of RPC_BULK_PART_BYTES and come in any order. It does not wait.
 */
typedef void (*rpc_landed_fn)(void *arg, size_t off, size_t len);
CAIRN_YIELDS CAIRN_MUST_CHECK int
rpc_bulk_pull_whole(struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, void *buf,
    size_t len, rpc_landed_fn landed, void *arg);
CAIRN_YIELDS CAIRN_MUST_CHECK int rpc_bulk_push(
    struct rpc_req *req, const struct proto_bulk *desc, uint64_t off, const void *buf, size_t len);

/**
 * A push in parts, for a handler that makes later ones while earlier ones travel: begin, any number of parts, end. `desc` is borrowed until the end, of
 * which every push begun is in need. Errors: as of rpc_bulk_push(), kept: what comes after the first one does nothing; NOMEM.
 */
struct rpc_push;
CAIRN_MUST_CHECK int
rpc_push_begin(struct rpc_req *req, const struct proto_bulk *desc, struct rpc_push **ret_push);
/**
 * At most RPC_PUSH_PART_BYTES_MAX, whose CRC32C the caller knows: the client compares what arrives with it. buf is borrowed until the next flush or end. Waits only
 * while RPC_BULK_WINDOW_NR parts are on their way.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
rpc_push_part(struct rpc_push *push, uint64_t off, const void *buf, size_t len, uint32_t crc);
/**
 * All parts were made, and nothing else can fail: where the client reads them by itself, the reply, with rc 0, leaves behind them now, and the client waits for its own reads
 * instead of us for its word that they are done (RPC-15). Elsewhere nothing happens. The handler goes on in either case: what it answers is sent unless this was. `rep` is the handler's.
 */
CAIRN_YIELDS void rpc_push_reply(struct rpc_push *push, const void *rep);
/** How long a part is best: RPC_PUSH_PART_BYTES_MAX where the client reads by itself, else RPC_BULK_CHUNK_BYTES. */
size_t rpc_push_part_best(const struct rpc_push *push);
/** All parts so far are in the region, or the push has failed and nothing touches their memory any more. */
CAIRN_YIELDS CAIRN_MUST_CHECK int rpc_push_flush(struct rpc_push *push);
CAIRN_YIELDS int rpc_push_end(struct rpc_push *push); /* the same, for good; NULL-safe */

struct rpc_stats {
    uint64_t calls_nr, replies_nr; /* as a caller */
    uint64_t requests_nr,
        dup_requests_nr; /* as a server: admitted to a handler, joined to a running one */
    uint64_t timeouts_nr; /* calls given up, and requests dropped because their time was over */
    uint64_t down_nr; /* connections lost */
    uint64_t bad_crc_nr; /* messages that are not ours or damaged */
    uint64_t refused_nr; /* messages refused or dropped: system, incarnation, version, operation, load */
    uint64_t bulk_bytes; /* pulled and pushed as a server */
    uint64_t direct_bytes; /* of those, read by the transport from the client's memory (MS-3) */
    uint64_t hinted_bytes; /* of those, without having asked where */
    uint64_t early_nr; /* replies that left before the client had read what was pushed */
    uint64_t direct_failed_nr; /* chunks that had to be streamed after all */
    uint32_t inflight_nr, running_nr;
    uint32_t conns_nr, msgs_nr; /* now: connections, messages on their way out */
};
void rpc_ctx_stats(const struct rpc_ctx *ctx, struct rpc_stats *ret_stats);

#endif
