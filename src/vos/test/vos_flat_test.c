/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Akeys inside of their dkey's block (vos_format.h, VOS_KEY_INSIDE): who gets the room, who does not, that it is free again, and that a
 * check of the target sees when it is wrong. That nothing else notices is shown by all other tests, whose dkeys are nearly all such.
 */
#include "vos_test_fix.h"

struct look {
    struct fix *f;
    const char *akey;
    uint64_t dkey_off, akey_off;
    struct vos_key_df dkey;
    uint8_t akey_flags;
};

static int
look_body(struct vos_op *op, void *arg)
{
    struct look *look = arg;
    struct vos_oid oid = fix_oid(1);
    struct iov dkey = IOV("dkey"), akey = IOV(look->akey);
    struct vos_walk w;
    int rc = vos_walk_init(&w, look->f->cont, &oid);

    op->epoch = vos_epoch_now(look->f->tgt);
    if (rc == 0)
        rc = vos_walk_obj(op, look->f->cont, &oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &dkey, false, &w);
    if (rc == 0)
        rc = vos_walk_akey(op, &akey, false, &w);
    if (rc != 0)
        return rc;
    look->dkey_off = w.d.off;
    look->akey_off = w.a.off;
    if (w.dkey != NULL)
        look->dkey = *w.dkey;
    look->akey_flags = w.akey == NULL ? 0 : w.akey->flags;
    return 0;
}

static struct look
look_at(struct fix *f, const char *akey)
{
    struct look look = {.f = f, .akey = akey};
    struct vos_op op;

    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_read_run(f->tgt, &op, look_body, &look));
    return look;
}

static void
expect_value(struct fix *f, const char *akey, const char *want)
{
    char buf[100];
    size_t len = 0;

    if (EXPECT_OK(fix_get(f, 1, "dkey", akey, buf, sizeof(buf), &len)) && EXPECT_EQ(len, strlen(want)))
        EXPECT_MEM_EQ(buf, want, len);
}

/* Punch it, and what it held goes at once. */
static int
drop(struct fix *f, const char *akey)
{
    struct vos_iod iod = {.akey = akey != NULL ? IOV(akey) : (struct iov){0}};
    struct vos_mod mod = {.op = akey != NULL ? VOS_MOD_PUNCH_AKEYS : VOS_MOD_PUNCH_DKEY,
        .oid = fix_oid(1),
        .dkey = IOV("dkey"),
        .iod_nr = akey != NULL,
        .iods = akey != NULL ? &iod : NULL};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .flags = VOS_APPLY_NO_HISTORY};

    return vos_apply(f->cont, &args, NULL);
}

static bool
is_inside(const struct look *look)
{
    return look->akey_flags == VOS_KEY_INSIDE && look->akey_off == look->dkey_off + 40;
}

static void
room_body(struct fix *f)
{
    struct look look;
    struct vos_pool_info empty, info;
    char longer[VOS_KEY_INSIDE_BYTES_MAX + 2];

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &empty));
    EXPECT_OK(fix_put(f, 1, "dkey", "akey", "one", 3, 0));
    look = look_at(f, "akey");
    EXPECT(is_inside(&look));
    EXPECT_EQ(look.dkey.room, 40);
    /* One block for both keys, one for the version. */
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_EQ(info.meta_used - empty.meta_used, sizeof(struct vos_obj_df) + 80 + 20 + 4 + 3);
    /* The second has none; both are read, before and after a restart. */
    EXPECT_OK(fix_put(f, 1, "dkey", "second", "two", 3, 0));
    look = look_at(f, "second");
    EXPECT_EQ(look.akey_flags, 0);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
    if (!fix_open(f))
        return;
    expect_value(f, "akey", "one");
    expect_value(f, "second", "two");
    /* Dropped at once, its room is free; who fits gets it, a longer one does not. */
    EXPECT_OK(drop(f, "akey"));
    EXPECT_EQ(look_at(f, "akey").akey_off, 0);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(fix_put(f, 1, "dkey", "one that is longer", "three", 5, 0));
    EXPECT_EQ(look_at(f, "one that is longer").akey_flags, 0);
    EXPECT_OK(fix_put(f, 1, "dkey", "new", "four", 4, 0));
    look = look_at(f, "new");
    EXPECT(is_inside(&look));
    expect_value(f, "one that is longer", "three");
    expect_value(f, "new", "four");
    expect_value(f, "second", "two");
    EXPECT_OK(vos_tgt_check(f->tgt));
    /* All go, and nothing is left but the object. */
    EXPECT_OK(drop(f, "new"));
    EXPECT_OK(drop(f, NULL));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_EQ(info.meta_used - empty.meta_used, sizeof(struct vos_obj_df));
    /* The first akey is too long for a room. */
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    EXPECT_OK(fix_put(f, 1, "dkey", longer, "five", 4, 0));
    look = look_at(f, longer);
    EXPECT_EQ(look.dkey.room, 0);
    EXPECT_EQ(look.akey_flags, 0);
    expect_value(f, longer, "five");
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_flat, rooms_of_dkeys, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, room_body));
    fix_down(&f);
}

/* Set one byte at an offset of the arena. */
static void
poke(struct fix *f, uint64_t off, uint8_t value)
{
    struct umem_tx tx;
    uint64_t lsn;

    EXPECT_OK(umem_tx_admit(f->tgt->um));
    EXPECT_OK(umem_tx_begin(f->tgt->um, 0, 0, &tx));
    EXPECT_OK(umem_tx_range(&tx, off, 1));
    *(uint8_t *)umem_ptr(f->tgt->um, off) = value;
    umem_tx_commit(&tx, &lsn);
}

static void
damage_body(struct fix *f)
{
    struct look look;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "dkey", "akey", "one", 3, 0));
    look = look_at(f, "akey");
    EXPECT_OK(vos_tgt_check(f->tgt));
    poke(f, look.akey_off + 1, 0); /* not inside */
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    poke(f, look.akey_off + 1, 2); /* unknown */
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    poke(f, look.akey_off + 1, VOS_KEY_INSIDE);
    EXPECT_OK(vos_tgt_check(f->tgt));
    poke(f, look.dkey_off + 4, 32); /* less room than its akey has */
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    poke(f, look.dkey_off + 4, 41);
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    poke(f, look.dkey_off + 4, 40);
    poke(f, look.dkey_off + 1, 1); /* a dkey inside */
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    poke(f, look.dkey_off + 1, 0);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_flat, damaged_rooms_are_seen, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, damage_body));
    fix_down(&f);
}
