/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the look-up of a fetch (vos_fetch.c) leaves for the reading of its data (vos_fetch_data.c). */
#ifndef CAIRN_VOS_FETCH_PRIV_H
#define CAIRN_VOS_FETCH_PRIV_H

#include "vos/vos_csum.h"
#include "vos/vos_priv.h"

#include <stddef.h>

enum {
    VOS_FETCH_CHUNK_BYTES = 16384,
    VOS_FETCH_FIRST_NR = 6000 /
        sizeof(max_align_t), /* small answers, one inline value of the largest size among them, need no chunk */
    VOS_FETCH_MEM_BYTES_MAX = 2 * VOS_FETCH_BYTES_MAX,
};

/* The part of a value in the data role that a segment shows. */
struct vos_want {
    uint64_t addr; /* of the first checksum chunk */
    uint64_t len; /* bytes from there that its chunks cover */
    uint64_t skip; /* wanted bytes begin here */
    uint64_t nr; /* wanted bytes */
    const uint8_t *csums; /* of the chunks */
    const uint8_t *map; /* where it lies in memory; NULL: it must be read */
    uint8_t csum_type, csum_len, chunk_bits;
};

/* More memory of a fetch, behind one another. */
struct vos_fetch_chunk {
    struct vos_fetch_chunk *next;
    max_align_t mem[];
};

struct vos_fetch_mem {
    struct vos_fetch pub; /* first */
    struct oid oid;
    uint64_t deadline_ns; /* 0: none */
    struct vos_fetch_chunk *chunks;
    size_t total; /* bytes in chunks */
    uint8_t *at; /* free bytes of the newest one, or of `first` */
    size_t left;
    uint32_t want_nr, want_cap;
    struct vos_want *wants; /* of the segments with is_later, in order; of the heap */
    uint64_t want_bytes;
    bool has_reader;
    struct bio_reader reader; /* from the look-up until the data was read (ST-4) */
    max_align_t first[VOS_FETCH_FIRST_NR];
};

static inline struct vos_fetch_mem *
vos_fetch_mem_of(struct vos_fetch *fetch)
{
    return CAIRN_CONTAINER_OF(fetch, struct vos_fetch_mem, pub);
}

/** Room for that many bytes in a new chunk. False: there is no memory, or too much was asked for. */
bool vos_fetch_mem_grow(struct vos_tgt *tgt, struct vos_fetch_mem *mem, size_t room);

/** Memory that lives as long as the fetch, aligned to 16; NULL when there is none or too much was asked for. */
static inline void *
vos_fetch_mem_alloc(struct vos_tgt *tgt, struct vos_fetch_mem *mem, size_t len)
{
    size_t room = ALIGN_UP(len, (size_t)16);
    void *p;

    if (CAIRN_UNLIKELY(room > mem->left) && !vos_fetch_mem_grow(tgt, mem, room))
        return NULL;
    p = mem->at;
    mem->at += room;
    mem->left -= room;
    return p;
}

/** Whether the time of the request is over (MS-6). */
static inline bool
vos_fetch_is_late(const struct vos_fetch_mem *mem)
{
    return mem->deadline_ns != 0 && ult_now_ns() >= mem->deadline_ns;
}

void vos_fetch_leave(struct vos_tgt *tgt, struct vos_fetch_mem *mem);

/** Log it, with the object. Answers -DER_CSUM. */
int vos_fetch_csum_bad(struct oid oid, const char *where, uint64_t addr);

#endif
