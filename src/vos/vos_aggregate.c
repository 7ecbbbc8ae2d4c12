/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Aggregation and discard (vos.h): a pass over a container in steps. A step looks (without a transaction) from a place on until it finds something to do, or enough was looked
 * at; what was found is done in a transaction that goes on from the same place (vos_agg_walk.c), arrays apart (vos_agg_array.c). Tested by test/vos_agg_test.c, and with
 * power cuts by test/crash/vos_sweep_test.c.
 */
#include "vos/vos_agg.h"

#include "base/log.h"

#include <string.h>

/* ---- the pass's memory of earlier ones ------------------------------------------------------------------------------ */

static uint64_t
snaps_hash(const struct vos_agg_args *args, uint64_t hi)
{
    uint32_t nr = 0;

    while (nr < args->snap_nr && args->snaps[nr] <= hi) {
        nr++;
    }
    return nr == 0 ? 0 : hash_bytes64(args->snaps, nr * sizeof(uint64_t), 0x5aab);
}

static bool
quota_is_short(const struct vos_cont *cont)
{
    struct vos_pool_info info;

    vos_cont_space(cont, &info);
    return info.meta_used > info.meta_quota / 2;
}

static int
memory_load(struct vos_op *op, void *arg)
{
    struct vos_agg *a = arg;
    struct vos_cont_df *rec;
    int rc = vos_cont_get(op, a->cont->off, &rec);

    if (rc != 0)
        return rc;
    a->had_uncooled = (rec->agg_left & VOS_AGG_LEFT_COOL) != 0;
    if (rec->agg_snaps != snaps_hash(a->args, rec->agg_epoch) || (a->cools && a->had_uncooled) ||
        ((rec->agg_left & VOS_AGG_LEFT_WORK) != 0 && !a->cont->is_left_known))
        return 0;
    a->lo = rec->agg_epoch;
    a->uses_dirty = true;
    return 0;
}

static int
memory_store(struct vos_op *op, void *arg)
{
    struct vos_agg *a = arg;
    struct vos_cont_df *rec;
    int rc = vos_cont_get(op, a->cont->off, &rec);
    uint64_t left = (a->has_again ? VOS_AGG_LEFT_WORK : 0) |
        (a->has_uncooled || (a->had_uncooled && a->lo != 0) ? VOS_AGG_LEFT_COOL : 0);

    if (rc != 0 || rec->agg_epoch > a->hi || (rec->agg_epoch == a->hi && rec->agg_left == left))
        return rc;
    rc = vos_range(op, a->cont->off + offsetof(struct vos_cont_df, agg_epoch), 3 * sizeof(uint64_t));
    if (rc != 0)
        return rc;
    rec->agg_epoch = a->hi;
    rec->agg_snaps = snaps_hash(a->args, a->hi);
    rec->agg_left = left;
    return 0;
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

struct tx {
    struct vos_agg *a;
    vos_body_fn body;
    void *arg;
};

static int
tx_body(struct vos_op *op, void *arg)
{
    struct tx *tx = arg;
    struct vos_agg *a = tx->a;
    struct vos_cont_df *rec;
    int rc;

    a->stat = a->start_stat;
    a->touched_nr = 0;
    rc = tx->body(op, tx->arg);
    a->meta = op->meta_delta;
    a->data = op->data_delta;
    if (rc != 0 || (op->meta_delta == 0 && op->data_delta == 0 && op->obj_delta == 0))
        return rc;
    rc = vos_cont_get(op, a->cont->off, &rec);
    if (rc == 0) {
        rc = vos_range(
            op, a->cont->off + offsetof(struct vos_cont_df, epoch_max), 4 * sizeof(uint64_t));
    }
    if (rc != 0)
        return rc;
    rec->obj_nr += (uint64_t)op->obj_delta;
    rec->meta_used += (uint64_t)op->meta_delta;
    rec->data_used += (uint64_t)op->data_delta;
    return 0;
}

static void
count(int64_t delta, uint64_t *freed, uint64_t *taken)
{
    if (delta < 0) {
        *freed += (uint64_t)-delta;
    } else {
        *taken += (uint64_t)delta;
    }
}

int
vos_agg_tx(struct vos_agg *a, vos_body_fn body, void *arg)
{
    struct tx tx = {a, body, arg};
    struct vos_cont *cont = a->cont;
    struct vos_tgt *tgt = cont->tgt;
    struct vos_op op;
    uint64_t lsn;
    int rc;

    a->start_stat = a->stat;
    vos_op_init(&op, tgt);
    op.steps_left = VOS_AGG_TX_LOOK_NR;
    rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, cont->pool->shard, tx_body, &tx, &lsn);
    if (rc != 0)
        return rc;
    cont->pool->meta_used += (uint64_t)a->meta;
    cont->pool->data_used += (uint64_t)a->data;
    count(a->meta, &a->stat.meta_freed, &a->stat.meta_taken);
    count(a->data, &a->stat.data_freed, &a->stat.data_taken);
    a->stat.step_nr++;
    if (a->touched_nr == 0)
        return 0;
    cont->trim_nr++;
    cont->lsn_last = lsn;
    for (uint32_t i = 0; i < a->touched_nr; i++) {
        *vos_obj_lsn(tgt, a->touched[i]) = lsn;
        ++*vos_obj_drops(tgt, a->touched[i]);
    }
    return 0;
}

void
vos_agg_again_at(struct vos_agg *a, const struct vos_oid *oid, const struct iov *dkey)
{
    uint64_t h = vos_obj_hash(a->cont, oid), next = a->hi + 1;
    struct vos_dirty *d = &a->cont->dirty;
    const struct vos_btr_kind *kind;
    struct vos_op op;

    if (a->is_discard)
        return;
    a->has_again = true;
    if (dkey == NULL || vos_kind_of_dkey(oid->oid, &kind) != 0) {
        a->has_lost = !vos_dirty_whole(d, h, next) || a->has_lost;
        return;
    }
    /* What changed in it until now may not have been noted (DTY-1). */
    vos_dirty_obj_changed(d, h, vos_epoch_now(a->cont->tgt), next);
    vos_op_init(&op, a->cont->tgt);
    vos_dirty_dkey(d, h, vos_key_bytes(&op, kind, dkey).hkey, next);
    a->has_lost = !vos_dirty_knows(d, h) || a->has_lost;
}

void
vos_agg_again(struct vos_agg *a, bool is_dkey)
{
    struct iov dkey = {a->pos.dkey.buf, a->pos.dkey.len};

    vos_agg_again_at(a, &a->pos.oid, is_dkey ? &dkey : NULL);
}

void
vos_agg_touch_obj(struct vos_agg *a, const struct vos_oid *oid)
{
    uint64_t h = vos_obj_hash(a->cont, oid);

    if (a->touched_nr > 0 && a->touched[a->touched_nr - 1] == h)
        return;
    CAIRN_ASSERT(a->touched_nr < VOS_AGG_TOUCH_NR);
    a->touched[a->touched_nr++] = h;
}

void
vos_agg_touch(struct vos_agg *a)
{
    vos_agg_touch_obj(a, &a->pos.oid);
}

bool
vos_agg_pace(struct vos_agg *a)
{
    if (a->args->pace != NULL)
        return a->args->pace(a->args->arg, &a->stat) != 0;
    ult_yield();
    return false;
}

void
vos_agg_let_read(struct vos_agg *a)
{
    const uint32_t *nr = vos_obj_searches(a->cont->tgt, vos_obj_hash(a->cont, &a->pos.oid));

    for (uint32_t i = 0; i<VOS_AGG_WAITS_NR && * nr> 0; i++) {
        ult_yield();
    }
}

static int
work_body(struct vos_op *op, void *arg)
{
    struct vos_agg *a = arg;

    a->pos = a->start;
    vos_agg_move_cut(a, a->start_move_nr);
    a->state = VOS_AGG_ON;
    a->budget = VOS_AGG_STEP_NR;
    return vos_agg_walk(op, a);
}

static int
look_body(struct vos_op *op, void *arg)
{
    struct vos_agg *a = arg;

    a->state = VOS_AGG_ON;
    return vos_agg_walk(op, a);
}

static int
pass_run(struct vos_agg *a)
{
    struct vos_tgt *tgt = a->cont->tgt;
    bool stop = false;
    struct vos_op op;
    int rc = 0;

    a->state = VOS_AGG_ON;
    while (rc == 0 && !stop && a->state != VOS_AGG_END) {
        vos_op_init(&op, tgt);
        rc = vos_read_run(tgt, &op, look_body, a);
        if (rc == 0 && a->state == VOS_AGG_WORK) {
            a->start = a->pos;
            a->start_move_nr = vos_agg_move_nr(a);
            rc = vos_agg_tx(a, work_body, a);
        }
        if (rc == 0 && (a->state == VOS_AGG_MOVE || a->state == VOS_AGG_END))
            rc = vos_agg_move(a, &stop);
        if (rc == 0 && a->state == VOS_AGG_ARRAY)
            rc = vos_agg_array(a, &stop);
        if (rc == 0 && !stop && a->state != VOS_AGG_END)
            stop = vos_agg_pace(a);
    }
    a->stat.is_finished = rc == 0 && !stop;
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int
args_check(const struct vos_agg_args *args)
{
    if (args->snap_nr > VOS_AGG_SNAPS_NR_MAX || args->hi == 0)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 1; i < args->snap_nr; i++) {
        if (args->snaps[i] <= args->snaps[i - 1])
            return CAIRN_ERR(INVAL);
    }
    return 0;
}

static int
views_make(struct vos_agg *a)
{
    struct vos_heap *heap = &a->cont->tgt->heap;
    const struct vos_agg_args *args = a->args;

    a->views = vos_heap_alloc(heap, (args->snap_nr + 1) * sizeof(*a->views));
    if (a->views == NULL)
        return CAIRN_ERR(NOMEM);
    while (a->view_nr < args->snap_nr && args->snaps[a->view_nr] < a->hi) {
        a->views[a->view_nr] = args->snaps[a->view_nr];
        a->view_nr++;
    }
    a->views[a->view_nr++] = a->hi;
    a->wants = vos_heap_alloc(heap, VOS_DIRTY_DKEYS_NR_MAX * sizeof(*a->wants));
    if (a->wants == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < VOS_AGG_LEVEL_NR; i++) {
        a->levels[i].mine = vos_heap_alloc(heap, a->view_nr * sizeof(struct vos_agg_punch));
        a->levels[i].all = vos_heap_alloc(heap, a->view_nr * sizeof(struct vos_agg_punch));
        if (a->levels[i].mine == NULL || a->levels[i].all == NULL)
            return CAIRN_ERR(NOMEM);
    }
    return 0;
}

static int
pass_make(struct vos_cont *cont, const struct vos_agg_args *args, bool is_discard, uint64_t lo,
    uint64_t hi, struct vos_agg **ret_a)
{
    struct vos_agg *a;

    if (cont->is_agg)
        return CAIRN_ERR(BUSY);
    a = vos_heap_alloc(&cont->tgt->heap, sizeof(*a));
    if (a == NULL)
        return CAIRN_ERR(NOMEM);
    memset(a, 0, sizeof(*a));
    a->cont = cont;
    a->args = args;
    a->is_discard = is_discard;
    a->lo = lo;
    a->hi = hi;
    cont->is_agg = true;
    cont->agg_hi = MAX(cont->agg_hi, MIN(hi, vos_epoch_now(cont->tgt)));
    *ret_a = a;
    return 0;
}

/* What was freed becomes durable. */
static int
pass_end(struct vos_agg *a, int rc, struct vos_agg_stat *ret_stat)
{
    struct vos_cont *cont = a->cont;
    int wait_rc = vos_wait(cont->tgt, cont->lsn_last);

    if (rc == 0)
        rc = wait_rc;
    if (rc != 0)
        a->stat.is_finished = false;
    if (ret_stat != NULL)
        *ret_stat = a->stat;
    cont->is_agg = false;
    for (uint32_t i = 0; i < VOS_AGG_LEVEL_NR; i++) {
        vos_heap_free(a->levels[i].mine);
        vos_heap_free(a->levels[i].all);
    }
    vos_heap_free(a->views);
    vos_heap_free(a->wants);
    vos_heap_free(a->moves);
    vos_heap_free(a);
    return rc;
}

int
vos_cont_aggregate(
    struct vos_cont *cont, const struct vos_agg_args *args, struct vos_agg_stat *ret_stat)
{
    uint64_t work_lo = cont->agg_work_lo, work_hi = cont->agg_work_hi;
    struct vos_agg *a;
    struct vos_op op;
    int rc = args_check(args);

    if (ret_stat != NULL)
        *ret_stat = (struct vos_agg_stat){0};
    if (rc == 0) {
        /* Nothing that is not settled is in reach (DTX-1). */
        rc = pass_make(cont, args, false, args->lo == 1 ? 0 : args->lo,
            MIN(MIN(args->hi, vos_epoch_now(cont->tgt)), vos_dtx_oldest(cont) - 1), &a);
    }
    if (rc != 0)
        return rc;
    /* What is above hi is left for the next pass. */
    cont->agg_work_lo = work_hi > a->hi ? a->hi + 1 : 0;
    rc = views_make(a);
    vos_op_init(&op, cont->tgt);
    a->cools =
        (args->flags & VOS_AGG_COOL) != 0 || umem_is_short(cont->tgt->um) || quota_is_short(cont);
    if (rc == 0 && args->lo == 0)
        rc = vos_read_run(cont->tgt, &op, memory_load, a);
    if (rc == 0)
        rc = pass_run(a);
    /* What was left to merge is for the next pass. */
    if (rc == 0 && a->stat.is_finished && args->lo <= 1 && (args->flags & VOS_AGG_NO_MERGE) == 0) {
        rc = vos_agg_tx(a, memory_store, a);
        cont->lsn_last = MAX(cont->lsn_last, bio_wal_last(cont->tgt->bio));
        if (rc == 0) {
            vos_dirty_done(&cont->dirty, a->hi);
            cont->is_left_known = !a->has_lost;
            cont->has_uncooled = a->has_uncooled || (a->had_uncooled && a->lo != 0);
        }
    }
    if ((rc != 0 || !a->stat.is_finished) && work_lo != 0) {
        cont->agg_work_lo = cont->agg_work_lo == 0 ? work_lo : MIN(work_lo, cont->agg_work_lo);
        cont->agg_work_hi = MAX(cont->agg_work_hi, work_hi);
    }
    return pass_end(a, rc, ret_stat);
}

bool
vos_cont_agg_is_needed(const struct vos_cont *cont, uint64_t hi)
{
    if (cont->has_uncooled && umem_is_short(cont->tgt->um) && !bio_data_is_mapped(cont->tgt->bio))
        return true;
    return cont->agg_work_lo != 0 && cont->agg_work_lo <= MIN(hi, vos_dtx_oldest(cont) - 1);
}

int
vos_cont_discard(struct vos_cont *cont, uint64_t lo, uint64_t hi, const struct vos_agg_args *args,
    struct vos_agg_stat *ret_stat)
{
    static const struct vos_agg_args none;
    struct vos_agg_args only = {0}; /* the caller's pace, and nothing else */
    struct vos_agg *a;
    int rc = lo == 0 || lo > hi ? CAIRN_ERR(INVAL) : 0;

    if (rc == 0 && vos_dtx_is_between(cont, lo, hi))
        rc = CAIRN_ERR(BUSY);
    if (ret_stat != NULL)
        *ret_stat = (struct vos_agg_stat){0};
    if (args == NULL)
        args = &none;
    only.pace = args->pace;
    only.arg = args->arg;
    if (rc == 0)
        rc = pass_make(cont, &only, true, lo - 1, hi, &a);
    if (rc != 0)
        return rc;
    rc = views_make(a);
    if (rc == 0)
        rc = pass_run(a);
    return pass_end(a, rc, ret_stat);
}
