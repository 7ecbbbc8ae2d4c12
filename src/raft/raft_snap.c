/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Snapshots on their way. The library sends one as a single message; here that message is an offer, and who gets it asks for one part after the other (SNAP_WANT, SNAP_PART), again when none
 * comes. When all is there and its checksum is right, the library gets its message. A leader keeps the dump that it offered for a while, so that one fetch, or several, go on with the same
 * bytes. All functions but the dumper run under the group's mutex.
 */
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "raft/raft_priv.h"

/* ---- who has it ------------------------------------------------------------------------------------------------------- */

struct get {
    struct list_head link;
    struct raft_io_snapshot_get *req;
};

void
raft_snap_dump_drop(struct raft_group *g)
{
    free(g->dump.buf);
    memset(&g->dump, 0, sizeof(g->dump));
}

/* The state machine as it is, and up to which entry that is. */
static int
dump_make(struct raft_group *g, void **ret_buf, size_t *ret_len, uint64_t *ret_index)
{
    int rc;

    ult_mutex_lock(&g->sm_lock);
    *ret_index = raft_group_applied_all(g);
    rc = g->opts.ops->dump(g->opts.arg, ret_buf, ret_len);
    ult_mutex_unlock(&g->sm_lock);
    if (rc == 0 && *ret_len > RAFT_SNAP_BYTES_MAX) {
        LOG_ERROR("raft: a snapshot has %zu bytes, at most %d can be sent", *ret_len,
            RAFT_SNAP_BYTES_MAX);
        free(*ret_buf);
        *ret_buf = NULL;
        rc = CAIRN_ERR(OVERFLOW);
    }
    return rc;
}

/* Take over a dump made at `index`. */
static bool
dump_take(struct raft_group *g, void *buf, size_t len, uint64_t index)
{
    struct raft_conf conf;
    uint64_t conf_index;

    if (index < g->lib.log.snapshot.last_index || raft_log_term_of(&g->lib.log, index) == 0 ||
        raft_conf_at(g, index, &conf, &conf_index) != 0) {
        free(buf);
        return false;
    }
    raft_snap_dump_drop(g);
    g->dump = (struct raft_dump){.at = {.index = index,
                                     .term = raft_log_term_of(&g->lib.log, index),
                                     .conf_index = conf_index,
                                     .conf = conf},
        .buf = buf,
        .len = len,
        .crc = crc32c(0, buf, len),
        .is_there = true};
    return true;
}

static bool
dump_is_usable(const struct raft_group *g)
{
    return g->dump.is_there && g->dump.at.index >= g->lib.log.snapshot.last_index;
}

/* What the library frees after it sent the offer. */
static struct raft_snapshot *
snapshot_of_dump(struct raft_group *g)
{
    struct raft_snapshot *s = raft_calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->bufs = raft_calloc(1, sizeof(*s->bufs));
    if (s->bufs == NULL || raft_conf_to_lib(&g->dump.at.conf, &s->configuration) != 0) {
        raft_free(s->bufs);
        raft_free(s);
        return NULL;
    }
    s->n_bufs = 1;
    s->index = g->dump.at.index;
    s->term = g->dump.at.term;
    s->configuration_index = g->dump.at.conf_index;
    return s;
}

/* Tell the library of the first that asked. */
static void
get_answer(struct raft_group *g, bool is_good)
{
    struct get *get = CAIRN_CONTAINER_OF(g->gets.next, struct get, link);
    struct raft_io_snapshot_get *req = get->req;
    struct raft_snapshot *s = is_good ? snapshot_of_dump(g) : NULL;

    list_del(&get->link);
    free(get);
    req->cb(req, s, s == NULL ? RAFT_BUSY : 0);
}

void
raft_snap_gets_fail(struct raft_group *g)
{
    while (!list_empty(&g->gets)) {
        get_answer(g, false);
    }
}

static void
dumper_ult(void *arg)
{
    struct raft_group *g = arg;

    while (!list_empty(&g->gets) && !g->is_broken && !g->is_stopping) {
        void *buf = NULL;
        size_t len = 0;
        uint64_t index = 0;
        bool is_good = dump_is_usable(g);
        int rc = 0;

        if (!is_good)
            rc = dump_make(g, &buf, &len, &index);
        g->dump_buf = buf; /* a kill while this waits leaves it to the group */
        ult_mutex_lock(&g->lock);
        g->dump_buf = NULL;
        if (g->is_up && !g->is_broken && !list_empty(&g->gets)) {
            if (!is_good && rc == 0)
                is_good = dump_take(g, buf, len, index);
            g->dump.used_ns = raft_now_ns(g);
            get_answer(g, is_good);
            raft_group_after(g);
        } else if (!is_good && rc == 0) {
            free(buf);
        }
        ult_mutex_unlock(&g->lock);
    }
    g->is_dumping = false;
    ult_cond_broadcast(&g->cond);
}

int
raft_snap_get(struct raft_io *io, struct raft_io_snapshot_get *req, raft_io_snapshot_get_cb cb)
{
    struct raft_group *g = io->impl;
    struct get *get = malloc(sizeof(*get));

    if (get == NULL)
        return RAFT_NOMEM;
    req->cb = cb;
    get->req = req;
    list_add_tail(&get->link, &g->gets);
    raft_group_ult(g, &g->is_dumping, dumper_ult);
    return 0;
}

void
raft_snap_want_in(struct raft_group *g, const struct raft_msg *msg)
{
    const struct raft_snap_part *want = &msg->part;
    struct raft_msg part = {.type = RAFT_MSG_SNAP_PART, .to = msg->from, .term = g->lib.current_term};

    if (!g->dump.is_there || g->dump.at.index != want->index || g->dump.at.term != want->term ||
        want->off >= g->dump.len)
        return;
    g->dump.used_ns = raft_now_ns(g);
    part.part = *want;
    part.part.data.buf = (uint8_t *)g->dump.buf + want->off;
    part.part.data.len = MIN(g->dump.len - want->off, (uint64_t)RAFT_MSG_PART_BYTES_MAX);
    raft_host_emit(g, &part);
}

/* ---- who wants it ----------------------------------------------------------------------------------------------------- */

void
raft_snap_fetch_drop(struct raft_group *g)
{
    raft_free(g->fetch.buf);
    memset(&g->fetch, 0, sizeof(g->fetch));
}

static void
want_out(struct raft_group *g)
{
    struct raft_fetch *f = &g->fetch;
    struct raft_msg want = {.type = RAFT_MSG_SNAP_WANT,
        .to = f->from,
        .term = MAX(g->lib.current_term, (raft_term)1),
        .part = {.index = f->offer.index, .term = f->offer.term, .off = f->got}};

    f->asked_ns = raft_now_ns(g);
    raft_host_emit(g, &want);
}

/* The library gets its message; what it does not take it frees. */
static void
deliver(struct raft_group *g, uint64_t from, uint64_t term, const struct raft_snap_offer *o, void *buf)
{
    struct raft_message m = {.type = RAFT_IO_INSTALL_SNAPSHOT};

    m.install_snapshot.term = term;
    m.install_snapshot.last_index = o->index;
    m.install_snapshot.last_term = o->term;
    m.install_snapshot.conf_index = o->conf_index;
    m.install_snapshot.data.base = buf;
    m.install_snapshot.data.len = o->bytes;
    if (raft_conf_to_lib(&o->conf, &m.install_snapshot.conf) != 0) {
        raft_free(buf);
        return;
    }
    raft_group_deliver(g, from, &m);
}

/* All is there: is it what was offered? */
static void
fetch_end(struct raft_group *g)
{
    struct raft_fetch f = g->fetch;

    if (crc32c(0, f.buf, f.offer.bytes) != f.offer.crc) {
        LOG_WARN("raft: a snapshot of member %llu came damaged", (unsigned long long)f.from);
        raft_snap_fetch_drop(g);
        return;
    }
    memset(&g->fetch, 0, sizeof(g->fetch));
    CAIRN_PROBE("raft.snapshot_fetched");
    deliver(g, f.from, f.msg_term, &f.offer, f.buf);
}

static bool
offer_is_known(const struct raft_fetch *f, const struct raft_msg *msg)
{
    return f->from == msg->from && f->offer.index == msg->offer.index &&
        f->offer.term == msg->offer.term && f->offer.bytes == msg->offer.bytes &&
        f->offer.crc == msg->offer.crc;
}

void
raft_snap_offer_in(struct raft_group *g, const struct raft_msg *msg)
{
    const struct raft_snap_offer *o = &msg->offer;
    struct raft_fetch *f = &g->fetch;

    if (msg->term < g->lib.current_term || g->put != NULL ||
        (g->lib.state == RAFT_LEADER && msg->term == g->lib.current_term))
        return;
    if (g->lib.log.snapshot.last_index >= o->index ||
        raft_log_term_of(&g->lib.log, o->index) == o->term) {
        deliver(g, msg->from, msg->term, o, raft_malloc(1)); /* it says that we have all that */
        return;
    }
    if (offer_is_known(f, msg)) {
        f->msg_term = MAX(f->msg_term, msg->term);
        want_out(g);
        return;
    }
    raft_snap_fetch_drop(g);
    f->buf = raft_malloc(o->bytes + (o->bytes == 0));
    if (f->buf == NULL)
        return;
    f->from = msg->from;
    f->msg_term = msg->term;
    f->offer = *o;
    f->moved_ns = raft_now_ns(g);
    if (o->bytes == 0) {
        fetch_end(g);
    } else {
        want_out(g);
    }
}

void
raft_snap_part_in(struct raft_group *g, const struct raft_msg *msg)
{
    const struct raft_snap_part *p = &msg->part;
    struct raft_fetch *f = &g->fetch;

    if (f->from != msg->from || p->index != f->offer.index || p->term != f->offer.term ||
        p->off != f->got || p->data.len == 0 || p->data.len > f->offer.bytes - f->got)
        return;
    memcpy(f->buf + f->got, p->data.buf, p->data.len);
    f->got += p->data.len;
    f->moved_ns = raft_now_ns(g);
    if (f->got == f->offer.bytes) {
        fetch_end(g);
    } else {
        want_out(g);
    }
}

void
raft_snap_tick(struct raft_group *g)
{
    uint64_t now = raft_now_ns(g);

    if (g->dump.is_there && now - g->dump.used_ns > RAFT_DUMP_KEEP_NS)
        raft_snap_dump_drop(g);
    if (g->fetch.from == 0)
        return;
    if (now - g->fetch.moved_ns > RAFT_FETCH_GIVE_UP_NS) {
        raft_snap_fetch_drop(g);
    } else if (now - g->fetch.asked_ns > RAFT_FETCH_RETRY_NS)
        want_out(g);
}
