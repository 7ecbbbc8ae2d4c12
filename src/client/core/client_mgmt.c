/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The system as a whole: pools of it, and what the attach file says. */
#include "daos_mgmt.h"

#include "base/util.h"
#include "client/core/client_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_BATCH_NR = 128, POOLS_NR_MAX = 1 << 20 };

struct mgmt_args {
    daos_size_t *pool_nr;
    daos_mgmt_pool_info_t *pools;
    struct daos_sys_info **ret_info;
};

/* ---- pools -------------------------------------------------------------------------------------------------------------- */

static void
pool_info_fini(daos_mgmt_pool_info_t *info)
{
    free(info->mgpi_label);
    if (info->mgpi_svc != NULL)
        free(info->mgpi_svc->rl_ranks);
    free(info->mgpi_svc);
    *info = (daos_mgmt_pool_info_t){0};
}

static int
pool_info_fill(const struct proto_pool_entry *entry, daos_mgmt_pool_info_t *info)
{
    const struct proto_rank *ranks = entry->svc_ranks.items;
    d_rank_list_t *svc = calloc(1, sizeof(*svc));

    *info = (daos_mgmt_pool_info_t){.mgpi_svc = svc, .mgpi_ldr = RPC_RANK_NONE};
    memcpy(info->mgpi_uuid, entry->uuid.b, sizeof(info->mgpi_uuid));
    info->mgpi_label = strndup(entry->label.len == 0 ? "" : entry->label.buf, entry->label.len);
    if (svc != NULL)
        svc->rl_ranks = calloc(entry->svc_ranks.nr + 1, sizeof(*svc->rl_ranks));
    if (svc == NULL || svc->rl_ranks == NULL || info->mgpi_label == NULL) {
        pool_info_fini(info);
        return CAIRN_ERR(NOMEM);
    }
    svc->rl_nr = entry->svc_ranks.nr;
    for (uint32_t i = 0; i < svc->rl_nr; i++) {
        svc->rl_ranks[i] = ranks[i].rank;
    }
    if (svc->rl_nr > 0)
        info->mgpi_ldr = ranks[0].rank;
    return 0;
}

static int
list_pools_ult(void *arg)
{
    struct mgmt_args *args = arg;
    struct daos_client *client = client_self();
    uint64_t room = args->pools == NULL ? 0 : *args->pool_nr, nr = 0, filled = 0;
    struct proto_sys_pool_list_req req = {.nr_max = LIST_BATCH_NR};
    struct proto_sys_pool_list_rep rep;
    int rc;

    do {
        const struct proto_pool_entry *entries;
        struct arena arena;

        rep = (struct proto_sys_pool_list_rep){0};
        arena_init(&arena, 4096, CLIENT_REPLY_ARENA_BYTES_MAX);
        rc = client_sys_call(client, PROTO_SYS_POOL_LIST, &req, &rep, &arena);
        entries = rep.pools.items;
        for (uint32_t i = 0; rc == 0 && i < rep.pools.nr; i++) {
            req.after = entries[i].uuid;
            if (entries[i].state != 1)
                continue; /* being created or destroyed */
            if (nr++ < room)
                rc = pool_info_fill(&entries[i], &args->pools[filled]);
            if (rc == 0 && nr <= room)
                filled++;
        }
        arena_fini(&arena);
    } while (rc == 0 && !rep.eof && rep.pools.nr > 0 && nr < POOLS_NR_MAX);
    if (rc == 0)
        *args->pool_nr = nr;
    if (rc == 0 && args->pools != NULL && nr > room)
        rc = CAIRN_ERR(TRUNC);
    for (uint64_t i = 0; rc != 0 && i < filled; i++) {
        pool_info_fini(&args->pools[i]);
    }
    return rc;
}

int
daos_mgmt_list_pools(
    const char *group, daos_size_t *npools, daos_mgmt_pool_info_t *pools, daos_event_t *ev)
{
    struct mgmt_args args = {.pool_nr = npools, .pools = pools};

    if (npools == NULL)
        return client_refuse();
    return client_run_attached(group, ev, list_pools_ult, &args, sizeof(args));
}

/* ---- the system ----------------------------------------------------------------------------------------------------------- */

void
daos_mgmt_put_sys_info(struct daos_sys_info *info)
{
    if (info == NULL)
        return;
    for (uint32_t i = 0; i < info->dsi_nr_ranks; i++) {
        free(info->dsi_ranks[i].dru_uri);
    }
    free(info->dsi_ranks);
    free(info->dsi_ms_ranks);
    free(info);
}

/* What daos_server.yml called it: the scheme of the addresses. */
static void
provider_fill(const struct client_sys *sys, struct daos_sys_info *info)
{
    const char *uri = sys->rank_nr > 0 ? sys->ranks[0].uris[0] : "unix";
    size_t len = strcspn(uri, ":");

    CAIRN_IGNORE(snprintf(info->dsi_fabric_provider, sizeof(info->dsi_fabric_provider), "%.*s",
        (int)len, uri)); /* fits, or is cut */
}

static int
sys_info_ult(void *arg)
{
    struct mgmt_args *args = arg;
    const struct daos_client *client = client_self();
    const struct client_sys *sys = &client->sys;
    struct daos_sys_info *info = calloc(1, sizeof(*info));

    if (info == NULL)
        return CAIRN_ERR(NOMEM);
    CAIRN_IGNORE(
        snprintf(info->dsi_system_name, sizeof(info->dsi_system_name), "%s", sys->name)); /* fits */
    provider_fill(sys, info);
    CAIRN_IGNORE(snprintf(
        info->dsi_agent_path, sizeof(info->dsi_agent_path), "%s", client->attach_path)); /* fits */
    info->dsi_ranks = calloc(sys->rank_nr + 1, sizeof(*info->dsi_ranks));
    info->dsi_ms_ranks = calloc(1, sizeof(*info->dsi_ms_ranks));
    if (info->dsi_ranks == NULL || info->dsi_ms_ranks == NULL)
        goto nomem;
    info->dsi_nr_ms_ranks = 1;
    info->dsi_ms_ranks[0] = sys->leader_rank;
    for (uint32_t i = 0; i < sys->rank_nr; i++) {
        info->dsi_ranks[i].dru_rank = sys->ranks[i].rank;
        info->dsi_ranks[i].dru_uri = strdup(sys->ranks[i].uris[0]);
        if (info->dsi_ranks[i].dru_uri == NULL)
            goto nomem;
        info->dsi_nr_ranks++;
    }
    *args->ret_info = info;
    return 0;
nomem:
    daos_mgmt_put_sys_info(info);
    return CAIRN_ERR(NOMEM);
}

int
daos_mgmt_get_sys_info(const char *sys, struct daos_sys_info **info)
{
    struct mgmt_args args = {.ret_info = info};

    if (info == NULL)
        return client_refuse();
    return client_run_attached(sys, NULL, sys_info_ult, &args, sizeof(args));
}
