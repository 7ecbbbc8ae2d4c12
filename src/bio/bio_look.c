/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A look at the disks of a target, for tools: see bio_look.h. */
#include "bio/bio_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum { LOOK_IO_BYTES = 1 << 20 };

const struct bio_sb_df *
bio_look_sb(const struct bio_tgt *tgt)
{
    return &tgt->sb;
}

static struct bio_disk *
disk_of(const struct bio_tgt *tgt, enum bio_role role)
{
    return (struct bio_disk *)(uintptr_t)(role == BIO_ROLE_WAL ? &tgt->wal.disk
            : role == BIO_ROLE_META                            ? &tgt->ckpt.disk
                                                               : &tgt->data);
}

uint64_t
bio_look_bytes(const struct bio_tgt *tgt, enum bio_role role)
{
    const struct bio_disk *disk = disk_of(tgt, role);

    return disk->disk == NULL ? 0 : disk->bytes;
}

static int
disk_bytes_read(struct bio_disk *disk, uint64_t off, uint8_t *to, size_t len)
{
    uint64_t first = ALIGN_DOWN(off, (uint64_t)BIO_BLK_BYTES);
    uint8_t *buf = bio_mem_get(LOOK_IO_BYTES);
    int rc = 0;

    if (buf == NULL)
        return CAIRN_ERR(NOMEM);
    if (off > disk->bytes || len > disk->bytes - off)
        rc = CAIRN_ERR(INVAL);
    while (rc == 0 && len > 0) {
        uint64_t end = MIN(first + LOOK_IO_BYTES, ALIGN_UP(off + len, (uint64_t)BIO_BLK_BYTES));
        size_t part = (size_t)MIN((uint64_t)len, end - off);

        rc = bio_disk_rw(disk, PLAT_IO_READ, 0, first, buf, (size_t)(end - first));
        if (rc != 0)
            break;
        memcpy(to, buf + (off - first), part);
        to += part;
        off += part;
        len -= part;
        first = end;
    }
    free(buf);
    return rc;
}

int
bio_look_read(struct bio_tgt *tgt, enum bio_role role, uint64_t off, void *buf, size_t len)
{
    struct bio_disk mark = {0}, *disk = disk_of(tgt, role);
    int rc = 0;

    if (role == BIO_ROLE_TARGET) {
        disk = &mark;
        rc = bio_look_mark_open(tgt, &mark);
    }
    if (rc == 0 && disk->disk == NULL)
        rc = CAIRN_ERR(NONEXIST);
    if (rc == 0)
        rc = disk_bytes_read(disk, off, buf, len);
    if (mark.disk != NULL)
        mark.plat->ops->disk_close(mark.disk);
    return rc;
}

const struct bio_ckpt_df *
bio_look_ckpt(const struct bio_tgt *tgt)
{
    return tgt->ckpt.hdr == NULL || tgt->ckpt.hdr->seg_nr == 0 ? NULL : tgt->ckpt.hdr;
}

void
bio_look_meta(const struct bio_tgt *tgt, struct bio_look_meta *ret_meta)
{
    const struct bio_ckpt *ck = &tgt->ckpt;

    *ret_meta = (struct bio_look_meta){
        .map_off = {ck->map_off[0], ck->map_off[1]},
        .slots_off = ck->slots_off,
        .leaf_bytes = ck->leaf_bytes,
        .leaf_entry_nr = ck->leaf_entry_nr,
        .leaf_nr = (uint32_t)DIV_UP(ck->hdr->map_nr, (uint64_t)ck->leaf_entry_nr),
        .slot_nr = ck->slot_nr,
        .slot_used_nr = (uint32_t)bitmap_count(ck->used_map, ck->slot_nr),
    };
}

uint64_t
bio_look_leaf_off(const struct bio_tgt *tgt, uint32_t leaf)
{
    return bio_ckpt_leaf_off(tgt, leaf);
}

void
bio_look_page(const struct bio_tgt *tgt, uint64_t page, struct bio_look_page *ret_page)
{
    const struct umem *um = tgt->um;
    const struct umem_page *pg = &um->pub.pages[page];
    const struct umem_vol *v = &um->vol[page];
    bool is_cls = v->code >= 1 && v->code <= UMEM_CLS_NR;
    bool has_slot = (pg->flags & UMEM_PF_SLOT) != 0;

    *ret_page = (struct bio_look_page){
        .slot = has_slot ? pg->slot : BIO_SLOT_NONE,
        .file_off = has_slot ? tgt->ckpt.slots_off + (uint64_t)(pg->slot - 1) * UMEM_PAGE_BYTES : 0,
        .crc = v->crc,
        .lsn = v->lsn,
        .is_replayed = (pg->flags & UMEM_PF_DIRTY) != 0,
        .is_free = v->code == UMEM_DIR_FREE,
        .is_system = v->code == UMEM_DIR_SYSTEM,
        .blk_bytes = is_cls ? um->cls[v->code - 1].bytes : 0,
        .free_nr = is_cls ? v->free_nr : 0,
    };
}

uint64_t
bio_look_page_nr(const struct bio_tgt *tgt)
{
    return MAX(tgt->um->page_hi, tgt->ckpt.hdr->map_nr);
}

/* ---- log -------------------------------------------------------------------------------------------------------------- */

struct look_log {
    struct bio_tgt *tgt;
    int (*fn)(void *arg, const struct bio_look_log *part);
    void *arg;
};

static int
log_read(void *arg, uint64_t blk, uint32_t blks, uint8_t *buf)
{
    const struct look_log *l = arg;
    uint64_t len = (uint64_t)blks * BIO_BLK_BYTES;
    int rc = 0;

    for (uint64_t off = 0; rc == 0 && off < len; off += LOOK_IO_BYTES) {
        rc = bio_disk_rw(&l->tgt->wal.disk, PLAT_IO_READ, 0,
            (BIO_WAL_RING_BLK + blk) * BIO_BLK_BYTES + off, buf + off,
            MIN(len - off, (uint64_t)LOOK_IO_BYTES));
    }
    return rc;
}

static int
log_group(void *arg, const struct bio_group_df *hdr)
{
    const struct look_log *l = arg;
    struct bio_look_log part = {.group = hdr};

    return l->fn(l->arg, &part);
}

static int
log_rec(void *arg, const struct bio_group_df *hdr, const struct bio_rec_df *rec, const uint8_t *words)
{
    const struct look_log *l = arg;
    struct bio_look_log part = {.group = hdr, .rec = rec, .ranges = words};

    return l->fn(l->arg, &part);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
    while (len > 0 && p[len - 1] == 0) {
        len--;
    }
    return len == 0;
}

/* Are all sectors of a group of so many bytes at the end of the log other than zeros? */
static int
sectors_are_written(struct bio_tgt *tgt, uint64_t pos, uint32_t bytes, bool *ret_are)
{
    uint8_t blk[BIO_BLK_BYTES];

    *ret_are = true;
    for (uint32_t off = 0; off < bytes; off += BIO_BLK_BYTES, pos++) {
        uint64_t at = (pos % tgt->wal.ring_blks + BIO_WAL_RING_BLK) * BIO_BLK_BYTES;
        uint32_t len = MIN(bytes - off, (uint32_t)BIO_BLK_BYTES);
        int rc = disk_bytes_read(&tgt->wal.disk, at, blk, sizeof(blk));

        if (rc != 0)
            return rc;
        for (uint32_t s = 0; s < len; s += BIO_SECTOR_BYTES) {
            if (is_zero(blk + s, MIN(len - s, (uint32_t)BIO_SECTOR_BYTES)))
                *ret_are = false;
        }
    }
    return 0;
}

/* What lies at the end of the log, where no valid group is. */
static int
tail_judge(struct bio_tgt *tgt, struct bio_look_end *end)
{
    bool is_fresh = end->pos < tgt->wal.ring_blks && end->generation <= BIO_GENERATION_FIRST;
    struct bio_group_df hdr;
    bool is_ours, makes_sense;
    int rc = disk_bytes_read(&tgt->wal.disk, end->file_off, (uint8_t *)&hdr, sizeof(hdr));

    if (rc != 0)
        return rc;
    is_ours =
        hdr.magic == BIO_GROUP_MAGIC && hdr.pos == end->pos && hdr.generation >= end->generation;
    makes_sense = hdr.bytes >= sizeof(hdr) && hdr.bytes <= BIO_GROUP_BYTES_MAX &&
        hdr.bytes <= tgt->wal.ring_blks * BIO_BLK_BYTES;
    if (is_ours && makes_sense && hdr.bytes > BIO_SECTOR_BYTES) {
        if (is_fresh)
            rc = sectors_are_written(tgt, end->pos, hdr.bytes, &end->is_damaged);
    } else if (is_ours) {
        end->is_damaged = true;
    } else if (is_fresh)
        rc = sectors_are_written(tgt, end->pos, BIO_SECTOR_BYTES, &end->is_damaged);
    return rc;
}

int
bio_look_log(struct bio_tgt *tgt, int (*fn)(void *arg, const struct bio_look_log *part), void *arg,
    struct bio_look_end *ret_end)
{
    struct look_log l = {.tgt = tgt, .fn = fn, .arg = arg};
    struct bio_replay_end end = {0};
    struct bio_replay_io io = {
        .is_tolerant = true, .arg = &l, .read = log_read, .group = log_group, .rec = log_rec};
    int rc = bio_log_read(tgt, &io, &end);

    if (rc != 0)
        return rc;
    *ret_end = (struct bio_look_end){
        .pos = end.pos,
        .file_off = (end.pos % tgt->wal.ring_blks + BIO_WAL_RING_BLK) * BIO_BLK_BYTES,
        .seq = end.seq,
        .last_lsn = end.last_lsn,
        .generation = end.generation,
        .groups_nr = end.groups_nr,
        .records_nr = end.records_nr,
        .is_torn = end.is_torn,
    };
    return tail_judge(tgt, ret_end);
}

/* ---- devices ---------------------------------------------------------------------------------------------------------- */

int
bio_look_dev(struct xstream *xs, const char *path, struct bio_look_dev *ret_dev)
{
    struct plat *plat = xstream_plat(xs);
    struct bio_disk disk = {.plat = plat};
    int rc;

    memset(ret_dev, 0, sizeof(*ret_dev));
    rc = plat->ops->disk_open(plat, xstream_loop(xs), path, PLAT_DISK_RDONLY, 0, &disk.disk);
    if (rc != 0)
        return rc;
    disk.bytes = ret_dev->bytes = plat->ops->disk_size(disk.disk);
    if (disk.bytes < BIO_DEV_TAB_OFF + BIO_DEV_TAB_BYTES) {
        ret_dev->label_rc = CAIRN_ERR(DF_INVAL);
        goto out;
    }
    rc = disk_bytes_read(&disk, 0, (uint8_t *)&ret_dev->label, sizeof(ret_dev->label));
    if (rc == 0)
        rc = disk_bytes_read(&disk, BIO_DEV_TAB_OFF, (uint8_t *)&ret_dev->tab, sizeof(ret_dev->tab));
    if (rc != 0)
        goto out;
    ret_dev->label_rc = bio_dev_label_check(&ret_dev->label);
    if (ret_dev->label_rc == 0)
        ret_dev->tab_rc = bio_dev_tab_check(&ret_dev->label, &ret_dev->tab);
out:
    plat->ops->disk_close(disk.disk);
    return rc;
}
