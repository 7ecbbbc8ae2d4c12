/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "raft/raft_msg.h"

#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"

enum { VOTE_DISRUPT = 1, VOTE_PRE = 2 };

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void
append_encode(struct enc *e, const struct raft_append_entries *a)
{
    CAIRN_ASSERT(a->n_entries <= RAFT_MSG_ENTRIES_NR_MAX);
    enc_u64(e, a->prev_log_index);
    enc_u64(e, a->prev_log_term);
    enc_u64(e, MIN(a->leader_commit, a->prev_log_index + a->n_entries)); /* RFT-3 */
    enc_u32(e, a->n_entries);
    enc_u32(e, 0);
    for (unsigned i = 0; i < a->n_entries; i++) {
        enc_u64(e, a->entries[i].term);
        enc_u16(e, a->entries[i].type);
        enc_u16(e, 0);
        enc_blob(e, a->entries[i].buf.base, a->entries[i].buf.len);
    }
}

static void
offer_encode(struct enc *e, const struct raft_snap_offer *o)
{
    enc_u64(e, o->index);
    enc_u64(e, o->term);
    enc_u64(e, o->conf_index);
    enc_u64(e, o->bytes);
    enc_u32(e, o->crc);
    enc_u32(e, o->conf.nr);
    for (uint32_t i = 0; i < o->conf.nr; i++) {
        enc_u64(e, o->conf.members[i].id);
        enc_u64(e, o->conf.members[i].role);
    }
}

static void
body_encode(struct enc *e, const struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_MSG_APPEND:
        append_encode(e, &msg->append);
        break;
    case RAFT_MSG_APPEND_RESULT:
        enc_u64(e, msg->append_result.rejected);
        enc_u64(e, msg->append_result.last_log_index);
        break;
    case RAFT_MSG_VOTE:
        enc_u64(e, msg->vote.last_log_index);
        enc_u64(e, msg->vote.last_log_term);
        enc_u64(e,
            (msg->vote.disrupt_leader ? VOTE_DISRUPT : 0u) | (msg->vote.pre_vote ? VOTE_PRE : 0u));
        break;
    case RAFT_MSG_VOTE_RESULT:
        enc_u32(e, msg->vote_result.vote_granted ? 1 : 0);
        enc_u32(e, (uint32_t)msg->vote_result.pre_vote);
        break;
    case RAFT_MSG_SNAP:
        offer_encode(e, &msg->offer);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        enc_u64(e, msg->timeout_now.last_log_index);
        enc_u64(e, msg->timeout_now.last_log_term);
        break;
    case RAFT_MSG_SNAP_WANT:
    case RAFT_MSG_SNAP_PART:
        enc_u64(e, msg->part.index);
        enc_u64(e, msg->part.term);
        enc_u64(e, msg->part.off);
        if (msg->type == RAFT_MSG_SNAP_PART)
            enc_blob(e, msg->part.data.buf, msg->part.data.len);
        break;
    }
}

static void
msg_encode(struct enc *e, const struct raft_msg *msg, size_t len)
{
    enc_u8(e, RAFT_MSG_VERSION);
    enc_u8(e, (uint8_t)msg->type);
    enc_u16(e, 0);
    enc_u32(e, (uint32_t)len);
    enc_uuid(e, &msg->group);
    enc_u64(e, msg->from);
    enc_u64(e, msg->to);
    enc_u64(e, msg->term);
    enc_u64(e, msg->stamp);
    body_encode(e, msg);
}

size_t
raft_msg_bytes(const struct raft_msg *msg)
{
    struct enc e;

    enc_init(&e, NULL, SIZE_MAX);
    msg_encode(&e, msg, 0);
    return e.len;
}

void
raft_msg_encode(const struct raft_msg *msg, void *buf)
{
    size_t len = raft_msg_bytes(msg);
    struct enc e;

    enc_init(&e, buf, len);
    msg_encode(&e, msg, len);
    CAIRN_ASSERT(enc_check(&e) == 0 && e.len == len);
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static uint64_t
number_get(struct dec *d)
{
    uint64_t n = dec_u64(d);

    if (n >= RAFT_NUMBER_MAX) {
        dec_fail(d, CAIRN_ERR(PROTO));
        return 0;
    }
    return n;
}

static void
must(struct dec *d, bool cond)
{
    if (!cond)
        dec_fail(d, CAIRN_ERR(PROTO));
}

bool
raft_payload_is_good(unsigned type, const void *data, size_t len)
{
    struct raft_conf conf;

    switch (type) {
    case RAFT_COMMAND:
        return len > 0 && len <= RAFT_CMD_BYTES_MAX;
    case RAFT_BARRIER:
        return len <= 8;
    case RAFT_CHANGE:
        return len <= RAFT_CONF_BYTES_MAX && raft_conf_parse(data, len, &conf) == 0;
    default:
        return false;
    }
}

/*
 * Entries, twice: with `entries` NULL they are checked and *ret_bytes is what their payloads take; then they are stored with payloads one after the other in `batch`.
 */
static void
entries_decode(struct dec *d, unsigned nr, uint64_t term_min, uint64_t term_max,
    struct raft_entry *entries, uint8_t *batch, size_t *ret_bytes)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < nr && dec_check(d) == 0; i++) {
        uint64_t term = dec_u64(d);
        unsigned type = dec_u16(d);
        unsigned zero = dec_u16(d);
        size_t len;
        const void *data = dec_blob(d, RAFT_CMD_BYTES_MAX, &len);

        if (dec_check(d) != 0)
            return;
        if (entries == NULL) {
            must(d, zero == 0 && term >= term_min && term <= term_max);
            must(d, raft_payload_is_good(type, data, len));
            term_min = term;
        } else {
            memset(&entries[i], 0, sizeof(entries[i]));
            entries[i].term = term;
            entries[i].type = (unsigned short)type;
            entries[i].buf.base = batch + bytes;
            entries[i].buf.len = len;
            entries[i].batch = batch;
            if (len > 0)
                memcpy(batch + bytes, data, len);
        }
        bytes += len;
    }
    *ret_bytes = bytes;
}

static void
append_decode(struct dec *d, struct raft_msg *msg)
{
    struct raft_append_entries *a = &msg->append;
    struct dec again;
    struct raft_entry *entries;
    uint8_t *batch;
    size_t bytes = 0;
    uint32_t nr;

    a->term = msg->term;
    a->prev_log_index = number_get(d);
    a->prev_log_term = number_get(d);
    a->leader_commit = number_get(d);
    nr = dec_u32(d);
    must(d, dec_u32(d) == 0 && nr <= RAFT_MSG_ENTRIES_NR_MAX);
    must(d, (a->prev_log_index == 0) == (a->prev_log_term == 0) && a->prev_log_term <= msg->term);
    must(d, a->leader_commit <= a->prev_log_index + nr); /* RFT-3 */
    again = *d;
    if (dec_check(d) == 0 && nr > 0)
        entries_decode(d, nr, MAX(a->prev_log_term, UINT64_C(1)), msg->term, NULL, NULL, &bytes);
    if (dec_end(d) != 0 || nr == 0)
        return;
    entries = raft_malloc(nr * sizeof(*entries));
    batch = raft_malloc(bytes + 1); /* the library takes NULL for no batch */
    if (entries == NULL || batch == NULL) {
        raft_free(entries);
        raft_free(batch);
        dec_fail(d, CAIRN_ERR(NOMEM));
        return;
    }
    entries_decode(&again, nr, 0, UINT64_MAX, entries, batch, &bytes);
    a->entries = entries;
    a->n_entries = nr;
    /* The log of every member begins with the same configuration. */
    if (a->prev_log_index == 0 && entries[0].type != RAFT_CHANGE)
        dec_fail(d, CAIRN_ERR(PROTO));
}

static void
offer_decode(struct dec *d, struct raft_msg *msg)
{
    struct raft_snap_offer *o = &msg->offer;
    uint32_t nr;

    o->index = number_get(d);
    o->term = number_get(d);
    o->conf_index = number_get(d);
    o->bytes = dec_u64(d);
    o->crc = dec_u32(d);
    nr = dec_u32(d);
    must(d, o->index > 0 && o->term > 0 && o->term <= msg->term);
    must(d, o->conf_index > 0 && o->conf_index <= o->index);
    must(d, o->bytes <= RAFT_SNAP_BYTES_MAX && nr <= RAFT_MEMBERS_NR_MAX);
    for (uint32_t i = 0; i < nr && dec_check(d) == 0; i++) {
        uint64_t role;

        o->conf.members[i].id = dec_u64(d);
        role = dec_u64(d);
        must(d, role <= RAFT_ROLE_SPARE);
        o->conf.members[i].role = (uint8_t)role;
        o->conf.nr++;
    }
    if (dec_check(d) == 0)
        must(d, raft_conf_check(&o->conf) == 0);
}

static void
vote_decode(struct dec *d, struct raft_msg *msg)
{
    struct raft_request_vote *v = &msg->vote;
    uint64_t flags;

    v->term = msg->term;
    v->candidate_id = msg->from;
    v->last_log_index = number_get(d);
    v->last_log_term = number_get(d);
    flags = dec_u64(d);
    must(d, flags <= (VOTE_DISRUPT | VOTE_PRE) && v->last_log_term <= msg->term);
    must(d, (v->last_log_index == 0) == (v->last_log_term == 0));
    v->disrupt_leader = (flags & VOTE_DISRUPT) != 0;
    v->pre_vote = (flags & VOTE_PRE) != 0;
}

static void
part_decode(struct dec *d, struct raft_msg *msg)
{
    struct raft_snap_part *p = &msg->part;
    size_t len;

    p->index = number_get(d);
    p->term = number_get(d);
    p->off = dec_u64(d);
    must(d, p->index > 0 && p->term > 0 && p->off <= RAFT_SNAP_BYTES_MAX);
    if (msg->type == RAFT_MSG_SNAP_PART) {
        const void *data = dec_blob(d, RAFT_MSG_PART_BYTES_MAX, &len);

        p->data = (struct iov){(void *)(uintptr_t)data, len};
    }
}

static void
body_decode(struct dec *d, struct raft_msg *msg)
{
    uint32_t granted, pre;

    switch (msg->type) {
    case RAFT_MSG_APPEND:
        append_decode(d, msg);
        break;
    case RAFT_MSG_APPEND_RESULT:
        msg->append_result.term = msg->term;
        msg->append_result.rejected = number_get(d);
        msg->append_result.last_log_index = number_get(d);
        break;
    case RAFT_MSG_VOTE:
        vote_decode(d, msg);
        break;
    case RAFT_MSG_VOTE_RESULT:
        granted = dec_u32(d);
        pre = dec_u32(d);
        must(d, granted <= 1 && (pre == raft_tribool_true || pre == raft_tribool_false));
        msg->vote_result.term = msg->term;
        msg->vote_result.vote_granted = granted == 1;
        msg->vote_result.pre_vote = (raft_tribool)pre;
        break;
    case RAFT_MSG_SNAP:
        offer_decode(d, msg);
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        msg->timeout_now.term = msg->term;
        msg->timeout_now.last_log_index = number_get(d);
        msg->timeout_now.last_log_term = number_get(d);
        break;
    case RAFT_MSG_SNAP_WANT:
    case RAFT_MSG_SNAP_PART:
        part_decode(d, msg);
        break;
    default:
        dec_fail(d, CAIRN_ERR(PROTO));
    }
}

size_t
raft_msg_peek(const void *buf, size_t len)
{
    size_t bytes;

    if (len < RAFT_MSG_HEAD_BYTES)
        return 0;
    bytes = le32_get((const uint8_t *)buf + 4);
    return bytes >= RAFT_MSG_HEAD_BYTES && bytes <= len && bytes <= RAFT_MSG_BYTES_MAX ? bytes : 0;
}

int
raft_msg_decode(const void *buf, size_t len, struct raft_msg *ret_msg)
{
    struct raft_msg msg;
    struct dec d;
    int rc;

    memset(&msg, 0, sizeof(msg));
    if (raft_msg_peek(buf, len) != len)
        return CAIRN_ERR(PROTO);
    dec_init(&d, buf, len);
    must(&d, dec_u8(&d) == RAFT_MSG_VERSION);
    msg.type = dec_u8(&d);
    must(&d, dec_u16(&d) == 0 && dec_u32(&d) == len);
    msg.group = dec_uuid(&d);
    msg.from = dec_u64(&d);
    msg.to = dec_u64(&d);
    msg.term = number_get(&d);
    msg.stamp = dec_u64(&d);
    must(&d, msg.from != 0 && msg.to != 0 && msg.from != msg.to && msg.term > 0);
    body_decode(&d, &msg);
    rc = dec_end(&d);
    if (rc != 0) {
        raft_msg_fini(&msg);
        return rc;
    }
    *ret_msg = msg;
    return 0;
}

void
raft_msg_fini(struct raft_msg *msg)
{
    if (msg->type != RAFT_MSG_APPEND || msg->append.entries == NULL)
        return;
    raft_free(msg->append.entries[0].batch);
    raft_free(msg->append.entries);
    msg->append.entries = NULL;
    msg->append.n_entries = 0;
}
