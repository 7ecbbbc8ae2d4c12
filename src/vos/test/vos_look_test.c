/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: a look (bio_cfg.is_rdonly) sees what the next start would, and changes nothing; with damage it goes on, and calls nothing sound that is not. Method: a killed
 * store with a log to replay is looked at twice and started then; bits flipped in every file of a closed and of a killed store: what is called sound reads back right.
 */
#include "bio/bio_look.h"
#include "vos/vos_look.h"
#include "vos_test_fix.h"

enum { VAL_NR = 60, VAL_BYTES = 50000, ROUNDS = 12, PLACES_NR = 512 };

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
    return i % 3 == 0 ? VAL_BYTES
        : i % 3 == 1  ? 3500
                      : 2600; /* the last two take many pages of the metadata */
}

static void
vals_put(struct fix *f, uint32_t first, uint32_t nr)
{
    static uint8_t buf[VAL_BYTES];
    char key[16];

    for (uint32_t i = first; i < first + nr; i++) {
        val_fill(buf, i, val_len(i));
        snprintf(key, sizeof(key), "k%u", i);
        EXPECT_OK(i % 2 == 0 ? fix_put(f, 1, key, "a", buf, val_len(i), 0)
                             : fix_write(f, 1, key, "a", 3, val_len(i), 1, buf));
    }
}

/* How many of the values do not read back. */
static uint32_t
vals_read(struct fix *f)
{
    static uint8_t want[VAL_BYTES], got[VAL_BYTES];
    uint32_t bad = 0;
    char key[16];

    for (uint32_t i = 0; i < VAL_NR; i++) {
        size_t len = val_len(i);
        int rc;

        val_fill(want, i, len);
        snprintf(key, sizeof(key), "k%u", i);
        rc = i % 2 == 0 ? fix_get(f, 1, key, "a", got, sizeof(got), &len)
                        : fix_read(f, 1, key, "a", VOS_EPOCH_MAX, 3, len, 0, got);
        bad += rc != 0 || len != val_len(i) || memcmp(got, want, len) != 0;
    }
    return bad;
}

static void
setup_closed(struct fix *f)
{
    if (!fix_format(f))
        return;
    vals_put(f, 0, VAL_NR);
    fix_close(f);
}

/* Half of it behind the last checkpoint; killed by the caller. */
static void
setup_killed(struct fix *f)
{
    if (!fix_format(f))
        return;
    vals_put(f, 0, VAL_NR / 2);
    EXPECT_OK(bio_checkpoint(f->bio));
    vals_put(f, VAL_NR / 2, VAL_NR / 2);
}

struct count {
    uint64_t groups, recs, ranges, shard_recs, bytes;
};

static int
count_log(void *arg, const struct bio_look_log *part)
{
    struct count *c = arg;

    if (part->rec == NULL) {
        c->groups++;
        return 0;
    }
    c->recs++;
    c->ranges += part->rec->range_nr;
    c->shard_recs += part->rec->shard == 1;
    c->bytes += part->rec->bytes;
    return 0;
}

static void
look(struct fix *f)
{
    struct bio_look_end end = {0};
    struct count c = {0};
    struct bio_stats stats;
    struct vos_look_root root;
    struct vos_look_pool pool;
    struct vos_look_cont cont;
    struct bio_look_meta meta;
    uint64_t bad = 1, used = 0;
    uint8_t byte = 1;

    f->cfg.is_rdonly = true;
    f->cfg.system.b[0]++; /* whose it is does not matter */
    if (!fix_open(f))
        return;
    EXPECT_EQ(vals_read(f), 0);
    EXPECT_ERR(fix_put(f, 1, "k0", "a", &byte, 1, 0), NO_PERM);
    EXPECT_ERR(bio_checkpoint(f->bio), NO_PERM);
    EXPECT_ERR(vos_pool_create(f->tgt, f->cont_id, 1 << 20, 1 << 20), NO_PERM);
    EXPECT_OK(bio_check(f->bio));
    EXPECT_OK(vos_tgt_check(f->tgt));
    EXPECT_OK(vos_look_check(f->tgt, NULL, NULL, &bad));
    EXPECT_EQ(bad, 0);
    bio_stats_get(f->bio, &stats);
    EXPECT_OK(bio_look_log(f->bio, count_log, &c, &end));
    EXPECT_EQ(c.recs, stats.replayed_records_nr);
    EXPECT_EQ(c.recs, end.records_nr);
    EXPECT_EQ(c.groups, end.groups_nr);
    EXPECT_GE(c.ranges, c.recs);
    EXPECT_EQ(c.shard_recs > 0, c.recs > 0);
    EXPECT(!end.is_torn);
    bio_look_meta(f->bio, &meta);
    EXPECT_GT(meta.slot_used_nr, 1);
    for (uint64_t p = 0; p < bio_look_page_nr(f->bio); p++) {
        struct bio_look_page page;

        bio_look_page(f->bio, p, &page);
        used += page.slot != 0;
        EXPECT(page.slot == 0 || page.file_off >= meta.slots_off);
    }
    EXPECT_EQ(used, meta.slot_used_nr);
    if (EXPECT_OK(vos_look_root(f->tgt, &root))) {
        EXPECT_EQ(root.version, VOS_FORMAT_VERSION);
        EXPECT_EQ(root.gc_nr, 0);
    }
    if (EXPECT_OK(vos_look_pool(f->tgt, f->pool, &pool))) {
        EXPECT_EQ(pool.shard, 1);
        EXPECT_EQ(pool.meta_quota, f->meta_quota);
    }
    if (EXPECT_OK(vos_look_cont(f->cont, &cont))) {
        EXPECT_EQ(cont.obj_nr, 1);
        EXPECT_GT(cont.epoch_max, 0);
        EXPECT_LE(cont.epoch_max, root.epoch_bound);
    }
    f->seq = stats.replayed_records_nr;
    fix_close(f);
    f->cfg.is_rdonly = false;
    f->cfg.system.b[0]--;
}

static void
start(struct fix *f)
{
    struct bio_stats stats;

    if (!fix_open(f))
        return;
    bio_stats_get(f->bio, &stats);
    f->seq = stats.replayed_records_nr;
    EXPECT_EQ(vals_read(f), 0);
    fix_close(f);
}

TEST_ON(vos_look, sees_what_the_next_start_sees, BACKEND_SIM)
{
    uint64_t first;
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f) && fix_run(&f, setup_killed) && fix_crash(&f, false)) {
        EXPECT(fix_run(&f, look));
        first = f.seq;
        EXPECT_GT(first, 0);
        EXPECT(fix_run(&f, look));
        EXPECT_EQ(f.seq, first);
        EXPECT(fix_run(&f, start));
        EXPECT_EQ(f.seq, first); /* no look left anything */
        EXPECT(fix_run(&f, look));
        EXPECT_EQ(f.seq, 0);
    }
    fix_down(&f);
}

/* ---- the collector's queue, requests -------------------------------------------------------------------------------- */

enum { GONE_NR = 6, GONE_KEYS_NR = 400, CLIENT_NR = 3, SLOT_STEP = 40 };

static struct uuid
gone_id(uint32_t i)
{
    return (struct uuid){.b = {0x60, (uint8_t)i}};
}

struct gone {
    struct fix *f;
    uint32_t i, *done_nr;
};

static void
gone_main(void *arg)
{
    const struct gone *g = arg;

    EXPECT_OK(vos_cont_destroy(g->f->tgt, g->f->pool, gone_id(g->i)));
    ++*g->done_nr;
}

static void
setup_queue(struct fix *f)
{
    static uint8_t data[5000];
    static struct gone gone[GONE_NR];
    static uint32_t done_nr;
    struct vos_cont *keep;
    char key[16];

    if (!fix_format(f))
        return;
    done_nr = 0;
    keep = f->cont;
    for (uint32_t i = 0; i < GONE_NR; i++) {
        EXPECT_OK(vos_cont_create(f->tgt, f->pool, gone_id(i)));
        if (!EXPECT_OK(vos_cont_open(f->tgt, f->pool, gone_id(i), &f->cont)))
            return;
        for (uint32_t k = 0; k < GONE_KEYS_NR; k++) {
            snprintf(key, sizeof(key), "k%u", k);
            EXPECT_OK(fix_put(f, 1 + k % 3, key, "a", data, k % 10 == 0 ? sizeof(data) : 30, 0));
        }
        vos_cont_close(f->cont);
    }
    f->cont = keep;
    /* Three clients, slots in several groups, each used twice. */
    for (uint32_t i = 0; i < CLIENT_NR * 2 * 5; i++) {
        struct vos_iod iod = {
            .akey = IOV("a"), .type = VOS_IOD_SINGLE, .size = 4, .data = {(void *)&i, 4}};
        struct vos_mod mod = {
            .op = VOS_MOD_UPDATE, .oid = fix_oid(1), .dkey = IOV("req"), .iod_nr = 1, .iods = &iod};
        struct vos_apply_args args = {.mods = &mod,
            .mod_nr = 1,
            .req = {.client = {.b = {0xc1, (uint8_t)(i % CLIENT_NR)}},
                .slot = i / CLIENT_NR / 2 * SLOT_STEP,
                .seq = 1 + i / CLIENT_NR % 2,
                .hlc = 1 + i},
            .result = {(void *)&i, sizeof(i)}};

        EXPECT_OK(vos_apply(f->cont, &args, NULL));
    }
    /* All at once; killed when the first of them is queued for good, so that the collector has not got far. */
    for (uint32_t i = 0; i < GONE_NR; i++) {
        gone[i] = (struct gone){f, i, &done_nr};
        EXPECT_OK(ult_create(f->xs, ULT_SERVICE, gone_main, &gone[i], NULL));
    }
    while (done_nr == 0) {
        ult_yield();
    }
}

struct queue {
    uint32_t nr;
    uint64_t offs[GONE_NR];
    bool has[GONE_NR];
    uint32_t req_nr;
};

static void
take_gc(void *arg, const struct vos_look_gc *gc)
{
    struct queue *q = arg;

    if (!EXPECT_LT(q->nr, GONE_NR))
        return;
    q->offs[q->nr++] = gc->off;
    EXPECT(!gc->is_pool);
    EXPECT_EQ(gc->uuid.b[0], 0x60);
    if (EXPECT_LT(gc->uuid.b[1], GONE_NR)) {
        EXPECT(!q->has[gc->uuid.b[1]]);
        q->has[gc->uuid.b[1]] = true;
    }
}

static void
take_req(void *arg, const struct vos_look_req *req)
{
    struct queue *q = arg;
    uint32_t i;

    q->req_nr++;
    EXPECT_EQ(req->seq, 2);
    EXPECT_EQ(req->slot % SLOT_STEP, 0);
    if (!EXPECT_EQ(req->result_len, sizeof(i)))
        return;
    memcpy(&i, req->result, sizeof(i));
    EXPECT_EQ(req->hlc, 1 + i);
    EXPECT_EQ(req->client.b[1], i % CLIENT_NR);
    EXPECT_EQ(req->slot, i / CLIENT_NR / 2 * SLOT_STEP);
    EXPECT_GT(req->epoch, 0);
}

static void
look_queue(struct fix *f)
{
    struct vos_look_root root = {.gc_nr = 0};
    struct vos_look_pool pool;
    struct queue q = {.nr = 0}, again = {.nr = 0};
    struct vos_gc_df *gc;
    uint64_t was;

    f->cfg.is_rdonly = true;
    if (!fix_open(f))
        return;
    EXPECT_OK(vos_look_gc(f->tgt, take_gc, &q));
    EXPECT_GT(q.nr, 0); /* killed before all was collected */
    EXPECT_OK(vos_look_root(f->tgt, &root));
    EXPECT_EQ(root.gc_nr, q.nr);
    EXPECT_OK(vos_look_reqs(f->tgt, f->pool, take_req, &q));
    EXPECT_EQ(q.req_nr, CLIENT_NR * 5);
    EXPECT_ERR(vos_look_reqs(f->tgt, gone_id(99), take_req, &q), NONEXIST);
    EXPECT_ERR(vos_look_pool(f->tgt, gone_id(99), &pool), NONEXIST);
    EXPECT_OK(vos_look_pool(f->tgt, f->pool, &pool));
    EXPECT(!pool.scrub_is_running);
    /* A queue that is a ring, and one whose entry is none. */
    gc = umem_ptr(f->tgt->um, q.offs[q.nr / 2]);
    if (EXPECT(gc != NULL)) {
        was = gc->next;
        gc->next = q.offs[0];
        EXPECT_ERR(vos_look_gc(f->tgt, NULL, NULL), DF_INVAL);
        EXPECT_ERR(vos_look_root(f->tgt, &root), DF_INVAL);
        gc->next = was;
        gc->magic ^= 1;
        EXPECT_ERR(vos_look_gc(f->tgt, NULL, NULL), DF_INVAL);
        gc->magic ^= 1;
        EXPECT_OK(vos_look_gc(f->tgt, take_gc, &again));
        EXPECT_EQ(again.nr, q.nr);
    }
    fix_close(f);
    f->cfg.is_rdonly = false;
}

TEST_ON(vos_look, what_waits_for_the_collector_and_requests, BACKEND_SIM)
{
    struct fix f;

    fix_prepare(&f);
    if (fix_up_default(&f) && fix_run(&f, setup_queue) && fix_crash(&f, false))
        EXPECT(fix_run(&f, look_queue));
    fix_down(&f);
}

/* ---- damage --------------------------------------------------------------------------------------------------------- */

struct place {
    uint64_t off, len;
};

struct verdict {
    bool is_sound, is_open, is_torn;
    uint32_t bad_nr;
    uint32_t slot_nr, group_nr;
    struct place slots[PLACES_NR], groups[PLACES_NR]; /* of the meta role, of the log */
};

static int
note_group(void *arg, const struct bio_look_log *part)
{
    struct fix *f = arg;
    struct verdict *v = f->arg;
    uint64_t ring = f->cfg.wal_bytes / BIO_BLK_BYTES - 1;

    if (part->rec == NULL && v->group_nr < PLACES_NR) {
        v->groups[v->group_nr++] =
            (struct place){(1 + part->group->pos % ring) * BIO_BLK_BYTES, part->group->bytes};
    }
    return 0;
}

static void
judge(struct fix *f)
{
    struct verdict *v = f->arg;
    struct vos_scrub *scrub = NULL;
    struct bio_look_end end = {0};
    uint64_t nr = 0;
    int rc, found = 0;

    *v = (struct verdict){0};
    f->cfg.is_rdonly = f->cfg.is_tolerant = true;
    rc = bio_open(f->xs, &f->cfg, &f->bio);
    f->cfg.is_rdonly = f->cfg.is_tolerant = false;
    if (rc != 0)
        return;
    found = bio_status(f->bio);
    if (found == 0 && vos_tgt_open(f->bio, &f->tgt) != 0)
        found = -1;
    if (found == 0) {
        v->is_open = true;
        found = bio_check(f->bio);
        rc = vos_look_check(f->tgt, NULL, NULL, &nr);
        EXPECT_EQ(rc != 0, nr > 0);
        found = found != 0 ? found : rc;
        EXPECT_OK(bio_look_log(f->bio, note_group, f, &end));
        v->is_torn = end.is_torn;
        for (uint64_t p = 0; p < bio_look_page_nr(f->bio) && v->slot_nr < PLACES_NR; p++) {
            struct bio_look_page page;

            bio_look_page(f->bio, p, &page);
            if (page.slot != 0)
                v->slots[v->slot_nr++] = (struct place){page.file_off, UMEM_PAGE_BYTES};
        }
        rc = vos_scrub_create(f->tgt, f->pool, NULL, NULL, &scrub);
        if (rc == 0)
            rc = vos_scrub_step(scrub, UINT64_MAX);
        if (rc == 0 && vos_scrub_stats(scrub)->bad_nr > 0)
            rc = -DER_CSUM;
        found = found != 0 ? found : rc;
        vos_scrub_free(scrub);
        rc = vos_cont_open(f->tgt, f->pool, f->cont_id, &f->cont);
        v->bad_nr = rc == 0 ? vals_read(f) : VAL_NR;
        found = found != 0 ? found : rc;
        vos_cont_close(f->cont);
    }
    v->is_sound = found == 0;
    f->cont = NULL;
    vos_tgt_close(f->tgt);
    f->tgt = NULL;
    bio_close(f->bio);
    f->bio = NULL;
}

static void
ignore_log(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    uint32_t *nr = arg;

    (void)file;
    (void)line;
    (void)text;
    *nr += level <= LOG_LEVEL_WARN;
}

enum where { IN_SLOTS, IN_GROUPS, IN_SUPERBLOCK, IN_DATA };

/* One bit flipped in what is used, and the next when that is put right. */
static void
flips(void (*setup)(struct fix *f), const char *file, enum where where, uint32_t hits_min)
{
    static struct verdict v, first;
    uint32_t hits = 0, lines = 0, partly = 0;
    struct fix f;

    fix_prepare(&f);
    f.cfg.meta_bytes = 4 << 20;
    f.meta_quota = 2 << 20;
    f.cfg.data_bytes = 4 << 20;
    f.data_quota = 3 << 20;
    f.arg = &v;
    if (fix_up_default(&f) && fix_run(&f, setup) && fix_crash(&f, false)) {
        log_sink_set(ignore_log, &lines, LOG_LEVEL_WARN);
        EXPECT(fix_run(&f, judge));
        EXPECT(v.is_sound);
        EXPECT_EQ(v.bad_nr, 0);
        EXPECT_EQ(lines, 0);
        first = v;
        for (uint32_t i = 0; i < ROUNDS && !test_failed(); i++) {
            struct place p = {0, where == IN_DATA ? 1 << 20 : BIO_BLK_BYTES};
            uint64_t bit;

            if (where == IN_SLOTS)
                p = first.slots[rng_below(&f.rng, first.slot_nr)];
            if (where == IN_GROUPS)
                p = first.groups[rng_below(&f.rng, first.group_nr)];
            bit = p.off * 8 + rng_below(&f.rng, p.len * 8);
            lines = 0;
            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, file, bit));
            EXPECT(fix_run(&f, judge));
            v.is_sound &= lines == 0; /* what was passed over by the opening */
            if (v.is_sound && !v.is_torn)
                EXPECT_EQ(v.bad_nr, 0);
            if (!v.is_sound)
                EXPECT_GT(lines, 0);
            hits += !v.is_sound || v.is_torn;
            partly += !v.is_sound && v.is_open && v.bad_nr < VAL_NR;
            EXPECT_OK(sim_file_flip_bit(f.sim, FIX_HOST, file, bit));
        }
        EXPECT_GE(hits, hits_min);
        EXPECT_GE(partly, hits_min / 3); /* what is left can be read */
        log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    }
    fix_down(&f);
}

TEST_ON(vos_look, finds_flipped_bits, BACKEND_SIM)
{
    flips(setup_closed, "/t/d0/meta", IN_SLOTS, ROUNDS);
    flips(setup_closed, "/t/d0/data", IN_DATA, ROUNDS / 3);
    flips(setup_closed, "/t/d0/target", IN_SUPERBLOCK, ROUNDS);
    flips(setup_closed, "/t/d0/wal", IN_SUPERBLOCK, ROUNDS);
    flips(setup_killed, "/t/d0/meta", IN_SLOTS, ROUNDS);
    flips(setup_killed, "/t/d0/wal", IN_GROUPS, ROUNDS);
}
