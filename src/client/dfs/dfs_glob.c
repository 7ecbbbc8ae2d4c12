/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Mounts and files as bytes for other processes, as daos_pool_local2global() does for pools. Opening one takes no request. All numbers little-endian; the bytes pass between
 * processes of one build and are never stored:
 *
 *   mount   magic u32, version u32, amode u32, chunk u64, three classes u32, mode u32, hints[128], superblock oid, root oid, root's DFS_INODE[88], crc32c u32
 *   file    magic u32, version u32, flags u32, oid of the parent, DFS_INODE[88], name length u16, name[255], crc32c u32
 *   all     magic u32, version u32, three lengths u64: pool, container, mount; then these three
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
    GLOB_MOUNT_MAGIC = 0x4d464443,
    GLOB_FILE_MAGIC = 0x46464443,
    GLOB_ALL_MAGIC = 0x41464443,
    GLOB_VERSION = 2,
    GLOB_MOUNT_BYTES = 4 * 3 + 8 + 4 * 4 + DAOS_CONT_HINT_MAX_LEN + 16 * 2 + DFS_INODE_BYTES + 4,
    GLOB_FILE_BYTES = 4 * 3 + 16 + DFS_INODE_BYTES + 2 + DFS_NAME_BYTES_MAX + 4,
    GLOB_ALL_HEAD_BYTES = 4 * 2 + 8 * 3,
};

/* ---- a cursor without checks: sizes are fixed ------------------------------------------------------------------------------ */

static void
put32(uint8_t **pos, uint32_t v)
{
    le32_put(*pos, v);
    *pos += 4;
}

static void
put64(uint8_t **pos, uint64_t v)
{
    le64_put(*pos, v);
    *pos += 8;
}

static void
put_oid(uint8_t **pos, daos_obj_id_t oid)
{
    put64(pos, oid.lo);
    put64(pos, oid.hi);
}

static uint32_t
get32(const uint8_t **pos)
{
    uint32_t v = le32_get(*pos);

    *pos += 4;
    return v;
}

static uint64_t
get64(const uint8_t **pos)
{
    uint64_t v = le64_get(*pos);

    *pos += 8;
    return v;
}

static daos_obj_id_t
get_oid(const uint8_t **pos)
{
    daos_obj_id_t oid = {.lo = get64(pos)};

    oid.hi = get64(pos);
    return oid;
}

/* Tell the size when there is no buffer, refuse one that is too small. True: go on. */
static bool
glob_wants(d_iov_t *glob, size_t bytes, int *ret_rc)
{
    bool has_room = glob->iov_buf != NULL && glob->iov_buf_len >= bytes;

    *ret_rc = glob->iov_buf == NULL || has_room ? 0 : EINVAL;
    if (!has_room)
        glob->iov_buf_len = bytes;
    return has_room;
}

/* The checksum of all before goes to the end. */
static void
seal(d_iov_t *glob, size_t bytes)
{
    le32_put((uint8_t *)glob->iov_buf + bytes - 4, crc32c(0, glob->iov_buf, bytes - 4));
    glob->iov_len = bytes;
}

static bool
is_sealed(const d_iov_t *glob, size_t bytes)
{
    return glob->iov_buf != NULL && glob->iov_len >= bytes &&
        le32_get((const uint8_t *)glob->iov_buf + bytes - 4) == crc32c(0, glob->iov_buf, bytes - 4);
}

static bool
head_is_ours(const uint8_t **pos, uint32_t magic)
{
    return get32(pos) == magic && get32(pos) == GLOB_VERSION;
}

/* ---- mounts ------------------------------------------------------------------------------------------------------------- */

int
dfs_local2global(dfs_t *dfs, d_iov_t *glob)
{
    uint8_t *pos;
    int rc;

    if (dfs == NULL || glob == NULL)
        return EINVAL;
    if (daos_handle_is_valid(dfs->live_coh))
        return ENOTSUP; /* of a snapshot: who got it would see the newest state */
    if (!glob_wants(glob, GLOB_MOUNT_BYTES, &rc))
        return rc;
    pos = glob->iov_buf;
    put32(&pos, GLOB_MOUNT_MAGIC);
    put32(&pos, GLOB_VERSION);
    put32(&pos, (uint32_t)dfs->amode);
    put64(&pos, dfs->attr.da_chunk_size);
    put32(&pos, dfs->attr.da_oclass_id);
    put32(&pos, dfs->attr.da_dir_oclass_id);
    put32(&pos, dfs->attr.da_file_oclass_id);
    put32(&pos, dfs->attr.da_mode);
    memcpy(pos, dfs->attr.da_hints, sizeof(dfs->attr.da_hints));
    pos += sizeof(dfs->attr.da_hints);
    put_oid(&pos, dfs->super_oid);
    put_oid(&pos, dfs->root_oid);
    dfs_entry_encode(&dfs->root->entry, pos);
    seal(glob, GLOB_MOUNT_BYTES);
    return 0;
}

int
dfs_global2local(daos_handle_t poh, daos_handle_t coh, int flags, d_iov_t glob, dfs_t **ret_dfs)
{
    struct daos_prop_co_roots roots = {0};
    struct dfs_entry root;
    dfs_attr_t attr = {0};
    const uint8_t *pos = glob.iov_buf;
    int amode;

    if (ret_dfs == NULL || !is_sealed(&glob, GLOB_MOUNT_BYTES) ||
        !head_is_ours(&pos, GLOB_MOUNT_MAGIC))
        return EINVAL;
    amode = (int)get32(&pos);
    if ((flags & O_ACCMODE) != 0)
        amode = flags & O_ACCMODE;
    attr.da_chunk_size = get64(&pos);
    attr.da_oclass_id = get32(&pos);
    attr.da_dir_oclass_id = get32(&pos);
    attr.da_file_oclass_id = get32(&pos);
    attr.da_mode = get32(&pos);
    memcpy(attr.da_hints, pos, sizeof(attr.da_hints));
    attr.da_hints[sizeof(attr.da_hints) - 1] = '\0';
    pos += sizeof(attr.da_hints);
    roots.cr_oids[0] = get_oid(&pos);
    roots.cr_oids[1] = get_oid(&pos);
    if (dfs_entry_decode(pos, &root) != 0 || !S_ISDIR(root.mode) || attr.da_chunk_size == 0 ||
        (amode != O_RDONLY && amode != O_RDWR))
        return EINVAL;
    return dfs_mount_with(poh, coh, amode, &attr, &roots, &root, ret_dfs);
}

/* ---- mounts with their handles ------------------------------------------------------------------------------------------------ */

int
dfs_local2global_all(dfs_t *dfs, d_iov_t *glob)
{
    d_iov_t pool = {0}, cont = {0}, mount = {0};
    uint8_t *pos;
    int rc;

    if (dfs == NULL || glob == NULL)
        return EINVAL;
    rc = err_to_errno(daos_pool_local2global(dfs->poh, &pool)); /* sizes first */
    if (rc == 0)
        rc = err_to_errno(daos_cont_local2global(dfs->coh, &cont));
    if (rc != 0)
        return rc;
    if (!glob_wants(glob,
            GLOB_ALL_HEAD_BYTES + pool.iov_buf_len + cont.iov_buf_len + GLOB_MOUNT_BYTES, &rc))
        return rc;
    pos = (uint8_t *)glob->iov_buf + GLOB_ALL_HEAD_BYTES;
    d_iov_set(&pool, pos, pool.iov_buf_len);
    d_iov_set(&cont, pos + pool.iov_buf_len, cont.iov_buf_len);
    rc = err_to_errno(daos_pool_local2global(dfs->poh, &pool));
    if (rc == 0)
        rc = err_to_errno(daos_cont_local2global(dfs->coh, &cont));
    if (rc != 0)
        return rc;
    memmove(pos + pool.iov_len, cont.iov_buf, cont.iov_len);
    d_iov_set(&mount, pos + pool.iov_len + cont.iov_len, GLOB_MOUNT_BYTES);
    rc = dfs_local2global(dfs, &mount);
    if (rc != 0)
        return rc;
    pos = glob->iov_buf;
    put32(&pos, GLOB_ALL_MAGIC);
    put32(&pos, GLOB_VERSION);
    put64(&pos, pool.iov_len);
    put64(&pos, cont.iov_len);
    put64(&pos, mount.iov_len);
    glob->iov_len = GLOB_ALL_HEAD_BYTES + pool.iov_len + cont.iov_len + mount.iov_len;
    return 0;
}

int
dfs_global2local_all(int flags, d_iov_t glob, dfs_t **ret_dfs)
{
    const uint8_t *pos = glob.iov_buf;
    uint64_t left = glob.iov_len - GLOB_ALL_HEAD_BYTES, lens[3];
    daos_handle_t poh = DAOS_HDL_INVAL, coh = DAOS_HDL_INVAL;
    d_iov_t parts[3];
    struct dfs *dfs;
    int rc;

    if (ret_dfs == NULL || pos == NULL || glob.iov_len < GLOB_ALL_HEAD_BYTES ||
        !head_is_ours(&pos, GLOB_ALL_MAGIC))
        return EINVAL;
    for (int i = 0; i < 3; i++) {
        lens[i] = get64(&pos);
    }
    for (int i = 0; i < 3; i++) {
        if (lens[i] > left)
            return EINVAL;
        d_iov_set(&parts[i], (void *)(uintptr_t)pos, lens[i]);
        pos += lens[i];
        left -= lens[i];
    }
    rc = err_to_errno(daos_pool_global2local(parts[0], &poh));
    if (rc == 0)
        rc = err_to_errno(daos_cont_global2local(poh, parts[1], &coh));
    if (rc == 0)
        rc = dfs_global2local(poh, coh, flags, parts[2], &dfs);
    if (rc != 0) {
        if (daos_handle_is_valid(coh))
            CAIRN_IGNORE(daos_cont_close(coh, NULL)); /* the first error is the one to tell */
        if (daos_handle_is_valid(poh))
            CAIRN_IGNORE(daos_pool_disconnect(poh, NULL)); /* likewise */
        return rc;
    }
    dfs->owns_handles = true;
    *ret_dfs = dfs;
    return 0;
}

/* ---- files -------------------------------------------------------------------------------------------------------------- */

int
dfs_obj_local2global(dfs_t *dfs, dfs_obj_t *obj, d_iov_t *glob)
{
    size_t name_len;
    uint8_t *pos;
    int rc;

    if (dfs == NULL || obj == NULL || glob == NULL || !S_ISREG(obj->entry.mode))
        return EINVAL;
    if (!glob_wants(glob, GLOB_FILE_BYTES, &rc))
        return rc;
    name_len = strlen(obj->name);
    pos = glob->iov_buf;
    put32(&pos, GLOB_FILE_MAGIC);
    put32(&pos, GLOB_VERSION);
    put32(&pos, (uint32_t)obj->flags);
    put_oid(&pos, obj->parent_oid);
    dfs_entry_encode(&obj->entry, pos);
    pos += DFS_INODE_BYTES;
    le16_put(pos, (uint16_t)name_len);
    memset(pos + 2, 0, DFS_NAME_BYTES_MAX);
    memcpy(pos + 2, obj->name, name_len);
    seal(glob, GLOB_FILE_BYTES);
    return 0;
}

int
dfs_obj_global2local(dfs_t *dfs, int flags, d_iov_t glob, dfs_obj_t **ret_obj)
{
    char name[DFS_NAME_BYTES_MAX + 1];
    struct dfs_entry entry;
    const uint8_t *pos = glob.iov_buf;
    daos_obj_id_t parent_oid;
    uint16_t name_len;
    int obj_flags;

    if (dfs == NULL || ret_obj == NULL || !is_sealed(&glob, GLOB_FILE_BYTES) ||
        !head_is_ours(&pos, GLOB_FILE_MAGIC))
        return EINVAL;
    obj_flags = (int)get32(&pos);
    parent_oid = get_oid(&pos);
    if (dfs_entry_decode(pos, &entry) != 0 || !S_ISREG(entry.mode))
        return EINVAL;
    pos += DFS_INODE_BYTES;
    name_len = le16_get(pos);
    if (name_len > DFS_NAME_BYTES_MAX)
        return EINVAL;
    memcpy(name, pos + 2, name_len);
    name[name_len] = '\0';
    if (dfs_name_check(name) != 0)
        return EINVAL;
    if (flags != 0)
        obj_flags = flags;
    if ((obj_flags & O_ACCMODE) != O_RDONLY && !dfs_is_writable(dfs))
        return EPERM;
    return dfs_obj_from_entry(dfs, &parent_oid, name, &entry, NULL, obj_flags, ret_obj);
}
