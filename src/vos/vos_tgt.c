/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The store of a target: opening, running operations, the clock. */
#include "base/log.h"
#include "base/probe.h"
#include "vos/vos_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- running operations --------------------------------------------------------------------------------------------- */

void
vos_op_init(struct vos_op *op, const struct vos_tgt *tgt)
{
    memset(op, 0, sizeof(*op));
    op->um = tgt->um;
    op->hash_mask = tgt->hash_mask;
    op->steps_left = UINT32_MAX;
}

int
vos_tx_run(struct vos_tgt *tgt, struct vos_op *op, uint32_t flags, uint64_t shard, vos_body_fn body,
    void *arg, uint64_t *ret_lsn)
{
    const struct vos_op start = *op;
    struct umem_tx tx;
    int rc;

    for (;;) {
        rc = umem_tx_admit(tgt->um);
        if (rc != 0)
            break;
        rc = umem_tx_begin(tgt->um, flags, shard, &tx);
        if (rc == -DER_AGAIN)
            continue;
        if (rc != 0)
            break;
        *op = start;
        op->tx = &tx;
        rc = body(op, arg);
        tgt->visit_nr += op->visit_nr;
        op->tx = NULL;
        if (rc == 0 && CAIRN_FAULT("vos.tx.commit"))
            rc = CAIRN_ERR(NOMEM);
        if (rc == 0) {
            umem_tx_commit(&tx, ret_lsn);
            tgt->cut_nr += op->is_key_gone || op->is_obj_gone;
            tgt->held_gen += op->is_obj_gone;
            break;
        }
        umem_tx_abort(&tx);
        if (rc == -DER_AGAIN)
            rc = umem_fault(tgt->um);
        if (rc != 0)
            break;
    }
    umem_fault_done(tgt->um);
    return rc;
}

int
vos_read_run(struct vos_tgt *tgt, struct vos_op *op, vos_body_fn body, void *arg)
{
    int rc;

    for (;;) {
        op->steps_left = VOS_STEPS_NR;
        op->visit_nr = 0;
        ult_noyield_begin();
        rc = body(op, arg);
        ult_noyield_end();
        tgt->visit_nr += op->visit_nr;
        if (rc == -DER_AGAIN && op->lost != NULL && umem_miss_rc(tgt->um) != 0) {
            rc = umem_miss_rc(tgt->um); /* and the body can't do without it */
            break;
        }
        if (rc == -DER_AGAIN) {
            rc = umem_fault(tgt->um);
            if (rc != 0 && (op->lost == NULL || umem_miss_rc(tgt->um) == 0))
                break; /* else the body knows now */
        } else if (rc == -DER_INPROGRESS) {
            umem_fault_done(tgt->um); /* it looks for its place again */
            ult_yield();
        } else {
            break;
        }
    }
    umem_fault_done(tgt->um);
    return rc;
}

int
vos_wait(struct vos_tgt *tgt, uint64_t lsn)
{
    return bio_wal_wait(tgt->bio, lsn);
}

int
vos_root(struct vos_op *op, const struct vos_tgt *tgt, struct vos_root_df **ret_root)
{
    return vos_ptr(op, tgt->root_off, sizeof(struct vos_root_df), ret_root);
}

uint64_t
vos_obj_hash(const struct vos_cont *cont, const struct vos_oid *oid)
{
    return hash_mix64(oid_hash(oid->oid) ^
        hash_mix64(((uint64_t)oid->shard << 32 | oid->layout_ver) + cont->off));
}

void
vos_test_hash_mask(struct vos_tgt *tgt, uint64_t mask)
{
    tgt->hash_mask = mask;
}

/* ---- clock (VOS-3, ST-6) -------------------------------------------------------------------------------------------- */

uint64_t
vos_wall_ns(const struct vos_tgt *tgt)
{
    return plat_wall_ns(tgt->plat);
}

static int
bound_store(struct vos_op *op, struct vos_tgt *tgt, uint64_t bound)
{
    struct vos_root_df *root;
    int rc = vos_root(op, tgt, &root);

    if (rc == 0) {
        rc = vos_range(
            op, tgt->root_off + offsetof(struct vos_root_df, epoch_bound), sizeof(uint64_t));
    }
    if (rc == 0)
        root->epoch_bound = bound;
    return rc;
}

int
vos_epoch_take(struct vos_tgt *tgt, struct vos_op *op, uint64_t *ret_bound)
{
    uint64_t bound;
    int rc;

    *ret_bound = 0;
    if (op->epoch == 0) {
        op->epoch = hlc_now(&tgt->clock, vos_wall_ns(tgt));
    } else if (op->epoch > tgt->clock.last) {
        rc = hlc_recv(&tgt->clock, op->epoch, vos_wall_ns(tgt), HLC_EPSILON_NS);
        if (rc != 0)
            return rc;
    }
    if (CAIRN_LIKELY(tgt->clock.last <= tgt->bound))
        return 0;
    bound = hlc_add_ns(tgt->clock.last, VOS_BOUND_AHEAD_NS);
    rc = bound_store(op, tgt, bound);
    if (rc == 0)
        *ret_bound = bound;
    return rc;
}

void
vos_bound_moved(struct vos_tgt *tgt, uint64_t bound, uint64_t lsn)
{
    if (bound == 0)
        return;
    tgt->bound = bound;
    tgt->bound_lsn = lsn;
}

static int
bound_move_body(struct vos_op *op, void *arg)
{
    struct vos_tgt *tgt = arg;

    /* op->epoch: what the clock has reached. Another ULT may have been here meanwhile. */
    op->epoch = hlc_add_ns(MAX(op->epoch, tgt->clock.last), VOS_BOUND_AHEAD_NS);
    return bound_store(op, tgt, op->epoch);
}

/* Make `epoch` durable as used. */
static int
bound_cover(struct vos_tgt *tgt, uint64_t epoch)
{
    struct vos_op op;
    uint64_t lsn;
    int rc;

    if (epoch > tgt->bound) {
        vos_op_init(&op, tgt);
        op.epoch = epoch;
        rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, 0, bound_move_body, tgt, &lsn);
        if (rc != 0)
            return rc;
        vos_bound_moved(tgt, op.epoch, lsn);
    }
    return vos_wait(tgt, tgt->bound_lsn);
}

int
vos_epoch_next(struct vos_tgt *tgt, uint64_t *ret_epoch)
{
    uint64_t epoch = hlc_now(&tgt->clock, vos_wall_ns(tgt));
    int rc = bound_cover(tgt, epoch);

    if (rc == 0)
        *ret_epoch = epoch;
    return rc;
}

uint64_t
vos_epoch_last(const struct vos_tgt *tgt)
{
    return vos_epoch_now(tgt);
}

int
vos_epoch_recv(struct vos_tgt *tgt, uint64_t hlc)
{
    int rc = hlc_recv(&tgt->clock, hlc, vos_wall_ns(tgt), HLC_EPSILON_NS);

    return rc != 0 ? rc : bound_cover(tgt, tgt->clock.last);
}

int
vos_epoch_read(struct vos_tgt *tgt, uint64_t epoch, uint64_t *ret_epoch)
{
    int rc = 0;

    if (epoch == VOS_EPOCH_MAX) {
        epoch = vos_epoch_now(tgt);
    } else if (epoch > vos_epoch_now(tgt))
        rc = vos_epoch_recv(tgt, epoch);
    if (rc == 0)
        *ret_epoch = epoch;
    return rc;
}

static int
bound_settle_body(struct vos_op *op, void *arg)
{
    struct vos_tgt *tgt = arg;

    op->epoch = tgt->clock.last;
    return bound_store(op, tgt, op->epoch);
}

/*
 * Everything handed out, received and read at is at or below clock.last; an epoch drawn after this is above the new bound, and so moves it again
 * before it is used. A crash anywhere in between finds the old bound or the new one.
 */
int
vos_bound_settle(struct vos_tgt *tgt)
{
    struct vos_op op;
    uint64_t lsn;
    int rc;

    if (tgt->clock.last == 0 || tgt->clock.last >= tgt->bound)
        return 0; /* nothing was used since the opening */
    vos_op_init(&op, tgt);
    rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, 0, bound_settle_body, tgt, &lsn);
    if (rc != 0)
        return rc;
    vos_bound_moved(tgt, op.epoch, lsn);
    return vos_wait(tgt, lsn);
}

/* ---- opening and closing -------------------------------------------------------------------------------------------- */

static int
root_body(struct vos_op *op, void *arg)
{
    struct vos_tgt *tgt = arg;
    struct vos_root_df *root;
    int rc = vos_root(op, tgt, &root);

    if (rc != 0)
        return rc;
    if (root->magic == 0) {
        if (op->tx == NULL)
            return -DER_NONEXIST; /* a new store, or one that is only looked at */
        rc = vos_range(op, tgt->root_off, sizeof(*root));
        if (rc != 0)
            return rc;
        memset(root, 0, sizeof(*root));
        root->magic = VOS_ROOT_MAGIC;
        root->version = VOS_FORMAT_VERSION;
        root->shard_next = 1;
        root->epoch_bound = hlc_add_ns(hlc_from_unix_ns(vos_wall_ns(tgt)), VOS_BOUND_AHEAD_NS);
        tgt->bound = root->epoch_bound;
        return 0;
    }
    if (root->magic != VOS_ROOT_MAGIC)
        return vos_bad(tgt->root_off, "root of the store");
    if (root->version != VOS_FORMAT_VERSION || root->feat_incompat != 0) {
        LOG_WARN("store has format version %u, incompatible features %#" PRIx64
                 "; this is version %d",
            root->version, root->feat_incompat, VOS_FORMAT_VERSION);
        return CAIRN_ERR(DF_INCOMPT);
    }
    tgt->bound = root->epoch_bound;
    tgt->gc_has_work = root->gc_head != 0;
    return 0;
}

static int
root_open(struct vos_tgt *tgt)
{
    struct vos_op op;
    uint64_t lsn;
    int rc;

    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, root_body, tgt);
    if (rc == 0) {
        hlc_raise(&tgt->clock, tgt->bound);
        tgt->ts.floor = tgt->bound;
        return 0;
    }
    if (rc != -DER_NONEXIST || bio_cfg(tgt->bio)->is_rdonly)
        return rc;
    rc = vos_tx_run(tgt, &op, 0, 0, root_body, tgt, &lsn);
    return rc != 0 ? rc : vos_wait(tgt, lsn);
}

static void
tgt_free(struct vos_tgt *tgt)
{
    if (tgt == NULL)
        return;
    vos_pools_unload(tgt);
    vos_heap_fini(&tgt->heap);
    ult_cond_fini(&tgt->gc_wake);
    ult_cond_fini(&tgt->gc_moved);
    ult_mutex_fini(&tgt->admin);
    free(tgt);
}

int
vos_tgt_open(struct bio_tgt *bio, struct vos_tgt **ret_tgt)
{
    struct vos_tgt *tgt = vos_mem_get(sizeof(*tgt));
    int rc;

    if (tgt == NULL)
        return CAIRN_ERR(NOMEM);
    tgt->bio = bio;
    tgt->um = bio_umem(bio);
    tgt->xs = bio_xstream(bio);
    tgt->plat = xstream_plat(tgt->xs);
    tgt->root_off = umem_root(tgt->um);
    tgt->hash_mask = UINT64_MAX;
    tgt->dirty_depth = VOS_DIRTY_DEPTH_MIN;
    list_init(&tgt->pools);
    list_init(&tgt->conts);
    vos_heap_init(&tgt->heap);
    ult_mutex_init(&tgt->admin);
    ult_cond_init(&tgt->gc_wake);
    ult_cond_init(&tgt->gc_moved);
    *ret_tgt = tgt; /* from here on a kill may come */
    rc = root_open(tgt);
    if (rc == 0)
        rc = vos_pools_load(tgt);
    if (rc == 0 && bio_cfg(bio)->is_rdonly) {
        tgt->gc_has_work = false; /* it stays as it is */
    } else if (rc == 0)
        rc = vos_gc_start(tgt);
    if (rc != 0) {
        *ret_tgt = NULL;
        tgt_free(tgt);
    }
    return rc;
}

void
vos_tgt_close(struct vos_tgt *tgt)
{
    struct vos_cont *cont;

    if (tgt == NULL)
        return;
    LIST_FOREACH(cont, &tgt->conts, struct vos_cont, link) {
        CAIRN_ASSERT(cont->refs == 0);
    }
    vos_gc_end(tgt);
    if (bio_status(tgt->bio) == 0)
        CAIRN_IGNORE(vos_bound_settle(tgt)); /* else the next life begins at the old one */
    tgt_free(tgt);
}

void
vos_tgt_abandon(struct vos_tgt *tgt)
{
    struct vos_cont *cont, *tmp;

    if (tgt == NULL)
        return;
    LIST_FOREACH_SAFE(cont, tmp, &tgt->conts, struct vos_cont, link) {
        list_del(&cont->link);
        vos_dirty_fini(&cont->dirty);
        vos_dtxs_free(cont->dtxs);
        free(cont);
    }
    if (tgt->opening != NULL) {
        vos_dtxs_free(tgt->opening->dtxs);
        free(tgt->opening);
    }
    vos_pools_unload(tgt);
    vos_heap_fini(&tgt->heap);
    free(tgt);
}
