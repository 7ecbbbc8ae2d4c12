/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a dkey is listed exactly as long as one of its akeys is, for any number of akeys and any order of punches. Method: dkeys with more akeys than
 * are looked at in a transaction are emptied in several orders, one akey or several in a request, with new akeys in the same request or by
 * another ULT while the request looks at all akeys; the listing is compared after each.
 */
#include "vos_test_fix.h"

enum { AKEY_NR = 900, NAME_BYTES = 16 };

static char names[AKEY_NR][NAME_BYTES];

static void
names_fill(void)
{
    for (uint32_t i = 0; i < AKEY_NR; i++) {
        snprintf(names[i], NAME_BYTES, "%05u", i);
    }
}

/* Lexical akeys, so that their order is known. */
static struct vos_oid
obj_oid(void)
{
    return fix_oid_type(7, 5);
}

static int
mod_akeys(struct fix *f, enum vos_mod_op op, uint32_t first, uint32_t nr, const char *extra)
{
    struct vos_iod *iods = calloc(nr, sizeof(*iods));
    struct vos_iod more = {.akey = IOV("extra"), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("x")};
    struct vos_mod mods[2] = {
        {.op = VOS_MOD_UPDATE, .oid = obj_oid(), .dkey = IOV("d"), .iod_nr = 1, .iods = &more},
        {.op = op, .oid = obj_oid(), .dkey = IOV("d"), .iod_nr = nr, .iods = iods}};
    struct vos_apply_args args = {.mods = &mods[1], .mod_nr = 1};
    int rc;

    for (uint32_t i = 0; i < nr; i++) {
        iods[i] = (struct vos_iod){.akey = IOV(names[first + i]),
            .type = VOS_IOD_SINGLE,
            .size = op == VOS_MOD_UPDATE ? 1 : 0,
            .data = IOV("v")};
    }
    if (extra != NULL) {
        more.akey = IOV(extra);
        args.mods = mods;
        args.mod_nr = 2;
    }
    rc = vos_apply(f->cont, &args, NULL);
    free(iods);
    return rc;
}

static bool
see(void *arg, const struct vos_entry *entry)
{
    (void)entry;
    ++*(uint32_t *)arg;
    return true;
}

static uint32_t
listed(struct fix *f)
{
    uint32_t nr = 0;
    struct vos_list_args args = {
        .level = VOS_LEVEL_DKEY, .oid = obj_oid(), .epoch = VOS_EPOCH_MAX, .fn = see, .arg = &nr};
    struct vos_anchor anchor = {.eof = false};

    EXPECT_OK(vos_list(f->cont, &args, &anchor));
    return nr;
}

static void
fill(struct fix *f)
{
    EXPECT_OK(mod_akeys(f, VOS_MOD_UPDATE, 0, AKEY_NR, NULL));
    EXPECT_EQ(listed(f), 1);
}

static void
orders(struct fix *f)
{
    static const uint32_t steps[] = {1, AKEY_NR - 1, 7, 463};

    if (!fix_format(f))
        return;
    names_fill();
    for (uint32_t k = 0; k < ARRAY_SIZE(steps) && !test_failed(); k++) {
        fill(f);
        for (uint32_t i = 0; i < AKEY_NR; i++) {
            uint32_t at = (uint32_t)((uint64_t)i * steps[k] % AKEY_NR);

            EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, at, 1, NULL));
            if (i % 100 == 0 || i + 3 > AKEY_NR)
                EXPECT_EQ(listed(f), i + 1 < AKEY_NR);
        }
        EXPECT_EQ(listed(f), 0);
        umem_evict(f->tgt->um, 100, rng_u64(&f->rng));
    }
    /* All in one request; all but one that is far away from what is punched last. */
    fill(f);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 0, AKEY_NR, NULL));
    EXPECT_EQ(listed(f), 0);
    fill(f);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 0, 300, NULL));
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 301, AKEY_NR - 301, NULL));
    EXPECT_EQ(listed(f), 1);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 300, 1, NULL));
    EXPECT_EQ(listed(f), 0);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

static void
run(void (*fn)(struct fix *f))
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, fn));
    fix_down(&f);
}

/* Multiples of 7 and of 463 go through all numbers below 900; so do those of 1 and -1. */
TEST_ON(vos_empty, any_order, BACKEND_SIM)
{
    run(orders);
}

/* The request itself makes an akey that no look before it could see. */
static void
same_request(struct fix *f)
{
    if (!fix_format(f))
        return;
    names_fill();
    fill(f);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 300, AKEY_NR - 300, NULL));
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 0, 300, names[450]));
    EXPECT_EQ(listed(f), 1);
    /* One that it makes and punches again. */
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 450, 2, names[451]));
    EXPECT_EQ(listed(f), 0);
    fix_close(f);
}

TEST_ON(vos_empty, akeys_of_the_same_request, BACKEND_SIM)
{
    run(same_request);
}

struct other {
    struct fix *f;
    bool done;
    struct ult_cond cond;
};

/* Makes an akey while the punch looks at all of them. */
static void
other_main(void *arg)
{
    struct other *o = arg;

    for (uint32_t i = 0; i < 20; i++) {
        EXPECT_OK(mod_akeys(o->f, VOS_MOD_UPDATE, 5, 1, NULL));
        EXPECT_EQ(listed(o->f), 1);
        EXPECT_OK(mod_akeys(o->f, VOS_MOD_PUNCH_AKEYS, 5, 1, NULL));
    }
    EXPECT_OK(mod_akeys(o->f, VOS_MOD_UPDATE, 6, 1, NULL));
    o->done = true;
    ult_cond_signal(&o->cond);
}

static void
race(struct fix *f)
{
    struct other o = {.f = f};

    if (!fix_format(f))
        return;
    names_fill();
    fill(f);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 0, AKEY_NR - 1, NULL));
    ult_cond_init(&o.cond);
    EXPECT_OK(ult_create(f->xs, ULT_IO, other_main, &o, NULL));
    for (uint32_t i = 0; i < 20; i++) {
        EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, AKEY_NR - 1, 1, NULL));
        umem_evict(f->tgt->um, 1000, rng_u64(&f->rng));
        EXPECT_OK(mod_akeys(f, VOS_MOD_UPDATE, AKEY_NR - 1, 1, NULL));
    }
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, AKEY_NR - 1, 1, NULL));
    while (!o.done) {
        ult_cond_wait(&o.cond, NULL);
    }
    EXPECT_EQ(listed(f), 1);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 6, 1, NULL));
    EXPECT_EQ(listed(f), 0);
    fix_close(f);
}

TEST_ON(vos_empty, akeys_made_meanwhile, BACKEND_SIM)
{
    run(race);
}
