/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties as the command lines name and show them: a table of definitions, those that were asked for, and the list of them as text and as JSON. Names, words and
 * JSON are the original's. Tested by test/cli_test.c, test/control_system_test.py and test/dfs/cli_daos_test.py.
 */
#ifndef CAIRN_CLI_PROP_H
#define CAIRN_CLI_PROP_H

#include "control/cli/cli.h"

enum { CLI_NAMED_MAX = 10, CLI_PROPS_MAX = 32, CLI_PROP_TEXT_BYTES = 300 };

enum cli_prop_kind {
    CLI_PROP_NAME, /* one of the named numbers */
    CLI_PROP_NAMES, /* bits, each named */
    CLI_PROP_NUMBER,
    CLI_PROP_PERCENT,
    CLI_PROP_SIZE,
    CLI_PROP_TEXT,
    CLI_PROP_JSON, /* shown as its JSON and its text say */
};

/* A number by name. */
struct cli_named {
    const char *name;
    uint64_t num;
};

struct cli_prop {
    const char *name;
    uint32_t number; /* of the API */
    const char *text; /* what it is */
    enum cli_prop_kind kind;
    struct cli_named named[CLI_NAMED_MAX]; /* up to the first without a name */
    /* What may be set; not of tables whose values libdaos reads. */
    bool is_late; /* when the thing is there */
    bool is_early; /* when it is made */
    uint64_t lo, hi; /* of numbers */
    const char *wrong; /* how a wrong one is called: format for the value; NULL: by the names */
};

struct cli_prop_table {
    const struct cli_prop *props; /* by name */
    size_t nr;
    const char *const (*old)[2]; /* other names, and what they mean */
    size_t old_nr;
};

/** NULL: no such property. */
const struct cli_prop *cli_prop_find(const struct cli_prop_table *table, const char *name);

/* Those to show, in the order of the table, or of who asks. */
struct cli_wanted {
    const struct cli_prop *list[CLI_PROPS_MAX];
    uint32_t nr;
};

/** names: "NAME,NAME"; NULL: all of the table. Errors, with a line: INVAL; NOMEM. */
int cli_wanted_parse(struct cli *cli, const struct cli_prop_table *table, const char *names,
    struct cli_wanted *ret_wanted);

/* What there is of a property: num or str, as its kind is; of CLI_PROP_JSON str and json, which is taken. */
struct cli_prop_value {
    uint64_t num;
    const char *str;
    json_t *json;
};

/** False: nothing is known of it, so that it is not shown. */
typedef bool (*cli_prop_get)(
    void *arg, const struct cli_prop *prop, struct cli_prop_value *ret_value);

/** Print them under `title`, or with -j nothing. Returns the JSON of all, which the caller owns. */
json_t *cli_props_show(const struct cli *cli, const char *title, const struct cli_wanted *wanted,
    cli_prop_get get, void *arg);

#endif
