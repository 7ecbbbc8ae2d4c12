/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos container get-prop, set-prop. Names, words of values and the JSON are the original's; what can be changed is for the service to say. Tested by
 * test/dfs/cli_daos_test.py.
 */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"
#include "base/util.h"

#include <stdlib.h>
#include <string.h>

enum kind { KIND_NUMBER, KIND_WORD, KIND_SIZE, KIND_TEXT, KIND_STATUS };

enum { WORDS_MAX = 9, VALUE_BYTES = 300, NAME_TEXT_BYTES = 80 };

struct def {
    const char *name;
    uint32_t type;
    const char *text; /* what it is */
    enum kind kind;
    const char *words[WORDS_MAX]; /* of KIND_WORD: by number; beyond them, the number itself */
};

/* By name. The ACL is shown by another command, root_oids means something to libdfs alone. */
static const struct def defs[] = {
    {"alloc_oid", DAOS_PROP_CO_ALLOCED_OID, "Highest Allocated OID", KIND_NUMBER, {0}},
    {"cksum", DAOS_PROP_CO_CSUM, "Checksum", KIND_WORD,
        {"off", "crc16", "crc32", "crc64", "sha1", "sha256", "sha512", "adler32"}},
    {"cksum_size", DAOS_PROP_CO_CSUM_CHUNK_SIZE, "Checksum Chunk Size", KIND_SIZE, {0}},
    {"compression", DAOS_PROP_CO_COMPRESS, "Compression", KIND_WORD,
        {"off", "lz4", "deflate", "deflate1", "deflate2", "deflate3", "deflate4"}},
    {"dedup", DAOS_PROP_CO_DEDUP, "Deduplication", KIND_WORD, {"off", "memcmp", "hash"}},
    {"dedup_threshold", DAOS_PROP_CO_DEDUP_THRESHOLD, "Dedupe Threshold", KIND_SIZE, {0}},
    {"ec_cell_sz", DAOS_PROP_CO_EC_CELL_SZ, "EC Cell Size", KIND_SIZE, {0}},
    {"ec_pda", DAOS_PROP_CO_EC_PDA, "Performance domain affinity level of EC", KIND_NUMBER, {0}},
    {"encryption", DAOS_PROP_CO_ENCRYPT, "Encryption", KIND_WORD,
        {"off", "aes-xts128", "aes-xts256", "aes-cbc128", "aes-cbc192", "aes-cbc256", "aes-gcm128",
            "aes-gcm256"}},
    {"global_version", DAOS_PROP_CO_GLOBAL_VERSION, "Global Version", KIND_NUMBER, {0}},
    {"group", DAOS_PROP_CO_OWNER_GROUP, "Group", KIND_TEXT, {0}},
    {"label", DAOS_PROP_CO_LABEL, "Label", KIND_TEXT, {0}},
    {"layout_type", DAOS_PROP_CO_LAYOUT_TYPE, "Layout Type", KIND_WORD,
        {"unknown", "POSIX", "HDF5", "PYTHON", "SPARK", "DATABASE", "ROOT", "SEISMIC", "METEO"}},
    {"layout_version", DAOS_PROP_CO_LAYOUT_VER, "Layout Version", KIND_NUMBER, {0}},
    {"max_snapshot", DAOS_PROP_CO_SNAPSHOT_MAX, "Max Snapshot", KIND_NUMBER, {0}},
    {"obj_version", DAOS_PROP_CO_OBJ_VERSION, "Object Version", KIND_NUMBER, {0}},
    {"owner", DAOS_PROP_CO_OWNER, "Owner", KIND_TEXT, {0}},
    {"perf_domain", DAOS_PROP_CO_PERF_DOMAIN, "Performance Domain", KIND_NUMBER, {0}},
    {"rd_fac", DAOS_PROP_CO_REDUN_FAC, "Redundancy Factor", KIND_WORD,
        {"rd_fac0", "rd_fac1", "rd_fac2", "rd_fac3", "rd_fac4"}},
    {"rd_lvl", DAOS_PROP_CO_REDUN_LVL, "Redundancy Level", KIND_WORD, {"0", "rank", "node", "fault"}},
    {"rp_pda", DAOS_PROP_CO_RP_PDA, "Performance domain affinity level of RP", KIND_NUMBER, {0}},
    {"srv_cksum", DAOS_PROP_CO_CSUM_SERVER_VERIFY, "Server Checksumming", KIND_WORD, {"off", "on"}},
    {"status", DAOS_PROP_CO_STATUS, "Health", KIND_STATUS, {0}},
};

/* Also by the other names that the original knows. */
static const struct def *
def_find(const char *name)
{
    static const char *const old[][2] = {
        {"rf", "rd_fac"}, {"rf_lvl", "rd_lvl"}, {"health", "status"}};

    for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
        name = strcmp(name, old[i][0]) == 0 ? old[i][1] : name;
    }
    for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
        if (strcmp(name, defs[i].name) == 0)
            return &defs[i];
    }
    return NULL;
}

static const char *
value_text(const struct def *def, const struct daos_prop_entry *entry, char *buf)
{
    struct daos_co_status status = {0};

    switch (def->kind) {
    case KIND_TEXT:
        return entry->dpe_str != NULL ? entry->dpe_str : "";
    case KIND_STATUS:
        daos_prop_val_2_co_status(entry->dpe_val, &status);
        return status.dcs_status == DAOS_PROP_CO_HEALTHY ? "HEALTHY" : "UNCLEAN";
    case KIND_SIZE:
        return cli_size_text(entry->dpe_val, buf, VALUE_BYTES);
    case KIND_WORD:
        if (entry->dpe_val < WORDS_MAX && def->words[entry->dpe_val] != NULL)
            return def->words[entry->dpe_val];
        break;
    default:
        break;
    }
    (void)snprintf(buf, VALUE_BYTES, "%llu", (unsigned long long)entry->dpe_val);
    return buf;
}

static json_t *
value_json(const struct def *def, const struct daos_prop_entry *entry)
{
    char buf[VALUE_BYTES];

    if (def->kind == KIND_NUMBER || def->kind == KIND_SIZE)
        return json_integer((json_int_t)entry->dpe_val);
    return json_string(value_text(def, entry, buf));
}

/* In the order of the table, or of who asks. */
struct wanted {
    const struct def *list[ARRAY_SIZE(defs)];
    uint32_t nr;
};

static int
wanted_parse(struct cli *cli, const char *names, struct wanted *w)
{
    char *text = names == NULL ? NULL : strdup(names), *save = NULL;
    int rc = 0;

    for (size_t i = 0; names == NULL && i < ARRAY_SIZE(defs); i++) {
        w->list[w->nr++] = &defs[i];
    }
    if (names == NULL)
        return 0;
    if (text == NULL)
        return -DER_NOMEM;
    for (char *name = strtok_r(text, ",", &save); name != NULL && rc == 0;
         name = strtok_r(NULL, ",", &save)) {
        const struct def *def = def_find(name);

        if (def == NULL) {
            rc = cli_fail(cli, -DER_INVAL, "unknown property \"%s\"", name);
        } else if (w->nr == ARRAY_SIZE(defs)) {
            rc = cli_fail(cli, -DER_INVAL, "more properties than there are");
        } else {
            w->list[w->nr++] = def;
        }
    }
    if (rc == 0 && w->nr == 0)
        rc = cli_fail(cli, -DER_INVAL, "expected names of properties: NAME,NAME");
    free(text);
    return rc;
}

static int
props_show(struct cli *cli, const char *cont, const struct wanted *w, daos_prop_t *props,
    json_t **ret_response)
{
    json_t *list = json_array();
    char name[NAME_TEXT_BYTES], value[VALUE_BYTES];

    if (!cli->is_json) {
        (void)printf("Properties for container %s\n%-56s %s\n%-56s %s\n", cont, "Name", "Value",
            "----", "-----");
    }
    for (uint32_t i = 0; i < w->nr; i++) {
        const struct def *def = w->list[i];
        const struct daos_prop_entry *entry = daos_prop_entry_get(props, def->type);

        if (entry == NULL)
            continue; /* nothing was said of it */
        json_array_append_new(list,
            json_pack("{s:s, s:s, s:o}", "name", def->name, "description", def->text, "value",
                value_json(def, entry)));
        (void)snprintf(name, sizeof(name), "%s (%s)", def->text, def->name);
        if (!cli->is_json)
            (void)printf("%-56s %s\n", name, value_text(def, entry, value));
    }
    *ret_response = list;
    return 0;
}

/* POOL CONT [more]: opened, and closed after `run`. */
struct place {
    const char *words[3];
    uint32_t words_nr;
    daos_handle_t poh, coh;
};

static int
place_open(struct cli *cli, struct place *p, unsigned int pool_flags, unsigned int cont_flags)
{
    int rc = cli_daos_pool_open(cli, p->words[0], pool_flags, &p->poh);

    if (rc != 0)
        return rc;
    rc = cli_daos_cont_open(cli, p->poh, p->words[1], cont_flags, &p->coh);
    if (rc != 0)
        CAIRN_IGNORE(daos_pool_disconnect(p->poh, NULL)); /* what failed is told */
    return rc;
}

static void
place_close(struct place *p)
{
    CAIRN_IGNORE(daos_cont_close(p->coh, NULL)); /* the outcome is known */
    CAIRN_IGNORE(daos_pool_disconnect(p->poh, NULL)); /* likewise */
}

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
    struct wanted w = {.nr = 0};
    daos_prop_t *props = NULL;
    struct place p;
    const char *names;
    int rc = place_parse(cli, argc, argv, &p, &names);

    if (rc == 0)
        rc = wanted_parse(cli, names, &w);
    if (rc == 0)
        rc = place_open(cli, &p, DAOS_PC_RO, DAOS_COO_RO);
    if (rc != 0)
        return rc;
    props = daos_prop_alloc(w.nr);
    rc = props == NULL ? -DER_NOMEM : 0;
    for (uint32_t i = 0; rc == 0 && i < w.nr; i++) {
        props->dpp_entries[i].dpe_type = w.list[i]->type;
    }
    if (rc == 0)
        rc = daos_cont_query(p.coh, NULL, props, NULL);
    if (rc != 0)
        (void)cli_fail(cli, rc, "container %s: %s", p.words[1], cli_daos_remedy(rc));
    place_close(&p);
    if (rc == 0)
        rc = props_show(cli, p.words[1], &w, props, ret_response);
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
        rc = place_open(cli, &p, DAOS_PC_RW, DAOS_COO_RW);
    if (rc != 0)
        goto out;
    rc = is_clear ? daos_cont_status_clear(p.coh, NULL) : daos_cont_set_prop(p.coh, props, NULL);
    if (rc == -DER_NO_PERM || rc == -DER_INVAL) {
        (void)cli_fail(cli, rc,
            "container %s: %s: one of these cannot be changed, or not to this (what can: label)",
            p.words[1], text);
    } else if (rc != 0) {
        (void)cli_fail(cli, rc, "container %s: %s", p.words[1], cli_daos_remedy(rc));
    }
    place_close(&p);
    if (rc == 0 && !cli->is_json)
        (void)printf("Properties were successfully set\n");
    *ret_response = json_null();
out:
    daos_prop_free(props);
    return rc;
}
