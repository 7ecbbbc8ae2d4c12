/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole system in one thread, from one seed: engines and clients as simulated processes with the real code of every layer, a keeper
 * process that plays daos_server (starts what died, tells engines and clients who is where) and runs the test, faults, and a record of
 * what was asked and answered that lies outside of all of them (SM-3).
 *
 *   SYS-1  Everything runs on ULTs of simulated processes, driven by the one event queue; all choices come from generators forked from
 *          the seed in a fixed order (SM-1).
 *   SYS-2  The keeper never waits inside an engine: what it asks of one is posted there, and the keeper looks whether it is done, gave up
 *          its life, or takes too long.
 *   SYS-3  Everything that a process can lose by dying lies in that process; records lie in struct simt.
 */
#ifndef CAIRN_SIMT_SYS_H
#define CAIRN_SIMT_SYS_H

#include "base/assert.h"
#include "base/list.h"
#include "base/rng.h"
#include "client/core/client.h"
#include "daos.h"
#include "engine/engine_priv.h"
#include "plat/plat_sim.h"
#include "sim/simt_lin.h"

enum {
    SIMT_ENGINES = 2,
    SIMT_TGTS = 2,
    SIMT_TAGS = 1 + SIMT_TGTS,
    SIMT_CLIENTS = 3,
    SIMT_PROCS = SIMT_CLIENTS + 1, /* the last is the keeper's own client */
    SIMT_WORKERS_MAX = 3, /* of one client */
    SIMT_FAIL_BYTES = 2048,
    SIMT_WORKS_NR = 5,
    SIMT_HDLS_NR = 14, /* handles that the pool takes where there are mortals */
    SIMT_BUF_BYTES = 640 << 10,
    SIMT_OPS_MAX = 8, /* things that one request is about */
};
#define SIMT_SYSTEM "sim"
#define SIMT_SYSTEM_UUID ((struct uuid){{0x51, 0, 0, 0, 0, 0, 0x40, 0, 0x80}})
#define SIMT_POOL "tank"
#define SIMT_REALM "one" /* of all processes but far mortals, where there are mortals */
#define SIMT_MS UINT64_C(1000000)
#define SIMT_S UINT64_C(1000000000)
/* A request of which no answer was seen has no effect any more after this (every deadline, park and stall is shorter). */
#define SIMT_EXPIRY_NS (90 * SIMT_S)

enum simt_fault {
    SIMT_KILL, /* an engine, as by SIGKILL */
    SIMT_POWER, /* of an engine's host, now */
    SIMT_POWER_AT, /* at one of its next writes */
    SIMT_CLIENT, /* a client is killed */
    SIMT_LINK, /* a link is down for a while, in one or both directions */
    SIMT_NET, /* connections cut, messages late, lost, twice, out of order */
    SIMT_DISK, /* slow disks, stalls */
    SIMT_EVICT, /* pages of the engines' arenas */
    SIMT_SKEW, /* clocks, below epsilon */
    SIMT_PAUSE, /* a process stands still for a while */
    SIMT_STOP, /* an engine is stopped in good order and started again */
    SIMT_BADIO, /* the disk of one target fails now and then */
    SIMT_ROT, /* bits of one target's files flip */
    SIMT_FAULTS_NR
};
const char *simt_fault_name(enum simt_fault fault);

struct simt;
struct simt_proc;
struct simt_pools;
struct simt_mortals;
struct ProtobufCMessage;
struct ProtobufCBinaryData;

/* Given by the user of the program. */
struct simt_opts {
    uint64_t seed;
    uint32_t ops; /* 0: drawn */
    bool is_verbose;
    bool faults_off;
    uint32_t works; /* mask of workloads; 0: all */
    int only_fault; /* -1: drawn */
    const char *narrow; /* names of what is narrowed besides what is drawn; NULL: nothing */
};

/* Drawn from the seed. */
struct simt_cfg {
    bool faults[SIMT_FAULTS_NR];
    uint64_t fault_gap_ns; /* mean time between two */
    uint64_t peace_ns; /* an engine that came back is left alone for that long on average, mostly */
    uint32_t ops; /* of each worker */
    uint32_t workers[SIMT_CLIENTS];
    uint64_t think_ns; /* mean */
    uint64_t mem_bytes; /* for the metadata of a target; 0: no limit */
    uint64_t meta_bytes, data_bytes; /* of the pool, for each rank; small ones fill up */
    struct engine_limits limits;
    uint32_t victim_rank, victim_tag; /* the target whose disk is bad; tag 0: none */
    uint32_t error_ppm;
    uint64_t call_ns; /* how long a call of the object workload may take; 0: as usual. Shorter than many need */
    bool is_hot; /* all want the same key */
    bool wide; /* arrays come in many small ranges */
    bool is_big; /* most values are large */
    bool long_pauses; /* a process may stand still for as long as one attempt of a call */
    bool restless; /* buffers change while they are being written */
    bool pools; /* other pools come and go */
    bool mortals; /* other clients come and die */
    bool scrub; /* the stores are scrubbed all the time */
    uint32_t scrub_thresh; /* then */
    bool unheard; /* in the end snapshots are destroyed without a word to some targets */
    struct sim_opts calm, rough;
};

/* What a run tells its parent. Plain data. */
struct simt_report {
    uint64_t seed, trace_hash, sim_ns, ops_nr, answered_nr, unknown_nr, list_nr, gave_up_nr;
    uint64_t restarts_nr, evicted_nr, retried_nr, pools_nr, refused_nr, mortals_nr;
    uint64_t scrub_found_nr; /* bad chunks */
    uint64_t faults_nr[SIMT_FAULTS_NR];
    bool is_done;
    bool is_failed;
    char fail[SIMT_FAIL_BYTES]; /* first failures, one a line */
};

/* ---- operations recorded ---------------------------------------------------------------------------------------------- */

struct simt_op {
    struct simt_lin_op lin;
    struct list_head link; /* of the thing it is about */
    bool is_read; /* changes nothing */
};

/** It was answered, or not: then it may still happen, for some time (LIN-2). */
void simt_op_begin(struct simt *t, struct simt_op *op);
void simt_op_end(struct simt *t, struct simt_op *op);
void simt_op_unknown(struct simt *t, struct simt_op *op);
/** Take it back, as if it had not been asked (reads without an answer, what was refused for want of space). Frees it. */
void simt_op_drop(struct simt_op *op);

/* ---- processes ------------------------------------------------------------------------------------------------------------ */

struct simt_engine {
    struct simt *t;
    uint32_t rank, life;
    char host[16], name[24];
    struct plat *plat; /* of the living process, else NULL */
    struct engine *engine;
    bool is_ready; /* served since its start; the keeper's view */
    uint64_t down_ns; /* how long the next start is put off */
    uint32_t mended_nr; /* how often it was started again for a target's sake */
    uint64_t epoch_max[SIMT_TAGS]; /* largest ever handed out (ST-6) */
    uint64_t ready_ns; /* since when it serves */
    /* Where it was last seen: stays known while it is down, as daos_server has it. */
    uint64_t incarnation; /* 0: never */
    uint64_t dead_incarnation; /* the one before */
    char uris[SIMT_TAGS][NET_URI_MAX];
};

struct simt_worker {
    struct simt_proc *proc;
    uint32_t idx;
    uint32_t work; /* which workload */
    uint32_t ops_left; /* survives the death of its process */
    bool is_running;
    struct rng rng;
    struct simt_op *ops[SIMT_OPS_MAX]; /* what it waits for: one request */
    uint32_t op_nr;
    const char *doing; /* for reports */
    uint64_t doing_ns;
    uint8_t *buf; /* SIMT_BUF_BYTES, of the record's memory, not of the process */
};

struct simt_proc {
    struct simt *t;
    uint32_t idx, life;
    char host[16], name[24];
    struct plat *plat;
    struct xstream *xs;
    struct daos_client *client;
    uint32_t worker_nr, running_nr;
    struct simt_worker workers[SIMT_WORKERS_MAX];
    bool is_done; /* it ended by itself */
    uint32_t hasty_nr; /* workers that give their calls little time (simt_hurry()) */
    uint64_t down_ns;
    daos_handle_t poh;
};

/* A workload. State is its own; every function but create, check and destroy runs on a ULT of a process with a client. */
struct simt_work {
    const char *name;
    void *(*create)(struct simt *t);
    void (*setup)(struct simt *t, void *state, daos_handle_t poh); /* on the keeper's client */
    void (*worker)(struct simt_worker *w, void *state, daos_handle_t poh);
    void (*final)(struct simt_worker *w, void *state, daos_handle_t poh); /* read all, in peace */
    void (*check)(struct simt *t, void *state);
    void (*destroy)(void *state);
};
extern const struct simt_work simt_work_obj, simt_work_md, simt_work_dfs, simt_work_snap,
    simt_work_space;

struct simt {
    struct simt_opts opts;
    struct simt_cfg cfg;
    struct simt_report *report;
    struct sim *sim;
    struct rng rng; /* choices of the keeper */
    uint64_t seq; /* of moments */
    uint32_t fail_nr;
    struct simt_engine engines[SIMT_ENGINES];
    struct simt_proc procs[SIMT_PROCS];
    uint64_t group_ver;
    bool group_dirty;
    struct ult_mutex group_lock;
    struct list_head asks; /* what engines were asked, freed at the end (SYS-2) */
    bool keep_on; /* the keepers start what died */
    bool rough_on; /* faults are injected */
    uint64_t no_death_ns; /* no engine dies before this */
    uint32_t rot_nr;
    uint64_t bad_reads_nr; /* that met a checksum that failed, since the stores were checked last */
    bool link_down;
    uint32_t keepers_nr; /* running */
    bool is_over;
    const struct simt_work *works[SIMT_WORKS_NR];
    void *states[SIMT_WORKS_NR];
    bool works_on[SIMT_WORKS_NR];
    struct simt_pools *pools; /* NULL: no other pools in this run */
    struct simt_mortals *mortals; /* NULL: none in this run */
    bool pools_over; /* nobody makes or unmakes any */
};

/** One run. `report` is filled also when it fails on the way. */
void simt_run(const struct simt_opts *opts, struct simt_report *report);

/** Something that must not be. The run goes on. */
void simt_fail(struct simt *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void simt_say(struct simt *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t simt_now(const struct simt *t);
void *simt_alloc(size_t bytes); /* zeroed */

/* simt_sys.c, for simt_run.c */
void simt_cfg_draw(struct simt *t);
void simt_engines_init(struct simt *t);
CAIRN_MUST_CHECK int simt_engine_start(struct simt_engine *e);
/** Kill it; it stays down for that long. */
void simt_engine_kill(struct simt_engine *e, uint64_t down_ns);
/** Stop all in good order, in turn. */
CAIRN_YIELDS void simt_engines_stop(struct simt *t);
void simt_engine_keeper(void *arg);
CAIRN_YIELDS void simt_engines_wait(struct simt *t); /* all serve and know each other */
CAIRN_YIELDS int simt_pool_create(struct simt *t);
/** Run fn(xs) on a ULT of tag's xstream of an engine: 0 it ran, -DER_UNREACH the engine died, -DER_TIMEDOUT. */
CAIRN_YIELDS int simt_engine_run(struct simt_engine *e, uint32_t tag,
    int (*fn)(struct engine_xs *xs, void *arg), void *arg, uint64_t limit_ns, int *ret_rc);
/** One control message: the code of the way there, else of the answer. *ret_body (may be NULL) is to be freed when 0 is returned. */
CAIRN_YIELDS int simt_ctl(struct simt_engine *e, int method, const struct ProtobufCMessage *body,
    struct ProtobufCBinaryData *ret_body);
CAIRN_YIELDS void simt_stores_check(struct simt *t);
void simt_asks_free(struct simt *t);

void simt_procs_init(struct simt *t);
CAIRN_MUST_CHECK int simt_proc_start(struct simt_proc *proc, void (*main_fn)(void *arg));
void simt_proc_kill(struct simt_proc *proc, uint64_t down_ns);
void simt_client_main(void *arg); /* of a client: its workers until they are done */
void simt_client_keeper(void *arg);

/** That disk may be bad. */
static inline bool
simt_is_victim(const struct simt *t, uint32_t rank, uint32_t tag)
{
    return t->cfg.victim_tag != 0 && t->cfg.victim_rank == rank && t->cfg.victim_tag == tag;
}
/** A code that tells so: nobody knows whether what was asked for happened. */
bool simt_is_damage(struct simt *t, int rc);

/* simt_pools.c */
struct simt_pools *simt_pools_create(void);
void simt_pools_main(void *arg);
CAIRN_YIELDS void simt_pools_check(struct simt *t);

/* simt_mortal.c */
struct simt_mortals *simt_mortals_create(struct simt *t);
CAIRN_YIELDS void simt_mortals_setup(struct simt *t, daos_handle_t poh);
void simt_mortals_main(void *arg);
CAIRN_YIELDS void simt_mortals_check(struct simt *t, bool is_last, daos_handle_t poh);

void simt_fault_injector(void *arg);
bool simt_may_starve(const struct simt *t); /* a call may end with TIMEDOUT */
void simt_calm(struct simt *t); /* end every fault that lasts */

/* ---- for workloads -------------------------------------------------------------------------------------------------------- */

static inline uint64_t
simt_pick(struct simt_worker *w, uint64_t below)
{
    return rng_below(&w->rng, below);
}

/** Exponentially distributed, at most 20 times the mean. */
uint64_t simt_exp(struct rng *rng, uint64_t mean_ns);
/** From now on (and until it says so) the calls of this worker may time out; in force once all workers of the process are in a hurry. */
void simt_hurry(struct simt_worker *w, bool on);
/** A pause between operations. */
CAIRN_YIELDS void simt_think(struct simt_worker *w);
/** What an answer means. UNKNOWN: it may or may not have happened. NOT: it surely did not. WRONG: no such answer may come. */
enum simt_outcome { SIMT_DONE, SIMT_REFUSED, SIMT_UNKNOWN, SIMT_NOT, SIMT_WRONG };
enum simt_outcome simt_outcome(int rc);
/** Begin an operation of a worker on a thing; several may be one request. Its memory is the record's. */
void simt_ask(struct simt_worker *w, struct simt_op *op, struct list_head *thing);
/** All that the worker asked for has this end. Of what has no answer, reads are dropped and changes become unknown. */
void simt_answered(struct simt_worker *w, enum simt_outcome outcome);
/** Call before and after an API call: tells what hangs. */
void simt_doing(struct simt_worker *w, const char *what);
/** Open a container. False: reported. */
CAIRN_YIELDS bool
simt_cont_open(struct simt *t, daos_handle_t poh, const char *label, daos_handle_t *ret_coh);
/** Report of a history that is not linearizable. */
void simt_history_check(struct simt *t, const char *what, const struct simt_lin_model *model,
    struct list_head *ops, void (*print)(const struct simt_lin_op *op, char *buf, size_t len),
    void (*print_state)(const void *state, char *buf, size_t len));

#endif
