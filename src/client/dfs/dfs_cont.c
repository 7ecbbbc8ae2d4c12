/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * File systems in containers: superblock and creation.
 *
 * Making one: a container with layout type POSIX and ROOTS = {superblock, root directory}, then the nine akeys of the superblock and the entry "/", one update each,
 * both conditional: of two creators one makes it, the other finds it made. A crash in between leaves a container that dfs_mount() refuses with EINVAL;
 * dfs_recreate_sb() and dfs_relink_root() complete it.
 */
#include "client/dfs/dfs_priv.h"

#include "base/assert.h"
#include "base/codec.h"
#include "client/core/client_tools.h"
#include "client/dfs/dfs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SB_AKEYS_NR = 9, SB_HINTS_BYTES = DAOS_CONT_HINT_MAX_LEN };

/* ---- superblock ------------------------------------------------------------------------------------------------------ */

/* The values of the superblock as they lie in its akeys, and the descriptors to read or write them all at once. */
struct sb_io {
    uint8_t magic[8], sb_version[2], layout_version[2], chunk_bytes[8], oclass[4], dir_oclass[4],
        file_oclass[4], mode[4];
    char hints[SB_HINTS_BYTES];
    daos_key_t dkey;
    daos_iod_t iods[SB_AKEYS_NR];
    d_sg_list_t sgls[SB_AKEYS_NR];
    d_iov_t iovs[SB_AKEYS_NR];
};

static void
sb_io_init(struct sb_io *io)
{
    const struct {
        const char *akey;
        void *buf;
        size_t len;
    } parts[SB_AKEYS_NR] = {
        {"DFS_MAGIC", io->magic, sizeof(io->magic)},
        {"DFS_SB_VERSION", io->sb_version, sizeof(io->sb_version)},
        {"DFS_LAYOUT_VERSION", io->layout_version, sizeof(io->layout_version)},
        {"DFS_CHUNK_SIZE", io->chunk_bytes, sizeof(io->chunk_bytes)},
        {"DFS_OBJ_CLASS", io->oclass, sizeof(io->oclass)},
        {"DFS_DIR_OBJ_CLASS", io->dir_oclass, sizeof(io->dir_oclass)},
        {"DFS_FILE_OBJ_CLASS", io->file_oclass, sizeof(io->file_oclass)},
        {"DFS_MODE", io->mode, sizeof(io->mode)},
        {"DFS_HINTS", io->hints, sizeof(io->hints)},
    };

    memset(io, 0, sizeof(*io));
    d_iov_set(&io->dkey, (void *)(uintptr_t)DFS_SB_DKEY, strlen(DFS_SB_DKEY));
    for (int i = 0; i < SB_AKEYS_NR; i++) {
        d_iov_set(&io->iods[i].iod_name, (void *)(uintptr_t)parts[i].akey, strlen(parts[i].akey));
        io->iods[i].iod_type = DAOS_IOD_SINGLE;
        io->iods[i].iod_size = parts[i].len;
        io->iods[i].iod_nr = 1;
        d_iov_set(&io->iovs[i], parts[i].buf, parts[i].len);
        io->sgls[i] = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &io->iovs[i]};
    }
}

static int
sb_store(daos_handle_t super_oh, const dfs_attr_t *attr)
{
    struct sb_io io;

    sb_io_init(&io);
    le64_put(io.magic, DFS_MAGIC_VALUE);
    le16_put(io.sb_version, DFS_SB_VERSION_VALUE);
    le16_put(io.layout_version, DFS_LAYOUT_VERSION_VALUE);
    le64_put(io.chunk_bytes, attr->da_chunk_size);
    le32_put(io.oclass, attr->da_oclass_id);
    le32_put(io.dir_oclass, attr->da_dir_oclass_id);
    le32_put(io.file_oclass, attr->da_file_oclass_id);
    le32_put(io.mode, attr->da_mode);
    memcpy(io.hints, attr->da_hints, sizeof(io.hints));
    return err_to_errno(daos_obj_update(super_oh, DAOS_TX_NONE, DAOS_COND_DKEY_INSERT, &io.dkey,
        SB_AKEYS_NR, io.iods, io.sgls, NULL));
}

int
dfs_sb_load(daos_handle_t super_oh, dfs_attr_t *ret_attr)
{
    dfs_attr_t attr = {0};
    struct sb_io io;
    int rc;

    sb_io_init(&io);
    for (int i = 0; i < SB_AKEYS_NR; i++) {
        io.iods[i].iod_size = DAOS_REC_ANY;
    }
    rc = err_to_errno(daos_obj_fetch(super_oh, DAOS_TX_NONE, DAOS_COND_DKEY_FETCH, &io.dkey,
        SB_AKEYS_NR, io.iods, io.sgls, NULL, NULL));
    if (rc == ENOENT || rc == E2BIG)
        return EINVAL; /* no file system in there, or values that are not ours */
    if (rc != 0)
        return rc;
    if (io.iods[0].iod_size != sizeof(io.magic) || le64_get(io.magic) != DFS_MAGIC_VALUE)
        return EINVAL;
    if (io.iods[2].iod_size != sizeof(io.layout_version) ||
        le16_get(io.layout_version) != DFS_LAYOUT_VERSION_VALUE)
        return EINVAL;
    attr.da_chunk_size = le64_get(io.chunk_bytes);
    attr.da_oclass_id = le32_get(io.oclass);
    attr.da_dir_oclass_id = le32_get(io.dir_oclass);
    attr.da_file_oclass_id = le32_get(io.file_oclass);
    attr.da_mode = le32_get(io.mode);
    memcpy(attr.da_hints, io.hints, sizeof(attr.da_hints));
    attr.da_hints[sizeof(attr.da_hints) - 1] = '\0';
    if (attr.da_chunk_size == 0)
        return EINVAL;
    *ret_attr = attr;
    return 0;
}

/* ---- create ---------------------------------------------------------------------------------------------------------- */

/*
 * Ids are needed before there is a container to make them with: type MULTI_HASHED (0), class S1 (one group, no redundancy, which is all that containers
 * have now), user bits (0, 0) and (0, 1). The upper half of hi is type << 24 | method << 16 | groups (api.md 4.2).
 */
static void
roots_make(struct daos_prop_co_roots *ret_roots)
{
    const uint64_t s1_bits = (uint64_t)(OC_S1 >> 24) << 48 | (uint64_t)(OC_S1 & 0xffff) << 32;

    *ret_roots = (struct daos_prop_co_roots){0};
    ret_roots->cr_oids[0] = (daos_obj_id_t){.lo = 0, .hi = s1_bits};
    ret_roots->cr_oids[1] = (daos_obj_id_t){.lo = 0, .hi = s1_bits | 1};
}

static int
root_link(daos_handle_t super_oh, daos_obj_id_t root_oid)
{
    struct dfs_entry root = {
        .mode = S_IFDIR | 0755, .oid = root_oid, .uid = geteuid(), .gid = getegid()};

    dfs_now(&root.mtime_s, &root.mtime_ns);
    root.ctime_s = root.mtime_s;
    root.ctime_ns = root.mtime_ns;
    return dfs_entry_insert(super_oh, "/", &root, NULL);
}

/* Defaults filled in, hints turned into classes. */
static int
attr_complete(daos_handle_t coh, const dfs_attr_t *attr, dfs_attr_t *ret_attr)
{
    int rc;

    *ret_attr = attr != NULL ? *attr : (dfs_attr_t){0};
    ret_attr->da_hints[sizeof(ret_attr->da_hints) - 1] = '\0';
    if (ret_attr->da_chunk_size == 0)
        ret_attr->da_chunk_size = DFS_CHUNK_BYTES_DEFAULT;
    if (ret_attr->da_mode == DFS_BALANCED)
        return ENOTSUP; /* needs transactions: docs/roadmap.md */
    if (ret_attr->da_mode != DFS_RELAXED)
        return EINVAL;
    if (ret_attr->da_hints[0] == '\0')
        return 0;
    if (ret_attr->da_file_oclass_id == 0) {
        rc = dfs_oclass_from_hint(coh, ret_attr->da_hints, false, &ret_attr->da_file_oclass_id);
        if (rc != 0)
            return rc;
    }
    return ret_attr->da_dir_oclass_id != 0
        ? 0
        : dfs_oclass_from_hint(coh, ret_attr->da_hints, true, &ret_attr->da_dir_oclass_id);
}

/* Fill superblock and root directory of an open container. */
static int
format(daos_handle_t coh, const dfs_attr_t *attr_in, const struct daos_prop_co_roots *roots)
{
    daos_handle_t super_oh;
    dfs_attr_t attr;
    int rc = attr_complete(coh, attr_in, &attr);

    if (rc == 0)
        rc = err_to_errno(daos_obj_open(coh, roots->cr_oids[0], DAOS_OO_RW, &super_oh, NULL));
    if (rc != 0)
        return rc;
    rc = sb_store(super_oh, &attr);
    if (rc == 0 || rc == EEXIST)
        rc = root_link(super_oh, roots->cr_oids[1]);
    if (rc == EEXIST)
        rc = 0;
    CAIRN_IGNORE(daos_obj_close(super_oh, NULL)); /* local */
    return rc;
}

/* The properties that make a container a file system's, with those that the caller wants beside. `*ret_prop` returns owned. */
static int
prop_make(const char *label, const dfs_attr_t *attr, const struct daos_prop_co_roots *roots,
    daos_prop_t **ret_prop)
{
    daos_prop_t *prop = daos_prop_alloc(label != NULL ? 3 : 2), *merged;
    int rc = ENOMEM;

    if (prop == NULL)
        return ENOMEM;
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LAYOUT_TYPE;
    prop->dpp_entries[0].dpe_val = DAOS_PROP_CO_LAYOUT_POSIX;
    prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_ROOTS;
    prop->dpp_entries[1].dpe_val_ptr = malloc(sizeof(*roots));
    if (prop->dpp_entries[1].dpe_val_ptr == NULL)
        goto out;
    memcpy(prop->dpp_entries[1].dpe_val_ptr, roots, sizeof(*roots));
    if (label != NULL) {
        prop->dpp_entries[2].dpe_type = DAOS_PROP_CO_LABEL;
        prop->dpp_entries[2].dpe_str = strndup(label, DAOS_PROP_LABEL_MAX_LEN + 1);
        if (prop->dpp_entries[2].dpe_str == NULL)
            goto out;
    }
    if (attr != NULL && attr->da_props != NULL) { /* ours win */
        merged = daos_prop_merge(attr->da_props, prop);
        if (merged == NULL)
            goto out;
        daos_prop_free(prop);
        prop = merged;
    }
    *ret_prop = prop;
    prop = NULL;
    rc = 0;
out:
    daos_prop_free(prop);
    return rc;
}

static int
cont_create(daos_handle_t poh, const char *label, const dfs_attr_t *attr, uuid_t *ret_uuid,
    daos_handle_t *ret_coh, dfs_t **ret_dfs)
{
    struct daos_prop_co_roots roots;
    daos_handle_t coh = DAOS_HDL_INVAL;
    daos_prop_t *prop = NULL;
    char uuid_text[37];
    uuid_t uuid;
    int rc;

    if (ret_dfs != NULL && ret_coh == NULL)
        return EINVAL; /* nobody could close the container under the mount */
    roots_make(&roots);
    rc = prop_make(label, attr, &roots, &prop);
    if (rc != 0)
        return rc;
    rc = err_to_errno(daos_cont_create(poh, &uuid, prop, NULL));
    daos_prop_free(prop);
    if (rc != 0)
        return rc;
    uuid_unparse(uuid, uuid_text);
    rc = err_to_errno(daos_cont_open(poh, uuid_text, DAOS_COO_RW, &coh, NULL, NULL));
    if (rc == 0)
        rc = format(coh, attr, &roots);
    if (rc == 0 && ret_dfs != NULL)
        rc = dfs_mount(poh, coh, O_RDWR, ret_dfs);
    if (rc != 0) {
        if (daos_handle_is_valid(coh))
            CAIRN_IGNORE(daos_cont_close(coh, NULL)); /* the first error is the one to tell */
        CAIRN_IGNORE(daos_cont_destroy(poh, uuid_text, 1, NULL)); /* likewise */
        return rc;
    }
    if (ret_uuid != NULL)
        uuid_copy(*ret_uuid, uuid);
    if (ret_coh == NULL)
        return err_to_errno(daos_cont_close(coh, NULL));
    *ret_coh = coh;
    return 0;
}

int
dfs_cont_create(daos_handle_t poh, uuid_t *uuid, dfs_attr_t *attr, daos_handle_t *coh, dfs_t **dfs)
{
    return cont_create(poh, NULL, attr, uuid, coh, dfs);
}

int
dfs_cont_create_with_label(daos_handle_t poh, const char *label, dfs_attr_t *attr, uuid_t *uuid,
    daos_handle_t *coh, dfs_t **dfs)
{
    if (label == NULL)
        return EINVAL;
    return cont_create(poh, label, attr, uuid, coh, dfs);
}

struct destroy_args {
    char pool[DAOS_PROP_LABEL_MAX_LEN + 1], cont[DAOS_PROP_LABEL_MAX_LEN + 1];
    char sys[512]; /* a name, or embedded:/directory */
    bool has_sys;
    int force;
};

/* Returns 0 or -DER. */
static int
destroy_run(void *arg)
{
    struct destroy_args *args = arg;
    daos_handle_t poh;
    int rc, rc2;

    rc = daos_pool_connect(
        args->pool, args->has_sys ? args->sys : NULL, DAOS_PC_RW, &poh, NULL, NULL);
    if (rc != 0)
        return rc;
    rc = daos_cont_destroy(poh, args->cont, args->force, NULL);
    rc2 = daos_pool_disconnect(poh, NULL);
    return rc != 0 ? rc : rc2;
}

int
dfs_destroy(const char *pool, const char *sys, const char *cont, int force, daos_event_t *ev)
{
    struct destroy_args args = {.force = force, .has_sys = sys != NULL};

    if (pool == NULL || cont == NULL || strlen(pool) >= sizeof(args.pool) ||
        strlen(cont) >= sizeof(args.cont) || (sys != NULL && strlen(sys) >= sizeof(args.sys)))
        return EINVAL;
    memcpy(args.pool, pool, strlen(pool));
    memcpy(args.cont, cont, strlen(cont));
    if (sys != NULL)
        memcpy(args.sys, sys, strlen(sys));
    return ev == NULL ? err_to_errno(destroy_run(&args))
                      : client_tools_run(ev, destroy_run, &args, sizeof(args));
}

/* ---- repair ---------------------------------------------------------------------------------------------------------- */

static int
super_open(daos_handle_t coh, struct daos_prop_co_roots *ret_roots, daos_handle_t *ret_oh)
{
    int rc = dfs_roots_get(coh, ret_roots);

    return rc != 0
        ? rc
        : err_to_errno(daos_obj_open(coh, ret_roots->cr_oids[0], DAOS_OO_RW, ret_oh, NULL));
}

int
dfs_recreate_sb(daos_handle_t coh, dfs_attr_t *attr_in)
{
    struct daos_prop_co_roots roots;
    daos_handle_t super_oh;
    dfs_attr_t attr;
    int rc;

    if (attr_in == NULL)
        return EINVAL;
    rc = attr_complete(coh, attr_in, &attr);
    if (rc == 0)
        rc = super_open(coh, &roots, &super_oh);
    if (rc != 0)
        return rc;
    rc = sb_store(super_oh, &attr);
    if (rc == 0) {
        rc = root_link(super_oh, roots.cr_oids[1]);
        if (rc == EEXIST)
            rc = 0;
    }
    CAIRN_IGNORE(daos_obj_close(super_oh, NULL)); /* local */
    return rc;
}

int
dfs_relink_root(daos_handle_t coh)
{
    struct daos_prop_co_roots roots;
    daos_handle_t super_oh;
    int rc = super_open(coh, &roots, &super_oh);

    if (rc != 0)
        return rc;
    rc = root_link(super_oh, roots.cr_oids[1]);
    if (rc == EEXIST)
        rc = 0;
    CAIRN_IGNORE(daos_obj_close(super_oh, NULL)); /* local */
    return rc;
}

int
dfs_cont_set_owner(daos_handle_t coh, d_string_t user, uid_t uid, d_string_t group, gid_t gid)
{
    struct daos_prop_co_roots roots;
    struct dfs_entry root;
    daos_handle_t super_oh;
    uint32_t mask = 0;
    int rc;

    if (user == NULL && group == NULL)
        return EINVAL;
    rc = super_open(coh, &roots, &super_oh);
    if (rc != 0)
        return rc;
    rc = dfs_entry_fetch(super_oh, "/", &root, NULL);
    if (rc == 0)
        rc = err_to_errno(daos_cont_set_owner_no_check(coh, user, group, NULL));
    if (rc == 0 && user != NULL) {
        root.uid = uid;
        mask |= DFS_ENTRY_UID;
    }
    if (rc == 0 && group != NULL) {
        root.gid = gid;
        mask |= DFS_ENTRY_GID;
    }
    if (rc == 0)
        rc = dfs_entry_update(super_oh, "/", &root, mask);
    CAIRN_IGNORE(daos_obj_close(super_oh, NULL)); /* local */
    return rc;
}
