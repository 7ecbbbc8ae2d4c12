/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Ids and classes of new objects.
 *
 * One daos_cont_alloc_oids() gives a mount a low part of its own; the high parts under it are taken by advancing an atomic counter. Whoever finds no range, or a used-up
 * one, fetches a new one; of several that do so at once one wins and the others' ranges are dropped, so that nobody waits for anybody.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Put a new range in the place of `old` (NULL: the first), unless another has done so. */
static int
range_renew(struct dfs *dfs, struct dfs_oid_range *old)
{
    struct dfs_oid_range *range = calloc(1, sizeof(*range));
    int rc;

    if (range == NULL)
        return ENOMEM;
    rc = err_to_errno(daos_cont_alloc_oids(dfs->coh, 1, &range->lo, NULL));
    if (rc != 0) {
        free(range);
        return rc;
    }
    range->hi_first = (uint32_t)hash_mix64(range->lo); /* so that mounts start at different places */
    range->used_up = old;
    if (!atomic_compare_exchange_strong(&dfs->oids, &old, range))
        free(range);
    return 0;
}

void
dfs_oids_fini(struct dfs *dfs)
{
    struct dfs_oid_range *range = atomic_load(&dfs->oids);

    while (range != NULL) {
        struct dfs_oid_range *used_up = range->used_up;

        free(range);
        range = used_up;
    }
}

int
dfs_oid_new(struct dfs *dfs, enum daos_otype_t otype, daos_oclass_id_t oclass, daos_obj_id_t *ret_oid)
{
    daos_obj_id_t oid;
    int rc;

    for (;;) {
        struct dfs_oid_range *range = atomic_load(&dfs->oids);
        uint64_t idx;

        if (range == NULL || atomic_load(&range->taken_nr) > UINT32_MAX) {
            rc = range_renew(dfs, range);
            if (rc != 0)
                return rc;
            continue;
        }
        idx = atomic_fetch_add(&range->taken_nr, 1);
        if (idx > UINT32_MAX)
            continue;
        oid.lo = range->lo;
        oid.hi = (uint32_t)(range->hi_first + idx * DFS_OID_HI_STEP);
        if (oid.lo != 0 || oid.hi > 1) /* superblock and root */
            break;
    }
    rc = err_to_errno(daos_obj_generate_oid(dfs->coh, &oid, otype, oclass, 0, 0));
    if (rc == 0)
        *ret_oid = oid;
    return rc;
}

int
dfs_oclass_default(daos_handle_t coh, enum daos_otype_t otype, daos_oclass_id_t *ret_oclass)
{
    daos_obj_id_t oid = {.lo = 1};
    int rc = err_to_errno(daos_obj_generate_oid(coh, &oid, otype, 0, 0, 0));

    if (rc == 0)
        *ret_oclass = daos_obj_id2class(oid);
    return rc;
}

/* The value of one "name:value" of a hint, when it is for this kind. Answers its length, 0: it is not. */
static size_t
hint_value(const char *part, size_t len, bool is_dir, const char **ret_value)
{
    static const char *const names[2][2] = {{"file", "f"}, {"directory", "dir"}};

    for (int i = 0; i < 2; i++) {
        const char *name = names[is_dir][i];
        size_t name_len = strlen(name);

        if (len > name_len + 1 && strncasecmp(part, name, name_len) == 0 && part[name_len] == ':') {
            *ret_value = part + name_len + 1;
            return len - name_len - 1;
        }
    }
    return 0;
}

/* single: one group of the default kind; max: as many groups as there are. */
static int
class_of_value(
    daos_handle_t coh, const char *value, size_t len, bool is_dir, daos_oclass_id_t *ret_oclass)
{
    enum daos_otype_t otype = is_dir ? DAOS_OT_MULTI_HASHED : DAOS_OT_ARRAY_BYTE;
    bool is_single = len == 6 && strncasecmp(value, "single", len) == 0;
    bool is_max = len == 3 && strncasecmp(value, "max", len) == 0;
    daos_obj_id_t oid = {.lo = 1};
    int rc;

    if (!is_single && !is_max)
        return EINVAL;
    rc = err_to_errno(
        daos_obj_generate_oid(coh, &oid, otype, 0, is_max ? DAOS_OCH_SHD_MAX : DAOS_OCH_SHD_DEF, 0));
    if (rc != 0)
        return rc;
    *ret_oclass = daos_obj_id2class(oid);
    if (is_single)
        *ret_oclass = (*ret_oclass & ~UINT32_C(0xffff)) | 1;
    return 0;
}

int
dfs_oclass_from_hint(daos_handle_t coh, const char *hint, bool is_dir, daos_oclass_id_t *ret_oclass)
{
    daos_oclass_id_t oclass = 0, other;

    for (const char *part = hint; *part != '\0';) {
        size_t len = strcspn(part, ","), value_len;
        const char *value;
        int rc;

        value_len = hint_value(part, len, is_dir, &value);
        if (value_len > 0) {
            rc = class_of_value(coh, value, value_len, is_dir, &oclass);
        } else {
            value_len = hint_value(part, len, !is_dir, &value); /* checked, though not for us */
            rc = value_len == 0 ? EINVAL : class_of_value(coh, value, value_len, !is_dir, &other);
        }
        if (rc != 0)
            return rc;
        part += len;
        part += *part == ',';
    }
    *ret_oclass = oclass;
    return 0;
}

int
dfs_suggest_oclass(dfs_t *dfs, const char *hint, daos_oclass_id_t *cid)
{
    bool is_dir;

    if (dfs == NULL || hint == NULL || cid == NULL || hint[0] == '\0' || strchr(hint, ',') != NULL)
        return EINVAL;
    is_dir = strncasecmp(hint, "d", 1) == 0;
    return dfs_oclass_from_hint(dfs->coh, hint, is_dir, cid);
}
