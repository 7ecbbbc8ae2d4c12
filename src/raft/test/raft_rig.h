/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Members of one group in one process: each a simulated process on a host of its own, with store, group, state machine and clients; a network in between that loses, delays, doubles,
 * reorders and cuts. One seed decides all. What must hold is compared with a record outside the members.
 *
 * State machine: RIG_REGS registers; a command writes a number that no other command writes. All of it is one value of the container, with the index.
 *
 *   RIG-1  A term has one leader.
 *   RIG-2  At an index every member applies the same command, once, in order.
 *   RIG-3  What was acknowledged is at its index.
 *   RIG-4  A read sees the newest write that was acknowledged, or read by somebody, before it began.
 *   RIG-5  In the end all members are equal.
 */
#ifndef CAIRN_RAFT_RIG_H
#define CAIRN_RAFT_RIG_H

#include "base/list.h"
#include "base/rng.h"
#include "bio/bio.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"
#include "raft/raft_group.h"
#include "raft/raft_msg.h"
#include "vos/vos.h"

enum {
    RIG_MEMBERS_NR = 5,
    RIG_REGS = 4,
    RIG_INDEX_NR = 200000,
    RIG_TERM_NR = 20000,
    RIG_FILL_BYTES = 600000, /* of a dump when asked for */
};

struct rig;

/* Stored as it is: the test's own bytes. */
struct rig_state {
    uint64_t applied;
    uint64_t hash; /* over all commands */
    uint64_t value[RIG_REGS], index[RIG_REGS];
};

struct rig_member {
    struct rig *rig;
    uint64_t id;
    char host_name[8];
    bool is_alive, is_starting, is_stopping, is_stopped;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct vos_cont *cont;
    struct raft_host *host;
    struct raft_group *group;
    struct rig_state state;
    struct rng rng;
    uint32_t clients_nr;
    struct list_head posts; /* messages handed to the xstream and not run */
    uint64_t restart_ns, resume_ns; /* 0: not dead, not paused */
    uint32_t installs_nr;
};

struct rig_packet {
    struct list_head link;
    uint64_t at_ns, to;
    uint8_t *buf;
    size_t len;
};

struct rig_opts {
    uint64_t seed;
    uint32_t nr; /* members that vote from the beginning */
    uint32_t loss_ppm, dup_ppm, slow_ppm; /* of packets */
    uint32_t kill_ppm, part_ppm, pause_ppm, transfer_ppm, member_ppm; /* of milliseconds */
    uint32_t snap_threshold, snap_trailing;
    uint32_t election_ms; /* 0: the default */
    uint32_t apply_ms; /* that the state machine takes */
    bool has_clients, is_filled, is_slow; /* slow: the state machine */
    uint64_t meta_quota;
};

struct rig {
    struct sim *sim;
    struct rig_opts opts;
    struct rng rng;
    struct rig_member members[RIG_MEMBERS_NR];
    struct list_head packets;
    bool cut[RIG_MEMBERS_NR + 1][RIG_MEMBERS_NR + 1];
    uint64_t heal_ns;
    bool is_calm; /* no more faults */
    /* Sees what members send; may be NULL. Members that were not started can be played by the test. */
    void (*tap)(struct rig *rig, const struct raft_msg *msg);
    void *tap_arg;
    uint64_t next_value;
    /* the record outside */
    uint64_t value_at[RIG_INDEX_NR]; /* applied first, by whoever */
    uint64_t acked_at[RIG_INDEX_NR];
    uint8_t leader_of[RIG_TERM_NR];
    uint64_t floor[RIG_REGS]; /* index that every later read sees at least */
    uint64_t index_max, acked_max;
    uint32_t acked_nr, reads_nr, elections_nr, deaths_nr, parts_nr, changes_nr;
    uint64_t stack_bytes_max; /* of a ULT of a member that was stopped in the end */
    uint64_t bad_nr; /* breaches; each was an expectation, too */
};

void rig_init(struct rig *rig, const struct rig_opts *opts);
void rig_fini(struct rig *rig);
/** Start a member; one of the first `nr` that has no log yet gets the first entry. */
void rig_start(struct rig *rig, uint32_t i);
void rig_kill(struct rig *rig, uint32_t i);
/** Let time pass: packets, faults. */
void rig_run(struct rig *rig, uint64_t ms);
/** Until a leader is ready (its place) or the time is over (UINT32_MAX). */
uint32_t rig_leader(struct rig *rig, uint64_t ms);
/** Faults end, all live; until they are equal. */
void rig_settle(struct rig *rig, uint64_t ms);
/** Run on a ULT of a member, until it returns or the member dies or the time is over (-DER_TIMEDOUT). */
int rig_call(struct rig *rig, uint32_t i, int (*fn)(struct rig_member *m, void *arg), void *arg,
    uint64_t ms);
/** A message for a member, at once; `from`, `to`, type and body are set. */
void rig_inject(struct rig *rig, struct raft_msg *msg);
/** One write of a register by this member. */
int rig_write(struct rig_member *m, uint32_t reg);
int rig_read(struct rig_member *m, uint32_t reg);

#endif
