/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Access control lists as a whole, and what they allow a user (daos_security.h). */
#include <daos_cont.h>
#include <daos_pool.h>
#include <daos_security.h>

#include <errno.h>
#include <gurt/common.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* Entries are multiples of this; one that is not ends the walk. */
#define ACE_ALIGN 8

static struct daos_acl *
acl_alloc(size_t ace_bytes)
{
    struct daos_acl *acl;

    if (ace_bytes > DAOS_ACL_MAX_ACE_LEN)
        return NULL;
    acl = calloc(1, sizeof(*acl) + ace_bytes);
    if (acl == NULL)
        return NULL;
    acl->dal_ver = DAOS_ACL_VERSION;
    acl->dal_len = (uint32_t)ace_bytes;
    return acl;
}

struct daos_acl *
daos_acl_create(struct daos_ace *aces[], uint16_t num_aces)
{
    struct daos_acl *acl;
    size_t bytes = 0;
    uint8_t *next;

    for (uint16_t i = 0; i < num_aces; i++) {
        ssize_t size = aces == NULL ? -1 : daos_ace_get_size(aces[i]);

        if (size < 0)
            return NULL;
        bytes += (size_t)size;
    }
    acl = acl_alloc(bytes);
    if (acl == NULL)
        return NULL;
    next = acl->dal_ace;
    for (uint32_t type = 0; type < NUM_DAOS_ACL_TYPES; type++) {
        for (uint16_t i = 0; i < num_aces; i++) {
            size_t size = (size_t)daos_ace_get_size(aces[i]);

            if (aces[i]->dae_principal_type != type)
                continue;
            memcpy(next, aces[i], size);
            next += size;
        }
    }
    return acl;
}

ssize_t
daos_acl_get_size(struct daos_acl *acl)
{
    return acl == NULL ? -DER_INVAL : (ssize_t)(sizeof(*acl) + acl->dal_len);
}

struct daos_acl *
daos_acl_dup(struct daos_acl *acl)
{
    struct daos_acl *copy;

    if (acl == NULL)
        return NULL;
    copy = acl_alloc(acl->dal_len);
    if (copy != NULL)
        memcpy(copy, acl, sizeof(*acl) + acl->dal_len);
    return copy;
}

void
daos_acl_free(struct daos_acl *acl)
{
    free(acl);
}

/* The entry at an offset; NULL at the end and where the bytes hold no whole entry. */
static struct daos_ace *
ace_at(struct daos_acl *acl, size_t off)
{
    struct daos_ace *ace = (struct daos_ace *)(void *)(acl->dal_ace + off);

    if (off > acl->dal_len || acl->dal_len - off < sizeof(*ace))
        return NULL;
    if (off % ACE_ALIGN != 0)
        return NULL;
    return acl->dal_len - off - sizeof(*ace) < ace->dae_principal_len ? NULL : ace;
}

struct daos_ace *
daos_acl_get_next_ace(struct daos_acl *acl, struct daos_ace *current_ace)
{
    size_t off;

    if (acl == NULL)
        return NULL;
    if (current_ace == NULL)
        return ace_at(acl, 0);
    if ((uint8_t *)current_ace < acl->dal_ace)
        return NULL;
    off = (size_t)((uint8_t *)current_ace - acl->dal_ace);
    if (ace_at(acl, off) == NULL)
        return NULL;
    return ace_at(acl, off + sizeof(*current_ace) + current_ace->dae_principal_len);
}

static bool
ace_is_for(const struct daos_ace *ace, uint32_t type, const char *principal)
{
    if (ace->dae_principal_type != type)
        return false;
    if (type != DAOS_ACL_USER && type != DAOS_ACL_GROUP)
        return true;
    return principal != NULL && strncmp(ace->dae_principal, principal, ace->dae_principal_len) == 0;
}

int
daos_acl_get_ace_for_principal(struct daos_acl *acl, enum daos_acl_principal_type type,
    const char *principal, struct daos_ace **ace)
{
    struct daos_ace *pos = NULL;

    if (acl == NULL || ace == NULL || (uint32_t)type >= NUM_DAOS_ACL_TYPES)
        return -DER_INVAL;
    if ((type == DAOS_ACL_USER || type == DAOS_ACL_GROUP) && principal == NULL)
        return -DER_INVAL;
    while ((pos = daos_acl_get_next_ace(acl, pos)) != NULL) {
        if (ace_is_for(pos, type, principal)) {
            *ace = pos;
            return 0;
        }
    }
    return -DER_NONEXIST;
}

int
daos_acl_validate(struct daos_acl *acl)
{
    struct daos_ace *pos = NULL;
    size_t seen = 0;
    uint32_t type = 0;

    if (acl == NULL || acl->dal_ver != DAOS_ACL_VERSION || acl->dal_len > DAOS_ACL_MAX_ACE_LEN)
        return -DER_INVAL;
    while ((pos = daos_acl_get_next_ace(acl, pos)) != NULL) {
        struct daos_ace *same = NULL;

        if (!daos_ace_is_valid(pos) || pos->dae_principal_type < type)
            return -DER_INVAL;
        type = pos->dae_principal_type;
        seen += sizeof(*pos) + pos->dae_principal_len;
        if (daos_acl_get_ace_for_principal(
                acl, (enum daos_acl_principal_type)type, pos->dae_principal, &same) != 0 ||
            same != pos)
            return -DER_INVAL;
    }
    return seen == acl->dal_len ? 0 : -DER_INVAL;
}

/* Entries of a list as an array of pointers, with one more for the caller. */
static int
aces_collect(struct daos_acl *acl, struct daos_ace ***ret_aces, uint16_t *ret_nr)
{
    struct daos_ace **aces;
    struct daos_ace *pos = NULL;
    uint16_t nr = 0;

    aces = calloc(acl->dal_len / sizeof(struct daos_ace) + 1, sizeof(aces[0]));
    if (aces == NULL)
        return -DER_NOMEM;
    while ((pos = daos_acl_get_next_ace(acl, pos)) != NULL) {
        aces[nr++] = pos;
    }
    *ret_aces = aces;
    *ret_nr = nr;
    return 0;
}

/* Replace *acl by a list of these entries. */
static int
acl_replace(struct daos_acl **acl, struct daos_ace **aces, uint16_t nr)
{
    struct daos_acl *changed = daos_acl_create(aces, nr);

    if (changed == NULL)
        return -DER_NOMEM;
    daos_acl_free(*acl);
    *acl = changed;
    return 0;
}

int
daos_acl_add_ace(struct daos_acl **acl, struct daos_ace *new_ace)
{
    struct daos_ace **aces = NULL;
    uint16_t nr = 0;
    uint16_t at = 0;
    int rc;

    if (acl == NULL || *acl == NULL || !daos_ace_is_valid(new_ace))
        return -DER_INVAL;
    rc = aces_collect(*acl, &aces, &nr);
    if (rc != 0)
        return rc;
    while (at < nr && !ace_is_for(aces[at], new_ace->dae_principal_type, new_ace->dae_principal)) {
        at++;
    }
    aces[at] = new_ace;
    rc = acl_replace(acl, aces, MAX(nr, (uint16_t)(at + 1)));
    free(aces);
    return rc;
}

int
daos_acl_remove_ace(
    struct daos_acl **acl, enum daos_acl_principal_type type, const char *principal_name)
{
    struct daos_ace **aces = NULL;
    struct daos_ace *found = NULL;
    uint16_t nr = 0;
    uint16_t kept = 0;
    int rc;

    if (acl == NULL || *acl == NULL)
        return -DER_INVAL;
    rc = daos_acl_get_ace_for_principal(*acl, type, principal_name, &found);
    if (rc == 0)
        rc = aces_collect(*acl, &aces, &nr);
    if (rc != 0)
        return rc;
    for (uint16_t i = 0; i < nr; i++) {
        if (aces[i] != found)
            aces[kept++] = aces[i];
    }
    rc = acl_replace(acl, aces, kept);
    free(aces);
    return rc;
}

void
daos_acl_dump(struct daos_acl *acl)
{
    struct daos_ace *pos = NULL;

    if (acl == NULL) {
        printf("Access control list: none\n");
        return;
    }
    printf("Access control list: version %u, %u bytes\n", acl->dal_ver, acl->dal_len);
    while ((pos = daos_acl_get_next_ace(acl, pos)) != NULL) {
        daos_ace_dump(pos, 1);
    }
}

int
daos_acl_from_strs(const char **ace_strs, size_t ace_nr, struct daos_acl **acl)
{
    struct daos_ace **aces;
    struct daos_acl *made = NULL;
    int rc = 0;

    if (ace_strs == NULL || ace_nr == 0 || ace_nr > UINT16_MAX || acl == NULL)
        return -DER_INVAL;
    aces = calloc(ace_nr, sizeof(aces[0]));
    if (aces == NULL)
        return -DER_NOMEM;
    for (size_t i = 0; i < ace_nr && rc == 0; i++) {
        rc = daos_ace_from_str(ace_strs[i], &aces[i]);
    }
    if (rc != 0)
        goto out;
    made = daos_acl_create(aces, (uint16_t)ace_nr);
    rc = made == NULL ? -DER_NOMEM : daos_acl_validate(made);
    if (rc != 0)
        goto out;
    *acl = made;
    made = NULL;
out:
    for (size_t i = 0; i < ace_nr; i++) {
        daos_ace_free(aces[i]);
    }
    free(aces);
    daos_acl_free(made);
    return rc;
}

int
daos_acl_to_strs(struct daos_acl *acl, char ***ace_strs, size_t *ace_nr)
{
    char text[DAOS_ACL_MAX_ACE_STR_LEN + 1];
    struct daos_ace *pos = NULL;
    char **strs;
    size_t nr = 0;
    int rc = 0;

    if (ace_strs == NULL || ace_nr == NULL || daos_acl_validate(acl) != 0)
        return -DER_INVAL;
    strs = calloc(acl->dal_len / sizeof(struct daos_ace) + 1, sizeof(strs[0]));
    if (strs == NULL)
        return -DER_NOMEM;
    while (rc == 0 && (pos = daos_acl_get_next_ace(acl, pos)) != NULL) {
        rc = daos_ace_to_str(pos, text, sizeof(text));
        if (rc != 0)
            break;
        strs[nr] = strdup(text);
        if (strs[nr] == NULL) {
            rc = -DER_NOMEM;
        } else {
            nr++;
        }
    }
    if (rc != 0) {
        while (nr > 0) {
            free(strs[--nr]);
        }
        free(strs);
        return rc;
    }
    *ace_strs = strs;
    *ace_nr = nr;
    return 0;
}

int
daos_acl_to_stream(FILE *stream, struct daos_acl *acl, bool verbose)
{
    char text[DAOS_ACL_MAX_ACE_STR_LEN + 1];
    char words[2 * DAOS_ACL_MAX_ACE_STR_LEN];
    struct daos_ace *pos = NULL;
    bool any = false;
    int rc;

    if (stream == NULL)
        return -DER_INVAL;
    fprintf(stream, "# Entries:\n");
    while ((pos = daos_acl_get_next_ace(acl, pos)) != NULL) {
        rc = daos_ace_to_str(pos, text, sizeof(text));
        if (rc != 0)
            return rc;
        if (verbose && daos_ace_str_get_verbose(text, words, sizeof(words)) == 0)
            fprintf(stream, "# %s\n", words);
        fprintf(stream, "%s\n", text);
        any = true;
    }
    if (!any)
        fprintf(stream, "#   None\n");
    return ferror(stream) ? -DER_IO : 0;
}

/* Who asks, and whose thing it is. */
struct acl_user {
    uid_t uid;
    gid_t *gids;
    size_t gids_nr;
    const char *owner;
    const char *owner_group;
};

static bool
user_is(const struct acl_user *user, const char *principal)
{
    uid_t uid;

    return principal != NULL && daos_acl_principal_to_uid(principal, &uid) == 0 && uid == user->uid;
}

static bool
user_is_in(const struct acl_user *user, const char *group)
{
    gid_t gid;

    if (group == NULL || daos_acl_principal_to_gid(group, &gid) != 0)
        return false;
    for (size_t i = 0; i < user->gids_nr; i++) {
        if (user->gids[i] == gid)
            return true;
    }
    return false;
}

/*
 * Permissions that the most specific matching entries give: the owner's, else the user's own, else those of all groups together, else
 * everyone's. False when none matches.
 */
static bool
acl_perms(struct daos_acl *acl, const struct acl_user *user, uint64_t *ret_perms)
{
    struct daos_ace *ace = NULL;
    uint64_t perms = 0;
    bool in_group = false;

    if (user_is(user, user->owner) &&
        daos_acl_get_ace_for_principal(acl, DAOS_ACL_OWNER, NULL, &ace) == 0) {
        *ret_perms = ace->dae_allow_perms;
        return true;
    }
    for (ace = NULL; (ace = daos_acl_get_next_ace(acl, ace)) != NULL;) {
        if (ace->dae_principal_type == DAOS_ACL_USER && user_is(user, ace->dae_principal)) {
            *ret_perms = ace->dae_allow_perms;
            return true;
        }
    }
    for (ace = NULL; (ace = daos_acl_get_next_ace(acl, ace)) != NULL;) {
        if ((ace->dae_principal_type == DAOS_ACL_OWNER_GROUP && user_is_in(user, user->owner_group)) ||
            (ace->dae_principal_type == DAOS_ACL_GROUP && user_is_in(user, ace->dae_principal))) {
            perms |= ace->dae_allow_perms;
            in_group = true;
        }
    }
    if (!in_group) {
        if (daos_acl_get_ace_for_principal(acl, DAOS_ACL_EVERYONE, NULL, &ace) != 0)
            return false;
        perms = ace->dae_allow_perms;
    }
    *ret_perms = perms;
    return true;
}

/* The three properties that decide; -DER_INVAL when one is not there or not valid. */
static int
perms_get(daos_prop_t *prop, uint32_t owner_id, uint32_t group_id, uint32_t acl_id,
    struct acl_user *user, uint64_t *ret_perms)
{
    struct daos_prop_entry *owner = daos_prop_entry_get(prop, owner_id);
    struct daos_prop_entry *group = daos_prop_entry_get(prop, group_id);
    struct daos_prop_entry *acl = daos_prop_entry_get(prop, acl_id);

    if (owner == NULL || group == NULL || acl == NULL || (user->gids == NULL && user->gids_nr > 0))
        return -DER_INVAL;
    if (owner->dpe_str == NULL || group->dpe_str == NULL || daos_acl_validate(acl->dpe_val_ptr) != 0)
        return -DER_INVAL;
    user->owner = owner->dpe_str;
    user->owner_group = group->dpe_str;
    if (!acl_perms(acl->dpe_val_ptr, user, ret_perms))
        *ret_perms = 0;
    return 0;
}

int
daos_pool_get_perms(daos_prop_t *pool_prop, uid_t uid, gid_t *gids, size_t nr_gids, uint64_t *perms)
{
    struct acl_user user = {.uid = uid, .gids = gids, .gids_nr = nr_gids};
    uint64_t found;
    int rc;

    if (perms == NULL)
        return -DER_INVAL;
    rc = perms_get(
        pool_prop, DAOS_PROP_PO_OWNER, DAOS_PROP_PO_OWNER_GROUP, DAOS_PROP_PO_ACL, &user, &found);
    if (rc == 0)
        *perms = found & DAOS_ACL_PERM_POOL_ALL;
    return rc;
}

int
daos_cont_get_perms(daos_prop_t *cont_prop, uid_t uid, gid_t *gids, size_t nr_gids, uint64_t *perms)
{
    struct acl_user user = {.uid = uid, .gids = gids, .gids_nr = nr_gids};
    uint64_t found;
    int rc;

    if (perms == NULL)
        return -DER_INVAL;
    rc = perms_get(
        cont_prop, DAOS_PROP_CO_OWNER, DAOS_PROP_CO_OWNER_GROUP, DAOS_PROP_CO_ACL, &user, &found);
    if (rc != 0)
        return rc;
    /* An owner cannot lock itself out of the list. */
    if (user_is(&user, user.owner))
        found |= DAOS_ACL_PERM_GET_ACL | DAOS_ACL_PERM_SET_ACL;
    *perms = found & DAOS_ACL_PERM_CONT_ALL;
    return 0;
}
