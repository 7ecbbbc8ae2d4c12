/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * swim_wire: the bytes of a message (docs/format/swim.md). Little-endian; a head, then news about members. The carrier says that bytes are as sent
 * (checksums), whose system they are of and for which process (FM-3); here everything else is checked before it is used (SWM-6).
 *
 *   head, 32 bytes                                        news, 20 bytes and 4 for each accuser
 *    0  u8   version, 1                                    0  u32  rank
 *    1  u8   kind, enum swim_kind                          4  u8   state, enum swim_state
 *    2  u8   flags, enum swim_flags                        5  u8   accusers_nr: 1..3 of a suspect, else 0
 *    3  u8   news_nr                                       6  u16  age: silence so far, in SWIM_AGE_NS; else 0
 *    4  u32  from: rank of who wrote this                  8  u64  life, not 0
 *    8  u64  life of it, not 0                            16  u32  count, at most SWIM_COUNT_MAX
 *   16  u32  count of it                                  20  u32  accusers[accusers_nr], different ranks
 *   20  u32  origin: who wants to know
 *   24  u32  target: whom it is about
 *   28  u32  seq: origin's number of the question
 */
#ifndef CAIRN_SWIM_WIRE_H
#define CAIRN_SWIM_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "swim/swim.h"

enum {
    SWIM_WIRE_VERSION = 1,
    SWIM_HEAD_BYTES = 32,
    SWIM_NEWS_BYTES = 20, /* and the accusers */
    SWIM_NEWS_BYTES_MAX = SWIM_NEWS_BYTES + 4 * SWIM_ACCUSERS_NR_MAX,
};
#define SWIM_AGE_NS UINT64_C(4000000)
#define SWIM_AGE_MAX UINT16_MAX /* this, or more */

enum swim_kind {
    SWIM_PING = 1, /* target is asked to answer `from`, for origin */
    SWIM_ACK = 2, /* target answers; who gets it for another origin passes it on as it is */
    SWIM_ASK = 3, /* origin asks a helper to ping target */
    SWIM_HEARD = 4, /* the helper has the question and is alive */
    SWIM_NOTE = 5, /* news alone; no answer */
};
enum swim_flags {
    SWIM_WANT_ALL = 1 << 0, /* of a ping: the answer is to tell of as many members as fit */
};

struct swim_head {
    uint8_t kind;
    uint8_t flags;
    uint8_t news_nr;
    uint32_t from;
    uint64_t life;
    uint32_t count;
    uint32_t origin;
    uint32_t target;
    uint32_t seq;
};

struct swim_news {
    uint32_t rank;
    uint8_t state;
    uint8_t accusers_nr;
    uint16_t age;
    uint64_t life;
    uint32_t count;
    uint32_t accusers[SWIM_ACCUSERS_NR_MAX];
};

/** Check a whole message and read its head. Errors: MISMATCH another version; PROTO anything else. */
CAIRN_MUST_CHECK int swim_wire_check(const uint8_t *msg, size_t len, struct swim_head *ret_head);

static inline void
swim_head_put(uint8_t *p, const struct swim_head *h)
{
    p[0] = SWIM_WIRE_VERSION;
    p[1] = h->kind;
    p[2] = h->flags;
    p[3] = h->news_nr;
    le32_put(p + 4, h->from);
    le64_put(p + 8, h->life);
    le32_put(p + 16, h->count);
    le32_put(p + 20, h->origin);
    le32_put(p + 24, h->target);
    le32_put(p + 28, h->seq);
}

static inline void
swim_head_get(const uint8_t *p, struct swim_head *h)
{
    h->kind = p[1];
    h->flags = p[2];
    h->news_nr = p[3];
    h->from = le32_get(p + 4);
    h->life = le64_get(p + 8);
    h->count = le32_get(p + 16);
    h->origin = le32_get(p + 20);
    h->target = le32_get(p + 24);
    h->seq = le32_get(p + 28);
}

/** Write one piece of news; returns its bytes, at most SWIM_NEWS_BYTES_MAX. */
static inline size_t
swim_news_put(uint8_t *p, const struct swim_news *n)
{
    le32_put(p, n->rank);
    p[4] = n->state;
    p[5] = n->accusers_nr;
    le16_put(p + 6, n->age);
    le64_put(p + 8, n->life);
    le32_put(p + 16, n->count);
    for (uint32_t i = 0; i < n->accusers_nr; i++) {
        le32_put(p + SWIM_NEWS_BYTES + 4 * i, n->accusers[i]);
    }
    return SWIM_NEWS_BYTES + 4 * (size_t)n->accusers_nr;
}

/** Read one piece of a message that was checked; returns its bytes. */
static inline size_t
swim_news_get(const uint8_t *p, struct swim_news *n)
{
    n->rank = le32_get(p);
    n->state = p[4];
    n->accusers_nr = p[5];
    n->age = le16_get(p + 6);
    n->life = le64_get(p + 8);
    n->count = le32_get(p + 16);
    for (uint32_t i = 0; i < n->accusers_nr; i++) {
        n->accusers[i] = le32_get(p + SWIM_NEWS_BYTES + 4 * i);
    }
    return SWIM_NEWS_BYTES + 4 * (size_t)n->accusers_nr;
}

#endif
