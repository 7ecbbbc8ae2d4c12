/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * DFS by absolute paths (daos_fs_sys.h), over the functions of daos_fs.h. Nothing is cached: each component of a path is one request, which is what DFS_SYS_NO_CACHE asks for;
 * without it the original keeps directories open (docs/roadmap.md).
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "client/core/client_tools.h"
#include "daos_fs_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { READDIR_NR = 64 };

struct dfs_sys {
    dfs_t *dfs;
};

/* ---- mounts --------------------------------------------------------------------------------------------------------------- */

static int
sys_new(int sflags, dfs_sys_t **ret_sys)
{
    dfs_sys_t *sys;

    if (ret_sys == NULL || (sflags & ~(DFS_SYS_NO_CACHE | DFS_SYS_NO_LOCK)) != 0)
        return EINVAL;
    sys = calloc(1, sizeof(*sys));
    if (sys == NULL)
        return ENOMEM;
    *ret_sys = sys;
    return 0;
}

/* Hand over a new one, or drop it. */
static int
sys_finish(int rc, dfs_sys_t *sys, dfs_sys_t **ret_sys)
{
    if (rc == 0) {
        *ret_sys = sys;
    } else {
        free(sys);
    }
    return rc;
}

int
dfs_sys_connect(const char *pool, const char *sys_name, const char *cont, int mflags, int sflags,
    dfs_attr_t *attr, dfs_sys_t **dfs_sys)
{
    dfs_sys_t *sys;
    int rc = sys_new(sflags, &sys);

    if (rc != 0 || dfs_sys == NULL)
        return rc != 0 ? rc : EINVAL;
    rc = dfs_connect(pool, sys_name, cont, mflags, attr, &sys->dfs);
    return sys_finish(rc, sys, dfs_sys);
}

int
dfs_sys_disconnect(dfs_sys_t *dfs_sys)
{
    int rc;

    if (dfs_sys == NULL)
        return EINVAL;
    rc = dfs_disconnect(dfs_sys->dfs);
    if (rc == 0)
        free(dfs_sys);
    return rc;
}

int
dfs_sys_mount(daos_handle_t poh, daos_handle_t coh, int mflags, int sflags, dfs_sys_t **dfs_sys)
{
    dfs_sys_t *sys;
    int rc = sys_new(sflags, &sys);

    if (rc != 0)
        return rc;
    return sys_finish(
        dfs_sys == NULL ? EINVAL : dfs_mount(poh, coh, mflags, &sys->dfs), sys, dfs_sys);
}

int
dfs_sys_umount(dfs_sys_t *dfs_sys)
{
    int rc;

    if (dfs_sys == NULL)
        return EINVAL;
    rc = dfs_umount(dfs_sys->dfs);
    free(dfs_sys);
    return rc;
}

int
dfs_sys_local2global_all(dfs_sys_t *dfs_sys, d_iov_t *glob)
{
    return dfs_sys == NULL ? EINVAL : dfs_local2global_all(dfs_sys->dfs, glob);
}

int
dfs_sys_global2local_all(int mflags, int sflags, d_iov_t glob, dfs_sys_t **dfs_sys)
{
    dfs_sys_t *sys;
    int rc = sys_new(sflags, &sys);

    if (rc != 0)
        return rc;
    return sys_finish(
        dfs_sys == NULL ? EINVAL : dfs_global2local_all(mflags, glob, &sys->dfs), sys, dfs_sys);
}

int
dfs_sys_local2global(dfs_sys_t *dfs_sys, d_iov_t *glob)
{
    return dfs_sys == NULL ? EINVAL : dfs_local2global(dfs_sys->dfs, glob);
}

int
dfs_sys_global2local(
    daos_handle_t poh, daos_handle_t coh, int mflags, int sflags, d_iov_t glob, dfs_sys_t **dfs_sys)
{
    dfs_sys_t *sys;
    int rc = sys_new(sflags, &sys);

    if (rc != 0)
        return rc;
    return sys_finish(dfs_sys == NULL ? EINVAL : dfs_global2local(poh, coh, mflags, glob, &sys->dfs),
        sys, dfs_sys);
}

int
dfs_sys_set_prefix(dfs_sys_t *dfs_sys, const char *prefix)
{
    return dfs_sys == NULL ? EINVAL : dfs_set_prefix(dfs_sys->dfs, prefix);
}

int
dfs_sys2base(dfs_sys_t *dfs_sys, dfs_t **dfs)
{
    if (dfs_sys == NULL || dfs == NULL)
        return EINVAL;
    *dfs = dfs_sys->dfs;
    return 0;
}

/* ---- paths ---------------------------------------------------------------------------------------------------------------- */

/* A path as directory and name in it. */
struct place {
    dfs_t *dfs;
    dfs_obj_t *dir; /* opened here */
    const char *name; /* NULL: the path is the root */
    char path[PATH_MAX];
};

static void
place_put(struct place *place)
{
    if (place == NULL)
        return;
    if (place->dir != NULL)
        CAIRN_IGNORE(dfs_release(place->dir)); /* local */
    free(place);
}

/* `*ret_place` returns owned: place_put(). */
static int
place_get(dfs_sys_t *dfs_sys, const char *path, struct place **ret_place)
{
    struct place *place;
    const char *dir = "/";
    mode_t mode;
    char *slash;
    size_t len;
    int rc;

    if (dfs_sys == NULL)
        return EINVAL;
    path = dfs_path_inside(dfs_sys->dfs, path);
    if (path == NULL)
        return EINVAL;
    len = strnlen(path, PATH_MAX);
    if (len == PATH_MAX)
        return ENAMETOOLONG;
    place = calloc(1, sizeof(*place));
    if (place == NULL)
        return ENOMEM;
    place->dfs = dfs_sys->dfs;
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    memcpy(place->path, path, len);
    slash = strrchr(place->path, '/');
    if (slash != NULL) {
        *slash = '\0';
        place->name = slash + 1;
        dir = place->path;
    }
    rc = dfs_walk(place->dfs, place->dfs->root, dir, place->dfs->amode, &place->dir, &mode, NULL);
    if (rc == 0 && !S_ISDIR(mode))
        rc = ENOTDIR;
    if (rc == 0 && place->name != NULL && strcmp(place->name, ".") == 0)
        rc = EINVAL;
    if (rc != 0) {
        place_put(place);
        return rc;
    }
    *ret_place = place;
    return 0;
}

/* What a path leads to; `flags`: O_NOFOLLOW. */
static int
path_open(dfs_sys_t *dfs_sys, const char *path, int flags, dfs_obj_t **ret_obj, struct stat *ret_stat)
{
    if (dfs_sys == NULL)
        return EINVAL;
    return dfs_lookup(
        dfs_sys->dfs, path, dfs_sys->dfs->amode | (flags & O_NOFOLLOW), ret_obj, NULL, ret_stat);
}

/* ---- attributes ----------------------------------------------------------------------------------------------------------- */

int
dfs_sys_access(dfs_sys_t *dfs_sys, const char *path, int mask, int flags)
{
    dfs_obj_t *obj;
    mode_t mode;
    int rc = path_open(dfs_sys, path, flags, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_get_mode(obj, &mode);
    if (rc == 0 && !S_ISLNK(mode)) /* a link itself may be read by all */
        rc = dfs_obj_access(obj, mask);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_sys_setattr(dfs_sys_t *dfs_sys, const char *path, struct stat *stbuf, int flags, int sflags)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, sflags, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_osetattr(dfs_sys->dfs, obj, stbuf, flags);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_sys_chmod(dfs_sys_t *dfs_sys, const char *path, mode_t mode)
{
    struct stat st = {.st_mode = mode};

    return dfs_sys_setattr(dfs_sys, path, &st, DFS_SET_ATTR_MODE, 0);
}

int
dfs_sys_chown(dfs_sys_t *dfs_sys, const char *path, uid_t uid, gid_t gid, int flags)
{
    struct stat st = {.st_uid = uid, .st_gid = gid};
    int set = (uid != (uid_t)-1 ? DFS_SET_ATTR_UID : 0) | (gid != (gid_t)-1 ? DFS_SET_ATTR_GID : 0);

    return dfs_sys_setattr(dfs_sys, path, &st, set, flags);
}

int
dfs_sys_utimens(dfs_sys_t *dfs_sys, const char *path, const struct timespec times[2], int flags)
{
    struct stat st = {0};
    uint64_t now_s, now_ns;

    if (dfs_sys == NULL)
        return EINVAL;
    if (times != NULL && times[1].tv_nsec == UTIME_OMIT)
        return dfs_sys_setattr(dfs_sys, path, &st, DFS_SET_ATTR_ATIME, flags);
    if (times == NULL || times[1].tv_nsec == UTIME_NOW) {
        dfs_now(&now_s, &now_ns);
        st.st_mtim = (struct timespec){.tv_sec = (time_t)now_s, .tv_nsec = (long)now_ns};
    } else {
        st.st_mtim = times[1];
    }
    return dfs_sys_setattr(dfs_sys, path, &st, DFS_SET_ATTR_ATIME | DFS_SET_ATTR_MTIME, flags);
}

int
dfs_sys_stat(dfs_sys_t *dfs_sys, const char *path, int flags, struct stat *stbuf)
{
    if (stbuf == NULL)
        return EINVAL;
    return path_open(dfs_sys, path, flags, NULL, stbuf);
}

/* ---- extended attributes ---------------------------------------------------------------------------------------------------- */

int
dfs_sys_listxattr(dfs_sys_t *dfs_sys, const char *path, char *list, daos_size_t *size, int flags)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, flags, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_listxattr(dfs_sys->dfs, obj, list, size);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_sys_getxattr(dfs_sys_t *dfs_sys, const char *path, const char *name, void *value,
    daos_size_t *size, int flags)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, flags, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_getxattr(dfs_sys->dfs, obj, name, value, size);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_sys_setxattr(dfs_sys_t *dfs_sys, const char *path, const char *name, const void *value,
    daos_size_t size, int flags, int sflags)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, sflags, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_setxattr(dfs_sys->dfs, obj, name, value, size, flags);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_sys_removexattr(dfs_sys_t *dfs_sys, const char *path, const char *name, int flags)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, flags, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_removexattr(dfs_sys->dfs, obj, name);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

/* ---- making and removing ------------------------------------------------------------------------------------------------------ */

int
dfs_sys_mknod(
    dfs_sys_t *dfs_sys, const char *path, mode_t mode, daos_oclass_id_t cid, daos_size_t chunk_size)
{
    dfs_obj_t *obj;
    int rc =
        dfs_sys_open(dfs_sys, path, mode, O_RDWR | O_CREAT | O_EXCL, cid, chunk_size, NULL, &obj);

    return rc != 0 ? rc : dfs_release(obj);
}

int
dfs_sys_readlink(dfs_sys_t *dfs_sys, const char *path, char *buf, daos_size_t *size)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, O_NOFOLLOW, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_get_symlink_value(obj, buf, size);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

int
dfs_sys_symlink(dfs_sys_t *dfs_sys, const char *target, const char *path)
{
    dfs_obj_t *obj;
    int rc = dfs_sys_open(dfs_sys, path, S_IFLNK, O_RDWR | O_CREAT | O_EXCL, 0, 0, target, &obj);

    return rc != 0 ? rc : dfs_release(obj);
}

/* A link stands where something else is to be opened: go where it leads. */
static int
open_followed(const struct place *place, mode_t mode, int flags, dfs_obj_t **ret_obj)
{
    dfs_obj_t *obj;
    mode_t found;
    int rc = dfs_lookup_rel(
        place->dfs, place->dir, place->name, flags & (O_ACCMODE | O_NOFOLLOW), &obj, &found, NULL);

    if (rc != 0)
        return rc;
    if ((found & S_IFMT) != (mode & S_IFMT))
        rc = S_ISDIR(found) ? EISDIR : (S_ISDIR(mode) ? ENOTDIR : EINVAL);
    if (rc == 0 && S_ISREG(mode) && (flags & O_TRUNC) != 0)
        rc = dfs_punch(place->dfs, obj, 0, DFS_MAX_FSIZE);
    if (rc != 0) {
        CAIRN_IGNORE(dfs_release(obj)); /* local */
        return rc;
    }
    *ret_obj = obj;
    return 0;
}

int
dfs_sys_open(dfs_sys_t *dfs_sys, const char *path, mode_t mode, int flags, daos_oclass_id_t cid,
    daos_size_t chunk_size, const char *value, dfs_obj_t **obj)
{
    struct place *place;
    int rc = place_get(dfs_sys, path, &place);

    if (rc != 0)
        return rc;
    if (place->name == NULL) {
        if ((flags & O_CREAT) != 0) {
            rc = EEXIST;
        } else {
            rc = S_ISDIR(mode) ? dfs_dup(place->dfs, place->dir, flags, obj) : EISDIR;
        }
    } else {
        rc = dfs_open(place->dfs, place->dir, place->name, mode, flags & ~O_NOFOLLOW, cid,
            chunk_size, value, obj);
        if (rc == ELOOP && (flags & O_NOFOLLOW) == 0)
            rc = open_followed(place, mode, flags, obj);
    }
    place_put(place);
    return rc;
}

int
dfs_sys_close(dfs_obj_t *obj)
{
    return dfs_release(obj);
}

int
dfs_sys_punch(dfs_sys_t *dfs_sys, const char *path, daos_off_t offset, daos_off_t len)
{
    dfs_obj_t *obj;
    int rc = path_open(dfs_sys, path, 0, &obj, NULL);

    if (rc != 0)
        return rc;
    rc = dfs_punch(dfs_sys->dfs, obj, offset, len);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

/* mode 0: of any type. */
int
dfs_sys_remove_type(dfs_sys_t *dfs_sys, const char *path, bool force, mode_t mode, daos_obj_id_t *oid)
{
    struct place *place;
    struct dfs_entry entry;
    int rc = place_get(dfs_sys, path, &place);

    if (rc != 0)
        return rc;
    if (place->name == NULL)
        rc = EBUSY; /* the root stays */
    if (rc == 0 && (mode & S_IFMT) != 0) {
        rc = dfs_name_check(place->name);
        if (rc == 0)
            rc = dfs_entry_fetch(place->dir->oh, place->name, &entry, NULL);
        if (rc == 0 && (entry.mode & S_IFMT) != (mode & S_IFMT))
            rc = S_ISDIR(entry.mode) ? EISDIR : (S_ISDIR(mode) ? ENOTDIR : EINVAL);
    }
    if (rc == 0)
        rc = dfs_remove(place->dfs, place->dir, place->name, force, oid);
    place_put(place);
    return rc;
}

int
dfs_sys_remove(dfs_sys_t *dfs_sys, const char *path, bool force, daos_obj_id_t *oid)
{
    return dfs_sys_remove_type(dfs_sys, path, force, 0, oid);
}

int
dfs_sys_mkdir(dfs_sys_t *dfs_sys, const char *dir, mode_t mode, daos_oclass_id_t cid)
{
    struct place *place;
    int rc = place_get(dfs_sys, dir, &place);

    if (rc != 0)
        return rc;
    rc = place->name == NULL ? EEXIST : dfs_mkdir(place->dfs, place->dir, place->name, mode, cid);
    place_put(place);
    return rc;
}

int
dfs_sys_mkdir_p(dfs_sys_t *dfs_sys, const char *dir_path, mode_t mode, daos_oclass_id_t cid)
{
    char path[PATH_MAX];
    size_t len, pos = 0;
    dfs_obj_t *obj;
    mode_t found;
    int rc = 0;

    if (dfs_sys == NULL || dir_path == NULL || dir_path[0] != '/')
        return EINVAL;
    len = strnlen(dir_path, PATH_MAX);
    if (len == PATH_MAX)
        return ENAMETOOLONG;
    memcpy(path, dir_path, len + 1);
    if (dfs_sys->dfs->prefix != NULL && dfs_path_inside(dfs_sys->dfs, path) != NULL)
        pos = dfs_sys->dfs->prefix_len;
    while (rc == 0 && pos < len) {
        size_t begin = pos + strspn(path + pos, "/"), end = begin + strcspn(path + begin, "/");
        char was = path[end];

        path[end] = '\0';
        if (end > begin)
            rc = dfs_sys_mkdir(dfs_sys, path, mode, cid);
        if (rc == EEXIST)
            rc = 0;
        path[end] = was;
        pos = end;
    }
    if (rc == 0)
        rc = path_open(dfs_sys, dir_path, 0, &obj, NULL);
    if (rc != 0)
        return rc;
    rc = dfs_get_mode(obj, &found);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc == 0 && !S_ISDIR(found) ? EEXIST : rc;
}

/* ---- transfers -------------------------------------------------------------------------------------------------------------- */

struct sys_io {
    dfs_t *dfs;
    dfs_obj_t *obj;
    void *buf;
    daos_off_t off;
    daos_size_t *size;
    bool is_write;
};

static int
sys_io_run(void *arg)
{
    struct sys_io *io = arg;
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

    d_iov_set(&iov, io->buf, *io->size);
    return err_from_errno(io->is_write ? dfs_write(io->dfs, io->obj, &sgl, io->off, NULL)
                                       : dfs_read(io->dfs, io->obj, &sgl, io->off, io->size, NULL));
}

static int
sys_io_start(struct sys_io *io, daos_event_t *ev)
{
    if (io->obj == NULL || io->size == NULL || (io->buf == NULL && *io->size > 0))
        return EINVAL;
    if (ev == NULL)
        return err_to_errno(sys_io_run(io));
    return client_tools_run(ev, sys_io_run, io, sizeof(*io));
}

int
dfs_sys_read(dfs_sys_t *dfs_sys, dfs_obj_t *obj, void *buf, daos_off_t off, daos_size_t *size,
    daos_event_t *ev)
{
    struct sys_io io = {.obj = obj, .buf = buf, .off = off, .size = size};

    if (dfs_sys == NULL)
        return EINVAL;
    io.dfs = dfs_sys->dfs;
    return sys_io_start(&io, ev);
}

int
dfs_sys_write(dfs_sys_t *dfs_sys, dfs_obj_t *obj, const void *buf, daos_off_t off,
    daos_size_t *size, daos_event_t *ev)
{
    struct sys_io io = {
        .obj = obj, .buf = (void *)(uintptr_t)buf, .off = off, .size = size, .is_write = true};

    if (dfs_sys == NULL)
        return EINVAL;
    io.dfs = dfs_sys->dfs;
    return sys_io_start(&io, ev);
}

/* ---- directories ---------------------------------------------------------------------------------------------------------------- */

/* What the caller holds as a DIR. */
struct sys_dir {
    dfs_obj_t *obj;
    daos_anchor_t anchor;
    uint32_t nr, next;
    struct dirent entries[READDIR_NR];
};

int
dfs_sys_opendir(dfs_sys_t *dfs_sys, const char *path, int flags, DIR **dirp)
{
    struct sys_dir *dir;
    mode_t mode;
    int rc;

    if (dirp == NULL)
        return EINVAL;
    dir = calloc(1, sizeof(*dir));
    if (dir == NULL)
        return ENOMEM;
    rc = path_open(dfs_sys, path, flags, &dir->obj, NULL);
    if (rc == 0) {
        rc = dfs_get_mode(dir->obj, &mode);
        if (rc == 0 && !S_ISDIR(mode))
            rc = ENOTDIR;
        if (rc != 0)
            CAIRN_IGNORE(dfs_release(dir->obj)); /* local */
    }
    if (rc != 0) {
        free(dir);
        return rc;
    }
    *dirp = (DIR *)(void *)dir;
    return 0;
}

int
dfs_sys_closedir(DIR *dirp)
{
    struct sys_dir *dir = (struct sys_dir *)(void *)dirp;
    int rc;

    if (dir == NULL)
        return EINVAL;
    rc = dfs_release(dir->obj);
    free(dir);
    return rc;
}

int
dfs_sys_readdir(dfs_sys_t *dfs_sys, DIR *dirp, struct dirent **dirent)
{
    struct sys_dir *dir = (struct sys_dir *)(void *)dirp;

    if (dfs_sys == NULL || dir == NULL || dirent == NULL)
        return EINVAL;
    while (dir->next == dir->nr && !daos_anchor_is_eof(&dir->anchor)) {
        uint32_t nr = READDIR_NR;
        int rc = dfs_readdir(dfs_sys->dfs, dir->obj, &dir->anchor, &nr, dir->entries);

        if (rc != 0)
            return rc;
        dir->nr = nr;
        dir->next = 0;
    }
    *dirent = dir->next < dir->nr ? &dir->entries[dir->next++] : NULL;
    return 0;
}
