/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties of pools: dmg pool set-prop, get-prop, and --properties of pool create. Names, values and what is said of wrong ones are the original's. Tested by
 * test/control_system_test.py.
 */
#include "base/util.h"
#include "control/cli_admin/cli_dmg.h"
#include "daos_prop.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum kind { KIND_NAME, KIND_NAMES, KIND_NUMBER, KIND_PERCENT, KIND_SIZE, KIND_TEXT, KIND_RANKS };

/* A value by name. */
struct named {
    const char *name;
    uint64_t num;
};

enum { NAMED_MAX = 5, PROPS_MAX = 32, VALUE_BYTES = 256 };

struct def {
    const char *name;
    uint32_t number; /* of the API */
    const char *text; /* what it is */
    enum kind kind;
    bool is_late; /* can be set when the pool is there */
    bool is_early; /* can be set when it is made */
    struct named named[NAMED_MAX]; /* of KIND_NAME, and KIND_NAMES whose numbers are bits; by name */
    uint64_t lo, hi; /* of numbers */
    const char *wrong; /* how a wrong one is called: format for the value; NULL: by the names */
};

/* By name. */
static const struct def defs[] = {
    {"checkpoint", DAOS_PROP_PO_CHECKPOINT_MODE, "WAL Checkpointing behavior", KIND_NAME, true,
        true, {{"disabled", 0}, {"lazy", 2}, {"timed", 1}}, 0, 0, NULL},
    {"checkpoint_freq", DAOS_PROP_PO_CHECKPOINT_FREQ, "WAL Checkpointing frequency, in seconds",
        KIND_NUMBER, true, true, {{0}}, 1, 86400, "invalid Checkpointing Frequency value %s"},
    {"checkpoint_thresh", DAOS_PROP_PO_CHECKPOINT_THRESH,
        "Usage of WAL before checkpoint is triggered, as a percentage", KIND_NUMBER, true, true,
        {{0}}, 10, 75, "invalid Checkpointing threshold value %s"},
    {"data_thresh", DAOS_PROP_PO_DATA_THRESH, "Data bdev threshold size", KIND_SIZE, true, true,
        {{0}}, 0, 4096, "invalid data threshold size \"%s\""},
    {"ec_cell_sz", DAOS_PROP_PO_EC_CELL_SZ, "EC cell size", KIND_SIZE, true, true, {{0}},
        DAOS_PROP_PO_EC_CELL_SZ_MIN, DAOS_PROP_PO_EC_CELL_SZ_MAX, "invalid EC Cell size \"%s\""},
    {"ec_pda", DAOS_PROP_PO_EC_PDA, "Performance domain affinity level of EC", KIND_NUMBER, true,
        true, {{0}}, 1, UINT32_MAX, "invalid ec_pda value \"%s\""},
    {"global_version", DAOS_PROP_PO_GLOBAL_VERSION, "Global Version", KIND_NUMBER, false, false,
        {{0}}, 0, 0, NULL},
    {"label", DAOS_PROP_PO_LABEL, "Pool label", KIND_TEXT, true, true, {{0}}, 1, 127,
        "invalid label \"%s\""},
    {"perf_domain", DAOS_PROP_PO_PERF_DOMAIN, "Pool performance domain", KIND_NAME, false, false,
        {{"group", 2}, {"root", 255}}, 0, 0, NULL},
    {"rd_fac", DAOS_PROP_PO_REDUN_FAC, "Pool redundancy factor", KIND_NUMBER, false, true, {{0}}, 0,
        4, "invalid redun fac value %s (valid values: 0-4)"},
    {"reclaim", DAOS_PROP_PO_RECLAIM, "Reclaim strategy", KIND_NAME, true, true,
        {{"disabled", DAOS_RECLAIM_DISABLED}, {"lazy", DAOS_RECLAIM_LAZY},
            {"time", DAOS_RECLAIM_TIME}},
        0, 0, NULL},
    {"reintegration", DAOS_PROP_PO_REINT_MODE, "Reintegration mode", KIND_NAME, true, true,
        {{"data_sync", 0}, {"incremental", 2}, {"no_data_sync", 1}}, 0, 0, NULL},
    {"rp_pda", DAOS_PROP_PO_RP_PDA, "Performance domain affinity level of RP", KIND_NUMBER, true,
        true, {{0}}, 1, UINT32_MAX, "invalid rp_pda value \"%s\""},
    {"scrub", DAOS_PROP_PO_SCRUB_MODE, "Checksum scrubbing mode", KIND_NAME, true, true,
        {{"lazy", DAOS_SCRUB_MODE_LAZY}, {"off", DAOS_SCRUB_MODE_OFF},
            {"timed", DAOS_SCRUB_MODE_TIMED}},
        0, 0, NULL},
    {"scrub_freq", DAOS_PROP_PO_SCRUB_FREQ, "Checksum scrubbing frequency", KIND_NUMBER, true, true,
        {{0}}, 0, UINT32_MAX, "invalid Scrubbing Frequency value %s"},
    {"scrub_thresh", DAOS_PROP_PO_SCRUB_THRESH, "Checksum scrubbing threshold", KIND_NUMBER, true,
        true, {{0}}, 0, UINT32_MAX, "invalid Scrubbing Threshold value \"%s\""},
    {"self_heal", DAOS_PROP_PO_SELF_HEAL, "Self-healing policy", KIND_NAMES, true, true,
        {{"delay_rebuild", 4}, {"exclude", 1}, {"rebuild", 2}}, 0, 7, NULL},
    {"space_rb", DAOS_PROP_PO_SPACE_RB, "Rebuild space ratio", KIND_PERCENT, true, true, {{0}}, 0,
        100, "invalid space_rb value %s (valid values: 0-100)"},
    {"svc_list", DAOS_PROP_PO_SVC_LIST, "Pool service replica list", KIND_RANKS, false, false,
        {{0}}, 0, 0, NULL},
    {"svc_ops_enabled", DAOS_PROP_PO_SVC_OPS_ENABLED, "Metadata duplicate operations detection",
        KIND_NUMBER, false, false, {{0}}, 0, 0, NULL},
    {"svc_ops_entry_age", DAOS_PROP_PO_SVC_OPS_ENTRY_AGE,
        "Metadata duplicate operations KVS max entry age, in seconds", KIND_NUMBER, false, false,
        {{0}}, 0, 0, NULL},
    {"svc_rf", DAOS_PROP_PO_SVC_REDUN_FAC, "Pool service redundancy factor", KIND_NUMBER, false,
        true, {{0}}, 0, 4, "invalid service redundancy factor value %s (valid values: 0-4)"},
    {"upgrade_status", DAOS_PROP_PO_UPGRADE_STATUS, "Upgrade Status", KIND_NAME, false, false,
        {{"completed", 2}, {"failed", 3}, {"in progress", 1}, {"not started", 0}}, 0, 0, NULL},
};

/* Also by names of former versions. */
static const struct def *
def_find(const char *name)
{
    static const char *const old[][2] = {
        {"rf", "rd_fac"}, {"scrub-freq", "scrub_freq"}, {"scrub-thresh", "scrub_thresh"}};

    for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
        name = strcmp(name, old[i][0]) == 0 ? old[i][1] : name;
    }
    for (size_t i = 0; i < ARRAY_SIZE(defs); i++) {
        if (strcmp(name, defs[i].name) == 0)
            return &defs[i];
    }
    return NULL;
}

/* ---- values from text ------------------------------------------------------------------------------------------------------------ */

static int
wrong_value(struct dmg *dmg, const struct def *def, const char *value)
{
    char names[VALUE_BYTES] = "";
    size_t len = 0;

    if (def->wrong != NULL) {
        const char *at = strstr(def->wrong, "%s");

        return cli_fail(
            &dmg->cli, -DER_INVAL, "%.*s%s%s", (int)(at - def->wrong), def->wrong, value, at + 2);
    }
    for (size_t i = 0; i < NAMED_MAX && def->named[i].name != NULL; i++) {
        len += (size_t)snprintf(
            names + len, sizeof(names) - len, "%s%s", i > 0 ? "," : "", def->named[i].name);
    }
    return cli_fail(
        &dmg->cli, -DER_INVAL, "invalid value \"%s\" for %s (valid: %s)", value, def->name, names);
}

/* The number of a name of `len` bytes; false: no such name. */
static bool
named_find(const struct def *def, const char *name, size_t len, uint64_t *ret_num)
{
    for (size_t i = 0; i < NAMED_MAX && def->named[i].name != NULL; i++) {
        if (strlen(def->named[i].name) == len && strncasecmp(name, def->named[i].name, len) == 0) {
            *ret_num = def->named[i].num;
            return true;
        }
    }
    return false;
}

/* "exclude;rebuild" */
static bool
names_find(const struct def *def, const char *text, uint64_t *ret_num)
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
number_read(const struct def *def, const char *text, uint64_t *ret_num)
{
    char *end;

    errno = 0;
    *ret_num = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || errno != 0)
        return false;
    if (*end == '%' && def->kind == KIND_PERCENT)
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
value_parse(struct dmg *dmg, const struct def *def, char *text, Cairn__Ctl__Property *prop)
{
    uint64_t num = 0;
    bool is_good = true;

    cairn__ctl__property__init(prop);
    prop->number = def->number;
    switch (def->kind) {
    case KIND_NAME:
        is_good = named_find(def, text, strlen(text), &num);
        break;
    case KIND_NAMES:
        is_good = names_find(def, text, &num);
        break;
    case KIND_SIZE:
        is_good = cli_size_parse(text, &num) == 0 && num >= def->lo && num <= def->hi;
        break;
    case KIND_TEXT:
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
        const struct def *def;
        int rc;

        if (colon == NULL || colon == item) {
            return cli_fail(&dmg->cli, -DER_INVAL,
                "invalid property \"%s\" (must be key:val): expected name:value", item);
        }
        *colon = '\0';
        def = def_find(item);
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

static const char *
names_text(const struct def *def, uint64_t num, char *buf)
{
    size_t len = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < NAMED_MAX && def->named[i].name != NULL; i++) {
        bool is_it =
            def->kind == KIND_NAMES ? (num & def->named[i].num) != 0 : num == def->named[i].num;

        if (is_it) {
            len += (size_t)snprintf(
                buf + len, VALUE_BYTES - len, "%s%s", len > 0 ? ";" : "", def->named[i].name);
        }
    }
    if (len == 0)
        (void)snprintf(buf, VALUE_BYTES, "%llu", (unsigned long long)num);
    return buf;
}

static const char *
value_text(const struct def *def, const Cairn__Ctl__Property *prop,
    const Cairn__Ctl__PoolQueryRep *rep, char *buf)
{
    size_t len = 0;

    switch (def->kind) {
    case KIND_NAME:
    case KIND_NAMES:
        return names_text(def, prop->num, buf);
    case KIND_PERCENT:
        (void)snprintf(buf, VALUE_BYTES, "%llu%%", (unsigned long long)prop->num);
        return buf;
    case KIND_SIZE:
        return cli_size_text(prop->num, buf, VALUE_BYTES);
    case KIND_TEXT:
        return prop->str;
    case KIND_RANKS:
        len = (size_t)snprintf(buf, VALUE_BYTES, "[");
        for (size_t i = 0; i < rep->n_svc_reps && len < VALUE_BYTES - 16; i++) {
            len += (size_t)snprintf(
                buf + len, VALUE_BYTES - len, "%s%u", i > 0 ? "," : "", rep->svc_reps[i]);
        }
        (void)snprintf(buf + len, VALUE_BYTES - len, "]");
        return buf;
    default:
        (void)snprintf(buf, VALUE_BYTES, "%llu", (unsigned long long)prop->num);
        return buf;
    }
}

static json_t *
value_json(
    const struct def *def, const Cairn__Ctl__Property *prop, const Cairn__Ctl__PoolQueryRep *rep)
{
    char buf[VALUE_BYTES];

    if (def->kind == KIND_NUMBER || def->kind == KIND_PERCENT || def->kind == KIND_SIZE)
        return json_integer((json_int_t)prop->num);
    if (def->kind == KIND_RANKS)
        return dmg_ranks_json(rep->n_svc_reps, rep->svc_reps);
    return json_string(value_text(def, prop, rep, buf));
}

/* What the pool says of it; NULL: nothing. The list of replicas it says elsewhere. */
static const Cairn__Ctl__Property *
prop_of(const Cairn__Ctl__PoolQueryRep *rep, const struct def *def)
{
    static const Cairn__Ctl__Property none = CAIRN__CTL__PROPERTY__INIT;

    for (size_t i = 0; i < rep->n_properties; i++) {
        if (rep->properties[i]->number == def->number)
            return rep->properties[i];
    }
    return def->kind == KIND_RANKS ? &none : NULL;
}

/* In the order of the table, or of who asks. */
struct wanted {
    const struct def *list[PROPS_MAX];
    size_t nr;
};

static int
wanted_parse(struct dmg *dmg, const char *names, struct wanted *w)
{
    char *text = names == NULL ? NULL : strdup(names), *save = NULL;
    int rc = 0;

    w->nr = 0;
    for (size_t i = 0; names == NULL && i < ARRAY_SIZE(defs); i++) {
        w->list[w->nr++] = &defs[i];
    }
    if (names == NULL)
        return 0;
    if (text == NULL)
        return CAIRN_ERR(NOMEM);
    for (char *name = strtok_r(text, ",", &save); name != NULL && rc == 0;
         name = strtok_r(NULL, ",", &save)) {
        const struct def *def = def_find(name);

        if (def == NULL) {
            rc = cli_fail(&dmg->cli, -DER_INVAL, "unknown property \"%s\"", name);
        } else if (w->nr == PROPS_MAX) {
            rc = cli_fail(&dmg->cli, -DER_INVAL, "more than %d properties", PROPS_MAX);
        } else {
            w->list[w->nr++] = def;
        }
    }
    if (rc == 0 && w->nr == 0)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected names of properties");
    free(text);
    return rc;
}

static json_t *
props_print(const struct dmg *dmg, const char *pool, const struct wanted *w,
    const Cairn__Ctl__PoolQueryRep *rep)
{
    json_t *list = json_array();
    char buf[VALUE_BYTES], name[VALUE_BYTES];
    int width = 4;

    for (size_t i = 0; i < w->nr; i++) {
        int len = snprintf(name, sizeof(name), "%s (%s)", w->list[i]->text, w->list[i]->name);

        width = MAX(width, len);
    }
    if (!dmg->cli.is_json) {
        (void)printf(
            "Pool %s properties:\n%-*s Value\n%-*s -----\n", pool, width, "Name", width, "----");
    }
    for (size_t i = 0; i < w->nr; i++) {
        const struct def *def = w->list[i];
        const Cairn__Ctl__Property *prop = prop_of(rep, def);

        if (prop == NULL)
            continue;
        json_array_append_new(list,
            json_pack("{s:s, s:s, s:o}", "name", def->name, "description", def->text, "value",
                value_json(def, prop, rep)));
        (void)snprintf(name, sizeof(name), "%s (%s)", def->text, def->name);
        if (!dmg->cli.is_json)
            (void)printf("%-*s %s\n", width, name, value_text(def, prop, rep, buf));
    }
    return list;
}

int
dmg_pool_get_prop(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    const struct cli_opt opts[] = {{0}};
    Cairn__Ctl__PoolQueryRep *rep = NULL;
    struct wanted wanted;
    const char *words[2];
    char *pool;
    uint32_t nr;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0 && nr == 0)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc == 0)
        rc = wanted_parse(dmg, nr == 2 ? words[1] : NULL, &wanted);
    if (rc != 0)
        return rc;
    pool = (char *)(uintptr_t)words[0];
    rc = dmg_pool_ask(dmg, 1, &pool, &rep);
    if (rc != 0)
        return rc;
    *ret_response = props_print(dmg, pool, &wanted, rep);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return 0;
}
