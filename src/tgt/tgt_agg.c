/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * When the containers of a target are aggregated: what is remembered of each, the queue, the ULT that takes them from it, and who waits. What a pass over one of
 * them does is tgt_agg_pass.c's. One ULT in the background class looks at one container at a time:
 *
 *      changed, or told -> queued -> due -> a pass -> done, or queued again
 *
 * A queued container is due after a gap, at once under pressure, and in a round when a request waits for space. With nothing queued the ULT
 * waits without a timer (TGT-8). Memory only: after a start every container is looked at once. Tested by test/tgt_agg_test.c and test/sim.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/probe.h"
#include "tgt_priv.h"

enum { EMPTY_SHIFT_MAX = 6, HELD_SHIFT_MAX = 5, PASS_SHARE = 2, LIST_NR = 32, LOOK_MASK = 63 };
#define START_NS UINT64_C(10000000000) /* after a start before containers are looked at */
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

void
tgt_agg_unqueue(struct tgt_agg_cont *ac)
{
    if (ac->is_queued)
        list_del(&ac->queue);
    ac->is_queued = ac->is_loaded = ac->is_watched = false;
}

void
tgt_agg_drop(struct tgt *tgt, struct tgt_agg_cont *ac)
{
    if (!ac->is_gone)
        hmap_remove(&tgt->aggs.conts, &ac->link);
    ac->is_gone = true;
    tgt_agg_unqueue(ac);
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
        if (!ac->is_open && (!ac->is_queued || ac->is_watched) && !ac->is_busy && ac->waiters == 0) {
            tgt_agg_drop(tgt, ac);
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
            tgt_agg_drop(tgt, ac);
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
            tgt_agg_drop(tgt, ac);
    } while (found);
}

/* ---- the queue ------------------------------------------------------------------------------ */

void
tgt_agg_queue(struct tgt *tgt, struct tgt_agg_cont *ac, uint64_t due_ns)
{
    if (ac->is_gone)
        return;
    if (ac->is_queued && ac->due_ns <= due_ns)
        return;
    ac->due_ns = due_ns;
    ac->is_watched = false;
    if (!ac->is_queued)
        list_add_tail(&ac->queue, &tgt->aggs.queue);
    ac->is_queued = true;
    ult_cond_signal(&tgt->aggs.wake);
}

uint64_t
tgt_agg_used(const struct vos_cont *vos)
{
    struct vos_pool_info info;

    vos_cont_space(vos, &info);
    return info.meta_used + info.data_used;
}

uint32_t
tgt_agg_grown(uint64_t used, uint64_t live)
{
    enum { THOUSAND = 1000 };

    if (live == 0 || used <= live)
        return 0;
    return (uint32_t)MIN((used - live) / (live / THOUSAND + 1), (uint64_t)THOUSAND);
}

/* A long pass is followed by a longer rest, unless it pays: what is written over meanwhile is then more than what a pass gives back in its share. */
uint64_t
tgt_agg_due(const struct tgt *tgt, const struct tgt_agg_cont *ac, const struct vos_cont *vos)
{
    uint64_t gap_ns = tgt->opts.agg_gap_ns << MIN(ac->empty_nr, (uint32_t)EMPTY_SHIFT_MAX);
    uint64_t now_ns = ult_now_ns();

    if (ac->empty_nr == 0 && ac->begun_ns != 0 &&
        tgt_agg_grown(tgt_agg_used(vos), ac->live_bytes) > TGT_AGG_GROWN_LOW)
        return MAX(now_ns, ac->begun_ns + gap_ns);
    return now_ns + MAX(gap_ns, ac->pass_ns * PASS_SHARE);
}

static bool
is_above(uint64_t used, uint64_t quota, uint32_t pct)
{
    return used > quota / 100 * pct;
}

bool
tgt_agg_is_warm(const struct vos_cont *vos)
{
    struct vos_pool_info info;

    vos_cont_space(vos, &info);
    return is_above(info.meta_used, info.meta_quota, TGT_AGG_META_WARM_PCT) ||
        is_above(info.data_used, info.data_quota, TGT_AGG_DATA_WARM_PCT);
}

bool
tgt_agg_is_tight(const struct vos_cont *vos)
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
    if (ac->is_queued && !ac->is_watched && (ac->changed & LOOK_MASK) != 0)
        return;
    if ((!ac->is_queued || ac->is_watched) && !vos_cont_agg_is_needed(op->vos, VOS_EPOCH_MAX))
        return;
    now_ns = ult_now_ns();
    if (ac->fail_nr == 0 && tgt_agg_is_warm(op->vos)) {
        tgt_agg_queue(
            op->tgt, ac, now_ns + MIN(op->tgt->opts.agg_gap_ns / 8, ac->pass_ns * PASS_SHARE));
    } else if (ac->fail_nr == 0 || !ac->is_queued) {
        if (!ac->is_loaded || vos_cont_agg_is_needed(op->vos, VOS_EPOCH_MAX))
            tgt_agg_queue(op->tgt, ac, tgt_agg_due(op->tgt, ac, op->vos));
    }
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
    tgt_agg_queue(tgt, ac, ult_now_ns());
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

/* ---- the ULT -------------------------------------------------------------------------------- */

void
tgt_agg_watch(struct tgt *tgt, struct tgt_agg_cont *ac)
{
    if (ac->is_gone || ac->is_queued)
        return;
    tgt_agg_queue(tgt, ac, ult_now_ns() + TGT_AGG_SNAPS_NS);
    ac->is_watched = true;
}

bool
tgt_agg_is_round(const struct tgt_agg_pool *ap)
{
    return ap->round_want > ap->round_done;
}

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
        if (!tgt_agg_is_round(ap))
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

                    if (ac != NULL && !ac->is_queued) {
                        ac->is_loaded = true;
                        tgt_agg_queue(tgt, ac, due_ns);
                    }
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
            tgt_agg_pass(tgt, ac);
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
        tgt_agg_queue(op->tgt, ac, ult_now_ns());
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
        tgt_agg_drop(op->tgt, ac);
    return rc;
}
