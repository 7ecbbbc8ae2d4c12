/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Simulated files and disks. A file belongs to a host and is a sparse table of sectors. A sector is what is durable plus the versions
 * written since, oldest first; readers see the newest. What that models:
 *
 *   SDISK-1  A write takes effect at its completion, as an unsynced version of each of its sectors; a write with DSYNC replaces what is
 *            durable. A sync makes durable what had completed when it was submitted, nothing more.
 *   SDISK-2  Power loss: operations in flight land or not, sector by sector; then each unsynced sector keeps its newest version, falls
 *            back to what was durable, or becomes a mix of that and some unsynced version in pieces of 512 bytes.
 *   SDISK-3  kill -9: the kernel's memory survives. Operations in flight land whole, in part or not at all.
 *   SDISK-4  A failed write may have landed in part. A failed sync poisons the handle and makes nothing durable (ST-1).
 *   SDISK-5  A buffer that is being read is filled with trash until the read completes.
 *   SDISK-6  A file below /shm/ that somebody mapped is that memory from then on, for all; its sectors only count. What was not filled may not be
 *            touched (a fault ends the process), as on a real tmpfs it might not be.
 *   SDISK-7  A file opened as persistent memory is torn by words of 8 bytes instead, of any unsynced version each, also by durable writes in
 *            flight: caches write their lines back in any order, until they are drained.
 *
 * Small files (file_write) are atomic and durable; a power loss in the middle keeps the old or the new one. Each disk write, sync,
 * creation of a disk and change of a small file counts for sim_host_power_loss_at(). Files below /shm/ are tmpfs: volatile,
 * gone after a power loss.
 */
#include "plat/sim/plat_sim_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crc.h"

enum {
    SECTOR = PLAT_SECTOR_BYTES,
    PIECE = 512, /* what a real medium writes at once */
    WORD = 8, /* and persistent memory */
    SIM_PATH_BYTES = 1024,
};

struct sim_version {
    struct list_head link;
    uint64_t seq; /* of its completion */
    uint8_t data[SECTOR];
};

struct sim_sector {
    struct hmap_link hlink;
    uint64_t no;
    struct list_head dirty_link; /* on the file's list while there are versions */
    struct list_head versions; /* unsynced, oldest first */
    uint8_t *durable; /* NULL: zeros */
};

struct sim_file {
    struct list_head link; /* host->files; alone when removed */
    struct sim_host *host;
    char *path;
    uint64_t size_bytes;
    uint64_t seq;
    struct hmap sectors;
    struct list_head dirty;
    uint32_t open_nr;
    bool removed;
    bool is_pmem; /* SDISK-7 */
    uint8_t *map; /* SDISK-6; NULL: was never mapped */
};

struct sim_dir {
    struct list_head link;
    char *path;
};

struct plat_dirlock {
    struct list_head link;
    struct sim_node *node;
    char *path;
};

struct plat_disk {
    struct list_head link; /* node->disks */
    struct sim_node *node;
    struct plat_loop *loop;
    struct sim_file *file;
    bool rdonly;
    bool poisoned;
    struct list_head ops;
};

/* One operation, from submission until its done() or the death of the node. */
struct sim_op {
    struct list_head link; /* disk->ops */
    struct sim_ev ev;
    struct sim_ready ready;
    struct plat_disk *disk;
    struct plat_io *io;
    uint64_t sync_seq; /* of the file at submission */
    int rc;
    bool landed; /* its effect, or none, has happened */
};

/* ---- sectors -------------------------------------------------------------------------------------------------------- */

static uint64_t
sector_hash(uint64_t no)
{
    return no * UINT64_C(0x9e3779b97f4a7c15) ^ no >> 7;
}

static struct sim_sector *
sector_find(struct sim_file *file, uint64_t no)
{
    struct sim_sector *sector;

    HMAP_FOREACH_HASH(sector, &file->sectors, sector_hash(no), struct sim_sector, hlink) {
        if (sector->no == no)
            return sector;
    }
    return NULL;
}

/* SDISK-6: what is behind this sector from now on. */
static void
map_open(struct sim_file *file, uint64_t no)
{
    int rc = mprotect(file->map + no * SECTOR, SECTOR, PROT_READ | PROT_WRITE);

    CAIRN_ASSERT(rc == 0);
}

/* NULL: no space. */
static struct sim_sector *
sector_get(struct sim_file *file, uint64_t no)
{
    struct sim_sector *sector = sector_find(file, no);

    if (sector != NULL)
        return sector;
    if (file->host->used_sectors >= file->host->limit_sectors)
        return NULL;
    file->host->used_sectors++;
    sector = sim_alloc(sizeof(*sector));
    sector->no = no;
    list_init(&sector->versions);
    list_init(&sector->dirty_link);
    hmap_insert(&file->sectors, &sector->hlink, sector_hash(no));
    if (file->map != NULL)
        map_open(file, no);
    return sector;
}

static const uint8_t *
sector_current(const struct sim_file *file, const struct sim_sector *sector)
{
    struct sim_version *newest = LIST_LAST(&sector->versions, struct sim_version, link);

    if (file->map != NULL)
        return file->map + sector->no * SECTOR;
    return newest != NULL ? newest->data : sector->durable;
}

static void
sector_durable_set(struct sim_sector *sector, const uint8_t *data)
{
    if (sector->durable == NULL)
        sector->durable = sim_alloc(SECTOR);
    memmove(sector->durable, data, SECTOR);
}

/* Drop versions up to seq, oldest first. */
static void
sector_versions_drop(struct sim_sector *sector, uint64_t seq)
{
    struct sim_version *version;

    while ((version = LIST_FIRST(&sector->versions, struct sim_version, link)) != NULL &&
        version->seq <= seq) {
        list_del(&version->link);
        free(version);
    }
    if (list_empty(&sector->versions))
        list_del(&sector->dirty_link);
}

static void
sector_write(struct sim_file *file, struct sim_sector *sector, const uint8_t *data, bool durable)
{
    struct sim_version *version;

    if (file->map != NULL) {
        memcpy(file->map + sector->no * SECTOR, data, SECTOR);
        return;
    }
    if (durable) {
        sector_durable_set(sector, data);
        sector_versions_drop(sector, UINT64_MAX);
        return;
    }
    version = sim_alloc(sizeof(*version));
    version->seq = file->seq;
    memcpy(version->data, data, SECTOR);
    if (list_empty(&sector->versions))
        list_add_tail(&sector->dirty_link, &file->dirty);
    list_add_tail(&version->link, &sector->versions);
}

static void
sector_free(struct sim_sector *sector)
{
    sector_versions_drop(sector, UINT64_MAX);
    free(sector->durable);
    free(sector);
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

/* The canonical form: no trailing and no double slashes. */
static int
sim_path(const char *path, char *ret_path)
{
    size_t len = 0;

    if (path == NULL || path[0] != '/')
        return CAIRN_ERR(BADPATH);
    for (size_t i = 0; path[i] != '\0'; i++) {
        if (path[i] == '/' && (path[i + 1] == '/' || path[i + 1] == '\0'))
            continue;
        if (len + 1 >= SIM_PATH_BYTES)
            return CAIRN_ERR(EXCEEDS_PATH_LEN);
        ret_path[len++] = path[i];
    }
    ret_path[len] = '\0'; /* the root is "" */
    return 0;
}

static struct sim_file *
file_find(struct sim_host *host, const char *path)
{
    struct sim_file *file;

    LIST_FOREACH(file, &host->files, struct sim_file, link) {
        if (strcmp(file->path, path) == 0)
            return file;
    }
    return NULL;
}

static struct sim_dir *
dir_find(struct sim_host *host, const char *path)
{
    struct sim_dir *dir;

    LIST_FOREACH(dir, &host->dirs, struct sim_dir, link) {
        if (strcmp(dir->path, path) == 0)
            return dir;
    }
    return NULL;
}

static bool
parent_exists(struct sim_host *host, const char *path)
{
    const char *slash = strrchr(path, '/');
    char parent[SIM_PATH_BYTES];

    if (slash == NULL || slash == path)
        return true;
    snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
    return strcmp(parent, "/shm") == 0 || dir_find(host, parent) != NULL;
}

static struct sim_file *
file_create(struct sim_host *host, const char *path, uint64_t size_bytes)
{
    struct sim_file *file = sim_alloc(sizeof(*file));
    int rc = hmap_init(&file->sectors, 4);

    CAIRN_ASSERT(rc == 0);
    file->host = host;
    file->path = strdup(path);
    CAIRN_ASSERT(file->path != NULL);
    file->size_bytes = size_bytes;
    list_init(&file->dirty);
    list_add_tail(&file->link, &host->files);
    return file;
}

static void
file_free(struct sim_file *file)
{
    struct hmap_link *hlink;

    while ((hlink = hmap_pop(&file->sectors)) != NULL) {
        sector_free(CAIRN_CONTAINER_OF(hlink, struct sim_sector, hlink));
        file->host->used_sectors--;
    }
    hmap_fini(&file->sectors);
    if (file->map != NULL)
        munmap(file->map, file->size_bytes);
    list_del(&file->link);
    free(file->path);
    free(file);
}

static void
file_remove(struct sim_file *file)
{
    file->removed = true;
    list_del(&file->link);
    if (file->open_nr == 0)
        file_free(file);
}

/* ---- power loss and kill -------------------------------------------------------------------------------------------- */

/* Run fn over the sectors of a write from the first, until it returns false. */
static void
op_each_sector(struct sim_op *op,
    bool (*fn)(struct sim_op *op, uint64_t no, uint8_t *data, void *arg), void *arg)
{
    struct plat_io *io = op->io;
    uint64_t no = io->off / SECTOR;

    for (uint32_t i = 0; i < io->iov_nr; i++) {
        for (size_t off = 0; off < io->iovs[i].len; off += SECTOR) {
            if (!fn(op, no, (uint8_t *)io->iovs[i].buf + off, arg))
                return;
            no++;
        }
    }
}

static uint64_t
op_sectors(const struct sim_op *op)
{
    uint64_t nr = 0;

    for (uint32_t i = 0; i < op->io->iov_nr; i++) {
        nr += op->io->iovs[i].len / SECTOR;
    }
    return nr;
}

struct land {
    uint64_t left; /* sectors still to land */
    bool durable;
    bool by_chance; /* each sector by the toss of a coin */
    bool nospace;
};

static bool
op_land_sector(struct sim_op *op, uint64_t no, uint8_t *data, void *arg)
{
    struct land *land = arg;
    struct sim_file *file = op->disk->file;
    struct sim_sector *sector;

    if (land->left == 0)
        return false;
    land->left--;
    if (land->by_chance && rng_below(&file->host->sim->disk_rng, 2) == 0)
        return true;
    sector = sector_get(file, no);
    if (sector == NULL) {
        land->nospace = true;
        return false;
    }
    sector_write(file, sector, data, land->durable && !(land->by_chance && file->is_pmem));
    return true;
}

static void
op_land(struct sim_op *op, struct land *land)
{
    if (op->landed)
        return;
    op->landed = true;
    if (op->io->op != PLAT_IO_WRITE)
        return;
    op->disk->file->seq++;
    op_each_sector(op, op_land_sector, land);
}

static const struct sim_version *
version_pick(const struct sim_sector *sector, uint32_t nr, struct rng *rng)
{
    uint64_t pick = rng_below(rng, nr);
    const struct sim_version *version;

    LIST_FOREACH(version, &sector->versions, struct sim_version, link) {
        if (pick-- == 0)
            break;
    }
    return version;
}

static void
sector_settle(struct sim_file *file, struct sim_sector *sector)
{
    struct rng *rng = &file->host->sim->disk_rng;
    const size_t piece = file->is_pmem ? WORD : PIECE;
    const struct sim_version *torn = NULL;
    uint8_t mix[SECTOR] = {0};
    struct sim_version *version;
    uint32_t nr = 0;

    LIST_FOREACH(version, &sector->versions, struct sim_version, link) {
        nr++;
    }
    if (sector->durable != NULL)
        memcpy(mix, sector->durable, SECTOR);
    switch (rng_below(rng, 3)) {
    case 0: /* kept */
        memcpy(mix, LIST_LAST(&sector->versions, struct sim_version, link)->data, SECTOR);
        break;
    case 1: /* lost */
        break;
    default: /* torn */
        for (size_t off = 0; off < SECTOR; off += piece) {
            if (torn == NULL || (file->is_pmem && off % 64 == 0))
                torn = version_pick(sector, nr, rng);
            if (rng_below(rng, 2) == 0)
                memcpy(mix + off, torn->data + off, piece);
        }
        break;
    }
    sector_durable_set(sector, mix);
    sector_versions_drop(sector, UINT64_MAX);
}

static void
file_settle(struct sim_file *file)
{
    while (!list_empty(&file->dirty)) {
        sector_settle(file, LIST_FIRST(&file->dirty, struct sim_sector, dirty_link));
    }
}

void
sim_host_disks_settle(struct sim_host *host)
{
    struct sim_node *node;
    struct plat_disk *disk;
    struct sim_op *op;
    struct sim_file *file, *next;

    LIST_FOREACH(node, &host->sim->nodes, struct sim_node, link) {
        if (node->host != host || node->dead)
            continue;
        LIST_FOREACH(disk, &node->disks, struct plat_disk, link) {
            LIST_FOREACH(op, &disk->ops, struct sim_op, link) {
                op_land(op, &(struct land){.left = UINT64_MAX, .by_chance = true});
            }
            file_settle(disk->file);
        }
    }
    LIST_FOREACH_SAFE(file, next, &host->files, struct sim_file, link) {
        file_settle(file);
        if (strncmp(file->path, "/shm/", 5) == 0)
            file_remove(file);
    }
}

void
sim_node_disks_drop(struct sim_node *node)
{
    struct rng *rng = &node->sim->disk_rng;
    struct plat_disk *disk;
    struct plat_dirlock *lock, *lock_next;

    LIST_FOREACH(disk, &node->disks, struct plat_disk, link) {
        while (!list_empty(&disk->ops)) {
            struct sim_op *op = LIST_FIRST(&disk->ops, struct sim_op, link);
            uint64_t nr = op_sectors(op);
            uint64_t chance = op->landed ? 0 : rng_below(rng, 4);

            if (chance == 2)
                nr = rng_below(rng, nr + 1); /* in part; 0: not at all; 1 and 3: whole */
            op_land(op, &(struct land){.left = chance == 0 ? 0 : nr});
            sim_ev_cancel(node->sim, &op->ev);
            list_del(&op->ready.link);
            list_del(&op->link);
            free(op);
        }
    }
    LIST_FOREACH_SAFE(lock, lock_next, &node->host->locks, struct plat_dirlock, link) {
        if (lock->node == node)
            list_move_tail(&lock->link, &node->locks_dropped);
    }
}

void
sim_node_disks_free(struct sim_node *node)
{
    struct plat_disk *disk, *next;

    LIST_FOREACH_SAFE(disk, next, &node->disks, struct plat_disk, link) {
        sim_disk_close(disk);
    }
    while (!list_empty(&node->locks_dropped)) {
        sim_dir_unlock(LIST_FIRST(&node->locks_dropped, struct plat_dirlock, link));
    }
}

void
sim_host_files_free(struct sim_host *host)
{
    while (!list_empty(&host->files)) {
        file_free(LIST_FIRST(&host->files, struct sim_file, link));
    }
    while (!list_empty(&host->dirs)) {
        struct sim_dir *dir = LIST_FIRST(&host->dirs, struct sim_dir, link);

        list_del(&dir->link);
        free(dir->path);
        free(dir);
    }
}

/* ---- operations ----------------------------------------------------------------------------------------------------- */

static bool
op_read_sector(struct sim_op *op, uint64_t no, uint8_t *data, void *arg)
{
    struct sim_sector *sector = sector_find(op->disk->file, no);
    const uint8_t *src = sector == NULL ? NULL : sector_current(op->disk->file, sector);

    (void)arg;
    if (src == NULL) {
        memset(data, 0, SECTOR);
    } else {
        memcpy(data, src, SECTOR);
    }
    return true;
}

static bool
op_trash_sector(struct sim_op *op, uint64_t no, uint8_t *data, void *arg)
{
    (void)op;
    (void)no;
    (void)arg;
    memset(data, 0xa5, SECTOR);
    return true;
}

static bool
op_crc_sector(struct sim_op *op, uint64_t no, uint8_t *data, void *arg)
{
    uint32_t *crc = arg;

    (void)op;
    (void)no;
    *crc = crc32c(*crc, data, SECTOR);
    return true;
}

static void
op_sync(struct sim_op *op)
{
    struct sim_file *file = op->disk->file;
    struct sim_sector *sector, *next;

    LIST_FOREACH_SAFE(sector, next, &file->dirty, struct sim_sector, dirty_link) {
        struct sim_version *version, *newest = NULL;

        LIST_FOREACH(version, &sector->versions, struct sim_version, link) {
            if (version->seq <= op->sync_seq)
                newest = version;
        }
        if (newest == NULL)
            continue;
        sector_durable_set(sector, newest->data);
        sector_versions_drop(sector, newest->seq);
    }
}

static void
op_fail(struct sim_op *op)
{
    uint64_t nr = op->io->op == PLAT_IO_WRITE ? op_sectors(op) : 0;
    bool promised = op->io->op == PLAT_IO_SYNC || (op->io->flags & PLAT_IO_DSYNC) != 0;

    if (nr > 0)
        nr = rng_below(&op->disk->node->sim->disk_rng, nr + 1);
    op_land(op, &(struct land){.left = nr}); /* SDISK-4 */
    op->rc = CAIRN_ERR(NVME_IO);
    if (promised)
        op->disk->poisoned = true;
}

static void
op_perform(struct sim_op *op)
{
    struct land land = {.left = UINT64_MAX, .durable = (op->io->flags & PLAT_IO_DSYNC) != 0};

    switch (op->io->op) {
    case PLAT_IO_READ:
        op_each_sector(op, op_read_sector, NULL);
        op->landed = true;
        break;
    case PLAT_IO_WRITE:
        op_land(op, &land);
        if (land.nospace)
            op->rc = CAIRN_ERR(NOSPACE);
        break;
    case PLAT_IO_SYNC:
        op_sync(op);
        op->landed = true;
        break;
    }
}

/* Its disk fails (sim_disk_errors_set()). */
static bool
op_is_unlucky(struct sim_op *op)
{
    struct sim_host *host = op->disk->node->host;

    return host->error_ppm != 0 &&
        strncmp(op->disk->file->path, host->error_prefix, strlen(host->error_prefix)) == 0 &&
        sim_ppm(&op->disk->node->sim->disk_rng, host->error_ppm);
}

static void
op_complete(struct sim *sim, struct sim_ev *ev)
{
    struct sim_op *op = CAIRN_CONTAINER_OF(ev, struct sim_op, ev);
    struct plat_io *io = op->io;
    struct sim_host *host = op->disk->node->host;
    uint32_t crc = 0;
    bool lost = false;

    if (sim_node_gone(op->disk->node))
        return; /* settled when the power goes, at this instant */
    if (io->op != PLAT_IO_READ)
        sim_host_count_write(host, &lost);
    if (lost)
        return;
    if (sim_ppm(&sim->disk_rng, sim->opts.disk_error_ppm) || op_is_unlucky(op)) {
        op_fail(op);
    } else {
        op_perform(op);
    }
    if (io->op == PLAT_IO_WRITE)
        op_each_sector(op, op_crc_sector, &crc);
    sim_trace(sim, SIM_TRACE_DISK, (uint64_t)io->op << 56 ^ io->off, (uint64_t)op->rc << 32 ^ crc);
    sim_loop_ready(op->disk->loop, &op->ready);
}

static void
op_done(struct sim_ready *ready)
{
    struct sim_op *op = CAIRN_CONTAINER_OF(ready, struct sim_op, ready);
    struct plat_io *io = op->io;
    int rc = op->rc;

    op->disk->loop->cbs_nr++;
    list_del(&op->link);
    free(op);
    io->done(io, rc);
}

static int
op_check(const struct plat_disk *disk, const struct plat_io *io)
{
    uint64_t total = 0;

    if (disk->poisoned)
        return CAIRN_ERR(NVME_IO);
    if (io->op != PLAT_IO_READ && disk->rdonly)
        return CAIRN_ERR(NO_PERM);
    if (io->op == PLAT_IO_SYNC)
        return 0;
    if (io->iov_nr == 0 || io->iov_nr > PLAT_IO_IOV_MAX)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < io->iov_nr; i++) {
        const struct iov *iov = &io->iovs[i];

        if (iov->len == 0 || iov->len > UINT32_MAX || !IS_ALIGNED(iov->len, SECTOR) ||
            !IS_ALIGNED((uintptr_t)iov->buf, SECTOR))
            return CAIRN_ERR(INVAL);
        total += iov->len;
    }
    if (!IS_ALIGNED(io->off, SECTOR) || io->off > sim_disk_size((struct plat_disk *)disk) ||
        total > sim_disk_size((struct plat_disk *)disk) - io->off)
        return CAIRN_ERR(INVAL);
    return 0;
}

void
sim_disk_submit(struct plat_disk *disk, struct plat_io *io)
{
    struct sim *sim = disk->node->sim;
    const struct sim_opts *opts = &sim->opts;
    struct sim_op *op;
    uint64_t lat_ns;

    if (sim_node_gone(disk->node))
        return;
    op = sim_alloc(sizeof(*op));
    op->disk = disk;
    op->io = io;
    op->sync_seq = disk->file->seq;
    op->ev.fn = op_complete;
    op->ready.fn = op_done;
    list_init(&op->ready.link);
    list_add_tail(&op->link, &disk->ops);
    op->rc = op_check(disk, io);
    if (op->rc != 0) {
        op->landed = true;
        sim_loop_ready(disk->loop, &op->ready);
        return;
    }
    if (io->op == PLAT_IO_READ)
        op_each_sector(op, op_trash_sector, NULL); /* SDISK-5 */
    lat_ns = rng_range(&sim->disk_rng, opts->disk_lat_lo_ns, opts->disk_lat_hi_ns);
    if (sim_ppm(&sim->disk_rng, opts->disk_stall_ppm))
        lat_ns += opts->disk_stall_ns;
    sim_ev_set(sim, &op->ev, sim->now_ns + lat_ns);
}

int
sim_disk_open(struct plat *plat, struct plat_loop *loop, const char *path, uint32_t flags,
    uint64_t size_bytes, struct plat_disk **ret_disk)
{
    struct sim_node *node = sim_node_of(plat);
    struct plat_disk *disk;
    struct sim_file *file;
    char name[SIM_PATH_BYTES];
    bool lost;
    int rc;

    if (!IS_ALIGNED(size_bytes, SECTOR) || size_bytes > INT64_MAX)
        return CAIRN_ERR(INVAL);
    rc = sim_path(path, name);
    if (rc != 0)
        return rc;
    file = file_find(node->host, name);
    if (file != NULL && (flags & PLAT_DISK_CREATE) != 0 && (flags & PLAT_DISK_EXCL) != 0)
        return CAIRN_ERR(EXIST);
    if (file == NULL && ((flags & PLAT_DISK_CREATE) == 0 || !parent_exists(node->host, name)))
        return CAIRN_ERR(NONEXIST);
    if (file == NULL) {
        if (!sim_node_gone(node))
            sim_host_count_write(node->host, &lost);
        file = file_create(node->host, name, size_bytes);
        sim_trace(node->sim, SIM_TRACE_FILE, strlen(name), size_bytes);
    }
    disk = sim_alloc(sizeof(*disk));
    disk->node = node;
    disk->loop = loop;
    disk->file = file;
    disk->rdonly = (flags & PLAT_DISK_RDONLY) != 0;
    file->is_pmem |= (flags & PLAT_DISK_PMEM) != 0 && !sim_disk_volatile(disk);
    list_init(&disk->ops);
    file->open_nr++;
    list_add_tail(&disk->link, &node->disks);
    *ret_disk = disk;
    return 0;
}

void
sim_disk_close(struct plat_disk *disk)
{
    if (disk == NULL)
        return;
    CAIRN_ASSERT(ERGO(!sim_node_gone(disk->node), list_empty(&disk->ops)));
    while (!list_empty(&disk->ops)) { /* doomed: the power goes, or the process dies, at this instant */
        struct sim_op *op = LIST_FIRST(&disk->ops, struct sim_op, link);

        op_land(op, &(struct land){.left = UINT64_MAX, .by_chance = true});
        sim_ev_cancel(disk->node->sim, &op->ev);
        list_del(&op->ready.link);
        list_del(&op->link);
        free(op);
    }
    list_del(&disk->link);
    disk->file->open_nr--;
    if (disk->file->removed && disk->file->open_nr == 0)
        file_free(disk->file);
    free(disk);
}

uint64_t
sim_disk_size(struct plat_disk *disk)
{
    return ALIGN_DOWN(disk->file->size_bytes, SECTOR);
}

bool
sim_disk_volatile(struct plat_disk *disk)
{
    return strncmp(disk->file->path, "/shm/", 5) == 0;
}

bool
sim_disk_is_memory(struct plat_disk *disk)
{
    return disk->file->is_pmem || sim_disk_volatile(disk);
}

/* The file becomes its map. */
static void
file_map(struct sim_file *file)
{
    uint8_t *map =
        mmap(NULL, file->size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CAIRN_ASSERT(map != MAP_FAILED);
    for (uint64_t no = 0; no < file->size_bytes / SECTOR; no++) {
        struct sim_sector *sector = sector_find(file, no);
        const uint8_t *data = sector == NULL ? NULL : sector_current(file, sector);

        if (sector == NULL)
            continue;
        file->map = map;
        map_open(file, no);
        file->map = NULL;
        if (data != NULL)
            memcpy(map + no * SECTOR, data, SECTOR);
        sector_versions_drop(sector, UINT64_MAX);
    }
    file->map = map;
}

int
sim_disk_map(struct plat_disk *disk, void **ret_mem)
{
    if (!sim_disk_volatile(disk) || disk->rdonly || sim_disk_size(disk) == 0)
        return CAIRN_ERR(NOSYS);
    if (disk->file->map == NULL)
        file_map(disk->file);
    *ret_mem = disk->file->map;
    return 0;
}

int
sim_disk_map_fill(struct plat_disk *disk, uint64_t off, uint64_t len)
{
    struct sim_file *file = disk->file;

    if (file->map == NULL || len == 0 || !IS_ALIGNED(off | len, (uint64_t)SECTOR) ||
        off > sim_disk_size(disk) || len > sim_disk_size(disk) - off)
        return CAIRN_ERR(INVAL);
    for (uint64_t no = off / SECTOR; no < (off + len) / SECTOR; no++) {
        if (sector_get(file, no) == NULL)
            return CAIRN_ERR(NOSPACE);
    }
    return 0;
}

int
sim_file_flip_bit(struct sim *sim, const char *host_name, const char *path, uint64_t bit_off)
{
    struct sim_host *host = sim_host_get(sim, host_name);
    char name[SIM_PATH_BYTES];
    struct sim_file *file;
    struct sim_sector *sector;
    struct sim_version *version;
    size_t off = bit_off / 8 % SECTOR;
    uint8_t bit = (uint8_t)(1u << bit_off % 8);
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    file = file_find(host, name);
    if (file == NULL)
        return CAIRN_ERR(NONEXIST);
    if (bit_off / 8 >= file->size_bytes)
        return CAIRN_ERR(INVAL);
    sector = sector_get(file, bit_off / 8 / SECTOR);
    if (sector == NULL)
        return CAIRN_ERR(NOSPACE);
    if (file->map != NULL) {
        file->map[bit_off / 8] ^= bit;
        return 0;
    }
    if (sector->durable == NULL)
        sector->durable = sim_alloc(SECTOR);
    sector->durable[off] ^= bit;
    LIST_FOREACH(version, &sector->versions, struct sim_version, link) {
        version->data[off] ^= bit;
    }
    return 0;
}

static bool
sector_is_zero(const struct sim_file *file, const struct sim_sector *sector)
{
    static const uint8_t zeros[SECTOR];
    const uint8_t *data = sector_current(file, sector);

    return data == NULL || memcmp(data, zeros, SECTOR) == 0;
}

int
sim_file_rot(struct sim *sim, const char *host_name, const char *path, uint64_t rnd)
{
    struct sim_file *file;
    struct sim_sector *sector;
    uint64_t nr = 0, pick;
    char name[SIM_PATH_BYTES];
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    file = file_find(sim_host_get(sim, host_name), name);
    for (uint64_t no = 0; file != NULL && no < file->size_bytes / SECTOR; no++) {
        sector = sector_find(file, no);
        nr += sector != NULL && !sector_is_zero(file, sector);
    }
    if (nr == 0)
        return CAIRN_ERR(NONEXIST);
    pick = rnd % nr;
    for (uint64_t no = 0;; no++) {
        sector = sector_find(file, no);
        if (sector == NULL || sector_is_zero(file, sector) || pick-- > 0)
            continue;
        return sim_file_flip_bit(sim, host_name, path, no * SECTOR * 8 + (rnd >> 32) % (SECTOR * 8));
    }
}

void
sim_disk_errors_set(struct sim *sim, const char *host_name, const char *prefix, uint32_t ppm)
{
    struct sim_host *host = sim_host_get(sim, host_name);

    host->error_ppm = ppm;
    snprintf(host->error_prefix, sizeof(host->error_prefix), "%s", prefix);
}

/* ---- directories and small files ------------------------------------------------------------------------------------ */

static void
dir_add(struct sim_host *host, const char *path)
{
    struct sim_dir *dir = sim_alloc(sizeof(*dir));

    dir->path = strdup(path);
    CAIRN_ASSERT(dir->path != NULL);
    list_add_tail(&dir->link, &host->dirs);
}

int
sim_dir_create(struct plat *plat, const char *path)
{
    struct sim_host *host = sim_node_of(plat)->host;
    char name[SIM_PATH_BYTES], part[SIM_PATH_BYTES];
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    for (size_t i = 1; i <= strlen(name); i++) {
        if (name[i] != '/' && name[i] != '\0')
            continue;
        snprintf(part, sizeof(part), "%.*s", (int)i, name);
        if (file_find(host, part) != NULL)
            return CAIRN_ERR(NOTDIR);
        if (dir_find(host, part) == NULL)
            dir_add(host, part);
    }
    return 0;
}

int
sim_dir_lock(struct plat *plat, const char *path, struct plat_dirlock **ret_lock)
{
    struct sim_node *node = sim_node_of(plat);
    struct plat_dirlock *lock;
    char name[SIM_PATH_BYTES], file[SIM_PATH_BYTES + 8];
    bool is_dir;
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    is_dir = name[0] == '\0' || dir_find(node->host, name) != NULL;
    if (!is_dir && file_find(node->host, name) == NULL)
        return CAIRN_ERR(NONEXIST);
    LIST_FOREACH(lock, &node->host->locks, struct plat_dirlock, link) {
        if (strcmp(lock->path, name) == 0)
            return CAIRN_ERR(BUSY);
    }
    snprintf(file, sizeof(file), "%s/LOCK", name);
    if (is_dir && file_find(node->host, file) == NULL)
        file_create(node->host, file, 0);
    lock = sim_alloc(sizeof(*lock));
    lock->node = node;
    lock->path = strdup(name);
    CAIRN_ASSERT(lock->path != NULL);
    list_add_tail(&lock->link, &node->host->locks);
    *ret_lock = lock;
    return 0;
}

void
sim_dir_unlock(struct plat_dirlock *lock)
{
    if (lock == NULL)
        return;
    list_del(&lock->link);
    free(lock->path);
    free(lock);
}

static const char *
child_name(const char *dir, const char *path)
{
    size_t len = strlen(dir);

    if (strncmp(path, dir, len) != 0 || path[len] != '/' || strchr(path + len + 1, '/') != NULL)
        return NULL;
    return path + len + 1;
}

static int
name_cmp(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
sim_dir_list(struct plat *plat, const char *path, void (*fn)(void *arg, const char *name), void *arg)
{
    struct sim_host *host = sim_node_of(plat)->host;
    char name[SIM_PATH_BYTES];
    struct sim_file *file;
    struct sim_dir *dir;
    char **names = NULL;
    size_t nr = 0, max = 0;
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    if (name[0] != '\0' && dir_find(host, name) == NULL)
        return CAIRN_ERR(NONEXIST);
    LIST_FOREACH(file, &host->files, struct sim_file, link) {
        max++;
    }
    LIST_FOREACH(dir, &host->dirs, struct sim_dir, link) {
        max++;
    }
    names = sim_alloc((max + 1) * sizeof(*names));
    LIST_FOREACH(file, &host->files, struct sim_file, link) {
        if (child_name(name, file->path) != NULL)
            names[nr++] = strdup(child_name(name, file->path));
    }
    LIST_FOREACH(dir, &host->dirs, struct sim_dir, link) {
        if (child_name(name, dir->path) != NULL)
            names[nr++] = strdup(child_name(name, dir->path));
    }
    qsort(names, nr, sizeof(*names), name_cmp);
    for (size_t i = 0; i < nr; i++) {
        CAIRN_ASSERT(names[i] != NULL);
        fn(arg, names[i]);
        free(names[i]);
    }
    free(names);
    return 0;
}

int
sim_file_read(struct plat *plat, const char *path, void *buf, size_t buf_len, size_t *ret_len)
{
    struct sim_host *host = sim_node_of(plat)->host;
    char name[SIM_PATH_BYTES];
    struct sim_file *file;
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    file = file_find(host, name);
    if (file == NULL)
        return CAIRN_ERR(NONEXIST);
    if (file->size_bytes > buf_len)
        return CAIRN_ERR(TRUNC);
    memset(buf, 0, file->size_bytes);
    for (uint64_t off = 0; off < file->size_bytes; off += SECTOR) {
        struct sim_sector *sector = sector_find(file, off / SECTOR);

        if (sector != NULL && sector_current(file, sector) != NULL) {
            memcpy((uint8_t *)buf + off, sector_current(file, sector),
                MIN(file->size_bytes - off, (uint64_t)SECTOR));
        }
    }
    *ret_len = file->size_bytes;
    return 0;
}

/* True: the change happens. Not in a dead process, and by chance when the power goes with it. */
static bool
file_change_counts(struct sim_node *node)
{
    bool lost;

    if (sim_node_gone(node))
        return false;
    sim_host_count_write(node->host, &lost);
    return !lost || rng_below(&node->sim->disk_rng, 2) == 0;
}

int
sim_file_write(struct plat *plat, const char *path, const void *buf, size_t len)
{
    struct sim_node *node = sim_node_of(plat);
    struct sim_host *host = node->host;
    char name[SIM_PATH_BYTES];
    struct sim_file *old, *file;
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    if (!parent_exists(host, name))
        return CAIRN_ERR(NONEXIST);
    if (host->limit_sectors != UINT64_MAX &&
        host->used_sectors + DIV_UP(len, SECTOR) > host->limit_sectors)
        return CAIRN_ERR(NOSPACE);
    if (!file_change_counts(node))
        return 0;
    old = file_find(host, name);
    if (old != NULL)
        file_remove(old);
    file = file_create(host, name, len);
    for (uint64_t off = 0; off < len; off += SECTOR) {
        struct sim_sector *sector = sector_get(file, off / SECTOR);
        uint8_t data[SECTOR] = {0};

        CAIRN_ASSERT(sector != NULL); /* checked above */
        memcpy(data, (const uint8_t *)buf + off, MIN(len - off, (size_t)SECTOR));
        sector_durable_set(sector, data);
    }
    sim_trace(node->sim, SIM_TRACE_FILE, len, crc32c(0, buf, len));
    return 0;
}

int
sim_file_remove(struct plat *plat, const char *path)
{
    struct sim_node *node = sim_node_of(plat);
    char name[SIM_PATH_BYTES];
    struct sim_file *file;
    int rc = sim_path(path, name);

    if (rc != 0)
        return rc;
    file = file_find(node->host, name);
    if (file == NULL)
        return CAIRN_ERR(NONEXIST);
    if (file_change_counts(node))
        file_remove(file);
    return 0;
}
