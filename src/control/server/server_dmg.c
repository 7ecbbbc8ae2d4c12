/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The control socket: dmg's requests. What concerns the system's liveness is answered here, pools are the affair of the engine that leads the system service. */
#include "control/server/server.h"

#include "control/ctl/ctl_chan.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ACCEPT_POLL_MS = 100,
    IDLE_TIMEOUT_MS = 60000,
    STATUS_TIMEOUT_MS = 2000, /* of all engines together */
    RELAY_TIMEOUT_MS = 120000,
    RELAY_PAUSE_MS = 50,
    LEADER_RANK = 0,
    CONNS_END_S = 5,
};

struct conn {
    struct server *server;
    struct ctl_chan *chan;
    uint32_t slot; /* of conn_fds */
};

/* ---- answers ---------------------------------------------------------------------------------------------------------------- */

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Why the leader's engine is not there: its code and line; 0: it said nothing. */
static int
leader_cause(struct server *server, bool *ret_is_final, char *err, size_t err_bytes)
{
    const struct server_engine *engine = &server->engines[LEADER_RANK];
    int rc;

    (void)pthread_mutex_lock(&server->mutex);
    *ret_is_final = engine->has_failed;
    rc = engine->rc;
    if (rc != 0) {
        (void)snprintf(
            err, err_bytes, "engine rank %d does not start: %.400s", LEADER_RANK, engine->info);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return rc;
}

/* Ask the leader's engine; while it restarts, wait: every pool method may be repeated (its request carries its own identity). */
static int
relay(struct server *server, const Cairn__Ctl__Envelope *req, char *err, size_t err_bytes,
    uint8_t **ret_body, size_t *ret_len)
{
    const struct timespec pause = {.tv_nsec = RELAY_PAUSE_MS * 1000000};
    int64_t end_ms = now_ms() + RELAY_TIMEOUT_MS;
    bool is_final = false;
    int rc;

    /* The body is passed on as it is: an Envelope's bytes need no unpacking here. */
    while (!is_final && now_ms() < end_ms && !atomic_load(&server->is_stopping)) {
        struct ctl_chan *chan = NULL;

        err[0] = '\0';
        rc = ctl_chan_connect(server->engines[LEADER_RANK].ctl_path, &chan);
        if (rc == 0)
            rc = ctl_relay(chan, req, RELAY_TIMEOUT_MS, err, err_bytes, ret_body, ret_len);
        ctl_chan_close(chan);
        if (rc != -DER_UNREACH || err[0] != '\0') /* a line: the engine's own answer */
            return rc;
        rc = leader_cause(server, &is_final, err, err_bytes);
        if (!is_final)
            (void)nanosleep(&pause, NULL);
    }
    rc = leader_cause(server, &is_final, err, err_bytes);
    if (rc != 0)
        return rc;
    (void)snprintf(err, err_bytes,
        "the engine of rank %d does not answer: `dmg system query` shows why", LEADER_RANK);
    return CAIRN_ERR(UNREACH);
}

/*
 * What the engine of a rank says of its targets and services now; NULL: it does not answer until end_ms, which is at least a moment. Free with
 * _free_unpacked().
 */
static Cairn__Ctl__EngineStatusRep *
engine_status(struct server *server, uint32_t rank, int64_t end_ms)
{
    Cairn__Ctl__EngineStatusRep *rep = NULL;
    struct ctl_chan *chan = NULL;
    char err[SERVER_ERR_BYTES];
    uint8_t *body = NULL;
    int64_t left_ms = end_ms - now_ms();
    bool is_joined;
    size_t len = 0;
    int rc;

    (void)pthread_mutex_lock(&server->mutex);
    is_joined = server->engines[rank].state == CAIRN__CTL__RANK_STATE__RANK_JOINED;
    (void)pthread_mutex_unlock(&server->mutex);
    if (!is_joined || ctl_chan_connect(server->engines[rank].ctl_path, &chan) != 0)
        return NULL;
    rc = ctl_call(chan, CAIRN__CTL__METHOD__ENGINE_STATUS, NULL, left_ms < 20 ? 20 : (int)left_ms,
        err, sizeof(err), &body, &len);
    if (rc == 0) {
        rep = cairn__ctl__engine_status_rep__unpack(NULL, len, body);
        free(body);
    }
    ctl_chan_close(chan);
    return rep;
}

/* Put what is out of service into the answer; what is not NULL of `rep` stays borrowed. */
static void
status_show(Cairn__Ctl__Rank *rank, Cairn__Ctl__EngineStatusRep *rep)
{
    if (rep == NULL)
        return;
    rank->bad_targets = rep->targets;
    for (size_t i = 0; i < rep->n_targets; i++) {
        Cairn__Ctl__TargetStatus *target = rep->targets[i];

        if (target->rc == 0)
            continue;
        rep->targets[i] = rep->targets[rank->n_bad_targets]; /* the bad ones come first */
        rep->targets[rank->n_bad_targets++] = target;
    }
    if (rep->rc != 0 && rep->error[0] != '\0') {
        rank->info = rep->error;
        rank->rc = rep->rc;
    }
}

static int
system_query(struct server *server, uint8_t **ret_body, size_t *ret_len)
{
    Cairn__Ctl__SystemQueryRep rep = CAIRN__CTL__SYSTEM_QUERY_REP__INIT;
    uint32_t nr = server->cfg.engine_nr;
    Cairn__Ctl__Rank *ranks = calloc(nr, sizeof(*ranks));
    Cairn__Ctl__Rank **list = calloc(nr, sizeof(*list));
    char **uris = calloc(nr, sizeof(*uris));
    int64_t end_ms = now_ms() + STATUS_TIMEOUT_MS;
    Cairn__Ctl__EngineStatusRep **status = calloc(nr, sizeof(*status));
    int rc = CAIRN_ERR(NOMEM);

    if (ranks == NULL || list == NULL || uris == NULL || status == NULL)
        goto out;
    for (uint32_t i = 0; i < nr; i++) {
        status[i] = engine_status(server, i, end_ms);
    }
    (void)pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; i < nr; i++) {
        struct server_engine *engine = &server->engines[i];

        cairn__ctl__rank__init(&ranks[i]);
        uris[i] = engine->uris[0];
        ranks[i].rank = i;
        ranks[i].incarnation = engine->incarnation;
        ranks[i].n_uris = engine->uri_nr > 0 ? 1 : 0;
        ranks[i].uris = &uris[i];
        ranks[i].state = engine->state;
        ranks[i].targets = engine->cfg->targets;
        ranks[i].info = engine->info;
        ranks[i].pid = (uint32_t)engine->pid;
        ranks[i].rc = engine->rc;
        status_show(&ranks[i], status[i]);
        list[i] = &ranks[i];
    }
    rep.n_members = nr;
    rep.members = list;
    rep.leader = LEADER_RANK;
    rep.group_version = server->group_version;
    rep.system_uuid =
        (ProtobufCBinaryData){.len = sizeof(server->system_uuid), .data = server->system_uuid};
    rep.system = server->cfg.name;
    *ret_len = cairn__ctl__system_query_rep__get_packed_size(&rep);
    *ret_body = malloc(*ret_len + 1);
    if (*ret_body != NULL) {
        (void)cairn__ctl__system_query_rep__pack(&rep, *ret_body);
        rc = 0;
    }
    (void)pthread_mutex_unlock(&server->mutex);
out:
    for (uint32_t i = 0; status != NULL && i < nr; i++) {
        if (status[i] != NULL)
            cairn__ctl__engine_status_rep__free_unpacked(status[i], NULL);
    }
    free(status);
    free(uris);
    free(list);
    free(ranks);
    return rc;
}

/* What an engine says of its storage; what it does not say is said in its place. */
static void
storage_of(struct server *server, uint32_t rank, int64_t end_ms, Cairn__Ctl__EngineStorage *self,
    Cairn__Ctl__StorageQueryRep **ret_rep, char err[SERVER_ERR_BYTES])
{
    int64_t left_ms = end_ms - now_ms();
    struct ctl_chan *chan = NULL;
    uint8_t *body = NULL;
    size_t len = 0;
    int rc;

    err[0] = '\0';
    rc = ctl_chan_connect(server->engines[rank].ctl_path, &chan);
    if (rc == 0) {
        rc = ctl_call(chan, CAIRN__CTL__METHOD__STORAGE_QUERY, NULL,
            left_ms < 20 ? 20 : (int)left_ms, err, SERVER_ERR_BYTES, &body, &len);
    }
    ctl_chan_close(chan);
    if (rc == 0)
        *ret_rep = cairn__ctl__storage_query_rep__unpack(NULL, len, body);
    free(body);
    if (rc == 0 && *ret_rep != NULL && (*ret_rep)->n_engines == 1) {
        *self = *(*ret_rep)->engines[0];
        return;
    }
    self->rc = rc != 0 ? rc : CAIRN_ERR(PROTO);
    if (err[0] == '\0') {
        (void)snprintf(
            err, SERVER_ERR_BYTES, "the engine does not answer: `dmg system query` shows why");
    }
    self->error = err;
}

static int
storage_query(struct server *server, uint8_t **ret_body, size_t *ret_len)
{
    Cairn__Ctl__StorageQueryRep rep = CAIRN__CTL__STORAGE_QUERY_REP__INIT;
    uint32_t nr = server->cfg.engine_nr;
    Cairn__Ctl__EngineStorage *engines = calloc(nr, sizeof(*engines));
    Cairn__Ctl__EngineStorage **list = calloc(nr, sizeof(*list));
    Cairn__Ctl__StorageQueryRep **reps = calloc(nr, sizeof(*reps));
    char(*errs)[SERVER_ERR_BYTES] = calloc(nr, sizeof(*errs));
    int64_t end_ms = now_ms() + STATUS_TIMEOUT_MS;
    int rc = CAIRN_ERR(NOMEM);

    if (engines == NULL || list == NULL || reps == NULL || errs == NULL)
        goto out;
    for (uint32_t i = 0; i < nr; i++) {
        cairn__ctl__engine_storage__init(&engines[i]);
        storage_of(server, i, end_ms, &engines[i], &reps[i], errs[i]);
        engines[i].rank = i;
        list[i] = &engines[i];
    }
    rep.n_engines = nr;
    rep.engines = list;
    *ret_len = cairn__ctl__storage_query_rep__get_packed_size(&rep);
    *ret_body = malloc(*ret_len + 1);
    if (*ret_body != NULL) {
        (void)cairn__ctl__storage_query_rep__pack(&rep, *ret_body);
        rc = 0;
    }
out:
    for (uint32_t i = 0; reps != NULL && i < nr; i++) {
        if (reps[i] != NULL)
            cairn__ctl__storage_query_rep__free_unpacked(reps[i], NULL);
    }
    free(errs);
    free(reps);
    free(list);
    free(engines);
    return rc;
}

static int
answer(struct server *server, const Cairn__Ctl__Envelope *req, char *err, size_t err_bytes,
    uint8_t **ret_body, size_t *ret_len)
{
    switch (req->method) {
    case CAIRN__CTL__METHOD__PING:
        return 0;
    case CAIRN__CTL__METHOD__SYSTEM_QUERY:
        return system_query(server, ret_body, ret_len);
    case CAIRN__CTL__METHOD__STORAGE_QUERY:
        return storage_query(server, ret_body, ret_len);
    case CAIRN__CTL__METHOD__POOL_SET_PROP:
    case CAIRN__CTL__METHOD__POOL_QUERY_TARGETS:
    case CAIRN__CTL__METHOD__POOL_CREATE:
    case CAIRN__CTL__METHOD__POOL_DESTROY:
    case CAIRN__CTL__METHOD__POOL_EVICT:
    case CAIRN__CTL__METHOD__POOL_LIST:
    case CAIRN__CTL__METHOD__POOL_QUERY:
        return relay(server, req, err, err_bytes, ret_body, ret_len);
    default:
        (void)snprintf(err, err_bytes, "method %d is not for daos_server", (int)req->method);
        return CAIRN_ERR(NOSYS);
    }
}

/* ---- connections -------------------------------------------------------------------------------------------------------------- */

/* Close it, and give its slot back: the descriptor is not shut down by server_dmg_stop() once it is another one's. */
static void
conn_end(struct conn *conn)
{
    struct server *server = conn->server;

    (void)pthread_mutex_lock(&server->mutex);
    server->conn_fds[conn->slot] = -1;
    ctl_chan_close(conn->chan);
    server->conn_nr--;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
    free(conn);
}

static void *
conn_thread(void *arg)
{
    struct conn *conn = arg;
    struct server *server = conn->server;
    Cairn__Ctl__Envelope *req;

    while (!atomic_load(&server->is_stopping) &&
        ctl_chan_recv(conn->chan, IDLE_TIMEOUT_MS, &req) == 0) {
        Cairn__Ctl__Envelope rep = CAIRN__CTL__ENVELOPE__INIT;
        char err[SERVER_ERR_BYTES] = "";
        uint8_t *body = NULL;
        size_t len = 0;
        int rc;

        rep.version = req->version;
        rep.id = req->id;
        rep.method = req->method;
        rep.is_reply = true;
        rep.rc = answer(server, req, err, sizeof(err), &body, &len);
        rep.error = err;
        rep.body = (ProtobufCBinaryData){.len = rep.rc == 0 ? len : 0, .data = body};
        rc = ctl_chan_reply(conn->chan, &rep);
        if (rc == -DER_OVERFLOW) {
            rep.rc = rc;
            rep.error = (char *)(uintptr_t) "the answer is longer than 1 MiB";
            rep.body.len = 0;
            rc = ctl_chan_reply(conn->chan, &rep);
        }
        free(body);
        cairn__ctl__envelope__free_unpacked(req, NULL);
        if (rc != 0)
            break;
    }
    conn_end(conn);
    return NULL;
}

/* False: as many as may be are being served. */
static bool
conn_slot_take(struct server *server, int fd, uint32_t *ret_slot)
{
    bool has_slot = false;

    (void)pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; !has_slot && i < SERVER_CONNS_NR_MAX; i++) {
        if (server->conn_fds[i] >= 0)
            continue;
        server->conn_fds[i] = fd;
        server->conn_nr++;
        *ret_slot = i;
        has_slot = true;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return has_slot;
}

static void
conn_start(struct server *server, int fd)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    pthread_attr_t attr;
    pthread_t thread;

    if (conn == NULL || ctl_chan_wrap(fd, &conn->chan) != 0) {
        if (conn == NULL)
            (void)close(fd);
        free(conn);
        return;
    }
    conn->server = server;
    if (!conn_slot_take(server, fd, &conn->slot)) {
        ctl_chan_close(conn->chan); /* the other end sees it at once */
        free(conn);
        return;
    }
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, conn_thread, conn) != 0)
        conn_end(conn);
    (void)pthread_attr_destroy(&attr);
}

void *
server_dmg_thread(void *arg)
{
    struct server *server = arg;

    while (!atomic_load(&server->is_stopping)) {
        struct pollfd pfd = {.fd = server->listen_fd, .events = POLLIN};
        int fd;

        if (poll(&pfd, 1, ACCEPT_POLL_MS) <= 0)
            continue;
        fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            conn_start(server, fd);
    }
    return NULL;
}

bool
server_dmg_stop(struct server *server)
{
    struct timespec end;
    bool is_empty;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += CONNS_END_S;
    (void)pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; i < SERVER_CONNS_NR_MAX; i++) {
        if (server->conn_fds[i] >= 0)
            (void)shutdown(server->conn_fds[i], SHUT_RDWR);
    }
    while (server->conn_nr > 0) {
        if (pthread_cond_timedwait(&server->changed, &server->mutex, &end) == ETIMEDOUT)
            break;
    }
    is_empty = server->conn_nr == 0;
    (void)pthread_mutex_unlock(&server->mutex);
    return is_empty;
}
