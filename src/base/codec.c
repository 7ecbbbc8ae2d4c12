/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/codec.h"

#include "base/assert.h"
#include "base/util.h"

void *
enc_reserve(struct enc *e, size_t len)
{
    void *ret;

    if (e->rc != 0)
        return NULL;
    if (len > e->cap - e->len) {
        e->rc = CAIRN_ERR(OVERFLOW);
        return NULL;
    }
    ret = e->buf == NULL ? NULL : e->buf + e->len;
    e->len += len;
    return ret;
}

void
enc_u8(struct enc *e, uint8_t v)
{
    uint8_t *p = enc_reserve(e, 1);

    if (p != NULL)
        *p = v;
}

void
enc_u16(struct enc *e, uint16_t v)
{
    void *p = enc_reserve(e, 2);

    if (p != NULL)
        le16_put(p, v);
}

void
enc_u32(struct enc *e, uint32_t v)
{
    void *p = enc_reserve(e, 4);

    if (p != NULL)
        le32_put(p, v);
}

void
enc_u64(struct enc *e, uint64_t v)
{
    void *p = enc_reserve(e, 8);

    if (p != NULL)
        le64_put(p, v);
}

void
enc_bytes(struct enc *e, const void *src, size_t len)
{
    void *p = enc_reserve(e, len);

    if (p != NULL && len > 0)
        memcpy(p, src, len);
}

void
enc_blob(struct enc *e, const void *src, size_t len)
{
    if (len > UINT32_MAX) {
        if (e->rc == 0)
            e->rc = CAIRN_ERR(OVERFLOW);
        return;
    }
    enc_u32(e, (uint32_t)len);
    enc_bytes(e, src, len);
}

void
enc_str(struct enc *e, const char *str)
{
    enc_blob(e, str, str == NULL ? 0 : strlen(str));
}

void
enc_uuid(struct enc *e, const struct uuid *id)
{
    enc_bytes(e, id->b, sizeof(id->b));
}

void
enc_oid(struct enc *e, struct oid oid)
{
    enc_u64(e, oid.lo);
    enc_u64(e, oid.hi);
}

void
enc_pad(struct enc *e, size_t align)
{
    size_t len = ALIGN_UP(e->len, align) - e->len;
    void *p;

    CAIRN_ASSERT(IS_POW2(align));
    p = enc_reserve(e, len);
    if (p != NULL)
        memset(p, 0, len);
}

const void *
dec_skip(struct dec *d, size_t len)
{
    const void *ret;

    if (d->rc != 0)
        return NULL;
    if (len > d->cap - d->off) {
        d->rc = CAIRN_ERR(PROTO);
        return NULL;
    }
    ret = d->buf == NULL ? (const void *)"" : d->buf + d->off;
    d->off += len;
    return ret;
}

uint8_t
dec_u8(struct dec *d)
{
    const uint8_t *p = dec_skip(d, 1);

    return p == NULL ? 0 : *p;
}

uint16_t
dec_u16(struct dec *d)
{
    const void *p = dec_skip(d, 2);

    return p == NULL ? 0 : le16_get(p);
}

uint32_t
dec_u32(struct dec *d)
{
    const void *p = dec_skip(d, 4);

    return p == NULL ? 0 : le32_get(p);
}

uint64_t
dec_u64(struct dec *d)
{
    const void *p = dec_skip(d, 8);

    return p == NULL ? 0 : le64_get(p);
}

void
dec_bytes(struct dec *d, void *dst, size_t len)
{
    const void *p = dec_skip(d, len);

    if (len == 0)
        return;
    if (p == NULL) {
        memset(dst, 0, len);
    } else {
        memcpy(dst, p, len);
    }
}

const void *
dec_blob(struct dec *d, size_t len_max, size_t *ret_len)
{
    size_t len = dec_u32(d);
    const void *p;

    *ret_len = 0;
    if (len > len_max)
        dec_fail(d, -DER_PROTO);
    p = dec_skip(d, len);
    if (p != NULL)
        *ret_len = len;
    return p;
}

void
dec_str(struct dec *d, char *dst, size_t cap)
{
    size_t len;
    const char *p;

    CAIRN_ASSERT(cap > 0);
    p = dec_blob(d, cap - 1, &len);
    if (len > 0 && memchr(p, '\0', len) != NULL) {
        dec_fail(d, -DER_PROTO);
        len = 0;
    }
    if (len > 0)
        memcpy(dst, p, len);
    dst[len] = '\0';
}

struct uuid
dec_uuid(struct dec *d)
{
    struct uuid id;

    dec_bytes(d, id.b, sizeof(id.b));
    return id;
}

struct oid
dec_oid(struct dec *d)
{
    struct oid oid;

    oid.lo = dec_u64(d);
    oid.hi = dec_u64(d);
    return oid;
}

void
dec_pad(struct dec *d, size_t align)
{
    size_t len = ALIGN_UP(d->off, align) - d->off;
    const uint8_t *p;

    CAIRN_ASSERT(IS_POW2(align));
    p = dec_skip(d, len);
    for (size_t i = 0; p != NULL && i < len; i++) {
        if (p[i] != 0) {
            dec_fail(d, -DER_PROTO);
            return;
        }
    }
}

void
dec_fail(struct dec *d, int rc)
{
    CAIRN_ASSERT(rc < 0);
    if (d->rc == 0) {
        err_record(__FILE__, __LINE__, rc);
        d->rc = rc;
    }
}

int
dec_end(struct dec *d)
{
    if (d->rc == 0 && d->off != d->cap)
        d->rc = CAIRN_ERR(PROTO);
    return d->rc;
}
