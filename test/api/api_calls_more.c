/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The part of api_calls_test.c on calls that take an event and that no known program of symbols/ makes. */
#include "api/api_calls.h"

#include <daos_fs_sys.h>
#include <daos_uns.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
calls_attrs(struct api_store *store)
{
    const char *names[] = {"name"};
    const void *values[] = {"value"};
    size_t size = 6, list_size = 64;
    char buf[64];
    void *bufs[] = {buf};

    CALL_OK(daos_pool_set_attr, store->poh, 1, names, values, &size, EV);
    CALL_OK(daos_pool_get_attr, store->poh, 1, names, bufs, &size, EV);
    EXPECT_STR_EQ(buf, "value");
    CALL_OK(daos_pool_list_attr, store->poh, buf, &list_size, EV);
    EXPECT_EQ(list_size, 5);
    CALL_OK(daos_pool_del_attr, store->poh, 1, names, EV);
    CALL_ERR(NONEXIST, daos_pool_get_attr, store->poh, 1, names, bufs, &size, EV);
    size = 6;
    list_size = 64;
    CALL_OK(daos_cont_set_attr, store->coh, 1, names, values, &size, EV);
    CALL_OK(daos_cont_get_attr, store->coh, 1, names, bufs, &size, EV);
    EXPECT_STR_EQ(buf, "value");
    CALL_OK(daos_cont_list_attr, store->coh, buf, &list_size, EV);
    EXPECT_EQ(list_size, 5);
    CALL_OK(daos_cont_del_attr, store->coh, 1, names, EV);
    CALL_ERR(NONEXIST, daos_cont_get_attr, store->coh, 1, names, bufs, &size, EV);
}

static void
calls_queries(struct api_store *store)
{
    daos_mgmt_pool_info_t pools[2];
    daos_prop_t *prop = daos_prop_alloc(1);
    daos_target_info_t tgt;
    daos_cont_info_t info;
    daos_size_t nr = 2;

    CALL_OK(daos_pool_query_target, store->poh, 1, 0, &tgt, EV);
    EXPECT_EQ(tgt.ta_state, DAOS_TS_UP_IN);
    if (CALL_OK(daos_mgmt_list_pools, NULL, &nr, pools, EV) && EXPECT_EQ(nr, 1)) {
        EXPECT_STR_EQ(pools[0].mgpi_label, "tank");
        free(pools[0].mgpi_label);
        free(pools[0].mgpi_svc->rl_ranks);
        free(pools[0].mgpi_svc);
    }
    prop->dpp_entries[0].dpe_type = DAOS_PROP_CO_LABEL;
    prop->dpp_entries[0].dpe_str = strdup("renamed");
    CALL_OK(daos_cont_set_prop, store->coh, prop, EV);
    free(prop->dpp_entries[0].dpe_str);
    prop->dpp_entries[0].dpe_str = NULL;
    CALL_OK(daos_cont_query, store->coh, &info, prop, EV);
    EXPECT_STR_EQ(prop->dpp_entries[0].dpe_str, "renamed");
    daos_prop_free(prop);
}

static void
calls_keys(struct api_store *store)
{
    uint64_t dkey_no = 7, akey_no = 8, got_dkey = 0, got_akey = 0;
    daos_recx_t recx = {.rx_idx = 2, .rx_nr = 4}, got = {0};
    d_iov_t dkey = {&dkey_no, 8, 8}, iov = {&(char[4]){1, 2, 3, 4}, 4, 4};
    d_iov_t got_d = {&got_dkey, 8, 8}, got_a = {&got_akey, 8, 8};
    daos_iod_t iod = {.iod_name = {&akey_no, 8, 8},
        .iod_type = DAOS_IOD_ARRAY,
        .iod_size = 1,
        .iod_nr = 1,
        .iod_recxs = &recx};
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    daos_obj_id_t oid = {.lo = 77};
    daos_epoch_range_t epr;
    daos_anchor_t anchor = {0};
    daos_epoch_t epoch = 0;
    daos_size_t size = 0;
    uint32_t nr = 1;
    daos_handle_t oh;

    EXPECT_OK(daos_obj_generate_oid(store->coh, &oid, DAOS_OT_MULTI_UINT64, OC_SX, 0, 0));
    CALL_OK(daos_obj_open, store->coh, oid, DAOS_OO_RW, &oh, EV);
    CALL_OK(daos_obj_update, oh, DAOS_TX_NONE, 0, &dkey, 1, &iod, &sgl, EV);
    CALL_OK(daos_obj_list_recx, oh, DAOS_TX_NONE, &dkey, &iod.iod_name, &size, &nr, &got, &epr,
        &anchor, true, EV);
    EXPECT_EQ(nr, 1);
    EXPECT_EQ(got.rx_nr, 4);
    CALL_OK(daos_obj_query_key, oh, DAOS_TX_NONE,
        DAOS_GET_MAX | DAOS_GET_DKEY | DAOS_GET_AKEY | DAOS_GET_RECX, &got_d, &got_a, &got, EV);
    EXPECT_EQ(got_dkey, 7);
    EXPECT_EQ(got_akey, 8);
    CALL_OK(daos_obj_query_max_epoch, oh, DAOS_TX_NONE, &epoch, EV);
    EXPECT_GT(epoch, 0);
    CALL_OK(daos_obj_key2anchor, oh, DAOS_TX_NONE, &dkey, NULL, &anchor, EV);
    CALL_OK(daos_obj_punch_akeys, oh, DAOS_TX_NONE, 0, &dkey, 1, &iod.iod_name, EV);
    CALL_OK(daos_obj_punch, oh, DAOS_TX_NONE, 0, EV);
    CALL_OK(daos_obj_close, oh, EV);
}

static void
calls_array_rest(struct api_store *store)
{
    daos_range_t range = {.rg_idx = 5, .rg_len = 10};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &range};
    daos_obj_id_t oid = {.lo = 78};
    daos_array_stbuf_t stbuf;
    daos_handle_t oh;

    EXPECT_OK(daos_obj_generate_oid(store->coh, &oid, DAOS_OT_ARRAY_BYTE, OC_SX, 0, 0));
    CALL_OK(daos_array_open_with_attr, store->coh, oid, DAOS_TX_NONE, DAOS_OO_RW, 1, 4096, &oh, EV);
    CALL_OK(daos_array_set_size, oh, DAOS_TX_NONE, 5000, EV);
    CALL_OK(daos_array_punch, oh, DAOS_TX_NONE, &iod, EV);
    CALL_OK(daos_array_stat, oh, DAOS_TX_NONE, &stbuf, EV);
    EXPECT_EQ(stbuf.st_size, 5000);
    CALL_OK(daos_array_close, oh, EV);
}

/* Who may what, and whose it is. */
static void
calls_acl(struct api_store *store)
{
    struct daos_ace *ace = daos_ace_create(DAOS_ACL_USER, "somebody@"), *other;
    daos_handle_t bad = {.cookie = 77};
    daos_prop_t *prop = NULL;
    struct daos_acl *acl, *got;
    char user[] = "root@", group[] = "root@", nobody[] = "no such user@", name[] = "somebody@";

    ace->dae_access_types = DAOS_ACL_ACCESS_ALLOW;
    ace->dae_allow_perms = DAOS_ACL_PERM_READ;
    acl = daos_acl_create(&ace, 1);
    daos_ace_free(ace);
    CALL_ERR(INVAL, daos_cont_overwrite_acl, store->coh, NULL, EV);
    CALL_ERR(NO_HDL, daos_cont_overwrite_acl, bad, acl, EV);
    CALL_ERR(NO_PERM, daos_cont_overwrite_acl, store->ro_coh, acl, EV);
    CALL_OK(daos_cont_overwrite_acl, store->coh, acl, EV);
    daos_acl_free(acl);
    other = daos_ace_create(DAOS_ACL_EVERYONE, NULL);
    other->dae_access_types = DAOS_ACL_ACCESS_ALLOW;
    other->dae_allow_perms = DAOS_ACL_PERM_READ | DAOS_ACL_PERM_WRITE;
    acl = daos_acl_create(&other, 1);
    CALL_ERR(NO_PERM, daos_cont_update_acl, store->ro_coh, acl, EV);
    CALL_ERR(INVAL, daos_cont_update_acl, store->coh, NULL, EV);
    CALL_OK(daos_cont_update_acl, store->coh, acl, EV);
    CALL_ERR(NO_HDL, daos_cont_set_owner, bad, user, group, EV);
    CALL_ERR(INVAL, daos_cont_set_owner, store->coh, NULL, NULL, EV);
    CALL_ERR(NONEXIST, daos_cont_set_owner, store->coh, nobody, NULL, NULL);
    CALL_OK(daos_cont_set_owner, store->coh, user, NULL, EV);
    CALL_OK(daos_cont_set_owner_no_check, store->coh, NULL, nobody, EV);
    CALL_ERR(INVAL, daos_cont_get_acl, store->coh, NULL, EV);
    CALL_ERR(NO_HDL, daos_cont_get_acl, bad, &prop, EV);
    if (CALL_OK(daos_cont_get_acl, store->ro_coh, &prop, EV)) {
        got = daos_prop_entry_get(prop, DAOS_PROP_CO_ACL)->dpe_val_ptr;
        EXPECT_OK(daos_acl_validate(got));
        EXPECT_OK(daos_acl_get_ace_for_principal(got, DAOS_ACL_USER, "somebody@", &ace));
        EXPECT_EQ(ace->dae_allow_perms, DAOS_ACL_PERM_READ);
        EXPECT_OK(daos_acl_get_ace_for_principal(got, DAOS_ACL_EVERYONE, NULL, &ace));
        EXPECT_STR_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_OWNER)->dpe_str, "root@");
        EXPECT_STR_EQ(daos_prop_entry_get(prop, DAOS_PROP_CO_OWNER_GROUP)->dpe_str, nobody);
        daos_prop_free(prop);
    }
    CALL_ERR(INVAL, daos_cont_delete_acl, store->coh, DAOS_ACL_USER, NULL, EV);
    CALL_ERR(NONEXIST, daos_cont_delete_acl, store->coh, DAOS_ACL_OWNER, NULL, EV);
    CALL_OK(daos_cont_delete_acl, store->coh, DAOS_ACL_USER, name, EV);
    CALL_ERR(NONEXIST, daos_cont_delete_acl, store->coh, DAOS_ACL_USER, name, EV);
    CALL_ERR(NO_PERM, daos_cont_status_clear, store->ro_coh, EV);
    CALL_OK(daos_cont_status_clear, store->coh, EV);
    daos_acl_free(acl);
    daos_ace_free(other);
}

/* Paths of the host that lead into containers, where its file system has extended attributes. */
static void
calls_paths(struct api_store *store)
{
    char dir[] = "/tmp/cairn-api-XXXXXX", path[64], link[64];
    struct duns_attr_t attr = {.da_type = DAOS_PROP_CO_LAYOUT_POSIX}, got = {0};
    struct stat st;
    int rc;

    if (!EXPECT(mkdtemp(dir) != NULL))
        return;
    snprintf(path, sizeof(path), "%s/tree", dir);
    snprintf(link, sizeof(link), "%s/link", dir);
    CALL_ERRNO(EINVAL, duns_create_path, store->poh, path, NULL);
    CALL_ERRNO(EINVAL, duns_link_cont, store->poh, "renamed", NULL);
    CALL_ERRNO(ENOENT, duns_link_cont, store->poh, "none", link);
    CALL_ERRNO(EINVAL, duns_destroy_path, store->poh, NULL);
    CALL_ERRNO(ENOENT, duns_destroy_path, store->poh, path);
    rc = duns_create_path(store->poh, path, &attr);
    if (rc == ENOTSUP) { /* of the file system; nothing may be left */
        EXPECT_NE(stat(path, &st), 0);
    } else if (EXPECT_EQ(rc, 0)) {
        EXPECT_EQ(duns_resolve_path(path, &got), 0);
        EXPECT_STR_EQ(got.da_cont, attr.da_cont);
        EXPECT_EQ(got.da_type, DAOS_PROP_CO_LAYOUT_POSIX);
        EXPECT_EQ(duns_create_path(store->poh, path, &attr), EEXIST);
        EXPECT_EQ(duns_link_cont(store->poh, got.da_cont, link), 0);
        duns_destroy_attr(&got);
        EXPECT_EQ(duns_resolve_path(link, &got), 0);
        EXPECT_STR_EQ(got.da_cont, attr.da_cont);
        duns_destroy_attr(&got);
        EXPECT_EQ(duns_destroy_path(store->poh, path), 0);
        EXPECT_NE(stat(path, &st), 0);
        EXPECT_EQ(duns_destroy_path(store->poh, link), ENOENT); /* its container is gone */
        EXPECT_EQ(rmdir(link), 0);
    }
    EXPECT_EQ(rmdir(dir), 0);
}

static int
filter_all(daos_obj_id_t oid, d_iov_t *marker)
{
    (void)oid;
    return marker != NULL;
}

static void
calls_snap_rest(struct api_store *store)
{
    d_iov_t mark = {(char[]){"mark"}, 4, 4};
    daos_anchor_t anchor = {0};
    daos_obj_id_t oid = {.lo = 79}, oids[64];
    daos_epoch_t epoch = 0, got = 0;
    daos_handle_t th, oh, kv;
    daos_size_t size = 2;
    uint32_t nr = 64;
    char value[2];
    int snaps = 1;

    EXPECT_OK(daos_obj_generate_oid(store->coh, &oid, DAOS_OT_KV_HASHED, OC_S1, 0, 0));
    EXPECT_OK(daos_kv_open(store->coh, oid, DAOS_OO_RW, &kv, NULL));
    EXPECT_OK(daos_kv_put(kv, DAOS_TX_NONE, 0, "k", 2, "1", NULL));
    CALL_OK(daos_cont_create_snap, store->coh, &epoch, NULL, EV);
    EXPECT_OK(daos_kv_put(kv, DAOS_TX_NONE, 0, "k", 2, "2", NULL));
    CALL_OK(daos_cont_list_snap, store->coh, &snaps, &got, NULL, &anchor, EV);
    EXPECT_EQ(snaps, 1);
    EXPECT_EQ(got, epoch);
    CALL_ERR(NONEXIST, daos_tx_open_snap, store->coh, epoch - 1, &th, EV);
    CALL_OK(daos_tx_open_snap, store->coh, epoch, &th, EV);
    EXPECT_OK(daos_kv_get(kv, th, 0, "k", &size, value, NULL));
    EXPECT_STR_EQ(value, "1");
    EXPECT_ERR(daos_kv_put(kv, th, 0, "k", 2, "3", NULL), NO_PERM);
    EXPECT_OK(daos_tx_hdl2epoch(th, &got));
    EXPECT_EQ(got, epoch);
    CALL_OK(daos_tx_commit, th, EV);
    CALL_OK(daos_tx_abort, th, EV);
    CALL_ERR(NO_PERM, daos_tx_restart, th, EV);
    CALL_OK(daos_tx_close, th, EV);
    CALL_OK(daos_cont_snap_oit_create, store->coh, epoch, NULL, EV);
    EXPECT_OK(daos_oit_open(store->coh, epoch, &oh, NULL));
    CALL_OK(daos_oit_mark, oh, oid, &mark, EV);
    memset(&anchor, 0, sizeof(anchor));
    CALL_OK(daos_oit_list_filter, oh, oids, &nr, &anchor, filter_all, EV);
    EXPECT_EQ(nr, 1);
    nr = 64;
    memset(&anchor, 0, sizeof(anchor));
    CALL_OK(daos_oit_list_unmarked, oh, oids, &nr, &anchor, EV);
    CALL_OK(daos_cont_snap_oit_destroy, store->coh, oh, EV);
    EXPECT_OK(daos_oit_close(oh, NULL));
    EXPECT_OK(daos_cont_destroy_snap(store->coh, (daos_epoch_range_t){epoch, epoch}, NULL));
    EXPECT_OK(daos_kv_destroy(kv, DAOS_TX_NONE, NULL));
    EXPECT_OK(daos_kv_close(kv, NULL));
}

static void
calls_fs_sys(struct api_store *store)
{
    char text[] = "text", back[8] = "";
    daos_size_t size = sizeof(text);
    daos_handle_t coh;
    dfs_obj_t *obj;
    dfs_sys_t *sys;

    if (!EXPECT_OK(daos_cont_open(store->poh, "tree", DAOS_COO_RW, &coh, NULL, NULL)) ||
        !EXPECT_EQ(dfs_sys_mount(store->poh, coh, O_RDWR, 0, &sys), 0))
        return;
    EXPECT_EQ(dfs_sys_open(sys, "/s", S_IFREG | 0644, O_RDWR | O_CREAT, 0, 0, NULL, &obj), 0);
    CALL_OK(dfs_sys_write, sys, obj, text, 0, &size, EV);
    size = sizeof(back);
    CALL_OK(dfs_sys_read, sys, obj, back, 0, &size, EV);
    EXPECT_STR_EQ(back, "text");
    EXPECT_EQ(dfs_sys_close(obj), 0);
    EXPECT_EQ(dfs_sys_umount(sys), 0);
    EXPECT_OK(daos_cont_close(coh, NULL));
    CALL_ERRNO(EINVAL, dfs_destroy, NULL, NULL, "tree", 1, EV);
    CALL_OK(dfs_destroy, "tank", NULL, "tree", 1, EV);
    CALL_ERRNO(ENOENT, dfs_destroy, "tank", NULL, "tree", 1, EV);
}

void
api_calls_more(struct api_store *store)
{
    calls_attrs(store);
    calls_queries(store);
    calls_keys(store);
    calls_array_rest(store);
    calls_snap_rest(store);
    calls_acl(store);
    calls_paths(store);
    calls_fs_sys(store);
}
