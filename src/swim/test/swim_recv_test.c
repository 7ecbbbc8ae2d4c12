/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what a member does with messages, what it says of itself when it joins and leaves, and how news spreads. Method: one member (swim_fake).
 */
#include "swim/test/swim_fake.h"

TEST(swim_recv, ping_is_answered_for_its_origin)
{
    const struct fake_sent *ack;
    struct fake f;

    fake_init(&f, 6, NULL);
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_PING, .from = 2, .origin = 4, .target = 0, .seq = 77}, NULL,
        0));
    EXPECT_EQ(f.sent_nr, 1);
    ack = fake_last(&f, 0, SWIM_ACK, 2); /* the way it came */
    if (!EXPECT(ack != NULL))
        goto out;
    EXPECT_EQ(ack->head.origin, 4);
    EXPECT_EQ(ack->head.target, 0);
    EXPECT_EQ(ack->head.from, 0);
    EXPECT_EQ(ack->head.life, 10);
    EXPECT_EQ(ack->head.seq, 77);
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_PING, .from = 2, .origin = 2, .target = 3, .seq = 78}, NULL,
        0));
    EXPECT_EQ(f.sent_nr, 1); /* not for us */
out:
    fake_fini(&f);
}

TEST(swim_recv, helper_pings_and_passes_the_answer_on)
{
    const struct fake_sent *s;
    struct fake f;

    fake_init(&f, 6, NULL);
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_ASK, .from = 4, .origin = 4, .target = 3, .seq = 9}, NULL, 0));
    EXPECT_EQ(f.sent_nr, 2);
    s = fake_last(&f, 0, SWIM_HEARD, 4);
    if (!EXPECT(s != NULL))
        goto out;
    EXPECT_EQ(le32_get(s->bytes + SWIM_HEAD_BYTES), 3); /* with what it knows of that one */
    s = fake_last(&f, 0, SWIM_PING, 3);
    if (!EXPECT(s != NULL))
        goto out;
    EXPECT_EQ(s->head.origin, 4);
    EXPECT_EQ(s->head.seq, 9);
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_ACK, .from = 3, .count = 2, .origin = 4, .target = 3, .seq = 9},
        NULL, 0));
    EXPECT_EQ(f.sent_nr, 1);
    s = fake_last(&f, 0, SWIM_ACK, 4);
    if (!EXPECT(s != NULL))
        goto out;
    EXPECT_EQ(s->head.from, 3); /* as it was */
    EXPECT_EQ(s->head.count, 2);
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_ACK, .from = 3, .origin = 3, .target = 3, .seq = 9}, NULL, 0));
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_ACK, .from = 3, .origin = 99, .target = 3, .seq = 9}, NULL,
        0));
    EXPECT_EQ(f.sent_nr, 0); /* for nobody we know */
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_ASK, .from = 4, .origin = 4, .target = 0, .seq = 10}, NULL,
        0));
    EXPECT(fake_last(&f, 0, SWIM_ACK, 4) != NULL); /* asked about oneself */
out:
    fake_fini(&f);
}

TEST(swim_recv, who_ended_is_told_and_not_believed)
{
    const struct fake_sent *ack;
    struct swim_news n = {
        .rank = 2, .state = SWIM_SUSPECT, .life = 10, .accusers_nr = 1, .accusers = {4}};
    struct fake f;

    fake_init(&f, 6, NULL);
    fake_note(&f, 1, (struct swim_news){.rank = 4, .state = SWIM_DEAD});
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){
            .kind = SWIM_PING, .from = 4, .count = 8, .origin = 4, .target = 0, .seq = 5},
        &n, 1));
    EXPECT_EQ(fake_state(&f, 2), SWIM_ALIVE);
    EXPECT_EQ(fake_state(&f, 4), SWIM_DEAD);
    EXPECT_EQ(swim_stats(f.sw)->stale, 1);
    ack = fake_last(&f, 0, SWIM_ACK, 4);
    if (EXPECT(ack != NULL) && EXPECT_GE(ack->head.news_nr, 1)) {
        EXPECT_EQ(le32_get(ack->bytes + SWIM_HEAD_BYTES), 4);
        EXPECT_EQ(ack->bytes[SWIM_HEAD_BYTES + 4], SWIM_DEAD);
    }
    /* An earlier life of one that lives, as well. */
    fake_note(&f, 1, (struct swim_news){.rank = 5, .state = SWIM_ALIVE, .life = 12});
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_PING, .from = 5, .life = 11, .origin = 5, .target = 0}, &n,
        1));
    EXPECT_EQ(fake_state(&f, 2), SWIM_ALIVE);
    EXPECT_EQ(swim_stats(f.sw)->stale, 2);
    /* Its successor is heard. */
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){.kind = SWIM_PING, .from = 4, .life = 11, .origin = 4, .target = 0}, &n,
        1));
    EXPECT_EQ(fake_state(&f, 4), SWIM_ALIVE);
    EXPECT_EQ(fake_state(&f, 2), SWIM_SUSPECT);
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_JOINED, 4), 1);
    fake_fini(&f);
}

TEST(swim_recv, bad_messages_change_nothing)
{
    struct swim_news news[2] = {
        {.rank = 2, .state = SWIM_DEAD, .life = 10}, {.rank = 3, .state = 9, .life = 10}};
    struct fake f;

    fake_init(&f, 6, NULL);
    EXPECT_ERR(fake_recv(&f, (struct swim_head){.kind = SWIM_NOTE, .from = 1}, news, 2), PROTO);
    EXPECT_EQ(fake_state(&f, 2), SWIM_ALIVE); /* the first was good: the whole is refused (SWM-6) */
    EXPECT_ERR(fake_recv(&f, (struct swim_head){.kind = SWIM_NOTE, .from = 0}, NULL, 0), INVAL);
    EXPECT_ERR(swim_recv(f.sw, f.now_ns, "", 0), PROTO);
    EXPECT_EQ(swim_stats(f.sw)->malformed, 3);
    EXPECT_EQ(swim_stats(f.sw)->received, 0);
    EXPECT_EQ(f.events_nr, 0);
    fake_fini(&f);
}

TEST(swim_recv, newcomer_asks_for_everything_until_nothing_is_new)
{
    struct fake f;
    struct swim_news n = {.state = SWIM_ALIVE, .life = 3};
    const struct fake_sent *ping;

    fake_init(&f, 2, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        fake_run(&f, f.cfg.period_ns);
        ping = fake_last(&f, 0, SWIM_PING, 1);
        if (!EXPECT(ping != NULL))
            goto out;
        EXPECT_EQ(ping->head.flags, SWIM_WANT_ALL);
        n.rank = 10 + i;
        EXPECT_OK(fake_recv(&f,
            (struct swim_head){.kind = SWIM_ACK, .from = 1, .target = 1, .seq = ping->head.seq}, &n,
            1));
        EXPECT_EQ(fake_state(&f, 10 + i), SWIM_ALIVE);
        EXPECT_EQ(fake_events_of(&f, SWIM_EV_JOINED, 10 + i), 1);
    }
    for (uint32_t i = 0; i < SWIM_FILL_ROUNDS_NR; i++) {
        EXPECT_GT(f.sw->fill_rounds, 0);
        EXPECT_OK(fake_recv(
            &f, (struct swim_head){.kind = SWIM_ACK, .from = 1, .target = 1, .seq = 0}, NULL, 0));
    }
    f.sent_nr = 0;
    fake_live(&f, 2 * f.cfg.period_ns, UINT32_MAX, true);
    EXPECT_EQ(fake_last(&f, 0, SWIM_PING, UINT32_MAX)->head.flags, 0);
out:
    fake_fini(&f);
}

TEST(swim_recv, answer_to_a_newcomer_is_full)
{
    const struct fake_sent *ack;
    struct fake f;

    fake_init(&f, 200, NULL);
    EXPECT_OK(fake_recv(&f,
        (struct swim_head){
            .kind = SWIM_PING, .flags = SWIM_WANT_ALL, .from = 250, .origin = 250, .target = 0, .seq = 1},
        NULL, 0));
    ack = fake_last(&f, 0, SWIM_ACK, 250);
    if (EXPECT(ack != NULL)) {
        EXPECT_GE(ack->head.news_nr, 56);
        EXPECT_LE(ack->len, SWIM_MSG_BYTES_MAX);
    }
    EXPECT_EQ(fake_state(&f, 250), SWIM_ALIVE);
    fake_fini(&f);
}

TEST(swim_recv, news_is_sent_a_bounded_number_of_times_least_sent_first)
{
    struct fake f;
    uint32_t told[4] = {0}, first;

    fake_init(&f, 50, NULL);
    EXPECT_EQ(f.sw->sends_max, 12); /* 4 times 1 + 2 digits */
    fake_live(&f, 60 * f.cfg.period_ns, UINT32_MAX, true);
    EXPECT_EQ(f.sw->queued_nr, 0);
    fake_note(&f, 3, (struct swim_news){.rank = 20, .state = SWIM_LEFT});
    fake_live(&f, 3 * f.cfg.period_ns, UINT32_MAX, true);
    fake_note(&f, 3, (struct swim_news){.rank = 21, .state = SWIM_LEFT});
    first = f.sent_nr;
    fake_live(&f, 14 * f.cfg.period_ns, UINT32_MAX, true);
    for (uint32_t i = first; i < f.sent_nr; i++) {
        const struct fake_sent *s = &f.sent[i % FAKE_SENT_NR];
        size_t off = SWIM_HEAD_BYTES;
        uint32_t at20 = UINT32_MAX, at21 = UINT32_MAX;

        for (uint32_t j = 0; j < s->head.news_nr; j++) {
            struct swim_news n;

            off += swim_news_get(s->bytes + off, &n);
            at20 = n.rank == 20 ? j : at20;
            at21 = n.rank == 21 ? j : at21;
        }
        told[0] += at20 != UINT32_MAX;
        told[1] += at21 != UINT32_MAX;
        told[2] += at20 != UINT32_MAX && at21 != UINT32_MAX && at21 < at20;
        told[3] += at20 != UINT32_MAX && at21 != UINT32_MAX;
    }
    EXPECT_GE(told[0], 9);
    EXPECT_LE(told[0], 10); /* the rest of twelve; one more when its turn to fill came */
    EXPECT_GE(told[1], 12);
    EXPECT_LE(told[1], 13);
    EXPECT_GE(told[3], 8);
    EXPECT_EQ(told[2], told[3]);
    EXPECT_EQ(f.sw->queued_nr, 0);
    fake_fini(&f);
}

TEST(swim_recv, every_member_is_told_of_in_turn)
{
    struct fake f;
    uint32_t told[30] = {0};

    fake_init(&f, 30, NULL);
    fake_live(&f, 40 * f.cfg.period_ns, UINT32_MAX, true);
    for (uint32_t i = 0; i < f.sent_nr; i++) {
        size_t off = SWIM_HEAD_BYTES;

        for (uint32_t j = 0; j < f.sent[i].head.news_nr; j++) {
            struct swim_news n;

            off += swim_news_get(f.sent[i].bytes + off, &n);
            told[n.rank]++;
        }
    }
    for (uint32_t i = 0; i < 30; i++) {
        EXPECT_GE(told[i], 1);
    }
    fake_fini(&f);
}

TEST(swim_recv, full_messages_keep_the_rest_of_the_news)
{
    struct fake f;
    const struct fake_sent *s;

    fake_init(&f, 400, NULL);
    for (uint32_t i = 100; i < 300; i++) {
        fake_note(&f, 1, (struct swim_news){.rank = i, .state = SWIM_LEFT});
    }
    EXPECT_EQ(f.sw->queued_nr, 201); /* and oneself */
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(
        &f, (struct swim_head){.kind = SWIM_PING, .from = 2, .origin = 2, .target = 0}, NULL, 0));
    s = &f.sent[0];
    EXPECT_LE(s->len, SWIM_MSG_BYTES_MAX);
    EXPECT_GE(s->head.news_nr, 56);
    EXPECT_EQ(f.sw->queued_nr, 201);
    for (uint32_t i = 0; i < 90; i++) {
        EXPECT_OK(fake_recv(&f,
            (struct swim_head){.kind = SWIM_PING, .from = 2, .origin = 2, .target = 0}, NULL, 0));
    }
    EXPECT_EQ(f.sw->queued_nr, 0);
    fake_fini(&f);
}

TEST(swim_recv, leaving_is_told_then_silence)
{
    struct fake f;
    const struct fake_sent *note;

    fake_init(&f, 6, NULL);
    fake_live(&f, 3000 * MS, UINT32_MAX, true);
    f.sent_nr = 0;
    swim_leave(f.sw, f.now_ns);
    EXPECT_EQ(f.sent_nr, SWIM_NOTES_NR);
    note = fake_last(&f, 0, SWIM_NOTE, UINT32_MAX);
    EXPECT_EQ(le32_get(note->bytes + SWIM_HEAD_BYTES), 0);
    EXPECT_EQ(note->bytes[SWIM_HEAD_BYTES + 4], SWIM_LEFT);
    fake_note(&f, 1, (struct swim_news){.rank = 0, .state = SWIM_LEFT});
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_EXCLUDED, 0), 0); /* as one said */
    fake_live(&f, 3000 * MS, UINT32_MAX, true);
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_GONE, 0), 1);
    EXPECT_EQ(swim_due_ns(f.sw), SWIM_NEVER_NS);
    f.sent_nr = 0;
    EXPECT_OK(fake_recv(
        &f, (struct swim_head){.kind = SWIM_PING, .from = 2, .origin = 2, .target = 0}, NULL, 0));
    EXPECT_EQ(f.sent_nr, 0);
    fake_fini(&f);

    fake_init(&f, 1, NULL);
    swim_leave(f.sw, f.now_ns); /* alone */
    EXPECT_EQ(fake_events_of(&f, SWIM_EV_GONE, 0), 1);
    fake_fini(&f);
}

TEST(swim_recv, settings_are_checked)
{
    struct swim_cfg good, cfg;

    swim_cfg_init(&good, (struct rank){3}, 1);
    EXPECT_OK(swim_cfg_check(&good));
#define BAD(field, value) \
    do { \
        cfg = good; \
        cfg.field = (value); \
        EXPECT_ERR(swim_cfg_check(&cfg), INVAL); \
    } while (0)
    BAD(rank.v, SWIM_RANKS_MAX);
    BAD(life, 0);
    BAD(period_ns, 0);
    BAD(period_ns, 11000 * MS);
    BAD(ack_ns, good.period_ns);
    BAD(ack_ns, 0);
    BAD(late_ns, 0);
    BAD(lastcall_ns, 0);
    BAD(lastcall_ns, UINT64_MAX);
    BAD(suspect_min_ns, 2 * SWIM_LASTCALL_TRIES * good.lastcall_ns - 1);
    BAD(suspect_max_ns, good.suspect_min_ns - 1);
    BAD(suspect_max_ns, UINT64_MAX);
    BAD(helpers_nr, 0);
    BAD(helpers_nr, SWIM_HELPERS_NR_MAX + 1);
    BAD(agree_nr, SWIM_ACCUSERS_NR_MAX);
    BAD(sends_mult, 0);
    BAD(sends_mult, 6);
    BAD(silent_pct_max, 0);
    BAD(silent_pct_max, 50);
#undef BAD
    EXPECT_LE(good.period_ns, 250 * MS);
    EXPECT_STR_EQ(swim_state_name(SWIM_CONFIRMED), "confirmed");
    EXPECT_STR_EQ(swim_state_name((enum swim_state)77), "?");
}
