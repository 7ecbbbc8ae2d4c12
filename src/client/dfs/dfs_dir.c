/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Directories: listing and removal.
 *
 * Removal: the entry goes first, the object after it (DFS-4). That a directory is empty is looked up before its entry goes; what another client creates in between is
 * removed with it from view (until there are transactions).
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_KEYS_NR = 512, LIST_BYTES = 24 << 10 };

/* ---- listing ---------------------------------------------------------------------------------------------------------- */

/* One round of names; names lie in buf one after the other. */
struct names {
    uint32_t nr;
    daos_key_desc_t kds[LIST_KEYS_NR];
    char buf[LIST_BYTES];
};

static int
list_check(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr)
{
    if (dfs == NULL || obj == NULL || anchor == NULL || nr == NULL)
        return EINVAL;
    return S_ISDIR(obj->entry.mode) ? 0 : ENOTDIR;
}

/* fn gets at most `nr` names, terminated; a non-zero answer ends the listing with it. */
static int
list_each(daos_handle_t oh, daos_anchor_t *anchor, uint32_t nr,
    int (*fn)(void *arg, const char *name), void *arg)
{
    struct names *names = malloc(sizeof(*names));
    int rc = 0;

    if (names == NULL)
        return ENOMEM;
    while (rc == 0 && nr > 0 && !daos_anchor_is_eof(anchor)) {
        const char *pos = names->buf;
        d_iov_t iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

        names->nr = MIN(nr, (uint32_t)LIST_KEYS_NR);
        d_iov_set(&iov, names->buf, sizeof(names->buf));
        rc = err_to_errno(
            daos_obj_list_dkey(oh, DAOS_TX_NONE, &names->nr, names->kds, &sgl, anchor, NULL));
        for (uint32_t i = 0; rc == 0 && i < names->nr; i++) {
            char name[DFS_NAME_BYTES_MAX + 1];
            size_t len = names->kds[i].kd_key_len;

            if (len <= DFS_NAME_BYTES_MAX) { /* a longer key is no entry of ours */
                memcpy(name, pos, len);
                name[len] = '\0';
                rc = fn(arg, name);
            }
            pos += len;
        }
        if (rc == 0)
            nr -= names->nr;
    }
    free(names);
    return rc;
}

struct readdir_args {
    dfs_t *dfs;
    dfs_obj_t *obj;
    struct dirent *dirs;
    struct stat *stbufs;
    uint32_t nr;
};

static int
readdir_one(void *arg, const char *name)
{
    struct readdir_args *args = arg;
    struct dirent *dir = &args->dirs[args->nr];

    if (args->stbufs != NULL) {
        int rc = dfs_stat(args->dfs, args->obj, name, &args->stbufs[args->nr]);

        if (rc == ENOENT)
            return 0; /* removed meanwhile */
        if (rc != 0)
            return rc;
    }
    memset(dir, 0, sizeof(*dir));
    memcpy(dir->d_name, name, strlen(name) + 1);
    args->nr++;
    return 0;
}

int
dfs_readdirplus(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr,
    struct dirent *dirs, struct stat *stbufs)
{
    struct readdir_args args = {.dfs = dfs, .obj = obj, .dirs = dirs, .stbufs = stbufs};
    int rc = list_check(dfs, obj, anchor, nr);

    if (rc == 0 && dirs == NULL)
        rc = EINVAL;
    if (rc == 0)
        rc = list_each(obj->oh, anchor, *nr, readdir_one, &args);
    if (rc == 0)
        *nr = args.nr;
    return rc;
}

int
dfs_readdir(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr, struct dirent *dirs)
{
    return dfs_readdirplus(dfs, obj, anchor, nr, dirs, NULL);
}

struct iterate_args {
    dfs_t *dfs;
    dfs_obj_t *obj;
    dfs_filler_cb_t op;
    void *arg;
    uint32_t nr;
};

static int
iterate_one(void *arg, const char *name)
{
    struct iterate_args *args = arg;

    args->nr++;
    return args->op == NULL ? 0 : args->op(args->dfs, args->obj, name, args->arg);
}

int
dfs_iterate(dfs_t *dfs, dfs_obj_t *obj, daos_anchor_t *anchor, uint32_t *nr, size_t size,
    dfs_filler_cb_t op, void *arg)
{
    struct iterate_args args = {.dfs = dfs, .obj = obj, .op = op, .arg = arg};
    int rc = list_check(dfs, obj, anchor, nr);

    (void)size; /* of the caller's own buffer: a hint that is not needed */
    if (rc == 0)
        rc = list_each(obj->oh, anchor, *nr, iterate_one, &args);
    if (rc == 0)
        *nr = args.nr;
    return rc;
}

int
dfs_dir_anchor_set(dfs_obj_t *obj, const char name[], daos_anchor_t *anchor)
{
    d_iov_t dkey;
    int rc = dfs_name_check(name);

    if (obj == NULL || anchor == NULL)
        return EINVAL;
    if (rc != 0)
        return rc;
    if (!S_ISDIR(obj->entry.mode))
        return ENOTDIR;
    d_iov_set(&dkey, (void *)(uintptr_t)name, strlen(name));
    return err_to_errno(daos_obj_key2anchor(obj->oh, DAOS_TX_NONE, &dkey, NULL, anchor, NULL));
}

int
dfs_obj_anchor_split(dfs_obj_t *obj, uint32_t *nr, daos_anchor_t *anchors)
{
    if (obj == NULL || nr == NULL)
        return EINVAL;
    if (!S_ISDIR(obj->entry.mode))
        return ENOTDIR;
    return err_to_errno(daos_obj_anchor_split(obj->oh, nr, anchors));
}

int
dfs_obj_anchor_set(dfs_obj_t *obj, uint32_t index, daos_anchor_t *anchor)
{
    if (obj == NULL || anchor == NULL)
        return EINVAL;
    if (!S_ISDIR(obj->entry.mode))
        return ENOTDIR;
    return err_to_errno(daos_obj_anchor_set(obj->oh, index, anchor));
}

/* ---- removal ---------------------------------------------------------------------------------------------------------- */

struct first_name {
    char name[DFS_NAME_BYTES_MAX + 1];
    bool is_found;
};

static int
take_first(void *arg, const char *name)
{
    struct first_name *first = arg;

    memcpy(first->name, name, strlen(name) + 1);
    first->is_found = true;
    return 0;
}

/* Any one name of a directory, if there is one. */
static int
dir_first(daos_handle_t oh, struct first_name *ret_first)
{
    daos_anchor_t anchor = {0};
    int rc;

    ret_first->is_found = false;
    do {
        rc = list_each(oh, &anchor, 1, take_first, ret_first);
    } while (rc == 0 && !ret_first->is_found && !daos_anchor_is_eof(&anchor));
    return rc;
}

int
dfs_dir_is_empty(struct dfs *dfs, daos_obj_id_t oid, bool *ret_is_empty)
{
    struct first_name first;
    daos_handle_t oh;
    int rc = err_to_errno(daos_obj_open(dfs->coh, oid, DAOS_OO_RO, &oh, NULL));

    if (rc != 0)
        return rc;
    rc = dir_first(oh, &first);
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    if (rc == 0)
        *ret_is_empty = !first.is_found;
    return rc;
}

int
dfs_obj_punch(struct dfs *dfs, const struct dfs_entry *entry)
{
    daos_handle_t oh;
    int rc;

    if (S_ISLNK(entry->mode))
        return 0;
    rc = err_to_errno(daos_obj_open(dfs->coh, entry->oid, DAOS_OO_RW, &oh, NULL));
    if (rc != 0)
        return rc;
    rc = err_to_errno(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL));
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    return rc == ENOENT ? 0 : rc;
}

/* An entry and its object. ENOENT: somebody else removed the entry, and the object with it. */
static int
entry_and_obj_remove(
    struct dfs *dfs, daos_handle_t dir_oh, const char *name, const struct dfs_entry *entry)
{
    int rc = dfs_entry_remove(dir_oh, name);

    return rc != 0 ? rc : dfs_obj_punch(dfs, entry);
}

/* A tree being removed: directories from the one being emptied up to the top. Depth is the user's, so it is a list, not the C stack. */
struct rm_dir {
    struct rm_dir *up;
    daos_handle_t oh;
    struct dfs_entry entry;
    char name[DFS_NAME_BYTES_MAX + 1];
};

static int
rm_push(struct dfs *dfs, struct rm_dir **top, const char *name, const struct dfs_entry *entry)
{
    struct rm_dir *dir = calloc(1, sizeof(*dir));
    int rc;

    if (dir == NULL)
        return ENOMEM;
    rc = err_to_errno(daos_obj_open(dfs->coh, entry->oid, DAOS_OO_RW, &dir->oh, NULL));
    if (rc != 0) {
        free(dir);
        return rc;
    }
    dir->entry = *entry;
    memcpy(dir->name, name, strlen(name) + 1);
    dir->up = *top;
    *top = dir;
    return 0;
}

static void
rm_pop(struct rm_dir **top)
{
    struct rm_dir *dir = *top;

    *top = dir->up;
    CAIRN_IGNORE(daos_obj_close(dir->oh, NULL)); /* local */
    free(dir);
}

/* One name of the directory on top: a directory goes on top, anything else is removed. `*depth` counts directories. */
static int
rm_child(struct dfs *dfs, struct rm_dir **top, const char *name, uint32_t *depth)
{
    struct dfs_entry entry;
    int rc = dfs_entry_fetch((*top)->oh, name, &entry, NULL);

    if (rc == 0 && S_ISDIR(entry.mode)) {
        if (*depth == DFS_REMOVE_DEPTH_MAX)
            return ELOOP;
        ++*depth;
        return rm_push(dfs, top, name, &entry);
    }
    if (rc == 0)
        rc = entry_and_obj_remove(dfs, (*top)->oh, name, &entry);
    return rc == ENOENT ? 0 : rc; /* somebody else removes too */
}

/* Empty the tree below `entry`, children before parents. The entry itself is the caller's. */
static int
tree_empty(struct dfs *dfs, const char *name, const struct dfs_entry *entry)
{
    struct rm_dir *top = NULL;
    uint32_t depth = 1;
    int rc = rm_push(dfs, &top, name, entry);

    while (rc == 0 && top != NULL) {
        struct first_name child;
        struct rm_dir *up = top->up;

        rc = dir_first(top->oh, &child);
        if (rc != 0)
            break;
        if (child.is_found) {
            rc = rm_child(dfs, &top, child.name, &depth);
            continue;
        }
        if (up != NULL) {
            rc = entry_and_obj_remove(dfs, up->oh, top->name, &top->entry);
            if (rc == ENOENT)
                rc = 0;
        }
        rm_pop(&top);
        depth--;
    }
    while (top != NULL) {
        rm_pop(&top);
    }
    return rc;
}

int
dfs_remove(dfs_t *dfs, dfs_obj_t *parent, const char *name, bool force, daos_obj_id_t *oid)
{
    struct dfs_entry entry;
    int rc = dfs_parent_check(dfs, &parent, name);

    if (rc != 0)
        return rc;
    if (!dfs_is_writable(dfs))
        return EPERM;
    rc = dfs_entry_fetch(parent->oh, name, &entry, NULL);
    if (rc != 0)
        return rc;
    if (S_ISDIR(entry.mode) && force) {
        rc = tree_empty(dfs, name, &entry);
    } else if (S_ISDIR(entry.mode)) {
        bool is_empty = false;

        rc = dfs_dir_is_empty(dfs, entry.oid, &is_empty);
        if (rc == 0 && !is_empty)
            rc = ENOTEMPTY;
    }
    if (rc == 0)
        rc = entry_and_obj_remove(dfs, parent->oh, name, &entry);
    if (rc == 0 && oid != NULL)
        *oid = entry.oid;
    return rc;
}
