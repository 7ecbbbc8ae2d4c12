/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/log.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

/* Allowed globals: the sink and its level, set before other threads exist. */
static log_sink_fn log_sink;
static void *log_sink_arg;
static enum log_level log_level_cur = LOG_LEVEL_NONE;

static const char *const log_names[] = {
    [LOG_LEVEL_NONE] = "none",
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_TRACE] = "trace",
};

void
log_sink_set(log_sink_fn fn, void *arg, enum log_level level)
{
    log_sink = fn;
    log_sink_arg = arg;
    log_level_cur = fn == NULL ? LOG_LEVEL_NONE : level;
}

void
log_level_set(enum log_level level)
{
    log_level_cur = log_sink == NULL ? LOG_LEVEL_NONE : level;
}

enum log_level
log_level_get(void)
{
    return log_level_cur;
}

const char *
log_level_name(enum log_level level)
{
    return (size_t)level < ARRAY_SIZE(log_names) ? log_names[level] : "unknown";
}

enum log_level
log_level_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(log_names); i++) {
        if (strcasecmp(log_names[i], name) == 0)
            return (enum log_level)i;
    }
    return LOG_LEVEL_NONE;
}

bool
log_is_on(enum log_level level)
{
    return level != LOG_LEVEL_NONE && level <= log_level_cur;
}

void
log_write(enum log_level level, const char *file, int line, const char *fmt, ...)
{
    char text[LOG_TEXT_BYTES_MAX];
    const char *slash = strrchr(file, '/');
    va_list ap;

    if (!log_is_on(level))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_sink(log_sink_arg, level, slash == NULL ? file : slash + 1, line, text);
}
