/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The functions of daos_fs.h that are not there yet (docs/roadmap.md): checking, search by the engines. */
#include "client/dfs/dfs_internal.h"

#include <errno.h>

int
dfs_cont_scan(daos_handle_t poh, const char *cont, uint64_t flags, const char *name)
{
    (void)poh, (void)cont, (void)flags, (void)name;
    return ENOSYS;
}

int
dfs_obj_fix_type(dfs_t *dfs, dfs_obj_t *parent, const char *name)
{
    (void)dfs, (void)parent, (void)name;
    return ENOSYS;
}

int
dfs_pipeline_create(dfs_t *dfs, dfs_predicate_t pred, uint64_t flags, dfs_pipeline_t **dpipe)
{
    (void)dfs, (void)pred, (void)flags, (void)dpipe;
    return ENOSYS;
}

int
dfs_pipeline_destroy(dfs_pipeline_t *dpipe)
{
    (void)dpipe;
    return ENOSYS;
}

int
dfs_readdir_with_filter(dfs_t *dfs, dfs_obj_t *obj, dfs_pipeline_t *dpipe, daos_anchor_t *anchor,
    uint32_t *nr, struct dirent *dirs, daos_obj_id_t *oids, daos_size_t *csizes, uint64_t *nr_scanned)
{
    (void)dfs, (void)obj, (void)dpipe, (void)anchor, (void)nr, (void)dirs, (void)oids, (void)csizes,
        (void)nr_scanned;
    return ENOSYS;
}
