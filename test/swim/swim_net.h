/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim_net: a group of swim members on a simulated network, in one thread. One seed fixes everything (SM-1): loss, delays, pauses, choices.
 *
 * Time goes in steps of 100 us on a wheel of 1.6 s; events of one step run in the order in which they were made. A message costs a copy and two list
 * operations, so that a thousand hours of a hundred members take minutes. What the network does: loses, delays (most up to 1 ms, some up to 20), and cuts.
 * What happens to members: pauses (messages wait for it, as in a socket), with or without their clock standing still; silent deaths; new lives.
 *
 * What is checked all the time: a verdict on a life that runs, while nothing was cut off, is false. Each verdict counts once for each member that hears it.
 */
#ifndef CAIRN_TEST_SWIM_NET_H
#define CAIRN_TEST_SWIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "swim/swim.h"

#define NET_MS UINT64_C(1000000)
#define NET_S UINT64_C(1000000000)
#define NET_STEP_NS UINT64_C(100000)

struct net_cfg {
    uint32_t nodes_nr;
    uint32_t loss_ppm;
    uint64_t pause_max_ns; /* one pause of 0..this in each minute of each member; 0: none */
    bool clocks_stop; /* the clock of who pauses stands still, too */
    uint32_t drift_ppm; /* clocks run faster or slower by up to that */
    void (*tune)(struct swim_cfg *cfg); /* other settings; may be NULL */
};

struct net_node {
    struct swim *sw;
    uint64_t life;
    uint64_t clock_off_ns; /* its clock: simulated time (and drift) plus this */
    int32_t ppm;
    uint64_t tick_step; /* when its tick is in the wheel, UINT64_MAX: not */
    uint64_t minute_ns; /* its current minute began */
    uint64_t paused_ns; /* since when, if paused */
    uint64_t lost_ns, lost_before_ns; /* time in pauses that ended; at the watched death */
    uint32_t pauses_nr;
    uint64_t learnt_ns; /* when it learnt of the watched death, 0: not yet */
    uint32_t held_head, held_tail; /* messages waiting for it */
    bool up, paused, excluded, gone;
    bool is_quiet; /* what is said of it is not checked: it was cut off */
    uint8_t side; /* of a cut */
};

enum net_cut {
    NET_CUT_NONE,
    NET_CUT_TWO_WAY,
    NET_CUT_ONE_WAY /* from side 0 to side 1 nothing arrives */
};

struct net_watch { /* a death, and who knows */
    uint32_t node;
    uint64_t life;
    uint64_t at_ns; /* 0: nothing watched */
    uint32_t missing_nr; /* up, and do not know */
    uint64_t all_ns; /* until all knew; 0: not yet */
    uint64_t awake_ns; /* the same without the time in which the slowest was paused */
};

struct net_sim {
    struct net_cfg cfg;
    struct rng rng;
    uint64_t step; /* now */
    struct net_node *nodes;
    enum net_cut cut;

    struct net_ev *evs; /* pool; index 0 is none */
    uint32_t evs_nr, evs_cap, evs_free;
    struct net_msg **msgs; /* pool */
    uint32_t msgs_nr, msgs_cap, msgs_free;
    struct net_slot *wheel;
    uint64_t *busy; /* bit per slot */
    uint32_t caller; /* node whose code runs */

    struct net_watch watch;
    uint64_t trace; /* hash of all that was told */
    uint64_t false_nr; /* verdicts on the living */
    uint64_t excluded_nr, distrust_nr, suspected_nr, refuted_nr, verdicts_nr, joined_nr;
    uint64_t sent_nr, lost_nr, bytes, pauses_nr;
};

/** A group in which everybody knows all others, with life 1 each. Aborts without memory. */
void net_init(struct net_sim *net, const struct net_cfg *cfg, uint64_t seed);
void net_fini(struct net_sim *net);

/** Go on for that long; or until the watched death is known to all, or max_ns are over. */
void net_run(struct net_sim *net, uint64_t ns);
void net_run_known(struct net_sim *net, uint64_t max_ns);
uint64_t net_now_ns(const struct net_sim *net);

/** Silent death, watched. */
void net_kill(struct net_sim *net, uint32_t node);
/** A later life of a dead one, which knows seeds_nr others (nodes_nr: all). */
void net_restart(struct net_sim *net, uint32_t node, uint32_t seeds_nr);
/** Stop one now, for that long. */
void net_pause(struct net_sim *net, uint32_t node, uint64_t ns);
/** Tell one of them that a death is confirmed. */
void net_confirm(struct net_sim *net, uint32_t teller, uint32_t node);
void net_leave(struct net_sim *net, uint32_t node);

/** How many of those that are up see that node's present life in that state. */
uint32_t net_seen_nr(const struct net_sim *net, uint32_t node, enum swim_state state);
/** All that are up see each other alive. */
bool net_all_alive(const struct net_sim *net);
uint32_t net_up_nr(const struct net_sim *net);

#endif
