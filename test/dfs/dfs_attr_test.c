/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: modes, owners, times, extended attributes, and what renaming does to them and to what is in the way. Method: fixed cases on whole engines.
 */
#include "client/dfs/dfs_internal.h"
#include "dfs/dfs_fix.h"

#include <sys/xattr.h>

static bool
time_is(struct timespec a, struct timespec b)
{
    return EXPECT_EQ(a.tv_sec, b.tv_sec) && EXPECT_EQ(a.tv_nsec, b.tv_nsec);
}

static bool
is_later(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/* ---- attributes ------------------------------------------------------------------------------------------------------------- */

static void
setattr_body(struct fix *fix)
{
    const struct timespec past = {.tv_sec = 1234567890, .tv_nsec = 123456789};
    const struct timespec future = {.tv_sec = 4000000000, .tv_nsec = 1};
    struct stat st, first, set = {0};
    dfs_obj_t *obj;

    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &first), 0);
    EXPECT_EQ(first.st_nlink, 1);
    EXPECT_EQ(first.st_uid, geteuid());
    EXPECT_GT(first.st_mtim.tv_sec, 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "abc", 3), 0);
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &st), 0);
    EXPECT(is_later(st.st_mtim, first.st_mtim)); /* a write is seen */
    /* one by one, the others stay */
    set.st_mode = 0600;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MODE), 0);
    EXPECT_EQ(set.st_mode, S_IFREG | 0600);
    EXPECT_EQ(set.st_size, 3);
    EXPECT_EQ(set.st_uid, geteuid());
    set = (struct stat){.st_uid = 11, .st_gid = 22};
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_UID), 0);
    EXPECT_EQ(set.st_uid, 11);
    EXPECT_EQ(set.st_gid, getegid());
    set.st_gid = 22;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_GID), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0600);
    EXPECT_EQ(st.st_uid, 11);
    EXPECT_EQ(st.st_gid, 22);
    /* times: what is set stays until the next write, also when it lies in the future */
    set.st_mtim = past;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MTIME), 0);
    time_is(set.st_mtim, past);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    time_is(st.st_mtim, past);
    EXPECT(is_later(st.st_ctim, past));
    EXPECT_EQ(fix_write(fix->dfs, obj, 3, "d", 1), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT(is_later(st.st_mtim, first.st_mtim));
    set.st_mtim = future;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MTIME), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    time_is(st.st_mtim, future);
    EXPECT_EQ(fix_write(fix->dfs, obj, 4, "e", 1), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT(is_later(future, st.st_mtim));
    /* size */
    set.st_size = 100;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_SIZE), 0);
    EXPECT_EQ(set.st_size, 100);
    set.st_size = 2;
    set.st_mode = 0640;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_SIZE | DFS_SET_ATTR_MODE), 0);
    EXPECT_EQ(set.st_size, 2);
    EXPECT(fix_file_is(fix->dfs, NULL, "f", "ab", 2));
    /* a truncation to nothing is a change too, though nothing is left that has an epoch */
    set.st_mtim = past;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MTIME), 0);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 0, DFS_MAX_FSIZE), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_size, 0);
    EXPECT(is_later(st.st_mtim, first.st_mtim));
    /* bad input */
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, 1 << 20), EINVAL);
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, NULL, DFS_SET_ATTR_MODE), EINVAL);
    set.st_mtim.tv_nsec = 1000000000;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MTIME), EINVAL);
    set.st_mode = S_IFDIR | 0700;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MODE), EINVAL);
    set.st_size = -1;
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_SIZE), EINVAL);
    /* a handle whose name has gone to another file */
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "f", false, NULL), 0);
    EXPECT(fix_file(fix->dfs, NULL, "f", "other", 5));
    set = (struct stat){.st_mode = 0777};
    EXPECT_EQ(dfs_osetattr(fix->dfs, obj, &set, DFS_SET_ATTR_MODE), ENOENT);
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &set), ENOENT);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0644);
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_attr, set_and_stat, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(setattr_body);
}

static void
by_name_body(struct fix *fix)
{
    struct stat st, before;
    dfs_obj_t *dir;

    EXPECT(fix_file(fix->dfs, NULL, "f", "x", 1));
    EXPECT(fix_link(fix->dfs, NULL, "l", "f"));
    EXPECT(fix_link(fix->dfs, NULL, "bad", "none"));
    EXPECT_EQ(dfs_chmod(fix->dfs, NULL, "l", 0400), 0); /* follows */
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0400);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "l", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFLNK | 0777);
    EXPECT_EQ(dfs_chmod(fix->dfs, NULL, "bad", 0400), ENOENT);
    EXPECT_EQ(dfs_chmod(fix->dfs, NULL, "none", 0400), ENOENT);
    EXPECT_EQ(dfs_chown(fix->dfs, NULL, "l", 5, (gid_t)-1, 0), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_uid, 5);
    EXPECT_EQ(st.st_gid, getegid());
    EXPECT_EQ(dfs_chown(fix->dfs, NULL, "l", (uid_t)-1, 7, O_NOFOLLOW), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "l", &st), 0);
    EXPECT_EQ(st.st_gid, 7);
    EXPECT_EQ(st.st_uid, geteuid());
    EXPECT_EQ(dfs_access(fix->dfs, NULL, "l", F_OK), 0);
    EXPECT_EQ(dfs_access(fix->dfs, NULL, "bad", F_OK), ENOENT);
    EXPECT_EQ(dfs_access(fix->dfs, NULL, "f", 64), EINVAL);
    EXPECT_EQ(dfs_access(fix->dfs, NULL, "f", W_OK), geteuid() == 0 ? 0 : EACCES);
    EXPECT_EQ(dfs_access(fix->dfs, NULL, NULL, R_OK), 0); /* the root */
    EXPECT_EQ(dfs_chmod(fix->dfs, NULL, NULL, 0700), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, NULL, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0700);
    /* a directory's mtime is that of the newest change in it */
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/d");
    EXPECT_EQ(dfs_ostat(fix->dfs, dir, &before), 0);
    EXPECT_EQ(before.st_nlink, 2);
    EXPECT(fix_file(fix->dfs, dir, "new", "", 0));
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "d", &st), 0);
    EXPECT(is_later(st.st_mtim, before.st_mtim));
    st.st_mtim = (struct timespec){.tv_sec = 5, .tv_nsec = 6};
    EXPECT_EQ(dfs_osetattr(fix->dfs, dir, &st, DFS_SET_ATTR_MTIME), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "d", &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, 5);
    EXPECT_EQ(dfs_remove(fix->dfs, dir, "new", false, NULL), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "d", &st), 0);
    EXPECT(is_later(st.st_mtim, before.st_mtim));
    EXPECT_EQ(dfs_release(dir), 0);
}

TEST_ON(dfs_attr, by_name, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(by_name_body);
}

/* What the copy tool uses: whole, in one request, and later writes show. */
static void
tools_body(struct fix *fix)
{
    struct stat set = {.st_mode = 0501, .st_mtim = {.tv_sec = 77, .tv_nsec = 88}}, st;
    dfs_obj_t *obj;

    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG | 0600, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "abc", 3), 0);
    EXPECT_EQ(dfs_tools_attr_set(fix->dfs, obj, &set, DFS_SET_ATTR_MODE | DFS_SET_ATTR_MTIME), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFREG | 0501);
    EXPECT_EQ(st.st_size, 3);
    time_is(st.st_mtim, set.st_mtim);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "x", 1), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_GT(st.st_mtim.tv_sec, 77);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "f", false, NULL), 0);
    EXPECT_EQ(dfs_tools_attr_set(fix->dfs, obj, &set, DFS_SET_ATTR_MODE), ENOENT);
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_attr, what_the_copy_tool_sets, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(tools_body);
}

/* ---- extended attributes -------------------------------------------------------------------------------------------------------- */

static void
xattr_body(struct fix *fix)
{
    static char big[65537], back[65537], name[258];
    dfs_obj_t *obj, *link, *root;
    daos_size_t size;
    char list[64];

    EXPECT(fix_file(fix->dfs, NULL, "f", "x", 1));
    EXPECT(fix_link(fix->dfs, NULL, "l", "f"));
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR, 0, 0, NULL, &obj), 0);
    size = 10;
    EXPECT_EQ(dfs_getxattr(fix->dfs, obj, "user.a", list, &size), ENODATA);
    EXPECT_EQ(dfs_removexattr(fix->dfs, obj, "user.a"), ENODATA);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.a", "1", 1, XATTR_REPLACE), ENODATA);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.a", "value", 5, XATTR_CREATE), 0);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.a", "other", 5, XATTR_CREATE), EEXIST);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.a", "longer value", 12, XATTR_REPLACE), 0);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.b", "b", 1, 0), 0);
    /* sizes: asked for, enough, too little */
    size = 0;
    EXPECT_EQ(dfs_getxattr(fix->dfs, obj, "user.a", NULL, &size), 0);
    EXPECT_EQ(size, 12);
    size = sizeof(back);
    EXPECT_EQ(dfs_getxattr(fix->dfs, obj, "user.a", back, &size), 0);
    EXPECT_EQ(size, 12);
    EXPECT_MEM_EQ(back, "longer value", 12);
    size = 3;
    EXPECT_EQ(dfs_getxattr(fix->dfs, obj, "user.a", back, &size), ERANGE);
    EXPECT_EQ(size, 12);
    size = 0;
    EXPECT_EQ(dfs_listxattr(fix->dfs, obj, NULL, &size), 0);
    EXPECT_EQ(size, 14);
    size = sizeof(list);
    EXPECT_EQ(dfs_listxattr(fix->dfs, obj, list, &size), 0);
    EXPECT_EQ(size, 14);
    EXPECT(memcmp(list, "user.a\0user.b\0", 14) == 0 || memcmp(list, "user.b\0user.a\0", 14) == 0);
    size = 7;
    EXPECT_EQ(dfs_listxattr(fix->dfs, obj, list, &size), ERANGE);
    EXPECT_EQ(size, 14);
    EXPECT_EQ(dfs_removexattr(fix->dfs, obj, "user.b"), 0);
    size = sizeof(list);
    EXPECT_EQ(dfs_listxattr(fix->dfs, obj, list, &size), 0);
    EXPECT_EQ(size, 7);
    /* limits */
    memset(big, 'v', sizeof(big));
    memset(name, 'n', sizeof(name) - 2);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, name, "v", 1, 0), ERANGE); /* 256 */
    name[255] = '\0';
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, name, big, 65537, 0), E2BIG);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, name, big, 65536, 0), 0);
    size = sizeof(back);
    EXPECT_EQ(dfs_getxattr(fix->dfs, obj, name, back, &size), 0);
    EXPECT_EQ(size, 65536);
    EXPECT_MEM_EQ(back, big, 65536);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "", "v", 1, 0), EINVAL);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, NULL, "v", 1, 0), EINVAL);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.c", NULL, 1, 0), EINVAL);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.c", "v", 0, 0), EINVAL);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.c", "v", 1, 8), EINVAL);
    EXPECT_EQ(dfs_release(obj), 0);
    /* on a link itself, and on the root */
    EXPECT_EQ(dfs_lookup(fix->dfs, "/l", O_RDWR | O_NOFOLLOW, &link, NULL, NULL), 0);
    EXPECT_EQ(dfs_setxattr(fix->dfs, link, "user.l", "l", 1, 0), 0);
    EXPECT_EQ(dfs_release(link), 0);
    root = fix_dir(fix->dfs, "/");
    EXPECT_EQ(dfs_setxattr(fix->dfs, root, "user.r", "root", 4, 0), 0);
    size = sizeof(back);
    EXPECT_EQ(dfs_getxattr(fix->dfs, root, "user.r", back, &size), 0);
    EXPECT_EQ(size, 4);
    EXPECT_EQ(dfs_release(root), 0);
    /* gone with the file */
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "f", false, NULL), 0);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.x", "v", 1, 0), ENOENT);
    EXPECT(fix_file(fix->dfs, NULL, "f", "x", 1));
    size = 10;
    EXPECT_EQ(dfs_getxattr(fix->dfs, obj, "user.a", list, &size), ENODATA);
    EXPECT_EQ(dfs_release(obj), 0);
}

TEST_ON(dfs_attr, extended_attributes, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(xattr_body);
}

/* ---- renaming ------------------------------------------------------------------------------------------------------------------------ */

static bool
xattr_is(dfs_t *dfs, const char *path, const char *name, const char *value)
{
    dfs_obj_t *obj;
    char buf[64] = "";
    daos_size_t size = sizeof(buf) - 1;
    int rc;

    if (!EXPECT_EQ(dfs_lookup(dfs, path, O_RDONLY | O_NOFOLLOW, &obj, NULL, NULL), 0))
        return false;
    rc = dfs_getxattr(dfs, obj, name, buf, &size);
    EXPECT_EQ(dfs_release(obj), 0);
    if (value == NULL)
        return EXPECT_EQ(rc, ENODATA);
    buf[rc == 0 ? size : 0] = '\0';
    return EXPECT_STR_EQ(buf, value);
}

static bool
xattr_put(dfs_t *dfs, const char *path, const char *name, const char *value)
{
    dfs_obj_t *obj;
    bool is_good;

    if (!EXPECT_EQ(dfs_lookup(dfs, path, O_RDWR | O_NOFOLLOW, &obj, NULL, NULL), 0))
        return false;
    is_good = EXPECT_EQ(dfs_setxattr(dfs, obj, name, value, strlen(value), 0), 0);
    return EXPECT_EQ(dfs_release(obj), 0) && is_good;
}

static void
move_body(struct fix *fix)
{
    daos_obj_id_t oid_a, oid_b, moved = {0}, replaced = {.lo = 1};
    dfs_obj_t *dir, *obj, *obj_b;
    daos_size_t size = 64;
    struct stat st;
    char buf[64];

    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/d");
    EXPECT(fix_file(fix->dfs, NULL, "a", "content of a", 12));
    EXPECT(xattr_put(fix->dfs, "/a", "user.a", "of a"));
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "a", S_IFREG, O_RDWR, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_obj2id(obj, &oid_a), 0);
    /* to a free name, in another directory */
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "a", dir, "b", &replaced), 0);
    EXPECT_EQ(replaced.lo, 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "a", &st), ENOENT);
    EXPECT(fix_file_is(fix->dfs, dir, "b", "content of a", 12));
    EXPECT(xattr_is(fix->dfs, "/d/b", "user.a", "of a"));
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &st), ENOENT); /* the handle has the old name */
    dfs_update_parentfd(obj, dir, "b");
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &st), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    /* over another file: its data, its attributes and its name's old object go */
    EXPECT(fix_file(fix->dfs, NULL, "target", "target", 6));
    EXPECT(xattr_put(fix->dfs, "/target", "user.t", "of target"));
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "target", S_IFREG, O_RDWR, 0, 0, NULL, &obj_b), 0);
    EXPECT_EQ(dfs_obj2id(obj_b, &oid_b), 0);
    EXPECT_EQ(dfs_move_internal(fix->dfs, RENAME_NOREPLACE, dir, "b", NULL, "target", NULL, NULL),
        EEXIST);
    EXPECT_EQ(dfs_move_internal(fix->dfs, 0, dir, "b", NULL, "target", &moved, &replaced), 0);
    EXPECT_MEM_EQ(&moved, &oid_a, sizeof(moved));
    EXPECT_MEM_EQ(&replaced, &oid_b, sizeof(replaced));
    EXPECT(fix_file_is(fix->dfs, NULL, "target", "content of a", 12));
    EXPECT(xattr_is(fix->dfs, "/target", "user.a", "of a"));
    EXPECT(xattr_is(fix->dfs, "/target", "user.t", NULL));
    EXPECT_EQ(dfs_get_size(fix->dfs, obj_b, &size), 0);
    EXPECT_EQ(size, 0);
    EXPECT_EQ(dfs_release(obj_b), 0);
    /* links: a file over a link, a link over a file */
    EXPECT(fix_link(fix->dfs, NULL, "l", "somewhere"));
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "target", NULL, "l", NULL), 0);
    EXPECT(fix_file_is(fix->dfs, NULL, "l", "content of a", 12));
    EXPECT(fix_link(fix->dfs, NULL, "l2", "elsewhere"));
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "l2", NULL, "l", &replaced), 0);
    EXPECT_MEM_EQ(&replaced, &oid_a, sizeof(replaced));
    EXPECT_EQ(dfs_lookup(fix->dfs, "/l", O_RDONLY | O_NOFOLLOW, &obj, NULL, NULL), 0);
    size = sizeof(buf);
    EXPECT_EQ(dfs_get_symlink_value(obj, buf, &size), 0);
    EXPECT_STR_EQ(buf, "elsewhere");
    EXPECT_EQ(dfs_release(obj), 0);
    /* directories */
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "e", 0755, 0), 0);
    EXPECT(fix_file(fix->dfs, dir, "in d", "1", 1));
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "e", NULL, "d", NULL), ENOTEMPTY);
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "d", NULL, "e", NULL), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "d", &st), ENOENT);
    EXPECT_EQ(dfs_lookup(fix->dfs, "/e/in d", O_RDONLY, NULL, NULL, NULL), 0);
    EXPECT(fix_file(fix->dfs, NULL, "plain", "1", 1));
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "e", NULL, "plain", NULL), ENOTDIR);
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "plain", NULL, "e", NULL), EISDIR);
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "none", NULL, "x", NULL), ENOENT);
    EXPECT_EQ(dfs_release(dir), 0);
    dir = fix_dir(fix->dfs, "/e");
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "e", dir, "x", NULL), EINVAL); /* into itself */
    EXPECT_EQ(dfs_release(dir), 0);
    /* onto itself */
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "plain", NULL, "plain", NULL), 0);
    EXPECT(fix_file_is(fix->dfs, NULL, "plain", "1", 1));
}

TEST_ON(dfs_attr, renaming, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(move_body);
}

static void
exchange_body(struct fix *fix)
{
    char list[256];
    dfs_obj_t *dir, *root;
    mode_t mode;

    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/d");
    EXPECT(fix_file(fix->dfs, NULL, "a", "1", 1));
    EXPECT(xattr_put(fix->dfs, "/a", "user.a", "of a"));
    EXPECT(fix_link(fix->dfs, dir, "b", "target"));
    EXPECT(xattr_put(fix->dfs, "/d/b", "user.b", "of b"));
    EXPECT_EQ(dfs_exchange(fix->dfs, NULL, "a", dir, "b"), 0);
    EXPECT(fix_file_is(fix->dfs, dir, "b", "1", 1));
    EXPECT(xattr_is(fix->dfs, "/d/b", "user.a", "of a"));
    EXPECT(xattr_is(fix->dfs, "/d/b", "user.b", NULL));
    EXPECT(xattr_is(fix->dfs, "/a", "user.b", "of b"));
    EXPECT_EQ(fix_mode(fix->dfs, "/a", O_NOFOLLOW, &mode), 0);
    EXPECT(S_ISLNK(mode));
    EXPECT_EQ(dfs_exchange(fix->dfs, NULL, "a", NULL, "a"), 0);
    EXPECT_EQ(dfs_exchange(fix->dfs, NULL, "a", NULL, "none"), ENOENT);
    EXPECT_EQ(dfs_exchange(fix->dfs, NULL, "d", dir, "b"), EINVAL); /* a directory into itself */
    EXPECT_EQ(dfs_exchange(fix->dfs, NULL, "a", NULL, "a/b"), EINVAL);
    root = fix_dir(fix->dfs, "/");
    EXPECT_EQ(fix_names(fix->dfs, root, 8, list, sizeof(list)), 0);
    EXPECT_STR_EQ(list, "a,d"); /* no spare name stays */
    EXPECT_EQ(dfs_release(root), 0);
    EXPECT_EQ(dfs_release(dir), 0);
}

TEST_ON(dfs_attr, exchange, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(exchange_body);
}
