/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Client-side log: levels, masks and the functions behind the macros of gurt/debug.h.
 */
#ifndef CAIRN_GURT_DLOG_H
#define CAIRN_GURT_DLOG_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

typedef uint64_t d_dbug_t;

/** Priorities, highest first; debug messages are below DLOG_INFO. */
enum {
    DLOG_EMIT = 0x08000000,
    DLOG_EMERG = 0x07000000,
    DLOG_ALERT = 0x06000000,
    DLOG_CRIT = 0x05000000,
    DLOG_ERR = 0x04000000,
    DLOG_WARN = 0x03000000,
    DLOG_NOTE = 0x02000000,
    DLOG_INFO = 0x01000000,
    DLOG_DBG = 0x00ffff00
};

#define DLOG_PRIMASK 0x0fffff00
#define DLOG_FACMASK 0x000000ff

/** Flags of d_log_init_adv(); accepted for compatibility. */
#define DLOG_FLV_LOGPID (1 << 0)
#define DLOG_FLV_FQDN (1 << 1)
#define DLOG_FLV_FAC (1 << 2)
#define DLOG_FLV_YEAR (1 << 3)
#define DLOG_FLV_TAG (1 << 4)
#define DLOG_FLV_STDOUT (1 << 5)
#define DLOG_FLV_STDERR (1 << 6)

/** Whether a message of this priority would be written: the priority, or 0. */
int d_log_check(int flags);

/** Write a message (no check). */
void d_vlog(int flags, const char *fmt, va_list ap) __attribute__((__format__(__printf__, 2, 0)));

/** The same, with the place in the source. */
void d_log_at(int flags, const char *file, int line, const char *fmt, ...)
    __attribute__((__format__(__printf__, 4, 5)));

/** Open the log as D_LOG_FILE and D_LOG_MASK say (standard error when no file is named); counted. Returns 0 or -DER_. */
int d_log_init(void);

/** Undo one d_log_init(). */
void d_log_fini(void);

/** Set the level from text such as "ERR", "debug" or "warn,dfs=debug" (the facility part is accepted and ignored). */
int d_log_setmasks(const char *mstr, int mlen);

/** Write out what is buffered. */
void d_log_sync(void);

/** Write a message if its priority is on. */
static inline void __attribute__((__format__(__printf__, 2, 3)))
d_log(int flags, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    d_vlog(flags, fmt, ap);
    va_end(ap);
}

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_GURT_DLOG_H */
