/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: transactions that are decided later (vos.h) are invisible until committed, gone without a trace when aborted, and seen or gone as a whole, whatever happens around them.
 * Method: short scripts with a known outcome for each rule DTX-1..5; what random orders make of it is for test/model, power cuts for test/crash.
 */
#include "vos/vos_evtree.h"
#include "vos_test_fix.h"

static struct vos_dtx_id
tx_id(uint8_t nr)
{
    return (struct vos_dtx_id){.uuid = {.b = {0xd7, nr}}, .hlc = 1000 + nr};
}

static int
tx_mods(struct fix *f, const struct vos_dtx_args *dtx, uint64_t epoch, const struct vos_mod *mods,
    uint32_t nr, struct vos_apply_ret *ret)
{
    struct vos_apply_args args = {.mods = mods, .mod_nr = nr, .epoch = epoch, .dtx = dtx};
    struct vos_apply_ret r;

    return vos_apply(f->cont, &args, ret == NULL ? &r : ret);
}

/* Prepare a single value. */
static int
tx_put(struct fix *f, uint8_t nr, uint64_t obj, const char *dkey, const char *akey, const char *val,
    uint32_t cond)
{
    struct vos_dtx_args dtx = {.id = tx_id(nr)};
    struct vos_iod iod = {
        .akey = IOV(akey), .type = VOS_IOD_SINGLE, .size = strlen(val), .data = IOV(val)};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(obj),
        .cond = cond,
        .dkey = IOV(dkey),
        .iod_nr = 1,
        .iods = &iod};

    return tx_mods(f, &dtx, 0, &mod, 1, NULL);
}

static int
tx_write(struct fix *f, uint8_t nr, uint64_t obj, const char *dkey, const char *akey, uint64_t idx,
    uint64_t len, char c)
{
    struct vos_dtx_args dtx = {.id = tx_id(nr)};
    char data[256];
    struct recx recx = {idx, len};
    struct vos_iod iod = {.akey = IOV(akey),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {data, len}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(obj), .dkey = IOV(dkey), .iod_nr = 1, .iods = &iod};

    memset(data, c, sizeof(data));
    return tx_mods(f, &dtx, 0, &mod, 1, NULL);
}

static int
tx_punch(struct fix *f, uint8_t nr, uint64_t obj, const char *dkey, const char *akey)
{
    struct vos_dtx_args dtx = {.id = tx_id(nr)};
    struct vos_iod iod = {.akey = akey != NULL ? IOV(akey) : (struct iov){0}};
    struct vos_mod mod = {.op = VOS_MOD_PUNCH_OBJ, .oid = fix_oid(obj)};

    if (dkey != NULL) {
        mod.op = VOS_MOD_PUNCH_DKEY;
        mod.dkey = IOV(dkey);
    }
    if (akey != NULL) {
        mod.op = VOS_MOD_PUNCH_AKEYS;
        mod.iod_nr = 1;
        mod.iods = &iod;
    }
    return tx_mods(f, &dtx, 0, &mod, 1, NULL);
}

static int
commit(struct fix *f, uint8_t nr)
{
    struct vos_dtx_id id = tx_id(nr);

    return vos_dtx_commit(f->cont, &id, 1);
}

static int
tx_abort(struct fix *f, uint8_t nr)
{
    struct vos_dtx_id id = tx_id(nr);

    return vos_dtx_abort(f->cont, &id, 1);
}

/* Text of a single value as the view sees it; "" when there is none; "?" when it is not decided. */
static const char *
get(struct fix *f, uint64_t obj, const char *dkey, const char *akey, struct vos_dtx_view *view)
{
    static char text[64];
    struct vos_iod iod = {.akey = IOV(akey), .type = VOS_IOD_SINGLE};
    struct vos_fetch_args args = {.oid = fix_oid(obj),
        .epoch = VOS_EPOCH_MAX,
        .dkey = IOV(dkey),
        .iods = &iod,
        .iod_nr = 1,
        .dtx = view};
    struct vos_fetch *fetch;
    int rc = vos_fetch_begin(f->cont, &args, &fetch);

    if (rc == -DER_INPROGRESS)
        return "?";
    if (!EXPECT_OK(rc))
        return "!";
    memset(text, 0, sizeof(text));
    if (fetch->iods[0].size > 0)
        memcpy(text, fetch->iods[0].segs[0].buf, fetch->iods[0].size);
    vos_fetch_free(f->cont, fetch);
    return text;
}

#define EXPECT_GET(f, obj, dkey, akey, view, want) \
    EXPECT_STR_EQ(get((f), (obj), (dkey), (akey), (view)), (want))

static bool
reopen(struct fix *f)
{
    fix_close(f);
    return fix_open(f);
}

#define DTX_TEST(name, body) \
    TEST_ON(vos_dtx, name, BACKEND_SIM) \
    { \
        struct fix f; \
        fix_prepare(&f); \
        if (fix_up_default(&f)) \
            EXPECT(fix_run(&f, body)); \
        fix_down(&f); \
    }

/* ---- who sees what -------------------------------------------------------------------------------------------------- */

static void
body_visible(struct fix *f)
{
    struct vos_dtx_view own = {.own = tx_id(1)}, passing = {.is_passing = true}, plain = {0};
    struct vos_dtx_info info;
    struct fix_keys keys;
    uint64_t before;
    struct vos_dtx_id id = tx_id(1);

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "old", 3, 0));
    EXPECT_OK(vos_epoch_next(f->tgt, &before));
    EXPECT_EQ(vos_dtx_oldest(f->cont), VOS_EPOCH_MAX);
    EXPECT_OK(tx_put(f, 1, 1, "d", "a", "new", 0));
    EXPECT_OK(tx_put(f, 2, 1, "d2", "a", "other", 0));
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_GET(f, 1, "d", "a", &plain, "?");
    EXPECT_EQ(plain.asks.nr, 1);
    EXPECT(vos_dtx_id_eq(&plain.asks.ids[0], &id));
    EXPECT_GET(f, 1, "d", "a", NULL, "?");
    EXPECT_GET(f, 1, "d", "a", &passing, "old");
    EXPECT_GET(f, 1, "d", "a", &own, "new");
    EXPECT_GET(f, 1, "d2", "a", &own, "?");
    EXPECT_GET(f, 1, "d2", "a", &passing, "");
    EXPECT_ERR(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, 0, &keys), INPROGRESS);
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, before, 0, &keys)); /* before it: nobody asks */
    EXPECT_EQ(keys.nr, 1);
    EXPECT_OK(vos_dtx_lookup(f->cont, &id, &info));
    EXPECT_EQ(info.state, VOS_DTX_PREPARED);
    EXPECT_EQ(info.ref_nr, 1);
    EXPECT_EQ(info.epoch, vos_dtx_oldest(f->cont));
    /* Committable is visible, and cannot be aborted. */
    EXPECT_OK(vos_dtx_committable(f->cont, &id));
    EXPECT_OK(vos_dtx_committable(f->cont, &id));
    EXPECT_GET(f, 1, "d", "a", NULL, "new");
    EXPECT_ERR(tx_abort(f, 1), EXIST);
    EXPECT_OK(commit(f, 1));
    EXPECT_OK(commit(f, 1));
    EXPECT_ERR(tx_abort(f, 1), EXIST);
    EXPECT_GET(f, 1, "d", "a", NULL, "new");
    EXPECT_OK(tx_abort(f, 2));
    EXPECT_OK(tx_abort(f, 2));
    EXPECT_ERR(commit(f, 2), NONEXIST);
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 1, NULL, VOS_EPOCH_MAX, 0, &keys));
    EXPECT_EQ(keys.nr, 1);
    EXPECT_EQ(vos_dtx_oldest(f->cont), VOS_EPOCH_MAX);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(prepared_is_invisible_committed_visible_aborted_gone, body_visible)

/* Everything that was there, and everything it takes, is as before. */
static void
body_abort(struct fix *f)
{
    struct vos_cont_info before, after;
    char big[9000];
    struct recx recx = {5, 9000};
    struct vos_iod iods[3] = {
        {.akey = IOV("v"), .type = VOS_IOD_SINGLE, .size = 3, .data = {"new", 3}},
        {.akey = IOV("arr"),
            .type = VOS_IOD_ARRAY,
            .size = 1,
            .recx_nr = 1,
            .recxs = &recx,
            .data = {big, 9000}},
        {.akey = IOV("big"), .type = VOS_IOD_SINGLE, .size = 9000, .data = {big, 9000}}};
    struct vos_mod mods[4] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 3, .iods = iods},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(2), .dkey = IOV("d"), .iod_nr = 3, .iods = iods},
        {.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(1), .dkey = IOV("e")},
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("e"), .iod_nr = 1, .iods = iods}};
    struct vos_dtx_args dtx = {.id = tx_id(2)};

    if (!fix_format(f))
        return;
    memset(big, 'b', sizeof(big));
    EXPECT_OK(fix_put(f, 1, "d", "v", "old", 3, 0));
    EXPECT_OK(fix_put(f, 1, "e", "w", "old", 3, 0));
    EXPECT_OK(tx_put(f, 1, 1, "d", "v", "x", 0)); /* makes the table, which stays */
    EXPECT_OK(tx_abort(f, 1));
    EXPECT_OK(vos_cont_query(f->cont, &before));
    EXPECT_OK(tx_mods(f, &dtx, 0, mods, 4, NULL));
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(tx_abort(f, 2));
    EXPECT_OK(vos_cont_query(f->cont, &after));
    EXPECT_EQ(after.obj_nr, before.obj_nr);
    EXPECT_EQ(after.meta_used, before.meta_used);
    EXPECT_EQ(after.data_used, before.data_used);
    EXPECT_EQ(after.epoch_max, before.epoch_max);
    EXPECT_GET(f, 1, "d", "v", NULL, "old");
    EXPECT_GET(f, 1, "e", "w", NULL, "old");
    EXPECT_GET(f, 2, "d", "v", NULL, "");
    EXPECT_OK(vos_tgt_check(f->tgt));
    /* The same id again: at a newer epoch, not at that of the abort. */
    EXPECT_OK(tx_mods(f, &dtx, 0, mods, 4, NULL));
    EXPECT_OK(commit(f, 2));
    EXPECT_GET(f, 1, "e", "w", NULL, "");
    EXPECT_GET(f, 1, "e", "v", NULL, "new");
    EXPECT_GET(f, 2, "d", "v", NULL, "new");
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(abort_leaves_nothing, body_abort)

/* A plain write after a prepared creation or punch stays, however that ends. */
static void
blind(struct fix *f, bool is_punch, bool is_commit, uint8_t nr)
{
    char key[8];

    snprintf(key, sizeof(key), "k%u", nr);
    if (is_punch) {
        EXPECT_OK(fix_put(f, 1, key, "a", "old", 3, 0));
        EXPECT_OK(fix_put(f, 1, key, "b", "old", 3, 0));
        EXPECT_OK(tx_punch(f, nr, 1, key, NULL));
    } else {
        EXPECT_OK(tx_put(f, nr, 1, key, "b", "tx", 0));
    }
    EXPECT_OK(fix_put(f, 1, key, "a", "mine", 4, 0));
    EXPECT_GET(f, 1, key, "a", NULL, is_punch ? "?" : "mine"); /* older than a punch of the dkey? */
    EXPECT_OK(vos_tgt_check(f->tgt));
    if (is_commit) {
        EXPECT_OK(commit(f, nr));
    } else {
        EXPECT_OK(tx_abort(f, nr));
    }
    EXPECT_GET(f, 1, key, "a", NULL, "mine");
    EXPECT_GET(f, 1, key, "b", NULL, is_punch ? (is_commit ? "" : "old") : (is_commit ? "tx" : ""));
    EXPECT_OK(vos_tgt_check(f->tgt));
}

static void
body_blind(struct fix *f)
{
    if (!fix_format(f))
        return;
    for (uint8_t i = 0; i < 4; i++) {
        blind(f, (i & 1) != 0, (i & 2) != 0, (uint8_t)(10 + i));
    }
    /* The same for the object above. */
    EXPECT_OK(tx_punch(f, 20, 1, NULL, NULL));
    EXPECT_OK(fix_put(f, 1, "k11", "a", "again", 5, 0));
    EXPECT_OK(commit(f, 20));
    EXPECT_GET(f, 1, "k11", "a", NULL, "again");
    EXPECT_GET(f, 1, "k11", "b", NULL, "");
    EXPECT_GET(f, 1, "k12", "a", NULL, "");
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(plain_writes_hold_whatever_becomes_of_others, body_blind)

static void
body_depends(struct fix *f)
{
    struct vos_dtx_asks asks;
    struct vos_dtx_id id1 = tx_id(1);
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE};
    struct vos_mod hole = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("new"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &hole, .mod_nr = 1, .asks = &asks};

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "old", 3, 0));
    EXPECT_OK(tx_put(f, 1, 1, "new", "a", "tx", 0));
    EXPECT_ERR(fix_put(f, 1, "new", "b", "x", 1, VOS_COND_DKEY_INSERT), INPROGRESS);
    EXPECT_ERR(fix_put(f, 1, "new", "a", "x", 1, VOS_COND_AKEY_UPDATE), INPROGRESS);
    EXPECT_ERR(fix_punch(f, 1, "new", NULL, 0), INPROGRESS);
    EXPECT_ERR(fix_punch(f, 1, "new", "a", 0), INPROGRESS);
    EXPECT_ERR(vos_apply(f->cont, &args, NULL), INPROGRESS);
    EXPECT_EQ(asks.nr, 1);
    EXPECT(vos_dtx_id_eq(&asks.ids[0], &id1));
    /* Another kind of value: only its abort would allow it. */
    EXPECT_ERR(fix_write(f, 1, "new", "a", 0, 4, 1, "xxxx"), INPROGRESS);
    EXPECT_ERR(tx_put(f, 2, 1, "new", "b", "x", VOS_COND_DKEY_INSERT), INPROGRESS);
    /* Its own further parts know what it has done. */
    EXPECT_OK(fix_put(f, 1, "d", "b", "x", 1, VOS_COND_DKEY_UPDATE)); /* not of its concern */
    EXPECT_OK(commit(f, 1));
    EXPECT_ERR(fix_put(f, 1, "new", "b", "x", 1, VOS_COND_DKEY_INSERT), EXIST);
    EXPECT_OK(vos_apply(f->cont, &args, NULL));
    EXPECT_GET(f, 1, "new", "a", NULL, "");
    /* A dkey does not go with its last visible akey while another one is not decided. */
    EXPECT_OK(tx_put(f, 3, 1, "d", "c", "tx", 0));
    EXPECT_OK(fix_punch(f, 1, "d", "b", 0));
    EXPECT_ERR(fix_punch(f, 1, "d", "a", 0), INPROGRESS);
    EXPECT_OK(commit(f, 3));
    EXPECT_OK(fix_punch(f, 1, "d", "a", 0));
    EXPECT_GET(f, 1, "d", "c", NULL, "tx");
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(conditions_and_punches_wait_for_the_undecided, body_depends)

static void
body_extents(struct fix *f)
{
    struct vos_dtx_view view = {0}, passing = {.is_passing = true};
    struct recx recx = {0, 30};
    struct vos_iod iod = {.akey = IOV("arr"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_fetch_args args = {.oid = fix_oid(1),
        .epoch = VOS_EPOCH_MAX,
        .dkey = IOV("d"),
        .iods = &iod,
        .iod_nr = 1,
        .dtx = &view};
    struct vos_fetch *fetch = NULL;
    uint8_t buf[30];

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_write(f, 1, "d", "arr", 0, 30, 1, "000000000011111111112222222222"));
    EXPECT_OK(tx_write(f, 1, 1, "d", "arr", 5, 5, 'x'));
    EXPECT_OK(tx_write(f, 2, 1, "d", "arr", 10, 5, 'y'));
    EXPECT_OK(tx_write(f, 3, 1, "d", "arr", 20, 5, 'z'));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 18, 10, 1, "cccccccccc")); /* covers the third */
    EXPECT_ERR(vos_fetch_begin(f->cont, &args, &fetch), INPROGRESS);
    EXPECT_EQ(view.asks.nr, 2);
    args.dtx = &passing;
    if (EXPECT_OK(vos_fetch_begin(f->cont, &args, &fetch))) {
        EXPECT_EQ(fetch->iods[0].seg_nr, 3);
        vos_fetch_free(f->cont, fetch);
    }
    recx = (struct recx){15, 15};
    args.dtx = &view;
    if (EXPECT_OK(vos_fetch_begin(f->cont, &args, &fetch)))
        vos_fetch_free(f->cont, fetch);
    EXPECT_OK(tx_abort(f, 1));
    EXPECT_OK(commit(f, 2));
    EXPECT_OK(commit(f, 3));
    EXPECT_OK(fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 0, 30, '.', buf));
    EXPECT_MEM_EQ(buf, "0000000000yyyyy111cccccccccc22", 30);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(extents_are_asked_about_where_they_show, body_extents)

/* ---- the table ------------------------------------------------------------------------------------------------------ */

static void
body_restart(struct fix *f)
{
    struct vos_dtx_args dtx = {.id = tx_id(1), .flags = 0x100, .blob = {"who leads", 9}};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 3, .data = {"new", 3}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_dtx_info infos[8], info;
    struct vos_dtx_counts counts;
    struct vos_dtx_id id = tx_id(1), id2 = tx_id(2), id3 = tx_id(3);
    struct vos_apply_ret ret = {0};
    uint32_t pos = 0, nr = 0;
    uint64_t epoch;
    char blob[16];
    size_t len = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(tx_mods(f, &dtx, 0, &mod, 1, &ret));
    epoch = ret.epoch;
    EXPECT_OK(tx_put(f, 2, 1, "d2", "a", "two", 0));
    EXPECT_OK(tx_put(f, 3, 1, "d3", "a", "three", 0));
    EXPECT_OK(commit(f, 2));
    EXPECT_OK(tx_abort(f, 3));
    EXPECT_OK(tx_put(f, 4, 1, "d4", "a", "four", 0));
    EXPECT_OK(vos_dtx_committable(f->cont, &id));
    if (!reopen(f))
        return;
    EXPECT_OK(vos_tgt_check(f->tgt));
    vos_dtx_list(f->cont, &pos, infos, 8, &nr);
    EXPECT_EQ(nr, 2);
    EXPECT_EQ(pos, UINT32_MAX);
    EXPECT_OK(vos_dtx_lookup(f->cont, &id, &info));
    EXPECT_EQ(info.state, VOS_DTX_PREPARED); /* that all have prepared, the leader may find out again */
    EXPECT_EQ(info.epoch, epoch);
    EXPECT_EQ(info.flags, 0x100);
    EXPECT_EQ(vos_dtx_oldest(f->cont), epoch);
    EXPECT_OK(vos_dtx_blob(f->cont, &id, blob, sizeof(blob), &len));
    EXPECT(len == 9 && memcmp(blob, "who leads", 9) == 0);
    EXPECT_ERR(vos_dtx_blob(f->cont, &id, blob, 8, &len), OVERFLOW);
    EXPECT_GET(f, 1, "d", "a", NULL, "?");
    /* Resends: of what is prepared, of what was committed; what was aborted. */
    EXPECT_OK(tx_mods(f, &dtx, 0, &mod, 1, &ret));
    EXPECT(ret.is_replay && ret.epoch == epoch);
    EXPECT_OK(vos_dtx_lookup(f->cont, &id2, &info));
    EXPECT_EQ(info.state, VOS_DTX_COMMITTED);
    EXPECT_OK(vos_dtx_lookup(f->cont, &id3, &info));
    EXPECT_EQ(info.state, VOS_DTX_ABORTED);
    dtx = (struct vos_dtx_args){.id = id2};
    EXPECT_OK(tx_mods(f, &dtx, 0, &mod, 1, &ret));
    EXPECT(ret.is_replay);
    dtx.id = id3;
    EXPECT_ERR(tx_mods(f, &dtx, info.epoch, &mod, 1, &ret), TX_RESTART);
    dtx.id = tx_id(9);
    dtx.part = 1;
    EXPECT_ERR(tx_mods(f, &dtx, 0, &mod, 1, &ret), NONEXIST);
    EXPECT_OK(commit(f, 1));
    EXPECT_GET(f, 1, "d", "a", NULL, "new");
    vos_dtx_count(f->cont, &counts);
    EXPECT_EQ(counts.active_nr, 1);
    EXPECT_EQ(counts.done_nr, 3);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(a_restart_keeps_what_was_prepared_and_decided, body_restart)

/* More than a block of slots, more than a block of outcomes. */
static void
body_many(struct fix *f)
{
    enum { NR = 200 };
    struct vos_dtx_id ids[NR];
    struct vos_dtx_info infos[64];
    struct vos_dtx_counts counts;
    struct vos_cont_info before, after;
    uint32_t pos = 0, nr, seen = 0, gone = 0;
    char key[8];

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "old", 3, 0));
    for (uint8_t i = 0; i < NR; i++) {
        ids[i] = tx_id(i);
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(tx_put(f, i, 1, key, "a", key, 0));
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    while (pos != UINT32_MAX) {
        vos_dtx_list(f->cont, &pos, infos, 64, &nr);
        seen += nr;
    }
    EXPECT_EQ(seen, NR);
    if (!reopen(f))
        return;
    for (uint32_t i = 0; i < NR; i += 2) {
        EXPECT_OK(vos_dtx_committable(f->cont, &ids[i]));
    }
    vos_dtx_committables(f->cont, infos, 64, &nr);
    EXPECT_EQ(nr, 64);
    EXPECT(vos_dtx_id_eq(&infos[1].id, &ids[2]));
    EXPECT_ERR(vos_dtx_abort(f->cont, ids, NR), EXIST); /* the others are gone all the same */
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_ERR(vos_dtx_commit(f->cont, ids, NR), NONEXIST);
    vos_dtx_count(f->cont, &counts);
    EXPECT(counts.active_nr == 0 && counts.committable_nr == 0 && counts.done_nr == NR);
    EXPECT_GET(f, 1, "k4", "a", NULL, "k4");
    EXPECT_GET(f, 1, "k5", "a", NULL, "");
    /* A lid is used again. */
    EXPECT_OK(tx_put(f, 250, 1, "again", "a", "x", 0));
    pos = 0;
    vos_dtx_list(f->cont, &pos, infos, 64, &nr);
    EXPECT(nr == 1 && infos[0].lid == 1);
    EXPECT_OK(vos_tgt_check(f->tgt));
    /* Forgetting. */
    EXPECT_OK(vos_cont_query(f->cont, &before));
    EXPECT_OK(vos_dtx_aggregate(f->cont, 1000 + 61, UINT32_MAX, &gone));
    EXPECT(gone > 0 && gone < NR);
    EXPECT_OK(vos_dtx_aggregate(f->cont, 0, 10, &gone));
    vos_dtx_count(f->cont, &counts);
    EXPECT_EQ(counts.done_nr, 10);
    EXPECT_OK(vos_cont_query(f->cont, &after));
    EXPECT_LE(after.meta_used + 5 * 1024, before.meta_used);
    EXPECT_ERR(vos_dtx_lookup(f->cont, &ids[3], &infos[0]), TX_UNCERTAIN);
    EXPECT_ERR(tx_put(f, 3, 1, "late", "a", "x", 0), TX_UNCERTAIN);
    EXPECT_OK(vos_dtx_aggregate(f->cont, UINT64_MAX, 0, &gone));
    EXPECT_EQ(gone, 10);
    if (!reopen(f))
        return;
    EXPECT_ERR(vos_dtx_lookup(f->cont, &ids[3], &infos[0]), TX_UNCERTAIN);
    EXPECT_OK(tx_put(f, 251, 1, "later", "a", "x", 0));
    EXPECT_OK(commit(f, 251));
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(tables_grow_and_are_trimmed, body_many)

static void
body_solo(struct fix *f)
{
    struct vos_dtx_args dtx = {.id = tx_id(1), .flags = VOS_DTX_SOLO};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 3, .data = {"new", 3}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .dtx = &dtx};
    struct vos_apply_ret ret = {0};

    if (!fix_format(f))
        return;
    EXPECT_OK(vos_apply(f->cont, &args, &ret));
    EXPECT_GET(f, 1, "d", "a", NULL, "new");
    EXPECT_EQ(vos_dtx_oldest(f->cont), VOS_EPOCH_MAX);
    if (!reopen(f))
        return;
    EXPECT_OK(vos_apply(f->cont, &args, &ret));
    EXPECT(ret.is_replay);
    EXPECT_ERR(tx_abort(f, 1), EXIST);
    EXPECT_OK(vos_tgt_check(f->tgt));
    /* Arguments. */
    dtx.part = 1;
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), INVAL);
    dtx = (struct vos_dtx_args){.id = tx_id(2), .flags = 2};
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), INVAL);
    dtx.flags = 0;
    dtx.id.hlc = 0;
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), INVAL);
    dtx.id = tx_id(2);
    args.flags = VOS_APPLY_NO_HISTORY;
    EXPECT_ERR(vos_apply(f->cont, &args, &ret), INVAL);
    fix_close(f);
}

DTX_TEST(alone_it_is_committed_at_once, body_solo)

static int
solo(struct fix *f, uint32_t nr, struct vos_apply_ret *ret)
{
    struct vos_dtx_args dtx = {
        .id = {.uuid = {.b = {0x50, (uint8_t)nr, (uint8_t)(nr >> 8)}}, .hlc = 1 + nr},
        .flags = VOS_DTX_SOLO};
    struct vos_iod iod = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 4, .data = {&nr, 4}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .dtx = &dtx};

    return vos_apply(f->cont, &args, ret);
}

static int
solo_look(struct fix *f, uint32_t nr)
{
    struct vos_dtx_id id = {.uuid = {.b = {0x50, (uint8_t)nr, (uint8_t)(nr >> 8)}}, .hlc = 1 + nr};
    struct vos_dtx_info info = {.state = 0};
    int rc = vos_dtx_lookup(f->cont, &id, &info);

    if (rc == 0)
        EXPECT_EQ(info.state, VOS_DTX_COMMITTED);
    return rc;
}

/* As many outcomes as are remembered, and some more: the oldest go, and are never taken for unknown. */
static void
body_full(struct fix *f)
{
    enum { NR = VOS_DTX_DONE_NR_MAX + 40 };
    struct vos_dtx_counts counts = {.done_nr = 0};
    struct vos_apply_ret ret = {0};
    uint32_t hint, gone_nr = 0;
    uint8_t blob[8];
    size_t len;
    struct vos_dtx_id id = tx_id(9);

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < NR && !test_failed(); i++) {
        EXPECT_OK(solo(f, i, &ret));
    }
    for (uint32_t round = 0; round < 2; round++) { /* also after a restart */
        vos_dtx_count(f->cont, &counts);
        EXPECT_LE(counts.done_nr, VOS_DTX_DONE_NR_MAX);
        EXPECT_GE(counts.done_nr, VOS_DTX_DONE_NR_MAX - 64);
        gone_nr = NR - counts.done_nr;
        EXPECT_EQ(counts.horizon, gone_nr); /* the hlc of the last that went */
        EXPECT_ERR(solo_look(f, 0), TX_UNCERTAIN);
        EXPECT_ERR(solo_look(f, gone_nr - 1), TX_UNCERTAIN);
        EXPECT_OK(solo_look(f, gone_nr));
        EXPECT_OK(solo_look(f, NR - 1));
        EXPECT_ERR(solo_look(f, NR), NONEXIST);
        EXPECT_ERR(solo(f, 0, &ret), TX_UNCERTAIN);
        ret.is_replay = false;
        EXPECT_OK(solo(f, gone_nr, &ret));
        EXPECT(ret.is_replay);
        EXPECT_OK(vos_tgt_check(f->tgt));
        if (round == 0 && !reopen(f))
            return;
    }
    /* No lid is free: as if all were in use. */
    hint = f->cont->dtxs->lid_hint;
    f->cont->dtxs->lid_hint = VOS_DTX_ACTIVE_NR_MAX + 1;
    id.hlc = UINT64_C(1) << 40;
    {
        struct vos_dtx_args dtx = {.id = id, .blob = IOV("members")};
        struct vos_mod mod = {.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(1), .dkey = IOV("d")};

        EXPECT_ERR(tx_mods(f, &dtx, 0, &mod, 1, NULL), BUSY);
        EXPECT_ERR(vos_dtx_blob(f->cont, &id, blob, sizeof(blob), &len), NONEXIST);
        f->cont->dtxs->lid_hint = hint;
        EXPECT_OK(tx_mods(f, &dtx, 0, &mod, 1, NULL));
        EXPECT_ERR(vos_dtx_blob(f->cont, &id, blob, 6, &len), OVERFLOW);
        EXPECT_OK(vos_dtx_blob(f->cont, &id, blob, 7, &len));
        EXPECT_EQ(len, 7);
        EXPECT_MEM_EQ(blob, "members", 7);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(outcomes_beyond_the_limit_are_uncertain, body_full)

/* ---- many parts ----------------------------------------------------------------------------------------------------- */

enum { PARTS_NR = 3, KEYS_OF_PART = 80 };

static int
big_part(struct fix *f, uint8_t nr, uint32_t part, uint64_t obj)
{
    struct vos_dtx_args dtx = {.id = tx_id(nr), .part = part};
    struct vos_iod iods[KEYS_OF_PART];
    char names[KEYS_OF_PART][8];
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = fix_oid(obj),
        .dkey = IOV("d"),
        .iod_nr = KEYS_OF_PART,
        .iods = iods};

    for (uint32_t i = 0; i < KEYS_OF_PART; i++) {
        snprintf(names[i], sizeof(names[i]), "%u", part * KEYS_OF_PART + i);
        iods[i] = (struct vos_iod){
            .akey = IOV(names[i]), .type = VOS_IOD_SINGLE, .size = 3, .data = {"big", 3}};
    }
    return tx_mods(f, &dtx, 0, &mod, 1, NULL);
}

struct watch {
    struct fix *f;
    bool stop;
    uint32_t none_nr, all_nr, asked_nr, some_nr;
};

/* Reads the first and the last key, and all of them in one listing, again and again. */
static void
watch_main(void *arg)
{
    struct watch *w = arg;

    while (!w->stop) {
        struct fix_keys *keys = calloc(1, sizeof(*keys));
        int rc = fix_list_keys(w->f, VOS_LEVEL_AKEY, 7, "d", VOS_EPOCH_MAX, 0, keys);

        if (rc == -DER_INPROGRESS) {
            w->asked_nr++;
        } else if (EXPECT_OK(rc)) {
            w->none_nr += keys->nr == 0;
            w->all_nr += keys->nr == PARTS_NR * KEYS_OF_PART;
            w->some_nr += keys->nr != 0 && keys->nr != PARTS_NR * KEYS_OF_PART;
        }
        free(keys);
        ult_yield();
    }
}

static void
body_big(struct fix *f)
{
    struct watch w = {.f = f};
    struct ult *ult = NULL;
    struct vos_dtx_info info;
    struct vos_cont_info before, after;
    struct vos_dtx_id id = tx_id(1);

    if (!fix_format(f))
        return;
    EXPECT_OK(tx_put(f, 9, 1, "d", "a", "x", 0));
    EXPECT_OK(tx_abort(f, 9));
    EXPECT_OK(vos_cont_query(f->cont, &before));
    for (uint32_t i = 0; i < PARTS_NR; i++) {
        EXPECT_OK(big_part(f, 1, i, 7));
        EXPECT_OK(big_part(f, 1, 0, 7)); /* a resend */
    }
    EXPECT_ERR(big_part(f, 1, PARTS_NR + 1, 7), NONEXIST);
    EXPECT_OK(vos_dtx_lookup(f->cont, &id, &info));
    EXPECT_EQ(info.part_nr, PARTS_NR);
    EXPECT_GE(info.ref_nr, PARTS_NR * KEYS_OF_PART);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(tx_abort(f, 1));
    EXPECT_OK(vos_cont_query(f->cont, &after));
    EXPECT_EQ(after.meta_used, before.meta_used);
    EXPECT_EQ(after.obj_nr, before.obj_nr);
    EXPECT_OK(vos_tgt_check(f->tgt));
    id = tx_id(2);
    for (uint32_t i = 0; i < PARTS_NR; i++) {
        EXPECT_OK(big_part(f, 2, i, 7));
    }
    EXPECT_OK(ult_create(f->xs, ULT_SERVICE, watch_main, &w, &ult));
    for (uint32_t i = 0; i < 10; i++) {
        ult_yield();
    }
    EXPECT_OK(vos_dtx_commit(f->cont, &id, 1));
    for (uint32_t i = 0; i < 10; i++) {
        ult_yield();
    }
    w.stop = true;
    ult_join(ult);
    EXPECT(w.asked_nr > 0 && w.all_nr > 0);
    EXPECT(w.none_nr == 0 && w.some_nr == 0);
    EXPECT_OK(vos_cont_query(f->cont, &after));
    EXPECT_EQ(after.obj_nr, 1);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(many_parts_become_visible_at_once, body_big)

/* ---- the rest of the store ------------------------------------------------------------------------------------------ */

static void
body_around(struct fix *f)
{
    struct vos_agg_args agg = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat;
    struct vos_dtx_info info;
    struct vos_dtx_id id = tx_id(1);
    struct uuid other = {.b = {3}};
    struct vos_pool_info before, after;
    struct vos_cont *cont = f->cont;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, 1, "d", "a", "one", 3, 0));
    EXPECT_OK(fix_put(f, 1, "d", "a", "two", 3, 0));
    EXPECT_OK(tx_put(f, 1, 1, "d", "a", "tx", 0));
    EXPECT_OK(fix_put(f, 1, "d", "a", "three", 5, 0));
    EXPECT_OK(fix_put(f, 1, "d", "a", "four", 4, 0));
    EXPECT_OK(vos_dtx_lookup(f->cont, &id, &info));
    EXPECT_OK(vos_cont_aggregate(f->cont, &agg, &stat));
    EXPECT(stat.is_finished);
    EXPECT_EQ(stat.ver_del_nr, 1); /* "one": what is behind the transaction stays */
    EXPECT(!vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    EXPECT_ERR(vos_cont_discard(f->cont, info.epoch, info.epoch + 1, NULL, NULL), BUSY);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(commit(f, 1));
    EXPECT(vos_cont_agg_is_needed(f->cont, VOS_EPOCH_MAX));
    EXPECT_OK(vos_cont_aggregate(f->cont, &agg, &stat));
    EXPECT_EQ(stat.ver_del_nr, 3);
    EXPECT_GET(f, 1, "d", "a", NULL, "four");
    /* A container goes with its table. */
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &before));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, other));
    cont = f->cont;
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, other, &f->cont));
    for (uint32_t i = 0; i < PARTS_NR; i++) {
        EXPECT_OK(big_part(f, 1, i, 7));
    }
    EXPECT_OK(tx_put(f, 2, 1, "d", "a", "x", 0));
    EXPECT_OK(tx_put(f, 3, 1, "d", "b", "x", 0));
    EXPECT_OK(commit(f, 3));
    vos_cont_close(f->cont);
    f->cont = cont;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, other));
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &after));
    EXPECT_EQ(after.meta_used, before.meta_used);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

DTX_TEST(aggregation_discard_and_collector_respect_it, body_around)

/* A mark without a record, and a record without its mark, are found. */
static int
spoil_body(struct vos_op *op, void *arg)
{
    struct fix *f = arg;
    struct vos_dtx_df *rec;
    uint64_t off;
    int rc = vos_dtx_get(op, f->cont->dtxs->acts[0]->off, &rec);

    if (rc != 0)
        return rc;
    off = vos_dtx_inline_refs(rec)[rec->inline_nr - 1].rec & ~UINT64_C(7);
    return vos_ver_dtx_set(op, off, (uint32_t)f->seq);
}

static void
spoil(struct fix *f, uint32_t lid)
{
    struct vos_op op;
    uint64_t lsn;

    f->seq = lid;
    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_tx_run(f->tgt, &op, 0, 0, spoil_body, f, &lsn));
}

static void
body_check(struct fix *f)
{
    if (!fix_format(f))
        return;
    EXPECT_OK(tx_put(f, 1, 1, "d", "a", "new", 0));
    EXPECT_OK(vos_tgt_check(f->tgt));
    spoil(f, 0);
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    EXPECT_ERR(commit(f, 1), DF_INVAL);
    spoil(f, 77);
    EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL);
    EXPECT_ERR(tx_abort(f, 1), DF_INVAL);
    spoil(f, 1);
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(commit(f, 1));
    EXPECT_GET(f, 1, "d", "a", NULL, "new");
    fix_close(f);
}

DTX_TEST(the_check_finds_marks_and_records_that_differ, body_check)
