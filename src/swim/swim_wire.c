/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swim_wire: the check of a message from outside (SWM-6). Tested by swim_wire_test.c and, with any bytes, by swim_fuzz.c. */
#include "swim/swim_wire.h"

static bool
accusers_are_valid(const struct swim_news *n)
{
    for (uint32_t i = 0; i < n->accusers_nr; i++) {
        if (n->accusers[i] >= SWIM_RANKS_MAX || n->accusers[i] == n->rank)
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (n->accusers[i] == n->accusers[j])
                return false;
        }
    }
    return true;
}

/* The bytes of one piece of news at *p*, 0 when it is not valid. */
static size_t
news_check(const uint8_t *p, size_t left)
{
    struct swim_news n;
    bool is_suspect;

    if (left < SWIM_NEWS_BYTES || p[5] > SWIM_ACCUSERS_NR_MAX ||
        left < SWIM_NEWS_BYTES + 4 * (size_t)p[5]) {
        return 0;
    }
    CAIRN_IGNORE(swim_news_get(p, &n)); /* the same as above */
    is_suspect = n.state == SWIM_SUSPECT;
    if (n.state < SWIM_ALIVE || n.state > SWIM_CONFIRMED || n.rank >= SWIM_RANKS_MAX)
        return 0;
    if (n.life == 0 || n.count > SWIM_COUNT_MAX)
        return 0;
    if (is_suspect != (n.accusers_nr > 0) || (!is_suspect && n.age != 0))
        return 0;
    return accusers_are_valid(&n) ? SWIM_NEWS_BYTES + 4 * (size_t)n.accusers_nr : 0;
}

static bool
head_is_valid(const struct swim_head *h)
{
    if (h->kind < SWIM_PING || h->kind > SWIM_NOTE)
        return false;
    if ((h->flags & ~SWIM_WANT_ALL) != 0 || (h->flags != 0 && h->kind != SWIM_PING))
        return false;
    if (h->from >= SWIM_RANKS_MAX || h->origin >= SWIM_RANKS_MAX || h->target >= SWIM_RANKS_MAX)
        return false;
    if (h->life == 0 || h->count > SWIM_COUNT_MAX)
        return false;
    switch (h->kind) {
    case SWIM_ACK:
        return h->target == h->from;
    case SWIM_ASK:
        return h->origin == h->from;
    case SWIM_NOTE:
        return h->seq == 0;
    default:
        return true;
    }
}

int
swim_wire_check(const uint8_t *msg, size_t len, struct swim_head *ret_head)
{
    struct swim_head head;
    size_t off = SWIM_HEAD_BYTES;

    if (len < SWIM_HEAD_BYTES || len > SWIM_MSG_BYTES_MAX)
        return CAIRN_ERR(PROTO);
    if (msg[0] != SWIM_WIRE_VERSION)
        return CAIRN_ERR(MISMATCH);
    swim_head_get(msg, &head);
    if (!head_is_valid(&head))
        return CAIRN_ERR(PROTO);
    for (uint32_t i = 0; i < head.news_nr; i++) {
        size_t bytes = news_check(msg + off, len - off);

        if (bytes == 0)
            return CAIRN_ERR(PROTO);
        off += bytes;
    }
    if (off != len)
        return CAIRN_ERR(PROTO);
    *ret_head = head;
    return 0;
}
