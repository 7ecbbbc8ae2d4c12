/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The store of the services is scrubbed, too: the databases of the system and of the pools (a shard of vos each), its superblocks, its metadata role. Targets have tgt_scrub.c,
 * which goes by the properties of pools; this store belongs to no pool, so it is done always, in ULT_BACKGROUND, once in a period of a day:
 *
 *      some time after the start -> each shard -> superblocks, metadata role -> labels and tables of the engine's devices -> wait until the period is over
 *                                   (half of the period for either, a rest after each step by its share of the whole)
 *
 * What is bad is a line of the log and a counter; whoever needs it gets CSUM. Shards begin at one that is drawn, so that frequent restarts leave none out. Tested by
 * test/server/server_scrub_test.c.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/util.h"
#include "engine_priv.h"

enum { STEP_BYTES = 256 * 1024 };
#define PERIOD_NS UINT64_C(86400000000000)
#define BEGIN_NS_MAX UINT64_C(600000000000)
#define STEP_GAP_NS_MAX UINT64_C(600000000000) /* of a store that holds next to nothing */
#define PERIOD_NS_MIN UINT64_C(1000000000)

static uint64_t
period_ns(const struct engine_xs *xs)
{
    uint64_t ns = xs->engine->cfg.limits.sys_scrub_ns;

    return MAX(ns != 0 ? ns : PERIOD_NS, PERIOD_NS_MIN);
}

/* False: it is to stop. */
static bool
wait_until(struct engine_scrub *sc, uint64_t due_ns)
{
    while (!sc->is_stopping && ult_now_ns() < due_ns) {
        CAIRN_IGNORE(ult_cond_wait_until(&sc->wake, NULL, due_ns));
    }
    return !sc->is_stopping;
}

/* After a step that was so large a part of the whole. */
static bool
rest(struct engine_xs *xs, uint64_t part, uint64_t total)
{
    double share = (double)part / (double)MAX(total, part + 1);
    uint64_t gap_ns = (uint64_t)((double)period_ns(xs) / 2 * share);

    return wait_until(&xs->scrub, ult_now_ns() + MIN(gap_ns, STEP_GAP_NS_MAX));
}

static void
value_bad(void *arg, const struct vos_scrub_bad *bad)
{
    struct engine_scrub *sc = arg;

    (void)bad; /* vos has logged it */
    sc->stats.scrub_bad_nr++;
}

static void
image_bad(void *arg, const struct bio_img_bad *bad)
{
    struct engine_scrub *sc = arg;
    bool is_dev = bad->kind == BIO_IMG_LABEL || bad->kind == BIO_IMG_TABLE;
    char text[BIO_IMG_TEXT_BYTES];

    LOG_ERROR(
        "scrubber: %s: %s", is_dev ? "a device" : "store of the services", bio_img_text(bad, text));
    if (bad->is_mended) {
        sc->stats.scrub_mended_nr++;
    } else {
        sc->stats.scrub_bad_nr++;
    }
}

static uint64_t
used_bytes(const struct engine_xs *xs)
{
    struct bio_space space;

    bio_space_get(xs->bio, &space);
    return space.meta_total - space.meta_free + space.data_total - space.data_free;
}

/* One service. An error ends it; the next pass comes by again. */
static void
shard_scrub(struct engine_xs *xs, struct uuid id)
{
    struct engine_scrub *sc = &xs->scrub;
    const struct vos_scrub_stats *st;
    struct vos_scrub *scrub = NULL;
    uint64_t before = 0, after;
    bool goes_on = vos_scrub_create(xs->vos, id, value_bad, sc, &scrub) == 0;

    st = goes_on ? vos_scrub_stats(scrub) : NULL;
    while (goes_on && !sc->is_stopping) {
        goes_on = vos_scrub_step(scrub, STEP_BYTES) == 0 && st->passes_nr == 0;
        after = st->passes_nr == 0 ? st->pass.bytes : st->last.bytes;
        sc->stats.scrub_bytes += after - before;
        goes_on = goes_on && rest(xs, after - before, used_bytes(xs));
        before = after;
    }
    sc->stats.scrub_passes_nr += st != NULL && st->passes_nr > 0;
    vos_scrub_free(scrub);
}

/* Every service, from the one behind `first` on, in the order of the store. */
static void
shards_scrub(struct engine_xs *xs)
{
    uint64_t draw = hash_mix64(plat_wall_ns(xs->engine->plat));
    struct uuid id, after = {{0}};
    uint32_t all_nr = 0, nr = 0, skip_nr, i = 0, wraps_nr = 0;

    /* How many there are; meanwhile some may come and go. */
    while (vos_pool_list(xs->vos, after, &id, 1, &nr) == 0 && nr == 1) {
        all_nr++;
        after = id;
    }
    skip_nr = all_nr == 0 ? 0 : (uint32_t)(draw % all_nr);
    after = (struct uuid){{0}};
    while (i < skip_nr + all_nr && wraps_nr < 2 && !xs->scrub.is_stopping) {
        if (vos_pool_list(xs->vos, after, &id, 1, &nr) != 0)
            return;
        if (nr == 0) {
            wraps_nr++;
            after = (struct uuid){{0}};
            continue;
        }
        after = id;
        if (i++ >= skip_nr)
            shard_scrub(xs, id);
    }
}

static void
images_scrub(struct engine_xs *xs)
{
    struct engine_scrub *sc = &xs->scrub;
    uint64_t place = 0, before, bytes = 0;

    while (place < bio_scrub_places(xs->bio)) {
        before = place;
        if (bio_scrub_step(xs->bio, &place, UINT64_MAX, STEP_BYTES, image_bad, sc, &bytes) != 0)
            return;
        sc->stats.scrub_meta_bytes += bytes;
        if (!rest(xs, place - before, bio_scrub_places(xs->bio)))
            return;
    }
    sc->stats.scrub_meta_passes_nr++;
}

static void
devs_scrub(struct engine_xs *xs)
{
    for (uint32_t i = 0; i < xs->engine->cfg.dev_nr && !xs->scrub.is_stopping; i++) {
        struct bio_dev *dev = xs->engine->devs[i];
        int rc = dev == NULL ? 0 : bio_dev_scrub(dev, xs->xs, image_bad, &xs->scrub);

        if (rc != 0) {
            LOG_WARN(
                "scrubber: %s cannot be looked at: %s", xs->engine->cfg.devs[i].path, err_name(rc));
        }
    }
}

static void
scrub_ult(void *arg)
{
    struct engine_xs *xs = arg;
    uint64_t due_ns = ult_now_ns() + MIN(period_ns(xs), BEGIN_NS_MAX);

    while (wait_until(&xs->scrub, due_ns)) {
        due_ns = ult_now_ns() + period_ns(xs);
        shards_scrub(xs);
        images_scrub(xs);
        devs_scrub(xs);
        due_ns = MAX(due_ns, ult_now_ns() + PERIOD_NS_MIN);
    }
}

int
engine_scrub_start(struct engine_xs *xs)
{
    ult_cond_init(&xs->scrub.wake);
    xs->scrub.is_stopping = false;
    return ult_create(xs->xs, ULT_BACKGROUND, scrub_ult, xs, &xs->scrub.ult);
}

void
engine_scrub_stop(struct engine_xs *xs)
{
    struct ult *ult = xs->scrub.ult;

    if (ult == NULL)
        return;
    xs->scrub.ult = NULL;
    xs->scrub.is_stopping = true;
    ult_cond_broadcast(&xs->scrub.wake);
    ult_join(ult);
}
