/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * proto: every wire message described once, as a table of fields that encodes, decodes, checks and prints it. Bodies are little-endian,
 * fields in table order, byte strings and arrays with a 32-bit count before them. A body may be followed by fields that a newer version
 * appended (ignored) and may end early where the sender was older: missing trailing fields decode as zero. This holds for a body as a whole;
 * structs inside it (array items too) never change.
 *
 *   PR-1  Decoding never reads beyond the buffer, never allocates more than 64 times the bytes it read, and checks every count against the
 *         field's limit before it is used.
 *   PR-2  Decoded byte strings point into the message buffer; arrays live in the caller's arena. Both are borrowed for the life of these two.
 *   PR-3  Recursion goes along the static tables only, at most PROTO_DEPTH_MAX deep: bytes cannot deepen it.
 *
 * Nothing here yields, keeps state or allocates outside the arena. Tested by proto_codec_test.c (every message of the tables with random
 * contents, cut at every byte, every bit flipped), proto_golden_test.c (test/compat/rpc) and the fuzz target proto_fuzz.c.
 */
#ifndef CAIRN_PROTO_H
#define CAIRN_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/iov.h"
#include "base/strbuf.h"

/* Structs within structs; PR-1's factor: memory of one array item against its smallest encoding. */
enum { PROTO_DEPTH_MAX = 5, PROTO_GROWTH_MAX = 64 };

enum proto_type {
    PROTO_U8,
    PROTO_U16,
    PROTO_U32,
    PROTO_U64,
    PROTO_I32,
    PROTO_UUID, /* struct uuid */
    PROTO_OID, /* struct oid */
    PROTO_BYTES, /* struct iov; max: bytes */
    PROTO_STR, /* struct iov whose bytes hold no zero; not terminated; max: bytes */
    PROTO_ARRAY, /* struct proto_array of sub structs; max: items */
    PROTO_STRUCT /* a nested struct, by sub */
};

struct proto_array {
    uint32_t nr;
    void *items; /* nr structs of the sub message */
};

struct proto_msg;

struct proto_field {
    const char *name;
    enum proto_type type;
    uint32_t off; /* in the C struct */
    uint32_t max;
    const struct proto_msg *sub;
};

struct proto_msg {
    const char *name;
    uint32_t struct_bytes;
    uint32_t field_nr;
    const struct proto_field *fields;
};

/* One operation: opcode, what a request and a reply look like, and whether it changes state (then it carries a request id, MS-2). */
struct proto_op {
    uint16_t opcode;
    bool is_modifying;
    const char *name;
    const struct proto_msg *req, *rep;
};

/** NULL: unknown. */
const struct proto_op *proto_op_find(uint16_t opcode);
/** All operations, for tests and fuzzing. */
const struct proto_op *proto_op_table(uint32_t *ret_nr);

/** All messages of the tables, also those that only occur inside others. */
const struct proto_msg *const *proto_msg_table(uint32_t *ret_nr);

/** Bytes that encode() will write. */
size_t proto_size(const struct proto_msg *msg, const void *st);

/**
 * Encode the struct `st` of message `msg` into buf. Errors: TRUNC the buffer is too short; OVERFLOW a count or string above its limit; INVAL a
 * zero byte in a STR, or bytes or items without memory.
 */
CAIRN_MUST_CHECK int proto_encode(
    const struct proto_msg *msg, const void *st, void *buf, size_t buf_len, size_t *ret_len);

/**
 * Decode into the struct `ret_st` of msg->struct_bytes bytes, which borrows buf and arena (PR-2). On failure it is all zero.
 * Errors: PROTO malformed; NOMEM the arena is at its limit.
 */
CAIRN_MUST_CHECK int proto_decode(
    const struct proto_msg *msg, const void *buf, size_t len, struct arena *arena, void *ret_st);

/** One line for people: name{field=value ...}; long bytes and arrays are cut. */
void proto_to_text(const struct proto_msg *msg, const void *st, struct strbuf *sb);

/* Field lists are written with these (st is the C struct). */
/* clang-format off */
#define PROTO_F(st, member, kind) { #member, PROTO_##kind, offsetof(st, member), 0, NULL }
#define PROTO_F_MAX(st, member, kind, limit) { #member, PROTO_##kind, offsetof(st, member), limit, NULL }
#define PROTO_F_SUB(st, member, kind, limit, submsg) { #member, PROTO_##kind, offsetof(st, member), limit, submsg }
/* clang-format on */

#endif
