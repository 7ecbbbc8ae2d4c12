/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Key-value stores: a key is a dkey, its value the single value under the akey '0' (api.md 5). Tested by test/client.
 *
 * Keys are texts; those of KV_UINT64 objects are 8 bytes.
 */
#include "daos_kv.h"

#include "base/util.h"
#include "client/core/client_event.h"
#include "client/obj/client_obj.h"

#include <stdlib.h>
#include <string.h>

struct client_kv {
    struct client_obj *obj;
    uint32_t ref_nr;
};

static const char akey_name[] = "0";

static void
kv_put(struct client_kv *kv)
{
    if (--kv->ref_nr > 0)
        return;
    client_obj_put(kv->obj);
    free(kv);
}

static void
kv_fini(void *ptr)
{
    kv_put(ptr);
}

/* ---- open and close ------------------------------------------------------------------------------------------------------- */

struct kv_args {
    daos_handle_t coh, oh, th;
    struct oid oid;
    unsigned int mode;
    daos_handle_t *ret_oh;
    uint64_t flags;
    const char *key;
    daos_size_t size;
    daos_size_t *ret_size;
    void *buf;
    uint32_t *nr;
    daos_key_desc_t *kds;
    d_sg_list_t *sgl;
    daos_anchor_t *anchor;
};

static int
open_ult(void *arg)
{
    struct kv_args *args = arg;
    struct daos_client *client = client_self();
    struct client_cont *cont;
    struct client_kv *kv;
    uint64_t cookie;
    int rc = client_cont_of(client, args->coh.cookie, &cont);

    if (rc != 0)
        return rc;
    if (!placement_otype_is_kv(placement_oid_type(args->oid)))
        return CAIRN_ERR(INVAL);
    kv = calloc(1, sizeof(*kv));
    if (kv == NULL)
        return CAIRN_ERR(NOMEM);
    kv->ref_nr = 1;
    rc = client_obj_open(cont, args->oid, args->mode, &kv->obj);
    if (rc == 0)
        rc = client_hdl_new(client, CLIENT_HDL_KV, kv, kv_fini, &cookie);
    if (rc != 0) {
        kv_put(kv);
        return rc;
    }
    args->ret_oh->cookie = cookie;
    return 0;
}

int
daos_kv_open(
    daos_handle_t coh, daos_obj_id_t oid, unsigned int mode, daos_handle_t *oh, daos_event_t *ev)
{
    struct kv_args args = {
        .coh = coh, .oid = {.lo = oid.lo, .hi = oid.hi}, .mode = mode, .ret_oh = oh};

    if (oh == NULL)
        return client_refuse();
    return client_run(ev, open_ult, &args, sizeof(args));
}

static int
close_ult(void *arg)
{
    struct kv_args *args = arg;
    struct client_kv *kv = client_hdl_del(client_self(), CLIENT_HDL_KV, args->oh.cookie);

    if (kv == NULL)
        return CAIRN_ERR(NO_HDL);
    kv_put(kv);
    return 0;
}

int
daos_kv_close(daos_handle_t oh, daos_event_t *ev)
{
    struct kv_args args = {.oh = oh};

    return client_run(ev, close_ult, &args, sizeof(args));
}

/* ---- operations ------------------------------------------------------------------------------------------------------------- */

static int
kv_enter(const struct kv_args *args, struct client_kv **ret_kv)
{
    struct client_kv *kv = client_hdl_get(client_self(), CLIENT_HDL_KV, args->oh.cookie);

    struct client_kv *at;
    int rc;

    if (kv == NULL)
        return CAIRN_ERR(NO_HDL);
    if (CAIRN_LIKELY(args->th.cookie == 0)) {
        kv->ref_nr++;
        *ret_kv = kv;
        return 0;
    }
    at = calloc(1, sizeof(*at));
    if (at == NULL)
        return CAIRN_ERR(NOMEM);
    at->ref_nr = 1;
    rc = client_obj_at(kv->obj, args->th, &at->obj);
    if (rc != 0) {
        free(at);
        return rc;
    }
    *ret_kv = at;
    return 0;
}

static d_iov_t
kv_key(const struct client_kv *kv, const char *key)
{
    size_t len = placement_otype_dkey(kv->obj->otype) == PLACEMENT_KEY_UINT64
        ? sizeof(uint64_t)
        : strnlen(key, PROTO_KEY_BYTES_MAX + 1);
    d_iov_t iov;

    d_iov_set(&iov, (void *)(uintptr_t)key, len);
    return iov;
}

static daos_iod_t
kv_iod(daos_size_t size)
{
    daos_iod_t iod = {.iod_type = DAOS_IOD_SINGLE, .iod_size = size, .iod_nr = 1};

    d_iov_set(&iod.iod_name, (void *)(uintptr_t)akey_name, 1);
    return iod;
}

static int
put_ult(void *arg)
{
    struct kv_args *args = arg;
    daos_iod_t iod = kv_iod(args->size);
    struct client_kv *kv;
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    struct client_io io = {.flags = args->flags, .dkey = &dkey, .nr = 1, .iods = &iod, .sgls = &sgl};
    int rc = kv_enter(args, &kv);

    if (rc != 0)
        return rc;
    dkey = kv_key(kv, args->key);
    d_iov_set(&iov, args->buf, args->size);
    rc = client_obj_update(kv->obj, &io);
    kv_put(kv);
    return rc;
}

int
daos_kv_put(daos_handle_t oh, daos_handle_t th, uint64_t flags, const char *key, daos_size_t size,
    const void *buf, daos_event_t *ev)
{
    struct kv_args args = {
        .oh = oh, .th = th, .flags = flags, .key = key, .size = size, .buf = (void *)(uintptr_t)buf};

    if (key == NULL || buf == NULL || size == 0)
        return client_refuse();
    return client_run(ev, put_ult, &args, sizeof(args));
}

static int
get_ult(void *arg)
{
    struct kv_args *args = arg;
    daos_iod_t iod = kv_iod(DAOS_REC_ANY);
    bool is_query = args->buf == NULL || *args->ret_size == 0;
    struct client_kv *kv;
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    struct client_io io = {
        .flags = args->flags, .dkey = &dkey, .nr = 1, .iods = &iod, .sgls = is_query ? NULL : &sgl};
    int rc = kv_enter(args, &kv);

    if (rc != 0)
        return rc;
    dkey = kv_key(kv, args->key);
    d_iov_set(&iov, args->buf, *args->ret_size);
    rc = client_obj_fetch(kv->obj, &io);
    if (rc == 0 || rc == -DER_REC2BIG)
        *args->ret_size = iod.iod_size;
    kv_put(kv);
    return rc;
}

int
daos_kv_get(daos_handle_t oh, daos_handle_t th, uint64_t flags, const char *key, daos_size_t *size,
    void *buf, daos_event_t *ev)
{
    struct kv_args args = {
        .oh = oh, .th = th, .flags = flags, .key = key, .ret_size = size, .buf = buf};

    if (key == NULL || size == NULL)
        return client_refuse();
    return client_run(ev, get_ult, &args, sizeof(args));
}

static int
remove_ult(void *arg)
{
    struct kv_args *args = arg;
    struct client_kv *kv;
    d_iov_t dkey;
    int rc = kv_enter(args, &kv);

    if (rc != 0)
        return rc;
    dkey = kv_key(kv, args->key);
    rc = client_obj_punch_dkey(kv->obj, args->flags, &dkey);
    kv_put(kv);
    return rc;
}

int
daos_kv_remove(daos_handle_t oh, daos_handle_t th, uint64_t flags, const char *key, daos_event_t *ev)
{
    struct kv_args args = {.oh = oh, .th = th, .flags = flags, .key = key};

    if (key == NULL)
        return client_refuse();
    return client_run(ev, remove_ult, &args, sizeof(args));
}

static int
destroy_ult(void *arg)
{
    struct kv_args *args = arg;
    struct client_kv *kv;
    int rc = kv_enter(args, &kv);

    if (rc != 0)
        return rc;
    rc = client_obj_punch(kv->obj, 0);
    kv_put(kv);
    return rc;
}

int
daos_kv_destroy(daos_handle_t oh, daos_handle_t th, daos_event_t *ev)
{
    struct kv_args args = {.oh = oh, .th = th};

    return client_run(ev, destroy_ult, &args, sizeof(args));
}

static int
list_ult(void *arg)
{
    struct kv_args *args = arg;
    struct client_kv *kv;
    int rc = kv_enter(args, &kv);

    if (rc != 0)
        return rc;
    rc = client_obj_list_keys(kv->obj, NULL, args->nr, args->kds, args->sgl, args->anchor);
    kv_put(kv);
    return rc;
}

int
daos_kv_list(daos_handle_t oh, daos_handle_t th, uint32_t *nr, daos_key_desc_t *kds,
    d_sg_list_t *sgl, daos_anchor_t *anchor, daos_event_t *ev)
{
    struct kv_args args = {.oh = oh, .th = th, .nr = nr, .kds = kds, .sgl = sgl, .anchor = anchor};

    return client_run(ev, list_ult, &args, sizeof(args));
}
