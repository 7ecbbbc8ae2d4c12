/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: an incarnation log answers like a list of events. Method: every history of up to five events (creation or punch, at five epochs, two minors),
 * read at every epoch below every possible punch of an ancestor; then one very long history, so that the log is a tall tree.
 */
#include "vos_test_fix.h"

enum { EPOCHS = 3, MINORS = 2, EVENTS = 4, LONG_NR = 5000 };

struct event {
    struct vos_epoch at;
    bool is_punch;
};

struct il {
    struct vos_tgt tgt;
    struct event events[LONG_NR];
    uint32_t nr;
    struct event add;
    uint64_t read_epoch;
    struct vos_epoch parent;
    struct vos_ilog_info info;
    bool reset, drained;
};

static struct vos_ilog_df *
ilog_of(struct vos_op *op)
{
    return umem_ptr(op->um, umem_root(op->um));
}

static int
add_body(struct vos_op *op, void *arg)
{
    struct il *l = arg;
    struct vos_ilog_df *ilog = ilog_of(op);
    uint32_t budget = UINT32_MAX;
    int rc;

    if (ilog == NULL)
        return -DER_AGAIN;
    if (l->reset) {
        rc = vos_ilog_drain(op, ilog, umem_root(op->um), &budget, &l->drained);
        if (rc == 0)
            rc = vos_range(op, umem_root(op->um), sizeof(*ilog));
        if (rc == 0)
            memset(ilog, 0, sizeof(*ilog));
        return rc;
    }
    op->epoch = l->add.at.epoch;
    op->minor = l->add.at.minor;
    return vos_ilog_add(op, ilog, umem_root(op->um), l->add.is_punch);
}

static int
read_body(struct vos_op *op, void *arg)
{
    struct il *l = arg;
    struct vos_ilog_df *ilog = ilog_of(op);

    if (ilog == NULL)
        return -DER_AGAIN;
    return vos_ilog_read(op, ilog, umem_root(op->um), l->read_epoch, l->parent, &l->info);
}

static void
add(struct il *l, struct event ev)
{
    struct vos_op op;
    uint64_t lsn;

    vos_op_init(&op, &l->tgt);
    l->add = ev;
    EXPECT_OK(vos_tx_run(&l->tgt, &op, 0, 1, add_body, l, &lsn));
    l->events[l->nr++] = ev;
}

static void
reset(struct il *l)
{
    struct vos_op op;
    uint64_t lsn;

    vos_op_init(&op, &l->tgt);
    l->reset = true;
    EXPECT_OK(vos_tx_run(&l->tgt, &op, 0, 1, add_body, l, &lsn));
    EXPECT(l->drained);
    l->reset = false;
    l->nr = 0;
}

/* The newest creation and punch at or below the epoch. Within an epoch the last of each kind counts, as the log keeps it. */
static void
compare(struct il *l)
{
    struct vos_epoch create = {0, 0}, punch = l->parent;
    struct vos_op op;

    for (uint32_t i = 0; i < l->nr; i++) {
        const struct event *ev = &l->events[i];

        if (ev->at.epoch > l->read_epoch)
            continue;
        if (ev->is_punch && vos_epoch_gt(ev->at, punch))
            punch = ev->at;
        if (!ev->is_punch && vos_epoch_gt(ev->at, create))
            create = ev->at;
    }
    vos_op_init(&op, &l->tgt);
    if (!EXPECT_OK(vos_read_run(&l->tgt, &op, read_body, l)))
        return;
    EXPECT_EQ(l->info.is_visible, create.epoch != 0 && vos_epoch_gt(create, punch));
    EXPECT_EQ(l->info.punch.epoch, punch.epoch);
    EXPECT_EQ(l->info.punch.minor, punch.minor);
    if (l->info.is_visible) {
        EXPECT_EQ(l->info.create.epoch, create.epoch);
        EXPECT_EQ(l->info.create.minor, create.minor);
    }
}

static void
compare_everywhere(struct il *l)
{
    for (l->read_epoch = 0; l->read_epoch <= EPOCHS + 1; l->read_epoch++) {
        l->parent = (struct vos_epoch){0, 0};
        compare(l);
        for (uint64_t p = 1; p <= l->read_epoch && p <= EPOCHS; p++) {
            l->parent = (struct vos_epoch){p, 1};
            compare(l);
        }
    }
}

/* Events are tried in every order of epochs, for transactions need not arrive in order; minors of one epoch grow. */
static void
histories(struct il *l, uint32_t depth, struct event *evs)
{
    if (depth == EVENTS) {
        reset(l);
        for (uint32_t i = 0; i < EVENTS; i++) {
            add(l, evs[i]);
        }
        compare_everywhere(l);
        return;
    }
    for (uint64_t e = 1; e <= EPOCHS; e++) {
        uint16_t minor = 1;

        for (uint32_t i = 0; i < depth; i++) {
            minor += evs[i].at.epoch == e;
        }
        if (minor > MINORS)
            continue;
        for (int punch = 0; punch < 2 && !test_failed(); punch++) {
            evs[depth] = (struct event){{e, minor}, punch != 0};
            histories(l, depth + 1, evs);
        }
    }
}

static bool
il_up(struct fix *f, struct il *l)
{
    EXPECT_OK(bio_format(f->xs, &f->cfg));
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)))
        return false;
    l->tgt.bio = f->bio;
    l->tgt.um = bio_umem(f->bio);
    l->tgt.hash_mask = UINT64_MAX;
    return true;
}

static void
short_histories(struct fix *f)
{
    struct il *l = calloc(1, sizeof(*l));
    struct event evs[EVENTS];

    if (il_up(f, l))
        histories(l, 0, evs);
    bio_close(f->bio);
    f->bio = NULL;
    free(l);
}

static void
long_history(struct fix *f)
{
    struct il *l = calloc(1, sizeof(*l));
    struct umem_stats before, after;

    if (!il_up(f, l))
        return;
    umem_stats_get(l->tgt.um, &before);
    for (uint32_t i = 0; i < LONG_NR && !test_failed(); i++) {
        /* Mostly growing, some late. */
        uint64_t e = 10 + 2 * (uint64_t)i -
            (i > 50 && rng_chance(&f->rng, 1, 10) ? 2 * rng_below(&f->rng, 50) + 1 : 0);

        for (uint32_t j = 0; j < l->nr; j++) {
            e += l->events[j].at.epoch == e;
        }
        add(l, (struct event){{e, 1}, rng_chance(&f->rng, 1, 2)});
        if (i % 20 == 0) {
            l->read_epoch = rng_below(&f->rng, 2 * i + 20);
            l->parent = (struct vos_epoch){rng_below(&f->rng, l->read_epoch + 1), 1};
            compare(l);
        }
        umem_evict(l->tgt.um, 1, rng_u64(&f->rng));
        if (i % 500 == 0)
            EXPECT_OK(bio_checkpoint(f->bio));
    }
    reset(l);
    umem_stats_get(l->tgt.um, &after);
    EXPECT_EQ(before.used_bytes, after.used_bytes);
    bio_close(f->bio);
    f->bio = NULL;
    free(l);
}

TEST_ON(vos_ilog, short_histories, BACKEND_SIM)
{
    fix_body(short_histories);
}

TEST_ON(vos_ilog, long_history, BACKEND_SIM)
{
    fix_body(long_history);
}
