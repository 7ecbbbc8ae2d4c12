/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Listings. An anchor holds the last key that was listed (or passed over), so that it survives whatever happens to the
 * tree: the next call goes on with the next larger key in the order of the tree.
 */
#include "base/crc.h"
#include "vos/vos_evtree.h"
#include "vos/vos_priv.h"

#include <string.h>

enum { ANCHOR_KEY_BYTES = 80, LIST_NR_DEFAULT = 1024 };
enum { ANCHOR_DESCENDING = 1, ANCHOR_AT = 2 /* the key itself is still to come */ };

/* The bytes of a vos_anchor; all zero at the start. */
struct anchor {
    uint8_t level; /* enum vos_level + 1 */
    uint8_t flags;
    uint16_t key_len;
    uint32_t csum; /* of all else */
    uint64_t hkey; /* extents: the index to go on with */
    uint64_t hash; /* of a key that is longer than what fits */
    uint8_t key[ANCHOR_KEY_BYTES]; /* its beginning; an object id */
};
CAIRN_STATIC_ASSERT(sizeof(struct anchor) == VOS_ANCHOR_BYTES, "anchor");

static uint32_t
anchor_csum(struct anchor a)
{
    a.csum = 0;
    return crc32c(0x5a, &a, sizeof(a));
}

static int
anchor_load(const struct vos_anchor *from, const struct vos_list_args *args, struct anchor *ret_a)
{
    uint8_t flags = args->descending ? ANCHOR_DESCENDING : 0;

    memcpy(ret_a, from->bytes, sizeof(*ret_a));
    if (ret_a->level == 0) {
        *ret_a = (struct anchor){.flags = flags};
        return 0;
    }
    if (ret_a->csum != anchor_csum(*ret_a) || ret_a->level != (uint8_t)args->level + 1 ||
        (ret_a->flags & (uint8_t)~ANCHOR_AT) != flags || ret_a->key_len > VOS_KEY_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    return 0;
}

static void
anchor_store(struct vos_anchor *to, struct anchor *a, const struct vos_list_args *args)
{
    if (a->level != 0)
        a->level = (uint8_t)args->level + 1;
    a->csum = anchor_csum(*a);
    if (a->level != 0)
        memcpy(to->bytes, a, sizeof(*a));
}

static void
anchor_set_key(struct anchor *a, uint64_t hkey, const void *key, uint32_t len)
{
    a->level = 1; /* in use */
    a->flags &= (uint8_t)~ANCHOR_AT;
    a->hkey = hkey;
    a->key_len = (uint16_t)len;
    memset(a->key, 0, sizeof(a->key));
    memcpy(a->key, key, MIN(len, (uint32_t)ANCHOR_KEY_BYTES));
    a->hash = len > ANCHOR_KEY_BYTES ? hash_bytes64(key, len, 1) : 0;
}

/* ---- objects and keys ----------------------------------------------------------------------------------------------- */

struct list {
    struct vos_cont *cont;
    const struct vos_list_args *args;
    struct anchor a;
    struct vos_walk walk;
    uint32_t nr, nr_max;
    bool is_eof, is_stopped;
    uint64_t lsn;
};

/* A long key whose beginning ties with others: find it among those, and go behind it. */
static int
skip_long(struct list *l, struct vos_btr *t)
{
    struct vos_btr start = *t;
    struct vos_key_df *rec;
    int rc = vos_btr_settle(t);

    while (rc == 0) {
        rc = vos_key_get(t->op, vos_btr_rec(t), &rec);
        if (rc != 0)
            return rc;
        if (rec->key_len < ANCHOR_KEY_BYTES || memcmp(rec + 1, l->a.key, ANCHOR_KEY_BYTES) != 0)
            break;
        if (rec->key_len == l->a.key_len && hash_bytes64(rec + 1, rec->key_len, 1) == l->a.hash)
            return (l->a.flags & ANCHOR_AT) != 0 ? 0 : vos_btr_next(t);
        rc = vos_btr_next(t);
    }
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    *t = start; /* it is gone */
    return vos_btr_settle(t);
}

/* To the first record behind the anchor. */
static int
list_seek(struct list *l, struct vos_btr *t)
{
    struct vos_btr_key key = {.hkey = l->a.hkey, .buf = l->a.key, .len = l->a.key_len};
    bool exact;
    int rc;

    if (l->a.level == 0)
        return vos_btr_first(t);
    key.len = MIN(key.len, (uint32_t)ANCHOR_KEY_BYTES);
    rc = vos_btr_search(t, &key, &exact);
    if (rc != 0)
        return rc;
    if (l->a.key_len > ANCHOR_KEY_BYTES)
        return skip_long(l, t);
    return exact && (l->a.flags & ANCHOR_AT) == 0 ? vos_btr_next(t) : vos_btr_settle(t);
}

/* Hand over a record when it is visible, and move the anchor behind it. False: refused. */
static bool
list_give(struct list *l, const struct vos_ilog_info *info, struct vos_entry *entry, uint64_t hkey,
    const void *key, uint32_t len)
{
    entry->epoch = info->create.epoch;
    if (info->is_visible) {
        if (!l->args->fn(l->args->arg, entry)) {
            l->is_stopped = true;
            return false;
        }
        l->nr++;
    }
    anchor_set_key(&l->a, hkey, key, len);
    return true;
}

static int
list_obj(struct list *l, struct vos_op *op, uint64_t rec)
{
    const struct vos_epoch none = {0, 0};
    struct vos_ilog_info info;
    struct vos_oid_bytes bytes;
    struct vos_entry entry = {0};
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, rec, &obj);

    if (rc == 0)
        rc = vos_ilog_read(op, &obj->ilog, vos_obj_ilog_off(rec), op->epoch, none, &info);
    if (rc != 0)
        return rc;
    entry.oid = (struct vos_oid){.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
        .shard = obj->shard,
        .layout_ver = obj->layout_ver};
    (void)list_give(
        l, &info, &entry, vos_key_oid(op, &entry.oid, &bytes).hkey, &bytes, sizeof(bytes));
    return 0;
}

static int
list_key(struct list *l, struct vos_op *op, const struct vos_btr_kind *kind, struct vos_epoch punch,
    uint64_t rec)
{
    struct vos_ilog_info info;
    struct vos_entry entry = {0};
    struct vos_key_df *key;
    int rc = vos_key_get(op, rec, &key);

    if (rc == 0)
        rc = vos_ilog_read(op, &key->ilog, vos_key_ilog_off(rec), op->epoch, punch, &info);
    if (rc != 0)
        return rc;
    entry.key = vos_key_iov(key);
    (void)list_give(l, &info, &entry, vos_key_bytes(op, kind, &entry.key).hkey, entry.key.buf,
        (uint32_t)entry.key.len);
    return 0;
}

/* The tree of the level; *ret_df NULL when there is none. */
static int
list_tree(struct list *l, struct vos_op *op, const struct vos_btr_kind **ret_kind,
    struct vos_tree_df **ret_df, uint64_t *ret_off, struct vos_epoch *ret_punch)
{
    struct vos_walk *w = &l->walk;
    struct vos_cont_df *cont;
    int rc;

    *ret_df = NULL;
    if (l->args->level == VOS_LEVEL_OBJ) {
        rc = vos_cont_get(op, l->cont->off, &cont);
        if (rc != 0)
            return rc;
        op->dtxs = l->cont->dtxs;
        *ret_kind = &vos_kind_obj;
        *ret_df = &cont->objs;
        *ret_off = l->cont->off + offsetof(struct vos_cont_df, objs);
        return 0;
    }
    rc = vos_walk_obj(op, l->cont, &l->args->oid, false, w);
    if (rc == 0 && l->args->level == VOS_LEVEL_AKEY)
        rc = vos_walk_dkey(op, &l->args->dkey, false, w);
    if (rc != 0)
        return rc;
    if (l->args->level == VOS_LEVEL_DKEY && w->o.info.is_visible) {
        *ret_kind = w->dkey_kind;
        *ret_df = &w->obj->dkeys;
        *ret_off = vos_obj_tree_off(w->o.off);
        *ret_punch = w->o.info.punch;
    }
    if (l->args->level == VOS_LEVEL_AKEY && w->d.info.is_visible) {
        *ret_kind = w->akey_kind;
        *ret_df = &w->dkey->tree;
        *ret_off = vos_key_tree_off(w->d.off);
        *ret_punch = w->d.info.punch;
    }
    return 0;
}

static int
list_body(struct vos_op *op, void *arg)
{
    struct list *l = arg;
    const struct vos_btr_kind *kind = NULL;
    struct vos_tree_df *df;
    struct vos_epoch punch = {0, 0};
    uint64_t df_off = 0;
    struct vos_btr t;
    int rc = list_tree(l, op, &kind, &df, &df_off, &punch);

    l->lsn = l->args->level == VOS_LEVEL_OBJ ? l->cont->lsn_last
                                             : *vos_obj_lsn(l->cont->tgt, l->walk.h_obj);
    if (rc != 0)
        return rc;
    if (df == NULL) {
        l->is_eof = true;
        return 0;
    }
    rc = vos_btr_init(&t, op, kind, df, df_off);
    if (rc == 0)
        rc = list_seek(l, &t);
    while (rc == 0 && l->nr < l->nr_max) {
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = kind == &vos_kind_obj ? list_obj(l, op, vos_btr_rec(&t))
                                   : list_key(l, op, kind, punch, vos_btr_rec(&t));
        if (rc == 0 && l->is_stopped)
            return 0;
        if (rc == 0)
            rc = vos_btr_next(&t);
    }
    if (rc == -DER_NONEXIST) {
        l->is_eof = true;
        rc = 0;
    }
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
    if (off == 0 || l->a.level != 0)
        return 0;
    entry = (struct vos_entry){.size = ver.logical_len, .epoch = ver.epoch};
    l->is_eof = l->args->fn(l->args->arg, &entry);
    if (l->is_eof)
        anchor_set_key(&l->a, 0, "", 0);
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
        .has_pos = l->a.level != 0,
        .pos = l->a.hkey,
        .nr_max = l->nr_max,
        .fn = l->args->fn,
        .arg = l->args->arg};
    int rc = vos_recx_list(l->cont->tgt, op, &r);

    l->lsn = *vos_obj_lsn(l->cont->tgt, l->walk.h_obj);
    if (rc != 0)
        return rc;
    l->is_eof = r.is_eof;
    anchor_set_key(&l->a, r.pos, "", 0);
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
    rc = anchor_load(anchor, args, &l->a);
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
    } else {
        rc = vos_read_run(tgt, &op, args->level == VOS_LEVEL_SINGLE ? single_body : list_body, &l);
    }
    if (rc == 0)
        rc = vos_wait(tgt, MAX(l.lsn, tgt->bound_lsn));
    rc = vos_dtx_look_rc(&look, rc);
    if (rc != 0)
        return rc;
    anchor_store(anchor, &l.a, args);
    anchor->eof = l.is_eof;
    return 0;
}

int
vos_anchor_from_key(struct vos_cont *cont, const struct vos_oid *oid, enum vos_level level,
    const struct iov *key, bool is_at, struct vos_anchor *ret_anchor)
{
    struct vos_list_args args = {.level = level};
    struct anchor a = {0};
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
    anchor_set_key(&a,
        vos_key_bytes(&op, level == VOS_LEVEL_DKEY ? w.dkey_kind : w.akey_kind, key).hkey, key->buf,
        (uint32_t)key->len);
    if (is_at)
        a.flags |= ANCHOR_AT;
    *ret_anchor = (struct vos_anchor){.eof = false};
    anchor_store(ret_anchor, &a, &args);
    return 0;
}

/* ---- objects by their ids ------------------------------------------------------------------------------------------- */

struct look {
    struct vos_cont *cont;
    const struct vos_oid *oids;
    uint8_t *is_there;
    uint32_t nr, at;
    uint64_t lsn;
};

static int
look_body(struct vos_op *op, void *arg)
{
    struct look *l = arg;
    struct vos_walk w;
    int rc = 0;

    for (; l->at < l->nr; l->at++) {
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = vos_walk_init(&w, l->cont, &l->oids[l->at]);
        if (rc == 0)
            rc = vos_walk_obj(op, l->cont, &l->oids[l->at], false, &w);
        if (rc != 0)
            return rc;
        l->is_there[l->at] = w.o.info.is_visible;
        l->lsn = MAX(l->lsn, *vos_obj_lsn(l->cont->tgt, w.h_obj));
    }
    return 0;
}

int
vos_obj_look(struct vos_cont *cont, uint64_t epoch, const struct vos_oid *oids, uint32_t nr,
    uint8_t *ret_is_there)
{
    struct look l = {.cont = cont, .oids = oids, .is_there = ret_is_there, .nr = nr};
    struct vos_tgt *tgt = cont->tgt;
    struct vos_dtx_look look;
    struct vos_op op;
    int rc;

    vos_op_init(&op, tgt);
    vos_dtx_look_init(&look, NULL);
    op.look = &look;
    rc = vos_epoch_read(tgt, epoch, &op.epoch);
    if (rc != 0)
        return rc;
    vos_ts_raise(&cont->read_epoch, &cont->read_tx, op.epoch, 0); /* TS-1 */
    rc = vos_dtx_look_rc(&look, vos_read_run(tgt, &op, look_body, &l));
    return rc != 0 ? rc : vos_wait(tgt, MAX(l.lsn, tgt->bound_lsn));
}
