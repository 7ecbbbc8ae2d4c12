/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Open containers of a target, requests at work, and the end of shards, containers and the target
 * itself.
 * Tested by test/tgt_test.c.
 */
#include "tgt/tgt.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/probe.h"
#include "tgt_priv.h"

static const struct sm_state_def tgt_states[] = {
    [TGT_SERVING] = {"serving", SM_TO(TGT_DRAINING)},
    [TGT_DRAINING] = {"draining", SM_TO(TGT_STOPPED)},
    [TGT_STOPPED] = {"stopped", 0},
};
static const struct sm_def tgt_sm = {"tgt", tgt_states, ARRAY_SIZE(tgt_states)};

static const struct sm_state_def cont_states[] = {
    [TGT_CONT_OPENING] = {"opening", SM_TO(TGT_CONT_OPEN)},
    [TGT_CONT_OPEN] = {"open", SM_TO(TGT_CONT_DRAINING)},
    [TGT_CONT_DRAINING] = {"draining", 0},
};
static const struct sm_def cont_sm = {"tgt_cont", cont_states, ARRAY_SIZE(cont_states)};

/* ---- the target ----------------------------------------------------------------------------- */

int
tgt_create(const struct tgt_opts *opts, struct tgt **ret_tgt)
{
    struct tgt *tgt = calloc(1, sizeof(*tgt));
    int rc;

    if (tgt == NULL)
        return CAIRN_ERR(NOMEM);
    tgt->opts = *opts;
    if (tgt->opts.hdls_nr_max == 0)
        tgt->opts.hdls_nr_max = TGT_HDLS_NR_MAX;
    if (tgt->opts.conts_nr_max == 0)
        tgt->opts.conts_nr_max = TGT_CONTS_NR_MAX;
    tgt->xs = xstream_self();
    sm_init(&tgt->sm, &tgt_sm, TGT_SERVING);
    list_init(&tgt->hdl_lru);
    list_init(&tgt->cont_lru);
    list_init(&tgt->dead_hdls);
    list_init(&tgt->dead_conts);
    list_init(&tgt->stopping);
    ult_cond_init(&tgt->idle);
    tgt_scrubs_init(tgt);
    rc = tgt_aggs_init(tgt);
    if (rc == 0)
        rc = hmap_init(&tgt->hdls, 6);
    if (rc == 0)
        rc = hmap_init(&tgt->conts, 4);
    if (rc == 0)
        rc = tgt_aggs_start(tgt);
    if (rc != 0) {
        tgt_abandon(tgt);
        return rc;
    }
    *ret_tgt = tgt;
    return 0;
}

void
tgt_busy_begin(struct tgt *tgt)
{
    CAIRN_ASSERT(ult_runs_on(tgt->xs));
    tgt->busy_nr++;
}

void
tgt_busy_end(struct tgt *tgt)
{
    CAIRN_ASSERT(tgt->busy_nr > 0);
    tgt->busy_nr--;
    if (tgt->busy_nr == 0)
        ult_cond_broadcast(&tgt->idle);
}

static int
busy_begin_checked(struct tgt *tgt)
{
    if (!sm_is(&tgt->sm, TGT_SERVING))
        return CAIRN_ERR(SHUTDOWN);
    tgt_busy_begin(tgt);
    return 0;
}

void
tgt_drain(struct tgt *tgt)
{
    if (sm_is(&tgt->sm, TGT_SERVING))
        sm_move(&tgt->sm, TGT_DRAINING);
    tgt_aggs_stop(tgt);
    tgt_scrubs_stop(tgt);
    while (tgt->busy_nr > 0) {
        ult_cond_wait(&tgt->idle, NULL);
    }
    if (sm_is(&tgt->sm, TGT_DRAINING))
        sm_move(&tgt->sm, TGT_STOPPED);
}

void
tgt_destroy(struct tgt *tgt)
{
    struct tgt_cont *tc;

    if (tgt == NULL)
        return;
    tgt_drain(tgt);
    LIST_FOREACH(tc, &tgt->cont_lru, struct tgt_cont, lru) {
        CAIRN_ASSERT(tc->ops_nr == 0);
        vos_cont_close(tc->vos);
    }
    tgt_abandon(tgt);
}

void
tgt_abandon(struct tgt *tgt)
{
    struct tgt_hdl *hdl, *htmp;
    struct tgt_cont *tc, *ctmp;
    struct tgt_stopping *st, *stmp;

    if (tgt == NULL)
        return;
    list_splice_tail(&tgt->dead_hdls, &tgt->hdl_lru);
    LIST_FOREACH_SAFE(hdl, htmp, &tgt->hdl_lru, struct tgt_hdl, lru) {
        free(hdl);
    }
    list_splice_tail(&tgt->dead_conts, &tgt->cont_lru);
    LIST_FOREACH_SAFE(tc, ctmp, &tgt->cont_lru, struct tgt_cont, lru) {
        free(tc);
    }
    LIST_FOREACH_SAFE(st, stmp, &tgt->stopping, struct tgt_stopping, link) {
        free(st);
    }
    tgt_aggs_fini(tgt);
    tgt_scrubs_fini(tgt);
    hmap_fini(&tgt->hdls);
    hmap_fini(&tgt->conts);
    free(tgt);
}

struct vos_tgt *
tgt_vos(struct tgt *tgt)
{
    return tgt->opts.vos;
}

struct tgt_lives *
tgt_lives(struct tgt *tgt)
{
    return &tgt->lives;
}

struct bio_tgt *
tgt_bio(struct tgt *tgt)
{
    return tgt->opts.bio;
}

uint32_t
tgt_idx(const struct tgt *tgt)
{
    return tgt->opts.idx;
}

void
tgt_stats_get(const struct tgt *tgt, struct tgt_stats *ret_stats)
{
    *ret_stats = tgt->stats;
    ret_stats->running_nr = tgt->busy_nr;
    ret_stats->hdls_nr = (uint32_t)tgt->hdls.nr;
    ret_stats->conts_nr = (uint32_t)tgt->conts.nr;
    ret_stats->out_nr = tgt_scrubs_out_nr(tgt);
}

/* ---- containers ----------------------------------------------------------------------------- */

static uint64_t
cont_hash(const struct uuid *pool, const struct uuid *cont)
{
    return hash_bytes64(cont, sizeof(*cont), hash_bytes64(pool, sizeof(*pool), 0));
}

static struct tgt_cont *
cont_find(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont)
{
    struct tgt_cont *tc;

    HMAP_FOREACH_HASH(tc, &tgt->conts, cont_hash(pool, cont), struct tgt_cont, link) {
        if (cuuid_cmp(&tc->cont, cont) == 0 && cuuid_cmp(&tc->pool, pool) == 0)
            break;
    }
    return tc;
}

static void
cont_unref(struct tgt_cont *tc)
{
    CAIRN_ASSERT(tc->refs > 0);
    tc->refs--;
    if (tc->refs > 0 || !tc->is_gone)
        return;
    list_del(&tc->lru);
    ult_cond_fini(&tc->changed);
    free(tc);
}

/* Take a referenced entry out of the table. */
static void
cont_drop(struct tgt *tgt, struct tgt_cont *tc)
{
    CAIRN_ASSERT(!tc->is_gone);
    CAIRN_ASSERT(tc->ops_nr == 0);
    hmap_remove(&tgt->conts, &tc->link);
    list_move(&tc->lru, &tgt->dead_conts);
    tc->is_gone = true;
    if (tc->agg != NULL)
        tc->agg->is_open = false;
    tc->agg = NULL;
    ult_cond_broadcast(&tc->changed);
}

/* Close what nobody uses when the table is full (TGT-4). */
static int
cont_make_room(struct tgt *tgt)
{
    struct tgt_cont *tc;

    if (tgt->conts.nr < tgt->opts.conts_nr_max)
        return 0;
    LIST_FOREACH(tc, &tgt->cont_lru, struct tgt_cont, lru) {
        if (tc->ops_nr == 0 && tc->refs == 0 && sm_is(&tc->sm, TGT_CONT_OPEN)) {
            tgt->stats.evictions_nr++;
            CAIRN_PROBE("tgt.cont.evict");
            vos_cont_close(tc->vos);
            tc->refs++;
            cont_drop(tgt, tc);
            cont_unref(tc);
            return 0;
        }
    }
    return CAIRN_ERR(AGAIN);
}

static int
cont_add(struct tgt *tgt, struct uuid pool, struct uuid cont, struct tgt_cont **ret_tc)
{
    struct tgt_cont *tc;
    int rc;

    rc = cont_make_room(tgt);
    if (rc != 0)
        return rc;
    tc = calloc(1, sizeof(*tc));
    if (tc == NULL)
        return CAIRN_ERR(NOMEM);
    tc->pool = pool;
    tc->cont = cont;
    tc->agg = tgt_agg_get(tgt, &pool, &cont);
    if (tc->agg != NULL)
        tc->agg->is_open = true;
    sm_init(&tc->sm, &cont_sm, TGT_CONT_OPENING);
    ult_cond_init(&tc->changed);
    hmap_insert(&tgt->conts, &tc->link, cont_hash(&pool, &cont));
    list_add_tail(&tc->lru, &tgt->cont_lru);
    *ret_tc = tc;
    return 0;
}

static bool
pool_is_stopping(struct tgt *tgt, const struct uuid *pool)
{
    struct tgt_stopping *st;

    LIST_FOREACH(st, &tgt->stopping, struct tgt_stopping, link) {
        if (cuuid_cmp(&st->pool, pool) == 0)
            return true;
    }
    return false;
}

/* Open an entry that the caller has just added and referenced; it is dropped when that fails. */
static int
cont_open(struct tgt *tgt, struct tgt_cont *tc, bool may_create)
{
    struct vos_cont *vos = NULL;
    int rc;

    rc = vos_cont_open(tgt->opts.vos, tc->pool, tc->cont, &vos);
    if (rc == -DER_NONEXIST && may_create) {
        rc = vos_cont_create(tgt->opts.vos, tc->pool, tc->cont);
        if (rc == 0 || rc == -DER_EXIST)
            rc = vos_cont_open(tgt->opts.vos, tc->pool, tc->cont, &vos);
    }
    if (rc != 0) {
        cont_drop(tgt, tc);
        return rc;
    }
    tc->vos = vos;
    sm_move(&tc->sm, TGT_CONT_OPEN);
    ult_cond_broadcast(&tc->changed);
    return 0;
}

/* Count a request on a container, opening it, or creating it as well. */
static int
cont_enter(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont, bool may_create,
    struct tgt_cont **ret_tc)
{
    struct tgt_cont *tc;
    int rc = 0;

    if (pool_is_stopping(tgt, pool))
        return CAIRN_ERR(NONEXIST);
    tc = cont_find(tgt, pool, cont);
    if (tc == NULL) {
        /* No yield since the caller knew that it is there: a destroy to come finds this entry (TGT-3). */
        rc = cont_add(tgt, *pool, *cont, &tc);
        if (rc != 0)
            return rc;
        tc->refs++;
        rc = cont_open(tgt, tc, may_create);
    } else {
        tc->refs++;
        while (!tc->is_gone && sm_is(&tc->sm, TGT_CONT_OPENING)) {
            ult_cond_wait(&tc->changed, NULL);
        }
        if (tc->is_gone)
            rc = CAIRN_ERR(AGAIN); /* the opening failed; whoever tried knows why */
    }
    if (rc == 0 && !sm_is(&tc->sm, TGT_CONT_OPEN))
        rc = CAIRN_ERR(NONEXIST);
    if (rc == 0) {
        tc->ops_nr++;
        if (!tc->is_gone && may_create)
            list_move_tail(&tc->lru, &tgt->cont_lru);
        *ret_tc = tc;
    }
    cont_unref(tc);
    return rc;
}

int
tgt_cont_enter(
    struct tgt *tgt, const struct uuid *pool, const struct uuid *cont, struct tgt_cont **ret_tc)
{
    return cont_enter(tgt, pool, cont, false, ret_tc);
}

void
tgt_cont_leave(struct tgt_cont *tc)
{
    CAIRN_ASSERT(tc->ops_nr > 0);
    tc->ops_nr--;
    if (tc->ops_nr == 0 && sm_is(&tc->sm, TGT_CONT_DRAINING))
        ult_cond_broadcast(&tc->changed);
}

bool
tgt_cont_is_ending(const struct tgt_cont *tc)
{
    return !sm_is(&tc->sm, TGT_CONT_OPEN);
}

/*
 * Wait until nobody works on a referenced entry and close it; false when another ULT did that
 * first.
 */
static bool
cont_drain(struct tgt *tgt, struct tgt_cont *tc)
{
    while (!tc->is_gone && sm_is(&tc->sm, TGT_CONT_OPENING)) {
        ult_cond_wait(&tc->changed, NULL);
    }
    if (!tc->is_gone && sm_is(&tc->sm, TGT_CONT_DRAINING)) {
        while (!tc->is_gone) {
            ult_cond_wait(&tc->changed, NULL);
        }
    }
    if (tc->is_gone)
        return false;
    sm_move(&tc->sm, TGT_CONT_DRAINING);
    tgt_agg_disturb(tgt);
    while (tc->ops_nr > 0) {
        ult_cond_wait(&tc->changed, NULL);
    }
    vos_cont_close(tc->vos);
    tc->vos = NULL;
    return true;
}

/* ---- requests ------------------------------------------------------------------------------- */

int
tgt_op_begin(struct tgt *tgt, const struct tgt_ids *ids, uint32_t map_ver, struct tgt_op *op)
{
    struct tgt_hdl *hdl = NULL;
    struct tgt_cont *tc = NULL;
    int rc;

    memset(op, 0, sizeof(*op));
    rc = busy_begin_checked(tgt);
    if (rc != 0)
        return rc;
    rc = tgt_hdl_get(tgt, ids, map_ver, &hdl);
    if (rc != 0)
        goto out;
    op->info = hdl->info;
    if (map_ver != 0 && map_ver < hdl->info.map_ver) {
        rc = CAIRN_ERR(STALE);
        goto out;
    }
    rc = hdl->is_dead ? CAIRN_ERR(NO_HDL)
                      : cont_enter(tgt, &hdl->ids.pool, &hdl->info.cont, true, &tc);
    if (rc != 0)
        goto out;
    if (vos_cont_is_out(tc->vos)) {
        CAIRN_PROBE("tgt.op.out");
        tgt_cont_leave(tc);
        rc = CAIRN_ERR(DATA_LOSS); /* TGT-10 */
        goto out;
    }
    op->tgt = tgt;
    op->hdl = hdl;
    op->cont = tc;
    op->vos = tc->vos;
    tgt->stats.ops_nr++;
out:
    if (rc != 0) {
        tgt_hdl_put(tgt, hdl);
        tgt_busy_end(tgt);
    }
    return rc;
}

void
tgt_op_end(struct tgt_op *op)
{
    if (op->tgt == NULL)
        return;
    if (op->is_reader)
        list_del(&op->reader);
    tgt_cont_leave(op->cont);
    tgt_hdl_put(op->tgt, op->hdl);
    tgt_busy_end(op->tgt);
    op->tgt = NULL;
}

/* ---- shards and their ends ------------------------------------------------------------------ */

int
tgt_pool_create(struct tgt *tgt, struct uuid pool, uint64_t meta_bytes, uint64_t data_bytes)
{
    struct vos_pool_info info;
    int rc;

    rc = busy_begin_checked(tgt);
    if (rc != 0)
        return rc;
    if (pool_is_stopping(tgt, &pool)) {
        rc = CAIRN_ERR(BUSY);
        goto out;
    }
    rc = vos_pool_create(tgt->opts.vos, pool, meta_bytes, data_bytes);
    if (rc != -DER_EXIST)
        goto out;
    rc = vos_pool_query(tgt->opts.vos, pool, &info);
    if (rc == 0 && (info.meta_quota != meta_bytes || info.data_quota != data_bytes))
        rc = CAIRN_ERR(EXIST);
out:
    tgt_busy_end(tgt);
    return rc;
}

/* An open container of the pool, NULL when there is none. */
static struct tgt_cont *
cont_of_pool(struct tgt *tgt, const struct uuid *pool)
{
    struct tgt_cont *tc;

    LIST_FOREACH(tc, &tgt->cont_lru, struct tgt_cont, lru) {
        if (cuuid_cmp(&tc->pool, pool) == 0)
            return tc;
    }
    return NULL;
}

static void
pool_close(struct tgt *tgt, struct uuid pool)
{
    struct tgt_cont *tc;

    tgt_hdl_kill_all(tgt, pool, NULL);
    while ((tc = cont_of_pool(tgt, &pool)) != NULL) {
        tc->refs++;
        if (cont_drain(tgt, tc))
            cont_drop(tgt, tc);
        cont_unref(tc);
    }
}

int
tgt_pool_destroy(struct tgt *tgt, struct uuid pool)
{
    struct tgt_stopping *st = NULL;
    int rc;

    rc = busy_begin_checked(tgt);
    if (rc != 0)
        return rc;
    if (pool_is_stopping(tgt, &pool)) {
        rc = CAIRN_ERR(BUSY); /* the one before is at work: ask again */
        goto out;
    }
    st = calloc(1, sizeof(*st));
    if (st == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    st->pool = pool;
    list_add(&st->link, &tgt->stopping);
    pool_close(tgt, pool);
    rc = vos_pool_destroy(tgt->opts.vos, pool);
    if (rc == -DER_NONEXIST)
        rc = 0;
    tgt_agg_forget(tgt, &pool, NULL);
    list_del(&st->link);
    free(st);
out:
    tgt_busy_end(tgt);
    return rc;
}

int
tgt_cont_destroy(struct tgt *tgt, struct uuid pool, struct uuid cont)
{
    struct tgt_cont *tc;
    int rc;

    rc = busy_begin_checked(tgt);
    if (rc != 0)
        return rc;
    tgt_hdl_kill_all(tgt, pool, &cont);
    tc = cont_find(tgt, &pool, &cont);
    if (tc != NULL) {
        bool is_mine;

        tc->refs++;
        is_mine = cont_drain(tgt, tc);
        if (is_mine) {
            /* The entry stays while the store destroys, so that nobody opens it anew. */
            rc = vos_cont_destroy(tgt->opts.vos, pool, cont);
            cont_drop(tgt, tc);
        } else {
            rc = CAIRN_ERR(BUSY);
        }
        cont_unref(tc);
    } else {
        rc = vos_cont_destroy(tgt->opts.vos, pool, cont);
    }
    if (rc == -DER_NONEXIST)
        rc = 0;
    if (rc == 0)
        tgt_agg_forget(tgt, &pool, &cont);
    tgt_busy_end(tgt);
    return rc;
}
