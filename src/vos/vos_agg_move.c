/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Values that lie with the metadata and would fill at least half a block move to the data role when they have cooled: single values, and extents that are all of their array
 * (others move when they are merged). The walk collects up to MOVES_NR of them; then
 *
 *   gather    copies, each verified (AGG-4: what fails its checksum stays as it is, and is counted), a block each, one behind the other
 *   write     into one reservation; durable before the index (ST-3)
 *   change    in one transaction: of each that is still there a record with an address takes the place of the one with the value; its checksum stays
 *
 * Not where the data role is memory, too, nor while the metadata have room (VOS_AGG_COOL): where they are, reads find them without a device.
 */
#include "vos/vos_agg.h"
#include "vos/vos_evtree.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

enum { MOVES_NR = 64, KEYS_BYTES = 64 << 10 };

struct move {
    struct vos_oid oid;
    uint32_t dkey_at, akey_at; /* in keys */
    uint16_t dkey_len, akey_len;
    bool is_ext, is_bad;
    uint64_t lo; /* of an extent */
    struct vos_epoch at;
    uint64_t off; /* its record */
};

struct vos_agg_moves {
    struct vos_agg *a;
    uint32_t nr, keys_used;
    /* of those that are moved now */
    uint32_t from, end, next;
    uint8_t *buf;
    struct bio_resv *resv;
    struct move moves[MOVES_NR];
    uint8_t keys[KEYS_BYTES];
};

bool
vos_agg_moves(struct vos_agg *a, const struct vos_ver *ver)
{
    return !a->is_discard && (a->args->flags & VOS_AGG_NO_MERGE) == 0 &&
        (ver->flags & VOS_VER_INLINE) != 0 && ver->dtx == 0 &&
        ver->stored_len >= VOS_AGG_MOVE_BYTES && ver->stored_len <= BIO_BLK_BYTES &&
        !bio_data_is_mapped(a->cont->tgt->bio) && vos_agg_cools(a);
}

static uint32_t
key_put(struct vos_agg_moves *ms, const struct vos_agg_key *key)
{
    uint32_t at = ms->keys_used;

    memcpy(ms->keys + at, key->buf, key->len);
    ms->keys_used += key->len;
    return at;
}

int
vos_agg_move_add(struct vos_agg *a, const struct vos_ver *ver, uint64_t off, bool *ret_full)
{
    const struct vos_agg_pos *pos = &a->pos;
    struct vos_agg_moves *ms = a->moves;
    struct move *m;

    *ret_full = false;
    if (ms == NULL) {
        ms = a->moves = vos_heap_alloc(&a->cont->tgt->heap, sizeof(*ms));
        if (ms == NULL)
            return CAIRN_ERR(NOMEM);
        memset(ms, 0, offsetof(struct vos_agg_moves, moves));
        ms->a = a;
    }
    *ret_full = ms->nr == MOVES_NR || ms->keys_used + pos->dkey.len + pos->akey.len > KEYS_BYTES;
    if (*ret_full)
        return 0;
    m = &ms->moves[ms->nr++];
    *m = (struct move){.oid = pos->oid,
        .dkey_len = pos->dkey.len,
        .akey_len = pos->akey.len,
        .is_ext = ver->is_ext,
        .lo = ver->lo,
        .at = vos_ver_epoch(ver),
        .off = off};
    m->dkey_at = key_put(ms, &pos->dkey);
    m->akey_at = key_put(ms, &pos->akey);
    return 0;
}

uint32_t
vos_agg_move_nr(const struct vos_agg *a)
{
    return a->moves == NULL ? 0 : a->moves->nr;
}

void
vos_agg_move_cut(struct vos_agg *a, uint32_t nr)
{
    struct vos_agg_moves *ms = a->moves;

    if (ms == NULL || ms->nr <= nr)
        return;
    ms->nr = nr;
    ms->keys_used = nr == 0 ? 0 : ms->moves[nr - 1].akey_at + ms->moves[nr - 1].akey_len;
}

/* ---- one of them ---------------------------------------------------------------------------------------------------- */

/* The cursor at its record, when that is still there as it was. */
static int
move_find(struct vos_agg_moves *ms, struct vos_op *op, const struct move *m, struct vos_walk *w,
    struct vos_btr *t, struct vos_ver *ver, bool *ret_found)
{
    struct iov dkey = {ms->keys + m->dkey_at, m->dkey_len},
               akey = {ms->keys + m->akey_at, m->akey_len};
    struct vos_epoch at = m->at;
    struct vos_btr_key key = vos_key_epoch(&at);
    uint64_t rec = 0;
    int rc = vos_walk_init(w, ms->a->cont, &m->oid);

    *ret_found = false;
    if (rc == 0)
        rc = vos_walk_obj(op, ms->a->cont, &m->oid, false, w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &dkey, false, w);
    if (rc == 0)
        rc = vos_walk_akey(op, &akey, false, w);
    if (rc != 0 || w->akey == NULL ||
        w->akey->tree.id != (m->is_ext ? VOS_TREE_EXT : VOS_TREE_SINGLE))
        return rc;
    if (m->is_ext)
        key.hkey = m->lo;
    rc = vos_btr_init(t, op, m->is_ext ? &vos_kind_ext : &vos_kind_single, &w->akey->tree,
        vos_key_tree_off(w->a.off));
    if (rc == 0)
        rc = vos_rec_find(t, &key, &rec);
    if (rc != 0 || rec != m->off)
        return rc;
    rc = vos_ver_get(op, rec, ver);
    *ret_found = rc == 0 && vos_agg_moves(ms->a, ver);
    return rc;
}

/* ---- gather --------------------------------------------------------------------------------------------------------- */

static int
gather_body(struct vos_op *op, void *arg)
{
    struct vos_agg_moves *ms = arg;
    struct vos_walk w;
    struct vos_ver ver;
    struct vos_btr t;
    bool found;
    uint32_t crc;
    int rc = 0;

    while (rc == 0 && ms->next < ms->end) {
        struct move *m = &ms->moves[ms->next];

        rc = move_find(ms, op, m, &w, &t, &ver, &found);
        if (rc == 0 && found)
            rc = vos_ver_data(op, &ver);
        if (rc != 0)
            break;
        m->is_bad = !found;
        if (found) {
            uint8_t *to = ms->buf + (size_t)(ms->next - ms->from) * BIO_BLK_BYTES;

            memcpy(to, ver.data, ver.stored_len);
            memset(to + ver.stored_len, 0, BIO_BLK_BYTES - ver.stored_len);
            m->is_bad = ver.csum_nr != 1 ||
                !vos_csum_part(ver.csum.type, ver.csums, to, ver.stored_len, 0, ver.stored_len, &crc);
            if (m->is_bad) {
                ms->a->stat.csum_bad_nr++;
                LOG_ERROR(
                    "aggregation: the value at %#" PRIx64 " fails its checksum, and stays", m->off);
            }
        }
        ms->next++;
    }
    return rc;
}

/* ---- change --------------------------------------------------------------------------------------------------------- */

static int
move_change(struct vos_agg_moves *ms, struct vos_op *op, const struct move *m, uint64_t addr,
    bool *ret_done)
{
    struct vos_agg *a = ms->a;
    struct vos_ent_df ent = {0};
    struct vos_ver ver;
    struct vos_walk w;
    struct vos_btr t;
    bool exact;
    int rc = move_find(ms, op, m, &w, &t, &ver, ret_done);

    if (rc != 0 || !*ret_done)
        return rc;
    ver.flags &= (uint8_t)~VOS_VER_INLINE;
    ver.data = NULL;
    ver.addr = addr;
    rc = vos_ver_create(op, &ver, &ent.off);
    if (rc == 0)
        rc = vos_btr_delete(&t);
    if (rc == 0 && m->is_ext) {
        rc = vos_evt_insert(op, &w.akey->tree, vos_key_tree_off(w.a.off), ent.off);
    } else if (rc == 0) {
        struct vos_epoch at = m->at;
        struct vos_btr_key key = vos_key_epoch(&at);

        ent.hkey = at.epoch;
        rc = vos_btr_init(&t, op, &vos_kind_single, &w.akey->tree, vos_key_tree_off(w.a.off));
        if (rc == 0)
            rc = vos_btr_search(&t, &key, &exact);
        if (rc == 0)
            rc = vos_btr_insert(&t, &ent);
    }
    if (rc == 0)
        rc = vos_gc_free_version(a->cont->tgt, op, m->off);
    vos_agg_touch_obj(a, &m->oid);
    op->data_delta += BIO_BLK_BYTES;
    a->stat.move_nr++;
    a->stat.move_bytes += ver.stored_len;
    return rc;
}

static int
change_body(struct vos_op *op, void *arg)
{
    struct vos_agg_moves *ms = arg;
    struct bio_tgt *bio = ms->a->cont->tgt->bio;
    uint64_t addr = bio_resv_ext(ms->resv).addr, end = addr + bio_resv_ext(ms->resv).len;
    int rc = bio_ext_publish(op->tx, bio, ms->resv);

    for (uint32_t i = ms->from; rc == 0 && addr < end; i++, addr += BIO_BLK_BYTES) {
        bool done = false;

        if (i < ms->end && !ms->moves[i].is_bad)
            rc = move_change(ms, op, &ms->moves[i], addr, &done);
        if (rc == 0 && !done)
            rc = bio_ext_free(op->tx, bio, (struct bio_ext){addr, BIO_BLK_BYTES});
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static int
some_write(struct vos_agg_moves *ms)
{
    struct vos_tgt *tgt = ms->a->cont->tgt;
    struct vos_op op;
    int rc;

    ms->next = ms->from;
    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, gather_body, ms);
    if (rc != 0)
        return rc;
    return bio_data_write(tgt->bio, bio_resv_ext(ms->resv).addr, ms->buf,
        (size_t)(ms->end - ms->from) * BIO_BLK_BYTES);
}

/* As many as there is space for in one piece. */
static int
some_move(struct vos_agg_moves *ms)
{
    struct bio_tgt *bio = ms->a->cont->tgt->bio;
    uint32_t nr = ms->nr - ms->from;
    void *buf = NULL;
    int rc;

    do {
        rc = bio_ext_reserve(bio, (uint64_t)nr * BIO_BLK_BYTES,
            (ms->a->cont->stream + 1) | BIO_STREAM_RECLAIM, &ms->resv);
    } while (rc == -DER_NOSPACE && (nr /= 2) > 0);
    if (rc != 0)
        return rc;
    ms->end = ms->from + nr;
    rc = bio_buf_get(bio, (size_t)nr * BIO_BLK_BYTES, &buf);
    if (rc == 0) {
        ms->buf = buf;
        rc = some_write(ms);
        bio_buf_put(bio, buf, (size_t)nr * BIO_BLK_BYTES);
    }
    if (rc == 0)
        rc = vos_agg_tx(ms->a, change_body, ms);
    if (rc == 0) {
        bio_ext_published(bio, ms->resv);
    } else {
        bio_ext_cancel(bio, ms->resv);
    }
    ms->resv = NULL;
    ms->from = ms->end;
    return rc;
}

int
vos_agg_move(struct vos_agg *a, bool *ret_stop)
{
    struct vos_agg_moves *ms = a->moves;
    int rc = 0;

    if (ms == NULL || ms->nr == 0)
        return 0;
    ms->from = 0;
    while (rc == 0 && ms->from < ms->nr && !*ret_stop) {
        rc = some_move(ms);
        if (rc == 0)
            *ret_stop = vos_agg_pace(a);
    }
    if (rc == -DER_NOSPACE || rc == -DER_BUSY) {
        rc = 0;
        a->stat.left_nr += ms->nr - ms->from;
        for (; ms->from < ms->nr; ms->from++) {
            const struct move *m = &ms->moves[ms->from];

            vos_agg_again_at(a, &m->oid, &(struct iov){ms->keys + m->dkey_at, m->dkey_len});
        }
    }
    vos_agg_move_cut(a, 0);
    return rc;
}
