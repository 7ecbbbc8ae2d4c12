/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * dmg: the administrator's command line. Speaks control messages (proto/ctl) to daos_server over its AF_UNIX socket, or, with --embedded DIR, to an engine inside this
 * process. Names, options and JSON fields are the original's as far as the commands exist.
 */
#include "base/err.h"
#include "base/ids.h"
#include "base/util.h"
#include "client/core/client_tools.h"
#include "control/cli/cli.h"
#include "control/ctl/ctl_chan.h"
#include "control/server/server_cfg.h"
#include "daos_prop.h"
#include "daos_security.h"
#include "daos_version.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum { CALL_TIMEOUT_MS = 180000 };

struct dmg {
    struct cli cli;
    const char *embedded; /* directory, or NULL */
};

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

static int
call(struct dmg *dmg, Cairn__Ctl__Method method, const ProtobufCMessage *req, uint8_t **ret_body,
    size_t *ret_len)
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

static const char *
uuid_text(const ProtobufCBinaryData *data, char *buf)
{
    struct uuid id = {{0}};

    if (data->len == sizeof(id.b))
        memcpy(id.b, data->data, sizeof(id.b));
    return cuuid_format(&id, buf);
}

static json_t *
ranks_json(size_t nr, const uint32_t *ranks)
{
    json_t *list = json_array();

    for (size_t i = 0; i < nr; i++) {
        json_array_append_new(list, json_integer(ranks[i]));
    }
    return list;
}

/* ---- pool -------------------------------------------------------------------------------------------------------------------- */

/* "name:value,name:value" as far as numbers and labels go. */
static int
properties_parse(
    struct dmg *dmg, char *text, Cairn__Ctl__Property *props, size_t props_max, size_t *nr)
{
    static const struct {
        const char *name;
        uint32_t number;
    } known[] = {
        {"label", DAOS_PROP_PO_LABEL},
        {"space_rb", DAOS_PROP_PO_SPACE_RB},
        {"self_heal", DAOS_PROP_PO_SELF_HEAL},
        {"reclaim", DAOS_PROP_PO_RECLAIM},
        {"ec_cell_sz", DAOS_PROP_PO_EC_CELL_SZ},
        {"rd_fac", DAOS_PROP_PO_REDUN_FAC},
        {"rf", DAOS_PROP_PO_REDUN_FAC},
        {"data_thresh", DAOS_PROP_PO_DATA_THRESH},
    };
    char *save = NULL;

    for (char *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        char *colon = strchr(item, ':'), *end;
        size_t i = 0;

        if (colon == NULL)
            return cli_fail(&dmg->cli, -DER_INVAL, "--properties %s: expected name:value", item);
        *colon = '\0';
        while (i < sizeof(known) / sizeof(known[0]) && strcmp(item, known[i].name) != 0) {
            i++;
        }
        if (i == sizeof(known) / sizeof(known[0]) || *nr == props_max) {
            return cli_fail(&dmg->cli, -DER_INVAL,
                "--properties %s: no such pool property that can be set at creation", item);
        }
        cairn__ctl__property__init(&props[*nr]);
        props[*nr].number = known[i].number;
        if (known[i].number == DAOS_PROP_PO_LABEL) {
            props[*nr].str = colon + 1;
        } else {
            errno = 0;
            props[*nr].num = strtoull(colon + 1, &end, 10);
            if (errno != 0 || end == colon + 1 || *end != '\0') {
                return cli_fail(&dmg->cli, -DER_INVAL, "--properties %s:%s: expected a number",
                    item, colon + 1);
            }
        }
        (*nr)++;
    }
    return 0;
}

/* "0,3-5": each rank once, in rising order of what is written. */
static int
ranks_parse(struct dmg *dmg, const char *text, uint32_t *ranks, size_t ranks_max, size_t *ret_nr)
{
    const char *pos = text;
    size_t nr = 0;

    while (pos != NULL && *pos != '\0') {
        char *end;
        unsigned long first = strtoul(pos, &end, 10), last = first;
        bool is_number = isdigit((unsigned char)*pos);

        if (is_number && *end == '-') {
            pos = end + 1;
            is_number = isdigit((unsigned char)*pos);
            last = strtoul(pos, &end, 10);
        }
        if (!is_number || (*end != '\0' && *end != ',') || last < first || last - first >= ranks_max) {
            return cli_fail(
                &dmg->cli, -DER_INVAL, "--ranks %s: expected numbers and ranges like 0,2-4", text);
        }
        for (unsigned long rank = first; rank <= last; rank++) {
            for (size_t i = 0; i < nr; i++) {
                if (ranks[i] == rank) {
                    return cli_fail(&dmg->cli, -DER_INVAL,
                        "--ranks %s: rank %lu stands there twice", text, rank);
                }
            }
            if (nr == ranks_max) {
                return cli_fail(&dmg->cli, -DER_INVAL, "--ranks %s: more than %zu", text, ranks_max);
            }
            ranks[nr++] = (uint32_t)rank;
        }
        pos = *end == ',' ? end + 1 : end;
    }
    *ret_nr = nr;
    return 0;
}

/* --ranks, --nranks. */
static int
ranks_read(struct dmg *dmg, const char *list, const char *number, uint32_t *ranks,
    Cairn__Ctl__PoolCreateReq *req)
{
    unsigned long nr;
    char *end;

    if (list != NULL && number != NULL)
        return cli_fail(&dmg->cli, -DER_INVAL, "give either --ranks or --nranks");
    req->ranks = ranks;
    if (list != NULL && *list == '\0')
        return cli_fail(&dmg->cli, -DER_INVAL, "--ranks needs numbers like 0,2-4");
    if (number == NULL)
        return ranks_parse(dmg, list, ranks, SERVER_ENGINES_NR_MAX, &req->n_ranks);
    errno = 0;
    nr = strtoul(number, &end, 10);
    if (errno != 0 || !isdigit((unsigned char)number[0]) || *end != '\0' || nr == 0 ||
        nr > UINT32_MAX) {
        return cli_fail(
            &dmg->cli, -DER_INVAL, "--nranks %s: expected how many ranks, 1 or more", number);
    }
    req->nranks = (uint32_t)nr;
    return 0;
}

struct create_opts {
    const char *size, *scm_size, *nvme_size, *meta_size, *data_size, *ranks, *nsvc, *nranks,
        *properties, *user, *group, *acl_file;
};

static int
size_read(struct dmg *dmg, const char *name, const char *text, uint64_t *ret_bytes)
{
    if (cli_size_parse(text, ret_bytes) == 0 && *ret_bytes > 0)
        return 0;
    return cli_fail(
        &dmg->cli, -DER_INVAL, "--%s %s: expected a size such as 10GB or 512MiB", name, text);
}

static int
create_sizes(struct dmg *dmg, const struct create_opts *opts, Cairn__Ctl__PoolCreateReq *req,
    uint64_t tiers[2])
{
    const char *meta = opts->meta_size != NULL ? opts->meta_size : opts->scm_size;
    const char *data = opts->data_size != NULL ? opts->data_size : opts->nvme_size;
    int rc;

    if (opts->size != NULL && (meta != NULL || data != NULL))
        return cli_fail(&dmg->cli, -DER_INVAL, "give either --size or the sizes of the tiers");
    if (opts->size != NULL)
        return size_read(dmg, "size", opts->size, &req->total_bytes);
    if (meta == NULL) {
        return cli_fail(&dmg->cli, -DER_INVAL,
            "how large? give --size=10GB, or --scm-size and --nvme-size for each rank");
    }
    rc = size_read(dmg, "scm-size", meta, &tiers[0]);
    if (rc == 0 && data != NULL)
        rc = size_read(dmg, "nvme-size", data, &tiers[1]);
    req->n_tier_bytes = 2;
    req->tier_bytes = tiers;
    return rc;
}

static int
create_print(struct dmg *dmg, const uint8_t *body, size_t len, json_t **ret_response)
{
    Cairn__Ctl__PoolCreateRep *rep = cairn__ctl__pool_create_rep__unpack(NULL, len, body);
    json_t *tiers = json_array();
    char uuid[CUUID_TEXT_BYTES], size[24];
    int rc = 0;

    if (rep == NULL) {
        json_decref(tiers);
        return CAIRN_ERR(PROTO);
    }
    for (size_t i = 0; i < rep->n_tier_bytes; i++) {
        json_array_append_new(tiers, json_integer((json_int_t)rep->tier_bytes[i]));
    }
    *ret_response =
        json_pack("{s:s, s:i, s:o, s:o, s:o, s:i, s:b}", "uuid", uuid_text(&rep->uuid, uuid),
            "svc_ldr", (int)rep->svc_ldr, "svc_reps", ranks_json(rep->n_svc_reps, rep->svc_reps),
            "tgt_ranks", ranks_json(rep->n_tgt_ranks, rep->tgt_ranks), "tier_bytes", tiers,
            "mem_file_bytes", 0, "md_on_ssd_active", 1);
    if (!dmg->cli.is_json) {
        (void)printf("Pool created\n  UUID   : %s\n  Targets: %u on %zu ranks\n", uuid,
            rep->targets, rep->n_tgt_ranks);
        for (size_t i = 0; i < rep->n_tier_bytes; i++) {
            (void)printf("  %s: %s for each rank\n", i == 0 ? "Metadata" : "Data    ",
                cli_size_text(rep->tier_bytes[i], size, sizeof(size)));
        }
    }
    cairn__ctl__pool_create_rep__free_unpacked(rep, NULL);
    return rc;
}

enum { PROPS_MAX = 16, ACL_BYTES_MAX = 16384, PRINCIPAL_BYTES = DAOS_ACL_MAX_PRINCIPAL_BUF_LEN };

/* The label and --properties. `*ret_text` holds their bytes: free() when the request was sent. */
static int
create_props(struct dmg *dmg, const struct create_opts *opts, const char *label, char **ret_text,
    Cairn__Ctl__Property *props, Cairn__Ctl__Property **list, Cairn__Ctl__PoolCreateReq *req)
{
    size_t nr = 0;

    if (label != NULL) {
        cairn__ctl__property__init(&props[0]);
        props[0].number = DAOS_PROP_PO_LABEL;
        props[0].str = (char *)(uintptr_t)label;
        nr = 1;
    }
    if (opts->properties != NULL) {
        int rc;

        *ret_text = strdup(opts->properties);
        if (*ret_text == NULL)
            return CAIRN_ERR(NOMEM);
        rc = properties_parse(dmg, *ret_text, props, PROPS_MAX, &nr);
        if (rc != 0)
            return rc;
    }
    for (size_t i = 0; i < nr; i++) {
        list[i] = &props[i];
    }
    req->n_properties = nr;
    req->properties = list;
    return 0;
}

/* One more entry from a line of an ACL file. Errors: INVAL with a line. */
static int
acl_line(struct dmg *dmg, const char *path, uint32_t line, const char *text, struct daos_acl **acl)
{
    struct daos_ace *ace = NULL, *same = NULL;
    int rc = daos_ace_from_str(text, &ace);

    if (rc != 0) {
        return cli_fail(&dmg->cli,
            -DER_INVAL, "%s:%u: '%.80s' is no entry of an access control list: expected one like A::name@:rw or A:G:GROUP@:r",
            path, line, text);
    }
    if (*acl != NULL &&
        daos_acl_get_ace_for_principal(*acl, (enum daos_acl_principal_type)ace->dae_principal_type,
            ace->dae_principal, &same) == 0) {
        rc = cli_fail(&dmg->cli, -DER_INVAL, "%s:%u: '%.80s': its principal has an entry already",
            path, line, text);
    } else if (*acl == NULL) {
        *acl = daos_acl_create(&ace, 1);
        rc = *acl == NULL ? CAIRN_ERR(NOMEM) : 0;
    } else {
        rc = daos_acl_add_ace(acl, ace);
    }
    daos_ace_free(ace);
    return rc;
}

/*
 * An access control list as text: an entry in each line; empty lines and comments (#) are passed over. `*ret_acl` is the caller's to free, also with an error.
 */
static int
acl_read(struct dmg *dmg, const char *path, struct daos_acl **ret_acl)
{
    FILE *file = fopen(path, "re");
    char text[DAOS_ACL_MAX_ACE_STR_LEN + 64];
    uint32_t line = 0;
    int rc = 0;

    if (file == NULL)
        return cli_fail(&dmg->cli, err_from_errno(errno), "--acl-file %s: %s", path, strerror(errno));
    while (rc == 0 && fgets(text, sizeof(text), file) != NULL) {
        char *start = text + strspn(text, " \t\r\n");
        size_t len = strlen(start);

        line++;
        if (len > 0 && start[len - 1] != '\n' && !feof(file)) {
            rc = cli_fail(&dmg->cli, -DER_INVAL, "%s:%u: longer than %zu characters", path, line,
                sizeof(text) - 2);
            break;
        }
        while (len > 0 && isspace((unsigned char)start[len - 1])) {
            start[--len] = '\0';
        }
        if (start[0] != '\0' && start[0] != '#')
            rc = acl_line(dmg, path, line, start, ret_acl);
    }
    if (rc == 0 && ferror(file))
        rc = cli_fail(&dmg->cli, CAIRN_ERR(IO), "--acl-file %s: cannot be read", path);
    (void)fclose(file);
    if (rc == 0 && (*ret_acl == NULL || daos_acl_validate(*ret_acl) != 0)) {
        rc = cli_fail(&dmg->cli, -DER_INVAL,
            "%s: no access control list: expected lines like A::name@:rw", path);
    }
    if (rc == 0 && daos_acl_get_size(*ret_acl) > ACL_BYTES_MAX) {
        rc = cli_fail(&dmg->cli, -DER_OVERFLOW, "%s: the list takes %zd bytes: it may have %d",
            path, daos_acl_get_size(*ret_acl), ACL_BYTES_MAX);
    }
    return rc;
}

static int
create_acl(struct dmg *dmg, const char *path, struct daos_acl **ret_acl, Cairn__Ctl__Property *prop,
    Cairn__Ctl__PoolCreateReq *req)
{
    int rc = acl_read(dmg, path, ret_acl);

    if (rc != 0)
        return rc;
    cairn__ctl__property__init(prop);
    prop->number = DAOS_PROP_PO_ACL;
    prop->data = (ProtobufCBinaryData){
        .len = (size_t)daos_acl_get_size(*ret_acl), .data = (uint8_t *)*ret_acl};
    req->properties[req->n_properties++] = prop;
    return 0;
}

/* A name as principals are written: "name" is "name@". */
static int
principal_make(struct dmg *dmg, const char *option, const char *name, char *buf)
{
    int len = snprintf(buf, PRINCIPAL_BYTES, "%s%s", name, strchr(name, '@') == NULL ? "@" : "");

    if (len >= PRINCIPAL_BYTES || !daos_acl_principal_is_valid(buf)) {
        return cli_fail(
            &dmg->cli, -DER_INVAL, "--%s %.80s: not a name like bob or bob@", option, name);
    }
    return 0;
}

/* Whose the pool is: --user and --group, or who calls. */
static int
owners_set(struct dmg *dmg, const struct create_opts *opts, char *owner, char *group,
    Cairn__Ctl__PoolCreateReq *req)
{
    const struct passwd *pw = opts->user == NULL ? getpwuid(geteuid()) : NULL;
    const struct group *gr = opts->group == NULL ? getgrgid(getegid()) : NULL;
    const char *user_name = opts->user != NULL ? opts->user : pw != NULL ? pw->pw_name : NULL;
    const char *group_name = opts->group != NULL ? opts->group : gr != NULL ? gr->gr_name : NULL;
    int rc = 0;

    if (user_name != NULL) {
        rc = principal_make(dmg, "user", user_name, owner);
        req->user = owner;
    }
    if (rc == 0 && group_name != NULL) {
        rc = principal_make(dmg, "group", group_name, group);
        req->group = group;
    }
    return rc;
}

static int
run_pool_create(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    struct create_opts o = {0};
    const struct cli_opt opts[] = {
        {.name = "size", .letter = 'z', .value = &o.size},
        {.name = "scm-size", .letter = 's', .value = &o.scm_size},
        {.name = "nvme-size", .letter = 'n', .value = &o.nvme_size},
        {.name = "meta-size", .value = &o.meta_size},
        {.name = "data-size", .value = &o.data_size},
        {.name = "ranks", .letter = 'r', .value = &o.ranks},
        {.name = "nranks", .letter = 'k', .value = &o.nranks},
        {.name = "nsvc", .letter = 'v', .value = &o.nsvc},
        {.name = "user", .letter = 'u', .value = &o.user},
        {.name = "group", .letter = 'g', .value = &o.group},
        {.name = "acl-file", .letter = 'a', .value = &o.acl_file},
        {.name = "properties", .letter = 'P', .value = &o.properties},
        {0},
    };
    Cairn__Ctl__PoolCreateReq req = CAIRN__CTL__POOL_CREATE_REQ__INIT;
    Cairn__Ctl__Property props[PROPS_MAX], *props_list[PROPS_MAX + 1];
    uint32_t ranks[SERVER_ENGINES_NR_MAX], words_nr;
    uint64_t tiers[2] = {0}, random[2];
    char owner[PRINCIPAL_BYTES], group[PRINCIPAL_BYTES], *properties = NULL;
    Cairn__Ctl__Property acl_prop;
    struct daos_acl *acl = NULL;
    const char *words[1];
    uint8_t *body = NULL;
    struct uuid uuid;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &words_nr);

    if (rc != 0)
        return rc;
    rc = create_props(dmg, &o, words_nr == 1 ? words[0] : NULL, &properties, props, props_list, &req);
    if (rc != 0)
        goto out;
    rc = create_sizes(dmg, &o, &req, tiers);
    if (rc == 0)
        rc = ranks_read(dmg, o.ranks, o.nranks, ranks, &req);
    if (rc == 0 && o.acl_file != NULL)
        rc = create_acl(dmg, o.acl_file, &acl, &acl_prop, &req);
    if (rc == 0)
        rc = owners_set(dmg, &o, owner, group, &req);
    if (rc != 0)
        goto out;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        rc = CAIRN_ERR(MISC);
        goto out;
    }
    uuid = cuuid_from_random(random[0], random[1]);
    req.uuid = (ProtobufCBinaryData){.len = sizeof(uuid.b), .data = uuid.b};
    req.uid = geteuid();
    req.gid = getegid();
    rc = call(dmg, CAIRN__CTL__METHOD__POOL_CREATE, &req.base, &body, &len);
    if (rc == 0)
        rc = create_print(dmg, body, len, ret_response);
out:
    daos_acl_free(acl);
    free(body);
    free(properties);
    return rc;
}

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
        rc = call(dmg, CAIRN__CTL__METHOD__POOL_LIST, &req.base, &body, &len);
    rep = rc == 0 ? cairn__ctl__pool_list_rep__unpack(NULL, len, body) : NULL;
    if (rc == 0 && rep == NULL)
        rc = CAIRN_ERR(PROTO);
    for (size_t i = 0; rep != NULL && i < rep->n_pools; i++) {
        const Cairn__Ctl__PoolEntry *pool = rep->pools[i];
        const char *state = (size_t)pool->state < 3 ? states[pool->state] : "Unknown";
        char uuid[CUUID_TEXT_BYTES];

        json_array_append_new(list,
            json_pack("{s:s, s:s, s:s, s:o}", "uuid", uuid_text(&pool->uuid, uuid), "label",
                pool->label, "state", state, "svc_reps",
                ranks_json(pool->n_svc_reps, pool->svc_reps)));
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
            rep->label, uuid_text(&rep->uuid, uuid), rep->active_targets, rep->total_targets,
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
        uuid_text(&rep->uuid, uuid), "label", rep->label, "total_targets", (int)rep->total_targets,
        "active_targets", (int)rep->active_targets, "disabled_targets", (int)rep->disabled_targets,
        "total_engines", (int)rep->total_engines, "version", (int)rep->version, "svc_ldr",
        (int)rep->svc_ldr, "svc_reps", ranks_json(rep->n_svc_reps, rep->svc_reps), "rebuild",
        "status", 0, "state", "idle", "objects", 0, "records", 0, "total_objects", 0, "tier_stats",
        tiers, "enabled_ranks", ranks_json(rep->n_enabled_ranks, rep->enabled_ranks),
        "disabled_ranks", ranks_json(rep->n_disabled_ranks, rep->disabled_ranks), "pool_layout_ver",
        (int)rep->layout_version, "upgrade_layout_ver", (int)rep->layout_version);
}

static int
run_pool_query(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolQueryReq req = CAIRN__CTL__POOL_QUERY_REQ__INIT;
    const struct cli_opt opts[] = {{0}};
    Cairn__Ctl__PoolQueryRep *rep;
    const char *words[1];
    uint8_t *body = NULL;
    uint32_t nr;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0 && nr != 1)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc != 0)
        return rc;
    req.id = (char *)(uintptr_t)words[0];
    rc = call(dmg, CAIRN__CTL__METHOD__POOL_QUERY, &req.base, &body, &len);
    if (rc != 0)
        return rc;
    rep = cairn__ctl__pool_query_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return CAIRN_ERR(PROTO);
    query_print(dmg, rep, ret_response);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return 0;
}

static const Cairn__Ctl__Property *
property_find(const Cairn__Ctl__PoolQueryRep *rep, uint32_t number)
{
    for (size_t i = 0; i < rep->n_properties; i++) {
        if (rep->properties[i]->number == number)
            return rep->properties[i];
    }
    return NULL;
}

/* The entries as texts. `*ret_list` and each of them are the caller's. Errors: DF_INVAL. */
static int
acl_texts(const Cairn__Ctl__PoolQueryRep *rep, char ***ret_list, size_t *ret_nr)
{
    const Cairn__Ctl__Property *prop = property_find(rep, DAOS_PROP_PO_ACL);
    struct daos_acl *acl;
    int rc;

    if (prop == NULL || prop->data.len == 0)
        return 0; /* none was given */
    acl = malloc(prop->data.len + sizeof(*acl));
    if (acl == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(acl, prop->data.data, prop->data.len);
    rc = prop->data.len < sizeof(*acl) || (size_t)daos_acl_get_size(acl) != prop->data.len
        ? CAIRN_ERR(DF_INVAL)
        : daos_acl_to_strs(acl, ret_list, ret_nr);
    daos_acl_free(acl);
    return rc;
}

static int
acl_print(struct dmg *dmg, const Cairn__Ctl__PoolQueryRep *rep, json_t **ret_response)
{
    const Cairn__Ctl__Property *owner = property_find(rep, DAOS_PROP_PO_OWNER);
    const Cairn__Ctl__Property *group = property_find(rep, DAOS_PROP_PO_OWNER_GROUP);
    const char *user_name = owner != NULL ? owner->str : "";
    const char *group_name = group != NULL ? group->str : "";
    json_t *entries = json_array();
    char **texts = NULL;
    size_t nr = 0;
    int rc = acl_texts(rep, &texts, &nr);

    if (rc == 0 && !dmg->cli.is_json)
        (void)printf("# Owner: %s\n# Owner Group: %s\n# Entries:\n", user_name, group_name);
    for (size_t i = 0; i < nr; i++) {
        json_array_append_new(entries, json_string(texts[i]));
        if (!dmg->cli.is_json)
            (void)printf("%s\n", texts[i]);
        free(texts[i]);
    }
    free(texts);
    *ret_response = json_pack(
        "{s:o, s:s, s:s}", "entries", entries, "owner_user", user_name, "owner_group", group_name);
    return rc == 0 ? 0 : cli_fail(&dmg->cli, rc, "what is stored is no access control list");
}

static int
run_pool_get_acl(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
{
    Cairn__Ctl__PoolQueryReq req = CAIRN__CTL__POOL_QUERY_REQ__INIT;
    const struct cli_opt opts[] = {{0}};
    Cairn__Ctl__PoolQueryRep *rep;
    const char *words[1];
    uint8_t *body = NULL;
    uint32_t nr;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0 && nr != 1)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc != 0)
        return rc;
    req.id = (char *)(uintptr_t)words[0];
    rc = call(dmg, CAIRN__CTL__METHOD__POOL_QUERY, &req.base, &body, &len);
    if (rc != 0)
        return rc;
    rep = cairn__ctl__pool_query_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return CAIRN_ERR(PROTO);
    rc = acl_print(dmg, rep, ret_response);
    cairn__ctl__pool_query_rep__free_unpacked(rep, NULL);
    return rc;
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
    const char *words[1];
    uint8_t *body = NULL;
    uint32_t nr;
    size_t len = 0;
    int rc = cli_parse(&dmg->cli, argc, argv, opts, words, 1, &nr);

    if (rc == 0 && nr != 1)
        rc = cli_fail(&dmg->cli, -DER_INVAL, "expected a pool; `dmg pool list` shows them");
    if (rc != 0)
        return rc;
    req.id = (char *)(uintptr_t)words[0];
    req.force = force;
    req.recursive = recursive;
    rc = call(dmg, CAIRN__CTL__METHOD__POOL_DESTROY, &req.base, &body, &len);
    free(body);
    if (rc == 0 && !dmg->cli.is_json)
        (void)printf("Pool %s destroyed\n", words[0]);
    *ret_response = json_null();
    return rc;
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
        rc = call(dmg, CAIRN__CTL__METHOD__SYSTEM_QUERY, &req.base, &body, &len);
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
        "make a pool", run_pool_create},
    {"pool", "list", "", "pools of the system", run_pool_list},
    {"pool", "query", "POOL", "space and state of a pool", run_pool_query},
    {"pool", "get-acl", "POOL", "its access control list and owners", run_pool_get_acl},
    {"pool", "destroy", "POOL [--force] [--recursive]", "remove a pool and all in it",
        run_pool_destroy},
    {"system", "query", "[--verbose]", "state of the engines", run_system_query},
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

/* -x VALUE, --name VALUE, --name=VALUE: move on and return the value; NULL: another argument, or none follows. */
static const char *
value_of(char **argv, int argc, int *i, const char *letter, const char *name)
{
    size_t len = strlen(name);

    if (strcmp(argv[*i], letter) == 0 || strcmp(argv[*i], name) == 0)
        return *i + 1 < argc ? argv[++*i] : NULL;
    return strncmp(argv[*i], name, len) == 0 && argv[*i][len] == '=' ? argv[*i] + len + 1 : NULL;
}

static bool
is_one_of(const char *arg, const char *letter, const char *name)
{
    return strcmp(arg, letter) == 0 || strcmp(arg, name) == 0;
}

/* Options of all commands may stand anywhere, as in the original: take them out. Returns how many arguments are left. */
static int
globals_take(struct dmg *dmg, int argc, char **argv, bool *ret_help)
{
    int nr = 0;

    for (int i = 0; i < argc; i++) {
        const char *value;

        if (is_one_of(argv[i], "-j", "--json")) {
            dmg->cli.is_json = true;
        } else if (is_one_of(argv[i], "-h", "--help")) {
            *ret_help = true;
        } else if (is_one_of(argv[i], "-i", "--insecure") || is_one_of(argv[i], "-d", "--debug")) {
            continue; /* there are no certificates yet to do without */
        } else if ((value = value_of(argv, argc, &i, "-G", "--sys-name")) != NULL) {
            dmg->cli.sys_name = value;
        } else if ((value = value_of(argv, argc, &i, "--embedded", "--embedded")) != NULL) {
            dmg->embedded = value;
        } else if (value_of(argv, argc, &i, "-o", "--config-path") == NULL &&
            value_of(argv, argc, &i, "-l", "--host-list") == NULL) {
            argv[nr++] = argv[i]; /* there is one host until the control network comes */
        }
    }
    return nr;
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
    int nr = globals_take(&dmg, argc - 1, argv + 1, &wants_help);

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
