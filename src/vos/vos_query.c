/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Queries: the outermost visible integer dkey, akey and extent of an object. Keys are gone through from the end asked for, one body at a time, each candidate with what has to be below it.
 * Tested by test/vos_list_test.c, the matrix (test/vos_matrix_test.c) and the reference model.
 */
#include "base/codec.h"
#include "vos/vos_dtx.h"
#include "vos/vos_priv.h"

struct query {
    struct vos_cont *cont;
    const struct vos_oid *oid;
    struct iov dkey, akey;
    uint64_t dkey_int, akey_int; /* what the iovs point to when asked for */
    bool is_max;
    bool at_akeys; /* which level key_body() looks at */
    bool has_from;
    uint64_t from; /* next candidate is not beyond */
    uint64_t found;
    uint64_t epoch_max;
};

/* The next visible integer key from q->from on. -DER_NONEXIST: none. */
static int
key_body(struct vos_op *op, void *arg)
{
    struct query *q = arg;
    struct vos_btr_key key = {.hkey = q->from};
    struct vos_ilog_info info;
    struct vos_key_df *rec;
    struct vos_walk w;
    struct vos_btr t;
    bool exact;
    int rc = vos_walk_init(&w, q->cont, q->oid);

    if (rc == 0)
        rc = vos_walk_obj(op, q->cont, q->oid, false, &w);
    if (rc == 0 && q->at_akeys)
        rc = vos_walk_dkey(op, &q->dkey, false, &w);
    if (rc != 0)
        return rc;
    if (q->at_akeys ? !w.d.info.is_visible : !w.o.info.is_visible)
        return -DER_NONEXIST;
    if (q->at_akeys) {
        rc = vos_btr_init(&t, op, w.akey_kind, &w.dkey->tree, vos_key_tree_off(w.d.off));
    } else {
        rc = vos_btr_init(&t, op, w.dkey_kind, &w.obj->dkeys, vos_obj_tree_off(w.o.off));
    }
    if (rc == 0 && !q->has_from) {
        rc = q->is_max ? vos_btr_last(&t) : vos_btr_first(&t);
    } else if (rc == 0 && q->is_max) {
        rc = vos_btr_search_le(&t, &key);
    } else if (rc == 0) {
        rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = vos_btr_settle(&t);
    }
    while (rc == 0) {
        rc = vos_key_get(op, vos_btr_rec(&t), &rec);
        if (rc == 0) {
            rc = vos_ilog_read(op, &rec->ilog, vos_key_ilog_off(vos_btr_rec(&t)), op->epoch,
                q->at_akeys ? w.d.info.punch : w.o.info.punch, &info);
        }
        if (rc != 0)
            return rc;
        q->found = le64_get(rec + 1);
        if (info.is_visible)
            return 0;
        q->has_from = true;
        q->from = q->found;
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = q->is_max ? vos_btr_prev(&t) : vos_btr_next(&t);
    }
    return rc;
}

static int
epoch_body(struct vos_op *op, void *arg)
{
    struct query *q = arg;
    struct vos_walk w;
    int rc = vos_walk_init(&w, q->cont, q->oid);

    if (rc == 0)
        rc = vos_walk_obj(op, q->cont, q->oid, false, &w);
    if (rc == 0)
        q->epoch_max = w.obj == NULL ? 0 : w.obj->epoch_max;
    return rc;
}

static bool
take_first(void *arg, const struct vos_entry *entry)
{
    *(struct vos_entry *)arg = *entry;
    return true;
}

/* The outermost visible extent; -DER_NONEXIST: none. */
static int
query_recx(struct query *q, struct vos_op *op, struct vos_query_ret *ret)
{
    struct vos_entry entry = {0};
    struct vos_recx_list l = {.cont = q->cont,
        .oid = q->oid,
        .dkey = &q->dkey,
        .akey = &q->akey,
        .is_descending = q->is_max,
        .nr_max = 1,
        .fn = take_first,
        .arg = &entry};
    int rc = vos_recx_list(q->cont->tgt, op, &l);

    if (rc != 0)
        return rc;
    ret->recx = entry.recx;
    ret->rec_size = entry.size;
    return entry.recx.nr == 0 ? -DER_NONEXIST : 0;
}

/* Move the search of key_body() on from the candidate at hand; false at the end of the numbers. */
static bool
query_step(struct query *q, uint64_t candidate)
{
    if (candidate == (q->is_max ? 0 : UINT64_MAX))
        return false;
    q->has_from = true;
    q->from = q->is_max ? candidate - 1 : candidate + 1;
    return true;
}

/* The outermost akey below the dkey at hand for which the rest is found, too. */
static int
query_akey(struct query *q, struct vos_op *op, uint32_t flags, struct vos_query_ret *ret)
{
    int rc;

    if ((flags & VOS_GET_AKEY) == 0)
        return query_recx(q, op, ret);
    q->has_from = false;
    do {
        q->at_akeys = true;
        rc = vos_read_run(q->cont->tgt, op, key_body, q);
        if (rc != 0)
            return rc;
        q->akey_int = q->found;
        if ((flags & VOS_GET_RECX) == 0)
            return 0;
        rc = query_recx(q, op, ret);
        if (rc != -DER_NONEXIST)
            return rc;
    } while (query_step(q, q->akey_int));
    return -DER_NONEXIST;
}

static int
query_dkey(struct query *q, struct vos_op *op, uint32_t flags, struct vos_query_ret *ret)
{
    int rc;

    q->has_from = false;
    do {
        q->at_akeys = false;
        rc = vos_read_run(q->cont->tgt, op, key_body, q);
        if (rc != 0)
            return rc;
        q->dkey_int = q->found;
        if ((flags & (VOS_GET_AKEY | VOS_GET_RECX)) == 0)
            return 0;
        rc = query_akey(q, op, flags, ret);
        if (rc != -DER_NONEXIST)
            return rc;
    } while (query_step(q, q->dkey_int));
    return -DER_NONEXIST;
}

static int
query_check(struct query *q, const struct vos_query_args *args)
{
    const uint32_t what = VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX;
    uint32_t flags = args->flags;
    struct vos_walk w;
    int rc = vos_walk_init(&w, q->cont, q->oid);

    if (rc != 0)
        return rc;
    if ((flags & ~(what | VOS_GET_MAX | VOS_GET_MIN)) != 0)
        return CAIRN_ERR(INVAL);
    if ((flags & what) == 0)
        return 0; /* the newest epoch only */
    if (((flags & VOS_GET_MAX) != 0) == ((flags & VOS_GET_MIN) != 0))
        return CAIRN_ERR(INVAL);
    if ((flags & VOS_GET_DKEY) != 0 ? w.dkey_kind != &vos_kind_key_uint
                                    : vos_key_check(w.dkey_kind, &args->dkey) != 0)
        return CAIRN_ERR(INVAL);
    if ((flags & VOS_GET_AKEY) != 0 && w.akey_kind != &vos_kind_key_uint)
        return CAIRN_ERR(INVAL);
    if ((flags & VOS_GET_AKEY) == 0 && (flags & VOS_GET_RECX) != 0 &&
        vos_key_check(w.akey_kind, &args->akey) != 0)
        return CAIRN_ERR(INVAL);
    return 0;
}

/* UNC-1 */
static int
query_certain(const struct query *q, const struct vos_query_args *args, uint64_t epoch)
{
    struct vos_iod iod = {.akey = args->akey}; /* all of the value */
    struct vos_uncertain u = {.cont = q->cont,
        .epoch = epoch,
        .bound = args->epoch_bound,
        .oid = q->oid,
        .dkey = &args->dkey,
        .iods = &iod,
        .iod_nr = 1,
        .query = args->flags};
    struct vos_op op;

    if (args->epoch == VOS_EPOCH_MAX || args->epoch_bound <= epoch)
        return 0;
    vos_op_init(&op, q->cont->tgt);
    return vos_read_run(q->cont->tgt, &op, vos_uncertain_query, &u);
}

static int
query_run(struct query *q, struct vos_op *op, uint32_t flags, struct vos_query_ret *ret)
{
    struct vos_tgt *tgt = q->cont->tgt;
    int rc = 0, epoch_rc;

    if ((flags & VOS_GET_DKEY) != 0) {
        rc = query_dkey(q, op, flags, ret);
    } else if ((flags & (VOS_GET_AKEY | VOS_GET_RECX)) != 0) {
        rc = query_akey(q, op, flags, ret);
        /* An array that holds nothing is an answer when only its extent was asked for. */
        if (rc == -DER_NONEXIST && (flags & VOS_GET_AKEY) == 0)
            rc = 0;
    }
    epoch_rc = vos_read_run(tgt, op, epoch_body, q);
    return rc != 0 ? rc : epoch_rc;
}

static uint64_t
int_of(const struct iov *key)
{
    return key->buf != NULL && key->len == 8 ? le64_get(key->buf) : 0;
}

int
vos_query_key(
    struct vos_cont *cont, const struct vos_query_args *args, struct vos_query_ret *ret_query)
{
    uint32_t flags = args->flags;
    struct query q = {.cont = cont, .oid = &args->oid, .is_max = (flags & VOS_GET_MAX) != 0};
    struct vos_query_ret ret = {.dkey = int_of(&args->dkey), .akey = int_of(&args->akey)};
    struct vos_tgt *tgt = cont->tgt;
    uint64_t h_obj = vos_obj_hash(cont, &args->oid);
    struct vos_dtx_look look;
    struct vos_op op;
    int rc, wait_rc;

    rc = query_check(&q, args);
    vos_op_init(&op, tgt);
    vos_dtx_look_init(&look, args->dtx);
    op.look = &look;
    if (rc == 0)
        rc = vos_epoch_read(tgt, args->epoch, &op.epoch);
    if (rc != 0)
        return rc;
    /* The key of this machine's order is the stored one: both are little-endian. */
    q.dkey = (flags & VOS_GET_DKEY) != 0 ? (struct iov){&q.dkey_int, 8} : args->dkey;
    q.akey = (flags & VOS_GET_AKEY) != 0 ? (struct iov){&q.akey_int, 8} : args->akey;
    vos_ts_lo(&tgt->ts, VOS_TS_OBJ, h_obj, op.epoch, args->tx);
    rc = query_certain(&q, args, op.epoch);
    if (rc != 0)
        return rc;
    rc = query_run(&q, &op, flags, &ret);
    wait_rc = vos_wait(tgt, MAX(*vos_obj_lsn(tgt, h_obj), tgt->bound_lsn));
    rc = vos_dtx_look_rc(&look, rc);
    if (rc == 0 || rc == -DER_NONEXIST)
        rc = wait_rc != 0 ? wait_rc : rc;
    ret_query->epoch_max = rc == -DER_NONEXIST ? q.epoch_max : ret_query->epoch_max;
    if (rc != 0)
        return rc == -DER_NONEXIST ? CAIRN_ERR(NONEXIST) : rc;
    if ((flags & VOS_GET_DKEY) != 0)
        ret.dkey = q.dkey_int;
    if ((flags & VOS_GET_AKEY) != 0)
        ret.akey = q.akey_int;
    ret.epoch_max = q.epoch_max;
    *ret_query = ret;
    return 0;
}
