/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Whether a dkey that lost akeys has a visible one left: with its last akey it goes, too. Exact for any number of akeys, with bounded work
 * in the transaction (ST-9):
 *
 *   - First a few akeys are looked at, from the one that was punched on and around the end of the tree to it: whatever the order in which
 *     akeys are punched, a visible one is near as long as many are left.
 *   - Not decided: the transaction is given up, all akeys are looked at in steps with yields, and the transaction runs again. What was seen
 *     holds as long as the object was not changed in between (the log position of its newest change). Akeys that the request itself names
 *     are left out there, and looked at one by one in the transaction.
 *
 * Tested by test/vos_empty_test.c.
 */
#include "vos/vos_priv.h"

#include <stdlib.h>
#include <string.h>

enum { NEAR_NR = 64, TRIES_NR_MAX = 16 };

static int
name_order(const struct iov *x, const struct iov *y)
{
    return x->len != y->len ? (x->len < y->len ? -1 : 1) : memcmp(x->buf, y->buf, x->len);
}

static int
name_cmp(const void *a, const void *b)
{
    return name_order(*(const struct iov *const *)a, *(const struct iov *const *)b);
}

static bool
is_same_dkey(const struct vos_mod *a, const struct vos_mod *b)
{
    return (b->op == VOS_MOD_UPDATE || b->op == VOS_MOD_PUNCH_AKEYS) &&
        oid_cmp(a->oid.oid, b->oid.oid) == 0 && a->oid.shard == b->oid.shard &&
        a->oid.layout_ver == b->oid.layout_ver && name_order(&a->dkey, &b->dkey) == 0;
}

/* All akeys of the dkey that the request names. */
static int
names_make(struct vos_empty *e, struct vos_tgt *tgt, const struct vos_apply_args *args)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < args->mod_nr; i++) {
        nr += is_same_dkey(e->mod, &args->mods[i]) ? args->mods[i].iod_nr : 0;
    }
    vos_heap_free(e->names);
    e->name_nr = 0;
    e->names = vos_heap_alloc(&tgt->heap, nr * sizeof(struct iov *));
    if (e->names == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < args->mod_nr; i++) {
        const struct vos_mod *mod = &args->mods[i];

        for (uint32_t k = 0; is_same_dkey(e->mod, mod) && k < mod->iod_nr; k++) {
            e->names[e->name_nr++] = &mod->iods[k].akey;
        }
    }
    qsort(e->names, e->name_nr, sizeof(struct iov *), name_cmp);
    return 0;
}

static bool
is_named(const struct vos_empty *e, const struct iov *key)
{
    return bsearch(&key, e->names, e->name_nr, sizeof(struct iov *), name_cmp) != NULL;
}

/* What was asked on the way to an akey that is there in any case does not matter. */
static void
asks_forget(struct vos_op *op, uint32_t nr, uint32_t told_nr)
{
    op->look->nr = nr;
    if (op->look->asks != NULL)
        op->look->asks->nr = told_nr;
}

/* Visible whatever becomes of others' transactions; asks when that is not sure. */
static int
akey_is_visible(struct vos_op *op, uint64_t rec, struct vos_epoch punch,
    struct vos_key_df **ret_akey, bool *ret_visible)
{
    struct vos_ilog_info info;
    int rc = vos_key_get(op, rec, ret_akey);

    if (rc == 0)
        rc = vos_ilog_read(op, &(*ret_akey)->ilog, vos_key_ilog_off(rec), op->epoch, punch, &info);
    if (rc == 0)
        *ret_visible = info.is_sure;
    return rc;
}

/* Look around the akey that was punched last. */
static int
look_near(struct vos_op *op, struct vos_walk *w, const struct iov *akey, bool *ret_decided,
    bool *ret_empty)
{
    struct vos_btr_key key = vos_key_bytes(op, w->akey_kind, akey);
    struct vos_key_df *rec;
    uint32_t asked = op->look->nr, told = op->look->asks != NULL ? op->look->asks->nr : 0;
    uint64_t first = 0;
    struct vos_btr t;
    bool visible = false, exact;
    int rc = vos_btr_init(&t, op, w->akey_kind, &w->dkey->tree, vos_key_tree_off(w->d.off));

    *ret_decided = *ret_empty = false;
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0)
        rc = vos_btr_settle(&t);
    for (uint32_t seen = 0; rc == 0 || rc == -DER_NONEXIST; seen++) {
        if (rc == -DER_NONEXIST) { /* around the end */
            rc = vos_btr_first(&t);
            if (rc == -DER_NONEXIST) {
                *ret_decided = *ret_empty = true;
                return 0;
            }
        }
        if (rc != 0 || seen == NEAR_NR)
            return rc;
        if (vos_btr_rec(&t) == first) {
            *ret_decided = *ret_empty = true;
            return 0;
        }
        first = first == 0 ? vos_btr_rec(&t) : first;
        rc = akey_is_visible(op, vos_btr_rec(&t), w->d.info.punch, &rec, &visible);
        if (rc != 0)
            return rc;
        if (visible) {
            asks_forget(op, asked, told);
            *ret_decided = true;
            return 0;
        }
        rc = vos_btr_next(&t);
    }
    return rc;
}

/* Those that the request names, after what it did to them so far. */
static int
look_at_named(struct vos_op *op, const struct vos_empty *e, struct vos_walk *w, bool *ret_empty)
{
    struct vos_walk at = *w;
    int rc = 0;

    *ret_empty = true;
    for (uint32_t i = 0; rc == 0 && i < e->name_nr && *ret_empty; i++) {
        rc = vos_walk_akey(op, e->names[i], false, &at);
        *ret_empty = !at.a.info.is_sure;
    }
    return rc;
}

int
vos_empty_check(struct vos_op *op, struct vos_tgt *tgt, const struct vos_mod *mod,
    struct vos_walk *w, const struct vos_empty *e, bool *ret_empty)
{
    bool decided;
    int rc = look_near(op, w, &mod->iods[mod->iod_nr - 1].akey, &decided, ret_empty);

    if (rc != 0 || decided)
        return rc;
    if (e != NULL && e->is_done && e->lsn == *vos_obj_lsn(tgt, w->h_obj))
        return e->has_other ? 0 : look_at_named(op, e, w, ret_empty);
    if (e != NULL && e->try_nr == TRIES_NR_MAX)
        return 0; /* it changes all the time: it stays for now */
    return -DER_INPROGRESS;
}

/* All akeys, in steps. */
static int
scan_body(struct vos_op *op, void *arg)
{
    struct vos_empty *e = arg;
    struct vos_btr_key key;
    struct vos_key_df *rec;
    struct vos_walk w;
    struct vos_btr t;
    struct iov name = {e->after, e->after_len};
    bool exact, visible = false;
    int rc = vos_walk_init(&w, e->cont, &e->mod->oid);

    if (rc == 0)
        rc = vos_walk_obj(op, e->cont, &e->mod->oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &e->mod->dkey, false, &w);
    if (rc != 0 || w.dkey == NULL)
        return rc;
    rc = vos_btr_init(&t, op, w.akey_kind, &w.dkey->tree, vos_key_tree_off(w.d.off));
    if (rc == 0 && e->after_len == 0) {
        rc = vos_btr_first(&t);
    } else if (rc == 0) {
        key = vos_key_bytes(op, w.akey_kind, &name);
        rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = exact ? vos_btr_next(&t) : vos_btr_settle(&t);
    }
    while (rc == 0) {
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = akey_is_visible(op, vos_btr_rec(&t), w.d.info.punch, &rec, &visible);
        if (rc != 0)
            return rc;
        name = vos_key_iov(rec);
        if (visible && !is_named(e, &name)) {
            asks_forget(op, 0, 0);
            e->has_other = true;
            return 0;
        }
        memcpy(e->after, name.buf, name.len);
        e->after_len = name.len;
        rc = vos_btr_next(&t);
    }
    return op->look->nr > 0 && rc == -DER_NONEXIST ? -DER_TX_BUSY : rc == -DER_NONEXIST ? 0 : rc;
}

int
vos_empty_scan(struct vos_cont *cont, const struct vos_apply_args *args, const struct vos_mod *mod,
    struct vos_dtx_look *look, struct vos_empty *e)
{
    struct vos_tgt *tgt = cont->tgt;
    struct vos_op op;
    int rc;

    e->cont = cont;
    e->mod = mod;
    e->try_nr++;
    e->is_done = e->has_other = false;
    e->after_len = 0;
    e->lsn = *vos_obj_lsn(tgt, vos_obj_hash(cont, &e->mod->oid));
    e->after = vos_heap_alloc(&tgt->heap, VOS_KEY_BYTES_MAX);
    rc = e->after == NULL ? CAIRN_ERR(NOMEM) : names_make(e, tgt, args);
    if (rc == 0) {
        vos_op_init(&op, tgt);
        op.epoch = args->epoch == 0 ? UINT64_MAX : args->epoch;
        op.look = look;
        rc = vos_read_run(tgt, &op, scan_body, e);
    }
    vos_heap_free(e->after);
    e->after = NULL;
    e->is_done = rc == 0;
    return rc;
}

void
vos_empty_fini(struct vos_empty *e)
{
    vos_heap_free(e->names);
    e->names = NULL;
}
