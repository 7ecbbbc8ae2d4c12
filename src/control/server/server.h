/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos_server: starts the engines of this host, watches them, starts a dead one again, tells everyone who is where, and answers dmg.
 *
 *   engine, as the server sees it (server_engine.c):
 *      STOPPED --spawn--> STARTING --it says ready--> JOINED --it ends--> STOPPED (again, after a pause that grows with each quick death)
 *                            |--it ends before it was ever ready--> STOPPED for good: the server says why and ends
 *                            |--it says that it cannot start, for a cause that another start does not mend--> ERRORED, until the server is started again
 *
 *   SRV-1  The server is the parent: a death is known at once, for certain, and told to the others (MB-2).
 *   SRV-2  Each change of the group gets a higher version; the attach file and the engines' group maps come from the same table.
 *   SRV-3  Clients find nothing (no attach file) before every engine has been ready once; afterwards the file stays while engines restart.
 *
 *   SRV-4  One server for each system and runtime directory: it holds a lock there. Engines end with their server, also when that is killed; their storage
 *          is locked by themselves.
 *   SRV-5  A system's uuid is that of the installation, not of the name: drawn when all directories are new, found in them at every later start. Directories of two
 *          installations are never served together.
 *
 * Threads: one for each engine (spawns, waits for ready, reaps), one for the control socket, one for each of its connections (at most
 * SERVER_CONNS_NR_MAX), and main, which waits for signals. All state is guarded by one mutex, never held over a wait.
 */
#ifndef CAIRN_SERVER_H
#define CAIRN_SERVER_H

#include "control/server/server_cfg.h"
#include "proto/ctl/ctl.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

enum { SERVER_CONNS_NR_MAX = 32, SERVER_URIS_NR_MAX = 65, SERVER_URI_BYTES = 128 };

struct cli;
struct server;

struct server_engine {
    struct server *server;
    const struct server_engine_cfg *cfg;
    uint32_t rank;
    char ctl_path[SERVER_PATH_BYTES];
    char log_path[SERVER_PATH_BYTES];
    off_t log_off; /* its thread's: where the lines of the present life begin */
    int status_fd; /* its thread's: where the present life says why it does not start; -1: no life */
    pthread_t thread;
    bool has_thread;
    /* guarded by the server's mutex */
    pid_t pid; /* 0: none */
    Cairn__Ctl__RankState state;
    uint64_t incarnation;
    bool was_ready;
    bool has_failed; /* it is not tried again */
    uint32_t uri_nr;
    char uris[SERVER_URIS_NR_MAX][SERVER_URI_BYTES];
    char info[SERVER_ERR_BYTES]; /* why it is not there */
    int rc; /* and its code; 0: it is there */
};

struct server {
    bool is_format_forced; /* engines get --force-format for their first start */
    struct server_cfg cfg;
    char sys_dir[SERVER_PATH_BYTES]; /* runtime_dir/name */
    char engine_path[SERVER_PATH_BYTES]; /* of daos_engine */
    uint8_t system_uuid[16]; /* SRV-5; constant once engines run */
    int lock_fd; /* SRV-4; -1: none */
    int listen_fd;
    atomic_bool is_stopping;
    bool is_unused; /* main's: no thread refers to this any more */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* an engine's state, or is_stopping; on CLOCK_MONOTONIC */
    pthread_mutex_t publish_mutex; /* held while one version goes out, so that the attach file never goes back */
    uint64_t group_version;
    uint32_t conn_nr; /* connections of dmg that are served */
    int conn_fds[SERVER_CONNS_NR_MAX]; /* -1: free */
    struct server_engine engines[SERVER_ENGINES_NR_MAX];
};

/* server_engine.c */
/** Fill the table of engines from the configuration; before anything else may look at it. */
void server_engines_init(struct server *server);
/** Errors: NOMEM; then some run: stop them. */
CAIRN_MUST_CHECK int server_engines_start(struct server *server);
/** Send a signal (0: none) to every engine that runs. Returns how many there are. */
uint32_t server_engines_signal(struct server *server, int sig);
/** After is_stopping was set and all engines have ended: end their threads, remove their sockets. */
void server_engines_join(struct server *server);

/* server_ident.c */
/** Find or draw the system's uuid. Under the lock (SRV-4), before engines start. Errors, with cli->err: MISMATCH the directories belong to several systems or to one
 * of another name; DF_INVAL, DF_INCOMPT a damaged or later identity; those of reading it. */
CAIRN_MUST_CHECK int server_ident_find(struct cli *cli, struct server *server);

/* server_group.c */
/** After a change: higher version, attach file, GROUP_UPDATE to every engine that is there. Takes the mutex. */
void server_group_publish(struct server *server);
void server_group_withdraw(struct server *server); /* remove the attach file */

/* server_dmg.c */
/** Answer dmg until is_stopping. */
void *server_dmg_thread(void *arg);
/** After that thread has ended: end all connections. False: some do not end soon, and still use the server. */
bool server_dmg_stop(struct server *server);

#endif
