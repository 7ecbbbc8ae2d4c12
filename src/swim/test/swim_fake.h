/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim_fake: one member, whose messages and events are written down, and messages of others to it. Time stands still unless a test moves it; random
 * numbers count up, so that what is chosen is known.
 */
#ifndef CAIRN_SWIM_FAKE_H
#define CAIRN_SWIM_FAKE_H

#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "harness/harness.h"
#include "swim/swim.h"
#include "swim/swim_priv.h"

#define MS UINT64_C(1000000)
enum { FAKE_SENT_NR = 4096, FAKE_EVENTS_NR = 4096 };

struct fake_sent {
    uint32_t to;
    struct swim_head head;
    size_t len;
    uint8_t bytes[SWIM_MSG_BYTES_MAX];
};

struct fake {
    struct swim *sw;
    struct swim_cfg cfg;
    uint64_t now_ns;
    uint64_t random;
    uint32_t sent_nr, events_nr;
    struct fake_sent sent[FAKE_SENT_NR];
    struct swim_event events[FAKE_EVENTS_NR];
};

static inline void
fake_on_send(void *arg, struct rank to, const void *msg, size_t len)
{
    struct fake *f = arg;
    struct fake_sent *s = &f->sent[f->sent_nr++ % FAKE_SENT_NR];

    s->to = to.v;
    s->len = len;
    CAIRN_ASSERT(len <= sizeof(s->bytes));
    memcpy(s->bytes, msg, len);
    CAIRN_ASSERT(swim_wire_check(s->bytes, len, &s->head) == 0); /* what is sent is well formed */
}

static inline void
fake_on_event(void *arg, const struct swim_event *ev)
{
    struct fake *f = arg;

    f->events[f->events_nr++ % FAKE_EVENTS_NR] = *ev;
}

static inline uint64_t
fake_on_random(void *arg)
{
    return ((struct fake *)arg)->random++;
}

static const struct swim_ops fake_ops = {
    .send = fake_on_send, .event = fake_on_event, .random = fake_on_random};

/* Rank 0 with others 1..nr-1, life 10 each. Usual settings unless cfg. */
static inline void
fake_init(struct fake *f, uint32_t nr, const struct swim_cfg *cfg)
{
    memset(f, 0, sizeof(*f));
    f->now_ns = 1000 * MS;
    if (cfg != NULL) {
        f->cfg = *cfg;
    } else {
        swim_cfg_init(&f->cfg, (struct rank){0}, 10);
    }
    EXPECT_OK(swim_create(&f->cfg, &fake_ops, f, f->now_ns, &f->sw));
    for (uint32_t i = 1; i < nr; i++) {
        EXPECT_OK(swim_add(f->sw, f->now_ns, (struct rank){i}, 10));
    }
    f->events_nr = 0;
}

static inline void
fake_fini(struct fake *f)
{
    swim_destroy(f->sw);
}

/* The last message of that kind to that rank (UINT32_MAX: any) since `first`, or NULL. */
static inline const struct fake_sent *
fake_last(const struct fake *f, uint32_t first, uint32_t kind, uint32_t to)
{
    for (uint32_t i = f->sent_nr; i > first; i--) {
        const struct fake_sent *s = &f->sent[(i - 1) % FAKE_SENT_NR];

        if (s->head.kind == kind && (to == UINT32_MAX || s->to == to))
            return s;
    }
    return NULL;
}

static inline uint32_t
fake_events_of(const struct fake *f, enum swim_event_kind kind, uint32_t rank)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < f->events_nr; i++) {
        nr += f->events[i].kind == kind && f->events[i].rank.v == rank;
    }
    return nr;
}

/* A message with up to two pieces of news; returns what swim_recv() says. */
static inline int
fake_recv(struct fake *f, struct swim_head head, const struct swim_news *news, uint32_t nr)
{
    uint8_t buf[SWIM_MSG_BYTES_MAX];
    size_t len = SWIM_HEAD_BYTES;

    head.news_nr = (uint8_t)nr;
    if (head.life == 0)
        head.life = 10;
    swim_head_put(buf, &head);
    for (uint32_t i = 0; i < nr; i++) {
        len += swim_news_put(buf + len, &news[i]);
    }
    return swim_recv(f->sw, f->now_ns, buf, len);
}

/* `from` tells one piece of news. */
static inline void
fake_note(struct fake *f, uint32_t from, struct swim_news n)
{
    if (n.life == 0)
        n.life = 10;
    if (n.state == SWIM_SUSPECT && n.accusers_nr == 0) {
        n.accusers_nr = 1;
        n.accusers[0] = from;
    }
    EXPECT_OK(fake_recv(f, (struct swim_head){.kind = SWIM_NOTE, .from = from}, &n, 1));
}

static inline enum swim_state
fake_state(const struct fake *f, uint32_t rank)
{
    struct swim_member_info info = {.state = 0};

    CAIRN_IGNORE(swim_member(f->sw, (struct rank){rank}, &info)); /* 0 */
    return info.state;
}

/* Go on in time, tick by tick as it asks for. */
static inline void
fake_run(struct fake *f, uint64_t ns)
{
    uint64_t end = f->now_ns + ns;

    while (swim_due_ns(f->sw) <= end) {
        f->now_ns = MAX(f->now_ns, swim_due_ns(f->sw));
        swim_tick(f->sw, f->now_ns);
    }
    f->now_ns = end;
}

/* Answer the ping. */
static inline void
fake_ack(struct fake *f, const struct fake_sent *ping, uint32_t count)
{
    EXPECT_OK(fake_recv(f,
        (struct swim_head){.kind = SWIM_ACK,
            .from = ping->to,
            .count = count,
            .origin = ping->head.origin,
            .target = ping->to,
            .seq = ping->head.seq},
        NULL, 0));
}

/* All others but `silent` (UINT32_MAX: nobody) live: they answer pings, and say that they heard. For that long. */
static inline void
fake_live(struct fake *f, uint64_t ns, uint32_t silent, bool helpers_live)
{
    uint64_t end = f->now_ns + ns;

    while (swim_due_ns(f->sw) <= end) {
        uint32_t first = f->sent_nr;

        f->now_ns = MAX(f->now_ns, swim_due_ns(f->sw));
        swim_tick(f->sw, f->now_ns);
        for (uint32_t i = first; i < f->sent_nr; i++) {
            const struct fake_sent s = f->sent[i % FAKE_SENT_NR];

            if (s.head.kind == SWIM_PING && s.to != silent) {
                fake_ack(f, &s, 0);
            } else if (s.head.kind == SWIM_ASK && helpers_live) {
                EXPECT_OK(fake_recv(f,
                    (struct swim_head){.kind = SWIM_HEARD,
                        .from = s.to,
                        .origin = s.head.origin,
                        .target = s.head.target,
                        .seq = s.head.seq},
                    NULL, 0));
            }
        }
    }
    f->now_ns = end;
}

#endif
