/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "proto/test/proto_fill.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void
proto_fill_init(struct proto_fill *fill, enum proto_fill_mode mode, uint64_t seed, struct arena *arena)
{
    memset(fill, 0, sizeof(*fill));
    fill->mode = mode;
    fill->arena = arena;
    rng_init(&fill->rng, seed);
}

static uint64_t
fill_num(struct proto_fill *fill)
{
    if (fill->mode == PROTO_FILL_PATTERN) {
        fill->next += UINT64_C(0x0101010101010101);
        return fill->next;
    }
    /* The edges often: all zeros, all ones. */
    switch (rng_below(&fill->rng, 8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    default:
        return rng_u64(&fill->rng) >> rng_below(&fill->rng, 64);
    }
}

static uint32_t
fill_count(struct proto_fill *fill, uint32_t max, uint32_t usual)
{
    if (fill->mode == PROTO_FILL_PATTERN)
        return MIN(max, 2u);
    if (rng_chance(&fill->rng, 1, 4))
        return 0;
    return (uint32_t)rng_range(&fill->rng, 0, MIN(max, usual));
}

static void
fill_bytes(struct proto_fill *fill, const struct proto_field *f, struct iov *bytes)
{
    uint8_t *p;

    bytes->len = fill->mode == PROTO_FILL_PATTERN ? MIN(f->max, 5u) : fill_count(fill, f->max, 300);
    bytes->buf = NULL;
    if (bytes->len == 0)
        return;
    p = arena_alloc(fill->arena, bytes->len);
    if (p == NULL)
        abort();
    for (size_t i = 0; i < bytes->len; i++) {
        p[i] = (uint8_t)(fill->mode == PROTO_FILL_PATTERN ? 'a' + i : rng_u64(&fill->rng));
        if (f->type == PROTO_STR && p[i] == 0) {
            p[i] = 1;
        }
    }
    bytes->buf = p;
}

static void
fill_array(struct proto_fill *fill, const struct proto_field *f, struct proto_array *array)
{
    array->nr = fill_count(fill, f->max, 6);
    array->items = NULL;
    if (array->nr == 0)
        return;
    array->items = arena_calloc(fill->arena, array->nr, f->sub->struct_bytes);
    if (array->items == NULL)
        abort();
    for (uint32_t i = 0; i < array->nr; i++) {
        proto_fill_struct(fill, f->sub, (uint8_t *)array->items + (size_t)i * f->sub->struct_bytes);
    }
}

void
proto_fill_struct(struct proto_fill *fill, const struct proto_msg *msg, void *st)
{
    memset(st, 0, msg->struct_bytes);
    for (uint32_t i = 0; i < msg->field_nr; i++) {
        const struct proto_field *f = &msg->fields[i];
        void *p = (uint8_t *)st + f->off;

        switch (f->type) {
        case PROTO_U8:
            *(uint8_t *)p = (uint8_t)fill_num(fill);
            break;
        case PROTO_U16:
            *(uint16_t *)p = (uint16_t)fill_num(fill);
            break;
        case PROTO_U32:
        case PROTO_I32:
            *(uint32_t *)p = (uint32_t)fill_num(fill);
            break;
        case PROTO_U64:
            *(uint64_t *)p = fill_num(fill);
            break;
        case PROTO_UUID:
        case PROTO_OID:
            ((uint64_t *)p)[0] = fill_num(fill);
            ((uint64_t *)p)[1] = fill_num(fill);
            break;
        case PROTO_BYTES:
        case PROTO_STR:
            fill_bytes(fill, f, p);
            break;
        case PROTO_ARRAY:
            fill_array(fill, f, p);
            break;
        case PROTO_STRUCT:
            proto_fill_struct(fill, f->sub, p);
            break;
        }
    }
}

static bool
field_equal(const struct proto_field *f, const void *a, const void *b)
{
    static const size_t fixed[] = {[PROTO_U8] = 1,
        [PROTO_U16] = 2,
        [PROTO_U32] = 4,
        [PROTO_U64] = 8,
        [PROTO_I32] = 4,
        [PROTO_UUID] = 16,
        [PROTO_OID] = 16,
        [PROTO_STRUCT] = 0};
    const struct proto_array *aa = a;
    const struct proto_array *ba = b;
    const struct iov *ab = a;
    const struct iov *bb = b;

    switch (f->type) {
    case PROTO_BYTES:
    case PROTO_STR:
        return ab->len == bb->len && (ab->len == 0 || memcmp(ab->buf, bb->buf, ab->len) == 0);
    case PROTO_ARRAY:
        if (aa->nr != ba->nr)
            return false;
        for (uint32_t i = 0; i < aa->nr; i++) {
            size_t off = (size_t)i * f->sub->struct_bytes;

            if (!proto_fill_equal(f->sub, (uint8_t *)aa->items + off, (uint8_t *)ba->items + off))
                return false;
        }
        return true;
    case PROTO_STRUCT:
        return proto_fill_equal(f->sub, a, b);
    default:
        return memcmp(a, b, fixed[f->type]) == 0;
    }
}

bool
proto_fill_equal(const struct proto_msg *msg, const void *a, const void *b)
{
    for (uint32_t i = 0; i < msg->field_nr; i++) {
        const struct proto_field *f = &msg->fields[i];

        if (!field_equal(f, (const uint8_t *)a + f->off, (const uint8_t *)b + f->off))
            return false;
    }
    return true;
}
