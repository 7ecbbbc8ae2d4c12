/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * See cli_copy_side.h. A directory is a descriptor on the host, a dfs_obj_t in a container. Requests for a container: a file is made and written in 3 (create, write, attributes), a
 * link in 2, a directory in 3; looking at a thing is 1 and its object's stat.
 */
#include "control/cli_user/cli_copy_side.h"

#include "client/dfs/dfs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    XATTR_LIST_BYTES = 65536,
    XATTR_VALUE_BYTES = 65536
}; /* Linux gives no more, libdfs no larger values */

struct side_dir {
    dfs_t *dfs;
    dfs_obj_t *obj;
    int fd;
};

struct side_file {
    dfs_t *dfs;
    dfs_obj_t *obj;
    int fd;
};

/* ---- directories ----------------------------------------------------------------------------------------------------------- */

void
side_dir_close(struct side_dir *dir)
{
    if (dir == NULL)
        return;
    if (dir->dfs != NULL) {
        (void)dfs_release(dir->obj);
    } else {
        (void)close(dir->fd);
    }
    free(dir);
}

/* Wrap what was opened; takes it over also on failure. */
static int
dir_wrap(dfs_t *dfs, dfs_obj_t *obj, int fd, struct side_dir **ret_dir)
{
    struct side_dir *dir = malloc(sizeof(*dir));

    if (dir != NULL) {
        *dir = (struct side_dir){.dfs = dfs, .obj = obj, .fd = fd};
        *ret_dir = dir;
        return 0;
    }
    if (dfs != NULL) {
        (void)dfs_release(obj);
    } else {
        (void)close(fd);
    }
    return ENOMEM;
}

static int
dir_from_dfs(dfs_t *dfs, dfs_obj_t *obj, mode_t mode, struct side_dir **ret_dir)
{
    if (!S_ISDIR(mode)) {
        (void)dfs_release(obj);
        return ENOTDIR;
    }
    return dir_wrap(dfs, obj, -1, ret_dir);
}

int
side_dir_open(const struct copy_side *side, const char *path, struct side_dir **ret_dir)
{
    dfs_obj_t *obj;
    mode_t mode;
    int fd, rc;

    if (side->dfs != NULL) {
        rc = dfs_lookup(side->dfs, path, O_RDWR, &obj, &mode, NULL);
        return rc != 0 ? rc : dir_from_dfs(side->dfs, obj, mode, ret_dir);
    }
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? errno : dir_wrap(NULL, NULL, fd, ret_dir);
}

int
side_dir_open_at(struct side_dir *dir, const char *name, struct side_dir **ret_dir)
{
    dfs_obj_t *obj;
    mode_t mode;
    int fd, rc;

    if (dir->dfs != NULL) {
        rc = dfs_lookup_rel(dir->dfs, dir->obj, name, O_RDWR | O_NOFOLLOW, &obj, &mode, NULL);
        return rc != 0 ? rc : dir_from_dfs(dir->dfs, obj, mode, ret_dir);
    }
    fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? errno : dir_wrap(NULL, NULL, fd, ret_dir);
}

int
side_dir_make(struct side_dir *dir, const char *name)
{
    if (dir->dfs != NULL)
        return dfs_mkdir(dir->dfs, dir->obj, name, 0700, 0);
    return mkdirat(dir->fd, name, 0700) == 0 ? 0 : errno;
}

static int
host_list(struct side_dir *dir, int (*fn)(void *arg, const char *name), void *arg)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (stream == NULL) {
        rc = errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while (rc == 0) {
        errno = 0;
        entry = readdir(stream);
        if (entry == NULL) {
            rc = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = fn(arg, entry->d_name);
    }
    (void)closedir(stream);
    return rc;
}

int
side_dir_list(struct side_dir *dir, int (*fn)(void *arg, const char *name), void *arg)
{
    enum { NR = 256 };
    struct dirent *entries;
    daos_anchor_t anchor = {0};
    int rc = 0;

    if (dir->dfs == NULL)
        return host_list(dir, fn, arg);
    entries = malloc(NR * sizeof(*entries));
    if (entries == NULL)
        return ENOMEM;
    while (rc == 0 && !daos_anchor_is_eof(&anchor)) {
        uint32_t nr = NR;

        rc = dfs_readdir(dir->dfs, dir->obj, &anchor, &nr, entries);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            rc = fn(arg, entries[i].d_name);
        }
    }
    free(entries);
    return rc;
}

/* Not permitted, or an owner that this machine (its user namespace) does not have. */
static bool
is_owner_left(int err)
{
    return err == EPERM || err == EINVAL;
}

/* The owner first: a change of it takes set-user-id bits away. */
static int
fd_attr_set(int fd, const struct stat *st, bool with_owner, bool *ret_left)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

    if (with_owner && fchown(fd, st->st_uid, st->st_gid) != 0) {
        if (!is_owner_left(errno))
            return errno;
        *ret_left = true;
    }
    if (fchmod(fd, st->st_mode & 07777) != 0 || futimens(fd, times) != 0)
        return errno;
    return 0;
}

static int
dfs_flags(bool with_owner)
{
    return DFS_SET_ATTR_MODE | DFS_SET_ATTR_MTIME |
        (with_owner ? DFS_SET_ATTR_UID | DFS_SET_ATTR_GID : 0);
}

int
side_dir_attr_set(struct side_dir *dir, const struct stat *st, bool with_owner, bool *ret_left)
{
    if (dir->dfs == NULL)
        return fd_attr_set(dir->fd, st, with_owner, ret_left);
    return dfs_tools_attr_set(dir->dfs, dir->obj, st, dfs_flags(with_owner));
}

/* ---- extended attributes ---------------------------------------------------------------------------------------------------- */

/* What they belong to: a file or a directory of either kind. */
struct holder {
    dfs_t *dfs;
    dfs_obj_t *obj;
    int fd;
};

/* Names, each with its terminator, in `*ret_list` (the caller's). 0 of them when the file system has none. */
static int
xattrs_list(const struct holder *src, char **ret_list, size_t *ret_len)
{
    daos_size_t room = XATTR_LIST_BYTES;
    char *list = malloc(room);
    ssize_t nr;
    int rc;

    *ret_list = list;
    *ret_len = 0;
    if (list == NULL)
        return ENOMEM;
    if (src->dfs != NULL) {
        rc = dfs_listxattr(src->dfs, src->obj, list, &room);
        if (rc == 0)
            *ret_len = room;
        return rc;
    }
    nr = flistxattr(src->fd, list, room);
    if (nr < 0)
        return errno == ENOTSUP ? 0 : errno;
    *ret_len = (size_t)nr;
    return 0;
}

static int
xattr_copy(const struct holder *src, const struct holder *dst, const char *name, char *value,
    bool *ret_left)
{
    daos_size_t len = XATTR_VALUE_BYTES;
    ssize_t nr;
    int rc = 0;

    if (src->dfs != NULL) {
        rc = dfs_getxattr(src->dfs, src->obj, name, value, &len);
    } else {
        nr = fgetxattr(src->fd, name, value, len);
        rc = nr < 0 ? errno : 0;
        len = nr < 0 ? 0 : (size_t)nr;
    }
    if (rc != 0)
        return rc == ENODATA ? 0 : rc; /* removed while we copy */
    if (dst->dfs != NULL && len == 0) {
        *ret_left = true; /* the file system of a container has no empty ones */
        return 0;
    }
    if (dst->dfs != NULL)
        return dfs_setxattr(dst->dfs, dst->obj, name, value, len, 0);
    if (fsetxattr(dst->fd, name, value, len, 0) == 0)
        return 0;
    if (errno != ENOTSUP && errno != EPERM && errno != ENOSPC && errno != E2BIG && errno != ERANGE)
        return errno;
    *ret_left = true; /* ENOSPC: larger than the host's file system gives them */
    return 0;
}

static int
xattrs_copy(const struct holder *src, const struct holder *dst, bool *ret_left)
{
    char *list = NULL, *value = NULL;
    size_t len = 0;
    int rc = xattrs_list(src, &list, &len);

    for (size_t pos = 0; rc == 0 && pos < len; pos += strlen(list + pos) + 1) {
        if (strncmp(list + pos, "user.", 5) != 0)
            continue; /* the system's own */
        if (value == NULL)
            value = malloc(XATTR_VALUE_BYTES);
        rc = value == NULL ? ENOMEM : xattr_copy(src, dst, list + pos, value, ret_left);
    }
    free(value);
    free(list);
    return rc;
}

int
side_dir_xattrs_copy(struct side_dir *src, struct side_dir *dst, bool *ret_left)
{
    struct holder from = {src->dfs, src->obj, src->fd}, to = {dst->dfs, dst->obj, dst->fd};

    return xattrs_copy(&from, &to, ret_left);
}

int
side_file_xattrs_copy(struct side_node *src, struct side_file *dst, bool *ret_left)
{
    struct holder from = {src->dfs, src->obj, src->fd}, to = {dst->dfs, dst->obj, dst->fd};

    return xattrs_copy(&from, &to, ret_left);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------------------ */

int
side_node_open(struct side_dir *dir, const char *name, struct side_node *ret_node)
{
    *ret_node = (struct side_node){.dfs = dir->dfs, .fd = -1};
    if (dir->dfs != NULL) {
        return dfs_lookup_rel(
            dir->dfs, dir->obj, name, O_RDONLY | O_NOFOLLOW, &ret_node->obj, NULL, &ret_node->st);
    }
    return fstatat(dir->fd, name, &ret_node->st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

void
side_node_close(struct side_node *node)
{
    if (node->obj != NULL)
        (void)dfs_release(node->obj);
    if (node->fd >= 0)
        (void)close(node->fd);
}

int
side_node_link_read(
    struct side_dir *dir, const char *name, struct side_node *node, char *buf, size_t buf_bytes)
{
    daos_size_t size = buf_bytes;
    ssize_t len;
    int rc;

    if (node->dfs != NULL) {
        rc = dfs_get_symlink_value(node->obj, buf, &size);
        return rc == 0 && size > buf_bytes ? ENAMETOOLONG : rc;
    }
    len = readlinkat(dir->fd, name, buf, buf_bytes);
    if (len < 0)
        return errno;
    if ((size_t)len >= buf_bytes)
        return ENAMETOOLONG;
    buf[len] = '\0';
    return 0;
}

int
side_node_file_open(struct side_dir *dir, const char *name, struct side_node *node)
{
    if (node->dfs != NULL)
        return 0;
    node->fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return node->fd < 0 ? errno : 0;
}

/* In a container no more is asked for than the size known: a read that reaches beyond the end makes libdaos look for the end. */
static int
dfs_node_read(struct side_node *node, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_size_t got = 0,
                left = (uint64_t)node->st.st_size > off ? (uint64_t)node->st.st_size - off : 0;
    int rc;

    if (left == 0) {
        *ret_len = 0;
        return 0;
    }
    d_iov_set(&iov, buf, left < len ? left : len);
    rc = dfs_read(node->dfs, node->obj, &sgl, off, &got, NULL);
    if (rc == 0)
        *ret_len = got;
    return rc;
}

int
side_node_read(struct side_node *node, uint64_t off, void *buf, size_t len, size_t *ret_len)
{
    if (node->dfs != NULL)
        return dfs_node_read(node, off, buf, len, ret_len);
    for (size_t got = 0;;) {
        ssize_t nr = pread(node->fd, (char *)buf + got, len - got, (off_t)(off + got));

        if (nr < 0 && errno == EINTR)
            continue;
        if (nr < 0)
            return errno;
        got += (size_t)nr;
        if (nr == 0 || got == len) {
            *ret_len = got;
            return 0;
        }
    }
}

/* ---- links -------------------------------------------------------------------------------------------------------------------- */

static int
host_link_make(struct side_dir *dir, const char *name, const char *value, const struct stat *st,
    bool with_owner, bool *ret_left)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

    if (symlinkat(value, dir->fd, name) != 0) {
        if (errno != EEXIST)
            return errno;
        if (unlinkat(dir->fd, name, 0) != 0 || symlinkat(value, dir->fd, name) != 0)
            return errno;
    }
    if (with_owner && fchownat(dir->fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
        if (!is_owner_left(errno))
            return errno;
        *ret_left = true;
    }
    return utimensat(dir->fd, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

int
side_link_make(struct side_dir *dir, const char *name, const char *value, const struct stat *st,
    bool with_owner, bool *ret_left)
{
    const int flags = O_CREAT | O_EXCL | O_RDWR;
    dfs_obj_t *obj;
    struct stat old;
    int rc;

    if (dir->dfs == NULL)
        return host_link_make(dir, name, value, st, with_owner, ret_left);
    rc = dfs_open(dir->dfs, dir->obj, name, S_IFLNK | 0777, flags, 0, 0, value, &obj);
    if (rc == EEXIST) {
        rc = dfs_stat(dir->dfs, dir->obj, name, &old);
        if (rc == 0 && !S_ISLNK(old.st_mode))
            rc = EEXIST;
        if (rc == 0)
            rc = dfs_remove(dir->dfs, dir->obj, name, false, NULL);
        if (rc == 0)
            rc = dfs_open(dir->dfs, dir->obj, name, S_IFLNK | 0777, flags, 0, 0, value, &obj);
    }
    if (rc != 0)
        return rc;
    rc = dfs_tools_attr_set(dir->dfs, obj, st, dfs_flags(with_owner) & ~DFS_SET_ATTR_MODE);
    (void)dfs_release(obj);
    return rc;
}

/* ---- files -------------------------------------------------------------------------------------------------------------------- */

int
side_file_make(struct side_dir *dir, const char *name, struct side_file **ret_file)
{
    struct side_file *file = malloc(sizeof(*file));
    int rc = 0;

    if (file == NULL)
        return ENOMEM;
    *file = (struct side_file){.dfs = dir->dfs, .fd = -1};
    if (dir->dfs != NULL) {
        rc = dfs_open(dir->dfs, dir->obj, name, S_IFREG | 0600, O_RDWR | O_CREAT | O_TRUNC, 0, 0,
            NULL, &file->obj);
    } else {
        file->fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file->fd < 0)
            rc = errno;
    }
    if (rc != 0) {
        free(file);
        return rc;
    }
    *ret_file = file;
    return 0;
}

int
side_file_write(struct side_file *file, uint64_t off, const void *buf, size_t len)
{
    if (file->dfs != NULL) {
        d_iov_t iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

        d_iov_set(&iov, (void *)(uintptr_t)buf, len);
        return dfs_write(file->dfs, file->obj, &sgl, off, NULL);
    }
    for (size_t put = 0; put < len;) {
        ssize_t nr = pwrite(file->fd, (const char *)buf + put, len - put, (off_t)(off + put));

        if (nr < 0 && errno != EINTR)
            return errno;
        if (nr > 0)
            put += (size_t)nr;
    }
    return 0;
}

int
side_file_size_set(struct side_file *file, uint64_t size)
{
    if (file->dfs != NULL)
        return dfs_punch(file->dfs, file->obj, size, DFS_MAX_FSIZE);
    return ftruncate(file->fd, (off_t)size) == 0 ? 0 : errno;
}

int
side_file_attr_set(struct side_file *file, const struct stat *st, bool with_owner, bool *ret_left)
{
    if (file->dfs == NULL)
        return fd_attr_set(file->fd, st, with_owner, ret_left);
    return dfs_tools_attr_set(file->dfs, file->obj, st, dfs_flags(with_owner));
}

int
side_file_close(struct side_file *file)
{
    int rc = 0;

    if (file == NULL)
        return 0;
    if (file->dfs != NULL) {
        rc = dfs_release(file->obj);
    } else if (close(file->fd) != 0) {
        rc = errno;
    }
    free(file);
    return rc;
}
