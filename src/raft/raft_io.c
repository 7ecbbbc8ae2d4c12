/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the library calls. All of it runs under the group's mutex, inside a call of ours. Nothing here fails for want of the store: it takes a failure in ways that lose entries or
 * crash, so a failure breaks the group instead (RFG-1, RFG-6): nothing leaves any more, what is queued is not carried out, and the answer here is success.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/util.h"
#include "raft/raft_priv.h"

/* ---- the library's log in memory ------------------------------------------------------------------------------------- */

static size_t
log_nr(const struct raft_log *log)
{
    return log->front <= log->back ? log->back - log->front : log->size - log->front + log->back;
}

uint64_t
raft_log_last(const struct raft_log *log)
{
    return log->offset + log_nr(log);
}

const struct raft_entry *
raft_log_entry(const struct raft_log *log, uint64_t index)
{
    if (index <= log->offset || index > raft_log_last(log))
        return NULL;
    return &log->entries[(log->front + (index - 1 - log->offset)) % log->size];
}

uint64_t
raft_log_term_of(const struct raft_log *log, uint64_t index)
{
    const struct raft_entry *entry = raft_log_entry(log, index);

    if (entry != NULL)
        return entry->term;
    return index > 0 && index == log->snapshot.last_index ? log->snapshot.last_term : 0;
}

int
raft_conf_at(const struct raft_group *g, uint64_t index, struct raft_conf *ret_conf,
    uint64_t *ret_conf_index)
{
    const struct raft_entry *e;

    for (uint64_t at = index; (e = raft_log_entry(&g->lib.log, at)) != NULL; at--) {
        if (e->type != RAFT_CHANGE)
            continue;
        raft_conf_wipe(e->buf.base, e->buf.len);
        *ret_conf_index = at;
        return raft_conf_parse(e->buf.base, e->buf.len, ret_conf);
    }
    if (g->store.snap.index == 0 || g->store.snap.conf_index > index)
        return CAIRN_ERR(NONEXIST);
    *ret_conf = g->store.snap.conf;
    *ret_conf_index = g->store.snap.conf_index;
    return 0;
}

/* ---- term and vote --------------------------------------------------------------------------------------------------- */

static int
io_set_term(struct raft_io *io, raft_term term)
{
    struct raft_group *g = io->impl;
    int rc;

    if (g->is_broken)
        return 0;
    rc = raft_store_term_set(&g->store, term);
    if (rc != 0)
        raft_group_break(g, rc, 0);
    return 0;
}

static int
io_set_vote(struct raft_io *io, raft_id id)
{
    struct raft_group *g = io->impl;
    int rc;

    if (g->is_broken)
        return 0;
    rc = raft_store_vote_set(&g->store, id);
    if (rc != 0)
        raft_group_break(g, rc, 0);
    return 0;
}

/* ---- log ------------------------------------------------------------------------------------------------------------- */

static struct raft_op *
op_new(enum raft_op_type type, uint64_t index)
{
    struct raft_op *op = calloc(1, sizeof(*op));

    if (op != NULL) {
        op->type = type;
        op->index = index;
    }
    return op;
}

/* The library leaves the payload of a barrier, and the end of a configuration, as they were in memory. */
static void
entry_wipe(const struct raft_entry *e)
{
    if (e->type == RAFT_CHANGE) {
        raft_conf_wipe(e->buf.base, e->buf.len);
    } else if (e->type == RAFT_BARRIER && e->buf.len > 0)
        memset(e->buf.base, 0, e->buf.len);
}

static int
io_append(struct raft_io *io, struct raft_io_append *req, const struct raft_entry entries[],
    unsigned n, raft_io_append_cb cb)
{
    struct raft_group *g = io->impl;
    struct raft_op *op = op_new(RAFT_OP_APPEND, raft_log_last(&g->lib.log) + 1 - n);

    if (op == NULL)
        return RAFT_NOMEM;
    for (unsigned i = 0; i < n; i++) {
        entry_wipe(&entries[i]);
    }
    req->cb = cb;
    op->req = req;
    op->entries = entries;
    op->nr = n;
    list_add_tail(&op->link, &g->ops);
    raft_guard_note(g);
    raft_group_writer_wake(g);
    return 0;
}

static int
io_truncate(struct raft_io *io, raft_index index)
{
    struct raft_group *g = io->impl;
    struct raft_op *op = op_new(RAFT_OP_TRUNCATE, index);

    if (op == NULL)
        return RAFT_NOMEM;
    list_add_tail(&op->link, &g->ops);
    raft_group_writer_wake(g);
    return 0;
}

/*
 * The mark of a snapshot. Ours: the state machine is one already, the mark waits until it has applied that much (raft_group_after()). One from elsewhere (trailing 0): it is given to the
 * state machine.
 */
static int
io_snapshot_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
    const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct raft_group *g = io->impl;
    struct raft_op *op;
    uint64_t first;

    g->put_at.index = snapshot->index;
    g->put_at.term = snapshot->term;
    g->put_at.conf_index = snapshot->configuration_index;
    if (trailing == 0 ? raft_conf_from_lib(&snapshot->configuration, &g->put_at.conf) != 0
                      : raft_conf_at(g, snapshot->index, &g->put_at.conf, &g->put_at.conf_index) != 0)
        return RAFT_MALFORMED;
    req->cb = cb;
    if (trailing == 0) {
        op = op_new(RAFT_OP_INSTALL, snapshot->index);
        if (op == NULL)
            return RAFT_NOMEM;
        list_add_tail(&op->link, &g->ops);
    }
    first = snapshot->index > trailing ? snapshot->index - trailing + 1 : 1;
    g->put_first = trailing == 0 ? 0 : first;
    g->put = req;
    g->put_cb = cb;
    g->put_snap = snapshot;
    g->put_is_queued = trailing == 0;
    raft_group_writer_wake(g);
    return 0;
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

/* One message of ours, or several: as much as one of ours may hold. */
static void
append_out(struct raft_group *g, struct raft_msg *msg, const struct raft_append_entries *a)
{
    unsigned at = 0;

    do {
        size_t bytes = 0;
        unsigned nr = 0;

        while (at + nr < a->n_entries && nr < RAFT_MSG_ENTRIES_NR_MAX && bytes < RAFT_CMD_BYTES_MAX) {
            const struct raft_entry *e = &a->entries[at + nr++];

            bytes += e->buf.len;
            entry_wipe(e);
        }
        msg->append = *a;
        msg->append.prev_log_index = a->prev_log_index + at;
        msg->append.prev_log_term = at == 0 ? a->prev_log_term : a->entries[at - 1].term;
        msg->append.entries = nr == 0 ? NULL : &a->entries[at];
        msg->append.n_entries = nr;
        raft_host_emit(g, msg);
        at += nr;
    } while (at < a->n_entries);
}

static void
offer_out(struct raft_group *g, struct raft_msg *msg, const struct raft_install_snapshot *s)
{
    if (!g->dump.is_there || g->dump.at.index != s->last_index)
        return;
    msg->offer = (struct raft_snap_offer){.index = g->dump.at.index,
        .term = g->dump.at.term,
        .conf_index = g->dump.at.conf_index,
        .conf = g->dump.at.conf,
        .bytes = g->dump.len,
        .crc = g->dump.crc};
    raft_host_emit(g, msg);
}

static void
message_out(struct raft_group *g, const struct raft_message *m)
{
    struct raft_msg msg = {.type = m->type, .to = m->server_id};

    switch (m->type) {
    case RAFT_IO_APPEND_ENTRIES:
        msg.term = m->append_entries.term;
        msg.stamp = raft_now_ns(g);
        append_out(g, &msg, &m->append_entries);
        return;
    case RAFT_IO_INSTALL_SNAPSHOT:
        msg.term = m->install_snapshot.term;
        offer_out(g, &msg, &m->install_snapshot);
        return;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        msg.term = m->append_entries_result.term;
        msg.append_result = m->append_entries_result;
        raft_guard_result(g, &msg);
        break;
    case RAFT_IO_REQUEST_VOTE:
        msg.term = m->request_vote.term;
        msg.vote = m->request_vote;
        break;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        msg.term = m->request_vote_result.term;
        /* Who is refused for a term of the past learns which one it is: else a member with the longest log, but a lower term, would never win a trial. */
        if (m->request_vote_result.pre_vote == raft_tribool_true &&
            !m->request_vote_result.vote_granted)
            msg.term = MAX((uint64_t)g->lib.current_term, msg.term);
        msg.vote_result = m->request_vote_result;
        break;
    case RAFT_IO_TIMEOUT_NOW:
        msg.term = m->timeout_now.term;
        msg.timeout_now = m->timeout_now;
        break;
    default:
        return;
    }
    raft_host_emit(g, &msg);
}

/* It is written at once; the library hears that it was sent after its call (raft_group_after()). */
static int
io_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *message,
    raft_io_send_cb cb)
{
    struct raft_group *g = io->impl;

    if (message->server_id != 0 && message->server_id != g->host->opts.self)
        message_out(g, message);
    if (cb == NULL)
        return 0; /* TimeoutNow */
    CAIRN_ASSERT(g->sent_nr < RAFT_SENT_NR);
    g->sent[g->sent_nr].req = req;
    g->sent[g->sent_nr].cb = cb;
    g->sent_nr++;
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static int
io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

static void
io_close(struct raft_io *io, raft_io_close_cb cb)
{
    raft_group_drain(io->impl); /* what refers to the log, which goes then */
    cb(io);
}

static struct raft_snapshot *
snapshot_new(const struct raft_store_snap *at)
{
    struct raft_snapshot *s = raft_calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->index = at->index;
    s->term = at->term;
    s->configuration_index = at->conf_index;
    s->bufs = raft_calloc(1, sizeof(*s->bufs));
    if (s->bufs != NULL)
        s->bufs[0].base = raft_malloc(1);
    if (s->bufs == NULL || s->bufs[0].base == NULL ||
        raft_conf_to_lib(&at->conf, &s->configuration) != 0) {
        if (s->bufs != NULL)
            raft_free(s->bufs[0].base);
        raft_free(s->bufs);
        raft_free(s);
        return NULL;
    }
    s->bufs[0].len = 1;
    s->n_bufs = 1;
    return s;
}

/* Whether this member is the only voter by the newest configuration of its log. */
static bool
is_sole_voter(const struct raft_group *g, const struct raft_entry *entries, size_t nr)
{
    struct raft_conf conf = g->store.snap.conf;
    uint32_t voters = 0, at;

    for (size_t i = 0; i < nr; i++) {
        if (entries[i].type == RAFT_CHANGE) {
            CAIRN_IGNORE(raft_conf_parse(
                entries[i].buf.base, entries[i].buf.len, &conf)); /* checked when loaded */
        }
    }
    for (uint32_t i = 0; i < conf.nr; i++) {
        voters += conf.members[i].role == RAFT_ROLE_VOTER;
    }
    at = raft_conf_find(&conf, g->host->opts.self);
    return voters == 1 && at < conf.nr && conf.members[at].role == RAFT_ROLE_VOTER;
}

static int
io_load(struct raft_io *io, raft_term *term, raft_id *voted_for, struct raft_snapshot **snapshot,
    raft_index *start_index, struct raft_entry *entries[], size_t *n_entries)
{
    struct raft_group *g = io->impl;
    int rc;

    *snapshot = NULL;
    rc = raft_store_entries(&g->store, entries, n_entries);
    if (rc != 0)
        goto out;
    /* The library makes an only voter leader of the term that it finds: of one that it may have led before, with other entries. */
    if (g->store.term > 0 && is_sole_voter(g, *entries, *n_entries)) {
        rc = raft_store_term_set(&g->store, g->store.term + 1);
        if (rc == 0)
            rc = raft_store_vote_set(&g->store, g->host->opts.self);
    }
    if (rc == 0 && g->store.snap.index > 0) {
        *snapshot = snapshot_new(&g->store.snap);
        rc = *snapshot == NULL ? CAIRN_ERR(NOMEM) : 0;
    }
    if (rc != 0) {
        for (size_t i = 0; i < *n_entries; i++) {
            raft_free((*entries)[i].buf.base);
        }
        raft_free(*entries);
    }
out:
    if (rc != 0) {
        g->broken_rc = rc;
        return RAFT_IOERR;
    }
    *term = g->store.term;
    *voted_for = g->store.vote;
    *start_index = g->store.first;
    return 0;
}

static int
io_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    struct raft_group *g = io->impl;

    (void)msecs;
    g->tick_cb = tick;
    g->recv_cb = recv;
    return 0;
}

/* Done by raft_group_bootstrap(), and not to be had through the library. */
static int
io_configuration(struct raft_io *io, const struct raft_configuration *conf)
{
    (void)io;
    (void)conf;
    return RAFT_CANTBOOTSTRAP;
}

static raft_time
io_time(struct raft_io *io)
{
    return raft_now_ns(io->impl) / RAFT_MS;
}

static int
io_random(struct raft_io *io, int min, int max)
{
    struct raft_group *g = io->impl;

    return (int)rng_range(&g->host->rng, (uint64_t)min, (uint64_t)max);
}

/* ---- state machine --------------------------------------------------------------------------------------------------- */

/* Committed: its turn comes (the applier). Copied, since the library may drop it before. */
static int
fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *buf, void **result)
{
    struct raft_group *g = fsm->data;
    uint64_t index = g->lib.last_applied + 1;
    struct raft_queued *q;

    *result = NULL;
    if (index <= g->queued)
        return 0; /* RFG-3 */
    q = malloc(sizeof(*q) + buf->len);
    if (q == NULL)
        return RAFT_NOMEM;
    q->index = index;
    q->len = buf->len;
    memcpy(q->data, buf->base, buf->len);
    list_add_tail(&q->link, &g->queue);
    g->queue_nr++;
    g->queued = index;
    raft_group_applier_wake(g);
    return 0;
}

/* A snapshot of ours is a mark. The library adds its newest configuration, which may not be committed, or not be of that entry: io_snapshot_put() knows better. */
static int
fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    (void)fsm;
    *bufs = raft_calloc(1, sizeof(**bufs));
    if (*bufs == NULL)
        return RAFT_BUSY;
    (*bufs)[0].base = raft_malloc(1);
    (*bufs)[0].len = 1;
    if ((*bufs)[0].base == NULL) {
        raft_free(*bufs);
        return RAFT_BUSY;
    }
    *n_bufs = 1;
    return 0;
}

/* The writer gave it to the state machine already; at a start it has it. */
static int
fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buf)
{
    (void)fsm;
    raft_free(buf->base);
    return 0;
}

void
raft_io_table(struct raft_group *g)
{
    g->io = (struct raft_io){.version = 1,
        .impl = g,
        .init = io_init,
        .close = io_close,
        .load = io_load,
        .start = io_start,
        .bootstrap = io_configuration,
        .recover = io_configuration,
        .set_term = io_set_term,
        .set_vote = io_set_vote,
        .send = io_send,
        .append = io_append,
        .truncate = io_truncate,
        .snapshot_put = io_snapshot_put,
        .snapshot_get = raft_snap_get,
        .time = io_time,
        .random = io_random};
    g->fsm = (struct raft_fsm){
        .version = 1, .data = g, .apply = fsm_apply, .snapshot = fsm_snapshot, .restore = fsm_restore};
}
