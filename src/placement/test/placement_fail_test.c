/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what fails, drains, comes back or is added moves its own shards and no others (PL-6), and while it does each shard is where PL-7 says.
 * Method: random histories of random maps; after each step the layouts of some objects against those before it.
 */
#include "placement_rig.h"

enum { OBJECTS = 24, STEPS = 14 };

struct history {
    struct rng rng;
    struct rig_shape shape;
    struct poolmap *map;
    struct oid oids[OBJECTS];
    struct placement_layout before[OBJECTS];
};

static void
history_begin(struct history *h, uint64_t seed)
{
    memset(h, 0, sizeof(*h));
    rng_init(&h->rng, seed);
    rig_random(&h->rng, &h->shape);
    h->map = rig_map(&h->shape);
    for (int i = 0; i < OBJECTS; i++) {
        h->oids[i] = rig_oid(rng_u64(&h->rng), rig_oclass(&h->rng));
        h->before[i] = rig_layout(h->map, h->oids[i]);
    }
}

static void
history_end(struct history *h)
{
    for (int i = 0; i < OBJECTS; i++) {
        placement_layout_fini(&h->before[i]);
    }
    poolmap_destroy(h->map);
}

/* Some targets in a state of *mask*; number of them. */
static uint32_t
ids_pick(struct history *h, uint32_t mask, uint32_t *ids)
{
    bool is_rank = rng_chance(&h->rng, 1, 3);
    uint32_t at = (uint32_t)rng_below(&h->rng, h->map->tgts_nr);
    uint32_t nr = 0;

    for (uint32_t t = 0; t < h->map->tgts_nr; t++) {
        const struct poolmap_tgt *tgt = &h->map->tgts[(at + t) % h->map->tgts_nr];

        if ((POOLMAP_BIT(tgt->state) & mask) == 0)
            continue;
        if (nr > 0 && (!is_rank || tgt->rank_idx != h->map->tgts[ids[0]].rank_idx))
            continue;
        ids[nr++] = tgt->id;
    }
    return nr;
}

static bool
is_among(const uint32_t *ids, uint32_t nr, uint32_t id)
{
    for (uint32_t i = 0; i < nr; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

static bool
shard_eq(const struct placement_shard *a, const struct placement_shard *b)
{
    return a->tgt_id == b->tgt_id && a->next_id == b->next_id && a->flags == b->flags;
}

/* What every layout of every map keeps. */
static void
expect_sound(const struct poolmap *map, const struct placement_layout *l)
{
    for (uint32_t s = 0; s < placement_shards_nr(l); s++) {
        const struct placement_shard *shard = &l->shards[s];
        const struct poolmap_tgt *tgt = poolmap_tgt_at(map, shard->tgt_id);
        const struct poolmap_tgt *next = poolmap_tgt_at(map, shard->next_id);
        bool is_lost = (shard->flags & PLACEMENT_SHARD_LOST) != 0;

        if (!EXPECT(tgt != NULL))
            return;
        EXPECT_EQ((POOLMAP_BIT(tgt->state) & POOLMAP_SERVING) == 0, is_lost);
        EXPECT_NE(tgt->in_ver, 0);
        EXPECT_EQ((shard->flags & PLACEMENT_SHARD_MOVING) != 0, next != NULL);
        EXPECT_EQ(next == NULL, shard->next_id == PLACEMENT_TGT_NONE);
        if (next != NULL) {
            EXPECT(next->state == POOLMAP_UPIN || next->state == POOLMAP_UP ||
                next->state == POOLMAP_NEW);
            EXPECT_NE(shard->next_id, shard->tgt_id);
        }
        for (uint32_t o = s - s % l->grp_size;
             o < s && l->grp_size <= poolmap_view(map, POOLMAP_NOW)->parts[0].tgts_nr; o++) {
            EXPECT_NE(l->shards[o].tgt_id, shard->tgt_id);
        }
    }
}

/* All other shards are as they were. */
static void
expect_own_only(const struct placement_layout *a, const struct placement_layout *b,
    const uint32_t *ids, uint32_t nr)
{
    for (uint32_t s = 0; s < placement_shards_nr(a); s++) {
        if (!is_among(ids, nr, a->shards[s].tgt_id) && !is_among(ids, nr, a->shards[s].next_id))
            EXPECT(shard_eq(&a->shards[s], &b->shards[s]));
    }
}

/* What was under way is where it was to go. */
static void
expect_arrived(const struct placement_layout *a, const struct placement_layout *b)
{
    for (uint32_t s = 0; s < placement_shards_nr(a); s++) {
        const struct placement_shard *was = &a->shards[s];
        uint32_t want = was->next_id != PLACEMENT_TGT_NONE ? was->next_id : was->tgt_id;

        EXPECT_EQ(b->shards[s].flags & ~(uint32_t)PLACEMENT_SHARD_LOST, 0);
        if ((b->shards[s].flags & PLACEMENT_SHARD_LOST) == 0)
            EXPECT_EQ(b->shards[s].tgt_id, want);
    }
}

enum step { STEP_FAIL, STEP_DRAIN, STEP_BACK, STEP_FINISH, STEP_REVERT, STEP_EXTEND, STEP_NR };

static bool
step_do(struct history *h, enum step step, uint32_t *ids, uint32_t *ret_nr)
{
    static const struct {
        enum poolmap_op op;
        uint32_t mask;
    } ops[] = {
        [STEP_FAIL] = {POOLMAP_OP_EXCLUDE, POOLMAP_BIT(POOLMAP_UPIN) | POOLMAP_BIT(POOLMAP_DRAIN)},
        [STEP_DRAIN] = {POOLMAP_OP_DRAIN, POOLMAP_BIT(POOLMAP_UPIN)},
        [STEP_BACK] = {POOLMAP_OP_REINTEGRATE,
            POOLMAP_BIT(POOLMAP_DOWN) | POOLMAP_BIT(POOLMAP_DOWN_OUT)},
        [STEP_FINISH] = {POOLMAP_OP_FINISH, POOLMAP_ANY},
        [STEP_REVERT] = {POOLMAP_OP_REVERT, POOLMAP_BIT(POOLMAP_DRAIN) | POOLMAP_BIT(POOLMAP_UP)},
    };

    if (step == STEP_EXTEND) {
        uint32_t rack = h->shape.descs[0].above_nr != 0 ? 3 : UINT32_MAX;

        rig_add(&h->shape, rack, 3, 0);
        h->shape.descs[h->shape.nr - 1].rank.v = 100000 + h->shape.nr;
        h->shape.descs[h->shape.nr - 1].node_id = 1000 + h->shape.nr;
        *ret_nr = 0;
        return EXPECT_OK(poolmap_extend(h->map, &h->shape.descs[h->shape.nr - 1], 1));
    }
    *ret_nr = ids_pick(h, ops[step].mask, ids);
    if (step == STEP_FINISH) {
        for (uint32_t t = 0; t < h->map->tgts_nr; t++) {
            ids[t] = t;
        }
        *ret_nr = h->map->tgts_nr;
    }
    if (step != STEP_FINISH && *ret_nr >= poolmap_tgts_count(h->map, POOLMAP_SERVING))
        return false; /* not the last ones */
    return *ret_nr > 0 && poolmap_change(h->map, ops[step].op, ids, *ret_nr) == 0;
}

static void
step_check(struct history *h, enum step step, const uint32_t *ids, uint32_t nr)
{
    EXPECT_OK(poolmap_check(h->map));
    for (int i = 0; i < OBJECTS; i++) {
        struct placement_layout now = rig_layout(h->map, h->oids[i]);

        expect_sound(h->map, &now);
        if (step == STEP_FAIL)
            expect_own_only(&h->before[i], &now, ids, nr);
        if (step == STEP_FINISH)
            expect_arrived(&h->before[i], &now);
        for (uint32_t s = 0; s < placement_shards_nr(&now); s++) {
            /* What is only planned is not in use yet. */
            if (step == STEP_DRAIN || step == STEP_EXTEND)
                EXPECT_EQ(now.shards[s].tgt_id, h->before[i].shards[s].tgt_id);
        }
        placement_layout_fini(&h->before[i]);
        h->before[i] = now;
    }
}

TEST(placement_fail, random_histories)
{
    for (uint64_t seed = 0; seed < 100 && !test_failed(); seed++) {
        struct history h;
        uint32_t ids[2048], nr;

        history_begin(&h, test_seed() + seed);
        for (int i = 0; i < STEPS; i++) {
            enum step step = (enum step)rng_below(&h.rng, STEP_NR);

            if (step_do(&h, step, ids, &nr))
                step_check(&h, step, ids, nr);
        }
        history_end(&h);
    }
}

/* A drain that is given up, and a target that comes back and fails again, leave everything as it was. */
TEST(placement_fail, what_is_given_up_leaves_nothing)
{
    for (uint64_t seed = 0; seed < 100 && !test_failed(); seed++) {
        struct history h;
        uint32_t ids[2048], nr = 0;

        history_begin(&h, test_seed() + seed);
        if (h.map->tgts_nr > 8) {
            EXPECT_OK(poolmap_exclude(h.map, (uint32_t[]){1, 3}, 2));
            if (seed % 2 == 0)
                EXPECT_OK(poolmap_finish(h.map, (uint32_t[]){1, 3}, 2));
            step_check(&h, STEP_NR, NULL, 0);
            nr = ids_pick(&h, POOLMAP_BIT(POOLMAP_UPIN), ids);
        }
        for (int i = 0; nr > 0 && i < OBJECTS; i++) {
            struct poolmap *map = NULL;
            struct placement_layout after;
            bool is_drain = seed % 4 < 2;

            EXPECT_OK(poolmap_dup(h.map, &map));
            EXPECT_OK(is_drain ? poolmap_drain(map, ids, nr)
                               : poolmap_reintegrate(map, (uint32_t[]){1, 3}, 2));
            if (is_drain) {
                EXPECT_OK(poolmap_revert(map, ids, nr));
            } else {
                EXPECT_OK(poolmap_exclude(map, (uint32_t[]){3, 1}, 2));
            }
            after = rig_layout(map, h.oids[i]);
            for (uint32_t s = 0; s < placement_shards_nr(&after); s++) {
                EXPECT(shard_eq(&after.shards[s], &h.before[i].shards[s]));
            }
            placement_layout_fini(&after);
            poolmap_destroy(map);
        }
        history_end(&h);
    }
}

/* All that was out is back: the layout is that of a map that never saw a failure. */
TEST(placement_fail, all_back_is_as_if_nothing_was)
{
    for (uint64_t seed = 0; seed < 60 && !test_failed(); seed++) {
        struct placement_layout first[OBJECTS];
        struct history h;
        uint32_t ids[2048], nr;

        history_begin(&h, test_seed() + seed);
        for (int i = 0; i < OBJECTS; i++) {
            first[i] = rig_layout(h.map, h.oids[i]);
        }
        for (int i = 0; i < 6; i++) {
            enum step step = (enum step)rng_below(&h.rng, STEP_FINISH + 1);

            CAIRN_IGNORE(step_do(&h, step, ids, &nr));
        }
        for (uint32_t t = 0; t < h.map->tgts_nr; t++) {
            ids[t] = t;
        }
        CAIRN_IGNORE(poolmap_revert(h.map, ids, h.map->tgts_nr));
        CAIRN_IGNORE(poolmap_reintegrate(h.map, ids, h.map->tgts_nr));
        CAIRN_IGNORE(poolmap_finish(h.map, ids, h.map->tgts_nr));
        EXPECT_EQ(poolmap_tgts_count(h.map, POOLMAP_BIT(POOLMAP_UPIN)), h.map->tgts_nr);
        for (int i = 0; i < OBJECTS; i++) {
            struct placement_layout last = rig_layout(h.map, h.oids[i]);

            for (uint32_t s = 0; s < placement_shards_nr(&last); s++) {
                EXPECT(shard_eq(&last.shards[s], &first[i].shards[s]));
            }
            placement_layout_fini(&last);
            placement_layout_fini(&first[i]);
        }
        history_end(&h);
    }
}

/* A process that got the map in a message computes the same. */
TEST(placement_fail, the_same_from_a_message)
{
    for (uint64_t seed = 0; seed < 40 && !test_failed(); seed++) {
        struct history h;
        struct poolmap *copy = NULL;
        uint32_t ids[2048], nr;
        uint8_t *buf;
        size_t len;
        struct enc e;

        history_begin(&h, test_seed() + seed);
        for (int i = 0; i < STEPS; i++) {
            enum step step = (enum step)rng_below(&h.rng, STEP_NR);

            if (step_do(&h, step, ids, &nr))
                step_check(&h, STEP_NR, NULL, 0);
        }
        len = poolmap_encoded_bytes(h.map);
        buf = malloc(len);
        enc_init(&e, buf, len);
        poolmap_encode(h.map, &e);
        EXPECT_EQ(e.len, len);
        EXPECT_OK(poolmap_decode(buf, len, &copy));
        EXPECT(poolmap_eq(h.map, copy));
        for (int i = 0; i < OBJECTS; i++) {
            struct placement_layout layout = rig_layout(copy, h.oids[i]);

            for (uint32_t s = 0; s < placement_shards_nr(&layout); s++) {
                EXPECT(shard_eq(&layout.shards[s], &h.before[i].shards[s]));
            }
            placement_layout_fini(&layout);
        }
        free(buf);
        poolmap_destroy(copy);
        history_end(&h);
    }
}

/* The shards of a target that failed go to many others, so that all help to rebuild it. */
TEST(placement_fail, spares_are_spread)
{
    struct poolmap *map = rig_equal(16, 4);
    uint32_t counts[64] = {0};
    uint32_t spares = 0;

    EXPECT_OK(poolmap_exclude(map, (uint32_t[]){20}, 1));
    for (uint64_t lo = 0; lo < 60000; lo++) {
        struct placement_layout layout = rig_layout(map, rig_oid(lo, RIG_RP2(1)));

        for (uint32_t s = 0; s < 2; s++) {
            if (layout.shards[s].flags != PLACEMENT_SHARD_REBUILDING)
                continue;
            counts[layout.shards[s].tgt_id]++;
            spares++;
        }
        placement_layout_fini(&layout);
    }
    EXPECT_GT(spares, 60000 * 2 / 64 * 9 / 10);
    for (uint32_t t = 0; t < 64; t++) {
        EXPECT_LT(counts[t], spares / 63 * 2);
        EXPECT(t == 20 || counts[t] > spares / 63 / 2);
    }
    poolmap_destroy(map);
}

/* No domain is left: the shard is lost until one comes back; without redundancy a drained target still gives its shard away. */
TEST(placement_fail, nowhere_to_go)
{
    struct poolmap *map = rig_equal(3, 2);
    struct placement_layout layout;
    uint32_t lost = 0;

    EXPECT_OK(poolmap_change_rank(map, POOLMAP_OP_EXCLUDE, (struct rank){1}));
    layout = rig_layout(map, rig_oid(1, RIG_RP3(1)));
    for (uint32_t s = 0; s < 3; s++) {
        lost += layout.shards[s].flags == PLACEMENT_SHARD_LOST;
    }
    EXPECT_EQ(lost, 1);
    placement_layout_fini(&layout);
    EXPECT_OK(poolmap_change_rank(map, POOLMAP_OP_DRAIN, (struct rank){0}));
    for (uint64_t lo = 0; lo < 50; lo++) {
        layout = rig_layout(map, rig_oid(lo, RIG_S(1)));
        if (layout.shards[0].tgt_id < 2) {
            EXPECT_EQ(layout.shards[0].flags, PLACEMENT_SHARD_MOVING);
            EXPECT_GE(layout.shards[0].next_id, 4);
        } else {
            EXPECT_EQ(layout.shards[0].flags, layout.shards[0].tgt_id < 4 ? PLACEMENT_SHARD_LOST : 0);
        }
        placement_layout_fini(&layout);
    }
    poolmap_destroy(map);
}
