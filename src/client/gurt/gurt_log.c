/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The client's log (gurt/dlog.h): one file or standard error, one level for the process.
 *
 * The public interface has no context argument here, so that the log is one of the few process-wide variables. Lines are written whole by
 * one call of stdio; a level that changes meanwhile does no harm.
 */
#include <gurt/dlog.h>

#include <daos_errno.h>
#include <gurt/common.h>
#include <strings.h>

#include "base/err.h"
#include "base/util.h"

#define LOG_LINE_BYTES_MAX 2048

static struct {
    pthread_mutex_t lock;
    FILE *file; /* NULL: standard error */
    int users_nr;
    int threshold; /* lowest priority that is written; 0: the log is closed */
} client_log = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const struct {
    const char *name;
    int priority;
} log_priorities[] = {
    {"EMIT", DLOG_EMIT},
    {"FATAL", DLOG_EMERG},
    {"EMERG", DLOG_EMERG},
    {"ALERT", DLOG_ALERT},
    {"CRIT", DLOG_CRIT},
    {"ERR", DLOG_ERR},
    {"ERROR", DLOG_ERR},
    {"WARN", DLOG_WARN},
    {"NOTE", DLOG_NOTE},
    {"INFO", DLOG_INFO},
    {"DEBUG", DLOG_DBG},
    {"DBUG", DLOG_DBG},
};

static const char *
priority_name(int priority)
{
    for (size_t i = 0; i < ARRAY_SIZE(log_priorities); i++) {
        if (log_priorities[i].priority <= priority)
            return log_priorities[i].name;
    }
    return "DEBUG";
}

int
d_log_check(int flags)
{
    int priority = flags & DLOG_PRIMASK;
    int threshold = __atomic_load_n(&client_log.threshold, __ATOMIC_RELAXED);

    return threshold != 0 && priority >= threshold ? priority : 0;
}

/* One line: level, place if known, text; the newline at the end of the text is optional. */
static __attribute__((format(printf, 4, 0))) void
line_write(int flags, const char *file, int line, const char *fmt, va_list ap)
{
    char text[LOG_LINE_BYTES_MAX];
    const char *base = file == NULL ? NULL : strrchr(file, '/');
    FILE *out = client_log.file != NULL ? client_log.file : stderr;
    int len = vsnprintf(text, sizeof(text), fmt, ap);

    if (len < 0)
        return;
    len = MIN(len, LOG_LINE_BYTES_MAX - 1);
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = '\0';
    if (file == NULL) {
        fprintf(out, "daos %-5s %s\n", priority_name(flags & DLOG_PRIMASK), text);
    } else {
        fprintf(out, "daos %-5s %s:%d %s\n", priority_name(flags & DLOG_PRIMASK),
            base == NULL ? file : base + 1, line, text);
    }
}

void
d_vlog(int flags, const char *fmt, va_list ap)
{
    line_write(flags, NULL, 0, fmt, ap);
}

void
d_log_at(int flags, const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    line_write(flags, file, line, fmt, ap);
    va_end(ap);
}

int
d_log_setmasks(const char *mstr, int mlen)
{
    size_t len = mlen < 0 ? strlen(mstr) : strnlen(mstr, (size_t)mlen);
    size_t word = 0;

    /* The part up to the first comma that names no facility is the level of all. */
    while (word < len) {
        size_t end = word;

        while (end < len && mstr[end] != ',') {
            end++;
        }
        for (size_t i = 0; i < ARRAY_SIZE(log_priorities); i++) {
            if (strlen(log_priorities[i].name) != end - word ||
                strncasecmp(log_priorities[i].name, mstr + word, end - word) != 0)
                continue;
            __atomic_store_n(&client_log.threshold, log_priorities[i].priority, __ATOMIC_RELAXED);
            return 0;
        }
        word = end + 1;
    }
    return -DER_INVAL;
}

int
d_log_init(void)
{
    const char *path = getenv("D_LOG_FILE");
    const char *mask = getenv("D_LOG_MASK");
    int rc = 0;

    pthread_mutex_lock(&client_log.lock);
    if (client_log.users_nr == 0) {
        if (path != NULL && path[0] != '\0') {
            client_log.file = fopen(path, "ae");
            if (client_log.file == NULL) {
                rc = d_errno2der(errno);
            } else {
                setvbuf(client_log.file, NULL, _IOLBF, 0);
            }
        }
        if (rc == 0) {
            __atomic_store_n(&client_log.threshold, DLOG_ERR, __ATOMIC_RELAXED);
            if (mask != NULL)
                CAIRN_IGNORE(d_log_setmasks(mask, -1)); /* A mask that makes no sense changes nothing. */
        }
    }
    if (rc == 0)
        client_log.users_nr++;
    pthread_mutex_unlock(&client_log.lock);
    return rc;
}

void
d_log_fini(void)
{
    pthread_mutex_lock(&client_log.lock);
    if (client_log.users_nr > 0 && --client_log.users_nr == 0) {
        __atomic_store_n(&client_log.threshold, 0, __ATOMIC_RELAXED);
        if (client_log.file != NULL)
            fclose(client_log.file);
        client_log.file = NULL;
    }
    pthread_mutex_unlock(&client_log.lock);
}

void
d_log_sync(void)
{
    fflush(client_log.file != NULL ? client_log.file : stderr);
}
