/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A whole target: format, open, commit, checkpoint, crash, replay; errors of disks; damage; another system's files.
 */
#include <stdio.h>

#include "base/log.h"
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
