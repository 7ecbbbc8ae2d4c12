/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * daos_engine: the engine as a process. Started by daos_server, which watches it, tells it about
 * the other ranks and asks it to stop over the control
 * socket; SIGTERM and SIGINT stop it in an orderly way, too. Exit status: 0 stopped as asked, 1 it
 * could not start or go on, 2 wrong use.
 * Everything that goes wrong is one line on standard error, with cause and remedy; a failed start
 * is also told to --status-fd, for daos_server: "CODE LINE\n", the code as a negative number.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "plat/plat_linux.h"

#ifndef CAIRN_SOFTWARE_VERSION
#define CAIRN_SOFTWARE_VERSION "unknown"
#endif

enum { EXIT_USE = 2 };

enum option_id {
    OPT_SYSTEM = 256,
    OPT_SYSTEM_UUID,
    OPT_RANK,
    OPT_DIR,
    OPT_TARGETS,
    OPT_URI,
    OPT_CTL,
    OPT_WAL,
    OPT_META,
    OPT_DATA,
    OPT_MEM,
    OPT_DEV,
    OPT_PMEM,
    OPT_FORCE_FORMAT,
    OPT_CPU,
    OPT_SVC_RANK,
    OPT_ALONE,
    OPT_STATUS_FD,
    OPT_LOG,
    OPT_VERSION,
    OPT_HELP,
};

static const struct option options[] = {
    {"system", required_argument, NULL, OPT_SYSTEM},
    {"system-uuid", required_argument, NULL, OPT_SYSTEM_UUID},
    {"rank", required_argument, NULL, OPT_RANK},
    {"dir", required_argument, NULL, OPT_DIR},
    {"targets", required_argument, NULL, OPT_TARGETS},
    {"uri", required_argument, NULL, OPT_URI},
    {"ctl", required_argument, NULL, OPT_CTL},
    {"wal-bytes", required_argument, NULL, OPT_WAL},
    {"meta-bytes", required_argument, NULL, OPT_META},
    {"data-bytes", required_argument, NULL, OPT_DATA},
    {"mem-bytes", required_argument, NULL, OPT_MEM},
    {"dev", required_argument, NULL, OPT_DEV},
    {"pmem", no_argument, NULL, OPT_PMEM},
    {"force-format", no_argument, NULL, OPT_FORCE_FORMAT},
    {"first-cpu", required_argument, NULL, OPT_CPU},
    {"svc-rank", required_argument, NULL, OPT_SVC_RANK},
    {"alone", no_argument, NULL, OPT_ALONE},
    {"status-fd", required_argument, NULL, OPT_STATUS_FD},
    {"log", required_argument, NULL, OPT_LOG},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "usage: daos_engine --dir DIR --rank N --targets N --uri BASE [options]\n"
    "  --system NAME       name of the system (daos_server)\n"
    "  --system-uuid UUID  the installation (that of the directory; a new one draws its own)\n"
    "  --rank N            number of this engine in it\n"
    "  --dir DIR           where it keeps its storage (absolute path; formatted on first start)\n"
    "  --targets N         number of targets\n"
    "  --uri BASE          where it listens: unix:///dir, tcp:// or ofi+tcp;ofi_rxm:// "
    "a.b.c.d:port (first of 1 + N "
    "ports)\n"
    "  --ctl SOCKET        path of the control socket\n"
    "  --wal-bytes N       size of the log of each target (64 MiB), when it is formatted\n"
    "  --meta-bytes N      largest size of its metadata (1 GiB)\n"
    "  --data-bytes N      size of its data (16 GiB, sparse)\n"
    "  --mem-bytes N       memory for the metadata of each target (a quarter of the machine's for "
    "all; none\n"
    "                      where it lies on a tmpfs)\n"
    "  --pmem              the files in DIR are persistent memory (a file system mounted with -o "
    "dax)\n"
    "  --dev ROLES:PATH    a device for these roles (wal,meta,data) instead of files in DIR; again "
    "for\n"
    "                      more; ROLES@BYTES:PATH is a file, made with that size when absent\n"
    "  --force-format      format devices whatever else they hold\n"
    "  --first-cpu N       pin its threads to CPUs from this one on\n"
    "  --svc-rank N        rank of the system service (0)\n"
    "  --alone             this rank is the whole system\n"
    "  --status-fd N       descriptor that is told why the engine does not start\n"
    "  --log LEVEL         error, warn, info (default), debug, trace\n"
    "  --version, --help\n";

static void
log_sink(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    const char *system = arg;

    (void)fprintf(
        stderr, "daos_engine %s: %s %s:%d %s\n", system, log_level_name(level), file, line, text);
}

/* A number of an option. Exits with what is wrong. */
static uint64_t
number(const char *option, const char *text, uint64_t max)
{
    unsigned long long v;
    char *end;

    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || v > max) {
        (void)fprintf(stderr, "daos_engine: --%s %s: give a number from 0 to %llu\n", option, text,
            (unsigned long long)max);
        exit(EXIT_USE);
    }
    return v;
}

static void
text_into(const char *option, const char *text, char *buf, size_t buf_bytes)
{
    if (strlen(text) >= buf_bytes) {
        (void)fprintf(stderr, "daos_engine: --%s: '%s' is longer than %zu characters\n", option,
            text, buf_bytes - 1);
        exit(EXIT_USE);
    }
    (void)snprintf(buf, buf_bytes, "%s", text);
}

static void
uuid_into(const char *option, const char *text, struct uuid *ret_id)
{
    if (cuuid_parse(text, ret_id) != 0) {
        (void)fprintf(stderr, "daos_engine: --%s %s: expected a uuid\n", option, text);
        exit(EXIT_USE);
    }
}

static void
ctl_into(const char *text, char *buf, size_t buf_bytes)
{
    char uri[NET_URI_MAX * 2];

    (void)snprintf(uri, sizeof(uri), "%s%s", text[0] == '/' ? "unix://" : "", text);
    text_into("ctl", uri, buf, buf_bytes);
}

static void
log_level_option(const char *text)
{
    enum log_level level = log_level_from_name(text);

    if (level == LOG_LEVEL_NONE) {
        (void)fprintf(
            stderr, "daos_engine: --log %s: give error, warn, info, debug or trace\n", text);
        exit(EXIT_USE);
    }
    log_level_set(level);
}

/* "wal,meta,data@16000000000:/path" */
static void
dev_option(const char *text, struct engine_cfg *cfg)
{
    static const char *const names[] = {NULL, "wal", "meta", "data"};
    struct engine_dev_cfg *dev = &cfg->devs[cfg->dev_nr];
    const char *path = strchr(text, ':'), *p = text;
    char *end;

    if (cfg->dev_nr == ENGINE_DEVS_NR_MAX) {
        (void)fprintf(stderr, "daos_engine: --dev: at most %d of them\n", ENGINE_DEVS_NR_MAX);
        exit(EXIT_USE);
    }
    while (path != NULL && p < path && *p != '@') {
        size_t len = strcspn(p, ",@:");
        uint32_t role = 1;

        while (role < 4 && (strlen(names[role]) != len || strncmp(p, names[role], len) != 0)) {
            role++;
        }
        if (role == 4) {
            path = NULL;
            break;
        }
        dev->roles |= 1u << role;
        p += len + (p[len] == ',');
    }
    if (path != NULL && *p == '@') {
        dev->bytes = strtoull(p + 1, &end, 10);
        path = end == path && dev->bytes > 0 ? path : NULL;
    }
    if (path == NULL || path[1] != '/' || dev->roles == 0) {
        (void)fprintf(stderr,
            "daos_engine: --dev %s: expected ROLES:PATH or ROLES@BYTES:PATH with roles of wal, "
            "meta, "
            "data and an absolute path\n",
            text);
        exit(EXIT_USE);
    }
    text_into("dev", path + 1, dev->path, sizeof(dev->path));
    cfg->dev_nr++;
}

static void
option_take(struct engine_cfg *cfg, int *status_fd, int opt)
{
    switch (opt) {
    case OPT_SYSTEM:
        text_into("system", optarg, cfg->system, sizeof(cfg->system));
        break;
    case OPT_SYSTEM_UUID:
        uuid_into("system-uuid", optarg, &cfg->system_uuid);
        break;
    case OPT_RANK:
        cfg->rank = (uint32_t)number("rank", optarg, ENGINE_RANKS_NR_MAX - 1);
        break;
    case OPT_DIR:
        text_into("dir", optarg, cfg->dir, sizeof(cfg->dir));
        break;
    case OPT_TARGETS:
        cfg->tgt_nr = (uint32_t)number("targets", optarg, ENGINE_TGTS_NR_MAX);
        break;
    case OPT_URI:
        text_into("uri", optarg, cfg->uri_base, sizeof(cfg->uri_base));
        break;
    case OPT_CTL:
        ctl_into(optarg, cfg->ctl_uri, sizeof(cfg->ctl_uri));
        break;
    case OPT_WAL:
        cfg->wal_bytes = number("wal-bytes", optarg, UINT64_MAX >> 1);
        break;
    case OPT_META:
        cfg->meta_bytes = number("meta-bytes", optarg, UINT64_MAX >> 1);
        break;
    case OPT_MEM:
        cfg->mem_bytes = number("mem-bytes", optarg, UINT64_MAX >> 1);
        break;
    case OPT_DATA:
        cfg->data_bytes = number("data-bytes", optarg, UINT64_MAX >> 1);
        break;
    case OPT_DEV:
        dev_option(optarg, cfg);
        break;
    case OPT_PMEM:
        cfg->is_pmem = 1;
        break;
    case OPT_FORCE_FORMAT:
        cfg->force_format = 1;
        break;
    case OPT_CPU:
        cfg->cpu_first = (uint32_t)number("first-cpu", optarg, 65535);
        break;
    case OPT_SVC_RANK:
        cfg->svc_rank = (uint32_t)number("svc-rank", optarg, ENGINE_RANKS_NR_MAX - 1);
        break;
    case OPT_ALONE:
        cfg->is_alone = 1;
        cfg->svc_rank = cfg->rank;
        break;
    case OPT_STATUS_FD:
        *status_fd = (int)number("status-fd", optarg, 65535);
        break;
    case OPT_LOG:
        log_level_option(optarg);
        break;
    case OPT_VERSION:
        (void)printf("daos_engine version %s\n", CAIRN_SOFTWARE_VERSION);
        exit(0);
    case OPT_HELP:
        (void)fputs(usage, stdout);
        exit(0);
    default:
        (void)fputs("daos_engine: --help tells the options\n", stderr);
        exit(EXIT_USE);
    }
}

static void
options_take(int argc, char **argv, struct engine_cfg *cfg, int *status_fd)
{
    int opt;

    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        option_take(cfg, status_fd, opt);
    }
    if (optind < argc) {
        (void)fprintf(stderr, "daos_engine: '%s' is no option: --help tells them\n", argv[optind]);
        exit(EXIT_USE);
    }
    if (cfg->is_alone)
        cfg->svc_rank = cfg->rank;
    if (cfg->dir[0] == '\0' || cfg->uri_base[0] == '\0' || cfg->tgt_nr == 0) {
        (void)fputs(
            "daos_engine: --dir, --targets and --uri are needed: --help tells more\n", stderr);
        exit(EXIT_USE);
    }
}

/* The engine is stopping, however it was asked: wake main. */
static void
on_stop(void *arg)
{
    (void)arg;
    (void)kill(getpid(), SIGTERM);
}

/* It does not start: tell everybody. The line is shorter than what a pipe takes at once. */
static void
start_failed(int status_fd, int rc, const char *err)
{
    char line[ENGINE_TEXT_BYTES + 32];
    int len;

    (void)fprintf(stderr, "daos_engine: %s (%s %d)\n", err, err_name(rc), rc);
    len = snprintf(line, sizeof(line), "%d %s\n", rc, err);
    if (status_fd >= 0)
        (void)!write(status_fd, line, (size_t)len); /* without a reader there is nobody to tell */
}

/* Until a signal, or the control socket, asks for the end. */
static int
serve(struct engine *engine, const sigset_t *signals, int status_fd)
{
    char err[ENGINE_TEXT_BYTES];
    int rc, sig;

    rc = engine_wait_ready(engine);
    if (rc != 0 && rc != -DER_SHUTDOWN) {
        (void)engine_state_get(engine, err, NULL);
        start_failed(status_fd, rc, err);
        engine_stop(engine);
        return 1;
    }
    LOG_INFO("ready on %s", engine_uri(engine, 0));
    do {
        rc = sigwait(signals, &sig);
    } while (rc != 0);
    engine_stop(engine);
    return 0;
}

int
main(int argc, char **argv)
{
    char err[ENGINE_TEXT_BYTES] = "";
    struct engine *engine = NULL;
    struct plat *plat = NULL;
    struct engine_cfg cfg;
    sigset_t signals;
    int rc, status_fd = -1;

    engine_cfg_init(&cfg);
    (void)snprintf(cfg.system, sizeof(cfg.system), "daos_server");
    log_sink_set(log_sink, cfg.system, LOG_LEVEL_INFO);
    options_take(argc, argv, &cfg, &status_fd);
    cfg.on_stop = on_stop;
    /*
     * Before there are threads: they inherit it. A peer that closes its end is an error code, not
     * a signal.
     */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    rc = plat_linux_create(&plat);
    if (rc == 0)
        rc = engine_start(plat, &cfg, err, &engine);
    if (rc != 0) {
        start_failed(status_fd, rc, err[0] != '\0' ? err : err_text(rc));
        plat_linux_destroy(plat);
        return 1;
    }
    rc = serve(engine, &signals, status_fd);
    plat_linux_destroy(plat);
    return rc;
}
