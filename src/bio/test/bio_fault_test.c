/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What goes wrong outside: each disk operation fails once, each allocation fails once, the disk fills up, bits flip in every structure,
 * files belong to somebody else. The disk functions of the plat are replaced by ones that count, fail or swallow.
 */
#include "base/crc.h"
#include "base/probe.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"

/* ---- the disk between ------------------------------------------------------------------------------------------------- */

struct shim {
    struct plat_ops ops;
    const struct plat_ops *orig;
    struct plat_loop *loop;
    uint64_t seen_nr, fail_at; /* fail the fail_at-th operation; 0: none */
    uint64_t fired_nr;
    int rc;
    bool swallow; /* writes and syncs succeed and do nothing */
    bool only_writes;
};

struct shim_post {
    struct plat_post post;
    struct plat_io *io;
    int rc;
};

static struct shim shim; /* one at a time */

static void
shim_done(struct plat_post *post)
{
    struct shim_post *sp = (struct shim_post *)post;

    sp->io->done(sp->io, sp->rc);
    free(sp);
}

static void
shim_submit(struct plat_disk *disk, struct plat_io *io)
{
    struct shim_post *sp;
    bool fails;

    shim.seen_nr += !shim.only_writes || io->op != PLAT_IO_READ;
    fails = shim.seen_nr == shim.fail_at && (!shim.only_writes || io->op != PLAT_IO_READ);
    if (!fails && !(shim.swallow && io->op != PLAT_IO_READ)) {
        shim.orig->disk_submit(disk, io);
        return;
    }
    shim.fired_nr += fails;
    sp = calloc(1, sizeof(*sp));
    sp->post.fn = shim_done;
    sp->io = io;
    sp->rc = fails ? shim.rc : 0;
    shim.orig->loop_post(shim.loop, &sp->post);
}

static void
shim_install(struct fix *f)
{
    memset(&shim, 0, sizeof(shim));
    shim.orig = f->plat->ops;
    shim.ops = *f->plat->ops;
    shim.ops.disk_submit = shim_submit;
    shim.loop = xstream_loop(f->xs);
    f->plat->ops = &shim.ops;
}

static void
shim_remove(struct fix *f)
{
    f->plat->ops = shim.orig;
}

/* ---- each operation fails once ------------------------------------------------------------------------------------------ */

/* An extent is written, published, and the one before freed. */
static int
extent_turn(struct bio_tgt *tgt, struct bio_ext *last)
{
    struct bio_resv *resv = NULL;
    struct umem_tx tx;
    void *buf = NULL;
    uint64_t lsn = 0;
    int rc;

    rc = bio_buf_get(tgt, 5000, &buf);
    if (rc != 0)
        return rc;
    rc = bio_ext_reserve(tgt, 5000, 0, &resv);
    if (rc == 0) {
        memset(buf, 0x33, 5000);
        rc = bio_data_write(tgt, bio_resv_ext(resv).addr, buf, 5000);
    }
    if (rc == 0)
        rc = umem_tx_admit(bio_umem(tgt));
    if (rc == 0)
        rc = umem_tx_begin(bio_umem(tgt), 0, 0, &tx);
    if (rc == 0) {
        rc = bio_ext_publish(&tx, tgt, resv);
        if (rc == 0 && last->len != 0)
            rc = bio_ext_free(&tx, tgt, *last);
        if (rc == 0) {
            umem_tx_commit(&tx, &lsn);
            *last = bio_resv_ext(resv);
            bio_ext_published(tgt, resv);
            resv = NULL;
            rc = bio_wal_wait(tgt, lsn);
        } else {
            umem_tx_abort(&tx);
        }
    }
    bio_ext_cancel(tgt, resv);
    bio_buf_put(tgt, buf, 5000);
    return rc;
}

/* Nodes, extents, checkpoints until something fails; *acked follows what was acknowledged. */
static int
turn(struct bio_tgt *tgt, uint64_t *acked)
{
    struct bio_ext last = {0};
    uint64_t lsn = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < 8; i++) {
        rc = push(tgt, list_nr(tgt), 900, &lsn);
        if (rc == 0)
            rc = bio_wal_wait(tgt, lsn);
        if (rc == 0)
            (*acked)++;
        if (rc == 0)
            rc = extent_turn(tgt, &last);
        if (rc == 0 && i % 3 == 2)
            rc = bio_checkpoint(tgt);
    }
    return rc;
}

/* The store must be whole and hold at least what was acknowledged. */
static bool
intact(struct fix *f, uint64_t *acked)
{
    uint64_t nr;

    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return false;
    EXPECT_OK(bio_check(f->tgt));
    nr = list_check(f->tgt);
    EXPECT_GE(nr, *acked);
    EXPECT_LE(nr, *acked + 1);
    *acked = nr;
    return !test_failed();
}

static void
body_io_errors(struct fix *f)
{
    static const int codes[] = {-DER_NVME_IO, -DER_NOSPACE};
    uint64_t acked = 0;

    if (!fix_tgt_new(f))
        return;
    fix_tgt_close(f);
    for (uint32_t c = 0; c < ARRAY_SIZE(codes); c++) {
        for (uint64_t n = 1; !test_failed(); n++) {
            bool was_open = false;
            int rc;

            shim_install(f);
            shim.fail_at = n;
            shim.rc = codes[c];
            shim.only_writes = codes[c] == -DER_NOSPACE;
            rc = bio_open(f->xs, &f->cfg, &f->tgt);
            was_open = rc == 0;
            if (was_open) {
                rc = turn(f->tgt, &acked);
                /* A target that stopped stays stopped. */
                if (bio_status(f->tgt) != 0) {
                    struct umem_tx tx;

                    EXPECT_ERR(bio_status(f->tgt), NVME_IO);
                    EXPECT_ERR(umem_tx_begin(bio_umem(f->tgt), 0, 0, &tx), AGAIN);
                    EXPECT_ERR(umem_tx_admit(bio_umem(f->tgt)), NVME_IO);
                    EXPECT_ERR(bio_checkpoint(f->tgt), NVME_IO);
                    EXPECT_EQ(rc == 0, shim.fired_nr == 0);
                }
                fix_tgt_close(f);
            }
            EXPECT(rc == 0 || rc == codes[c] || rc == -DER_NVME_IO);
            EXPECT(rc == 0 || shim.fired_nr > 0);
            shim_remove(f);
            if (!intact(f, &acked))
                return;
            fix_tgt_close(f);
            if (shim.fired_nr == 0) {
                EXPECT_GT(n, 40);
                break;
            }
        }
    }
}

/* Goal: whatever disk operation fails, the target stops or goes on cleanly, and an open afterwards finds everything acknowledged. */
TEST_ON(bio_fault, every_disk_operation_fails_once, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_io_errors);
    fix_fini(&f);
}

#ifdef CAIRN_FAULTS
static void
body_oom(struct fix *f)
{
    uint64_t acked = 0;

    if (!fix_tgt_new(f))
        return;
    fix_tgt_close(f);
    for (uint64_t n = 1; !test_failed(); n++) {
        uint64_t fired;
        int rc;

        fault_arm_nth(n);
        rc = bio_open(f->xs, &f->cfg, &f->tgt);
        if (rc == 0) {
            rc = turn(f->tgt, &acked);
            EXPECT_OK(bio_status(f->tgt)); /* no memory is no reason to stop */
            fix_tgt_close(f);
        }
        fired = fault_fired_nr();
        fault_arm_nth(0);
        EXPECT(rc == 0 || rc == -DER_NOMEM);
        EXPECT(rc == 0 || fired > 0);
        if (!intact(f, &acked))
            return;
        fix_tgt_close(f);
        if (fired == 0) {
            EXPECT_GT(n, 20);
            break;
        }
    }
}

/* Goal: no failed allocation loses or leaks anything. */
TEST_ON(bio_fault, every_allocation_fails_once, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_oom);
    fix_fini(&f);
}
#endif

static void
body_format_errors(struct fix *f)
{
    for (uint64_t n = 1; !test_failed(); n++) {
        int rc;

        shim_install(f);
        shim.fail_at = n;
        shim.rc = -DER_NVME_IO;
        snprintf(f->cfg.dir, sizeof(f->cfg.dir), "/t/f%u", (unsigned int)n);
        rc = bio_format(f->xs, &f->cfg);
        shim_remove(f);
        if (shim.fired_nr == 0) {
            EXPECT_OK(rc);
            EXPECT_GT(n, 20);
            return;
        }
        EXPECT_ERR(rc, NVME_IO);
        EXPECT(!bio_is_formatted(f->plat, f->cfg.dir));
        EXPECT_ERR(bio_open(f->xs, &f->cfg, &f->tgt), NONEXIST);
        EXPECT_OK(bio_format(f->xs, &f->cfg));
        EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
        fix_tgt_close(f);
        for (uint32_t i = 0; i < 4; i++) { /* the simulator keeps files in memory */
            static const char *const names[] = {"wal", "meta", "data", "target"};
            char path[300];

            snprintf(path, sizeof(path), "%s/%s", f->cfg.dir, names[i]);
            EXPECT_OK(f->plat->ops->file_remove(f->plat, path));
        }
    }
}

/* Goal: a format that failed half-way does not count and can be repeated. */
TEST_ON(bio_fault, format_fails_anywhere, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_format_errors);
    fix_fini(&f);
}

static void
body_format(struct fix *f)
{
    EXPECT_OK(bio_format(f->xs, &f->cfg));
}

static void
body_format_again(struct fix *f)
{
    if (!bio_is_formatted(f->plat, f->cfg.dir)) {
        EXPECT_ERR(bio_open(f->xs, &f->cfg, &f->tgt), NONEXIST);
        EXPECT_OK(bio_format(f->xs, &f->cfg));
    }
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    EXPECT_OK(bio_check(f->tgt));
}

/* Goal: the same when the power goes: a store is formatted or it is not. */
TEST_ON(bio_fault, format_is_cut_anywhere, BACKEND_SIM)
{
    bool more = true;

    for (uint64_t n = 1; more && !test_failed(); n++) {
        struct fix f;

        if (fix_init(&f)) {
            sim_host_power_loss_at(f.sim, "h0", n);
            more = !fix_run(&f, body_format);
            if (!more)
                sim_host_power_loss(f.sim, "h0");
            sim_host_power_loss_at(f.sim, "h0", 0);
            if (fix_start(&f))
                fix_run(&f, body_format_again);
        }
        fix_fini(&f);
    }
}

/* ---- a full disk -------------------------------------------------------------------------------------------------------- */

static void
body_full_disk(struct fix *f)
{
    struct bio_ext last = {0};
    uint64_t acked = 0, lsn = 0;
    int rc = 0;

    f->cfg.ckpt_interval_ns = UINT64_C(1000) * 1000000000;
    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, 200, 3000);
    acked = 200;
    sim_host_disk_limit(f->sim, "h0", 1);
    EXPECT_ERR(extent_turn(f->tgt, &last), NOSPACE);
    EXPECT_ERR(bio_checkpoint(f->tgt), NOSPACE);
    EXPECT_OK(bio_status(f->tgt));
    /* The log still takes transactions, until it is full. */
    for (uint64_t i = 0; rc == 0 && i < 10000; i++) {
        struct umem *um = bio_umem(f->tgt);
        uint64_t off = ((struct root *)umem_ptr(um, umem_root(um)))->head;
        struct umem_tx tx;

        rc = umem_tx_admit(um);
        if (rc != 0)
            break;
        EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
        EXPECT_OK(umem_tx_range(&tx, off, 3000));
        umem_tx_commit(&tx, &lsn);
        if (i % 100 == 0)
            EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    }
    EXPECT_ERR(rc, NOSPACE);
    EXPECT_OK(bio_status(f->tgt));
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    EXPECT_EQ(list_check(f->tgt), acked);

    sim_host_disk_limit(f->sim, "h0", UINT64_MAX);
    push_to(f->tgt, 300, 3000);
    EXPECT_OK(extent_turn(f->tgt, &last));
    EXPECT_OK(bio_checkpoint(f->tgt));
    fix_tgt_close(f);
    EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    EXPECT_EQ(list_check(f->tgt), 300);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* Goal: a file system without room gives NOSPACE, loses nothing, and the target goes on when there is room again. */
TEST_ON(bio_fault, full_disk, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_full_disk);
    fix_fini(&f);
}

/* ---- damage --------------------------------------------------------------------------------------------------------------- */

static void
body_fill_for_damage(struct fix *f)
{
    f->cfg.ckpt_interval_ns = UINT64_C(1000) * 1000000000;
    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, 40, 2000);
    EXPECT_OK(bio_checkpoint(f->tgt));
    push_to(f->tgt, 60, 2000);
    ult_sleep(UINT64_C(1000) * 1000000); /* WAL-3: the closing group */
}

struct area {
    const char *file;
    uint64_t off, bytes;
    uint32_t stride; /* test one bit of that many */
};

/* Open with every write swallowed: the medium stays as it is. */
static void
body_open_damaged(struct fix *f)
{
    uint64_t *ok_nr = f->arg;
    int rc;

    shim_install(f);
    shim.swallow = true;
    rc = bio_open(f->xs, &f->cfg, &f->tgt);
    if (rc == 0) {
        rc = bio_check(f->tgt); /* reads every page */
        EXPECT_OK(bio_status(f->tgt)); /* a page that is damaged is an error of who wants it */
        if (rc == 0) {
            EXPECT_EQ(list_check(f->tgt), 60);
            (*ok_nr)++;
        }
        fix_tgt_close(f);
    }
    if (rc != 0) {
        EXPECT(rc == -DER_CSUM || rc == -DER_DF_INVAL);
        EXPECT_EQ(err_class(rc), ERR_CLASS_CORRUPT);
    }
    shim_remove(f);
}

/*
 * Goal: one flipped bit anywhere is answered with an error, or is without effect; never with other contents.
 */
TEST_ON(bio_fault, flipped_bits, BACKEND_SIM)
{
    struct fix f;
    uint64_t map, ok_nr = 0, bad_nr = 0;
    struct rng rng;
    char path[300];

    rng_init(&rng, test_seed());
    if (!fix_init(&f) || !fix_run(&f, body_fill_for_damage))
        goto out;
    map = (8 << 20 >> UMEM_PAGE_BITS) * sizeof(struct bio_slot_df);
    map = ALIGN_UP(map, (uint64_t)UMEM_PAGE_BYTES);
    struct area areas[] = {
        {"target", 0, 4096, 400},
        {"wal", 0, 4096, 400},
        {"meta", 0, 4096, 400},
        {"data", 0, 4096, 400},
        {"meta", 4096, 8192, 400}, /* headers */
        {"meta", 16384, 512, 40}, /* slot maps */
        {"meta", 16384 + map, 512, 40}, /* */
        {"meta", 16384 + 2 * map, 16384 * 12, 15000},
        {"wal", 4096, 4096 * 70, 18000},
    };
    fix_crash(&f, false);
    f.arg = &ok_nr;
    for (uint32_t a = 0; a < ARRAY_SIZE(areas); a++) {
        uint64_t bits = areas[a].bytes * 8, before = ok_nr, tried = 0;

        snprintf(path, sizeof(path), "%s/%s", f.cfg.dir, areas[a].file);
        for (uint64_t bit = rng_below(&rng, areas[a].stride); bit < bits && !test_failed();
             bit += rng_range(&rng, 1, areas[a].stride * 2)) {
            EXPECT_OK(sim_file_flip_bit(f.sim, "h0", path, areas[a].off * 8 + bit));
            fix_run(&f, body_open_damaged);
            EXPECT_OK(sim_file_flip_bit(f.sim, "h0", path, areas[a].off * 8 + bit));
            tried++;
        }
        bad_nr += tried - (ok_nr - before);
        EXPECT_GT(tried, 20);
        if (areas[a].off == 0)
            EXPECT_EQ(ok_nr, before); /* no bit of a superblock is without meaning */
    }
    EXPECT_GT(bad_nr, 300);
    EXPECT_GT(ok_nr, 20); /* older header, unused map, log before the checkpoint */
    bad_nr = ok_nr;
    fix_run(&f, body_open_damaged);
    EXPECT_EQ(ok_nr, bad_nr + 1);
out:
    fix_fini(&f);
}

static void
body_page_damage(struct fix *f)
{
    struct umem *um;
    uint64_t off, page;
    char path[300];

    if (!fix_tgt_new(f))
        return;
    push_to(f->tgt, 40, 2000);
    EXPECT_OK(bio_checkpoint(f->tgt));
    um = bio_umem(f->tgt);
    off = ((struct root *)umem_ptr(um, umem_root(um)))->head;
    page = off >> UMEM_PAGE_BITS;
    EXPECT_GT(umem_evict(um, 1000, 0), 0);
    EXPECT(umem_ptr(um, off) == NULL);
    snprintf(path, sizeof(path), "%s/meta", f->cfg.dir);
    uint64_t bit = (f->tgt->ckpt.slots_off + (uint64_t)(um->pub.pages[page].slot - 1) * 16384) * 8;
    EXPECT_OK(sim_file_flip_bit(f->sim, "h0", path, bit + 77777));
    EXPECT_ERR(umem_fault(um), CSUM);
    EXPECT(umem_ptr(um, off) == NULL);
    EXPECT_OK(sim_file_flip_bit(f->sim, "h0", path, bit + 77777));
    EXPECT_OK(umem_fault(um));
    EXPECT(umem_ptr(um, off) != NULL);
    EXPECT_EQ(list_check(f->tgt), 40);
    fix_tgt_close(f);
}

/* Goal: ST-7 for pages that come back after eviction. */
TEST_ON(bio_fault, evicted_page_is_verified, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_page_damage);
    fix_fini(&f);
}

/* ---- somebody else's files -------------------------------------------------------------------------------------------------- */

/* Change the superblock in one file as its writer would have. */
static void
sb_edit(struct fix *f, const char *name, void (*edit)(struct bio_sb_df *sb))
{
    struct bio_disk disk = {.plat = f->plat, .bytes = BIO_BLK_BYTES};
    struct bio_sb_df *sb = bio_mem_get(sizeof(*sb));
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", f->cfg.dir, name);
    EXPECT_OK(f->plat->ops->disk_open(f->plat, xstream_loop(f->xs), path, 0, 0, &disk.disk));
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, 0, sb, sizeof(*sb)));
    edit(sb);
    sb->crc = crc32c(0, sb, sizeof(*sb) - 4);
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 0, sb, sizeof(*sb)));
    f->plat->ops->disk_close(disk.disk);
    free(sb);
}

static void
edit_version(struct bio_sb_df *sb)
{
    sb->version ^= 8;
}

static void
edit_incompat(struct bio_sb_df *sb)
{
    sb->incompat ^= UINT64_C(1) << 40;
}

static void
edit_compat(struct bio_sb_df *sb)
{
    sb->compat ^= 4;
}

static void
edit_device(struct bio_sb_df *sb)
{
    sb->device.b[3] ^= 1;
}

static void
edit_role(struct bio_sb_df *sb)
{
    sb->role ^= 1;
}

static void
edit_magic(struct bio_sb_df *sb)
{
    sb->magic ^= 1;
}

static void
expect_open(struct fix *f, int want)
{
    struct bio_tgt *tgt = NULL;
    int rc = bio_open(f->xs, &f->cfg, &tgt);

    EXPECT_EQ(rc, want);
    bio_close(tgt);
}

static void
body_strangers(struct fix *f)
{
    static const struct {
        void (*edit)(struct bio_sb_df *sb);
        int rc;
    } edits[] = {
        {edit_version, -DER_DF_INCOMPT}, {edit_incompat, -DER_DF_INCOMPT},
        {edit_device, -DER_MISMATCH}, {edit_role, -DER_DF_INVAL}, {edit_magic, -DER_DF_INVAL},
        {edit_compat, -DER_MISMATCH}, /* harmless as such, but the files of one target agree */
    };
    struct bio_cfg cfg = f->cfg;

    if (!fix_tgt_new(f))
        return;
    fix_tgt_close(f);
    f->cfg.system.b[5] ^= 1;
    expect_open(f, -DER_MISMATCH);
    f->cfg = cfg;
    f->cfg.rank++;
    expect_open(f, -DER_MISMATCH);
    f->cfg = cfg;
    f->cfg.tgt_idx++;
    expect_open(f, -DER_MISMATCH);
    f->cfg = cfg;
    f->cfg.device.b[0] = 7;
    expect_open(f, -DER_MISMATCH);
    f->cfg = cfg;
    for (uint32_t i = 0; i < ARRAY_SIZE(edits); i++) {
        sb_edit(f, "meta", edits[i].edit);
        expect_open(f, edits[i].rc);
        sb_edit(f, "meta", edits[i].edit);
        sb_edit(f, "wal", edits[i].edit);
        expect_open(f, edits[i].rc);
        sb_edit(f, "wal", edits[i].edit);
    }
    expect_open(f, 0);
    EXPECT_OK(f->plat->ops->file_remove(f->plat, "/t/d0/data"));
    expect_open(f, -DER_DF_INVAL);
    f->cfg.wal_bytes = 1 << 20;
    snprintf(f->cfg.dir, sizeof(f->cfg.dir), "/t/other");
    EXPECT_ERR(bio_format(f->xs, &f->cfg), INVAL); /* too small */
}

/* Goal: files of another system, target, version or format are refused by name. */
TEST_ON(bio_fault, strangers, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_strangers);
    fix_fini(&f);
}
