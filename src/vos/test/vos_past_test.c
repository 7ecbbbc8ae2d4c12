/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: modifications at epochs of the past never change what was seen, in three cases that the reference model found (test/model): a container that was closed since, an
 * epoch that was refused for being too far ahead, akeys that take their dkey along.
 */
#include "vos_test_fix.h"

static int
put_at(struct fix *f, uint64_t obj, const char *dkey, const char *akey, uint64_t epoch)
{
    struct vos_iod iod = {.akey = IOV(akey), .type = VOS_IOD_SINGLE, .size = 1, .data = {"x", 1}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(obj), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .epoch = epoch};

    return vos_apply(f->cont, &args, NULL);
}

static bool
count_fn(void *arg, const struct vos_entry *entry)
{
    (void)entry;
    ++*(uint32_t *)arg;
    return true;
}

static uint32_t
count(struct fix *f, enum vos_level level, uint64_t obj, uint64_t epoch)
{
    uint32_t nr = 0;
    struct vos_list_args args = {
        .level = level, .oid = fix_oid(obj), .epoch = epoch, .fn = count_fn, .arg = &nr};
    struct vos_anchor anchor = {.eof = false};

    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    return nr;
}

static void
closed_since(struct fix *f)
{
    uint64_t past = 0, seen = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &past));
    EXPECT_OK(fix_put(f, 1, "d", "a", "x", 1, 0));
    EXPECT_OK(vos_epoch_next(f->tgt, &seen));
    EXPECT_EQ(count(f, VOS_LEVEL_OBJ, 0, seen), 1);
    vos_cont_close(f->cont);
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont));
    EXPECT_ERR(put_at(f, 2, "d", "a", past), TX_RESTART);
    EXPECT_EQ(count(f, VOS_LEVEL_OBJ, 0, seen), 1);
    EXPECT_OK(put_at(f, 2, "d", "a", seen + 1));
    EXPECT_EQ(count(f, VOS_LEVEL_OBJ, 0, VOS_EPOCH_MAX), 2);
    fix_close(f);
}

TEST_ON(vos_past, a_listing_counts_after_the_container_was_closed, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, closed_since));
    fix_down(&f);
}

static void
too_far_ahead(struct fix *f)
{
    uint64_t e = 0;

    if (!fix_format(f))
        return;
    EXPECT_ERR(put_at(f, 1, "d", "a",
                   hlc_add_ns(hlc_from_unix_ns(plat_wall_ns(f->plat)), UINT64_C(60000000000))),
        HLC_SYNC);
    EXPECT_OK(vos_epoch_next(f->tgt, &e));
    EXPECT_OK(put_at(f, 1, "d", "a", e));
    EXPECT_OK(vos_epoch_next(f->tgt, &e));
    EXPECT_OK(put_at(f, 1, "d", "b", e));
    fix_close(f);
}

TEST_ON(vos_past, an_epoch_too_far_ahead_blocks_nobody, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, too_far_ahead));
    fix_down(&f);
}

static void
last_akey(struct fix *f)
{
    struct vos_iod iod = {.akey = IOV("a")};
    struct vos_mod mod = {
        .op = VOS_MOD_PUNCH_AKEYS, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    size_t len = 0;
    char c;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "x", 1, 0));
    EXPECT_OK(vos_epoch_next(f->tgt, &args.epoch));
    EXPECT_OK(fix_put(f, 1, "d", "b", "x", 1, 0));
    /* At that epoch the dkey has no other akey, and would go: but it was written since. */
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), TX_RESTART);
    EXPECT_EQ(count(f, VOS_LEVEL_DKEY, 1, VOS_EPOCH_MAX), 1);
    EXPECT_OK(fix_get(f, 1, "d", "b", &c, 1, &len));
    EXPECT_EQ(len, 1);
    /* At an epoch at which it has another one, it may; and where it is the newest, the dkey goes. */
    EXPECT_OK(vos_epoch_next(f->tgt, &args.epoch));
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    EXPECT_EQ(count(f, VOS_LEVEL_DKEY, 1, VOS_EPOCH_MAX), 1);
    EXPECT_OK(vos_epoch_next(f->tgt, &args.epoch));
    iod.akey = IOV("b");
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    EXPECT_EQ(count(f, VOS_LEVEL_DKEY, 1, VOS_EPOCH_MAX), 0);
    fix_close(f);
}

TEST_ON(vos_past, last_akeys_take_no_dkey_that_was_written_since, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, last_akey));
    fix_down(&f);
}
