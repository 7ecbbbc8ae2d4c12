/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The row of a pool: what goes in comes out; cut anywhere or damaged it is refused and never read
 * beyond. Pure.
 */
#include "../mgmt_priv.h"
#include "harness/harness.h"

static void
row_make(struct arena *arena, struct mgmt_pool *pool, struct rsvc_update *ret_update)
{
    static struct poolmap_rank_desc ranks[2] = {
        {.rank = {3}, .node_id = 1, .tgts_nr = 4}, {.rank = {5}, .node_id = 2, .tgts_nr = 8}};
    static struct proto_prop props[2] = {
        {.type = 1, .bytes = {(void *)(uintptr_t) "tank", 4}}, {.type = 9, .num = 65536}};

    *pool = (struct mgmt_pool){.pool = {{1, 2, 3}},
        .label = {(void *)(uintptr_t) "tank", 4},
        .state = MGMT_POOL_DESTROYING,
        .svc_rank = 5,
        .life = 77,
        .uid = 7,
        .gid = 8,
        .meta_bytes = 1 << 24,
        .data_bytes = UINT64_C(1) << 40,
        .rank_nr = 2,
        .ranks = ranks,
        .props = {2, props}};
    EXPECT_OK(mgmt_row_update(pool, arena, ret_update));
}

TEST(mgmt_row, round_trip)
{
    struct mgmt_pool in, out;
    struct rsvc_update u;
    struct arena arena;

    arena_init(&arena, 1024, 1 << 20);
    row_make(&arena, &in, &u);
    if (EXPECT_OK(mgmt_row_decode(u.key, u.value, &arena, &out))) {
        const struct proto_prop *p = out.props.items;

        EXPECT_EQ(cuuid_cmp(&out.pool, &in.pool), 0);
        EXPECT_EQ(out.state, MGMT_POOL_DESTROYING);
        EXPECT_EQ(out.svc_rank, 5);
        EXPECT_EQ(out.life, 77);
        EXPECT_EQ(out.meta_bytes, in.meta_bytes);
        EXPECT_EQ(out.data_bytes, in.data_bytes);
        EXPECT_EQ(out.label.len, 4);
        EXPECT_EQ(out.rank_nr, 2);
        EXPECT_EQ(out.ranks[1].rank.v, 5);
        EXPECT_EQ(out.ranks[1].tgts_nr, 8);
        EXPECT_EQ(out.props.nr, 2);
        EXPECT_MEM_EQ(p[0].bytes.buf, "tank", 4);
        EXPECT_EQ(p[1].num, 65536);
    }
    arena_fini(&arena);
}

TEST(mgmt_row, damage_is_refused)
{
    struct mgmt_pool in, out;
    struct rsvc_update u;
    struct arena arena;
    uint8_t *copy;

    arena_init(&arena, 1024, 16 << 20);
    row_make(&arena, &in, &u);
    for (size_t len = 0; len < u.value.len; len++) {
        /* A copy of its own, so that a read beyond it is seen by the sanitizer. */
        copy = arena_dup(&arena, u.value.buf, len);
        EXPECT(mgmt_row_decode(u.key, (struct iov){copy, len}, &arena, &out) != 0);
    }
    copy = arena_dup(&arena, u.value.buf, u.value.len);
    copy[0] = 3;
    EXPECT_ERR(mgmt_row_decode(u.key, (struct iov){copy, u.value.len}, &arena, &out), DF_INCOMPT);
    /* Rows of version 1 end before the last number. */
    copy[0] = 1;
    EXPECT_ERR(mgmt_row_decode(u.key, (struct iov){copy, u.value.len}, &arena, &out), DF_INVAL);
    EXPECT_OK(mgmt_row_decode(u.key, (struct iov){copy, u.value.len - 8}, &arena, &out));
    EXPECT_EQ(out.life, 0);
    copy[0] = 2;
    copy[1] = 9;
    EXPECT_ERR(mgmt_row_decode(u.key, (struct iov){copy, u.value.len}, &arena, &out), DF_INVAL);
    u.key.len = 15;
    EXPECT_ERR(mgmt_row_decode(u.key, u.value, &arena, &out), DF_INVAL);
    arena_fini(&arena);
}
