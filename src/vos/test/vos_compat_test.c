/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Golden image: a store as format version 5 wrote it must open for ever, with exactly these contents. VOS_COMPAT_WRITE=FILE makes a new one (for a new version; never over an old one).
 *
 * What it holds: every kind of key, values with the metadata and in the data role, extents over and under each other, holes, punches, a tall
 * incarnation log, trees of several levels, stored answers, a container that waits for the collector; part of it in the log only. Transactions that are
 * decided later have an image of their own, vos_compat_dtx_test.c.
 */
#include "vos_compat_img.h"

enum { KEY_NR = 45, BATCH_NR = 15, TOGGLE_NR = 35, ARR_BYTES = 30000, ARR_NR = 30 };

/* ---- what it holds -------------------------------------------------------------------------------------------------- */

static const uint8_t obj_types[] = {0, 2, 7, 4};

static struct iov
key_of(uint32_t obj, uint32_t i, char *mem)
{
    if (obj_types[obj] == 2 || obj_types[obj] == 4) {
        le64_put(mem, (uint64_t)i * i);
        return (struct iov){mem, 8};
    }
    snprintf(mem, 64, "%s-%u", i % 3 == 0 ? "a common beginning" : "k", i);
    return (struct iov){mem, strlen(mem)};
}

static struct iov
akey_of(uint32_t obj, char *mem)
{
    if (obj_types[obj] != 4)
        return IOV("akey");
    le64_put(mem, 77);
    return (struct iov){mem, 8};
}

static size_t
val_len(uint32_t i)
{
    return i == 7 ? 40000 : i == 8 ? 4097 : i == 9 ? 4096 : 1 + i % 40;
}

/* BATCH_NR keys from i on, in one request. */
static int
put(struct fix *f, uint32_t obj, uint32_t i)
{
    static uint8_t data[BATCH_NR][40000];
    char kmem[BATCH_NR][64], amem[8];
    struct vos_iod iods[BATCH_NR];
    struct vos_mod mods[BATCH_NR];
    struct vos_apply_args args = {.mods = mods,
        .mod_nr = BATCH_NR,
        .pm_ver = 3,
        .req = {.client = {.b = {5}}, .slot = obj * 20, .seq = i + 1, .hlc = 10 + i},
        .result = {&i, 4}};

    for (uint32_t n = 0; n < BATCH_NR; n++) {
        iods[n] = (struct vos_iod){.akey = akey_of(obj, amem),
            .type = VOS_IOD_SINGLE,
            .size = val_len(i + n),
            .data = {data[n], val_len(i + n)}};
        mods[n] = (struct vos_mod){.op = VOS_MOD_UPDATE,
            .oid = fix_oid_type(obj_types[obj], 50 + obj),
            .dkey = key_of(obj, i + n, kmem[n]),
            .iod_nr = 1,
            .iods = &iods[n]};
        memset(data[n], (int)(i + n + obj + 1), val_len(i + n));
    }
    return vos_apply(f->cont, &args, NULL);
}

static void
arr_fill(uint8_t *arr)
{
    for (uint32_t i = 0; i < ARR_NR; i++) {
        uint32_t idx = i * 733 % 24000, nr = i % 7 == 0 ? 6000 : 100 + i * 7;

        memset(arr + idx, i % 11 == 5 ? 0 : (int)i + 1, nr);
    }
}

static void
body_make(struct fix *f)
{
    static uint8_t data[ARR_BYTES];
    struct uuid gone = {.b = {0x99}};
    struct vos_cont *keep;

    if (!fix_format(f))
        return;
    for (uint32_t o = 0; o < ARRAY_SIZE(obj_types); o++) {
        for (uint32_t i = 0; i < KEY_NR; i += BATCH_NR) {
            EXPECT_OK(put(f, o, i));
        }
    }
    for (uint32_t i = 0; i < ARR_NR; i++) {
        uint32_t idx = i * 733 % 24000, nr = i % 7 == 0 ? 6000 : 100 + i * 7;

        memset(data, (int)i + 1, nr);
        EXPECT_OK(fix_write(f, 1, "d", "a", idx, nr, i % 11 == 5 ? 0 : 1, data));
    }
    EXPECT_OK(bio_checkpoint(f->bio));
    for (uint32_t i = 0; i < TOGGLE_NR; i++) {
        EXPECT_OK(i % 2 == 0 ? fix_put(f, 2, "toggled", "a", "v", 1, 0)
                             : fix_punch(f, 2, "toggled", NULL, VOS_COND_PUNCH));
    }
    EXPECT_OK(fix_put(f, 3, "d", "a", "v", 1, 0));
    EXPECT_OK(fix_punch(f, 3, NULL, NULL, 0));
    EXPECT_OK(vos_cont_create(f->tgt, f->pool, gone));
    keep = f->cont;
    EXPECT_OK(vos_cont_open(f->tgt, f->pool, gone, &f->cont));
    EXPECT_OK(fix_put(f, 3, "d", "a", data, 9000, 0));
    vos_cont_close(f->cont);
    f->cont = keep;
    EXPECT_OK(vos_cont_destroy(f->tgt, f->pool, gone));
}

static void
check_keys(struct fix *f, uint32_t o)
{
    static uint8_t want[40000];
    char kmem[64], amem[8];

    for (uint32_t i = 0; i < KEY_NR; i++) {
        struct vos_iod iod = {.akey = akey_of(o, amem), .type = VOS_IOD_SINGLE};
        struct vos_oid oid = fix_oid_type(obj_types[o], 50 + o);
        struct iov dk = key_of(o, i, kmem);
        struct vos_fetch *fetch;

        if (!EXPECT_OK(vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch)))
            return;
        memset(want, (int)(i + o + 1), val_len(i));
        if (EXPECT_EQ(fetch->iods[0].size, val_len(i)))
            EXPECT_MEM_EQ(fetch->iods[0].segs[0].buf, want, val_len(i));
        vos_fetch_free(f->cont, fetch);
    }
}

static void
body_check(struct fix *f)
{
    static uint8_t want[ARR_BYTES], got[ARR_BYTES];
    struct vos_req_id id = {.client = {.b = {5}}, .slot = 20, .seq = KEY_NR - BATCH_NR + 1, .hlc = 1};
    struct vos_apply_ret ret;
    struct vos_pool_info info;
    struct fix_keys keys;
    char buf[8];
    size_t len = 0;

    if (!fix_open(f))
        return;
    EXPECT_OK(vos_tgt_check(f->tgt));
    for (uint32_t o = 0; o < ARRAY_SIZE(obj_types); o++) {
        check_keys(f, o);
    }
    memset(want, 0, sizeof(want));
    arr_fill(want);
    EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, 0, sizeof(got), 0, got));
    EXPECT_MEM_EQ(got, want, sizeof(want));
    EXPECT_OK(fix_get(f, 2, "toggled", "a", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 1);
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, 3, NULL, VOS_EPOCH_MAX, 10, &keys));
    EXPECT_EQ(keys.nr, 0);
    EXPECT_OK(vos_req_lookup(f->cont, &id, &ret));
    EXPECT_EQ(ret.result_len, 4);
    EXPECT_EQ(ret.result[0], KEY_NR - BATCH_NR);
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_pool_query(f->tgt, f->pool, &info));
    EXPECT_EQ(info.cont_nr, 1);
    /* And it can be written. */
    EXPECT_OK(fix_put(f, 2, "toggled", "a", "vv", 2, VOS_COND_DKEY_UPDATE));
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* Goal: what version 5 wrote opens, and holds what was put in. */
TEST_ON(vos_compat, version_5, BACKEND_SIM)
{
    img_load_and_run(VOS_COMPAT_DIR "/v5.img", body_check);
}

static void
body_refused(struct fix *f)
{
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio));
    EXPECT_ERR(vos_tgt_open(f->bio, &f->tgt), DF_INCOMPT);
    EXPECT(f->tgt == NULL);
    bio_close(f->bio);
    f->bio = NULL;
}

/* Goal: versions 1 to 4, which no release had, are refused, not misread. */
TEST_ON(vos_compat, older_versions_are_refused, BACKEND_SIM)
{
    img_load_and_run(VOS_COMPAT_DIR "/v1.img", body_refused);
    img_load_and_run(VOS_COMPAT_DIR "/v2.img", body_refused);
    img_load_and_run(VOS_COMPAT_DIR "/v3.img", body_refused);
    img_load_and_run(VOS_COMPAT_DIR "/v4.img", body_refused);
}

/* Goal: the image is what this program would write, and its maker stays alive. */
TEST_ON(vos_compat, current, BACKEND_SIM)
{
    img_current("VOS_COMPAT_WRITE", body_make, body_check);
}
