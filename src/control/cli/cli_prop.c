/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "control/cli/cli_prop.h"

#include "base/err.h"
#include "base/util.h"

#include <stdlib.h>
#include <string.h>

const struct cli_prop *
cli_prop_find(const struct cli_prop_table *table, const char *name)
{
    for (size_t i = 0; i < table->old_nr; i++) {
        name = strcmp(name, table->old[i][0]) == 0 ? table->old[i][1] : name;
    }
    for (size_t i = 0; i < table->nr; i++) {
        if (strcmp(name, table->props[i].name) == 0)
            return &table->props[i];
    }
    return NULL;
}

int
cli_wanted_parse(struct cli *cli, const struct cli_prop_table *table, const char *names,
    struct cli_wanted *ret_wanted)
{
    char *text = names == NULL ? NULL : strdup(names), *save = NULL;
    struct cli_wanted *w = ret_wanted;
    int rc = 0;

    w->nr = 0;
    for (size_t i = 0; names == NULL && i < table->nr; i++) {
        w->list[w->nr++] = &table->props[i];
    }
    if (names == NULL)
        return 0;
    if (text == NULL)
        return CAIRN_ERR(NOMEM);
    for (char *name = strtok_r(text, ",", &save); name != NULL && rc == 0;
         name = strtok_r(NULL, ",", &save)) {
        const struct cli_prop *prop = cli_prop_find(table, name);

        if (prop == NULL) {
            rc = cli_fail(cli, -DER_INVAL, "unknown property \"%s\"", name);
        } else if (w->nr == CLI_PROPS_MAX) {
            rc = cli_fail(cli, -DER_INVAL, "more than %d properties", CLI_PROPS_MAX);
        } else {
            w->list[w->nr++] = prop;
        }
    }
    if (rc == 0 && w->nr == 0)
        rc = cli_fail(cli, -DER_INVAL, "expected names of properties: NAME,NAME");
    free(text);
    return rc;
}

/* The name of a number, or those of its bits; the number itself where there is none. */
static const char *
names_text(const struct cli_prop *prop, uint64_t num, char *buf)
{
    size_t len = 0;

    for (size_t i = 0; i < CLI_NAMED_MAX && prop->named[i].name != NULL; i++) {
        const struct cli_named *n = &prop->named[i];

        if (prop->kind == CLI_PROP_NAMES ? (num & n->num) != 0 : num == n->num) {
            len += (size_t)snprintf(
                buf + len, CLI_PROP_TEXT_BYTES - len, "%s%s", len > 0 ? ";" : "", n->name);
        }
    }
    if (len == 0)
        (void)snprintf(buf, CLI_PROP_TEXT_BYTES, "%llu", (unsigned long long)num);
    return buf;
}

static const char *
value_text(const struct cli_prop *prop, const struct cli_prop_value *value, char *buf)
{
    switch (prop->kind) {
    case CLI_PROP_NAME:
    case CLI_PROP_NAMES:
        return names_text(prop, value->num, buf);
    case CLI_PROP_SIZE:
        return cli_size_text(value->num, buf, CLI_PROP_TEXT_BYTES);
    case CLI_PROP_TEXT:
    case CLI_PROP_JSON:
        return value->str;
    default:
        (void)snprintf(buf, CLI_PROP_TEXT_BYTES, "%llu%s", (unsigned long long)value->num,
            prop->kind == CLI_PROP_PERCENT ? "%" : "");
        return buf;
    }
}

static json_t *
value_json(const struct cli_prop *prop, const struct cli_prop_value *value, const char *text)
{
    switch (prop->kind) {
    case CLI_PROP_NUMBER:
    case CLI_PROP_PERCENT:
    case CLI_PROP_SIZE:
        return json_integer((json_int_t)value->num);
    case CLI_PROP_JSON:
        return value->json;
    default:
        return json_string(text);
    }
}

static int
label_text(const struct cli_prop *prop, char *buf)
{
    return snprintf(buf, CLI_PROP_TEXT_BYTES, "%s (%s)", prop->text, prop->name);
}

json_t *
cli_props_show(const struct cli *cli, const char *title, const struct cli_wanted *wanted,
    cli_prop_get get, void *arg)
{
    char buf[CLI_PROP_TEXT_BYTES], label[CLI_PROP_TEXT_BYTES];
    json_t *list = json_array();
    int width = 4;

    for (uint32_t i = 0; i < wanted->nr; i++) {
        int len = label_text(wanted->list[i], label);

        width = MAX(width, len);
    }
    if (!cli->is_json)
        (void)printf("%s\n%-*s Value\n%-*s -----\n", title, width, "Name", width, "----");
    for (uint32_t i = 0; i < wanted->nr; i++) {
        const struct cli_prop *prop = wanted->list[i];
        struct cli_prop_value value = {.num = 0};
        const char *text;

        if (!get(arg, prop, &value))
            continue;
        text = value_text(prop, &value, buf);
        (void)label_text(prop, label);
        if (!cli->is_json)
            (void)printf("%-*s %s\n", width, label, text);
        json_array_append_new(list,
            json_pack("{s:s, s:s, s:o}", "name", prop->name, "description", prop->text, "value",
                value_json(prop, &value, text)));
    }
    return list;
}
