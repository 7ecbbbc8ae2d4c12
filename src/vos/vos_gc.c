/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The collector: frees destroyed pools and containers in transactions of bounded size, from the end of every tree (nothing to shift),
 * one ULT in the background class. The queue is durable; a restart goes on where it was.
 */
#include "base/log.h"
#include "vos/vos_priv.h"

#include <inttypes.h>

static int
gc_get(struct vos_op *op, uint64_t off, struct vos_gc_df **ret_gc)
{
    int rc = vos_ptr(op, off, sizeof(**ret_gc), ret_gc);

    return rc != 0 ? rc : (*ret_gc)->magic == VOS_GC_MAGIC ? 0 : vos_bad(off, "collector's queue");
}

int
vos_gc_add(struct vos_tgt *tgt, struct vos_op *op, uint8_t tree_id, uint64_t rec)
{
    struct vos_root_df *root;
    struct vos_gc_df *gc, *tail;
    uint64_t off;
    int rc = vos_root(op, tgt, &root);

    if (rc == 0)
        rc = vos_alloc(op, sizeof(*gc), &off, &gc);
    if (rc == 0) {
        rc = vos_range(
            op, tgt->root_off + offsetof(struct vos_root_df, gc_head), 2 * sizeof(uint64_t));
    }
    if (rc != 0)
        return rc;
    gc->magic = VOS_GC_MAGIC;
    gc->id = tree_id;
    gc->rec = rec;
    if (root->gc_tail != 0) {
        rc = gc_get(op, root->gc_tail, &tail);
        if (rc == 0)
            rc = vos_range(op, root->gc_tail, sizeof(*tail));
        if (rc != 0)
            return rc;
        tail->next = off;
    } else {
        root->gc_head = off;
    }
    root->gc_tail = off;
    return 0;
}

struct gc_step {
    struct vos_tgt *tgt;
    uint32_t budget;
    bool has_more;
    uint64_t shard; /* whose counters go down: 0 none */
    int64_t meta, data;
    uint64_t ver_nr, key_nr; /* freed */
};

/* What a record of a tree owns: an incarnation log, trees of its own, the kinds of those. */
struct owned {
    struct vos_ilog_df *ilog;
    uint64_t ilog_off;
    struct vos_tree_df *tree, *tree2;
    uint64_t tree_off, tree2_off;
    const struct vos_btr_kind *kind, *kind2;
    uint32_t bytes; /* of its block, unless is_key */
    bool is_key;
};

static const struct vos_btr_kind *
kind_of_tree(const struct vos_tree_df *df)
{
    static const struct vos_btr_kind *const kinds[] = {&vos_kind_key_hashed, &vos_kind_key_uint,
        &vos_kind_key_lex, &vos_kind_single, &vos_kind_ext};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i]->id == df->id)
            return kinds[i];
    }
    return NULL;
}

static int
owned_key(struct vos_op *op, uint64_t rec, struct owned *o)
{
    struct vos_key_df *key;
    int rc = vos_key_get(op, rec, &key);

    if (rc != 0)
        return rc;
    *o = (struct owned){.ilog = &key->ilog,
        .ilog_off = vos_key_ilog_off(rec),
        .tree = &key->tree,
        .tree_off = vos_key_tree_off(rec),
        .kind = kind_of_tree(&key->tree),
        .is_key = true};
    return 0;
}

static int
owned_of(struct vos_op *op, uint32_t tree_id, uint64_t rec, struct owned *o)
{
    struct vos_cont_df *cont;
    struct vos_pool_df *pool;
    struct vos_obj_df *obj;
    int rc;

    switch (tree_id) {
    case VOS_TREE_POOL:
        rc = vos_pool_get(op, rec, &pool);
        if (rc == 0) {
            *o = (struct owned){.tree = &pool->conts,
                .tree_off = rec + offsetof(struct vos_pool_df, conts),
                .kind = &vos_kind_cont,
                .tree2 = &pool->clients,
                .tree2_off = rec + offsetof(struct vos_pool_df, clients),
                .kind2 = &vos_kind_client,
                .bytes = sizeof(*pool)};
        }
        return rc;
    case VOS_TREE_CONT:
        rc = vos_cont_get(op, rec, &cont);
        if (rc == 0) {
            *o = (struct owned){.tree = &cont->objs,
                .tree_off = rec + offsetof(struct vos_cont_df, objs),
                .kind = &vos_kind_obj,
                .bytes = sizeof(*cont)};
        }
        return rc;
    case VOS_TREE_OBJ:
        rc = vos_obj_get(op, rec, &obj);
        if (rc == 0) {
            *o = (struct owned){.ilog = &obj->ilog,
                .ilog_off = vos_obj_ilog_off(rec),
                .tree = &obj->dkeys,
                .tree_off = vos_obj_tree_off(rec),
                .kind = kind_of_tree(&obj->dkeys),
                .bytes = sizeof(*obj)};
        }
        return rc;
    default:
        return owned_key(op, rec, o);
    }
}

int
vos_gc_free_version(struct vos_tgt *tgt, struct vos_op *op, uint64_t rec)
{
    struct vos_ver ver;
    struct bio_ext ext;
    int rc = vos_ver_get(op, rec, &ver);

    if (rc != 0)
        return rc;
    ext = (struct bio_ext){.addr = ver.addr, .len = vos_ver_ext_bytes(&ver)};
    if (ext.len != 0) {
        rc = bio_ext_free(op->tx, tgt->bio, ext);
        if (rc != 0)
            return rc;
        op->data_delta -= (int64_t)ext.len;
    }
    return vos_ver_free(op, rec, &ver);
}

static int
free_client(struct vos_op *op, uint64_t rec)
{
    struct vos_client_df *client;
    int rc = vos_client_get(op, rec, &client);

    for (uint32_t i = 0; rc == 0 && i < VOS_SLOT_GROUPS_NR_MAX; i++) {
        if (client->groups[i] != 0)
            rc = vos_free(op, client->groups[i], sizeof(struct vos_slots_df));
    }
    return rc != 0 ? rc : vos_free(op, rec, sizeof(*client));
}

enum { GC_LEVELS_NR = 8 };

/* Go down the last records from `rec` (of a tree `tree_id`), free one thing at the bottom. *ret_done: rec itself was freed. */
static int
free_one(struct gc_step *st, struct vos_op *op, uint32_t tree_id, uint64_t rec, bool *ret_done)
{
    struct vos_btr t;
    struct owned o;
    bool ilog_done = true;
    bool is_top = true;
    int rc;

    *ret_done = false;
    for (uint32_t level = 0; level < GC_LEVELS_NR; level++) {
        if (tree_id == VOS_TREE_CONT) {
            bool none;

            rc = vos_dtx_drop_one(op, rec, &none);
            if (rc != 0 || !none)
                return rc;
        }
        rc = owned_of(op, tree_id, rec, &o);
        if (rc != 0)
            return rc;
        if (vos_btr_is_empty(o.tree) && o.tree2 != NULL) {
            o.tree = o.tree2;
            o.tree_off = o.tree2_off;
            o.kind = o.kind2;
        }
        if (vos_btr_is_empty(o.tree)) {
            if (o.ilog != NULL)
                rc = vos_ilog_drain(op, o.ilog, o.ilog_off, &st->budget, &ilog_done);
            if (rc != 0 || !ilog_done)
                return rc;
            if (!is_top) {
                rc = vos_btr_delete(&t); /* the cursor still stands on rec, in its parent's tree */
                if (rc != 0)
                    return rc;
            }
            *ret_done = is_top;
            st->key_nr++;
            return o.is_key ? vos_key_free(op, rec) : vos_free(op, rec, o.bytes);
        }
        if (o.kind == NULL)
            return vos_bad(o.tree_off, "tree root");
        rc = vos_btr_init(&t, op, o.kind, o.tree, o.tree_off);
        if (rc == 0)
            rc = vos_btr_last(&t);
        if (rc != 0)
            return rc;
        is_top = false;
        rec = vos_btr_rec(&t);
        tree_id = o.kind->id;
        if (tree_id == VOS_TREE_SINGLE || tree_id == VOS_TREE_EXT || tree_id == VOS_TREE_CLIENT) {
            rc = tree_id == VOS_TREE_CLIENT ? free_client(op, rec)
                                            : vos_gc_free_version(st->tgt, op, rec);
            st->ver_nr++;
            return rc != 0 ? rc : vos_btr_delete(&t);
        }
    }
    return vos_bad(rec, "depth of a destroyed container");
}

int
vos_gc_free_some(
    struct vos_tgt *tgt, struct vos_op *op, uint8_t tree_id, uint64_t rec, struct vos_gc_some *some)
{
    struct gc_step st = {.tgt = tgt, .budget = some->budget};
    int rc = 0;

    some->is_done = false;
    while (rc == 0 && !some->is_done && st.budget > 0) {
        st.budget--;
        rc = free_one(&st, op, tree_id, rec, &some->is_done);
    }
    some->budget = st.budget;
    some->ver_nr += st.ver_nr;
    some->key_nr += st.key_nr;
    return rc;
}

/* ---- what is dropped at once (VOS_APPLY_NO_HISTORY) ----------------------------------------------------------------- */

enum { DROP_NR_MAX = 64 };

/* Count the versions of an akey; too many, or one that must stay: *left becomes 0. */
static int
can_drop_akey(struct vos_op *op, uint64_t off, uint32_t *left)
{
    struct vos_key_df *akey;
    struct vos_ver ver;
    struct vos_btr t;
    int rc = vos_key_get(op, off, &akey);

    if (rc != 0)
        return rc;
    if (!vos_btr_is_empty(&akey->tree) && akey->tree.id != VOS_TREE_SINGLE) {
        *left = 0;
        return 0;
    }
    rc = vos_btr_init(&t, op, &vos_kind_single, &akey->tree, vos_key_tree_off(off));
    if (rc == 0)
        rc = vos_btr_first(&t);
    while (rc == 0 && *left > 0) {
        --*left;
        rc = vos_ver_get(op, vos_btr_rec(&t), &ver);
        if (rc == 0 && ver.epoch == op->epoch)
            *left = 0; /* made by this request: its extent is not published yet */
        if (rc == 0)
            rc = vos_btr_next(&t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

int
vos_gc_can_drop(struct vos_op *op, const struct vos_btr_kind *below, uint64_t rec, bool *ret_can)
{
    uint32_t left = DROP_NR_MAX;
    struct vos_key_df *key;
    struct vos_btr t;
    int rc = vos_key_get(op, rec, &key);

    if (rc == 0 && key->magic == VOS_AKEY_MAGIC) {
        rc = can_drop_akey(op, rec, &left);
        *ret_can = left > 0;
        return rc;
    }
    if (rc == 0)
        rc = vos_btr_init(&t, op, below, &key->tree, vos_key_tree_off(rec));
    if (rc == 0)
        rc = vos_btr_first(&t);
    while (rc == 0 && left > 0) {
        left--;
        rc = left > 0 ? can_drop_akey(op, vos_btr_rec(&t), &left) : 0;
        if (rc == 0)
            rc = vos_btr_next(&t);
    }
    *ret_can = left > 0;
    return rc == -DER_NONEXIST ? 0 : rc;
}

int
vos_gc_drop(struct vos_tgt *tgt, struct vos_op *op, uint64_t rec)
{
    struct gc_step st = {.tgt = tgt, .budget = UINT32_MAX};
    bool done = false;
    int rc = 0;

    while (rc == 0 && !done) {
        rc = free_one(&st, op, VOS_TREE_KEY_HASHED, rec, &done);
    }
    return rc;
}

static int
gc_pop(struct vos_tgt *tgt, struct vos_op *op, struct vos_root_df *root, const struct vos_gc_df *gc)
{
    uint64_t off = root->gc_head;
    int rc =
        vos_range(op, tgt->root_off + offsetof(struct vos_root_df, gc_head), 2 * sizeof(uint64_t));

    if (rc != 0)
        return rc;
    root->gc_head = gc->next;
    if (gc->next == 0)
        root->gc_tail = 0;
    return vos_free(op, off, sizeof(*gc));
}

/* The counters of a container that is going away. */
static int
cont_account(struct vos_op *op, uint64_t off)
{
    struct vos_cont_df *cont;
    int rc = vos_cont_get(op, off, &cont);

    if (rc == 0)
        rc = vos_range(op, off + offsetof(struct vos_cont_df, meta_used), 2 * sizeof(uint64_t));
    if (rc != 0)
        return rc;
    cont->meta_used += (uint64_t)op->meta_delta;
    cont->data_used += (uint64_t)op->data_delta;
    return 0;
}

static int
gc_body(struct vos_op *op, void *arg)
{
    struct gc_step *st = arg;
    struct vos_root_df *root;
    struct vos_cont_df *cont;
    struct vos_gc_df *gc;
    bool done = false;
    int rc = vos_root(op, st->tgt, &root);

    st->budget = VOS_GC_STEP_NR;
    st->shard = 0;
    st->has_more = false;
    if (rc != 0 || root->gc_head == 0)
        return rc;
    rc = gc_get(op, root->gc_head, &gc);
    if (rc == 0 && gc->id == VOS_TREE_CONT) {
        rc = vos_cont_get(op, gc->rec, &cont);
        if (rc == 0)
            st->shard = cont->shard;
    }
    while (rc == 0 && !done && st->budget > 0) {
        st->budget--;
        rc = free_one(st, op, gc->id, gc->rec, &done);
    }
    if (rc != 0)
        return rc;
    st->meta = op->meta_delta;
    st->data = op->data_delta;
    if (done) {
        rc = gc_pop(st->tgt, op, root, gc);
    } else if (gc->id == VOS_TREE_CONT)
        rc = cont_account(op, gc->rec);
    st->has_more = root->gc_head != 0;
    return rc;
}

static int
gc_step(struct vos_tgt *tgt)
{
    struct gc_step st = {.tgt = tgt};
    struct vos_pool *pool;
    struct vos_op op;
    uint64_t lsn;
    int rc;

    vos_op_init(&op, tgt);
    rc = vos_tx_run(tgt, &op, UMEM_TX_RECLAIM, 0, gc_body, &st, &lsn);
    if (rc != 0)
        return rc;
    tgt->gc_has_work = st.has_more;
    pool = st.shard != 0 ? vos_pool_by_shard(tgt, st.shard) : NULL;
    if (pool != NULL) {
        pool->meta_used += (uint64_t)st.meta;
        pool->data_used += (uint64_t)st.data;
    }
    return 0;
}

static void
gc_main(void *arg)
{
    struct vos_tgt *tgt = arg;

    while (!tgt->gc_stop) {
        if (!tgt->gc_has_work || tgt->gc_rc != 0 || tgt->checks_nr > 0) {
            ult_cond_broadcast(&tgt->gc_moved);
            ult_cond_wait(&tgt->gc_wake, NULL);
            continue;
        }
        tgt->gc_busy = true;
        tgt->gc_rc = gc_step(tgt);
        tgt->gc_busy = false;
        if (tgt->gc_rc != 0)
            LOG_WARN("collector of destroyed containers pauses: %s", err_name(tgt->gc_rc));
        ult_cond_broadcast(&tgt->gc_moved);
        ult_yield();
    }
    ult_cond_broadcast(&tgt->gc_moved);
}

void
vos_gc_kick(struct vos_tgt *tgt)
{
    tgt->gc_has_work = true;
    tgt->gc_rc = 0;
    ult_cond_signal(&tgt->gc_wake);
}

void
vos_gc_retry(struct vos_tgt *tgt)
{
    if (tgt->gc_rc != 0 && bio_status(tgt->bio) == 0)
        vos_gc_kick(tgt);
}

int
vos_gc_start(struct vos_tgt *tgt)
{
    return ult_create(tgt->xs, ULT_BACKGROUND, gc_main, tgt, &tgt->gc_ult);
}

void
vos_gc_end(struct vos_tgt *tgt)
{
    if (tgt->gc_ult == NULL) /* of a store that is only looked at */
        return;
    tgt->gc_stop = true;
    ult_cond_broadcast(&tgt->gc_wake);
    ult_join(tgt->gc_ult);
}

bool
vos_gc_wait(struct vos_tgt *tgt)
{
    if (!tgt->gc_has_work || tgt->gc_rc != 0 || tgt->gc_stop)
        return false;
    ult_cond_wait(&tgt->gc_moved, NULL);
    return true;
}

int
vos_tgt_collect(struct vos_tgt *tgt)
{
    vos_gc_retry(tgt);
    while (vos_gc_wait(tgt)) {
    }
    return tgt->gc_rc != 0 ? tgt->gc_rc : vos_wait(tgt, bio_wal_last(tgt->bio));
}
