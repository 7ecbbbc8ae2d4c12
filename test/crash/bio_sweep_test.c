/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Crash sweep of a target's storage. A workload of four writers, a reader and frequent checkpoints runs on the simulated disk; power
 * is cut at the n-th write or sync, for every n; the target is opened again and compared with a record that the test keeps outside of
 * the process (SM-3):
 *
 *   - every transaction that was acknowledged, or seen by anybody, is there; those after it are there up to some point and
 *     absent beyond it (whole, and in order);
 *   - blocks and extents hold the bytes of exactly that state; nothing is allocated twice, nothing leaked;
 *   - recovery may itself be cut short and is repeated.
 *
 * The user's root is a table of slots. A transaction changes one to three slots of its writer: a block of memory, an extent of
 * data, or both; the old ones are freed. The data role is small, so that freed space is wanted at once.
 *
 * Some sweeps run on a device that is shared with a second target, which counts: what it acknowledged must be there, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/probe.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio_dev.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"

enum {
    WRITER_NR = 4,
    READER_NR_MAX = 3,
    SLOT_NR = 40,
    SLOTS_EACH = SLOT_NR / WRITER_NR,
    TX_MAX = 4000,
    CHANGE_MAX = 3,
    PAD_NR_MAX = 128,
    PAD_BYTES = 8000,
    DATA_BYTES = 1 << 20,
    POOR_CKPT_NS = 10000000
};

struct slot {
    uint64_t off; /* of the block, 0: none */
    uint64_t len;
    uint64_t addr; /* of the extent, 0: none */
    uint64_t ext_len;
    uint64_t ver; /* pattern of the block */
    uint64_t ext_ver; /* pattern of the extent */
};

struct table {
    uint64_t tx_nr;
    struct slot slots[SLOT_NR];
};
_Static_assert(sizeof(struct table) <= UMEM_ROOT_BYTES, "the table is the user's root");

/* What one transaction made of its slots. */
struct change {
    uint32_t nr;
    uint32_t idx[CHANGE_MAX];
    struct slot slots[CHANGE_MAX];
};

struct plan {
    uint32_t reader_nr; /* readers hold freed space back; without them it is reused sooner */
    uint32_t tx_nr; /* of each writer */
    uint32_t block_max; /* bytes */
    uint32_t extents_pct; /* how many changes touch extents */
    uint64_t wal_bytes;
    bool on_device;
    uint64_t mem_bytes; /* for pages; 0: all */
    bool is_poor; /* has memory for twelve pages when it recovers, and few checkpoints before */
    uint32_t pad_nr; /* blocks of PAD_BYTES that each transaction takes and gives back, and logs; checkpoints begin only when the log is full */
    bool is_pmem; /* files are persistent memory: torn by words */
};

struct sweep {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *tgt;
    struct bio_cfg cfg;
    struct bio_dev *dev, *dev_pending; /* with plan->on_device, and: */
    struct bio_tgt *next; /* the second target there */
    uint64_t next_acked, next_issued;
    const struct plan *plan;
    uint64_t seed;
    uint64_t ver; /* patterns given out */
    uint32_t writing_nr; /* writers at work */
    uint64_t evicted_nr, reads_nr;
    bool done, stopped;
    /* outside of the process: what happened, in commit order (1-based) */
    struct change *history;
    uint64_t issued, revealed;
};

enum { LOG_BYTES = 300 };
static char log_last[LOG_BYTES];

struct writer {
    struct sweep *s;
    uint32_t no;
    struct rng rng;
};

/* ---- patterns ---------------------------------------------------------------------------------------------------------- */

static void
pattern_fill(uint8_t *buf, uint64_t len, uint64_t ver)
{
    for (uint64_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)(ver * 131 + i * 7 + (i >> 9) * 13 + 1);
    }
}

static bool
pattern_is(const uint8_t *buf, uint64_t len, uint64_t ver)
{
    for (uint64_t i = 0; i < len; i++) {
        if (buf[i] != (uint8_t)(ver * 131 + i * 7 + (i >> 9) * 13 + 1))
            return false;
    }
    return true;
}

/* ---- workload ---------------------------------------------------------------------------------------------------------- */

static struct table *
table_of(struct bio_tgt *tgt)
{
    return umem_ptr(bio_umem(tgt), umem_root(bio_umem(tgt))); /* the root page is always there */
}

/* A new extent with its pattern; *resv NULL when there is no space now. */
static int
extent_make(struct writer *w, struct slot *slot, struct bio_resv **resv)
{
    struct sweep *s = w->s;
    struct bio_tgt *tgt = s->tgt;
    uint64_t len = rng_range(&w->rng, 1, 9 * BIO_BLK_BYTES);
    void *buf = NULL;
    int rc;

    *resv = NULL;
    rc = bio_ext_reserve(tgt, len, w->no, resv);
    if (rc != 0)
        return rc == -DER_NOSPACE ? 0 : rc;
    rc = bio_buf_get(tgt, len, &buf);
    if (rc == 0) {
        slot->addr = bio_resv_ext(*resv).addr;
        slot->ext_len = len;
        slot->ext_ver = ++s->ver;
        pattern_fill(buf, len, slot->ext_ver);
        rc = bio_data_write(tgt, slot->addr, buf, len);
        bio_buf_put(tgt, buf, len);
    }
    if (rc != 0) {
        bio_ext_cancel(tgt, *resv);
        *resv = NULL;
    }
    return rc;
}

/* Bring one slot of the table to what `want` says, in tx. want->off is filled in here. */
static int
slot_change(
    struct bio_tgt *tgt, struct umem_tx *tx, uint32_t idx, struct slot *want, struct bio_resv *resv)
{
    struct umem *um = bio_umem(tgt);
    struct slot *slot = &table_of(tgt)->slots[idx];
    struct bio_ext old = {.addr = slot->addr, .len = ALIGN_UP(slot->ext_len, BIO_BLK_BYTES)};
    int rc;

    rc = umem_tx_range(tx, umem_root(um) + offsetof(struct table, slots[idx]), sizeof(*slot));
    if (rc == 0 && slot->off != 0 && want->ver != slot->ver)
        rc = umem_free(tx, slot->off);
    if (rc == 0 && want->ver != slot->ver && want->len != 0) {
        rc = umem_alloc(tx, (uint32_t)want->len, &want->off);
        if (rc == 0)
            pattern_fill(umem_ptr(um, want->off), want->len, want->ver);
    }
    if (rc == 0 && slot->addr != 0 && want->ext_ver != slot->ext_ver)
        rc = bio_ext_free(tx, tgt, old);
    if (rc == 0 && resv != NULL)
        rc = bio_ext_publish(tx, tgt, resv);
    if (rc == 0)
        *slot = *want;
    return rc;
}

/* A large record that changes nothing that counts. */
static int
pad_log(struct umem_tx *tx, uint32_t nr)
{
    uint64_t offs[PAD_NR_MAX];
    uint32_t got = 0;
    int rc = 0;

    while (rc == 0 && got < nr) {
        rc = umem_alloc(tx, PAD_BYTES, &offs[got]);
        got += rc == 0;
    }
    while (rc == 0 && got > 0) {
        rc = umem_free(tx, offs[--got]);
    }
    return rc;
}

/* All changes in one transaction; started anew when a page is missing. */
static int
changes_apply(struct writer *w, struct change *ch, struct bio_resv **resvs, uint64_t *ret_lsn)
{
    struct bio_tgt *tgt = w->s->tgt;
    struct umem *um = bio_umem(tgt);
    struct umem_tx tx;
    int rc;

    for (;;) {
        rc = umem_tx_admit(um);
        if (rc != 0)
            return rc;
        rc = umem_tx_begin(um, 0, w->no, &tx);
        if (rc == -DER_AGAIN)
            continue;
        if (rc != 0)
            return rc;
        rc = umem_tx_range(&tx, umem_root(um), 8);
        for (uint32_t i = 0; rc == 0 && i < ch->nr; i++) {
            rc = slot_change(tgt, &tx, ch->idx[i], &ch->slots[i], resvs[i]);
        }
        if (rc == 0)
            rc = pad_log(&tx, w->s->plan->pad_nr);
        if (rc == 0)
            break;
        umem_tx_abort(&tx);
        if (rc != -DER_AGAIN)
            return rc;
        rc = umem_fault(um);
        if (rc != 0)
            return rc;
    }
    umem_fault_done(um);
    w->s->issued = ++table_of(tgt)->tx_nr;
    w->s->history[w->s->issued] = *ch;
    umem_tx_commit(&tx, ret_lsn);
    return 0;
}

static int
one_tx(struct writer *w)
{
    struct sweep *s = w->s;
    struct bio_resv *resvs[CHANGE_MAX] = {NULL};
    struct change ch = {0};
    uint64_t lsn = 0, mine;
    int rc = 0;

    ch.nr = (uint32_t)rng_range(&w->rng, 1, CHANGE_MAX);
    for (uint32_t i = 0; rc == 0 && i < ch.nr; i++) {
        ch.idx[i] = w->no * SLOTS_EACH +
            (uint32_t)((rng_below(&w->rng, SLOTS_EACH / CHANGE_MAX)) * CHANGE_MAX + i);
        ch.slots[i] = table_of(s->tgt)->slots[ch.idx[i]];
        if (rng_below(&w->rng, 100) < s->plan->extents_pct) {
            struct slot none = ch.slots[i];

            none.addr = none.ext_len = none.ext_ver = 0;
            rc = extent_make(w, &none, &resvs[i]);
            ch.slots[i] = none; /* no space: the slot loses its extent, which makes some */
        }
        if (ch.slots[i].ext_ver == table_of(s->tgt)->slots[ch.idx[i]].ext_ver ||
            rng_chance(&w->rng, 1, 2)) {
            ch.slots[i].off = 0;
            ch.slots[i].len =
                rng_chance(&w->rng, 1, 6) ? 0 : rng_range(&w->rng, 1, s->plan->block_max);
            ch.slots[i].ver = ++s->ver;
        }
    }
    if (rc == 0)
        rc = changes_apply(w, &ch, resvs, &lsn);
    mine = s->issued;
    for (uint32_t i = 0; i < ch.nr; i++) {
        if (resvs[i] != NULL && rc == 0) {
            bio_ext_published(s->tgt, resvs[i]);
        } else {
            bio_ext_cancel(s->tgt, resvs[i]);
        }
    }
    if (rc == 0 && rng_chance(&w->rng, 4, 5)) {
        rc = bio_wal_wait(s->tgt, lsn);
        if (rc == 0)
            s->revealed = MAX(s->revealed, mine); /* acknowledged */
    }
    return rc;
}

static void
writer_main(void *arg)
{
    struct writer *w = arg;
    struct sweep *s = w->s;

    for (uint32_t i = 0; i < s->plan->tx_nr && !s->stopped; i++) {
        int rc = one_tx(w);

        if (rc != 0) {
            EXPECT_OK(rc);
            s->stopped = true;
        }
        if (rng_chance(&w->rng, 1, 3)) {
            s->evicted_nr +=
                umem_evict(bio_umem(s->tgt), (uint32_t)rng_below(&w->rng, 3), rng_u64(&w->rng));
        }
        if (rng_chance(&w->rng, 1, 4))
            ult_sleep(rng_below(&w->rng, 300000));
    }
    s->writing_nr--;
}

/* Reads extents that writers free at the same time (BIO-4). */
static void
reader_main(void *arg)
{
    struct writer *w = arg;
    struct sweep *s = w->s;

    while (s->writing_nr > 0 && !s->stopped) {
        struct bio_reader rd;
        struct slot slot;
        void *buf = NULL;

        bio_reader_enter(s->tgt, &rd);
        slot = table_of(s->tgt)->slots[rng_below(&w->rng, SLOT_NR)];
        ult_sleep(rng_below(&w->rng, 2000000));
        if (slot.addr != 0 && EXPECT_OK(bio_buf_get(s->tgt, slot.ext_len, &buf))) {
            EXPECT_OK(bio_data_read(s->tgt, slot.addr, buf, slot.ext_len));
            EXPECT(pattern_is(buf, slot.ext_len, slot.ext_ver));
            bio_buf_put(s->tgt, buf, slot.ext_len);
        }
        s->reads_nr += slot.addr != 0;
        bio_reader_leave(s->tgt, &rd);
        ult_sleep(rng_below(&w->rng, 50000));
    }
}

/* The second target on the device counts, while the others write. */
static void
next_main(void *arg)
{
    struct sweep *s = arg;
    struct umem *um = bio_umem(s->next);

    while (s->writing_nr > 0) {
        struct umem_tx tx;
        uint64_t lsn = 0;

        if (!EXPECT_OK(umem_tx_admit(um)) || !EXPECT_OK(umem_tx_begin(um, 0, 0, &tx)))
            return;
        EXPECT_OK(umem_tx_range(&tx, umem_root(um), 8));
        s->next_issued = ++*(uint64_t *)umem_ptr(um, umem_root(um));
        umem_tx_commit(&tx, &lsn);
        if (!EXPECT_OK(bio_wal_wait(s->next, lsn)))
            return;
        s->next_acked = s->next_issued;
    }
}

static void
body_work(void *arg)
{
    struct sweep *s = arg;
    struct writer ws[WRITER_NR + READER_NR_MAX];
    struct ult *ults[WRITER_NR + READER_NR_MAX], *next = NULL;

    s->writing_nr = WRITER_NR;
    if (s->next != NULL)
        EXPECT_OK(ult_create(s->xs, ULT_SERVICE, next_main, s, &next));
    s->stopped = false;
    for (uint32_t i = 0; i < WRITER_NR + s->plan->reader_nr; i++) {
        ws[i].s = s;
        ws[i].no = i;
        rng_init(&ws[i].rng, s->seed * 1000 + i + s->issued);
        EXPECT_OK(ult_create(
            s->xs, ULT_SERVICE, i < WRITER_NR ? writer_main : reader_main, &ws[i], &ults[i]));
    }
    for (uint32_t i = 0; i < WRITER_NR + s->plan->reader_nr; i++) {
        ult_join(ults[i]);
    }
    if (next != NULL)
        ult_join(next);
    s->done = true;
}

/* ---- verification ------------------------------------------------------------------------------------------------------ */

static bool
block_check(struct bio_tgt *tgt, const struct slot *slot, uint64_t *used)
{
    struct umem *um = bio_umem(tgt);
    const uint8_t *mem;

    if (slot->off == 0)
        return EXPECT_EQ(slot->len, 0);
    while ((mem = umem_ptr(um, slot->off)) == NULL) {
        if (!EXPECT_OK(umem_fault(um)))
            return false;
    }
    umem_fault_done(um);
    *used += umem_block_bytes(um, slot->off);
    return EXPECT_GE(umem_block_bytes(um, slot->off), slot->len) &&
        EXPECT(pattern_is(mem, slot->len, slot->ver));
}

static bool
extent_check(struct bio_tgt *tgt, const struct slot *slot, uint8_t *blks, uint64_t *used)
{
    void *buf = NULL;
    bool ok;

    if (slot->addr == 0)
        return EXPECT_EQ(slot->ext_len, 0);
    for (uint64_t b = slot->addr; b < slot->addr + slot->ext_len; b += BIO_BLK_BYTES) {
        if (!EXPECT_EQ(blks[b / BIO_BLK_BYTES], 0))
            return false; /* allocated twice */
        blks[b / BIO_BLK_BYTES] = 1;
        *used += BIO_BLK_BYTES;
    }
    if (!EXPECT_OK(bio_buf_get(tgt, slot->ext_len, &buf)))
        return false;
    ok = EXPECT_OK(bio_data_read(tgt, slot->addr, buf, slot->ext_len)) &&
        EXPECT(pattern_is(buf, slot->ext_len, slot->ext_ver));
    bio_buf_put(tgt, buf, slot->ext_len);
    return ok;
}

/* The target against the record. What it shows is revealed from now on. */
static bool
state_check(struct sweep *s)
{
    static struct slot want[SLOT_NR];
    static uint8_t blks[DATA_BYTES / BIO_BLK_BYTES];
    struct table table = *table_of(s->tgt);
    struct umem_stats us;
    struct bio_space space;
    uint64_t used = 0, data_used = 0;
    bool ok;

    ok = EXPECT_GE(table.tx_nr, s->revealed) && EXPECT_LE(table.tx_nr, s->issued);
    memset(want, 0, sizeof(want));
    memset(blks, 0, sizeof(blks));
    for (uint64_t t = 1; ok && t <= table.tx_nr; t++) {
        const struct change *ch = &s->history[t];

        for (uint32_t i = 0; i < ch->nr; i++) {
            want[ch->idx[i]] = ch->slots[i];
        }
    }
    for (uint32_t i = 0; ok && i < SLOT_NR; i++) {
        ok = EXPECT_MEM_EQ(&table.slots[i], &want[i], sizeof(want[i])) &&
            block_check(s->tgt, &want[i], &used) && extent_check(s->tgt, &want[i], blks, &data_used);
    }
    ok = ok && EXPECT_OK(bio_check(s->tgt));
    umem_stats_get(bio_umem(s->tgt), &us);
    bio_space_get(s->tgt, &space);
    /* The bitmaps of the extent space are blocks, too: a directory and one chunk, once there was an extent. */
    ok = ok && EXPECT(us.used_bytes == used || us.used_bytes == used + 2 * (uint64_t)4080) &&
        EXPECT_EQ(space.data_free, space.data_total - data_used - BIO_BLK_BYTES);
    s->revealed = table.tx_nr;
    s->issued = table.tx_nr;
    return ok;
}

/* Take the device and find our places; the second target's configuration. */
static bool
device_take(struct sweep *s, struct bio_cfg *ret_next)
{
    struct bio_dev_store stores[2];
    struct bio_dev_cfg dev = {.path = "/t/dev",
        .file_bytes = UINT64_C(128) << 20,
        .rank = 1,
        .stores = stores,
        .store_nr = 2,
        .pending = &s->dev_pending};

    for (uint32_t i = 0; i < 2; i++) {
        stores[i] = (struct bio_dev_store){.tgt_idx = 1 - i, /* ours lies behind the other's */
            .roles = 1 << BIO_ROLE_WAL | 1 << BIO_ROLE_META | 1 << BIO_ROLE_DATA,
            .wal_bytes = s->cfg.wal_bytes,
            .meta_bytes = s->cfg.meta_bytes,
            .data_bytes = s->cfg.data_bytes};
    }
    if (!EXPECT_OK(s->plat->ops->dir_create(s->plat, "/t")) ||
        !EXPECT_OK(bio_dev_take(s->xs, &dev, NULL, &s->dev)))
        return false;
    *ret_next = s->cfg;
    ret_next->tgt_idx = 1;
    ret_next->pending = &s->next;
    snprintf(ret_next->dir, sizeof(ret_next->dir), "/t/d1");
    bio_dev_place(s->dev, &s->cfg);
    bio_dev_place(s->dev, ret_next);
    return true;
}

static bool
next_check(struct sweep *s)
{
    uint64_t value = *(uint64_t *)umem_ptr(bio_umem(s->next), umem_root(bio_umem(s->next)));

    if (!EXPECT_GE(value, s->next_acked) || !EXPECT_LE(value, s->next_issued) ||
        !EXPECT_OK(bio_check(s->next)))
        return false;
    s->next_acked = s->next_issued = value;
    return true;
}

static bool
reopen(struct sweep *s)
{
    struct bio_cfg next;

    if (s->plan->on_device &&
        (!device_take(s, &next) || !EXPECT_OK(bio_open(s->xs, &next, &s->next)) || !next_check(s)))
        return false;
    return EXPECT_OK(bio_open(s->xs, &s->cfg, &s->tgt)) && state_check(s);
}

static void
body_reopen(void *arg)
{
    struct sweep *s = arg;

    if (s->plan->is_poor)
        s->cfg.mem_bytes = 1;
    s->stopped = !reopen(s);
    if (s->plan->is_poor && !s->stopped) {
        struct bio_stats st;

        bio_stats_get(s->tgt, &st);
        EXPECT(st.replayed_records_nr < 40 || st.ckpt_pages_nr > 0);
    }
    s->done = true;
}

static bool
format(struct sweep *s)
{
    struct bio_cfg next;

    if (s->plan->on_device &&
        (!device_take(s, &next) || !EXPECT_OK(bio_format(s->xs, &next)) ||
            !EXPECT_OK(bio_open(s->xs, &next, &s->next))))
        return false;
    return EXPECT_OK(bio_format(s->xs, &s->cfg)) && EXPECT_OK(bio_open(s->xs, &s->cfg, &s->tgt));
}

static void
body_format(void *arg)
{
    struct sweep *s = arg;

    s->stopped = !format(s);
    s->done = true;
}

/* Why an open failed, to print it with the failure. */
static void
log_keep(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    (void)level;
    snprintf(arg, LOG_BYTES, "%s:%d %s", file, line, text);
}

/* ---- process life ------------------------------------------------------------------------------------------------------ */

static void
reap(void *arg)
{
    struct sweep *s = arg;

    xstream_stop(s->xs);
    xstream_abandon(s->xs);
    if (s->tgt != NULL)
        bio_abandon(s->tgt);
    if (s->next != NULL)
        bio_abandon(s->next);
    s->tgt = s->next = NULL;
    bio_dev_abandon(s->dev);
    bio_dev_abandon(s->dev_pending);
    s->dev = s->dev_pending = NULL;
    xstream_destroy(s->xs);
    s->xs = NULL;
}

static bool
start(struct sweep *s)
{
    struct xstream_opts opts = {.name = "bio", .cpu = UINT32_MAX};

    if (!EXPECT_OK(sim_node_start(s->sim, "h0", "n0", &s->plat)) ||
        !EXPECT_OK(xstream_create(s->plat, &opts, &s->xs)))
        return false;
    sim_node_on_kill(s->plat, reap, s);
    return EXPECT_OK(xstream_start(s->xs));
}

static bool
is_done(void *arg)
{
    struct sweep *s = arg;

    return s->done || s->xs == NULL;
}

/* Run fn as a ULT until it ends or the process dies; true: it ended. */
static bool
run(struct sweep *s, void (*fn)(void *arg))
{
    s->done = false;
    if (!EXPECT_OK(xstream_post(s->xs, ULT_SERVICE, fn, s)))
        return false;
    EXPECT_OK(sim_run_until(s->sim, is_done, s, UINT64_C(60) * 1000000000));
    return s->done;
}

/* `stalls`: some disk operations take much longer than others, so that what should be in order can overtake. */
static bool
sweep_init(struct sweep *s, const struct plan *plan, uint64_t seed, bool stalls)
{
    struct sim_opts opts = {.seed = seed, .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 150000};

    if (stalls) {
        opts.disk_stall_ppm = 50000;
        opts.disk_stall_ns = 3000000;
    }
    log_sink_set(log_keep, log_last, LOG_LEVEL_ERROR);
    memset(s, 0, sizeof(*s));
    s->plan = plan;
    s->seed = seed;
    s->cfg = (struct bio_cfg){.dir = "/t/d0",
        .wal_bytes = plan->wal_bytes,
        .meta_bytes = 4 << 20,
        .data_bytes = DATA_BYTES,
        .rank = 1,
        .pending = &s->tgt,
        .mem_bytes = plan->mem_bytes,
        .is_pmem = plan->is_pmem,
        .ckpt_interval_ns = 2000000};
    if (plan->is_poor)
        s->cfg.ckpt_interval_ns = POOR_CKPT_NS;
    if (plan->pad_nr > 0) {
        s->cfg.ckpt_pct = 100;
        s->cfg.ckpt_interval_ns = UINT64_C(3600) * 1000000000;
    }
    s->history = calloc(TX_MAX, sizeof(*s->history));
    return EXPECT_OK(sim_create(&opts, &s->sim)) && start(s) && run(s, body_format) && !s->stopped;
}

static void
sweep_fini(struct sweep *s)
{
    if (s->xs != NULL)
        sim_node_kill(s->sim, s->plat);
    if (s->sim != NULL)
        sim_destroy(s->sim);
    free(s->history);
}

/* Open again and compare; recovery itself loses power at its `cut`-th write (0: it does not), then is repeated. */
static bool
recover(struct sweep *s, uint64_t cut)
{
    sim_host_power_loss_at(s->sim, "h0", cut);
    if (!start(s))
        return false;
    if (!run(s, body_reopen)) {
        if (!EXPECT_NE(cut, 0) || !start(s) || !run(s, body_reopen))
            return false;
    }
    sim_host_power_loss_at(s->sim, "h0", 0);
    return !s->stopped;
}

/* One history: work until power is lost at write n; recover; work and recover once more. True: it was lost before the end. */
static bool
one_cut(const struct plan *plan, uint64_t seed, uint64_t n)
{
    static struct sweep s;
    uint64_t waits = probe_hits("bio.wal.admit_waits");
    bool lost = false;

    if (sweep_init(&s, plan, seed, n % 2 == 1)) {
        sim_host_power_loss_at(s.sim, "h0", n);
        lost = !run(&s, body_work);
        if (!lost) {
            struct bio_stats st;

            bio_stats_get(s.tgt, &st);
            if (plan->pad_nr > 0) {
                EXPECT_GE(st.ckpt_nr, 2);
                EXPECT_GT(probe_hits("bio.wal.admit_waits"), waits);
            } else if (!plan->is_poor) {
                EXPECT_GT(st.ckpt_nr, 3);
            }
            EXPECT(plan->is_poor || s.evicted_nr > 3);
            if (plan->mem_bytes != 0) {
                struct umem_stats us;

                umem_stats_get(bio_umem(s.tgt), &us);
                EXPECT_GT(us.evicted_nr, s.evicted_nr + 20); /* not by the test */
                EXPECT_GT(us.loads_nr, 50);
            }
            EXPECT(plan->reader_nr == 0 || s.reads_nr > 3);
            sim_host_power_loss(s.sim, "h0");
        }
        if (recover(&s, n % (plan->is_poor ? 9 : 3)) && n % 4 == 0 && s.issued + 500 < TX_MAX) {
            sim_host_power_loss_at(s.sim, "h0", 1 + n % 23);
            if (run(&s, body_work))
                sim_host_power_loss(s.sim, "h0");
            recover(&s, 0);
        }
    }
    if (test_failed()) {
        fprintf(stderr, "    power lost at write %lu, seed %lu; last log line: %s\n",
            (unsigned long)n, (unsigned long)seed, log_last);
    }
    sweep_fini(&s);
    return lost;
}

/* Cut at every step-th write of the whole workload. */
static void
sweep_all(const struct plan *plan, uint64_t seed, uint64_t step, uint64_t nr_min)
{
    uint64_t n = 1 + seed % step;

    while (!test_failed() && one_cut(plan, seed, n)) {
        n += step;
    }
    EXPECT_GE(n, nr_min); /* the workload was long enough to mean something */
}

/* Small transactions, many extents: group commit, checkpoints, space that is wanted back at once. */
static const struct plan plan_small = {
    .tx_nr = 45, .reader_nr = 0, .block_max = 700, .extents_pct = 60, .wal_bytes = 16 << 20};
/* Blocks of up to 8 KiB: groups of many sectors, which tear. */
static const struct plan plan_large = {
    .tx_nr = 40, .reader_nr = 3, .block_max = 8192, .extents_pct = 40, .wal_bytes = 16 << 20};

/*
 * Memory for twelve pages, of about forty: pages come and go all the time, checkpoints begin because clean ones ran out, and recovery writes pages
 * while it replays.
 */
static const struct plan plan_crowded = {.tx_nr = 40,
    .reader_nr = 1,
    .block_max = 8192,
    .extents_pct = 30,
    .wal_bytes = 16 << 20,
    .mem_bytes = 1};

/* More pages to replay than there is memory for: recovery writes them, and power is lost then, too. */
static const struct plan plan_poor = {.tx_nr = 40,
    .reader_nr = 0,
    .block_max = 8192,
    .extents_pct = 30,
    .wal_bytes = 16 << 20,
    .is_poor = true};

static const struct plan plan_pmem = {.tx_nr = 40,
    .reader_nr = 1,
    .block_max = 6000,
    .extents_pct = 50,
    .wal_bytes = 16 << 20,
    .is_pmem = true};

/* The log is full again and again: transactions wait for a checkpoint, and go on where its first groups were. */
static const struct plan plan_full = {.tx_nr = 20,
    .reader_nr = 0,
    .block_max = 3000,
    .extents_pct = 30,
    .wal_bytes = 16 << 20,
    .pad_nr = 100};

/* Small and large ones on a device that is shared. */
static const struct plan plan_device = {.tx_nr = 40,
    .reader_nr = 1,
    .block_max = 6000,
    .extents_pct = 50,
    .wal_bytes = 16 << 20,
    .on_device = true};

/*
 * Goal: what a restarted process found and showed survives power loss, though its predecessor was killed with writes in flight.
 * Method: kill -9 at a random time, open, compare, lose power at once, open, compare.
 */
static void
kill_rounds(const struct plan *plan, uint32_t nr)
{
    static struct sweep s;
    struct rng rng;

    rng_init(&rng, test_seed());
    for (uint32_t round = 0; round < nr && !test_failed(); round++) {
        if (sweep_init(&s, plan, test_seed() + round, round % 2 == 1)) {
            s.done = false;
            EXPECT_OK(xstream_post(s.xs, ULT_SERVICE, body_work, &s));
            sim_run_for(s.sim, rng_range(&rng, 10000, 8000000));
            sim_node_kill(s.sim, s.plat);
            if (recover(&s, 0)) {
                sim_host_power_loss(s.sim, "h0");
                recover(&s, 0);
            }
        }
        if (test_failed())
            fprintf(stderr, "    round %u; last log line: %s\n", round, log_last);
        sweep_fini(&s);
    }
}

TEST_ON(bio_sweep, short_small, BACKEND_SIM)
{
    sweep_all(&plan_small, test_seed() + 2, 11, 150);
}

TEST_ON(bio_sweep, short_large, BACKEND_SIM)
{
    sweep_all(&plan_large, test_seed() + 3, 11, 100);
}

TEST_ON(bio_sweep, short_device, BACKEND_SIM)
{
    sweep_all(&plan_device, test_seed() + 5, 61, 100);
}

TEST_ON(bio_sweep, short_pmem, BACKEND_SIM)
{
    sweep_all(&plan_pmem, test_seed() + 8, 13, 100);
    kill_rounds(&plan_pmem, 5);
}

TEST_ON(bio_sweep, every_third_write_pmem, BACKEND_SIM)
{
    sweep_all(&plan_pmem, test_seed() + 9, 3, 100);
    kill_rounds(&plan_pmem, 40);
}

TEST_ON(bio_sweep, short_crowded, BACKEND_SIM)
{
    sweep_all(&plan_crowded, test_seed() + 6, 23, 100);
    kill_rounds(&plan_crowded, 5);
}

TEST_ON(bio_sweep, short_poor, BACKEND_SIM)
{
    sweep_all(&plan_poor, test_seed() + 12, 7, 60);
}

TEST_ON(bio_sweep, every_write_poor, BACKEND_SIM)
{
    sweep_all(&plan_poor, test_seed() + 13, 1, 60);
}

TEST_ON(bio_sweep, short_full_log, BACKEND_SIM)
{
    sweep_all(&plan_full, test_seed() + 10, 23, 60);
}

TEST_ON(bio_sweep, every_write_full_log, BACKEND_SIM)
{
    sweep_all(&plan_full, test_seed() + 11, 1, 60);
}

TEST_ON(bio_sweep, every_third_write_crowded, BACKEND_SIM)
{
    sweep_all(&plan_crowded, test_seed() + 7, 3, 100);
    kill_rounds(&plan_crowded, 40);
}

TEST_ON(bio_sweep, every_ninth_write_device, BACKEND_SIM)
{
    sweep_all(&plan_device, test_seed() + 4, 9, 100);
}

TEST_ON(bio_sweep, short_kill_then_power_loss, BACKEND_SIM)
{
    kill_rounds(&plan_large, 18);
    kill_rounds(&plan_device, 4);
}

TEST_ON(bio_sweep, every_kill_then_power_loss, BACKEND_SIM)
{
    kill_rounds(&plan_large, 100);
    kill_rounds(&plan_device, 40);
}

TEST_ON(bio_sweep, every_write_large, BACKEND_SIM)
{
    sweep_all(&plan_large, test_seed() + 1, 1, 100);
}

TEST_ON(bio_sweep, every_write_small, BACKEND_SIM)
{
    sweep_all(&plan_small, test_seed(), 1, 150);
}
