/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim_gossip: news waits in lists by how often it was sent; a message takes what was sent least (SWIM, 4.1), up to its size (SWM-5). A member stands in
 * one list at most, so the queue is as long as the group, and newer news takes the place of older. News is sent sends_max times by each that heard it, which
 * leaves out one in e^sends_max; for those, and for parts of a group that did not see each other, each message with room carries one more member in turn.
 */
#include "swim/swim_priv.h"

void
swim_gossip_init(struct swim *sw)
{
    for (uint32_t i = 0; i < SWIM_SENDS_NR_MAX; i++) {
        sw->news[i] = (struct swim_list){SWIM_SLOT_NONE, SWIM_SLOT_NONE};
    }
    swim_gossip_resize(sw);
}

void
swim_gossip_resize(struct swim *sw)
{
    uint32_t digits = 0;

    for (uint32_t nr = swim_group_nr(sw); nr > 0; nr /= 10) {
        digits++;
    }
    sw->sends_max = MIN(sw->cfg.sends_mult * (1 + digits), (uint32_t)SWIM_SENDS_NR_MAX);
}

static void
list_del(struct swim *sw, uint32_t slot)
{
    struct swim_member *m = &sw->members[slot];
    struct swim_list *list = &sw->news[m->sends];

    if (m->prev == SWIM_SLOT_NONE) {
        list->head = m->next;
    } else {
        sw->members[m->prev].next = m->next;
    }
    if (m->next == SWIM_SLOT_NONE) {
        list->tail = m->prev;
    } else {
        sw->members[m->next].prev = m->prev;
    }
    m->sends = UINT8_MAX;
    sw->queued_nr--;
}

static void
list_add(struct swim *sw, uint32_t slot, uint32_t sends)
{
    struct swim_member *m = &sw->members[slot];
    struct swim_list *list = &sw->news[sends];

    m->sends = (uint8_t)sends;
    m->next = SWIM_SLOT_NONE;
    m->prev = list->tail;
    if (list->tail == SWIM_SLOT_NONE) {
        list->head = slot;
    } else {
        sw->members[list->tail].next = slot;
    }
    list->tail = slot;
    sw->queued_nr++;
}

void
swim_gossip_put(struct swim *sw, uint32_t slot)
{
    if (sw->members[slot].sends != UINT8_MAX)
        list_del(sw, slot);
    list_add(sw, slot, 0);
}

void
swim_gossip_drop(struct swim *sw, uint32_t slot)
{
    if (sw->members[slot].sends != UINT8_MAX)
        list_del(sw, slot);
}

/* ---- messages ---- */

/* A message that is being written. */
struct draft {
    uint8_t buf[SWIM_MSG_BYTES_MAX];
    size_t len;
    uint32_t nr;
    uint32_t slots[SWIM_NEWS_NR_MAX]; /* whose news are in */
};

/* Whether it is among the first nr. */
static bool
draft_holds(const struct draft *d, uint32_t nr, uint32_t slot)
{
    for (uint32_t i = 0; i < nr; i++) {
        if (d->slots[i] == slot)
            return true;
    }
    return false;
}

/* False: it does not fit. */
static bool
draft_add(struct swim *sw, struct draft *d, uint32_t slot)
{
    const struct swim_member *m = &sw->members[slot];
    struct swim_news n = {.rank = m->rank, .state = m->state, .life = m->life, .count = m->count};

    if (d->len + SWIM_NEWS_BYTES_MAX > sizeof(d->buf) || d->nr == SWIM_NEWS_NR_MAX)
        return false;
    if (m->suspect != SWIM_SLOT_NONE) {
        const struct swim_suspect *s = &sw->suspects[m->suspect];

        n.age = (uint16_t)MIN((sw->now_ns - s->since_ns) / SWIM_AGE_NS, SWIM_AGE_MAX);
        n.accusers_nr = s->accusers_nr;
        for (uint32_t i = 0; i < s->accusers_nr; i++) {
            n.accusers[i] = s->accusers[i];
        }
    }
    d->len += swim_news_put(d->buf + d->len, &n);
    d->slots[d->nr++] = slot;
    return true;
}

/* Whether the sender of what is being served told us the same. */
static bool
is_echo(const struct swim *sw, uint32_t slot)
{
    for (uint32_t i = 0; i < sw->echo_nr; i++) {
        if (sw->echo[i] == slot)
            return true;
    }
    return false;
}

/* What waits to be sent, least sent first; what goes into the message moves on. An answer does not say again what the question said. */
static void
draft_take(struct swim *sw, struct draft *d, bool is_ack)
{
    uint32_t first = d->nr, left = sw->queued_nr;

    for (uint32_t sends = 0; left > 0; sends++) {
        for (uint32_t slot = sw->news[sends].head; slot != SWIM_SLOT_NONE;
             slot = sw->members[slot].next, left--) {
            if (draft_holds(d, first, slot) || (is_ack && is_echo(sw, slot)))
                continue;
            if (!draft_add(sw, d, slot))
                goto moves;
        }
    }
moves:
    for (uint32_t i = first; i < d->nr; i++) {
        uint32_t slot = d->slots[i];
        uint32_t sends = sw->members[slot].sends + 1u;

        list_del(sw, slot);
        if (sends < sw->sends_max)
            list_add(sw, slot, sends);
    }
}

/* Members in turn: nr of them, or as many as fit. */
static void
draft_fill(struct swim *sw, struct draft *d, uint32_t nr)
{
    nr = MIN(nr, sw->members_nr);
    for (uint32_t i = 0; i < nr; i++) {
        sw->fill_at = sw->fill_at + 1 < sw->members_nr ? sw->fill_at + 1 : 0;
        if (!draft_holds(d, d->nr, sw->fill_at) && !draft_add(sw, d, sw->fill_at))
            return;
    }
}

/*
 * Who is suspected or called dead hears that first (Lifeguard's buddy system), and so does the helper that is to ping it. The helper says what it knows of the
 * suspect, so that who missed an objection hears of it at its last calls.
 */
void
swim_send(struct swim *sw, uint32_t to_slot, struct swim_head head)
{
    const struct swim_member *self = &sw->members[SWIM_SELF];
    bool wants_all = (head.flags & SWIM_WANT_ALL) != 0;
    uint32_t target = swim_slot_find(sw, head.target);
    struct draft d;

    d.len = SWIM_HEAD_BYTES;
    d.nr = 0;
    if (swim_state_of(&sw->members[to_slot]) != SWIM_ALIVE)
        CAIRN_IGNORE(draft_add(sw, &d, to_slot)); /* the first of a message fits */
    if (head.kind >= SWIM_ASK && target != SWIM_SLOT_NONE)
        CAIRN_IGNORE(draft_add(sw, &d, target)); /* the second, too */
    draft_take(sw, &d, head.kind == SWIM_ACK);
    draft_fill(sw, &d, wants_all && head.kind == SWIM_ACK ? SWIM_NEWS_NR_MAX : 1);
    if (head.kind != SWIM_PING)
        head.flags = 0; /* an answer's flag said what to fill it with */
    head.from = self->rank;
    head.life = self->life;
    head.count = self->count;
    head.news_nr = (uint8_t)d.nr;
    swim_head_put(d.buf, &head);
    sw->stats.sent++;
    sw->ops.send(sw->arg, (struct rank){sw->members[to_slot].rank}, d.buf, d.len);
}

void
swim_notes(struct swim *sw, uint32_t about_slot)
{
    uint32_t told[SWIM_NOTES_NR];

    for (uint32_t i = 0; i < SWIM_NOTES_NR; i++) {
        told[i] = swim_pick(sw, about_slot, told, i);
        if (told[i] == SWIM_SLOT_NONE)
            return;
        swim_send(sw, told[i],
            (struct swim_head){
                .kind = SWIM_NOTE, .origin = sw->cfg.rank.v, .target = sw->members[about_slot].rank});
    }
}
