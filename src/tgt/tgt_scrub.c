/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * When and how fast the shards of a target are scrubbed; vos_scrub_step() does it (TGT-9). One ULT in the background class, made when the first pool wants it,
 * takes the shard that is due first:
 *
 *      told the pool's properties -> due -> a step -> due again after the step's share of the period (timed), or when requests leave time (lazy)
 *                                            | the pass ended: due when the period is over, counted from the begin of the pass
 *
 * Superblocks and the metadata role, which the shards share, are one more entry, at the pace of the pool that wants most. What is found there counts for every pool.
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

/* Superblocks and the metadata role, which all shards share: their pass. Where one begins is drawn at a start, so that frequent restarts leave nothing out. */
struct images {
    bool is_running, has_place;
    uint64_t place, left_nr; /* places: the next one; of the pass under way */
    uint64_t bad_nr,
        last_bad_nr; /* that could not be mended, in the pass under way, in the last one */
    uint64_t start_ns;
};

struct tgt_scrub {
    struct list_head link;
    struct tgt *tgt;
    struct uuid pool;
    struct tgt_scrub_conf conf; /* of the images: the strictest of all pools */
    struct vos_scrub *scrub; /* NULL: not begun, in this life; of the images: always */
    uint64_t due_ns, saved_ns;
    struct tgt_pace pace;
    uint64_t retry_ns; /* judgement has failed: not before */
    bool must_judge; /* what was found, or the threshold, has changed */
    bool is_conf_new; /* since the last judgement */
    bool is_out_unsaved; /* the last judgement counts in memory alone, so far */
    struct images *images; /* of the entry for the metadata role */
};

static uint64_t
period_ns(const struct tgt_scrub *ts)
{
    return MAX(ts->conf.freq_s * UINT64_C(1000000000), PERIOD_NS_MIN);
}

/* Until the next step of a pass that is to take the period. */
static uint64_t
step_gap_ns(const struct tgt_scrub *ts, uint64_t part, uint64_t total)
{
    return MIN((uint64_t)((double)period_ns(ts) * (double)part / (double)total), STEP_GAP_NS_MAX);
}

/* A step was made, which was so large a part of a pass. */
static void
rest(struct tgt_scrub *ts, uint64_t part, uint64_t total)
{
    ts->due_ns = ult_now_ns();
    if (ts->conf.mode == TGT_SCRUB_TIMED) {
        ts->due_ns += step_gap_ns(ts, part, total);
    } else {
        CAIRN_IGNORE(tgt_pace(ts->tgt, &ts->pace, REST_LAZY)); /* whoever stops says so */
        ult_yield();
    }
}

/* ---- the metadata role ---------------------------------------------------------------------- */

static void
judge_all(struct tgt *tgt)
{
    struct tgt_scrub *ts;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        ts->must_judge = ts->images == NULL;
    }
}

static void
image_note(void *arg, const struct bio_img_bad *bad)
{
    struct tgt_scrub *ts = arg;
    struct tgt *tgt = ts->tgt;
    char text[BIO_IMG_TEXT_BYTES];

    LOG_ERROR("scrubber: target %u: %s", tgt->opts.idx, bio_img_text(bad, text));
    if (bad->is_mended) {
        tgt->stats.scrub_mended_nr++;
        return;
    }
    tgt->stats.scrub_bad_nr++;
    ts->images->bad_nr++;
    judge_all(tgt);
}

static uint64_t
images_bad_nr(const struct tgt *tgt)
{
    const struct tgt_scrub *ts = tgt->scrubs.images;

    return ts == NULL ? 0 : MAX(ts->images->bad_nr, ts->images->last_bad_nr);
}

static void
images_begin(struct tgt_scrub *ts, uint64_t places_nr)
{
    struct images *im = ts->images;

    if (!im->has_place)
        im->place = hash_mix64(plat_wall_ns(xstream_plat(ts->tgt->xs)));
    im->place %= places_nr;
    im->has_place = im->is_running = true;
    im->left_nr = places_nr;
    im->bad_nr = 0;
    im->start_ns = ult_now_ns();
}

static int
images_step(struct tgt_scrub *ts)
{
    struct bio_tgt *bio = ts->tgt->opts.bio;
    uint64_t places_nr = bio_scrub_places(bio), before, bytes = 0;
    struct images *im = ts->images;
    int rc;

    if (!im->is_running)
        images_begin(ts, places_nr);
    if (im->place >= places_nr)
        im->place = 0;
    before = im->place;
    rc = bio_scrub_step(bio, &im->place, before + im->left_nr, STEP_BYTES, image_note, ts, &bytes);
    im->left_nr -= im->place - before;
    ts->tgt->stats.scrub_meta_bytes += bytes;
    if (rc != 0)
        return rc;
    if (im->left_nr > 0) {
        rest(ts, im->place - before, places_nr);
        return 0;
    }
    im->is_running = false;
    im->last_bad_nr = im->bad_nr;
    im->bad_nr = 0;
    ts->tgt->stats.scrub_meta_passes_nr++;
    ts->due_ns = im->start_ns + period_ns(ts);
    return 0;
}

/* Its pace is that of the pool that wants most. */
static void
images_conf(struct tgt *tgt)
{
    struct tgt_scrub_conf conf = {.mode = TGT_SCRUB_OFF, .freq_s = UINT32_MAX};
    struct tgt_scrub *ts, *images = tgt->scrubs.images;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        if (ts == images || ts->conf.mode == TGT_SCRUB_OFF)
            continue;
        conf.freq_s = MIN(conf.freq_s, ts->conf.freq_s);
        if (conf.mode != TGT_SCRUB_LAZY)
            conf.mode = ts->conf.mode;
    }
    if (conf.mode == images->conf.mode && conf.freq_s == images->conf.freq_s)
        return;
    images->conf = conf;
    images->due_ns = ult_now_ns();
    if (images->images->start_ns != 0 && !images->images->is_running)
        images->due_ns = MAX(images->due_ns, images->images->start_ns + period_ns(images));
}

/* ---- shards --------------------------------------------------------------------------------- */

static void
bad_note(void *arg, const struct vos_scrub_bad *bad)
{
    struct tgt_scrub *ts = arg;

    (void)bad;
    ts->tgt->stats.scrub_bad_nr++;
    ts->must_judge = true;
}

/* Each bad chunk counts once, however many passes found it. */
static uint64_t
found_nr(const struct tgt_scrub *ts)
{
    const struct vos_scrub_stats *stats = ts->scrub == NULL ? NULL : vos_scrub_stats(ts->scrub);

    return images_bad_nr(ts->tgt) + (stats == NULL ? 0 : MAX(stats->pass.bad_nr, stats->last.bad_nr));
}

static void
out_log(const struct tgt_scrub *ts, bool is_over)
{
    char text[CUUID_TEXT_BYTES];

    cuuid_format(&ts->pool, text);
    if (is_over) {
        LOG_ERROR(
            "scrubber: pool %s: target %u has reached scrub_thresh (%u) with %" PRIu64
            " bad chunks: it is out of service for this pool; destroy the pool, or set a higher "
            "scrub_thresh, or 0, to have what is left of it",
            text, ts->tgt->opts.idx, ts->conf.thresh, found_nr(ts));
    } else {
        LOG_WARN("scrubber: pool %s: target %u serves it again: scrub_thresh is %u, with %" PRIu64
                 " bad chunks",
            text, ts->tgt->opts.idx, ts->conf.thresh, found_nr(ts));
    }
}

/* TGT-10. */
static int
judge(struct tgt_scrub *ts)
{
    const struct vos_scrub_stats *stats = vos_scrub_stats(ts->scrub);
    bool is_over = ts->conf.thresh != 0 && found_nr(ts) >= ts->conf.thresh;
    bool is_change = is_over ? !stats->is_out : stats->is_out && ts->is_conf_new;
    int rc = 0;

    ts->must_judge = false;
    if (is_change) {
        CAIRN_PROBE("tgt.scrub.over");
        ts->tgt->stats.scrub_over_nr += is_over;
        out_log(ts, is_over);
    }
    if (is_change || ts->is_out_unsaved) {
        rc = vos_scrub_out_set(ts->scrub, is_change ? is_over : stats->is_out);
        ts->is_out_unsaved = ts->must_judge = rc != 0;
    }
    ts->is_conf_new = false;
    return rc;
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

/* The service says whether a container is to be left out; who can't be asked does not say so. */
static bool
cont_skip(void *arg, const struct uuid *cont)
{
    struct tgt_scrub *ts = arg;
    struct tgt *tgt = ts->tgt;
    struct tgt_stable st;
    int rc;

    if (tgt->opts.stable == NULL || tgt->scrubs.is_stopping)
        return false;
    rc = tgt->opts.stable(tgt->opts.arg, ts->pool, *cont, &st);
    if (rc != 0)
        return rc == -DER_NONEXIST; /* it is about to go */
    free(st.snaps);
    tgt_scrub_told(tgt, &ts->pool, &st.scrub);
    tgt->stats.scrub_skipped_nr += st.is_scrub_off;
    return st.is_scrub_off;
}

static int
scrub_begin(struct tgt_scrub *ts)
{
    int rc = vos_scrub_create(ts->tgt->opts.vos, ts->pool, bad_note, ts, &ts->scrub);

    if (rc == 0) {
        vos_scrub_skip_set(ts->scrub, cont_skip);
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
    struct vos_pool_info info;

    bytes = (is_end ? stats->last.bytes : stats->pass.bytes) - before;
    ts->tgt->stats.scrub_bytes += bytes;
    if (rc == 0)
        rc = vos_pool_query(ts->tgt->opts.vos, ts->pool, &info);
    if (rc != 0)
        return rc;
    if (is_end) {
        ts->tgt->stats.scrub_passes_nr++;
        ts->due_ns = pass_due_ns(ts, stats);
    } else {
        rest(ts, bytes, MAX(info.meta_used + info.data_used, (uint64_t)STEP_BYTES));
    }
    return is_end || ult_now_ns() >= ts->saved_ns + SAVE_NS ? scrub_save(ts) : 0;
}

/* ---- the ULT -------------------------------------------------------------------------------- */

static void
scrub_drop(struct tgt_scrub *ts)
{
    if (ts == ts->tgt->scrubs.images)
        ts->tgt->scrubs.images = NULL;
    vos_scrub_free(ts->scrub);
    list_del(&ts->link);
    free(ts->images);
    free(ts);
}

/* One step of whatever it is that has to be done. */
static int
work(struct tgt_scrub *ts)
{
    if (ts->images != NULL)
        return images_step(ts);
    if (ts->scrub == NULL)
        return scrub_begin(ts);
    return ts->must_judge ? judge(ts) : scrub_step(ts);
}

/* Judgement comes first, unless it failed. */
static uint64_t
due_of(const struct tgt_scrub *ts)
{
    return ts->must_judge && ts->images == NULL ? MIN(ts->due_ns, ts->retry_ns) : ts->due_ns;
}

/* The shard that is due, or *ret_due_ns when one will be. */
static struct tgt_scrub *
pick(struct tgt *tgt, uint64_t *ret_due_ns)
{
    struct tgt_scrub *ts, *first = NULL;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        if ((ts->conf.mode != TGT_SCRUB_OFF || ts->must_judge) &&
            (first == NULL || due_of(ts) < due_of(first)))
            first = ts;
    }
    *ret_due_ns = first == NULL ? PLAT_NEVER_NS : due_of(first);
    return first != NULL && due_of(first) <= ult_now_ns() ? first : NULL;
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
            rc = work(ts);
            if (rc == -DER_NONEXIST) {
                scrub_drop(ts); /* the shard was destroyed */
                images_conf(tgt);
            } else if (rc != 0) {
                ts->due_ns = ts->retry_ns = ult_now_ns() + RETRY_NS;
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

static struct tgt_scrub *
scrub_find(const struct tgt *tgt, const struct uuid *pool)
{
    struct tgt_scrub *ts;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        if (ts->images == NULL && cuuid_cmp(&ts->pool, pool) == 0)
            return ts;
    }
    return NULL;
}

static struct tgt_scrub *
scrub_add(struct tgt *tgt, const struct uuid *pool)
{
    struct tgt_scrub *ts = calloc(1, sizeof(*ts));

    if (ts == NULL)
        return NULL;
    ts->tgt = tgt;
    ts->pool = *pool;
    list_add_tail(&ts->link, &tgt->scrubs.list);
    return ts;
}

/* Make the ULT, and the entry for the metadata role, if they are not there. */
static bool
scrubs_start(struct tgt *tgt)
{
    static const struct uuid none;
    struct images *im;

    if (tgt->scrubs.images == NULL) {
        im = calloc(1, sizeof(*im));
        tgt->scrubs.images = im == NULL ? NULL : scrub_add(tgt, &none);
        if (tgt->scrubs.images == NULL) {
            free(im);
            return false;
        }
        tgt->scrubs.images->images = im;
    }
    return tgt->scrubs.ult != NULL ||
        ult_create(tgt->xs, ULT_BACKGROUND, scrubs_ult, tgt, &tgt->scrubs.ult) == 0;
}

void
tgt_scrub_told(struct tgt *tgt, const struct uuid *pool, const struct tgt_scrub_conf *conf)
{
    struct tgt_scrub *ts = scrub_find(tgt, pool);

    if (tgt->scrubs.is_stopping ||
        (ts == NULL && conf->mode == TGT_SCRUB_OFF && !vos_pool_is_out(tgt->opts.vos, *pool)))
        return;
    if (ts != NULL && ts->conf.mode == conf->mode && ts->conf.freq_s == conf->freq_s &&
        ts->conf.thresh == conf->thresh)
        return;
    if (!scrubs_start(tgt))
        return; /* it is told again */
    if (ts == NULL)
        ts = scrub_add(tgt, pool);
    if (ts == NULL)
        return;
    ts->conf = *conf;
    ts->must_judge = ts->is_conf_new = true;
    ts->due_ns = ts->scrub == NULL ? ult_now_ns() : pass_due_ns(ts, vos_scrub_stats(ts->scrub));
    images_conf(tgt);
    ult_cond_signal(&tgt->scrubs.wake);
}

uint32_t
tgt_scrubs_out_nr(const struct tgt *tgt)
{
    const struct tgt_scrub *ts;
    uint32_t nr = 0;

    LIST_FOREACH(ts, &tgt->scrubs.list, struct tgt_scrub, link) {
        nr += ts->scrub != NULL && vos_scrub_stats(ts->scrub)->is_out;
    }
    return nr;
}

uint64_t
tgt_scrub_found(const struct tgt *tgt, struct uuid pool)
{
    const struct tgt_scrub *ts = scrub_find(tgt, &pool);

    return ts == NULL ? 0 : found_nr(ts);
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
        free(ts->images);
        free(ts); /* the store frees what is of it */
    }
}
