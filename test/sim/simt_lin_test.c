/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The checker of histories, which must refuse what is wrong and nothing else (SM-3). Method: small histories of one register, of which
 * the answer is known; then random histories made by running operations in a legal order, which must be accepted, and the same ones
 * with one answer falsified, where an exhaustive search says whether that is still legal.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "sim/simt_lin.h"

enum { OP_WRITE, OP_READ, OP_CAS };

struct reg_op {
    int kind;
    uint32_t value, expect; /* written; CAS: what must be there */
    uint32_t got; /* READ */
    bool ok; /* CAS: it says so */
};

static bool
reg_step(void *arg, const struct simt_lin_op *lop, void *state)
{
    const struct reg_op *op = lop->op;
    uint32_t *reg = state;

    (void)arg;
    switch (op->kind) {
    case OP_READ:
        return op->got == *reg;
    case OP_CAS:
        if (lop->is_answered && op->ok != (*reg == op->expect))
            return false;
        if (*reg == op->expect)
            *reg = op->value;
        return true;
    default:
        *reg = op->value;
        return true;
    }
}

static const struct simt_lin_model reg_model = {.state_bytes = 4, .step = reg_step};

#define OP(b, e, ans, ...) \
    { \
        .begin = {b, b}, .end = {e, e}, .is_answered = (ans), .op = &(struct reg_op) \
        { \
            .kind = __VA_ARGS__ \
        } \
    }
#define CHECK(ops) simt_lin_check(&reg_model, ops, sizeof(ops) / sizeof((ops)[0]), &result)

TEST(simt_lin, what_is_legal)
{
    struct simt_lin_result result;
    struct simt_lin_op in_order[] = {OP(1, 2, true, OP_WRITE, .value = 7),
        OP(3, 4, true, OP_READ, .got = 7),
        OP(5, 6, true, OP_CAS, .value = 8, .expect = 7, .ok = true),
        OP(7, 8, true, OP_READ, .got = 8)};
    struct simt_lin_op overlap[] = {OP(1, 10, true, OP_WRITE, .value = 7),
        OP(2, 3, true, OP_READ, .got = 7), OP(4, 5, true, OP_READ, .got = 7)};
    struct simt_lin_op late[] = {OP(1, SIMT_LIN_NEVER, false, OP_WRITE, .value = 7),
        OP(2, 3, true, OP_READ, .got = 0), OP(4, 5, true, OP_READ, .got = 7)};
    struct simt_lin_op never[] = {OP(1, 4, false, OP_WRITE, .value = 7),
        OP(2, 3, true, OP_READ, .got = 0), OP(5, 6, true, OP_READ, .got = 0)};
    struct simt_lin_op at_expiry[] = {OP(1, 4, false, OP_WRITE, .value = 7),
        OP(2, 3, true, OP_READ, .got = 0), OP(5, 6, true, OP_READ, .got = 7)};

    EXPECT_EQ(CHECK(in_order), SIMT_LIN_OK);
    EXPECT_EQ(CHECK(overlap), SIMT_LIN_OK);
    EXPECT_EQ(CHECK(late), SIMT_LIN_OK);
    EXPECT_EQ(CHECK(never), SIMT_LIN_OK);
    EXPECT_EQ(CHECK(at_expiry), SIMT_LIN_OK);
}

TEST(simt_lin, what_is_not)
{
    struct simt_lin_result result;
    struct simt_lin_op lost[] = {
        OP(1, 2, true, OP_WRITE, .value = 7), OP(3, 4, true, OP_READ, .got = 0)};
    struct simt_lin_op back[] = {OP(1, 10, true, OP_WRITE, .value = 7),
        OP(2, 3, true, OP_READ, .got = 7), OP(4, 5, true, OP_READ, .got = 0)};
    struct simt_lin_op unwritten[] = {OP(1, 2, true, OP_READ, .got = 3)};
    /* A resend that was applied twice: its value comes back after another one was acknowledged. */
    struct simt_lin_op twice[] = {OP(1, 2, true, OP_WRITE, .value = 7),
        OP(3, 4, true, OP_WRITE, .value = 8), OP(5, 6, true, OP_READ, .got = 8),
        OP(7, 8, true, OP_READ, .got = 7)};
    struct simt_lin_op lost_unknown[] = {OP(1, SIMT_LIN_NEVER, false, OP_WRITE, .value = 7),
        OP(2, 3, true, OP_READ, .got = 7), OP(4, 5, true, OP_READ, .got = 0)};
    struct simt_lin_op after_expiry[] = {OP(1, 4, false, OP_WRITE, .value = 7),
        OP(5, 6, true, OP_READ, .got = 0), OP(7, 8, true, OP_READ, .got = 7)};
    struct simt_lin_op cas[] = {OP(1, 2, true, OP_CAS, .value = 1, .expect = 0, .ok = true),
        OP(1, 2, true, OP_CAS, .value = 2, .expect = 0, .ok = true)};

    EXPECT_EQ(CHECK(lost), SIMT_LIN_BAD);
    EXPECT(result.bad == &lost[1]);
    EXPECT_EQ(result.state_nr, 1);
    EXPECT_EQ(CHECK(back), SIMT_LIN_BAD);
    EXPECT(result.bad == &back[2]);
    EXPECT_EQ(CHECK(unwritten), SIMT_LIN_BAD);
    EXPECT_EQ(CHECK(twice), SIMT_LIN_BAD);
    EXPECT_EQ(CHECK(lost_unknown), SIMT_LIN_BAD);
    EXPECT_EQ(CHECK(after_expiry), SIMT_LIN_BAD);
    EXPECT_EQ(CHECK(cas), SIMT_LIN_BAD);
}

TEST(simt_lin, too_many_open_is_said)
{
    struct simt_lin_op ops[SIMT_LIN_OPEN_MAX + 1];
    struct reg_op op = {OP_WRITE, 1, 0, 0, false};
    struct simt_lin_result result;

    for (uint32_t i = 0; i <= SIMT_LIN_OPEN_MAX; i++) {
        ops[i] = (struct simt_lin_op){.begin = {i, i}, .end = {SIMT_LIN_NEVER, 0}, .op = &op};
    }
    EXPECT_EQ(CHECK(ops), SIMT_LIN_GAVE_UP);
}

/* ---- random histories against an exhaustive search ------------------------------------------------------------------- */

enum { RND_OPS = 6 };

static bool
search(const struct simt_lin_op *ops, uint32_t nr, uint32_t done, uint32_t reg)
{
    bool all = true;

    for (uint32_t i = 0; i < nr; i++) {
        bool blocked = false;
        uint32_t next = reg;

        if ((done >> i & 1) != 0)
            continue;
        all = all && !ops[i].is_answered;
        for (uint32_t j = 0; j < nr; j++) { /* somebody not done yet ended before i began */
            blocked = blocked ||
                ((done >> j & 1) == 0 && j != i && ops[j].is_answered &&
                    ops[j].end.ns < ops[i].begin.ns);
        }
        if (blocked)
            continue;
        if (reg_step(NULL, &ops[i], &next)) {
            /* One without an answer must also come before its expiry: no operation done so far began after that. */
            bool expired = false;

            for (uint32_t j = 0; !ops[i].is_answered && j < nr; j++) {
                expired = expired || ((done >> j & 1) != 0 && ops[j].begin.ns > ops[i].end.ns);
            }
            if (!expired && search(ops, nr, done | 1u << i, next))
                return true;
        }
    }
    return all;
}

TEST(simt_lin, agrees_with_exhaustive_search)
{
    uint64_t seed = test_seed();
    uint32_t ok = 0, bad = 0;

    for (int round = 0; round < 20000; round++) {
        struct simt_lin_op ops[RND_OPS];
        struct reg_op regs[RND_OPS];
        struct simt_lin_result result;
        bool is_legal;

        for (uint32_t i = 0; i < RND_OPS; i++) {
            uint64_t begin = test_rand(&seed) % 20 * 100 + i * 2;

            regs[i] = (struct reg_op){.kind = (int)(test_rand(&seed) % 3),
                .value = (uint32_t)(1 + test_rand(&seed) % 3),
                .expect = (uint32_t)(test_rand(&seed) % 3),
                .got = (uint32_t)(test_rand(&seed) % 4),
                .ok = test_rand(&seed) % 2 == 0};
            ops[i] = (struct simt_lin_op){.begin = {begin, begin}, .op = &regs[i]};
            ops[i].end.ns = begin + 1 + test_rand(&seed) % 8 * 100;
            ops[i].is_answered = test_rand(&seed) % 4 != 0;
            if (!ops[i].is_answered && regs[i].kind == OP_READ)
                regs[i].kind = OP_WRITE;
        }
        is_legal = search(ops, RND_OPS, 0, 0);
        if (CHECK(ops) != (is_legal ? SIMT_LIN_OK : SIMT_LIN_BAD)) {
            EXPECT_EQ(CHECK(ops), is_legal ? SIMT_LIN_OK : SIMT_LIN_BAD);
            break;
        }
        ok += is_legal;
        bad += !is_legal;
    }
    EXPECT_GT(ok, 500);
    EXPECT_GT(bad, 500);
}
