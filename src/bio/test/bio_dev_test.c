/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: several targets share a device and never touch each other's bytes (DEV-1 to DEV-4); what is not ours is refused and left as it
 * is; a format that is cut anywhere is done anew; damage is named.
 * Method: two targets and a small store on one device, their logs and data on it or metadata in files; other programs' devices by
 * their signatures; power lost at each write; each bit of label, table and seal flipped. A golden image of a device that targets share, as format version 1 wrote
 * it, opens for ever; BIO_DEV_COMPAT_WRITE=FILE makes a new one (for a new version or feature; never over an old one).
 */
#include <stdio.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_dev.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"

enum {
    STORE_NR = 3,
    DEV_BYTES = 220 << 20,
    ALL = 1 << BIO_ROLE_WAL | 1 << BIO_ROLE_META | 1 << BIO_ROLE_DATA,
    SYS_IDX = 0xffff
};

static const struct bio_dev_store stores[STORE_NR] = {
    {.tgt_idx = 0, .roles = ALL, .weight = 16},
    {.tgt_idx = 1, .roles = ALL, .weight = 16},
    {.tgt_idx = SYS_IDX, .roles = ALL, .weight = 1},
};

struct dev_test {
    struct bio_dev_cfg dev;
    struct bio_dev *pending, *taken;
    char err[BIO_DEV_ERR_BYTES];
    int rc;
    FILE *img; /* golden image */
    /* for what a case does */
    uint32_t off, len;
    const char *bytes, *says;
    int want;
};

static struct dev_test *
dt_of(struct fix *f)
{
    return f->arg;
}

static void
dt_init(struct fix *f, struct dev_test *dt)
{
    memset(dt, 0, sizeof(*dt));
    f->arg = dt;
    if (f->sim != NULL)
        EXPECT_OK(f->plat->ops->dir_create(f->plat, "/t"));
    snprintf(dt->dev.path, sizeof(dt->dev.path), "%.*s.dev", 200, f->cfg.dir);
    dt->dev.file_bytes = DEV_BYTES;
    dt->dev.system = f->cfg.system;
    dt->dev.rank = f->cfg.rank;
    dt->dev.stores = stores;
    dt->dev.store_nr = STORE_NR;
    dt->dev.pending = &dt->pending;
    f->cfg.wal_bytes = f->cfg.meta_bytes = f->cfg.data_bytes = 0;
}

static int
take(struct fix *f)
{
    struct dev_test *dt = dt_of(f);

    dt->rc = bio_dev_take(f->xs, &dt->dev, dt->err, &dt->taken);
    return dt->rc;
}

static void
drop(struct fix *f)
{
    bio_dev_release(dt_of(f)->taken);
    dt_of(f)->taken = NULL;
}

static struct bio_cfg
cfg_of(struct fix *f, uint32_t tgt_idx)
{
    struct bio_cfg cfg = f->cfg;

    cfg.tgt_idx = tgt_idx;
    cfg.pending = NULL;
    snprintf(cfg.dir, sizeof(cfg.dir), "%.*s-%u", 200, f->cfg.dir, tgt_idx);
    bio_dev_place(dt_of(f)->taken, &cfg);
    return cfg;
}

/* Bytes of the device, as somebody else's program changes them. */
static void
dev_poke(struct fix *f, uint64_t off, const void *bytes, size_t len, bool is_xor)
{
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES);
    struct bio_disk disk = {.plat = f->plat, .bytes = DEV_BYTES};
    uint64_t at = ALIGN_DOWN(off, (uint64_t)BIO_BLK_BYTES);

    EXPECT_OK(f->plat->ops->disk_open(
        f->plat, xstream_loop(f->xs), dt_of(f)->dev.path, PLAT_DISK_CREATE, DEV_BYTES, &disk.disk));
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, at, blk, BIO_BLK_BYTES));
    for (size_t i = 0; i < len; i++) {
        uint8_t b = ((const uint8_t *)bytes)[i];

        blk[off - at + i] = is_xor ? blk[off - at + i] ^ b : b;
    }
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, at, blk, BIO_BLK_BYTES));
    f->plat->ops->disk_close(disk.disk);
    free(blk);
}

static void
label_read(struct fix *f, struct bio_dev_label_df *ret_label)
{
    struct bio_disk disk = {.plat = f->plat, .bytes = DEV_BYTES};
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES);

    EXPECT_OK(
        f->plat->ops->disk_open(f->plat, xstream_loop(f->xs), dt_of(f)->dev.path, 0, 0, &disk.disk));
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, 0, blk, BIO_BLK_BYTES));
    memcpy(ret_label, blk, sizeof(*ret_label));
    f->plat->ops->disk_close(disk.disk);
    free(blk);
}

static uint32_t
dev_crc(struct fix *f)
{
    struct bio_disk disk = {.plat = f->plat, .bytes = DEV_BYTES};
    uint8_t *mib = bio_mem_get(1 << 20);
    uint32_t crc = 0;

    EXPECT_OK(
        f->plat->ops->disk_open(f->plat, xstream_loop(f->xs), dt_of(f)->dev.path, 0, 0, &disk.disk));
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, 0, mib, 1 << 20));
    crc = crc32c(crc, mib, 1 << 20);
    EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, DEV_BYTES - (1 << 20), mib, 1 << 20));
    crc = crc32c(crc, mib, 1 << 20);
    f->plat->ops->disk_close(disk.disk);
    free(mib);
    return crc;
}

/* ---- layout ------------------------------------------------------------------------------------------------------------ */

/* Goal: regions never overlap, stay off both ends, have their least, and use nearly all there is, for any stores and sizes. */
TEST(bio_dev, plan)
{
    struct bio_dev_region_df *regions = calloc(BIO_DEV_REGION_NR_MAX, sizeof(*regions));
    uint64_t seed = test_seed(), least;
    uint32_t nr, fits_nr = 0;

    for (uint32_t round = 0; round < 3000 && !test_failed(); round++) {
        struct bio_dev_store s[BIO_DEV_STORE_NR_MAX] = {{0}};
        uint32_t store_nr = 1 + (uint32_t)(test_rand(&seed) % BIO_DEV_STORE_NR_MAX);
        uint64_t bytes = test_rand(&seed) >> (20 + test_rand(&seed) % 20), used = 0;
        uint64_t end = BIO_DEV_EDGE_BYTES;
        bool all_grow = true;
        int rc;

        for (uint32_t i = 0; i < store_nr; i++) {
            s[i].tgt_idx = i;
            s[i].roles = (uint32_t)test_rand(&seed) & ALL;
            s[i].weight = (uint32_t)test_rand(&seed) % 17;
            if (test_rand(&seed) % 4 == 0)
                s[i].wal_bytes = BIO_WAL_BYTES_MIN + test_rand(&seed) % (64 << 20);
            if (test_rand(&seed) % 4 == 0)
                s[i].meta_bytes = BIO_META_BYTES_MIN + test_rand(&seed) % (64 << 20);
            if (test_rand(&seed) % 4 == 0)
                s[i].data_bytes = BIO_DATA_BYTES_MIN + test_rand(&seed) % (64 << 20);
            all_grow &= s[i].data_bytes == 0 && (s[i].roles & 1 << BIO_ROLE_DATA) != 0;
        }
        rc = bio_dev_plan(s, store_nr, bytes, regions, &nr, &least);
        EXPECT_EQ(rc, bytes < least ? -DER_NOSPACE : 0);
        if (rc != 0)
            continue;
        fits_nr++;
        for (uint32_t i = 0; i < nr; i++) {
            const struct bio_dev_store *store = &s[regions[i].tgt_idx];

            EXPECT_EQ(regions[i].off, end);
            EXPECT_EQ(regions[i].off % 65536, 0);
            end += regions[i].bytes;
            used += regions[i].bytes;
            if (regions[i].role == BIO_ROLE_WAL)
                EXPECT_GE(regions[i].bytes, MAX(store->wal_bytes, (uint64_t)BIO_WAL_BYTES_MIN));
            if (regions[i].role == BIO_ROLE_META) {
                EXPECT_GE(regions[i].bytes,
                    bio_ckpt_file_bytes(ALIGN_DOWN(
                        MAX(store->meta_bytes, BIO_META_BYTES_MIN), (uint64_t)UMEM_PAGE_BYTES)));
            }
            if (regions[i].role == BIO_ROLE_DATA)
                EXPECT_GE(regions[i].bytes, MAX(store->data_bytes, BIO_DATA_BYTES_MIN));
        }
        EXPECT_LE(end, bytes - BIO_DEV_EDGE_BYTES);
        if (all_grow) {
            EXPECT_GE(
                used + 2 * BIO_DEV_EDGE_BYTES + store_nr * 4 * UINT64_C(65536), bytes - bytes / 64);
        }
    }
    EXPECT_GT(fits_nr, 500);
    free(regions);
}

/* ---- sharing ----------------------------------------------------------------------------------------------------------- */

static void
body_share(struct fix *f)
{
    struct bio_tgt *tgts[STORE_NR] = {NULL};
    struct uuid uuid;

    if (!EXPECT_OK(take(f)))
        return;
    uuid = bio_dev_uuid(dt_of(f)->taken);
    EXPECT(!cuuid_is_nil(&uuid));
    for (uint32_t i = 0; i < STORE_NR; i++) {
        struct bio_cfg cfg = cfg_of(f, stores[i].tgt_idx);
        bool yes = true;

        EXPECT_OK(bio_formatted(f->xs, &cfg, &yes));
        EXPECT(!yes);
        EXPECT_ERR(bio_open(f->xs, &cfg, &tgts[i]), NONEXIST);
        EXPECT_OK(bio_format(f->xs, &cfg));
        EXPECT_ERR(bio_format(f->xs, &cfg), EXIST);
        if (!EXPECT_OK(bio_open(f->xs, &cfg, &tgts[i])))
            return;
    }
    for (uint32_t nr = 100; nr <= 500; nr += 100) { /* by turns */
        for (uint32_t i = 0; i < STORE_NR; i++) {
            push_to(tgts[i], nr + i, 3000);
            if (nr % 200 == 0)
                EXPECT_OK(bio_checkpoint(tgts[i]));
        }
    }
    for (uint32_t i = 0; i < STORE_NR; i++) {
        EXPECT_EQ(list_check(tgts[i]), 500 + i);
        EXPECT_OK(bio_check(tgts[i]));
        bio_close(tgts[i]);
    }
    drop(f);
    if (!EXPECT_OK(take(f))) /* again, as the next process */
        return;
    EXPECT(memcmp(&uuid, &dt_of(f)->taken, 0) == 0);
    for (uint32_t i = 0; i < STORE_NR; i++) {
        struct bio_cfg cfg = cfg_of(f, stores[i].tgt_idx);

        if (EXPECT_OK(bio_open(f->xs, &cfg, &tgts[i]))) {
            EXPECT_EQ(list_check(tgts[i]), 500 + i);
            bio_close(tgts[i]);
        }
        cfg.rank++;
        EXPECT_ERR(bio_open(f->xs, &cfg, &tgts[i]), MISMATCH);
        cfg.rank--;
        cfg.tgt_idx += 5;
        EXPECT_ERR(bio_open(f->xs, &cfg, &tgts[i]), MISMATCH);
    }
    drop(f);
}

TEST_ON(bio_dev, targets_share, BACKEND_LINUX | BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_share);
    }
    fix_fini(&f);
}

/* Extents of two targets fill the device to the last block; each reads back its own. */
static void
body_full(struct fix *f)
{
    enum { EXT_BYTES = 1 << 20 };
    struct bio_tgt *tgts[2] = {NULL};
    uint64_t addrs[2][256], nr[2] = {0};
    uint8_t *buf = NULL;

    if (!EXPECT_OK(take(f)))
        return;
    for (uint32_t i = 0; i < 2; i++) {
        struct bio_cfg cfg = cfg_of(f, i);

        EXPECT_OK(bio_format(f->xs, &cfg));
        if (!EXPECT_OK(bio_open(f->xs, &cfg, &tgts[i])))
            return;
    }
    EXPECT_OK(bio_buf_get(tgts[0], EXT_BYTES, (void **)&buf));
    for (bool more = true; more && !test_failed();) {
        more = false;
        for (uint32_t i = 0; i < 2; i++) {
            struct umem *um = bio_umem(tgts[i]);
            struct bio_resv *resv = NULL;
            struct umem_tx tx;
            uint64_t lsn;

            if (nr[i] == 256 || bio_ext_reserve(tgts[i], EXT_BYTES, 0, &resv) != 0)
                continue;
            more = true;
            addrs[i][nr[i]] = bio_resv_ext(resv).addr;
            memset(buf, (int)(nr[i]++ * 2 + i), EXT_BYTES);
            EXPECT_OK(bio_data_write(tgts[i], bio_resv_ext(resv).addr, buf, EXT_BYTES));
            EXPECT_OK(umem_tx_admit(um));
            EXPECT_OK(umem_tx_begin(um, 0, 1, &tx));
            EXPECT_OK(bio_ext_publish(&tx, tgts[i], resv));
            umem_tx_commit(&tx, &lsn);
            bio_ext_published(tgts[i], resv);
        }
    }
    EXPECT_GT(nr[0], 20);
    EXPECT_EQ(nr[0], nr[1]);
    for (uint32_t i = 0; i < 2; i++) {
        for (uint64_t k = 0; k < nr[i] && !test_failed(); k++) {
            EXPECT_OK(bio_data_read(tgts[i], addrs[i][k], buf, EXT_BYTES));
            EXPECT_EQ(buf[0], (uint8_t)(k * 2 + i));
            EXPECT(memcmp(buf, buf + 1, EXT_BYTES - 1) == 0);
        }
        /* And no further: the block behind the region is a neighbour's. */
        EXPECT_ERR(
            bio_disk_rw(&tgts[i]->data, PLAT_IO_WRITE, 0, tgts[i]->data.bytes, buf, 4096), INVAL);
        EXPECT_ERR(
            bio_disk_rw(&tgts[i]->data, PLAT_IO_READ, 0, tgts[i]->data.bytes - 4096, buf, 8192),
            INVAL);
    }
    bio_buf_put(tgts[0], buf, EXT_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        bio_close(tgts[i]);
    }
    drop(f);
}

TEST_ON(bio_dev, full_device, BACKEND_LINUX | BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_full);
    }
    fix_fini(&f);
}

/* Roles apart: log and metadata in files, data on the device, and the other way round. */
static void
body_roles(struct fix *f)
{
    struct bio_dev_store one = {.tgt_idx = 1, .weight = 1};
    struct dev_test *dt = dt_of(f);
    struct bio_tgt *tgt;

    dt->dev.stores = &one;
    dt->dev.store_nr = 1;
    for (uint32_t roles = 1 << BIO_ROLE_WAL; roles <= ALL && !test_failed(); roles += 2) {
        struct bio_cfg cfg;
        bool yes = false;

        one.roles = roles;
        snprintf(dt->dev.path, sizeof(dt->dev.path), "%.*s.dev%u", 200, f->cfg.dir, roles);
        if (!EXPECT_OK(take(f)))
            return;
        cfg = cfg_of(f, 1);
        snprintf(cfg.dir, sizeof(cfg.dir), "%.*s-r%u", 200, f->cfg.dir, roles);
        EXPECT_EQ(cfg.places[BIO_ROLE_DATA].path[0] != '\0', (roles & 1 << BIO_ROLE_DATA) != 0);
        EXPECT_OK(bio_format(f->xs, &cfg));
        EXPECT_EQ(bio_is_formatted(f->plat, cfg.dir), (roles & 1 << BIO_ROLE_WAL) == 0);
        if (EXPECT_OK(bio_open(f->xs, &cfg, &tgt))) {
            push_to(tgt, 50, 500);
            bio_close(tgt);
        }
        drop(f);
        if (!EXPECT_OK(take(f)))
            return;
        bio_dev_place(dt->taken, &cfg);
        EXPECT_OK(bio_formatted(f->xs, &cfg, &yes));
        EXPECT(yes);
        if (EXPECT_OK(bio_open(f->xs, &cfg, &tgt))) {
            EXPECT_EQ(list_check(tgt), 50);
            bio_close(tgt);
        }
        drop(f);
    }
}

TEST_ON(bio_dev, roles_apart, BACKEND_LINUX | BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_roles);
    }
    fix_fini(&f);
}

/* ---- whose it is ------------------------------------------------------------------------------------------------------- */

static void
refused(struct fix *f, int want, const char *says)
{
    struct dev_test *dt = dt_of(f);
    uint32_t crc = dev_crc(f);

    EXPECT_EQ(take(f), want);
    if (!EXPECT(strstr(dt->err, says) != NULL))
        fprintf(stderr, "    said: %s\n", dt->err);
    EXPECT(strchr(dt->err, '\n') == NULL);
    EXPECT(want == 0 || strstr(dt->err, ": ") != NULL); /* cause: remedy */
    EXPECT_EQ(dev_crc(f), crc); /* DEV-1: nothing was changed */
    if (dt->rc == 0)
        drop(f);
}

static void
body_foreign(struct fix *f)
{
    struct dev_test *dt = dt_of(f);

    dev_poke(f, dt->off, dt->bytes, dt->len, false);
    refused(f, -DER_EXIST, dt->says);
    EXPECT(strstr(dt->err, "--force-format") != NULL);
    dt->dev.force = true;
    if (EXPECT_OK(take(f)))
        drop(f);
    dt->dev.force = false;
    if (EXPECT_OK(take(f))) /* ours from now on */
        drop(f);
}

/* Goal: a device of another program is named and left alone; force takes it, and no trace of the other is left. */
TEST_ON(bio_dev, foreign, BACKEND_SIM)
{
    static const struct {
        uint32_t off, len;
        const char *bytes, *says;
    } cases[] = {
        {1080, 2, "\x53\xef", "ext4"},
        {0, 4, "XFSB", "xfs"},
        {65600, 8, "_BHRfS_M", "btrfs"},
        {512, 8, "EFI PART", "(EFI)"},
        {510, 2, "\x55\xaa", "partition table"},
        {4086, 10, "SWAPSPACE2", "swap"},
        {0, 6, "LUKS\xba\xbe", "LUKS"},
        {0, 8, "SPDKBLOB", "SPDK"},
        {0, 8, "CAIRNBIO", "target"},
        {4096, 8, "CAIRNTAB", "label (offset 0) is damaged"},
        {999999, 1, "x", "unknown kind"},
        {DEV_BYTES - 512, 8, "EFI PART", "unknown kind"},
        {DEV_BYTES - 1, 1, "x", "unknown kind"},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct dev_test dt;
        struct fix f;

        if (fix_init(&f)) {
            dt_init(&f, &dt);
            dt.off = cases[i].off;
            dt.len = cases[i].len;
            dt.bytes = cases[i].bytes;
            dt.says = cases[i].says;
            fix_run(&f, body_foreign);
        }
        fix_fini(&f);
    }
}

static void
body_owner(struct fix *f)
{
    struct bio_dev_store other[STORE_NR];
    struct dev_test *dt = dt_of(f);
    struct bio_dev *second = NULL;
    char err[BIO_DEV_ERR_BYTES];

    if (!EXPECT_OK(take(f)))
        return;
    EXPECT_ERR(bio_dev_take(f->xs, &dt->dev, err, &second), BUSY); /* DEV-4 */
    EXPECT(strstr(err, "in use") != NULL);
    drop(f);
    dt->dev.system.b[5] ^= 1;
    refused(f, -DER_MISMATCH, "another system");
    dt->dev.system.b[5] ^= 1;
    dt->dev.rank++;
    refused(f, -DER_MISMATCH, "belongs to rank 3, not 4");
    dt->dev.rank--;
    memcpy(other, stores, sizeof(other));
    dt->dev.stores = other;
    dt->dev.store_nr = 2;
    refused(f, -DER_MISMATCH, "other targets or roles");
    dt->dev.store_nr = 3;
    other[0].tgt_idx = 7;
    refused(f, -DER_MISMATCH, "other targets or roles");
    other[0] = stores[0];
    other[1].roles &= ~(1u << BIO_ROLE_DATA);
    refused(f, -DER_MISMATCH, "other targets or roles");
    other[1] = stores[1];
    other[1].wal_bytes = 20 << 20; /* sizes count when it is formatted */
    if (EXPECT_OK(take(f)))
        drop(f);
    dt->dev.force = true; /* what is ours is never formatted again */
    refused(f, 0, "");
    dt->dev.rank++;
    if (EXPECT_OK(take(f)))
        drop(f);
    dt->dev.force = false;
    dt->dev.rank--;
    refused(f, -DER_MISMATCH, "belongs to rank 4, not 3");
}

TEST_ON(bio_dev, owner, BACKEND_LINUX | BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_owner);
    }
    fix_fini(&f);
}

/* A label of ours that says something else, as whole as before. */
static void
label_put(struct fix *f, struct bio_dev_label_df label)
{
    label.crc = crc32c(0, &label, sizeof(label) - 4);
    dev_poke(f, 0, &label, sizeof(label), false);
}

/* Not what it was: blank, smaller, of another version; too many stores; a folder, and what lies below a file. */
static void
body_not_it(struct fix *f)
{
    static struct bio_dev_store many[BIO_DEV_STORE_NR_MAX + 1];
    struct dev_test *dt = dt_of(f);
    struct bio_dev_label_df label, other;
    char path[BIO_PATH_BYTES];
    uint8_t zero = 0;

    dev_poke(f, 0, &zero, 1, false);
    dt->dev.must_exist = true;
    refused(f, -DER_DF_INVAL, "is blank, but was formatted");
    dt->dev.must_exist = false;
    for (uint32_t i = 0; i < ARRAY_SIZE(many); i++) {
        many[i] = (struct bio_dev_store){.tgt_idx = i, .roles = ALL, .weight = 1};
    }
    dt->dev.stores = many;
    dt->dev.store_nr = ARRAY_SIZE(many);
    refused(f, -DER_INVAL, "check the device");
    dt->dev.stores = stores;
    dt->dev.store_nr = STORE_NR;
    if (!EXPECT_OK(take(f)))
        return;
    drop(f);
    label_read(f, &label);
    other = label;
    other.dev_bytes += 4096;
    label_put(f, other);
    refused(f, -DER_DF_INVAL, "became smaller");
    for (uint32_t i = 0; i < 3; i++) {
        other = label;
        other.version += i == 0;
        other.incompat = i == 1 ? UINT64_C(1) << 63 : label.incompat;
        other.ro_compat = i == 2 ? UINT64_C(1) << 63 : label.ro_compat;
        label_put(f, other);
        refused(f, -DER_DF_INCOMPT, "use the software that wrote it");
    }
    label_put(f, label);
    refused(f, 0, "");
    memcpy(path, dt->dev.path, sizeof(path));
    if (f->sim == NULL) {
        snprintf(dt->dev.path, sizeof(dt->dev.path), "%s", test_tmpdir());
        EXPECT(take(f) != 0);
        EXPECT(strstr(dt->err, test_tmpdir()) != NULL);
        snprintf(dt->dev.path, sizeof(dt->dev.path), "%.*s/below", 240, path);
        EXPECT(take(f) != 0);
        EXPECT(strstr(dt->err, "neither a block device nor a file") != NULL);
        memcpy(dt->dev.path, path, sizeof(path));
    }
    /* Over another version only when that was asked for. */
    other.version++;
    label_put(f, other);
    dt->dev.force = true;
    if (EXPECT_OK(take(f)))
        drop(f);
    label_read(f, &other);
    EXPECT_EQ(other.version, BIO_DEV_VERSION);
    EXPECT(cuuid_cmp(&other.device, &label.device) != 0); /* it was formatted anew */
}

TEST_ON(bio_dev, not_what_it_was, BACKEND_LINUX | BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_not_it);
    }
    fix_fini(&f);
}

static void
body_absent(struct fix *f)
{
    struct dev_test *dt = dt_of(f);

    dt->dev.file_bytes = 0;
    EXPECT_ERR(take(f), NONEXIST);
    EXPECT(strstr(dt->err, "does not exist") != NULL);
    dt->dev.file_bytes = 1 << 20;
    EXPECT_ERR(take(f), NOSPACE);
    EXPECT(strstr(dt->err, "too small") != NULL);
    CAIRN_IGNORE(f->plat->ops->file_remove(f->plat, dt->dev.path));
    dt->dev.file_bytes = 100 << 20;
    EXPECT_ERR(take(f), NOSPACE);
    EXPECT(strstr(dt->err, "has 100 MiB, too few") != NULL);
    CAIRN_IGNORE(f->plat->ops->file_remove(f->plat, dt->dev.path));
    dt->dev.file_bytes = DEV_BYTES;
    if (EXPECT_OK(take(f)))
        drop(f);
}

TEST_ON(bio_dev, absent_or_small, BACKEND_LINUX | BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_absent);
    }
    fix_fini(&f);
}

/* ---- damage ------------------------------------------------------------------------------------------------------------ */

static void
body_flip(struct fix *f)
{
    struct dev_test *dt = dt_of(f);
    uint64_t seed = test_seed();
    struct bio_cfg cfg;
    struct bio_tgt *tgt;
    uint64_t mark;

    if (!EXPECT_OK(take(f)))
        return;
    cfg = cfg_of(f, 1);
    EXPECT_OK(bio_format(f->xs, &cfg));
    mark = cfg.places[BIO_ROLE_TARGET].off;
    drop(f);
    for (uint32_t bit = 0; bit < 8 * 512 && !test_failed(); bit++) { /* the label */
        uint8_t b = (uint8_t)(1u << bit % 8);

        dev_poke(f, bit / 8, &b, 1, true);
        if (!EXPECT_NE(take(f), 0)) {
            drop(f);
            fprintf(stderr, "    bit %u\n", bit);
        }
        EXPECT(dt->rc == -DER_EXIST || dt->rc == -DER_CSUM);
        EXPECT(strstr(dt->err, "damaged") != NULL);
        dev_poke(f, bit / 8, &b, 1, true);
    }
    for (uint32_t i = 0; i < 500 && !test_failed(); i++) { /* the table */
        uint32_t bit = (uint32_t)(test_rand(&seed) % (8 * (i % 2 == 0 ? 400 : BIO_DEV_TAB_BYTES)));
        uint8_t b = (uint8_t)(1u << bit % 8);

        dev_poke(f, BIO_DEV_TAB_OFF + bit / 8, &b, 1, true);
        EXPECT_ERR(take(f), CSUM);
        dev_poke(f, BIO_DEV_TAB_OFF + bit / 8, &b, 1, true);
    }
    if (!EXPECT_OK(take(f)))
        return;
    bio_dev_place(dt->taken, &cfg);
    for (uint32_t bit = 0; bit < 8 * 512 && !test_failed(); bit += 3) { /* superblock and seal */
        uint8_t b = (uint8_t)(1u << bit % 8);

        for (uint32_t blk = 0; blk < 2; blk++) {
            int rc;

            dev_poke(f, mark + blk * BIO_BLK_BYTES + bit / 8, &b, 1, true);
            rc = bio_open(f->xs, &cfg, &tgt);
            EXPECT(rc == -DER_CSUM || rc == -DER_DF_INVAL);
            EXPECT_ERR(bio_format(f->xs, &cfg), EXIST); /* no new format over data */
            dev_poke(f, mark + blk * BIO_BLK_BYTES + bit / 8, &b, 1, true);
        }
    }
    if (EXPECT_OK(bio_open(f->xs, &cfg, &tgt)))
        bio_close(tgt);
    drop(f);
}

TEST_ON(bio_dev, flipped_bits, BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
        dt_init(&f, &dt);
        fix_run(&f, body_flip);
    }
    fix_fini(&f);
}

struct told {
    uint32_t nr, mended_nr;
    struct bio_img_bad last;
};

static void
dev_bad(void *arg, const struct bio_img_bad *bad)
{
    struct told *told = arg;

    told->nr++;
    told->mended_nr += bad->is_mended;
    told->last = *bad;
}

static void
body_scrub(struct fix *f)
{
    struct dev_test *dt = dt_of(f);
    struct bio_dev_label_df other;
    uint64_t seed = test_seed();
    struct told told = {0};
    uint32_t nr = 0;

    if (!EXPECT_OK(take(f)))
        return;
    EXPECT_OK(bio_dev_scrub(dt->taken, f->xs, dev_bad, &told));
    EXPECT_EQ(told.nr, 0);
    for (; nr < 60 && !test_failed(); nr++) {
        bool is_label = nr % 2 == 0;
        uint32_t bit = (uint32_t)(test_rand(&seed) % (8 * (is_label ? 512 : BIO_DEV_TAB_BYTES)));
        uint8_t b = (uint8_t)(1u << bit % 8);

        dev_poke(f, (is_label ? 0 : BIO_DEV_TAB_OFF) + bit / 8, &b, 1, true);
        EXPECT_OK(bio_dev_scrub(dt->taken, f->xs, dev_bad, &told));
        EXPECT(told.last.kind == (is_label ? BIO_IMG_LABEL : BIO_IMG_TABLE) &&
            told.last.rc == -DER_CSUM);
        EXPECT_OK(bio_dev_scrub(dt->taken, f->xs, dev_bad, &told));
        EXPECT(told.nr == nr + 1 && told.mended_nr == nr + 1);
    }
    drop(f);
    dt->dev.must_exist = true;
    if (!EXPECT_OK(take(f))) /* as good as before */
        return;
    /* Somebody else's label is not written over. */
    EXPECT_OK(bio_dev_scrub(dt->taken, f->xs, dev_bad, &told));
    EXPECT_EQ(told.nr, nr);
    label_read(f, &other);
    other.rank++;
    other.crc = crc32c(0, &other, sizeof(other) - 4);
    dev_poke(f, 0, &other, sizeof(other), false);
    EXPECT_OK(bio_dev_scrub(dt->taken, f->xs, dev_bad, &told));
    EXPECT(told.nr == nr + 1 && told.mended_nr == nr && told.last.rc == -DER_MISMATCH);
    drop(f);
    EXPECT_ERR(take(f), MISMATCH);
}

TEST_ON(bio_dev, scrub, BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_scrub);
    }
    fix_fini(&f);
}

/* Tables with right checksums that make no sense. */
TEST(bio_dev, absurd_tables)
{
    struct bio_dev_tab_df *tab = calloc(1, sizeof(*tab));
    struct bio_dev_label_df label = {.magic = BIO_DEV_MAGIC,
        .version = BIO_DEV_VERSION,
        .state = BIO_DEV_READY,
        .region_nr = 2,
        .dev_bytes = DEV_BYTES};
    const struct bio_dev_region_df good[2] = {
        {BIO_ROLE_WAL, 0, 1 << 20, 16 << 20}, {BIO_ROLE_DATA, 0, 32 << 20, 16 << 20}};
    struct bio_dev_region_df bad[] = {
        {BIO_ROLE_NR, 0, 32 << 20, 16 << 20},
        {BIO_ROLE_DATA, 0, 16 << 20, 16 << 20}, /* into the first */
        {BIO_ROLE_DATA, 0, 0, 16 << 20}, {BIO_ROLE_DATA, 0, 32 << 20, 0},
        {BIO_ROLE_DATA, 0, 32 << 20, 4095}, {BIO_ROLE_DATA, 0, (32 << 20) + 512, 16 << 20},
        {BIO_ROLE_DATA, 0, 32 << 20, DEV_BYTES - (32 << 20)}, /* into the last MiB */
        {BIO_ROLE_DATA, 0, 32 << 20, UINT64_MAX & ~UINT64_C(4095)},
        {BIO_ROLE_DATA, 0, UINT64_MAX & ~UINT64_C(4095), 16 << 20},
        {BIO_ROLE_WAL, 0, 32 << 20, 16 << 20}, /* twice */
    };

    tab->magic = BIO_DEV_TAB_MAGIC;
    for (uint32_t i = 0; i <= ARRAY_SIZE(bad); i++) {
        memcpy(tab->regions, good, sizeof(good));
        if (i > 0)
            tab->regions[1] = bad[i - 1];
        label.tab_crc = crc32c(0, tab, sizeof(*tab));
        label.crc = crc32c(0, &label, sizeof(label) - 4);
        EXPECT_OK(bio_dev_label_check(&label));
        EXPECT_EQ(bio_dev_tab_check(&label, tab), i == 0 ? 0 : -DER_DF_INVAL);
    }
    label.region_nr = BIO_DEV_REGION_NR_MAX + 1;
    label.crc = crc32c(0, &label, sizeof(label) - 4);
    EXPECT_ERR(bio_dev_label_check(&label), DF_INVAL);
    label.region_nr = 2;
    label.version = 2;
    label.crc = crc32c(0, &label, sizeof(label) - 4);
    EXPECT_ERR(bio_dev_label_check(&label), DF_INCOMPT);
    free(tab);
}

/* ---- cut short --------------------------------------------------------------------------------------------------------- */

static void
body_start(struct fix *f)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct bio_cfg cfg;
        bool yes = false;

        if (dt_of(f)->taken == NULL && !EXPECT_OK(take(f)))
            return;
        cfg = cfg_of(f, i);
        cfg.pending = &f->tgt;
        EXPECT_OK(bio_formatted(f->xs, &cfg, &yes));
        if (!yes && !EXPECT_OK(bio_format(f->xs, &cfg)))
            return;
        if (!EXPECT_OK(bio_open(f->xs, &cfg, &f->tgt)))
            return;
        push_to(f->tgt, list_nr(f->tgt) + 20, 100);
        bio_close(f->tgt); /* may be cut, too: then f->tgt is reaped */
        f->tgt = NULL;
    }
    drop(f);
}

static void
dev_reap(struct dev_test *dt)
{
    bio_dev_abandon(dt->pending);
    bio_dev_abandon(dt->taken);
    dt->pending = dt->taken = NULL;
}

/* Goal: power lost at any write of the first start: the next start takes the device and formats what was not. Method: at each write of
 * the device's own format, then at every third. */
TEST_ON(bio_dev, format_cut_anywhere, BACKEND_SIM)
{
    uint64_t writes_nr = 1;

    for (uint64_t n = 1; n <= writes_nr && !test_failed(); n += n < 24 ? 1 : 3) {
        struct sim_opts opts = {
            .seed = test_seed() + n, .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 200000};
        struct dev_test dt;
        struct fix f;

        if (!fix_init_opts(&f, &opts))
            return;
        dt_init(&f, &dt);
        if (n == 1) {
            EXPECT(fix_run(&f, body_start));
            writes_nr = sim_host_writes(f.sim, "h0");
            EXPECT_GT(writes_nr, 30);
        } else {
            sim_host_power_loss_at(f.sim, "h0", n);
            fix_run(&f, body_start);
            dev_reap(&dt);
            if (f.xs == NULL)
                EXPECT(fix_start(&f));
            EXPECT(fix_run(&f, body_start));
        }
        EXPECT(f.tgt == NULL && dt.taken == NULL);
        fix_fini(&f);
        dev_reap(&dt);
    }
}

/* ---- progress ---------------------------------------------------------------------------------------------------------- */

static void
said_sink(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    uint32_t *nr = arg;

    (void)level;
    (void)file;
    (void)line;
    *nr += strstr(text, "zeros are written to its log") != NULL;
}

static void
body_format(struct fix *f)
{
    EXPECT_OK(bio_format(f->xs, &f->cfg));
}

/* Goal: a format that takes long says so, one that does not says nothing. */
TEST_ON(bio_dev, zeroing_says_how_far, BACKEND_SIM)
{
    for (uint32_t slow = 0; slow < 2; slow++) {
        uint64_t ns = slow ? UINT64_C(900000000) : 10000;
        struct sim_opts opts = {.seed = test_seed(), .disk_lat_lo_ns = ns, .disk_lat_hi_ns = ns};
        uint32_t said_nr = 0;
        struct fix f;

        if (!fix_init_opts(&f, &opts))
            return;
        log_sink_set(said_sink, &said_nr, LOG_LEVEL_INFO);
        EXPECT(fix_run(&f, body_format));
        log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
        fix_fini(&f);
        if (slow) {
            EXPECT_GE(said_nr, 2); /* 4 writes of 4 MiB, 3.6 s */
            EXPECT_LE(said_nr, 3);
        } else {
            EXPECT_EQ(said_nr, 0);
        }
    }
}

/* ---- a device that fails ------------------------------------------------------------------------------------------------ */

static void
body_neighbours(struct fix *f)
{
    struct bio_tgt *tgts[STORE_NR] = {NULL}, *apart = NULL;
    struct bio_cfg cfgs[STORE_NR], cfg = f->cfg;
    uint64_t lsn = 0, probes = probe_hits("bio.tgt.neighbour_failed");

    if (!EXPECT_OK(take(f)))
        return;
    for (uint32_t i = 0; i < STORE_NR; i++) {
        cfgs[i] = cfg_of(f, stores[i].tgt_idx);
        if (!EXPECT_OK(bio_format(f->xs, &cfgs[i])) ||
            !EXPECT_OK(bio_open(f->xs, &cfgs[i], &tgts[i])))
            return;
        push_to(tgts[i], 100 + i, 500);
    }
    snprintf(cfg.dir, sizeof(cfg.dir), "/t/apart");
    cfg.wal_bytes = 16 << 20;
    cfg.meta_bytes = 8 << 20;
    cfg.data_bytes = 8 << 20;
    cfg.pending = NULL;
    if (!EXPECT_OK(bio_format(f->xs, &cfg)) || !EXPECT_OK(bio_open(f->xs, &cfg, &apart)))
        return;
    push_to(apart, 50, 500);

    /* The second one has something in memory that is not durable yet when the first one's write fails. */
    sim_disk_errors_set(f->sim, "h0", dt_of(f)->dev.path, 1000000);
    EXPECT_OK(push(tgts[0], 100, 500, &lsn));
    EXPECT_ERR(bio_wal_wait(tgts[0], lsn), NVME_IO);
    sim_disk_errors_set(f->sim, "h0", dt_of(f)->dev.path, 0);
    for (uint32_t i = 0; i < STORE_NR; i++) {
        EXPECT_ERR(bio_status(tgts[i]), NVME_IO);
    }
    EXPECT_OK(bio_status(apart));
    EXPECT_OK(push(tgts[1], 101, 500, &lsn));
    EXPECT_ERR(bio_wal_wait(tgts[1], lsn), NVME_IO); /* though the device takes it */
    EXPECT_ERR(umem_tx_admit(bio_umem(tgts[1])), NVME_IO);
    EXPECT_ERR(bio_checkpoint(tgts[2]), NVME_IO);
    EXPECT_EQ(probe_hits("bio.tgt.neighbour_failed"), probes + 2);
    push_to(apart, 60, 500);
    for (uint32_t i = 0; i < STORE_NR; i++) {
        bio_close(tgts[i]);
    }
    bio_close(apart);
    drop(f);

    if (!EXPECT_OK(take(f))) /* a new start, and the device is well */
        return;
    for (uint32_t i = 0; i < STORE_NR; i++) {
        cfgs[i] = cfg_of(f, stores[i].tgt_idx);
        if (!EXPECT_OK(bio_open(f->xs, &cfgs[i], &tgts[i])))
            return;
        EXPECT_OK(bio_status(tgts[i]));
        EXPECT_GE(list_check(tgts[i]), 100 + i);
        push_to(tgts[i], 200, 500);
        bio_close(tgts[i]);
    }
    drop(f);
}

/* Goal: a write that fails on a device stops every target there, each before it promises anything more (DEV-5), and nobody elsewhere. */
TEST_ON(bio_dev, failure_stops_neighbours, BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_neighbours);
    }
    fix_fini(&f);
}

/* ---- golden image ------------------------------------------------------------------------------------------------------ */

enum { IMG_MAGIC = 0x474d4944 /* "DIMG" */, IMG_LIST_NR = 30, MIB = 1 << 20 };

static void
body_img_make(struct fix *f)
{
    struct bio_tgt *tgt;

    if (!EXPECT_OK(take(f)))
        return;
    for (uint32_t i = 0; i < STORE_NR; i++) {
        struct bio_cfg cfg = cfg_of(f, stores[i].tgt_idx);

        EXPECT_OK(bio_format(f->xs, &cfg));
        if (!EXPECT_OK(bio_open(f->xs, &cfg, &tgt)))
            return;
        push_to(tgt, IMG_LIST_NR / 2, 60);
        EXPECT_OK(bio_checkpoint(tgt));
        push_to(tgt, IMG_LIST_NR + i, 60);
        bio_close(tgt);
    }
    drop(f);
}

/* Blocks of the device that are not zero; all else that the stores have is on it. */
static void
body_img_write(struct fix *f)
{
    static const uint8_t zero[BIO_BLK_BYTES];
    struct bio_disk disk = {.plat = f->plat, .bytes = DEV_BYTES};
    uint8_t *mem = bio_mem_get(MIB), num[16];

    EXPECT_OK(f->plat->ops->disk_open(
        f->plat, xstream_loop(f->xs), dt_of(f)->dev.path, PLAT_DISK_RDONLY, 0, &disk.disk));
    for (uint64_t off = 0; off < DEV_BYTES; off += MIB) {
        EXPECT_OK(bio_disk_rw(&disk, PLAT_IO_READ, 0, off, mem, MIB));
        for (uint32_t b = 0; b < MIB; b += BIO_BLK_BYTES) {
            if (memcmp(mem + b, zero, BIO_BLK_BYTES) == 0)
                continue;
            le64_put(num, IMG_MAGIC);
            le64_put(num + 8, off + b);
            fwrite(num, 1, sizeof(num), dt_of(f)->img);
            fwrite(mem + b, 1, BIO_BLK_BYTES, dt_of(f)->img);
        }
    }
    f->plat->ops->disk_close(disk.disk);
    free(mem);
}

static void
body_img_load(struct fix *f)
{
    struct bio_disk disk = {.plat = f->plat, .bytes = DEV_BYTES};
    uint8_t *blk = bio_mem_get(BIO_BLK_BYTES), num[16];
    FILE *img = dt_of(f)->img;
    uint32_t nr = 0;

    EXPECT_OK(f->plat->ops->disk_open(
        f->plat, xstream_loop(f->xs), dt_of(f)->dev.path, PLAT_DISK_CREATE, DEV_BYTES, &disk.disk));
    for (; fread(num, 1, sizeof(num), img) == sizeof(num); nr++) {
        if (!EXPECT_EQ(le64_get(num), IMG_MAGIC) ||
            !EXPECT_EQ(fread(blk, 1, BIO_BLK_BYTES, img), BIO_BLK_BYTES))
            break;
        EXPECT_OK(
            bio_disk_rw(&disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, le64_get(num + 8), blk, BIO_BLK_BYTES));
    }
    EXPECT_GT(nr, 20);
    f->plat->ops->disk_close(disk.disk);
    free(blk);
}

static void
body_img_check(struct fix *f)
{
    struct bio_tgt *tgt;
    uint32_t crc = dev_crc(f);

    if (!EXPECT_OK(take(f)))
        return;
    EXPECT_EQ(dev_crc(f), crc); /* taken as it is, not formatted anew */
    for (uint32_t i = 0; i < STORE_NR; i++) {
        struct bio_cfg cfg = cfg_of(f, stores[i].tgt_idx);

        if (!EXPECT_OK(bio_open(f->xs, &cfg, &tgt)))
            return;
        EXPECT_OK(bio_check(tgt));
        EXPECT_EQ(list_check(tgt), IMG_LIST_NR + i);
        push_to(tgt, 100, 60); /* and it can be written */
        EXPECT_EQ(list_check(tgt), 100);
        bio_close(tgt);
    }
    drop(f);
}

/* Goal: a shared device as version 1 wrote it opens, and every store on it holds what was put in. */
TEST_ON(bio_dev, golden_image, BACKEND_SIM)
{
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        dt.img = fopen(BIO_COMPAT_DIR "/v1_dev.img", "rb");
        if (EXPECT(dt.img != NULL)) {
            fix_run(&f, body_img_load);
            fix_run(&f, body_img_check);
            fclose(dt.img);
        }
    }
    fix_fini(&f);
}

/* Goal: the maker of the image stays alive. */
TEST_ON(bio_dev, golden_image_is_made, BACKEND_SIM)
{
    const char *path = getenv("BIO_DEV_COMPAT_WRITE");
    struct dev_test dt;
    struct fix f;

    if (fix_init(&f)) {
        dt_init(&f, &dt);
        fix_run(&f, body_img_make);
        dt.img = path != NULL ? fopen(path, "wbx") : tmpfile();
        if (EXPECT(dt.img != NULL)) {
            fix_run(&f, body_img_write);
            EXPECT_GT(ftell(dt.img), 20 * BIO_BLK_BYTES);
            fclose(dt.img);
        }
        fix_run(&f, body_img_check);
    }
    fix_fini(&f);
}
