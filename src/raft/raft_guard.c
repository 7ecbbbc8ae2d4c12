/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where the library (0.15.0) takes for agreed, or for impossible, what is neither (docs/decisions/0021-raft.md), and what reads need: which messages it sees, and what is true in those
 * that it sends. RFG-5, RFG-4.
 */
#include <string.h>

#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "raft/raft_priv.h"

/* How long a follower's word holds, by the leader's clock: less than a follower waits before it stands for election or votes. */
uint64_t
raft_guard_lease_ns(const struct raft_group *g)
{
    uint64_t t = g->host->opts.election_ms * RAFT_MS;

    return t - t * RAFT_CLOCK_DRIFT_PERCENT / 100 - 2 * RAFT_MS; /* its clock counts whole ms */
}

static bool
is_member(const struct raft_group *g, uint64_t id)
{
    for (unsigned i = 0; i < g->lib.configuration.n; i++) {
        if (g->lib.configuration.servers[i].id == id)
            return true;
    }
    return false;
}

/* Where the entries of an APPEND begin to differ from ours; 0: nowhere. */
static uint64_t
conflict_find(const struct raft_group *g, const struct raft_append_entries *a)
{
    for (unsigned i = 0; i < a->n_entries; i++) {
        uint64_t index = a->prev_log_index + 1 + i;
        uint64_t term = raft_log_term_of(&g->lib.log, index);

        if (term == 0)
            return 0;
        if (term != a->entries[i].term)
            return index;
    }
    return 0;
}

/* A configuration among the entries from there on. */
static bool
has_change(const struct raft_group *g, uint64_t index)
{
    const struct raft_entry *e;

    for (e = raft_log_entry(&g->lib.log, index); e != NULL; e = raft_log_entry(&g->lib.log, ++index)) {
        if (e->type == RAFT_CHANGE)
            return true;
    }
    return false;
}

static enum raft_verdict
append_in(struct raft_group *g, const struct raft_msg *msg, uint64_t *ret_cut)
{
    const struct raft_append_entries *a = &msg->append;
    uint64_t prev_term, conflict;

    if (msg->term < g->lib.current_term)
        return RAFT_PASS; /* refused there */
    if (g->lib.state == RAFT_LEADER && msg->term == g->lib.current_term) {
        LOG_ERROR("raft: two leaders of term %llu: %llu and this member",
            (unsigned long long)msg->term, (unsigned long long)msg->from);
        return RAFT_DROP;
    }
    if (a->n_entries > 0 && g->queue_nr >= RAFT_QUEUE_NR_MAX)
        return RAFT_DROP; /* the state machine is late */
    prev_term = raft_log_term_of(&g->lib.log, a->prev_log_index);
    conflict = prev_term == a->prev_log_term ? conflict_find(g, a) : 0;
    if (prev_term != 0 && prev_term != a->prev_log_term && a->prev_log_index <= g->lib.commit_index)
        conflict = a->prev_log_index;
    if (conflict == 0)
        return RAFT_PASS;
    if (conflict <= g->lib.commit_index) {
        LOG_ERROR("raft: member %llu has another entry %llu than was committed",
            (unsigned long long)msg->from, (unsigned long long)conflict);
        return RAFT_DROP;
    }
    /* The library would not find the configuration before it, where that is in a snapshot or this process did not write the change. */
    if (has_change(g, conflict)) {
        CAIRN_PROBE("raft.cut_change");
        *ret_cut = conflict;
        return RAFT_CUT;
    }
    return RAFT_PASS;
}

static enum raft_verdict
vote_in(const struct raft_group *g, const struct raft_msg *msg)
{
    if (raft_now_ns(g) < g->votes_from_ns)
        return RAFT_DROP; /* RFG-4: it may have given its word before it was started */
    /* A leader that hands over would vote for that member although it has voted. */
    if (!msg->vote.pre_vote && msg->term == g->lib.current_term && g->lib.voted_for != 0 &&
        g->lib.voted_for != msg->from)
        return RAFT_DROP;
    return RAFT_PASS;
}

static enum raft_verdict
append_result_in(const struct raft_group *g, const struct raft_msg *msg)
{
    if (!is_member(g, msg->from))
        return RAFT_DROP;
    /*
     * The library counts answers for the last entry on its disk, whichever term that is of. Until it is one of its own term, an entry could be counted as committed that a later leader
     * takes back.
     */
    if (g->lead_term != 0 && msg->term == g->lead_term && g->lib.last_stored < g->own_index)
        return RAFT_DEFER;
    return RAFT_PASS;
}

enum raft_verdict
raft_guard_in(struct raft_group *g, const struct raft_msg *msg, uint64_t *ret_cut)
{
    switch (msg->type) {
    case RAFT_MSG_APPEND:
        return append_in(g, msg, ret_cut);
    case RAFT_MSG_APPEND_RESULT:
        return append_result_in(g, msg);
    case RAFT_MSG_VOTE:
        return vote_in(g, msg);
    case RAFT_MSG_VOTE_RESULT:
        return is_member(g, msg->from) ? RAFT_PASS : RAFT_DROP;
    default:
        return RAFT_PASS;
    }
}

/* ---- what leaves ------------------------------------------------------------------------------------------------------ */

/*
 * The library follows the sender of the message at work: its word is given, and the log agrees with the sender's up to the end of the message. Called when the message was not refused.
 */
static void
note(struct raft_group *g, bool is_accepted)
{
    const struct raft *lib = &g->lib;

    if (g->cur.from == 0 || lib->state != RAFT_FOLLOWER || lib->current_term != g->cur.term ||
        lib->follower_state.current_leader.id != g->cur.from)
        return;
    if (g->echo_term != g->cur.term || g->echo_from != g->cur.from) {
        g->echo_term = g->cur.term;
        g->echo_from = g->cur.from;
        g->echo_stamp = 0;
    }
    g->echo_stamp = MAX(g->echo_stamp, g->cur.stamp);
    if (g->verified_term != g->cur.term) {
        g->verified_term = g->cur.term;
        g->verified = 0;
    }
    if (is_accepted)
        g->verified = MAX(g->verified, g->cur.end);
}

void
raft_guard_note(struct raft_group *g)
{
    note(g, true);
}

/*
 * An answer to an APPEND. The library names the last entry on its disk, also when that is a leftover of an older leader that the message did not reach: the leader would count it as its own.
 * So what messages of this term have shown to agree, and what is committed, which every leader has; as far as it is on the disk.
 *
 * And it refuses a message that begins at a committed entry which it has in a snapshot only: the leader would go back from entry to entry, offer a snapshot that is older, and begin
 * again, for ever. Such a beginning agrees.
 */
void
raft_guard_result(struct raft_group *g, struct raft_msg *msg)
{
    struct raft_append_entries_result *r = &msg->append_result;
    bool is_following = g->lib.state == RAFT_FOLLOWER && g->lib.current_term == msg->term;
    uint64_t agreed = 0;

    note(g, r->rejected == 0);
    if (g->verified_term == msg->term)
        agreed = g->verified;
    if (is_following) {
        agreed = MAX(agreed, (uint64_t)g->lib.commit_index);
        if (r->rejected <= g->lib.commit_index && g->lib.last_stored >= g->lib.commit_index)
            r->rejected = 0;
    }
    if (r->rejected == 0) {
        if (r->last_log_index > agreed)
            CAIRN_PROBE("raft.leftover");
        r->last_log_index = MIN(agreed, (uint64_t)g->lib.last_stored);
    }
    msg->stamp = g->echo_term == msg->term && g->echo_from == msg->to ? g->echo_stamp : 0;
}

/* ---- lease ------------------------------------------------------------------------------------------------------------ */

/* A member said up to when it had heard of us. */
void
raft_guard_stamp(struct raft_group *g, const struct raft_msg *msg)
{
    uint32_t i = 0;

    if (g->lead_term == 0 || msg->term != g->lead_term || msg->stamp > raft_now_ns(g))
        return;
    while (i < RAFT_MEMBERS_NR_MAX && g->stamp_ids[i] != 0 && g->stamp_ids[i] != msg->from) {
        i++;
    }
    if (i == RAFT_MEMBERS_NR_MAX)
        return;
    g->stamp_ids[i] = msg->from;
    if (msg->stamp > g->stamps[i]) {
        g->stamps[i] = msg->stamp;
        ult_cond_broadcast(&g->cond);
    }
}

static uint64_t
stamp_of(const struct raft_group *g, uint64_t id)
{
    if (id == g->host->opts.self)
        return raft_now_ns(g);
    for (uint32_t i = 0; i < RAFT_MEMBERS_NR_MAX && g->stamp_ids[i] != 0; i++) {
        if (g->stamp_ids[i] == id)
            return g->stamps[i];
    }
    return 0;
}

uint64_t
raft_guard_base(const struct raft_group *g)
{
    const struct raft_configuration *conf = &g->lib.configuration;
    uint64_t base = 0;
    unsigned voters = 0;

    if (g->lead_term == 0)
        return 0;
    for (unsigned i = 0; i < conf->n; i++) {
        voters += conf->servers[i].role == RAFT_VOTER;
    }
    /* The newest stamp that a majority has reached. */
    for (unsigned i = 0; i < conf->n; i++) {
        uint64_t stamp = stamp_of(g, conf->servers[i].id);
        unsigned nr = 0;

        if (conf->servers[i].role != RAFT_VOTER)
            continue;
        for (unsigned j = 0; j < conf->n; j++) {
            nr += conf->servers[j].role == RAFT_VOTER && stamp_of(g, conf->servers[j].id) >= stamp;
        }
        if (nr > voters / 2)
            base = MAX(base, stamp);
    }
    return base;
}
