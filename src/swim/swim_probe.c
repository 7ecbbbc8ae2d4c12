/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim_probe: the failure detector.
 *
 *   period begins     ack_ns               period_ns                  (both times 1 + own health)
 *      |--- ping ------|-- ping, ASK k ------|
 *          an ACK from the target ends it    nobody: accuse, unless no helper said HEARD either
 *
 * Own health (Lifeguard, 3.1): worse by one for a failed probe in which a helper kept silent, too, for a suspicion of oneself, and by the lateness of own
 * ticks; better by one for each probe that was answered. It lengthens the stages of a probe and the time until a verdict.
 *
 * Silence until a verdict (Lifeguard, 3.2): suspect_max_ns with one accuser, suspect_min_ns with 1 + agree_nr of them, in between by the logarithm of their
 * number. It is counted from the first ping without an answer, whose age travels with the suspicion, so that all members come to a verdict at nearly the
 * same time, however late they heard. Before it each makes its own last calls (struct swim_suspect, SWM-3).
 */
#include "swim/swim_priv.h"

/* ---- own health, trust ---- */

void
swim_health_add(struct swim *sw, uint32_t worse)
{
    sw->health = MIN(sw->health + MIN(worse, (uint32_t)SWIM_HEALTH_MAX), (uint32_t)SWIM_HEALTH_MAX);
}

void
swim_distrust_check(struct swim *sw)
{
    bool is_over = sw->suspects_nr > 0 && sw->suspects_nr + sw->dead_nr > swim_silent_max(sw);

    if (is_over == sw->distrusts)
        return;
    sw->distrusts = is_over;
    swim_tell(
        sw, sw->distrusts ? SWIM_EV_DISTRUST_ON : SWIM_EV_DISTRUST_OFF, &sw->members[SWIM_SELF]);
}

static uint32_t
seq_next(struct swim *sw)
{
    sw->seq = sw->seq == UINT32_MAX ? 1 : sw->seq + 1;
    return sw->seq;
}

/* ---- choosing ---- */

uint32_t
swim_pick(struct swim *sw, uint32_t not_slot, const uint32_t *nor, uint32_t nor_nr)
{
    uint32_t others = sw->members_nr - 1;
    uint32_t at;

    if (others == 0)
        return SWIM_SLOT_NONE;
    at = (uint32_t)(sw->ops.random(sw->arg) % others);
    for (uint32_t i = 0; i < others; i++) {
        uint32_t slot = 1 + (at + i < others ? at + i : at + i - others);
        bool is_free = slot != not_slot && swim_state_of(&sw->members[slot]) == SWIM_ALIVE;

        for (uint32_t j = 0; j < nor_nr && is_free; j++) {
            is_free = nor[j] != slot;
        }
        if (is_free)
            return slot;
    }
    return SWIM_SLOT_NONE;
}

/* A new round: all that may answer, in a new random order (SWIM, 4.3), so that nobody waits longer than two rounds. */
static void
order_renew(struct swim *sw)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < sw->order_nr; i++) {
        struct swim_member *m = &sw->members[sw->order[i]];

        if (swim_state_of(m) == SWIM_ALIVE || swim_state_of(m) == SWIM_SUSPECT) {
            sw->order[nr++] = sw->order[i];
        } else {
            m->in_order = false;
        }
    }
    for (uint32_t i = nr; i > 1; i--) {
        uint32_t j = (uint32_t)(sw->ops.random(sw->arg) % i);
        uint32_t slot = sw->order[i - 1];

        sw->order[i - 1] = sw->order[j];
        sw->order[j] = slot;
    }
    sw->order_nr = nr;
    sw->order_at = 0;
}

static uint32_t
target_next(struct swim *sw)
{
    for (uint32_t round = 0; round < 2; round++) {
        while (sw->order_at < sw->order_nr) {
            uint32_t slot = sw->order[sw->order_at++];
            enum swim_state state = swim_state_of(&sw->members[slot]);

            if (state == SWIM_ALIVE || state == SWIM_SUSPECT)
                return slot;
        }
        order_renew(sw);
    }
    return SWIM_SLOT_NONE;
}

/* ---- questions ---- */

static void
ping(struct swim *sw, uint32_t slot, uint32_t seq)
{
    swim_send(sw, slot,
        (struct swim_head){.kind = SWIM_PING,
            .flags = sw->fill_rounds > 0 ? SWIM_WANT_ALL : 0,
            .origin = sw->cfg.rank.v,
            .target = sw->members[slot].rank,
            .seq = seq});
}

/* Ask helpers to ping slot; returns how many there were. */
static uint32_t
ask(struct swim *sw, uint32_t slot, uint32_t seq)
{
    uint32_t helpers[SWIM_HELPERS_NR_MAX];

    for (uint32_t i = 0; i < sw->cfg.helpers_nr; i++) {
        helpers[i] = swim_pick(sw, slot, helpers, i);
        if (helpers[i] == SWIM_SLOT_NONE)
            return i;
        swim_send(sw, helpers[i],
            (struct swim_head){.kind = SWIM_ASK,
                .origin = sw->cfg.rank.v,
                .target = sw->members[slot].rank,
                .seq = seq});
    }
    return sw->cfg.helpers_nr;
}

/* Somebody asks us to ping another: without keeping anything of it. */
void
swim_probe_ask(struct swim *sw, uint32_t from_slot, const struct swim_head *h)
{
    uint32_t slot = swim_slot_find(sw, h->target);

    swim_send(sw, from_slot,
        (struct swim_head){
            .kind = SWIM_HEARD, .origin = h->origin, .target = h->target, .seq = h->seq});
    if (slot == SWIM_SLOT_NONE)
        return;
    swim_send(sw, slot,
        (struct swim_head){
            .kind = SWIM_PING, .origin = h->origin, .target = h->target, .seq = h->seq});
}

/* ---- suspicions ---- */

/* Silence of that suspect until it is called dead. */
static uint64_t
timeout_of(const struct swim *sw, const struct swim_suspect *s)
{
    /* log(c + 1) / log(k + 1) in thousandths; c further accusers of k that are wanted. */
    static const uint16_t parts[SWIM_ACCUSERS_NR_MAX][SWIM_ACCUSERS_NR_MAX] = {
        {1000, 1000, 1000}, {0, 1000, 1000}, {0, 631, 1000}};
    uint32_t others =
        sw->alive_nr + sw->suspects_nr; /* one of them is the suspect: it accuses nobody */
    uint32_t wanted = MIN(sw->cfg.agree_nr, others > 1 ? others - 1 : 0);
    uint64_t range_ns = sw->cfg.suspect_max_ns - sw->cfg.suspect_min_ns;

    return (sw->cfg.suspect_max_ns - range_ns * parts[wanted][s->accusers_nr - 1] / 1000) *
        (1 + sw->health);
}

static uint64_t
calling_at_ns(const struct swim *sw, const struct swim_suspect *s)
{
    return s->since_ns + timeout_of(sw, s) - SWIM_LASTCALL_TRIES * sw->cfg.lastcall_ns;
}

static void
look_at(struct swim *sw, struct swim_suspect *s, uint64_t at_ns)
{
    s->next_ns = at_ns;
    sw->suspects_at_ns = MIN(sw->suspects_at_ns, at_ns);
}

bool
swim_suspect_add(struct swim *sw, uint32_t slot, uint64_t since_ns, uint32_t accuser)
{
    struct swim_member *m = &sw->members[slot];
    struct swim_suspect *s;

    CAIRN_ASSERT(swim_state_of(m) == SWIM_SUSPECT);
    if (m->suspect == SWIM_SLOT_NONE) {
        m->suspect = sw->suspects_nr++;
        sw->suspects[m->suspect] = (struct swim_suspect){.slot = slot, .since_ns = since_ns};
    }
    s = &sw->suspects[m->suspect];
    s->since_ns = MIN(s->since_ns, since_ns);
    for (uint32_t i = 0; i < s->accusers_nr; i++) {
        if (s->accusers[i] == accuser)
            return false;
    }
    if (s->accusers_nr > sw->cfg.agree_nr)
        return false;
    s->accusers[s->accusers_nr++] = accuser;
    if (!s->is_calling)
        look_at(sw, s, calling_at_ns(sw, s));
    return true;
}

void
swim_suspect_end(struct swim *sw, uint32_t slot)
{
    struct swim_member *m = &sw->members[slot];
    uint32_t at = m->suspect;

    CAIRN_ASSERT(at < sw->suspects_nr);
    sw->suspects_nr--;
    if (at != sw->suspects_nr) {
        sw->suspects[at] = sw->suspects[sw->suspects_nr];
        sw->members[sw->suspects[at].slot].suspect = at;
    }
    m->suspect = SWIM_SLOT_NONE;
}

/* This member's own probe found only silence since since_ns: its beginning, but no more than a period; a probe that own ill health made long proves no more. */
static void
accuse(struct swim *sw, uint32_t slot, uint64_t since_ns)
{
    struct swim_member *m = &sw->members[slot];

    sw->stats.accusations++;
    if (swim_state_of(m) == SWIM_ALIVE) {
        swim_become(sw, slot, SWIM_SUSPECT, true);
        sw->stats.suspicions++;
    }
    if (swim_suspect_add(sw, slot, since_ns, sw->cfg.rank.v))
        swim_gossip_put(sw, slot);
    ping(sw, slot,
        0); /* it is to know first, and surely: it may stop a moment later, and not object in time */
    CAIRN_IGNORE(ask(sw, slot, 0));
}

static uint32_t
calling_nr(const struct swim *sw)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < sw->suspects_nr; i++) {
        nr += sw->suspects[i].is_calling;
    }
    return nr;
}

/* The last calls were not answered. */
static void
lastcalls_end(struct swim *sw, struct swim_suspect *s)
{
    s->is_calling = false;
    if (s->asked_nr == 0 || 2 * s->heard_nr < s->asked_nr) { /* is it we who are not heard? */
        sw->stats.unwitnessed++;
        swim_health_add(sw, 1);
        look_at(sw, s, sw->now_ns + sw->cfg.lastcall_ns);
        return;
    }
    sw->stats.verdicts++;
    swim_become(sw, s->slot, SWIM_DEAD, true);
}

static void
suspect_step(struct swim *sw, struct swim_suspect *s)
{
    uint64_t at_ns;

    if (sw->suspects_nr + sw->dead_nr > swim_silent_max(sw)) {
        s->is_calling = false;
        look_at(sw, s, sw->now_ns + sw->cfg.period_ns);
        return;
    }
    if (!s->is_calling) {
        at_ns = calling_at_ns(sw, s);
        if (at_ns <= sw->now_ns && calling_nr(sw) >= SWIM_LASTCALLS_NR_MAX)
            at_ns = sw->now_ns + sw->cfg.lastcall_ns;
        if (at_ns > sw->now_ns) {
            look_at(sw, s, at_ns);
            return;
        }
        s->is_calling = true;
        s->asked_nr = s->heard_nr = s->calls_nr = 0;
        s->seq_first = seq_next(sw);
        sw->stats.lastcalls++;
    } else if (s->calls_nr == SWIM_LASTCALL_TRIES) {
        lastcalls_end(sw, s);
        return;
    } else {
        CAIRN_IGNORE(seq_next(sw));
    }
    s->calls_nr++;
    ping(sw, s->slot, sw->seq);
    s->asked_nr += (uint8_t)ask(sw, s->slot, sw->seq);
    look_at(sw, s, sw->now_ns + sw->cfg.lastcall_ns);
}

static void
suspects_tick(struct swim *sw)
{
    uint64_t at_ns = SWIM_NEVER_NS;

    if (sw->now_ns < sw->suspects_at_ns)
        return;
    /* Backwards: one that ends gives its place to the last. */
    for (uint32_t i = sw->suspects_nr; i > 0; i--) {
        if (sw->suspects[i - 1].next_ns <= sw->now_ns)
            suspect_step(sw, &sw->suspects[i - 1]);
    }
    for (uint32_t i = 0; i < sw->suspects_nr; i++) {
        at_ns = MIN(at_ns, sw->suspects[i].next_ns);
    }
    sw->suspects_at_ns = at_ns;
}

/* ---- the probe of a period ---- */

static void
probe_begin(struct swim *sw)
{
    struct swim_probe *p = &sw->probe;

    sw->period_at_ns = sw->now_ns + sw->cfg.period_ns;
    swim_distrust_check(sw);
    if (sw->fill_rounds == 0 && sw->members_nr == 1)
        return;
    p->slot = target_next(sw);
    if (p->slot == SWIM_SLOT_NONE)
        return;
    sw->stats.probes++;
    p->stage = PROBE_DIRECT;
    p->seq = seq_next(sw);
    p->life = sw->members[p->slot].life;
    p->start_ns = sw->now_ns;
    p->deadline_ns = sw->now_ns + sw->cfg.ack_ns * (1 + sw->health);
    p->asked_nr = 0;
    p->heard_nr = 0;
    ping(sw, p->slot, p->seq);
}

static void
probe_help(struct swim *sw)
{
    struct swim_probe *p = &sw->probe;

    sw->stats.indirect++;
    p->stage = PROBE_HELPED;
    p->deadline_ns = sw->now_ns + (sw->cfg.period_ns - sw->cfg.ack_ns) * (1 + sw->health);
    ping(sw, p->slot, p->seq);
    p->asked_nr = (uint8_t)ask(sw, p->slot, p->seq);
}

static void
probe_fail(struct swim *sw)
{
    struct swim_probe *p = &sw->probe;
    struct swim_member *m = &sw->members[p->slot];
    enum swim_state state = swim_state_of(m);

    p->stage = PROBE_IDLE;
    sw->stats.failed++;
    if (p->heard_nr < p->asked_nr)
        swim_health_add(sw, 1);
    if (p->asked_nr > 0 && p->heard_nr == 0) { /* silence everywhere is our own */
        sw->stats.doubtful++;
        return;
    }
    if (m->life == p->life && (state == SWIM_ALIVE || state == SWIM_SUSPECT))
        accuse(sw, p->slot, MAX(p->start_ns, sw->now_ns - sw->cfg.period_ns));
}

void
swim_probe_ack(struct swim *sw, uint32_t slot, uint32_t seq)
{
    struct swim_probe *p = &sw->probe;

    if (p->stage == PROBE_IDLE || p->seq != seq || p->slot != slot)
        return;
    p->stage = PROBE_IDLE;
    if (sw->health > 0)
        sw->health--;
}

void
swim_probe_heard(struct swim *sw, uint32_t target_slot, uint32_t seq)
{
    struct swim_probe *p = &sw->probe;
    uint32_t at = sw->members[target_slot].suspect;

    if (p->stage == PROBE_HELPED && p->seq == seq && p->slot == target_slot) {
        p->heard_nr = (uint8_t)MIN(p->heard_nr + 1, p->asked_nr);
        return;
    }
    if (at != SWIM_SLOT_NONE && sw->suspects[at].is_calling &&
        (int32_t)(seq - sw->suspects[at].seq_first) >= 0) {
        sw->suspects[at].heard_nr += sw->suspects[at].heard_nr < sw->suspects[at].asked_nr;
    }
}

/*
 * This process did not run for some time: answers may lie waiting. What was asked gets its whole time again, last calls begin anew, and one's own verdicts
 * wait longer.
 */
void
swim_probe_late(struct swim *sw, uint64_t late_ns)
{
    struct swim_probe *p = &sw->probe;
    uint64_t worse = 1 + late_ns / sw->cfg.period_ns;

    sw->stats.late++;
    swim_health_add(sw, (uint32_t)MIN(worse, (uint64_t)SWIM_HEALTH_MAX));
    p->start_ns = sw->now_ns; /* nobody's silence was heard meanwhile */
    if (p->stage == PROBE_DIRECT) {
        p->deadline_ns = sw->now_ns + sw->cfg.ack_ns;
    } else if (p->stage == PROBE_HELPED)
        p->deadline_ns = sw->now_ns + sw->cfg.period_ns - sw->cfg.ack_ns;
    for (uint32_t i = 0; i < sw->suspects_nr; i++) {
        sw->suspects[i].is_calling = false;
        look_at(sw, &sw->suspects[i], sw->now_ns + sw->cfg.lastcall_ns);
    }
}

void
swim_probe_tick(struct swim *sw)
{
    struct swim_probe *p = &sw->probe;

    if (p->stage == PROBE_DIRECT && sw->now_ns >= p->deadline_ns)
        probe_help(sw);
    if (p->stage == PROBE_HELPED && sw->now_ns >= p->deadline_ns)
        probe_fail(sw);
    suspects_tick(sw);
    if (p->stage == PROBE_IDLE && sw->now_ns >= sw->period_at_ns)
        probe_begin(sw);
}
