/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what is known of a life follows the table of README.md (SWM-1, SWM-2), whatever the order of news. Method: the table itself, every pair of states
 * with a smaller, the same and a larger count against rules written down a second time, random news in random orders, lives, tombstones.
 */
#include "swim/test/swim_fake.h"

#include "base/rng.h"

/* What should be known after news of `state` with count +d of what was known; 0: as before. */
static uint32_t
expected(uint32_t known, uint32_t state, int d)
{
    if (state >= SWIM_DEAD)
        return known >= state ? known : state;
    if (known >= SWIM_DEAD)
        return known;
    if (known == 0)
        return state;
    if (state == SWIM_ALIVE)
        return d > 0 ? SWIM_ALIVE : known;
    return d >= 0 ? SWIM_SUSPECT : known;
}

static void
bring(struct fake *f, uint32_t state)
{
    if (state == 0)
        return;
    if (state != SWIM_ALIVE) {
        fake_note(f, 2, (struct swim_news){.rank = 9, .state = (uint8_t)state, .count = 5});
    } else {
        fake_note(f, 2, (struct swim_news){.rank = 9, .state = SWIM_ALIVE, .count = 5});
    }
}

TEST(swim_table, every_pair_of_states)
{
    for (uint32_t known = 0; known <= SWIM_CONFIRMED; known++) {
        for (uint32_t state = SWIM_ALIVE; state <= SWIM_CONFIRMED; state++) {
            for (int d = -1; d <= 1; d++) {
                struct fake f;
                uint32_t events;

                fake_init(&f, 8, NULL);
                bring(&f, known);
                EXPECT_EQ(fake_state(&f, 9), known);
                events = f.events_nr;
                fake_note(&f, 3,
                    (struct swim_news){
                        .rank = 9, .state = (uint8_t)state, .count = (uint32_t)(5 + d)});
                EXPECT_EQ(fake_state(&f, 9), expected(known, state, d));
                if (known == expected(known, state, d)) {
                    EXPECT_EQ(f.events_nr, events); /* nothing to say */
                } else {
                    EXPECT_GT(f.events_nr, events);
                }
                fake_fini(&f);
            }
        }
    }
}

TEST(swim_table, only_a_later_life_follows_an_end)
{
    for (uint32_t state = SWIM_DEAD; state <= SWIM_CONFIRMED; state++) {
        struct swim_member_info info;
        struct fake f;

        fake_init(&f, 8, NULL);
        fake_note(&f, 2, (struct swim_news){.rank = 5, .state = (uint8_t)state});
        EXPECT_EQ(fake_state(&f, 5), state);
        fake_note(&f, 2, (struct swim_news){.rank = 5, .state = SWIM_ALIVE, .count = SWIM_COUNT_MAX});
        EXPECT_EQ(fake_state(&f, 5), state);
        fake_note(&f, 2, (struct swim_news){.rank = 5, .state = SWIM_ALIVE, .life = 9, .count = 7});
        EXPECT_EQ(fake_state(&f, 5), state);
        fake_note(&f, 2, (struct swim_news){.rank = 5, .state = SWIM_ALIVE, .life = 11});
        EXPECT_EQ(fake_state(&f, 5), SWIM_ALIVE);
        EXPECT_EQ(fake_events_of(&f, SWIM_EV_JOINED, 5), 1);
        EXPECT_OK(swim_member(f.sw, (struct rank){5}, &info));
        EXPECT_EQ(info.life, 11);
        EXPECT_EQ(info.count, 0);
        EXPECT_EQ(f.sw->dead_nr, 0);
        EXPECT_EQ(f.sw->alive_nr, 7);
        fake_fini(&f);
    }
}

/* Moves that no rule makes trip the table of moves. */
TEST(swim_table, forbidden_moves_trip)
{
    struct swim_member m = {.state = SWIM_DEAD};

    EXPECT_DEATH(swim_move(&m, SWIM_ALIVE));
    EXPECT_DEATH(swim_move(&m, SWIM_SUSPECT));
    m.state = SWIM_CONFIRMED;
    EXPECT_DEATH(swim_move(&m, SWIM_LEFT));
    m.state = SWIM_SUSPECT;
    swim_move(&m, SWIM_ALIVE);
    EXPECT_EQ(m.state, SWIM_ALIVE);
}

/* Whoever heard the same knows the same, in whatever order, and however often. */
TEST(swim_table, order_of_news_does_not_matter)
{
    struct rng rng;

    rng_init(&rng, test_seed());
    for (uint32_t round = 0; round < 300; round++) {
        struct swim_news news[6];
        struct swim_member_info a, b;
        struct fake f;

        for (uint32_t i = 0; i < ARRAY_SIZE(news); i++) {
            /* One verdict at most: two would be held back in a group this small (SWM-4). */
            uint32_t state =
                (uint32_t)rng_range(&rng, SWIM_ALIVE, i == 0 ? SWIM_CONFIRMED : SWIM_SUSPECT);

            news[i] = (struct swim_news){.rank = 5,
                .state = (uint8_t)state,
                .life = rng_range(&rng, 10, 12),
                .count = (uint32_t)rng_below(&rng, 3)};
        }
        for (uint32_t pass = 0; pass < 2; pass++) {
            fake_init(&f, 8, NULL);
            for (uint32_t i = 0; i < 3 * ARRAY_SIZE(news); i++) {
                uint32_t at =
                    pass == 0 ? i % ARRAY_SIZE(news) : (uint32_t)rng_below(&rng, ARRAY_SIZE(news));

                fake_note(&f, 2, news[at]);
            }
            for (uint32_t i = ARRAY_SIZE(news); i > 0; i--) {
                fake_note(&f, 2, news[i - 1]);
            }
            EXPECT_OK(swim_member(f.sw, (struct rank){5}, pass == 0 ? &a : &b));
            EXPECT_EQ(f.sw->suspects_nr, fake_state(&f, 5) == SWIM_SUSPECT);
            EXPECT_EQ(f.sw->dead_nr, fake_state(&f, 5) == SWIM_DEAD);
            fake_fini(&f);
        }
        EXPECT_EQ(a.state, b.state);
        EXPECT_EQ(a.life, b.life);
        if (a.state <= SWIM_SUSPECT)
            EXPECT_EQ(a.count, b.count);
    }
}

TEST(swim_table, what_one_hears_of_oneself)
{
    struct swim_member_info info;
    struct fake f;

    fake_init(&f, 4, NULL);
    fake_note(&f, 1, (struct swim_news){.rank = 0, .state = SWIM_SUSPECT, .life = 9, .count = 9});
    swim_member_at(f.sw, 0, &info);
    EXPECT_EQ(info.count, 0); /* of an earlier life */
    fake_note(&f, 1, (struct swim_news){.rank = 0, .state = SWIM_SUSPECT, .count = 4});
    swim_member_at(f.sw, 0, &info);
    EXPECT_EQ(info.count, 5);
    EXPECT_EQ(swim_health(f.sw), 1); /* one was slow */
    EXPECT_EQ(swim_stats(f.sw)->objections, 1);
    fake_note(&f, 2, (struct swim_news){.rank = 0, .state = SWIM_SUSPECT, .count = 4});
    swim_member_at(f.sw, 0, &info);
    EXPECT_EQ(info.count, 5); /* answered already */
    fake_run(&f, 300 * MS);
    EXPECT_EQ(fake_last(&f, 0, SWIM_PING, UINT32_MAX)->head.count, 5);
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_EXCLUDED, 0), 0);
    fake_note(&f, 2, (struct swim_news){.rank = 0, .state = SWIM_DEAD});
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_EXCLUDED, 0), 1);
    EXPECT_EQ(swim_due_ns(f.sw), SWIM_NEVER_NS);
    fake_note(&f, 2, (struct swim_news){.rank = 0, .state = SWIM_DEAD});
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_EXCLUDED, 0), 1);
    fake_fini(&f);

    fake_init(&f, 4, NULL);
    fake_note(&f, 1, (struct swim_news){.rank = 0, .state = SWIM_ALIVE, .life = 11});
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_EXCLUDED, 0), 1); /* a successor runs */
    fake_fini(&f);
}

TEST(swim_table, limits)
{
    struct fake f;
    struct swim_news n = {.rank = SWIM_RANKS_MAX - 1, .state = SWIM_ALIVE, .life = 1};

    fake_init(&f, 2, NULL);
    EXPECT_ERR(swim_add(f.sw, f.now_ns, (struct rank){SWIM_RANKS_MAX}, 1), INVAL);
    EXPECT_ERR(swim_add(f.sw, f.now_ns, (struct rank){3}, 0), INVAL);
    EXPECT_ERR(swim_add(f.sw, f.now_ns, (struct rank){0}, 11), INVAL);
    EXPECT_ERR(swim_confirm_dead(f.sw, f.now_ns, (struct rank){SWIM_RANKS_MAX}, 1), INVAL);
    EXPECT_OK(swim_add(f.sw, f.now_ns, (struct rank){1}, 9)); /* older than known: nothing */
    EXPECT_EQ(swim_members_nr(f.sw), 2);
    fake_note(&f, 1, n);
    EXPECT_EQ(fake_state(&f, SWIM_RANKS_MAX - 1), SWIM_ALIVE);
    for (uint32_t i = swim_members_nr(f.sw); i < SWIM_MEMBERS_MAX; i++) {
        EXPECT_OK(swim_add(f.sw, f.now_ns, (struct rank){i}, 1));
    }
    EXPECT_EQ(swim_members_nr(f.sw), SWIM_MEMBERS_MAX);
    EXPECT_ERR(swim_add(f.sw, f.now_ns, (struct rank){SWIM_MEMBERS_MAX + 7}, 1), OVERFLOW);
    n.rank = SWIM_MEMBERS_MAX + 7;
    fake_note(&f, 1, n);
    EXPECT_EQ(swim_stats(f.sw)->dropped, 1);
    EXPECT_ERR(
        fake_recv(&f, (struct swim_head){.kind = SWIM_NOTE, .from = n.rank}, NULL, 0), OVERFLOW);
    EXPECT_EQ(swim_members_nr(f.sw), SWIM_MEMBERS_MAX);
    fake_fini(&f);
}
