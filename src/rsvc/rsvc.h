/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * rsvc: a replicated service's database and leadership, behind the interface that Raft fills:
 * updates are proposed and return when committed, reads are verified, leadership may be lost at
 * every yield. Now with a single member, whose log is the WAL of the engine's system store.
 *
 * The database holds named tables of key-value pairs. One propose is one atomic, durable change.
 *
 *   RSV-1  Nothing is told to a client before it is committed (ST-2): propose returns after commit,
 *          reads wait for what they reveal.
 *   RSV-2  A propose with a request id stores the answer with the effect; a resend finds it (MS-2).
 *   RSV-3  Whoever yields checks leadership again: rsvc_term() changes when it was lost in between.
 *   RSV-4  Terms are durable before they are used and never repeat, also across restarts.
 *
 * Stored form: one shard of the system store for each service, in it one container and one object
 * with hashed dkeys (tables) and lexical akeys (keys); docs in README.md.
 *
 * Owner: the system xstream of the engine. Tested by test/rsvc_test.c.
 */
#ifndef CAIRN_RSVC_H
#define CAIRN_RSVC_H

#include "base/arena.h"
#include "base/ids.h"
#include "base/iov.h"
#include "vos/vos.h"

struct rsvc;

enum {
    RSVC_TABLE_NAME_BYTES_MAX = 64,
    RSVC_KEY_BYTES_MAX = 1024,
    RSVC_VALUE_BYTES_MAX = 65536,
    RSVC_UPDATES_NR_MAX = 128
};
/*
 * Space of a service: what it begins with, and what it may grow to while the store has some left. The
 * first are small, so that an engine holds some thousand services.
 */
#define RSVC_META_BYTES_MIN (UINT64_C(256) << 10)
#define RSVC_META_BYTES_MAX (UINT64_C(64) << 20)
#define RSVC_DATA_BYTES_MIN (UINT64_C(128) << 10)
#define RSVC_DATA_BYTES_MAX (UINT64_C(64) << 20)

enum rsvc_op { RSVC_PUT = 1, RSVC_DEL, RSVC_DEL_TABLE };

struct rsvc_update {
    enum rsvc_op op;
    const char *table;
    struct iov key, value;
};

/** Create the database of service `svc` in the system store. Errors: EXIST; those of vos. */
CAIRN_YIELDS CAIRN_MUST_CHECK int rsvc_create(struct vos_tgt *sys, struct uuid svc);
CAIRN_YIELDS CAIRN_MUST_CHECK int rsvc_destroy(struct vos_tgt *sys, struct uuid svc);
/** Services whose database is here. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
rsvc_list(struct vos_tgt *sys, struct uuid after, struct uuid *svcs, uint32_t nr, uint32_t *ret_nr);

struct rsvc_opts {
    struct uuid svc;
    uint32_t self_rank;
    /*
     * Called on a ULT when this member becomes leader (load caches) and when it stops being one
     * (drop them).
     */
    CAIRN_YIELDS int (*step_up)(void *arg);
    CAIRN_YIELDS void (*step_down)(void *arg);
    void *arg;
};
/**
 * Open the database and become its leader. *ret_rsvc is set before step_up() is called, so that
 * the callback can use it, and cleared again when the start
 * fails. Errors: NONEXIST no such service; those of step_up() and vos.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
rsvc_start(struct vos_tgt *sys, const struct rsvc_opts *opts, struct rsvc **ret_rsvc);
/** Steps down, waits for calls in flight (they answer NOTLEADER), frees. NULL is fine. */
CAIRN_YIELDS void rsvc_stop(struct rsvc *rsvc);
/** Frees memory alone (simulated kill). */
void rsvc_abandon(struct rsvc *rsvc);

/**
 * 0 when leader and caches are loaded, else NOTLEADER with *ret_hint = the leader's rank
 * (RPC_RANK_NONE: unknown).
 */
CAIRN_MUST_CHECK int rsvc_check_leader(const struct rsvc *rsvc, uint32_t *ret_hint);
uint64_t rsvc_term(const struct rsvc *rsvc);
/**
 * Make the member step down (tests; later: transfer). The single member stands for election again
 * at once.
 */
CAIRN_YIELDS void rsvc_resign(struct rsvc *rsvc);

/**
 * Commit all updates or none. req may be NULL. With is_replay the answer of the first execution is
 * in `result`. Errors: NOTLEADER leadership was lost
 * (the updates may or may not survive: resend with the same id); NOSPACE refused before anything
 * was appended; TX_UNCERTAIN.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int rsvc_propose(struct rsvc *rsvc, const struct rsvc_update *updates,
    uint32_t nr, const struct vos_req_id *req, struct iov result, struct vos_apply_ret *ret);
/**
 * The stored answer of a request: NONEXIST without ret->is_replay when it was never committed. With
 * is_replay an error is that of its first execution. Ask before evaluating a modifying request anew.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int
rsvc_replay(struct rsvc *rsvc, const struct vos_req_id *req, struct vos_apply_ret *ret);
/**
 * The request ended with `failure`, which its client takes for final: a copy that arrives later gets
 * the same answer and has no effect. Remembered by this leader alone: its successor is another
 * incarnation, or the client asks it with a new connection.
 */
CAIRN_YIELDS void rsvc_refuse(struct rsvc *rsvc, const struct vos_req_id *req, int failure);

/**
 * Verified read: committed, and this member was leader after the read. Value lives in `arena`.
 * Errors: NONEXIST; NOTLEADER.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int rsvc_get(struct rsvc *rsvc, const char *table, struct iov key,
    struct arena *arena, struct iov *ret_value);
/**
 * Keys in byte order (lexical) after `after` (empty: from the start); fn returns false to stop.
 * Errors: NOTLEADER.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int rsvc_list_keys(struct rsvc *rsvc, const char *table,
    struct iov after, bool (*fn)(void *arg, struct iov key, struct iov value), void *arg);

#endif
