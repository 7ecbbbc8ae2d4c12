/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Crash sweep of the clock's bound (ST-6) around a clean stop, which stores the last epoch used. Power is cut at the n-th write or sync of a life that
 * uses epochs, settles the bound, goes on serving although nobody should, and closes. Whatever the moment, the next life begins above every epoch that
 * the one before let anybody see; after the whole stop it begins at the wall clock. The bound is moved by epochs that are taken and by changes at epochs of others that are ahead; each in
 * a part of the life of its own, since what one moved the other finds moved.
 */
#include "vos/test/vos_test_fix.h"

/* f->seq: the highest epoch seen; it lies outside of the process. */

static void
see(struct fix *f, uint64_t epoch)
{
    EXPECT_GT(epoch, f->seq);
    f->seq = MAX(f->seq, epoch);
}

static void
change(struct fix *f, uint64_t epoch)
{
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 5, .data = IOV("value")};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .epoch = epoch};
    struct vos_apply_ret ret;

    if (EXPECT_OK(vos_apply(f->cont, &args, &ret)))
        see(f, ret.epoch);
}

/* Nobody's clock but those of clients: the changes alone move the bound. */
static void
use_ahead(struct fix *f)
{
    for (uint32_t i = 0; i < 3; i++) {
        change(f, hlc_add_ns(hlc_from_unix_ns(plat_wall_ns(f->plat)), 900000000));
        ult_sleep(400000000);
    }
}

static void
use(struct fix *f)
{
    uint64_t epoch = 0;

    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
        see(f, epoch);
        change(f, 0);
        ult_sleep(400000000);
    }
    EXPECT_OK(vos_epoch_recv(f->tgt, hlc_add_ns(f->seq, 500000000))); /* of a peer that is ahead */
    f->seq = hlc_add_ns(f->seq, 500000000);
}

static void
setup(struct fix *f)
{
    if (fix_format(f))
        fix_close(f);
}

static void
life(struct fix *f)
{
    if (!fix_open(f))
        return;
    ult_sleep(1000000000); /* the bound of a new store is ahead */
    use_ahead(f);
    EXPECT_OK(vos_bound_settle(f->tgt));
    use(f);
    EXPECT_OK(vos_bound_settle(f->tgt));
    use_ahead(f);
    fix_close(f);
}

static uint64_t
first_epoch(struct fix *f)
{
    uint64_t epoch = 0;

    if (!fix_open(f))
        return 0;
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    see(f, epoch);
    return epoch;
}

static void
after_cut(struct fix *f)
{
    CAIRN_IGNORE(first_epoch(f));
    fix_close(f);
}

static void
after_stop(struct fix *f)
{
    uint64_t last = f->seq, epoch = first_epoch(f);

    EXPECT_LE(epoch,
        MAX(last + 1, hlc_from_unix_ns(plat_wall_ns(f->plat)))); /* not at a bound ahead of both */
    ult_sleep(UINT64_C(1000000000));
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_LE(epoch, hlc_from_unix_ns(plat_wall_ns(f->plat)));
    see(f, epoch);
    fix_close(f);
    /* A stop of a store that nobody used keeps the bound. */
    if (!fix_open(f))
        return;
    fix_close(f);
    CAIRN_IGNORE(first_epoch(f));
    fix_close(f);
}

TEST_ON(vos_bound_sweep, short_power_cut_around_a_clean_stop, BACKEND_SIM)
{
    uint64_t cuts = 0;
    bool is_whole = false;

    while (!is_whole && !test_failed()) {
        struct fix f;

        fix_prepare(&f);
        if (!fix_up_default(&f) || !EXPECT(fix_run(&f, setup)))
            return;
        sim_host_power_loss_at(f.sim, FIX_HOST, ++cuts);
        is_whole = fix_run(&f, life);
        sim_host_power_loss_at(f.sim, FIX_HOST, 0);
        if (fix_crash(&f, true))
            EXPECT(fix_run(&f, is_whole ? after_stop : after_cut));
        fix_down(&f);
    }
    EXPECT_GT(cuts, 25);
}
