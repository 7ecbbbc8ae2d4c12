/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of mgmt share. Row formats: README.md. */
#ifndef CAIRN_MGMT_PRIV_H
#define CAIRN_MGMT_PRIV_H

#include "base/codec.h"
#include "base/list.h"
#include "mgmt/mgmt.h"

#define MGMT_TABLE_POOLS "pools" /* uuid -> row */
#define MGMT_TABLE_LABELS "labels" /* label -> uuid */
#define MGMT_TABLE_RANKS "ranks" /* u32, big-endian -> row */

/* A pool that a ULT works on (MGT-4). */
struct mgmt_job {
    struct list_head link;
    struct uuid pool;
};

struct mgmt {
    struct mgmt_env env;
    struct rsvc *rsvc; /* NULL: the service is elsewhere */
    struct ult_mutex lock; /* evaluate and commit */
    struct ult_cond changed; /* jobs, calls_nr, stop, work */
    struct list_head jobs;
    uint32_t calls_nr;
    bool is_stopping, is_working;
    bool has_ranks; /* the group changed: record it */
    bool has_unfinished; /* look for pools that are neither ready nor gone */
    struct arena arena; /* of the worker */
};

/* mgmt_svc.c: begin a request; *ret_hint is set with NOTLEADER. */
CAIRN_MUST_CHECK int mgmt_call_begin(struct mgmt *mgmt, struct rpc_req *req);
void mgmt_call_end(struct mgmt *mgmt);

/* mgmt_row.c */
CAIRN_YIELDS CAIRN_MUST_CHECK int mgmt_row_get(
    struct mgmt *mgmt, const struct uuid *pool, struct arena *arena, struct mgmt_pool *ret_pool);
/* Fill *ret_update; row and key live in the arena. */
CAIRN_MUST_CHECK int
mgmt_row_update(const struct mgmt_pool *pool, struct arena *arena, struct rsvc_update *ret_update);
CAIRN_MUST_CHECK int
mgmt_row_decode(struct iov key, struct iov value, struct arena *arena, struct mgmt_pool *ret_pool);
/* Of a row, nothing else of it: without memory. */
CAIRN_MUST_CHECK int mgmt_row_state(struct iov value, uint32_t *ret_state);

/*
 * mgmt_pool.c: take a pool's remaining steps. Returns how its creation or destruction ended; a row
 * that is gone: 0.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
mgmt_pool_drive(struct mgmt *mgmt, struct uuid pool, struct arena *arena);

#endif
