/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Group commit. One committer ULT writes; transactions that commit meanwhile gather in the other buffer and make the next group.
 *
 *      umem_tx_commit()                committer
 *      record -> fill buffer --signal--> seal fill, next buffer -> flush data role if a record points to new data (ST-3)
 *      bio_wal_wait(lsn) <--broadcast--- durable_lsn <- group write (DSYNC) done, and all before it
 *
 * On a device that takes time each of BIO_WAL_FLIGHT_NR committers writes a group, so that the device, and the threads of the kernel that
 * flush it, are never without work; groups grow with the load (fill_is_enough()). Where a write is a copy (tmpfs, persistent memory), there is one.
 * Requests that all wait for one write would leave the processor idle meanwhile, and the device while they run: so half of them are written as soon as they are there,
 * where that takes about as long as a write (half_pays()).
 *
 *   WAL-1  Groups are written at the same time, and count in order: a group is durable, and told to its waiters, only when all groups before
 *          it are (ST-1). Each says how many before it were not durable when it was sealed (open_nr): replay takes a valid group behind
 *          the end of the log as proof of damage only if it says that what is missing was durable.
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

/*
 * Is it worth a write of its own now, or do the records wait for more? When nothing is being written: one is. Else a fair share of all that is not
 * durable, so that with many requests each write carries several, and with few none waits for another's.
 */
static bool
fill_is_enough(const struct bio_wal *wal)
{
    if (wal->sealed_nr == wal->done_nr)
        return wal->fill->rec_nr > 0;
    return wal->fill->rec_nr * BIO_WAL_SHARE_NR >= wal->last_lsn - wal->durable_lsn;
}

/*
 * Is it time to write half of the requests that are under way, while the others still run? Only where their write will be done by the time the others are: two at a time are
 * slower than one on most devices, and more of them cost more. Nor where each half would need a flush of the data role.
 */
static bool
half_pays(const struct bio_tgt *tgt)
{
    const struct bio_wal *wal = &tgt->wal;
    const struct bio_group *group = wal->fill;

    if (!wal->overlaps || wal->is_halved || (uint64_t)group->rec_nr * 2 < wal->load_nr)
        return false;
    if (tgt->cfg.wal_halves != BIO_HALVES_PAY)
        return tgt->cfg.wal_halves == BIO_HALVES_ALWAYS;
    if ((group->rec_nr < BIO_WAL_HALF_NR && group->bytes < BIO_WAL_HALF_BYTES) ||
        (group->data_seq > tgt->data_flushing && !tgt->data_volatile))
        return false;
    return wal->took_ns != 0 && wal->took_ns <= plat_mono_ns(tgt->plat) - wal->fill_ns;
}

/*
 * Memory for the next group that comes here, as large as this one. What goes to the device in large pages is a segment instead of one for each 4 KiB, which costs the kernel and the
 * host of a virtual machine a quarter of the time of a write of 272 KiB. Small groups, of targets with little to do, need no 2 MiB each.
 */
static void
group_make_large(struct bio_tgt *tgt, struct bio_group *group)
{
    uint8_t *buf;

    if (group->is_large || group->bytes < BIO_WAL_LARGE_BYTES || tgt->plat->ops->mem_touch == NULL)
        return;
    group->is_large = true; /* or there is no memory: once is enough */
    buf = bio_mem_get_aligned(
        ALIGN_UP(BIO_GROUP_BYTES_MAX, (uint32_t)PLAT_MEM_LARGE_BYTES), PLAT_MEM_LARGE_BYTES);
    if (buf == NULL)
        return;
    CAIRN_PROBE("bio.wal.large");
    tgt->plat->ops->mem_touch(tgt->plat, buf, PLAT_MEM_LARGE_BYTES);
    free(group->buf);
    group->buf = buf;
}

static void
group_reset(struct bio_group *group)
{
    group->bytes = sizeof(struct bio_group_df);
    group->rec_nr = 0;
    group->first_lsn = 0;
    group->data_seq = 0;
    group->is_written = false;
}

int
bio_wal_init(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    for (uint32_t i = 0; i < BIO_WAL_GROUP_NR; i++) {
        wal->groups[i].buf = bio_mem_get(BIO_GROUP_BYTES_MAX);
        if (wal->groups[i].buf == NULL)
            return CAIRN_ERR(NOMEM);
        group_reset(&wal->groups[i]);
        ult_cond_init(&wal->groups[i].durable);
    }
    wal->ring_blks = tgt->sb.wal_bytes / BIO_BLK_BYTES - BIO_WAL_RING_BLK;
    wal->salt = tgt->sb.salt;
    wal->fill = &wal->groups[0];
    ult_cond_init(&wal->work);
    ult_cond_init(&wal->room);
    return 0;
}

void
bio_wal_fini(struct bio_tgt *tgt)
{
    for (uint32_t i = 0; i < BIO_WAL_GROUP_NR; i++) {
        free(tgt->wal.groups[i].buf);
        tgt->wal.groups[i].buf = NULL;
    }
}

void
bio_group_seal(uint8_t *buf, struct bio_group_df *hdr, uint64_t salt)
{
    uint32_t crc;

    hdr->magic = BIO_GROUP_MAGIC;
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

    return tgt->stop_rc == 0 && !wal->stopping && !tgt->cfg.is_rdonly &&
        wal->fill->bytes + BIO_REC_BYTES_MAX <= BIO_GROUP_BYTES_MAX && !bio_wal_is_full(tgt);
}

int
bio_wal_admit(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    if (tgt->cfg.is_rdonly)
        return CAIRN_ERR(NO_PERM);
    while (!bio_wal_room(tgt) || !umem_has_room(tgt->um)) {
        uint64_t finished = tgt->ckpt.finished_nr;

        if (tgt->stop_rc != 0)
            return tgt->stop_rc;
        if (wal->stopping)
            return CAIRN_ERR(SHUTDOWN);
        CAIRN_PROBE("bio.wal.admit_waits");
        if (!umem_has_room(tgt->um))
            CAIRN_PROBE("bio.wal.admit_waits_for_pages");
        bio_ckpt_kick(tgt);
        ult_cond_wait(&wal->room, NULL);
        /* A log that can't be trimmed because the meta role found no space: say so instead of waiting on. */
        if (tgt->ckpt.finished_nr != finished && tgt->ckpt.last_rc == -DER_NOSPACE &&
            !(bio_wal_room(tgt) && umem_has_room(tgt->um)))
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
        if (wal->overlaps)
            wal->fill_ns = plat_mono_ns(tgt->plat);
    }
    /* Nobody waits when all of them write. */
    if (half_pays(tgt)) {
        CAIRN_PROBE("bio.wal.half");
        wal->is_halved = true;
        ult_cond_signal_next(&wal->work);
    } else if (!wal->is_called && fill_is_enough(wal)) {
        wal->is_called = true;
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

/* The group that holds the record: it is filled or being written. */
static struct bio_group *
group_of(struct bio_wal *wal, uint64_t lsn)
{
    uint64_t n = wal->sealed_nr;

    while (wal->groups[n % BIO_WAL_GROUP_NR].rec_nr == 0 ||
        lsn < wal->groups[n % BIO_WAL_GROUP_NR].first_lsn) {
        CAIRN_ASSERT(n > wal->done_nr);
        n--;
    }
    return &wal->groups[n % BIO_WAL_GROUP_NR];
}

int
bio_wal_wait(struct bio_tgt *tgt, uint64_t lsn)
{
    struct bio_wal *wal = &tgt->wal;

    CAIRN_ASSERT(lsn <= wal->last_lsn);
    while (wal->durable_lsn < lsn) {
        if (tgt->stop_rc != 0)
            return tgt->stop_rc;
        ult_cond_wait(&group_of(wal, lsn)->durable, NULL);
    }
    return 0;
}

/* ---- committer -------------------------------------------------------------------------------------------------------- */

/* Give the group that is filled its place in the log; the next one is filled from now on. */
static struct bio_group *
group_seal(struct bio_wal *wal, uint64_t *ret_pos)
{
    struct bio_group *group = wal->fill;
    struct bio_group_df hdr = {
        .bytes = group->bytes,
        .generation = wal->generation,
        .pos = wal->head_pos,
        .seq = wal->seq,
        .first_lsn = group->rec_nr == 0 ? wal->last_lsn + 1 : group->first_lsn,
        .rec_nr = group->rec_nr,
        .prev_crc = wal->prev_crc,
        .open_nr = (uint32_t)(wal->sealed_nr - wal->done_nr),
    };
    uint64_t load_nr = wal->last_lsn - wal->durable_lsn;

    hdr.data_lsn = hdr.first_lsn + hdr.rec_nr - 1; /* all of it is flushed before the write */
    bio_group_seal(group->buf, &hdr, wal->salt);
    *ret_pos = wal->head_pos;
    wal->head_pos += blks_of(group->bytes);
    wal->seq++;
    wal->prev_crc = hdr.crc;
    wal->sealed_nr++;
    wal->open_nr_max = MAX(wal->open_nr_max, wal->sealed_nr - wal->done_nr);
    CAIRN_ASSERT(wal->sealed_nr - wal->done_nr <= BIO_WAL_FLIGHT_NR);
    wal->fill = &wal->groups[wal->sealed_nr % BIO_WAL_GROUP_NR];
    wal->is_halved = false;
    wal->load_nr =
        load_nr >= wal->load_nr ? load_nr : wal->load_nr - DIV_UP(wal->load_nr - load_nr, 8u);
    return group;
}

/* The median of late: one that took long for other reasons says little. */
static void
took_note(struct bio_wal *wal, uint64_t took_ns)
{
    const uint64_t least_ns = 1000;

    if (wal->took_ns == 0) {
        wal->took_ns = took_ns;
    } else if (took_ns > wal->took_ns) {
        wal->took_ns += wal->took_ns / 8 + least_ns;
    } else {
        wal->took_ns -= wal->took_ns / 8;
    }
}

/* Write the sealed group at `pos`: two operations when it runs over the end of the ring. */
static int
group_write(struct bio_wal *wal, const struct bio_group *group, uint64_t pos)
{
    uint64_t blk = pos % wal->ring_blks, blks = blks_of(group->bytes);
    uint64_t first = MIN(blks, wal->ring_blks - blk);
    uint64_t start_ns = plat_mono_ns(wal->disk.plat);
    struct bio_req reqs[2];
    int rc, rc2 = 0;

    bio_req_start(&wal->disk, &reqs[0], PLAT_IO_WRITE, PLAT_IO_DSYNC,
        (BIO_WAL_RING_BLK + blk) * BIO_BLK_BYTES, group->buf, first * BIO_BLK_BYTES);
    if (first < blks) {
        CAIRN_PROBE("bio.wal.group_wraps");
        bio_req_start(&wal->disk, &reqs[1], PLAT_IO_WRITE, PLAT_IO_DSYNC,
            BIO_WAL_RING_BLK * BIO_BLK_BYTES, group->buf + first * BIO_BLK_BYTES,
            (blks - first) * BIO_BLK_BYTES);
        ult_step_end();
        rc2 = bio_req_wait(&reqs[1]);
    }
    ult_step_end(); /* the device gets it before others run */
    rc = bio_req_wait(&reqs[0]);
    took_note(wal, plat_mono_ns(wal->disk.plat) - start_ns);
    return rc != 0 ? rc : rc2;
}

/* ST-3: the data that the group's records point to comes first. */
static int
data_flush(struct bio_tgt *tgt, uint64_t data_seq)
{
    int rc;

    /* A flush that was begun for a group before this one will do: without it that group is not written, and this one does not count. */
    if (data_seq <= tgt->data_flushing || tgt->data_volatile)
        return 0;
    tgt->data_flushing = tgt->data_written;
    rc = bio_disk_rw(&tgt->data, PLAT_IO_SYNC, 0, 0, NULL, 0);
    tgt->wal.data_syncs_nr += rc == 0;
    return rc;
}

/* WAL-1: what is durable without a gap counts. */
static void
groups_retire(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    while (tgt->stop_rc == 0 && wal->done_nr < wal->sealed_nr) {
        struct bio_group *group = &wal->groups[wal->done_nr % BIO_WAL_GROUP_NR];

        if (!group->is_written)
            break;
        if (group->rec_nr > 0)
            wal->durable_lsn = group->first_lsn + group->rec_nr - 1;
        wal->open_end = group->rec_nr > 0;
        wal->groups_nr++;
        wal->records_nr += group->rec_nr;
        wal->bytes_nr += blks_of(group->bytes) * BIO_BLK_BYTES;
        wal->done_nr++;
        if (wal->overlaps)
            group_make_large(tgt, group);
        group_reset(group);
        ult_cond_broadcast(&group->durable);
    }
    if (wal->open_end && wal->done_nr == wal->sealed_nr)
        wal->close_ns = ult_now_ns() + BIO_WAL_CLOSE_NS;
    ult_cond_broadcast(&wal->room);
    if (wal->stopping)
        ult_cond_broadcast(&wal->work);
    bio_ext_reap(tgt);
    bio_ckpt_kick(tgt);
}

static void
commit_group(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;
    uint64_t pos = 0;
    struct bio_group *group = group_seal(wal, &pos);
    int rc;

    ult_cond_broadcast(&wal->room);
    rc = data_flush(tgt, group->data_seq);
    if (rc != 0)
        bio_tgt_fail(tgt, rc, BIO_ROLE_DATA, "flush of the data role");
    if (rc == 0) {
        rc = group_write(wal, group, pos);
        if (rc != 0)
            bio_tgt_fail(tgt, rc, BIO_ROLE_WAL, "write of the log");
    }
    bio_tgt_neighbours(tgt);
    group->is_written = rc == 0;
    groups_retire(tgt);
}

/* Is there a group for one more committer: records, or, WAL-3, an empty one? */
static bool
group_is_due(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    if (wal->sealed_nr - wal->done_nr == BIO_WAL_FLIGHT_NR)
        return false; /* written, but not the ones before: who fills the gap goes on */
    if (wal->fill->rec_nr > 0)
        return fill_is_enough(wal);
    if (!wal->open_end || wal->done_nr < wal->sealed_nr || ult_now_ns() < wal->close_ns)
        return false;
    if (wal->head_pos + 1 - wal->tail_pos <= wal->ring_blks)
        return true;
    wal->open_end = false; /* no room for it */
    return false;
}

static void
committer_main(void *arg)
{
    struct bio_tgt *tgt = arg;
    struct bio_wal *wal = &tgt->wal;

    while (tgt->stop_rc == 0 && !(wal->stopping && wal->fill->rec_nr == 0)) {
        wal->is_called = false;
        if (group_is_due(tgt)) {
            commit_group(tgt);
        } else {
            bool closes = wal->open_end && wal->done_nr == wal->sealed_nr;

            CAIRN_IGNORE(
                ult_cond_wait_until(&wal->work, NULL, closes ? wal->close_ns : PLAT_NEVER_NS));
        }
    }
}

int
bio_wal_start(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;
    const struct plat_ops *ops = tgt->plat->ops;
    bool is_one = (ops->disk_is_memory != NULL && ops->disk_is_memory(wal->disk.disk)) ||
        (tgt->sb.incompat & BIO_FEAT_WAL_WINDOW) == 0;
    int rc = 0;

    wal->overlaps = !is_one;
    for (uint32_t i = 0; rc == 0 && i < (is_one ? 1 : BIO_WAL_FLIGHT_NR); i++) {
        rc = ult_create(tgt->xs, ULT_IO, committer_main, tgt, &wal->committers[i]);
    }
    if (rc != 0)
        bio_wal_stop(tgt);
    return rc;
}

void
bio_wal_stop(struct bio_tgt *tgt)
{
    struct bio_wal *wal = &tgt->wal;

    wal->stopping = true;
    ult_cond_broadcast(&wal->work);
    ult_cond_broadcast(&wal->room);
    for (uint32_t i = 0; i < BIO_WAL_FLIGHT_NR; i++) {
        if (wal->committers[i] != NULL)
            ult_join(wal->committers[i]);
        wal->committers[i] = NULL;
    }
}
