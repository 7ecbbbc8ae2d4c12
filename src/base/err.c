/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/err.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "base/util.h"

struct err_info {
    const char *name; /* with DER_ */
    const char *text;
    enum err_class cls;
};

/* Both blocks of numbers are dense, so that a code is an index. */
static const struct err_info err_infos[] = {
#define X(NAME, CLASS, TEXT) {"DER_" #NAME, TEXT, ERR_CLASS_##CLASS},
#include "base/err.def"
#undef X
};

/* Position of each line in err.def. */
enum err_line {
#define X(NAME, CLASS, TEXT) ERR_LINE_##NAME,
#include "base/err.def"
#undef X
};

#define ERR_LIB_FIRST 1001
#define ERR_STORE_FIRST 2001
#define ERR_LIB_NR ((int)ERR_LINE_IO)
#define ERR_STORE_NR ((int)ARRAY_SIZE(err_infos) - ERR_LIB_NR)

/* The lines of err.def and the numbers of the public header agree. */
#define X(NAME, CLASS, TEXT) \
    CAIRN_STATIC_ASSERT((int)DER_##NAME == \
            ((int)ERR_LINE_##NAME < ERR_LIB_NR \
                    ? ERR_LIB_FIRST + (int)ERR_LINE_##NAME \
                    : ERR_STORE_FIRST + (int)ERR_LINE_##NAME - ERR_LIB_NR), \
        "DER_" #NAME " differs between err.def and daos_errno.h");
#include "base/err.def"
#undef X

static _Thread_local struct err_ring *err_ring_cur;

/* Not inlined: a caller that changes thread across a yield must not keep the address of the thread's variable (TH-1). */
__attribute__((noinline)) void
err_ring_set(struct err_ring *ring)
{
    err_ring_cur = ring;
}

__attribute__((noinline)) struct err_ring *
err_ring_get(void)
{
    return err_ring_cur;
}

__attribute__((noinline)) void
err_record(const char *file, int line, int rc)
{
    struct err_ring *ring = err_ring_cur;
    struct err_entry *entry;

    if (ring == NULL)
        return;
    entry = &ring->entries[ring->raised_nr % ERR_RING_NR];
    entry->file = file;
    entry->line = line;
    entry->rc = rc;
    ring->raised_nr++;
}

void
err_ring_clear(struct err_ring *ring)
{
    if (ring != NULL)
        ring->raised_nr = 0;
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

size_t
err_ring_to_text(const struct err_ring *ring, char *buf, size_t buf_bytes)
{
    struct strbuf sb;
    uint32_t nr;

    if (buf_bytes == 0)
        return 0;
    strbuf_init(&sb, buf, buf_bytes);
    nr = ring == NULL ? 0 : MIN(ring->raised_nr, ERR_RING_NR);
    for (uint32_t i = 1; i <= nr; i++) {
        const struct err_entry *entry = &ring->entries[(ring->raised_nr - i) % ERR_RING_NR];

        strbuf_add(&sb, "%s%s:%d %s", i == 1 ? "" : "; ", base_name(entry->file), entry->line,
            err_name(entry->rc));
    }
    return sb.len;
}

/* The line of a code of either sign, NULL for 0 and unknown codes. */
static const struct err_info *
err_lookup(int rc)
{
    int idx;

    if (rc >= 0)
        rc = -rc; /* The negative side has no overflow. */
    if (rc <= -ERR_LIB_FIRST && rc > -ERR_LIB_FIRST - ERR_LIB_NR) {
        idx = -rc - ERR_LIB_FIRST;
    } else if (rc <= -ERR_STORE_FIRST && rc > -ERR_STORE_FIRST - ERR_STORE_NR) {
        idx = -rc - ERR_STORE_FIRST + ERR_LIB_NR;
    } else {
        return NULL;
    }
    return &err_infos[idx];
}

enum err_class
err_class(int rc)
{
    const struct err_info *info = err_lookup(rc);

    if (rc == 0)
        return ERR_CLASS_NONE;
    return info == NULL ? ERR_CLASS_FATAL : info->cls;
}

const char *
err_class_name(enum err_class cls)
{
    static const char *const names[] = {
        [ERR_CLASS_NONE] = "none",
        [ERR_CLASS_CALLER] = "caller",
        [ERR_CLASS_RETRY] = "retry",
        [ERR_CLASS_BUSY] = "busy",
        [ERR_CLASS_ABSENT] = "absent",
        [ERR_CLASS_NOSPACE] = "no-space",
        [ERR_CLASS_CORRUPT] = "corrupt",
        [ERR_CLASS_PEER] = "peer",
        [ERR_CLASS_FATAL] = "fatal",
    };

    return (size_t)cls < ARRAY_SIZE(names) ? names[cls] : "unknown";
}

const char *
err_name(int rc)
{
    const struct err_info *info = err_lookup(rc);

    if (rc == 0)
        return "DER_SUCCESS";
    return info == NULL ? "DER_UNKNOWN" : info->name;
}

const char *
err_text(int rc)
{
    const struct err_info *info = err_lookup(rc);

    if (rc == 0)
        return "success";
    return info == NULL ? "unknown error" : info->text;
}

int
err_from_name(const char *name)
{
    if (strncasecmp(name, "DER_", 4) == 0)
        name += 4;
    for (int i = 0; i < (int)ARRAY_SIZE(err_infos); i++) {
        if (strcasecmp(err_infos[i].name + 4, name) == 0)
            return i < ERR_LIB_NR ? -(ERR_LIB_FIRST + i) : -(ERR_STORE_FIRST + i - ERR_LIB_NR);
    }
    return 0;
}

/* Pairs in both directions; where several lines share a number, the first is the answer in that direction. */
static const struct {
    int der;
    int err;
} err_errnos[] = {
    {DER_NO_PERM, EPERM},
    {DER_NO_PERM, EACCES},
    {DER_EP_RO, EPERM},
    {DER_EP_OLD, EPERM},
    {DER_CONT_DESTROYING, EPERM},
    {DER_NONEXIST, ENOENT},
    {DER_ENOENT, ENOENT},
    {DER_INVAL, EINVAL},
    {DER_NOTYPE, EINVAL},
    {DER_NOSCHEMA, EINVAL},
    {DER_NOLOCAL, EINVAL},
    {DER_NO_HDL, EINVAL},
    {DER_IO_INVAL, EINVAL},
    {DER_REC2BIG, E2BIG},
    {DER_KEY2BIG, E2BIG},
    {DER_EXIST, EEXIST},
    {DER_UNREACH, EHOSTUNREACH},
    {DER_NOSPACE, ENOSPC},
    {DER_ALREADY, EALREADY},
    {DER_NOMEM, ENOMEM},
    {DER_DOS, ENOMEM},
    {DER_TIMEDOUT, ETIMEDOUT},
    {DER_BUSY, EBUSY},
    {DER_EQ_BUSY, EBUSY},
    {DER_AGAIN, EAGAIN},
    {DER_PROTO, EPROTO},
    {DER_CANCELED, ECANCELED},
    {DER_OVERFLOW, EOVERFLOW},
    {DER_NOTDIR, ENOTDIR},
    {DER_BADPATH, ENOTDIR},
    {DER_STALE, ESTALE},
    {DER_TX_RESTART, ERESTART},
    {DER_NOTSUPPORTED, ENOTSUP},
    {DER_IO, EIO},
    {DER_NOSYS, ENOSYS},
    {DER_BADPATH, ENAMETOOLONG},
    {DER_NOSPACE, EDQUOT},
    {DER_NO_PERM, EROFS},
    {DER_UNREACH, ENETUNREACH},
    {DER_UNREACH, ECONNREFUSED},
    {DER_UNREACH, ECONNRESET},
    {DER_UNREACH, EPIPE},
    {DER_NO_HDL, EBADF},
    {DER_INPROGRESS, EINPROGRESS},
};

/* Lines from here on hold only for the way from errno: the API's table maps these codes to EIO. */
#define ERR_ERRNOS_BOTH_NR 34

CAIRN_STATIC_ASSERT(ARRAY_SIZE(err_errnos) == ERR_ERRNOS_BOTH_NR + 10, "both parts of the table");

int
err_to_errno(int rc)
{
    const struct err_info *info = err_lookup(rc);
    int der;

    if (rc == 0)
        return 0;
    if (info == NULL)
        return EIO;
    der = rc < 0 ? -rc : rc;
    for (size_t i = 0; i < ERR_ERRNOS_BOTH_NR; i++) {
        if (err_errnos[i].der == der)
            return err_errnos[i].err;
    }
    return EIO;
}

int
err_from_errno(int err)
{
    if (err == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(err_errnos); i++) {
        if (err_errnos[i].err == err)
            return -err_errnos[i].der;
    }
    return -DER_MISC;
}
