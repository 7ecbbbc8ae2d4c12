/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos_server start -o FILE: runs in the foreground until SIGTERM or SIGINT; "ready" on standard output says that clients can connect. A second signal, or
 * STOP_TIMEOUT_S, ends engines that do not stop.
 */
#include "control/cli/cli.h"
#include "control/ctl/ctl_chan.h"
#include "control/server/server.h"
#include "daos_version.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { STOP_TIMEOUT_S = 30, KILL_TIMEOUT_S = 30, START_NOTE_S = 10, POLL_MS = 20 };
/* Socket paths end at 107 characters, and URIs of engines are made of them. */
enum { SYS_DIR_CHARS_MAX = 80 };

static void
usage(FILE *to)
{
    (void)fprintf(to,
        "usage: daos_server start -o FILE [--force-format]   start and watch the engines named in "
        "a YAML file;\n"
        "                                  --force-format: format their devices whatever else "
        "those hold\n"
        "       daos_server version\n");
}

/* mkdir -p, private to the user. */
static int
dirs_make(const char *path)
{
    char part[SERVER_PATH_BYTES];

    for (size_t i = 1; i <= strlen(path) && i < sizeof(part); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return err_from_errno(errno);
    }
    return 0;
}

/* Does the directory lie, or would it lie, in memory? */
static bool
is_in_memory(const char *dir)
{
    char path[SERVER_PATH_BYTES];
    struct statfs sfs;

    (void)snprintf(path, sizeof(path), "%s", dir);
    while (statfs(path, &sfs) != 0) {
        char *slash = strrchr(path, '/');

        if (errno != ENOENT || slash == NULL || slash == path)
            return false;
        *slash = '\0';
    }
    return sfs.f_type == TMPFS_MAGIC || sfs.f_type == RAMFS_MAGIC;
}

/* ST-10: class ram on a disk would be as slow as the disk, and look durable. CAIRN_RAM_ANYWHERE=1, for tests, allows it. */
static int
ram_check(struct cli *cli, const struct server *server)
{
    const char *env = getenv("CAIRN_RAM_ANYWHERE");

    if (env != NULL && strcmp(env, "1") == 0)
        return 0;
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        const struct server_engine_cfg *engine = &server->cfg.engines[i];

        if (engine->is_pmem && is_in_memory(engine->dir)) {
            return cli_fail(cli, -DER_INVAL,
                "engine %u: scm_mount %s is on a tmpfs, which is not persistent: use class ram, or "
                "the "
                "file system of persistent memory",
                i, engine->dir);
        }
        if (engine->is_ram && !is_in_memory(engine->dir)) {
            return cli_fail(cli, -DER_INVAL,
                "engine %u: scm_mount %s is not on a tmpfs, as class ram wants it: mount one there "
                "(mount -t tmpfs), or use class file",
                i, engine->dir);
        }
    }
    return 0;
}

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* daos_engine lies beside this program, or where the build tree has it; CAIRN_ENGINE names another one. */
static int
engine_path_find(struct server *server)
{
    static const char *const places[] = {"daos_engine", "../engine/main/daos_engine"};
    const char *env = getenv("CAIRN_ENGINE");
    char self[PATH_MAX];
    const char *dir;
    ssize_t len;

    if (env != NULL && env[0] != '\0') {
        (void)snprintf(server->engine_path, sizeof(server->engine_path), "%s", env);
        return access(server->engine_path, X_OK) == 0 ? 0 : CAIRN_ERR(NONEXIST);
    }
    len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len <= 0)
        return CAIRN_ERR(NONEXIST);
    self[len] = '\0';
    dir = dirname(self);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int path_len =
            snprintf(server->engine_path, sizeof(server->engine_path), "%s/%s", dir, places[i]);

        if (path_len < (int)sizeof(server->engine_path) && access(server->engine_path, X_OK) == 0)
            return 0;
    }
    (void)snprintf(server->engine_path, sizeof(server->engine_path), "%.150s/daos_engine", dir);
    return CAIRN_ERR(NONEXIST);
}

/* SRV-4. The lock goes with the process, however that ends. */
static int
lock_take(struct cli *cli, struct server *server)
{
    char path[SERVER_PATH_BYTES + 32];
    int rc;

    (void)snprintf(path, sizeof(path), "%s/daos_server.lock", server->sys_dir);
    server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (server->lock_fd < 0) {
        rc = err_from_errno(errno);
        return cli_fail(cli,
            rc, "cannot write in the runtime directory %s: %s: set socket_dir or CAIRN_RUNTIME_DIR to one that you may write",
            server->sys_dir, strerror(errno));
    }
    if (flock(server->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return cli_fail(cli,
            -DER_BUSY, "a daos_server of system %s runs already with the runtime directory %s: stop it, or give this one another name",
            server->cfg.name, server->cfg.runtime_dir);
    }
    return 0;
}

static int
prepare(struct cli *cli, struct server *server, const char *path)
{
    char sock[SERVER_PATH_BYTES + 32];
    int rc = server_cfg_load(path, &server->cfg, cli->err, sizeof(cli->err));

    if (rc == 0)
        rc = ram_check(cli, server);
    if (rc != 0)
        return rc;
    rc = engine_path_find(server);
    if (rc != 0) {
        return cli_fail(cli, rc, "no program %s: install daos_server and daos_engine from one build",
            server->engine_path);
    }
    if (snprintf(server->sys_dir, sizeof(server->sys_dir), "%.150s/%s", server->cfg.runtime_dir,
            server->cfg.name) >= SYS_DIR_CHARS_MAX) {
        return cli_fail(cli,
            -DER_EXCEEDS_PATH_LEN, "runtime directory %s: too long for sockets: choose one of at most 64 characters (socket_dir, CAIRN_RUNTIME_DIR)",
            server->cfg.runtime_dir);
    }
    rc = dirs_make(server->sys_dir);
    if (rc != 0) {
        return cli_fail(cli,
            rc, "cannot make the runtime directory %s: %s: set socket_dir or CAIRN_RUNTIME_DIR to one that you may write",
            server->sys_dir, err_text(rc));
    }
    rc = lock_take(cli, server);
    if (rc != 0)
        return rc;
    (void)snprintf(sock, sizeof(sock), "%s/daos_server.sock", server->sys_dir);
    rc = ctl_listen(sock, &server->listen_fd);
    if (rc == -DER_BUSY) {
        return cli_fail(cli, rc,
            "a daos_server of system %s runs already (%s): stop it, or give this one another name",
            server->cfg.name, sock);
    }
    if (rc != 0)
        return cli_fail(cli, rc, "cannot listen on %s: %s", sock, err_text(rc));
    rc = server_ident_find(cli, server);
    if (rc != 0)
        return rc;
    server_group_withdraw(server); /* of an earlier life */
    server_engines_init(server);
    return 0;
}

/* How many are ready; the first that failed for good, if one did. */
static uint32_t
engines_look(struct server *server, struct server_engine **ret_failed)
{
    uint32_t ready_nr = 0;

    *ret_failed = NULL;
    (void)pthread_mutex_lock(&server->mutex);
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        struct server_engine *engine = &server->engines[i];

        ready_nr += engine->was_ready;
        if (engine->has_failed && *ret_failed == NULL)
            *ret_failed = engine; /* its text and code do not change any more */
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return ready_nr;
}

/* Wait until all engines are ready, one has failed for good, or we shall stop. */
static int
engines_wait(struct cli *cli, struct server *server, const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    int64_t note_ms = now_ms() + START_NOTE_S * 1000;

    for (;;) {
        struct server_engine *failed;
        uint32_t ready_nr = engines_look(server, &failed);

        if (failed != NULL) {
            return cli_fail(cli, failed->rc, "engine rank %u did not start: %.400s", failed->rank,
                failed->info);
        }
        if (ready_nr == server->cfg.engine_nr)
            return 0;
        if (sigtimedwait(signals, NULL, &pause) > 0)
            return -DER_CANCELED;
        if (now_ms() >= note_ms) {
            (void)fprintf(stderr, "daos_server: still waiting: %u of %u engines are ready\n",
                ready_nr, server->cfg.engine_nr);
            note_ms = INT64_MAX;
        }
    }
}

static void
engines_stop(struct server *server, const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    int64_t kill_ms = now_ms() + STOP_TIMEOUT_S * 1000, end_ms = INT64_MAX;
    uint32_t nr;

    (void)pthread_mutex_lock(&server->mutex);
    atomic_store(&server->is_stopping, true);
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
    nr = server_engines_signal(server, SIGTERM);
    while (nr > 0 && now_ms() < end_ms) {
        if (sigtimedwait(signals, NULL, &pause) > 0 || now_ms() >= kill_ms) {
            nr = server_engines_signal(server, SIGKILL);
            (void)fprintf(stderr, "daos_server: %u engines do not stop: killed them\n", nr);
            kill_ms = INT64_MAX;
            end_ms = now_ms() + KILL_TIMEOUT_S * 1000;
        }
        nr = server_engines_signal(server, 0);
    }
    if (nr == 0) {
        server_engines_join(server);
    } else {
        (void)fprintf(
            stderr, "daos_server: %u engines hang in the kernel: see their state in ps\n", nr);
    }
}

/* Everything that runs, in the order in which it starts; it ends backwards. */
static int
serve(struct cli *cli, struct server *server, const sigset_t *signals)
{
    pthread_t dmg_thread;
    int rc, sig;

    if (pthread_create(&dmg_thread, NULL, server_dmg_thread, server) != 0)
        return cli_fail(cli, -DER_NOMEM, "no thread could be made: the system has too many");
    rc = server_engines_start(server);
    if (rc == 0)
        rc = engines_wait(cli, server, signals);
    if (rc == 0) {
        server_group_publish(server); /* the attach file is there before "ready" is said */
        (void)printf("system %s ready: %u engines, attach file %s/attach.json\n", server->cfg.name,
            server->cfg.engine_nr, server->sys_dir);
        (void)fflush(stdout);
        (void)sigwait(signals, &sig);
    }
    server_group_withdraw(server);
    engines_stop(server, signals);
    server_group_withdraw(server); /* a publication may have been on its way */
    (void)pthread_join(dmg_thread, NULL);
    server->is_unused = server_dmg_stop(server) && server_engines_signal(server, 0) == 0;
    return rc == -DER_CANCELED ? 0 : rc;
}

static int
run(struct cli *cli, struct server *server, const char *path)
{
    sigset_t signals;
    int rc;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(
        SIG_BLOCK, &signals, NULL); /* inherited by every thread: only main takes them */
    (void)signal(SIGPIPE, SIG_IGN);
    rc = prepare(cli, server, path);
    return rc != 0 ? rc : serve(cli, server, &signals);
}

static int
server_init(struct server *server)
{
    pthread_condattr_t attr;
    int rc;

    server->lock_fd = -1;
    server->listen_fd = -1;
    server->is_unused = true;
    for (uint32_t i = 0; i < SERVER_CONNS_NR_MAX; i++) {
        server->conn_fds[i] = -1;
    }
    rc = pthread_condattr_init(&attr);
    if (rc == 0)
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(&server->changed, &attr);
    if (rc == 0)
        rc = pthread_mutex_init(&server->mutex, NULL);
    if (rc == 0)
        rc = pthread_mutex_init(&server->publish_mutex, NULL);
    (void)pthread_condattr_destroy(&attr);
    return rc == 0 ? 0 : CAIRN_ERR(NOMEM);
}

static void
server_free(struct server *server)
{
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->publish_mutex);
    (void)pthread_mutex_destroy(&server->mutex);
    free(server);
}

int
main(int argc, char **argv)
{
    struct cli cli = {.prog = "daos_server"};
    const char *path = NULL, *words[2];
    bool is_format_forced = false;
    const struct cli_opt opts[] = {
        {.name = "config", .letter = 'o', .value = &path, .help = "YAML file"},
        {.name = "force-format",
            .is_flag = true,
            .flag = &is_format_forced,
            .help = "format devices whatever else they hold"},
        {0}};
    struct server *server;
    char sock[SERVER_PATH_BYTES + 32];
    uint32_t nr;
    int rc;

    if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        usage(stdout);
        return 0;
    }
    rc = cli_parse(&cli, argc - 1, argv + 1, opts, words, 2, &nr);
    if (rc != 0)
        return cli_finish(&cli, rc, NULL);
    if (nr == 1 && strcmp(words[0], "version") == 0) {
        (void)printf("daos_server version %s\n", CAIRN_VERSION);
        return 0;
    }
    if (nr != 1 || strcmp(words[0], "start") != 0 || path == NULL) {
        usage(stderr);
        return 1;
    }
    server = calloc(1, sizeof(*server));
    if (server == NULL || server_init(server) != 0)
        return cli_finish(&cli, -DER_NOMEM, NULL);
    server->is_format_forced = is_format_forced;
    rc = run(&cli, server, path);
    if (server->listen_fd >= 0) {
        (void)snprintf(sock, sizeof(sock), "%s/daos_server.sock", server->sys_dir);
        (void)unlink(sock);
        (void)close(server->listen_fd);
    }
    if (server->lock_fd >= 0)
        (void)close(server->lock_fd);
    if (server->is_unused)
        server_free(server);
    return cli_finish(&cli, rc, NULL);
}
