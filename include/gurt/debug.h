/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Macros that write to the client log, and assertions.
 */
#ifndef CAIRN_GURT_DEBUG_H
#define CAIRN_GURT_DEBUG_H

#include <assert.h>
#include <daos_errno.h>
#include <gurt/dlog.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

#define D_LOG_FILE_ENV "D_LOG_FILE"
#define D_LOG_SIZE_ENV "D_LOG_SIZE"
#define D_LOG_MASK_ENV "D_LOG_MASK"
#define D_LOG_FILE_APPEND_PID_ENV "D_LOG_FILE_APPEND_PID"
#define D_LOG_TRUNCATE_ENV "D_LOG_TRUNCATE"
#define D_LOG_FLUSH_ENV "D_LOG_FLUSH"
#define D_LOG_STDERR_IN_LOG_ENV "D_LOG_STDERR_IN_LOG"

/** Kinds of debug messages; one level here. */
#define DB_ALL DLOG_DBG
#define DB_ANY DLOG_DBG
#define DB_TRACE DLOG_DBG
#define DB_MEM DLOG_DBG
#define DB_NET DLOG_DBG
#define DB_IO DLOG_DBG
#define DB_TEST DLOG_DBG

#define D_NOOP(...)

#define D_LOG_ENABLED(flag) (d_log_check(flag) != 0)

/** Log with priority or debug kind *flag*. */
#define D_DEBUG(flag, ...) \
    do { \
        if (d_log_check(flag) != 0) { \
            d_log_at((flag), __FILE__, __LINE__, __VA_ARGS__); \
        } \
    } while (0)

#define D_CDEBUG(cond, flag_true, flag_false, ...) \
    do { \
        if (cond) \
            D_DEBUG(flag_true, __VA_ARGS__); \
        else \
            D_DEBUG(flag_false, __VA_ARGS__); \
    } while (0)

#define D_INFO(...) D_DEBUG(DLOG_INFO, __VA_ARGS__)
#define D_NOTE(...) D_DEBUG(DLOG_NOTE, __VA_ARGS__)
#define D_WARN(...) D_DEBUG(DLOG_WARN, __VA_ARGS__)
#define D_ERROR(...) D_DEBUG(DLOG_ERR, __VA_ARGS__)
#define D_ALERT(...) D_DEBUG(DLOG_ALERT, __VA_ARGS__)
#define D_CRIT(...) D_DEBUG(DLOG_CRIT, __VA_ARGS__)
#define D_FATAL(...) D_DEBUG(DLOG_EMERG, __VA_ARGS__)
#define D_EMIT(...) D_DEBUG(DLOG_EMIT, __VA_ARGS__)

/** To standard output and error, flushed. */
#define D_PRINT(...) \
    do { \
        fprintf(stdout, __VA_ARGS__); \
        fflush(stdout); \
    } while (0)
#define D_PRINT_ERR(...) \
    do { \
        fprintf(stderr, "%s:%d:%s() ", __FILE__, __LINE__, __func__); \
        fprintf(stderr, __VA_ARGS__); \
        fflush(stderr); \
    } while (0)

/** Abort with a log message when the condition is false. */
#define D_ASSERT(cond) \
    do { \
        if (!(cond)) { \
            D_FATAL("Assertion '%s' failed\n", #cond); \
            d_log_sync(); \
            assert(!#cond); \
            abort(); \
        } \
    } while (0)
#define D_ASSERTF(cond, ...) \
    do { \
        if (!(cond)) { \
            D_FATAL("Assertion '%s' failed:\n", #cond); \
            D_FATAL(__VA_ARGS__); \
            d_log_sync(); \
            assert(!#cond); \
            abort(); \
        } \
    } while (0)

#if defined(__cplusplus)
#define D_CASSERT(cond, ...) static_assert(cond, #cond ": " __VA_ARGS__)
#else
#define D_CASSERT(cond, ...) _Static_assert(cond, #cond ": " __VA_ARGS__)
#endif

#define DF_U64 "%" PRIu64
#define DF_X64 "%" PRIx64

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_GURT_DEBUG_H */
