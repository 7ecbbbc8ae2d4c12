/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Errors: 0 or a negative -DER_ code of the public API, a class for each code, and a ring that remembers where codes were raised.
 *
 * The ring exists so that nothing needs to be logged on the way up: CAIRN_ERR(NAME) writes file, line and code to the ring that the
 * calling thread points at, and the one place that finally reports the failure prints the ring. Whoever runs several contexts in one
 * thread (the ULT scheduler) swaps the pointer at each switch. Tested by test/base_err_test.c.
 */
#ifndef CAIRN_BASE_ERR_H
#define CAIRN_BASE_ERR_H

#include <stddef.h>
#include <stdint.h>

#include "daos_errno.h"

/** What a caller can do about an error; ask err_class() instead of listing codes. */
enum err_class {
    ERR_CLASS_NONE, /* no error */
    ERR_CLASS_CALLER, /* the request is wrong or not allowed: do not repeat it */
    ERR_CLASS_RETRY, /* nothing was done: repeat it now, after refreshing maps or hints */
    ERR_CLASS_BUSY, /* repeat it later */
    ERR_CLASS_ABSENT, /* the thing asked for does not exist */
    ERR_CLASS_NOSPACE, /* a resource is used up */
    ERR_CLASS_CORRUPT, /* stored or received bytes are wrong */
    ERR_CLASS_PEER, /* the other process failed or cannot be reached: outcome unknown */
    ERR_CLASS_FATAL, /* needs an operator */
};

#define CAIRN_MUST_CHECK __attribute__((warn_unused_result))

/** Drop the result of a CAIRN_MUST_CHECK call; say why in a comment. */
#define CAIRN_IGNORE(expr) \
    do { \
        __typeof__(expr) cairn_ignored_ = (expr); \
        (void)cairn_ignored_; \
    } while (0)

#define ERR_RING_NR 16

struct err_entry {
    const char *file; /* static string */
    int line;
    int rc;
};

/** The newest ERR_RING_NR raised errors of one ULT or thread; zero-initialise. Touched only by its owner. */
struct err_ring {
    uint32_t raised_nr; /* ever; the newest is at (raised_nr - 1) % ERR_RING_NR */
    struct err_entry entries[ERR_RING_NR];
};

/** Make CAIRN_ERR() of the calling thread record into *ring* (borrowed until replaced); NULL stops recording. */
void err_ring_set(struct err_ring *ring);

/** The ring of the calling thread, or NULL. */
struct err_ring *err_ring_get(void);

/** Forget everything in *ring* (NULL is fine). */
void err_ring_clear(struct err_ring *ring);

/** Newest first, "file.c:line NAME; ..." into *buf*, always terminated; returns the length written. NULL ring gives "". */
size_t err_ring_to_text(const struct err_ring *ring, char *buf, size_t buf_bytes);

/** Record *rc* in the thread's ring; use CAIRN_ERR(). */
void err_record(const char *file, int line, int rc);

/** -DER_NAME, recorded with the place where it was raised: `return CAIRN_ERR(NONEXIST);`. */
#define CAIRN_ERR(NAME) (err_record(__FILE__, __LINE__, -(int)DER_##NAME), -(int)DER_##NAME)

/** Class of *rc* (0 or a code of either sign); an unknown code is FATAL. */
enum err_class err_class(int rc);

/** "retry", "corrupt", ... */
const char *err_class_name(enum err_class cls);

/** "DER_NONEXIST" for the code of either sign, "DER_SUCCESS" for 0, "DER_UNKNOWN" otherwise. */
const char *err_name(int rc);

/** A short lower-case phrase for people. */
const char *err_text(int rc);

/** The code (negative) of a name with or without its "DER_" prefix; 0 for "SUCCESS" and unknown names. */
int err_from_name(const char *name);

/** Positive errno of a code of either sign; 0 for 0. What has no counterpart is EIO. */
int err_to_errno(int rc);

/** -DER_ code of a positive errno value; 0 for 0. What has no counterpart is -DER_MISC. */
int err_from_errno(int err);

#endif /* CAIRN_BASE_ERR_H */
