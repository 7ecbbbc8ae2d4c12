/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Goal: what returned is there after a power loss, what did not is there whole or not at all, and the log is complete at any moment (RFS-1 to RFS-3); a full or failing store is an
 * error, not a loss. Method: random changes beside a model in memory on the simulated disk, power cut at random writes, then compared; scripts for the rest.
 */
#include <stdlib.h>

#include "base/codec.h"
#include "base/rng.h"
#include "base/util.h"
#include "bio/bio.h"
#include "harness/harness.h"
#include "plat/plat_sim.h"
#include "raft/raft_store.h"

enum { MODEL_NR = 40000 };

static const struct uuid group = {{9, 9}};
static const struct raft_conf conf3 = {.nr = 3, .members = {{1, 1}, {2, 1}, {3, 0}}};

struct model {
    uint64_t term, vote, first, last, snap, snap_term;
    uint8_t terms[MODEL_NR]; /* of entries by index */
};

struct env {
    struct sim *sim;
    struct plat *plat;
    struct xstream *xs;
    struct bio_tgt *bio;
    struct vos_tgt *vos;
    struct vos_cont *cont;
    struct raft_store store;
    bool store_is_open;
    uint64_t applied; /* of the state machine beside it */
    uint64_t meta_quota, data_quota;
    void (*body)(struct env *env);
    bool is_done, is_dead;
    struct rng rng;
    struct model now, next; /* next: with the change at work */
};

static void
env_reap(void *arg)
{
    struct env *env = arg;

    xstream_abandon(env->xs);
    if (env->store_is_open)
        raft_store_abandon(&env->store);
    if (env->vos != NULL)
        vos_tgt_abandon(env->vos);
    if (env->bio != NULL)
        bio_abandon(env->bio);
    xstream_destroy(env->xs);
    env->store_is_open = false;
    env->cont = NULL;
    env->vos = NULL;
    env->bio = NULL;
    env->is_dead = true;
}

static int
open_all(struct env *env)
{
    struct bio_cfg cfg = {.dir = "/sys",
        .wal_bytes = 16 << 20,
        .meta_bytes = 64 << 20,
        .data_bytes = 64 << 20,
        .system = {{1}},
        .device = {{2}}};
    int rc = 0;

    if (!bio_is_formatted(env->plat, cfg.dir)) {
        rc = env->plat->ops->dir_create(env->plat, cfg.dir);
        if (rc == 0)
            rc = bio_format(env->xs, &cfg);
    }
    if (rc == 0)
        rc = bio_open(env->xs, &cfg, &env->bio);
    if (rc == 0)
        rc = vos_tgt_open(env->bio, &env->vos);
    if (rc == 0)
        rc = vos_pool_create(env->vos, group, env->meta_quota, env->data_quota);
    if (rc == 0)
        rc = vos_cont_create(env->vos, group, group);
    if (rc == 0 || rc == -DER_EXIST)
        rc = vos_cont_open(env->vos, group, group, &env->cont);
    if (rc == 0) {
        env->store_is_open = true;
        rc = raft_store_open(&env->store, env->cont, env->applied);
        env->store_is_open = rc == 0;
    }
    return rc;
}

static void
env_ult(void *arg)
{
    struct env *env = arg;

    if (EXPECT_OK(open_all(env)))
        env->body(env);
    if (env->store_is_open) {
        env->store_is_open = false;
        raft_store_close(&env->store);
    }
    if (env->cont != NULL)
        vos_cont_close(env->cont);
    env->cont = NULL;
    if (env->vos != NULL)
        vos_tgt_close(env->vos);
    env->vos = NULL;
    if (env->bio != NULL)
        bio_close(env->bio);
    env->bio = NULL;
    env->is_done = true;
}

static bool
env_ended(void *arg)
{
    struct env *env = arg;

    return env->is_done || env->is_dead;
}

/* One life of the process on the same disk. */
static void
live(struct env *env, void (*body)(struct env *env))
{
    struct xstream_opts opts = {.name = "sys", .cpu = UINT32_MAX};

    env->body = body;
    env->is_done = false;
    env->is_dead = false;
    if (!EXPECT_OK(sim_node_start(env->sim, "host", "one", &env->plat)))
        return;
    sim_node_on_kill(env->plat, env_reap, env);
    if (!EXPECT_OK(xstream_create(env->plat, &opts, &env->xs)) || !EXPECT_OK(xstream_start(env->xs)) ||
        !EXPECT_OK(xstream_post(env->xs, ULT_SERVICE, env_ult, env)))
        return;
    EXPECT_OK(sim_run_until(env->sim, env_ended, env, UINT64_C(1000000000000)));
    if (env->is_done)
        sim_node_kill(env->sim, env->plat);
}

static void
env_init(struct env *env)
{
    struct sim_opts opts = {.seed = test_seed(), .disk_lat_lo_ns = 10000, .disk_lat_hi_ns = 90000};

    memset(env, 0, sizeof(*env));
    env->meta_quota = 8 << 20;
    env->data_quota = 16 << 20;
    rng_init(&env->rng, test_seed());
    env->now.first = 1;
    EXPECT_OK(sim_create(&opts, &env->sim));
}

/* ---- entries whose bytes follow from index and term ----------------------------------------------------------------- */

static uint32_t
cmd_len(uint64_t index, uint64_t term)
{
    uint64_t h = index * 31 + term * 7;

    return h % 23 == 0 ? 6000 : h % 7 == 0 ? 700 : 1 + (uint32_t)(h % 60);
}

static struct raft_entry
cmd_make(uint64_t index, uint64_t term)
{
    struct raft_entry e = {.term = term, .type = RAFT_COMMAND};
    uint8_t *buf;

    e.buf.len = cmd_len(index, term);
    buf = calloc(1, e.buf.len);
    for (size_t i = 0; i < e.buf.len; i++) {
        buf[i] = (uint8_t)(index * 3 + term * 5 + i);
    }
    e.buf.base = buf;
    return e;
}

/* Made before the call and freed after it, or, when the power goes in between, at the end. */
static struct raft_entry made[600];
static uint32_t made_nr;

static void
made_free(void)
{
    for (uint32_t i = 0; i < made_nr; i++) {
        free(made[i].buf.base);
    }
    made_nr = 0;
}

static int
append(struct env *env, uint32_t nr)
{
    struct raft_span spans[2];
    uint64_t index = env->store.last + 1;
    uint32_t half = nr / 2;
    int rc;

    made_free();
    for (uint32_t i = 0; i < nr; i++) {
        made[made_nr++] = cmd_make(index + i, env->store.term);
    }
    spans[0] = (struct raft_span){index, made, half};
    spans[1] = (struct raft_span){index + half, made + half, nr - half};
    rc = half > 0 ? raft_store_append(&env->store, spans, 2)
                  : raft_store_append(&env->store, &spans[1], 1);
    made_free();
    return rc;
}

/* ---- against the model ---------------------------------------------------------------------------------------------- */

static bool
is_model(struct env *env, const struct model *m)
{
    const struct raft_store *s = &env->store;

    return s->term == m->term && s->vote == m->vote && s->first == m->first && s->last == m->last &&
        s->snap.index == m->snap && s->snap.term == m->snap_term;
}

static bool
expect_model(struct env *env, const struct model *m)
{
    const struct raft_store *s = &env->store;

    return EXPECT_EQ(s->term, m->term) && EXPECT_EQ(s->vote, m->vote) &&
        EXPECT_EQ(s->first, m->first) && EXPECT_EQ(s->last, m->last) &&
        EXPECT_EQ(s->snap.index, m->snap) && EXPECT_EQ(s->snap.term, m->snap_term);
}

static void
entries_compare(struct env *env)
{
    struct raft_entry *entries;
    size_t nr;

    if (!EXPECT_OK(raft_store_entries(&env->store, &entries, &nr)))
        return;
    EXPECT_EQ(nr, env->now.last + 1 - env->now.first);
    for (size_t i = 0; i < nr; i++) {
        uint64_t index = env->now.first + i;

        EXPECT_EQ(entries[i].term, env->now.terms[index]);
        if (entries[i].type == RAFT_COMMAND) {
            struct raft_entry want = cmd_make(index, entries[i].term);

            if (EXPECT_EQ(entries[i].buf.len, want.buf.len))
                EXPECT_MEM_EQ(entries[i].buf.base, want.buf.base, want.buf.len);
            free(want.buf.base);
        }
        raft_free(entries[i].buf.base);
    }
    raft_free(entries);
}

static struct raft_store_snap
snap_at(const struct model *m, uint64_t index, uint64_t term)
{
    (void)m;
    return (struct raft_store_snap){.index = index, .term = term, .conf_index = 1, .conf = conf3};
}

/* One change that is one transaction. */
static int
change_random(struct env *env)
{
    struct model *next = &env->next;
    struct raft_store_snap snap;
    uint64_t n = rng_below(&env->rng, 100), at;
    int rc;

    *next = env->now;
    if (n < 10 || env->now.term == 0) {
        next->term += next->term < 250;
        if (next->term == env->now.term)
            return 0;
        next->vote = 0;
        return raft_store_term_set(&env->store, next->term);
    }
    if (n < 20) {
        next->vote = next->vote != 0 ? next->vote : 1 + rng_below(&env->rng, 3);
        return raft_store_vote_set(&env->store, next->vote);
    }
    if (n < 30 && next->last > next->snap) {
        at = rng_range(&env->rng, next->snap + 1, next->last);
        next->last = at - 1;
        return raft_store_truncate(&env->store, at);
    }
    if (n < 37 && next->last > next->snap) {
        at = rng_range(&env->rng, next->snap + 1, next->last);
        next->snap = at;
        next->snap_term = next->terms[at];
        n = rng_below(&env->rng, 6); /* kept */
        next->first = MAX(next->first, at + 1 - MIN(at, n));
        snap = snap_at(next, at, next->snap_term);
        return raft_store_compact(&env->store, &snap, next->first);
    }
    if (n < 40 && next->last + 20 < MODEL_NR) {
        next->snap = next->last + 1 + rng_below(&env->rng, 5);
        next->snap_term = next->term;
        next->terms[next->snap] = (uint8_t)next->term;
        next->first = next->snap + 1;
        next->last = next->snap;
        snap = snap_at(next, next->snap, next->term);
        rc = raft_store_install_begin(&env->store, &snap);
        if (rc == 0)
            env->applied = snap.index; /* the state machine's own change */
        return rc == 0 ? raft_store_install_end(&env->store) : rc;
    }
    n = 1 + rng_below(&env->rng, 12);
    for (uint64_t i = 1; i <= n; i++) {
        next->terms[next->last + i] = (uint8_t)next->term;
    }
    next->last += n;
    return append(env, (uint32_t)n);
}

static void
body_random(struct env *env)
{
    /* What was at work when the power went is there, or is not. */
    if (!is_model(env, &env->now)) {
        if (!expect_model(env, &env->next))
            return;
        env->now = env->next;
    }
    entries_compare(env);
    for (uint32_t i = 0; i < 300 && env->now.last + 40 < MODEL_NR; i++) {
        if (!EXPECT_OK(change_random(env)))
            return;
        env->now = env->next;
        if (!expect_model(env, &env->now))
            return;
    }
    entries_compare(env);
}

TEST_ON(raft_store, random_changes_and_power_loss, BACKEND_SIM)
{
    struct env env;
    uint32_t deaths = 0;

    env_init(&env);
    env.next = env.now;
    for (uint32_t i = 0; i < 12 && !test_failed(); i++) {
        sim_host_power_loss_at(env.sim, "host", i == 0 ? 0 : 60 + rng_below(&env.rng, 500));
        live(&env, body_random);
        deaths += env.is_dead && !env.is_done;
        sim_host_power_loss_at(env.sim, "host", 0);
        if (env.now.last + 60 >= MODEL_NR)
            break;
    }
    EXPECT_GE(deaths, 3);
    made_free();
    sim_destroy(env.sim);
}

/* ---- scripts -------------------------------------------------------------------------------------------------------- */

static void
body_bootstrap(struct env *env)
{
    struct raft_entry *entries;
    struct raft_conf conf;
    size_t nr;

    if (env->store.term == 0) {
        EXPECT_EQ(env->store.last, 0);
        EXPECT_OK(raft_store_entries(&env->store, &entries, &nr));
        EXPECT_EQ(nr, 0);
        EXPECT_OK(raft_store_bootstrap(&env->store, &conf3));
    }
    EXPECT_ERR(raft_store_bootstrap(&env->store, &conf3), EXIST);
    EXPECT_EQ(env->store.term, 1);
    EXPECT_EQ(env->store.vote, 0);
    if (!EXPECT_OK(raft_store_entries(&env->store, &entries, &nr)) || !EXPECT_EQ(nr, 1))
        return;
    EXPECT_EQ(entries[0].type, RAFT_CHANGE);
    EXPECT_OK(raft_conf_parse(entries[0].buf.base, entries[0].buf.len, &conf));
    EXPECT_MEM_EQ(&conf, &conf3, sizeof(conf));
    raft_free(entries[0].buf.base);
    raft_free(entries);
}

TEST_ON(raft_store, bootstrap, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    live(&env, body_bootstrap);
    live(&env, body_bootstrap);
    sim_destroy(env.sim);
}

static void
body_vote(struct env *env)
{
    if (env->store.term == 0) {
        EXPECT_ERR(raft_store_vote_set(&env->store, 2), INVAL); /* of no term */
        EXPECT_OK(raft_store_term_set(&env->store, 4));
        EXPECT_OK(raft_store_vote_set(&env->store, 2));
    }
    EXPECT_EQ(env->store.term, 4);
    EXPECT_EQ(env->store.vote, 2);
    EXPECT_OK(raft_store_vote_set(&env->store, 2));
    EXPECT_ERR(raft_store_vote_set(&env->store, 3), INVAL);
    EXPECT_ERR(raft_store_term_set(&env->store, 4), INVAL);
    EXPECT_ERR(raft_store_term_set(&env->store, 3), INVAL);
}

TEST_ON(raft_store, one_vote_a_term, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    live(&env, body_vote);
    live(&env, body_vote);
    sim_destroy(env.sim);
}

/* Ranges that take several transactions. */
static void
body_steps(struct env *env)
{
    struct raft_store_snap snap = snap_at(NULL, 900, 1);

    EXPECT_OK(raft_store_term_set(&env->store, 1));
    EXPECT_OK(append(env, 600));
    EXPECT_OK(append(env, 600));
    EXPECT_OK(append(env, 1));
    EXPECT_EQ(env->store.last, 1201);
    EXPECT_OK(raft_store_compact(&env->store, &snap, 700));
    EXPECT_EQ(env->store.first, 700);
    EXPECT_ERR(raft_store_truncate(&env->store, 900), INVAL); /* it is in the snapshot */
    EXPECT_OK(raft_store_truncate(&env->store, 901));
    EXPECT_EQ(env->store.last, 900);
    EXPECT_OK(append(env, 600));
    snap.index = 1500;
    EXPECT_ERR(raft_store_compact(&env->store, &snap, 1502), INVAL);
    snap.index = 2000;
    EXPECT_ERR(raft_store_compact(&env->store, &snap, 1000), INVAL); /* beyond the log */
    EXPECT_OK(raft_store_install_begin(&env->store, &snap));
    EXPECT_OK(raft_store_install_end(&env->store));
    EXPECT_EQ(env->store.first, 2001);
    EXPECT_EQ(env->store.last, 2000);
    EXPECT_OK(append(env, 3));
    EXPECT_OK(vos_tgt_check(env->vos));
}

/* Nothing of what was removed is left behind. */
static void
body_steps_left(struct env *env)
{
    struct vos_cont_info info;

    EXPECT_EQ(env->store.first, 2001);
    EXPECT_EQ(env->store.last, 2003);
    EXPECT_OK(vos_tgt_collect(env->vos));
    if (EXPECT_OK(vos_cont_query(env->cont, &info)))
        EXPECT_LE(info.meta_used, 65536); /* 1800 entries would take more */
    EXPECT_OK(vos_tgt_check(env->vos));
}

TEST_ON(raft_store, long_ranges_go_in_steps, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    live(&env, body_steps);
    env.applied = 2000;
    live(&env, body_steps_left);
    made_free();
    sim_destroy(env.sim);
}

static void
body_pending(struct env *env)
{
    struct raft_store_snap snap = snap_at(NULL, 20, 1);

    if (env->store.term == 0) {
        EXPECT_OK(raft_store_term_set(&env->store, 1));
        EXPECT_OK(append(env, 10));
    }
    EXPECT_EQ(env->store.last, 10);
    EXPECT_EQ(env->store.pending.index, 0);
    EXPECT_OK(raft_store_install_begin(&env->store, &snap));
}

static void
body_pending_taken(struct env *env)
{
    EXPECT_EQ(env->store.snap.index, 20);
    EXPECT_EQ(env->store.first, 21);
    EXPECT_EQ(env->store.last, 20);
    EXPECT_MEM_EQ(&env->store.snap.conf, &conf3, sizeof(conf3));
}

/* A process ends between the announcement of a snapshot and the end. */
TEST_ON(raft_store, interrupted_installation, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    live(&env, body_pending);
    env.applied = 10; /* the state machine did not take it: everything as before */
    live(&env, body_pending);
    env.applied = 20; /* it did */
    live(&env, body_pending_taken);
    made_free();
    sim_destroy(env.sim);
}

static void
body_full(struct env *env)
{
    uint64_t last;
    int rc = 0;

    EXPECT_OK(raft_store_term_set(&env->store, 1));
    while (rc == 0) {
        rc = raft_store_room(&env->store, 6000);
        if (rc == 0)
            EXPECT_OK(append(env, 1));
    }
    EXPECT_ERR(rc, NOSPACE);
    last = env->store.last;
    EXPECT_GT(last, 100);
    while (rc != -DER_NOSPACE || env->store.last == last) { /* who does not ask gets there, too */
        rc = append(env, 1);
        if (rc != 0 && !EXPECT_ERR(rc, NOSPACE))
            return;
        if (rc != 0)
            break;
    }
    env->now.term = env->store.term;
    env->now.last = env->store.last;
    env->now.first = 1;
    memset(env->now.terms, 1, sizeof(env->now.terms));
    EXPECT(is_model(env, &env->now));
    entries_compare(env);
    /* A way out is left. */
    EXPECT_OK(raft_store_term_set(&env->store, 2));
    EXPECT_OK(raft_store_truncate(&env->store, last / 2));
    EXPECT_OK(vos_tgt_collect(env->vos));
    EXPECT_OK(raft_store_room(&env->store, 6000));
    EXPECT_OK(append(env, 1));
}

TEST_ON(raft_store, full_store, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    env.meta_quota = 512 << 10;
    env.data_quota = 256 << 10;
    live(&env, body_full);
    made_free();
    sim_destroy(env.sim);
}

static void
body_errors(struct env *env)
{
    uint32_t i = 0;
    int rc = 0;

    EXPECT_OK(raft_store_term_set(&env->store, 1));
    EXPECT_OK(append(env, 20));
    env->now.term = 1;
    env->now.first = 1;
    memset(env->now.terms, 1, sizeof(env->now.terms));
    env->now.last = 20;
    sim_disk_errors_set(env->sim, "host", "/sys", 1000000);
    while (rc == 0 && i++ < 10) {
        rc = append(env, 1);
    }
    EXPECT_ERR(rc, NVME_IO);
    EXPECT_ERR(raft_store_vote_set(&env->store, 1), NVME_IO);
    EXPECT_EQ(env->store.vote, 0); /* it is not known to be durable */
    EXPECT_ERR(raft_store_truncate(&env->store, 5), NVME_IO);
    sim_disk_errors_set(env->sim, "host", "/sys", 0);
}

static void
body_errors_after(struct env *env)
{
    EXPECT_GE(env->store.last, 20);
    EXPECT_LE(env->store.last, 21);
    env->now.last = env->store.last;
    entries_compare(env);
}

TEST_ON(raft_store, failing_disk, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    live(&env, body_errors);
    live(&env, body_errors_after);
    made_free();
    sim_destroy(env.sim);
}

/* Change a value of the log's object behind its back. */
static void
poke(struct env *env, const char *dkey, uint64_t akey, const void *buf, size_t len)
{
    uint8_t key[8];
    struct vos_iod iod = {
        .akey = {key, 8}, .type = VOS_IOD_SINGLE, .size = len, .data = {(void *)(uintptr_t)buf, len}};
    struct vos_mod mod = {.op = VOS_MOD_UPDATE,
        .oid = {.oid = {.lo = 2, .hi = UINT64_C(3) << 56}},
        .dkey = {(void *)(uintptr_t)dkey, strlen(dkey)},
        .iod_nr = 1,
        .iods = &iod};
    struct vos_apply_args args = {.mods = &mod, .mod_nr = 1, .flags = VOS_APPLY_NO_HISTORY};

    le64_put(key, akey);
    EXPECT_OK(vos_apply(env->cont, &args, NULL));
}

static int
reopened(struct env *env)
{
    struct raft_entry *entries;
    size_t nr;
    int rc;

    raft_store_close(&env->store);
    env->store_is_open = false;
    rc = raft_store_open(&env->store, env->cont, 0);
    env->store_is_open = rc == 0;
    if (rc == 0)
        rc = raft_store_entries(&env->store, &entries, &nr);
    for (size_t i = 0; rc == 0 && i < nr; i++) {
        raft_free(entries[i].buf.base);
    }
    if (rc == 0)
        raft_free(entries);
    if (!env->store_is_open)
        ult_mutex_init(&env->store.lock);
    return rc;
}

static void
body_foreign(struct env *env)
{
    uint8_t range[24] = {1}, entry[20] = {1}, good[24] = {1};

    EXPECT_OK(raft_store_term_set(&env->store, 3));
    EXPECT_OK(append(env, 3));
    le64_put(good + 8, 1);
    le64_put(good + 16, 3);
    EXPECT_OK(reopened(env));
    le64_put(range + 8, 1);
    le64_put(range + 16, 4); /* an entry that is not there */
    poke(env, "meta", 1, range, 24);
    EXPECT_ERR(reopened(env), DF_INVAL);
    le64_put(range + 8, 2); /* nothing says what was before */
    poke(env, "meta", 1, range, 24);
    EXPECT_ERR(reopened(env), DF_INVAL);
    poke(env, "meta", 1, range, 23);
    EXPECT_ERR(reopened(env), DF_INVAL);
    range[0] = 2;
    poke(env, "meta", 1, range, 24);
    EXPECT_ERR(reopened(env), DF_INCOMPT);
    poke(env, "meta", 1, good, 24);
    EXPECT_OK(reopened(env));
    le64_put(entry, 4); /* a term that is not yet */
    le16_put(entry + 8, RAFT_COMMAND);
    poke(env, "log", 3, entry, 20);
    EXPECT_ERR(reopened(env), DF_INVAL);
    le64_put(entry, 2); /* below that of the entry before */
    poke(env, "log", 3, entry, 20);
    EXPECT_ERR(reopened(env), DF_INVAL);
    le64_put(entry, 3);
    le16_put(entry + 8, 9);
    poke(env, "log", 3, entry, 20);
    EXPECT_ERR(reopened(env), DF_INVAL);
    le16_put(entry + 8, RAFT_CHANGE); /* not a configuration */
    poke(env, "log", 3, entry, 20);
    EXPECT_ERR(reopened(env), DF_INVAL);
    poke(env, "log", 3, entry, 7);
    EXPECT_ERR(reopened(env), DF_INVAL);
    le16_put(entry + 8, RAFT_COMMAND);
    poke(env, "log", 3, entry, 20);
    EXPECT_OK(reopened(env));
}

TEST_ON(raft_store, foreign_bytes, BACKEND_SIM)
{
    struct env env;

    env_init(&env);
    live(&env, body_foreign);
    made_free();
    sim_destroy(env.sim);
}
