/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Snapshots and their tables of objects through the public API, against real engines (test/server's rig): two engines of two targets, on plat/sim and plat/linux. What
 * a snapshot holds under faults is judged by test/sim.
 */
#include "client/test/client_app.h"
#include "daos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/core/client_tools.h"

enum { OBJS_NR = 150 };

static daos_epoch_t
snap_take(struct app *app)
{
    daos_epoch_t epoch = 0;

    EXPECT_OK(daos_cont_create_snap(app->coh, &epoch, NULL, NULL));
    EXPECT_GT(epoch, 0);
    return epoch;
}

static int
snap_drop(struct app *app, daos_epoch_t lo, daos_epoch_t hi)
{
    return daos_cont_destroy_snap(app->coh, (daos_epoch_range_t){lo, hi}, NULL);
}

static int
snap_count(struct app *app)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    int nr = 0;

    EXPECT_OK(daos_cont_list_snap(app->coh, &nr, NULL, NULL, &anchor, NULL));
    return nr;
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

static void
life_check(struct app *app)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_epoch_t epochs[8] = {0}, got[8] = {0};
    char bufs[8][DAOS_SNAPSHOT_MAX_LEN], *names[8], text[200];
    daos_handle_t ro;
    daos_cont_info_t info;
    int nr;

    for (int i = 0; i < 8; i++) {
        names[i] = bufs[i];
        memset(bufs[i], 'z', sizeof(bufs[i]));
    }
    memset(text, 'n', sizeof(text));
    text[DAOS_SNAPSHOT_MAX_LEN] = '\0';
    for (int i = 0; i < 5; i++) {
        snprintf(bufs[7], sizeof(bufs[7]), "number %d", i);
        EXPECT_OK(daos_cont_create_snap_opt(app->coh, &epochs[i], i % 2 == 0 ? NULL : bufs[7],
            i == 2 ? DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT : DAOS_SNAP_OPT_CR, NULL));
        EXPECT(i == 0 || epochs[i] > epochs[i - 1]);
    }
    snprintf(bufs[7], sizeof(bufs[7]), "number 3");
    EXPECT_ERR(daos_cont_create_snap(app->coh, &got[0], bufs[7], NULL), EXIST);
    EXPECT_ERR(daos_cont_create_snap(app->coh, &got[0], text, NULL), INVAL);
    EXPECT_ERR(daos_cont_create_snap(app->coh, NULL, NULL, NULL), INVAL);
    EXPECT_ERR(daos_cont_create_snap_opt(app->coh, &got[0], NULL, DAOS_SNAP_OPT_OIT, NULL), INVAL);
    EXPECT_ERR(daos_cont_create_snap_opt(app->coh, &got[0], NULL, 4 | DAOS_SNAP_OPT_CR, NULL), INVAL);
    EXPECT_EQ(snap_count(app), 5);
    nr = 8;
    EXPECT_OK(daos_cont_list_snap(app->coh, &nr, got, names, &anchor, NULL));
    EXPECT_EQ(nr, 5);
    EXPECT_MEM_EQ(got, epochs, 5 * sizeof(got[0]));
    EXPECT_STR_EQ(names[0], "");
    EXPECT_STR_EQ(names[1], "number 1");
    EXPECT_STR_EQ(names[3], "number 3");
    EXPECT(daos_anchor_is_eof(&anchor));
    EXPECT_OK(daos_cont_list_snap(app->coh, &nr, got, names, &anchor, NULL));
    EXPECT_EQ(nr, 0);
    /* In parts. */
    memset(got, 0, sizeof(got));
    anchor = (daos_anchor_t)DAOS_ANCHOR_INIT;
    for (int at = 0; at < 5; at += 2) {
        nr = 2;
        EXPECT(!daos_anchor_is_eof(&anchor));
        EXPECT_OK(daos_cont_list_snap(app->coh, &nr, &got[at], NULL, &anchor, NULL));
        EXPECT_EQ(nr, 5);
    }
    EXPECT(daos_anchor_is_eof(&anchor));
    EXPECT_MEM_EQ(got, epochs, 5 * sizeof(got[0]));

    EXPECT_OK(daos_cont_query(app->coh, &info, NULL, NULL));
    EXPECT_EQ(info.ci_nsnapshots, 5);
    EXPECT_EQ(info.ci_lsnapshot, epochs[4]);
    EXPECT_OK(daos_cont_open(app->poh, "box", DAOS_COO_RO, &ro, &info, NULL));
    EXPECT_EQ(info.ci_nsnapshots, 5);
    EXPECT_ERR(daos_cont_create_snap(ro, &got[0], NULL, NULL), NO_PERM);
    EXPECT_ERR(daos_cont_destroy_snap(ro, (daos_epoch_range_t){0, 1}, NULL), NO_PERM);
    EXPECT_OK(daos_cont_close(ro, NULL));

    EXPECT_ERR(snap_drop(app, epochs[1] + 1, epochs[1]), INVAL);
    EXPECT_ERR(snap_drop(app, epochs[1] + 1, epochs[1] + 1), NONEXIST);
    EXPECT_OK(snap_drop(app, epochs[1] + 1, epochs[2] - 1)); /* a range with none */
    EXPECT_EQ(snap_count(app), 5);
    EXPECT_OK(snap_drop(app, epochs[1], epochs[2]));
    EXPECT_EQ(snap_count(app), 3);
    rig_engine_restart(app->rig, 0); /* their service */
    app_attach_write(app->rig);
    EXPECT_EQ(snap_count(app), 3);
    EXPECT_OK(snap_drop(app, 0, DAOS_EPOCH_MAX));
    EXPECT_EQ(snap_count(app), 0);
}

static void
life_body(struct rig *rig)
{
    struct app app;

    if (app_init(&app, rig))
        life_check(&app);
    app_fini(&app);
}

TEST_ON(client_snap, life, BACKEND_SIM)
{
    rig_run(2, life_body);
}

/* ---- aggregation -------------------------------------------------------------------------------------------------------- */

static int
kv_get_at(daos_handle_t oh, daos_handle_t th, uint32_t *ret_val)
{
    daos_size_t size = sizeof(*ret_val);

    *ret_val = 0;
    return daos_kv_get(oh, th, 0, "key", &size, ret_val, NULL);
}

/* A handle on a snapshot outlives it: it reads what it read before, or is told that it is gone; after a restart, too. */
static void
aggregate_check(struct app *app)
{
    daos_epoch_t first = 0, second = 0;
    daos_obj_id_t oid = {.lo = 31};
    daos_handle_t oh, th, th2;
    uint32_t val;

    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_KV_HASHED, OC_S1, 0, 0));
    EXPECT_OK(daos_kv_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    for (val = 1; val <= 3; val++) {
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "key", sizeof(val), &val, NULL));
        if (val == 1)
            first = snap_take(app);
        if (val == 2)
            second = snap_take(app);
    }
    EXPECT_OK(daos_tx_open_snap(app->coh, first, &th, NULL));
    EXPECT_OK(daos_tx_open_snap(app->coh, second, &th2, NULL));
    EXPECT_OK(daos_cont_aggregate(app->coh, 0, NULL));
    EXPECT_OK(kv_get_at(oh, th, &val));
    EXPECT_EQ(val, 1);
    EXPECT_OK(snap_drop(app, first, first));
    EXPECT_OK(daos_cont_aggregate(app->coh, 0, NULL));
    EXPECT_ERR(kv_get_at(oh, th, &val), EP_OLD);
    EXPECT_OK(kv_get_at(oh, th2, &val));
    EXPECT_EQ(val, 2);
    for (uint32_t i = 0; i < 2; i++) {
        rig_engine_restart(app->rig, i);
    }
    app_attach_write(app->rig);
    EXPECT_ERR(kv_get_at(oh, th, &val), EP_OLD);
    EXPECT_OK(kv_get_at(oh, th2, &val));
    EXPECT_EQ(val, 2);
    EXPECT_OK(kv_get_at(oh, DAOS_TX_NONE, &val));
    EXPECT_EQ(val, 3);
    EXPECT_ERR(daos_tx_open_snap(app->coh, first, &th, NULL), NONEXIST);
    EXPECT_OK(daos_tx_close(th, NULL));
    EXPECT_OK(daos_tx_close(th2, NULL));
    EXPECT_OK(daos_kv_close(oh, NULL));
}

static void
aggregate_body(struct rig *rig)
{
    struct app app;

    if (app_init(&app, rig))
        aggregate_check(&app);
    app_fini(&app);
}

TEST_ON(client_snap, a_handle_on_one_that_is_gone, BACKEND_SIM)
{
    rig_run(2, aggregate_body);
}

/* More than one page, more than one commit, the limit of the property. */
static void
many_body(struct rig *rig)
{
    enum { NR = 300 };
    daos_prop_t *prop = daos_prop_alloc(1);
    daos_epoch_t *epochs = calloc(NR + 1, sizeof(*epochs)), epoch;
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    struct app app;
    int nr = NR;

    if (app_init(&app, rig)) {
        prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_SNAPSHOT_MAX;
        prop->dpp_entries[0].dpe_val = NR;
        EXPECT_OK(daos_cont_set_prop(app.coh, prop, NULL));
        for (int i = 0; i < NR; i++) {
            EXPECT_OK(daos_cont_create_snap(app.coh, &epoch, NULL, NULL));
        }
        EXPECT_ERR(daos_cont_create_snap(app.coh, &epoch, NULL, NULL), NOSPACE);
        EXPECT_OK(daos_cont_list_snap(app.coh, &nr, epochs, NULL, &anchor, NULL));
        EXPECT_EQ(nr, NR);
        EXPECT(daos_anchor_is_eof(&anchor));
        EXPECT_EQ(epochs[NR - 1], epoch);
        for (int i = 1; i < NR; i++) {
            EXPECT_GT(epochs[i], epochs[i - 1]);
        }
        EXPECT_OK(snap_drop(&app, epochs[10], epochs[NR - 10]));
        EXPECT_EQ(snap_count(&app), 19);
    }
    app_fini(&app);
    daos_prop_free(prop);
    free(epochs);
}

TEST_ON(client_snap, many, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, many_body);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

static void
kv_is(daos_handle_t oh, daos_handle_t th, const char *key, const char *value)
{
    char buf[32] = "";
    daos_size_t size = sizeof(buf);

    EXPECT_OK(daos_kv_get(oh, th, 0, key, &size, buf, NULL));
    EXPECT_EQ(size, value == NULL ? 0 : strlen(value) + 1);
    if (value != NULL)
        EXPECT_STR_EQ(buf, value);
}

static uint32_t
kv_keys(daos_handle_t oh, daos_handle_t th)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_key_desc_t kds[8];
    char keys[256];
    d_iov_t iov = {keys, sizeof(keys), sizeof(keys)};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    uint32_t found = 0;

    while (!daos_anchor_is_eof(&anchor)) {
        uint32_t nr = 8;

        if (!EXPECT_OK(daos_kv_list(oh, th, &nr, kds, &sgl, &anchor, NULL)))
            break;
        found += nr;
    }
    return found;
}

static void
kv_check(struct app *app, daos_handle_t *ret_th)
{
    daos_obj_id_t oid = {.lo = 1};
    daos_handle_t oh, th, th2, ro;
    daos_epoch_t epoch, empty, got;

    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_kv_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    empty = snap_take(app);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", 4, "one", NULL));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "b", 4, "two", NULL));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "c", 6, "three", NULL));
    epoch = snap_take(app);
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "a", 4, "new", NULL));
    EXPECT_OK(daos_kv_remove(oh, DAOS_TX_NONE, 0, "b", NULL));
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "d", 5, "late", NULL));

    EXPECT_ERR(daos_tx_open_snap(app->coh, epoch + 1, &th, NULL), NONEXIST);
    EXPECT_ERR(daos_tx_open_snap(app->coh, epoch, NULL, NULL), INVAL);
    EXPECT_OK(daos_tx_open_snap(app->coh, epoch, &th, NULL));
    EXPECT_OK(daos_tx_open_snap(app->coh, empty, &th2, NULL));
    EXPECT_OK(daos_tx_hdl2epoch(th, &got));
    EXPECT_EQ(got, epoch);
    kv_is(oh, th, "a", "one");
    kv_is(oh, th, "b", "two");
    kv_is(oh, th, "c", "three");
    kv_is(oh, th, "d", NULL);
    kv_is(oh, th2, "a", NULL);
    kv_is(oh, DAOS_TX_NONE, "a", "new");
    kv_is(oh, DAOS_TX_NONE, "b", NULL);
    EXPECT_EQ(kv_keys(oh, th), 3);
    EXPECT_EQ(kv_keys(oh, th2), 0);
    EXPECT_OK(
        daos_kv_destroy(oh, DAOS_TX_NONE, NULL)); /* a punch of the object hides nothing below it */
    kv_is(oh, th, "b", "two");
    EXPECT_EQ(kv_keys(oh, th), 3);
    EXPECT_EQ(kv_keys(oh, DAOS_TX_NONE), 0);

    /* Nothing can be written there. */
    EXPECT_ERR(daos_kv_put(oh, th, 0, "e", 2, "x", NULL), NO_PERM);
    EXPECT_ERR(daos_kv_remove(oh, th, 0, "a", NULL), NO_PERM);
    EXPECT_ERR(daos_kv_destroy(oh, th, NULL), NO_PERM);
    EXPECT_OK(daos_tx_commit(th, NULL));
    EXPECT_OK(daos_tx_abort(th, NULL));
    EXPECT_ERR(daos_tx_restart(th, NULL), NO_PERM);
    EXPECT_OK(daos_tx_close(th2, NULL));
    EXPECT_ERR(daos_tx_close(th2, NULL), NO_HDL);
    EXPECT_ERR(daos_tx_commit(th2, NULL), NO_HDL);
    EXPECT_ERR(daos_tx_hdl2epoch(th2, &got), NO_HDL);
    EXPECT_ERR(daos_kv_put(oh, th2, 0, "e", 2, "x", NULL), NO_HDL);
    EXPECT_OK(daos_kv_close(oh, NULL));

    /* Of another container. */
    EXPECT_OK(daos_cont_create_with_label(app->poh, "other", NULL, NULL, NULL));
    EXPECT_OK(daos_cont_open(app->poh, "other", DAOS_COO_RW, &ro, NULL, NULL));
    EXPECT_ERR(daos_tx_open_snap(ro, epoch, &th2, NULL), NONEXIST);
    EXPECT_OK(daos_kv_open(ro, oid, DAOS_OO_RW, &oh, NULL));
    EXPECT_ERR(daos_kv_put(oh, th, 0, "e", 2, "x", NULL), INVAL);
    EXPECT_OK(daos_kv_close(oh, NULL));
    EXPECT_OK(daos_cont_close(ro, NULL));
    /* Who may only read may read the past. */
    EXPECT_OK(daos_cont_open(app->poh, "box", DAOS_COO_RO, &ro, NULL, NULL));
    EXPECT_OK(daos_tx_open_snap(ro, epoch, &th2, NULL));
    EXPECT_OK(daos_kv_open(ro, oid, DAOS_OO_RO, &oh, NULL));
    kv_is(oh, th2, "a", "one");
    kv_is(oh, th, "a", "one"); /* the same container by another handle */
    EXPECT_OK(daos_kv_close(oh, NULL));
    EXPECT_OK(daos_tx_close(th2, NULL));
    EXPECT_OK(daos_cont_close(ro, NULL));
    *ret_th = th;
}

static void
array_check(struct app *app)
{
    enum { LEN = 100000 };
    daos_obj_id_t oid = {.lo = 2};
    daos_range_t range = {0, LEN};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
    char *data = malloc(LEN), *back = calloc(1, LEN);
    d_iov_t iov = {data, LEN, LEN}, back_iov = {back, LEN, LEN};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov}, back_sgl = {.sg_nr = 1, .sg_iovs = &back_iov};
    daos_size_t cell, chunk, size;
    daos_handle_t oh, oh2, th;
    daos_epoch_t epoch;

    memset(data, '1', LEN);
    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_ARRAY, OC_SX, 0, 0));
    EXPECT_OK(daos_array_create(app->coh, oid, DAOS_TX_NONE, 1, 10000, &oh, NULL));
    EXPECT_OK(daos_array_write(oh, DAOS_TX_NONE, &iod, &sgl, NULL));
    epoch = snap_take(app);
    memset(data, '2', LEN);
    range.rg_len = 60000;
    iov.iov_len = iov.iov_buf_len = 60000;
    EXPECT_OK(daos_array_set_size(oh, DAOS_TX_NONE, 5000, NULL));
    EXPECT_OK(daos_array_write(oh, DAOS_TX_NONE, &iod, &sgl, NULL));
    range.rg_len = LEN;
    EXPECT_OK(daos_tx_open_snap(app->coh, epoch, &th, NULL));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 60000);
    EXPECT_OK(daos_array_get_size(oh, th, &size, NULL));
    EXPECT_EQ(size, LEN);
    EXPECT_OK(daos_array_read(oh, th, &iod, &back_sgl, NULL));
    memset(data, '1', LEN);
    EXPECT_MEM_EQ(back, data, LEN);
    EXPECT_ERR(daos_array_write(oh, th, &iod, &back_sgl, NULL), NO_PERM);
    EXPECT_ERR(daos_array_set_size(oh, th, 10, NULL), NO_PERM);
    EXPECT_ERR(daos_array_destroy(oh, th, NULL), NO_PERM);
    EXPECT_ERR(daos_array_create(app->coh, oid, th, 1, 10, &oh2, NULL), NO_PERM);
    EXPECT_OK(daos_array_destroy(oh, DAOS_TX_NONE, NULL));
    EXPECT_OK(daos_array_close(oh, NULL));
    EXPECT_ERR(daos_array_open(app->coh, oid, DAOS_TX_NONE, DAOS_OO_RW, &cell, &chunk, &oh, NULL),
        NONEXIST);
    EXPECT_OK(daos_array_open(app->coh, oid, th, DAOS_OO_RO, &cell, &chunk, &oh, NULL));
    EXPECT_EQ(chunk, 10000);
    memset(back, 0, LEN);
    EXPECT_OK(daos_array_read(oh, th, &iod, &back_sgl, NULL));
    EXPECT_MEM_EQ(back, data, LEN);
    EXPECT_OK(daos_array_close(oh, NULL));
    EXPECT_OK(daos_tx_close(th, NULL));
    free(data);
    free(back);
}

static void
query_check(struct app *app)
{
    uint64_t key = 5, akey_value = 3, got = 0;
    char value[4] = {1, 2, 3, 4};
    daos_recx_t recx = {10, 4};
    d_iov_t dkey = {&key, 8, 8}, akey = {&akey_value, 8, 8}, iov = {value, 4, 4}, max = {&got, 8, 8};
    daos_iod_t iod = {
        .iod_name = akey, .iod_type = DAOS_IOD_ARRAY, .iod_size = 1, .iod_nr = 1, .iod_recxs = &recx};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_obj_id_t oid = {.lo = 3};
    daos_handle_t oh, th;
    daos_epoch_t epoch;

    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_MULTI_UINT64, OC_SX, 0, 0));
    EXPECT_OK(daos_obj_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL));
    epoch = snap_take(app);
    key = 90;
    EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL));
    EXPECT_OK(daos_tx_open_snap(app->coh, epoch, &th, NULL));
    EXPECT_OK(daos_obj_query_key(oh, th, DAOS_GET_MAX | DAOS_GET_DKEY, &max, NULL, NULL, NULL));
    EXPECT_EQ(got, 5);
    EXPECT_OK(
        daos_obj_query_key(oh, DAOS_TX_NONE, DAOS_GET_MAX | DAOS_GET_DKEY, &max, NULL, NULL, NULL));
    EXPECT_EQ(got, 90);
    EXPECT_ERR(daos_obj_punch(oh, th, 0, NULL), NO_PERM);
    EXPECT_ERR(daos_obj_update(oh, th, 0, &dkey, 1, &iod, &sgl, NULL), NO_PERM);
    EXPECT_OK(daos_obj_close(oh, NULL));
    EXPECT_OK(daos_tx_close(th, NULL));
}

static void
reads_body(struct rig *rig)
{
    daos_handle_t th = DAOS_HDL_INVAL;
    struct app app;

    if (app_init(&app, rig)) {
        kv_check(&app, &th);
        array_check(&app);
        query_check(&app);
        EXPECT_OK(daos_cont_close(app.coh, NULL)); /* an open transaction holds up nothing */
        app.coh = DAOS_HDL_INVAL;
        EXPECT_OK(daos_tx_close(th, NULL));
    }
    app_fini(&app);
}

TEST_ON(client_snap, reads, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, reads_body);
}

/* ---- tables of objects -------------------------------------------------------------------------------------------------------- */

static void
obj_write(struct app *app, daos_obj_id_t oid, int keys)
{
    char key[16];
    daos_handle_t oh;

    EXPECT_OK(daos_kv_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    for (int i = 0; i < keys; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, key, 2, "v", NULL));
    }
    EXPECT_OK(daos_kv_close(oh, NULL));
}

/* How often each of `oids` is in what is listed, and that nothing else is. */
static void
table_read(daos_handle_t oh, uint32_t page, const daos_obj_id_t *oids, uint32_t nr, uint8_t *ret_seen)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_obj_id_t *got = calloc(page, sizeof(*got));

    memset(ret_seen, 0, nr);
    while (!daos_anchor_is_eof(&anchor)) {
        uint32_t n = page;

        if (!EXPECT_OK(daos_oit_list(oh, got, &n, &anchor, NULL)))
            break;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t k = 0;

            while (k < nr && (oids[k].lo != got[i].lo || oids[k].hi != got[i].hi)) {
                k++;
            }
            if (EXPECT_LT(k, nr))
                ret_seen[k]++;
        }
    }
    free(got);
}

static const uint32_t classes[] = {OC_S1, OC_SX, OC_S2, OC_S4};

static void
table_check(struct app *app)
{
    daos_obj_id_t oids[OBJS_NR] = {{0, 0}};
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_epoch_t before, epoch = 0, later;
    uint8_t seen[OBJS_NR];
    daos_handle_t oh, oh2, ro;
    uint32_t nr = 1;

    EXPECT_OK(daos_cont_create_snap_opt(
        app->coh, &before, NULL, DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, NULL));
    for (int i = 0; i < OBJS_NR; i++) {
        oids[i].lo = (uint64_t)i + 1;
        EXPECT_OK(daos_obj_generate_oid(
            app->coh, &oids[i], DAOS_OT_KV_HASHED, classes[i % ARRAY_SIZE(classes)], 0, 0));
        if (i % 10 != 9)
            obj_write(app, oids[i], i % 7 == 0 ? 20 : 1);
    }
    for (int i = 0; i < OBJS_NR; i += 10) {
        EXPECT_OK(daos_kv_open(app->coh, oids[i], DAOS_OO_RW, &oh, NULL));
        EXPECT_OK(daos_kv_destroy(oh, DAOS_TX_NONE, NULL));
        EXPECT_OK(daos_kv_close(oh, NULL));
    }
    EXPECT_OK(daos_cont_create_snap_opt(
        app->coh, &epoch, NULL, DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, NULL));
    for (int i = 0; i < OBJS_NR; i++) {
        if (i % 10 == 9)
            obj_write(app, oids[i], 3);
    }
    later = snap_take(app);
    EXPECT_OK(daos_oit_open(app->coh, epoch, &oh, NULL));
    for (uint32_t page = 1; page <= 4096; page *= 16) {
        table_read(oh, page, oids, OBJS_NR, seen);
        for (int i = 0; i < OBJS_NR; i++) {
            if (!EXPECT_EQ(seen[i], i % 10 != 9 && i % 10 != 0))
                printf("    object %d, pages of %u\n", i, page);
        }
    }
    EXPECT_OK(daos_oit_open(app->coh, before, &oh2, NULL));
    table_read(oh2, 100, oids, OBJS_NR, seen);
    for (int i = 0; i < OBJS_NR; i++) {
        EXPECT_EQ(seen[i], 0);
    }
    EXPECT_OK(daos_oit_close(oh2, NULL));
    /* One without a table gets one. */
    EXPECT_ERR(daos_oit_open(app->coh, later, &oh2, NULL), NONEXIST);
    EXPECT_OK(daos_cont_snap_oit_create(app->coh, later, NULL, NULL));
    EXPECT_OK(daos_oit_open(app->coh, later, &oh2, NULL));
    table_read(oh2, 100, oids, OBJS_NR, seen);
    for (int i = 0; i < OBJS_NR; i++) {
        EXPECT_EQ(seen[i], i % 10 != 0);
    }
    EXPECT_OK(daos_oit_close(oh2, NULL));
    EXPECT_ERR(daos_oit_close(oh2, NULL), NO_HDL);

    EXPECT_ERR(daos_oit_open(app->coh, epoch + 1, &oh2, NULL), NONEXIST);
    EXPECT_ERR(daos_oit_open(app->coh, epoch, NULL, NULL), INVAL);
    EXPECT_ERR(daos_cont_snap_oit_create(app->coh, epoch + 1, NULL, NULL), NONEXIST);
    EXPECT_ERR(daos_oit_list(oh2, oids, &nr, &anchor, NULL), NO_HDL);
    EXPECT_ERR(daos_oit_list(oh, NULL, &nr, &anchor, NULL), INVAL);
    EXPECT_ERR(daos_oit_list(oh, oids, &nr, NULL, NULL), INVAL);
    nr = 0;
    EXPECT_ERR(daos_oit_list(oh, oids, &nr, &anchor, NULL), INVAL);
    nr = 1;
    memset(&anchor, 0x55, sizeof(anchor));
    EXPECT_ERR(daos_oit_list(oh, oids, &nr, &anchor, NULL), INVAL);
    anchor = (daos_anchor_t)DAOS_ANCHOR_INIT;
    anchor.da_type = DAOS_ANCHOR_TYPE_KEY;
    anchor.da_flags = 104;
    anchor.da_buf[0] = 9;
    EXPECT_ERR(daos_oit_list(oh, oids, &nr, &anchor, NULL), INVAL); /* the target looks at its bytes */
    EXPECT_OK(daos_cont_open(app->poh, "box", DAOS_COO_RO, &ro, NULL, NULL));
    EXPECT_ERR(daos_cont_snap_oit_create(ro, epoch, NULL, NULL), NO_PERM);
    EXPECT_ERR(daos_cont_snap_oit_destroy(ro, oh, NULL), NO_PERM);
    EXPECT_OK(daos_cont_close(ro, NULL));
    EXPECT_OK(daos_oit_close(oh, NULL));
}

static void
table_body(struct rig *rig)
{
    struct app app;

    if (app_init(&app, rig))
        table_check(&app);
    app_fini(&app);
}

TEST_ON(client_snap, table, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, table_body);
}

/* A filter of the tests: those with this mark, and those without any. */
static int
filter_red(daos_obj_id_t oid, d_iov_t *marker)
{
    (void)oid;
    return marker == NULL || (marker->iov_len == 3 && memcmp(marker->iov_buf, "red", 3) == 0);
}

static uint32_t
marked_count(daos_handle_t oh, bool by_filter)
{
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_obj_id_t got[7];
    uint32_t found = 0;

    while (!daos_anchor_is_eof(&anchor)) {
        uint32_t nr = 7;
        int rc = by_filter ? daos_oit_list_filter(oh, got, &nr, &anchor, filter_red, NULL)
                           : daos_oit_list_unmarked(oh, got, &nr, &anchor, NULL);

        if (!EXPECT_OK(rc))
            break;
        found += nr;
    }
    return found;
}

static void
marks_body(struct rig *rig)
{
    enum { NR = 20 };
    d_iov_t red = {(char[]){"red"}, 3, 3}, blue = {(char[]){"blue"}, 4, 4},
            longer = {calloc(1, 33), 33, 33};
    daos_obj_id_t oids[NR + 1] = {{0, 0}};
    daos_epoch_t epoch, next;
    daos_handle_t oh, oh2, ro;
    uint8_t seen[NR];
    struct app app;

    if (!app_init(&app, rig))
        goto out;
    for (int i = 0; i <= NR; i++) {
        oids[i].lo = (uint64_t)i + 1;
        EXPECT_OK(daos_obj_generate_oid(
            app.coh, &oids[i], DAOS_OT_KV_HASHED, i % 2 == 0 ? OC_S1 : OC_SX, 0, 0));
        if (i < NR)
            obj_write(&app, oids[i], 1);
    }
    EXPECT_OK(daos_cont_create_snap_opt(
        app.coh, &epoch, NULL, DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, NULL));
    EXPECT_OK(daos_oit_open(app.coh, epoch, &oh, NULL));
    EXPECT_EQ(marked_count(oh, false), NR);
    for (int i = 0; i < 8; i++) {
        EXPECT_OK(daos_oit_mark(oh, oids[i], i < 3 ? &red : &blue, NULL));
    }
    EXPECT_ERR(daos_oit_mark(oh, oids[NR], &red, NULL), NONEXIST);
    EXPECT_ERR(daos_oit_mark(oh, oids[0], NULL, NULL), INVAL);
    EXPECT_ERR(daos_oit_mark(oh, oids[0], &longer, NULL), INVAL);
    EXPECT_EQ(marked_count(oh, false), NR - 8);
    EXPECT_EQ(marked_count(oh, true), NR - 5);
    EXPECT_OK(daos_oit_mark(oh, oids[0], &blue, NULL)); /* another one */
    EXPECT_EQ(marked_count(oh, true), NR - 6);
    /* Marks are no objects of later tables. */
    EXPECT_OK(
        daos_cont_create_snap_opt(app.coh, &next, NULL, DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT, NULL));
    EXPECT_OK(daos_oit_open(app.coh, next, &oh2, NULL));
    table_read(oh2, 100, oids, NR, seen);
    EXPECT_EQ(marked_count(oh2, false), NR);
    EXPECT_OK(daos_oit_close(oh2, NULL));
    EXPECT_OK(daos_cont_open(app.poh, "box", DAOS_COO_RO, &ro, NULL, NULL));
    EXPECT_OK(daos_oit_open(ro, epoch, &oh2, NULL));
    EXPECT_EQ(marked_count(oh2, false), NR - 8);
    EXPECT_ERR(daos_oit_mark(oh2, oids[9], &red, NULL), NO_PERM);
    EXPECT_OK(daos_oit_close(oh2, NULL));
    EXPECT_OK(daos_cont_close(ro, NULL));
    EXPECT_OK(daos_cont_snap_oit_destroy(app.coh, oh, NULL));
    EXPECT_OK(daos_oit_close(oh, NULL));
    EXPECT_ERR(daos_oit_open(app.coh, epoch, &oh, NULL), NONEXIST);
    EXPECT_OK(daos_cont_snap_oit_create(app.coh, epoch, NULL, NULL));
    EXPECT_OK(daos_oit_open(app.coh, epoch, &oh, NULL));
    EXPECT_EQ(marked_count(oh, false), NR); /* the marks went with the table */
    EXPECT_OK(daos_oit_close(oh, NULL));
out:
    app_fini(&app);
    free(longer.iov_buf);
}

TEST_ON(client_snap, marks, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, marks_body);
}

/* A target that cannot be asked: no snapshot, rather than one that lacks what it acknowledged. */
static void
away_body(struct rig *rig)
{
    daos_epoch_t epoch = 0;
    struct app app;

    if (rig->sim == NULL)
        return;
    if (app_init(&app, rig)) {
        uint64_t call_ns = app.client->call_ns;

        EXPECT_GT(snap_take(&app), 0);
        rig_engine_kill(rig, 1);
        app.client->call_ns = UINT64_C(15000000000);
        EXPECT_ERR(daos_cont_create_snap(app.coh, &epoch, NULL, NULL), TIMEDOUT);
        app.client->call_ns = call_ns;
        EXPECT_EQ(snap_count(&app), 1);
        EXPECT_OK(rig_engine_start(rig, 1));
        EXPECT_OK(rig_group_push(rig));
        app_attach_write(rig);
        EXPECT_GT(snap_take(&app), 0);
        EXPECT_EQ(snap_count(&app), 2);
    }
    app_fini(&app);
}

TEST_ON(client_snap, target_away, BACKEND_SIM)
{
    rig_run(2, away_body);
}
