/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos pool|container list-attr, get-attr, set-attr, del-attr: what users keep with a pool or a container, bytes by names. As in the original values are base64 in JSON,
 * and one that was asked for by name alone is an object instead of a list. Tested by test/dfs/cli_daos_test.py.
 */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"
#include "base/util.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 128, NAMES_BYTES_MAX = 1 << 20, WORDS_MAX = 4 };

/* Of a pool, or of a container in it. */
struct place {
    const char *kind, *id;
    const char *words[WORDS_MAX]; /* behind pool and container */
    uint32_t words_nr;
    struct cli_daos_place at;
};

/* Names, and values of as many bytes. All point into allocated memory. */
struct attrs {
    uint32_t nr;
    char *text; /* of the names, and of values that were given */
    const char *names[NAMES_MAX];
    void *values[NAMES_MAX];
    size_t sizes[NAMES_MAX];
    bool is_owner; /* of the values, too */
};

static void
attrs_free(struct attrs *a)
{
    for (uint32_t i = 0; a->is_owner && i < a->nr; i++) {
        free(a->values[i]);
    }
    free(a->text);
}

static int
place_open(struct cli *cli, int argc, char **argv, bool is_cont, bool is_write, struct place *p)
{
    const struct cli_opt opts[] = {
        {.name = "verbose", .letter = 'V', .is_flag = true, .flag = &cli->is_verbose}, {0}};
    const char *words[2 + WORDS_MAX];
    uint32_t nr, first = is_cont ? 2 : 1;
    int rc;

    memset(p, 0, sizeof(*p));
    rc = cli_parse(cli, argc, argv, opts, words, first + WORDS_MAX, &nr);
    if (rc == 0 && nr < first)
        rc = cli_daos_words_need(cli, 0, 1, is_cont ? "a pool and a container" : "a pool");
    if (rc != 0)
        return rc;
    p->kind = is_cont ? "container" : "pool";
    p->id = words[first - 1];
    p->words_nr = nr - first;
    for (uint32_t i = 0; i < p->words_nr; i++) {
        p->words[i] = words[first + i];
    }
    return cli_daos_place_open(cli, words[0], is_cont ? words[1] : NULL, is_write, &p->at);
}

static int
place_fail(struct cli *cli, const struct place *p, int rc)
{
    if (rc == -DER_NONEXIST) {
        return cli_fail(
            cli, rc, "%s %s: no such attribute: list-attr shows what there is", p->kind, p->id);
    }
    return cli_fail(cli, rc, "%s %s: %s", p->kind, p->id, cli_daos_remedy(rc));
}

static int
names_list(struct place *p, char *buf, size_t *size)
{
    return p->at.is_cont ? daos_cont_list_attr(p->at.coh, buf, size, NULL)
                         : daos_pool_list_attr(p->at.poh, buf, size, NULL);
}

static int
values_get(struct place *p, struct attrs *a, void *const *values)
{
    return p->at.is_cont
        ? daos_cont_get_attr(p->at.coh, (int)a->nr, a->names, values, a->sizes, NULL)
        : daos_pool_get_attr(p->at.poh, (int)a->nr, a->names, values, a->sizes, NULL);
}

/* All names that there are. Errors: TRUNC more than fit. */
static int
names_load(struct place *p, struct attrs *a)
{
    size_t size = 0, room;
    int rc = names_list(p, NULL, &size);

    if (rc != 0 || size == 0)
        return rc;
    room = size += 4096; /* some may come meanwhile */
    a->text = size > NAMES_BYTES_MAX ? NULL : calloc(1, size + 1);
    if (a->text == NULL)
        return -DER_NOMEM;
    rc = names_list(p, a->text, &size);
    for (size_t at = 0; rc == 0 && at < MIN(size, room); at += strlen(a->text + at) + 1) {
        if (a->nr == NAMES_MAX)
            return -DER_TRUNC;
        a->names[a->nr++] = a->text + at;
    }
    return rc;
}

/* Those of a list, NAME,NAME; with values NAME:VALUE,NAME:VALUE. */
static int
names_parse(struct cli *cli, const char *list, bool has_values, struct attrs *a)
{
    char *save = NULL;

    a->text = strdup(list);
    if (a->text == NULL)
        return -DER_NOMEM;
    for (char *item = strtok_r(a->text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        char *colon = has_values ? strchr(item, ':') : NULL;

        if (has_values && (colon == NULL || colon == item))
            return cli_fail(cli, -DER_INVAL, "%s: expected NAME:VALUE[,NAME:VALUE...]", item);
        if (a->nr == NAMES_MAX)
            return cli_fail(cli, -DER_INVAL, "more than %d attributes", NAMES_MAX);
        if (colon != NULL) {
            *colon = '\0';
            a->values[a->nr] = colon + 1;
            a->sizes[a->nr] = strlen(colon + 1);
        }
        a->names[a->nr++] = item;
    }
    return a->nr > 0 ? 0 : cli_fail(cli, -DER_INVAL, "expected names of attributes");
}

static int
values_load(struct place *p, struct attrs *a)
{
    void *none[NAMES_MAX] = {NULL};
    int rc = a->nr == 0 ? 0 : values_get(p, a, none);

    if (rc != 0 || a->nr == 0)
        return rc;
    a->is_owner = true;
    for (uint32_t i = 0; i < a->nr; i++) {
        a->sizes[i] += 1; /* room for a value of no bytes */
        a->values[i] = malloc(a->sizes[i]);
        if (a->values[i] == NULL)
            return -DER_NOMEM;
    }
    return values_get(p, a, a->values);
}

/* ---- output ------------------------------------------------------------------------------------------------------------------ */

static json_t *
base64_json(const uint8_t *in, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = malloc(DIV_UP(len, (size_t)3) * 4 + 1);
    size_t at = 0;
    json_t *json;

    if (out == NULL)
        return json_null();
    for (size_t i = 0; i < len; i += 3) {
        size_t nr = MIN(len - i, (size_t)3);
        uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)(nr > 1 ? in[i + 1] : 0) << 8 |
            (uint32_t)(nr > 2 ? in[i + 2] : 0);

        for (size_t k = 0; k < 4; k++) {
            out[at++] = k <= nr ? digits[bits >> (18 - 6 * k) & 63] : '=';
        }
    }
    json = json_stringn(out, at);
    free(out);
    return json;
}

static json_t *
attr_json(const struct attrs *a, uint32_t i)
{
    return json_pack(
        "{s:s, s:o}", "name", a->names[i], "value", base64_json(a->values[i], a->sizes[i]));
}

/* Bytes that would change the terminal are dots. */
static void
attr_print(const struct attrs *a, uint32_t i)
{
    const uint8_t *value = a->values[i];

    (void)printf("%-24s ", a->names[i]);
    for (size_t k = 0; k < a->sizes[i]; k++) {
        (void)putchar(value[k] < ' ' || value[k] == 0x7f ? '.' : value[k]);
    }
    (void)putchar('\n');
}

static json_t *
attrs_show(struct cli *cli, const struct place *p, const struct attrs *a, bool has_values)
{
    json_t *list = json_array();

    if (!cli->is_json) {
        (void)printf("Attributes for %s %s:\n", p->kind, p->id);
        if (has_values) {
            (void)printf("%-24s %s\n%-24s %s\n", "Name", "Value", "----", "-----");
        } else {
            (void)printf("Name\n----\n");
        }
    }
    for (uint32_t i = 0; i < a->nr; i++) {
        json_array_append_new(list, has_values ? attr_json(a, i) : json_string(a->names[i]));
        if (!cli->is_json && has_values)
            attr_print(a, i);
        if (!cli->is_json && !has_values)
            (void)printf("%s\n", a->names[i]);
    }
    if (!cli->is_json && a->nr == 0)
        (void)printf("No attributes found.\n");
    return list;
}

/* ---- commands ---------------------------------------------------------------------------------------------------------------- */

/* Words behind pool and container: at least and at most so many. */
static int
words_check(struct cli *cli, const struct place *p, uint32_t least, uint32_t most, const char *what)
{
    return p->words_nr >= least && p->words_nr <= most ? 0 : cli_daos_words_need(cli, 0, 1, what);
}

static int
list_run(struct cli *cli, int argc, char **argv, bool is_cont, json_t **ret_response)
{
    struct attrs a = {.nr = 0};
    struct place p;
    int rc = place_open(cli, argc, argv, is_cont, false, &p);

    if (rc != 0)
        return rc;
    rc = words_check(cli, &p, 0, 0, "nothing more");
    if (rc == 0) {
        rc = names_load(&p, &a);
        if (rc == 0 && cli->is_verbose)
            rc = values_load(&p, &a);
        if (rc != 0)
            rc = place_fail(cli, &p, rc);
    }
    if (rc == 0)
        *ret_response = attrs_show(cli, &p, &a, cli->is_verbose);
    cli_daos_place_close(&p.at);
    attrs_free(&a);
    return rc;
}

static int
get_run(struct cli *cli, int argc, char **argv, bool is_cont, json_t **ret_response)
{
    struct attrs a = {.nr = 0};
    struct place p;
    int rc = place_open(cli, argc, argv, is_cont, false, &p), rc2;

    if (rc != 0)
        return rc;
    rc = words_check(cli, &p, 0, 1, "names: NAME,NAME");
    if (rc == 0 && p.words_nr == 1)
        rc = names_parse(cli, p.words[0], false, &a);
    if (rc == 0) {
        rc2 = p.words_nr == 1 ? 0 : names_load(&p, &a);
        if (rc2 == 0)
            rc2 = values_load(&p, &a);
        if (rc2 != 0)
            rc = place_fail(cli, &p, rc2);
    }
    if (rc == 0) {
        json_t *list = attrs_show(cli, &p, &a, true);

        if (p.words_nr == 1 && a.nr == 1) {
            *ret_response = json_incref(json_array_get(list, 0));
            json_decref(list);
        } else {
            *ret_response = list;
        }
    }
    cli_daos_place_close(&p.at);
    attrs_free(&a);
    return rc;
}

static int
set_run(struct cli *cli, int argc, char **argv, bool is_cont, json_t **ret_response)
{
    struct attrs a = {.nr = 0};
    struct place p;
    int rc = place_open(cli, argc, argv, is_cont, true, &p), rc2;

    if (rc != 0)
        return rc;
    rc = words_check(cli, &p, 1, 2, "attributes: NAME:VALUE,..., or one NAME VALUE");
    if (rc == 0 && p.words_nr == 1)
        rc = names_parse(cli, p.words[0], true, &a);
    if (rc == 0 && p.words_nr == 2) {
        a.nr = 1;
        a.names[0] = p.words[0];
        a.values[0] = (void *)(uintptr_t)p.words[1];
        a.sizes[0] = strlen(p.words[1]);
    }
    if (rc == 0) {
        const void *const *values = (const void *const *)a.values;

        rc2 = is_cont ? daos_cont_set_attr(p.at.coh, (int)a.nr, a.names, values, a.sizes, NULL)
                      : daos_pool_set_attr(p.at.poh, (int)a.nr, a.names, values, a.sizes, NULL);
        if (rc2 != 0)
            rc = place_fail(cli, &p, rc2);
    }
    cli_daos_place_close(&p.at);
    attrs_free(&a);
    *ret_response = json_null();
    return rc;
}

static int
del_run(struct cli *cli, int argc, char **argv, bool is_cont, json_t **ret_response)
{
    struct attrs a = {.nr = 0};
    struct place p;
    int rc = place_open(cli, argc, argv, is_cont, true, &p), rc2;

    if (rc != 0)
        return rc;
    rc = words_check(cli, &p, 1, 1, "names: NAME,NAME");
    if (rc == 0)
        rc = names_parse(cli, p.words[0], false, &a);
    if (rc == 0) {
        rc2 = is_cont ? daos_cont_del_attr(p.at.coh, (int)a.nr, a.names, NULL)
                      : daos_pool_del_attr(p.at.poh, (int)a.nr, a.names, NULL);
        if (rc2 != 0)
            rc = place_fail(cli, &p, rc2);
    }
    cli_daos_place_close(&p.at);
    attrs_free(&a);
    *ret_response = json_null();
    return rc;
}

int
cli_daos_pool_list_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return list_run(cli, argc, argv, false, ret_response);
}

int
cli_daos_pool_get_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return get_run(cli, argc, argv, false, ret_response);
}

int
cli_daos_pool_set_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return set_run(cli, argc, argv, false, ret_response);
}

int
cli_daos_pool_del_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return del_run(cli, argc, argv, false, ret_response);
}

int
cli_daos_cont_list_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return list_run(cli, argc, argv, true, ret_response);
}

int
cli_daos_cont_get_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return get_run(cli, argc, argv, true, ret_response);
}

int
cli_daos_cont_set_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return set_run(cli, argc, argv, true, ret_response);
}

int
cli_daos_cont_del_attr(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    return del_run(cli, argc, argv, true, ret_response);
}
