/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: whatever fails inside of a public call, the target stays whole and goes on answering right. Method: a table with every public function of bio.h and umem.h
 * (the script vos_calls_complete_test.py of vos sees to that); each call is made again and again with the n-th allocation failing, and with the n-th disk operation failing, for
 * n = 1, 2, ... until nothing fails any more. After each of them the call answered success, NOMEM or NVME_IO; the list in the arena and the extent of the data role are
 * what they were before, or what the call makes of them; the checks find nothing; a target that stopped is opened anew.
 */
#include "base/util.h"
#include "bio/bio_priv.h"
#include "bio_test_fix.h"
#include "bio_test_list.h"
#include "bio_test_sweep.h"

enum { NODES_NR = 40, NODE_BYTES = 700, EXT_BYTES = 20000, EXT_OFF = 64 };

/* At EXT_OFF of the user's root: the extent, and which pattern it holds. */
struct slot {
    struct bio_ext ext;
    uint64_t pattern;
};

struct state {
    uint64_t nodes_nr, pattern;
};

struct calls {
    const struct call *call;
    struct state before, after;
    struct sweep sweep;
};

struct call {
    const char *names;
    void (*prepare)(struct fix *f);
    int (*run)(struct fix *f);
};

static struct calls *
calls_of(struct fix *f)
{
    return f->arg;
}

static struct slot
slot_of(struct fix *f)
{
    struct umem *um = bio_umem(f->tgt);

    return *(struct slot *)(void *)((uint8_t *)at(um, umem_root(um)) + EXT_OFF);
}

/* ---- transactions --------------------------------------------------------------------------------------------------- */

/* Begin, with a body that may miss pages; committed and durable, or nothing. */
static int
tx_do(struct fix *f, int (*body)(struct fix *f, struct umem_tx *tx, void *arg), void *arg)
{
    struct umem *um = bio_umem(f->tgt);
    struct umem_tx tx;
    uint64_t lsn = 0;
    int rc;

    do {
        rc = umem_tx_admit(um);
        if (rc != 0)
            break;
        rc = umem_tx_begin(um, UMEM_TX_RECLAIM, 1, &tx);
        if (rc == -DER_AGAIN)
            continue;
        if (rc != 0)
            break;
        rc = body(f, &tx, arg);
        if (rc == 0) {
            umem_tx_commit(&tx, &lsn);
            EXPECT_GE(bio_wal_last(f->tgt), lsn);
            rc = bio_wal_wait(f->tgt, lsn);
            if (rc == 0)
                EXPECT_GE(bio_wal_durable(f->tgt), lsn);
            break;
        }
        umem_tx_abort(&tx);
        if (rc == -DER_AGAIN)
            rc = umem_fault(um) == 0 ? -DER_AGAIN : -DER_NVME_IO;
    } while (rc == -DER_AGAIN);
    umem_fault_done(um);
    return rc;
}

static int
push_body(struct fix *f, struct umem_tx *tx, void *arg)
{
    struct umem *um = bio_umem(f->tgt);
    struct root *root = umem_ptr(um, umem_root(um));
    uint64_t off = 0;
    struct node *node;
    int rc;

    (void)arg;
    if (root == NULL)
        return -DER_AGAIN;
    rc = umem_tx_range(tx, umem_root(um), sizeof(*root));
    if (rc == 0)
        rc = umem_alloc_part(tx, sizeof(*node) + NODE_BYTES, sizeof(*node), &off);
    if (rc != 0)
        return rc;
    node = umem_ptr(um, off);
    *node = (struct node){.next = root->head, .value = root->nr, .bytes = NODE_BYTES};
    memset(node + 1, (int)(root->nr & 0xff), NODE_BYTES);
    root->head = off;
    root->nr++;
    return 0;
}

static int
run_push(struct fix *f)
{
    return tx_do(f, push_body, NULL);
}

static int
pop_body(struct fix *f, struct umem_tx *tx, void *arg)
{
    struct umem *um = bio_umem(f->tgt);
    struct root *root = umem_ptr(um, umem_root(um));
    const struct node *node;
    int rc;

    (void)arg;
    if (root == NULL)
        return -DER_AGAIN;
    node = umem_ptr(um, root->head);
    if (node == NULL)
        return -DER_AGAIN;
    EXPECT_GE(umem_block_bytes(um, root->head), sizeof(*node) + NODE_BYTES);
    rc = umem_tx_range(tx, umem_root(um), sizeof(*root));
    if (rc == 0)
        rc = umem_free(tx, root->head);
    if (rc == 0) {
        root->head = node->next;
        root->nr--;
    }
    return rc;
}

static int
run_pop(struct fix *f)
{
    return tx_do(f, pop_body, NULL);
}

static void
prepare_list(struct fix *f)
{
    while (list_nr(f->tgt) < NODES_NR && EXPECT_OK(run_push(f))) {
    }
    while (list_nr(f->tgt) > NODES_NR && EXPECT_OK(run_pop(f))) {
    }
}

/* ---- extents -------------------------------------------------------------------------------------------------------- */

struct swap {
    struct bio_resv *resv;
    uint64_t pattern;
};

static int
swap_body(struct fix *f, struct umem_tx *tx, void *arg)
{
    struct swap *s = arg;
    struct umem *um = bio_umem(f->tgt);
    uint8_t *root = umem_ptr(um, umem_root(um));
    struct slot *slot;
    int rc;

    if (root == NULL)
        return -DER_AGAIN;
    slot = (struct slot *)(void *)(root + EXT_OFF);
    rc = umem_tx_range(tx, umem_root(um) + EXT_OFF, sizeof(*slot));
    if (rc == 0)
        rc = bio_ext_publish(tx, f->tgt, s->resv);
    if (rc == 0 && slot->ext.len != 0)
        rc = bio_ext_free(tx, f->tgt, slot->ext);
    if (rc == 0)
        *slot = (struct slot){bio_resv_ext(s->resv), s->pattern};
    return rc;
}

/* The extent with another pattern takes the place of the one before. */
static int
swap(struct fix *f, uint64_t pattern)
{
    struct swap s = {.pattern = pattern};
    void *buf = NULL;
    uint64_t lsn;
    int rc = bio_ext_reserve(f->tgt, EXT_BYTES, 0, &s.resv);

    if (rc == 0)
        rc = bio_buf_get(f->tgt, EXT_BYTES, &buf);
    if (rc == 0) {
        memset(buf, (int)pattern, EXT_BYTES);
        rc = bio_data_write(f->tgt, bio_resv_ext(s.resv).addr, buf, EXT_BYTES);
        bio_buf_put(f->tgt, buf, EXT_BYTES);
    }
    lsn = bio_wal_last(f->tgt);
    if (rc == 0)
        rc = tx_do(f, swap_body, &s);
    /* Committed, though perhaps not durable. */
    if (s.resv != NULL && bio_wal_last(f->tgt) > lsn && slot_of(f).pattern == pattern) {
        bio_ext_published(f->tgt, s.resv);
    } else {
        bio_ext_cancel(f->tgt, s.resv);
    }
    return rc;
}

static int
run_swap(struct fix *f)
{
    return swap(f, 0x22);
}

static void
prepare_extent(struct fix *f)
{
    if (slot_of(f).pattern != 0x11)
        EXPECT_OK(swap(f, 0x11));
}

static int
read_extent(struct fix *f, bool more, uint64_t *ret_pattern)
{
    struct slot slot = slot_of(f);
    struct bio_reader rd;
    void *buf = NULL, *other = NULL;
    bool is_whole = true;
    int rc = bio_buf_get(f->tgt, EXT_BYTES, &buf);

    if (rc != 0)
        return rc;
    if (more) {
        rc = bio_buf_get_more(f->tgt, 5000, &other);
        if (rc == 0)
            bio_buf_put(f->tgt, other, 5000);
    }
    bio_reader_enter(f->tgt, &rd);
    if (rc == 0 && more) {
        struct bio_req req;

        bio_data_read_start(f->tgt, &req, slot.ext.addr, buf, EXT_BYTES);
        rc = bio_data_read_wait(&req);
    } else if (rc == 0)
        rc = bio_data_read(f->tgt, slot.ext.addr, buf, EXT_BYTES);
    bio_reader_leave(f->tgt, &rd);
    for (uint32_t i = 0; rc == 0 && i < EXT_BYTES; i++) {
        is_whole = is_whole && ((uint8_t *)buf)[i] == slot.pattern;
    }
    EXPECT(is_whole);
    bio_buf_put(f->tgt, buf, EXT_BYTES);
    *ret_pattern = slot.pattern;
    return rc;
}

static int
run_read(struct fix *f)
{
    uint64_t pattern;

    return read_extent(f, false, &pattern);
}

static int
run_read_more(struct fix *f)
{
    uint64_t pattern;

    return read_extent(f, true, &pattern);
}

static int
run_map(struct fix *f)
{
    struct bio_resv *resv = NULL;
    int rc = bio_ext_reserve(f->tgt, EXT_BYTES, 0, &resv);
    uint8_t *mem;

    if (rc != 0)
        return rc;
    CAIRN_IGNORE((int)bio_data_is_cold(f->tgt, bio_resv_ext(resv).addr, bio_resv_ext(resv).len));
    mem = bio_data_map(f->tgt, bio_resv_ext(resv).addr, EXT_BYTES);
    EXPECT(mem == NULL || bio_data_is_mapped(f->tgt));
    if (mem != NULL) {
        memset(mem, 3, EXT_BYTES);
        bio_data_written(f->tgt, bio_resv_ext(resv).addr, EXT_BYTES);
    }
    bio_ext_cancel(f->tgt, resv);
    return 0;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------- */

static void
prepare_nothing(struct fix *f)
{
    (void)f;
}

static int
run_checkpoint(struct fix *f)
{
    return bio_checkpoint(f->tgt);
}

/* Reading the whole list loads its pages. */
static int
run_load(struct fix *f)
{
    struct umem *um = bio_umem(f->tgt);
    struct umem_stats us;
    struct root *root;
    uint64_t off, nr = 0;
    int rc = 0;

    while (rc == 0 && (root = umem_ptr(um, umem_root(um))) == NULL) {
        rc = umem_fault(um);
    }
    off = rc == 0 ? root->head : 0;
    while (rc == 0 && off != 0) {
        struct node *node = umem_ptr(um, off);

        if (node == NULL) {
            if (umem_peek(um, off + UMEM_PAGE_BYTES) == NULL)
                umem_ahead(um, off + UMEM_PAGE_BYTES);
            rc = umem_miss_rc(um);
            if (rc == 0)
                rc = umem_fault(um);
            continue;
        }
        EXPECT(umem_peek(um, off) == node);
        off = node->next;
        nr++;
    }
    umem_fault_done(um);
    umem_stats_get(um, &us);
    EXPECT_GT(us.resident_pages_nr, 0);
    if (rc == 0)
        EXPECT_EQ(nr, NODES_NR);
    return rc;
}

static int
run_check(struct fix *f)
{
    struct bio_space space;
    struct bio_stats stats;
    struct bio_health health;
    int rc = bio_check(f->tgt);

    bio_space_get(f->tgt, &space);
    bio_stats_get(f->tgt, &stats);
    bio_health_get(f->tgt, &health);
    EXPECT_LE(health.state, BIO_STOPPED);
    EXPECT(space.data_free < space.data_total && stats.wal_records_nr > 0);
    EXPECT(bio_xstream(f->tgt) == f->xs && bio_cfg(f->tgt)->rank == f->cfg.rank);
    return rc != 0 ? rc : umem_check(bio_umem(f->tgt));
}

static void
no_bad(void *arg, const struct bio_img_bad *bad)
{
    char text[BIO_IMG_TEXT_BYTES];
    int *rc = arg;

    EXPECT(strstr(bio_img_text(bad, text), "NVME_IO") != NULL);
    EXPECT_EQ(bad->rc, -DER_NVME_IO); /* what can't be read, once */
    *rc = bad->rc;
}

static int
run_scrub(struct fix *f)
{
    uint64_t place = 0, bytes = 0;
    int bad_rc = 0, rc = 0;

    while (rc == 0 && place < bio_scrub_places(f->tgt)) {
        rc = bio_scrub_step(f->tgt, &place, UINT64_MAX, 30000, no_bad, &bad_rc, &bytes);
    }
    return rc != 0 ? rc : bad_rc;
}

/* Both say what the checkers recompute, and change nothing. */
static int
run_statistics(struct fix *f)
{
    struct umem_cls_stats cls[UMEM_CLS_NR_MAX];
    struct bio_ext_stats ext;
    struct umem_stats us;
    uint64_t used = 0;
    uint32_t nr = umem_cls_stats_get(bio_umem(f->tgt), cls);

    for (uint32_t c = 0; c < nr; c++) {
        used += cls[c].live_nr * cls[c].bytes;
    }
    umem_stats_get(bio_umem(f->tgt), &us);
    EXPECT_EQ(used, us.used_bytes);
    EXPECT_EQ(umem_is_short(bio_umem(f->tgt)), us.used_bytes > us.arena_bytes / 2);
    bio_ext_stats_get(f->tgt, &ext);
    EXPECT_GE(ext.alloc_bytes, EXT_BYTES);
    EXPECT_GT(ext.free_runs_nr, 0);
    return bio_check(f->tgt);
}

/* Closed and opened; when that fails, again without a failure. */
static int
run_reopen(struct fix *f)
{
    int rc;

    fix_tgt_close(f);
    rc = bio_open(f->xs, &f->cfg, &f->tgt);
    if (rc != 0) {
        fault_disarm_all();
        disk_shim.left = 0;
        EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt));
    }
    return rc;
}

/* Another one beside; half a format is none. */
static int
run_format(struct fix *f)
{
    struct bio_cfg cfg = f->cfg;
    struct calls *c = calls_of(f);
    bool is_there = true;
    int rc;

    cfg.pending = NULL;
    snprintf(cfg.dir, sizeof(cfg.dir), "/t/x%llu%s", (unsigned long long)c->sweep.n,
        c->sweep.is_alloc ? "a" : "d");
    cfg.wal_bytes = 16 << 20;
    cfg.meta_bytes = 4 << 20;
    cfg.data_bytes = 4 << 20;
    rc = bio_format(f->xs, &cfg);
    if (rc != 0) {
        fault_disarm_all();
        disk_shim.left = 0;
        EXPECT_OK(bio_formatted(f->xs, &cfg, &is_there));
        EXPECT(!is_there && !bio_is_formatted(f->plat, cfg.dir));
        EXPECT_OK(bio_format(f->xs, &cfg));
    }
    EXPECT(bio_is_formatted(f->plat, cfg.dir));
    return rc;
}

static const struct call calls[] = {
    {"umem_tx_admit umem_tx_begin umem_tx_range umem_alloc umem_alloc_part umem_tx_commit",
        prepare_list, run_push},
    {"bio_wal_wait bio_wal_last bio_wal_durable umem_root umem_tx_abort", prepare_list, run_push},
    {"umem_free umem_block_bytes", prepare_list, run_pop},
    {"umem_ptr umem_ptr_miss umem_peek umem_ahead umem_miss_rc umem_fault umem_fault_done "
     "umem_evict umem_stats_get",
        prepare_list, run_load},
    {"bio_ext_reserve bio_resv_ext bio_ext_publish bio_ext_published bio_ext_cancel bio_ext_free",
        prepare_extent, run_swap},
    {"bio_buf_get bio_buf_put bio_data_write bio_data_read bio_reader_enter bio_reader_leave",
        prepare_extent, run_read},
    {"bio_buf_get_more bio_data_read_start bio_data_read_wait", prepare_extent, run_read_more},
    {"bio_data_map bio_data_is_mapped bio_data_is_cold bio_data_written", prepare_nothing, run_map},
    {"bio_checkpoint", prepare_nothing, run_checkpoint},
    {"bio_check umem_check bio_space_get bio_stats_get bio_health_get bio_umem bio_xstream bio_cfg "
     "bio_status",
        prepare_nothing, run_check},
    {"umem_cls_stats_get umem_is_short bio_ext_stats_get", prepare_extent, run_statistics},
    {"bio_scrub_places bio_scrub_step bio_img_text", prepare_list, run_scrub},
    {"bio_open bio_close bio_abandon", prepare_nothing, run_reopen},
    {"bio_format bio_formatted bio_is_formatted", prepare_nothing, run_format},
};

/* ---- making them fail ----------------------------------------------------------------------------------------------- */

static struct state
state_of(struct fix *f)
{
    struct state s = {.nodes_nr = list_check(f->tgt)};

    EXPECT_OK(read_extent(f, false, &s.pattern));
    return s;
}

static bool
is_state(struct state a, struct state b)
{
    return a.nodes_nr == b.nodes_nr && a.pattern == b.pattern;
}

static void
begin(struct fix *f)
{
    struct calls *c = calls_of(f);

    if (!fix_tgt_new(f))
        return;
    prepare_list(f);
    EXPECT_OK(swap(f, 0x11));
    c->call->prepare(f);
    c->before = state_of(f);
    EXPECT_OK(c->call->run(f));
    c->after = state_of(f);
}

static int
call_run(void *arg)
{
    return calls_of(arg)->call->run(arg);
}

static void
one_failure(struct fix *f)
{
    struct calls *c = calls_of(f);
    struct state now;
    int rc;

    disk_shim_install(f->plat, xstream_loop(f->xs));
    if (f->tgt == NULL) {
        if (!EXPECT_OK(bio_open(f->xs, &f->cfg, &f->tgt)))
            return;
        now = state_of(f);
        EXPECT(is_state(now, c->before) || is_state(now, c->after));
    }
    c->call->prepare(f);
    EXPECT_OK(bio_checkpoint(f->tgt));
    EXPECT_OK(c->call->run == run_checkpoint ? run_pop(f) : 0);
    EXPECT_OK(c->call->run == run_checkpoint ? run_push(f) : 0);
    umem_evict(bio_umem(f->tgt), UINT32_MAX, 0);
    rc = sweep_run(&c->sweep, call_run, f);
    if (bio_status(f->tgt) != 0)
        return;
    now = state_of(f);
    EXPECT(is_state(now, c->after) || (rc != 0 && is_state(now, c->before)));
    EXPECT_OK(bio_check(f->tgt));
}

static uint64_t
sweep_call(uint32_t i, bool is_alloc, const char **ret_names)
{
    struct calls c = {.call = &calls[i], .sweep.is_alloc = is_alloc};
    struct fix f;

    *ret_names = calls[i].names;
    if (!fix_init(&f))
        return 0;
    f.arg = &c;
    EXPECT(fix_run(&f, begin));
    while (!c.sweep.is_done && !test_failed()) {
        EXPECT(fix_run(&f, one_failure));
        if (f.tgt != NULL && bio_status(f.tgt) != 0) {
            disk_shim_remove(f.plat);
            EXPECT(fix_crash(&f, false));
        }
    }
    if (test_failed())
        fprintf(stderr, "    %s, failure %llu\n", calls[i].names, (unsigned long long)c.sweep.n);
    disk_shim_remove(f.plat);
    if (f.tgt != NULL && !test_failed())
        EXPECT(fix_run(&f, fix_tgt_close));
    fix_fini(&f);
    return c.sweep.fired_nr;
}

#ifdef CAIRN_FAULTS
TEST_ON(bio_calls, every_allocation_fails_in_each, BACKEND_SIM)
{
    sweep_all(sweep_call, ARRAY_SIZE(calls), true);
}
#endif

TEST_ON(bio_calls, every_disk_operation_fails_in_each, BACKEND_SIM)
{
    sweep_all(sweep_call, ARRAY_SIZE(calls), false);
}
