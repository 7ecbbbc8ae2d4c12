/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The life of a context. It ends in this order: nothing new is taken and calls fail; handlers end (their pulls and pushes are cut
 * short); replies leave; connections end, each with its down(); endpoints close.
 */
#include <stdlib.h>

#include "rpc/rpc_priv.h"

static int
handler_cmp(const void *a, const void *b)
{
    return (int)((const struct rpc_handler *)a)->opcode -
        (int)((const struct rpc_handler *)b)->opcode;
}

static int
ctx_init(struct rpc_ctx *ctx, const struct rpc_ctx_opts *opts)
{
    size_t handlers_bytes = opts->handler_nr * sizeof(*opts->handlers);
    int rc;

    ctx->opts = *opts;
    if (ctx->opts.backlog_nr_max == 0)
        ctx->opts.backlog_nr_max = RPC_BACKLOG_NR_MAX;
    ctx->plat = xstream_plat(opts->xs);
    list_init(&ctx->conns);
    list_init(&ctx->msgs);
    list_init(&ctx->runs);
    rpc_serve_init(ctx);
    list_init(&ctx->runs_free);
    list_init(&ctx->bulks);
    list_init(&ctx->bulk_ops);
    ult_cond_init(&ctx->idle);
    if (handlers_bytes > 0) {
        ctx->handlers = malloc(handlers_bytes);
        if (ctx->handlers == NULL)
            return CAIRN_ERR(NOMEM);
        memcpy(ctx->handlers, opts->handlers, handlers_bytes);
        qsort(ctx->handlers, opts->handler_nr, sizeof(*ctx->handlers), handler_cmp);
        ctx->opts.handlers = ctx->handlers;
    }
    rc = hmap_init(&ctx->eps, 4);
    if (rc == 0)
        rc = hmap_init(&ctx->calls, 6);
    if (rc == 0)
        rc = hmap_init(&ctx->dups, 6);
    if (rc == 0)
        rc = hmap_init(&ctx->bulks_by_id, 4);
    if (rc == 0)
        rc = hmap_init(&ctx->chunks, 6);
    return rc;
}

static int
ctx_listen(struct rpc_ctx *ctx, const char *uri)
{
    struct rpc_net *net = &ctx->nets[0];
    const struct net_ops *ops = ctx->plat->ops->net(ctx->plat, uri);
    int rc;

    if (ops == NULL)
        return CAIRN_ERR(INVAL);
    net->ctx = ctx;
    net->ops = ops;
    rc = ops->open(ctx->plat, xstream_loop(ctx->opts.xs), uri, &rpc_conn_cbs, net, &net->net);
    if (rc == 0) {
        ctx->nets_nr = 1;
    }
    ctx->opts.listen_uri = NULL; /* the caller's; rpc_ctx_uri() asks the endpoint */
    return rc;
}

/* Everything that is memory; requests that run, connections and messages only where the process is gone. */
static void
ctx_free(struct rpc_ctx *ctx)
{
    struct hmap_link *link;

    while (!list_empty(&ctx->runs)) {
        struct rpc_run *run = LIST_FIRST(&ctx->runs, struct rpc_run, link);

        list_del(&run->link);
        rpc_serve_run_free(run);
    }
    while (!list_empty(&ctx->runs_free)) {
        struct rpc_run *run = LIST_FIRST(&ctx->runs_free, struct rpc_run, link);

        list_del(&run->link);
        rpc_serve_run_free(run);
    }
    while (!list_empty(&ctx->msgs)) {
        struct rpc_msg *msg = LIST_FIRST(&ctx->msgs, struct rpc_msg, link);

        list_del(&msg->link);
        free(msg->payload_copy);
        free(msg);
    }
    while (!list_empty(&ctx->conns)) {
        struct rpc_conn *conn = LIST_FIRST(&ctx->conns, struct rpc_conn, link);

        list_del(&conn->link);
        rpc_conn_abandon(conn);
    }
    while (!list_empty(&ctx->bulks)) {
        struct rpc_bulk *bulk = LIST_FIRST(&ctx->bulks, struct rpc_bulk, link);

        list_del(&bulk->link);
        free(bulk);
    }
    while ((link = hmap_pop(&ctx->eps)) != NULL) {
        free(CAIRN_CONTAINER_OF(link, struct rpc_ep_ent, link));
    }
    hmap_fini(&ctx->eps);
    hmap_fini(&ctx->calls);
    hmap_fini(&ctx->dups);
    hmap_fini(&ctx->bulks_by_id);
    hmap_fini(&ctx->chunks);
    free(ctx->handlers);
    free(ctx);
}

int
rpc_ctx_create(const struct rpc_ctx_opts *opts, struct rpc_ctx **ret_ctx)
{
    struct rpc_ctx *ctx = calloc(1, sizeof(*ctx));
    int rc;

    if (ctx == NULL)
        return CAIRN_ERR(NOMEM);
    rc = ctx_init(ctx, opts);
    if (rc == 0 && opts->listen_uri != NULL) {
        rc = ctx_listen(ctx, opts->listen_uri);
    }
    if (rc != 0) {
        ctx_free(ctx);
        return rc;
    }
    *ret_ctx = ctx;
    return 0;
}

static void
calls_fail(struct rpc_ctx *ctx)
{
    struct rpc_conn *conn;
    struct rpc_call *call, *tmp;

    LIST_FOREACH(conn, &ctx->conns, struct rpc_conn, link) {
        LIST_FOREACH_SAFE(call, tmp, &conn->calls, struct rpc_call, conn_link) {
            rpc_call_end(call, CAIRN_ERR(SHUTDOWN));
        }
    }
}

void
rpc_ctx_destroy(struct rpc_ctx *ctx)
{
    struct rpc_conn *conn, *tmp;
    uint64_t flush_ns;

    if (ctx == NULL)
        return;
    ctx->is_stopping = true;
    calls_fail(ctx);
    rpc_bulk_stop(ctx);
    while (ctx->stats.running_nr > 0 || ctx->callers_nr > 0 || !list_empty(&ctx->bulks)) {
        ult_cond_wait(&ctx->idle, NULL);
    }
    flush_ns = rpc_now_ns(ctx) + RPC_FLUSH_NS;
    while (ctx->msgs_nr > 0 && ult_cond_wait_until(&ctx->idle, NULL, flush_ns) == 0) {
    }
    LIST_FOREACH_SAFE(conn, tmp, &ctx->conns, struct rpc_conn, link) {
        rpc_conn_close(conn);
    }
    while (!list_empty(&ctx->conns)) {
        ult_cond_wait(&ctx->idle, NULL);
    }
    for (uint32_t i = 0; i < ctx->nets_nr; i++) {
        ctx->nets[i].ops->close(ctx->nets[i].net);
    }
    CAIRN_ASSERT(list_empty(&ctx->msgs));
    ctx_free(ctx);
}

void
rpc_ctx_abandon(struct rpc_ctx *ctx)
{
    if (ctx != NULL) {
        ctx_free(ctx);
    }
}

const char *
rpc_ctx_uri(struct rpc_ctx *ctx)
{
    return ctx->nets_nr == 0 ? "" : ctx->nets[0].ops->uri(ctx->nets[0].net);
}

struct xstream *
rpc_ctx_xstream(struct rpc_ctx *ctx)
{
    return ctx->opts.xs;
}

void
rpc_ctx_stats(const struct rpc_ctx *ctx, struct rpc_stats *ret_stats)
{
    *ret_stats = ctx->stats;
    ret_stats->conns_nr = ctx->conns_nr;
    ret_stats->msgs_nr = ctx->msgs_nr;
}
