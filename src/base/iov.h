/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Scattered memory: a list of buffers treated as one run of bytes. */
#ifndef CAIRN_BASE_IOV_H
#define CAIRN_BASE_IOV_H

#include <stddef.h>
#include <stdint.h>

struct iov {
    void *buf;
    size_t len;
};

/** Buffers of one transfer, in order. Does not own anything. */
struct sgl {
    uint32_t iov_nr;
    struct iov *iovs;
};

/** Sum of the lengths (saturates at SIZE_MAX). */
size_t sgl_bytes(const struct sgl *sgl);

/** Copy *len* bytes from *src* into the list, starting *off* bytes into it; returns the bytes copied (less when the list ends). */
size_t sgl_copy_in(const struct sgl *sgl, size_t off, const void *src, size_t len);

/** Copy *len* bytes out of the list from *off* to *dst*; returns the bytes copied. */
size_t sgl_copy_out(const struct sgl *sgl, size_t off, void *dst, size_t len);

/** Copy between lists; returns the bytes copied. The memory must not overlap. */
size_t
sgl_copy(const struct sgl *dst, size_t dst_off, const struct sgl *src, size_t src_off, size_t len);

/** Fill *len* bytes from *off* with zeros; returns the bytes filled. */
size_t sgl_zero(const struct sgl *sgl, size_t off, size_t len);

/**
 * The part [off, off + len) of *src* as a list of its own in *iovs* (room for *iov_max*), same memory. Sets *ret_sgl and returns the
 * bytes covered, which is less than *len* when the list ends or the array is full.
 */
size_t sgl_slice(const struct sgl *src, size_t off, size_t len, struct iov *iovs, uint32_t iov_max,
    struct sgl *ret_sgl);

#endif /* CAIRN_BASE_IOV_H */
