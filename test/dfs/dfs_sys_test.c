/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Goal: the path-based calls of daos_fs_sys.h and their errors. Method: fixed cases on whole engines. */
#include "daos_fs_sys.h"
#include "dfs/dfs_fix.h"

static int
sys_write(dfs_sys_t *sys, const char *path, const void *data, daos_size_t len)
{
    dfs_obj_t *obj;
    int rc = dfs_sys_open(sys, path, S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &obj);

    if (rc != 0)
        return rc;
    rc = dfs_sys_write(sys, obj, data, 0, &len, NULL);
    return rc != 0 ? rc : dfs_sys_close(obj);
}

static bool
sys_reads(dfs_sys_t *sys, const char *path, const char *want)
{
    char buf[64] = "";
    daos_size_t len = sizeof(buf) - 1;
    dfs_obj_t *obj;

    if (!EXPECT_EQ(dfs_sys_open(sys, path, S_IFREG, O_RDONLY, 0, 0, NULL, &obj), 0))
        return false;
    EXPECT_EQ(dfs_sys_read(sys, obj, buf, 0, &len, NULL), 0);
    EXPECT_EQ(len, strlen(want));
    EXPECT_EQ(dfs_sys_close(obj), 0);
    return EXPECT_STR_EQ(buf, want);
}

static void
files_check(dfs_sys_t *sys)
{
    struct stat st, set = {.st_mode = 0611};
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 99, .tv_nsec = 98}};
    daos_obj_id_t oid;
    dfs_obj_t *obj;

    EXPECT_EQ(dfs_sys_mkdir(sys, "/a", 0755, 0), 0);
    EXPECT_EQ(dfs_sys_mkdir(sys, "/a", 0755, 0), EEXIST);
    EXPECT_EQ(dfs_sys_mkdir(sys, "/", 0755, 0), EEXIST);
    EXPECT_EQ(dfs_sys_mkdir(sys, "/none/x", 0755, 0), ENOENT);
    EXPECT_EQ(dfs_sys_mkdir(sys, "a", 0755, 0), EINVAL);
    EXPECT_EQ(dfs_sys_mkdir_p(sys, "/a/b//c/", 0755, 0), 0);
    EXPECT_EQ(dfs_sys_mkdir_p(sys, "/a/b/c", 0755, 0), 0);
    EXPECT_EQ(sys_write(sys, "/a/b/c/f", "hello", 5), 0);
    EXPECT_EQ(dfs_sys_mkdir_p(sys, "/a/b/c/f", 0755, 0), EEXIST);
    EXPECT_EQ(dfs_sys_mkdir_p(sys, "/a/b/c/f/g", 0755, 0), ENOTDIR);
    EXPECT(sys_reads(sys, "/a/b/c/f", "hello"));
    EXPECT_EQ(sys_write(sys, "/a/b/c/f/", "x", 1), 0); /* slashes at the end do not count */
    EXPECT_EQ(dfs_sys_symlink(sys, "../b/c/f", "/a/b/l"), 0);
    EXPECT_EQ(dfs_sys_symlink(sys, "x", "/a/b/l"), EEXIST);
    EXPECT(sys_reads(sys, "/a/b/l", "xello"));
    EXPECT_EQ(dfs_sys_open(sys, "/a/b/l", S_IFREG, O_RDONLY | O_NOFOLLOW, 0, 0, NULL, &obj), ELOOP);
    EXPECT_EQ(dfs_sys_open(sys, "/a/b/l", S_IFDIR, O_RDONLY, 0, 0, NULL, &obj), ENOTDIR);
    EXPECT_EQ(dfs_sys_open(sys, "/", S_IFDIR, O_RDONLY, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_sys_close(obj), 0);
    EXPECT_EQ(dfs_sys_open(sys, "/", S_IFREG, O_RDONLY, 0, 0, NULL, &obj), EISDIR);
    EXPECT_EQ(dfs_sys_stat(sys, "/a/b/l", 0, &st), 0);
    EXPECT_EQ(st.st_size, 5);
    EXPECT_EQ(dfs_sys_stat(sys, "/a/b/l", O_NOFOLLOW, &st), 0);
    EXPECT(S_ISLNK(st.st_mode));
    EXPECT_EQ(dfs_sys_stat(sys, "/", 0, &st), 0);
    EXPECT(S_ISDIR(st.st_mode));
    EXPECT_EQ(dfs_sys_setattr(sys, "/a/b/l", &set, DFS_SET_ATTR_MODE, 0), 0);
    EXPECT_EQ(dfs_sys_stat(sys, "/a/b/c/f", 0, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0611);
    EXPECT_EQ(dfs_sys_chmod(sys, "/a/b/c/f", 0644), 0);
    EXPECT_EQ(dfs_sys_chown(sys, "/a/b/l", 3, 4, O_NOFOLLOW), 0);
    EXPECT_EQ(dfs_sys_stat(sys, "/a/b/l", O_NOFOLLOW, &st), 0);
    EXPECT_EQ(st.st_uid, 3);
    EXPECT_EQ(dfs_sys_utimens(sys, "/a/b/c/f", times, 0), 0);
    EXPECT_EQ(dfs_sys_stat(sys, "/a/b/c/f", 0, &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 99);
    EXPECT_EQ(st.st_mtim.tv_nsec, 98);
    times[1].tv_nsec = UTIME_OMIT;
    EXPECT_EQ(dfs_sys_utimens(sys, "/a/b/c/f", times, 0), 0);
    times[1].tv_nsec = UTIME_NOW;
    EXPECT_EQ(dfs_sys_utimens(sys, "/a/b/c/f", times, 0), 0);
    EXPECT_EQ(dfs_sys_stat(sys, "/a/b/c/f", 0, &st), 0);
    EXPECT_GT(st.st_mtim.tv_sec, 1000000000);
    EXPECT_EQ(dfs_sys_access(sys, "/a/b/l", R_OK, 0), 0);
    EXPECT_EQ(dfs_sys_access(sys, "/a/b/none", F_OK, 0), ENOENT);
    EXPECT_EQ(dfs_sys_punch(sys, "/a/b/c/f", 2, DFS_MAX_FSIZE), 0);
    EXPECT(sys_reads(sys, "/a/b/c/f", "xe"));
    EXPECT_EQ(dfs_sys_mknod(sys, "/a/n", S_IFREG | 0600, 0, 0), 0);
    EXPECT_EQ(dfs_sys_mknod(sys, "/a/n", S_IFREG | 0600, 0, 0), EEXIST);
    EXPECT_EQ(dfs_sys_remove_type(sys, "/a/n", false, S_IFDIR, NULL), ENOTDIR);
    EXPECT_EQ(dfs_sys_remove_type(sys, "/a/b", false, S_IFREG, NULL), EISDIR);
    EXPECT_EQ(dfs_sys_remove_type(sys, "/a/n", false, S_IFREG, &oid), 0);
    EXPECT_EQ(dfs_sys_remove(sys, "/a", false, NULL), ENOTEMPTY);
    EXPECT_EQ(dfs_sys_remove(sys, "/", true, NULL), EBUSY);
    EXPECT_EQ(dfs_sys_remove(sys, "/a/b/none", true, NULL), ENOENT);
}

static void
others_check(dfs_sys_t *sys)
{
    char buf[64];
    daos_size_t size = sizeof(buf);
    struct dirent *entry = NULL;
    int seen = 0;
    DIR *dir;

    EXPECT_EQ(dfs_sys_setxattr(sys, "/a/b/l", "user.x", "follow", 6, 0, 0), 0);
    EXPECT_EQ(dfs_sys_setxattr(sys, "/a/b/l", "user.x", "link", 4, 0, O_NOFOLLOW), 0);
    EXPECT_EQ(dfs_sys_getxattr(sys, "/a/b/c/f", "user.x", buf, &size, 0), 0);
    EXPECT_EQ(size, 6);
    size = sizeof(buf);
    EXPECT_EQ(dfs_sys_getxattr(sys, "/a/b/l", "user.x", buf, &size, O_NOFOLLOW), 0);
    EXPECT_EQ(size, 4);
    size = sizeof(buf);
    EXPECT_EQ(dfs_sys_listxattr(sys, "/a/b/c/f", buf, &size, 0), 0);
    EXPECT_EQ(size, 7);
    EXPECT_EQ(dfs_sys_removexattr(sys, "/a/b/c/f", "user.x", 0), 0);
    EXPECT_EQ(dfs_sys_removexattr(sys, "/a/b/c/f", "user.x", 0), ENODATA);
    size = sizeof(buf);
    EXPECT_EQ(dfs_sys_readlink(sys, "/a/b/l", buf, &size), 0);
    EXPECT_STR_EQ(buf, "../b/c/f");
    EXPECT_EQ(size, 9);
    EXPECT_EQ(dfs_sys_readlink(sys, "/a/b", buf, &size), EINVAL);
    for (int i = 0; i < 150; i++) {
        snprintf(buf, sizeof(buf), "/a/b/c/%d", i);
        EXPECT_EQ(dfs_sys_mknod(sys, buf, S_IFREG | 0600, 0, 0), 0);
    }
    EXPECT_EQ(dfs_sys_opendir(sys, "/a/b/c", 0, &dir), 0);
    for (;;) {
        if (!EXPECT_EQ(dfs_sys_readdir(sys, dir, &entry), 0) || entry == NULL)
            break;
        seen++;
    }
    EXPECT_EQ(seen, 151);
    EXPECT_EQ(dfs_sys_closedir(dir), 0);
    EXPECT_EQ(dfs_sys_opendir(sys, "/a/b/c/f", 0, &dir), ENOTDIR);
    EXPECT_EQ(dfs_sys_set_prefix(sys, "/mnt"), 0);
    EXPECT(sys_reads(sys, "/mnt/a/b/c/f", "xe"));
    EXPECT_EQ(dfs_sys_mkdir_p(sys, "/mnt/a/q/r", 0755, 0), 0);
    EXPECT_EQ(dfs_sys_mkdir(sys, "/a/s", 0755, 0), EINVAL);
    EXPECT_EQ(dfs_sys_set_prefix(sys, NULL), 0);
    EXPECT_EQ(dfs_sys_remove(sys, "/a", true, NULL), 0);
}

static void
body(struct fix *fix)
{
    d_iov_t glob = {0};
    dfs_sys_t *sys, *other;
    daos_event_t ev;
    daos_size_t len = 5;
    dfs_obj_t *obj;
    bool flag = false;
    dfs_t *dfs;

    EXPECT_EQ(dfs_sys_mount(fix->poh, fix->coh, O_RDWR, 1 << 9, &sys), EINVAL);
    if (!EXPECT_EQ(
            dfs_sys_mount(fix->poh, fix->coh, O_RDWR, DFS_SYS_NO_CACHE | DFS_SYS_NO_LOCK, &sys), 0))
        return;
    files_check(sys);
    others_check(sys);
    EXPECT_EQ(dfs_sys2base(sys, &dfs), 0);
    EXPECT_EQ(dfs_mkdir(dfs, NULL, "base", 0755, 0), 0);
    /* with an event */
    EXPECT_EQ(dfs_sys_open(sys, "/ev", S_IFREG | 0600, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_OK(daos_event_init(&ev, DAOS_HDL_INVAL, NULL));
    EXPECT_EQ(dfs_sys_write(sys, obj, "event", 0, &len, &ev), 0);
    EXPECT_OK(daos_event_test(&ev, DAOS_EQ_WAIT, &flag));
    EXPECT(flag);
    EXPECT_EQ(ev.ev_error, 0);
    EXPECT_OK(daos_event_fini(&ev));
    EXPECT_EQ(dfs_sys_close(obj), 0);
    EXPECT(sys_reads(sys, "/ev", "event"));
    /* through bytes */
    EXPECT_EQ(dfs_sys_local2global(sys, &glob), 0);
    d_iov_set(&glob, malloc(glob.iov_buf_len), glob.iov_buf_len);
    EXPECT_EQ(dfs_sys_local2global(sys, &glob), 0);
    EXPECT_EQ(dfs_sys_global2local(fix->poh, fix->coh, O_RDWR, 0, glob, &other), 0);
    EXPECT(sys_reads(other, "/ev", "event"));
    EXPECT_EQ(dfs_sys_umount(other), 0);
    free(glob.iov_buf);
    EXPECT_EQ(dfs_sys_umount(sys), 0);
    EXPECT_EQ(dfs_sys_connect("tank", RIG_SYSTEM, "tree", O_RDONLY, 0, NULL, &sys), 0);
    EXPECT(sys_reads(sys, "/ev", "event"));
    EXPECT_EQ(dfs_sys_disconnect(sys), 0);
}

TEST_ON(dfs_sys, everything, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(body);
}
