/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The extent space against a naive twin: an array with the state of every block. Random reservations, transactions that publish and
 * free (some aborted), readers that come and go, data that must stay what was written as long as anybody may read it.
 */
#include "base/probe.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"

enum { BLKS = 65536, LIVE_MAX = 512 };

enum blk_state { B_FREE, B_RESV, B_ALLOC, B_WAIT };

struct twin {
    uint8_t blks[BLKS];
    struct bio_ext allocs[LIVE_MAX];
    uint32_t alloc_nr;
    struct bio_resv *resvs[64];
    uint32_t resv_nr;
    uint64_t counts[4];
};

static void
twin_set(struct twin *t, struct bio_ext ext, enum blk_state from, enum blk_state to)
{
    for (uint64_t b = ext.addr / BIO_BLK_BYTES; b < (ext.addr + ext.len) / BIO_BLK_BYTES; b++) {
        if (t->blks[b] != from) {
            EXPECT_EQ(t->blks[b], from);
            return;
        }
        t->blks[b] = (uint8_t)to;
        t->counts[from]--;
        t->counts[to]++;
    }
}

/* BIO-4 seen from outside: blocks that the twin knows as waiting may have become free, never the other way round. */
static void
twin_compare(struct twin *t, struct bio_tgt *tgt)
{
    const struct bio_space_map *sp = &tgt->space;
    struct bio_space space;

    bio_space_get(tgt, &space);
    EXPECT_EQ(sp->resv_blks, t->counts[B_RESV]);
    EXPECT_EQ(sp->alloc_blks, t->counts[B_ALLOC]);
    EXPECT_EQ(sp->free_blks + sp->wait_blks, t->counts[B_FREE] + t->counts[B_WAIT]);
    EXPECT_EQ(space.data_free, sp->free_blks * BIO_BLK_BYTES);
    EXPECT_OK(bio_ext_check(tgt));
}

static void
twin_waiting_is_free(struct twin *t, struct bio_tgt *tgt)
{
    bio_ext_reap(tgt);
    if (tgt->space.wait_blks != 0)
        return;
    for (uint32_t b = 0; b < BLKS; b++) {
        if (t->blks[b] == B_WAIT)
            t->blks[b] = B_FREE;
    }
    t->counts[B_FREE] += t->counts[B_WAIT];
    t->counts[B_WAIT] = 0;
}

static uint64_t
random_bytes(struct rng *rng)
{
    if (rng_chance(rng, 1, 10))
        return rng_range(rng, 1, 16 << 20);
    return rng_range(rng, 1, 300 << 10);
}

static void
reserve_some(struct twin *t, struct bio_tgt *tgt, struct rng *rng)
{
    uint32_t nr = (uint32_t)rng_below(rng, 6);

    while (nr-- > 0 && t->resv_nr < ARRAY_SIZE(t->resvs)) {
        struct bio_resv *resv = NULL;
        uint64_t bytes = random_bytes(rng);
        int rc = bio_ext_reserve(tgt, bytes, (uint32_t)rng_below(rng, 20), &resv);
        struct bio_ext ext;

        if (rc == -DER_NOSPACE)
            return;
        if (!EXPECT_OK(rc))
            return;
        ext = bio_resv_ext(resv);
        EXPECT_GE(ext.len, bytes);
        EXPECT_LT(ext.len, bytes + BIO_BLK_BYTES);
        EXPECT_NE(ext.addr, 0);
        /* From a waiting block only when nobody needs it any more; the twin learns it here. */
        for (uint64_t b = ext.addr / BIO_BLK_BYTES; b < (ext.addr + ext.len) / BIO_BLK_BYTES; b++) {
            if (t->blks[b] == B_WAIT) {
                t->blks[b] = B_FREE;
                t->counts[B_WAIT]--;
                t->counts[B_FREE]++;
            }
        }
        twin_set(t, ext, B_FREE, B_RESV);
        t->resvs[t->resv_nr++] = resv;
    }
}

/* One transaction: publish some reservations, free some extents, commit or abort. */
static uint64_t
one_tx(struct twin *t, struct bio_tgt *tgt, struct rng *rng)
{
    struct umem *um = bio_umem(tgt);
    uint32_t pubs = (uint32_t)rng_below(rng, t->resv_nr + 1), frees, i;
    bool commit = rng_chance(rng, 3, 4);
    struct umem_tx tx;
    uint64_t lsn = 0;

    frees = (uint32_t)rng_below(rng, MIN(t->alloc_nr, 6u) + 1);
    pubs = MIN(pubs, LIVE_MAX - t->alloc_nr);
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    for (i = 0; i < pubs; i++) {
        EXPECT_OK(bio_ext_publish(&tx, tgt, t->resvs[i]));
    }
    for (i = 0; i < frees; i++) {
        EXPECT_OK(bio_ext_free(&tx, tgt, t->allocs[i]));
        EXPECT_ERR(bio_ext_free(&tx, tgt, t->allocs[i]), DF_INVAL);
    }
    if (!commit) {
        umem_tx_abort(&tx);
        for (i = 0; i < pubs; i++) {
            twin_set(t, bio_resv_ext(t->resvs[i]), B_RESV, B_FREE);
            bio_ext_cancel(tgt, t->resvs[i]);
        }
    } else {
        umem_tx_commit(&tx, &lsn);
        for (i = 0; i < frees; i++) {
            twin_set(t, t->allocs[i], B_ALLOC, B_WAIT);
        }
        memmove(t->allocs, t->allocs + frees, (t->alloc_nr - frees) * sizeof(t->allocs[0]));
        t->alloc_nr -= frees;
        for (i = 0; i < pubs; i++) {
            struct bio_ext ext = bio_resv_ext(t->resvs[i]);

            twin_set(t, ext, B_RESV, B_ALLOC);
            t->allocs[t->alloc_nr++] = ext;
            bio_ext_published(tgt, t->resvs[i]);
        }
    }
    memmove(t->resvs, t->resvs + pubs, (t->resv_nr - pubs) * sizeof(t->resvs[0]));
    t->resv_nr -= pubs;
    return lsn;
}

static void
body_model(struct fix *f)
{
    struct twin *t = calloc(1, sizeof(*t));
    struct rng rng;
    uint64_t lsn = 0;

    rng_init(&rng, test_seed());
    t->counts[B_FREE] = BLKS - 1;
    t->blks[0] = B_ALLOC;
    if (!fix_tgt_new(f))
        goto out;
    for (uint32_t round = 0; round < 1500 && !test_failed(); round++) {
        reserve_some(t, f->tgt, &rng);
        lsn = MAX(one_tx(t, f->tgt, &rng), lsn);
        if (rng_chance(&rng, 1, 10))
            EXPECT_OK(bio_wal_wait(f->tgt, lsn));
        if (rng_chance(&rng, 1, 30))
            ult_yield();
        if (round % 50 == 49) {
            twin_waiting_is_free(t, f->tgt);
            twin_compare(t, f->tgt);
        }
        if (round % 300 == 299) {
            /* Recovery knows the durable map alone (BIO-2). */
            while (t->resv_nr > 0) {
                struct bio_resv *resv = t->resvs[--t->resv_nr];

                twin_set(t, bio_resv_ext(resv), B_RESV, B_FREE);
                bio_ext_cancel(f->tgt, resv);
            }
            fix_tgt_close(f);
            if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
                goto out;
            twin_waiting_is_free(t, f->tgt);
            EXPECT_EQ(f->tgt->space.wait_blks, 0);
            twin_compare(t, f->tgt);
            EXPECT_OK(bio_check(f->tgt));
        }
    }
    while (t->resv_nr > 0) {
        bio_ext_cancel(f->tgt, t->resvs[--t->resv_nr]);
    }
    fix_tgt_close(f);
out:
    free(t);
}

/* Goal: BIO-1..BIO-3, exactly. */
TEST_ON(bio_ext, model, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_model);
    fix_fini(&f);
}

static bool
publish_one(struct bio_tgt *tgt, uint64_t bytes, struct bio_ext *ret_ext, uint64_t *ret_lsn)
{
    struct bio_resv *resv = NULL;
    struct umem_tx tx;

    if (!EXPECT_OK(bio_ext_reserve(tgt, bytes, 0, &resv)))
        return false;
    *ret_ext = bio_resv_ext(resv);
    EXPECT_OK(umem_tx_begin(bio_umem(tgt), 0, 0, &tx));
    EXPECT_OK(bio_ext_publish(&tx, tgt, resv));
    umem_tx_commit(&tx, ret_lsn);
    bio_ext_published(tgt, resv);
    return true;
}

static void
body_bio4(struct fix *f)
{
    struct bio_reader old, late;
    struct bio_ext ext;
    struct umem_tx tx;
    uint64_t lsn = 0;

    if (!fix_tgt_new(f) || !publish_one(f->tgt, 1 << 20, &ext, &lsn))
        return;
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    bio_reader_enter(f->tgt, &old);
    EXPECT_OK(umem_tx_begin(bio_umem(f->tgt), 0, 0, &tx));
    EXPECT_OK(bio_ext_free(&tx, f->tgt, ext));
    umem_tx_commit(&tx, &lsn);
    bio_reader_enter(f->tgt, &late);
    EXPECT_EQ(f->tgt->space.wait_blks, 256);
    bio_ext_reap(f->tgt);
    EXPECT_EQ(f->tgt->space.wait_blks, 256); /* not durable */
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    EXPECT_EQ(f->tgt->space.wait_blks, 256); /* a reader from before */
    bio_reader_leave(f->tgt, &old);
    EXPECT_EQ(f->tgt->space.wait_blks, 0); /* the late one never saw it */
    bio_reader_leave(f->tgt, &late);

    /* Without readers durability alone counts. */
    EXPECT(publish_one(f->tgt, 4096, &ext, &lsn));
    EXPECT_OK(umem_tx_begin(bio_umem(f->tgt), 0, 0, &tx));
    EXPECT_OK(bio_ext_free(&tx, f->tgt, ext));
    umem_tx_commit(&tx, &lsn);
    EXPECT_EQ(f->tgt->space.wait_blks, 1);
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    EXPECT_EQ(f->tgt->space.wait_blks, 0);
    fix_tgt_close(f);
}

/* Goal: BIO-4: freed space waits for the log and for its readers. */
TEST_ON(bio_ext, freed_space_waits, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_bio4);
    fix_fini(&f);
}

static void
body_full(struct fix *f)
{
    struct bio_resv *resvs[64], *resv = NULL;
    struct bio_space space;
    uint64_t chunk = (uint64_t)BIO_EXT_CHUNK_BLKS * BIO_BLK_BYTES;
    uint32_t nr = 0;
    int rc;

    f->cfg.data_bytes = 2 * chunk + (1 << 20);
    if (!fix_tgt_new(f))
        return;
    EXPECT_ERR(bio_ext_reserve(f->tgt, 0, 0, &resv), INVAL);
    EXPECT_ERR(bio_ext_reserve(f->tgt, (16 << 20) + 1, 0, &resv), INVAL);
    do {
        rc = bio_ext_reserve(f->tgt, 8 << 20, 0, &resvs[nr]);
        nr += rc == 0;
    } while (rc == 0 && nr < 64);
    EXPECT_ERR(rc, NOSPACE);
    while (nr < 64 && bio_ext_reserve(f->tgt, 1 << 20, 1, &resvs[nr]) == 0) {
        nr++;
    }
    bio_space_get(f->tgt, &space);
    EXPECT_LT(space.data_free, (1 << 20) + f->tgt->space.reserve_blks * BIO_BLK_BYTES + (1 << 20));
    EXPECT_GE(f->tgt->space.free_blks, f->tgt->space.reserve_blks); /* ST-8 */
    EXPECT_OK(bio_ext_reserve(f->tgt, 4096, BIO_STREAM_RECLAIM, &resv));
    bio_ext_cancel(f->tgt, resv);
    while (nr > 0) {
        bio_ext_cancel(f->tgt, resvs[--nr]);
    }
    bio_ext_cancel(f->tgt, NULL);
    EXPECT_EQ(f->tgt->space.free_blks, f->tgt->space.blk_nr - 1);
    for (nr = 0; nr < BIO_RESV_NR_MAX; nr++) {
        if (!EXPECT_OK(bio_ext_reserve(f->tgt, 1, nr, &resv)))
            break;
    }
    EXPECT_ERR(bio_ext_reserve(f->tgt, 1, 0, &resv), BUSY);
    fix_tgt_close(f);
}

/* Goal: NOSPACE only when it is so; the reserve is for those who make room; live reservations are bounded. */
TEST_ON(bio_ext, full, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_full);
    fix_fini(&f);
}

static void
body_streams(struct fix *f)
{
    struct bio_resv *a[32], *b[32];

    if (!fix_tgt_new(f))
        return;
    for (uint32_t i = 0; i < 32; i++) {
        EXPECT_OK(bio_ext_reserve(f->tgt, 64 << 10, 0, &a[i]));
        EXPECT_OK(bio_ext_reserve(f->tgt, 64 << 10, 9, &b[i]));
    }
    for (uint32_t i = 1; i < 32; i++) {
        EXPECT_EQ(bio_resv_ext(a[i]).addr, bio_resv_ext(a[i - 1]).addr + (64 << 10));
        EXPECT_EQ(bio_resv_ext(b[i]).addr, bio_resv_ext(b[i - 1]).addr + (64 << 10));
    }
    fix_tgt_close(f);
}

/* Goal: interleaved streams get contiguous space each. */
TEST_ON(bio_ext, streams_are_contiguous, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_streams);
    fix_fini(&f);
}

static void
body_data(struct fix *f)
{
    uint8_t *buf = NULL, *back = NULL;
    struct bio_ext ext;
    struct bio_stats st;
    uint64_t lsn = 0;

    if (!fix_tgt_new(f) || !publish_one(f->tgt, 100000, &ext, &lsn))
        return;
    EXPECT_OK(bio_buf_get(f->tgt, 100000, (void **)&buf));
    EXPECT_OK(bio_buf_get(f->tgt, 100000, (void **)&back));
    EXPECT_EQ((uintptr_t)buf % BIO_BLK_BYTES, 0);
    memset(buf, 0x77, 131072);
    EXPECT_OK(bio_data_write(f->tgt, ext.addr, buf, 100000));
    EXPECT_OK(bio_data_read(f->tgt, ext.addr, back, 100000));
    for (uint32_t i = 0; i < 102400; i++) {
        if (back[i] != (i < 100000 ? 0x77 : 0)) {
            EXPECT_EQ(i, 102400);
            break;
        }
    }
    EXPECT_ERR(bio_data_write(f->tgt, 0, buf, 4096), INVAL);
    EXPECT_ERR(bio_data_write(f->tgt, 100, buf, 4096), INVAL);
    EXPECT_ERR(bio_data_write(f->tgt, f->cfg.data_bytes, buf, 4096), INVAL);
    EXPECT_ERR(bio_data_read(f->tgt, UINT64_MAX - 4095, buf, 4096), DF_INVAL);
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    bio_stats_get(f->tgt, &st);
    EXPECT_EQ(st.data_syncs_nr, 0); /* published before it was written: nothing to flush then */
    EXPECT(publish_one(f->tgt, 4096, &ext, &lsn));
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    bio_stats_get(f->tgt, &st);
    EXPECT_EQ(st.data_syncs_nr, f->sim != NULL || !f->tgt->data_volatile);
    bio_buf_put(f->tgt, buf, 100000);
    bio_buf_put(f->tgt, back, 100000);
    bio_buf_put(f->tgt, NULL, 4096);
    fix_tgt_close(f);
}

/* Goal: data comes back, tails are zeroed, addresses are checked, a flush precedes the record that points to new data. */
TEST_ON(bio_ext, data, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_data);
    fix_fini(&f);
}

struct waiter {
    struct bio_tgt *tgt;
    void *buf;
    bool got;
};

static void
waiter_main(void *arg)
{
    struct waiter *w = arg;

    EXPECT_OK(bio_buf_get(w->tgt, 16 << 20, &w->buf));
    w->got = true;
}

static void
body_buffers(struct fix *f)
{
    void *bufs[4], *more = NULL;
    struct waiter w = {0};
    struct ult *ult = NULL;

    if (!fix_tgt_new(f))
        return;
    w.tgt = f->tgt;
    EXPECT_ERR(bio_buf_get(f->tgt, (16 << 20) + 1, &bufs[0]), INVAL);
    EXPECT_ERR(bio_buf_get(f->tgt, 0, &bufs[0]), INVAL);
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT_OK(bio_buf_get(f->tgt, (8 << 20) + 1, &bufs[i]));
    }
    EXPECT_OK(ult_create(f->xs, ULT_SERVICE, waiter_main, &w, &ult));
    for (uint32_t i = 0; i < 10; i++) {
        ult_yield();
    }
    EXPECT(!w.got); /* the budget is used up */
    EXPECT_OK(bio_buf_get_more(f->tgt, 16 << 20, &more)); /* who has one does not wait for the others */
    bio_buf_put(f->tgt, more, 16 << 20);
    EXPECT(!w.got);
    for (uint32_t i = 0; i < 4; i++) {
        bio_buf_put(f->tgt, bufs[i], (8 << 20) + 1);
    }
    ult_join(ult);
    EXPECT(w.got);
    bio_buf_put(f->tgt, w.buf, 16 << 20);
    EXPECT_EQ(f->tgt->bufs.used_bytes[0], 0);
    EXPECT_EQ(f->tgt->bufs.used_bytes[1], 0);
    EXPECT_LE(f->tgt->bufs.cached_bytes, BIO_BUF_CACHE_BYTES);
    fix_tgt_close(f);
}

/* Goal: buffers are bounded: who asks for too much waits, and gets it later. */
TEST_ON(bio_ext, buffers_wait, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_buffers);
    fix_fini(&f);
}

/* ---- the data role as memory ------------------------------------------------------------------------------------------ */

enum { MAP_BYTES = 300 * 1000 };

static void
map_pattern(uint8_t *p, size_t len, uint8_t salt)
{
    for (size_t i = 0; i < len; i++) {
        p[i] = (uint8_t)(i * 13 + i / 4096 + salt);
    }
}

/* Files of a simulated tmpfs, whatever else the tests run on. */
static void
ram_take(struct fix *f)
{
    strcpy(f->cfg.dir, "/shm/d0");
    memset(f->cfg.places, 0, sizeof(f->cfg.places));
}

/* Where the value of the test lies; published. */
static struct bio_ext
map_put(struct fix *f, uint8_t salt)
{
    struct umem *um = bio_umem(f->tgt);
    uint64_t written = f->tgt->data_written, lsn = 0;
    struct bio_resv *resv = NULL;
    struct bio_ext ext = {0};
    struct umem_tx tx;
    uint8_t *mem;

    if (!EXPECT_OK(bio_ext_reserve(f->tgt, MAP_BYTES, 0, &resv)))
        return ext;
    ext = bio_resv_ext(resv);
    mem = bio_data_map(f->tgt, ext.addr, ext.len);
    if (!EXPECT(mem != NULL)) {
        bio_ext_cancel(f->tgt, resv);
        return ext;
    }
    memset(mem, 0xee, ext.len);
    map_pattern(mem, MAP_BYTES, salt);
    bio_data_written(f->tgt, ext.addr, MAP_BYTES);
    EXPECT_EQ(f->tgt->data_written, written + 1);
    EXPECT(bio_is_blank(mem + MAP_BYTES, ext.len - MAP_BYTES));
    EXPECT_OK(umem_tx_admit(um));
    EXPECT_OK(umem_tx_begin(um, 0, 0, &tx));
    EXPECT_OK(bio_ext_publish(&tx, f->tgt, resv));
    umem_tx_commit(&tx, &lsn);
    bio_ext_published(f->tgt, resv);
    EXPECT_OK(bio_wal_wait(f->tgt, lsn));
    return ext;
}

static void
map_check(struct fix *f, struct bio_ext ext, uint8_t salt)
{
    uint8_t *want = bio_mem_get(MAP_BYTES), *mem;
    void *buf = NULL;

    map_pattern(want, MAP_BYTES, salt);
    EXPECT_OK(bio_buf_get(f->tgt, MAP_BYTES, &buf));
    memset(buf, 0x11, MAP_BYTES);
    EXPECT_OK(bio_data_read(f->tgt, ext.addr, buf, MAP_BYTES));
    EXPECT_MEM_EQ(buf, want, MAP_BYTES);
    mem = bio_data_map(f->tgt, ext.addr + 5, 1000); /* any address */
    if (EXPECT(mem != NULL))
        EXPECT_MEM_EQ(mem, want + 5, 1000);
    bio_buf_put(f->tgt, buf, MAP_BYTES);
    free(want);
}

/* New memory, written: both ways see it, and it is new no more. */
static void
map_cold(struct fix *f)
{
    struct bio_resv *resv = NULL;
    struct bio_ext ext;
    void *buf = NULL;
    uint8_t *mem;

    if (!EXPECT_OK(bio_ext_reserve(f->tgt, 1 << 20, 0, &resv)))
        return;
    ext = bio_resv_ext(resv);
    EXPECT(bio_data_is_cold(f->tgt, ext.addr, ext.len));
    EXPECT(!bio_data_is_cold(
        f->tgt, ext.addr + (64 << 10), (64 << 10) - BIO_BLK_BYTES)); /* little of it */
    EXPECT_OK(bio_buf_get(f->tgt, ext.len, &buf));
    memset(buf, 0x5c, ext.len);
    EXPECT_OK(bio_data_write(f->tgt, ext.addr, buf, ext.len));
    EXPECT(!bio_data_is_cold(f->tgt, ext.addr, ext.len));
    mem = bio_data_map(f->tgt, ext.addr, ext.len);
    if (EXPECT(mem != NULL))
        EXPECT_MEM_EQ(mem, buf, ext.len);
    bio_buf_put(f->tgt, buf, ext.len);
    bio_ext_cancel(f->tgt, resv);
}

static void
body_map(struct fix *f)
{
    struct bio_ext ext;

    if (!fix_tgt_new(f))
        return;
    if (!f->plat->ops->disk_volatile(f->tgt->data.disk)) {
        EXPECT(bio_data_map(f->tgt, BIO_BLK_BYTES, BIO_BLK_BYTES) == NULL);
        fix_tgt_close(f);
        return;
    }
    EXPECT(bio_data_map(f->tgt, 0, 1) == NULL); /* the superblock is nobody's */
    EXPECT(bio_data_map(f->tgt, BIO_BLK_BYTES, 0) == NULL);
    EXPECT(bio_data_map(f->tgt, f->cfg.data_bytes - 1, 2) == NULL);
    EXPECT(bio_data_map(f->tgt, UINT64_MAX - 1, 2) == NULL);
    EXPECT(bio_data_map(f->tgt, BIO_BLK_BYTES, BIO_BUF_BYTES_MAX + 1) == NULL);
    EXPECT(bio_data_map(f->tgt, f->cfg.data_bytes - 1, 1) != NULL);
    ext = map_put(f, 1);
    map_check(f, ext, 1);
    EXPECT(!bio_data_is_cold(f->tgt, ext.addr, ext.len));
    map_cold(f);
    fix_tgt_close(f);

#ifdef CAIRN_FAULTS
    /* The other way to the same bytes, as where nothing can be mapped. */
    EXPECT(fault_arm("bio.map.none", 0, 1));
    if (EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt))) {
        void *buf = NULL;

        EXPECT(bio_data_map(f->tgt, ext.addr, MAP_BYTES) == NULL);
        EXPECT_OK(bio_buf_get(f->tgt, MAP_BYTES, &buf));
        map_pattern(buf, MAP_BYTES, 2);
        EXPECT_OK(bio_data_write(f->tgt, ext.addr, buf, MAP_BYTES));
        bio_buf_put(f->tgt, buf, MAP_BYTES);
        fix_tgt_close(f);
    }
    if (EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt))) {
        map_check(f, ext, 2);
        fix_tgt_close(f);
    }
#endif
}

TEST_ON(bio_ext, map, BACKEND_LINUX | BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f))
        fix_run(&f, body_map);
    fix_fini(&f);
    if (test_backend() == BACKEND_SIM && fix_init(&f)) {
        ram_take(&f);
        fix_run(&f, body_map);
        fix_fini(&f);
    }
}

static struct bio_ext map_killed_ext;

static void
body_map_put(struct fix *f)
{
    if (fix_tgt_new(f))
        map_killed_ext = map_put(f, 7);
}

static void
body_map_again(struct fix *f)
{
    if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
        return;
    map_check(f, map_killed_ext, 7);
    EXPECT_OK(bio_check(f->tgt));
    fix_tgt_close(f);
}

/* ST-10: kill -9 leaves what is in a mapping. */
TEST_ON(bio_ext, map_killed, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f)) {
        ram_take(&f);
        fix_run(&f, body_map_put);
        if (fix_crash(&f, false))
            fix_run(&f, body_map_again);
    }
    fix_fini(&f);
}

/* Memory runs out: no address is given, and writing says why. What was filled before can still be used. */
static void
body_map_full(struct fix *f)
{
    struct bio_resv *resv = NULL;
    struct bio_ext ext;
    void *buf = NULL;

    if (!fix_tgt_new(f))
        return;
    ext = map_put(f, 3);
    EXPECT_OK(bio_ext_reserve(f->tgt, 8 << 20, 0, &resv));
    EXPECT_OK(bio_buf_get(f->tgt, 8 << 20, &buf));
    sim_host_disk_limit(f->sim, "h0", 64 * BIO_BLK_BYTES);
    EXPECT(bio_data_map(f->tgt, bio_resv_ext(resv).addr, 8 << 20) == NULL);
    EXPECT_GE(probe_hits("bio.map.no_memory"), 1);
    EXPECT_ERR(bio_data_write(f->tgt, bio_resv_ext(resv).addr, buf, 8 << 20), NOSPACE);
    EXPECT(bio_data_map(f->tgt, ext.addr, MAP_BYTES) != NULL);
    map_check(f, ext, 3);
    sim_host_disk_limit(f->sim, "h0", UINT64_MAX);
    EXPECT(bio_data_map(f->tgt, bio_resv_ext(resv).addr, 8 << 20) != NULL);
    bio_buf_put(f->tgt, buf, 8 << 20);
    bio_ext_cancel(f->tgt, resv);
    fix_tgt_close(f);
}

TEST_ON(bio_ext, map_full, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f)) {
        ram_take(&f);
        fix_run(&f, body_map_full);
    }
    fix_fini(&f);
}

/* Space that was used before is used again first, so that no more memory is filled than is needed at one time. */
static void
body_map_reuse(struct fix *f)
{
    struct bio_resv *resv[8] = {NULL};
    uint64_t end = 0;

    if (!fix_tgt_new(f))
        return;
    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t i = 0; i < 8; i++) {
            struct bio_ext ext;

            if (!EXPECT_OK(bio_ext_reserve(f->tgt, 1 << 20, i, &resv[i])))
                return;
            ext = bio_resv_ext(resv[i]);
            EXPECT(bio_data_map(f->tgt, ext.addr, ext.len) != NULL);
            end = MAX(end, ext.addr + ext.len);
        }
        for (uint32_t i = 0; i < 8; i++) { /* in any order */
            bio_ext_cancel(f->tgt, resv[(i * 3 + round) % 8]);
        }
    }
    EXPECT_LE(end, 9 << 20);
    EXPECT_OK(bio_ext_check(f->tgt));
    fix_tgt_close(f);
}

TEST_ON(bio_ext, map_reuse, BACKEND_SIM)
{
    struct fix f;

    if (fix_init(&f)) {
        ram_take(&f);
        fix_run(&f, body_map_reuse);
    }
    fix_fini(&f);
}
