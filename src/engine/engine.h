/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * engine: the data-plane process of a storage node as a library. It owns a system xstream
 * (services)
 * and one xstream for each target, the stores of both, and the RPC handlers of everything. The same
 * code runs as daos_engine, inside an application (embedded), and many times in one process under
 * plat/sim: nothing here is global.
 *
 * Storage of an engine, below cfg.dir:
 *      LOCK            held by the process that owns the directory (a second one is told BUSY)
 *      identity        system, rank, number of targets, last incarnation (docs/format/identity.md);
 *                      written before anything is formatted and at each start
 *      sys/            store of the system xstream: databases of the services
 *      tgt0/ tgt1/ ..  stores of the targets; what of them lies on devices is not here (engine_dev.c)
 *
 *   ENG-1  Nothing is served before every store of the engine is open, or known to be damaged, and its
 *          services lead; requests that come earlier are told AGAIN.
 *   ENG-2  A directory belongs to one system (name and uuid), rank and number of targets; opening it
 *          as another is refused by name, and nothing is changed in it.
 *   ENG-3  Incarnations of a directory strictly grow, also when the clock does not (MS-1).
 *   ENG-4  The map of ranks that RPC resolves by is copied to every xstream; no two share it.
 *   ENG-5  An engine serves when its clock leads the wall clock by at most half of what
 *          others accept:
 *          epochs start at the bound of the store, and quick restarts would push them ever further.
 *          A clock that was set back further than a short wait mends is refused (HLC_SYNC).
 *   ENG-6  A store that cannot be opened, or stops later (ST-1), is out of service until the next start:
 *          every request to its target, or to the services when it is theirs, gets the cause as
 *          final answer, at once; the others serve. An engine of which nothing is left does not start.
 *   ENG-7  A store is formatted only while the directory is new: one that was formatted and is not
 *          there any more is damaged, never made anew.
 *
 * States: STARTING -> READY | FAILED -> STOPPING -> STOPPED. Tested by test/engine_*_test.c and
 * test/server.
 */
#ifndef CAIRN_ENGINE_H
#define CAIRN_ENGINE_H

#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "plat/plat.h"

struct engine;

enum {
    ENGINE_TGTS_NR_MAX = 64,
    ENGINE_RANKS_NR_MAX = 1024, /* of a system */
    ENGINE_SYSTEM_NAME_BYTES = 16, /* with terminator, as the API has it */
    ENGINE_DIR_BYTES = 192,
    ENGINE_DEVS_NR_MAX = 16,
    ENGINE_TEXT_BYTES = 512,
    ENGINE_MEM_BYTES_MIN = 64 << 20,
    ENGINE_CTL_BYTES_MAX = 1 << 20, /* one packed Envelope, before it is cut into pieces */
};

/* Smaller limits than the usual ones, for tests: what happens at a limit is reached with little work. 0: the usual. */
struct engine_limits {
    uint32_t rpc_backlog_nr; /* messages that wait for one peer */
    uint32_t tgt_hdls_nr, tgt_conts_nr; /* in the tables of a target */
    uint32_t pool_revokes_nr; /* revocations waiting */
    uint32_t pool_hdls_nr; /* handles of a pool */
    uint32_t ckpt_pct; /* a checkpoint begins when the log is that full */
    uint64_t agg_gap_ns; /* tgt_opts */
    uint64_t sys_scrub_ns; /* period in which the store of the services is scrubbed, 1 s at least; 0: a day */
};

/* A block device, or a file that stands for one, shared by the stores of the engine (bio/bio_dev.h). */
struct engine_dev_cfg {
    char path[ENGINE_DIR_BYTES];
    uint64_t bytes; /* not 0: a file, made with that size */
    uint32_t roles; /* bits 1 << 1 log, 1 << 2 metadata, 1 << 3 data */
    uint32_t reserved;
};

struct engine_cfg {
    uint32_t struct_bytes; /* sizeof(struct engine_cfg): an embedded engine is another binary */
    uint32_t rank;
    char system[ENGINE_SYSTEM_NAME_BYTES];
    /*
     * Of the installation: nil means the one that the directory belongs to; a new directory draws
     * one. Otherwise a directory of another one is refused, a new one joins this one.
     */
    struct uuid system_uuid;
    char dir[ENGINE_DIR_BYTES];
    uint32_t tgt_nr; /* 1..ENGINE_TGTS_NR_MAX */
    /* Sizes of one target, used when it is formatted. 0: defaults of bio. */
    uint64_t wal_bytes, meta_bytes, data_bytes;
    /* Memory for the metadata of one target (bio_cfg.mem_bytes). 0: a quarter of the machine's memory for all targets together, ENGINE_MEM_BYTES_MIN at least. */
    uint64_t mem_bytes;
    /* Of the system store. 0: 16 MiB of WAL, 1 GiB of metadata at most, 256 MiB of data at most. */
    uint64_t sys_wal_bytes, sys_meta_bytes, sys_data_bytes;
    /*
     * Where it listens; the URI of each tag (0: services, 1 + i: target i) follows from it:
     *   unix:///dir         -> unix:///dir/<rank>.<tag>
     *   tcp://a.b.c.d:port, ofi+PROVIDER://a.b.c.d:port  -> port + tag (port 0: any)
     *   inproc://name       -> inproc://name.<rank>.<tag>
     *   sim://node          -> sim://node/e<rank>.<tag>
     */
    char uri_base[NET_URI_MAX - 24];
    uint64_t incarnation; /* 0: drawn at start (ENG-3) */
    uint32_t cpu_first; /* tag t is pinned to this + t; UINT32_MAX: not pinned */
    uint32_t svc_rank; /* where the system service is */
    uint32_t is_alone; /* 1: this rank is the whole system (embedded): nobody sends GROUP_UPDATE */
    uint32_t is_pmem; /* 1: what lies in `dir` is persistent memory, mapped (class dcpm) */
    char ctl_uri[NET_URI_MAX]; /* where control messages arrive; "": only by engine_ctl() */
    /* Called on the system xstream when the first stop is asked for, however. May be NULL. */
    void (*on_stop)(void *arg);
    void *on_stop_arg;
    struct engine_limits limits;
    /* What lies on devices instead of in the directory. Sizes that are 0 then come from the devices'. */
    uint32_t dev_nr;
    uint32_t force_format; /* 1: over whatever else a device holds */
    struct engine_dev_cfg devs[ENGINE_DEVS_NR_MAX];
};

/** Fill with defaults: everything 0 but struct_bytes and cpu_first. */
void engine_cfg_init(struct engine_cfg *cfg);

/**
 * Take the directory, create the xstreams and start them; opening (and, the first time,
 * formatting) goes on on them. Does not wait. `*ret_engine` returns
 * owned: engine_stop_begin(), and when stopped engine_destroy(). Called by a thread that is no
 * xstream, or under plat/sim by the test.
 * Errors: BUSY another process owns the directory; MISMATCH it is another system's, rank's, or has
 * another number of targets; INVAL cfg;
 * DF_INVAL, DF_INCOMPT identity damaged, missing beside stores, or of another version; those of plat. `err` (may be NULL;
 * ENGINE_TEXT_BYTES) gets one line with cause and remedy.
 */
CAIRN_MUST_CHECK int
engine_start(struct plat *plat, const struct engine_cfg *cfg, char *err, struct engine **ret_engine);

enum engine_state {
    ENGINE_STARTING = 1,
    ENGINE_READY,
    ENGINE_FAILED,
    ENGINE_STOPPING,
    ENGINE_STOPPED
};

/**
 * From any thread, at any time. With FAILED, `err` (may be NULL; ENGINE_TEXT_BYTES) says why and
 * *ret_rc (may be NULL) is the code.
 */
enum engine_state engine_state_get(struct engine *engine, char *err, int *ret_rc);

/**
 * Block the calling thread (no xstream of this engine; under plat/sim a ULT of another xstream
 * only) until the engine is READY (0), or FAILED: its code; SHUTDOWN when it is being stopped.
 */
CAIRN_MUST_CHECK int engine_wait_ready(struct engine *engine);

/**
 * Ask for an orderly end: answer no more, checkpoint, close. From any thread; also of an engine
 * that is starting or failed. Does not wait.
 */
void engine_stop_begin(struct engine *engine);
/** Block until STOPPED; from where engine_wait_ready() may be called. */
void engine_wait_stopped(struct engine *engine);
/** A stopped engine: ends its threads, gives up the directory, frees. NULL is fine. */
void engine_destroy(struct engine *engine);
/** begin, wait, destroy. */
void engine_stop(struct engine *engine);
/**
 * Free memory alone: of a killed simulated process, or the copy that a forked child inherits
 * (TH-4).
 */
void engine_abandon(struct engine *engine);

/**
 * Answer one packed Envelope of src/proto/ctl. Blocks a foreign thread; on a ULT of another
 * xstream it yields. `*ret_rep` is malloc'ed: free with
 * engine_buf_free(). An error that the envelope can carry is in the envelope. Errors: PROTO not an
 * Envelope; OVERFLOW too long; NOMEM; SHUTDOWN.
 */
int
engine_ctl(struct engine *engine, const void *req, size_t req_len, void **ret_rep, size_t *ret_len);
void engine_buf_free(void *buf);
/**
 * The same without blocking: fn(arg, rc, rep, len) is called on the system xstream; rep is
 * borrowed for the call. req is copied.
 */
CAIRN_MUST_CHECK int engine_ctl_submit(struct engine *engine, const void *req, size_t req_len,
    void (*fn)(void *arg, int rc, const void *rep, size_t len), void *arg);

/** Where tag listens; "" while starting. The engine's own memory, constant once READY. */
const char *engine_uri(struct engine *engine, uint32_t tag);
uint64_t engine_incarnation(const struct engine *engine);
/** The installation it belongs to. Constant from engine_start() on. */
struct uuid engine_system_uuid(const struct engine *engine);
uint32_t engine_tgt_nr(const struct engine *engine);

/**
 * For tests: the leader of a service here (of a pool; nil: of the system) steps down and stands for
 * election again at once. From where engine_wait_ready() may be called. Errors: NOTREPLICA.
 */
CAIRN_MUST_CHECK int engine_resign(struct engine *engine, struct uuid pool);

/* ---- embedded ------------------------------------------------------------------------------- */

/*
 * The one exported symbol of libdir/cairn/libcairn_engine.so: `const struct cairn_engine_entry_v1
 * cairn_engine_entry_v1`. The application's plat is
 * used, so that inproc:// meets; the module is used only when version, plat_ops_bytes and
 * cfg_bytes are what the caller was built with.
 */
#define ENGINE_ENTRY_SYMBOL "cairn_engine_entry_v1"
#define ENGINE_MODULE_NAME "libcairn_engine.so"

struct cairn_engine_entry_v1 {
    uint32_t version; /* 1 */
    uint32_t struct_bytes; /* of this table */
    uint32_t plat_ops_bytes; /* sizeof(struct plat_ops) */
    uint32_t cfg_bytes; /* sizeof(struct engine_cfg) */
    const char *software; /* version text */
    int (*start)(
        struct plat *plat, const struct engine_cfg *cfg, char *err, struct engine **ret_engine);
    int (*wait_ready)(struct engine *engine);
    enum engine_state (*state_get)(struct engine *engine, char *err, int *ret_rc);
    void (*stop)(struct engine *engine);
    void (*abandon)(struct engine *engine);
    int (*ctl)(
        struct engine *engine, const void *req, size_t req_len, void **ret_rep, size_t *ret_len);
    void (*buf_free)(void *buf);
    const char *(*uri)(struct engine *engine, uint32_t tag);
    uint64_t (*incarnation)(const struct engine *engine);
    struct uuid (*system_uuid)(const struct engine *engine);
};

#endif
