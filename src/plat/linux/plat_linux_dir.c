/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Directories and small files, at start and stop only: these calls block.
 *
 * A directory is owned by flock() on its file LOCK, which the kernel drops when the last descriptor of the owner is gone, however it
 * died. The file holds the owner's pid for the message that the loser prints; it is never removed, since that would let two owners
 * lock two different files. A device, or a file that stands for one, carries the lock itself. A forked child gives the lock up through plat_linux_forked() (TH-4).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "plat/linux/plat_linux_priv.h"

struct plat_dirlock {
    struct plat_linux *pl;
    struct list_head link;
    int fd;
};

static int
path_check(const char *path)
{
    if (path == NULL || path[0] != '/')
        return CAIRN_ERR(BADPATH);
    if (strlen(path) >= PATH_MAX - 8) /* room for /LOCK and .tmp */
        return CAIRN_ERR(EXCEEDS_PATH_LEN);
    return 0;
}

static int
dir_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    if (fsync(fd) != 0 && errno != EINVAL) /* EINVAL: a file system that does not need it */
        rc = PLAT_LINUX_ERR(errno);
    close(fd);
    return rc;
}

int
plat_linux_dir_sync_parent(const char *path)
{
    char parent[PATH_MAX];
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    if (len == 0)
        return dir_sync(".");
    if (len >= sizeof(parent))
        return CAIRN_ERR(EXCEEDS_PATH_LEN);
    memcpy(parent, path, len);
    parent[len] = '\0';
    return dir_sync(parent);
}

int
plat_linux_dir_create(struct plat *plat, const char *path)
{
    char part[PATH_MAX];
    struct stat st;
    int rc = path_check(path);

    (void)plat;
    for (size_t i = 1; rc == 0; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) == 0) {
            rc = plat_linux_dir_sync_parent(part);
        } else if (errno != EEXIST)
            rc = PLAT_LINUX_ERR(errno);
        if (path[i] == '\0')
            break;
    }
    if (rc == 0 && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        rc = CAIRN_ERR(NOTDIR);
    return rc;
}

/* ---- locks ---------------------------------------------------------------------------------------------------------- */

static void
dirlock_log_owner(int fd, const char *path)
{
    char pid[16] = "?";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    if (n > 0)
        pid[n] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    LOG_DEBUG("%s is in use by process %s: stop that process or choose another directory", path, pid);
}

/* The file that carries the lock; a device that is mounted, or that somebody has for himself, is BUSY. */
static int
dirlock_open(const char *path, int *ret_fd, bool *ret_is_dir)
{
    int oflags = O_RDWR | O_CLOEXEC;
    char file[PATH_MAX];
    struct stat st;
    int fd;

    if (stat(path, &st) != 0)
        return PLAT_LINUX_ERR(errno);
    *ret_is_dir = S_ISDIR(st.st_mode);
    if (S_ISDIR(st.st_mode)) {
        snprintf(file, sizeof(file), "%.*s/LOCK", PATH_MAX - 8, path);
        fd = open(file, oflags | O_CREAT, 0600);
    } else {
        fd = open(path, oflags | (S_ISBLK(st.st_mode) ? O_EXCL : 0));
    }
    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    *ret_fd = fd;
    return 0;
}

static int
dirlock_pid_write(int fd)
{
    char pid[16];
    int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
        return PLAT_LINUX_ERR(errno);
    return 0;
}

int
plat_linux_dir_lock(struct plat *plat, const char *path, struct plat_dirlock **ret_lock)
{
    struct plat_linux *pl = plat_linux_of(plat);
    struct plat_dirlock *lock = NULL;
    bool is_dir = true;
    int fd = -1;
    int rc = path_check(path);

    if (rc != 0)
        return rc;
    lock = calloc(1, sizeof(*lock));
    if (lock == NULL)
        return CAIRN_ERR(NOMEM);
    rc = dirlock_open(path, &fd, &is_dir);
    if (rc != 0)
        goto out;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? CAIRN_ERR(BUSY) : PLAT_LINUX_ERR(errno);
        if (errno == EWOULDBLOCK && is_dir)
            dirlock_log_owner(fd, path);
        goto out;
    }
    rc = is_dir ? dirlock_pid_write(fd) : 0;
    if (rc != 0)
        goto out;
    lock->pl = pl;
    lock->fd = fd;
    pthread_mutex_lock(&pl->lists_lock);
    list_add_tail(&lock->link, &pl->dirlocks);
    pthread_mutex_unlock(&pl->lists_lock);
    *ret_lock = lock;
    lock = NULL;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    free(lock);
    return rc;
}

void
plat_linux_dir_unlock(struct plat_dirlock *lock)
{
    if (lock == NULL)
        return;
    pthread_mutex_lock(&lock->pl->lists_lock);
    list_del(&lock->link);
    pthread_mutex_unlock(&lock->pl->lists_lock);
    if (lock->fd >= 0)
        close(lock->fd);
    free(lock);
}

void
plat_linux_dir_forked(struct plat_linux *pl)
{
    struct plat_dirlock *lock;

    LIST_FOREACH(lock, &pl->dirlocks, struct plat_dirlock, link) {
        if (lock->fd >= 0)
            close(lock->fd);
        lock->fd = -1;
    }
}

/* ---- listing -------------------------------------------------------------------------------------------------------- */

static int
name_is_listed(const struct dirent *ent)
{
    const char *dot = strrchr(ent->d_name, '.');

    if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
        return 0;
    return dot == NULL || strcmp(dot, ".tmp") != 0; /* spares of plat_linux_file_write() */
}

static int
name_cmp(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int
plat_linux_dir_list(
    struct plat *plat, const char *path, void (*fn)(void *arg, const char *name), void *arg)
{
    struct dirent **ents = NULL;
    int nr;
    int rc = path_check(path);

    (void)plat;
    if (rc != 0)
        return rc;
    nr = scandir(path, &ents, name_is_listed, name_cmp);
    if (nr < 0)
        return PLAT_LINUX_ERR(errno);
    for (int i = 0; i < nr; i++) {
        fn(arg, ents[i]->d_name);
        free(ents[i]);
    }
    free(ents);
    return 0;
}

/* ---- small files ---------------------------------------------------------------------------------------------------- */

int
plat_linux_file_read(struct plat *plat, const char *path, void *buf, size_t buf_len, size_t *ret_len)
{
    struct stat st;
    size_t len = 0;
    int fd;
    int rc = path_check(path);

    (void)plat;
    if (rc != 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    if (fstat(fd, &st) != 0) {
        rc = PLAT_LINUX_ERR(errno);
    } else if (st.st_size > 0 && (uint64_t)st.st_size > buf_len)
        rc = CAIRN_ERR(TRUNC);
    while (rc == 0 && len < buf_len) {
        ssize_t n = read(fd, (uint8_t *)buf + len, buf_len - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = PLAT_LINUX_ERR(errno);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    if (rc == 0)
        *ret_len = len;
    return rc;
}

/* Over what is there, without giving its blocks back first. */
static int
file_fill(const char *path, const void *buf, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    size_t off = 0;
    int rc = 0;

    if (fd < 0)
        return PLAT_LINUX_ERR(errno);
    while (rc == 0 && off < len) {
        ssize_t n = pwrite(fd, (const uint8_t *)buf + off, len - off, (off_t)off);

        if (n >= 0) {
            off += (size_t)n;
        } else if (errno != EINTR)
            rc = PLAT_LINUX_ERR(errno);
    }
    if (rc == 0 && (ftruncate(fd, (off_t)len) != 0 || fsync(fd) != 0))
        rc = PLAT_LINUX_ERR(errno);
    if (close(fd) != 0 && rc == 0)
        rc = PLAT_LINUX_ERR(errno);
    return rc;
}

/*
 * Two files take turns: the new content goes into the spare, then they change names. The spare keeps its blocks, so that writing a file again, with no more
 * bytes than before, needs no space: an engine starts on a full file system (ST-8).
 */
int
plat_linux_file_write(struct plat *plat, const char *path, const void *buf, size_t len)
{
    char spare[PATH_MAX];
    int rc = path_check(path);

    (void)plat;
    if (rc != 0)
        return rc;
    snprintf(spare, sizeof(spare), "%.*s.tmp", PATH_MAX - 8, path);
    rc = file_fill(spare, buf, len);
    if (rc != 0)
        return rc;
    if (renameat2(AT_FDCWD, spare, AT_FDCWD, path, RENAME_EXCHANGE) != 0) {
        if (rename(spare, path) != 0) { /* it is new, or the file system cannot exchange */
            rc = PLAT_LINUX_ERR(errno);
            unlink(spare);
            return rc;
        }
        rc = plat_linux_dir_sync_parent(path);
        return rc != 0 ? rc : file_fill(spare, buf, len);
    }
    return plat_linux_dir_sync_parent(path);
}

int
plat_linux_file_remove(struct plat *plat, const char *path)
{
    char spare[PATH_MAX];
    int rc = path_check(path);

    (void)plat;
    if (rc != 0)
        return rc;
    if (unlink(path) != 0)
        return PLAT_LINUX_ERR(errno);
    snprintf(spare, sizeof(spare), "%.*s.tmp", PATH_MAX - 8, path);
    unlink(spare); /* of plat_linux_file_write() */
    return plat_linux_dir_sync_parent(path);
}
