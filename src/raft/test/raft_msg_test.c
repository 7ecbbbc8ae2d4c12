/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what is written is read as it was, nothing else is accepted. Method: a message of each type; each is cut at each length, lengthened, and changed in ways that each break one
 * rule; the layout against bytes written by hand.
 */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/util.h"
#include "harness/harness.h"
#include "raft/raft_msg.h"

enum { BUF_BYTES = 4096 };

static const struct uuid group = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* Entries of the library's own making: a configuration of three, a barrier, commands. */
struct sample {
    struct raft_msg msg;
    struct raft_entry entries[4];
    struct raft_buffer conf;
    uint8_t cmd[5];
    uint64_t barrier;
};

static void
sample_init(struct sample *s, enum raft_msg_type type)
{
    struct raft_conf conf = {.nr = 3, .members = {{11, 1}, {12, 1}, {13, 0}}};
    struct raft_configuration lib;

    memset(s, 0, sizeof(*s));
    s->msg = (struct raft_msg){
        .type = type, .group = group, .from = 11, .to = 12, .term = 7, .stamp = 99};
    EXPECT_OK(raft_conf_to_lib(&conf, &lib));
    EXPECT_EQ(raft_configuration_encode(&lib, &s->conf), 0);
    raft_conf_wipe(s->conf.base, s->conf.len);
    raft_configuration_close(&lib);
    memcpy(s->cmd, "hello", 5);
    s->entries[0] = (struct raft_entry){.term = 3, .type = RAFT_CHANGE, .buf = s->conf};
    s->entries[1] = (struct raft_entry){.term = 3, .type = RAFT_BARRIER, .buf = {&s->barrier, 8}};
    s->entries[2] = (struct raft_entry){.term = 5, .type = RAFT_COMMAND, .buf = {s->cmd, 5}};
    s->entries[3] = (struct raft_entry){.term = 7, .type = RAFT_COMMAND, .buf = {s->cmd, 1}};
    switch (type) {
    case RAFT_MSG_APPEND:
        s->msg.append = (struct raft_append_entries){.term = 7,
            .prev_log_index = 41,
            .prev_log_term = 2,
            .leader_commit = 43,
            .entries = s->entries,
            .n_entries = 4};
        break;
    case RAFT_MSG_APPEND_RESULT:
        s->msg.append_result = (struct raft_append_entries_result){7, 40, 39};
        break;
    case RAFT_MSG_VOTE:
        s->msg.vote = (struct raft_request_vote){7, 11, 45, 6, true, false};
        break;
    case RAFT_MSG_VOTE_RESULT:
        s->msg.vote_result = (struct raft_request_vote_result){7, true, raft_tribool_false};
        break;
    case RAFT_MSG_SNAP:
        s->msg.offer = (struct raft_snap_offer){
            .index = 40, .term = 6, .conf_index = 20, .conf = conf, .bytes = 1234, .crc = 0xabcd};
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        s->msg.timeout_now = (struct raft_timeout_now){7, 45, 6};
        break;
    case RAFT_MSG_SNAP_WANT:
        s->msg.part = (struct raft_snap_part){.index = 40, .term = 6, .off = 100};
        break;
    case RAFT_MSG_SNAP_PART:
        s->msg.part =
            (struct raft_snap_part){.index = 40, .term = 6, .off = 100, .data = {s->cmd, 5}};
        break;
    }
}

static void
sample_fini(struct sample *s)
{
    raft_free(s->conf.base);
}

static const enum raft_msg_type types[] = {RAFT_MSG_APPEND, RAFT_MSG_APPEND_RESULT, RAFT_MSG_VOTE,
    RAFT_MSG_VOTE_RESULT, RAFT_MSG_SNAP, RAFT_MSG_TIMEOUT_NOW, RAFT_MSG_SNAP_WANT,
    RAFT_MSG_SNAP_PART};

static size_t
encode(const struct raft_msg *msg, uint8_t *buf)
{
    size_t len = raft_msg_bytes(msg);

    if (!EXPECT_LE(len, BUF_BYTES))
        return 0;
    raft_msg_encode(msg, buf);
    return len;
}

/* Decode a copy of exactly that size, so that ASan sees a read behind it. */
static int
decode(const uint8_t *buf, size_t len, struct raft_msg *ret_msg)
{
    uint8_t *copy = malloc(len + (len == 0));
    int rc;

    memcpy(copy, buf, len);
    rc = raft_msg_decode(copy, len, ret_msg);
    if (rc == 0 && ret_msg->type == RAFT_MSG_SNAP_PART)
        EXPECT_MEM_EQ(ret_msg->part.data.buf, "hello", 5);
    free(copy);
    return rc;
}

TEST(raft_msg, round_trip)
{
    uint8_t buf[BUF_BYTES];

    for (uint32_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct sample s;
        struct raft_msg out;
        size_t len;

        sample_init(&s, types[i]);
        len = encode(&s.msg, buf);
        if (EXPECT_OK(decode(buf, len, &out))) {
            EXPECT_EQ(out.type, types[i]);
            EXPECT_EQ(out.from, 11);
            EXPECT_EQ(out.to, 12);
            EXPECT_EQ(out.term, 7);
            EXPECT_EQ(out.stamp, 99);
            EXPECT_MEM_EQ(&out.group, &group, sizeof(group));
        }
        if (types[i] == RAFT_MSG_APPEND) {
            EXPECT_EQ(out.append.n_entries, 4);
            EXPECT_EQ(out.append.leader_commit, 43);
            EXPECT_EQ(out.append.entries[2].term, 5);
            EXPECT_MEM_EQ(out.append.entries[2].buf.base, "hello", 5);
            EXPECT_EQ(out.append.entries[0].batch, out.append.entries[3].batch);
        }
        if (types[i] == RAFT_MSG_VOTE) {
            EXPECT_EQ(out.vote.candidate_id, 11);
            EXPECT(out.vote.disrupt_leader && !out.vote.pre_vote);
        }
        if (types[i] == RAFT_MSG_SNAP) {
            EXPECT_EQ(out.offer.conf.nr, 3);
            EXPECT_EQ(out.offer.conf.members[2].role, RAFT_ROLE_STANDBY);
            EXPECT_EQ(out.offer.crc, 0xabcd);
        }
        if (types[i] == RAFT_MSG_VOTE_RESULT)
            EXPECT(out.vote_result.vote_granted && out.vote_result.pre_vote == raft_tribool_false);
        if (types[i] == RAFT_MSG_APPEND_RESULT) {
            EXPECT_EQ(out.append_result.rejected, 40);
            EXPECT_EQ(out.append_result.last_log_index, 39);
        }
        raft_msg_fini(&out);
        sample_fini(&s);
    }
}

TEST(raft_msg, other_lengths_are_refused)
{
    uint8_t buf[BUF_BYTES + 8];

    for (uint32_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct sample s;
        struct raft_msg out;
        size_t len;

        sample_init(&s, types[i]);
        memset(buf, 0, sizeof(buf));
        len = encode(&s.msg, buf);
        for (size_t cut = 0; cut < len; cut++) {
            EXPECT_ERR(decode(buf, cut, &out), PROTO);
            le32_put(buf + 4, (uint32_t)cut); /* also when the head agrees */
            EXPECT_ERR(decode(buf, cut, &out), PROTO);
        }
        le32_put(buf + 4, (uint32_t)len + 1);
        EXPECT_ERR(decode(buf, len + 1, &out), PROTO);
        sample_fini(&s);
    }
}

/* The layout of README.md. */
TEST(raft_msg, layout)
{
    uint8_t want[RAFT_MSG_HEAD_BYTES + 16] = {0}, buf[BUF_BYTES];
    struct sample s;

    sample_init(&s, RAFT_MSG_APPEND_RESULT);
    want[0] = 1;
    want[1] = RAFT_MSG_APPEND_RESULT;
    le32_put(want + 4, sizeof(want));
    memcpy(want + 8, &group, 16);
    le64_put(want + 24, 11);
    le64_put(want + 32, 12);
    le64_put(want + 40, 7);
    le64_put(want + 48, 99);
    le64_put(want + 56, 40);
    le64_put(want + 64, 39);
    EXPECT_EQ(encode(&s.msg, buf), sizeof(want));
    EXPECT_MEM_EQ(buf, want, sizeof(want));
    sample_fini(&s);
}

/* One 64-bit (or shorter) field of a good message changed to a bad value. */
static const struct bad {
    enum raft_msg_type type;
    uint32_t off, bytes;
    uint64_t value;
} bads[] = {
    {RAFT_MSG_APPEND, 0, 1, 2}, /* version */
    {RAFT_MSG_APPEND, 1, 1, 7}, /* type */
    {RAFT_MSG_APPEND, 1, 1, 0},
    {RAFT_MSG_APPEND, 2, 2, 1}, /* must be zero */
    {RAFT_MSG_APPEND, 24, 8, 0}, /* from nobody */
    {RAFT_MSG_APPEND, 24, 8, 12}, /* from who gets it */
    {RAFT_MSG_APPEND, 32, 8, 0},
    {RAFT_MSG_APPEND, 40, 8, 0}, /* term */
    {RAFT_MSG_APPEND, 40, 8, 6}, /* below an entry's */
    {RAFT_MSG_APPEND, 40, 8, UINT64_MAX},
    {RAFT_MSG_APPEND, 56, 8, 0}, /* no entry before, but a term */
    {RAFT_MSG_APPEND, 56, 8, UINT64_MAX},
    {RAFT_MSG_APPEND, 64, 8, 4}, /* terms fall */
    {RAFT_MSG_APPEND, 64, 8, 0},
    {RAFT_MSG_APPEND, 72, 8, 46}, /* commits what it does not have */
    {RAFT_MSG_APPEND, 80, 4, 3}, /* entries */
    {RAFT_MSG_APPEND, 80, 4, 5},
    {RAFT_MSG_APPEND, 80, 4, UINT32_MAX},
    {RAFT_MSG_APPEND, 84, 4, 1},
    {RAFT_MSG_APPEND, 88, 8, 1}, /* the first entry's term falls */
    {RAFT_MSG_APPEND, 96, 2, 4}, /* its type */
    {RAFT_MSG_APPEND, 98, 2, 1},
    {RAFT_MSG_APPEND, 100, 4, 1}, /* its length */
    {RAFT_MSG_APPEND, 104, 1, 2}, /* the configuration's format */
    {RAFT_MSG_APPEND, 105, 8, 4}, /* members */
    {RAFT_MSG_APPEND, 105, 8, 0},
    {RAFT_MSG_APPEND, 105, 8, UINT64_MAX},
    {RAFT_MSG_APPEND, 113, 8, 0}, /* the first one */
    {RAFT_MSG_APPEND, 113, 8, 12}, /* twice */
    {RAFT_MSG_APPEND, 121, 1, '2'}, /* not its address */
    {RAFT_MSG_APPEND, 123, 1, '1'}, /* without an end */
    {RAFT_MSG_APPEND, 124, 1, 3}, /* role */
    {RAFT_MSG_APPEND_RESULT, 56, 8, UINT64_MAX},
    {RAFT_MSG_APPEND_RESULT, 64, 8, RAFT_NUMBER_MAX},
    {RAFT_MSG_VOTE, 56, 8, 0},
    {RAFT_MSG_VOTE, 64, 8, 0},
    {RAFT_MSG_VOTE, 64, 8, 8}, /* a log from the future */
    {RAFT_MSG_VOTE, 72, 8, 4},
    {RAFT_MSG_VOTE_RESULT, 56, 4, 2},
    {RAFT_MSG_VOTE_RESULT, 60, 4, 0},
    {RAFT_MSG_VOTE_RESULT, 60, 4, 3},
    {RAFT_MSG_SNAP, 56, 8, 0},
    {RAFT_MSG_SNAP, 56, 8, 19}, /* older than its configuration */
    {RAFT_MSG_SNAP, 64, 8, 0},
    {RAFT_MSG_SNAP, 64, 8, 8},
    {RAFT_MSG_SNAP, 72, 8, 0},
    {RAFT_MSG_SNAP, 80, 8, RAFT_SNAP_BYTES_MAX + 1},
    {RAFT_MSG_SNAP, 92, 4, 0},
    {RAFT_MSG_SNAP, 92, 4, 2},
    {RAFT_MSG_SNAP, 92, 4, UINT32_MAX},
    {RAFT_MSG_SNAP, 96, 8, 0},
    {RAFT_MSG_SNAP, 96, 8, 12},
    {RAFT_MSG_SNAP, 104, 8, 3},
    {RAFT_MSG_TIMEOUT_NOW, 56, 8, UINT64_MAX},
    {RAFT_MSG_SNAP_WANT, 56, 8, 0},
    {RAFT_MSG_SNAP_WANT, 64, 8, 0},
    {RAFT_MSG_SNAP_WANT, 72, 8, RAFT_SNAP_BYTES_MAX + 1},
    {RAFT_MSG_SNAP_PART, 80, 4, 6},
    {RAFT_MSG_SNAP_PART, 80, 4, UINT32_MAX},
};

TEST(raft_msg, bad_values_are_refused)
{
    uint8_t buf[BUF_BYTES], value[8];

    for (uint32_t i = 0; i < ARRAY_SIZE(bads); i++) {
        const struct bad *b = &bads[i];
        struct sample s;
        struct raft_msg out;
        size_t len;
        int rc;

        sample_init(&s, b->type);
        len = encode(&s.msg, buf);
        le64_put(value, b->value);
        memcpy(buf + b->off, value, b->bytes);
        rc = decode(buf, len, &out);
        if (!EXPECT_ERR(rc, PROTO))
            EXPECT_EQ(i, UINT32_MAX); /* says which */
        sample_fini(&s);
    }
}

TEST(raft_msg, log_begins_with_configuration)
{
    uint8_t buf[BUF_BYTES];
    struct sample s;
    struct raft_msg out;

    sample_init(&s, RAFT_MSG_APPEND);
    s.msg.append.prev_log_index = 0;
    s.msg.append.prev_log_term = 0;
    s.msg.append.leader_commit = 9; /* cut when written: RFT-3 */
    if (EXPECT_OK(decode(buf, encode(&s.msg, buf), &out)))
        EXPECT_EQ(out.append.leader_commit, 4);
    raft_msg_fini(&out);
    s.msg.append.entries = &s.entries[1];
    s.msg.append.n_entries = 3;
    EXPECT_ERR(decode(buf, encode(&s.msg, buf), &out), PROTO);
    sample_fini(&s);
}

TEST(raft_msg, configuration_of_the_library)
{
    struct raft_conf conf = {.nr = 16}, out;
    struct raft_configuration lib;
    struct raft_buffer buf;

    for (uint32_t i = 0; i < 16; i++) {
        conf.members[i] = (struct raft_member){UINT64_MAX - i, i % 3};
    }
    EXPECT_OK(raft_conf_check(&conf));
    EXPECT_OK(raft_conf_to_lib(&conf, &lib));
    EXPECT_EQ(raft_configuration_encode(&lib, &buf), 0);
    EXPECT_LE(buf.len, RAFT_CONF_BYTES_MAX);
    memset((uint8_t *)buf.base + buf.len - 1, 1, 1); /* as from memory that was used before */
    EXPECT_ERR(raft_conf_parse(buf.base, buf.len, &out), PROTO);
    raft_conf_wipe(buf.base, buf.len);
    EXPECT_OK(raft_conf_parse(buf.base, buf.len, &out));
    EXPECT_MEM_EQ(&conf, &out, sizeof(conf));
    memset(&out, 0xff, sizeof(out));
    EXPECT_OK(raft_conf_from_lib(&lib, &out));
    EXPECT_MEM_EQ(&conf, &out, sizeof(conf));
    EXPECT_ERR(raft_conf_parse(buf.base, buf.len - 1, &out), PROTO);
    EXPECT_EQ(raft_configuration_add(&lib, 5, "five", RAFT_VOTER), 0);
    EXPECT_ERR(raft_conf_from_lib(&lib, &out), PROTO);
    raft_configuration_close(&lib);
    raft_free(buf.base);
    for (uint32_t i = 0; i < 16; i++) {
        conf.members[i].role = RAFT_ROLE_STANDBY;
    }
    EXPECT_ERR(raft_conf_check(&conf), PROTO); /* nobody votes */
}
