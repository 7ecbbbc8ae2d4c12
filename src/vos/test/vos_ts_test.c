/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: modifications at epochs given by the caller never change what somebody has seen, and two requests never conflict at one epoch (TX-3,
 * TX-5). Method: a table of (what happened at a later epoch, what is then tried at an earlier or the same one, the answer).
 */
#include "vos_test_fix.h"

enum what {
    PUT_A, /* dkey d, akey a */
    PUT_B, /* dkey d, akey b */
    PUT_E, /* dkey e, akey a */
    WRITE_LO, /* dkey d, akey arr, [0, 10) */
    WRITE_HI, /* dkey d, akey arr, [10, 20) */
    PUNCH_AKEY, /* a */
    PUNCH_DKEY, /* d */
    PUNCH_OBJ,
    FAIL_INSERT, /* conditional insert of d, which is there */
    FAIL_UPDATE, /* conditional update of dkey n, which is not */
    PUT_N, /* dkey n */
    READ_A,
    READ_MISSING, /* akey b, which is not there */
    LIST_DKEYS,
    LIST_AKEYS, /* of d */
    LIST_OBJS,
    PUT_OTHER, /* another object */
};

static const struct {
    enum what later, earlier;
    bool refused; /* the earlier one at an older epoch */
    bool refused_same; /* at the same epoch */
} cases[] = {
    {PUT_A, PUT_A, false, true},
    {PUT_A, PUT_B, false, false},
    {PUT_A, PUT_E, false, false},
    {PUT_A, PUT_OTHER, false, false},
    {PUT_A, PUNCH_AKEY, true, true},
    {PUT_A, PUNCH_DKEY, true, true},
    {PUT_A, PUNCH_OBJ, true, true},
    {PUT_E, PUNCH_DKEY, false, false},
    {WRITE_LO, WRITE_LO, false, true},
    {WRITE_LO, WRITE_HI, false, false},
    {PUNCH_AKEY, PUT_A, true, true},
    {PUNCH_DKEY, PUT_A, true, true},
    {PUNCH_DKEY, PUT_B, true, true},
    {PUNCH_DKEY, PUT_E, false, false},
    {PUNCH_OBJ, PUT_E, true, true},
    {PUNCH_OBJ, PUT_OTHER, false, false},
    {FAIL_INSERT, PUNCH_DKEY, true, true},
    {FAIL_INSERT, PUT_OTHER, false, false},
    {FAIL_UPDATE, PUT_N, true, true},
    {FAIL_UPDATE, PUT_E, false, false},
    {READ_A, PUT_A, true, true},
    {READ_A, PUT_B, false, false},
    {READ_A, PUNCH_DKEY, true, true},
    {READ_A, PUNCH_OBJ, true, true},
    {READ_MISSING, PUT_B, true, true},
    {LIST_DKEYS, PUT_N, true, true},
    {LIST_DKEYS, PUT_OTHER, false, false},
    {LIST_AKEYS, PUT_B, true, true},
    {LIST_AKEYS, PUT_E, false, false},
    {LIST_OBJS, PUT_OTHER, true, true},
};

static bool
any_entry(void *arg, const struct vos_entry *entry)
{
    (void)arg;
    (void)entry;
    return true;
}

static int
list_at(struct fix *f, enum vos_level level, uint64_t epoch)
{
    struct vos_list_args args = {
        .level = level, .oid = fix_oid(1), .dkey = IOV("d"), .epoch = epoch, .fn = any_entry};
    struct vos_anchor anchor = {.eof = false};

    return vos_list(f->cont, &args, &anchor);
}

static int
apply_at(struct fix *f, struct vos_mod mod, uint64_t epoch)
{
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .epoch = epoch};

    return vos_apply(f->cont, &args, NULL);
}

static int
act(struct fix *f, enum what what, uint64_t epoch)
{
    struct recx recx = {what == WRITE_HI ? 10 : 0, 10};
    bool is_array = what == WRITE_LO || what == WRITE_HI;
    struct vos_iod iod = {
        .akey = is_array ? IOV("arr") : IOV(what == PUT_B || what == READ_MISSING ? "b" : "a"),
        .type = is_array ? VOS_IOD_ARRAY : VOS_IOD_SINGLE,
        .size = 1,
        .recx_nr = is_array,
        .recxs = &recx,
        .data = {"0123456789", is_array ? 10 : 1}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(what == PUT_OTHER ? 2 : 1),
        .dkey = IOV(what == PUT_E                      ? "e"
                : what == PUT_N || what == FAIL_UPDATE ? "n"
                                                       : "d"),
        .iod_nr = 1,
        .iods = &iod};
    struct vos_fetch *fetch;
    int rc;

    switch (what) {
    case PUNCH_AKEY:
        mod.op = VOS_MOD_PUNCH_AKEYS;
        break;
    case PUNCH_DKEY:
        mod.op = VOS_MOD_PUNCH_DKEY;
        break;
    case PUNCH_OBJ:
        mod.op = VOS_MOD_PUNCH_OBJ;
        break;
    case FAIL_INSERT:
        mod.cond = VOS_COND_DKEY_INSERT;
        rc = apply_at(f, mod, epoch);
        return rc == -DER_EXIST ? 0 : rc;
    case FAIL_UPDATE:
        mod.cond = VOS_COND_DKEY_UPDATE;
        rc = apply_at(f, mod, epoch);
        return rc == -DER_NONEXIST ? 0 : rc;
    case READ_A:
    case READ_MISSING:
        rc = vos_fetch(f->cont, &mod.oid, epoch, 0, &mod.dkey, &iod, 1, &fetch);
        if (rc == 0)
            vos_fetch_free(f->cont, fetch);
        return rc;
    case LIST_DKEYS:
        return list_at(f, VOS_LEVEL_DKEY, epoch);
    case LIST_AKEYS:
        return list_at(f, VOS_LEVEL_AKEY, epoch);
    case LIST_OBJS:
        return list_at(f, VOS_LEVEL_OBJ, epoch);
    default:
        break;
    }
    return apply_at(f, mod, epoch);
}

static void
run_case(struct fix *f, size_t i, bool same)
{
    struct uuid id = {.b = {8, (uint8_t)i, same}};
    uint64_t base, early, late;
    int rc;

    EXPECT_OK(vos_cont_create(f->tgt, f->pool, id));
    vos_cont_close(f->cont);
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, id, &f->cont));
    EXPECT_OK(vos_epoch_next(f->tgt, &base));
    EXPECT_OK(vos_epoch_next(f->tgt, &early));
    EXPECT_OK(vos_epoch_next(f->tgt, &late));
    EXPECT_OK(act(f, PUT_A, base));
    EXPECT_OK(act(f, cases[i].later, late));
    rc = act(f, cases[i].earlier, same ? late : early);
    if (!EXPECT_EQ(rc, (same ? cases[i].refused_same : cases[i].refused) ? -DER_TX_RESTART : 0))
        fprintf(stderr, "    case %zu%s\n", i, same ? ", same epoch" : "");
}

static void
table(struct fix *f)
{
    if (!fix_format(f))
        return;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        run_case(f, i, false);
        run_case(f, i, true);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

static void
bounds(struct fix *f)
{
    uint64_t epoch;

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_ERR(act(f, PUT_A, hlc_add_ns(epoch, UINT64_C(60000000000))), HLC_SYNC);
    EXPECT_ERR(act(f, READ_A, hlc_add_ns(epoch, UINT64_C(60000000000))), HLC_SYNC);
    EXPECT_OK(act(f, PUT_A, hlc_add_ns(epoch, 500000000)));
    EXPECT_OK(act(f, PUT_B, 0));
    fix_close(f);
    if (!fix_open(f))
        return;
    /* Everything up to the bound counts as read after a restart. */
    EXPECT_ERR(act(f, PUT_A, epoch), TX_RESTART);
    EXPECT_ERR(act(f, PUT_E, hlc_add_ns(epoch, 500000000)), TX_RESTART); /* the last one used */
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_OK(act(f, PUT_A, epoch));
    fix_close(f);
}

TEST_ON(vos_ts, table, BACKEND_SIM)
{
    fix_body(table);
}

TEST_ON(vos_ts, bounds, BACKEND_SIM)
{
    fix_body(bounds);
}
