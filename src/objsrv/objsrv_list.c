/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Listings and key queries. Tested by test/objsrv_test.c. */
#include "base/assert.h"
#include "objsrv_priv.h"

CAIRN_STATIC_ASSERT((int)PROTO_ANCHOR_BYTES_MAX == (int)VOS_ANCHOR_BYTES, "an anchor fits");

/* Wire bytes of an entry beside its key, and what the reply needs beside its entries. */
enum { ENTRY_BYTES = 52, REPLY_BYTES = 512 };

/* Entries found so far, in the request's arena. */
struct lister {
    struct arena *arena;
    struct proto_list_entry *entries;
    uint32_t nr, nr_max;
    size_t key_bytes, key_bytes_max;
    size_t wire_bytes;
    uint32_t key2big_len; /* the first entry does not fit at all */
    bool is_objs;
    int rc;
};

static bool
list_add_entry(void *arg, const struct vos_entry *entry)
{
    struct lister *l = arg;
    size_t wire = ENTRY_BYTES + entry->key.len;
    struct proto_list_entry *e;

    if (l->nr == l->nr_max || l->rc != 0)
        return false;
    if (entry->key.len > l->key_bytes_max - l->key_bytes || l->wire_bytes + wire > NET_HDR_BYTES_MAX) {
        if (l->nr == 0)
            l->key2big_len = (uint32_t)entry->key.len;
        return false;
    }
    e = &l->entries[l->nr];
    e->key.len = entry->key.len;
    if (entry->key.len > 0) {
        e->key.buf = arena_dup(l->arena, entry->key.buf, entry->key.len);
        if (e->key.buf == NULL) {
            l->rc = CAIRN_ERR(NOMEM);
            return false;
        }
    }
    e->oid = entry->oid.oid;
    e->idx = l->is_objs ? entry->oid.shard : entry->recx.idx;
    e->nr = entry->recx.nr;
    e->size = entry->size;
    e->epoch = entry->epoch;
    l->key_bytes += entry->key.len;
    l->wire_bytes += wire;
    l->nr++;
    return true;
}

static int
lister_init(struct lister *l, struct rpc_req *req)
{
    const struct proto_obj_list_req *in = req->body;
    uint32_t fit = (NET_HDR_BYTES_MAX - REPLY_BYTES) / ENTRY_BYTES;

    memset(l, 0, sizeof(*l));
    l->arena = req->arena;
    l->is_objs = in->level == VOS_LEVEL_OBJ;
    l->nr_max = in->nr_max == 0 ? fit : MIN(in->nr_max, fit);
    l->key_bytes_max = MIN(in->bytes_max, (uint32_t)PROTO_LIST_BYTES_MAX);
    l->wire_bytes = REPLY_BYTES;
    l->entries = arena_calloc(req->arena, l->nr_max, sizeof(*l->entries));
    return l->entries == NULL ? CAIRN_ERR(NOMEM) : 0;
}

static int
list(struct tgt_op *op, struct rpc_req *req, struct proto_obj_list_rep *out)
{
    const struct proto_obj_list_req *in = req->body;
    struct vos_anchor anchor = {.eof = false};
    struct vos_list_args args = {
        .level = in->level,
        .oid = objsrv_oid(in->oid, in->shard, in->layout_ver),
        .dkey = in->dkey,
        .akey = in->akey,
        .epoch = in->epoch,
        .descending = in->descending != 0,
        .fn = list_add_entry,
    };
    struct lister l;
    int rc;

    if (in->level > VOS_LEVEL_SINGLE || (in->anchor.len != 0 && in->anchor.len != VOS_ANCHOR_BYTES))
        return CAIRN_ERR(INVAL);
    rc = lister_init(&l, req);
    if (rc != 0)
        return rc;
    args.arg = &l;
    args.nr_max = l.nr_max;
    if (in->anchor.len != 0)
        memcpy(anchor.bytes, in->anchor.buf, VOS_ANCHOR_BYTES);
    rc = vos_list(op->vos, &args, &anchor);
    if (rc == 0)
        rc = l.rc;
    if (rc != 0)
        return rc;
    out->entries = (struct proto_array){l.nr, l.entries};
    out->anchor.buf = arena_dup(req->arena, anchor.bytes, VOS_ANCHOR_BYTES);
    if (out->anchor.buf == NULL)
        return CAIRN_ERR(NOMEM);
    out->anchor.len = VOS_ANCHOR_BYTES;
    out->eof = anchor.eof;
    if (l.key2big_len > 0) {
        out->key_len = l.key2big_len;
        return CAIRN_ERR(KEY2BIG);
    }
    return 0;
}

int
objsrv_list(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_list_req *in = req->body;
    struct tgt_op op;
    int rc;

    rc = objsrv_begin(tgt, req, false, &op);
    if (rc != 0)
        return rc;
    rc = tgt_op_read(&op, in->epoch);
    if (rc == 0)
        rc = list(&op, req, rep);
    tgt_op_end(&op);
    return rc;
}

int
objsrv_query(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_query_req *in = req->body;
    const struct vos_query_args args = {.oid = objsrv_oid(in->oid, in->shard, in->layout_ver),
        .epoch = in->epoch,
        .flags = in->flags,
        .dkey = in->dkey,
        .akey = in->akey};
    struct proto_obj_query_rep *out = rep;
    struct vos_query_ret found = {.epoch_max = 0};
    struct tgt_op op;
    int rc;

    rc = objsrv_begin(tgt, req, false, &op);
    if (rc != 0)
        return rc;
    rc = tgt_op_read(&op, in->epoch);
    if (rc == 0)
        rc = vos_query_key(op.vos, &args, &found);
    if (rc == 0) {
        out->dkey = found.dkey;
        out->akey = found.akey;
        out->recx = (struct proto_recx){found.recx.idx, found.recx.nr};
        out->rec_size = found.rec_size;
    }
    out->epoch_max = found.epoch_max; /* of the object also when the key is not there */
    tgt_op_end(&op);
    return rc;
}

static int
look(struct tgt_op *op, struct rpc_req *req, struct proto_obj_look_rep *out)
{
    const struct proto_obj_look_req *in = req->body;
    const struct proto_obj_ref *refs = in->objs.items;
    uint32_t nr = in->objs.nr;
    struct vos_obj_look_args args = {.nr = nr, .epoch = in->epoch};
    struct vos_oid *oids;
    uint8_t *is_there;
    int rc;

    if (nr == 0)
        return CAIRN_ERR(INVAL);
    oids = arena_calloc(req->arena, nr, sizeof(*oids));
    is_there = arena_calloc(req->arena, nr, sizeof(*is_there));
    if (oids == NULL || is_there == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        oids[i] = objsrv_oid(refs[i].oid, refs[i].shard, refs[i].layout_ver);
    }
    args.oids = oids;
    rc = vos_obj_look(op->vos, &args, is_there);
    if (rc == 0)
        out->is_there = (struct iov){is_there, nr};
    return rc;
}

int
objsrv_look(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_look_req *in = req->body;
    struct tgt_op op;
    int rc;

    rc = objsrv_begin(tgt, req, false, &op);
    if (rc != 0)
        return rc;
    rc = tgt_op_read(&op, in->epoch);
    if (rc == 0)
        rc = look(&op, req, rep);
    tgt_op_end(&op);
    return rc;
}

int
objsrv_anchor(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_anchor_req *in = req->body;
    struct vos_oid oid = objsrv_oid(in->oid, in->shard, in->layout_ver);
    struct proto_obj_anchor_rep *out = rep;
    struct vos_anchor anchor;
    struct tgt_op op;
    int rc;

    rc = objsrv_begin(tgt, req, false, &op);
    if (rc != 0)
        return rc;
    rc = vos_anchor_from_key(op.vos, &oid, in->level, &in->key, true, &anchor);
    tgt_op_end(&op);
    if (rc != 0)
        return rc;
    out->anchor.buf = arena_dup(req->arena, anchor.bytes, VOS_ANCHOR_BYTES);
    if (out->anchor.buf == NULL)
        return CAIRN_ERR(NOMEM);
    out->anchor.len = VOS_ANCHOR_BYTES;
    return 0;
}

int
objsrv_aggregate(struct tgt *tgt, struct rpc_req *req, void *rep)
{
    const struct proto_obj_aggregate_req *in = req->body;
    struct proto_obj_aggregate_rep *out = rep;
    uint64_t deadline_ns;
    struct tgt_op op;
    bool is_done;
    int rc;

    rc = objsrv_begin(tgt, req, true, &op);
    if (rc != 0)
        return rc;
    deadline_ns = MIN(req->deadline_ns, ult_now_ns() + OBJSRV_AGG_WAIT_NS);
    rc = tgt_aggregate(&op, in->epoch, deadline_ns, &is_done, &out->epoch);
    out->is_done = rc == 0 && is_done;
    tgt_op_end(&op);
    return rc;
}
