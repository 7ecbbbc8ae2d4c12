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
 *   CKP-3  A page that is free has no image. The slot map is written in leaves, of which each has a place in both areas; those that changed go to the place that
 *          the durable header does not name. Its checksum covers the checksums of all leaves, so that no old leaf passes for a new one.
 *   CKP-4  An error other than "no space" stops the target (BIO-5). After "no space" the durable map still counts, nothing is lost,
 *          and the next attempt starts over.
 *
 * Rejected: writing pages in place with a double-write buffer (torn pages need an undo that the log does not have). Tested by bio_tgt_test.c and test/crash.
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

enum { CKPT_HDR_BLK = 1, CKPT_MAP_BLK = 4 };

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
    ck->leaf_entry_nr = BIO_LEAF_ENTRY_NR_MIN;
    while (DIV_UP(tgt->um->pub.page_nr, (uint64_t)ck->leaf_entry_nr) > BIO_CKPT_PLACE_BYTES * 8) {
        ck->leaf_entry_nr *= 2;
    }
    ck->leaf_bytes = ck->leaf_entry_nr * (uint32_t)sizeof(struct bio_slot_df);
    ck->leaf_nr_max = (uint32_t)DIV_UP(tgt->um->pub.page_nr, (uint64_t)ck->leaf_entry_nr);
    ck->leaf_dirty = bio_mem_zeroed(BITMAP_WORDS((size_t)ck->leaf_nr_max), 8);
    ck->leaf_crcs = bio_mem_zeroed(ck->leaf_nr_max, sizeof(*ck->leaf_crcs));
    ck->leaf_crcs_new = bio_mem_zeroed(ck->leaf_nr_max, sizeof(*ck->leaf_crcs_new));
    ck->hdr = bio_mem_get(sizeof(*ck->hdr));
    ck->images = bio_mem_get((size_t)BIO_CKPT_BATCH_NR * UMEM_PAGE_BYTES);
    ult_cond_init(&ck->work);
    ult_cond_init(&ck->done);
    if (ck->used_map == NULL || ck->durable_map == NULL || ck->work_map == NULL ||
        ck->leaf_dirty == NULL || ck->leaf_crcs == NULL || ck->leaf_crcs_new == NULL ||
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
    free(ck->leaf_dirty);
    free(ck->leaf_crcs);
    free(ck->leaf_crcs_new);
    free(ck->hdr);
    free(ck->images);
}

static uint64_t
slot_off(const struct bio_ckpt *ck, uint32_t slot)
{
    return ck->slots_off + (uint64_t)(slot - 1) * UMEM_PAGE_BYTES;
}

uint64_t
bio_ckpt_slot_off(const struct bio_ckpt *ck, uint32_t slot)
{
    return slot_off(ck, slot);
}

uint64_t
bio_ckpt_hdr_off(const struct bio_ckpt_df *hdr)
{
    return (CKPT_HDR_BLK + (hdr->seq & 1)) * BIO_BLK_BYTES;
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

/* ---- slot map ----------------------------------------------------------------------------------------------------------- */

static bool
map_has_leaves(const struct bio_tgt *tgt)
{
    return (tgt->sb.incompat & BIO_FEAT_MAP_LEAVES) != 0;
}

/* The area where the durable leaf is. */
static uint32_t
leaf_place(const struct bio_tgt *tgt, const struct bio_ckpt_df *hdr, uint32_t leaf)
{
    if (!map_has_leaves(tgt))
        return hdr->map_off == tgt->ckpt.map_off[1];
    return hdr->places[leaf / 8] >> (leaf % 8) & 1;
}

static uint64_t
leaf_off(const struct bio_ckpt *ck, uint32_t leaf, uint32_t place)
{
    return ck->map_off[place] + (uint64_t)leaf * ck->leaf_bytes;
}

uint64_t
bio_ckpt_leaf_off(const struct bio_tgt *tgt, uint32_t leaf)
{
    return leaf_off(&tgt->ckpt, leaf, leaf_place(tgt, tgt->ckpt.hdr, leaf));
}

static uint32_t
leaves_of(const struct bio_ckpt *ck, uint64_t map_nr)
{
    return (uint32_t)DIV_UP(map_nr, (uint64_t)ck->leaf_entry_nr);
}

/* The place of the page in the map has changed. */
static void
leaf_mark(struct bio_ckpt *ck, uint64_t page)
{
    uint64_t leaf = page / ck->leaf_entry_nr;

    if (bitmap_test(ck->leaf_dirty, leaf))
        return;
    bitmap_set(ck->leaf_dirty, leaf);
    ck->leaf_dirty_nr++;
}

bool
bio_ckpt_has_leaves(const struct bio_tgt *tgt)
{
    return map_has_leaves(tgt);
}

void
bio_ckpt_leaf_mark(struct bio_tgt *tgt, uint32_t leaf)
{
    leaf_mark(&tgt->ckpt, (uint64_t)leaf * tgt->ckpt.leaf_entry_nr);
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

/* One entry of the map. */
static int
entry_load(struct bio_tgt *tgt, uint64_t page, const struct bio_slot_df *df)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem_page *pg = &tgt->um->pub.pages[page];
    struct umem_vol *v = &tgt->um->vol[page];
    uint64_t lsn_mask = (UINT64_C(1) << BIO_SLOT_LSN_BITS) - 1;

    if (df->slot == BIO_SLOT_NONE)
        return 0;
    if (df->slot > ck->slot_nr || bitmap_test(ck->used_map, df->slot - 1)) {
        bio_damage(&tgt->cfg,
            "meta: page %lu has impossible slot %u in the slot map (leaf at file offset %lu)",
            (unsigned long)page, df->slot,
            (unsigned long)bio_ckpt_leaf_off(tgt, (uint32_t)(page / ck->leaf_entry_nr)));
        return tgt->cfg.is_tolerant ? 0 : CAIRN_ERR(DF_INVAL);
    }
    bitmap_set(ck->used_map, df->slot - 1);
    pg->slot = df->slot;
    pg->flags |= UMEM_PF_SLOT;
    v->crc = df->crc;
    v->lsn = df->lsn;
    if (map_has_leaves(tgt)) {
        v->lsn = df->lsn & lsn_mask;
        v->img_free_nr = (uint16_t)(df->lsn >> BIO_SLOT_LSN_BITS);
    }
    pg->lsn = v->lsn;
    return 0;
}

/* Read leaves from `leaf` on into ck->images, as many as fit, neighbours of one area in one operation. */
static int
leaves_read(struct bio_tgt *tgt, uint32_t leaf, uint32_t end, uint32_t *ret_nr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t room = BIO_CKPT_BATCH_NR * UMEM_PAGE_BYTES / ck->leaf_bytes, nr = 0, reqs_nr = 0;
    int rc = 0;

    while (leaf + nr < end && nr < room && reqs_nr < BIO_CKPT_BATCH_NR) {
        uint32_t place = leaf_place(tgt, ck->hdr, leaf + nr), run = 1;

        while (leaf + nr + run < end && nr + run < room &&
            leaf_place(tgt, ck->hdr, leaf + nr + run) == place) {
            run++;
        }
        bio_req_start(&ck->disk, &ck->reqs[reqs_nr++], PLAT_IO_READ, 0,
            leaf_off(ck, leaf + nr, place), ck->images + (size_t)nr * ck->leaf_bytes,
            (size_t)run * ck->leaf_bytes);
        nr += run;
    }
    for (uint32_t i = 0; i < reqs_nr; i++) {
        int rc2 = bio_req_wait(&ck->reqs[i]);

        if (rc == 0)
            rc = rc2;
    }
    *ret_nr = nr;
    return rc;
}

/* Checksum of the map as it is in the header: of its leaves' checksums; of a store without leaves, of its entries. */
static uint32_t
map_crc_add(struct bio_tgt *tgt, uint32_t crc, uint32_t leaf, uint64_t map_nr, const uint8_t *bytes)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint64_t nr = MIN((uint64_t)ck->leaf_entry_nr, map_nr - (uint64_t)leaf * ck->leaf_entry_nr);

    if (!map_has_leaves(tgt))
        return crc32c(crc, bytes, nr * sizeof(struct bio_slot_df));
    return crc32c(crc, &ck->leaf_crcs_new[leaf], sizeof(ck->leaf_crcs_new[leaf]));
}

/* Read the slot map into the page table. */
static int
map_load(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t leaf = 0, end = leaves_of(ck, ck->hdr->map_nr), nr = 0, crc = 0;
    uint64_t page = 0;
    int rc = 0;

    if (end == 0)
        return CAIRN_ERR(DF_INVAL); /* there is at least the root page */
    for (; rc == 0 && leaf < end; leaf += nr) {
        if (tgt->cfg.is_tolerant)
            memset(ck->images, 0, (size_t)BIO_CKPT_BATCH_NR * UMEM_PAGE_BYTES);
        rc = leaves_read(tgt, leaf, end, &nr);
        if (bio_may_pass(tgt, rc)) {
            LOG_ERROR("meta: the slot map cannot be read from leaf %u (file offset %lu) on: %s",
                leaf, (unsigned long)bio_ckpt_leaf_off(tgt, leaf), err_name(rc));
            rc = 0;
        }
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            const uint8_t *bytes = ck->images + (size_t)i * ck->leaf_bytes;

            ck->leaf_crcs_new[leaf + i] = crc32c(0, bytes, ck->leaf_bytes);
            crc = map_crc_add(tgt, crc, leaf + i, ck->hdr->map_nr, bytes);
        }
        for (uint64_t i = 0;
             rc == 0 && i < (uint64_t)nr * ck->leaf_entry_nr && page < ck->hdr->map_nr; i++, page++) {
            struct bio_slot_df df;

            memcpy(&df, ck->images + i * sizeof(df), sizeof(df));
            rc = entry_load(tgt, page, &df);
        }
    }
    /* Entries that made no sense are no wonder then. */
    if ((rc == 0 || rc == -DER_DF_INVAL) && leaf >= end && crc != ck->hdr->map_crc) {
        bio_damage(&tgt->cfg, "meta: the slot map at file offset %lu is damaged",
            (unsigned long)ck->hdr->map_off);
        rc = tgt->cfg.is_tolerant ? 0 : CAIRN_ERR(CSUM);
    }
    memcpy(ck->leaf_crcs, ck->leaf_crcs_new, ck->leaf_nr_max * sizeof(*ck->leaf_crcs));
    memcpy(ck->durable_map, ck->used_map, BITMAP_WORDS((size_t)ck->slot_nr) * 8);
    return rc;
}

static int
page_verify(struct bio_tgt *tgt, uint64_t page, const uint8_t *mem)
{
    struct umem_page *pg = &tgt->um->pub.pages[page];
    unsigned long off = (unsigned long)slot_off(&tgt->ckpt, pg->slot);

    if (CAIRN_LIKELY(crc32c(0, mem, UMEM_PAGE_BYTES) == tgt->um->vol[page].crc))
        return 0;
    if (tgt->ckpt.ult == NULL) { /* while it is being opened */
        bio_damage(
            &tgt->cfg, "meta: page %lu at file offset %lu is damaged", (unsigned long)page, off);
    } else if ((pg->flags & UMEM_PF_BAD) == 0) {
        LOG_ERROR("target %u in %s: meta: page %lu at file offset %lu is damaged; what needs it "
                  "answers CSUM, the "
                  "rest goes on",
            tgt->cfg.tgt_idx, tgt->cfg.dir, (unsigned long)page, off);
    }
    pg->flags |= UMEM_PF_BAD;
    return CAIRN_ERR(CSUM);
}

void
bio_ckpt_pages_load(
    struct bio_tgt *tgt, const uint32_t *pages, uint8_t *const *mems, int *rcs, uint32_t nr)
{
    struct {
        struct bio_req req;
        uint32_t slot, crc;
    } loads[1 + UMEM_AHEAD_NR];

    CAIRN_ASSERT(nr <= ARRAY_SIZE(loads));
    for (uint32_t i = 0; i < nr && tgt->stop_rc != 0; i++) {
        rcs[i] = tgt->stop_rc;
    }
    if (tgt->stop_rc != 0)
        return;
    for (uint32_t i = 0; i < nr; i++) {
        loads[i].slot = tgt->um->pub.pages[pages[i]].slot;
        loads[i].crc = tgt->um->vol[pages[i]].crc;
        bio_req_start(&tgt->ckpt.disk, &loads[i].req, PLAT_IO_READ, 0,
            slot_off(&tgt->ckpt, loads[i].slot), mems[i], UMEM_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < nr; i++) {
        rcs[i] = bio_req_wait(&loads[i].req);
    }
    for (uint32_t i = 0; i < nr; i++) {
        const struct umem_page *pg = &tgt->um->pub.pages[pages[i]];

        if ((pg->flags & UMEM_PF_SLOT) == 0 || pg->slot != loads[i].slot ||
            tgt->um->vol[pages[i]].crc != loads[i].crc) {
            CAIRN_PROBE("bio.ckpt.slot_changed_under_load");
            rcs[i] = -DER_AGAIN; /* it was freed, and the slot may be another's */
        } else if (rcs[i] == 0)
            rcs[i] = page_verify(tgt, pages[i], mems[i]);
    }
}

int
bio_ckpt_batch_load(struct bio_tgt *tgt, const uint32_t *pages, uint32_t nr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;
    uint32_t started = 0;
    int rc = 0;

    umem_room_make(um, nr);
    for (; started < nr; started++) {
        uint32_t frame = umem_frame_get(um);

        if (frame == UMEM_NONE) {
            rc = CAIRN_ERR(NOMEM);
            break;
        }
        ck->entries[started].slot = frame;
        bio_req_start(&ck->disk, &ck->reqs[started], PLAT_IO_READ, 0,
            slot_off(ck, um->pub.pages[pages[started]].slot), umem_frame_mem(um, frame),
            UMEM_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < started; i++) {
        uint32_t frame = ck->entries[i].slot;
        int rc2 = bio_req_wait(&ck->reqs[i]);

        if (rc2 == 0)
            rc2 = page_verify(tgt, pages[i], umem_frame_mem(um, frame));
        if (rc2 == 0) {
            umem_page_put(um, pages[i], frame);
        } else {
            umem_frame_put(um, frame);
        }
        if (rc == 0)
            rc = rc2;
    }
    return rc;
}

int
bio_ckpt_load(struct bio_tgt *tgt)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    struct umem *um = tgt->um;
    uint32_t pages[BIO_LOAD_BATCH_NR], nr = 0;
    uint64_t end;
    int rc;

    rc = header_load(tgt);
    if (rc == 0)
        rc = map_load(tgt);
    end = rc != 0             ? 0
        : map_has_leaves(tgt) ? MIN(ck->hdr->map_nr, um->dir_page_nr + UINT64_C(1))
                              : ck->hdr->map_nr;
    for (uint64_t page = 0; rc == 0 && page < end; page++) {
        if ((um->pub.pages[page].flags & UMEM_PF_SLOT) != 0)
            pages[nr++] = (uint32_t)page;
        if (nr < BIO_LOAD_BATCH_NR && page + 1 < end)
            continue;
        rc = bio_ckpt_batch_load(tgt, pages, nr);
        if (bio_may_pass(tgt, rc))
            rc = 0; /* umem_rebuild() misses root and directory */
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            if ((um->pub.pages[pages[i]].flags & UMEM_PF_RES) == 0)
                continue;
            um->vol[pages[i]].img_free_nr =
                (uint16_t)umem_image_free_nr(um, pages[i], umem_page_peek(um, pages[i]));
        }
        nr = 0;
    }
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
    rc = bio_disk_rw(
        &ck->disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, bio_ckpt_hdr_off(hdr), hdr, sizeof(*hdr));
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
    leaf_mark(&tgt->ckpt, page);
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
        if (um->is_built && um->vol[page].code == UMEM_DIR_FREE) {
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
            memcpy(image, umem_page_peek(um, page), UMEM_PAGE_BYTES);
            ck->entries[nr].page = (uint32_t)page;
            ck->entries[nr].crc = crc32c(0, image, UMEM_PAGE_BYTES);
            ck->entries[nr].lsn = pg->lsn;
            ck->entries[nr].free_nr =
                page <= um->dir_page_nr ? 0 : umem_image_free_nr(um, (uint32_t)page, image);
            um->io_nr++;
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
        um->io_nr--;
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
        um->vol[e->page].img_free_nr = (uint16_t)e->free_nr;
        leaf_mark(ck, e->page);
        umem_page_cleaned(um, e->page);
        ck->pages_nr++;
    }
    if (um->limit_nr != UINT64_MAX)
        ult_cond_broadcast(&tgt->wal.room); /* pages are clean: UP-3 */
}

/* Step 2. *need_lsn: the log must be durable up to there before the header is. In replay all of it is. */
static int
pages_write(struct bio_tgt *tgt, uint64_t *need_lsn, bool in_replay)
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
        if (rc == 0 && !in_replay)
            rc = bio_wal_wait(tgt, *need_lsn);
        if (rc == 0)
            rc = batch_write(tgt, nr);
        batch_finish(tgt, nr, rc);
    }
    return rc;
}

int
bio_ckpt_clean(struct bio_tgt *tgt)
{
    uint64_t need_lsn = 0;

    return pages_write(tgt, &need_lsn, true);
}

static void
leaf_fill(struct bio_tgt *tgt, uint32_t leaf, uint64_t map_nr, uint8_t *bytes)
{
    const struct umem *um = tgt->um;
    uint32_t entry_nr = tgt->ckpt.leaf_entry_nr;
    uint64_t page = (uint64_t)leaf * entry_nr;

    memset(bytes, 0, tgt->ckpt.leaf_bytes);
    for (uint32_t i = 0; i < entry_nr && page < map_nr; i++, page++) {
        const struct umem_vol *v = &um->vol[page];
        struct bio_slot_df df = {.slot = um->pub.pages[page].slot, .crc = v->crc, .lsn = v->lsn};

        if ((um->pub.pages[page].flags & UMEM_PF_SLOT) == 0)
            continue;
        if (map_has_leaves(tgt))
            df.lsn |= (uint64_t)v->img_free_nr << BIO_SLOT_LSN_BITS;
        memcpy(bytes + i * sizeof(df), &df, sizeof(df));
    }
}

/* Write dirty leaves from *leaf on, as many as fit into ck->images, each to the area where its durable twin is not. Fills hdr->places. */
static int
leaves_write(struct bio_tgt *tgt, struct bio_ckpt_df *hdr, uint32_t *leaf, uint32_t end)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t room = BIO_CKPT_BATCH_NR * UMEM_PAGE_BYTES / ck->leaf_bytes, nr = 0, reqs_nr = 0;
    uint32_t run_leaf = 0, run_place = 0, run = 0;
    int rc = 0;

    for (; nr < room && reqs_nr + 1 < BIO_CKPT_BATCH_NR; (*leaf)++) {
        uint8_t *bytes = ck->images + (size_t)nr * ck->leaf_bytes;
        size_t next = bitmap_find_set(ck->leaf_dirty, end, *leaf);
        uint32_t place;

        if (next == BITMAP_NONE) {
            *leaf = end;
            break;
        }
        *leaf = (uint32_t)next;
        place = leaf_place(tgt, ck->hdr, *leaf) ^ 1;
        if (run > 0 && (run_leaf + run != *leaf || run_place != place)) {
            bio_req_start(&ck->disk, &ck->reqs[reqs_nr++], PLAT_IO_WRITE, 0,
                leaf_off(ck, run_leaf, run_place), bytes - (size_t)run * ck->leaf_bytes,
                (size_t)run * ck->leaf_bytes);
            run = 0;
        }
        if (run++ == 0) {
            run_leaf = *leaf;
            run_place = place;
        }
        leaf_fill(tgt, *leaf, hdr->map_nr, bytes);
        ck->leaf_crcs_new[*leaf] = crc32c(0, bytes, ck->leaf_bytes);
        if (map_has_leaves(tgt)) {
            hdr->places[*leaf / 8] = (uint8_t)(hdr->places[*leaf / 8] ^ 1u << (*leaf % 8));
        } else {
            hdr->map_crc = map_crc_add(tgt, hdr->map_crc, *leaf, hdr->map_nr, bytes);
        }
        nr++;
    }
    if (run > 0) {
        bio_req_start(&ck->disk, &ck->reqs[reqs_nr++], PLAT_IO_WRITE, 0,
            leaf_off(ck, run_leaf, run_place), ck->images + (size_t)(nr - run) * ck->leaf_bytes,
            (size_t)run * ck->leaf_bytes);
    }
    for (uint32_t i = 0; i < reqs_nr; i++) {
        int rc2 = bio_req_wait(&ck->reqs[i]);

        if (rc == 0)
            rc = rc2;
    }
    ck->leaves_nr += nr;
    return rc;
}

/* Step 3. */
static int
map_write(struct bio_tgt *tgt, struct bio_ckpt_df *hdr)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint32_t leaf = 0, end = leaves_of(ck, tgt->um->page_hi);
    uint32_t old_end = leaves_of(ck, ck->hdr->map_nr);
    int rc = 0;

    hdr->map_off = ck->map_off[0];
    hdr->map_nr = tgt->um->page_hi;
    hdr->map_crc = 0;
    memcpy(hdr->places, ck->hdr->places, sizeof(hdr->places));
    if (!map_has_leaves(tgt)) {
        hdr->map_off = ck->hdr->map_off == ck->map_off[0] ? ck->map_off[1] : ck->map_off[0];
        old_end = 0; /* all of them */
    }
    for (uint32_t i = MIN(old_end, end); i < end; i++) {
        leaf_mark(ck, (uint64_t)i * ck->leaf_entry_nr);
    }
    memcpy(ck->leaf_crcs_new, ck->leaf_crcs, ck->leaf_nr_max * sizeof(*ck->leaf_crcs));
    while (rc == 0 && leaf < end) {
        rc = leaves_write(tgt, hdr, &leaf, end);
    }
    for (uint32_t i = 0; map_has_leaves(tgt) && i < end; i++) {
        hdr->map_crc = map_crc_add(tgt, hdr->map_crc, i, hdr->map_nr, NULL);
    }
    return rc != 0 ? rc : bio_disk_rw(&ck->disk, PLAT_IO_SYNC, 0, 0, NULL, 0);
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

    rc = pages_write(tgt, &need_lsn, false);
    if (rc == 0)
        rc = bio_wal_wait(tgt, need_lsn);
    if (rc == 0)
        rc = map_write(tgt, hdr);
    if (rc == 0)
        rc = header_write(tgt, hdr);
    if (rc != 0)
        return rc;
    tgt->wal.tail_pos = hdr->segs[0].start_pos;
    memset(ck->leaf_dirty, 0, BITMAP_WORDS((size_t)ck->leaf_nr_max) * 8);
    ck->leaf_dirty_nr = 0;
    memcpy(ck->leaf_crcs, ck->leaf_crcs_new, ck->leaf_nr_max * sizeof(*ck->leaf_crcs));
    umem_limit_set(tgt->um, tgt->um->limit_bytes); /* the tables may have grown */
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
    ck->since_ns = ult_now_ns();
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
        return ck->since_ns + BIO_CKPT_RETRY_NS;
    if (log_is_full_enough(tgt) || bio_wal_is_full(tgt))
        return tgt->wal.head_pos == tgt->wal.tail_pos ? PLAT_NEVER_NS : 0;
    if (tgt->um->dirty_nr >= tgt->um->dirty_start)
        return 0; /* UP-3 */
    if (tgt->um->dirty_nr > 0 || ck->leaf_dirty_nr > 0)
        return ck->since_ns + tgt->cfg.ckpt_interval_ns;
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
            if (due == PLAT_NEVER_NS)
                ck->since_ns = ult_now_ns(); /* all was written: who wakes us has changed something */
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

    if (tgt->cfg.is_rdonly)
        return CAIRN_ERR(NO_PERM);
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
    tgt->ckpt.since_ns = ult_now_ns();
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
