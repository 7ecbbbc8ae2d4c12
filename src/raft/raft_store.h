/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The log, term and vote of a member, in a container of vos: that of the service's database, or any other. Each change is one vos_apply() or several of which each leaves a log that
 * is complete in itself; what returned is durable, by the group commit of the target's WAL.
 *
 *   RFS-1  The entries first..last are there, whole, and no others: ranges are cut from their ends in steps that move `first` or `last` in the same transaction.
 *   RFS-2  A vote, once stored, is not changed within its term.
 *   RFS-3  A snapshot that is being installed is announced before the state machine takes it, and the log follows after. Between the two the state machine's own index says which of
 *          both holds: the change of the state machine must be atomic with it.
 *
 * Functions wait for each other (a mutex); term and vote do not wait for the rest. Owner: one xstream. Tested by test/raft_store_test.c.
 */
#ifndef CAIRN_RAFT_STORE_H
#define CAIRN_RAFT_STORE_H

#include <raft.h>

#include "raft/raft_conf.h"
#include "ult/ult.h"
#include "vos/vos.h"

enum {
    RAFT_STORE_STEP_NR = 256, /* entries of one transaction */
    RAFT_STORE_STEP_BYTES = 1 << 20, /* of payload, begun with less */
};

struct raft_store_snap {
    uint64_t index, term; /* of its last entry; index 0: there is none */
    uint64_t conf_index;
    struct raft_conf conf;
};

/* Entries that follow each other. */
struct raft_span {
    uint64_t index; /* of the first */
    const struct raft_entry *entries;
    uint32_t nr;
};

struct raft_store {
    struct vos_cont *cont; /* borrowed */
    uint64_t term, vote; /* durable */
    uint64_t first, last; /* entries that are there; last + 1 == first: none */
    struct raft_store_snap snap;
    /* private */
    struct raft_store_snap pending; /* RFS-3 */
    struct ult_mutex lock;
    struct list_head works; /* memory of calls in flight */
    struct raft_entry *loading; /* of raft_store_entries() at work */
    size_t loading_nr;
};

/**
 * Read what is there (nothing: term 0, an empty log). `applied`: the index up to which the state machine beside it is, durably; decides about a snapshot whose installation was
 * interrupted. Errors: DF_INVAL; CSUM; NVME_IO; NOMEM; NOSPACE; then nothing is to be freed.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_store_open(struct raft_store *store, struct vos_cont *cont, uint64_t applied);
void raft_store_close(struct raft_store *store); /* nothing at work */
void raft_store_abandon(struct raft_store *store); /* frees memory alone (simulated kill) */

/** The first entry of a new group: its members, the same for all of them. Errors: EXIST something is there; those of vos_apply(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_store_bootstrap(struct raft_store *store, const struct raft_conf *conf);
/** A term above the stored one; no vote in it. Errors: INVAL; those of vos_apply(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_store_term_set(struct raft_store *store, uint64_t term);
/** Errors: INVAL another one got the vote of this term (RFS-2); those of vos_apply(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_store_vote_set(struct raft_store *store, uint64_t id);
/** All entries; they and their payloads are from raft_malloc(). Errors: NOMEM; DF_INVAL; CSUM; NVME_IO. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_store_entries(struct raft_store *store, struct raft_entry **ret_entries, size_t *ret_nr);
/** Spans that follow each other and the log. With an error a first part of them may be there. Errors: INVAL they do not; those of vos_apply(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_store_append(struct raft_store *store, const struct raft_span *spans, uint32_t nr);
/** Remove `index` and all after it; it is above the snapshot's. */
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_store_truncate(struct raft_store *store, uint64_t index);
/** The state machine is durable up to `snap`: remember that, and drop entries below `first`, which is at most snap->index + 1. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_store_compact(struct raft_store *store, const struct raft_store_snap *snap, uint64_t first);
/** RFS-3: before and after the state machine takes a snapshot that comes from elsewhere. Afterwards the log is empty and goes on behind it. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
raft_store_install_begin(struct raft_store *store, const struct raft_store_snap *snap);
CAIRN_YIELDS CAIRN_MUST_CHECK int raft_store_install_end(struct raft_store *store);
/** Whether an entry of that many bytes fits beside what a full store needs to go on. Errors: NOSPACE. */
CAIRN_MUST_CHECK int raft_store_room(const struct raft_store *store, uint64_t bytes);

#endif
