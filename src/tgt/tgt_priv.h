/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of tgt share. */
#ifndef CAIRN_TGT_PRIV_H
#define CAIRN_TGT_PRIV_H

#include "base/hash.h"
#include "base/list.h"
#include "base/sm.h"
#include "tgt/tgt.h"

enum { TGT_SERVING, TGT_DRAINING, TGT_STOPPED };
enum { TGT_CONT_OPENING, TGT_CONT_OPEN, TGT_CONT_DRAINING };

/* A pair of handles. Lives while it is in the table or referenced. */
struct tgt_hdl {
    struct hmap_link link;
    struct tgt *tgt;
    struct list_head lru; /* of tgt.hdl_lru, least recently used first; in no list once dead */
    struct tgt_ids ids;
    struct tgt_hdl_info info;
    uint64_t checked_ns; /* when the service was last asked */
    uint32_t refs;
    bool is_known; /* info is filled */
    bool is_doubted; /* the service is asked before it is used again */
    bool is_asking; /* a look-up is under way */
    bool is_dead; /* out of the table: revoked, evicted, or the look-up failed */
    int rc; /* of the failed look-up */
    struct ult_cond changed;
};

/* An open container. ops_nr counts requests at work. */
struct tgt_cont {
    struct hmap_link link;
    struct list_head lru;
    struct uuid pool, cont;
    struct vos_cont *vos;
    struct sm sm;
    uint32_t ops_nr;
    uint32_t refs; /* waiters that look at the entry */
    bool is_gone; /* out of the table */
    struct tgt_agg_cont *agg; /* NULL: not remembered */
    struct ult_cond changed;
};

/* A pool's shard, for those that wait for space. A round is a look at all of its containers. */
struct tgt_agg_pool {
    struct list_head link;
    struct uuid pool;
    uint32_t refs; /* containers, waiters */
    uint64_t freed; /* grows when space came back */
    uint64_t round_want, round_begun, round_done; /* numbers; at most one at work */
    bool is_held; /* the round left something that may be reclaimed later */
    bool has_freed; /* the round at work freed something */
    struct ult_cond changed;
};

/* The aggregation of a container, open or closed. */
struct tgt_agg_cont {
    struct hmap_link link; /* of tgt.aggs.conts */
    struct list_head queue; /* of tgt.aggs.queue while is_queued */
    struct tgt_agg_pool *pool;
    struct uuid cont;
    bool is_loaded; /* queued because of a start alone */
    bool is_queued; /* something may be reclaimable */
    bool is_watched; /* queued for its snapshots alone: one may go without a word */
    bool is_busy; /* a pass is at work */
    bool is_gone; /* destroyed meanwhile */
    bool is_open; /* a tgt_cont points to it */
    bool is_unmerged; /* a pass left merging out, or found no space for it */
    uint32_t waiters;
    uint64_t due_ns;
    uint64_t changed; /* grows with every change */
    uint64_t round; /* the last one that looked at it */
    uint32_t fail_nr, empty_nr; /* passes in a row that failed; that found nothing */
    uint64_t begun_ns, pass_ns; /* when the last one began; how long it took */
    struct tgt_pace pace; /* of all of its passes */
    uint64_t live_bytes; /* of the shard, as the last one that finished left it; 0: none has */
    /* What is asked for by tgt_aggregate(). */
    uint64_t ask_want, ask_done; /* numbers */
    uint64_t ask_epoch; /* up to */
    int ask_rc;
    uint64_t ask_hi;
    struct ult_cond asked; /* ask_done */
    /* TGT-7: below known_hi only these epochs can be read. */
    uint64_t known_hi; /* 0: nothing is known */
    uint64_t *known;
    uint32_t known_nr;
    bool is_new_known; /* `known` differs from what the last finished pass went by */
};

struct tgt_aggs {
    struct hmap conts;
    struct list_head queue;
    struct list_head pools;
    struct list_head readers; /* struct tgt_op: at the newest epoch, oldest first */
    struct list_head fixed_readers; /* struct tgt_op: at a given epoch */
    struct ult *ult;
    struct ult_cond wake;
    bool is_stopping;
};

struct tgt_scrubs {
    struct list_head list; /* struct tgt_scrub, those of which the service said anything */
    struct tgt_scrub *images; /* the metadata role; in the list, too. NULL: none was on, so far */
    struct ult *ult; /* NULL: none is on, so far */
    struct ult_cond wake;
    bool is_stopping;
};

struct tgt_stopping {
    struct list_head link;
    struct uuid pool;
};

struct tgt {
    struct tgt_opts opts;
    struct xstream *xs;
    struct sm sm;
    struct hmap hdls, conts;
    struct list_head hdl_lru, cont_lru;
    struct list_head dead_hdls; /* referenced, but out of the table */
    struct list_head dead_conts;
    struct list_head stopping; /* struct tgt_stopping */
    uint64_t revoke_seq; /* TGT-2 */
    uint32_t busy_nr; /* ULTs inside: requests, look-ups, destroys */
    struct ult_cond idle;
    struct tgt_aggs aggs;
    struct tgt_scrubs scrubs;
    struct tgt_stats stats;
    struct tgt_lives lives;
};

/* tgt_hdl.c */
CAIRN_YIELDS CAIRN_MUST_CHECK int
tgt_hdl_get(struct tgt *tgt, const struct tgt_ids *ids, uint32_t map_ver, struct tgt_hdl **ret_hdl);
void tgt_hdl_put(struct tgt *tgt, struct tgt_hdl *hdl);
void tgt_hdl_kill(struct tgt *tgt, struct tgt_hdl *hdl, int rc);
/* Kill every handle of the pool, or with `cont` those to that container. */
void tgt_hdl_kill_all(struct tgt *tgt, struct uuid pool, const struct uuid *cont);

/* tgt.c */
void tgt_busy_begin(struct tgt *tgt);
void tgt_busy_end(struct tgt *tgt);
/*
 * Enter a container of the store without a handle; it is not made when it is not there (NONEXIST). End with tgt_cont_leave(). Errors: as of tgt_op_begin().
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int tgt_cont_enter(
    struct tgt *tgt, const struct uuid *pool, const struct uuid *cont, struct tgt_cont **ret_tc);
void tgt_cont_leave(struct tgt_cont *tc);

/* tgt_agg.c */
CAIRN_MUST_CHECK int tgt_aggs_init(struct tgt *tgt);
CAIRN_MUST_CHECK int tgt_aggs_start(struct tgt *tgt);
/* No pass goes on, nobody waits for one. */
CAIRN_YIELDS void tgt_aggs_stop(struct tgt *tgt);
void tgt_aggs_fini(struct tgt *tgt); /* memory alone */
/* Remember the container; NULL: no room. */
struct tgt_agg_cont *tgt_agg_get(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont);
/* It is destroyed; or, cont NULL, all of the pool are. */
void tgt_agg_forget(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont);
/* Who waits for space or a pass looks again whether he should. */
void tgt_agg_disturb(struct tgt *tgt);
/* Look at it at due_ns, or before when that was said before. */
void tgt_agg_queue(struct tgt *tgt, struct tgt_agg_cont *ac, uint64_t due_ns);
/* It has snapshots, and nothing else to look at: ask, some time, whether it still has them. */
void tgt_agg_watch(struct tgt *tgt, struct tgt_agg_cont *ac);
void tgt_agg_unqueue(struct tgt_agg_cont *ac);
/* Out of the table; freed when nobody works with it. */
void tgt_agg_drop(struct tgt *tgt, struct tgt_agg_cont *ac);
/* When it is looked at next, now that something changed. */
uint64_t
tgt_agg_due(const struct tgt *tgt, const struct tgt_agg_cont *ac, const struct vos_cont *vos);
/* What its shard occupies, and how much of that, in thousandths of what the last pass left, came since. */
uint64_t tgt_agg_used(const struct vos_cont *vos);
uint32_t tgt_agg_grown(uint64_t used, uint64_t live);
/* The shard fills: passes come soon; they do not rest. */
bool tgt_agg_is_warm(const struct vos_cont *vos);
bool tgt_agg_is_tight(const struct vos_cont *vos);
/* Somebody waits for a look at all containers of the pool. */
bool tgt_agg_is_round(const struct tgt_agg_pool *ap);
/* tgt_agg_pass.c */
/* Aggregate it, if it is to be; then it is done, or queued anew. */
CAIRN_YIELDS void tgt_agg_pass(struct tgt *tgt, struct tgt_agg_cont *ac);
/* How long a pass rests for each ns that it works, while requests are served: the shard is tight (or somebody waits), warm; reclaim is `time`; it is the first one, or it, or the one before, took longer than a gap;
 * grown: as tgt_agg_grown() says. */
uint32_t tgt_agg_rest(bool is_tight, bool is_warm, bool is_time, bool is_long, uint32_t grown);
enum { TGT_AGG_GROWN_LOW = 50, TGT_AGG_GROWN_HIGH = 150 }; /* the share rises between them */
/* tgt_pace.c: the arithmetic of tgt_pace(). Rest now for so long after that much work; it was rested for so long. */
uint64_t tgt_pace_owe(struct tgt_pace *pace, uint64_t work_ns, uint32_t rest);
void tgt_pace_rested(struct tgt_pace *pace, uint64_t rest_ns);
/* More work of the same kind begins: the time since the last of it was a rest. */
void tgt_pace_resume(struct tgt *tgt, struct tgt_pace *pace);
/* tgt_scrub.c */
void tgt_scrubs_init(struct tgt *tgt);
/* The service said how the shard of a pool is scrubbed. */
void tgt_scrub_told(struct tgt *tgt, const struct uuid *pool, const struct tgt_scrub_conf *conf);
uint32_t tgt_scrubs_out_nr(const struct tgt *tgt);
CAIRN_YIELDS void tgt_scrubs_stop(struct tgt *tgt);
void tgt_scrubs_fini(struct tgt *tgt); /* memory alone */

/* Whether the container of a request is being closed. */
bool tgt_cont_is_ending(const struct tgt_cont *tc);

#endif
