/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Pool shards and containers. Creation and destruction are serialised by tgt->admin. */
#include "base/codec.h"
#include "base/hash.h"
#include "vos/vos_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    WALK_NR = 64, /* records between yields */
    STREAM_NR = 8, /* containers share streams of the data role by hash */
};

int
vos_uuid_tree_walk(struct vos_op *op, const struct vos_btr_kind *kind, struct vos_tree_df *df,
    uint64_t df_off, struct uuid *after, uint32_t *nr,
    int (*fn)(struct vos_op *op, uint64_t rec, void *arg), void *arg)
{
    struct vos_btr_key key = vos_key_uuid(after);
    const uint8_t *p;
    struct vos_btr t;
    bool exact;
    int rc = vos_btr_init(&t, op, kind, df, df_off);

    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0)
        rc = vos_btr_settle(&t);
    if (rc == 0 && exact)
        rc = vos_btr_next(&t);
    while (rc == 0 && *nr > 0) {
        rc = vos_ptr(op, vos_btr_rec(&t), 24, &p);
        if (rc == 0)
            rc = fn(op, vos_btr_rec(&t), arg);
        if (rc != 0)
            return rc;
        memcpy(after->b, p + 8, sizeof(after->b));
        --*nr;
        if (*nr > 0)
            rc = vos_btr_next(&t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

static uint64_t
pools_off(const struct vos_tgt *tgt)
{
    return tgt->root_off + offsetof(struct vos_root_df, pools);
}

static uint64_t
conts_off(const struct vos_pool *pool)
{
    return pool->off + offsetof(struct vos_pool_df, conts);
}

static struct vos_pool *
pool_find(struct vos_tgt *tgt, const struct uuid *id)
{
    struct vos_pool *pool;

    LIST_FOREACH(pool, &tgt->pools, struct vos_pool, link) {
        if (cuuid_cmp(&pool->uuid, id) == 0)
            return pool;
    }
    return NULL;
}

struct vos_pool *
vos_pool_by_uuid(struct vos_tgt *tgt, const struct uuid *id)
{
    return pool_find(tgt, id);
}

struct vos_pool *
vos_pool_by_shard(struct vos_tgt *tgt, uint64_t shard)
{
    struct vos_pool *pool;

    LIST_FOREACH(pool, &tgt->pools, struct vos_pool, link) {
        if (pool->shard == shard)
            return pool;
    }
    return NULL;
}

static void
pool_free(struct vos_pool *pool)
{
    if (pool == NULL)
        return;
    vos_req_unload(pool);
    list_del(&pool->link);
    free(pool);
}

static int
pool_new(struct vos_tgt *tgt, const struct uuid *id, struct vos_pool **ret_pool)
{
    struct vos_pool *pool = vos_mem_get(sizeof(*pool));

    if (pool == NULL || hmap_init(&pool->clients, 4) != 0) {
        free(pool);
        return CAIRN_ERR(NOMEM);
    }
    pool->uuid = *id;
    list_init(&pool->link);
    list_add_tail(&pool->link, &tgt->pools);
    *ret_pool = pool;
    return 0;
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

struct load {
    struct vos_tgt *tgt;
    struct vos_pool *pool;
    struct uuid after;
    uint64_t gc_next;
    bool gc_started;
    bool is_done;
    uint64_t recs[WALK_NR];
    uint32_t rec_nr;
};

static int
load_rec(struct vos_op *op, uint64_t rec, void *arg)
{
    struct load *l = arg;

    (void)op;
    l->recs[l->rec_nr++] = rec;
    return 0;
}

static int
load_pools_body(struct vos_op *op, void *arg)
{
    struct load *l = arg;
    struct uuid after = l->after;
    struct vos_root_df *root;
    struct vos_pool *pool;
    struct vos_pool_df *rec;
    uint32_t nr = 1;
    int rc = vos_root(op, l->tgt, &root);

    l->rec_nr = 0;
    if (rc == 0) {
        rc = vos_uuid_tree_walk(
            op, &vos_kind_pool, &root->pools, pools_off(l->tgt), &after, &nr, load_rec, l);
    }
    if (rc == 0 && l->rec_nr == 0) {
        l->is_done = true;
        return 0;
    }
    if (rc == 0)
        rc = vos_pool_get(op, l->recs[0], &rec);
    if (rc == 0)
        rc = pool_new(l->tgt, &after, &pool);
    if (rc != 0)
        return rc;
    pool->off = l->recs[0];
    pool->shard = rec->shard;
    pool->meta_quota = rec->meta_quota;
    pool->data_quota = rec->data_quota;
    pool->horizon = rec->horizon;
    pool->is_out = rec->is_out != 0;
    pool->meta_used = rec->meta_used;
    l->after = after;
    l->pool = pool;
    return 0;
}

static int
load_conts_body(struct vos_op *op, void *arg)
{
    struct load *l = arg;
    struct uuid after = l->after;
    uint64_t meta = 0, data = 0;
    struct vos_pool_df *rec;
    struct vos_cont_df *cont;
    uint32_t nr = WALK_NR;
    int rc = vos_pool_get(op, l->pool->off, &rec);

    l->rec_nr = 0;
    if (rc == 0) {
        rc = vos_uuid_tree_walk(
            op, &vos_kind_cont, &rec->conts, conts_off(l->pool), &after, &nr, load_rec, l);
    }
    for (uint32_t i = 0; rc == 0 && i < l->rec_nr; i++) {
        rc = vos_cont_get(op, l->recs[i], &cont);
        if (rc == 0) {
            meta += cont->meta_used;
            data += cont->data_used;
        }
    }
    if (rc != 0)
        return rc;
    l->pool->meta_used += meta;
    l->pool->data_used += data;
    l->after = after;
    l->is_done = l->rec_nr < WALK_NR;
    return l->is_done ? 0 : -DER_INPROGRESS;
}

/* Containers that wait for the collector still take space of their pool. */
static int
load_gc_body(struct vos_op *op, void *arg)
{
    struct load *l = arg;
    struct vos_root_df *root;
    struct vos_cont_df *cont;
    struct vos_gc_df *gc;
    struct vos_pool *pool;
    int rc = vos_root(op, l->tgt, &root);

    if (rc != 0)
        return rc;
    if (!l->gc_started) {
        l->gc_started = true;
        l->gc_next = root->gc_head;
    }
    while (l->gc_next != 0) {
        if (op->steps_left-- == 0)
            return -DER_INPROGRESS;
        rc = vos_ptr(op, l->gc_next, sizeof(*gc), &gc);
        if (rc != 0)
            return rc;
        if (gc->magic != VOS_GC_MAGIC)
            return vos_bad(l->gc_next, "collector's queue");
        if (gc->id == VOS_TREE_CONT) {
            rc = vos_cont_get(op, gc->rec, &cont);
            if (rc != 0)
                return rc;
            pool = vos_pool_by_shard(l->tgt, cont->shard);
            if (pool != NULL) {
                pool->meta_used += cont->meta_used;
                pool->data_used += cont->data_used;
            }
        }
        l->gc_next = gc->next;
    }
    return 0;
}

/* Damage that a tolerant look passes over; what is said of the pool's space is too little then. */
static bool
may_pass(const struct vos_tgt *tgt, int rc)
{
    return bio_cfg(tgt->bio)->is_tolerant && bio_status(tgt->bio) == 0 &&
        (rc == -DER_DF_INVAL || rc == -DER_CSUM || rc == -DER_NVME_IO);
}

int
vos_pools_load(struct vos_tgt *tgt)
{
    struct load pools = {.tgt = tgt}, conts;
    struct vos_op op;
    int rc = 0;

    vos_op_init(&op, tgt);
    for (;;) {
        rc = vos_read_run(tgt, &op, load_pools_body, &pools);
        if (rc != 0 || pools.is_done)
            break;
        conts = (struct load){.tgt = tgt, .pool = pools.pool};
        rc = vos_read_run(tgt, &op, load_conts_body, &conts);
        if (rc == 0 && !bio_cfg(tgt->bio)->is_rdonly)
            rc = vos_req_load(tgt, pools.pool);
        if (rc != 0 && !may_pass(tgt, rc))
            break;
    }
    if (rc == 0 || may_pass(tgt, rc))
        rc = vos_read_run(tgt, &op, load_gc_body, &pools);
    return may_pass(tgt, rc) ? 0 : rc;
}

void
vos_pools_unload(struct vos_tgt *tgt)
{
    while (!list_empty(&tgt->pools)) {
        pool_free(LIST_FIRST(&tgt->pools, struct vos_pool, link));
    }
}

/* ---- pools ---------------------------------------------------------------------------------------------------------- */

struct pool_args {
    struct vos_tgt *tgt;
    struct uuid pool, cont;
    uint64_t meta_quota, data_quota;
    uint64_t off, shard, agg_epoch;
    struct vos_pool *p;
    struct vos_pool_info info;
};

/* The tree of pools, at this one or where it would be. */
static int
pools_search(struct vos_op *op, struct vos_tgt *tgt, const struct vos_btr_key *key,
    struct vos_root_df **ret_root, struct vos_btr *t, bool *ret_exact)
{
    int rc = vos_root(op, tgt, ret_root);

    if (rc == 0)
        rc = vos_btr_init(t, op, &vos_kind_pool, &(*ret_root)->pools, pools_off(tgt));
    return rc == 0 ? vos_btr_search(t, key, ret_exact) : rc;
}

static int
pool_create_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_btr_key key = vos_key_uuid(&a->pool);
    struct vos_ent_df ent = {.hkey = key.hkey};
    struct vos_root_df *root;
    struct vos_pool_df *rec;
    struct vos_btr t;
    bool exact;
    int rc = pools_search(op, a->tgt, &key, &root, &t, &exact);

    if (rc != 0)
        return rc;
    if (exact)
        return CAIRN_ERR(EXIST);
    rc = vos_alloc(op, sizeof(*rec), &ent.off, &rec);
    if (rc == 0) {
        rc = vos_range(
            op, a->tgt->root_off + offsetof(struct vos_root_df, shard_next), sizeof(uint64_t));
    }
    if (rc != 0)
        return rc;
    rec->magic = VOS_POOL_MAGIC;
    memcpy(rec->uuid, a->pool.b, sizeof(rec->uuid));
    rec->shard = root->shard_next++;
    rec->meta_quota = a->meta_quota;
    rec->data_quota = a->data_quota;
    rec->meta_used = sizeof(*rec);
    a->off = ent.off;
    a->shard = rec->shard;
    return vos_btr_insert(&t, &ent);
}

void
vos_quota_left(struct vos_tgt *tgt, uint64_t *ret_meta, uint64_t *ret_data)
{
    struct bio_space space;
    struct umem_stats stats;
    struct vos_pool *pool;

    bio_space_get(tgt->bio, &space);
    umem_stats_get(tgt->um, &stats);
    space.meta_total -= MIN(space.meta_total, stats.reserve_bytes);
    LIST_FOREACH(pool, &tgt->pools, struct vos_pool, link) {
        space.meta_total -= MIN(space.meta_total, pool->meta_quota);
        space.data_total -= MIN(space.data_total, pool->data_quota);
    }
    *ret_meta = space.meta_total;
    *ret_data = space.data_total;
}

static bool
quotas_fit(struct vos_tgt *tgt, uint64_t meta, uint64_t data)
{
    uint64_t meta_left, data_left;

    vos_quota_left(tgt, &meta_left, &data_left);
    return meta <= meta_left && data <= data_left;
}

int
vos_pool_create(struct vos_tgt *tgt, struct uuid pool, uint64_t meta_quota, uint64_t data_quota)
{
    struct pool_args a = {
        .tgt = tgt, .pool = pool, .meta_quota = meta_quota, .data_quota = data_quota};
    struct vos_pool *p = NULL;
    struct vos_op op;
    int rc;

    if (cuuid_is_nil(&pool) || meta_quota == 0)
        return CAIRN_ERR(INVAL);
    ult_mutex_lock(&tgt->admin);
    if (pool_find(tgt, &pool) != NULL) {
        rc = CAIRN_ERR(EXIST);
    } else if (!quotas_fit(tgt, meta_quota, data_quota)) {
        rc = CAIRN_ERR(NOSPACE);
    } else {
        rc = pool_new(tgt, &pool, &p);
    }
    if (rc == 0) {
        p->open_nr = 1; /* not yet there: keeps others off */
        vos_op_init(&op, tgt);
        rc = vos_tx_run(tgt, &op, 0, 0, pool_create_body, &a, &tgt->admin_lsn);
    }
    if (rc == 0) {
        p->off = a.off;
        p->shard = a.shard;
        p->meta_quota = meta_quota;
        p->data_quota = data_quota;
        p->meta_used = sizeof(struct vos_pool_df);
        p->open_nr = 0;
        p = NULL;
    }
    pool_free(p);
    ult_mutex_unlock(&tgt->admin);
    if (rc == 0 || rc == -DER_EXIST || rc == -DER_NOSPACE) {
        int wait_rc = vos_wait(tgt, tgt->admin_lsn);

        rc = wait_rc != 0 ? wait_rc : rc;
    }
    return rc;
}

static int
pool_grow_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_pool_df *rec;
    int rc = vos_pool_get(op, a->off, &rec);

    if (rc == 0) {
        rc = vos_range(op, a->off + offsetof(struct vos_pool_df, meta_quota), 2 * sizeof(uint64_t));
    }
    if (rc != 0)
        return rc;
    rec->meta_quota = a->meta_quota;
    rec->data_quota = a->data_quota;
    return 0;
}

int
vos_pool_grow(struct vos_tgt *tgt, struct uuid pool, uint64_t meta_quota, uint64_t data_quota)
{
    struct pool_args a = {.tgt = tgt, .pool = pool};
    struct vos_pool *p;
    struct vos_op op;
    int rc, wait_rc;

    ult_mutex_lock(&tgt->admin);
    p = pool_find(tgt, &pool);
    if (p == NULL || p->off == 0) {
        rc = CAIRN_ERR(NONEXIST);
        goto out;
    }
    a.off = p->off;
    a.meta_quota = MAX(meta_quota, p->meta_quota);
    a.data_quota = MAX(data_quota, p->data_quota);
    if (!quotas_fit(tgt, a.meta_quota - p->meta_quota, a.data_quota - p->data_quota)) {
        rc = CAIRN_ERR(NOSPACE);
        goto out;
    }
    vos_op_init(&op, tgt);
    rc = vos_tx_run(tgt, &op, 0, p->shard, pool_grow_body, &a, &tgt->admin_lsn);
    if (rc == 0) {
        p->meta_quota = a.meta_quota;
        p->data_quota = a.data_quota;
    }
out:
    ult_mutex_unlock(&tgt->admin);
    wait_rc = rc == -DER_NONEXIST ? 0 : vos_wait(tgt, tgt->admin_lsn);
    return wait_rc != 0 ? wait_rc : rc;
}

static int
pool_destroy_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_btr_key key = vos_key_uuid(&a->pool);
    struct vos_root_df *root;
    struct vos_btr t;
    bool exact;
    int rc = pools_search(op, a->tgt, &key, &root, &t, &exact);

    if (rc == 0 && !exact)
        rc = CAIRN_ERR(NONEXIST);
    if (rc == 0)
        rc = vos_gc_add(a->tgt, op, VOS_TREE_POOL, vos_btr_rec(&t));
    return rc != 0 ? rc : vos_btr_delete(&t);
}

int
vos_pool_destroy(struct vos_tgt *tgt, struct uuid pool)
{
    struct pool_args a = {.tgt = tgt, .pool = pool};
    struct vos_pool *p;
    struct vos_op op;
    int rc, wait_rc;

    ult_mutex_lock(&tgt->admin);
    p = pool_find(tgt, &pool);
    if (p == NULL) {
        rc = CAIRN_ERR(NONEXIST);
    } else if (p->open_nr > 0) {
        rc = CAIRN_ERR(BUSY);
    } else {
        vos_op_init(&op, tgt);
        rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, p->shard, pool_destroy_body, &a, &tgt->admin_lsn);
        if (rc == 0) {
            pool_free(p);
            vos_gc_kick(tgt);
        }
    }
    ult_mutex_unlock(&tgt->admin);
    wait_rc = vos_wait(tgt, tgt->admin_lsn);
    return wait_rc != 0 ? wait_rc : rc;
}

static int
cont_count(struct vos_op *op, uint64_t rec, void *arg)
{
    (void)op;
    (void)rec;
    (*(uint64_t *)arg)++;
    return 0;
}

static int
pool_query_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_pool *p = pool_find(a->tgt, &a->pool);
    struct uuid after = a->cont;
    struct vos_pool_df *rec;
    uint32_t nr = WALK_NR;
    uint64_t cont_nr = 0;
    int rc;

    if (p == NULL || p->off == 0)
        return CAIRN_ERR(NONEXIST);
    rc = vos_pool_get(op, p->off, &rec);
    if (rc == 0) {
        rc = vos_uuid_tree_walk(
            op, &vos_kind_cont, &rec->conts, conts_off(p), &after, &nr, cont_count, &cont_nr);
    }
    if (rc != 0)
        return rc;
    a->cont = after;
    a->info.cont_nr += cont_nr;
    if (cont_nr == WALK_NR)
        return -DER_INPROGRESS;
    a->info.uuid = p->uuid;
    a->info.is_out = p->is_out;
    a->info.meta_quota = p->meta_quota;
    a->info.data_quota = p->data_quota;
    a->info.meta_used = p->meta_used;
    a->info.data_used = p->data_used;
    return 0;
}

int
vos_pool_query(struct vos_tgt *tgt, struct uuid pool, struct vos_pool_info *ret_info)
{
    struct pool_args a = {.tgt = tgt, .pool = pool};
    struct vos_op op;
    int rc, wait_rc;

    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, pool_query_body, &a);
    wait_rc = vos_wait(tgt, bio_wal_last(tgt->bio));
    rc = wait_rc != 0 ? wait_rc : rc;
    if (rc == 0)
        *ret_info = a.info;
    return rc;
}

struct list_args {
    struct vos_tgt *tgt;
    struct uuid pool, after;
    struct uuid *uuids;
    uint32_t nr, max;
};

static int
list_rec(struct vos_op *op, uint64_t rec, void *arg)
{
    struct list_args *a = arg;
    const uint8_t *p;
    int rc = vos_ptr(op, rec, 24, &p);

    if (rc == 0)
        memcpy(a->uuids[a->nr++].b, p + 8, 16);
    return rc;
}

static int
list_body(struct vos_op *op, void *arg)
{
    struct list_args *a = arg;
    uint32_t nr = MIN(a->max - a->nr, (uint32_t)WALK_NR), start = a->nr;
    struct uuid after = a->after;
    struct vos_root_df *root;
    struct vos_pool_df *rec;
    struct vos_pool *p = NULL;
    int rc = vos_root(op, a->tgt, &root);

    if (rc == 0 && !cuuid_is_nil(&a->pool)) {
        p = pool_find(a->tgt, &a->pool);
        rc = p == NULL || p->off == 0 ? CAIRN_ERR(NONEXIST) : vos_pool_get(op, p->off, &rec);
    }
    if (rc == 0) {
        rc = p == NULL ? vos_uuid_tree_walk(op, &vos_kind_pool, &root->pools, pools_off(a->tgt),
                             &after, &nr, list_rec, a)
                       : vos_uuid_tree_walk(op, &vos_kind_cont, &rec->conts, conts_off(p), &after,
                             &nr, list_rec, a);
    }
    if (rc != 0) {
        a->nr = start;
        return rc;
    }
    a->after = after;
    return nr == 0 && a->nr < a->max ? -DER_INPROGRESS : 0;
}

static int
list_uuids(struct vos_tgt *tgt, struct list_args *a, uint32_t *ret_nr)
{
    struct vos_op op;
    int rc, wait_rc;

    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, list_body, a);
    wait_rc = vos_wait(tgt, tgt->admin_lsn);
    rc = wait_rc != 0 ? wait_rc : rc;
    if (rc == 0)
        *ret_nr = a->nr;
    return rc;
}

int
vos_pool_list(
    struct vos_tgt *tgt, struct uuid after, struct uuid *uuids, uint32_t nr, uint32_t *ret_nr)
{
    struct list_args a = {.tgt = tgt, .after = after, .uuids = uuids, .max = nr};

    return list_uuids(tgt, &a, ret_nr);
}

/* ---- containers ----------------------------------------------------------------------------------------------------- */

static int
cont_find(struct vos_op *op, struct pool_args *a, struct vos_pool_df **ret_rec, struct vos_btr *t,
    bool *ret_exact)
{
    struct vos_btr_key key = vos_key_uuid(&a->cont);
    int rc = vos_pool_get(op, a->p->off, ret_rec);

    if (rc == 0)
        rc = vos_btr_init(t, op, &vos_kind_cont, &(*ret_rec)->conts, conts_off(a->p));
    return rc != 0 ? rc : vos_btr_search(t, &key, ret_exact);
}

static int
cont_create_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_ent_df ent = {.hkey = be64_get(a->cont.b)};
    struct vos_pool_df *pool;
    struct vos_cont_df *rec;
    struct vos_btr t;
    bool exact;
    int rc = cont_find(op, a, &pool, &t, &exact);

    if (rc == 0 && exact)
        rc = CAIRN_ERR(EXIST);
    if (rc == 0)
        rc = vos_alloc(op, sizeof(*rec), &ent.off, &rec);
    if (rc != 0)
        return rc;
    rec->magic = VOS_CONT_MAGIC;
    memcpy(rec->uuid, a->cont.b, sizeof(rec->uuid));
    rec->shard = a->p->shard;
    rec->meta_used = sizeof(*rec);
    rc = vos_btr_insert(&t, &ent);
    if (rc == 0 && a->p->meta_used + (uint64_t)op->meta_delta > a->p->meta_quota)
        rc = CAIRN_ERR(NOSPACE);
    if (rc == 0)
        rc = vos_range(op, a->p->off + offsetof(struct vos_pool_df, meta_used), sizeof(uint64_t));
    if (rc == 0) {
        pool->meta_used +=
            (uint64_t)op->meta_delta - sizeof(*rec); /* nodes of the tree of containers */
    }
    return rc;
}

static int
cont_destroy_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_pool_df *pool;
    struct vos_btr t;
    bool exact;
    int64_t gc_bytes;
    int rc = cont_find(op, a, &pool, &t, &exact);

    if (rc == 0 && !exact)
        rc = CAIRN_ERR(NONEXIST);
    if (rc == 0)
        rc = vos_gc_add(a->tgt, op, VOS_TREE_CONT, vos_btr_rec(&t));
    gc_bytes = op->meta_delta; /* the queue is nobody's */
    if (rc == 0)
        rc = vos_btr_delete(&t);
    if (rc == 0)
        rc = vos_range(op, a->p->off + offsetof(struct vos_pool_df, meta_used), sizeof(uint64_t));
    op->meta_delta -= gc_bytes;
    if (rc == 0)
        pool->meta_used += (uint64_t)op->meta_delta;
    return rc;
}

static int
cont_find_body(struct vos_op *op, void *arg)
{
    struct pool_args *a = arg;
    struct vos_pool_df *pool;
    struct vos_cont_df *rec;
    struct vos_btr t;
    bool exact;
    int rc = cont_find(op, a, &pool, &t, &exact);

    if (rc != 0)
        return rc;
    if (!exact)
        return CAIRN_ERR(NONEXIST);
    a->off = vos_btr_rec(&t);
    rc = vos_cont_get(op, a->off, &rec);
    if (rc == 0)
        a->agg_epoch = rec->agg_epoch;
    return rc;
}

static struct vos_cont *
cont_opened(struct vos_tgt *tgt, const struct vos_pool *pool, const struct uuid *id)
{
    struct vos_cont *cont;

    LIST_FOREACH(cont, &tgt->conts, struct vos_cont, link) {
        if (cont->pool == pool && cuuid_cmp(&cont->uuid, id) == 0)
            return cont;
    }
    return NULL;
}

/* Run one of the bodies above on a container of a pool that exists. */
static int
cont_admin(struct vos_tgt *tgt, struct pool_args *a, uint32_t flags, vos_body_fn body)
{
    struct vos_op op;
    int rc, wait_rc;

    if (cuuid_is_nil(&a->cont))
        return CAIRN_ERR(INVAL);
    ult_mutex_lock(&tgt->admin);
    a->p = pool_find(tgt, &a->pool);
    if (a->p == NULL || a->p->off == 0) {
        rc = CAIRN_ERR(NONEXIST);
    } else if (body == cont_destroy_body && cont_opened(tgt, a->p, &a->cont) != NULL) {
        rc = CAIRN_ERR(BUSY);
    } else {
        vos_op_init(&op, tgt);
        rc = vos_tx_run(tgt, &op, flags, a->p->shard, body, a, &tgt->admin_lsn);
        if (rc == 0)
            a->p->meta_used += (uint64_t)op.meta_delta;
    }
    ult_mutex_unlock(&tgt->admin);
    wait_rc = vos_wait(tgt, tgt->admin_lsn);
    return wait_rc != 0 ? wait_rc : rc;
}

int
vos_cont_create(struct vos_tgt *tgt, struct uuid pool, struct uuid cont)
{
    struct pool_args a = {.tgt = tgt, .pool = pool, .cont = cont};

    return cont_admin(tgt, &a, 0, cont_create_body);
}

int
vos_cont_destroy(struct vos_tgt *tgt, struct uuid pool, struct uuid cont)
{
    struct pool_args a = {.tgt = tgt, .pool = pool, .cont = cont};
    int rc = cont_admin(tgt, &a, UMEM_TX_RECLAIM, cont_destroy_body);

    if (rc == 0)
        vos_gc_kick(tgt);
    return rc;
}

int
vos_cont_list(struct vos_tgt *tgt, struct uuid pool, struct uuid after, struct uuid *uuids,
    uint32_t nr, uint32_t *ret_nr)
{
    struct list_args a = {.tgt = tgt, .pool = pool, .after = after, .uuids = uuids, .max = nr};

    if (cuuid_is_nil(&pool))
        return CAIRN_ERR(NONEXIST);
    return list_uuids(tgt, &a, ret_nr);
}

static int
cont_open_locked(struct vos_tgt *tgt, struct pool_args *a, struct vos_cont **ret_cont)
{
    struct vos_cont *cont;
    struct vos_op op;
    int rc;

    a->p = pool_find(tgt, &a->pool);
    if (a->p == NULL || a->p->off == 0)
        return CAIRN_ERR(NONEXIST);
    cont = cont_opened(tgt, a->p, &a->cont);
    if (cont != NULL) {
        cont->refs++;
        *ret_cont = cont;
        return 0;
    }
    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, cont_find_body, a);
    if (rc != 0)
        return rc;
    cont = vos_mem_get(sizeof(*cont));
    if (cont == NULL)
        return CAIRN_ERR(NOMEM);
    cont->tgt = tgt;
    tgt->held_gen++; /* its record may lie where that of another one was */
    cont->pool = a->p;
    cont->uuid = a->cont;
    cont->off = a->off;
    cont->stream = (uint32_t)hash_mix64(a->off) % STREAM_NR * 2;
    cont->refs = 1;
    cont->read_epoch = tgt->read_epoch; /* perhaps its own, from before (TS-1) */
    cont->agg_work_lo = 1; /* it may have been left from before */
    cont->has_uncooled = true; /* so may this */
    tgt->opening = cont;
    rc = vos_dtx_load(cont);
    tgt->opening = NULL;
    if (rc != 0) {
        free(cont);
        return rc;
    }
    vos_dirty_init(&cont->dirty, a->agg_epoch);
    cont->pool->open_nr++;
    list_add_tail(&cont->link, &tgt->conts);
    *ret_cont = cont;
    if (vos_dtx_settle_all(cont) != 0) {
        /* They hold back aggregation until somebody opens it again; what is seen is right all the same. */
    }
    return 0;
}

int
vos_cont_open(struct vos_tgt *tgt, struct uuid pool, struct uuid cont, struct vos_cont **ret_cont)
{
    struct pool_args a = {.tgt = tgt, .pool = pool, .cont = cont};
    struct vos_cont *c = NULL;
    int rc, wait_rc;

    ult_mutex_lock(&tgt->admin);
    rc = cont_open_locked(tgt, &a, &c);
    ult_mutex_unlock(&tgt->admin);
    wait_rc = vos_wait(tgt, tgt->admin_lsn);
    if (wait_rc != 0 && c != NULL)
        vos_cont_close(c);
    rc = wait_rc != 0 ? wait_rc : rc;
    if (rc == 0)
        *ret_cont = c;
    return rc;
}

void
vos_cont_close(struct vos_cont *cont)
{
    if (cont == NULL)
        return;
    CAIRN_ASSERT(cont->refs > 0);
    if (--cont->refs > 0)
        return;
    cont->tgt->read_epoch = MAX(cont->tgt->read_epoch, cont->read_epoch);
    cont->pool->open_nr--;
    list_del(&cont->link);
    vos_dirty_fini(&cont->dirty);
    vos_dtxs_free(cont->dtxs);
    free(cont);
}

struct cont_query {
    struct vos_cont *cont;
    struct vos_cont_info info;
};

static int
cont_query_body(struct vos_op *op, void *arg)
{
    struct cont_query *q = arg;
    struct vos_cont_df *rec;
    int rc = vos_cont_get(op, q->cont->off, &rec);

    if (rc == 0) {
        q->info = (struct vos_cont_info){.obj_nr = rec->obj_nr,
            .epoch_max = rec->epoch_max,
            .meta_used = rec->meta_used,
            .data_used = rec->data_used};
    }
    return rc;
}

int
vos_cont_query(struct vos_cont *cont, struct vos_cont_info *ret_info)
{
    struct cont_query q = {.cont = cont};
    struct vos_op op;
    int rc;

    vos_op_init(&op, cont->tgt);
    rc = vos_read_run(cont->tgt, &op, cont_query_body, &q);
    if (rc == 0)
        rc = vos_wait(cont->tgt, cont->lsn_last);
    if (rc == 0)
        *ret_info = q.info;
    return rc;
}

void
vos_cont_space(const struct vos_cont *cont, struct vos_pool_info *ret_info)
{
    const struct vos_pool *pool = cont->pool;

    *ret_info = (struct vos_pool_info){.uuid = pool->uuid,
        .is_out = pool->is_out,
        .meta_quota = pool->meta_quota,
        .data_quota = pool->data_quota,
        .meta_used = pool->meta_used,
        .data_used = pool->data_used + pool->data_resv};
}

bool
vos_cont_is_out(const struct vos_cont *cont)
{
    return cont->pool->is_out;
}

bool
vos_pool_is_out(struct vos_tgt *tgt, struct uuid pool)
{
    const struct vos_pool *p = pool_find(tgt, &pool);

    return p != NULL && p->is_out;
}
