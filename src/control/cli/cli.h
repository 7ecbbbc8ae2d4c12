/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the command lines share: options, the JSON envelope {"response", "error", "status"} of `-j`, one-line errors, sizes for people.
 *
 * A command fills a JSON value for -j and prints text otherwise; an error is one line: what, where, and what to do.
 */
#ifndef CAIRN_CLI_H
#define CAIRN_CLI_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_ERR_BYTES = 512, CLI_ARGS_NR_MAX = 8 };

struct cli {
    const char *prog;
    bool is_json;
    bool is_verbose; /* --verbose: of commands that have more to say */
    const char *sys_name; /* -G; NULL: the default */
    char err[CLI_ERR_BYTES]; /* what a failing command says */
};

/* One option of a command: --name VALUE, or a flag. */
struct cli_opt {
    const char *name;
    char letter; /* 0: none */
    bool is_flag;
    const char **value; /* where the text goes */
    bool *flag;
    const char *help;
};

/** Fill cli->err. Returns rc, so that `return cli_fail(cli, rc, ...)` reads well. */
int cli_fail(struct cli *cli, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * Split arguments into options (anywhere) and positional words. `opts` ends with a NULL name. Errors: -DER_INVAL, with cli->err.
 */
int cli_parse(struct cli *cli, int argc, char **argv, const struct cli_opt *opts,
    const char **words, uint32_t words_max, uint32_t *ret_nr);

/**
 * Take the options that all commands have out of the arguments, where they may stand anywhere; the rest moves together. A flag or a value that nobody
 * asks for (NULL) is passed over. How many arguments are left.
 */
int cli_take(const struct cli_opt *opts, int argc, char **argv);

/** Print the outcome of a command; takes over `response`. Returns the exit code of the program. */
int cli_finish(struct cli *cli, int rc, json_t *response);

/** "10GiB", "512MB", "4096", "1.5T". Errors: -DER_INVAL. */
int cli_size_parse(const char *text, uint64_t *ret_bytes);
/** 1.5 GB and the like into buf (24 bytes are enough); returns buf. */
char *cli_size_text(uint64_t bytes, char *buf, size_t buf_bytes);

void cli_usage_opts(FILE *to, const struct cli_opt *opts);

#endif
