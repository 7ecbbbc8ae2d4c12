/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: damaged bytes give CSUM, DF_INVAL or the right data, never a crash and never wrong data (ST-7). Method: bits flipped in the files; and, since
 * pages have checksums below us, bits flipped in records of the arena in memory, as if a bug had written them: there any answer will do that
 * comes back and does not touch foreign memory (under sanitizers).
 */
#include "base/codec.h"
#include "vos/vos_dtx.h"
#include "vos_test_fix.h"

enum { VAL_NR = 60, VAL_BYTES = 50000, ROUNDS = 60 };

static void
val_fill(uint8_t *buf, uint32_t i, size_t len)
{
    struct rng r;

    rng_init(&r, 1000 + i);
    rng_bytes(&r, buf, len);
}

static size_t
val_len(uint32_t i)
{
    return i % 5 == 4 ? VOS_INLINE_BYTES_MAX : i % 3 == 0 ? VAL_BYTES : i % 3 == 1 ? 5000 : 700;
}

static void
damage_setup(struct fix *f)
{
    static uint8_t buf[VAL_BYTES];
    char key[16];

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < VAL_NR; i++) {
        val_fill(buf, i, val_len(i));
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(i % 2 == 0 ? fix_put(f, 1, key, "a", buf, val_len(i), 0)
                             : fix_write(f, 1, key, "a", 3, val_len(i), 1, buf));
    }
    fix_close(f); /* with a checkpoint: nothing is left to replay */
}

/* How many values read back as CSUM; all others must be right. */
static uint32_t
read_all(struct fix *f)
{
    static uint8_t want[VAL_BYTES], got[VAL_BYTES];
    uint32_t bad = 0;
    char key[16];
    size_t len = 0;

    for (uint32_t i = 0; i < VAL_NR && !test_failed(); i++) {
        int rc;

        val_fill(want, i, val_len(i));
        snprintf(key, sizeof(key), "k%u", i);
        len = val_len(i);
        if (i % 2 == 0) {
            rc = fix_get(f, 1, key, "a", got, sizeof(got), &len);
        } else {
            rc = fix_read(f, 1, key, "a", VOS_EPOCH_MAX, 3, len, 0, got);
        }
        EXPECT(rc == 0 || rc == -DER_CSUM || rc == -DER_DF_INVAL);
        if (rc == 0) {
            EXPECT_EQ(len, val_len(i));
            EXPECT_MEM_EQ(got, want, val_len(i));
        }
        bad += rc != 0;
    }
    return bad;
}

static void
data_read(struct fix *f)
{
    if (!fix_open(f))
        return;
    f->seq = read_all(f);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* Whatever bit flips, it is found, and nothing else. */
static void
data_flips(const char *dir)
{
    struct fix f;
    uint32_t hits = 0;
    char file[64];

    fix_prepare(&f);
    f.cfg.data_bytes = 4 << 20;
    f.data_quota = 3 << 20;
    snprintf(file, sizeof(file), "%s/data", dir);
    if (fix_up_default(&f)) {
        snprintf(f.cfg.dir, sizeof(f.cfg.dir), "%s", dir);
        EXPECT(fix_run(&f, damage_setup));
        for (uint32_t i = 0; i < ROUNDS && !test_failed(); i++) {
            uint64_t bit = rng_below(&f.rng, UINT64_C(8) * (2 << 20));

            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, file, bit));
            EXPECT(fix_run(&f, data_read));
            EXPECT_LE(f.seq, 1);
            hits += f.seq > 0;
            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, file, bit));
        }
        EXPECT_GT(hits, 5);
    }
    fix_down(&f);
}

TEST_ON(vos_damage, bits_of_the_data_role, BACKEND_SIM)
{
    data_flips("/t/d0");
}

TEST_ON(vos_damage, bits_of_a_data_role_in_memory, BACKEND_SIM)
{
    data_flips("/shm/d0");
}

static void
meta_read(struct fix *f)
{
    int rc = bio_open(f->xs, &f->cfg, &f->bio);

    f->seq = 1;
    if (rc == 0) {
        rc = vos_tgt_open(f->bio, &f->tgt);
        if (rc == 0)
            rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);
        if (rc == 0)
            f->seq = read_all(f);
        fix_close(f);
    }
    EXPECT(rc == 0 || rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_DF_INCOMPT ||
        rc == -DER_NONEXIST);
}

TEST_ON(vos_damage, bits_of_the_metadata_role, BACKEND_SIM)
{
    struct fix f;
    uint32_t hits = 0;

    fix_prepare(&f);
    f.cfg.meta_bytes = 4 << 20;
    f.meta_quota = 2 << 20;
    if (fix_up_default(&f) && EXPECT(fix_run(&f, damage_setup))) {
        for (uint32_t i = 0; i < ROUNDS && !test_failed(); i++) {
            uint64_t bit = rng_below(&f.rng, UINT64_C(8) * (1 << 20));

            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/meta", bit));
            EXPECT(fix_run(&f, meta_read));
            hits += f.seq > 0;
            if (f.seq == 0) {
                EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/meta",
                    bit)); /* perhaps already gone with a checkpoint */
            } else if (fix_crash(&f, false))
                EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, "/t/d0/meta", bit));
        }
        EXPECT_GT(hits, 0);
    }
    fix_down(&f);
}

/* ---- records in memory ---------------------------------------------------------------------------------------------- */

static bool
ignore_entry(void *arg, const struct vos_entry *entry)
{
    volatile uint8_t sum = 0;

    (void)arg;
    for (size_t i = 0; i < entry->key.len; i++) {
        sum = (uint8_t)(sum + ((const uint8_t *)entry->key.buf)[i]);
    }
    return true;
}

static void
try_list(struct fix *f, enum vos_level level, const char *dkey, bool descending)
{
    struct vos_list_args args = {.level = level,
        .oid = fix_oid(1),
        .dkey = IOV(dkey),
        .akey = IOV("a"),
        .epoch = VOS_EPOCH_MAX,
        .descending = descending,
        .fn = ignore_entry};
    struct vos_anchor anchor = {.eof = false};

    for (uint32_t i = 0; i < 100 && !anchor.eof; i++) {
        if (vos_list(f->cont, &args, &anchor) != 0)
            break;
    }
}

/* Changes of every kind in one request whose end fails, so that all of it is taken back. */
static void
try_apply(struct fix *f, uint32_t flags)
{
    struct recx recx = {rng_below(&f->rng, 4000), 30};
    struct vos_iod val = {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 4, .data = {"abcd", 4}};
    struct vos_iod arr = {.akey = IOV("a"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {"0123456789012345678901234567890", 30}};
    struct vos_mod mods[24];
    struct vos_apply_args args = {.mods = mods, .mod_nr = ARRAY_SIZE(mods), .flags = flags};
    char keys[ARRAY_SIZE(mods)][16];

    for (uint32_t i = 0; i < ARRAY_SIZE(mods); i++) {
        uint32_t k = (uint32_t)rng_below(&f->rng, VAL_NR + 20);

        snprintf(keys[i], sizeof(keys[i]), "k%u", k);
        mods[i] = (struct vos_mod){.op = i % 4 < 2 ? VOS_MOD_UPDATE
                : i % 4 == 2                       ? VOS_MOD_PUNCH_DKEY
                                                   : VOS_MOD_PUNCH_AKEYS,
            .oid = fix_oid(1),
            .dkey = IOV(keys[i]),
            .iod_nr = 1,
            .iods = k % 2 == 0 ? &val : &arr};
    }
    mods[ARRAY_SIZE(mods) - 1].op = VOS_MOD_UPDATE;
    mods[ARRAY_SIZE(mods) - 1].cond = VOS_COND_DKEY_INSERT | VOS_COND_DKEY_UPDATE;
    EXPECT(vos_apply(f->cont, &args, NULL) != 0);
}

static void
try_everything(struct fix *f)
{
    static uint8_t buf[VAL_BYTES + 8];
    struct vos_oid oid = fix_oid(1);
    struct iov dk = IOV("k1"), ak = IOV("a");
    struct recx recx = {0, VAL_BYTES};
    struct vos_query_ret q;
    char key[16];
    size_t len = 0;

    for (uint32_t i = 0; i < VAL_NR; i += 7) {
        struct vos_iod iod = {.akey = ak, .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
        struct vos_fetch *fetch;

        snprintf(key, sizeof(key), "k%u", i);
        dk = IOV(key);
        CAIRN_IGNORE(fix_get(f, 1, key, "a", buf, sizeof(buf), &len)); /* anything goes */
        if (vos_fetch(f->cont, &oid, VOS_EPOCH_MAX, 0, &dk, &iod, 1, &fetch) == 0)
            vos_fetch_free(f->cont, fetch);
        try_list(f, VOS_LEVEL_RECX, key, i % 2 == 0);
    }
    try_list(f, VOS_LEVEL_OBJ, "k1", false);
    try_list(f, VOS_LEVEL_DKEY, "k1", false);
    try_list(f, VOS_LEVEL_AKEY, "k1", false);
    CAIRN_IGNORE(
        fix_query(f, &oid, VOS_EPOCH_MAX, VOS_GET_MAX | VOS_GET_RECX, &dk, &ak, &q)); /* likewise */
    CAIRN_IGNORE(vos_tgt_check(f->tgt)); /* likewise */
    try_apply(f, 0);
    try_apply(f, VOS_APPLY_NO_HISTORY);
}

static void
memory(struct fix *f)
{
    static uint64_t blocks[20000];
    struct umem *um;
    struct umem_stats stats;
    uint32_t nr = 0, kinds = 0;
    char key[24];

    if (!fix_format(f))
        return;
    um = f->tgt->um;
    for (uint32_t i = 0; i < 400; i++) {
        snprintf(key, sizeof(key), "k%u", i % VAL_NR);
        EXPECT_OK(i % 2 == 0 ? fix_put(f, 1, key, "a", key, 20, 0)
                             : fix_write(f, 1, key, "a", i * 10, 30, 1, blocks));
        if (i % 5 == 0)
            EXPECT_OK(fix_punch(f, 1, key, NULL, 0));
    }
    umem_stats_get(um, &stats);
    for (uint64_t off = umem_root(um); off < stats.arena_bytes && nr < ARRAY_SIZE(blocks); off += 8) {
        const uint8_t *p = umem_ptr(um, off);

        /* Blocks that begin like one of ours. */
        if (p != NULL && umem_block_bytes(um, off) != 0 &&
            ((p[0] >= VOS_POOL_MAGIC && p[0] <= VOS_GC_MAGIC) || p[0] == VOS_NODE_MAGIC))
            blocks[nr++] = off;
    }
    EXPECT_GT(nr, 500);
    for (uint32_t i = 0; i < 1500; i++) {
        uint64_t off = blocks[rng_below(&f->rng, nr)];
        uint32_t len = MIN(umem_block_bytes(um, off), 96u);
        uint64_t at = off + rng_below(&f->rng, len);
        uint8_t *p = umem_ptr(um, at), was;

        if (!EXPECT(p != NULL))
            return;
        was = *p;
        kinds |= 1u << (i % 3);
        if (i % 3 == 0) {
            *p ^= (uint8_t)(1u << rng_below(&f->rng, 8));
        } else if (i % 3 == 1) {
            *p = (uint8_t)rng_below(&f->rng, 256);
        } else {
            *p = blocks[rng_below(&f->rng, nr)] >> (8 * rng_below(&f->rng, 3)) & 0xff;
        }
        try_everything(f);
        *p = was;
    }
    EXPECT_EQ(kinds, 7);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_damage, records_in_memory, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    f.cfg.meta_bytes = 4 << 20;
    f.meta_quota = 2 << 20;
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, memory));
    fix_down(&f);
}

/* ---- values that lie apart from their records -------------------------------------------------------------------------- */

struct apart_look {
    struct fix *f;
    bool is_ext;
    uint64_t rec;
    struct vos_ver ver;
};

static int
apart_find(struct vos_op *op, void *arg)
{
    struct apart_look *l = arg;
    struct vos_oid oid = fix_oid(1);
    struct iov dkey = IOV(l->is_ext ? "arr" : "single"), akey = IOV("a");
    struct vos_walk w;
    int rc = vos_walk_init(&w, l->f->cont, &oid);

    op->epoch = vos_epoch_now(l->f->tgt);
    if (rc == 0)
        rc = vos_walk_obj(op, l->f->cont, &oid, false, &w);
    if (rc == 0)
        rc = vos_walk_dkey(op, &dkey, false, &w);
    if (rc == 0)
        rc = vos_walk_akey(op, &akey, false, &w);
    if (rc == 0)
        rc = vos_ver_get(op, w.akey->tree.root, &l->ver);
    l->rec = rc == 0 ? w.akey->tree.root : 0;
    return rc;
}

/* 0: the right value; else what the fetch answered. Anything else fails. */
static int
apart_read(struct fix *f, bool is_ext)
{
    static uint8_t want[VOS_INLINE_BYTES_MAX], got[VOS_INLINE_BYTES_MAX];
    size_t len = sizeof(got);
    int rc;

    val_fill(want, is_ext, sizeof(want));
    memset(got, 0, sizeof(got));
    rc = is_ext ? fix_read(f, 1, "arr", "a", VOS_EPOCH_MAX, 7, sizeof(got), 0, got)
                : fix_get(f, 1, "single", "a", got, sizeof(got), &len);
    if (rc == 0) {
        EXPECT_EQ(len, sizeof(want));
        EXPECT_MEM_EQ(got, want, sizeof(want));
    }
    return rc;
}

/* Change one bit of memory: the value can't be had, and the check says so. */
static void
apart_flip(struct fix *f, bool is_ext, uint8_t *p, uint32_t bit)
{
    int rc;

    *p ^= (uint8_t)(1u << bit);
    rc = apart_read(f, is_ext);
    if (!EXPECT(rc == -DER_CSUM || rc == -DER_DF_INVAL))
        printf("    bit %u of %#x: %d\n", bit, *p, rc);
    EXPECT_NE(vos_tgt_check(f->tgt), 0);
    *p ^= (uint8_t)(1u << bit);
}

static void
apart(struct fix *f)
{
    static uint8_t data[VOS_INLINE_BYTES_MAX];

    if (!fix_format(f))
        return;
    val_fill(data, 0, sizeof(data));
    EXPECT_OK(fix_put(f, 1, "single", "a", data, sizeof(data), 0));
    val_fill(data, 1, sizeof(data));
    EXPECT_OK(fix_write(f, 1, "arr", "a", 7, sizeof(data), 1, data));
    for (uint32_t is_ext = 0; is_ext < 2 && !test_failed(); is_ext++) {
        struct apart_look l = {.f = f, .is_ext = is_ext != 0};
        struct vos_op op;
        uint8_t *rec, *value;
        uint32_t fixed;

        vos_op_init(&op, f->tgt);
        EXPECT_OK(vos_read_run(f->tgt, &op, apart_find, &l));
        if (!EXPECT_NE(l.ver.apart, 0))
            return;
        EXPECT_EQ(l.ver.apart % UMEM_BARE_BYTES, 0);
        EXPECT_EQ(umem_block_bytes(f->tgt->um, l.rec), is_ext ? 48 : 32);
        fixed = (uint32_t)sizeof(struct vos_ver_df) + (is_ext ? 16 : 0);
        EXPECT_EQ(l.ver.bytes, fixed + 8 + 4);
        rec = umem_ptr(f->tgt->um, l.rec);
        value = umem_ptr(f->tgt->um, l.ver.apart);
        for (uint32_t bit = 0; bit < 8; bit++) {
            apart_flip(f, is_ext, rec, bit); /* magic */
            apart_flip(f, is_ext, rec + 1, bit); /* flags */
            for (uint32_t i = fixed - 4 - (is_ext ? 16 : 0); i < 20; i++) {
                apart_flip(f, is_ext, rec + i, bit); /* bytes stored */
            }
            for (uint32_t i = fixed; i < l.ver.bytes; i++) {
                apart_flip(f, is_ext, rec + i, bit); /* where the value is, its checksum */
            }
            for (uint32_t i = 0; i < VOS_INLINE_BYTES_MAX; i += 455) {
                apart_flip(f, is_ext, value + i, bit);
            }
        }
        EXPECT_EQ(apart_read(f, is_ext), 0);
    }
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* Goal: whatever bit of the record of such a value, or of the value, is another one: it is told, by whoever reads it and by the check. */
TEST_ON(vos_damage, values_apart, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, apart));
    fix_down(&f);
}

/* ---- tables of transactions ------------------------------------------------------------------------------------------- */

enum { FEW_KEYS_NR = 3, MANY_KEYS_NR = 90 };

static struct vos_dtx_id
tx_id(uint8_t nr)
{
    return (struct vos_dtx_id){.uuid = {.b = {0xd7, nr}}, .hlc = 1000 + nr};
}

/* A value and a range under keys of their own, each. */
static int
tx_prepare(struct fix *f, uint8_t nr, uint32_t keys_nr)
{
    static struct vos_iod iods[MANY_KEYS_NR];
    static struct vos_mod mods[MANY_KEYS_NR];
    static char keys[MANY_KEYS_NR][16];
    struct vos_dtx_args dtx = {.id = tx_id(nr), .blob = IOV("members")};
    struct vos_apply_args args = {.mods = mods, .mod_nr = keys_nr, .dtx = &dtx};
    struct recx recx = {100, 4};
    struct vos_apply_ret ret;

    for (uint32_t i = 0; i < keys_nr; i++) {
        snprintf(keys[i], sizeof(keys[i]), "t%u.%u", nr, i);
        iods[i] = (struct vos_iod){.akey = IOV(i % 2 == 0 ? "single" : "array"),
            .type = i % 2 == 0 ? VOS_IOD_SINGLE : VOS_IOD_ARRAY,
            .size = i % 2 == 0 ? 4 : 1,
            .recx_nr = i % 2,
            .recxs = &recx,
            .data = {"data", 4}};
        mods[i] = (struct vos_mod){.op = VOS_MOD_UPDATE,
            .oid = fix_oid(nr),
            .dkey = IOV(keys[i]),
            .iod_nr = 1,
            .iods = &iods[i]};
    }
    return vos_apply(f->cont, &args, &ret);
}

/* Bytes are others; the check says so, and is content when they are put right. */
static void
bytes_swap(struct fix *f, const char *what, void *mem, const void *bytes, size_t len)
{
    uint8_t was[64];

    if (!EXPECT(mem != NULL && len <= sizeof(was)))
        return;
    memcpy(was, mem, len);
    EXPECT(memcmp(was, bytes, len) != 0);
    memcpy(mem, bytes, len);
    if (!EXPECT_ERR(vos_tgt_check(f->tgt), DF_INVAL))
        fprintf(stderr, "    %s\n", what);
    memcpy(mem, was, len);
}

#define SWAP(f, lvalue, ...) \
    bytes_swap(f, #lvalue, &(lvalue), &(__typeof__(lvalue)){__VA_ARGS__}, sizeof(lvalue))

static void
tables(struct fix *f)
{
    struct umem *um;
    struct vos_dtxs *d;
    struct vos_dtx_act *few, *many;
    struct vos_dtx_tab_df *tab;
    struct vos_dtx_slots_df *slots;
    struct vos_dtx_df *rec, *large;
    struct vos_dtx_ref_df *refs;
    struct vos_dtx_refs_df *chain;
    struct vos_dtx_done_df *done;
    struct vos_dtx_id ids[2] = {tx_id(3), tx_id(4)};

    if (!fix_format(f))
        return;
    um = f->tgt->um;
    EXPECT_OK(tx_prepare(f, 1, FEW_KEYS_NR));
    EXPECT_OK(tx_prepare(f, 2, MANY_KEYS_NR));
    EXPECT_OK(tx_prepare(f, 3, 1));
    EXPECT_OK(tx_prepare(f, 4, 1));
    EXPECT_OK(vos_dtx_commit(f->cont, &ids[0], 1));
    EXPECT_OK(vos_dtx_abort(f->cont, &ids[1], 1));
    EXPECT_OK(vos_tgt_check(f->tgt));
    d = f->cont->dtxs;
    ids[0] = tx_id(1);
    ids[1] = tx_id(2);
    few = vos_dtx_act_find(d, &ids[0]);
    many = vos_dtx_act_find(d, &ids[1]);
    if (!EXPECT(few != NULL && many != NULL))
        return;
    tab = umem_ptr(um, d->off);
    SWAP(f, tab->magic, 0);
    SWAP(f, tab->done_nr, tab->done_nr + 1);
    SWAP(f, tab->done_nr, tab->done_nr - 1);
    SWAP(f, tab->done_nr, UINT64_MAX);
    SWAP(f, tab->done_head, 0);
    SWAP(f, tab->slots, 0);
    SWAP(f, tab->slots, d->off);
    slots = umem_ptr(um, d->blks[0]);
    SWAP(f, slots->magic, 0);
    SWAP(f, slots->next, d->blks[0]); /* without end */
    SWAP(f, slots->slots[few->lid - 1], 0);
    SWAP(f, slots->slots[few->lid - 1], many->off);
    SWAP(f, slots->slots[few->lid - 1], many->off + 8);
    rec = umem_ptr(um, few->off);
    SWAP(f, rec->lid, rec->lid + 1);
    SWAP(f, rec->epoch, rec->epoch + 1);
    SWAP(f, rec->ref_nr, rec->ref_nr + 1);
    SWAP(f, rec->ref_nr, rec->ref_nr - 1);
    SWAP(f, rec->inline_nr, (uint16_t)(rec->inline_nr - 1));
    refs = vos_dtx_inline_refs(rec);
    for (uint32_t i = 0; i < rec->inline_nr; i++) {
        struct vos_dtx_ref_df *r = &refs[i];

        SWAP(f, r->rec, r->rec & ~UINT64_C(7)); /* of no kind */
        SWAP(f, r->rec, r->rec | 7);
        SWAP(f, r->rec, (few->off & ~UINT64_C(7)) | (r->rec & 7)); /* not such a thing */
        SWAP(f, r->obj, 0);
        SWAP(f, r->obj, few->off);
        if ((r->rec & 7) <= VOS_DTX_REF_EXT)
            SWAP(f, r->owner, r->obj);
    }
    large = umem_ptr(um, many->off);
    EXPECT_NE(large->refs, 0);
    SWAP(f, large->refs, 0);
    SWAP(f, large->refs, many->off);
    chain = umem_ptr(um, large->refs);
    SWAP(f, chain->magic, 0);
    SWAP(f, chain->nr, (uint16_t)(chain->nr - 1));
    SWAP(f, chain->next, large->refs); /* a ring */
    SWAP(f, chain->refs[0].rec, chain->refs[0].rec & ~UINT64_C(7));
    done = umem_ptr(um, tab->done_head);
    SWAP(f, done->magic, 0);
    SWAP(f, done->end, done->first);
    SWAP(f, done->end, (uint16_t)(done->end + 1));
    SWAP(f, done->first, (uint16_t)(done->first + 1));
    SWAP(f, done->next, tab->done_head);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

/* Goal: whatever is wrong in the table of transactions, in a record, its references or the outcomes: the check tells. */
TEST_ON(vos_damage, tables_of_transactions, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    f.cfg.mem_bytes = 0; /* what is changed has to stay in memory */
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, tables));
    fix_down(&f);
}
