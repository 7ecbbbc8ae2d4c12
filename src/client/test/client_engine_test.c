/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The public API against real engines (test/server's rig): two engines of two targets, on plat/sim and plat/linux.
 */
#include "client/test/client_app.h"
#include "daos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "client/core/client_tools.h"

/* ---- one of everything ---------------------------------------------------------------------------------------------------- */

static void
containers_check(struct app *app)
{
    daos_pool_info_t info = {.pi_bits = DPI_ALL};
    struct daos_pool_cont_info conts[4];
    daos_cont_info_t cinfo;
    daos_handle_t poh2, coh2;
    daos_prop_t *prop = daos_prop_alloc(2), *roots = daos_prop_alloc(2), *all = daos_prop_alloc(0);
    struct daos_prop_co_roots ids = {{{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
    daos_mgmt_pool_info_t pools[4];
    daos_target_info_t tgt;
    d_rank_list_t *ranks = NULL;
    daos_size_t nr = 4;
    uint64_t lo, lo2;
    uuid_t uuid;
    char text[37];

    EXPECT_OK(daos_pool_query(app->poh, &ranks, &info, all, NULL));
    EXPECT_EQ(info.pi_ntargets, 4);
    EXPECT_EQ(info.pi_nnodes, 2);
    EXPECT_EQ(info.pi_ndisabled, 0);
    EXPECT_GT(info.pi_space.ps_space.s_total[DAOS_MEDIA_NVME], 0);
    EXPECT_GE(info.pi_space.ps_space.s_total[DAOS_MEDIA_SCM],
        info.pi_space.ps_space.s_free[DAOS_MEDIA_SCM]);
    EXPECT_EQ(info.pi_space.ps_ntargets, 4);
    EXPECT_EQ(ranks->rl_nr, 2);
    free(ranks->rl_ranks);
    free(ranks);
    EXPECT_STR_EQ(daos_prop_entry_get(all, DAOS_PROP_PO_LABEL)->dpe_str, "tank");
    EXPECT_EQ(daos_prop_entry_get(all, DAOS_PROP_PO_REDUN_FAC)->dpe_val, 0);
    EXPECT_OK(daos_pool_query_target(app->poh, 1, 1, &tgt, NULL));
    EXPECT_EQ(tgt.ta_state, DAOS_TS_UP_IN);
    EXPECT_ERR(daos_pool_query_target(app->poh, 7, 1, &tgt, NULL), NONEXIST);
    if (EXPECT_OK(daos_mgmt_list_pools(NULL, &nr, pools, NULL)) && EXPECT_EQ(nr, 1)) {
        EXPECT_STR_EQ(pools[0].mgpi_label, "tank");
        free(pools[0].mgpi_label);
        free(pools[0].mgpi_svc->rl_ranks);
        free(pools[0].mgpi_svc);
    }

    EXPECT_ERR(daos_cont_create_with_label(app->poh, "box", NULL, NULL, NULL), EXIST);
    EXPECT_ERR(daos_cont_open(app->poh, "none", DAOS_COO_RW, &coh2, NULL, NULL), NONEXIST);
    EXPECT_ERR(daos_cont_destroy(app->poh, "none", 0, NULL), NONEXIST);
    EXPECT_ERR(daos_cont_destroy(app->poh, "box", 0, NULL), BUSY);
    EXPECT_ERR(daos_pool_connect("none", NULL, DAOS_PC_RW, &poh2, NULL, NULL), NONEXIST);
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_REDUN_FAC;
    prop->dpp_entries[0].dpe_val = 1;
    prop->dpp_entries[1].dpe_type = DAOS_PROP_CO_LAYOUT_TYPE;
    prop->dpp_entries[1].dpe_val = DAOS_PROP_CO_LAYOUT_POSIX;
    EXPECT_NE(daos_cont_create_with_label(app->poh, "safe", prop, NULL, NULL),
        0); /* no redundancy yet, said plainly */
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_ROOTS;
    prop->dpp_entries[0].dpe_val = 0;
    daos_prop_set_ptr(prop, DAOS_PROP_CO_ROOTS, &ids, sizeof(ids));
    EXPECT_OK(daos_cont_create_with_label(app->poh, "posix", prop, &uuid, NULL));
    uuid_unparse(uuid, text);
    EXPECT_OK(daos_cont_open(app->poh, text, DAOS_COO_RO, &coh2, &cinfo, NULL));
    EXPECT_MEM_EQ(cinfo.ci_uuid, uuid, 16);
    EXPECT_EQ(cinfo.ci_nhandles, 1);
    roots->dpp_entries[0].dpe_type = DAOS_PROP_CO_ROOTS;
    roots->dpp_entries[1].dpe_type = DAOS_PROP_CO_LABEL;
    EXPECT_OK(daos_cont_query(coh2, &cinfo, roots, NULL));
    EXPECT_MEM_EQ(roots->dpp_entries[0].dpe_val_ptr, &ids, sizeof(ids));
    EXPECT_STR_EQ(roots->dpp_entries[1].dpe_str, "posix");
    EXPECT_OK(daos_cont_close(coh2, NULL));
    nr = 4;
    EXPECT_OK(daos_pool_list_cont(app->poh, &nr, conts, NULL));
    EXPECT_EQ(nr, 2);
    nr = 1;
    EXPECT_ERR(daos_pool_list_cont(app->poh, &nr, conts, NULL), TRUNC);
    EXPECT_EQ(nr, 2);
    EXPECT_OK(daos_cont_destroy(app->poh, "posix", 0, NULL));
    EXPECT_OK(daos_pool_list_cont(app->poh, &nr, NULL, NULL));
    EXPECT_EQ(nr, 1);
    EXPECT_OK(daos_cont_alloc_oids(app->coh, 100, &lo, NULL));
    EXPECT_OK(daos_cont_alloc_oids(app->coh, 1, &lo2, NULL));
    EXPECT_GE(lo2, lo + 100);
    daos_prop_free(prop);
    daos_prop_free(roots);
    daos_prop_free(all);
}

static void
attrs_check(struct app *app)
{
    const char *names[] = {"b", "a"};
    const void *values[] = {"value of b", "a's"};
    size_t sizes[] = {10, 3}, got_sizes[2] = {32, 32}, size = 64;
    char b[32], a[32], list[64];
    void *buffers[] = {b, a};

    EXPECT_OK(daos_cont_set_attr(app->coh, 2, names, values, sizes, NULL));
    EXPECT_OK(daos_cont_get_attr(app->coh, 2, names, buffers, got_sizes, NULL));
    EXPECT_EQ(got_sizes[0], 10);
    EXPECT_EQ(got_sizes[1], 3);
    EXPECT_MEM_EQ(b, values[0], 10);
    EXPECT_OK(daos_cont_list_attr(app->coh, list, &size, NULL));
    EXPECT_EQ(size, 4);
    EXPECT_OK(daos_cont_del_attr(app->coh, 1, names, NULL));
    EXPECT_ERR(daos_cont_get_attr(app->coh, 1, names, buffers, got_sizes, NULL), NONEXIST);
    EXPECT_OK(daos_pool_set_attr(app->poh, 1, names, values, sizes, NULL));
    EXPECT_OK(daos_pool_get_attr(app->poh, 1, names, buffers, got_sizes, NULL));
    EXPECT_OK(daos_pool_del_attr(app->poh, 1, names, NULL));
}

static void
kv_check(struct app *app)
{
    enum { NR = 200 };
    daos_obj_id_t oid = {.lo = 100};
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    char *big = calloc(1, 3 << 20), *back = calloc(1, 3 << 20), key[32], keys[512],
         *lexical = calloc(1, 100);
    daos_key_desc_t kds[16];
    daos_handle_t oh;
    daos_size_t size;
    int found_nr = 0;

    memset(big, 'x', 3 << 20);
    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
    EXPECT_OK(daos_kv_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    for (int i = 0; i < NR; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        snprintf(big, 64, "value %d", i);
        EXPECT_OK(daos_kv_put(
            oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, key, (daos_size_t)(1 + i * 100), big, NULL));
    }
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "big", 3 << 20, big, NULL));
    size = 3 << 20;
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "big", &size, back, NULL));
    EXPECT_EQ(size, 3 << 20);
    EXPECT_MEM_EQ(back, big, 3 << 20);
    EXPECT_OK(daos_kv_remove(oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, "big", NULL));
    EXPECT_ERR(daos_kv_remove(oh, DAOS_TX_NONE, DAOS_COND_KEY_REMOVE, "big", NULL), NONEXIST);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, DAOS_COND_KEY_INSERT, "key 3", 1, "v", NULL), EXIST);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, DAOS_COND_KEY_UPDATE, "none", 1, "v", NULL), NONEXIST);
    size = 3 << 20;
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "key 150", &size, back, NULL));
    EXPECT_EQ(size, 15001);
    EXPECT_EQ(strncmp(back, "value 150", 9), 0);
    while (!daos_anchor_is_eof(&anchor) && found_nr <= NR) {
        uint32_t nr = 16;
        d_iov_t iov = {keys, sizeof(keys), 0};
        d_sg_list_t sgl = {1, 0, &iov};

        if (!EXPECT_OK(daos_kv_list(oh, DAOS_TX_NONE, &nr, kds, &sgl, &anchor, NULL)))
            break;
        found_nr += (int)nr;
    }
    EXPECT_EQ(found_nr, NR);
    EXPECT_OK(daos_kv_destroy(oh, DAOS_TX_NONE, NULL));
    size = 3 << 20;
    EXPECT_OK(daos_kv_get(oh, DAOS_TX_NONE, 0, "key 150", &size, back, NULL));
    EXPECT_EQ(size, 0);
    EXPECT_OK(daos_kv_close(oh, NULL));
    /* keys of a lexical store are short */
    oid = (daos_obj_id_t){.lo = 101};
    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_KV_LEXICAL, OC_S1, 0, 0));
    EXPECT_OK(daos_kv_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    memset(lexical, 'l', 81);
    EXPECT_ERR(daos_kv_put(oh, DAOS_TX_NONE, 0, lexical, 1, "v", NULL), KEY2BIG);
    lexical[80] = '\0';
    EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, lexical, 1, "v", NULL));
    EXPECT_OK(daos_kv_close(oh, NULL));
    free(big);
    free(back);
    free(lexical);
}

static int
bytes_rw(daos_handle_t oh, bool is_write, uint64_t idx, uint64_t nr, void *buf, daos_array_iod_t *iod)
{
    daos_range_t rg = {idx, nr};
    d_iov_t iov;
    d_sg_list_t sgl = {1, 0, &iov};
    int rc;

    *iod = (daos_array_iod_t){.arr_nr = 1, .arr_rgs = &rg};
    d_iov_set(&iov, buf, nr);
    rc = is_write ? daos_array_write(oh, DAOS_TX_NONE, iod, &sgl, NULL)
                  : daos_array_read(oh, DAOS_TX_NONE, iod, &sgl, NULL);
    iod->arr_rgs = NULL;
    return rc;
}

static void
array_check(struct app *app)
{
    enum { BYTES = 5 << 20, CHUNK = 1 << 20 };
    daos_obj_id_t oid = {.lo = 200};
    uint8_t *data = malloc(BYTES), *back = malloc(BYTES);
    uint64_t rand = test_seed();
    daos_array_stbuf_t stbuf;
    daos_array_iod_t iod;
    daos_size_t size, cell, chunk;
    daos_handle_t oh;

    for (int i = 0; i < BYTES; i++) {
        data[i] = (uint8_t)test_rand(&rand);
    }
    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_ARRAY_BYTE, OC_SX, 0, 0));
    EXPECT_OK(
        daos_array_open_with_attr(app->coh, oid, DAOS_TX_NONE, DAOS_OO_RW, 1, CHUNK, &oh, NULL));
    EXPECT_OK(bytes_rw(oh, true, 100, BYTES - 1000, data, &iod));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, BYTES - 900);
    memset(back, 0xee, BYTES);
    EXPECT_OK(bytes_rw(oh, false, 0, BYTES, back, &iod));
    EXPECT_EQ(iod.arr_nr_read, BYTES - 900);
    EXPECT_EQ(iod.arr_nr_short_read, 900);
    EXPECT_EQ(back[99], 0);
    EXPECT_MEM_EQ(back + 100, data, BYTES - 1000);
    /* overwrite in the middle of small and large parts */
    EXPECT_OK(bytes_rw(oh, true, CHUNK - 10, 20, data, &iod));
    memcpy(back + CHUNK - 10, data, 20);
    memset(data, 0, BYTES);
    EXPECT_OK(bytes_rw(oh, false, 0, BYTES - 900, data, &iod));
    EXPECT_EQ(iod.arr_nr_short_read, 0);
    EXPECT_MEM_EQ(back, data, BYTES - 900);
    EXPECT_OK(daos_array_set_size(oh, DAOS_TX_NONE, 2 * CHUNK + 5, NULL));
    EXPECT_OK(daos_array_stat(oh, DAOS_TX_NONE, &stbuf, NULL));
    EXPECT_EQ(stbuf.st_size, 2 * CHUNK + 5);
    EXPECT_GT(stbuf.st_max_epoch, 0);
    EXPECT_OK(bytes_rw(oh, false, CHUNK, 3 * CHUNK, data, &iod));
    EXPECT_EQ(iod.arr_nr_read, CHUNK + 5);
    EXPECT_MEM_EQ(data, back + CHUNK, CHUNK + 5);
    EXPECT_OK(daos_array_destroy(oh, DAOS_TX_NONE, NULL));
    EXPECT_OK(daos_array_get_size(oh, DAOS_TX_NONE, &size, NULL));
    EXPECT_EQ(size, 0);
    EXPECT_OK(daos_array_close(oh, NULL));
    oid = (daos_obj_id_t){.lo = 201};
    EXPECT_OK(daos_array_generate_oid(app->coh, &oid, true, 0, 0, 0)); /* a class by itself */
    EXPECT_OK(daos_array_create(app->coh, oid, DAOS_TX_NONE, 8, 1000, &oh, NULL));
    EXPECT_OK(daos_array_close(oh, NULL));
    EXPECT_ERR(daos_array_create(app->coh, oid, DAOS_TX_NONE, 8, 1000, &oh, NULL), EXIST);
    EXPECT_OK(daos_array_open(app->coh, oid, DAOS_TX_NONE, DAOS_OO_RO, &cell, &chunk, &oh, NULL));
    EXPECT_EQ(cell, 8);
    EXPECT_EQ(chunk, 1000);
    EXPECT_OK(daos_array_close(oh, NULL));
    oid.lo = 202;
    EXPECT_ERR(daos_array_open(app->coh, oid, DAOS_TX_NONE, DAOS_OO_RO, &cell, &chunk, &oh, NULL),
        NONEXIST);
    free(data);
    free(back);
}

static void
objects_check(struct app *app)
{
    daos_obj_id_t oid = {.lo = 300};
    uint64_t dkey_value, akey_value, dkeys[3] = {7, 900, 20}, akeys[2] = {5, 6};
    daos_recx_t recx = {40, 3}, recxs[4];
    daos_epoch_range_t eprs[4];
    daos_iod_t iod = {.iod_type = DAOS_IOD_ARRAY, .iod_size = 4, .iod_nr = 1, .iod_recxs = &recx};
    char data[] = "aaaabbbbcccc";
    d_iov_t dkey, akey, iov = {data, 12, 12};
    d_sg_list_t sgl = {1, 0, &iov};
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    daos_epoch_t epoch;
    daos_handle_t oh;
    daos_size_t size = 0;
    uint32_t nr = 4;

    EXPECT_OK(daos_obj_generate_oid(app->coh, &oid, DAOS_OT_MULTI_UINT64, OC_SX, 0, 0));
    EXPECT_OK(daos_obj_open(app->coh, oid, DAOS_OO_RW, &oh, NULL));
    EXPECT_OK(daos_obj_query_max_epoch(oh, DAOS_TX_NONE, &epoch, NULL));
    EXPECT_EQ(epoch, 0);
    for (int d = 0; d < 3; d++) {
        for (int a = 0; a < 2; a++) {
            d_iov_set(&dkey, &dkeys[d], 8);
            d_iov_set(&iod.iod_name, &akeys[a], 8);
            recx.rx_idx = 40 + dkeys[d] + akeys[a];
            EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL));
        }
    }
    d_iov_set(&dkey, &dkey_value, 8);
    d_iov_set(&akey, &akey_value, 8);
    EXPECT_OK(daos_obj_query_key(oh, DAOS_TX_NONE,
        DAOS_GET_MAX | DAOS_GET_DKEY | DAOS_GET_AKEY | DAOS_GET_RECX, &dkey, &akey, &recx, NULL));
    EXPECT_EQ(dkey_value, 900);
    EXPECT_EQ(akey_value, 6);
    EXPECT_EQ(recx.rx_idx + recx.rx_nr, 40 + 906 + 3);
    EXPECT_OK(
        daos_obj_query_key(oh, DAOS_TX_NONE, DAOS_GET_MIN | DAOS_GET_DKEY, &dkey, NULL, NULL, NULL));
    EXPECT_EQ(dkey_value, 7);
    dkey_value = 20;
    EXPECT_OK(daos_obj_query_key(
        oh, DAOS_TX_NONE, DAOS_GET_MIN | DAOS_GET_AKEY, &dkey, &akey, NULL, NULL));
    EXPECT_EQ(akey_value, 5);
    EXPECT_ERR(daos_obj_query_key(oh, DAOS_TX_NONE, DAOS_GET_MIN | DAOS_GET_MAX | DAOS_GET_AKEY,
                   &dkey, &akey, NULL, NULL),
        INVAL);
    EXPECT_ERR(
        daos_obj_query_key(oh, DAOS_TX_NONE, DAOS_GET_MAX | DAOS_GET_AKEY, NULL, &akey, NULL, NULL),
        INVAL);
    EXPECT_OK(daos_obj_list_recx(
        oh, DAOS_TX_NONE, &dkey, &akey, &size, &nr, recxs, eprs, &anchor, true, NULL));
    EXPECT_EQ(nr, 1);
    EXPECT_EQ(size, 4);
    EXPECT_EQ(recxs[0].rx_idx, 65);
    EXPECT_EQ(recxs[0].rx_nr, 3);
    EXPECT_GT(eprs[0].epr_hi, 0);
    EXPECT_OK(daos_obj_query_max_epoch(oh, DAOS_TX_NONE, &epoch, NULL));
    EXPECT_GE(epoch, eprs[0].epr_hi);
    iod.iod_size = 5;
    iov.iov_len = 12;
    recx = (daos_recx_t){65, 2};
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL), REC_SIZE);
    dkey.iov_len = 7;
    EXPECT_ERR(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL), INVAL);
    dkey.iov_len = 8;
    d_iov_set(&akey, &akeys[0], 8);
    EXPECT_OK(daos_obj_punch_akeys(oh, DAOS_TX_NONE, 0, &dkey, 1, &akey, NULL));
    EXPECT_ERR(
        daos_obj_punch_akeys(oh, DAOS_TX_NONE, DAOS_COND_PUNCH, &dkey, 1, &akey, NULL), NONEXIST);
    EXPECT_OK(daos_obj_punch_dkeys(oh, DAOS_TX_NONE, DAOS_COND_PUNCH, 1, &dkey, NULL));
    EXPECT_OK(daos_obj_punch(oh, DAOS_TX_NONE, 0, NULL));
    EXPECT_ERR(
        daos_obj_query_key(oh, DAOS_TX_NONE, DAOS_GET_MAX | DAOS_GET_DKEY, &dkey, NULL, NULL, NULL),
        NONEXIST);
    EXPECT_OK(daos_obj_close(oh, NULL));
}

static void
everything_body(struct rig *rig)
{
    struct app app;

    if (app_init(&app, rig)) {
        containers_check(&app);
        attrs_check(&app);
        kv_check(&app);
        array_check(&app);
        objects_check(&app);
    }
    app_fini(&app);
}

TEST_ON(client_engine, one_of_everything, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, everything_body);
}

/* ---- entries of one access control list, changed by several at once --------------------------------------------------------- */

enum { ACES_NR = 12 };

static struct daos_acl *
acl_of_one(uint32_t i)
{
    char name[32];
    struct daos_ace *ace;
    struct daos_acl *acl;

    snprintf(name, sizeof(name), "user%u@", i);
    ace = daos_ace_create(DAOS_ACL_USER, name);
    ace->dae_access_types = DAOS_ACL_ACCESS_ALLOW;
    ace->dae_allow_perms = DAOS_ACL_PERM_READ;
    acl = daos_acl_create(&ace, 1);
    daos_ace_free(ace);
    return acl;
}

/* The first half adds entries, the second removes those that were there before. */
static int
acl_change(void *arg, uint32_t i)
{
    struct app *app = arg;
    struct daos_acl *acl = acl_of_one(i);
    char name[32];
    int rc;

    snprintf(name, sizeof(name), "user%u@", i);
    rc = i < ACES_NR / 2 ? daos_cont_update_acl(app->coh, acl, NULL)
                         : daos_cont_delete_acl(app->coh, DAOS_ACL_USER, name, NULL);
    daos_acl_free(acl);
    return rc;
}

static void
acl_body(struct rig *rig)
{
    daos_prop_t *prop = NULL;
    struct daos_ace *ace;
    struct daos_acl *acl;
    struct app app;
    char name[32];

    if (!app_init(&app, rig))
        goto out;
    for (uint32_t i = ACES_NR / 2; i < ACES_NR; i++) {
        acl = acl_of_one(i);
        EXPECT_OK(daos_cont_update_acl(app.coh, acl, NULL));
        daos_acl_free(acl);
    }
    EXPECT_OK(client_par(app.client, ACES_NR, ACES_NR, acl_change, &app));
    EXPECT_OK(daos_cont_get_acl(app.coh, &prop, NULL));
    acl = daos_prop_entry_get(prop, DAOS_PROP_CO_ACL)->dpe_val_ptr;
    for (uint32_t i = 0; i < ACES_NR; i++) {
        int rc;

        snprintf(name, sizeof(name), "user%u@", i);
        rc = daos_acl_get_ace_for_principal(acl, DAOS_ACL_USER, name, &ace);
        EXPECT_EQ(rc, i < ACES_NR / 2 ? 0 : -DER_NONEXIST);
    }
    daos_prop_free(prop);
out:
    app_fini(&app);
}

TEST_ON(client_engine, acl_entries_side_by_side, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, acl_body);
}

/* ---- listings that begin with a key ------------------------------------------------------------------------------------------- */

enum { FROM_NR = 40, FROM_LONG = 200 };

/* Keys from an anchor on, one after the other, each with its terminator. */
static uint32_t
keys_from(daos_handle_t oh, daos_key_t *dkey, daos_anchor_t *anchor, char (*keys)[FROM_LONG + 8])
{
    static char buf[4096];
    daos_key_desc_t kds[5];
    d_iov_t iov = {buf, sizeof(buf), sizeof(buf)};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    uint32_t found = 0;

    while (!daos_anchor_is_eof(anchor)) {
        uint32_t nr = 5, off = 0;
        int rc = dkey == NULL
            ? daos_obj_list_dkey(oh, DAOS_TX_NONE, &nr, kds, &sgl, anchor, NULL)
            : daos_obj_list_akey(oh, DAOS_TX_NONE, dkey, &nr, kds, &sgl, anchor, NULL);

        if (!EXPECT_OK(rc))
            break;
        for (uint32_t i = 0; i < nr && found < FROM_NR; i++, found++) {
            memcpy(keys[found], buf + off, kds[i].kd_key_len);
            keys[found][kds[i].kd_key_len] = '\0';
            off += (uint32_t)kds[i].kd_key_len;
        }
    }
    return found;
}

/* From each key on: it, and all behind it. A key that is not there leads to what is behind its place. */
static void
from_each(daos_handle_t oh, daos_key_t *dkey, uint32_t nr)
{
    static char all[FROM_NR][FROM_LONG + 8], some[FROM_NR][FROM_LONG + 8];
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    d_iov_t key;

    if (!EXPECT_EQ(keys_from(oh, dkey, &anchor, all), nr))
        return;
    for (uint32_t i = 0; i < nr; i++) {
        uint32_t got;

        d_iov_set(&key, all[i], strlen(all[i]));
        EXPECT_OK(daos_obj_key2anchor(oh, DAOS_TX_NONE, dkey == NULL ? &key : dkey,
            dkey == NULL ? NULL : &key, &anchor, NULL));
        got = keys_from(oh, dkey, &anchor, some);
        if (!EXPECT_EQ(got, nr - i))
            continue;
        for (uint32_t k = 0; k < got; k++) {
            EXPECT_STR_EQ(some[k], all[i + k]);
        }
    }
    d_iov_set(&key, all[nr / 2], strlen(all[nr / 2]));
    if (dkey == NULL) {
        EXPECT_OK(daos_obj_punch_dkeys(oh, DAOS_TX_NONE, 0, 1, &key, NULL));
        EXPECT_OK(daos_obj_key2anchor(oh, DAOS_TX_NONE, &key, NULL, &anchor, NULL));
        EXPECT_EQ(keys_from(oh, dkey, &anchor, some), nr - nr / 2 - 1);
    }
}

static void
from_body(struct rig *rig)
{
    static const enum daos_otype_t types[] = {DAOS_OT_MULTI_HASHED, DAOS_OT_MULTI_LEXICAL};
    daos_obj_id_t oid = {.lo = 300};
    char name[FROM_LONG + 8], value = 'v';
    d_iov_t dkey, iov = {&value, 1, 1};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_iod_t iod = {.iod_type = DAOS_IOD_SINGLE, .iod_size = 1, .iod_nr = 1};
    daos_anchor_t anchor;
    daos_handle_t oh;
    struct app app;

    if (!app_init(&app, rig))
        goto out;
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        oid.lo++;
        oid.hi = 0;
        EXPECT_OK(daos_obj_generate_oid(app.coh, &oid, types[t], OC_SX, 0, 0));
        EXPECT_OK(daos_obj_open(app.coh, oid, DAOS_OO_RW, &oh, NULL));
        for (int i = 0; i < FROM_NR; i++) {
            /* Some are longer than what an anchor holds of them, and begin alike. */
            snprintf(name, sizeof(name), "%0*d",
                types[t] == DAOS_OT_MULTI_HASHED && i % 3 == 0 ? FROM_LONG : 3, i);
            d_iov_set(&dkey, name, strlen(name));
            d_iov_set(&iod.iod_name, "a", 1);
            EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL));
            iod.iod_name = dkey;
            d_iov_set(&dkey, "one", 3);
            EXPECT_OK(daos_obj_update(oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, NULL));
        }
        from_each(oh, &dkey, FROM_NR);
        EXPECT_OK(daos_obj_punch_dkeys(oh, DAOS_TX_NONE, 0, 1, &dkey, NULL));
        from_each(oh, NULL, FROM_NR);
        EXPECT_ERR(daos_obj_key2anchor(oh, DAOS_TX_NONE, NULL, NULL, &anchor, NULL), INVAL);
        EXPECT_ERR(daos_obj_key2anchor(oh, DAOS_TX_NONE, &dkey, NULL, NULL, NULL), INVAL);
        d_iov_set(&dkey, "", 0);
        EXPECT_ERR(daos_obj_key2anchor(oh, DAOS_TX_NONE, &dkey, NULL, &anchor, NULL), INVAL);
        EXPECT_OK(daos_obj_close(oh, NULL));
        EXPECT_ERR(daos_obj_key2anchor(oh, DAOS_TX_NONE, &dkey, NULL, &anchor, NULL), NO_HDL);
    }
out:
    app_fini(&app);
}

TEST_ON(client_engine, listings_from_a_key, BACKEND_LINUX | BACKEND_SIM)
{
    rig_run(2, from_body);
}

/* ---- handles that the service took back ---------------------------------------------------------------------------------------- */

static void
destroyed_body(struct rig *rig)
{
    daos_obj_id_t oid = {.lo = 1};
    daos_handle_t oh;
    struct app app;

    if (app_init(&app, rig)) {
        EXPECT_OK(daos_obj_generate_oid(app.coh, &oid, DAOS_OT_KV_HASHED, OC_SX, 0, 0));
        EXPECT_OK(daos_kv_open(app.coh, oid, DAOS_OO_RW, &oh, NULL));
        EXPECT_OK(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 1, "v", NULL));
        EXPECT_OK(daos_cont_destroy(app.poh, "box", 1, NULL)); /* although it is open */
        ult_sleep(5000000000);
        EXPECT_NE(daos_kv_put(oh, DAOS_TX_NONE, 0, "k", 1, "v", NULL), 0);
        EXPECT_OK(daos_kv_close(oh, NULL));
        CAIRN_IGNORE(daos_cont_close(
            app.coh, NULL)); /* the service does not know it any more; the handle may say so */
        app.coh.cookie = 0;
        app.poh.cookie = 0;
    }
    app_fini(&app);
}

TEST_ON(client_engine, destroyed_under_an_open_handle, BACKEND_SIM)
{
    rig_run(2, destroyed_body);
}

/* ---- another installation of the system's name ---------------------------------------------------------------------------------- */

static void
foreign_body(struct rig *rig)
{
    struct uuid other = cuuid_derive(&RIG_SYSTEM_UUID, 1);
    uint64_t start_ns, oid;
    char path[256];
    struct app app;

    if (app_init(&app, rig)) {
        EXPECT_OK(daos_cont_alloc_oids(app.coh, 1, &oid, NULL));
        EXPECT(!client_tools_foreign(path, sizeof(path)));
        app_attach_write_as(rig, other);
        EXPECT_OK(daos_cont_alloc_oids(
            app.coh, 1, &oid, NULL)); /* its own engines are there: nobody looks */
        rig_engine_kill(rig, 0);
        start_ns = ult_now_ns();
        EXPECT_ERR(daos_cont_alloc_oids(app.coh, 1, &oid, NULL), MISMATCH);
        EXPECT_LT(ult_now_ns() - start_ns,
            CLIENT_CALL_NS / 10); /* it will not come back: no use to wait */
        EXPECT(client_tools_foreign(path, sizeof(path)));
        EXPECT(strstr(path, "attach.json") != NULL);
        /* It does, after all. */
        EXPECT_OK(rig_engine_start(rig, 0));
        EXPECT_OK(rig_group_push(rig));
        app_attach_write(rig);
        ult_sleep(2 * CLIENT_REFRESH_NS);
        EXPECT_OK(daos_cont_alloc_oids(app.coh, 1, &oid, NULL));
        EXPECT(!client_tools_foreign(path, sizeof(path)));
    }
    app_fini(&app);
}

TEST_ON(client_engine, another_installation, BACKEND_SIM)
{
    rig_run(2, foreign_body);
}

/* An application that is attached to another installation than the engines at its addresses. */
static void
stranger_body(struct rig *rig)
{
    struct client_opts opts = {.plat = rig->client_plat, .xs = rig->xs};
    struct daos_client *client, *own;
    uint64_t start_ns;
    daos_handle_t poh;
    struct app app;

    if (app_init(&app, rig)) {
        app_attach_write_as(rig, cuuid_derive(&RIG_SYSTEM_UUID, 2));
        own = client_self();
        EXPECT_OK(client_create(&opts, &client));
        client_self_set(client);
        start_ns = ult_now_ns();
        EXPECT_ERR(daos_pool_connect("tank", RIG_SYSTEM, DAOS_PC_RW, &poh, NULL, NULL), MISMATCH);
        EXPECT_LT(ult_now_ns() - start_ns, UINT64_C(1000000000));
        client_self_set(own);
        client_destroy(client);
    }
    app_fini(&app);
}

TEST_ON(client_engine, attached_to_another_installation, BACKEND_SIM)
{
    rig_run(2, stranger_body);
}
