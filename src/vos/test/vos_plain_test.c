/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a listing, which believes VOS_ENT_PLAIN and does not look at the records of such keys, tells the same as an iteration, which looks at all of them (ITR-5), whatever was done to the
 * keys; and the entries say so where they can. Keys that are not integers have 1 to 12 bytes, 8 of which an entry can hold; many begin alike. Method: random changes of all kinds that come to a log; both are asked at the newest epoch and at older ones.
 */
#include "base/codec.h"
#include "vos_test_fix.h"

enum { KEY_NR = 120, OP_NR = 2400, TX_NR = 4, ROUND_NR = 12, OLD_NR = 4, LEN_NR = 12 };
enum { HASHED = 0, INTEGERS = 4, LEXICAL = 7 }; /* types of objects, both levels */

struct tx {
    bool is_open;
    struct vos_dtx_id id;
};

struct plain {
    struct fix *f;
    struct vos_oid oid;
    enum vos_level level;
    uint32_t type;
    struct tx txs[TX_NR];
    uint32_t tx_seq;
    uint64_t olds[OLD_NR]; /* epochs to look back to */
    uint64_t plain_nr, other_nr; /* entries that were seen */
    /* a listing */
    uint64_t keys[KEY_NR];
    uint32_t nr;
};

/* Integers; else a byte and zeros behind it: hkeys of lexical ones tie. */
static struct iov
key_make(const struct plain *p, uint64_t key, uint8_t *mem)
{
    memset(mem, 0, LEN_NR);
    if (p->type == INTEGERS) {
        le64_put(mem, key);
        return (struct iov){mem, 8};
    }
    mem[0] = (uint8_t)(1 + key / LEN_NR);
    return (struct iov){mem, 1 + key % LEN_NR};
}

static uint64_t
key_of(const struct plain *p, struct iov key)
{
    const uint8_t *b = key.buf;

    if (p->type == INTEGERS)
        return EXPECT_EQ(key.len, 8) ? le64_get(b) : UINT64_MAX;
    for (size_t i = 1; i < key.len; i++) {
        EXPECT_EQ(b[i], 0);
    }
    return (uint64_t)(b[0] - 1) * LEN_NR + key.len - 1;
}

static int
key_mod(struct plain *p, enum vos_mod_op op, uint64_t key, const struct vos_dtx_id *tx)
{
    uint8_t one_mem[LEN_NR], key_mem[LEN_NR];
    struct iov one = key_make(p, 1, one_mem), k = key_make(p, key, key_mem);
    struct vos_dtx_args dtx;
    struct vos_iod iod = {.type = VOS_IOD_SINGLE, .size = 1, .data = {"v", 1}};
    struct vos_mod mod = {.op = op, .oid = p->oid, .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_apply_ret ret;

    mod.dkey = p->level == VOS_LEVEL_DKEY ? k : one;
    iod.akey = p->level == VOS_LEVEL_DKEY ? one : k;
    if (tx != NULL) {
        dtx = (struct vos_dtx_args){.id = *tx};
        args.dtx = &dtx;
    }
    return vos_apply(p->f->cont, &args, &ret);
}

static enum vos_mod_op
punch_op(const struct plain *p)
{
    return p->level == VOS_LEVEL_DKEY ? VOS_MOD_PUNCH_DKEY : VOS_MOD_PUNCH_AKEYS;
}

/* What is not decided stands in the way of some: that is as it should be. */
static void
change(struct plain *p)
{
    struct rng *r = &p->f->rng;
    uint64_t key = rng_below(r, KEY_NR);
    struct tx *tx = &p->txs[rng_below(r, TX_NR)];
    int rc = 0;

    switch (rng_below(r, 16)) {
    case 0:
    case 1:
    case 2:
        rc = key_mod(p, punch_op(p), key, NULL);
        break;
    case 3:
    case 4:
        if (tx->is_open)
            break;
        tx->id = (struct vos_dtx_id){.hlc = ++p->tx_seq};
        le32_put(tx->id.uuid.b, p->tx_seq);
        tx->id.uuid.b[4] = (uint8_t)p->level;
        tx->id.uuid.b[5] = (uint8_t)p->type;
        rc = key_mod(p, rng_chance(r, 1, 3) ? punch_op(p) : VOS_MOD_UPDATE, key, &tx->id);
        tx->is_open = rc == 0;
        break;
    case 5:
    case 6:
        if (tx->is_open) {
            EXPECT_OK(rng_chance(r, 2, 3) ? vos_dtx_commit(p->f->cont, &tx->id, 1)
                                          : vos_dtx_abort(p->f->cont, &tx->id, 1));
        }
        tx->is_open = false;
        break;
    case 7:
        if (rng_chance(r, 1, 20))
            rc = key_mod(p, VOS_MOD_PUNCH_OBJ, key, NULL);
        break;
    case 8:
        umem_evict(p->f->tgt->um, 3, rng_u64(r));
        break;
    default:
        rc = key_mod(p, VOS_MOD_UPDATE, key, NULL);
        break;
    }
    EXPECT(rc == 0 || rc == -DER_INPROGRESS || rc == -DER_TX_RESTART);
}

static bool
list_fn(void *arg, const struct vos_entry *e)
{
    struct plain *p = arg;

    if (EXPECT_LT(p->nr, KEY_NR))
        p->keys[p->nr++] = key_of(p, e->key);
    return true;
}

static bool
iter_fn(void *arg, const struct vos_iter_ent *e)
{
    struct plain *p = arg;

    if (EXPECT_LT(p->nr, KEY_NR) && e->state == VOS_ITER_VISIBLE)
        EXPECT_EQ(key_of(p, e->key), p->keys[p->nr]);
    p->nr++;
    return true;
}

static void
compare(struct plain *p, uint64_t epoch)
{
    uint8_t one_mem[LEN_NR];
    struct iov one = key_make(p, 1, one_mem);
    struct vos_dtx_view view = {.is_passing = true};
    struct vos_list_args list = {.level = p->level,
        .oid = p->oid,
        .epoch = epoch,
        .nr_max = 1 + (uint32_t)rng_below(&p->f->rng, KEY_NR),
        .dkey = one,
        .dtx = &view,
        .fn = list_fn,
        .arg = p};
    struct vos_iter_args iter = {.type = p->level == VOS_LEVEL_DKEY ? VOS_ITER_DKEY : VOS_ITER_AKEY,
        .cont = p->f->cont,
        .oid = p->oid,
        .dkey = one,
        .hi = epoch,
        .flags = VOS_ITER_VISIBLE,
        .fn = iter_fn,
        .arg = p};
    struct vos_anchor anchor = {.eof = false};
    struct vos_iter_anchor place = {.eof = false};
    uint32_t nr;

    p->nr = 0;
    while (!anchor.eof && EXPECT_OK(vos_list(p->f->cont, &list, &anchor))) {
    }
    nr = p->nr;
    p->nr = 0;
    while (!place.eof && EXPECT_OK(vos_iter(p->f->tgt, &iter, &place))) {
    }
    EXPECT_EQ(p->nr, nr);
}

static int
count_body(struct vos_op *op, void *arg)
{
    struct plain *p = arg;
    uint8_t one_mem[LEN_NR];
    struct iov dkey = key_make(p, 1, one_mem);
    struct vos_walk w;
    struct vos_btr t;
    int rc = vos_walk_init(&w, p->f->cont, &p->oid);

    op->epoch = VOS_EPOCH_MAX;
    if (rc == 0)
        rc = vos_walk_obj(op, p->f->cont, &p->oid, false, &w);
    if (rc == 0 && p->level == VOS_LEVEL_AKEY)
        rc = vos_walk_dkey(op, &dkey, false, &w);
    if (rc == 0) {
        rc = p->level == VOS_LEVEL_DKEY
            ? vos_btr_init(&t, op, w.dkey_kind, &w.obj->dkeys, vos_obj_tree_off(w.o.off))
            : vos_btr_init(&t, op, w.akey_kind, &w.dkey->tree, vos_key_tree_off(w.d.off));
    }
    if (rc == 0)
        rc = vos_btr_first(&t);
    while (rc == 0) {
        p->plain_nr += vos_btr_plain_bits(&t) != 0;
        p->other_nr += vos_btr_plain_bits(&t) == 0;
        rc = vos_btr_next(&t);
    }
    return rc == -DER_NONEXIST ? 0 : rc;
}

static void
entries_count(struct plain *p)
{
    struct vos_op op;

    vos_op_init(&op, p->f->tgt);
    EXPECT_OK(vos_read_run(p->f->tgt, &op, count_body, p));
}

static void
random_run(struct plain *p)
{
    struct vos_agg_args agg = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat;

    EXPECT_OK(key_mod(p, VOS_MOD_UPDATE, 1, NULL));
    for (uint32_t round = 0; round < ROUND_NR && !test_failed(); round++) {
        for (uint32_t i = 0; i < OP_NR / ROUND_NR; i++) {
            change(p);
            if (i % 20 == 0) {
                uint64_t now;

                EXPECT_OK(vos_epoch_next(p->f->tgt, &now));
                compare(p, now);
                compare(p, p->olds[rng_below(&p->f->rng, OLD_NR)]);
                p->olds[rng_below(&p->f->rng, OLD_NR)] = now;
            }
        }
        entries_count(p);
        EXPECT_OK(vos_tgt_check(p->f->tgt));
        if (round % 4 == 3) {
            EXPECT_OK(vos_cont_aggregate(p->f->cont, &agg, &stat));
            EXPECT_OK(vos_tgt_check(p->f->tgt));
            EXPECT_OK(vos_epoch_next(p->f->tgt, &p->olds[0]));
            for (uint32_t i = 1; i < OLD_NR; i++) {
                p->olds[i] = p->olds[0];
            }
        }
    }
    EXPECT_GT(p->plain_nr, 100);
    EXPECT_GT(p->other_nr, 100);
}

static void
random_body(struct fix *f)
{
    static const enum vos_level levels[] = {VOS_LEVEL_DKEY, VOS_LEVEL_AKEY};
    static const uint32_t types[] = {INTEGERS, LEXICAL, HASHED};

    if (!fix_format(f))
        return;
    for (uint32_t i = 0; i < ARRAY_SIZE(levels) * ARRAY_SIZE(types) && !test_failed(); i++) {
        struct plain p = {.f = f, .level = levels[i % 2], .type = types[i / 2]};

        p.oid = fix_oid_type(p.type, 1 + i);

        random_run(&p);
        for (uint32_t t = 0; t < TX_NR; t++) {
            if (p.txs[t].is_open)
                EXPECT_OK(vos_dtx_abort(f->cont, &p.txs[t].id, 1));
        }
    }
    fix_close(f);
}

TEST_ON(vos_plain, random, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, random_body));
    fix_down(&f);
}

/* ---- what says plain ------------------------------------------------------------------------------------------------ */

static void
expect_plain(struct plain *p, uint64_t plain_nr, uint64_t other_nr)
{
    p->plain_nr = p->other_nr = 0;
    entries_count(p);
    EXPECT_EQ(p->plain_nr, plain_nr);
    EXPECT_EQ(p->other_nr, other_nr);
}

static void
script_body(struct fix *f)
{
    struct plain p = {
        .f = f, .level = VOS_LEVEL_DKEY, .type = INTEGERS, .oid = fix_oid_type(INTEGERS, 1)};
    struct vos_dtx_id a = {.uuid = {.b = {1}}, .hlc = 1}, b = {.uuid = {.b = {2}}, .hlc = 2};
    struct vos_agg_args agg = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat;

    if (!fix_format(f))
        return;
    for (uint64_t k = 0; k < 40; k++) {
        EXPECT_OK(key_mod(&p, VOS_MOD_UPDATE, k, NULL));
    }
    expect_plain(&p, 39, 1); /* the first one was alone in its tree, which has no entries then */
    EXPECT_OK(key_mod(&p, VOS_MOD_UPDATE, 7, NULL));
    expect_plain(&p, 39, 1);
    EXPECT_OK(key_mod(&p, VOS_MOD_PUNCH_DKEY, 7, NULL));
    expect_plain(&p, 38, 2);
    EXPECT_OK(key_mod(&p, VOS_MOD_UPDATE, 7, NULL));
    expect_plain(&p, 38, 2);
    EXPECT_OK(vos_cont_aggregate(f->cont, &agg, &stat)); /* the old creation and the punch go */
    expect_plain(&p, 39, 1);
    EXPECT_OK(key_mod(&p, VOS_MOD_UPDATE, 100, &a));
    EXPECT_OK(key_mod(&p, VOS_MOD_PUNCH_DKEY, 20, &b));
    expect_plain(&p, 38, 3);
    EXPECT_OK(vos_dtx_commit(f->cont, &a, 1));
    expect_plain(&p, 39, 2);
    EXPECT_OK(vos_dtx_abort(f->cont, &b, 1));
    expect_plain(&p, 40, 1);
    EXPECT_OK(vos_tgt_check(f->tgt));
    fix_close(f);
}

TEST_ON(vos_plain, script, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f))
        EXPECT(fix_run(&f, script_body));
    fix_down(&f);
}
