/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Unified name space (daos_uns.h): where a path leads. Direct paths (daos://pool/container/dir and, with DUNS_NO_PREFIX, /pool/container/dir) are taken apart; of other paths the
 * extended attribute user.daos is read, of the path itself or of the nearest directory above that has one. Making such paths is still to come (docs/roadmap.md): ENOSYS.
 *
 * No state, no client: nothing here asks the system whether pool and container exist. Tested by test/duns_test.c.
 */
#include "daos_uns.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/xattr.h>

#define DIRECT_PREFIX "daos://"
#define XATTR_PREFIX "DAOS."

enum { UUID_TEXT_LEN = 36 };

static const struct {
    const char *name;
    daos_cont_layout_t type;
} layouts[] = {
    {"POSIX", DAOS_PROP_CO_LAYOUT_POSIX},
    {"HDF5", DAOS_PROP_CO_LAYOUT_HDF5},
    {"PYTHON", DAOS_PROP_CO_LAYOUT_PYTHON},
    {"SPARK", DAOS_PROP_CO_LAYOUT_SPARK},
    {"DATABASE", DAOS_PROP_CO_LAYOUT_DATABASE},
    {"ROOT", DAOS_PROP_CO_LAYOUT_ROOT},
    {"SEISMIC", DAOS_PROP_CO_LAYOUT_SEISMIC},
    {"METEO", DAOS_PROP_CO_LAYOUT_METEO},
};

static bool
uuid_from_text(const char *text, size_t len, uuid_t ret_uuid)
{
    char copy[UUID_TEXT_LEN + 1];

    if (len != UUID_TEXT_LEN)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return uuid_parse(copy, ret_uuid) == 0;
}

/* A label or a UUID: the characters of both are the same ones. */
static bool
id_is_valid(const char *text, size_t len)
{
    if (len == 0 || len > DAOS_PROP_LABEL_MAX_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                (c != '\0' && strchr(":._-", c) != NULL)))
            return false;
    }
    return true;
}

static void
id_set(char *ret_text, uuid_t ret_uuid, const char *text, size_t len)
{
    memcpy(ret_text, text, len);
    ret_text[len] = '\0';
    if (!uuid_from_text(text, len, ret_uuid))
        uuid_clear(ret_uuid);
}

static void
ids_set(struct duns_attr_t *attr, const char *pool, size_t pool_len, const char *cont, size_t cont_len)
{
    id_set(attr->da_pool, attr->da_puuid, pool, pool_len);
    id_set(attr->da_cont, attr->da_cuuid, cont, cont_len);
}

/*
 * pool[/container[/path]] behind slashes. With `needs_uuids` both are UUIDs, since labels may as well be names of directories. EINVAL: not of that form.
 */
static int
direct_parse(const char *text, bool needs_uuids, struct duns_attr_t *attr)
{
    const char *pool = text + strspn(text, "/"), *cont, *rel;
    size_t pool_len = strcspn(pool, "/"), cont_len;
    uuid_t uuid;
    char *copy = NULL;

    cont = pool + pool_len;
    cont += strspn(cont, "/");
    cont_len = strcspn(cont, "/");
    if (!id_is_valid(pool, pool_len) || (cont_len > 0 && !id_is_valid(cont, cont_len)))
        return EINVAL;
    if (needs_uuids &&
        (!uuid_from_text(pool, pool_len, uuid) || !uuid_from_text(cont, cont_len, uuid)))
        return EINVAL;
    rel = cont + cont_len;
    if (cont_len > 0 && rel[strspn(rel, "/")] != '\0') {
        copy = strdup(rel + strspn(rel, "/") - 1);
        if (copy == NULL)
            return ENOMEM;
    }
    ids_set(attr, pool, pool_len, cont, cont_len);
    attr->da_rel_path = copy;
    return 0;
}

int
duns_parse_attr(char *str, daos_size_t len, struct duns_attr_t *attr)
{
    char text[DUNS_MAX_XATTR_LEN + 1];
    const char *type, *pool, *cont;
    size_t type_len;

    if (str == NULL || attr == NULL || len == 0 || len > DUNS_MAX_XATTR_LEN)
        return EINVAL;
    memcpy(text, str, len);
    text[len] = '\0';
    if (strncmp(text, XATTR_PREFIX, strlen(XATTR_PREFIX)) != 0)
        return EINVAL;
    type = text + strlen(XATTR_PREFIX);
    pool = strstr(type, "://");
    if (pool == NULL)
        return EINVAL;
    type_len = (size_t)(pool - type);
    pool += strlen("://");
    cont = strchr(pool, '/');
    if (cont == NULL || !id_is_valid(pool, (size_t)(cont - pool)) ||
        !id_is_valid(cont + 1, strlen(cont + 1)))
        return EINVAL;
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (strlen(layouts[i].name) == type_len && strncmp(layouts[i].name, type, type_len) == 0) {
            attr->da_type = layouts[i].type;
            ids_set(attr, pool, (size_t)(cont - pool), cont + 1, strlen(cont + 1));
            return 0;
        }
    }
    return EINVAL;
}

/* One level: the attribute of `path`. ENODATA: it has none. */
static int
xattr_parse(const char *path, struct duns_attr_t *attr)
{
    char value[DUNS_MAX_XATTR_LEN];
    ssize_t len = lgetxattr(path, DUNS_XATTR_NAME, value, sizeof(value));

    if (len < 0)
        return errno == ENOTSUP ? ENODATA : (errno == ERANGE ? EINVAL : errno);
    return duns_parse_attr(value, (daos_size_t)len, attr);
}

/* A path of the host: its attribute, or that of the nearest directory above; what was cut off on the way up is the path in the container. */
static int
host_resolve(const char *path, struct duns_attr_t *attr)
{
    char *at = realpath(path, NULL), *rel = NULL, *cut;
    size_t whole_len;
    int rc;

    if (at == NULL)
        return errno;
    whole_len = strlen(at);
    for (;;) {
        rc = xattr_parse(at, attr);
        if (rc != ENODATA || (attr->da_flags & DUNS_NO_REVERSE_LOOKUP) != 0)
            break;
        cut = strrchr(at, '/');
        if (cut == NULL || at[1] == '\0')
            break; /* the root has none either */
        cut[cut == at] = '\0';
    }
    if (rc == 0 && strlen(at) < whole_len) {
        char *whole = realpath(path, NULL);

        rel = whole != NULL && strlen(whole) > strlen(at)
            ? strdup(whole + (at[1] == '\0' ? 0 : strlen(at)))
            : NULL;
        free(whole);
        if (rel == NULL)
            rc = ENOMEM;
    }
    free(at);
    if (rc == 0)
        attr->da_rel_path = rel;
    return rc;
}

int
duns_resolve_path(const char *path, struct duns_attr_t *attr)
{
    bool is_prefixed, is_checked;
    int rc;

    if (path == NULL || attr == NULL || strnlen(path, PATH_MAX) == PATH_MAX)
        return EINVAL;
    attr->da_rel_path = NULL;
    attr->da_on_lustre = false;
    is_prefixed = strncasecmp(path, DIRECT_PREFIX, strlen(DIRECT_PREFIX)) == 0;
    is_checked = (attr->da_flags & DUNS_NO_CHECK_PATH) == 0;
    attr->da_no_prefix = !is_prefixed && (attr->da_flags & DUNS_NO_PREFIX) != 0;
    if (is_prefixed)
        return direct_parse(path + strlen(DIRECT_PREFIX) - 1, false, attr);
    if (attr->da_no_prefix && path[0] == '/') {
        rc = direct_parse(path, is_checked, attr);
        if (rc == 0 || rc == ENOMEM || !is_checked)
            return rc;
    }
    attr->da_no_prefix = false;
    return is_checked ? host_resolve(path, attr) : ENODATA;
}

int
duns_set_sys_name(struct duns_attr_t *attrp, const char *sys)
{
    char *copy = NULL;

    if (attrp == NULL || (sys != NULL && strlen(sys) > DAOS_SYS_NAME_MAX))
        return EINVAL;
    if (sys != NULL) {
        copy = strdup(sys);
        if (copy == NULL)
            return ENOMEM;
    }
    free(attrp->da_sys);
    attrp->da_sys = copy;
    return 0;
}

void
duns_destroy_attr(struct duns_attr_t *attrp)
{
    if (attrp == NULL)
        return;
    free(attrp->da_rel_path);
    free(attrp->da_sys);
    attrp->da_rel_path = NULL;
    attrp->da_sys = NULL;
}

/* ---- still to come ------------------------------------------------------------------------------------------------------------ */

int
duns_create_path(daos_handle_t poh, const char *path, struct duns_attr_t *attrp)
{
    (void)poh, (void)path, (void)attrp;
    return ENOSYS;
}

int
duns_destroy_path(daos_handle_t poh, const char *path)
{
    (void)poh, (void)path;
    return ENOSYS;
}

int
duns_link_cont(daos_handle_t poh, const char *cont, const char *path)
{
    (void)poh, (void)cont, (void)path;
    return ENOSYS;
}
