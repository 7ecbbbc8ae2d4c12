/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* See cli.h. Tested by test/cli_test.c. */
#include "control/cli/cli.h"

#include "base/err.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
cli_fail(struct cli *cli, int rc, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(cli->err, sizeof(cli->err), fmt, args);
    va_end(args);
    return rc;
}

static const struct cli_opt *
opt_find(const struct cli_opt *opts, const char *name, size_t len, char letter)
{
    for (; opts->name != NULL; opts++) {
        if (letter != 0 ? opts->letter == letter
                        : strlen(opts->name) == len && memcmp(opts->name, name, len) == 0)
            return opts;
    }
    return NULL;
}

int
cli_parse(struct cli *cli, int argc, char **argv, const struct cli_opt *opts, const char **words,
    uint32_t words_max, uint32_t *ret_nr)
{
    uint32_t nr = 0;

    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i], *value = NULL;
        const struct cli_opt *opt;

        if (arg[0] != '-' || arg[1] == '\0') {
            if (nr == words_max) {
                return cli_fail(
                    cli, -DER_INVAL, "%s: one argument too many; see %s --help", arg, cli->prog);
            }
            words[nr++] = arg;
            continue;
        }
        if (arg[1] == '-') {
            const char *equals = strchr(arg, '=');
            size_t len = equals != NULL ? (size_t)(equals - arg - 2) : strlen(arg + 2);

            value = equals != NULL ? equals + 1 : NULL;
            opt = opt_find(opts, arg + 2, len, 0);
        } else {
            opt = opt_find(opts, NULL, 0, arg[1]);
            if (opt != NULL && arg[2] != '\0')
                value = arg + 2 + (arg[2] == '=' ? 1 : 0);
        }
        if (opt == NULL) {
            return cli_fail(
                cli, -DER_INVAL, "%s: no such option here; see %s --help", arg, cli->prog);
        }
        if (opt->is_flag) {
            if (value != NULL)
                return cli_fail(cli, -DER_INVAL, "--%s takes no value", opt->name);
            *opt->flag = true;
            continue;
        }
        if (value == NULL) {
            if (i + 1 == argc)
                return cli_fail(cli, -DER_INVAL, "--%s needs a value", opt->name);
            value = argv[++i];
        }
        *opt->value = value;
    }
    *ret_nr = nr;
    return 0;
}

/* Is argv[*i] this option? Its value may be the next argument; when that is missing, it is not. */
static bool
opt_take(const struct cli_opt *opt, int argc, char **argv, int *i)
{
    const char letter[] = {'-', opt->letter, '\0'}, *arg = argv[*i], *value;
    size_t len = strlen(opt->name);
    bool is_name = strncmp(arg, "--", 2) == 0 && strncmp(arg + 2, opt->name, len) == 0;

    if (is_name && arg[2 + len] == '=' && !opt->is_flag) {
        value = arg + 2 + len + 1;
    } else if (!(is_name && arg[2 + len] == '\0') && (opt->letter == 0 || strcmp(arg, letter) != 0)) {
        return false;
    } else if (opt->is_flag) {
        if (opt->flag != NULL)
            *opt->flag = true;
        return true;
    } else if (*i + 1 == argc) {
        return false;
    } else {
        value = argv[++*i];
    }
    if (opt->value != NULL)
        *opt->value = value;
    return true;
}

int
cli_take(const struct cli_opt *opts, int argc, char **argv)
{
    int nr = 0;

    for (int i = 0; i < argc; i++) {
        const struct cli_opt *opt = opts;

        while (opt->name != NULL && !opt_take(opt, argc, argv, &i)) {
            opt++;
        }
        if (opt->name == NULL)
            argv[nr++] = argv[i];
    }
    return nr;
}

int
cli_finish(struct cli *cli, int rc, json_t *response)
{
    if (rc != 0 && cli->err[0] == '\0')
        (void)snprintf(cli->err, sizeof(cli->err), "%s", err_text(rc));
    if (cli->is_json) {
        json_t *root = json_pack("{s:o, s:o, s:i}", "response",
            rc == 0 && response != NULL ? response : json_null(), "error",
            rc == 0 ? json_null() : json_string(cli->err), "status", rc);

        if (rc != 0)
            json_decref(response);
        if (root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0) {
            json_decref(root);
            return 1;
        }
        (void)putchar('\n');
        json_decref(root);
        return rc == 0 ? 0 : 1;
    }
    json_decref(response);
    if (rc == 0)
        return 0;
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s: ERROR: %s (%s %d)\n", cli->prog, cli->err, err_name(rc), rc);
    return 1;
}

int
cli_size_parse(const char *text, uint64_t *ret_bytes)
{
    static const char letters[] = "KMGTPE";
    uint64_t unit = 1, factor = 1000;
    const char *letter;
    double number;
    char *end;

    errno = 0;
    number = strtod(text, &end);
    if (end == text || errno != 0 || !(number >= 0))
        return CAIRN_ERR(INVAL);
    while (*end == ' ') {
        end++;
    }
    letter = *end != '\0' ? strchr(letters, toupper((unsigned char)*end)) : NULL;
    if (letter != NULL && *letter != '\0') {
        end++;
        if (*end == 'i') {
            factor = 1024;
            end++;
        }
        for (const char *l = letters; l <= letter; l++) {
            unit *= factor;
        }
    }
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end != '\0' || number * (double)unit >= 9.2e18)
        return CAIRN_ERR(INVAL);
    *ret_bytes = (uint64_t)(number * (double)unit);
    return 0;
}

char *
cli_size_text(uint64_t bytes, char *buf, size_t buf_bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double number = (double)bytes;
    unsigned int unit = 0;

    while (number >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        number /= 1000;
        unit++;
    }
    (void)snprintf(buf, buf_bytes, unit == 0 ? "%.0f %s" : "%.1f %s", number, units[unit]);
    return buf;
}

void
cli_usage_opts(FILE *to, const struct cli_opt *opts)
{
    for (; opts->name != NULL; opts++) {
        char left[48];

        (void)snprintf(left, sizeof(left), "%c%c%s --%s%s", opts->letter != 0 ? '-' : ' ',
            opts->letter != 0 ? opts->letter : ' ', opts->letter != 0 ? "," : " ", opts->name,
            opts->is_flag ? "" : "=VALUE");
        (void)fprintf(to, "  %-36s %s\n", left, opts->help);
    }
}
