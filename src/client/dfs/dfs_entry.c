/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Directory entries. DFS_INODE is 88 bytes, packed, in host order as the original has it (x86-64 and arm64: little-endian, which is what is written here):
 *
 *      0  u32 mode      4 u64 oid.lo    12 u64 oid.hi   20 u64 mtime s   28 u64 ctime s   36 u64 chunk size
 *     44  u32 class    48 u64 mtime ns  56 u64 ctime ns  64 u32 uid      68 u32 gid       72 u64 link length   80 u64 object hlc
 *
 * Every function here is one request to the target that holds the name (DFS-1). Tested by test/dfs.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MODE_OFF = 0,
    OID_OFF = 4,
    MTIME_OFF = 20,
    CTIME_OFF = 28,
    CHUNK_OFF = 36,
    OCLASS_OFF = 44,
    MTIME_NS_OFF = 48,
    CTIME_NS_OFF = 56,
    UID_OFF = 64,
    GID_OFF = 68,
    VALUE_LEN_OFF = 72,
    OBJ_HLC_OFF = 80,
};

void
dfs_entry_encode(const struct dfs_entry *entry, uint8_t *buf)
{
    le32_put(buf + MODE_OFF, entry->mode);
    le64_put(buf + OID_OFF, entry->oid.lo);
    le64_put(buf + OID_OFF + 8, entry->oid.hi);
    le64_put(buf + MTIME_OFF, entry->mtime_s);
    le64_put(buf + CTIME_OFF, entry->ctime_s);
    le64_put(buf + CHUNK_OFF, entry->chunk_bytes);
    le32_put(buf + OCLASS_OFF, entry->oclass);
    le64_put(buf + MTIME_NS_OFF, entry->mtime_ns);
    le64_put(buf + CTIME_NS_OFF, entry->ctime_ns);
    le32_put(buf + UID_OFF, entry->uid);
    le32_put(buf + GID_OFF, entry->gid);
    le64_put(buf + VALUE_LEN_OFF, entry->value_len);
    le64_put(buf + OBJ_HLC_OFF, entry->obj_hlc);
}

int
dfs_entry_decode(const uint8_t *buf, struct dfs_entry *ret_entry)
{
    struct dfs_entry entry = {
        .mode = le32_get(buf + MODE_OFF),
        .oid = {.lo = le64_get(buf + OID_OFF), .hi = le64_get(buf + OID_OFF + 8)},
        .mtime_s = le64_get(buf + MTIME_OFF),
        .ctime_s = le64_get(buf + CTIME_OFF),
        .chunk_bytes = le64_get(buf + CHUNK_OFF),
        .oclass = le32_get(buf + OCLASS_OFF),
        .mtime_ns = le64_get(buf + MTIME_NS_OFF),
        .ctime_ns = le64_get(buf + CTIME_NS_OFF),
        .uid = le32_get(buf + UID_OFF),
        .gid = le32_get(buf + GID_OFF),
        .value_len = le64_get(buf + VALUE_LEN_OFF),
        .obj_hlc = le64_get(buf + OBJ_HLC_OFF),
    };

    if (!S_ISREG(entry.mode) && !S_ISDIR(entry.mode) && !S_ISLNK(entry.mode))
        return EIO;
    if (entry.mtime_ns >= 1000000000 || entry.ctime_ns >= 1000000000)
        return EIO;
    if (S_ISLNK(entry.mode) && (entry.value_len == 0 || entry.value_len >= PATH_MAX))
        return EIO;
    *ret_entry = entry;
    return 0;
}

/* The two akeys of an entry as I/O descriptors; link targets are read and written with the entry in one request. */
struct entry_io {
    daos_key_t dkey;
    daos_iod_t iods[2];
    d_sg_list_t sgls[2];
    d_iov_t iovs[2];
    daos_recx_t recx;
    uint8_t inode[DFS_INODE_BYTES];
    char value[PATH_MAX];
};

static void
entry_io_init(struct entry_io *io, const char *name)
{
    d_iov_set(&io->dkey, (void *)(uintptr_t)name, strlen(name));
    memset(io->iods, 0, sizeof(io->iods));
    io->recx = (daos_recx_t){.rx_idx = 0, .rx_nr = DFS_INODE_BYTES};
    d_iov_set(&io->iods[0].iod_name, (void *)(uintptr_t)DFS_INODE_AKEY, strlen(DFS_INODE_AKEY));
    io->iods[0].iod_type = DAOS_IOD_ARRAY;
    io->iods[0].iod_size = 1;
    io->iods[0].iod_nr = 1;
    io->iods[0].iod_recxs = &io->recx;
    d_iov_set(&io->iovs[0], io->inode, sizeof(io->inode));
    d_iov_set(&io->iods[1].iod_name, (void *)(uintptr_t)DFS_SLINK_AKEY, strlen(DFS_SLINK_AKEY));
    io->iods[1].iod_type = DAOS_IOD_SINGLE;
    io->iods[1].iod_size = DAOS_REC_ANY;
    io->iods[1].iod_nr = 1;
    d_iov_set(&io->iovs[1], io->value, sizeof(io->value));
    for (int i = 0; i < 2; i++) {
        io->sgls[i] = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &io->iovs[i]};
    }
}

int
dfs_entry_fetch(daos_handle_t dir_oh, const char *name, struct dfs_entry *ret_entry, char **ret_value)
{
    struct entry_io *io = malloc(sizeof(*io));
    struct dfs_entry entry;
    char *value = NULL;
    int rc;

    if (io == NULL)
        return ENOMEM;
    entry_io_init(io, name);
    rc = err_to_errno(daos_obj_fetch(
        dir_oh, DAOS_TX_NONE, DAOS_COND_DKEY_FETCH, &io->dkey, 2, io->iods, io->sgls, NULL, NULL));
    if (rc != 0)
        goto out;
    if (io->iods[0].iod_size == 0 || io->iovs[0].iov_len != DFS_INODE_BYTES) {
        rc = ENOENT; /* a dkey of something else than an entry */
        goto out;
    }
    rc = dfs_entry_decode(io->inode, &entry);
    if (rc != 0)
        goto out;
    if (S_ISLNK(entry.mode)) {
        if (io->iods[1].iod_size != entry.value_len ||
            memchr(io->value, '\0', entry.value_len) != NULL) {
            rc = EIO;
            goto out;
        }
        if (ret_value != NULL) {
            value = strndup(io->value, entry.value_len);
            if (value == NULL) {
                rc = ENOMEM;
                goto out;
            }
        }
    }
    if (ret_value != NULL)
        *ret_value = value;
    *ret_entry = entry;
out:
    free(io);
    return rc;
}

/* A whole entry. An empty `value` removes the target of a link that was here before (a value of no bytes is none). */
static int
entry_write(daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry,
    const char *value, uint64_t cond)
{
    struct entry_io *io = malloc(sizeof(*io));
    size_t len = value != NULL ? strlen(value) : 0;
    int rc;

    if (io == NULL)
        return ENOMEM;
    CAIRN_ASSERT(len < sizeof(io->value));
    entry_io_init(io, name);
    dfs_entry_encode(entry, io->inode);
    if (value != NULL)
        memcpy(io->value, value, len);
    io->iods[1].iod_size = len;
    d_iov_set(&io->iovs[1], io->value, len);
    rc = err_to_errno(daos_obj_update(
        dir_oh, DAOS_TX_NONE, cond, &io->dkey, value != NULL ? 2 : 1, io->iods, io->sgls, NULL));
    free(io);
    return rc;
}

int
dfs_entry_insert(
    daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry, const char *value)
{
    return entry_write(dir_oh, name, entry, value, DAOS_COND_DKEY_INSERT);
}

int
dfs_entry_replace(
    daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry, const char *value)
{
    return entry_write(dir_oh, name, entry, value, DAOS_COND_DKEY_UPDATE);
}

/* Where the parts of an entry lie; those of one bit next to each other. */
static const struct {
    uint32_t bit;
    uint8_t off, bytes;
} parts[] = {
    {DFS_ENTRY_MODE, MODE_OFF, 4},
    {DFS_ENTRY_MTIME, MTIME_OFF, 8},
    {DFS_ENTRY_CTIME, CTIME_OFF, 8},
    {DFS_ENTRY_CHUNK, CHUNK_OFF, 8},
    {DFS_ENTRY_OCLASS, OCLASS_OFF, 4},
    {DFS_ENTRY_MTIME, MTIME_NS_OFF, 8},
    {DFS_ENTRY_CTIME, CTIME_NS_OFF, 8},
    {DFS_ENTRY_UID, UID_OFF, 4},
    {DFS_ENTRY_GID, GID_OFF, 4},
    {DFS_ENTRY_MTIME, OBJ_HLC_OFF, 8},
};

int
dfs_entry_update(daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry, uint32_t mask)
{
    uint8_t inode[DFS_INODE_BYTES], bytes[DFS_INODE_BYTES];
    daos_recx_t recxs[ARRAY_SIZE(parts)];
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_iod_t iod = {.iod_type = DAOS_IOD_ARRAY, .iod_size = 1, .iod_recxs = recxs};
    size_t len = 0;

    dfs_entry_encode(entry, inode);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        daos_recx_t *last = iod.iod_nr > 0 ? &recxs[iod.iod_nr - 1] : NULL;

        if ((mask & parts[i].bit) == 0)
            continue;
        memcpy(bytes + len, inode + parts[i].off, parts[i].bytes);
        len += parts[i].bytes;
        if (last != NULL && last->rx_idx + last->rx_nr == parts[i].off) {
            last->rx_nr += parts[i].bytes;
        } else {
            recxs[iod.iod_nr++] = (daos_recx_t){.rx_idx = parts[i].off, .rx_nr = parts[i].bytes};
        }
    }
    CAIRN_ASSERT(len > 0);
    d_iov_set(&dkey, (void *)(uintptr_t)name, strlen(name));
    d_iov_set(&iod.iod_name, (void *)(uintptr_t)DFS_INODE_AKEY, strlen(DFS_INODE_AKEY));
    if (mask == DFS_ENTRY_ALL) {
        recxs[0] = (daos_recx_t){.rx_idx = 0, .rx_nr = DFS_INODE_BYTES};
        iod.iod_nr = 1;
        d_iov_set(&iov, inode, sizeof(inode));
    } else {
        d_iov_set(&iov, bytes, len);
    }
    return err_to_errno(
        daos_obj_update(dir_oh, DAOS_TX_NONE, DAOS_COND_DKEY_UPDATE, &dkey, 1, &iod, &sgl, NULL));
}

int
dfs_entry_remove(daos_handle_t dir_oh, const char *name)
{
    daos_key_t dkey;

    d_iov_set(&dkey, (void *)(uintptr_t)name, strlen(name));
    return err_to_errno(daos_obj_punch_dkeys(dir_oh, DAOS_TX_NONE, DAOS_COND_PUNCH, 1, &dkey, NULL));
}
