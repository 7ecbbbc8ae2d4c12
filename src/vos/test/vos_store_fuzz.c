/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: a whole store, from superblock to values. The image of vos_fuzz_img.h, changed as the input says, is opened, checked, listed, iterated over, read, changed, also by
 * transactions that are decided later, aggregated, collected and closed. Whatever answer comes is fine (ST-7): a crash, a hang, or memory out of bounds is not.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/log.h"
#include "base/util.h"
#include "bio/bio_format.h"
#include "plat/plat_sim.h"
#include "vos/test/vos_fuzz_img.h"
#include "vos/vos_look.h"
#include "vos/vos_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *tgt;
    bool is_plain; /* the image as it is */
    bool is_done;
} st;

/* ---- use: read ------------------------------------------------------------------------------------------------------ */

enum {
    NAMES_NR = 10,
    NAME_BYTES = 64,
    STATES = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED
};

#define TEXT(s) ((struct iov){.buf = (void *)(uintptr_t)(s), .len = strlen(s)})

/* The first few things of a level. */
struct names {
    uint32_t nr;
    uint32_t crc; /* of all bytes that were told */
    struct uuid uuids[NAMES_NR];
    struct vos_oid oids[NAMES_NR];
    uint32_t types[NAMES_NR];
    size_t lens[NAMES_NR];
    uint8_t keys[NAMES_NR][NAME_BYTES];
};

static bool
name_take(void *arg, const struct vos_iter_ent *e)
{
    struct names *n = arg;

    n->crc = crc32c(n->crc, e->key.buf, e->key.len);
    n->crc = crc32c(n->crc, e->csums, e->csum_nr * (size_t)e->csum_len);
    if (e->is_inline && !e->is_hole)
        n->crc = crc32c(n->crc, e->data, e->stored_len);
    if (n->nr == NAMES_NR || e->key.len > NAME_BYTES)
        return true;
    n->uuids[n->nr] = e->uuid;
    n->oids[n->nr] = e->oid;
    n->types[n->nr] = e->value_type;
    n->lens[n->nr] = e->key.len;
    if (e->key.len > 0)
        memcpy(n->keys[n->nr], e->key.buf, e->key.len);
    n->nr++;
    return true;
}

static struct iov
name_iov(struct names *n, uint32_t i)
{
    return (struct iov){n->keys[i], n->lens[i]};
}

/* A level, in calls of different sizes. */
static void
level_iter(struct vos_iter_args args, struct names *n)
{
    struct vos_iter_anchor anchor = {.eof = false};

    n->nr = 0;
    args.fn = name_take;
    args.arg = n;
    for (uint32_t i = 0; i < 12 && !anchor.eof; i++) {
        args.nr_max = 1 + i * 20;
        if (vos_iter(st.tgt, &args, &anchor) != 0)
            break;
    }
}

static bool
entry_look(void *arg, const struct vos_entry *entry)
{
    uint32_t *crc = arg;

    *crc = crc32c(*crc, entry->key.buf, entry->key.len);
    return true;
}

static void
level_list(struct vos_cont *cont, enum vos_level level, const struct vos_oid *oid, struct iov dkey,
    struct iov akey)
{
    uint32_t crc = 0;
    struct vos_list_args args = {.level = level,
        .oid = *oid,
        .dkey = dkey,
        .akey = akey,
        .epoch = VOS_EPOCH_MAX,
        .descending = level == VOS_LEVEL_RECX && dkey.len % 2 == 0,
        .fn = entry_look,
        .arg = &crc};
    struct vos_anchor anchor = {.eof = false};

    for (uint32_t i = 0; i < 20 && !anchor.eof; i++) {
        if (vos_list(cont, &args, &anchor) != 0)
            break;
    }
}

static void
value_use(struct vos_cont *cont, const struct vos_oid *oid, struct iov dkey, struct iov akey,
    uint32_t type)
{
    static struct names parts;
    struct recx recxs[2] = {{0, 9000}, {20000, 3000}};
    struct vos_iod iod = {.akey = akey,
        .type = type == VOS_IOD_ARRAY ? VOS_IOD_ARRAY : VOS_IOD_SINGLE,
        .recx_nr = type == VOS_IOD_ARRAY ? 2 : 0,
        .recxs = recxs};
    struct vos_iter_args args = {.type = type == VOS_IOD_ARRAY ? VOS_ITER_EXTENT : VOS_ITER_SINGLE,
        .flags = STATES | VOS_ITER_HOLES,
        .hi = VOS_EPOCH_MAX,
        .cont = cont,
        .oid = *oid,
        .dkey = dkey,
        .akey = akey};
    struct vos_fetch *fetch;

    level_iter(args, &parts);
    args.type = VOS_ITER_LOG;
    level_iter(args, &parts);
    level_list(cont, type == VOS_IOD_ARRAY ? VOS_LEVEL_RECX : VOS_LEVEL_SINGLE, oid, dkey, akey);
    if (vos_fetch(cont, oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch) == 0)
        vos_fetch_free(cont, fetch);
}

static void
dkey_use(struct vos_cont *cont, const struct vos_oid *oid, struct iov dkey)
{
    static struct names akeys;
    struct vos_iter_args args = {.type = VOS_ITER_AKEY,
        .flags = STATES,
        .hi = VOS_EPOCH_MAX,
        .cont = cont,
        .oid = *oid,
        .dkey = dkey};

    level_list(cont, VOS_LEVEL_AKEY, oid, dkey, TEXT(""));
    level_iter(args, &akeys);
    for (uint32_t i = 0; i < akeys.nr && i < 3; i++) {
        value_use(cont, oid, dkey, name_iov(&akeys, i), akeys.types[i]);
    }
}

static void
obj_use(struct vos_cont *cont, const struct vos_oid *oid)
{
    static const uint32_t flags[] = {0, VOS_GET_MAX | VOS_GET_DKEY,
        VOS_GET_MIN | VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX, VOS_GET_MAX | VOS_GET_RECX};
    static struct names dkeys;
    struct vos_iter_args args = {
        .type = VOS_ITER_DKEY, .flags = STATES, .lo = 1, .hi = VOS_EPOCH_MAX, .cont = cont, .oid = *oid};
    struct vos_query_ret query;

    level_list(cont, VOS_LEVEL_DKEY, oid, TEXT(""), TEXT(""));
    level_iter(args, &dkeys);
    for (uint32_t i = 0; i < dkeys.nr && i < 4; i++) {
        dkey_use(cont, oid, name_iov(&dkeys, i * (dkeys.nr - 1) / 3));
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct vos_query_args q = {.oid = *oid, .epoch = VOS_EPOCH_MAX, .flags = flags[i]};

        q.dkey = dkeys.nr > 0 ? name_iov(&dkeys, 0) : TEXT("d");
        q.akey = TEXT("a");
        CAIRN_IGNORE(vos_query_key(cont, &q, &query)); /* any answer will do */
    }
}

/* ---- use: change ---------------------------------------------------------------------------------------------------- */

static void
mods_apply(struct vos_cont *cont, const struct vos_oid *oid, const struct vos_dtx_id *id)
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
    struct vos_mod mods[2] = {
        {.op = VOS_MOD_UPDATE, .oid = *oid, .dkey = TEXT("12345678"), .iod_nr = 2, .iods = iods},
        {.op = VOS_MOD_PUNCH_DKEY, .oid = *oid, .dkey = TEXT("toggled"), .cond = VOS_COND_PUNCH}};
    struct vos_dtx_args dtx = {.blob = TEXT("members")};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2};
    struct vos_apply_ret ret;

    if (id != NULL) {
        dtx.id = *id;
        args.dtx = &dtx;
    }
    CAIRN_IGNORE(vos_apply(cont, &args, &ret)); /* any answer will do, as below */
    args.mod_nr = 1;
    CAIRN_IGNORE(vos_apply(cont, &args, &ret));
}

/* Half of what is open is committed, half aborted; then one of our own. */
static void
dtxs_use(struct vos_cont *cont, const struct vos_oid *oid)
{
    struct vos_dtx_id id = {.uuid = {.b = {0x77}}, .hlc = UINT64_C(1) << 40};
    struct vos_dtx_info infos[16];
    uint32_t pos = 0, nr = 0, gone = 0;
    uint8_t blob[256];
    size_t len;

    vos_dtx_list(cont, &pos, infos, ARRAY_SIZE(infos), &nr);
    for (uint32_t i = 0; i < nr; i++) {
        CAIRN_IGNORE(vos_dtx_blob(cont, &infos[i].id, blob, sizeof(blob), &len));
        CAIRN_IGNORE(i % 2 == 0 ? vos_dtx_commit(cont, &infos[i].id, 1)
                                : vos_dtx_abort(cont, &infos[i].id, 1));
    }
    mods_apply(cont, oid, &id);
    CAIRN_IGNORE(vos_dtx_commit(cont, &id, 1));
    CAIRN_IGNORE(vos_dtx_aggregate(cont, UINT64_MAX, 3, &gone));
}

static void
cont_use(struct vos_cont *cont)
{
    static struct names objs;
    struct vos_iter_args iter = {
        .type = VOS_ITER_OBJ, .flags = STATES, .hi = VOS_EPOCH_MAX, .cont = cont};
    struct vos_agg_args agg = {.lo = 1, .hi = VOS_EPOCH_MAX, .flags = VOS_AGG_COOL};
    struct vos_oid own = {.oid = {.lo = 1}};
    struct vos_look_cont look = {.epoch_max = 0};

    level_list(cont, VOS_LEVEL_OBJ, &own, TEXT(""), TEXT(""));
    level_iter(iter, &objs);
    for (uint32_t i = 0; i < objs.nr; i++) {
        obj_use(cont, &objs.oids[i]);
    }
    for (uint32_t i = 0; i < objs.nr; i++) {
        mods_apply(cont, &objs.oids[i], NULL);
    }
    dtxs_use(cont, &own);
    agg.snaps = &look.epoch_max;
    agg.snap_nr = vos_look_cont(cont, &look) == 0 && look.epoch_max > 0;
    CAIRN_IGNORE(vos_cont_aggregate(cont, &agg, NULL));
    agg.snap_nr = 0;
    CAIRN_IGNORE(vos_cont_aggregate(cont, &agg, NULL));
    CAIRN_IGNORE(vos_cont_discard(cont, look.epoch_max / 2 + 1, VOS_EPOCH_MAX, NULL, NULL));
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

/* Nothing of an image without changes may fail. */
static int
want(int rc)
{
    if (rc != 0 && st.is_plain)
        abort();
    return rc;
}

static void
tgt_use(struct uuid pool, struct uuid cont_id)
{
    static struct names names;
    struct vos_iter_args iter = {.type = VOS_ITER_POOL, .hi = VOS_EPOCH_MAX, .pool = pool};
    struct vos_cont *cont = NULL;

    CAIRN_IGNORE(want(vos_tgt_check(st.tgt))); /* any answer will do, here and below */
    level_iter(iter, &names);
    iter.type = VOS_ITER_CONT;
    level_iter(iter, &names);
    scrub(pool);
    if (want(vos_cont_open(st.tgt, pool, cont_id, &cont)) == 0) {
        cont_use(cont);
        vos_cont_close(cont);
    }
    CAIRN_IGNORE(want(vos_tgt_check(st.tgt)));
    CAIRN_IGNORE(want(vos_cont_destroy(st.tgt, pool, cont_id)));
    CAIRN_IGNORE(want(vos_tgt_collect(st.tgt)));
    CAIRN_IGNORE(want(vos_tgt_check(st.tgt)));
}

static void
store_use(void *arg)
{
    struct bio_cfg cfg = {.dir = "/m", .pending = &st.bio};
    struct uuid pool = {.b = {7}}, cont_id = {.b = {9}};
    const struct bio_sb_df *sb = vos_fuzz_sb();
    struct bio_tgt *bio = NULL;

    (void)arg;
    cfg.system = sb->system; /* a store of whom its superblock says */
    cfg.rank = sb->rank;
    cfg.tgt_idx = sb->tgt_idx;
    if (want(bio_open(st.xs, &cfg, &bio)) == 0) {
        st.bio = bio;
        CAIRN_IGNORE(want(bio_check(bio))); /* any answer will do */
        if (want(vos_tgt_open(bio, &st.tgt)) == 0) {
            tgt_use(pool, cont_id);
            vos_tgt_close(st.tgt);
            st.tgt = NULL;
        }
        CAIRN_IGNORE(want(bio_check(bio))); /* likewise */
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
    st.is_plain = vos_fuzz_is_plain(data, len);
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
