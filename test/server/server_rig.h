/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Whole engines and a client that sends them real messages, on plat/sim (each engine a process
 * that can be killed) or plat/linux (all in this process, over
 * AF_UNIX sockets). The body of a test runs on a ULT of the client's xstream and reads top to
 * bottom.
 */
#ifndef CAIRN_SERVER_RIG_H
#define CAIRN_SERVER_RIG_H

#include "engine/engine.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"
#include "poolmap/poolmap.h"
#include "proto/proto_svc.h"
#include "rpc/rpc.h"
#include "tgt/tgt.h"

enum { RIG_ENGINES_MAX = 4, RIG_TGTS = 2 };
#define RIG_SYSTEM "rig"
#define RIG_SYSTEM_UUID ((struct uuid){{0x1d, 0, 0, 0, 0, 0, 0x40, 0, 0x80}})
#define RIG_CALL_NS UINT64_C(3000000000)
#define RIG_META_BYTES (UINT64_C(24) << 20)
#define RIG_DATA_BYTES (UINT64_C(64) << 20)

struct rig;

struct rig_engine {
    struct rig *rig;
    uint32_t rank;
    char host[16], name[24];
    uint32_t life; /* how often it was started */
    struct plat *plat;
    struct engine *engine; /* NULL: not running */
};

struct rig {
    struct sim *sim; /* NULL: on linux */
    struct plat *linux_plat;
    const char *dir;
    uint32_t engine_nr;
    bool has_default_sizes; /* stores as an installation has them, instead of small ones */
    uint32_t hdls_nr; /* handles that a pool may have; 0: as many as usual */
    uint64_t sys_scrub_ns; /* engine_limits */
    uint32_t dev_nr; /* not 0: all roles of its stores lie on so many devices of an engine, /dev0 .. */
    struct rig_engine engines[RIG_ENGINES_MAX];
    struct plat *client_plat;
    struct xstream *xs;
    struct rpc_ctx *rpc;
    struct uuid client;
    uint64_t seq;
    uint64_t group_ver;
    uint64_t id_seed;
    struct arena arena; /* of replies; lives through the test */
    char err[ENGINE_TEXT_BYTES];
    /* The pool and container that rig_setup() made. */
    struct uuid pool, pool_hdl, cont, cont_hdl;
    uint32_t svc_rank;
};

/** Start engines, a client, and run `body` on its ULT; then stop everything in order. */
void rig_run(uint32_t engine_nr, void (*body)(struct rig *rig));
/** The same with what the simulator does to networks and disks. Sim only. */
void rig_run_with(const struct sim_opts *opts, uint32_t engine_nr, void (*body)(struct rig *rig));

/** With stores of the default sizes. Sim only. */
void rig_run_default(uint32_t engine_nr, void (*body)(struct rig *rig));

/** With so many handles of a pool at most. Sim only. */
void rig_run_hdls(uint32_t engine_nr, uint32_t hdls_nr, void (*body)(struct rig *rig));

/** With that period of the scrubber of the services' store, and perhaps all stores on devices. Sim only. */
void rig_run_scrub(
    uint32_t engine_nr, uint32_t dev_nr, uint64_t sys_scrub_ns, void (*body)(struct rig *rig));

/** With all stores on devices: of two, the first has that of target 0 and that of the services, the second that of target 1. Sim only. */
void rig_run_devs(uint32_t engine_nr, uint32_t dev_nr, void (*body)(struct rig *rig));

/* ---- engines (on the client's ULT) ---------------------------------------------------------- */

void rig_cfg(struct rig *rig, uint32_t rank, struct engine_cfg *cfg);
/** Start and wait until it is ready or failed. */
int rig_engine_start(struct rig *rig, uint32_t rank);
/** As by SIGKILL. Sim only. */
void rig_engine_kill(struct rig *rig, uint32_t rank);
/** Cut the power of its host: what was not synced is kept, lost or torn. Sim only. */
void rig_engine_power_loss(struct rig *rig, uint32_t rank);
/** Kill, start again, tell all about it. */
void rig_engine_restart(struct rig *rig, uint32_t rank);
/** Tell every engine of every other. */
int rig_group_push(struct rig *rig);
/**
 * One control request to a rank: method and body in, reply body out (in the arena). The envelope's
 * rc, its text in rig->err.
 */
int rig_ctl(struct rig *rig, uint32_t rank, int method, const void *body, struct iov *ret_body);

/* ---- requests ------------------------------------------------------------------------------- */

struct uuid rig_uuid(struct rig *rig);

/* A request that can be sent again. */
struct rig_id {
    uint32_t slot;
    uint64_t seq;
    uint64_t hlc;
};
struct rig_id rig_id(struct rig *rig);

/**
 * Send until somebody answers (or some 30 s have passed); retry class errors are sent again with
 * the same id.
 */
int rig_call(struct rig *rig, uint32_t rank, uint32_t tag, uint16_t opcode, const void *req,
    void *rep, const struct rig_id *id);
/** One attempt with rig->pool, pool_hdl, cont_hdl in the head. */
int rig_call_once(struct rig *rig, uint32_t rank, uint32_t tag, uint16_t opcode, const void *req,
    void *rep, const struct rig_id *id, uint64_t timeout_ns, struct rpc_call_info *ret_info);
/** To the pool's service. */
int rig_svc(struct rig *rig, uint16_t opcode, const void *req, void *rep);

/**
 * Send a request whose answer the network loses, then kill the engine and start it again. Sim
 * only.
 */
void rig_lose_answer(struct rig *rig, uint32_t rank, uint32_t tag, uint16_t opcode, const void *req,
    const struct rig_id *id);

/**
 * Pool "tank" and container "box" on all targets, both handles open. False: an expectation failed.
 */
bool rig_setup(struct rig *rig);
int rig_pool_create(struct rig *rig, struct uuid pool, const char *label);
int rig_cont_create(struct rig *rig, struct uuid cont, const char *label);
int rig_cont_open(struct rig *rig, const char *id, uint64_t flags, struct uuid hdl);

/* ---- object I/O ----------------------------------------------------------------------------- */

#define RIG_OID(lo_) ((struct oid){.lo = (lo_), .hi = UINT64_C(1) << 32})

static inline struct iov
rig_str(const char *s)
{
    return (struct iov){(void *)(uintptr_t)s, strlen(s)};
}

/* One single value under one dkey and akey. */
struct rig_value {
    struct oid oid;
    const char *dkey, *akey;
    const char *data; /* NULL in a punch */
    uint8_t op; /* vos_mod_op */
    uint32_t cond;
};

/* An apply message built from values, one modification each. */
struct rig_apply {
    struct proto_obj_apply_req req;
    struct proto_mod mods[8];
    struct proto_iod iods[8];
    uint8_t data[1024];
};
void rig_apply_fill(struct rig_apply *a, const struct rig_value *values, uint32_t nr);
/** Apply on a target and return the code; *ret_rep may be NULL. */
int rig_apply(struct rig *rig, uint32_t rank, uint32_t tgt, const struct rig_value *value,
    const struct rig_id *id, struct proto_obj_apply_rep *ret_rep);
/** Fetch a single value as text into buf (terminated); "" when there is none. */
int rig_fetch(struct rig *rig, uint32_t rank, uint32_t tgt, struct oid oid, const char *dkey,
    const char *akey, uint32_t flags, char *buf, size_t buf_len);

#endif
