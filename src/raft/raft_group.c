/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "raft/raft_group.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "raft/raft_priv.h"

enum { SPANS_NR = 32 };

/* An error of the library as ours. */
static int
rc_of(int status)
{
    switch (status) {
    case 0:
        return 0;
    case RAFT_NOMEM:
        return CAIRN_ERR(NOMEM);
    case RAFT_BUSY:
    case RAFT_CANTCHANGE:
        return CAIRN_ERR(BUSY);
    case RAFT_DUPLICATEID:
    case RAFT_DUPLICATEADDRESS:
        return CAIRN_ERR(EXIST);
    case RAFT_BADID:
    case RAFT_NOTFOUND:
        return CAIRN_ERR(NONEXIST);
    case RAFT_BADROLE:
        return CAIRN_ERR(INVAL);
    case RAFT_NOCONNECTION:
        return CAIRN_ERR(TIMEDOUT);
    default:
        return CAIRN_ERR(NOTLEADER);
    }
}

static void
changed(struct raft_group *g)
{
    if (g->host->is_abandoned)
        return;
    ult_cond_broadcast(&g->cond);
    if (g->opts.ops->changed != NULL)
        g->opts.ops->changed(g->opts.arg);
}

/* ---- workers ---------------------------------------------------------------------------------------------------------- */

/* A worker, unless it is at work. Without memory for it another wake-up, at the latest the tick's, tries again. */
void
raft_group_ult(struct raft_group *g, bool *flag, void (*fn)(void *arg))
{
    if (*flag || g->is_stopping || g->host->is_abandoned)
        return;
    *flag = true;
    if (ult_create(g->host->xs, ULT_SERVICE, fn, g, NULL) != 0)
        *flag = false;
}

uint64_t
raft_group_applied_all(const struct raft_group *g)
{
    if (list_empty(&g->queue))
        return MAX((uint64_t)g->lib.last_applied, g->applied);
    return CAIRN_CONTAINER_OF(g->queue.next, struct raft_queued, link)->index - 1;
}

/* Give the state machine the next commands; they leave the queue when it has them. */
static int
apply_some(struct raft_group *g)
{
    struct raft_cmd cmds[RAFT_APPLY_NR] = {{.index = 0}};
    struct raft_queued *q;
    uint32_t nr = 0;
    size_t bytes = 0;
    int rc;

    LIST_FOREACH(q, &g->queue, struct raft_queued, link) {
        if (nr == RAFT_APPLY_NR || bytes >= RAFT_APPLY_BYTES)
            break;
        cmds[nr++] = (struct raft_cmd){q->index, {q->data, q->len}};
        bytes += q->len;
    }
    rc = g->opts.ops->apply(g->opts.arg, cmds, nr);
    if (rc != 0)
        return rc;
    g->applied = cmds[nr - 1].index;
    for (uint32_t i = 0; i < nr; i++) {
        q = CAIRN_CONTAINER_OF(g->queue.next, struct raft_queued, link);
        list_del(&q->link);
        free(q);
    }
    g->queue_nr -= nr;
    return 0;
}

static void
applier_ult(void *arg)
{
    struct raft_group *g = arg;
    int rc = 0;

    while (rc == 0 && !list_empty(&g->queue) && !g->is_stopping) {
        ult_mutex_lock(&g->sm_lock);
        if (!list_empty(&g->queue))
            rc = apply_some(g);
        ult_mutex_unlock(&g->sm_lock);
        if (rc != 0)
            raft_group_break(g, rc, 0);
        ult_cond_broadcast(&g->cond);
        raft_group_writer_wake(g); /* a mark may wait for it */
    }
    g->is_applying = false;
    ult_cond_broadcast(&g->cond);
}

void
raft_group_applier_wake(struct raft_group *g)
{
    raft_group_ult(g, &g->is_applying, applier_ult);
}

/* Appends that follow each other, as spans. */
static uint32_t
spans_gather(struct raft_group *g, struct raft_span *spans)
{
    struct raft_op *op;
    uint32_t nr = 0;

    LIST_FOREACH(op, &g->ops, struct raft_op, link) {
        if (op->type != RAFT_OP_APPEND || nr == SPANS_NR)
            break;
        spans[nr++] = (struct raft_span){op->index, op->entries, op->nr};
    }
    return nr;
}

/* A snapshot from elsewhere: the state machine takes it when it has done what it had (RFS-3). */
static int
install(struct raft_group *g)
{
    const struct raft_buffer *data = &g->put_snap->bufs[0];
    int rc;

    while (!list_empty(&g->queue) && !g->is_broken && !g->is_stopping) {
        raft_group_applier_wake(g);
        ult_cond_wait(&g->cond, NULL);
    }
    if (g->is_broken || g->is_stopping)
        return CAIRN_ERR(SHUTDOWN);
    rc = raft_store_install_begin(&g->store, &g->put_at);
    if (rc != 0)
        return rc;
    ult_mutex_lock(&g->sm_lock);
    rc = g->opts.ops->install(g->opts.arg, data->base, data->len, g->put_at.index);
    if (rc == 0) {
        g->applied = g->put_at.index;
        g->queued = MAX(g->queued, g->applied);
    }
    ult_mutex_unlock(&g->sm_lock);
    return rc == 0 ? raft_store_install_end(&g->store) : rc;
}

/* Carry out the first of what is queued, appends together; *ret_nr: how many. */
static int
write_some(struct raft_group *g, uint32_t *ret_nr)
{
    struct raft_op *op = CAIRN_CONTAINER_OF(g->ops.next, struct raft_op, link);
    struct raft_span spans[SPANS_NR] = {{.index = 0}};

    *ret_nr = 1;
    switch (op->type) {
    case RAFT_OP_APPEND:
        *ret_nr = spans_gather(g, spans);
        return raft_store_append(&g->store, spans, *ret_nr);
    case RAFT_OP_TRUNCATE:
        return raft_store_truncate(&g->store, op->index);
    case RAFT_OP_COMPACT:
        return raft_store_compact(&g->store, &g->put_at, MAX(g->put_first, g->store.first));
    case RAFT_OP_INSTALL:
        return install(g);
    }
    return CAIRN_ERR(INVAL);
}

/* The mark of a snapshot, or one from elsewhere, is on the disk, or is given up. */
static void
put_end(struct raft_group *g, int status)
{
    struct raft_io_snapshot_put *req = g->put;
    struct raft_buffer *bufs = g->put_first == 0 ? g->put_snap->bufs : NULL;

    if (status == 0 && bufs != NULL) {
        /* What the leader of this term gave us agrees with it. */
        g->verified_term = g->lib.current_term;
        g->verified = MAX(g->verified, g->put_at.index);
    }
    g->put = NULL;
    g->put_cb(req, status);
    if (status != 0 && bufs != NULL)
        raft_free(bufs); /* the library forgets it */
}

/* The first op is done: tell the library, under the mutex. */
static void
op_end(struct raft_group *g, int status)
{
    struct raft_op *op = CAIRN_CONTAINER_OF(g->ops.next, struct raft_op, link);
    enum raft_op_type type = op->type;
    struct raft_io_append *req = op->req;

    list_del(&op->link);
    free(op);
    if (type == RAFT_OP_APPEND) {
        req->cb(req, 0); /* also when the library was closed before: it only gives back memory then */
    } else if (type == RAFT_OP_COMPACT || type == RAFT_OP_INSTALL)
        put_end(g, status);
}

/* A mark whose time has come joins the queue. */
static void
put_ready(struct raft_group *g)
{
    struct raft_op *op;

    if (g->put == NULL || g->put_is_queued || raft_group_applied_all(g) < g->put_at.index)
        return;
    op = calloc(1, sizeof(*op));
    if (op == NULL)
        return; /* the next tick */
    op->type = RAFT_OP_COMPACT;
    list_add_tail(&op->link, &g->ops);
    g->put_is_queued = true;
}

static void
writer_ult(void *arg)
{
    struct raft_group *g = arg;
    uint32_t nr;
    int rc;

    while (!list_empty(&g->ops) && !g->is_broken && !g->is_stopping) {
        rc = write_some(g, &nr);
        if (rc != 0) {
            raft_group_break(g, rc, 0);
            break;
        }
        ult_mutex_lock(&g->lock);
        for (uint32_t i = 0; i < nr && g->is_up && !g->is_broken; i++) {
            op_end(g, 0);
            raft_group_after(g);
        }
        put_ready(g);
        ult_mutex_unlock(&g->lock);
    }
    g->is_writing = false;
    ult_cond_broadcast(&g->cond);
}

void
raft_group_writer_wake(struct raft_group *g)
{
    put_ready(g);
    if (!list_empty(&g->ops) && !g->is_broken)
        raft_group_ult(g, &g->is_writing, writer_ult);
}

/* ---- the library ------------------------------------------------------------------------------------------------------ */

static void
barrier_cb(struct raft_barrier *req, int status)
{
    struct raft_group *g = req->data;

    free(req);
    if (status != 0 || g->lead_term != g->lib.current_term)
        return;
    g->is_ready = true;
    changed(g);
}

/* Leadership came or went: the first entry of a term of ours is a barrier, behind which everything earlier is committed. */
static void
leadership_note(struct raft_group *g)
{
    struct raft_barrier *req;

    if (g->lib.state != RAFT_LEADER || g->is_broken) {
        if (g->lead_term == 0)
            return;
        g->lead_term = 0;
        g->is_ready = false;
        g->deferred_nr = 0;
        changed(g);
        return;
    }
    if (g->lead_term == g->lib.current_term)
        return;
    g->lead_term = g->lib.current_term;
    g->is_ready = false;
    g->lease_is_off = false;
    g->deferred_nr = 0;
    memset(g->stamps, 0, sizeof(g->stamps));
    memset(g->stamp_ids, 0, sizeof(g->stamp_ids));
    g->own_index = raft_log_last(&g->lib.log) + 1;
    raft_snap_fetch_drop(g);
    req = calloc(1, sizeof(*req));
    if (req != NULL)
        req->data = g;
    if (req == NULL || raft_barrier(&g->lib, req, barrier_cb) != 0) {
        free(req);
        raft_group_break(g, CAIRN_ERR(NOMEM), 0);
    }
    changed(g);
}

static void
sent_end(struct raft_group *g, int status)
{
    for (uint32_t i = 0; i < g->sent_nr; i++) {
        g->sent[i].cb(g->sent[i].req, status);
    }
    g->sent_nr = 0;
}

static void
lib_recv(struct raft_group *g, uint64_t from, struct raft_message *m)
{
    char address[RAFT_ADDRESS_BYTES_MAX];

    raft_address(from, address);
    m->server_id = from;
    m->server_address = address;
    g->recv_cb(&g->io, m);
}

/* Answers that waited for our own entry. */
static void
deferred_run(struct raft_group *g)
{
    while (g->deferred_nr > 0 && g->lead_term != 0 && g->lib.last_stored >= g->own_index &&
        !g->is_broken) {
        struct raft_msg msg = g->deferred[0];
        struct raft_message m = {.type = RAFT_IO_APPEND_ENTRIES_RESULT};

        g->deferred_nr--;
        memmove(g->deferred, g->deferred + 1, g->deferred_nr * sizeof(msg));
        m.append_entries_result = msg.append_result;
        lib_recv(g, msg.from, &m);
        sent_end(g, 0);
        leadership_note(g);
    }
}

void
raft_group_after(struct raft_group *g)
{
    if (g->lib.state == RAFT_UNAVAILABLE && !g->is_broken)
        raft_group_break(g, CAIRN_ERR(MISC), 0);
    leadership_note(g);
    sent_end(g, 0);
    deferred_run(g);
    put_ready(g);
    if (!g->host->is_abandoned)
        raft_group_writer_wake(g);
}

/* A message that may bring entries or a snapshot: what the library makes of it is noted for the answers. */
static void
cur_set(struct raft_group *g, uint64_t from, uint64_t term, uint64_t stamp, uint64_t end)
{
    g->cur.from = from;
    g->cur.term = term;
    g->cur.stamp = stamp;
    g->cur.end = end;
}

void
raft_group_deliver(struct raft_group *g, uint64_t from, struct raft_message *m)
{
    cur_set(g, from, m->install_snapshot.term, 0, m->install_snapshot.last_index);
    g->giving = *m;
    g->is_giving = true;
    lib_recv(g, from, m);
    g->is_giving = false;
    cur_set(g, 0, 0, 0, 0);
}

void
raft_group_drain(struct raft_group *g)
{
    while (!list_empty(&g->ops)) {
        op_end(g, RAFT_CANCELED);
    }
    if (g->put != NULL)
        put_end(g, RAFT_CANCELED);
    raft_snap_gets_fail(g);
    sent_end(g, RAFT_CANCELED);
}

/*
 * Close it: what was asked ends, what was queued is dropped. Under the mutex, without yields. The library becomes unavailable first, and gives back its log last: raft_group_drain() in between.
 */
static void
lib_close(struct raft_group *g)
{
    if (!g->lib_is_init)
        return;
    g->is_up = false;
    g->is_broken = true;
    g->lib_is_init = false;
    if (g->is_giving) { /* killed inside */
        raft_free(g->giving.install_snapshot.data.base);
        raft_configuration_close(&g->giving.install_snapshot.conf);
        g->is_giving = false;
    }
    raft_close(&g->lib, NULL);
}

/* Read from the disk, and begin as a follower. Under the mutex. */
static int
lib_start(struct raft_group *g)
{
    char address[RAFT_ADDRESS_BYTES_MAX];
    uint64_t t = g->host->opts.election_ms;
    int rc;

    if (g->store_is_open)
        raft_store_close(&g->store);
    g->store_is_open = true; /* abandon frees what it has */
    rc = raft_store_open(&g->store, g->opts.cont, g->applied);
    if (rc != 0) {
        g->store_is_open = false;
        return rc;
    }
    if (g->cut_index != 0 && g->cut_index <= g->store.last)
        rc = raft_store_truncate(&g->store, g->cut_index);
    if (rc != 0)
        return rc;
    raft_io_table(g);
    raft_address(g->host->opts.self, address);
    memset(&g->lib, 0, sizeof(g->lib));
    if (raft_init(&g->lib, &g->io, &g->fsm, g->host->opts.self, address) != 0)
        return CAIRN_ERR(NOMEM);
    raft_set_election_timeout(&g->lib, (unsigned)t);
    raft_set_heartbeat_timeout(&g->lib, g->host->opts.heartbeat_ms);
    raft_set_install_snapshot_timeout(&g->lib, (unsigned)t * 5);
    raft_set_snapshot_threshold(&g->lib, g->opts.snap_threshold);
    raft_set_snapshot_trailing(&g->lib, g->opts.snap_trailing);
    raft_set_pre_vote(&g->lib, true);
    g->lib_is_init = true;
    g->is_broken = false;
    g->broken_rc = 0;
    /* In term 1 nobody was elected but an only voter: nobody had our word. */
    g->votes_from_ns = g->store.term <= 1 ? 0 : raft_now_ns(g) + t * RAFT_MS + t * RAFT_MS / 20;
    if (raft_start(&g->lib) != 0) {
        rc = g->broken_rc != 0 ? g->broken_rc : CAIRN_ERR(NOMEM);
        lib_close(g);
        return rc;
    }
    g->cut_index = 0;
    g->is_up = true;
    raft_group_after(g);
    return 0;
}

/* ---- beginning anew --------------------------------------------------------------------------------------------------- */

static void
mend(struct raft_group *g)
{
    uint64_t tries = 0;
    int rc;

    ult_mutex_lock(&g->lock);
    lib_close(g);
    g->lead_term = 0;
    g->is_ready = false;
    g->deferred_nr = 0;
    raft_snap_fetch_drop(g);
    changed(g);
    do {
        rc = lib_start(g);
        if (rc == 0)
            break;
        if (tries++ % 60 == 0)
            LOG_WARN("raft: this member cannot take part: %s; tried every second", err_text(rc));
        ult_mutex_unlock(&g->lock);
        CAIRN_IGNORE(ult_cond_wait_until(&g->cond, NULL, ult_now_ns() + RAFT_MEND_NS));
        ult_mutex_lock(&g->lock);
    } while (!g->is_stopping);
    ult_mutex_unlock(&g->lock);
    if (!list_empty(&g->queue))
        raft_group_applier_wake(g);
}

static void
mender_ult(void *arg)
{
    struct raft_group *g = arg;

    /* What is at work with the store ends first. */
    while ((g->is_writing || g->is_dumping) && !g->is_stopping) {
        ult_cond_wait(&g->cond, NULL);
    }
    /* Not in a circle. */
    while (g->mended_ns != 0 && ult_now_ns() < g->mended_ns + RAFT_MEND_NS && !g->is_stopping) {
        CAIRN_IGNORE(ult_cond_wait_until(&g->cond, NULL, g->mended_ns + RAFT_MEND_NS));
    }
    if (!g->is_stopping)
        mend(g);
    g->mended_ns = ult_now_ns();
    g->is_mending = false;
    ult_cond_broadcast(&g->cond);
}

void
raft_group_break(struct raft_group *g, int rc, uint64_t cut_index)
{
    if (g->is_stopping || g->host->is_abandoned)
        return;
    if (cut_index != 0)
        g->cut_index = g->cut_index == 0 ? cut_index : MIN(g->cut_index, cut_index);
    if (g->is_broken && g->is_mending)
        return;
    if (rc != 0)
        LOG_WARN("raft: this member begins anew: %s", err_text(rc));
    CAIRN_PROBE("raft.anew");
    g->is_broken = true;
    ult_cond_broadcast(&g->cond);
    raft_group_ult(g, &g->is_mending, mender_ult);
}

/* ---- entering --------------------------------------------------------------------------------------------------------- */

/* Whether the library may be called; with the mutex then. */
static bool
enter(struct raft_group *g)
{
    if (g->is_stopping)
        return false;
    g->users_nr++;
    g->waiting_nr++;
    ult_mutex_lock(&g->lock);
    g->waiting_nr--;
    return true;
}

static bool
may_call(const struct raft_group *g)
{
    return g->is_up && !g->is_broken && !g->is_stopping;
}

static void
user_end(struct raft_group *g)
{
    g->users_nr--;
    if (g->is_stopping)
        ult_cond_broadcast(&g->cond);
}

static void
leave(struct raft_group *g)
{
    ult_mutex_unlock(&g->lock);
    user_end(g);
}

void
raft_group_tick(struct raft_group *g)
{
    if (g->is_stopping || !ult_mutex_trylock(&g->lock))
        return;
    if (g->is_broken && !g->is_mending)
        raft_group_ult(g, &g->is_mending, mender_ult); /* there was no memory for it */
    if (may_call(g)) {
        g->tick_cb(&g->io);
        raft_group_after(g);
        raft_snap_tick(g);
        if (!list_empty(&g->queue))
            raft_group_applier_wake(g);
    }
    ult_mutex_unlock(&g->lock);
}

/* ---- messages --------------------------------------------------------------------------------------------------------- */

static void
append_pass(struct raft_group *g, struct raft_msg *msg)
{
    struct raft_message m = {.type = RAFT_IO_APPEND_ENTRIES, .append_entries = msg->append};

    cur_set(g, msg->from, msg->term, msg->stamp, msg->append.prev_log_index + msg->append.n_entries);
    lib_recv(g, msg->from, &m);
    msg->append.entries = NULL; /* the library's now */
    msg->append.n_entries = 0;
    cur_set(g, 0, 0, 0, 0);
}

/* To the library, or to who does what it leaves out. */
static void
pass(struct raft_group *g, struct raft_msg *msg)
{
    struct raft_message m = {.type = (unsigned short)msg->type};

    switch (msg->type) {
    case RAFT_MSG_APPEND:
        append_pass(g, msg);
        return;
    case RAFT_MSG_SNAP:
        raft_snap_offer_in(g, msg);
        return;
    case RAFT_MSG_SNAP_WANT:
        raft_snap_want_in(g, msg);
        return;
    case RAFT_MSG_SNAP_PART:
        raft_snap_part_in(g, msg);
        return;
    case RAFT_MSG_APPEND_RESULT:
        raft_guard_stamp(g, msg);
        m.append_entries_result = msg->append_result;
        break;
    case RAFT_MSG_VOTE:
        m.request_vote = msg->vote;
        break;
    case RAFT_MSG_VOTE_RESULT:
        m.request_vote_result = msg->vote_result;
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        m.timeout_now = msg->timeout_now;
        break;
    }
    lib_recv(g, msg->from, &m);
}

static void
recv_locked(struct raft_group *g, struct raft_msg *msg)
{
    uint64_t cut = 0;

    switch (raft_guard_in(g, msg, &cut)) {
    case RAFT_PASS:
        pass(g, msg);
        break;
    case RAFT_DEFER:
        raft_guard_stamp(g, msg);
        if (g->deferred_nr < RAFT_DEFERRED_NR)
            g->deferred[g->deferred_nr++] = *msg; /* it owns nothing */
        break;
    case RAFT_CUT:
        raft_group_break(g, 0, cut);
        break;
    case RAFT_DROP:
        g->host->stats.dropped_nr++;
        break;
    }
    raft_group_after(g);
}

void
raft_group_recv(struct raft_group *g, struct raft_msg *msg)
{
    if (enter(g)) {
        if (may_call(g))
            recv_locked(g, msg);
        leave(g);
    }
    raft_msg_fini(msg);
}

/* ---- requests --------------------------------------------------------------------------------------------------------- */

static struct raft_req *
req_new(struct raft_group *g)
{
    struct raft_req *req = calloc(1, sizeof(*req));

    if (req == NULL)
        return NULL;
    req->g = g;
    ult_eventual_init(&req->done);
    list_add_tail(&req->link, &g->reqs);
    return req;
}

static void
req_free(struct raft_req *req)
{
    list_del(&req->link);
    free(req);
}

static void
req_end(struct raft_req *req, int rc)
{
    if (!req->g->host->is_abandoned)
        ult_eventual_set(&req->done, rc);
}

static void
apply_cb(struct raft_apply *lib, int status, void *result)
{
    struct raft_req *req = lib->data;

    (void)result;
    req->index = lib->index;
    req_end(req, rc_of(status));
}

static void
change_cb(struct raft_change *lib, int status)
{
    req_end(lib->data, rc_of(status));
}

static void
transfer_cb(struct raft_transfer *lib)
{
    req_end(lib->data, 0);
}

/* A leader that is ready, under the mutex. */
static int
leader_check(const struct raft_group *g)
{
    return may_call(g) && g->lead_term != 0 && g->is_ready && g->lib.state == RAFT_LEADER
        ? 0
        : CAIRN_ERR(NOTLEADER);
}

static int
propose_locked(struct raft_group *g, struct iov cmd, struct raft_req *req)
{
    struct raft_buffer buf;
    int rc;

    rc = leader_check(g);
    if (rc == 0)
        rc = raft_store_room(&g->store, cmd.len); /* before anything is appended */
    if (rc == 0 && g->queue_nr >= RAFT_QUEUE_NR_MAX)
        rc = CAIRN_ERR(BUSY);
    if (rc != 0)
        return rc;
    buf.len = cmd.len;
    buf.base = raft_malloc(cmd.len);
    if (buf.base == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(buf.base, cmd.buf, cmd.len);
    req->apply.data = req;
    rc = rc_of(raft_apply(&g->lib, &req->apply, &buf, 1, apply_cb));
    if (rc != 0)
        raft_free(buf.base);
    return rc;
}

/* Wait for what was begun. */
static int
req_wait(struct raft_group *g, struct raft_req *req, int rc)
{
    raft_group_after(g);
    ult_mutex_unlock(&g->lock);
    if (rc == 0)
        rc = ult_eventual_wait(&req->done);
    return rc;
}

int
raft_group_propose(struct raft_group *g, struct iov cmd, uint64_t *ret_index)
{
    struct raft_req *req;
    int rc;

    if (cmd.len == 0)
        return CAIRN_ERR(INVAL);
    if (cmd.len > RAFT_CMD_BYTES_MAX)
        return CAIRN_ERR(OVERFLOW);
    if (!enter(g))
        return CAIRN_ERR(NOTLEADER);
    req = req_new(g);
    if (req == NULL) {
        leave(g);
        return CAIRN_ERR(NOMEM);
    }
    rc = propose_locked(g, cmd, req);
    rc = req_wait(g, req, rc);
    if (rc == 0 && ret_index != NULL)
        *ret_index = req->index;
    req_free(req);
    user_end(g);
    return rc;
}

enum change_type { CHANGE_ADD, CHANGE_ASSIGN, CHANGE_REMOVE };

static int
change_locked(struct raft_group *g, enum change_type type, uint64_t id, enum raft_role role,
    struct raft_req *req)
{
    char address[RAFT_ADDRESS_BYTES_MAX];
    int rc;

    rc = leader_check(g);
    if (rc == 0)
        rc = raft_store_room(&g->store, RAFT_CONF_BYTES_MAX);
    if (rc != 0)
        return rc;
    req->change.data = req;
    rc = CAIRN_ERR(INVAL);
    switch (type) {
    case CHANGE_ADD:
        if (g->lib.configuration.n >= RAFT_MEMBERS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        raft_address(id, address);
        rc = rc_of(raft_add(&g->lib, &req->change, id, address, change_cb));
        break;
    case CHANGE_ASSIGN:
        rc = rc_of(raft_assign(&g->lib, &req->change, id, role, change_cb));
        break;
    case CHANGE_REMOVE:
        rc = rc_of(raft_remove(&g->lib, &req->change, id, change_cb));
        break;
    }
    if (rc != 0 && g->lib.state == RAFT_LEADER && g->lib.leader_state.change == &req->change)
        g->lib.leader_state.change = NULL; /* the library forgot to */
    return rc;
}

static int
change(struct raft_group *g, enum change_type type, uint64_t id, enum raft_role role)
{
    struct raft_req *req;
    int rc;

    /* A leader that removes itself would leave a term to who is left. */
    if (id == 0 || (type != CHANGE_ADD && id == g->host->opts.self))
        return CAIRN_ERR(INVAL);
    if (!enter(g))
        return CAIRN_ERR(NOTLEADER);
    req = req_new(g);
    if (req == NULL) {
        leave(g);
        return CAIRN_ERR(NOMEM);
    }
    rc = change_locked(g, type, id, role, req);
    rc = req_wait(g, req, rc);
    req_free(req);
    user_end(g);
    return rc;
}

int
raft_group_add(struct raft_group *g, uint64_t id)
{
    return change(g, CHANGE_ADD, id, RAFT_ROLE_SPARE);
}

int
raft_group_assign(struct raft_group *g, uint64_t id, enum raft_role role)
{
    return change(g, CHANGE_ASSIGN, id, role);
}

int
raft_group_remove(struct raft_group *g, uint64_t id)
{
    return change(g, CHANGE_REMOVE, id, RAFT_ROLE_SPARE);
}

int
raft_group_transfer(struct raft_group *g, uint64_t id)
{
    struct raft_req *req;
    uint64_t term;
    int rc;

    if (!enter(g))
        return CAIRN_ERR(NOTLEADER);
    req = req_new(g);
    if (req == NULL) {
        leave(g);
        return CAIRN_ERR(NOMEM);
    }
    rc = leader_check(g);
    term = g->lead_term;
    if (rc == 0) {
        /* Who is told to stand for election may do so late: the others then vote although we have their word. */
        g->lease_is_off = true;
        req->transfer.data = req;
        rc = rc_of(raft_transfer(&g->lib, &req->transfer, id, transfer_cb));
    }
    rc = req_wait(g, req, rc);
    if (rc == 0 && g->lead_term == term)
        rc = CAIRN_ERR(TIMEDOUT);
    req_free(req);
    user_end(g);
    return rc;
}

/* ---- reads ------------------------------------------------------------------------------------------------------------ */

int
raft_group_read(struct raft_group *g, uint64_t *ret_term)
{
    uint64_t term, index;
    int rc;

    rc = leader_check(g);
    if (rc != 0)
        return rc;
    g->users_nr++;
    term = g->lead_term;
    index = g->lib.commit_index;
    while (rc == 0 && raft_group_applied_all(g) < index) {
        ult_cond_wait(&g->cond, NULL);
        rc = leader_check(g);
    }
    if (rc == 0 && g->lead_term != term)
        rc = CAIRN_ERR(NOTLEADER);
    user_end(g);
    if (rc == 0)
        *ret_term = term;
    return rc;
}

bool
raft_group_lease_holds(const struct raft_group *g)
{
    if (leader_check(g) != 0 || g->lease_is_off)
        return false;
    return raft_now_ns(g) < raft_guard_base(g) + raft_guard_lease_ns(g);
}

int
raft_group_read_end(struct raft_group *g, uint64_t term)
{
    uint64_t now = raft_now_ns(g), until = now + g->host->opts.election_ms * RAFT_MS;
    int rc = 0;

    g->users_nr++;
    for (;;) {
        if (leader_check(g) != 0 || g->lead_term != term)
            rc = CAIRN_ERR(NOTLEADER);
        if (rc != 0 || raft_group_lease_holds(g) || raft_guard_base(g) >= now)
            break;
        if (raft_now_ns(g) >= until) {
            rc = CAIRN_ERR(NOTLEADER);
        } else {
            CAIRN_IGNORE(ult_cond_wait_until(&g->cond, NULL, until));
        }
    }
    user_end(g);
    return rc;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

int
raft_group_bootstrap(struct vos_cont *cont, const struct raft_conf *conf)
{
    struct raft_store store;
    int rc;

    rc = raft_store_open(&store, cont, 0);
    if (rc != 0)
        return rc;
    rc = raft_store_bootstrap(&store, conf);
    raft_store_close(&store);
    return rc;
}

static void
group_fini(struct raft_group *g)
{
    struct raft_queued *q, *tmp;

    LIST_FOREACH_SAFE(q, tmp, &g->queue, struct raft_queued, link) {
        free(q);
    }
    raft_snap_fetch_drop(g);
    raft_snap_dump_drop(g);
    free(g->dump_buf);
    free(g);
}

void
raft_group_free(struct raft_group *g)
{
    struct raft_req *req, *tmp;

    lib_close(g);
    if (g->store_is_open)
        raft_store_abandon(&g->store);
    LIST_FOREACH_SAFE(req, tmp, &g->reqs, struct raft_req, link) {
        free(req);
    }
    group_fini(g);
}

int
raft_group_start(
    struct raft_host *host, const struct raft_group_opts *opts, struct raft_group **ret_group)
{
    struct raft_group *g, *other;
    int rc;

    LIST_FOREACH(other, &host->groups, struct raft_group, link) {
        if (memcmp(&other->opts.id, &opts->id, sizeof(opts->id)) == 0)
            return CAIRN_ERR(EXIST);
    }
    g = calloc(1, sizeof(*g));
    if (g == NULL)
        return CAIRN_ERR(NOMEM);
    g->host = host;
    g->opts = *opts;
    if (g->opts.snap_threshold == 0)
        g->opts.snap_threshold = RAFT_SNAP_THRESHOLD;
    if (g->opts.snap_trailing == 0)
        g->opts.snap_trailing = RAFT_SNAP_TRAILING;
    g->applied = opts->applied;
    g->queued = opts->applied;
    ult_mutex_init(&g->lock);
    ult_mutex_init(&g->sm_lock);
    ult_cond_init(&g->cond);
    list_init(&g->ops);
    list_init(&g->queue);
    list_init(&g->reqs);
    list_init(&g->gets);
    list_add_tail(&g->link, &host->groups);
    *ret_group = g;
    ult_mutex_lock(&g->lock);
    rc = lib_start(g);
    ult_mutex_unlock(&g->lock);
    if (rc != 0) {
        *ret_group = NULL;
        raft_group_stop(g);
    }
    return rc;
}

void
raft_group_stop(struct raft_group *g)
{
    if (g == NULL)
        return;
    g->is_stopping = true;
    ult_cond_broadcast(&g->cond);
    while (g->is_writing || g->is_applying || g->is_dumping || g->is_mending) {
        ult_cond_wait(&g->cond, NULL);
    }
    ult_mutex_lock(&g->lock);
    lib_close(g);
    ult_mutex_unlock(&g->lock);
    ult_cond_broadcast(&g->cond);
    while (g->users_nr > 0) {
        ult_cond_wait(&g->cond, NULL);
    }
    list_del(&g->link);
    if (g->store_is_open)
        raft_store_close(&g->store);
    ult_cond_fini(&g->cond);
    ult_mutex_fini(&g->sm_lock);
    ult_mutex_fini(&g->lock);
    group_fini(g);
}

void
raft_group_status(const struct raft_group *g, struct raft_group_status *ret_status)
{
    struct raft_group_status s = {.is_up = may_call(g)};
    raft_id id = 0;
    const char *address;

    if (s.is_up) {
        s.is_leader = g->lead_term != 0;
        s.is_ready = leader_check(g) == 0;
        s.term = g->lib.current_term;
        raft_leader((struct raft *)(uintptr_t)&g->lib, &id, &address);
        s.leader = id;
        s.commit = g->lib.commit_index;
        s.first = g->lib.log.offset + 1;
        s.last = raft_log_last(&g->lib.log);
        s.snap = g->lib.log.snapshot.last_index;
        CAIRN_IGNORE(raft_conf_from_lib(&g->lib.configuration, &s.conf)); /* left empty */
    }
    s.applied = g->applied;
    *ret_status = s;
}
