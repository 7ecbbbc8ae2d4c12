/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading the log back. Pure: blocks come from a function, ranges go to a function, so that tests can truncate and damage a log of a
 * few blocks in every possible way.
 *
 * The walk starts at the first segment of the checkpoint header and accepts a group only if position, order, generation, chain
 * (checksum of the group before) and checksum fit. Where it stops is either the torn tail of the last write, which nobody was
 * promised, or damage. It is damage
 *   - before the start of the last recorded segment: an earlier start of the target had read the log up to there, or
 *   - when a valid group in the ring says that the missing one was durable before it was written (WAL-1, open_nr), or
 *   - when a valid group of the last generation lies at the end and does not continue the log.
 * Groups are written several at a time: valid ones behind a gap that do not say so belong to the torn tail; so does a group of an older
 * generation at the end itself: it was torn when its generation ended, and the torn write of its successor, which happened to hold the same
 * bytes where it was torn (the same requests came again), made it whole. Nobody was promised any of them.
 * Damage to the very last groups, when nothing was written after they were durable, can't be told from a torn write; WAL-3 makes that window small.
 * A group that continues the chain with a higher generation than recorded shows that the newest header was lost; the chain is
 * proof enough to go on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

CAIRN_STATIC_ASSERT(BIO_GROUP_BYTES_MAX < BIO_REPLAY_WIN_BLKS * BIO_BLK_BYTES, "a group fits");

/*
 * The window: positions [low, have) are readable, [have, end) are being read, in BIO_REPLAY_AHEAD_NR operations at most, so that the device works while
 * groups are applied. Position p lies at block (p - base) % cap of the memory. Small, so that what was read is in the processor's
 * cache when it is looked at; a group that is larger makes it as large as the memory. What is behind `cap` is for a group that runs over the end.
 */
struct replay {
    const struct bio_replay_io *io;
    uint64_t base, low, have, end;
    uint32_t cap;
    struct {
        uint64_t blk;
        uint8_t *buf;
        uint32_t blks;
    } ops[BIO_REPLAY_AHEAD_NR];
    uint32_t op_first, op_nr;
};

/* For messages. */
static unsigned long
file_off(const struct replay *rp, uint64_t pos)
{
    return (unsigned long)((pos % rp->io->ring_blks + BIO_WAL_RING_BLK) * BIO_BLK_BYTES);
}

static uint8_t *
window_mem(const struct replay *rp, uint64_t pos)
{
    return rp->io->win + (pos - rp->base) % rp->cap * BIO_BLK_BYTES;
}

static int
op_wait(struct replay *rp)
{
    const struct bio_replay_io *io = rp->io;
    uint32_t i = rp->op_first;

    rp->op_first = (i + 1) % BIO_REPLAY_AHEAD_NR;
    rp->op_nr--;
    rp->have += rp->ops[i].blks;
    return io->start != NULL ? io->wait(io->arg, i)
                             : io->read(io->arg, rp->ops[i].blk, rp->ops[i].blks, rp->ops[i].buf);
}

/* Nothing is being read any more, whatever came of it. */
static int
window_drain(struct replay *rp)
{
    int rc = 0;

    while (rp->op_nr > 0) {
        int rc2 = op_wait(rp);

        if (rc == 0)
            rc = rc2;
    }
    return rc;
}

static int
window_reset(struct replay *rp, uint64_t pos, uint32_t cap)
{
    int rc = window_drain(rp);

    rp->base = rp->low = rp->have = rp->end = pos;
    rp->cap = cap;
    return rc;
}

/* Begin to read what there is room for; what the caller needs also in pieces. */
static void
window_ahead(struct replay *rp, uint64_t need_end)
{
    uint64_t ring = rp->io->ring_blks;

    while (rp->op_nr < BIO_REPLAY_AHEAD_NR) {
        uint32_t i = (rp->op_first + rp->op_nr) % BIO_REPLAY_AHEAD_NR;
        uint64_t room = rp->cap - (rp->end - rp->low);
        uint64_t blks = MIN((uint64_t)BIO_REPLAY_IO_BLKS, rp->cap - (rp->end - rp->base) % rp->cap);

        blks = MIN(blks, ring - rp->end % ring);
        if (room == 0 || (room < blks && (rp->op_nr > 0 || rp->have >= need_end)))
            return;
        rp->ops[i].blk = rp->end % ring;
        rp->ops[i].blks = (uint32_t)MIN(blks, room);
        rp->ops[i].buf = window_mem(rp, rp->end);
        if (rp->io->start != NULL)
            rp->io->start(rp->io->arg, i, rp->ops[i].blk, rp->ops[i].blks, rp->ops[i].buf);
        rp->end += rp->ops[i].blks;
        rp->op_nr++;
    }
}

/* Make `blks` blocks from log position pos readable at *ret_buf, until the next call. */
static int
window_get(struct replay *rp, uint64_t pos, uint32_t blks, const uint8_t **ret_buf)
{
    uint64_t over, idx = (pos - rp->base) % rp->cap;
    int rc = 0;

    over = idx + blks > rp->cap ? idx + blks - rp->cap : 0;
    if (blks > rp->cap || over > rp->io->win_blks - rp->cap) {
        CAIRN_PROBE("bio.replay.large_group");
        rc = window_reset(rp, pos, rp->io->win_blks);
        over = 0;
    } else if (pos < rp->low || pos > rp->end) {
        rc = window_reset(rp, pos, rp->cap);
        over = 0;
    }
    rp->low = pos;
    while (rc == 0) {
        window_ahead(rp, pos + blks);
        if (rp->have >= pos + blks)
            break;
        rc = op_wait(rp);
    }
    if (rc != 0)
        return rc;
    if (over > 0)
        memcpy(rp->io->win + (size_t)rp->cap * BIO_BLK_BYTES, rp->io->win, over * BIO_BLK_BYTES);
    *ret_buf = window_mem(rp, pos);
    return 0;
}

/* Is there a whole group at pos? *ret_buf NULL: no. Its place in the log is for the caller to judge. */
static int
group_at(struct replay *rp, uint64_t pos, struct bio_group_df *ret_hdr, const uint8_t **ret_buf)
{
    static const uint8_t zeros[4] = {0};
    const uint8_t *buf = NULL;
    uint32_t crc;
    int rc;

    *ret_buf = NULL;
    rc = window_get(rp, pos, 1, &buf);
    if (rc != 0)
        return rc;
    memcpy(ret_hdr, buf, sizeof(*ret_hdr));
    if (ret_hdr->magic != BIO_GROUP_MAGIC || ret_hdr->bytes < sizeof(*ret_hdr) ||
        ret_hdr->bytes > BIO_GROUP_BYTES_MAX || ret_hdr->bytes > rp->io->ring_blks * BIO_BLK_BYTES)
        return 0;
    rc = window_get(rp, pos, DIV_UP(ret_hdr->bytes, (uint32_t)BIO_BLK_BYTES), &buf);
    if (rc != 0)
        return rc;
    crc = crc32c(0, &rp->io->salt, sizeof(rp->io->salt));
    crc = crc32c(crc, buf, offsetof(struct bio_group_df, crc));
    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = crc32c(crc, buf + sizeof(*ret_hdr), ret_hdr->bytes - sizeof(*ret_hdr));
    if (crc == ret_hdr->crc)
        *ret_buf = buf;
    return 0;
}

/* Hand the ranges of one record out. Everything was covered by a checksum: what does not fit here was written so. */
static int
record_apply(
    const struct bio_replay_io *io, const uint8_t *rec, const struct bio_rec_df *hdr, bool announce)
{
    uint64_t data_off = sizeof(*hdr) + (uint64_t)hdr->range_nr * 8;

    if (data_off > hdr->bytes)
        return CAIRN_ERR(DF_INVAL);
    for (uint32_t i = 0; i < hdr->range_nr; i++) {
        uint64_t word;
        uint32_t len;
        int rc;

        memcpy(&word, rec + sizeof(*hdr) + (size_t)i * 8, 8);
        len = (uint32_t)(word & 0xffff);
        if (data_off + len > hdr->bytes)
            return CAIRN_ERR(DF_INVAL);
        rc = announce           ? io->announce(io->arg, word >> 16, len)
            : io->range == NULL ? 0
                                : io->range(io->arg, hdr->lsn, word >> 16, len, rec + data_off);
        if (rc != 0)
            return rc;
        data_off += len;
    }
    return ALIGN_UP(data_off, UINT64_C(8)) == hdr->bytes ? 0 : CAIRN_ERR(DF_INVAL);
}

static int
group_walk(const struct bio_replay_io *io, const uint8_t *buf, const struct bio_group_df *ghdr,
    bool announce)
{
    uint32_t off = sizeof(*ghdr);
    struct bio_rec_df hdr;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < ghdr->rec_nr; i++) {
        if (ghdr->bytes - off < sizeof(hdr))
            return CAIRN_ERR(DF_INVAL);
        memcpy(&hdr, buf + off, sizeof(hdr));
        if (hdr.lsn != ghdr->first_lsn + i || hdr.bytes < sizeof(hdr) || hdr.bytes > ghdr->bytes - off)
            return CAIRN_ERR(DF_INVAL);
        if (io->rec != NULL && !announce && sizeof(hdr) + (uint64_t)hdr.range_nr * 8 <= hdr.bytes)
            rc = io->rec(io->arg, ghdr, &hdr, buf + off + sizeof(hdr));
        if (rc == 0)
            rc = record_apply(io, buf + off, &hdr, announce);
        off += hdr.bytes;
    }
    if (rc == 0 && off != ghdr->bytes)
        return CAIRN_ERR(DF_INVAL);
    return rc;
}

static int
group_apply(const struct bio_replay_io *io, const uint8_t *buf, const struct bio_group_df *hdr)
{
    int rc = io->group == NULL ? 0 : io->group(io->arg, hdr);

    if (rc == 0 && io->announce != NULL) {
        rc = group_walk(io, buf, hdr, true);
        if (rc == 0)
            rc = io->announce(io->arg, 0, 0);
    }
    return rc != 0 ? rc : group_walk(io, buf, hdr, false);
}

/* Does a valid group behind the end of the log prove that the log went on? */
static bool
proves_damage(const struct bio_group_df *hdr, const struct bio_replay_end *end)
{
    if (hdr->pos == end->pos)
        return hdr->generation >= end->generation;
    return hdr->seq > end->seq + MIN(hdr->open_nr, (uint32_t)BIO_GROUP_OPEN_NR_MAX);
}

/* Looks at all blocks but those of the groups that were just found to be whole, from log_start on: nothing was written over them. */
static int
beyond_end_check(struct replay *rp, uint64_t log_start, const struct bio_replay_end *log_end)
{
    uint64_t end = log_end->pos;

    for (uint64_t pos = end; pos < log_start + rp->io->ring_blks; pos++) {
        const uint8_t *buf = NULL;
        struct bio_group_df hdr;
        int rc = window_get(rp, pos, 1, &buf);

        if (rc != 0)
            return rc;
        memcpy(&hdr, buf, sizeof(hdr));
        if (hdr.magic != BIO_GROUP_MAGIC || hdr.pos < end ||
            hdr.pos % rp->io->ring_blks != pos % rp->io->ring_blks)
            continue;
        rc = group_at(rp, pos, &hdr, &buf);
        if (rc != 0)
            return rc;
        if (buf == NULL)
            continue;
        if (!proves_damage(&hdr, log_end)) {
            CAIRN_PROBE("bio.replay.group_beyond_tail");
            continue;
        }
        bio_damage(rp->io->cfg,
            "wal: the log is damaged at block %lu (file offset %lu): a valid group follows at "
            "block %lu",
            (unsigned long)end, file_off(rp, end), (unsigned long)hdr.pos);
        return CAIRN_ERR(CSUM);
    }
    return 0;
}

/* Does the group continue the log? */
static bool
group_fits(
    const struct bio_group_df *hdr, const struct bio_replay_end *end, uint64_t gen, bool last_seg)
{
    bool chained = hdr->pos == end->pos && hdr->seq == end->seq && hdr->prev_crc == end->prev_crc &&
        hdr->first_lsn == end->last_lsn + 1;

    return chained && (hdr->generation == gen || (last_seg && hdr->generation > gen));
}

static int
replay_walk(
    struct replay *rp, const struct bio_seg_df *segs, uint32_t seg_nr, struct bio_replay_end *end)
{
    uint64_t gen = segs[0].generation;
    uint32_t si = 0;

    for (;;) {
        const uint8_t *buf = NULL;
        struct bio_group_df hdr;
        int rc;

        while (si + 1 < seg_nr && segs[si + 1].start_pos == end->pos) {
            si++;
            gen = segs[si].generation;
            if (segs[si].prev_crc != end->prev_crc || segs[si].seq != end->seq ||
                segs[si].first_lsn != end->last_lsn + 1) {
                bio_damage(rp->io->cfg,
                    "wal: block %lu (file offset %lu) is not where generation %lu began",
                    (unsigned long)end->pos, file_off(rp, end->pos), (unsigned long)gen);
                return CAIRN_ERR(CSUM);
            }
        }
        rc = group_at(rp, end->pos, &hdr, &buf);
        if (rc != 0)
            return rc;
        if (buf == NULL || !group_fits(&hdr, end, gen, si + 1 == seg_nr)) {
            end->is_torn = buf == NULL && hdr.magic == BIO_GROUP_MAGIC && hdr.pos == end->pos;
            break;
        }
        if (hdr.generation > gen) {
            CAIRN_PROBE("bio.replay.lost_header");
            LOG_WARN("wal: generation %lu was not recorded, a checkpoint header has been lost",
                (unsigned long)hdr.generation);
            gen = hdr.generation;
        }
        rc = group_apply(rp->io, buf, &hdr);
        if (rc == -DER_DF_INVAL) {
            bio_damage(rp->io->cfg,
                "wal: the group at block %lu (file offset %lu) is whole, and makes no sense",
                (unsigned long)end->pos, file_off(rp, end->pos));
        }
        if (rc != 0)
            return rc;
        end->generation = MAX(end->generation, gen);
        end->pos += DIV_UP(hdr.bytes, (uint32_t)BIO_BLK_BYTES);
        end->seq++;
        end->last_lsn += hdr.rec_nr;
        end->prev_crc = hdr.crc;
        end->records_nr += hdr.rec_nr;
        end->groups_nr++;
    }
    if (si + 1 < seg_nr) {
        bio_damage(rp->io->cfg,
            "wal: the log ends at block %lu (file offset %lu), it was recorded up to block %lu",
            (unsigned long)end->pos, file_off(rp, end->pos), (unsigned long)segs[si + 1].start_pos);
        return CAIRN_ERR(CSUM);
    }
    return 0;
}

int
bio_replay(const struct bio_replay_io *io, const struct bio_seg_df *segs, uint32_t seg_nr,
    struct bio_replay_end *ret_end)
{
    struct bio_replay_end end = {
        .generation = segs[seg_nr - 1].generation,
        .pos = segs[0].start_pos,
        .seq = segs[0].seq,
        .last_lsn = segs[0].first_lsn - 1,
        .prev_crc = segs[0].prev_crc,
    };
    struct replay rp = {
        .io = io,
        .cap = MAX(MIN((uint32_t)BIO_REPLAY_CAP_BLKS, io->win_blks / 2), 1u),
    };
    int rc, rc2;

    CAIRN_ASSERT(io->win_blks >= MIN(io->ring_blks, (uint64_t)BIO_REPLAY_WIN_BLKS));
    rc = window_reset(&rp, end.pos, rp.cap);
    if (rc == 0)
        rc = replay_walk(&rp, segs, seg_nr, &end);
    if (rc == 0)
        rc = beyond_end_check(&rp, segs[0].start_pos, &end);
    rc2 = window_drain(&rp); /* of what nobody needs */
    if (rc == 0)
        rc = rc2;
    if (io->is_tolerant && (rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_NVME_IO)) {
        LOG_ERROR("wal: what follows block %lu (file offset %lu) is left out: %s",
            (unsigned long)end.pos, file_off(&rp, end.pos), err_name(rc));
        rc = 0;
    }
    if (rc == 0)
        *ret_end = end;
    return rc;
}
