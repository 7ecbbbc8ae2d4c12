/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Text builder over a caller's buffer: always terminated, never overruns, remembers that it was cut. */
#ifndef CAIRN_BASE_STRBUF_H
#define CAIRN_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
    char *buf;
    size_t cap; /* bytes in buf, terminator included */
    size_t len; /* characters in it */
    bool cut; /* something did not fit */
};

/** Start with an empty text in *buf* of *cap* bytes (at least 1). */
void strbuf_init(struct strbuf *sb, char *buf, size_t cap);

void strbuf_add(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void
strbuf_addv(struct strbuf *sb, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void strbuf_add_str(struct strbuf *sb, const char *str);
void strbuf_add_char(struct strbuf *sb, char c);

/** Two hexadecimal digits a byte. */
void strbuf_add_hex(struct strbuf *sb, const void *bytes, size_t len);

/** Printable ASCII as it is, other bytes and the backslash as \xNN: for keys in messages. */
void strbuf_add_escaped(struct strbuf *sb, const void *bytes, size_t len);

#endif /* CAIRN_BASE_STRBUF_H */
