/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Attributes: stat, modes, times, owners.
 *
 * Times of files and directories: the entry has those of its creation and of dfs_osetattr(). Writes do not touch the entry; the object's newest epoch is the time of
 * its newest change. It counts as mtime when it is above obj_hlc, the object's newest epoch at the time when mtime was set, and as ctime when it is later than the
 * entry's.
 *
 * Requests of a stat: the entry 1, the object 1 for each of its groups; of a link none. Of dfs_osetattr(): those, and 1 update.
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

/* ---- stat ------------------------------------------------------------------------------------------------------------- */

static bool
is_after(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static void
times_fill(const struct dfs_entry *entry, uint64_t epoch_max, struct stat *st)
{
    struct timespec changed;

    st->st_mtim =
        (struct timespec){.tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns};
    st->st_ctim =
        (struct timespec){.tv_sec = (time_t)entry->ctime_s, .tv_nsec = (long)entry->ctime_ns};
    if (epoch_max > entry->obj_hlc && daos_hlc2timespec(epoch_max, &changed) == 0) {
        if (entry->obj_hlc != 0 || is_after(changed, st->st_mtim))
            st->st_mtim = changed;
        if (is_after(changed, st->st_ctim))
            st->st_ctim = changed;
    }
    st->st_atim = st->st_mtim;
}

/* Size and newest epoch of the object behind an entry. */
static int
obj_stat(struct dfs *dfs, daos_handle_t oh, const struct dfs_entry *entry, daos_array_stbuf_t *ret_st)
{
    bool is_mine = !daos_handle_is_valid(oh);
    int rc = 0;

    *ret_st = (daos_array_stbuf_t){0};
    if (S_ISREG(entry->mode)) {
        if (is_mine) {
            rc = err_to_errno(daos_array_open_with_attr(dfs->coh, entry->oid, DAOS_TX_NONE,
                DAOS_OO_RO, 1, dfs_chunk_of(dfs, entry->chunk_bytes), &oh, NULL));
        }
        if (rc != 0)
            return rc;
        rc = err_to_errno(daos_array_stat(oh, DAOS_TX_NONE, ret_st, NULL));
        if (is_mine)
            CAIRN_IGNORE(daos_array_close(oh, NULL)); /* local */
    } else if (S_ISDIR(entry->mode)) {
        if (is_mine)
            rc = err_to_errno(daos_obj_open(dfs->coh, entry->oid, DAOS_OO_RO, &oh, NULL));
        if (rc != 0)
            return rc;
        rc = err_to_errno(daos_obj_query_max_epoch(oh, DAOS_TX_NONE, &ret_st->st_max_epoch, NULL));
        if (is_mine)
            CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
        ret_st->st_size = DFS_INODE_BYTES;
    } else {
        ret_st->st_size = entry->value_len;
    }
    return rc;
}

static void
stat_fill(const struct dfs *dfs, const struct dfs_entry *entry, const daos_array_stbuf_t *obj_st,
    struct stat *ret_stat)
{
    *ret_stat = (struct stat){
        .st_mode = entry->mode,
        .st_nlink = S_ISDIR(entry->mode) ? 2 : 1,
        .st_uid = entry->uid,
        .st_gid = entry->gid,
        .st_size = (off_t)obj_st->st_size,
        .st_blksize = (blksize_t)dfs_chunk_of(dfs, entry->chunk_bytes),
        .st_blocks = (blkcnt_t)DIV_UP(obj_st->st_size, 512),
    };
    times_fill(entry, obj_st->st_max_epoch, ret_stat);
}

int
dfs_entry_stat(struct dfs *dfs, daos_handle_t oh, const struct dfs_entry *entry, struct stat *ret_stat)
{
    daos_array_stbuf_t obj_st;
    int rc = obj_stat(dfs, oh, entry, &obj_st);

    if (rc == 0)
        stat_fill(dfs, entry, &obj_st, ret_stat);
    return rc;
}

int
dfs_stat(dfs_t *dfs, dfs_obj_t *parent, const char *name, struct stat *stbuf)
{
    struct dfs_entry entry;
    int rc;

    if (dfs == NULL || stbuf == NULL)
        return EINVAL;
    if (name == NULL)
        return dfs_ostat(dfs, dfs_parent(dfs, parent), stbuf);
    rc = dfs_parent_check(dfs, &parent, name);
    if (rc == 0)
        rc = dfs_entry_fetch(parent->oh, name, &entry, NULL);
    if (rc == 0)
        rc = dfs_entry_stat(dfs, DAOS_HDL_INVAL, &entry, stbuf);
    return rc;
}

int
dfs_parent_open(const struct dfs_obj *obj, daos_handle_t *ret_oh)
{
    unsigned int mode = dfs_is_writable(obj->dfs) ? DAOS_OO_RW : DAOS_OO_RO;

    return err_to_errno(daos_obj_open(obj->dfs->coh, obj->parent_oid, mode, ret_oh, NULL));
}

/* The entry that an open thing has now. ENOENT: it was removed, or its name leads to another thing. */
static int
entry_refresh(dfs_obj_t *obj, daos_handle_t parent_oh)
{
    struct dfs_entry entry;
    int rc = dfs_entry_fetch(parent_oh, obj->name, &entry, NULL);

    if (rc != 0)
        return rc;
    if ((entry.mode & S_IFMT) != (obj->entry.mode & S_IFMT) ||
        !dfs_oid_is_same(entry.oid, obj->entry.oid))
        return ENOENT;
    obj->entry = entry;
    return 0;
}

int
dfs_ostat(dfs_t *dfs, dfs_obj_t *obj, struct stat *stbuf)
{
    daos_handle_t parent_oh;
    int rc;

    if (dfs == NULL || obj == NULL || stbuf == NULL)
        return EINVAL;
    rc = dfs_parent_open(obj, &parent_oh);
    if (rc != 0)
        return rc;
    rc = entry_refresh(obj, parent_oh);
    CAIRN_IGNORE(daos_obj_close(parent_oh, NULL)); /* local */
    if (rc == 0)
        rc = dfs_entry_stat(dfs, obj->oh, &obj->entry, stbuf);
    return rc;
}

struct ostat_args {
    dfs_t *dfs;
    dfs_obj_t *obj;
    struct stat *stbuf;
};

static int
ostat_run(void *arg)
{
    struct ostat_args *args = arg;

    return err_from_errno(dfs_ostat(args->dfs, args->obj, args->stbuf));
}

int
dfs_ostatx(dfs_t *dfs, dfs_obj_t *obj, struct stat *stbuf, daos_event_t *ev)
{
    struct ostat_args args = {.dfs = dfs, .obj = obj, .stbuf = stbuf};

    if (ev == NULL)
        return dfs_ostat(dfs, obj, stbuf);
    return client_tools_run(ev, ostat_run, &args, sizeof(args));
}

/* ---- changes ---------------------------------------------------------------------------------------------------------- */

/* Put what `flags` ask for into an entry. `*ret_mask`: the parts that changed. */
static int
entry_change(
    struct dfs_entry *entry, const struct stat *st, int flags, uint64_t obj_hlc, uint32_t *ret_mask)
{
    uint32_t mask = DFS_ENTRY_CTIME;

    if ((flags & DFS_SET_ATTR_MODE) != 0) {
        if ((st->st_mode & S_IFMT) != 0 && (st->st_mode & S_IFMT) != (entry->mode & S_IFMT))
            return EINVAL;
        entry->mode = (entry->mode & S_IFMT) | (st->st_mode & 07777);
        mask |= DFS_ENTRY_MODE;
    }
    if ((flags & DFS_SET_ATTR_MTIME) != 0) {
        if (st->st_mtim.tv_nsec < 0 || st->st_mtim.tv_nsec >= 1000000000)
            return EINVAL;
        entry->mtime_s = (uint64_t)st->st_mtim.tv_sec;
        entry->mtime_ns = (uint64_t)st->st_mtim.tv_nsec;
        entry->obj_hlc = obj_hlc;
        mask |= DFS_ENTRY_MTIME;
    }
    if ((flags & DFS_SET_ATTR_UID) != 0) {
        entry->uid = st->st_uid;
        mask |= DFS_ENTRY_UID;
    }
    if ((flags & DFS_SET_ATTR_GID) != 0) {
        entry->gid = st->st_gid;
        mask |= DFS_ENTRY_GID;
    }
    dfs_now(&entry->ctime_s, &entry->ctime_ns);
    *ret_mask = mask;
    return 0;
}

static int
setattr_check(const dfs_t *dfs, const dfs_obj_t *obj, const struct stat *stbuf, int flags, int known)
{
    if (dfs == NULL || obj == NULL || stbuf == NULL || (flags & ~known) != 0)
        return EINVAL;
    if (!dfs_is_writable(dfs))
        return EPERM;
    if (S_ISLNK(obj->entry.mode) && (flags & DFS_SET_ATTR_MODE) != 0)
        return ENOTSUP; /* as Linux has it */
    return 0;
}

int
dfs_osetattr(dfs_t *dfs, dfs_obj_t *obj, struct stat *stbuf, int flags)
{
    const int known = DFS_SET_ATTR_MODE | DFS_SET_ATTR_ATIME | DFS_SET_ATTR_MTIME |
        DFS_SET_ATTR_SIZE | DFS_SET_ATTR_UID | DFS_SET_ATTR_GID;
    daos_array_stbuf_t obj_st;
    struct dfs_entry entry;
    daos_handle_t parent_oh;
    uint32_t mask;
    int rc = setattr_check(dfs, obj, stbuf, flags, known);

    if (rc != 0)
        return rc;
    if ((flags & DFS_SET_ATTR_SIZE) != 0) {
        if (!S_ISREG(obj->entry.mode) || stbuf->st_size < 0)
            return EINVAL;
        rc = dfs_punch(dfs, obj, (daos_off_t)stbuf->st_size, DFS_MAX_FSIZE);
        if (rc != 0)
            return rc;
    }
    rc = dfs_parent_open(obj, &parent_oh);
    if (rc != 0)
        return rc;
    rc = entry_refresh(obj, parent_oh);
    if (rc != 0)
        goto out;
    entry = obj->entry;
    rc = obj_stat(dfs, obj->oh, &entry, &obj_st);
    if (rc == 0)
        rc = entry_change(&entry, stbuf, flags, obj_st.st_max_epoch, &mask);
    if (rc == 0 && (flags & ~(DFS_SET_ATTR_ATIME | DFS_SET_ATTR_SIZE)) != 0)
        rc = dfs_entry_update(parent_oh, obj->name, &entry, mask);
    if (rc != 0)
        goto out;
    obj->entry = entry;
    stat_fill(dfs, &entry, &obj_st, stbuf);
out:
    CAIRN_IGNORE(daos_obj_close(parent_oh, NULL)); /* local */
    return rc;
}

int
dfs_tools_attr_set(dfs_t *dfs, dfs_obj_t *obj, const struct stat *stbuf, int flags)
{
    const int known = DFS_SET_ATTR_MODE | DFS_SET_ATTR_MTIME | DFS_SET_ATTR_UID | DFS_SET_ATTR_GID;
    struct dfs_entry entry;
    daos_handle_t parent_oh;
    uint64_t hlc = 0;
    uint32_t mask;
    int rc = setattr_check(dfs, obj, stbuf, flags, known);

    if (rc == 0)
        rc = err_to_errno(client_tools_now(NULL, &hlc)); /* above the epochs of our own writes */
    if (rc != 0)
        return rc;
    entry = obj->entry;
    rc = entry_change(&entry, stbuf, flags, hlc, &mask);
    if (rc == 0)
        rc = dfs_parent_open(obj, &parent_oh);
    if (rc != 0)
        return rc;
    rc = dfs_entry_update(parent_oh, obj->name, &entry, DFS_ENTRY_ALL);
    CAIRN_IGNORE(daos_obj_close(parent_oh, NULL)); /* local */
    if (rc == 0)
        obj->entry = entry;
    return rc;
}

/* ---- by name ---------------------------------------------------------------------------------------------------------- */

/* chmod, chown and access follow links; O_NOFOLLOW stops that. name NULL: the parent itself. */
static int
open_named(dfs_t *dfs, dfs_obj_t *parent, const char *name, int flags, dfs_obj_t **ret_obj)
{
    if (dfs == NULL)
        return EINVAL;
    if (name == NULL)
        return dfs_dup(dfs, dfs_parent(dfs, parent), dfs->amode, ret_obj);
    return dfs_lookup_rel(dfs, parent, name, dfs->amode | flags, ret_obj, NULL, NULL);
}

int
dfs_chmod(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode)
{
    struct stat st = {.st_mode = mode};
    dfs_obj_t *obj;
    int rc = open_named(dfs, parent, name, 0, &obj);

    if (rc != 0)
        return rc;
    rc = dfs_osetattr(dfs, obj, &st, DFS_SET_ATTR_MODE);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_chown(dfs_t *dfs, dfs_obj_t *parent, const char *name, uid_t uid, gid_t gid, int flags)
{
    struct stat st = {.st_uid = uid, .st_gid = gid};
    int set = (uid != (uid_t)-1 ? DFS_SET_ATTR_UID : 0) | (gid != (gid_t)-1 ? DFS_SET_ATTR_GID : 0);
    dfs_obj_t *obj;
    int rc;

    if (dfs == NULL)
        return EINVAL;
    if (set == 0)
        return 0;
    rc = open_named(dfs, parent, name, flags & O_NOFOLLOW, &obj);
    if (rc != 0)
        return rc;
    rc = dfs_osetattr(dfs, obj, &st, set);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_obj_access(const dfs_obj_t *obj, int mask)
{
    const struct dfs_entry *entry = &obj->entry;
    mode_t bits = entry->mode;

    if ((mask & ~(R_OK | W_OK | X_OK)) != 0)
        return EINVAL;
    if ((mask & W_OK) != 0 && !dfs_is_writable(obj->dfs))
        return EPERM;
    if (mask == F_OK)
        return 0;
    if (geteuid() == 0) { /* may do everything but run what nobody may */
        bool runs = S_ISDIR(bits) || (bits & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0;

        return (mask & X_OK) == 0 || runs ? 0 : EACCES;
    }
    if (entry->uid == geteuid()) {
        bits >>= 6;
    } else if (entry->gid == getegid()) {
        bits >>= 3;
    }
    return (bits & (mode_t)mask) == (mode_t)mask ? 0 : EACCES;
}

int
dfs_access(dfs_t *dfs, dfs_obj_t *parent, const char *name, int mask)
{
    dfs_obj_t *obj;
    int rc = open_named(dfs, parent, name, 0, &obj);

    if (rc != 0)
        return rc;
    rc = dfs_obj_access(obj, mask);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

/* ---- what will be created in a directory ------------------------------------------------------------------------------- */

static int
defaults_set(dfs_t *dfs, dfs_obj_t *obj, int flags, const struct dfs_entry *entry, uint32_t mask)
{
    daos_handle_t parent_oh;
    int rc;

    if (flags != 0)
        return EINVAL;
    if (!S_ISDIR(obj->entry.mode))
        return ENOTSUP;
    if (!dfs_is_writable(dfs))
        return EPERM;
    rc = dfs_parent_open(obj, &parent_oh);
    if (rc != 0)
        return rc;
    rc = dfs_entry_update(parent_oh, obj->name, entry, mask);
    CAIRN_IGNORE(daos_obj_close(parent_oh, NULL)); /* local */
    if (rc != 0)
        return rc;
    obj->entry = *entry;
    if (dfs_oid_is_same(obj->entry.oid, dfs->root_oid) && obj != dfs->root) {
        dfs->root->entry.chunk_bytes = entry->chunk_bytes;
        dfs->root->entry.oclass = entry->oclass;
    }
    return 0;
}

int
dfs_obj_set_oclass(dfs_t *dfs, dfs_obj_t *obj, int flags, daos_oclass_id_t cid)
{
    struct dfs_entry entry;

    if (dfs == NULL || obj == NULL)
        return EINVAL;
    entry = obj->entry;
    if (cid == 0) {
        int rc = dfs_oclass_default(dfs->coh, DAOS_OT_ARRAY_BYTE, &cid);

        if (rc != 0)
            return rc;
    }
    entry.oclass = cid;
    return defaults_set(dfs, obj, flags, &entry, DFS_ENTRY_OCLASS);
}

int
dfs_obj_set_chunk_size(dfs_t *dfs, dfs_obj_t *obj, int flags, daos_size_t csize)
{
    struct dfs_entry entry;

    if (dfs == NULL || obj == NULL)
        return EINVAL;
    entry = obj->entry;
    entry.chunk_bytes = csize != 0 ? csize : dfs->attr.da_chunk_size;
    return defaults_set(dfs, obj, flags, &entry, DFS_ENTRY_CHUNK);
}

int
dfs_file_update_chunk_size(dfs_t *dfs, dfs_obj_t *obj, daos_size_t csize)
{
    daos_handle_t parent_oh;
    struct dfs_entry entry;
    daos_size_t size;
    int rc;

    if (dfs == NULL || obj == NULL || csize == 0 || !S_ISREG(obj->entry.mode))
        return EINVAL;
    if (!dfs_is_writable(dfs))
        return EPERM;
    rc = dfs_get_size(dfs, obj, &size);
    if (rc != 0 || size > 0)
        return rc != 0 ? rc : EINVAL; /* its data lie where the old size put them */
    rc = dfs_parent_open(obj, &parent_oh);
    if (rc != 0)
        return rc;
    entry = obj->entry;
    entry.chunk_bytes = csize;
    rc = dfs_entry_update(parent_oh, obj->name, &entry, DFS_ENTRY_CHUNK);
    CAIRN_IGNORE(daos_obj_close(parent_oh, NULL)); /* local */
    if (rc == 0)
        rc = err_to_errno(daos_array_update_chunk_size(obj->oh, csize));
    if (rc != 0)
        return rc;
    obj->entry.chunk_bytes = csize;
    obj->chunk_bytes = csize;
    return 0;
}
