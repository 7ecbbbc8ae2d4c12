/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the figures of the failure detector, and what becomes of a group after cuts, restarts and pauses. Method: swim_net, a simulated network with a
 * checker that sees every verdict on the living; each test draws its own choices from one seed (--seed). short_: everywhere; release_: make check, release
 * build; long_: make check-long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/util.h"
#include "harness/harness.h"
#include "swim_net.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
enum { SLOW = 10 };
#else
enum { SLOW = 1 };
#endif

/* The network of the figures: 5% loss, one pause of up to 2 s for each member and minute. */
#define BAD_NET .loss_ppm = 50000, .pause_max_ns = 2 * NET_S

static int
cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void
say(const struct net_sim *net, const char *what, clock_t begin)
{
    double cpu_min = (double)(clock() - begin) / CLOCKS_PER_SEC / 60;
    double hours = (double)net_now_ns(net) / 3600e9;

    fprintf(stderr,
        "    %s: %u members, %.2f h, %.0f h per processor minute; %.0f messages of %.0f bytes per "
        "member and second, %lu pauses, %lu suspicions heard, "
        "%lu refuted, %lu verdicts heard, %lu false\n",
        what, net->cfg.nodes_nr, hours, hours / cpu_min,
        (double)net->sent_nr / net->cfg.nodes_nr / (hours * 3600),
        (double)net->bytes / (double)net->sent_nr, (unsigned long)net->pauses_nr,
        (unsigned long)net->suspected_nr, (unsigned long)net->refuted_nr,
        (unsigned long)net->verdicts_nr, (unsigned long)net->false_nr);
}

/* ---- nobody is excluded falsely ---- */

static void
hours_run(const char *what, uint32_t nodes_nr, uint64_t ns)
{
    struct net_cfg cfg = {.nodes_nr = nodes_nr, BAD_NET};
    clock_t begin = clock();
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, ns);
    say(&net, what, begin);
    EXPECT_EQ(net.false_nr, 0);
    EXPECT_EQ(net.verdicts_nr, 0);
    EXPECT_EQ(net.excluded_nr, 0);
    EXPECT_GT(net.pauses_nr,
        ns / (61 * NET_S) * nodes_nr * 9 / 10); /* it was as bad as it is meant to be */
    EXPECT_GT(net.suspected_nr, 0);
    net_fini(&net);
}

TEST(swim_sim, short_nobody_falsely)
{
    hours_run("nobody falsely", 100, 600 * NET_S / SLOW);
}

TEST(swim_sim, short_nobody_falsely_in_small_groups)
{
    for (uint32_t nr = 2; nr <= 8; nr++) {
        hours_run("nobody falsely", nr, 1800 * NET_S / SLOW);
    }
}

TEST(swim_sim, release_hours)
{
    hours_run("hours", 100, 3600 * NET_S);
}

TEST(swim_sim, long_hours)
{
    const char *hours = getenv("SWIM_HOURS");

    hours_run("hours", 100, (hours != NULL ? strtoul(hours, NULL, 10) : 250) * 3600 * NET_S);
}

/* ---- a silent death is known soon ---- */

static void
deaths_run(uint32_t nodes_nr, uint32_t deaths_nr, uint64_t p99_max_ns)
{
    struct net_cfg cfg = {.nodes_nr = nodes_nr, BAD_NET};
    uint64_t *all = calloc(deaths_nr, sizeof(*all)), *awake = calloc(deaths_nr, sizeof(*awake));
    clock_t begin = clock();
    uint32_t p99 = deaths_nr - 1 - MAX(deaths_nr / 100, 1u); /* of few: all but one */
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, 10 * NET_S);
    for (uint32_t i = 0; i < deaths_nr; i++) {
        uint32_t node = (uint32_t)rng_below(&net.rng, nodes_nr);

        net_run(&net, rng_below(&net.rng, 3 * NET_S));
        net_kill(&net, node);
        net_run_known(&net, 60 * NET_S);
        EXPECT_NE(net.watch.all_ns, 0);
        all[i] = net.watch.all_ns;
        awake[i] = net.watch.awake_ns;
        net_restart(&net, node, nodes_nr);
        net_run(&net, 3 * NET_S);
    }
    say(&net, "deaths", begin);
    EXPECT_EQ(net.false_nr, 0);
    qsort(all, deaths_nr, sizeof(*all), cmp_u64);
    qsort(awake, deaths_nr, sizeof(*awake), cmp_u64);
    fprintf(
        stderr, "    %u deaths, known to all after %.2f s (median), %.2f (p99), %.2f (most); pauses left out %.2f, %.2f, %.2f\n",
        deaths_nr, (double)all[deaths_nr / 2] / 1e9, (double)all[p99] / 1e9,
        (double)all[deaths_nr - 1] / 1e9, (double)awake[deaths_nr / 2] / 1e9,
        (double)awake[p99] / 1e9, (double)awake[deaths_nr - 1] / 1e9);
    EXPECT_LE(all[p99], p99_max_ns);
    net_fini(&net);
    free(all);
    free(awake);
}

TEST(swim_sim, short_deaths_100)
{
    deaths_run(100, 50 / SLOW, 5 * NET_S);
}

TEST(swim_sim, release_deaths_300)
{
    deaths_run(300, 5, 8 * NET_S);
}

TEST(swim_sim, long_deaths_hundred)
{
    deaths_run(100, 2000, 5 * NET_S);
}

TEST(swim_sim, long_deaths_thousand)
{
    deaths_run(1000, 400, 8 * NET_S);
}

/* ---- cuts, restarts, clocks ---- */

static void
healed(struct net_sim *net, uint32_t nodes_nr, const char *what)
{
    net->cfg.loss_ppm = 0; /* or somebody may be suspected just now */
    net_run(net, 10 * NET_S);
    EXPECT_EQ(net->false_nr, 0);
    EXPECT_EQ(net_up_nr(net), nodes_nr);
    if (!EXPECT(net_all_alive(net)))
        fprintf(stderr, "    %s\n", what);
}

TEST(swim_sim, short_same_seed_same_history)
{
    struct net_cfg cfg = {.nodes_nr = 30, BAD_NET};
    uint64_t traces[3];

    for (uint32_t i = 0; i < 3; i++) {
        struct net_sim net;

        net_init(&net, &cfg, test_seed() + i / 2);
        net_run(&net, 200 * NET_S / SLOW);
        net_kill(&net, 3);
        net_run(&net, 20 * NET_S);
        traces[i] = net.trace ^ net.sent_nr ^ net.bytes << 20;
        net_fini(&net);
    }
    EXPECT_EQ(traces[0], traces[1]);
    EXPECT_NE(traces[0], traces[2]);
}

/* A few are cut off from the many: those are excluded by the many, and exclude nobody. Healed, they learn of it, and come back as later lives. */
TEST(swim_sim, short_few_cut_off)
{
    for (uint32_t cut = NET_CUT_TWO_WAY; cut <= NET_CUT_ONE_WAY; cut++) {
        for (uint32_t deaf = 0; deaf < 2; deaf++) {
            struct net_cfg cfg = {.nodes_nr = 20, .loss_ppm = 50000};
            struct net_sim net;
            struct swim_member_info info;

            net_init(&net, &cfg, test_seed() + cut);
            net_run(&net, 5 * NET_S);
            for (uint32_t i = 0; i < 20; i++) {
                net.nodes[i].side = (i < 3) == (deaf == 1); /* 0..2 hear nothing, or are not heard */
            }
            for (uint32_t i = 0; i < 3; i++) {
                net.nodes[i].is_quiet = true;
            }
            net.cut = (enum net_cut)cut;
            net_run(&net, 20 * NET_S);
            for (uint32_t i = 3; i < 20; i++) {
                EXPECT(!net.nodes[i].excluded);
                for (uint32_t j = 0; j < 3; j++) {
                    EXPECT_OK(swim_member(net.nodes[i].sw, (struct rank){j}, &info));
                    EXPECT_EQ(info.state, SWIM_DEAD);
                    EXPECT_OK(swim_member(net.nodes[j].sw, (struct rank){i}, &info));
                    EXPECT_LE(info.state, SWIM_SUSPECT); /* in the eyes of those that are cut off */
                }
            }
            net.cut = NET_CUT_NONE;
            net_run(&net, 20 * NET_S);
            for (uint32_t i = 0; i < 3; i++) {
                EXPECT(net.nodes[i].excluded);
                net_kill(&net, i);
                net_restart(&net, i, 20);
            }
            net_run(&net, 20 * NET_S);
            healed(&net, 20, "few cut off");
            net_fini(&net);
        }
    }
}

/* Two parts of about the same size: nobody is excluded, everybody distrusts; healed, all is as before, without a new life (SWM-4). */
TEST(swim_sim, short_halves)
{
    static const uint32_t rows[][2] = {{20, 10}, {20, 7}, {21, 10}, {6, 3}, {4, 2}, {2, 1}};

    for (uint32_t row = 0; row < ARRAY_SIZE(rows); row++) {
        struct net_cfg cfg = {.nodes_nr = rows[row][0], .loss_ppm = 50000};
        struct net_sim net;

        net_init(&net, &cfg, test_seed() + row);
        net_run(&net, 5 * NET_S);
        for (uint32_t i = 0; i < rows[row][1]; i++) {
            net.nodes[i].side = 1;
        }
        net.cut = NET_CUT_TWO_WAY;
        net_run(&net, 60 * NET_S);
        EXPECT_EQ(net.verdicts_nr, 0);
        for (uint32_t i = 0; i < cfg.nodes_nr; i++) {
            EXPECT(swim_distrusts(net.nodes[i].sw) || net.nodes[i].sw == NULL || rows[row][0] < 7);
        }
        net.cut = NET_CUT_NONE;
        net_run(&net, 30 * NET_S);
        EXPECT_EQ(net.excluded_nr, 0);
        healed(&net, cfg.nodes_nr, "halves");
        for (uint32_t i = 0; i < cfg.nodes_nr; i++) {
            EXPECT(!swim_distrusts(net.nodes[i].sw));
        }
        net_fini(&net);
    }
}

/* From one half nothing comes to the other. */
TEST(swim_sim, short_halves_one_way)
{
    struct net_cfg cfg = {.nodes_nr = 20, .loss_ppm = 50000};
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    for (uint32_t i = 0; i < 10; i++) {
        net.nodes[i].side = 1;
    }
    net.cut = NET_CUT_ONE_WAY;
    net_run(&net, 60 * NET_S);
    EXPECT_EQ(net.verdicts_nr, 0);
    net.cut = NET_CUT_NONE;
    net_run(&net, 30 * NET_S);
    EXPECT_EQ(net.excluded_nr, 0);
    healed(&net, 20, "halves, one way");
    net_fini(&net);
}

/* Restarts as quick as they can be: the later life is known, the earlier one is over, and nobody takes the one for the other. */
TEST(swim_sim, short_restarts)
{
    struct net_cfg cfg = {.nodes_nr = 16, BAD_NET};
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, 70 * NET_S);
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t node = (uint32_t)rng_below(&net.rng, 16);

        net_kill(&net, node);
        net_run(&net, rng_below(&net.rng, 6 * NET_S));
        net_restart(&net, node, i % 2 == 0 ? 16 : 4); /* all others, or a few */
        net_run(&net, rng_below(&net.rng, 6 * NET_S));
    }
    EXPECT_EQ(net.excluded_nr, 0);
    net_run(&net, 30 * NET_S);
    for (uint32_t i = 0; i < 16; i++) {
        EXPECT_EQ(net_seen_nr(&net, i, SWIM_ALIVE) + net_seen_nr(&net, i, SWIM_SUSPECT), 15);
    }
    EXPECT_EQ(net.false_nr, 0);
    net_fini(&net);
}

/* One who knows one other is known to all, and knows all, within seconds. */
TEST(swim_sim, short_joins_by_one)
{
    struct net_cfg cfg = {.nodes_nr = 200, .loss_ppm = 50000};
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, 5 * NET_S);
    net_kill(&net, 7);
    net_run_known(&net, 30 * NET_S);
    net_restart(&net, 7, 1);
    if (swim_members_nr(net.nodes[7].sw) == 1) /* the one drawn was itself */
        EXPECT_OK(swim_add(net.nodes[7].sw, 0, (struct rank){8}, 1));
    net_run(&net, 5 * NET_S);
    EXPECT_EQ(net_seen_nr(&net, 7, SWIM_ALIVE), 199);
    EXPECT_EQ(swim_members_nr(net.nodes[7].sw), 200);
    net_fini(&net);
}

/* The clock of who pauses stands still, too, and clocks run 1% apart: no lateness shows. */
TEST(swim_sim, short_clocks)
{
    struct net_cfg cfg = {.nodes_nr = 50, BAD_NET, .clocks_stop = true, .drift_ppm = 10000};
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, 1200 * NET_S / SLOW);
    EXPECT_EQ(net.false_nr, 0);
    EXPECT_EQ(net.excluded_nr, 0);
    EXPECT_GT(net.suspected_nr, 0);
    net_kill(&net, 9);
    net_run_known(&net, 30 * NET_S);
    EXPECT_NE(net.watch.all_ns, 0);
    net_fini(&net);
}

/* All stop at once, for up to a minute, and again: not a word is said against anybody for that. */
TEST(swim_sim, short_all_pause)
{
    static const uint64_t secs[] = {1, 3, 10, 60};

    for (uint32_t row = 0; row < ARRAY_SIZE(secs); row++) {
        struct net_cfg cfg = {.nodes_nr = 40, .loss_ppm = 50000};
        struct net_sim net;

        net_init(&net, &cfg, test_seed() + row);
        for (uint32_t round = 0; round < 5; round++) {
            net_run(&net, rng_below(&net.rng, 5 * NET_S));
            for (uint32_t i = 0; i < 40; i++) {
                net_pause(&net, i, secs[row] * NET_S + rng_below(&net.rng, 50 * NET_MS));
            }
            net_run(&net, secs[row] * NET_S);
        }
        EXPECT_EQ(net.verdicts_nr, 0);
        EXPECT_EQ(net.excluded_nr, 0);
        net_run(&net, 20 * NET_S);
        healed(&net, 40, "all pause");
        net_fini(&net);
    }
}

/* Many of the group stop for long, the few that go on exclude nobody (MB-5); and one that stops for long is excluded, and told so. */
TEST(swim_sim, short_long_pauses)
{
    struct net_cfg cfg = {.nodes_nr = 40, .loss_ppm = 50000};
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, 5 * NET_S);
    for (uint32_t i = 0; i < 30; i++) {
        net_pause(&net, i, 20 * NET_S);
    }
    net_run(&net, 50 * NET_S);
    EXPECT_EQ(net.verdicts_nr, 0);
    healed(&net, 40, "many pause");
    net.nodes[5].is_quiet = true;
    net_pause(&net, 5, 20 * NET_S);
    net_run(&net, 19 * NET_S);
    EXPECT_EQ(net_seen_nr(&net, 5, SWIM_DEAD), 39);
    net_run(&net, 10 * NET_S);
    EXPECT(net.nodes[5].excluded);
    EXPECT_EQ(net.false_nr, 0);
    net_fini(&net);
}

/* A death that a host confirms is known to who is told at once, and to all others within two seconds. Who leaves is not called dead. */
TEST(swim_sim, short_confirmed_and_left)
{
    struct net_cfg cfg = {.nodes_nr = 100, .loss_ppm = 50000};
    struct net_sim net;

    net_init(&net, &cfg, test_seed());
    net_run(&net, 5 * NET_S);
    for (uint32_t i = 0; i < 20; i++) {
        net_kill(&net, i);
        net_confirm(&net, 50, i);
        EXPECT_EQ(net_seen_nr(&net, i, SWIM_CONFIRMED), 1);
        net_run_known(&net, 10 * NET_S);
        EXPECT_GT(net.watch.all_ns, 0);
        EXPECT_LE(net.watch.all_ns, 2 * NET_S);
    }
    EXPECT_EQ(net.verdicts_nr, 0);
    net_leave(&net, 99);
    net_run(&net, 10 * NET_S);
    EXPECT(net.nodes[99].gone);
    EXPECT_EQ(net_seen_nr(&net, 99, SWIM_LEFT), 79);
    EXPECT_EQ(net.verdicts_nr, 0);
    net_fini(&net);
}

/* A quarter dies at once: known. More: everybody distrusts, until somebody who knows says so. */
TEST(swim_sim, short_many_die_at_once)
{
    struct net_cfg cfg = {.nodes_nr = 40, .loss_ppm = 50000};
    struct net_sim net;

    for (uint32_t more = 0; more < 2; more++) {
        net_init(&net, &cfg, test_seed());
        net_run(&net, 5 * NET_S);
        for (uint32_t i = 0; i < 10 + more; i++) {
            net_kill(&net, i);
        }
        net_run(&net, 20 * NET_S);
        for (uint32_t i = 0; i < 10 + more; i++) {
            EXPECT_EQ(net_seen_nr(&net, i, SWIM_DEAD), more == 0 ? 30 : 0);
        }
        if (more == 1) {
            EXPECT_GE(net.distrust_nr, 29);
            net_confirm(&net, 20, 0);
            net_confirm(&net, 20, 1);
            net_run(&net, 20 * NET_S);
            for (uint32_t i = 2; i < 11; i++) /* nine of 38 can be believed */
            {
                EXPECT_EQ(net_seen_nr(&net, i, SWIM_DEAD), 29);
            }
        }
        EXPECT_EQ(net.false_nr, 0);
        net_fini(&net);
    }
}
