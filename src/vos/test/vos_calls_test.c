/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: whatever fails inside of a public call, the store stays whole and goes on answering right. Method: a table with every public call of vos.h (calls_complete_test.py
 * sees to that); each is made again and again with the n-th allocation failing, and with the n-th disk operation failing, for n = 1, 2, ... until nothing fails any more. After
 * each of them:
 *
 *   - the call answered success, or NOMEM or NVME_IO (a failed write stops the target: it is opened anew);
 *   - what can be read is what was there before, or what the call makes of it: the latter if it answered success, the former if it failed for want of memory;
 *   - vos_tgt_check() finds nothing; the same call succeeds.
 */
#include "base/codec.h"
#include "base/crc.h"
#include "bio/test/bio_test_sweep.h"
#include "vos_test_fix.h"

enum { BIG = 9000, KEYS_NR = 20 };

struct calls {
    const struct call *call;
    uint64_t before, after; /* what can be read */
    struct sweep sweep;
    uint64_t epoch; /* of prepare() */
    uint64_t dtx_nr; /* ids used */
    bool is_formatted;
    uint8_t data[3 * BIG];
};

/* One public call, or a few that belong together; prepare() makes the state before it from whatever is there. */
struct call {
    const char *names; /* of the functions of vos.h */
    void (*prepare)(struct fix *f);
    int (*run)(struct fix *f);
};

static struct calls *
calls_of(struct fix *f)
{
    return f->arg;
}

static struct uuid
some_id(uint8_t kind, uint8_t nr)
{
    return (struct uuid){.b = {kind, nr}};
}

/* ---- what can be read ----------------------------------------------------------------------------------------------- */

struct digest {
    struct fix *f;
    struct vos_oid oid;
    uint64_t sum;
    uint64_t cover; /* records in extents, however those are cut */
    uint32_t crc; /* of values */
    uint32_t key_nr;
    char keys[64][24];
    uint32_t key_lens[64];
};

static void
digest_add(struct digest *d, const void *buf, size_t len)
{
    d->sum = hash_mix64(d->sum ^ hash_bytes64(buf, len, len));
}

static bool
digest_fn(void *arg, const struct vos_entry *e)
{
    struct digest *d = arg;

    if (e->key.len > 0) {
        digest_add(d, e->key.buf, e->key.len);
        d->key_lens[d->key_nr] = (uint32_t)e->key.len;
        memcpy(d->keys[d->key_nr++], e->key.buf, e->key.len);
    } else if (e->recx.nr > 0) {
        d->cover += e->recx.nr * e->size;
    } else {
        digest_add(d, &e->oid.oid, sizeof(e->oid.oid));
    }
    return true;
}

static void
digest_list(struct digest *d, enum vos_level level, struct iov dkey, struct iov akey)
{
    struct vos_list_args args = {.level = level,
        .oid = d->oid,
        .dkey = dkey,
        .akey = akey,
        .epoch = VOS_EPOCH_MAX,
        .fn = digest_fn,
        .arg = d};
    struct vos_anchor anchor = {.eof = false};

    d->key_nr = 0;
    while (!anchor.eof && EXPECT_OK(vos_list(d->f->cont, &args, &anchor))) {
    }
}

static void
digest_value(struct digest *d, struct iov dkey, struct iov akey)
{
    struct recx recx = {0, 200000};
    struct vos_iod iods[2] = {{.akey = akey, .type = VOS_IOD_SINGLE},
        {.akey = akey, .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx}};
    struct vos_fetch *fetch = NULL;
    uint64_t end = UINT64_MAX;

    if (!EXPECT_OK(vos_fetch(d->f->cont, &d->oid, VOS_EPOCH_MAX, 0, &dkey, iods, 2, &fetch)))
        return;
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t s = 0; s < fetch->iods[i].seg_nr; s++) {
            const struct vos_seg *seg = &fetch->iods[i].segs[s];

            if (seg->buf == NULL)
                continue;
            if (seg->idx != end)
                d->crc = crc32c(d->crc, &seg->idx, sizeof(seg->idx));
            end = seg->idx + seg->nr;
            d->crc = crc32c(
                d->crc, seg->buf, i == 0 ? fetch->iods[0].size : seg->nr * fetch->iods[1].size);
        }
    }
    digest_add(d, &d->crc, sizeof(d->crc));
    digest_add(d, &d->cover, sizeof(d->cover));
    vos_fetch_free(d->f->cont, fetch);
}

static void
digest_obj(struct digest *d, uint64_t lo, uint64_t type)
{
    struct digest dkeys;

    d->oid = fix_oid_type(type, lo);
    digest_list(d, VOS_LEVEL_DKEY, (struct iov){0}, (struct iov){0});
    dkeys = *d;
    for (uint32_t i = 0; i < dkeys.key_nr; i++) {
        struct iov dkey = {dkeys.keys[i], dkeys.key_lens[i]};
        struct digest akeys;

        digest_list(d, VOS_LEVEL_AKEY, dkey, (struct iov){0});
        akeys = *d;
        for (uint32_t k = 0; k < akeys.key_nr; k++) {
            struct iov akey = {akeys.keys[k], akeys.key_lens[k]};

            digest_list(d, VOS_LEVEL_RECX, dkey, akey);
            digest_value(d, dkey, akey);
        }
    }
}

/* All that can be read of the store. */
static uint64_t
digest(struct fix *f)
{
    struct digest d = {.f = f};
    struct uuid ids[8];
    uint32_t nr = 0, cnr = 0;

    EXPECT_OK(vos_pool_list(f->tgt, (struct uuid){.b = {0}}, ids, 8, &nr));
    digest_add(&d, ids, nr * sizeof(ids[0]));
    EXPECT_OK(vos_cont_list(f->tgt, f->pool, (struct uuid){.b = {0}}, ids, 8, &cnr));
    digest_add(&d, ids, cnr * sizeof(ids[0]));
    digest_list(&d, VOS_LEVEL_OBJ, (struct iov){0}, (struct iov){0});
    digest_obj(&d, 1, 0);
    digest_obj(&d, 2, 4);
    digest_obj(&d, 9, 0);
    return d.sum;
}

/* ---- the calls ------------------------------------------------------------------------------------------------------ */

static void
prepare_nothing(struct fix *f)
{
    (void)f;
}

static int
run_epoch(struct fix *f)
{
    uint64_t e = 0;
    int rc;

    ult_sleep(UINT64_C(1500000000)); /* the bound has to move */
    rc = vos_epoch_next(f->tgt, &e);
    if (rc == 0)
        EXPECT_GE(vos_epoch_last(f->tgt), e);
    return rc;
}

static int
run_recv(struct fix *f)
{
    ult_sleep(UINT64_C(1500000000));
    return vos_epoch_recv(
        f->tgt, hlc_add_ns(hlc_from_unix_ns(plat_wall_ns(f->plat)), UINT64_C(900000000)));
}

static void
prepare_no_pool(struct fix *f)
{
    int rc = vos_pool_destroy(f->tgt, some_id(0x71, 0));

    EXPECT(rc == 0 || rc == -DER_NONEXIST);
    EXPECT_OK(vos_tgt_collect(f->tgt));
}

static int
run_pool_create(struct fix *f)
{
    uint64_t meta = 0, data = 0;

    vos_quota_left(f->tgt, &meta, &data);
    EXPECT(meta >= 1 << 20 && data >= 1 << 20);
    return vos_pool_create(f->tgt, some_id(0x71, 0), 1 << 20, 1 << 20);
}

static void
prepare_pool(struct fix *f)
{
    int rc = run_pool_create(f);

    EXPECT(rc == 0 || rc == -DER_EXIST);
}

static int
run_pool_destroy(struct fix *f)
{
    return vos_pool_destroy(f->tgt, some_id(0x71, 0));
}

static int
run_pool_grow(struct fix *f)
{
    return vos_pool_grow(f->tgt, f->pool, f->meta_quota + 1024, f->data_quota + 4096);
}

static int
run_pool_query(struct fix *f)
{
    struct vos_pool_info info;
    int rc = vos_pool_query(f->tgt, f->pool, &info);

    if (rc == 0)
        EXPECT(info.meta_used > 0 && info.cont_nr >= 1);
    return rc;
}

static int
run_lists(struct fix *f)
{
    struct uuid ids[8];
    uint32_t nr = 0;
    int rc = vos_pool_list(f->tgt, (struct uuid){.b = {0}}, ids, 8, &nr);

    if (rc == 0)
        rc = vos_cont_list(f->tgt, f->pool, (struct uuid){.b = {0}}, ids, 8, &nr);
    if (rc == 0)
        EXPECT_GE(nr, 1);
    return rc;
}

static int
run_cont_create(struct fix *f)
{
    return vos_cont_create(f->tgt, f->pool, some_id(0x61, 0));
}

static void
prepare_cont(struct fix *f)
{
    int rc = run_cont_create(f);

    EXPECT(rc == 0 || rc == -DER_EXIST);
}

static int
run_cont_destroy(struct fix *f)
{
    return vos_cont_destroy(f->tgt, f->pool, some_id(0x61, 0));
}

static void
prepare_no_cont(struct fix *f)
{
    int rc = run_cont_destroy(f);

    EXPECT(rc == 0 || rc == -DER_NONEXIST);
}

static int
run_cont_open(struct fix *f)
{
    struct vos_cont *cont = NULL;
    int rc = vos_cont_open(f->tgt, f->pool, some_id(0x61, 0), &cont);

    if (rc == 0)
        vos_cont_close(cont);
    return rc;
}

static int
run_cont_query(struct fix *f)
{
    struct vos_cont_info info;
    struct vos_pool_info space;
    int rc = vos_cont_query(f->cont, &info);

    if (rc == 0)
        EXPECT_GE(info.obj_nr, 2);
    vos_cont_space(f->cont, &space);
    EXPECT(space.meta_used > 0 && space.meta_used < space.meta_quota);
    return rc;
}

/* An object of which one dkey is there. */
static void
prepare_obj(struct fix *f)
{
    EXPECT_OK(fix_punch(f, 9, NULL, NULL, 0));
    EXPECT_OK(fix_put(f, 9, "d", "a", "old", 3, 0));
    EXPECT_OK(fix_put(f, 9, "d", "b", "old", 3, 0));
    EXPECT_OK(fix_put(f, 9, "e", "a", "old", 3, 0));
}

static int
run_update(struct fix *f)
{
    return fix_put(f, 9, "n", "a", "new", 3, VOS_COND_DKEY_INSERT);
}

static int
run_update_big(struct fix *f)
{
    return fix_put(f, 9, "n", "a", calls_of(f)->data, BIG, 0);
}

/* Many ranges, small ones and large ones, not in order, and a punch, in one request with an id. */
static int
run_apply(struct fix *f)
{
    struct calls *c = calls_of(f);
    struct recx recxs[40] = {{100000, BIG}, {1000, BIG}};
    struct vos_iod iod = {.akey = IOV("arr"),
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 40,
        .recxs = recxs,
        .data = {c->data, 2 * BIG + 38 * 10}};
    struct vos_iod gone[2] = {{.akey = IOV("a")}, {.akey = IOV("b")}};
    struct vos_mod mods[2] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(9), .dkey = IOV("n"), .iod_nr = 1, .iods = &iod},
        {.op = VOS_MOD_PUNCH_AKEYS, .oid = fix_oid(9), .dkey = IOV("d"), .iod_nr = 2, .iods = gone}};
    struct vos_apply_args args = {.mods = mods,
        .mod_nr = 2,
        .req = {.client = some_id(0x51, (uint8_t)c->sweep.n), .slot = 77, .seq = ++f->seq, .hlc = f->seq},
        .result = {c->data, 20}};

    for (uint32_t i = 2; i < 40; i++) {
        recxs[i] = (struct recx){20000 + i * 20, 10};
    }
    return vos_apply(f->cont, &args, NULL);
}

static int
run_apply_no_history(struct fix *f)
{
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 5, .data = {calls_of(f)->data, 5}};
    struct vos_mod mods[2] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(9), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod},
        {.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(9), .dkey = IOV("e")}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2, .flags = VOS_APPLY_NO_HISTORY};

    return vos_apply(f->cont, &args, NULL);
}

static int
run_apply_past(struct fix *f)
{
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 5, .data = {calls_of(f)->data, 5}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(9), .dkey = IOV("n"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    int rc = vos_epoch_next(f->tgt, &args.epoch);

    return rc != 0 ? rc : vos_apply(f->cont, &args, NULL);
}

static int
run_punch_obj(struct fix *f)
{
    return fix_punch(f, 9, NULL, NULL, VOS_COND_PUNCH);
}

static int
run_punch_dkey(struct fix *f)
{
    return fix_punch(f, 9, "d", NULL, VOS_COND_PUNCH);
}

static int
run_ahead(struct fix *f)
{
    struct calls *c = calls_of(f);
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 2 * BIG, .data = {c->data, 2 * BIG}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(9), .dkey = IOV("n"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    const struct iov *places;
    uint64_t at = 0;
    uint32_t nr = 0;
    int rc = vos_ahead_get(f->cont, &args, &args.ahead);

    if (rc != 0)
        return rc;
    places = vos_ahead_places(args.ahead, &nr);
    for (uint32_t i = 0; i < nr; i++) {
        memcpy(places[i].buf, c->data + at, places[i].len);
        vos_ahead_landed(args.ahead, i, 0, places[i].len);
        at += places[i].len;
    }
    EXPECT_EQ(vos_ahead_sum(args.ahead), crc32c(0, c->data, 2 * BIG));
    rc = vos_apply(f->cont, &args, NULL);
    vos_ahead_free(args.ahead);
    return rc;
}

static int
run_req(struct fix *f)
{
    struct vos_req_id id = {.client = some_id(0x52, (uint8_t)calls_of(f)->sweep.n),
        .slot = 9,
        .seq = ++f->seq,
        .hlc = UINT64_C(1) << 60};
    struct vos_apply_ret ret;
    int rc = vos_req_lookup(f->cont, &id, &ret);

    if (rc != -DER_NONEXIST)
        return rc == 0 ? -DER_MISC : rc;
    rc = vos_req_refuse(f->cont, &id, -DER_NO_PERM);
    if (rc == 0) {
        rc = vos_req_lookup(f->cont, &id, &ret);
        rc = rc == -DER_NO_PERM ? 0 : rc == 0 ? -DER_MISC : rc;
    }
    return rc;
}

static int
run_fetch(struct fix *f)
{
    struct calls *c = calls_of(f);
    uint8_t buf[BIG], array[200];
    size_t len = 0;
    int rc = fix_get_at(f, 1, "d", "v", VOS_EPOCH_MAX, VOS_COND_DKEY_FETCH, buf, BIG, &len);

    if (rc == 0) {
        EXPECT_EQ(len, BIG);
        EXPECT_MEM_EQ(buf, c->data, BIG);
        rc = fix_read(f, 1, "d", "arr", VOS_EPOCH_MAX, 4900, 200, 0, array);
    }
    if (rc == 0)
        EXPECT_MEM_EQ(array + 100, c->data, 100);
    return rc;
}

static int
give_take(void *arg, const struct vos_piece *piece)
{
    *(uint64_t *)arg += piece->len;
    return 0;
}

static int
give_drain(void *arg)
{
    (void)arg;
    return 0;
}

static int
run_give(struct fix *f)
{
    struct recx recx = {0, 30000};
    struct vos_iod iod = {.akey = IOV("arr"), .type = VOS_IOD_ARRAY, .recx_nr = 1, .recxs = &recx};
    struct vos_fetch_args args = {
        .oid = fix_oid(1), .epoch = VOS_EPOCH_MAX, .dkey = IOV("d"), .iods = &iod, .iod_nr = 1};
    uint64_t bytes = 0;
    struct vos_sink sink = {.arg = &bytes, .take = give_take, .drain = give_drain};
    struct vos_fetch *fetch = NULL;
    int rc = vos_fetch_begin(f->cont, &args, &fetch);

    if (rc == 0)
        rc = vos_fetch_give(f->cont, fetch, &sink);
    if (rc == 0)
        EXPECT_EQ(bytes, fetch->data_bytes);
    vos_fetch_free(f->cont, fetch);
    return rc;
}

static bool
any_fn(void *arg, const struct vos_entry *entry)
{
    (void)entry;
    ++*(uint32_t *)arg;
    return true;
}

static int
list_one(struct fix *f, enum vos_level level, bool descending, uint32_t want)
{
    uint32_t nr = 0;
    struct vos_list_args args = {.level = level,
        .oid = fix_oid(1),
        .dkey = IOV("d"),
        .akey = IOV(level == VOS_LEVEL_SINGLE ? "s" : "arr"),
        .descending = descending,
        .epoch = VOS_EPOCH_MAX,
        .fn = any_fn,
        .arg = &nr};
    struct vos_anchor anchor = {.eof = false};
    int rc = vos_list(f->cont, &args, &anchor);

    if (rc == 0)
        EXPECT_EQ(nr, want);
    return rc;
}

static int
run_list(struct fix *f)
{
    struct iov key = IOV("d");
    struct vos_oid oid = fix_oid(1);
    struct vos_anchor anchor;
    int rc = list_one(f, VOS_LEVEL_DKEY, false, KEYS_NR + 1);

    EXPECT_OK(vos_anchor_from_key(f->cont, &oid, VOS_LEVEL_DKEY, &key, true, &anchor));
    if (rc == 0)
        rc = list_one(f, VOS_LEVEL_AKEY, false, 3);
    if (rc == 0)
        rc = list_one(f, VOS_LEVEL_RECX, true, 2);
    if (rc == 0)
        rc = list_one(f, VOS_LEVEL_RECX, false, 2);
    return rc != 0 ? rc : list_one(f, VOS_LEVEL_SINGLE, false, 1);
}

static bool
iter_any(void *arg, const struct vos_iter_ent *ent)
{
    (void)ent;
    ++*(uint32_t *)arg;
    return true;
}

static int
run_iter(struct fix *f)
{
    static const uint32_t want[] = {0, 1, 1, 2, KEYS_NR + 1, 3, 1, 2, 1};
    struct vos_iter_ent ents[4];
    uint32_t nr = 0, got = 0;
    char buf[256];
    int rc = 0;

    for (enum vos_iter_type t = VOS_ITER_POOL; rc == 0 && t <= VOS_ITER_LOG; t++) {
        struct vos_iter_args args = {.type = t,
            .flags = VOS_ITER_VISIBLE | VOS_ITER_COVERED,
            .hi = VOS_EPOCH_MAX,
            .pool = f->pool,
            .cont = f->cont,
            .oid = fix_oid(1),
            .dkey = IOV("d"),
            .akey = t == VOS_ITER_EXTENT ? IOV("arr") : IOV("s"),
            .fn = iter_any,
            .arg = &nr};
        struct vos_iter_anchor anchor = {.eof = false};

        nr = 0;
        rc = vos_iter(f->tgt, &args, &anchor);
        if (rc == 0 && t >= VOS_ITER_DKEY)
            EXPECT_EQ(nr, want[t]);
        if (rc == 0 && t == VOS_ITER_DKEY) {
            anchor = (struct vos_iter_anchor){.eof = false};
            rc = vos_iter_fill(f->tgt, &args, &anchor, ents, 4, buf, sizeof(buf), &got);
            if (rc == 0)
                EXPECT_EQ(got, 4);
        }
    }
    return rc;
}

static int
run_look(struct fix *f)
{
    struct vos_oid oids[3] = {fix_oid(1), fix_oid(77), fix_oid_type(4, 2)};
    const struct vos_obj_look_args args = {.oids = oids, .nr = 3, .epoch = VOS_EPOCH_MAX};
    uint8_t there[3];
    int rc = vos_obj_look(f->cont, &args, there);

    if (rc == 0)
        EXPECT(there[0] && !there[1] && there[2]);
    return rc;
}

static int
run_query(struct fix *f)
{
    struct vos_oid oid = fix_oid_type(4, 2);
    struct vos_query_ret q;
    int rc = fix_query(f, &oid, VOS_EPOCH_MAX,
        VOS_GET_MAX | VOS_GET_DKEY | VOS_GET_AKEY | VOS_GET_RECX, NULL, NULL, &q);

    if (rc == 0)
        EXPECT(q.dkey == 5 && q.akey == 3 && q.recx.idx == 50 && q.recx.nr == 10);
    return rc;
}

static int
run_check(struct fix *f)
{
    return vos_tgt_check(f->tgt);
}

/* A container with an object and a value in the data role. */
static void
prepare_garbage(struct fix *f)
{
    struct vos_cont *mine = f->cont, *cont = NULL;

    prepare_cont(f);
    if (!EXPECT_OK(vos_cont_open(f->tgt, f->pool, some_id(0x61, 0), &cont)))
        return;
    f->cont = cont;
    EXPECT_OK(fix_put(f, 1, "d", "a", calls_of(f)->data, BIG, 0));
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(fix_write(f, 1, "d", "arr", i * 5, 10, 1, calls_of(f)->data));
        EXPECT_OK(fix_punch(f, 1, "d", NULL, 0));
    }
    f->cont = mine;
    vos_cont_close(cont);
}

static int
run_collect(struct fix *f)
{
    int rc = run_cont_destroy(f);

    return rc != 0 ? rc : vos_tgt_collect(f->tgt);
}

/* The store is closed and opened; when that fails, again without a failure. */
static int
run_reopen(struct fix *f)
{
    int rc;

    vos_cont_close(f->cont);
    f->cont = NULL;
    vos_tgt_close(f->tgt);
    f->tgt = NULL;
    rc = vos_tgt_open(f->bio, &f->tgt);
    if (rc != 0) {
        fault_disarm_all();
        disk_shim.left = 0;
        if (bio_status(f->bio) == 0)
            EXPECT_OK(vos_tgt_open(f->bio, &f->tgt));
    }
    if (f->tgt != NULL && bio_status(f->bio) == 0) {
        int open_rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);

        if (open_rc != 0) {
            fault_disarm_all();
            disk_shim.left = 0;
            rc = open_rc;
            open_rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);
            EXPECT(open_rc == 0 || bio_status(f->bio) != 0);
        }
    }
    return rc;
}

static void
prepare_old(struct fix *f)
{
    prepare_obj(f);
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT_OK(fix_write(f, 9, "d", "arr", i * 10, 10, 1, calls_of(f)->data));
        EXPECT_OK(fix_put(f, 9, "d", "a", calls_of(f)->data, i == 1 ? BIG : 5, 0));
    }
}

static int
run_aggregate(struct fix *f)
{
    struct vos_agg_args args = {.lo = 1, .flags = VOS_AGG_COOL};
    int rc = vos_epoch_next(f->tgt, &args.hi);

    CAIRN_IGNORE((int)vos_cont_agg_is_needed(f->cont, args.hi));
    if (rc == 0)
        rc = vos_cont_aggregate(f->cont, &args, NULL);
    return rc == -DER_NOSYS ? 0 : rc;
}

/* A value that is the newest, and of which nothing is to be left. */
static void
prepare_newest(struct fix *f)
{
    prepare_obj(f);
    EXPECT_OK(vos_epoch_next(f->tgt, &calls_of(f)->epoch));
    EXPECT_OK(fix_put(f, 9, "n", "a", "newest", 6, 0));
}

static int
run_discard(struct fix *f)
{
    int rc = vos_cont_discard(f->cont, calls_of(f)->epoch, vos_epoch_last(f->tgt), NULL, NULL);

    return rc == -DER_NOSYS ? 0 : rc;
}

/* Transactions that are decided later, in a container of their own; what failures left of them is aborted. */
static void
prepare_dtx(struct fix *f)
{
    struct vos_dtx_info infos[4];
    struct vos_cont *cont = NULL;
    uint32_t pos = 0, nr = 0;

    prepare_cont(f);
    if (!EXPECT_OK(vos_cont_open(f->tgt, f->pool, some_id(0x61, 0), &cont)))
        return;
    while (pos != UINT32_MAX) {
        vos_dtx_list(cont, &pos, infos, 4, &nr);
        for (uint32_t i = 0; i < nr; i++) {
            EXPECT_OK(vos_dtx_abort(cont, &infos[i].id, 1));
        }
    }
    EXPECT_OK(vos_dtx_aggregate(cont, 0, 0, &nr)); /* else there is ever more to load */
    vos_cont_close(cont);
}

static int
prepare_tx(struct fix *f, struct vos_cont *cont, uint8_t nr)
{
    struct vos_dtx_args dtx = {.id = {.uuid = {.b = {0xd7, nr}}, .hlc = 1000 + calls_of(f)->dtx_nr},
        .blob = {"members", 7}};
    struct recx recx = {10, BIG};
    struct vos_iod iods[2] = {
        {.akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 3, .data = {"new", 3}},
        {.akey = IOV("arr"),
            .type = VOS_IOD_ARRAY,
            .size = 1,
            .recx_nr = 1,
            .recxs = &recx,
            .data = {calls_of(f)->data, BIG}}};
    struct vos_mod mods[2] = {
        {.op = VOS_MOD_UPDATE, .oid = fix_oid(nr), .dkey = {"dkey", 4}, .iod_nr = 2, .iods = iods},
        {.op = VOS_MOD_PUNCH_DKEY, .oid = fix_oid(nr), .dkey = {"gone", 4}}};
    struct vos_apply_args args = {.mods = mods, .mod_nr = 2, .dtx = &dtx};

    return vos_apply(cont, &args, NULL);
}

static int
use_dtx(struct fix *f, struct vos_cont *cont, const struct vos_dtx_id *id, bool is_commit)
{
    struct vos_dtx_info infos[4];
    struct vos_dtx_counts counts;
    uint32_t pos = 0, nr = 0;
    char blob[16];
    size_t len = 0;
    int rc = prepare_tx(f, cont, id->uuid.b[1]);

    if (rc == 0)
        rc = vos_dtx_blob(cont, id, blob, sizeof(blob), &len);
    if (rc != 0)
        return rc;
    EXPECT_EQ(len, 7);
    EXPECT_OK(vos_dtx_lookup(cont, id, &infos[0]));
    EXPECT_EQ(vos_dtx_oldest(cont), infos[0].epoch);
    vos_dtx_list(cont, &pos, infos, 4, &nr);
    EXPECT_GE(nr, 1);
    if (is_commit)
        EXPECT_OK(vos_dtx_committable(cont, id));
    vos_dtx_committables(cont, infos, 4, &nr);
    vos_dtx_count(cont, &counts);
    EXPECT_EQ(nr, counts.committable_nr);
    return is_commit ? vos_dtx_commit(cont, id, 1) : vos_dtx_abort(cont, id, 1);
}

static int
run_dtx(struct fix *f)
{
    struct vos_dtx_id ids[2] = {{.uuid = {.b = {0xd7, 1}}}, {.uuid = {.b = {0xd7, 2}}}};
    struct vos_cont *cont = NULL;
    uint32_t gone;
    int rc = vos_cont_open(f->tgt, f->pool, some_id(0x61, 0), &cont);

    if (rc != 0)
        return rc;
    ids[0].hlc = ids[1].hlc = 1000 + ++calls_of(f)->dtx_nr;
    rc = use_dtx(f, cont, &ids[0], true);
    if (rc == 0)
        rc = use_dtx(f, cont, &ids[1], false);
    if (rc == 0)
        rc = vos_dtx_aggregate(cont, 0, 1, &gone);
    vos_cont_close(cont);
    return rc;
}

static bool
skip_none(void *arg, const struct uuid *cont)
{
    (void)arg;
    (void)cont;
    return false;
}

static int
run_scrub(struct fix *f)
{
    struct vos_scrub *scrub = NULL;
    int rc = vos_scrub_create(f->tgt, f->pool, NULL, NULL, &scrub);

    if (rc == 0) {
        vos_scrub_skip_set(scrub, skip_none);
        do {
            rc = vos_scrub_step(scrub, 10000);
        } while (rc == 0 && vos_scrub_stats(scrub)->is_running);
    }
    if (rc == 0)
        rc = vos_scrub_save(scrub);
    if (rc == 0)
        rc = vos_scrub_out_set(scrub, !vos_scrub_stats(scrub)->is_out);
    EXPECT(rc != 0 || vos_scrub_stats(scrub)->is_out == vos_pool_is_out(f->tgt, f->pool));
    if (rc == 0 && f->cont != NULL)
        EXPECT_EQ(vos_cont_is_out(f->cont), vos_pool_is_out(f->tgt, f->pool));
    vos_scrub_free(scrub);
    return rc;
}

static const struct call calls[] = {
    {"vos_epoch_next vos_epoch_last", prepare_nothing, run_epoch},
    {"vos_epoch_recv", prepare_nothing, run_recv},
    {"vos_pool_create vos_quota_left", prepare_no_pool, run_pool_create},
    {"vos_pool_destroy", prepare_pool, run_pool_destroy},
    {"vos_pool_grow", prepare_nothing, run_pool_grow},
    {"vos_pool_query", prepare_nothing, run_pool_query},
    {"vos_pool_list vos_cont_list", prepare_nothing, run_lists},
    {"vos_cont_create", prepare_no_cont, run_cont_create},
    {"vos_cont_destroy", prepare_cont, run_cont_destroy},
    {"vos_cont_open vos_cont_close", prepare_cont, run_cont_open},
    {"vos_cont_query vos_cont_space", prepare_nothing, run_cont_query},
    {"vos_apply", prepare_obj, run_update},
    {"vos_apply", prepare_obj, run_update_big},
    {"vos_apply", prepare_obj, run_apply},
    {"vos_apply", prepare_obj, run_apply_no_history},
    {"vos_apply", prepare_obj, run_apply_past},
    {"vos_apply", prepare_obj, run_punch_obj},
    {"vos_apply", prepare_obj, run_punch_dkey},
    {"vos_ahead_get vos_ahead_places vos_ahead_landed vos_ahead_sum vos_ahead_free", prepare_obj,
        run_ahead},
    {"vos_req_lookup vos_req_refuse", prepare_nothing, run_req},
    {"vos_fetch vos_fetch_all vos_fetch_free", prepare_nothing, run_fetch},
    {"vos_fetch_begin vos_fetch_give", prepare_nothing, run_give},
    {"vos_list vos_anchor_from_key", prepare_nothing, run_list},
    {"vos_iter vos_iter_fill", prepare_nothing, run_iter},
    {"vos_obj_look", prepare_nothing, run_look},
    {"vos_query_key", prepare_nothing, run_query},
    {"vos_tgt_check", prepare_nothing, run_check},
    {"vos_tgt_collect", prepare_garbage, run_collect},
    {"vos_tgt_open vos_tgt_close vos_tgt_abandon", prepare_nothing, run_reopen},
    {"vos_cont_aggregate vos_cont_agg_is_needed", prepare_old, run_aggregate},
    {"vos_cont_discard", prepare_newest, run_discard},
    {"vos_dtx_lookup vos_dtx_blob vos_dtx_list vos_dtx_committable vos_dtx_committables",
        prepare_dtx, run_dtx},
    {"vos_dtx_oldest vos_dtx_count vos_dtx_commit vos_dtx_abort vos_dtx_aggregate", prepare_dtx,
        run_dtx},
    {"vos_scrub_create vos_scrub_step vos_scrub_save vos_scrub_stats vos_scrub_free",
        prepare_nothing, run_scrub},
    {"vos_scrub_skip_set vos_scrub_out_set vos_cont_is_out vos_pool_is_out", prepare_nothing,
        run_scrub},
};

/* ---- making them fail ----------------------------------------------------------------------------------------------- */

static void
fill(struct fix *f)
{
    struct calls *c = calls_of(f);
    char key[8];
    uint64_t dkey = 5, akey = 3;
    struct recx recx = {50, 10};
    struct vos_iod iod = {.akey = {&akey, 8},
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {c->data, 10}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid_type(4, 2), .dkey = {&dkey, 8}, .iod_nr = 1, .iods = &iod};

    rng_bytes(&f->rng, c->data, sizeof(c->data));
    EXPECT_OK(fix_put(f, 1, "d", "v", c->data, BIG, 0));
    EXPECT_OK(fix_put(f, 1, "d", "s", c->data, 40, 0));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 5000, BIG, 1, c->data));
    EXPECT_OK(fix_write(f, 1, "d", "arr", 100, 10, 1, c->data));
    for (uint32_t i = 0; i < KEYS_NR; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(fix_put(f, 1, key, "a", c->data, 30, 0));
    }
    EXPECT_OK(fix_mod(f, &mod, NULL));
}

/* What there is without any failure. */
static void
learn(struct fix *f)
{
    struct calls *c = calls_of(f);

    c->call->prepare(f);
    c->before = digest(f);
    EXPECT_OK(c->call->run(f));
    c->after = digest(f);
}

/* Nothing of the metadata in memory: it has to be read. */
static void
cool(struct fix *f)
{
    EXPECT_OK(bio_checkpoint(f->bio));
    umem_evict(f->tgt->um, UINT32_MAX, 0);
}

/* After a failure that stopped nothing. */
static void
look_after(struct fix *f, int rc)
{
    struct calls *c = calls_of(f);
    uint64_t now = digest(f);

    /* A discard is seen in part meanwhile, and goes on when it is called again. */
    if (rc != 0 && c->call->run == run_discard) {
        EXPECT_OK(run_discard(f));
        now = digest(f);
        rc = 0;
    }
    EXPECT(now == c->after || (rc != 0 && now == c->before));
    /* The order of what was done first and what failed is known for memory. */
    if (c->sweep.is_alloc && rc != 0 && c->call->run != run_collect)
        EXPECT_EQ(now, c->before);
    if (c->sweep.n % 4 == 1)
        EXPECT_OK(vos_tgt_check(f->tgt));
}

static int
call_run(void *arg)
{
    return calls_of(arg)->call->run(arg);
}

/* One failure; f->bio NULL: the process died in the one before. */
static void
one_failure(struct fix *f)
{
    struct calls *c = calls_of(f);
    int rc;

    disk_shim_install(f->plat, xstream_loop(f->xs));
    if (f->bio == NULL) {
        uint64_t now;

        if (!fix_open(f))
            return;
        now = digest(f);
        EXPECT(now == c->before || now == c->after || c->call->run == run_discard);
        EXPECT_OK(vos_tgt_check(f->tgt));
    }
    c->call->prepare(f);
    cool(f);
    rc = sweep_run(&c->sweep, call_run, f);
    /* What failed may be a write in the background that nobody has asked for yet: a checkpoint that memory called for. */
    if (bio_status(f->bio) == 0 && !c->sweep.is_alloc)
        (void)!bio_checkpoint(f->bio);
    if (bio_status(f->bio) == 0)
        look_after(f, rc);
}

static void
begin(struct fix *f)
{
    if (!fix_format(f))
        return;
    fill(f);
    learn(f);
}

static void
end(struct fix *f)
{
    fix_close(f);
}

/* Answers how many failures there were. */
static uint64_t
sweep_call(uint32_t i, bool is_alloc, const char **ret_names)
{
    uint64_t fired;
    struct calls *c = calloc(1, sizeof(*c));
    struct fix f;

    *ret_names = calls[i].names;
    c->call = &calls[i];
    c->sweep.is_alloc = is_alloc;
    fix_prepare(&f);
    f.cfg.meta_bytes = 8 << 20;
    f.cfg.data_bytes = 16 << 20;
    f.meta_quota = 4 << 20;
    f.data_quota = 8 << 20;
    f.arg = c;
    if (fix_up_default(&f) && EXPECT(fix_run(&f, begin))) {
        while (!c->sweep.is_done && !test_failed()) {
            EXPECT(fix_run(&f, one_failure));
            if (f.bio != NULL && bio_status(f.bio) != 0) {
                disk_shim_remove(f.plat);
                EXPECT(fix_crash(&f, false));
            }
        }
        disk_shim_remove(f.plat);
        if (f.tgt != NULL && !test_failed())
            EXPECT(fix_run(&f, end));
    }
    if (test_failed())
        fprintf(stderr, "    %s, failure %llu\n", calls[i].names, (unsigned long long)c->sweep.n);
    disk_shim_remove(f.plat);
    fix_down(&f);
    fired = c->sweep.fired_nr;
    free(c);
    return fired;
}

#ifdef CAIRN_FAULTS
TEST_ON(vos_calls, every_allocation_fails_in_each, BACKEND_SIM)
{
    sweep_all(sweep_call, ARRAY_SIZE(calls), true);
}
#endif

TEST_ON(vos_calls, every_disk_operation_fails_in_each, BACKEND_SIM)
{
    sweep_all(sweep_call, ARRAY_SIZE(calls), false);
}
