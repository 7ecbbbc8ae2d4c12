/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what libdfs stores is the layout of docs/format/dfs.md, byte for byte, so that data and tools of the original's layout fit.
 * Method: make things through libdfs, read the raw objects through daos_obj_*() and compare; write raw entries and see libdfs read them.
 */
#include "base/codec.h"
#include "dfs/dfs_fix.h"

#define S1_BITS (UINT64_C(1) << 48 | UINT64_C(1) << 32)

/* One value of an object as it is stored. */
static int
value_get(daos_handle_t oh, const char *dkey_text, const char *akey, void *buf, size_t room,
    size_t *ret_len)
{
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_iod_t iod = {.iod_type = DAOS_IOD_SINGLE, .iod_nr = 1};
    int rc;

    d_iov_set(&dkey, (void *)(uintptr_t)dkey_text, strlen(dkey_text));
    d_iov_set(&iod.iod_name, (void *)(uintptr_t)akey, strlen(akey));
    d_iov_set(&iov, buf, room);
    rc = daos_obj_fetch(oh, DAOS_TX_NONE, DAOS_COND_AKEY_FETCH, &dkey, 1, &iod, &sgl, NULL, NULL);
    *ret_len = iod.iod_size;
    return rc;
}

static int
inode_io(daos_handle_t oh, const char *name, uint8_t *inode, bool is_update, uint64_t *ret_size)
{
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_recx_t recx = {.rx_idx = 0, .rx_nr = 88};
    daos_iod_t iod = {.iod_type = DAOS_IOD_ARRAY, .iod_nr = 1, .iod_size = 1, .iod_recxs = &recx};
    int rc;

    d_iov_set(&dkey, (void *)(uintptr_t)name, strlen(name));
    d_iov_set(&iod.iod_name, (void *)(uintptr_t) "DFS_INODE", 9);
    d_iov_set(&iov, inode, 88);
    if (is_update)
        return daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL);
    rc = daos_obj_fetch(oh, DAOS_TX_NONE, DAOS_COND_DKEY_FETCH, &dkey, 1, &iod, &sgl, NULL, NULL);
    *ret_size = iov.iov_len;
    return rc;
}

/* ---- superblock ----------------------------------------------------------------------------------------------------------- */

static void
superblock_body(struct fix *fix)
{
    static const struct {
        const char *akey;
        size_t len;
        uint64_t value;
    } rows[] = {
        {"DFS_MAGIC", 8, UINT64_C(0xda05df50da05df50)},
        {"DFS_SB_VERSION", 2, 2},
        {"DFS_LAYOUT_VERSION", 2, 3},
        {"DFS_CHUNK_SIZE", 8, 1 << 20},
        {"DFS_OBJ_CLASS", 4, 0},
        {"DFS_DIR_OBJ_CLASS", 4, 0},
        {"DFS_FILE_OBJ_CLASS", 4, 0},
        {"DFS_MODE", 4, 0},
    };
    daos_prop_t *prop = daos_prop_alloc(2);
    struct daos_prop_co_roots *roots;
    uint8_t buf[256], zeros[128] = {0}, inode[88];
    daos_handle_t oh;
    uint64_t size;
    size_t len;

    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LAYOUT_TYPE;
    prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_ROOTS;
    EXPECT_OK(daos_cont_query(fix->coh, NULL, prop, NULL));
    EXPECT_EQ(prop->dpp_entries[0].dpe_val, 1);
    roots = prop->dpp_entries[1].dpe_val_ptr;
    EXPECT_EQ(roots->cr_oids[0].lo, 0);
    EXPECT_EQ(roots->cr_oids[0].hi, S1_BITS);
    EXPECT_EQ(roots->cr_oids[1].lo, 0);
    EXPECT_EQ(roots->cr_oids[1].hi, S1_BITS | 1);
    EXPECT_OK(daos_obj_open(fix->coh, roots->cr_oids[0], DAOS_OO_RO, &oh, NULL));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t want[8];

        le64_put(want, rows[i].value);
        if (EXPECT_OK(value_get(oh, "DFS_SB_METADATA", rows[i].akey, buf, sizeof(buf), &len)) &&
            EXPECT_EQ(len, rows[i].len))
            EXPECT_MEM_EQ(buf, want, len);
    }
    EXPECT_OK(value_get(oh, "DFS_SB_METADATA", "DFS_HINTS", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 128);
    EXPECT_MEM_EQ(buf, zeros, 128);
    EXPECT_OK(inode_io(oh, "/", inode, false, &size));
    EXPECT_EQ(size, 88);
    EXPECT_EQ(le32_get(inode), S_IFDIR | 0755);
    EXPECT_EQ(le64_get(inode + 4), 0);
    EXPECT_EQ(le64_get(inode + 12), S1_BITS | 1);
    EXPECT_OK(daos_obj_close(oh, NULL));
    daos_prop_free(prop);
}

TEST_ON(dfs_layout, superblock, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(superblock_body);
}

static void
attributes_body(struct fix *fix)
{
    dfs_attr_t attr = {
        .da_chunk_size = 4096, .da_file_oclass_id = OC_S2, .da_hints = "dir:single,file:max"};
    dfs_attr_t back;
    daos_handle_t coh;
    dfs_obj_t *obj;
    daos_obj_id_t oid;
    uuid_t uuid;
    dfs_t *dfs;

    if (!EXPECT_EQ(dfs_cont_create(fix->poh, &uuid, &attr, &coh, &dfs), 0))
        return;
    EXPECT_EQ(dfs_query(dfs, &back), 0);
    EXPECT_EQ(back.da_chunk_size, 4096);
    EXPECT_EQ(back.da_file_oclass_id, OC_S2);
    EXPECT_EQ(back.da_dir_oclass_id, OC_S1);
    EXPECT_STR_EQ(back.da_hints, "dir:single,file:max");
    EXPECT_EQ(dfs_open(dfs, NULL, "f", S_IFREG | 0600, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    EXPECT_EQ(dfs_obj2id(obj, &oid), 0);
    EXPECT_EQ(daos_obj_id2class(oid), OC_S2);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_umount(dfs), 0);
    EXPECT_OK(daos_cont_close(coh, NULL));
    strcpy(attr.da_hints, "dir:huge");
    attr.da_dir_oclass_id = 0;
    EXPECT_EQ(dfs_cont_create_with_label(fix->poh, "bad", &attr, NULL, NULL, NULL), EINVAL);
    EXPECT_ERR(daos_cont_open(fix->poh, "bad", DAOS_COO_RO, &coh, NULL, NULL), NONEXIST);
    attr.da_hints[0] = '\0';
    attr.da_mode = DFS_BALANCED;
    EXPECT_EQ(dfs_cont_create(fix->poh, NULL, &attr, NULL, NULL), ENOTSUP);
    EXPECT_EQ(dfs_cont_create(fix->poh, NULL, NULL, NULL, &dfs), EINVAL);
    EXPECT_EQ(dfs_cont_create_with_label(fix->poh, "tree", NULL, NULL, NULL, NULL), EEXIST);
}

TEST_ON(dfs_layout, attributes_of_a_file_system, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(attributes_body);
}

/* ---- entries -------------------------------------------------------------------------------------------------------------- */

static void
entries_body(struct fix *fix)
{
    static const struct {
        uint64_t off, bytes;
    } gaps[] = {{20, 16}, {48, 16}}; /* times */
    daos_obj_id_t root = {.lo = 0, .hi = S1_BITS | 1}, oid;
    uint8_t inode[88], want[88] = {0};
    char target[64];
    struct stat st;
    dfs_obj_t *obj;
    daos_handle_t oh;
    uint64_t size;
    size_t len;

    EXPECT_OK(daos_obj_open(fix->coh, root, DAOS_OO_RW, &oh, NULL));
    /* a file: chunk size as asked, times as stat shows them */
    EXPECT_EQ(
        dfs_open(fix->dfs, NULL, "file", S_IFREG | 0640, O_RDWR | O_CREAT, OC_S1, 8192, NULL, &obj),
        0);
    EXPECT_EQ(dfs_obj2id(obj, &oid), 0);
    EXPECT_EQ(daos_obj_id2type(oid), DAOS_OT_ARRAY_BYTE);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "file", &st), 0);
    EXPECT_OK(inode_io(oh, "file", inode, false, &size));
    EXPECT_EQ(size, 88);
    le32_put(want, S_IFREG | 0640);
    le64_put(want + 4, oid.lo);
    le64_put(want + 12, oid.hi);
    le64_put(want + 20, (uint64_t)st.st_mtim.tv_sec);
    le64_put(want + 28, (uint64_t)st.st_ctim.tv_sec);
    le64_put(want + 36, 8192);
    le64_put(want + 48, (uint64_t)st.st_mtim.tv_nsec);
    le64_put(want + 56, (uint64_t)st.st_ctim.tv_nsec);
    le32_put(want + 64, geteuid());
    le32_put(want + 68, getegid());
    EXPECT_MEM_EQ(inode, want, 88);
    /* a link: its target in another akey, its length in the entry */
    EXPECT(fix_link(fix->dfs, NULL, "link", "a/target"));
    EXPECT_OK(inode_io(oh, "link", inode, false, &size));
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        memset(inode + gaps[i].off, 0, gaps[i].bytes);
    }
    memset(want, 0, sizeof(want));
    le32_put(want, S_IFLNK | 0777);
    le32_put(want + 64, geteuid());
    le32_put(want + 68, getegid());
    le64_put(want + 72, 8);
    EXPECT_MEM_EQ(inode, want, 88);
    EXPECT_OK(value_get(oh, "link", "DFS_SLINK", target, sizeof(target), &len));
    EXPECT_EQ(len, 8);
    EXPECT_MEM_EQ(target, "a/target", 8);
    /* a directory, with an extended attribute */
    EXPECT_EQ(dfs_mkdir(fix->dfs, NULL, "dir", 0711, 0), 0);
    EXPECT_OK(inode_io(oh, "dir", inode, false, &size));
    EXPECT_EQ(le32_get(inode), S_IFDIR | 0711);
    EXPECT_EQ(le64_get(inode + 12) >> 56, DAOS_OT_MULTI_HASHED);
    EXPECT_EQ(le64_get(inode + 12) >> 32 & 0xffff, 1); /* one group */
    EXPECT_EQ(dfs_lookup(fix->dfs, "/dir", O_RDWR, &obj, NULL, NULL), 0);
    EXPECT_EQ(dfs_setxattr(fix->dfs, obj, "user.x", "val", 3, 0), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_OK(value_get(oh, "dir", "x:user.x", target, sizeof(target), &len));
    EXPECT_EQ(len, 3);
    EXPECT_MEM_EQ(target, "val", 3);
    EXPECT_OK(daos_obj_close(oh, NULL));
}

TEST_ON(dfs_layout, entries, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(entries_body);
}

static void
file_data_body(struct fix *fix)
{
    char data[10000], back[4096];
    daos_obj_id_t oid;
    daos_handle_t oh;
    dfs_obj_t *obj;

    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)(i * 7 + i / 256);
    }
    EXPECT_EQ(
        dfs_open(fix->dfs, NULL, "f", S_IFREG | 0600, O_RDWR | O_CREAT, 0, 4096, NULL, &obj), 0);
    EXPECT_EQ(fix_write(fix->dfs, obj, 100, data, sizeof(data)), 0);
    EXPECT_EQ(dfs_obj2id(obj, &oid), 0);
    EXPECT_EQ(dfs_release(obj), 0);
    EXPECT_OK(daos_obj_open(fix->coh, oid, DAOS_OO_RO, &oh, NULL));
    for (uint64_t chunk = 0; chunk < 3; chunk++) { /* offset / chunk + 1, index within the chunk */
        uint64_t dkey_value = chunk + 1, from = chunk == 0 ? 100 : 0;
        uint64_t len = chunk == 2 ? 100 + sizeof(data) - 2 * 4096 : 4096 - from;
        daos_recx_t recx = {.rx_idx = from, .rx_nr = len};
        daos_iod_t iod = {.iod_type = DAOS_IOD_ARRAY, .iod_nr = 1, .iod_size = 1, .iod_recxs = &recx};
        d_iov_t dkey, iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

        d_iov_set(&dkey, &dkey_value, 8);
        d_iov_set(&iod.iod_name, (void *)(uintptr_t) "0", 1);
        d_iov_set(&iov, back, len);
        EXPECT_OK(daos_obj_fetch(
            oh, DAOS_TX_NONE, DAOS_COND_AKEY_FETCH, &dkey, 1, &iod, &sgl, NULL, NULL));
        EXPECT_EQ(iov.iov_len, len);
        EXPECT_MEM_EQ(back, data + chunk * 4096 + from - 100, len);
    }
    EXPECT_OK(daos_obj_close(oh, NULL));
}

TEST_ON(dfs_layout, data_of_a_file, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(file_data_body);
}

/* ---- what others wrote ------------------------------------------------------------------------------------------------------- */

static void
foreign_body(struct fix *fix)
{
    daos_obj_id_t root = {.lo = 0, .hi = S1_BITS | 1};
    uint8_t inode[88] = {0};
    struct stat st;
    daos_handle_t oh;
    dfs_obj_t *obj;
    dfs_t *dfs;

    EXPECT_OK(daos_obj_open(fix->coh, root, DAOS_OO_RW, &oh, NULL));
    le32_put(inode, S_IFDIR | 0700);
    le64_put(inode + 4, 77);
    le64_put(inode + 12, S1_BITS | 5);
    le64_put(inode + 20, 1000000001);
    le64_put(inode + 28, 1000000002);
    le64_put(inode + 36, 65536);
    le32_put(inode + 44, OC_SX);
    le64_put(inode + 48, 3);
    le64_put(inode + 56, 4);
    le32_put(inode + 64, 1234);
    le32_put(inode + 68, 5678);
    EXPECT_OK(inode_io(oh, "theirs", inode, true, NULL));
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "theirs", &st), 0);
    EXPECT_EQ(st.st_mode, S_IFDIR | 0700);
    EXPECT_EQ(st.st_uid, 1234);
    EXPECT_EQ(st.st_gid, 5678);
    EXPECT_EQ(st.st_mtim.tv_sec, 1000000001);
    EXPECT_EQ(st.st_mtim.tv_nsec, 3);
    EXPECT_EQ(st.st_ctim.tv_sec, 1000000002);
    EXPECT_EQ(st.st_ctim.tv_nsec, 4);
    EXPECT_EQ(dfs_lookup(fix->dfs, "/theirs", O_RDWR, &obj, NULL, NULL), 0);
    EXPECT(fix_file(fix->dfs, obj, "in it", "x", 1));
    EXPECT_EQ(dfs_release(obj), 0);
    /* damaged ones are told from absent ones, and harm nothing else */
    le32_put(inode, 0644);
    EXPECT_OK(inode_io(oh, "no type", inode, true, NULL));
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "no type", &st), EIO);
    le32_put(inode, S_IFLNK | 0777);
    le64_put(inode + 72, 10);
    EXPECT_OK(inode_io(oh, "no target", inode, true, NULL));
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "no target", &st), EIO);
    EXPECT_EQ(dfs_stat(fix->dfs, NULL, "theirs", &st), 0);
    EXPECT_OK(daos_obj_close(oh, NULL));
    /* containers that hold no file system */
    EXPECT_OK(daos_cont_create_with_label(fix->poh, "plain", NULL, NULL, NULL));
    EXPECT_OK(daos_cont_open(fix->poh, "plain", DAOS_COO_RW, &oh, NULL, NULL));
    EXPECT_EQ(dfs_mount(fix->poh, oh, O_RDWR, &dfs), EINVAL);
    EXPECT_OK(daos_cont_close(oh, NULL));
}

TEST_ON(dfs_layout, what_others_wrote, BACKEND_LINUX | BACKEND_SIM)
{
    fix_run(foreign_body);
}
