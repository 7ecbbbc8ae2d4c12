/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Group commit. One committer ULT writes; transactions that commit meanwhile gather in the other buffer and make the next group.
 *
 *      umem_tx_commit()                committer
 *      record -> fill buffer --signal--> seal fill, swap -> flush data role if a record points to new data (ST-3)
 *      bio_wal_wait(lsn) <--broadcast--- durable_lsn <- group write (DSYNC) done
 *
 *   WAL-1  One group is in flight at a time, so a group is on the medium only if all groups before it are (ST-1).
 *   WAL-2  A group begins where the one before ended and names its checksum; positions never repeat. Nothing of an older lap or of a
 *          torn tail can be taken for a successor.
 *   WAL-3  After BIO_WAL_CLOSE_NS without commits an empty group is written behind the last one: from then on damage to the last
 *          records is told from a torn tail (a valid group follows).
 *   WAL-4  A failed write or flush stops the target (BIO-5).
 *
 * Tested by bio_replay_test.c (every truncation and flipped bit), bio_tgt_test.c and test/crash.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

static uint64_t
blks_of(uint64_t bytes)
{
    return DIV_UP(bytes, (uint64_t)BIO_BLK_BYTES);
}

static void
group_reset(struct bio_group *group)
{
    group->bytes = sizeof(struct bio_group_df);
    group->rec_nr = 0;
    group->first_lsn = 0;
    group->data_seq = 0;
}

int
bio_wal_init(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    for (uint32_t i = 0; i < 2; i++) {
        wal->groups[i].buf = bio_mem_get(BIO_GROUP_BYTES_MAX);
        if (wal->groups[i].buf == NULL)
            return CAIRN_ERR(NOMEM);
        group_reset(&wal->groups[i]);
        ult_cond_init(&wal->groups[i].durable);
    }
    wal->ring_blks = tgt->sb.wal_bytes / BIO_BLK_BYTES - BIO_WAL_RING_BLK;
    wal->salt = tgt->sb.salt;
    wal->fill = &wal->groups[0];
    wal->flight = NULL;
    ult_cond_init(&wal->work);
    ult_cond_init(&wal->room);
    return 0;
}

void
bio_wal_fini(struct bio_tgt *tgt)
{
    for (uint32_t i = 0; i < 2; i++) {
        free(tgt->wal.groups[i].buf);
        tgt->wal.groups[i].buf = NULL;
    }
}

void
bio_group_seal(uint8_t *buf, struct bio_group_df *hdr, uint64_t salt)
{
    uint32_t crc;

    hdr->magic = BIO_GROUP_MAGIC;
    hdr->reserved = 0;
    hdr->crc = 0;
    memcpy(buf, hdr, sizeof(*hdr));
    crc = crc32c(crc32c(0, &salt, sizeof(salt)), buf, hdr->bytes);
    hdr->crc = crc;
    memcpy(buf, hdr, sizeof(*hdr));
    memset(buf + hdr->bytes, 0, ALIGN_UP(hdr->bytes, (uint32_t)BIO_BLK_BYTES) - hdr->bytes);
}

/* ---- records ---------------------------------------------------------------------------------------------------------- */

bool
bio_wal_is_full(const struct bio_tgt *tgt)
{
    const struct bio_wal *wal = &tgt->wal;
    uint64_t bytes = wal->fill->bytes + (uint64_t)BIO_REC_BYTES_MAX;

    /* One block is kept for the closing group (WAL-3). */
    return wal->head_pos + blks_of(bytes) + 1 - wal->tail_pos > wal->ring_blks;
}

bool
bio_wal_room(const struct bio_tgt *tgt)
{
    const struct bio_wal *wal = &tgt->wal;

    return tgt->stop_rc == 0 && !wal->stopping &&
        wal->fill->bytes + BIO_REC_BYTES_MAX <= BIO_GROUP_BYTES_MAX && !bio_wal_is_full(tgt);
}

int
bio_wal_admit(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    while (!bio_wal_room(tgt)) {
        uint64_t finished = tgt->ckpt.finished_nr;

        if (tgt->stop_rc != 0)
            return tgt->stop_rc;
        if (wal->stopping)
            return CAIRN_ERR(SHUTDOWN);
        CAIRN_PROBE("bio.wal.admit_waits");
        bio_ckpt_kick(tgt);
        ult_cond_wait(&wal->room, NULL);
        /* A log that can't be trimmed because the meta role found no space: say so instead of waiting on. */
        if (tgt->ckpt.finished_nr != finished && tgt->ckpt.last_rc == -DER_NOSPACE &&
            !bio_wal_room(tgt))
            return CAIRN_ERR(NOSPACE);
    }
    return 0;
}

uint8_t *
bio_wal_rec_begin(struct bio_tgt *tgt, uint32_t bytes, uint64_t *ret_lsn)
{
    struct bio_group *group = tgt->wal.fill;

    CAIRN_ASSERT(group->bytes + bytes <= BIO_GROUP_BYTES_MAX);
    *ret_lsn = tgt->wal.last_lsn + 1;
    group->bytes += bytes;
    return group->buf + group->bytes - bytes;
}

void
bio_wal_rec_end(struct bio_tgt *tgt, uint64_t lsn)
{
    struct bio_wal *wal = &tgt->wal;
    struct bio_group *group = wal->fill;

    wal->last_lsn = lsn;
    if (group->rec_nr++ == 0) {
        group->first_lsn = lsn;
        if (wal->flight == NULL)
            ult_cond_signal(&wal->work);
    }
}

uint64_t
bio_wal_durable(const struct bio_tgt *tgt)
{
    return tgt->wal.durable_lsn;
}

uint64_t
bio_wal_last(const struct bio_tgt *tgt)
{
    return tgt->wal.last_lsn;
}

int
bio_wal_wait(struct bio_tgt *tgt, uint64_t lsn)
{
    struct bio_wal *wal = &tgt->wal;

    CAIRN_ASSERT(lsn <= wal->last_lsn);
    while (wal->durable_lsn < lsn) {
        struct bio_group *group = wal->fill;

        if (tgt->stop_rc != 0)
            return tgt->stop_rc;
        if (group->rec_nr == 0 || lsn < group->first_lsn)
            group = wal->flight;
        CAIRN_ASSERT(group != NULL);
        ult_cond_wait(&group->durable, NULL);
    }
    return 0;
}

/* ---- committer -------------------------------------------------------------------------------------------------------- */

static void
group_close(struct bio_wal *wal, struct bio_group *group, uint64_t *ret_pos)
{
    struct bio_group_df hdr = {
        .bytes = group->bytes,
        .generation = wal->generation,
        .pos = wal->head_pos,
        .seq = wal->seq,
        .first_lsn = group->rec_nr == 0 ? wal->last_lsn + 1 : group->first_lsn,
        .rec_nr = group->rec_nr,
        .prev_crc = wal->prev_crc,
    };

    hdr.data_lsn = hdr.first_lsn + hdr.rec_nr - 1; /* all of it is flushed before the write */
    bio_group_seal(group->buf, &hdr, wal->salt);
    *ret_pos = wal->head_pos;
    wal->head_pos += blks_of(group->bytes);
    wal->seq++;
    wal->prev_crc = hdr.crc;
}

/* Write the sealed group at `pos`: two operations when it runs over the end of the ring. */
static int
group_write(struct bio_wal *wal, const struct bio_group *group, uint64_t pos)
{
    uint64_t blk = pos % wal->ring_blks, blks = blks_of(group->bytes);
    uint64_t first = MIN(blks, wal->ring_blks - blk);
    struct bio_req reqs[2];
    int rc, rc2 = 0;

    bio_req_start(&wal->disk, &reqs[0], PLAT_IO_WRITE, PLAT_IO_DSYNC,
        (BIO_WAL_RING_BLK + blk) * BIO_BLK_BYTES, group->buf, first * BIO_BLK_BYTES);
    if (first < blks) {
        CAIRN_PROBE("bio.wal.group_wraps");
        bio_req_start(&wal->disk, &reqs[1], PLAT_IO_WRITE, PLAT_IO_DSYNC,
            BIO_WAL_RING_BLK * BIO_BLK_BYTES, group->buf + first * BIO_BLK_BYTES,
            (blks - first) * BIO_BLK_BYTES);
        rc2 = bio_req_wait(&reqs[1]);
    }
    rc = bio_req_wait(&reqs[0]);
    return rc != 0 ? rc : rc2;
}

/* ST-3: the data that the group's records point to comes first. */
static int
data_flush(struct bio_tgt *tgt, uint64_t data_seq)
{
    uint64_t written = tgt->data_written;
    int rc;

    if (data_seq <= tgt->data_synced || tgt->data_volatile)
        return 0;
    rc = bio_disk_rw(&tgt->data, PLAT_IO_SYNC, 0, 0, NULL, 0);
    if (rc == 0) {
        tgt->data_synced = written;
        tgt->wal.data_syncs_nr++;
    }
    return rc;
}

static void
commit_group(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;
    struct bio_group *group = wal->fill;
    uint64_t pos = 0;
    int rc;

    group_close(wal, group, &pos);
    wal->fill = group == &wal->groups[0] ? &wal->groups[1] : &wal->groups[0];
    wal->flight = group;

    rc = data_flush(tgt, group->data_seq);
    if (rc != 0)
        bio_tgt_fail(tgt, rc, "flush of the data role");
    if (rc == 0) {
        rc = group_write(wal, group, pos);
        if (rc != 0)
            bio_tgt_fail(tgt, rc, "write of the log");
    }
    wal->flight = NULL;
    if (rc == 0) {
        if (group->rec_nr > 0)
            wal->durable_lsn = group->first_lsn + group->rec_nr - 1;
        wal->open_end = group->rec_nr > 0;
        wal->groups_nr++;
        wal->records_nr += group->rec_nr;
        wal->bytes_nr += blks_of(group->bytes) * BIO_BLK_BYTES;
    }
    group_reset(group);
    ult_cond_broadcast(&group->durable);
    ult_cond_broadcast(&wal->room);
    bio_ext_reap(tgt);
    bio_ckpt_kick(tgt);
}

static void
committer_main(void *arg)
{
    struct bio_tgt *tgt = arg;
    struct bio_wal *wal = &tgt->wal;

    while (tgt->stop_rc == 0) {
        uint64_t deadline = wal->open_end ? ult_now_ns() + BIO_WAL_CLOSE_NS : PLAT_NEVER_NS;
        int rc = 0;

        while (wal->fill->rec_nr == 0 && !wal->stopping && tgt->stop_rc == 0 && rc == 0) {
            rc = ult_cond_wait_until(&wal->work, NULL, deadline);
        }
        if (tgt->stop_rc != 0 || (wal->stopping && wal->fill->rec_nr == 0))
            break;
        if (wal->fill->rec_nr == 0 && wal->head_pos + 1 - wal->tail_pos > wal->ring_blks) {
            wal->open_end = false; /* no room for a closing group */
        } else {
            commit_group(tgt);
        }
    }
}

int
bio_wal_start(struct bio_tgt *tgt)
{
    return ult_create(tgt->xs, ULT_IO, committer_main, tgt, &tgt->wal.committer);
}

void
bio_wal_stop(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    if (wal->committer == NULL)
        return;
    wal->stopping = true;
    ult_cond_signal(&wal->work);
    ult_cond_broadcast(&wal->room);
    ult_join(wal->committer);
    wal->committer = NULL;
}
