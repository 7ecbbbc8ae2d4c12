/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos_init(), daos_fini(), daos_reinit(): the process's one client, counted (CLI-3). */
#include "base/log.h"
#include "base/util.h"
#include "client/core/client_event.h"
#include "client/core/client_priv.h"
#include "client/core/client_tools.h"
#include "daos.h"

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
    if (client_self_publish(client))
        return 0;
    client_destroy(client); /* another thread was faster */
    client = client_inherited();
    return client != NULL && ref_get(client) ? 0 : CAIRN_ERR(BUSY);
}

int
daos_fini(void)
{
    struct daos_client *client = client_self();
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
    client_destroy(client);
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

int
client_tools_run(struct daos_event *ev, int (*fn)(void *args), void *args, size_t args_bytes)
{
    return client_run(ev, fn, args, args_bytes);
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
