/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the bytes of docs/format/swim.md, and that nothing malformed passes (SWM-6). Method: a message written by hand; the same with one byte wrong, by a
 * table; every length; any single byte changed.
 */
#include "swim/swim_wire.h"

#include <string.h>

#include "base/util.h"
#include "harness/harness.h"

/* An ACK of rank 5 with news of a suspect with two accusers, and of one that left. */
static const uint8_t good[] = {
    1, 2, 0, 2, 5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, /* ... from 5, life 2^56 + 9, count 3 */
    7, 0, 0, 0, 5, 0, 0, 0, 0x44, 0x33, 0x22, 0x11, /* origin 7, target 5, seq */
    6, 1, 0, 0, 2, 2, 0x2c, 1, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
    0, /* 262 a suspect, age 300, life 8, count 1 */
    5, 0, 0, 0, 9, 0, 0, 0, /* accused by 5 and 9 */
    4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 4 left in its life 1 */
};

TEST(swim_wire, is_as_documented)
{
    struct swim_head head, again;
    struct swim_news first, second;
    uint8_t out[sizeof(good)];
    size_t off = SWIM_HEAD_BYTES;

    EXPECT_OK(swim_wire_check(good, sizeof(good), &head));
    EXPECT_EQ(head.kind, SWIM_ACK);
    EXPECT_EQ(head.flags, 0);
    EXPECT_EQ(head.news_nr, 2);
    EXPECT_EQ(head.from, 5);
    EXPECT_EQ(head.life, (UINT64_C(1) << 56) + 9);
    EXPECT_EQ(head.count, 3);
    EXPECT_EQ(head.origin, 7);
    EXPECT_EQ(head.target, 5);
    EXPECT_EQ(head.seq, 0x11223344);
    off += swim_news_get(good + off, &first);
    EXPECT_EQ(off, SWIM_HEAD_BYTES + SWIM_NEWS_BYTES + 8);
    EXPECT_EQ(first.rank, 262);
    EXPECT_EQ(first.state, SWIM_SUSPECT);
    EXPECT_EQ(first.age, 300);
    EXPECT_EQ(first.life, 8);
    EXPECT_EQ(first.count, 1);
    EXPECT_EQ(first.accusers_nr, 2);
    EXPECT_EQ(first.accusers[0], 5);
    EXPECT_EQ(first.accusers[1], 9);
    off += swim_news_get(good + off, &second);
    EXPECT_EQ(off, sizeof(good));
    EXPECT_EQ(second.state, SWIM_LEFT);

    swim_head_put(out, &head);
    off = SWIM_HEAD_BYTES;
    off += swim_news_put(out + off, &first);
    off += swim_news_put(out + off, &second);
    EXPECT_MEM_EQ(out, good, sizeof(good));
    swim_head_get(out, &again);
    EXPECT_EQ(again.seq, head.seq);
}

TEST(swim_wire, wrong_bytes_are_refused)
{
    static const struct {
        const char *what;
        uint32_t off;
        uint8_t byte;
    } rows[] = {
        {"kind 0", 1, 0},
        {"kind 6", 1, 6},
        {"unknown flag", 2, 2},
        {"flag of an answer", 2, 1},
        {"more news than there is", 3, 3},
        {"less news than there is", 3, 1},
        {"sender out of range", 6, 1},
        {"an answer of somebody else", 24, 6},
        {"origin out of range", 22, 1},
        {"state 0", 36, 0},
        {"state 6", 36, 6},
        {"suspect without accusers", 37, 0},
        {"too many accusers", 37, 4},
        {"accusers of one that is alive", 36, 1},
        {"age of one that left", 66, 1},
        {"rank out of range", 34, 1},
        {"accused by itself", 52, 6}, /* and byte 53 */
        {"accused twice by one", 56, 5},
        {"accuser out of range", 58, 1},
        {"life 0", 68, 0},
    };
    uint8_t msg[sizeof(good)];
    struct swim_head head;

    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
        memcpy(msg, good, sizeof(good));
        msg[rows[i].off] = rows[i].byte;
        if (rows[i].off == 52)
            msg[53] = 1;
        if (!EXPECT_ERR(swim_wire_check(msg, sizeof(msg), &head), PROTO))
            EXPECT_STR_EQ(rows[i].what, "");
    }
    memcpy(msg, good, sizeof(good));
    memset(msg + 16, 0xff, 4);
    EXPECT_ERR(swim_wire_check(msg, sizeof(msg), &head), PROTO); /* a count that could not grow */
    memcpy(msg, good, sizeof(good));
    memset(msg + 8, 0, 8);
    EXPECT_ERR(swim_wire_check(msg, sizeof(msg), &head), PROTO);
    memcpy(msg, good, sizeof(good));
    msg[0] = 2;
    EXPECT_ERR(swim_wire_check(msg, sizeof(msg), &head), MISMATCH);
    msg[0] = 1;
    msg[1] = SWIM_NOTE;
    EXPECT_ERR(swim_wire_check(msg, sizeof(msg), &head), PROTO); /* a note asks nothing */
    msg[1] = SWIM_ASK;
    EXPECT_ERR(swim_wire_check(msg, sizeof(msg), &head), PROTO); /* asked for another */
    msg[1] = SWIM_HEARD;
    EXPECT_OK(swim_wire_check(msg, sizeof(msg), &head));
}

TEST(swim_wire, every_length_but_the_right_one_is_refused)
{
    uint8_t msg[SWIM_MSG_BYTES_MAX + 1] = {0};
    struct swim_head head = {.kind = 77};

    memcpy(msg, good, sizeof(good));
    for (size_t len = 0; len <= sizeof(msg); len++) {
        if (len == sizeof(good))
            continue;
        EXPECT_ERR(swim_wire_check(msg, len, &head), PROTO);
    }
    EXPECT_EQ(head.kind, 77); /* written on success only */
}

TEST(swim_wire, the_largest_message_fits)
{
    uint8_t msg[SWIM_MSG_BYTES_MAX];
    struct swim_head head = {.kind = SWIM_NOTE, .from = 1, .life = 1};
    size_t off = SWIM_HEAD_BYTES;

    while (off + SWIM_NEWS_BYTES <= sizeof(msg)) {
        struct swim_news n = {
            .rank = head.news_nr, .state = SWIM_ALIVE, .life = UINT64_MAX, .count = SWIM_COUNT_MAX};

        off += swim_news_put(msg + off, &n);
        head.news_nr++;
    }
    swim_head_put(msg, &head);
    EXPECT_EQ(head.news_nr, 58);
    EXPECT_OK(swim_wire_check(msg, off, &head));
}
