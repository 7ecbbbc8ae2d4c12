/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * dfs_cont_check(): what no name leads to is found, removed or given a name, and nothing else is touched. Leaks are made by taking entries away below libdfs.
 */
#include "dfs/dfs_fix.h"

/* Remove the name of something, and nothing else. */
static daos_obj_id_t
leak(struct fix *fix, const char *dir_path, const char *name)
{
    dfs_obj_t *dir = fix_dir(fix->dfs, dir_path), *obj;
    daos_obj_id_t dir_oid, oid = {0};
    d_iov_t dkey;
    daos_handle_t oh;

    EXPECT_EQ(dfs_lookup_rel(fix->dfs, dir, name, O_RDONLY, &obj, NULL, NULL), 0);
    EXPECT_EQ(dfs_obj2id(obj, &oid), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_obj2id(dir, &dir_oid), 0);
    EXPECT_EQ(dfs_release(dir), 0);
    EXPECT_OK(daos_obj_open(fix->coh, dir_oid, DAOS_OO_RW, &oh, NULL));
    d_iov_set(&dkey, (void *)(uintptr_t)name, strlen(name));
    EXPECT_OK(daos_obj_punch_dkeys(oh, DAOS_TX_NONE, DAOS_COND_PUNCH, 1, &dkey, NULL));
    EXPECT_OK(daos_obj_close(oh, NULL));
    return oid;
}

static void
dir_make(struct fix *fix, const char *parent, const char *name)
{
    dfs_obj_t *dir = fix_dir(fix->dfs, parent);

    EXPECT_EQ(dfs_mkdir(fix->dfs, dir, name, 0755, 0), 0);
    EXPECT_EQ(dfs_release(dir), 0);
}

static void
file_make(struct fix *fix, const char *parent, const char *name, const char *text)
{
    dfs_obj_t *dir = fix_dir(fix->dfs, parent);

    EXPECT(fix_file(fix->dfs, dir, name, text, strlen(text)));
    EXPECT_EQ(dfs_release(dir), 0);
}

static bool
file_is(struct fix *fix, const char *parent, const char *name, const char *text)
{
    dfs_obj_t *dir = fix_dir(fix->dfs, parent);
    bool is_good = dir != NULL && fix_file_is(fix->dfs, dir, name, text, strlen(text));

    return dir != NULL && EXPECT_EQ(dfs_release(dir), 0) && is_good;
}

static void
names_are(struct fix *fix, const char *path, const char *want)
{
    dfs_obj_t *dir = fix_dir(fix->dfs, path);
    char names[512];

    EXPECT_EQ(fix_names(fix->dfs, dir, 10, names, sizeof(names)), 0);
    EXPECT_STR_EQ(names, want);
    EXPECT_EQ(dfs_release(dir), 0);
}

static void
away(struct fix *fix)
{
    EXPECT_EQ(dfs_umount(fix->dfs), 0);
    EXPECT_OK(daos_cont_close(fix->coh, NULL));
}

static void
back(struct fix *fix)
{
    EXPECT_OK(daos_cont_open(fix->poh, "tree", DAOS_COO_RW, &fix->coh, NULL, NULL));
    EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_RDWR, &fix->dfs), 0);
}

static int
obj_keys(struct fix *fix, daos_obj_id_t oid)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_key_desc_t kds[8];
    char buf[512];
    d_iov_t iov = {buf, sizeof(buf), sizeof(buf)};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_handle_t oh;
    int found = 0;

    EXPECT_OK(daos_obj_open(fix->coh, oid, DAOS_OO_RO, &oh, NULL));
    while (!daos_anchor_is_eof(&anchor)) {
        uint32_t nr = 8;

        if (!EXPECT_OK(daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, kds, &sgl, &anchor, NULL)))
            break;
        found += (int)nr;
    }
    EXPECT_OK(daos_obj_close(oh, NULL));
    return found;
}

static void
check_body(struct fix *fix)
{
    daos_obj_id_t file, dir;
    char path[300];
    int snaps = 0;
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;

    file_make(fix, "/", "kept", "kept");
    file_make(fix, "/", "empty", "");
    file_make(fix, "/", "lost", "lost and found");
    dir_make(fix, "/", "dir");
    dir_make(fix, "/dir", "deep");
    file_make(fix, "/dir", "inner", "inner");
    file_make(fix, "/dir/deep", "deeper", "deeper");
    fix_link(fix->dfs, NULL, "link", "kept");

    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", 0, NULL), EBUSY);
    EXPECT_EQ(dfs_cont_check(fix->poh, NULL, 0, NULL), EINVAL);
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", DFS_CHECK_REMOVE | DFS_CHECK_RELINK, NULL), EINVAL);
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", DFS_CHECK_VERIFY, NULL), ENOTSUP);
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", 1 << 10, NULL), EINVAL);
    EXPECT_EQ(dfs_cont_check(fix->poh, "none", 0, NULL), ENOENT);
    away(fix);
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", DFS_CHECK_RELINK, "nothing"), 0);
    back(fix);
    names_are(fix, "/", "dir,empty,kept,link,lost"); /* nothing was lost */

    file = leak(fix, "/", "lost");
    dir = leak(fix, "/", "dir");
    away(fix);
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", 0, NULL), 0); /* changes nothing */
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", DFS_CHECK_RELINK, "found"), 0);
    back(fix);
    names_are(fix, "/", "empty,kept,link,lost+found");
    names_are(fix, "/lost+found", "found");
    snprintf(
        path, sizeof(path), "%llu.%llu", (unsigned long long)file.hi, (unsigned long long)file.lo);
    file_is(fix, "/lost+found/found", path, "lost and found");
    snprintf(path, sizeof(path), "/lost+found/found/%llu.%llu", (unsigned long long)dir.hi,
        (unsigned long long)dir.lo);
    names_are(fix, path, "deep,inner"); /* itself has a name now, what is below had one */
    file_is(fix, path, "inner", "inner");
    snprintf(path + strlen(path), sizeof(path) - strlen(path), "/deep");
    file_is(fix, path, "deeper", "deeper");

    dir = leak(fix, "/", "lost+found");
    EXPECT_GT(obj_keys(fix, file), 0);
    away(fix);
    EXPECT_EQ(dfs_cont_check(fix->poh, "tree", DFS_CHECK_REMOVE, NULL), 0);
    back(fix);
    EXPECT_EQ(obj_keys(fix, dir), 0);
    EXPECT_EQ(obj_keys(fix, file), 0);
    names_are(fix, "/", "empty,kept,link");
    file_is(fix, "/", "kept", "kept");
    EXPECT_OK(daos_cont_list_snap(fix->coh, &snaps, NULL, NULL, &anchor, NULL));
    EXPECT_EQ(snaps, 0);
}

TEST_ON(dfs_check, leaks, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(check_body);
}
