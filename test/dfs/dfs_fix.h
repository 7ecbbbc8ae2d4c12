/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A file system to test on: two engines of two targets (test/server's rig), a client on the rig's xstream, pool "tank", POSIX container "tree", mounted. The body of a
 * test runs on a ULT, on plat/sim and plat/linux.
 */
#ifndef CAIRN_DFS_FIX_H
#define CAIRN_DFS_FIX_H

#include "base/err.h"
#include "client/core/client.h"
#include "client/test/client_app.h"
#include "daos.h"
#include "daos_fs.h"
#include "server/server_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct fix {
    struct rig *rig;
    struct app app; /* its client, pool, and a plain container */
    daos_handle_t poh, coh;
    dfs_t *dfs;
};

/** Run `body` with a mounted file system, on the backend of the running test. */
void fix_run(void (*body)(struct fix *fix));

/* ---- short forms; each is an expectation ------------------------------------------------------------------------------- */

/** Make a regular file with `len` bytes and release it. */
bool fix_file(dfs_t *dfs, dfs_obj_t *parent, const char *name, const void *data, size_t len);
/** A file's content is exactly this. */
bool fix_file_is(dfs_t *dfs, dfs_obj_t *parent, const char *name, const void *data, size_t len);
bool fix_link(dfs_t *dfs, dfs_obj_t *parent, const char *name, const char *value);
/** Open a directory by path from the root. NULL: failed. */
dfs_obj_t *fix_dir(dfs_t *dfs, const char *path);

/* ---- calls with fewer arguments: answer errno ----------------------------------------------------------------------------- */

int fix_write(dfs_t *dfs, dfs_obj_t *obj, uint64_t off, const void *data, size_t len);
int fix_read(dfs_t *dfs, dfs_obj_t *obj, uint64_t off, void *buf, size_t len, daos_size_t *ret_len);
/** Type and permissions of what a path leads to. */
int fix_mode(dfs_t *dfs, const char *path, int flags, mode_t *ret_mode);
/** Names in a directory, sorted, separated by commas; at most `nr` for each call of dfs_readdir(). */
int fix_names(dfs_t *dfs, dfs_obj_t *dir, uint32_t nr, char *buf, size_t buf_bytes);

#endif
