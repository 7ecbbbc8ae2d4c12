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

/* Multiples of 7 and of 463 go through all numbers below 900; so do those of 1 and -1. */
TEST_ON(vos_empty, any_order, BACKEND_SIM)
{
    fix_body(orders);
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
    fix_body(same_request);
}

/* Their akeys are far from the one that the punch takes. */
enum { OTHER_NR = 1, OTHER_AT = 200, ROUND_NR = 150 };

struct others {
    struct fix *f;
    uint32_t next, left;
    struct ult_cond cond;
};

static int
update_existing(struct fix *f, uint32_t i)
{
    struct vos_iod iod = {.akey = IOV(names[i]), .type = VOS_IOD_SINGLE, .size = 1, .data = IOV("w")};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = obj_oid(),
        .cond = VOS_COND_AKEY_UPDATE,
        .dkey = IOV("d"),
        .iod_nr = 1,
        .iods = &iod};

    return fix_mod(f, &mod, NULL);
}

/* Makes an akey while a punch looks at all of them: it stays until it is punched itself. */
static void
other_main(void *arg)
{
    struct others *o = arg;
    uint32_t i = OTHER_AT + o->next++;

    for (uint32_t r = 0; r < ROUND_NR; r++) {
        EXPECT_OK(mod_akeys(o->f, VOS_MOD_UPDATE, i, 1, NULL));
        EXPECT_OK(update_existing(o->f, i));
        EXPECT_OK(mod_akeys(o->f, VOS_MOD_PUNCH_AKEYS, i, 1, NULL));
    }
    EXPECT_OK(mod_akeys(o->f, VOS_MOD_UPDATE, i, 1, NULL));
    o->left--;
    ult_cond_signal(&o->cond);
}

static void
race(struct fix *f)
{
    struct others o = {.f = f, .left = OTHER_NR};

    if (!fix_format(f))
        return;
    names_fill();
    fill(f);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, 0, AKEY_NR - 1, NULL));
    ult_cond_init(&o.cond);
    for (uint32_t i = 0; i < OTHER_NR; i++) {
        EXPECT_OK(ult_create(f->xs, ULT_IO, other_main, &o, NULL));
    }
    while (o.left > 0 && !test_failed()) {
        /* Pages that are missing make the look at all akeys take long. */
        EXPECT_OK(bio_checkpoint(f->bio));
        umem_evict(f->tgt->um, 1000, rng_u64(&f->rng));
        EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, AKEY_NR - 1, 1, NULL));
        EXPECT_OK(mod_akeys(f, VOS_MOD_UPDATE, AKEY_NR - 1, 1, NULL));
    }
    while (o.left > 0) {
        ult_cond_wait(&o.cond, NULL);
    }
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, AKEY_NR - 1, 1, NULL));
    EXPECT_EQ(listed(f), 1);
    EXPECT_OK(mod_akeys(f, VOS_MOD_PUNCH_AKEYS, OTHER_AT, OTHER_NR, NULL));
    EXPECT_EQ(listed(f), 0);
    fix_close(f);
}

TEST_ON(vos_empty, akeys_made_meanwhile, BACKEND_SIM)
{
    fix_body(race);
}
