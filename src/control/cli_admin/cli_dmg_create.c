/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* dmg pool create. Tested by test/control_system_test.py. */
#include "base/ids.h"
#include "control/cli_admin/cli_dmg.h"
#include "control/server/server_cfg.h"
#include "daos_prop.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

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

/* A number of at least 1. */
static int
count_read(struct dmg *dmg, const char *option, const char *text, uint32_t *ret_nr)
{
    unsigned long nr;
    char *end;

    errno = 0;
    nr = strtoul(text, &end, 10);
    if (errno != 0 || !isdigit((unsigned char)text[0]) || *end != '\0' || nr == 0 || nr > UINT32_MAX)
        return cli_fail(&dmg->cli, -DER_INVAL, "--%s %s: expected a number, 1 or more", option, text);
    *ret_nr = (uint32_t)nr;
    return 0;
}

/* --ranks, --nranks. */
static int
ranks_read(struct dmg *dmg, const char *list, const char *number, uint32_t *ranks,
    Cairn__Ctl__PoolCreateReq *req)
{
    if (list != NULL && number != NULL)
        return cli_fail(&dmg->cli, -DER_INVAL, "give either --ranks or --nranks");
    req->ranks = ranks;
    if (list != NULL && *list == '\0')
        return cli_fail(&dmg->cli, -DER_INVAL, "--ranks needs numbers like 0,2-4");
    if (number == NULL)
        return ranks_parse(dmg, list, ranks, SERVER_ENGINES_NR_MAX, &req->n_ranks);
    return count_read(dmg, "nranks", number, &req->nranks);
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
    *ret_response = json_pack("{s:s, s:i, s:o, s:o, s:o, s:i, s:b}", "uuid",
        dmg_uuid_text(&rep->uuid, uuid), "svc_ldr", (int)rep->svc_ldr, "svc_reps",
        dmg_ranks_json(rep->n_svc_reps, rep->svc_reps), "tgt_ranks",
        dmg_ranks_json(rep->n_tgt_ranks, rep->tgt_ranks), "tier_bytes", tiers, "mem_file_bytes", 0,
        "md_on_ssd_active", 1);
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

enum { PROPS_MAX = 16, PRINCIPAL_BYTES = DAOS_ACL_MAX_PRINCIPAL_BUF_LEN };

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
        rc = dmg_props_parse(dmg, *ret_text, true, props, PROPS_MAX, &nr);
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

static int
create_acl(struct dmg *dmg, const char *path, struct daos_acl **ret_acl, Cairn__Ctl__Property *prop,
    Cairn__Ctl__PoolCreateReq *req)
{
    int rc = dmg_acl_read(dmg, path, ret_acl);

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

int
dmg_pool_create(struct dmg *dmg, int argc, char **argv, json_t **ret_response)
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
    if (rc == 0 && o.nsvc != NULL)
        rc = count_read(dmg, "nsvc", o.nsvc, &req.svc_reps);
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
    rc = dmg_call(dmg, CAIRN__CTL__METHOD__POOL_CREATE, &req.base, &body, &len);
    if (rc == 0)
        rc = create_print(dmg, body, len, ret_response);
out:
    daos_acl_free(acl);
    free(body);
    free(properties);
    return rc;
}
