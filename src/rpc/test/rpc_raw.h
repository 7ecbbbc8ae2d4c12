/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A peer that speaks net_ops directly, on the client's xstream: it says what no rpc context would say. */
#ifndef CAIRN_RPC_RAW_H
#define CAIRN_RPC_RAW_H

#include "rpc/test/rpc_rig.h"

enum { RAW_INBOX_NR = 8192 };

/* A message that it received. */
struct raw_msg {
    struct rpc_head head;
    struct rpc_bulk_body bulk; /* of bulk messages */
    uint32_t payload_len;
};

struct raw {
    struct rig *rig;
    const struct net_ops *ops;
    struct net *net;
    struct net_peer *peer; /* of a client; of a server the last one that came */
    bool is_down;
    uint32_t inbox_nr, taken_nr;
    struct raw_msg *inbox;
    uint32_t pending_nr; /* sends */
    void (*on_msg)(struct raw *raw, const struct raw_msg *msg); /* NULL: into the inbox only */
    struct ult_cond cond;
};

bool raw_connect(struct raw *raw, struct rig *rig);
/** Listen beside the server; *ret_uri of NET_URI_MAX bytes. */
bool raw_listen(struct raw *raw, struct rig *rig, char *ret_uri);
void raw_close(struct raw *raw);
/** A head as the rig's client would send it. */
struct rpc_head raw_head(struct raw *raw, uint16_t kind, uint16_t opcode, uint64_t call);
/** Send head and body (checksums filled in) and payload, all copied. */
void raw_send(struct raw *raw, struct rpc_head *head, const void *body, size_t body_len,
    const void *payload, size_t payload_len);
void raw_send_bytes(
    struct raw *raw, const void *head, size_t head_len, const void *payload, size_t payload_len);
/** The next message of the inbox, or NULL: none for long, or the connection is gone. */
const struct raw_msg *raw_recv(struct raw *raw);
bool raw_down_wait(struct raw *raw);
/** Send an OBJ_APPLY request that names a region of `len` bytes. */
void raw_apply_send(struct raw *raw, uint64_t call, uint64_t len, uint64_t timeout_ns);

#endif
