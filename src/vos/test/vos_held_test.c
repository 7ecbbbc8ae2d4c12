/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: where an object's record lies is remembered (struct vos_held) and never believed when the record may have gone. Method: each way in which one goes, then another
 * object that gets its block, then the first one again. All other tests run with objects that are remembered, too.
 */
#include "vos_test_fix.h"

static struct vos_walk
walk_to(struct fix *f, uint64_t obj)
{
    struct vos_oid oid = fix_oid(obj);
    struct vos_walk w;

    CAIRN_ASSERT(vos_walk_init(&w, f->cont, &oid) == 0);
    return w;
}

static uint64_t
held_off(struct fix *f, uint64_t obj)
{
    struct vos_walk w = walk_to(f, obj);

    return w.held->gen == f->tgt->held_gen ? w.held->off : 0;
}

static void
expect_there(struct fix *f, uint64_t obj, bool is_there)
{
    char buf[8];
    size_t len = 0;

    EXPECT_OK(fix_get(f, obj, "d", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, is_there ? 1 : 0);
}

/* The block of object 1, which is gone, becomes that of object 2. */
static void
expect_moved(struct fix *f, uint64_t off)
{
    EXPECT_OK(fix_put(f, 2, "d", "a", "2", 1, 0));
    expect_there(f, 2, true);
    EXPECT_EQ(held_off(f, 2), off);
    expect_there(f, 1, false);
    EXPECT_OK(vos_tgt_check(f->tgt));
}

static void
body_aggregation(struct fix *f)
{
    struct vos_agg_args args = {.hi = 0};
    struct vos_agg_stat stat;
    struct vos_cont_info info = {0};
    uint64_t off;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "1", 1, 0));
    expect_there(f, 1, true);
    off = held_off(f, 1);
    EXPECT_NE(off, 0);
    EXPECT_OK(fix_punch(f, 1, NULL, NULL, 0));
    expect_there(f, 1, false);
    EXPECT_EQ(held_off(f, 1), off);
    EXPECT_OK(vos_cont_query(f->cont, &info));
    args.hi = info.epoch_max;
    EXPECT_OK(vos_cont_aggregate(f->cont, &args, &stat));
    EXPECT_EQ(stat.obj_del_nr, 1);
    EXPECT_EQ(held_off(f, 1), 0);
    expect_moved(f, off);
    fix_close(f);
}

/* What a transaction made and gave up. */
static void
body_abort(struct fix *f)
{
    struct vos_dtx_id id = {.uuid = {{9}}, .hlc = 77};
    struct vos_dtx_args dtx = {.id = id};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("1")};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .dtx = &dtx};
    struct vos_apply_ret ret;
    uint64_t off;
    char buf[8];
    size_t len;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_apply(f->cont, &args, &ret));
    EXPECT_EQ(fix_get(f, 1, "d", "a", buf, sizeof(buf), &len), -DER_INPROGRESS);
    off = held_off(f, 1);
    EXPECT_NE(off, 0);
    EXPECT_OK(vos_dtx_abort(f->cont, &id, 1));
    EXPECT_EQ(held_off(f, 1), 0);
    expect_moved(f, off);
    fix_close(f);
}

/* Another container, whose record may lie where the first one's was. */
static void
body_container(struct fix *f)
{
    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "1", 1, 0));
    expect_there(f, 1, true);
    EXPECT_NE(held_off(f, 1), 0);
    for (uint32_t i = 0; i < 8; i++) {
        vos_cont_close(f->cont);
        f->cont = NULL;
        EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, f->cont_id));
        while (vos_gc_wait(f->tgt)) {
        }
        EXPECT_OK(vos_cont_create(f->tgt, f->pool, f->cont_id));
        if (!EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont)))
            return;
        EXPECT_EQ(held_off(f, 1), 0);
        expect_there(f, 1, false);
        EXPECT_OK(fix_put(f, 1, "d", "a", "1", 1, 0));
        expect_there(f, 1, true);
    }
    fix_close(f);
}

/* A transaction that makes an object and fails leaves nothing behind; neither in the table. */
static void
body_failed(struct fix *f)
{
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("1")};
    struct vos_mod mods[3] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("e"), .iod_nr = 1, .iods = &iod},
        {.op = VOS_MOD_UPDATE,
            .oid = fix_oid(2),
            .cond = VOS_COND_DKEY_UPDATE,
            .dkey = IOV("d"),
            .iod_nr = 1,
            .iods = &iod},
    };
    struct vos_apply_args args = {.mods = mods, .mod_nr = 3};
    struct vos_apply_ret ret;

    if (!fix_format(f))
        return;
    EXPECT_EQ(vos_apply(f->cont, &args, &ret), -DER_NONEXIST);
    EXPECT_EQ(held_off(f, 1), 0);
    EXPECT_OK(fix_put(f, 2, "d", "a", "2", 1, 0));
    expect_there(f, 2, true);
    expect_there(f, 1, false);
    fix_close(f);
}

/* More objects than there are places: each is found, by whoever comes first. */
static void
body_many(struct fix *f)
{
    enum { NR = 4 * VOS_HELD_NR };
    char buf[8];
    size_t len;

    if (!fix_format(f))
        return;
    for (uint64_t i = 0; i < NR; i++) {
        EXPECT_OK(fix_put(f, i + 1, "d", "a", &i, 2, 0));
    }
    for (uint64_t i = 0; i < 2 * NR; i++) {
        uint64_t at = i * 7 % NR;

        len = 0;
        EXPECT_OK(fix_get(f, at + 1, "d", "a", buf, sizeof(buf), &len));
        EXPECT(len == 2 && memcmp(buf, &at, 2) == 0);
    }
    fix_close(f);
}

#define HELD_TEST(name, body) \
    TEST_ON(vos_held, name, BACKEND_SIM) \
    { \
        struct fix f; \
        fix_prepare(&f); \
        if (fix_up_default(&f)) \
            EXPECT(fix_run(&f, body)); \
        fix_down(&f); \
    }

HELD_TEST(not_after_aggregation_freed_it, body_aggregation)
HELD_TEST(not_after_an_abort_freed_it, body_abort)
HELD_TEST(not_of_a_container_before, body_container)
HELD_TEST(not_what_a_failed_transaction_made, body_failed)
HELD_TEST(many_objects, body_many)
