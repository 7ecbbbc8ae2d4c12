/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * When a target scrubs: a real store in the simulator, the service played by the test. Silence while it is off; passes that take their period and begin a period
 * after each other; every flipped bit is reported and counted; what happens at the threshold; a stop in the middle of a pass; a shard that goes.
 */
#include <string.h>

#include "tgt_fix.h"

#define S UINT64_C(1000000000)
#define QUOTA_BYTES (UINT64_C(16) << 20)
enum { VALUES_NR = 20, VALUE_BYTES = 300000 };

struct env {
    struct tgt_fix f;
    void (*body)(struct env *env);
    struct tgt_scrub_conf conf; /* what the service says */
    bool is_scrub_off; /* of the container */
    int stable_rc;
};

static const struct uuid cont = {{9}};
static const struct tgt_ids ids = {{{1}}, {{2}}, {{3}}};

static int
lookup(void *arg, const struct tgt_ids *who, struct tgt_hdl_info *ret_info)
{
    struct env *env = arg;

    (void)who;
    *ret_info = (struct tgt_hdl_info){.pool_flags = TGT_PC_RW,
        .cont = cont,
        .cont_flags = TGT_COO_RW,
        .map_ver = 1,
        .scrub = env->conf};
    return 0;
}

static void
env_body(void *arg)
{
    struct env *env = arg;

    env->body(env);
}

static void
run_with(void (*body)(struct env *env),
    int (*ask)(void *arg, struct uuid pool, struct uuid id, struct tgt_stable *ret_stable))
{
    struct env env = {.body = body};

    env.f = (struct tgt_fix){.opts = {.hdl_lookup = lookup, .stable = ask, .arg = &env},
        .quota = QUOTA_BYTES,
        .body = env_body,
        .arg = &env};
    fix_run(&env.f);
}

static void
run(void (*body)(struct env *env))
{
    run_with(body, NULL);
}

/* A request: also the way in which the target hears of the properties. */
static void
request_of(struct env *env, uint32_t key, size_t len)
{
    static uint8_t value[VALUE_BYTES];
    struct vos_iod iod = {.akey = {(void *)(uintptr_t) "a", 1},
        .type = VOS_IOD_SINGLE,
        .size = len,
        .data = {value, len}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = {.oid = {.lo = 5}},
        .dkey = {&key, sizeof(key)},
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1};
    struct vos_apply_ret ret;
    struct tgt_op op;

    memset(value, (int)key + 1, sizeof(value));
    if (!EXPECT_OK(tgt_op_begin(env->f.tgt, &ids, 0, &op)))
        return;
    EXPECT_OK(vos_apply(op.vos, &args, &ret));
    tgt_op_end(&op);
}

static void
request(struct env *env, uint32_t key)
{
    request_of(env, key, VALUE_BYTES);
}

static void
conf_set(struct env *env, uint32_t mode, uint32_t freq_s, uint32_t thresh)
{
    env->conf = (struct tgt_scrub_conf){mode, freq_s, thresh};
    tgt_hdl_revoke(env->f.tgt, fix_pool, (struct uuid){{2}}); /* asked again by the next request */
    request(env, 0);
}

static int
begin_rc(struct env *env)
{
    struct tgt_op op;
    int rc = tgt_op_begin(env->f.tgt, &ids, 0, &op);

    if (rc == 0)
        tgt_op_end(&op);
    return rc;
}

/* The target is told, whether it serves or not. */
static void
conf_say(struct env *env, uint32_t mode, uint32_t freq_s, uint32_t thresh)
{
    env->conf = (struct tgt_scrub_conf){mode, freq_s, thresh};
    tgt_hdl_revoke(env->f.tgt, fix_pool, (struct uuid){{2}});
    (void)begin_rc(env);
}

static struct tgt_stats
stats_of(struct env *env)
{
    struct tgt_stats stats;

    tgt_stats_get(env->f.tgt, &stats);
    return stats;
}

static void
fill(struct env *env)
{
    for (uint32_t i = 0; i < VALUES_NR; i++) {
        request(env, i);
    }
}

#define ALL_BYTES (UINT64_C(1) * VALUES_NR * VALUE_BYTES)

static void
body_off(struct env *env)
{
    fill(env);
    ult_sleep(50000 * S);
    EXPECT_EQ(stats_of(env).scrub_bytes, 0);
}

TEST_ON(tgt_scrub, is_off_by_default, BACKEND_SIM)
{
    run(body_off);
}

/* A pass takes its period, evenly; the next begins when it is over; off means off at once, and on goes on. */
static void
body_timed(struct env *env)
{
    struct tgt_stats stats;

    fill(env);
    conf_set(env, TGT_SCRUB_TIMED, 10000, 0);
    ult_sleep(5000 * S);
    stats = stats_of(env);
    EXPECT_EQ(stats.scrub_passes_nr, 0);
    EXPECT_GT(stats.scrub_bytes, ALL_BYTES / 3);
    EXPECT_LT(stats.scrub_bytes, ALL_BYTES * 2 / 3);
    ult_sleep(5500 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 1);
    ult_sleep(10000 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 2);
    conf_set(env, TGT_SCRUB_OFF, 10000, 0);
    stats = stats_of(env);
    ult_sleep(50000 * S);
    EXPECT_EQ(stats_of(env).scrub_bytes, stats.scrub_bytes);
    conf_set(env, TGT_SCRUB_TIMED, 10000, 0);
    ult_sleep(15000 * S);
    EXPECT_GT(stats_of(env).scrub_passes_nr, 2);
    EXPECT_EQ(stats_of(env).scrub_bad_nr, 0);
}

TEST_ON(tgt_scrub, passes_take_their_period, BACKEND_SIM)
{
    run(body_timed);
}

/* With nobody at work a lazy pass ends soon, and waits for its period. */
static void
body_lazy(struct env *env)
{
    fill(env);
    conf_set(env, TGT_SCRUB_LAZY, 1000, 0);
    ult_sleep(10 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 1);
    EXPECT_GE(stats_of(env).scrub_bytes, ALL_BYTES);
    ult_sleep(980 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 1);
    ult_sleep(20 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 2);
}

TEST_ON(tgt_scrub, lazy_passes, BACKEND_SIM)
{
    run(body_lazy);
}

/* Every flip is reported within a pass, and counts once; at the threshold the shard goes out of service, until another threshold is said (TGT-10). */
static void
body_flips(struct env *env)
{
    enum { FLIPS_NR = 5 };
    struct bio_space space;
    uint32_t flips = 0;

    fill(env);
    bio_space_get(env->f.bio, &space);
    conf_set(env, TGT_SCRUB_LAZY, 1000, 4);
    ult_sleep(900 * S);
    EXPECT_EQ(stats_of(env).scrub_bad_nr, 0);
    /* One in each of some values, as they lie one behind the other: the last chunk of each is among them. */
    for (uint32_t i = 0; i < FLIPS_NR; i++) {
        uint64_t blocks = (VALUE_BYTES + 4095) / 4096, at = 4096 * (1 + blocks * (2 + i)) + i * 70000;

        flips++;
        EXPECT_OK(sim_file_flip_bit(env->f.sim, "host", "/tgt0/data", at * 8 + i));
    }
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 2);
    EXPECT_EQ(stats_of(env).scrub_bad_nr, flips);
    EXPECT_EQ(stats_of(env).scrub_over_nr, 1);
    EXPECT_EQ(tgt_scrub_found(env->f.tgt, fix_pool), flips);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_bad_nr, 2 * flips);
    EXPECT_EQ(stats_of(env).scrub_over_nr, 1);
    EXPECT_EQ(stats_of(env).out_nr, 1);
    EXPECT_EQ(tgt_scrub_found(env->f.tgt, fix_pool), flips);
    /* A restart does not bring it back, nor does a threshold that is still reached, nor that scrubbing is off. */
    tgt_destroy(env->f.tgt);
    fix_tgt_open(&env->f);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    ult_sleep(1 * S);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    conf_say(env, TGT_SCRUB_LAZY, 1000, flips);
    ult_sleep(1 * S);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    conf_say(env, TGT_SCRUB_OFF, 1000, 1);
    ult_sleep(1 * S);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    tgt_destroy(env->f.tgt);
    fix_tgt_open(&env->f); /* nothing is scrubbed, and it is out */
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    ult_sleep(1 * S);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    EXPECT_EQ(stats_of(env).scrub_bytes, 0);
    EXPECT_EQ(stats_of(env).out_nr, 1);
    conf_say(env, TGT_SCRUB_OFF, 1000, flips + 1);
    ult_sleep(1 * S);
    EXPECT_EQ(begin_rc(env), 0);
    EXPECT_EQ(stats_of(env).out_nr, 0);
    /* Without a threshold any number may be bad. */
    conf_say(env, TGT_SCRUB_LAZY, 1000, 0);
    ult_sleep(3000 * S);
    EXPECT_EQ(begin_rc(env), 0);
    EXPECT_EQ(stats_of(env).scrub_over_nr, 0);
}

TEST_ON(tgt_scrub, flips_are_reported_within_a_pass, BACKEND_SIM)
{
    run(body_flips);
}

/* ---- the metadata role -------------------------------------------------------------------------- */

enum { PAGES_NR = 3 };

/* The images of pages, with the pages in memory or not. */
static void
flip_pages(struct env *env, bool in_memory, uint64_t bits[PAGES_NR])
{
    struct umem *um = bio_umem(env->f.bio);
    struct umem_pub *pub = (struct umem_pub *)(void *)um;
    struct umem_stats us;
    uint32_t nr = 0;

    EXPECT_OK(bio_checkpoint(env->f.bio));
    umem_stats_get(um, &us);
    if (!in_memory)
        umem_evict(um, UINT32_MAX, 0);
    for (uint64_t page = 0; page < pub->page_nr && nr < PAGES_NR; page++) {
        /* Slots begin behind header places and two slot maps: each a whole number of pages of the largest arena. */
        uint64_t slots_off = 4 * 4096 + 2 * ALIGN_UP(pub->page_nr * 16, (uint64_t)UMEM_PAGE_BYTES);

        if (pub->pages[page].slot == 0 || (pub->pages[page].mem != NULL) != in_memory)
            continue;
        bits[nr] =
            (slots_off + (uint64_t)(pub->pages[page].slot - 1) * UMEM_PAGE_BYTES) * 8 + 1000 * page;
        EXPECT_OK(sim_file_flip_bit(env->f.sim, "host", "/tgt0/meta", bits[nr++]));
    }
    EXPECT_EQ(nr, PAGES_NR);
}

static void
body_pages(struct env *env)
{
    uint64_t bits[PAGES_NR], mended;

    fill(env);
    for (uint32_t i = 0; i < 50; i++) {
        request_of(env, 1000 + i, 4000);
    }
    conf_set(env, TGT_SCRUB_LAZY, 1000, 2);
    ult_sleep(900 * S);
    EXPECT_EQ(stats_of(env).scrub_meta_passes_nr, 1);
    EXPECT_GT(stats_of(env).scrub_meta_bytes, 10000);
    flip_pages(env, true, bits);
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_meta_passes_nr, 2);
    mended =
        stats_of(env).scrub_mended_nr; /* the page of the scrubber's own place may have been written meanwhile */
    EXPECT(mended == PAGES_NR || mended == PAGES_NR - 1);
    EXPECT_EQ(stats_of(env).scrub_bad_nr, 0);
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_mended_nr, mended); /* they are whole again */
    EXPECT_EQ(begin_rc(env), 0);
    /* What can't be mended counts, also when the record of the shard itself is among it. */
    flip_pages(env, false, bits);
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_over_nr, 1);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS);
    for (uint32_t i = 0; i < PAGES_NR; i++) {
        EXPECT_OK(sim_file_flip_bit(env->f.sim, "host", "/tgt0/meta", bits[i]));
    }
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_over_nr, 1);
    tgt_destroy(env->f.tgt);
    fix_tgt_open(&env->f);
    EXPECT_EQ(begin_rc(env), -DER_DATA_LOSS); /* it was written once that was possible */
}

TEST_ON(tgt_scrub, pages_on_the_metadata_role, BACKEND_SIM)
{
    run(body_pages);
}

/* Its own pace: a pass takes the period, begins anywhere, and looks at everything once. */
static void
body_pages_timed(struct env *env)
{
    uint64_t bytes, all;

    fill(env);
    for (uint32_t i = 0; i < 400; i++) {
        request_of(env, 1000 + i, 4000); /* beside the index: 100 pages, seven steps */
    }
    EXPECT_OK(bio_checkpoint(env->f.bio));
    conf_set(env, TGT_SCRUB_TIMED, 10000, 0);
    ult_sleep(1000 * S);
    bytes = stats_of(env).scrub_meta_bytes;
    EXPECT(bytes > 0 && bytes < 1000000);
    ult_sleep(9500 * S);
    EXPECT_EQ(stats_of(env).scrub_meta_passes_nr, 1);
    EXPECT_GT(stats_of(env).scrub_meta_bytes, 1600000);
    ult_sleep(10000 * S);
    all = stats_of(env).scrub_meta_bytes;
    EXPECT_EQ(stats_of(env).scrub_meta_passes_nr, 2);
    for (uint32_t i = 0; i < 3; i++) {
        bytes = all;
        ult_sleep(10000 * S);
        all = stats_of(env).scrub_meta_bytes;
        EXPECT_GT(all - bytes, UMEM_PAGE_BYTES);
    }
    EXPECT_EQ(stats_of(env).scrub_bad_nr, 0);
    conf_set(env, TGT_SCRUB_OFF, 10000, 0);
    all = stats_of(env).scrub_meta_bytes;
    ult_sleep(50000 * S);
    EXPECT_EQ(stats_of(env).scrub_meta_bytes, all);
}

TEST_ON(tgt_scrub, pages_take_their_period, BACKEND_SIM)
{
    run(body_pages_timed);
}

/* ---- containers --------------------------------------------------------------------------------- */

static int
stable(void *arg, struct uuid pool, struct uuid id, struct tgt_stable *ret_stable)
{
    struct env *env = arg;

    (void)pool;
    (void)id;
    ult_sleep(1000);
    if (env->stable_rc != 0)
        return env->stable_rc;
    *ret_stable = (struct tgt_stable){
        .scrub = env->conf, .reclaim = TGT_RECLAIM_DISABLED, .is_scrub_off = env->is_scrub_off};
    return 0;
}

static void
body_left_out(struct env *env)
{
    uint64_t bytes;

    fill(env);
    ult_sleep(100 * S); /* aggregation has asked what it wanted */
    env->is_scrub_off = true;
    conf_set(env, TGT_SCRUB_LAZY, 1000, 0);
    ult_sleep(10 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 1);
    EXPECT_EQ(stats_of(env).scrub_bytes, 0);
    EXPECT_EQ(stats_of(env).scrub_skipped_nr, 1);
    ult_sleep(900 * S);
    EXPECT_EQ(stats_of(env).scrub_skipped_nr, 1);
    env->is_scrub_off = false;
    ult_sleep(100 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 2);
    bytes = stats_of(env).scrub_bytes;
    EXPECT_GE(bytes, ALL_BYTES);
    env->is_scrub_off = true;
    env->stable_rc = -DER_TIMEDOUT; /* nobody says so */
    ult_sleep(1000 * S);
    EXPECT_EQ(stats_of(env).scrub_passes_nr, 3);
    EXPECT_GE(stats_of(env).scrub_bytes, 2 * bytes);
    /* The answer also says that scrubbing is off. */
    env->stable_rc = 0;
    env->conf.mode = TGT_SCRUB_OFF;
    ult_sleep(3000 * S);
    EXPECT_LE(stats_of(env).scrub_passes_nr, 4);
}

TEST_ON(tgt_scrub, containers_are_left_out, BACKEND_SIM)
{
    run_with(body_left_out, stable);
}

/* The target stops in a pass: the next life goes on with it, and keeps to its period. */
static void
body_stop(struct env *env)
{
    uint64_t bytes;

    fill(env);
    conf_set(env, TGT_SCRUB_TIMED, 10000, 0);
    ult_sleep(7000 * S);
    bytes = stats_of(env).scrub_bytes;
    EXPECT_GT(bytes, ALL_BYTES / 2);
    tgt_destroy(env->f.tgt);
    fix_tgt_open(&env->f);
    request(env, 0);
    ult_sleep(9000 * S);
    /* One object: its place is its begin. The period of the pass that was cut is over then, and the next one has begun. */
    EXPECT_GE(stats_of(env).scrub_passes_nr + (stats_of(env).scrub_bytes > ALL_BYTES / 2), 1);
    /* The shard goes, in a pass. */
    EXPECT_OK(tgt_pool_destroy(env->f.tgt, fix_pool));
    bytes = stats_of(env).scrub_bytes;
    ult_sleep(30000 * S);
    EXPECT_EQ(stats_of(env).scrub_bytes, bytes);
    EXPECT_EQ(stats_of(env).scrub_bad_nr, 0);
}

TEST_ON(tgt_scrub, stop_and_destroy, BACKEND_SIM)
{
    run(body_stop);
}
