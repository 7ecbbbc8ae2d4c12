/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What each xstream holds at the moment: whoever looks for leaks compares idle moments (test/soak). Looks through every stack: not for
 * hot paths. Tested by test/engine_ctl_test.c and test/soak.
 */
#include "engine_priv.h"

enum count {
    COUNT_ULTS, /* alive, the asking one among them */
    COUNT_STACKS,
    COUNT_CONNS,
    COUNT_MSGS, /* on their way out */
    COUNT_CALLS, /* in flight, as a caller */
    COUNT_REQUESTS, /* running */
    COUNT_BUF_BYTES, /* disk buffers in use */
    COUNT_RESERVATIONS, /* of extents */
    COUNT_HANDLES, /* that a target remembers; so many are looked up again when needed */
    COUNT_CONTS,
    COUNT_TGT_RUNNING,
    COUNT_META_USED, /* bytes of the store */
    COUNT_DATA_USED,
    COUNT_WAL_BLOCKS,
    COUNT_CKPTS, /* since the start */
    COUNT_STORE_STATE, /* of its devices: 0 well, 1 slow, 2 stalled, 3 stopped (bio_health_get()) */
    COUNT_SLOW_OPS, /* disk operations that took half a second or more, since the start */
    COUNT_STALLS, /* times that one was not answered for 4 s, since the start */
    COUNT_SERVED, /* requests, since the start */
    COUNT_NR
};
_Static_assert((int)COUNT_NR == (int)ENGINE_COUNTS_NR, "a place for each");

const char *
engine_count_name(uint32_t i)
{
    static const char *const names[COUNT_NR] = {
        [COUNT_ULTS] = "ults",
        [COUNT_STACKS] = "stacks",
        [COUNT_CONNS] = "conns",
        [COUNT_MSGS] = "msgs",
        [COUNT_CALLS] = "calls",
        [COUNT_REQUESTS] = "requests",
        [COUNT_BUF_BYTES] = "buf_bytes",
        [COUNT_RESERVATIONS] = "reservations",
        [COUNT_HANDLES] = "handles",
        [COUNT_CONTS] = "conts",
        [COUNT_TGT_RUNNING] = "tgt_running",
        [COUNT_META_USED] = "meta_used",
        [COUNT_DATA_USED] = "data_used",
        [COUNT_WAL_BLOCKS] = "wal_blocks",
        [COUNT_CKPTS] = "ckpts",
        [COUNT_STORE_STATE] = "store_state",
        [COUNT_SLOW_OPS] = "slow_ops",
        [COUNT_STALLS] = "stalls",
        [COUNT_SERVED] = "served",
    };

    return names[i];
}

void
engine_xs_count(void *arg)
{
    struct engine_xs *xs = arg;
    struct bio_space space = {0};
    struct bio_stats bio = {0};
    struct bio_health health = {0};
    struct rpc_stats rpc = {0};
    struct tgt_stats tgt = {0};
    struct ult_stats ult;

    xstream_stats(xs->xs, &ult);
    if (xs->rpc != NULL)
        rpc_ctx_stats(xs->rpc, &rpc);
    if (xs->tgt != NULL)
        tgt_stats_get(xs->tgt, &tgt);
    if (xs->bio != NULL) {
        bio_stats_get(xs->bio, &bio);
        bio_health_get(xs->bio, &health);
        bio_space_get(xs->bio, &space);
    }
    xs->counts[COUNT_ULTS] = ult.live_nr;
    xs->counts[COUNT_STACKS] = ult.stacks_nr;
    xs->counts[COUNT_CONNS] = rpc.conns_nr;
    xs->counts[COUNT_MSGS] = rpc.msgs_nr;
    xs->counts[COUNT_CALLS] = rpc.inflight_nr;
    xs->counts[COUNT_REQUESTS] = rpc.running_nr;
    xs->counts[COUNT_BUF_BYTES] = bio.buf_bytes;
    xs->counts[COUNT_RESERVATIONS] = bio.resv_nr;
    xs->counts[COUNT_HANDLES] = tgt.hdls_nr;
    xs->counts[COUNT_CONTS] = tgt.conts_nr;
    xs->counts[COUNT_TGT_RUNNING] = tgt.running_nr;
    xs->counts[COUNT_META_USED] = space.meta_total - space.meta_free;
    xs->counts[COUNT_DATA_USED] = space.data_total - space.data_free;
    xs->counts[COUNT_WAL_BLOCKS] = bio.wal_blocks_used;
    xs->counts[COUNT_CKPTS] = bio.ckpt_nr;
    xs->counts[COUNT_STORE_STATE] = (uint64_t)health.state;
    xs->counts[COUNT_SLOW_OPS] = health.slow_nr;
    xs->counts[COUNT_STALLS] = health.stalls_nr;
    xs->counts[COUNT_SERVED] = rpc.requests_nr;
}
