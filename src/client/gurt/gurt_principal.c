/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Users and groups of this machine as principals "name@" (daos_security.h), and filters of container lists (daos_pool.h).
 * The lookups may ask a name service and block: for threads of the application only.
 */
#include <daos_pool.h>
#include <daos_security.h>

#include <errno.h>
#include <grp.h>
#include <gurt/common.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define NAME_BUF_BYTES_FIRST 1024
#define NAME_BUF_BYTES_MAX ((size_t)1 << 20)

/* One lookup, with a buffer that is doubled until the answer fits. */
enum lookup_kind { LOOKUP_UID, LOOKUP_GID, LOOKUP_USER, LOOKUP_GROUP };

struct lookup {
    enum lookup_kind kind;
    uid_t uid;
    gid_t gid;
    const char *name;
    char *ret_name; /* copy, for LOOKUP_UID and LOOKUP_GID */
};

/* Returns an errno value; ENOENT when there is none. */
static int
lookup_user(struct lookup *lookup, char *buf, size_t bytes)
{
    struct passwd pwd;
    struct passwd *found = NULL;
    int err = lookup->kind == LOOKUP_UID ? getpwuid_r(lookup->uid, &pwd, buf, bytes, &found)
                                         : getpwnam_r(lookup->name, &pwd, buf, bytes, &found);

    if (err != 0)
        return err;
    if (found == NULL)
        return ENOENT;
    if (lookup->kind == LOOKUP_UID)
        lookup->ret_name = strdup(found->pw_name);
    lookup->uid = found->pw_uid;
    return 0;
}

static int
lookup_group(struct lookup *lookup, char *buf, size_t bytes)
{
    struct group grp;
    struct group *found = NULL;
    int err = lookup->kind == LOOKUP_GID ? getgrgid_r(lookup->gid, &grp, buf, bytes, &found)
                                         : getgrnam_r(lookup->name, &grp, buf, bytes, &found);

    if (err != 0)
        return err;
    if (found == NULL)
        return ENOENT;
    if (lookup->kind == LOOKUP_GID)
        lookup->ret_name = strdup(found->gr_name);
    lookup->gid = found->gr_gid;
    return 0;
}

static int
lookup_run(struct lookup *lookup)
{
    bool is_user = lookup->kind == LOOKUP_UID || lookup->kind == LOOKUP_USER;
    int err = ERANGE;

    for (size_t bytes = NAME_BUF_BYTES_FIRST; err == ERANGE && bytes <= NAME_BUF_BYTES_MAX;
         bytes *= 2) {
        char *buf = malloc(bytes);

        if (buf == NULL)
            return -DER_NOMEM;
        err = is_user ? lookup_user(lookup, buf, bytes) : lookup_group(lookup, buf, bytes);
        free(buf);
    }
    if (err == ENOENT || err == ESRCH || err == EBADF || err == EPERM)
        return -DER_NONEXIST; /* Each of them is some library's way to say so. */
    return d_errno2der(err);
}

/* "name@" of a name, which is freed. */
static int
principal_make(char *name, char **ret)
{
    int len;

    if (name == NULL)
        return -DER_NOMEM;
    len = d_asprintf(ret, "%s@", name);
    free(name);
    return len < 0 ? -DER_NOMEM : 0;
}

int
daos_acl_uid_to_principal(uid_t uid, char **name)
{
    struct lookup lookup = {.kind = LOOKUP_UID, .uid = uid};
    int rc;

    if (name == NULL)
        return -DER_INVAL;
    rc = lookup_run(&lookup);
    return rc != 0 ? rc : principal_make(lookup.ret_name, name);
}

int
daos_acl_gid_to_principal(gid_t gid, char **name)
{
    struct lookup lookup = {.kind = LOOKUP_GID, .gid = gid};
    int rc;

    if (name == NULL)
        return -DER_INVAL;
    rc = lookup_run(&lookup);
    return rc != 0 ? rc : principal_make(lookup.ret_name, name);
}

/* Look up the part before the "@". */
static int
principal_lookup(const char *principal, struct lookup *lookup)
{
    char name[DAOS_ACL_MAX_PRINCIPAL_BUF_LEN];
    size_t len;

    if (!daos_acl_principal_is_valid(principal))
        return -DER_INVAL;
    len = (size_t)(strchr(principal, '@') - principal);
    memcpy(name, principal, len);
    name[len] = '\0';
    lookup->name = name;
    return lookup_run(lookup);
}

int
daos_acl_principal_to_uid(const char *principal, uid_t *uid)
{
    struct lookup lookup = {.kind = LOOKUP_USER};
    int rc;

    if (uid == NULL)
        return -DER_INVAL;
    rc = principal_lookup(principal, &lookup);
    if (rc == 0)
        *uid = lookup.uid;
    return rc;
}

int
daos_acl_principal_to_gid(const char *principal, gid_t *gid)
{
    struct lookup lookup = {.kind = LOOKUP_GROUP};
    int rc;

    if (gid == NULL)
        return -DER_INVAL;
    rc = principal_lookup(principal, &lookup);
    if (rc == 0)
        *gid = lookup.gid;
    return rc;
}

int
daos_pool_cont_filter_init(daos_pool_cont_filter_t *filt, uint32_t combine_func)
{
    if (filt == NULL || combine_func > PCF_COMBINE_LOGICAL_OR)
        return -DER_INVAL;
    memset(filt, 0, sizeof(*filt));
    filt->pcf_combine_func = combine_func;
    return 0;
}

int
daos_pool_cont_filter_add(daos_pool_cont_filter_t *filt, daos_pool_cont_filter_part_t *part)
{
    daos_pool_cont_filter_part_t **parts;
    daos_pool_cont_filter_part_t *copy;

    if (filt == NULL || part == NULL || part->pcfp_func >= PCF_FUNC_MAX ||
        part->pcfp_key >= PCF_KEY_MAX)
        return -DER_INVAL;
    if (filt->pcf_nparts >= DAOS_POOL_CONT_FILTER_MAX_NPARTS)
        return -DER_NOSPACE;
    parts = realloc(filt->pcf_parts, (filt->pcf_nparts + 1) * sizeof(parts[0]));
    if (parts == NULL)
        return -DER_NOMEM;
    filt->pcf_parts = parts;
    copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return -DER_NOMEM;
    *copy = *part;
    parts[filt->pcf_nparts++] = copy;
    return 0;
}

void
daos_pool_cont_filter_fini(daos_pool_cont_filter_t *filt)
{
    if (filt == NULL)
        return;
    for (uint32_t i = 0; i < filt->pcf_nparts; i++) {
        free(filt->pcf_parts[i]);
    }
    free(filt->pcf_parts);
    memset(filt, 0, sizeof(*filt));
}
