/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A target's storage as a whole: format, open, close, stop.
 *
 * Format writes the files wal, meta and data, makes them durable, and last of all the small file `target`. Only its presence makes the
 * format count: what a crash left half-done is removed and made anew. `target` is never guessed from the others: when it is there
 * but damaged, open says so and format refuses, so that a flipped bit can't lead to a new format over data. On a device, where a role
 * is a region instead of a file, the mark is the target's superblock and, written last, a seal of one sector.
 *
 * Open: superblocks -> newest checkpoint header -> slot map, root and directory of the arena -> replay of the log, which loads the pages that it
 * changes -> volatile state of the arena and the extent space -> a header that records the new generation -> ULTs. All other pages are loaded,
 * and verified, when somebody wants them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

enum { PATH_BYTES = BIO_FILE_PATH_BYTES, ZERO_IO_BYTES = 1 << 20, ZERO_IO_NR = 4 };
#define ZERO_SAY_NS UINT64_C(1000000000)

static const char *const role_names[BIO_ROLE_NR] = {"target", "wal", "meta", "data"};

static void
path_of(const char *dir, const char *name, char *ret_path)
{
    CAIRN_IGNORE(snprintf(ret_path, PATH_BYTES, "%s/%s", dir, name)); /* dir is shorter */
}

static bool
is_on_device(const struct bio_cfg *cfg, enum bio_role role)
{
    return cfg->places[role].path[0] != '\0';
}

/* For messages: the file, or the region. */
static void
role_text(const struct bio_cfg *cfg, enum bio_role role, char *ret_text)
{
    const struct bio_place *place = &cfg->places[role];

    if (!is_on_device(cfg, role)) {
        path_of(cfg->dir, role_names[role], ret_text);
        return;
    }
    CAIRN_IGNORE(snprintf(ret_text, PATH_BYTES, "%s (%s of target %u at %lu)", place->path,
        role_names[role], cfg->tgt_idx, (unsigned long)place->off));
}

/* ---- hooks of the arena ------------------------------------------------------------------------------------------------ */

static bool
hook_log_room(void *arg)
{
    return bio_wal_room(arg);
}

static uint8_t *
hook_log_begin(void *arg, uint32_t bytes, uint64_t *ret_lsn)
{
    return bio_wal_rec_begin(arg, bytes, ret_lsn);
}

static void
hook_log_end(void *arg, uint64_t lsn)
{
    bio_wal_rec_end(arg, lsn);
}

static uint64_t
hook_log_last(void *arg)
{
    return bio_wal_last(arg);
}

static int
hook_admit(void *arg)
{
    return bio_wal_admit(arg);
}

static void
hook_load(void *arg, const uint32_t *pages, uint8_t *const *mems, int *rcs, uint32_t nr)
{
    bio_ckpt_pages_load(arg, pages, mems, rcs, nr);
}

static void
hook_tx_end(void *arg, bool committed, uint64_t lsn)
{
    bio_ext_tx_end(arg, committed, lsn);
}

static void
hook_touch(void *arg, void *mem, size_t len)
{
    struct plat *plat = ((struct bio_tgt *)arg)->plat;

    if (plat->ops->mem_touch != NULL)
        plat->ops->mem_touch(plat, mem, len);
}

static const struct umem_hooks bio_umem_hooks = {
    .log_room = hook_log_room,
    .log_begin = hook_log_begin,
    .log_end = hook_log_end,
    .log_last = hook_log_last,
    .admit = hook_admit,
    .load = hook_load,
    .tx_end = hook_tx_end,
    .touch = hook_touch,
};

/* ---- superblocks ------------------------------------------------------------------------------------------------------- */

void
bio_sb_seal(struct bio_sb_df *sb, enum bio_role role)
{
    sb->role = role;
    sb->crc = crc32c(0, sb, sizeof(*sb) - 4);
}

static int
sb_check(const struct bio_cfg *cfg, const struct bio_sb_df *sb, enum bio_role role, const char *path)
{
    if (sb->magic != BIO_SB_MAGIC) {
        bio_damage(cfg, "%s: not a file of a target, or its superblock is damaged (offset 0)", path);
        return CAIRN_ERR(DF_INVAL);
    }
    if (sb->crc != crc32c(0, sb, sizeof(*sb) - 4)) {
        bio_damage(cfg, "%s: the superblock (offset 0) is damaged", path);
        return CAIRN_ERR(CSUM);
    }
    if (sb->version != BIO_FORMAT_VERSION || (sb->incompat & ~BIO_FEAT_INCOMPAT) != 0 ||
        (sb->ro_compat & ~BIO_FEAT_RO_COMPAT) != 0) {
        bio_damage(cfg,
            "%s: format version %u, features %#lx %#lx: another version of this program made it",
            path, sb->version, (unsigned long)sb->incompat, (unsigned long)sb->ro_compat);
        return CAIRN_ERR(DF_INCOMPT);
    }
    if (sb->role != role) {
        bio_damage(cfg, "%s: has role %u instead of %u", path, sb->role, role);
        return CAIRN_ERR(DF_INVAL);
    }
    return 0;
}

/* The sizes of an intact superblock still have to make sense. */
static int
sb_sizes_check(const struct bio_sb_df *sb)
{
    bool ok = sb->wal_bytes >= BIO_WAL_BYTES_MIN && sb->arena_bytes >= BIO_META_BYTES_MIN &&
        IS_ALIGNED(sb->wal_bytes | sb->data_bytes, (uint64_t)BIO_BLK_BYTES) &&
        IS_ALIGNED(sb->arena_bytes, (uint64_t)UMEM_PAGE_BYTES) &&
        sb->arena_bytes >> UMEM_PAGE_BITS < UMEM_NONE / 4 &&
        sb->meta_bytes == bio_ckpt_file_bytes(sb->arena_bytes) &&
        sb->data_bytes >= BIO_DATA_BYTES_MIN &&
        sb->data_bytes / BIO_BLK_BYTES <=
            (uint64_t)BIO_EXT_CHUNK_BLKS * BIO_EXT_L1_NR * BIO_EXT_L0_NR;

    return ok ? 0 : CAIRN_ERR(DF_INVAL);
}

static int
sb_make(struct plat *plat, const struct bio_cfg *cfg, struct bio_sb_df *sb)
{
    uint64_t wal = cfg->wal_bytes != 0 ? cfg->wal_bytes : BIO_WAL_BYTES_DEFAULT;
    uint64_t arena = cfg->meta_bytes != 0 ? cfg->meta_bytes : BIO_META_BYTES_DEFAULT;
    uint64_t data = cfg->data_bytes != 0 ? cfg->data_bytes : BIO_DATA_BYTES_DEFAULT;

    memset(sb, 0, sizeof(*sb));
    sb->magic = BIO_SB_MAGIC;
    sb->version = BIO_FORMAT_VERSION;
    sb->compat = BIO_FEAT_COMPAT;
    sb->ro_compat = BIO_FEAT_RO_COMPAT;
    sb->incompat = BIO_FEAT_INCOMPAT;
    sb->system = cfg->system;
    sb->device = cfg->device;
    sb->rank = cfg->rank;
    sb->tgt_idx = cfg->tgt_idx;
    sb->generation = 1;
    sb->wal_bytes = ALIGN_DOWN(wal, (uint64_t)BIO_BLK_BYTES);
    sb->arena_bytes = ALIGN_DOWN(arena, (uint64_t)UMEM_PAGE_BYTES);
    sb->meta_bytes = bio_ckpt_file_bytes(sb->arena_bytes);
    sb->data_bytes = ALIGN_DOWN(data, (uint64_t)BIO_BLK_BYTES);
    plat->ops->random(plat, &sb->salt, sizeof(sb->salt));
    if (cuuid_is_nil(&sb->device)) {
        uint64_t r[2];

        plat->ops->random(plat, r, sizeof(r));
        sb->device = cuuid_from_random(r[0], r[1]);
    }
    return sb_sizes_check(sb) == 0 ? 0 : CAIRN_ERR(INVAL);
}

/* ---- target object ----------------------------------------------------------------------------------------------------- */

void
bio_disk_close(struct bio_disk *disk)
{
    if (disk->disk != NULL)
        disk->plat->ops->disk_close(disk->disk);
    disk->disk = NULL;
}

static void
tgt_free(struct bio_tgt *tgt)
{
    if (tgt == NULL)
        return;
    bio_ext_fini(tgt);
    bio_data_map_fini(tgt);
    bio_ckpt_fini(tgt);
    bio_wal_fini(tgt);
    umem_destroy(tgt->um);
    bio_buf_pool_fini(&tgt->bufs);
    free(tgt);
}

CAIRN_YIELDS static void
tgt_close(struct bio_tgt *tgt)
{
    if (tgt == NULL)
        return;
    bio_watch_stop(tgt);
    bio_disk_close(&tgt->wal.disk);
    bio_disk_close(&tgt->ckpt.disk);
    bio_disk_close(&tgt->data);
    tgt_free(tgt);
}

/* Open the file of a role, or its region, which is as large as it is. */
static int
disk_open(
    struct bio_tgt *tgt, struct bio_disk *disk, enum bio_role role, uint32_t flags, uint64_t bytes)
{
    const struct bio_place *place = &tgt->cfg.places[role];
    bool on_device = is_on_device(&tgt->cfg, role);
    char path[PATH_BYTES];
    uint64_t size;
    int rc;

    path_of(tgt->cfg.dir, role_names[role], path);
    disk->plat = tgt->plat;
    if (on_device) {
        flags = 0;
        bytes = 0;
    } else if (tgt->cfg.is_pmem) {
        flags |= PLAT_DISK_PMEM;
    }
    rc = tgt->plat->ops->disk_open(tgt->plat, xstream_loop(tgt->xs), on_device ? place->path : path,
        flags | (tgt->cfg.is_rdonly ? PLAT_DISK_RDONLY : 0), bytes, &disk->disk);
    if (rc != 0)
        return rc;
    size = tgt->plat->ops->disk_size(disk->disk);
    if (tgt->plat->ops->disk_is_memory == NULL || !tgt->plat->ops->disk_is_memory(disk->disk))
        disk->watch = &tgt->watch;
    disk->role = role;
    disk->base = place->off;
    disk->bytes = on_device ? place->bytes : size;
    if (!on_device || (place->off <= size && place->bytes <= size - place->off))
        return 0;
    bio_damage(&tgt->cfg,
        "%s: the device has %lu bytes, and the region ends at %lu: it became smaller", place->path,
        (unsigned long)size, (unsigned long)(place->off + place->bytes));
    return CAIRN_ERR(DF_INVAL);
}

bool
bio_mark_is_file(const struct bio_tgt *tgt, char *ret_path)
{
    path_of(tgt->cfg.dir, role_names[BIO_ROLE_TARGET], ret_path);
    return !is_on_device(&tgt->cfg, BIO_ROLE_TARGET);
}

int
bio_look_mark_open(struct bio_tgt *tgt, struct bio_disk *disk)
{
    return disk_open(tgt, disk, BIO_ROLE_TARGET, 0, 0);
}

static int
tgt_new(struct xstream *xs, const struct bio_cfg *cfg, struct bio_tgt **ret_tgt)
{
    struct bio_tgt *tgt = bio_mem_zeroed(1, sizeof(*tgt));

    if (tgt == NULL)
        return CAIRN_ERR(NOMEM);
    tgt->xs = xs;
    tgt->plat = xstream_plat(xs);
    tgt->cfg = *cfg;
    if (tgt->cfg.ckpt_pct == 0 || tgt->cfg.ckpt_pct > 90)
        tgt->cfg.ckpt_pct = BIO_CKPT_PCT_DEFAULT;
    if (tgt->cfg.ckpt_interval_ns == 0)
        tgt->cfg.ckpt_interval_ns = BIO_CKPT_INTERVAL_NS;
    tgt->cfg.pending = NULL;
    tgt->cfg.is_tolerant &= tgt->cfg.is_rdonly;
    bio_buf_pool_init(&tgt->bufs);
    tgt->watch.plat = tgt->plat;
    tgt->watch.cfg = &tgt->cfg;
    bio_watch_init(&tgt->watch);
    list_init(&tgt->space.readers);
    list_init(&tgt->space.tx_pubs);
    if (cfg->pending != NULL)
        *cfg->pending = tgt;
    *ret_tgt = tgt;
    return 0;
}

/* Arena, log and checkpointer in memory, once the superblock is known. */
static int
tgt_init(struct bio_tgt *tgt)
{
    int rc = umem_create(tgt->sb.arena_bytes, &bio_umem_hooks, tgt, &tgt->um);

    if (rc == 0 && (tgt->sb.incompat & BIO_FEAT_BARE_PAGES) == 0)
        umem_bare_forbid(tgt->um);
    if (rc == 0)
        umem_limit_set(tgt->um, tgt->cfg.mem_bytes);
    if (rc == 0)
        rc = bio_wal_init(tgt);
    if (rc == 0)
        rc = bio_ckpt_init(tgt);
    return rc;
}

void
bio_damage(const struct bio_cfg *cfg, const char *fmt, ...)
{
    char text[BIO_WHY_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (cfg != NULL && cfg->why != NULL) {
        memcpy(cfg->why, text, sizeof(text));
    } else {
        LOG_ERROR("%s", text);
    }
}

bool
bio_may_pass(const struct bio_tgt *tgt, int rc)
{
    return tgt->cfg.is_tolerant &&
        (rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_NVME_IO || rc == -DER_MISMATCH ||
            rc == -DER_INVAL || rc == -DER_DF_INCOMPT);
}

void
bio_tgt_fail(struct bio_tgt *tgt, int rc, enum bio_role role, const char *what)
{
    if (tgt->stop_rc != 0)
        return;
    if (role != BIO_ROLE_NR && tgt->cfg.places[role].has_failed != NULL)
        __atomic_store_n(tgt->cfg.places[role].has_failed, true, __ATOMIC_RELEASE);
    LOG_ERROR("target %u in %s stops: %s failed with %s; nothing is acknowledged any more: check "
              "the device, then open it anew",
        tgt->cfg.tgt_idx, tgt->cfg.dir, what, err_name(rc));
    if (tgt->cfg.why != NULL)
        (void)snprintf(tgt->cfg.why, BIO_WHY_BYTES, "%s failed with %s", what, err_name(rc));
    tgt->stop_rc = CAIRN_ERR(NVME_IO);
    for (uint32_t i = 0; i < BIO_WAL_GROUP_NR; i++) {
        ult_cond_broadcast(&tgt->wal.groups[i].durable);
    }
    ult_cond_broadcast(&tgt->wal.room);
    ult_cond_broadcast(&tgt->wal.work);
    ult_cond_signal(&tgt->ckpt.work);
    ult_cond_broadcast(&tgt->ckpt.done);
}

/* The role that lies on a device which failed; BIO_ROLE_NR: none. */
static enum bio_role
failed_role(const struct bio_tgt *tgt)
{
    enum bio_role role = BIO_ROLE_WAL;

    for (; role < BIO_ROLE_NR; role++) {
        const bool *has_failed = tgt->cfg.places[role].has_failed;

        if (has_failed != NULL && __atomic_load_n(has_failed, __ATOMIC_ACQUIRE))
            break;
    }
    return role;
}

void
bio_tgt_neighbours(struct bio_tgt *tgt)
{
    enum bio_role role = failed_role(tgt);
    char what[PATH_BYTES];

    if (role == BIO_ROLE_NR || tgt->stop_rc != 0)
        return;
    CAIRN_PROBE("bio.tgt.neighbour_failed");
    (void)snprintf(what, sizeof(what), "a flush of %s that another target asked for",
        tgt->cfg.places[role].path);
    bio_tgt_fail(tgt, CAIRN_ERR(NVME_IO), BIO_ROLE_NR, what);
}

/* ---- format ------------------------------------------------------------------------------------------------------------ */

static int
sb_write(struct bio_tgt *tgt, struct bio_disk *disk, enum bio_role role)
{
    struct bio_sb_df *sb = bio_tmp_get(tgt, sizeof(*sb));
    int rc;

    if (sb == NULL)
        return CAIRN_ERR(NOMEM);
    *sb = tgt->sb;
    bio_sb_seal(sb, role);
    rc = bio_disk_rw(disk, PLAT_IO_WRITE, 0, 0, sb, sizeof(*sb));
    if (rc == 0)
        rc = bio_disk_rw(disk, PLAT_IO_SYNC, 0, 0, NULL, 0);
    bio_tmp_put(tgt, sb, sizeof(*sb));
    return rc;
}

/*
 * Zeros in [start, end) of the file: written, not merely allocated, since a durable write to blocks that are only allocated costs a commit
 * of the file system's journal: 1065 us instead of 86. Says each second how far it is.
 */
static int
zeros_write(struct bio_tgt *tgt, struct bio_disk *disk, uint64_t start, uint64_t end)
{
    uint8_t *zeros = bio_tmp_get(tgt, ZERO_IO_BYTES);
    uint64_t said_ns = plat_mono_ns(tgt->plat);
    struct bio_req reqs[ZERO_IO_NR];
    uint64_t off = start;
    int rc = 0;

    if (zeros == NULL)
        return CAIRN_ERR(NOMEM);
    memset(zeros, 0, ZERO_IO_BYTES);
    while (rc == 0 && off < end) {
        uint32_t nr = 0;

        for (; nr < ZERO_IO_NR && off < end; nr++) {
            size_t len = (size_t)MIN((uint64_t)ZERO_IO_BYTES, end - off);

            bio_req_start(disk, &reqs[nr], PLAT_IO_WRITE, 0, off, zeros, len);
            off += len;
        }
        for (uint32_t i = 0; i < nr; i++) {
            int rc2 = bio_req_wait(&reqs[i]);

            if (rc == 0)
                rc = rc2;
        }
        if (rc == 0 && plat_mono_ns(tgt->plat) - said_ns >= ZERO_SAY_NS) {
            said_ns = plat_mono_ns(tgt->plat);
            LOG_INFO("target %u in %s: zeros are written to its log, %lu of %lu MiB",
                tgt->cfg.tgt_idx, tgt->cfg.dir, (unsigned long)(off >> 20),
                (unsigned long)(end >> 20));
        }
    }
    bio_tmp_put(tgt, zeros, ZERO_IO_BYTES);
    return rc;
}

static int
old_files_remove(struct plat *plat, const struct bio_cfg *cfg)
{
    char path[PATH_BYTES];

    for (enum bio_role role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
        int rc;

        if (is_on_device(cfg, role))
            continue;
        path_of(cfg->dir, role_names[role], path);
        rc = plat->ops->file_remove(plat, path);
        if (rc != 0 && rc != -DER_NONEXIST)
            return rc;
    }
    return 0;
}

static int
files_create(struct bio_tgt *tgt)
{
    uint32_t flags = PLAT_DISK_CREATE | PLAT_DISK_EXCL;
    int rc;

    rc = disk_open(tgt, &tgt->wal.disk, BIO_ROLE_WAL, flags, tgt->sb.wal_bytes);
    if (rc == 0)
        rc = disk_open(tgt, &tgt->ckpt.disk, BIO_ROLE_META, flags, tgt->sb.meta_bytes);
    if (rc == 0)
        rc = disk_open(tgt, &tgt->data, BIO_ROLE_DATA, flags, tgt->sb.data_bytes);
    if (rc == 0 &&
        (tgt->wal.disk.bytes < tgt->sb.wal_bytes || tgt->ckpt.disk.bytes < tgt->sb.meta_bytes ||
            tgt->data.bytes < tgt->sb.data_bytes))
        rc = CAIRN_ERR(NOSPACE); /* a region smaller than what was asked for */
    if (rc == 0)
        rc = zeros_write(tgt, &tgt->wal.disk, BIO_BLK_BYTES, tgt->sb.wal_bytes);
    if (rc == 0)
        rc = sb_write(tgt, &tgt->wal.disk, BIO_ROLE_WAL);
    if (rc == 0)
        rc = sb_write(tgt, &tgt->data, BIO_ROLE_DATA);
    if (rc == 0)
        rc = zeros_write(tgt, &tgt->ckpt.disk, BIO_BLK_BYTES, UINT64_C(4) * BIO_BLK_BYTES);
    if (rc == 0)
        rc = sb_write(tgt, &tgt->ckpt.disk, BIO_ROLE_META);
    return rc;
}

void
bio_seal_make(const struct bio_sb_df *sb, void *blk)
{
    struct bio_seal_df *seal = blk;

    memset(blk, 0, BIO_BLK_BYTES);
    seal->magic = BIO_SEAL_MAGIC;
    seal->device = sb->device;
    seal->sb_crc = sb->crc;
    seal->crc = crc32c(0, seal, sizeof(*seal) - 4);
}

/* The format counts from now on. */
static int
mark_write(struct bio_tgt *tgt)
{
    struct bio_disk disk = {0};
    struct bio_seal_df *seal;
    char path[PATH_BYTES];
    int rc;

    if (!is_on_device(&tgt->cfg, BIO_ROLE_TARGET)) {
        path_of(tgt->cfg.dir, role_names[BIO_ROLE_TARGET], path);
        bio_sb_seal(&tgt->sb, BIO_ROLE_TARGET);
        return tgt->plat->ops->file_write(tgt->plat, path, &tgt->sb, sizeof(tgt->sb));
    }
    seal = bio_tmp_get(tgt, BIO_BLK_BYTES);
    if (seal == NULL)
        return CAIRN_ERR(NOMEM);
    rc = disk_open(tgt, &disk, BIO_ROLE_TARGET, 0, 0);
    if (rc == 0)
        rc = sb_write(tgt, &disk, BIO_ROLE_TARGET);
    if (rc == 0) {
        bio_sb_seal(&tgt->sb, BIO_ROLE_TARGET);
        bio_seal_make(&tgt->sb, seal);
        rc = bio_disk_rw(&disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, BIO_BLK_BYTES, seal, BIO_BLK_BYTES);
    }
    bio_disk_close(&disk);
    bio_tmp_put(tgt, seal, BIO_BLK_BYTES);
    return rc;
}

/* Block 0 and 1 of the target region; `*ret_is_sealed`: the second is not blank. */
static int
mark_read(struct bio_tgt *tgt, struct bio_sb_df *ret_sb, struct bio_seal_df *ret_seal,
    bool *ret_is_sealed)
{
    uint8_t *blks = bio_tmp_get(tgt, (size_t)2 * BIO_BLK_BYTES);
    struct bio_disk disk = {0};
    int rc;

    if (blks == NULL)
        return CAIRN_ERR(NOMEM);
    rc = disk_open(tgt, &disk, BIO_ROLE_TARGET, 0, 0);
    if (rc == 0)
        rc = bio_disk_rw(&disk, PLAT_IO_READ, 0, 0, blks, (size_t)2 * BIO_BLK_BYTES);
    if (rc == 0) {
        memcpy(ret_sb, blks, sizeof(*ret_sb));
        memcpy(ret_seal, blks + BIO_BLK_BYTES, sizeof(*ret_seal));
        *ret_is_sealed = !bio_is_blank(blks + BIO_BLK_BYTES, BIO_BLK_BYTES);
    }
    bio_disk_close(&disk);
    bio_tmp_put(tgt, blks, (size_t)2 * BIO_BLK_BYTES);
    return rc;
}

bool
bio_is_blank(const void *mem, size_t len)
{
    const uint8_t *p = mem;

    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

int
bio_format(struct xstream *xs, const struct bio_cfg *cfg)
{
    struct plat *plat = xstream_plat(xs);
    struct bio_tgt *tgt = NULL;
    bool is_formatted = false;
    int rc;

    rc = bio_formatted(xs, cfg, &is_formatted);
    if (rc != 0)
        return rc;
    if (is_formatted)
        return CAIRN_ERR(EXIST);
    rc = tgt_new(xs, cfg, &tgt);
    if (rc != 0)
        return rc;
    rc = sb_make(plat, cfg, &tgt->sb);
    if (rc == 0)
        rc = plat->ops->dir_create(plat, cfg->dir);
    if (rc == 0)
        rc = old_files_remove(plat, cfg);
    if (rc == 0)
        rc = tgt_init(tgt);
    if (rc == 0)
        rc = files_create(tgt);
    if (rc == 0) {
        tgt->wal.generation = 1;
        rc = umem_init_root(tgt->um, tgt->sb.data_bytes / BIO_BLK_BYTES);
    }
    if (rc == 0)
        rc = bio_ckpt_run(tgt);
    if (rc == 0)
        rc = mark_write(tgt);
    if (cfg->pending != NULL)
        *cfg->pending = NULL;
    tgt_close(tgt);
    return rc;
}

bool
bio_is_formatted(struct plat *plat, const char *dir)
{
    char path[PATH_BYTES];
    uint8_t byte;
    size_t len = 0;

    path_of(dir, "target", path);
    return plat->ops->file_read(plat, path, &byte, 1, &len) != -DER_NONEXIST;
}

int
bio_formatted(struct xstream *xs, const struct bio_cfg *cfg, bool *ret_is_formatted)
{
    struct bio_tgt *tgt = NULL;
    struct bio_seal_df seal;
    int rc;

    if (!is_on_device(cfg, BIO_ROLE_TARGET)) {
        *ret_is_formatted = bio_is_formatted(xstream_plat(xs), cfg->dir);
        return 0;
    }
    rc = tgt_new(xs, cfg, &tgt);
    if (rc != 0)
        return rc;
    rc = mark_read(tgt, &tgt->sb, &seal, ret_is_formatted);
    if (cfg->pending != NULL)
        *cfg->pending = NULL;
    tgt_close(tgt);
    return rc;
}

/* ---- open -------------------------------------------------------------------------------------------------------------- */

static int
identity_check(const struct bio_tgt *tgt, const struct bio_cfg *want)
{
    const struct bio_sb_df *sb = &tgt->sb;
    bool ok = cuuid_cmp(&sb->system, &want->system) == 0 && sb->rank == want->rank &&
        sb->tgt_idx == want->tgt_idx &&
        (cuuid_is_nil(&want->device) || cuuid_cmp(&sb->device, &want->device) == 0);
    char text[CUUID_TEXT_BYTES];

    if (ok || want->is_rdonly)
        return 0;
    bio_damage(&tgt->cfg, "%s belongs to system %s, rank %u, target %u", tgt->cfg.dir,
        cuuid_format(&sb->system, text), sb->rank, sb->tgt_idx);
    return CAIRN_ERR(MISMATCH);
}

static int
marker_load(struct bio_tgt *tgt)
{
    char path[PATH_BYTES];
    struct bio_seal_df seal;
    bool is_sealed = false;
    size_t len = 0;
    int rc;

    role_text(&tgt->cfg, BIO_ROLE_TARGET, path);
    if (is_on_device(&tgt->cfg, BIO_ROLE_TARGET)) {
        rc = mark_read(tgt, &tgt->sb, &seal, &is_sealed);
        if (rc == 0)
            rc = sb_check(&tgt->cfg, &tgt->sb, BIO_ROLE_TARGET, path);
        if (rc == 0 &&
            (seal.magic != BIO_SEAL_MAGIC || seal.crc != crc32c(0, &seal, sizeof(seal) - 4) ||
                seal.sb_crc != tgt->sb.crc)) {
            bio_damage(&tgt->cfg, "%s: the seal (offset %d) is damaged", path, BIO_BLK_BYTES);
            rc = CAIRN_ERR(CSUM);
        }
        return rc != 0 ? rc : sb_sizes_check(&tgt->sb);
    }
    rc = tgt->plat->ops->file_read(tgt->plat, path, &tgt->sb, sizeof(tgt->sb), &len);
    if (rc != 0)
        return rc;
    if (len != sizeof(tgt->sb)) {
        bio_damage(&tgt->cfg, "%s: has %zu bytes instead of %zu", path, len, sizeof(tgt->sb));
        return CAIRN_ERR(DF_INVAL);
    }
    rc = sb_check(&tgt->cfg, &tgt->sb, BIO_ROLE_TARGET, path);
    return rc != 0 ? rc : sb_sizes_check(&tgt->sb);
}

/* Open one file and compare its superblock with that of the target. */
static int
role_open(struct bio_tgt *tgt, struct bio_disk *disk, enum bio_role role, uint64_t bytes)
{
    struct bio_sb_df *sb = NULL;
    char path[PATH_BYTES];
    int rc;

    role_text(&tgt->cfg, role, path);
    rc = disk_open(tgt, disk, role, 0, 0);
    if (rc == -DER_NONEXIST) {
        bio_damage(&tgt->cfg, "%s: missing", path);
        rc = CAIRN_ERR(DF_INVAL);
    }
    if (rc != 0)
        return bio_may_pass(tgt, rc) ? 0 : rc;
    if (disk->bytes < bytes) {
        bio_damage(
            &tgt->cfg, "%s: shorter than the %lu bytes of its format", path, (unsigned long)bytes);
        if (!tgt->cfg.is_tolerant)
            return CAIRN_ERR(DF_INVAL);
    }
    sb = bio_tmp_get(tgt, sizeof(*sb));
    if (sb == NULL)
        return CAIRN_ERR(NOMEM);
    rc = bio_disk_rw(disk, PLAT_IO_READ, 0, 0, sb, sizeof(*sb));
    if (rc == 0)
        rc = sb_check(&tgt->cfg, sb, role, path);
    if (rc == 0) {
        bio_sb_seal(sb, BIO_ROLE_TARGET);
        if (memcmp(sb, &tgt->sb, sizeof(*sb)) != 0) {
            bio_damage(&tgt->cfg, "%s: belongs to another target or another format", path);
            rc = CAIRN_ERR(MISMATCH);
        }
    }
    bio_tmp_put(tgt, sb, sizeof(*sb));
    return bio_may_pass(tgt, rc) ? 0 : rc;
}

/* What a replay works on. Its requests are gone with the loop if the process is killed. */
struct log_reader {
    struct bio_tgt *tgt;
    struct bio_req reqs[BIO_REPLAY_AHEAD_NR];
};

static void
replay_start(void *arg, uint32_t op, uint64_t blk, uint32_t blks, uint8_t *buf)
{
    struct log_reader *rd = arg;

    bio_req_start(&rd->tgt->wal.disk, &rd->reqs[op], PLAT_IO_READ, 0,
        (BIO_WAL_RING_BLK + blk) * BIO_BLK_BYTES, buf, (size_t)blks * BIO_BLK_BYTES);
}

static int
replay_wait(void *arg, uint32_t op)
{
    struct log_reader *rd = arg;

    return bio_req_wait(&rd->reqs[op]);
}

static int
replay_range(void *arg, uint64_t lsn, uint64_t off, uint32_t len, const uint8_t *bytes)
{
    struct bio_tgt *tgt = ((struct log_reader *)arg)->tgt;
    struct umem *um = tgt->um;
    int rc = 0;

    /* The log may touch more pages than there is memory for. */
    if (CAIRN_UNLIKELY(um->resident_nr >= um->limit_nr && um->dirty_nr >= um->dirty_start) &&
        !tgt->cfg.is_rdonly) {
        CAIRN_PROBE("bio.tgt.replay_cleans");
        rc = bio_ckpt_clean(tgt);
    }
    if (rc == 0)
        rc = umem_replay(um, lsn, off, len, bytes);
    return bio_may_pass(tgt, rc) ? 0 : rc; /* the page stays what it is: damaged */
}

static int
replay_load(struct bio_tgt *tgt)
{
    uint32_t nr = tgt->soon_nr;
    int rc;

    tgt->soon_nr = 0;
    for (uint32_t i = 0; i < nr; i++) {
        tgt->um->pub.pages[tgt->soon[i]].flags &= ~(uint32_t)UMEM_PF_LOAD;
    }
    rc = bio_ckpt_batch_load(tgt, tgt->soon, nr);
    return bio_may_pass(tgt, rc) ? 0 : rc;
}

/* Pages that a group needs are read together, unless they are so many that the first would be evicted before their turn comes. */
static int
replay_announce(void *arg, uint64_t off, uint32_t len)
{
    struct bio_tgt *tgt = ((struct log_reader *)arg)->tgt;
    uint64_t page = off >> UMEM_PAGE_BITS;
    struct umem_page *pg;

    if (len == 0) {
        tgt->soon_group_nr = 0;
        return replay_load(tgt);
    }
    if (page >= tgt->um->pub.page_nr || tgt->soon_group_nr >= tgt->um->limit_nr / 4)
        return 0; /* the first is said when it is applied */
    pg = &tgt->um->pub.pages[page];
    if ((pg->flags & (UMEM_PF_LOAD | UMEM_PF_RES | UMEM_PF_SLOT)) != UMEM_PF_SLOT)
        return 0;
    pg->flags |= UMEM_PF_LOAD; /* listed */
    tgt->soon[tgt->soon_nr++] = (uint32_t)page;
    tgt->soon_group_nr++;
    return tgt->soon_nr == BIO_LOAD_BATCH_NR ? replay_load(tgt) : 0;
}

int
bio_log_read(struct bio_tgt *tgt, struct bio_replay_io *io, struct bio_replay_end *ret_end)
{
    const struct bio_ckpt_df *hdr = tgt->ckpt.hdr;
    size_t win_bytes = (size_t)BIO_REPLAY_WIN_BLKS * BIO_BLK_BYTES;
    int rc;

    io->ring_blks = tgt->wal.ring_blks;
    io->salt = tgt->wal.salt;
    io->win_blks = BIO_REPLAY_WIN_BLKS;
    io->cfg = &tgt->cfg;
    io->win = bio_tmp_get(tgt, win_bytes);
    if (io->win == NULL)
        return CAIRN_ERR(NOMEM);
    rc = bio_replay(io, hdr->segs, hdr->seg_nr, ret_end);
    bio_tmp_put(tgt, io->win, win_bytes);
    return rc;
}

static int
log_replay(struct bio_tgt *tgt, uint64_t *ret_generation)
{
    const struct bio_ckpt_df *hdr = tgt->ckpt.hdr;
    struct bio_wal *wal = &tgt->wal;
    struct bio_replay_end end = {0};
    struct log_reader rd = {.tgt = tgt};
    struct bio_replay_io io = {
        .arg = &rd,
        .start = replay_start,
        .wait = replay_wait,
        .announce = replay_announce,
        .range = replay_range,
        .is_tolerant = tgt->cfg.is_tolerant,
    };
    int rc = bio_log_read(tgt, &io, &end);

    if (rc != 0)
        return rc;
    /* ST-5: a page image is never newer than the durable log. */
    for (uint64_t page = 0; page < hdr->map_nr; page++) {
        if ((tgt->um->pub.pages[page].flags & UMEM_PF_SLOT) != 0 &&
            tgt->um->vol[page].lsn > end.last_lsn) {
            bio_damage(&tgt->cfg,
                "wal: the log ends at transaction %lu, page %lu holds %lu: the log is damaged",
                (unsigned long)end.last_lsn, (unsigned long)page,
                (unsigned long)tgt->um->vol[page].lsn);
            if (!tgt->cfg.is_tolerant)
                return CAIRN_ERR(CSUM);
            break;
        }
    }
    wal->head_pos = end.pos;
    wal->tail_pos = hdr->segs[0].start_pos;
    wal->seq = end.seq;
    wal->prev_crc = end.prev_crc;
    wal->last_lsn = end.last_lsn;
    wal->durable_lsn = end.last_lsn;
    tgt->replayed_nr = end.records_nr;
    tgt->log_is_torn = end.is_torn;
    *ret_generation = end.generation;
    return 0;
}

/*
 * What was read may still lie in a cache: the last write of a killed process was perhaps not durable when it died. Nothing may be
 * built on it, or told to anybody, before it is.
 */
static int
found_state_sync(struct bio_tgt *tgt)
{
    int rc = bio_disk_rw(&tgt->wal.disk, PLAT_IO_SYNC, 0, 0, NULL, 0);

    return rc != 0 ? rc : bio_disk_rw(&tgt->ckpt.disk, PLAT_IO_SYNC, 0, 0, NULL, 0);
}

/* The mark is damaged: any other superblock tells the same. */
static int
any_sb_load(struct bio_tgt *tgt)
{
    struct bio_sb_df *sb = bio_tmp_get(tgt, sizeof(*sb));
    int rc = CAIRN_ERR(NONEXIST);

    if (sb == NULL)
        return CAIRN_ERR(NOMEM);
    for (enum bio_role role = BIO_ROLE_WAL; rc != 0 && role < BIO_ROLE_NR; role++) {
        struct bio_disk disk = {0};
        char path[PATH_BYTES];

        role_text(&tgt->cfg, role, path);
        rc = disk_open(tgt, &disk, role, 0, 0);
        if (rc == 0)
            rc = bio_disk_rw(&disk, PLAT_IO_READ, 0, 0, sb, sizeof(*sb));
        if (rc == 0)
            rc = sb_check(&tgt->cfg, sb, role, path);
        if (rc == 0)
            rc = sb_sizes_check(sb);
        if (rc == 0) {
            bio_sb_seal(sb, BIO_ROLE_TARGET);
            tgt->sb = *sb;
        }
        bio_disk_close(&disk);
    }
    bio_tmp_put(tgt, sb, sizeof(*sb));
    return rc == 0 ? 0 : CAIRN_ERR(NONEXIST);
}

/* Superblocks, and what they say of the rest. */
static int
tgt_find(struct bio_tgt *tgt, const struct bio_cfg *want)
{
    int rc = marker_load(tgt);

    if (rc != 0 && tgt->cfg.is_tolerant) {
        int rc2 = any_sb_load(tgt);

        if (rc2 == 0 && rc == -DER_NONEXIST)
            bio_damage(&tgt->cfg, "%s/%s: missing", tgt->cfg.dir, role_names[BIO_ROLE_TARGET]);
        rc = rc2;
    }
    if (rc == 0)
        rc = identity_check(tgt, want);
    if (rc == 0)
        rc = role_open(tgt, &tgt->wal.disk, BIO_ROLE_WAL, tgt->sb.wal_bytes);
    if (rc == 0)
        rc = role_open(tgt, &tgt->ckpt.disk, BIO_ROLE_META, tgt->sb.meta_bytes);
    if (rc == 0)
        rc = role_open(tgt, &tgt->data, BIO_ROLE_DATA, tgt->sb.data_bytes);
    return rc;
}

/* For a look: everything up to the state in memory. */
static int
tgt_look(struct bio_tgt *tgt)
{
    uint64_t generation = 0;
    int rc = tgt_init(tgt);

    if (rc == 0)
        rc = bio_ckpt_load(tgt);
    if (rc == 0)
        rc = log_replay(tgt, &generation);
    if (rc == 0) {
        tgt->wal.generation = generation;
        rc = umem_rebuild(tgt->um, tgt->cfg.is_tolerant);
    }
    if (rc == 0)
        rc = bio_ext_init(tgt);
    if (bio_may_pass(tgt, rc)) {
        tgt->stop_rc = rc;
        rc = 0;
    }
    return rc;
}

static int
tgt_load(struct bio_tgt *tgt, const struct bio_cfg *want)
{
    uint64_t generation = 0;
    int rc = tgt_find(tgt, want);

    if (rc == 0 && tgt->cfg.is_rdonly)
        return tgt_look(tgt);
    if (rc == 0 && tgt->cfg.mem_is_default && tgt->plat->ops->disk_volatile(tgt->ckpt.disk.disk))
        tgt->cfg.mem_bytes = 0; /* pages would go from memory to memory */
    if (rc == 0)
        rc = tgt_init(tgt);
    if (rc == 0)
        rc = bio_ckpt_load(tgt);
    if (rc == 0)
        rc = log_replay(tgt, &generation);
    if (rc == 0)
        rc = found_state_sync(tgt);
    if (rc == 0)
        rc = umem_rebuild(tgt->um, false);
    if (rc == 0)
        rc = bio_ext_init(tgt);
    if (rc == 0)
        rc = bio_ckpt_new_generation(tgt, generation);
    return rc;
}

static void
cfg_from_sb(struct bio_cfg *cfg, const struct bio_sb_df *sb)
{
    cfg->wal_bytes = sb->wal_bytes;
    cfg->meta_bytes = sb->arena_bytes;
    cfg->data_bytes = sb->data_bytes;
    cfg->system = sb->system;
    cfg->device = sb->device;
    cfg->rank = sb->rank;
    cfg->tgt_idx = sb->tgt_idx;
}

int
bio_open(struct xstream *xs, const struct bio_cfg *cfg, struct bio_tgt **ret_tgt)
{
    struct bio_tgt *tgt = NULL;
    bool is_formatted = false;
    int rc;

    rc = bio_formatted(xs, cfg, &is_formatted);
    if (rc != 0 && !(cfg->is_rdonly && cfg->is_tolerant))
        return rc;
    if (!is_formatted && !(cfg->is_rdonly && cfg->is_tolerant))
        return CAIRN_ERR(NONEXIST);
    rc = tgt_new(xs, cfg, &tgt);
    if (rc != 0)
        return rc;
    rc = bio_watch_start(tgt);
    if (rc == 0)
        rc = tgt_load(tgt, cfg);
    if (rc != 0)
        goto out;
    cfg_from_sb(&tgt->cfg, &tgt->sb);
    if (tgt->cfg.is_rdonly) {
        *ret_tgt = tgt;
        tgt = NULL;
        goto out;
    }
    tgt->data_volatile = tgt->plat->ops->disk_volatile(tgt->data.disk);
    bio_data_map_init(tgt);
    rc = bio_wal_start(tgt);
    if (rc != 0)
        goto out;
    rc = bio_ckpt_start(tgt);
    if (rc != 0) {
        bio_wal_stop(tgt);
        goto out;
    }
    *ret_tgt = tgt;
    tgt = NULL;
out:
    if (tgt != NULL)
        bio_watch_stop(tgt); /* yields: before nobody knows of it */
    if (cfg->pending != NULL && (tgt != NULL || cfg->pending != ret_tgt))
        *cfg->pending = NULL;
    tgt_close(tgt);
    return rc;
}

void
bio_close(struct bio_tgt *tgt)
{
    if (tgt == NULL)
        return;
    bio_ckpt_stop(tgt);
    bio_tgt_neighbours(tgt);
    if (tgt->stop_rc == 0 && !tgt->cfg.is_rdonly &&
        (tgt->um->dirty_nr > 0 || tgt->ckpt.leaf_dirty_nr > 0 || tgt->wal.fill->rec_nr > 0))
        CAIRN_IGNORE(bio_ckpt_run(tgt)); /* the log has it all */
    bio_wal_stop(tgt);
    tgt_close(tgt);
}

void
bio_abandon(struct bio_tgt *tgt)
{
    tgt_free(tgt);
}

/* ---- queries ----------------------------------------------------------------------------------------------------------- */

struct umem *
bio_umem(struct bio_tgt *tgt)
{
    return tgt->um;
}

struct xstream *
bio_xstream(struct bio_tgt *tgt)
{
    return tgt->xs;
}

const struct bio_cfg *
bio_cfg(struct bio_tgt *tgt)
{
    return &tgt->cfg;
}

int
bio_status(const struct bio_tgt *tgt)
{
    if (tgt->stop_rc != 0)
        return tgt->stop_rc;
    return failed_role(tgt) != BIO_ROLE_NR ? CAIRN_ERR(NVME_IO) : 0;
}

int
bio_check(struct bio_tgt *tgt)
{
    int rc = umem_check(tgt->um), rc2 = 0;

    if (rc == 0 || bio_may_pass(tgt, rc))
        rc2 = bio_ext_check(tgt);
    return rc != 0 ? rc : rc2;
}

void
bio_space_get(struct bio_tgt *tgt, struct bio_space *ret_space)
{
    const struct umem *um = tgt->um;
    uint64_t sys = (uint64_t)(1 + um->dir_page_nr) << UMEM_PAGE_BITS;
    uint64_t arena = um->pub.page_nr << UMEM_PAGE_BITS;

    *ret_space = (struct bio_space){
        .meta_total = arena,
        .meta_free = arena - MIN(arena, sys + um->used_bytes),
        .data_total = tgt->space.blk_nr * BIO_BLK_BYTES,
        .data_free = tgt->space.free_blks * BIO_BLK_BYTES,
    };
}

void
bio_stats_get(const struct bio_tgt *tgt, struct bio_stats *ret_stats)
{
    const struct bio_wal *wal = &tgt->wal;

    *ret_stats = (struct bio_stats){
        .wal_groups_nr = wal->groups_nr,
        .wal_records_nr = wal->records_nr,
        .wal_bytes = wal->bytes_nr,
        .wal_blocks_used = wal->head_pos - wal->tail_pos,
        .wal_blocks_total = wal->ring_blks,
        .ckpt_nr = tgt->ckpt.ckpt_nr,
        .ckpt_pages_nr = tgt->ckpt.pages_nr,
        .data_syncs_nr = wal->data_syncs_nr,
        .replayed_records_nr = tgt->replayed_nr,
        .wal_open_nr_max = wal->open_nr_max,
        .buf_bytes = tgt->bufs.used_bytes[0] + tgt->bufs.used_bytes[1],
        .resv_nr = tgt->space.resv_nr,
        .ckpt_leaves_nr = tgt->ckpt.leaves_nr,
    };
}
