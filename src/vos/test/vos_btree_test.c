/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: the B+tree agrees with a sorted array. Method: random inserts, deletes, searches and walks with the three kinds of keys, hashes cut
 * to force collisions, pages evicted between operations; then damaged nodes, which must be answered with DF_INVAL.
 */
#include "base/codec.h"
#include "vos_test_fix.h"

enum { KEY_NR = 3000, KEY_LEN = 24 };

struct model_key {
    uint8_t bytes[KEY_LEN];
    uint32_t len;
    bool is_in;
    uint64_t hkey;
};

struct bt {
    struct fix *f;
    struct vos_tgt *tgt;
    const struct vos_btr_kind *kind;
    struct model_key keys[KEY_NR];
    uint32_t order[KEY_NR]; /* indexes of keys in tree order */
    uint32_t pick;
    bool want_delete;
    uint32_t seen;
    bool exact;
    uint64_t off;
    uint32_t le; /* what search_le found: index in order, or UINT32_MAX */
};

/* The tree's root is in the user's root of the arena, behind nothing. */
static int
tree_init(struct bt *b, struct vos_op *op, struct vos_btr *t)
{
    struct vos_tree_df *df;
    int rc = vos_ptr(op, umem_root(op->um), sizeof(*df), &df);

    return rc != 0 ? rc : vos_btr_init(t, op, b->kind, df, umem_root(op->um));
}

static struct iov
key_iov(struct model_key *k)
{
    return (struct iov){k->bytes, k->len};
}

static int
flip_body(struct vos_op *op, void *arg)
{
    struct bt *b = arg;
    struct model_key *k = &b->keys[b->pick];
    struct iov iov = key_iov(k);
    struct vos_btr_key key = vos_key_bytes(op, b->kind, &iov);
    struct vos_ent_df ent = {.hkey = key.hkey};
    struct vos_key_df *rec;
    struct vos_btr t;
    uint64_t off;
    int rc = tree_init(b, op, &t);

    if (rc == 0)
        rc = umem_tx_range(op->tx, t.df_off, sizeof(*t.df));
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &b->exact);
    if (rc != 0)
        return rc;
    if (b->exact) {
        off = vos_btr_rec(&t);
        rc = vos_btr_delete(&t);
        return rc != 0 ? rc : vos_free(op, off, (uint32_t)sizeof(*rec) + k->len);
    }
    rc = vos_alloc(op, (uint32_t)sizeof(*rec) + k->len, &ent.off, &rec);
    if (rc != 0)
        return rc;
    rec->magic = VOS_AKEY_MAGIC;
    rec->key_len = (uint16_t)k->len;
    memcpy(rec + 1, k->bytes, k->len);
    return vos_btr_insert(&t, &ent);
}

static int
search_body(struct vos_op *op, void *arg)
{
    struct bt *b = arg;
    struct iov iov = key_iov(&b->keys[b->pick]);
    struct vos_btr_key key = vos_key_bytes(op, b->kind, &iov);
    struct vos_key_df *rec;
    struct vos_btr t;
    int rc = tree_init(b, op, &t);

    b->le = UINT32_MAX;
    if (rc == 0)
        rc = vos_btr_search(&t, &key, &b->exact);
    if (rc == 0)
        rc = vos_btr_search_le(&t, &key);
    if (rc == -DER_NONEXIST)
        return 0;
    if (rc == 0)
        rc = vos_key_get(op, vos_btr_rec(&t), &rec);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < KEY_NR; i++) {
        struct model_key *k = &b->keys[i];

        if (k->len == rec->key_len && memcmp(k->bytes, rec + 1, k->len) == 0)
            b->le = i;
    }
    return 0;
}

/* Forwards against the model, then backwards by count. */
static int
walk_body(struct vos_op *op, void *arg)
{
    struct bt *b = arg;
    struct vos_key_df *rec;
    struct vos_btr t;
    uint32_t i = 0, nr = 0, back = 0;
    int rc = tree_init(b, op, &t);

    if (rc == 0)
        rc = vos_btr_first(&t);
    while (rc == 0) {
        rc = vos_btr_check_at(&t);
        if (rc == 0)
            rc = vos_key_get(op, vos_btr_rec(&t), &rec);
        if (rc != 0)
            return rc;
        while (i < KEY_NR && !b->keys[b->order[i]].is_in) {
            i++;
        }
        if (!EXPECT_LT(i, KEY_NR))
            return 0;
        if (!EXPECT_EQ(rec->key_len, b->keys[b->order[i]].len) ||
            !EXPECT_MEM_EQ(rec + 1, b->keys[b->order[i]].bytes, rec->key_len))
            return 0;
        i++;
        nr++;
        rc = vos_btr_next(&t);
    }
    if (rc != -DER_NONEXIST)
        return rc;
    rc = vos_btr_last(&t);
    while (rc == 0) {
        back++;
        rc = vos_btr_prev(&t);
    }
    if (rc != -DER_NONEXIST)
        return rc;
    EXPECT_EQ(back, nr);
    b->seen = nr;
    return 0;
}

static struct bt *sort_bt; /* qsort has no argument */

static int
order_cmp(const void *a, const void *b)
{
    const struct model_key *x = &sort_bt->keys[*(const uint32_t *)a],
                           *y = &sort_bt->keys[*(const uint32_t *)b];
    int cmp;

    if (x->hkey != y->hkey)
        return x->hkey < y->hkey ? -1 : 1;
    cmp = memcmp(x->bytes, y->bytes, MIN(x->len, y->len));
    return cmp != 0 ? cmp : (int)x->len - (int)y->len;
}

static void
keys_make(struct bt *b, uint64_t mask)
{
    struct vos_op op;

    vos_op_init(&op, b->tgt);
    op.hash_mask = mask;
    for (uint32_t i = 0; i < KEY_NR; i++) {
        struct model_key *k = &b->keys[i];

        memset(k, 0, sizeof(*k));
        k->len = 8;
        if (b->kind == &vos_kind_key_uint) {
            le64_put(k->bytes, i < KEY_NR / 2 ? i : rng_u64(&b->f->rng));
        } else {
            /* Common beginnings, prefixes of each other. */
            int n = snprintf((char *)k->bytes, KEY_LEN, "%s%u", i % 3 == 0 ? "samestart/" : "k",
                i * 7919u % 100003u);

            k->len = (uint32_t)n;
        }
        struct iov iov = key_iov(k);
        k->hkey = vos_key_bytes(&op, b->kind, &iov).hkey;
        b->order[i] = i;
    }
    sort_bt = b;
    qsort(b->order, KEY_NR, sizeof(b->order[0]), order_cmp);
}

/* The model's answer to search_le. */
static uint32_t
model_le(struct bt *b)
{
    uint32_t best = UINT32_MAX;

    for (uint32_t i = 0; i < KEY_NR; i++) {
        if (b->keys[b->order[i]].is_in)
            best = b->order[i];
        if (b->order[i] == b->pick)
            return best;
    }
    return UINT32_MAX;
}

static void
shake(struct bt *b)
{
    if (rng_chance(&b->f->rng, 1, 400)) {
        EXPECT_OK(bio_checkpoint(b->f->bio));
        umem_evict(b->tgt->um, 1000, rng_u64(&b->f->rng));
    }
    if (rng_chance(&b->f->rng, 1, 10))
        umem_evict(b->tgt->um, 3, rng_u64(&b->f->rng));
}

static void
model_phase(struct bt *b, uint64_t mask, uint32_t steps, uint32_t in_permille)
{
    struct vos_op op;
    uint32_t nr = 0;
    uint64_t lsn;

    for (uint32_t s = 0; s < steps && !test_failed(); s++) {
        /* More inserts than deletes, or the other way round. */
        do {
            b->pick = (uint32_t)rng_below(&b->f->rng, KEY_NR);
        } while (b->keys[b->pick].is_in == (rng_below(&b->f->rng, 1000) < in_permille) &&
            rng_chance(&b->f->rng, 9, 10));
        vos_op_init(&op, b->tgt);
        op.hash_mask = mask;
        if (!EXPECT_OK(vos_tx_run(b->tgt, &op, 0, 1, flip_body, b, &lsn)))
            return;
        EXPECT_EQ(b->exact, b->keys[b->pick].is_in);
        b->keys[b->pick].is_in = !b->exact;
        shake(b);
        b->pick = (uint32_t)rng_below(&b->f->rng, KEY_NR);
        if (!EXPECT_OK(vos_read_run(b->tgt, &op, search_body, b)))
            return;
        EXPECT_EQ(b->exact, b->keys[b->pick].is_in);
        EXPECT_EQ(b->le, model_le(b));
        if (s % 500 == 499) {
            EXPECT_OK(vos_read_run(b->tgt, &op, walk_body, b));
            nr = 0;
            for (uint32_t i = 0; i < KEY_NR; i++) {
                nr += b->keys[i].is_in;
            }
            EXPECT_EQ(b->seen, nr);
        }
    }
}

/* Delete what is left; the tree must end empty, without nodes. */
static void
empty_out(struct bt *b, uint64_t mask)
{
    struct vos_tree_df *df;
    struct vos_op op;
    uint64_t lsn;

    for (uint32_t i = 0; i < KEY_NR; i++) {
        if (!b->keys[i].is_in)
            continue;
        vos_op_init(&op, b->tgt);
        op.hash_mask = mask;
        b->pick = i;
        EXPECT_OK(vos_tx_run(b->tgt, &op, 0, 1, flip_body, b, &lsn));
        EXPECT(b->exact);
        b->keys[i].is_in = false;
    }
    while (vos_ptr(&op, umem_root(op.um), sizeof(*df), &df) != 0) {
        EXPECT_OK(umem_fault(op.um));
    }
    EXPECT_EQ((uint64_t)df->root, 0);
    EXPECT_EQ((uint64_t)df->depth, 0);
}

static void
model(struct fix *f, const struct vos_btr_kind *kind, uint64_t mask)
{
    struct bt *b = calloc(1, sizeof(*b));
    struct vos_tgt *tgt = calloc(1, sizeof(*tgt));
    struct umem_stats before, after;

    f->cfg.meta_bytes = 16 << 20;
    EXPECT_OK(bio_format(f->xs, &f->cfg));
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->bio)))
        return;
    tgt->um = bio_umem(f->bio);
    tgt->bio = f->bio;
    tgt->hash_mask = UINT64_MAX;
    b->f = f;
    b->tgt = tgt;
    b->kind = kind;
    keys_make(b, mask);
    umem_stats_get(tgt->um, &before);
    model_phase(b, mask, 3000, 900);
    model_phase(b, mask, 2000, 500);
    model_phase(b, mask, 2500, 100);
    empty_out(b, mask);
    umem_stats_get(tgt->um, &after);
    EXPECT_EQ(before.used_bytes, after.used_bytes);
    EXPECT_OK(umem_check(tgt->um));
    bio_close(f->bio);
    f->bio = NULL;
    free(b);
    free(tgt);
}

static void
model_uint(struct fix *f)
{
    model(f, &vos_kind_key_uint, UINT64_MAX);
}

static void
model_lex(struct fix *f)
{
    model(f, &vos_kind_key_lex, UINT64_MAX);
}

static void
model_hashed(struct fix *f)
{
    model(f, &vos_kind_key_hashed, UINT64_MAX);
}

static void
model_colliding(struct fix *f)
{
    model(f, &vos_kind_key_hashed, 0x1f);
}

static void
model_one_hash(struct fix *f)
{
    model(f, &vos_kind_key_hashed, 0);
}

TEST_ON(vos_btree, model_with_integer_keys, BACKEND_SIM)
{
    fix_body(model_uint);
}

TEST_ON(vos_btree, model_with_lexical_keys, BACKEND_SIM)
{
    fix_body(model_lex);
}

TEST_ON(vos_btree, model_with_hashed_keys, BACKEND_SIM)
{
    fix_body(model_hashed);
}

TEST_ON(vos_btree, model_with_colliding_hashes, BACKEND_SIM)
{
    fix_body(model_colliding);
}

TEST_ON(vos_btree, model_with_one_hash_for_all, BACKEND_SIM)
{
    fix_body(model_one_hash);
}
