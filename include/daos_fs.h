/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * DFS: files and directories in a container. All functions return 0 or a POSITIVE errno value. A parent of NULL is the root directory; a
 * name has no slash. Those with an event return at once and complete later; NULL waits.
 */
#ifndef CAIRN_DAOS_FS_H
#define CAIRN_DAOS_FS_H

#include <daos_array.h>
#include <daos_cont.h>
#include <daos_obj.h>
#include <daos_obj_class.h>
#include <daos_types.h>
#include <dirent.h>
#include <inttypes.h>
#include <sys/stat.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

#define DFS_MAX_NAME NAME_MAX
#define DFS_MAX_PATH PATH_MAX
#define DFS_MAX_FSIZE (~0ULL)
#define DFS_DEFAULT_CHUNK_SIZE 1048576
/** Longest name of an extended attribute, and of its value. */
#define DFS_MAX_XATTR_NAME 255
#define DFS_MAX_XATTR_LEN 65536
/** Type of the file system that statfs() shows. */
#define DAOS_SUPER_MAGIC 0xDA05AD10

/** An open file, directory or symbolic link; a mounted file system. */
typedef struct dfs_obj dfs_obj_t;
typedef struct dfs dfs_t;

/** Consistency: with transactions; without (default). */
#define DFS_BALANCED 4
#define DFS_RELAXED 0
#define DFS_RDONLY O_RDONLY
#define DFS_RDWR O_RDWR

/** Attributes of a file system when it is created; zeros mean defaults. */
typedef struct {
    /** User's number, kept as it is. */
    uint64_t da_id;
    /** Bytes of a file in one dkey. */
    daos_size_t da_chunk_size;
    /** Class of files and directories. */
    daos_oclass_id_t da_oclass_id;
    /** Properties of the container. */
    daos_prop_t *da_props;
    /** DFS_RELAXED or DFS_BALANCED. */
    uint32_t da_mode;
    /** Classes for directories and files. */
    daos_oclass_id_t da_dir_oclass_id;
    daos_oclass_id_t da_file_oclass_id;
    /** "file:max,dir:single" and the like. */
    char da_hints[DAOS_CONT_HINT_MAX_LEN];
} dfs_attr_t;

/** Ranges of bytes of a file. */
typedef struct {
    daos_size_t iod_nr;
    daos_range_t *iod_rgs;
} dfs_iod_t;

/** What is known of an object. */
typedef struct {
    daos_oclass_id_t doi_oclass_id;
    daos_size_t doi_chunk_size;
    /** Of what is created in a directory. */
    daos_oclass_id_t doi_dir_oclass_id;
    daos_oclass_id_t doi_file_oclass_id;
    daos_obj_id_t doi_oid;
} dfs_obj_info_t;

/** Start and end the use of dfs_connect(); counted. */
int dfs_init(void);
int dfs_fini(void);

/** Connect to pool and container and mount. O_CREAT in *flags* creates the container with *attr* (may be NULL). */
int dfs_connect(
    const char *pool, const char *sys, const char *cont, int flags, dfs_attr_t *attr, dfs_t **dfs);
/** The same for a snapshot, by epoch or name; read only. */
int dfs_connect_snap(const char *pool, const char *sys, const char *cont, int flags,
    daos_epoch_t epoch, const char *name, dfs_t **dfs);
int dfs_disconnect(dfs_t *dfs);

/** Destroy the container. */
int dfs_destroy(const char *pool, const char *sys, const char *cont, int force, daos_event_t *ev);

/** Create a container with a file system in it. *uuid*, *coh* and *dfs* may be NULL; if not, it is left open and mounted. */
int
dfs_cont_create(daos_handle_t poh, uuid_t *uuid, dfs_attr_t *attr, daos_handle_t *coh, dfs_t **dfs);
int dfs_cont_create_with_label(daos_handle_t poh, const char *label, dfs_attr_t *attr, uuid_t *uuid,
    daos_handle_t *coh, dfs_t **dfs);

/** Mount an open container. *flags*: O_RDONLY or O_RDWR, and DFS_BALANCED. EINVAL: not a file system. */
int dfs_mount(daos_handle_t poh, daos_handle_t coh, int flags, dfs_t **dfs);
int dfs_mount_snap(daos_handle_t poh, daos_handle_t coh, int flags, daos_epoch_t epoch,
    const char *name, dfs_t **dfs);
int dfs_umount(dfs_t *dfs);

/** Handles of a mount, for use until they are put back. */
int dfs_pool_get(dfs_t *dfs, daos_handle_t *poh);
int dfs_pool_put(dfs_t *dfs, daos_handle_t poh);
int dfs_cont_get(dfs_t *dfs, daos_handle_t *coh);
int dfs_cont_put(dfs_t *dfs, daos_handle_t coh);

int dfs_query(dfs_t *dfs, dfs_attr_t *attr);

/** Make a mount known to other processes: see daos_pool_local2global(). The _all forms carry pool and container too. */
int dfs_local2global(dfs_t *dfs, d_iov_t *glob);
int dfs_global2local(daos_handle_t poh, daos_handle_t coh, int flags, d_iov_t glob, dfs_t **dfs);
int dfs_local2global_all(dfs_t *dfs, d_iov_t *glob);
int dfs_global2local_all(int flags, d_iov_t glob, dfs_t **dfs);

/** Take *prefix* off the front of absolute paths (NULL: not any more). */
int dfs_set_prefix(dfs_t *dfs, const char *prefix);

int dfs_obj2id(dfs_obj_t *obj, daos_obj_id_t *oid);

/**
 * Open what a path from the root, or a name in *parent*, leads to. *flags*: O_RDONLY or O_RDWR, O_NOFOLLOW. Symbolic links are
 * followed up to 40 levels (ELOOP). *mode* and *stbuf* may be NULL.
 */
int dfs_lookup(
    dfs_t *dfs, const char *path, int flags, dfs_obj_t **obj, mode_t *mode, struct stat *stbuf);
int dfs_lookup_rel(dfs_t *dfs, dfs_obj_t *parent, const char *name, int flags, dfs_obj_t **obj,
    mode_t *mode, struct stat *stbuf);

/** Class for a hint such as "file:max". */
int dfs_suggest_oclass(dfs_t *dfs, const char *hint, daos_oclass_id_t *cid);

/**
 * Open or create. *mode*: file type and permissions. *flags*: O_RDONLY or O_RDWR, O_CREAT, O_EXCL, O_TRUNC. *cid* and *chunk_size* 0
 * take the defaults. *value*: target of a symbolic link that is created.
 */
int dfs_open(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode, int flags,
    daos_oclass_id_t cid, daos_size_t chunk_size, const char *value, dfs_obj_t **obj);
int dfs_dup(dfs_t *dfs, dfs_obj_t *obj, int flags, dfs_obj_t **new_obj);
int dfs_obj_local2global(dfs_t *dfs, dfs_obj_t *obj, d_iov_t *glob);
int dfs_obj_global2local(dfs_t *dfs, int flags, d_iov_t glob, dfs_obj_t **obj);
int dfs_release(dfs_obj_t *obj);

/** Read and write; the length is that of *sgl*. *read_size*: bytes before the end of the file; holes read as zeros. */
int dfs_read(dfs_t *dfs, dfs_obj_t *obj, d_sg_list_t *sgl, daos_off_t off, daos_size_t *read_size,
    daos_event_t *ev);
int dfs_readx(dfs_t *dfs, dfs_obj_t *obj, dfs_iod_t *iod, d_sg_list_t *sgl, daos_size_t *read_size,
    daos_event_t *ev);
int dfs_write(dfs_t *dfs, dfs_obj_t *obj, d_sg_list_t *sgl, daos_off_t off, daos_event_t *ev);
int dfs_writex(dfs_t *dfs, dfs_obj_t *obj, dfs_iod_t *iod, d_sg_list_t *sgl, daos_event_t *ev);

int dfs_get_size(dfs_t *dfs, dfs_obj_t *obj, daos_size_t *size);

/** Remove *len* bytes from *offset*; DFS_MAX_FSIZE: all that follow, which shortens or lengthens the file to *offset*. */
int dfs_punch(dfs_t *dfs, dfs_obj_t *obj, daos_off_t offset, daos_size_t len);

/** List entries. *nr*: room in *dirs*, then entries found; only d_name is filled in. Ends when daos_anchor_is_eof(). */
int dfs_readdir(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr, struct dirent *dirs);
int dfs_readdirplus(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr,
    struct dirent *dirs, struct stat *stbufs);

/** Called for each name; non-zero ends the walk. */
typedef int (*dfs_filler_cb_t)(dfs_t *dfs, dfs_obj_t *obj, const char name[], void *arg);

/** Call *op* for entries. *nr*: most entries, then how many; *size*: most bytes of names. */
int dfs_iterate(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr, size_t size,
    dfs_filler_cb_t op, void *arg);

/** Let a listing start at *name*; cut it into parts; set an anchor to a part. */
int dfs_dir_anchor_set(dfs_obj_t *obj, const char name[], daos_anchor_t *anchor);
int dfs_obj_anchor_split(dfs_obj_t *obj, uint32_t *nr, daos_anchor_t *anchors);
int dfs_obj_anchor_set(dfs_obj_t *obj, uint32_t index, daos_anchor_t *anchor);

int dfs_mkdir(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode, daos_oclass_id_t cid);

/** Remove a name; *force* removes a directory with all that is in it. *oid* (may be NULL) gets the removed object. */
int dfs_remove(dfs_t *dfs, dfs_obj_t *parent, const char *name, bool force, daos_obj_id_t *oid);

/** Rename; a target that exists is replaced and its id put into *oid* (may be NULL). */
int dfs_move(dfs_t *dfs, dfs_obj_t *parent, const char *name, dfs_obj_t *new_parent,
    const char *new_name, daos_obj_id_t *oid);
/** Exchange two names. */
int dfs_exchange(
    dfs_t *dfs, dfs_obj_t *parent1, const char *name1, dfs_obj_t *parent2, const char *name2);

int dfs_get_mode(dfs_obj_t *obj, mode_t *mode);
int dfs_obj_get_info(dfs_t *dfs, dfs_obj_t *obj, dfs_obj_info_t *info);

/** Class and chunk size of what will be created in a directory. */
int dfs_obj_set_oclass(dfs_t *dfs, dfs_obj_t *obj, int flags, daos_oclass_id_t cid);
int dfs_obj_set_chunk_size(dfs_t *dfs, dfs_obj_t *obj, int flags, daos_size_t csize);

int dfs_get_file_oh(dfs_obj_t *obj, daos_handle_t *oh);
int dfs_get_chunk_size(dfs_obj_t *obj, daos_size_t *chunk_size);

/** Target of a link. *size*: room in *buf* (NULL asks), then the length with terminator. */
int dfs_get_symlink_value(dfs_obj_t *obj, char *buf, daos_size_t *size);

/** After a rename by another handle: take the parent from *src_obj*, and the name. */
int dfs_update_parent(dfs_obj_t *obj, dfs_obj_t *src_obj, const char *name);

/** Mode, owner, size, blocks and times; of a link itself. */
int dfs_stat(dfs_t *dfs, dfs_obj_t *parent, const char *name, struct stat *stbuf);
int dfs_ostat(dfs_t *dfs, dfs_obj_t *obj, struct stat *stbuf);

#define DFS_SET_ATTR_MODE (1 << 0)
#define DFS_SET_ATTR_ATIME (1 << 1)
#define DFS_SET_ATTR_MTIME (1 << 2)
#define DFS_SET_ATTR_SIZE (1 << 3)
#define DFS_SET_ATTR_UID (1 << 4)
#define DFS_SET_ATTR_GID (1 << 5)

/** Change what *flags* (DFS_SET_ATTR_ bits) name; *stbuf* holds the new and gets all values. */
int dfs_osetattr(dfs_t *dfs, dfs_obj_t *obj, struct stat *stbuf, int flags);

/** As access(2), chmod(2) (links are followed) and chown(2) (*flags*: O_NOFOLLOW). */
int dfs_access(dfs_t *dfs, dfs_obj_t *parent, const char *name, int mask);
int dfs_chmod(dfs_t *dfs, dfs_obj_t *parent, const char *name, mode_t mode);
int dfs_chown(dfs_t *dfs, dfs_obj_t *parent, const char *name, uid_t uid, gid_t gid, int flags);

/** Writes are durable when they return: nothing to do. */
int dfs_sync(dfs_t *dfs);

/** Extended attributes, as those of Linux. *size*: room, then the length. */
int dfs_setxattr(
    dfs_t *dfs, dfs_obj_t *obj, const char *name, const void *value, daos_size_t size, int flags);
int dfs_getxattr(dfs_t *dfs, dfs_obj_t *obj, const char *name, void *value, daos_size_t *size);
int dfs_removexattr(dfs_t *dfs, dfs_obj_t *obj, const char *name);
int dfs_listxattr(dfs_t *dfs, dfs_obj_t *obj, char *list, daos_size_t *size);

/** What dfs_cont_check() does with objects that no name leads to. */
enum {
    DFS_CHECK_PRINT = (1 << 0),
    DFS_CHECK_REMOVE = (1 << 1),
    DFS_CHECK_RELINK = (1 << 2),
    DFS_CHECK_VERIFY = (1 << 3),
    DFS_CHECK_EVICT_ALL = (1 << 4)
};

int dfs_cont_check(daos_handle_t poh, const char *cont, uint64_t flags, const char *name);
int dfs_cont_scan(daos_handle_t poh, const char *cont, uint64_t flags, const char *name);

/** Change the owner of container and root directory. */
int dfs_cont_set_owner(daos_handle_t coh, d_string_t user, uid_t uid, d_string_t group, gid_t gid);

/** Search of a directory by the engines. */
typedef struct dfs_pipeline dfs_pipeline_t;

enum {
    DFS_FILTER_NAME = (1 << 1),
    DFS_FILTER_NEWER = (1 << 2),
    DFS_FILTER_INCLUDE_DIRS = (1 << 3)
};

typedef struct {
    char dp_name[DFS_MAX_NAME];
    time_t dp_newer;
    size_t dp_size;
} dfs_predicate_t;

int dfs_get_size_by_oid(dfs_t *dfs, daos_obj_id_t oid, daos_size_t chunk_size, daos_size_t *size);
int dfs_pipeline_create(dfs_t *dfs, dfs_predicate_t pred, uint64_t flags, dfs_pipeline_t **dpipe);
int dfs_pipeline_destroy(dfs_pipeline_t *dpipe);
int dfs_readdir_with_filter(dfs_t *dfs, dfs_obj_t *obj, dfs_pipeline_t *dpipe,
    daos_anchor_t *anchor, uint32_t *nr, struct dirent *dirs, daos_obj_id_t *oids,
    daos_size_t *csizes, uint64_t *nr_scanned);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_FS_H */
