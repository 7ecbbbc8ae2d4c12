/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Private to rpc: the objects of a context and what its files call of each other.
 *
 *      rpc_ctx --- nets (one per backend in use) --- conns (rpc_conn.c) --- backlog of rpc_msg
 *        |                                             |- calls in flight (rpc_call.c; live on the callers' stacks)
 *        |                                             |- reqs whose asker it is (rpc_serve.c)
 *        |                                             |- chunks being moved for our handlers (rpc_bulk.c; on the handlers' stacks)
 *        |                                             `- gets: chunks that the peer asked of our regions
 *        |- eps: endpoint -> connection and last known incarnation
 *        |- dups: requests that run, by request id (RPC-2)
 *        `- bulks: regions offered to peers
 *
 *   RPC-8  A connection is UP, CLOSING (we asked the transport to end it: nothing it delivers is looked at any more) or DOWN (the transport
 *          said so: its peer handle is gone). Objects that refer to it are told at DOWN, once; the struct is freed with the last reference.
 *   RPC-13 Requests of one class begin in turns of their senders, those of one sender in the order of their arrival: at most
 *          RPC_STARTING_NR_MAX have a ULT that did not run yet, and whenever one begins, the next sender's first gets one.
 *   RPC-15 A reply with rc 0 may follow TAKEs at once, when the request said EARLY. The call ends when the last of them is in the region: one that could not be read stays
 *          owed until its bytes came as a PUT. The server's handler goes on until each TAKE has its DONE, which no call waits for, or the request's deadline or the loss of
 *          the connection ends it; what it finds then cannot be told any more, so that whatever the client does not know by itself closes the connection.
 *   RPC-9  A buffer that place() gave away (a chunk or a region) stays what it is until recv() or DOWN: `placed` of the connection.
 */
#ifndef CAIRN_RPC_PRIV_H
#define CAIRN_RPC_PRIV_H

#include "base/assert.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/probe.h"
#include "base/util.h"
#include "rpc/rpc.h"
#include "rpc/rpc_wire.h"

enum {
    RPC_NETS_NR_MAX = 4, /* backends that one context uses */
    RPC_REQS_FREE_MAX = 64, /* pooled requests */
    RPC_REQ_ARENA_FIRST_BYTES = 8192,
    RPC_EPS_NR_MAX = 65536,
    RPC_STARTING_NR_MAX = 4, /* requests of a class whose ULT was made and did not run yet */
    RPC_ARRIVED_NR = 16, /* of one region; what does not fit is not remembered */
};
#define RPC_FLUSH_NS UINT64_C(1000000000) /* replies may leave for so long when a context ends */

struct rpc_conn;
struct rpc_chunk;

/* One message on its way out. Freed when the transport is done with it. */
struct rpc_msg {
    struct rpc_ctx *ctx;
    struct list_head link; /* ctx->msgs */
    struct list_head backlog_link; /* conn->backlog while the transport has no room */
    struct list_head bulk_link; /* bulk->msgs while its payload is that region's */
    struct rpc_conn *conn; /* holds a reference; NULL: not yet sent */
    struct net_tx tx;
    bool is_handed; /* the transport has it */
    bool is_bulk_data; /* counts as one of conn->serving_nr */
    struct rpc_bulk *bulk;
    struct rpc_chunk *chunk; /* its payload is this chunk's */
    uint64_t call, xfer; /* of bulk data, to say that it will not come */
    void *payload_copy; /* owned */
    size_t head_len;
    uint8_t head[];
};

struct rpc_net {
    struct rpc_ctx *ctx;
    const struct net_ops *ops;
    struct net *net;
};

/* What we know of an endpoint; kept for the life of the context. */
struct rpc_ep_ent {
    struct hmap_link link;
    struct rpc_ep ep;
    uint64_t incarnation; /* 0: never told */
    struct rpc_conn *conn; /* NULL: none that new calls may use */
};

/* Requests of one sender and class that have no ULT yet (RPC-13). */
struct rpc_turn {
    struct list_head link; /* ctx->turns, while there are some */
    struct list_head runs;
};

enum rpc_conn_state { RPC_CONN_UP, RPC_CONN_CLOSING, RPC_CONN_DOWN };

struct rpc_conn {
    struct list_head link; /* ctx->conns until DOWN */
    struct rpc_ctx *ctx;
    struct rpc_net *net;
    struct net_peer *peer;
    enum rpc_conn_state state;
    uint32_t refs_nr;
    struct rpc_ep_ent *ent; /* NULL: the peer connected to us, or no longer the way to that endpoint */
    uint64_t peer_incarnation; /* of who answers; 0: not known */
    struct list_head calls;
    uint32_t inflight_nr; /* credits given out */
    struct ult_cond credit; /* callers over RPC_INFLIGHT_NR_MAX: a wake hands over a credit */
    struct list_head reqs;
    uint32_t reqs_nr;
    struct rpc_turn turns[ULT_CLASS_NR];
    struct list_head chunks;
    struct list_head backlog;
    uint32_t backlog_nr;
    struct list_head gets;
    uint32_t gets_nr, serving_nr;
    uint32_t takes_nr; /* reads of the peer's memory into our regions that the transport has */
    bool is_direct_off; /* the peer's memory cannot be read: stream */
    struct { /* RPC-9 */
        const void *dst; /* NULL: nothing */
        struct rpc_chunk *chunk;
        struct rpc_bulk *bulk;
    } placed;
};

/* A call in flight; lives on the stack of its caller. */
struct rpc_call {
    struct hmap_link id_link; /* ctx->calls */
    struct list_head conn_link;
    struct rpc_conn *conn;
    uint64_t id;
    const struct proto_op *op;
    void *rep;
    struct arena *arena;
    struct ult_eventual done;
    bool is_replied;
    bool is_reply_here; /* it waits for the takes (RPC-15) */
    struct rpc_hdr hdr; /* of the reply */
    struct list_head takes; /* struct rpc_take that are not in the region yet */
    int take_rc; /* of the first that failed for good */
};

/* A request in a handler. */
struct rpc_run {
    struct rpc_req pub; /* first */
    struct rpc_hdr hdr;
    struct arena arena;
    struct list_head link; /* ctx->runs or ctx->runs_free */
    struct list_head turn_link; /* of a turn, before it has a ULT */
    struct hmap_link dup_link;
    bool is_in_dups;
    bool is_replied; /* before its handler ended (RPC-15) */
    struct list_head conn_link;
    struct rpc_conn *conn; /* who asked last; holds a reference; NULL: gone */
    uint64_t call; /* its number there */
    struct { /* where the asker says that its region lies (RPC-14); id 0: nothing was said */
        uint64_t id, key, len;
        uint8_t where[NET_WHERE_BYTES];
    } here;
    const struct rpc_handler *handler;
    const struct proto_op *op;
    void *body;
    size_t body_len;
};

/* A chunk that a peer wants of our region. */
struct rpc_get {
    struct list_head link;
    uint64_t call;
    bool is_direct, is_whole;
    struct rpc_bulk_body body;
};

/* A chunk that we read into our region ourselves, or could not read and will be sent. */
struct rpc_take {
    struct rpc_conn *conn; /* a reference */
    struct rpc_bulk *bulk; /* waits for us: counted in placed_nr; NULL: the transport is done with it, and the bytes are owed */
    struct list_head link; /* bulk->takes */
    struct list_head call_link; /* owner->takes */
    struct rpc_call *owner; /* NULL: it ended */
    uint64_t call;
    struct rpc_bulk_body body;
    uint32_t crc;
    struct net_read rd;
};

/* A piece of a region that peers on one backend may read. */
struct rpc_mem {
    struct list_head link; /* bulk->mems */
    struct rpc_net *net;
    struct net_mem *mem;
    struct iov buf;
};

/* Bytes of a region that a push wrote last, whole and with the right checksum. */
struct rpc_arrived {
    uint64_t off, len;
    uint32_t crc;
};

struct rpc_bulk {
    struct list_head link; /* ctx->bulks */
    struct hmap_link id_link; /* until rpc_bulk_free() */
    struct rpc_ctx *ctx;
    uint64_t id, key, len;
    uint32_t perm;
    struct list_head mems; /* struct rpc_mem */
    struct list_head msgs; /* whose payload points here */
    struct list_head takes; /* struct rpc_take */
    uint32_t placed_nr; /* connections that receive into it now, and takes */
    uint64_t written_bytes; /* by pushes, begun or done */
    struct rpc_arrived arrived[RPC_ARRIVED_NR]; /* apart from each other */
    uint32_t arrived_nr;
    bool is_closed;
    struct ult_cond drained;
    struct sgl sgl;
    struct iov iovs[];
};

struct rpc_ctx {
    struct rpc_ctx_opts opts;
    struct plat *plat;
    struct rpc_handler *handlers; /* sorted by opcode */
    struct rpc_net nets[RPC_NETS_NR_MAX];
    uint32_t nets_nr;
    bool is_stopping;
    struct ult_cond idle; /* something ended while stopping */
    struct list_head conns;
    uint32_t conns_nr;
    struct hmap eps;
    struct hmap calls;
    uint64_t call_id_last;
    uint32_t callers_nr; /* ULTs inside rpc_call() */
    struct list_head msgs;
    uint32_t msgs_nr;
    struct list_head runs, runs_free;
    uint32_t runs_free_nr;
    uint32_t running_io_nr; /* of those in `runs` */
    struct list_head turns[ULT_CLASS_NR]; /* senders with requests that have no ULT yet, in turn */
    struct rpc_turn gone[ULT_CLASS_NR]; /* those of senders that are gone */
    uint32_t starting_nr[ULT_CLASS_NR];
    struct hmap dups;
    bool dups_off; /* tests only: the planted bug */
    struct list_head bulks;
    struct hmap bulks_by_id;
    uint64_t bulk_id_last;
    struct list_head bulk_ops; /* pulls and pushes of handlers */
    struct hmap chunks;
    uint64_t xfer_last;
    struct rpc_stats stats;
};

/* ---- rpc_conn.c: connections and messages ------------------------------------------------------------------------- */

extern const struct net_cbs rpc_conn_cbs;

/** Find or open the connection to an endpoint, with a reference for the caller. May yield in resolve. Errors: those of rpc_call(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
rpc_conn_get(struct rpc_ctx *ctx, struct rpc_ep ep, struct rpc_conn **ret_conn);
void rpc_conn_put(struct rpc_conn *conn); /* NULL-safe */
static inline void
rpc_conn_ref(struct rpc_conn *conn)
{
    conn->refs_nr++;
}
/** Ask the transport to end it; DOWN follows. */
void rpc_conn_close(struct rpc_conn *conn);
void rpc_conn_abandon(struct rpc_conn *conn); /* free memory only */

/** A message with room for body_len bytes after the head (more: the body becomes the payload). NULL: no memory. */
struct rpc_msg *rpc_msg_create(struct rpc_ctx *ctx, size_t body_len);
/** Where its body goes. */
void *rpc_msg_body(struct rpc_msg *msg);
/** Fill in what is the same in all messages, and the checksums. body_len as given to rpc_msg_create(). */
void rpc_msg_seal(struct rpc_ctx *ctx, struct rpc_msg *msg, struct rpc_head *head, size_t body_len);
/** Takes ownership of the message. A connection that is not UP drops it. */
void rpc_msg_send(struct rpc_conn *conn, struct rpc_msg *msg);
/** After return a sent message is gone and its payload is not touched any more. */
void rpc_msg_cancel(struct rpc_msg *msg);
void rpc_msg_free(struct rpc_msg *msg); /* one that the transport does not have */

/* ---- rpc_call.c ---------------------------------------------------------------------------------------------------- */

void rpc_call_on_reply(struct rpc_conn *conn, const struct rpc_head *head, const void *body);
void rpc_call_end(struct rpc_call *call, int rc);
/** Something about its takes has changed: it may end now (RPC-15). */
void rpc_call_taken(struct rpc_call *call);
/** The call of that number that is in flight on this very connection, or NULL. */
struct rpc_call *rpc_call_find(struct rpc_conn *conn, uint64_t id);

/* ---- rpc_serve.c --------------------------------------------------------------------------------------------------- */

/** What is wrong with a message before anything of it is believed: 0, PROTO, MISMATCH, STALE (RPC-1). */
int rpc_serve_check(struct rpc_ctx *ctx, const struct rpc_head *head);
void rpc_serve_on_request(struct rpc_conn *conn, const struct rpc_head *head, const void *body);
/** The request of that number that came over this connection and runs, or NULL. */
struct rpc_run *rpc_serve_run_find(struct rpc_conn *conn, uint64_t call);
/** Tell the asker that no handler will see its request. */
void rpc_serve_refuse(struct rpc_conn *conn, const struct rpc_head *head, int rc);
void rpc_serve_conn_down(struct rpc_conn *conn);
/** The handler's reply with rc 0, before it ends; nothing else is sent for it then. */
void rpc_serve_reply_early(struct rpc_run *run, const void *rep, uint64_t hlc);
void rpc_serve_run_free(struct rpc_run *run);
void rpc_serve_init(struct rpc_ctx *ctx);
void rpc_turn_init(struct rpc_turn *turn);

/* ---- rpc_bulk.c ---------------------------------------------------------------------------------------------------- */

bool rpc_bulk_place(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, size_t payload_len, struct iov *ret_dst);
void rpc_bulk_on_msg(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, const void *body_bytes, const void *payload);
void rpc_bulk_msg_done(struct rpc_msg *msg); /* a message with bulk, chunk or is_bulk_data leaves */
void rpc_bulk_conn_down(struct rpc_conn *conn);
void rpc_bulk_stop(struct rpc_ctx *ctx); /* wake pulls and pushes: the context ends */
void rpc_bulk_unplace(struct rpc_conn *conn);

/* ---- rpc_region.c: the client's side of it ------------------------------------------------------------------------- */

void rpc_region_on_get(
    struct rpc_conn *conn, const struct rpc_head *head, const struct rpc_bulk_body *body);
void rpc_region_on_put(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, const void *payload);
void rpc_region_on_take(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, const struct rpc_bulk_here *here);
void
rpc_region_gets_serve(struct rpc_conn *conn); /* those that waited: a chunk that was sent has left */
/** Where the payload of a PUT goes. False: nowhere. */
bool rpc_region_place(struct rpc_conn *conn, const struct rpc_head *head,
    const struct rpc_bulk_body *body, size_t payload_len, struct iov *ret_dst);
void rpc_region_unplace(struct rpc_bulk *bulk);
void rpc_region_call_end(struct rpc_call *call); /* nobody waits for its takes any more */
/** Right after a request that names the region: tell where it lies, if the transport can read there and it is one piece. */
void rpc_region_here_send(struct rpc_bulk *bulk, struct rpc_conn *conn, uint64_t call);

/* What to tell of our clock; 0: nothing. May yield. */
static inline uint64_t
rpc_hlc(struct rpc_ctx *ctx)
{
    return ctx->opts.hlc_get != NULL ? ctx->opts.hlc_get(ctx->opts.arg) : 0;
}

static inline uint64_t
rpc_now_ns(struct rpc_ctx *ctx)
{
    return plat_mono_ns(ctx->plat);
}

#endif
