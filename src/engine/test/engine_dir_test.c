/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The directory of an engine: one owner, one identity, growing incarnations; every refusal is one
 * line that says what is wrong and what to do, and changes
 * nothing.
 */
#include <stdio.h>

#include "base/codec.h"
#include "base/crc.h"
#include "base/hash.h"
#include "engine/engine.h"
#include "harness/harness.h"
#include "plat/plat_linux.h"
#include "plat/plat_sim.h"
#include "proto/proto_ident.h"

struct env {
    struct sim *sim;
    struct plat *plat;
    char dir[128];
    struct engine *victim; /* dies with its node */
};

static bool
env_init(struct env *env)
{
    struct sim_opts opts = {.seed = test_seed()};

    memset(env, 0, sizeof(*env));
    if (test_backend() == BACKEND_LINUX) {
        snprintf(env->dir, sizeof(env->dir), "%s/store", test_tmpdir());
        return EXPECT_OK(plat_linux_create(&env->plat));
    }
    snprintf(env->dir, sizeof(env->dir), "/store");
    return EXPECT_OK(sim_create(&opts, &env->sim)) &&
        EXPECT_OK(sim_node_start(env->sim, "host", "e", &env->plat));
}

static void
env_fini(struct env *env)
{
    if (env->sim == NULL)
        plat_linux_destroy(env->plat);
    sim_destroy(env->sim);
}

static void
cfg_of(const struct env *env, struct engine_cfg *cfg)
{
    engine_cfg_init(cfg);
    snprintf(cfg->system, sizeof(cfg->system), "one");
    snprintf(cfg->dir, sizeof(cfg->dir), "%s", env->dir);
    snprintf(cfg->uri_base, sizeof(cfg->uri_base), env->sim != NULL ? "sim://e" : "inproc://dirtest");
    cfg->tgt_nr = 1;
    cfg->is_alone = 1;
    cfg->wal_bytes = cfg->sys_wal_bytes = 16 << 20;
    cfg->meta_bytes = cfg->data_bytes = cfg->sys_meta_bytes = cfg->sys_data_bytes = 64 << 20;
}

static bool
state_is_settled(void *arg)
{
    enum engine_state state = engine_state_get(arg, NULL, NULL);

    return state != ENGINE_STARTING && state != ENGINE_STOPPING;
}

static bool
state_is_stopped(void *arg)
{
    return engine_state_get(arg, NULL, NULL) == ENGINE_STOPPED;
}

/* Start to READY or FAILED; its code. */
static int
life_begin(struct env *env, const struct engine_cfg *cfg, char *err, struct engine **ret_engine)
{
    int rc;

    rc = engine_start(env->plat, cfg, err, ret_engine);
    if (rc != 0)
        return rc;
    if (env->sim == NULL) {
        rc = engine_wait_ready(*ret_engine);
    } else {
        EXPECT_OK(sim_run_until(env->sim, state_is_settled, *ret_engine, UINT64_C(60000000000)));
    }
    (void)engine_state_get(*ret_engine, err, &rc);
    return rc;
}

static void
life_end(struct env *env, struct engine *engine)
{
    if (env->sim == NULL) {
        engine_stop(engine);
        return;
    }
    engine_stop_begin(engine);
    EXPECT_OK(sim_run_until(env->sim, state_is_stopped, engine, UINT64_C(60000000000)));
    engine_destroy(engine);
}

TEST_ON(engine_dir, identity, BACKEND_LINUX | BACKEND_SIM)
{
    char err[ENGINE_TEXT_BYTES], path[200];
    struct engine *engine = NULL, *second = NULL;
    struct engine_cfg cfg;
    uint64_t first, len_before;
    struct uuid system;
    uint8_t id[128];
    size_t len;
    struct env env;

    if (!env_init(&env))
        return;
    cfg_of(&env, &cfg);
    if (!EXPECT_OK(life_begin(&env, &cfg, err, &engine)))
        return;
    first = engine_incarnation(engine);
    system = engine_system_uuid(engine);

    /* A second owner, in this process or another. */
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), BUSY);
    EXPECT(strstr(err, env.dir) != NULL);
    EXPECT(strstr(err, "in use by process") != NULL);
    if (env.sim == NULL) {
        char pid[16];

        snprintf(pid, sizeof(pid), "%u", env.plat->ops->pid(env.plat));
        EXPECT(strstr(err, pid) != NULL);
    }
    life_end(&env, engine);

    snprintf(path, sizeof(path), "%s/identity", env.dir);
    EXPECT_OK(env.plat->ops->file_read(env.plat, path, id, sizeof(id), &len));
    EXPECT_EQ(len, PROTO_IDENT_BYTES);
    len_before = len;
    EXPECT_EQ(le32_get(id + 12), 0);
    EXPECT_EQ(le32_get(id + 16), 1);
    EXPECT_EQ(le64_get(id + 24), first);
    EXPECT(!cuuid_is_nil(&system));
    EXPECT_MEM_EQ(id + 32, system.b, 16);
    EXPECT_MEM_EQ(id + 48, "one", 4);

    /* Another system, rank, number of targets. */
    snprintf(cfg.system, sizeof(cfg.system), "two");
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), MISMATCH);
    EXPECT(strstr(err, "another system 'one'") != NULL);
    cfg_of(&env, &cfg);
    cfg.system_uuid = system;
    cfg.system_uuid.b[15] ^= 1;
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), MISMATCH);
    EXPECT(strstr(err, "another system of the name 'one'") != NULL);
    cfg_of(&env, &cfg);
    cfg.rank = 4;
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), MISMATCH);
    EXPECT(strstr(err, "rank 0, not 4") != NULL);
    cfg_of(&env, &cfg);
    cfg.tgt_nr = 2;
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), MISMATCH);
    EXPECT(strstr(err, "1 targets, not 2") != NULL);
    {
        uint8_t now[128];

        EXPECT_OK(env.plat->ops->file_read(env.plat, path, now, sizeof(now), &len));
        EXPECT_EQ(len, len_before);
        EXPECT_MEM_EQ(now, id, PROTO_IDENT_BYTES); /* ENG-2: nothing was changed */
    }

    /* The same again is a new incarnation, above the last whatever the clock says (ENG-3). */
    cfg_of(&env, &cfg);
    cfg.incarnation = 5;
    if (EXPECT_OK(life_begin(&env, &cfg, err, &engine))) {
        struct uuid again = engine_system_uuid(engine);

        EXPECT_EQ(engine_incarnation(engine), first + 1);
        EXPECT_EQ(cuuid_cmp(&again, &system), 0);
        life_end(&env, engine);
    }

    /* Any flipped bit; a file cut short; a later format. */
    cfg_of(&env, &cfg);
    for (int bit = 0; bit < PROTO_IDENT_BYTES * 8; bit += 7) {
        id[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_OK(env.plat->ops->file_write(env.plat, path, id, PROTO_IDENT_BYTES));
        EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), DF_INVAL);
        id[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    EXPECT(strstr(err, "identity") != NULL);
    EXPECT_OK(env.plat->ops->file_write(env.plat, path, id, PROTO_IDENT_BYTES - 1));
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), DF_INVAL);
    le32_put(id + 8, 3);
    le32_put(id + 92, crc32c(0, id, 92));
    EXPECT_OK(env.plat->ops->file_write(env.plat, path, id, PROTO_IDENT_BYTES));
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), DF_INCOMPT);
    /* Lost, beside stores: not the beginning of another system. */
    EXPECT_OK(env.plat->ops->file_remove(env.plat, path));
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &second), DF_INVAL);
    EXPECT(strstr(err, "identity is missing") != NULL);
    EXPECT_ERR(env.plat->ops->file_read(env.plat, path, id, sizeof(id), &len), NONEXIST);
    env_fini(&env);
}

/* New directories: two installations of one name differ; one that is told a system joins it. */
TEST_ON(engine_dir, installations, BACKEND_LINUX | BACKEND_SIM)
{
    char err[ENGINE_TEXT_BYTES], path[300];
    struct engine *engine = NULL;
    struct uuid systems[2], joined;
    uint8_t id[PROTO_IDENT_BYTES];
    struct proto_ident v1 = {.tgt_nr = 1, .incarnation = 77};
    struct engine_cfg cfg;
    struct env env;

    if (!env_init(&env))
        return;
    for (int i = 0; i < 2; i++) {
        cfg_of(&env, &cfg);
        snprintf(cfg.dir, sizeof(cfg.dir), "%.100s.%d", env.dir, i);
        if (!EXPECT_OK(life_begin(&env, &cfg, err, &engine)))
            return;
        systems[i] = engine_system_uuid(engine);
        life_end(&env, engine);
    }
    EXPECT(cuuid_cmp(&systems[0], &systems[1]) != 0);
    snprintf(cfg.dir, sizeof(cfg.dir), "%.100s.2", env.dir);
    cfg.system_uuid = systems[0];
    if (EXPECT_OK(life_begin(&env, &cfg, err, &engine))) {
        joined = engine_system_uuid(engine);
        EXPECT_EQ(cuuid_cmp(&joined, &systems[0]), 0);
        life_end(&env, engine);
    }
    cfg.system_uuid = systems[1];
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &engine), MISMATCH);

    /* A directory of format version 1, whose system has the uuid derived from its name, keeps it. */
    cfg_of(&env, &cfg);
    snprintf(cfg.dir, sizeof(cfg.dir), "%.100s.3", env.dir);
    v1.system = cuuid_derive(&(struct uuid){{0}}, hash_str64("one"));
    proto_ident_encode(&v1, id);
    le32_put(id + 8, 1);
    le32_put(id + 60, crc32c(0, id, 60));
    snprintf(path, sizeof(path), "%s/identity", cfg.dir);
    EXPECT_OK(env.plat->ops->dir_create(env.plat, cfg.dir));
    EXPECT_OK(env.plat->ops->file_write(env.plat, path, id, 64));
    snprintf(cfg.system, sizeof(cfg.system), "two");
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &engine), MISMATCH);
    snprintf(cfg.system, sizeof(cfg.system), "one");
    for (int life = 0; life < 2; life++) { /* the second one from version 2 */
        if (!EXPECT_OK(life_begin(&env, &cfg, err, &engine)))
            break;
        joined = engine_system_uuid(engine);
        EXPECT_EQ(cuuid_cmp(&joined, &v1.system), 0);
        EXPECT(engine_incarnation(engine) > 77);
        life_end(&env, engine);
    }
    env_fini(&env);
}

static void
engine_reap(void *arg)
{
    struct engine **engine = arg;

    engine_abandon(*engine);
    *engine = NULL;
}

static bool
is_over(void *arg)
{
    struct engine **engine = arg;

    return *engine == NULL || state_is_settled(*engine);
}

/* The first life of a directory, with the power cut at a write. False: it got through before that. */
static bool
first_life(struct env *env, const struct engine_cfg *cfg, uint64_t cut)
{
    char err[ENGINE_TEXT_BYTES];
    int rc;

    sim_node_on_kill(env->plat, engine_reap, &env->victim);
    sim_host_power_loss_at(env->sim, "host", cut);
    rc = engine_start(env->plat, cfg, err, &env->victim);
    if (rc == 0)
        EXPECT_OK(sim_run_until(env->sim, is_over, &env->victim, UINT64_C(60000000000)));
    sim_host_power_loss_at(env->sim, "host", 0);
    sim_run_for(env->sim, 1000000); /* what was cut dies after its event */
    if (sim_host_lost_power(env->sim, "host"))
        return true;
    EXPECT_OK(rc);
    life_end(env, env->victim);
    env->victim = NULL;
    return false;
}

/* Power that fails anywhere in the first start: the next one gets ready, as the system that the directory belonged to from the first write on. */
TEST_ON(engine_dir, cut_first_start, BACKEND_SIM)
{
    uint32_t cut_nr = 0;

    for (uint64_t cut = 1;; cut += cut < 30 ? 1 : 5) {
        char err[ENGINE_TEXT_BYTES] = "";
        struct engine *engine = NULL;
        uint8_t buf[PROTO_IDENT_BYTES_MAX];
        struct proto_ident id;
        struct engine_cfg cfg;
        struct uuid system;
        size_t len = 0;
        struct env env;
        bool was_cut;

        if (!env_init(&env))
            return;
        cfg_of(&env, &cfg);
        was_cut = first_life(&env, &cfg, cut);
        if (was_cut) {
            EXPECT_OK(sim_node_start(env.sim, "host", "e", &env.plat));
            EXPECT_OK(env.plat->ops->file_read(env.plat, "/store/identity", buf, sizeof(buf), &len));
            EXPECT_OK(proto_ident_decode(buf, len, &id)); /* before everything else */
            if (EXPECT_OK(life_begin(&env, &cfg, err, &engine))) {
                system = engine_system_uuid(engine);
                EXPECT_EQ(cuuid_cmp(&system, &id.system), 0);
                cut_nr++;
                life_end(&env, engine);
            }
        }
        env_fini(&env);
        if (!was_cut)
            break;
    }
    EXPECT(cut_nr > 30);
}

TEST_ON(engine_dir, wrong_configuration, BACKEND_LINUX | BACKEND_SIM)
{
    char err[ENGINE_TEXT_BYTES] = "";
    struct engine *engine = NULL;
    struct engine_cfg cfg;
    struct env env;

    if (!env_init(&env))
        return;
    cfg_of(&env, &cfg);
    cfg.struct_bytes--;
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &engine), MISMATCH);
    EXPECT(err[0] != '\0');
    cfg_of(&env, &cfg);
    cfg.tgt_nr = 0;
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &engine), INVAL);
    cfg_of(&env, &cfg);
    cfg.system[0] = '\0';
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &engine), INVAL);
    cfg_of(&env, &cfg);
    cfg.dir[0] = 'x';
    EXPECT_ERR(engine_start(env.plat, &cfg, err, &engine), INVAL);
    cfg_of(&env, &cfg);
    snprintf(cfg.uri_base, sizeof(cfg.uri_base), "carrier-pigeon://x");
    EXPECT_ERR(life_begin(&env, &cfg, err, &engine), INVAL);
    EXPECT(strstr(err, "carrier-pigeon") != NULL);
    life_end(&env, engine); /* a start that failed ends like any other */
    env_fini(&env);
}

/* An address that somebody has. */
TEST_LINUX(engine_dir, address_in_use, "addresses of processes are Linux's")
{
    char err[ENGINE_TEXT_BYTES] = "";
    struct engine *a = NULL, *b = NULL;
    struct engine_cfg cfg;
    struct env env;

    if (!env_init(&env))
        return;
    cfg_of(&env, &cfg);
    snprintf(cfg.uri_base, sizeof(cfg.uri_base), "unix://%.60s", test_tmpdir());
    EXPECT_OK(life_begin(&env, &cfg, err, &a));
    snprintf(cfg.dir, sizeof(cfg.dir), "%.100s2", env.dir);
    EXPECT_ERR(life_begin(&env, &cfg, err, &b), BUSY);
    EXPECT(strstr(err, "is in use") != NULL);
    EXPECT(strstr(err, "unix://") != NULL);
    life_end(&env, b);
    life_end(&env, a);
    env_fini(&env);
}
