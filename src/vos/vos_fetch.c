/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Look-ups of reads (vos.h, vos_fetch_begin). The index is walked in steps without yields, each of which takes up where the last one ended, at one fixed
 * epoch; values with the metadata are copied out on the way, the others are read from the data role afterwards (vos_fetch_data.c), under
 * the protection of a bio reader (ST-4). Stamps are left first, so that nothing changes below the epoch between the steps.
 */
#include "base/crc.h"
#include "base/log.h"
#include "vos/vos_evtree.h"
#include "vos/vos_fetch_priv.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum { SEGS_NR_MAX = 1 << 20, WANTS_NR_MAX = 1 << 16 };

struct fetch_akey {
    uint64_t hkey;
    uint64_t h; /* its stamp's hash */
};

struct fetch {
    struct vos_cont *cont;
    const struct vos_oid *oid;
    const struct iov *dkey;
    const struct vos_iod *iods;
    uint32_t iod_nr;
    uint32_t flags;
    bool is_now; /* asked for the newest state */
    bool must_stamp; /* before this step ends */
    uint64_t trim_nr;
    struct vos_fetch_mem *mem;
    struct arena *arena; /* of values; NULL: mem */
    uint64_t tx;
    struct vos_dtx_look look;
    struct vos_walk walk;
    struct vos_btr_key dkey_key, akey_key; /* of the first akey */
    struct vos_hint_found hint;
    uint64_t h_dkey; /* its stamp's hash */
    struct fetch_akey *akeys; /* of each iod */
    uint64_t lsn;
    /* progress */
    uint32_t iod_idx, recx_idx;
    bool is_searching;
    uint32_t drops; /* of the object when the search began (AGG-3) */
    uint32_t piece_idx;
    bool has_pos; /* of the range at hand: it was begun */
    uint64_t pos; /* everything before it has a segment */
    uint32_t seg_nr, seg_cap; /* of the iod at hand */
    struct vos_seg *segs; /* seg_first or of the heap */
    /* not cleared */
    struct vos_seg seg_first[8];
    struct vos_evt_search search; /* begun while is_searching */
};

bool
vos_fetch_mem_grow(struct vos_tgt *tgt, struct vos_fetch_mem *mem, size_t room)
{
    size_t bytes = MAX(room, (size_t)VOS_FETCH_CHUNK_BYTES);
    struct vos_fetch_chunk *c;

    if (bytes > VOS_FETCH_MEM_BYTES_MAX - mem->total)
        return false;
    c = vos_heap_alloc(&tgt->heap, sizeof(*c) + bytes);
    if (c == NULL)
        return false;
    c->next = mem->chunks;
    mem->chunks = c;
    mem->total += bytes;
    mem->at = (uint8_t *)c->mem;
    mem->left = bytes;
    return true;
}

static void *
mem_alloc(struct fetch *f, size_t len)
{
    return vos_fetch_mem_alloc(f->cont->tgt, f->mem, len);
}

static void *
mem_dup(struct fetch *f, const void *src, size_t len)
{
    void *p = mem_alloc(f, len);

    return p == NULL ? NULL : memcpy(p, src, len);
}

static void
search_end(struct fetch *f)
{
    if (f->is_searching) {
        vos_evt_fini(&f->search);
        --*vos_obj_searches(f->cont->tgt, f->walk.h_obj);
    }
    f->is_searching = false;
}

static int
seg_add(struct fetch *f, const struct vos_seg *seg)
{
    if (f->seg_nr == f->seg_cap) {
        uint32_t cap = f->seg_cap * 2;
        struct vos_seg *segs;

        if (cap > SEGS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        segs = vos_heap_realloc(
            &f->cont->tgt->heap, f->segs == f->seg_first ? NULL : f->segs, cap * sizeof(*segs));
        if (segs == NULL)
            return CAIRN_ERR(NOMEM);
        if (f->segs == f->seg_first)
            memcpy(segs, f->seg_first, sizeof(f->seg_first));
        f->segs = segs;
        f->seg_cap = cap;
    }
    f->segs[f->seg_nr++] = *seg;
    return 0;
}

static int
hole_add(struct fetch *f, uint64_t idx, uint64_t nr)
{
    return seg_add(f, &(struct vos_seg){.idx = idx, .nr = nr});
}

/* Much of a value with small chunks is looked at in larger ones, as of which their checksums are joined. */
static uint8_t
want_bits(const struct vos_ver *ver, uint64_t len)
{
    bool is_joined = ver->csum.type == CSUM_TYPE_CRC32 &&
        ver->csum.chunk_bits < VOS_CSUM_CHUNK_BITS && len >= 2 * VOS_CSUM_CHUNK_BYTES;

    return is_joined ? VOS_CSUM_CHUNK_BITS : ver->csum.chunk_bits;
}

/* The checksums of the chunks of 1 << bits bytes in [first, end) of a value. */
static const uint8_t *
want_csums(struct fetch *f, const struct vos_ver *ver, uint8_t bits, uint64_t first, uint64_t end)
{
    uint64_t chunk = UINT64_C(1) << ver->csum.chunk_bits;
    const uint8_t *from = ver->csums + (first >> ver->csum.chunk_bits) * ver->csum.len;
    uint8_t *csums = mem_alloc(f, vos_csum_nr(end - first, bits) * ver->csum.len);
    uint32_t crc = 0;

    if (csums == NULL)
        return NULL;
    if (bits == ver->csum.chunk_bits)
        return memcpy(csums, from, vos_csum_nr(end - first, bits) * ver->csum.len);
    for (uint64_t at = first; at < end; at += chunk, from += sizeof(crc)) {
        if (at % (UINT64_C(1) << bits) == 0)
            crc = 0;
        crc = crc32c_combine(crc, le32_get(from), MIN(chunk, end - at));
        le32_put(csums + ((at - first) >> bits) * sizeof(crc), crc);
    }
    return csums;
}

static int
want_add(struct fetch *f, const struct vos_ver *ver, uint64_t off, uint64_t len)
{
    struct vos_fetch_mem *mem = f->mem;
    uint8_t bits = want_bits(ver, len);
    uint64_t chunk = UINT64_C(1) << bits;
    uint64_t first = ALIGN_DOWN(off, chunk);
    uint64_t end = MIN(ALIGN_UP(off + len, chunk), (uint64_t)ver->stored_len);
    struct vos_want *w;

    if (mem->want_nr == mem->want_cap) {
        uint32_t cap = mem->want_cap == 0 ? 8 : mem->want_cap * 2;

        if (cap > WANTS_NR_MAX)
            return CAIRN_ERR(OVERFLOW);
        w = vos_heap_realloc(&f->cont->tgt->heap, mem->wants, cap * sizeof(*w));
        if (w == NULL)
            return CAIRN_ERR(NOMEM);
        mem->wants = w;
        mem->want_cap = cap;
    }
    w = &mem->wants[mem->want_nr];
    *w = (struct vos_want){.addr = ver->addr + first,
        .len = end - first,
        .skip = off - first,
        .nr = len,
        .chunk_bits = bits,
        .csum_type = ver->csum.type,
        .csum_len = ver->csum.len,
        .csums = want_csums(f, ver, bits, first, end)};
    if (w->csums == NULL)
        return CAIRN_ERR(NOMEM);
    mem->want_bytes += len;
    mem->want_nr++;
    return 0;
}

int
vos_fetch_csum_bad(struct oid oid, const char *where, uint64_t addr)
{
    char text[OID_TEXT_BYTES];

    LOG_WARN("object %s: checksum of a value does not match, %s at %#" PRIx64,
        oid_to_text(oid, text), where, addr);
    return CAIRN_ERR(CSUM);
}

/* Bytes [off, off + len) of a version become a segment. */
static int
value_add(struct fetch *f, const struct vos_ver *ver, uint64_t rec, uint64_t idx, uint64_t nr,
    uint64_t off, uint64_t len)
{
    struct vos_seg seg = {.idx = idx, .nr = nr};
    const uint8_t *data;
    int rc;

    f->mem->pub.data_bytes += len;
    if ((f->flags & VOS_FETCH_SIZE_ONLY) != 0)
        return seg_add(f, &seg);
    if ((ver->flags & VOS_VER_INLINE) == 0) {
        seg.is_later = true;
        rc = want_add(f, ver, off, len);
        return rc != 0 ? rc : seg_add(f, &seg);
    }
    data = ver->data;
    if (!vos_csum_part(
            ver->csum.type, ver->csums, data, ver->stored_len, (size_t)off, (size_t)len, &seg.crc))
        return vos_fetch_csum_bad(f->oid->oid, "metadata", rec);
    seg.buf = f->arena != NULL ? arena_dup(f->arena, data + off, (size_t)len)
                               : mem_dup(f, data + off, (size_t)len);
    return seg.buf == NULL ? CAIRN_ERR(NOMEM) : seg_add(f, &seg);
}

/* What lies apart is resident, and on its way, before anything of the version is noted. */
static inline int
value_get(const struct fetch *f, struct vos_op *op, struct vos_ver *ver)
{
    int rc = 0;

    if (ver->apart != 0 && (f->flags & VOS_FETCH_SIZE_ONLY) == 0) {
        rc = vos_ver_data(op, ver);
        if (rc == 0)
            vos_value_ahead(ver->data, ver->stored_len);
    }
    return rc;
}

static int
single_fetch(struct fetch *f, struct vos_op *op, struct vos_fetch_iod *out)
{
    const struct vos_tree_df *tree = &f->walk.akey->tree;
    uint32_t *guess = &f->cont->single_bytes;
    const uint8_t *rec;
    struct vos_ver ver;
    uint64_t off;
    int rc;

    /* The only version: all of it, if it is as long as the one before, while its first line is on its way. */
    rec = tree->depth == 0 && tree->root != 0 ? umem_ptr(op->um, tree->root) : NULL;
    if (rec != NULL)
        vos_value_ahead(rec, *guess);
    rc = vos_single_find(op, f->walk.akey, f->walk.a.off, f->walk.a.info.punch, &off, &ver);
    if (rc != 0 || off == 0)
        return rc;
    *guess = ver.bytes;
    rc = value_get(f, op, &ver);
    if (rc == 0)
        rc = value_add(f, &ver, off, 0, 1, 0, ver.stored_len);
    if (rc == 0)
        out->size = ver.logical_len;
    if (ver.apart != 0) {
        vos_hint_value(f->cont, ver.apart, ver.stored_len);
    } else {
        vos_hint_value(f->cont, off, ver.bytes);
    }
    return rc;
}

/* Turn what was found for one range into segments without gaps; goes on where it paused. */
static int
recx_segs(struct fetch *f, struct vos_op *op, const struct recx *recx, struct vos_fetch_iod *out)
{
    uint64_t end = recx->idx + recx->nr;
    uint32_t rec_size = f->walk.akey->rec_size;
    struct vos_ver ext;
    int rc = 0;

    for (; rc == 0 && f->piece_idx < f->search.piece_nr; f->piece_idx++) {
        const struct vos_evt_piece *p = &f->search.pieces[f->piece_idx];

        if (p->is_hole)
            continue;
        if (op->steps_left == 0)
            return -DER_INPROGRESS;
        op->steps_left--;
        rc = vos_ext_get(op, p->rec, &ext);
        if (rc == 0 && ext.stored_len != (ext.hi - ext.lo + 1) * rec_size)
            rc = vos_bad(p->rec, "extent size");
        if (rc == 0)
            rc = value_get(f, op, &ext);
        if (rc != 0)
            return rc;
        if (p->lo > f->pos)
            rc = hole_add(f, f->pos, p->lo - f->pos);
        if (rc == 0) {
            rc = value_add(f, &ext, p->rec, p->lo, p->hi - p->lo + 1,
                (p->lo - p->ext_lo) * rec_size, (p->hi - p->lo + 1) * rec_size);
        }
        f->pos = p->hi + 1;
        out->size = rec_size;
    }
    return rc == 0 && f->pos < end ? hole_add(f, f->pos, end - f->pos) : rc;
}

static int
recx_fetch(struct fetch *f, struct vos_op *op, const struct recx *recx, struct vos_fetch_iod *out)
{
    int rc;

    uint32_t drops = *vos_obj_drops(f->cont->tgt, f->walk.h_obj);

    if (f->is_searching && f->drops != drops)
        search_end(f); /* what it found may be gone: the rest anew */
    if (!f->is_searching) {
        f->pos = f->has_pos ? f->pos : recx->idx;
        f->has_pos = true;
        vos_evt_begin(&f->search, &f->cont->tgt->heap, f->pos, recx->idx + recx->nr - 1, op->epoch,
            f->walk.a.info.punch);
        f->is_searching = true;
        ++*vos_obj_searches(f->cont->tgt, f->walk.h_obj);
        f->drops = drops;
        f->piece_idx = 0;
    }
    f->search.gen = *vos_obj_lsn(f->cont->tgt, f->walk.h_obj);
    rc = vos_evt_collect(op, &f->walk.akey->tree, vos_key_tree_off(f->walk.a.off), &f->search);
    if (rc == 0)
        rc = recx_segs(f, op, recx, out);
    if (rc == 0) {
        search_end(f);
        f->has_pos = false;
    }
    return rc;
}

static int
array_fetch(struct fetch *f, struct vos_op *op, const struct vos_iod *iod, struct vos_fetch_iod *out)
{
    int rc;

    for (; f->recx_idx < iod->recx_nr; f->recx_idx++) {
        rc = recx_fetch(f, op, &iod->recxs[f->recx_idx], out);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Nothing is visible: the ranges asked for, empty. */
static int
absent_segs(struct fetch *f, const struct vos_iod *iod)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && iod->type == VOS_IOD_ARRAY && i < iod->recx_nr; i++) {
        rc = hole_add(f, iod->recxs[i].idx, iod->recxs[i].nr);
    }
    return rc;
}

static int
iod_fetch(struct fetch *f, struct vos_op *op)
{
    const struct vos_iod *iod = &f->iods[f->iod_idx];
    struct vos_fetch_iod *out = &f->mem->pub.iods[f->iod_idx];
    uint32_t cond = (f->flags & VOS_COND_PER_AKEY) != 0 ? iod->cond : f->flags;
    const struct vos_btr_key key = {
        .hkey = f->akeys[f->iod_idx].hkey, .buf = iod->akey.buf, .len = (uint32_t)iod->akey.len};
    int rc = vos_walk_akey_at(op, &key, false, &f->walk);

    if (rc != 0)
        return rc;
    if ((cond & VOS_COND_AKEY_FETCH) != 0 && !f->walk.a.info.is_visible)
        return CAIRN_ERR(NONEXIST);
    if (!f->walk.a.info.is_visible || vos_akey_type(f->walk.akey) != iod->type) {
        rc = absent_segs(f, iod);
    } else if (iod->type == VOS_IOD_SINGLE) {
        rc = single_fetch(f, op, out);
    } else {
        rc = array_fetch(f, op, iod, out);
    }
    if (rc != 0)
        return rc;
    if (f->seg_nr > 0) {
        out->segs = mem_dup(f, f->segs, f->seg_nr * sizeof(*f->segs));
        if (out->segs == NULL)
            return CAIRN_ERR(NOMEM);
    }
    out->seg_nr = f->seg_nr;
    f->seg_nr = 0;
    f->recx_idx = 0;
    return 0;
}

/* The stamps lie far apart; they are wanted at the end of the step. */
static void
stamps_prefetch(const struct fetch *f)
{
    struct vos_ts *ts = &f->cont->tgt->ts;

    __builtin_prefetch(vos_ts_at(ts, VOS_TS_OBJ, f->walk.h_obj), 1);
    __builtin_prefetch(vos_ts_at(ts, VOS_TS_DKEY, f->h_dkey), 1);
    for (uint32_t i = 0; i < f->iod_nr; i++) {
        __builtin_prefetch(vos_ts_at(ts, VOS_TS_AKEY, f->akeys[i].h), 1);
    }
    __builtin_prefetch(vos_obj_lsn(f->cont->tgt, f->walk.h_obj));
}

/* TS-1, before anything that was read at this epoch is shown: without a yield in between. */
static void
fetch_stamp(struct fetch *f, const struct vos_op *op)
{
    struct vos_ts *ts = &f->cont->tgt->ts;
    uint64_t h = f->h_dkey;

    vos_ts_hi(ts, VOS_TS_OBJ, f->walk.h_obj, op->epoch, f->tx);
    if ((f->flags & VOS_COND_DKEY_FETCH) != 0) {
        vos_ts_lo(ts, VOS_TS_DKEY, h, op->epoch, f->tx);
    } else {
        vos_ts_hi(ts, VOS_TS_DKEY, h, op->epoch, f->tx);
    }
    for (uint32_t i = 0; i < f->iod_nr; i++) {
        vos_ts_lo(ts, VOS_TS_AKEY, f->akeys[i].h, op->epoch, f->tx);
    }
}

/*
 * A read of the newest state takes its epoch in the step in which it begins to look, and begins again when old versions were dropped
 * between its steps (VOS_APPLY_NO_HISTORY).
 */
static void
now_begin(struct fetch *f, struct vos_op *op)
{
    bool is_fresh = f->iod_idx == 0 && f->recx_idx == 0 && !f->is_searching;

    if (!is_fresh && (f->trim_nr == f->cont->trim_nr || op->epoch >= f->cont->agg_hi))
        return;
    f->trim_nr = f->cont->trim_nr;
    f->iod_idx = f->recx_idx = 0;
    f->seg_nr = f->mem->want_nr = 0;
    f->has_pos = false;
    search_end(f);
    memset(f->mem->pub.iods, 0, f->iod_nr * sizeof(*f->mem->pub.iods));
    f->mem->want_bytes = f->mem->pub.data_bytes = 0;
    op->epoch = vos_epoch_now(f->cont->tgt);
    f->mem->pub.epoch = op->epoch;
    f->must_stamp = true;
    stamps_prefetch(f);
}

static int
fetch_body(struct vos_op *op, void *arg)
{
    struct fetch *f = arg;
    int rc;

    if (vos_fetch_is_late(f->mem))
        return CAIRN_ERR(TIMEDOUT);
    if (f->is_now)
        now_begin(f, op);
    rc = vos_walk_obj(op, f->cont, f->oid, false, &f->walk);
    f->walk.dkey_hint = f->hint.cut_nr == f->cont->tgt->cut_nr ? f->hint.dkey_off : 0; /* HNT-2 */
    if (rc == 0)
        rc = vos_walk_dkey_at(op, &f->dkey_key, false, &f->walk);
    if (rc == 0 && (f->flags & VOS_COND_DKEY_FETCH) != 0 && !f->walk.d.info.is_visible)
        rc = CAIRN_ERR(NONEXIST);
    for (; rc == 0 && f->iod_idx < f->iod_nr; f->iod_idx++) {
        rc = iod_fetch(f, op);
        if (rc != 0)
            break;
    }
    if (f->must_stamp)
        fetch_stamp(f, op);
    f->must_stamp = false;
    f->lsn = *vos_obj_lsn(f->cont->tgt, f->walk.h_obj);
    return rc;
}

void
vos_fetch_leave(struct vos_tgt *tgt, struct vos_fetch_mem *mem)
{
    if (mem->has_reader)
        bio_reader_leave(tgt->bio, &mem->reader);
    mem->has_reader = false;
}

void
vos_fetch_free(struct vos_cont *cont, struct vos_fetch *fetch)
{
    struct vos_fetch_mem *mem;

    if (fetch == NULL)
        return;
    mem = vos_fetch_mem_of(fetch);
    vos_fetch_leave(cont->tgt, mem);
    vos_heap_free(mem->wants);
    while (mem->chunks != NULL) {
        struct vos_fetch_chunk *c = mem->chunks;

        mem->chunks = c->next;
        vos_heap_free(c);
    }
    if (cont->tgt->fetch_free_nr < VOS_FETCH_FREE_NR) {
        cont->tgt->fetch_free[cont->tgt->fetch_free_nr++] = mem;
    } else {
        vos_heap_free(mem);
    }
}

static int
fetch_check(struct fetch *f)
{
    const uint32_t conds = 0xff;
    int rc = vos_walk_init(&f->walk, f->cont, f->oid);

    if (rc == 0)
        rc = vos_key_check(f->walk.dkey_kind, f->dkey);
    if (rc == 0 &&
        (f->iod_nr == 0 || f->iod_nr > VOS_IODS_NR_MAX || f->iods == NULL ||
            (f->flags & ~(conds | VOS_FETCH_SIZE_ONLY)) != 0))
        rc = CAIRN_ERR(INVAL);
    for (uint32_t i = 0; rc == 0 && i < f->iod_nr; i++) {
        const struct vos_iod *iod = &f->iods[i];

        rc = vos_key_check(f->walk.akey_kind, &iod->akey);
        if (rc == 0 && iod->type != VOS_IOD_SINGLE && iod->type != VOS_IOD_ARRAY)
            rc = CAIRN_ERR(INVAL);
        if (rc != 0 || iod->type == VOS_IOD_SINGLE)
            continue;
        if (iod->recx_nr == 0 || iod->recx_nr > VOS_RECXS_NR_MAX || iod->recxs == NULL)
            rc = CAIRN_ERR(INVAL);
        for (uint32_t r = 0; rc == 0 && r < iod->recx_nr; r++) {
            const struct recx *x = &iod->recxs[r];

            if (x->nr == 0 || x->idx >> 63 != 0 || x->nr > (UINT64_C(1) << 63) - x->idx)
                rc = CAIRN_ERR(INVAL);
        }
    }
    return rc;
}

/* UNC-1 */
static int
certain_check(struct fetch *f, struct vos_op *op, uint64_t bound)
{
    struct vos_uncertain u = {.cont = f->cont,
        .epoch = op->epoch,
        .bound = bound,
        .level = VOS_LEVEL_RECX,
        .oid = f->oid,
        .dkey = f->dkey,
        .iods = f->iods,
        .iod_nr = f->iod_nr,
        .exists = (f->flags & VOS_COND_DKEY_FETCH) != 0};

    return vos_read_run(f->cont->tgt, op, vos_uncertain_read, &u);
}

static int
fetch_run(struct fetch *f, struct vos_op *op, uint64_t epoch, uint64_t bound)
{
    struct vos_tgt *tgt = f->cont->tgt;
    int rc = 0, wait_rc;

    op->look = &f->look;
    f->h_dkey = vos_ts_hash(f->walk.h_obj, f->dkey_key.hkey);
    for (uint32_t i = 0; i < f->iod_nr; i++) {
        f->akeys[i].hkey =
            i == 0 ? f->akey_key.hkey : vos_key_bytes(op, f->walk.akey_kind, &f->iods[i].akey).hkey;
        f->akeys[i].h = vos_ts_hash(f->h_dkey, f->akeys[i].hkey);
    }
    f->is_now = epoch == VOS_EPOCH_MAX;
    if (!f->is_now) {
        rc = vos_epoch_read(tgt, epoch, &op->epoch);
        if (rc != 0)
            return rc;
        f->mem->pub.epoch = op->epoch;
        fetch_stamp(f, op);
        if (bound > op->epoch)
            rc = certain_check(f, op, bound);
        if (rc != 0)
            return rc;
    }
    bio_reader_enter(tgt->bio, &f->mem->reader);
    f->mem->has_reader = true;
    rc = vos_read_run(tgt, op, fetch_body, f);
    if (CAIRN_UNLIKELY(f->look.nr > 0))
        rc = vos_dtx_look_rc(&f->look, rc);
    if (rc != 0 || f->mem->want_nr == 0)
        vos_fetch_leave(tgt, f->mem);
    wait_rc = vos_wait(tgt, MAX(f->lsn, tgt->bound_lsn));
    return wait_rc != 0 ? wait_rc : rc;
}

static struct vos_fetch_mem *
mem_create(struct vos_tgt *tgt)
{
    struct vos_fetch_mem *mem = tgt->fetch_free_nr > 0 ? tgt->fetch_free[--tgt->fetch_free_nr]
                                                       : vos_heap_alloc(&tgt->heap, sizeof(*mem));

    if (mem == NULL)
        return NULL;
    memset(mem, 0, offsetof(struct vos_fetch_mem, first));
    mem->at = (uint8_t *)mem->first;
    mem->left = sizeof(mem->first);
    return mem;
}

/* Before there is anything else of the fetch: those that wait for their turn have little. */
static void
keys_hint(struct fetch *f, const struct vos_op *op, uint64_t epoch)
{
    f->dkey_key = vos_key_bytes(op, f->walk.dkey_kind, f->dkey);
    f->akey_key = vos_key_bytes(op, f->walk.akey_kind, &f->iods[0].akey);
    vos_hint_fetch(f->cont, &f->walk, f->dkey_key.hkey, f->akey_key.hkey, epoch, &f->hint);
}

int
vos_fetch_begin(struct vos_cont *cont, const struct vos_fetch_args *args, struct vos_fetch **ret_fetch)
{
    uint32_t iod_nr = args->iod_nr;
    struct vos_op op;
    struct fetch f;
    int rc;

    memset(&f, 0, offsetof(struct fetch, seg_first));
    f.segs = f.seg_first;
    f.seg_cap = ARRAY_SIZE(f.seg_first);
    f.cont = cont;
    f.oid = &args->oid;
    f.dkey = &args->dkey;
    f.iods = args->iods;
    f.iod_nr = iod_nr;
    f.flags = args->flags;
    f.arena = args->arena;
    f.tx = args->tx;
    vos_dtx_look_init(&f.look, args->dtx);
    rc = fetch_check(&f);
    if (rc != 0)
        return rc;
    vos_op_init(&op, cont->tgt);
    keys_hint(&f, &op, args->epoch);
    f.mem = mem_create(cont->tgt);
    if (f.mem == NULL)
        return CAIRN_ERR(NOMEM);
    f.mem->oid = args->oid.oid;
    f.mem->deadline_ns = args->deadline_ns;
    f.mem->pub.iod_nr = iod_nr;
    f.mem->pub.iods = mem_alloc(&f, iod_nr * sizeof(*f.mem->pub.iods));
    f.akeys = mem_alloc(&f, iod_nr * sizeof(*f.akeys));
    if (f.mem->pub.iods == NULL || f.akeys == NULL) {
        rc = CAIRN_ERR(NOMEM);
    } else {
        memset(f.mem->pub.iods, 0, iod_nr * sizeof(*f.mem->pub.iods));
        rc = fetch_run(&f, &op, args->epoch, args->epoch_bound);
    }
    if (rc == 0) {
        *ret_fetch = &f.mem->pub;
        f.mem = NULL;
    }
    search_end(&f);
    if (f.segs != f.seg_first)
        vos_heap_free(f.segs);
    vos_fetch_free(cont, f.mem == NULL ? NULL : &f.mem->pub);
    return rc;
}
