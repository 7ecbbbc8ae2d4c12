/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the files of swim share.
 *
 * Members stand in an array; a slot is a place in it and never changes, slot 0 is oneself. Ranks find their slot through slot_of[]. Nothing is freed but
 * with the whole: a member that ended stays as a tombstone, so that late news of it finds that it ended (SWM-1), until a later life takes its place.
 *
 *   swim_table.c    members, the rules by which news changes them
 *   swim_gossip.c   the queue of news, and the writing of messages
 *   swim_probe.c    probes, own health, suspicions, last calls, verdicts
 *   swim.c          life of a member, messages that come in
 */
#ifndef CAIRN_SWIM_PRIV_H
#define CAIRN_SWIM_PRIV_H

#include "base/assert.h"
#include "base/util.h"
#include "swim/swim.h"
#include "swim/swim_wire.h"

#define SWIM_SLOT_NONE UINT32_MAX
enum {
    SWIM_SELF = 0, /* slot */
    SWIM_SENDS_NR_MAX = 30, /* 5 times 1 + 5 digits */
    SWIM_NEWS_NR_MAX = (SWIM_MSG_BYTES_MAX - SWIM_HEAD_BYTES) / SWIM_NEWS_BYTES,
    SWIM_NOTES_NR = 4, /* members that are told at once of what matters */
    SWIM_SILENT_FEW = 2, /* of SWM-4: so many are always believed, if they are less than half */
    SWIM_FILL_ROUNDS_NR =
        3, /* answers with everything that told nothing new end the asking for everything */
};

/* One member. Queued: linked into news[sends]; a member is queued once, its news is what is known of it when a message is written. */
struct swim_member {
    uint64_t life;
    uint32_t rank;
    uint32_t count;
    uint32_t next, prev; /* slots, in a list of news */
    uint32_t suspect; /* place in suspects[], SWIM_SLOT_NONE: not suspected */
    uint8_t sends; /* how often its news was sent; UINT8_MAX: not queued */
    uint8_t state; /* enum swim_state; 0: of this life nothing is known yet */
    bool in_order; /* has a place in order[] */
};
CAIRN_STATIC_ASSERT(sizeof(struct swim_member) == 32, "two in a cache line");

/*
 * One suspicion. Silence began at since_ns; the verdict is due when it has lasted long enough and a last call of this member found nobody:
 *
 *    waiting --(silence = timeout - last calls)--> calling 1, 2, 3 --(lastcall_ns after the third)--> DEAD
 *       ^                                             |
 *       +- own tick late; too many silent; few helpers were heard ----+         any sign of a larger count: the suspicion ends
 */
struct swim_suspect {
    uint64_t since_ns;
    uint64_t next_ns; /* when to look again */
    uint32_t slot;
    uint32_t seq_first; /* of its last calls */
    uint32_t accusers[SWIM_ACCUSERS_NR_MAX];
    uint8_t accusers_nr; /* at least 1 */
    uint8_t calls_nr;
    uint8_t asked_nr, heard_nr; /* helpers, in these calls */
    bool is_calling;
};

/* The probe of this period. */
struct swim_probe {
    enum { PROBE_IDLE, PROBE_DIRECT, PROBE_HELPED } stage;
    uint32_t slot;
    uint32_t seq;
    uint64_t life; /* of the target, when it began */
    uint64_t start_ns;
    uint64_t deadline_ns; /* of the stage */
    uint8_t asked_nr;
    uint8_t heard_nr;
};

struct swim_list {
    uint32_t head, tail;
};

struct swim {
    struct swim_cfg cfg;
    struct swim_ops ops;
    void *arg;
    uint64_t now_ns;
    uint64_t due_ns; /* what the caller was told */
    uint64_t excused_ns; /* lateness until then was noticed */
    uint64_t period_at_ns; /* next probe begins */
    uint64_t suspects_at_ns; /* the earliest next_ns, or earlier */
    uint32_t seq; /* of the last question; 0 is nobody's */
    uint32_t health;
    bool distrusts, is_leaving, is_over;
    uint8_t fill_rounds; /* left, of asking for everything */

    struct swim_member *members;
    uint32_t *order; /* slots in the order of probing; [order_at, order_nr) are to come in this round */
    struct swim_suspect *suspects;
    uint32_t members_nr, members_cap; /* of all three arrays */
    uint32_t order_nr, order_at;
    uint32_t suspects_nr, alive_nr, dead_nr; /* without oneself; dead: not confirmed */
    uint32_t *slot_of;
    uint32_t ranks_cap;

    struct swim_list news[SWIM_SENDS_NR_MAX];
    uint32_t queued_nr; /* in all lists */
    uint32_t sends_max; /* by the group's size */
    uint32_t fill_at; /* slot whose news comes next where there is room */
    uint32_t echo_nr; /* of the message being served: members of whom its sender knows what we know */
    uint32_t echo[SWIM_NEWS_NR_MAX];
    struct swim_probe probe;
    struct swim_stats stats;
};

static inline enum swim_state
swim_state_of(const struct swim_member *m)
{
    return (enum swim_state)m->state;
}

static inline uint32_t
swim_slot_find(const struct swim *sw, uint32_t rank)
{
    return rank < sw->ranks_cap ? sw->slot_of[rank] : SWIM_SLOT_NONE;
}

/* Those that may answer, oneself, and the dead that nobody confirmed. */
static inline uint32_t
swim_group_nr(const struct swim *sw)
{
    return 1 + sw->alive_nr + sw->suspects_nr + sw->dead_nr;
}

static inline void
swim_tell(struct swim *sw, enum swim_event_kind kind, const struct swim_member *m)
{
    struct swim_event ev = {.kind = kind, .rank = {m->rank}, .life = m->life};

    sw->ops.event(sw->arg, &ev);
}

/* ---- swim_table.c ---- */

/* What news does to what is known of the same life. */
enum swim_rule {
    SWIM_KEEP, /* nothing */
    SWIM_NEWER, /* believed when its count is larger */
    SWIM_NOT_OLDER, /* ... or equal */
    SWIM_MERGE, /* NEWER; with the same count the accusers join */
    SWIM_TAKE, /* believed */
    SWIM_VERDICT, /* believed, unless too many are newly dead (SWM-4): then a suspicion of the same count */
};

/* The table of README.md; known: an enum swim_state, 0: nothing. */
enum swim_rule swim_rule_of(uint32_t known, uint32_t news);

CAIRN_MUST_CHECK int swim_table_init(struct swim *sw);
void swim_table_fini(struct swim *sw);

/* Room for a member of that rank. Errors: OVERFLOW, NOMEM. */
CAIRN_MUST_CHECK int swim_table_reserve(struct swim *sw, uint32_t rank);

/* A member of which nothing is known yet; there is room. */
uint32_t swim_table_put(struct swim *sw, uint32_t rank, uint64_t life);

/* Believe one piece of news that `from` told (checked). Errors: OVERFLOW, NOMEM: not believed. */
CAIRN_MUST_CHECK int swim_learn(struct swim *sw, const struct swim_news *n, uint32_t from);

/* Change the state of a life; asserts that the table of moves allows it. */
void swim_move(struct swim_member *m, enum swim_state state);

/* A member becomes something else: lists, counters and events follow. Queued as news if is_news. */
void swim_become(struct swim *sw, uint32_t slot, enum swim_state state, bool is_news);

/* How many may be silent or newly dead at once (SWM-4). */
uint32_t swim_silent_max(const struct swim *sw);

/* ---- swim_gossip.c ---- */

void swim_gossip_init(struct swim *sw);
/* Its news is new: to be sent sends_max times. */
void swim_gossip_put(struct swim *sw, uint32_t slot);
/* It need not be sent any more. */
void swim_gossip_drop(struct swim *sw, uint32_t slot);
/* The group has another size. */
void swim_gossip_resize(struct swim *sw);
/* Write a message of that head with news, and send it to a member. */
void swim_send(struct swim *sw, uint32_t to_slot, struct swim_head head);
/* News alone, to some members. */
void swim_notes(struct swim *sw, uint32_t about_slot);

/* ---- swim_probe.c ---- */

void swim_probe_tick(struct swim *sw);
/* Ticks came late by that much. */
void swim_probe_late(struct swim *sw, uint64_t late_ns);
void swim_probe_ack(struct swim *sw, uint32_t slot, uint32_t seq);
void swim_probe_heard(struct swim *sw, uint32_t target_slot, uint32_t seq);
void swim_probe_ask(struct swim *sw, uint32_t from_slot, const struct swim_head *h);
void swim_health_add(struct swim *sw, uint32_t worse);
/* A suspicion of slot begins, or another accuser joins it (rank). Returns whether that was new. */
bool swim_suspect_add(struct swim *sw, uint32_t slot, uint64_t since_ns, uint32_t accuser);
void swim_suspect_end(struct swim *sw, uint32_t slot);
/* Random slot of a member that is alive, different from not_slot; scans on from a random place. SWIM_SLOT_NONE: none. */
uint32_t swim_pick(struct swim *sw, uint32_t not_slot, const uint32_t *nor, uint32_t nor_nr);
void swim_distrust_check(struct swim *sw);

#endif
