/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* From an object down to an akey: records and their state at an epoch. */
#include "vos/vos_priv.h"

#include <string.h>

static inline bool
held_is_of(const struct vos_held *h, const struct vos_cont *cont, const struct vos_oid *oid)
{
    return h->cont_off == cont->off && h->oid.oid.lo == oid->oid.lo && h->oid.oid.hi == oid->oid.hi &&
        h->oid.shard == oid->shard && h->oid.layout_ver == oid->layout_ver;
}

static int
held_make(struct vos_held *h, const struct vos_cont *cont, const struct vos_oid *oid)
{
    const struct vos_btr_kind *dkey_kind, *akey_kind;
    int rc = vos_kind_of_dkey(oid->oid, &dkey_kind);

    if (rc == 0)
        rc = vos_kind_of_akey(oid->oid, &akey_kind);
    if (rc != 0)
        return rc;
    *h = (struct vos_held){.oid = *oid,
        .cont_off = cont->off,
        .h_obj = vos_obj_hash(cont, oid),
        .dkey_kind = dkey_kind,
        .akey_kind = akey_kind};
    return 0;
}

int
vos_walk_init(struct vos_walk *w, const struct vos_cont *cont, const struct vos_oid *oid)
{
    uint64_t mix = (oid->oid.lo ^ (oid->oid.hi << 17 | oid->oid.hi >> 47) ^ cont->off ^
                       (uint64_t)oid->shard << 32) *
        UINT64_C(0x9e3779b97f4a7c15);
    struct vos_held *h = &cont->tgt->held[mix >> (64 - VOS_HELD_BITS)];
    int rc = held_is_of(h, cont, oid) ? 0 : held_make(h, cont, oid);

    if (CAIRN_UNLIKELY(rc != 0))
        return rc;
    memset(w, 0, sizeof(*w));
    w->held = h;
    w->dkey_kind = h->dkey_kind;
    w->akey_kind = h->akey_kind;
    w->h_obj = h->h_obj;
    w->cont_off = cont->off;
    return 0;
}

static int
obj_create(struct vos_op *op, struct vos_btr *t, const struct vos_btr_key *key,
    const struct vos_oid *oid, uint64_t *ret_off)
{
    struct vos_ent_df ent = {.hkey = key->hkey};
    struct vos_obj_df *obj;
    int rc = vos_alloc(op, sizeof(*obj), &ent.off, &obj);

    if (rc != 0)
        return rc;
    obj->magic = VOS_OBJ_MAGIC;
    obj->oid_hi = oid->oid.hi;
    obj->oid_lo = oid->oid.lo;
    obj->shard = oid->shard;
    obj->layout_ver = oid->layout_ver;
    op->obj_delta++;
    *ret_off = ent.off;
    return vos_btr_insert(t, &ent);
}

/* Through the tree. Where a record lies is remembered unless this transaction made it, which may come to nothing. */
static int
obj_find(struct vos_op *op, const struct vos_cont *cont, const struct vos_oid *oid, bool create,
    struct vos_walk *w)
{
    struct vos_held *h = w->held;
    struct vos_oid_bytes bytes;
    struct vos_btr_key key = vos_key_oid(op, oid, &bytes);
    struct vos_cont_df *rec;
    struct vos_btr t;
    int rc = vos_cont_get(op, cont->off, &rec);

    if (rc == 0) {
        rc = vos_btr_init(
            &t, op, &vos_kind_obj, &rec->objs, cont->off + offsetof(struct vos_cont_df, objs));
    }
    if (rc == 0)
        rc = vos_rec_find(&t, &key, &w->o.off);
    if (rc == 0 && w->o.off != 0 && op->obj_delta == 0 && !op->is_obj_gone &&
        held_is_of(h, cont, oid)) {
        h->off = w->o.off;
        h->gen = cont->tgt->held_gen;
    }
    if (rc == 0 && w->o.off == 0 && create)
        rc = obj_create(op, &t, &key, oid, &w->o.off);
    return rc;
}

int
vos_walk_obj(struct vos_op *op, const struct vos_cont *cont, const struct vos_oid *oid, bool create,
    struct vos_walk *w)
{
    const struct vos_epoch none = {0, 0};
    struct vos_held *h = w->held;
    int rc = 0;

    op->dtxs = cont->dtxs;
    /* Others may have taken the place in the table while this one waited. */
    if (CAIRN_LIKELY(h->off != 0 && h->gen == cont->tgt->held_gen && !op->is_obj_gone &&
            held_is_of(h, cont, oid))) {
        w->o.off = h->off;
    } else {
        rc = obj_find(op, cont, oid, create, w);
    }
    w->o.info = (struct vos_ilog_info){0};
    if (rc != 0 || w->o.off == 0)
        return rc;
    rc = vos_obj_get(op, w->o.off, &w->obj);
    if (rc == 0) {
        rc = vos_ilog_read(
            op, &w->obj->ilog, vos_obj_ilog_off(w->o.off), op->epoch, none, &w->o.info);
    }
    return rc;
}

/* A creation comes into its log in the same transaction. */
static int
key_insert(struct vos_btr *t, const struct vos_btr_key *key, struct vos_key_df *rec, uint64_t off)
{
    struct vos_ent_df ent = {.hkey = key->hkey, .off = off};

    if (t->op->lid == 0)
        ent.off |= vos_key_plain_bits(t->op, t->kind, key->len);
    rec->key_len = (uint16_t)key->len;
    memcpy(rec + 1, key->buf, key->len);
    return vos_btr_insert(t, &ent);
}

/* With room for the record of an akey of akey_len bytes. */
static int
dkey_create(struct vos_op *op, struct vos_btr *t, const struct vos_btr_key *key, size_t akey_len,
    uint64_t *ret_off)
{
    struct vos_key_df as = {.magic = VOS_DKEY_MAGIC,
        .key_len = (uint16_t)key->len,
        .room = akey_len == 0 ? 0 : vos_key_room_for(akey_len)};
    struct vos_key_df *rec;
    int rc = vos_alloc(op, vos_key_block_bytes(&as), ret_off, &rec);

    if (rc != 0)
        return rc;
    rec->magic = as.magic;
    rec->room = as.room;
    return key_insert(t, key, rec, *ret_off);
}

/* In the room of its dkey, when there is some. */
static int
akey_create(struct vos_op *op, struct vos_btr *t, const struct vos_btr_key *key,
    const struct vos_walk *w, uint64_t *ret_off)
{
    uint32_t len = (uint32_t)sizeof(struct vos_key_df) + key->len;
    uint32_t at = vos_key_room_at(w->dkey);
    struct vos_key_df *rec = (void *)((uint8_t *)w->dkey + at);
    int rc;

    if (len > w->dkey->room || rec->magic != 0) {
        rc = vos_alloc(op, len, ret_off, &rec);
        if (rc != 0)
            return rc;
    } else {
        *ret_off = w->d.off + at;
        rc = vos_range(op, *ret_off, len);
        if (rc != 0)
            return rc;
        *rec = (struct vos_key_df){.flags = VOS_KEY_INSIDE};
    }
    rec->magic = VOS_AKEY_MAGIC;
    return key_insert(t, key, rec, *ret_off);
}

/* What is not decided above counts below, too. */
static void
open_inherit(struct vos_ilog_info *info, const struct vos_ilog_info *up)
{
    if (!info->has_open)
        info->punch_any = info->punch;
    info->has_open = true;
    if (vos_epoch_gt(up->punch_any, info->punch_any))
        info->punch_any = up->punch_any;
    info->is_sure = info->is_sure && vos_epoch_gt(info->create, info->punch_any);
}

static inline int
key_state(struct vos_op *op, struct vos_level_pos *pos, const struct vos_level_pos *up,
    struct vos_key_df *rec)
{
    int rc = vos_ilog_read(
        op, &rec->ilog, vos_key_ilog_off(pos->off), op->epoch, up->info.punch, &pos->info);

    if (rc == 0 && CAIRN_UNLIKELY(up->info.has_open))
        open_inherit(&pos->info, &up->info);
    return rc;
}

/* Nothing is there yet: what is above counts. */
static inline void
level_begin(struct vos_level_pos *pos, const struct vos_level_pos *up)
{
    pos->off = 0;
    pos->info = (struct vos_ilog_info){
        .punch = up->info.punch, .punch_any = up->info.punch_any, .has_open = up->info.has_open};
}

int
vos_walk_dkey(struct vos_op *op, const struct iov *key, bool create, struct vos_walk *w)
{
    struct vos_btr_key k = vos_key_bytes(op, w->dkey_kind, key);

    return vos_walk_dkey_at(op, &k, create, w);
}

int
vos_walk_dkey_at(struct vos_op *op, const struct vos_btr_key *k, bool create, struct vos_walk *w)
{
    struct vos_key_df *rec;
    struct vos_btr t;
    int rc = 0;

    w->h_dkey = vos_ts_hash(w->h_obj, k->hkey);
    w->dkey_hkey = k->hkey;
    level_begin(&w->d, &w->o);
    w->dkey = NULL;
    if (w->o.off == 0)
        return 0;
    if (CAIRN_UNLIKELY(w->dkey_hint != 0))
        rc = vos_key_find_at(op, w->dkey_hint, k, &w->d.off, &rec);
    if (rc != 0 || w->d.off != 0) {
        /* it is known, or cannot be */
    } else if (create) {
        rc = vos_btr_init(&t, op, w->dkey_kind, &w->obj->dkeys, vos_obj_tree_off(w->o.off));
        if (rc == 0)
            rc = vos_rec_find(&t, k, &w->d.off);
        if (rc == 0 && w->d.off == 0)
            rc = dkey_create(op, &t, k, w->akey_len, &w->d.off);
        if (rc == 0)
            rc = vos_key_get(op, w->d.off, &rec);
    } else {
        rc = vos_key_find(
            op, w->dkey_kind, &w->obj->dkeys, vos_obj_tree_off(w->o.off), k, &w->d.off, &rec);
    }
    if (rc != 0 || w->d.off == 0)
        return rc;
    w->dkey = rec;
    return key_state(op, &w->d, &w->o, rec);
}

int
vos_walk_akey(struct vos_op *op, const struct iov *key, bool create, struct vos_walk *w)
{
    struct vos_btr_key k = vos_key_bytes(op, w->akey_kind, key);

    return vos_walk_akey_at(op, &k, create, w);
}

int
vos_walk_akey_at(struct vos_op *op, const struct vos_btr_key *k, bool create, struct vos_walk *w)
{
    struct vos_key_df *rec;
    struct vos_btr t;
    int rc;

    w->h_akey = vos_ts_hash(w->h_dkey, k->hkey);
    level_begin(&w->a, &w->d);
    w->akey = NULL;
    if (w->d.off == 0)
        return 0;
    if (create) {
        rc = vos_btr_init(&t, op, w->akey_kind, &w->dkey->tree, vos_key_tree_off(w->d.off));
        if (rc == 0)
            rc = vos_rec_find(&t, k, &w->a.off);
        if (rc == 0 && w->a.off == 0)
            rc = akey_create(op, &t, k, w, &w->a.off);
        if (rc == 0)
            rc = vos_key_get(op, w->a.off, &rec);
    } else {
        rc = vos_key_find(
            op, w->akey_kind, &w->dkey->tree, vos_key_tree_off(w->d.off), k, &w->a.off, &rec);
    }
    if (rc != 0 || w->a.off == 0)
        return rc;
    w->akey = rec;
    return key_state(op, &w->a, &w->d, rec);
}

/* An event with a mark: one reference for all of this transaction at this record. */
static int
marked_log(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, bool is_punch,
    const struct vos_dtx_ref_df *ref, enum vos_dtx_ref_kind kind)
{
    uint32_t lid;
    bool exists;
    int rc = vos_ilog_mark(op, ilog, ilog_off, op->epoch, &exists, &lid);

    if (rc == 0)
        rc = vos_ilog_add(op, ilog, ilog_off, is_punch);
    return rc != 0 || exists ? rc : vos_dtx_ref(op, kind, ref->rec, ref->owner, ref->obj);
}

int
vos_walk_obj_log(struct vos_op *op, struct vos_walk *w, bool is_punch)
{
    const struct vos_dtx_ref_df ref = {w->o.off, w->cont_off, w->o.off};

    if (CAIRN_LIKELY(op->lid == 0))
        return vos_ilog_add(op, &w->obj->ilog, vos_obj_ilog_off(w->o.off), is_punch);
    return marked_log(op, &w->obj->ilog, vos_obj_ilog_off(w->o.off), is_punch, &ref, VOS_DTX_REF_OBJ);
}

int
vos_walk_dkey_log(struct vos_op *op, struct vos_walk *w, bool is_punch)
{
    const struct vos_dtx_ref_df ref = {w->d.off, w->o.off, w->o.off};

    if (vos_ilog_is_plain(&w->dkey->ilog)) {
        int rc = vos_key_plain_set(
            op, w->dkey_kind, &w->obj->dkeys, vos_obj_tree_off(w->o.off), w->d.off, false);

        if (rc != 0)
            return rc;
    }
    if (CAIRN_LIKELY(op->lid == 0))
        return vos_ilog_add(op, &w->dkey->ilog, vos_key_ilog_off(w->d.off), is_punch);
    return marked_log(
        op, &w->dkey->ilog, vos_key_ilog_off(w->d.off), is_punch, &ref, VOS_DTX_REF_DKEY);
}

int
vos_walk_akey_log(struct vos_op *op, struct vos_walk *w, bool is_punch)
{
    const struct vos_dtx_ref_df ref = {w->a.off, w->d.off, w->o.off};

    if (vos_ilog_is_plain(&w->akey->ilog)) {
        int rc = vos_key_plain_set(
            op, w->akey_kind, &w->dkey->tree, vos_key_tree_off(w->d.off), w->a.off, false);

        if (rc != 0)
            return rc;
    }
    if (CAIRN_LIKELY(op->lid == 0))
        return vos_ilog_add(op, &w->akey->ilog, vos_key_ilog_off(w->a.off), is_punch);
    return marked_log(
        op, &w->akey->ilog, vos_key_ilog_off(w->a.off), is_punch, &ref, VOS_DTX_REF_AKEY);
}

static void
touched(const struct vos_op *op, struct vos_ilog_info *info)
{
    info->create = (struct vos_epoch){op->epoch, op->minor};
    info->is_visible = info->is_sure = true;
}

int
vos_walk_obj_touch(struct vos_op *op, struct vos_walk *w)
{
    int rc;

    if (w->o.info.is_sure)
        return 0;
    rc = vos_walk_obj_log(op, w, false);
    if (rc == 0)
        touched(op, &w->o.info);
    return rc;
}

int
vos_walk_dkey_touch(struct vos_op *op, struct vos_walk *w)
{
    int rc;

    if (w->d.info.is_sure)
        return 0;
    rc = vos_walk_dkey_log(op, w, false);
    if (rc == 0)
        touched(op, &w->d.info);
    return rc;
}

int
vos_walk_akey_touch(struct vos_op *op, struct vos_walk *w)
{
    int rc;

    if (w->a.info.is_sure)
        return 0;
    rc = vos_walk_akey_log(op, w, false);
    if (rc == 0)
        touched(op, &w->a.info);
    return rc;
}

uint32_t
vos_akey_type(const struct vos_key_df *akey)
{
    return akey->tree.id == VOS_TREE_SINGLE ? VOS_IOD_SINGLE
        : akey->tree.id == VOS_TREE_EXT     ? VOS_IOD_ARRAY
                                            : 0;
}

/* The newest version is marked: the newest that is seen. */
static int
single_find_marked(struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off,
    struct vos_epoch punch, uint64_t *ret_off, struct vos_ver *ret_ver)
{
    struct vos_epoch newest = {op->epoch, UINT16_MAX};
    struct vos_btr_key key = vos_key_epoch(&newest);
    struct vos_btr t;
    bool sees = true;
    int rc = vos_btr_init(&t, op, &vos_kind_single, &akey->tree, vos_key_tree_off(akey_off));

    if (rc == 0)
        rc = vos_btr_search_le(&t, &key);
    while (rc == 0) {
        rc = vos_ver_get(op, vos_btr_rec(&t), ret_ver);
        if (rc == 0 && !vos_epoch_gt(vos_ver_epoch(ret_ver), punch))
            return -DER_NONEXIST;
        if (rc == 0 && ret_ver->dtx != 0)
            rc = vos_dtx_sees(op, ret_ver->dtx, &sees);
        if (rc != 0)
            return rc;
        if (sees || ret_ver->dtx == 0) {
            *ret_off = vos_btr_rec(&t);
            return 0;
        }
        rc = vos_btr_prev(&t);
    }
    return rc;
}

int
vos_single_find(struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off,
    struct vos_epoch punch, uint64_t *ret_off, struct vos_ver *ret_ver)
{
    struct vos_epoch newest = {op->epoch, UINT16_MAX};
    struct vos_btr_key key = vos_key_epoch(&newest);
    uint64_t rec = akey->tree.root;
    struct vos_btr t;
    int rc = 0;

    *ret_off = 0;
    if (akey->tree.depth > 0) {
        rc = vos_btr_init(&t, op, &vos_kind_single, &akey->tree, vos_key_tree_off(akey_off));
        if (rc == 0)
            rc = vos_btr_search_le(&t, &key);
        rec = rc == 0 ? vos_btr_rec(&t) : 0;
    }
    if (rc == -DER_NONEXIST || (rc == 0 && rec == 0))
        return 0;
    if (rc == 0)
        rc = vos_ver_get(op, rec, ret_ver);
    if (rc != 0)
        return rc;
    if (CAIRN_UNLIKELY(ret_ver->dtx != 0) && ret_ver->epoch <= op->epoch) {
        rc = single_find_marked(op, akey, akey_off, punch, &rec, ret_ver);
        if (rc != 0)
            return rc == -DER_NONEXIST ? 0 : rc;
    }
    if (ret_ver->epoch > op->epoch || (ret_ver->flags & VOS_VER_HOLE) != 0 ||
        !vos_epoch_gt(vos_ver_epoch(ret_ver), punch))
        return 0;
    *ret_off = rec;
    return 0;
}
