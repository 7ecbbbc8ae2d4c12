/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Superblocks, looked at while the target runs. There are four of the same content, one with each role and the mark, and a target is opened only when all of them are
 * good; while it runs nobody reads them. So a copy that rots is found by the scrubber or at the next start, which then fails. What the target was opened with is in memory:
 * a damaged copy is written anew in its place, alone, so that a power cut leaves it damaged at the worst. A copy that is whole and says something else was written by
 * somebody: it stays, and is told.
 *
 * No flush: one that failed would have to stop the target (BIO-5), and the next one of the role serves as well. Tested by bio_scrub_test.c.
 */
#include <string.h>

#include "base/crc.h"
#include "base/probe.h"
#include "bio/bio_priv.h"

/* What is wrong with a block that should have been `good`. */
static int
block_judge(const struct bio_sb_df *good, const struct bio_sb_df *found)
{
    if (memcmp(good, found, sizeof(*good)) == 0)
        return 0;
    if (found->magic == BIO_SB_MAGIC && found->crc == crc32c(0, found, sizeof(*found) - 4))
        return CAIRN_ERR(MISMATCH);
    return CAIRN_ERR(CSUM);
}

static bool
may_mend(const struct bio_tgt *tgt, int rc)
{
    return rc != 0 && rc != -DER_MISMATCH && rc != -DER_NOMEM && !tgt->cfg.is_rdonly &&
        bio_status(tgt) == 0;
}

static void
disk_scrub(struct bio_tgt *tgt, struct bio_disk *disk, enum bio_role role, struct bio_sb_df *mem,
    int *ret_rc, bool *ret_is_mended)
{
    struct bio_sb_df *good = &mem[1];
    int rc = bio_disk_rw(disk, PLAT_IO_READ, 0, 0, mem, sizeof(*mem));

    *good = tgt->sb;
    bio_sb_seal(good, role);
    if (rc == 0)
        rc = block_judge(good, mem);
    if (may_mend(tgt, rc))
        *ret_is_mended = bio_disk_rw(disk, PLAT_IO_WRITE, 0, 0, good, sizeof(*good)) == 0;
    *ret_rc = rc;
}

static void
seal_scrub(struct bio_tgt *tgt, struct bio_disk *disk, void *mem, int *ret_rc, bool *ret_is_mended)
{
    uint8_t *good = (uint8_t *)mem + BIO_BLK_BYTES;
    int rc = bio_disk_rw(disk, PLAT_IO_READ, 0, BIO_BLK_BYTES, mem, BIO_BLK_BYTES);

    bio_seal_make(&tgt->sb, good);
    if (rc == 0 && memcmp(mem, good, sizeof(struct bio_seal_df)) != 0)
        rc = CAIRN_ERR(CSUM);
    if (may_mend(tgt, rc)) {
        *ret_is_mended = bio_disk_rw(disk, PLAT_IO_WRITE, 0, BIO_BLK_BYTES, good, BIO_BLK_BYTES) == 0;
    }
    *ret_rc = rc;
}

static void
mark_scrub(struct bio_tgt *tgt, void *mem, int *ret_rc, bool *ret_is_mended)
{
    char path[BIO_FILE_PATH_BYTES];
    struct bio_disk disk = {0};
    size_t len = 0;
    int rc;

    if (bio_mark_is_file(tgt, path)) {
        rc = tgt->plat->ops->file_read(tgt->plat, path, mem, sizeof(tgt->sb), &len);
        if (rc == 0)
            rc = len == sizeof(tgt->sb) ? block_judge(&tgt->sb, mem) : CAIRN_ERR(CSUM);
        if (may_mend(tgt, rc)) {
            *ret_is_mended =
                tgt->plat->ops->file_write(tgt->plat, path, &tgt->sb, sizeof(tgt->sb)) == 0;
        }
        *ret_rc = rc;
        return;
    }
    *ret_rc = bio_look_mark_open(tgt, &disk);
    if (*ret_rc == 0)
        disk_scrub(tgt, &disk, BIO_ROLE_TARGET, mem, ret_rc, ret_is_mended);
    if (*ret_rc == 0)
        seal_scrub(tgt, &disk, mem, ret_rc, ret_is_mended);
    bio_disk_close(&disk);
}

void
bio_sb_scrub(struct bio_tgt *tgt, enum bio_role role, void *mem, int *ret_rc, bool *ret_is_mended)
{
    *ret_is_mended = false;
    if (role == BIO_ROLE_TARGET) {
        mark_scrub(tgt, mem, ret_rc, ret_is_mended);
    } else {
        struct bio_disk *disk = role == BIO_ROLE_WAL ? &tgt->wal.disk
            : role == BIO_ROLE_META                  ? &tgt->ckpt.disk
                                                     : &tgt->data;

        disk_scrub(tgt, disk, role, mem, ret_rc, ret_is_mended);
    }
    if (*ret_is_mended)
        CAIRN_PROBE("bio.scrub.sb_mended");
}
