/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Groups of Raft: commands that a majority of the members has on disk, in one order, applied by each member to a state machine of the user. One host for each engine: it drives all
 * groups by one tick and sends what they have for a peer together (TH-6).
 *
 *   RFG-1  Nothing leaves a member that says more than its disk holds: votes, terms and entries are durable before a message or an answer tells of them (ST-2). When storing one failed,
 *          nothing leaves any more, and the member begins anew from its disk.
 *   RFG-2  The library is entered under the group's mutex; storing term and vote suspends the ULT inside (TH-6). Nothing else waits in there.
 *   RFG-3  A command is applied once: the state machine stores the index with its effect, and what is at or below it is passed over after a restart.
 *   RFG-4  A read is answered by a leader that was one when the value was read: by a lease, which counts from the sending of what a majority answered and ends before any of them may
 *          vote for another, or by such a round that began after the read. A member that was started less than that time ago does not vote. Clocks may run apart by 2% at most.
 *   RFG-5  What the library would take for agreed although it is not (docs/decisions/0021-raft.md) does not reach it (raft_guard.c).
 *   RFG-6  A failure of the store or of the state machine ends the member's part until it was read again from the disk, tried every second; the others go on.
 *
 * Owner: one xstream. Tested by test/raft_group_test.c: members of a group in one process, on simulated disks, clocks and network.
 */
#ifndef CAIRN_RAFT_GROUP_H
#define CAIRN_RAFT_GROUP_H

#include "base/ids.h"
#include "base/iov.h"
#include "raft/raft_conf.h"
#include "ult/ult.h"

struct vos_cont;
struct raft_host;
struct raft_group;

enum {
    RAFT_ELECTION_MS = 1000, /* no word from a leader for this time, to twice of it: an election */
    RAFT_HEARTBEAT_MS = 200,
    RAFT_CLOCK_DRIFT_PERCENT = 2, /* RFG-4 */
    RAFT_SNAP_THRESHOLD = 1024, /* entries since the last snapshot mark */
    RAFT_SNAP_TRAILING = 256, /* that stay in the log behind it, for members that are a bit late */
    RAFT_BATCH_BYTES_MAX = 4 << 20, /* of one send */
    RAFT_APPLY_NR = 64, /* commands given to the state machine at once */
    RAFT_QUEUE_NR_MAX = 4096, /* commands committed and not yet applied: beyond it nothing is taken on */
    RAFT_CALLS_NR_MAX = 256, /* messages that wait for a group; beyond it they are dropped */
};

/* ---- host ----------------------------------------------------------------------------------------------------------- */

struct raft_host_opts {
    uint64_t self; /* this engine's id as a member; not 0 */
    uint32_t election_ms, heartbeat_ms; /* 0: as above */
    /* One or several messages for a member; takes `buf` (from malloc). Does not yield; may lose it, deliver it late, twice, in another order. */
    void (*send)(void *arg, uint64_t to, void *buf, size_t len);
    void *arg;
};

CAIRN_MUST_CHECK int
raft_host_create(struct xstream *xs, const struct raft_host_opts *opts, struct raft_host **ret_host);
CAIRN_YIELDS void raft_host_destroy(struct raft_host *host); /* no groups left; NULL is fine */
void
raft_host_abandon(struct raft_host *host); /* frees memory alone, with its groups (simulated kill) */
/** What a send() of another host delivered. Bad bytes and strangers are dropped, and counted. */
CAIRN_YIELDS void raft_host_recv(struct raft_host *host, const void *buf, size_t len);
struct raft_host_stats {
    uint64_t sends_nr, msgs_out_nr, msgs_in_nr, bad_nr, dropped_nr;
};
void raft_host_stats(const struct raft_host *host, struct raft_host_stats *ret_stats);

/* ---- groups --------------------------------------------------------------------------------------------------------- */

struct raft_cmd {
    uint64_t index;
    struct iov data; /* borrowed for the call */
};

/* The state machine. Calls do not overlap. An error of them ends the member's part (RFG-6). */
struct raft_sm_ops {
    /* These in order, and the index of the last one, in one transaction; durable on return. */
    CAIRN_YIELDS int (*apply)(void *arg, const struct raft_cmd *cmds, uint32_t nr);
    /* All of it as bytes (from malloc), at most RAFT_SNAP_BYTES_MAX; as it is now. */
    CAIRN_YIELDS int (*dump)(void *arg, void **ret_buf, size_t *ret_len);
    /* Become what a dump says, with this index, in one transaction; durable on return. */
    CAIRN_YIELDS int (*install)(void *arg, const void *buf, size_t len, uint64_t index);
    /* Leadership here came, went, or became ready. May be NULL. Does not yield. */
    void (*changed)(void *arg);
};

struct raft_group_opts {
    struct uuid id;
    struct vos_cont *cont; /* where the log is; borrowed */
    uint64_t applied; /* index that the state machine has */
    const struct raft_sm_ops *ops;
    void *arg;
    uint32_t snap_threshold, snap_trailing; /* 0: as above */
};

/**
 * Store the first entry of a new group's log: the same for all members that are there from the beginning. One that joins later starts with nothing. Errors: EXIST; those of vos.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_group_bootstrap(struct vos_cont *cont, const struct raft_conf *conf);
/** *ret_group is set while this works, for who may have to abandon the host. Errors: those of raft_store_open(); EXIST. */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_group_start(
    struct raft_host *host, const struct raft_group_opts *opts, struct raft_group **ret_group);
/** Calls in flight answer NOTLEADER. NULL is fine. */
CAIRN_YIELDS void raft_group_stop(struct raft_group *g);

struct raft_group_status {
    bool is_leader,
        is_ready; /* ready: all that earlier leaders committed is applied here, or will be before a read */
    bool is_up; /* not while it is read anew (RFG-6) */
    uint64_t term, leader; /* 0: unknown */
    uint64_t commit, applied, first, last, snap; /* indexes */
    struct raft_conf conf;
};
void raft_group_status(const struct raft_group *g, struct raft_group_status *ret_status);

/**
 * Commit a command; returns when a majority has it on disk, *ret_index (may be NULL) is its index. It is applied here soon after: raft_group_read() waits for it. Errors: INVAL; OVERFLOW longer than
 * RAFT_CMD_BYTES_MAX; NOTLEADER (also: leadership went meanwhile, it may be committed or not); NOSPACE, BUSY nothing was begun; NOMEM.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_group_propose(struct raft_group *g, struct iov cmd, uint64_t *ret_index);
/** Before a read: wait until all is applied that was committed when it was called; *ret_term for the end. Errors: NOTLEADER. */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_group_read(struct raft_group *g, uint64_t *ret_term);
/** After it: 0, the value was the newest of all members (RFG-4). Does not wait while the lease holds. Errors: NOTLEADER. */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_group_read_end(struct raft_group *g, uint64_t term);
/** The lease holds now: without yields. */
bool raft_group_lease_holds(const struct raft_group *g);

/*
 * Membership, one change at a time, by a leader that is ready; returns when it is committed. Errors: NOTLEADER; BUSY another change is at work; EXIST, NONEXIST the member; INVAL the role it has, or the
 * leader itself (transfer first); TIMEDOUT it does not catch up.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_group_add(struct raft_group *g, uint64_t id); /* as a spare */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_group_assign(struct raft_group *g, uint64_t id, enum raft_role role);
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_group_remove(struct raft_group *g, uint64_t id);
/** Leadership to a voter (0: any). Reads go by rounds afterwards, if it stays here. Errors: NOTLEADER; NONEXIST; INVAL; TIMEDOUT it did not take it. */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_group_transfer(struct raft_group *g, uint64_t id);

#endif
