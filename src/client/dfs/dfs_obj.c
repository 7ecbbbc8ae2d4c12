/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Open things: create, open, duplicate, release, and what a handle knows. Requests: create 1 (and 1 per mount for an object id range); open what is there 1;
 * open with O_TRUNC one more for each group of the file; release and duplicate none.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "base/util.h"
#include "client/core/client_tools.h"
#include "client/dfs/dfs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S UINT64_C(1000000000)

enum { OPEN_TRIES_NR_MAX = 8 };

void
dfs_now(uint64_t *ret_s, uint64_t *ret_ns)
{
    uint64_t wall_ns = 0;

    CAIRN_IGNORE(client_tools_now(&wall_ns, NULL)); /* a mount is open, so there is a client */
    *ret_s = wall_ns / NS_PER_S;
    *ret_ns = wall_ns % NS_PER_S;
}

bool
dfs_oid_is_same(daos_obj_id_t a, daos_obj_id_t b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

int
dfs_name_check(const char *name)
{
    size_t len;

    if (name == NULL || name[0] == '\0')
        return EINVAL;
    len = strnlen(name, DFS_NAME_BYTES_MAX + 1);
    if (len > DFS_NAME_BYTES_MAX)
        return ENAMETOOLONG;
    if (memchr(name, '/', len) != NULL)
        return EINVAL;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return EINVAL;
    return 0;
}

struct dfs_obj *
dfs_parent(struct dfs *dfs, struct dfs_obj *parent)
{
    return parent != NULL ? parent : dfs->root;
}

int
dfs_parent_check(struct dfs *dfs, struct dfs_obj **parent, const char *name)
{
    if (dfs == NULL)
        return EINVAL;
    *parent = dfs_parent(dfs, *parent);
    if (!S_ISDIR((*parent)->entry.mode))
        return ENOTDIR;
    return dfs_name_check(name);
}

uint64_t
dfs_chunk_of(const struct dfs *dfs, uint64_t chunk_bytes)
{
    return chunk_bytes != 0 ? chunk_bytes : dfs->attr.da_chunk_size;
}

/* ---- handles --------------------------------------------------------------------------------------------------------- */

int
dfs_obj_from_entry(struct dfs *dfs, const daos_obj_id_t *parent_oid, const char *name,
    const struct dfs_entry *entry, char *value, int flags, struct dfs_obj **ret_obj)
{
    struct dfs_obj *obj = calloc(1, sizeof(*obj));
    unsigned int mode = dfs_is_writable(dfs) ? DAOS_OO_RW : DAOS_OO_RO;
    int rc = 0;

    if (obj == NULL)
        return ENOMEM;
    CAIRN_ASSERT(strlen(name) <= DFS_NAME_BYTES_MAX);
    obj->dfs = dfs;
    obj->parent_oid = *parent_oid;
    obj->entry = *entry;
    obj->flags = flags;
    memcpy(obj->name, name, strlen(name) + 1);
    if (S_ISREG(entry->mode)) {
        obj->chunk_bytes = dfs_chunk_of(dfs, entry->chunk_bytes);
        rc = err_to_errno(daos_array_open_with_attr(
            dfs->coh, entry->oid, DAOS_TX_NONE, mode, 1, obj->chunk_bytes, &obj->oh, NULL));
    } else if (S_ISDIR(entry->mode)) {
        rc = err_to_errno(daos_obj_open(dfs->coh, entry->oid, mode, &obj->oh, NULL));
    } else {
        obj->value = value;
    }
    if (rc != 0) {
        free(obj);
        return rc;
    }
    *ret_obj = obj;
    return 0;
}

int
dfs_release(dfs_obj_t *obj)
{
    int rc = 0;

    if (obj == NULL)
        return EINVAL;
    if (S_ISREG(obj->entry.mode)) {
        rc = err_to_errno(daos_array_close(obj->oh, NULL));
    } else if (S_ISDIR(obj->entry.mode)) {
        rc = err_to_errno(daos_obj_close(obj->oh, NULL));
    }
    free(obj->value);
    free(obj);
    return rc;
}

int
dfs_dup(dfs_t *dfs, dfs_obj_t *obj, int flags, dfs_obj_t **ret_obj)
{
    char *value = NULL;
    int rc;

    if (dfs == NULL || obj == NULL || ret_obj == NULL)
        return EINVAL;
    if ((flags & O_ACCMODE) != O_RDONLY && !dfs_is_writable(dfs))
        return EPERM;
    if (obj->value != NULL) {
        value = strdup(obj->value);
        if (value == NULL)
            return ENOMEM;
    }
    rc = dfs_obj_from_entry(dfs, &obj->parent_oid, obj->name, &obj->entry, value, flags, ret_obj);
    if (rc != 0)
        free(value);
    return rc;
}

/* ---- create and open --------------------------------------------------------------------------------------------------- */

/* The class for a new thing: asked for, else the file system's; files also take the one of their directory. 0: the container chooses. */
static daos_oclass_id_t
class_for(const struct dfs *dfs, const struct dfs_obj *parent, mode_t mode, daos_oclass_id_t asked)
{
    uint32_t method = dfs->attr.da_oclass_id >> OC_REDUN_SHIFT;

    if (asked != 0)
        return asked;
    if (S_ISREG(mode) && parent->entry.oclass != 0)
        return parent->entry.oclass;
    if (S_ISREG(mode)) {
        return dfs->attr.da_file_oclass_id != 0 ? dfs->attr.da_file_oclass_id
                                                : dfs->attr.da_oclass_id;
    }
    if (dfs->attr.da_dir_oclass_id != 0)
        return dfs->attr.da_dir_oclass_id;
    return method >= OR_RS_2P1 ? 0 : dfs->attr.da_oclass_id; /* directories are not erasure-coded */
}

/* Everything of a new entry but its object. */
static void
entry_new(const struct dfs_obj *parent, mode_t mode, struct dfs_entry *ret_entry)
{
    *ret_entry = (struct dfs_entry){
        .mode = S_ISLNK(mode) ? S_IFLNK | 0777 : mode & (S_IFMT | 07777),
        .uid = geteuid(),
        .gid = getegid(),
    };
    dfs_now(&ret_entry->mtime_s, &ret_entry->mtime_ns);
    ret_entry->ctime_s = ret_entry->mtime_s;
    ret_entry->ctime_ns = ret_entry->mtime_ns;
    if (S_ISDIR(mode)) { /* what is created in it follows what was set above */
        ret_entry->chunk_bytes = parent->entry.chunk_bytes;
        ret_entry->oclass = parent->entry.oclass;
    }
}

/* Insert a new entry and open what it names. EEXIST: somebody else was there first. */
static int
create(struct dfs *dfs, struct dfs_obj *parent, const char *name, mode_t mode, int flags,
    daos_oclass_id_t cid, daos_size_t chunk_bytes, const char *value, struct dfs_obj **ret_obj)
{
    struct dfs_entry entry;
    char *copy = NULL;
    int rc = 0;

    entry_new(parent, mode, &entry);
    if (S_ISLNK(mode)) {
        if (value == NULL || value[0] == '\0')
            return EINVAL;
        entry.value_len = strnlen(value, PATH_MAX);
        if (entry.value_len >= PATH_MAX)
            return ENAMETOOLONG;
        copy = strdup(value);
        if (copy == NULL)
            return ENOMEM;
    } else {
        if (S_ISREG(mode)) {
            entry.chunk_bytes =
                dfs_chunk_of(dfs, chunk_bytes != 0 ? chunk_bytes : parent->entry.chunk_bytes);
        }
        rc = dfs_oid_new(dfs, S_ISREG(mode) ? DAOS_OT_ARRAY_BYTE : DAOS_OT_MULTI_HASHED,
            class_for(dfs, parent, mode, cid), &entry.oid);
    }
    if (rc == 0)
        rc = dfs_entry_insert(parent->oh, name, &entry, copy);
    if (rc == 0 && ret_obj != NULL) {
        rc = dfs_obj_from_entry(dfs, &parent->entry.oid, name, &entry, copy, flags, ret_obj);
        if (rc == 0)
            copy = NULL;
    }
    free(copy);
    return rc;
}

/* What an entry of another type than asked for answers. */
static int
type_check(mode_t is, mode_t asked)
{
    if ((is & S_IFMT) == (asked & S_IFMT))
        return 0;
    if (S_ISLNK(is))
        return ELOOP; /* dfs_lookup_rel() follows links */
    if (S_ISDIR(asked))
        return ENOTDIR;
    return S_ISDIR(is) ? EISDIR : EINVAL;
}

static int
open_existing(struct dfs *dfs, struct dfs_obj *parent, const char *name, mode_t mode, int flags,
    struct dfs_obj **ret_obj)
{
    struct dfs_obj *obj;
    struct dfs_entry entry;
    char *value = NULL;
    int rc = dfs_entry_fetch(parent->oh, name, &entry, &value);

    if (rc != 0)
        return rc;
    rc = type_check(entry.mode, mode);
    if (rc == 0)
        rc = dfs_obj_from_entry(dfs, &parent->entry.oid, name, &entry, value, flags, &obj);
    if (rc != 0) {
        free(value);
        return rc;
    }
    if (S_ISREG(mode) && (flags & O_TRUNC) != 0)
        rc = err_to_errno(daos_array_destroy(obj->oh, DAOS_TX_NONE, NULL)); /* its content */
    if (rc != 0) {
        CAIRN_IGNORE(dfs_release(obj)); /* local */
        return rc;
    }
    *ret_obj = obj;
    return 0;
}

int
dfs_open_stat(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode, int flags,
    daos_oclass_id_t cid, daos_size_t chunk_size, const char *value, dfs_obj_t **ret_obj,
    struct stat *stbuf)
{
    struct dfs_obj *obj = NULL;
    int rc = dfs_parent_check(dfs, &parent, name);

    if (rc != 0)
        return rc;
    if (ret_obj == NULL || (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode)))
        return EINVAL;
    if ((flags & O_APPEND) != 0)
        return ENOTSUP;
    if (((flags & (O_CREAT | O_TRUNC)) != 0 || (flags & O_ACCMODE) != O_RDONLY) &&
        !dfs_is_writable(dfs))
        return EPERM;
    for (int tries = 0; tries < OPEN_TRIES_NR_MAX; tries++) {
        rc = EEXIST;
        if ((flags & O_CREAT) != 0)
            rc = create(dfs, parent, name, mode, flags, cid, chunk_size, value, &obj);
        if (rc != EEXIST || ((flags & O_CREAT) != 0 && ((flags & O_EXCL) != 0 || !S_ISREG(mode))))
            break;
        rc = open_existing(dfs, parent, name, mode, flags, &obj);
        if (rc != ENOENT || (flags & O_CREAT) == 0)
            break; /* else: removed between the two */
    }
    if (rc == 0 && stbuf != NULL) {
        rc = dfs_entry_stat(dfs, obj->oh, &obj->entry, stbuf);
        if (rc != 0)
            CAIRN_IGNORE(dfs_release(obj)); /* local */
    }
    if (rc == 0)
        *ret_obj = obj;
    return rc;
}

int
dfs_open(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode, int flags,
    daos_oclass_id_t cid, daos_size_t chunk_size, const char *value, dfs_obj_t **obj)
{
    return dfs_open_stat(dfs, parent, name, mode, flags, cid, chunk_size, value, obj, NULL);
}

int
dfs_mkdir(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode, daos_oclass_id_t cid)
{
    int rc = dfs_parent_check(dfs, &parent, name);

    if (rc != 0)
        return rc;
    if (!dfs_is_writable(dfs))
        return EPERM;
    return create(dfs, parent, name, S_IFDIR | (mode & 07777), O_RDWR, cid, 0, NULL, NULL);
}

/* ---- what a handle knows ------------------------------------------------------------------------------------------------ */

int
dfs_get_mode(dfs_obj_t *obj, mode_t *mode)
{
    if (obj == NULL || mode == NULL)
        return EINVAL;
    *mode = obj->entry.mode;
    return 0;
}

int
dfs_get_symlink_value(dfs_obj_t *obj, char *buf, daos_size_t *size)
{
    daos_size_t need;

    if (obj == NULL || size == NULL || !S_ISLNK(obj->entry.mode))
        return EINVAL;
    need = strlen(obj->value) + 1;
    if (buf != NULL && *size > 0) {
        daos_size_t len = MIN(need, *size);

        memcpy(buf, obj->value, len);
        buf[len - 1] = '\0';
    }
    *size = need;
    return 0;
}

int
dfs_obj2id(dfs_obj_t *obj, daos_obj_id_t *oid)
{
    if (obj == NULL || oid == NULL)
        return EINVAL;
    *oid = obj->entry.oid;
    return 0;
}

int
dfs_get_file_oh(dfs_obj_t *obj, daos_handle_t *oh)
{
    if (obj == NULL || oh == NULL || !S_ISREG(obj->entry.mode))
        return EINVAL;
    *oh = obj->oh;
    return 0;
}

int
dfs_get_chunk_size(dfs_obj_t *obj, daos_size_t *chunk_size)
{
    if (obj == NULL || chunk_size == NULL || !S_ISREG(obj->entry.mode))
        return EINVAL;
    *chunk_size = obj->chunk_bytes;
    return 0;
}

int
dfs_obj_get_info(dfs_t *dfs, dfs_obj_t *obj, dfs_obj_info_t *info)
{
    dfs_obj_info_t found = {0};
    int rc = 0;

    if (dfs == NULL || obj == NULL || info == NULL)
        return EINVAL;
    found.doi_oid = obj->entry.oid;
    if (S_ISREG(obj->entry.mode)) {
        found.doi_oclass_id = daos_obj_id2class(obj->entry.oid);
        found.doi_chunk_size = obj->chunk_bytes;
    } else if (S_ISDIR(obj->entry.mode)) {
        found.doi_oclass_id = daos_obj_id2class(obj->entry.oid);
        found.doi_chunk_size = dfs_chunk_of(dfs, obj->entry.chunk_bytes);
        found.doi_dir_oclass_id = class_for(dfs, obj, S_IFDIR, 0);
        found.doi_file_oclass_id = class_for(dfs, obj, S_IFREG, 0);
        if (found.doi_dir_oclass_id == 0)
            rc = dfs_oclass_default(dfs->coh, DAOS_OT_MULTI_HASHED, &found.doi_dir_oclass_id);
        if (rc == 0 && found.doi_file_oclass_id == 0)
            rc = dfs_oclass_default(dfs->coh, DAOS_OT_ARRAY_BYTE, &found.doi_file_oclass_id);
    }
    if (rc == 0)
        *info = found;
    return rc;
}

/* ---- after renames and changes by other handles ---------------------------------------------------------------------------- */

int
dfs_update_parent(dfs_obj_t *obj, dfs_obj_t *src_obj, const char *name)
{
    int rc = name != NULL ? dfs_name_check(name) : 0;

    if (obj == NULL || src_obj == NULL)
        return EINVAL;
    if (rc != 0)
        return rc;
    obj->parent_oid = src_obj->parent_oid;
    if (name != NULL)
        memcpy(obj->name, name, strlen(name) + 1);
    return 0;
}

void
dfs_update_parentfd(dfs_obj_t *obj, dfs_obj_t *new_parent, const char *name)
{
    if (obj == NULL || new_parent == NULL || (name != NULL && dfs_name_check(name) != 0))
        return;
    obj->parent_oid = new_parent->entry.oid;
    if (name != NULL)
        memcpy(obj->name, name, strlen(name) + 1);
}

void
dfs_obj_copy_attr(dfs_obj_t *dst_obj, dfs_obj_t *src_obj)
{
    if (dst_obj == NULL || src_obj == NULL)
        return;
    dst_obj->entry.oclass = src_obj->entry.oclass;
    dst_obj->entry.mode = (dst_obj->entry.mode & S_IFMT) | (src_obj->entry.mode & ~(mode_t)S_IFMT);
    if (S_ISDIR(dst_obj->entry.mode))
        dst_obj->entry.chunk_bytes = src_obj->entry.chunk_bytes;
}

int
dfs_get_size_by_oid(dfs_t *dfs, daos_obj_id_t oid, daos_size_t chunk_size, daos_size_t *size)
{
    daos_handle_t oh;
    int rc;

    if (dfs == NULL || size == NULL || daos_obj_id2type(oid) != DAOS_OT_ARRAY_BYTE)
        return EINVAL;
    rc = err_to_errno(daos_array_open_with_attr(
        dfs->coh, oid, DAOS_TX_NONE, DAOS_OO_RO, 1, dfs_chunk_of(dfs, chunk_size), &oh, NULL));
    if (rc != 0)
        return rc;
    rc = err_to_errno(daos_array_get_size(oh, DAOS_TX_NONE, size, NULL));
    CAIRN_IGNORE(daos_array_close(oh, NULL)); /* local */
    return rc;
}
