/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The life of one engine process, top to bottom on a thread of its own (server.h). A process is reaped under the mutex, together with clearing its
 * pid, so that nobody signals a stranger that got the number next.
 */
#include "control/server/server.h"

#include "base/ids.h"
#include "control/ctl/ctl_chan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READY_POLL_MS = 10,
    STATUS_TIMEOUT_MS = 5000,
    QUICK_DEATH_S = 10, /* a life shorter than this makes the next pause longer */
    PAUSE_MS_MIN = 50,
    PAUSE_MS_MAX = 10000,
    DIR_WAIT_MS = 3000, /* for the engine of a daos_server that was killed, which is ending */
    DIR_POLL_MS = 50,
    DIR_TRIES_NR_MAX = 8, /* starts that found it held */
    LOG_TAIL_BYTES = 2048,
    EXIT_USE = 2, /* of an engine: wrong options */
};

static double
now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A pause that a stop cuts short. */
static void
pause_ms(struct server *server, uint32_t ms)
{
    struct timespec end;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    (void)pthread_mutex_lock(&server->mutex);
    while (!atomic_load(&server->is_stopping)) {
        if (pthread_cond_timedwait(&server->changed, &server->mutex, &end) == ETIMEDOUT)
            break;
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

static void
info_set(struct server_engine *engine, int rc, const char *text)
{
    (void)pthread_mutex_lock(&engine->server->mutex);
    (void)snprintf(engine->info, sizeof(engine->info), "%s", text);
    engine->rc = rc;
    (void)pthread_mutex_unlock(&engine->server->mutex);
}

/* ---- spawn ---------------------------------------------------------------------------------------------------------------- */

/* In the child, between fork and exec: async-signal-safe calls only. */
static void
child_run(char *const *args, int log_fd, int status_fd, pid_t parent)
{
    sigset_t none;

    /* An engine whose server is gone would serve without anybody who watches it: it ends, too; its data is safe by design. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    (void)setpgid(0, 0); /* Ctrl-C at a terminal is for the server alone, which stops the engines */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)dup2(log_fd, STDOUT_FILENO);
    (void)dup2(log_fd, STDERR_FILENO);
    (void)fcntl(status_fd, F_SETFD, 0); /* goes with it */
    (void)execv(args[0], args);
    _exit(127);
}

struct command {
    char rank[16], targets[16], uri[SERVER_URI_BYTES], meta[32], data[32], mem[32],
        uuid[CUUID_TEXT_BYTES], status[16];
    char devs[SERVER_DEVS_NR_MAX][SERVER_PATH_BYTES + 64];
    char *args[33 + 2 * SERVER_DEVS_NR_MAX];
};

static char *
arg(const char *text)
{
    return (char *)(uintptr_t)text; /* execv() takes them so, and changes nothing */
}

static void
command_fill(struct command *cmd, const struct server_engine *engine, int status_fd)
{
    const struct server *server = engine->server;
    const struct server_engine_cfg *cfg = engine->cfg;
    struct uuid system;
    uint32_t nr = 0;

    memcpy(system.b, server->system_uuid, sizeof(system.b));
    (void)cuuid_format(&system, cmd->uuid);
    (void)snprintf(cmd->rank, sizeof(cmd->rank), "%u", engine->rank);
    (void)snprintf(cmd->targets, sizeof(cmd->targets), "%u", cfg->targets);
    (void)snprintf(cmd->meta, sizeof(cmd->meta), "%llu", (unsigned long long)cfg->meta_bytes);
    (void)snprintf(cmd->mem, sizeof(cmd->mem), "%llu", (unsigned long long)cfg->mem_bytes);
    (void)snprintf(cmd->data, sizeof(cmd->data), "%llu", (unsigned long long)cfg->data_bytes);
    if (server->cfg.provider[0] != '\0') {
        (void)snprintf(cmd->uri, sizeof(cmd->uri), "%s://%s:%u", server->cfg.provider,
            cfg->iface[0] == '\0' || strcmp(cfg->iface, "lo") == 0 ? "127.0.0.1" : cfg->iface,
            cfg->port);
    } else {
        (void)snprintf(cmd->uri, sizeof(cmd->uri), "unix://%.100s", server->sys_dir);
    }
    cmd->args[nr++] = arg(server->engine_path);
    cmd->args[nr++] = arg("--system");
    cmd->args[nr++] = arg(server->cfg.name);
    cmd->args[nr++] = arg("--system-uuid");
    cmd->args[nr++] = cmd->uuid;
    (void)snprintf(cmd->status, sizeof(cmd->status), "%d", status_fd);
    cmd->args[nr++] = arg("--status-fd");
    cmd->args[nr++] = cmd->status;
    cmd->args[nr++] = arg("--rank");
    cmd->args[nr++] = cmd->rank;
    cmd->args[nr++] = arg("--targets");
    cmd->args[nr++] = cmd->targets;
    cmd->args[nr++] = arg("--dir");
    cmd->args[nr++] = arg(cfg->dir);
    cmd->args[nr++] = arg("--uri");
    cmd->args[nr++] = cmd->uri;
    cmd->args[nr++] = arg("--ctl");
    cmd->args[nr++] = arg(engine->ctl_path);
    if (cfg->meta_bytes != 0) {
        cmd->args[nr++] = arg("--meta-bytes");
        cmd->args[nr++] = cmd->meta;
    }
    if (cfg->data_bytes != 0) {
        cmd->args[nr++] = arg("--data-bytes");
        cmd->args[nr++] = cmd->data;
    }
    if (cfg->mem_bytes != 0) {
        cmd->args[nr++] = arg("--mem-bytes");
        cmd->args[nr++] = cmd->mem;
    }
    for (uint32_t i = 0; i < cfg->dev_nr; i++) {
        const struct server_dev_cfg *dev = &cfg->devs[i];
        char bytes[32] = "";

        if (dev->bytes != 0)
            (void)snprintf(bytes, sizeof(bytes), "@%llu", (unsigned long long)dev->bytes);
        (void)snprintf(cmd->devs[i], sizeof(cmd->devs[i]), "%s%s:%s", dev->roles, bytes, dev->path);
        cmd->args[nr++] = arg("--dev");
        cmd->args[nr++] = cmd->devs[i];
    }
    if (cfg->is_pmem)
        cmd->args[nr++] = arg("--pmem");
    if (server->is_format_forced && !engine->was_ready)
        cmd->args[nr++] = arg("--force-format");
    cmd->args[nr] = NULL;
}

/* Where the engine's lines go, and from where on they are those of this life. */
static int
log_open(struct server_engine *engine, int *ret_fd)
{
    int fd = open(engine->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char text[SERVER_ERR_BYTES];
    struct stat st;

    if (fd < 0) {
        int rc = err_from_errno(errno);

        (void)snprintf(text, sizeof(text), "its log_file %s cannot be opened: %s", engine->log_path,
            strerror(errno));
        info_set(engine, rc, text);
        return rc;
    }
    engine->log_off = fstat(fd, &st) == 0 ? st.st_size : 0;
    *ret_fd = fd;
    return 0;
}

static int
spawn(struct server_engine *engine, pid_t *ret_pid)
{
    struct server *server = engine->server;
    struct command cmd;
    pid_t parent = getpid(), pid;
    int log_fd = -1, status_fds[2], rc;

    rc = log_open(engine, &log_fd);
    if (rc != 0)
        return rc;
    if (pipe2(status_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)close(log_fd);
        info_set(engine, CAIRN_ERR(NOMEM),
            "no pipe could be made for it: the system has too many files open");
        return CAIRN_ERR(NOMEM);
    }
    command_fill(&cmd, engine, status_fds[1]);
    (void)unlink(engine->ctl_path); /* of an earlier life, which may still answer there */
    (void)pthread_mutex_lock(&server->mutex);
    pid = atomic_load(&server->is_stopping) ? 0 : fork();
    if (pid == 0 && getpid() != parent)
        child_run(cmd.args, log_fd, status_fds[1], parent);
    if (pid > 0) {
        engine->pid = pid;
        engine->state = CAIRN__CTL__RANK_STATE__RANK_STARTING;
        (void)pthread_cond_broadcast(&server->changed);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    (void)close(log_fd);
    (void)close(status_fds[1]);
    if (pid <= 0)
        (void)close(status_fds[0]);
    if (pid < 0) {
        info_set(
            engine, CAIRN_ERR(NOMEM), "no process could be made for it: the system has too many");
        return CAIRN_ERR(NOMEM);
    }
    if (pid == 0)
        return -DER_CANCELED;
    engine->status_fd = status_fds[0];
    *ret_pid = pid;
    return 0;
}

/* ---- the end of a process ------------------------------------------------------------------------------------------------- */

static bool
has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static void
end_wait(pid_t pid)
{
    siginfo_t info;

    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
        ;
    }
}

/* The last line that this life of the engine wrote; "" if there is none. */
static void
log_last_line(const struct server_engine *engine, char *buf, size_t buf_bytes)
{
    static const char prefix[] = "daos_engine: ";
    char tail[LOG_TAIL_BYTES + 1], *line;
    int fd = open(engine->log_path, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    off_t from = end - LOG_TAIL_BYTES > engine->log_off ? end - LOG_TAIL_BYTES : engine->log_off;
    ssize_t nr = fd >= 0 ? pread(fd, tail, LOG_TAIL_BYTES, from) : 0;

    buf[0] = '\0';
    if (fd >= 0)
        (void)close(fd);
    while (nr > 0 && (tail[nr - 1] == '\n' || tail[nr - 1] == ' ')) {
        nr--;
    }
    if (nr <= 0)
        return;
    tail[nr] = '\0';
    line = strrchr(tail, '\n');
    line = line != NULL ? line + 1 : tail;
    if (strncmp(line, prefix, sizeof(prefix) - 1) == 0)
        line += sizeof(prefix) - 1;
    (void)snprintf(buf, buf_bytes, "%.400s", line);
}

/* What this life said about its start: "CODE LINE\n" (daos_engine.c). 0: nothing, or no such thing. */
static int
status_read(struct server_engine *engine, char *buf, size_t buf_bytes)
{
    char text[SERVER_ERR_BYTES + 64], *end;
    ssize_t nr = read(engine->status_fd, text, sizeof(text) - 1);
    long rc;

    (void)close(engine->status_fd);
    engine->status_fd = -1;
    if (nr <= 0)
        return 0;
    text[nr] = '\0';
    text[strcspn(text, "\n")] = '\0';
    rc = strtol(text, &end, 10);
    if (*end != ' ' || rc >= 0 || rc < -99999 || strcmp(err_name((int)rc), "DER_UNKNOWN") == 0)
        return 0;
    (void)snprintf(buf, buf_bytes, "%.400s", end + 1);
    return (int)rc;
}

/* Reap it, and say why it ended. */
static void
end_take(struct server_engine *engine, pid_t pid)
{
    struct server *server = engine->server;
    char line[SERVER_ERR_BYTES - 64], how[64], text[SERVER_ERR_BYTES];
    bool is_expected, was_ready;
    int status = 0, rc;

    log_last_line(engine, line, sizeof(line));
    rc = status_read(engine, line, sizeof(line));
    (void)pthread_mutex_lock(&server->mutex);
    (void)waitpid(pid, &status, 0);
    if (WIFSIGNALED(status)) {
        (void)snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
    } else {
        (void)snprintf(how, sizeof(how), "exit code %d", WEXITSTATUS(status));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && line[0] == '\0') {
        (void)snprintf(text, sizeof(text), "%s cannot be run", server->engine_path);
        rc = CAIRN_ERR(NONEXIST);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && line[0] != '\0') {
        (void)snprintf(text, sizeof(text), "%s", line);
    } else {
        (void)snprintf(text, sizeof(text), "ended by %s; its log is %.300s", how, engine->log_path);
    }
    (void)snprintf(engine->info, sizeof(engine->info), "%s", text);
    if (rc == 0) { /* it did not say */
        rc = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_USE ? CAIRN_ERR(INVAL)
                                                                  : CAIRN_ERR(SHUTDOWN);
    }
    engine->rc = rc;
    is_expected = atomic_load(&server->is_stopping);
    was_ready = engine->was_ready;
    engine->pid = 0;
    engine->state = CAIRN__CTL__RANK_STATE__RANK_STOPPED;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
    if (!is_expected && was_ready) {
        (void)fprintf(stderr, "daos_server: engine rank %u (pid %d) ended by %s%s%s\n",
            engine->rank, (int)pid, how, WIFEXITED(status) && line[0] != '\0' ? ": " : "",
            WIFEXITED(status) ? line : "");
    }
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
    engine->state = CAIRN__CTL__RANK_STATE__RANK_JOINED;
    engine->was_ready = true;
    engine->info[0] = '\0';
    engine->rc = 0;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* One question to the process `pid`: 0 ready, BUSY not yet, or an error. */
static int
status_ask(struct server_engine *engine, struct ctl_chan *chan, pid_t pid)
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
    rc = -DER_BUSY;
    if (rep->self != NULL && rep->self->pid != (uint32_t)pid) {
        rc = CAIRN_ERR(MISMATCH);
    } else if (rep->self != NULL && rep->ready) {
        status_take(engine, rep);
        rc = 0;
    }
    cairn__ctl__engine_status_rep__free_unpacked(rep, NULL);
    return rc;
}

static bool
wait_ready(struct server_engine *engine, pid_t pid)
{
    const struct timespec pause = {.tv_nsec = READY_POLL_MS * 1000000};
    struct ctl_chan *chan = NULL;
    bool is_ready = false;

    while (!is_ready && !has_ended(pid)) {
        if (chan == NULL)
            (void)(ctl_chan_connect(engine->ctl_path, &chan) == 0); /* not there yet: again */
        if (chan != NULL) {
            int rc = status_ask(engine, chan, pid);

            is_ready = rc == 0;
            if (rc != 0 && rc != -DER_BUSY) {
                ctl_chan_close(chan);
                chan = NULL;
            }
        }
        if (!is_ready)
            (void)nanosleep(&pause, NULL);
    }
    ctl_chan_close(chan);
    return is_ready;
}

/* ---- from life to life ------------------------------------------------------------------------------------------------------ */

/* Somebody has the storage. */
static bool
dir_is_locked(const struct server_engine *engine)
{
    char path[SERVER_PATH_BYTES + 8];
    bool is_locked;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/LOCK", engine->cfg->dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    is_locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    (void)close(fd); /* gives up the lock, too */
    return is_locked;
}

/*
 * The first start failed. When the storage is held by another process, it may be an engine that ends because its server was killed: wait a little. True when
 * another try makes sense.
 */
static bool
dir_wait(struct server_engine *engine)
{
    struct server *server = engine->server;

    if (!dir_is_locked(engine)) /* no longer: its holder ended after the engine had looked */
        return strstr(engine->info, "is in use by process") != NULL;
    (void)fprintf(stderr, "daos_server: engine rank %u: %s: waiting %d s for it\n", engine->rank,
        engine->info, DIR_WAIT_MS / 1000);
    for (uint32_t i = 0; i < DIR_WAIT_MS / DIR_POLL_MS; i++) {
        pause_ms(server, DIR_POLL_MS);
        if (atomic_load(&server->is_stopping))
            return false;
        if (!dir_is_locked(engine))
            return true;
    }
    return false;
}

static void
failed_set(struct server_engine *engine)
{
    (void)pthread_mutex_lock(&engine->server->mutex);
    engine->state = CAIRN__CTL__RANK_STATE__RANK_ERRORED;
    engine->has_failed = true;
    (void)pthread_cond_broadcast(&engine->server->changed);
    (void)pthread_mutex_unlock(&engine->server->mutex);
}

/* Does the same start come to the same end, until somebody changes the configuration or the storage? */
static bool
is_final(int rc)
{
    return rc == -DER_INVAL || rc == -DER_MISMATCH || rc == -DER_DF_INCOMPT || rc == -DER_DF_INVAL;
}

static void *
engine_thread(void *thread_arg)
{
    struct server_engine *engine = thread_arg;
    struct server *server = engine->server;
    uint32_t pause = 0, dir_tries_nr = 0;

    while (!atomic_load(&server->is_stopping)) {
        double start_s = now_s();
        pid_t pid = 0;
        int rc = spawn(engine, &pid);

        if (rc == 0) {
            if (wait_ready(engine, pid)) {
                (void)fprintf(stderr,
                    "daos_server: engine rank %u ready (pid %d, incarnation %llu)\n", engine->rank,
                    (int)pid, (unsigned long long)engine->incarnation);
                server_group_publish(server);
                end_wait(pid);
            }
            end_take(engine, pid);
        }
        if (atomic_load(&server->is_stopping))
            break;
        if (!engine->was_ready) { /* it never worked: repeating does not help, main reports it */
            if (rc == 0 && ++dir_tries_nr <= DIR_TRIES_NR_MAX && dir_wait(engine))
                continue;
            failed_set(engine);
            break;
        }
        if (is_final(engine->rc)) { /* only this thread writes it */
            (void)fprintf(stderr, "daos_server: engine rank %u is not started again: %s\n",
                engine->rank, engine->info);
            failed_set(engine);
            server_group_publish(server);
            break;
        }
        server_group_publish(server);
        if (now_s() - start_s >= QUICK_DEATH_S) {
            pause = 0;
        } else {
            pause = pause == 0 ? PAUSE_MS_MIN : pause * 2;
            pause = pause > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause;
        }
        pause_ms(server, pause);
    }
    return NULL;
}

void
server_engines_init(struct server *server)
{
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        struct server_engine *engine = &server->engines[i];

        engine->server = server;
        engine->cfg = &server->cfg.engines[i];
        engine->rank = i;
        engine->status_fd = -1;
        engine->state = CAIRN__CTL__RANK_STATE__RANK_STARTING;
        (void)snprintf(
            engine->ctl_path, sizeof(engine->ctl_path), "%.150s/engine%u.ctl", server->sys_dir, i);
        if (engine->cfg->log_file[0] != '\0') {
            (void)snprintf(engine->log_path, sizeof(engine->log_path), "%s", engine->cfg->log_file);
        } else {
            (void)snprintf(engine->log_path, sizeof(engine->log_path), "%.150s/engine%u.log",
                server->sys_dir, i);
            (void)unlink(engine->log_path); /* of an earlier server */
        }
    }
}

int
server_engines_start(struct server *server)
{
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        struct server_engine *engine = &server->engines[i];

        if (pthread_create(&engine->thread, NULL, engine_thread, engine) != 0)
            return CAIRN_ERR(NOMEM);
        engine->has_thread = true;
    }
    return 0;
}

uint32_t
server_engines_signal(struct server *server, int sig)
{
    uint32_t nr = 0;

    (void)pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        if (server->engines[i].pid == 0)
            continue;
        if (sig != 0)
            (void)kill(server->engines[i].pid, sig); /* not yet reaped: the number is its own */
        nr++;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return nr;
}

void
server_engines_join(struct server *server)
{
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        struct server_engine *engine = &server->engines[i];

        if (engine->has_thread)
            (void)pthread_join(engine->thread, NULL);
        engine->has_thread = false;
        (void)unlink(engine->ctl_path);
        for (uint32_t u = 0; u < engine->uri_nr; u++) { /* of one that was killed */
            if (strncmp(engine->uris[u], "unix:///", 8) == 0)
                (void)unlink(engine->uris[u] + 7);
        }
    }
}
