/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Unified name space: a file or directory whose extended attribute names a container, and paths such as daos://pool/cont/dir.
 * The functions that return int return 0 or a POSITIVE errno value.
 */
#ifndef CAIRN_DAOS_UNS_H
#define CAIRN_DAOS_UNS_H

#include <daos_cont.h>
#include <daos_obj_class.h>
#include <daos_prop.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

enum {
    /** The path is /pool/container/... without daos://. */
    DUNS_NO_PREFIX = (1 << 0),
    /** Look at the path itself only, not at its parents. */
    DUNS_NO_REVERSE_LOOKUP = (1 << 1),
    /** Do not ask the local file system at all. */
    DUNS_NO_CHECK_PATH = (1 << 2)
};

/** What a path leads to, or what is to be made there. */
struct duns_attr_t {
    /** DAOS_PROP_CO_LAYOUT_ value. */
    daos_cont_layout_t da_type;
    daos_oclass_id_t da_oclass_id;
    daos_size_t da_chunk_size;
    daos_prop_t *da_props;
    /** DUNS_ bits. */
    uint32_t da_flags;
    /** Label or UUID text. */
    char da_pool[DAOS_PROP_LABEL_MAX_LEN + 1];
    char da_cont[DAOS_PROP_LABEL_MAX_LEN + 1];
    char *da_sys;
    /** What follows the container in the path; NULL when nothing does. */
    char *da_rel_path;
    bool da_on_lustre;
    bool da_no_prefix;
    uuid_t da_puuid;
    uuid_t da_cuuid;
    daos_oclass_id_t da_dir_oclass_id;
    daos_oclass_id_t da_file_oclass_id;
    char da_hints[DAOS_CONT_HINT_MAX_LEN];
};

#define DUNS_XATTR_NAME "user.daos"
#define DUNS_MAX_XATTR_LEN 170
#define DUNS_XATTR_FMT "DAOS.%s://%36s/%36s"
#define DUNS_LUSTRE_XATTR_FMT "%36s/%36s"

/** Create a container and a file or directory that leads to it. */
int duns_create_path(daos_handle_t poh, const char *path, struct duns_attr_t *attrp);

/** Find out where a path leads; da_flags is input. Ended by duns_destroy_attr(). ENODATA: nowhere. */
int duns_resolve_path(const char *path, struct duns_attr_t *attr);

/** Destroy container and path. */
int duns_destroy_path(daos_handle_t poh, const char *path);

/** Take apart the value of the extended attribute. */
int duns_parse_attr(char *str, daos_size_t len, struct duns_attr_t *attr);

int duns_set_sys_name(struct duns_attr_t *attrp, const char *sys);

/** Free what the other functions put into *attrp*. */
void duns_destroy_attr(struct duns_attr_t *attrp);

/** Make a path that leads to an existing container. */
int duns_link_cont(daos_handle_t poh, const char *cont, const char *path);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_UNS_H */
