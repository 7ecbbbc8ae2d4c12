/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos_server start -o FILE: runs in the foreground until SIGTERM or SIGINT; "ready" on standard output says that clients can connect.
 */
#include "control/cli/cli.h"
#include "control/ctl/ctl_chan.h"
#include "control/server/server.h"
#include "daos_version.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONN_DRAIN_MS = 2000 };

static void
usage(FILE *to)
{
    (void)fprintf(
        to, "usage: daos_server start -o FILE   start and watch the engines named in a YAML file\n       daos_server version\n");
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

/* daos_engine lies beside this program. */
static int
engine_path_find(struct server *server)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (len <= 0)
        return CAIRN_ERR(NONEXIST);
    self[len] = '\0';
    if (snprintf(server->engine_path, sizeof(server->engine_path), "%s/daos_engine",
            dirname(self)) >= (int)sizeof(server->engine_path))
        return CAIRN_ERR(EXCEEDS_PATH_LEN);
    return access(server->engine_path, X_OK) == 0 ? 0 : CAIRN_ERR(NONEXIST);
}

static int
prepare(struct cli *cli, struct server *server, const char *path)
{
    char sock[SERVER_PATH_BYTES + 32];
    int rc = server_cfg_load(path, &server->cfg, cli->err, sizeof(cli->err));

    if (rc != 0)
        return rc;
    rc = engine_path_find(server);
    if (rc != 0)
        return cli_fail(cli, rc, "no daos_engine beside daos_server: install both from one build");
    if (snprintf(server->sys_dir, sizeof(server->sys_dir), "%.150s/%s", server->cfg.runtime_dir,
            server->cfg.name) >= 80) {
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
    (void)snprintf(sock, sizeof(sock), "%s/daos_server.sock", server->sys_dir);
    rc = ctl_listen(sock, &server->listen_fd);
    if (rc == -DER_BUSY) {
        return cli_fail(cli, rc,
            "a daos_server of system %s runs already (%s): stop it, or give this one another name",
            server->cfg.name, sock);
    }
    if (rc != 0)
        return cli_fail(cli, rc, "cannot listen on %s: %s", sock, err_text(rc));
    server_group_withdraw(server); /* of an earlier life */
    return 0;
}

/* Wait until all engines are ready, one has failed for good, or we shall stop. */
static int
engines_wait(struct cli *cli, struct server *server, const sigset_t *signals)
{
    const struct timespec pause = {.tv_nsec = 20000000};

    for (;;) {
        uint32_t ready_nr = 0;
        int sig = sigtimedwait(signals, NULL, &pause);

        if (sig > 0)
            return -DER_CANCELED;
        (void)pthread_mutex_lock(&server->mutex);
        for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
            struct server_engine *engine = &server->engines[i];

            ready_nr += engine->was_ready;
            if (engine->state == CAIRN__CTL__RANK_STATE__RANK_STOPPED && !engine->was_ready) {
                (void)cli_fail(
                    cli, -DER_SHUTDOWN, "engine rank %u did not start: %s", i, engine->info);
                (void)pthread_mutex_unlock(&server->mutex);
                return -DER_SHUTDOWN;
            }
        }
        (void)pthread_mutex_unlock(&server->mutex);
        if (ready_nr == server->cfg.engine_nr)
            return 0;
    }
}

static int
run(struct cli *cli, struct server *server, const char *path)
{
    pthread_t dmg_thread;
    sigset_t signals;
    int rc, sig;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(
        SIG_BLOCK, &signals, NULL); /* inherited by every thread: only main takes them */
    (void)signal(SIGPIPE, SIG_IGN);
    rc = prepare(cli, server, path);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; rc == 0 && i < server->cfg.engine_nr; i++) {
        rc = server_engine_start(server, i);
    }
    if (rc == 0)
        rc = engines_wait(cli, server, &signals);
    if (rc == 0 && pthread_create(&dmg_thread, NULL, server_dmg_thread, server) == 0) {
        server_group_publish(server); /* the attach file is there before "ready" is said */
        (void)printf("system %s ready: %u engines, attach file %s/attach.json\n", server->cfg.name,
            server->cfg.engine_nr, server->sys_dir);
        (void)fflush(stdout);
        (void)sigwait(&signals, &sig);
        atomic_store(&server->is_stopping, true);
        (void)pthread_join(dmg_thread, NULL);
    }
    atomic_store(&server->is_stopping, true);
    server_group_withdraw(server);
    for (uint32_t i = 0; i < server->cfg.engine_nr; i++) {
        server_engine_stop(&server->engines[i]);
    }
    return rc == -DER_CANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    struct cli cli = {.prog = "daos_server"};
    const char *path = NULL, *words[2];
    const struct cli_opt opts[] = {
        {.name = "config", .letter = 'o', .value = &path, .help = "YAML file"}, {0}};
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
    if (server == NULL)
        return cli_finish(&cli, -DER_NOMEM, NULL);
    server->listen_fd = -1;
    (void)pthread_mutex_init(&server->mutex, NULL);
    (void)pthread_mutex_init(&server->publish_mutex, NULL);
    (void)pthread_cond_init(&server->changed, NULL);
    rc = run(&cli, server, path);
    if (server->listen_fd >= 0) {
        (void)snprintf(sock, sizeof(sock), "%s/daos_server.sock", server->sys_dir);
        (void)unlink(sock);
        (void)close(server->listen_fd);
    }
    /* Connections may still be at work on their threads: the process ends with them, the state stays. */
    return cli_finish(&cli, rc, NULL);
}
