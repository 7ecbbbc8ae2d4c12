/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what only the simulated network does: loss, duplicates, reordering, cuts, partitions, dead hosts, push-back; and the same history
 * for the same seed (SM-1).
 * Method: a sender that sends numbered messages on a driven loop to a receiver that notes what came, under options that each exercise one
 * behaviour; effects are asserted both to occur and to stay within what the contract allows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"

enum { NR_MAX = 400, MS = 1000000 };
#define S_NS (UINT64_C(1000) * MS)

struct party {
    struct sim *sim;
    struct plat *plat;
    const struct net_ops *ops;
    struct plat_loop *loop;
    struct plat_thread *thread;
    struct net *net;
    struct net_peer *peer;
    bool sends;
    uint32_t nr; /* messages to send */
    uint64_t gap_ns; /* between two */
    uint64_t next_ns;
    uint32_t sent_nr, done_nr, busy_nr, accepted_nr, down_nr;
    uint32_t recv_nr, twice_nr, back_nr;
    uint64_t last_seq, down_at_ns;
    uint8_t seen[NR_MAX];
    struct net_tx txs[NR_MAX];
    uint8_t heads[NR_MAX][8];
    size_t payload_len;
    uint8_t *payload;
    uint8_t *place_buf;
    uint32_t placed_nr;
    bool reaped;
};

static void
party_done(struct net_tx *tx, int rc)
{
    (void)rc;
    ((struct party *)tx->arg)->done_nr++;
}

static bool
party_place(void *arg, struct net_peer *peer, const void *head, size_t head_len, size_t payload_len,
    struct iov *ret_dst)
{
    struct party *p = arg;

    (void)peer;
    (void)head;
    (void)head_len;
    p->placed_nr++;
    *ret_dst = (struct iov){p->place_buf, payload_len};
    return true;
}

static void
party_recv(void *arg, struct net_peer *peer, const void *head, size_t head_len, const void *payload,
    size_t payload_len)
{
    struct party *p = arg;
    uint64_t seq = le64_get(head);

    (void)peer;
    EXPECT_EQ(head_len, 8);
    EXPECT_LT(seq, NR_MAX);
    if (payload_len > 0)
        EXPECT(((const uint8_t *)payload)[payload_len - 1] == 0x42);
    p->recv_nr++;
    p->twice_nr += p->seen[seq] > 0;
    p->back_nr += seq < p->last_seq;
    p->seen[seq]++;
    p->last_seq = seq;
}

static void
party_accepted(void *arg, struct net_peer *peer)
{
    struct party *p = arg;

    p->accepted_nr++;
    p->peer = peer;
}

static void
party_down(void *arg, struct net_peer *peer, int rc)
{
    struct party *p = arg;

    EXPECT_NE(rc, 0);
    p->down_nr++;
    p->down_at_ns = sim_now_ns(p->sim);
    p->ops->peer_put(peer);
    if (p->peer == peer)
        p->peer = NULL;
}

static const struct net_cbs party_cbs = {
    .place = party_place, .recv = party_recv, .accepted = party_accepted, .down = party_down};

static uint64_t
party_step(void *arg)
{
    struct party *p = arg;
    uint64_t now_ns = plat_mono_ns(p->plat);

    if (!p->sends)
        return PLAT_NEVER_NS;
    while (p->sent_nr < p->nr && p->peer != NULL && now_ns >= p->next_ns) {
        struct net_tx *tx = &p->txs[p->sent_nr];
        int rc;

        le64_put(p->heads[p->sent_nr], p->sent_nr);
        tx->head = (struct iov){p->heads[p->sent_nr], 8};
        tx->payload = (struct iov){p->payload, p->payload_len};
        tx->done = party_done;
        tx->arg = p;
        rc = p->ops->send(p->peer, tx);
        if (rc != 0) {
            p->busy_nr++;
            p->next_ns = now_ns + MS;
            break;
        }
        p->sent_nr++;
        p->next_ns = now_ns + p->gap_ns;
    }
    return p->sent_nr < p->nr && p->peer != NULL ? p->next_ns : PLAT_NEVER_NS;
}

static void
party_reap(void *arg)
{
    struct party *p = arg;

    p->reaped = true;
    p->ops->close(p->net);
    p->plat->ops->thread_stop(p->thread);
    p->plat->ops->loop_destroy(p->loop);
    free(p->payload);
    free(p->place_buf);
}

static void
party_start(struct sim *sim, struct party *p, const char *host, const char *name, const char *uri)
{
    memset(p, 0, sizeof(*p));
    p->sim = sim;
    p->payload = malloc(NET_PAYLOAD_BYTES_MAX);
    p->place_buf = malloc(NET_PAYLOAD_BYTES_MAX);
    memset(p->payload, 0x42, NET_PAYLOAD_BYTES_MAX);
    EXPECT_OK(sim_node_start(sim, host, name, &p->plat));
    p->ops = p->plat->ops->net(p->plat, uri);
    EXPECT_OK(p->plat->ops->loop_create(p->plat, &p->loop));
    EXPECT_OK(p->ops->open(p->plat, p->loop, uri, &party_cbs, p, &p->net));
    EXPECT_OK(p->plat->ops->thread_start(p->plat, p->loop, name, 0, party_step, p, &p->thread));
    sim_node_on_kill(p->plat, party_reap, p);
}

static void
party_dial(struct party *p, uint32_t nr, uint64_t gap_ns)
{
    p->sends = true;
    p->nr = nr;
    p->gap_ns = gap_ns;
    EXPECT_OK(p->ops->connect(p->net, "sim://srv/a", &p->peer));
    p->plat->ops->loop_wake(p->loop);
}

struct pair {
    struct sim *sim;
    struct party srv, cli;
};

static void
pair_start(struct pair *t, const struct sim_opts *opts)
{
    struct sim_opts with = *opts;

    memset(t, 0, sizeof(*t));
    if (with.net_lat_hi_ns == 0) {
        with.net_lat_lo_ns = 20000;
        with.net_lat_hi_ns = 90000;
    }
    EXPECT_OK(sim_create(&with, &t->sim));
    party_start(t->sim, &t->srv, "hs", "srv", "sim://srv/a");
    party_start(t->sim, &t->cli, "hc", "cli", NULL);
}

TEST_ON(plat_sim_net, same_seed_same_history, BACKEND_SIM)
{
    uint64_t hash[3];

    for (int run = 0; run < 3; run++) {
        struct pair t;
        struct sim_opts opts = {.seed = run < 2 ? 5 : 6,
            .net_loss_ppm = 50000,
            .net_dup_ppm = 50000,
            .net_reorder_ppm = 50000};
        void *waste = malloc(1 + 5000 * (size_t)run);

        pair_start(&t, &opts);
        t.cli.payload_len = 3000;
        party_dial(&t.cli, 200, 10000);
        sim_run_for(t.sim, S_NS);
        EXPECT_GT(t.srv.recv_nr, 100);
        hash[run] = sim_trace_hash(t.sim);
        sim_destroy(t.sim);
        free(waste);
    }
    EXPECT_EQ(hash[0], hash[1]);
    EXPECT_NE(hash[0], hash[2]);
}

TEST_ON(plat_sim_net, kind_network, BACKEND_SIM)
{
    struct pair t;

    pair_start(&t, &(struct sim_opts){.seed = 1});
    t.cli.payload_len = 1000;
    party_dial(&t.cli, NR_MAX, 5000);
    sim_run_for(t.sim, S_NS);
    EXPECT_EQ(t.srv.recv_nr, NR_MAX);
    EXPECT_EQ(t.srv.twice_nr + t.srv.back_nr, 0);
    EXPECT_EQ(t.cli.done_nr, NR_MAX);
    EXPECT_EQ(t.cli.down_nr + t.srv.down_nr, 0);
    sim_destroy(t.sim);
    EXPECT(t.cli.reaped);
}

TEST_ON(plat_sim_net, loses_duplicates_reorders, BACKEND_SIM)
{
    struct pair t;

    pair_start(&t, &(struct sim_opts){.seed = 2, .net_loss_ppm = 100000});
    party_dial(&t.cli, NR_MAX, 50000);
    sim_run_for(t.sim, S_NS);
    EXPECT_LT(t.srv.recv_nr, NR_MAX - 10);
    EXPECT_GT(t.srv.recv_nr, NR_MAX / 2);
    EXPECT_EQ(t.srv.twice_nr + t.srv.back_nr, 0);
    EXPECT_EQ(t.cli.done_nr, NR_MAX); /* the sender cannot tell */
    sim_destroy(t.sim);

    pair_start(&t, &(struct sim_opts){.seed = 3, .net_dup_ppm = 100000});
    party_dial(&t.cli, NR_MAX, 50000);
    sim_run_for(t.sim, S_NS);
    EXPECT_GT(t.srv.twice_nr, 10);
    EXPECT_EQ(t.srv.recv_nr, NR_MAX + t.srv.twice_nr);
    sim_destroy(t.sim);

    pair_start(&t, &(struct sim_opts){.seed = 4, .net_reorder_ppm = 100000});
    party_dial(&t.cli, NR_MAX, 50000);
    sim_run_for(t.sim, S_NS);
    EXPECT_GT(t.srv.back_nr, 10);
    EXPECT_EQ(t.srv.recv_nr, NR_MAX);
    EXPECT_EQ(t.srv.twice_nr, 0);
    sim_destroy(t.sim);
}

TEST_ON(plat_sim_net, cuts, BACKEND_SIM)
{
    struct pair t;

    pair_start(&t, &(struct sim_opts){.seed = 5, .net_cut_ppm = 20000});
    party_dial(&t.cli, NR_MAX, 50000);
    sim_run_for(t.sim, S_NS);
    EXPECT_EQ(t.cli.down_nr, 1);
    EXPECT_EQ(t.srv.down_nr, 1);
    EXPECT_LT(t.srv.recv_nr, NR_MAX);
    EXPECT_EQ(t.cli.done_nr, t.cli.sent_nr); /* PLT-3 */
    sim_destroy(t.sim);
}

/* A short partition delays, a long one drops the connection at both ends; the other direction is not held up. */
TEST_ON(plat_sim_net, partitions, BACKEND_SIM)
{
    struct pair t;
    uint32_t before;

    pair_start(&t, &(struct sim_opts){.seed = 6});
    party_dial(&t.cli, NR_MAX, 50 * MS); /* for 20 s */
    sim_run_for(t.sim, S_NS);
    before = t.srv.recv_nr;
    EXPECT_GT(before, 10);
    sim_link_set(t.sim, "hc", "hs", false);
    sim_run_for(t.sim, 5 * S_NS);
    EXPECT_LE(t.srv.recv_nr, before + 1);
    EXPECT_GT(t.cli.sent_nr, before + 50);
    EXPECT_EQ(t.cli.down_nr, 0);
    sim_link_set(t.sim, "hc", "hs", true);
    sim_run_for(t.sim, S_NS);
    EXPECT_GT(t.srv.recv_nr, before + 100);
    EXPECT_EQ(t.srv.back_nr + t.srv.twice_nr, 0);
    EXPECT_EQ(t.srv.recv_nr + 1 >= t.cli.sent_nr, true);
    sim_link_set(t.sim, "hs", "hc", false); /* the other way: our data still goes through */
    before = t.srv.recv_nr;
    sim_run_for(t.sim, S_NS);
    EXPECT_GT(t.srv.recv_nr, before + 15);
    sim_link_set(t.sim, "hc", "hs", false);
    sim_run_for(t.sim, 25 * S_NS);
    EXPECT_EQ(t.cli.down_nr, 1);
    EXPECT_EQ(t.srv.down_nr, 1);
    EXPECT_OK(t.cli.ops->connect(t.cli.net, "sim://srv/a", &t.cli.peer));
    sim_run_for(t.sim, 30 * S_NS); /* nobody answers */
    EXPECT_EQ(t.cli.down_nr, 2);
    EXPECT_EQ(t.srv.accepted_nr, 1);
    sim_destroy(t.sim);
}

/* A process that dies: what it sent arrives, then the end. A host that dies: silence; the reset comes when it is back. */
TEST_ON(plat_sim_net, dead_process_dead_host, BACKEND_SIM)
{
    struct pair t;
    struct party again;
    uint64_t at_ns;

    pair_start(&t, &(struct sim_opts){.seed = 7});
    party_dial(&t.cli, NR_MAX, MS);
    sim_run_for(t.sim, 20 * MS);
    sim_node_kill(t.sim, t.cli.plat);
    EXPECT(t.cli.reaped);
    sim_run_for(t.sim, 10 * MS);
    EXPECT_EQ(t.srv.down_nr, 1);
    EXPECT_EQ(t.srv.recv_nr, t.cli.done_nr);
    EXPECT_GT(t.srv.recv_nr, 10);
    sim_destroy(t.sim);

    pair_start(&t, &(struct sim_opts){.seed = 8});
    party_dial(&t.cli, NR_MAX, 100 * MS);
    sim_run_for(t.sim, S_NS);
    sim_host_power_loss(t.sim, "hs");
    EXPECT(t.srv.reaped);
    sim_run_for(t.sim, 3 * S_NS);
    EXPECT_EQ(t.cli.down_nr, 0); /* not yet known */
    at_ns = sim_now_ns(t.sim);
    party_start(t.sim, &again, "hs", "srv", "sim://srv/a");
    sim_run_for(t.sim, S_NS);
    EXPECT_EQ(t.cli.down_nr, 1);
    EXPECT_LT(t.cli.down_at_ns - at_ns, S_NS);
    EXPECT_EQ(again.accepted_nr, 0);
    EXPECT_OK(t.cli.ops->connect(t.cli.net, "sim://srv/a", &t.cli.peer));
    sim_run_for(t.sim, S_NS);
    EXPECT_EQ(again.accepted_nr, 1); /* the successor inherits the address */
    sim_destroy(t.sim);
}

TEST_ON(plat_sim_net, dead_host_stays_dead, BACKEND_SIM)
{
    struct pair t;

    pair_start(&t, &(struct sim_opts){.seed = 9});
    party_dial(&t.cli, 10, MS);
    sim_run_for(t.sim, S_NS);
    sim_host_power_loss(t.sim, "hs");
    sim_run_for(t.sim, 25 * S_NS); /* an idle connection notices too */
    EXPECT_EQ(t.cli.down_nr, 1);
    sim_destroy(t.sim);
}

/* A stopped peer pushes back: tx stay pending, then the queue is full; it goes on where it stopped. */
TEST_ON(plat_sim_net, stopped_peer_pushes_back, BACKEND_SIM)
{
    struct pair t;

    pair_start(&t, &(struct sim_opts){.seed = 10});
    t.cli.payload_len = 100000;
    sim_run_for(t.sim, MS);
    party_dial(&t.cli, 1, 0);
    sim_run_for(t.sim, 10 * MS);
    EXPECT_EQ(t.srv.recv_nr, 1);
    sim_node_pause(t.srv.plat, true);
    t.cli.nr = 100;
    t.cli.plat->ops->loop_wake(t.cli.loop);
    sim_run_for(t.sim, S_NS);
    EXPECT_EQ(t.cli.sent_nr, 100);
    EXPECT_LT(t.cli.done_nr, 10);
    EXPECT_EQ(t.srv.recv_nr, 1);
    EXPECT_EQ(t.cli.down_nr, 0);
    sim_node_pause(t.srv.plat, false);
    sim_run_for(t.sim, S_NS);
    EXPECT_EQ(t.srv.recv_nr, 100);
    EXPECT_EQ(t.cli.done_nr, 100);
    EXPECT_EQ(t.srv.placed_nr, 100);
    sim_destroy(t.sim);
}

/* Death in the middle of a payload that was being placed: no recv(), and no callback of the dead. Over many seeds. */
TEST_ON(plat_sim_net, death_between_place_and_recv, BACKEND_SIM)
{
    uint32_t between = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct pair t;

        pair_start(&t, &(struct sim_opts){.seed = seed});
        t.cli.payload_len = 50000;
        party_dial(&t.cli, 40, 20000);
        sim_run_for(t.sim, 400000 + seed * 10000);
        if (seed % 2 == 0) {
            sim_node_kill(t.sim, t.srv.plat);
            between += t.srv.placed_nr > t.srv.recv_nr;
        } else {
            if (t.srv.peer != NULL)
                t.srv.ops->disconnect(t.srv.peer);
            sim_run_for(t.sim, 10 * MS);
            between += t.srv.placed_nr > t.srv.recv_nr;
            EXPECT_LE(t.srv.placed_nr, t.srv.recv_nr + 1);
        }
        sim_run_for(t.sim, 10 * MS);
        EXPECT_EQ(t.cli.down_nr, 1);
        EXPECT_EQ(t.cli.done_nr, t.cli.sent_nr);
        sim_destroy(t.sim);
    }
    EXPECT_GT(between, 5);
}
