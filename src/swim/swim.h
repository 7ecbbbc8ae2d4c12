/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim: who is in the group, and who has fallen silent. One member's view of it, as a pure state machine: time, random numbers and the sending of
 * messages come from the caller, so that thousands of members run in one thread of a test.
 *
 * The protocol is SWIM (A. Das, I. Gupta, A. Motivala: "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol", DSN 2002):
 * in each period a member pings one other, asks helpers to ping it when no answer comes, suspects it when they hear nothing either, and what it
 * learns travels on its messages. With it the three parts of Lifeguard (A. Dadgar, J. Phillips, J. Currey: "Lifeguard: SWIM-ing with Situational
 * Awareness", DSN-W 2017): a measure of one's own health that lengthens one's own timeouts; suspicions that are long at first and shorten as
 * independent members agree; a suspected member is told first, so that it can object. What is ours: silence is counted from the first ping without an
 * answer and its age travels along; a verdict needs a last call; see docs/decisions/0023-membership.md.
 *
 *  SWM-1  A life (rank, life) that was called dead, gone or confirmed dead never counts as alive again; only a later life of the rank does (MS-1).
 *  SWM-2  Only a member itself raises its count. ALIVE hides a suspicion of a smaller count, a suspicion hides ALIVE of the same.
 *  SWM-3  Who calls another dead has seen by itself, while its own ticks came in time, that the suspect answered none of its last calls, neither directly
 *         nor through helpers, and that half the helpers at least were there to hear them. So who is alone, deaf, mute or late calls nobody dead (MB-5).
 *  SWM-4  As long as more than the limit are silent or newly dead at once, nobody is called dead: the caller is told, and decides. The limit is below half
 *         the group, so two parts that do not see each other never both exclude each other.
 *  SWM-5  What is sent is bounded: SWIM_MSG_BYTES_MAX for each message, a number of sends for each news, the concurrent last calls.
 *  SWM-6  Bytes from outside are checked as a whole before anything is believed; ranks, lives, counts and ages have limits.
 *
 * Nothing here yields, locks or blocks. One owner (an xstream). Callbacks must not call back into the same member.
 * States, messages and what is not here: README.md. Tested by test/swim_*_test.c and the simulation of test/swim.
 */
#ifndef CAIRN_SWIM_H
#define CAIRN_SWIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"

struct swim;

enum {
    SWIM_MSG_BYTES_MAX = 1200, /* fits a datagram of an Ethernet frame */
    SWIM_RANKS_MAX = 1 << 16, /* ranks are below */
    SWIM_MEMBERS_MAX = 1 << 14, /* of one view, with those that left */
    SWIM_HELPERS_NR_MAX = 4,
    SWIM_ACCUSERS_NR_MAX = 3, /* remembered for one suspicion */
    SWIM_LASTCALLS_NR_MAX = 32, /* suspects in their last call at a time; others wait */
    SWIM_HEALTH_MAX = 8, /* worst */
};
#define SWIM_COUNT_MAX (UINT32_MAX - 1)
#define SWIM_NEVER_NS UINT64_MAX

/** What a member is, in somebody's view. The numbers travel, and among the last three the larger one wins. */
enum swim_state {
    SWIM_ALIVE = 1,
    SWIM_SUSPECT = 2, /* silent */
    SWIM_DEAD = 3, /* called dead by a member after its last call */
    SWIM_LEFT = 4, /* said so itself */
    SWIM_CONFIRMED =
        5, /* dead, says somebody who knows: its host reaped the process, or the system's map excludes it */
};

/** Settings; swim_cfg_init() fills in what a system of up to some thousand engines wants. Members of one group should have the same. */
struct swim_cfg {
    struct rank rank; /* of this member */
    uint64_t life; /* not 0; larger than that of every earlier process of this rank */
    uint64_t period_ns; /* 1 ms..10 s between probes */
    uint64_t ack_ns; /* below period_ns: an answer to a ping later than this makes it ask helpers */
    uint64_t late_ns; /* a tick that comes later than this casts doubt on oneself */
    uint64_t suspect_min_ns; /* silence until the verdict when enough agree; at least twice the last calls */
    uint64_t suspect_max_ns; /* when nobody does */
    uint64_t lastcall_ns; /* between two last calls; each member makes SWIM_LASTCALL_TRIES */
    uint32_t helpers_nr; /* 1..SWIM_HELPERS_NR_MAX asked to ping for one */
    uint32_t agree_nr; /* 0..SWIM_ACCUSERS_NR_MAX-1 further accusers that make a suspicion shortest */
    uint32_t sends_mult; /* 1..5: news is sent this times 1 + the decimal digits of the group's size */
    uint32_t silent_pct_max; /* 1..49: more silent at once is no verdict on them (SWM-4) */
};
enum { SWIM_LASTCALL_TRIES = 3 };

enum swim_event_kind {
    SWIM_EV_JOINED, /* a rank, or a later life of it; the earlier life has ended */
    SWIM_EV_SUSPECTED,
    SWIM_EV_REFUTED, /* a suspected one was heard */
    SWIM_EV_DEAD,
    SWIM_EV_LEFT,
    SWIM_EV_CONFIRMED,
    SWIM_EV_EXCLUDED, /* oneself: the others say that this life has ended, or a later one has begun. Nothing is sent any more */
    SWIM_EV_GONE, /* oneself: the others were told of swim_leave(). Nothing is sent any more */
    SWIM_EV_DISTRUST_ON, /* too many are silent to believe it (SWM-4): verdicts stop */
    SWIM_EV_DISTRUST_OFF,
};

struct swim_event {
    enum swim_event_kind kind;
    struct rank rank; /* whom it is about */
    uint64_t life;
};

/** The outside world. Called inside the functions below; borrowed for the call. */
struct swim_ops {
    /* Send without waiting; may be lost, late, twice. The first argument is the one of swim_create(). */
    void (*send)(void *arg, struct rank to, const void *msg, size_t len);
    void (*event)(void *arg, const struct swim_event *ev);
    uint64_t (*random)(void *arg); /* uniform 64 bits */
};

struct swim_member_info {
    struct rank rank;
    enum swim_state state;
    uint64_t life;
    uint32_t count; /* refutations in this life */
};

/** Counters since swim_create(). */
struct swim_stats {
    uint64_t probes; /* begun */
    uint64_t indirect; /* in which helpers were asked */
    uint64_t failed; /* without any answer */
    uint64_t doubtful; /* of these: no helper answered either, nobody was accused */
    uint64_t accusations; /* by this member */
    uint64_t suspicions; /* heard of or own */
    uint64_t refuted; /* suspicions of others that ended well */
    uint64_t objections; /* to suspicions of oneself */
    uint64_t lastcalls; /* begun */
    uint64_t unwitnessed; /* last calls that proved nothing */
    uint64_t verdicts; /* by this member */
    uint64_t held; /* verdicts of others not believed, too many at once (SWM-4) */
    uint64_t late; /* ticks later than late_ns */
    uint64_t sent, received, malformed, stale, dropped;
};

/** Usual settings for a member. */
void swim_cfg_init(struct swim_cfg *cfg, struct rank rank, uint64_t life);

/** -DER_INVAL when a setting is out of its range, else 0. */
CAIRN_MUST_CHECK int swim_cfg_check(const struct swim_cfg *cfg);

/**
 * A member alone in its group. `now_ns` is any monotonic clock that goes on while the process stops (CLOCK_BOOTTIME). cfg and ops are copied. *ret_swim
 * returns owned: free with swim_destroy(). Errors: INVAL, NOMEM.
 */
CAIRN_MUST_CHECK int swim_create(const struct swim_cfg *cfg, const struct swim_ops *ops, void *arg,
    uint64_t now_ns, struct swim **ret_swim);

/** Free it, without a word to others; NULL is fine. */
void swim_destroy(struct swim *sw);

/**
 * A member that the system's map names, with its life: one to begin with, or a new one. Not passed on. A life that is known, or older than what is known,
 * changes nothing. Errors: INVAL oneself, a rank or life out of range; OVERFLOW SWIM_MEMBERS_MAX; NOMEM.
 */
CAIRN_MUST_CHECK int swim_add(struct swim *sw, uint64_t now_ns, struct rank rank, uint64_t life);

/**
 * This life has certainly ended: its host reaped the process, or the system's map excludes it. Believed at once, passed on with priority, and not counted
 * among the newly dead of SWM-4 any more. Errors as swim_add(); of oneself: SWIM_EV_EXCLUDED, when the life is one's own or later.
 */
CAIRN_MUST_CHECK int
swim_confirm_dead(struct swim *sw, uint64_t now_ns, struct rank rank, uint64_t life);

/** Leave: the others are told for some periods, then SWIM_EV_GONE. */
void swim_leave(struct swim *sw, uint64_t now_ns);

/** Do what is due. To be called at swim_due_ns() or soon after; earlier is harmless. */
void swim_tick(struct swim *sw, uint64_t now_ns);

/** When swim_tick() is to be called next (may change in every call); SWIM_NEVER_NS: never. */
uint64_t swim_due_ns(const struct swim *sw);

/**
 * A message from another member, whole, as sent; hostile until checked (SWM-6). Errors: PROTO malformed; MISMATCH another version; INVAL not for this
 * member, or by itself; OVERFLOW, NOMEM no room for a new member. With an error nothing was believed.
 */
CAIRN_MUST_CHECK int swim_recv(struct swim *sw, uint64_t now_ns, const void *msg, size_t len);

/** What is known of a rank. Errors: NONEXIST. */
CAIRN_MUST_CHECK int
swim_member(const struct swim *sw, struct rank rank, struct swim_member_info *ret_info);

/** Members ever heard of, oneself first (idx 0), and one of them. */
uint32_t swim_members_nr(const struct swim *sw);
void swim_member_at(const struct swim *sw, uint32_t idx, struct swim_member_info *ret_info);

/** One's own health: 0 good, to SWIM_HEALTH_MAX. One's timeouts are 1 + this times as long. */
uint32_t swim_health(const struct swim *sw);

/** Whether verdicts are held back (SWM-4). */
bool swim_distrusts(const struct swim *sw);

const struct swim_stats *swim_stats(const struct swim *sw);

/** "alive", ...; "?" for other numbers. */
const char *swim_state_name(enum swim_state state);

#endif
