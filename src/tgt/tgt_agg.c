/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * When, up to where and how fast the containers of a target are aggregated; vos_cont_aggregate() does it. One ULT in the background class looks at one
 * container at a time:
 *
 *      changed, or told -> queued -> due -> ask the service (CON-7) -> bound by the reads at work -> aggregate -> done, or queued again
 *
 * A queued container is due after a gap, at once under pressure, and in a round when a request waits for space. With nothing queued the ULT
 * waits without a timer (TGT-8). Memory only: after a start every container is looked at once. Tested by test/tgt_agg_test.c and test/sim.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "tgt_priv.h"

enum {
    EMPTY_SHIFT_MAX = 6,
    FAIL_SHIFT_MAX = 6,
    HELD_SHIFT_MAX = 5,
    PASS_SHARE = 2,
    LIST_NR = 32,
    LOOK_MASK = 63
};
enum {
    REST_LAZY = 9,
    REST_TIME = 1,
    REST_WARM = 2
}; /* times the work, while requests are served */
#define RETRY_NS UINT64_C(1000000000) /* doubled with each failure in a row, up to 64 s */
#define START_NS UINT64_C(10000000000) /* after a start before containers are looked at */
#define OFF_NS UINT64_C(60000000000) /* before a pool without reclaim is asked about again */
#define HELD_NS UINT64_C(20000000) /* before a round is repeated for what was held up; doubled */

/* ---- what is remembered --------------------------------------------------------------------- */

static uint64_t
agg_hash(const struct uuid *pool, const struct uuid *cont)
{
    return hash_bytes64(cont, sizeof(*cont), hash_bytes64(pool, sizeof(*pool), 0));
}

static struct tgt_agg_cont *
agg_find(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont)
{
    struct tgt_agg_cont *ac;

    HMAP_FOREACH_HASH(ac, &tgt->aggs.conts, agg_hash(pool, cont), struct tgt_agg_cont, link) {
        if (cuuid_cmp(&ac->cont, cont) == 0 && cuuid_cmp(&ac->pool->pool, pool) == 0)
            break;
    }
    return ac;
}

static struct tgt_agg_pool *
pool_get(struct tgt *tgt, const struct uuid *pool)
{
    struct tgt_agg_pool *ap;

    LIST_FOREACH(ap, &tgt->aggs.pools, struct tgt_agg_pool, link) {
        if (cuuid_cmp(&ap->pool, pool) == 0) {
            ap->refs++;
            return ap;
        }
    }
    ap = calloc(1, sizeof(*ap));
    if (ap == NULL)
        return NULL;
    ap->pool = *pool;
    ap->refs = 1;
    ult_cond_init(&ap->changed);
    list_add_tail(&ap->link, &tgt->aggs.pools);
    return ap;
}

static void
pool_put(struct tgt_agg_pool *ap)
{
    CAIRN_ASSERT(ap->refs > 0);
    if (--ap->refs > 0)
        return;
    list_del(&ap->link);
    ult_cond_fini(&ap->changed);
    free(ap);
}

static void
agg_free(struct tgt_agg_cont *ac)
{
    ult_cond_fini(&ac->asked);
    pool_put(ac->pool);
    free(ac->known);
    free(ac);
}

static void
agg_unqueue(struct tgt_agg_cont *ac)
{
    if (ac->is_queued)
        list_del(&ac->queue);
    ac->is_queued = false;
}

/* Out of the table; freed when nobody works with it. */
static void
agg_drop(struct tgt *tgt, struct tgt_agg_cont *ac)
{
    if (!ac->is_gone)
        hmap_remove(&tgt->aggs.conts, &ac->link);
    ac->is_gone = true;
    agg_unqueue(ac);
    ult_cond_broadcast(&ac->asked);
    if (!ac->is_busy && ac->waiters == 0)
        agg_free(ac);
}

/* Forget one about which nothing has to be remembered. */
static bool
agg_make_room(struct tgt *tgt)
{
    struct tgt_agg_cont *ac;

    if (tgt->aggs.conts.nr < TGT_AGGS_NR_MAX)
        return true;
    HMAP_FOREACH(ac, &tgt->aggs.conts, struct tgt_agg_cont, link) {
        if (!ac->is_open && !ac->is_queued && !ac->is_busy && ac->waiters == 0) {
            agg_drop(tgt, ac);
            return true;
        }
    }
    return false;
}

struct tgt_agg_cont *
tgt_agg_get(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont)
{
    struct tgt_agg_cont *ac;

    if (tgt->opts.stable == NULL)
        return NULL;
    ac = agg_find(tgt, pool, cont);
    if (ac != NULL || !agg_make_room(tgt))
        return ac;
    ac = calloc(1, sizeof(*ac));
    if (ac == NULL)
        return NULL;
    ac->pool = pool_get(tgt, pool);
    if (ac->pool == NULL) {
        free(ac);
        return NULL;
    }
    ac->cont = *cont;
    ult_cond_init(&ac->asked);
    hmap_insert(&tgt->aggs.conts, &ac->link, agg_hash(pool, cont));
    return ac;
}

void
tgt_agg_forget(struct tgt *tgt, const struct uuid *pool, const struct uuid *cont)
{
    struct tgt_agg_cont *ac;
    bool found;

    if (cont != NULL) {
        ac = agg_find(tgt, pool, cont);
        if (ac != NULL && !ac->is_open)
            agg_drop(tgt, ac);
        return;
    }
    do {
        found = false;
        HMAP_FOREACH(ac, &tgt->aggs.conts, struct tgt_agg_cont, link) {
            found = !ac->is_open && cuuid_cmp(&ac->pool->pool, pool) == 0;
            if (found)
                break;
        }
        if (found)
            agg_drop(tgt, ac);
    } while (found);
}

/* ---- the queue ------------------------------------------------------------------------------ */

static void
agg_queue(struct tgt *tgt, struct tgt_agg_cont *ac, uint64_t due_ns)
{
    if (ac->is_gone)
        return;
    if (ac->is_queued && ac->due_ns <= due_ns)
        return;
    ac->due_ns = due_ns;
    if (!ac->is_queued)
        list_add_tail(&ac->queue, &tgt->aggs.queue);
    ac->is_queued = true;
    ult_cond_signal(&tgt->aggs.wake);
}

static uint64_t
agg_gap(const struct tgt *tgt, const struct tgt_agg_cont *ac)
{
    uint64_t gap_ns = tgt->opts.agg_gap_ns << MIN(ac->empty_nr, (uint32_t)EMPTY_SHIFT_MAX);

    return MAX(gap_ns, ac->pass_ns * PASS_SHARE);
}

static bool
is_above(uint64_t used, uint64_t quota, uint32_t pct)
{
    return used > quota / 100 * pct;
}

static bool
is_warm(const struct vos_cont *vos)
{
    struct vos_pool_info info;

    vos_cont_space(vos, &info);
    return is_above(info.meta_used, info.meta_quota, TGT_AGG_META_WARM_PCT) ||
        is_above(info.data_used, info.data_quota, TGT_AGG_DATA_WARM_PCT);
}

static bool
is_tight(const struct vos_cont *vos)
{
    struct vos_pool_info info;

    vos_cont_space(vos, &info);
    return is_above(info.meta_used, info.meta_quota, TGT_AGG_META_TIGHT_PCT) ||
        is_above(info.data_used, info.data_quota, TGT_AGG_DATA_TIGHT_PCT);
}

void
tgt_op_changed(struct tgt_op *op)
{
    struct tgt_agg_cont *ac = op->cont->agg;
    uint64_t now_ns;

    if (ac == NULL)
        return;
    ac->changed++;
    if (ac->is_queued && (ac->changed & LOOK_MASK) != 0)
        return;
    if (!ac->is_queued && !vos_cont_agg_is_needed(op->vos, VOS_EPOCH_MAX))
        return;
    now_ns = ult_now_ns();
    if (ac->fail_nr == 0 && is_warm(op->vos)) {
        agg_queue(op->tgt, ac, now_ns + MIN(op->tgt->opts.agg_gap_ns / 8, ac->pass_ns * PASS_SHARE));
    } else if (!ac->is_queued)
        agg_queue(op->tgt, ac, now_ns + agg_gap(op->tgt, ac));
}

void
tgt_aggregate_later(struct tgt *tgt, struct uuid pool, struct uuid cont)
{
    struct tgt_agg_cont *ac = tgt_agg_get(tgt, &pool, &cont);

    if (ac == NULL)
        return;
    ac->changed++;
    ac->is_new_known = true;
    ac->empty_nr = 0;
    agg_queue(tgt, ac, ult_now_ns());
}

void
tgt_agg_disturb(struct tgt *tgt)
{
    struct tgt_agg_cont *ac;
    struct tgt_agg_pool *ap;

    LIST_FOREACH(ap, &tgt->aggs.pools, struct tgt_agg_pool, link) {
        ult_cond_broadcast(&ap->changed);
    }
    HMAP_FOREACH(ac, &tgt->aggs.conts, struct tgt_agg_cont, link) {
        if (ac->waiters > 0)
            ult_cond_broadcast(&ac->asked);
    }
}

/* ---- reads at given epochs (TGT-7) ---------------------------------------------------------- */

static bool
known_has(const struct tgt_agg_cont *ac, uint64_t epoch)
{
    uint32_t lo = 0, hi = ac->known_nr;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (ac->known[mid] == epoch)
            return true;
        if (ac->known[mid] < epoch) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return false;
}

/* Take over what can be read below `hi`; `snaps` is owned from now on. */
static void
known_set(struct tgt_agg_cont *ac, uint64_t hi, uint64_t *snaps, uint32_t nr)
{
    bool is_same = ac->known_hi != 0 && nr >= ac->known_nr &&
        (ac->known_nr == 0 || memcmp(snaps, ac->known, ac->known_nr * sizeof(*snaps)) == 0);

    if (!is_same)
        ac->is_new_known = true;
    free(ac->known);
    ac->known = snaps;
    ac->known_nr = nr;
    ac->known_hi = MAX(ac->known_hi, hi);
}

static int
stable_ask(struct tgt *tgt, struct tgt_agg_cont *ac, struct tgt_stable *ret_stable)
{
    int rc;

    *ret_stable = (struct tgt_stable){.epoch = 0};
    tgt->stats.agg_asks_nr++;
    rc = tgt->opts.stable(tgt->opts.arg, ac->pool->pool, ac->cont, ret_stable);
    if (rc == 0 && !ac->is_gone)
        tgt_scrub_told(tgt, &ac->pool->pool, &ret_stable->scrub);
    return rc;
}

static int
read_check(struct tgt *tgt, struct tgt_agg_cont *ac, uint64_t epoch)
{
    struct tgt_stable stable;
    int rc;

    if (ac->known_hi == 0) {
        ac->waiters++;
        rc = stable_ask(tgt, ac, &stable);
        ac->waiters--;
        if (rc == 0 && !ac->is_gone && ac->known_hi == 0) {
            known_set(ac, stable.epoch, stable.snaps, stable.snap_nr);
        } else {
            free(stable.snaps);
        }
        if (ac->is_gone) {
            agg_drop(tgt, ac);
            return CAIRN_ERR(NONEXIST);
        }
        if (rc != 0)
            return rc == -DER_NONEXIST ? rc : CAIRN_ERR(AGAIN);
    }
    return epoch > ac->known_hi || known_has(ac, epoch) ? 0 : CAIRN_ERR(EP_OLD);
}

int
tgt_op_read(struct tgt_op *op, uint64_t epoch)
{
    struct tgt *tgt = op->tgt;
    bool is_newest = epoch == VOS_EPOCH_MAX;

    /* First it counts, then it is looked whether it may: a pass that begins in between keeps what it reads. */
    op->read_epoch = is_newest ? vos_epoch_last(tgt->opts.vos) : epoch;
    op->is_reader = true;
    list_add_tail(&op->reader, is_newest ? &tgt->aggs.readers : &tgt->aggs.fixed_readers);
    if (is_newest || op->cont->agg == NULL)
        return 0;
    return read_check(tgt, op->cont->agg, epoch);
}

/* ---- a pass --------------------------------------------------------------------------------- */

struct pass {
    struct tgt *tgt;
    struct tgt_agg_cont *ac;
    struct tgt_cont *tc; /* NULL: not entered */
    struct tgt_stable stable;
    uint64_t *snaps; /* of the service and of reads at work */
    uint32_t snap_nr;
    uint64_t begun_ns, epoch; /* when it began; the newest epoch then */
    uint64_t hi;
    uint64_t ask; /* number of the tgt_aggregate() that it serves; 0 none */
    bool is_off; /* the pool does not want it */
    bool is_new; /* there may be more than what was left unmerged */
    bool is_stopped; /* by its pace */
    struct tgt_pace pace;
    uint64_t freed, freed_told; /* bytes; the first before what `stat` says */
    struct vos_agg_stat stat;
};

static int
epoch_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t *
epochs_dup(const uint64_t *epochs, uint32_t nr)
{
    uint64_t *dup = malloc(MAX(nr, 1U) * sizeof(*dup));

    if (dup != NULL && nr > 0)
        memcpy(dup, epochs, nr * sizeof(*dup));
    return dup;
}

/* Snapshots of the service, and what reads at work read (TGT-6). No yields from here until the pass has begun. */
static int
pass_epochs(struct pass *p)
{
    uint32_t nr = p->stable.snap_nr, max = nr, n = 0;
    const struct tgt_op *op;
    uint64_t *known;

    LIST_FOREACH(op, &p->tgt->aggs.fixed_readers, struct tgt_op, reader) {
        max++;
    }
    p->snaps = malloc(MAX(max, 1U) * sizeof(*p->snaps));
    if (p->snaps == NULL)
        return CAIRN_ERR(NOMEM);
    if (nr > 0)
        memcpy(p->snaps, p->stable.snaps, nr * sizeof(*p->snaps));
    LIST_FOREACH(op, &p->tgt->aggs.fixed_readers, struct tgt_op, reader) {
        if (op->cont == p->tc)
            p->snaps[nr++] = op->read_epoch;
    }
    qsort(p->snaps, nr, sizeof(*p->snaps), epoch_cmp);
    for (uint32_t i = 0; i < nr; i++) {
        if (n == 0 || p->snaps[n - 1] != p->snaps[i])
            p->snaps[n++] = p->snaps[i];
    }
    p->snap_nr = n;
    if (n > VOS_AGG_SNAPS_NR_MAX)
        return CAIRN_ERR(OVERFLOW);
    known = epochs_dup(p->snaps, n);
    if (known == NULL)
        return CAIRN_ERR(NOMEM);
    known_set(p->ac, p->hi, known, n);
    return 0;
}

/* Up to where: stable, and nobody who reads the newest began before it. */
static uint64_t
pass_bound(const struct pass *p)
{
    const struct tgt_op *first = LIST_FIRST(&p->tgt->aggs.readers, struct tgt_op, reader);
    uint64_t hi = p->stable.epoch;

    if (first != NULL && first->read_epoch < hi) {
        CAIRN_PROBE("tgt.agg.reader");
        hi = first->read_epoch;
    }
    return hi;
}

static bool
is_round(const struct tgt_agg_pool *ap)
{
    return ap->round_want > ap->round_done;
}

static uint64_t
freed_bytes(const struct pass *p)
{
    return p->freed + p->stat.meta_freed + p->stat.data_freed;
}

static void
freed_tell(struct pass *p)
{
    struct tgt_agg_pool *ap = p->ac->pool;

    p->freed_told = freed_bytes(p);
    ap->freed++;
    ult_cond_broadcast(&ap->changed);
}

static uint32_t
pass_rest(const struct pass *p)
{
    if (is_round(p->ac->pool) || is_tight(p->tc->vos))
        return 0;
    if (is_warm(p->tc->vos) || p->ask != 0)
        return REST_WARM;
    return p->stable.reclaim == TGT_RECLAIM_TIME ? REST_TIME : REST_LAZY;
}

enum { TELL_BYTES = 65536 };

static int
pass_pace(void *arg, const struct vos_agg_stat *stat)
{
    struct pass *p = arg;

    p->stat = *stat;
    if (freed_bytes(p) > p->freed_told + TELL_BYTES)
        freed_tell(p);
    if (!tgt_pace(p->tgt, &p->pace, pass_rest(p)) || p->tgt->aggs.is_stopping)
        return 1;
    return tgt_cont_is_ending(p->tc) ? 1 : 0;
}

static int
pass_once(struct pass *p, uint64_t lo, uint32_t flags)
{
    struct vos_agg_args args = {.lo = lo,
        .hi = p->hi,
        .snaps = p->snaps,
        .snap_nr = p->snap_nr,
        .flags = flags,
        .pace = pass_pace,
        .arg = p};
    int rc;

    CAIRN_PROBE("tgt.agg.pass");
    p->freed = freed_bytes(p);
    p->stat = (struct vos_agg_stat){0};
    rc = vos_cont_aggregate(p->tc->vos, &args, &p->stat);
    p->is_stopped = rc == 0 && !p->stat.is_finished;
    if (freed_bytes(p) > p->freed)
        freed_tell(p);
    return rc;
}

/*
 * While somebody waits for space, first what gives it back at once; only when that is nothing, extents that are seen in part are merged, which takes long and
 * space of its own. The store does not remember where it left that out: so all is looked at (lo 1) the next time.
 */
static int
pass_steps(struct pass *p)
{
    struct tgt_agg_cont *ac = p->ac;
    int rc = 0;

    if (is_round(ac->pool) && !(ac->is_unmerged && !p->is_new)) {
        rc = pass_once(p, 0, VOS_AGG_NO_MERGE);
        ac->is_unmerged = true;
        if (rc != 0 || p->is_stopped || freed_bytes(p) > 0)
            return rc;
    }
    rc = pass_once(p, ac->is_unmerged ? 1 : 0, 0);
    if (rc == 0 && !p->is_stopped)
        ac->is_unmerged = p->stat.left_nr > 0;
    return rc;
}

static int
pass_run(struct pass *p)
{
    struct tgt_agg_cont *ac = p->ac;
    int rc = vos_epoch_recv(p->tgt->opts.vos, p->stable.epoch); /* what comes is above it */

    if (rc != 0)
        return rc;
    p->hi = pass_bound(p);
    rc = pass_epochs(p);
    if (rc != 0)
        return rc;
    if (p->ask != 0 && p->stable.reclaim == TGT_RECLAIM_DISABLED)
        p->hi = MIN(p->hi, ac->ask_epoch); /* not more than was asked for */
    p->is_new = ac->is_new_known || p->ask != 0 || vos_cont_agg_is_needed(p->tc->vos, p->hi);
    if (!p->is_new && !ac->is_unmerged)
        return 0;
    p->tgt->stats.agg_passes_nr++;
    ac->is_new_known = false;
    rc = pass_steps(p);
    if (rc != 0 || p->is_stopped)
        ac->is_new_known = true;
    p->tgt->stats.agg_freed_bytes += freed_bytes(p);
    return rc;
}

static void
ask_answer(struct pass *p, int rc)
{
    if (p->ask == 0)
        return;
    p->ac->ask_done = p->ask;
    p->ac->ask_rc = rc;
    p->ac->ask_hi = p->hi;
    ult_cond_broadcast(&p->ac->asked);
}

/* It failed: later again, less and less often. */
static void
pass_failed(struct pass *p, int rc)
{
    struct tgt_agg_cont *ac = p->ac;
    uint32_t shift = MIN(ac->fail_nr, (uint32_t)FAIL_SHIFT_MAX);
    bool is_fault = rc == -DER_NVME_IO || rc == -DER_DF_INVAL || rc == -DER_CSUM;
    char text[CUUID_TEXT_BYTES];

    ac->fail_nr++;
    if (rc == -DER_NONEXIST || rc == -DER_NOSYS || is_fault)
        ask_answer(p, rc == -DER_NOSYS ? 0 : rc); /* a store that cannot has nothing to give back */
    if (rc == -DER_NONEXIST && !ac->is_open) {
        agg_drop(p->tgt, ac);
        return;
    }
    agg_unqueue(ac);
    if (rc == -DER_NOSYS || rc == -DER_NVME_IO)
        return; /* not before the next start */
    if (is_fault) {
        LOG_WARN(
            "aggregation of container %s fails: %s", cuuid_format(&ac->cont, text), err_name(rc));
    }
    CAIRN_PROBE("tgt.agg.later");
    ac->pool->is_held = true;
    if (rc == -DER_NONEXIST)
        is_fault = true; /* and still open: the service will say so to its requests, too */
    agg_queue(p->tgt, ac, ult_now_ns() + (is_fault ? OFF_NS : RETRY_NS << shift));
}

static void
pass_done(struct pass *p)
{
    struct tgt_agg_cont *ac = p->ac;
    bool has_readers = p->snap_nr > p->stable.snap_nr;
    uint64_t now_ns = ult_now_ns();

    ac->fail_nr = 0;
    if (p->is_stopped) {
        agg_queue(p->tgt, ac, now_ns);
        return;
    }
    ac->empty_nr = freed_bytes(p) > 0 ? 0 : ac->empty_nr + 1;
    ask_answer(p, 0);
    if (p->is_off) {
        agg_unqueue(ac);
        if (vos_cont_agg_is_needed(p->tc->vos, VOS_EPOCH_MAX))
            agg_queue(p->tgt, ac, now_ns + OFF_NS);
        return;
    }
    if (has_readers || vos_cont_agg_is_needed(p->tc->vos, p->epoch))
        ac->pool->is_held = true;
    if (has_readers || ac->is_unmerged || vos_cont_agg_is_needed(p->tc->vos, VOS_EPOCH_MAX))
        agg_queue(p->tgt, ac, now_ns + agg_gap(p->tgt, ac));
}

static int
pass_try(struct pass *p)
{
    struct tgt *tgt = p->tgt;
    int rc = stable_ask(tgt, p->ac, &p->stable);

    if (rc == 0 && (p->ac->is_gone || tgt->aggs.is_stopping))
        rc = CAIRN_ERR(SHUTDOWN);
    if (rc == 0)
        rc = tgt_cont_enter(tgt, &p->ac->pool->pool, &p->ac->cont, &p->tc);
    if (rc != 0)
        return rc;
    p->is_off = p->stable.reclaim == TGT_RECLAIM_DISABLED && p->ask == 0;
    return p->is_off ? 0 : pass_run(p);
}

static void
pass(struct tgt *tgt, struct tgt_agg_cont *ac)
{
    struct pass p = {.tgt = tgt, .ac = ac, .begun_ns = plat_mono_ns(xstream_plat(tgt->xs))};
    int rc;

    p.epoch = vos_epoch_last(tgt->opts.vos);
    p.ask = ac->ask_want > ac->ask_done ? ac->ask_want : 0;
    ac->is_busy = true;
    agg_unqueue(ac); /* a change from here on queues it anew */
    rc = pass_try(&p);
    ac->pass_ns = plat_mono_ns(xstream_plat(tgt->xs)) - p.begun_ns;
    if (!ac->is_gone && rc == 0) {
        pass_done(&p);
    } else if (!ac->is_gone)
        pass_failed(&p, rc);
    if (p.tc != NULL)
        tgt_cont_leave(p.tc);
    free(p.stable.snaps);
    free(p.snaps);
    ac->is_busy = false;
    if (ac->is_gone)
        agg_drop(tgt, ac);
}

/* ---- the ULT -------------------------------------------------------------------------------- */

/* One that a round has not looked at, of those that may have something. */
static struct tgt_agg_cont *
round_next(struct tgt *tgt, const struct tgt_agg_pool *ap)
{
    struct tgt_agg_cont *ac;

    HMAP_FOREACH(ac, &tgt->aggs.conts, struct tgt_agg_cont, link) {
        if (ac->pool == ap && ac->round < ap->round_begun && (ac->is_queued || ac->known_nr > 0))
            return ac;
    }
    return NULL;
}

/* The next container of a pool in which somebody waits; a round that has looked at all of them ends. */
static struct tgt_agg_cont *
pick_round(struct tgt *tgt)
{
    struct tgt_agg_cont *ac;
    struct tgt_agg_pool *ap;

    LIST_FOREACH(ap, &tgt->aggs.pools, struct tgt_agg_pool, link) {
        if (!is_round(ap))
            continue;
        if (ap->round_begun == ap->round_done) {
            ap->round_begun++;
            ap->is_held = false;
        }
        ac = round_next(tgt, ap);
        if (ac != NULL) {
            ac->round = ap->round_begun;
            return ac;
        }
        ap->round_done = ap->round_begun;
        ult_cond_broadcast(&ap->changed);
    }
    return NULL;
}

static struct tgt_agg_cont *
pick_due(struct tgt *tgt, uint64_t *ret_due_ns)
{
    struct tgt_agg_cont *ac, *first = NULL;

    LIST_FOREACH(ac, &tgt->aggs.queue, struct tgt_agg_cont, queue) {
        if (first == NULL || ac->due_ns < first->due_ns)
            first = ac;
    }
    *ret_due_ns = first == NULL ? PLAT_NEVER_NS : first->due_ns;
    return first != NULL && first->due_ns <= ult_now_ns() ? first : NULL;
}

/* All containers of the store: what earlier lives left is not known. */
static void
aggs_load(struct tgt *tgt)
{
    struct uuid pools[LIST_NR], conts[LIST_NR], pool_after = {{0}}, after;
    uint64_t due_ns = ult_now_ns() + START_NS;
    uint32_t pool_nr, nr;

    do {
        if (vos_pool_list(tgt->opts.vos, pool_after, pools, LIST_NR, &pool_nr) != 0)
            return;
        for (uint32_t i = 0; i < pool_nr; i++) {
            after = (struct uuid){{0}};
            do {
                if (tgt->aggs.is_stopping ||
                    vos_cont_list(tgt->opts.vos, pools[i], after, conts, LIST_NR, &nr) != 0)
                    break;
                for (uint32_t j = 0; j < nr; j++) {
                    struct tgt_agg_cont *ac = tgt_agg_get(tgt, &pools[i], &conts[j]);

                    if (ac != NULL)
                        agg_queue(tgt, ac, due_ns);
                }
                after = conts[MAX(nr, 1U) - 1];
            } while (nr == LIST_NR);
        }
        pool_after = pools[MAX(pool_nr, 1U) - 1];
    } while (pool_nr == LIST_NR && !tgt->aggs.is_stopping);
}

static void
aggs_ult(void *arg)
{
    struct tgt *tgt = arg;
    struct tgt_agg_cont *ac;
    uint64_t due_ns;

    aggs_load(tgt);
    while (!tgt->aggs.is_stopping) {
        due_ns = 0;
        ac = pick_round(tgt);
        if (ac == NULL)
            ac = pick_due(tgt, &due_ns);
        if (ac != NULL) {
            pass(tgt, ac);
        } else if (due_ns == PLAT_NEVER_NS) {
            ult_cond_wait(&tgt->aggs.wake, NULL);
        } else {
            CAIRN_IGNORE(ult_cond_wait_until(&tgt->aggs.wake, NULL, due_ns));
        }
    }
}

int
tgt_aggs_init(struct tgt *tgt)
{
    if (tgt->opts.agg_gap_ns == 0)
        tgt->opts.agg_gap_ns = TGT_AGG_GAP_NS;
    list_init(&tgt->aggs.queue);
    list_init(&tgt->aggs.pools);
    list_init(&tgt->aggs.readers);
    list_init(&tgt->aggs.fixed_readers);
    ult_cond_init(&tgt->aggs.wake);
    return hmap_init(&tgt->aggs.conts, 4);
}

int
tgt_aggs_start(struct tgt *tgt)
{
    if (tgt->opts.stable == NULL)
        return 0;
    return ult_create(tgt->xs, ULT_BACKGROUND, aggs_ult, tgt, &tgt->aggs.ult);
}

void
tgt_aggs_stop(struct tgt *tgt)
{
    struct ult *ult = tgt->aggs.ult;

    tgt->aggs.is_stopping = true;
    tgt->aggs.ult = NULL;
    tgt_agg_disturb(tgt);
    ult_cond_broadcast(&tgt->aggs.wake);
    if (ult != NULL)
        ult_join(ult);
}

void
tgt_aggs_fini(struct tgt *tgt)
{
    struct tgt_agg_pool *ap, *tmp;
    struct tgt_agg_cont *ac;
    bool found;

    do {
        found = false;
        HMAP_FOREACH(ac, &tgt->aggs.conts, struct tgt_agg_cont, link) {
            found = true;
            break;
        }
        if (found) {
            hmap_remove(&tgt->aggs.conts, &ac->link);
            free(ac->known);
            free(ac);
        }
    } while (found);
    LIST_FOREACH_SAFE(ap, tmp, &tgt->aggs.pools, struct tgt_agg_pool, link) {
        free(ap);
    }
    hmap_fini(&tgt->aggs.conts);
}

/* ---- who waits ------------------------------------------------------------------------------ */

static bool
may_wait(const struct tgt_op *op)
{
    return !op->tgt->aggs.is_stopping && !tgt_cont_is_ending(op->cont) &&
        ult_now_ns() < op->deadline_ns;
}

/* Wait for the end of a round that begins now, or for space. */
static void
round_wait(const struct tgt_op *op, struct tgt_agg_pool *ap)
{
    uint64_t round = ap->round_begun + 1, freed = ap->freed;

    ap->round_want = MAX(ap->round_want, round);
    ult_cond_signal(&op->tgt->aggs.wake);
    while (ap->round_done < round && ap->freed == freed && may_wait(op)) {
        CAIRN_IGNORE(ult_cond_wait_until(&ap->changed, NULL, op->deadline_ns));
    }
}

bool
tgt_op_space_wait(void *arg)
{
    struct tgt_op *op = arg;
    struct tgt_agg_pool *ap;
    uint64_t held_ns;
    bool is_again;

    if (op->cont->agg == NULL || !may_wait(op))
        return false;
    ap = op->cont->agg->pool;
    /* A round was looked through, it left nothing for later, and its results were tried. */
    if (op->has_waited && ap->freed == op->freed_seen && !ap->is_held)
        return false;
    CAIRN_PROBE("tgt.agg.space_wait");
    op->tgt->stats.space_waits_nr += op->freed_seen == 0;
    ap->refs++;
    op->freed_seen = ap->freed;
    if (op->has_waited && ap->is_held) { /* by a read, a snapshot under way, a silent service */
        held_ns = HELD_NS << MIN(op->held_nr++, (uint32_t)HELD_SHIFT_MAX);
        CAIRN_IGNORE(
            ult_cond_wait_until(&ap->changed, NULL, MIN(op->deadline_ns, ult_now_ns() + held_ns)));
    }
    round_wait(op, ap);
    op->has_waited = ap->freed == op->freed_seen;
    op->freed_seen = ap->freed;
    is_again = may_wait(op);
    pool_put(ap);
    return is_again;
}

int
tgt_aggregate(
    struct tgt_op *op, uint64_t epoch, uint64_t deadline_ns, bool *ret_done, uint64_t *ret_epoch)
{
    struct tgt_agg_cont *ac = op->cont->agg;
    uint64_t ask;
    int rc = 0;

    if (ac == NULL)
        return CAIRN_ERR(NOSYS);
    op->deadline_ns = deadline_ns;
    if (epoch == 0)
        epoch = VOS_EPOCH_MAX;
    ac->ask_epoch = ac->ask_want > ac->ask_done ? MAX(ac->ask_epoch, epoch) : epoch;
    ask = ++ac->ask_want;
    if (ac->fail_nr == 0)
        agg_queue(op->tgt, ac, ult_now_ns());
    ac->waiters++;
    while (ac->ask_done < ask && !ac->is_gone && may_wait(op)) {
        CAIRN_IGNORE(ult_cond_wait_until(&ac->asked, NULL, deadline_ns));
    }
    ac->waiters--;
    *ret_done = ac->ask_done >= ask;
    if (*ret_done) {
        rc = ac->ask_rc;
        *ret_epoch = ac->ask_hi;
    }
    if (ac->is_gone)
        agg_drop(op->tgt, ac);
    return rc;
}
