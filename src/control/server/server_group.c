/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Who is where: one table, told to the engines (GROUP_UPDATE) and written for clients (the attach file, docs/format/attach.md). */
#include "control/server/server.h"

#include "base/ids.h"
#include "control/ctl/ctl_chan.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UPDATE_TIMEOUT_MS = 5000, ATTACH_VERSION = 1 };

/* A copy of the table, so that nothing is sent or written under the mutex. */
struct snapshot {
    uint64_t version;
    bool is_complete; /* every engine has been ready once (SRV-3) */
    uint32_t nr;
    struct server_engine engines[SERVER_ENGINES_NR_MAX];
};

static struct snapshot *
snapshot_take(struct server *server)
{
    struct snapshot *snap = calloc(1, sizeof(*snap));

    if (snap == NULL)
        return NULL;
    (void)pthread_mutex_lock(&server->mutex);
    snap->version = ++server->group_version;
    snap->nr = server->cfg.engine_nr;
    snap->is_complete = true;
    for (uint32_t i = 0; i < snap->nr; i++) {
        snap->engines[i] = server->engines[i];
        snap->is_complete = snap->is_complete && server->engines[i].was_ready;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return snap;
}

/* ---- engines ---------------------------------------------------------------------------------------------------------------- */

static int
update_send(struct server *server, const struct snapshot *snap, const struct server_engine *to)
{
    Cairn__Ctl__GroupUpdateReq req = CAIRN__CTL__GROUP_UPDATE_REQ__INIT;
    Cairn__Ctl__Rank *ranks = calloc(snap->nr, sizeof(*ranks));
    Cairn__Ctl__Rank **list = calloc(snap->nr, sizeof(*list));
    char *(*uris)[SERVER_URIS_NR_MAX] = calloc(snap->nr, sizeof(*uris));
    struct ctl_chan *chan = NULL;
    char err[SERVER_ERR_BYTES];
    int rc = CAIRN_ERR(NOMEM);

    if (ranks == NULL || list == NULL || uris == NULL)
        goto out;
    for (uint32_t i = 0; i < snap->nr; i++) {
        const struct server_engine *engine = &snap->engines[i];

        cairn__ctl__rank__init(&ranks[i]);
        for (uint32_t u = 0; u < engine->uri_nr; u++) {
            uris[i][u] = (char *)(uintptr_t)engine->uris[u];
        }
        ranks[i].rank = engine->rank;
        ranks[i].incarnation = engine->incarnation;
        ranks[i].n_uris = engine->uri_nr;
        ranks[i].uris = uris[i];
        ranks[i].state = engine->state;
        ranks[i].targets = engine->cfg->targets;
        ranks[i].pid = (uint32_t)engine->pid;
        list[i] = &ranks[i];
    }
    req.version = snap->version;
    req.system_uuid =
        (ProtobufCBinaryData){.len = sizeof(server->system_uuid), .data = server->system_uuid};
    req.system_svc_rank = 0;
    req.n_ranks = snap->nr;
    req.ranks = list;
    rc = ctl_chan_connect(to->ctl_path, &chan);
    if (rc == 0) {
        rc = ctl_call(chan, CAIRN__CTL__METHOD__GROUP_UPDATE, &req.base, UPDATE_TIMEOUT_MS, err,
            sizeof(err), NULL, NULL);
    }
    ctl_chan_close(chan);
out:
    free(uris);
    free(list);
    free(ranks);
    return rc;
}

/* ---- the attach file ---------------------------------------------------------------------------------------------------------- */

static int
file_replace(const char *path, const char *text, size_t len)
{
    char tmp[SERVER_PATH_BYTES + 64];
    int fd, rc = 0;

    (void)snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int)getpid());
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    if (write(fd, text, len) != (ssize_t)len)
        rc = CAIRN_ERR(NOSPACE);
    if (close(fd) != 0 && rc == 0)
        rc = err_from_errno(errno);
    if (rc == 0 && rename(tmp, path) != 0)
        rc = err_from_errno(errno);
    if (rc != 0)
        (void)unlink(tmp);
    return rc;
}

static int
attach_write(struct server *server, const struct snapshot *snap)
{
    json_t *ranks = json_array();
    char uuid[CUUID_TEXT_BYTES], path[SERVER_PATH_BYTES + 32];
    struct uuid id;
    json_t *root;
    char *text;
    int rc;

    memcpy(id.b, server->system_uuid, sizeof(id.b));
    for (uint32_t i = 0; i < snap->nr; i++) {
        const struct server_engine *engine = &snap->engines[i];
        json_t *uris = json_array();

        for (uint32_t u = 0; u < engine->uri_nr; u++) {
            json_array_append_new(uris, json_string(engine->uris[u]));
        }
        json_array_append_new(ranks,
            json_pack("{s:i, s:I, s:o}", "rank", (int)engine->rank, "incarnation",
                (json_int_t)engine->incarnation, "uris", uris));
    }
    root = json_pack("{s:i, s:s, s:s, s:i, s:o}", "version", ATTACH_VERSION, "system",
        server->cfg.name, "uuid", cuuid_format(&id, uuid), "leader", 0, "ranks", ranks);
    text = root != NULL ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(root);
    if (text == NULL)
        return CAIRN_ERR(NOMEM);
    (void)snprintf(path, sizeof(path), "%s/attach.json", server->sys_dir);
    rc = file_replace(path, text, strlen(text));
    free(text);
    return rc;
}

void
server_group_withdraw(struct server *server)
{
    char path[SERVER_PATH_BYTES + 32];

    (void)snprintf(path, sizeof(path), "%s/attach.json", server->sys_dir);
    (void)unlink(path);
}

void
server_group_publish(struct server *server)
{
    struct snapshot *snap;
    int rc;

    (void)pthread_mutex_lock(&server->publish_mutex);
    snap = snapshot_take(server);
    if (snap == NULL) {
        (void)pthread_mutex_unlock(&server->publish_mutex);
        (void)fprintf(stderr, "daos_server: out of memory: the engines were not told of a change\n");
        return;
    }
    for (uint32_t i = 0; i < snap->nr; i++) {
        if (snap->engines[i].state != CAIRN__CTL__RANK_STATE__RANK_JOINED)
            continue;
        rc = update_send(server, snap, &snap->engines[i]);
        if (rc != 0) /* it died again, which its thread sees, and the next update tells it everything */
        {
            (void)fprintf(stderr, "daos_server: engine rank %u did not take group version %llu: %s\n",
                i, (unsigned long long)snap->version, err_text(rc));
        }
    }
    if (snap->is_complete) {
        rc = attach_write(server, snap);
        if (rc != 0) {
            (void)fprintf(stderr, "daos_server: cannot write %s/attach.json: %s\n", server->sys_dir,
                err_text(rc));
        }
    }
    free(snap);
    (void)pthread_mutex_unlock(&server->publish_mutex);
}
