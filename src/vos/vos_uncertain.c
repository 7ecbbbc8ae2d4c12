/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Uncertainty of clocks. Who begins at `epoch`, by a clock of his own, may have begun after a change that got an epoch in (epoch, epoch_bound], by a clock that is ahead of his: it must not
 * be passed over. Such a change is looked for in the index, where all versions are, prepared ones too; nothing is kept for it in memory, so that a restart changes nothing.
 *
 *   UNC-1  An operation with epoch < epoch_bound answers TX_RESTART when a change in (epoch, epoch_bound] is one that it would see (or write over) at a later epoch. It begins
 *          anew at a higher epoch with the same bound; one at the bound is certain, so that this comes to an end.
 *   UNC-2  Where more than VOS_UNCERTAIN_LOOKS_NR records of one thing (entries of a log, nodes with extents of these epochs) would have to be looked at it errs on that side.
 *
 * Punches need no look: TS-2 refuses them when anything below was changed at their epoch or later. Tested by the matrix, test/vos_matrix_test.c.
 */
#include "vos/vos_dtx.h"
#include "vos/vos_priv.h"

enum { VOS_UNCERTAIN_LOOKS_NR = 512 };

/* What is looked for. */
struct span {
    uint64_t lo, hi; /* epochs above lo, up to hi */
    bool is_open; /* something undecided is above lo: the newest epochs of what holds it do not tell */
    uint32_t looks_left;
    bool is_found;
};

/* Whether something whose newest decided change is this may have been changed above lo. */
static bool
may_be_newer(const struct span *s, uint64_t epoch_max)
{
    return s->is_open || epoch_max > s->lo;
}

static struct span
span_of(const struct vos_uncertain *u)
{
    return (struct span){.lo = u->epoch,
        .hi = u->bound,
        .is_open = vos_dtx_is_after(u->cont, u->epoch),
        .looks_left = VOS_UNCERTAIN_LOOKS_NR};
}

/* One more record. False: enough. */
static bool
look_more(struct span *s)
{
    if (s->looks_left == 0) {
        s->is_found = true; /* UNC-2 */
        return false;
    }
    s->looks_left--;
    return !s->is_found;
}

static int
log_look(struct vos_op *op, struct span *s, struct vos_ilog_df *ilog, uint64_t ilog_off,
    bool punches_only)
{
    struct vos_ilog_ent e = {.epoch = s->lo};

    while (look_more(s)) {
        int rc = vos_ilog_next(op, ilog, ilog_off, e.epoch, &e);

        if (rc != 0)
            return rc == -DER_NONEXIST ? 0 : rc;
        if (e.epoch > s->hi)
            return 0;
        s->is_found = s->is_found || !punches_only || e.punch != 0;
    }
    return 0;
}

static int
single_look(struct vos_op *op, struct span *s, struct vos_key_df *akey, uint64_t off)
{
    const struct vos_epoch newest = {s->hi, UINT16_MAX};
    struct vos_btr_key key = vos_key_epoch(&newest);
    struct vos_ver ver;
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, &vos_kind_single, &akey->tree, vos_key_tree_off(off));

    if (rc == 0)
        rc = vos_btr_search_le(&t, &key);
    if (rc == 0)
        rc = vos_ver_get(op, vos_btr_rec(&t), &ver);
    if (rc == 0)
        s->is_found = s->is_found || (ver.epoch > s->lo && ver.epoch <= s->hi);
    return rc == -DER_NONEXIST ? 0 : rc;
}

/* Extents that overlap [lo, hi], depth first, with t.path as the stack. */
static int
ext_look(struct vos_op *op, struct span *s, struct vos_key_df *akey, uint64_t off, uint64_t lo,
    uint64_t hi)
{
    struct vos_ver ext;
    uint32_t i = 0;
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(off));

    if (rc != 0 || vos_btr_is_empty(&akey->tree))
        return rc;
    if (t.depth == 0) {
        rc = vos_ext_get(op, akey->tree.root, &ext);
        if (rc == 0) {
            s->is_found = s->is_found ||
                (ext.lo <= hi && ext.hi >= lo && ext.epoch > s->lo && ext.epoch <= s->hi);
        }
        return rc;
    }
    t.path[0].idx = 0;
    rc = vos_btr_node(&t, akey->tree.root, t.depth - 1, &t.path[0].node);
    while (rc == 0) {
        struct vos_btr_pos *pos = &t.path[i];
        const struct vos_ent_df *e = vos_btr_ent(&t, pos->node, pos->idx);

        if (pos->idx == pos->node->nr || e->hkey > hi) {
            if (i == 0)
                return 0;
            i--;
            continue;
        }
        pos->idx++;
        if (e->hi < lo || e->epoch > s->hi || e->epoch_max <= s->lo)
            continue;
        if (pos->node->level == 0)
            s->is_found = true;
        if (!look_more(s))
            return 0;
        t.path[i + 1].idx = 0;
        rc = vos_btr_node(&t, e->off, pos->node->level - 1u, &t.path[i + 1].node);
        i++;
    }
    return rc;
}

/* ---- what an operation looks at ------------------------------------------------------------------------------------- */

/* An akey: whether it is there, and its value (ranges; none: all of it). */
static int
akey_look(struct vos_op *op, struct span *s, struct vos_walk *w, const struct vos_iod *iod)
{
    uint32_t type;
    int rc = vos_walk_akey(op, &iod->akey, false, w);

    if (rc != 0 || w->a.off == 0)
        return rc;
    rc = log_look(op, s, &w->akey->ilog, vos_key_ilog_off(w->a.off), false);
    type = vos_akey_type(w->akey);
    if (rc == 0 && type == VOS_IOD_SINGLE)
        return single_look(op, s, w->akey, w->a.off);
    if (rc != 0 || type != VOS_IOD_ARRAY)
        return rc;
    if (iod->type != VOS_IOD_ARRAY)
        return ext_look(op, s, w->akey, w->a.off, 0, UINT64_MAX);
    for (uint32_t i = 0; rc == 0 && i < iod->recx_nr && look_more(s); i++) {
        rc = ext_look(
            op, s, w->akey, w->a.off, iod->recxs[i].idx, iod->recxs[i].idx + iod->recxs[i].nr - 1);
    }
    return rc;
}

/* Down to a dkey: punches of what is above; with `exists` whether the dkey is there. *ret_off 0: there is nothing. */
static int
above_look(struct vos_op *op, struct span *s, const struct vos_cont *cont,
    const struct vos_oid *oid, const struct iov *dkey, bool exists, struct vos_walk *w)
{
    int rc = vos_walk_init(w, cont, oid);

    if (rc == 0)
        rc = vos_walk_obj(op, cont, oid, false, w);
    if (rc != 0 || w->o.off == 0 || !may_be_newer(s, w->obj->epoch_max))
        return rc;
    rc = log_look(op, s, &w->obj->ilog, vos_obj_ilog_off(w->o.off), true);
    if (rc == 0 && dkey != NULL)
        rc = vos_walk_dkey(op, dkey, false, w);
    if (rc == 0 && w->d.off != 0)
        rc = log_look(op, s, &w->dkey->ilog, vos_key_ilog_off(w->d.off), !exists);
    return rc;
}

typedef int (*rec_look_fn)(struct vos_op *op, struct span *s, struct vos_uncertain *u,
    const struct vos_btr_kind *kind, uint64_t rec);

/* One record of a listing: whether what it names is there. */
static int
rec_look(struct vos_op *op, struct span *s, struct vos_uncertain *u,
    const struct vos_btr_kind *kind, uint64_t rec)
{
    struct vos_obj_df *obj;
    struct vos_key_df *key;
    int rc;

    (void)u;
    s->looks_left = VOS_UNCERTAIN_LOOKS_NR;
    if (kind == &vos_kind_obj) {
        rc = vos_obj_get(op, rec, &obj);
        return rc != 0 || !may_be_newer(s, obj->epoch_max)
            ? rc
            : log_look(op, s, &obj->ilog, vos_obj_ilog_off(rec), false);
    }
    rc = vos_key_get(op, rec, &key);
    return rc != 0 ? rc : log_look(op, s, &key->ilog, vos_key_ilog_off(rec), false);
}

/* All records of a tree, in steps: those with the prefix at which a step ended are looked at again. */
static int
tree_look(struct vos_op *op, struct span *s, struct vos_uncertain *u, const struct vos_btr_kind *kind,
    struct vos_tree_df *df, uint64_t df_off, uint64_t *from, rec_look_fn look)
{
    static const struct vos_oid_bytes none;
    struct vos_btr_key key = {.hkey = *from, .buf = &none, .len = 0};
    struct vos_btr t;
    bool exact;
    int rc = vos_btr_init(&t, op, kind, df, df_off);

    if (rc == 0 && *from == 0) {
        rc = vos_btr_first(&t);
    } else if (rc == 0) {
        rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = vos_btr_settle(&t);
    }
    while (rc == 0 && !s->is_found) {
        if (op->steps_left == 0 && t.depth > 0 && vos_btr_hkey(&t) > *from) {
            *from = vos_btr_hkey(&t);
            return -DER_INPROGRESS;
        }
        op->steps_left -= op->steps_left > 0;
        rc = look(op, s, u, kind, vos_btr_rec(&t));
        if (rc == -DER_INPROGRESS && t.depth > 0)
            *from = vos_btr_hkey(&t); /* amid it */
        if (rc == 0)
            rc = vos_btr_next(&t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

static int
objs_look(struct vos_op *op, struct span *s, struct vos_uncertain *u)
{
    struct vos_cont_df *rec;
    int rc = vos_cont_get(op, u->cont->off, &rec);

    if (rc != 0 || !may_be_newer(s, rec->epoch_max))
        return rc;
    return tree_look(op, s, u, &vos_kind_obj, &rec->objs,
        u->cont->off + offsetof(struct vos_cont_df, objs), &u->from, rec_look);
}

static int
answer(int rc, const struct span *s)
{
    return rc != 0 ? rc : s->is_found ? CAIRN_ERR(TX_RESTART) : 0;
}

int
vos_uncertain_mod(
    struct vos_op *op, const struct vos_cont *cont, const struct vos_mod *mod, uint64_t bound)
{
    const uint32_t conds = VOS_COND_DKEY_INSERT | VOS_COND_DKEY_UPDATE;
    struct span s = {.lo = op->epoch,
        .hi = bound,
        .is_open = vos_dtx_is_after(cont, op->epoch),
        .looks_left = VOS_UNCERTAIN_LOOKS_NR};
    struct vos_walk w;
    int rc;

    if (mod->op != VOS_MOD_UPDATE)
        return 0;
    rc = above_look(op, &s, cont, &mod->oid, &mod->dkey, (mod->cond & conds) != 0, &w);
    for (uint32_t i = 0; rc == 0 && w.d.off != 0 && i < mod->iod_nr && look_more(&s); i++) {
        rc = akey_look(op, &s, &w, &mod->iods[i]);
    }
    return answer(rc, &s);
}

int
vos_uncertain_read(struct vos_op *op, void *arg)
{
    struct vos_uncertain *u = arg;
    struct span s = span_of(u);
    bool exists = u->level == VOS_LEVEL_AKEY || u->exists;
    struct vos_walk w = {.obj = NULL};
    int rc;

    op->epoch = u->epoch;
    if (u->level == VOS_LEVEL_OBJ)
        return answer(objs_look(op, &s, u), &s);
    rc = above_look(op, &s, u->cont, u->oid, u->level == VOS_LEVEL_DKEY ? NULL : u->dkey, exists, &w);
    if (rc == 0 && u->level == VOS_LEVEL_DKEY && w.o.off != 0 && may_be_newer(&s, w.obj->epoch_max)) {
        rc = tree_look(
            op, &s, u, w.dkey_kind, &w.obj->dkeys, vos_obj_tree_off(w.o.off), &u->from, rec_look);
    }
    if (rc == 0 && u->level == VOS_LEVEL_AKEY && w.d.off != 0) {
        rc = tree_look(
            op, &s, u, w.akey_kind, &w.dkey->tree, vos_key_tree_off(w.d.off), &u->from, rec_look);
    }
    for (uint32_t i = 0; rc == 0 && w.d.off != 0 && i < u->iod_nr && look_more(&s); i++) {
        rc = akey_look(op, &s, &w, &u->iods[i]);
    }
    return answer(rc, &s);
}

int
vos_uncertain_objs(struct vos_op *op, void *arg)
{
    struct vos_uncertain *u = arg;
    struct span s = span_of(u);
    int rc = 0;

    op->epoch = u->epoch;
    for (; rc == 0 && u->from < u->oid_nr && !s.is_found; u->from++) {
        const struct vos_oid *oid = &u->oids[u->from];
        struct vos_walk w = {.obj = NULL};

        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = vos_walk_init(&w, u->cont, oid);
        if (rc == 0)
            rc = vos_walk_obj(op, u->cont, oid, false, &w);
        if (rc == 0 && w.o.off != 0)
            rc = rec_look(op, &s, u, &vos_kind_obj, w.o.off);
        if (rc != 0)
            return rc; /* this one again, when a page was missing */
    }
    return answer(rc, &s);
}

/* ---- queries -------------------------------------------------------------------------------------------------------- */

/* An akey among those that a query goes through. */
static int
query_akey_look(struct vos_op *op, struct span *s, struct vos_uncertain *u,
    const struct vos_btr_kind *kind, uint64_t rec)
{
    struct vos_key_df *akey;
    int rc = rec_look(op, s, u, kind, rec);

    if (rc == 0)
        rc = vos_key_get(op, rec, &akey);
    if (rc != 0 || (u->query & VOS_GET_RECX) == 0 || vos_akey_type(akey) != VOS_IOD_ARRAY)
        return rc;
    return ext_look(op, s, akey, rec, 0, UINT64_MAX);
}

/* A dkey: whether it is there, and what is asked for below it. */
static int
query_dkey_look(struct vos_op *op, struct span *s, struct vos_uncertain *u,
    const struct vos_btr_kind *kind, uint64_t rec)
{
    struct vos_walk w = {.d.off = rec, .akey_kind = u->akey_kind};
    int rc = rec_look(op, s, u, kind, rec);

    if (rc == 0)
        rc = vos_key_get(op, rec, &w.dkey);
    if (rc == 0 && (u->query & VOS_GET_AKEY) != 0) {
        rc = tree_look(op, s, u, u->akey_kind, &w.dkey->tree, vos_key_tree_off(rec), &u->akey_from,
            query_akey_look);
    } else if (rc == 0 && (u->query & VOS_GET_RECX) != 0) {
        rc = akey_look(op, s, &w, u->iods);
    }
    if (rc == 0)
        u->akey_from = 0;
    return rc;
}

int
vos_uncertain_query(struct vos_op *op, void *arg)
{
    struct vos_uncertain *u = arg;
    const uint32_t what = VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX;
    bool has_dkey = (u->query & what) != 0 && (u->query & VOS_GET_DKEY) == 0;
    struct span s = span_of(u);
    struct vos_walk w = {.obj = NULL};
    int rc;

    op->epoch = u->epoch;
    rc = above_look(op, &s, u->cont, u->oid, has_dkey ? u->dkey : NULL, false, &w);
    if (rc != 0 || w.o.off == 0)
        return rc;
    u->akey_kind = w.akey_kind;
    if ((u->query & what) == 0) {
        s.is_found = w.obj->epoch_max > s.lo && w.obj->epoch_max <= s.hi;
    } else if (!may_be_newer(&s, w.obj->epoch_max)) {
        return answer(rc, &s);
    } else if (!has_dkey) {
        rc = tree_look(op, &s, u, w.dkey_kind, &w.obj->dkeys, vos_obj_tree_off(w.o.off), &u->from,
            query_dkey_look);
    } else if (w.d.off != 0 && (u->query & VOS_GET_AKEY) != 0) {
        rc = tree_look(op, &s, u, w.akey_kind, &w.dkey->tree, vos_key_tree_off(w.d.off),
            &u->akey_from, query_akey_look);
    } else if (w.d.off != 0) {
        rc = akey_look(op, &s, &w, u->iods);
    }
    return answer(rc, &s);
}
