/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos container get-prop, set-prop. Names, words of values and the JSON are the original's; what can be changed is for the service to say. Tested by
 * test/dfs/cli_daos_test.py.
 */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"
#include "base/util.h"
#include "control/cli/cli_prop.h"

#include <stdlib.h>
#include <string.h>

enum { TITLE_BYTES = 256 };

/* By name. The ACL is shown by another command, root_oids means something to libdfs alone. */
static const struct cli_prop defs[] = {
    {"alloc_oid", DAOS_PROP_CO_ALLOCED_OID, "Highest Allocated OID", CLI_PROP_NUMBER, .named = {{0}}},
    {"cksum", DAOS_PROP_CO_CSUM, "Checksum", CLI_PROP_NAME,
        .named = {{"off", 0}, {"crc16", 1}, {"crc32", 2}, {"crc64", 3}, {"sha1", 4}, {"sha256", 5},
            {"sha512", 6}, {"adler32", 7}}},
    {"cksum_size", DAOS_PROP_CO_CSUM_CHUNK_SIZE, "Checksum Chunk Size", CLI_PROP_SIZE, .named = {{0}}},
    {"compression", DAOS_PROP_CO_COMPRESS, "Compression", CLI_PROP_NAME,
        .named = {{"off", 0}, {"lz4", 1}, {"deflate", 2}, {"deflate1", 3}, {"deflate2", 4},
            {"deflate3", 5}, {"deflate4", 6}}},
    {"dedup", DAOS_PROP_CO_DEDUP, "Deduplication", CLI_PROP_NAME,
        .named = {{"off", 0}, {"memcmp", 1}, {"hash", 2}}},
    {"dedup_threshold", DAOS_PROP_CO_DEDUP_THRESHOLD, "Dedupe Threshold", CLI_PROP_SIZE,
        .named = {{0}}},
    {"ec_cell_sz", DAOS_PROP_CO_EC_CELL_SZ, "EC Cell Size", CLI_PROP_SIZE, .named = {{0}}},
    {"ec_pda", DAOS_PROP_CO_EC_PDA, "Performance domain affinity level of EC", CLI_PROP_NUMBER,
        .named = {{0}}},
    {"encryption", DAOS_PROP_CO_ENCRYPT, "Encryption", CLI_PROP_NAME,
        .named = {{"off", 0}, {"aes-xts128", 1}, {"aes-xts256", 2}, {"aes-cbc128", 3},
            {"aes-cbc192", 4}, {"aes-cbc256", 5}, {"aes-gcm128", 6}, {"aes-gcm256", 7}}},
    {"global_version", DAOS_PROP_CO_GLOBAL_VERSION, "Global Version", CLI_PROP_NUMBER, .named = {{0}}},
    {"group", DAOS_PROP_CO_OWNER_GROUP, "Group", CLI_PROP_TEXT, .named = {{0}}},
    {"label", DAOS_PROP_CO_LABEL, "Label", CLI_PROP_TEXT, .named = {{0}}},
    {"layout_type", DAOS_PROP_CO_LAYOUT_TYPE, "Layout Type", CLI_PROP_NAME,
        .named = {{"unknown", 0}, {"POSIX", 1}, {"HDF5", 2}, {"PYTHON", 3}, {"SPARK", 4},
            {"DATABASE", 5}, {"ROOT", 6}, {"SEISMIC", 7}, {"METEO", 8}}},
    {"layout_version", DAOS_PROP_CO_LAYOUT_VER, "Layout Version", CLI_PROP_NUMBER, .named = {{0}}},
    {"max_snapshot", DAOS_PROP_CO_SNAPSHOT_MAX, "Max Snapshot", CLI_PROP_NUMBER, .named = {{0}}},
    {"obj_version", DAOS_PROP_CO_OBJ_VERSION, "Object Version", CLI_PROP_NUMBER, .named = {{0}}},
    {"owner", DAOS_PROP_CO_OWNER, "Owner", CLI_PROP_TEXT, .named = {{0}}},
    {"perf_domain", DAOS_PROP_CO_PERF_DOMAIN, "Performance Domain", CLI_PROP_NUMBER, .named = {{0}}},
    {"rd_fac", DAOS_PROP_CO_REDUN_FAC, "Redundancy Factor", CLI_PROP_NAME,
        .named = {{"rd_fac0", 0}, {"rd_fac1", 1}, {"rd_fac2", 2}, {"rd_fac3", 3}, {"rd_fac4", 4}}},
    {"rd_lvl", DAOS_PROP_CO_REDUN_LVL, "Redundancy Level", CLI_PROP_NAME,
        .named = {{"0", 0}, {"rank", 1}, {"node", 2}, {"fault", 3}}},
    {"rp_pda", DAOS_PROP_CO_RP_PDA, "Performance domain affinity level of RP", CLI_PROP_NUMBER,
        .named = {{0}}},
    {"scrubber_disabled", DAOS_PROP_CO_SCRUBBER_DISABLED, "Scrubber Disabled", CLI_PROP_NAME,
        .named = {{"off", 0}, {"on", 1}}},
    {"srv_cksum", DAOS_PROP_CO_CSUM_SERVER_VERIFY, "Server Checksumming", CLI_PROP_NAME,
        .named = {{"off", 0}, {"on", 1}}},
    {"status", DAOS_PROP_CO_STATUS, "Health", CLI_PROP_NAME,
        .named = {{"HEALTHY", DAOS_PROP_CO_HEALTHY}, {"UNCLEAN", DAOS_PROP_CO_UNCLEAN}}},
};

/* The other names that the original knows. */
static const char *const old_names[][2] = {
    {"rf", "rd_fac"}, {"rf_lvl", "rd_lvl"}, {"health", "status"}};
static const struct cli_prop_table table = {defs, ARRAY_SIZE(defs), old_names, ARRAY_SIZE(old_names)};

static bool
value_get(void *arg, const struct cli_prop *def, struct cli_prop_value *ret_value)
{
    const struct daos_prop_entry *entry = daos_prop_entry_get(arg, def->number);
    struct daos_co_status status = {0};

    if (entry == NULL)
        return false;
    if (def->kind == CLI_PROP_TEXT) {
        ret_value->str = entry->dpe_str != NULL ? entry->dpe_str : "";
    } else if (def->number == DAOS_PROP_CO_STATUS) {
        daos_prop_val_2_co_status(entry->dpe_val, &status);
        ret_value->num = status.dcs_status;
    } else {
        ret_value->num = entry->dpe_val;
    }
    return true;
}

/* POOL CONT [more] */
struct place {
    const char *words[3];
    uint32_t words_nr;
    struct cli_daos_place at;
};

/* The third word, or the option --properties. */
static int
place_parse(struct cli *cli, int argc, char **argv, struct place *p, const char **ret_list)
{
    const char *option = NULL;
    const struct cli_opt opts[] = {{.name = "properties", .value = &option}, {0}};
    int rc = cli_parse(cli, argc, argv, opts, p->words, 3, &p->words_nr);

    if (rc == 0 && (p->words_nr < 2 || (p->words_nr == 3 && option != NULL)))
        rc = cli_daos_words_need(cli, 0, 1, "a pool, a container and properties");
    *ret_list = p->words_nr == 3 ? p->words[2] : option;
    return rc;
}

int
cli_daos_cont_get_prop(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    char title[TITLE_BYTES];
    struct cli_wanted w;
    daos_prop_t *props = NULL;
    struct place p;
    const char *names;
    int rc = place_parse(cli, argc, argv, &p, &names);

    if (rc == 0)
        rc = cli_wanted_parse(cli, &table, names, &w);
    if (rc == 0)
        rc = cli_daos_place_open(cli, p.words[0], p.words[1], false, &p.at);
    if (rc != 0)
        return rc;
    props = daos_prop_alloc(w.nr);
    rc = props == NULL ? -DER_NOMEM : 0;
    for (uint32_t i = 0; rc == 0 && i < w.nr; i++) {
        props->dpp_entries[i].dpe_type = w.list[i]->number;
    }
    if (rc == 0)
        rc = daos_cont_query(p.at.coh, NULL, props, NULL);
    if (rc != 0)
        (void)cli_fail(cli, rc, "container %s: %s", p.words[1], cli_daos_remedy(rc));
    cli_daos_place_close(&p.at);
    if (rc == 0) {
        (void)snprintf(title, sizeof(title), "Properties for container %.200s", p.words[1]);
        *ret_response = cli_props_show(cli, title, &w, value_get, props);
    }
    daos_prop_free(props);
    return rc;
}

int
cli_daos_props_parse(struct cli *cli, const char *what, const char *text, daos_prop_t **ret_props)
{
    char *list = strdup(text);
    int rc;

    if (list == NULL)
        return -DER_NOMEM;
    for (char *pos = list; (pos = strchr(pos, ',')) != NULL;) {
        *pos = ';'; /* the library's separator */
    }
    rc = daos_prop_from_str(list, strlen(list), ret_props);
    free(list);
    if (rc == 0)
        return 0;
    return cli_fail(cli, rc,
        "%s%s: expected name:value,name:value with names such as cksum and rd_fac", what, text);
}

int
cli_daos_cont_set_prop(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    daos_prop_t *props = NULL;
    struct place p;
    const char *text;
    bool is_clear;
    int rc = place_parse(cli, argc, argv, &p, &text);

    if (rc == 0 && text == NULL)
        rc = cli_daos_words_need(cli, 0, 1, "properties: NAME:VALUE[,NAME:VALUE...]");
    if (rc != 0)
        return rc;
    is_clear = strcmp(text, "status:healthy") == 0 || strcmp(text, "health:healthy") == 0;
    if (!is_clear)
        rc = cli_daos_props_parse(cli, "", text, &props);
    if (rc == 0)
        rc = cli_daos_place_open(cli, p.words[0], p.words[1], true, &p.at);
    if (rc != 0)
        goto out;
    rc = is_clear ? daos_cont_status_clear(p.at.coh, NULL)
                  : daos_cont_set_prop(p.at.coh, props, NULL);
    if (rc == -DER_NO_PERM || rc == -DER_INVAL) {
        (void)cli_fail(cli, rc,
            "container %s: %s: one of these cannot be changed, or not to this (what can: label, "
            "scrubber_disabled)",
            p.words[1], text);
    } else if (rc != 0) {
        (void)cli_fail(cli, rc, "container %s: %s", p.words[1], cli_daos_remedy(rc));
    }
    cli_daos_place_close(&p.at);
    if (rc == 0 && !cli->is_json)
        (void)printf("Properties were successfully set\n");
    *ret_response = json_null();
out:
    daos_prop_free(props);
    return rc;
}
