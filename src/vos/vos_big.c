/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Values in the data role: room for them, their bytes, their checksums, in this order and before the transaction that points to them (ST-3).
 *
 *   vos_apply() alone        the bytes are in the caller's memory: reserve, write (where the role is memory: copy), checksums
 *   vos_ahead_get() first    the role is memory that was used before: reserve; the caller fills the extents themselves (BIO-6); checksums
 *                            else: the caller fills one buffer, in which each value begins at a block; checksums; reserve, write
 *
 * Checksums are those of chunks, kept with the version (vos_csum.h); where they are CRC-32C, they are that of the whole when joined, which the caller
 * compares, so that the bytes are looked at once; of other kinds twice. A reservation is volatile and unpublished until the transaction; whatever fails gives it back. Tested by
 * test/vos_ahead_test.c and, over rpc, by src/objsrv/test.
 */
#include "base/probe.h"
#include "vos/vos_csum.h"
#include "vos/vos_priv.h"

#include <string.h>

struct vos_ahead {
    struct vos_bigs bigs;
    struct iov places[VOS_AHEAD_NR_MAX];
    void *buf; /* of the places; NULL: they are the extents themselves */
    uint64_t buf_len;
    bool is_taken;
};

struct vos_csum
vos_csum_make(uint32_t type, uint64_t chunk_bytes)
{
    struct vos_csum c = vos_csum_of(0, 0);

    if (type != CSUM_TYPE_OFF) {
        c.type = (uint8_t)type;
        c.len = (uint8_t)csum_bytes(type);
    }
    if (chunk_bytes != 0) {
        c.chunk_bits = VOS_CSUM_CHUNK_BITS_MIN;
        while (c.chunk_bits < VOS_CSUM_CHUNK_BITS_MAX && UINT64_C(1) << c.chunk_bits < chunk_bytes) {
            c.chunk_bits++;
        }
    }
    return c;
}

/* With the chunks of this value. */
static struct vos_csum
big_kind(const struct vos_bigs *b, const struct vos_big *big)
{
    struct vos_csum kind = b->csum;

    kind.chunk_bits = vos_csum_bits(kind, big->len);
    return kind;
}

/* The checksums of `len` bytes, from the begin of a chunk on; answers their CRC-32C. */
static uint32_t
csums_fill(struct vos_csum kind, uint8_t *csums, const uint8_t *data, uint64_t len)
{
    uint64_t chunk = UINT64_C(1) << kind.chunk_bits;
    uint32_t crc = 0, of_chunk;

    for (uint64_t off = 0; off < len; off += chunk, csums += kind.len) {
        size_t n = (size_t)MIN(len - off, chunk);

        vos_csum_put(kind.type, data + off, n, csums);
        /* CSM-4 */
        of_chunk = kind.type == CSUM_TYPE_CRC32 ? le32_get(csums) : crc32c(0, data + off, n);
        crc = crc32c_combine(crc, of_chunk, n);
    }
    return crc;
}

static int
data_write(struct bio_tgt *bio, uint64_t addr, const void *data, size_t len)
{
    void *mem = bio_data_is_cold(bio, addr, len) ? NULL : bio_data_map(bio, addr, len), *buf = NULL;
    int rc;

    if (mem != NULL) {
        memcpy(mem, data, len);
        bio_data_written(bio, addr, len);
        return 0;
    }
    /* Whole blocks at a block's alignment go as they are. */
    if (((uintptr_t)data | len) % BIO_BLK_BYTES == 0)
        return bio_data_write(bio, addr, (void *)(uintptr_t)data, len);
    rc = bio_buf_get_more(bio, len, &buf); /* the caller may hold the value in one */
    if (rc != 0)
        return rc;
    memcpy(buf, data, len);
    rc = bio_data_write(bio, addr, buf, len);
    bio_buf_put(bio, buf, len);
    return rc;
}

static int
csums_get(struct vos_bigs *b, struct vos_big *big)
{
    if (big->csums == NULL) {
        big->csums = vos_heap_alloc(&b->cont->tgt->heap,
            (size_t)vos_csum_nr(big->len, vos_csum_bits(b->csum, big->len)) * b->csum.len);
    }
    return big->csums == NULL ? CAIRN_ERR(NOMEM) : 0;
}

static int
big_reserve(struct vos_bigs *b, struct vos_big *big)
{
    struct vos_pool *pool = b->cont->pool;
    uint64_t bytes = ALIGN_UP(big->len, (uint64_t)BIO_BLK_BYTES);
    int rc;

    if (pool->data_used + pool->data_resv + bytes > pool->data_quota)
        return CAIRN_ERR(NOSPACE);
    rc = bio_ext_reserve(b->cont->tgt->bio, bytes, b->cont->stream, &big->resv);
    if (rc != 0)
        return rc;
    pool->data_resv += bytes;
    b->resv_bytes += bytes;
    return 0;
}

/* ---- in the order of the modifications ------------------------------------------------------------------------------ */

typedef int (*big_fn)(struct vos_bigs *b, const uint8_t *data, uint64_t len);

/* Call fn for every value that is too large for the metadata, small_fn (may be NULL) for the others. */
static int
bigs_each(struct vos_bigs *b, const struct vos_apply_args *args, big_fn fn, big_fn small_fn)
{
    for (uint32_t m = 0; m < args->mod_nr; m++) {
        const struct vos_mod *mod = &args->mods[m];

        for (uint32_t i = 0; mod->op == VOS_MOD_UPDATE && i < mod->iod_nr; i++) {
            const struct vos_iod *iod = &mod->iods[i];
            const uint8_t *data = iod->data.buf;
            uint32_t nr = iod->type == VOS_IOD_SINGLE ? 1 : iod->recx_nr;
            uint64_t inline_max = vos_inline_max(b->cont, iod, b->inline_max);

            for (uint32_t r = 0; iod->size != 0 && r < nr; r++) {
                uint64_t len = iod->type == VOS_IOD_SINGLE ? iod->size : iod->recxs[r].nr * iod->size;
                big_fn f = len > inline_max ? fn : small_fn;
                int rc = f == NULL ? 0 : f(b, data, len);

                if (rc != 0)
                    return rc;
                if (data != NULL)
                    data += len;
            }
        }
    }
    return 0;
}

static int
big_count(struct vos_bigs *b, const uint8_t *data, uint64_t len)
{
    (void)data;
    (void)len;
    b->nr++;
    return 0;
}

static int
big_set(struct vos_bigs *b, const uint8_t *data, uint64_t len)
{
    b->bigs[b->next++] = (struct vos_big){.data = data, .len = len};
    return 0;
}

static int
big_compare(struct vos_bigs *b, const uint8_t *data, uint64_t len)
{
    (void)data;
    return b->next < b->nr && b->bigs[b->next++].len == len ? 0 : CAIRN_ERR(INVAL);
}

static int
small_refuse(struct vos_bigs *b, const uint8_t *data, uint64_t len)
{
    (void)b;
    (void)data;
    (void)len;
    return CAIRN_ERR(NOSYS);
}

int
vos_bigs_init(struct vos_bigs *b, const struct vos_apply_args *args)
{
    CAIRN_IGNORE(bigs_each(b, args, big_count, NULL)); /* cannot fail */
    if (b->nr == 0)
        return 0;
    b->bigs = vos_heap_alloc(&b->cont->tgt->heap, b->nr * sizeof(*b->bigs));
    if (b->bigs == NULL) {
        b->nr = 0;
        return CAIRN_ERR(NOMEM);
    }
    b->next = 0;
    return bigs_each(b, args, big_set, NULL);
}

int
vos_bigs_write(struct vos_bigs *b)
{
    struct bio_tgt *bio = b->cont->tgt->bio;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < b->nr; i++) {
        struct vos_big *big = &b->bigs[i];

        if (big->is_in_place) {
            bio_data_written(bio, bio_resv_ext(big->resv).addr, (size_t)big->len);
            continue;
        }
        rc = csums_get(b, big);
        if (rc == 0)
            rc = big_reserve(b, big);
        if (rc == 0 && !big->is_summed) {
            csums_fill(big_kind(b, big), big->csums, big->data, big->len);
            big->is_summed = true;
        }
        if (rc == 0)
            rc = data_write(bio, bio_resv_ext(big->resv).addr, big->data, (size_t)big->len);
    }
    if (rc != 0)
        vos_bigs_cancel(b);
    return rc;
}

int
vos_bigs_publish(struct vos_bigs *b, struct vos_op *op)
{
    for (uint32_t i = 0; i < b->nr; i++) {
        int rc = bio_ext_publish(op->tx, b->cont->tgt->bio, b->bigs[i].resv);

        if (rc != 0)
            return rc;
        op->data_delta += (int64_t)bio_resv_ext(b->bigs[i].resv).len;
    }
    return 0;
}

void
vos_bigs_published(struct vos_bigs *b)
{
    for (uint32_t i = 0; i < b->nr; i++) {
        bio_ext_published(b->cont->tgt->bio, b->bigs[i].resv);
        b->bigs[i].resv = NULL;
    }
}

void
vos_bigs_cancel(struct vos_bigs *b)
{
    for (uint32_t i = 0; i < b->nr; i++) {
        struct vos_big *big = &b->bigs[i];

        bio_ext_cancel(b->cont->tgt->bio, big->resv);
        big->resv = NULL;
        big->is_in_place = false;
    }
    b->cont->pool->data_resv -= b->resv_bytes;
    b->resv_bytes = 0;
}

void
vos_bigs_fini(struct vos_bigs *b)
{
    vos_bigs_cancel(b);
    for (uint32_t i = 0; i < b->nr; i++) {
        vos_heap_free(b->bigs[i].csums);
    }
    vos_heap_free(b->bigs);
    b->bigs = NULL;
    b->nr = 0;
}

/* ---- ahead ---------------------------------------------------------------------------------------------------------- */

/* The extents themselves as places. NOSYS: they are not in memory, or in such as nobody touched yet, which a write fills faster. */
static int
places_map(struct vos_ahead *ah)
{
    struct vos_bigs *b = &ah->bigs;
    int rc = bio_data_is_mapped(b->cont->tgt->bio) ? 0 : CAIRN_ERR(NOSYS);

    for (uint32_t i = 0; rc == 0 && i < b->nr; i++) {
        struct vos_big *big = &b->bigs[i];
        void *mem = NULL;
        uint64_t addr;

        rc = big_reserve(b, big);
        if (rc != 0)
            break;
        addr = bio_resv_ext(big->resv).addr;
        if (!bio_data_is_cold(b->cont->tgt->bio, addr, (size_t)big->len))
            mem = bio_data_map(b->cont->tgt->bio, addr, (size_t)big->len);
        if (mem == NULL) {
            rc = CAIRN_ERR(NOSYS);
            break;
        }
        big->is_in_place = true;
        big->data = mem;
        ah->places[i] = (struct iov){mem, (size_t)big->len};
    }
    if (rc != 0)
        vos_bigs_cancel(b);
    return rc;
}

/* One buffer for all. NOSYS: they are too many for one. */
static int
places_buf(struct vos_ahead *ah)
{
    struct vos_bigs *b = &ah->bigs;
    uint64_t len = 0;
    int rc;

    for (uint32_t i = 0; i < b->nr; i++) {
        len += ALIGN_UP(b->bigs[i].len, (uint64_t)BIO_BLK_BYTES);
    }
    if (len > BIO_BUF_BYTES_MAX)
        return CAIRN_ERR(NOSYS);
    rc = bio_buf_get(b->cont->tgt->bio, (size_t)len, &ah->buf);
    if (rc != 0)
        return rc;
    ah->buf_len = len;
    len = 0;
    for (uint32_t i = 0; i < b->nr; i++) {
        struct vos_big *big = &b->bigs[i];

        big->data = (uint8_t *)ah->buf + len;
        ah->places[i] = (struct iov){(uint8_t *)ah->buf + len, (size_t)big->len};
        len += ALIGN_UP(big->len, (uint64_t)BIO_BLK_BYTES);
    }
    return 0;
}

static int
ahead_init(struct vos_ahead *ah, const struct vos_apply_args *args)
{
    struct vos_bigs *b = &ah->bigs;
    int rc = bigs_each(b, args, big_count, small_refuse);

    if (rc == 0 && (b->nr == 0 || b->nr > VOS_AHEAD_NR_MAX))
        rc = CAIRN_ERR(NOSYS);
    b->nr = 0;
    if (rc == 0)
        rc = vos_bigs_init(b, args);
    for (uint32_t i = 0; rc == 0 && i < b->nr; i++) {
        rc = csums_get(b, &b->bigs[i]);
    }
    if (rc == 0)
        rc = places_map(ah);
    if (rc == -DER_NOSYS && b->nr != 0)
        rc = places_buf(ah);
    return rc;
}

int
vos_ahead_get(struct vos_cont *cont, const struct vos_apply_args *args, struct vos_ahead **ret_ahead)
{
    struct vos_ahead *ah;
    uint64_t inline_max;
    int rc = vos_args_check(args, false, &inline_max);

    if (rc != 0)
        return rc;
    ah = vos_heap_alloc(&cont->tgt->heap, sizeof(*ah));
    if (ah == NULL)
        return CAIRN_ERR(NOMEM);
    memset(ah, 0, sizeof(*ah));
    ah->bigs.cont = cont;
    ah->bigs.inline_max = inline_max;
    ah->bigs.csum = vos_csum_of(args->csum_type, args->csum_chunk_bytes);
    rc = ahead_init(ah, args);
    if (rc != 0) {
        vos_ahead_free(ah);
    } else {
        *ret_ahead = ah;
    }
    return rc;
}

const struct iov *
vos_ahead_places(const struct vos_ahead *ah, uint32_t *ret_nr)
{
    *ret_nr = ah->bigs.nr;
    return ah->places;
}

/* The checksums of the chunks up to there. */
static void
big_sum(const struct vos_bigs *b, struct vos_big *big, uint64_t end)
{
    struct vos_csum kind = big_kind(b, big);
    uint64_t off = big->summed_bytes;
    uint8_t *csums = big->csums + (off >> kind.chunk_bits) * kind.len;

    big->crc =
        crc32c_combine(big->crc, csums_fill(kind, csums, big->data + off, end - off), end - off);
    big->summed_bytes = end;
}

void
vos_ahead_landed(struct vos_ahead *ah, uint32_t place, uint64_t off, uint64_t len)
{
    struct vos_big *big = &ah->bigs.bigs[place];
    uint64_t chunk;

    CAIRN_ASSERT(place < ah->bigs.nr && off <= big->len && len <= big->len - off);
    chunk = UINT64_C(1) << big_kind(&ah->bigs, big).chunk_bits;
    if (off == big->summed_bytes && (len % chunk == 0 || off + len == big->len))
        big_sum(&ah->bigs, big, off + len);
}

uint32_t
vos_ahead_sum(struct vos_ahead *ah)
{
    uint32_t crc = 0;

    for (uint32_t i = 0; i < ah->bigs.nr; i++) {
        struct vos_big *big = &ah->bigs.bigs[i];

        if (big->summed_bytes < big->len)
            big_sum(&ah->bigs, big, big->len);
        crc = crc32c_combine(crc, big->crc, big->len);
        big->is_summed = true;
    }
    return crc;
}

int
vos_ahead_take(struct vos_ahead *ah, const struct vos_apply_args *args, struct vos_bigs **ret_bigs)
{
    struct vos_csum csum = vos_csum_of(args->csum_type, args->csum_chunk_bytes);
    struct vos_bigs *b = &ah->bigs;
    int rc;

    b->next = 0;
    rc = bigs_each(b, args, big_compare, small_refuse);
    if (rc != 0 || b->next != b->nr || csum.type != b->csum.type ||
        csum.chunk_bits != b->csum.chunk_bits)
        return CAIRN_ERR(INVAL);
    for (uint32_t i = 0; i < b->nr; i++) {
        if (!b->bigs[i].is_summed || ah->is_taken)
            return CAIRN_ERR(INVAL); /* never compared, or used before */
    }
    ah->is_taken = true;
    *ret_bigs = b;
    return 0;
}

void
vos_ahead_free(struct vos_ahead *ah)
{
    if (ah == NULL)
        return;
    vos_bigs_fini(&ah->bigs);
    bio_buf_put(ah->bigs.cont->tgt->bio, ah->buf, (size_t)ah->buf_len);
    vos_heap_free(ah);
}
