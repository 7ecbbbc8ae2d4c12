/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole target: format, open, commit, checkpoint, crash, replay; errors of disks; damage; another system's files.
 */
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/probe.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"

static void
body_round_trip(struct fix *f)
{
    struct bio_stats st;
    struct bio_cfg cfg;
    bool yes = true;

    EXPECT_OK(bio_formatted(f->xs, &f->cfg, &yes));
    EXPECT(!yes);
    EXPECT_ERR(bio_open(f->xs, &f->cfg, &f->tgt), NONEXIST);
    if (!fix_tgt_new(f))
        return;
    cfg = f->cfg;
    cfg.pending = NULL;
    EXPECT_OK(bio_formatted(f->xs, &cfg, &yes));
    EXPECT(yes);
    EXPECT_ERR(bio_format(f->xs, &cfg), EXIST);
    push_to(f->tgt, 300, 100);
    EXPECT_EQ(list_check(f->tgt), 300);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);

    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    bio_stats_get(f->tgt, &st);
    EXPECT_EQ(st.replayed_records_nr, 0); /* closed with a checkpoint */
    EXPECT_EQ(list_check(f->tgt), 300);
    push_to(f->tgt, 600, 100);
    EXPECT_OK(bio_checkpoint(f->tgt));
    bio_stats_get(f->tgt, &st);
    EXPECT_EQ(st.wal_blocks_used, 0);
    push_to(f->tgt, 700, 5000);
    EXPECT_EQ(list_check(f->tgt), 700);
    EXPECT_OK(bio_check(f->tgt));
    EXPECT_EQ(bio_cfg(f->tgt)->wal_bytes, 16 << 20);
    EXPECT_EQ(bio_cfg(f->tgt)->meta_bytes, 8 << 20);
    EXPECT_OK(bio_status(f->tgt));
    fix_tgt_close(f);
}

/* Goal: what was committed is there after close and open; format is done once. */
TEST_ON(bio_tgt, round_trip, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_round_trip);
    fix_fini(&f);
}

static void
body_fill(struct fix *f)
{
    if (f->tgt == NULL && !fix_tgt_new(f))
        return;
    push_to(f->tgt, list_nr(f->tgt) + 200, 700);
}

static void
body_reopen(struct fix *f)
{
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    EXPECT_OK(bio_check(f->tgt));
    EXPECT_EQ(list_check(f->tgt), *(uint64_t *)f->arg);
}

/* Goal: acknowledged transactions survive kill -9 and power loss, many times over, with and without checkpoints between. */
TEST_ON(bio_tgt, crash_and_replay, BACKEND_SIM)
{
    struct fix f;
    uint64_t want = 0;

    if (!fix_init(&f))
        return;
    f.arg = &want;
    for (uint32_t round = 0; round < 40 && !test_failed(); round++) {
        if (round > 0)
            fix_run(&f, body_reopen);
        fix_run(&f, body_fill);
        want += 200;
        if (round % 3 == 2)
            sim_run_for(f.sim, UINT64_C(6) * 1000000000); /* the interval's checkpoint */
        fix_crash(&f, round % 2 == 0);
    }
    fix_run(&f, body_reopen);
    fix_fini(&f);
}

static void
body_one_more(struct fix *f)
{
    push_to(f->tgt, list_nr(f->tgt) + 1, 700);
}

/* Goal: a change after long idleness waits for the interval like any other: what follows it goes along. */
TEST_ON(bio_tgt, interval_begins_with_first_change, BACKEND_SIM)
{
    const uint64_t second = UINT64_C(1000000000);
    struct bio_stats idle, st;
    struct fix f;

    if (!fix_init(&f))
        return;
    fix_run(&f, body_fill);
    sim_run_for(f.sim, 60 * second);
    bio_stats_get(f.tgt, &idle);
    EXPECT_GT(idle.ckpt_nr, 0);
    fix_run(&f, body_one_more);
    sim_run_for(f.sim, 4 * second);
    bio_stats_get(f.tgt, &st);
    EXPECT_EQ(st.ckpt_nr, idle.ckpt_nr);
    sim_run_for(f.sim, 2 * second);
    bio_stats_get(f.tgt, &st);
    EXPECT_EQ(st.ckpt_nr, idle.ckpt_nr + 1);
    sim_run_for(f.sim, 60 * second);
    bio_stats_get(f.tgt, &st);
    EXPECT_EQ(st.ckpt_nr, idle.ckpt_nr + 1); /* and then rests */
    fix_fini(&f);
}

static void
body_many(struct fix *f)
{
    struct bio_stats st;

    if (!fix_tgt_new(f))
        return;
    /* Rewrite the same nodes again and again: several times the log. */
    push_to(f->tgt, 1000, 1000);
    for (uint32_t i = 0; i < 40000 && !test_failed(); i++) {
        struct umem *um = bio_umem(f->tgt);
        struct umem_tx tx;
        uint64_t lsn = 0;

        EXPECT_OK(umem_tx_admit(um));
        EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
        struct node *node = umem_ptr(um, ((struct root *)umem_ptr(um, umem_root(um)))->head);
        EXPECT_OK(umem_tx_range(&tx, ((struct root *)umem_ptr(um, umem_root(um)))->head, 1000));
        node->value = node->value + 0;
        umem_tx_commit(&tx, &lsn);
        if (i % 64 == 0)
            EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    }
    bio_stats_get(f->tgt, &st);
    EXPECT_GT(st.wal_bytes, 32 << 20);
    EXPECT_GT(st.ckpt_nr, 2);
    EXPECT_EQ(list_check(f->tgt), 1000);
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    EXPECT_EQ(list_check(f->tgt), 1000);
    fix_tgt_close(f);
}

/* Goal: the log goes round; admission waits for checkpoints and nothing else stops. */
TEST_ON(bio_tgt, log_goes_round, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_many);
    fix_fini(&f);
}

/* ---- many at a time ---------------------------------------------------------------------------------------------------- */

enum { MANY_NR = 16, MANY_BYTES = 6000 };

/* The user's root. */
struct many_root {
    uint64_t total;
    uint64_t counts[MANY_NR];
    uint64_t pads[MANY_NR]; /* blocks, filled with the count */
};

struct many {
    struct fix *f;
    uint64_t acked[MANY_NR], total_acked;
    uint64_t left_nr;
    uint32_t next; /* number of the next writer */
};

static struct many_root *
many_root(struct fix *f)
{
    return umem_ptr(bio_umem(f->tgt), umem_root(bio_umem(f->tgt)));
}

static void
many_writer(void *arg)
{
    struct many *m = arg;
    struct bio_tgt *tgt = m->f->tgt;
    struct umem *um = bio_umem(tgt);
    struct many_root *root = many_root(m->f);
    uint32_t i = m->next++;

    while (m->left_nr > 0) {
        uint64_t lsn = 0, off = umem_root(um), total;
        struct umem_tx tx;

        m->left_nr--;
        if (!EXPECT_OK(umem_tx_admit(um)) || !EXPECT_OK(umem_tx_begin(um, 0, 0, &tx)))
            return;
        if (root->pads[i] == 0) {
            EXPECT_OK(umem_tx_range(&tx, off, sizeof(*root)));
            EXPECT_OK(umem_alloc(&tx, MANY_BYTES, &root->pads[i]));
        }
        EXPECT_OK(umem_tx_range(&tx, off, 8));
        EXPECT_OK(umem_tx_range(&tx, off + offsetof(struct many_root, counts) + 8 * i, 8));
        EXPECT_OK(umem_tx_range(&tx, root->pads[i], MANY_BYTES));
        total = ++root->total;
        root->counts[i]++;
        memset(umem_ptr(um, root->pads[i]), (int)root->counts[i], MANY_BYTES);
        umem_tx_commit(&tx, &lsn);
        if (bio_wal_wait(tgt, lsn) != 0)
            return;
        m->acked[i]++;
        m->total_acked = MAX(m->total_acked, total);
    }
}

static void
body_many_at_a_time(struct fix *f)
{
    struct many *m = f->arg;
    struct ult *ults[MANY_NR];

    if (f->tgt == NULL && !fix_tgt_new(f))
        return;
    m->f = f;
    m->next = 0;
    for (uint32_t i = 0; i < MANY_NR; i++) {
        EXPECT_OK(ult_create(f->xs, ULT_SERVICE, many_writer, m, &ults[i]));
    }
    for (uint32_t i = 0; i < MANY_NR; i++) {
        ult_join(ults[i]);
    }
}

static void
body_many_check(struct fix *f)
{
    struct many *m = f->arg;
    struct many_root *root;
    uint64_t sum = 0;

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    EXPECT_OK(bio_check(f->tgt));
    root = many_root(f);
    for (uint32_t i = 0; i < MANY_NR; i++) {
        const uint8_t *pad = umem_ptr(bio_umem(f->tgt), root->pads[i]);

        EXPECT_LE(m->acked[i], root->counts[i]);
        EXPECT_LE(root->counts[i], m->acked[i] + 1);
        for (uint32_t b = 0; root->pads[i] != 0 && b < MANY_BYTES; b++) {
            EXPECT_EQ(pad[b], (uint8_t)root->counts[i]);
        }
        sum += root->counts[i];
        m->acked[i] = root->counts[i];
    }
    /* A prefix of what was committed, with all that was acknowledged in it. */
    EXPECT_EQ(root->total, sum);
    EXPECT_LE(m->total_acked, sum);
    m->total_acked = sum;
}

/*
 * Goal: with 16 writers groups are written at the same time, and still what survives a loss of power at any moment is everything that was
 * acknowledged, in the order of the commits, without a gap.
 */
TEST_ON(bio_tgt, groups_at_the_same_time, BACKEND_SIM)
{
    struct fix f;
    struct many m = {0};
    struct bio_stats st;
    uint64_t probes = probe_hits("bio.replay.group_beyond_tail"), open_nr_max = 0;

    if (!fix_init(&f))
        return;
    f.arg = &m;
    for (uint32_t round = 0; round < 60 && !test_failed(); round++) {
        f.cfg.wal_halves = round % 2 == 0 ? BIO_HALVES_PAY : BIO_HALVES_ALWAYS;
        if (round > 0)
            fix_run(&f, body_many_check);
        m.left_nr = round == 0 ? 300 : UINT64_MAX;
        if (round == 0) {
            fix_run(&f, body_many_at_a_time);
        } else {
            f.fn = body_many_at_a_time;
            EXPECT_OK(xstream_post(f.xs, ULT_SERVICE, fix_ult, &f));
            sim_run_for(f.sim, 500000 + round * 37123);
        }
        bio_stats_get(f.tgt, &st);
        open_nr_max = MAX(open_nr_max, st.wal_open_nr_max);
        fix_crash(&f, round % 4 != 3);
    }
    if (f.cfg.is_pmem) {
        EXPECT_EQ(open_nr_max, 1); /* a write is a copy */
    } else {
        EXPECT_GT(open_nr_max, 1);
        EXPECT_LE(open_nr_max, BIO_WAL_FLIGHT_NR);
        EXPECT_GT(probe_hits("bio.replay.group_beyond_tail"), probes); /* it did happen */
    }
    fix_run(&f, body_many_check);
    fix_fini(&f);
}

/* The roles `wal` and `data` of a target on persistent memory go away under it: files that are cut. */
static void
body_pmem_gone(struct fix *f)
{
    struct bio_resv *resv = NULL;
    char path[300];
    void *buf = NULL;
    uint64_t lsn = 0;

    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, 100, 100);
    EXPECT_OK(bio_buf_get(f->tgt, BIO_BLK_BYTES, &buf));
    EXPECT_OK(bio_ext_reserve(f->tgt, BIO_BLK_BYTES, 0, &resv));
    EXPECT_OK(bio_data_write(f->tgt, bio_resv_ext(resv).addr, buf, BIO_BLK_BYTES));
    snprintf(path, sizeof(path), "%.250s/data", f->cfg.dir);
    EXPECT(truncate(path, BIO_BLK_BYTES) == 0);
    EXPECT_ERR(bio_data_read(f->tgt, bio_resv_ext(resv).addr, buf, BIO_BLK_BYTES), NVME_IO);
    EXPECT_OK(bio_status(f->tgt)); /* an error of that read */
    bio_ext_cancel(f->tgt, resv);
    bio_buf_put(f->tgt, buf, BIO_BLK_BYTES);
    push_to(f->tgt, 101, 100);
    snprintf(path, sizeof(path), "%.250s/wal", f->cfg.dir);
    EXPECT(truncate(path, BIO_BLK_BYTES) == 0);
    EXPECT_OK(push(f->tgt, 102, 100, &lsn));
    EXPECT_ERR(bio_wal_wait(f->tgt, lsn), NVME_IO);
    EXPECT_ERR(bio_status(f->tgt), NVME_IO);
    EXPECT_ERR(push(f->tgt, 103, 100, &lsn), NVME_IO);
    fix_tgt_close(f);
    EXPECT_ERR(bio_open(f->xs, &f->cfg, &f->tgt), DF_INVAL); /* shorter than its format */
}

/* Goal: persistent memory that fails stops its target, and not the process. */
TEST_LINUX(bio_tgt, pmem_gone, "a signal of the kernel")
{
    struct statfs sfs;
    struct fix f;

    if (getenv("BIO_TEST_DEV") != NULL ||
        (EXPECT(statfs(test_tmpdir(), &sfs) == 0) && sfs.f_type == TMPFS_MAGIC)) {
        TEST_SKIP("files on a disk are mapped, neither devices nor files on tmpfs");
        return;
    }
    if (!fix_pmem_is_there())
        return;
    if (fix_init(&f)) {
        f.cfg.is_pmem = true;
        fix_run(&f, body_pmem_gone);
    }
    fix_fini(&f);
}
