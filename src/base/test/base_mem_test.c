/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: arena, text builder, scattered lists and checked arithmetic stay inside their bounds and lose nothing.
 * Method: fixed cases at the edges; lists are compared with a flat buffer over random cuts.
 */
#include <string.h>

#include "base/arena.h"
#include "base/iov.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "harness/harness.h"

TEST(base_util, checked_arithmetic)
{
    uint64_t v = 7;
    size_t s = 7;

    EXPECT(!add_u64(UINT64_MAX, 1, &v));
    EXPECT(!mul_u64(UINT64_C(1) << 33, UINT64_C(1) << 31, &v));
    EXPECT(!add_size(SIZE_MAX, 1, &s));
    EXPECT(!mul_size(SIZE_MAX, 2, &s));
    EXPECT_EQ(v, 7);
    EXPECT_EQ(s, 7);
    EXPECT(add_u64(UINT64_MAX - 1, 1, &v));
    EXPECT_EQ(v, UINT64_MAX);
    EXPECT(mul_size(6, 7, &s));
    EXPECT_EQ(s, 42);
    EXPECT_EQ(ALIGN_UP(4097u, 4096), 8192);
    EXPECT_EQ(ALIGN_DOWN(4097u, 4096), 4096);
    EXPECT(IS_ALIGNED(8192u, 4096));
    EXPECT_EQ(DIV_UP(UINT64_MAX, UINT64_C(2)), UINT64_C(1) << 63);
    EXPECT(IS_POW2(64u));
    EXPECT(!IS_POW2(0u));
    EXPECT_EQ(log2_floor_u64(1), 0);
    EXPECT_EQ(log2_floor_u64(UINT64_MAX), 63);
    EXPECT_EQ(pow2_up_u64(0), 1);
    EXPECT_EQ(pow2_up_u64(5), 8);
    EXPECT_EQ(pow2_up_u64(8), 8);
    EXPECT_EQ(rotl_u64(1, 63), UINT64_C(1) << 63);
}

TEST(base_arena, limit_alignment_reset)
{
    struct arena arena;
    size_t total = 0;
    size_t first;
    char *text;
    uint64_t *zeros;

    arena_init(&arena, 128, 8192);
    text = arena_strdup(&arena, "hello");
    EXPECT_STR_EQ(text, "hello");
    EXPECT(IS_ALIGNED((uintptr_t)text, 16));
    first = arena.total_bytes;
    for (;;) {
        uint8_t *p = arena_alloc(&arena, 100);

        if (p == NULL)
            break;
        EXPECT(IS_ALIGNED((uintptr_t)p, 16));
        memset(p, 0xaa, 100);
        total += 100;
    }
    EXPECT_GT(total, 4000);
    EXPECT_LE(arena.total_bytes, 8192);
    EXPECT_STR_EQ(text, "hello");
    EXPECT(arena_alloc(&arena, SIZE_MAX) == NULL);
    EXPECT(arena_alloc(&arena, 8192) == NULL);
    EXPECT(arena_calloc(&arena, SIZE_MAX / 2, 3) == NULL);
    arena_reset(&arena);
    EXPECT_EQ(arena.total_bytes, first);
    zeros = arena_calloc(&arena, 4, sizeof(*zeros));
    EXPECT(zeros != NULL && zeros[0] == 0 && zeros[3] == 0);
    EXPECT(arena_alloc(&arena, 0) != NULL);
    EXPECT(arena_alloc(&arena, 4000) != NULL);
    arena_fini(&arena);
    EXPECT_EQ(arena.total_bytes, 0);
    arena_fini(&arena);
}

TEST(base_strbuf, never_overruns)
{
    char buf[16];
    struct strbuf sb;

    memset(buf, 'x', sizeof(buf));
    strbuf_init(&sb, buf, 10);
    strbuf_add(&sb, "%d-", 12);
    strbuf_add_hex(&sb, "\x01\xfe", 2);
    EXPECT_STR_EQ(buf, "12-01fe");
    EXPECT(!sb.cut);
    strbuf_add_escaped(&sb, "a\n", 2);
    EXPECT_STR_EQ(buf, "12-01fea\\");
    EXPECT(sb.cut);
    strbuf_add(&sb, "%s", "more");
    strbuf_add_char(&sb, '!');
    EXPECT_EQ(sb.len, 9);
    EXPECT_EQ(buf[10], 'x');
    strbuf_init(&sb, buf, sizeof(buf));
    strbuf_add_escaped(&sb, "k\\\xff ", 4);
    EXPECT_STR_EQ(buf, "k\\x5c\\xff ");
    strbuf_init(&sb, buf, 4);
    strbuf_add(&sb, "%s", "long text");
    EXPECT_STR_EQ(buf, "lon");
    EXPECT(sb.cut);
}

/* Cut *bytes* bytes of *mem* into a list with some empty buffers. */
static uint32_t
cut_randomly(struct rng *rng, uint8_t *mem, size_t bytes, struct iov *iovs, uint32_t iov_max)
{
    uint32_t nr = 0;
    size_t off = 0;

    while (nr < iov_max - 1) {
        size_t len = (size_t)rng_below(rng, MIN(bytes - off, (size_t)20) + 1);

        iovs[nr++] = (struct iov){mem + off, len};
        off += len;
    }
    iovs[nr++] = (struct iov){mem + off, bytes - off};
    return nr;
}

TEST(base_iov, equals_flat_memory)
{
    enum { BYTES = 200, IOV_MAX_NR = 12 };
    struct rng rng;

    rng_init(&rng, test_seed());
    for (int step = 0; step < 3000; step++) {
        uint8_t a[BYTES];
        uint8_t b[BYTES];
        uint8_t flat[BYTES];
        uint8_t got[BYTES + 50] = {0};
        struct iov a_iovs[IOV_MAX_NR];
        struct iov b_iovs[IOV_MAX_NR];
        struct iov part_iovs[IOV_MAX_NR];
        struct sgl a_sgl = {0, a_iovs};
        struct sgl b_sgl = {0, b_iovs};
        struct sgl part;
        size_t off = (size_t)rng_below(&rng, BYTES + 10);
        size_t len = (size_t)rng_below(&rng, BYTES);
        size_t want = off >= BYTES ? 0 : MIN(len, BYTES - off);

        a_sgl.iov_nr = cut_randomly(&rng, a, BYTES, a_iovs, IOV_MAX_NR);
        b_sgl.iov_nr = cut_randomly(&rng, b, BYTES, b_iovs, IOV_MAX_NR);
        rng_bytes(&rng, a, BYTES);
        memset(b, 0, BYTES);
        EXPECT_EQ(sgl_bytes(&a_sgl), BYTES);
        EXPECT_EQ(sgl_copy_out(&a_sgl, off, got, len), want);
        EXPECT_MEM_EQ(got, a + MIN(off, (size_t)BYTES), want);

        rng_bytes(&rng, flat, BYTES);
        EXPECT_EQ(sgl_copy_in(&a_sgl, off, flat, len), want);
        EXPECT_MEM_EQ(a + MIN(off, (size_t)BYTES), flat, want);

        EXPECT_EQ(sgl_copy(&b_sgl, 10, &a_sgl, off, len), MIN(want, (size_t)BYTES - 10));
        EXPECT_MEM_EQ(b + 10, a + MIN(off, (size_t)BYTES), MIN(want, (size_t)BYTES - 10));
        EXPECT_EQ(b[9], 0);

        EXPECT_EQ(sgl_slice(&a_sgl, off, len, part_iovs, IOV_MAX_NR, &part), want);
        EXPECT_EQ(sgl_bytes(&part), want);
        EXPECT_LE(sgl_slice(&a_sgl, off, len, part_iovs, 1, &part), want);
        EXPECT_LE(part.iov_nr, 1);
        EXPECT_EQ(sgl_zero(&a_sgl, off, len), want);
        if (test_failed())
            break;
    }
    EXPECT_EQ(sgl_bytes(&(struct sgl){2, (struct iov[]){{NULL, SIZE_MAX}, {NULL, 1}}}), SIZE_MAX);
    EXPECT_EQ(sgl_bytes(&(struct sgl){0, NULL}), 0);
}
