/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A group inside. Who does what:
 *
 *   raft_host.c    tick, outgoing messages by peer, incoming ones to their group
 *   raft_group.c   life, calls, reads, workers (writer, applier), beginning anew
 *   raft_io.c      the library's I/O table
 *   raft_guard.c   what of the incoming messages the library may see, what of the outgoing ones is true
 *   raft_snap.c    snapshots on their way
 *
 * ULTs of a group, each made when there is something to do: the writer takes log changes in order, the applier gives committed commands to the state machine, the dumper makes
 * snapshots, the mender begins anew after a failure. None holds the mutex while it waits for a disk, but for term and vote.
 */
#ifndef CAIRN_RAFT_PRIV_H
#define CAIRN_RAFT_PRIV_H

#include <raft.h>

#include "base/rng.h"
#include "raft/raft_group.h"
#include "raft/raft_msg.h"
#include "raft/raft_store.h"

enum {
    RAFT_SENT_NR = 256, /* sends of one call into the library */
    RAFT_DEFERRED_NR = 64,
    RAFT_APPLY_BYTES = 1 << 20,
};

#define RAFT_MS UINT64_C(1000000)
#define RAFT_DUMP_KEEP_NS (UINT64_C(60) * 1000000000)
#define RAFT_FETCH_RETRY_NS (UINT64_C(500) * 1000000)
#define RAFT_FETCH_GIVE_UP_NS (UINT64_C(20) * 1000000000)
#define RAFT_MEND_NS UINT64_C(1000000000)

struct raft_out {
    struct list_head link;
    uint64_t peer;
    uint8_t *buf;
    size_t len, cap;
};

struct raft_host {
    struct xstream *xs;
    struct plat *plat;
    struct raft_host_opts opts;
    struct list_head groups;
    struct list_head outs;
    struct list_head ins; /* batches that are being taken apart */
    struct raft_host_stats stats;
    struct rng rng;
    struct ult_cond cond; /* of the ULTs below */
    bool is_ticking, is_flushing, is_stopping, is_abandoned;
};

enum raft_op_type { RAFT_OP_APPEND, RAFT_OP_TRUNCATE, RAFT_OP_COMPACT, RAFT_OP_INSTALL };

/* A change of the log, in the order in which the library wants them. */
struct raft_op {
    struct list_head link;
    enum raft_op_type type;
    uint64_t index; /* APPEND: of the first; TRUNCATE */
    const struct raft_entry *entries; /* the library's, until the callback */
    uint32_t nr;
    struct raft_io_append *req;
};

struct raft_queued {
    struct list_head link;
    uint64_t index;
    size_t len;
    uint8_t data[];
};

/* A request that a ULT waits for. */
struct raft_req {
    struct list_head link;
    struct raft_group *g;
    struct ult_eventual done;
    uint64_t index;
    union {
        struct raft_apply apply;
        struct raft_change change;
        struct raft_transfer transfer;
    };
};

/* A snapshot that is being fetched from a leader. */
struct raft_fetch {
    uint64_t from; /* 0: none */
    uint64_t msg_term; /* of the newest offer */
    struct raft_snap_offer offer;
    uint8_t *buf; /* raft_malloc() */
    uint64_t got;
    uint64_t asked_ns, moved_ns;
};

/* A dump, for those that fetch it. */
struct raft_dump {
    struct raft_store_snap at;
    void *buf;
    size_t len;
    uint32_t crc;
    uint64_t used_ns;
    bool is_there;
};

struct raft_group {
    struct list_head link;
    struct raft_host *host;
    struct raft_group_opts opts;
    struct raft_store store;
    bool store_is_open;

    /* the library */
    struct raft lib;
    struct raft_io io;
    struct raft_fsm fsm;
    bool lib_is_init; /* raft_close() is due */
    raft_io_tick_cb tick_cb;
    raft_io_recv_cb recv_cb;
    struct ult_mutex lock;
    struct raft_message giving; /* INSTALL_SNAPSHOT that the library is looking at and may not have taken over */
    bool is_giving;
    struct {
        struct raft_io_send *req;
        raft_io_send_cb cb;
    } sent[RAFT_SENT_NR];
    uint32_t sent_nr;

    /* life */
    struct ult_cond cond; /* anything below changed */
    bool is_up; /* the library may be called */
    bool is_broken; /* nothing leaves any more; the mender works */
    bool is_stopping;
    int broken_rc;
    uint64_t mended_ns;
    uint64_t cut_index; /* with is_broken: the log is to be cut from there; 0: not */
    uint32_t users_nr, waiting_nr;
    bool is_writing, is_applying, is_dumping, is_mending;

    /* log */
    struct list_head ops;
    struct raft_io_snapshot_put *put; /* at work */
    raft_io_snapshot_put_cb put_cb;
    const struct raft_snapshot *put_snap;
    struct raft_store_snap put_at;
    uint64_t put_first;
    bool put_is_queued;

    /* state machine */
    struct ult_mutex sm_lock;
    struct list_head queue;
    uint32_t queue_nr;
    uint64_t queued, applied; /* indexes of commands */

    /* as a leader */
    struct list_head reqs;
    uint64_t lead_term; /* 0: not leader */
    uint64_t own_index; /* of the first entry of this term */
    bool is_ready, lease_is_off;
    uint64_t stamps[RAFT_MEMBERS_NR_MAX]; /* by place in `stamp_ids` */
    uint64_t stamp_ids[RAFT_MEMBERS_NR_MAX];
    struct raft_msg deferred[RAFT_DEFERRED_NR];
    uint32_t deferred_nr;

    /* as a follower */
    uint64_t votes_from_ns; /* no votes before */
    struct {
        uint64_t from, term, stamp, end; /* the message that the library is looking at; from 0: none */
    } cur;
    uint64_t echo_term, echo_from, echo_stamp;
    uint64_t verified_term, verified; /* the log agrees with that term's leader up to there */
    struct raft_fetch fetch;

    /* snapshots for others */
    struct list_head gets;
    struct raft_dump dump;
    void *dump_buf; /* made, and not looked at yet */
};

/* ---- raft_host.c ---- */
uint64_t raft_now_ns(const struct raft_group *g);
void raft_host_emit(struct raft_group *g, struct raft_msg *msg);

/* ---- raft_group.c ---- */
/* Nothing leaves any more; begin anew. Without yields. */
void raft_group_break(struct raft_group *g, int rc, uint64_t cut_index);
void raft_group_tick(struct raft_group *g);
void raft_group_recv(struct raft_group *g, struct raft_msg *msg); /* takes it */
void raft_group_free(struct raft_group *g); /* of an abandoned host */
/* After a call into the library, under the mutex. */
void raft_group_after(struct raft_group *g);
void raft_group_writer_wake(struct raft_group *g);
void raft_group_applier_wake(struct raft_group *g);
/* All entries up to there are applied. */
uint64_t raft_group_applied_all(const struct raft_group *g);
void raft_group_ult(struct raft_group *g, bool *flag, void (*fn)(void *arg));
/* Everything that the library waits for ends; it is unavailable, or gets to be. */
void raft_group_drain(struct raft_group *g);
/* Give a message to the library. */
void raft_group_deliver(struct raft_group *g, uint64_t from, struct raft_message *message);

/* ---- raft_io.c ---- */
void raft_io_table(struct raft_group *g);
uint64_t raft_log_last(const struct raft_log *log);
uint64_t raft_log_term_of(const struct raft_log *log, uint64_t index); /* 0: no such entry */
const struct raft_entry *raft_log_entry(const struct raft_log *log, uint64_t index);
/* The configuration at an entry, committed or not: not the newest that the library has. Errors: NONEXIST it is not known any more. */
int raft_conf_at(const struct raft_group *g, uint64_t index, struct raft_conf *ret_conf,
    uint64_t *ret_conf_index);

/* ---- raft_guard.c ---- */
enum raft_verdict { RAFT_PASS, RAFT_DROP, RAFT_DEFER, RAFT_CUT };
enum raft_verdict raft_guard_in(struct raft_group *g, const struct raft_msg *msg, uint64_t *ret_cut);
void raft_guard_result(struct raft_group *g, struct raft_msg *msg); /* that goes out */
void raft_guard_note(struct raft_group *g); /* what the library made of the message at work */
void raft_guard_stamp(struct raft_group *g, const struct raft_msg *msg);
uint64_t raft_guard_base(
    const struct raft_group *g); /* a majority followed us when it was so late; 0: never */
uint64_t raft_guard_lease_ns(const struct raft_group *g);

/* ---- raft_snap.c ---- */
void raft_snap_offer_in(struct raft_group *g, const struct raft_msg *msg);
void raft_snap_want_in(struct raft_group *g, const struct raft_msg *msg);
void raft_snap_part_in(struct raft_group *g, const struct raft_msg *msg);
void raft_snap_tick(struct raft_group *g);
void raft_snap_fetch_drop(struct raft_group *g);
void raft_snap_dump_drop(struct raft_group *g);
int raft_snap_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb);
void raft_snap_gets_fail(struct raft_group *g);

#endif
