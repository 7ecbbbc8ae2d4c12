/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Finding the system: the attach file that daos_server writes under the runtime directory (docs/format/attach.md), or the engine inside this process.
 * The file is read again whenever a peer cannot be reached, so that ranks may restart or move.
 */
#include "client/core/client.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "client/core/client_priv.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTACH_BYTES_MAX = 4 << 20, ATTACH_VERSION = 1 };

enum { ATTACH_DEPTH_MAX = 8 };

#define SWAP(a, b) \
    do { \
        __typeof__(a) swap_tmp_ = (a); \
        (a) = (b); \
        (b) = swap_tmp_; \
    } while (0)

#define DEFAULT_SYS_NAME "daos_server"
#define EMBEDDED_PREFIX "embedded:"

void
client_sys_fini(struct client_sys *sys)
{
    for (uint32_t i = 0; i < sys->rank_nr; i++) {
        free(sys->ranks[i].uris);
    }
    free(sys->ranks);
    *sys = (struct client_sys){0};
}

int
client_sys_copy(const struct client_sys *src, struct client_sys *ret_sys)
{
    struct client_sys sys = *src;

    sys.ranks = calloc(src->rank_nr, sizeof(*sys.ranks));
    sys.rank_nr = 0;
    if (sys.ranks == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < src->rank_nr; i++) {
        struct client_rank *rank = &sys.ranks[i];

        *rank = src->ranks[i];
        rank->uris = calloc(rank->uri_nr, sizeof(*rank->uris));
        if (rank->uris == NULL) {
            client_sys_fini(&sys);
            return CAIRN_ERR(NOMEM);
        }
        memcpy(rank->uris, src->ranks[i].uris, rank->uri_nr * sizeof(*rank->uris));
        sys.rank_nr++;
    }
    *ret_sys = sys;
    return 0;
}

static int
rank_parse(json_t *json, struct client_rank *ret_rank)
{
    json_t *uris = json_object_get(json, "uris");
    json_t *rank = json_object_get(json, "rank");
    size_t nr = json_array_size(uris);
    char(*copy)[NET_URI_MAX];

    if (!json_is_integer(rank) || json_integer_value(rank) < 0 ||
        json_integer_value(rank) >= UINT32_MAX)
        return CAIRN_ERR(INVAL);
    if (nr == 0 || nr > CLIENT_TAGS_NR_MAX)
        return CAIRN_ERR(INVAL);
    copy = calloc(nr, sizeof(*copy));
    if (copy == NULL)
        return CAIRN_ERR(NOMEM);
    for (size_t i = 0; i < nr; i++) {
        const char *uri = json_string_value(json_array_get(uris, i));

        if (uri == NULL || strlen(uri) >= NET_URI_MAX) {
            free(copy);
            return CAIRN_ERR(INVAL);
        }
        memcpy(copy[i], uri, strlen(uri) + 1);
    }
    ret_rank->rank = (uint32_t)json_integer_value(rank);
    ret_rank->incarnation = (uint64_t)json_integer_value(json_object_get(json, "incarnation"));
    ret_rank->uri_nr = (uint32_t)nr;
    ret_rank->uris = copy;
    return 0;
}

/* The parser recurses with the depth of the text, and this may run on a ULT (TH-2). */
static bool
is_shallow(const char *text, size_t len)
{
    bool is_string = false;
    int depth = 0;

    for (size_t i = 0; i < len; i++) {
        if (is_string) {
            if (text[i] == '\\') {
                i++;
            } else if (text[i] == '"')
                is_string = false;
        } else if (text[i] == '"') {
            is_string = true;
        } else if (text[i] == '[' || text[i] == '{') {
            if (++depth > ATTACH_DEPTH_MAX)
                return false;
        } else if (text[i] == ']' || text[i] == '}') {
            depth--;
        }
    }
    return true;
}

int
client_sys_parse(const char *text, size_t len, struct client_sys *ret_sys)
{
    struct client_sys sys = {0};
    json_error_t error = {.text = "nested too deep"};
    json_t *root = is_shallow(text, len) ? json_loadb(text, len, 0, &error) : NULL;
    json_t *ranks = json_object_get(root, "ranks");
    const char *name = json_string_value(json_object_get(root, "system"));
    const char *uuid = json_string_value(json_object_get(root, "uuid"));
    size_t nr = json_array_size(ranks);
    int rc = CAIRN_ERR(INVAL);

    if (root == NULL) {
        LOG_ERROR("attach file, line %d: %s", error.line, error.text);
        goto out;
    }
    if (json_integer_value(json_object_get(root, "version")) != ATTACH_VERSION) {
        LOG_ERROR("attach file: not version %d", ATTACH_VERSION);
        goto out;
    }
    if (name == NULL || strlen(name) >= sizeof(sys.name) || uuid == NULL ||
        cuuid_parse(uuid, &sys.uuid) != 0)
        goto out;
    if (nr == 0 || nr > CLIENT_RANKS_NR_MAX)
        goto out;
    memcpy(sys.name, name, strlen(name) + 1);
    sys.leader_rank = (uint32_t)json_integer_value(json_object_get(root, "leader"));
    sys.ranks = calloc(nr, sizeof(*sys.ranks));
    if (sys.ranks == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    for (size_t i = 0; i < nr; i++) {
        rc = rank_parse(json_array_get(ranks, i), &sys.ranks[i]);
        if (rc != 0)
            goto out;
        sys.rank_nr++;
    }
    *ret_sys = sys;
    sys = (struct client_sys){0};
    rc = 0;
out:
    client_sys_fini(&sys);
    json_decref(root);
    return rc;
}

static int
sys_read(struct daos_client *client, struct client_sys *ret_sys)
{
    char *text = malloc(ATTACH_BYTES_MAX);
    size_t len;
    int rc;

    if (text == NULL)
        return CAIRN_ERR(NOMEM);
    rc = client->plat->ops->file_read(
        client->plat, client->attach_path, text, ATTACH_BYTES_MAX, &len);
    if (rc == 0)
        rc = client_sys_parse(text, len, ret_sys);
    free(text);
    return rc;
}

void
client_sys_foreign(struct daos_client *client)
{
    char uuid[CUUID_TEXT_BYTES];

    if (!client->is_foreign) {
        LOG_ERROR(
            "system %s: this process uses installation %s, and another one answers now: start it "
            "again, with the attach file of the daos_server that runs (%s)",
            client->sys.name, cuuid_format(&client->sys.uuid, uuid), client->attach_path);
    }
    client->is_foreign = true;
}

void
client_sys_refresh(struct daos_client *client)
{
    uint64_t now_ns = plat_mono_ns(client->plat);
    struct client_sys sys;

    if (client->attach_path[0] == '\0')
        return;
    if (client->refresh_ns != 0 && now_ns - client->refresh_ns < CLIENT_REFRESH_NS)
        return;
    client->refresh_ns = now_ns;
    if (sys_read(client, &sys) != 0)
        return; /* the server may be down: what is known stays */
    if (cuuid_cmp(&sys.uuid, &client->sys.uuid) != 0) {
        client_sys_foreign(client);
        client_sys_fini(&sys);
        return;
    }
    client->is_foreign = false;
    SWAP(sys.ranks, client->sys.ranks);
    SWAP(sys.rank_nr, client->sys.rank_nr);
    client->sys.leader_rank = sys.leader_rank;
    client_sys_fini(&sys);
}

/* ---- RPC context ----------------------------------------------------------------------------------------------------- */

static int
resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    struct daos_client *client = arg;

    for (uint32_t i = 0; i < client->sys.rank_nr; i++) {
        const struct client_rank *rank = &client->sys.ranks[i];

        if (rank->rank != ep.rank)
            continue;
        if (ep.tag >= rank->uri_nr)
            return CAIRN_ERR(OOG);
        memcpy(ret_addr->uri, rank->uris[ep.tag], NET_URI_MAX);
        ret_addr->incarnation = rank->incarnation;
        return 0;
    }
    return CAIRN_ERR(OOG);
}

static uint64_t
hlc_get(void *arg)
{
    return client_hlc_now(arg);
}

/* A client has no say about clocks: it follows, so that its requests are never behind what it has seen. */
static int
hlc_merge(void *arg, uint64_t hlc)
{
    struct daos_client *client = arg;

    hlc_raise(&client->clock, hlc);
    return 0;
}

int
client_rpc_open(struct daos_client *client)
{
    struct rpc_ctx_opts opts = {
        .xs = client->xs,
        .system = client->sys.uuid,
        .rank = RPC_RANK_NONE,
        .incarnation = client->incarnation,
        .client = client->id,
        .resolve = resolve,
        .hlc_get = hlc_get,
        .hlc_recv = hlc_merge,
        .arg = client,
    };
    int rc = rpc_ctx_create(&opts, &client->rpc);

    if (rc == 0)
        client->is_attached = true;
    return rc;
}

/* ---- attach ---------------------------------------------------------------------------------------------------------- */

static const char *
env(struct daos_client *client, const char *name)
{
    const char *value = client->plat->ops->env(client->plat, name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* $CAIRN_RUNTIME_DIR, else $XDG_RUNTIME_DIR/cairn, else /run/cairn; below it <system>/attach.json. */
static int
attach_path_make(struct daos_client *client, const char *name)
{
    const char *dir = env(client, "CAIRN_RUNTIME_DIR");
    const char *sub = "";
    int len;

    if (dir == NULL) {
        dir = env(client, "XDG_RUNTIME_DIR");
        sub = "/cairn";
    }
    if (dir == NULL) {
        dir = "/run/cairn";
        sub = "";
    }
    len = snprintf(
        client->attach_path, sizeof(client->attach_path), "%s%s/%s/attach.json", dir, sub, name);
    if (len < 0 || (size_t)len >= sizeof(client->attach_path)) {
        client->attach_path[0] = '\0';
        return CAIRN_ERR(INVAL);
    }
    return 0;
}

static int
rpc_open_ult(void *arg)
{
    return client_rpc_open(arg);
}

static int
rpc_open(struct daos_client *client)
{
    int rc = client_exec(client, rpc_open_ult, client);

    if (rc == 0)
        return 0;
    client_embedded_stop(client->embedded);
    client->embedded = NULL;
    client->attach_path[0] = '\0';
    client_sys_fini(&client->sys);
    return rc;
}

static int
attach_embedded(struct daos_client *client, const char *dir)
{
    struct client_sys sys;
    int rc;

    if (ult_self() != NULL) {
        LOG_ERROR("embedded mode: connect from a thread, not from a completion callback");
        return CAIRN_ERR(NO_PERM);
    }
    rc = client_embedded_start(client->plat, dir, &sys, &client->embedded);
    if (rc != 0)
        return rc;
    client->sys = sys;
    return rpc_open(client);
}

static int
attach_file(struct daos_client *client, const char *name)
{
    int rc;

    if (strlen(name) >= CLIENT_SYS_NAME_BYTES_MAX || strchr(name, '/') != NULL)
        return CAIRN_ERR(INVAL);
    rc = attach_path_make(client, name);
    if (rc != 0)
        return rc;
    rc = sys_read(client, &client->sys);
    if (rc != 0) {
        LOG_ERROR("system %s: cannot read %s (%s): is daos_server running, and by the same user?",
            name, client->attach_path, err_text(rc));
        client->attach_path[0] = '\0';
        return CAIRN_ERR(AGENT_COMM);
    }
    return rpc_open(client);
}

static int
attach(struct daos_client *client, const char *name)
{
    const char *dir = env(client, "CAIRN_EMBEDDED");

    if (name != NULL && strncmp(name, EMBEDDED_PREFIX, strlen(EMBEDDED_PREFIX)) == 0) {
        dir = name + strlen(EMBEDDED_PREFIX);
        name = client->embedded == NULL ? NULL : client_embedded_dir(client->embedded);
        if (client->is_attached && (name == NULL || strcmp(name, dir) != 0)) {
            LOG_ERROR(
                "this process uses system %s: it cannot open %s as well", client->sys.name, dir);
            return CAIRN_ERR(MISMATCH);
        }
        name = NULL;
    }
    if (client->is_attached) {
        if (name == NULL || name[0] == '\0' || strcmp(name, client->sys.name) == 0)
            return 0;
        LOG_ERROR("this process uses system %s: it cannot use %s as well", client->sys.name, name);
        return CAIRN_ERR(MISMATCH);
    }
    if (dir != NULL)
        return attach_embedded(client, dir);
    if (name == NULL || name[0] == '\0')
        name = env(client, "DAOS_SYSTEM") != NULL ? env(client, "DAOS_SYSTEM") : DEFAULT_SYS_NAME;
    return attach_file(client, name);
}

int
client_attach(struct daos_client *client, const char *name)
{
    int rc;

    if (client->gate == NULL || ult_self() != NULL)
        return attach(client, name); /* one thread */
    plat_gate_lock(client->gate);
    while (client->is_attaching) {
        plat_gate_wait(client->gate);
    }
    client->is_attaching = true;
    plat_gate_unlock(client->gate);
    rc = attach(client, name);
    plat_gate_lock(client->gate);
    client->is_attaching = false;
    plat_gate_broadcast(client->gate);
    plat_gate_unlock(client->gate);
    return rc;
}
