/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Disks: files and block devices behind plat_disk_*.
 *
 *   engine    when                                     how
 *   RING      normally                                 io_uring of the loop, O_DIRECT, RWF_DSYNC for PLAT_IO_DSYNC
 *   HELPER    io_uring is refused by the kernel         blocking calls on DISK_HELPERS_NR threads of the loop
 *   COPY      the file lies on tmpfs or ramfs          pread and pwrite at once, in the submitting thread: they are memory copies;
 *                                                      can be mapped (disk_map), so that its user needs neither, and
 *                                                      gets memory ahead of its writes then (plat_linux_ahead.c)
 *   PMEM      PLAT_DISK_PMEM                            copies through libpmem to and from a mapping (plat_linux_pmem.c), at once, too
 *
 *   DISK-1  Completions run in loop_poll() only (PLT-1): RING reaps its queue there, HELPER posts, COPY, PMEM and refused operations
 *           go through a task.
 *   DISK-2  A failed sync, or a failed write that promised durability, poisons the disk (ST-1), except for NOSPACE of a write.
 *   DISK-3  At most DISK_RING_INFLIGHT_MAX operations are with the kernel; the rest waits in a backlog, in order.
 *
 * io_uring is refused by seccomp filters, by the sysctl io_uring_disabled, by old kernels (also those that lack an operation that
 * is used here). Where the file system refuses O_DIRECT, when it is set or at a trial read, the file is used buffered; RWF_DSYNC and
 * fdatasync keep the promises, at a price, and a warning says so once. Where RWF_DSYNC is unknown (old kernels, sandboxes)
 * HELPER follows the write with fdatasync. CAIRN_DISK in the environment forces either (plat_linux.h).
 *
 * A file is created sparse: who wants its blocks allocated writes zeros. No IORING_SETUP_COOP_TASKRUN or SINGLE_ISSUER: the loop of a
 * client may be driven by different threads, of which the submitting one may not enter the kernel again for long.
 * Tested by plat_disk_test.c on each engine.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "plat/linux/plat_linux_ahead.h"
#include "plat/linux/plat_linux_pmem.h"
#include "plat/plat_gate.h"

enum {
    DISK_RING_ENTRIES = 256,
    DISK_RING_INFLIGHT_MAX = 512, /* the completion queue has as many entries */
    DISK_HELPERS_NR = 2,
};

enum disk_kind { DISK_RING, DISK_HELPER, DISK_COPY, DISK_PMEM };

struct plat_disk {
    struct plat_loop *loop;
    int fd;
    enum disk_kind kind;
    bool is_volatile;
    bool rdonly;
    bool poisoned; /* ST-1 */
    uint64_t size_bytes;
    uint32_t inflight_nr;
    uint8_t *map; /* of size_bytes; NULL: not mapped */
    struct disk_ahead *ahead; /* of a mapped one */
    struct pmem_map *pmem; /* of PMEM */
};

/* What a plat_io carries in priv. */
struct disk_io {
    struct list_head link;
    struct plat_post post;
    struct plat_disk *disk;
    struct iovec *rest; /* after a short transfer: what is left; owned */
    uint64_t moved; /* bytes transferred so far */
    uint32_t total_sectors;
    int rc;
};
_Static_assert(sizeof(struct disk_io) <= sizeof(((struct plat_io *)0)->priv), "disk_io fits");
_Static_assert(sizeof(struct iov) == sizeof(struct iovec), "iov is an iovec");
_Static_assert(offsetof(struct iov, buf) == offsetof(struct iovec, iov_base), "iov is an iovec");
_Static_assert(offsetof(struct iov, len) == offsetof(struct iovec, iov_len), "iov is an iovec");

/* One per loop that has disks. Owner: the loop's thread, except what `lock` guards. */
struct disk_engine {
    struct plat_loop *loop;
    struct io_uring ring;
    bool has_ring;
    struct loop_src ring_src;
    uint32_t inflight_nr;
    struct list_head backlog; /* not yet with the kernel, for want of room */
    struct list_head done; /* finished, to be told by `task` */
    struct loop_task task;
    struct plat_gate_thread *helpers[DISK_HELPERS_NR];
    uint32_t helpers_nr;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct list_head helper_queue; /* under lock */
    bool helper_stop; /* under lock */
};

static struct disk_io *
disk_io_of(struct plat_io *io)
{
    return (struct disk_io *)(void *)io->priv;
}

static struct plat_io *
plat_io_of(struct disk_io *dio)
{
    return CAIRN_CONTAINER_OF(dio, struct plat_io, priv);
}

/* ---- finishing ------------------------------------------------------------------------------------------------------ */

static void
disk_io_finish(struct disk_io *dio, int rc)
{
    struct plat_io *io = plat_io_of(dio);
    struct plat_disk *disk = dio->disk;
    bool promised = io->op == PLAT_IO_SYNC || (io->flags & PLAT_IO_DSYNC) != 0;

    if (rc != 0 && promised && !(io->op == PLAT_IO_WRITE && rc == -(int)DER_NOSPACE) &&
        rc != -(int)DER_INVAL)
        disk->poisoned = true; /* DISK-2 */
    CAIRN_ASSERT(disk->inflight_nr > 0);
    disk->inflight_nr--;
    free(dio->rest);
    dio->rest = NULL;
    disk->loop->cbs_nr++;
    io->done(io, rc);
}

static void
disk_done_task(struct loop_task *task)
{
    struct disk_engine *engine = CAIRN_CONTAINER_OF(task, struct disk_engine, task);
    struct list_head round;

    list_init(&round);
    list_splice_tail(&engine->done, &round);
    while (!list_empty(&round)) {
        struct disk_io *dio = LIST_FIRST(&round, struct disk_io, link);

        list_del(&dio->link);
        disk_io_finish(dio, dio->rc);
    }
}

static void
disk_io_finish_later(struct disk_engine *engine, struct disk_io *dio, int rc)
{
    dio->rc = rc;
    list_add_tail(&dio->link, &engine->done);
    loop_task_add(engine->loop, &engine->task);
}

static int
disk_err(int err)
{
    if (err == ENOSPC || err == EDQUOT)
        return CAIRN_ERR(NOSPACE);
    if (err == ENOMEM || err == EAGAIN)
        return CAIRN_ERR(NOMEM);
    LOG_DEBUG("disk operation failed: %s", strerror(err));
    return CAIRN_ERR(NVME_IO);
}

/* ---- what is left of an operation ----------------------------------------------------------------------------------- */

static const struct iovec *
disk_io_vecs(struct disk_io *dio, uint32_t *ret_nr)
{
    struct plat_io *io = plat_io_of(dio);
    uint64_t skip = dio->moved;
    uint32_t idx = 0;

    if (skip == 0) {
        *ret_nr = io->iov_nr;
        return (const struct iovec *)(const void *)io->iovs;
    }
    while (skip >= io->iovs[idx].len) {
        skip -= io->iovs[idx].len;
        idx++;
    }
    *ret_nr = io->iov_nr - idx;
    memcpy(dio->rest, io->iovs + idx, *ret_nr * sizeof(struct iovec));
    dio->rest[0].iov_base = (uint8_t *)dio->rest[0].iov_base + skip;
    dio->rest[0].iov_len -= skip;
    return dio->rest;
}

/* Account for `n` bytes moved (or -errno). True: finished, with *ret_rc. False: go on with the rest. */
static bool
disk_io_moved(struct disk_io *dio, int64_t n, int *ret_rc)
{
    struct plat_io *io = plat_io_of(dio);
    uint64_t total = (uint64_t)dio->total_sectors * PLAT_SECTOR_BYTES;

    if (n == -EINTR || n == -EAGAIN)
        return false; /* nothing moved: once more */
    if (n < 0) {
        *ret_rc = disk_err((int)-n);
        return true;
    }
    if (n == 0 && io->op != PLAT_IO_SYNC) {
        *ret_rc = CAIRN_ERR(NVME_IO); /* the file was cut behind our back */
        return true;
    }
    dio->moved += (uint64_t)n;
    if (dio->moved >= total) {
        *ret_rc = 0;
        return true;
    }
    if (dio->rest == NULL)
        dio->rest = malloc(io->iov_nr * sizeof(struct iovec));
    if (dio->rest == NULL) {
        *ret_rc = CAIRN_ERR(NOMEM);
        return true;
    }
    return false;
}

/* ---- blocking engines ----------------------------------------------------------------------------------------------- */

static ssize_t
disk_sys_write(struct plat_disk *disk, const struct iovec *vecs, int nr, off_t off, bool dsync)
{
    ssize_t n;

    if (!dsync || disk->kind == DISK_COPY)
        return pwritev(disk->fd, vecs, nr, off);
    n = pwritev2(disk->fd, vecs, nr, off, RWF_DSYNC);
    if (n >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
        return n;
    n = pwritev(disk->fd, vecs, nr, off);
    if (n > 0 && fdatasync(disk->fd) != 0)
        return -1;
    return n;
}

static int
disk_io_blocking(struct disk_io *dio)
{
    struct plat_io *io = plat_io_of(dio);
    struct plat_disk *disk = dio->disk;
    int64_t n;
    int rc;

    do {
        uint32_t nr = 0;
        const struct iovec *vecs;
        off_t off = (off_t)(io->off + dio->moved);

        if (io->op == PLAT_IO_SYNC) {
            n = disk->kind == DISK_COPY ? 0 : fdatasync(disk->fd);
        } else {
            vecs = disk_io_vecs(dio, &nr);
            if (io->op == PLAT_IO_READ) {
                n = preadv(disk->fd, vecs, (int)nr, off);
            } else {
                n = disk_sys_write(disk, vecs, (int)nr, off, (io->flags & PLAT_IO_DSYNC) != 0);
            }
        }
        if (n < 0)
            n = -errno;
    } while (!disk_io_moved(dio, n, &rc));
    return rc;
}

static void
disk_helper_done(struct plat_post *post)
{
    struct disk_io *dio = CAIRN_CONTAINER_OF(post, struct disk_io, post);

    disk_io_finish(dio, dio->rc);
}

static void
disk_helper_main(void *arg)
{
    struct disk_engine *engine = arg;

    pthread_mutex_lock(&engine->lock);
    while (!engine->helper_stop) {
        struct disk_io *dio = LIST_FIRST(&engine->helper_queue, struct disk_io, link);

        if (dio == NULL) {
            pthread_cond_wait(&engine->cond, &engine->lock);
            continue;
        }
        list_del(&dio->link);
        pthread_mutex_unlock(&engine->lock);
        dio->rc = disk_io_blocking(dio);
        dio->post.fn = disk_helper_done;
        plat_linux_loop_post(engine->loop, &dio->post);
        pthread_mutex_lock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
}

static int
disk_helpers_start(struct disk_engine *engine)
{
    int rc = 0;

    while (rc == 0 && engine->helpers_nr < DISK_HELPERS_NR) {
        rc = plat_gate_thread_start(
            "cairn-disk", disk_helper_main, engine, &engine->helpers[engine->helpers_nr]);
        if (rc == 0)
            engine->helpers_nr++;
    }
    return engine->helpers_nr == 0 ? rc : 0; /* one is enough */
}

/* ---- io_uring ------------------------------------------------------------------------------------------------------- */

static bool
disk_ring_put(struct disk_engine *engine, struct disk_io *dio)
{
    struct plat_io *io = plat_io_of(dio);
    struct io_uring_sqe *sqe;
    const struct iovec *vecs;
    uint64_t off = io->off + dio->moved;
    uint32_t nr;

    if (engine->inflight_nr >= DISK_RING_INFLIGHT_MAX)
        return false;
    sqe = io_uring_get_sqe(&engine->ring);
    if (sqe == NULL)
        return false;
    if (io->op == PLAT_IO_SYNC) {
        io_uring_prep_fsync(sqe, dio->disk->fd, IORING_FSYNC_DATASYNC);
    } else {
        vecs = disk_io_vecs(dio, &nr);
        if (io->op == PLAT_IO_READ && nr == 1) {
            io_uring_prep_read(sqe, dio->disk->fd, vecs->iov_base, (unsigned)vecs->iov_len, off);
        } else if (io->op == PLAT_IO_READ) {
            io_uring_prep_readv(sqe, dio->disk->fd, vecs, nr, off);
        } else if (nr == 1) {
            io_uring_prep_write(sqe, dio->disk->fd, vecs->iov_base, (unsigned)vecs->iov_len, off);
        } else {
            io_uring_prep_writev(sqe, dio->disk->fd, vecs, nr, off);
        }
        if ((io->flags & PLAT_IO_DSYNC) != 0)
            sqe->rw_flags = RWF_DSYNC;
    }
    io_uring_sqe_set_data(sqe, dio);
    engine->inflight_nr++;
    return true;
}

static void
disk_ring_backlog(struct disk_engine *engine)
{
    while (!list_empty(&engine->backlog)) {
        struct disk_io *dio = LIST_FIRST(&engine->backlog, struct disk_io, link);

        if (!disk_ring_put(engine, dio))
            return;
        list_del(&dio->link);
    }
}

void
disk_engine_submit(struct disk_engine *engine)
{
    if (!engine->has_ring)
        return;
    disk_ring_backlog(engine);
    while (io_uring_sq_ready(&engine->ring) > 0) {
        int n = io_uring_submit(&engine->ring);

        if (n < 0 && n != -EINTR)
            return; /* EAGAIN, EBUSY: short of memory or of completion entries; the next poll tries again */
        disk_ring_backlog(engine);
    }
}

bool
disk_engine_ready(struct disk_engine *engine)
{
    if (!engine->has_ring)
        return false;
    return io_uring_cq_ready(&engine->ring) > 0 || io_uring_sq_ready(&engine->ring) > 0;
}

void
disk_engine_reap(struct disk_engine *engine)
{
    struct io_uring_cqe *cqe;

    if (!engine->has_ring)
        return;
    for (uint32_t left = DISK_RING_INFLIGHT_MAX;
         left > 0 && io_uring_peek_cqe(&engine->ring, &cqe) == 0; left--) {
        struct disk_io *dio = io_uring_cqe_get_data(cqe);
        int64_t n = cqe->res;
        int rc;

        io_uring_cqe_seen(&engine->ring, cqe);
        engine->inflight_nr--;
        if (disk_io_moved(dio, n, &rc)) {
            disk_io_finish(dio, rc);
        } else {
            list_add(&dio->link, &engine->backlog);
        }
    }
    disk_ring_backlog(engine);
}

static void
disk_ring_readable(struct loop_src *src, uint32_t events)
{
    (void)src; /* loop_poll() reaps in any case */
    (void)events;
}

/* All that disk_ring_put() asks for. */
static bool
disk_ring_knows(struct io_uring *ring)
{
    static const int ops[] = {
        IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_FSYNC};
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool knows = probe != NULL;

    for (uint32_t i = 0; knows && i < ARRAY_SIZE(ops); i++) {
        knows = io_uring_opcode_supported(probe, ops[i]) != 0;
    }
    io_uring_free_probe(probe);
    return knows;
}

static int
disk_ring_init(struct disk_engine *engine)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = DISK_RING_INFLIGHT_MAX,
    };
    int rc = io_uring_queue_init_params(DISK_RING_ENTRIES, &engine->ring, &params);

    if (rc != 0) {
        LOG_INFO("io_uring is not available (%s): disks use helper threads", strerror(-rc));
        return PLAT_LINUX_ERR(-rc);
    }
    io_uring_ring_dontfork(&engine->ring);
    if (!disk_ring_knows(&engine->ring)) {
        LOG_INFO("io_uring of this kernel is too old: disks use helper threads");
        io_uring_queue_exit(&engine->ring);
        return CAIRN_ERR(NOSYS);
    }
    engine->ring_src =
        (struct loop_src){.fd = engine->ring.ring_fd, .events = EPOLLIN, .fn = disk_ring_readable};
    rc = loop_src_add(engine->loop, &engine->ring_src);
    if (rc != 0) {
        io_uring_queue_exit(&engine->ring);
        return rc;
    }
    engine->has_ring = true;
    return 0;
}

/* ---- engine --------------------------------------------------------------------------------------------------------- */

static int
disk_engine_get(struct plat_loop *loop, bool need_kernel, struct disk_engine **ret_engine)
{
    struct disk_engine *engine = loop->disk;
    int rc;

    if (engine == NULL) {
        engine = calloc(1, sizeof(*engine));
        if (engine == NULL)
            return CAIRN_ERR(NOMEM);
        engine->loop = loop;
        list_init(&engine->backlog);
        list_init(&engine->done);
        list_init(&engine->helper_queue);
        list_init(&engine->task.link);
        engine->task.fn = disk_done_task;
        pthread_mutex_init(&engine->lock, NULL);
        pthread_cond_init(&engine->cond, NULL);
        loop->disk = engine;
    }
    if (need_kernel && !engine->has_ring && engine->helpers_nr == 0) {
        rc = loop->pl->uring_off ? -1 : disk_ring_init(engine);
        if (rc != 0)
            rc = disk_helpers_start(engine);
        if (rc != 0)
            return rc;
    }
    *ret_engine = engine;
    return 0;
}

void
disk_engine_destroy(struct disk_engine *engine)
{
    if (engine == NULL)
        return;
    CAIRN_ASSERT(engine->inflight_nr == 0);
    CAIRN_ASSERT(list_empty(&engine->backlog));
    CAIRN_ASSERT(list_empty(&engine->done));
    pthread_mutex_lock(&engine->lock);
    CAIRN_ASSERT(list_empty(&engine->helper_queue));
    engine->helper_stop = true;
    pthread_cond_broadcast(&engine->cond);
    pthread_mutex_unlock(&engine->lock);
    for (uint32_t i = 0; i < engine->helpers_nr; i++) {
        plat_gate_thread_join(engine->helpers[i]);
    }
    pthread_cond_destroy(&engine->cond);
    pthread_mutex_destroy(&engine->lock);
    if (engine->has_ring) {
        loop_src_del(engine->loop, &engine->ring_src);
        io_uring_queue_exit(&engine->ring);
    }
    free(engine);
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

static int
disk_file_open(struct plat_disk *disk, const char *path, uint32_t flags, bool *ret_created)
{
    int oflags = O_CLOEXEC | ((flags & PLAT_DISK_RDONLY) != 0 ? O_RDONLY : O_RDWR);
    bool create = (flags & PLAT_DISK_CREATE) != 0;

    *ret_created = false;
    if (create) {
        disk->fd = open(path, oflags | O_CREAT | O_EXCL, 0600);
        *ret_created = disk->fd >= 0;
        if (disk->fd < 0 && (errno != EEXIST || (flags & PLAT_DISK_EXCL) != 0))
            return PLAT_LINUX_ERR(errno);
    }
    if (disk->fd < 0)
        disk->fd = open(path, oflags);
    return disk->fd < 0 ? PLAT_LINUX_ERR(errno) : 0;
}

static int
disk_size_get(struct plat_disk *disk)
{
    struct stat st;

    if (fstat(disk->fd, &st) != 0)
        return PLAT_LINUX_ERR(errno);
    if (S_ISREG(st.st_mode)) {
        disk->size_bytes = (uint64_t)st.st_size;
    } else if (S_ISBLK(st.st_mode)) {
        if (ioctl(disk->fd, BLKGETSIZE64, &disk->size_bytes) != 0)
            return PLAT_LINUX_ERR(errno);
    } else {
        return CAIRN_ERR(INVAL);
    }
    disk->size_bytes = ALIGN_DOWN(disk->size_bytes, PLAT_SECTOR_BYTES);
    return 0;
}

/* Some file systems take O_DIRECT and refuse the I/O; some devices have sectors above ours. */
static int
disk_direct_try(struct plat_disk *disk)
{
    void *buf = NULL;
    int err = 0;

    if (disk->size_bytes < PLAT_SECTOR_BYTES)
        return 0;
    if (posix_memalign(&buf, PLAT_SECTOR_BYTES, PLAT_SECTOR_BYTES) != 0)
        return ENOMEM;
    if (pread(disk->fd, buf, PLAT_SECTOR_BYTES, 0) < 0 && (errno == EINVAL || errno == EOPNOTSUPP))
        err = errno; /* other errors are for who reads */
    free(buf);
    return err;
}

static int
disk_pmem_set(struct plat_disk *disk, const char *path)
{
    struct plat_linux *pl = disk->loop->pl;
    int rc = disk->size_bytes == 0
        ? CAIRN_ERR(INVAL)
        : pmem_map_open(pl, disk->fd, path, disk->size_bytes, disk->rdonly, &disk->pmem);

    if (rc != 0)
        return rc;
    disk->kind = DISK_PMEM;
    if (!disk->rdonly && !pmem_map_is_pmem(disk->pmem) && !atomic_exchange(&pl->pmem_warned, true)) {
        LOG_WARN("%s: this is no persistent memory, or its file system is not mounted with -o dax: "
                 "msync makes writes durable, which is slow, and blocks",
            path);
    }
    return 0;
}

static void
disk_direct_set(struct plat_disk *disk, const char *path, uint32_t flags)
{
    struct plat_linux *pl = disk->loop->pl;
    int fl, err;

    if ((flags & PLAT_DISK_NODIRECT) != 0)
        return;
    fl = fcntl(disk->fd, F_GETFL);
    err = pl->direct_off || fl < 0 || fcntl(disk->fd, F_SETFL, fl | O_DIRECT) != 0
        ? EINVAL
        : disk_direct_try(disk);
    if (err == 0)
        return;
    if (fl >= 0)
        CAIRN_IGNORE(fcntl(disk->fd, F_SETFL, fl));
    if (!atomic_exchange(&pl->direct_warned, true)) {
        LOG_WARN("%s: direct I/O is refused (%s); going on buffered, which is slower", path,
            strerror(err));
    }
}

static int
disk_prepare(
    struct plat_disk *disk, const char *path, uint32_t flags, uint64_t size_bytes, bool created)
{
    struct statfs sfs;
    int rc;

    if (created) {
        if (ftruncate(disk->fd, (off_t)size_bytes) != 0 || fsync(disk->fd) != 0)
            return PLAT_LINUX_ERR(errno);
        rc = plat_linux_dir_sync_parent(path);
        if (rc != 0)
            return rc;
    }
    rc = disk_size_get(disk);
    if (rc != 0)
        return rc;
    if (fstatfs(disk->fd, &sfs) == 0)
        disk->is_volatile = sfs.f_type == TMPFS_MAGIC || sfs.f_type == RAMFS_MAGIC;
    if (disk->is_volatile) {
        disk->kind = DISK_COPY;
    } else if ((flags & PLAT_DISK_PMEM) != 0 || disk->loop->pl->pmem_all) {
        rc = disk_pmem_set(disk, path);
    } else {
        disk_direct_set(disk, path, flags);
    }
    return rc;
}

int
plat_linux_disk_open(struct plat *plat, struct plat_loop *loop, const char *path, uint32_t flags,
    uint64_t size_bytes, struct plat_disk **ret_disk)
{
    struct plat_disk *disk;
    struct disk_engine *engine;
    bool created = false;
    int rc;

    (void)plat;
    if (!IS_ALIGNED(size_bytes, PLAT_SECTOR_BYTES) || size_bytes > INT64_MAX)
        return CAIRN_ERR(INVAL);
    disk = calloc(1, sizeof(*disk));
    if (disk == NULL)
        return CAIRN_ERR(NOMEM);
    disk->loop = loop;
    disk->fd = -1;
    disk->rdonly = (flags & PLAT_DISK_RDONLY) != 0;
    rc = disk_file_open(disk, path, flags, &created);
    if (rc != 0)
        goto out;
    rc = disk_prepare(disk, path, flags, size_bytes, created);
    if (rc != 0)
        goto out;
    rc = disk_engine_get(loop, !plat_linux_disk_is_memory(disk), &engine);
    if (rc != 0)
        goto out;
    if (!plat_linux_disk_is_memory(disk))
        disk->kind = engine->has_ring ? DISK_RING : DISK_HELPER;
    *ret_disk = disk;
    disk = NULL;
    created = false;
out:
    if (created)
        unlink(path);
    plat_linux_disk_close(disk);
    return rc;
}

void
plat_linux_disk_close(struct plat_disk *disk)
{
    if (disk == NULL)
        return;
    CAIRN_ASSERT(disk->inflight_nr == 0);
    disk_ahead_destroy(disk->ahead);
    if (disk->map != NULL)
        munmap(disk->map, disk->size_bytes);
    pmem_map_close(disk->pmem);
    if (disk->fd >= 0)
        close(disk->fd);
    free(disk);
}

uint64_t
plat_linux_disk_size(struct plat_disk *disk)
{
    return disk->size_bytes;
}

bool
plat_linux_disk_volatile(struct plat_disk *disk)
{
    return disk->is_volatile;
}

bool
plat_linux_disk_is_memory(struct plat_disk *disk)
{
    return disk->kind == DISK_COPY || disk->kind == DISK_PMEM;
}

/* ---- mapping -------------------------------------------------------------------------------------------------------- */

/*
 * Pages and page table entries for a range. On a full tmpfs a touch would be SIGBUS, which this call reports instead (Linux 5.14).
 */
static int
disk_populate(void *mem, size_t len)
{
    while (madvise(mem, len, MADV_POPULATE_WRITE) != 0) {
        switch (errno) {
        case EINTR:
        case EAGAIN:
            break;
        case EFAULT:
            return CAIRN_ERR(NOSPACE);
        case EINVAL:
        case ENOSYS:
            return CAIRN_ERR(NOSYS);
        default:
            return PLAT_LINUX_ERR(errno);
        }
    }
    return 0;
}

int
plat_linux_disk_map(struct plat_disk *disk, void **ret_mem)
{
    void *mem;
    int rc;

    if (disk->map != NULL) {
        *ret_mem = disk->map;
        return 0;
    }
    if (disk->kind != DISK_COPY || disk->rdonly || disk->size_bytes < PLAT_SECTOR_BYTES)
        return CAIRN_ERR(NOSYS);
    mem = mmap(
        NULL, disk->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, disk->fd, 0);
    if (mem == MAP_FAILED)
        return CAIRN_ERR(NOMEM);
    CAIRN_IGNORE(madvise(mem, disk->size_bytes, MADV_HUGEPAGE)); /* where the mount allows them */
    CAIRN_IGNORE(madvise(mem, disk->size_bytes, MADV_DONTFORK));
    rc = disk_populate(mem, PLAT_SECTOR_BYTES);
    if (rc == 0)
        rc = disk_ahead_create(disk->fd, disk->size_bytes, &disk->ahead);
    if (rc != 0) {
        munmap(mem, disk->size_bytes);
        return rc;
    }
    disk->map = mem;
    *ret_mem = mem;
    return 0;
}

int
plat_linux_disk_map_fill(struct plat_disk *disk, uint64_t off, uint64_t len)
{
    if (disk->map == NULL || len == 0 || !IS_ALIGNED(off | len, (uint64_t)PLAT_SECTOR_BYTES) ||
        off > disk->size_bytes || len > disk->size_bytes - off)
        return CAIRN_ERR(INVAL);
    return disk_populate(disk->map + off, len);
}

/* ---- submitting ----------------------------------------------------------------------------------------------------- */

static int
disk_io_check(struct plat_disk *disk, struct plat_io *io, uint32_t *ret_sectors)
{
    uint64_t total = 0;

    if (disk->poisoned)
        return CAIRN_ERR(NVME_IO);
    if (io->op != PLAT_IO_READ && disk->rdonly)
        return CAIRN_ERR(NO_PERM);
    if (io->op == PLAT_IO_SYNC) {
        *ret_sectors = 0;
        return 0;
    }
    if (io->iov_nr == 0 || io->iov_nr > PLAT_IO_IOV_MAX)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < io->iov_nr; i++) {
        const struct iov *iov = &io->iovs[i];

        if (iov->len == 0 || iov->len > UINT32_MAX || !IS_ALIGNED(iov->len, PLAT_SECTOR_BYTES) ||
            !IS_ALIGNED((uintptr_t)iov->buf, PLAT_SECTOR_BYTES))
            return CAIRN_ERR(INVAL);
        total += iov->len;
    }
    if (!IS_ALIGNED(io->off, PLAT_SECTOR_BYTES) || io->off > disk->size_bytes ||
        total > disk->size_bytes - io->off)
        return CAIRN_ERR(INVAL);
    *ret_sectors = (uint32_t)(total / PLAT_SECTOR_BYTES);
    return 0;
}

static int
disk_io_pmem(struct plat_disk *disk, const struct plat_io *io)
{
    if (io->op == PLAT_IO_SYNC)
        return pmem_sync(disk->pmem);
    return io->op == PLAT_IO_READ
        ? pmem_get(disk->pmem, io->off, io->iovs, io->iov_nr)
        : pmem_put(disk->pmem, io->off, io->iovs, io->iov_nr, (io->flags & PLAT_IO_DSYNC) != 0);
}

void
plat_linux_disk_submit(struct plat_disk *disk, struct plat_io *io)
{
    struct disk_engine *engine = disk->loop->disk;
    struct disk_io *dio = disk_io_of(io);
    int rc;

    memset(dio, 0, sizeof(*dio));
    list_init(&dio->link);
    dio->disk = disk;
    disk->inflight_nr++;
    rc = disk_io_check(disk, io, &dio->total_sectors);
    if (rc != 0) {
        disk_io_finish_later(engine, dio, rc);
        return;
    }
    switch (disk->kind) {
    case DISK_COPY:
        rc = disk_io_blocking(dio);
        if (rc == 0 && io->op == PLAT_IO_WRITE && disk->ahead != NULL)
            disk_ahead_wrote(disk->ahead, io->off, dio->moved);
        disk_io_finish_later(engine, dio, rc);
        break;
    case DISK_PMEM:
        disk_io_finish_later(engine, dio, disk_io_pmem(disk, io));
        break;
    case DISK_HELPER:
        pthread_mutex_lock(&engine->lock);
        list_add_tail(&dio->link, &engine->helper_queue);
        pthread_cond_signal(&engine->cond);
        pthread_mutex_unlock(&engine->lock);
        break;
    case DISK_RING:
        if (!list_empty(&engine->backlog) || !disk_ring_put(engine, dio))
            list_add_tail(&dio->link, &engine->backlog);
        break;
    }
}
