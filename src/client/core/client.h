/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * client: the context behind libdaos. One `struct daos_client` holds an xstream, an RPC context, the handles and what is known of the system.
 *
 * Every public call runs as straight-line code on a ULT of the client's xstream, so nothing in here needs a lock:
 *   - an application thread posts the call and, if no other thread does so already, drives the xstream until its call is done (TH-3);
 *   - calls with an event go on while no application thread is inside: a helper thread drives then (client_helper.c);
 *   - on a ULT (simulator, or libdfs calling libdaos) the call just runs and yields.
 *
 *   CLI-1  Handles are type, generation and index in one context, reached by client_hdl_get() alone (TH-5).
 *   CLI-2  A modifying request holds one slot from its first send to its answer; every resend carries the same id (MS-2).
 *   CLI-3  A child of fork finds the inherited context dead: UNINIT until daos_reinit() (TH-4).
 *
 * The public API finds its client through one process-wide pointer; on a ULT, per-ULT storage overrides it (rule 6).
 */
#ifndef CAIRN_CLIENT_H
#define CAIRN_CLIENT_H

#include "base/arena.h"
#include "base/hlc.h"
#include "base/ids.h"
#include "base/list.h"
#include "base/rng.h"
#include "plat/plat_gate.h"
#include "rpc/rpc.h"
#include "ult/ult.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CLIENT_SYS_NAME_BYTES_MAX = 16,
    CLIENT_RANKS_NR_MAX = 1024,
    CLIENT_TAGS_NR_MAX = 129,
    CLIENT_SLOTS_NR = 1024, /* requests in flight; as many as a shard remembers */
    CLIENT_HANDLES_NR_MAX = 1 << 20,
    CLIENT_REPLY_ARENA_BYTES_MAX = 4 << 20,
    CLIENT_PAR_NR_MAX = 16, /* parts of one call in flight */
    CLIENT_BATCH_NR_MAX = 16, /* calls launched together */
};

/* Retry policy: an attempt that gets no answer is repeated with the same id until the call's time is over. */
#define CLIENT_CALL_NS UINT64_C(120000000000)
#define CLIENT_SYS_CALL_NS \
    UINT64_C(30000000000) /* requests to the system service: connecting to what is not there ends sooner */
#define CLIENT_ATTEMPT_NS UINT64_C(20000000000)
#define CLIENT_BACKOFF_LO_NS UINT64_C(2000000)
#define CLIENT_BACKOFF_HI_NS UINT64_C(250000000)
#define CLIENT_REFRESH_NS UINT64_C(50000000) /* the attach file is read at most this often */

/* ---- the system ----------------------------------------------------------------------------------------------------- */

struct client_rank {
    uint32_t rank;
    uint64_t incarnation;
    uint32_t uri_nr; /* tag 0 is the system xstream, tag 1 + i target i */
    char (*uris)[NET_URI_MAX];
};

/* What the attach file says (docs/format/attach.md), or the embedded engine. */
struct client_sys {
    char name[CLIENT_SYS_NAME_BYTES_MAX];
    struct uuid uuid;
    uint32_t leader_rank;
    uint32_t rank_nr;
    struct client_rank *ranks;
};

void client_sys_fini(struct client_sys *sys);
/** Parse the text of an attach file. Errors: INVAL (log line says where); NOMEM. */
CAIRN_MUST_CHECK int client_sys_parse(const char *text, size_t len, struct client_sys *ret_sys);

/* ---- the context ---------------------------------------------------------------------------------------------------- */

enum client_hdl_type {
    CLIENT_HDL_EQ = 1,
    CLIENT_HDL_POOL = 3,
    CLIENT_HDL_CONT = 5,
    CLIENT_HDL_OBJ = 7,
    CLIENT_HDL_ARRAY = 9,
    CLIENT_HDL_TX = 11,
    CLIENT_HDL_KV = 13,
    CLIENT_HDL_OIT = 15,
};

struct client_hdl_slot {
    uint32_t gen; /* never 0 once used */
    uint32_t next_free;
    void *ptr;
    void (*fini)(void *ptr); /* for handles that are still open when the client ends */
    uint8_t type; /* 0: free */
};

struct client_embedded; /* client_embedded.c */

/* The helper thread (client_helper.c). Guarded by the gate, but for `is_leaving`, which belongs to whoever drives. */
struct client_helper {
    struct plat_gate_thread *thread; /* NULL: no call with an event yet */
    struct plat_seat seat;
    struct plat_post leave; /* queued while is_asked */
    uint32_t looks_nr; /* looks since it drove last */
    bool is_driving;
    bool is_leaving; /* ends its drive */
    bool is_asked; /* to leave: `leave` is posted */
    bool is_asleep; /* looks no more: must be called when there is something to drive */
    bool is_stopping;
};

struct daos_client {
    struct plat *plat;
    bool owns_plat;
    struct xstream *xs;
    bool owns_xs;
    uint32_t pid;
    bool is_inherited; /* this process is a forked child of the one that made it */
    _Atomic uint32_t ref_nr; /* daos_init() minus daos_fini() */
    struct uuid id;
    uint64_t incarnation;
    struct hlc_clock clock;
    struct rng rng;

    /*
     * Application threads meet here; NULL when there are none (simulation). Guards `is_driven`, `drives_nr`, `watchers`, `is_attaching`, `helper` and the `done` of every
     * call. While nobody drives it guards `task_nr`, too.
     */
    struct plat_gate *gate;
    bool is_driven;
    bool is_forking; /* the gate is locked by a thread inside fork() */
    uint64_t drives_nr; /* how often application threads came to drive */
    struct client_helper helper;
    struct list_head watchers; /* threads that wait while another drives (client_core.c) */
    bool is_attaching;

    uint64_t call_ns; /* limit of a call with all its resends: CLIENT_CALL_NS, or $CRT_TIMEOUT seconds */
    bool owns_log;
    bool is_attached;
    bool is_closing; /* no call is sent any more */
    uint32_t task_nr; /* calls with an event that run */
    uint32_t relaunches_nr; /* events that the last poll gave, less the launches since: as many more may be expected. The driver's */
    char attach_path[256]; /* "" when embedded or given by the test */
    uint64_t refresh_ns; /* when it was read last */
    bool is_foreign; /* another installation of the system's name has taken its place */
    struct client_sys sys; /* name and uuid are constant once attached */
    struct rpc_ctx *rpc;
    struct client_embedded *embedded;

    struct client_hdl_slot *hdls;
    uint32_t hdl_nr, hdl_free; /* hdl_free: index + 1 of the first free slot */

    uint64_t slot_seqs[CLIENT_SLOTS_NR];
    uint32_t slot_stack[CLIENT_SLOTS_NR];
    uint32_t slot_free_nr;
    struct ult_sem slot_sem;

    _Atomic uint64_t retried_nr; /* requests that were sent again */
};

struct client_opts {
    struct plat *plat; /* NULL: a Linux one of its own */
    struct xstream *xs; /* NULL: one of its own, driven by the calling threads; else calls come from its ULTs only */
    const struct client_sys *sys; /* given instead of an attach file (simulation); copied */
};

/** `*ret_client` returns owned: free with client_destroy(). Does not contact anybody. Errors: NOMEM. */
CAIRN_MUST_CHECK int client_create(const struct client_opts *opts, struct daos_client **ret_client);
void client_destroy(
    struct daos_client *client); /* NULL-safe; no handle open is needed: they end with it */
void client_abandon(
    struct daos_client *client); /* memory only: a forked child, a killed simulated process */

/** The client of the caller: the ULT's, else the process's. NULL: daos_init() was not called, or this is a forked child (CLI-3). */
struct daos_client *client_self(void);
/** Set the process-wide pointer (daos_init) or, on a ULT, that of the ULT and those it creates. */
void client_self_set(struct daos_client *client);
/** Make it the process's, if there is none; false: there is one. */
bool client_self_publish(struct daos_client *client);
/** The context a forked child inherited, alive or not (daos_reinit). */
struct daos_client *client_inherited(void);

/** Run fn(arg) on a ULT of the client and return its result, driving the xstream when needed. On one of its ULTs: just call. */
int client_exec(struct daos_client *client, int (*fn)(void *arg), void *arg);
/**
 * The same for an fn that neither yields nor calls the application, on the calling thread itself if nobody drives. With `is_launch` what it made ready runs, and what that
 * sends goes out: at once, or, as long as relaunches_nr says that the application is about to launch more, with the next of them, at most CLIENT_BATCH_NR_MAX together; the
 * next poll sends it in any case, and the helper if there is none (HLP-2).
 */
int client_exec_short(struct daos_client *client, int (*fn)(void *arg), void *arg, bool is_launch);
/** Drive the client's xstream, or watch another thread do so, until *done (set through client_done_set()) or the deadline. */
CAIRN_MUST_CHECK int client_drive(struct daos_client *client, bool *done, uint64_t deadline_ns);
/** On a ULT of the client: *done = true and wake whoever watches. */
void client_done_set(struct daos_client *client, bool *done);

/**
 * Find the system called `name` (NULL: the default; "embedded:/dir": the engine in this process) and open the RPC context; nothing to do when
 * attached. On the thread of a public call, before its ULT runs: files are parsed and the engine is loaded here, which is too much for a ULT
 * (TH-2). On a ULT only what is attached, or an attach file, can be had.
 * Errors: AGENT_COMM no system of that name runs here; MISMATCH already attached to another; NOSYS no engine library; BUSY another process has
 * the directory; INVAL.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_attach(struct daos_client *client, const char *name);

uint64_t client_hlc_now(struct daos_client *client);

/* ---- handles -------------------------------------------------------------------------------------------------------- */

/** `fini` ends an object whose handle is still open when the client ends. Errors: NOMEM; OVERFLOW too many. */
CAIRN_MUST_CHECK int client_hdl_new(struct daos_client *client, enum client_hdl_type type,
    void *ptr, void (*fini)(void *ptr), uint64_t *ret_cookie);
/** The object behind a handle, or NULL: NO_HDL. */
void *client_hdl_get(struct daos_client *client, enum client_hdl_type type, uint64_t cookie);
/** Forget the handle; the object is the caller's again. */
void *client_hdl_del(struct daos_client *client, enum client_hdl_type type, uint64_t cookie);

/** On a ULT: run fn(arg, i) for i in [0, nr), at most `width` at a time on ULTs; the first error, after which no new ones start. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_par(struct daos_client *client, uint32_t nr,
    uint32_t width, int (*fn)(void *arg, uint32_t i), void *arg);

/* ---- calls ---------------------------------------------------------------------------------------------------------- */

/* A request to one endpoint, repeated until it is answered. */
struct client_call {
    struct rpc_ep ep;
    uint16_t opcode;
    const void *req;
    void *rep;
    struct arena *arena;
    uint32_t map_ver;
    struct uuid pool, pool_hdl, cont_hdl;
    uint64_t timeout_ns; /* less than that of the client; 0: that */
    struct rpc_bulk *bulk; /* which the request names and the server will pull as a whole; NULL: none */
    bool follow_leader; /* NOTLEADER: go on with the hint */
    /* out */
    uint32_t rep_map_ver;
    uint32_t attempts_nr;
};

/**
 * Ends with the handler's answer or with an error that repeating does not cure: TIMEDOUT after the whole time. STALE from an object
 * handler (another map version) is returned to the caller, who knows the layout.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_call(struct daos_client *client, struct client_call *call);

#endif
