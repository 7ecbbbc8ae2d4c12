/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Log lines go to one sink per process, which the caller supplies; without one they go nowhere and cost a comparison.
 *
 * The sink and its level are among the few allowed mutable globals. They are set at start, before other threads exist. The sink is
 * called from any thread and may not block for long.
 */
#ifndef CAIRN_BASE_LOG_H
#define CAIRN_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level {
    LOG_LEVEL_NONE,
    LOG_LEVEL_ERROR, /* an operator must act */
    LOG_LEVEL_WARN, /* degraded, continuing */
    LOG_LEVEL_INFO, /* state changes */
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE,
};

/** Longest text of one line; what is longer is cut. */
#define LOG_TEXT_BYTES_MAX 1024

/** *text* has no newline; *file* is a base name. */
typedef void (*log_sink_fn)(
    void *arg, enum log_level level, const char *file, int line, const char *text);

/** Send lines up to *level* to *fn*; NULL switches logging off. Before other threads start. */
void log_sink_set(log_sink_fn fn, void *arg, enum log_level level);

/** Change the level only. */
void log_level_set(enum log_level level);

enum log_level log_level_get(void);

/** "error", "warn", ... */
const char *log_level_name(enum log_level level);

/** Parse such a name (any case); LOG_LEVEL_NONE when unknown. */
enum log_level log_level_from_name(const char *name);

/** True when a line of this level would be printed. */
bool log_is_on(enum log_level level);

void log_write(enum log_level level, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define LOG_AT(level, ...) \
    do { \
        if (log_is_on(level)) \
            log_write(level, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

#define LOG_ERROR(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define LOG_WARN(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define LOG_INFO(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define LOG_DEBUG(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define LOG_TRACE(...) LOG_AT(LOG_LEVEL_TRACE, __VA_ARGS__)

#endif /* CAIRN_BASE_LOG_H */
