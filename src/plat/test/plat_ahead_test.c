/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: memory ahead of a writer (AHD-1, AHD-2 in plat_linux_ahead.h) is there before it, as much as promised and no more, never at the price of what is written.
 * Method: the blocks of a file in memory after each write and all that follows from it; a file system of 16 MiB; a file that refuses.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"
#include "plat/linux/plat_linux_ahead.h"

enum { MIB = 1 << 20, FILE_BYTES = 64 * MIB };

static uint64_t
file_mem(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : UINT64_MAX;
}

static int
file_new(uint64_t size)
{
    int fd = memfd_create("ahead", MFD_CLOEXEC);

    EXPECT(fd >= 0);
    EXPECT_EQ(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void
put(struct disk_ahead *ahead, int fd, const uint8_t *buf, uint64_t off, uint64_t len)
{
    EXPECT_EQ(pwrite(fd, buf, len, (off_t)off), (ssize_t)len);
    disk_ahead_wrote(ahead, off, len);
    disk_ahead_drain(ahead);
}

TEST(plat_ahead, as_far_ahead_as_it_came)
{
    uint8_t *buf = malloc(MIB), *back = malloc(MIB);
    struct disk_ahead *ahead = NULL;
    int fd = file_new(FILE_BYTES);

    if (!EXPECT_OK(disk_ahead_create(fd, FILE_BYTES, &ahead)))
        return;
    memset(buf, 0x5a, MIB);
    for (uint32_t i = 0; i < 16; i++) { /* little is written: nothing is taken */
        put(ahead, fd, buf, (uint64_t)i * 4096, 4096);
    }
    EXPECT_EQ(file_mem(fd), 16 * 4096);
    put(ahead, fd, buf, 0, MIB);
    EXPECT_EQ(file_mem(fd), 2 * MIB);
    put(ahead, fd, buf, MIB, MIB);
    EXPECT_EQ(file_mem(fd), 4 * MIB);
    put(ahead, fd, buf, 0, MIB); /* no new ground */
    EXPECT_EQ(file_mem(fd), 4 * MIB);
    put(ahead, fd, buf, 20 * MIB, MIB); /* further up: what lies between is left out */
    EXPECT_EQ(file_mem(fd), (4 + 1 + 3) * MIB);
    for (uint32_t i = 21; i < 64; i++) {
        put(ahead, fd, buf, (uint64_t)i * MIB, MIB);
    }
    EXPECT_EQ(file_mem(fd), (4 + 44) * MIB); /* the file ends there */
    for (uint32_t i = 21; i < 64; i++) { /* AHD-1 */
        EXPECT_EQ(pread(fd, back, MIB, (off_t)i * MIB), MIB);
        EXPECT_MEM_EQ(back, buf, MIB);
    }
    disk_ahead_destroy(ahead);
    disk_ahead_destroy(NULL);
    close(fd);
    free(buf);
    free(back);
}

/* A writer that does not wait for it. */
TEST(plat_ahead, beside_a_writer)
{
    uint8_t *buf = malloc(MIB), *back = malloc(MIB);
    struct disk_ahead *ahead = NULL;
    int fd = file_new(FILE_BYTES);

    if (!EXPECT_OK(disk_ahead_create(fd, FILE_BYTES, &ahead)))
        return;
    for (uint32_t i = 0; i < 32; i++) {
        memset(buf, (int)i + 1, MIB);
        EXPECT_EQ(pwrite(fd, buf, MIB, (off_t)i * MIB), MIB);
        disk_ahead_wrote(ahead, (uint64_t)i * MIB, MIB);
    }
    disk_ahead_drain(ahead);
    for (uint32_t i = 0; i < 64; i++) {
        memset(buf, i < 32 ? (int)i + 1 : 0, MIB);
        EXPECT_EQ(pread(fd, back, MIB, (off_t)i * MIB), MIB);
        EXPECT_MEM_EQ(back, buf, MIB);
    }
    EXPECT_EQ(file_mem(fd), FILE_BYTES);
    disk_ahead_destroy(ahead);
    close(fd);
    free(buf);
    free(back);
}

/* AHD-2: refused once, it asks no more. */
TEST(plat_ahead, refused)
{
    struct disk_ahead *ahead = NULL;
    char path[64];
    int fd = file_new(FILE_BYTES), ro;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ro = open(path, O_RDONLY | O_CLOEXEC);
    if (!EXPECT(ro >= 0) || !EXPECT_OK(disk_ahead_create(ro, FILE_BYTES, &ahead)))
        return;
    disk_ahead_wrote(ahead, 0, MIB);
    disk_ahead_drain(ahead);
    EXPECT_EQ(dup2(fd, ro), ro); /* from here on it would work */
    disk_ahead_wrote(ahead, MIB, MIB);
    disk_ahead_drain(ahead);
    EXPECT_EQ(file_mem(fd), 0);
    disk_ahead_destroy(ahead);
    close(ro);
    close(fd);
}

/* In a process with mounts of its own: how much memory a file of a full file system has, in MiB; 0: no such mount. */
static int
small_fs_child(void)
{
    struct disk_ahead *ahead;
    char *buf = calloc(1, MIB);
    int fd;

    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return 0;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "size=16m") != 0 || chdir("/dev/shm") != 0)
        return 0;
    fd = open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (buf == NULL || fd < 0 || ftruncate(fd, FILE_BYTES) != 0 ||
        disk_ahead_create(fd, FILE_BYTES, &ahead) != 0)
        return 100;
    for (uint32_t i = 0; i < 10; i++) {
        if (pwrite(fd, buf, MIB, (off_t)i * MIB) != MIB)
            return 101;
        disk_ahead_wrote(ahead, (uint64_t)i * MIB, MIB);
        disk_ahead_drain(ahead);
    }
    disk_ahead_destroy(ahead);
    free(buf);
    return (int)(file_mem(fd) / MIB);
}

TEST(plat_ahead, full_file_system)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(small_fs_child());
    EXPECT(pid > 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0)
        TEST_SKIP("no mount");
    EXPECT_EQ(WEXITSTATUS(status), 14);
}
