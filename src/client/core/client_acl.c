/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Who owns a container and who may do what with it: daos_cont_*_acl(), daos_cont_set_owner*(), daos_cont_status_clear(). The list is a property that is stored and not yet
 * evaluated (docs/roadmap.md). One entry is changed by reading the list and writing the whole one back if it is still what was read, else again: two who change
 * different entries at the same time lose nothing. Tested by src/client/test/client_snap_test.c and test/api.
 */
#include "base/util.h"
#include "client/core/client_prop.h"
#include "daos_cont.h"
#include "daos_security.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGE_TRIES_NR_MAX = 64, ARENA_BYTES = 1024 };

struct acl_args {
    daos_handle_t coh;
    daos_prop_t **ret_prop;
    struct daos_acl *acl; /* overwrite: the list; update: the entries; NULL: one is removed */
    enum daos_acl_principal_type type;
    char name[DAOS_ACL_MAX_PRINCIPAL_BUF_LEN];
    bool has_name;
    char user[DAOS_ACL_MAX_PRINCIPAL_BUF_LEN], group[DAOS_ACL_MAX_PRINCIPAL_BUF_LEN]; /* "": stays */
};

/* ---- requests ----------------------------------------------------------------------------------------------------------- */

static int
props_get(struct client_cont *cont, const uint32_t *types, uint32_t nr, struct proto_prop_rep *rep,
    struct arena *arena)
{
    struct proto_prop_req req = {.pool = cont->pool->uuid, .cont = cont->uuid};
    struct proto_prop *items = arena_calloc(arena, nr, sizeof(*items));

    if (items == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        items[i].type = types[i];
    }
    req.props = (struct proto_array){nr, items};
    *rep = (struct proto_prop_rep){{0}};
    return client_cont_call(cont, PROTO_CONT_PROP_GET, &req, rep, arena);
}

/* `expect` (may be NULL): must still be so, else TX_RESTART. */
static int
props_set(struct client_cont *cont, struct proto_prop *props, uint32_t nr,
    const struct proto_prop *expect, struct arena *arena)
{
    struct proto_prop_req req = {.pool = cont->pool->uuid,
        .cont = cont->uuid,
        .props = {nr, props},
        .expect = {expect != NULL, (void *)(uintptr_t)expect}};
    struct proto_prop_rep rep = {{0}};

    return client_cont_call(cont, PROTO_CONT_PROP_SET, &req, &rep, arena);
}

/* ---- the list ------------------------------------------------------------------------------------------------------------- */

static int
get_ult(void *arg)
{
    static const uint32_t types[] = {DAOS_PROP_CO_ACL, DAOS_PROP_CO_OWNER, DAOS_PROP_CO_OWNER_GROUP};
    struct acl_args *args = arg;
    struct proto_prop_rep rep;
    struct client_cont *cont;
    daos_prop_t *prop;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, false, &cont);

    if (rc != 0)
        return rc;
    arena_init(&arena, ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    prop = daos_prop_alloc(ARRAY_SIZE(types));
    rc = prop == NULL ? CAIRN_ERR(NOMEM) : 0;
    for (uint32_t i = 0; rc == 0 && i < ARRAY_SIZE(types); i++) {
        prop->dpp_entries[i].dpe_type = types[i];
    }
    if (rc == 0)
        rc = props_get(cont, types, ARRAY_SIZE(types), &rep, &arena);
    if (rc == 0)
        rc = client_prop_decode(&rep.props, prop);
    if (rc == 0) {
        *args->ret_prop = prop;
    } else {
        daos_prop_free(prop);
    }
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_get_acl(daos_handle_t coh, daos_prop_t **acl_prop, daos_event_t *ev)
{
    struct acl_args args = {.coh = coh, .ret_prop = acl_prop};

    if (acl_prop == NULL)
        return client_refuse();
    return client_run(ev, get_ult, &args, sizeof(args));
}

/* `*ret_acl` returns owned: the list in these bytes, an empty one when there are none. */
static int
acl_of(const struct iov *bytes, struct daos_acl **ret_acl)
{
    struct daos_acl *acl;

    if (bytes->len == 0) {
        acl = daos_acl_create(NULL, 0);
    } else {
        acl = bytes->len < sizeof(*acl) ? NULL : malloc(bytes->len);
        if (bytes->len < sizeof(*acl))
            return CAIRN_ERR(PROTO);
        if (acl != NULL)
            memcpy(acl, bytes->buf, bytes->len);
    }
    if (acl == NULL)
        return CAIRN_ERR(NOMEM);
    if (acl->dal_len != (bytes->len == 0 ? 0 : bytes->len - sizeof(*acl)) ||
        daos_acl_validate(acl) != 0) {
        daos_acl_free(acl);
        return CAIRN_ERR(PROTO);
    }
    *ret_acl = acl;
    return 0;
}

static int
acl_edit(const struct acl_args *args, struct daos_acl **acl)
{
    struct daos_ace *ace = NULL;
    int rc = 0;

    if (args->acl == NULL)
        return daos_acl_remove_ace(acl, args->type, args->has_name ? args->name : NULL);
    while (rc == 0 && (ace = daos_acl_get_next_ace(args->acl, ace)) != NULL) {
        rc = daos_acl_add_ace(acl, ace);
    }
    return rc;
}

/* One try. TX_RESTART: somebody else was faster. */
static int
change_once(struct client_cont *cont, const struct acl_args *args)
{
    static const uint32_t type = DAOS_PROP_CO_ACL;
    struct proto_prop_rep rep;
    struct proto_prop old, prop = {.type = type};
    struct daos_acl *acl = NULL;
    struct arena arena;
    int rc;

    arena_init(&arena, ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = props_get(cont, &type, 1, &rep, &arena);
    if (rc == 0 && rep.props.nr != 1)
        rc = CAIRN_ERR(PROTO);
    if (rc != 0)
        goto out;
    old = *(struct proto_prop *)rep.props.items;
    rc = acl_of(&old.bytes, &acl);
    if (rc == 0)
        rc = acl_edit(args, &acl);
    if (rc == 0 && acl->dal_len > PROTO_PROP_BYTES_MAX - sizeof(*acl))
        rc = CAIRN_ERR(INVAL); /* too many entries */
    if (rc != 0)
        goto out;
    prop.bytes = (struct iov){acl, sizeof(*acl) + acl->dal_len};
    rc = props_set(cont, &prop, 1, &old, &arena);
out:
    daos_acl_free(acl);
    arena_fini(&arena);
    return rc;
}

static int
change_ult(void *arg)
{
    struct acl_args *args = arg;
    struct client_cont *cont;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    for (int i = 0; i < CHANGE_TRIES_NR_MAX; i++) {
        rc = change_once(cont, args);
        if (rc != -DER_TX_RESTART)
            break;
    }
    client_cont_put(cont);
    return rc;
}

int
daos_cont_update_acl(daos_handle_t coh, struct daos_acl *acl, daos_event_t *ev)
{
    struct acl_args args = {.coh = coh, .acl = acl};

    if (daos_acl_validate(acl) != 0)
        return client_refuse();
    return client_run(ev, change_ult, &args, sizeof(args));
}

int
daos_cont_delete_acl(
    daos_handle_t coh, enum daos_acl_principal_type type, d_string_t name, daos_event_t *ev)
{
    struct acl_args args = {.coh = coh, .type = type, .has_name = name != NULL};
    bool needs_name = type == DAOS_ACL_USER || type == DAOS_ACL_GROUP;

    if ((uint32_t)type >= NUM_DAOS_ACL_TYPES || (needs_name && !daos_acl_principal_is_valid(name)) ||
        (name != NULL && strnlen(name, sizeof(args.name)) == sizeof(args.name)))
        return client_refuse();
    if (name != NULL)
        memcpy(args.name, name, strlen(name) + 1);
    return client_run(ev, change_ult, &args, sizeof(args));
}

static int
overwrite_ult(void *arg)
{
    struct acl_args *args = arg;
    struct proto_prop prop = {
        .type = DAOS_PROP_CO_ACL, .bytes = {args->acl, sizeof(*args->acl) + args->acl->dal_len}};
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    arena_init(&arena, ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = props_set(cont, &prop, 1, NULL, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_overwrite_acl(daos_handle_t coh, struct daos_acl *acl, daos_event_t *ev)
{
    struct acl_args args = {.coh = coh, .acl = acl};

    if (daos_acl_validate(acl) != 0 || acl->dal_len > PROTO_PROP_BYTES_MAX - sizeof(*acl))
        return client_refuse();
    return client_run(ev, overwrite_ult, &args, sizeof(args));
}

/* ---- the owner -------------------------------------------------------------------------------------------------------------- */

static int
owner_ult(void *arg)
{
    struct acl_args *args = arg;
    struct proto_prop props[2];
    struct client_cont *cont;
    struct arena arena;
    uint32_t nr = 0;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    if (args->user[0] != '\0') {
        props[nr++] = (struct proto_prop){
            .type = DAOS_PROP_CO_OWNER, .bytes = {args->user, strlen(args->user)}};
    }
    if (args->group[0] != '\0') {
        props[nr++] = (struct proto_prop){
            .type = DAOS_PROP_CO_OWNER_GROUP, .bytes = {args->group, strlen(args->group)}};
    }
    arena_init(&arena, ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = props_set(cont, props, nr, NULL, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

static bool
principal_take(const char *name, char *to, size_t bytes)
{
    if (name == NULL)
        return true;
    if (!daos_acl_principal_is_valid(name) || strnlen(name, bytes) == bytes)
        return false;
    memcpy(to, name, strlen(name) + 1);
    return true;
}

int
daos_cont_set_owner_no_check(daos_handle_t coh, d_string_t user, d_string_t group, daos_event_t *ev)
{
    struct acl_args args = {.coh = coh};

    if ((user == NULL && group == NULL) || !principal_take(user, args.user, sizeof(args.user)) ||
        !principal_take(group, args.group, sizeof(args.group)))
        return client_refuse();
    return client_run(ev, owner_ult, &args, sizeof(args));
}

/* Names are looked up on the thread of the caller (TH-2). */
int
daos_cont_set_owner(daos_handle_t coh, d_string_t user, d_string_t group, daos_event_t *ev)
{
    uid_t uid;
    gid_t gid;
    int rc = 0;

    if (user != NULL && daos_acl_principal_is_valid(user))
        rc = daos_acl_principal_to_uid(user, &uid);
    if (rc == 0 && group != NULL && daos_acl_principal_is_valid(group))
        rc = daos_acl_principal_to_gid(group, &gid);
    return rc != 0 ? rc : daos_cont_set_owner_no_check(coh, user, group, ev);
}

/* ---- health ------------------------------------------------------------------------------------------------------------------ */

/* A container is never marked as damaged so far, so there is nothing to take back; who may not is told so. */
static int
status_ult(void *arg)
{
    static const uint32_t type = DAOS_PROP_CO_STATUS;
    struct acl_args *args = arg;
    struct proto_prop_rep rep;
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    arena_init(&arena, ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = props_get(cont, &type, 1, &rep, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_status_clear(daos_handle_t coh, daos_event_t *ev)
{
    struct acl_args args = {.coh = coh};

    return client_run(ev, status_ult, &args, sizeof(args));
}
