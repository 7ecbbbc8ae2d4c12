/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/ids.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/hash.h"

#define CUUID_TEXT_LEN 36

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool
is_dash_pos(size_t pos)
{
    return pos == 8 || pos == 13 || pos == 18 || pos == 23;
}

int
cuuid_parse(const char *text, struct uuid *ret_id)
{
    struct uuid id = {{0}};
    size_t digits_nr = 0;

    if (text == NULL || strnlen(text, CUUID_TEXT_LEN + 1) != CUUID_TEXT_LEN)
        return CAIRN_ERR(INVAL);
    for (size_t i = 0; i < CUUID_TEXT_LEN; i++) {
        int v;

        if (is_dash_pos(i)) {
            if (text[i] != '-')
                return CAIRN_ERR(INVAL);
            continue;
        }
        v = hex_value(text[i]);
        if (v < 0)
            return CAIRN_ERR(INVAL);
        id.b[digits_nr / 2] = (uint8_t)(id.b[digits_nr / 2] << 4 | v);
        digits_nr++;
    }
    *ret_id = id;
    return 0;
}

char *
cuuid_format(const struct uuid *id, char *buf)
{
    static const char digits[] = "0123456789abcdef";
    size_t digits_nr = 0;

    for (size_t i = 0; i < CUUID_TEXT_LEN; i++) {
        uint8_t byte = id->b[digits_nr / 2];

        if (is_dash_pos(i)) {
            buf[i] = '-';
            continue;
        }
        buf[i] = digits[digits_nr % 2 == 0 ? byte >> 4 : byte & 15];
        digits_nr++;
    }
    buf[CUUID_TEXT_LEN] = '\0';
    return buf;
}

/* Set the version and variant fields of RFC 9562. */
static void
cuuid_stamp(struct uuid *id, uint8_t version)
{
    id->b[6] = (uint8_t)((id->b[6] & 0x0f) | version << 4);
    id->b[8] = (uint8_t)((id->b[8] & 0x3f) | 0x80);
}

struct uuid
cuuid_from_random(uint64_t r0, uint64_t r1)
{
    struct uuid id;

    le64_put(id.b, r0);
    le64_put(id.b + 8, r1);
    cuuid_stamp(&id, 4);
    return id;
}

struct uuid
cuuid_derive(const struct uuid *id, uint64_t salt)
{
    struct uuid derived;

    le64_put(derived.b, hash_bytes64(id->b, sizeof(id->b), salt));
    le64_put(derived.b + 8, hash_bytes64(id->b, sizeof(id->b), ~salt));
    cuuid_stamp(&derived, 8);
    return derived;
}

char *
oid_to_text(struct oid oid, char *buf)
{
    snprintf(buf, OID_TEXT_BYTES, "%" PRIu64 ".%" PRIu64, oid.hi, oid.lo);
    return buf;
}

uint64_t
oid_hash(struct oid oid)
{
    uint8_t bytes[16];

    le64_put(bytes, oid.lo);
    le64_put(bytes + 8, oid.hi);
    return hash_bytes64(bytes, sizeof(bytes), 0);
}
