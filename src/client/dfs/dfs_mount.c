/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Mounting: by handles, by names (connect), and what a mount knows of itself. */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "client/core/client_tools.h"
#include "client/dfs/dfs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

bool
dfs_is_writable(const struct dfs *dfs)
{
    return dfs->amode == O_RDWR;
}

int
dfs_roots_get(daos_handle_t coh, struct daos_prop_co_roots *ret_roots)
{
    daos_prop_t *prop = daos_prop_alloc(2);
    struct daos_prop_entry *entry;
    int rc;

    if (prop == NULL)
        return ENOMEM;
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LAYOUT_TYPE;
    prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_ROOTS;
    rc = err_to_errno(daos_cont_query(coh, NULL, prop, NULL));
    if (rc != 0)
        goto out;
    entry = daos_prop_entry_get(prop, DAOS_PROP_CO_LAYOUT_TYPE);
    if (entry == NULL || entry->dpe_val != DAOS_PROP_CO_LAYOUT_POSIX) {
        rc = EINVAL;
        goto out;
    }
    entry = daos_prop_entry_get(prop, DAOS_PROP_CO_ROOTS);
    if (entry == NULL || entry->dpe_val_ptr == NULL) {
        rc = EINVAL;
        goto out;
    }
    memcpy(ret_roots, entry->dpe_val_ptr, sizeof(*ret_roots));
out:
    daos_prop_free(prop);
    return rc;
}

/* ---- mount ----------------------------------------------------------------------------------------------------------- */

static int
flags_check(int flags, int *ret_amode)
{
    int amode = flags & O_ACCMODE;

    if (amode != O_RDONLY && amode != O_RDWR)
        return EINVAL;
    if ((flags & DFS_BALANCED) != 0)
        return ENOTSUP; /* needs transactions: docs/roadmap.md */
    *ret_amode = amode;
    return 0;
}

/* Local; a view is closed with the mount. */
static void
mount_free(dfs_t *dfs)
{
    daos_handle_t view = daos_handle_is_valid(dfs->live_coh) ? dfs->coh : DAOS_HDL_INVAL;

    if (dfs->root != NULL)
        CAIRN_IGNORE(dfs_release(dfs->root)); /* local */
    if (daos_handle_is_valid(dfs->super_oh))
        CAIRN_IGNORE(daos_obj_close(dfs->super_oh, NULL)); /* local */
    dfs_oids_fini(dfs);
    free(dfs->prefix);
    free(dfs);
    if (daos_handle_is_valid(view)) {
        CAIRN_IGNORE(daos_cont_close(
            view, NULL)); /* an object that was left open keeps it until daos_fini() */
    }
}

int
dfs_mount_with(daos_handle_t poh, daos_handle_t coh, int amode, const dfs_attr_t *attr,
    const struct daos_prop_co_roots *roots, const struct dfs_entry *root, struct dfs **ret_dfs)
{
    struct dfs *dfs = calloc(1, sizeof(*dfs));
    int rc;

    if (dfs == NULL)
        return ENOMEM;
    dfs->poh = poh;
    dfs->coh = coh;
    dfs->amode = amode;
    dfs->attr = *attr;
    dfs->attr.da_props = NULL;
    dfs->super_oid = roots->cr_oids[0];
    dfs->root_oid = roots->cr_oids[1];
    rc = err_to_errno(daos_obj_open(
        coh, dfs->super_oid, amode == O_RDWR ? DAOS_OO_RW : DAOS_OO_RO, &dfs->super_oh, NULL));
    if (rc == 0)
        rc = dfs_obj_from_entry(dfs, &dfs->super_oid, "/", root, NULL, amode, &dfs->root);
    if (rc != 0) {
        mount_free(dfs);
        return rc;
    }
    *ret_dfs = dfs;
    return 0;
}

int
dfs_mount(daos_handle_t poh, daos_handle_t coh, int flags, dfs_t **ret_dfs)
{
    struct daos_prop_co_roots roots;
    struct dfs_entry root;
    daos_handle_t super_oh;
    dfs_attr_t attr;
    int amode, rc;

    if (ret_dfs == NULL)
        return EINVAL;
    rc = flags_check(flags, &amode);
    if (rc == 0)
        rc = dfs_roots_get(coh, &roots);
    if (rc == 0)
        rc = err_to_errno(daos_obj_open(coh, roots.cr_oids[0], DAOS_OO_RO, &super_oh, NULL));
    if (rc != 0)
        return rc;
    rc = dfs_sb_load(super_oh, &attr);
    if (rc == 0) {
        rc = dfs_entry_fetch(super_oh, "/", &root, NULL);
        if (rc == ENOENT || (rc == 0 && !S_ISDIR(root.mode)))
            rc = EINVAL; /* dfs_relink_root() was not done, or half a creation */
    }
    CAIRN_IGNORE(daos_obj_close(super_oh, NULL)); /* local */
    if (rc != 0)
        return rc;
    return dfs_mount_with(poh, coh, amode, &attr, &roots, &root, ret_dfs);
}

int
dfs_mount_snap(daos_handle_t poh, daos_handle_t coh, int flags, daos_epoch_t epoch,
    const char *name, dfs_t **ret_dfs)
{
    daos_handle_t view = DAOS_HDL_INVAL;
    dfs_t *dfs;
    int rc;

    if (ret_dfs == NULL || (flags & O_ACCMODE) != O_RDONLY || (name == NULL && epoch == 0))
        return EINVAL;
    rc = err_to_errno(client_tools_open_snap(coh.cookie, epoch, name, &view.cookie));
    if (rc != 0)
        return rc;
    rc = dfs_mount(poh, view, O_RDONLY, &dfs);
    if (rc != 0) {
        CAIRN_IGNORE(daos_cont_close(view, NULL)); /* local */
        return rc;
    }
    dfs->live_coh = coh;
    *ret_dfs = dfs;
    return 0;
}

int
dfs_umount(dfs_t *dfs)
{
    if (dfs == NULL || dfs->owns_handles)
        return EINVAL;
    if (atomic_load(&dfs->lent_nr) > 0)
        return EBUSY;
    mount_free(dfs);
    return 0;
}

int
dfs_query(dfs_t *dfs, dfs_attr_t *attr)
{
    if (dfs == NULL || attr == NULL)
        return EINVAL;
    *attr = dfs->attr;
    return 0;
}

int
dfs_set_prefix(dfs_t *dfs, const char *prefix)
{
    char *copy = NULL;
    size_t len = 0;

    if (dfs == NULL)
        return EINVAL;
    if (prefix != NULL) {
        if (prefix[0] != '/' || strlen(prefix) >= PATH_MAX)
            return EINVAL;
        len = strlen(prefix);
        while (len > 0 && prefix[len - 1] == '/') {
            len--;
        }
    }
    if (len > 0) {
        copy = strndup(prefix, len);
        if (copy == NULL)
            return ENOMEM;
    }
    free(dfs->prefix);
    dfs->prefix = copy;
    dfs->prefix_len = len;
    return 0;
}

/* ---- handles of a mount ---------------------------------------------------------------------------------------------------- */

static int
lent_back(dfs_t *dfs)
{
    uint32_t nr = atomic_load(&dfs->lent_nr);

    do {
        if (nr == 0)
            return EINVAL;
    } while (!atomic_compare_exchange_weak(&dfs->lent_nr, &nr, nr - 1));
    return 0;
}

int
dfs_pool_get(dfs_t *dfs, daos_handle_t *poh)
{
    if (dfs == NULL || poh == NULL)
        return EINVAL;
    *poh = dfs->poh;
    atomic_fetch_add(&dfs->lent_nr, 1);
    return 0;
}

int
dfs_pool_put(dfs_t *dfs, daos_handle_t poh)
{
    return dfs != NULL && poh.cookie == dfs->poh.cookie ? lent_back(dfs) : EINVAL;
}

int
dfs_cont_get(dfs_t *dfs, daos_handle_t *coh)
{
    if (dfs == NULL || coh == NULL)
        return EINVAL;
    *coh = dfs->coh;
    atomic_fetch_add(&dfs->lent_nr, 1);
    return 0;
}

int
dfs_cont_put(dfs_t *dfs, daos_handle_t coh)
{
    return dfs != NULL && coh.cookie == dfs->coh.cookie ? lent_back(dfs) : EINVAL;
}

/* ---- connect style ---------------------------------------------------------------------------------------------------- */

int
dfs_init(void)
{
    return err_to_errno(daos_init());
}

int
dfs_fini(void)
{
    return err_to_errno(daos_fini());
}

/* Open a container; with O_CREAT make it first when it is not there. */
static int
cont_open(daos_handle_t poh, const char *cont, int flags, dfs_attr_t *attr, daos_handle_t *ret_coh)
{
    unsigned int coo = (flags & O_ACCMODE) == O_RDONLY ? DAOS_COO_RO : DAOS_COO_RW;
    int rc = err_to_errno(daos_cont_open(poh, cont, coo, ret_coh, NULL, NULL));

    if (rc != ENOENT || (flags & O_CREAT) == 0)
        return rc;
    rc = dfs_cont_create_with_label(poh, cont, attr, NULL, NULL, NULL);
    if (rc != 0 && rc != EEXIST)
        return rc;
    return err_to_errno(daos_cont_open(poh, cont, coo, ret_coh, NULL, NULL));
}

/* Which one; NULL where the newest state is meant. */
struct snap {
    daos_epoch_t epoch;
    const char *name;
};

static int
connect_to(const char *pool, const char *sys, const char *cont, int flags, dfs_attr_t *attr,
    const struct snap *snap, dfs_t **ret_dfs)
{
    daos_handle_t poh, coh = DAOS_HDL_INVAL;
    struct dfs *dfs;
    int amode, rc;

    if (pool == NULL || cont == NULL || ret_dfs == NULL)
        return EINVAL;
    rc = flags_check(flags, &amode);
    if (rc != 0)
        return rc;
    rc = daos_pool_connect(pool, sys, amode == O_RDONLY ? DAOS_PC_RO : DAOS_PC_RW, &poh, NULL, NULL);
    if (rc != 0)
        return rc == -DER_UNINIT ? EACCES : err_to_errno(rc); /* no dfs_init() */
    rc = cont_open(poh, cont, flags, attr, &coh);
    if (rc == 0 && snap != NULL) {
        rc = dfs_mount_snap(poh, coh, amode, snap->epoch, snap->name, &dfs);
    } else if (rc == 0)
        rc = dfs_mount(poh, coh, amode, &dfs);
    if (rc != 0) {
        if (daos_handle_is_valid(coh))
            CAIRN_IGNORE(daos_cont_close(coh, NULL)); /* the first error is the one to tell */
        CAIRN_IGNORE(daos_pool_disconnect(poh, NULL)); /* likewise */
        return rc;
    }
    dfs->owns_handles = true;
    *ret_dfs = dfs;
    return 0;
}

int
dfs_connect(const char *pool, const char *sys, const char *cont, int flags, dfs_attr_t *attr,
    dfs_t **ret_dfs)
{
    return connect_to(pool, sys, cont, flags, attr, NULL, ret_dfs);
}

int
dfs_connect_snap(const char *pool, const char *sys, const char *cont, int flags, daos_epoch_t epoch,
    const char *name, dfs_t **ret_dfs)
{
    struct snap snap = {epoch, name};

    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0 || (name == NULL && epoch == 0))
        return EINVAL;
    return connect_to(pool, sys, cont, flags, NULL, &snap, ret_dfs);
}

int
dfs_disconnect(dfs_t *dfs)
{
    daos_handle_t poh, coh;
    int rc;

    if (dfs == NULL || !dfs->owns_handles)
        return EINVAL;
    if (atomic_load(&dfs->lent_nr) > 0)
        return EBUSY;
    poh = dfs->poh;
    coh = daos_handle_is_valid(dfs->live_coh) ? dfs->live_coh : dfs->coh;
    mount_free(dfs);
    rc = err_to_errno(daos_cont_close(coh, NULL));
    if (rc == 0)
        rc = err_to_errno(daos_pool_disconnect(poh, NULL));
    return rc;
}
