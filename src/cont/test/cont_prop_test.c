/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Properties of pools and containers against the API's table, and what may be said of them;
 * labels. Pure.
 */
#include "cont/cont.h"
#include "harness/harness.h"
#include "placement/placement.h"
#include "pool/pool.h"

static const struct pool_prop_def *defs;
static uint32_t nr;

static int
check(uint32_t type, uint64_t num, bool is_create)
{
    struct proto_prop p = {.type = type, .num = num};

    defs = pool_prop_defs(&nr);
    return pool_prop_check(defs, nr, &p, is_create);
}

TEST(cont_prop, numbers_are_complete_and_in_order)
{
    defs = pool_prop_defs(&nr);
    EXPECT_EQ(nr, 27);
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_EQ(defs[i].type, i + 1);
        if (defs[i].kind == POOL_PROP_NUM && !defs[i].is_computed) {
            EXPECT_GE(defs[i].num, defs[i].lo);
            EXPECT_LE(defs[i].num, defs[i].hi);
            EXPECT(defs[i].only == UINT64_MAX || defs[i].only == defs[i].num);
        }
    }
    EXPECT(pool_prop_find(defs, nr, 28) == NULL);
    EXPECT_EQ(POOL_LAYOUT_VERSION, PLACEMENT_LAYOUT_VERSION); /* FM-4 */
}

TEST(cont_prop, defaults_of_the_api)
{
    static const struct {
        uint32_t type;
        uint64_t num;
    } want[] = {{3, 5}, {5, 1}, {9, 131072}, {10, 4096}, {11, 0}, {12, 1}, {16, 0}, {17, 604800},
        {18, 0}, {21, 255}, {23, 5}, {24, 50}, {25, 0}, {26, 1}, {27, 300}};

    defs = pool_prop_defs(&nr);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        EXPECT_EQ(pool_prop_find(defs, nr, want[i].type)->num, want[i].num);
    }
    defs = cont_prop_defs(&nr);
    EXPECT_EQ(nr, 26);
    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_EQ(defs[i].type, 0x1001 + i);
    }
    EXPECT_EQ(pool_prop_find(defs, nr, 0x1004)->num, 2); /* crc32: on */
    EXPECT_EQ(pool_prop_find(defs, nr, 0x1005)->num, 32768);
    EXPECT_EQ(pool_prop_find(defs, nr, 0x1007)->num, 0);
    EXPECT_EQ(pool_prop_find(defs, nr, 0x1010)->num, 4096);
    EXPECT_EQ(pool_prop_find(defs, nr, 0x1014)->num, 131072);
}

TEST(cont_prop, values)
{
    struct proto_prop label = {.type = 1, .bytes = {(void *)(uintptr_t) "x", 1}};
    static char big[256];

    EXPECT_OK(check(11, 0, true));
    EXPECT_ERR(check(11, 1, true), NOTSUPPORTED); /* POL-5 */
    EXPECT_ERR(check(11, 5, true), INVAL);
    EXPECT_ERR(check(11, 0, false), NO_PERM);
    EXPECT_ERR(check(8, 0, true), NO_PERM);
    EXPECT_ERR(check(99, 0, true), INVAL);
    EXPECT_ERR(check(3, 101, true), INVAL);
    EXPECT_OK(check(3, 100, false));
    EXPECT_OK(check(16, 2, false));
    EXPECT_ERR(check(16, 3, false), INVAL);
    EXPECT_ERR(check(19, 2, true), NOTSUPPORTED);
    defs = pool_prop_defs(&nr);
    EXPECT_OK(pool_prop_check(defs, nr, &label, true));
    label.bytes = (struct iov){big, 128};
    EXPECT_ERR(pool_prop_check(defs, nr, &label, true), INVAL);
}

static int
label(const char *text)
{
    return pool_label_check((struct iov){(void *)(uintptr_t)text, strlen(text)});
}

TEST(cont_prop, labels)
{
    char text[130];

    EXPECT_OK(label("a"));
    EXPECT_OK(label("A_b-c.d:9"));
    EXPECT_OK(label("00000000-1111-2222-3333-44444444444g")); /* as long as a uuid, but none */
    EXPECT_ERR(label("00000000-1111-2222-3333-444444444444"), INVAL);
    EXPECT_ERR(label(""), INVAL);
    EXPECT_ERR(label("a b"), INVAL);
    EXPECT_ERR(label("a/b"), INVAL);
    EXPECT_ERR(label("\xc3\xa4"), INVAL);
    memset(text, 'l', sizeof(text));
    EXPECT_OK(pool_label_check((struct iov){text, 127}));
    EXPECT_ERR(pool_label_check((struct iov){text, 128}), INVAL);
    EXPECT_ERR(pool_label_check((struct iov){(void *)(uintptr_t) "a\0b", 3}), INVAL);
}
