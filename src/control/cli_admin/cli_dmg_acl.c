/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Access control lists: from a file, and as stored. Tested by test/control_system_test.py. */
#include "control/cli_admin/cli_dmg.h"
#include "daos_prop.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One more entry from a line of an ACL file. Errors: INVAL with a line. */
static int
acl_line(struct dmg *dmg, const char *path, uint32_t line, const char *text, struct daos_acl **acl)
{
    struct daos_ace *ace = NULL, *same = NULL;
    int rc = daos_ace_from_str(text, &ace);

    if (rc != 0) {
        return cli_fail(&dmg->cli,
            -DER_INVAL, "%s:%u: '%.80s' is no entry of an access control list: expected one like A::name@:rw or A:G:GROUP@:r",
            path, line, text);
    }
    if (*acl != NULL &&
        daos_acl_get_ace_for_principal(*acl, (enum daos_acl_principal_type)ace->dae_principal_type,
            ace->dae_principal, &same) == 0) {
        rc = cli_fail(&dmg->cli, -DER_INVAL, "%s:%u: '%.80s': its principal has an entry already",
            path, line, text);
    } else if (*acl == NULL) {
        *acl = daos_acl_create(&ace, 1);
        rc = *acl == NULL ? CAIRN_ERR(NOMEM) : 0;
    } else {
        rc = daos_acl_add_ace(acl, ace);
    }
    daos_ace_free(ace);
    return rc;
}

int
dmg_acl_read(struct dmg *dmg, const char *path, struct daos_acl **ret_acl)
{
    FILE *file = fopen(path, "re");
    char text[DAOS_ACL_MAX_ACE_STR_LEN + 64];
    uint32_t line = 0;
    int rc = 0;

    if (file == NULL)
        return cli_fail(&dmg->cli, err_from_errno(errno), "--acl-file %s: %s", path, strerror(errno));
    while (rc == 0 && fgets(text, sizeof(text), file) != NULL) {
        char *start = text + strspn(text, " \t\r\n");
        size_t len = strlen(start);

        line++;
        if (len > 0 && start[len - 1] != '\n' && !feof(file)) {
            rc = cli_fail(&dmg->cli, -DER_INVAL, "%s:%u: longer than %zu characters", path, line,
                sizeof(text) - 2);
            break;
        }
        while (len > 0 && isspace((unsigned char)start[len - 1])) {
            start[--len] = '\0';
        }
        if (start[0] != '\0' && start[0] != '#')
            rc = acl_line(dmg, path, line, start, ret_acl);
    }
    if (rc == 0 && ferror(file))
        rc = cli_fail(&dmg->cli, CAIRN_ERR(IO), "--acl-file %s: cannot be read", path);
    (void)fclose(file);
    if (rc == 0 && (*ret_acl == NULL || daos_acl_validate(*ret_acl) != 0)) {
        rc = cli_fail(&dmg->cli, -DER_INVAL,
            "%s: no access control list: expected lines like A::name@:rw", path);
    }
    if (rc == 0 && daos_acl_get_size(*ret_acl) > DMG_ACL_BYTES_MAX) {
        rc = cli_fail(&dmg->cli, -DER_OVERFLOW, "%s: the list takes %zd bytes: it may have %d",
            path, daos_acl_get_size(*ret_acl), DMG_ACL_BYTES_MAX);
    }
    return rc;
}

static const Cairn__Ctl__Property *
property_find(const Cairn__Ctl__PoolQueryRep *rep, uint32_t number)
{
    for (size_t i = 0; i < rep->n_properties; i++) {
        if (rep->properties[i]->number == number)
            return rep->properties[i];
    }
    return NULL;
}

/* The entries as texts. `*ret_list` and each of them are the caller's. Errors: DF_INVAL. */
static int
acl_texts(const Cairn__Ctl__PoolQueryRep *rep, char ***ret_list, size_t *ret_nr)
{
    const Cairn__Ctl__Property *prop = property_find(rep, DAOS_PROP_PO_ACL);
    struct daos_acl *acl;
    int rc;

    if (prop == NULL || prop->data.len == 0)
        return 0; /* none was given */
    acl = malloc(prop->data.len + sizeof(*acl));
    if (acl == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(acl, prop->data.data, prop->data.len);
    rc = prop->data.len < sizeof(*acl) || (size_t)daos_acl_get_size(acl) != prop->data.len
        ? CAIRN_ERR(DF_INVAL)
        : daos_acl_to_strs(acl, ret_list, ret_nr);
    daos_acl_free(acl);
    return rc;
}

static int
acl_print(struct dmg *dmg, const Cairn__Ctl__PoolQueryRep *rep, json_t **ret_response)
{
    const Cairn__Ctl__Property *owner = property_find(rep, DAOS_PROP_PO_OWNER);
    const Cairn__Ctl__Property *group = property_find(rep, DAOS_PROP_PO_OWNER_GROUP);
    const char *user_name = owner != NULL ? owner->str : "";
    const char *group_name = group != NULL ? group->str : "";
    json_t *entries = json_array();
    char **texts = NULL;
    size_t nr = 0;
    int rc = acl_texts(rep, &texts, &nr);

    if (rc == 0 && !dmg->cli.is_json)
        (void)printf("# Owner: %s\n# Owner Group: %s\n# Entries:\n", user_name, group_name);
    for (size_t i = 0; i < nr; i++) {
        json_array_append_new(entries, json_string(texts[i]));
        if (!dmg->cli.is_json)
            (void)printf("%s\n", texts[i]);
        free(texts[i]);
    }
    free(texts);
    *ret_response = json_pack(
        "{s:o, s:s, s:s}", "entries", entries, "owner_user", user_name, "owner_group", group_name);
    return rc == 0 ? 0 : cli_fail(&dmg->cli, rc, "what is stored is no access control list");
}

int
dmg_pool_get_acl(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolQueryRep *rep = NULL;
    int rc = dmg_pool_ask(dmg, argc, argv, &rep);

    if (rc != 0)
        return rc;
    rc = acl_print(dmg, rep, ret_response);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return rc;
}
