/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Listings. An anchor holds the last key that was listed (or passed over), so that it survives whatever happens to the
 * tree: the next call goes on with the next larger key in the order of the tree.
 */
#include "vos/vos_evtree.h"
#include "vos/vos_iter.h"

#include <string.h>

enum { LIST_NR_DEFAULT = 1024 };

static int
anchor_load(const struct vos_anchor *from, const struct vos_list_args *args, struct vos_place *ret_p)
{
    uint8_t flags = args->descending ? VOS_PLACE_DESCENDING : 0;

    memcpy(ret_p, from->bytes, sizeof(*ret_p));
    if (ret_p->type == 0) {
        *ret_p = (struct vos_place){.flags = flags};
        return 0;
    }
    if (ret_p->csum != vos_place_csum(*ret_p) || ret_p->type != (uint8_t)args->level + 1 ||
        (ret_p->flags & (uint8_t)~VOS_PLACE_AT) != flags || ret_p->key_len > VOS_KEY_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    return 0;
}

static void
anchor_store(struct vos_anchor *to, struct vos_place *p, enum vos_level level)
{
    if (p->type == 0)
        return;
    p->type = (uint8_t)level + 1;
    p->csum = vos_place_csum(*p);
    memcpy(to->bytes, p, sizeof(*p));
}

struct list {
    struct vos_cont *cont;
    const struct vos_list_args *args;
    struct vos_place place;
    struct vos_walk walk;
    uint32_t nr_max;
    bool is_eof;
    uint64_t lsn;
};

/* ---- objects and keys ----------------------------------------------------------------------------------------------- */

/* By the walker of iterations. */
static int
list_tree(struct list *l, struct vos_op *op)
{
    struct vos_iter_args args = {.cont = l->cont,
        .oid = l->args->oid,
        .type = l->args->level == VOS_LEVEL_OBJ ? VOS_ITER_OBJ
            : l->args->level == VOS_LEVEL_DKEY  ? VOS_ITER_DKEY
                                                : VOS_ITER_AKEY};
    struct vos_iter it = {.tgt = l->cont->tgt,
        .args = &args,
        .list = l->args,
        .hi = op->epoch,
        .states = VOS_ITER_VISIBLE,
        .nr_max = l->nr_max,
        .place = l->place,
        .walk = l->walk};
    int rc;

    if (l->args->level == VOS_LEVEL_AKEY)
        args.dkey = l->args->dkey;
    rc = vos_read_run(it.tgt, op, vos_iter_tree, &it);
    l->place = it.place;
    l->is_eof = it.is_eof;
    l->lsn = it.lsn;
    return rc;
}

/* ---- single values and extents -------------------------------------------------------------------------------------- */

static int
single_body(struct vos_op *op, void *arg)
{
    struct list *l = arg;
    struct vos_walk *w = &l->walk;
    struct vos_ver ver;
    struct vos_entry entry;
    uint64_t off = 0;
    int rc = vos_walk_obj(op, l->cont, &l->args->oid, false, w);

    if (rc == 0)
        rc = vos_walk_dkey(op, &l->args->dkey, false, w);
    if (rc == 0)
        rc = vos_walk_akey(op, &l->args->akey, false, w);
    if (rc == 0 && w->a.info.is_visible && vos_akey_type(w->akey) == VOS_IOD_SINGLE)
        rc = vos_single_find(op, w->akey, w->a.off, w->a.info.punch, &off, &ver);
    if (rc != 0)
        return rc;
    l->lsn = *vos_obj_lsn(l->cont->tgt, w->h_obj);
    l->is_eof = true;
    if (off == 0 || l->place.type != 0)
        return 0;
    entry = (struct vos_entry){.size = ver.logical_len, .epoch = ver.epoch};
    l->is_eof = l->args->fn(l->args->arg, &entry);
    if (l->is_eof)
        vos_place_set(&l->place, 0, "", 0);
    return 0;
}

static int
list_recx(struct list *l, struct vos_op *op)
{
    struct vos_recx_list r = {.cont = l->cont,
        .oid = &l->args->oid,
        .dkey = &l->args->dkey,
        .akey = &l->args->akey,
        .is_descending = l->args->descending,
        .has_pos = l->place.type != 0,
        .pos = l->place.hkey,
        .nr_max = l->nr_max,
        .fn = l->args->fn,
        .arg = l->args->arg};
    int rc = vos_recx_list(l->cont->tgt, op, &r);

    l->lsn = *vos_obj_lsn(l->cont->tgt, l->walk.h_obj);
    if (rc != 0)
        return rc;
    l->is_eof = r.is_eof;
    vos_place_set(&l->place, r.pos, "", 0);
    return 0;
}

static int
list_check(struct list *l, struct vos_anchor *anchor)
{
    const struct vos_list_args *args = l->args;
    int rc;

    if ((uint32_t)args->level > VOS_LEVEL_SINGLE || args->fn == NULL ||
        (args->descending && args->level != VOS_LEVEL_RECX))
        return CAIRN_ERR(INVAL);
    rc = anchor_load(anchor, args, &l->place);
    if (rc == 0 && args->level != VOS_LEVEL_OBJ)
        rc = vos_walk_init(&l->walk, l->cont, &args->oid);
    if (rc == 0 && args->level > VOS_LEVEL_DKEY)
        rc = vos_key_check(l->walk.dkey_kind, &args->dkey);
    if (rc == 0 && args->level > VOS_LEVEL_AKEY)
        rc = vos_key_check(l->walk.akey_kind, &args->akey);
    return rc;
}

/* TS-1: the listing saw all below its level. */
static void
list_stamp(const struct list *l, const struct vos_op *op)
{
    struct vos_ts *ts = &l->cont->tgt->ts;
    uint64_t h;

    switch (l->args->level) {
    case VOS_LEVEL_OBJ:
        vos_ts_raise(&l->cont->read_epoch, &l->cont->read_tx, op->epoch, l->args->tx);
        return;
    case VOS_LEVEL_DKEY:
        vos_ts_lo(ts, VOS_TS_OBJ, l->walk.h_obj, op->epoch, l->args->tx);
        return;
    default:
        break;
    }
    vos_ts_hi(ts, VOS_TS_OBJ, l->walk.h_obj, op->epoch, l->args->tx);
    h = vos_ts_hash(l->walk.h_obj, vos_key_bytes(op, l->walk.dkey_kind, &l->args->dkey).hkey);
    vos_ts_lo(ts, VOS_TS_DKEY, h, op->epoch, l->args->tx);
}

/* UNC-1 */
static int
list_certain(const struct list *l, uint64_t epoch)
{
    const struct vos_list_args *args = l->args;
    struct vos_iod iod = {.akey = args->akey}; /* all of the value */
    struct vos_uncertain u = {.cont = l->cont,
        .epoch = epoch,
        .bound = args->epoch_bound,
        .level = args->level,
        .oid = &args->oid,
        .dkey = &args->dkey,
        .iods = &iod,
        .iod_nr = args->level == VOS_LEVEL_RECX || args->level == VOS_LEVEL_SINGLE};
    struct vos_op op;

    if (args->epoch == VOS_EPOCH_MAX || args->epoch_bound <= epoch)
        return 0;
    vos_op_init(&op, l->cont->tgt);
    return vos_read_run(l->cont->tgt, &op, vos_uncertain_read, &u);
}

int
vos_list(struct vos_cont *cont, const struct vos_list_args *args, struct vos_anchor *anchor)
{
    struct list l = {
        .cont = cont, .args = args, .nr_max = args->nr_max == 0 ? LIST_NR_DEFAULT : args->nr_max};
    struct vos_tgt *tgt = cont->tgt;
    struct vos_dtx_look look;
    struct vos_op op;
    int rc;

    if (anchor->eof)
        return 0;
    rc = list_check(&l, anchor);
    vos_op_init(&op, tgt);
    vos_dtx_look_init(&look, args->dtx);
    op.look = &look;
    if (rc == 0)
        rc = vos_epoch_read(tgt, args->epoch, &op.epoch);
    if (rc != 0)
        return rc;
    list_stamp(&l, &op);
    rc = list_certain(&l, op.epoch);
    if (rc != 0)
        return rc;
    if (args->level == VOS_LEVEL_RECX) {
        rc = list_recx(&l, &op);
    } else if (args->level == VOS_LEVEL_SINGLE) {
        rc = vos_read_run(tgt, &op, single_body, &l);
    } else {
        rc = list_tree(&l, &op);
    }
    if (rc == 0)
        rc = vos_wait(tgt, MAX(l.lsn, tgt->bound_lsn));
    rc = vos_dtx_look_rc(&look, rc);
    if (rc != 0)
        return rc;
    anchor_store(anchor, &l.place, args->level);
    anchor->eof = l.is_eof;
    return 0;
}

int
vos_anchor_from_key(struct vos_cont *cont, const struct vos_oid *oid, enum vos_level level,
    const struct iov *key, bool is_at, struct vos_anchor *ret_anchor)
{
    struct vos_place p = {.type = 0};
    struct vos_walk w;
    struct vos_op op;
    int rc = vos_walk_init(&w, cont, oid);

    if (rc == 0 && level != VOS_LEVEL_DKEY && level != VOS_LEVEL_AKEY)
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = vos_key_check(level == VOS_LEVEL_DKEY ? w.dkey_kind : w.akey_kind, key);
    if (rc != 0)
        return rc;
    vos_op_init(&op, cont->tgt);
    vos_place_set(&p,
        vos_key_bytes(&op, level == VOS_LEVEL_DKEY ? w.dkey_kind : w.akey_kind, key).hkey, key->buf,
        (uint32_t)key->len);
    if (is_at)
        p.flags |= VOS_PLACE_AT;
    *ret_anchor = (struct vos_anchor){.eof = false};
    anchor_store(ret_anchor, &p, level);
    return 0;
}

/* ---- objects by their ids ------------------------------------------------------------------------------------------- */

struct look {
    struct vos_cont *cont;
    const struct vos_obj_look_args *args;
    uint8_t *is_there;
    uint32_t at;
    uint64_t lsn;
};

static int
look_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct vos_walk w;
    int rc = 0;

    for (; l->at < l->args->nr; l->at++) {
        const struct vos_oid *oid = &l->args->oids[l->at];

        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = vos_walk_init(&w, l->cont, oid);
        if (rc == 0)
            rc = vos_walk_obj(op, l->cont, oid, false, &w);
        if (rc != 0)
            return rc;
        l->is_there[l->at] = w.o.info.is_visible;
        l->lsn = MAX(l->lsn, *vos_obj_lsn(l->cont->tgt, w.h_obj));
    }
    return 0;
}

/* UNC-1 */
static int
look_certain(const struct look *l, uint64_t epoch)
{
    struct vos_uncertain u = {.cont = l->cont,
        .epoch = epoch,
        .bound = l->args->epoch_bound,
        .oids = l->args->oids,
        .oid_nr = l->args->nr};
    struct vos_op op;

    if (l->args->epoch == VOS_EPOCH_MAX || l->args->epoch_bound <= epoch)
        return 0;
    vos_op_init(&op, l->cont->tgt);
    return vos_read_run(l->cont->tgt, &op, vos_uncertain_objs, &u);
}

int
vos_obj_look(struct vos_cont *cont, const struct vos_obj_look_args *args, uint8_t *ret_is_there)
{
    struct look l = {.cont = cont, .args = args, .is_there = ret_is_there};
    struct vos_tgt *tgt = cont->tgt;
    struct vos_dtx_look look;
    struct vos_op op;
    int rc;

    vos_op_init(&op, tgt);
    vos_dtx_look_init(&look, args->dtx);
    op.look = &look;
    rc = vos_epoch_read(tgt, args->epoch, &op.epoch);
    if (rc != 0)
        return rc;
    vos_ts_raise(&cont->read_epoch, &cont->read_tx, op.epoch, args->tx); /* TS-1 */
    rc = look_certain(&l, op.epoch);
    if (rc != 0)
        return rc;
    rc = vos_dtx_look_rc(&look, vos_read_run(tgt, &op, look_body, &l));
    return rc != 0 ? rc : vos_wait(tgt, MAX(l.lsn, tgt->bound_lsn));
}
