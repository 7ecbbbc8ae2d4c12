/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The superblocks of all roles (bio_sb.c), and what lies on the metadata role, read again and verified: the newest header, the slot map, the image of every page that has one. What is in memory as well is
 * written anew when its image is bad: a page, the slot map and the header are dirty then, and a checkpoint is asked for, which never writes to where they were
 * read (CKP-1, CKP-3). A page that is not in memory is lost: the log holds changes of pages, no pages. It stays as it is, and whoever wants it is told (CSUM).
 *
 * A place is a number: 0 to 3 the superblocks, then the header, then the parts of the slot map, then the pages. What was written elsewhere while it was being read is passed over: it is new.
 * Nothing is changed for a reader, nothing is loaded. Tested by bio_scrub_test.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/bitmap.h"
#include "base/crc.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum { IMAGES_NR = 16 }; /* read at a time */

/* One image under way. */
struct image {
    struct bio_req req;
    uint8_t *mem;
    struct bio_img_bad bad;
    uint32_t slot, crc; /* of a page, when it was begun */
    uint64_t seq; /* of the header, when it was begun */
};

struct batch {
    struct image images[IMAGES_NR];
    uint32_t nr;
};

enum { HDR_PLACE = BIO_ROLE_NR };

static uint64_t
pages_first(const struct bio_tgt *tgt)
{
    return HDR_PLACE + 1 + (uint64_t)tgt->ckpt.leaf_nr_max;
}

uint64_t
bio_scrub_places(const struct bio_tgt *tgt)
{
    return pages_first(tgt) + tgt->um->page_hi;
}

/* A page that has an image, and needs it. */
static bool
page_has_image(const struct umem *um, uint64_t page)
{
    return (um->pub.pages[page].flags & (UMEM_PF_SLOT | UMEM_PF_IO)) == UMEM_PF_SLOT &&
        !(um->is_built && um->vol[page].code == UMEM_DIR_FREE);
}

/* Where the image at a place is; false: there is none. */
static bool
image_find(struct bio_tgt *tgt, uint64_t place, struct image *im)
{
    struct bio_ckpt *ck = &tgt->ckpt;
    uint64_t leaves_nr = DIV_UP(ck->hdr->map_nr, (uint64_t)ck->leaf_entry_nr);

    im->seq = ck->hdr->seq;
    if (place == HDR_PLACE) {
        im->bad = (struct bio_img_bad){
            .kind = BIO_IMG_HEADER, .off = bio_ckpt_hdr_off(ck->hdr), .len = sizeof(*ck->hdr)};
        return true;
    }
    if (place < pages_first(tgt)) {
        im->bad = (struct bio_img_bad){.kind = BIO_IMG_MAP, .nr = place - HDR_PLACE - 1};
        if (!bio_ckpt_has_leaves(tgt) || place - HDR_PLACE > leaves_nr)
            return false;
        im->bad.off = bio_ckpt_leaf_off(tgt, (uint32_t)im->bad.nr);
        im->bad.len = ck->leaf_bytes;
        return true;
    }
    im->bad = (struct bio_img_bad){
        .kind = BIO_IMG_PAGE, .nr = place - pages_first(tgt), .len = UMEM_PAGE_BYTES};
    if (!page_has_image(tgt->um, im->bad.nr))
        return false;
    im->slot = tgt->um->pub.pages[im->bad.nr].slot;
    im->crc = tgt->um->vol[im->bad.nr].crc;
    im->bad.off = bio_ckpt_slot_off(ck, im->slot);
    return true;
}

/* Was it written elsewhere meanwhile? */
static bool
image_has_moved(const struct bio_tgt *tgt, const struct image *im)
{
    const struct umem *um = tgt->um;

    if (im->bad.kind != BIO_IMG_PAGE)
        return tgt->ckpt.hdr->seq != im->seq;
    return !page_has_image(um, im->bad.nr) || um->pub.pages[im->bad.nr].slot != im->slot ||
        um->vol[im->bad.nr].crc != im->crc;
}

static bool
image_is_good(const struct bio_tgt *tgt, const struct image *im)
{
    const struct bio_ckpt *ck = &tgt->ckpt;

    switch (im->bad.kind) {
    case BIO_IMG_HEADER:
        return memcmp(im->mem, ck->hdr, sizeof(*ck->hdr)) == 0;
    case BIO_IMG_MAP:
        return crc32c(0, im->mem, ck->leaf_bytes) == ck->leaf_crcs[im->bad.nr];
    default:
        return crc32c(0, im->mem, UMEM_PAGE_BYTES) == im->crc;
    }
}

/* See that it is written anew. False: it can't be. */
static bool
image_mend(struct bio_tgt *tgt, const struct image *im)
{
    struct umem *um = tgt->um;

    if (tgt->cfg.is_rdonly)
        return false;
    if (im->bad.kind == BIO_IMG_MAP)
        bio_ckpt_leaf_mark(tgt, (uint32_t)im->bad.nr);
    if (im->bad.kind == BIO_IMG_PAGE) {
        if ((um->pub.pages[im->bad.nr].flags & UMEM_PF_RES) == 0)
            return false;
        umem_mark_dirty(um, im->bad.nr, um->pub.pages[im->bad.nr].lsn);
    }
    CAIRN_PROBE("bio.scrub.mended");
    tgt->ckpt.asked_seq++;
    bio_ckpt_kick(tgt);
    return true;
}

static void
image_judge(struct bio_tgt *tgt, struct image *im, int rc,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg)
{
    if (image_has_moved(tgt, im)) {
        CAIRN_PROBE("bio.scrub.moved");
        return;
    }
    if (rc == 0 && image_is_good(tgt, im))
        return;
    im->bad.rc = rc != 0 ? rc : CAIRN_ERR(CSUM);
    im->bad.is_mended = image_mend(tgt, im);
    bad(arg, &im->bad);
}

/* Read and judge what was begun. */
static void
batch_end(struct bio_tgt *tgt, struct batch *b,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg)
{
    int rcs[IMAGES_NR];

    for (uint32_t i = 0; i < b->nr; i++) {
        rcs[i] = bio_req_wait(&b->images[i].req);
    }
    for (uint32_t i = 0; i < b->nr && bio_status(tgt) == 0; i++) {
        image_judge(tgt, &b->images[i], rcs[i], bad, arg);
    }
    b->nr = 0;
}

const char *
bio_img_text(const struct bio_img_bad *bad, char text[BIO_IMG_TEXT_BYTES])
{
    static const char *const kinds[] = {
        "superblock", "header", "part of the slot map", "page", "label", "table"};
    static const char *const roles[] = {"the mark", "the log", "the metadata role", "the data role"};
    bool is_dev = bad->kind == BIO_IMG_LABEL || bad->kind == BIO_IMG_TABLE;
    const char *role =
        is_dev ? "the device" : roles[bad->kind == BIO_IMG_SB ? bad->nr : BIO_ROLE_META];
    const char *then = bad->is_mended       ? "it is in memory, and is written anew"
        : is_dev || bad->kind == BIO_IMG_SB ? "it stays, and the next start will fail"
                                            : "what needs it gets this error";

    (void)snprintf(text, BIO_IMG_TEXT_BYTES,
        "%s: %s %" PRIu64 ": %" PRIu64 " bytes at %#" PRIx64 " of %s: %s", err_name(bad->rc),
        kinds[bad->kind], bad->nr, bad->len, bad->off, role, then);
    return text;
}

/* The superblock of a role; mem: two blocks. */
static void
sb_look(struct bio_tgt *tgt, enum bio_role role, void *mem,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg)
{
    struct bio_img_bad img = {.kind = BIO_IMG_SB, .nr = role, .len = BIO_BLK_BYTES};

    bio_sb_scrub(tgt, role, mem, &img.rc, &img.is_mended);
    if (img.rc != 0 && img.rc != -DER_NOMEM && bio_status(tgt) == 0)
        bad(arg, &img);
}

int
bio_scrub_step(struct bio_tgt *tgt, uint64_t *place, uint64_t end, uint64_t bytes_max,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg, uint64_t *ret_bytes)
{
    size_t image_bytes = MAX((size_t)tgt->ckpt.leaf_bytes, (size_t)UMEM_PAGE_BYTES);
    struct batch *b = bio_tmp_get(tgt, sizeof(*b));
    uint64_t looked_nr = 0, bytes = 0;
    void *mem = NULL;
    int rc = b == NULL ? CAIRN_ERR(NOMEM) : bio_buf_get(tgt, image_bytes * IMAGES_NR, &mem);

    if (rc != 0)
        goto out;
    b->nr = 0;
    for (; *place < MIN(end, bio_scrub_places(tgt)) && bytes < bytes_max; (*place)++) {
        struct image *im = &b->images[b->nr];

        if (*place < HDR_PLACE) {
            sb_look(tgt, (enum bio_role) * place, mem, bad, arg);
            bytes += BIO_BLK_BYTES;
            continue;
        }
        if (image_find(tgt, *place, im)) {
            im->mem = (uint8_t *)mem + image_bytes * b->nr++;
            bio_req_start(
                &tgt->ckpt.disk, &im->req, PLAT_IO_READ, 0, im->bad.off, im->mem, im->bad.len);
            bytes += im->bad.len;
        }
        if (b->nr == IMAGES_NR || (b->nr == 0 && ++looked_nr % BIO_SCRUB_LOOKS_NR == 0)) {
            batch_end(tgt, b, bad, arg);
            ult_yield();
        }
    }
    batch_end(tgt, b, bad, arg);
    rc = bio_status(tgt);
    *ret_bytes = bytes;
out:
    if (mem != NULL)
        bio_buf_put(tgt, mem, image_bytes * IMAGES_NR);
    bio_tmp_put(tgt, b, sizeof(*b));
    return rc;
}
