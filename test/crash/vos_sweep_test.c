/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Crash sweep of the object store. Three writers send scripted requests (several dkeys at once, punches, conditional inserts, values in the data
 * role), each to an object of its own; a reader fetches, lists and lets conditions fail; containers come and go; aggregation runs all the time; checkpoints are taken. Power is cut
 * at the n-th write or sync, for every n. Then the store is opened again (recovery may itself be cut) and compared with a record kept
 * outside of the process (SM-3):
 *
 *   - every acknowledged request is there, whole; the one in flight whole or not at all;
 *   - what any answer revealed (a read, a listing, EXIST or NONEXIST) is there, though its request was never acknowledged;
 *   - a resend of the request in flight is done exactly once, and one of an acknowledged request gets the answer it got (MS-2);
 *   - epochs go on above every epoch seen; destroyed containers are gone, created ones are there; nothing leaks.
 */
#include "../model/vos_twin_io.h"

enum {
    WRITER_NR = 3,
    REQ_NR = 40,
    CONT_NR = 8,
    READS_NR_MAX = 1000,
    PIECE_NR = 8,
    PIECE_BYTES = 5000,
    CUT_BYTES = 12 * 4096,
    CUT_MID_AT = 2 * 4096,
    CUT_MID_BYTES = 5 * 4096,
    CUT_MID_ADD = 100,
    COOL_NR = 5,
    COOL_BYTES = 2500
};

struct writer {
    uint32_t idx; /* and the number of its object */
    struct twin_req reqs[REQ_NR];
    uint64_t epochs[REQ_NR];
    uint32_t issued, acked, revealed; /* requests */
    struct twin_built built; /* of the request in flight; here, so that a kill loses nothing */
};

/* Containers that are created and destroyed; each step is set before the call and after it. */
struct turn {
    bool create_sent, create_done, destroy_sent, destroy_done;
};

struct sweep {
    struct fix f;
    struct rng rng; /* of the script: the same in every run */
    struct writer writers[WRITER_NR];
    struct turn turns[CONT_NR];
    uint32_t live_nr; /* writers still at work */
    uint32_t ult_nr;
    struct ult_cond idle;
    uint64_t epoch_max;
    uint64_t snap; /* read until the end; 0: not yet */
    uint8_t pieces_sent[PIECE_NR], pieces_done[PIECE_NR], cool_sent[COOL_NR],
        cool_done[COOL_NR]; /* of the array that aggregation merges, and of values that it moves: what all their bytes are */
    uint8_t cut_sent, cut_done, mid_sent,
        mid_done; /* of the extent that aggregation cuts, and of what was written over its middle */
    uint64_t free_blks_gap; /* of an empty store: allocated, but in no index */
    struct twin_state states[REQ_NR + 1]; /* scratch */
};

/* The state of a writer's object after its first `nr` requests. */
static void
state_after(const struct writer *w, uint32_t nr, struct twin_state *ret_state)
{
    memset(ret_state, 0, sizeof(*ret_state));
    for (uint32_t i = 0; i < nr; i++) {
        CAIRN_IGNORE(twin_apply(ret_state, &w->reqs[i]));
    }
}

/* What request `nr` of a writer must answer. */
static int
want_rc(const struct writer *w, uint32_t nr, struct twin_state *scratch)
{
    state_after(w, nr, scratch);
    return twin_apply(scratch, &w->reqs[nr]);
}

static int
send(struct sweep *s, struct writer *w, uint32_t nr, struct vos_apply_ret *ret)
{
    struct vos_apply_args args = {.mods = w->built.mods, .mod_nr = w->reqs[nr].mod_nr};

    twin_built_free(&w->built);
    twin_build(&w->reqs[nr], &w->built);
    args.req = (struct vos_req_id){.client = {.b = {(uint8_t)(w->idx + 1)}},
        .slot = w->idx * 20,
        .seq = nr + 1,
        .hlc = 1000 + nr};
    args.result = (struct iov){&nr, sizeof(nr)};
    return vos_apply(s->f.cont, &args, ret);
}

static bool
is_stopped(int rc)
{
    return rc == -DER_NVME_IO || rc == -DER_SHUTDOWN;
}

static void
ult_end(struct sweep *s)
{
    if (--s->ult_nr == 0)
        ult_cond_signal(&s->idle);
}

static void
writer_main(void *arg)
{
    struct writer *w = arg;
    struct sweep *s = CAIRN_CONTAINER_OF(w, struct sweep, writers[w->idx]);
    struct vos_apply_ret ret;

    while (w->acked < REQ_NR) {
        int rc;

        w->issued = w->acked + 1;
        rc = send(s, w, w->acked, &ret);
        if (is_stopped(rc))
            break;
        EXPECT_EQ(rc, want_rc(w, w->acked, &s->states[0]));
        if (rc == 0) {
            EXPECT(!ret.is_replay);
            w->epochs[w->acked] = ret.epoch;
            s->epoch_max = MAX(s->epoch_max, ret.epoch);
        }
        w->acked++;
    }
    s->live_nr--;
    ult_end(s);
}

/* ---- the reader ----------------------------------------------------------------------------------------------------- */

struct seen {
    uint32_t kind, dkey;
    struct vos_fetch *fetch;
    int rc;
    uint32_t keys;
};

static bool
seen_matches(const struct seen *v, const struct twin_state *st, uint32_t obj)
{
    uint32_t keys = 0;

    if (v->kind == 0)
        return twin_dkey_matches(st, obj, v->dkey, v->fetch);
    if (v->kind == 1)
        return v->rc == (st->objs[obj].dkeys[v->dkey].exists ? -DER_EXIST : -DER_NONEXIST);
    for (uint32_t i = 0; i < TWIN_DKEY_NR; i++) {
        keys |= (uint32_t)st->objs[obj].dkeys[i].exists << i;
    }
    return keys == v->keys;
}

static void
seen_get(struct sweep *s, uint32_t obj, struct seen *v)
{
    uint64_t mem;
    struct vos_iod iod = {
        .akey = twin_key(obj, false, 0, &mem), .type = VOS_IOD_SINGLE, .size = 1, .data = {"x", 1}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE, .oid = twin_oid(obj), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_list_args list = {
        .level = VOS_LEVEL_DKEY, .oid = twin_oid(obj), .epoch = VOS_EPOCH_MAX, .fn = twin_seen_fn};
    struct vos_anchor anchor = {.eof = false};
    struct twin_seen ts = {.obj = obj, .is_dkey = true};
    uint64_t dmem;

    switch (v->kind) {
    case 0:
        v->rc = twin_fetch_dkey(&s->f, obj, v->dkey, VOS_EPOCH_MAX, &v->fetch);
        break;
    case 1:
        /* Fails whatever is there, and tells which. */
        mod.dkey = twin_key(obj, true, v->dkey, &dmem);
        mod.cond = VOS_COND_DKEY_INSERT | VOS_COND_DKEY_UPDATE;
        v->rc = vos_apply(s->f.cont, &args, NULL);
        break;
    default:
        list.arg = &ts;
        v->rc = vos_list(s->f.cont, &list, &anchor);
        v->keys = ts.keys;
    }
}

static void
reader_main(void *arg)
{
    struct sweep *s = arg;

    for (uint32_t n = 0; n < READS_NR_MAX && s->live_nr > 0 && !test_failed(); n++) {
        struct writer *w = &s->writers[rng_below(&s->f.rng, WRITER_NR)];
        struct seen v = {.kind = (uint32_t)rng_below(&s->f.rng, 3),
            .dkey = (uint32_t)rng_below(&s->f.rng, TWIN_DKEY_NR)};
        uint32_t lo = MAX(w->acked, w->revealed), k;
        bool found = false;

        seen_get(s, w->idx, &v);
        if (is_stopped(v.rc))
            break;
        for (k = lo; k <= w->issued && !found; k++) {
            state_after(w, k, &s->states[1]);
            found = seen_matches(&v, &s->states[1], w->idx);
        }
        EXPECT(found);
        if (v.fetch != NULL)
            vos_fetch_free(s->f.cont, v.fetch);
        w->revealed = MAX(w->revealed, k - 1);
        ult_sleep(rng_below(&s->f.rng, 100000));
    }
    ult_end(s);
}

/* ---- containers ----------------------------------------------------------------------------------------------------- */

static struct uuid
turn_id(uint32_t i)
{
    return (struct uuid){.b = {0x40, (uint8_t)i}};
}

static int
turn_fill(struct sweep *s, uint32_t i)
{
    struct vos_iod iod = {
        .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 9000, .data = {s->states, 9000}};
    struct vos_mod mod = {
        .op = VOS_MOD_UPDATE, .oid = fix_oid(i), .dkey = IOV("d"), .iod_nr = 1, .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_cont *cont;
    int rc = vos_cont_open(s->f.tgt, s->f.pool, turn_id(i), &cont);

    if (rc != 0)
        return rc;
    rc = vos_apply(cont, &args, NULL);
    vos_cont_close(cont);
    return rc;
}

static void
admin_main(void *arg)
{
    struct sweep *s = arg;
    int rc = 0;

    for (uint32_t i = 0; i < CONT_NR && rc == 0; i++) {
        struct turn *t = &s->turns[i];

        t->create_sent = true;
        rc = vos_cont_create(s->f.tgt, s->f.pool, turn_id(i));
        t->create_done = rc == 0;
        if (rc == 0)
            rc = turn_fill(s, i);
        if (rc == 0 && i % 2 == 0)
            rc = bio_checkpoint(s->f.bio);
        if (rc == 0 && i > 0) {
            t = &s->turns[i - 1];
            t->destroy_sent = true;
            rc = vos_cont_destroy(s->f.tgt, s->f.pool, turn_id(i - 1));
            t->destroy_done = rc == 0;
        }
        ult_sleep(500000);
    }
    EXPECT(rc == 0 || is_stopped(rc));
    ult_end(s);
}

/* ---- aggregation ---------------------------------------------------------------------------------------------------- */

static int
agg_pace(void *arg, const struct vos_agg_stat *stat)
{
    struct sweep *s = arg;

    (void)stat;
    if (rng_chance(&s->f.rng, 1, 4)) {
        ult_sleep(rng_below(&s->f.rng, 200000));
    } else {
        ult_yield();
    }
    return 0;
}

/* A large extent, and one over its middle: aggregation gives back what lies below that. */
static int
cut_write(struct sweep *s, uint8_t val)
{
    static uint8_t data[CUT_BYTES];
    int rc;

    memset(data, val, sizeof(data));
    s->cut_sent = val;
    rc = fix_write(&s->f, 77, "cut", "arr", 0, CUT_BYTES, 1, data);
    if (rc != 0)
        return rc;
    s->cut_done = val;
    memset(data, val + CUT_MID_ADD, sizeof(data));
    s->mid_sent = (uint8_t)(val + CUT_MID_ADD);
    rc = fix_write(&s->f, 77, "cut", "arr", CUT_MID_AT, CUT_MID_BYTES, 1, data);
    if (rc == 0)
        s->mid_done = s->mid_sent;
    return rc;
}

static void
verify_cut(struct sweep *s)
{
    static uint8_t got[CUT_BYTES];

    EXPECT_OK(fix_read(&s->f, 77, "cut", "arr", VOS_EPOCH_MAX, 0, sizeof(got), 0, got));
    for (uint32_t b = 0; b < CUT_BYTES && !test_failed(); b++) {
        bool is_mid = b >= CUT_MID_AT && b < CUT_MID_AT + CUT_MID_BYTES;

        EXPECT(got[b] == s->cut_done || got[b] == s->cut_sent ||
            (is_mid && (got[b] == s->mid_done || got[b] == s->mid_sent)));
        EXPECT_EQ(got[b], got[is_mid ? CUT_MID_AT : 0]);
    }
}

/* Every other has a block of its own until it has cooled. */
static size_t
cool_len(uint32_t i)
{
    return i % 2 == 0 ? COOL_BYTES : VOS_INLINE_BYTES_MAX;
}

/* An array in pieces that are large enough for the data role, and values that move there when they have cooled. */
static int
pieces_write(struct sweep *s, uint8_t val)
{
    static uint8_t data[PIECE_BYTES];
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < PIECE_NR; i++) {
        memset(data, val, sizeof(data));
        s->pieces_sent[i] = val;
        rc = fix_write(&s->f, 77, "pieces", "arr", (uint64_t)i * PIECE_BYTES, PIECE_BYTES, 1, data);
        if (rc == 0)
            s->pieces_done[i] = val;
    }
    if (rc == 0)
        rc = cut_write(s, val);
    for (uint32_t i = 0; rc == 0 && i < COOL_NR; i++) {
        char key[8];

        snprintf(key, sizeof(key), "cool%u", i);
        memset(data, val + (int)i, cool_len(i));
        s->cool_sent[i] = val;
        rc = fix_put(&s->f, 77, key, "v", data, cool_len(i), 0);
        if (rc == 0)
            s->cool_done[i] = val;
    }
    return rc;
}

/* Each piece is what was acknowledged last, or what was under way, whole. */
static void
verify_pieces(struct sweep *s)
{
    static uint8_t got[PIECE_NR * PIECE_BYTES];

    verify_cut(s);
    for (uint32_t i = 0; i < COOL_NR && !test_failed(); i++) {
        size_t len = 0;
        char key[8];

        snprintf(key, sizeof(key), "cool%u", i);
        EXPECT_OK(fix_get(&s->f, 77, key, "v", got, sizeof(got), &len));
        EXPECT(len == cool_len(i) || (len == 0 && s->cool_done[i] == 0));
        for (uint32_t b = 0; b < len; b++) {
            EXPECT(got[b] == (uint8_t)(s->cool_done[i] + i) ||
                got[b] == (uint8_t)(s->cool_sent[i] + i));
            EXPECT_EQ(got[b], got[0]);
        }
    }
    EXPECT_OK(fix_read(&s->f, 77, "pieces", "arr", VOS_EPOCH_MAX, 0, sizeof(got), 0, got));
    for (uint32_t i = 0; i < PIECE_NR && !test_failed(); i++) {
        uint8_t val = got[i * PIECE_BYTES];

        EXPECT(val == s->pieces_done[i] || val == s->pieces_sent[i]);
        for (uint32_t b = 0; b < PIECE_BYTES; b++) {
            EXPECT_EQ(got[i * PIECE_BYTES + b], val);
        }
    }
}

/* Pass after pass up to now: what writers replaced goes, whatever cuts it short. From the second on there is a snapshot. */
static void
agg_main(void *arg)
{
    struct sweep *s = arg;
    struct vos_agg_args args = {
        .hi = VOS_EPOCH_MAX, .flags = VOS_AGG_COOL, .pace = agg_pace, .arg = s, .snaps = &s->snap};
    uint8_t round = 0;
    int rc = 0;

    while (rc == 0 && s->live_nr > 0 && !test_failed()) {
        if (round < 4)
            rc = pieces_write(s, ++round);
        if (rc == 0)
            rc = vos_cont_aggregate(s->f.cont, &args, NULL);
        if (rc == 0 && args.snap_nr == 0) {
            rc = vos_epoch_next(s->f.tgt, &s->snap);
            args.snap_nr = 1;
        }
        ult_sleep(rng_below(&s->f.rng, 1000000));
    }
    EXPECT(rc == 0 || is_stopped(rc));
    ult_end(s);
}

/* ---- bodies --------------------------------------------------------------------------------------------------------- */

static uint64_t
alloc_gap(struct sweep *s)
{
    struct bio_space space;
    struct vos_pool_info info;

    bio_space_get(s->f.bio, &space);
    EXPECT_OK(vos_pool_query(s->f.tgt, s->f.pool, &info));
    return space.data_total - space.data_free - info.data_used;
}

static void
setup(struct fix *f)
{
    struct sweep *s = CAIRN_CONTAINER_OF(f, struct sweep, f);

    if (fix_format(f))
        s->free_blks_gap = alloc_gap(s);
    ult_sleep(1200000000); /* beyond the bound of the clock that the format wrote */
}

static void
work(struct fix *f)
{
    struct sweep *s = CAIRN_CONTAINER_OF(f, struct sweep, f);

    ult_cond_init(&s->idle);
    s->live_nr = WRITER_NR;
    s->ult_nr = WRITER_NR + 3;
    for (uint32_t i = 0; i < WRITER_NR; i++) {
        EXPECT_OK(ult_create(f->xs, ULT_IO, writer_main, &s->writers[i], NULL));
    }
    EXPECT_OK(ult_create(f->xs, ULT_IO, reader_main, s, NULL));
    EXPECT_OK(ult_create(f->xs, ULT_IO, admin_main, s, NULL));
    EXPECT_OK(ult_create(f->xs, ULT_IO, agg_main, s, NULL));
    while (s->ult_nr > 0) {
        ult_cond_wait(&s->idle, NULL);
    }
}

static bool
object_is(struct sweep *s, uint32_t obj, const struct twin_state *st)
{
    bool same = true;

    for (uint32_t d = 0; d < TWIN_DKEY_NR && same; d++) {
        struct seen key = {.kind = 1, .dkey = d}, val = {.kind = 0, .dkey = d};

        seen_get(s, obj, &key);
        seen_get(s, obj, &val);
        same = EXPECT_OK(val.rc) && seen_matches(&key, st, obj) && seen_matches(&val, st, obj);
        if (val.fetch != NULL)
            vos_fetch_free(s->f.cont, val.fetch);
    }
    return same;
}

static void
verify_resends(struct sweep *s, struct writer *w, bool was_applied)
{
    struct vos_apply_ret ret = {0};
    uint32_t nr;

    if (w->issued > w->acked) {
        int want = want_rc(w, w->acked, &s->states[0]);

        EXPECT_EQ(send(s, w, w->acked, &ret), want);
        if (want == 0) {
            EXPECT_EQ(ret.is_replay, was_applied);
            EXPECT(was_applied || ret.epoch > s->epoch_max);
        }
        state_after(w, w->issued, &s->states[0]);
        EXPECT(object_is(s, w->idx, &s->states[0]));
        return;
    }
    /* The newest that succeeded is answered as it was; what is older is uncertain. */
    for (nr = w->acked; nr > 0 && w->epochs[nr - 1] == 0; nr--) {
    }
    if (nr == 0)
        return;
    if (EXPECT_OK(send(s, w, nr - 1, &ret))) {
        EXPECT(ret.is_replay);
        EXPECT_EQ(ret.epoch, w->epochs[nr - 1]);
        EXPECT_EQ(ret.result_len, 4);
        EXPECT_EQ(*(uint32_t *)(void *)ret.result, nr - 1);
    }
    if (nr > 1)
        EXPECT_ERR(send(s, w, nr - 2, &ret), TX_UNCERTAIN);
}

static void
verify_writer(struct sweep *s, struct writer *w)
{
    struct vos_req_id id = {.client = {.b = {(uint8_t)(w->idx + 1)}},
        .slot = w->idx * 20,
        .seq = w->issued,
        .hlc = 999 + w->issued};
    struct vos_apply_ret ret;
    bool was_applied = false, effect;

    if (w->issued > w->acked) {
        int rc = vos_req_lookup(s->f.cont, &id, &ret);

        EXPECT(rc == 0 || rc == -DER_NONEXIST);
        was_applied = rc == 0;
    }
    effect = was_applied || w->issued == w->acked;
    EXPECT(effect || w->revealed <= w->acked || want_rc(w, w->acked, &s->states[0]) != 0);
    state_after(w, effect ? w->issued : w->acked, &s->states[0]);
    EXPECT(object_is(s, w->idx, &s->states[0]));
    verify_resends(s, w, was_applied);
}

static void
verify_conts(struct sweep *s)
{
    for (uint32_t i = 0; i < CONT_NR; i++) {
        const struct turn *t = &s->turns[i];
        struct vos_cont *cont = NULL;
        int rc = vos_cont_open(s->f.tgt, s->f.pool, turn_id(i), &cont);

        EXPECT(rc == 0 || rc == -DER_NONEXIST);
        EXPECT(rc == 0 || !t->create_done || t->destroy_sent);
        EXPECT(rc != 0 || (t->create_sent && !t->destroy_done));
        if (rc == 0)
            vos_cont_close(cont);
    }
}

static bool
object_was(struct sweep *s, uint32_t obj, const struct twin_state *st)
{
    bool same = true;

    for (uint32_t d = 0; d < TWIN_DKEY_NR && same; d++) {
        struct vos_fetch *fetch = NULL;

        same = EXPECT_OK(twin_fetch_dkey(&s->f, obj, d, s->snap, &fetch)) &&
            twin_dkey_matches(st, obj, d, fetch);
        if (fetch != NULL)
            vos_fetch_free(s->f.cont, fetch);
    }
    return same;
}

/* At the snapshot: what was done before it, perhaps with the request that was under way at the crash. */
static void
verify_snap(struct sweep *s, const struct writer *w)
{
    uint32_t nr = 0, later = 0;

    if (s->snap == 0)
        return;
    for (uint32_t i = 0; i < w->acked; i++) {
        nr = w->epochs[i] != 0 && w->epochs[i] <= s->snap ? i + 1 : nr;
        later += w->epochs[i] > s->snap;
    }
    state_after(w, nr, &s->states[0]);
    if (object_was(s, w->idx, &s->states[0]))
        return;
    EXPECT(later == 0 && w->issued > w->acked);
    state_after(w, w->issued, &s->states[0]);
    EXPECT(object_was(s, w->idx, &s->states[0]));
}

/* A whole pass after the crash changes nothing that is seen, and leaves no older version. */
static void
verify_agg(struct sweep *s)
{
    struct vos_agg_args args = {
        .lo = 1, .hi = VOS_EPOCH_MAX, .snaps = &s->snap, .snap_nr = s->snap != 0};
    struct vos_agg_stat stat;

    verify_pieces(s);
    EXPECT_OK(vos_cont_aggregate(s->f.cont, &args, NULL));
    for (uint32_t i = 0; i < WRITER_NR && !test_failed(); i++) {
        state_after(&s->writers[i], s->writers[i].issued, &s->states[0]);
        EXPECT(object_is(s, i, &s->states[0]));
        verify_snap(s, &s->writers[i]);
    }
    verify_pieces(s);
    EXPECT_OK(vos_cont_aggregate(s->f.cont, &args, &stat));
    EXPECT_EQ(stat.ver_del_nr + stat.key_del_nr + stat.obj_del_nr + stat.log_del_nr, 0);
    EXPECT_OK(vos_tgt_check(s->f.tgt));
}

static void
verify(struct fix *f)
{
    struct sweep *s = CAIRN_CONTAINER_OF(f, struct sweep, f);
    uint64_t epoch = 0;

    if (!fix_open(f))
        return;
    EXPECT_OK(vos_epoch_next(f->tgt, &epoch));
    EXPECT_GT(epoch, s->epoch_max);
    for (uint32_t i = 0; i < WRITER_NR && !test_failed(); i++) {
        verify_writer(s, &s->writers[i]);
    }
    verify_conts(s);
    EXPECT_OK(vos_tgt_collect(f->tgt));
    EXPECT_OK(vos_tgt_check(f->tgt));
    verify_agg(s);
    EXPECT_OK(umem_check(f->tgt->um));
    EXPECT_EQ(alloc_gap(s), s->free_blks_gap);
    fix_close(f);
}

/* A recovery that is cut short, too. */
static void
open_only(struct fix *f)
{
    if (bio_open(f->xs, &f->cfg, &f->bio) == 0 && vos_tgt_open(f->bio, &f->tgt) == 0)
        CAIRN_IGNORE(vos_tgt_collect(f->tgt)); /* may end with the power */
}

static void
script(struct sweep *s, uint64_t seed)
{
    rng_init(&s->rng, seed);
    for (uint32_t i = 0; i < WRITER_NR; i++) {
        struct writer *w = &s->writers[i];

        w->idx = i;
        for (uint32_t r = 0; r < REQ_NR; r++) {
            twin_random(&s->rng, &w->reqs[r]);
            for (uint32_t m = 0; m < w->reqs[r].mod_nr; m++) {
                w->reqs[r].mods[m].obj = i;
            }
        }
    }
}

/* One run; false when the power was never cut because the work ended before. */
static bool
run_one(uint64_t seed, uint64_t cut, uint64_t cut2)
{
    struct sim_opts opts = {
        .seed = seed + cut * 1000, .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 300000};
    struct sweep *s = calloc(1, sizeof(*s));
    bool lost = false;

    fix_prepare(&s->f);
    s->f.cfg.meta_bytes = 4 << 20;
    s->f.cfg.data_bytes = 16 << 20;
    s->f.cfg.ckpt_interval_ns = 1000000;
    s->f.meta_quota = 2 << 20;
    s->f.data_quota = 14 << 20;
    script(s, seed);
    if (fix_up(&s->f, &opts) && EXPECT(fix_run(&s->f, setup))) {
        sim_host_power_loss_at(s->f.sim, FIX_HOST, cut);
        CAIRN_IGNORE(fix_run(&s->f, work)); /* what happened is in *s */
        lost = sim_host_lost_power(s->f.sim, FIX_HOST);
        sim_host_power_loss_at(s->f.sim, FIX_HOST, 0);
        if (s->f.xs != NULL)
            sim_host_power_loss(s->f.sim, FIX_HOST);
        if (fix_start(&s->f) && cut2 != 0) {
            sim_host_power_loss_at(s->f.sim, FIX_HOST, cut2);
            CAIRN_IGNORE(fix_run(&s->f, open_only)); /* likewise */
            sim_host_power_loss_at(s->f.sim, FIX_HOST, 0);
            if (s->f.xs != NULL)
                sim_host_power_loss(s->f.sim, FIX_HOST);
            EXPECT(fix_start(&s->f));
        }
        /* The clock was set back meanwhile. */
        if (s->f.plat != NULL)
            sim_node_clock_skew(s->f.plat, -900000000);
        if (!EXPECT(fix_run(&s->f, verify)) || test_failed()) {
            fprintf(stderr, "    seed %llu, cut at write %llu, again at %llu\n",
                (unsigned long long)seed, (unsigned long long)cut, (unsigned long long)cut2);
        }
    }
    fix_down(&s->f);
    for (uint32_t i = 0; i < WRITER_NR; i++) {
        twin_built_free(&s->writers[i].built);
    }
    free(s);
    return lost;
}

static void
sweep(uint64_t seed, uint64_t from, uint64_t stride)
{
    uint64_t runs = 0;

    for (uint64_t cut = from; !test_failed(); cut += stride) {
        runs++;
        if (!run_one(seed, cut, cut % 5 == 0 ? 1 + cut / 5 % 12 : 0))
            break;
    }
    EXPECT_GT(runs * stride, 100); /* the work makes that many writes at least */
}

TEST_ON(vos_sweep, short_cut_at_some_writes, BACKEND_SIM)
{
    sweep(test_seed(), 1, 7);
}

TEST_ON(vos_sweep, every_write_cut, BACKEND_SIM)
{
    sweep(test_seed() + 1, 1, 1);
}

TEST_ON(vos_sweep, every_write_cut_with_another_script, BACKEND_SIM)
{
    sweep(test_seed() + 2, 1, 1);
}
