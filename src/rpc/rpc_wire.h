/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Layout of the head of every message (FM-3), byte-exact as docs/format/rpc.md says, and of the body of bulk messages. Pure functions.
 *
 *   RPC-7  Offsets and length of the head and its checksum are the same in every protocol version, so that a message of an unknown
 *          version can be told from damage and refused by name.
 */
#ifndef CAIRN_RPC_WIRE_H
#define CAIRN_RPC_WIRE_H

#include "rpc/rpc.h"

enum {
    RPC_HEAD_BYTES = 208,
    RPC_BULK_BODY_BYTES = 40,
    RPC_BULK_HERE_BYTES = RPC_BULK_BODY_BYTES + NET_WHERE_BYTES + 8, /* body of HERE and TAKE */
    RPC_VER_LO = 1, /* oldest and newest protocol version spoken */
    RPC_VER_HI = 1,
};
#define RPC_MAGIC UINT32_C(0x43525043) /* "CPRC" in memory */
/* Features: a receiver refuses a message with an unknown bit of the lower half; the upper half only informs. */
#define RPC_FEATURES_REQUIRED_MASK UINT64_C(0xffffffff)
#define RPC_FEATURES_KNOWN UINT64_C(0)

enum rpc_kind {
    RPC_KIND_REQUEST = 1,
    RPC_KIND_REPLY = 2,
    RPC_KIND_BULK_GET = 3, /* server -> client: send me this part of your region */
    RPC_KIND_BULK_DATA = 4, /* client -> server: here it is (payload) */
    RPC_KIND_BULK_PUT = 5, /* server -> client: put this (payload) into your region */
    RPC_KIND_BULK_DONE = 6, /* client -> server: PUT or TAKE done, or GET, PUT or TAKE refused */
    RPC_KIND_BULK_HERE = 7, /* client -> server: read it yourself, here; xfer 0: nobody asked */
    RPC_KIND_BULK_TAKE = 8, /* server -> client: read this into your region, here */
};

enum rpc_flag {
    RPC_FLAG_REFUSED = 1 << 0, /* a reply that no handler made */
    RPC_FLAG_BODY_OUTSIDE = 1 << 1, /* the body is the payload: too long to follow the head */
    RPC_FLAG_DIRECT =
        1 << 2, /* of GET: HERE will do as well as DATA; of a request: TAKE as well as PUT */
    RPC_FLAG_WHOLE = 1 << 3, /* of GET: no checksum is asked for; of DATA and HERE: none came */
    RPC_FLAG_EARLY = 1 << 4, /* of a request: the reply may come while TAKEs are under way (RPC-15) */
};

struct rpc_head {
    uint16_t ver_lo, ver_hi, ver; /* what the sender speaks, and what this is */
    uint64_t features;
    uint16_t kind;
    uint64_t call; /* of the connection: pairs replies and bulk messages with their request */
    uint32_t body_len, body_crc;
    uint32_t payload_len, payload_crc;
    struct rpc_hdr hdr;
};

/* Body of the bulk messages. */
struct rpc_bulk_body {
    uint64_t xfer; /* one chunk, number of the server's */
    uint64_t id, key; /* of the region */
    uint64_t off; /* in the region */
    uint32_t len;
    int32_t rc; /* DONE */
};

/** Write RPC_HEAD_BYTES bytes, checksum included. Version range and features are this program's. */
void rpc_head_encode(const struct rpc_head *head, void *buf);

/** Errors: PROTO too short, not our magic, or the checksum is wrong. Versions, lengths and all else are for the caller to check. */
CAIRN_MUST_CHECK int rpc_head_decode(const void *buf, size_t len, struct rpc_head *ret_head);

/* What follows the body in HERE and TAKE. */
struct rpc_bulk_here {
    uint8_t where[NET_WHERE_BYTES]; /* the transport's affair */
    uint32_t crc; /* of the bytes there */
};

void rpc_bulk_here_encode(const struct rpc_bulk_here *here, void *body);
CAIRN_MUST_CHECK int
rpc_bulk_here_decode(const void *body, size_t len, struct rpc_bulk_here *ret_here);

void rpc_bulk_body_encode(const struct rpc_bulk_body *body, void *buf);
CAIRN_MUST_CHECK int
rpc_bulk_body_decode(const void *buf, size_t len, struct rpc_bulk_body *ret_body);

#endif
