/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Values that are put in place before vos_apply() (vos_ahead_get): where the data role is memory (below /shm/ in the simulator) and where it is not. What is
 * put shows when it is applied and not before, whatever ends in between gives the space back, and the checksums are those of a write.
 */
#include "base/crc.h"
#include "vos_test_fix.h"

enum { PARTS = 3, BYTES_MAX = 1 << 20 };

static const uint64_t part_bytes[PARTS] = {200001, 4097, 65536};

struct ask {
    struct recx recxs[PARTS];
    struct vos_iod iod;
    struct vos_mod mod;
    struct vos_apply_args args;
    uint64_t len;
};

static bool
is_mapped(const struct fix *f)
{
    return strncmp(f->cfg.dir, "/shm/", 5) == 0;
}

/* An array of three ranges in descending order. */
static void
ask_init(struct ask *a)
{
    memset(a, 0, sizeof(*a));
    for (uint32_t i = 0; i < PARTS; i++) {
        a->recxs[i] = (struct recx){(PARTS - i) * UINT64_C(1000000), part_bytes[i]};
        a->len += part_bytes[i];
    }
    a->iod = (struct vos_iod){.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = PARTS,
        .recxs = a->recxs,
        .data = {NULL, a->len}};
    a->mod = (struct vos_mod){
        .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("d"), .iod_nr = 1, .iods = &a->iod};
    a->args = (struct vos_apply_args){.mods = &a->mod, .mod_nr = 1};
}

/* Put `data` into the places. */
static uint32_t
fill(struct vos_ahead *ahead, const uint8_t *data)
{
    uint32_t nr = 0;
    const struct iov *places = vos_ahead_places(ahead, &nr);

    EXPECT_EQ(nr, PARTS);
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_EQ(places[i].len, part_bytes[i]);
        memcpy(places[i].buf, data, places[i].len);
        data += places[i].len;
    }
    return vos_ahead_sum(ahead);
}

static void
check(struct fix *f, const uint8_t *data)
{
    static uint8_t back[BYTES_MAX];

    for (uint32_t i = 0; i < PARTS; i++) {
        EXPECT_OK(fix_read(f, 1, "d", "a", VOS_EPOCH_MAX, (PARTS - i) * UINT64_C(1000000),
            part_bytes[i], 0xee, back));
        EXPECT_MEM_EQ(back, data, part_bytes[i]);
        data += part_bytes[i];
    }
}

static uint64_t
space(struct fix *f)
{
    struct bio_space sp;

    bio_space_get(f->bio, &sp);
    return sp.data_free;
}

/* Where the role is memory, space that was used before: values are put in place there, elsewhere written. False: it isn't. */
static bool
warm(struct fix *f)
{
    struct bio_resv *resv = NULL;
    struct bio_ext ext;
    bool is_warm;

    if (!EXPECT_OK(bio_ext_reserve(f->bio, 8 << 20, 0, &resv)))
        return false;
    ext = bio_resv_ext(resv);
    EXPECT_EQ(bio_data_is_cold(f->bio, ext.addr, ext.len), is_mapped(f));
    is_warm = bio_data_map(f->bio, ext.addr, ext.len) != NULL;
    EXPECT(!bio_data_is_cold(f->bio, ext.addr, ext.len));
    bio_ext_cancel(f->bio, resv);
    return is_warm;
}

static void
put(struct fix *f, bool want_warm)
{
    static uint8_t data[2][BYTES_MAX], none[BYTES_MAX];
    struct vos_ahead *ahead = NULL;
    struct vos_apply_ret ret;
    struct ask a;
    uint64_t free_bytes;
    bool is_warm;

    if (!fix_format(f))
        return;
    is_warm = want_warm && warm(f);
    ask_init(&a);
    rng_bytes(&f->rng, data[0], a.len);
    rng_bytes(&f->rng, data[1], a.len);
    memset(none, 0xee, sizeof(none));

    /* Not before it is applied, and not without a comparison. */
    free_bytes = space(f);
    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));
    EXPECT_EQ(space(f) < free_bytes, is_warm);
    a.args.ahead = ahead;
    EXPECT_ERR(vos_apply(f->cont, &a.args, &ret), INVAL);
    EXPECT_EQ(fill(ahead, data[0]), crc32c(0, data[0], a.len));
    check(f, none);
    EXPECT_OK(vos_apply(f->cont, &a.args, &ret));
    check(f, data[0]);
    EXPECT_ERR(vos_apply(f->cont, &a.args, &ret), INVAL); /* once */
    vos_ahead_free(ahead);
    check(f, data[0]);

    /* What is given up leaves nothing and takes nothing. */
    free_bytes = space(f);
    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));
    CAIRN_IGNORE(fill(ahead, data[1]));
    vos_ahead_free(ahead);
    vos_ahead_free(NULL);
    EXPECT_EQ(space(f), free_bytes);
    check(f, data[0]);

    /* A failed condition: the same. */
    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));
    CAIRN_IGNORE(fill(ahead, data[1]));
    a.args.ahead = ahead;
    a.mod.cond = VOS_COND_DKEY_INSERT;
    EXPECT_ERR(vos_apply(f->cont, &a.args, &ret), EXIST);
    vos_ahead_free(ahead);
    a.mod.cond = 0;
    EXPECT_EQ(space(f), free_bytes);
    check(f, data[0]);

    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));
    CAIRN_IGNORE(fill(ahead, data[1]));
    a.args.ahead = ahead;
    EXPECT_OK(vos_apply(f->cont, &a.args, &ret));
    vos_ahead_free(ahead);
    check(f, data[1]);
    fix_close(f);
    if (fix_open(f)) {
        check(f, data[1]);
        EXPECT_OK(vos_tgt_check(f->tgt));
        fix_close(f);
    }
}

static void
body_put_cold(struct fix *f)
{
    put(f, false);
}

static void
body_put_warm(struct fix *f)
{
    put(f, true);
}

/* With and without a data role that is memory. */
static void
run_both(void (*fn)(struct fix *f))
{
    for (int mapped = 0; mapped < (test_backend() == BACKEND_SIM ? 2 : 1); mapped++) {
        struct fix f;

        fix_prepare(&f);
        if (fix_up_default(&f)) {
            if (mapped)
                strcpy(f.cfg.dir, "/shm/d0");
            EXPECT(fix_run(&f, fn));
        }
        fix_down(&f);
    }
}

TEST_ON(vos_ahead, put, BACKEND_LINUX | BACKEND_SIM)
{
    run_both(body_put_cold);
}

TEST_ON(vos_ahead, put_warm, BACKEND_LINUX | BACKEND_SIM)
{
    run_both(body_put_warm);
}

static void
body_refused(struct fix *f)
{
    struct recx many[VOS_AHEAD_NR_MAX + 1];
    struct vos_ahead *ahead = NULL;
    struct vos_apply_ret ret;
    struct bio_resv *resv[200];
    struct ask a;
    uint32_t nr = 0;

    if (!fix_format(f))
        return;
    ask_init(&a);
    a.recxs[1].nr = 4095; /* belongs into the metadata */
    a.iod.data.len = a.len - 2;
    EXPECT_ERR(vos_ahead_get(f->cont, &a.args, &ahead), NOSYS);
    ask_init(&a);
    a.iod.data.len--; /* sizes that do not fit */
    EXPECT_ERR(vos_ahead_get(f->cont, &a.args, &ahead), INVAL);
    ask_init(&a);
    for (uint32_t i = 0; i < VOS_AHEAD_NR_MAX + 1; i++) {
        many[i] = (struct recx){i * 10000, 5000};
    }
    a.iod.recxs = many;
    a.iod.recx_nr = VOS_AHEAD_NR_MAX + 1;
    a.iod.data.len = a.iod.recx_nr * UINT64_C(5000);
    EXPECT_ERR(vos_ahead_get(f->cont, &a.args, &ahead), NOSYS);
    a.iod.recx_nr--;
    a.iod.data.len -= 5000;
    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));

    /* Of other values than those that are applied. */
    CAIRN_IGNORE(vos_ahead_sum(ahead));
    a.args.ahead = ahead;
    many[3].nr++;
    a.iod.data.len++;
    EXPECT_ERR(vos_apply(f->cont, &a.args, &ret), INVAL);
    a.iod.recx_nr--;
    a.iod.data.len -= 5000;
    EXPECT_ERR(vos_apply(f->cont, &a.args, &ret), INVAL);
    vos_ahead_free(ahead);
    a.args.ahead = NULL;
    EXPECT_ERR(vos_apply(f->cont, &a.args, &ret), INVAL); /* no bytes at all */

    /* No space: said at once where it is reserved, else when it is applied. */
    ask_init(&a);
    for (uint64_t bytes = 16 << 20; bytes >= 65536; bytes /= 2) {
        while (nr < 200 && bio_ext_reserve(f->bio, bytes, 0, &resv[nr]) == 0) {
            nr++;
        }
    }
    if (is_mapped(f)) {
        EXPECT_ERR(vos_ahead_get(f->cont, &a.args, &ahead), NOSPACE);
    } else if (EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead))) {
        vos_ahead_free(ahead);
    }
    while (nr > 0) {
        bio_ext_cancel(f->bio, resv[--nr]);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_ahead, refused, BACKEND_SIM)
{
    run_both(body_refused);
}

/* ---- killed in between ---------------------------------------------------------------------------------------------- */

static uint8_t killed_data[2][BYTES_MAX];

static void
body_until_kill(struct fix *f)
{
    struct vos_ahead *ahead = NULL;
    struct vos_apply_ret ret;
    struct ask a;

    if (!fix_format(f))
        return;
    ask_init(&a);
    rng_bytes(&f->rng, killed_data[0], a.len);
    rng_bytes(&f->rng, killed_data[1], a.len);
    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));
    CAIRN_IGNORE(fill(ahead, killed_data[0]));
    a.args.ahead = ahead;
    EXPECT_OK(vos_apply(f->cont, &a.args, &ret));
    vos_ahead_free(ahead);
    EXPECT_OK(vos_ahead_get(f->cont, &a.args, &ahead));
    CAIRN_IGNORE(fill(ahead, killed_data[1])); /* and no more */
}

static void
body_after_kill(struct fix *f)
{
    struct bio_resv *resv = NULL;

    if (!fix_open(f))
        return;
    check(f, killed_data[0]);
    EXPECT_OK(vos_tgt_check(f->tgt));
    for (int i = 0; i < 8; i++) { /* what was only reserved is free again, and used again */
        if (EXPECT_OK(bio_ext_reserve(f->bio, 1 << 20, 0, &resv))) {
            void *mem = bio_data_map(f->bio, bio_resv_ext(resv).addr, 1 << 20);

            if (mem != NULL)
                memset(mem, 0x99, 1 << 20);
            bio_ext_cancel(f->bio, resv);
        }
    }
    check(f, killed_data[0]);
    fix_close(f);
}

TEST_ON(vos_ahead, killed, BACKEND_SIM)
{
    for (int mapped = 0; mapped < 2; mapped++) {
        struct fix f;

        fix_prepare(&f);
        if (fix_up_default(&f)) {
            if (mapped)
                strcpy(f.cfg.dir, "/shm/d0");
            EXPECT(fix_run(&f, body_until_kill));
            if (fix_crash(&f, false))
                EXPECT(fix_run(&f, body_after_kill));
        }
        fix_down(&f);
    }
}
