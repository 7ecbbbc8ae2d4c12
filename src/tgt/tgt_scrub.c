/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * When and how fast the shards of a target are scrubbed; vos_scrub_step() does it (TGT-9). One ULT in the background class, made when the first pool wants it,
 * takes the shard that is due first:
 *
 *      told the pool's properties -> due -> a step -> due again after the step's share of the period (timed), or when requests leave time (lazy)
 *                                            | the pass ended: due when the period is over, counted from the begin of the pass
 *
 * The properties come with the answers about handles and stable epochs: after a start, and whenever a client is at work. With nothing due the ULT waits
 * for the next time, with all of them off without a timer. The place is stored once in a while, at the end of a pass and when the target stops. Tested by test/tgt_scrub_test.c.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/probe.h"
#include "tgt_priv.h"

enum { STEP_BYTES = 256 * 1024, REST_LAZY = 15 };
#define PERIOD_NS_MIN UINT64_C(1000000000)
#define SAVE_NS UINT64_C(60000000000)
#define RETRY_NS UINT64_C(10000000000)
#define STEP_GAP_NS_MAX UINT64_C(600000000000) /* of a shard that holds next to nothing */

struct tgt_scrub {
    struct list_head link;
    struct tgt *tgt;
    struct uuid pool;
    struct tgt_scrub_conf conf;
    struct vos_scrub *scrub; /* NULL: not begun, in this life */
    uint64_t due_ns, saved_ns;
    struct tgt_pace pace;
    bool is_over; /* the threshold was told */
};

static uint64_t
period_ns(const struct tgt_scrub *ts)
{
    return MAX(ts->conf.freq_s * UINT64_C(1000000000), PERIOD_NS_MIN);
}

static void
bad_note(void *arg, const struct vos_scrub_bad *bad)
{
    struct tgt_scrub *ts = arg;
    uint64_t bad_nr = vos_scrub_stats(ts->scrub)->bad_nr;
    char text[CUUID_TEXT_BYTES];

    (void)bad;
    ts->tgt->stats.scrub_bad_nr++;
    if (ts->is_over || ts->conf.thresh == 0 || bad_nr < ts->conf.thresh)
        return;
    CAIRN_PROBE("tgt.scrub.over");
    ts->is_over = true;
    ts->tgt->stats.scrub_over_nr++;
    LOG_ERROR("scrubber: pool %s: target %u has reached scrub_thresh with %" PRIu64
              " bad chunks and should be excluded",
        cuuid_format(&ts->pool, text), ts->tgt->opts.idx, bad_nr);
}

/* Until the next step of a pass that is to take the period. */
static uint64_t
step_gap_ns(struct tgt_scrub *ts, uint64_t bytes)
{
    struct vos_pool_info info;
    uint64_t total;

    if (vos_pool_query(ts->tgt->opts.vos, ts->pool, &info) != 0)
        return RETRY_NS;
    total = MAX(info.meta_used + info.data_used, (uint64_t)STEP_BYTES);
    return MIN((uint64_t)((double)period_ns(ts) * (double)bytes / (double)total), STEP_GAP_NS_MAX);
}

/* The next pass begins a period after the last one. */
static uint64_t
pass_due_ns(const struct tgt_scrub *ts, const struct vos_scrub_stats *stats)
{
    uint64_t wall_ns = plat_wall_ns(xstream_plat(ts->tgt->xs)), next_ns;

    if (stats->start_ns == 0 || stats->is_running)
        return ult_now_ns();
    next_ns = stats->start_ns + period_ns(ts);
    if (stats->start_ns > wall_ns)
        next_ns = wall_ns + period_ns(ts); /* the clock was set back */
    return ult_now_ns() + (next_ns > wall_ns ? next_ns - wall_ns : 0);
}

static int
scrub_save(struct tgt_scrub *ts)
{
    ts->saved_ns = ult_now_ns();
    return vos_scrub_save(ts->scrub);
}

static int
scrub_begin(struct tgt_scrub *ts)
{
    int rc = vos_scrub_create(ts->tgt->opts.vos, ts->pool, bad_note, ts, &ts->scrub);

    if (rc == 0) {
        ts->saved_ns = ult_now_ns();
        ts->due_ns = pass_due_ns(ts, vos_scrub_stats(ts->scrub));
    }
    return rc;
}

static int
scrub_step(struct tgt_scrub *ts)
{
    const struct vos_scrub_stats *stats = vos_scrub_stats(ts->scrub);
    uint64_t passes_nr = stats->passes_nr, before = stats->is_running ? stats->pass.bytes : 0, bytes;
    int rc = vos_scrub_step(ts->scrub, STEP_BYTES);
    bool is_end = stats->passes_nr > passes_nr;

    bytes = (is_end ? stats->last.bytes : stats->pass.bytes) - before;
    ts->tgt->stats.scrub_bytes += bytes;
    if (rc != 0)
        return rc;
    if (is_end) {
        ts->tgt->stats.scrub_passes_nr++;
        ts->due_ns = pass_due_ns(ts, stats);
    } else if (ts->conf.mode == TGT_SCRUB_TIMED) {
        ts->due_ns = ult_now_ns() + step_gap_ns(ts, bytes);
    } else {
        ts->due_ns = ult_now_ns();
        CAIRN_IGNORE(tgt_pace(ts->tgt, &ts->pace, REST_LAZY)); /* whoever stops says so */
    }
    return is_end || ult_now_ns() >= ts->saved_ns + SAVE_NS ? scrub_save(ts) : 0;
}

static void
scrub_drop(struct tgt_scrub *ts)
{
    vos_scrub_free(ts->scrub);
    list_del(&ts->link);
    free(ts);
}

/* The shard that is due, or *ret_due_ns when one will be. */
static struct tgt_scrub *
pick(struct tgt *tgt, uint64_t *ret_due_ns)
{
    struct tgt_scrub *ts, *first = NULL;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        if (ts->conf.mode != TGT_SCRUB_OFF && (first == NULL || ts->due_ns < first->due_ns))
            first = ts;
    }
    *ret_due_ns = first == NULL ? PLAT_NEVER_NS : first->due_ns;
    return first != NULL && first->due_ns <= ult_now_ns() ? first : NULL;
}

static void
scrubs_ult(void *arg)
{
    struct tgt *tgt = arg;
    struct tgt_scrub *ts, *tmp;
    uint64_t due_ns;
    int rc;

    while (!tgt->scrubs.is_stopping) {
        ts = pick(tgt, &due_ns);
        if (ts == NULL && due_ns == PLAT_NEVER_NS) {
            ult_cond_wait(&tgt->scrubs.wake, NULL);
        } else if (ts == NULL) {
            CAIRN_IGNORE(ult_cond_wait_until(&tgt->scrubs.wake, NULL, due_ns));
        } else {
            rc = ts->scrub == NULL ? scrub_begin(ts) : scrub_step(ts);
            if (rc == -DER_NONEXIST) {
                scrub_drop(ts); /* the shard was destroyed */
            } else if (rc != 0) {
                ts->due_ns = ult_now_ns() + RETRY_NS;
            }
            ult_yield();
        }
    }
    LIST_FOREACH_SAFE(ts, tmp, &tgt->scrubs.list, struct tgt_scrub, link) {
        if (ts->scrub != NULL && vos_scrub_stats(ts->scrub)->is_running)
            CAIRN_IGNORE(scrub_save(ts)); /* else the next life begins at the place saved before */
        scrub_drop(ts);
    }
}

void
tgt_scrubs_init(struct tgt *tgt)
{
    list_init(&tgt->scrubs.list);
    ult_cond_init(&tgt->scrubs.wake);
}

void
tgt_scrub_told(struct tgt *tgt, const struct uuid *pool, const struct tgt_scrub_conf *conf)
{
    struct tgt_scrub *ts, *found = NULL;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        found = cuuid_cmp(&ts->pool, pool) == 0 ? ts : found;
    }
    if (tgt->scrubs.is_stopping || (found == NULL && conf->mode == TGT_SCRUB_OFF))
        return;
    if (found != NULL && found->conf.mode == conf->mode && found->conf.freq_s == conf->freq_s &&
        found->conf.thresh == conf->thresh)
        return;
    ts = found != NULL ? found : calloc(1, sizeof(*ts));
    if (ts == NULL ||
        (tgt->scrubs.ult == NULL &&
            ult_create(tgt->xs, ULT_BACKGROUND, scrubs_ult, tgt, &tgt->scrubs.ult) != 0)) {
        free(found == NULL ? ts : NULL); /* it is told again */
        return;
    }
    if (found == NULL) {
        ts->tgt = tgt;
        ts->pool = *pool;
        list_add_tail(&ts->link, &tgt->scrubs.list);
    }
    ts->conf = *conf;
    ts->is_over = false;
    ts->due_ns = ts->scrub == NULL ? ult_now_ns() : pass_due_ns(ts, vos_scrub_stats(ts->scrub));
    ult_cond_signal(&tgt->scrubs.wake);
}

void
tgt_scrubs_stop(struct tgt *tgt)
{
    struct ult *ult = tgt->scrubs.ult;

    tgt->scrubs.is_stopping = true;
    tgt->scrubs.ult = NULL;
    ult_cond_broadcast(&tgt->scrubs.wake);
    if (ult != NULL)
        ult_join(ult);
}

void
tgt_scrubs_fini(struct tgt *tgt)
{
    struct tgt_scrub *ts, *tmp;

    LIST_FOREACH_SAFE(ts, tmp, &tgt->scrubs.list, struct tgt_scrub, link) {
        free(ts); /* the store frees what is of it */
    }
}
