/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Paths and names to handles: one request for each component, none for "." and "..".
 *
 * A walk keeps the directories it came through on a stack, so that ".." needs nothing stored; a symbolic link's target replaces what is left of the path. Links are
 * counted, so that it ends (DFS_SYMLINKS_NR_MAX). From a directory other than the root ".." reaches one level above it, which the handle knows; beyond that ENOTSUP.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "client/dfs/dfs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Directories on the way: dirs[0] stands for where the walk began (borrowed until something takes its place), the rest below it. */
struct walk {
    struct dfs *dfs;
    struct dfs_obj **dirs;
    uint32_t dir_nr, dir_max;
    bool is_start_borrowed;
    bool is_above; /* dirs[0] is the directory above the start: nothing is known of what is above that */
    uint32_t links_nr;
    char *left, *next; /* of PATH_MAX: what is left of the path, and room to put together another */
};

static void
walk_cut(struct walk *walk, uint32_t dir_nr)
{
    while (walk->dir_nr > dir_nr) {
        walk->dir_nr--;
        if (walk->dir_nr > 0 || !walk->is_start_borrowed)
            CAIRN_IGNORE(dfs_release(walk->dirs[walk->dir_nr])); /* local */
    }
}

static void
walk_fini(struct walk *walk)
{
    walk_cut(walk, 0);
    free(walk->dirs);
    free(walk->left);
    free(walk->next);
}

/* Takes over `dir`, also on failure, unless it is borrowed. */
static int
walk_push(struct walk *walk, struct dfs_obj *dir, bool is_borrowed)
{
    if (walk->dir_nr == walk->dir_max) {
        uint32_t max = walk->dir_max == 0 ? 16 : walk->dir_max * 2;
        struct dfs_obj **dirs = realloc(walk->dirs, max * sizeof(struct dfs_obj *));

        if (dirs == NULL) {
            if (!is_borrowed)
                CAIRN_IGNORE(dfs_release(dir)); /* local */
            return ENOMEM;
        }
        walk->dirs = dirs;
        walk->dir_max = max;
    }
    if (walk->dir_nr == 0)
        walk->is_start_borrowed = is_borrowed;
    walk->dirs[walk->dir_nr++] = dir;
    return 0;
}

static int
walk_init(struct walk *walk, struct dfs *dfs, struct dfs_obj *start, const char *path)
{
    size_t len = strnlen(path, PATH_MAX);

    *walk = (struct walk){.dfs = dfs};
    if (len == PATH_MAX)
        return ENAMETOOLONG;
    walk->left = malloc(PATH_MAX);
    walk->next = malloc(PATH_MAX);
    if (walk->left == NULL || walk->next == NULL)
        return ENOMEM;
    memcpy(walk->left, path, len + 1);
    return walk_push(walk, start, true);
}

static int
walk_up(struct walk *walk)
{
    struct dfs_obj *start = walk->dirs[0], *above;
    struct dfs_entry entry = {.mode = S_IFDIR, .oid = start->parent_oid};
    static const daos_obj_id_t none;
    int rc;

    if (walk->dir_nr > 1) {
        walk_cut(walk, walk->dir_nr - 1);
        return 0;
    }
    if (dfs_oid_is_same(start->entry.oid, walk->dfs->root_oid))
        return 0;
    if (walk->is_above)
        return ENOTSUP;
    if (dfs_oid_is_same(start->parent_oid, walk->dfs->root_oid)) {
        walk_cut(walk, 0);
        return walk_push(walk, walk->dfs->root, true);
    }
    rc = dfs_obj_from_entry(walk->dfs, &none, "..", &entry, NULL, walk->dfs->amode, &above);
    if (rc != 0)
        return rc;
    walk_cut(walk, 0);
    walk->is_above = true;
    return walk_push(walk, above, false);
}

/* Put a link's target before what is left. `obj` is the caller's. */
static int
walk_link(struct walk *walk, const struct dfs_obj *obj, const char *left)
{
    size_t value_len = strlen(obj->value), left_len = strlen(left);
    char *swap;

    if (++walk->links_nr > DFS_SYMLINKS_NR_MAX)
        return ELOOP;
    if (value_len + 1 + left_len >= PATH_MAX)
        return ENAMETOOLONG;
    memcpy(walk->next, obj->value, value_len);
    walk->next[value_len] = '/';
    memcpy(walk->next + value_len + 1, left, left_len + 1);
    if (left_len == 0)
        walk->next[value_len] = '\0';
    swap = walk->left;
    walk->left = walk->next;
    walk->next = swap;
    if (walk->left[0] != '/')
        return 0;
    walk_cut(walk, 0); /* absolute: from the root of the container */
    walk->is_above = false;
    return walk_push(walk, walk->dfs->root, true);
}

/* One name in a directory, not following links. */
static int
lookup_one(struct dfs *dfs, struct dfs_obj *dir, const char *name, int flags, struct dfs_obj **ret_obj)
{
    struct dfs_entry entry;
    char *value = NULL;
    int rc = dfs_entry_fetch(dir->oh, name, &entry, &value);

    if (rc == 0)
        rc = dfs_obj_from_entry(dfs, &dir->entry.oid, name, &entry, value, flags, ret_obj);
    if (rc != 0)
        free(value);
    return rc;
}

/* The next component of *pos; len 0: the end. ENAMETOOLONG. */
static int
component_next(const char **pos, char *name, size_t *ret_len)
{
    size_t len;

    *pos += strspn(*pos, "/");
    len = strcspn(*pos, "/");
    if (len > DFS_NAME_BYTES_MAX)
        return ENAMETOOLONG;
    memcpy(name, *pos, len);
    name[len] = '\0';
    *pos += len;
    *ret_len = len;
    return 0;
}

/* Go along walk->left. `*ret_obj` returns owned: what it leads to, or NULL: the directory on top of the stack. */
static int
walk_run(struct walk *walk, int flags, struct dfs_obj **ret_obj)
{
    const char *pos = walk->left;

    for (;;) {
        char name[DFS_NAME_BYTES_MAX + 1];
        struct dfs_obj *obj;
        bool is_last, wants_dir;
        size_t len;
        int rc = component_next(&pos, name, &len);

        if (rc != 0)
            return rc;
        if (len == 0) {
            *ret_obj = NULL;
            return 0;
        }
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            rc = walk_up(walk);
            if (rc != 0)
                return rc;
            continue;
        }
        rc = lookup_one(walk->dfs, walk->dirs[walk->dir_nr - 1], name, flags, &obj);
        if (rc != 0)
            return rc;
        wants_dir = pos[0] == '/';
        is_last = pos[strspn(pos, "/")] == '\0';
        if (S_ISLNK(obj->entry.mode) && (!is_last || (flags & O_NOFOLLOW) == 0)) {
            rc = walk_link(walk, obj, pos);
            CAIRN_IGNORE(dfs_release(obj)); /* local */
            if (rc != 0)
                return rc;
            pos = walk->left;
            continue;
        }
        if (!S_ISDIR(obj->entry.mode) && wants_dir) {
            CAIRN_IGNORE(dfs_release(obj)); /* local */
            return ENOTDIR;
        }
        if (is_last) {
            *ret_obj = obj;
            return 0;
        }
        rc = walk_push(walk, obj, false);
        if (rc != 0)
            return rc;
    }
}

int
dfs_walk(struct dfs *dfs, struct dfs_obj *start, const char *path, int flags, dfs_obj_t **ret_obj,
    mode_t *ret_mode, struct stat *ret_stat)
{
    struct dfs_obj *obj = NULL;
    struct walk walk;
    bool is_top = false;
    int rc = walk_init(&walk, dfs, start, path);

    CAIRN_ASSERT(S_ISDIR(start->entry.mode));
    if (rc == 0)
        rc = walk_run(&walk, flags, &obj);
    if (rc == 0 && obj == NULL) { /* nothing but slashes and dots at the end */
        is_top = true;
        rc = walk.is_above && walk.dir_nr == 1
            ? ENOTSUP
            : dfs_dup(dfs, walk.dirs[walk.dir_nr - 1], flags & ~O_ACCMODE, &obj);
        if (rc == 0)
            obj->flags = flags;
    }
    walk_fini(&walk);
    if (rc == 0 &&
        ret_stat != NULL) /* an entry that was just read is good enough, one of the stack may be old */
    {
        rc = is_top ? dfs_ostat(dfs, obj, ret_stat)
                    : dfs_entry_stat(dfs, obj->oh, &obj->entry, ret_stat);
    }
    if (rc == 0 && ret_mode != NULL)
        *ret_mode = obj->entry.mode;
    if (rc == 0 && ret_obj != NULL) {
        *ret_obj = obj;
    } else if (obj != NULL) {
        CAIRN_IGNORE(dfs_release(obj)); /* local */
    }
    return rc;
}

const char *
dfs_path_inside(const struct dfs *dfs, const char *path)
{
    if (path == NULL || path[0] != '/')
        return NULL;
    if (dfs->prefix == NULL)
        return path;
    if (strncmp(path, dfs->prefix, dfs->prefix_len) != 0 ||
        (path[dfs->prefix_len] != '/' && path[dfs->prefix_len] != '\0'))
        return NULL;
    return path + dfs->prefix_len;
}

int
dfs_lookup(dfs_t *dfs, const char *path, int flags, dfs_obj_t **obj, mode_t *mode, struct stat *stbuf)
{
    if (dfs == NULL)
        return EINVAL;
    path = dfs_path_inside(dfs, path);
    return path == NULL ? EINVAL : dfs_walk(dfs, dfs->root, path, flags, obj, mode, stbuf);
}

int
dfs_lookup_rel(dfs_t *dfs, dfs_obj_t *parent, const char *name, int flags, dfs_obj_t **obj,
    mode_t *mode, struct stat *stbuf)
{
    int rc = dfs_parent_check(dfs, &parent, name);

    return rc != 0 ? rc : dfs_walk(dfs, parent, name, flags, obj, mode, stbuf);
}

int
dfs_lookupx(dfs_t *dfs, dfs_obj_t *parent, const char *name, int flags, dfs_obj_t **ret_obj,
    mode_t *mode, struct stat *stbuf, int xnr, char *xnames[], void *xvals[], daos_size_t *xsizes)
{
    dfs_obj_t *obj;
    int rc;

    if (ret_obj == NULL || xnr < 0 ||
        (xnr > 0 && (xnames == NULL || xvals == NULL || xsizes == NULL)))
        return EINVAL;
    rc = dfs_lookup_rel(dfs, parent, name, flags, &obj, mode, stbuf);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < xnr; i++) {
        rc = dfs_getxattr(dfs, obj, xnames[i], xvals[i], &xsizes[i]);
        if (rc == ENODATA) {
            xsizes[i] = 0;
            rc = 0;
        }
    }
    if (rc != 0) {
        CAIRN_IGNORE(dfs_release(obj)); /* local */
        return rc;
    }
    *ret_obj = obj;
    return 0;
}
