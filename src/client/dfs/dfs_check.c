/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * dfs_cont_check(): objects of a container that no name leads to, as a crash between the making of an object and that of its name leaves behind. Nobody else may have
 * the container open. All names are walked, and the object of each is marked in the table of a snapshot; what is left unmarked is told, removed, or given names under
 * /lost+found. Of leaked directories only those get a name that none of the others holds; what they hold is found through them.
 *
 * The walk holds the directories that it has still to look at, as open handles. Tested by test/dfs/dfs_check_test.c.
 */
#include "client/dfs/dfs_priv.h"

#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    NAMES_NR = 64,
    OIDS_NR = 128,
    KNOWN_FLAGS = DFS_CHECK_PRINT | DFS_CHECK_REMOVE | DFS_CHECK_RELINK | DFS_CHECK_EVICT_ALL
};

struct check {
    dfs_t *dfs;
    daos_handle_t poh, coh, oit;
    uint64_t flags;
    const char *name; /* of the directory in /lost+found; NULL: one of the time */
    dfs_obj_t *lost; /* that directory, once something was relinked */
    uint64_t leaked_nr;
    /* Directories to look at. */
    dfs_obj_t **todo;
    size_t todo_nr, todo_cap;
};

/* ---- the walk ------------------------------------------------------------------------------------------------------------- */

static int
mark(struct check *c, daos_obj_id_t oid)
{
    d_iov_t mark;
    int rc;

    d_iov_set(&mark, "x", 1);
    rc = daos_oit_mark(c->oit, oid, &mark, NULL);
    return rc == -DER_NONEXIST ? 0 : err_to_errno(rc); /* never written: an empty file */
}

/* The object passes over to the list, or is released. */
static int
todo_add(struct check *c, dfs_obj_t *dir)
{
    if (c->todo_nr == c->todo_cap) {
        size_t cap = MAX(c->todo_cap * 2, (size_t)64);
        dfs_obj_t **todo = realloc(c->todo, cap * sizeof(dfs_obj_t *));

        if (todo == NULL) {
            CAIRN_IGNORE(dfs_release(dir)); /* local */
            return ENOMEM;
        }
        c->todo = todo;
        c->todo_cap = cap;
    }
    c->todo[c->todo_nr++] = dir;
    return 0;
}

static int
walk_name(struct check *c, dfs_obj_t *dir, const char *name)
{
    daos_obj_id_t oid;
    dfs_obj_t *obj;
    mode_t mode;
    int rc = dfs_lookup_rel(c->dfs, dir, name, O_RDONLY | O_NOFOLLOW, &obj, &mode, NULL);

    if (rc != 0)
        return rc;
    rc = S_ISLNK(mode) ? 0 : dfs_obj2id(obj, &oid);
    if (rc == 0 && !S_ISLNK(mode))
        rc = mark(c, oid);
    if (rc == 0 && S_ISDIR(mode))
        return todo_add(c, obj);
    CAIRN_IGNORE(dfs_release(obj)); /* local */
    return rc;
}

static int
walk_dir(struct check *c, dfs_obj_t *dir)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    struct dirent *names = calloc(NAMES_NR, sizeof(*names));
    int rc = names == NULL ? ENOMEM : 0;

    while (rc == 0 && !daos_anchor_is_eof(&anchor)) {
        uint32_t nr = NAMES_NR;

        rc = dfs_readdir(c->dfs, dir, &anchor, &nr, names);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            rc = walk_name(c, dir, names[i].d_name);
        }
    }
    free(names);
    return rc;
}

/* Mark all that can be reached from a directory, which passes over. */
static int
walk(struct check *c, dfs_obj_t *from)
{
    int rc = todo_add(c, from);

    while (rc == 0 && c->todo_nr > 0) {
        dfs_obj_t *dir = c->todo[--c->todo_nr];

        rc = walk_dir(c, dir);
        CAIRN_IGNORE(dfs_release(dir)); /* local */
    }
    while (c->todo_nr > 0) {
        CAIRN_IGNORE(dfs_release(c->todo[--c->todo_nr])); /* local */
    }
    return rc;
}

static int
walk_all(struct check *c)
{
    dfs_obj_t *root;
    int rc = mark(c, c->dfs->super_oid);

    if (rc == 0)
        rc = mark(c, c->dfs->root_oid);
    if (rc == 0)
        rc = dfs_lookup(c->dfs, "/", O_RDONLY, &root, NULL, NULL);
    return rc != 0 ? rc : walk(c, root);
}

/* ---- what is left ------------------------------------------------------------------------------------------------------------ */

static bool
is_dir(daos_obj_id_t oid)
{
    return daos_obj_id2type(oid) != DAOS_OT_ARRAY_BYTE;
}

static struct dfs_entry
entry_of(const struct check *c, daos_obj_id_t oid)
{
    struct dfs_entry entry = {.mode = is_dir(oid) ? S_IFDIR | 0700 : S_IFREG | 0600,
        .oid = oid,
        .chunk_bytes = is_dir(oid) ? 0 : c->dfs->attr.da_chunk_size,
        .uid = geteuid(),
        .gid = getegid()};

    dfs_now(&entry.mtime_s, &entry.mtime_ns);
    entry.ctime_s = entry.mtime_s;
    entry.ctime_ns = entry.mtime_ns;
    return entry;
}

/* What a leaked directory holds is not lost when that gets a name. */
static int
mark_below(struct check *c, daos_obj_id_t oid)
{
    struct dfs_entry entry = entry_of(c, oid);
    dfs_obj_t *dir;
    int rc;

    if (!is_dir(oid))
        return 0;
    rc = dfs_obj_from_entry(c->dfs, &c->dfs->root_oid, "leaked", &entry, NULL, O_RDONLY, &dir);
    return rc != 0 ? rc : walk(c, dir);
}

static int
dir_make(dfs_t *dfs, dfs_obj_t *parent, const char *name, dfs_obj_t **ret_dir)
{
    int rc = dfs_mkdir(dfs, parent, name, 0700, 0);

    return rc != 0 && rc != EEXIST ? rc
                                   : dfs_lookup_rel(dfs, parent, name, O_RDWR, ret_dir, NULL, NULL);
}

static int
lost_open(struct check *c)
{
    char text[32];
    dfs_obj_t *top;
    uint64_t s, ns;
    int rc;

    if (c->lost != NULL)
        return 0;
    dfs_now(&s, &ns);
    snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, s, ns);
    rc = dir_make(c->dfs, NULL, "lost+found", &top);
    if (rc != 0)
        return rc;
    rc = dir_make(c->dfs, top, c->name != NULL ? c->name : text, &c->lost);
    CAIRN_IGNORE(dfs_release(top)); /* local */
    return rc;
}

static int
relink(struct check *c, daos_obj_id_t oid)
{
    struct dfs_entry entry = entry_of(c, oid);
    char name[64];
    int rc = lost_open(c);

    if (rc != 0)
        return rc;
    snprintf(name, sizeof(name), "%" PRIu64 ".%" PRIu64, oid.hi, oid.lo);
    return dfs_entry_insert(c->lost->oh, name, &entry, NULL);
}

static int
remove_obj(struct check *c, daos_obj_id_t oid)
{
    daos_handle_t oh;
    int rc = err_to_errno(daos_obj_open(c->coh, oid, DAOS_OO_RW, &oh, NULL));

    if (rc != 0)
        return rc;
    rc = err_to_errno(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL));
    CAIRN_IGNORE(daos_obj_close(oh, NULL)); /* local */
    return rc;
}

static int
settle(struct check *c, daos_obj_id_t oid)
{
    int rc = 0;

    c->leaked_nr++;
    if ((c->flags & DFS_CHECK_PRINT) != 0)
        printf("oid %" PRIu64 ".%" PRIu64 " has no name\n", oid.hi, oid.lo);
    if ((c->flags & DFS_CHECK_REMOVE) != 0)
        rc = remove_obj(c, oid);
    if ((c->flags & DFS_CHECK_RELINK) != 0)
        rc = relink(c, oid);
    return rc;
}

static int
leaked_each(struct check *c, int (*fn)(struct check *c, daos_obj_id_t oid))
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_obj_id_t *oids = calloc(OIDS_NR, sizeof(*oids));
    int rc = oids == NULL ? ENOMEM : 0;

    while (rc == 0 && !daos_anchor_is_eof(&anchor)) {
        uint32_t nr = OIDS_NR;

        rc = err_to_errno(daos_oit_list_unmarked(c->oit, oids, &nr, &anchor, NULL));
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            rc = fn(c, oids[i]);
        }
    }
    free(oids);
    return rc;
}

/* ---- the check --------------------------------------------------------------------------------------------------------------- */

static int
check_table(struct check *c)
{
    int rc = walk_all(c);

    if (rc == 0 && (c->flags & DFS_CHECK_RELINK) != 0)
        rc = leaked_each(c, mark_below);
    if (rc == 0)
        rc = leaked_each(c, settle);
    if (rc == 0 && (c->flags & DFS_CHECK_PRINT) != 0)
        printf("%" PRIu64 " objects without a name\n", c->leaked_nr);
    if (c->lost != NULL)
        CAIRN_IGNORE(dfs_release(c->lost)); /* local */
    free(c->todo);
    return rc;
}

static int
check_mount(struct check *c)
{
    daos_epoch_t epoch = 0;
    int rc, rc2;

    rc = err_to_errno(
        daos_cont_create_snap_opt(c->coh, &epoch, NULL, DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, NULL));
    if (rc != 0)
        return rc;
    rc = err_to_errno(daos_oit_open(c->coh, epoch, &c->oit, NULL));
    if (rc == 0) {
        rc = check_table(c);
        rc2 = err_to_errno(daos_cont_snap_oit_destroy(c->coh, c->oit, NULL));
        rc = rc != 0 ? rc : rc2;
        CAIRN_IGNORE(daos_oit_close(c->oit, NULL)); /* local */
    }
    rc2 = err_to_errno(daos_cont_destroy_snap(c->coh, (daos_epoch_range_t){epoch, epoch}, NULL));
    return rc != 0 ? rc : rc2;
}

int
dfs_cont_check(daos_handle_t poh, const char *cont, uint64_t flags, const char *name)
{
    struct check c = {.poh = poh, .flags = flags, .name = name};
    unsigned int coo = DAOS_COO_EX;
    int rc, rc2;

    if ((flags & DFS_CHECK_VERIFY) != 0)
        return ENOTSUP; /* needs daos_obj_verify() */
    if (cont == NULL || (flags & ~(uint64_t)KNOWN_FLAGS) != 0 ||
        (flags & (DFS_CHECK_REMOVE | DFS_CHECK_RELINK)) == (DFS_CHECK_REMOVE | DFS_CHECK_RELINK) ||
        (name != NULL && dfs_name_check(name) != 0))
        return EINVAL;
    if ((flags & DFS_CHECK_EVICT_ALL) != 0)
        coo |= DAOS_COO_EVICT_ALL;
    rc = err_to_errno(daos_cont_open(poh, cont, coo, &c.coh, NULL, NULL));
    if (rc != 0)
        return rc;
    rc = dfs_mount(poh, c.coh, O_RDWR, &c.dfs);
    if (rc == 0) {
        rc = check_mount(&c);
        rc2 = dfs_umount(c.dfs);
        rc = rc != 0 ? rc : rc2;
    }
    rc2 = err_to_errno(daos_cont_close(c.coh, NULL));
    return rc != 0 ? rc : rc2;
}
