/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The messages of a group of Raft as bytes (README.md has the layout). Six are the library's; a snapshot is offered by one of these and then fetched by the receiver in parts, by two
 * messages of ours.
 *
 *   RFT-2  Every byte of a message is checked before the library sees it, whose own checks are asserts that are compiled out: types, numbers of entries, orders of terms and indexes,
 *          configurations.
 *   RFT-3  leader_commit never says more than the message proves: it is at most the index of its last entry, also where the library sends more in one message than we do.
 *
 * Tested by test/raft_msg_test.c; fuzz target test/raft_msg_fuzz.c.
 */
#ifndef CAIRN_RAFT_MSG_H
#define CAIRN_RAFT_MSG_H

#include <raft.h>

#include "base/ids.h"
#include "base/iov.h"
#include "raft/raft_conf.h"

enum {
    RAFT_MSG_VERSION = 1,
    RAFT_MSG_HEAD_BYTES = 56,
    RAFT_MSG_ENTRIES_NR_MAX = 256, /* of one message */
    RAFT_MSG_ENTRY_BYTES = 16, /* before its payload */
    RAFT_CMD_BYTES_MAX = 512 << 10, /* of one entry */
    RAFT_MSG_PART_BYTES_MAX = 256 << 10, /* of a snapshot, in one message */
    /* Of a message: entries are added while their payloads have less than RAFT_CMD_BYTES_MAX together. */
    RAFT_MSG_BYTES_MAX = 2 * RAFT_CMD_BYTES_MAX + 16384,
    RAFT_SNAP_BYTES_MAX = 64 << 20,
};
/* Terms and indexes stay below it. */
#define RAFT_NUMBER_MAX (UINT64_C(1) << 62)

/* The first six are the library's numbers. */
enum raft_msg_type {
    RAFT_MSG_APPEND = RAFT_IO_APPEND_ENTRIES,
    RAFT_MSG_APPEND_RESULT = RAFT_IO_APPEND_ENTRIES_RESULT,
    RAFT_MSG_VOTE = RAFT_IO_REQUEST_VOTE,
    RAFT_MSG_VOTE_RESULT = RAFT_IO_REQUEST_VOTE_RESULT,
    RAFT_MSG_SNAP = RAFT_IO_INSTALL_SNAPSHOT, /* an offer, without the bytes */
    RAFT_MSG_TIMEOUT_NOW = RAFT_IO_TIMEOUT_NOW,
    RAFT_MSG_SNAP_WANT = 16, /* bytes of an offered snapshot, from `off` on */
    RAFT_MSG_SNAP_PART,
};

/* Which snapshot, and which part of it. */
struct raft_snap_part {
    uint64_t index, term; /* of its last entry */
    uint64_t off;
    struct iov data; /* SNAP_PART; borrowed from the message */
};

struct raft_snap_offer {
    uint64_t index, term, conf_index;
    struct raft_conf conf;
    uint64_t bytes;
    uint32_t crc; /* CRC32C of them */
};

struct raft_msg {
    enum raft_msg_type type;
    struct uuid group;
    uint64_t from, to; /* members */
    uint64_t term;
    /*
     * APPEND: the sender's monotonic clock when it was sent. APPEND_RESULT: that of the newest APPEND of this term that the sender of the result had taken notice of; 0: of none.
     */
    uint64_t stamp;
    union {
        struct raft_append_entries append; /* decoded: entries and their one batch are from raft_malloc() */
        struct raft_append_entries_result append_result;
        struct raft_request_vote vote;
        struct raft_request_vote_result vote_result;
        struct raft_timeout_now timeout_now;
        struct raft_snap_offer offer;
        struct raft_snap_part part;
    };
};

/** How many bytes it takes. */
size_t raft_msg_bytes(const struct raft_msg *msg);
/** Write it; buf has raft_msg_bytes(). Entries beyond RAFT_MSG_ENTRIES_NR_MAX are a mistake of the caller (asserted). */
void raft_msg_encode(const struct raft_msg *msg, void *buf);
/**
 * Check and take apart one message of exactly `len` bytes. What of *ret_msg is the library's memory goes with raft_msg_fini(), or to the library. Errors: PROTO; NOMEM.
 */
CAIRN_MUST_CHECK int raft_msg_decode(const void *buf, size_t len, struct raft_msg *ret_msg);
void raft_msg_fini(struct raft_msg *msg);
/** An entry's payload fits its type: what the library would take without a look. */
bool raft_payload_is_good(unsigned type, const void *data, size_t len);
/** Bytes of the message that begins here, as its head says; 0: there is none, or it cannot be one. */
size_t raft_msg_peek(const void *buf, size_t len);

#endif
