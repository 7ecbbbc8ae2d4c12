/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Aggregation on demand: each target of the pool in turn is asked for it, and waited for. What each may drop is for it and the container's service to say; the
 * call only makes it happen now. Tested by src/client/test/client_snap_test.c.
 */
#include "client/core/client_pool.h"
#include "client/core/client_tools.h"
#include "client/obj/client_obj_priv.h"
#include "daos_api.h"
#include "daos_cont.h"

enum { REPLY_ARENA_BYTES = 256 };

struct agg_args {
    daos_handle_t coh;
    daos_epoch_t epoch;
};

static int
tgt_aggregate(struct client_cont *cont, uint32_t tgt_id, uint64_t epoch, uint64_t deadline_ns)
{
    struct proto_obj_aggregate_req req = {.epoch = epoch};
    struct proto_obj_aggregate_rep rep;
    uint32_t stale_nr = 0;
    struct arena arena;
    int rc;

    do {
        rep = (struct proto_obj_aggregate_rep){.is_done = 0};
        arena_init(&arena, REPLY_ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
        rc = client_tgt_call(cont, tgt_id, PROTO_OBJ_AGGREGATE, &req, &rep, &arena);
        arena_fini(&arena);
        if (rc == 0 && rep.is_done == 0 && ult_now_ns() >= deadline_ns)
            rc = CAIRN_ERR(TIMEDOUT);
        if (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX)
            rc = 0;
    } while (rc == 0 && rep.is_done == 0);
    return rc;
}

static int
aggregate_ult(void *arg)
{
    struct agg_args *args = arg;
    const struct poolmap_tgt *tgt;
    struct client_cont *cont;
    uint64_t deadline_ns;
    uint32_t id = 0;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    deadline_ns = ult_now_ns() + cont->pool->client->call_ns;
    while (rc == 0 && (tgt = poolmap_tgt_next(cont->pool->map, id, POOLMAP_SERVING)) != NULL) {
        id = tgt->id; /* the map may change under the call */
        rc = tgt_aggregate(cont, id, args->epoch, deadline_ns);
        id++;
    }
    client_cont_put(cont);
    return rc;
}

int
daos_cont_aggregate(daos_handle_t coh, daos_epoch_t epoch, daos_event_t *ev)
{
    struct agg_args args = {.coh = coh, .epoch = epoch};

    return client_run(ev, aggregate_ult, &args, sizeof(args));
}
