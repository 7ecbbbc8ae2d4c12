/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what a search and sweep of the extent tree shows equals, at every index, the newest extent of a plain list. Method: random extents at
 * random epochs (not in order), some taken out again, searches of random ranges at random epochs above random punches, in tiny steps with
 * pages evicted in between and the tree said to have changed; the tree is checked as a whole now and then.
 */
#include "base/crc.h"
#include "vos/vos_evtree.h"
#include "vos_test_fix.h"

enum { IDX_NR = 4000, EXT_NR = 2500, EPOCH_NR = 500 };

struct model_ext {
    uint64_t lo, hi;
    struct vos_epoch ver;
    bool is_hole, is_in;
    uint64_t rec;
};

struct ev {
    struct fix *f;
    struct vos_tgt tgt;
    struct model_ext exts[EXT_NR];
    uint32_t nr;
    struct model_ext *cur;
    struct vos_evt_search search;
    uint32_t steps;
    uint32_t changes_in; /* the tree is said to have changed at every so manieth step; 0: never */
    uint32_t calls, plain_nr;
};

static int
ext_create(struct ev *e, struct vos_op *op)
{
    struct model_ext *m = e->cur;
    uint32_t len = m->is_hole ? 0 : (uint32_t)(m->hi - m->lo + 1);
    struct vos_ver ver = {.is_ext = true,
        .epoch = m->ver.epoch,
        .minor = m->ver.minor,
        .flags = m->is_hole ? VOS_VER_HOLE : VOS_VER_INLINE,
        .stored_len = len,
        .logical_len = len,
        .csum = vos_csum_default(),
        .lo = m->lo,
        .hi = m->hi};

    return vos_ver_create(op, &ver, &m->rec);
}

static struct vos_tree_df *
root_get(struct vos_op *op)
{
    return umem_ptr(op->um, umem_root(op->um));
}

static int
insert_body(struct vos_op *op, void *arg)
{
    struct ev *e = arg;
    int rc = root_get(op) == NULL ? -DER_AGAIN : ext_create(e, op);

    return rc != 0 ? rc : vos_evt_insert(op, root_get(op), umem_root(op->um), e->cur->rec);
}

static int
delete_body(struct vos_op *op, void *arg)
{
    struct ev *e = arg;
    struct vos_btr_key key = {.hkey = e->cur->lo, .buf = &e->cur->ver, .len = sizeof(e->cur->ver)};
    struct vos_ver ver;
    struct vos_btr t;
    bool exact = false;
    int rc = root_get(op) == NULL
        ? -DER_AGAIN
        : vos_btr_init(&t, op, &vos_kind_ext, root_get(op), umem_root(op->um));

    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0)
        rc = vos_ver_get(op, e->cur->rec, &ver);
    if (rc != 0)
        return rc;
    EXPECT(exact);
    EXPECT_EQ(vos_btr_rec(&t), e->cur->rec);
    rc = vos_btr_delete(&t);
    return rc != 0 ? rc : vos_ver_free(op, e->cur->rec, &ver);
}

/* In steps of a few nodes; misses come from evictions between them. */
static int
search_body(struct vos_op *op, void *arg)
{
    struct ev *e = arg;

    op->steps_left = e->steps;
    if (e->changes_in != 0 && ++e->calls % e->changes_in == 0)
        e->search.gen++;
    return root_get(op) == NULL ? -DER_AGAIN
                                : vos_evt_collect(op, root_get(op), umem_root(op->um), &e->search);
}

static int
check_body(struct vos_op *op, void *arg)
{
    struct ev *e = arg;
    struct vos_btr t;
    uint64_t hi_max = 0, want = 0;
    uint32_t nr = 0, want_nr = 0;
    int rc = root_get(op) == NULL
        ? -DER_AGAIN
        : vos_btr_init(&t, op, &vos_kind_ext, root_get(op), umem_root(op->um));

    if (rc == 0)
        rc = vos_btr_first(&t);
    while (rc == 0) {
        nr++;
        rc = vos_btr_check_at(&t);
        if (rc == 0)
            rc = vos_btr_next(&t);
    }
    if (rc != -DER_NONEXIST)
        return rc;
    rc = vos_evt_hi_max(op, root_get(op), umem_root(op->um), &hi_max);
    if (rc == -DER_AGAIN)
        return rc;
    for (uint32_t i = 0; i < e->nr; i++) {
        want_nr += e->exts[i].is_in;
        if (e->exts[i].is_in)
            want = MAX(want, e->exts[i].hi);
    }
    EXPECT_EQ(nr, want_nr);
    EXPECT_EQ(hi_max, want);
    EXPECT_EQ(rc, want_nr == 0 ? -DER_NONEXIST : 0);
    return 0;
}

static const struct model_ext *
model_at(const struct ev *e, uint64_t idx)
{
    const struct model_ext *best = NULL;

    for (uint32_t i = 0; i < e->nr; i++) {
        const struct model_ext *m = &e->exts[i];

        if (m->is_in && m->lo <= idx && idx <= m->hi && m->ver.epoch <= e->search.epoch &&
            vos_epoch_gt(m->ver, e->search.punch) &&
            (best == NULL || vos_epoch_gt(m->ver, best->ver)))
            best = m;
    }
    return best;
}

static void
compare(struct ev *e)
{
    uint64_t pos = e->search.lo;

    for (uint32_t k = 0; k < e->search.piece_nr && !test_failed(); k++) {
        const struct vos_evt_piece *p = &e->search.pieces[k];
        const struct model_ext *at;

        EXPECT_GE(p->lo, pos);
        EXPECT_LE(p->hi, e->search.hi);
        for (uint64_t i = pos; i < p->lo; i++) {
            EXPECT(model_at(e, i) == NULL);
        }
        for (uint64_t i = p->lo; i <= p->hi && !test_failed(); i++) {
            at = model_at(e, i);
            if (!EXPECT(at != NULL))
                return;
            EXPECT_EQ(p->rec, at->rec);
            EXPECT_EQ(p->ext_lo, at->lo);
            EXPECT_EQ(p->ver.minor, at->ver.minor);
            EXPECT_EQ(p->is_hole, at->is_hole);
        }
        pos = p->hi + 1;
    }
    for (uint64_t i = pos; i <= e->search.hi && !test_failed(); i++) {
        EXPECT(model_at(e, i) == NULL);
    }
}

static void at_once(struct ev *e);

static void
search_once(struct ev *e)
{
    struct rng *r = &e->f->rng;
    uint64_t lo = rng_below(r, IDX_NR), epoch = 1 + rng_below(r, EPOCH_NR);
    uint64_t len = rng_chance(r, 1, 2) ? MIN(IDX_NR - lo, 300) : IDX_NR - lo;
    struct vos_epoch punch = {0, 0};
    struct vos_op op;

    if (rng_chance(r, 1, 2))
        punch = (struct vos_epoch){rng_below(r, epoch + 1), (uint16_t)rng_below(r, 3)};
    vos_evt_begin(&e->search, &e->tgt.heap, lo, lo + rng_below(r, len), epoch, punch);
    e->steps = 1 + (uint32_t)rng_below(r, 12) * 8;
    e->changes_in = rng_chance(r, 1, 2) ? 0 : 1 + (uint32_t)rng_below(r, 6);
    /* A plain search must have room for a way down. */
    if (e->changes_in != 0)
        e->steps += 20;
    vos_op_init(&op, &e->tgt);
    if (EXPECT_OK(vos_read_run(&e->tgt, &op, search_body, e)))
        compare(e);
    e->plain_nr += e->search.is_plain;
    vos_evt_fini(&e->search);
    at_once(e);
}

struct at {
    struct ev *e;
    uint64_t lo, hi, epoch;
    bool found;
};

static int
at_body(struct vos_op *op, void *arg)
{
    struct at *a = arg;

    return root_get(op) == NULL ? -DER_AGAIN
                                : vos_evt_at(op, root_get(op), umem_root(op->um), a->lo, a->hi,
                                      a->epoch, &a->e->tgt.heap, &a->found);
}

static void
at_once(struct ev *e)
{
    struct rng *r = &e->f->rng;
    struct at a = {.e = e, .lo = rng_below(r, IDX_NR), .epoch = 1 + rng_below(r, EPOCH_NR)};
    bool want = false;
    struct vos_op op;

    a.hi = a.lo + rng_below(r, 100);
    for (uint32_t i = 0; i < e->nr; i++) {
        const struct model_ext *m = &e->exts[i];

        want = want || (m->is_in && m->ver.epoch == a.epoch && m->lo <= a.hi && a.lo <= m->hi);
    }
    vos_op_init(&op, &e->tgt);
    EXPECT_OK(vos_read_run(&e->tgt, &op, at_body, &a));
    EXPECT_EQ(a.found, want);
}

static bool
is_taken(struct ev *e, const struct model_ext *m)
{
    for (uint32_t i = 0; i < e->nr; i++) {
        const struct model_ext *x = &e->exts[i];

        if (x->is_in && x->ver.epoch == m->ver.epoch && x->ver.minor == m->ver.minor &&
            x->lo <= m->hi && m->lo <= x->hi)
            return true;
    }
    return false;
}

static void
insert_once(struct ev *e)
{
    struct rng *r = &e->f->rng;
    struct model_ext *m = &e->exts[e->nr];
    struct vos_op op;
    uint64_t lsn;

    do {
        m->lo = rng_below(r, IDX_NR - 1);
        /* Mostly short ones, some long, some that begin where others do. */
        m->hi = m->lo + rng_below(r, rng_chance(r, 1, 10) ? IDX_NR - m->lo : MIN(60, IDX_NR - m->lo));
        if (rng_chance(r, 1, 5) && e->nr > 0) {
            uint64_t lo = e->exts[rng_below(r, e->nr)].lo;

            m->lo = MIN(lo, m->hi);
        }
        m->ver = (struct vos_epoch){1 + rng_below(r, EPOCH_NR), (uint16_t)(1 + rng_below(r, 3))};
        m->is_hole = rng_chance(r, 1, 8) || m->hi - m->lo >= 4096;
    } while (is_taken(e, m));
    e->cur = m;
    vos_op_init(&op, &e->tgt);
    if (!EXPECT_OK(vos_tx_run(&e->tgt, &op, 0, 1, insert_body, e, &lsn)))
        return;
    m->is_in = true;
    e->nr++;
    if (rng_chance(r, 1, 4)) {
        e->cur = &e->exts[rng_below(r, e->nr)];
        vos_op_init(&op, &e->tgt);
        if (e->cur->is_in) {
            EXPECT_OK(vos_tx_run(&e->tgt, &op, 0, 1, delete_body, e, &lsn));
            e->cur->is_in = false;
        }
    }
}

static void
model(struct fix *f)
{
    struct ev *e = calloc(1, sizeof(*e));
    struct umem_stats stats;
    struct vos_op op;
    uint64_t lsn;

    EXPECT_OK(bio_format(f->xs, &f->cfg));
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)))
        return;
    e->f = f;
    e->tgt.bio = f->bio;
    e->tgt.um = bio_umem(f->bio);
    e->tgt.hash_mask = UINT64_MAX;
    vos_heap_init(&e->tgt.heap);
    while (e->nr < EXT_NR && !test_failed()) {
        insert_once(e);
        if (e->nr % 4 == 0)
            search_once(e);
        if (e->nr % 300 == 0) {
            EXPECT_OK(bio_checkpoint(f->bio));
            umem_evict(e->tgt.um, 1000, rng_u64(&f->rng));
            vos_op_init(&op, &e->tgt);
            EXPECT_OK(vos_read_run(&e->tgt, &op, check_body, e));
        }
        umem_evict(e->tgt.um, 2, rng_u64(&f->rng));
    }
    umem_stats_get(e->tgt.um, &stats);
    EXPECT_GT(stats.misses_nr, 100);
    EXPECT_GT(e->plain_nr, 5);
    /* Everything out again, in an order of its own. */
    for (uint32_t i = 0; i < e->nr; i++) {
        e->cur = &e->exts[(i * 977u) % EXT_NR];
        if (!e->cur->is_in)
            continue;
        vos_op_init(&op, &e->tgt);
        EXPECT_OK(vos_tx_run(&e->tgt, &op, 0, 1, delete_body, e, &lsn));
        e->cur->is_in = false;
    }
    vos_op_init(&op, &e->tgt);
    EXPECT_OK(vos_read_run(&e->tgt, &op, check_body, e));
    EXPECT_OK(umem_check(e->tgt.um));
    bio_close(f->bio);
    f->bio = NULL;
    free(e);
}

TEST_ON(vos_evtree, model, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, model));
    fix_down(&f);
}
