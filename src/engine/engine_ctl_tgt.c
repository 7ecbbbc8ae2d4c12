/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Control requests about targets: how a pool's do, how their storage does. Tested by src/control/test/control_system_test.py. */
#include <stdio.h>

#include "base/assert.h"
#include "engine_ctl.h"

CAIRN_STATIC_ASSERT(
    (int)BIO_WELL == 0 && (int)BIO_SLOW == 1 && (int)BIO_STALLED == 2 && (int)BIO_STOPPED == 3,
    "numbers of ctl.proto");

/* ---- targets of a pool ---------------------------------------------------------------------- */

struct tgts {
    Cairn__Ctl__PoolQueryTargetsRep rep;
    struct pool_bcast_item *items;
    uint8_t *states;
    uint32_t nr;
};

static bool
is_wanted(const Cairn__Ctl__PoolQueryTargetsReq *in, uint32_t tgt_idx)
{
    bool found = in->n_targets == 0;

    for (size_t i = 0; i < in->n_targets; i++) {
        found = found || in->targets[i] == tgt_idx;
    }
    return found;
}

/* Those that the request means, as the map has them. */
static int
tgts_find(struct engine_ctl *ctl, const Cairn__Ctl__PoolQueryTargetsReq *in, struct iov bytes,
    struct tgts *t)
{
    struct poolmap *map;
    uint32_t known_nr = 0;
    int rc;

    rc = poolmap_decode(bytes.buf, bytes.len, &map);
    if (rc != 0)
        return rc;
    t->items = arena_calloc(ctl->arena, map->tgts_nr + 1, sizeof(*t->items));
    t->states = arena_calloc(ctl->arena, map->tgts_nr + 1, sizeof(*t->states));
    for (uint32_t i = 0; t->items != NULL && t->states != NULL && i < map->tgts_nr; i++) {
        const struct poolmap_tgt *tgt = &map->tgts[i];

        if (poolmap_tgt_rank(map, tgt)->rank.v != in->rank)
            continue;
        known_nr++;
        if (!is_wanted(in, tgt->tgt_idx))
            continue;
        t->items[t->nr] =
            (struct pool_bcast_item){.rank = in->rank, .tgt_idx = tgt->tgt_idx, .tgt_id = tgt->id};
        t->states[t->nr++] = tgt->state;
    }
    poolmap_destroy(map);
    if (t->items == NULL || t->states == NULL)
        return CAIRN_ERR(NOMEM);
    if (known_nr == 0) {
        return engine_ctl_fail(
            ctl, CAIRN_ERR(NONEXIST), "pool '%s' has no targets on rank %u", in->id, in->rank);
    }
    if (t->nr < in->n_targets || t->nr == 0) {
        return engine_ctl_fail(ctl, CAIRN_ERR(NONEXIST),
            "pool '%s' has %u targets on rank %u, numbered from 0, and not all that were asked for",
            in->id, known_nr, in->rank);
    }
    return 0;
}

static void
tier_fill(Cairn__Ctl__TierStats *st, uint64_t total, uint64_t used, const char *media)
{
    cairn__ctl__tier_stats__init(st);
    st->total = total;
    st->free = used < total ? total - used : 0;
    st->min = st->max = st->mean = st->free;
    st->media = (char *)(uintptr_t)media;
}

static int
tgt_fill(struct engine_ctl *ctl, struct tgts *t, uint32_t i)
{
    const struct pool_bcast_item *item = &t->items[i];
    Cairn__Ctl__PoolTargetInfo *info = arena_calloc(ctl->arena, 1, sizeof(*info));
    Cairn__Ctl__TierStats *tiers = arena_calloc(ctl->arena, 2, sizeof(*tiers));
    char text[ENGINE_TEXT_BYTES];

    if (info == NULL || tiers == NULL)
        return CAIRN_ERR(NOMEM);
    cairn__ctl__pool_target_info__init(info);
    t->rep.infos[t->rep.n_infos++] = info;
    info->target = item->tgt_idx;
    info->state = t->states[i];
    info->rc = item->rc;
    if (item->rc != 0) {
        (void)snprintf(text, sizeof(text), "%s", err_text(item->rc));
    } else if (item->rep.is_out != 0) {
        info->state = POOLMAP_DOWN; /* the map does not say so yet */
        info->rc = CAIRN_ERR(DATA_LOSS);
        (void)snprintf(text,
            sizeof(text), "scrub_thresh was reached: %llu bad chunks; a higher scrub_thresh, or 0, brings it back",
            (unsigned long long)item->rep.scrub_bad_nr);
    }
    if (info->rc != 0)
        info->error = engine_ctl_str(ctl, pool_key_str(text));
    if (item->rc != 0)
        return 0;
    info->scrub_bad = item->rep.scrub_bad_nr;
    info->tiers = arena_calloc(ctl->arena, 2, sizeof(*info->tiers));
    if (info->tiers == NULL)
        return CAIRN_ERR(NOMEM);
    tier_fill(&tiers[0], item->rep.meta_total, item->rep.meta_used, "scm");
    tier_fill(&tiers[1], item->rep.data_total, item->rep.data_used, "nvme");
    info->tiers[0] = &tiers[0];
    info->tiers[1] = &tiers[1];
    info->n_tiers = 2;
    return 0;
}

static int
query_targets(struct engine_ctl *ctl, const Cairn__Ctl__PoolQueryTargetsReq *in)
{
    struct proto_pool_query_rep *src = arena_calloc(ctl->arena, 1, sizeof(*src));
    struct tgts t = {.rep = CAIRN__CTL__POOL_QUERY_TARGETS_REP__INIT};
    struct proto_tgt_pool_req body;
    const struct proto_prop *props;
    struct mgmt_pool pool;
    int rc;

    if (src == NULL)
        return CAIRN_ERR(NOMEM);
    rc = mgmt_pool_find(ctl->engine->mgmt, pool_key_str(in->id), ctl->arena, &pool);
    if (rc == 0)
        rc = engine_ctl_pool_ask(ctl, &pool, src);
    if (rc == 0)
        rc = tgts_find(ctl, in, src->map, &t);
    if (rc != 0)
        return rc;
    body = (struct proto_tgt_pool_req){.pool = pool.pool};
    pool_bcast_to(engine_sys(ctl->engine)->rpc, ctl->arena, PROTO_TGT_POOL_QUERY, &body,
        ult_now_ns() + POOL_BCAST_NS, t.items, t.nr);
    t.rep.infos = arena_calloc(ctl->arena, t.nr, sizeof(*t.rep.infos));
    if (t.rep.infos == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; rc == 0 && i < t.nr; i++) {
        rc = tgt_fill(ctl, &t, i);
    }
    props = src->props.items;
    for (uint32_t i = 0; i < src->props.nr; i++) {
        if (props[i].type == POOL_PROP_SCRUB_THRESH)
            t.rep.scrub_thresh = props[i].num;
    }
    return rc != 0 ? rc : engine_ctl_reply(ctl, &t.rep.base);
}

int
engine_ctl_pool_query_targets(struct engine_ctl *ctl)
{
    Cairn__Ctl__PoolQueryTargetsReq *in =
        (void *)engine_ctl_body(ctl, &cairn__ctl__pool_query_targets_req__descriptor);
    int rc = in == NULL ? CAIRN_ERR(PROTO) : query_targets(ctl, in);

    return rc != 0 && in != NULL && ctl->error[0] == '\0' ? engine_ctl_pool_fail(ctl, rc, in->id)
                                                          : rc;
}

/* ---- storage -------------------------------------------------------------------------------- */

/* `*ret_store` stays NULL when there is none to tell of. */
static int
store_fill(struct engine_ctl *ctl, const struct engine_xs *xs, Cairn__Ctl__StoreStats **ret_store)
{
    const struct umem_stats *um = &xs->umem_stats;
    Cairn__Ctl__StoreStats *st;

    if (xs->task_rc != 0 || um->arena_bytes == 0)
        return 0;
    st = arena_calloc(ctl->arena, 1, sizeof(*st));
    if (st == NULL)
        return CAIRN_ERR(NOMEM);
    cairn__ctl__store_stats__init(st);
    st->meta_total = xs->space.meta_total;
    st->meta_free = xs->space.meta_free;
    st->data_total = xs->space.data_total;
    st->data_free = xs->space.data_free;
    st->log_total = xs->bio_stats.wal_blocks_total * BIO_BLK_BYTES;
    st->log_used = xs->bio_stats.wal_blocks_used * BIO_BLK_BYTES;
    st->checkpoints = xs->bio_stats.ckpt_nr;
    st->memory_limit =
        um->limit_pages_nr == 0 ? 0 : um->limit_pages_nr * UMEM_PAGE_BYTES + um->table_bytes;
    st->memory_used = um->resident_pages_nr * UMEM_PAGE_BYTES + um->table_bytes;
    st->page_loads = um->loads_nr;
    st->page_drops = um->evicted_nr;
    *ret_store = st;
    return 0;
}

static int
health_fill(struct engine_ctl *ctl, const struct engine_xs *xs, Cairn__Ctl__TargetHealth *h)
{
    const struct tgt_stats *ts = &xs->tgt_stats;

    cairn__ctl__target_health__init(h);
    h->target = xs->tag == RPC_TAG_SYSTEM ? 0 : xs->tag - 1;
    h->rc = xs->task_rc;
    if (xs->task_rc != 0)
        h->error = engine_ctl_str(ctl, pool_key_str(xs->err));
    h->state = xs->task_rc != 0 ? BIO_STOPPED : (uint32_t)xs->health.state;
    h->oldest_ns = xs->health.oldest_ns;
    h->took_max_ns = xs->health.took_max_ns;
    h->slow_ops = xs->health.slow_nr;
    h->stalls = xs->health.stalls_nr;
    h->scrub_passes = ts->scrub_passes_nr;
    h->scrub_bytes = ts->scrub_bytes;
    h->scrub_bad = ts->scrub_bad_nr;
    h->scrub_mended = ts->scrub_mended_nr;
    h->scrub_meta_passes = ts->scrub_meta_passes_nr;
    h->scrub_meta_bytes = ts->scrub_meta_bytes;
    h->scrub_skipped = ts->scrub_skipped_nr;
    h->shards_out = ts->out_nr;
    h->agg_passes = ts->agg_passes_nr;
    h->agg_freed_bytes = ts->agg_freed_bytes;
    h->agg_work_ns = ts->agg_work_ns;
    h->space_waits = ts->space_waits_nr;
    h->paths = arena_calloc(ctl->arena, BIO_ROLE_NR, sizeof(*h->paths));
    if (h->paths == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t role = BIO_ROLE_WAL; role < BIO_ROLE_NR; role++) {
        h->paths[h->n_paths++] = engine_ctl_str(ctl, pool_key_str(xs->paths[role]));
    }
    return store_fill(ctl, xs, &h->store);
}

int
engine_ctl_storage(struct engine_ctl *ctl)
{
    Cairn__Ctl__StorageQueryRep rep = CAIRN__CTL__STORAGE_QUERY_REP__INIT;
    Cairn__Ctl__EngineStorage self = CAIRN__CTL__ENGINE_STORAGE__INIT, *list = &self;
    struct engine *engine = ctl->engine;
    Cairn__Ctl__TargetHealth *h = arena_calloc(ctl->arena, engine->cfg.tgt_nr + 1, sizeof(*h));
    int rc = 0;

    self.targets = arena_calloc(ctl->arena, engine->cfg.tgt_nr, sizeof(*self.targets));
    if (h == NULL || self.targets == NULL)
        return CAIRN_ERR(NOMEM);
    CAIRN_IGNORE(engine_each_tgt(engine, engine_xs_health)); /* told for each target */
    for (uint32_t i = 0; rc == 0 && i < engine->cfg.tgt_nr; i++) {
        rc = health_fill(ctl, &engine->xs[1 + i], &h[i]);
        self.targets[i] = &h[i];
    }
    self.n_targets = engine->cfg.tgt_nr;
    engine_xs_health(engine_sys(engine)); /* this one */
    if (rc == 0)
        rc = health_fill(ctl, engine_sys(engine), &h[engine->cfg.tgt_nr]);
    self.services = &h[engine->cfg.tgt_nr];
    self.rank = engine->cfg.rank;
    rep.engines = &list;
    rep.n_engines = 1;
    return rc != 0 ? rc : engine_ctl_reply(ctl, &rep.base);
}
