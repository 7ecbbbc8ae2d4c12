/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Little-endian numbers at any address, and bounded cursors to write and read records.
 *
 * A cursor remembers the first failure (writing past the end, reading past the end) and from then on does nothing and returns zeros,
 * so that a codec is straight-line code with one check at its end. Nothing here trusts lengths found in the bytes.
 */
#ifndef CAIRN_BASE_CODEC_H
#define CAIRN_BASE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/ids.h"

static inline uint16_t
le16_get(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;

    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t
le32_get(const void *p)
{
    const uint8_t *b = (const uint8_t *)p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t
le64_get(const void *p)
{
    return le32_get(p) | (uint64_t)le32_get((const uint8_t *)p + 4) << 32;
}

static inline void
le16_put(void *p, uint16_t v)
{
    uint8_t *b = (uint8_t *)p;

    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline void
le32_put(void *p, uint32_t v)
{
    uint8_t *b = (uint8_t *)p;

    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)(v >> 16);
    b[3] = (uint8_t)(v >> 24);
}

static inline void
le64_put(void *p, uint64_t v)
{
    le32_put(p, (uint32_t)v);
    le32_put((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

/** Big-endian, whose byte order is the order of the numbers. */
static inline uint64_t
be64_get(const void *p)
{
    return __builtin_bswap64(le64_get(p));
}

static inline void
be64_put(void *p, uint64_t v)
{
    le64_put(p, __builtin_bswap64(v));
}

/** Write cursor. */
struct enc {
    uint8_t *buf;
    size_t cap;
    size_t len; /* bytes written */
    int rc; /* 0, or the first failure */
};

/** Start writing at *buf*. A NULL *buf* with *cap* SIZE_MAX only measures: len grows, nothing is stored. */
static inline void
enc_init(struct enc *e, void *buf, size_t cap)
{
    e->buf = (uint8_t *)buf;
    e->cap = cap;
    e->len = 0;
    e->rc = 0;
}

/** Room for *len* bytes, or NULL (measuring, or full: then rc is -DER_OVERFLOW). */
void *enc_reserve(struct enc *e, size_t len);

void enc_u8(struct enc *e, uint8_t v);
void enc_u16(struct enc *e, uint16_t v);
void enc_u32(struct enc *e, uint32_t v);
void enc_u64(struct enc *e, uint64_t v);
/** Exactly *len* bytes, without a length. */
void enc_bytes(struct enc *e, const void *src, size_t len);
/** u32 length, then the bytes; *len* above UINT32_MAX fails. */
void enc_blob(struct enc *e, const void *src, size_t len);
/** enc_blob of a string without its terminator; NULL is encoded as "". */
void enc_str(struct enc *e, const char *str);
void enc_uuid(struct enc *e, const struct uuid *id);
void enc_oid(struct enc *e, struct oid oid);
/** Zero bytes up to a multiple of *align* (power of two) from the start. */
void enc_pad(struct enc *e, size_t align);

/** Read cursor. */
struct dec {
    const uint8_t *buf;
    size_t cap;
    size_t off; /* bytes read */
    int rc; /* 0, or the first failure */
};

static inline void
dec_init(struct dec *d, const void *buf, size_t len)
{
    d->buf = (const uint8_t *)buf;
    d->cap = len;
    d->off = 0;
    d->rc = 0;
}

static inline size_t
dec_left(const struct dec *d)
{
    return d->cap - d->off;
}

uint8_t dec_u8(struct dec *d);
uint16_t dec_u16(struct dec *d);
uint32_t dec_u32(struct dec *d);
uint64_t dec_u64(struct dec *d);
/** Exactly *len* bytes to *dst*; *dst* is cleared when they are not there. */
void dec_bytes(struct dec *d, void *dst, size_t len);
/** Skip *len* bytes and return where they begin in the buffer, NULL when they are not there. */
const void *dec_skip(struct dec *d, size_t len);
/** u32 length and bytes: where they begin in the buffer; NULL and 0 on failure or when longer than *len_max*. */
const void *dec_blob(struct dec *d, size_t len_max, size_t *ret_len);
/** The same for a string copied to *dst* of *cap* bytes with a terminator; one with a zero byte inside fails. */
void dec_str(struct dec *d, char *dst, size_t cap);
struct uuid dec_uuid(struct dec *d);
struct oid dec_oid(struct dec *d);
/** Skip zero bytes up to a multiple of *align*; other bytes fail. */
void dec_pad(struct dec *d, size_t align);
/** A failure found by the caller in what it read (a value out of range); keeps an earlier one. */
void dec_fail(struct dec *d, int rc);

/** Result so far. A cursor that ran out of bytes says -DER_PROTO. */
static inline int
dec_check(const struct dec *d)
{
    return d->rc;
}

/** As above, and -DER_PROTO when bytes are left over. */
int dec_end(struct dec *d);

static inline int
enc_check(const struct enc *e)
{
    return e->rc;
}

#endif /* CAIRN_BASE_CODEC_H */
