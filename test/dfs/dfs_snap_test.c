/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A file system as it was: dfs_mount_snap(), dfs_connect_snap(); and whose it is. What is changed, moved and removed afterwards is there as before, and nothing can be changed there. */
#include "dfs/dfs_fix.h"

static void
tree_make(struct fix *fix)
{
    dfs_obj_t *dir;

    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "dir", 0755, 0), 0);
    dir = fix_dir(fix->dfs, "/dir");
    fix_file(fix->dfs, dir, "kept", "kept", 4);
    fix_file(fix->dfs, dir, "changed", "before", 6);
    fix_file(fix->dfs, dir, "removed", "was here", 8);
    fix_file(fix->dfs, NULL, "moved", "moved", 5);
    fix_link(fix->dfs, NULL, "link", "dir/changed");
    EXPECT_EQ(dfs_release(dir), 0);
}

static void
tree_change(struct fix *fix)
{
    dfs_obj_t *dir = fix_dir(fix->dfs, "/dir"), *obj;

    EXPECT_EQ(dfs_open(fix->dfs, dir, "changed", S_IFREG, O_RDWR | O_TRUNC, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 0, "x", 1), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, dir, "removed", false, NULL), 0);
    EXPECT_EQ(dfs_move(fix->dfs, NULL, "moved", dir, "moved", NULL), 0);
    EXPECT_EQ(dfs_chmod(fix->dfs, NULL, "link", 0600), 0);
    EXPECT_EQ(dfs_remove(fix->dfs, NULL, "link", false, NULL), 0);
    fix_file(fix->dfs, dir, "new", "new", 3);
    EXPECT_EQ(dfs_release(dir), 0);
}

/* The tree as tree_make() made it. */
static void
tree_is(dfs_t *snap)
{
    dfs_obj_t *root = fix_dir(snap, "/"), *dir = fix_dir(snap, "/dir"), *obj;
    char names[256];
    mode_t mode;

    EXPECT_EQ(fix_names(snap, root, 10, names, sizeof(names)), 0);
    EXPECT_STR_EQ(names, "dir,link,moved");
    EXPECT_EQ(fix_names(snap, dir, 2, names, sizeof(names)), 0);
    EXPECT_STR_EQ(names, "changed,kept,removed");
    fix_file_is(snap, dir, "kept", "kept", 4);
    fix_file_is(snap, dir, "changed", "before", 6);
    fix_file_is(snap, dir, "removed", "was here", 8);
    fix_file_is(snap, NULL, "moved", "moved", 5);
    EXPECT_EQ(fix_mode(snap, "/link", O_RDONLY, &mode), 0); /* through the link */
    EXPECT_EQ(mode & S_IFMT, S_IFREG);
    EXPECT_NE(mode & 0777, 0600);

    EXPECT_EQ(dfs_mkdir(snap, NULL, "no", 0755, 0), EPERM);
    EXPECT_EQ(dfs_remove(snap, NULL, "moved", false, NULL), EPERM);
    EXPECT_EQ(dfs_open(snap, NULL, "moved", S_IFREG, O_RDWR, 0, 0, NULL, &obj), EPERM);
    EXPECT_EQ(dfs_setxattr(snap, root, "a", "b", 1, 0), EPERM);
    EXPECT_EQ(dfs_release(root), 0);
    EXPECT_EQ(dfs_release(dir), 0);
}

static void
mount_body(struct fix *fix)
{
    daos_epoch_t epoch, before;
    char name[] = "yesterday";
    d_iov_t glob = {0};
    dfs_t *snap;

    EXPECT_OK(daos_cont_create_snap(fix->coh, &before, NULL, NULL));
    tree_make(fix);
    EXPECT_OK(daos_cont_create_snap(fix->coh, &epoch, name, NULL));
    tree_change(fix);
    EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDWR, epoch, NULL, &snap), EINVAL);
    EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, 0, NULL, &snap), EINVAL);
    EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, epoch, NULL, NULL), EINVAL);
    EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, epoch + 1, NULL, &snap), ENOENT);
    EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, 0, "tomorrow", &snap), ENOENT);
    if (EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, epoch, NULL, &snap), 0)) {
        tree_is(snap);
        EXPECT_EQ(dfs_local2global(snap, &glob), ENOTSUP); /* others would see today */
        EXPECT_ERR(daos_cont_close(fix->coh, NULL), BUSY);
        EXPECT_EQ(dfs_umount(snap), 0);
    }
    if (EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, 0, name, &snap), 0)) {
        tree_is(snap);
        EXPECT_EQ(dfs_umount(snap), 0);
    }
    if (EXPECT_EQ(dfs_mount_snap(fix->poh, fix->coh, O_RDONLY, before, NULL, &snap), 0)) {
        dfs_obj_t *root = fix_dir(snap, "/");
        char names[64];

        EXPECT_EQ(fix_names(snap, root, 10, names, sizeof(names)), 0);
        EXPECT_STR_EQ(names, "");
        EXPECT_EQ(dfs_release(root), 0);
        EXPECT_EQ(dfs_umount(snap), 0);
    }
    EXPECT_EQ(dfs_connect_snap("tank", RIG_SYSTEM, "tree", O_RDWR, epoch, NULL, &snap), EINVAL);
    EXPECT_EQ(dfs_connect_snap("tank", RIG_SYSTEM, "tree", O_RDONLY, epoch + 1, NULL, &snap), ENOENT);
    if (EXPECT_EQ(dfs_connect_snap("tank", RIG_SYSTEM, "tree", O_RDONLY, 0, name, &snap), 0)) {
        tree_is(snap);
        EXPECT_EQ(dfs_umount(snap), EINVAL);
        EXPECT_EQ(dfs_disconnect(snap), 0);
    }
}

TEST_ON(dfs_snap, mount, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(mount_body);
}

static void
owner_body(struct fix *fix)
{
    char user[] = "them@", group[] = "all@";
    daos_prop_t *prop = NULL;
    struct stat st;
    dfs_t *dfs;

    EXPECT_EQ(dfs_cont_set_owner(fix->coh, NULL, 0, NULL, 0), EINVAL);
    EXPECT_EQ(dfs_cont_set_owner(fix->coh, (char[]){"no principal"}, 1, NULL, 0), EINVAL);
    EXPECT_EQ(dfs_cont_set_owner(fix->coh, user, 4711, group, 4712), 0);
    EXPECT_OK(daos_cont_get_acl(fix->coh, &prop, NULL));
    EXPECT_STR_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_OWNER)->dpe_str, "them@");
    EXPECT_STR_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_OWNER_GROUP)->dpe_str, "all@");
    daos_prop_free(prop);
    if (EXPECT_EQ(dfs_mount(fix->poh, fix->coh, O_RDONLY, &dfs), 0)) {
        EXPECT_EQ(dfs_stat(dfs, NULL, NULL, &st), 0);
        EXPECT_EQ(st.st_uid, 4711);
        EXPECT_EQ(st.st_gid, 4712);
        EXPECT_EQ(dfs_umount(dfs), 0);
    }
}

TEST_ON(dfs_snap, owner, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(owner_body);
}
