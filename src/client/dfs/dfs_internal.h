/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What libdfs exports beside daos_fs.h. The first part has the names and signatures of the original, whose tests and tools know them; the second is for our own tools
 * alone, under the symbol version CAIRN_PRIVATE, and may change with every release.
 */
#ifndef CAIRN_DFS_INTERNAL_H
#define CAIRN_DFS_INTERNAL_H

#include "daos.h"
#include "daos_fs.h"

#pragma GCC visibility push(default)

/** dfs_lookup_rel() that fetches extended attributes too: sizes in and out as dfs_getxattr(); one that is not there gets size 0. */
int dfs_lookupx(dfs_t *dfs, dfs_obj_t *parent, const char *name, int flags, dfs_obj_t **obj,
    mode_t *mode, struct stat *stbuf, int xnr, char *xnames[], void *xvals[], daos_size_t *xsizes);
/** dfs_open() and dfs_ostat() in one. */
int dfs_open_stat(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode, int flags,
    daos_oclass_id_t cid, daos_size_t chunk_size, const char *value, dfs_obj_t **obj,
    struct stat *stbuf);
/** dfs_ostat() with an event. */
int dfs_ostatx(dfs_t *dfs, dfs_obj_t *obj, struct stat *stbuf, daos_event_t *ev);
/** Write the superblock of a container again (EEXIST: it is there), and the root's entry when it is missing. */
int dfs_recreate_sb(daos_handle_t coh, dfs_attr_t *attr);
/** Write the root's entry again when it is missing. */
int dfs_relink_root(daos_handle_t coh);
/** Make the type in an entry's mode agree with its object id: not there yet. */
int dfs_obj_fix_type(dfs_t *dfs, dfs_obj_t *parent, const char *name);
/** Change the chunk size of a file that is still empty. */
int dfs_file_update_chunk_size(dfs_t *dfs, dfs_obj_t *obj, daos_size_t csize);
/** dfs_move() that tells the moved object's id too. *flags*: RENAME_NOREPLACE. */
int dfs_move_internal(dfs_t *dfs, unsigned int flags, dfs_obj_t *parent, const char *name,
    dfs_obj_t *new_parent, const char *new_name, daos_obj_id_t *moid, daos_obj_id_t *oid);
/** After a rename by another handle: the new directory itself, and the name (NULL: the same). */
void dfs_update_parentfd(dfs_obj_t *obj, dfs_obj_t *new_parent, const char *name);
/** Take over mode and class from another handle of the same thing. */
void dfs_obj_copy_attr(dfs_obj_t *dst_obj, dfs_obj_t *src_obj);

/**
 * Mode and mtime of something that the caller has just made through `obj`, in one request that writes the whole entry from what the handle knows: what others changed in
 * the entry meanwhile is lost. `stbuf` is input only. `flags`: DFS_SET_ATTR_MODE, _MTIME, _UID, _GID. Errors as dfs_osetattr().
 */
int dfs_tools_attr_set(dfs_t *dfs, dfs_obj_t *obj, const struct stat *stbuf, int flags);

#pragma GCC visibility pop

#endif
