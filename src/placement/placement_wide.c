/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Objects of several groups. What they add: all targets are to be used alike by the one object, too, each once before any is used twice
 * (PL-4), which groups that are spread each for itself would not do.
 *
 * The domains in which the shards of a group must differ (for classes without redundancy: the targets) come one after another, in the
 * order in which they were added to the map, and each takes shards from its elders. The k-th shard of a domain (from 0) has the key
 *
 *     (k / targets, (k + xi) / weight)        xi: a hash of object and domain, from 0 to 1
 *
 * and a newcomer takes the shard with the largest key from whoever has it, as long as its own next one has a smaller key: so all have about
 * as many as their weight says, and none is in the second round while another is in the first. It takes them from groups that have no
 * shard in it yet, and where a level above has fewer domains than a group has shards, only if its cap allows (placement_priv.h). Nothing
 * else moves (PL-5). The first domains, as many as a group has shards, begin with one shard of each group.
 *
 * Within a domain a shard goes to the target whose next one has the smallest key, with the same keys, and one is taken from the target with the
 * largest: so targets are even whatever comes and goes, and a shard changes its target only when it changes its domain.
 *
 * Time: shards times log of the domains. With performance domains each group is spread for itself, without any of this.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/util.h"
#include "placement/placement_priv.h"

#define WIDE_END UINT32_MAX

/* Who takes shards: a domain, and each of its targets. */
struct taker {
    uint32_t part; /* position in the view */
    uint32_t weight;
    uint32_t tgts_nr;
    uint32_t nr; /* shards that it has */
    uint32_t xi; /* 16 bits */
    uint32_t first; /* of a domain: number of its first target; of a target: its first shard, or WIDE_END */
};

struct wide {
    const struct placement_ctx *ctx;
    struct taker *takers; /* domains in the order of addition */
    uint32_t takers_nr;
    struct taker *tgts; /* targets, in the order of the view */
    uint32_t *nexts; /* by shard: the next one of its target, or WIDE_END */
    uint32_t *parts; /* by shard: the domain it is in (a position in the view) */
    uint32_t *heap; /* domains that have shards, the largest key first */
    uint32_t heap_nr;
    uint32_t *aside; /* domains that have none which the newcomer can take */
    uint32_t *marks; /* by group: the newcomer, when it has a shard of it */
    uint64_t key;
};

/* Key of the shard *nth* of a taker; a pair, larger ones are taken first. */
struct taker_key {
    uint32_t round;
    uint64_t place;
};

static struct taker_key
key_of(const struct taker *t, uint32_t nth)
{
    return (struct taker_key){
        .round = nth / t->tgts_nr,
        .place = (((uint64_t)nth << 16 | t->xi) << 27) / t->weight,
    };
}

static bool
key_is_larger(struct taker_key a, struct taker_key b)
{
    return a.round != b.round ? a.round > b.round : a.place > b.place;
}

/* Whether taker *a* gives before taker *b*; the younger at the same key. */
static bool
gives_before(const struct wide *w, uint32_t a, uint32_t b)
{
    struct taker_key ka = key_of(&w->takers[a], w->takers[a].nr - 1);
    struct taker_key kb = key_of(&w->takers[b], w->takers[b].nr - 1);

    if (key_is_larger(ka, kb))
        return true;
    return !key_is_larger(kb, ka) && a > b;
}

static void
heap_swap(struct wide *w, uint32_t a, uint32_t b)
{
    uint32_t taker = w->heap[a];

    w->heap[a] = w->heap[b];
    w->heap[b] = taker;
}

static void
heap_down(struct wide *w, uint32_t at)
{
    for (;;) {
        uint32_t best = at;

        for (uint32_t kid = 2 * at + 1; kid < MIN(2 * at + 3, w->heap_nr); kid++) {
            if (gives_before(w, w->heap[kid], w->heap[best]))
                best = kid;
        }
        if (best == at)
            return;
        heap_swap(w, at, best);
        at = best;
    }
}

static void
heap_push(struct wide *w, uint32_t taker)
{
    uint32_t at = w->heap_nr++;

    w->heap[at] = taker;
    while (at > 0 && gives_before(w, w->heap[at], w->heap[(at - 1) / 2])) {
        heap_swap(w, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void
heap_pop(struct wide *w)
{
    w->heap[0] = w->heap[--w->heap_nr];
    heap_down(w, 0);
}

/* The target of a domain that a further shard goes to (*is_giving*: that gives one). */
static struct taker *
tgt_choose(struct wide *w, const struct taker *dom, bool is_giving)
{
    struct taker *best = NULL;
    struct taker_key best_key = {0};

    for (uint32_t i = 0; i < dom->tgts_nr; i++) {
        struct taker *tgt = &w->tgts[dom->first + i];
        struct taker_key key;

        if (is_giving && tgt->nr == 0)
            continue;
        key = key_of(tgt, is_giving ? tgt->nr - 1 : tgt->nr);
        if (best == NULL || key_is_larger(is_giving ? key : best_key, is_giving ? best_key : key)) {
            best = tgt;
            best_key = key;
        }
    }
    return best;
}

/* Put a shard into a domain. */
static void
shard_add(struct wide *w, struct taker *dom, uint32_t shard)
{
    struct taker *tgt = tgt_choose(w, dom, false);

    w->nexts[shard] = tgt->first;
    tgt->first = shard;
    tgt->nr++;
    dom->nr++;
    w->parts[shard] = dom->part;
}

/* Whether levels above the domain leave room for a shard of that group, when *shard* goes from where it is to *part*. */
static bool
caps_allow(const struct wide *w, uint32_t shard, uint32_t part)
{
    const struct placement_ctx *ctx = w->ctx;
    uint32_t first = shard - shard % ctx->grp_size;
    uint32_t up = part;

    for (uint32_t depth = ctx->distinct - 1; depth > 0; depth--) {
        uint32_t nr = 0;

        up = ctx->view->parts[up].up;
        if (ctx->caps[depth] >= ctx->grp_size)
            continue;
        for (uint32_t s = first; s < first + ctx->grp_size; s++) {
            uint32_t other = w->parts[s];

            for (uint32_t d = ctx->distinct; s != shard && d > depth; d--) {
                other = ctx->view->parts[other].up;
            }
            nr += s != shard && other == up;
        }
        if (nr >= ctx->caps[depth])
            return false;
    }
    return true;
}

/* Take the first shard of a target that domain *taker* may have out of its list; WIDE_END when there is none. */
static uint32_t
tgt_give(struct wide *w, struct taker *tgt, uint32_t taker)
{
    uint32_t *at = &tgt->first;

    while (*at != WIDE_END) {
        uint32_t shard = *at;

        if (w->marks[shard / w->ctx->grp_size] != taker &&
            caps_allow(w, shard, w->takers[taker].part)) {
            *at = w->nexts[shard];
            tgt->nr--;
            return shard;
        }
        at = &w->nexts[shard];
    }
    return WIDE_END;
}

/*
 * The same for a domain: from the target that has most. When all of its shards are of groups that the newcomer has, from another one, which gets
 * one from it instead.
 */
static uint32_t
domain_give(struct wide *w, struct taker *dom, uint32_t taker)
{
    struct taker *most = tgt_choose(w, dom, true);
    uint32_t at = (uint32_t)(most - &w->tgts[dom->first]);
    uint32_t shard = tgt_give(w, most, taker);

    for (uint32_t i = 1; shard == WIDE_END && i < dom->tgts_nr; i++) {
        struct taker *tgt = &w->tgts[dom->first + (at + i) % dom->tgts_nr];
        uint32_t instead = most->first;

        shard = tgt_give(w, tgt, taker);
        if (shard == WIDE_END || !key_is_larger(key_of(most, most->nr - 1), key_of(tgt, tgt->nr)))
            continue;
        most->first = w->nexts[instead];
        most->nr--;
        w->nexts[instead] = tgt->first;
        tgt->first = instead;
        tgt->nr++;
    }
    dom->nr -= shard != WIDE_END;
    return shard;
}

/* Domain *taker* takes its shards from its elders. */
static void
domain_take(struct wide *w, uint32_t taker)
{
    struct taker *dom = &w->takers[taker];
    uint32_t aside_nr = 0;

    while (w->heap_nr > 0 && dom->nr < w->ctx->grp_nr) {
        struct taker *donor = &w->takers[w->heap[0]];
        uint32_t shard;

        if (!key_is_larger(key_of(donor, donor->nr - 1), key_of(dom, dom->nr)))
            break;
        shard = domain_give(w, donor, taker);
        if (shard == WIDE_END) {
            w->aside[aside_nr++] = w->heap[0];
            heap_pop(w);
            continue;
        }
        if (donor->nr == 0) {
            heap_pop(w);
        } else {
            heap_down(w, 0);
        }
        w->marks[shard / w->ctx->grp_size] = taker;
        shard_add(w, dom, shard);
    }
    while (aside_nr > 0) {
        heap_push(w, w->aside[--aside_nr]);
    }
    if (dom->nr > 0)
        heap_push(w, taker);
}

/* Whether a domain may be among those that every group begins in, beside the *nr* chosen ones. */
static bool
base_fits(const struct wide *w, const uint32_t *base, uint32_t nr, uint32_t taker)
{
    const struct poolmap_view *view = w->ctx->view;
    uint32_t up = w->takers[taker].part;

    for (uint32_t depth = w->ctx->distinct - 1; depth > 0; depth--) {
        uint32_t same = 0;

        up = view->parts[up].up;
        for (uint32_t i = 0; i < nr; i++) {
            uint32_t other = w->takers[base[i]].part;

            for (uint32_t d = w->ctx->distinct; d > depth; d--) {
                other = view->parts[other].up;
            }
            same += other == up;
        }
        if (same >= w->ctx->caps[depth])
            return false;
    }
    return true;
}

/* The domains that every group begins in: the eldest that the caps allow, then the eldest. Marked by nr != 0. */
static void
base_choose(struct wide *w, uint32_t *base)
{
    uint32_t nr = 0;

    for (int pass = 0; pass < 2 && nr < w->ctx->grp_size; pass++) {
        for (uint32_t i = 0; i < w->takers_nr && nr < w->ctx->grp_size; i++) {
            if (w->takers[i].nr != 0 || (pass == 0 && !base_fits(w, base, nr, i)))
                continue;
            w->takers[i].nr = 1;
            base[nr++] = i;
        }
    }
    CAIRN_ASSERT(nr == w->ctx->grp_size);
}

/* A number of groups to go on by that reaches all of them. */
static uint32_t
stride_of(uint64_t hash, uint32_t nr)
{
    uint32_t stride = 1 + (uint32_t)(hash % nr);

    for (;; stride++) {
        uint32_t a = stride;
        uint32_t b = nr;

        while (b != 0) {
            uint32_t rest = a % b;

            a = b;
            b = rest;
        }
        if (a == 1)
            return stride;
    }
}

/* One shard of each group in each of the first domains, the groups in an order of each domain's own. */
static void
base_fill(struct wide *w)
{
    uint32_t base[PLACEMENT_GRP_SIZE_MAX];
    uint32_t grp_nr = w->ctx->grp_nr;
    uint32_t grp_size = w->ctx->grp_size;
    uint32_t turn = (uint32_t)(hash_mix64(w->key) % grp_size);

    base_choose(w, base);
    for (uint32_t i = 0; i < grp_size; i++) {
        struct taker *dom = &w->takers[base[i]];
        uint64_t hash = hash_mix64(w->key + (i + UINT64_C(2)) * PLACEMENT_STEP);
        uint32_t stride = stride_of(hash >> 32, grp_nr);
        uint64_t g = hash % grp_nr;

        dom->nr = 0;
        for (uint32_t k = 0; k < grp_nr; k++) {
            shard_add(w, dom, (uint32_t)(g * grp_size + (i + g + turn) % grp_size));
            g = (g + stride) % grp_nr;
        }
        heap_push(w, base[i]);
    }
}

static int
taker_cmp(const void *a, const void *b)
{
    const struct taker *x = a;
    const struct taker *y = b;

    return x->xi < y->xi ? -1 : x->xi > y->xi;
}

/* The parts of one depth; for domains in the order in which they were added. */
static void
takers_fill(const struct wide *w, struct taker *takers, uint32_t depth, bool by_age)
{
    const struct poolmap_view *view = w->ctx->view;
    uint32_t first = view->depth_first[depth];
    uint32_t nr = view->depth_first[depth + 1] - first;
    uint64_t key = placement_depth_key(w->ctx->key, depth);
    bool is_sorted = true;

    for (uint32_t i = 0; i < nr; i++) {
        const struct poolmap_part *part = &view->parts[first + i];

        takers[i] = (struct taker){.part = first + i,
            .weight = part->weight,
            .tgts_nr = part->tgts_nr,
            .first = WIDE_END,
            .xi = view->draws[first + i].idx};
        is_sorted = is_sorted && (i == 0 || takers[i].xi > takers[i - 1].xi);
    }
    if (by_age && !is_sorted)
        qsort(takers, nr, sizeof(takers[0]), taker_cmp);
    for (uint32_t i = 0; i < nr; i++) {
        takers[i].xi = (uint32_t)(placement_child_hash(key, takers[i].xi) >> 48);
    }
}

/* Where the targets of a domain begin among all targets; those of one part lie side by side. */
static uint32_t
tgts_first(const struct poolmap_view *view, uint32_t part, uint32_t depth)
{
    for (; depth + 1 < view->depths_nr; depth++) {
        part = view->parts[part].first;
    }
    return part - view->depth_first[view->depths_nr - 1];
}

/* Spread the shards of the object. */
static void
shards_spread(struct wide *w, uint32_t *ret_tgts)
{
    const struct poolmap_view *view = w->ctx->view;
    uint32_t depth = w->ctx->distinct;
    uint32_t leaf = view->depths_nr - 1;

    w->takers_nr = view->depth_first[depth + 1] - view->depth_first[depth];
    w->key = placement_depth_key(w->ctx->key, depth);
    takers_fill(w, w->takers, depth, true);
    takers_fill(w, w->tgts, leaf, false);
    for (uint32_t i = 0; i < w->takers_nr; i++) {
        w->takers[i].first = tgts_first(view, w->takers[i].part, depth);
    }
    memset(w->marks, 0xff, w->ctx->grp_nr * sizeof(w->marks[0]));
    base_fill(w);
    for (uint32_t i = 0; i < w->takers_nr; i++) {
        if (w->takers[i].nr == 0)
            domain_take(w, i);
    }
    for (uint32_t i = 0; i < view->nr - view->depth_first[leaf]; i++) {
        uint32_t tgt_id = view->draws[w->tgts[i].part].idx;

        for (uint32_t s = w->tgts[i].first; s != WIDE_END; s = w->nexts[s]) {
            ret_tgts[s] = tgt_id;
        }
    }
}

/* Fewer targets than a group has shards: nothing must differ, all targets take turns. */
static void
turns_take(const struct placement_ctx *ctx, uint32_t *ret_tgts)
{
    const struct poolmap_view *view = ctx->view;
    uint32_t first = view->depth_first[view->depths_nr - 1];
    uint32_t nr = view->nr - first;
    uint32_t turn = (uint32_t)(hash_mix64(ctx->key) % nr);

    for (uint32_t i = 0; i < ctx->grp_nr * ctx->grp_size; i++) {
        ret_tgts[i] = view->draws[first + (i + turn) % nr].idx;
    }
}

static int
wide_alloc(struct wide *w)
{
    const struct poolmap_view *view = w->ctx->view;
    uint32_t depth = w->ctx->distinct;
    uint32_t takers_nr = view->depth_first[depth + 1] - view->depth_first[depth];
    uint32_t tgts_nr = view->nr - view->depth_first[view->depths_nr - 1];
    size_t shards_nr = (size_t)w->ctx->grp_nr * w->ctx->grp_size;

    w->takers = malloc(takers_nr * sizeof(*w->takers));
    w->tgts = malloc(tgts_nr * sizeof(*w->tgts));
    w->heap = malloc(takers_nr * sizeof(*w->heap));
    w->aside = malloc(takers_nr * sizeof(*w->aside));
    w->marks = malloc(w->ctx->grp_nr * sizeof(*w->marks));
    w->nexts = malloc(shards_nr * sizeof(*w->nexts));
    w->parts = malloc(shards_nr * sizeof(*w->parts));
    if (w->takers == NULL || w->tgts == NULL || w->heap == NULL || w->aside == NULL ||
        w->marks == NULL || w->nexts == NULL || w->parts == NULL)
        return CAIRN_ERR(NOMEM);
    return 0;
}

int
placement_wide(const struct placement_ctx *ctx, uint32_t *ret_tgts)
{
    struct placement_ctx mine = *ctx;
    struct wide w = {.ctx = &mine};
    int rc;

    if (ctx->distinct == 0) {
        turns_take(ctx, ret_tgts);
        return 0;
    }
    if (ctx->grp_size == 1) {
        /* Nothing must differ: targets are the domains. */
        mine.distinct = ctx->view->depths_nr - 1;
        for (uint32_t d = 0; d <= mine.distinct; d++) {
            mine.caps[d] = 1;
        }
    }
    rc = wide_alloc(&w);
    if (rc == 0)
        shards_spread(&w, ret_tgts);
    free(w.takers);
    free(w.tgts);
    free(w.heap);
    free(w.aside);
    free(w.marks);
    free(w.nexts);
    free(w.parts);
    return rc;
}
