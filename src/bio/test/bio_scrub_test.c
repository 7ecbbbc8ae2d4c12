/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the superblocks and everything that lies on the metadata role are read and verified by a walk over its places; what is bad is told with its address; what is in memory too is written
 * anew, so that it is whole after a restart; what is not is told each time, and never given to anybody. Method: one bit flipped in each image, with the pages in memory
 * and without; walks in small steps beside transactions and checkpoints, in which nothing may be told.
 */
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"

enum { NODES_NR = 60, NODE_BYTES = 6000, BADS_NR = 64 };

struct bads {
    uint32_t nr, mended_nr;
    struct bio_img_bad at[BADS_NR];
    uint64_t bytes;
};

static void
bad_note(void *arg, const struct bio_img_bad *bad)
{
    struct bads *b = arg;

    if (EXPECT_LT(b->nr, BADS_NR))
        b->at[b->nr++] = *bad;
    b->mended_nr += bad->is_mended;
}

/* Once over all places. */
static void
walk(struct fix *f, uint64_t bytes_max, struct bads *b)
{
    uint64_t place = 0, bytes = 0;

    memset(b, 0, sizeof(*b));
    while (place < bio_scrub_places(f->tgt) && !test_failed()) {
        uint64_t before = place;

        if (!EXPECT_OK(bio_scrub_step(f->tgt, &place, UINT64_MAX, bytes_max, bad_note, b, &bytes)))
            return;
        EXPECT_GT(place, before);
        EXPECT(bytes < bytes_max || bytes - bytes_max < UMEM_PAGE_BYTES);
        b->bytes += bytes;
    }
}

static void
evict_all(struct fix *f)
{
    umem_evict(bio_umem(f->tgt), 1000, 0);
}

static void
flip(struct fix *f, const struct bio_img_bad *bad, uint64_t bit)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/meta", f->cfg.dir);
    EXPECT_OK(sim_file_flip_bit(f->sim, "h0", path, bad->off * 8 + bit % (bad->len * 8)));
}

/* What lies there, as far as the walk would look at it. */
static uint32_t
images_all(struct fix *f, struct bio_img_bad *imgs, uint32_t max)
{
    const struct umem *um = bio_umem(f->tgt);
    const struct bio_ckpt *ck = &f->tgt->ckpt;
    uint32_t nr = 0;

    imgs[nr++] = (struct bio_img_bad){
        .kind = BIO_IMG_HEADER, .off = 4096 + 4096 * (ck->hdr->seq & 1), .len = sizeof(*ck->hdr)};
    for (uint64_t i = 0; i * ck->leaf_entry_nr < ck->hdr->map_nr && nr < max; i++) {
        imgs[nr++] = (struct bio_img_bad){.kind = BIO_IMG_MAP,
            .nr = i,
            .off = bio_ckpt_leaf_off(f->tgt, (uint32_t)i),
            .len = ck->leaf_bytes};
    }
    for (uint64_t p = 0; p < um->page_hi && nr < max; p++) {
        if ((um->pub.pages[p].flags & UMEM_PF_SLOT) == 0)
            continue;
        imgs[nr++] = (struct bio_img_bad){.kind = BIO_IMG_PAGE,
            .nr = p,
            .off = ck->slots_off + (uint64_t)(um->pub.pages[p].slot - 1) * UMEM_PAGE_BYTES,
            .len = UMEM_PAGE_BYTES};
    }
    return nr;
}

static void
body_every_image(struct fix *f)
{
    struct bio_img_bad imgs[BADS_NR];
    struct bads b;
    uint32_t nr;

    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, NODES_NR, NODE_BYTES);
    EXPECT_OK(bio_checkpoint(f->tgt));
    walk(f, 1, &b);
    EXPECT_EQ(b.nr, 0);
    nr = images_all(f, imgs, BADS_NR);
    EXPECT(nr > 20 && nr < BADS_NR);
    /* Images move when others are mended: look for each anew. */
    for (uint32_t i = 0; i < nr && !test_failed(); i++) {
        EXPECT_EQ(images_all(f, imgs, BADS_NR), nr);
        list_check(f->tgt); /* all are in memory */
        flip(f, &imgs[i], i * 7919);
        walk(f, 100000, &b);
        EXPECT_EQ(b.nr, 1);
        EXPECT_EQ(b.mended_nr, 1);
        EXPECT(
            b.at[0].kind == imgs[i].kind && b.at[0].nr == imgs[i].nr && b.at[0].off == imgs[i].off);
        EXPECT_EQ(b.at[0].rc, -DER_CSUM);
        EXPECT_OK(bio_checkpoint(f->tgt));
        evict_all(f);
        walk(f, UINT64_MAX, &b);
        EXPECT_EQ(b.nr, 0);
        EXPECT_EQ(list_check(f->tgt), NODES_NR);
    }
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    EXPECT_EQ(list_check(f->tgt), NODES_NR);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

TEST_ON(bio_scrub, every_image_in_memory_is_written_anew, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_every_image);
    fix_fini(&f);
}

static void
body_lost(struct fix *f)
{
    struct bio_img_bad imgs[BADS_NR];
    struct bads b;
    uint32_t nr, lost_nr = 0;

    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, NODES_NR, NODE_BYTES);
    EXPECT_OK(bio_checkpoint(f->tgt));
    nr = images_all(f, imgs, BADS_NR);
    for (uint32_t i = 0; i < nr && !test_failed(); i++) {
        uint64_t page = imgs[i].nr;

        evict_all(f);
        if (imgs[i].kind != BIO_IMG_PAGE ||
            (bio_umem(f->tgt)->pub.pages[page].flags & UMEM_PF_RES) != 0)
            continue; /* root and directory are always there */
        lost_nr++;
        flip(f, &imgs[i], i * 104729);
        for (uint32_t pass = 0; pass < 2; pass++) {
            walk(f, 50000, &b);
            EXPECT_EQ(b.nr, 1);
            EXPECT_EQ(b.mended_nr, 0);
            EXPECT(b.at[0].nr == page && b.at[0].off == imgs[i].off);
        }
        EXPECT_ERR(umem_page_get(bio_umem(f->tgt), page), CSUM);
        EXPECT_OK(bio_status(f->tgt));
        flip(f, &imgs[i], i * 104729);
        EXPECT_OK(umem_page_get(bio_umem(f->tgt), page));
    }
    EXPECT_GT(lost_nr, 20);
    walk(f, UINT64_MAX, &b);
    EXPECT_EQ(b.nr, 0);
    EXPECT_EQ(list_check(f->tgt), NODES_NR);
    fix_tgt_close(f);
}

TEST_ON(bio_scrub, a_lost_page_is_told_in_every_walk, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_lost);
    fix_fini(&f);
}

/* Walks without end, while others work. */
struct busy {
    struct fix *f;
    bool stop;
    uint32_t walks_nr, bads_nr;
};

static void
busy_ult(void *arg)
{
    struct busy *y = arg;
    struct bads b;

    for (; !y->stop && !test_failed(); y->walks_nr++) {
        walk(y->f, 60000, &b);
        y->bads_nr += b.nr;
        ult_yield();
    }
}

static void
body_busy(struct fix *f)
{
    struct busy y = {.f = f};
    struct ult *ult;
    struct rng rng;

    rng_init(&rng, test_seed());
    f->cfg.mem_bytes = 40 * UMEM_PAGE_BYTES;
    if (!fix_tgt_new(f))
        return;
    EXPECT_OK(ult_create(f->xs, ULT_BACKGROUND, busy_ult, &y, &ult));
    for (uint32_t i = 0; i < 40 && !test_failed(); i++) {
        push_to(f->tgt, (i + 1) * 5, 1000 + rng_below(&rng, 6000));
        if (i % 3 == 0)
            EXPECT_OK(bio_checkpoint(f->tgt));
        umem_evict(bio_umem(f->tgt), rng_below(&rng, 20), rng_u64(&rng));
        EXPECT_EQ(list_check(f->tgt), (i + 1) * 5);
    }
    y.stop = true;
    ult_join(ult);
    EXPECT_GT(y.walks_nr, 3);
    EXPECT_EQ(y.bads_nr, 0);
    fix_tgt_close(f);
}

TEST_ON(bio_scrub, nothing_good_is_told_beside_other_work, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_busy);
    fix_fini(&f);
}

/* ---- superblocks --------------------------------------------------------------------------------------------------- */

/* One bit of block 0 of a role, or of the seal of the mark, in the file or on the device. */
static void
sb_flip(struct fix *f, enum bio_role role, uint64_t blk, uint64_t bit)
{
    static const char *const names[] = {"target", "wal", "meta", "data"};
    const struct bio_place *place = &f->cfg.places[role];
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", f->cfg.dir, names[role]);
    EXPECT_OK(sim_file_flip_bit(f->sim, "h0", place->path[0] != '\0' ? place->path : path,
        (place->off + blk * BIO_BLK_BYTES) * 8 + bit));
}

/* A good one is as good after a look; a damaged one is told once, and the target can be opened again. */
static void
sb_round(struct fix *f, enum bio_role role, uint64_t blk, uint64_t bit)
{
    struct bads b;

    sb_flip(f, role, blk, bit);
    walk(f, 50000, &b);
    EXPECT_EQ(b.nr, 1);
    EXPECT_EQ(b.mended_nr, 1);
    EXPECT(b.at[0].kind == BIO_IMG_SB && b.at[0].nr == role && b.at[0].rc == -DER_CSUM);
    walk(f, 50000, &b);
    EXPECT_EQ(b.nr, 0);
}

static void
body_sb(struct fix *f)
{
    bool is_on_device;
    struct bads b;

    if (!fix_tgt_new(f))
        return;
    is_on_device = f->cfg.places[BIO_ROLE_TARGET].path[0] != '\0';
    push_to(f->tgt, NODES_NR, NODE_BYTES);
    walk(f, 1, &b);
    EXPECT_EQ(b.nr, 0);
    for (enum bio_role role = 0; role < BIO_ROLE_NR && !test_failed(); role++) {
        for (uint64_t bit = role; bit < BIO_BLK_BYTES * UINT64_C(8); bit += 1777) {
            sb_round(f, role, 0, bit);
        }
    }
    for (uint64_t bit = 0; is_on_device && bit < sizeof(struct bio_seal_df) * 8; bit += 177) {
        sb_round(f, BIO_ROLE_TARGET, 1, bit);
    }
    if (!is_on_device) {
        char path[300];

        snprintf(path, sizeof(path), "%s/target", f->cfg.dir);
        EXPECT_OK(f->plat->ops->file_remove(f->plat, path));
        walk(f, 50000, &b);
        EXPECT(b.nr == 1 && b.mended_nr == 1 && b.at[0].rc == -DER_NONEXIST);
    }
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    EXPECT_EQ(list_check(f->tgt), NODES_NR);
    fix_tgt_close(f);
}

TEST_ON(bio_scrub, a_damaged_superblock_is_written_anew, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_sb);
    fix_fini(&f);
}

TEST_ON(bio_scrub, a_damaged_superblock_on_a_device_is_written_anew, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f) && fix_run(&f, fix_dev_take)) {
        EXPECT_NE(f.cfg.places[BIO_ROLE_TARGET].off, 0);
        fix_run(&f, body_sb);
    }
    fix_fini(&f);
}

/* Somebody else's superblock is whole: it is told, each time, and not written over. */
static void
body_sb_foreign(struct fix *f)
{
    _Alignas(BIO_BLK_BYTES) static struct bio_sb_df sb, found;
    struct bads b;

    if (!fix_tgt_new(f))
        return;
    sb = f->tgt->sb;
    sb.device.b[5] ^= 1;
    bio_sb_seal(&sb, BIO_ROLE_DATA);
    EXPECT_OK(bio_disk_rw(&f->tgt->data, PLAT_IO_WRITE, 0, 0, &sb, sizeof(sb)));
    for (uint32_t pass = 0; pass < 2; pass++) {
        walk(f, UINT64_MAX, &b);
        EXPECT_EQ(b.nr, 1);
        EXPECT_EQ(b.mended_nr, 0);
        EXPECT(b.at[0].nr == BIO_ROLE_DATA && b.at[0].rc == -DER_MISMATCH);
    }
    EXPECT_OK(bio_disk_rw(&f->tgt->data, PLAT_IO_READ, 0, 0, &found, sizeof(found)));
    EXPECT(memcmp(&found, &sb, sizeof(sb)) == 0);
    fix_tgt_close(f);
}

TEST_ON(bio_scrub, a_foreign_superblock_stays, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_sb_foreign);
    fix_fini(&f);
}

/*
 * Why the log is not scrubbed: a store at rest needs nothing of it. With every block of the ring damaged, some seconds after the last transaction, a process that is
 * killed loses nothing.
 */
static void
body_log_is_young(struct fix *f)
{
    if (!fix_tgt_new(f))
        return;
    for (uint32_t i = 1; i <= 20 && !test_failed(); i++) {
        push_to(f->tgt, i * 3, NODE_BYTES);
        ult_sleep(i % 3 * UINT64_C(1000000000));
    }
    ult_sleep(3 * BIO_CKPT_INTERVAL_NS);
}

static void
body_log_opened(struct fix *f)
{
    struct bio_stats stats;

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    bio_stats_get(f->tgt, &stats);
    EXPECT_EQ(stats.replayed_records_nr, 0);
    EXPECT_EQ(list_check(f->tgt), NODES_NR);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

TEST_ON(bio_scrub, a_store_at_rest_needs_nothing_of_its_log, BACKEND_SIM)
{
    char path[300];
    struct fix f;

    if (fix_init(&f) && fix_run(&f, body_log_is_young)) {
        snprintf(path, sizeof(path), "%s/wal", f.cfg.dir);
        for (uint64_t blk = BIO_WAL_RING_BLK; blk < f.cfg.wal_bytes / BIO_BLK_BYTES; blk++) {
            EXPECT_OK(sim_file_flip_bit(f.sim, "h0", path, blk * BIO_BLK_BYTES * 8 + blk % 512));
        }
        if (fix_crash(&f, true))
            fix_run(&f, body_log_opened);
    }
    fix_fini(&f);
}
