/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Devices shared by targets: label, table of regions, and whose a device is (DEV-1 to DEV-4). What a target does with its regions is in
 * bio_tgt.c. A device is laid out once, for all of its targets together, so that its table never changes and nobody has to agree
 * with anybody later.
 *
 * Sizes: each store gets the least that it needs; what is left is shared out by weight, a sixteenth of a share to the log (64 MiB at
 * most), some percent to the metadata (its arena is half of that), the rest to the data. Tested by bio_dev_test.c: power lost at each write of a format, each bit
 * of the label and the table flipped, other systems' and other programs' devices.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/util.h"
#include "bio/bio_dev.h"
#include "bio/bio_priv.h"

enum {
    REGION_ALIGN = 64 << 10,
    ARENA_BYTES_MIN = 16 << 20,
    DATA_BYTES_MIN = 16 << 20,
    META_PCT = 12,
    MARK_BYTES = 2 * BIO_BLK_BYTES, /* of a target region: superblock, seal */
};

struct bio_dev {
    struct plat *plat;
    struct bio_disk disk; /* open while it is taken */
    struct plat_dirlock *lock;
    char path[BIO_PATH_BYTES];
    bool has_failed; /* atomic (DEV-5) */
    char *err;
    uint8_t *buf; /* BIO_DEV_EDGE_BYTES, while it is taken */
    struct bio_dev_label_df label;
    struct bio_dev_tab_df tab;
};

static void dev_text(struct bio_dev *dev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
dev_text(struct bio_dev *dev, const char *fmt, ...)
{
    va_list ap;

    if (dev->err == NULL)
        return;
    va_start(ap, fmt);
    CAIRN_IGNORE(vsnprintf(dev->err, BIO_DEV_ERR_BYTES, fmt, ap));
    va_end(ap);
}

/* ---- layout ------------------------------------------------------------------------------------------------------------ */

static bool
has_role(const struct bio_dev_store *store, enum bio_role role)
{
    if (role == BIO_ROLE_TARGET)
        role = BIO_ROLE_WAL;
    return (store->roles & 1u << role) != 0;
}

static uint64_t
arena_least(const struct bio_dev_store *store)
{
    return store->meta_least != 0 ? store->meta_least : ARENA_BYTES_MIN;
}

/* The least bytes of a region, or what was asked for. */
static uint64_t
role_need(const struct bio_dev_store *store, enum bio_role role)
{
    uint64_t arena = store->meta_bytes != 0 ? store->meta_bytes : arena_least(store);
    uint64_t bytes = 0;

    if (!has_role(store, role))
        return 0;
    if (role == BIO_ROLE_TARGET)
        bytes = REGION_ALIGN;
    if (role == BIO_ROLE_WAL)
        bytes = store->wal_bytes != 0 ? store->wal_bytes : BIO_WAL_BYTES_MIN;
    if (role == BIO_ROLE_META)
        bytes = bio_ckpt_file_bytes(ALIGN_DOWN(arena, (uint64_t)UMEM_PAGE_BYTES));
    if (role == BIO_ROLE_DATA)
        bytes = store->data_bytes != 0 ? store->data_bytes : DATA_BYTES_MIN;
    return ALIGN_UP(bytes, (uint64_t)REGION_ALIGN);
}

/* What the regions of a store take of `more` bytes beyond their needs. */
static void
more_give(const struct bio_dev_store *store, uint64_t more, uint64_t *bytes)
{
    bool has_data = has_role(store, BIO_ROLE_DATA);
    uint32_t pct = store->meta_pct != 0 ? MIN(store->meta_pct, 90U) : META_PCT;
    uint64_t wal = 0, meta = 0;

    if (has_role(store, BIO_ROLE_WAL) && store->wal_bytes == 0) {
        wal = MIN(
            has_data ? more / 16 : more / 2, (uint64_t)(BIO_WAL_BYTES_DEFAULT - BIO_WAL_BYTES_MIN));
        wal = ALIGN_DOWN(wal, (uint64_t)REGION_ALIGN);
    }
    if (has_role(store, BIO_ROLE_META) && store->meta_bytes == 0) {
        uint64_t most = bio_ckpt_file_bytes(BIO_META_BYTES_DEFAULT) -
            bio_ckpt_file_bytes(MIN(arena_least(store), BIO_META_BYTES_DEFAULT));

        meta =
            ALIGN_DOWN(MIN(has_data ? more / 100 * pct : more - wal, most), (uint64_t)REGION_ALIGN);
    }
    bytes[BIO_ROLE_WAL] += wal;
    bytes[BIO_ROLE_META] += meta;
    if (has_data && store->data_bytes == 0)
        bytes[BIO_ROLE_DATA] += ALIGN_DOWN(more - wal - meta, (uint64_t)REGION_ALIGN);
}

int
bio_dev_plan(const struct bio_dev_store *stores, uint32_t store_nr, uint64_t dev_bytes,
    struct bio_dev_region_df *regions, uint32_t *ret_nr, uint64_t *ret_least)
{
    uint64_t need = 2 * BIO_DEV_EDGE_BYTES, weight = 0, more, off = BIO_DEV_EDGE_BYTES;
    uint32_t nr = 0;

    for (uint32_t i = 0; i < store_nr; i++) {
        weight += stores[i].weight;
        for (enum bio_role role = 0; role < BIO_ROLE_NR; role++) {
            uint64_t bytes = role_need(&stores[i], role);

            if (bytes > UINT64_MAX / 2 / BIO_DEV_REGION_NR_MAX)
                return CAIRN_ERR(INVAL);
            need += bytes;
        }
    }
    *ret_least = need;
    if (dev_bytes < need)
        return CAIRN_ERR(NOSPACE);
    more = dev_bytes - need;
    for (uint32_t i = 0; i < store_nr; i++) {
        uint64_t bytes[BIO_ROLE_NR];

        for (enum bio_role role = 0; role < BIO_ROLE_NR; role++) {
            bytes[role] = role_need(&stores[i], role);
        }
        if (weight > 0)
            more_give(&stores[i], more / weight * stores[i].weight, bytes);
        for (enum bio_role role = 0; role < BIO_ROLE_NR; role++) {
            if (bytes[role] == 0)
                continue;
            regions[nr++] = (struct bio_dev_region_df){
                .role = role, .tgt_idx = stores[i].tgt_idx, .off = off, .bytes = bytes[role]};
            off += bytes[role];
        }
    }
    CAIRN_ASSERT(off <= dev_bytes - BIO_DEV_EDGE_BYTES);
    *ret_nr = nr;
    return 0;
}

static const struct bio_dev_region_df *
region_find(const struct bio_dev *dev, uint32_t tgt_idx, enum bio_role role)
{
    for (uint32_t i = 0; i < dev->label.region_nr; i++) {
        const struct bio_dev_region_df *region = &dev->tab.regions[i];

        if (region->tgt_idx == tgt_idx && region->role == (uint32_t)role)
            return region;
    }
    return NULL;
}

/* The largest arena whose images and map fit. */
static uint64_t
arena_fit(uint64_t file_bytes)
{
    uint64_t lo = UMEM_PAGE_NR_MIN, hi = file_bytes >> UMEM_PAGE_BITS; /* pages */

    while (lo < hi) {
        uint64_t mid = (lo + hi + 1) / 2;

        if (bio_ckpt_file_bytes(mid << UMEM_PAGE_BITS) <= file_bytes) {
            lo = mid;
        } else {
            hi = mid - 1;
        }
    }
    return lo << UMEM_PAGE_BITS;
}

void
bio_dev_place(struct bio_dev *dev, struct bio_cfg *cfg)
{
    for (enum bio_role role = 0; role < BIO_ROLE_NR; role++) {
        const struct bio_dev_region_df *region = region_find(dev, cfg->tgt_idx, role);
        struct bio_place *place = &cfg->places[role];

        if (region == NULL)
            continue;
        memcpy(place->path, dev->path, sizeof(place->path));
        place->off = region->off;
        place->bytes = region->bytes;
        place->has_failed = &dev->has_failed;
        if (role == BIO_ROLE_WAL && cfg->wal_bytes == 0)
            cfg->wal_bytes = region->bytes;
        if (role == BIO_ROLE_META && cfg->meta_bytes == 0)
            cfg->meta_bytes = arena_fit(region->bytes);
        if (role == BIO_ROLE_DATA && cfg->data_bytes == 0) {
            cfg->data_bytes = MIN(region->bytes,
                (uint64_t)BIO_EXT_CHUNK_BLKS * BIO_EXT_L1_NR * BIO_EXT_L0_NR * BIO_BLK_BYTES);
        }
    }
}

struct uuid
bio_dev_uuid(const struct bio_dev *dev)
{
    return dev->label.device;
}

/* ---- checks (pure) ------------------------------------------------------------------------------------------------------ */

int
bio_dev_label_check(const struct bio_dev_label_df *label)
{
    if (label->magic != BIO_DEV_MAGIC)
        return CAIRN_ERR(DF_INVAL);
    if (label->crc != crc32c(0, label, sizeof(*label) - 4))
        return CAIRN_ERR(CSUM);
    if (label->version != BIO_DEV_VERSION || (label->incompat & ~BIO_DEV_FEAT_INCOMPAT) != 0 ||
        (label->ro_compat & ~BIO_DEV_FEAT_RO_COMPAT) != 0)
        return CAIRN_ERR(DF_INCOMPT);
    if ((label->state != BIO_DEV_FORMATTING && label->state != BIO_DEV_READY) ||
        label->region_nr > BIO_DEV_REGION_NR_MAX || label->dev_bytes < 2 * BIO_DEV_EDGE_BYTES)
        return CAIRN_ERR(DF_INVAL);
    return 0;
}

int
bio_dev_tab_check(const struct bio_dev_label_df *label, const struct bio_dev_tab_df *tab)
{
    uint64_t end = BIO_DEV_EDGE_BYTES, last = label->dev_bytes - BIO_DEV_EDGE_BYTES;

    if (crc32c(0, tab, sizeof(*tab)) != label->tab_crc)
        return CAIRN_ERR(CSUM);
    if (tab->magic != BIO_DEV_TAB_MAGIC || cuuid_cmp(&tab->device, &label->device) != 0)
        return CAIRN_ERR(DF_INVAL);
    for (uint32_t i = 0; i < label->region_nr; i++) {
        const struct bio_dev_region_df *region = &tab->regions[i];

        if (region->role >= BIO_ROLE_NR || region->off < end || region->off > last ||
            region->bytes < MARK_BYTES || region->bytes > last - region->off ||
            !IS_ALIGNED(region->off | region->bytes, (uint64_t)BIO_BLK_BYTES))
            return CAIRN_ERR(DF_INVAL);
        end = region->off + region->bytes;
        for (uint32_t k = 0; k < i; k++) {
            if (tab->regions[k].role == region->role && tab->regions[k].tgt_idx == region->tgt_idx)
                return CAIRN_ERR(DF_INVAL);
        }
    }
    return 0;
}

/* Are these exactly the regions that are asked for? */
static bool
is_asked_for(const struct bio_dev *dev, const struct bio_dev_cfg *cfg)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < cfg->store_nr; i++) {
        for (enum bio_role role = 0; role < BIO_ROLE_NR; role++) {
            if (!has_role(&cfg->stores[i], role))
                continue;
            if (region_find(dev, cfg->stores[i].tgt_idx, role) == NULL)
                return false;
            nr++;
        }
    }
    return nr == dev->label.region_nr;
}

/* What the first MiB of a device that is not ours shows; NULL: nothing that is known. */
static const char *
signature_name(const uint8_t *mib)
{
    static const struct {
        uint32_t off, len;
        const char *bytes, *name;
    } known[] = {
        {4096, 8, "CAIRNTAB", "storage of this program whose label (offset 0) is damaged"},
        {0, 8, "CAIRNBIO", "the storage of a target, as a file has it"},
        {0, 8, "SPDKBLOB", "an SPDK blobstore, as the original uses it"},
        {0, 4, "XFSB", "an xfs file system"},
        {1080, 2, "\x53\xef", "an ext2, ext3 or ext4 file system"},
        {65600, 8, "_BHRfS_M", "a btrfs file system"},
        {1024, 4, "\x10\x20\xf5\xf2", "an f2fs file system"},
        {0, 6, "LUKS\xba\xbe", "an encrypted volume (LUKS)"},
        {512, 8, "LABELONE", "an LVM volume"},
        {4096, 4, "\xfc\x4e\x2b\xa9", "a member of a RAID (md)"},
        {4086, 10, "SWAPSPACE2", "swap space"},
        {512, 8, "EFI PART", "a partition table (EFI)"},
        {4096, 8, "EFI PART", "a partition table (EFI)"},
        {510, 2, "\x55\xaa", "a partition table or a boot sector"},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (memcmp(mib + known[i].off, known[i].bytes, known[i].len) == 0)
            return known[i].name;
    }
    return NULL;
}

/* ---- format ------------------------------------------------------------------------------------------------------------ */

static int
dev_sync(struct bio_dev *dev)
{
    return bio_disk_rw(&dev->disk, PLAT_IO_SYNC, 0, 0, NULL, 0);
}

static int
zeros_put(struct bio_dev *dev, uint64_t off, uint64_t len)
{
    memset(dev->buf, 0, len);
    return bio_disk_rw(&dev->disk, PLAT_IO_WRITE, 0, off, dev->buf, len);
}

/* Whole or not at all: what counts is in the first sector, the rest of the block is zero before and after. */
static int
label_put(struct bio_dev *dev, enum bio_dev_state state)
{
    dev->label.state = state;
    dev->label.crc = crc32c(0, &dev->label, sizeof(dev->label) - 4);
    memset(dev->buf, 0, BIO_BLK_BYTES);
    memcpy(dev->buf, &dev->label, sizeof(dev->label));
    return bio_disk_rw(&dev->disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 0, dev->buf, BIO_BLK_BYTES);
}

static int
dev_format(struct bio_dev *dev, const struct bio_dev_cfg *cfg)
{
    struct bio_dev_label_df *label = &dev->label;
    uint64_t r[2], least = 0, bytes = ALIGN_DOWN(dev->disk.bytes, (uint64_t)REGION_ALIGN);
    int rc;

    memset(label, 0, sizeof(*label));
    memset(&dev->tab, 0, sizeof(dev->tab));
    dev->plat->ops->random(dev->plat, r, sizeof(r));
    label->magic = BIO_DEV_MAGIC;
    label->version = BIO_DEV_VERSION;
    label->system = cfg->system;
    label->device = cuuid_from_random(r[0], r[1]);
    label->rank = cfg->rank;
    label->dev_bytes = bytes;
    dev->tab.magic = BIO_DEV_TAB_MAGIC;
    dev->tab.device = label->device;
    rc = bio_dev_plan(cfg->stores, cfg->store_nr, bytes, dev->tab.regions, &label->region_nr, &least);
    if (rc == -DER_NOSPACE) {
        dev_text(dev,
            "%s has %lu MiB, too few for what shall lie on it, at least %lu MiB: give it fewer "
            "targets or smaller sizes, or use a larger device",
            dev->path, (unsigned long)(bytes >> 20), (unsigned long)((least >> 20) + 1));
    }
    if (rc != 0)
        return rc;
    LOG_INFO("%s: formatting it for rank %u", dev->path, cfg->rank);
    rc = label_put(dev, BIO_DEV_FORMATTING);
    if (rc == 0) /* what others' tools recognise, and stale marks */
        rc = zeros_put(dev, BIO_BLK_BYTES, BIO_DEV_EDGE_BYTES - BIO_BLK_BYTES);
    if (rc == 0) {
        rc = zeros_put(dev, ALIGN_DOWN(dev->disk.bytes, (uint64_t)BIO_BLK_BYTES) - BIO_DEV_EDGE_BYTES,
            BIO_DEV_EDGE_BYTES);
    }
    for (uint32_t i = 0; rc == 0 && i < label->region_nr; i++) {
        if (dev->tab.regions[i].role == BIO_ROLE_TARGET)
            rc = zeros_put(dev, dev->tab.regions[i].off, MARK_BYTES);
    }
    if (rc == 0) {
        memcpy(dev->buf, &dev->tab, sizeof(dev->tab));
        rc = bio_disk_rw(&dev->disk, PLAT_IO_WRITE, 0, BIO_DEV_TAB_OFF, dev->buf, sizeof(dev->tab));
    }
    if (rc == 0)
        rc = dev_sync(dev);
    label->tab_crc = crc32c(0, &dev->tab, sizeof(dev->tab));
    return rc != 0 ? rc : label_put(dev, BIO_DEV_READY);
}

/* ---- take -------------------------------------------------------------------------------------------------------------- */

static void
open_text(struct bio_dev *dev, const struct bio_dev_cfg *cfg, int rc)
{
    if (rc == -DER_NONEXIST) {
        dev_text(dev, "%s does not exist: check bdev_list%s", dev->path,
            cfg->file_bytes != 0 ? " and the directory of the file"
                                 : ", and that the device is there");
    } else if (rc == -DER_NO_PERM) {
        dev_text(dev, "%s may not be opened for writing: check its owner and permissions", dev->path);
    } else if (rc == -DER_BUSY) {
        dev_text(dev,
            "%s is mounted, or in use by another process: unmount it or stop that process, or "
            "choose another device",
            dev->path);
    } else if (rc == -DER_INVAL || rc == -DER_NOTDIR) {
        dev_text(dev, "%s is neither a block device nor a file: check bdev_list", dev->path);
    } else {
        dev_text(dev, "%s cannot be opened: %s", dev->path, err_text(rc));
    }
}

static int
dev_open(struct bio_dev *dev, struct xstream *xs, const struct bio_dev_cfg *cfg)
{
    const struct plat_ops *ops = dev->plat->ops;
    int rc;

    dev->disk.plat = dev->plat;
    rc = ops->disk_open(dev->plat, xstream_loop(xs), dev->path,
        cfg->file_bytes != 0 && !cfg->must_exist ? PLAT_DISK_CREATE : 0,
        ALIGN_DOWN(cfg->file_bytes, (uint64_t)BIO_BLK_BYTES), &dev->disk.disk);
    if (rc == 0) {
        dev->disk.bytes = ops->disk_size(dev->disk.disk);
        rc = ops->dir_lock(dev->plat, dev->path, &dev->lock);
    }
    if (rc != 0)
        open_text(dev, cfg, rc);
    return rc;
}

/* Not ours: blank, or to be overwritten? */
static int
foreign_check(struct bio_dev *dev, const struct bio_dev_cfg *cfg)
{
    const char *what;
    bool is_blank;
    int rc;

    if (cfg->force) {
        LOG_WARN("%s: whatever it holds is overwritten, as was asked for", dev->path);
        return 0;
    }
    rc = bio_disk_rw(&dev->disk, PLAT_IO_READ, 0, 0, dev->buf, BIO_DEV_EDGE_BYTES);
    if (rc != 0)
        return rc;
    what = signature_name(dev->buf);
    is_blank = bio_is_blank(dev->buf, BIO_DEV_EDGE_BYTES);
    if (is_blank) {
        rc = bio_disk_rw(&dev->disk, PLAT_IO_READ, 0,
            ALIGN_DOWN(dev->disk.bytes, (uint64_t)BIO_BLK_BYTES) - BIO_DEV_EDGE_BYTES, dev->buf,
            BIO_DEV_EDGE_BYTES);
        if (rc != 0)
            return rc;
        is_blank = bio_is_blank(dev->buf, BIO_DEV_EDGE_BYTES);
    }
    if (is_blank && cfg->must_exist) {
        dev_text(dev,
            "%s is blank, but was formatted with the rest of this engine: put the device back "
            "that was there, or check bdev_list",
            dev->path);
        return CAIRN_ERR(DF_INVAL);
    }
    if (is_blank)
        return 0;
    dev_text(dev,
        "%s holds %s, and is left as it is: choose another device or, if its contents may go, "
        "start once with --force-format",
        dev->path, what != NULL ? what : "data of an unknown kind");
    return CAIRN_ERR(EXIST);
}

/* Ours: of this system and rank? */
static int
owner_check(struct bio_dev *dev, const struct bio_dev_cfg *cfg)
{
    const struct bio_dev_label_df *label = &dev->label;
    char text[CUUID_TEXT_BYTES];

    if (cuuid_cmp(&label->system, &cfg->system) != 0) {
        dev_text(dev,
            "%s belongs to another system (uuid %s): use its system name, or another device",
            dev->path, cuuid_format(&label->system, text));
        return CAIRN_ERR(MISMATCH);
    }
    if (label->rank != cfg->rank) {
        dev_text(dev, "%s belongs to rank %u, not %u: start that rank, or use another device",
            dev->path, label->rank, cfg->rank);
        return CAIRN_ERR(MISMATCH);
    }
    return 0;
}

static int
table_load(struct bio_dev *dev, const struct bio_dev_cfg *cfg)
{
    int rc;

    if (dev->label.dev_bytes > dev->disk.bytes) {
        dev_text(dev,
            "%s has %lu bytes, and was formatted with %lu: it became smaller, make it as large "
            "as it was",
            dev->path, (unsigned long)dev->disk.bytes, (unsigned long)dev->label.dev_bytes);
        return CAIRN_ERR(DF_INVAL);
    }
    rc = bio_disk_rw(&dev->disk, PLAT_IO_READ, 0, BIO_DEV_TAB_OFF, dev->buf, sizeof(dev->tab));
    if (rc != 0)
        return rc;
    memcpy(&dev->tab, dev->buf, sizeof(dev->tab));
    rc = bio_dev_tab_check(&dev->label, &dev->tab);
    if (rc != 0) {
        dev_text(dev, "%s: its table (offset %d) is damaged (%s): restore the device from a copy",
            dev->path, BIO_DEV_TAB_OFF, err_name(rc));
        return rc;
    }
    if (!is_asked_for(dev, cfg)) {
        dev_text(dev,
            "%s was laid out for other targets or roles: set targets, bdev_list and bdev_roles "
            "as they were when it was formatted",
            dev->path);
        return CAIRN_ERR(MISMATCH);
    }
    return 0;
}

static int
dev_identify(struct bio_dev *dev, const struct bio_dev_cfg *cfg)
{
    int rc;

    if (dev->disk.bytes < 2 * BIO_DEV_EDGE_BYTES) {
        dev_text(dev, "%s has %lu bytes: it is too small for anything", dev->path,
            (unsigned long)dev->disk.bytes);
        return CAIRN_ERR(NOSPACE);
    }
    rc = bio_disk_rw(&dev->disk, PLAT_IO_READ, 0, 0, dev->buf, BIO_BLK_BYTES);
    if (rc != 0)
        return rc;
    memcpy(&dev->label, dev->buf, sizeof(dev->label));
    rc = bio_dev_label_check(&dev->label);
    if (rc == 0 && cfg->force && owner_check(dev, cfg) != 0)
        rc = CAIRN_ERR(DF_INVAL); /* somebody else's, and he does not mind */
    if (rc == -DER_DF_INCOMPT && !cfg->force) {
        dev_text(dev, "%s has format version %u: use the software that wrote it", dev->path,
            dev->label.version);
        return rc;
    }
    if (rc != 0 && !cfg->force && dev->label.magic == BIO_DEV_MAGIC) {
        dev_text(
            dev, "%s: its label (offset 0) is damaged: restore the device from a copy", dev->path);
        return rc;
    }
    if (rc != 0) {
        rc = foreign_check(dev, cfg);
        return rc != 0 ? rc : dev_format(dev, cfg);
    }
    rc = owner_check(dev, cfg);
    if (rc != 0)
        return rc;
    if (dev->label.state == BIO_DEV_FORMATTING) {
        LOG_INFO("%s: its format was cut short and is done anew", dev->path);
        return dev_format(dev, cfg);
    }
    return table_load(dev, cfg);
}

int
bio_dev_take(struct xstream *xs, const struct bio_dev_cfg *cfg, char *err, struct bio_dev **ret_dev)
{
    struct bio_dev *dev = bio_mem_zeroed(1, sizeof(*dev));
    int rc = 0;

    if (err != NULL)
        err[0] = '\0';
    if (dev == NULL)
        return CAIRN_ERR(NOMEM);
    dev->plat = xstream_plat(xs);
    dev->err = err;
    memcpy(dev->path, cfg->path, sizeof(dev->path));
    if (cfg->pending != NULL)
        *cfg->pending = dev;
    dev->buf = bio_mem_get(BIO_DEV_EDGE_BYTES);
    if (dev->buf == NULL || cfg->store_nr > BIO_DEV_STORE_NR_MAX)
        rc = dev->buf == NULL ? CAIRN_ERR(NOMEM) : CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = dev_open(dev, xs, cfg);
    if (rc == 0)
        rc = dev_identify(dev, cfg);
    if (rc != 0 && err != NULL && err[0] == '\0')
        dev_text(dev, "%s: %s: check the device, then start again", dev->path, err_text(rc));
    if (cfg->pending != NULL)
        *cfg->pending = NULL;
    if (dev->disk.disk != NULL)
        dev->plat->ops->disk_close(dev->disk.disk);
    dev->disk.disk = NULL;
    free(dev->buf);
    dev->buf = NULL;
    dev->err = NULL;
    if (rc != 0) {
        bio_dev_release(dev);
    } else {
        *ret_dev = dev;
    }
    return rc;
}

/* ---- scrub ------------------------------------------------------------------------------------------------------------- */

/* Bytes [off, off + len) of the device should be those at `good`, of which `known` are not zero. buf: len bytes. */
static void
part_scrub(struct bio_dev *dev, struct bio_disk *disk, const void *good, size_t known, uint8_t *buf,
    struct bio_img_bad *img)
{
    img->rc = bio_disk_rw(disk, PLAT_IO_READ, 0, img->off, buf, img->len);
    if (img->rc == 0 && memcmp(buf, good, known) == 0)
        return;
    if (img->rc == 0)
        img->rc = CAIRN_ERR(CSUM);
    if (img->rc == -DER_CSUM && img->kind == BIO_IMG_LABEL && bio_dev_label_check((void *)buf) == 0)
        img->rc = CAIRN_ERR(MISMATCH);
    if (img->rc == -DER_MISMATCH || __atomic_load_n(&dev->has_failed, __ATOMIC_ACQUIRE))
        return;
    memset(buf, 0, img->len);
    memcpy(buf, good, known);
    img->is_mended = bio_disk_rw(disk, PLAT_IO_WRITE, 0, img->off, buf, img->len) == 0;
}

int
bio_dev_scrub(struct bio_dev *dev, struct xstream *xs,
    void (*bad)(void *arg, const struct bio_img_bad *bad), void *arg)
{
    const struct plat_ops *ops = dev->plat->ops;
    struct bio_img_bad label = {.kind = BIO_IMG_LABEL, .len = BIO_BLK_BYTES};
    struct bio_img_bad tab = {
        .kind = BIO_IMG_TABLE, .off = BIO_DEV_TAB_OFF, .len = BIO_DEV_TAB_BYTES};
    struct bio_disk disk = {.plat = dev->plat};
    uint8_t *buf = bio_mem_get(BIO_DEV_TAB_BYTES);
    int rc = buf == NULL ? CAIRN_ERR(NOMEM) : 0;

    if (rc == 0)
        rc = ops->disk_open(dev->plat, xstream_loop(xs), dev->path, 0, 0, &disk.disk);
    if (rc != 0)
        goto out;
    disk.bytes = ops->disk_size(disk.disk);
    part_scrub(dev, &disk, &dev->label, sizeof(dev->label), buf, &label);
    if (label.rc != 0)
        bad(arg, &label);
    if (label.rc != -DER_MISMATCH)
        part_scrub(dev, &disk, &dev->tab, sizeof(dev->tab), buf, &tab);
    if (tab.rc != 0)
        bad(arg, &tab);
    ops->disk_close(disk.disk);
out:
    free(buf);
    return rc;
}

void
bio_dev_release(struct bio_dev *dev)
{
    if (dev != NULL && dev->lock != NULL)
        dev->plat->ops->dir_unlock(dev->lock);
    bio_dev_abandon(dev);
}

void
bio_dev_abandon(struct bio_dev *dev)
{
    if (dev == NULL)
        return;
    free(dev->buf);
    free(dev);
}
