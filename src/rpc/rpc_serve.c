/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The answering side. A request passes, in this order: right version, system, incarnation (RPC-1); not already running (RPC-2); an operation
 * that is served here; room (RPC-5); on its ULT: time left, clocks close enough, a body that decodes. Then its handler runs, and the reply
 * goes to whoever asked last.
 */
#include <stdlib.h>

#include "rpc/rpc_priv.h"

int
rpc_serve_check(struct rpc_ctx *ctx, const struct rpc_head *head)
{
    if (head->ver < RPC_VER_LO || head->ver > RPC_VER_HI)
        return CAIRN_ERR(PROTO);
    if ((head->features & RPC_FEATURES_REQUIRED_MASK & ~RPC_FEATURES_KNOWN) != 0)
        return CAIRN_ERR(PROTO);
    if (cuuid_cmp(&head->hdr.system, &ctx->opts.system) != 0)
        return CAIRN_ERR(MISMATCH);
    if (head->hdr.dst_incarnation != 0 && head->hdr.dst_incarnation != ctx->opts.incarnation)
        return CAIRN_ERR(STALE);
    return 0;
}

void
rpc_serve_refuse(struct rpc_conn *conn, const struct rpc_head *head, int rc)
{
    struct rpc_ctx *ctx = conn->ctx;
    struct rpc_head rep = {
        .kind = RPC_KIND_REPLY,
        .call = head->call,
        .hdr =
            {
                .opcode = head->hdr.opcode,
                .flags = RPC_FLAG_REFUSED,
                .rc = rc,
                .dst_incarnation = head->hdr.src_incarnation,
                .hint_rank = RPC_RANK_NONE,
            },
    };
    struct rpc_msg *msg = rpc_msg_create(ctx, 0);

    ctx->stats.refused_nr++;
    if (msg == NULL) {
        rpc_conn_close(conn); /* better than a peer that waits for its deadline */
        return;
    }
    rpc_msg_seal(ctx, msg, &rep, 0);
    rpc_msg_send(conn, msg);
}

/* ---- requests that run ---------------------------------------------------------------------------------------------- */

static uint64_t
dup_hash(const struct rpc_hdr *hdr)
{
    return hash_bytes64(&hdr->client, sizeof(hdr->client), hash_mix64(hdr->seq) ^ hdr->slot);
}

/*
 * Request ids are unique for one client among the operations on one handle: the same numbers under another operation or handle are
 * another request.
 */
static bool
dup_same(const struct rpc_hdr *a, const struct rpc_hdr *b)
{
    return a->seq == b->seq && a->slot == b->slot && a->opcode == b->opcode &&
        cuuid_cmp(&a->client, &b->client) == 0 && cuuid_cmp(&a->pool, &b->pool) == 0 &&
        cuuid_cmp(&a->pool_hdl, &b->pool_hdl) == 0 && cuuid_cmp(&a->cont_hdl, &b->cont_hdl) == 0;
}

static struct rpc_run *
dup_find(struct rpc_ctx *ctx, const struct rpc_hdr *hdr)
{
    struct rpc_run *run;

    if (ctx->dups_off)
        return NULL;
    HMAP_FOREACH_HASH(run, &ctx->dups, dup_hash(hdr), struct rpc_run, dup_link) {
        if (dup_same(&run->hdr, hdr))
            break;
    }
    return run;
}

static void
run_set_asker(struct rpc_run *run, struct rpc_conn *conn, uint64_t call)
{
    if (run->conn != NULL) {
        list_del(&run->conn_link);
        run->conn->reqs_nr--;
        rpc_conn_put(run->conn);
    }
    run->conn = conn;
    run->call = call;
    run->here.id = 0; /* that was the one before */
    if (conn != NULL) {
        rpc_conn_ref(conn);
        list_add_tail(&run->conn_link, &conn->reqs);
        conn->reqs_nr++;
    }
}

struct rpc_run *
rpc_serve_run_find(struct rpc_conn *conn, uint64_t call)
{
    struct list_head *link;

    for (link = conn->reqs.prev; link != &conn->reqs; link = link->prev) { /* the newest first */
        struct rpc_run *run = CAIRN_CONTAINER_OF(link, struct rpc_run, conn_link);

        if (run->call == call)
            return run;
    }
    return NULL;
}

/* A resend of what runs already: its answer will go to the new asker. */
static void
dup_join(struct rpc_run *run, struct rpc_conn *conn, const struct rpc_head *head)
{
    struct rpc_ctx *ctx = conn->ctx;
    uint64_t now_ns = rpc_now_ns(ctx);
    uint64_t deadline_ns;

    CAIRN_PROBE("rpc.serve.dup_join");
    ctx->stats.dup_requests_nr++;
    if (run->conn == conn && head->call <= run->call)
        return; /* a copy of the same message, or one that was overtaken */
    run_set_asker(run, conn, head->call);
    run->hdr.src_incarnation = head->hdr.src_incarnation;
    if (add_u64(now_ns, head->hdr.timeout_ns, &deadline_ns)) {
        run->pub.deadline_ns = MAX(run->pub.deadline_ns, deadline_ns);
    }
}

static int
handler_cmp(const void *a, const void *b)
{
    return (int)((const struct rpc_handler *)a)->opcode -
        (int)((const struct rpc_handler *)b)->opcode;
}

static const struct rpc_handler *
handler_find(const struct rpc_ctx *ctx, uint16_t opcode)
{
    struct rpc_handler key = {.opcode = opcode};

    if (ctx->opts.handler_nr == 0)
        return NULL;
    return bsearch(&key, ctx->handlers, ctx->opts.handler_nr, sizeof(key), handler_cmp);
}

static struct rpc_run *
run_alloc(struct rpc_ctx *ctx)
{
    struct rpc_run *run = LIST_FIRST(&ctx->runs_free, struct rpc_run, link);

    if (run != NULL) {
        list_del(&run->link);
        ctx->runs_free_nr--;
    } else {
        run = calloc(1, sizeof(*run));
        if (run == NULL)
            return NULL;
        arena_init(&run->arena, RPC_REQ_ARENA_FIRST_BYTES, RPC_ARENA_BYTES_MAX);
    }
    list_init(&run->turn_link);
    list_add_tail(&run->link, &ctx->runs);
    ctx->stats.running_nr++;
    return run;
}

void
rpc_serve_run_free(struct rpc_run *run)
{
    arena_fini(&run->arena);
    free(run);
}

static void
run_end(struct rpc_run *run)
{
    struct rpc_ctx *ctx = run->pub.ctx;

    if (run->is_in_dups) {
        hmap_remove(&ctx->dups, &run->dup_link);
        run->is_in_dups = false;
    }
    run_set_asker(run, NULL, 0);
    list_del(&run->link);
    ctx->stats.running_nr--;
    ctx->running_io_nr -= run->handler->cls == ULT_IO;
    if (ctx->runs_free_nr < RPC_REQS_FREE_MAX) {
        arena_reset(&run->arena);
        list_add(&run->link, &ctx->runs_free);
        ctx->runs_free_nr++;
    } else {
        rpc_serve_run_free(run);
    }
    if (ctx->is_stopping) {
        ult_cond_broadcast(&ctx->idle);
    }
}

/* ---- turns of the senders (RPC-13) ---------------------------------------------------------------------------------- */

void
rpc_turn_init(struct rpc_turn *turn)
{
    list_init(&turn->link);
    list_init(&turn->runs);
}

void
rpc_serve_init(struct rpc_ctx *ctx)
{
    for (int cls = 0; cls < ULT_CLASS_NR; cls++) {
        list_init(&ctx->turns[cls]);
        rpc_turn_init(&ctx->gone[cls]);
    }
}

static void
turn_queue(struct list_head *turns, struct rpc_turn *turn)
{
    if (!list_empty(&turn->runs) && list_empty(&turn->link)) {
        list_add_tail(&turn->link, turns);
    }
}

/* The first request of the sender whose turn it is, or NULL. */
static struct rpc_run *
turn_take(struct list_head *turns)
{
    struct rpc_turn *turn = LIST_FIRST(turns, struct rpc_turn, link);
    struct rpc_run *run;

    if (turn == NULL)
        return NULL;
    run = LIST_FIRST(&turn->runs, struct rpc_run, turn_link);
    list_del(&run->turn_link);
    list_del(&turn->link);
    turn_queue(turns, turn);
    return run;
}

static void run_main(void *arg);
static void run_refuse(struct rpc_run *run, int rc);

static void
runs_begin(struct rpc_ctx *ctx, enum ult_class cls)
{
    while (ctx->starting_nr[cls] < RPC_STARTING_NR_MAX) {
        struct rpc_run *run = turn_take(&ctx->turns[cls]);

        if (run == NULL)
            return;
        if (ult_create(ctx->opts.xs, cls, run_main, run, NULL) == 0) {
            ctx->starting_nr[cls]++;
        } else {
            run_refuse(run, CAIRN_ERR(OVERLOAD_RETRY));
            run_end(run);
        }
    }
}

static void
turns_leave(struct rpc_conn *conn)
{
    struct rpc_ctx *ctx = conn->ctx;

    for (int cls = 0; cls < ULT_CLASS_NR; cls++) {
        list_splice_tail(&conn->turns[cls].runs, &ctx->gone[cls].runs);
        list_del(&conn->turns[cls].link);
        turn_queue(&ctx->turns[cls], &ctx->gone[cls]);
    }
}

void
rpc_serve_conn_down(struct rpc_conn *conn)
{
    turns_leave(conn);
    while (!list_empty(&conn->reqs)) {
        run_set_asker(LIST_FIRST(&conn->reqs, struct rpc_run, conn_link), NULL, 0);
    }
}

/* ---- on the request's ULT ------------------------------------------------------------------------------------------- */

/* 0; or a refusal; or TIMEDOUT: nobody waits any more. */
static int
run_admit(struct rpc_run *run)
{
    struct rpc_ctx *ctx = run->pub.ctx;
    void *body;
    int rc;

    if (ctx->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    if (run->hdr.hlc != 0 && ctx->opts.hlc_recv != NULL) {
        rc = ctx->opts.hlc_recv(ctx->opts.arg, run->hdr.hlc);
        if (rc != 0)
            return rc;
    }
    if (rpc_now_ns(ctx) >= run->pub.deadline_ns)
        return CAIRN_ERR(TIMEDOUT);
    body = arena_alloc(&run->arena, run->op->req->struct_bytes);
    if (body == NULL)
        return CAIRN_ERR(OVERLOAD_RETRY);
    rc = proto_decode(run->op->req, run->body, run->body_len, &run->arena, body);
    if (rc != 0)
        return rc == -DER_NOMEM ? CAIRN_ERR(OVERLOAD_RETRY) : rc;
    run->pub.body = body;
    return 0;
}

static struct rpc_msg *
reply_encode(struct rpc_run *run, const void *rep, size_t *ret_size, int *ret_rc)
{
    size_t size = proto_size(run->op->rep, rep);
    struct rpc_msg *msg;
    int rc = 0;

    msg = size <= RPC_BODY_BYTES_MAX ? rpc_msg_create(run->pub.ctx, size) : NULL;
    if (msg == NULL) {
        rc = size <= RPC_BODY_BYTES_MAX ? CAIRN_ERR(NOMEM) : CAIRN_ERR(OVERFLOW);
    } else {
        rc = proto_encode(run->op->rep, rep, rpc_msg_body(msg), size, &size);
    }
    if (rc != 0) { /* what the handler wants to say cannot be said: say that */
        if (msg != NULL) {
            rpc_msg_free(msg);
        }
        *ret_rc = rc;
        size = 0;
        msg = rpc_msg_create(run->pub.ctx, 0);
    }
    *ret_size = size;
    return msg;
}

static void
run_reply(struct rpc_run *run, const void *rep, int rc, uint64_t hlc)
{
    struct rpc_ctx *ctx = run->pub.ctx;
    struct rpc_head head = {.kind = RPC_KIND_REPLY};
    struct rpc_conn *conn = run->conn; /* after the possible yield */
    struct rpc_msg *msg;
    size_t size = 0;

    if (conn == NULL || conn->state != RPC_CONN_UP)
        return;
    msg = reply_encode(run, rep, &size, &rc);
    if (msg == NULL) {
        rpc_conn_close(conn);
        return;
    }
    head.call = run->call;
    head.hdr = run->hdr;
    head.hdr.flags = 0;
    head.hdr.rc = rc;
    head.hdr.dst_incarnation = run->hdr.src_incarnation;
    head.hdr.timeout_ns = 0;
    head.hdr.hlc = hlc;
    head.hdr.map_ver = run->pub.rep_map_ver;
    head.hdr.hint_rank = run->pub.hint_rank;
    rpc_msg_seal(ctx, msg, &head, size);
    rpc_msg_send(conn, msg);
}

void
rpc_serve_reply_early(struct rpc_run *run, const void *rep, uint64_t hlc)
{
    run->is_replied = true;
    run->pub.ctx->stats.early_nr++;
    run_reply(run, rep, 0, hlc);
}

/* RPC-15: does the client know by itself that this is how it ended? */
static bool
is_known(int rc)
{
    return rc == 0 || rc == -DER_CSUM || rc == -DER_UNREACH || rc == -DER_INVAL ||
        rc == -DER_TIMEDOUT;
}

static void
run_answer(struct rpc_run *run, const void *rep, int rc)
{
    if (!run->is_replied) {
        run_reply(run, rep, rc, rpc_hlc(run->pub.ctx));
    } else if (run->conn != NULL && !is_known(rc)) {
        CAIRN_PROBE("rpc.serve.early_failed");
        rpc_conn_close(run->conn);
    }
}

static void
run_refuse(struct rpc_run *run, int rc)
{
    struct rpc_head head = {.call = run->call, .hdr = run->hdr};

    if (rc == -DER_TIMEDOUT) {
        run->pub.ctx->stats.timeouts_nr++;
    } else if (run->conn != NULL) {
        rpc_serve_refuse(run->conn, &head, rc);
    }
}

static void
run_main(void *arg)
{
    struct rpc_run *run = arg;
    struct rpc_ctx *ctx = run->pub.ctx;
    enum ult_class cls = run->handler->cls;
    void *rep;
    int rc;

    ctx->starting_nr[cls]--;
    runs_begin(ctx, cls);
    rc = run_admit(run);
    if (rc != 0) {
        run_refuse(run, rc);
        goto out;
    }
    rep = arena_calloc(&run->arena, 1, run->op->rep->struct_bytes);
    if (rep == NULL) {
        run_refuse(run, CAIRN_ERR(OVERLOAD_RETRY));
        goto out;
    }
    rc = run->handler->fn(&run->pub, rep);
    CAIRN_ASSERT(rc <= 0);
    run_answer(run, rep, rc);
out:
    run_end(run);
}

/* ---- arrival -------------------------------------------------------------------------------------------------------- */

static int
run_fill(struct rpc_run *run, struct rpc_conn *conn, const struct rpc_head *head, const void *body)
{
    struct rpc_ctx *ctx = conn->ctx;

    run->hdr = head->hdr;
    run->is_in_dups = false;
    run->is_replied = false;
    run->conn = NULL;
    run->body_len = head->body_len;
    run->body = arena_dup(&run->arena, body, head->body_len);
    if (run->body == NULL)
        return CAIRN_ERR(OVERLOAD_RETRY);
    run->pub = (struct rpc_req){.ctx = ctx,
        .hdr = &run->hdr,
        .arena = &run->arena,
        .hint_rank = RPC_RANK_NONE,
        .handler_arg = ctx->opts.handler_arg};
    if (!add_u64(rpc_now_ns(ctx), head->hdr.timeout_ns, &run->pub.deadline_ns)) {
        run->pub.deadline_ns = PLAT_NEVER_NS - 1;
    }
    return 0;
}

/* RPC-5 */
static bool
has_room(const struct rpc_conn *conn, const struct rpc_handler *handler)
{
    const struct rpc_ctx *ctx = conn->ctx;
    bool is_io = handler->cls == ULT_IO;

    if (ctx->stats.running_nr >= RPC_RUNNING_NR_MAX || conn->reqs_nr >= RPC_CONN_RUNNING_NR_MAX)
        return false;
    if (is_io && ctx->running_io_nr >= RPC_RUNNING_IO_NR_MAX)
        return false;
    return !is_io || ctx->running_io_nr < RPC_RUNNING_SCARCE_NR || conn->reqs_nr < RPC_CONN_FEW_NR;
}

void
rpc_serve_on_request(struct rpc_conn *conn, const struct rpc_head *head, const void *body)
{
    struct rpc_ctx *ctx = conn->ctx;
    const struct proto_op *op = proto_op_find(head->hdr.opcode);
    const struct rpc_handler *handler = handler_find(ctx, head->hdr.opcode);
    struct rpc_run *run = NULL;
    bool is_identified;

    if (op == NULL || handler == NULL) {
        rpc_serve_refuse(conn, head, CAIRN_ERR(UNREG));
        return;
    }
    if (head->hdr.timeout_ns == 0) {
        ctx->stats.timeouts_nr++;
        return;
    }
    is_identified = op->is_modifying && head->hdr.seq != 0 && !cuuid_is_nil(&head->hdr.client);
    if (is_identified) {
        run = dup_find(ctx, &head->hdr);
    }
    if (run != NULL) {
        dup_join(run, conn, head);
        return;
    }
    if (ctx->is_stopping) {
        rpc_serve_refuse(conn, head, CAIRN_ERR(SHUTDOWN));
        return;
    }
    run = has_room(conn, handler) ? run_alloc(ctx) : NULL;
    if (run == NULL) {
        rpc_serve_refuse(conn, head, CAIRN_ERR(OVERLOAD_RETRY));
        return;
    }
    run->handler = handler;
    ctx->running_io_nr += handler->cls == ULT_IO;
    run->op = op;
    run->pub.ctx = ctx;
    if (run_fill(run, conn, head, body) != 0) {
        rpc_serve_refuse(conn, head, CAIRN_ERR(OVERLOAD_RETRY));
        run_end(run);
        return;
    }
    ctx->stats.requests_nr++;
    run_set_asker(run, conn, head->call);
    if (is_identified) {
        hmap_insert(&ctx->dups, &run->dup_link, dup_hash(&run->hdr));
        run->is_in_dups = true;
    }
    list_add_tail(&run->turn_link, &conn->turns[handler->cls].runs);
    turn_queue(&ctx->turns[handler->cls], &conn->turns[handler->cls]);
    runs_begin(ctx, handler->cls);
}
