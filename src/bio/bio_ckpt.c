/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Checkpoints: page images go to free slots of the meta role, then a slot map, then a header that switches to it, so that the log before
 * can be reused (ST-5).
 *
 *   1  note the log position where the next group will begin: everything before it is in memory now
 *   2  for each dirty page: copy it (no yield), wait until the log is durable up to its newest change, write it to a free slot
 *   3  wait until the log is durable up to step 1, write the slot map to the area that the durable header does not use, flush
 *   4  write the header to the place that the durable header does not use, durably
 *   5  the log before the noted position, and the slots that only the old map referred to, are free
 *
 *   CKP-1  A slot is written only when neither the page table nor the durable map refers to it.
 *   CKP-2  Pages change while they are written: an image may be newer than step 1. The log from there on, replayed in full over any
 *          mixture of such images, gives the newest state (records hold values).
 *   CKP-3  A page that is free has no image.
 *   CKP-4  An error other than "no space" stops the target (BIO-5). After "no space" the durable map still counts, nothing is lost,
 *          and the next attempt starts over.
 *
 * Rejected: writing pages in place with a double-write buffer (torn pages need an undo that the log does not have); an incremental slot
 * map (16 bytes per 16 KiB page: a full one is 0.1% of the arena). Tested by bio_tgt_test.c and test/crash.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bitmap.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum { CKPT_HDR_BLK = 1, CKPT_MAP_BLK = 4, CKPT_MAP_IO_BYTES = 1 << 20 };

static uint64_t
map_bytes_max(uint64_t arena_bytes)
{
    return ALIGN_UP(
        (arena_bytes >> UMEM_PAGE_BITS) * sizeof(struct bio_slot_df), (uint64_t)UMEM_PAGE_BYTES);
}

/* Twice the pages: each may have its durable and its new image at once. */
static uint64_t
slots_nr(uint64_t arena_bytes)
{
    return (arena_bytes >> UMEM_PAGE_BITS) * 2 + BIO_CKPT_BATCH_NR;
}

uint64_t
bio_ckpt_file_bytes(uint64_t arena_bytes)
{
    return (uint64_t)CKPT_MAP_BLK * BIO_BLK_BYTES + 2 * map_bytes_max(arena_bytes) +
        slots_nr(arena_bytes) * UMEM_PAGE_BYTES;
}

int
bio_ckpt_init(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;

    ck->map_bytes_max = map_bytes_max(tgt->sb.arena_bytes);
    ck->map_off[0] = (uint64_t)CKPT_MAP_BLK * BIO_BLK_BYTES;
    ck->map_off[1] = ck->map_off[0] + ck->map_bytes_max;
    ck->slots_off = ck->map_off[1] + ck->map_bytes_max;
    ck->slot_nr = (uint32_t)slots_nr(tgt->sb.arena_bytes);
    ck->used_map = bio_mem_zeroed(BITMAP_WORDS((size_t)ck->slot_nr), 8);
    ck->durable_map = bio_mem_zeroed(BITMAP_WORDS((size_t)ck->slot_nr), 8);
    ck->work_map = bio_mem_zeroed(BITMAP_WORDS(tgt->um->pub.page_nr), 8);
    ck->hdr = bio_mem_get(sizeof(*ck->hdr));
    ck->images = bio_mem_get((size_t)BIO_CKPT_BATCH_NR * UMEM_PAGE_BYTES);
    ult_cond_init(&ck->work);
    ult_cond_init(&ck->done);
    if (ck->used_map == NULL || ck->durable_map == NULL || ck->work_map == NULL ||
        ck->hdr == NULL || ck->images == NULL)
        return CAIRN_ERR(NOMEM);
    memset(ck->hdr, 0, sizeof(*ck->hdr));
    return 0;
}

void
bio_ckpt_fini(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;

    free(ck->used_map);
    free(ck->durable_map);
    free(ck->work_map);
    free(ck->hdr);
    free(ck->images);
}

static uint64_t
slot_off(const struct bio_ckpt *ck, uint32_t slot)
{
    return ck->slots_off + (uint64_t)(slot - 1) * UMEM_PAGE_BYTES;
}

/* CKP-1. Errors: NOSPACE. */
static int
slot_alloc(struct bio_ckpt *ck, uint32_t *ret_slot)
{
    uint32_t words = (uint32_t)BITMAP_WORDS((size_t)ck->slot_nr);

    for (uint32_t w = ck->slot_hint; w < words; w++) {
        uint64_t taken = ck->used_map[w] | ck->durable_map[w];
        uint32_t slot;

        if (taken == UINT64_MAX)
            continue;
        slot = w * 64 + (uint32_t)__builtin_ctzll(~taken);
        if (slot >= ck->slot_nr)
            break;
        ck->slot_hint = w;
        bitmap_set(ck->used_map, slot);
        *ret_slot = slot + 1;
        return 0;
    }
    return CAIRN_ERR(NOSPACE);
}

static void
slot_release(struct bio_ckpt *ck, uint32_t slot)
{
    if (slot == BIO_SLOT_NONE)
        return;
    bitmap_clear(ck->used_map, slot - 1);
    ck->slot_hint = MIN(ck->slot_hint, (slot - 1) / 64);
}

/* ---- loading ---------------------------------------------------------------------------------------------------------- */

static bool
header_is_valid(const struct bio_tgt *tgt, const struct bio_ckpt_df *hdr, uint32_t place)
{
    const struct bio_ckpt *ck = &tgt->ckpt;

    return hdr->magic == BIO_CKPT_MAGIC && hdr->crc == crc32c(0, hdr, sizeof(*hdr) - 4) &&
        (hdr->seq & 1) == place && cuuid_cmp(&hdr->device, &tgt->sb.device) == 0 &&
        hdr->seg_nr >= 1 && hdr->seg_nr <= BIO_CKPT_SEG_NR_MAX &&
        hdr->map_nr <= tgt->um->pub.page_nr &&
        (hdr->map_off == ck->map_off[0] || hdr->map_off == ck->map_off[1]);
}

static int
header_load(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct bio_ckpt_df *both = bio_tmp_get(tgt, 2 * sizeof(*both));
    const struct bio_ckpt_df *best = NULL;
    int rc;

    if (both == NULL)
        return CAIRN_ERR(NOMEM);
    rc = bio_disk_rw(
        &ck->disk, PLAT_IO_READ, 0, CKPT_HDR_BLK * BIO_BLK_BYTES, both, 2 * sizeof(*both));
    if (rc != 0)
        goto out;
    for (uint32_t place = 0; place < 2; place++) {
        if (header_is_valid(tgt, &both[place], place) && (best == NULL || both[place].seq > best->seq))
            best = &both[place];
    }
    if (best == NULL) {
        bio_damage(
            &tgt->cfg, "meta: both checkpoint headers (file offsets 4096 and 8192) are damaged");
        rc = CAIRN_ERR(CSUM);
        goto out;
    }
    *ck->hdr = *best;
out:
    bio_tmp_put(tgt, both, 2 * sizeof(*both));
    return rc;
}

/* Read the slot map into the page table. */
static int
map_load(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;
    uint64_t bytes = ck->hdr->map_nr * sizeof(struct bio_slot_df);
    uint64_t full = ALIGN_UP(bytes, (uint64_t)BIO_BLK_BYTES);
    struct bio_slot_df *map;
    int rc = 0;

    if (bytes == 0)
        return CAIRN_ERR(DF_INVAL); /* there is at least the root page */
    map = bio_tmp_get(tgt, full);
    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint64_t off = 0; rc == 0 && off < full; off += CKPT_MAP_IO_BYTES) {
        rc = bio_disk_rw(&ck->disk, PLAT_IO_READ, 0, ck->hdr->map_off + off, (uint8_t *)map + off,
            MIN(full - off, (uint64_t)CKPT_MAP_IO_BYTES));
    }
    if (rc == 0 && crc32c(0, map, bytes) != ck->hdr->map_crc) {
        bio_damage(&tgt->cfg, "meta: the slot map at file offset %lu is damaged",
            (unsigned long)ck->hdr->map_off);
        rc = CAIRN_ERR(CSUM);
    }
    for (uint64_t page = 0; rc == 0 && page < ck->hdr->map_nr; page++) {
        uint32_t slot = map[page].slot;

        if (slot == BIO_SLOT_NONE)
            continue;
        if (slot > ck->slot_nr || bitmap_test(ck->used_map, slot - 1)) {
            bio_damage(&tgt->cfg, "meta: page %lu has impossible slot %u", (unsigned long)page, slot);
            rc = CAIRN_ERR(DF_INVAL);
            break;
        }
        bitmap_set(ck->used_map, slot - 1);
        um->pub.pages[page].slot = slot;
        um->pub.pages[page].flags |= UMEM_PF_SLOT;
        um->pub.pages[page].lsn = map[page].lsn;
        um->vol[page].crc = map[page].crc;
        um->vol[page].lsn = map[page].lsn;
    }
    memcpy(ck->durable_map, ck->used_map, BITMAP_WORDS((size_t)ck->slot_nr) * 8);
    bio_tmp_put(tgt, map, full);
    return rc;
}

static int
page_verify(struct bio_tgt *tgt, uint64_t page, const uint8_t *mem)
{
    if (crc32c(0, mem, UMEM_PAGE_BYTES) == tgt->um->vol[page].crc)
        return 0;
    bio_damage(&tgt->cfg, "meta: page %lu at file offset %lu is damaged", (unsigned long)page,
        (unsigned long)slot_off(&tgt->ckpt, tgt->um->pub.pages[page].slot));
    return CAIRN_ERR(CSUM);
}

int
bio_ckpt_page_load(struct bio_tgt *tgt, uint64_t page, uint8_t *mem)
{
    uint64_t off = slot_off(&tgt->ckpt, tgt->um->pub.pages[page].slot);
    int rc;

    if (tgt->stop_rc != 0)
        return tgt->stop_rc;
    rc = bio_disk_rw(&tgt->ckpt.disk, PLAT_IO_READ, 0, off, mem, UMEM_PAGE_BYTES);
    return rc != 0 ? rc : page_verify(tgt, page, mem);
}

/* Load and verify the pages of entries[0..nr). */
static int
batch_load(struct bio_tgt *tgt, uint32_t nr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t started = 0;
    int rc = 0;

    for (; rc == 0 && started < nr; started++) {
        uint32_t page = ck->entries[started].page;

        rc = umem_page_mem(tgt->um, page);
        if (rc != 0)
            break;
        bio_req_start(&ck->disk, &ck->reqs[started], PLAT_IO_READ, 0,
            slot_off(ck, tgt->um->pub.pages[page].slot), tgt->um->pub.pages[page].mem,
            UMEM_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < started; i++) {
        uint32_t page = ck->entries[i].page;
        int rc2 = bio_req_wait(&ck->reqs[i]);

        if (rc2 == 0)
            rc2 = page_verify(tgt, page, tgt->um->pub.pages[page].mem);
        if (rc == 0)
            rc = rc2;
    }
    return rc;
}

int
bio_ckpt_load(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t nr = 0;
    int rc;

    rc = header_load(tgt);
    if (rc == 0)
        rc = map_load(tgt);
    for (uint64_t page = 0; rc == 0 && page < ck->hdr->map_nr; page++) {
        if ((tgt->um->pub.pages[page].flags & UMEM_PF_SLOT) == 0)
            continue;
        ck->entries[nr++].page = (uint32_t)page;
        if (nr == BIO_LOAD_BATCH_NR) {
            rc = batch_load(tgt, nr);
            nr = 0;
        }
    }
    if (rc == 0)
        rc = batch_load(tgt, nr);
    return rc;
}
CAIRN_STATIC_ASSERT((int)BIO_LOAD_BATCH_NR <= (int)BIO_CKPT_BATCH_NR, "entries are shared");

/* ---- header ----------------------------------------------------------------------------------------------------------- */

/* Write `hdr` as the successor of the durable header (ST-5); *hdr is on I/O memory. */
static int
header_write(struct bio_tgt *tgt, struct bio_ckpt_df *hdr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    int rc;

    hdr->magic = BIO_CKPT_MAGIC;
    hdr->seq = ck->hdr->seq + 1;
    hdr->device = tgt->sb.device;
    hdr->crc = crc32c(0, hdr, sizeof(*hdr) - 4);
    rc = bio_disk_rw(&ck->disk, PLAT_IO_WRITE, PLAT_IO_DSYNC,
        (CKPT_HDR_BLK + (hdr->seq & 1)) * BIO_BLK_BYTES, hdr, sizeof(*hdr));
    if (rc == 0)
        *ck->hdr = *hdr;
    /* Which header counts is unknown now, so this is never "try again"; both places were written at format. */
    return rc == -DER_NOSPACE ? CAIRN_ERR(NVME_IO) : rc;
}

/* The segment that begins with the next group to be sealed. */
static struct bio_seg_df
segment_now(const struct bio_wal *wal)
{
    const struct bio_group *fill = wal->fill;

    return (struct bio_seg_df){
        .generation = wal->generation,
        .start_pos = wal->head_pos,
        .first_lsn = fill->rec_nr > 0 ? fill->first_lsn : wal->last_lsn + 1,
        .seq = wal->seq,
        .prev_crc = wal->prev_crc,
    };
}

int
bio_ckpt_new_generation(struct bio_tgt *tgt, uint64_t seen_generation)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct bio_ckpt_df *hdr;
    int rc;

    tgt->wal.generation = seen_generation + 1;
    /* A start that wrote nothing needs no entry of its own. */
    if (ck->hdr->seg_nr == BIO_CKPT_SEG_NR_MAX &&
        ck->hdr->segs[BIO_CKPT_SEG_NR_MAX - 1].start_pos != tgt->wal.head_pos) {
        CAIRN_PROBE("bio.ckpt.segments_full");
        return bio_ckpt_run(tgt);
    }
    hdr = bio_tmp_get(tgt, sizeof(*hdr));
    if (hdr == NULL)
        return CAIRN_ERR(NOMEM);
    *hdr = *ck->hdr;
    if (hdr->segs[hdr->seg_nr - 1].start_pos != tgt->wal.head_pos)
        hdr->seg_nr++;
    hdr->segs[hdr->seg_nr - 1] = segment_now(&tgt->wal);
    rc = header_write(tgt, hdr);
    bio_tmp_put(tgt, hdr, sizeof(*hdr));
    return rc;
}

/* ---- one checkpoint ---------------------------------------------------------------------------------------------------- */

/* CKP-3. */
static void
page_forget(struct bio_tgt *tgt, uint64_t page)
{
    struct umem *um = tgt->um;
    struct umem_page *pg = &um->pub.pages[page];

    slot_release(&tgt->ckpt, pg->slot);
    pg->slot = BIO_SLOT_NONE;
    pg->flags &= ~(uint32_t)UMEM_PF_SLOT;
    umem_page_drop(um, page);
}

static void
page_redirty(struct umem *um, uint64_t page)
{
    umem_mark_dirty(um, page, um->pub.pages[page].lsn);
}

/* Copy pages of the work map from *next_page on, until the batch is full. Does not yield. */
static int
batch_collect(struct bio_tgt *tgt, uint64_t *next_page, uint32_t *ret_nr, uint64_t *need_lsn)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;
    uint32_t nr = 0;
    int rc = 0;

    while (nr < BIO_CKPT_BATCH_NR) {
        size_t page = bitmap_find_set(ck->work_map, um->pub.page_nr, *next_page);
        struct umem_page *pg;
        uint8_t *image = ck->images + (size_t)nr * UMEM_PAGE_BYTES;

        if (page == BITMAP_NONE) {
            *next_page = um->pub.page_nr;
            break;
        }
        pg = &um->pub.pages[page];
        *need_lsn = MAX(*need_lsn, pg->lsn);
        if (um->vol[page].code == UMEM_DIR_FREE) {
            pg->flags &= ~(uint32_t)UMEM_PF_DIRTY;
            if (bitmap_test(um->dirty_map, page)) {
                bitmap_clear(um->dirty_map, page);
                um->dirty_nr--;
            }
            page_forget(tgt, page);
        } else {
            rc = slot_alloc(ck, &ck->entries[nr].slot);
            if (rc != 0)
                break;
            memcpy(image, pg->mem, UMEM_PAGE_BYTES);
            ck->entries[nr].page = (uint32_t)page;
            ck->entries[nr].crc = crc32c(0, image, UMEM_PAGE_BYTES);
            ck->entries[nr].lsn = pg->lsn;
            pg->flags = (pg->flags & ~(uint32_t)UMEM_PF_DIRTY) | UMEM_PF_IO;
            if (bitmap_test(um->dirty_map, page)) {
                bitmap_clear(um->dirty_map, page);
                um->dirty_nr--;
            }
            nr++;
        }
        bitmap_clear(ck->work_map, page);
        *next_page = page + 1;
    }
    *ret_nr = nr;
    return rc;
}

/* Write the batch: neighbours in the file in one operation. */
static int
batch_write(struct bio_tgt *tgt, uint32_t nr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t reqs_nr = 0;
    int rc = 0;

    for (uint32_t i = 0, run; i < nr; i += run) {
        run = 1;
        while (i + run < nr && ck->entries[i + run].slot == ck->entries[i].slot + run) {
            run++;
        }
        bio_req_start(&ck->disk, &ck->reqs[reqs_nr++], PLAT_IO_WRITE, 0,
            slot_off(ck, ck->entries[i].slot), ck->images + (size_t)i * UMEM_PAGE_BYTES,
            (size_t)run * UMEM_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < reqs_nr; i++) {
        int rc2 = bio_req_wait(&ck->reqs[i]);

        if (rc == 0)
            rc = rc2;
    }
    return rc;
}

/* The images are written (rc 0): the page table points to them. Or not: the pages stay dirty. */
static void
batch_finish(struct bio_tgt *tgt, uint32_t nr, int rc)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;

    for (uint32_t i = 0; i < nr; i++) {
        const struct bio_ckpt_entry *e = &ck->entries[i];
        struct umem_page *pg = &um->pub.pages[e->page];

        pg->flags &= ~(uint32_t)UMEM_PF_IO;
        if (rc != 0) {
            slot_release(ck, e->slot);
            page_redirty(um, e->page);
            continue;
        }
        slot_release(ck, pg->slot);
        pg->slot = e->slot;
        pg->flags |= UMEM_PF_SLOT;
        um->vol[e->page].crc = e->crc;
        um->vol[e->page].lsn = e->lsn;
        ck->pages_nr++;
    }
    ult_cond_broadcast(&um->io_cond);
}

/* Step 2. *need_lsn: the log must be durable up to there before the header is. */
static int
pages_write(struct bio_tgt *tgt, uint64_t *need_lsn)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;
    size_t words = BITMAP_WORDS(um->pub.page_nr);
    uint64_t page = 0;
    int rc = 0;

    memcpy(ck->work_map, um->dirty_map, words * 8);
    while (rc == 0 && page < um->pub.page_nr) {
        uint32_t nr = 0;

        rc = batch_collect(tgt, &page, &nr, need_lsn);
        if (rc == 0)
            rc = bio_wal_wait(tgt, *need_lsn);
        if (rc == 0)
            rc = batch_write(tgt, nr);
        batch_finish(tgt, nr, rc);
    }
    return rc;
}

/* Step 3. */
static int
map_write(struct bio_tgt *tgt, struct bio_ckpt_df *hdr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;
    uint64_t bytes = um->page_hi * sizeof(struct bio_slot_df);
    uint64_t full = ALIGN_UP(bytes, (uint64_t)BIO_BLK_BYTES);
    struct bio_slot_df *map = bio_tmp_get(tgt, full);
    int rc = 0;

    if (map == NULL)
        return CAIRN_ERR(NOMEM);
    memset(map, 0, full);
    for (uint64_t page = 0; page < um->page_hi; page++) {
        if ((um->pub.pages[page].flags & UMEM_PF_SLOT) == 0)
            continue;
        map[page] = (struct bio_slot_df){
            .slot = um->pub.pages[page].slot, .crc = um->vol[page].crc, .lsn = um->vol[page].lsn};
    }
    hdr->map_off = ck->hdr->map_off == ck->map_off[0] ? ck->map_off[1] : ck->map_off[0];
    hdr->map_nr = um->page_hi;
    hdr->map_crc = crc32c(0, map, bytes);
    for (uint64_t off = 0; rc == 0 && off < full; off += CKPT_MAP_IO_BYTES) {
        rc = bio_disk_rw(&ck->disk, PLAT_IO_WRITE, 0, hdr->map_off + off, (uint8_t *)map + off,
            MIN(full - off, (uint64_t)CKPT_MAP_IO_BYTES));
    }
    if (rc == 0)
        rc = bio_disk_rw(&ck->disk, PLAT_IO_SYNC, 0, 0, NULL, 0);
    bio_tmp_put(tgt, map, full);
    return rc;
}

static int
ckpt_steps(struct bio_tgt *tgt, struct bio_ckpt_df *hdr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint64_t need_lsn = tgt->wal.last_lsn;
    int rc;

    memset(hdr, 0, sizeof(*hdr));
    hdr->ckpt_lsn = tgt->wal.last_lsn;
    hdr->seg_nr = 1;
    hdr->segs[0] = segment_now(&tgt->wal);

    rc = pages_write(tgt, &need_lsn);
    if (rc == 0)
        rc = bio_wal_wait(tgt, need_lsn);
    if (rc == 0)
        rc = map_write(tgt, hdr);
    if (rc == 0)
        rc = header_write(tgt, hdr);
    if (rc != 0)
        return rc;
    tgt->wal.tail_pos = hdr->segs[0].start_pos;
    memcpy(ck->durable_map, ck->used_map, BITMAP_WORDS((size_t)ck->slot_nr) * 8);
    ck->slot_hint = 0;
    return 0;
}

int
bio_ckpt_run(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct bio_ckpt_df *hdr;
    int rc;

    CAIRN_ASSERT(!ck->running);
    bio_tgt_neighbours(tgt);
    if (tgt->stop_rc != 0)
        return tgt->stop_rc;
    hdr = bio_tmp_get(tgt, sizeof(*hdr));
    if (hdr == NULL)
        return CAIRN_ERR(NOMEM);
    ck->running = true;
    ck->last_ns = ult_now_ns();
    rc = ckpt_steps(tgt, hdr);
    ck->running = false;
    bio_tmp_put(tgt, hdr, sizeof(*hdr));
    if (rc != 0 && rc != -DER_NOSPACE && rc != -DER_NOMEM && tgt->stop_rc == 0)
        bio_tgt_fail(tgt, rc, BIO_ROLE_META, "checkpoint");
    if (rc == 0)
        ck->ckpt_nr++;
    return tgt->stop_rc != 0 ? tgt->stop_rc : rc;
}

/* ---- the ULT ---------------------------------------------------------------------------------------------------------- */

static bool
log_is_full_enough(const struct bio_tgt *tgt)
{
    const struct bio_wal *wal = &tgt->wal;

    return (wal->head_pos - wal->tail_pos) * 100 >= wal->ring_blks * tgt->cfg.ckpt_pct;
}

/* When the next checkpoint is due; PLAT_NEVER_NS: nothing to do. */
static uint64_t
ckpt_due_ns(const struct bio_tgt *tgt)
{
    const struct bio_ckpt *ck = &tgt->ckpt;

    if (ck->asked_seq != ck->done_seq)
        return 0;
    if (ck->last_rc != 0)
        return ck->last_ns + BIO_CKPT_RETRY_NS;
    if (log_is_full_enough(tgt) || bio_wal_is_full(tgt))
        return tgt->wal.head_pos == tgt->wal.tail_pos ? PLAT_NEVER_NS : 0;
    if (tgt->um->dirty_nr > 0)
        return ck->last_ns + tgt->cfg.ckpt_interval_ns;
    return PLAT_NEVER_NS;
}

void
bio_ckpt_kick(struct bio_tgt *tgt)
{
    if (ckpt_due_ns(tgt) < tgt->ckpt.wait_until_ns)
        ult_cond_signal(&tgt->ckpt.work);
}

static void
ckpt_main(void *arg)
{
    struct bio_tgt *tgt = arg;
    struct bio_ckpt *ck = &tgt->ckpt;

    while (!ck->stopping && tgt->stop_rc == 0) {
        uint64_t due = ckpt_due_ns(tgt), asked;

        if (due > ult_now_ns()) {
            ck->wait_until_ns = due;
            CAIRN_IGNORE(ult_cond_wait_until(&ck->work, NULL, due)); /* either way: look again */
            ck->wait_until_ns = 0;
            continue;
        }
        asked = ck->asked_seq;
        ck->last_rc = bio_ckpt_run(tgt);
        ck->done_seq = asked;
        ck->finished_nr++;
        ult_cond_broadcast(&ck->done);
        ult_cond_broadcast(&tgt->wal.room);
    }
    ult_cond_broadcast(&ck->done);
}

int
bio_checkpoint(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint64_t want = ++ck->asked_seq;

    bio_ckpt_kick(tgt);
    while (ck->done_seq < want) {
        if (tgt->stop_rc != 0)
            return tgt->stop_rc;
        if (ck->stopping)
            return CAIRN_ERR(SHUTDOWN);
        ult_cond_wait(&ck->done, NULL);
    }
    return ck->last_rc;
}

int
bio_ckpt_start(struct bio_tgt *tgt)
{
    tgt->ckpt.last_ns = ult_now_ns();
    return ult_create(tgt->xs, ULT_BACKGROUND, ckpt_main, tgt, &tgt->ckpt.ult);
}

void
bio_ckpt_stop(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;

    if (ck->ult == NULL)
        return;
    ck->stopping = true;
    ult_cond_signal(&ck->work);
    ult_join(ck->ult);
    ck->ult = NULL;
}
