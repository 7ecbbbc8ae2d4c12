/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos container create-snap, list-snap, destroy-snap: an epoch names a snapshot, and a name may, too. Options are the original's. Tested by test/dfs/cli_daos_test.py.
 */
#include "control/cli_user/cli_daos.h"

#include "base/err.h"
#include "base/hlc.h"
#include "base/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE_NR = 8, TIME_BYTES = 40 };

struct snap {
    daos_epoch_t epoch;
    char name[DAOS_SNAPSHOT_MAX_LEN];
};

struct snaps {
    struct snap *list;
    size_t nr;
};

static int
snap_fail(struct cli *cli, const char *cont, int rc)
{
    return cli_fail(cli, rc, "container %s: %s", cont, cli_daos_remedy(rc));
}

/* All of them, oldest first; `s` is to be freed also with an error. */
static int
snaps_load(daos_handle_t coh, struct snaps *s)
{
    char names[PAGE_NR][DAOS_SNAPSHOT_MAX_LEN], *ptrs[PAGE_NR];
    daos_epoch_t epochs[PAGE_NR], last = 0;
    daos_anchor_t anchor = {0};

    for (uint32_t i = 0; i < PAGE_NR; i++) {
        ptrs[i] = names[i];
    }
    while (!daos_anchor_is_eof(&anchor)) {
        int nr = PAGE_NR, rc = daos_cont_list_snap(coh, &nr, epochs, ptrs, &anchor, NULL);
        struct snap *list;

        if (rc != 0)
            return rc;
        list = realloc(s->list, (s->nr + PAGE_NR) * sizeof(*list));
        if (list == NULL)
            return -DER_NOMEM;
        s->list = list;
        /* `nr` is that of all there are: what came is in ascending order. */
        for (int i = 0; i < MIN(nr, (int)PAGE_NR) && epochs[i] > last; i++) {
            last = epochs[i];
            list[s->nr].epoch = epochs[i];
            memcpy(list[s->nr++].name, names[i], sizeof(names[i]));
        }
    }
    return 0;
}

/* When it was taken. */
static const char *
time_text(daos_epoch_t epoch, char *buf)
{
    uint64_t unix_ns = hlc_to_unix_ns(epoch);
    time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm tm;
    size_t len;

    (void)gmtime_r(&seconds, &tm);
    len = strftime(buf, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(
        buf + len, TIME_BYTES - len, ".%03u+00:00", (unsigned int)(unix_ns / 1000000 % 1000));
    return buf;
}

static json_t *
snap_json(const struct snap *snap)
{
    char buf[TIME_BYTES];
    json_t *json = json_pack(
        "{s:I, s:s}", "epoch", (json_int_t)snap->epoch, "timestamp", time_text(snap->epoch, buf));

    if (snap->name[0] != '\0')
        (void)json_object_set_new(json, "name", json_string(snap->name));
    return json;
}

int
cli_daos_cont_create_snap(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    struct snap snap = {.name = ""};
    const char *words[2], *name = NULL;
    const struct cli_opt opts[] = {{.name = "snap", .letter = 's', .value = &name}, {0}};
    struct cli_daos_place place;
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, nr, 2, "a pool and a container");
    if (rc == 0 && name != NULL && (name[0] == '\0' || strlen(name) >= sizeof(snap.name))) {
        rc = cli_fail(cli, -DER_INVAL, "--snap %.20s: a name has 1 to %zu bytes", name,
            sizeof(snap.name) - 1);
    }
    if (rc == 0)
        rc = cli_daos_place_open(cli, words[0], words[1], true, &place);
    if (rc != 0)
        return rc;
    if (name != NULL)
        (void)snprintf(snap.name, sizeof(snap.name), "%s", name);
    rc = daos_cont_create_snap(place.coh, &snap.epoch, name != NULL ? snap.name : NULL, NULL);
    if (rc == -DER_EXIST) {
        (void)cli_fail(cli, rc, "container %s: there is a snapshot %s", words[1], name);
    } else if (rc != 0) {
        (void)snap_fail(cli, words[1], rc);
    }
    cli_daos_place_close(&place);
    if (rc != 0)
        return rc;
    if (!cli->is_json)
        (void)printf("snapshot/epoch %#llx has been created\n", (unsigned long long)snap.epoch);
    *ret_response = snap_json(&snap);
    return 0;
}

int
cli_daos_cont_list_snap(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    const struct cli_opt opts[] = {{0}};
    struct snaps s = {.list = NULL};
    struct cli_daos_place place;
    const char *words[2];
    char buf[TIME_BYTES];
    json_t *list;
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, nr, 2, "a pool and a container");
    if (rc == 0)
        rc = cli_daos_place_open(cli, words[0], words[1], false, &place);
    if (rc != 0)
        return rc;
    rc = snaps_load(place.coh, &s);
    if (rc != 0)
        (void)snap_fail(cli, words[1], rc);
    cli_daos_place_close(&place);
    list = json_array();
    if (rc == 0 && !cli->is_json)
        (void)printf("Snapshots of container %s:\n", words[1]);
    for (size_t i = 0; rc == 0 && i < s.nr; i++) {
        json_array_append_new(list, snap_json(&s.list[i]));
        if (!cli->is_json) {
            (void)printf("%#llx %s %s\n", (unsigned long long)s.list[i].epoch,
                time_text(s.list[i].epoch, buf), s.list[i].name);
        }
    }
    if (rc == 0 && !cli->is_json && s.nr == 0)
        (void)printf("no snapshots\n");
    free(s.list);
    *ret_response = list;
    return rc;
}

/* A number up to `end`. */
static bool
epoch_read(const char *text, char end, daos_epoch_t *ret_epoch, const char **ret_rest)
{
    char *rest;

    errno = 0;
    *ret_epoch = strtoull(text, &rest, 0);
    *ret_rest = rest;
    return isdigit((unsigned char)text[0]) && errno == 0 && *rest == end;
}

/* What --epc and --epcrange say. */
static int
range_read(struct cli *cli, const char *epoch, const char *range, daos_epoch_range_t *ret_epr)
{
    const char *rest;

    if (epoch != NULL) {
        if (!epoch_read(epoch, '\0', &ret_epr->epr_lo, &rest))
            return cli_fail(cli, -DER_INVAL, "--epc %s: not an epoch", epoch);
        ret_epr->epr_hi = ret_epr->epr_lo;
        return 0;
    }
    if (!epoch_read(range, '-', &ret_epr->epr_lo, &rest) ||
        !epoch_read(rest + 1, '\0', &ret_epr->epr_hi, &rest) || ret_epr->epr_lo > ret_epr->epr_hi)
        return cli_fail(cli, -DER_INVAL, "--epcrange %s: expected FROM-TO", range);
    return 0;
}

/* The snapshots that are meant: one at least. */
static int
snaps_destroy(struct cli *cli, daos_handle_t coh, const char *cont, const char *name,
    const daos_epoch_range_t *epr)
{
    daos_epoch_range_t one = {0};
    struct snaps s = {.list = NULL};
    uint32_t nr = 0;
    int rc = snaps_load(coh, &s);

    for (size_t i = 0; rc == 0 && i < s.nr; i++) {
        const struct snap *snap = &s.list[i];

        if (name != NULL ? strcmp(snap->name, name) == 0
                         : snap->epoch >= epr->epr_lo && snap->epoch <= epr->epr_hi) {
            one.epr_lo = nr++ == 0 ? snap->epoch : one.epr_lo;
            one.epr_hi = snap->epoch;
        }
    }
    free(s.list);
    if (rc == 0 && nr == 0) {
        return cli_fail(cli, -DER_NONEXIST,
            "container %s: no such snapshot: `daos container list-snap` shows what there is", cont);
    }
    if (rc == 0)
        rc = daos_cont_destroy_snap(coh, one, NULL);
    return rc == 0 ? 0 : snap_fail(cli, cont, rc);
}

int
cli_daos_cont_destroy_snap(struct cli *cli, int argc, char **argv, json_t **ret_response)
{
    const char *words[2], *name = NULL, *epoch = NULL, *range = NULL;
    const struct cli_opt opts[] = {{.name = "snap", .letter = 's', .value = &name},
        {.name = "epc", .letter = 'e', .value = &epoch},
        {.name = "epcrange", .letter = 'r', .value = &range}, {0}};
    struct cli_daos_place place;
    daos_epoch_range_t epr = {0};
    uint32_t nr;
    int rc = cli_parse(cli, argc, argv, opts, words, 2, &nr);

    if (rc == 0)
        rc = cli_daos_words_need(cli, nr, 2, "a pool and a container");
    if (rc == 0 && (name != NULL) + (epoch != NULL) + (range != NULL) != 1)
        rc = cli_fail(cli, -DER_INVAL, "expected one of --snap, --epc and --epcrange");
    if (rc == 0 && name == NULL)
        rc = range_read(cli, epoch, range, &epr);
    if (rc == 0)
        rc = cli_daos_place_open(cli, words[0], words[1], true, &place);
    if (rc != 0)
        return rc;
    rc = snaps_destroy(cli, place.coh, words[1], name, &epr);
    cli_daos_place_close(&place);
    if (rc == 0 && !cli->is_json)
        (void)printf("Snapshots were successfully destroyed\n");
    *ret_response = json_null();
    return rc;
}
