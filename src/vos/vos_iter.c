/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Iteration over a level of the store (vos.h, vos_iter; vos_iter.h). Extents: vos_iter_ext.c. */
#include "vos/vos_iter.h"

#include "base/codec.h"
#include "base/crc.h"
#include "vos/vos_dtx.h"

#include <string.h>

enum { NR_DEFAULT = 1024, TYPE_CODE = 0x40 /* anchors of vos_list() have small ones */ };
enum { STATES = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED };

/* ---- places --------------------------------------------------------------------------------------------------------- */

void
vos_place_set(struct vos_place *p, uint64_t hkey, const void *key, uint32_t len)
{
    p->type = 1;
    p->flags &= (uint8_t)~VOS_PLACE_AT;
    p->hkey = hkey;
    p->key_len = (uint16_t)len;
    memset(p->key, 0, sizeof(p->key));
    if (len > 0)
        memcpy(p->key, key, MIN(len, (uint32_t)VOS_PLACE_KEY_BYTES));
    p->hash = len > VOS_PLACE_KEY_BYTES ? hash_bytes64(key, len, 1) : 0;
}

uint32_t
vos_place_csum(struct vos_place p)
{
    p.csum = 0;
    return crc32c(0x5a, &p, sizeof(p));
}

/* Six bits a character. */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
CAIRN_STATIC_ASSERT((VOS_ANCHOR_BYTES * 8 + 5) / 6 < VOS_ITER_ANCHOR_BYTES, "anchor");

static void
place_to_text(const struct vos_place *p, char *text)
{
    const uint8_t *b = (const uint8_t *)p;
    uint32_t bits = 0, acc = 0, at = 0;

    for (uint32_t i = 0; i < sizeof(*p); i++) {
        acc = acc << 8 | b[i];
        for (bits += 8; bits >= 6; bits -= 6) {
            text[at++] = digits[acc >> (bits - 6) & 63];
        }
    }
    if (bits > 0)
        text[at++] = digits[acc << (6 - bits) & 63];
    memset(text + at, 0, VOS_ITER_ANCHOR_BYTES - at);
}

static bool
place_from_text(const char *text, struct vos_place *ret_p)
{
    uint8_t *b = (uint8_t *)ret_p;
    uint32_t bits = 0, acc = 0, at = 0, i;

    for (i = 0; i < VOS_ITER_ANCHOR_BYTES && at < sizeof(*ret_p); i++) {
        const char *d = text[i] == 0 ? NULL : strchr(digits, text[i]);

        if (d == NULL)
            return false;
        acc = acc << 6 | (uint32_t)(d - digits);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            b[at++] = (uint8_t)(acc >> bits);
        }
    }
    return at == sizeof(*ret_p) && i < VOS_ITER_ANCHOR_BYTES && text[i] == 0 &&
        (acc & ((1u << bits) - 1)) == 0;
}

static int
anchor_load(struct vos_iter *it, const struct vos_iter_anchor *from)
{
    uint8_t flags = (it->args->flags & VOS_ITER_DESCENDING) != 0 ? VOS_PLACE_DESCENDING : 0;
    struct vos_place *p = &it->place;

    it->place.flags = flags;
    if (from->text[0] == 0)
        return 0;
    if (!place_from_text(from->text, p) || p->csum != vos_place_csum(*p) ||
        p->type != (TYPE_CODE | it->args->type) || (p->flags & (uint8_t)~VOS_PLACE_AT) != flags ||
        p->key_len > VOS_KEY_BYTES_MAX)
        return CAIRN_ERR(INVAL);
    p->type = 1;
    return 0;
}

static void
anchor_store(struct vos_iter *it, struct vos_iter_anchor *to)
{
    struct vos_place p = it->place;

    if (p.type == 0)
        return;
    p.type = (uint8_t)(TYPE_CODE | it->args->type);
    p.csum = vos_place_csum(p);
    place_to_text(&p, to->text);
}

/* ---- records of a tree ---------------------------------------------------------------------------------------------- */

/* What a body holds. */
struct tree {
    struct vos_btr t;
    const struct vos_btr_kind *kind;
    struct vos_epoch punch; /* newest of what is above, at hi */
    struct vos_epoch punch_before; /* right before lo */
    bool has_before; /* that is asked for */
    bool believes_plain; /* ITR-5 */
    bool is_first; /* leaf of this run of the body */
    bool is_warm; /* the records of the leaf at the cursor were asked for */
};

bool
vos_iter_give(struct vos_iter *it)
{
    it->ent.type = it->args->type;
    if (!it->args->fn(it->args->arg, &it->ent)) {
        it->is_stopped = true;
        return false;
    }
    it->nr++;
    return true;
}

/* A long key whose beginning ties with others: find it among those, and go behind it. */
static int
skip_long(struct vos_iter *it, struct vos_btr *t)
{
    const struct vos_place *p = &it->place;
    struct vos_btr start = *t;
    struct vos_key_df *rec;
    int rc = vos_btr_settle(t);

    while (rc == 0) {
        rc = vos_key_get(t->op, vos_btr_rec(t), &rec);
        if (rc != 0)
            return rc;
        if (rec->key_len < VOS_PLACE_KEY_BYTES || memcmp(rec + 1, p->key, VOS_PLACE_KEY_BYTES) != 0)
            break;
        if (rec->key_len == p->key_len && hash_bytes64(rec + 1, rec->key_len, 1) == p->hash)
            return (p->flags & VOS_PLACE_AT) != 0 ? 0 : vos_btr_next(t);
        rc = vos_btr_next(t);
    }
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    *t = start; /* it is gone */
    return vos_btr_settle(t);
}

/* To the first record behind the place. */
static int
tree_seek(struct vos_iter *it, struct vos_btr *t)
{
    const struct vos_place *p = &it->place;
    struct vos_btr_key key = {.hkey = p->hkey, .buf = p->key, .len = p->key_len};
    bool exact;
    int rc;

    if (p->type == 0)
        return vos_btr_first(t);
    key.len = MIN(key.len, (uint32_t)VOS_PLACE_KEY_BYTES);
    rc = vos_btr_search(t, &key, &exact);
    if (rc != 0)
        return rc;
    if (p->key_len > VOS_PLACE_KEY_BYTES)
        return skip_long(it, t);
    return exact && (p->flags & VOS_PLACE_AT) == 0 ? vos_btr_next(t) : vos_btr_settle(t);
}

/* The newest creation and punch of a log at or below hi, each for itself. */
static int
log_newest(struct vos_iter *it, struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off)
{
    const struct vos_epoch none = {0, 0};
    struct vos_ilog_info info, older;
    int rc = vos_ilog_read(op, ilog, ilog_off, it->hi, none, &info);

    /* A look ends at a punch, and does not see what is older. */
    for (older = info; rc == 0 && older.create.minor == 0 && older.punch.epoch > 0;) {
        rc = vos_ilog_read(op, ilog, ilog_off, older.punch.epoch - 1, none, &older);
        info.create = older.create;
    }
    if (rc == 0) {
        it->ent.create = info.create;
        it->ent.punch = info.punch;
    }
    return rc;
}

/* Fill in what the log says, and whether it is asked for. */
static int
log_judge(struct vos_iter *it, struct vos_op *op, const struct tree *tr, struct vos_ilog_df *ilog,
    uint64_t ilog_off, bool *ret_is_wanted)
{
    struct vos_iter_ent *ent = &it->ent;
    uint64_t lo = it->args->lo;
    struct vos_ilog_info before;
    bool is_visible;
    int rc;

    rc = log_newest(it, op, ilog, ilog_off);
    if (rc != 0)
        return rc;
    is_visible = ent->create.minor != 0 && vos_epoch_gt(ent->create, ent->punch) &&
        vos_epoch_gt(ent->create, tr->punch);
    ent->state = is_visible ? VOS_ITER_VISIBLE : VOS_ITER_PUNCHED;
    ent->punch_above = tr->punch;
    *ret_is_wanted = (it->states & ent->state) != 0;
    if (is_visible || !*ret_is_wanted)
        return 0;
    /* Something happened to it in the range, or it was there before that. */
    if (MAX(ent->create.epoch, ent->punch.epoch) >= MAX(lo, UINT64_C(1)))
        return 0;
    *ret_is_wanted = false;
    if (!tr->has_before)
        return 0;
    rc = vos_ilog_read(op, ilog, ilog_off, lo - 1, tr->punch_before, &before);
    *ret_is_wanted = before.is_visible;
    return rc;
}

static int
look_pool(struct vos_iter *it, struct vos_op *op, uint64_t rec, bool *ret_is_wanted)
{
    struct vos_pool_df *pool;
    int rc = vos_pool_get(op, rec, &pool);

    if (rc != 0)
        return rc;
    memcpy(&it->ent.uuid, pool->uuid, sizeof(it->ent.uuid));
    it->ent.state = VOS_ITER_VISIBLE;
    *ret_is_wanted = true;
    return 0;
}

static int
look_cont(struct vos_iter *it, struct vos_op *op, uint64_t rec, bool *ret_is_wanted)
{
    struct vos_cont_df *cont;
    int rc = vos_cont_get(op, rec, &cont);

    if (rc != 0)
        return rc;
    memcpy(&it->ent.uuid, cont->uuid, sizeof(it->ent.uuid));
    it->ent.state = VOS_ITER_VISIBLE;
    it->ent.agg_epoch = cont->agg_epoch;
    it->ent.cont = (struct vos_cont_info){.obj_nr = cont->obj_nr,
        .epoch_max = cont->epoch_max,
        .meta_used = cont->meta_used,
        .data_used = cont->data_used};
    *ret_is_wanted = cont->epoch_max >= it->args->lo;
    return 0;
}

static struct vos_oid
obj_oid(const struct vos_obj_df *obj)
{
    return (struct vos_oid){.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
        .shard = obj->shard,
        .layout_ver = obj->layout_ver};
}

static int
look_obj(struct vos_iter *it, struct vos_op *op, const struct tree *tr, uint64_t rec,
    bool *ret_is_wanted)
{
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, rec, &obj);

    *ret_is_wanted = false;
    if (rc != 0 || obj->epoch_max < it->args->lo)
        return rc;
    it->ent.oid = obj_oid(obj);
    it->ent.epoch_max = obj->epoch_max;
    return log_judge(it, op, tr, &obj->ilog, vos_obj_ilog_off(rec), ret_is_wanted);
}

static int
look_key(struct vos_iter *it, struct vos_op *op, const struct tree *tr, uint64_t rec,
    bool *ret_is_wanted)
{
    struct vos_key_df *key;
    int rc = vos_key_get(op, rec, &key);

    if (rc != 0)
        return rc;
    it->ent.key = vos_key_iov(key);
    if (it->args->type == VOS_ITER_AKEY) {
        it->ent.value_type = vos_akey_type(key);
        it->ent.rec_size = key->rec_size;
    }
    return log_judge(it, op, tr, &key->ilog, vos_key_ilog_off(rec), ret_is_wanted);
}

/* A record that was looked at, with its hkey, becomes the place. */
static int
place_take(struct vos_iter *it, const struct tree *tr, uint64_t rec, uint64_t hkey)
{
    struct vos_op *op = tr->t.op;
    struct vos_oid_bytes bytes;
    struct vos_key_df *key;
    struct vos_pool_df *pool;
    struct vos_cont_df *cont;
    struct vos_obj_df *obj;
    struct vos_oid oid;
    int rc;

    switch (it->args->type) {
    case VOS_ITER_POOL:
        rc = vos_pool_get(op, rec, &pool);
        if (rc == 0)
            vos_place_set(&it->place, hkey, pool->uuid, sizeof(pool->uuid));
        return rc;
    case VOS_ITER_CONT:
        rc = vos_cont_get(op, rec, &cont);
        if (rc == 0)
            vos_place_set(&it->place, hkey, cont->uuid, sizeof(cont->uuid));
        return rc;
    case VOS_ITER_OBJ:
        rc = vos_obj_get(op, rec, &obj);
        if (rc != 0)
            return rc;
        oid = obj_oid(obj);
        (void)vos_key_oid(op, &oid, &bytes);
        vos_place_set(&it->place, hkey, &bytes, sizeof(bytes));
        return 0;
    default:
        break;
    }
    rc = vos_key_get(op, rec, &key);
    if (rc == 0)
        vos_place_set(&it->place, hkey, key + 1, key->key_len);
    return rc;
}

/* ---- the tree of a level -------------------------------------------------------------------------------------------- */

/* Down to what is above the level, at op->epoch. */
static int
walk_down(struct vos_iter *it, struct vos_op *op, struct vos_walk *w)
{
    const struct vos_iter_args *args = it->args;
    int rc = vos_walk_obj(op, args->cont, &args->oid, false, w);

    if (rc == 0 && args->dkey.len > 0)
        rc = vos_walk_dkey(op, &args->dkey, false, w);
    if (rc == 0 && args->akey.len > 0)
        rc = vos_walk_akey(op, &args->akey, false, w);
    return rc;
}

/* The tree of objects or above. *ret_df NULL: there is none. */
static int
tree_above(struct vos_iter *it, struct vos_op *op, struct tree *tr, struct vos_tree_df **ret_df,
    uint64_t *ret_off)
{
    struct vos_tgt *tgt = it->tgt;
    struct vos_pool *pool;
    struct vos_root_df *root;
    struct vos_pool_df *prec;
    struct vos_cont_df *crec;
    int rc;

    *ret_df = NULL;
    switch (it->args->type) {
    case VOS_ITER_POOL:
        it->lsn = tgt->admin_lsn;
        tr->kind = &vos_kind_pool;
        *ret_off = tgt->root_off + offsetof(struct vos_root_df, pools);
        rc = vos_root(op, tgt, &root);
        if (rc == 0)
            *ret_df = &root->pools;
        return rc;
    case VOS_ITER_CONT:
        it->lsn = tgt->admin_lsn;
        tr->kind = &vos_kind_cont;
        pool = vos_pool_by_uuid(tgt, &it->args->pool);
        if (pool == NULL)
            return 0;
        *ret_off = pool->off + offsetof(struct vos_pool_df, conts);
        rc = vos_pool_get(op, pool->off, &prec);
        if (rc == 0)
            *ret_df = &prec->conts;
        return rc;
    default:
        it->lsn = it->args->cont->lsn_last;
        op->dtxs = it->args->cont->dtxs;
        tr->kind = &vos_kind_obj;
        *ret_off = it->args->cont->off + offsetof(struct vos_cont_df, objs);
        rc = vos_cont_get(op, it->args->cont->off, &crec);
        if (rc == 0)
            *ret_df = &crec->objs;
        return rc;
    }
}

static int
tree_find(struct vos_iter *it, struct vos_op *op, struct tree *tr, struct vos_tree_df **ret_df,
    uint64_t *ret_off)
{
    bool is_dkey = it->args->type == VOS_ITER_DKEY;
    struct vos_walk *w = &it->walk, before = *w;
    struct vos_level_pos *pos = is_dkey ? &w->o : &w->d;
    int rc;

    tr->has_before = (it->states & VOS_ITER_PUNCHED) != 0 && it->args->lo > 1;
    if (it->args->type < VOS_ITER_DKEY)
        return tree_above(it, op, tr, ret_df, ret_off);
    *ret_df = NULL;
    it->lsn = *vos_obj_lsn(it->tgt, w->h_obj);
    op->epoch = it->hi;
    rc = walk_down(it, op, w);
    if (rc != 0 || pos->off == 0 || (!pos->info.is_visible && (it->states & VOS_ITER_PUNCHED) == 0))
        return rc;
    tr->punch = pos->info.punch;
    if (tr->has_before) {
        op->epoch = it->args->lo - 1;
        rc = walk_down(it, op, &before);
        if (rc != 0)
            return rc;
        tr->punch_before = is_dkey ? before.o.info.punch : before.d.info.punch;
        op->epoch = it->hi;
    }
    tr->kind = is_dkey ? w->dkey_kind : w->akey_kind;
    tr->believes_plain = it->list != NULL && tr->kind->has_plain && tr->punch.epoch == 0 &&
        w->obj->epoch_max <= it->hi;
    *ret_df = is_dkey ? &w->obj->dkeys : &w->dkey->tree;
    *ret_off = is_dkey ? vos_obj_tree_off(pos->off) : vos_key_tree_off(pos->off);
    return 0;
}

static int
tree_look(struct vos_iter *it, struct vos_op *op, const struct tree *tr, uint64_t rec)
{
    bool is_wanted;
    int rc;

    switch (it->args->type) {
    case VOS_ITER_POOL:
        rc = look_pool(it, op, rec, &is_wanted);
        break;
    case VOS_ITER_CONT:
        rc = look_cont(it, op, rec, &is_wanted);
        break;
    case VOS_ITER_OBJ:
        rc = look_obj(it, op, tr, rec, &is_wanted);
        break;
    default:
        rc = look_key(it, op, tr, rec, &is_wanted);
    }
    it->ent.off = rec;
    if (rc == 0 && is_wanted)
        (void)vos_iter_give(it);
    return rc;
}

/* ---- listings: visible records, told by key alone ------------------------------------------------------------------- */

static void
list_give(struct vos_iter *it)
{
    it->is_stopped = !it->list->fn(it->list->arg, &it->entry);
    it->nr += !it->is_stopped;
}

/* As vos_ilog_read(); nearly all logs are plain. */
static inline int
list_is_visible(struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off, uint64_t hi,
    struct vos_epoch punch, bool *ret_is_visible)
{
    struct vos_ilog_info info;
    int rc;

    if (CAIRN_LIKELY(vos_ilog_is_plain(ilog))) {
        *ret_is_visible = ilog->epoch <= hi &&
            vos_epoch_gt((struct vos_epoch){ilog->epoch, (uint16_t)ilog->ent}, punch);
        return 0;
    }
    rc = vos_ilog_read(op, ilog, ilog_off, hi, punch, &info);
    *ret_is_visible = rc == 0 && info.is_visible;
    return rc;
}

static int
list_look(struct vos_iter *it, struct vos_op *op, const struct tree *tr, uint64_t rec)
{
    struct vos_key_df *key;
    struct vos_obj_df *obj;
    bool is_visible;
    int rc;

    if (it->args->type == VOS_ITER_OBJ) {
        rc = vos_obj_get(op, rec, &obj);
        if (rc != 0)
            return rc;
        rc = list_is_visible(op, &obj->ilog, vos_obj_ilog_off(rec), it->hi, tr->punch, &is_visible);
        it->entry.oid = obj_oid(obj);
    } else {
        rc = vos_key_get(op, rec, &key);
        if (rc != 0)
            return rc;
        rc = list_is_visible(op, &key->ilog, vos_key_ilog_off(rec), it->hi, tr->punch, &is_visible);
        it->entry.key = vos_key_iov(key);
    }
    if (rc == 0 && is_visible)
        list_give(it);
    return rc;
}

/* Plain entries at the head of a run: their keys lie in the leaf. Returns how many were told; *hkey is the last of them. */
static inline __attribute__((always_inline)) uint32_t
list_plain_of(struct vos_iter *it, const struct vos_btr_kind *kind, const struct vos_ent_df *ents,
    uint32_t ent_bytes, uint32_t nr, uint64_t *hkey)
{
    bool (*fn)(void *arg, const struct vos_entry *entry) = it->list->fn;
    const uint8_t *at = (const uint8_t *)ents;
    void *arg = it->list->arg;
    uint64_t last = *hkey, key;
    struct vos_entry entry = {.key = {.buf = &key}};
    uint32_t i;

    for (i = 0; i < nr; i++, at += ent_bytes) {
        const struct vos_ent_df *e = (const void *)at;

        if (!vos_ent_is_plain(e) || e->hkey < last)
            break;
        if (kind->id == VOS_TREE_KEY_UINT) {
            entry.key = (struct iov){(void *)(uintptr_t)&e->hkey, sizeof(e->hkey)};
        } else {
            entry.key.len = vos_ent_key_len(e);
            key = vos_key_of_ent(kind, e->hkey, (uint32_t)entry.key.len);
        }
        if (!fn(arg, &entry)) {
            it->is_stopped = true;
            break;
        }
        last = e->hkey;
    }
    it->nr += i;
    *hkey = last;
    return i;
}

static uint32_t
list_plain(struct vos_iter *it, const struct vos_btr_kind *kind, const struct vos_ent_df *ents,
    uint32_t nr, uint64_t *hkey)
{
    const uint32_t bytes = 16;

    return kind == &vos_kind_key_uint ? list_plain_of(it, &vos_kind_key_uint, ents, bytes, nr, hkey)
        : kind == &vos_kind_key_lex   ? list_plain_of(it, &vos_kind_key_lex, ents, bytes, nr, hkey)
                                    : list_plain_of(it, &vos_kind_key_hashed, ents, bytes, nr, hkey);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------- */

/* Where a walk stands within one run of its body. */
struct stand {
    uint64_t hkey; /* of what was looked at last, or the place */
    uint64_t last; /* record looked at last; 0: none */
    struct vos_ent_df told; /* its entry, when that alone was looked at; else `off` is 0 */
};

enum { AHEAD_BYTES = 48 }; /* of a record: log and a short key */

/* The entry will be looked at, with its record unless it tells all. */
static inline void
ent_ahead(const struct tree *tr, const struct vos_ent_df *e)
{
    const uint8_t *rec;

    if (tr->believes_plain && (e->off & VOS_ENT_PLAIN) != 0)
        return;
    rec = umem_peek(tr->t.op->um, vos_btr_ent_rec(tr->kind, e));
    if (rec != NULL) {
        vos_line_ahead(rec);
        vos_line_ahead(rec + AHEAD_BYTES - 1);
    }
}

static void
run_ahead(const struct tree *tr, const struct vos_ent_df *ents, uint32_t from, uint32_t nr)
{
    const uint8_t *at = (const uint8_t *)ents;

    for (uint32_t i = from; i < nr; i++) {
        ent_ahead(tr, (const void *)(at + (size_t)i * tr->kind->ent_bytes));
    }
}

/* A page is missing, of the record at hand or of what is below it: those of the records behind it that are looked at are read along. */
static void
run_miss_ahead(const struct tree *tr, const struct vos_ent_df *ents, uint32_t nr)
{
    const uint8_t *at = (const uint8_t *)ents;

    for (uint32_t i = 0; i < nr; i++, at += tr->kind->ent_bytes) {
        const struct vos_ent_df *e = (const void *)at;

        if (!tr->believes_plain || (e->off & VOS_ENT_PLAIN) == 0)
            umem_ahead(tr->t.op->um, vos_btr_ent_rec(tr->kind, e));
    }
}

enum { LEAF_HALF_NR = 16 }; /* entries of a leaf at about half of its capacity */

/* Leaves that what is left of the call but for `nr` may need. */
static uint32_t
leaves_left(const struct vos_iter *it, uint32_t nr)
{
    return (it->nr_max - it->nr - nr + LEAF_HALF_NR - 1) / LEAF_HALF_NR;
}

static int
one_look(struct vos_iter *it, struct vos_op *op, const struct tree *tr, uint64_t rec)
{
    return it->list != NULL ? list_look(it, op, tr, rec) : tree_look(it, op, tr, rec);
}

/* What comes behind the leaf: its entries are asked for early, and their records one for each that is looked at before. */
struct behind {
    const struct vos_ent_df *ents;
    uint32_t at, nr;
};

/* A record is looked at. Those of its leaf were asked for when the leaf before was looked at, or are now. */
static void
rec_ahead(const struct vos_iter *it, struct tree *tr, const struct vos_ent_df *ents, uint32_t at,
    uint32_t nr, struct behind *b)
{
    if (!tr->is_warm) {
        run_ahead(tr, ents, at, nr);
        tr->is_warm = true;
    }
    if (b->nr == UINT32_MAX) {
        b->nr = 0;
        b->ents = it->nr_max - it->nr > nr - at ? vos_btr_run_behind(&tr->t, &b->nr) : NULL;
    }
    if (b->at < b->nr)
        run_ahead(tr, b->ents, b->at, b->at + 1);
    b->at++;
}

static bool
is_told_alone(const struct tree *tr, const struct vos_ent_df *e)
{
    return tr->believes_plain && vos_ent_is_plain(e);
}

/* Entries of one leaf, as many as may be looked at now; the cursor goes behind the last one but one. */
static int
leaf_look(struct vos_iter *it, struct vos_op *op, struct tree *tr, struct stand *st)
{
    uint32_t nr, at = 0, ent_bytes = tr->kind->ent_bytes;
    const struct vos_ent_df *ents = vos_btr_run(&tr->t, &nr), *e = ents;
    struct behind b = {.nr = UINT32_MAX};
    int rc = 0;

    nr = MIN(nr, MIN(op->steps_left, it->nr_max - it->nr));
    vos_btr_ahead(&tr->t, leaves_left(it, nr), tr->is_first);
    while (rc == 0 && at < nr && !it->is_stopped) {
        e = (const void *)((const uint8_t *)ents + (size_t)at * ent_bytes);
        if (e->hkey < st->hkey) {
            rc = vos_bad(tr->t.df_off, "order of a tree"); /* ITR-4 */
            op->lost = NULL; /* there may be no end */
            break;
        }
        if (is_told_alone(tr, e)) {
            at += list_plain(it, tr->kind, e, nr - at, &st->hkey);
            continue;
        }
        rec_ahead(it, tr, ents, at, nr, &b);
        rc = one_look(it, op, tr, vos_btr_ent_rec(tr->kind, e));
        if (rc == -DER_AGAIN)
            run_miss_ahead(tr, e, nr - at);
        if (rc == 0 && !it->is_stopped) {
            st->hkey = e->hkey;
            at++;
        }
    }
    tr->is_warm = b.ents != NULL;
    if (tr->is_warm)
        run_ahead(tr, b.ents, b.at, b.nr);
    tr->is_first = false;
    op->steps_left -= at;
    if (at > 0) {
        e = (const void *)((const uint8_t *)ents + (size_t)(at - 1) * ent_bytes);
        vos_btr_skip(&tr->t, at - 1);
        st->last = vos_btr_rec(&tr->t);
        st->told = (struct vos_ent_df){.hkey = e->hkey, .off = is_told_alone(tr, e) ? e->off : 0};
    }
    return rc;
}

/* The only record of its tree. */
static int
single_rec_look(struct vos_iter *it, struct vos_op *op, const struct tree *tr, struct stand *st)
{
    uint64_t rec = vos_btr_rec(&tr->t);
    struct vos_ent_df ent;
    int rc = tr->kind->ent(op, rec, &ent);

    if (rc == 0)
        rc = one_look(it, op, tr, rec);
    if (rc != 0 || it->is_stopped)
        return rc;
    op->steps_left--;
    *st = (struct stand){.hkey = ent.hkey, .last = rec};
    return 0;
}

/* ---- damage that is passed over ------------------------------------------------------------------------------------- */

static void
iter_lost(struct vos_lost *lost, const struct vos_btr *t, uint64_t lo, uint64_t hi, int rc)
{
    const struct vos_iter *it = CAIRN_CONTAINER_OF(lost, struct vos_iter, lost);

    (void)t;
    it->args->lost_fn(it->args->arg, lo, hi, rc);
}

/* The record behind st->last, at the cursor or the next one, is damaged: go behind it, where the place is then. Errors: rc that may not be; NONEXIST. */
static int
record_pass(struct vos_iter *it, struct vos_btr *t, int rc, struct stand *st)
{
    uint64_t hkey = 0;
    int rc2;

    if (!vos_lost_may_pass(t->op, &rc) || it->lost.passed_nr == VOS_LOST_NR_MAX)
        return rc;
    it->lost.passed_nr++;
    if (st->last != 0 && vos_btr_rec(t) == st->last) {
        rc2 = vos_btr_next(t); /* in the same leaf */
        if (rc2 != 0)
            return rc2;
    }
    if (t->depth > 0)
        hkey = vos_btr_hkey(t);
    iter_lost(&it->lost, t, hkey, t->depth > 0 ? hkey : UINT64_MAX, rc);
    if (t->depth == 0 || hkey == UINT64_MAX)
        return -DER_NONEXIST;
    st->last = 0;
    vos_place_set(&it->place, hkey + 1, "", 0);
    return vos_btr_next(t);
}

/* What was looked at last becomes the place; no page is missing for that. */
static int
stand_take(struct vos_iter *it, const struct tree *tr, const struct stand *st)
{
    uint32_t len = vos_ent_key_len(&st->told);
    uint64_t key;

    if (st->told.off == 0)
        return place_take(it, tr, st->last, st->hkey);
    key = vos_key_of_ent(tr->kind, st->told.hkey, len);
    vos_place_set(&it->place, st->told.hkey, &key, len);
    return 0;
}

int
vos_iter_tree(struct vos_op *op, void *arg)
{
    struct vos_iter *it = arg;
    struct stand st = {.hkey = it->place.type == 0 ? 0 : it->place.hkey};
    struct tree tr = {.kind = NULL, .is_first = true};
    struct vos_tree_df *df;
    uint64_t df_off = 0;
    int rc, rc2;

    op->lost = NULL; /* what leads there is needed */
    rc = tree_find(it, op, &tr, &df, &df_off);
    if (rc != 0)
        return rc;
    if (df == NULL) {
        it->is_eof = true;
        return 0;
    }
    it->lost.fn = iter_lost;
    op->lost = it->args->lost_fn != NULL ? &it->lost : NULL;
    rc = vos_btr_init(&tr.t, op, tr.kind, df, df_off);
    if (rc == 0)
        rc = tree_seek(it, &tr.t);
    while (rc == 0 && it->nr < it->nr_max) {
        if (op->steps_left == 0) {
            rc = -DER_INPROGRESS;
            break;
        }
        rc = tr.t.depth > 0 ? leaf_look(it, op, &tr, &st) : single_rec_look(it, op, &tr, &st);
        if (CAIRN_UNLIKELY(rc != 0 && op->lost != NULL)) {
            rc = record_pass(it, &tr.t, rc, &st);
            continue;
        }
        if (rc != 0 || it->is_stopped)
            break;
        rc = vos_btr_next(&tr.t);
    }
    if (rc == -DER_AGAIN)
        vos_btr_miss_ahead(&tr.t, leaves_left(it, 0) + 1);
    if (st.last != 0) {
        rc2 = stand_take(it, &tr, &st);
        rc = rc2 != 0 ? rc2 : rc;
    }
    it->is_eof = rc == -DER_NONEXIST;
    return it->is_eof ? 0 : rc;
}

/* ---- single values -------------------------------------------------------------------------------------------------- */

int
vos_iter_version(struct vos_iter *it, struct vos_op *op, uint64_t off, bool is_ext)
{
    struct vos_iter_ent *ent = &it->ent;
    const uint8_t *rec;
    struct vos_ver ver;
    int rc = is_ext ? vos_ext_get(op, off, &ver) : vos_ver_get(op, off, &ver);

    if (rc == 0)
        rc = vos_ver_data(op, &ver);
    if (rc == 0)
        rc = vos_ptr(op, off, 1, &rec);
    if (rc != 0)
        return rc;
    if (is_ext)
        ent->ext = (struct recx){ver.lo, ver.hi - ver.lo + 1};
    ent->off = off;
    ent->epoch = ver.epoch;
    ent->minor = ver.minor;
    ent->dtx = ver.dtx;
    ent->is_hole = (ver.flags & VOS_VER_HOLE) != 0;
    ent->is_inline = (ver.flags & VOS_VER_INLINE) != 0;
    ent->csum_type = ver.csum.type;
    ent->csum_len = ver.csum.len;
    ent->csum_chunk_bits = ver.csum.chunk_bits;
    ent->pm_ver = ver.pm_ver;
    ent->csum_nr = ver.csum_nr;
    ent->csums = ver.csum_nr > 0 ? ver.csums : NULL;
    ent->data = ent->is_inline ? ver.data : NULL;
    ent->size = ver.logical_len;
    ent->stored_len = ver.stored_len;
    ent->gsize = ver.gsize;
    ent->addr = !ent->is_inline ? ver.addr
        : ver.apart != 0        ? ver.apart
                                : off + (uint64_t)(ver.data - rec);
    return 0;
}

/* The newest version at or below hi that is decided. *ret_top 0: none. */
static int
single_top(struct vos_iter *it, struct vos_btr *t, struct vos_epoch *ret_top)
{
    const struct vos_epoch newest = {it->hi, UINT16_MAX};
    struct vos_btr_key key = vos_key_epoch(&newest);
    bool sees = true;
    int rc = vos_btr_search_le(t, &key);

    *ret_top = (struct vos_epoch){0, 0};
    while (rc == 0) {
        rc = vos_iter_version(it, t->op, vos_btr_rec(t), false);
        if (rc == 0 && it->ent.dtx != 0)
            rc = vos_dtx_sees(t->op, it->ent.dtx, &sees);
        if (rc != 0)
            return rc;
        if (sees || it->ent.dtx == 0) {
            if (it->ent.epoch <= it->hi)
                *ret_top = (struct vos_epoch){it->ent.epoch, it->ent.minor};
            return 0;
        }
        rc = vos_btr_prev(t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

static int
single_seek(struct vos_iter *it, struct vos_btr *t)
{
    bool is_down = (it->args->flags & VOS_ITER_DESCENDING) != 0, exact;
    struct vos_epoch at = {is_down ? it->hi : it->args->lo, is_down ? UINT16_MAX : 0};
    struct vos_btr_key key = vos_key_epoch(&at);
    int rc;

    if (it->place.type != 0)
        at = (struct vos_epoch){it->place.hkey, le16_get(it->place.key)};
    key.hkey = at.epoch;
    rc = vos_btr_search(t, &key, &exact);
    if (rc != 0)
        return rc;
    if (is_down)
        return exact && it->place.type == 0 ? 0 : vos_btr_prev(t);
    return exact && it->place.type != 0 ? vos_btr_next(t) : vos_btr_settle(t);
}

static int
single_look(struct vos_iter *it, struct vos_op *op, uint64_t rec, struct vos_epoch top, bool *ret_end)
{
    struct vos_iter_ent *ent = &it->ent;
    uint8_t minor[2];
    int rc = vos_iter_version(it, op, rec, false);

    if (rc != 0)
        return rc;
    *ret_end = ent->epoch < it->args->lo || ent->epoch > it->hi;
    if (*ret_end)
        return 0;
    ent->state = VOS_ITER_COVERED;
    if (!vos_epoch_gt((struct vos_epoch){ent->epoch, ent->minor}, it->walk.a.info.punch)) {
        ent->state = VOS_ITER_PUNCHED;
    } else if (ent->epoch == top.epoch && ent->minor == top.minor)
        ent->state = VOS_ITER_VISIBLE;
    if ((it->states & ent->state) == 0 ||
        (ent->is_hole && (it->args->flags & VOS_ITER_HOLES) == 0) || vos_iter_give(it)) {
        le16_put(minor, ent->minor);
        vos_place_set(&it->place, ent->epoch, minor, sizeof(minor));
    }
    return 0;
}

static int
single_body(struct vos_op *op, void *arg)
{
    struct vos_iter *it = arg;
    struct vos_walk *w = &it->walk;
    struct vos_epoch top;
    bool is_end = false;
    struct vos_btr t;
    int rc;

    it->lsn = *vos_obj_lsn(it->tgt, w->h_obj);
    op->epoch = it->hi;
    rc = walk_down(it, op, w);
    if (rc != 0)
        return rc;
    if (w->a.off == 0 || vos_akey_type(w->akey) != VOS_IOD_SINGLE ||
        (!w->a.info.is_visible && (it->states & VOS_ITER_PUNCHED) == 0)) {
        it->is_eof = true;
        return 0;
    }
    rc = vos_btr_init(&t, op, &vos_kind_single, &w->akey->tree, vos_key_tree_off(w->a.off));
    if (rc == 0)
        rc = single_top(it, &t, &top);
    if (rc == 0)
        rc = single_seek(it, &t);
    while (rc == 0 && it->nr < it->nr_max) {
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = single_look(it, op, vos_btr_rec(&t), top, &is_end);
        if (rc == 0 && it->is_stopped)
            return 0;
        if (rc == 0 && is_end)
            rc = -DER_NONEXIST;
        if (rc == 0) {
            rc = (it->args->flags & VOS_ITER_DESCENDING) != 0 ? vos_btr_prev(&t) : vos_btr_next(&t);
        }
    }
    it->is_eof = rc == -DER_NONEXIST;
    return it->is_eof ? 0 : rc;
}

/* ---- logs ----------------------------------------------------------------------------------------------------------- */

static int
log_body(struct vos_op *op, void *arg)
{
    struct vos_iter *it = arg;
    const struct vos_iter_args *args = it->args;
    struct vos_walk *w = &it->walk;
    struct vos_level_pos *pos = args->akey.len > 0 ? &w->a : args->dkey.len > 0 ? &w->d : &w->o;
    uint64_t after = it->place.type != 0 ? it->place.hkey : args->lo == 0 ? 0 : args->lo - 1, off;
    struct vos_ilog_ent e;
    struct vos_ilog_df *ilog;
    int rc;

    it->lsn = *vos_obj_lsn(it->tgt, w->h_obj);
    op->epoch = it->hi;
    rc = walk_down(it, op, w);
    if (rc != 0)
        return rc;
    if (pos->off == 0) {
        it->is_eof = true;
        return 0;
    }
    off = pos == &w->o ? vos_obj_ilog_off(pos->off) : vos_key_ilog_off(pos->off);
    ilog = pos == &w->o ? &w->obj->ilog : pos == &w->d ? &w->dkey->ilog : &w->akey->ilog;
    while (it->nr < it->nr_max) {
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = vos_ilog_next(op, ilog, off, after, &e);
        if (rc != 0 || e.epoch > it->hi) {
            it->is_eof = rc == 0 || rc == -DER_NONEXIST;
            return it->is_eof ? 0 : rc;
        }
        it->ent.off = pos->off;
        it->ent.state = VOS_ITER_VISIBLE;
        it->ent.epoch = e.epoch;
        it->ent.create_minor = e.create;
        it->ent.punch_minor = e.punch;
        it->ent.dtx = e.lid;
        if (!vos_iter_give(it))
            return 0;
        after = e.epoch;
        vos_place_set(&it->place, after, "", 0);
    }
    return 0;
}

/* ---- iterating ------------------------------------------------------------------------------------------------------ */

static int
iter_check(struct vos_iter *it)
{
    const struct vos_iter_args *args = it->args;
    const uint32_t stampless = 1u << VOS_ITER_POOL | 1u << VOS_ITER_CONT | 1u << VOS_ITER_LOG;
    int rc = 0;

    if (args->type < VOS_ITER_POOL || args->type > VOS_ITER_LOG || args->fn == NULL ||
        args->lo > args->hi || args->flags >= VOS_ITER_STAMP << 1 ||
        ((args->flags & VOS_ITER_DESCENDING) != 0 && args->type != VOS_ITER_SINGLE) ||
        ((args->flags & VOS_ITER_STAMP) != 0 && (stampless >> args->type & 1) != 0) ||
        (args->type >= VOS_ITER_OBJ && args->cont == NULL))
        return CAIRN_ERR(INVAL);
    if (args->type >= VOS_ITER_DKEY)
        rc = vos_walk_init(&it->walk, args->cont, &args->oid);
    if (args->type == VOS_ITER_LOG) {
        if (rc == 0 && args->dkey.len > 0)
            rc = vos_key_check(it->walk.dkey_kind, &args->dkey);
        if (rc == 0 && args->akey.len > 0) {
            rc = args->dkey.len == 0 ? CAIRN_ERR(INVAL)
                                     : vos_key_check(it->walk.akey_kind, &args->akey);
        }
        return rc;
    }
    if (rc == 0 && args->type >= VOS_ITER_AKEY)
        rc = vos_key_check(it->walk.dkey_kind, &args->dkey);
    if (rc == 0 && args->type >= VOS_ITER_SINGLE)
        rc = vos_key_check(it->walk.akey_kind, &args->akey);
    return rc;
}

/* Keys that the type does not need are not looked at. */
static void
args_trim(struct vos_iter_args *args)
{
    if (args->type < VOS_ITER_AKEY)
        args->dkey.len = 0;
    if (args->type < VOS_ITER_SINGLE)
        args->akey.len = 0;
}

static int
iter_stamp(struct vos_iter *it, struct vos_op *op)
{
    const struct vos_iter_args *args = it->args;
    struct vos_cont *cont = args->cont;
    int rc;

    if ((args->flags & VOS_ITER_STAMP) == 0)
        return 0;
    rc = vos_epoch_read(it->tgt, args->hi, &it->hi);
    if (rc != 0)
        return rc;
    switch (args->type) {
    case VOS_ITER_OBJ:
        vos_ts_raise(&cont->read_epoch, &cont->read_tx, it->hi, 0);
        break;
    case VOS_ITER_DKEY:
        vos_ts_lo(&it->tgt->ts, VOS_TS_OBJ, it->walk.h_obj, it->hi, 0);
        break;
    default:
        vos_ts_hi(&it->tgt->ts, VOS_TS_OBJ, it->walk.h_obj, it->hi, 0);
        vos_ts_lo(&it->tgt->ts, VOS_TS_DKEY,
            vos_ts_hash(it->walk.h_obj, vos_key_bytes(op, it->walk.dkey_kind, &args->dkey).hkey),
            it->hi, 0);
    }
    return 0;
}

static int
iter_run(struct vos_iter *it, struct vos_op *op)
{
    switch (it->args->type) {
    case VOS_ITER_SINGLE:
        return vos_read_run(it->tgt, op, single_body, it);
    case VOS_ITER_EXTENT:
        return vos_iter_ext(it, op);
    case VOS_ITER_LOG:
        return vos_read_run(it->tgt, op, log_body, it);
    default:
        return vos_read_run(it->tgt, op, vos_iter_tree, it);
    }
}

int
vos_iter(struct vos_tgt *tgt, const struct vos_iter_args *given, struct vos_iter_anchor *anchor)
{
    struct vos_iter_args args = *given;
    struct vos_iter it = {.tgt = tgt,
        .args = &args,
        .hi = args.hi,
        .states = args.flags & STATES,
        .nr_max = args.nr_max == 0 ? NR_DEFAULT : args.nr_max};
    struct vos_op op;
    int rc, rc2;

    if (anchor->eof)
        return 0;
    args_trim(&args);
    it.states = it.states == 0 ? VOS_ITER_VISIBLE : it.states;
    rc = iter_check(&it);
    if (rc == 0)
        rc = anchor_load(&it, anchor);
    vos_op_init(&op, tgt);
    if (rc == 0)
        rc = iter_stamp(&it, &op);
    if (rc != 0)
        return rc;
    op.epoch = it.hi;
    rc = iter_run(&it, &op);
    rc2 = vos_wait(tgt, MAX(it.lsn, tgt->bound_lsn));
    anchor_store(&it, anchor);
    anchor->eof = rc == 0 && rc2 == 0 && it.is_eof;
    return rc != 0 ? rc : rc2;
}

/* ---- into an array -------------------------------------------------------------------------------------------------- */

struct fill {
    struct vos_iter_ent *ents;
    uint32_t nr, nr_max;
    uint8_t *buf;
    size_t left;
    bool is_short;
};

/* What an entry points to goes into the buffer. */
static const void *
fill_copy(struct fill *f, const void *from, size_t len)
{
    void *to = f->buf;

    if (from == NULL)
        return NULL;
    memcpy(to, from, len);
    f->buf += len;
    f->left -= len;
    return to;
}

static bool
fill_fn(void *arg, const struct vos_iter_ent *ent)
{
    struct fill *f = arg;
    size_t csum_len = ent->csums == NULL ? 0 : (size_t)ent->csum_nr * ent->csum_len;
    size_t data_len = ent->data == NULL ? 0 : ent->stored_len;
    struct vos_iter_ent *to = &f->ents[f->nr];

    if (f->nr == f->nr_max || ent->key.len + csum_len + data_len > f->left) {
        f->is_short = true;
        return false;
    }
    *to = *ent;
    to->key.buf =
        (void *)(uintptr_t)fill_copy(f, ent->key.len == 0 ? NULL : ent->key.buf, ent->key.len);
    to->csums = fill_copy(f, ent->csums, csum_len);
    to->data = fill_copy(f, ent->data, data_len);
    f->nr++;
    return true;
}

int
vos_iter_fill(struct vos_tgt *tgt, const struct vos_iter_args *args, struct vos_iter_anchor *anchor,
    struct vos_iter_ent *ents, uint32_t nr, void *buf, size_t buf_len, uint32_t *ret_nr)
{
    struct fill f = {.ents = ents, .nr_max = nr, .buf = buf, .left = buf_len};
    struct vos_iter_args a = *args;
    int rc;

    if (nr == 0)
        return CAIRN_ERR(INVAL);
    a.fn = fill_fn;
    a.lost_fn = NULL;
    a.arg = &f;
    a.nr_max = nr;
    rc = vos_iter(tgt, &a, anchor);
    if (rc == 0 && f.nr == 0 && f.is_short)
        rc = CAIRN_ERR(OVERFLOW);
    *ret_nr = f.nr;
    return rc;
}
