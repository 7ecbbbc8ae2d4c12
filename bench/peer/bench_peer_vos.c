/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vos: each value a single value under a dkey of its own, of integers unless told otherwise; 64 updates in flight, for which the log's own groups are written. */
#include "bench_peer.h"

#include <stdlib.h>
#include <string.h>

enum { OTYPE_SHIFT = 56 };
static const uint8_t otypes[PEER_KIND_NR] = {9, 8, 10, 8, 10}; /* KV_UINT64, KV_HASHED, KV_LEXICAL */

struct peer {
    const struct peer_bench *pb;
    struct bench_store *st;
    const struct peer_run *run;
    enum peer_kind kind;
    uint8_t values[PEER_GROUP_NR][PEER_VALUE_BYTES_MAX];
    uint64_t wal_groups_nr, wal_records_nr;
};

/* An object for each kind of keys. */
static struct vos_oid
peer_oid(const struct peer *p)
{
    return (struct vos_oid){
        .oid = {.lo = 1 + p->kind, .hi = (uint64_t)otypes[p->kind] << OTYPE_SHIFT}};
}

static bool
is_hashed(const struct peer *p)
{
    return p->kind == PEER_HASHED || p->kind == PEER_HASHED_LONG;
}

/* The first bytes of a key: of lexical ones in the order of the numbers. Its own inverse. */
static uint64_t
key_bytes(const struct peer *p, uint64_t key)
{
    return p->kind == PEER_LEXICAL || p->kind == PEER_LEXICAL_LONG ? __builtin_bswap64(key) : key;
}

/* A long one has the same again behind it. */
static struct iov
key_make(const struct peer *p, uint64_t key, uint64_t mem[2])
{
    mem[0] = mem[1] = key_bytes(p, key);
    return (struct iov){mem, p->kind >= PEER_HASHED_LONG ? 16 : 8};
}

void
peer_vos_kind_set(struct peer *p, enum peer_kind kind)
{
    p->kind = kind;
}

static struct peer *
pv_create(const struct peer_bench *pb, const char *dir)
{
    struct peer *p = calloc(1, sizeof(*p));

    (void)dir; /* that of the bench_store */
    if (p == NULL)
        abort();
    p->pb = pb;
    p->st = pb->st;
    p->st->arg = p;
    return p;
}

static void
pv_destroy(struct peer *p)
{
    free(p);
}

static void
pv_open(struct peer *p)
{
    if (p->st->cont == NULL)
        bench_store_open(p->st);
}

static void
pv_close(struct peer *p)
{
    bench_store_close(p->st);
}

static void
update_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    struct peer *p = st->arg;
    uint64_t key = peer_key(p->run, i), bytes[2];
    struct vos_iod iod = {.type = VOS_IOD_SINGLE,
        .akey = {(void *)(uintptr_t) "v", 1},
        .size = p->pb->value_bytes,
        .data = {p->values[slot], p->pb->value_bytes}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = peer_oid(p),
        .dkey = key_make(p, key, bytes),
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};

    peer_value(p->pb, key, p->values[slot]);
    bench_must(vos_apply(st->cont, &args, NULL));
}

static void
pv_update(struct peer *p, const struct peer_run *run)
{
    struct bio_stats before, after;

    p->run = run;
    p->st->flight_nr = PEER_GROUP_NR;
    bio_stats_get(p->st->bio, &before);
    (void)bench_store_rate(p->st, run->nr, update_op);
    bio_stats_get(p->st->bio, &after);
    p->wal_groups_nr += after.wal_groups_nr - before.wal_groups_nr;
    p->wal_records_nr += run->nr;
}

static void
fetch_op(struct bench_store *st, uint64_t i, uint32_t slot)
{
    struct peer *p = st->arg;
    uint64_t key = peer_key(p->run, i), bytes[2];
    struct vos_iod iod = {.type = VOS_IOD_SINGLE, .akey = {(void *)(uintptr_t) "v", 1}};
    struct iov dkey = key_make(p, key, bytes);
    struct vos_oid oid = peer_oid(p);
    struct vos_fetch *fetch;

    (void)slot;
    bench_must(vos_fetch(st->cont, &oid, VOS_EPOCH_MAX, 0, &dkey, &iod, 1, &fetch));
    peer_must(fetch->iods[0].seg_nr == 1, "vos", "a key is missing");
    peer_value_check(p->pb, key, fetch->iods[0].segs[0].buf, fetch->iods[0].size);
    vos_fetch_free(st->cont, fetch);
}

static void
pv_fetch(struct peer *p, const struct peer_run *run, uint32_t flight_nr)
{
    p->run = run;
    p->st->flight_nr = flight_nr;
    (void)bench_store_rate(p->st, run->nr, fetch_op);
}

struct listing {
    const struct peer *p;
    uint64_t nr, last;
};

static bool
list_entry(void *arg, const struct vos_entry *entry)
{
    struct listing *l = arg;
    uint64_t key = key_bytes(l->p, *(const uint64_t *)entry->key.buf);

    peer_must(l->nr == 0 || is_hashed(l->p) || key > l->last, "vos", "a listing out of order");
    l->last = key;
    l->nr++;
    return true;
}

static uint64_t
pv_list(struct peer *p, uint64_t from, uint64_t nr)
{
    struct listing l = {.p = p};
    struct vos_list_args args = {.level = VOS_LEVEL_DKEY,
        .oid = peer_oid(p),
        .epoch = VOS_EPOCH_MAX,
        .fn = list_entry,
        .arg = &l};
    uint64_t bytes[2];
    struct iov key = key_make(p, from, bytes);
    struct vos_anchor anchor;

    bench_must(vos_anchor_from_key(p->st->cont, &args.oid, VOS_LEVEL_DKEY, &key, true, &anchor));
    while (l.nr < nr && (!anchor.eof || is_hashed(p))) {
        if (anchor.eof)
            memset(&anchor, 0, sizeof(anchor)); /* hashes go round: there are keys enough */
        args.nr_max = (uint32_t)(nr - l.nr);
        bench_must(vos_list(p->st->cont, &args, &anchor));
    }
    return l.nr;
}

/* What was replaced is given back, and the log's changes are in the metadata role. */
static void
pv_settle(struct peer *p)
{
    struct vos_agg_args args = {.hi = VOS_EPOCH_MAX};
    struct vos_agg_stat stat;

    if (vos_cont_agg_is_needed(p->st->cont, VOS_EPOCH_MAX))
        bench_must(vos_cont_aggregate(p->st->cont, &args, &stat));
    bench_must(bio_checkpoint(p->st->bio));
}

static uint64_t
pv_memory(struct peer *p)
{
    return bench_store_memory(p->st);
}

static void
pv_stats(struct peer *p)
{
    bench_put_plain(bench_name("peer.updates_per_sync.%u.vos", p->pb->value_bytes), "updates",
        (double)p->wal_records_nr / (double)p->wal_groups_nr);
    /* Written with zeros at format, so that a durable write never has to allocate; part of the space above. */
    bench_put_plain(bench_name("peer.log_space.%u.vos", p->pb->value_bytes), "MB",
        (double)p->st->cfg.wal_bytes / 1e6);
}

const struct peer_ops peer_vos = {.name = "vos",
    .create = pv_create,
    .destroy = pv_destroy,
    .open = pv_open,
    .close = pv_close,
    .update = pv_update,
    .update_singles = pv_update,
    .fetch = pv_fetch,
    .list = pv_list,
    .settle = pv_settle,
    .memory = pv_memory,
    .stats = pv_stats};
