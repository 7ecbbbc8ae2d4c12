/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The life of one engine process, top to bottom on a thread of its own (server.h). */
#include "control/server/server.h"

#include "control/ctl/ctl_chan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_POLL_MS = 10,
    STATUS_TIMEOUT_MS = 5000,
    STOP_TIMEOUT_S = 30,
    QUICK_DEATH_S = 10, /* a life shorter than this counts as failed to start */
    PAUSE_MS_MAX = 10000,
    FIRST_DEATHS_NR_MAX = 1, /* an engine that was never ready is not tried again */
};

static void
sleep_ms(uint32_t ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&pause, NULL);
}

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
state_set(struct server_engine *engine, Cairn__Ctl__RankState state, pid_t pid)
{
    struct server *server = engine->server;

    (void)pthread_mutex_lock(&server->mutex);
    engine->state = state;
    engine->pid = pid;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* ---- spawn ---------------------------------------------------------------------------------------------------------------- */

/* In the child, between fork and exec: async-signal-safe calls only. */
static void
child_run(const struct server_engine *engine, char *const *args, pid_t parent)
{
    sigset_t none;

    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(126); /* the server died meanwhile */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (engine->cfg->log_file[0] != '\0') {
        int fd = open(engine->cfg->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        if (fd >= 0) {
            (void)dup2(fd, STDOUT_FILENO);
            (void)dup2(fd, STDERR_FILENO);
        }
    }
    (void)execv(args[0], args);
    _exit(127);
}

static int
spawn(struct server_engine *engine, pid_t *ret_pid)
{
    const struct server *server = engine->server;
    const struct server_engine_cfg *cfg = engine->cfg;
    char rank[16], targets[16], uri[SERVER_URI_BYTES], meta[32], data[32];
    char *args[24];
    pid_t parent = getpid(), pid;
    uint32_t nr = 0;

    (void)snprintf(rank, sizeof(rank), "%u", engine->rank);
    (void)snprintf(targets, sizeof(targets), "%u", cfg->targets);
    (void)snprintf(meta, sizeof(meta), "%llu", (unsigned long long)cfg->meta_bytes);
    (void)snprintf(data, sizeof(data), "%llu", (unsigned long long)cfg->data_bytes);
    if (server->cfg.is_tcp) {
        (void)snprintf(uri, sizeof(uri), "tcp://%s:%u",
            cfg->iface[0] == '\0' || strcmp(cfg->iface, "lo") == 0 ? "127.0.0.1" : cfg->iface,
            cfg->port);
    } else {
        (void)snprintf(uri, sizeof(uri), "unix://%.100s", server->sys_dir);
    }
    args[nr++] = (char *)(uintptr_t)server->engine_path;
    args[nr++] = (char *)(uintptr_t) "--system";
    args[nr++] = (char *)(uintptr_t)server->cfg.name;
    args[nr++] = (char *)(uintptr_t) "--rank";
    args[nr++] = rank;
    args[nr++] = (char *)(uintptr_t) "--targets";
    args[nr++] = targets;
    args[nr++] = (char *)(uintptr_t) "--dir";
    args[nr++] = (char *)(uintptr_t)cfg->dir;
    args[nr++] = (char *)(uintptr_t) "--uri";
    args[nr++] = uri;
    args[nr++] = (char *)(uintptr_t) "--ctl";
    args[nr++] = (char *)(uintptr_t)engine->ctl_path;
    if (cfg->meta_bytes != 0) {
        args[nr++] = (char *)(uintptr_t) "--meta-bytes";
        args[nr++] = meta;
    }
    if (cfg->data_bytes != 0) {
        args[nr++] = (char *)(uintptr_t) "--data-bytes";
        args[nr++] = data;
    }
    args[nr] = NULL;
    pid = fork();
    if (pid < 0)
        return err_from_errno(errno);
    if (pid == 0)
        child_run(engine, args, parent);
    *ret_pid = pid;
    return 0;
}

/* ---- ready ---------------------------------------------------------------------------------------------------------------- */

static void
status_take(struct server_engine *engine, const Cairn__Ctl__EngineStatusRep *rep)
{
    struct server *server = engine->server;

    (void)pthread_mutex_lock(&server->mutex);
    engine->incarnation = rep->self->incarnation;
    engine->uri_nr = 0;
    for (size_t i = 0; i < rep->self->n_uris && i < SERVER_URIS_NR_MAX; i++) {
        (void)snprintf(engine->uris[i], SERVER_URI_BYTES, "%s", rep->self->uris[i]);
        engine->uri_nr++;
    }
    if (rep->system_uuid.len == sizeof(server->system_uuid))
        memcpy(server->system_uuid, rep->system_uuid.data, sizeof(server->system_uuid));
    engine->state = CAIRN__CTL__RANK_STATE__RANK_JOINED;
    engine->was_ready = true;
    engine->info[0] = '\0';
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* One question: 0 ready, BUSY not yet, or an error. */
static int
status_ask(struct server_engine *engine, struct ctl_chan *chan)
{
    Cairn__Ctl__EngineStatusRep *rep;
    char err[SERVER_ERR_BYTES];
    uint8_t *body;
    size_t len;
    int rc = ctl_call(chan, CAIRN__CTL__METHOD__ENGINE_STATUS, NULL, STATUS_TIMEOUT_MS, err,
        sizeof(err), &body, &len);

    if (rc != 0)
        return rc;
    rep = cairn__ctl__engine_status_rep__unpack(NULL, len, body);
    free(body);
    if (rep == NULL)
        return CAIRN_ERR(PROTO);
    if (rep->storage == CAIRN__CTL__STORAGE_STATE__STORAGE_FAILED) {
        (void)pthread_mutex_lock(&engine->server->mutex);
        (void)snprintf(engine->info, sizeof(engine->info), "%s", rep->error);
        (void)pthread_mutex_unlock(&engine->server->mutex);
    }
    rc = rep->ready && rep->self != NULL ? 0 : -DER_BUSY;
    if (rc == 0)
        status_take(engine, rep);
    cairn__ctl__engine_status_rep__free_unpacked(rep, NULL);
    return rc;
}

/* True when the process has ended; it is reaped then. */
static bool
has_ended(pid_t pid, int *ret_status)
{
    return waitpid(pid, ret_status, WNOHANG) == pid;
}

static bool
wait_ready(struct server_engine *engine, pid_t pid, int *ret_status)
{
    struct ctl_chan *chan = NULL;
    bool is_ready = false;

    while (!is_ready && !has_ended(pid, ret_status)) {
        if (chan == NULL)
            (void)(ctl_chan_connect(engine->ctl_path, &chan) == 0); /* not there yet: again */
        if (chan != NULL) {
            int rc = status_ask(engine, chan);

            is_ready = rc == 0;
            if (rc != 0 && rc != -DER_BUSY) {
                ctl_chan_close(chan);
                chan = NULL;
            }
        }
        if (!is_ready)
            sleep_ms(READY_POLL_MS);
    }
    ctl_chan_close(chan);
    return is_ready;
}

static void
end_tell(struct server_engine *engine, pid_t pid, int status, bool is_stopping)
{
    struct server *server = engine->server;
    char how[64];

    if (WIFSIGNALED(status)) {
        (void)snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
    } else {
        (void)snprintf(how, sizeof(how), "exit code %d", WEXITSTATUS(status));
    }
    (void)pthread_mutex_lock(&server->mutex);
    if (engine->info[0] == '\0')
        (void)snprintf(engine->info, sizeof(engine->info), "ended by %s", how);
    (void)pthread_mutex_unlock(&server->mutex);
    if (!is_stopping) {
        (void)fprintf(stderr, "daos_server: engine rank %u (pid %d) ended by %s\n", engine->rank,
            (int)pid, how);
    }
}

static void *
engine_thread(void *arg)
{
    struct server_engine *engine = arg;
    struct server *server = engine->server;
    uint32_t pause_ms = 0;

    while (!atomic_load(&server->is_stopping)) {
        double start_s = now_s();
        int status = 0;
        pid_t pid = 0;
        int rc;

        (void)pthread_mutex_lock(&server->mutex);
        engine->info[0] = '\0';
        (void)pthread_mutex_unlock(&server->mutex);
        rc = spawn(engine, &pid);
        if (rc != 0) {
            (void)fprintf(stderr, "daos_server: cannot start engine rank %u: %s\n", engine->rank,
                err_text(rc));
            break;
        }
        state_set(engine, CAIRN__CTL__RANK_STATE__RANK_STARTING, pid);
        if (wait_ready(engine, pid, &status)) {
            (void)fprintf(stderr, "daos_server: engine rank %u ready (pid %d, incarnation %llu)\n",
                engine->rank, (int)pid, (unsigned long long)engine->incarnation);
            server_group_publish(server);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
                ;
            }
        }
        end_tell(engine, pid, status, atomic_load(&server->is_stopping));
        state_set(engine, CAIRN__CTL__RANK_STATE__RANK_STOPPED, 0);
        if (atomic_load(&server->is_stopping))
            break;
        if (!engine->was_ready)
            break; /* it never worked: repeating does not help, main reports it */
        server_group_publish(server);
        pause_ms = now_s() - start_s < QUICK_DEATH_S ? (pause_ms == 0 ? 50 : pause_ms * 2) : 0;
        if (pause_ms > PAUSE_MS_MAX)
            pause_ms = PAUSE_MS_MAX;
        sleep_ms(pause_ms);
    }
    return NULL;
}

int
server_engine_start(struct server *server, uint32_t rank)
{
    struct server_engine *engine = &server->engines[rank];

    engine->server = server;
    engine->cfg = &server->cfg.engines[rank];
    engine->rank = rank;
    engine->state = CAIRN__CTL__RANK_STATE__RANK_STARTING;
    (void)snprintf(
        engine->ctl_path, sizeof(engine->ctl_path), "%.150s/engine%u.ctl", server->sys_dir, rank);
    if (pthread_create(&engine->thread, NULL, engine_thread, engine) != 0)
        return CAIRN_ERR(NOMEM);
    engine->has_thread = true;
    return 0;
}

void
server_engine_stop(struct server_engine *engine)
{
    struct server *server = engine->server;
    struct timespec end;
    pid_t pid;

    if (server == NULL || !engine->has_thread)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += STOP_TIMEOUT_S;
    (void)pthread_mutex_lock(&server->mutex);
    pid = engine->pid;
    if (pid > 0) {
        (void)kill(
            pid, SIGTERM); /* not yet reaped: the pid is ours, reaping needs the mutex to say so */
    }
    while (engine->pid != 0) {
        if (pthread_cond_timedwait(&server->changed, &server->mutex, &end) != ETIMEDOUT)
            continue;
        (void)fprintf(stderr, "daos_server: engine rank %u (pid %d) does not stop: killing it\n",
            engine->rank, (int)pid);
        (void)kill(engine->pid, SIGKILL);
        end.tv_sec += STOP_TIMEOUT_S;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    (void)pthread_join(engine->thread, NULL);
    engine->has_thread = false;
}
