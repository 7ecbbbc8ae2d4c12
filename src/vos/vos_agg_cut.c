/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An extent of the data role of which only parts are seen at the view of its interval: what is not seen is given back by the block, and what is left becomes extents of their own, with the
 * same version, where they are. Nothing is written but checksums: chunks that stay whole keep theirs; a chunk that is seen in part is read and compared with its checksum (VOS-4), and its
 * parts are summed anew from the same bytes; one with a block that is seen in part stays as it is. What fails its checksum stays, and is counted (AGG-4).
 *
 * Where what hides it is small, the parts of such chunks become small as well, at once: each of them is then written over as a whole some day, and goes without being cut again.
 *
 * So an array that is written over in small pieces is not copied for its space (vos_agg_merge.c copies what has become quiet). Tested by test/vos_agg_test.c and the model.
 */
#include "base/probe.h"
#include "vos/vos_agg.h"
#include "vos/vos_evtree.h"
#include "vos/vos_fetch_priv.h"

#include <stddef.h>
#include <string.h>

enum {
    PARTS_NR = 288, /* that one extent becomes in one transaction */
    GAIN_SHARE = 8, /* at least one in so many of its blocks are given back */
    READ_BYTES_MAX = 2 << 20,
    READ_BYTES = 256 << 10, /* at a time */
    HOLES_NR = 4, /* so many make an extent one that is written over in pieces as large as they are, */
    SHORT_BLKS = 16, /* and any in a shorter one */
};

/* Blocks [from, to) of the extent. */
struct part {
    uint32_t from, to;
    bool is_new; /* its checksum is computed, at csum_at */
    uint32_t csum_at;
};

struct cut {
    struct vos_agg *a;
    const struct vos_agg_seen *x;
    uint32_t rec_size, blk_nr;
    struct vos_ver ver; /* of the extent; its pointers are not good over a yield */
    uint32_t part_nr, new_nr, kept_nr; /* parts; those with new checksums; blocks that stay */
    uint32_t part_blks; /* of such parts, at most */
    uint64_t read_bytes; /* of the chunks that are looked at for them */
    uint8_t *buf; /* for chunks that are not in memory */
    struct part parts[PARTS_NR];
    uint8_t csums[PARTS_NR * CSUM_BYTES_MAX], old_csums[VOS_CSUMS_BYTES_MAX];
    uint16_t seen[BIO_EXT_BLKS_MAX]; /* bytes of each block */
};

static uint32_t
blk_bytes(const struct cut *c, uint32_t blk)
{
    return MIN(c->ver.stored_len - blk * BIO_BLK_BYTES, (uint32_t)BIO_BLK_BYTES);
}

static uint32_t
part_bytes(const struct cut *c, const struct part *p)
{
    return MIN(c->ver.stored_len, p->to * BIO_BLK_BYTES) - p->from * BIO_BLK_BYTES;
}

/* ---- plan ----------------------------------------------------------------------------------------------------------- */

static int
ext_find(struct cut *c, struct vos_op *op, struct vos_btr *t, struct vos_key_df **ret_akey,
    uint64_t *ret_off)
{
    struct vos_epoch at = c->x->ver;
    struct vos_btr_key key = {.hkey = c->x->lo, .buf = &at, .len = sizeof(at)};
    uint64_t rec = 0;
    int rc = vos_agg_akey_get(c->a, op, ret_akey, ret_off);

    if (rc == 0 && (*ret_off == 0 || (*ret_akey)->tree.id != VOS_TREE_EXT))
        return -DER_CANCELED;
    if (rc == 0)
        rc = vos_btr_init(t, op, &vos_kind_ext, &(*ret_akey)->tree, vos_key_tree_off(*ret_off));
    if (rc == 0)
        rc = vos_rec_find(t, &key, &rec);
    if (rc == 0 && rec != c->x->off)
        rc = -DER_CANCELED; /* it changed meanwhile */
    if (rc == 0)
        rc = vos_ext_get(op, rec, &c->ver);
    if (rc == 0 && (c->ver.hi != c->x->hi || c->ver.dtx != 0))
        rc = -DER_CANCELED;
    return rc;
}

static int
look_body(struct vos_op *op, void *arg)
{
    struct cut *c = arg;
    struct vos_key_df *akey;
    struct vos_btr t;
    uint64_t off;
    int rc = ext_find(c, op, &t, &akey, &off);

    if (rc != 0)
        return rc;
    c->rec_size = akey->rec_size;
    if (c->ver.csum.len > 0 && c->ver.csum.chunk_bits >= VOS_CSUM_CHUNK_BITS_MIN) {
        memcpy(c->old_csums, c->ver.csums,
            MIN(sizeof(c->old_csums),
                (size_t)vos_csum_nr(c->ver.stored_len, c->ver.csum.chunk_bits) * c->ver.csum.len));
    }
    return 0;
}

/* Whether the place and form of the extent is such that blocks and chunks of it can go. */
static bool
can_cut(const struct cut *c)
{
    const struct vos_ver *v = &c->ver;

    return v->addr != 0 && v->csum.codec == 0 && v->key_id == 0 && c->rec_size != 0 &&
        BIO_BLK_BYTES % c->rec_size == 0 && v->logical_len == v->stored_len &&
        (v->hi - v->lo + 1) * c->rec_size == v->stored_len && c->blk_nr <= BIO_EXT_BLKS_MAX &&
        v->csum.chunk_bits >= VOS_CSUM_CHUNK_BITS_MIN && v->csum.len <= CSUM_BYTES_MAX &&
        vos_csum_nr(v->stored_len, v->csum.chunk_bits) * v->csum.len <= VOS_CSUMS_BYTES_MAX;
}

/* How much of each block is seen. */
static void
seen_fill(struct cut *c)
{
    memset(c->seen, 0, c->blk_nr * sizeof(c->seen[0]));
    for (uint32_t i = 0; i < c->x->nr; i++) {
        const struct vos_agg_range *p = &c->x->ranges[i];
        uint64_t from = (p->lo - c->ver.lo) * c->rec_size;
        uint64_t end = (p->hi - c->ver.lo + 1) * c->rec_size;

        while (from < end) {
            uint64_t blk_end = MIN(ALIGN_DOWN(from, (uint64_t)BIO_BLK_BYTES) + BIO_BLK_BYTES, end);

            c->seen[from / BIO_BLK_BYTES] += (uint16_t)(blk_end - from);
            from = blk_end;
        }
    }
}

/* Neighbours whose checksums stay are one part, up to the length of parts. */
static void
part_add(struct cut *c, uint32_t from, uint32_t to, bool is_new)
{
    struct part *last = c->part_nr == 0 ? NULL : &c->parts[c->part_nr - 1];

    c->kept_nr += to - from;
    if (last != NULL && !is_new && !last->is_new && last->to == from && from % c->part_blks != 0) {
        last->to = to;
        return;
    }
    c->parts[c->part_nr++] = (struct part){.from = from, .to = to, .is_new = is_new};
    c->new_nr += is_new;
}

/* The runs of blocks of one chunk that are seen. */
static void
chunk_plan(struct cut *c, uint32_t from, uint32_t to)
{
    uint32_t none_nr = 0, all_nr = 0;

    for (uint32_t i = from; i < to; i++) {
        none_nr += c->seen[i] == 0;
        all_nr += c->seen[i] == blk_bytes(c, i);
    }
    if (none_nr == to - from)
        return;
    if (all_nr == to - from || none_nr + all_nr != to - from ||
        c->read_bytes + (uint64_t)(to - from) * BIO_BLK_BYTES > READ_BYTES_MAX) {
        part_add(c, from, to, false);
        return;
    }
    c->read_bytes += (uint64_t)(to - from) * BIO_BLK_BYTES;
    for (uint32_t i = from; i < to;) {
        uint32_t end = i;

        while (end < to && c->seen[end] != 0 && (end == i || end % c->part_blks != 0)) {
            end++;
        }
        if (end > i) {
            part_add(c, i, end, true);
            c->parts[c->part_nr - 1].csum_at = (c->new_nr - 1) * c->ver.csum.len;
        }
        i = MAX(end, i + 1);
    }
}

/* How large parts may be: as what hides the rest of the extent is on average, a power of two. */
static uint32_t
part_blks_get(const struct cut *c)
{
    uint32_t hole_nr = 0, hid_nr = 0, blks = 1;

    for (uint32_t i = 0; i < c->blk_nr; i++) {
        hid_nr += c->seen[i] == 0;
        hole_nr += c->seen[i] == 0 && (i == 0 || c->seen[i - 1] != 0);
    }
    if (hole_nr == 0 || (hole_nr < HOLES_NR && c->blk_nr > SHORT_BLKS))
        return UINT32_MAX;
    while (blks * 2 * hole_nr <= hid_nr) {
        blks *= 2;
    }
    return blks;
}

/* What it becomes. False: not worth it. */
static bool
plan(struct cut *c)
{
    uint32_t chunk_blks = UINT32_C(1) << (c->ver.csum.chunk_bits - VOS_CSUM_CHUNK_BITS_MIN);

    c->part_blks = part_blks_get(c);
    for (uint32_t i = 0; i < c->blk_nr; i += MIN(chunk_blks, c->blk_nr - i)) {
        uint32_t to = i + MIN(chunk_blks, c->blk_nr - i);

        /* A chunk may become as many parts as it has blocks; the rest stays in one. */
        if (c->part_nr + chunk_blks + 1 > PARTS_NR) {
            part_add(c, i, c->blk_nr, false);
            break;
        }
        chunk_plan(c, i, to);
    }
    return c->part_nr > 0 && (c->blk_nr - c->kept_nr) * GAIN_SHARE >= c->blk_nr;
}

/* ---- checksums ------------------------------------------------------------------------------------------------------ */

/* The parts [from, end) of one chunk; CSUM when it is bad. They are summed first: what the comparison finds good are the bytes that were (AGG-4). */
static int
chunk_sum(struct cut *c, uint32_t chunk, uint32_t from, uint32_t end, const uint8_t *buf)
{
    uint32_t begin = chunk << c->ver.csum.chunk_bits, all = 0, at = 0;
    uint32_t len = MIN(c->ver.stored_len - begin, UINT32_C(1) << c->ver.csum.chunk_bits);
    const uint8_t *old = c->old_csums + (size_t)chunk * c->ver.csum.len;
    bool is_crc = c->ver.csum.type == CSUM_TYPE_CRC32, is_good;

    for (uint32_t i = from; i < end; i++) {
        const struct part *p = &c->parts[i];
        uint32_t off = p->from * BIO_BLK_BYTES - begin, bytes = part_bytes(c, p), crc;

        if (is_crc) { /* each byte is looked at once */
            crc = crc32c(0, buf + off, bytes);
            le32_put(c->csums + p->csum_at, crc);
            all = crc32c_combine(crc32c(all, buf + at, off - at), crc, bytes);
            at = off + bytes;
        } else {
            vos_csum_put(c->ver.csum.type, buf + off, bytes, c->csums + p->csum_at);
        }
    }
    is_good = is_crc ? crc32c(all, buf + at, len - at) == le32_get(old)
                     : csum_is_good(c->ver.csum.type, buf, len, old);
    return is_good ? 0 : vos_fetch_csum_bad(c->a->pos.oid.oid, "data", c->ver.addr + begin);
}

static uint32_t
part_chunk(const struct cut *c, uint32_t i)
{
    return i < c->part_nr && c->parts[i].is_new
        ? c->parts[i].from >> (c->ver.csum.chunk_bits - VOS_CSUM_CHUNK_BITS_MIN)
        : UINT32_MAX;
}

static uint32_t
buf_bytes(const struct cut *c)
{
    return MAX((uint32_t)READ_BYTES, UINT32_C(1) << c->ver.csum.chunk_bits);
}

/* The bytes of chunks [from, end). */
static int
chunks_read(struct cut *c, uint32_t from, uint32_t end, const uint8_t **ret_buf)
{
    struct bio_tgt *bio = c->a->cont->tgt->bio;
    uint64_t begin = (uint64_t)from << c->ver.csum.chunk_bits;
    uint64_t len = MIN((uint64_t)end << c->ver.csum.chunk_bits, (uint64_t)c->ver.stored_len) - begin;
    void *mem = bio_data_map(bio, c->ver.addr + begin, (size_t)len);
    int rc = 0;

    if (mem != NULL) {
        *ret_buf = mem;
        return 0;
    }
    if (c->buf == NULL)
        rc = bio_buf_get(bio, buf_bytes(c), (void **)&c->buf);
    if (rc == 0)
        rc = bio_data_read(bio, c->ver.addr + begin, c->buf, (size_t)len);
    *ret_buf = c->buf;
    return rc;
}

/* The new checksums. */
static int
parts_sum(struct cut *c)
{
    uint32_t bits = c->ver.csum.chunk_bits, at = 0;
    const uint8_t *buf;
    int rc = 0;

    while (rc == 0 && at < c->part_nr) {
        uint32_t first = part_chunk(c, at), last = first, end = at;

        if (first == UINT32_MAX) {
            at++;
            continue;
        }
        /* Chunks beside each other are read together. */
        for (; part_chunk(c, end) <= last + 1 &&
             (part_chunk(c, end) + 1 - first) << bits <= buf_bytes(c);
             end++) {
            last = part_chunk(c, end);
        }
        rc = chunks_read(c, first, last + 1, &buf);
        while (rc == 0 && at < end) {
            uint32_t chunk = part_chunk(c, at), to = at;

            while (to < end && part_chunk(c, to) == chunk) {
                to++;
            }
            rc = chunk_sum(c, chunk, at, to, buf + ((size_t)(chunk - first) << bits));
            at = to;
        }
    }
    return rc;
}

/* ---- change --------------------------------------------------------------------------------------------------------- */

static int
part_make(struct cut *c, struct vos_op *op, const struct vos_ver *old, const struct part *p,
    struct vos_key_df *akey, uint64_t akey_off)
{
    uint32_t chunk_bits = old->csum.chunk_bits, bytes = part_bytes(c, p);
    uint64_t from = (uint64_t)p->from * BIO_BLK_BYTES, rec;
    struct vos_ver ver = *old;
    int rc;

    ver.lo = old->lo + from / c->rec_size;
    ver.hi = ver.lo + bytes / c->rec_size - 1;
    ver.addr = old->addr + from;
    ver.stored_len = ver.logical_len = bytes;
    ver.csums = p->is_new ? c->csums + p->csum_at : old->csums + (from >> chunk_bits) * old->csum.len;
    if (bytes <= BIO_BLK_BYTES && ver.csum.type == CSUM_TYPE_CRC32)
        ver.csum = vos_csum_default(); /* one, however long chunks are */
    rc = vos_ver_create(op, &ver, &rec);
    return rc != 0 ? rc : vos_evt_insert(op, &akey->tree, vos_key_tree_off(akey_off), rec);
}

static int
gap_free(struct cut *c, struct vos_op *op, uint32_t from, uint32_t to)
{
    uint64_t len = (uint64_t)(to - from) * BIO_BLK_BYTES;

    if (len == 0)
        return 0;
    op->data_delta -= (int64_t)len;
    return bio_ext_free(op->tx, c->a->cont->tgt->bio,
        (struct bio_ext){c->ver.addr + (uint64_t)from * BIO_BLK_BYTES, len});
}

static int
change_body(struct vos_op *op, void *arg)
{
    struct cut *c = arg;
    struct vos_key_df *akey;
    uint32_t at = 0;
    struct vos_btr t;
    uint64_t off;
    int rc = ext_find(c, op, &t, &akey, &off);

    if (rc == 0)
        rc = vos_btr_delete(&t);
    if (rc != 0)
        return rc;
    vos_agg_touch(c->a);
    op->is_bulk = true;
    for (uint32_t i = 0; rc == 0 && i < c->part_nr; i++) {
        rc = gap_free(c, op, at, c->parts[i].from);
        at = c->parts[i].to;
        if (rc == 0)
            rc = part_make(c, op, &c->ver, &c->parts[i], akey, off);
    }
    op->is_bulk = false;
    if (rc == 0)
        rc = gap_free(c, op, at, c->blk_nr);
    c->a->stat.cut_nr++;
    return rc != 0 ? rc : vos_ver_free(op, c->x->off, &c->ver);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int
cut_do(struct cut *c, bool *ret_stop)
{
    struct vos_tgt *tgt = c->a->cont->tgt;
    struct bio_reader reader;
    bool is_good = false;
    struct vos_op op;
    int rc;

    bio_reader_enter(
        tgt->bio, &reader); /* what it holds stays there, whatever becomes of it meanwhile (ST-4) */
    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, look_body, c);
    if (rc == 0) {
        c->blk_nr = (uint32_t)(vos_ver_ext_bytes(&c->ver) / BIO_BLK_BYTES);
        is_good = can_cut(c);
    }
    if (is_good) {
        seen_fill(c);
        is_good = plan(c);
    }
    if (is_good && c->new_nr > 0)
        rc = parts_sum(c);
    if (c->buf != NULL)
        bio_buf_put(tgt->bio, c->buf, buf_bytes(c));
    bio_reader_leave(tgt->bio, &reader);
    if (rc != 0 || !is_good)
        return rc;
    vos_agg_let_read(c->a);
    rc = vos_agg_tx(c->a, change_body, c);
    if (rc == 0 && c->new_nr > 0)
        CAIRN_PROBE("vos.agg.cut_sums_anew");
    if (rc == 0 && c->x->k + 1 < c->a->view_nr)
        CAIRN_PROBE("vos.agg.cut_for_snapshot");
    *ret_stop = vos_agg_pace(c->a);
    return rc;
}

int
vos_agg_cut(struct vos_agg *a, const struct vos_agg_seen *x, bool *ret_stop)
{
    uint64_t nr = x->hi - x->lo + 1, seen_nr = 0;
    struct cut *c;
    int rc;

    for (uint32_t i = 0; i < x->nr; i++) {
        seen_nr += x->ranges[i].hi - x->ranges[i].lo + 1;
    }
    if (nr - seen_nr < MAX(UINT64_C(1), nr / GAIN_SHARE))
        return 0;
    c = vos_heap_alloc(&a->cont->tgt->heap, sizeof(*c));
    if (c == NULL)
        return CAIRN_ERR(NOMEM);
    memset(c, 0, offsetof(struct cut, parts));
    c->a = a;
    c->x = x;
    rc = cut_do(c, ret_stop);
    vos_heap_free(c);
    if (rc == -DER_CSUM)
        a->stat.csum_bad_nr++;
    if (rc == -DER_NOSPACE || rc == -DER_BUSY || rc == -DER_OVERFLOW)
        a->stat.left_nr++;
    return rc == -DER_CSUM || rc == -DER_NOSPACE || rc == -DER_BUSY || rc == -DER_CANCELED ||
            rc == -DER_OVERFLOW
        ? 0
        : rc;
}
