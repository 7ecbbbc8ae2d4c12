/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: each rule of the failure detector by itself. Method: one member (swim_fake) whose others the test plays; time is set by hand.
 */
#include "swim/test/swim_fake.h"

/* Events while f lives beside a silent rank; the time until it is called dead, 0: not within max. */
static uint64_t
dead_after(struct fake *f, uint32_t silent, bool helpers_live, uint64_t max_ns)
{
    uint64_t begin = f->now_ns;

    while (fake_state(f, silent) != SWIM_DEAD && f->now_ns < begin + max_ns) {
        fake_live(f, 10 * MS, silent, helpers_live);
    }
    return fake_state(f, silent) == SWIM_DEAD ? f->now_ns - begin : 0;
}

TEST(swim_probe, asks_everyone_within_a_round)
{
    struct fake f;
    uint32_t asked[8] = {0};

    fake_init(&f, 8, NULL);
    fake_live(&f, 7 * f.cfg.period_ns * 10, UINT32_MAX, true);
    for (uint32_t i = 0; i < f.sent_nr; i++) {
        if (f.sent[i].head.kind == SWIM_PING)
            asked[f.sent[i].to]++;
    }
    EXPECT_EQ(asked[0], 0);
    for (uint32_t i = 1; i < 8; i++) {
        EXPECT_GE(asked[i], 9); /* once in each round */
        EXPECT_LE(asked[i], 11);
    }
    EXPECT_EQ(swim_stats(f.sw)->failed, 0);
    EXPECT_EQ(swim_stats(f.sw)->indirect, 0);
    fake_fini(&f);
}

TEST(swim_probe, helpers_after_ack_time_and_accused_after_the_period)
{
    const struct fake_sent *ping, *ask;
    struct fake f;
    uint32_t first;

    fake_init(&f, 6, NULL);
    f.now_ns = swim_due_ns(f.sw);
    swim_tick(f.sw, f.now_ns);
    ping = fake_last(&f, 0, SWIM_PING, UINT32_MAX);
    if (!EXPECT(ping != NULL))
        goto out;
    EXPECT_EQ(swim_due_ns(f.sw), f.now_ns + f.cfg.ack_ns);
    f.now_ns += f.cfg.ack_ns;
    first = f.sent_nr;
    swim_tick(f.sw, f.now_ns);
    EXPECT_EQ(f.sent_nr - first, 1 + f.cfg.helpers_nr); /* once more by itself, and the helpers */
    ask = fake_last(&f, first, SWIM_ASK, UINT32_MAX);
    EXPECT_EQ(ask->head.target, ping->to);
    EXPECT_NE(ask->to, ping->to);
    EXPECT_EQ(ask->head.seq, ping->head.seq);
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){
            .kind = SWIM_HEARD, .from = ask->to, .target = ping->to, .seq = ping->head.seq},
        NULL, 0));
    EXPECT_EQ(swim_due_ns(f.sw), f.now_ns - f.cfg.ack_ns + f.cfg.period_ns);
    EXPECT_EQ(fake_state(&f, ping->to), SWIM_ALIVE);
    f.now_ns = swim_due_ns(f.sw);
    first = f.sent_nr;
    swim_tick(f.sw, f.now_ns);
    EXPECT_EQ(fake_state(&f, ping->to), SWIM_SUSPECT);
    EXPECT_EQ(swim_health(f.sw), 1); /* one of two helpers kept silent */
    ping = fake_last(&f, first, SWIM_PING, ping->to);
    if (!EXPECT(ping != NULL)) /* it is told, and asked to object */
        goto out;
    EXPECT_EQ(le32_get(ping->bytes + SWIM_HEAD_BYTES), ping->to);
    EXPECT_EQ(ping->bytes[SWIM_HEAD_BYTES + 4], SWIM_SUSPECT);
    EXPECT_EQ(ping->bytes[SWIM_HEAD_BYTES + 5], 1);
    EXPECT_EQ(le32_get(ping->bytes + SWIM_HEAD_BYTES + SWIM_NEWS_BYTES), 0); /* accused by rank 0 */
    /* The age counts from the first ping. */
    EXPECT_EQ(le16_get(ping->bytes + SWIM_HEAD_BYTES + 6), f.cfg.period_ns / SWIM_AGE_NS);
out:
    fake_fini(&f);
}

TEST(swim_probe, answer_through_a_helper_counts)
{
    const struct fake_sent *ping;
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_run(&f, swim_due_ns(f.sw) - f.now_ns + f.cfg.ack_ns);
    ping = fake_last(&f, 0, SWIM_PING, UINT32_MAX);
    EXPECT_EQ(swim_stats(f.sw)->indirect, 1);
    fake_ack(&f, ping, 0);
    fake_run(&f, f.cfg.period_ns);
    EXPECT_EQ(fake_state(&f, ping->to), SWIM_ALIVE);
    EXPECT_EQ(swim_stats(f.sw)->failed, 0);
    fake_fini(&f);
}

TEST(swim_probe, answers_of_others_do_not_count)
{
    const struct fake_sent *ping;
    struct fake f;
    uint32_t to;

    fake_init(&f, 6, NULL);
    fake_run(&f, swim_due_ns(f.sw) - f.now_ns);
    ping = fake_last(&f, 0, SWIM_PING, UINT32_MAX);
    to = ping->to;
    for (uint32_t i = 1; i < 6; i++) {
        struct swim_head h = {
            .kind = SWIM_ACK, .from = i, .target = i, .seq = ping->head.seq + (i == to)};

        EXPECT_OK(fake_recv(&f, h, NULL, 0)); /* of another, or to another question */
    }
    EXPECT_EQ(f.sw->probe.stage, PROBE_DIRECT);
    fake_ack(&f, ping, 0);
    EXPECT_EQ(f.sw->probe.stage, PROBE_IDLE);
    fake_fini(&f);
}

TEST(swim_probe, silence_everywhere_accuses_nobody)
{
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_run(&f, 60000 * MS); /* nobody answers anything */
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_SUSPECTED, 1) + fake_events_of(&f, SWIM_EV_SUSPECTED, 2), 0);
    EXPECT_GT(swim_stats(f.sw)->doubtful, 10);
    EXPECT_EQ(swim_stats(f.sw)->accusations, 0);
    EXPECT_EQ(swim_health(f.sw), SWIM_HEALTH_MAX);
    fake_fini(&f);
}

TEST(swim_probe, own_health_lengthens_a_probe)
{
    struct fake f;

    fake_init(&f, 6, NULL);
    f.sw->health = 3;
    f.now_ns = swim_due_ns(f.sw);
    swim_tick(f.sw, f.now_ns);
    EXPECT_EQ(swim_due_ns(f.sw), f.now_ns + 4 * f.cfg.ack_ns);
    fake_ack(&f, fake_last(&f, 0, SWIM_PING, UINT32_MAX), 0);
    EXPECT_EQ(swim_health(f.sw), 2);
    fake_fini(&f);
}

TEST(swim_probe, late_tick_judges_nobody)
{
    struct fake f;
    uint32_t to;

    fake_init(&f, 6, NULL);
    fake_run(&f, swim_due_ns(f.sw) - f.now_ns + f.cfg.ack_ns);
    to = fake_last(&f, 0, SWIM_PING, UINT32_MAX)->to;
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_HEARD, .from = to % 5 + 1, .target = to, .seq = f.sw->seq},
        NULL, 0));
    f.now_ns += 2000 * MS; /* stopped; the answer lies in the socket */
    swim_tick(f.sw, f.now_ns);
    EXPECT_EQ(swim_stats(f.sw)->late, 1);
    EXPECT_EQ(swim_stats(f.sw)->failed, 0);
    EXPECT_EQ(fake_state(&f, to), SWIM_ALIVE);
    EXPECT_GE(swim_health(f.sw), 8);
    EXPECT_EQ(swim_due_ns(f.sw), f.now_ns + f.cfg.period_ns - f.cfg.ack_ns); /* its time again */
    fake_run(&f, f.cfg.period_ns);
    EXPECT_EQ(fake_state(&f, to), SWIM_SUSPECT);
    EXPECT_EQ(f.sw->suspects[0].since_ns, f.now_ns - f.cfg.period_ns); /* the pause was ours */
    fake_fini(&f);
}

TEST(swim_probe, message_after_a_pause_notices_it_too)
{
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_live(&f, 1000 * MS, UINT32_MAX, true);
    f.now_ns += 1500 * MS;
    fake_note(&f, 2, (struct swim_news){.rank = 3, .state = SWIM_ALIVE});
    EXPECT_EQ(swim_stats(f.sw)->late, 1);
    EXPECT_GE(swim_health(f.sw), 7);
    swim_tick(f.sw, f.now_ns);
    EXPECT_EQ(swim_stats(f.sw)->late, 1); /* said once */
    fake_fini(&f);
}

TEST(swim_probe, clock_that_runs_back_stands_still)
{
    struct fake f;
    uint64_t due;

    fake_init(&f, 6, NULL);
    fake_live(&f, 1000 * MS, UINT32_MAX, true);
    due = swim_due_ns(f.sw);
    swim_tick(f.sw, 5);
    EXPECT_EQ(swim_due_ns(f.sw), due);
    EXPECT_EQ(swim_stats(f.sw)->late, 0);
    fake_fini(&f);
}

/* ---- suspicions ---- */

TEST(swim_probe, agreement_shortens_and_health_lengthens)
{
    struct swim_cfg cfg;
    struct fake f;
    uint64_t after[4];

    swim_cfg_init(&cfg, (struct rank){0}, 10);
    for (uint32_t row = 0; row < 4; row++) {
        struct swim_news n = {.rank = 5,
            .state = SWIM_SUSPECT,
            .accusers_nr = (uint8_t)(row % 3 + 1),
            .accusers = {1, 2, 3}};
        uint64_t began;

        fake_init(&f, 300,
            &cfg); /* so many that rank 5 is not probed by chance, and accused by oneself */
        f.sw->health = row == 3 ? 4 : 0;
        n.rank = 299;
        fake_note(&f, 1, n);
        began = f.now_ns;
        f.sw->order_at = 0;
        after[row] = f.sw->suspects[0].next_ns - began + SWIM_LASTCALL_TRIES * cfg.lastcall_ns;
        fake_fini(&f);
    }
    EXPECT_EQ(after[0], cfg.suspect_max_ns);
    EXPECT_EQ(after[1], cfg.suspect_max_ns - (cfg.suspect_max_ns - cfg.suspect_min_ns) * 631 / 1000);
    EXPECT_EQ(after[2], cfg.suspect_min_ns);
    EXPECT_EQ(after[3], 5 * cfg.suspect_max_ns);
}

TEST(swim_probe, age_of_silence_travels)
{
    struct swim_news n = {
        .rank = 5, .state = SWIM_SUSPECT, .accusers_nr = 3, .accusers = {1, 2, 3}, .age = 250};
    struct fake f;
    uint64_t first_ns;

    fake_init(&f, 20, NULL);
    fake_note(&f, 1, n); /* silent for a second */
    first_ns = f.sw->suspects[0].next_ns;
    EXPECT_EQ(f.sw->suspects[0].since_ns, f.now_ns - 1000 * MS);
    n.age = 10;
    fake_note(&f, 2, n); /* somebody noticed later: no younger for that */
    EXPECT_EQ(f.sw->suspects[0].since_ns, f.now_ns - 1000 * MS);
    EXPECT_EQ(f.sw->suspects[0].next_ns, first_ns);
    n.age = SWIM_AGE_MAX; /* older than the clock: at most everything */
    fake_note(&f, 2, n);
    EXPECT_EQ(f.sw->suspects[0].since_ns, 0);
    fake_fini(&f);
}

TEST(swim_probe, silent_one_is_called_dead_after_last_calls)
{
    struct fake f;
    uint64_t after;

    fake_init(&f, 6, NULL);
    after = dead_after(&f, 3, true, 30000 * MS);
    EXPECT_GE(after, f.cfg.suspect_max_ns); /* nobody else accuses */
    EXPECT_LE(after, f.cfg.suspect_max_ns + 6 * f.cfg.period_ns);
    EXPECT_EQ(swim_stats(f.sw)->verdicts, 1);
    EXPECT_EQ(swim_stats(f.sw)->lastcalls, 1);
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_DEAD, 3), 1);
    for (uint32_t i = 1; i < 6; i++) {
        EXPECT_EQ(fake_state(&f, i), i == 3 ? SWIM_DEAD : SWIM_ALIVE);
    }
    fake_fini(&f);
}

TEST(swim_probe, hearsay_of_any_age_needs_own_last_calls)
{
    struct swim_news n = {
        .rank = 3, .state = SWIM_SUSPECT, .accusers_nr = 3, .accusers = {1, 2, 4}, .age = SWIM_AGE_MAX};
    struct fake f;
    uint32_t pings = 0;

    fake_init(&f, 6, NULL);
    fake_live(&f, 500 * MS, UINT32_MAX, true);
    fake_note(&f, 1, n);
    EXPECT_EQ(fake_state(&f, 3), SWIM_SUSPECT);
    f.sent_nr = 0;
    EXPECT_GE(dead_after(&f, 3, true, 30000 * MS), SWIM_LASTCALL_TRIES * f.cfg.lastcall_ns);
    for (uint32_t i = 0; i < f.sent_nr; i++) {
        pings += f.sent[i].head.kind == SWIM_PING && f.sent[i].to == 3;
    }
    EXPECT_GE(pings, SWIM_LASTCALL_TRIES);
    fake_fini(&f);
}

TEST(swim_probe, no_verdict_without_a_witness)
{
    struct swim_news n = {.rank = 3, .state = SWIM_SUSPECT, .accusers_nr = 3, .accusers = {1, 2, 4}};
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_note(&f, 1, n);
    EXPECT_EQ(dead_after(&f, 3, false, 30000 * MS), 0); /* helpers are not heard */
    EXPECT_GT(swim_stats(f.sw)->unwitnessed, 2);
    EXPECT_GT(dead_after(&f, 3, true, 30000 * MS), 0);
    fake_fini(&f);

    fake_init(&f, 2, NULL); /* two alone: who of them is deaf? */
    EXPECT_EQ(dead_after(&f, 1, true, 60000 * MS), 0);
    EXPECT_EQ(fake_state(&f, 1), SWIM_SUSPECT);
    fake_fini(&f);
}

TEST(swim_probe, pause_amid_last_calls_begins_them_anew)
{
    struct swim_news n = {.rank = 3, .state = SWIM_SUSPECT, .accusers_nr = 3, .accusers = {1, 2, 4}};
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_note(&f, 1, n);
    while (swim_stats(f.sw)->lastcalls == 0) {
        fake_live(&f, 10 * MS, 3, true);
    }
    fake_live(&f, f.cfg.lastcall_ns * 2, 3, true); /* witnessed, third call under way */
    f.now_ns += 3000 * MS;
    swim_tick(f.sw, f.now_ns);
    EXPECT_EQ(fake_state(&f, 3), SWIM_SUSPECT);
    fake_live(&f, SWIM_LASTCALL_TRIES * f.cfg.lastcall_ns, 3, true);
    EXPECT_EQ(fake_state(&f, 3), SWIM_SUSPECT);
    EXPECT_GT(dead_after(&f, 3, true, 30000 * MS), 0);
    EXPECT_EQ(swim_stats(f.sw)->lastcalls, 2);
    fake_fini(&f);
}

TEST(swim_probe, any_word_with_a_larger_count_ends_a_suspicion)
{
    struct swim_news n = {.rank = 3, .state = SWIM_SUSPECT, .count = 2};
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_note(&f, 1, n);
    EXPECT_OK(fake_recv(&f, (struct swim_head){.kind = SWIM_NOTE, .from = 3, .count = 2}, NULL, 0));
    EXPECT_EQ(fake_state(&f, 3), SWIM_SUSPECT); /* it may not know yet */
    EXPECT_OK(fake_recv(&f, (struct swim_head){.kind = SWIM_NOTE, .from = 3, .count = 3}, NULL, 0));
    EXPECT_EQ(fake_state(&f, 3), SWIM_ALIVE);
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_REFUTED, 3), 1);
    EXPECT_EQ(f.sw->suspects_nr, 0);
    fake_note(&f, 1, n); /* late */
    EXPECT_EQ(fake_state(&f, 3), SWIM_ALIVE);
    fake_fini(&f);
}

TEST(swim_probe, larger_suspicion_replaces_the_smaller_one)
{
    struct swim_news n = {
        .rank = 3, .state = SWIM_SUSPECT, .accusers_nr = 3, .accusers = {1, 2, 4}, .age = 500};
    struct fake f;

    fake_init(&f, 20, NULL);
    fake_note(&f, 1, n);
    EXPECT_EQ(f.sw->suspects[0].accusers_nr, 3);
    n.count = 1; /* it objected, and fell silent again: silence began anew */
    n.accusers_nr = 1;
    n.age = 0;
    fake_note(&f, 2, n);
    EXPECT_EQ(f.sw->suspects_nr, 1);
    EXPECT_EQ(f.sw->suspects[0].accusers_nr, 1);
    EXPECT_EQ(f.sw->suspects[0].since_ns, f.now_ns);
    fake_fini(&f);
}

/* ---- too many at once ---- */

TEST(swim_probe, too_many_silent_are_not_believed)
{
    struct fake f;
    uint32_t limit, dead = 0;

    fake_init(&f, 41, NULL);
    limit = swim_silent_max(f.sw);
    EXPECT_EQ(limit, 10); /* a quarter of 41 */
    for (uint32_t i = 1; i <= limit + 1; i++) {
        fake_note(&f, 40,
            (struct swim_news){
                .rank = i, .state = SWIM_SUSPECT, .accusers_nr = 3, .accusers = {40, 39, 38}});
    }
    for (uint32_t t = 0; t < 1000; t++) { /* 1..11 are silent */
        uint32_t first = f.sent_nr;

        fake_run(&f, 20 * MS);
        for (uint32_t i = first; i < f.sent_nr; i++) {
            const struct fake_sent s = f.sent[i % FAKE_SENT_NR];

            if (s.head.kind == SWIM_PING && s.to > limit + 1)
                fake_ack(&f, &s, 0);
            if (s.head.kind == SWIM_ASK) {
                EXPECT_OK(fake_recv(&f,
                    (struct swim_head){
                        .kind = SWIM_HEARD, .from = s.to, .target = s.head.target, .seq = s.head.seq},
                    NULL, 0));
            }
        }
    }
    EXPECT_EQ(swim_stats(f.sw)->verdicts, 0);
    EXPECT(swim_distrusts(f.sw));
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_DISTRUST_ON, 0), 1);
    /* One of them speaks: what remains can be believed. */
    EXPECT_OK(fake_recv(&f, (struct swim_head){.kind = SWIM_NOTE, .from = 1, .count = 1}, NULL, 0));
    for (uint32_t t = 0; t < 1000; t++) {
        uint32_t first = f.sent_nr;

        fake_run(&f, 20 * MS);
        for (uint32_t i = first; i < f.sent_nr; i++) {
            const struct fake_sent s = f.sent[i % FAKE_SENT_NR];

            if (s.head.kind == SWIM_PING && (s.to > limit + 1 || s.to == 1))
                fake_ack(&f, &s, 1);
            if (s.head.kind == SWIM_ASK) {
                EXPECT_OK(fake_recv(&f,
                    (struct swim_head){
                        .kind = SWIM_HEARD, .from = s.to, .target = s.head.target, .seq = s.head.seq},
                    NULL, 0));
            }
        }
    }
    for (uint32_t i = 1; i <= 40; i++) {
        dead += fake_state(&f, i) == SWIM_DEAD;
    }
    EXPECT_EQ(dead, limit);
    EXPECT(!swim_distrusts(f.sw));
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_DISTRUST_OFF, 0), 1);
    fake_fini(&f);
}

TEST(swim_probe, limit_is_below_half)
{
    static const uint32_t rows[][2] = {
        {1, 0}, {2, 0}, {3, 1}, {4, 1}, {5, 2}, {8, 2}, {12, 3}, {100, 25}, {1000, 250}};

    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fake f;

        fake_init(&f, rows[i][0], NULL);
        EXPECT_EQ(swim_silent_max(f.sw), rows[i][1]);
        EXPECT_LT(2 * swim_silent_max(f.sw), rows[i][0]);
        fake_fini(&f);
    }
}

TEST(swim_probe, verdicts_of_others_beyond_the_limit_become_suspicions)
{
    struct fake f;

    fake_init(&f, 8, NULL);
    for (uint32_t i = 1; i <= 3; i++) {
        fake_note(&f, 7, (struct swim_news){.rank = i, .state = SWIM_DEAD});
    }
    EXPECT_EQ(fake_state(&f, 2), SWIM_DEAD);
    EXPECT_EQ(fake_state(&f, 3), SWIM_SUSPECT);
    EXPECT_EQ(swim_stats(f.sw)->held, 1);
    /* The system's map excludes the two: there is room again. */
    EXPECT_OK(swim_confirm_dead(f.sw, f.now_ns, (struct rank){1}, 10));
    EXPECT_OK(swim_confirm_dead(f.sw, f.now_ns, (struct rank){2}, 10));
    fake_note(&f, 7, (struct swim_news){.rank = 3, .state = SWIM_DEAD});
    EXPECT_EQ(fake_state(&f, 3), SWIM_DEAD);
    fake_fini(&f);
}

TEST(swim_probe, confirmed_death_is_believed_and_told_at_once)
{
    const struct fake_sent *note;
    struct fake f;

    fake_init(&f, 8, NULL);
    f.sent_nr = 0;
    EXPECT_OK(swim_confirm_dead(f.sw, f.now_ns, (struct rank){4}, 10));
    EXPECT_EQ(fake_state(&f, 4), SWIM_CONFIRMED);
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_CONFIRMED, 4), 1);
    EXPECT_EQ(f.sent_nr, SWIM_NOTES_NR);
    note = fake_last(&f, 0, SWIM_NOTE, UINT32_MAX);
    EXPECT_EQ(note->head.target, 4);
    for (uint32_t i = 0; i < f.sent_nr; i++) {
        EXPECT_NE(f.sent[i].to, 4);
        EXPECT_EQ(le32_get(f.sent[i].bytes + SWIM_HEAD_BYTES), 4); /* before other news */
    }
    EXPECT_OK(swim_confirm_dead(f.sw, f.now_ns, (struct rank){5}, 9)); /* an earlier life: nothing */
    EXPECT_EQ(fake_state(&f, 5), SWIM_ALIVE);
    EXPECT_OK(swim_confirm_dead(f.sw, f.now_ns, (struct rank){0}, 10));
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_EXCLUDED, 0), 1);
    fake_fini(&f);
}
