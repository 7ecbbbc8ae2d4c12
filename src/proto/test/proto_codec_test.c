/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: PR-1 to PR-3 for every message of the tables, and the documented errors.
 * Method: contents made from the field tables (proto_fill.c) go round through the engine; encodings are cut at every byte and have every
 * bit flipped, in copies of exact size so that a sanitizer sees a read past the end; limits are tried at the limit and one above.
 */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/util.h"
#include "harness/harness.h"
#include "proto/proto_ops.h"
#include "proto/proto_svc.h"
#include "proto/test/proto_fill.h"

enum { BUF_BYTES = 1 << 20 };

struct fixture {
    struct arena in, out;
    uint8_t *buf;
    void *a, *b; /* room for any struct */
};

static void
fixture_init(struct fixture *f)
{
    arena_init(&f->in, 4096, 64u << 20);
    arena_init(&f->out, 4096, 64u << 20);
    f->buf = malloc(BUF_BYTES);
    f->a = calloc(1, 4096);
    f->b = calloc(1, 4096);
}

static void
fixture_fini(struct fixture *f)
{
    arena_fini(&f->in);
    arena_fini(&f->out);
    free(f->buf);
    free(f->a);
    free(f->b);
}

/* Every pair of fields of a table is apart and inside the struct; the growth of PR-1 holds for it. */
static size_t
field_bytes(const struct proto_field *f)
{
    static const size_t bytes[] = {[PROTO_U8] = 1,
        [PROTO_U16] = 2,
        [PROTO_U32] = 4,
        [PROTO_U64] = 8,
        [PROTO_I32] = 4,
        [PROTO_UUID] = 16,
        [PROTO_OID] = 16,
        [PROTO_BYTES] = sizeof(struct iov),
        [PROTO_STR] = sizeof(struct iov),
        [PROTO_ARRAY] = sizeof(struct proto_array)};

    return f->type == PROTO_STRUCT ? f->sub->struct_bytes : bytes[f->type];
}

TEST(proto_codec, tables_are_sound)
{
    uint32_t nr;
    const struct proto_msg *const *msgs = proto_msg_table(&nr);

    EXPECT_GT(nr, 50u);
    for (uint32_t m = 0; m < nr; m++) {
        const struct proto_msg *msg = msgs[m];
        uint8_t zero[4096] = {0};
        size_t end = 0;

        EXPECT_LE(msg->struct_bytes, sizeof(zero));
        EXPECT_GT(msg->field_nr, 0u);
        for (uint32_t i = 0; i < msg->field_nr; i++) {
            const struct proto_field *f = &msg->fields[i];

            EXPECT_GE(f->off, end); /* in the order of the struct: none twice, none overlapping */
            EXPECT_LT(f->off - end, 8u); /* and none forgotten: gaps are padding */
            end = f->off + field_bytes(f);
            EXPECT_EQ(f->sub != NULL, f->type == PROTO_ARRAY || f->type == PROTO_STRUCT);
            EXPECT_EQ(f->max != 0,
                f->type == PROTO_ARRAY || f->type == PROTO_BYTES || f->type == PROTO_STR);
        }
        EXPECT_LE(end, msg->struct_bytes);
        EXPECT_LT(msg->struct_bytes - end, 8u);
        EXPECT_LE(msg->struct_bytes, PROTO_GROWTH_MAX * proto_size(msg, zero)); /* PR-1 */
    }
}

TEST(proto_codec, ops_are_sound)
{
    uint32_t nr;
    const struct proto_op *ops = proto_op_table(&nr);

    for (uint32_t i = 0; i < nr; i++) {
        EXPECT(proto_op_find(ops[i].opcode) == &ops[i]);
        EXPECT(ops[i].req != NULL);
        EXPECT(ops[i].rep != NULL);
        EXPECT(i == 0 || ops[i - 1].opcode < ops[i].opcode);
    }
    EXPECT(proto_op_find(0) == NULL);
    EXPECT(proto_op_find(0x0100) == NULL);
    EXPECT(proto_op_find(0x01ff) == NULL);
    EXPECT(proto_op_find(UINT16_MAX) == NULL);
    EXPECT(proto_op_find(PROTO_OBJ_APPLY)->is_modifying);
    EXPECT(!proto_op_find(PROTO_OBJ_FETCH)->is_modifying);
    EXPECT_EQ(proto_op_find(PROTO_CONT_ATTR_DEL)->req->struct_bytes, sizeof(struct proto_attr_req));
    EXPECT_EQ(proto_op_find(PROTO_SYS_QUERY)->req->struct_bytes, sizeof(struct proto_empty));
}

TEST(proto_codec, random_contents_go_round)
{
    struct fixture f;
    struct proto_fill fill;
    uint32_t nr;
    const struct proto_msg *const *msgs = proto_msg_table(&nr);

    fixture_init(&f);
    proto_fill_init(&fill, PROTO_FILL_RANDOM, test_seed(), &f.in);
    for (uint32_t m = 0; m < nr; m++) {
        for (int round = 0; round < 100; round++) {
            size_t size, len = 0;
            uint8_t *exact;

            arena_reset(&f.in);
            arena_reset(&f.out);
            proto_fill_struct(&fill, msgs[m], f.a);
            size = proto_size(msgs[m], f.a);
            if (!EXPECT_LE(size, (size_t)BUF_BYTES))
                continue;
            EXPECT_OK(proto_encode(msgs[m], f.a, f.buf, size, &len));
            EXPECT_EQ(len, size);
            exact = malloc(len);
            memcpy(exact, f.buf, len);
            memset(f.b, 0xee, 4096);
            EXPECT_OK(proto_decode(msgs[m], exact, len, &f.out, f.b));
            if (!EXPECT(proto_fill_equal(msgs[m], f.a, f.b))) {
                char text[2000];
                struct strbuf sb;

                strbuf_init(&sb, text, sizeof(text));
                proto_to_text(msgs[m], f.a, &sb);
                EXPECT_STR_EQ(text, "");
            }
            if (size > 0) {
                EXPECT_ERR(proto_encode(msgs[m], f.a, f.buf, size - 1, &len), TRUNC);
            }
            free(exact);
        }
    }
    fixture_fini(&f);
}

/* Decode what may be malformed; when it is not, it must encode to something that decodes to the same. */
static int
decode_any(struct fixture *f, const struct proto_msg *msg, const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    uint8_t zero[4096] = {0};
    size_t again = 0;
    int rc;

    memcpy(exact, bytes, len);
    arena_reset(&f->out);
    rc = proto_decode(msg, exact, len, &f->out, f->b);
    EXPECT(f->out.total_bytes <=
        2 * PROTO_GROWTH_MAX * len + 8192); /* PR-1; the arena doubles its blocks */
    if (rc != 0) {
        EXPECT_ERR(rc, PROTO);
        EXPECT_MEM_EQ(f->b, zero, msg->struct_bytes);
    } else {
        EXPECT_OK(proto_encode(msg, f->b, f->buf, BUF_BYTES, &again));
        EXPECT_OK(proto_decode(msg, f->buf, again, &f->in, f->a));
        EXPECT(proto_fill_equal(msg, f->a, f->b));
    }
    free(exact);
    return rc;
}

TEST(proto_codec, cut_and_flipped)
{
    struct fixture f;
    uint32_t nr;
    const struct proto_msg *const *msgs = proto_msg_table(&nr);

    fixture_init(&f);
    for (uint32_t m = 0; m < nr; m++) {
        struct proto_fill fill;
        static uint8_t good[65536];
        size_t len = 0;
        uint32_t cut_ok_nr = 0;

        arena_reset(&f.in);
        proto_fill_init(&fill, PROTO_FILL_PATTERN, 0, &f.in);
        proto_fill_struct(&fill, msgs[m], f.a);
        if (!EXPECT_OK(proto_encode(msgs[m], f.a, good, sizeof(good), &len)))
            continue;
        for (size_t cut = 0; cut < len; cut++) {
            arena_reset(&f.in);
            cut_ok_nr += decode_any(&f, msgs[m], good, cut) == 0;
        }
        EXPECT_EQ(cut_ok_nr, msgs[m]->field_nr); /* between fields, and at the start: an older sender */
        for (size_t bit = 0; bit < len * 8; bit++) {
            arena_reset(&f.in);
            good[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CAIRN_IGNORE(decode_any(&f, msgs[m], good, len)); /* either is fine; decode_any() checks */
            good[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        memset(good + len, 0xff, 64); /* fields that a newer sender appended */
        EXPECT_OK(decode_any(&f, msgs[m], good, len + 64));
    }
    fixture_fini(&f);
}

TEST(proto_codec, older_sender)
{
    struct fixture f;
    struct proto_pool_tgt_query_req in = {.tgt = 7}, out = {.tgt = 99};
    const struct proto_msg *msg = proto_op_find(PROTO_POOL_TGT_QUERY)->req;
    size_t len = 0;

    fixture_init(&f);
    memset(in.pool.b, 0x5a, 16);
    EXPECT_OK(proto_encode(msg, &in, f.buf, BUF_BYTES, &len));
    EXPECT_EQ(len, 20u);
    EXPECT_OK(proto_decode(msg, f.buf, 16, &f.out, &out));
    EXPECT_EQ(cuuid_cmp(&in.pool, &out.pool), 0);
    EXPECT_EQ(out.tgt, 0u);
    EXPECT_ERR(proto_decode(msg, f.buf, 18, &f.out, &out), PROTO);
    fixture_fini(&f);
}

static void
check_string_limit(struct fixture *f, const struct proto_msg *msg, const struct proto_field *field)
{
    struct iov *str = (struct iov *)((uint8_t *)f->a + field->off);
    char *text = malloc((size_t)field->max + 1);
    size_t len = 0;
    size_t at;

    memset(f->a, 0, 4096);
    memset(text, 'x', (size_t)field->max + 1);
    *str = (struct iov){text, field->max};
    EXPECT_OK(proto_encode(msg, f->a, f->buf, BUF_BYTES, &len));
    EXPECT_OK(proto_decode(msg, f->buf, len, &f->out, f->b));
    EXPECT(proto_fill_equal(msg, f->a, f->b));
    /* One more by hand: the count stands where the first x is, minus 4; then the bytes are there, too. */
    at = (size_t)((uint8_t *)memchr(f->buf, 'x', len) - f->buf) - 4;
    le32_put(f->buf + at, field->max + 1);
    EXPECT_ERR(proto_decode(msg, f->buf, len + 64, &f->out, f->b), PROTO);
    str->len = (size_t)field->max + 1;
    EXPECT_ERR(proto_encode(msg, f->a, f->buf, BUF_BYTES, &len), OVERFLOW);
    *str = (struct iov){NULL, 1};
    EXPECT_ERR(proto_encode(msg, f->a, f->buf, BUF_BYTES, &len), INVAL);
    if (field->type == PROTO_STR) {
        text[1] = 0;
        *str = (struct iov){text, 3};
        EXPECT_ERR(proto_encode(msg, f->a, f->buf, BUF_BYTES, &len), INVAL);
        text[1] = 'x';
        EXPECT_OK(proto_encode(msg, f->a, f->buf, BUF_BYTES, &len));
        ((uint8_t *)memchr(f->buf, 'x', len))[1] = 0;
        EXPECT_ERR(proto_decode(msg, f->buf, len, &f->out, f->b), PROTO);
    }
    free(text);
}

static void
check_array_limit(struct fixture *f, const struct proto_msg *msg, const struct proto_field *field)
{
    struct proto_array *array = (struct proto_array *)((uint8_t *)f->a + field->off);
    uint8_t *big = malloc(4u << 20);
    size_t len = 0;

    memset(f->a, 0, 4096);
    array->nr = field->max;
    array->items = calloc((size_t)field->max + 1, field->sub->struct_bytes);
    EXPECT_OK(proto_encode(msg, f->a, big, 4u << 20, &len));
    EXPECT_OK(proto_decode(msg, big, len, &f->out, f->b));
    EXPECT(proto_fill_equal(msg, f->a, f->b));
    array->nr++;
    EXPECT_ERR(proto_encode(msg, f->a, big, 4u << 20, &len), OVERFLOW);
    free(array->items);
    array->items = NULL;
    array->nr = 1;
    EXPECT_ERR(proto_encode(msg, f->a, big, 4u << 20, &len), INVAL);
    free(big);
}

TEST(proto_codec, limits)
{
    struct fixture f;
    uint32_t nr;
    const struct proto_msg *const *msgs = proto_msg_table(&nr);

    fixture_init(&f);
    for (uint32_t m = 0; m < nr; m++) {
        for (uint32_t i = 0; i < msgs[m]->field_nr; i++) {
            const struct proto_field *field = &msgs[m]->fields[i];

            arena_reset(&f.out);
            if (field->type == PROTO_STR || field->type == PROTO_BYTES) {
                check_string_limit(&f, msgs[m], field);
            } else if (field->type == PROTO_ARRAY) {
                check_array_limit(&f, msgs[m], field);
            }
        }
    }
    fixture_fini(&f);
}

/* A count within the field's limit that the bytes cannot hold is refused before anything is allocated (PR-1). */
TEST(proto_codec, lying_count)
{
    struct arena arena;
    struct proto_obj_apply_req req;
    uint8_t body[64] = {0};

    arena_init(&arena, 64, 1u << 20);
    le32_put(body, 256);
    EXPECT_ERR(
        proto_decode(proto_op_find(PROTO_OBJ_APPLY)->req, body, sizeof(body), &arena, &req), PROTO);
    EXPECT_EQ(arena.total_bytes, 0u);
    le32_put(body, 257);
    EXPECT_ERR(
        proto_decode(proto_op_find(PROTO_OBJ_APPLY)->req, body, sizeof(body), &arena, &req), PROTO);
    le32_put(body, UINT32_MAX);
    EXPECT_ERR(
        proto_decode(proto_op_find(PROTO_OBJ_APPLY)->req, body, sizeof(body), &arena, &req), PROTO);
    EXPECT_EQ(arena.total_bytes, 0u);
    arena_fini(&arena);
}

TEST(proto_codec, arena_limit)
{
    struct fixture f;
    struct arena small;
    struct proto_prop_req in = {.props.nr = 100}, out;
    const struct proto_msg *msg = proto_op_find(PROTO_POOL_PROP_GET)->req;
    size_t len = 0;

    fixture_init(&f);
    in.props.items = calloc(100, sizeof(struct proto_prop));
    EXPECT_OK(proto_encode(msg, &in, f.buf, BUF_BYTES, &len));
    arena_init(&small, 64, 128);
    EXPECT_ERR(proto_decode(msg, f.buf, len, &small, &out), NOMEM);
    arena_fini(&small);
    free(in.props.items);
    fixture_fini(&f);
}

TEST(proto_codec, text)
{
    char text[256];
    struct strbuf sb;
    struct proto_recx recxs[2] = {{1, 2}, {3, 4}};
    struct proto_iod iod = {.akey = {"a\n", 2}, .type = 2, .size = 8, .recxs = {2, recxs}};
    struct proto_obj_fetch_req req = {.oid = {1, 2}, .epoch = UINT64_MAX, .iods = {1, &iod}};

    strbuf_init(&sb, text, sizeof(text));
    proto_to_text(proto_op_find(PROTO_OBJ_FETCH)->req, &req, &sb);
    EXPECT_STR_EQ(text,
        "obj_fetch_req{oid=2.1 shard=0 layout_ver=0 epoch=18446744073709551615 flags=0 dkey=\"\" "
        "iods=1[{akey=\"a\\x0a\" type=2 cond=0 size=8 recxs=2[{idx=1 nr=2}{idx=3 nr=4}] "
        "buf_len=0}] "
        "bulk={id=0 key=0 len=0}}");
    strbuf_init(&sb, text, 20); /* cut, not overrun */
    proto_to_text(proto_op_find(PROTO_OBJ_FETCH)->req, &req, &sb);
    EXPECT(sb.cut);
    EXPECT_EQ(strlen(text), 19u);
}
