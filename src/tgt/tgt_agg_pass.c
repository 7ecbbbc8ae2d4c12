/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Up to where and how fast one container is aggregated; vos_cont_aggregate() does it. A pass:
 *
 *      ask the service (CON-7) -> bound by the reads at work -> aggregate, at a pace -> done, or queued again
 *
 * and with it which epochs can be read (TGT-6, TGT-7). When there is one: tgt_agg.c. Tested by test/tgt_agg_test.c and test/sim.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/probe.h"
#include "tgt_priv.h"

enum { FAIL_SHIFT_MAX = 6 };
/* Times the work, while requests are served: a tenth of the processor; a fifth when that takes longer than a gap, or much is to be given back. */
enum { REST_LAZY = 9, REST_LONG = 4, REST_TIME = 1, REST_WARM = 2 };
#define RETRY_NS UINT64_C(1000000000) /* doubled with each failure in a row, up to 64 s */
#define OFF_NS UINT64_C(60000000000) /* before a pool without reclaim is asked about again */

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
            tgt_agg_drop(tgt, ac);
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
    uint64_t freed, freed_told, taken; /* bytes; the first and the last before what `stat` says */
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

static uint64_t
freed_bytes(const struct pass *p)
{
    return p->freed + p->stat.meta_freed + p->stat.data_freed;
}

static uint64_t
taken_bytes(const struct pass *p)
{
    return p->taken + p->stat.meta_taken + p->stat.data_taken;
}

static void
freed_tell(struct pass *p)
{
    struct tgt_agg_pool *ap = p->ac->pool;

    p->freed_told = freed_bytes(p);
    ap->freed++;
    ult_cond_broadcast(&ap->changed);
}

uint32_t
tgt_agg_rest(bool is_tight, bool is_warm, bool is_time, bool is_long, uint32_t grown)
{
    if (is_tight)
        return 0;
    if (is_warm)
        return REST_WARM;
    if (is_time)
        return REST_TIME;
    if (is_long || grown >= TGT_AGG_GROWN_HIGH)
        return REST_LONG;
    if (grown <= TGT_AGG_GROWN_LOW)
        return REST_LAZY;
    return REST_LAZY -
        (grown - TGT_AGG_GROWN_LOW) * (REST_LAZY - REST_LONG) /
        (TGT_AGG_GROWN_HIGH - TGT_AGG_GROWN_LOW);
}

static uint32_t
pass_rest(const struct pass *p)
{
    const struct tgt_agg_cont *ac = p->ac;
    uint64_t took_ns = plat_mono_ns(xstream_plat(p->tgt->xs)) - p->begun_ns;

    return tgt_agg_rest(tgt_agg_is_round(ac->pool) || tgt_agg_is_tight(p->tc->vos),
        tgt_agg_is_warm(p->tc->vos) || p->ask != 0, p->stable.reclaim == TGT_RECLAIM_TIME,
        ac->live_bytes == 0 || MAX(took_ns, ac->pass_ns) > p->tgt->opts.agg_gap_ns,
        tgt_agg_grown(tgt_agg_used(p->tc->vos), ac->live_bytes));
}

enum { TELL_BYTES = 65536 };

static int
pass_pace(void *arg, const struct vos_agg_stat *stat)
{
    struct pass *p = arg;
    struct tgt_pace *pace = &p->ac->pace;
    uint64_t work_ns = pace->work_ns;
    bool goes_on;

    p->stat = *stat;
    if (freed_bytes(p) > p->freed_told + TELL_BYTES)
        freed_tell(p);
    goes_on = tgt_pace(p->tgt, pace, pass_rest(p));
    p->tgt->stats.agg_work_ns += pace->work_ns - work_ns;
    if (!goes_on || p->tgt->aggs.is_stopping)
        return 1;
    return tgt_cont_is_ending(p->tc) ? 1 : 0;
}

static int
pass_once(struct pass *p, uint32_t flags)
{
    struct vos_agg_args args = {.hi = p->hi,
        .snaps = p->snaps,
        .snap_nr = p->snap_nr,
        .flags = flags,
        .pace = pass_pace,
        .arg = p};
    int rc;

    CAIRN_PROBE("tgt.agg.pass");
    p->freed = freed_bytes(p);
    p->taken = taken_bytes(p);
    p->stat = (struct vos_agg_stat){0};
    rc = vos_cont_aggregate(p->tc->vos, &args, &p->stat);
    p->is_stopped = rc == 0 && !p->stat.is_finished;
    if (freed_bytes(p) > p->freed)
        freed_tell(p);
    return rc;
}

/*
 * While somebody waits for space, first what gives it back at once; only when that is nothing, extents that are seen in part are merged, which takes long and
 * space of its own.
 */
static int
pass_steps(struct pass *p)
{
    struct tgt_agg_cont *ac = p->ac;
    int rc = 0;

    if (tgt_agg_is_round(ac->pool) && !(ac->is_unmerged && !p->is_new)) {
        rc = pass_once(p, VOS_AGG_NO_MERGE);
        ac->is_unmerged = true;
        if (rc != 0 || p->is_stopped || freed_bytes(p) > 0)
            return rc;
    }
    rc = pass_once(p, 0);
    if (rc == 0 && !p->is_stopped)
        ac->is_unmerged = p->stat.left_nr > 0;
    return rc;
}

static int
pass_run(struct pass *p)
{
    struct tgt_agg_cont *ac = p->ac;
    uint64_t used;
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
    used = tgt_agg_used(p->tc->vos);
    tgt_pace_resume(p->tgt, &ac->pace);
    rc = pass_steps(p);
    if (rc != 0 || p->is_stopped) {
        ac->is_new_known = true;
    } else {
        ac->live_bytes = used + taken_bytes(p) - MIN(used + taken_bytes(p), freed_bytes(p));
    }
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
        tgt_agg_drop(p->tgt, ac);
        return;
    }
    tgt_agg_unqueue(ac);
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
    tgt_agg_queue(p->tgt, ac, ult_now_ns() + (is_fault ? OFF_NS : RETRY_NS << shift));
}

static void
pass_done(struct pass *p)
{
    struct tgt_agg_cont *ac = p->ac;
    bool has_readers = p->snap_nr > p->stable.snap_nr;
    uint64_t now_ns = ult_now_ns();

    ac->fail_nr = 0;
    if (p->is_stopped) {
        tgt_agg_queue(p->tgt, ac, now_ns);
        return;
    }
    ac->empty_nr = freed_bytes(p) > 0 ? 0 : ac->empty_nr + 1;
    ask_answer(p, 0);
    if (p->is_off) {
        tgt_agg_unqueue(ac);
        if (vos_cont_agg_is_needed(p->tc->vos, VOS_EPOCH_MAX))
            tgt_agg_queue(p->tgt, ac, now_ns + OFF_NS);
        return;
    }
    if (has_readers || vos_cont_agg_is_needed(p->tc->vos, p->epoch))
        ac->pool->is_held = true;
    if (has_readers || ac->is_unmerged || vos_cont_agg_is_needed(p->tc->vos, VOS_EPOCH_MAX))
        tgt_agg_queue(p->tgt, ac, tgt_agg_due(p->tgt, ac, p->tc->vos));
    if (p->stable.snap_nr > 0)
        tgt_agg_watch(p->tgt, ac);
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

void
tgt_agg_pass(struct tgt *tgt, struct tgt_agg_cont *ac)
{
    struct pass p = {.tgt = tgt, .ac = ac, .begun_ns = plat_mono_ns(xstream_plat(tgt->xs))};
    int rc;

    p.epoch = vos_epoch_last(tgt->opts.vos);
    p.ask = ac->ask_want > ac->ask_done ? ac->ask_want : 0;
    ac->is_busy = true;
    tgt_agg_unqueue(ac); /* a change from here on queues it anew */
    rc = pass_try(&p);
    ac->begun_ns = p.begun_ns;
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
        tgt_agg_drop(tgt, ac);
}
