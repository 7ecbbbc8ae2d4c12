/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Error names, hash functions, clock values and memory of the public interface (daos_errno.h, gurt/common.h). */
#include <gurt/common.h>

#include <daos_api.h>
#include <stdarg.h>

#include "base/codec.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/hlc.h"
#include "base/util.h"
#include "placement/placement.h"

const char *
d_errstr(int errnum)
{
    return err_name(errnum);
}

const char *
d_errdesc(int errnum)
{
    return err_text(errnum);
}

uint64_t
d_hash_mix64(uint64_t key)
{
    return hash_mix64(key);
}

uint32_t
d_hash_mix96(uint32_t a, uint32_t b, uint32_t c)
{
    return hash_mix32(hash_mix32(hash_mix32(a) + b) + c);
}

unsigned int
d_hash_srch_u64(uint64_t *hashes, unsigned int nhashes, uint64_t value)
{
    unsigned int lo = 0;
    unsigned int hi = nhashes;

    while (lo < hi) {
        unsigned int mid = lo + (hi - lo) / 2;

        if (hashes[mid] < value) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo == nhashes ? 0 : lo;
}

uint32_t
d_hash_string_u32(const char *string, unsigned int len)
{
    uint64_t hash = hash_bytes64(string, len, 0);

    return (uint32_t)(hash ^ hash >> 32);
}

uint64_t
d_hash_murmur64(const unsigned char *key, unsigned int key_len, unsigned int seed)
{
    const uint64_t mul = UINT64_C(0xc6a4a7935bd1e995);
    uint64_t hash = seed ^ key_len * mul;
    uint64_t tail = 0;

    for (; key_len >= 8; key_len -= 8, key += 8) {
        uint64_t word = le64_get(key) * mul;

        hash = (hash ^ (word ^ word >> 47) * mul) * mul;
    }
    for (unsigned int i = key_len; i > 0; i--) {
        tail = tail << 8 | key[i - 1];
    }
    if (key_len > 0)
        hash = (hash ^ tail) * mul;
    hash = (hash ^ hash >> 47) * mul;
    return hash ^ hash >> 47;
}

uint32_t
d_hash_jump(uint64_t key, uint32_t num_buckets)
{
    return num_buckets == 0 ? 0 : placement_jump_hash(key, num_buckets);
}

uint64_t
d_hlc2nsec(uint64_t hlc)
{
    return hlc_to_unix_ns(hlc) - HLC_ORIGIN_UNIX_NS;
}

uint64_t
d_hlc2unixnsec(uint64_t hlc)
{
    return hlc_to_unix_ns(hlc);
}

uint64_t
d_nsec2hlc(uint64_t nsec)
{
    return hlc_add_ns(0, nsec);
}

uint64_t
d_unixnsec2hlc(uint64_t unixnsec)
{
    return unixnsec < HLC_ORIGIN_UNIX_NS ? 0 : hlc_add_ns(0, unixnsec - HLC_ORIGIN_UNIX_NS);
}

int
d_hlc2timespec(uint64_t hlc, struct timespec *ts)
{
    uint64_t ns = hlc_to_unix_ns(hlc);

    if (ts == NULL)
        return -DER_INVAL;
    ts->tv_sec = (time_t)(ns / NSEC_PER_SEC);
    ts->tv_nsec = (long)(ns % NSEC_PER_SEC);
    return 0;
}

int
d_timespec2hlc(struct timespec ts, uint64_t *hlc)
{
    if (hlc == NULL || ts.tv_sec < 0 || ts.tv_nsec < 0)
        return -DER_INVAL;
    *hlc = d_unixnsec2hlc((uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec);
    return 0;
}

int
daos_hlc2timespec(uint64_t hlc, struct timespec *ts)
{
    return d_hlc2timespec(hlc, ts);
}

int
daos_hlc2timestamp(uint64_t hlc, time_t *ts)
{
    struct timespec spec;

    if (ts == NULL)
        return -DER_INVAL;
    CAIRN_IGNORE(d_hlc2timespec(hlc, &spec)); /* Its only failure is a NULL argument. */
    *ts = spec.tv_sec;
    return 0;
}

void
d_free(void *ptr)
{
    free(ptr);
}

void *
d_malloc(size_t size)
{
    return malloc(size);
}

void *
d_calloc(size_t nmemb, size_t size)
{
    return calloc(nmemb, size);
}

void *
d_realloc(void *ptr, size_t size)
{
    return realloc(ptr, size);
}

char *
d_strndup(const char *s, size_t n)
{
    return strndup(s, n);
}

int
d_asprintf(char **strp, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vasprintf(strp, fmt, ap);
    va_end(ap);
    if (len < 0)
        *strp = NULL;
    return len;
}

char *
d_asprintf2(int *rc, const char *fmt, ...)
{
    char *str = NULL;
    va_list ap;

    va_start(ap, fmt);
    *rc = vasprintf(&str, fmt, ap);
    va_end(ap);
    return *rc < 0 ? NULL : str;
}

void *
d_aligned_alloc(size_t alignment, size_t size, bool zero)
{
    void *ptr = NULL;

    if (posix_memalign(&ptr, MAX(alignment, sizeof(void *)), size) != 0)
        return NULL;
    if (zero)
        memset(ptr, 0, size);
    return ptr;
}

int
d_write_string_buffer(struct d_string_buffer_t *buf, const char *fmt, ...)
{
    va_list ap;
    int len;

    if (buf == NULL || buf->status != 0)
        return buf == NULL ? -DER_INVAL : buf->status;
    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return buf->status = -DER_TRUNC;
    if (buf->str_size + (size_t)len + 1 > buf->buf_size) {
        size_t bigger = pow2_up_u64(buf->str_size + (size_t)len + 64);
        char *str = realloc(buf->str, bigger);

        if (str == NULL)
            return buf->status = -DER_NOMEM;
        buf->str = str;
        buf->buf_size = bigger;
    }
    va_start(ap, fmt);
    vsnprintf(buf->str + buf->str_size, buf->buf_size - buf->str_size, fmt, ap);
    va_end(ap);
    buf->str_size += (size_t)len;
    return 0;
}

void
d_free_string(struct d_string_buffer_t *buf)
{
    free(buf->str);
    memset(buf, 0, sizeof(*buf));
}
