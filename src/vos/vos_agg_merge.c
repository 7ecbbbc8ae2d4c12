/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Aggregation of one array: what shows of an interval at its view is written anew where that pays, of each interval for itself. A run is a row of visible pieces that touch, and to which all belongs that is
 * visible of the extents they come from; it becomes one extent with the newest of their versions, and those extents go. Worth it when most of a run are small extents, when
 * much of what its extents occupy is not seen any more, or when most of it lies with the metadata though it would fill half a block of the data role (not where that is memory, too).
 *
 *   plan      the next run from a place on, without a transaction (yields)
 *   read      the run through a fetch at the view: verified (VOS-4), and what fails is left as it is, and counted (AGG-4)
 *   write     new checksums, a reservation, the data; durable before the index (ST-3)
 *   change    in one transaction, when all extents are still there: they go, the new one comes
 *
 * Memory: one buffer of at most RUN_BYTES_MAX.
 */
#include "vos/vos_agg.h"
#include "vos/vos_evtree.h"

#include "base/crc.h"
#include "base/probe.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_BYTES = 2 << 20, /* searched at a time */
    RUN_BYTES_MAX = WINDOW_BYTES,
    RUN_EXTS_NR_MAX = 256, /* in one transaction */
    PIECES_NR_MAX = 1024,
    MOVE_BYTES = VOS_AGG_MOVE_BYTES,
    HOT_BYTES_MIN = 256 << 10, /* arrays below are written anew at once */
    HOT_SHARE =
        16, /* when at least one in so many of its extents is new, an array that is written over is left alone */
};
#define IDX_MAX ((UINT64_C(1) << 63) - 1)

struct mext {
    uint64_t lo, off;
    struct vos_epoch ver;
};

struct merge {
    struct vos_agg *a;
    uint32_t k; /* the interval */
    uint64_t next; /* index from which the next run is looked for */
    bool is_end, has_run;
    bool is_old, has_left; /* it was written over; a run that is worth it still is */
    uint32_t rec_size;
    uint64_t range_lo, range_hi, range_nr; /* searched; 0: to be chosen */
    bool is_searching;
    /* the run */
    uint64_t lo, hi;
    struct vos_epoch ver; /* newest */
    uint32_t pm_ver, ext_nr, small_nr;
    uint64_t small_bytes, inline_bytes; /* of small extents; of values with the metadata */
    uint64_t held; /* what the extents occupy in the data role, or such values */
    struct mext ext[RUN_EXTS_NR_MAX];
    /* its data */
    struct vos_agg_read rd;
    uint8_t *csums;
    struct vos_csum csum; /* as of the newest extent */
    struct bio_resv *resv;
    struct vos_evt_search search;
};

static uint64_t
run_bytes(const struct merge *m)
{
    return (m->hi - m->lo + 1) * m->rec_size;
}

/* ---- plan ----------------------------------------------------------------------------------------------------------- */

static void
search_end(struct merge *m)
{
    if (m->is_searching)
        vos_evt_fini(&m->search);
    m->is_searching = false;
}

/* The range to search begins with the next extent. */
static int
range_next(struct merge *m, struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off)
{
    struct vos_agg *a = m->a;
    struct vos_epoch oldest = {0, 0};
    struct vos_btr_key key = {.hkey = m->next, .buf = &oldest, .len = sizeof(oldest)};
    struct vos_ver ext;
    struct vos_btr t;
    bool exact;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(akey_off));

    if (rc == 0)
        rc = vos_btr_search(&t, &key, &exact);
    if (rc == 0)
        rc = vos_btr_settle(&t);
    if (rc == 0)
        rc = vos_ext_get(op, vos_btr_rec(&t), &ext);
    if (rc != 0)
        return rc;
    m->range_lo = ext.lo;
    m->range_hi = MIN(ext.lo + MIN(m->range_nr, IDX_MAX) - 1, IDX_MAX);
    vos_evt_begin(&m->search, &a->cont->tgt->heap, m->range_lo, m->range_hi, a->views[m->k],
        vos_agg_punch_at(&a->levels[VOS_AGG_AKEY], m->k));
    m->search.piece_max = PIECES_NR_MAX;
    m->is_searching = true;
    return 0;
}

/* The extent of a piece; *ret_is_part: it is part of a run. Not so: also a large one that is seen whole. */
static int
piece_ext(struct merge *m, struct vos_op *op, const struct vos_evt_piece *p,
    struct vos_ver *ret_ext, bool *ret_is_part, bool *ret_beyond)
{
    const struct vos_agg *a = m->a;
    struct vos_ver *ext = ret_ext;
    int rc;

    *ret_is_part = false;
    *ret_beyond = false;
    if (p->is_hole || (m->k > 0 && p->ver.epoch <= a->views[m->k - 1]) || p->ext_lo < m->range_lo)
        return 0;
    rc = vos_ext_get(op, p->rec, ext);
    if (rc != 0)
        return rc;
    *ret_beyond = ext->hi > m->range_hi && ext->lo > m->range_lo;
    *ret_is_part = ext->hi <= m->range_hi && ext->dtx == 0 &&
        (p->lo != ext->lo || p->hi != ext->hi || ext->stored_len < VOS_AGG_SMALL_BYTES);
    return 0;
}

/* A part of something large that was cut: it has the version of another one. */
static bool
is_cut(const struct merge *m, const struct vos_ver *ext)
{
    for (uint32_t i = m->ext_nr; ext->addr != 0 && i-- > 0;) {
        if (m->ext[i].ver.epoch == ext->epoch && m->ext[i].ver.minor == ext->minor)
            return true;
    }
    return false;
}

static bool
is_in_run(const struct merge *m, uint64_t off)
{
    for (uint32_t i = m->ext_nr; i-- > 0;) {
        if (m->ext[i].off == off)
            return true;
    }
    return false;
}

static void
run_begin(struct merge *m, uint64_t lo)
{
    m->lo = lo;
    m->ver = (struct vos_epoch){0, 0};
    m->pm_ver = m->ext_nr = m->small_nr = 0;
    m->small_bytes = m->inline_bytes = m->held = 0;
}

static void
run_add(struct merge *m, const struct vos_evt_piece *p, const struct vos_ver *ext)
{
    bool is_small = ext->stored_len < VOS_AGG_SMALL_BYTES;

    m->hi = p->hi;
    if (is_in_run(m, p->rec))
        return;
    is_small = is_small && !is_cut(m, ext);
    m->ext[m->ext_nr++] = (struct mext){ext->lo, p->rec, p->ver};
    if (vos_epoch_gt(p->ver, m->ver)) {
        m->ver = p->ver;
        m->pm_ver = ext->pm_ver;
        m->csum = ext->csum;
    }
    m->held += ext->addr != 0 ? vos_ver_ext_bytes(ext) : ext->stored_len;
    if (ext->addr == 0)
        m->inline_bytes += ext->stored_len;
    if (is_small) {
        m->small_nr++;
        m->small_bytes += ext->stored_len;
    }
}

/* Whether a value of this length belongs into the data role. */
static bool
moves(const struct merge *m, uint64_t len)
{
    return len > VOS_INLINE_BYTES_MAX ||
        (len >= MOVE_BYTES && !bio_data_is_mapped(m->a->cont->tgt->bio));
}

/* Whether pieces [from, to] are all that is visible of their extents, and worth it. */
static bool
run_is_good(const struct merge *m, uint32_t from, uint32_t to)
{
    uint64_t len = run_bytes(m);
    uint64_t room = moves(m, len) ? ALIGN_UP(len, (uint64_t)BIO_BLK_BYTES) : len;
    bool is_small = m->small_nr >= VOS_AGG_SMALL_NR && m->small_bytes >= len / 2;
    bool is_cool = moves(m, len) && m->inline_bytes > 0 && m->inline_bytes >= len / 2;

    if (!is_small && (m->held <= room || m->held - room <= len / 4) &&
        !(is_cool && vos_agg_cools(m->a)))
        return false;
    for (uint32_t i = 0; i < m->search.piece_nr; i++) {
        if ((i < from || i > to) && is_in_run(m, m->search.pieces[i].rec))
            return false;
    }
    return true;
}

/* The first good run among the pieces. */
static int
run_find(struct merge *m, struct vos_op *op)
{
    const struct vos_evt_piece *p = m->search.pieces;
    uint64_t behind = m->range_hi == IDX_MAX ? 0 : m->range_hi + 1; /* 0: the end */
    uint32_t nr = m->search.piece_nr, from = 0;
    struct vos_ver ext;
    bool is_part = false, is_beyond = false;
    int rc = 0;

    while (rc == 0 && from < nr && !m->has_run) {
        uint32_t to = from;

        run_begin(m, p[from].lo);
        for (; to < nr; to++) {
            rc = piece_ext(m, op, &p[to], &ext, &is_part, &is_beyond);
            if (rc != 0)
                return rc;
            if (!is_part || m->ext_nr == RUN_EXTS_NR_MAX ||
                (to > from && p[to].lo != p[to - 1].hi + 1))
                break;
            run_add(m, &p[to], &ext);
        }
        m->has_run = to > from && run_is_good(m, from, to - 1);
        if (m->has_run && m->is_old && m->ver.epoch > m->a->lo) {
            m->has_run = false;
            m->has_left = true;
        }
        /* An extent that goes on behind the range is looked at from its beginning. */
        if (to < nr && is_beyond)
            behind = MIN(behind - 1, p[to].ext_lo - 1) + 1;
        from = to == from ? to + 1 : to;
    }
    m->next = m->has_run ? m->hi + 1 : behind;
    m->is_end = !m->has_run && behind == 0;
    return rc;
}

static int
plan_body(struct vos_op *op, void *arg)
{
    struct merge *m = arg;
    struct vos_agg *a = m->a;
    struct vos_key_df *akey;
    uint64_t off;
    int rc = vos_agg_akey_get(a, op, &akey, &off);

    if (rc == 0 && (off == 0 || akey->tree.id != VOS_TREE_EXT || akey->rec_size == 0)) {
        m->is_end = true;
        return 0;
    }
    if (rc != 0)
        return rc;
    m->rec_size = akey->rec_size;
    if (m->range_nr == 0)
        m->range_nr = MAX(UINT64_C(1), (uint64_t)WINDOW_BYTES / m->rec_size);
    if (!m->is_searching)
        rc = range_next(m, op, akey, off);
    if (rc == -DER_NONEXIST) {
        m->is_end = true;
        return 0;
    }
    if (rc != 0)
        return rc;
    m->search.gen = *vos_obj_lsn(a->cont->tgt, vos_obj_hash(a->cont, &a->pos.oid));
    rc = vos_evt_collect(op, &akey->tree, vos_key_tree_off(off), &m->search);
    if (rc == -DER_OVERFLOW && m->range_nr > 1) {
        search_end(m);
        m->range_nr /= 2;
        return -DER_INPROGRESS;
    }
    return rc != 0 ? rc : run_find(m, op);
}

static int
plan(struct merge *m)
{
    struct vos_tgt *tgt = m->a->cont->tgt;
    struct vos_op op;
    int rc;

    m->has_run = false;
    m->range_nr = 0;
    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, plan_body, m);
    search_end(m);
    return rc;
}

/* ---- read ----------------------------------------------------------------------------------------------------------- */

static int
sink_take(void *arg, const struct vos_piece *piece)
{
    struct vos_agg_read *rd = arg;

    if (piece->len > rd->len - rd->got)
        return CAIRN_ERR(DF_INVAL);
    memcpy(rd->buf + rd->got, piece->buf, piece->len);
    rd->crc = crc32c_combine(rd->crc, piece->crc, piece->len);
    rd->got += piece->len;
    return 0;
}

static int
sink_drain(void *arg)
{
    (void)arg;
    return 0;
}

int
vos_agg_read(
    struct vos_agg *a, uint64_t epoch, struct recx *recxs, uint32_t nr, struct vos_agg_read *rd)
{
    struct vos_iod iod = {.akey = {a->pos.akey.buf, a->pos.akey.len},
        .type = VOS_IOD_ARRAY,
        .recx_nr = nr,
        .recxs = recxs};
    struct vos_fetch_args args = {.oid = a->pos.oid,
        .epoch = epoch,
        .dkey = {a->pos.dkey.buf, a->pos.dkey.len},
        .iods = &iod,
        .iod_nr = 1};
    struct vos_sink sink = {.arg = rd, .take = sink_take, .drain = sink_drain};
    struct vos_fetch *fetch;
    int rc;

    rd->got = 0;
    rd->crc = 0;
    rc = vos_fetch_begin(a->cont, &args, &fetch);
    if (rc != 0)
        return rc;
    rc = vos_fetch_give(a->cont, fetch, &sink);
    if (rc == 0 && rd->got != rd->len)
        rc = -DER_CANCELED; /* a hole */
    vos_fetch_free(a->cont, fetch);
    return rc;
}

int
vos_agg_read_still(const struct vos_agg_read *rd)
{
    return crc32c(0, rd->buf, (size_t)rd->len) == rd->crc ? 0 : CAIRN_ERR(CSUM);
}

/* ---- write ---------------------------------------------------------------------------------------------------------- */

static uint32_t
csum_nr(const struct merge *m)
{
    return vos_csum_nr(m->rd.len, m->csum.chunk_bits);
}

/* New checksums, of the kind of the newest extent; after that the bytes must still be those that were verified (AGG-4). */
static int
run_sum(struct merge *m)
{
    uint64_t chunk = UINT64_C(1) << m->csum.chunk_bits;

    for (uint32_t i = 0; i < csum_nr(m); i++) {
        vos_csum_put(m->csum.type, m->rd.buf + i * chunk, (size_t)MIN(m->rd.len - i * chunk, chunk),
            m->csums + (size_t)i * m->csum.len);
    }
    return vos_agg_read_still(&m->rd);
}

static int
run_write(struct merge *m)
{
    struct bio_tgt *bio = m->a->cont->tgt->bio;
    uint64_t addr;
    void *mem;
    int rc = bio_ext_reserve(bio, m->rd.len, (m->a->cont->stream + 1) | BIO_STREAM_RECLAIM, &m->resv);

    if (rc != 0)
        return rc;
    addr = bio_resv_ext(m->resv).addr;
    mem = bio_data_map(bio, addr, (size_t)m->rd.len);
    if (mem != NULL) {
        memcpy(mem, m->rd.buf, (size_t)m->rd.len);
        bio_data_written(bio, addr, (size_t)m->rd.len);
        return 0;
    }
    rc = bio_buf_get(bio, (size_t)m->rd.len, &mem);
    if (rc != 0)
        return rc;
    memcpy(mem, m->rd.buf, (size_t)m->rd.len);
    rc = bio_data_write(bio, addr, mem, (size_t)m->rd.len);
    bio_buf_put(bio, mem, (size_t)m->rd.len);
    return rc;
}

/* ---- change --------------------------------------------------------------------------------------------------------- */

static int
mext_drop(struct merge *m, struct vos_op *op, struct vos_key_df *akey, uint64_t akey_off,
    const struct mext *x)
{
    struct vos_epoch ver = x->ver;
    struct vos_btr_key key = {.hkey = x->lo, .buf = &ver, .len = sizeof(ver)};
    struct vos_btr t;
    uint64_t rec;
    int rc = vos_btr_init(&t, op, &vos_kind_ext, &akey->tree, vos_key_tree_off(akey_off));

    if (rc == 0)
        rc = vos_rec_find(&t, &key, &rec);
    if (rc != 0)
        return rc;
    if (rec != x->off)
        return -DER_CANCELED; /* it changed meanwhile */
    rc = vos_btr_delete(&t);
    return rc != 0 ? rc : vos_gc_free_version(m->a->cont->tgt, op, rec);
}

static int
mext_make(struct merge *m, struct vos_op *op, uint64_t *ret_off)
{
    struct vos_ver ver = {.is_ext = true,
        .epoch = m->ver.epoch,
        .minor = m->ver.minor,
        .flags = m->resv == NULL ? VOS_VER_INLINE : 0,
        .pm_ver = m->pm_ver,
        .csum = m->csum,
        .stored_len = (uint32_t)m->rd.len,
        .logical_len = (uint32_t)m->rd.len,
        .lo = m->lo,
        .hi = m->hi,
        .addr = m->resv == NULL ? 0 : bio_resv_ext(m->resv).addr,
        .csums = m->csums,
        .data = m->rd.buf};

    return vos_ver_create(op, &ver, ret_off);
}

static int
change_body(struct vos_op *op, void *arg)
{
    struct merge *m = arg;
    struct vos_agg *a = m->a;
    struct vos_key_df *akey;
    uint64_t off, rec;
    int rc = vos_agg_akey_get(a, op, &akey, &off);

    if (rc == 0 && off == 0)
        rc = -DER_CANCELED;
    if (rc != 0)
        return rc;
    vos_agg_touch(a);
    for (uint32_t i = 0; rc == 0 && i < m->ext_nr; i++) {
        rc = mext_drop(m, op, akey, off, &m->ext[i]);
    }
    if (rc == 0)
        rc = mext_make(m, op, &rec);
    if (rc == 0)
        rc = vos_evt_insert(op, &akey->tree, vos_key_tree_off(off), rec);
    if (rc == 0 && m->resv != NULL) {
        rc = bio_ext_publish(op->tx, a->cont->tgt->bio, m->resv);
        op->data_delta += (int64_t)bio_resv_ext(m->resv).len;
    }
    if (m->ext_nr == 1 && m->inline_bytes > 0 && m->resv != NULL) {
        a->stat.move_nr++;
        a->stat.move_bytes += m->rd.len;
    } else {
        a->stat.merge_in_nr += m->ext_nr;
        a->stat.merge_out_nr++;
        a->stat.merge_bytes += m->rd.len;
    }
    return rc;
}

static int
run_change(struct merge *m)
{
    struct bio_tgt *bio = m->a->cont->tgt->bio;
    int rc;

    vos_agg_let_read(m->a);
    rc = vos_agg_tx(m->a, change_body, m);
    if (rc == 0 && m->resv != NULL) {
        bio_ext_published(bio, m->resv);
        m->resv = NULL;
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int
run_do(struct merge *m)
{
    struct vos_tgt *tgt = m->a->cont->tgt;
    int rc = 0;

    m->rd.len = run_bytes(m);
    m->csum.chunk_bits = vos_csum_bits(m->csum, m->rd.len);
    m->rd.buf = vos_heap_alloc(&tgt->heap, (size_t)m->rd.len);
    m->csums = vos_heap_alloc(&tgt->heap, csum_nr(m) * m->csum.len);
    if (m->rd.buf == NULL || m->csums == NULL)
        rc = CAIRN_ERR(NOMEM);
    if (rc == 0) {
        rc = vos_agg_read(
            m->a, m->a->views[m->k], &(struct recx){m->lo, m->hi - m->lo + 1}, 1, &m->rd);
    }
    if (rc == 0)
        rc = run_sum(m);
    if (rc == 0 && moves(m, m->rd.len))
        rc = run_write(m);
    if (rc == 0)
        rc = run_change(m);
    bio_ext_cancel(tgt->bio, m->resv);
    m->resv = NULL;
    vos_heap_free(m->rd.buf);
    vos_heap_free(m->csums);
    m->rd.buf = NULL;
    m->csums = NULL;
    return rc;
}

/* The interval m->k. */
static int
interval_merge(struct merge *m, bool *ret_stop)
{
    struct vos_agg *a = m->a;
    int rc = 0;

    m->next = 0;
    m->is_end = false;
    while (rc == 0 && !m->is_end && !*ret_stop) {
        rc = plan(m);
        if (rc == 0 && m->has_run) {
            rc = run_do(m);
            if (rc == 0 && m->k + 1 < a->view_nr)
                CAIRN_PROBE("vos.agg.merge_for_snapshot");
            if (rc == -DER_CSUM) {
                a->stat.csum_bad_nr++;
                rc = 0;
            } else if (rc == -DER_NOSPACE || rc == -DER_BUSY || rc == -DER_CANCELED ||
                rc == -DER_OVERFLOW) {
                a->stat.left_nr++;
                rc = 0;
            }
        }
        if (rc == 0)
            *ret_stop = vos_agg_pace(a);
    }
    return rc;
}

int
vos_agg_merge(struct vos_agg *a, const struct vos_agg_pruned *pruned, bool *ret_stop)
{
    struct merge *m = vos_heap_alloc(&a->cont->tgt->heap, sizeof(*m));
    int rc = m == NULL ? CAIRN_ERR(NOMEM) : 0;

    if (m != NULL)
        memset(m, 0, offsetof(struct merge, search));
    if (rc == 0) {
        m->a = a;
        m->is_old = (pruned->is_overlapped || pruned->gone_nr > 0) &&
            pruned->bytes >= HOT_BYTES_MIN && !a->cools;
    }
    if (rc == 0 && m->is_old && pruned->new_nr * HOT_SHARE >= pruned->kept_nr)
        m->has_left = true;
    /* An older interval where enough is small in it. */
    for (uint32_t age = 0;
         rc == 0 && !m->has_left && !*ret_stop && age < a->view_nr && age < VOS_AGG_MERGE_VIEWS_NR;
         age++) {
        m->k = a->view_nr - 1 - age;
        if (age == 0 || pruned->small_nr[age] >= VOS_AGG_SMALL_NR)
            rc = interval_merge(m, ret_stop);
    }
    a->stat.left_nr += m != NULL && m->has_left;
    vos_heap_free(m);
    return rc;
}
