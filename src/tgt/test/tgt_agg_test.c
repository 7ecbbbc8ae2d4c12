/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * When a target aggregates: a real store in the simulator, the service played by the test. What is kept for snapshots and for reads at work, what a read
 * at a snapshot that is gone gets, silence when there is nothing to do, a service that does not answer, updates that wait for space.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tgt/tgt_priv.h"
#include "tgt_fix.h"

enum { SNAPS_MAX = 8 };
#define GB UINT64_C(1000000000)
#define S UINT64_C(1000000000)
#define QUOTA_BYTES (UINT64_C(4) << 20)

struct env {
    struct tgt_fix f;
    void (*body)(struct env *env);
    /* the service */
    int stable_rc;
    uint32_t reclaim, asks_nr;
    uint64_t snaps[SNAPS_MAX];
    uint32_t snap_nr;
    uint64_t stable_max; /* not 0: a snapshot is under way */
};

static const struct uuid cont = {{9}};

static int
lookup(void *arg, const struct tgt_ids *ids, struct tgt_hdl_info *ret_info)
{
    (void)arg;
    (void)ids;
    *ret_info = (struct tgt_hdl_info){
        .pool_flags = TGT_PC_RW, .cont = cont, .cont_flags = TGT_COO_RW, .map_ver = 1};
    return 0;
}

/* As the container's service: its clock is above what the target has used. */
static int
stable(void *arg, struct uuid p, struct uuid c, struct tgt_stable *ret_stable)
{
    struct env *env = arg;

    EXPECT_EQ(cuuid_cmp(&p, &fix_pool), 0);
    EXPECT_EQ(cuuid_cmp(&c, &cont), 0);
    env->asks_nr++;
    ult_sleep(S / 1000);
    if (env->stable_rc != 0)
        return env->stable_rc;
    ret_stable->epoch = vos_epoch_last(env->f.vos) + 1;
    if (env->stable_max != 0)
        ret_stable->epoch = MIN(ret_stable->epoch, env->stable_max);
    ret_stable->reclaim = env->reclaim;
    ret_stable->snap_nr = env->snap_nr;
    ret_stable->snaps = malloc(sizeof(env->snaps));
    memcpy(ret_stable->snaps, env->snaps, sizeof(env->snaps));
    return 0;
}

static void
env_body(void *arg)
{
    struct env *env = arg;

    env->body(env);
}

static void
run(void (*body)(struct env *env))
{
    struct env env = {.body = body, .reclaim = TGT_RECLAIM_LAZY};

    env.f = (struct tgt_fix){.opts = {.hdl_lookup = lookup, .stable = stable, .arg = &env},
        .quota = QUOTA_BYTES,
        .body = env_body,
        .arg = &env};
    fix_run(&env.f);
}

/* ---- requests ------------------------------------------------------------------------------- */

static const struct tgt_ids ids = {{{1}}, {{2}}, {{3}}};
static const struct vos_oid oid = {.oid = {.lo = 5}};

static bool
begin(struct env *env, struct tgt_op *op)
{
    return EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, op));
}

static struct vos_iod
iod_of(void *buf, size_t len)
{
    return (struct vos_iod){
        .akey = {(void *)(uintptr_t) "a", 1}, .type = VOS_IOD_SINGLE, .size = len, .data = {buf, len}};
}

/* As objsrv does it. *ret_epoch may be NULL. */
static int
put(struct env *env, const char *key, uint8_t fill, size_t len, uint64_t *ret_epoch)
{
    static uint8_t buf[16384];
    struct vos_iod iod = iod_of(buf, len);
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = oid,
        .dkey = {(void *)(uintptr_t)key, strlen(key)},
        .iod_nr = 1,
        .iods = &iod};
    struct tgt_op op;
    struct vos_apply_args args = {
        .mods = &mod, .mod_nr = 1, .pm_ver = 1, .space_wait = tgt_op_space_wait, .space_arg = &op};
    struct vos_apply_ret ret;
    int rc;

    if (!begin(env, &op))
        return -DER_MISC;
    memset(buf, fill, len);
    op.deadline_ns = ult_now_ns() + 30 * S;
    rc = vos_apply(op.vos, &args, &ret);
    if (rc == 0) {
        tgt_op_changed(&op);
        if (ret_epoch != NULL)
            *ret_epoch = ret.epoch;
    }
    tgt_op_end(&op);
    return rc;
}

/* First byte of what is there at an epoch, without asking anybody whether that may be read; 0: nothing. */
static uint8_t
look(struct env *env, const char *key, uint64_t epoch)
{
    struct iov dkey = {(void *)(uintptr_t)key, strlen(key)};
    struct vos_iod iod = iod_of(NULL, 0);
    struct vos_fetch *fetch = NULL;
    struct tgt_op op;
    uint8_t byte = 0;

    if (!begin(env, &op))
        return 0;
    if (EXPECT_OK(vos_fetch(op.vos, &oid, epoch, 0, &dkey, &iod, 1, &fetch)) &&
        fetch->iods[0].size != 0)
        byte = *(uint8_t *)fetch->iods[0].segs[0].buf;
    vos_fetch_free(op.vos, fetch);
    tgt_op_end(&op);
    return byte;
}

static int
read_at(struct env *env, uint64_t epoch)
{
    struct tgt_op op;
    int rc;

    if (!begin(env, &op))
        return -DER_MISC;
    rc = tgt_op_read(&op, epoch);
    tgt_op_end(&op);
    return rc;
}

static uint64_t
passes(struct env *env)
{
    struct tgt_stats st;

    tgt_stats_get(env->f.tgt, &st);
    return st.agg_passes_nr;
}

/* Aggregate now. */
static void
now(struct env *env)
{
    bool is_done = false;
    uint64_t epoch = 0;
    struct tgt_op op;

    if (!begin(env, &op))
        return;
    EXPECT_OK(tgt_aggregate(&op, 0, ult_now_ns() + 30 * S, &is_done, &epoch));
    EXPECT(is_done);
    EXPECT_GT(epoch, 0);
    tgt_op_end(&op);
}

/* ---- when ----------------------------------------------------------------------------------- */

static void
body_silence(struct env *env)
{
    uint64_t nr;

    ult_sleep(1000 * S);
    EXPECT_EQ(env->asks_nr, 0); /* nothing there */
    EXPECT_OK(put(env, "one", 1, 100, NULL));
    EXPECT_OK(put(env, "one", 2, 100, NULL));
    ult_sleep(TGT_AGG_GAP_NS / 2);
    EXPECT_EQ(env->asks_nr, 0);
    ult_sleep(TGT_AGG_GAP_NS);
    EXPECT_EQ(env->asks_nr, 1);
    EXPECT_EQ(passes(env), 1);
    ult_sleep(1000 * S);
    EXPECT_EQ(env->asks_nr, 1); /* and no more */
    /* New keys make nothing old. */
    for (int i = 0; i < 20; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%d", i);
        EXPECT_OK(put(env, key, 1, 100, NULL));
    }
    ult_sleep(1000 * S);
    nr = passes(env);
    EXPECT_LE(nr, 2);
    EXPECT_OK(put(env, "one", 3, 100, NULL));
    ult_sleep(1000 * S);
    EXPECT_EQ(passes(env), nr + 1);
    EXPECT_EQ(look(env, "one", VOS_EPOCH_MAX), 3);
}

TEST_ON(tgt_agg, nothing_to_do_is_silence, BACKEND_SIM)
{
    run(body_silence);
}

static void
body_backoff(struct env *env)
{
    uint64_t epoch;

    env->stable_rc = -DER_UNREACH;
    EXPECT_OK(put(env, "one", 1, 100, &epoch));
    EXPECT_OK(put(env, "one", 2, 100, NULL));
    ult_sleep(300 * S);
    EXPECT_GE(env->asks_nr, 4);
    EXPECT_LE(env->asks_nr, 12);
    EXPECT_EQ(passes(env), 0);
    EXPECT_EQ(look(env, "one", epoch), 1);
    env->stable_rc = 0;
    ult_sleep(100 * S);
    EXPECT_EQ(passes(env), 1);
    EXPECT_EQ(look(env, "one", epoch), 0);
    EXPECT_EQ(look(env, "one", VOS_EPOCH_MAX), 2);
}

TEST_ON(tgt_agg, a_service_that_does_not_answer, BACKEND_SIM)
{
    run(body_backoff);
}

static void
body_disabled(struct env *env)
{
    uint64_t epoch, begin_ns;
    int rc = 0;

    env->reclaim = TGT_RECLAIM_DISABLED;
    EXPECT_OK(put(env, "one", 1, 8192, &epoch));
    for (int i = 0; rc == 0 && i < 2000; i++) {
        rc = put(env, "one", 2, 8192, NULL);
    }
    EXPECT_EQ(rc, -DER_NOSPACE);
    begin_ns = ult_now_ns();
    EXPECT_ERR(put(env, "one", 2, 8192, NULL), NOSPACE);
    EXPECT_LT(ult_now_ns() - begin_ns, S);
    EXPECT_EQ(look(env, "one", epoch), 1);
    EXPECT_EQ(passes(env), 0);
    now(env); /* when it is asked for */
    EXPECT_EQ(look(env, "one", epoch), 0);
    EXPECT_OK(put(env, "one", 3, 8192, NULL));
}

TEST_ON(tgt_agg, a_pool_that_does_not_want_it, BACKEND_SIM)
{
    run(body_disabled);
}

/* ---- what is kept --------------------------------------------------------------------------- */

static void
body_snapshots(struct env *env)
{
    uint64_t epochs[4];

    for (uint8_t i = 0; i < 4; i++) {
        EXPECT_OK(put(env, "one", (uint8_t)(i + 1), 100, &epochs[i]));
    }
    env->snaps[0] = epochs[1];
    env->snap_nr = 1;
    now(env);
    EXPECT_EQ(look(env, "one", epochs[0]), 0);
    EXPECT_EQ(look(env, "one", epochs[1]), 2);
    EXPECT_EQ(look(env, "one", epochs[2]), 2); /* the third is gone */
    EXPECT_OK(read_at(env, epochs[1]));
    EXPECT_ERR(read_at(env, epochs[0]), EP_OLD);
    EXPECT_ERR(read_at(env, epochs[2]), EP_OLD);
    EXPECT_OK(read_at(env, VOS_EPOCH_MAX));
    /* It is destroyed, and they are told. */
    env->snap_nr = 0;
    EXPECT_OK(read_at(env, epochs[1])); /* still there */
    tgt_aggregate_later(env->f.tgt, fix_pool, cont);
    ult_sleep(S);
    EXPECT_EQ(look(env, "one", epochs[1]), 0);
    EXPECT_ERR(read_at(env, epochs[1]), EP_OLD);
    EXPECT_EQ(look(env, "one", VOS_EPOCH_MAX), 4);
    ult_sleep(1000 * S);
    EXPECT_LE(passes(env), 3);
}

TEST_ON(tgt_agg, snapshots_are_kept, BACKEND_SIM)
{
    run(body_snapshots);
}

/* Nobody says that it is destroyed, and nothing changes: what it kept goes all the same. */
static void
body_missed(struct env *env)
{
    uint64_t epochs[2];
    uint32_t asks_nr;

    EXPECT_OK(put(env, "one", 1, 100, &epochs[0]));
    EXPECT_OK(put(env, "one", 2, 100, &epochs[1]));
    env->snaps[0] = epochs[0];
    env->snap_nr = 1;
    now(env);
    EXPECT_EQ(look(env, "one", epochs[0]), 1);
    asks_nr = env->asks_nr;
    ult_sleep(6000 * S);
    EXPECT_GE(env->asks_nr, asks_nr + 9);
    EXPECT_LE(env->asks_nr, asks_nr + 11); /* now and then */
    EXPECT_EQ(passes(env), 1);
    EXPECT_EQ(look(env, "one", epochs[0]), 1);
    env->snap_nr = 0;
    ult_sleep(601 * S);
    EXPECT_EQ(passes(env), 2);
    EXPECT_EQ(look(env, "one", epochs[0]), 0);
    EXPECT_EQ(look(env, "one", VOS_EPOCH_MAX), 2);
    asks_nr = env->asks_nr;
    ult_sleep(6000 * S);
    EXPECT_EQ(env->asks_nr, asks_nr); /* it has none any more */
    /* One that is watched is looked at soon when something changes. */
    env->snaps[0] = vos_epoch_last(env->f.vos);
    env->snap_nr = 1;
    now(env);
    EXPECT_OK(put(env, "one", 3, 100, &epochs[0]));
    EXPECT_OK(put(env, "one", 4, 100, &epochs[1]));
    ult_sleep(20 * S);
    EXPECT_EQ(look(env, "one", epochs[0]), 2);
    EXPECT_EQ(look(env, "one", VOS_EPOCH_MAX), 4);
}

TEST_ON(tgt_agg, a_snapshot_that_went_unheard, BACKEND_SIM)
{
    run(body_missed);
}

/* What earlier lives dropped nobody knows: the service is asked before a read at a snapshot. */
static void
body_unknown(struct env *env)
{
    uint64_t epoch;

    EXPECT_OK(put(env, "one", 1, 100, &epoch));
    EXPECT_OK(put(env, "one", 2, 100, NULL));
    env->stable_rc = -DER_UNREACH;
    EXPECT_ERR(read_at(env, epoch), AGAIN);
    env->stable_rc = 0;
    EXPECT_ERR(read_at(env, epoch), EP_OLD);
    EXPECT_EQ(env->asks_nr, 2);
    EXPECT_ERR(read_at(env, epoch), EP_OLD);
    EXPECT_EQ(env->asks_nr, 2);
}

TEST_ON(tgt_agg, a_read_at_an_unknown_epoch_asks, BACKEND_SIM)
{
    run(body_unknown);
}

/* A pass bounds itself by the reads at work (TGT-6). */
static void
body_readers(struct env *env)
{
    uint64_t first, second;
    struct tgt_op newest, fixed;

    EXPECT_OK(put(env, "one", 1, 100, &first));
    EXPECT_OK(put(env, "two", 1, 100, NULL));
    if (!begin(env, &newest))
        return;
    EXPECT_OK(tgt_op_read(&newest, VOS_EPOCH_MAX));
    EXPECT_OK(put(env, "one", 2, 100, &second));
    EXPECT_OK(put(env, "one", 3, 100, NULL));
    now(env);
    EXPECT_EQ(look(env, "one", newest.read_epoch), 1);
    tgt_op_end(&newest);
    env->snaps[0] = second;
    env->snap_nr = 1;
    now(env);
    EXPECT_EQ(look(env, "one", first), 0);
    if (!begin(env, &fixed))
        return;
    EXPECT_OK(tgt_op_read(&fixed, second));
    env->snap_nr = 0;
    EXPECT_OK(put(env, "one", 4, 100, NULL));
    now(env);
    EXPECT_EQ(look(env, "one", second), 2);
    tgt_op_end(&fixed);
    ult_sleep(1000 * S); /* what was kept for it goes by itself */
    EXPECT_EQ(look(env, "one", second), 0);
    EXPECT_ERR(read_at(env, second), EP_OLD);
    EXPECT_EQ(look(env, "one", VOS_EPOCH_MAX), 4);
}

TEST_ON(tgt_agg, reads_at_work_are_kept, BACKEND_SIM)
{
    run(body_readers);
}

static void
body_under_way(struct env *env)
{
    uint64_t first, second;

    EXPECT_OK(put(env, "one", 1, 100, &first));
    env->stable_max = first;
    EXPECT_OK(put(env, "one", 2, 100, &second));
    EXPECT_OK(put(env, "one", 3, 100, NULL));
    ult_sleep(3 * TGT_AGG_GAP_NS);
    EXPECT_EQ(look(env, "one", first), 1);
    EXPECT_EQ(look(env, "one", second), 2);
    env->stable_max = 0;
    ult_sleep(1000 * S); /* looked at again without any change */
    EXPECT_EQ(look(env, "one", second), 0);
}

TEST_ON(tgt_agg, a_snapshot_under_way_is_waited_for, BACKEND_SIM)
{
    run(body_under_way);
}

/* ---- space ---------------------------------------------------------------------------------- */

static void
body_space(struct env *env)
{
    uint64_t begin_ns;
    int rc = 0, nr;
    char key[16];

    /* Twenty times what fits. */
    for (uint32_t i = 0; i < 20 * QUOTA_BYTES / 8192 && rc == 0; i++) {
        snprintf(key, sizeof(key), "key%u", i % 7);
        rc = put(env, key, (uint8_t)i, 8192, NULL);
    }
    EXPECT_OK(rc);
    /* Live data until it is full: then the answer comes at once. */
    for (nr = 0; rc == 0 && nr < 2000; nr++) {
        snprintf(key, sizeof(key), "live%d", nr);
        rc = put(env, key, 1, 8192, NULL);
    }
    EXPECT_EQ(rc, -DER_NOSPACE);
    EXPECT_GE(nr, (int)(QUOTA_BYTES / 8192) - 7 - 1);
    begin_ns = ult_now_ns();
    EXPECT_ERR(put(env, "more", 1, 8192, NULL), NOSPACE);
    EXPECT_LT(ult_now_ns() - begin_ns, S / 10);
}

TEST_ON(tgt_agg, no_space_only_when_nothing_can_be_reclaimed, BACKEND_SIM)
{
    run(body_space);
}

/* As put(), a range of an array. */
static int
put_range(struct env *env, uint64_t idx, uint8_t fill, size_t len)
{
    static uint8_t buf[65536];
    struct recx recx = {idx, len};
    struct vos_iod iod = {.akey = {(void *)(uintptr_t) "a", 1},
        .type = VOS_IOD_ARRAY,
        .size = 1,
        .recx_nr = 1,
        .recxs = &recx,
        .data = {buf, len}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = oid,
        .dkey = {(void *)(uintptr_t) "array", 5},
        .iod_nr = 1,
        .iods = &iod};
    struct tgt_op op;
    struct vos_apply_args args = {
        .mods = &mod, .mod_nr = 1, .pm_ver = 1, .space_wait = tgt_op_space_wait, .space_arg = &op};
    int rc;

    if (!begin(env, &op))
        return -DER_MISC;
    memset(buf, fill, len);
    op.deadline_ns = ult_now_ns() + 30 * S;
    rc = vos_apply(op.vos, &args, NULL);
    if (rc == 0)
        tgt_op_changed(&op);
    tgt_op_end(&op);
    return rc;
}

/* Extents that are seen in part give their space back only when they are merged: an update waits for that, too. */
static void
body_merge(struct env *env)
{
    enum { EXTENT = 65536, COVER = 49152 };
    uint32_t nr = QUOTA_BYTES / EXTENT * 5 / 8; /* merging pays from a quarter on */

    for (uint32_t i = 0; i < nr; i++) {
        EXPECT_OK(put_range(env, (uint64_t)i * EXTENT, 1, EXTENT));
    }
    for (uint8_t round = 2; round < 6; round++) {
        for (uint32_t i = 0; i < nr; i++) {
            if (!EXPECT_OK(put_range(env, (uint64_t)i * EXTENT, round, COVER)))
                return;
        }
    }
}

TEST_ON(tgt_agg, extents_seen_in_part_give_their_space, BACKEND_SIM)
{
    run(body_merge);
}

struct late {
    struct env *env;
    struct ult *ult;
};

static void
late_ult(void *arg)
{
    struct late *late = arg;

    ult_sleep(5 * S);
    late->env->stable_max = 0;
}

static void
body_held(struct env *env)
{
    struct late late = {.env = env};
    uint64_t begin_ns, first;
    int rc = 0;

    EXPECT_OK(put(env, "one", 1, 8192, &first));
    env->stable_max = first; /* nothing may be dropped before that snapshot is there */
    for (uint32_t i = 0; i < QUOTA_BYTES / 8192 - 1 && rc == 0; i++) {
        rc = put(env, "one", 2, 8192, NULL);
    }
    EXPECT_OK(rc);
    begin_ns = ult_now_ns();
    EXPECT_ERR(put(env, "one", 3, 8192, NULL), NOSPACE); /* at its deadline */
    EXPECT_GE(ult_now_ns() - begin_ns, 29 * S);
    EXPECT_OK(ult_create(env->f.xs, ULT_IO, late_ult, &late, &late.ult));
    begin_ns = ult_now_ns();
    EXPECT_OK(put(env, "one", 4, 8192, NULL));
    EXPECT_GE(ult_now_ns() - begin_ns, 4 * S);
    EXPECT_LE(ult_now_ns() - begin_ns, 8 * S);
    ult_join(late.ult);
}

TEST_ON(tgt_agg, updates_wait_for_what_is_held_up, BACKEND_SIM)
{
    run(body_held);
}

/* The end of a container does not wait for who waits for space there. */
static void
waiter_ult(void *arg)
{
    struct late *late = arg;

    EXPECT_ERR(put(late->env, "one", 3, 8192, NULL), NOSPACE);
}

static void
body_end(struct env *env)
{
    struct late late = {.env = env};
    uint64_t first, begin_ns;
    int rc = 0;

    EXPECT_OK(put(env, "one", 1, 8192, &first));
    env->stable_max = first;
    for (uint32_t i = 0; i < QUOTA_BYTES / 8192 - 1 && rc == 0; i++) {
        rc = put(env, "one", 2, 8192, NULL);
    }
    EXPECT_OK(rc);
    EXPECT_OK(ult_create(env->f.xs, ULT_IO, waiter_ult, &late, &late.ult));
    ult_sleep(S);
    begin_ns = ult_now_ns();
    EXPECT_OK(tgt_cont_destroy(env->f.tgt, fix_pool, cont));
    EXPECT_LT(ult_now_ns() - begin_ns, S);
    ult_join(late.ult);
}

TEST_ON(tgt_agg, a_container_ends_under_it, BACKEND_SIM)
{
    run(body_end);
}

/* ---- the pace ------------------------------------------------------------------------------- */

/* Whatever the lengths of its steps, the work gets its share of the time, not more, nor much less when timers are late; no rest is long. */
TEST(tgt_agg, pace_keeps_its_share)
{
    static const uint32_t rests[] = {9, 4, 2, 1};
    static const uint64_t lates[] = {1000, 3000000, 40000000};
    uint64_t state = test_seed();

    for (uint32_t r = 0; r < ARRAY_SIZE(rests) * ARRAY_SIZE(lates); r++) {
        uint32_t share = rests[r / ARRAY_SIZE(lates)];
        uint64_t rested = 0, late_ns = lates[r % ARRAY_SIZE(lates)];
        struct tgt_pace pace = {.is_begun = true};

        for (uint32_t i = 0; i < 20000; i++) {
            uint64_t work_ns = test_rand(&state) % (test_rand(&state) % 50 == 0 ? 30000000 : 1000000);
            uint64_t rest_ns = tgt_pace_owe(&pace, work_ns, share);

            EXPECT_LE(rest_ns, 50000000);
            EXPECT_LE((int64_t)rest_ns, MAX(pace.owed_ns, INT64_C(0)));
            EXPECT_GE(pace.owed_ns, -200000000);
            if (rest_ns > 0 || test_rand(&state) % 50 == 0) /* else a yield */
                rest_ns += test_rand(&state) % late_ns;
            tgt_pace_rested(&pace, rest_ns);
            rested += rest_ns;
        }
        EXPECT_LE((int64_t)(pace.work_ns * share), (int64_t)rested + pace.owed_ns);
        if (late_ns <= 3000000)
            EXPECT_GE(pace.work_ns * share * 21 / 20 + 20000000, rested); /* not less than it may have */
        EXPECT_LT(pace.owed_ns, 2000000001);
    }
}

TEST(tgt_agg, pace_by_what_is_needed)
{
    EXPECT_EQ(tgt_agg_rest(false, false, false, false, 0), 9); /* a tenth */
    EXPECT_EQ(tgt_agg_rest(false, false, false, true, 0),
        4); /* a fifth: the default pace never takes more */
    EXPECT_EQ(tgt_agg_rest(false, false, false, false, 50), 9);
    EXPECT_EQ(tgt_agg_rest(false, false, false, false, 149), 5);
    EXPECT_EQ(tgt_agg_rest(false, false, false, false, 150), 4);
    EXPECT_EQ(tgt_agg_rest(false, false, false, false, 1000), 4);
    EXPECT_EQ(tgt_agg_rest(false, false, true, false, 0), 1);
    EXPECT_EQ(tgt_agg_rest(false, true, false, false, 0), 2);
    EXPECT_EQ(tgt_agg_rest(true, true, true, false, 0), 0);
    EXPECT_EQ(tgt_agg_grown(1000, 0), 0); /* nobody knows */
    EXPECT_EQ(tgt_agg_grown(1000, 1000), 0);
    EXPECT_EQ(tgt_agg_grown(500, 1000), 0);
    EXPECT_EQ(tgt_agg_grown(1150 * GB, 1000 * GB), 149);
    EXPECT_EQ(tgt_agg_grown(UINT64_MAX, 1), 1000);
}
