/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Inside libdfs: a POSIX namespace on objects, in the original's on-store layout (docs/format/dfs.md; api.md 5).
 *
 *   superblock object   dkey DFS_SB_METADATA with nine akeys; dkey "/" with the entry of the root directory
 *   directory object    one dkey per entry, its name; akey DFS_INODE (array of bytes, 88 of them), akey DFS_SLINK for a symbolic link's target,
 *                       akeys x:<name>
 *   file object         byte array, chunk c at integer dkey c + 1
 *
 *   DFS-1  An entry is one akey write of one dkey, so that it is there whole or not at all; creation is conditional (DKEY_INSERT), so that one of several
 *          creators wins; every change of an entry is conditional on its being there (DKEY_UPDATE).
 *   DFS-2  libdfs reaches libdaos through its dynamic symbols alone: the public API, and the few of CAIRN_PRIVATE (client_tools.h). It has no state of its
 *          own but dfs_t and dfs_obj_t, and neither clock nor threads.
 *   DFS-3  Functions answer 0 or a positive errno.
 *   DFS-4  A name never leads to an object that was removed: entries go before objects, and a name that is replaced changes in one write. What a crash in
 *          between leaves is an object without a name, or one object under two names.
 *
 * Threads: a dfs_t may be used by many at once (its object id range is atomic, the rest constant after mount, but for dfs_set_prefix()); a dfs_obj_t too, but for
 * dfs_release(), dfs_update_parent() and attribute changes through it. Tested by test/dfs.
 */
#ifndef CAIRN_DFS_PRIV_H
#define CAIRN_DFS_PRIV_H

#include "base/err.h"
#include "daos.h"
#include "daos_fs.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define DFS_MAGIC_VALUE UINT64_C(0xda05df50da05df50)
#define DFS_SB_VERSION_VALUE 2
#define DFS_LAYOUT_VERSION_VALUE 3
#define DFS_SB_DKEY "DFS_SB_METADATA"
#define DFS_INODE_AKEY "DFS_INODE"
#define DFS_SLINK_AKEY "DFS_SLINK"
#define DFS_XATTR_PREFIX "x:"
#define DFS_CHUNK_BYTES_DEFAULT (1 << 20)

enum {
    DFS_SYMLINKS_NR_MAX = 40,
    DFS_INODE_BYTES = 88,
    DFS_NAME_BYTES_MAX = NAME_MAX,
    DFS_XATTR_NAME_BYTES_MAX = 255,
    DFS_XATTR_VALUE_BYTES_MAX = 65536,
    DFS_REMOVE_DEPTH_MAX = 4096, /* levels of a tree removed by force */
    DFS_OID_HI_STEP =
        999999937, /* api.md 5: the high part of object ids advances by this, modulo 2^32 */
};

/* The 88 bytes of DFS_INODE, unpacked. */
struct dfs_entry {
    mode_t mode;
    daos_obj_id_t oid;
    uint64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
    uint64_t chunk_bytes; /* of a file; of a directory: for what is created in it. 0: the container's default */
    daos_oclass_id_t oclass; /* of a directory: for files created in it. 0: the container's default */
    uid_t uid;
    gid_t gid;
    uint64_t value_len; /* of a symbolic link */
    uint64_t obj_hlc; /* the object's newest epoch when mtime was set; 0: never */
};

/* Parts of an entry that can be changed alone; bits of `mask` in dfs_entry_update(). */
enum {
    DFS_ENTRY_MODE = 1 << 0,
    DFS_ENTRY_MTIME = 1 << 1, /* with obj_hlc */
    DFS_ENTRY_CTIME = 1 << 2,
    DFS_ENTRY_CHUNK = 1 << 3,
    DFS_ENTRY_OCLASS = 1 << 4,
    DFS_ENTRY_UID = 1 << 5,
    DFS_ENTRY_GID = 1 << 6,
    DFS_ENTRY_ALL = (1 << 7) - 1, /* all 88 bytes */
};

/* A low part of object ids, the mount's alone, with 2^32 high parts (api.md 5). */
struct dfs_oid_range {
    uint64_t lo;
    uint32_t hi_first;
    _Atomic uint64_t taken_nr;
    struct dfs_oid_range *used_up; /* the one before */
};

struct dfs {
    daos_handle_t poh, coh;
    bool owns_handles; /* dfs_connect() and kin */
    daos_handle_t live_coh; /* coh is our own view of a snapshot of this one; else invalid */
    _Atomic uint32_t lent_nr; /* dfs_pool_get() and dfs_cont_get() without their put: no umount */
    int amode; /* O_RDONLY or O_RDWR */
    dfs_attr_t attr;
    daos_handle_t super_oh;
    daos_obj_id_t super_oid, root_oid;
    struct dfs_obj *root;
    char *prefix;
    size_t prefix_len;
    _Atomic(struct dfs_oid_range *) oids; /* NULL until something is created */
};

struct dfs_obj {
    struct dfs *dfs;
    daos_obj_id_t parent_oid;
    struct dfs_entry entry; /* as it was at open, or as last seen through this handle: type and oid are what it was opened for */
    int flags;
    daos_handle_t oh; /* object (directory) or array (file); invalid: a link */
    uint64_t chunk_bytes; /* of a file */
    char *value; /* of a symbolic link */
    char name[DFS_NAME_BYTES_MAX + 1];
};

/* ---- dfs_entry.c: entries of directories ---- */

void dfs_entry_encode(const struct dfs_entry *entry, uint8_t *buf /* DFS_INODE_BYTES */);
/** EIO: no entry that could be ours. */
int dfs_entry_decode(const uint8_t *buf, struct dfs_entry *ret_entry);
/** One request. ENOENT; EIO a damaged entry. `ret_value` (may be NULL) gets a malloc'ed link target, NULL for other types. */
int dfs_entry_fetch(
    daos_handle_t dir_oh, const char *name, struct dfs_entry *ret_entry, char **ret_value);
/** One request: insert a new entry, with a link's target in `value`. EEXIST. */
int dfs_entry_insert(
    daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry, const char *value);
/** One request: put a whole entry in the place of one that is there. `value` "": that one was a link, this one is not. ENOENT. */
int dfs_entry_replace(
    daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry, const char *value);
/** One request: write the parts in `mask` of an entry that is there. ENOENT. */
int dfs_entry_update(
    daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry, uint32_t mask);
/** One request: remove it, with its extended attributes. ENOENT. */
int dfs_entry_remove(daos_handle_t dir_oh, const char *name);

/* ---- dfs_attr.c: what stat shows ---- */

/** `oh`: the open object, or invalid: it is opened for the while. */
int dfs_entry_stat(
    struct dfs *dfs, daos_handle_t oh, const struct dfs_entry *entry, struct stat *ret_stat);
/** As access(2), from what the handle knows. */
int dfs_obj_access(const dfs_obj_t *obj, int mask);
/** The directory that holds an object's entry, opened by id; daos_obj_close(). */
int dfs_parent_open(const struct dfs_obj *obj, daos_handle_t *ret_oh);

/* ---- dfs_xattr.c ---- */

/** Give an entry exactly the extended attributes of another. `is_fresh`: it has none yet. */
int dfs_xattrs_copy(daos_handle_t from_oh, const char *from_name, daos_handle_t to_oh,
    const char *to_name, bool is_fresh);

/* ---- dfs_oid.c ---- */

/** A fresh object id; `oclass` 0 takes the default for the type. */
int dfs_oid_new(
    struct dfs *dfs, enum daos_otype_t otype, daos_oclass_id_t oclass, daos_obj_id_t *ret_oid);
/** The class that `oclass` 0 stands for. */
int dfs_oclass_default(daos_handle_t coh, enum daos_otype_t otype, daos_oclass_id_t *ret_oclass);
/** "file:max,dir:single": the class it names for files or directories. 0: it names none. EINVAL. */
int
dfs_oclass_from_hint(daos_handle_t coh, const char *hint, bool is_dir, daos_oclass_id_t *ret_oclass);
void dfs_oids_fini(struct dfs *dfs);

/* ---- dfs_mount.c ---- */

bool dfs_is_writable(const struct dfs *dfs);
/** The two ids that every file system starts from. EINVAL: the container is not a file system's. */
int dfs_roots_get(daos_handle_t coh, struct daos_prop_co_roots *ret_roots);
/** Put together a mount from what was loaded or imported. */
int dfs_mount_with(daos_handle_t poh, daos_handle_t coh, int amode, const dfs_attr_t *attr,
    const struct daos_prop_co_roots *roots, const struct dfs_entry *root, struct dfs **ret_dfs);

/* ---- dfs_cont.c: containers ---- */

int dfs_sb_load(daos_handle_t super_oh, dfs_attr_t *ret_attr);

/* ---- dfs_obj.c ---- */

/** Open the object behind an entry. Takes over `value`, on success only. `*ret_obj` returns owned: dfs_release(). */
int dfs_obj_from_entry(struct dfs *dfs, const daos_obj_id_t *parent_oid, const char *name,
    const struct dfs_entry *entry, char *value, int flags, struct dfs_obj **ret_obj);
/** parent NULL: the root. */
struct dfs_obj *dfs_parent(struct dfs *dfs, struct dfs_obj *parent);
/** The same, checked: EINVAL no dfs or a bad name, ENOTDIR, ENAMETOOLONG. */
int dfs_parent_check(struct dfs *dfs, struct dfs_obj **parent, const char *name);
/** EINVAL, ENAMETOOLONG. */
int dfs_name_check(const char *name);
uint64_t dfs_chunk_of(const struct dfs *dfs, uint64_t chunk_bytes);
bool dfs_oid_is_same(daos_obj_id_t a, daos_obj_id_t b);
void dfs_now(uint64_t *ret_s, uint64_t *ret_ns);

/* ---- dfs_lookup.c ---- */

/** What dfs_lookup() does, from any directory: `path` may have slashes, links, "." and "..". `ret_obj`, `ret_mode` and `ret_stat` may be NULL. */
int dfs_walk(struct dfs *dfs, struct dfs_obj *start, const char *path, int flags,
    dfs_obj_t **ret_obj, mode_t *ret_mode, struct stat *ret_stat);
/** An application's absolute path without the mount's prefix. NULL: not absolute, or it has not the prefix. */
const char *dfs_path_inside(const struct dfs *dfs, const char *path);

/* ---- dfs_dir.c ---- */

/** Is anything in this directory? */
int dfs_dir_is_empty(struct dfs *dfs, daos_obj_id_t oid, bool *ret_is_empty);
/** Remove the object behind an entry that is gone. */
int dfs_obj_punch(struct dfs *dfs, const struct dfs_entry *entry);

#endif
