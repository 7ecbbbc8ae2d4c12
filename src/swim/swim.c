/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim: the life of a member, and the messages that come in. Every call first looks at the clock: if the tick that was due is late, this process was
 * stopped or starved, and that is told to the failure detector before anything else is judged (MB-5).
 */
#include <stdlib.h>

#include "swim/swim_priv.h"

#define MS UINT64_C(1000000)

void
swim_cfg_init(struct swim_cfg *cfg, struct rank rank, uint64_t life)
{
    *cfg = (struct swim_cfg){
        .rank = rank,
        .life = life,
        .period_ns = 200 * MS,
        .ack_ns = 70 * MS,
        .late_ns = 100 * MS,
        .suspect_min_ns = 2600 * MS,
        .suspect_max_ns = 5200 * MS,
        .lastcall_ns = 200 * MS,
        .helpers_nr = 2,
        .agree_nr = 2,
        .sends_mult = 4,
        .silent_pct_max = 25,
    };
}

int
swim_cfg_check(const struct swim_cfg *cfg)
{
    const uint64_t longest_ns = 3600 * 1000 * MS;

    if (cfg->rank.v >= SWIM_RANKS_MAX || cfg->life == 0)
        return CAIRN_ERR(INVAL);
    if (cfg->period_ns < MS || cfg->period_ns > 10000 * MS)
        return CAIRN_ERR(INVAL);
    if (cfg->ack_ns == 0 || cfg->ack_ns >= cfg->period_ns || cfg->late_ns == 0)
        return CAIRN_ERR(INVAL);
    if (cfg->lastcall_ns == 0 || cfg->lastcall_ns > longest_ns)
        return CAIRN_ERR(INVAL);
    if (cfg->suspect_min_ns < 2 * SWIM_LASTCALL_TRIES * cfg->lastcall_ns)
        return CAIRN_ERR(INVAL);
    if (cfg->suspect_max_ns < cfg->suspect_min_ns || cfg->suspect_max_ns > longest_ns)
        return CAIRN_ERR(INVAL);
    if (cfg->helpers_nr == 0 || cfg->helpers_nr > SWIM_HELPERS_NR_MAX)
        return CAIRN_ERR(INVAL);
    if (cfg->agree_nr >= SWIM_ACCUSERS_NR_MAX || cfg->sends_mult == 0 || cfg->sends_mult > 5)
        return CAIRN_ERR(INVAL);
    if (cfg->silent_pct_max == 0 || cfg->silent_pct_max > 49)
        return CAIRN_ERR(INVAL);
    return 0;
}

/* ---- the clock ---- */

static void
due_renew(struct swim *sw)
{
    uint64_t at_ns = sw->probe.stage == PROBE_IDLE ? sw->period_at_ns : sw->probe.deadline_ns;

    sw->due_ns = sw->is_over ? SWIM_NEVER_NS : MIN(at_ns, sw->suspects_at_ns);
}

/* Begin of every call. A clock that runs back stands still. */
static void
clock_in(struct swim *sw, uint64_t now_ns)
{
    uint64_t due_ns = MAX(sw->due_ns, sw->excused_ns);

    sw->now_ns = MAX(sw->now_ns, now_ns);
    if (!sw->is_over && sw->now_ns > due_ns && sw->now_ns - due_ns > sw->cfg.late_ns) {
        sw->excused_ns = sw->now_ns;
        swim_probe_late(sw, sw->now_ns - due_ns);
    }
}

uint64_t
swim_due_ns(const struct swim *sw)
{
    return sw->due_ns;
}

void
swim_tick(struct swim *sw, uint64_t now_ns)
{
    clock_in(sw, now_ns);
    if (sw->is_over)
        return;
    swim_probe_tick(sw);
    if (sw->is_leaving && sw->members[SWIM_SELF].sends == UINT8_MAX) {
        sw->is_over = true;
        swim_tell(sw, SWIM_EV_GONE, &sw->members[SWIM_SELF]);
    }
    due_renew(sw);
}

/* ---- life ---- */

int
swim_create(const struct swim_cfg *cfg, const struct swim_ops *ops, void *arg, uint64_t now_ns,
    struct swim **ret_swim)
{
    struct swim *sw;
    int rc = swim_cfg_check(cfg);

    if (rc != 0)
        return rc;
    sw = calloc(1, sizeof(*sw));
    if (sw == NULL)
        return CAIRN_ERR(NOMEM);
    sw->cfg = *cfg;
    sw->ops = *ops;
    sw->arg = arg;
    sw->now_ns = now_ns;
    sw->suspects_at_ns = SWIM_NEVER_NS;
    sw->fill_rounds = SWIM_FILL_ROUNDS_NR;
    rc = swim_table_init(sw);
    if (rc != 0) {
        swim_destroy(sw);
        return rc;
    }
    swim_gossip_init(sw);
    swim_gossip_put(sw, SWIM_SELF);
    /* Members that start together do not probe together. */
    sw->period_at_ns = now_ns + ops->random(arg) % cfg->period_ns;
    due_renew(sw);
    *ret_swim = sw;
    return 0;
}

void
swim_destroy(struct swim *sw)
{
    if (sw == NULL)
        return;
    swim_table_fini(sw);
    free(sw);
}

/* What the caller knows, in the form in which others would say it. */
static int
told(struct swim *sw, struct rank rank, uint64_t life, enum swim_state state)
{
    struct swim_news n = {.rank = rank.v, .state = (uint8_t)state, .life = life};

    if (rank.v >= SWIM_RANKS_MAX || life == 0)
        return CAIRN_ERR(INVAL);
    return swim_learn(sw, &n, sw->cfg.rank.v);
}

int
swim_add(struct swim *sw, uint64_t now_ns, struct rank rank, uint64_t life)
{
    uint32_t slot;
    int rc;

    clock_in(sw, now_ns);
    if (rank_eq(rank, sw->cfg.rank))
        return CAIRN_ERR(INVAL);
    slot = swim_slot_find(sw, rank.v);
    if (slot != SWIM_SLOT_NONE && life <= sw->members[slot].life && life != 0)
        return 0;
    rc = told(sw, rank, life, SWIM_ALIVE);
    if (rc == 0)
        swim_gossip_drop(sw, swim_slot_find(sw, rank.v)); /* the others have the map, too */
    due_renew(sw);
    return rc;
}

int
swim_confirm_dead(struct swim *sw, uint64_t now_ns, struct rank rank, uint64_t life)
{
    uint32_t slot;
    int rc;

    clock_in(sw, now_ns);
    rc = told(sw, rank, life, SWIM_CONFIRMED);
    slot = rc == 0 ? swim_slot_find(sw, rank.v) : SWIM_SELF;
    if (slot != SWIM_SELF && sw->members[slot].life == life && !sw->is_over)
        swim_notes(sw, slot);
    due_renew(sw);
    return rc;
}

void
swim_leave(struct swim *sw, uint64_t now_ns)
{
    struct swim_member *self = &sw->members[SWIM_SELF];

    clock_in(sw, now_ns);
    if (sw->is_leaving || sw->is_over)
        return;
    sw->is_leaving = true;
    swim_move(self, SWIM_LEFT);
    swim_gossip_put(sw, SWIM_SELF);
    if (sw->alive_nr == 0) {
        sw->is_over = true;
        swim_tell(sw, SWIM_EV_GONE, self);
    } else {
        swim_notes(sw, SWIM_SELF);
    }
    due_renew(sw);
}

/* ---- messages ---- */

/*
 * The sender's slot. A later life takes the place of the one known, a larger count ends a suspicion. *ret_is_stale: a life that has ended speaks, which is
 * told so when it asks, and not believed.
 */
static int
sender_learn(struct swim *sw, const struct swim_head *h, uint32_t *ret_slot, bool *ret_is_stale)
{
    struct swim_news n = {.rank = h->from, .state = SWIM_ALIVE, .life = h->life, .count = h->count};
    uint32_t slot = swim_slot_find(sw, h->from);
    int rc;

    if (slot == SWIM_SLOT_NONE || h->life > sw->members[slot].life ||
        h->count > sw->members[slot].count) {
        rc = swim_learn(sw, &n, h->from);
        if (rc != 0)
            return rc;
        slot = swim_slot_find(sw, h->from);
    }
    *ret_slot = slot;
    *ret_is_stale =
        h->life < sw->members[slot].life || swim_state_of(&sw->members[slot]) >= SWIM_DEAD;
    return 0;
}

/* Believe what a message tells. Members for whom there is no room are left out. */
static void
news_learn(struct swim *sw, const struct swim_head *h, const uint8_t *msg)
{
    size_t off = SWIM_HEAD_BYTES;
    struct swim_news n;

    for (uint32_t i = 0; i < h->news_nr; i++) {
        const struct swim_member *m;

        off += swim_news_get(msg + off, &n);
        if (swim_learn(sw, &n, h->from) != 0) {
            sw->stats.dropped++;
            continue;
        }
        if (sw->is_over)
            return;
        m = &sw->members[swim_slot_find(sw, n.rank)];
        if (m->state == n.state && m->count == n.count && m->life == n.life)
            sw->echo[sw->echo_nr++] = (uint32_t)(m - sw->members);
    }
}

/* An answer to another's question, which that one could not get itself. */
static void
pass_on(struct swim *sw, const struct swim_head *h, const void *msg, size_t len)
{
    uint32_t slot = swim_slot_find(sw, h->origin);

    if (slot == SWIM_SLOT_NONE || h->origin == h->from)
        return;
    sw->stats.sent++;
    sw->ops.send(sw->arg, (struct rank){h->origin}, msg, len);
}

static void
answer(struct swim *sw, uint32_t slot, const struct swim_head *h)
{
    swim_send(sw, slot,
        (struct swim_head){.kind = SWIM_ACK,
            .flags = h->flags,
            .origin = h->origin,
            .target = sw->cfg.rank.v,
            .seq = h->seq});
}

static void
serve(struct swim *sw, uint32_t slot, const struct swim_head *h, const uint8_t *msg, size_t len)
{
    uint32_t self = sw->cfg.rank.v;
    uint32_t target = swim_slot_find(sw, h->target);

    switch ((enum swim_kind)h->kind) {
    case SWIM_PING:
        if (h->target == self)
            answer(sw, slot, h);
        return;
    case SWIM_ASK:
        if (h->target == self) {
            answer(sw, slot, h);
        } else {
            swim_probe_ask(sw, slot, h);
        }
        return;
    case SWIM_ACK:
        if (h->origin == self) {
            swim_probe_ack(sw, slot, h->seq);
        } else {
            pass_on(sw, h, msg, len);
        }
        return;
    case SWIM_HEARD:
        if (h->origin == self && target != SWIM_SLOT_NONE)
            swim_probe_heard(sw, target, h->seq);
        return;
    case SWIM_NOTE:
        return;
    }
}

/* A newcomer asks for everything until so many answers told nothing new, the more the larger the group is. */
static void
fill_round(struct swim *sw, const struct swim_head *h, uint32_t known)
{
    if (sw->fill_rounds == 0)
        return;
    if (sw->members_nr > known) {
        sw->fill_rounds = (uint8_t)MIN(SWIM_FILL_ROUNDS_NR + sw->members_nr / 12, UINT8_MAX);
    } else if (h->kind == SWIM_ACK)
        sw->fill_rounds--;
}

int
swim_recv(struct swim *sw, uint64_t now_ns, const void *msg, size_t len)
{
    struct swim_head h;
    uint32_t slot, known;
    bool is_stale;
    int rc = swim_wire_check(msg, len, &h);

    if (rc == 0 && h.from == sw->cfg.rank.v)
        rc = CAIRN_ERR(INVAL);
    if (rc != 0) {
        sw->stats.malformed++;
        return rc;
    }
    clock_in(sw, now_ns);
    sw->stats.received++;
    if (sw->is_over)
        return 0;
    known = sw->members_nr;
    rc = sender_learn(sw, &h, &slot, &is_stale);
    if (rc != 0) {
        sw->stats.dropped++;
        return rc;
    }
    if (is_stale) {
        sw->stats.stale++;
        sw->echo_nr = 0;
        if (h.kind == SWIM_PING && h.target == sw->cfg.rank.v)
            answer(sw, slot, &h);
        due_renew(sw);
        return 0;
    }
    sw->echo_nr = 0;
    news_learn(sw, &h, msg);
    fill_round(sw, &h, known);
    if (!sw->is_over)
        serve(sw, slot, &h, msg, len);
    due_renew(sw);
    return 0;
}

/* ---- looks ---- */

int
swim_member(const struct swim *sw, struct rank rank, struct swim_member_info *ret_info)
{
    uint32_t slot = swim_slot_find(sw, rank.v);

    if (slot == SWIM_SLOT_NONE)
        return CAIRN_ERR(NONEXIST);
    swim_member_at(sw, slot, ret_info);
    return 0;
}

uint32_t
swim_members_nr(const struct swim *sw)
{
    return sw->members_nr;
}

void
swim_member_at(const struct swim *sw, uint32_t idx, struct swim_member_info *ret_info)
{
    const struct swim_member *m;

    CAIRN_ASSERT(idx < sw->members_nr);
    m = &sw->members[idx];
    *ret_info = (struct swim_member_info){
        .rank = {m->rank}, .state = swim_state_of(m), .life = m->life, .count = m->count};
}

uint32_t
swim_health(const struct swim *sw)
{
    return sw->health;
}

bool
swim_distrusts(const struct swim *sw)
{
    return sw->distrusts;
}

const struct swim_stats *
swim_stats(const struct swim *sw)
{
    return &sw->stats;
}
