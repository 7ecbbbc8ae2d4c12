/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: libdfs.so over libdaos.so as an application has them: threads, many entries, large files, the connect style, what another process left. Method: embedded mode on a
 * directory; the rest of libdfs is tested on ULTs (dfs_fix.h).
 */
#include "client/test/client_embedded.h"
#include "daos.h"
#include "daos_fs.h"
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int
file_io(dfs_t *dfs, dfs_obj_t *obj, bool is_write, uint64_t off, void *buf, size_t len,
    daos_size_t *got)
{
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, buf, len);
    return is_write ? dfs_write(dfs, obj, &sgl, off, NULL) : dfs_read(dfs, obj, &sgl, off, got, NULL);
}

/* ---- many entries, many threads ----------------------------------------------------------------------------------------------- */

enum { ENTRIES_NR = 10000, THREADS_NR = 16, RACES_NR = 200 };

struct crowd {
    dfs_t *mounts[2];
    dfs_obj_t *dirs[2];
    _Atomic uint32_t next_thread, next_entry, errors;
    _Atomic uint32_t winners[RACES_NR];
};

static void *
crowd_thread(void *arg)
{
    struct crowd *crowd = arg;
    uint32_t which = crowd->next_thread++ % 2, i;
    dfs_t *dfs = crowd->mounts[which];
    dfs_obj_t *dir = crowd->dirs[which], *obj;
    char name[32];
    int rc;

    for (i = 0; i < RACES_NR; i++) {
        snprintf(name, sizeof(name), "race %u", i);
        rc = dfs_mkdir(dfs, dir, name, 0700, 0);
        if (rc == 0)
            crowd->winners[i]++;
        if (rc != 0 && rc != EEXIST)
            crowd->errors++;
    }
    while ((i = crowd->next_entry++) < ENTRIES_NR) {
        snprintf(name, sizeof(name), "entry %u", i);
        rc = dfs_open(dfs, dir, name, S_IFREG | 0600, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj);
        if (rc != 0 || dfs_release(obj) != 0)
            crowd->errors++;
    }
    return NULL;
}

static void
listing_check(dfs_t *dfs, dfs_obj_t *dir)
{
    enum { ROOM = 100 };
    static uint8_t seen[ENTRIES_NR], raced[RACES_NR];
    static struct dirent entries[ROOM];
    daos_anchor_t anchor = {0};
    uint32_t total = 0, wrong = 0;

    memset(seen, 0, sizeof(seen));
    while (!daos_anchor_is_eof(&anchor) && total <= ENTRIES_NR + RACES_NR) {
        uint32_t nr = ROOM;

        if (!EXPECT_EQ(dfs_readdir(dfs, dir, &anchor, &nr, entries), 0))
            return;
        for (uint32_t i = 0; i < nr; i++) {
            uint32_t which = 0;

            if (sscanf(entries[i].d_name, "entry %u", &which) == 1 && which < ENTRIES_NR) {
                seen[which]++;
            } else if (sscanf(entries[i].d_name, "race %u", &which) == 1 && which < RACES_NR) {
                raced[which]++;
            } else {
                wrong++;
            }
        }
        total += nr;
    }
    for (uint32_t i = 0; i < ENTRIES_NR; i++) {
        wrong += seen[i] != 1;
    }
    for (uint32_t i = 0; i < RACES_NR; i++) {
        wrong += raced[i] != 1;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(total, ENTRIES_NR + RACES_NR);
}

TEST_LINUX(dfs_embedded, ten_thousand_entries_by_many_threads, "threads of an application")
{
    static struct crowd crowd;
    pthread_t threads[THREADS_NR];
    daos_handle_t poh, coh;
    const char *system = system_name;

    memset(&crowd, 0, sizeof(crowd));
    if (!dir_make(DFS_TEST_MODULE_DIR, UINT64_C(512) << 20) || !EXPECT_OK(daos_init()))
        return;
    if (!EXPECT_OK(daos_pool_connect("tank", system, DAOS_PC_RW, &poh, NULL, NULL)) ||
        !EXPECT_EQ(dfs_cont_create_with_label(poh, "tree", NULL, NULL, &coh, NULL), 0))
        goto out;
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(dfs_mount(poh, coh, O_RDWR, &crowd.mounts[i]), 0);
        if (i == 0)
            EXPECT_EQ(dfs_mkdir(crowd.mounts[0], NULL, "d", 0755, 0), 0);
        EXPECT_EQ(dfs_lookup(crowd.mounts[i], "/d", O_RDWR, &crowd.dirs[i], NULL, NULL), 0);
    }
    for (int i = 0; i < THREADS_NR; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, crowd_thread, &crowd), 0);
    }
    for (int i = 0; i < THREADS_NR; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    EXPECT_EQ(crowd.errors, 0);
    for (int i = 0; i < RACES_NR; i++) {
        EXPECT_EQ(crowd.winners[i], 1);
    }
    listing_check(crowd.mounts[1], crowd.dirs[1]);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(dfs_release(crowd.dirs[i]), 0);
        EXPECT_EQ(dfs_umount(crowd.mounts[i]), 0);
    }
    EXPECT_OK(daos_cont_close(coh, NULL));
    EXPECT_OK(daos_pool_disconnect(poh, NULL));
out:
    EXPECT_OK(daos_fini());
}

/* ---- the connect style, and another process ---------------------------------------------------------------------------------------- */

enum { BIG_BYTES = 40 << 20 };

static void
pattern_fill(uint8_t *buf, size_t len)
{
    uint64_t rand = 42;

    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t v = test_rand(&rand);

        memcpy(buf + i, &v, 8);
    }
}

/* A child of its own: makes a container and a large file in it, and ends without saying goodbye to the file. */
static int
writer(const char *system)
{
    uint8_t *buf = malloc(BIG_BYTES);
    struct stat st = {.st_mtim = {.tv_sec = 1000, .tv_nsec = 7}};
    dfs_obj_t *dir, *obj;
    dfs_t *dfs;

    pattern_fill(buf, BIG_BYTES);
    if (dfs_init() != 0 || dfs_connect("tank", system, "box", O_RDWR, NULL, &dfs) != ENOENT)
        return 1;
    if (dfs_connect("tank", system, "box", O_RDWR | O_CREAT, NULL, &dfs) != 0)
        return 2;
    if (dfs_mkdir(dfs, NULL, "dir", 0750, 0) != 0 ||
        dfs_lookup(dfs, "/dir", O_RDWR, &dir, NULL, NULL) != 0)
        return 3;
    if (dfs_open(dfs, dir, "big", S_IFREG | 0640, O_RDWR | O_CREAT, 0, 0, NULL, &obj) != 0)
        return 4;
    if (file_io(dfs, obj, true, 0, buf, BIG_BYTES, NULL) != 0)
        return 5;
    if (dfs_osetattr(dfs, obj, &st, DFS_SET_ATTR_MTIME) != 0)
        return 6;
    free(buf);
    return 0;
}

TEST_LINUX(dfs_embedded, what_a_process_left, "processes, and an engine loaded by dlopen")
{
    uint8_t *want = malloc(BIG_BYTES), *got = malloc(BIG_BYTES);
    daos_size_t len = 0;
    const char *system = system_name;
    dfs_obj_t *obj;
    struct stat st;
    dfs_t *dfs;
    int pid, status;

    pattern_fill(want, BIG_BYTES);
    if (!dir_make(DFS_TEST_MODULE_DIR, UINT64_C(512) << 20))
        goto out;
    pid = fork();
    if (pid == 0)
        _exit(writer(system));
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    if (!EXPECT(WIFEXITED(status)) || !EXPECT_EQ(WEXITSTATUS(status), 0))
        goto out;
    if (!EXPECT_EQ(dfs_init(), 0))
        goto out;
    if (EXPECT_EQ(dfs_connect("tank", system, "box", O_RDONLY, NULL, &dfs), 0)) {
        EXPECT_EQ(dfs_lookup(dfs, "/dir/big", O_RDONLY, &obj, NULL, &st), 0);
        EXPECT_EQ(st.st_size, BIG_BYTES);
        EXPECT_EQ(st.st_mode, S_IFREG | 0640);
        EXPECT_EQ(st.st_mtim.tv_sec, 1000);
        EXPECT_EQ(st.st_mtim.tv_nsec, 7);
        EXPECT_EQ(file_io(dfs, obj, false, 0, got, BIG_BYTES, &len), 0);
        EXPECT_EQ(len, BIG_BYTES);
        EXPECT_MEM_EQ(got, want, BIG_BYTES);
        EXPECT_EQ(dfs_release(obj), 0);
        EXPECT_EQ(dfs_mkdir(dfs, NULL, "x", 0755, 0), EPERM);
        EXPECT_EQ(dfs_destroy("tank", system, "box", 0, NULL), EBUSY);
        EXPECT_EQ(dfs_disconnect(dfs), 0);
    }
    EXPECT_EQ(dfs_connect("none", system, "box", O_RDONLY, NULL, &dfs), ENOENT);
    EXPECT_EQ(dfs_connect("tank", system, "box", O_WRONLY, NULL, &dfs), EINVAL);
    /* The writer's handle was never closed, and went with its process (POL-6). */
    EXPECT_EQ(dfs_destroy("tank", system, "box", 0, NULL), 0);
    EXPECT_EQ(dfs_destroy("tank", system, "box", 0, NULL), ENOENT);
    EXPECT_EQ(dfs_fini(), 0);
out:
    free(want);
    free(got);
}
