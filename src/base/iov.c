/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "base/iov.h"

#include <string.h>

#include "base/util.h"

/* Position in a list: bytes [off, len) of buffer idx are next. */
struct sgl_pos {
    const struct sgl *sgl;
    uint32_t idx;
    size_t off;
};

static struct sgl_pos
pos_seek(const struct sgl *sgl, size_t off)
{
    struct sgl_pos pos = {.sgl = sgl, .idx = 0, .off = off};

    while (pos.idx < sgl->iov_nr && pos.off >= sgl->iovs[pos.idx].len) {
        pos.off -= sgl->iovs[pos.idx].len;
        pos.idx++;
    }
    return pos;
}

/* The next contiguous piece, at most *max* bytes; advances. Returns its length, 0 at the end of the list. */
static size_t
pos_take(struct sgl_pos *pos, size_t max, uint8_t **ret_ptr)
{
    const struct iov *iov;
    size_t len;

    while (pos->idx < pos->sgl->iov_nr && pos->off >= pos->sgl->iovs[pos->idx].len) {
        pos->idx++;
        pos->off = 0;
    }
    if (pos->idx == pos->sgl->iov_nr)
        return 0;
    iov = &pos->sgl->iovs[pos->idx];
    len = MIN(iov->len - pos->off, max);
    *ret_ptr = (uint8_t *)iov->buf + pos->off;
    pos->off += len;
    return len;
}

size_t
sgl_bytes(const struct sgl *sgl)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < sgl->iov_nr; i++) {
        if (!add_size(sum, sgl->iovs[i].len, &sum))
            return SIZE_MAX;
    }
    return sum;
}

size_t
sgl_copy_in(const struct sgl *sgl, size_t off, const void *src, size_t len)
{
    struct sgl_pos pos = pos_seek(sgl, off);
    const uint8_t *from = src;
    size_t done = 0;

    while (done < len) {
        uint8_t *to;
        size_t n = pos_take(&pos, len - done, &to);

        if (n == 0)
            break;
        memcpy(to, from + done, n);
        done += n;
    }
    return done;
}

size_t
sgl_copy_out(const struct sgl *sgl, size_t off, void *dst, size_t len)
{
    struct sgl_pos pos = pos_seek(sgl, off);
    uint8_t *to = dst;
    size_t done = 0;

    while (done < len) {
        uint8_t *from;
        size_t n = pos_take(&pos, len - done, &from);

        if (n == 0)
            break;
        memcpy(to + done, from, n);
        done += n;
    }
    return done;
}

size_t
sgl_copy(const struct sgl *dst, size_t dst_off, const struct sgl *src, size_t src_off, size_t len)
{
    struct sgl_pos pos = pos_seek(src, src_off);
    size_t done = 0;

    while (done < len) {
        uint8_t *from;
        size_t n = pos_take(&pos, len - done, &from);
        size_t copied;

        if (n == 0)
            break;
        copied = sgl_copy_in(dst, dst_off + done, from, n);
        done += copied;
        if (copied < n)
            break;
    }
    return done;
}

size_t
sgl_zero(const struct sgl *sgl, size_t off, size_t len)
{
    struct sgl_pos pos = pos_seek(sgl, off);
    size_t done = 0;

    while (done < len) {
        uint8_t *to;
        size_t n = pos_take(&pos, len - done, &to);

        if (n == 0)
            break;
        memset(to, 0, n);
        done += n;
    }
    return done;
}

size_t
sgl_slice(const struct sgl *src, size_t off, size_t len, struct iov *iovs, uint32_t iov_max,
    struct sgl *ret_sgl)
{
    struct sgl_pos pos = pos_seek(src, off);
    uint32_t nr = 0;
    size_t done = 0;

    while (done < len && nr < iov_max) {
        uint8_t *ptr;
        size_t n = pos_take(&pos, len - done, &ptr);

        if (n == 0)
            break;
        iovs[nr].buf = ptr;
        iovs[nr].len = n;
        nr++;
        done += n;
    }
    ret_sgl->iov_nr = nr;
    ret_sgl->iovs = iovs;
    return done;
}
