/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * dmg: the administrator's command line. Speaks control messages (proto/ctl) to daos_server over its AF_UNIX socket, or, with --embedded DIR, to an engine inside this
 * process. Names, options and JSON fields are the original's as far as the commands exist.
 */
#include "control/cli_admin/cli_dmg.h"

#include "base/ids.h"
#include "base/util.h"
#include "client/core/client_tools.h"
#include "control/server/server_cfg.h"
#include "daos_version.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_TIMEOUT_MS = 180000 };

struct command {
    const char *resource, *verb, *words, *help;
    int (*run)(struct dmg *dmg, int argc, char **argv, json_t **ret_response);
};

/* ---- one request ------------------------------------------------------------------------------------------------------------- */

static int
call_embedded(struct dmg *dmg, Cairn__Ctl__Method method, const ProtobufCMessage *req,
    uint8_t **ret_body, size_t *ret_len)
{
    Cairn__Ctl__Envelope env = CAIRN__CTL__ENVELOPE__INIT, *rep = NULL;
    uint8_t *packed = NULL;
    void *rep_bytes = NULL;
    size_t len, rep_len = 0;
    int rc = CAIRN_ERR(NOMEM);

    env.version = 1;
    env.id = 1;
    env.method = method;
    env.body.len = protobuf_c_message_get_packed_size(req);
    env.body.data = malloc(env.body.len + 1);
    if (env.body.data == NULL)
        goto out;
    (void)protobuf_c_message_pack(req, env.body.data);
    len = cairn__ctl__envelope__get_packed_size(&env);
    packed = malloc(len + 1);
    if (packed == NULL)
        goto out;
    (void)cairn__ctl__envelope__pack(&env, packed);
    rc = client_embedded_once(
        dmg->embedded, packed, len, &rep_bytes, &rep_len, dmg->cli.err, sizeof(dmg->cli.err));
    if (rc != 0)
        goto out;
    rep = cairn__ctl__envelope__unpack(NULL, rep_len, rep_bytes);
    if (rep == NULL) {
        rc = CAIRN_ERR(PROTO);
        goto out;
    }
    rc = rep->rc;
    if (rc != 0) {
        (void)cli_fail(&dmg->cli, rc, "%s", rep->error);
        goto out;
    }
    *ret_body = malloc(rep->body.len + 1);
    if (*ret_body == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    if (rep->body.len > 0)
        memcpy(*ret_body, rep->body.data, rep->body.len);
    *ret_len = rep->body.len;
out:
    cairn__ctl__envelope__free_unpacked(rep, NULL);
    free(rep_bytes);
    free(packed);
    free(env.body.data);
    return rc;
}

int
dmg_call(struct dmg *dmg, Cairn__Ctl__Method method, const ProtobufCMessage *req,
    uint8_t **ret_body, size_t *ret_len)
{
    char dir[SERVER_PATH_BYTES], path[SERVER_PATH_BYTES + 64], err[CLI_ERR_BYTES] = "";
    const char *sys_name = dmg->cli.sys_name != NULL ? dmg->cli.sys_name : "daos_server";
    struct ctl_chan *chan = NULL;
    int rc;

    if (dmg->embedded != NULL)
        return call_embedded(dmg, method, req, ret_body, ret_len);
    rc = server_runtime_dir(dir, sizeof(dir));
    if (rc != 0)
        return cli_fail(&dmg->cli, rc, "the runtime directory's name is too long");
    (void)snprintf(path, sizeof(path), "%s/%s/daos_server.sock", dir, sys_name);
    rc = ctl_chan_connect(path, &chan);
    if (rc == -DER_TIMEDOUT) {
        return cli_fail(
            &dmg->cli, rc, "the daos_server at %s hangs or is stopped: see its log", path);
    }
    if (rc == -DER_NO_PERM) {
        return cli_fail(&dmg->cli, rc,
            "you may not use the daos_server at %s: be the user that started it", path);
    }
    if (rc != 0) {
        return cli_fail(&dmg->cli,
            rc, "no daos_server at %s: start one with `daos_server start -o FILE`, or set CAIRN_RUNTIME_DIR as it has it",
            path);
    }
    rc = ctl_call(chan, method, req, CALL_TIMEOUT_MS, err, sizeof(err), ret_body, ret_len);
    ctl_chan_close(chan);
    if (rc != 0)
        return cli_fail(&dmg->cli, rc, "%s", err[0] != '\0' ? err : err_text(rc));
    return 0;
}

const char *
dmg_uuid_text(const ProtobufCBinaryData *data, char *buf)
{
    struct uuid id = {{0}};

    if (data->len == sizeof(id.b))
        memcpy(id.b, data->data, sizeof(id.b));
    return cuuid_format(&id, buf);
}

json_t *
dmg_ranks_json(size_t nr, const uint32_t *ranks)
{
    json_t *list = json_array();

    for (size_t i = 0; i < nr; i++) {
        json_array_append_new(list, json_integer(ranks[i]));
    }
    return list;
}

/* ---- pool -------------------------------------------------------------------------------------------------------------------- */

static int
run_pool_list(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    static const char *const states[] = {"Creating", "Ready", "Destroying"};
    Cairn__Ctl__Empty req = CAIRN__CTL__EMPTY__INIT;
    const struct cli_opt opts[] = {{0}};
    Cairn__Ctl__PoolListRep *rep;
    json_t *list = json_array();
    const char *words[1];
    uint8_t *body = NULL;
    uint32_t words_nr;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 0, &words_nr);

    if (rc == 0)
        rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_LIST, &req.base, &body, &len);
    rep = rc == 0 ? cairn__ctl__pool_list_rep__unpack(NULL, len, body) : NULL;
    if (rc == 0 && rep == NULL)
        rc = CAIRN_ERR(PROTO);
    for (size_t i = 0; rep != NULL && i < rep->n_pools; i++) {
        const Cairn__Ctl__PoolEntry *pool = rep->pools[i];
        const char *state = (size_t)pool->state < 3 ? states[pool->state] : "Unknown";
        char uuid[CUUID_TEXT_BYTES];

        json_array_append_new(list,
            json_pack("{s:s, s:s, s:s, s:o}", "uuid", dmg_uuid_text(&pool->uuid, uuid), "label",
                pool->label, "state", state, "svc_reps",
                dmg_ranks_json(pool->n_svc_reps, pool->svc_reps)));
        if (!dmg->cli.is_json)
            (void)printf("%-24s %s %s\n", pool->label, uuid, state);
    }
    if (rep != NULL && rep->n_pools == 0 && !dmg->cli.is_json)
        (void)printf("no pools in system\n");
    if (rep != NULL)
        cairn__ctl__pool_list_rep__free_unpacked(rep, NULL);
    *ret_response = json_pack("{s:i, s:o}", "status", 0, "pools", list);
    free(body);
    return rc;
}

static void
query_print(const struct dmg *dmg, const Cairn__Ctl__PoolQueryRep *rep, json_t **ret_response)
{
    json_t *tiers = json_array();
    char uuid[CUUID_TEXT_BYTES], total[24], left[24];

    if (!dmg->cli.is_json) {
        (void)printf("Pool %s (%s), %u of %u targets on %u engines, leader %u, map version %u\n",
            rep->label, dmg_uuid_text(&rep->uuid, uuid), rep->active_targets, rep->total_targets,
            rep->total_engines, rep->svc_ldr, rep->version);
    }
    for (size_t i = 0; i < rep->n_tiers; i++) {
        const Cairn__Ctl__TierStats *tier = rep->tiers[i];

        json_array_append_new(tiers,
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:s}", "total", (json_int_t)tier->total, "free",
                (json_int_t)tier->free, "min", (json_int_t)tier->min, "max", (json_int_t)tier->max,
                "mean", (json_int_t)tier->mean, "media_type", tier->media));
        if (!dmg->cli.is_json) {
            (void)printf("- %s: total %s, free %s\n", i == 0 ? "Metadata" : "Data",
                cli_size_text(tier->total, total, sizeof(total)),
                cli_size_text(tier->free, left, sizeof(left)));
        }
    }
    *ret_response = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:{s:i, s:s, "
                              "s:i, s:i, s:i}, s:o, s:o, s:o, s:i, s:i}",
        "state", rep->disabled_targets == 0 ? "Ready" : "Degraded", "uuid",
        dmg_uuid_text(&rep->uuid, uuid), "label", rep->label, "total_targets",
        (int)rep->total_targets, "active_targets", (int)rep->active_targets, "disabled_targets",
        (int)rep->disabled_targets, "total_engines", (int)rep->total_engines, "version",
        (int)rep->version, "svc_ldr", (int)rep->svc_ldr, "svc_reps",
        dmg_ranks_json(rep->n_svc_reps, rep->svc_reps), "rebuild", "status", 0, "state", "idle",
        "objects", 0, "records", 0, "total_objects", 0, "tier_stats", tiers, "enabled_ranks",
        dmg_ranks_json(rep->n_enabled_ranks, rep->enabled_ranks), "disabled_ranks",
        dmg_ranks_json(rep->n_disabled_ranks, rep->disabled_ranks), "pool_layout_ver",
        (int)rep->layout_version, "upgrade_layout_ver", (int)rep->layout_version);
}

/* A command about one pool: its options, and the pool. */
static int
pool_word(struct dmg *dmg, int argc, char **argv, const struct cli_opt *opts, char **ret_pool)
{
    const char *words[1];
    uint32_t nr;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0 && nr != 1)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc == 0)
        *ret_pool = (char *)(uintptr_t)words[0];
    return rc;
}

int
dmg_pool_ask(struct dmg *dmg, int argc, char **argv, Cairn__Ctl__PoolQueryRep **ret_rep)
{
    Cairn__Ctl__PoolQueryReq req = CAIRN__CTL__POOL_QUERY_REQ__INIT;
    const struct cli_opt opts[] = {{0}};
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = pool_word(dmg, argc, argv, opts, &req.id);

    if (rc != 0)
        return rc;
    rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_QUERY, &req.base, &body, &len);
    if (rc != 0)
        return rc;
    *ret_rep = cairn__ctl__pool_query_rep__unpack(NULL, len, body);
    free(body);
    return *ret_rep == NULL ? CAIRN_ERR(PROTO) : 0;
}

static int
run_pool_query(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolQueryRep *rep = NULL;
    int rc = dmg_pool_ask(dmg, argc, argv, &rep);

    if (rc != 0)
        return rc;
    query_print(dmg, rep, ret_response);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return 0;
}

static int
run_pool_destroy(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolDestroyReq req = CAIRN__CTL__POOL_DESTROY_REQ__INIT;
    bool force = false, recursive = false;
    const struct cli_opt opts[] = {
        {.name = "force", .letter = 'f', .is_flag = true, .flag = &force},
        {.name = "recursive", .letter = 'r', .is_flag = true, .flag = &recursive},
        {0},
    };
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = pool_word(dmg, argc, argv, opts, &req.id);

    if (rc != 0)
        return rc;
    req.force = force;
    req.recursive = recursive;
    rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_DESTROY, &req.base, &body, &len);
    free(body);
    if (rc == 0 && !dmg->cli.is_json)
        (void)printf("Pool %s destroyed\n", req.id);
    *ret_response = json_null();
    return rc;
}

static int
run_pool_evict(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolEvictReq req = CAIRN__CTL__POOL_EVICT_REQ__INIT;
    const struct cli_opt opts[] = {{0}};
    Cairn__Ctl__PoolEvictRep *rep;
    uint8_t *body = NULL;
    size_t len = 0;
    int rc = pool_word(dmg, argc, argv, opts, &req.id);

    if (rc != 0)
        return rc;
    rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_EVICT, &req.base, &body, &len);
    if (rc != 0)
        return rc;
    rep = cairn__ctl__pool_evict_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return CAIRN_ERR(PROTO);
    if (!dmg->cli.is_json)
        (void)printf("Pool %s: %u handles evicted\n", req.id, rep->handles);
    *ret_response = json_pack("{s:i}", "handles", (int)rep->handles);
    cairn__ctl__pool_evict_rep__free_unpacked(rep, NULL);
    return 0;
}

/* ---- system ------------------------------------------------------------------------------------------------------------------ */

static int
run_system_query(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    static const char *const states[] = {
        "unknown", "joined", "stopped", "unresponsive", "starting", "errored"};
    Cairn__Ctl__Empty req = CAIRN__CTL__EMPTY__INIT;
    bool verbose = false;
    const struct cli_opt opts[] = {
        {.name = "verbose", .letter = 'v', .is_flag = true, .flag = &verbose}, {0}};
    Cairn__Ctl__SystemQueryRep *rep;
    json_t *members = json_array();
    const char *words[1];
    uint8_t *body = NULL;
    uint32_t nr;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 0, &nr);

    if (rc == 0)
        rc = dmg_call(dmg, CAIRN__CTL__METHOD__SYSTEM_QUERY, &req.base, &body, &len);
    rep = rc == 0 ? cairn__ctl__system_query_rep__unpack(NULL, len, body) : NULL;
    if (rc == 0 && rep == NULL)
        rc = CAIRN_ERR(PROTO);
    free(body);
    if (rc != 0) {
        json_decref(members);
        return rc;
    }
    for (size_t i = 0; i < rep->n_members; i++) {
        const Cairn__Ctl__Rank *rank = rep->members[i];
        const char *state =
            (size_t)rank->state < ARRAY_SIZE(states) ? states[rank->state] : "unknown";

        json_t *bad = json_array();

        for (size_t t = 0; t < rank->n_bad_targets; t++) {
            const Cairn__Ctl__TargetStatus *target = rank->bad_targets[t];

            json_array_append_new(bad,
                json_pack("{s:i, s:i, s:s, s:s}", "target", (int)target->target, "status",
                    target->rc, "code", err_name(target->rc), "error", target->error));
        }
        json_array_append_new(members,
            json_pack("{s:s, s:i, s:I, s:i, s:i, s:s, s:s, s:i, s:o}", "state", state, "rank",
                (int)rank->rank, "incarnation", (json_int_t)rank->incarnation, "pid", (int)rank->pid,
                "targets", (int)rank->targets, "fabric_uri", rank->n_uris > 0 ? rank->uris[0] : "",
                "info", rank->info, "rc", (int)rank->rc, "bad_targets", bad));
        if (!dmg->cli.is_json) {
            (void)printf("rank %u: %s, %u targets, pid %u%s%s", rank->rank, state, rank->targets,
                rank->pid, rank->info[0] != '\0' ? ": " : "", rank->info);
            if (rank->rc != 0)
                (void)printf(" (%s %d)", err_name(rank->rc), rank->rc);
            (void)printf("\n");
            for (size_t t = 0; t < rank->n_bad_targets; t++) {
                (void)printf("rank %u, target %u: out of service: %s (%s)\n", rank->rank,
                    rank->bad_targets[t]->target, rank->bad_targets[t]->error,
                    err_name(rank->bad_targets[t]->rc));
            }
        }
    }
    *ret_response = json_pack(
        "{s:o, s:s, s:i}", "members", members, "system", rep->system, "leader", (int)rep->leader);
    cairn__ctl__system_query_rep__free_unpacked(rep, NULL);
    return 0;
}

static int
run_version(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    (void)argc;
    (void)argv;
    *ret_response = json_pack("{s:s, s:s}", "version", CAIRN_VERSION, "name", "dmg");
    if (!dmg->cli.is_json)
        (void)printf("dmg version %s\n", CAIRN_VERSION);
    return 0;
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------- */

static const struct command commands[] = {
    {"pool", "create",
        "[LABEL] --size SIZE | --scm-size SIZE [--nvme-size SIZE] [--ranks 0,2-4 | --nranks N] "
        "[--user NAME] [--group NAME] [--acl-file FILE] [--properties NAME:VALUE,...]",
        "make a pool", dmg_pool_create},
    {"pool", "list", "", "pools of the system", run_pool_list},
    {"pool", "query", "POOL", "space and state of a pool", run_pool_query},
    {"pool", "get-acl", "POOL", "its access control list and owners", dmg_pool_get_acl},
    {"pool", "set-prop", "POOL NAME:VALUE[,NAME:VALUE...]", "change properties of a pool",
        dmg_pool_set_prop},
    {"pool", "get-prop", "POOL [NAME,...]", "properties of a pool", dmg_pool_get_prop},
    {"pool", "query-targets", "POOL --rank N [--target-idx 0,1]", "state and space of targets",
        dmg_pool_query_targets},
    {"pool", "destroy", "POOL [--force] [--recursive]", "remove a pool and all in it",
        run_pool_destroy},
    {"pool", "evict", "POOL", "close all handles of a pool, whoever holds them", run_pool_evict},
    {"system", "query", "[--verbose]", "state of the engines", run_system_query},
    {"storage", "query", "list-devices [--health] [--rank N] [--uuid UUID] [--show-evicted]",
        "what targets store on, and how that does", dmg_storage_query},
    {"version", NULL, "", "print the version", run_version},
};

static void
usage(FILE *to)
{
    (void)fprintf(
        to, "usage: dmg [-j] [-G SYSTEM] [--embedded DIR] RESOURCE COMMAND [ARGUMENTS]\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        (void)fprintf(to, "  dmg %s%s%s %s\n      %s\n", commands[i].resource,
            commands[i].verb != NULL ? " " : "", commands[i].verb != NULL ? commands[i].verb : "",
            commands[i].words, commands[i].help);
    }
    (void)fprintf(to,
        "\n  -j, --json              print {\"response\", \"error\", \"status\"}\n  -G, --sys-name "
        "SYSTEM   the system to use (default daos_server)\n      --embedded DIR      the engine in "
        "this directory, inside this process\n  -i, --insecure          accepted: local systems "
        "have no certificates\n");
}

static bool
is_word(const char *given, const char *word)
{
    return strcmp(given, word) == 0 || (strcmp(given, "ls") == 0 && strcmp(word, "list") == 0);
}

static int
run(struct dmg *dmg, int argc, char **argv)
{
    struct cli *cli = &dmg->cli;
    json_t *response = NULL;
    int rc;

    for (size_t c = 0; c < sizeof(commands) / sizeof(commands[0]); c++) {
        const struct command *command = &commands[c];
        int words = command->verb != NULL ? 2 : 1;

        if (argc < words || !is_word(argv[0], command->resource))
            continue;
        if (words == 2 && !is_word(argv[1], command->verb))
            continue;
        rc = command->run(dmg, argc - words, argv + words, &response);
        return cli_finish(cli, rc, response);
    }
    rc = cli_fail(cli, -DER_INVAL, "%s%s%s: no such command; see dmg --help", argv[0],
        argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    return cli_finish(cli, rc, NULL);
}

int
main(int argc, char **argv)
{
    struct dmg dmg = {.cli = {.prog = "dmg"}};
    bool wants_help = false;
    const struct cli_opt opts[] = {
        {.name = "json", .letter = 'j', .is_flag = true, .flag = &dmg.cli.is_json},
        {.name = "help", .letter = 'h', .is_flag = true, .flag = &wants_help},
        {.name = "sys-name", .letter = 'G', .value = &dmg.cli.sys_name},
        {.name = "embedded", .value = &dmg.embedded},
        /* There are no certificates yet to do without, and one host until the control network comes. */
        {.name = "insecure", .letter = 'i', .is_flag = true},
        {.name = "debug", .letter = 'd', .is_flag = true},
        {.name = "config-path", .letter = 'o'},
        {.name = "host-list", .letter = 'l'},
        {0},
    };
    int nr = cli_take(opts, argc - 1, argv + 1);

    if (wants_help) {
        usage(stdout);
        return 0;
    }
    if (nr == 0) {
        usage(stderr);
        return 1;
    }
    return run(&dmg, nr, argv + 1);
}
