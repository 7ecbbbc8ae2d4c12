/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Golden images (test/compat): the blocks of a target's files that are not zero, each behind 16 bytes: magic, number of the file, offset. For tests of bio and vos, on a ULT.
 */
#ifndef CAIRN_BIO_TEST_IMG_H
#define CAIRN_BIO_TEST_IMG_H

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "bio/bio_priv.h"
#include "harness/harness.h"

#define IMG_WAL_BYTES (UINT64_C(16) << 20)
#define IMG_DATA_BYTES (UINT64_C(8) << 20)
enum { IMG_FILE_NR = 4 };

static const char *const img_names[IMG_FILE_NR] = {"wal", "meta", "data", "target"};

static inline void
img_block_put(FILE *out, uint32_t magic, uint32_t file, uint64_t off, const uint8_t *blk)
{
    uint8_t num[16];

    if (bio_is_blank(blk, BIO_BLK_BYTES))
        return;
    le32_put(num, magic);
    le32_put(num + 4, file);
    le64_put(num + 8, off);
    fwrite(num, 1, sizeof(num), out);
    fwrite(blk, 1, BIO_BLK_BYTES, out);
}

/* Of a target that nobody has open. */
static inline void
img_save(struct xstream *xs, const char *dir, uint32_t magic, FILE *out)
{
    struct plat *plat = xstream_plat(xs);
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES);
    struct bio_disk disk = {.plat = plat};
    char path[300];
    size_t len = 0;

    for (uint32_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, img_names[i]);
        EXPECT_OK(
            plat->ops->disk_open(plat, xstream_loop(xs), path, PLAT_DISK_RDONLY, 0, &disk.disk));
        disk.bytes = plat->ops->disk_size(disk.disk);
        for (uint64_t off = 0; off < disk.bytes; off += BIO_BLK_BYTES) {
            EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, off, blk, BIO_BLK_BYTES));
            img_block_put(out, magic, i, off, blk);
        }
        plat->ops->disk_close(disk.disk);
    }
    snprintf(path, sizeof(path), "%s/target", dir);
    EXPECT_OK(plat->ops->file_read(plat, path, blk, BIO_BLK_BYTES, &len));
    EXPECT_EQ(len, BIO_BLK_BYTES);
    img_block_put(out, magic, 3, 0, blk);
    free(blk);
}

/* Into a folder that is not there; the arena has so many bytes. */
static inline void
img_restore(struct xstream *xs, const char *dir, uint32_t magic, uint64_t arena_bytes, FILE *in)
{
    const uint64_t sizes[3] = {IMG_WAL_BYTES, bio_ckpt_file_bytes(arena_bytes), IMG_DATA_BYTES};
    struct plat *plat = xstream_plat(xs);
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES), num[16];
    struct bio_disk disks[3];
    char path[300];
    uint32_t nr = 0;

    EXPECT_OK(plat->ops->dir_create(plat, dir));
    for (uint32_t i = 0; i < 3; i++) {
        disks[i] = (struct bio_disk){.plat = plat, .bytes = sizes[i]};
        snprintf(path, sizeof(path), "%s/%s", dir, img_names[i]);
        EXPECT_OK(plat->ops->disk_open(
            plat, xstream_loop(xs), path, PLAT_DISK_CREATE, sizes[i], &disks[i].disk));
    }
    for (; fread(num, 1, sizeof(num), in) == sizeof(num); nr++) {
        uint32_t i = le32_get(num + 4);

        if (!EXPECT_EQ(le32_get(num), magic) || !EXPECT_LT(i, IMG_FILE_NR) ||
            !EXPECT_EQ(fread(blk, 1, BIO_BLK_BYTES, in), BIO_BLK_BYTES))
            break;
        if (i < 3) {
            EXPECT_OK(bio_disk_rw(
                &disks[i], PLAT_IO_WRITE, PLAT_IO_DSYNC, le64_get(num + 8), blk, BIO_BLK_BYTES));
        } else {
            snprintf(path, sizeof(path), "%s/target", dir);
            EXPECT_OK(plat->ops->file_write(plat, path, blk, BIO_BLK_BYTES));
        }
    }
    EXPECT_GT(nr, 10);
    for (uint32_t i = 0; i < 3; i++) {
        plat->ops->disk_close(disks[i].disk);
    }
    free(blk);
}

#endif
