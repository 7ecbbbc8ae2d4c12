/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Pools and containers as a client sees them. Objects are shared and counted: a handle holds one reference, an open container one on its pool, an open
 * object one on its container, a call in flight one on what it uses.
 *
 * Touched only on ULTs of the client's xstream.
 */
#ifndef CAIRN_CLIENT_POOL_H
#define CAIRN_CLIENT_POOL_H

#include "client/core/client.h"
#include "client/core/client_event.h"
#include "placement/placement.h"
#include "poolmap/poolmap.h"
#include "proto/proto_svc.h"

struct client_pool {
    struct daos_client *client;
    uint32_t ref_nr;
    struct uuid uuid;
    struct uuid hdl;
    uint64_t flags;
    uint32_t leader; /* rank of the pool service, as last heard */
    struct poolmap *map;
    bool is_slave; /* made from a global handle: closing it does not disconnect */
    uint32_t cont_nr; /* open containers */
};

struct client_cont {
    struct client_pool *pool;
    uint32_t ref_nr;
    struct uuid uuid;
    struct uuid hdl;
    uint64_t flags;
    uint32_t layout_ver; /* of placement (FM-4) */
    uint32_t rd_fac;
    uint32_t csum_type;
    bool is_slave;
    uint32_t obj_nr; /* open objects */
    uint64_t epoch; /* at which it is read; UINT64_MAX: now */
    struct client_cont *origin; /* of a view (client_snap.h); else NULL */
};

void client_pool_get(struct client_pool *pool);
void client_pool_put(struct client_pool *pool); /* NULL-safe */
void client_cont_get(struct client_cont *cont);
void client_cont_put(struct client_cont *cont); /* NULL-safe */

/** Behind handles; a reference is not taken. Errors: NO_HDL. */
CAIRN_MUST_CHECK int
client_pool_of(struct daos_client *client, uint64_t cookie, struct client_pool **ret_pool);
CAIRN_MUST_CHECK int
client_cont_of(struct daos_client *client, uint64_t cookie, struct client_cont **ret_cont);
/** The same, kept until client_cont_put(); `needs_write` for what changes it. Errors: NO_HDL; NO_PERM opened for reading only. */
CAIRN_MUST_CHECK int
client_cont_take(uint64_t cookie, bool needs_write, struct client_cont **ret_cont);

/** A request to the pool's service; finds its leader by hints. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_pool_call(
    struct client_pool *pool, uint16_t opcode, const void *req, void *rep, struct arena *arena);
/** The same with the container's handle. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_cont_call(
    struct client_cont *cont, uint16_t opcode, const void *req, void *rep, struct arena *arena);
/** A request to the system service; finds its leader by hints. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_sys_call(
    struct daos_client *client, uint16_t opcode, const void *req, void *rep, struct arena *arena);
/** This process, for who may look whether it still lives: services of its own machine (client_pool.c). */
void client_proc(const struct daos_client *client, struct proto_proc *ret_proc);
/**
 * Say that this process uses a handle that another one opened, so that it does not go with that one (POL-6). cont_hdl NULL: the pool's. Errors: NO_HDL it
 * was closed, or all who held it have ended.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
client_attach_hdl(struct client_pool *pool, const struct uuid *cont_hdl);
struct uuid client_uuid_new(struct daos_client *client);

/* Objects of handles; `*ret` returns owned, with one reference. `map` passes to the pool. */
CAIRN_MUST_CHECK int client_pool_new(struct daos_client *client, struct uuid uuid, struct uuid hdl,
    uint64_t flags, uint32_t leader, struct poolmap *map, struct client_pool **ret_pool);
CAIRN_MUST_CHECK int client_cont_new(struct client_pool *pool, struct uuid uuid, struct uuid hdl,
    uint64_t flags, struct client_cont **ret_cont);
/** Handles of them; the reference passes to the handle. */
CAIRN_MUST_CHECK int client_pool_hdl_new(struct client_pool *pool, uint64_t *ret_cookie);
CAIRN_MUST_CHECK int client_cont_hdl_new(struct client_cont *cont, uint64_t *ret_cookie);

/** Make an encoded map the pool's, if it is newer (MB-1). */
CAIRN_MUST_CHECK int client_pool_map_take(struct client_pool *pool, const struct iov *bytes);
/** Fetch the newest map. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_pool_refresh(struct client_pool *pool);
/** To a target of the pool: fills in handles, map version and endpoint. STALE means that the map was refreshed: compute the layout anew and call again. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_tgt_call(struct client_cont *cont, uint32_t tgt_id,
    uint16_t opcode, const void *req, void *rep, struct arena *arena);
/** The same with a region (may be NULL) that the request names and the target will pull as a whole. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_tgt_call_bulk(struct client_cont *cont, uint32_t tgt_id,
    uint16_t opcode, const void *req, struct rpc_bulk *bulk, void *rep, struct arena *arena);

#endif
