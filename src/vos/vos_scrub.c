/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The scrubber of a shard (vos.h, vos_scrub_create): goes through all versions of all values, in the order of the trees, and compares their bytes with their
 * checksums, a slice at a time.
 *
 *   SCR-1  The place is kept as keys, one for each level, never as pointers: whatever came, went or moved meanwhile, the pass goes on behind the last
 *          key. What existed throughout a pass is looked at once in it.
 *   SCR-2  Between two yields at most VOS_STEPS_NR records are looked at and one slice is summed; one slice is read at a time (ST-9).
 *   SCR-3  The bytes of a slice are those of the version that was found: from its look-up to its last comparison a reader keeps the extent from being
 *          used for something else (ST-4). None is held between two steps.
 *   SCR-4  What is bad is reported with its address, and the pass goes on behind it: the next chunk, or behind the subtree whose index is damaged. A pass has
 *          an end in damaged trees, too: keys grow strictly within a tree.
 *   SCR-5  Nothing is changed but the place, which is stored with the pool (vos_scrub_save()): a restart goes on at the object where the last save was, with what
 *          the pass had found up to there.
 *   SCR-6  Whether a container is left out is asked when the pass comes to it, and again when the pass goes on in it in another life.
 *
 *            advance()             records, one after the other, down into each
 *        +-------------+  data     +---------+  read, compare
 *        |   walk      |---------->|  slice  |--------------+
 *        +-------------+           +---------+              |
 *               ^                                           |
 *               +-------------------------------------------+
 *
 * Values beside the index are compared in the walk. Tested by test/vos_scrub_test.c and test/vos_store_fuzz.c.
 */
#include "base/log.h"
#include "base/probe.h"
#include "vos/vos_csum.h"
#include "vos/vos_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LVL_CONT, LVL_OBJ, LVL_DKEY, LVL_AKEY, LVL_VER, LVLS_NR };

enum {
    SLICE_BYTES = 256 * 1024, /* or one chunk, when that is longer */
    SLICE_CSUMS_BYTES = (SLICE_BYTES >> VOS_CSUM_CHUNK_BITS_MIN) * CSUM_BYTES_MAX,
    KEY_TEXT_BYTES = 72,
};
#define PLACE_END UINT64_MAX /* in `scrub_cont`: the pass is complete */

struct level {
    struct vos_btr t; /* good below `live` */
    uint64_t hkey;
    bool has_key;
    uint32_t key_len;
    union {
        uint8_t key[VOS_KEY_BYTES_MAX]; /* of the record looked at last, or of that in which the level below is */
        struct uuid uuid;
        struct vos_oid_bytes oid;
        struct vos_epoch epoch;
    };
};

/* Chunks of one version that are to be read. */
struct slice {
    uint64_t addr, len;
    uint32_t chunk_nr;
    uint8_t type, csum_len, chunk_bits;
    uint8_t csums[SLICE_CSUMS_BYTES];
};

struct vos_scrub {
    struct vos_tgt *tgt;
    struct uuid pool;
    void (*bad)(void *arg, const struct vos_scrub_bad *bad);
    void *arg;
    bool (*skip)(void *arg, const struct uuid *cont); /* NULL: none is left out */
    struct vos_scrub_stats stats;
    /* the place */
    uint32_t depth; /* level that is walked */
    uint32_t live; /* levels whose cursors stand at their keys, within one run of the body */
    uint32_t chunk; /* of the version at hand that comes next; 0: it is done */
    bool is_end;
    bool is_resumed; /* the next two say where to begin */
    uint64_t from_cont, from_obj;
    bool is_new_cont; /* the walk came to another container, about which nobody was asked (SCR-6) */
    uint64_t place_bad_nr; /* pass.bad_nr when the walk came to the object, or container, at hand */
    /* of the version at hand */
    struct vos_oid oid;
    bool is_array;
    struct recx recx;
    uint64_t epoch;
    uint16_t minor;
    uint64_t budget; /* bytes left in this step */
    struct bio_reader reader;
    struct slice slice;
    struct level lvls[LVLS_NR];
};

/* ---- reports -------------------------------------------------------------------------------------------------------- */

/* Printable bytes as they are, others as hexadecimal numbers; long keys are cut. */
static const char *
key_to_text(const struct level *l, char *text)
{
    size_t at = 0;

    for (uint32_t i = 0; i < l->key_len && at + 8 < KEY_TEXT_BYTES; i++) {
        uint8_t c = l->key[i];
        bool is_plain = c > ' ' && c < 0x7f && c != '\\';

        at += (size_t)snprintf(text + at, KEY_TEXT_BYTES - at, is_plain ? "%c" : "\\x%02x", c);
        if (i + 1 < l->key_len && at + 8 >= KEY_TEXT_BYTES)
            snprintf(text + at, KEY_TEXT_BYTES - at, "...");
    }
    text[at == 0 ? 0 : KEY_TEXT_BYTES - 1] = '\0';
    return text;
}

static void
report(struct vos_scrub *s, int failure, bool is_meta, uint64_t addr, uint64_t len)
{
    char pool[CUUID_TEXT_BYTES], cont[CUUID_TEXT_BYTES], oid[OID_TEXT_BYTES];
    char dkey[KEY_TEXT_BYTES], akey[KEY_TEXT_BYTES];
    const struct level *d = &s->lvls[LVL_DKEY], *a = &s->lvls[LVL_AKEY];
    struct vos_scrub_bad bad = {.pool = s->pool,
        .cont = s->lvls[LVL_CONT].uuid,
        .oid = s->oid,
        .dkey = {(void *)(uintptr_t)d->key, d->key_len},
        .akey = {(void *)(uintptr_t)a->key, a->key_len},
        .is_array = s->is_array,
        .recx = s->recx,
        .epoch = s->epoch,
        .minor = s->minor,
        .is_meta = is_meta,
        .addr = addr,
        .len = len,
        .rc = failure};

    LOG_ERROR(
        "scrubber: %s: pool %s, container %s, object %s shard %u, dkey %s, akey %s, %s %" PRIu64
        "+%" PRIu64 ", epoch %#" PRIx64 ".%u: %" PRIu64 " bytes at %#" PRIx64 " of the %s role",
        err_name(failure), cuuid_format(&s->pool, pool), cuuid_format(&bad.cont, cont),
        oid_to_text(s->oid.oid, oid), s->oid.shard, key_to_text(d, dkey), key_to_text(a, akey),
        s->is_array ? "extent" : "value", s->recx.idx, s->recx.nr, s->epoch, s->minor, len, addr,
        is_meta ? "metadata" : "data");
    s->stats.bad_nr++;
    s->stats.pass.bad_nr++;
    if (s->bad != NULL)
        s->bad(s->arg, &bad);
}

/* The index below the place is damaged; what it is was logged. */
static void
report_index(struct vos_scrub *s, uint32_t lvl, int failure)
{
    for (uint32_t i = lvl; i < LVLS_NR; i++) {
        s->lvls[i].key_len = i == LVL_CONT ? s->lvls[i].key_len : 0;
    }
    s->epoch = s->minor = 0;
    s->is_array = false;
    s->recx = (struct recx){0};
    if (lvl <= LVL_OBJ)
        s->oid = (struct vos_oid){0};
    report(s, failure, true, 0, 0);
}

/* ---- the place ------------------------------------------------------------------------------------------------------ */

/* The tree of a level, in the record at which the level above stands. */
static int
level_open(struct vos_scrub *s, struct vos_op *op, uint32_t lvl, const struct vos_pool *pool)
{
    static const struct vos_btr_kind *const values[] = {&vos_kind_single, &vos_kind_ext};
    const struct vos_btr_kind *kind = NULL;
    uint64_t rec = lvl == LVL_CONT ? pool->off : vos_btr_rec(&s->lvls[lvl - 1].t), off;
    struct vos_tree_df *df;
    union {
        struct vos_pool_df *pool;
        struct vos_cont_df *cont;
        struct vos_obj_df *obj;
        struct vos_key_df *key;
    } up;
    int rc;

    switch (lvl) {
    case LVL_CONT:
        rc = vos_pool_get(op, rec, &up.pool);
        kind = &vos_kind_cont;
        off = rec + offsetof(struct vos_pool_df, conts);
        break;
    case LVL_OBJ:
        rc = vos_cont_get(op, rec, &up.cont);
        kind = &vos_kind_obj;
        off = rec + offsetof(struct vos_cont_df, objs);
        break;
    case LVL_DKEY:
        rc = vos_obj_get(op, rec, &up.obj);
        if (rc == 0 && vos_kind_of_dkey(s->oid.oid, &kind) != 0)
            rc = vos_bad(rec, "object type");
        off = vos_obj_tree_off(rec);
        break;
    case LVL_AKEY:
        rc = vos_key_get(op, rec, &up.key);
        if (rc == 0 && vos_kind_of_akey(s->oid.oid, &kind) != 0)
            rc = vos_bad(rec, "object type");
        off = vos_key_tree_off(rec);
        break;
    default:
        rc = vos_key_get(op, rec, &up.key);
        if (rc == 0 && vos_btr_is_empty(&up.key->tree))
            return -DER_NONEXIST;
        for (uint32_t i = 0; rc == 0 && i < ARRAY_SIZE(values); i++) {
            kind = values[i]->id == up.key->tree.id ? values[i] : kind;
        }
        if (rc == 0 && kind == NULL)
            rc = vos_bad(rec, "tree of a key");
        off = vos_key_tree_off(rec);
        break;
    }
    if (rc == 0)
        rc = vos_ptr(op, off, sizeof(*df), &df);
    return rc != 0 ? rc : vos_btr_init(&s->lvls[lvl].t, op, kind, df, off);
}

static struct vos_btr_key
level_key(const struct level *l)
{
    return (struct vos_btr_key){.hkey = l->hkey, .buf = l->key, .len = l->key_len};
}

/* Remember the record at the cursor. After that, looking at it misses no page. */
static int
key_save(struct vos_scrub *s, struct vos_op *op, uint32_t lvl)
{
    struct level *l = &s->lvls[lvl];
    uint64_t rec = vos_btr_rec(&l->t);
    struct vos_cont_df *cont;
    struct vos_obj_df *obj;
    struct vos_key_df *key;
    struct vos_ver ver;
    struct vos_btr_key k;
    struct iov iov;
    struct uuid id;
    int rc;

    switch (lvl) {
    case LVL_CONT:
        rc = vos_cont_get(op, rec, &cont);
        if (rc != 0)
            return rc;
        memcpy(&id, cont->uuid, sizeof(id));
        k = vos_key_uuid(&id);
        memcpy(l->key, &id, sizeof(id));
        break;
    case LVL_OBJ:
        rc = vos_obj_get(op, rec, &obj);
        if (rc != 0)
            return rc;
        s->oid = (struct vos_oid){.oid = {.lo = obj->oid_lo, .hi = obj->oid_hi},
            .shard = obj->shard,
            .layout_ver = obj->layout_ver};
        k = vos_key_oid(op, &s->oid, &l->oid);
        break;
    case LVL_DKEY:
    case LVL_AKEY:
        rc = vos_key_get(op, rec, &key);
        if (rc != 0)
            return rc;
        iov = vos_key_iov(key);
        if (iov.len > sizeof(l->key))
            return vos_bad(rec, "key");
        k = vos_key_bytes(op, l->t.kind, &iov);
        memcpy(l->key, k.buf, k.len);
        break;
    default:
        rc = l->t.kind->id == VOS_TREE_EXT ? vos_ext_get(op, rec, &ver) : vos_ver_get(op, rec, &ver);
        if (rc == 0)
            rc = vos_ver_data(op, &ver); /* version_look() needs its page */
        if (rc != 0)
            return rc;
        l->epoch = vos_ver_epoch(&ver);
        k = vos_key_epoch(&l->epoch);
        if (ver.is_ext)
            k.hkey = ver.lo;
        break;
    }
    if (l->t.depth > 0 && vos_btr_hkey(&l->t) != k.hkey)
        return vos_bad(l->t.df_off, "order of a tree");
    l->hkey = k.hkey;
    l->key_len = k.len;
    l->has_key = true;
    return 0;
}

/* The end of the tree of a level: the record above it is done. */
static void
level_end(struct vos_scrub *s, uint32_t lvl)
{
    s->lvls[lvl].has_key = false;
    s->chunk = 0;
    s->live = lvl;
    if (lvl == LVL_CONT) {
        s->is_end = true;
    } else {
        s->depth = lvl - 1;
    }
}

/* SCR-4: the record at the cursor comes behind the one looked at last. */
static int
order_check(const struct level *l, struct vos_op *op)
{
    struct vos_btr_key before = level_key(l);
    int cmp = 0, rc = 0;
    uint64_t hkey;

    if (l->t.depth == 0)
        return 0; /* the only one, and not the same */
    hkey = vos_btr_hkey(&l->t);
    if (hkey == before.hkey)
        rc = l->t.kind->cmp(op, &before, vos_btr_rec(&l->t), &cmp);
    if (rc != 0)
        return rc;
    return hkey > before.hkey || cmp < 0 ? 0 : vos_bad(l->t.df_off, "order of a tree");
}

/* Where a pass of an earlier life was, as far as the hashes of its keys tell. */
static int
level_resume(struct vos_scrub *s, uint32_t lvl)
{
    struct level *l = &s->lvls[lvl];
    struct vos_oid_bytes oid = {0};
    struct uuid id = {{0}};
    struct vos_btr_key key;
    bool exact;
    int rc;

    if (lvl == LVL_CONT) {
        be64_put(id.b, s->from_cont);
        key = vos_key_uuid(&id);
    } else {
        key = (struct vos_btr_key){.hkey = s->from_obj, .buf = &oid, .len = sizeof(oid)};
    }
    rc = vos_btr_search(&l->t, &key, &exact);
    return rc != 0 ? rc : vos_btr_settle(&l->t);
}

/* Put the cursor of the first level that is not live at the next record, or at the one in which the place is. */
static int
level_seek(struct vos_scrub *s, struct vos_op *op, uint32_t lvl, const struct vos_pool *pool,
    bool *ret_is_old)
{
    struct level *l = &s->lvls[lvl];
    struct vos_btr_key key;
    bool exact = false;
    int rc = level_open(s, op, lvl, pool);

    *ret_is_old = false;
    if (rc != 0)
        return rc;
    if (!l->has_key)
        return s->is_resumed && lvl <= LVL_OBJ ? level_resume(s, lvl) : vos_btr_first(&l->t);
    key = level_key(l);
    rc = vos_btr_search(&l->t, &key, &exact);
    if (rc != 0)
        return rc;
    if (!exact) {
        s->depth = lvl; /* it is gone, and all that was below */
        s->chunk = 0;
        rc = vos_btr_settle(&l->t);
        return rc != 0 ? rc : order_check(l, op);
    }
    *ret_is_old = lvl < s->depth || s->chunk != 0;
    if (*ret_is_old)
        return 0;
    rc = vos_btr_next(&l->t);
    return rc != 0 ? rc : order_check(l, op);
}

/* ---- looking -------------------------------------------------------------------------------------------------------- */

static void
slice_take(struct vos_scrub *s, const struct vos_ver *ver)
{
    struct slice *sl = &s->slice;
    uint64_t chunk = UINT64_C(1) << ver->csum.chunk_bits;
    uint32_t nr = (uint32_t)MAX(MIN(SLICE_BYTES, s->budget) >> ver->csum.chunk_bits, UINT64_C(1));

    sl->type = ver->csum.type;
    sl->csum_len = ver->csum.len;
    sl->chunk_bits = ver->csum.chunk_bits;
    sl->chunk_nr = MIN(nr, ver->csum_nr - s->chunk);
    sl->addr = ver->addr + s->chunk * chunk;
    sl->len = MIN(ver->stored_len - s->chunk * chunk, sl->chunk_nr * chunk);
    memcpy(sl->csums, ver->csums + s->chunk * ver->csum.len, sl->chunk_nr * sl->csum_len);
    s->chunk += sl->chunk_nr;
    if (s->chunk == ver->csum_nr)
        s->chunk = 0;
}

/* The version at the cursor, whose page is resident. */
static int
version_look(struct vos_scrub *s, struct vos_op *op)
{
    struct level *l = &s->lvls[LVL_VER];
    uint64_t rec = vos_btr_rec(&l->t);
    struct vos_ver ver;
    int rc = vos_ver_get(op, rec, &ver);

    if (rc == 0)
        rc = vos_ver_data(op, &ver);
    if (rc != 0)
        return rc;
    s->is_array = l->t.kind->id == VOS_TREE_EXT;
    s->recx = (struct recx){0, 1};
    if (s->is_array)
        s->recx = (struct recx){ver.lo, ver.hi - ver.lo + 1};
    s->epoch = ver.epoch;
    s->minor = ver.minor;
    s->stats.pass.records_nr += s->chunk == 0;
    if (ver.addr != 0) {
        if (s->chunk >= ver.csum_nr)
            s->chunk = 0; /* another version than before, by the same key */
        slice_take(s, &ver);
    } else if ((ver.flags & VOS_VER_INLINE) != 0) {
        if (!csum_is_good(ver.csum.type, ver.data, ver.stored_len, ver.csums))
            report(s, CAIRN_ERR(CSUM), true, ver.apart != 0 ? ver.apart : rec, ver.stored_len);
        s->stats.pass.bytes += ver.stored_len;
        s->budget -= MIN(s->budget, (uint64_t)ver.stored_len);
    }
    return 0;
}

/* On to the next record, whatever its level, or down into the place. */
static int
advance(struct vos_scrub *s, struct vos_op *op, const struct vos_pool *pool)
{
    uint32_t lvl = s->live > s->depth ? s->depth : s->live;
    struct level *l = &s->lvls[lvl];
    bool is_old = false;
    int rc;

    if (s->live > s->depth) {
        rc = vos_btr_next(&l->t);
        if (rc == 0)
            rc = order_check(l, op);
    } else {
        rc = level_seek(s, op, lvl, pool, &is_old);
    }
    if (rc == 0 && !is_old)
        rc = key_save(s, op, lvl);
    if (rc == 0 && is_old && lvl == LVL_VER)
        rc = key_save(s, op, lvl); /* for its page */
    if (rc == -DER_AGAIN)
        return rc;
    if (lvl >= LVL_OBJ || rc != 0 || l->hkey != s->from_cont)
        s->is_resumed = false;
    if (rc == -DER_NONEXIST) {
        level_end(s, lvl);
        return 0;
    }
    if (rc == 0) {
        s->live = lvl + 1;
        if (!is_old && lvl <= LVL_OBJ)
            s->place_bad_nr = s->stats.pass.bad_nr;
        s->is_new_cont |= !is_old && lvl == LVL_CONT && s->skip != NULL;
        if (lvl == LVL_VER)
            return version_look(s, op);
        if (!is_old) {
            s->depth = lvl + 1;
            s->lvls[lvl + 1].has_key = false;
        }
        return 0;
    }
    report_index(s, lvl, rc);
    level_end(s, lvl);
    return 0;
}

static int
scrub_body(struct vos_op *op, void *arg)
{
    struct vos_scrub *s = arg;
    const struct vos_pool *pool = vos_pool_by_uuid(s->tgt, &s->pool);
    int rc = pool == NULL ? CAIRN_ERR(NONEXIST) : 0;

    s->live = 0;
    while (rc == 0 && !s->is_end && s->budget > 0 && s->slice.len == 0 && !s->is_new_cont) {
        if (op->steps_left-- == 0)
            return -DER_INPROGRESS;
        rc = advance(s, op, pool);
    }
    return rc;
}

static int
walk(struct vos_scrub *s)
{
    uint32_t lvl;
    struct vos_op op;
    int rc;

    vos_op_init(&op, s->tgt);
    rc = vos_read_run(s->tgt, &op, scrub_body, s);
    if ((rc != -DER_CSUM && rc != -DER_DF_INVAL && rc != -DER_NVME_IO) || bio_status(s->tgt->bio) != 0)
        return rc;
    /* A page that cannot be had: the body stopped at the level that needs it. */
    lvl = MIN(s->live, s->depth);
    report_index(s, lvl, rc);
    level_end(s, lvl);
    s->is_resumed = false;
    return 0;
}

/* ---- data ----------------------------------------------------------------------------------------------------------- */

static void
slice_check(struct vos_scrub *s, const uint8_t *mem)
{
    const struct slice *sl = &s->slice;

    for (uint32_t c = 0; c < sl->chunk_nr; c++) {
        uint64_t off = (uint64_t)c << sl->chunk_bits;
        size_t len = (size_t)MIN(sl->len - off, UINT64_C(1) << sl->chunk_bits);

        if (!csum_is_good(sl->type, mem + off, len, sl->csums + c * sl->csum_len))
            report(s, CAIRN_ERR(CSUM), false, sl->addr + off, len);
    }
}

static int
slice_read(struct vos_scrub *s)
{
    struct bio_tgt *bio = s->tgt->bio;
    struct slice *sl = &s->slice;
    const void *map = bio_data_map(bio, sl->addr, (size_t)sl->len);
    void *buf = NULL;
    int rc = 0;

    if (map != NULL) {
        slice_check(s, map);
    } else {
        rc = bio_buf_get(bio, (size_t)sl->len, &buf);
        if (rc != 0)
            return rc;
        rc = bio_data_read(bio, sl->addr, buf, (size_t)sl->len);
        if (rc == 0) {
            slice_check(s, buf);
        } else if (bio_status(bio) == 0) {
            report(s, rc, false, sl->addr, sl->len); /* one place of the device, not all of it */
            rc = 0;
        }
        bio_buf_put(bio, buf, (size_t)sl->len);
    }
    s->stats.pass.bytes += sl->len;
    s->budget -= MIN(s->budget, sl->len);
    return rc;
}

/* ---- passes --------------------------------------------------------------------------------------------------------- */

static void
pass_begin(struct vos_scrub *s)
{
    s->is_end = s->is_resumed = false;
    s->depth = s->chunk = 0;
    s->lvls[LVL_CONT].has_key = false;
    s->place_bad_nr = 0;
    memset(&s->stats.pass, 0, sizeof(s->stats.pass));
    s->stats.start_ns = vos_wall_ns(s->tgt);
    s->stats.is_running = true;
}

static void
pass_end(struct vos_scrub *s)
{
    s->stats.last = s->stats.pass;
    s->stats.passes_nr++;
    s->stats.is_running = false;
}

/* SCR-6. The walk goes on in the container, or behind it. */
static void
cont_ask(struct vos_scrub *s)
{
    struct uuid cont = s->lvls[LVL_CONT].uuid;

    s->is_new_cont = false;
    if (!s->skip(s->arg, &cont))
        return;
    CAIRN_PROBE("vos.scrub.skipped");
    s->stats.skipped_nr++;
    s->depth = LVL_CONT;
    s->chunk = 0;
    s->is_resumed = false;
}

int
vos_scrub_step(struct vos_scrub *s, uint64_t bytes_max)
{
    struct vos_tgt *tgt = s->tgt;
    int rc = 0;

    if (!s->stats.is_running)
        pass_begin(s);
    s->budget = bytes_max;
    while (rc == 0 && !s->is_end && s->budget > 0) {
        s->slice.len = 0;
        bio_reader_enter(tgt->bio, &s->reader);
        rc = walk(s);
        if (rc == 0 && s->slice.len > 0)
            rc = slice_read(s);
        bio_reader_leave(tgt->bio, &s->reader);
        if (rc == 0 && s->is_new_cont)
            cont_ask(s);
        if (rc == 0)
            ult_yield();
    }
    if (rc == 0 && s->is_end)
        pass_end(s);
    return rc;
}

struct place {
    struct vos_scrub *s;
    bool is_write, is_out, is_out_set;
};

static int
place_body(struct vos_op *op, void *arg)
{
    struct place *p = arg;
    struct vos_scrub *s = p->s;
    const struct vos_pool *pool = vos_pool_by_uuid(s->tgt, &s->pool);
    struct vos_pool_df *rec;
    int rc = pool == NULL ? CAIRN_ERR(NONEXIST) : vos_pool_get(op, pool->off, &rec);

    if (rc != 0)
        return rc;
    if (!p->is_write) {
        s->stats.start_ns = rec->scrub_start_ns;
        s->stats.is_running = rec->scrub_start_ns != 0 && rec->scrub_cont != PLACE_END;
        s->is_resumed = s->stats.is_running;
        s->from_cont = rec->scrub_cont;
        s->from_obj = rec->scrub_obj;
        s->stats.is_out = rec->is_out != 0;
        s->place_bad_nr = s->stats.is_running ? rec->scrub_bad_nr : 0;
        s->stats.pass.bad_nr = s->place_bad_nr;
        s->stats.last.bad_nr = s->stats.is_running ? 0 : rec->scrub_bad_nr;
        return 0;
    }
    if (p->is_out_set) {
        rc = vos_range(op, pool->off + offsetof(struct vos_pool_df, is_out), 1);
        if (rc == 0)
            rec->is_out = p->is_out;
        return rc;
    }
    rc = vos_range(op, pool->off + offsetof(struct vos_pool_df, scrub_bad_nr), sizeof(uint32_t));
    if (rc != 0)
        return rc;
    rc = vos_range(
        op, pool->off + offsetof(struct vos_pool_df, scrub_start_ns), 3 * sizeof(uint64_t));
    if (rc != 0)
        return rc;
    rec->scrub_bad_nr = (uint32_t)MIN(
        s->stats.is_running ? s->place_bad_nr : s->stats.last.bad_nr, (uint64_t)UINT32_MAX);
    rec->scrub_start_ns = s->stats.start_ns;
    rec->scrub_cont = rec->scrub_obj = 0;
    if (!s->stats.is_running) {
        rec->scrub_cont = PLACE_END;
    } else if (s->is_resumed) {
        rec->scrub_cont = s->from_cont;
        rec->scrub_obj = s->from_obj;
    } else if (s->lvls[LVL_CONT].has_key) {
        rec->scrub_cont = s->lvls[LVL_CONT].hkey;
        rec->scrub_obj = s->depth >= LVL_OBJ && s->lvls[LVL_OBJ].has_key ? s->lvls[LVL_OBJ].hkey : 0;
    }
    return 0;
}

int
vos_scrub_save(struct vos_scrub *s)
{
    struct place p = {.s = s, .is_write = true};
    struct vos_op op;
    uint64_t lsn;
    int rc;

    if (s->stats.start_ns == 0)
        return 0;
    vos_op_init(&op, s->tgt);
    rc = vos_tx_run(s->tgt, &op, UMEM_TX_RECLAIM, 0, place_body, &p, &lsn);
    return rc != 0 ? rc : vos_wait(s->tgt, lsn);
}

int
vos_scrub_out_set(struct vos_scrub *s, bool is_out)
{
    struct place p = {.s = s, .is_write = true, .is_out_set = true, .is_out = is_out};
    struct vos_pool *pool = vos_pool_by_uuid(s->tgt, &s->pool);
    struct vos_op op;
    uint64_t lsn;
    int rc;

    if (pool == NULL)
        return CAIRN_ERR(NONEXIST);
    pool->is_out = s->stats.is_out = is_out; /* also when its record can't be had */
    vos_op_init(&op, s->tgt);
    rc = vos_tx_run(s->tgt, &op, UMEM_TX_RECLAIM, 0, place_body, &p, &lsn);
    return rc != 0 ? rc : vos_wait(s->tgt, lsn);
}

void
vos_scrub_skip_set(struct vos_scrub *s, bool (*skip)(void *arg, const struct uuid *cont))
{
    s->skip = skip;
}

int
vos_scrub_create(struct vos_tgt *tgt, struct uuid pool,
    void (*bad)(void *arg, const struct vos_scrub_bad *bad), void *arg, struct vos_scrub **ret_scrub)
{
    struct vos_scrub *s = vos_heap_alloc(&tgt->heap, sizeof(*s));
    struct place p = {.s = s};
    struct vos_op op;
    int rc;

    if (s == NULL)
        return CAIRN_ERR(NOMEM);
    memset(s, 0, sizeof(*s));
    s->tgt = tgt;
    s->pool = pool;
    s->bad = bad;
    s->arg = arg;
    vos_op_init(&op, tgt);
    rc = vos_read_run(tgt, &op, place_body, &p);
    if (rc != 0) {
        vos_heap_free(s);
    } else {
        *ret_scrub = s;
    }
    return rc;
}

void
vos_scrub_free(struct vos_scrub *s)
{
    vos_heap_free(s);
}

const struct vos_scrub_stats *
vos_scrub_stats(const struct vos_scrub *s)
{
    return &s->stats;
}
