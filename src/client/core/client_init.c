/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos_init(), daos_fini(), daos_reinit(): the process's one client, counted (CLI-3). */
#include "base/log.h"
#include "base/util.h"
#include "client/core/client_event.h"
#include "client/core/client_priv.h"
#include "client/core/client_tools.h"
#include "daos.h"
#include "gurt/dlog.h"

/* One more use, unless the last one is just ending. */
static bool
ref_get(struct daos_client *client)
{
    uint32_t nr = atomic_load(&client->ref_nr);

    while (nr > 0) {
        if (atomic_compare_exchange_weak(&client->ref_nr, &nr, nr + 1))
            return true;
    }
    return false;
}

/* The library prints nothing unless it is asked to: the log of gurt/dlog.h, by its environment (D_LOG_MASK, D_LOG_FILE). */
static void
sink(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    static const int priorities[] = {
        [LOG_LEVEL_NONE] = DLOG_DBG,
        [LOG_LEVEL_ERROR] = DLOG_ERR,
        [LOG_LEVEL_WARN] = DLOG_WARN,
        [LOG_LEVEL_INFO] = DLOG_INFO,
        [LOG_LEVEL_DEBUG] = DLOG_DBG,
        [LOG_LEVEL_TRACE] = DLOG_DBG,
    };

    (void)arg;
    if (d_log_check(priorities[level]) != 0)
        d_log_at(priorities[level], file, line, "%s", text);
}

static bool
log_open(struct plat *plat)
{
    bool is_asked =
        plat->ops->env(plat, "D_LOG_MASK") != NULL || plat->ops->env(plat, "D_LOG_FILE") != NULL;

    if (!is_asked || log_level_get() != LOG_LEVEL_NONE || d_log_init() != 0)
        return false;
    log_sink_set(sink, NULL, LOG_LEVEL_DEBUG);
    return true;
}

static void
log_close(void)
{
    log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    d_log_fini();
}

int
daos_init(void)
{
    struct client_opts opts = {0};
    struct daos_client *client = client_self();
    int rc;

    if (client == NULL && client_inherited() != NULL)
        return CAIRN_ERR(UNINIT); /* TH-4: daos_reinit() first */
    if (client != NULL && ref_get(client))
        return 0;
    rc = client_create(&opts, &client);
    if (rc != 0)
        return rc;
    if (client_self_publish(client)) {
        client->owns_log = log_open(client->plat);
        return 0;
    }
    client_destroy(client); /* another thread was faster */
    client = client_inherited();
    return client != NULL && ref_get(client) ? 0 : CAIRN_ERR(BUSY);
}

int
daos_fini(void)
{
    struct daos_client *client = client_self();
    bool owns_log;
    uint32_t nr;

    if (client == NULL)
        return CAIRN_ERR(UNINIT);
    nr = atomic_load(&client->ref_nr);
    do {
        if (nr == 0)
            return CAIRN_ERR(UNINIT);
    } while (!atomic_compare_exchange_weak(&client->ref_nr, &nr, nr - 1));
    if (nr > 1 || client != client_inherited())
        return 0; /* in use, or whoever made this client for his ULTs ends it */
    client_self_set(NULL);
    owns_log = client->owns_log;
    client_destroy(client);
    if (owns_log)
        log_close();
    return 0;
}

int
daos_reinit(void)
{
    struct daos_client *old = client_inherited(), *client;
    struct client_opts opts = {0};
    int rc;

    if (old == NULL)
        return CAIRN_ERR(UNINIT);
    if (client_self() == old)
        return 0; /* not a child */
    if (old->embedded != NULL) {
        LOG_ERROR("embedded mode: process %u owns the engine on %s", old->pid,
            client_embedded_dir(old->embedded));
        return CAIRN_ERR(BUSY);
    }
    rc = client_create(&opts, &client);
    if (rc != 0)
        return rc;
    client->ref_nr = atomic_load(&old->ref_nr);
    client->owns_log = old->owns_log;
    client_self_set(client);
    client_abandon(old);
    return 0;
}

uint64_t
client_retried_nr(void)
{
    struct daos_client *client = client_self();

    return client == NULL ? 0 : atomic_load(&client->retried_nr);
}

void
client_log_set(log_sink_fn fn, void *arg, enum log_level level)
{
    log_sink_set(fn, arg, level);
}

bool
client_tools_foreign(char *buf, size_t buf_bytes)
{
    struct daos_client *client = client_self();

    if (client == NULL || !client->is_foreign)
        return false;
    CAIRN_IGNORE(snprintf(buf, buf_bytes, "%s", client->attach_path)); /* cut when longer */
    return true;
}

int
client_tools_run(struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes)
{
    return client_run_errno(ev, fn, args, args_bytes);
}

struct now_args {
    uint64_t *wall_ns, *hlc;
};

static int
now_ult(void *arg)
{
    struct now_args *args = arg;
    struct daos_client *client = client_self();

    if (args->wall_ns != NULL)
        *args->wall_ns = plat_wall_ns(client->plat);
    if (args->hlc != NULL)
        *args->hlc = client_hlc_now(client);
    return 0;
}

int
client_tools_now(uint64_t *ret_wall_ns, uint64_t *ret_hlc)
{
    struct now_args args = {.wall_ns = ret_wall_ns, .hlc = ret_hlc};
    struct daos_client *client = client_self();

    if (client == NULL)
        return CAIRN_ERR(UNINIT);
    if (ret_hlc == NULL)
        return now_ult(&args); /* the wall clock may be read by any thread */
    return client_run_sync(now_ult, &args);
}
