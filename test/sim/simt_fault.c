/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Faults, drawn from the seed: which kinds this run knows, how often, how bad (swarm testing: runs with few kinds reach states that
 * runs with all of them never see). Everything that lasts ends by itself, and simt_calm() ends it all.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "bio/bio_priv.h"
#include "sim/simt_sys.h"

enum {
    FAULTS_MAX = 150,
    DEATHS_MAX = 60,
    ROT_MAX = 6
}; /* of a run; of engines, so that a call can end well within its time */

static const char *const names[SIMT_FAULTS_NR] = {"kill", "power", "power_at", "client", "link",
    "net", "disk", "evict", "skew", "pause", "stop", "badio", "rot"};

const char *
simt_fault_name(enum simt_fault fault)
{
    return names[fault];
}

/* ---- drawing ------------------------------------------------------------------------------------------------------------------ */

/* Between lo and hi, each order of magnitude as likely. */
static uint64_t
draw_log(struct rng *rng, uint64_t lo, uint64_t hi)
{
    uint64_t top = lo;

    while (top < hi && !rng_chance(rng, 1, 3)) {
        top *= 2;
    }
    return rng_range(rng, lo, MIN(MAX(top, lo), hi));
}

static void
rough_draw(struct rng *rng, struct simt_cfg *cfg)
{
    struct sim_opts *r = &cfg->rough;

    *r = cfg->calm;
    if (cfg->faults[SIMT_NET]) {
        r->net_loss_ppm = rng_chance(rng, 1, 2) ? 0 : (uint32_t)draw_log(rng, 50, 5000);
        r->net_dup_ppm = rng_chance(rng, 1, 2) ? 0 : (uint32_t)draw_log(rng, 1000, 200000);
        r->net_reorder_ppm = rng_chance(rng, 1, 2) ? 0 : (uint32_t)draw_log(rng, 1000, 200000);
        r->net_cut_ppm = rng_chance(rng, 1, 2) ? 0 : (uint32_t)draw_log(rng, 50, 10000);
        if (rng_chance(rng, 1, 4))
            r->net_lat_hi_ns = draw_log(rng, SIMT_MS, 200 * SIMT_MS);
    }
    if (cfg->faults[SIMT_DISK]) {
        r->disk_lat_hi_ns = draw_log(rng, SIMT_MS, 50 * SIMT_MS);
        r->disk_stall_ppm = (uint32_t)draw_log(rng, 100, 20000);
        r->disk_stall_ns = draw_log(rng, 10 * SIMT_MS, 3 * SIMT_S);
    }
}

static bool
is_named(const struct simt *t, const char *name)
{
    return t->opts.narrow != NULL && strstr(t->opts.narrow, name) != NULL;
}

/*
 * Swarm testing: what the usual sizes would need days for happens at once where some limits are small. Each run has a few of these.
 * From a generator of its own, so that one more draw here leaves the rest of a run what it was.
 */
static void
narrow_draw(struct simt *t, struct rng *rng)
{
    struct simt_cfg *cfg = &t->cfg;
    struct engine_limits *limits = &cfg->limits;
    struct sim_opts *r = &cfg->rough;

    if (rng_chance(rng, 1, 4)) {
        r->net_window_bytes = (uint32_t)draw_log(rng, 2048, 65536);
        r->net_sendq_nr = (uint32_t)draw_log(rng, 1, 4);
        limits->rpc_backlog_nr = (uint32_t)rng_range(rng, 3, 8);
    }
    if (cfg->faults[SIMT_NET] && rng_chance(rng, 1, 3))
        r->net_part_hi_ns = rng_range(rng, 1, 60) * SIMT_S;
    if (rng_chance(rng, 1, 5))
        limits->tgt_conts_nr = 1;
    if (rng_chance(rng, 1, 5))
        limits->tgt_hdls_nr = (uint32_t)rng_range(rng, 3, 8);
    if (rng_chance(rng, 1, 4))
        limits->pool_revokes_nr = (uint32_t)rng_range(rng, 1, 2);
    if (rng_chance(rng, 1, 4))
        limits->ckpt_pct = (uint32_t)(rng_chance(rng, 1, 2) ? rng_range(rng, 1, 5) : 90);
    cfg->is_hot = rng_chance(rng, 1, 8);
    cfg->wide = rng_chance(rng, 1, 5);
    cfg->is_big = rng_chance(rng, 1, 4);
    cfg->long_pauses = rng_chance(rng, 1, 2);
    cfg->restless = rng_chance(rng, 1, 6);
    cfg->pools = rng_chance(rng, 1, 4);
    cfg->mortals = t->opts.seed % 4 == 3 || is_named(t, "mortals");
    if (rng_chance(rng, 1, 8))
        cfg->meta_bytes = UINT64_C(8) << 20;
    if (rng_chance(rng, 1, 8) || is_named(t, "short"))
        cfg->call_ns = rng_range(rng, 1, 30) * SIMT_S;
    if (rng_chance(rng, 1, 2))
        limits->agg_gap_ns = draw_log(rng, SIMT_MS, SIMT_S);
    if (t->opts.seed % 2 == 0)
        limits->sys_scrub_ns = SIMT_S; /* the services' store, all the time */
    if (is_named(t, "agg"))
        limits->agg_gap_ns = SIMT_MS;
    cfg->is_hot |= is_named(t, "hot");
    cfg->wide |= is_named(t, "wide");
    cfg->is_big |= is_named(t, "big");
    cfg->long_pauses |= is_named(t, "pauses");
    cfg->restless |= is_named(t, "restless");
    cfg->pools |= is_named(t, "pools");
    if (is_named(t, "parts"))
        r->net_part_hi_ns = 60 * SIMT_S;
    if (is_named(t, "slow"))
        r->disk_lat_hi_ns = 50 * SIMT_MS;
    if (is_named(t, "window"))
        r->net_window_bytes = 4096;
    if (cfg->call_ns != 0 && t->opts.works == 0)
        t->opts.works = 1; /* others take no such answer */
    if (t->opts.works != 1)
        cfg->call_ns = 0;
}

/*
 * One target of the system has a bad disk. What it answers then is known in the workload of objects alone, and nobody makes pools there.
 * A bit that flips in the very last group of a log is found only when the log goes on (src/bio/README.md): so after each flip no
 * engine dies for a while, nor at a write that was chosen before.
 */
static void
damage_draw(struct simt *t, struct rng *rng)
{
    struct simt_cfg *cfg = &t->cfg;
    bool may =
        t->opts.only_fault < 0 && !t->opts.faults_off && (t->opts.works == 0 || t->opts.works == 1);

    if (may && rng_chance(rng, 1, 8))
        cfg->faults[rng_chance(rng, 1, 2) ? SIMT_BADIO : SIMT_ROT] = true;
    cfg->faults[SIMT_BADIO] |= is_named(t, "badio");
    cfg->faults[SIMT_ROT] |= is_named(t, "rot");
    cfg->scrub = cfg->faults[SIMT_ROT] || hash_mix64(t->opts.seed) % 4 == 0; /* no draw: as before */
    cfg->scrub_thresh = (uint32_t)(hash_mix64(t->opts.seed ^ 1) % 3); /* 0: none */
    if (!cfg->faults[SIMT_BADIO] && !cfg->faults[SIMT_ROT])
        return;
    cfg->victim_rank = (uint32_t)rng_below(rng, SIMT_ENGINES);
    cfg->victim_tag = (uint32_t)rng_range(rng, 1, SIMT_TGTS);
    cfg->error_ppm = (uint32_t)draw_log(rng, 2000, 100000);
    cfg->pools = cfg->mortals = false;
    t->opts.works = 1;
    if (cfg->faults[SIMT_ROT])
        cfg->faults[SIMT_POWER_AT] = false;
}

static void
cfg_say(struct simt *t)
{
    const struct simt_cfg *cfg = &t->cfg;
    const struct sim_opts *r = &cfg->rough;

    if (!t->opts.is_verbose)
        return;
    fprintf(stderr,
        "%u operations by %u, %u, %u workers, pauses %.1f ms; faults each %.0f ms, peace %.0f ms:",
        cfg->ops, cfg->workers[0], cfg->workers[1], cfg->workers[2], (double)cfg->think_ns / 1e6,
        (double)cfg->fault_gap_ns / 1e6, (double)cfg->peace_ns / 1e6);
    for (uint32_t i = 0; i < SIMT_FAULTS_NR; i++) {
        if (cfg->faults[i])
            fprintf(stderr, " %s", names[i]);
    }
    fprintf(
        stderr, "\nnet %.3f ms, ppm lost %u twice %u disordered %u cut %u; disk %.3f ms, stalls %u ppm of %.0f ms\n",
        (double)r->net_lat_hi_ns / 1e6, r->net_loss_ppm, r->net_dup_ppm, r->net_reorder_ppm,
        r->net_cut_ppm, (double)r->disk_lat_hi_ns / 1e6, r->disk_stall_ppm,
        (double)r->disk_stall_ns / 1e6);
    fprintf(stderr,
        "window %u, send queue %u, second parts %.0f ms; limits: backlog %u handles %u containers "
        "%u revocations %u checkpoints %u%% aggregation %.0f ms; "
        "calls %llu s, pool %llu + %llu MiB, memory %llu KiB%s%s%s%s%s%s%s\n",
        r->net_window_bytes, r->net_sendq_nr, (double)r->net_part_hi_ns / 1e6,
        cfg->limits.rpc_backlog_nr, cfg->limits.tgt_hdls_nr, cfg->limits.tgt_conts_nr,
        cfg->limits.pool_revokes_nr, cfg->limits.ckpt_pct, (double)cfg->limits.agg_gap_ns / 1e6,
        (unsigned long long)(cfg->call_ns / SIMT_S), (unsigned long long)cfg->meta_bytes >> 20,
        (unsigned long long)cfg->data_bytes >> 20, (unsigned long long)cfg->mem_bytes >> 10,
        cfg->is_hot ? " hot" : "", cfg->wide ? " wide" : "", cfg->is_big ? " big" : "",
        cfg->long_pauses ? " long pauses" : "", cfg->restless ? " restless" : "",
        cfg->pools ? " pools" : "", cfg->mortals ? " mortals" : "");
}

void
simt_cfg_draw(struct simt *t)
{
    struct simt_cfg *cfg = &t->cfg;
    struct rng rng;

    rng_init(&rng, t->opts.seed ^ UINT64_C(0x5eed));
    rng_fork(&rng, &t->rng);
    cfg->calm = (struct sim_opts){.seed = t->opts.seed,
        .net_lat_lo_ns = 10000,
        .net_lat_hi_ns = 20000 + rng_below(&rng, 300000),
        .disk_lat_lo_ns = 10000,
        .disk_lat_hi_ns = 20000 + rng_below(&rng, 500000)};
    for (uint32_t i = 0; i < SIMT_BADIO; i++) {
        cfg->faults[i] = rng_chance(&rng, 2, 5);
    }
    if (rng_chance(&rng, 1, 12)) /* nothing goes wrong: the model itself is right */
        memset(cfg->faults, 0, sizeof(cfg->faults));
    cfg->think_ns = draw_log(&rng, SIMT_MS, 200 * SIMT_MS);
    cfg->ops = (uint32_t)rng_range(&rng, 40, 250);
    /* So many that each run sees some, and few enough that work is done between them. */
    cfg->fault_gap_ns = cfg->ops * cfg->think_ns / rng_range(&rng, 4, 40);
    cfg->fault_gap_ns = MAX(cfg->fault_gap_ns, 30 * SIMT_MS);
    cfg->peace_ns = MAX(cfg->fault_gap_ns / 2, 200 * SIMT_MS);
    for (uint32_t i = 0; i < SIMT_CLIENTS; i++) {
        cfg->workers[i] = (uint32_t)rng_range(&rng, 1, SIMT_WORKERS_MAX);
    }
    cfg->meta_bytes = UINT64_C(48) << 20;
    cfg->data_bytes = UINT64_C(128) << 20;
    if (rng_chance(&rng, 1, 6))
        cfg->data_bytes = UINT64_C(1) << 20;
    rough_draw(&rng, cfg);
    if (t->opts.ops != 0)
        cfg->ops = t->opts.ops;
    for (uint32_t i = 0; i < SIMT_FAULTS_NR; i++) {
        if (t->opts.faults_off || (t->opts.only_fault >= 0 && (uint32_t)t->opts.only_fault != i))
            cfg->faults[i] = false;
        if ((int)i == t->opts.only_fault)
            cfg->faults[i] = true;
    }
    if (!cfg->faults[SIMT_NET] && !cfg->faults[SIMT_DISK])
        cfg->rough = cfg->calm;
    rng_init(&rng, t->opts.seed ^ UINT64_C(0x5aa4));
    narrow_draw(t, &rng);
    /* Slow disks: an engine comes back between two faults, and requests go through in peace. */
    cfg->fault_gap_ns = MAX(cfg->fault_gap_ns, 10 * cfg->rough.disk_lat_hi_ns);
    cfg->peace_ns = MAX(cfg->peace_ns, 20 * cfg->rough.disk_lat_hi_ns);
    damage_draw(t, &rng);
    rng_init(&rng, t->opts.seed ^ UINT64_C(0x3e3));
    if (rng_chance(&rng, 2, 5) || is_named(t, "crowded")) /* 12 pages and more */
        cfg->mem_bytes = draw_log(&rng, UINT64_C(128) << 10, UINT64_C(2) << 20);
    cfg->limits.pool_hdls_nr = cfg->mortals ? SIMT_HDLS_NR : 0;
    cfg->unheard = is_named(t, "unheard") || hash_mix64(t->opts.seed ^ 2) % 8 == 0; /* no draw */
    cfg_say(t);
}

/* ---- doing --------------------------------------------------------------------------------------------------------------------- */

/* Nobody may die just now. */
static bool
is_immortal(const struct simt *t)
{
    return simt_now(t) < t->no_death_ns;
}

static uint64_t
down_draw(struct simt *t)
{
    return rng_chance(&t->rng, 1, 2) ? rng_below(&t->rng, 50 * SIMT_MS)
                                     : rng_below(&t->rng, 6 * SIMT_S);
}

/*
 * Nobody gets anything done in a system that never runs: all engines serve for a while before the next one goes. Sometimes one goes while
 * it, or another, is only just coming back.
 */
static bool
is_time(struct simt *t)
{
    uint64_t peace_ns = simt_exp(&t->rng, t->cfg.peace_ns);

    if (rng_chance(&t->rng, 1, 16))
        return true;
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        const struct simt_engine *e = &t->engines[i];

        if (e->engine == NULL || !e->is_ready || simt_now(t) - e->ready_ns < peace_ns)
            return false;
    }
    return true;
}

static bool
do_engine(struct simt *t, enum simt_fault fault)
{
    struct simt_engine *e = &t->engines[rng_below(&t->rng, SIMT_ENGINES)];

    if (e->engine == NULL || is_immortal(t) || !is_time(t))
        return false;
    e->down_ns = down_draw(t);
    if (fault == SIMT_KILL) {
        simt_engine_kill(e, e->down_ns);
    } else if (fault == SIMT_POWER) {
        sim_host_power_loss(t->sim, e->host);
    } else {
        sim_host_power_loss_at(t->sim, e->host, 1 + draw_log(&t->rng, 1, 200));
    }
    return true;
}

static bool
do_client(struct simt *t)
{
    struct simt_proc *proc = &t->procs[rng_below(&t->rng, SIMT_CLIENTS)];

    if (proc->plat == NULL || proc->is_done)
        return false;
    simt_proc_kill(proc, down_draw(t));
    return true;
}

static const char *
host_draw(struct simt *t)
{
    uint64_t i = rng_below(&t->rng, SIMT_ENGINES + SIMT_CLIENTS);

    return i < SIMT_ENGINES ? t->engines[i].host : t->procs[i - SIMT_ENGINES].host;
}

static bool
do_link(struct simt *t)
{
    const char *a = host_draw(t), *b = host_draw(t);
    bool both = rng_chance(&t->rng, 1, 2);
    uint64_t ns;

    if (a == b)
        return false;
    simt_say(t, "link %s %s %s down", a, both ? "<->" : "-->", b);
    sim_link_set(t->sim, a, b, false);
    if (both)
        sim_link_set(t->sim, b, a, false);
    /* Longer than packets are parked, shorter than calls are repeated. */
    ns = simt_exp(&t->rng, rng_chance(&t->rng, 1, 4) ? 15 * SIMT_S : 300 * SIMT_MS);
    ult_sleep(MIN(ns, 30 * SIMT_S));
    sim_link_set(t->sim, a, b, true);
    sim_link_set(t->sim, b, a, true);
    simt_say(t, "link %s %s up", a, b);
    return true;
}

static int
evict_some(struct engine_xs *xs, void *arg)
{
    struct simt *t = arg;
    uint64_t rnd = rng_u64(&t->rng);

    if (xs->bio != NULL)
        t->report->evicted_nr += umem_evict(bio_umem(xs->bio), (uint32_t)(rnd % 64) + 1, rnd);
    return 0;
}

static bool
do_evict(struct simt *t)
{
    struct simt_engine *e = &t->engines[rng_below(&t->rng, SIMT_ENGINES)];
    int rc;

    if (e->engine == NULL || !e->is_ready)
        return false;
    return simt_engine_run(e, (uint32_t)rng_below(&t->rng, SIMT_TAGS), evict_some, t, SIMT_S, &rc) ==
        0;
}

static bool
do_skew(struct simt *t)
{
    uint64_t i = rng_below(&t->rng, SIMT_ENGINES + SIMT_CLIENTS);
    struct plat *plat = i < SIMT_ENGINES ? t->engines[i].plat : t->procs[i - SIMT_ENGINES].plat;

    if (plat == NULL)
        return false;
    /* Any two differ by less than epsilon. */
    sim_node_clock_skew(plat,
        (int64_t)rng_below(&t->rng, HLC_EPSILON_NS * 8 / 10) - (int64_t)(HLC_EPSILON_NS * 4 / 10));
    return true;
}

static bool
do_pause(struct simt *t)
{
    uint64_t i = rng_below(&t->rng, SIMT_ENGINES + SIMT_CLIENTS);
    struct plat *plat = i < SIMT_ENGINES ? t->engines[i].plat : t->procs[i - SIMT_ENGINES].plat;

    if (plat == NULL)
        return false;
    sim_node_pause(plat, true);
    if (t->cfg.long_pauses && rng_chance(&t->rng, 1, 4)) {
        ult_sleep(rng_range(&t->rng, 15, 30) * SIMT_S); /* around the time of one attempt */
    } else {
        ult_sleep(simt_exp(&t->rng, rng_chance(&t->rng, 1, 8) ? 8 * SIMT_S : 200 * SIMT_MS));
    }
    sim_node_pause(plat, false); /* a dead one's memory lasts as long as the simulation */
    return true;
}

/* In good order, while clients work. */
static bool
do_stop(struct simt *t)
{
    struct simt_engine *e = &t->engines[rng_below(&t->rng, SIMT_ENGINES)];
    struct plat *plat = e->plat;
    uint32_t life = e->life;

    if (e->engine == NULL || !e->is_ready || is_immortal(t) || !is_time(t))
        return false;
    e->is_ready = false;
    e->down_ns = down_draw(t);
    simt_say(t, "rank %u is to stop", e->rank);
    engine_stop_begin(e->engine);
    while (e->engine != NULL && e->life == life &&
        engine_state_get(e->engine, NULL, NULL) != ENGINE_STOPPED) {
        ult_sleep(SIMT_MS);
    }
    if (e->engine == NULL || e->life != life)
        return true; /* it was killed on the way */
    engine_destroy(e->engine);
    e->engine = NULL;
    sim_node_kill(t->sim, plat);
    return true;
}

/* A bit of the image of some page, be that in memory or not. */
static bool
rot_page(struct simt *t, struct simt_engine *e, const char *path)
{
    struct bio_tgt *bio = e->engine->xs[t->cfg.victim_tag].bio;
    const struct umem_pub *pub;
    uint64_t page = 0;
    uint32_t slot = 0;

    if (bio == NULL)
        return false;
    pub = (const struct umem_pub *)(const void *)bio_umem(bio);
    for (uint32_t i = 0; slot == 0 && i < 1000; i++) {
        page = rng_below(&t->rng, MIN(pub->page_nr, UINT64_C(200)));
        slot = pub->pages[page].slot;
    }
    if (slot == 0)
        return false;
    return sim_file_flip_bit(t->sim, e->host, path,
               bio_ckpt_slot_off(&bio->ckpt, slot) * 8 +
                   rng_below(&t->rng, UINT64_C(8) * UMEM_PAGE_BYTES)) == 0;
}

static bool
do_rot(struct simt *t)
{
    static const char *const files[] = {"wal", "meta", "data"};
    struct simt_engine *e = &t->engines[t->cfg.victim_rank];
    const char *file = files[rng_below(&t->rng, ARRAY_SIZE(files))];
    char path[64];

    if (e->engine == NULL || !e->is_ready || t->rot_nr >= ROT_MAX)
        return false;
    snprintf(path, sizeof(path), "/store/tgt%u/%s", t->cfg.victim_tag - 1, file);
    if (strcmp(file, "meta") == 0 && rng_chance(&t->rng, 1, 2)) {
        if (!rot_page(t, e, path))
            return false;
    } else if (strcmp(file, "meta") == 0 && rng_chance(&t->rng, 1, 2)) {
        /* one of the two places of checkpoint headers, blocks 1 and 2 (docs/format/bio.md) */
        uint64_t bit = BIO_BLK_BYTES * 8 * rng_range(&t->rng, 1, 2) + rng_below(&t->rng, 1024);

        if (sim_file_flip_bit(t->sim, e->host, path, bit) != 0)
            return false;
    } else if (sim_file_rot(t->sim, e->host, path, rng_u64(&t->rng)) != 0) {
        return false;
    }
    t->no_death_ns = simt_now(t) + SIMT_S;
    t->rot_nr++;
    return true;
}

static bool
fault_do(struct simt *t, enum simt_fault fault)
{
    switch (fault) {
    case SIMT_KILL:
    case SIMT_POWER:
    case SIMT_POWER_AT:
        return do_engine(t, fault);
    case SIMT_CLIENT:
        return do_client(t);
    case SIMT_LINK:
        return do_link(t);
    case SIMT_SKEW:
        return do_skew(t);
    case SIMT_PAUSE:
        return do_pause(t);
    case SIMT_STOP:
        return do_stop(t);
    case SIMT_ROT:
        return do_rot(t);
    default:
        return true; /* in force all the time */
    }
}

/* Pages go all the time, on whatever target (ST-11). */
static void
evictor(void *arg)
{
    struct simt *t = arg;

    t->keepers_nr++;
    while (t->rough_on) {
        ult_sleep(simt_exp(&t->rng, 5 * SIMT_MS));
        t->report->faults_nr[SIMT_EVICT] += do_evict(t);
    }
    t->keepers_nr--;
}

/* One of those that this run knows, if any. */
static enum simt_fault
fault_draw(struct simt *t)
{
    uint32_t fault = (uint32_t)rng_below(&t->rng, SIMT_FAULTS_NR);

    for (uint32_t i = 0; i < SIMT_FAULTS_NR && !t->cfg.faults[fault]; i++) {
        fault = (fault + 1) % SIMT_FAULTS_NR;
    }
    return (enum simt_fault)fault;
}

static bool
is_death(enum simt_fault fault)
{
    return fault == SIMT_KILL || fault == SIMT_POWER || fault == SIMT_POWER_AT || fault == SIMT_STOP;
}

/* Long pauses between deaths leave engines no time to answer within one call (seed 126). */
bool
simt_may_starve(const struct simt *t)
{
    const bool *f = t->cfg.faults;

    return t->cfg.call_ns != 0 ||
        (t->cfg.long_pauses && f[SIMT_PAUSE] &&
            (f[SIMT_KILL] || f[SIMT_POWER] || f[SIMT_POWER_AT] || f[SIMT_STOP]));
}

void
simt_fault_injector(void *arg)
{
    struct simt *t = arg;

    t->keepers_nr++;
    CAIRN_IGNORE(sim_opts_set(t->sim, &t->cfg.rough)); /* drawn to be valid */
    if (t->cfg.faults[SIMT_BADIO]) {
        char prefix[32];

        snprintf(prefix, sizeof(prefix), "/store/tgt%u/", t->cfg.victim_tag - 1);
        sim_disk_errors_set(t->sim, t->engines[t->cfg.victim_rank].host, prefix, t->cfg.error_ppm);
    }
    if (t->cfg.faults[SIMT_EVICT] && ult_create(xstream_self(), ULT_SERVICE, evictor, t, NULL) != 0)
        simt_fail(t, "no ULT");
    /* A run in which nothing gets done any more is not worth its time. */
    for (uint32_t nr = 0, deaths = 0; t->rough_on && nr < FAULTS_MAX;) {
        enum simt_fault fault = fault_draw(t);

        ult_sleep(simt_exp(&t->rng, t->cfg.fault_gap_ns));
        if (!t->rough_on || !t->cfg.faults[fault] || (is_death(fault) && deaths >= DEATHS_MAX) ||
            !fault_do(t, fault))
            continue;
        deaths += is_death(fault);
        simt_say(t, "fault %s", simt_fault_name(fault));
        t->report->faults_nr[fault] += fault != SIMT_EVICT;
        nr++;
    }
    t->keepers_nr--;
}

void
simt_calm(struct simt *t)
{
    t->rough_on = false;
    CAIRN_IGNORE(sim_opts_set(t->sim, &t->cfg.calm)); /* was valid before */
    sim_disk_errors_set(t->sim, t->engines[t->cfg.victim_rank].host, "", 0);
    for (uint32_t i = 0; i < SIMT_ENGINES; i++) {
        sim_host_power_loss_at(t->sim, t->engines[i].host, 0);
    }
}
