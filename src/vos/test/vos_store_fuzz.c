/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: a whole store, from superblock to values. The image of vos_fuzz_img.h, changed as the input says, is opened, checked, listed, read, changed and
 * closed. Whatever answer comes is fine (ST-7): a crash, a hang, or memory out of bounds is not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/log.h"
#include "base/util.h"
#include "bio/bio_format.h"
#include "plat/plat_sim.h"
#include "vos/test/vos_fuzz_img.h"
#include "vos/vos_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *tgt;
    bool is_done;
} st;

/* ---- use ------------------------------------------------------------------------------------------------------------ */

#define TEXT(s) ((struct iov){.buf = (void *)(uintptr_t)(s), .len = strlen(s)})

static bool
entry_look(void *arg, const struct vos_entry *entry)
{
    uint32_t *crc = arg;

    *crc = crc32c(*crc, entry->key.buf, entry->key.len);
    return true;
}

static void
list_all(struct vos_cont *cont, enum vos_level level, uint64_t oid)
{
    uint32_t crc = 0;
    struct vos_list_args args = {.level = level,
        .oid = {.oid = {.lo = oid}},
        .dkey = TEXT("d"),
        .akey = TEXT("a"),
        .epoch = VOS_EPOCH_MAX,
        .fn = entry_look,
        .arg = &crc};
    struct vos_anchor anchor = {.eof = false};

    for (uint32_t i = 0; i < 20 && !anchor.eof; i++) {
        if (vos_list(cont, &args, &anchor) != 0)
            break;
    }
}

static void
cont_use(struct vos_cont *cont)
{
    struct recx recx = {10, 30};
    struct vos_iod iods[2] = {
        {.akey = TEXT("v"), .type = VOS_IOD_SINGLE, .size = 4, .data = {(void *)(uintptr_t) "abcd", 4}},
        {.akey = TEXT("a"),
            .type = VOS_IOD_ARRAY,
            .size = 1,
            .recx_nr = 1,
            .recxs = &recx,
            .data = {(void *)(uintptr_t) "0123456789012345678901234567890", 30}}};
    struct vos_mod mods[2] = {{.op = VOS_MOD_UPDATE, .dkey = TEXT("d"), .iod_nr = 2, .iods = iods},
        {.op = VOS_MOD_PUNCH_DKEY, .dkey = TEXT("toggled")}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2};
    struct vos_apply_ret ret;

    for (uint64_t oid = 1; oid <= 3; oid++) {
        list_all(cont, VOS_LEVEL_DKEY, oid);
        list_all(cont, VOS_LEVEL_AKEY, oid);
        list_all(cont, VOS_LEVEL_RECX, oid);
        mods[0].oid.oid.lo = oid;
        mods[1].oid.oid.lo = oid;
        CAIRN_IGNORE(vos_apply(cont, &args, &ret)); /* any answer will do */
    }
}

/* Two passes with a stop in between; each has an end, whatever the index looks like. */
static void
scrub(struct uuid pool)
{
    struct vos_scrub *s = NULL;
    int rc = 0;

    for (uint32_t i = 0; i < 2 && rc == 0; i++) {
        if (vos_scrub_create(st.tgt, pool, NULL, NULL, &s) != 0)
            return;
        rc = vos_scrub_step(s, i == 0 ? 20000 : UINT64_MAX);
        if (rc == 0)
            rc = vos_scrub_save(s);
        vos_scrub_free(s);
    }
}

static void
store_use(void *arg)
{
    struct bio_cfg cfg = {.dir = "/m", .pending = &st.bio};
    struct uuid pool = {.b = {7}}, cont_id = {.b = {9}};
    const struct bio_sb_df *sb = vos_fuzz_sb();
    struct vos_cont *cont = NULL;
    struct bio_tgt *bio = NULL;

    (void)arg;
    cfg.system = sb->system; /* a store of whom its superblock says */
    cfg.rank = sb->rank;
    cfg.tgt_idx = sb->tgt_idx;
    if (bio_open(st.xs, &cfg, &bio) == 0) {
        st.bio = bio;
        CAIRN_IGNORE(bio_check(bio)); /* any answer will do, here and below */
        if (vos_tgt_open(bio, &st.tgt) == 0) {
            CAIRN_IGNORE(vos_tgt_check(st.tgt));
            scrub(pool);
            if (vos_cont_open(st.tgt, pool, cont_id, &cont) == 0) {
                cont_use(cont);
                vos_cont_close(cont);
            }
            CAIRN_IGNORE(vos_tgt_collect(st.tgt));
            CAIRN_IGNORE(vos_tgt_check(st.tgt));
            vos_tgt_close(st.tgt);
            st.tgt = NULL;
        }
        bio_close(bio);
        st.bio = NULL;
    }
    st.is_done = true;
}

static void
reap(void *arg)
{
    (void)arg;
    xstream_stop(st.xs);
    xstream_abandon(st.xs);
    vos_tgt_abandon(st.tgt);
    bio_abandon(st.bio);
    st.tgt = NULL;
    st.bio = NULL;
    xstream_destroy(st.xs);
    st.xs = NULL;
}

static bool
is_done(void *arg)
{
    (void)arg;
    return st.is_done;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sim_opts opts = {.seed = 1};
    struct xstream_opts xopts = {.name = "f", .cpu = UINT32_MAX};

    vos_fuzz_change(data, len);
    if (sim_create(&opts, &st.sim) != 0 || sim_node_start(st.sim, "h", "n", &st.plat) != 0)
        abort();
    vos_fuzz_disks(st.plat, false);
    if (xstream_create(st.plat, &xopts, &st.xs) != 0)
        abort();
    sim_node_on_kill(st.plat, reap, NULL);
    st.is_done = false;
    if (xstream_start(st.xs) != 0 || xstream_post(st.xs, ULT_SERVICE, store_use, NULL) != 0 ||
        sim_run_until(st.sim, is_done, NULL, UINT64_C(3600) * 1000000000) != 0)
        abort(); /* it never ends */
    sim_node_kill(st.sim, st.plat);
    sim_destroy(st.sim);
    vos_fuzz_restore();
    return 0;
}
