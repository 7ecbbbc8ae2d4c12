/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Devices that answer late. Every disk operation of a target that a device has to answer is in a list until it is done; a ULT looks at the oldest.
 *
 *   BW-1  An operation that was not answered for BIO_STALL_NS makes the target STALLED, with a line that says which role; when all that old ones are answered, another
 *         line says after how long. Nothing is given up: whoever waits goes on waiting, since what the device will do is unknown (ST-1).
 *   BW-2  One that took BIO_SLOW_NS or more makes the target SLOW for BIO_SLOW_HOLD_NS, with a line when that begins.
 *   BW-3  The ULT sleeps without a timer while nothing is under way; otherwise it wakes every BIO_STALL_NS at most.
 *
 * Roles that are memory are not watched: their operations are done when they are submitted. Tested by bio_watch_test.c.
 */
#include "base/log.h"
#include "base/probe.h"
#include "base/util.h"
#include "bio/bio_priv.h"

static const char *const watch_roles[BIO_ROLE_NR] = {"target", "wal", "meta", "data"};

void
bio_watch_init(struct bio_watch *watch)
{
    list_init(&watch->ops);
    ult_cond_init(&watch->work);
}

void
bio_watch_begin(struct bio_watch *watch, struct bio_req *req, enum bio_role role)
{
    req->watch = watch;
    req->role = (uint8_t)role;
    req->start_ns = plat_mono_ns(watch->plat);
    list_add_tail(&req->link, &watch->ops);
    if (watch->is_idle)
        ult_cond_signal(&watch->work);
}

void
bio_watch_end(struct bio_req *req)
{
    struct bio_watch *watch = req->watch;
    uint64_t now_ns = plat_mono_ns(watch->plat), took_ns = now_ns - req->start_ns;

    list_del(&req->link);
    watch->took_max_ns = MAX(watch->took_max_ns, took_ns);
    if (took_ns < BIO_SLOW_NS)
        return;
    watch->slow_nr++;
    if (now_ns >= watch->slow_until_ns) {
        CAIRN_PROBE("bio.watch.slow");
        LOG_WARN("target %u in %s is slow: an operation of its role %s took %lu ms: look at the "
                 "device",
            watch->cfg->tgt_idx, watch->cfg->dir, watch_roles[req->role],
            (unsigned long)(took_ns / 1000000));
    }
    watch->slow_until_ns = now_ns + BIO_SLOW_HOLD_NS;
}

static struct bio_req *
watch_oldest(const struct bio_watch *watch)
{
    return LIST_FIRST(&watch->ops, struct bio_req, link);
}

static bool
is_stalled(const struct bio_watch *watch, uint64_t now_ns)
{
    const struct bio_req *req = watch_oldest(watch);

    return req != NULL && now_ns - req->start_ns >= BIO_STALL_NS;
}

/* BW-1. */
static void
watch_look(struct bio_watch *watch)
{
    uint64_t now_ns = plat_mono_ns(watch->plat);
    bool stalls = is_stalled(watch, now_ns);

    if (stalls && !watch->is_stalled) {
        watch->stalls_nr++;
        watch->stall_ns = watch_oldest(watch)->start_ns;
        LOG_WARN(
            "target %u in %s stalls: an operation of its role %s has not been answered for %lu "
            "ms: look at the device; whoever waits for it goes on waiting",
            watch->cfg->tgt_idx, watch->cfg->dir, watch_roles[watch_oldest(watch)->role],
            (unsigned long)((now_ns - watch->stall_ns) / 1000000));
    } else if (!stalls && watch->is_stalled) {
        LOG_WARN("target %u in %s stalls no more, after at most %lu ms", watch->cfg->tgt_idx,
            watch->cfg->dir, (unsigned long)((now_ns - watch->stall_ns) / 1000000));
    }
    watch->is_stalled = stalls;
}

static void
watch_main(void *arg)
{
    struct bio_watch *watch = arg;

    while (!watch->is_stopping) {
        const struct bio_req *req = watch_oldest(watch);
        uint64_t at_ns = PLAT_NEVER_NS;

        if (req != NULL || watch->is_stalled) {
            uint64_t now_ns = plat_mono_ns(watch->plat);

            at_ns = now_ns + BIO_STALL_NS;
            if (req != NULL && !watch->is_stalled)
                at_ns = MAX(req->start_ns + BIO_STALL_NS, now_ns + BIO_STALL_NS / 8);
            if (watch->is_stalled)
                at_ns = now_ns + BIO_STALL_NS / 8;
        }
        watch->is_idle = at_ns == PLAT_NEVER_NS;
        CAIRN_IGNORE(ult_cond_wait_until(&watch->work, NULL, at_ns));
        watch->is_idle = false;
        watch_look(watch);
    }
}

int
bio_watch_start(struct bio_tgt *tgt)
{
    return ult_create(tgt->xs, ULT_BACKGROUND, watch_main, &tgt->watch, &tgt->watch.ult);
}

void
bio_watch_stop(struct bio_tgt *tgt)
{
    tgt->watch.is_stopping = true;
    ult_cond_broadcast(&tgt->watch.work);
    if (tgt->watch.ult != NULL)
        ult_join(tgt->watch.ult);
    tgt->watch.ult = NULL;
}

void
bio_health_get(const struct bio_tgt *tgt, struct bio_health *ret_health)
{
    const struct bio_watch *watch = &tgt->watch;
    const struct bio_req *req = watch_oldest(watch);
    uint64_t now_ns = plat_mono_ns(tgt->plat);

    *ret_health = (struct bio_health){
        .state = bio_status(tgt) != 0       ? BIO_STOPPED
            : is_stalled(watch, now_ns)     ? BIO_STALLED
            : now_ns < watch->slow_until_ns ? BIO_SLOW
                                            : BIO_WELL,
        .oldest_ns = req != NULL ? now_ns - req->start_ns : 0,
        .took_max_ns = watch->took_max_ns,
        .slow_nr = watch->slow_nr,
        .stalls_nr = watch->stalls_nr,
    };
}
