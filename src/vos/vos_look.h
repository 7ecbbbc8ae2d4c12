/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What records of a store say, for tools; what lies below containers is told by vos_iter(). Nothing here writes. Works on a store that was opened for a look (bio_cfg.is_rdonly),
 * and on any other: then of the state in memory. Tested by test/vos_look_test.c and src/ddb.
 */
#ifndef CAIRN_VOS_LOOK_H
#define CAIRN_VOS_LOOK_H

#include "vos/vos.h"

struct vos_look_root {
    uint32_t version;
    uint64_t feat_compat, feat_ro_compat, feat_incompat;
    uint64_t epoch_bound; /* no epoch above it was ever used */
    uint64_t shard_next;
    uint64_t gc_nr; /* queued for the collector */
};
/** Errors: those of a page that cannot be had; DF_INVAL. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_look_root(struct vos_tgt *tgt, struct vos_look_root *ret_root);

struct vos_look_pool {
    uint64_t off; /* of its record, in the arena */
    uint64_t shard;
    uint64_t meta_quota, data_quota;
    uint64_t meta_used; /* by itself and its request table, without its containers */
    uint64_t horizon;
    uint64_t scrub_start_ns; /* wall time at which the newest pass began; 0: there was none */
    bool scrub_is_running; /* it did not come to its end */
    uint64_t scrub_cont, scrub_obj; /* how far it came then: prefixes of keys */
};
/** Errors: NONEXIST; as above. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_look_pool(struct vos_tgt *tgt, struct uuid pool, struct vos_look_pool *ret_pool);

struct vos_look_cont {
    uint64_t off; /* of its record, in the arena */
    uint64_t shard;
    uint64_t epoch_max, obj_nr, meta_used, data_used;
    uint64_t agg_epoch; /* aggregated up to here; 0: never */
    uint64_t agg_snaps; /* hash of the snapshots it went by; 0: none */
};
/** Of an open container. Errors: as vos_look_root(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_look_cont(struct vos_cont *cont, struct vos_look_cont *ret_cont);

/* Something queued for the collector. */
struct vos_look_gc {
    uint64_t off;
    bool is_pool;
    struct uuid uuid;
    uint64_t rec_off;
};
/** Call fn for what is queued, oldest first; fn does not yield. Errors: as above. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
vos_look_gc(struct vos_tgt *tgt, void (*fn)(void *arg, const struct vos_look_gc *gc), void *arg);

/* The newest request of a slot of a client. */
struct vos_look_req {
    struct uuid client;
    uint64_t client_off; /* of its record */
    uint32_t slot;
    uint64_t seq, hlc, epoch;
    uint32_t result_len;
    const uint8_t *result; /* borrowed */
};
/** Call fn for each slot in use of the pool's request table, client by client; fn does not yield. Errors: NONEXIST; as above. */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_look_reqs(struct vos_tgt *tgt, struct uuid pool,
    void (*fn)(void *arg, const struct vos_look_req *req), void *arg);

/* The outcome of a transaction that is settled. */
struct vos_look_dtx {
    struct vos_dtx_id id;
    uint64_t epoch;
    bool is_aborted;
};
/** Call fn for each that is remembered, oldest first; fn does not yield. Returns the largest hlc of those that were forgotten, 0: none. */
uint64_t vos_look_dtxs(
    struct vos_cont *cont, void (*fn)(void *arg, const struct vos_look_dtx *out), void *arg);

/* Part of a tree that cannot be read. */
struct vos_look_lost {
    uint64_t tree_off; /* of its root, in the arena */
    uint32_t kind; /* enum vos_tree_id */
    uint64_t lo,
        hi; /* hkeys, inclusive: the key itself of integers, the first 8 bytes of lexical keys and uuids, epochs of single values, first indices of extents, else a hash */
    int rc; /* CSUM, DF_INVAL */
    /* What it belongs to, as far as it has it and that can be read. Borrowed. */
    struct uuid pool, cont;
    bool has_obj;
    struct vos_oid oid;
    struct iov dkey, akey;
};

/**
 * vos_tgt_check() that goes on after damage, each of which is logged with its offset: behind a damaged node of a tree with what follows it; lost_fn (which may be NULL, and does not yield) is
 * told what was left out, as are sums over what is incomplete. Then both allocators are compared with all that was met: what is allocated and referred to by nothing, referred to twice, or referred to and
 * free. Of a store open for a look only: nothing may change. *ret_bad_nr: places found. Errors: the first; NOMEM.
 */
CAIRN_YIELDS CAIRN_MUST_CHECK int vos_look_check(struct vos_tgt *tgt,
    void (*lost_fn)(void *arg, const struct vos_look_lost *lost), void *arg, uint64_t *ret_bad_nr);

#endif
