/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Extended attributes: one akey "x:<name>" each, in the entry's dkey, single value. One request each to set, get and remove; a listing takes one for each round of akeys. A
 * value of no bytes cannot be told from none in this layout: EINVAL.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum { LIST_KEYS_NR = 64, LIST_BYTES = 16 << 10 };

struct xattr_io {
    daos_key_t dkey;
    daos_iod_t iod;
    d_sg_list_t sgl;
    d_iov_t iov;
    char akey[sizeof(DFS_XATTR_PREFIX) + DFS_XATTR_NAME_BYTES_MAX + 1];
};

static int
xattr_io_init(struct xattr_io *io, const char *entry_name, const char *name, void *buf, size_t len)
{
    size_t name_len = strnlen(name, DFS_XATTR_NAME_BYTES_MAX + 1);

    if (name_len == 0)
        return EINVAL;
    if (name_len > DFS_XATTR_NAME_BYTES_MAX)
        return ERANGE;
    memset(io, 0, sizeof(*io));
    memcpy(io->akey, DFS_XATTR_PREFIX, strlen(DFS_XATTR_PREFIX));
    memcpy(io->akey + strlen(DFS_XATTR_PREFIX), name, name_len);
    d_iov_set(&io->dkey, (void *)(uintptr_t)entry_name, strlen(entry_name));
    d_iov_set(&io->iod.iod_name, io->akey, strlen(DFS_XATTR_PREFIX) + name_len);
    io->iod.iod_type = DAOS_IOD_SINGLE;
    io->iod.iod_nr = 1;
    io->iod.iod_size = len;
    d_iov_set(&io->iov, buf, len);
    io->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &io->iov};
    return 0;
}

int
dfs_setxattr(
    dfs_t *dfs, dfs_obj_t *obj, const char *name, const void *value, daos_size_t size, int flags)
{
    uint64_t cond = DAOS_COND_DKEY_UPDATE;
    daos_handle_t oh;
    struct xattr_io io;
    int rc;

    if (dfs == NULL || obj == NULL || name == NULL || value == NULL || size == 0 ||
        (flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0)
        return EINVAL;
    if (!dfs_is_writable(dfs))
        return EPERM;
    if (size > DFS_XATTR_VALUE_BYTES_MAX)
        return E2BIG;
    rc = xattr_io_init(&io, obj->name, name, (void *)(uintptr_t)value, size);
    if (rc == 0)
        rc = dfs_parent_open(obj, &oh);
    if (rc != 0)
        return rc;
    if ((flags & XATTR_CREATE) != 0)
        cond |= DAOS_COND_AKEY_INSERT;
    if ((flags & XATTR_REPLACE) != 0)
        cond |= DAOS_COND_AKEY_UPDATE;
    rc = err_to_errno(daos_obj_update(oh, DAOS_TX_NONE, cond, &io.dkey, 1, &io.iod, &io.sgl, NULL));
    if (rc == ENOENT && (flags & XATTR_REPLACE) != 0)
        rc = ENODATA;
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    return rc;
}

/* `*size`: room, then the length. */
static int
xattr_get(daos_handle_t oh, const char *entry_name, const char *name, void *value, daos_size_t *size)
{
    bool has_room = value != NULL && *size > 0;
    struct xattr_io io;
    int rc = xattr_io_init(&io, entry_name, name, value, has_room ? *size : 0);

    if (rc != 0)
        return rc;
    io.iod.iod_size = DAOS_REC_ANY;
    rc = err_to_errno(daos_obj_fetch(oh, DAOS_TX_NONE, DAOS_COND_AKEY_FETCH, &io.dkey, 1, &io.iod,
        has_room ? &io.sgl : NULL, NULL, NULL));
    if (rc == ENOENT)
        return ENODATA;
    if (rc != 0 && rc != E2BIG)
        return rc;
    *size = io.iod.iod_size;
    return rc == E2BIG ? ERANGE : 0;
}

int
dfs_getxattr(dfs_t *dfs, dfs_obj_t *obj, const char *name, void *value, daos_size_t *size)
{
    daos_handle_t oh;
    int rc;

    if (dfs == NULL || obj == NULL || name == NULL || size == NULL)
        return EINVAL;
    rc = dfs_parent_open(obj, &oh);
    if (rc != 0)
        return rc;
    rc = xattr_get(oh, obj->name, name, value, size);
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    return rc;
}

static int
xattr_remove(daos_handle_t oh, const char *entry_name, const char *name)
{
    struct xattr_io io;
    int rc = xattr_io_init(&io, entry_name, name, NULL, 0);

    if (rc == 0) {
        rc = err_to_errno(daos_obj_punch_akeys(
            oh, DAOS_TX_NONE, DAOS_COND_PUNCH, &io.dkey, 1, &io.iod.iod_name, NULL));
    }
    return rc == ENOENT ? ENODATA : rc;
}

int
dfs_removexattr(dfs_t *dfs, dfs_obj_t *obj, const char *name)
{
    daos_handle_t oh;
    int rc;

    if (dfs == NULL || obj == NULL || name == NULL)
        return EINVAL;
    if (!dfs_is_writable(dfs))
        return EPERM;
    rc = dfs_parent_open(obj, &oh);
    if (rc != 0)
        return rc;
    rc = xattr_remove(oh, obj->name, name);
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    return rc;
}

/* ---- listing ---------------------------------------------------------------------------------------------------------- */

/* Each extended attribute of an entry, by name; a non-zero answer of fn ends it. */
static int
xattrs_each(
    daos_handle_t oh, const char *entry_name, int (*fn)(void *arg, const char *name), void *arg)
{
    const size_t skip = strlen(DFS_XATTR_PREFIX);
    daos_key_desc_t *kds = calloc(LIST_KEYS_NR, sizeof(*kds));
    char *buf = malloc(LIST_BYTES);
    daos_anchor_t anchor = {0};
    daos_key_t dkey;
    int rc = kds == NULL || buf == NULL ? ENOMEM : 0;

    d_iov_set(&dkey, (void *)(uintptr_t)entry_name, strlen(entry_name));
    while (rc == 0 && !daos_anchor_is_eof(&anchor)) {
        uint32_t nr = LIST_KEYS_NR;
        d_iov_t iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
        const char *pos = buf;

        d_iov_set(&iov, buf, LIST_BYTES);
        rc = err_to_errno(daos_obj_list_akey(oh, DAOS_TX_NONE, &dkey, &nr, kds, &sgl, &anchor, NULL));
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            char name[DFS_XATTR_NAME_BYTES_MAX + 1];
            size_t len = kds[i].kd_key_len;

            if (len > skip && len - skip <= DFS_XATTR_NAME_BYTES_MAX &&
                memcmp(pos, DFS_XATTR_PREFIX, skip) == 0) {
                memcpy(name, pos + skip, len - skip);
                name[len - skip] = '\0';
                rc = fn(arg, name);
            }
            pos += len;
        }
    }
    free(kds);
    free(buf);
    return rc;
}

struct list_args {
    char *list;
    daos_size_t room, used;
};

static int
list_one(void *arg, const char *name)
{
    struct list_args *args = arg;
    size_t len = strlen(name) + 1;

    if (args->list != NULL && args->used + len <= args->room)
        memcpy(args->list + args->used, name, len);
    args->used += len;
    return 0;
}

int
dfs_listxattr(dfs_t *dfs, dfs_obj_t *obj, char *list, daos_size_t *size)
{
    struct list_args args = {.list = list};
    daos_handle_t oh;
    int rc;

    if (dfs == NULL || obj == NULL || size == NULL)
        return EINVAL;
    args.room = *size;
    rc = dfs_parent_open(obj, &oh);
    if (rc != 0)
        return rc;
    rc = xattrs_each(oh, obj->name, list_one, &args);
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    if (rc != 0)
        return rc;
    *size = args.used;
    return list != NULL && args.room > 0 && args.used > args.room ? ERANGE : 0;
}

/* ---- from one entry to another ------------------------------------------------------------------------------------------- */

struct copy_args {
    daos_handle_t from_oh, to_oh;
    const char *from_name, *to_name;
    void *buf;
};

static int
copy_one(void *arg, const char *name)
{
    struct copy_args *args = arg;
    daos_size_t size = DFS_XATTR_VALUE_BYTES_MAX;
    struct xattr_io io;
    int rc;

    if (args->buf == NULL)
        args->buf = malloc(DFS_XATTR_VALUE_BYTES_MAX);
    if (args->buf == NULL)
        return ENOMEM;
    rc = xattr_get(args->from_oh, args->from_name, name, args->buf, &size);
    if (rc == 0)
        rc = xattr_io_init(&io, args->to_name, name, args->buf, size);
    if (rc == 0) {
        rc = err_to_errno(daos_obj_update(
            args->to_oh, DAOS_TX_NONE, DAOS_COND_DKEY_UPDATE, &io.dkey, 1, &io.iod, &io.sgl, NULL));
    }
    return rc;
}

static int
remove_one(void *arg, const char *name)
{
    const struct copy_args *args = arg;
    int rc = xattr_remove(args->to_oh, args->to_name, name);

    return rc == ENODATA ? 0 : rc;
}

int
dfs_xattrs_copy(daos_handle_t from_oh, const char *from_name, daos_handle_t to_oh,
    const char *to_name, bool is_fresh)
{
    struct copy_args args = {
        .from_oh = from_oh, .to_oh = to_oh, .from_name = from_name, .to_name = to_name};
    int rc = is_fresh ? 0 : xattrs_each(to_oh, to_name, remove_one, &args);

    if (rc == 0)
        rc = xattrs_each(from_oh, from_name, copy_one, &args);
    free(args.buf);
    return rc;
}
