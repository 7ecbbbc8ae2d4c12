/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The map of ranks: who is in the system and where each of its endpoints listens. Tested by
 * test/server.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "engine_priv.h"

struct engine_group *
engine_group_alloc(uint32_t nr, uint32_t uri_nr)
{
    size_t ranks_bytes = nr * sizeof(struct engine_group_rank);
    struct engine_group *g;

    g = calloc(1, sizeof(*g) + ranks_bytes + (size_t)uri_nr * NET_URI_MAX);
    if (g == NULL)
        return NULL;
    g->nr = nr;
    g->uri_nr = uri_nr;
    g->ranks = (struct engine_group_rank *)(g + 1);
    g->uris = (char(*)[NET_URI_MAX])((char *)(g + 1) + ranks_bytes);
    return g;
}

struct engine_group *
engine_group_dup(const struct engine_group *group)
{
    struct engine_group *g = engine_group_alloc(group->nr, group->uri_nr);

    if (g == NULL)
        return NULL;
    g->version = group->version;
    memcpy(g->ranks, group->ranks, group->nr * sizeof(*g->ranks));
    memcpy(g->uris, group->uris, (size_t)group->uri_nr * NET_URI_MAX);
    return g;
}

const struct engine_group_rank *
engine_group_find(const struct engine_group *group, uint32_t rank)
{
    for (uint32_t i = 0; group != NULL && i < group->nr; i++) {
        if (group->ranks[i].rank == rank)
            return &group->ranks[i];
    }
    return NULL;
}

bool
engine_is_member(const struct engine_group *group, const struct rpc_hdr *hdr)
{
    return hdr->src_rank != RPC_RANK_NONE && engine_group_find(group, hdr->src_rank) != NULL;
}

/* Fill the entry of this rank; its URIs start at `uri_first`. */
static void
self_fill(const struct engine *engine, struct engine_group *g, struct engine_group_rank *r,
    uint32_t uri_first)
{
    uint32_t node = r->node;

    *r = (struct engine_group_rank){.rank = engine->cfg.rank,
        .state = MGMT_RANK_JOINED,
        .tgt_nr = engine->cfg.tgt_nr,
        .node = node,
        .incarnation = engine->incarnation,
        .uri_first = uri_first,
        .uri_nr = engine->xs_nr};
    for (uint32_t i = 0; i < engine->xs_nr; i++) {
        memcpy(g->uris[uri_first + i], engine->xs[i].uri, NET_URI_MAX);
    }
}

struct engine_group *
engine_group_self(const struct engine *engine)
{
    struct engine_group *g = engine_group_alloc(1, engine->xs_nr);

    if (g != NULL)
        self_fill(engine, g, &g->ranks[0], 0);
    return g;
}

/* A copy in which this rank stands as it is now. */
static struct engine_group *
with_self(const struct engine *engine, const struct engine_group *group)
{
    const struct engine_group_rank *old = engine_group_find(group, engine->cfg.rank);
    uint32_t nr = group->nr + (old == NULL ? 1 : 0);
    struct engine_group *g = engine_group_alloc(nr, group->uri_nr + engine->xs_nr);
    uint32_t self = old == NULL ? group->nr : (uint32_t)(old - group->ranks);

    if (g == NULL)
        return NULL;
    g->version = group->version;
    memcpy(g->ranks, group->ranks, group->nr * sizeof(*g->ranks));
    memcpy(g->uris, group->uris, (size_t)group->uri_nr * NET_URI_MAX);
    self_fill(engine, g, &g->ranks[self], group->uri_nr);
    return g;
}

struct give {
    struct engine_xs *xs;
    struct engine_group *group;
};

static void
give_task(void *arg)
{
    struct give *give = arg;

    free(give->xs->group);
    give->xs->group = give->group;
}

int
engine_group_set(struct engine *engine, struct engine_group *group)
{
    struct engine_group *full;
    int rc = 0;

    if (engine_sys(engine)->group != NULL && group->version < engine_sys(engine)->group->version) {
        free(group);
        return 0;
    }
    full = with_self(engine, group);
    free(group);
    if (full == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 1; rc == 0 && i < engine->xs_nr; i++) {
        struct give give = {&engine->xs[i], engine_group_dup(full)};

        if (give.group == NULL) {
            rc = CAIRN_ERR(NOMEM);
            break;
        }
        rc = xstream_call(give.xs->xs, ULT_SERVICE, give_task, &give);
        if (rc != 0)
            free(give.group);
    }
    free(engine_sys(engine)->group);
    engine_sys(engine)->group = full;
    return rc;
}
