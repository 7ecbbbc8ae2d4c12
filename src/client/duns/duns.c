/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Unified name space (daos_uns.h): where a path leads. Direct paths (daos://pool/container/dir and, with DUNS_NO_PREFIX, /pool/container/dir) are taken apart; of other paths the
 * extended attribute user.daos is read, of the path itself or of the nearest directory above that has one. duns_create_path(), duns_link_cont() and duns_destroy_path() make and remove such paths.
 *
 * No state. Resolving asks no system whether pool and container exist. Tested by test/duns_test.c and test/api.
 */
#include "daos_uns.h"

#include "base/err.h"
#include "daos.h"
#include "daos_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

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

/* ---- making and removing ------------------------------------------------------------------------------------------------------- */

static const char *
layout_name(daos_cont_layout_t type)
{
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (layouts[i].type == type)
            return layouts[i].name;
    }
    return NULL;
}

/* The attribute's text. EINVAL: no such layout. */
static int
xattr_text(daos_cont_layout_t type, const char *pool, const char *cont, char *buf, size_t bytes)
{
    const char *name = layout_name(type);
    int len;

    if (name == NULL)
        return EINVAL;
    len = snprintf(buf, bytes, XATTR_PREFIX "%s://%s/%s", name, pool, cont);
    return len < 0 || (size_t)len >= bytes ? EINVAL : 0;
}

/* The pool's uuid as text; what a path tells must not change with a label. */
static int
pool_text(daos_handle_t poh, char *ret_text)
{
    daos_pool_info_t info = {.pi_bits = 0};
    int rc = err_to_errno(daos_pool_query(poh, NULL, &info, NULL, NULL));

    if (rc == 0)
        uuid_unparse(info.pi_uuid, ret_text);
    return rc;
}

/* A place for the attribute: a directory for a file system, else an empty file. */
static int
place_make(const char *path, bool is_dir)
{
    int fd;

    if (is_dir)
        return mkdir(path, 0755) == 0 ? 0 : errno;
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    return close(fd) == 0 ? 0 : errno;
}

static void
place_remove(const char *path, bool is_dir)
{
    (void)(is_dir ? rmdir(path) : unlink(path)); /* the first error is the one to tell */
}

static int
cont_make(daos_handle_t poh, const struct duns_attr_t *attr, uuid_t *ret_uuid)
{
    dfs_attr_t dattr = {.da_oclass_id = attr->da_oclass_id,
        .da_dir_oclass_id = attr->da_dir_oclass_id,
        .da_file_oclass_id = attr->da_file_oclass_id,
        .da_chunk_size = attr->da_chunk_size,
        .da_props = attr->da_props};
    daos_prop_t *prop, *merged;
    int rc;

    memcpy(dattr.da_hints, attr->da_hints, sizeof(dattr.da_hints));
    if (attr->da_type == DAOS_PROP_CO_LAYOUT_POSIX)
        return dfs_cont_create(poh, ret_uuid, &dattr, NULL, NULL);
    prop = daos_prop_alloc(1);
    if (prop == NULL)
        return ENOMEM;
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LAYOUT_TYPE;
    prop->dpp_entries[0].dpe_val = attr->da_type;
    if (attr->da_props != NULL) {
        merged = daos_prop_merge(attr->da_props, prop);
        daos_prop_free(prop);
        if (merged == NULL)
            return ENOMEM;
        prop = merged;
    }
    rc = err_to_errno(daos_cont_create(poh, ret_uuid, prop, NULL));
    daos_prop_free(prop);
    return rc;
}

int
duns_create_path(daos_handle_t poh, const char *path, struct duns_attr_t *attrp)
{
    char text[DUNS_MAX_XATTR_LEN], pool[UUID_TEXT_LEN + 1], cont[UUID_TEXT_LEN + 1];
    bool is_dir;
    uuid_t uuid;
    int rc;

    if (path == NULL || attrp == NULL || layout_name(attrp->da_type) == NULL)
        return EINVAL;
    is_dir = attrp->da_type == DAOS_PROP_CO_LAYOUT_POSIX;
    rc = pool_text(poh, pool);
    if (rc == 0)
        rc = place_make(path, is_dir);
    if (rc != 0)
        return rc;
    rc = cont_make(poh, attrp, &uuid);
    if (rc != 0) {
        place_remove(path, is_dir);
        return rc;
    }
    uuid_unparse(uuid, cont);
    rc = xattr_text(attrp->da_type, pool, cont, text, sizeof(text));
    if (rc == 0 && lsetxattr(path, DUNS_XATTR_NAME, text, strlen(text) + 1, 0) != 0)
        rc = errno;
    if (rc != 0) {
        (void)daos_cont_destroy(poh, cont, 1, NULL); /* the first error is the one to tell */
        place_remove(path, is_dir);
        return rc;
    }
    ids_set(attrp, pool, strlen(pool), cont, strlen(cont));
    return 0;
}

/* The container first: a path that leads nowhere can be removed by hand, a container without one is not found again. */
int
duns_destroy_path(daos_handle_t poh, const char *path)
{
    struct duns_attr_t attr = {.da_flags = DUNS_NO_REVERSE_LOOKUP};
    int rc;

    if (path == NULL)
        return EINVAL;
    rc = duns_resolve_path(path, &attr);
    if (rc != 0)
        return rc;
    rc = attr.da_cont[0] == '\0' || strncasecmp(path, DIRECT_PREFIX, strlen(DIRECT_PREFIX)) == 0
        ? EINVAL
        : err_to_errno(daos_cont_destroy(poh, attr.da_cont, 1, NULL));
    if (rc == 0 && (attr.da_type == DAOS_PROP_CO_LAYOUT_POSIX ? rmdir(path) : unlink(path)) != 0)
        rc = errno;
    duns_destroy_attr(&attr);
    return rc;
}

static int
link_text(daos_handle_t poh, const char *cont, bool *ret_is_dir, char *buf, size_t bytes)
{
    daos_prop_t *prop = daos_prop_alloc(1);
    char pool[UUID_TEXT_LEN + 1], text[UUID_TEXT_LEN + 1];
    daos_cont_info_t info;
    daos_handle_t coh;
    int rc, close_rc;

    if (prop == NULL)
        return ENOMEM;
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LAYOUT_TYPE;
    rc = pool_text(poh, pool);
    if (rc == 0)
        rc = err_to_errno(daos_cont_open(poh, cont, DAOS_COO_RO, &coh, &info, NULL));
    if (rc == 0) {
        rc = err_to_errno(daos_cont_query(coh, NULL, prop, NULL));
        close_rc = err_to_errno(daos_cont_close(coh, NULL));
        rc = rc != 0 ? rc : close_rc;
    }
    if (rc == 0) {
        daos_cont_layout_t type = (daos_cont_layout_t)prop->dpp_entries[0].dpe_val;

        uuid_unparse(info.ci_uuid, text);
        *ret_is_dir = type == DAOS_PROP_CO_LAYOUT_POSIX;
        rc = xattr_text(type, pool, text, buf, bytes);
    }
    daos_prop_free(prop);
    return rc;
}

int
duns_link_cont(daos_handle_t poh, const char *cont, const char *path)
{
    char text[DUNS_MAX_XATTR_LEN];
    bool is_dir = false;
    int rc;

    if (cont == NULL || path == NULL)
        return EINVAL;
    rc = link_text(poh, cont, &is_dir, text, sizeof(text));
    if (rc == 0)
        rc = place_make(path, is_dir);
    if (rc == 0 && lsetxattr(path, DUNS_XATTR_NAME, text, strlen(text) + 1, 0) != 0) {
        rc = errno;
        place_remove(path, is_dir);
    }
    return rc;
}
