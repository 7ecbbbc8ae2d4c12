/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Records of a store for tools: see vos_look.h. Each step keeps keys alone, as everything that yields. */
#include "vos/vos_look.h"

#include <string.h>

#include "vos/vos_dtx.h"
#include "vos/vos_priv.h"

struct look {
    struct vos_tgt *tgt;
    struct vos_cont *cont;
    const struct vos_pool *pool;
    struct vos_look_root root;
    struct vos_look_pool ret_pool;
    struct vos_look_cont ret_cont;
    /* progress of a queue or a table */
    uint64_t next, nr;
    bool is_started;
    struct uuid after;
    void (*gc_fn)(void *arg, const struct vos_look_gc *gc);
    void (*req_fn)(void *arg, const struct vos_look_req *req);
    void *arg;
};

static int
look_run(struct look *l, vos_body_fn body)
{
    struct vos_op op;

    vos_op_init(&op, l->tgt);
    return vos_read_run(l->tgt, &op, body, l);
}

/* ---- root, queue of the collector ----------------------------------------------------------------------------------- */

static int
gc_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct umem_stats stats;
    struct vos_root_df *root;
    struct vos_gc_df *gc;
    const uint8_t *rec;
    int rc = vos_root(op, l->tgt, &root);

    if (rc == 0 && !l->is_started)
        l->next = root->gc_head;
    umem_stats_get(op->um, &stats);
    while (rc == 0 && l->next != 0) {
        struct vos_look_gc g = {.off = l->next};

        l->is_started = true;
        if (op->steps_left-- == 0)
            return -DER_INPROGRESS;
        rc = vos_ptr(op, l->next, sizeof(*gc), &gc);
        if (rc != 0)
            return rc;
        if (gc->magic != VOS_GC_MAGIC || l->nr > stats.arena_bytes / sizeof(*gc)) /* a ring */
            return vos_bad(l->next, "collector's queue");
        rc = vos_ptr(op, gc->rec, 24, &rec);
        if (rc != 0)
            return rc;
        l->nr++;
        g.is_pool = gc->id == VOS_TREE_POOL;
        g.rec_off = gc->rec;
        memcpy(g.uuid.b, rec + 8, sizeof(g.uuid.b));
        if (l->gc_fn != NULL)
            l->gc_fn(l->arg, &g);
        l->next = gc->next;
    }
    return rc;
}

static int
root_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct vos_root_df *root;
    int rc = vos_root(op, l->tgt, &root);

    if (rc != 0)
        return rc;
    l->root = (struct vos_look_root){.version = root->version,
        .feat_compat = root->feat_compat,
        .feat_ro_compat = root->feat_ro_compat,
        .feat_incompat = root->feat_incompat,
        .epoch_bound = root->epoch_bound,
        .shard_next = root->shard_next};
    return 0;
}

int
vos_look_root(struct vos_tgt *tgt, struct vos_look_root *ret_root)
{
    struct look l = {.tgt = tgt};
    int rc = look_run(&l, root_body);

    if (rc == 0)
        rc = look_run(&l, gc_body);
    if (rc != 0)
        return rc;
    l.root.gc_nr = l.nr;
    *ret_root = l.root;
    return 0;
}

int
vos_look_gc(struct vos_tgt *tgt, void (*fn)(void *arg, const struct vos_look_gc *gc), void *arg)
{
    struct look l = {.tgt = tgt, .gc_fn = fn, .arg = arg};

    return look_run(&l, gc_body);
}

/* ---- pools, containers ---------------------------------------------------------------------------------------------- */

static int
pool_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct vos_pool_df *pool;
    int rc = vos_pool_get(op, l->pool->off, &pool);

    if (rc != 0)
        return rc;
    l->ret_pool = (struct vos_look_pool){.off = l->pool->off,
        .shard = pool->shard,
        .meta_quota = pool->meta_quota,
        .data_quota = pool->data_quota,
        .meta_used = pool->meta_used,
        .horizon = pool->horizon,
        .scrub_start_ns = pool->scrub_start_ns,
        .scrub_is_running = pool->scrub_start_ns != 0 && pool->scrub_cont != UINT64_MAX,
        .scrub_cont = pool->scrub_cont,
        .scrub_obj = pool->scrub_obj};
    return 0;
}

int
vos_look_pool(struct vos_tgt *tgt, struct uuid pool, struct vos_look_pool *ret_pool)
{
    struct look l = {.tgt = tgt, .pool = vos_pool_by_uuid(tgt, &pool)};
    int rc = l.pool == NULL ? CAIRN_ERR(NONEXIST) : look_run(&l, pool_body);

    if (rc == 0)
        *ret_pool = l.ret_pool;
    return rc;
}

static int
cont_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct vos_cont_df *cont;
    int rc = vos_cont_get(op, l->cont->off, &cont);

    if (rc != 0)
        return rc;
    l->ret_cont = (struct vos_look_cont){.off = l->cont->off,
        .shard = cont->shard,
        .epoch_max = cont->epoch_max,
        .obj_nr = cont->obj_nr,
        .meta_used = cont->meta_used,
        .data_used = cont->data_used,
        .agg_epoch = cont->agg_epoch,
        .agg_snaps = cont->agg_snaps};
    return 0;
}

int
vos_look_cont(struct vos_cont *cont, struct vos_look_cont *ret_cont)
{
    struct look l = {.tgt = cont->tgt, .cont = cont};
    int rc = look_run(&l, cont_body);

    if (rc == 0)
        *ret_cont = l.ret_cont;
    return rc;
}

/* ---- request table -------------------------------------------------------------------------------------------------- */

static int
group_tell(struct vos_op *op, struct look *l, struct vos_look_req *req, uint32_t group, uint64_t off)
{
    struct vos_slots_df *slots;
    int rc = vos_slots_get(op, off, &slots);

    for (uint32_t i = 0; rc == 0 && i < VOS_SLOT_GROUP_NR; i++) {
        const struct vos_slot_df *slot = &slots->slots[i];

        if (slot->seq == 0)
            continue;
        req->slot = group * VOS_SLOT_GROUP_NR + i;
        req->seq = slot->seq;
        req->hlc = slot->hlc;
        req->epoch = slot->epoch;
        req->result_len = MIN(slot->result_len, (uint32_t)sizeof(slot->result));
        req->result = slot->result;
        l->req_fn(l->arg, req);
    }
    return rc;
}

/* l->nr: groups told already of the client at hand; a miss in the middle tells none twice. */
static int
client_tell(struct vos_op *op, uint64_t rec, void *arg)
{
    struct look *l = arg;
    struct vos_look_req req = {.client_off = rec};
    struct vos_client_df *client;
    int rc = vos_client_get(op, rec, &client);

    if (rc == 0)
        memcpy(req.client.b, client->uuid, sizeof(req.client.b));
    for (; rc == 0 && l->nr < VOS_SLOT_GROUPS_NR_MAX; l->nr++) {
        if (client->groups[l->nr] == 0)
            continue;
        rc = group_tell(op, l, &req, (uint32_t)l->nr, client->groups[l->nr]);
        if (rc != 0)
            return rc;
    }
    if (rc == 0)
        l->nr = 0;
    return rc;
}

static int
reqs_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct vos_pool_df *pool;
    uint32_t nr = 1;
    int rc = vos_pool_get(op, l->pool->off, &pool);

    if (rc == 0) {
        rc = vos_uuid_tree_walk(op, &vos_kind_client, &pool->clients,
            l->pool->off + offsetof(struct vos_pool_df, clients), &l->after, &nr, client_tell, l);
    }
    return rc == 0 && nr == 0 ? -DER_INPROGRESS : rc;
}

int
vos_look_reqs(struct vos_tgt *tgt, struct uuid pool,
    void (*fn)(void *arg, const struct vos_look_req *req), void *arg)
{
    struct look l = {.tgt = tgt, .pool = vos_pool_by_uuid(tgt, &pool), .req_fn = fn, .arg = arg};

    return l.pool == NULL ? CAIRN_ERR(NONEXIST) : look_run(&l, reqs_body);
}

/* ---- outcomes of transactions --------------------------------------------------------------------------------------- */

uint64_t
vos_look_dtxs(struct vos_cont *cont, void (*fn)(void *arg, const struct vos_look_dtx *out), void *arg)
{
    struct vos_dtx_done *done;

    if (cont->dtxs == NULL)
        return 0;
    LIST_FOREACH(done, &cont->dtxs->fifo, struct vos_dtx_done, fifo) {
        struct vos_look_dtx out = {
            .id = done->id, .epoch = done->epoch, .is_aborted = done->is_aborted};

        fn(arg, &out);
    }
    return cont->dtxs->horizon;
}
