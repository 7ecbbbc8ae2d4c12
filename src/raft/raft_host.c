/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/util.h"
#include "raft/raft_priv.h"

/* A batch at work, known to the host so that a killed process leaves nothing behind. */
struct in {
    struct list_head link;
    struct raft_msg msg; /* until a group takes it */
    bool has_msg;
    size_t len;
    uint8_t bytes[];
};

uint64_t
raft_now_ns(const struct raft_group *g)
{
    return plat_mono_ns(g->host->plat);
}

/* ---- out ------------------------------------------------------------------------------------------------------------ */

static void
flush_ult(void *arg)
{
    struct raft_host *host = arg;
    struct raft_out *out;

    LIST_FOREACH(out, &host->outs, struct raft_out, link) {
        void *buf = out->buf;
        size_t len = out->len;

        if (buf == NULL)
            continue;
        out->buf = NULL;
        out->len = 0;
        out->cap = 0;
        host->stats.sends_nr++;
        host->opts.send(host->opts.arg, out->peer, buf, len);
    }
    host->is_flushing = false;
    ult_cond_broadcast(&host->cond);
}

static struct raft_out *
out_find(struct raft_host *host, uint64_t peer)
{
    struct raft_out *out;

    LIST_FOREACH(out, &host->outs, struct raft_out, link) {
        if (out->peer == peer)
            return out;
    }
    out = calloc(1, sizeof(*out));
    if (out != NULL) {
        out->peer = peer;
        list_add_tail(&out->link, &host->outs);
    }
    return out;
}

static bool
out_room(struct raft_out *out, size_t len)
{
    size_t cap = MAX(out->cap, (size_t)1024);
    void *buf;

    if (out->len + len > RAFT_BATCH_BYTES_MAX)
        return false;
    while (cap < out->len + len) {
        cap *= 2;
    }
    if (cap == out->cap)
        return true;
    buf = realloc(out->buf, cap);
    if (buf == NULL)
        return false;
    out->buf = buf;
    out->cap = cap;
    return true;
}

/* Queue a message of a group; `to`, type and body are set. What finds no room is lost, as on a network. */
void
raft_host_emit(struct raft_group *g, struct raft_msg *msg)
{
    struct raft_host *host = g->host;
    struct raft_out *out;
    size_t len;

    if (g->is_broken || host->is_stopping || host->is_abandoned) /* RFG-1 */
        return;
    msg->group = g->opts.id;
    msg->from = host->opts.self;
    len = raft_msg_bytes(msg);
    out = out_find(host, msg->to);
    if (out == NULL || len > RAFT_MSG_BYTES_MAX || !out_room(out, len)) {
        host->stats.dropped_nr++;
        return;
    }
    raft_msg_encode(msg, out->buf + out->len);
    out->len += len;
    host->stats.msgs_out_nr++;
    if (host->is_flushing)
        return;
    host->is_flushing = ult_create(host->xs, ULT_NET, flush_ult, host, NULL) == 0;
}

/* ---- in ------------------------------------------------------------------------------------------------------------- */

static struct raft_group *
group_find(struct raft_host *host, const struct uuid *id)
{
    struct raft_group *g;

    LIST_FOREACH(g, &host->groups, struct raft_group, link) {
        if (memcmp(&g->opts.id, id, sizeof(*id)) == 0)
            return g;
    }
    return NULL;
}

static void
msg_in(struct raft_host *host, struct in *in)
{
    struct raft_group *g = group_find(host, &in->msg.group);

    if (g == NULL || in->msg.to != host->opts.self || g->is_stopping ||
        g->waiting_nr >= RAFT_CALLS_NR_MAX) {
        host->stats.dropped_nr++;
        raft_msg_fini(&in->msg);
        in->has_msg = false;
        return;
    }
    host->stats.msgs_in_nr++;
    raft_group_recv(g, &in->msg); /* takes what the message owns */
    in->has_msg = false;
}

void
raft_host_recv(struct raft_host *host, const void *buf, size_t len)
{
    struct in *in = malloc(sizeof(*in) + len);
    size_t off = 0, bytes;

    if (in == NULL)
        return;
    in->len = len;
    in->has_msg = false;
    memcpy(in->bytes, buf, len);
    list_add_tail(&in->link, &host->ins);
    while (off < len && !host->is_stopping) {
        bytes = raft_msg_peek(in->bytes + off, len - off);
        if (bytes == 0 || raft_msg_decode(in->bytes + off, bytes, &in->msg) != 0) {
            host->stats.bad_nr++;
            break;
        }
        in->has_msg = true;
        off += bytes;
        msg_in(host, in);
    }
    list_del(&in->link);
    free(in);
    if (host->is_stopping)
        ult_cond_broadcast(&host->cond);
}

/* ---- tick ----------------------------------------------------------------------------------------------------------- */

/* All groups, one after the other; a group that is at work is passed over: its next tick comes soon. */
static void
tick_all(struct raft_host *host)
{
    struct list_head *pos = host->groups.next;

    while (pos != &host->groups && !host->is_stopping) {
        struct raft_group *g = CAIRN_CONTAINER_OF(pos, struct raft_group, link);

        g->users_nr++; /* stays in the list meanwhile */
        raft_group_tick(g);
        pos = pos->next;
        g->users_nr--;
        if (g->is_stopping)
            ult_cond_broadcast(&g->cond);
    }
}

static void
tick_ult(void *arg)
{
    struct raft_host *host = arg;
    uint64_t period = host->opts.heartbeat_ms * RAFT_MS / 2, at = ult_now_ns();

    while (!host->is_stopping) {
        at = MAX(at + period, ult_now_ns());
        CAIRN_IGNORE(ult_cond_wait_until(&host->cond, NULL, at)); /* woken early: looks again */
        if (ult_now_ns() >= at) {
            tick_all(host);
        } else {
            at -= period;
        }
    }
    host->is_ticking = false;
    ult_cond_broadcast(&host->cond);
}

int
raft_host_create(struct xstream *xs, const struct raft_host_opts *opts, struct raft_host **ret_host)
{
    struct raft_host *host = calloc(1, sizeof(*host));
    uint64_t seed;
    int rc;

    if (host == NULL)
        return CAIRN_ERR(NOMEM);
    host->xs = xs;
    host->plat = xstream_plat(xs);
    host->opts = *opts;
    if (host->opts.election_ms == 0)
        host->opts.election_ms = RAFT_ELECTION_MS;
    if (host->opts.heartbeat_ms == 0)
        host->opts.heartbeat_ms = RAFT_HEARTBEAT_MS;
    host->plat->ops->random(host->plat, &seed, sizeof(seed));
    rng_init(&host->rng, seed);
    list_init(&host->groups);
    list_init(&host->outs);
    list_init(&host->ins);
    ult_cond_init(&host->cond);
    host->is_ticking = true;
    rc = ult_create(xs, ULT_SERVICE, tick_ult, host, NULL);
    if (rc != 0) {
        ult_cond_fini(&host->cond);
        free(host);
        return rc;
    }
    *ret_host = host;
    return 0;
}

static void
host_free(struct raft_host *host)
{
    struct raft_out *out, *tmp;

    LIST_FOREACH_SAFE(out, tmp, &host->outs, struct raft_out, link) {
        free(out->buf);
        free(out);
    }
    free(host);
}

void
raft_host_destroy(struct raft_host *host)
{
    if (host == NULL)
        return;
    CAIRN_ASSERT(list_empty(&host->groups));
    host->is_stopping = true;
    ult_cond_broadcast(&host->cond);
    while (host->is_ticking || host->is_flushing || !list_empty(&host->ins)) {
        ult_cond_wait(&host->cond, NULL);
    }
    ult_cond_fini(&host->cond);
    host_free(host);
}

void
raft_host_abandon(struct raft_host *host)
{
    struct raft_group *g, *gtmp;
    struct in *in, *tmp;

    if (host == NULL)
        return;
    host->is_abandoned = true;
    LIST_FOREACH_SAFE(g, gtmp, &host->groups, struct raft_group, link) {
        list_del(&g->link);
        raft_group_free(g);
    }
    LIST_FOREACH_SAFE(in, tmp, &host->ins, struct in, link) {
        if (in->has_msg)
            raft_msg_fini(&in->msg);
        free(in);
    }
    host_free(host);
}

void
raft_host_stats(const struct raft_host *host, struct raft_host_stats *ret_stats)
{
    *ret_stats = host->stats;
}
