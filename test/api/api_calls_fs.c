/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The part of api_calls_test.c on files, names and gurt's tables. */
#include "api/api_calls.h"

#include <daos_uns.h>
#include <gurt/common.h>
#include <gurt/hash.h>
#include <stdlib.h>

/* ---- mounts ------------------------------------------------------------------------------------------------------------------ */

static void
calls_connect(struct api_store *store)
{
    daos_handle_t coh;
    dfs_t *dfs;
    uuid_t uuid;

    CALL_OK(dfs_init);
    CALL_OK(dfs_connect, "tank", NULL, "tree2", O_CREAT | O_RDWR, NULL, &dfs);
    CALL_ERRNO(EINVAL, dfs_umount, dfs); /* connected, not mounted */
    CALL_OK(dfs_disconnect, dfs);
    CALL_ERRNO(EINVAL, dfs_disconnect, NULL);
    CALL_ERRNO(ENOENT, dfs_connect, "tank", NULL, "tree3", O_RDWR, NULL, &dfs);
    CALL_ERRNO(EINVAL, dfs_connect, NULL, NULL, "tree3", O_RDWR, NULL, &dfs);
    CALL_OK(dfs_fini);
    CALL_OK(dfs_cont_create, store->poh, &uuid, NULL, &coh, &dfs);
    CALL_OK(dfs_umount, dfs);
    EXPECT_OK(daos_cont_close(coh, NULL));
    CALL_ERRNO(EINVAL, dfs_cont_create, store->coh, &uuid, NULL, &coh, &dfs); /* no pool */
    CALL_ERRNO(EINVAL, dfs_cont_create_with_label, store->poh, NULL, NULL, NULL, &coh, &dfs);
    CALL_ERRNO(EEXIST, dfs_cont_create_with_label, store->poh, "tree2", NULL, NULL, &coh, &dfs);
    CALL_ERRNO(EINVAL, dfs_mount, store->poh, store->coh, O_RDWR, &dfs); /* no file system */
}

static void
calls_share(struct api_store *store, daos_handle_t coh, dfs_t *dfs, dfs_obj_t *file)
{
    d_iov_t glob = {0}, obj_glob = {0};
    dfs_t *copy, *ro;
    dfs_obj_t *obj;

    CALL_ERRNO(EINVAL, dfs_local2global, NULL, &glob);
    CALL_OK(dfs_local2global, dfs, &glob);
    glob.iov_buf = malloc(glob.iov_buf_len);
    CALL_OK(dfs_local2global, dfs, &glob);
    CALL_OK(dfs_global2local, store->poh, coh, 0, glob, &copy);
    EXPECT_EQ(dfs_global2local(store->poh, coh, O_RDONLY, glob, &ro), 0);
    CALL_OK(dfs_umount, ro);
    ((char *)glob.iov_buf)[20] ^= 1;
    CALL_ERRNO(EINVAL, dfs_global2local, store->poh, coh, 0, glob, &ro);
    CALL_ERRNO(EINVAL, dfs_obj_local2global, dfs, NULL, &obj_glob);
    CALL_OK(dfs_obj_local2global, dfs, file, &obj_glob);
    obj_glob.iov_buf = malloc(obj_glob.iov_buf_len);
    CALL_OK(dfs_obj_local2global, dfs, file, &obj_glob);
    CALL_OK(dfs_obj_global2local, copy, 0, obj_glob, &obj);
    CALL_OK(dfs_release, obj);
    CALL_ERRNO(EINVAL, dfs_release, NULL);
    ((char *)obj_glob.iov_buf)[20] ^= 1;
    CALL_ERRNO(EINVAL, dfs_obj_global2local, copy, 0, obj_glob, &obj);
    ((char *)obj_glob.iov_buf)[20] ^= 1;
    CALL_OK(dfs_umount, copy);
    EXPECT_EQ(dfs_mount(store->poh, coh, O_RDONLY, &ro), 0);
    CALL_ERRNO(EPERM, dfs_obj_global2local, ro, O_RDWR, obj_glob, &obj);
    CALL_OK(dfs_umount, ro);
    free(glob.iov_buf);
    free(obj_glob.iov_buf);
}

/* ---- names ------------------------------------------------------------------------------------------------------------------- */

static void
calls_names(dfs_t *dfs, dfs_t *ro)
{
    struct stat st;
    dfs_obj_t *obj;
    mode_t mode;

    CALL_OK(dfs_mkdir, dfs, NULL, "dir", 0755, 0);
    CALL_ERRNO(EEXIST, dfs_mkdir, dfs, NULL, "dir", 0755, 0);
    CALL_ERRNO(EINVAL, dfs_mkdir, dfs, NULL, "a/b", 0755, 0);
    CALL_ERRNO(EPERM, dfs_mkdir, ro, NULL, "dir2", 0755, 0);
    CALL_OK(dfs_lookup, dfs, "/dir", O_RDWR, &obj, &mode, &st);
    EXPECT(S_ISDIR(mode));
    CALL_ERRNO(ENOENT, dfs_lookup, dfs, "/none", O_RDWR, &obj, &mode, &st);
    CALL_ERRNO(EINVAL, dfs_lookup, dfs, "dir", O_RDWR, &obj, &mode, &st); /* not absolute */
    CALL_OK(dfs_stat, dfs, NULL, "dir", &st);
    CALL_ERRNO(ENOENT, dfs_stat, dfs, NULL, "none", &st);
    CALL_ERRNO(EINVAL, dfs_stat, dfs, NULL, "dir", NULL);
    CALL_OK(dfs_access, dfs, NULL, "dir", R_OK);
    CALL_ERRNO(ENOENT, dfs_access, dfs, NULL, "none", R_OK);
    CALL_ERRNO(EINVAL, dfs_access, NULL, NULL, "dir", R_OK);
    CALL_OK(dfs_mkdir, dfs, obj, "sub", 0755, 0);
    CALL_ERRNO(ENOTEMPTY, dfs_remove, dfs, NULL, "dir", false, NULL);
    CALL_ERRNO(ENOENT, dfs_remove, dfs, NULL, "none", false, NULL);
    CALL_ERRNO(EINVAL, dfs_remove, dfs, NULL, NULL, false, NULL);
    CALL_ERRNO(EPERM, dfs_remove, ro, NULL, "dir", true, NULL);
    CALL_OK(dfs_move, dfs, obj, "sub", NULL, "moved", NULL);
    CALL_ERRNO(ENOENT, dfs_move, dfs, obj, "sub", NULL, "moved", NULL);
    CALL_ERRNO(EINVAL, dfs_move, dfs, obj, NULL, NULL, "moved", NULL);
    CALL_ERRNO(EPERM, dfs_move, ro, NULL, "moved", NULL, "again", NULL);
    CALL_OK(dfs_remove, dfs, NULL, "moved", false, NULL);
    CALL_OK(dfs_sync, dfs);
    CALL_ERRNO(EINVAL, dfs_sync, NULL);
    CALL_OK(dfs_release, obj);
    CALL_OK(dfs_set_prefix, dfs, "/mnt/x");
    CALL_OK(dfs_lookup, dfs, "/mnt/x/dir", O_RDWR, &obj, &mode, NULL);
    CALL_OK(dfs_release, obj);
    CALL_ERRNO(EINVAL, dfs_set_prefix, dfs, "relative");
    CALL_OK(dfs_set_prefix, dfs, NULL);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------- */

static void
calls_open(dfs_t *dfs, dfs_t *ro, dfs_obj_t **ret_file)
{
    mode_t mode = S_IFREG | 0644;
    dfs_obj_t *obj;

    CALL_OK(dfs_open, dfs, NULL, "file", mode, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, ret_file);
    CALL_ERRNO(
        EEXIST, dfs_open, dfs, NULL, "file", mode, O_RDWR | O_CREAT | O_EXCL, 0, 0, NULL, &obj);
    CALL_ERRNO(ENOENT, dfs_open, dfs, NULL, "none", mode, O_RDWR, 0, 0, NULL, &obj);
    CALL_ERRNO(EINVAL, dfs_open, dfs, NULL, NULL, mode, O_RDWR, 0, 0, NULL, &obj);
    CALL_ERRNO(ENOTDIR, dfs_open, dfs, *ret_file, "below", mode, O_RDWR | O_CREAT, 0, 0, NULL, &obj);
    CALL_ERRNO(EPERM, dfs_open, ro, NULL, "new", mode, O_RDWR | O_CREAT, 0, 0, NULL, &obj);
    CALL_ERRNO(EACCES, dfs_access, dfs, NULL, "file", X_OK);
}

static void
calls_io(dfs_t *dfs, dfs_t *ro, dfs_obj_t *file)
{
    char buf[16] = "fifteen bytes..";
    d_iov_t iov = {buf, 15, 15};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_range_t range = {.rg_idx = 100, .rg_len = 15};
    dfs_iod_t iod = {.iod_nr = 1, .iod_rgs = &range};
    daos_size_t size = 0;
    dfs_obj_t *ro_file;

    EXPECT_EQ(dfs_open(ro, NULL, "file", S_IFREG, O_RDONLY, 0, 0, NULL, &ro_file), 0);
    CALL_OK(dfs_write, dfs, file, &sgl, 0, EV);
    CALL_ERRNO(EINVAL, dfs_write, dfs, file, NULL, 0, EV);
    CALL_ERRNO(EPERM, dfs_write, ro, ro_file, &sgl, 0, EV);
    CALL_OK(dfs_writex, dfs, file, &iod, &sgl, EV);
    CALL_ERRNO(EINVAL, dfs_writex, dfs, file, NULL, &sgl, EV);
    CALL_ERRNO(EPERM, dfs_writex, ro, ro_file, &iod, &sgl, EV);
    CALL_OK(dfs_read, dfs, file, &sgl, 100, &size, EV);
    EXPECT_EQ(size, 15);
    CALL_ERRNO(EINVAL, dfs_read, dfs, file, &sgl, 100, NULL, EV);
    CALL_OK(dfs_readx, dfs, file, &iod, &sgl, &size, EV);
    CALL_ERRNO(EINVAL, dfs_readx, dfs, file, NULL, &sgl, &size, EV);
    CALL_OK(dfs_get_size, dfs, file, &size);
    EXPECT_EQ(size, 115);
    CALL_ERRNO(EINVAL, dfs_get_size, dfs, file, NULL);
    CALL_OK(dfs_punch, dfs, file, 10, DFS_MAX_FSIZE);
    CALL_ERRNO(EINVAL, dfs_punch, dfs, NULL, 10, DFS_MAX_FSIZE);
    CALL_ERRNO(EPERM, dfs_punch, ro, ro_file, 10, DFS_MAX_FSIZE);
    CALL_OK(dfs_get_size, dfs, file, &size);
    EXPECT_EQ(size, 10);
    CALL_OK(dfs_release, ro_file);
}

void
api_calls_files(struct api_store *store)
{
    struct duns_attr_t attr = {0};
    dfs_t *dfs, *ro;
    dfs_obj_t *file = NULL;
    daos_handle_t coh, lent;

    calls_connect(store);
    if (!CALL_OK(dfs_cont_create_with_label, store->poh, "tree", NULL, NULL, &coh, &dfs) ||
        !CALL_OK(dfs_mount, store->poh, coh, O_RDONLY, &ro))
        return;
    calls_names(dfs, ro);
    calls_open(dfs, ro, &file);
    calls_io(dfs, ro, file);
    calls_share(store, coh, dfs, file);
    CALL_OK(dfs_release, file);
    CALL_OK(dfs_umount, ro);
    EXPECT_EQ(dfs_cont_get(dfs, &lent), 0);
    CALL_ERRNO(EBUSY, dfs_umount, dfs);
    EXPECT_EQ(dfs_cont_put(dfs, lent), 0);
    EXPECT_EQ(dfs_cont_put(dfs, lent), EINVAL);
    CALL_OK(dfs_umount, dfs);
    CALL_ERRNO(EINVAL, dfs_umount, NULL);
    EXPECT_OK(daos_cont_close(coh, NULL));
    if (CALL_OK(duns_resolve_path, "daos://tank/tree/dir/file", &attr)) {
        EXPECT_STR_EQ(attr.da_pool, "tank");
        EXPECT_STR_EQ(attr.da_rel_path, "/dir/file");
        duns_destroy_attr(&attr);
        CALL_IS(duns_destroy_attr, attr.da_rel_path == NULL);
    }
    CALL_ERRNO(EINVAL, duns_resolve_path, NULL, &attr);
    CALL_ERRNO(ENODATA, duns_resolve_path, test_tmpdir(), &attr);
}

/* ---- gurt ---------------------------------------------------------------------------------------------------------------------- */

struct entry {
    d_list_t link;
    int ref_nr;
};

static bool
entry_cmp(struct d_hash_table *table, d_list_t *link, const void *key, unsigned int bytes)
{
    (void)table;
    (void)link;
    return bytes == 3 && memcmp(key, "key", 3) == 0;
}

static void
entry_addref(struct d_hash_table *table, d_list_t *link)
{
    (void)table;
    d_list_entry(link, struct entry, link)->ref_nr++;
}

static bool
entry_decref(struct d_hash_table *table, d_list_t *link)
{
    (void)table;
    return --d_list_entry(link, struct entry, link)->ref_nr == 0;
}

void
api_calls_gurt(void)
{
    d_hash_table_ops_t ops = {
        .hop_key_cmp = entry_cmp, .hop_rec_addref = entry_addref, .hop_rec_decref = entry_decref};
    struct entry entry = {.ref_nr = 1}, second = {.ref_nr = 1};
    struct d_hash_table *table;
    bool flag = false;

    CALL_ERR(INVAL, d_hash_table_create, 0, 4, NULL, NULL, &table);
    if (!CALL_OK(d_hash_table_create, D_HASH_FT_NOLOCK, 4, NULL, &ops, &table))
        return;
    CALL_IS(d_hash_string_u32, d_hash_string_u32("key", 3) == d_hash_string_u32("keys", 3));
    CALL_OK(d_hash_rec_insert, table, "key", 3, &entry.link, true);
    CALL_ERR(EXIST, d_hash_rec_insert, table, "key", 3, &second.link, true);
    CALL_IS(d_hash_rec_find, d_hash_rec_find(table, "key", 3) == &entry.link);
    d_hash_rec_decref(table, &entry.link);
    CALL_IS(d_hash_rec_decref, entry.ref_nr == 2);
    CALL_IS(d_hash_rec_first, d_hash_rec_first(table) == &entry.link);
    CALL_IS(d_hash_rec_unlinked, !d_hash_rec_unlinked(&entry.link));
    CALL_ERR(BUSY, d_hash_table_destroy, table, false);
    EXPECT(d_hash_rec_delete(table, "key", 3));
    CALL_OK(d_hash_table_destroy, table, false);
    setenv("API_CALLS_FLAG", "1", 1);
    d_getenv_bool("API_CALLS_FLAG", &flag);
    CALL_IS(d_getenv_bool, flag);
}
