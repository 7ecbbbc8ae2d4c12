/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim_table: the members, and what news changes. Two tables hold the rules: which news is believed about a life (rules[][], README.md shows it), and which
 * moves a life can make at all (moves[], checked at each one). Order of news does not matter: whoever heard the same ends with the same (swim_table_test.c).
 */
#include <stdlib.h>
#include <string.h>

#include "base/sm.h"
#include "swim/swim_priv.h"

enum { ALL_ENDS = SM_TO(SWIM_DEAD) | SM_TO(SWIM_LEFT) | SM_TO(SWIM_CONFIRMED) };

static const struct sm_state_def moves[] = {
    [0] = {"new", SM_TO(SWIM_ALIVE) | SM_TO(SWIM_SUSPECT) | ALL_ENDS},
    [SWIM_ALIVE] = {"alive", SM_TO(SWIM_SUSPECT) | ALL_ENDS},
    [SWIM_SUSPECT] = {"suspect", SM_TO(SWIM_ALIVE) | ALL_ENDS},
    [SWIM_DEAD] = {"dead", SM_TO(SWIM_LEFT) | SM_TO(SWIM_CONFIRMED)},
    [SWIM_LEFT] = {"left", SM_TO(SWIM_CONFIRMED)},
    [SWIM_CONFIRMED] = {"confirmed", 0},
};
static const struct sm_def life_def = {"swim member", moves, ARRAY_SIZE(moves)};

/* clang-format off */
static const uint8_t rules[6][6] = {
    /* known             news: -, ALIVE,      SUSPECT,        DEAD,         LEFT,      CONFIRMED */
    [0] =              {0, SWIM_TAKE,  SWIM_TAKE,      SWIM_VERDICT, SWIM_TAKE, SWIM_TAKE},
    [SWIM_ALIVE] =     {0, SWIM_NEWER, SWIM_NOT_OLDER, SWIM_VERDICT, SWIM_TAKE, SWIM_TAKE},
    [SWIM_SUSPECT] =   {0, SWIM_NEWER, SWIM_MERGE,     SWIM_VERDICT, SWIM_TAKE, SWIM_TAKE},
    [SWIM_DEAD] =      {0, SWIM_KEEP,  SWIM_KEEP,      SWIM_KEEP,    SWIM_TAKE, SWIM_TAKE},
    [SWIM_LEFT] =      {0, SWIM_KEEP,  SWIM_KEEP,      SWIM_KEEP,    SWIM_KEEP, SWIM_TAKE},
    [SWIM_CONFIRMED] = {0, SWIM_KEEP,  SWIM_KEEP,      SWIM_KEEP,    SWIM_KEEP, SWIM_KEEP},
};
/* clang-format on */

enum swim_rule
swim_rule_of(uint32_t known, uint32_t news)
{
    CAIRN_ASSERT(known <= SWIM_CONFIRMED);
    CAIRN_ASSERT(news >= SWIM_ALIVE && news <= SWIM_CONFIRMED);
    return (enum swim_rule)rules[known][news];
}

const char *
swim_state_name(enum swim_state state)
{
    return state >= SWIM_ALIVE && state <= SWIM_CONFIRMED ? moves[state].name : "?";
}

/* The state stands alone in the member, which is to be small. */
void
swim_move(struct swim_member *m, enum swim_state state)
{
    struct sm sm;

    sm_init(&sm, &life_def, m->state);
    sm_move(&sm, state);
    m->state = (uint8_t)state;
}

/* ---- room ---- */

static int
grow(void **array, size_t old_nr, size_t new_nr, size_t bytes)
{
    void *more = realloc(*array, new_nr * bytes);

    if (more == NULL)
        return CAIRN_ERR(NOMEM);
    memset((char *)more + old_nr * bytes, 0, (new_nr - old_nr) * bytes);
    *array = more;
    return 0;
}

static int
members_grow(struct swim *sw)
{
    uint32_t nr = MIN(MAX(sw->members_cap * 2, 8u), SWIM_MEMBERS_MAX);
    uint32_t old = sw->members_cap;
    int rc;

    rc = grow((void **)&sw->members, old, nr, sizeof(*sw->members));
    if (rc == 0)
        rc = grow((void **)&sw->order, old, nr, sizeof(*sw->order));
    if (rc == 0)
        rc = grow((void **)&sw->suspects, old, nr, sizeof(*sw->suspects));
    if (rc == 0)
        sw->members_cap = nr;
    return rc;
}

static int
ranks_grow(struct swim *sw, uint32_t rank)
{
    uint32_t nr = MAX(sw->ranks_cap, 16u);
    int rc;

    while (nr <= rank) {
        nr *= 2;
    }
    rc = grow((void **)&sw->slot_of, sw->ranks_cap, nr, sizeof(*sw->slot_of));
    if (rc != 0)
        return rc;
    for (uint32_t i = sw->ranks_cap; i < nr; i++) {
        sw->slot_of[i] = SWIM_SLOT_NONE;
    }
    sw->ranks_cap = nr;
    return 0;
}

int
swim_table_reserve(struct swim *sw, uint32_t rank)
{
    int rc = 0;

    CAIRN_ASSERT(rank < SWIM_RANKS_MAX);
    if (sw->members_nr == SWIM_MEMBERS_MAX)
        return CAIRN_ERR(OVERFLOW);
    if (sw->members_nr == sw->members_cap)
        rc = members_grow(sw);
    if (rc == 0 && rank >= sw->ranks_cap)
        rc = ranks_grow(sw, rank);
    return rc;
}

static void
member_begin(struct swim_member *m, uint64_t life)
{
    m->life = life;
    m->count = 0;
    m->suspect = SWIM_SLOT_NONE;
    m->state = 0;
}

uint32_t
swim_table_put(struct swim *sw, uint32_t rank, uint64_t life)
{
    uint32_t slot = sw->members_nr++;
    struct swim_member *m = &sw->members[slot];

    CAIRN_ASSERT(sw->slot_of[rank] == SWIM_SLOT_NONE);
    *m = (struct swim_member){.rank = rank, .sends = UINT8_MAX};
    member_begin(m, life);
    sw->slot_of[rank] = slot;
    return slot;
}

int
swim_table_init(struct swim *sw)
{
    int rc = swim_table_reserve(sw, sw->cfg.rank.v);

    if (rc != 0)
        return rc;
    CAIRN_IGNORE(swim_table_put(sw, sw->cfg.rank.v, sw->cfg.life)); /* slot 0 */
    swim_move(&sw->members[SWIM_SELF], SWIM_ALIVE);
    return 0;
}

void
swim_table_fini(struct swim *sw)
{
    free(sw->members);
    free(sw->order);
    free(sw->suspects);
    free(sw->slot_of);
}

/* ---- changes ---- */

uint32_t
swim_silent_max(const struct swim *sw)
{
    uint32_t nr = swim_group_nr(sw);
    uint32_t most = MAX(nr * sw->cfg.silent_pct_max / 100, (uint32_t)SWIM_SILENT_FEW);

    return MIN(most, (nr - 1) / 2);
}

/* A place among those to be probed, at random within this round (SWIM, 4.3). */
static void
order_put(struct swim *sw, uint32_t slot)
{
    uint32_t at;

    if (sw->members[slot].in_order)
        return;
    at = sw->order_at + (uint32_t)(sw->ops.random(sw->arg) % (sw->order_nr - sw->order_at + 1));
    sw->order[sw->order_nr++] = sw->order[at];
    sw->order[at] = slot;
    sw->members[slot].in_order = true;
}

static uint32_t *
counter_of(struct swim *sw, uint32_t state)
{
    switch (state) {
    case SWIM_ALIVE:
        return &sw->alive_nr;
    case SWIM_DEAD:
        return &sw->dead_nr;
    default:
        return NULL; /* suspects are counted where they stand */
    }
}

static enum swim_event_kind
event_of(uint32_t old, enum swim_state state)
{
    switch (state) {
    case SWIM_ALIVE:
        return old == SWIM_SUSPECT ? SWIM_EV_REFUTED : SWIM_EV_JOINED;
    case SWIM_SUSPECT:
        return SWIM_EV_SUSPECTED;
    case SWIM_DEAD:
        return SWIM_EV_DEAD;
    case SWIM_LEFT:
        return SWIM_EV_LEFT;
    case SWIM_CONFIRMED:
        break;
    }
    return SWIM_EV_CONFIRMED;
}

void
swim_become(struct swim *sw, uint32_t slot, enum swim_state state, bool is_news)
{
    struct swim_member *m = &sw->members[slot];
    uint32_t old = m->state;
    uint32_t *counter = counter_of(sw, old);

    CAIRN_ASSERT(slot != SWIM_SELF);
    if (counter != NULL)
        (*counter)--;
    if (old == SWIM_SUSPECT)
        swim_suspect_end(sw, slot);
    swim_move(m, state);
    counter = counter_of(sw, state);
    if (counter != NULL)
        (*counter)++;
    if (state == SWIM_ALIVE || state == SWIM_SUSPECT)
        order_put(sw, slot);
    swim_gossip_resize(sw);
    if (is_news)
        swim_gossip_put(sw, slot);
    if (old == 0 && state == SWIM_SUSPECT)
        swim_tell(sw, SWIM_EV_JOINED, m);
    swim_tell(sw, event_of(old, state), m);
}

/* The rank has a later life than the one known. */
static void
life_replace(struct swim *sw, uint32_t slot, uint64_t life)
{
    struct swim_member *m = &sw->members[slot];
    uint32_t *counter = counter_of(sw, m->state);

    if (counter != NULL)
        (*counter)--;
    if (swim_state_of(m) == SWIM_SUSPECT)
        swim_suspect_end(sw, slot);
    member_begin(m, life);
}

/* The others say that this life is over. */
static void
self_over(struct swim *sw)
{
    if (sw->is_over)
        return;
    sw->is_over = true;
    swim_tell(sw, SWIM_EV_EXCLUDED, &sw->members[SWIM_SELF]);
}

/* News about oneself: one objects to suspicions by a larger count (SWIM, 4.2), and gives in to verdicts (SWM-1). */
static void
self_learn(struct swim *sw, const struct swim_news *n)
{
    struct swim_member *m = &sw->members[SWIM_SELF];

    if (n->life < m->life)
        return;
    if (n->life > m->life) {
        self_over(sw);
        return;
    }
    switch ((enum swim_state)n->state) {
    case SWIM_ALIVE:
        m->count = MAX(m->count, n->count);
        return;
    case SWIM_SUSPECT:
        if (n->count < m->count || n->count == SWIM_COUNT_MAX || sw->is_leaving)
            return;
        m->count = n->count + 1;
        sw->stats.objections++;
        swim_health_add(sw, 1); /* Lifeguard: who is suspected was slow */
        swim_gossip_put(sw, SWIM_SELF);
        return;
    case SWIM_LEFT:
        if (!sw->is_leaving)
            self_over(sw);
        return;
    case SWIM_DEAD:
    case SWIM_CONFIRMED:
        self_over(sw);
        return;
    }
}

/* Silence, and its accusers, as told; each accuser that is new makes it news again. */
static void
suspicion_learn(struct swim *sw, uint32_t slot, const struct swim_news *n)
{
    uint64_t age_ns = n->age * SWIM_AGE_NS;
    uint64_t since_ns = sw->now_ns > age_ns ? sw->now_ns - age_ns : 0;
    bool is_new = false;

    for (uint32_t i = 0; i < n->accusers_nr; i++) {
        is_new |= swim_suspect_add(sw, slot, since_ns, n->accusers[i]);
    }
    if (is_new)
        swim_gossip_put(sw, slot);
}

static void
suspicion_begin(struct swim *sw, uint32_t slot, const struct swim_news *n)
{
    struct swim_member *m = &sw->members[slot];

    m->count = n->count;
    if (swim_state_of(m) == SWIM_SUSPECT) { /* a new suspicion after an objection that was missed */
        swim_suspect_end(sw, slot);
        suspicion_learn(sw, slot, n);
        return;
    }
    swim_become(sw, slot, SWIM_SUSPECT, true);
    suspicion_learn(sw, slot, n);
    sw->stats.suspicions++;
}

/* Somebody's verdict; too many of them at once are not believed, but looked into (SWM-4). */
static void
verdict_learn(struct swim *sw, uint32_t slot, const struct swim_news *n, uint32_t from)
{
    struct swim_member *m = &sw->members[slot];
    struct swim_news doubt = *n;

    if (sw->dead_nr + 1 <= swim_silent_max(sw)) {
        m->count = MAX(m->count, n->count);
        swim_become(sw, slot, SWIM_DEAD, true);
        return;
    }
    sw->stats.held++;
    if (swim_state_of(m) == SWIM_SUSPECT)
        return;
    doubt.state = SWIM_SUSPECT;
    doubt.count = MAX(m->count, n->count);
    doubt.age = 0;
    doubt.accusers_nr = 1;
    doubt.accusers[0] = from;
    suspicion_begin(sw, slot, &doubt);
}

static void
life_learn(struct swim *sw, uint32_t slot, const struct swim_news *n, uint32_t from)
{
    struct swim_member *m = &sw->members[slot];
    enum swim_rule rule = swim_rule_of(m->state, n->state);
    bool is_newer = n->count > m->count;

    if (rule == SWIM_KEEP)
        return;
    if (rule == SWIM_VERDICT) {
        verdict_learn(sw, slot, n, from);
        return;
    }
    if (rule == SWIM_NEWER && !is_newer)
        return;
    if ((rule == SWIM_NOT_OLDER || rule == SWIM_MERGE) && n->count < m->count)
        return;
    if (rule == SWIM_MERGE && !is_newer) {
        suspicion_learn(sw, slot, n);
        return;
    }
    if (n->state == SWIM_SUSPECT) {
        suspicion_begin(sw, slot, n);
        return;
    }
    m->count = MAX(m->count, n->count);
    if (swim_state_of(m) == SWIM_ALIVE && n->state == SWIM_ALIVE) {
        swim_gossip_put(sw, slot); /* an objection that overtook its suspicion */
        return;
    }
    swim_become(sw, slot, (enum swim_state)n->state, true);
}

int
swim_learn(struct swim *sw, const struct swim_news *n, uint32_t from)
{
    uint32_t slot = swim_slot_find(sw, n->rank);
    int rc;

    if (slot == SWIM_SELF) {
        self_learn(sw, n);
        return 0;
    }
    if (slot == SWIM_SLOT_NONE) {
        rc = swim_table_reserve(sw, n->rank);
        if (rc != 0)
            return rc;
        slot = swim_table_put(sw, n->rank, n->life);
    }
    if (n->life < sw->members[slot].life)
        return 0;
    if (n->life > sw->members[slot].life)
        life_replace(sw, slot, n->life);
    life_learn(sw, slot, n, from);
    return 0;
}
