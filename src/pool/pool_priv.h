/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of pool share. Row formats: README.md. */
#ifndef CAIRN_POOL_PRIV_H
#define CAIRN_POOL_PRIV_H

#include "base/codec.h"
#include "base/hash.h"
#include "base/list.h"
#include "pool/pool.h"

#define POOL_TABLE_MAIN "pool" /* "head": row of the pool; "map": its map */
#define POOL_TABLE_PROPS "props"
#define POOL_TABLE_ATTRS "attrs"
#define POOL_TABLE_HDLS "phdls"
#define POOL_TABLE_GONE "gone" /* containers that targets must still destroy */
#define POOL_KEY_HEAD "head"
#define POOL_KEY_MAP "map"

/* Row "head". */
struct pool_head {
    uint64_t create_hlc;
    uint32_t uid, gid;
};

/* A handle waiting to be told to the targets. */
struct pool_revoke {
    struct list_head link;
    struct uuid hdl;
};

/* A container waiting for pool_aggregate(). */
struct pool_aggregate {
    struct list_head link;
    struct uuid cont;
};

/* When a handle was last heard of. */
struct pool_use {
    struct hmap_link link; /* of pool_svc.uses */
    struct uuid hdl;
    uint64_t used_ns;
};

/* Row of POOL_TABLE_HDLS. */
struct pool_hdl {
    uint64_t flags, hlc;
    struct uuid client; /* that opened it */
    struct pool_holders holders;
};

struct pool_svc {
    struct list_head link; /* of pool_svcs.svcs */
    struct pool_svcs *svcs;
    struct uuid pool;
    struct rsvc *rsvc;
    struct ult_mutex lock; /* held by the modifying request at work */
    struct ult_cond changed; /* refs, worker, stop */
    struct list_head revokes;
    uint32_t revoke_nr;
    struct list_head aggregates;
    uint32_t aggregate_nr;
    bool revoke_all; /* the targets shall ask again about every handle */
    struct hmap uses; /* advice: what is not in it was not heard of since since_ns */
    uint64_t since_ns;
    uint64_t full_ns; /* before this nobody looks again for room in a table that was full of the living */
    uint64_t silent_ns; /* before this no handle is unused for long enough */
    uint64_t look_ns; /* when the worker looks for holders that have ended; PLAT_NEVER_NS: nothing to look at */
    uint32_t refs; /* calls at work */
    bool is_ready; /* the database has its head row */
    bool is_starting;
    bool is_stopping;
    bool has_gone; /* rows may be in POOL_TABLE_GONE */
    uint64_t promised; /* no snapshot will be committed at or below it (CON-7) */
    bool is_working; /* the worker ULT lives */
    struct arena arena; /* of the worker */
    struct arena start_arena; /* of step_up() */
};

/* A service whose database cannot be opened. */
struct pool_damaged {
    struct list_head link;
    struct uuid pool;
    int rc;
};

/* A start or an end of a service under way; in the frame of who does it. */
struct pool_change {
    struct list_head link;
    struct uuid pool;
};

struct pool_svcs {
    struct pool_env env;
    struct pool_hooks hooks;
    struct plat_proc self; /* whose realm says of whom something can be known */
    struct list_head svcs;
    struct list_head damaged;
    struct list_head draws; /* struct pool_draw */
    struct list_head changes; /* struct pool_change: requests at work that start or end a service */
    struct ult_cond changed; /* one less */
    struct tgt_lives lives; /* of services (MGT-5) */
    bool is_stopping; /* no more of them */
};

/* pool_svc.c */
struct pool_svc *pool_svc_find(struct pool_svcs *svcs, const struct uuid *pool);
int pool_call_begin_svc(struct pool_svc *svc, struct rpc_req *req, struct arena *arena,
    bool is_modifying, struct pool_call **ret_call);

/* pool_hdl.c */
CAIRN_MUST_CHECK int pool_hdl_decode(struct iov row, struct pool_hdl *ret_hdl);

/* pool_evict.c */
/* Somebody uses the handle. */
void pool_use_note(struct pool_svc *svc, const struct uuid *hdl);
void pool_use_forget(struct pool_svc *svc, const struct uuid *hdl);
void pool_use_forget_all(struct pool_svc *svc);
void pool_uses_free(struct pool_svc *svc);
/* Close the handle that was unused for the longest time, if that is long and nobody knows whether it is used. *ret_nr: 0 or 1. */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_evict_silent(struct pool_call *call, uint32_t *ret_nr);
/* The worker's part: look, and say when to look again. */
CAIRN_YIELDS void pool_evict_work(struct pool_svc *svc);

/* pool_work.c */
CAIRN_MUST_CHECK int pool_work_start(struct pool_svc *svc);
CAIRN_YIELDS void pool_work_stop(struct pool_svc *svc);
void pool_work_kick(struct pool_svc *svc);

/* pool_query.c */
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_head_get(struct pool_call *call, struct pool_head *ret_head);
CAIRN_YIELDS CAIRN_MUST_CHECK int pool_props_get(
    struct pool_call *call, const struct proto_array *wanted, struct proto_array *ret_props);

#endif
