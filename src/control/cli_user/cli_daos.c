/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos: the user's command line, on libdaos and libdfs alone. `daos RESOURCE COMMAND [POOL [CONT]] [OPTIONS]`; names, options and JSON fields are the original's as far as
 * the commands exist (README.md lists them). Tested by test/dfs/cli_daos_test.py and cli_copy_test.py.
 */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"
#include "client/core/client_tools.h"

#include <stdlib.h>
#include <string.h>

struct command {
    const char *resource, *verb;
    const char *words; /* for the help */
    int (*run)(struct cli *cli, int argc, char **argv, json_t **ret_response);
    const char *help;
};

/* The text after a failed call on a pool or container: cause and remedy. */
const char *
cli_daos_remedy(int rc)
{
    switch (rc) {
    case -DER_AGENT_COMM:
        return "no system found: is daos_server running, and is CAIRN_RUNTIME_DIR (or "
               "XDG_RUNTIME_DIR) the same as its?";
    case -DER_NONEXIST:
        return "no such label or uuid: `daos pool list` and `daos container list POOL` show what "
               "there is";
    case -DER_EXIST:
        return "the label is taken: choose another";
    case -DER_BUSY:
        return "it is open somewhere: close it, or use --force";
    case -DER_NO_PERM:
        return "not allowed with these rights";
    case -DER_TIMEDOUT:
    case -DER_UNREACH:
        return "no answer from the system: `dmg system query` shows the state of the engines";
    case -DER_NOSPACE:
        return "no space left: `daos pool query` shows where";
    case -DER_INVAL:
        return "not a valid label, uuid or option";
    default:
        return err_text(rc);
    }
}

int
cli_daos_pool_open(struct cli *cli, const char *pool, unsigned int flags, daos_handle_t *ret_poh)
{
    int rc = daos_pool_connect(pool, cli->sys_name, flags, ret_poh, NULL, NULL);

    if (rc == -DER_BUSY)
        return cli_fail(cli, rc, "pool %s: another process owns the storage: end that first", pool);
    return rc == 0 ? 0 : cli_fail(cli, rc, "pool %s: %s", pool, cli_daos_remedy(rc));
}

int
cli_daos_cont_open(struct cli *cli, daos_handle_t poh, const char *cont, unsigned int flags,
    daos_handle_t *ret_coh)
{
    int rc = daos_cont_open(poh, cont, flags, ret_coh, NULL, NULL);

    return rc == 0 ? 0 : cli_fail(cli, rc, "container %s: %s", cont, cli_daos_remedy(rc));
}

int
cli_daos_place_open(struct cli *cli, const char *pool, const char *cont, bool is_write,
    struct cli_daos_place *ret_place)
{
    struct cli_daos_place *p = ret_place;
    int rc = cli_daos_pool_open(cli, pool, is_write ? DAOS_PC_RW : DAOS_PC_RO, &p->poh);

    p->is_cont = cont != NULL;
    if (rc != 0 || !p->is_cont)
        return rc;
    rc = cli_daos_cont_open(cli, p->poh, cont, is_write ? DAOS_COO_RW : DAOS_COO_RO, &p->coh);
    if (rc != 0)
        CAIRN_IGNORE(daos_pool_disconnect(p->poh, NULL)); /* what failed is told */
    return rc;
}

void
cli_daos_place_close(struct cli_daos_place *place)
{
    if (place->is_cont)
        CAIRN_IGNORE(daos_cont_close(place->coh, NULL)); /* the outcome is known */
    CAIRN_IGNORE(daos_pool_disconnect(place->poh, NULL)); /* likewise */
}

int
cli_daos_words_need(struct cli *cli, uint32_t nr, uint32_t need, const char *what)
{
    return nr == need ? 0 : cli_fail(cli, -DER_INVAL, "expected %s; see daos --help", what);
}

static int
run_version(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    (void)argc;
    (void)argv;
    *ret_response = json_pack("{s:s, s:s}", "version", CAIRN_VERSION, "name", "daos");
    if (!cli->is_json) {
        (void)printf("daos version %s (API %d.%d)\n", CAIRN_VERSION, DAOS_API_VERSION_MAJOR,
            DAOS_API_VERSION_MINOR);
    }
    return 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------------ */

static const struct command commands[] = {
    {"pool", "list", "", cli_daos_pool_list, "pools of the system"},
    {"pool", "query", "POOL", cli_daos_pool_query, "space and state of a pool"},
    {"container", "create",
        "POOL [LABEL] [--type POSIX] [--chunk-size SIZE] [--properties NAME:VALUE,...]",
        cli_daos_cont_create, "make a container"},
    {"container", "list", "POOL", cli_daos_cont_list, "containers of a pool"},
    {"container", "query", "POOL CONT", cli_daos_cont_query, "properties and handles of a container"},
    {"container", "destroy", "POOL CONT [--force]", cli_daos_cont_destroy,
        "remove a container and all in it"},
    {"container", "get-prop", "POOL CONT [NAME,...]", cli_daos_cont_get_prop,
        "properties of a container, all or some"},
    {"container", "set-prop", "POOL CONT NAME:VALUE,...", cli_daos_cont_set_prop,
        "change properties that can be changed"},
    {"container", "create-snap", "POOL CONT [--snap NAME]", cli_daos_cont_create_snap,
        "take a snapshot of a container"},
    {"container", "list-snap", "POOL CONT", cli_daos_cont_list_snap, "snapshots of a container"},
    {"container", "destroy-snap", "POOL CONT --snap NAME | --epc EPOCH | --epcrange FROM-TO",
        cli_daos_cont_destroy_snap, "destroy snapshots of a container"},
    {"container", "list-attr", "POOL CONT [--verbose]", cli_daos_cont_list_attr,
        "names of a container's attributes"},
    {"container", "get-attr", "POOL CONT [NAME,...]", cli_daos_cont_get_attr,
        "values of a container's attributes"},
    {"container", "set-attr", "POOL CONT NAME:VALUE,...", cli_daos_cont_set_attr,
        "set attributes of a container"},
    {"container", "del-attr", "POOL CONT NAME,...", cli_daos_cont_del_attr,
        "remove attributes of a container"},
    {"pool", "list-attr", "POOL [--verbose]", cli_daos_pool_list_attr, "names of a pool's attributes"},
    {"pool", "get-attr", "POOL [NAME,...]", cli_daos_pool_get_attr, "values of a pool's attributes"},
    {"pool", "set-attr", "POOL NAME:VALUE,...", cli_daos_pool_set_attr, "set attributes of a pool"},
    {"pool", "del-attr", "POOL NAME,...", cli_daos_pool_del_attr, "remove attributes of a pool"},
    {"filesystem", "copy", "--src PLACE --dst PLACE [--workers N] [--progress bar|lines]",
        cli_daos_fs_copy, "copy a tree; a place is a path or daos://POOL/CONT[/PATH]"},
    {"version", NULL, "", run_version, "print the version"},
};

static void
usage(FILE *to)
{
    (void)fprintf(to, "usage: daos RESOURCE COMMAND [ARGUMENTS]\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        (void)fprintf(to, "  daos %s%s%s %s\n      %s\n", commands[i].resource,
            commands[i].verb != NULL ? " " : "", commands[i].verb != NULL ? commands[i].verb : "",
            commands[i].words, commands[i].help);
    }
    (void)fprintf(to,
        "\n  -j, --json              print {\"response\", \"error\", \"status\"}\n  -G, --sys-name "
        "SYSTEM   the system to use (default daos_server)\n      --debug             log what the "
        "library says to standard error\nContainers may be abbreviated as cont, filesystem as fs, "
        "list as ls.\n");
}

static bool
is_word(const char *given, const char *word)
{
    static const char *const shorts[][2] = {{"cont", "container"}, {"fs", "filesystem"},
        {"ls", "list"}, {"getprop", "get-prop"}, {"setprop", "set-prop"}, {"list-snaps", "list-snap"},
        {"list-attrs", "list-attr"}, {"listattr", "list-attr"}, {"lsattr", "list-attr"},
        {"getattr", "get-attr"}, {"setattr", "set-attr"}, {"delattr", "del-attr"}};

    for (size_t i = 0; i < sizeof(shorts) / sizeof(shorts[0]); i++) {
        if (strcmp(given, shorts[i][0]) == 0 && strcmp(word, shorts[i][1]) == 0)
            return true;
    }
    return strcmp(given, word) == 0;
}

static int
run(struct cli *cli, const struct command *command, int argc, char **argv)
{
    json_t *response = NULL;
    char path[256];
    int rc = 0;

    if (command->run != run_version) {
        rc = daos_init();
        if (rc != 0) {
            return cli_finish(
                cli, cli_fail(cli, rc, "cannot start the client library: %s", err_text(rc)), NULL);
        }
    }
    rc = command->run(cli, argc, argv, &response);
    if (rc == -DER_MISMATCH && client_tools_foreign(path, sizeof(path))) {
        rc = cli_fail(cli, rc,
            "another installation of system %s answers than the one in %s: remove that file and "
            "restart the daos_server that you mean, or set CAIRN_RUNTIME_DIR to where it runs",
            cli->sys_name != NULL ? cli->sys_name : "daos_server", path);
    }
    if (command->run != run_version)
        CAIRN_IGNORE(daos_fini()); /* the outcome is known */
    return cli_finish(cli, rc, response);
}

static const struct command *
command_find(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (is_word(argv[0], commands[i].resource) &&
            (commands[i].verb == NULL || (argc > 1 && is_word(argv[1], commands[i].verb))))
            return &commands[i];
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    struct cli cli = {.prog = "daos"};
    const struct command *command;
    bool wants_help = false, wants_log = false;
    const struct cli_opt opts[] = {
        {.name = "json", .letter = 'j', .is_flag = true, .flag = &cli.is_json},
        {.name = "help", .letter = 'h', .is_flag = true, .flag = &wants_help},
        {.name = "verbose", .is_flag = true, .flag = &cli.is_verbose},
        {.name = "debug", .is_flag = true, .flag = &wants_log},
        {.name = "sys-name", .letter = 'G', .value = &cli.sys_name},
        {.name = "sys", .value = &cli.sys_name},
        {0},
    };
    int words, nr = cli_take(opts, argc - 1, argv + 1);

    argv++;
    if (wants_log)
        (void)setenv("DD_STDERR", "DEBUG", 1);
    if (wants_help) {
        usage(stdout);
        return 0;
    }
    if (nr == 0) {
        usage(stderr);
        return 1;
    }
    command = command_find(nr, argv);
    if (command == NULL) {
        return cli_finish(&cli,
            cli_fail(&cli, -DER_INVAL, "%s%s%s: no such command; see daos --help", argv[0],
                nr > 1 ? " " : "", nr > 1 ? argv[1] : ""),
            NULL);
    }
    words = command->verb != NULL ? 2 : 1;
    return run(&cli, command, nr - words, argv + words);
}
