/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The engine that walks the field tables. One walk for each purpose (size, encode, decode, print), all in table order; structs recurse
 * along `sub`, which only the static tables decide (PR-3).
 */
#include "proto/proto.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"

enum { TEXT_BYTES_MAX = 48, TEXT_ITEMS_MAX = 8 };

static void encode_struct(const struct proto_msg *msg, const void *st, struct enc *e, uint32_t depth);
static int decode_struct(
    const struct proto_msg *msg, struct dec *d, struct arena *arena, void *st, uint32_t depth);

static const void *
field_in(const struct proto_field *f, const void *st)
{
    return (const uint8_t *)st + f->off;
}

static const void *
item_at(const struct proto_array *array, const struct proto_msg *sub, uint32_t idx)
{
    return (const uint8_t *)array->items + (size_t)idx * sub->struct_bytes;
}

/* ---- size ----------------------------------------------------------------------------------------------------------- */

/* Bytes of a field when every count in it is zero. */
static size_t
field_size_min(const struct proto_field *f, uint32_t depth)
{
    size_t size = 0;

    switch (f->type) {
    case PROTO_U8:
        return 1;
    case PROTO_U16:
        return 2;
    case PROTO_U32:
    case PROTO_I32:
    case PROTO_BYTES:
    case PROTO_STR:
    case PROTO_ARRAY:
        return 4;
    case PROTO_U64:
        return 8;
    case PROTO_UUID:
    case PROTO_OID:
        return 16;
    case PROTO_STRUCT:
        CAIRN_ASSERT(depth < PROTO_DEPTH_MAX);
        for (uint32_t i = 0; i < f->sub->field_nr; i++) {
            size += field_size_min(&f->sub->fields[i], depth + 1);
        }
        return size;
    }
    CAIRN_UNREACHABLE();
}

static size_t
struct_size_min(const struct proto_msg *msg, uint32_t depth)
{
    size_t size = 0;

    for (uint32_t i = 0; i < msg->field_nr; i++) {
        size += field_size_min(&msg->fields[i], depth);
    }
    return size;
}

static size_t
struct_size(const struct proto_msg *msg, const void *st, uint32_t depth)
{
    size_t size = 0;

    CAIRN_ASSERT(depth < PROTO_DEPTH_MAX);
    for (uint32_t i = 0; i < msg->field_nr; i++) {
        const struct proto_field *f = &msg->fields[i];

        if (f->type == PROTO_STRUCT) {
            size += struct_size(f->sub, field_in(f, st), depth + 1);
            continue;
        }
        size += field_size_min(f, depth);
        if (f->type == PROTO_BYTES || f->type == PROTO_STR) {
            size += ((const struct iov *)field_in(f, st))->len;
        } else if (f->type == PROTO_ARRAY) {
            const struct proto_array *array = field_in(f, st);

            for (uint32_t k = 0; k < array->nr; k++) {
                size += struct_size(f->sub, item_at(array, f->sub, k), depth + 1);
            }
        }
    }
    return size;
}

size_t
proto_size(const struct proto_msg *msg, const void *st)
{
    return struct_size(msg, st, 0);
}

/* ---- encode --------------------------------------------------------------------------------------------------------- */

static void
encode_bytes(const struct proto_field *f, const struct iov *bytes, struct enc *e)
{
    int rc = 0;

    if (bytes->len > f->max) {
        rc = CAIRN_ERR(OVERFLOW);
    } else if (bytes->len > 0 && bytes->buf == NULL) {
        rc = CAIRN_ERR(INVAL);
    } else if (f->type == PROTO_STR && bytes->len > 0 && memchr(bytes->buf, 0, bytes->len) != NULL) {
        rc = CAIRN_ERR(INVAL);
    }
    if (rc == 0) {
        enc_blob(e, bytes->buf, bytes->len);
    } else if (e->rc == 0) {
        e->rc = rc;
    }
}

static void
encode_array(
    const struct proto_field *f, const struct proto_array *array, struct enc *e, uint32_t depth)
{
    if (e->rc == 0 && array->nr > f->max) {
        e->rc = CAIRN_ERR(OVERFLOW);
    }
    if (e->rc == 0 && array->nr > 0 && array->items == NULL) {
        e->rc = CAIRN_ERR(INVAL);
    }
    if (e->rc != 0)
        return;
    enc_u32(e, array->nr);
    for (uint32_t i = 0; i < array->nr && e->rc == 0; i++) {
        encode_struct(f->sub, item_at(array, f->sub, i), e, depth + 1);
    }
}

static void
encode_struct(const struct proto_msg *msg, const void *st, struct enc *e, uint32_t depth)
{
    CAIRN_ASSERT(depth < PROTO_DEPTH_MAX);
    for (uint32_t i = 0; i < msg->field_nr && e->rc == 0; i++) {
        const struct proto_field *f = &msg->fields[i];
        const void *p = field_in(f, st);

        switch (f->type) {
        case PROTO_U8:
            enc_u8(e, *(const uint8_t *)p);
            break;
        case PROTO_U16:
            enc_u16(e, *(const uint16_t *)p);
            break;
        case PROTO_U32:
            enc_u32(e, *(const uint32_t *)p);
            break;
        case PROTO_I32:
            enc_u32(e, (uint32_t) * (const int32_t *)p);
            break;
        case PROTO_U64:
            enc_u64(e, *(const uint64_t *)p);
            break;
        case PROTO_UUID:
            enc_uuid(e, p);
            break;
        case PROTO_OID:
            enc_oid(e, *(const struct oid *)p);
            break;
        case PROTO_BYTES:
        case PROTO_STR:
            encode_bytes(f, p, e);
            break;
        case PROTO_ARRAY:
            encode_array(f, p, e, depth);
            break;
        case PROTO_STRUCT:
            encode_struct(f->sub, p, e, depth + 1);
            break;
        }
    }
}

int
proto_encode(const struct proto_msg *msg, const void *st, void *buf, size_t buf_len, size_t *ret_len)
{
    struct enc e;
    bool is_short;

    enc_init(&e, buf, buf_len);
    encode_struct(msg, st, &e, 0);
    if (e.rc == 0) {
        *ret_len = e.len;
        return 0;
    }
    /* The cursor says OVERFLOW for a full buffer, which here means a value above its limit: ask again without a buffer. */
    is_short = e.rc == -DER_OVERFLOW;
    if (is_short) {
        enc_init(&e, NULL, SIZE_MAX);
        encode_struct(msg, st, &e, 0);
    }
    return e.rc != 0 ? e.rc : CAIRN_ERR(TRUNC);
}

/* ---- decode --------------------------------------------------------------------------------------------------------- */

static void
decode_bytes(const struct proto_field *f, struct dec *d, struct iov *ret_bytes)
{
    size_t len = 0;
    const void *p = dec_blob(d, f->max, &len);

    if (dec_check(d) != 0)
        return;
    if (f->type == PROTO_STR && len > 0 && memchr(p, 0, len) != NULL) {
        dec_fail(d, CAIRN_ERR(PROTO));
        return;
    }
    /* Whoever gets the decoded struct reads through it only. */
    ret_bytes->buf = len > 0 ? (void *)(uintptr_t)p : NULL;
    ret_bytes->len = len;
}

static int
decode_array(const struct proto_field *f, struct dec *d, struct arena *arena,
    struct proto_array *ret_array, uint32_t depth)
{
    uint32_t nr = dec_u32(d);
    uint8_t *items;
    int rc = dec_check(d);

    if (rc != 0)
        return rc;
    /* PR-1: as many items as the bytes that are left can hold at the very least. */
    if (nr > f->max || nr > dec_left(d) / struct_size_min(f->sub, depth + 1))
        return CAIRN_ERR(PROTO);
    if (nr == 0)
        return 0;
    items = arena_calloc(arena, nr, f->sub->struct_bytes);
    if (items == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr; i++) {
        rc = decode_struct(f->sub, d, arena, items + (size_t)i * f->sub->struct_bytes, depth + 1);
        if (rc != 0)
            return rc;
    }
    ret_array->nr = nr;
    ret_array->items = items;
    return 0;
}

static int
decode_field(const struct proto_field *f, struct dec *d, struct arena *arena, void *p, uint32_t depth)
{
    switch (f->type) {
    case PROTO_U8:
        *(uint8_t *)p = dec_u8(d);
        break;
    case PROTO_U16:
        *(uint16_t *)p = dec_u16(d);
        break;
    case PROTO_U32:
        *(uint32_t *)p = dec_u32(d);
        break;
    case PROTO_I32:
        *(int32_t *)p = (int32_t)dec_u32(d);
        break;
    case PROTO_U64:
        *(uint64_t *)p = dec_u64(d);
        break;
    case PROTO_UUID:
        *(struct uuid *)p = dec_uuid(d);
        break;
    case PROTO_OID:
        *(struct oid *)p = dec_oid(d);
        break;
    case PROTO_BYTES:
    case PROTO_STR:
        decode_bytes(f, d, p);
        break;
    case PROTO_ARRAY:
        return decode_array(f, d, arena, p, depth);
    case PROTO_STRUCT:
        return decode_struct(f->sub, d, arena, p, depth + 1);
    }
    return dec_check(d) == 0 ? 0 : CAIRN_ERR(PROTO);
}

static int
decode_struct(
    const struct proto_msg *msg, struct dec *d, struct arena *arena, void *st, uint32_t depth)
{
    CAIRN_ASSERT(depth < PROTO_DEPTH_MAX);
    for (uint32_t i = 0; i < msg->field_nr; i++) {
        const struct proto_field *f = &msg->fields[i];
        int rc;

        if (depth == 0 && dec_left(d) == 0)
            break; /* an older sender: the rest is zero */
        rc = decode_field(f, d, arena, (uint8_t *)st + f->off, depth);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int
proto_decode(
    const struct proto_msg *msg, const void *buf, size_t len, struct arena *arena, void *ret_st)
{
    struct dec d;
    int rc;

    memset(ret_st, 0, msg->struct_bytes);
    dec_init(&d, buf, len);
    rc = decode_struct(msg, &d, arena, ret_st, 0);
    if (rc != 0) {
        memset(ret_st, 0, msg->struct_bytes);
    }
    return rc;
}

/* ---- print ---------------------------------------------------------------------------------------------------------- */

static void
struct_to_text(const struct proto_msg *msg, const void *st, struct strbuf *sb, uint32_t depth);

static void
bytes_to_text(const struct proto_field *f, const struct iov *bytes, struct strbuf *sb)
{
    size_t shown = MIN(bytes->len, (size_t)TEXT_BYTES_MAX);

    strbuf_add_char(sb, '"');
    if (shown > 0) {
        strbuf_add_escaped(sb, bytes->buf, shown);
    }
    strbuf_add_char(sb, '"');
    if (shown < bytes->len) {
        strbuf_add(sb, "+%zu", bytes->len - shown);
    }
    (void)f;
}

static void
array_to_text(
    const struct proto_field *f, const struct proto_array *array, struct strbuf *sb, uint32_t depth)
{
    uint32_t shown = MIN(array->nr, (uint32_t)TEXT_ITEMS_MAX);

    strbuf_add(sb, "%" PRIu32 "[", array->nr);
    for (uint32_t i = 0; i < shown; i++) {
        struct_to_text(f->sub, item_at(array, f->sub, i), sb, depth + 1);
    }
    strbuf_add_str(sb, shown < array->nr ? "...]" : "]");
}

static void
field_to_text(const struct proto_field *f, const void *p, struct strbuf *sb, uint32_t depth)
{
    char text[MAX(CUUID_TEXT_BYTES, OID_TEXT_BYTES)];

    switch (f->type) {
    case PROTO_U8:
        strbuf_add(sb, "%u", *(const uint8_t *)p);
        break;
    case PROTO_U16:
        strbuf_add(sb, "%u", *(const uint16_t *)p);
        break;
    case PROTO_U32:
        strbuf_add(sb, "%" PRIu32, *(const uint32_t *)p);
        break;
    case PROTO_I32:
        strbuf_add(sb, "%" PRIi32, *(const int32_t *)p);
        break;
    case PROTO_U64:
        strbuf_add(sb, "%" PRIu64, *(const uint64_t *)p);
        break;
    case PROTO_UUID:
        strbuf_add_str(sb, cuuid_format(p, text));
        break;
    case PROTO_OID:
        strbuf_add_str(sb, oid_to_text(*(const struct oid *)p, text));
        break;
    case PROTO_BYTES:
    case PROTO_STR:
        bytes_to_text(f, p, sb);
        break;
    case PROTO_ARRAY:
        array_to_text(f, p, sb, depth);
        break;
    case PROTO_STRUCT:
        struct_to_text(f->sub, p, sb, depth + 1);
        break;
    }
}

static void
struct_to_text(const struct proto_msg *msg, const void *st, struct strbuf *sb, uint32_t depth)
{
    CAIRN_ASSERT(depth < PROTO_DEPTH_MAX);
    strbuf_add_char(sb, '{');
    for (uint32_t i = 0; i < msg->field_nr; i++) {
        const struct proto_field *f = &msg->fields[i];

        strbuf_add(sb, "%s%s=", i > 0 ? " " : "", f->name);
        field_to_text(f, field_in(f, st), sb, depth);
    }
    strbuf_add_char(sb, '}');
}

void
proto_to_text(const struct proto_msg *msg, const void *st, struct strbuf *sb)
{
    strbuf_add_str(sb, msg->name);
    struct_to_text(msg, st, sb, 0);
}
