/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos container. */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"

#include <daos_fs.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static json_t *
uuid_json(const uuid_t uuid)
{
    char text[37];

    uuid_unparse_lower(uuid, text);
    return json_string(text);
}

static json_t *
cont_json(const uuid_t pool, const uuid_t cont, const char *label, bool is_posix)
{
    return json_pack("{s:o, s:o, s:s, s:s}", "pool_uuid", uuid_json(pool), "container_uuid",
        uuid_json(cont), "container_label", label, "container_type", is_posix ? "POSIX" : "unknown");
}

static int
cont_create(struct cli *cli, daos_handle_t poh, const char *label, bool is_posix, const char *chunk,
    daos_prop_t *props, uuid_t ret_uuid)
{
    dfs_attr_t attr = {.da_props = props};
    uint64_t chunk_bytes = 0;
    int rc;

    if (chunk != NULL && cli_size_parse(chunk, &chunk_bytes) != 0)
        return cli_fail(cli, -DER_INVAL, "--chunk-size %s: not a size such as 1MiB", chunk);
    attr.da_chunk_size = chunk_bytes;
    if (is_posix) {
        rc = label != NULL
            ? dfs_cont_create_with_label(poh, label, &attr, (uuid_t *)ret_uuid, NULL, NULL)
            : dfs_cont_create(poh, (uuid_t *)ret_uuid, &attr, NULL, NULL);
        rc = err_from_errno(rc);
    } else {
        rc = label != NULL ? daos_cont_create_with_label(poh, label, props, (uuid_t *)ret_uuid, NULL)
                           : daos_cont_create(poh, (uuid_t *)ret_uuid, props, NULL);
    }
    return rc == 0 ? 0
                   : cli_fail(cli, rc, "container %s: %s", label != NULL ? label : "create",
                         cli_daos_remedy(rc));
}

int
cli_daos_cont_create(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    const char *type = NULL, *chunk = NULL, *properties = NULL, *words[2];
    const struct cli_opt opts[] = {
        {.name = "type", .letter = 't', .value = &type},
        {.name = "chunk-size", .letter = 'z', .value = &chunk},
        {.name = "properties", .value = &properties},
        {0},
    };
    daos_pool_info_t info = {0};
    daos_prop_t *props = NULL;
    daos_handle_t poh;
    bool is_posix;
    uint32_t nr;
    uuid_t uuid;
    int rc = cli_parse(cli, argc, argv, opts, words, 2, &nr);

    if (rc != 0)
        return rc;
    if (nr == 0)
        return cli_daos_words_need(cli, nr, 1, "a pool and a label");
    is_posix = type != NULL && strcasecmp(type, "POSIX") == 0;
    if (type != NULL && !is_posix)
        return cli_fail(cli, -DER_NOTSUPPORTED, "--type %s: POSIX is what there is now", type);
    if (properties != NULL) {
        rc = cli_daos_props_parse(cli, "--properties ", properties, &props);
        if (rc != 0)
            return rc;
    }
    rc = cli_daos_pool_open(cli, words[0], DAOS_PC_RW, &poh);
    if (rc != 0)
        goto out;
    rc = daos_pool_query(poh, NULL, &info, NULL, NULL);
    if (rc == 0)
        rc = cont_create(cli, poh, nr == 2 ? words[1] : NULL, is_posix, chunk, props, uuid);
    CAIRN_IGNORE(daos_pool_disconnect(poh, NULL)); /* the outcome is known */
    if (rc == 0) {
        char text[37];

        uuid_unparse_lower(uuid, text);
        *ret_response = cont_json(info.pi_uuid, uuid, nr == 2 ? words[1] : "", is_posix);
        if (!cli->is_json) {
            (void)printf("  Container UUID : %s\n  Container Label: %s\n  Container Type : "
                         "%s\n\nSuccessfully created container %s\n",
                text, nr == 2 ? words[1] : "", is_posix ? "POSIX" : "unknown",
                nr == 2 ? words[1] : text);
        }
    }
out:
    daos_prop_free(props);
    return rc;
}

int
cli_daos_cont_list(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    static const struct cli_opt opts[] = {{0}};
    struct daos_pool_cont_info *conts = NULL;
    json_t *list = json_array();
    const char *words[1];
    daos_size_t nr = 0;
    daos_handle_t poh;
    uint32_t words_nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 1, &words_nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, words_nr, 1, "a pool");
    if (rc == 0)
        rc = cli_daos_pool_open(cli, words[0], DAOS_PC_RO, &poh);
    if (rc != 0) {
        json_decref(list);
        return rc;
    }
    rc = daos_pool_list_cont(poh, &nr, NULL, NULL);
    if (rc == 0 && nr > 0) {
        nr += 64; /* some may come meanwhile */
        conts = calloc(nr, sizeof(*conts));
        rc = conts == NULL ? -DER_NOMEM : daos_pool_list_cont(poh, &nr, conts, NULL);
    }
    CAIRN_IGNORE(daos_pool_disconnect(poh, NULL)); /* the answer is there */
    if (rc != 0)
        (void)cli_fail(cli, rc, "pool %s: %s", words[0], cli_daos_remedy(rc));
    for (daos_size_t i = 0; rc == 0 && i < nr; i++) {
        char text[37];

        uuid_unparse_lower(conts[i].pci_uuid, text);
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "uuid", text, "label", conts[i].pci_label));
        if (!cli->is_json)
            (void)printf("%s %s\n", text, conts[i].pci_label);
    }
    free(conts);
    *ret_response = list;
    return rc;
}

/* What a query collects. */
struct cont_facts {
    daos_cont_info_t info;
    uuid_t pool;
    const char *label; /* in props */
    bool is_posix;
    uint64_t rd_fac;
    daos_prop_t *props;
    dfs_attr_t attr; /* POSIX only */
};

static int
facts_get(daos_handle_t poh, daos_handle_t coh, struct cont_facts *facts)
{
    static const uint32_t types[] = {
        DAOS_PROP_CO_LABEL, DAOS_PROP_CO_LAYOUT_TYPE, DAOS_PROP_CO_REDUN_FAC};
    const struct daos_prop_entry *entries;
    daos_pool_info_t pool_info = {0};
    dfs_t *dfs;
    int rc;

    facts->props = daos_prop_alloc(3);
    if (facts->props == NULL)
        return -DER_NOMEM;
    entries = facts->props->dpp_entries;
    for (int i = 0; i < 3; i++) {
        facts->props->dpp_entries[i].dpe_type = types[i];
    }
    rc = daos_cont_query(coh, &facts->info, facts->props, NULL);
    if (rc == 0)
        rc = daos_pool_query(poh, NULL, &pool_info, NULL, NULL);
    if (rc != 0)
        return rc;
    uuid_copy(facts->pool, pool_info.pi_uuid);
    facts->label = entries[0].dpe_str != NULL ? entries[0].dpe_str : "";
    facts->is_posix = entries[1].dpe_val == DAOS_PROP_CO_LAYOUT_POSIX;
    facts->rd_fac = entries[2].dpe_val;
    if (facts->is_posix && dfs_mount(poh, coh, O_RDONLY, &dfs) == 0) {
        (void)dfs_query(dfs, &facts->attr);
        (void)dfs_umount(dfs);
    }
    return 0;
}

/* As the original: "UNKNOWN" where no class was asked for. */
static json_t *
oclass_json(daos_oclass_id_t oclass)
{
    char name[MAX_OBJ_CLASS_NAME_LEN];

    if (oclass == 0 || daos_oclass_id2name(oclass, name) != 0)
        return json_string("UNKNOWN");
    return json_string(name);
}

static json_t *
facts_json(const struct cont_facts *facts)
{
    const daos_cont_info_t *info = &facts->info;
    json_t *json = json_pack("{s:o, s:o, s:s, s:I, s:i, s:i, s:I, s:I, s:I, s:s}", "pool_uuid",
        uuid_json(facts->pool), "container_uuid", uuid_json(info->ci_uuid), "container_label",
        facts->label, "latest_snapshot", (json_int_t)info->ci_lsnapshot, "num_handles",
        (int)info->ci_nhandles, "num_snapshots", (int)info->ci_nsnapshots, "open_time",
        (json_int_t)info->ci_md_otime, "close_modify_time", (json_int_t)info->ci_md_mtime,
        "redundancy_factor", (json_int_t)facts->rd_fac, "container_type",
        facts->is_posix ? "POSIX" : "unknown");

    if (json != NULL && facts->is_posix) {
        (void)json_object_set_new(json, "object_class", oclass_json(facts->attr.da_oclass_id));
        (void)json_object_set_new(
            json, "dir_object_class", oclass_json(facts->attr.da_dir_oclass_id));
        (void)json_object_set_new(
            json, "file_object_class", oclass_json(facts->attr.da_file_oclass_id));
        (void)json_object_set_new(json, "hints", json_string(facts->attr.da_hints));
        (void)json_object_set_new(
            json, "chunk_size", json_integer((json_int_t)facts->attr.da_chunk_size));
    }
    return json;
}

int
cli_daos_cont_query(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    static const struct cli_opt opts[] = {{0}};
    struct cont_facts facts = {0};
    struct cli_daos_place place;
    const char *words[2];
    char uuid[37];
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, nr, 2, "a pool and a container");
    if (rc == 0)
        rc = cli_daos_place_open(cli, words[0], words[1], false, &place);
    if (rc != 0)
        return rc;
    rc = facts_get(place.poh, place.coh, &facts);
    if (rc != 0)
        (void)cli_fail(cli, rc, "container %s: %s", words[1], cli_daos_remedy(rc));
    cli_daos_place_close(&place);
    if (rc == 0) {
        *ret_response = facts_json(&facts);
        uuid_unparse_lower(facts.info.ci_uuid, uuid);
        if (!cli->is_json) {
            (void)printf("  Container UUID             : %s\n  Container Label            : %s\n  "
                         "Container Type             : %s\n  Number of open handles     : %u\n  "
                         "Number of snapshots        : %u\n  Container redundancy factor: %llu\n",
                uuid, facts.label, facts.is_posix ? "POSIX" : "unknown", facts.info.ci_nhandles,
                facts.info.ci_nsnapshots, (unsigned long long)facts.rd_fac);
        }
    }
    daos_prop_free(facts.props);
    return rc;
}

int
cli_daos_cont_destroy(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    bool force = false;
    const struct cli_opt opts[] = {
        {.name = "force", .letter = 'f', .is_flag = true, .flag = &force}, {0}};
    const char *words[2];
    daos_handle_t poh;
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, nr, 2, "a pool and a container");
    if (rc == 0)
        rc = cli_daos_pool_open(cli, words[0], DAOS_PC_RW, &poh);
    if (rc != 0)
        return rc;
    rc = daos_cont_destroy(poh, words[1], force, NULL);
    if (rc != 0)
        (void)cli_fail(cli, rc, "container %s: %s", words[1], cli_daos_remedy(rc));
    CAIRN_IGNORE(daos_pool_disconnect(poh, NULL)); /* the outcome is known */
    if (rc == 0 && !cli->is_json)
        (void)printf("Successfully destroyed container %s\n", words[1]);
    *ret_response = json_null();
    return rc;
}
