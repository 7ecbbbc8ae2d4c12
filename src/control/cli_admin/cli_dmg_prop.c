/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties of pools: dmg pool set-prop, get-prop, and --properties of pool create. Names, values and what is said of wrong ones are the original's. Tested by
 * test/control_system_test.py.
 */
#include "base/util.h"
#include "control/cli/cli_prop.h"
#include "control/cli_admin/cli_dmg.h"
#include "daos_prop.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PROPS_MAX = CLI_PROPS_MAX, VALUE_BYTES = 256 };

/* By name. */
static const struct cli_prop defs[] = {
    {"checkpoint", DAOS_PROP_PO_CHECKPOINT_MODE, "WAL Checkpointing behavior", CLI_PROP_NAME,
        {{"disabled", 0}, {"lazy", 2}, {"timed", 1}}, true, true, 0, 0, NULL},
    {"checkpoint_freq", DAOS_PROP_PO_CHECKPOINT_FREQ, "WAL Checkpointing frequency, in seconds",
        CLI_PROP_NUMBER, {{0}}, true, true, 1, 86400, "invalid Checkpointing Frequency value %s"},
    {"checkpoint_thresh", DAOS_PROP_PO_CHECKPOINT_THRESH,
        "Usage of WAL before checkpoint is triggered, as a percentage", CLI_PROP_NUMBER, {{0}},
        true, true, 10, 75, "invalid Checkpointing threshold value %s"},
    {"data_thresh", DAOS_PROP_PO_DATA_THRESH, "Data bdev threshold size", CLI_PROP_SIZE, {{0}},
        true, true, 0, 4096, "invalid data threshold size \"%s\""},
    {"ec_cell_sz", DAOS_PROP_PO_EC_CELL_SZ, "EC cell size", CLI_PROP_SIZE, {{0}}, true, true,
        DAOS_PROP_PO_EC_CELL_SZ_MIN, DAOS_PROP_PO_EC_CELL_SZ_MAX, "invalid EC Cell size \"%s\""},
    {"ec_pda", DAOS_PROP_PO_EC_PDA, "Performance domain affinity level of EC", CLI_PROP_NUMBER,
        {{0}}, true, true, 1, UINT32_MAX, "invalid ec_pda value \"%s\""},
    {"global_version", DAOS_PROP_PO_GLOBAL_VERSION, "Global Version", CLI_PROP_NUMBER, {{0}}, false,
        false, 0, 0, NULL},
    {"label", DAOS_PROP_PO_LABEL, "Pool label", CLI_PROP_TEXT, {{0}}, true, true, 1, 127,
        "invalid label \"%s\""},
    {"perf_domain", DAOS_PROP_PO_PERF_DOMAIN, "Pool performance domain", CLI_PROP_NAME,
        {{"group", 2}, {"root", 255}}, false, false, 0, 0, NULL},
    {"rd_fac", DAOS_PROP_PO_REDUN_FAC, "Pool redundancy factor", CLI_PROP_NUMBER, {{0}}, false,
        true, 0, 4, "invalid redun fac value %s (valid values: 0-4)"},
    {"reclaim", DAOS_PROP_PO_RECLAIM, "Reclaim strategy", CLI_PROP_NAME,
        {{"disabled", DAOS_RECLAIM_DISABLED}, {"lazy", DAOS_RECLAIM_LAZY},
            {"time", DAOS_RECLAIM_TIME}},
        true, true, 0, 0, NULL},
    {"reintegration", DAOS_PROP_PO_REINT_MODE, "Reintegration mode", CLI_PROP_NAME,
        {{"data_sync", 0}, {"incremental", 2}, {"no_data_sync", 1}}, true, true, 0, 0, NULL},
    {"rp_pda", DAOS_PROP_PO_RP_PDA, "Performance domain affinity level of RP", CLI_PROP_NUMBER,
        {{0}}, true, true, 1, UINT32_MAX, "invalid rp_pda value \"%s\""},
    {"scrub", DAOS_PROP_PO_SCRUB_MODE, "Checksum scrubbing mode", CLI_PROP_NAME,
        {{"lazy", DAOS_SCRUB_MODE_LAZY}, {"off", DAOS_SCRUB_MODE_OFF},
            {"timed", DAOS_SCRUB_MODE_TIMED}},
        true, true, 0, 0, NULL},
    {"scrub_freq", DAOS_PROP_PO_SCRUB_FREQ, "Checksum scrubbing frequency", CLI_PROP_NUMBER, {{0}},
        true, true, 0, UINT32_MAX, "invalid Scrubbing Frequency value %s"},
    {"scrub_thresh", DAOS_PROP_PO_SCRUB_THRESH, "Checksum scrubbing threshold", CLI_PROP_NUMBER,
        {{0}}, true, true, 0, UINT32_MAX, "invalid Scrubbing Threshold value \"%s\""},
    {"self_heal", DAOS_PROP_PO_SELF_HEAL, "Self-healing policy", CLI_PROP_NAMES,
        {{"delay_rebuild", 4}, {"exclude", 1}, {"rebuild", 2}}, true, true, 0, 7, NULL},
    {"space_rb", DAOS_PROP_PO_SPACE_RB, "Rebuild space ratio", CLI_PROP_PERCENT, {{0}}, true, true,
        0, 100, "invalid space_rb value %s (valid values: 0-100)"},
    {"svc_list", DAOS_PROP_PO_SVC_LIST, "Pool service replica list", CLI_PROP_JSON, {{0}}, false,
        false, 0, 0, NULL},
    {"svc_ops_enabled", DAOS_PROP_PO_SVC_OPS_ENABLED, "Metadata duplicate operations detection",
        CLI_PROP_NUMBER, {{0}}, false, false, 0, 0, NULL},
    {"svc_ops_entry_age", DAOS_PROP_PO_SVC_OPS_ENTRY_AGE,
        "Metadata duplicate operations KVS max entry age, in seconds", CLI_PROP_NUMBER, {{0}},
        false, false, 0, 0, NULL},
    {"svc_rf", DAOS_PROP_PO_SVC_REDUN_FAC, "Pool service redundancy factor", CLI_PROP_NUMBER, {{0}},
        false, true, 0, 4, "invalid service redundancy factor value %s (valid values: 0-4)"},
    {"upgrade_status", DAOS_PROP_PO_UPGRADE_STATUS, "Upgrade Status", CLI_PROP_NAME,
        {{"completed", 2}, {"failed", 3}, {"in progress", 1}, {"not started", 0}}, false, false, 0,
        0, NULL},
};

static const char *const old_names[][2] = {
    {"rf", "rd_fac"}, {"scrub-freq", "scrub_freq"}, {"scrub-thresh", "scrub_thresh"}};
static const struct cli_prop_table table = {defs, ARRAY_SIZE(defs), old_names, ARRAY_SIZE(old_names)};

/* ---- values from text ------------------------------------------------------------------------------------------------------------ */

static int
wrong_value(struct dmg *dmg, const struct cli_prop *def, const char *value)
{
    char names[VALUE_BYTES] = "";
    size_t len = 0;

    if (def->wrong != NULL) {
        const char *at = strstr(def->wrong, "%s");

        return cli_fail(
            &dmg->cli, -DER_INVAL, "%.*s%s%s", (int)(at - def->wrong), def->wrong, value, at + 2);
    }
    for (size_t i = 0; i < CLI_NAMED_MAX && def->named[i].name != NULL; i++) {
        len += (size_t)snprintf(
            names + len, sizeof(names) - len, "%s%s", i > 0 ? "," : "", def->named[i].name);
    }
    return cli_fail(
        &dmg->cli, -DER_INVAL, "invalid value \"%s\" for %s (valid: %s)", value, def->name, names);
}

/* The number of a name of `len` bytes; false: no such name. */
static bool
named_find(const struct cli_prop *def, const char *name, size_t len, uint64_t *ret_num)
{
    for (size_t i = 0; i < CLI_NAMED_MAX && def->named[i].name != NULL; i++) {
        if (strlen(def->named[i].name) == len && strncasecmp(name, def->named[i].name, len) == 0) {
            *ret_num = def->named[i].num;
            return true;
        }
    }
    return false;
}

/* "exclude;rebuild" */
static bool
names_find(const struct cli_prop *def, const char *text, uint64_t *ret_num)
{
    uint64_t all = 0, num;

    for (;;) {
        size_t len = strcspn(text, ";");

        if (!named_find(def, text, len, &num))
            return false;
        all |= num;
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    *ret_num = all;
    return true;
}

static bool
number_read(const struct cli_prop *def, const char *text, uint64_t *ret_num)
{
    char *end;

    errno = 0;
    *ret_num = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || errno != 0)
        return false;
    if (*end == '%' && def->kind == CLI_PROP_PERCENT)
        end++;
    return *end == '\0';
}

static bool
label_is_valid(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= 127 &&
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:") == len;
}

static int
value_parse(struct dmg *dmg, const struct cli_prop *def, char *text, Cairn__Ctl__Property *prop)
{
    uint64_t num = 0;
    bool is_good = true;

    cairn__ctl__property__init(prop);
    prop->number = def->number;
    switch (def->kind) {
    case CLI_PROP_NAME:
        is_good = named_find(def, text, strlen(text), &num);
        break;
    case CLI_PROP_NAMES:
        is_good = names_find(def, text, &num);
        break;
    case CLI_PROP_SIZE:
        is_good = cli_size_parse(text, &num) == 0 && num >= def->lo && num <= def->hi;
        break;
    case CLI_PROP_TEXT:
        is_good = label_is_valid(text);
        prop->str = text;
        break;
    default:
        is_good = number_read(def, text, &num) && num >= def->lo && num <= def->hi;
        break;
    }
    prop->num = num;
    return is_good ? 0 : wrong_value(dmg, def, text);
}

static int
wrong_name(struct dmg *dmg, const char *name, bool is_create)
{
    char names[VALUE_BYTES * 2] = "";
    size_t len = 0;

    if (is_create) {
        return cli_fail(&dmg->cli, -DER_INVAL,
            "--properties %s: no such pool property that can be set at creation", name);
    }
    for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
        if (defs[i].is_late) {
            len += (size_t)snprintf(
                names + len, sizeof(names) - len, "%s%s", len > 0 ? "," : "", defs[i].name);
        }
    }
    return cli_fail(
        &dmg->cli, -DER_INVAL, "\"%s\" is not a settable property (valid: %s)", name, names);
}

int
dmg_props_parse(struct dmg *dmg, char *text, bool is_create, Cairn__Ctl__Property *props,
    size_t props_max, size_t *nr)
{
    char *save = NULL;

    for (char *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        char *colon = strchr(item, ':');
        const struct cli_prop *def;
        int rc;

        if (colon == NULL || colon == item) {
            return cli_fail(&dmg->cli, -DER_INVAL,
                "invalid property \"%s\" (must be key:val): expected name:value", item);
        }
        *colon = '\0';
        def = cli_prop_find(&table, item);
        if (def == NULL || !(is_create ? def->is_early : def->is_late))
            return wrong_name(dmg, item, is_create);
        if (*nr == props_max)
            return cli_fail(&dmg->cli, -DER_INVAL, "more than %zu properties", props_max);
        rc = value_parse(dmg, def, colon + 1, &props[*nr]);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < *nr; i++) {
            if (props[i].number == def->number)
                return cli_fail(&dmg->cli, -DER_INVAL, "property \"%s\" stands there twice", item);
        }
        (*nr)++;
    }
    return 0;
}

int
dmg_pool_set_prop(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolSetPropReq req = CAIRN__CTL__POOL_SET_PROP_REQ__INIT;
    Cairn__Ctl__Property props[PROPS_MAX], *list[PROPS_MAX];
    const struct cli_opt opts[] = {{0}};
    const char *words[2];
    char *text = NULL;
    uint8_t *body = NULL;
    uint32_t words_nr;
    size_t nr = 0, len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 2, &words_nr);

    if (rc == 0 && words_nr != 2) {
        rc = cli_fail(&dmg->cli, -DER_INVAL,
            "expected a pool and properties: dmg pool set-prop POOL NAME:VALUE[,NAME:VALUE...]");
    }
    if (rc != 0)
        return rc;
    text = strdup(words[1]);
    rc = text == NULL ? CAIRN_ERR(NOMEM) : dmg_props_parse(dmg, text, false, props, PROPS_MAX, &nr);
    if (rc == 0 && nr == 0)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected properties: NAME:VALUE[,NAME:VALUE...]");
    for (size_t i = 0; i < nr; i++) {
        list[i] = &props[i];
    }
    req.id = (char *)(uintptr_t)words[0];
    req.properties = list;
    req.n_properties = nr;
    if (rc == 0)
        rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_SET_PROP, &req.base, &body, &len);
    if (rc == 0 && !dmg->cli.is_json)
        (void)printf("pool set-prop succeeded\n");
    *ret_response = json_null();
    free(body);
    free(text);
    return rc;
}

/* ---- values as text ------------------------------------------------------------------------------------------------------------------ */

struct answer {
    const Cairn__Ctl__PoolQueryRep *rep;
    char ranks[VALUE_BYTES];
};

/* The list of replicas is said elsewhere. */
static void
ranks_get(struct answer *a, struct cli_prop_value *ret_value)
{
    size_t len = (size_t)snprintf(a->ranks, VALUE_BYTES, "[");

    for (size_t i = 0; i < a->rep->n_svc_reps && len < VALUE_BYTES - 16; i++) {
        len += (size_t)snprintf(
            a->ranks + len, VALUE_BYTES - len, "%s%u", i > 0 ? "," : "", a->rep->svc_reps[i]);
    }
    (void)snprintf(a->ranks + len, VALUE_BYTES - len, "]");
    ret_value->str = a->ranks;
    ret_value->json = dmg_ranks_json(a->rep->n_svc_reps, a->rep->svc_reps);
}

static bool
value_get(void *arg, const struct cli_prop *def, struct cli_prop_value *ret_value)
{
    struct answer *a = arg;

    for (size_t i = 0; i < a->rep->n_properties; i++) {
        if (a->rep->properties[i]->number == def->number) {
            ret_value->num = a->rep->properties[i]->num;
            ret_value->str = a->rep->properties[i]->str;
            return true;
        }
    }
    if (def->kind == CLI_PROP_JSON)
        ranks_get(a, ret_value);
    return def->kind == CLI_PROP_JSON;
}

int
dmg_pool_get_prop(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    const struct cli_opt opts[] = {{0}};
    Cairn__Ctl__PoolQueryRep *rep = NULL;
    struct cli_wanted wanted;
    struct answer answer;
    const char *words[2];
    char title[VALUE_BYTES], *pool;
    uint32_t nr;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0 && nr == 0)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc == 0)
        rc = cli_wanted_parse(&dmg->cli, &table, nr == 2 ? words[1] : NULL, &wanted);
    if (rc != 0)
        return rc;
    pool = (char *)(uintptr_t)words[0];
    rc = dmg_pool_ask(dmg, 1, &pool, &rep);
    if (rc != 0)
        return rc;
    answer.rep = rep;
    (void)snprintf(title, sizeof(title), "Pool %.200s properties:", pool);
    *ret_response = cli_props_show(&dmg->cli, title, &wanted, value_get, &answer);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return 0;
}
