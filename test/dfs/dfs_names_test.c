/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: names, paths, links and directories behave as daos_fs.h and POSIX say. Method: small trees on whole engines, each error of bad input by its errno.
 */
#include "dfs/dfs_fix.h"

/* ---- names ---------------------------------------------------------------------------------------------------------------- */

static void
names_body(struct fix *fix)
{
    static char longest[NAME_MAX + 2];
    static const char *const good[] = {"a", "with space", "tab\tnewline\n", "\xc3\xa4\xe2\x82\xac",
        "\xff\xfe\x80", "...", "-rf", "DFS_INODE", "x:y", longest};
    static const char *const bad[] = {"", "a/b", "/", ".", ".."};
    char list[2048];
    struct stat st;
    dfs_obj_t *obj;

    memset(longest, 'n', NAME_MAX);
    longest[NAME_MAX] = '\0';
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        EXPECT(fix_file(fix->dfs, NULL, good[i], good[i], strlen(good[i])));
        EXPECT(fix_file_is(fix->dfs, NULL, good[i], good[i], strlen(good[i])));
        EXPECT_EQ(dfs_stat(fix->dfs, NULL, good[i], &st), 0);
        EXPECT_EQ(st.st_size, strlen(good[i]));
    }
    EXPECT_EQ(fix_names(fix->dfs, NULL, 3, list, sizeof(list)), EINVAL); /* a directory is needed */
    obj = fix_dir(fix->dfs, "/");
    EXPECT_EQ(fix_names(fix->dfs, obj, 3, list, sizeof(list)), 0);
    EXPECT(strstr(list, longest) != NULL);
    EXPECT(strstr(list, "\xff\xfe\x80") != NULL);
    EXPECT_EQ(dfs_release(obj), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT_EQ(
            dfs_open(fix->dfs, NULL, bad[i], S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EINVAL);
        EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, bad[i], 0755, 0), EINVAL);
        EXPECT_EQ(dfs_remove(fix->dfs, NULL, bad[i], false, NULL), EINVAL);
        EXPECT_EQ(dfs_stat(fix->dfs, NULL, bad[i], &st), EINVAL);
        EXPECT_EQ(dfs_lookup_rel(fix->dfs, NULL, bad[i], O_RDONLY, &obj, NULL, NULL), EINVAL);
        EXPECT_EQ(dfs_move(fix->dfs, NULL, "a", NULL, bad[i], NULL), EINVAL);
    }
    memset(longest, 'n', NAME_MAX + 1);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, longest, S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &obj),
        ENAMETOOLONG);
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, longest, 0755, 0), ENAMETOOLONG);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, longest, &st), ENAMETOOLONG);
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "a", NULL, longest, NULL), ENAMETOOLONG);
}

TEST_ON(dfs_names, good_and_bad_ones, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(names_body);
}

/* ---- open ------------------------------------------------------------------------------------------------------------------ */

static void
open_body(struct fix *fix)
{
    struct stat st;
    dfs_obj_t *obj, *dir;
    mode_t mode;

    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR, 0, 0, NULL, &obj), ENOENT);
    EXPECT_EQ(
        dfs_open(fix->dfs, NULL, "f", S_IFREG | 04755, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj),
        0);
    EXPECT_EQ(dfs_get_mode(obj, &mode), 0);
    EXPECT_EQ(mode, S_IFREG | 04755);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "hello", 5), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj),
        EEXIST);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT(fix_file_is(fix->dfs, NULL, "f", "hello", 5));
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDONLY, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "x", 1), EPERM);
    EXPECT_EQ(dfs_punch(fix->dfs, obj, 0, 1), EPERM);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR | O_TRUNC, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "ab", 2), 0); /* after the truncation, as it was opened */
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT(fix_file_is(fix->dfs, NULL, "f", "ab", 2));
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), 0);
    EXPECT_EQ(st.st_size, 2);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR | O_APPEND, 0, 0, NULL, &obj), ENOTSUP);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "p", S_IFIFO, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EINVAL);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "p", S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, NULL), EINVAL);
    EXPECT_EQ(dfs_open(NULL, NULL, "p", S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EINVAL);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, NULL, S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EINVAL);
    /* of another type */
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "d", S_IFDIR | 0700, O_RDWR | O_CREAT, 0, 0, NULL, &dir), 0);
    EXPECT_EQ(
        dfs_open(fix->dfs, NULL, "d", S_IFDIR | 0700, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EEXIST);
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0700, 0), EEXIST);
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "f", 0700, 0), EEXIST);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "d", S_IFREG, O_RDWR, 0, 0, NULL, &obj), EISDIR);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "d", S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EISDIR);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFDIR, O_RDWR, 0, 0, NULL, &obj), ENOTDIR);
    EXPECT(fix_link(fix->dfs, NULL, "l", "f"));
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "l", S_IFREG, O_RDWR, 0, 0, NULL, &obj), ELOOP);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "l", S_IFLNK, O_RDONLY, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG, O_RDWR, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_open(fix->dfs, obj, "x", S_IFREG, O_RDWR | O_CREAT, 0, 0, NULL, &dir), ENOTDIR);
    EXPECT_EQ(fix_write(fix->dfs, dir, 0, "x", 1), EINVAL); /* not a file */
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_release(dir), 0);
    EXPECT_EQ(dfs_release(NULL), EINVAL);
    /* links that cannot be */
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "l2", S_IFLNK, O_RDWR | O_CREAT, 0, 0, NULL, &obj), EINVAL);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "l2", S_IFLNK, O_RDWR | O_CREAT, 0, 0, "", &obj), EINVAL);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "l2", &st), ENOENT);
}

TEST_ON(dfs_names, open, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(open_body);
}

/* ---- paths and links --------------------------------------------------------------------------------------------------------- */

static void
paths_body(struct fix *fix)
{
    static char longest[PATH_MAX + 1], many[PATH_MAX];
    dfs_obj_t *a, *b, *obj;
    daos_size_t size;
    struct stat st;
    mode_t mode;
    char buf[64];

    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "a", 0755, 0), 0);
    a = fix_dir(fix->dfs, "/a");
    EXPECT_EQ(dfs_mkdir(fix->dfs, a, "b", 0755, 0), 0);
    b = fix_dir(fix->dfs, "/a/b");
    EXPECT(fix_file(fix->dfs, b, "f", "deep", 4));
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/f", 0, &mode), 0);
    EXPECT_EQ(mode, S_IFREG | 0644);
    EXPECT_EQ(fix_mode(fix->dfs, "//a///b/./f", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/../b/f", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/../../a/..", 0, &mode), 0);
    EXPECT(S_ISDIR(mode));
    EXPECT_EQ(fix_mode(fix->dfs, "/", 0, &mode), 0);
    EXPECT_EQ(mode, S_IFDIR | 0755);
    EXPECT_EQ(dfs_lookup(fix->dfs, "/", O_RDONLY, NULL, NULL, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0755);
    EXPECT_EQ(fix_mode(fix->dfs, "a/b/f", 0, &mode), EINVAL);
    EXPECT_EQ(fix_mode(fix->dfs, "", 0, &mode), EINVAL);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/g", 0, &mode), ENOENT);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/c/f", 0, &mode), ENOENT);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/f/x", 0, &mode), ENOTDIR);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/f/", 0, &mode), ENOTDIR);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/", 0, &mode), 0);
    memset(longest, 'p', PATH_MAX);
    longest[0] = '/';
    EXPECT_EQ(fix_mode(fix->dfs, longest, 0, &mode), ENAMETOOLONG);
    longest[NAME_MAX + 2] = '\0';
    EXPECT_EQ(fix_mode(fix->dfs, longest, 0, &mode), ENAMETOOLONG);
    /* links: relative, absolute, up, in the middle, at the end */
    EXPECT(fix_link(fix->dfs, b, "rel", "f"));
    EXPECT(fix_link(fix->dfs, b, "abs", "/a/b/f"));
    EXPECT(fix_link(fix->dfs, b, "up", "../../a/b/f"));
    EXPECT(fix_link(fix->dfs, NULL, "dir", "a/b"));
    EXPECT(fix_link(fix->dfs, NULL, "dangling", "nowhere"));
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/rel", 0, &mode), 0);
    EXPECT(S_ISREG(mode));
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/abs", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/up", 0, &mode), 0);
    EXPECT(S_ISREG(mode));
    EXPECT_EQ(fix_mode(fix->dfs, "/dir/f", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/dir/../b/up", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/dir", 0, &mode), 0);
    EXPECT(S_ISDIR(mode));
    EXPECT_EQ(fix_mode(fix->dfs, "/dir", O_NOFOLLOW, &mode), 0);
    EXPECT(S_ISLNK(mode));
    EXPECT_EQ(fix_mode(fix->dfs, "/dir/f", O_NOFOLLOW, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/dangling", 0, &mode), ENOENT);
    EXPECT_EQ(fix_mode(fix->dfs, "/dangling", O_NOFOLLOW, &mode), 0);
    EXPECT_EQ(dfs_lookup_rel(fix->dfs, b, "rel", O_RDONLY, &obj, &mode, &st), 0);
    EXPECT_EQ(st.st_size, 4);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_lookup_rel(fix->dfs, a, "..up", O_RDONLY, NULL, &mode, NULL), ENOENT);
    /* loops */
    EXPECT(fix_link(fix->dfs, NULL, "self", "self"));
    EXPECT(fix_link(fix->dfs, NULL, "ping", "/pong"));
    EXPECT(fix_link(fix->dfs, NULL, "pong", "./ping"));
    EXPECT_EQ(fix_mode(fix->dfs, "/self", 0, &mode), ELOOP);
    EXPECT_EQ(fix_mode(fix->dfs, "/ping", 0, &mode), ELOOP);
    EXPECT_EQ(fix_mode(fix->dfs, "/ping/x", O_NOFOLLOW, &mode), ELOOP);
    for (int i = 0; i < 41; i++) {
        char name[32], value[32];

        snprintf(name, sizeof(name), "l%d", i);
        snprintf(value, sizeof(value), "l%d", i - 1);
        EXPECT(fix_link(fix->dfs, NULL, name, i == 0 ? "a" : value));
    }
    EXPECT_EQ(fix_mode(fix->dfs, "/l39", 0, &mode), 0); /* 40 links */
    EXPECT_EQ(fix_mode(fix->dfs, "/l40", 0, &mode), ELOOP);
    /* a target as long as can be, and its value */
    memset(longest, 't', PATH_MAX);
    longest[PATH_MAX] = '\0';
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "long", S_IFLNK, O_RDWR | O_CREAT, 0, 0, longest, &obj),
        ENAMETOOLONG);
    longest[PATH_MAX - 1] = '\0';
    EXPECT(fix_link(fix->dfs, NULL, "long", longest));
    EXPECT_EQ(dfs_lookup(fix->dfs, "/long", O_NOFOLLOW, &obj, &mode, &st), 0);
    EXPECT_EQ(st.st_size, PATH_MAX - 1);
    size = sizeof(many);
    EXPECT_EQ(dfs_get_symlink_value(obj, many, &size), 0);
    EXPECT_EQ(size, PATH_MAX);
    EXPECT_STR_EQ(many, longest);
    size = 0;
    EXPECT_EQ(dfs_get_symlink_value(obj, NULL, &size), 0);
    EXPECT_EQ(size, PATH_MAX);
    size = 5;
    memset(buf, 'x', sizeof(buf));
    EXPECT_EQ(dfs_get_symlink_value(obj, buf, &size), 0);
    EXPECT_EQ(size, PATH_MAX);
    EXPECT_MEM_EQ(buf, "tttt\0x", 6);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/long", 0, &mode), ENAMETOOLONG); /* no component is that long */
    EXPECT_EQ(dfs_get_symlink_value(a, buf, &size), EINVAL);
    /* prefix */
    EXPECT_EQ(dfs_set_prefix(fix->dfs, "/mnt/dfs/"), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/mnt/dfs/a/b/f", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/mnt/dfs", 0, &mode), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/mnt/dfsx/a", 0, &mode), EINVAL);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/f", 0, &mode), EINVAL);
    EXPECT_EQ(dfs_set_prefix(fix->dfs, "/"), 0);
    EXPECT_EQ(fix_mode(fix->dfs, "/a/b/f", 0, &mode), 0);
    EXPECT_EQ(dfs_set_prefix(fix->dfs, "mnt"), EINVAL);
    EXPECT_EQ(dfs_set_prefix(fix->dfs, NULL), 0);
    EXPECT_EQ(dfs_release(a), 0);
    EXPECT_EQ(dfs_release(b), 0);
}

TEST_ON(dfs_names, paths_and_links, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(paths_body);
}

/* A handle knows the directory above it, and no more. */
static void
above_body(struct fix *fix)
{
    dfs_obj_t *dir, *obj;

    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "a", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/a");
    EXPECT_EQ(dfs_mkdir(fix->dfs, dir, "b", 0755, 0), 0);
    EXPECT(fix_file(fix->dfs, dir, "file of a", "x", 1));
    EXPECT_EQ(dfs_release(dir), 0);
    dir = fix_dir(fix->dfs, "/a/b");
    EXPECT_EQ(dfs_mkdir(fix->dfs, dir, "c", 0755, 0), 0);
    EXPECT_EQ(dfs_release(dir), 0);
    dir = fix_dir(fix->dfs, "/a/b");
    EXPECT(fix_link(fix->dfs, dir, "one up", "../file of a"));
    EXPECT(fix_link(fix->dfs, dir, "down and up", "c/../../file of a"));
    EXPECT(fix_link(fix->dfs, dir, "two up", "../../a/file of a"));
    EXPECT(fix_link(fix->dfs, dir, "itself", "../b"));
    EXPECT_EQ(dfs_lookup_rel(fix->dfs, dir, "one up", O_RDONLY, &obj, NULL, NULL), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_lookup_rel(fix->dfs, dir, "down and up", O_RDONLY, &obj, NULL, NULL), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_lookup_rel(fix->dfs, dir, "itself", O_RDONLY, &obj, NULL, NULL), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_lookup_rel(fix->dfs, dir, "two up", O_RDONLY, &obj, NULL, NULL), ENOTSUP);
    EXPECT_EQ(dfs_lookup(fix->dfs, "/a/b/two up", O_RDONLY, &obj, NULL, NULL), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_access(fix->dfs, dir, "one up", R_OK), 0);
    EXPECT_EQ(dfs_access(fix->dfs, dir, "nothing", F_OK), ENOENT);
    EXPECT_EQ(dfs_release(dir), 0);
}

TEST_ON(dfs_names, above_a_handle, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(above_body);
}

/* ---- directories ---------------------------------------------------------------------------------------------------------------- */

static int
count_name(dfs_t *dfs, dfs_obj_t *obj, const char name[], void *arg)
{
    (void)dfs, (void)obj;
    ++*(uint32_t *)arg;
    return strcmp(name, "stop") == 0 ? 77 : 0;
}

static void
dirs_body(struct fix *fix)
{
    enum { NR = 300 };
    static struct dirent entries[64];
    static struct stat stats[64];
    static uint8_t seen[NR];
    daos_anchor_t anchor = {0};
    dfs_obj_t *dir, *file;
    uint32_t nr, total = 0;
    char name[32];

    memset(seen, 0, sizeof(seen));
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/d");
    nr = 64;
    EXPECT_EQ(dfs_readdir(fix->dfs, dir, &anchor, &nr, entries), 0);
    EXPECT_EQ(nr, 0);
    EXPECT(daos_anchor_is_eof(&anchor));
    for (int i = 0; i < NR; i++) {
        snprintf(name, sizeof(name), "file %d", i);
        EXPECT(fix_file(fix->dfs, dir, name, name, (size_t)i % 7));
    }
    memset(&anchor, 0, sizeof(anchor));
    while (!daos_anchor_is_eof(&anchor) && total <= NR) {
        nr = 64;
        if (!EXPECT_EQ(dfs_readdirplus(fix->dfs, dir, &anchor, &nr, entries, stats), 0))
            break;
        EXPECT_LE(nr, 64);
        for (uint32_t i = 0; i < nr; i++) {
            int which = -1;

            if (EXPECT_EQ(sscanf(entries[i].d_name, "file %d", &which), 1) && EXPECT_LT(which, NR)) {
                seen[which]++;
                EXPECT_EQ(stats[i].st_size, which % 7);
                EXPECT_EQ(stats[i].st_mode, S_IFREG | 0644);
            }
        }
        total += nr;
    }
    EXPECT_EQ(total, NR);
    for (int i = 0; i < NR; i++) {
        EXPECT_EQ(seen[i], 1);
    }
    /* names removed and added while a listing goes on: the others come once */
    memset(&anchor, 0, sizeof(anchor));
    memset(seen, 0, sizeof(seen));
    for (int round = 0; !daos_anchor_is_eof(&anchor) && round < NR; round++) {
        nr = 16;
        EXPECT_EQ(dfs_readdir(fix->dfs, dir, &anchor, &nr, entries), 0);
        for (uint32_t i = 0; i < nr; i++) {
            int which = -1;

            if (sscanf(entries[i].d_name, "file %d", &which) == 1)
                seen[which]++;
        }
        snprintf(name, sizeof(name), "new %d", round);
        EXPECT(fix_file(fix->dfs, dir, name, "", 0));
        snprintf(name, sizeof(name), "file %d", round);
        EXPECT_EQ(dfs_remove(fix->dfs, dir, name, false, NULL), 0);
    }
    for (int i = 100; i < NR; i++) {
        EXPECT_EQ(seen[i], 1);
    }
    /* iterate */
    total = 0;
    nr = 10;
    memset(&anchor, 0, sizeof(anchor));
    EXPECT_EQ(dfs_iterate(fix->dfs, dir, &anchor, &nr, 4096, count_name, &total), 0);
    EXPECT_EQ(nr, 10);
    EXPECT_EQ(total, 10);
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "e", 0755, 0), 0);
    EXPECT_EQ(dfs_release(dir), 0);
    dir = fix_dir(fix->dfs, "/e");
    EXPECT(fix_file(fix->dfs, dir, "stop", "", 0));
    memset(&anchor, 0, sizeof(anchor));
    nr = 10;
    EXPECT_EQ(dfs_iterate(fix->dfs, dir, &anchor, &nr, 4096, count_name, &total), 77);
    /* bad input */
    EXPECT_EQ(dfs_open(fix->dfs, dir, "stop", S_IFREG, O_RDONLY, 0, 0, NULL, &file), 0);
    EXPECT_EQ(dfs_readdir(fix->dfs, file, &anchor, &nr, entries), ENOTDIR);
    EXPECT_EQ(dfs_readdir(fix->dfs, dir, NULL, &nr, entries), EINVAL);
    EXPECT_EQ(dfs_readdir(fix->dfs, dir, &anchor, NULL, entries), EINVAL);
    EXPECT_EQ(dfs_readdir(fix->dfs, dir, &anchor, &nr, NULL), EINVAL);
    memset(&anchor, 0xff, sizeof(anchor));
    EXPECT_EQ(dfs_readdir(fix->dfs, dir, &anchor, &nr, entries), EINVAL);
    EXPECT_EQ(dfs_release(file), 0);
    EXPECT_EQ(dfs_release(dir), 0);
}

TEST_ON(dfs_names, directories, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(dirs_body);
}

/* Listing by parts: together every name once. */
static void
split_body(struct fix *fix)
{
    enum { NR = 60, PARTS_MAX = 16 };
    static struct dirent entries[16];
    static uint8_t seen[NR];
    daos_anchor_t anchors[PARTS_MAX];
    uint32_t parts = 0;
    dfs_obj_t *dir;
    char name[32];

    memset(seen, 0, sizeof(seen));
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "wide", 0755, OC_SX), 0);
    dir = fix_dir(fix->dfs, "/wide");
    for (int i = 0; i < NR; i++) {
        snprintf(name, sizeof(name), "%d", i);
        EXPECT(fix_file(fix->dfs, dir, name, "", 0));
    }
    EXPECT_EQ(dfs_obj_anchor_split(dir, &parts, NULL), 0);
    EXPECT_EQ(parts, 4); /* one for each target */
    if (parts > PARTS_MAX)
        return;
    EXPECT_EQ(dfs_obj_anchor_split(dir, &parts, anchors), 0);
    for (uint32_t p = 0; p < parts; p++) {
        if (p % 2 == 1)
            EXPECT_EQ(dfs_obj_anchor_set(dir, p, &anchors[p]), 0);
        while (!daos_anchor_is_eof(&anchors[p])) {
            uint32_t nr = 16;

            if (!EXPECT_EQ(dfs_readdir(fix->dfs, dir, &anchors[p], &nr, entries), 0))
                break;
            for (uint32_t i = 0; i < nr; i++) {
                seen[atoi(entries[i].d_name) % NR]++;
            }
        }
    }
    for (int i = 0; i < NR; i++) {
        EXPECT_EQ(seen[i], 1);
    }
    EXPECT_EQ(dfs_obj_anchor_set(dir, parts, &anchors[0]), EINVAL);
    EXPECT_EQ(dfs_dir_anchor_set(dir, "a/b", &anchors[0]), EINVAL);
    EXPECT_EQ(dfs_dir_anchor_set(dir, "name", NULL), EINVAL);
    EXPECT_EQ(dfs_dir_anchor_set(dir, "no such name", &anchors[0]), 0); /* a place all the same */
    EXPECT_EQ(dfs_release(dir), 0);
}

TEST_ON(dfs_names, listing_by_parts, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(split_body);
}

/* ---- removal ---------------------------------------------------------------------------------------------------------------------- */

static void
remove_body(struct fix *fix)
{
    dfs_obj_t *dir, *obj, *chain;
    daos_obj_id_t oid = {0}, removed = {0};
    daos_size_t size = 0;
    struct stat st;

    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "none", false, NULL), ENOENT);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "none", true, NULL), ENOENT);
    EXPECT_EQ(dfs_open(fix->dfs, NULL, "f", S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "data", 4), 0);
    EXPECT_EQ(dfs_obj2id(obj, &oid), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "f", false, &removed), 0);
    EXPECT_MEM_EQ(&oid, &removed, sizeof(oid));
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "f", &st), ENOENT);
    EXPECT_EQ(dfs_ostat(fix->dfs, obj, &st), ENOENT);
    EXPECT_EQ(dfs_get_size(fix->dfs, obj, &size), 0);
    EXPECT_EQ(size, 0); /* its data are gone too */
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT(fix_link(fix->dfs, NULL, "l", "d"));
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "d", 0755, 0), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "l", true, NULL), 0); /* the link, not where it leads */
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "d", &st), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "d", false, NULL), 0);
    /* a deep tree, things at every level */
    chain = fix_dir(fix->dfs, "/");
    for (int i = 0; i < 40; i++) {
        EXPECT_EQ(dfs_mkdir(fix->dfs, chain, "deep", 0755, 0), 0);
        EXPECT_EQ(dfs_lookup_rel(fix->dfs, chain, "deep", O_RDWR, &dir, NULL, NULL), 0);
        EXPECT_EQ(dfs_release(chain), 0);
        chain = dir;
        EXPECT(fix_file(fix->dfs, chain, "f1", "1", 1));
        EXPECT(fix_file(fix->dfs, chain, "f2", "2", 1));
        EXPECT(fix_link(fix->dfs, chain, "l", "f1"));
    }
    EXPECT_EQ(dfs_release(chain), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "deep", false, NULL), ENOTEMPTY);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "deep", &st), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "deep", true, NULL), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "deep", &st), ENOENT);
}

TEST_ON(dfs_names, removal, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(remove_body);
}

/* ---- two mounts -------------------------------------------------------------------------------------------------------------------- */

enum { RACERS_NR = 8, RACES_NR = 12 };

struct race {
    struct fix *fix;
    dfs_t *mounts[2];
    int winners[RACES_NR], losers[RACES_NR];
    uint32_t next;
};

static void
racer(void *arg)
{
    struct race *race = arg;
    dfs_t *dfs = race->mounts[race->next++ % 2];

    client_self_set(race->fix->app.client);
    for (int i = 0; i < RACES_NR; i++) {
        dfs_obj_t *obj;
        char name[32];
        int rc;

        snprintf(name, sizeof(name), "race %d", i);
        rc = dfs_open(dfs, NULL, name, S_IFREG | 0600, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj);
        if (rc == 0) {
            race->winners[i]++;
            EXPECT_EQ(dfs_release(obj), 0);
        } else if (EXPECT_EQ(rc, EEXIST)) {
            race->losers[i]++;
        }
    }
}

static void
race_body(struct fix *fix)
{
    struct race race = {.fix = fix};
    struct ult *ults[RACERS_NR];

    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_RDWR, &race.mounts[i]), 0);
    }
    for (int i = 0; i < RACERS_NR; i++) {
        EXPECT_OK(ult_create(fix->rig->xs, ULT_IO, racer, &race, &ults[i]));
    }
    for (int i = 0; i < RACERS_NR; i++) {
        ult_join(ults[i]);
    }
    for (int i = 0; i < RACES_NR; i++) {
        EXPECT_EQ(race.winners[i], 1);
        EXPECT_EQ(race.losers[i], RACERS_NR - 1);
    }
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(dfs_umount(race.mounts[i]), 0);
    }
}

TEST_ON(dfs_names, one_of_many_creators_wins, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(race_body);
}

static void
read_only_body(struct fix *fix)
{
    struct stat st = {.st_mode = 0600};
    dfs_obj_t *obj;
    dfs_t *dfs;

    EXPECT(fix_file(fix->dfs, NULL, "f", "data", 4));
    EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_RDONLY, &dfs), 0);
    EXPECT(fix_file_is(dfs, NULL, "f", "data", 4));
    EXPECT_EQ(dfs_open(dfs, NULL, "f", S_IFREG, O_RDWR, 0, 0, NULL, &obj), EPERM);
    EXPECT_EQ(dfs_open(dfs, NULL, "g", S_IFREG, O_RDONLY | O_CREAT, 0, 0, NULL, &obj), EPERM);
    EXPECT_EQ(dfs_open(dfs, NULL, "f", S_IFREG, O_RDONLY | O_TRUNC, 0, 0, NULL, &obj), EPERM);
    EXPECT_EQ(dfs_mkdir(dfs, NULL, "d", 0755, 0), EPERM);
    EXPECT_EQ(dfs_remove(dfs, NULL, "f", false, NULL), EPERM);
    EXPECT_EQ(dfs_move(dfs, NULL, "f", NULL, "g", NULL), EPERM);
    EXPECT_EQ(dfs_chmod(dfs, NULL, "f", 0600), EPERM);
    EXPECT_EQ(dfs_access(dfs, NULL, "f", R_OK), 0);
    EXPECT_EQ(dfs_access(dfs, NULL, "f", W_OK), EPERM);
    EXPECT_EQ(dfs_sync(dfs), EPERM);
    EXPECT_EQ(dfs_sync(fix->dfs), 0);
    EXPECT_EQ(dfs_open(dfs, NULL, "f", S_IFREG, O_RDONLY, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_osetattr(dfs, obj, &st, DFS_SET_ATTR_MODE), EPERM);
    EXPECT_EQ(dfs_setxattr(dfs, obj, "user.x", "v", 1, 0), EPERM);
    EXPECT_EQ(dfs_removexattr(dfs, obj, "user.x"), EPERM);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_umount(dfs), 0);
    EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_WRONLY, &dfs), EINVAL);
    EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_RDWR | DFS_BALANCED, &dfs), ENOTSUP);
    EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_RDWR, NULL), EINVAL);
    EXPECT_EQ(dfs_mount(fix->poh, DAOS_HDL_INVAL, O_RDWR, &dfs), EINVAL);
    EXPECT_EQ(dfs_umount(NULL), EINVAL);
}

TEST_ON(dfs_names, a_read_only_mount_changes_nothing, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(read_only_body);
}
