/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: groups of three and five members agree, lose nothing that was acknowledged and answer reads with the newest, whatever the network, power and clocks do; members come, go and
 * catch up; full and failing stores. Method: raft_rig.h; random faults from seeds, and scripts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "raft/raft_msg.h"
#include "raft/test/raft_rig.h"

static struct rig *
rig_new(const struct rig_opts *opts)
{
    struct rig *rig = malloc(sizeof(*rig));

    rig_init(rig, opts);
    for (uint32_t i = 0; i < opts->nr; i++) {
        rig_start(rig, i);
    }
    return rig;
}

static void
rig_free(struct rig *rig)
{
    rig_fini(rig);
    free(rig);
}

static int
write_some(struct rig_member *m, void *arg)
{
    uint32_t nr = *(uint32_t *)arg;
    int rc = 0;

    for (uint32_t i = 0; i < nr && rc == 0; i++) {
        rc = rig_write(m, i % RIG_REGS);
    }
    return rc;
}

static int
read_some(struct rig_member *m, void *arg)
{
    uint32_t nr = *(uint32_t *)arg;
    int rc = 0;

    for (uint32_t i = 0; i < nr && rc == 0; i++) {
        rc = rig_read(m, i % RIG_REGS);
    }
    return rc;
}

/* ---- scripts ---------------------------------------------------------------------------------------------------------- */

TEST_ON(raft_group, three_members_agree, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3};
    struct rig *rig = rig_new(&opts);
    uint32_t leader, nr = 40;

    leader = rig_leader(rig, 5000);
    if (EXPECT_NE(leader, UINT32_MAX)) {
        EXPECT_OK(rig_call(rig, leader, write_some, &nr, 2000));
        EXPECT_OK(rig_call(rig, leader, read_some, &nr, 1000));
        EXPECT_ERR(rig_call(rig, (leader + 1) % 3, write_some, &nr, 1000), NOTLEADER);
        EXPECT_ERR(rig_call(rig, (leader + 1) % 3, read_some, &nr, 1000), NOTLEADER);
        EXPECT(raft_group_lease_holds(rig->members[leader].group));
        rig_settle(rig, 2000);
        EXPECT_EQ(rig->acked_nr, 40);
        EXPECT_EQ(rig->elections_nr, 1);
    }
    rig_free(rig);
}

/* An only member leads at once, each time in a higher term. */
TEST_ON(raft_group, one_member, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 1};
    struct rig *rig = rig_new(&opts);
    struct raft_group_status a, b;
    uint32_t nr = 10;

    EXPECT_EQ(rig_leader(rig, 100), 0);
    EXPECT_OK(rig_call(rig, 0, write_some, &nr, 1000));
    EXPECT_OK(rig_call(rig, 0, read_some, &nr, 1000));
    raft_group_status(rig->members[0].group, &a);
    rig_kill(rig, 0);
    rig_start(rig, 0);
    EXPECT_EQ(rig_leader(rig, 100), 0);
    raft_group_status(rig->members[0].group, &b);
    EXPECT_GT(b.term, a.term);
    EXPECT_OK(rig_call(rig, 0, read_some, &nr, 1000));
    rig_settle(rig, 1000);
    rig_free(rig);
}

/* The leader dies; another one has all; the dead one comes back and catches up. */
TEST_ON(raft_group, leader_dies, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), next, nr = 30;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        EXPECT_OK(rig_call(rig, leader, write_some, &nr, 2000));
        rig_kill(rig, leader);
        next = rig_leader(rig, 3000); /* of the issue: under 3 s */
        if (EXPECT_NE(next, UINT32_MAX)) {
            EXPECT_OK(rig_call(rig, next, read_some, &nr, 1000));
            EXPECT_OK(rig_call(rig, next, write_some, &nr, 2000));
        }
        rig_start(rig, leader);
        rig_settle(rig, 5000);
    }
    rig_free(rig);
}

/* Without a majority nothing is acknowledged or read, and the leader resigns. */
TEST_ON(raft_group, no_majority, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), nr = 1;
    struct raft_group_status st;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        rig_kill(rig, (leader + 1) % 3);
        rig_kill(rig, (leader + 2) % 3);
        EXPECT_ERR(rig_call(rig, leader, write_some, &nr, 5000), NOTLEADER);
        EXPECT_ERR(rig_call(rig, leader, read_some, &nr, 5000), NOTLEADER);
        raft_group_status(rig->members[leader].group, &st);
        EXPECT(!st.is_leader);
        rig_start(rig, (leader + 1) % 3);
        EXPECT_NE(rig_leader(rig, 6000), UINT32_MAX);
        rig_start(rig, (leader + 2) % 3);
        rig_settle(rig, 5000);
    }
    rig_free(rig);
}

static int
transfer(struct rig_member *m, void *arg)
{
    return raft_group_transfer(m->group, *(uint64_t *)arg);
}

TEST_ON(raft_group, leadership_is_handed_over, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), nr = 20;
    uint64_t to;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        EXPECT_OK(rig_call(rig, leader, write_some, &nr, 2000));
        to = (leader + 1) % 3 + 1;
        EXPECT_OK(rig_call(rig, leader, transfer, &to, 500));
        EXPECT_EQ(rig_leader(rig, 500), to - 1);
        EXPECT_OK(rig_call(rig, (uint32_t)to - 1, read_some, &nr, 1000));
        to = 9;
        EXPECT_ERR(rig_call(rig, rig_leader(rig, 0), transfer, &to, 500), NONEXIST);
        /* Who does not answer does not take it; reads go by rounds then. */
        leader = rig_leader(rig, 0);
        to = (leader + 1) % 3 + 1;
        rig_kill(rig, (uint32_t)to - 1);
        EXPECT_ERR(rig_call(rig, leader, transfer, &to, 3000), TIMEDOUT);
        EXPECT_EQ(rig_leader(rig, 0), leader);
        EXPECT(!raft_group_lease_holds(rig->members[leader].group));
        EXPECT_OK(rig_call(rig, leader, read_some, &nr, 8000));
        rig_start(rig, (uint32_t)to - 1);
        rig_settle(rig, 5000);
    }
    rig_free(rig);
}

static int
grow(struct rig_member *m, void *arg)
{
    uint64_t id = *(uint64_t *)arg;

    EXPECT_OK(raft_group_add(m->group, id));
    EXPECT_ERR(raft_group_add(m->group, id), EXIST);
    EXPECT_OK(raft_group_assign(m->group, id, RAFT_ROLE_STANDBY));
    EXPECT_ERR(raft_group_assign(m->group, id, RAFT_ROLE_STANDBY), INVAL);
    EXPECT_OK(raft_group_assign(m->group, id, RAFT_ROLE_VOTER));
    EXPECT_ERR(raft_group_assign(m->group, 9, RAFT_ROLE_VOTER), NONEXIST);
    EXPECT_ERR(raft_group_remove(m->group, m->id), INVAL);
    return 0;
}

static int
shrink(struct rig_member *m, void *arg)
{
    return raft_group_remove(m->group, *(uint64_t *)arg);
}

/* Three become five; the two first followers go; what is left goes on and has all. */
TEST_ON(raft_group, members_come_and_go, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3, .snap_threshold = 30, .snap_trailing = 5};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), nr = 100;
    struct raft_group_status st;
    uint64_t id;

    if (!EXPECT_NE(leader, UINT32_MAX))
        goto out;
    EXPECT_OK(rig_call(rig, leader, write_some, &nr, 5000));
    for (id = 4; id <= 5; id++) {
        rig_start(rig, (uint32_t)id - 1);
        rig_run(rig, 50);
        EXPECT_OK(rig_call(rig, leader, grow, &id, 20000));
    }
    EXPECT_GE(rig->members[3].installs_nr, 1); /* the log had been cut */
    raft_group_status(rig->members[leader].group, &st);
    EXPECT_EQ(st.conf.nr, 5);
    EXPECT_LE(st.last - st.first, 60);
    for (uint32_t i = 1; i <= 2; i++) {
        id = (leader + i) % 3 + 1;
        EXPECT_OK(rig_call(rig, leader, shrink, &id, 2000));
        rig_kill(rig, (uint32_t)id - 1);
    }
    EXPECT_OK(rig_call(rig, leader, write_some, &nr, 5000));
    rig_kill(rig, leader);
    EXPECT_GE(rig_leader(rig, 5000), 3);
    rig_start(rig, leader);
    rig_settle(rig, 5000);
out:
    rig_free(rig);
}

/* A snapshot of several parts, over a network that loses some. */
TEST_ON(raft_group, late_member_gets_large_snapshot, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(),
        .nr = 3,
        .snap_threshold = 20,
        .snap_trailing = 5,
        .is_filled = true,
        .loss_ppm = 100000};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), late, nr = 60;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        late = (leader + 1) % 3;
        rig_kill(rig, late);
        EXPECT_OK(rig_call(rig, leader, write_some, &nr, 60000));
        rig_start(rig, late);
        rig_run(rig, 10000);
        EXPECT_GE(rig->members[late].installs_nr, 1);
        rig_settle(rig, 10000);
    }
    rig_free(rig);
}

static int
write_big(struct rig_member *m, void *arg)
{
    static uint8_t big[RAFT_CMD_BYTES_MAX + 1];

    (void)arg;
    EXPECT_ERR(raft_group_propose(m->group, (struct iov){big, 0}, NULL), INVAL);
    EXPECT_ERR(raft_group_propose(m->group, (struct iov){big, sizeof(big)}, NULL), OVERFLOW);
    return 0;
}

/* A shard that fills up refuses before anything is appended, and goes on when the log is cut. */
TEST_ON(raft_group, full_store, BACKEND_SIM)
{
    struct rig_opts opts = {
        .seed = test_seed(), .nr = 3, .meta_quota = 256 << 10, .snap_threshold = 100000};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), nr = 100000;
    struct raft_group_status st;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        EXPECT_OK(rig_call(rig, leader, write_big, NULL, 100));
        EXPECT_ERR(rig_call(rig, leader, write_some, &nr, 60000), NOSPACE);
        EXPECT_GE(rig->acked_nr, 100);
        raft_group_status(rig->members[leader].group, &st);
        EXPECT(st.is_ready);
        EXPECT_OK(rig_call(rig, leader, read_some, &(uint32_t){4}, 1000));
        rig_settle(rig, 5000);
    }
    rig_free(rig);
}

/* The leader's disk fails: it says nothing any more, the others go on. */
TEST_ON(raft_group, failing_disk, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), next, nr = 20;
    struct raft_group_status st;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        EXPECT_OK(rig_call(rig, leader, write_some, &nr, 2000));
        sim_disk_errors_set(rig->sim, rig->members[leader].host_name, "/sys", 1000000);
        EXPECT_ERR(rig_call(rig, leader, write_some, &nr, 3000), NOTLEADER);
        raft_group_status(rig->members[leader].group, &st);
        EXPECT(!st.is_up);
        next = rig_leader(rig, 5000);
        if (EXPECT_NE(next, UINT32_MAX) && EXPECT_NE(next, leader))
            EXPECT_OK(rig_call(rig, next, write_some, &nr, 2000));
        sim_disk_errors_set(rig->sim, rig->members[leader].host_name, "/sys", 0);
        rig_kill(rig, leader);
        rig_start(rig, leader);
        rig_settle(rig, 5000);
    }
    rig_free(rig);
}

static int
hostile(struct rig_member *m, void *arg)
{
    static const uint8_t zeros[64], ones[64] = {1, 1, 1, 1};
    struct raft_host_stats before, after;

    (void)arg;
    raft_host_stats(m->host, &before);
    raft_host_recv(m->host, zeros, 0);
    raft_host_recv(m->host, zeros, 7);
    raft_host_recv(m->host, zeros, sizeof(zeros));
    raft_host_recv(m->host, ones, sizeof(ones));
    raft_host_stats(m->host, &after);
    EXPECT_EQ(after.bad_nr, before.bad_nr + 3);
    return 0;
}

static int
strangers(struct rig_member *m, void *arg)
{
    struct raft_msg msg = {.type = RAFT_MSG_VOTE,
        .from = 99,
        .to = m->id,
        .term = 1000,
        .group = {{7, 7, 7}},
        .vote = {.term = 1000, .candidate_id = 99, .last_log_index = 1 << 20, .last_log_term = 999}};
    struct raft_host_stats before, after;
    uint8_t buf[256];
    size_t len = raft_msg_bytes(&msg);

    (void)arg;
    raft_host_stats(m->host, &before);
    raft_msg_encode(&msg, buf); /* who knows of no leader: not believed by who does */
    raft_host_recv(m->host, buf, len);
    msg.to = 77; /* not us */
    raft_msg_encode(&msg, buf);
    raft_host_recv(m->host, buf, len);
    msg.to = m->id;
    msg.group.b[0] = 8; /* not our group */
    raft_msg_encode(&msg, buf);
    raft_host_recv(m->host, buf, len);
    msg.group.b[0] = 7;
    msg.type = RAFT_MSG_APPEND_RESULT; /* of no member, from a later term */
    msg.append_result.rejected = 0;
    msg.append_result.last_log_index = 1 << 20;
    raft_msg_encode(&msg, buf);
    raft_host_recv(m->host, buf, raft_msg_bytes(&msg));
    raft_host_stats(m->host, &after);
    EXPECT_EQ(after.bad_nr, before.bad_nr);
    EXPECT_EQ(after.dropped_nr, before.dropped_nr + 3);
    return 0;
}

TEST_ON(raft_group, bad_bytes_and_strangers, BACKEND_SIM)
{
    struct rig_opts opts = {.seed = test_seed(), .nr = 3};
    struct rig *rig = rig_new(&opts);
    uint32_t leader = rig_leader(rig, 5000), nr = 10;

    if (EXPECT_NE(leader, UINT32_MAX)) {
        for (uint32_t i = 0; i < 3; i++) {
            EXPECT_OK(rig_call(rig, i, hostile, NULL, 100));
            EXPECT_OK(rig_call(rig, i, strangers, NULL, 100));
        }
        EXPECT_EQ(rig_leader(rig, 0), leader);
        EXPECT_OK(rig_call(rig, leader, write_some, &nr, 1000));
        EXPECT_EQ(rig->elections_nr, 1);
        rig_settle(rig, 1000);
    }
    rig_free(rig);
}

/* ---- random faults ---------------------------------------------------------------------------------------------------- */

/* Each seed draws its own rates. */
static struct rig_opts
swarm(uint64_t seed)
{
    struct rng rng;
    struct rig_opts opts = {.seed = seed, .has_clients = true};

    rng_init(&rng, seed * 7919 + 1);
    opts.nr = rng_chance(&rng, 1, 3) ? 5 : 3;
    opts.loss_ppm = rng_chance(&rng, 1, 2) ? (uint32_t)rng_below(&rng, 200000) : 0;
    opts.dup_ppm = rng_chance(&rng, 1, 2) ? (uint32_t)rng_below(&rng, 100000) : 0;
    opts.slow_ppm = rng_chance(&rng, 2, 3) ? (uint32_t)rng_below(&rng, 200000) : 0;
    opts.kill_ppm = rng_chance(&rng, 2, 3) ? (uint32_t)rng_below(&rng, 400) : 0;
    opts.part_ppm = rng_chance(&rng, 2, 3) ? (uint32_t)rng_below(&rng, 600) : 0;
    opts.pause_ppm = rng_chance(&rng, 1, 2) ? (uint32_t)rng_below(&rng, 200) : 0;
    opts.transfer_ppm = rng_chance(&rng, 1, 2) ? (uint32_t)rng_below(&rng, 500) : 0;
    opts.member_ppm = rng_chance(&rng, 1, 3) ? (uint32_t)rng_below(&rng, 1000) : 0;
    opts.snap_threshold = rng_chance(&rng, 1, 2) ? (uint32_t)rng_range(&rng, 10, 60) : 0;
    opts.snap_trailing = (uint32_t)rng_range(&rng, 1, 12);
    return opts;
}

static uint64_t
seed_run(uint64_t seed, uint64_t ms)
{
    struct rig_opts opts = swarm(seed);
    struct rig *rig = rig_new(&opts);
    uint64_t bad;

    for (uint32_t i = opts.nr; i < RIG_MEMBERS_NR && opts.member_ppm > 0; i++) {
        rig_start(rig, i);
    }
    rig_run(rig, ms);
    rig_settle(rig, 60000);
    if (getenv("RAFT_VERBOSE") != NULL) {
        fprintf(
            stderr, "    seed %llu: %u members, %u writes, %u reads, %u elections, %u deaths, %u partitions, %u changes\n",
            (unsigned long long)seed, opts.nr, rig->acked_nr, rig->reads_nr, rig->elections_nr,
            rig->deaths_nr, rig->parts_nr, rig->changes_nr);
    }
    bad = rig->bad_nr;
    rig_free(rig);
    return bad;
}

TEST_ON(raft_group, random_faults, BACKEND_SIM)
{
    const char *nr = getenv("RAFT_SEEDS"), *first = getenv("RAFT_SEED");
    uint64_t seeds = nr != NULL ? strtoull(nr, NULL, 10) : 6;
    uint64_t seed = first != NULL ? strtoull(first, NULL, 10) : test_seed();

    for (uint64_t i = 0; i < seeds && !test_failed(); i++) {
        if (!EXPECT_EQ(seed_run(seed + i, 20000), 0) || test_failed())
            fprintf(stderr, "    RAFT_SEED=%llu RAFT_SEEDS=1\n", (unsigned long long)(seed + i));
    }
}
