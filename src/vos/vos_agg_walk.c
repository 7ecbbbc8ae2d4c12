/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The walk of aggregation over objects, dkeys and akeys. A record is looked at before what is below it: one that no view sees goes with all that is below it, bottom up; a log loses the
 * entries that no view needs. Then come its children, and last, when all of them were worked on, the punches of the first interval, below which nothing is left (AGG-2).
 *
 * Without a transaction the walk ends at the first thing to do (VOS_AGG_WORK), and goes on from there in one, until enough was done. Cursors and pointers live within
 * one body; between bodies there is a->pos, which holds keys.
 */
#include "vos/vos_agg.h"

#include "base/hash.h"

#include <stddef.h>
#include <string.h>

/* What a body holds of its place. */
struct cur {
    struct vos_btr t[VOS_AGG_LEVEL_NR];
    bool ok[VOS_AGG_LEVEL_NR]; /* the cursor stands at the record looked at last */
    const struct vos_btr_kind *kind[VOS_AGG_LEVEL_NR];
    struct vos_tree_df *df[VOS_AGG_LEVEL_NR]; /* in which records of the level are */
    uint64_t df_off[VOS_AGG_LEVEL_NR];
    uint64_t rec[VOS_AGG_LEVEL_NR]; /* the object and dkey that pos is in */
};

/* Log, tree and size of a record. */
struct rec {
    uint64_t off;
    struct vos_ilog_df *ilog;
    uint64_t ilog_off;
    struct vos_tree_df *tree;
    uint64_t tree_off;
};

/* ---- views and punches ---------------------------------------------------------------------------------------------- */

uint32_t
vos_agg_interval(const struct vos_agg *a, uint64_t epoch)
{
    uint32_t lo = 0, hi = a->view_nr - 1;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (a->views[mid] < epoch) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

struct vos_epoch
vos_agg_punch_at(const struct vos_agg_level *l, uint32_t k)
{
    uint32_t lo = 0, hi = l->nr; /* those before lo are at or before k */

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (l->p[mid].k <= k) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == 0 ? (struct vos_epoch){0, 0} : l->p[lo - 1].at;
}

/* Two ascending lists become one in level->all: the newer punch of each interval. */
static void
punches_join(struct vos_agg_level *level, uint32_t mine_nr, const struct vos_agg_level *up)
{
    uint32_t i = 0, j = 0, nr = 0;

    while (i < mine_nr || j < up->nr) {
        if (j == up->nr || (i < mine_nr && level->mine[i].k < up->p[j].k)) {
            level->all[nr++] = level->mine[i++];
        } else if (i == mine_nr || up->p[j].k < level->mine[i].k) {
            level->all[nr++] = up->p[j++];
        } else {
            level->all[nr++] =
                vos_epoch_gt(level->mine[i].at, up->p[j].at) ? level->mine[i] : up->p[j];
            i++;
            j++;
        }
    }
    level->p = level->all;
    level->nr = nr;
}

/* The punches of the log itself, and of all. */
static int
punches_read(struct vos_agg *a, struct vos_op *op, struct vos_ilog_df *ilog, uint64_t ilog_off,
    const struct vos_agg_level *up, struct vos_agg_level *level, struct vos_agg_log *log)
{
    static const struct vos_agg_level none;
    struct vos_ilog_ent e = {0};
    uint32_t nr = 0;
    int rc = vos_ilog_next(op, ilog, ilog_off, 0, &e);

    for (; rc == 0; rc = vos_ilog_next(op, ilog, ilog_off, e.epoch, &e)) {
        log->is_open = log->is_open || e.is_open;
        if (e.epoch > a->hi) {
            log->has_new = true;
            break;
        }
        log->has_old = true;
        if (e.punch == 0)
            continue;

        struct vos_agg_punch p = {vos_agg_interval(a, e.epoch), {e.epoch, e.punch}};

        nr -= nr > 0 && level->mine[nr - 1].k == p.k;
        level->mine[nr++] = p;
    }
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    if (nr > 0) {
        punches_join(level, nr, up == NULL ? &none : up);
    } else {
        level->p = up == NULL ? NULL : up->p;
        level->nr = up == NULL ? 0 : up->nr;
    }
    return 0;
}

/* Of an entry of the log: does it show something at its view (*ret_seen), or hide something that nothing above hides (*ret_hides)? */
static void
entry_judge(const struct vos_agg *a, const struct vos_agg_level *up,
    const struct vos_agg_level *level, const struct vos_ilog_ent *e, bool *ret_seen, bool *ret_hides)
{
    uint32_t k = vos_agg_interval(a, e->epoch);
    struct vos_epoch punch = vos_agg_punch_at(level, k), at = {e->epoch, e->punch};

    *ret_seen = e->create != 0 && vos_epoch_gt((struct vos_epoch){e->epoch, e->create}, punch);
    *ret_hides = e->punch != 0 && punch.epoch == at.epoch && punch.minor == at.minor &&
        (up == NULL || vos_epoch_gt(at, vos_agg_punch_at(up, k)));
}

/* What the log of a record says, below `up`; fills the level's punches. */
static int
log_look(struct vos_agg *a, struct vos_op *op, const struct rec *r, const struct vos_agg_level *up,
    struct vos_agg_level *level, struct vos_agg_log *ret_log)
{
    struct vos_agg_log log = {0};
    struct vos_ilog_ent e = {0};
    int rc = punches_read(a, op, r->ilog, r->ilog_off, up, level, &log);

    if (rc == 0 && log.has_old && !log.is_open)
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, 0, &e);
    while (rc == 0 && log.has_old && !log.is_open && e.epoch <= a->hi) {
        bool is_seen, hides;

        entry_judge(a, up, level, &e, &is_seen, &hides);
        log.is_seen = log.is_seen || is_seen;
        log.has_useless = log.has_useless || !(is_seen || hides) || (hides && e.epoch <= a->views[0]);
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, e.epoch, &e);
    }
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    *ret_log = log;
    return 0;
}

/* ---- places --------------------------------------------------------------------------------------------------------- */

static struct vos_agg_key *
pos_key(struct vos_agg *a, uint32_t level)
{
    return level == VOS_AGG_DKEY ? &a->pos.dkey : &a->pos.akey;
}

/* Stop here, so that the next body looks at the record at hand again. */
static void
stop_at(struct vos_agg *a, uint32_t level, enum vos_agg_state state)
{
    a->state = state;
    if (level == VOS_AGG_OBJ) {
        a->pos.oid_is_at = true;
    } else {
        pos_key(a, level)->is_at = true;
    }
}

static void
tree_set(struct cur *c, uint32_t level, const struct vos_btr_kind *kind, struct vos_tree_df *df,
    uint64_t df_off)
{
    c->ok[level] = false;
    c->kind[level] = kind;
    c->df[level] = df;
    c->df_off[level] = df_off;
}

/* The record at pos of the level; 0 when it is gone. */
static int
rec_find(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, struct vos_btr *t,
    uint64_t *ret_rec)
{
    struct vos_oid_bytes bytes;
    struct vos_btr_key key;
    struct iov iov;
    int rc = vos_btr_init(t, op, c->kind[level], c->df[level], c->df_off[level]);

    if (level == VOS_AGG_OBJ) {
        key = vos_key_oid(op, &a->pos.oid, &bytes);
    } else {
        iov = (struct iov){pos_key(a, level)->buf, pos_key(a, level)->len};
        key = vos_key_bytes(op, c->kind[level], &iov);
    }
    return rc != 0 ? rc : vos_rec_find(t, &key, ret_rec);
}

/* The cursor of the level moves to the next record; NONEXIST at the end. */
static int
any_next(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, uint64_t *ret_rec)
{
    bool is_set = level == VOS_AGG_OBJ ? a->pos.has_oid : pos_key(a, level)->is_set;
    bool is_at = level == VOS_AGG_OBJ ? a->pos.oid_is_at : pos_key(a, level)->is_at;
    struct vos_btr *t = &c->t[level];
    uint64_t rec;
    int rc;

    if (c->ok[level]) {
        rc = vos_btr_next(t);
    } else if (!is_set) {
        rc = vos_btr_init(t, op, c->kind[level], c->df[level], c->df_off[level]);
        if (rc == 0)
            rc = vos_btr_first(t);
    } else {
        rc = rec_find(a, op, c, level, t, &rec);
        if (rc == 0)
            rc = rec != 0 && !is_at ? vos_btr_next(t) : vos_btr_settle(t);
    }
    c->ok[level] = rc == 0;
    if (rc == 0)
        *ret_rec = vos_btr_rec(t);
    return rc;
}

/* The first dkey that is wanted at or behind a sort key; false: none. */
static bool
want_find(const struct vos_agg *a, uint64_t from, uint64_t *ret_want)
{
    uint32_t lo = 0, hi = a->want_nr;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (a->wants[mid] < from) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == a->want_nr)
        return false;
    *ret_want = a->wants[lo];
    return true;
}

/* The same, over records that nobody wants. INPROGRESS: enough for this step. */
static int
rec_next(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, uint64_t *ret_rec)
{
    struct vos_btr *t = &c->t[level];
    uint64_t hkey, want;
    bool exact;
    int rc = any_next(a, op, c, level, ret_rec);

    while (rc == 0 && level == VOS_AGG_DKEY && a->pos.is_wanted && t->depth > 0) {
        hkey = vos_btr_hkey(t);
        if (!want_find(a, MAX(hkey, a->pos.want_from), &want)) {
            c->ok[level] = false;
            return -DER_NONEXIST;
        }
        a->pos.want_from = want;
        if (want == hkey)
            return 0;
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = vos_btr_search(t, &(struct vos_btr_key){.hkey = want}, &exact);
        if (rc == 0)
            rc = vos_btr_settle(t);
        c->ok[level] = rc == 0;
        if (rc == 0)
            *ret_rec = vos_btr_rec(t);
    }
    return rc;
}

static int
rec_get(struct vos_op *op, uint32_t level, uint64_t off, struct rec *r)
{
    struct vos_key_df *key;
    struct vos_obj_df *obj;
    int rc;

    r->off = off;
    if (level == VOS_AGG_OBJ) {
        rc = vos_obj_get(op, off, &obj);
        if (rc != 0)
            return rc;
        r->ilog = &obj->ilog;
        r->ilog_off = vos_obj_ilog_off(off);
        r->tree = &obj->dkeys;
        r->tree_off = vos_obj_tree_off(off);
        return 0;
    }
    rc = vos_key_get(op, off, &key);
    if (rc != 0)
        return rc;
    r->ilog = &key->ilog;
    r->ilog_off = vos_key_ilog_off(off);
    r->tree = &key->tree;
    r->tree_off = vos_key_tree_off(off);
    return 0;
}

/* What the keys of the object at pos are. */
static int
kinds_set(const struct vos_agg *a, struct cur *c, uint64_t off)
{
    if (vos_kind_of_dkey(a->pos.oid.oid, &c->kind[VOS_AGG_DKEY]) != 0 ||
        vos_kind_of_akey(a->pos.oid.oid, &c->kind[VOS_AGG_AKEY]) != 0)
        return vos_bad(off, "object type");
    return 0;
}

/* pos moves on to this record. */
static int
pos_set(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, uint64_t off)
{
    struct vos_agg_key *to;
    struct vos_key_df *key;
    struct vos_obj_df *obj;
    int rc;

    if (level == VOS_AGG_OBJ) {
        rc = vos_obj_get(op, off, &obj);
        if (rc != 0)
            return rc;
        if (!a->pos.oid_is_at || a->pos.oid.oid.lo != obj->oid_lo ||
            a->pos.oid.oid.hi != obj->oid_hi || a->pos.oid.shard != obj->shard ||
            a->pos.oid.layout_ver != obj->layout_ver)
            a->pos.log_done = false;
        a->pos.has_oid = true;
        a->pos.oid_is_at = false;
        a->pos.oid = (struct vos_oid){.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
            .shard = obj->shard,
            .layout_ver = obj->layout_ver};
        return kinds_set(a, c, off);
    }
    rc = vos_key_get(op, off, &key);
    if (rc != 0)
        return rc;
    to = pos_key(a, level);
    if (to->is_at && to->is_set && to->len == key->key_len && memcmp(to->buf, key + 1, to->len) == 0) {
        to->is_at = false; /* here again */
        return 0;
    }
    to->is_set = true;
    to->is_at = false;
    to->len = key->key_len;
    memcpy(to->buf, key + 1, key->key_len);
    a->pos.log_done = a->pos.array_done = false;
    return 0;
}

static const struct vos_agg_level *
up_of(const struct vos_agg *a, uint32_t level)
{
    return level == VOS_AGG_OBJ ? NULL : &a->levels[level - 1];
}

static int
rec_look(struct vos_agg *a, struct vos_op *op, uint32_t level, const struct rec *r,
    struct vos_agg_log *log)
{
    return log_look(a, op, r, up_of(a, level), &a->levels[level], log);
}

/* The next level's tree is that of this record. */
static void
into(struct vos_agg *a, struct cur *c, uint32_t level, const struct rec *r)
{
    c->rec[level] = r->off;
    tree_set(c, level + 1, c->kind[level + 1], r->tree, r->tree_off);
    if (level == VOS_AGG_OBJ) {
        a->pos.in_obj = true;
    } else {
        a->pos.in_dkey = true;
    }
}

/* Which dkeys of the object at pos are looked at (all of few). */
static void
wants_get(struct vos_agg *a)
{
    a->want_obj = vos_obj_hash(a->cont, &a->pos.oid);
    a->pos.is_wanted =
        a->pos.is_wanted && vos_dirty_get(&a->cont->dirty, a->want_obj, a->wants, &a->want_nr);
}

/* The same, before the first child. */
static void
enter(struct vos_agg *a, struct cur *c, uint32_t level, const struct rec *r)
{
    into(a, c, level, r);
    a->pos.is_clean[level] = true;
    if (level == VOS_AGG_OBJ) {
        a->pos.is_wanted = a->uses_dirty && r->tree->depth >= a->cont->tgt->dirty_depth;
        a->pos.want_from = 0;
        if (a->pos.is_wanted)
            wants_get(a);
        a->pos.is_clean[level] = !a->pos.is_wanted;
    }
    a->pos.has_newer[level] = false;
    pos_key(a, level + 1)->is_set = pos_key(a, level + 1)->is_at = false;
}

/* Find the place of a->pos in a new body. */
static int
reenter(struct vos_agg *a, struct vos_op *op, struct cur *c)
{
    struct vos_cont_df *cont;
    uint64_t off;
    struct rec r;
    int rc = vos_cont_get(op, a->cont->off, &cont);

    if (rc != 0)
        return rc;
    tree_set(c, VOS_AGG_OBJ, &vos_kind_obj, &cont->objs,
        a->cont->off + offsetof(struct vos_cont_df, objs));
    if (!a->pos.in_obj)
        return 0;
    for (uint32_t level = VOS_AGG_OBJ; level <= VOS_AGG_DKEY; level++) {
        if (level == VOS_AGG_DKEY && !a->pos.in_dkey)
            break;
        rc = rec_find(a, op, c, level, &c->t[level], &off);
        if (rc == 0 && off == 0) { /* it went meanwhile: on behind it */
            a->pos.in_dkey = false;
            a->pos.in_obj = level == VOS_AGG_DKEY;
            return 0;
        }
        if (rc == 0 && level == VOS_AGG_OBJ)
            rc = kinds_set(a, c, off);
        /* In a transaction that began anew those of another object may be at hand. */
        if (level == VOS_AGG_OBJ && a->pos.is_wanted &&
            a->want_obj != vos_obj_hash(a->cont, &a->pos.oid))
            wants_get(a);
        if (rc == 0)
            rc = rec_get(op, level, off, &r);
        if (rc == 0 && !a->is_discard) {
            rc = punches_read(a, op, r.ilog, r.ilog_off, up_of(a, level), &a->levels[level],
                &(struct vos_agg_log){0});
        }
        if (rc != 0)
            return rc;
        into(a, c, level, &r);
    }
    return 0;
}

/* ---- things to do --------------------------------------------------------------------------------------------------- */

/* Whether the work at hand may be done here and now; if not, the walk ends at it. */
static bool
may_work(struct vos_agg *a, const struct vos_op *op, uint32_t level)
{
    if (op->tx == NULL) {
        stop_at(a, level, VOS_AGG_WORK);
        return false;
    }
    if (a->budget == 0) {
        stop_at(a, level, VOS_AGG_MORE);
        return false;
    }
    vos_agg_touch(a);
    return true;
}

/* A record that no view sees goes, bottom up. */
static int
dead_free(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, const struct rec *r)
{
    uint8_t id = level == VOS_AGG_OBJ ? VOS_TREE_OBJ : VOS_TREE_KEY_HASHED;
    struct vos_gc_some some;
    uint64_t rec;
    int rc;

    if (!may_work(a, op, level))
        return 0;
    some = (struct vos_gc_some){.budget = a->budget};
    rc = vos_gc_free_some(a->cont->tgt, op, id, r->off, &some);
    if (rc != 0)
        return rc;
    a->budget = some.budget;
    a->stat.ver_del_nr += some.ver_nr;
    a->stat.key_del_nr += some.key_nr;
    if (!some.is_done) {
        a->budget = 0;
        stop_at(a, level, VOS_AGG_MORE);
        return 0;
    }
    if (level == VOS_AGG_OBJ) {
        op->obj_delta--;
        op->is_obj_gone = true;
        a->stat.obj_del_nr++;
        a->stat.key_del_nr--;
    }
    if (!c->ok[level]) {
        rc = rec_find(a, op, c, level, &c->t[level], &rec);
        if (rc != 0)
            return rc;
    }
    c->ok[level] = false;
    return vos_btr_delete(&c->t[level]);
}

/* The log at hand of the level is about to change: its entry above does not count on it any more. */
static int
log_plain_end(struct vos_op *op, const struct cur *c, uint32_t level, const struct rec *r)
{
    if (level == VOS_AGG_OBJ || !vos_ilog_is_plain(r->ilog))
        return 0;
    return vos_key_plain_set(op, c->kind[level], c->df[level], c->df_off[level], r->off, false);
}

/*
 * A long log first loses what is useless by itself: what comes before a punch of the same interval, and what a punch above hides. So the look at all of it is short. The
 * last old entry stays until all below was worked on (see log_trim()).
 */
static bool
is_useless(const struct vos_agg *a, const struct vos_agg_level *up, const struct vos_ilog_ent *e,
    const struct vos_ilog_ent *next)
{
    uint32_t k = vos_agg_interval(a, e->epoch);
    struct vos_epoch hidden = {0, 0};

    if (next->epoch > a->hi || next->is_open)
        return false;
    if (next->punch != 0 && vos_agg_interval(a, next->epoch) == k)
        return true;
    if (up != NULL)
        hidden = vos_agg_punch_at(up, k);
    return !vos_epoch_gt((struct vos_epoch){e->epoch, MAX(e->create, e->punch)}, hidden);
}

static int
log_shorten(struct vos_agg *a, struct vos_op *op, uint32_t level, const struct rec *r)
{
    struct vos_ilog_ent e, next;
    int rc;

    if (!may_work(a, op, level))
        return 0;
    a->budget = VOS_AGG_STEP_NR;
    rc = vos_ilog_next(op, r->ilog, r->ilog_off, 0, &e);
    while (rc == 0 && a->budget > 0 && e.epoch <= a->hi && !e.is_open) {
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, e.epoch, &next);
        if (rc != 0)
            break;
        if (is_useless(a, up_of(a, level), &e, &next)) {
            rc = vos_ilog_put(op, r->ilog, r->ilog_off, e.epoch, 0, 0);
            a->stat.log_del_nr++;
            a->budget--;
        }
        e = next;
    }
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    a->pos.log_done = a->budget > 0;
    stop_at(a, level, VOS_AGG_MORE);
    return 0;
}

/*
 * All below was worked on: entries that no view needs go, and the punches of the first interval, below which nothing is left. Not before: who comes back to a record of which only
 * a part was worked on must see that there is something old.
 */
static int
log_trim(
    struct vos_agg *a, struct vos_op *op, const struct cur *c, uint32_t level, const struct rec *r)
{
    struct vos_ilog_ent e;
    int rc = log_plain_end(op, c, level, r);

    if (rc == 0)
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, 0, &e);
    while (rc == 0 && e.epoch <= a->hi) {
        bool is_seen, hides;

        entry_judge(a, up_of(a, level), &a->levels[level], &e, &is_seen, &hides);
        hides = hides && e.epoch > a->views[0];
        if (!is_seen || (e.punch != 0 && !hides)) {
            rc = vos_ilog_put(
                op, r->ilog, r->ilog_off, e.epoch, is_seen ? e.create : 0, hides ? e.punch : 0);
            a->stat.log_del_nr += !(is_seen || hides);
        }
        if (rc == 0)
            rc = vos_ilog_next(op, r->ilog, r->ilog_off, e.epoch, &e);
    }
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    if (level == VOS_AGG_OBJ || !vos_ilog_is_plain(r->ilog))
        return 0;
    return vos_key_plain_set(op, c->kind[level], c->df[level], c->df_off[level], r->off, true);
}

/* ---- single values -------------------------------------------------------------------------------------------------- */

/* Whether no view needs the version at the cursor. */
static int
single_is_done(struct vos_agg *a, struct vos_op *op, const struct vos_btr *t, bool is_first,
    const struct vos_ver *ver, bool *ret_done)
{
    uint32_t k = vos_agg_interval(a, ver->epoch);
    struct vos_btr after = *t;
    struct vos_ver next;
    int rc;

    *ret_done = !vos_epoch_gt(vos_ver_epoch(ver), vos_agg_punch_at(&a->levels[VOS_AGG_AKEY], k)) ||
        ((ver->flags & VOS_VER_HOLE) != 0 && is_first);
    if (*ret_done)
        return 0;
    rc = vos_btr_next(&after);
    if (rc == 0)
        rc = vos_ver_get(op, vos_btr_rec(&after), &next);
    if (rc == 0)
        *ret_done = next.epoch <= a->views[k] && next.dtx == 0;
    return rc == -DER_NONEXIST ? 0 : rc;
}

static int
single_free(struct vos_agg *a, struct vos_op *op, struct vos_btr *t)
{
    uint64_t rec = vos_btr_rec(t);
    int rc = vos_btr_delete(t);

    a->budget--;
    a->stat.ver_del_nr++;
    return rc != 0 ? rc : vos_gc_free_version(a->cont->tgt, op, rec);
}

/* A version that stays; when no more can be collected the walk ends here, and comes back. */
static int
move_collect(struct vos_agg *a, const struct vos_ver *ver, uint64_t off)
{
    bool is_full = false;
    int rc = vos_agg_moves(a, ver) ? vos_agg_move_add(a, ver, off, &is_full) : 0;

    if (is_full)
        stop_at(a, VOS_AGG_AKEY, VOS_AGG_MOVE);
    return rc;
}

/* In ascending order, so that a hole is first when nothing older is left. */
static int
single_work(struct vos_agg *a, struct vos_op *op, const struct rec *r)
{
    struct vos_epoch from = {0, 0};
    struct vos_btr_key key = vos_key_epoch(&from);
    struct vos_ver ver;
    struct vos_btr t;
    bool exact, is_first = true, done;
    int rc = vos_btr_init(&t, op, &vos_kind_single, r->tree, r->tree_off);

    if (rc == 0)
        rc = vos_btr_first(&t);
    while (rc == 0) {
        rc = vos_ver_get(op, vos_btr_rec(&t), &ver);
        if (rc != 0 || ver.epoch > a->hi)
            return rc;
        if (ver.dtx != 0) {
            a->pos.is_clean[VOS_AGG_AKEY] = false;
            return 0;
        }
        from = vos_ver_epoch(&ver);
        key.hkey = from.epoch;
        a->stat.ver_nr++;
        op->steps_left -= op->steps_left > 0;
        rc = single_is_done(a, op, &t, is_first, &ver, &done);
        if (rc == 0 && !done) {
            is_first = false;
            rc = move_collect(a, &ver, vos_btr_rec(&t));
            if (rc != 0 || a->state != VOS_AGG_ON)
                return rc;
            rc = vos_btr_next(&t);
        } else if (rc == 0) {
            if (!may_work(a, op, VOS_AGG_AKEY))
                return 0;
            rc = single_free(a, op, &t);
            if (rc == 0)
                rc = vos_btr_init(&t, op, &vos_kind_single, r->tree, r->tree_off);
            if (rc == 0)
                rc = vos_btr_search(&t, &key, &exact);
            if (rc == 0)
                rc = vos_btr_settle(&t);
        }
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

/* ---- discard -------------------------------------------------------------------------------------------------------- */

/* Whether a tree of versions holds something above hi. */
static int
tree_has_newer(struct vos_agg *a, struct vos_op *op, const struct rec *r, bool *ret_newer)
{
    const struct vos_btr_kind *kind = r->tree->id == VOS_TREE_EXT ? &vos_kind_ext : &vos_kind_single;
    struct vos_ver ver;
    struct vos_btr t;
    int rc = vos_btr_init(&t, op, kind, r->tree, r->tree_off);

    *ret_newer = false;
    if (rc == 0 && kind == &vos_kind_ext && r->tree->depth > 0) {
        struct vos_node_df *node;

        rc = vos_btr_node(&t, r->tree->root, t.depth - 1, &node);
        for (uint32_t i = 0; rc == 0 && i < node->nr; i++) {
            *ret_newer = *ret_newer || vos_btr_ent(&t, node, i)->epoch_max > a->hi;
        }
        return rc;
    }
    if (rc == 0)
        rc = vos_btr_last(&t);
    if (rc == 0)
        rc = vos_ver_get(op, vos_btr_rec(&t), &ver);
    if (rc == 0)
        *ret_newer = ver.epoch > a->hi;
    return rc == -DER_NONEXIST ? 0 : rc;
}

/* Whether something that goes is in the log, and whether something above hi is. */
static int
log_has_range(struct vos_agg *a, struct vos_op *op, const struct rec *r, bool has_newer,
    bool *ret_has, bool *ret_newer)
{
    struct vos_ilog_ent e;
    int rc = vos_ilog_next(op, r->ilog, r->ilog_off, a->lo, &e);

    *ret_has = false;
    while (rc == 0 && e.epoch <= a->hi && !*ret_has) {
        *ret_has = e.punch != 0 || !has_newer;
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, e.epoch, &e);
    }
    if (rc == 0 || rc == -DER_NONEXIST)
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, a->hi, &e);
    *ret_newer = rc == 0;
    return rc == -DER_NONEXIST ? 0 : rc;
}

/* Creations stay as long as something newer counts on them. */
static int
log_cut(struct vos_agg *a, struct vos_op *op, const struct cur *c, uint32_t level,
    const struct rec *r, bool has_newer)
{
    struct vos_ilog_ent e;
    int rc = log_plain_end(op, c, level, r);

    if (rc == 0)
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, a->lo, &e);
    while (rc == 0 && e.epoch <= a->hi) {
        if (e.punch != 0 || !has_newer) {
            rc = vos_ilog_put(op, r->ilog, r->ilog_off, e.epoch, has_newer ? e.create : 0, 0);
            a->stat.log_del_nr++;
        }
        if (rc == 0)
            rc = vos_ilog_next(op, r->ilog, r->ilog_off, e.epoch, &e);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

/* All below a record was done: its log, and itself when nothing is left. */
static int
discard_end(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, const struct rec *r)
{
    bool newer = a->pos.has_newer[level], has, log_newer;
    struct vos_ilog_ent e;
    uint64_t rec;
    int rc = log_has_range(a, op, r, newer, &has, &log_newer);

    if (rc != 0)
        return rc;
    if (level > VOS_AGG_OBJ)
        a->pos.has_newer[level - 1] = a->pos.has_newer[level - 1] || newer || log_newer;
    if (!has)
        return 0;
    if (op->tx == NULL) {
        a->state = VOS_AGG_WORK;
        return 0;
    }
    vos_agg_touch(a);
    rc = log_cut(a, op, c, level, r, newer);
    if (rc == 0)
        rc = vos_ilog_next(op, r->ilog, r->ilog_off, 0, &e);
    if (rc != -DER_NONEXIST || !vos_btr_is_empty(r->tree))
        return rc == -DER_NONEXIST ? 0 : rc;
    rc = rec_find(a, op, c, level, &c->t[level], &rec);
    c->ok[level] = false;
    if (rc == 0)
        rc = vos_btr_delete(&c->t[level]);
    if (rc != 0)
        return rc;
    if (level == VOS_AGG_OBJ) {
        op->obj_delta--;
        op->is_obj_gone = true;
        a->stat.obj_del_nr++;
        return vos_free(op, r->off, sizeof(struct vos_obj_df));
    }
    a->stat.key_del_nr++;
    return vos_key_free(op, r->off);
}

/* The single values of the range. */
static int
discard_singles(struct vos_agg *a, struct vos_op *op, const struct rec *r)
{
    struct vos_epoch from = {a->lo + 1, 0};
    struct vos_btr_key key = vos_key_epoch(&from);
    struct vos_ver ver;
    struct vos_btr t;
    bool exact;
    int rc = 0;

    while (rc == 0) {
        rc = vos_btr_init(&t, op, &vos_kind_single, r->tree, r->tree_off);
        if (rc == 0)
            rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = vos_btr_settle(&t);
        if (rc == 0)
            rc = vos_ver_get(op, vos_btr_rec(&t), &ver);
        if (rc != 0 || ver.epoch > a->hi || !may_work(a, op, VOS_AGG_AKEY))
            break;
        rc = single_free(a, op, &t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

static int
discard_akey(struct vos_agg *a, struct vos_op *op, struct cur *c, const struct rec *r)
{
    bool newer;
    int rc = 0;

    if (r->tree->id == VOS_TREE_SINGLE)
        rc = discard_singles(a, op, r);
    if (rc == 0 && r->tree->id == VOS_TREE_EXT && !vos_btr_is_empty(r->tree) && !a->pos.array_done)
        stop_at(a, VOS_AGG_AKEY, VOS_AGG_ARRAY);
    if (rc != 0 || a->state != VOS_AGG_ON)
        return rc;
    rc = tree_has_newer(a, op, r, &newer);
    if (rc != 0)
        return rc;
    a->pos.has_newer[VOS_AGG_AKEY] = newer;
    rc = discard_end(a, op, c, VOS_AGG_AKEY, r);
    if (a->state == VOS_AGG_WORK)
        stop_at(a, VOS_AGG_AKEY, VOS_AGG_WORK);
    return rc;
}

/* ---- the end of a level --------------------------------------------------------------------------------------------- */

/* Behind the last child of the object or dkey that pos is in. */
static int
level_end(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level)
{
    struct vos_agg_log log;
    struct rec r;
    int rc;

    if (level == VOS_AGG_OBJ) {
        a->state = VOS_AGG_END;
        return 0;
    }
    level--;
    rc = rec_get(op, level, c->rec[level], &r);
    if (rc == 0 && a->is_discard) {
        rc = discard_end(a, op, c, level, &r);
        if (rc != 0 || a->state != VOS_AGG_ON)
            return rc;
        log = (struct vos_agg_log){0};
    } else if (rc == 0)
        rc = rec_look(a, op, level, &r, &log);
    if (rc != 0)
        return rc;
    if (log.has_useless && !log.is_open && a->pos.is_clean[level]) {
        if (op->tx == NULL) {
            a->state = VOS_AGG_WORK; /* comes back to the end of the children */
            return 0;
        }
        vos_agg_touch(a);
        rc = log_trim(a, op, c, level, &r);
        if (rc != 0)
            return rc;
    } else if (log.has_useless && !(level == VOS_AGG_OBJ && a->pos.is_wanted))
        vos_agg_again(a, level != VOS_AGG_OBJ);
    if (level == VOS_AGG_OBJ) {
        a->pos.in_obj = false;
    } else {
        a->pos.in_dkey = false;
        a->pos.is_clean[VOS_AGG_OBJ] = a->pos.is_clean[VOS_AGG_OBJ] && a->pos.is_clean[level];
    }
    return 0;
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

/* Whether an array must be looked at by vos_agg_array(). */
static int
array_has_work(struct vos_agg *a, struct vos_op *op, const struct rec *r, bool *ret_has)
{
    struct vos_ver ext;
    uint32_t k;
    int rc;

    *ret_has = r->tree->depth > 0;
    if (r->tree->depth > 0 || r->tree->root == 0)
        return 0;
    rc = vos_ext_get(op, r->tree->root, &ext);
    if (rc != 0 || ext.epoch > a->hi)
        return rc;
    k = vos_agg_interval(a, ext.epoch);
    *ret_has = (ext.flags & VOS_VER_HOLE) != 0 ||
        !vos_epoch_gt(vos_ver_epoch(&ext), vos_agg_punch_at(&a->levels[VOS_AGG_AKEY], k));
    return *ret_has ? 0 : move_collect(a, &ext, r->tree->root);
}

static int
akey_visit(struct vos_agg *a, struct vos_op *op, const struct cur *c, const struct rec *r,
    const struct vos_agg_log *log)
{
    bool has = false;
    int rc = 0;

    a->pos.is_clean[VOS_AGG_AKEY] = a->pos.array_done ? a->pos.is_clean[VOS_AGG_AKEY] : true;
    if (r->tree->id == VOS_TREE_SINGLE) {
        rc = single_work(a, op, r);
    } else if (r->tree->id == VOS_TREE_EXT && !a->pos.array_done) {
        rc = array_has_work(a, op, r, &has);
        if (rc == 0 && has)
            stop_at(a, VOS_AGG_AKEY, VOS_AGG_ARRAY);
    }
    if (rc != 0 || a->state != VOS_AGG_ON)
        return rc;
    if (log->has_useless && a->pos.is_clean[VOS_AGG_AKEY]) {
        if (!may_work(a, op, VOS_AGG_AKEY))
            return 0;
        rc = log_trim(a, op, c, VOS_AGG_AKEY, r);
    }
    if (!a->pos.is_clean[VOS_AGG_AKEY]) {
        a->pos.is_clean[VOS_AGG_OBJ] = a->pos.is_clean[VOS_AGG_DKEY] = false;
        vos_agg_again(a, true);
    }
    return rc;
}

/* An object that nothing changed in since an earlier pass. */
static int
obj_skip(struct vos_agg *a, struct vos_op *op, uint64_t off, bool *ret_skip)
{
    struct vos_obj_df *obj;
    int rc = vos_obj_get(op, off, &obj);

    if (rc != 0)
        return rc;
    *ret_skip = obj->epoch_max <= a->lo &&
        !(a->uses_dirty && vos_dirty_has(&a->cont->dirty, vos_obj_hash(a->cont, &a->pos.oid)));
    if (*ret_skip) {
        a->stat.obj_skip_nr++;
    } else {
        a->stat.obj_nr++;
    }
    return 0;
}

/* The record at pos. */
static int
visit(struct vos_agg *a, struct vos_op *op, struct cur *c, uint32_t level, uint64_t off)
{
    struct vos_agg_log log;
    bool skip = false;
    struct rec r;
    int rc = 0;

    if (level == VOS_AGG_OBJ) {
        rc = obj_skip(a, op, off, &skip);
    } else {
        a->stat.key_nr++;
    }
    if (rc == 0)
        rc = rec_get(op, level, off, &r);
    if (rc != 0 || skip)
        return rc;
    if (vos_ilog_depth(r.ilog) >= 2 && !a->pos.log_done && !a->is_discard)
        return log_shorten(a, op, level, &r);
    if (op->tx != NULL && level == VOS_AGG_OBJ && a->touched_nr == VOS_AGG_TOUCH_NR) {
        stop_at(a, level, VOS_AGG_MORE);
        return 0;
    }
    if (op->tx != NULL && a->budget == 0) {
        stop_at(a, level, VOS_AGG_MORE);
        return 0;
    }
    if (a->is_discard) {
        if (level == VOS_AGG_AKEY)
            return discard_akey(a, op, c, &r);
        enter(a, c, level, &r);
        return 0;
    }
    rc = rec_look(a, op, level, &r, &log);
    if (rc != 0)
        return rc;
    if (log.is_open) {
        memset(a->pos.is_clean, 0, sizeof(a->pos.is_clean));
        vos_agg_again(a, level != VOS_AGG_OBJ);
        return 0;
    }
    if (!log.has_old && log.has_new)
        return 0; /* all of it is newer */
    if (!log.is_seen && !log.has_new)
        return dead_free(a, op, c, level, &r);
    if (level == VOS_AGG_AKEY)
        return akey_visit(a, op, c, &r, &log);
    enter(a, c, level, &r);
    return 0;
}

int
vos_agg_walk(struct vos_op *op, void *arg)
{
    struct vos_agg *a = arg;
    uint64_t rec = 0;
    uint32_t move_nr;
    struct cur c;
    int rc;

    memset(&c, 0, sizeof(c));
    rc = reenter(a, op, &c);
    while (rc == 0 && a->state == VOS_AGG_ON) {
        uint32_t level = !a->pos.in_obj ? VOS_AGG_OBJ
            : !a->pos.in_dkey           ? VOS_AGG_DKEY
                                        : VOS_AGG_AKEY;

        if (op->steps_left == 0) {
            a->state = VOS_AGG_MORE;
            break;
        }
        op->steps_left--;
        rc = rec_next(a, op, &c, level, &rec);
        if (rc == -DER_INPROGRESS) {
            a->state = VOS_AGG_MORE;
            rc = 0;
        } else if (rc == -DER_NONEXIST) {
            rc = level_end(a, op, &c, level);
        } else if (rc == 0) {
            rc = pos_set(a, op, &c, level, rec);
            if (rc != 0)
                break;
            move_nr = vos_agg_move_nr(a);
            rc = visit(a, op, &c, level, rec);
            if (rc == -DER_AGAIN) {
                vos_agg_move_cut(a, move_nr);
                stop_at(a, level, VOS_AGG_ON); /* a page is missing: here again */
            }
        }
    }
    return rc;
}

int
vos_agg_akey_get(struct vos_agg *a, struct vos_op *op, struct vos_key_df **ret_akey, uint64_t *ret_off)
{
    struct cur c;
    struct rec r;
    int rc;

    *ret_off = 0;
    memset(&c, 0, sizeof(c));
    rc = reenter(a, op, &c);
    if (rc != 0 || !a->pos.in_dkey)
        return rc;
    rc = rec_find(a, op, &c, VOS_AGG_AKEY, &c.t[VOS_AGG_AKEY], ret_off);
    if (rc == 0 && *ret_off != 0)
        rc = rec_get(op, VOS_AGG_AKEY, *ret_off, &r);
    if (rc == 0 && *ret_off != 0 && !a->is_discard) {
        rc = punches_read(a, op, r.ilog, r.ilog_off, &a->levels[VOS_AGG_DKEY],
            &a->levels[VOS_AGG_AKEY], &(struct vos_agg_log){0});
    }
    return rc != 0 || *ret_off == 0 ? rc : vos_key_get(op, *ret_off, ret_akey);
}
