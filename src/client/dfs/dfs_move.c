/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Renaming and exchanging. A name that is replaced goes from the old thing to the new one in one write, so that it is never missing; the new name is there before the old
 * one goes, so that nothing is ever without a name (DFS-4). A crash in between leaves one thing under two names: moving or removing one of them ends that. Extended
 * attributes follow in writes of their own.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "client/dfs/dfs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One end of a move. */
struct end {
    struct dfs_obj *dir;
    const char *name;
    struct dfs_entry entry;
    char *value;
};

/* What stands at the new name must make way: same kind; a directory must be empty. */
static int
target_check(struct dfs *dfs, const struct dfs_entry *from, const struct dfs_entry *to)
{
    bool is_empty;
    int rc;

    if (S_ISDIR(to->mode) && !S_ISDIR(from->mode))
        return EISDIR;
    if (!S_ISDIR(to->mode) && S_ISDIR(from->mode))
        return ENOTDIR;
    if (!S_ISDIR(to->mode))
        return 0;
    rc = dfs_dir_is_empty(dfs, to->oid, &is_empty);
    if (rc != 0)
        return rc;
    return is_empty ? 0 : ENOTEMPTY;
}

/* Write `from` under the name of `to`, in the place of what is there. */
static int
put_over(const struct end *from, const struct end *to)
{
    const char *value = from->value;

    if (value == NULL && S_ISLNK(to->entry.mode))
        value = ""; /* the old target goes */
    return dfs_entry_replace(to->dir->oh, to->name, &from->entry, value);
}

static int
move(struct dfs *dfs, unsigned int flags, struct end *from, struct end *to,
    daos_obj_id_t *ret_replaced)
{
    bool is_replacing, is_same;
    int rc = dfs_entry_fetch(to->dir->oh, to->name, &to->entry, NULL);

    if (rc != 0 && rc != ENOENT)
        return rc;
    is_replacing = rc == 0;
    if (is_replacing && (flags & RENAME_NOREPLACE) != 0)
        return EEXIST;
    is_same = is_replacing && !S_ISLNK(to->entry.mode) &&
        dfs_oid_is_same(from->entry.oid, to->entry.oid); /* what a crash left: see above */
    rc = is_replacing && !is_same ? target_check(dfs, &from->entry, &to->entry) : 0;
    if (rc != 0)
        return rc;
    dfs_now(&from->entry.ctime_s, &from->entry.ctime_ns);
    if (is_replacing) {
        rc = put_over(from, to);
    } else {
        rc = dfs_entry_insert(to->dir->oh, to->name, &from->entry, from->value);
    }
    if (rc == 0)
        rc = dfs_xattrs_copy(from->dir->oh, from->name, to->dir->oh, to->name, !is_replacing);
    if (rc == 0)
        rc = dfs_entry_remove(from->dir->oh, from->name);
    if (rc == 0 && is_replacing && !is_same) {
        *ret_replaced = to->entry.oid;
        rc = dfs_obj_punch(dfs, &to->entry);
    }
    return rc;
}

int
dfs_move_internal(dfs_t *dfs, unsigned int flags, dfs_obj_t *parent, const char *name,
    dfs_obj_t *new_parent, const char *new_name, daos_obj_id_t *moid, daos_obj_id_t *oid)
{
    struct end from = {.name = name}, to = {.name = new_name};
    daos_obj_id_t replaced = {0};
    int rc = dfs_parent_check(dfs, &parent, name);

    if (rc == 0)
        rc = dfs_parent_check(dfs, &new_parent, new_name);
    if (rc != 0)
        return rc;
    if ((flags & ~(unsigned int)RENAME_NOREPLACE) != 0)
        return ENOTSUP;
    if (!dfs_is_writable(dfs))
        return EPERM;
    from.dir = parent;
    to.dir = new_parent;
    rc = dfs_entry_fetch(parent->oh, name, &from.entry, &from.value);
    if (rc != 0)
        return rc;
    if (dfs_oid_is_same(parent->entry.oid, new_parent->entry.oid) && strcmp(name, new_name) == 0) {
        rc = (flags & RENAME_NOREPLACE) != 0 ? EEXIST : 0;
    } else if (S_ISDIR(from.entry.mode) && dfs_oid_is_same(from.entry.oid, new_parent->entry.oid)) {
        rc = EINVAL; /* into itself */
    } else {
        rc = move(dfs, flags, &from, &to, &replaced);
    }
    free(from.value);
    if (rc == 0 && moid != NULL)
        *moid = from.entry.oid;
    if (rc == 0 && oid != NULL)
        *oid = replaced;
    return rc;
}

int
dfs_move(dfs_t *dfs, dfs_obj_t *parent, const char *name, dfs_obj_t *new_parent,
    const char *new_name, daos_obj_id_t *oid)
{
    return dfs_move_internal(dfs, 0, parent, name, new_parent, new_name, NULL, oid);
}

/* ---- exchange --------------------------------------------------------------------------------------------------------- */

/*
 * a's thing is kept under a third name while both names change hands. A crash in between leaves that name (".exchange-" and the object id), which can be moved back.
 */
static int
exchange(struct end *a, struct end *b)
{
    struct end spare = {.dir = a->dir};
    char name[64];
    int rc;

    (void)snprintf(name, sizeof(name), ".exchange-%016llx.%016llx",
        (unsigned long long)a->entry.oid.hi, (unsigned long long)a->entry.oid.lo);
    spare.name = name;
    dfs_now(&a->entry.ctime_s, &a->entry.ctime_ns);
    b->entry.ctime_s = a->entry.ctime_s;
    b->entry.ctime_ns = a->entry.ctime_ns;
    rc = dfs_entry_insert(spare.dir->oh, name, &a->entry, a->value);
    if (rc == 0)
        rc = dfs_xattrs_copy(a->dir->oh, a->name, spare.dir->oh, name, true);
    if (rc == 0)
        rc = put_over(b, a);
    if (rc == 0)
        rc = dfs_xattrs_copy(b->dir->oh, b->name, a->dir->oh, a->name, false);
    if (rc == 0)
        rc = put_over(a, b);
    if (rc == 0)
        rc = dfs_xattrs_copy(spare.dir->oh, name, b->dir->oh, b->name, false);
    return rc != 0 ? rc : dfs_entry_remove(spare.dir->oh, name);
}

int
dfs_exchange(dfs_t *dfs, dfs_obj_t *parent1, const char *name1, dfs_obj_t *parent2, const char *name2)
{
    struct end a = {.name = name1}, b = {.name = name2};
    int rc = dfs_parent_check(dfs, &parent1, name1);

    if (rc == 0)
        rc = dfs_parent_check(dfs, &parent2, name2);
    if (rc != 0)
        return rc;
    if (!dfs_is_writable(dfs))
        return EPERM;
    a.dir = parent1;
    b.dir = parent2;
    rc = dfs_entry_fetch(parent1->oh, name1, &a.entry, &a.value);
    if (rc == 0)
        rc = dfs_entry_fetch(parent2->oh, name2, &b.entry, &b.value);
    if (rc == 0 && (S_ISDIR(a.entry.mode) && dfs_oid_is_same(a.entry.oid, parent2->entry.oid)))
        rc = EINVAL; /* into itself */
    if (rc == 0 && (S_ISDIR(b.entry.mode) && dfs_oid_is_same(b.entry.oid, parent1->entry.oid)))
        rc = EINVAL;
    if (rc == 0 &&
        !(dfs_oid_is_same(parent1->entry.oid, parent2->entry.oid) && strcmp(name1, name2) == 0))
        rc = exchange(&a, &b);
    free(a.value);
    free(b.value);
    return rc;
}
