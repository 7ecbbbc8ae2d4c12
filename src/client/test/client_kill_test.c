/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The public API while engines are killed and come back (simulator): writers insert and remove; after a restart the attach file names the new incarnation.
 * What killed engines had is given back by their reapers: this program looks for leaks like all others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/core/client_tools.h"
#include "client/test/client_app.h"
#include "daos.h"

enum { WRITERS_NR = 16, WRITES_NR = 40 };

struct writer {
    struct app *app;
    struct ult *ult;
    daos_handle_t oh;
    uint32_t idx, done_nr;
    int bad_rc;
};

/* Inserts and removes: a resend that took effect twice, or was forgotten, would give EXIST or NONEXIST (MS-2). */
static void
writer_ult(void *arg)
{
    struct writer *w = arg;
    char key[32], *value = calloc(1, 40000);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < WRITES_NR; i++) {
        snprintf(key, sizeof(key), "w%u.%u", w->idx, i);
        snprintf(value, 40000, "%s", key);
        rc = daos_kv_put(w->oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, key,
            i % 4 == 0 ? 40000 : 50 + i, value, NULL);
        if (rc == 0 && i % 3 == 2) {
            rc = daos_kv_remove(w->oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, key, NULL);
        }
        w->done_nr = i + 1;
    }
    w->bad_rc = rc;
    free(value);
}

static void
kill_body(struct rig *rig)
{
    static struct writer writers[WRITERS_NR];
    daos_obj_id_t oid = {.lo = 1};
    uint64_t rand = test_seed();
    char key[32], *back = calloc(1, 40000);
    daos_handle_t oh;
    struct app app;

    if (!app_init(&app, rig))
        goto out;
    EXPECT_OK(daos_obj_generate_oid(app.coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_kv_open(app.coh, oid, DAOS_OO_RW, &oh, NULL));
    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        writers[i] = (struct writer){.app = &app, .oh = oh, .idx = i};
        EXPECT_OK(ult_create(rig->xs, ULT_IO, writer_ult, &writers[i], &writers[i].ult));
    }
    for (uint32_t kill = 0; kill < 3; kill++) {
        ult_sleep(1000000 + test_rand(&rand) % 20000000);
        rig_engine_kill(rig, kill % 2);
        ult_sleep(test_rand(&rand) % 300000000);
        EXPECT_OK(rig_engine_start(rig, kill % 2));
        EXPECT_OK(rig_group_push(rig));
        app_attach_write(rig);
    }
    for (uint32_t i = 0; i < WRITERS_NR; i++) {
        ult_join(writers[i].ult);
        EXPECT_OK(writers[i].bad_rc);
        EXPECT_EQ(writers[i].done_nr, WRITES_NR);
    }
    EXPECT_GT(client_retried_nr(), 0);
    for (uint32_t w = 0; w < WRITERS_NR; w++) {
        for (uint32_t i = 0; i < WRITES_NR; i++) {
            daos_size_t size = 40000;

            snprintf(key, sizeof(key), "w%u.%u", w, i);
            EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, key, &size, back, NULL));
            if (i % 3 == 2) {
                EXPECT_EQ(size, 0);
            } else {
                EXPECT_EQ(size, i % 4 == 0 ? 40000 : 50 + i);
                EXPECT_STR_EQ(back, key);
            }
        }
    }
    EXPECT_OK(daos_kv_close(oh, NULL));
    app_fini(&app);
out:
    free(back);
}

TEST_ON(client_kill, every_write_survives_kills_once, BACKEND_SIM)
{
    rig_run(2, kill_body);
}

/* ---- an engine that does not come back ------------------------------------------------------------------------------------ */

static void
dead_body(struct rig *rig)
{
    daos_obj_id_t oid = {.lo = 1};
    uint64_t start_ns;
    uint32_t late_nr = 0;
    daos_handle_t oh;
    struct app app;
    char key[16];

    if (!app_init(&app, rig))
        return;
    EXPECT_OK(daos_obj_generate_oid(app.coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_kv_open(app.coh, oid, DAOS_OO_RW, &oh, NULL));
    for (int i = 0; i < 16;
         i++) { /* every target has asked the service about the handle, which may be about to die */
        snprintf(key, sizeof(key), "%d", i);
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, key, 1, "v", NULL));
    }
    app.client->call_ns = 1000000000;
    rig_engine_kill(rig, 1);
    app_attach_write(rig); /* the file does not name it any more */
    for (int i = 0; i < 16; i++) {
        int rc;

        snprintf(key, sizeof(key), "%d", i);
        start_ns = ult_now_ns();
        rc = daos_kv_put(oh, DAOS_TX_NONE, 0, key, 1, "v", NULL);
        EXPECT_LT(ult_now_ns() - start_ns, 2000000000);
        EXPECT(rc == 0 || rc == -DER_TIMEDOUT); /* on the one that lives, or not */
        late_nr += rc != 0;
    }
    EXPECT_GT(late_nr, 0);
    EXPECT_LT(late_nr, 16);
    app.client->call_ns = CLIENT_CALL_NS;
    EXPECT_OK(rig_engine_start(rig, 1));
    EXPECT_OK(rig_group_push(rig));
    app_attach_write(rig);
    for (int i = 0; i < 16; i++) {
        snprintf(key, sizeof(key), "%d", i);
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, key, 1, "v", NULL));
    }
    EXPECT_OK(daos_kv_close(oh, NULL));
    app_fini(&app);
}

TEST_ON(client_kill, a_dead_engine_costs_the_time_limit, BACKEND_SIM)
{
    rig_run(2, dead_body);
}

/* ---- storage that is damaged ---------------------------------------------------------------------------------------------- */

/* Goal: what a damaged store costs an application is an error code, at once, and only for what lies there. */
static void
fault_body(struct rig *rig)
{
    daos_obj_id_t oid = {.lo = 1};
    uint32_t bad_nr = 0, nr = 0;
    daos_key_desc_t kds[64];
    daos_anchor_t anchor = {0};
    daos_handle_t oh, poh;
    char key[16], back[16], keys[1024];
    d_iov_t iov = {.iov_buf = keys, .iov_buf_len = sizeof(keys), .iov_len = sizeof(keys)};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    uint64_t start_ns, resent_nr;
    struct app app;

    if (!app_init(&app, rig))
        return;
    EXPECT_OK(daos_obj_generate_oid(app.coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_kv_open(app.coh, oid, DAOS_OO_RW, &oh, NULL));
    for (int i = 0; i < 32; i++) {
        snprintf(key, sizeof(key), "%d", i);
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, key, strlen(key), key, NULL));
    }
    rig_engine_kill(rig, 1);
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[1].host, "/store/tgt0/target", 163));
    EXPECT_OK(rig_engine_start(rig, 1));
    EXPECT_OK(rig_group_push(rig));
    app_attach_write(rig);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "find the way to the new engine", 1, "v", NULL));
    for (int i = 0; i < 32; i++) {
        daos_size_t size = sizeof(back);
        int rc;

        snprintf(key, sizeof(key), "%d", i);
        start_ns = ult_now_ns();
        rc = daos_kv_get(oh, DAOS_TX_NONE, 0, key, &size, back, NULL);
        EXPECT(rc == 0 || rc == -DER_CSUM);
        if (rc == 0)
            EXPECT_MEM_EQ(back, key, strlen(key));
        EXPECT_EQ(daos_kv_put(oh, DAOS_TX_NONE, 0, key, strlen(key), key, NULL), rc);
        EXPECT_EQ(daos_kv_remove(oh, DAOS_TX_NONE, 0, key, NULL), rc);
        EXPECT_LT(ult_now_ns() - start_ns, 3000000000);
        bad_nr += rc != 0;
    }
    EXPECT_GT(bad_nr, 0);
    EXPECT_LT(bad_nr, 24);
    start_ns = ult_now_ns();
    nr = 64;
    EXPECT_ERR(daos_kv_list(oh, DAOS_TX_NONE, &nr, kds, &sgl, &anchor, NULL), CSUM);
    EXPECT_LT(ult_now_ns() - start_ns, 1000000000);
    /* The services of rank 0 as well. */
    rig_engine_kill(rig, 0);
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[0].host, "/store/sys/wal", 163));
    EXPECT_OK(rig_engine_start(rig, 0));
    EXPECT_OK(rig_group_push(rig));
    app_attach_write(rig);
    start_ns = ult_now_ns();
    resent_nr = client_retried_nr();
    EXPECT_ERR(daos_pool_connect("tank", RIG_SYSTEM, DAOS_PC_RW, &poh, NULL, NULL), CSUM);
    EXPECT_LT(ult_now_ns() - start_ns, 3000000000);
    EXPECT_LT(client_retried_nr() - resent_nr, 4); /* the way to the new engine, at most */
    EXPECT_OK(daos_kv_close(oh, NULL));
    rig_engine_kill(rig, 0);
    EXPECT_OK(sim_file_flip_bit(rig->sim, rig->engines[0].host, "/store/sys/wal", 163));
    EXPECT_OK(rig_engine_start(rig, 0));
    EXPECT_OK(rig_group_push(rig));
    app_attach_write(rig);
    app_fini(&app);
}

TEST_ON(client_kill, damage_is_told_at_once, BACKEND_SIM)
{
    rig_run(2, fault_body);
}

/* ---- services that change their leader ------------------------------------------------------------------------------------- */

struct resigner {
    struct rig *rig;
    struct uuid pool;
    bool is_ending;
    uint32_t nr;
};

static void
resign_ult(void *arg)
{
    struct resigner *r = arg;
    uint64_t rand = test_seed();

    while (!r->is_ending) {
        for (uint32_t rank = 0; rank < r->rig->engine_nr; rank++) {
            struct uuid nil = {{0}};

            r->nr += engine_resign(r->rig->engines[rank].engine, nil) == 0;
            r->nr += engine_resign(r->rig->engines[rank].engine, r->pool) == 0;
        }
        ult_sleep(200000 + test_rand(&rand) % 2000000);
    }
}

/* Goal: whatever a service is asked while its leadership comes and goes, the caller of the API never sees that. */
static void
resign_body(struct rig *rig)
{
    struct resigner r = {.rig = rig};
    struct ult *ult;
    struct app app;

    if (!app_init(&app, rig))
        return;
    {
        daos_pool_info_t info = {.pi_bits = DPI_ALL};

        EXPECT_OK(daos_pool_query(app.poh, NULL, &info, NULL, NULL));
        memcpy(r.pool.b, info.pi_uuid, sizeof(r.pool.b));
    }
    EXPECT_OK(ult_create(rig->xs, ULT_SERVICE, resign_ult, &r, &ult));
    for (uint32_t i = 0; i < 60 && !test_failed(); i++) {
        const char *name = "name", *value = "value";
        size_t value_bytes = 5, got_bytes = 16;
        void *values[1] = {(void *)(uintptr_t)value};
        daos_pool_info_t info = {.pi_bits = DPI_ALL};
        daos_handle_t poh, coh;
        char label[32], got[16], *gots[1] = {got};

        snprintf(label, sizeof(label), "cont%u", i);
        EXPECT_OK(daos_pool_connect("tank", RIG_SYSTEM, DAOS_PC_RW, &poh, NULL, NULL));
        EXPECT_OK(daos_pool_query(poh, NULL, &info, NULL, NULL));
        EXPECT_OK(daos_pool_set_attr(poh, 1, &name, (const void *const *)values, &value_bytes, NULL));
        EXPECT_OK(daos_pool_get_attr(poh, 1, &name, (void *const *)gots, &got_bytes, NULL));
        EXPECT_EQ(got_bytes, 5);
        EXPECT_OK(daos_cont_create_with_label(poh, label, NULL, NULL, NULL));
        EXPECT_ERR(daos_cont_create_with_label(poh, label, NULL, NULL, NULL), EXIST);
        EXPECT_OK(daos_cont_open(poh, label, DAOS_COO_RW, &coh, NULL, NULL));
        EXPECT_OK(daos_cont_set_attr(coh, 1, &name, (const void *const *)values, &value_bytes, NULL));
        EXPECT_OK(daos_cont_query(coh, NULL, NULL, NULL));
        EXPECT_OK(daos_cont_close(coh, NULL));
        EXPECT_OK(daos_cont_destroy(poh, label, 0, NULL));
        EXPECT_ERR(daos_cont_destroy(poh, label, 0, NULL), NONEXIST);
        EXPECT_OK(daos_pool_disconnect(poh, NULL));
    }
    r.is_ending = true;
    ult_join(ult);
    EXPECT_GT(r.nr, 200);
    EXPECT_GT(client_retried_nr(), 0);
    app_fini(&app);
}

TEST_ON(client_kill, leaders_come_and_go_unseen, BACKEND_SIM)
{
    rig_run(2, resign_body);
}
