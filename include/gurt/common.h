/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Helpers that clients use: memory, hashing, rank lists, scattered memory, environment, time.
 */
#ifndef CAIRN_GURT_COMMON_H
#define CAIRN_GURT_COMMON_H

#include <byteswap.h>
#include <daos_errno.h>
#include <errno.h>
#include <gurt/debug.h>
#include <gurt/types.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#endif
#ifndef unlikely
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

/* ---- memory ---- */

void d_free(void *ptr);
void *d_malloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *d_calloc(size_t nmemb, size_t size) __attribute__((malloc, alloc_size(1, 2)));
void *d_realloc(void *ptr, size_t size) __attribute__((alloc_size(2)));
char *d_strndup(const char *s, size_t n) __attribute__((malloc));
int d_asprintf(char **strp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** As d_asprintf() with the text as result; *rc* gets the length or -1. */
char *d_asprintf2(int *rc, const char *fmt, ...) __attribute__((malloc, format(printf, 2, 3)));
void *
d_aligned_alloc(size_t alignment, size_t size, bool zero) __attribute__((malloc, alloc_size(2)));
char *d_realpath(const char *path, char *resolved_path) __attribute__((malloc));

/*
 * These macros set the pointer, NULL when memory is out. Memory is cleared, except by those with _NZ.
 */
#define D_ALLOC(ptr, size) ((ptr) = (__typeof__(ptr))d_calloc(1, (size)))
#define D_ALLOC_PTR(ptr) D_ALLOC(ptr, sizeof(*(ptr)))
#define D_ALLOC_ARRAY(ptr, count) ((ptr) = (__typeof__(ptr))d_calloc((count), sizeof(*(ptr))))
#define D_ALLOC_NZ(ptr, size) ((ptr) = (__typeof__(ptr))d_malloc(size))
#define D_ALLOC_PTR_NZ(ptr) D_ALLOC_NZ(ptr, sizeof(*(ptr)))
#define D_ALLOC_ARRAY_NZ(ptr, count) D_ALLOC_NZ(ptr, sizeof(*(ptr)) * (count))
#define D_STRNDUP(ptr, s, n) ((ptr) = d_strndup((s), (n)))
/** Copy of a string literal or array. */
#define D_STRNDUP_S(ptr, s) ((ptr) = d_strndup((s), sizeof(s)))
#define D_ASPRINTF(ptr, ...) \
    do { \
        int d_asprintf_rc_; \
        (ptr) = d_asprintf2(&d_asprintf_rc_, __VA_ARGS__); \
    } while (0)
#define D_REALPATH(ptr, path) ((ptr) = d_realpath((path), NULL))
#define D_ALIGNED_ALLOC(ptr, alignment, size) \
    ((ptr) = (__typeof__(ptr))d_aligned_alloc((alignment), (size), true))
#define D_ALIGNED_ALLOC_NZ(ptr, alignment, size) \
    ((ptr) = (__typeof__(ptr))d_aligned_alloc((alignment), (size), false))

/** Resize; on success *oldptr* becomes NULL and new bytes are cleared. On failure *newptr* is NULL and *oldptr* stays. */
#define D_REALLOC(newptr, oldptr, oldsize, size) \
    do { \
        size_t d_realloc_old_ = (oldsize); \
        size_t d_realloc_new_ = (size); \
        (newptr) = \
            (__typeof__(newptr))d_realloc((oldptr), d_realloc_new_ == 0 ? 1 : d_realloc_new_); \
        if ((newptr) != NULL) { \
            (oldptr) = NULL; \
            if (d_realloc_old_ < d_realloc_new_) \
                memset((char *)(newptr) + d_realloc_old_, 0, d_realloc_new_ - d_realloc_old_); \
        } \
    } while (0)
#define D_REALLOC_ARRAY(newptr, oldptr, oldcount, count) \
    D_REALLOC(newptr, oldptr, (oldcount) * sizeof(*(oldptr)), (count) * sizeof(*(oldptr)))
#define D_REALLOC_NZ(newptr, oldptr, size) D_REALLOC(newptr, oldptr, size, size)
#define D_REALLOC_ARRAY_NZ(newptr, oldptr, count) D_REALLOC_ARRAY(newptr, oldptr, count, count)

/** Free and set to NULL. */
#define D_FREE(ptr) \
    do { \
        d_free(ptr); \
        (ptr) = NULL; \
    } while (0)

/** Leave for *label*, evaluating the code. */
#define D_GOTO(label, rc) \
    do { \
        (void)(rc); \
        goto label; \
    } while (0)

/* ---- locks: pthread calls whose failure is a programmer's error ---- */

#define D_PTHREAD_CALL_(call) \
    __extension__({ \
        int d_pthread_rc_ = (call); \
        D_ASSERT(d_pthread_rc_ == 0); \
        d_pthread_rc_; \
    })
#define D_SPIN_INIT(x, y) d_errno2der(pthread_spin_init((x), (y)))
#define D_SPIN_LOCK(x) D_PTHREAD_CALL_(pthread_spin_lock(x))
#define D_SPIN_UNLOCK(x) D_PTHREAD_CALL_(pthread_spin_unlock(x))
#define D_SPIN_DESTROY(x) D_PTHREAD_CALL_(pthread_spin_destroy(x))
#define D_MUTEX_INIT(x, y) d_errno2der(pthread_mutex_init((x), (y)))
#define D_MUTEX_LOCK(x) D_PTHREAD_CALL_(pthread_mutex_lock(x))
#define D_MUTEX_TRYLOCK(x) d_errno2der(pthread_mutex_trylock(x))
#define D_MUTEX_UNLOCK(x) D_PTHREAD_CALL_(pthread_mutex_unlock(x))
#define D_MUTEX_DESTROY(x) D_PTHREAD_CALL_(pthread_mutex_destroy(x))
#define D_RWLOCK_INIT(x, y) d_errno2der(pthread_rwlock_init((x), (y)))
#define D_RWLOCK_RDLOCK(x) D_PTHREAD_CALL_(pthread_rwlock_rdlock(x))
#define D_RWLOCK_WRLOCK(x) D_PTHREAD_CALL_(pthread_rwlock_wrlock(x))
#define D_RWLOCK_TRYWRLOCK(x) d_errno2der(pthread_rwlock_trywrlock(x))
#define D_RWLOCK_UNLOCK(x) D_PTHREAD_CALL_(pthread_rwlock_unlock(x))
#define D_RWLOCK_DESTROY(x) D_PTHREAD_CALL_(pthread_rwlock_destroy(x))
#define D_COND_INIT(x, y) d_errno2der(pthread_cond_init((x), (y)))
#define D_COND_DESTROY(x) D_PTHREAD_CALL_(pthread_cond_destroy(x))

/* ---- numbers and hashing ---- */

/** Bijective mix of 64 bits. */
uint64_t d_hash_mix64(uint64_t key);
/** Mix of three numbers into one. */
uint32_t d_hash_mix96(uint32_t a, uint32_t b, uint32_t c);
/** Position of the first hash not below *value* in a sorted array, starting over at 0 beyond the end. */
unsigned int d_hash_srch_u64(uint64_t *hashes, unsigned int nhashes, uint64_t value);
/** Hash of *len* bytes for tables in memory. */
uint32_t d_hash_string_u32(const char *string, unsigned int len);
/** MurmurHash64A of *key_len* bytes. */
uint64_t d_hash_murmur64(const unsigned char *key, unsigned int key_len, unsigned int seed);
/** Jump consistent hash: 0 to num_buckets - 1. */
uint32_t d_hash_jump(uint64_t key, uint32_t num_buckets);

#define DGOLDEN_RATIO_PRIME_64 0xcbf29ce484222325ULL
#define DGOLDEN_RATIO_PRIME_32 0x9e370001UL

/** Multiplicative hashes of *bits* bits (1..63, 1..32). */
static inline uint64_t
d_u64_hash(uint64_t val, unsigned int bits)
{
    return (val * DGOLDEN_RATIO_PRIME_64) >> (64 - bits);
}

static inline uint32_t
d_u32_hash(uint64_t key, unsigned int bits)
{
    return (uint32_t)((DGOLDEN_RATIO_PRIME_32 * key) >> (32 - bits));
}

#define LOWEST_BIT_SET(x) ((x) & ~((x)-1))

/** Bits needed to count *val* things: the smallest n with 2^n >= val (0 counts as 1 bit). */
static inline unsigned int
d_power2_nbits(unsigned int val)
{
    unsigned int nbits = 1;

    while ((val >> nbits) != 0) {
        nbits++;
    }
    return val == LOWEST_BIT_SET(val) ? nbits - 1 : nbits;
}

#define D_BIT_IS_SET(val, bit) (((val) & (bit)) ? 1 : 0)
#define D_ALIGNUP(x, a) (((x) + ((a)-1)) & ~((a)-1))

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(arr) (sizeof(arr) / sizeof((arr)[0]))
#endif
#ifndef MIN
#define MIN(a, b) (((a) < (b)) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) (((a) > (b)) ? (a) : (b))
#endif
/* Names that C++ and some C programs use themselves. */
#if !defined(__cplusplus)
#ifndef min
#define min(x, y) ((x) < (y) ? (x) : (y))
#endif
#ifndef max
#define max(x, y) ((x) > (y) ? (x) : (y))
#endif
#endif
#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif

#define D_SWAP16(x) bswap_16(x)
#define D_SWAP32(x) bswap_32(x)
#define D_SWAP64(x) bswap_64(x)

/* ---- rank lists ---- */

/** A list of *size* ranks, all 0 (*size* 0: an empty list); NULL when memory is out. */
d_rank_list_t *d_rank_list_alloc(uint32_t size);
/** Free a list; NULL is fine. */
void d_rank_list_free(d_rank_list_t *rank_list);
/** Copies: a new list; a new list sorted without repetitions; into an existing list that is resized. */
int d_rank_list_dup(d_rank_list_t **dst, const d_rank_list_t *src);
int d_rank_list_dup_sort_uniq(d_rank_list_t **dst, const d_rank_list_t *src);
int d_rank_list_copy(d_rank_list_t *dst, d_rank_list_t *src);
int d_rank_list_resize(d_rank_list_t *ptr, uint32_t size);
/** Keep in *dst_set* what is in *src_set*, or with *exclude* what is not. */
void d_rank_list_filter(d_rank_list_t *src_set, d_rank_list_t *dst_set, bool exclude);
/** Add to *src_set* what it lacks of *merge_set*. */
int d_rank_list_merge(d_rank_list_t *src_set, d_rank_list_t *merge_set);
void d_rank_list_sort(d_rank_list_t *rank_list);
/** Search in any list, and in a sorted one; *idx* (may be NULL) gets the position. */
bool d_rank_list_find(d_rank_list_t *rank_list, d_rank_t rank, int *idx);
bool d_rank_list_bsearch(d_rank_list_t *rank_list, d_rank_t rank, int *idx);
void d_rank_list_del_at(d_rank_list_t *list, int idx);
int d_rank_list_del(d_rank_list_t *rank_list, d_rank_t rank);
int d_rank_list_append(d_rank_list_t *rank_list, d_rank_t rank);
/** True when both hold the same ranks in the same order. */
bool d_rank_list_identical(d_rank_list_t *rank_list1, d_rank_list_t *rank_list2);
bool d_rank_in_rank_list(d_rank_list_t *rank_list, d_rank_t rank);
/** Position of *rank*; -DER_NONEXIST. */
int d_idx_in_rank_list(d_rank_list_t *rank_list, d_rank_t rank, uint32_t *idx);
/** New text like "[0-3,5]". */
int d_rank_list_to_str(d_rank_list_t *rank_list, char **rank_str);
d_rank_list_t *uint32_array_to_rank_list(uint32_t *ints, size_t len);
int rank_list_to_uint32_array(d_rank_list_t *rl, uint32_t **ints, size_t *len);

/** Ranges; from a list they come sorted and joined. */
d_rank_range_list_t *d_rank_range_list_alloc(uint32_t size);
d_rank_range_list_t *d_rank_range_list_realloc(d_rank_range_list_t *range_list, uint32_t size);
d_rank_range_list_t *d_rank_range_list_create_from_ranks(d_rank_list_t *rank_list);
int d_rank_range_list_str(d_rank_range_list_t *list, char **ranks_str);
void d_rank_range_list_free(d_rank_range_list_t *range_list);

/* ---- scattered memory ---- */

/** Room for *nr* pieces in *sgl*. Returns 0 or -DER_NOMEM. */
static inline int
d_sgl_init(d_sg_list_t *sgl, unsigned int nr)
{
    sgl->sg_nr = nr;
    sgl->sg_nr_out = 0;
    sgl->sg_iovs = NULL;
    if (nr > 0) {
        D_ALLOC_ARRAY(sgl->sg_iovs, nr);
        if (sgl->sg_iovs == NULL)
            return -DER_NOMEM;
    }
    return 0;
}

/** Free what d_sgl_init() made, and with *free_iovs* the memory of the pieces. */
static inline void
d_sgl_fini(d_sg_list_t *sgl, bool free_iovs)
{
    uint32_t i;

    if (sgl == NULL || sgl->sg_iovs == NULL)
        return;
    for (i = 0; free_iovs && i < sgl->sg_nr; i++) {
        D_FREE(sgl->sg_iovs[i].iov_buf);
    }
    D_FREE(sgl->sg_iovs);
    sgl->sg_nr = 0;
    sgl->sg_nr_out = 0;
}

/** Bytes that the pieces can hold together. */
static inline size_t
d_sgl_buf_size(d_sg_list_t *sgl)
{
    size_t size = 0;
    uint32_t i;

    for (i = 0; sgl->sg_iovs != NULL && i < sgl->sg_nr; i++) {
        size += sgl->sg_iovs[i].iov_buf_len;
    }
    return size;
}

/* ---- environment: 0, -DER_NONEXIST when the variable is not set, -DER_INVAL when its value makes no sense ---- */

int d_getenv_bool(const char *name, bool *bool_val);
int d_getenv_char(const char *name, char *char_val);
int d_getenv_uint(const char *name, unsigned int *uint_val);
int d_getenv_int(const char *name, unsigned int *uint_val);
int d_getenv_uint32_t(const char *name, uint32_t *uint32_val);
int d_getenv_uint64_t(const char *name, uint64_t *uint64_val);
/** Copy into *str_val*; -DER_TRUNC when it does not fit. */
int d_getenv_str(char *str_val, size_t str_size, const char *name);
/** A new copy, freed with d_freeenv_str(). */
int d_agetenv_str(char **str_val, const char *name);
void d_freeenv_str(char **str_val);
bool d_isenv_def(char *name);
int d_putenv(char *name);
int d_setenv(const char *name, const char *value, int overwrite);
int d_unsetenv(const char *name);

/* ---- text ---- */

/** Append to *buf*. Returns 0, -DER_NOMEM or -DER_OVERFLOW; the status stays in the buffer. */
int d_write_string_buffer(struct d_string_buffer_t *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void d_free_string(struct d_string_buffer_t *buf);

/* ---- codes and time ---- */

/** -DER_ code of an errno value. */
static inline int
d_errno2der(int err)
{
    switch (err) {
    case 0:
        return 0;
    case EPERM:
    case EACCES:
        return -DER_NO_PERM;
    case ENOMEM:
        return -DER_NOMEM;
    case ENOSPC:
    case EDQUOT:
        return -DER_NOSPACE;
    case EEXIST:
        return -DER_EXIST;
    case ENOENT:
        return -DER_NONEXIST;
    case ECANCELED:
        return -DER_CANCELED;
    case EBUSY:
        return -DER_BUSY;
    default:
        return -DER_MISC;
    }
}

#ifndef NSEC_PER_SEC
#define NSEC_PER_SEC 1000000000
#endif
#ifndef NSEC_PER_MSEC
#define NSEC_PER_MSEC 1000000
#endif
#ifndef NSEC_PER_USEC
#define NSEC_PER_USEC 1000
#endif

/** Monotonic time. Returns 0 or -DER_. */
int d_gettime(struct timespec *t);

/** t2 - t1. */
static inline int64_t
d_timediff_ns(const struct timespec *t1, const struct timespec *t2)
{
    return ((int64_t)t2->tv_sec - t1->tv_sec) * NSEC_PER_SEC + (t2->tv_nsec - t1->tv_nsec);
}

static inline struct timespec
d_timediff(const struct timespec *t1, const struct timespec *t2)
{
    int64_t ns = d_timediff_ns(t1, t2);
    struct timespec diff;

    diff.tv_sec = ns / NSEC_PER_SEC;
    diff.tv_nsec = ns % NSEC_PER_SEC;
    if (diff.tv_nsec < 0) {
        diff.tv_sec--;
        diff.tv_nsec += NSEC_PER_SEC;
    }
    return diff;
}

/** Add nanoseconds. */
static inline void
d_timeinc(struct timespec *now, uint64_t ns)
{
    ns += (uint64_t)now->tv_nsec;
    now->tv_sec += (time_t)(ns / NSEC_PER_SEC);
    now->tv_nsec = (long)(ns % NSEC_PER_SEC);
}

static inline double
d_time2s(struct timespec t)
{
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline double
d_time2ms(struct timespec t)
{
    return d_time2s(t) * 1e3;
}

static inline double
d_time2us(struct timespec t)
{
    return d_time2s(t) * 1e6;
}

/** Nanoseconds of a hybrid clock value since its origin (2021), and since 1970. */
uint64_t d_hlc2nsec(uint64_t hlc);
uint64_t d_hlc2unixnsec(uint64_t hlc);
/** The value for such times. */
uint64_t d_nsec2hlc(uint64_t nsec);
uint64_t d_unixnsec2hlc(uint64_t unixnsec);
int d_hlc2timespec(uint64_t hlc, struct timespec *ts);
int d_timespec2hlc(struct timespec ts, uint64_t *hlc);

static inline uint64_t
d_hlc2sec(uint64_t hlc)
{
    return d_hlc2nsec(hlc) / NSEC_PER_SEC;
}

static inline uint64_t
d_sec2hlc(uint64_t sec)
{
    return d_nsec2hlc(sec * NSEC_PER_SEC);
}

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_GURT_COMMON_H */
