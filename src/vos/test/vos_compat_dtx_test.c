/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Golden image: the tables of transactions as format version 3 wrote them must be read for ever: prepared ones with references in the record and in the chain, one that was committable, decided
 * ones whose marks were not all settled when the process ended, outcomes of commits and aborts, a horizon. docs/format/vos.md is read beside it: the offsets and numbers in "bytes"
 * below are those of that text, not those of vos_format.h. VOS_COMPAT_DTX_WRITE=FILE makes a new image (for a new version; never over an old one).
 */
#include "ult/ult.h"
#include "vos/vos_look.h"
#include "vos_compat_img.h"

enum tx {
    TX_FORGOTTEN = 1,
    TX_COMMITTED,
    TX_ABORTED,
    TX_PREPARED,
    TX_READY,
    TX_COMMITTING, /* the last two are decided, with marks left */
    TX_ABORTING,
    TX_NR,
};

enum { BLOB_BYTES = 21, KEYS_NR = 40, MARKS_NR = 200, OBJ = 10, BIG = 20 /* and the next one */ };

static struct vos_dtx_id
tx_id(enum tx nr)
{
    return (struct vos_dtx_id){.uuid = {.b = {0xd0 + nr, 1, 2, 3}}, .hlc = 100 * nr + 7};
}

/* Values and extents under keys of their own, of an object; with akey 0 a punch of the dkey "old". */
static int
tx_part(struct fix *f, enum tx nr, uint32_t part, uint64_t obj, uint32_t keys_nr)
{
    static const char data[64] = "what it prepared";
    static char keys[MARKS_NR][8];
    static struct vos_iod iods[MARKS_NR];
    static struct vos_mod mods[MARKS_NR];
    static const struct recx recx = {100, 16};
    const uint8_t blob[BLOB_BYTES] = {0xb1, 0xb2, nr, [BLOB_BYTES - 1] = 0xbf};
    struct vos_dtx_args dtx = {.id = tx_id(nr), .flags = part == 0 ? 0x500 : 0, .part = part};
    struct vos_apply_args args = {.mods = mods, .mod_nr = keys_nr, .pm_ver = 5, .dtx = &dtx};
    struct vos_apply_ret ret;

    if (part == 0)
        dtx.blob = (struct iov){(void *)(uintptr_t)blob, sizeof(blob)};
    for (uint32_t i = 0; i < keys_nr; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%c%u", (char)('a' + part), i % MARKS_NR);
        iods[i] = (struct vos_iod){.akey = IOV(i % 4 == 3 ? "array" : "akey"),
            .type = i % 4 == 3 ? VOS_IOD_ARRAY : VOS_IOD_SINGLE,
            .size = i % 4 == 3 ? 1 : 16,
            .recx_nr = i % 4 == 3,
            .recxs = &recx,
            .data = {(void *)(uintptr_t)data, 16}};
        mods[i] = (struct vos_mod){.op = VOS_MOD_UPDATE,
            .oid = fix_oid(obj),
            .dkey = IOV(keys[i]),
            .iod_nr = 1,
            .iods = &iods[i]};
    }
    if (part == 2)
        mods[0] = (struct vos_mod){.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(OBJ), .dkey = IOV("old")};
    return vos_apply(f->cont, &args, &ret);
}

struct decider {
    struct fix *f;
    enum tx nr;
};

static void
decide_main(void *arg)
{
    const struct decider *d = arg;
    struct vos_dtx_id id = tx_id(d->nr);

    /* The process ends amid it. */
    CAIRN_IGNORE(d->nr == TX_COMMITTING ? vos_dtx_commit(d->f->cont, &id, 1)
                                        : vos_dtx_abort(d->f->cont, &id, 1));
}

static void
body_make(struct fix *f)
{
    static struct decider deciders[2];
    struct vos_dtx_id id = tx_id(TX_FORGOTTEN);
    uint32_t gone = 0;

    if (!fix_format(f))
        return;
    EXPECT_OK(fix_put(f, OBJ, "old", "akey", "before", 6, 0));
    EXPECT_OK(tx_part(f, TX_FORGOTTEN, 0, OBJ, 1));
    EXPECT_OK(vos_dtx_commit(f->cont, &id, 1));
    EXPECT_OK(vos_dtx_aggregate(f->cont, id.hlc + 1, UINT32_MAX, &gone));
    EXPECT_EQ(gone, 1);
    EXPECT_OK(tx_part(f, TX_COMMITTED, 0, OBJ, 2));
    id = tx_id(TX_COMMITTED);
    EXPECT_OK(vos_dtx_commit(f->cont, &id, 1));
    EXPECT_OK(bio_checkpoint(f->bio));
    EXPECT_OK(tx_part(f, TX_ABORTED, 0, OBJ + 1, 2));
    id = tx_id(TX_ABORTED);
    EXPECT_OK(vos_dtx_abort(f->cont, &id, 1));
    EXPECT_OK(tx_part(f, TX_PREPARED, 0, OBJ + 2, KEYS_NR));
    EXPECT_OK(tx_part(f, TX_PREPARED, 1, OBJ + 2, 3));
    EXPECT_OK(tx_part(f, TX_PREPARED, 2, OBJ + 2, 2));
    EXPECT_OK(tx_part(f, TX_READY, 0, OBJ + 3, 1));
    id = tx_id(TX_READY);
    EXPECT_OK(vos_dtx_committable(f->cont, &id));
    EXPECT_OK(tx_part(f, TX_COMMITTING, 0, BIG, MARKS_NR));
    EXPECT_OK(tx_part(f, TX_ABORTING, 0, BIG + 1, MARKS_NR));
    for (uint32_t i = 0; i < 2; i++) {
        deciders[i] = (struct decider){f, TX_COMMITTING + (enum tx)i};
        EXPECT_OK(ult_create(f->xs, ULT_IO, decide_main, &deciders[i], NULL));
    }
    /* Each has decided, and settled a part; that much becomes durable. */
    ult_yield();
    EXPECT_OK(vos_wait(f->tgt, f->cont->lsn_last));
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------- */

struct bytes {
    struct fix *f;
    uint64_t pool, cont, table;
    uint64_t txs[TX_NR]; /* by number */
    uint32_t mark_nr[TX_NR];
    uint64_t epochs[TX_NR];
    bool has_decided; /* those with marks left are expected */
};

static const uint8_t *
at(struct vos_op *op, uint64_t off, uint32_t len)
{
    static const uint8_t nothing[1024];
    const uint8_t *p = nothing;

    EXPECT_EQ(off % 8, 0);
    EXPECT_OK(vos_ptr(op, off, len, &p));
    return p;
}

static uint64_t
le48_get(const uint8_t *p)
{
    return le64_get(p) & UINT64_C(0xffffffffffff);
}

/* The event of a log at this epoch, or 0. */
static uint64_t
event_at(struct vos_op *op, uint64_t off, uint64_t epoch)
{
    const uint8_t *log = at(op, off, 16), *node;

    if (le64_get(log + 8) != UINT64_C(0xffffffff00000000))
        return le64_get(log) == epoch ? le64_get(log + 8) : 0;
    EXPECT_EQ(log[6], 1); /* one leaf */
    EXPECT_EQ(log[7], 9);
    node = at(op, le48_get(log), 16);
    EXPECT_EQ(node[0], 0xb7);
    EXPECT_EQ(node[2], 0);
    for (uint32_t i = 0; i < le16_get(node + 4); i++) {
        const uint8_t *e = at(op, le48_get(log) + 16, 16 * (i + 1)) + 16 * i;

        if (le64_get(e) == epoch)
            return le64_get(e + 8);
    }
    return 0;
}

/* One reference: the mark is there. */
static void
ref_bytes(struct bytes *b, struct vos_op *op, uint32_t nr, uint32_t lid, const uint8_t *ref)
{
    static const uint8_t owners[] = {0, 0xa5, 0xa5, 0xa2, 0xa3, 0xa4};
    uint32_t kind = (uint32_t)le64_get(ref) & 7, pos = 20;
    uint64_t off = le64_get(ref) & ~UINT64_C(7);
    const uint8_t *rec;

    b->mark_nr[nr]++;
    if (!EXPECT(kind >= 1 && kind <= 5))
        return;
    EXPECT_EQ(at(op, le64_get(ref + 8), 8)[0], owners[kind]);
    EXPECT_EQ(at(op, le64_get(ref + 16), 8)[0], 0xa3);
    if (kind >= 3) {
        EXPECT_EQ(at(op, off, 8)[0], 0xa0 + kind);
        EXPECT_EQ(event_at(op, off + (kind == 3 ? 40 : 8), b->epochs[nr]) >> 32, lid);
        return;
    }
    rec = at(op, off, 64);
    EXPECT_EQ(rec[0], kind == 1 ? 0xa6 : 0xa7);
    EXPECT_EQ(le64_get(rec + 8), b->epochs[nr]);
    EXPECT_EQ(le32_get(rec + 4), 5);
    EXPECT_EQ(rec[1] & 4, 4);
    if (kind == 2) {
        EXPECT_EQ(le64_get(rec + 20), 100);
        EXPECT_EQ(le64_get(rec + 28), 115);
        pos += 16;
    }
    pos += (rec[1] & 3) == 0 ? 8 : 0;
    EXPECT_EQ(le32_get(rec + pos), lid);
}

static void
tx_bytes(struct bytes *b, struct vos_op *op, uint32_t lid, uint64_t off)
{
    const uint8_t *tx = at(op, off, 80);
    uint32_t nr = (uint32_t)(le64_get(tx + 24) / 100), inline_nr = le16_get(tx + 56), left;
    uint64_t chain = le64_get(tx + 72);

    EXPECT_EQ(tx[0], 0xc3);
    if (!EXPECT(nr > 0 && nr < TX_NR))
        return;
    b->txs[nr] = off;
    b->epochs[nr] = le64_get(tx + 32);
    EXPECT_EQ(tx[1], nr == TX_COMMITTING ? 2 : nr == TX_ABORTING ? 3 : 1);
    EXPECT_EQ(le16_get(tx + 2), BLOB_BYTES);
    EXPECT_EQ(le32_get(tx + 4), lid);
    EXPECT_MEM_EQ(tx + 8, tx_id((enum tx)nr).uuid.b, 16);
    EXPECT_EQ(le64_get(tx + 24), tx_id((enum tx)nr).hlc);
    EXPECT_EQ(le32_get(tx + 40), 0x500);
    EXPECT_EQ(le32_get(tx + 44), 5);
    EXPECT_EQ(le32_get(tx + 48), nr == TX_PREPARED ? 3 : 1);
    EXPECT_LE(inline_nr, le16_get(tx + 54));
    EXPECT_LE(le16_get(tx + 54), 32);
    left = (uint32_t)le64_get(tx + 64);
    tx = at(op, off, 104 + 24 * inline_nr);
    EXPECT_EQ(tx[80], 0xb1);
    EXPECT_EQ(tx[82], nr);
    EXPECT_EQ(tx[100], 0xbf);
    EXPECT_EQ(tx[101] | tx[102] | tx[103], 0);
    for (uint32_t i = 0; i < inline_nr; i++) {
        ref_bytes(b, op, nr, lid, at(op, off, 104 + 24 * inline_nr) + 104 + 24 * i);
    }
    while (chain != 0 && !test_failed()) {
        uint32_t refs_nr = le16_get(at(op, chain, 16) + 2);

        EXPECT_EQ(at(op, chain, 16)[0], 0xc4);
        EXPECT(refs_nr >= 1 && refs_nr <= 42);
        for (uint32_t i = 0; i < refs_nr; i++) {
            ref_bytes(b, op, nr, lid, at(op, chain, 1024) + 16 + 24 * i);
        }
        chain = le64_get(at(op, chain, 16) + 8);
    }
    EXPECT_EQ(b->mark_nr[nr], left);
}

static void
out_bytes(const struct bytes *b, const uint8_t *blk, uint32_t i, enum tx nr, bool is_abort)
{
    const uint8_t *out = blk + 32 + 32 * i;

    EXPECT_MEM_EQ(out, tx_id(nr).uuid.b, 16);
    EXPECT_EQ(le64_get(out + 16), tx_id(nr).hlc);
    EXPECT_GT(le64_get(out + 24), UINT64_C(1) << 32);
    if (b->epochs[nr] != 0)
        EXPECT_EQ(le64_get(out + 24), b->epochs[nr]);
    EXPECT_EQ(le32_get(blk + 8) >> i & 1, is_abort);
}

static int
bytes_body(struct vos_op *op, void *arg)
{
    struct bytes *b = arg;
    uint64_t slots;
    const uint8_t *p;
    uint32_t end;

    p = at(op, b->pool, 104);
    EXPECT_EQ(p[0], 0xa1);
    EXPECT_EQ(p[64 + 6], 0); /* one container */
    b->cont = le48_get(p + 64);
    p = at(op, b->cont, 104);
    EXPECT_EQ(p[0], 0xa2);
    b->table = le64_get(p + 96);
    p = at(op, b->table, 48);
    EXPECT_EQ(p[0], 0xc1);
    EXPECT_EQ(le64_get(p + 40), tx_id(TX_FORGOTTEN).hlc);
    EXPECT_EQ(le64_get(p + 32), b->has_decided ? 4 : le64_get(p + 32));
    EXPECT_EQ(le64_get(p + 16), le64_get(p + 24)); /* one block */
    slots = le64_get(p + 8);
    p = at(op, slots, 1024);
    EXPECT_EQ(p[0], 0xc2);
    EXPECT_EQ(le64_get(p + 8), 0);
    for (uint32_t i = 0; i < 126; i++) {
        uint64_t off = le64_get(at(op, slots, 1024) + 16 + 8 * i);

        if (off != 0)
            tx_bytes(b, op, i + 1, off);
    }
    p = at(op, le64_get(at(op, b->table, 48) + 16), 1024);
    EXPECT_EQ(p[0], 0xc5);
    EXPECT_EQ(le64_get(p + 16), 0);
    end = le16_get(p + 6);
    EXPECT_EQ(end - le16_get(p + 4), le64_get(at(op, b->table, 48) + 32));
    if (!EXPECT(end >= 2))
        return 0;
    out_bytes(b, p, le16_get(p + 4), TX_COMMITTED, false);
    out_bytes(b, p, le16_get(p + 4) + 1u, TX_ABORTED, true);
    if (b->has_decided) {
        out_bytes(b, p, le16_get(p + 4) + 2u, TX_COMMITTING, false);
        out_bytes(b, p, le16_get(p + 4) + 3u, TX_ABORTING, true);
    }
    return 0;
}

static void
bytes_check(struct fix *f, bool has_decided)
{
    struct bytes b = {.f = f, .has_decided = has_decided};
    struct vos_look_pool pool;
    struct vos_op op;

    if (!EXPECT_OK(vos_look_pool(f->tgt, f->pool, &pool)))
        return;
    b.pool = pool.off;
    vos_op_init(&op, f->tgt);
    EXPECT_OK(vos_read_run(f->tgt, &op, bytes_body, &b));
    /* The object, a dkey, an akey and a version for each key; the punch of a dkey of another object. */
    EXPECT_EQ(b.mark_nr[TX_PREPARED], 1 + 3 * KEYS_NR + 3 * 3 + 3 + 1);
    EXPECT_EQ(b.mark_nr[TX_READY], 4);
    if (!has_decided)
        return;
    for (enum tx nr = TX_COMMITTING; nr <= TX_ABORTING; nr++) {
        EXPECT_GT(b.mark_nr[nr], 0);
        EXPECT_LT(b.mark_nr[nr], 1 + 3 * MARKS_NR);
    }
}

/* ---- what it means -------------------------------------------------------------------------------------------------- */

static void
state_check(struct fix *f, enum tx nr, int rc, enum vos_dtx_state state, bool is_active)
{
    struct vos_dtx_id id = tx_id(nr);
    struct vos_dtx_info info = {.epoch = 0};

    EXPECT_EQ(vos_dtx_lookup(f->cont, &id, &info), rc);
    if (rc != 0)
        return;
    EXPECT_EQ(info.state, state);
    EXPECT_EQ(info.is_active, is_active);
    if (!is_active)
        return;
    EXPECT_EQ(info.flags, 0x500);
    EXPECT_EQ(info.pm_ver, 5);
    EXPECT_EQ(info.part_nr, nr == TX_PREPARED ? 3 : 1);
    EXPECT_EQ(info.blob_len, BLOB_BYTES);
}

static void
meaning_check(struct fix *f)
{
    struct vos_dtx_id id = tx_id(TX_PREPARED);
    struct fix_keys keys;
    uint8_t blob[64];
    char buf[32];
    size_t len = 0;

    state_check(f, TX_FORGOTTEN, -DER_TX_UNCERTAIN, 0, false);
    state_check(f, TX_COMMITTED, 0, VOS_DTX_COMMITTED, false);
    state_check(f, TX_ABORTED, 0, VOS_DTX_ABORTED, false);
    state_check(f, TX_PREPARED, 0, VOS_DTX_PREPARED, true);
    state_check(f, TX_READY, 0, VOS_DTX_PREPARED, true);
    state_check(f, TX_COMMITTING, 0, VOS_DTX_COMMITTED, false);
    state_check(f, TX_ABORTING, 0, VOS_DTX_ABORTED, false);
    EXPECT_OK(vos_dtx_blob(f->cont, &id, blob, sizeof(blob), &len));
    EXPECT_EQ(len, BLOB_BYTES);
    EXPECT_EQ(blob[2], TX_PREPARED);
    EXPECT_OK(fix_get(f, BIG, "a0", "akey", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 16);
    EXPECT_OK(fix_get(f, BIG + 1, "a0", "akey", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 0);
    EXPECT_OK(fix_get(f, OBJ, "a1", "akey", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 16);
    EXPECT_ERR(fix_get(f, OBJ, "old", "akey", buf, sizeof(buf), &len), INPROGRESS);
    EXPECT_ERR(fix_get(f, OBJ + 2, "a0", "akey", buf, sizeof(buf), &len), INPROGRESS);
    EXPECT_OK(vos_dtx_commit(f->cont, &id, 1));
    EXPECT_OK(fix_get(f, OBJ, "old", "akey", buf, sizeof(buf), &len));
    EXPECT_EQ(len, 0);
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, OBJ + 2, NULL, VOS_EPOCH_MAX, 100, &keys));
    EXPECT_EQ(keys.nr, KEYS_NR + 3 + 1);
    id = tx_id(TX_READY);
    EXPECT_OK(vos_dtx_abort(f->cont, &id, 1));
    EXPECT_OK(fix_list_keys(f, VOS_LEVEL_DKEY, OBJ + 3, NULL, VOS_EPOCH_MAX, 100, &keys));
    EXPECT_EQ(keys.nr, 0);
    EXPECT_OK(vos_tgt_check(f->tgt));
}

static void
check(struct fix *f, bool has_decided)
{
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)) || !EXPECT_OK(vos_tgt_open(f->bio, &f->tgt)))
        return;
    /* Before the container is opened, which settles what was decided. */
    bytes_check(f, has_decided);
    EXPECT_OK(vos_tgt_check(f->tgt));
    if (EXPECT_OK(vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont))) {
        EXPECT_OK(vos_tgt_check(f->tgt));
        meaning_check(f);
    }
    fix_close(f);
}

static void
body_check(struct fix *f)
{
    check(f, true);
}

/* Goal: what version 5 wrote opens, is laid out as documented, and means what it meant. */
TEST_ON(vos_compat_dtx, version_5, BACKEND_SIM)
{
    img_load_and_run(VOS_COMPAT_DIR "/v5_dtx.img", body_check);
}

/* Goal: the image is what this program would write, and its maker stays alive. */
TEST_ON(vos_compat_dtx, current, BACKEND_SIM)
{
    img_current("VOS_COMPAT_DTX_WRITE", body_make, body_check);
}
