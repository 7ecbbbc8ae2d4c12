/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Environment, paths and monotonic time of the public interface (gurt/common.h): plain calls of the C library for applications. */
#include <gurt/common.h>

#include <strings.h>

#include "base/util.h"

/* Longest text of a number. */
#define ENV_NUM_CHARS_MAX 24

int
d_gettime(struct timespec *t)
{
    return clock_gettime(CLOCK_MONOTONIC, t) == 0 ? 0 : d_errno2der(errno);
}

char *
d_realpath(const char *path, char *resolved_path)
{
    return realpath(path, resolved_path);
}

bool
d_isenv_def(char *name)
{
    return getenv(name) != NULL;
}

int
d_putenv(char *name)
{
    return putenv(name);
}

int
d_setenv(const char *name, const char *value, int overwrite)
{
    return setenv(name, value, overwrite);
}

int
d_unsetenv(const char *name)
{
    return unsetenv(name);
}

int
d_getenv_str(char *str_val, size_t str_size, const char *name)
{
    const char *value = getenv(name);
    size_t len;

    if (value == NULL)
        return -DER_NONEXIST;
    len = strlen(value);
    if (str_size > 0) {
        size_t kept = MIN(len, str_size - 1);

        memcpy(str_val, value, kept);
        str_val[kept] = '\0';
    }
    return len < str_size ? 0 : -DER_TRUNC;
}

int
d_agetenv_str(char **str_val, const char *name)
{
    const char *value = getenv(name);

    *str_val = NULL;
    if (value == NULL)
        return -DER_NONEXIST;
    *str_val = strdup(value);
    return *str_val == NULL ? -DER_NOMEM : 0;
}

void
d_freeenv_str(char **str_val)
{
    free(*str_val);
    *str_val = NULL;
}

int
d_getenv_bool(const char *name, bool *bool_val)
{
    static const char *const words[] = {
        "0", "n", "no", "off", "false", "1", "y", "yes", "on", "true"};
    const char *value = getenv(name);

    if (value == NULL)
        return -DER_NONEXIST;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcasecmp(value, words[i]) == 0) {
            *bool_val = i >= ARRAY_SIZE(words) / 2;
            return 0;
        }
    }
    return -DER_INVAL;
}

int
d_getenv_char(const char *name, char *char_val)
{
    const char *value = getenv(name);

    if (value == NULL)
        return -DER_NONEXIST;
    if (value[0] == '\0' || value[1] != '\0')
        return -DER_INVAL;
    *char_val = value[0];
    return 0;
}

/* A number in decimal, or hexadecimal with 0x, of at most *max*. */
static int
env_number(const char *name, uint64_t max, uint64_t *ret)
{
    const char *value = getenv(name);
    unsigned long long number;
    char *end;

    if (value == NULL)
        return -DER_NONEXIST;
    if (value[0] < '0' || value[0] > '9' || strnlen(value, ENV_NUM_CHARS_MAX) == ENV_NUM_CHARS_MAX)
        return -DER_INVAL;
    errno = 0;
    number = strtoull(value, &end, 0);
    if (errno != 0 || *end != '\0' || number > max)
        return -DER_INVAL;
    *ret = number;
    return 0;
}

int
d_getenv_uint(const char *name, unsigned int *uint_val)
{
    uint64_t number;
    int rc = env_number(name, UINT_MAX, &number);

    if (rc == 0)
        *uint_val = (unsigned int)number;
    return rc;
}

int
d_getenv_int(const char *name, unsigned int *uint_val)
{
    return d_getenv_uint(name, uint_val);
}

int
d_getenv_uint32_t(const char *name, uint32_t *uint32_val)
{
    uint64_t number;
    int rc = env_number(name, UINT32_MAX, &number);

    if (rc == 0)
        *uint32_val = (uint32_t)number;
    return rc;
}

int
d_getenv_uint64_t(const char *name, uint64_t *uint64_val)
{
    return env_number(name, UINT64_MAX, uint64_val);
}
