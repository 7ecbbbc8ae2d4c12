/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the disk contract of plat.h, the same on each engine (SM-4): io_uring, helper threads, both buffered, mapped as persistent memory, copies on tmpfs, sim.
 * Method: every case runs on all engines that the backend has; contents are compared with a model in memory.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#include "plat/test/plat_test_fix.h"

enum { SECTOR = PLAT_SECTOR_BYTES };

struct op {
    struct plat_io io;
    struct iov iovs[4];
    uint32_t *done_nr;
    int rc;
    bool done;
};

static void
op_done(struct plat_io *io, int rc)
{
    struct op *op = io->arg;

    EXPECT(!op->done); /* PLT-3 */
    op->done = true;
    op->rc = rc;
    (*op->done_nr)++;
}

static void
op_set(struct op *op, enum plat_io_op kind, uint64_t off, void *buf, size_t len, uint32_t *done_nr)
{
    memset(op, 0, sizeof(*op));
    op->iovs[0] = (struct iov){buf, len};
    op->io.op = kind;
    op->io.off = off;
    op->io.iovs = op->iovs;
    op->io.iov_nr = kind == PLAT_IO_SYNC ? 0 : 1;
    op->io.done = op_done;
    op->io.arg = op;
    op->done_nr = done_nr;
}

static int
op_run(struct fix *f, struct plat_disk *disk, struct op *op)
{
    uint32_t nr = 0;

    op->done_nr = &nr;
    f->plat->ops->disk_submit(disk, &op->io);
    EXPECT(!op->done); /* PLT-1: not inside submit */
    fix_wait(f, &nr, 1);
    return op->rc;
}

static int
disk_rw(struct fix *f, struct plat_disk *disk, enum plat_io_op kind, uint32_t flags, uint64_t off,
    void *buf, size_t len)
{
    struct op op;

    op_set(&op, kind, off, buf, len, NULL);
    op.io.flags = flags;
    return op_run(f, disk, &op);
}

static uint8_t *
pages_alloc(size_t nr, uint8_t fill)
{
    uint8_t *p = aligned_alloc(SECTOR, nr * SECTOR);

    if (p != NULL)
        memset(p, fill, nr * SECTOR);
    return p;
}

/* Runs body once for each engine of the backend. */
static void
each_engine(void (*body)(struct fix *f, const char *path))
{
    enum { RING, HELPER, RING_BUFFERED, HELPER_BUFFERED, PMEM, COPY, NR };
    static const char *const envs[NR] = {"", "threads", "buffered", "threads,buffered", "pmem", ""};
    char path[256];

    for (int kind = 0; kind < (test_backend() == BACKEND_SIM ? 1 : NR); kind++) {
        struct fix f;
        const char *dir;

        setenv("CAIRN_DISK", envs[kind], 1);
        if (!fix_init(&f))
            return;
        unsetenv("CAIRN_DISK");
        dir = fix_dir(&f);
        if (f.sim == NULL && kind == COPY) {
            if (access("/dev/shm", W_OK) != 0) {
                fix_fini(&f);
                continue;
            }
            snprintf(path, sizeof(path), "/dev/shm/cairn-plat-test-%d", (int)getpid());
        } else {
            snprintf(path, sizeof(path), "%s/disk%d", dir, kind);
        }
        body(&f, path);
        CAIRN_IGNORE(f.plat->ops->file_remove(f.plat, path)); /* not every case makes it */
        fix_fini(&f);
    }
}

static struct plat_disk *
disk_new(struct fix *f, const char *path, uint64_t sectors)
{
    struct plat_disk *disk = NULL;

    EXPECT_OK(f->plat->ops->disk_open(
        f->plat, f->loop, path, PLAT_DISK_CREATE | PLAT_DISK_EXCL, sectors * SECTOR, &disk));
    return disk;
}

/* ---- cases ---------------------------------------------------------------------------------------------------------- */

static void
body_write_read(struct fix *f, const char *path)
{
    struct plat_disk *disk = disk_new(f, path, 64);
    uint8_t *w = pages_alloc(8, 0x5a);
    uint8_t *r = pages_alloc(8, 0xff);

    if (disk == NULL)
        goto out;
    EXPECT_EQ(f->plat->ops->disk_size(disk), 64u * SECTOR);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 0, r, SECTOR));
    EXPECT_EQ(r[0], 0); /* created sparse: zeros */
    EXPECT_EQ(r[SECTOR - 1], 0);
    for (size_t i = 0; i < 8 * SECTOR; i++) {
        w[i] = (uint8_t)(i * 7 + i / SECTOR);
    }
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_WRITE, 0, 5 * SECTOR, w, 8 * SECTOR));
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_SYNC, 0, 0, NULL, 0));
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 5 * SECTOR, r, 8 * SECTOR));
    EXPECT_MEM_EQ(r, w, 8 * SECTOR);
    memset(w, 0x77, SECTOR);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 63 * SECTOR, w, SECTOR));
    f->plat->ops->disk_close(disk);

    disk = NULL;
    EXPECT_OK(f->plat->ops->disk_open(f->plat, f->loop, path, PLAT_DISK_RDONLY, 0, &disk));
    if (disk == NULL)
        goto out;
    EXPECT_EQ(f->plat->ops->disk_size(disk), 64u * SECTOR);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 63 * SECTOR, r, SECTOR));
    EXPECT_MEM_EQ(r, w, SECTOR);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_WRITE, 0, 0, w, SECTOR), NO_PERM);
    f->plat->ops->disk_close(disk);
out:
    free(w);
    free(r);
}

TEST_ON(plat_disk, write_read, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_write_read);
}

static void
body_vectors(struct fix *f, const char *path)
{
    struct plat_disk *disk = disk_new(f, path, 16);
    uint8_t *w = pages_alloc(6, 1);
    uint8_t *r = pages_alloc(6, 0);
    struct op op;

    if (disk == NULL)
        goto out;
    for (size_t i = 0; i < 6 * SECTOR; i++) {
        w[i] = (uint8_t)(i / SECTOR + i);
    }
    op_set(&op, PLAT_IO_WRITE, SECTOR, w + 4 * SECTOR, 2 * SECTOR, NULL);
    op.iovs[1] = (struct iov){w, SECTOR};
    op.iovs[2] = (struct iov){w + SECTOR, 3 * SECTOR};
    op.io.iov_nr = 3;
    EXPECT_OK(op_run(f, disk, &op));
    op_set(&op, PLAT_IO_READ, SECTOR, r, 2 * SECTOR, NULL);
    op.iovs[1] = (struct iov){r + 2 * SECTOR, 4 * SECTOR};
    op.io.iov_nr = 2;
    EXPECT_OK(op_run(f, disk, &op));
    EXPECT_MEM_EQ(r, w + 4 * SECTOR, 2 * SECTOR);
    EXPECT_MEM_EQ(r + 2 * SECTOR, w, 4 * SECTOR);
    f->plat->ops->disk_close(disk);
out:
    free(w);
    free(r);
}

TEST_ON(plat_disk, vectors, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_vectors);
}

static void
body_refuses(struct fix *f, const char *path)
{
    const struct plat_ops *ops = f->plat->ops;
    struct plat_disk *disk = NULL;
    struct plat_disk *other = NULL;
    uint8_t *p = pages_alloc(4, 3);
    struct op op;

    EXPECT_ERR(ops->disk_open(f->plat, f->loop, path, 0, 0, &disk), NONEXIST);
    EXPECT_ERR(ops->disk_open(f->plat, f->loop, path, PLAT_DISK_CREATE, 100, &disk), INVAL);
    disk = disk_new(f, path, 4);
    if (disk == NULL)
        goto out;
    EXPECT_ERR(
        ops->disk_open(f->plat, f->loop, path, PLAT_DISK_CREATE | PLAT_DISK_EXCL, SECTOR, &other),
        EXIST);
    EXPECT_OK(ops->disk_open(f->plat, f->loop, path, PLAT_DISK_CREATE, SECTOR, &other));
    if (other != NULL) {
        EXPECT_EQ(ops->disk_size(other), 4u * SECTOR); /* as it was */
        ops->disk_close(other);
    }
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_READ, 0, 1, p, SECTOR), INVAL);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_READ, 0, 0, p, 100), INVAL);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_READ, 0, 0, p + 8, SECTOR), INVAL);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_READ, 0, 0, p, 0), INVAL);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_WRITE, 0, 4 * SECTOR, p, SECTOR), INVAL);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_WRITE, 0, 2 * SECTOR, p, 3 * SECTOR), INVAL);
    EXPECT_ERR(disk_rw(f, disk, PLAT_IO_READ, 0, UINT64_MAX - SECTOR + 1, p, SECTOR), INVAL);
    op_set(&op, PLAT_IO_READ, 0, p, SECTOR, NULL);
    op.io.iov_nr = 0;
    EXPECT_ERR(op_run(f, disk, &op), INVAL);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 3 * SECTOR, p, SECTOR)); /* and still serves */
    ops->disk_close(disk);
out:
    free(p);
}

TEST_ON(plat_disk, refuses, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_refuses);
}

/* More operations at once than the ring holds; each must complete once, and the content equal the model's. */
static void
body_many(struct fix *f, const char *path)
{
    enum { NR = 1500, SECTORS = 256 };
    struct plat_disk *disk = disk_new(f, path, SECTORS);
    struct op *ops = calloc(NR, sizeof(*ops));
    uint8_t *bufs = pages_alloc(SECTORS, 0);
    uint8_t *back = pages_alloc(SECTORS, 0);
    uint64_t seed = test_seed();
    uint32_t nr = 0;

    if (disk == NULL)
        goto out;
    for (size_t i = 0; i < (size_t)SECTORS * SECTOR; i += 8) {
        *(uint64_t *)(void *)(bufs + i) = test_rand(&seed);
    }
    for (uint32_t i = 0; i < NR; i++) {
        uint32_t sector = i % SECTORS; /* the same bytes each time: order does not matter */

        op_set(&ops[i], PLAT_IO_WRITE, (uint64_t)sector * SECTOR, bufs + (size_t)sector * SECTOR,
            SECTOR, &nr);
        ops[i].io.flags = i % 7 == 0 ? PLAT_IO_DSYNC : 0;
        f->plat->ops->disk_submit(disk, &ops[i].io);
    }
    fix_wait(f, &nr, NR);
    for (uint32_t i = 0; i < NR; i++) {
        EXPECT_OK(ops[i].rc);
    }
    EXPECT_EQ(nr, NR);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 0, back, (size_t)SECTORS * SECTOR));
    EXPECT_MEM_EQ(back, bufs, (size_t)SECTORS * SECTOR);
    f->plat->ops->disk_close(disk);
out:
    free(ops);
    free(bufs);
    free(back);
}

TEST_ON(plat_disk, many_at_once, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_many);
}

/* Completions may submit again, and complete in a later poll. */
struct chain {
    struct op op;
    struct fix *f;
    struct plat_disk *disk;
    uint32_t left;
    uint32_t nr;
};

static void
chain_done(struct plat_io *io, int rc)
{
    struct chain *chain = io->arg;

    EXPECT_OK(rc);
    chain->nr++;
    if (--chain->left > 0)
        chain->f->plat->ops->disk_submit(chain->disk, io);
}

static void
body_chain(struct fix *f, const char *path)
{
    struct chain chain = {.f = f, .left = 20};
    uint8_t *p = pages_alloc(1, 9);

    chain.disk = disk_new(f, path, 4);
    if (chain.disk != NULL) {
        op_set(&chain.op, PLAT_IO_WRITE, SECTOR, p, SECTOR, NULL);
        chain.op.io.done = chain_done;
        chain.op.io.arg = &chain;
        f->plat->ops->disk_submit(chain.disk, &chain.op.io);
        fix_wait(f, &chain.nr, 20);
        EXPECT_EQ(chain.nr, 20);
        f->plat->ops->disk_close(chain.disk);
    }
    free(p);
}

TEST_ON(plat_disk, completion_submits, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_chain);
}

/* ---- disks that are memory -------------------------------------------------------------------------------------------- */

/* The mapping and the operations see the same bytes; what a killed process put there stays. */
static void
body_map(struct fix *f, const char *path)
{
    struct plat_disk *disk = disk_new(f, path, 64), *other = NULL;
    uint8_t *w = pages_alloc(2, 0x5a), *r = pages_alloc(2, 0);
    void *mem = NULL, *again = NULL;

    if (disk == NULL)
        goto out;
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_WRITE, 0, 3 * SECTOR, w, SECTOR));
    if (!f->plat->ops->disk_volatile(disk)) {
        EXPECT_ERR(f->plat->ops->disk_map(disk, &mem), NOSYS);
        EXPECT(mem == NULL);
        EXPECT_ERR(f->plat->ops->disk_map_fill(disk, 0, SECTOR), INVAL);
        f->plat->ops->disk_close(disk);
        goto out;
    }
    if (!EXPECT_OK(f->plat->ops->disk_map(disk, &mem)))
        goto out;
    EXPECT_OK(f->plat->ops->disk_map(disk, &again));
    EXPECT(again == mem);
    EXPECT_OK(f->plat->ops->disk_map_fill(disk, 2 * SECTOR, 4 * SECTOR));
    EXPECT_ERR(f->plat->ops->disk_map_fill(disk, 63 * SECTOR, 2 * SECTOR), INVAL);
    EXPECT_ERR(f->plat->ops->disk_map_fill(disk, 100, SECTOR), INVAL);
    EXPECT_ERR(f->plat->ops->disk_map_fill(disk, UINT64_MAX - SECTOR + 1, SECTOR), INVAL);
    EXPECT_MEM_EQ((uint8_t *)mem + 3 * SECTOR, w, SECTOR);
    EXPECT_EQ(((uint8_t *)mem)[2 * SECTOR], 0);
    memset((uint8_t *)mem + 4 * SECTOR, 0x31, SECTOR);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 3 * SECTOR, r, 2 * SECTOR));
    EXPECT_MEM_EQ(r, w, SECTOR);
    memset(w, 0x31, SECTOR);
    EXPECT_MEM_EQ(r + SECTOR, w, SECTOR);
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 63 * SECTOR, w, SECTOR));
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 62 * SECTOR, r, 2 * SECTOR));
    EXPECT_EQ(r[0], 0);
    EXPECT_MEM_EQ(r + SECTOR, w, SECTOR);
    f->plat->ops->disk_close(disk);

    EXPECT_OK(f->plat->ops->disk_open(f->plat, f->loop, path, PLAT_DISK_RDONLY, 0, &other));
    if (other == NULL)
        goto out;
    EXPECT_ERR(f->plat->ops->disk_map(other, &mem), NOSYS);
    EXPECT_OK(disk_rw(f, other, PLAT_IO_READ, 0, 4 * SECTOR, r, SECTOR));
    EXPECT_MEM_EQ(r, w, SECTOR);
    f->plat->ops->disk_close(other);
out:
    free(w);
    free(r);
}

static void
body_map_shm(struct fix *f, const char *path)
{
    (void)path;
    if (f->sim != NULL)
        body_map(f, "/shm/disk");
}

TEST_ON(plat_disk, map, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_map);
    each_engine(body_map_shm);
}

TEST_LINUX(plat_disk, kinds, "which file systems are volatile is a fact about Linux")
{
    struct fix f;
    struct plat_disk *disk = NULL;
    char path[64];
    struct stat st;

    if (!fix_init(&f))
        return;
    snprintf(path, sizeof(path), "/dev/shm/cairn-plat-kind-%d", (int)getpid());
    if (access("/dev/shm", W_OK) == 0) {
        disk = disk_new(&f, path, 1024);
        EXPECT(disk != NULL && f.plat->ops->disk_volatile(disk));
        EXPECT(stat(path, &st) == 0 && st.st_blocks == 0); /* sparse */
        f.plat->ops->disk_close(disk);
        EXPECT_OK(f.plat->ops->file_remove(f.plat, path));
    }
    disk = NULL;
    EXPECT_ERR(f.plat->ops->disk_open(f.plat, f.loop, "/dev/null", 0, 0, &disk), INVAL);
    EXPECT_ERR(f.plat->ops->disk_open(f.plat, f.loop, "/proc/none", 0, 0, &disk), NONEXIST);
    fix_fini(&f);
}

static void
body_buffered(struct fix *f, const char *path)
{
    struct plat_disk *disk = NULL;
    uint8_t *p = pages_alloc(2, 0x31);
    uint8_t *r = pages_alloc(2, 0);

    EXPECT_OK(f->plat->ops->disk_open(
        f->plat, f->loop, path, PLAT_DISK_CREATE | PLAT_DISK_NODIRECT, 8 * SECTOR, &disk));
    if (disk != NULL) {
        EXPECT_OK(disk_rw(f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 0, p, 2 * SECTOR));
        EXPECT_OK(disk_rw(f, disk, PLAT_IO_SYNC, 0, 0, NULL, 0));
        EXPECT_OK(disk_rw(f, disk, PLAT_IO_READ, 0, 0, r, 2 * SECTOR));
        EXPECT_MEM_EQ(r, p, 2 * SECTOR);
        f->plat->ops->disk_close(disk);
    }
    free(p);
    free(r);
}

TEST_ON(plat_disk, buffered, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_buffered);
}

/* ---- where io_uring is forbidden ------------------------------------------------------------------------------------ */

/* From here on, in this process, io_uring_setup fails with `err`. */
static bool
uring_forbid(uint32_t err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = ARRAY_SIZE(code), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0 &&
        syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == (int)err;
}

/* 0 when a disk serves although there is no io_uring, else which step failed. */
static int
forbidden_main(const char *path, uint32_t err)
{
    struct plat_disk *disk = NULL;
    uint8_t *p = pages_alloc(2, 0x31), *r = pages_alloc(2, 0);
    struct fix f;

    if (!uring_forbid(err))
        return 1;
    if (!fix_init(&f) ||
        f.plat->ops->disk_open(f.plat, f.loop, path, PLAT_DISK_CREATE, 8 * SECTOR, &disk) != 0)
        return 2;
    if (disk_rw(&f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, SECTOR, p, 2 * SECTOR) != 0 ||
        disk_rw(&f, disk, PLAT_IO_SYNC, 0, 0, NULL, 0) != 0)
        return 3;
    if (disk_rw(&f, disk, PLAT_IO_READ, 0, SECTOR, r, 2 * SECTOR) != 0 ||
        memcmp(p, r, 2 * SECTOR) != 0)
        return 4;
    f.plat->ops->disk_close(disk);
    fix_fini(&f);
    free(p);
    free(r);
    return 0;
}

/* Method: a child with a seccomp filter, as containers have them (EPERM, ENOSYS), and as the sysctl io_uring_disabled answers (EPERM). */
TEST_LINUX(plat_disk, uring_forbidden, "a seccomp filter is Linux's")
{
    static const uint32_t errs[] = {EPERM, ENOSYS, ENOMEM};
    char path[256];

    snprintf(path, sizeof(path), "%s/disk", test_tmpdir());
    for (uint32_t i = 0; i < ARRAY_SIZE(errs); i++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
            _exit(forbidden_main(path, errs[i]));
        EXPECT_GT(pid, 0);
        EXPECT_EQ(waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
    }
}

/* A device, or a file that stands for one, has one owner, and opening it is not owning it. */
static void
body_device_lock(struct fix *f, const char *path)
{
    struct plat_disk *disk = disk_new(f, path, 8), *other = NULL;
    struct plat_dirlock *lock = NULL, *lock2 = NULL;
    uint8_t *p = pages_alloc(1, 7);

    if (disk == NULL)
        goto out;
    EXPECT_OK(f->plat->ops->dir_lock(f->plat, path, &lock));
    EXPECT_ERR(f->plat->ops->dir_lock(f->plat, path, &lock2), BUSY);
    EXPECT_OK(f->plat->ops->disk_open(f->plat, f->loop, path, 0, 0, &other));
    EXPECT_OK(disk_rw(f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 0, p, SECTOR));
    p[0] = 0;
    EXPECT_OK(disk_rw(f, other, PLAT_IO_READ, 0, 0, p, SECTOR));
    EXPECT_EQ(p[0], 7); /* the lock wrote nothing into it */
    f->plat->ops->disk_close(other);
    f->plat->ops->disk_close(disk);
    f->plat->ops->dir_unlock(lock);
    EXPECT_OK(f->plat->ops->dir_lock(f->plat, path, &lock2));
    f->plat->ops->dir_unlock(lock2);
out:
    free(p);
}

TEST_ON(plat_disk, device_lock, BACKEND_LINUX | BACKEND_SIM)
{
    each_engine(body_device_lock);
}
