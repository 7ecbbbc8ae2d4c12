/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const char hex_digits[] = "0123456789abcdef";

void
strbuf_init(struct strbuf *sb, char *buf, size_t cap)
{
    CAIRN_ASSERT(cap > 0);
    sb->buf = buf;
    sb->cap = cap;
    sb->len = 0;
    sb->cut = false;
    buf[0] = '\0';
}

void
strbuf_addv(struct strbuf *sb, const char *fmt, va_list ap)
{
    size_t room = sb->cap - sb->len;
    int len = vsnprintf(sb->buf + sb->len, room, fmt, ap);

    if (len < 0) {
        sb->buf[sb->len] = '\0';
        sb->cut = true;
    } else if ((size_t)len >= room) {
        sb->len = sb->cap - 1;
        sb->cut = true;
    } else {
        sb->len += (size_t)len;
    }
}

void
strbuf_add(struct strbuf *sb, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_addv(sb, fmt, ap);
    va_end(ap);
}

void
strbuf_add_char(struct strbuf *sb, char c)
{
    if (sb->len + 1 >= sb->cap) {
        sb->cut = true;
        return;
    }
    sb->buf[sb->len++] = c;
    sb->buf[sb->len] = '\0';
}

void
strbuf_add_str(struct strbuf *sb, const char *str)
{
    for (; *str != '\0'; str++) {
        strbuf_add_char(sb, *str);
    }
}

void
strbuf_add_hex(struct strbuf *sb, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        strbuf_add_char(sb, hex_digits[p[i] >> 4]);
        strbuf_add_char(sb, hex_digits[p[i] & 15]);
    }
}

void
strbuf_add_escaped(struct strbuf *sb, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < len; i++) {
        if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') {
            strbuf_add_char(sb, (char)p[i]);
        } else {
            strbuf_add_str(sb, "\\x");
            strbuf_add_hex(sb, &p[i], 1);
        }
    }
}
