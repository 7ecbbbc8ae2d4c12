/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * An extent of the data role of which only parts are seen at the view of its interval: what is not seen is given back by the block, and what is left becomes extents of their own, with the
 * same version, where they are. Nothing is written but checksums: chunks that stay whole keep theirs; of a chunk that is seen in part the parts are read (by a fetch, which verifies them,
 * VOS-4) and summed anew; one with a block that is seen in part stays as it is. What fails its checksum stays, and is counted (AGG-4).
 *
 * So an array that is written over in small pieces is not copied for its space (vos_agg_merge.c copies what has become quiet). Tested by test/vos_agg_test.c and the model.
 */
#include "vos/vos_agg.h"
#include "vos/vos_evtree.h"

#include <stddef.h>
#include <string.h>

enum {
    PARTS_NR = 160, /* that one extent becomes in one transaction */
    GAIN_SHARE = 4, /* at least one in so many of its blocks are given back */
    READ_BYTES_MAX = 2 << 20,
};

/* Blocks [from, to) of the extent. */
struct part {
    uint32_t from, to;
    bool is_new; /* its checksum is computed, at csum_at, of its bytes at buf_at */
    uint32_t csum_at, buf_at;
};

struct cut {
    struct vos_agg *a;
    const struct vos_agg_seen *x;
    uint32_t rec_size, blk_nr;
    struct vos_ver ver; /* of the extent; its pointers are not good over a yield */
    uint32_t part_nr, new_nr, kept_nr; /* parts; those to be read; blocks that stay */
    struct vos_agg_read rd; /* of the new parts */
    struct part parts[PARTS_NR];
    struct recx recxs[PARTS_NR];
    uint8_t csums[PARTS_NR * CSUM_BYTES_MAX];
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

    if (rc == 0)
        c->rec_size = akey->rec_size;
    return rc;
}

/* Whether the place and form of the extent is such that blocks and chunks of it can go. */
static bool
can_cut(const struct cut *c)
{
    const struct vos_ver *v = &c->ver;

    return v->addr != 0 && v->csum.codec == 0 && v->key_id == 0 && c->rec_size != 0 &&
        BIO_BLK_BYTES % c->rec_size == 0 && v->logical_len == v->stored_len &&
        (v->hi - v->lo + 1) * c->rec_size == v->stored_len && c->blk_nr <= BIO_EXT_BLKS_MAX &&
        v->csum.chunk_bits >= VOS_CSUM_CHUNK_BITS_MIN && v->csum.len <= CSUM_BYTES_MAX;
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

static void
part_add(struct cut *c, uint32_t from, uint32_t to, bool is_new)
{
    struct part *last = c->part_nr == 0 ? NULL : &c->parts[c->part_nr - 1];

    c->kept_nr += to - from;
    if (last != NULL && !is_new && !last->is_new && last->to == from) {
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
        c->rd.len + (uint64_t)all_nr * BIO_BLK_BYTES > READ_BYTES_MAX) {
        part_add(c, from, to, false);
        return;
    }
    for (uint32_t i = from; i < to;) {
        uint32_t end = i;

        while (end < to && c->seen[end] != 0) {
            end++;
        }
        if (end > i) {
            part_add(c, i, end, true);
            c->parts[c->part_nr - 1].buf_at = (uint32_t)c->rd.len;
            c->parts[c->part_nr - 1].csum_at = (c->new_nr - 1) * c->ver.csum.len;
            c->rd.len += part_bytes(c, &c->parts[c->part_nr - 1]);
        }
        i = end + 1;
    }
}

/* What it becomes. False: not worth it. */
static bool
plan(struct cut *c)
{
    uint32_t chunk_blks = UINT32_C(1) << (c->ver.csum.chunk_bits - VOS_CSUM_CHUNK_BITS_MIN);

    for (uint32_t i = 0; i < c->blk_nr; i += MIN(chunk_blks, c->blk_nr - i)) {
        uint32_t to = i + MIN(chunk_blks, c->blk_nr - i);

        /* A chunk may become half as many parts as it has blocks; the rest stays in one. */
        if (c->part_nr + (chunk_blks + 1) / 2 + 1 > PARTS_NR) {
            part_add(c, i, c->blk_nr, false);
            break;
        }
        chunk_plan(c, i, to);
    }
    return c->part_nr > 0 && (c->blk_nr - c->kept_nr) * GAIN_SHARE >= c->blk_nr;
}

/* ---- checksums ------------------------------------------------------------------------------------------------------ */

static int
parts_read(struct cut *c)
{
    uint32_t nr = 0;

    for (uint32_t i = 0; i < c->part_nr; i++) {
        const struct part *p = &c->parts[i];

        if (p->is_new) {
            c->recxs[nr++] =
                (struct recx){c->ver.lo + (uint64_t)p->from * BIO_BLK_BYTES / c->rec_size,
                    part_bytes(c, p) / c->rec_size};
        }
    }
    return vos_agg_read(c->a, c->a->views[c->x->k], c->recxs, nr, &c->rd);
}

/* New checksums; after that the bytes must still be those that were verified (AGG-4). */
static int
parts_sum(struct cut *c)
{
    for (uint32_t i = 0; i < c->part_nr; i++) {
        const struct part *p = &c->parts[i];

        if (p->is_new) {
            vos_csum_put(
                c->ver.csum.type, c->rd.buf + p->buf_at, part_bytes(c, p), c->csums + p->csum_at);
        }
    }
    return vos_agg_read_still(&c->rd);
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
    return rc != 0 ? rc : vos_free(op, c->x->off, c->ver.bytes);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int
cut_do(struct cut *c, bool *ret_stop)
{
    struct vos_tgt *tgt = c->a->cont->tgt;
    struct vos_op op;
    int rc;

    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, look_body, c);
    if (rc != 0)
        return rc;
    c->blk_nr = (uint32_t)(vos_ver_ext_bytes(&c->ver) / BIO_BLK_BYTES);
    if (!can_cut(c))
        return 0;
    seen_fill(c);
    if (!plan(c))
        return 0;
    if (c->new_nr > 0) {
        c->rd.buf = vos_heap_alloc(&tgt->heap, (size_t)c->rd.len);
        rc = c->rd.buf == NULL ? CAIRN_ERR(NOMEM) : parts_read(c);
        if (rc == 0)
            rc = parts_sum(c);
    }
    if (rc != 0)
        return rc;
    vos_agg_let_read(c->a);
    rc = vos_agg_tx(c->a, change_body, c);
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
    vos_heap_free(c->rd.buf);
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
