/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Golden image: a store as format version 1 wrote it must open for ever, with exactly these contents. The image holds the blocks of the
 * four files that are not zero. BIO_COMPAT_WRITE=FILE makes a new one (for a new version or feature; never over an old one).
 *
 * What it holds: a checkpoint, a log with two generations behind it that goes over the end of the ring, a block of every class, freed
 * ones between, extents that were published and freed. Since bare pages: four blocks of one, of which one was freed.
 */
#include <stdio.h>

#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_img.h"
#include "bio_test_list.h"

enum { CLASS_NR = 29, NODE_NR = 30, IMG_MAGIC = 0x474d4942 /* "BIMG" */ };

static const uint32_t class_bytes[CLASS_NR] = {16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256,
    320, 384, 448, 512, 640, 768, 896, 1088, 1360, 1632, 2040, 2720, 3264, 4080, 5440, 8160, 8192};

/* Behind struct root in the user's root. */
struct extra {
    uint64_t blocks[CLASS_NR];
    uint64_t extent;
    uint64_t bare[UMEM_DF_BARE_NR]; /* 0: the image is older than bare pages, or the block was freed */
};

static struct extra *
extra_of(struct bio_tgt *tgt)
{
    return umem_ptr(bio_umem(tgt), umem_root(bio_umem(tgt)) + sizeof(struct root));
}

/* ---- the image ----------------------------------------------------------------------------------------------------------- */

static void
body_write(struct fix *f)
{
    img_save(f->xs, f->cfg.dir, IMG_MAGIC, f->arg);
}

static void
body_load(struct fix *f)
{
    img_restore(f->xs, f->cfg.dir, IMG_MAGIC, f->cfg.meta_bytes, f->arg);
}

/* ---- what it holds --------------------------------------------------------------------------------------------------------- */

/* One transaction: a block of every class with its number in it; an extent; the old ones are freed. */
static void
extra_make(struct bio_tgt *tgt, uint8_t mark)
{
    struct umem *um = bio_umem(tgt);
    struct bio_resv *resv = NULL;
    uint8_t *buf = NULL;
    struct umem_tx tx;
    uint64_t lsn = 0;

    /* What it touches is resident then. */
    EXPECT_OK(bio_check(tgt));
    EXPECT_OK(bio_buf_get(tgt, 10000, (void **)&buf));
    EXPECT_OK(bio_ext_reserve(tgt, 10000, 0, &resv));
    memset(buf, mark, 10000);
    EXPECT_OK(bio_data_write(tgt, bio_resv_ext(resv).addr, buf, 10000));
    bio_buf_put(tgt, buf, 10000);
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 9, &tx));
    EXPECT_OK(umem_tx_range(&tx, umem_root(um) + sizeof(struct root), sizeof(struct extra)));
    for (uint32_t c = 0; c < CLASS_NR; c++) {
        uint64_t off = 0;

        EXPECT_OK(umem_alloc(&tx, class_bytes[c], &off));
        memset(umem_ptr(um, off), mark + (int)c, class_bytes[c]);
        if (extra_of(tgt)->blocks[c] != 0)
            EXPECT_OK(umem_free(&tx, extra_of(tgt)->blocks[c]));
        extra_of(tgt)->blocks[c] = off;
    }
    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        uint64_t off = 0;

        if (extra_of(tgt)->bare[i] != 0)
            EXPECT_OK(umem_free(&tx, extra_of(tgt)->bare[i]));
        EXPECT_OK(umem_alloc(&tx, UMEM_BARE_BYTES, &off));
        EXPECT_EQ(off % UMEM_BARE_BYTES, 0);
        memset(umem_ptr(um, off), mark + (int)i, UMEM_BARE_BYTES);
        extra_of(tgt)->bare[i] = off;
    }
    EXPECT_OK(umem_free(&tx, extra_of(tgt)->bare[2]));
    extra_of(tgt)->bare[2] = 0;
    if (extra_of(tgt)->extent != 0)
        EXPECT_OK(bio_ext_free(&tx, tgt, (struct bio_ext){extra_of(tgt)->extent, 12288}));
    EXPECT_OK(bio_ext_publish(&tx, tgt, resv));
    extra_of(tgt)->extent = bio_resv_ext(resv).addr;
    umem_tx_commit(&tx, &lsn);
    bio_ext_published(tgt, resv);
    EXPECT_OK(bio_wal_wait(tgt, lsn));
}

static void
body_make(struct fix *f)
{
    struct bio_tgt *tgt;

    f->cfg.data_bytes = 8 << 20;
    f->cfg.ckpt_interval_ns = UINT64_C(1000) * 1000000000;
    f->cfg.device.b[0] = 0xd0;
    EXPECT_OK(bio_format(f->xs, &f->cfg));
    EXPECT_OK(bio_open(f->xs, &f->cfg, &tgt));
    tgt->wal.head_pos =
        tgt->wal.ring_blks - 8; /* near the end of the ring, recorded by the checkpoint */
    tgt->wal.tail_pos = tgt->wal.head_pos;
    extra_make(tgt, 0x10);
    push_to(tgt, 10, 60);
    EXPECT_OK(bio_checkpoint(tgt));
    push_to(tgt, 20, 60);
    EXPECT_OK(bio_wal_wait(tgt, bio_wal_last(tgt)));
    f->tgt = tgt;
}

static void
body_make_more(struct fix *f)
{
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    extra_make(f->tgt, 0x40);
    push_to(f->tgt, NODE_NR, 60);
    ult_sleep(UINT64_C(1000) * 1000000);
}

/* Blocks of 4096 bytes: bare where the store may have such, else of the class that it always had. */
static void
bare_check(struct bio_tgt *tgt)
{
    bool has_bare = (tgt->sb.incompat & BIO_FEAT_BARE_PAGES) != 0;
    struct umem *um = bio_umem(tgt);
    struct umem_tx tx;
    uint64_t off = 0;

    for (uint32_t i = 0; i < UMEM_DF_BARE_NR; i++) {
        uint64_t block = extra_of(tgt)->bare[i];
        const uint8_t *mem;

        EXPECT_EQ(block != 0, has_bare && i != 2);
        if (block == 0)
            continue;
        mem = at(um, block);
        EXPECT_EQ(umem_block_bytes(um, block), UMEM_BARE_BYTES);
        EXPECT_EQ(mem[0], 0x40 + i);
        EXPECT_EQ(mem[UMEM_BARE_BYTES - 1], 0x40 + i);
    }
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 9, &tx));
    EXPECT_OK(umem_alloc(&tx, UMEM_BARE_BYTES, &off));
    EXPECT_EQ(umem_block_bytes(um, off), has_bare ? UMEM_BARE_BYTES : 5440);
    umem_tx_abort(&tx);
}

static void
body_check(struct fix *f)
{
    uint8_t *buf = NULL;
    struct bio_space space;
    struct bio_stats st;

    f->cfg.device.b[0] = 0xd0;
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    EXPECT_OK(bio_check(f->tgt));
    EXPECT_EQ(list_check(f->tgt), NODE_NR);
    for (uint32_t c = 0; c < CLASS_NR; c++) {
        const uint8_t *mem = at(bio_umem(f->tgt), extra_of(f->tgt)->blocks[c]);

        EXPECT_EQ(umem_block_bytes(bio_umem(f->tgt), extra_of(f->tgt)->blocks[c]), class_bytes[c]);
        EXPECT_EQ(mem[0], 0x40 + c);
        EXPECT_EQ(mem[class_bytes[c] - 1], 0x40 + c);
    }
    bare_check(f->tgt);
    EXPECT_OK(bio_buf_get(f->tgt, 10000, (void **)&buf));
    EXPECT_OK(bio_data_read(f->tgt, extra_of(f->tgt)->extent, buf, 10000));
    EXPECT_EQ(buf[0], 0x40);
    EXPECT_EQ(buf[9999], 0x40);
    EXPECT_EQ(buf[10000], 0);
    bio_buf_put(f->tgt, buf, 10000);
    bio_space_get(f->tgt, &space);
    EXPECT_EQ(space.data_total - space.data_free, 4096 + 12288);
    bio_stats_get(f->tgt, &st);
    EXPECT_EQ(st.replayed_records_nr, 21); /* 10 nodes, then an extra and 10 nodes */
    EXPECT_EQ(bio_wal_last(f->tgt), 32);
    push_to(f->tgt, 100, 60); /* and it can be written */
    EXPECT_EQ(list_check(f->tgt), 100);
    fix_tgt_close(f);
}

static void
image_check(const char *path)
{
    FILE *in = fopen(path, "rb");
    struct fix f;

    if (!EXPECT(in != NULL))
        return;
    if (fix_init(&f)) {
        f.arg = in;
        if (fix_run(&f, body_load))
            fix_run(&f, body_check);
    }
    fclose(in);
    fix_fini(&f);
}

/* Goal: what version 1 wrote opens, and holds what was put in. */
TEST_ON(bio_compat, version_1, BACKEND_SIM)
{
    image_check(BIO_COMPAT_DIR "/v1.img");
}

/* Goal: the same of version 1 with a slot map in leaves. */
TEST_ON(bio_compat, version_1_leaves, BACKEND_SIM)
{
    image_check(BIO_COMPAT_DIR "/v1_leaves.img");
}

/* Goal: the same with bare pages. */
TEST_ON(bio_compat, version_1_bare, BACKEND_SIM)
{
    image_check(BIO_COMPAT_DIR "/v1_bare.img");
}

/* Goal: the image is what this program would write, and its maker stays alive. */
TEST_ON(bio_compat, current, BACKEND_SIM)
{
    const char *path = getenv("BIO_COMPAT_WRITE");
    struct fix f;
    FILE *img;

    if (!fix_init(&f))
        goto out;
    fix_run(&f, body_make);
    fix_crash(&f, false);
    fix_run(&f, body_make_more);
    fix_crash(&f, false);
    img = path != NULL ? fopen(path, "wb") : tmpfile();
    if (EXPECT(img != NULL)) {
        f.arg = img;
        fix_run(&f, body_write);
        fclose(img);
    }
    fix_run(&f, body_check);
out:
    fix_fini(&f);
}
