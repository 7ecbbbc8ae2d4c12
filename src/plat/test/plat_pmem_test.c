/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what is particular to persistent memory (PMEM-1 to PMEM-3 in plat_linux_pmem.h); the common contract is plat_disk_test.c's, which runs on it, too.
 * Method: files, which libpmem takes with msync; and once more (plat.pmem_flushes) with PMEM_IS_PMEM_FORCE=1, so that libpmem flushes caches as on
 * the real thing. Memory that fails is a file that is cut behind its mapping: a touch beyond its end is SIGBUS, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "plat/test/plat_test_fix.h"

enum { SECTOR = PLAT_SECTOR_BYTES, SECTORS_NR = 64 };

struct op {
    struct plat_io io;
    struct iov iov;
    uint32_t done_nr;
    int rc;
};

static void
op_done(struct plat_io *io, int rc)
{
    struct op *op = io->arg;

    op->rc = rc;
    op->done_nr++;
}

static int
disk_rw(struct fix *f, struct plat_disk *disk, enum plat_io_op kind, uint32_t flags, uint64_t off,
    void *buf, size_t len)
{
    struct op op = {.io = {.op = kind,
                        .flags = flags,
                        .off = off,
                        .iov_nr = kind == PLAT_IO_SYNC ? 0 : 1,
                        .done = op_done}};

    op.iov = (struct iov){buf, len};
    op.io.iovs = &op.iov;
    op.io.arg = &op;
    f->plat->ops->disk_submit(disk, &op.io);
    EXPECT_EQ(op.done_nr, 0); /* PLT-1 */
    fix_wait(f, &op.done_nr, 1);
    return op.rc;
}

static int
disk_new(struct fix *f, char *ret_path, uint32_t flags, uint64_t bytes, struct plat_disk **ret_disk)
{
    *ret_disk = NULL;
    snprintf(ret_path, 256, "%s/pmem", test_tmpdir());
    return f->plat->ops->disk_open(
        f->plat, f->loop, ret_path, flags | PLAT_DISK_PMEM, bytes, ret_disk);
}

/* False: there is no libpmem here. */
static bool
is_there(void)
{
    struct fix f;
    struct plat_disk *disk = NULL;
    char path[256];
    int rc;

    if (!fix_init(&f))
        return false;
    rc = disk_new(&f, path, PLAT_DISK_CREATE, SECTOR, &disk);
    if (rc == -DER_NOSYS) {
        TEST_SKIP("libpmem is not installed, or files cannot be allocated here");
    } else {
        EXPECT_OK(rc);
    }
    f.plat->ops->disk_close(disk);
    unlink(path);
    fix_fini(&f);
    return rc == 0;
}

/* Written, durable, and the same through the file; all blocks are there (PMEM-2), also of a file that had holes. */
static void
contents_check(void)
{
    uint8_t *p = aligned_alloc(SECTOR, 4 * SECTOR), *r = aligned_alloc(SECTOR, 4 * SECTOR);
    struct plat_disk *disk;
    struct stat st;
    struct fix f;
    char path[256];
    int fd;

    if (!fix_init(&f))
        return;
    snprintf(path, sizeof(path), "%s/pmem", test_tmpdir());
    fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    EXPECT(fd >= 0 && ftruncate(fd, SECTORS_NR * SECTOR) == 0);
    EXPECT(fstat(fd, &st) == 0 && st.st_blocks == 0);
    EXPECT_OK(disk_new(&f, path, 0, 0, &disk));
    EXPECT(fstat(fd, &st) == 0 && st.st_blocks * 512 >= SECTORS_NR * SECTOR);
    EXPECT_EQ(f.plat->ops->disk_size(disk), SECTORS_NR * SECTOR);
    EXPECT(f.plat->ops->disk_is_memory(disk));
    EXPECT(!f.plat->ops->disk_volatile(disk));
    memset(p, 0x5a, 4 * SECTOR);
    EXPECT_OK(disk_rw(&f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 3 * SECTOR, p, 4 * SECTOR));
    EXPECT_EQ(pread(fd, r, 4 * SECTOR, 3 * SECTOR), 4 * SECTOR);
    EXPECT_MEM_EQ(r, p, 4 * SECTOR);
    memset(p, 0xa5, SECTOR);
    EXPECT_OK(disk_rw(&f, disk, PLAT_IO_WRITE, 0, 4 * SECTOR, p, SECTOR));
    EXPECT_OK(disk_rw(&f, disk, PLAT_IO_SYNC, 0, 0, NULL, 0));
    EXPECT_OK(disk_rw(&f, disk, PLAT_IO_READ, 0, 4 * SECTOR, r, SECTOR));
    EXPECT_MEM_EQ(r, p, SECTOR);
    EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_READ, 0, SECTORS_NR * SECTOR, r, SECTOR), INVAL);
    f.plat->ops->disk_close(disk);
    /* For reading alone: nothing is allocated, nothing written. */
    EXPECT(ftruncate(fd, 2 * SECTORS_NR * SECTOR) == 0 && fstat(fd, &st) == 0);
    EXPECT_OK(disk_new(&f, path, PLAT_DISK_RDONLY, 0, &disk));
    EXPECT_OK(disk_rw(&f, disk, PLAT_IO_READ, 0, 4 * SECTOR, r, SECTOR));
    EXPECT_MEM_EQ(r, p, SECTOR);
    EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_WRITE, 0, 4 * SECTOR, p, SECTOR), NO_PERM);
    f.plat->ops->disk_close(disk);
    EXPECT(fstat(fd, &st) == 0 && st.st_blocks * 512 < 2 * SECTORS_NR * SECTOR);
    close(fd);
    unlink(path);
    fix_fini(&f);
    free(p);
    free(r);
}

/* PMEM-3: the file is cut behind the map. `can_renew`: a mapping of a plain file can be made anew; one with MAP_SYNC not, on file systems that lack it. */
static void
failure_check(bool can_renew)
{
    uint8_t *p = aligned_alloc(SECTOR, 4 * SECTOR);
    struct plat_disk *disk, *other = NULL;
    struct fix f;
    char path[256], path2[280];

    if (!fix_init(&f))
        return;
    EXPECT_OK(disk_new(&f, path, PLAT_DISK_CREATE, SECTORS_NR * SECTOR, &disk));
    snprintf(path2, sizeof(path2), "%s2", path);
    EXPECT_OK(f.plat->ops->disk_open(
        f.plat, f.loop, path2, PLAT_DISK_CREATE | PLAT_DISK_PMEM, SECTORS_NR * SECTOR, &other));
    memset(p, 0x77, 4 * SECTOR);
    EXPECT_OK(disk_rw(&f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 0, p, 4 * SECTOR));
    EXPECT(truncate(path, 8 * SECTOR) == 0);
    /* A read is an error of that read, and what is well can still be read. */
    EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_READ, 0, 6 * SECTOR, p, 4 * SECTOR), NVME_IO);
    memset(p, 0, SECTOR);
    if (can_renew) {
        EXPECT_OK(disk_rw(&f, disk, PLAT_IO_READ, 0, 0, p, SECTOR));
        EXPECT_EQ(p[SECTOR - 1], 0x77);
        EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_READ, 0, 20 * SECTOR, p, SECTOR), NVME_IO); /* still */
        /* No garbage of the first one is read, and a store to what is gone is not believed. */
        EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_WRITE, 0, 20 * SECTOR, p, SECTOR), NVME_IO);
        EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_READ, 0, 20 * SECTOR, p, SECTOR), NVME_IO);
        EXPECT_OK(disk_rw(&f, disk, PLAT_IO_SYNC, 0, 0, NULL, 0));
    } else {
        EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_READ, 0, 0, p, SECTOR), NVME_IO);
    }
    /* One that promised poisons the disk (ST-1), and nobody else's. */
    EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_WRITE, PLAT_IO_DSYNC, 20 * SECTOR, p, SECTOR), NVME_IO);
    EXPECT_ERR(disk_rw(&f, disk, PLAT_IO_READ, 0, 0, p, SECTOR), NVME_IO);
    EXPECT_OK(disk_rw(&f, other, PLAT_IO_WRITE, PLAT_IO_DSYNC, 20 * SECTOR, p, SECTOR));
    f.plat->ops->disk_close(disk);
    f.plat->ops->disk_close(other);
    unlink(path);
    unlink(path2);
    fix_fini(&f);
    free(p);
}

TEST_LINUX(plat_pmem, contents, "mappings of files")
{
    if (is_there())
        contents_check();
}

TEST_LINUX(plat_pmem, memory_fails, "a signal of the kernel")
{
    if (is_there())
        failure_check(getenv("PMEM_IS_PMEM_FORCE") == NULL);
}

TEST_LINUX(plat_pmem, no_room, "a file system that is full")
{
    struct plat_disk *disk;
    struct fix f;
    char path[256];

    if (!is_there() || !fix_init(&f))
        return;
    EXPECT_ERR(disk_new(&f, path, PLAT_DISK_CREATE, UINT64_C(4) << 40, &disk), NOSPACE);
    EXPECT(access(path, F_OK) != 0); /* nothing is left */
    EXPECT_ERR(disk_new(&f, path, PLAT_DISK_CREATE, 0, &disk), INVAL);
    EXPECT(access(path, F_OK) != 0);
    fix_fini(&f);
}

#if defined(__SANITIZE_THREAD__)
enum { TSAN_EXIT = 66 }; /* its handler, to which ours hands the signal on, ends the process so */
#endif

/* A SIGBUS that is not ours goes where it went before: it ends a process that has no handler, or one of a sanitizer, which aborts. */
TEST_LINUX(plat_pmem, signals_of_others, "a signal of the kernel")
{
    pid_t pid;
    int status = 0;

    if (!is_there())
        return;
    pid = fork();
    if (pid == 0) {
        int fd = open(test_tmpdir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        volatile uint8_t *mem;

        mem = mmap(NULL, SECTOR, PROT_READ, MAP_SHARED, fd, 0);
        _exit(fd >= 0 && mem != MAP_FAILED ? mem[0] : 0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
#if defined(__SANITIZE_THREAD__)
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == TSAN_EXIT);
#else
    EXPECT(WIFSIGNALED(status) && (WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGABRT));
#endif
}
