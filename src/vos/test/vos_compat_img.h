/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Golden images of a store: the blocks of the target's files that are not zero, as in bio_compat_test.c. Each image's test has a body that makes its contents and one that checks them. */
#ifndef CAIRN_VOS_COMPAT_IMG_H
#define CAIRN_VOS_COMPAT_IMG_H

#include "base/codec.h"
#include "bio/bio_priv.h"
#include "vos_test_fix.h"

enum { IMG_MAGIC = 0x474d4956 /* "VIMG" */, FILE_NR = 4 };

static const char *const img_names[FILE_NR] = {"wal", "meta", "data", "target"};

/* ---- the image ------------------------------------------------------------------------------------------------------ */

static inline void
img_block_put(FILE *out, uint32_t file, uint64_t off, const uint8_t *blk)
{
    uint8_t num[16];
    bool is_zero = true;

    for (uint32_t i = 0; i < BIO_BLK_BYTES && is_zero; i++) {
        is_zero = blk[i] == 0;
    }
    if (is_zero)
        return;
    le32_put(num, IMG_MAGIC);
    le32_put(num + 4, file);
    le64_put(num + 8, off);
    fwrite(num, 1, sizeof(num), out);
    fwrite(blk, 1, BIO_BLK_BYTES, out);
}

static inline void
img_write(struct fix *f)
{
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES);
    struct bio_disk disk = {.plat = f->plat};
    char path[300];
    size_t len = 0;

    for (uint32_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", f->cfg.dir, img_names[i]);
        EXPECT_OK(f->plat->ops->disk_open(
            f->plat, xstream_loop(f->xs), path, PLAT_DISK_RDONLY, 0, &disk.disk));
        disk.bytes = f->plat->ops->disk_size(disk.disk);
        for (uint64_t off = 0; off < f->plat->ops->disk_size(disk.disk); off += BIO_BLK_BYTES) {
            EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, off, blk, BIO_BLK_BYTES));
            img_block_put(f->arg, i, off, blk);
        }
        f->plat->ops->disk_close(disk.disk);
    }
    snprintf(path, sizeof(path), "%s/target", f->cfg.dir);
    EXPECT_OK(f->plat->ops->file_read(f->plat, path, blk, BIO_BLK_BYTES, &len));
    EXPECT_EQ(len, BIO_BLK_BYTES);
    img_block_put(f->arg, 3, 0, blk);
    free(blk);
}

static inline void
img_load(struct fix *f)
{
    const uint64_t sizes[3] = {16 << 20, bio_ckpt_file_bytes(4 << 20), 8 << 20};
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES), num[16];
    struct bio_disk disks[3];
    char path[300];
    uint32_t nr = 0;

    EXPECT_OK(f->plat->ops->dir_create(f->plat, f->cfg.dir));
    for (uint32_t i = 0; i < 3; i++) {
        disks[i] = (struct bio_disk){.plat = f->plat, .bytes = sizes[i]};
        snprintf(path, sizeof(path), "%s/%s", f->cfg.dir, img_names[i]);
        EXPECT_OK(f->plat->ops->disk_open(
            f->plat, xstream_loop(f->xs), path, PLAT_DISK_CREATE, sizes[i], &disks[i].disk));
        disks[i].base = 0;
        disks[i].bytes = sizes[i];
    }
    for (; fread(num, 1, sizeof(num), f->arg) == sizeof(num); nr++) {
        uint32_t i = le32_get(num + 4);

        if (!EXPECT_EQ(le32_get(num), IMG_MAGIC) || !EXPECT_LT(i, FILE_NR) ||
            !EXPECT_EQ(fread(blk, 1, BIO_BLK_BYTES, f->arg), BIO_BLK_BYTES))
            break;
        if (i < 3) {
            EXPECT_OK(bio_disk_rw(
                &disks[i], PLAT_IO_WRITE, PLAT_IO_DSYNC, le64_get(num + 8), blk, BIO_BLK_BYTES));
        } else {
            snprintf(path, sizeof(path), "%s/target", f->cfg.dir);
            EXPECT_OK(f->plat->ops->file_write(f->plat, path, blk, BIO_BLK_BYTES));
        }
    }
    EXPECT_GT(nr, 10);
    for (uint32_t i = 0; i < 3; i++) {
        f->plat->ops->disk_close(disks[i].disk);
    }
    free(blk);
}

static inline bool
img_up(struct fix *f)
{
    struct sim_opts opts = {.seed = 4711, .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 200000};

    fix_prepare(f);
    f->cfg.meta_bytes = 4 << 20;
    f->cfg.data_bytes = 8 << 20;
    f->cfg.ckpt_interval_ns = UINT64_C(1000) * 1000000000;
    f->meta_quota = 2 << 20;
    f->data_quota = 6 << 20;
    return fix_up(f, &opts);
}

static inline void
img_load_and_run(const char *path, void (*fn)(struct fix *f))
{
    FILE *in = fopen(path, "rb");
    struct fix f;

    if (!EXPECT(in != NULL))
        return;
    if (img_up(&f)) {
        f.arg = in;
        EXPECT(fix_run(&f, img_load));
        EXPECT(fix_run(&f, fn));
    }
    fclose(in);
    fix_down(&f);
}

/* Make it anew, write it to the file that the environment names (else to none that stays), and check it. */
static inline void
img_current(const char *env, void (*make)(struct fix *f), void (*check)(struct fix *f))
{
    const char *path = getenv(env);
    struct fix f;
    FILE *img = path != NULL ? fopen(path, "wb") : tmpfile();

    if (!EXPECT(img != NULL))
        return;
    if (img_up(&f)) {
        EXPECT(fix_run(&f, make));
        EXPECT(fix_crash(&f, false));
        f.arg = img;
        EXPECT(fix_run(&f, img_write));
        EXPECT(fix_run(&f, check));
    }
    fclose(img);
    fix_down(&f);
}

#endif
