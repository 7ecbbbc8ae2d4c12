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
    struct ult_cond changed;
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
    struct tgt_stats stats;
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

#endif
