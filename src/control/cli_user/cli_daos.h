/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the files of the `daos` command share. */
#ifndef CAIRN_CLI_DAOS_H
#define CAIRN_CLI_DAOS_H

#include "control/cli/cli.h"

#include <daos.h>

/* A pool, or a container in it, that a command is at. */
struct cli_daos_place {
    daos_handle_t poh, coh;
    bool is_cont;
};

/* Commands: parse their own arguments, print text or fill the response. Answers are 0 or -DER_, with cli->err filled in. */
int cli_daos_pool_list(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_pool_query(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_create(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_list(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_query(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_destroy(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_get_prop(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_set_prop(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_pool_list_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_pool_get_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_pool_set_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_pool_del_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_list_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_get_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_set_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_del_attr(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_create_snap(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_list_snap(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_cont_destroy_snap(struct cli *cli, int argc, char **argv, json_t **ret_response);
int cli_daos_fs_copy(struct cli *cli, int argc, char **argv, json_t **ret_response);

/** What to tell about a code: cause and remedy. */
const char *cli_daos_remedy(int rc);
/** -DER_INVAL, told, unless there are `need` words. */
int cli_daos_words_need(struct cli *cli, uint32_t nr, uint32_t need, const char *what);
/** Properties as text, NAME:VALUE,NAME:VALUE, as on the command line. `*ret_props`: daos_prop_free(). What is wrong is told, after `what`. */
int
cli_daos_props_parse(struct cli *cli, const char *what, const char *text, daos_prop_t **ret_props);
/** Connect, open; a failure is told. */
int cli_daos_pool_open(struct cli *cli, const char *pool, unsigned int flags, daos_handle_t *ret_poh);
int cli_daos_cont_open(struct cli *cli, daos_handle_t poh, const char *cont, unsigned int flags,
    daos_handle_t *ret_coh);
/** Both; cont NULL: the pool alone. Ends by cli_daos_place_close(), unless it failed, which is told. */
int cli_daos_place_open(struct cli *cli, const char *pool, const char *cont, bool is_write,
    struct cli_daos_place *ret_place);
void cli_daos_place_close(struct cli_daos_place *place);

#endif
