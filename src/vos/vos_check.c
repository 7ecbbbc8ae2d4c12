/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * vos_tgt_check(): walk every tree, record by record, in steps. The place in each tree on the way down is the last record looked at, found
 * again by its key after a pause, or when a page was not in memory. Nothing may change meanwhile; the collector waits.
 */
#include "base/codec.h"
#include "base/log.h"
#include "bio/bio_reach.h"
#include "vos/vos_csum.h"
#include "vos/vos_look.h"
#include "vos/vos_priv.h"

#include <inttypes.h>
#include <string.h>

enum {
    FRAMES_NR = 8,
    NOTES_NR_MAX = 128, /* blocks that one step finds: a client has the most, 65 */
};

struct frame {
    const struct vos_btr_kind *kind;
    uint64_t df_off;
    uint64_t last; /* record (hkey in a log) looked at last */
    uint64_t hkey; /* of it; UINT64_MAX: there is no other one */
    bool started;
    bool is_behind; /* it is damaged: go on behind its hkey */
    uint64_t owner; /* the container of a tree of objects, the pool of a tree of containers */
    uint64_t epoch_max; /* below objects: of the object */
};

struct check;

/* What a step that has to be done again does not take back. */
struct check_kept {
    struct vos_lost lost; /* told by trees; with is_all */
    struct check *c;
    void (*lost_fn)(void *arg, const struct vos_look_lost *lost);
    void *lost_arg;
    uint64_t lost_nr;
    int lost_rc; /* the first */
    bool is_lost; /* in this step */
    uint64_t lost_tree, lost_lo; /* told last */
    struct bio_reach *reach; /* NULL: not asked for */
    struct {
        uint64_t off, bytes; /* bytes 0: a block of the arena */
    } notes[NOTES_NR_MAX]; /* found in this step */
    uint32_t note_nr;
};

struct check {
    struct vos_tgt *tgt;
    struct check_kept *kept;
    uint32_t frame_nr;
    struct frame frames[FRAMES_NR];
    uint64_t gc_next, gc_nr;
    bool gc_started, is_done;
    int64_t meta, data, objs; /* of the container at hand */
    int64_t pool_meta; /* of the pool at hand, containers left out */
    int64_t data_total;
    bool in_cont;
    bool skip_counters; /* of the containers of a pool that is being collected */
    bool is_all; /* go on after damage */
    bool cont_is_bad, pool_is_bad; /* something is missing from what was counted */
    uint64_t bad_nr;
    int bad_rc; /* the first */
    struct vos_dtx_check dtx; /* of the container at hand */
};

union key_mem {
    struct vos_oid_bytes oid;
    struct vos_epoch epoch;
};

/* The key by which a record can be found again. */
static int
key_of(struct vos_op *op, const struct vos_btr_kind *kind, uint64_t rec, union key_mem *mem,
    struct vos_btr_key *ret_key)
{
    struct vos_obj_df *obj;
    struct vos_key_df *key;
    struct vos_ver ver;
    struct iov iov;
    const uint8_t *p;
    int rc;

    switch (kind->id) {
    case VOS_TREE_POOL:
    case VOS_TREE_CONT:
    case VOS_TREE_CLIENT:
        rc = vos_ptr(op, rec, 24, &p);
        if (rc == 0)
            *ret_key = (struct vos_btr_key){.hkey = be64_get(p + 8), .buf = p + 8, .len = 16};
        return rc;
    case VOS_TREE_OBJ:
        rc = vos_obj_get(op, rec, &obj);
        if (rc == 0) {
            struct vos_oid oid = {.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
                .shard = obj->shard,
                .layout_ver = obj->layout_ver};

            *ret_key = vos_key_oid(op, &oid, &mem->oid);
        }
        return rc;
    case VOS_TREE_SINGLE:
        rc = vos_ver_get(op, rec, &ver);
        if (rc == 0) {
            mem->epoch = vos_ver_epoch(&ver);
            *ret_key = vos_key_epoch(&mem->epoch);
        }
        return rc;
    case VOS_TREE_EXT:
        rc = vos_ext_get(op, rec, &ver);
        if (rc == 0) {
            mem->epoch = vos_ver_epoch(&ver);
            *ret_key =
                (struct vos_btr_key){.hkey = ver.lo, .buf = &mem->epoch, .len = sizeof(mem->epoch)};
        }
        return rc;
    case VOS_TREE_ILOG:
        *ret_key = (struct vos_btr_key){.hkey = rec};
        return 0;
    default:
        rc = vos_key_get(op, rec, &key);
        if (rc == 0) {
            iov = vos_key_iov(key);
            *ret_key = vos_key_bytes(op, kind, &iov);
        }
        return rc;
    }
}

static void
push(struct check *c, const struct vos_btr_kind *kind, uint64_t df_off, uint64_t owner)
{
    CAIRN_ASSERT(c->frame_nr < FRAMES_NR);
    c->frames[c->frame_nr] = (struct frame){.kind = kind, .df_off = df_off, .owner = owner};
    if (c->frame_nr > 0)
        c->frames[c->frame_nr].epoch_max = c->frames[c->frame_nr - 1].epoch_max;
    c->frame_nr++;
}

/* Something refers to it: counted when the step is done. */
static void
note(struct check *c, uint64_t off, uint64_t bytes)
{
    struct check_kept *k = c->kept;

    if (k->reach == NULL)
        return;
    CAIRN_ASSERT(k->note_nr < NOTES_NR_MAX);
    k->notes[k->note_nr].off = off;
    k->notes[k->note_nr++].bytes = bytes;
}

/* A block of len bytes that the record at hand owns. */
static int
charge(struct check *c, struct vos_op *op, uint64_t off, uint32_t len)
{
    uint32_t bytes = umem_block_bytes(op->um, off);

    if (bytes < len)
        return vos_bad(off, "block of a record");
    note(c, off, 0);
    if (c->in_cont) {
        c->meta += len;
    } else {
        c->pool_meta += len;
    }
    return 0;
}

/* Nodes that begin with the entry at the cursor. */
static int
charge_nodes(struct check *c, struct vos_btr *t)
{
    for (uint32_t i = t->depth; i-- > 0;) {
        uint32_t bytes = vos_btr_node_bytes(t->kind, t->path[i].node->cap);
        int rc;

        if (t->path[i].idx > 0)
            break;
        rc = charge(c, t->op, t->path[i].off, bytes);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int
check_version(struct check *c, struct vos_op *op, uint64_t rec)
{
    struct vos_ver ver;
    int rc = vos_ver_get(op, rec, &ver);

    if (rc == 0)
        rc = vos_ver_data(op, &ver); /* before anything is counted */
    if (rc == 0)
        rc = charge(c, op, rec, ver.bytes);
    if (rc == 0 && ver.apart != 0)
        rc = charge(c, op, ver.apart, ver.stored_len);
    if (rc != 0)
        return rc;
    if ((ver.flags & VOS_VER_INLINE) != 0 &&
        !csum_is_good(ver.csum.type, ver.data, ver.stored_len, ver.csums)) {
        LOG_WARN("metadata arena: checksum of a value does not match at offset %#" PRIx64, rec);
        return CAIRN_ERR(CSUM);
    }
    c->data += (int64_t)vos_ver_ext_bytes(&ver);
    if (vos_ver_ext_bytes(&ver) > 0)
        note(c, ver.addr, vos_ver_ext_bytes(&ver));
    return vos_dtx_check_mark(&c->dtx, ver.dtx, rec);
}

/* A log: its only entry is here, or its tree is looked at. */
static int
check_log(struct check *c, const struct vos_ilog_df *ilog, uint64_t ilog_off)
{
    if (vos_ilog_depth(ilog) > 0) {
        push(c, &vos_kind_ilog, ilog_off, 0);
        return 0;
    }
    return vos_dtx_check_mark(&c->dtx, (uint32_t)(ilog->ent >> 32), ilog_off);
}

/* A dkey's block, and whether its room is free or holds an akey; an akey inside has no block. */
static int
check_room(struct check *c, struct vos_op *op, uint64_t rec, const struct vos_key_df *key)
{
    const struct vos_key_df *in;

    if ((key->flags & VOS_KEY_INSIDE) != 0)
        return umem_block_bytes(op->um, rec) == 0 ? 0 : vos_bad(rec, "akey inside of a dkey");
    if (key->magic == VOS_DKEY_MAGIC && key->room != 0) {
        in = (const void *)((const uint8_t *)key + vos_key_room_at(key));
        if (in->magic != 0 &&
            (in->magic != VOS_AKEY_MAGIC || (in->flags & VOS_KEY_INSIDE) == 0 ||
                sizeof(*in) + in->key_len > key->room))
            return vos_bad(rec, "room of a dkey");
    }
    return charge(c, op, rec, vos_key_block_bytes(key));
}

static int
check_key(struct check *c, struct vos_op *op, const struct vos_btr_kind *kind, uint64_t rec)
{
    static const struct vos_btr_kind *const below[] = {&vos_kind_key_hashed, &vos_kind_key_uint,
        &vos_kind_key_lex, &vos_kind_single, &vos_kind_ext};
    const struct vos_btr_kind *sub = NULL;
    struct vos_key_df *key;
    int rc = vos_key_get(op, rec, &key);

    (void)kind;
    if (rc == 0)
        rc = check_room(c, op, rec, key);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
        sub = below[i]->id == key->tree.id ? below[i] : sub;
    }
    if (sub == NULL && !vos_btr_is_empty(&key->tree))
        return vos_bad(rec, "tree of a key");
    if (sub != NULL)
        push(c, sub, vos_key_tree_off(rec), 0);
    return check_log(c, &key->ilog, vos_key_ilog_off(rec));
}

/* VOS_ENT_PLAIN says what the log says. */
static int
check_plain(const struct frame *f, struct vos_btr *t)
{
    uint64_t bits = vos_btr_plain_bits(t);
    struct vos_key_df *key;
    int rc;

    if (bits == 0)
        return 0;
    rc = vos_key_get(t->op, vos_btr_rec(t), &key);
    if (rc == 0 &&
        (bits != vos_key_plain_bits(t->op, t->kind, key->key_len) ||
            !vos_ilog_is_plain(&key->ilog) || key->ilog.epoch > f->epoch_max))
        rc = vos_bad(vos_btr_rec(t), "plain entry of a key");
    return rc;
}

static int
check_obj(struct check *c, struct vos_op *op, uint64_t rec)
{
    const struct vos_btr_kind *kind;
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, rec, &obj);

    if (rc == 0)
        rc = charge(c, op, rec, sizeof(*obj));
    if (rc == 0 && vos_kind_of_dkey((struct oid){.lo = obj->oid_lo, .hi = obj->oid_hi}, &kind) != 0)
        rc = vos_bad(rec, "object type");
    if (rc != 0)
        return rc;
    c->objs++;
    push(c, kind, vos_obj_tree_off(rec), 0);
    c->frames[c->frame_nr - 1].epoch_max = obj->epoch_max;
    return check_log(c, &obj->ilog, vos_obj_ilog_off(rec));
}

static int
check_client(struct check *c, struct vos_op *op, uint64_t rec)
{
    struct vos_client_df *client;
    struct vos_slots_df *slots;
    int rc = vos_client_get(op, rec, &client);

    if (rc == 0)
        rc = charge(c, op, rec, sizeof(*client));
    for (uint32_t i = 0; rc == 0 && i < VOS_SLOT_GROUPS_NR_MAX; i++) {
        if (client->groups[i] == 0)
            continue;
        rc = vos_slots_get(op, client->groups[i], &slots);
        if (rc == 0)
            rc = charge(c, op, client->groups[i], sizeof(*slots));
    }
    return rc;
}

/* The table of transactions comes before the objects with their marks. */
static void
cont_begin(struct check *c, uint64_t rec, const struct vos_cont_df *cont)
{
    note(c, rec, 0);
    c->in_cont = true;
    c->cont_is_bad = false;
    c->meta = sizeof(struct vos_cont_df);
    c->data = c->objs = 0;
    vos_dtx_check_fini(&c->dtx);
    c->dtx = (struct vos_dtx_check){.heap = &c->tgt->heap, .with_marks = !c->gc_started};
    push(c, &vos_kind_obj, rec + offsetof(struct vos_cont_df, objs), rec);
    if (cont->dtx != 0)
        push(c, NULL, cont->dtx, rec);
}

static int
check_pool(struct check *c, struct vos_op *op, uint64_t rec)
{
    c->pool_meta = 0;
    c->pool_is_bad = false;
    push(c, &vos_kind_client, rec + offsetof(struct vos_pool_df, clients), 0);
    push(c, &vos_kind_cont, rec + offsetof(struct vos_pool_df, conts), rec);
    return charge(c, op, rec, sizeof(struct vos_pool_df));
}

static int
check_record(struct check *c, struct vos_op *op, const struct vos_btr_kind *kind, uint64_t rec)
{
    struct vos_cont_df *cont;
    int rc;

    switch (kind->id) {
    case VOS_TREE_POOL:
        return check_pool(c, op, rec);
    case VOS_TREE_CONT:
        rc = vos_cont_get(op, rec, &cont);
        if (rc == 0)
            cont_begin(c, rec, cont);
        return rc;
    case VOS_TREE_OBJ:
        return check_obj(c, op, rec);
    case VOS_TREE_SINGLE:
    case VOS_TREE_EXT:
        return check_version(c, op, rec);
    case VOS_TREE_CLIENT:
        return check_client(c, op, rec);
    case VOS_TREE_ILOG:
        return vos_dtx_check_mark(&c->dtx, (uint32_t)(rec >> 32), rec);
    default:
        return check_key(c, op, kind, rec);
    }
}

/* The end of a tree: do the counters of its owner agree? */
static int
check_end(struct check *c, struct vos_op *op, const struct frame *f)
{
    struct vos_cont_df *cont;
    int rc;

    if (f->kind->id != VOS_TREE_OBJ)
        return 0;
    rc = vos_cont_get(op, f->owner, &cont);
    if (rc != 0)
        return rc;
    c->in_cont = false;
    c->data_total += c->data;
    if (c->dtx.with_marks && c->dtx.left != 0 && !c->cont_is_bad)
        return vos_bad(f->owner, "marks of transactions");
    if (c->skip_counters || c->cont_is_bad)
        return 0;
    if ((uint64_t)c->meta != cont->meta_used || (uint64_t)c->data != cont->data_used ||
        (c->gc_started ? false : (uint64_t)c->objs != cont->obj_nr)) {
        LOG_WARN("container at %#" PRIx64 ": counted %" PRIi64 " metadata, %" PRIi64
                 " data, %" PRIi64 " objects; stored %" PRIu64 ", %" PRIu64 ", %" PRIu64,
            f->owner, c->meta, c->data, c->objs, cont->meta_used, cont->data_used, cont->obj_nr);
        return vos_bad(f->owner, "counters of a container");
    }
    return 0;
}

/* The pools' own share: checked when the walk is back at the tree of pools. */
static int
check_pool_end(struct check *c, struct vos_op *op, uint64_t rec)
{
    struct vos_pool_df *pool;
    int rc = vos_pool_get(op, rec, &pool);

    if (rc != 0)
        return rc;
    return c->pool_is_bad || (uint64_t)c->pool_meta == pool->meta_used
        ? 0
        : vos_bad(rec, "counter of a pool");
}

/* The record at the cursor comes after the one with this key: a walk over damaged nodes has an end (ST-9). */
static int
check_order(struct vos_btr *t, const struct vos_btr_key *before)
{
    uint64_t hkey = vos_btr_hkey(t);
    int cmp = 0, rc = 0;

    if (hkey == before->hkey && !t->kind->is_inline)
        rc = t->kind->cmp(t->op, before, vos_btr_rec(t), &cmp);
    if (rc != 0)
        return rc;
    return hkey > before->hkey || cmp < 0 ? 0 : vos_bad(t->df_off, "order of a tree");
}

static int
check_dtx(struct check *c, struct vos_op *op, const struct frame *f)
{
    uint64_t off;
    uint32_t bytes;
    int rc = vos_dtx_check_step(op, &c->dtx, f->df_off, &off, &bytes);

    if (rc == -DER_NONEXIST) {
        c->frame_nr--;
        return 0;
    }
    return rc != 0 || bytes == 0 ? rc : charge(c, op, off, bytes);
}

/* To the first record whose hkey is larger. */
static int
seek_behind(struct vos_btr *t, uint64_t hkey)
{
    const union key_mem none = {.epoch = {0, 0}};
    bool is_bytes = t->kind->id == VOS_TREE_KEY_HASHED || t->kind->id == VOS_TREE_KEY_UINT ||
        t->kind->id == VOS_TREE_KEY_LEX;
    struct vos_btr_key key = {
        .hkey = hkey + 1, .buf = &none, .len = is_bytes ? 0 : (uint32_t)sizeof(none)};
    bool exact;
    int rc;

    if (hkey == UINT64_MAX)
        return -DER_NONEXIST;
    rc = vos_btr_search(t, &key, &exact);
    if (rc == 0)
        rc = vos_btr_settle(t);
    return rc != 0 || vos_btr_hkey(t) > hkey ? rc : vos_bad(t->df_off, "order of a tree");
}

/* One record of the topmost tree. */
static int
check_step(struct check *c, struct vos_op *op)
{
    struct frame *f = &c->frames[c->frame_nr - 1];
    struct check saved = *c;
    struct vos_tree_df *df;
    struct vos_btr_key key;
    union key_mem mem;
    struct vos_btr t;
    bool exact = true;
    int rc;

    if (f->kind == NULL)
        return check_dtx(c, op, f);
    rc = vos_ptr(op, f->df_off, sizeof(*df), &df);
    if (rc == 0)
        rc = vos_btr_init(&t, op, f->kind, df, f->df_off);
    if (rc == 0 && !f->started) {
        rc = vos_btr_first(&t);
    } else if (rc == 0 && f->is_behind) {
        rc = seek_behind(&t, f->hkey);
    } else if (rc == 0) {
        if (f->kind->id == VOS_TREE_POOL)
            rc = check_pool_end(c, op, f->last);
        if (rc == 0)
            rc = key_of(op, f->kind, f->last, &mem, &key);
        if (rc == 0)
            rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = exact ? vos_btr_next(&t) : vos_bad(f->df_off, "order of a tree");
        if (rc == 0)
            rc = check_order(&t, &key);
    }
    if (rc == -DER_NONEXIST) {
        c->frame_nr--;
        rc = check_end(c, op, f);
    } else if (rc == 0) {
        f->started = true;
        f->is_behind = false;
        f->hkey = t.depth > 0 ? vos_btr_hkey(&t) : UINT64_MAX;
        f->last = f->kind->id == VOS_TREE_ILOG ? vos_btr_hkey(&t) : vos_btr_rec(&t);
        rc = vos_btr_check_at(&t);
        if (rc == 0)
            rc = charge_nodes(c, &t);
        if (rc == 0)
            rc = check_plain(f, &t);
        if (rc == 0)
            rc = check_record(c, op, f->kind, vos_btr_rec(&t));
    }
    if (rc == -DER_AGAIN)
        *c = saved;
    return rc;
}

/* What waits for the collector. */
static int
check_gc_next(struct check *c, struct vos_op *op)
{
    struct umem_stats stats;
    struct vos_root_df *root;
    struct vos_cont_df *cont;
    struct vos_gc_df *gc;
    int rc = vos_root(op, c->tgt, &root);

    if (rc != 0)
        return rc;
    if (!c->gc_started) {
        c->gc_started = true;
        c->gc_next = root->gc_head;
    }
    if (c->gc_next == 0) {
        c->is_done = true;
        return 0;
    }
    rc = vos_ptr(op, c->gc_next, sizeof(*gc), &gc);
    if (rc != 0)
        return rc;
    umem_stats_get(op->um, &stats);
    if (gc->magic != VOS_GC_MAGIC || umem_block_bytes(op->um, c->gc_next) < sizeof(*gc) ||
        c->gc_nr++ > stats.arena_bytes / sizeof(*gc)) /* a ring */
        return vos_bad(c->gc_next, "collector's queue");
    c->skip_counters = gc->id == VOS_TREE_POOL;
    if (gc->id == VOS_TREE_CONT) {
        rc = vos_cont_get(op, gc->rec, &cont);
        if (rc == 0)
            cont_begin(c, gc->rec, cont);
    } else if (gc->id == VOS_TREE_POOL) {
        rc = check_pool(c, op, gc->rec);
    } else {
        rc = vos_bad(c->gc_next, "collector's queue");
    }
    if (rc == 0) {
        note(c, c->gc_next, 0);
        c->gc_next = gc->next;
    }
    return rc;
}

/* ---- damage --------------------------------------------------------------------------------------------------------- */

/* Where a tree lies: the records on the way down that can be read say it. */
static void
lost_place(const struct check *c, struct vos_op *op, struct vos_look_lost *l)
{
    for (uint32_t i = 0; i < c->frame_nr; i++) {
        const struct frame *f = &c->frames[i];
        const uint8_t *rec;
        struct vos_obj_df *obj;
        struct vos_key_df *key;

        if (i + 1 == c->frame_nr) {
            l->kind = f->kind == NULL ? 0 : f->kind->id;
            return;
        }
        if (f->kind == NULL || !f->started)
            continue;
        switch (f->kind->id) {
        case VOS_TREE_POOL:
        case VOS_TREE_CONT:
            if (vos_ptr(op, f->last, 24, &rec) == 0)
                memcpy(f->kind->id == VOS_TREE_POOL ? l->pool.b : l->cont.b, rec + 8, 16);
            break;
        case VOS_TREE_OBJ:
            l->has_obj = vos_obj_get(op, f->last, &obj) == 0;
            if (l->has_obj) {
                l->oid = (struct vos_oid){.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
                    .shard = obj->shard,
                    .layout_ver = obj->layout_ver};
            }
            break;
        case VOS_TREE_KEY_HASHED:
        case VOS_TREE_KEY_UINT:
        case VOS_TREE_KEY_LEX:
            if (vos_key_get(op, f->last, &key) != 0)
                break;
            if (key->magic == VOS_DKEY_MAGIC) {
                l->dkey = vos_key_iov(key);
            } else {
                l->akey = vos_key_iov(key);
            }
            break;
        default:
            break;
        }
    }
}

static void
check_lost(struct vos_lost *lost, const struct vos_btr *t, uint64_t lo, uint64_t hi, int rc)
{
    struct check_kept *k = CAIRN_CONTAINER_OF(lost, struct check_kept, lost);
    struct vos_look_lost l = {.tree_off = t->df_off, .lo = lo, .hi = hi, .rc = rc};

    k->is_lost = true;
    if (k->lost_nr > 0 && k->lost_tree == t->df_off && lo <= k->lost_lo)
        return; /* the step is done again */
    k->lost_nr++;
    k->lost_rc = k->lost_rc != 0 ? k->lost_rc : rc;
    k->lost_tree = t->df_off;
    k->lost_lo = lo;
    lost_place(k->c, t->op, &l);
    if (k->lost_fn != NULL)
        k->lost_fn(k->lost_arg, &l);
}

/* Is it damage, and to be gone on after? */
static bool
may_pass(struct check *c, int rc)
{
    if (!c->is_all || (rc != -DER_DF_INVAL && rc != -DER_CSUM && rc != -DER_NVME_IO) ||
        bio_status(c->tgt->bio) != 0)
        return false;
    c->bad_nr++;
    c->bad_rc = c->bad_rc != 0 ? c->bad_rc : rc;
    c->cont_is_bad = c->pool_is_bad = true;
    return true;
}

/* Leave the rest of the topmost tree, where the next record cannot be found. */
static void
tree_leave(struct check *c)
{
    if (c->frame_nr == 0) {
        c->is_done = true; /* the queue of the collector */
        return;
    }
    if (c->frames[c->frame_nr - 1].kind != NULL && c->frames[c->frame_nr - 1].kind->id == VOS_TREE_OBJ)
        c->in_cont = false;
    c->frame_nr--;
}

/* A damaged record: what lies below it was not looked at. */
static void
record_lost(struct check *c, struct vos_op *op, struct frame *f, int rc)
{
    struct vos_look_lost l = {.tree_off = f->df_off, .lo = f->hkey, .hi = f->hkey, .rc = rc};

    f->is_behind = true;
    if (f->kind->id == VOS_TREE_SINGLE || f->kind->id == VOS_TREE_EXT || c->kept->lost_fn == NULL)
        return; /* versions were told */
    lost_place(c, op, &l);
    c->kept->lost_fn(c->kept->lost_arg, &l);
}

/* The step is over: what it found counts. Errors: those of bio_reach_block(). */
static int
step_end(struct check *c, int step_rc)
{
    struct check_kept *k = c->kept;
    int rc = step_rc;

    if (k->is_lost)
        c->cont_is_bad = c->pool_is_bad = true;
    k->is_lost = false;
    for (uint32_t i = 0; i < k->note_nr; i++) {
        int rc2 = k->notes[i].bytes == 0
            ? bio_reach_block(k->reach, k->notes[i].off)
            : bio_reach_ext(k->reach, k->notes[i].off, k->notes[i].bytes);

        if (rc2 == -DER_NOMEM)
            return rc2;
        rc = rc != 0 ? rc : rc2;
    }
    return rc;
}

static int
check_body(struct vos_op *op, void *arg)
{
    struct check *c = arg;
    int rc = 0;

    while (rc == 0 && !c->is_done) {
        struct check before = *c;
        struct frame *f = &c->frames[c->frame_nr - (c->frame_nr > 0)];
        bool is_counted;

        if (op->steps_left-- == 0)
            return -DER_INPROGRESS;
        c->kept->note_nr = 0;
        rc = c->frame_nr > 0 ? check_step(c, op) : check_gc_next(c, op);
        if (rc == -DER_AGAIN)
            (void)vos_lost_may_pass(op, &rc); /* a page that is known not to be had */
        if (rc == -DER_AGAIN)
            continue;
        is_counted = rc == 0;
        rc = step_end(c, rc);
        if (rc == 0 || !may_pass(c, rc))
            continue;
        rc = 0;
        if (is_counted)
            continue; /* a block that somebody else has, too */
        c->frame_nr = before.frame_nr;
        /* When it is the record that is bad, and not what leads to it, the next one follows. */
        if (c->frame_nr == 0 || !f->started ||
            (before.frames[c->frame_nr - 1].started &&
                before.frames[c->frame_nr - 1].last == f->last)) {
            tree_leave(c);
        } else if (f->kind != NULL && !f->kind->is_inline)
            record_lost(c, op, f, c->bad_rc);
    }
    return rc;
}

/* Both allocators against what was found. */
static int
leaks_check(struct check *c)
{
    struct bio_reach_sum sum;
    bool is_whole = c->bad_nr == 0 && c->kept->lost_nr == 0;
    int rc = bio_reach_end(c->kept->reach, is_whole, &sum);

    if (rc == -DER_NOMEM)
        return rc;
    if (sum.blocks_nr > 0 || sum.data_bytes > 0) {
        LOG_WARN("nothing refers to %" PRIu64 " blocks of the arena, %" PRIu64
                 " bytes, nor to %" PRIu64 " bytes of the data role, which are allocated%s",
            sum.blocks_nr, sum.block_bytes, sum.data_bytes,
            is_whole ? "" : ": what lies behind the damage, or leaks");
    }
    if (rc != 0 && !may_pass(c, rc))
        return rc;
    return 0;
}

static int
check_run(struct check *c)
{
    struct vos_tgt *tgt = c->tgt;
    struct bio_space space;
    struct vos_op op;
    int rc;

    vos_op_init(&op, tgt);
    c->kept->c = c;
    c->kept->lost.fn = check_lost;
    op.lost = c->is_all ? &c->kept->lost : NULL;
    push(c, &vos_kind_pool, tgt->root_off + offsetof(struct vos_root_df, pools), 0);
    tgt->checks_nr++;
    while (tgt->gc_busy) {
        ult_cond_wait(&tgt->gc_moved, NULL);
    }
    while ((rc = vos_read_run(tgt, &op, check_body, c)) != 0 && may_pass(c, rc)) {
        tree_leave(c); /* a page that cannot be had */
    }
    vos_dtx_check_fini(&c->dtx);
    if (--tgt->checks_nr == 0)
        ult_cond_broadcast(&tgt->gc_wake);
    if (rc != 0)
        return rc;
    bio_space_get(tgt->bio, &space);
    if (c->bad_nr == 0 && c->kept->lost_nr == 0 &&
        (uint64_t)c->data_total > space.data_total - space.data_free) {
        LOG_WARN("index holds %" PRIi64 " bytes of the data role, of which only %" PRIu64
                 " are allocated",
            c->data_total, space.data_total - space.data_free);
        return CAIRN_ERR(DF_INVAL);
    }
    if (c->kept->reach != NULL)
        rc = leaks_check(c);
    return rc != 0 ? rc : c->bad_rc != 0 ? c->bad_rc : c->kept->lost_rc;
}

int
vos_tgt_check(struct vos_tgt *tgt)
{
    struct check_kept kept = {.lost_nr = 0};
    struct check c = {.tgt = tgt, .kept = &kept};

    return check_run(&c);
}

int
vos_look_check(struct vos_tgt *tgt, void (*lost_fn)(void *arg, const struct vos_look_lost *lost),
    void *arg, uint64_t *ret_bad_nr)
{
    struct check_kept kept = {
        .lost_fn = lost_fn, .lost_arg = arg, .reach = bio_reach_create(tgt->bio)};
    struct check c = {.tgt = tgt, .kept = &kept, .is_all = true};
    int rc = kept.reach == NULL ? CAIRN_ERR(NOMEM) : check_run(&c);

    bio_reach_free(kept.reach);
    *ret_bad_nr = c.bad_nr + kept.lost_nr + (rc != 0 && c.bad_rc == 0 && kept.lost_rc == 0);
    return rc;
}
