/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of control requests share: engine_ctl.c (the requests as such, group, status) engine_ctl_pool.c, and engine_ctl_tgt.c. */
#ifndef CAIRN_ENGINE_CTL_H
#define CAIRN_ENGINE_CTL_H

#include "engine_priv.h"
#include "proto/ctl/ctl.pb-c.h"

enum { ENGINE_CTL_ARENA_BYTES_MAX = 16 << 20 };

/* One request. */
struct engine_ctl {
    struct engine *engine;
    struct arena *arena;
    ProtobufCAllocator alloc;
    Cairn__Ctl__Envelope *req;
    char error[ENGINE_TEXT_BYTES];
    struct iov body; /* of the reply */
    bool was_found; /* the pool that is to be destroyed, by an earlier try */
};

/* Fill the error line. Returns rc. */
int engine_ctl_fail(struct engine_ctl *ctl, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Pack the body of the reply. */
CAIRN_MUST_CHECK int engine_ctl_reply(struct engine_ctl *ctl, const ProtobufCMessage *msg);
/* The request's body; NULL: malformed. */
ProtobufCMessage *engine_ctl_body(struct engine_ctl *ctl, const ProtobufCMessageDescriptor *desc);
/* Copies in the arena; empty when it is full. */
ProtobufCBinaryData engine_ctl_bytes(struct engine_ctl *ctl, const struct uuid *id);
char *engine_ctl_str(struct engine_ctl *ctl, struct iov text);

/* Methods, on an engine that is READY. */
CAIRN_YIELDS int engine_ctl_pool_create(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_pool_destroy(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_pool_evict(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_pool_list(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_pool_query(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_pool_set_prop(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_pool_query_targets(struct engine_ctl *ctl);
CAIRN_YIELDS int engine_ctl_storage(struct engine_ctl *ctl);

/* Words for what pool requests commonly fail with. Returns rc. */
int engine_ctl_pool_fail(struct engine_ctl *ctl, int rc, const char *id);
/* Ask the pool's service, here or where it is. */
CAIRN_YIELDS CAIRN_MUST_CHECK int engine_ctl_pool_ask(
    struct engine_ctl *ctl, const struct mgmt_pool *pool, struct proto_pool_query_rep *rep);

#endif
