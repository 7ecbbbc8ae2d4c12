/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of engine share. */
#ifndef CAIRN_ENGINE_PRIV_H
#define CAIRN_ENGINE_PRIV_H

#include "bio/bio.h"
#include "bio/bio_dev.h"
#include "cont/cont.h"
#include "engine/engine.h"
#include "mgmt/mgmt.h"
#include "objsrv/objsrv.h"
#include "pool/pool.h"
#include "proto/proto_ident.h"
#include "rpc/rpc.h"
#include "tgt/tgt.h"
#include "ult/ult.h"
#include "vos/vos.h"

#ifndef CAIRN_SOFTWARE_VERSION
#define CAIRN_SOFTWARE_VERSION "unknown"
#endif

enum { ENGINE_TAGS_NR_MAX = 1 + ENGINE_TGTS_NR_MAX, ENGINE_SYS_IDX = 0xffff };

#define ENGINE_SYS_WAL_BYTES (UINT64_C(16) << 20)
#define ENGINE_SYS_META_BYTES (UINT64_C(1) << 30)
#define ENGINE_SYS_PMEM_META_BYTES (UINT64_C(256) << 20) /* all of it is allocated */
#define ENGINE_SYS_DATA_BYTES (UINT64_C(256) << 20)

struct engine_xs;
struct engine_ctl_net;

/* ---- map of ranks (engine_group.c) ---------------------------------------------------------- */

struct engine_group_rank {
    uint32_t rank;
    uint32_t state; /* enum mgmt_rank_state */
    uint32_t tgt_nr;
    uint32_t node;
    uint64_t incarnation;
    uint32_t uri_first, uri_nr; /* in engine_group.uris */
};

/* Immutable once made; one piece of memory. Each xstream has a copy of its own (ENG-4). */
struct engine_group {
    uint64_t version;
    uint32_t nr, uri_nr;
    struct engine_group_rank *ranks;
    char (*uris)[NET_URI_MAX];
};

/** Room for `nr` ranks with `uri_nr` URIs together; zeroed. Free with free(). */
struct engine_group *engine_group_alloc(uint32_t nr, uint32_t uri_nr);
struct engine_group *engine_group_dup(const struct engine_group *group);
const struct engine_group_rank *engine_group_find(const struct engine_group *group, uint32_t rank);
/** Own rank as it is now, in place of what others say of it. NULL: no memory. */
struct engine_group *engine_group_self(const struct engine *engine);
/**
 * Take over a newer group on every xstream; an older one is ignored. Takes ownership. On a ULT of
 * the system xstream.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int engine_group_set(struct engine *engine, struct engine_group *group);

/* ---- xstreams (engine_xs.c) ----------------------------------------------------------------- */

enum { ENGINE_COUNTS_NR = 19 };

/* The scrubber of the services' store (engine_scrub.c). */
struct engine_scrub {
    struct ult *ult; /* NULL: none */
    struct ult_cond wake;
    bool is_stopping;
    struct tgt_stats stats; /* scrub_* alone; passes are of shards */
};

struct engine_xs {
    struct engine *engine;
    uint32_t tag;
    struct xstream *xs;
    bool is_started;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct tgt *tgt; /* of target xstreams */
    struct engine_scrub scrub; /* of the system xstream */
    struct pool_tgt *pool_tgt;
    struct rpc_ctx *rpc;
    struct engine_group *group; /* own copy */
    char uri[NET_URI_MAX]; /* written before READY, constant after */
    int task_rc;
    char err[ENGINE_TEXT_BYTES];
    char why[BIO_WHY_BYTES]; /* from bio: what is damaged, and where */
    int fault_rc; /* why its store was not opened (ENG-6); constant once READY */
    bool is_new; /* its store is being formatted */
    /* Answers of the status task. */
    struct bio_space space;
    uint64_t meta_left, data_left; /* what no pool's quota has */
    uint32_t pool_nr;
    uint64_t counts[ENGINE_COUNTS_NR]; /* of the count task */
    /* Of the health task. */
    struct bio_health health;
    struct tgt_stats tgt_stats;
    struct bio_stats bio_stats;
    struct umem_stats umem_stats; /* arena_bytes 0: no store is open */
    char paths[BIO_ROLE_NR][BIO_PATH_BYTES]; /* where its roles lie; that of TARGET is empty */
};

/* Tasks run on the xstream they are about; xs->task_rc and xs->err tell. */
void engine_xs_open(void *arg); /* format or open the stores */
void engine_xs_listen(void *arg);
void engine_xs_close(void *arg);
void engine_xs_status(void *arg);
void engine_xs_count(void *arg); /* engine_count.c */
void engine_xs_health(void *arg); /* as status, and the health of its storage */
CAIRN_MUST_CHECK int
engine_scrub_start(struct engine_xs *xs); /* on the xstream, once its store is open */
CAIRN_YIELDS void
engine_scrub_stop(struct engine_xs *xs); /* before it is closed; without one nothing happens */
/** Name of a counter: 0..ENGINE_COUNTS_NR - 1. */
const char *engine_count_name(uint32_t i);
void engine_xs_abandon(struct engine_xs *xs);
/** 0 while its store serves, else the cause that every request gets (ENG-6). On its xstream. */
int engine_xs_fault(const struct engine_xs *xs);

/* Handlers (engine_rpc.c). */
const struct rpc_handler *engine_rpc_sys(uint32_t *ret_nr);
const struct rpc_handler *engine_rpc_tgt(uint32_t *ret_nr);

/* ---- the engine ----------------------------------------------------------------------------- */

/* Owner: the system xstream, but for what is atomic or constant after start. */
struct engine {
    struct plat *plat;
    struct engine_cfg cfg;
    struct uuid system;
    struct uuid client; /* request ids of this incarnation */
    uint64_t incarnation;
    struct plat_dirlock *lock;
    struct bio_dev *devs[ENGINE_DEVS_NR_MAX], *dev_pending; /* taken before the stores are opened */
    int dev_rcs[ENGINE_DEVS_NR_MAX]; /* why one is not taken: its stores are out of service (ENG-6) */
    char dev_errs[ENGINE_DEVS_NR_MAX][BIO_DEV_ERR_BYTES];
    int state; /* atomic: enum engine_state */
    int storage; /* atomic: StorageState of ctl.proto */
    int fail_rc; /* written before state FAILED */
    char err[ENGINE_TEXT_BYTES];
    struct proto_ident ident; /* as it stands in the identity file */
    struct pool_svcs *pools;
    struct mgmt *mgmt; /* NULL: mgmt_rc says why */
    int mgmt_rc;
    struct engine_ctl_net *ctl_net;
    struct list_head ctls; /* control requests at work */
    uint32_t ctl_nr;
    bool is_stop_asked;
    struct ult_eventual opened; /* READY or FAILED */
    struct ult_eventual stopped;
    struct ult_cond idle; /* ctl_nr */
    uint32_t xs_nr; /* 1 + targets */
    struct engine_xs xs[ENGINE_TAGS_NR_MAX];
};

static inline struct engine_xs *
engine_sys(struct engine *engine)
{
    return &engine->xs[0];
}

static inline int
engine_state_load(const struct engine *engine)
{
    return __atomic_load_n(&engine->state, __ATOMIC_ACQUIRE);
}

/*
 * Run a task on every target's xstream at once and wait. On a ULT of the system xstream. The first
 * failure, its text in engine->err.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int engine_each_tgt(struct engine *engine, void (*task)(void *arg));

/* Devices (engine_dev.c). Errors and text: as bio_dev_take(); INVAL. */
CAIRN_MUST_CHECK int engine_devs_check(const struct engine_cfg *cfg, char *err);
CAIRN_YIELDS CAIRN_MUST_CHECK int engine_devs_take(struct engine *engine);
/* 0, or why a device of store `tag` is not there; then `why` (BIO_WHY_BYTES) says so. */
int engine_devs_fault(const struct engine *engine, uint32_t tag, char *why);
void engine_devs_place(const struct engine *engine, struct bio_cfg *cfg);
void engine_devs_release(struct engine *engine);
void engine_devs_abandon(struct engine *engine);

/* Is this the address of an engine of the group? `group`: of the asking xstream. */
bool engine_is_member(const struct engine_group *group, const struct rpc_hdr *hdr);

/* engine_dir.c: take the directory, check and renew its identity. */
CAIRN_MUST_CHECK int engine_dir_take(struct engine *engine, char *err);
/** All stores have been formatted once (ENG-7)? */
bool engine_dir_is_formatted(const struct engine *engine);
/** Record that they have. Text in engine->err. */
CAIRN_MUST_CHECK int engine_dir_formatted(struct engine *engine);

/** Why the services do not serve; 0 when they do. On the system xstream. */
int engine_svc_fault(const struct engine *engine);

/* engine_ctl.c: answer a packed Envelope by at most len_max bytes; *ret_rep lives in the arena. */
CAIRN_YIELDS CAIRN_MUST_CHECK int engine_ctl_answer(struct engine *engine, struct arena *arena,
    struct iov req, size_t len_max, struct iov *ret_rep);
void engine_ctl_abandon(struct engine *engine);

/* engine_ctl_net.c */
CAIRN_MUST_CHECK int engine_ctl_net_open(struct engine *engine, struct engine_ctl_net **ret_net);
CAIRN_YIELDS void engine_ctl_net_close(struct engine_ctl_net *net);
void engine_ctl_net_abandon(struct engine_ctl_net *net);

/* One line into a buffer of ENGINE_TEXT_BYTES, which may be NULL. */
void engine_text(char *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
