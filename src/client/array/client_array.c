/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daos_array_*(): handles and attributes of arrays (client_array.h). Tested by test/client. */
#include "client/array/client_array.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"
#include "client/core/client_glob.h"
#include "client/core/client_snap.h"

#include <stdlib.h>
#include <string.h>

#define ARRAY_MAGIC UINT64_C(0xdaca55a9daca55a9)
enum { META_BYTES = 24 };

CAIRN_STATIC_ASSERT(sizeof(daos_array_iod_t) == 32, "size in the API");

static const char akey_name[] = "0";

struct array_args {
    daos_handle_t coh, oh, th;
    struct oid oid;
    unsigned int mode;
    uint64_t cell_bytes, chunk_nr;
    daos_size_t *ret_cell, *ret_chunk;
    daos_handle_t *ret_oh;
    daos_array_iod_t *iod;
    d_sg_list_t *sgl;
    uint64_t size;
    daos_size_t *ret_size;
    daos_array_stbuf_t *stbuf;
};

/* ---- handles ----------------------------------------------------------------------------------------------------------------- */

void
client_array_put(struct client_array *array)
{
    if (--array->ref_nr > 0)
        return;
    client_obj_put(array->obj);
    free(array);
}

static void
array_fini(void *ptr)
{
    client_array_put(ptr);
}

int
client_array_enter(daos_handle_t oh, daos_handle_t th, struct client_array **ret_array)
{
    struct client_array *array = client_hdl_get(client_self(), CLIENT_HDL_ARRAY, oh.cookie);

    struct client_array *at;
    int rc;

    if (array == NULL)
        return CAIRN_ERR(NO_HDL);
    if (CAIRN_LIKELY(th.cookie == 0)) {
        array->ref_nr++;
        *ret_array = array;
        return 0;
    }
    at = calloc(1, sizeof(*at));
    if (at == NULL)
        return CAIRN_ERR(NOMEM);
    *at = *array;
    at->ref_nr = 1;
    rc = client_obj_at(array->obj, th, &at->obj);
    if (rc != 0) {
        free(at);
        return rc;
    }
    *ret_array = at;
    return 0;
}

static int
array_new(struct client_cont *cont, struct oid oid, unsigned int mode, struct client_array **ret_array)
{
    struct client_array *array = calloc(1, sizeof(*array));
    int rc;

    if (array == NULL)
        return CAIRN_ERR(NOMEM);
    array->ref_nr = 1;
    rc = client_obj_open(cont, oid, mode, &array->obj);
    if (rc != 0) {
        free(array);
        return rc;
    }
    *ret_array = array;
    return 0;
}

/* The reference passes to the handle, or is dropped. */
static int
array_hdl(struct client_array *array, daos_handle_t *ret_oh)
{
    uint64_t cookie;
    int rc = client_hdl_new(client_self(), CLIENT_HDL_ARRAY, array, array_fini, &cookie);

    if (rc != 0) {
        client_array_put(array);
    } else {
        ret_oh->cookie = cookie;
    }
    return rc;
}

/* ---- stored attributes ----------------------------------------------------------------------------------------------------------- */

/* Both directions: the value at dkey 0. */
static int
meta_io(struct client_obj *obj, uint8_t *meta, bool is_update)
{
    uint64_t dkey_value = 0;
    daos_iod_t iod = {.iod_type = DAOS_IOD_SINGLE, .iod_size = META_BYTES, .iod_nr = 1};
    d_iov_t dkey, iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    struct client_io io = {.dkey = &dkey, .nr = 1, .iods = &iod, .sgls = &sgl};

    d_iov_set(&dkey, &dkey_value, sizeof(dkey_value));
    d_iov_set(&iod.iod_name, (void *)(uintptr_t)akey_name, 1);
    d_iov_set(&iov, meta, META_BYTES);
    if (is_update) {
        io.flags = DAOS_COND_DKEY_INSERT | DAOS_COND_AKEY_INSERT;
        return client_obj_update(obj, &io);
    }
    io.flags = DAOS_COND_DKEY_FETCH | DAOS_COND_AKEY_FETCH;
    return client_obj_fetch(obj, &io);
}

static int
meta_store(const struct client_array *array)
{
    uint8_t meta[META_BYTES];

    le64_put(meta, ARRAY_MAGIC);
    le64_put(meta + 8, array->cell_bytes);
    le64_put(meta + 16, array->chunk_nr);
    return meta_io(array->obj, meta, true);
}

static int
meta_load(struct client_array *array, daos_handle_t th)
{
    uint8_t meta[META_BYTES] = {0};
    struct client_obj *obj;
    int rc = client_obj_at(array->obj, th, &obj);

    if (rc != 0)
        return rc;
    rc = meta_io(obj, meta, false);
    client_obj_put(obj);
    if (rc != 0)
        return rc;
    array->cell_bytes = le64_get(meta + 8);
    array->chunk_nr = le64_get(meta + 16);
    if (le64_get(meta) != ARRAY_MAGIC || array->cell_bytes == 0 || array->chunk_nr == 0)
        return CAIRN_ERR(NO_PERM); /* the API's code for an object that holds something else */
    return 0;
}

/* ---- create, open, close ------------------------------------------------------------------------------------------------------------ */

static int
create_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_cont *cont;
    struct client_array *array;
    struct client_cont *view;
    int rc = client_cont_of(client_self(), args->coh.cookie, &cont);

    if (rc == 0 && args->th.cookie != 0) {
        rc = client_tx_view(args->th, cont, &view);
        if (rc == 0)
            rc = CAIRN_ERR(NO_PERM); /* a snapshot's */
    }
    if (rc == 0)
        rc = array_new(cont, args->oid, DAOS_OO_RW, &array);
    if (rc != 0)
        return rc;
    array->cell_bytes = args->cell_bytes;
    array->chunk_nr = args->chunk_nr;
    rc = meta_store(array);
    if (rc != 0) {
        client_array_put(array);
        return rc;
    }
    return array_hdl(array, args->ret_oh);
}

int
daos_array_create(daos_handle_t coh, daos_obj_id_t oid, daos_handle_t th, daos_size_t cell_size,
    daos_size_t chunk_size, daos_handle_t *oh, daos_event_t *ev)
{
    struct array_args args = {.coh = coh,
        .th = th,
        .oid = {.lo = oid.lo, .hi = oid.hi},
        .cell_bytes = cell_size,
        .chunk_nr = chunk_size,
        .ret_oh = oh};

    if (oh == NULL || cell_size == 0 || chunk_size == 0 || daos_obj_id2type(oid) != DAOS_OT_ARRAY)
        return client_refuse();
    return client_run(ev, create_ult, &args, sizeof(args));
}

static int
open_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_cont *cont;
    struct client_array *array;
    int rc = client_cont_of(client_self(), args->coh.cookie, &cont);

    if (rc == 0)
        rc = array_new(cont, args->oid, args->mode, &array);
    if (rc != 0)
        return rc;
    if (args->ret_cell == NULL) {
        array->cell_bytes = args->cell_bytes;
        array->chunk_nr = args->chunk_nr;
        return array_hdl(array, args->ret_oh);
    }
    rc = meta_load(array, args->th);
    if (rc != 0) {
        client_array_put(array);
        return rc;
    }
    *args->ret_cell = array->cell_bytes;
    *args->ret_chunk = array->chunk_nr;
    return array_hdl(array, args->ret_oh);
}

int
daos_array_open(daos_handle_t coh, daos_obj_id_t oid, daos_handle_t th, unsigned int mode,
    daos_size_t *cell_size, daos_size_t *chunk_size, daos_handle_t *oh, daos_event_t *ev)
{
    struct array_args args = {.coh = coh,
        .th = th,
        .oid = {.lo = oid.lo, .hi = oid.hi},
        .mode = mode,
        .ret_cell = cell_size,
        .ret_chunk = chunk_size,
        .ret_oh = oh};

    if (oh == NULL || cell_size == NULL || chunk_size == NULL ||
        daos_obj_id2type(oid) != DAOS_OT_ARRAY)
        return client_refuse();
    return client_run(ev, open_ult, &args, sizeof(args));
}

int
daos_array_open_with_attr(daos_handle_t coh, daos_obj_id_t oid, daos_handle_t th, unsigned int mode,
    daos_size_t cell_size, daos_size_t chunk_size, daos_handle_t *oh, daos_event_t *ev)
{
    struct array_args args = {.coh = coh,
        .th = th,
        .oid = {.lo = oid.lo, .hi = oid.hi},
        .mode = mode,
        .cell_bytes = cell_size,
        .chunk_nr = chunk_size,
        .ret_oh = oh};
    enum daos_otype_t type = daos_obj_id2type(oid);

    if (oh == NULL || cell_size == 0 || chunk_size == 0)
        return client_refuse();
    if (type != DAOS_OT_ARRAY_ATTR && type != DAOS_OT_ARRAY_BYTE)
        return client_refuse();
    if (type == DAOS_OT_ARRAY_BYTE && cell_size != 1)
        return client_refuse();
    return client_run(ev, open_ult, &args, sizeof(args));
}

static int
close_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array = client_hdl_del(client_self(), CLIENT_HDL_ARRAY, args->oh.cookie);

    if (array == NULL)
        return CAIRN_ERR(NO_HDL);
    client_array_put(array);
    return 0;
}

int
daos_array_close(daos_handle_t oh, daos_event_t *ev)
{
    struct array_args args = {.oh = oh};

    return client_run(ev, close_ult, &args, sizeof(args));
}

static int
destroy_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_obj_punch(array->obj, 0);
    client_array_put(array);
    return rc;
}

int
daos_array_destroy(daos_handle_t oh, daos_handle_t th, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th};

    return client_run(ev, destroy_ult, &args, sizeof(args));
}

/* ---- global handles ------------------------------------------------------------------------------------------------------------------- */

static int
local2global_ult(void *arg)
{
    struct client_glob_args *args = arg;
    struct client_glob_array glob;
    struct client_array *array;
    int rc = client_array_enter(args->hdl, DAOS_TX_NONE, &array);

    if (rc != 0)
        return rc;
    glob = (struct client_glob_array){
        .oid = array->obj->oid,
        .mode = array->obj->mode,
        .cell_bytes = array->cell_bytes,
        .chunk_nr = array->chunk_nr,
    };
    rc = client_glob_array(array->obj->cont, &glob, args->glob);
    client_array_put(array);
    return rc;
}

int
daos_array_local2global(daos_handle_t oh, d_iov_t *glob)
{
    struct client_glob_args args = {.hdl = oh, .glob = glob};

    if (glob == NULL)
        return client_refuse();
    return client_run_sync(local2global_ult, &args);
}

static int
global2local_ult(void *arg)
{
    struct client_glob_args *args = arg;
    struct client_glob_array glob;
    struct client_array *array;
    struct client_cont *cont;
    int rc = client_cont_of(client_self(), args->hdl.cookie, &cont);

    if (rc == 0)
        rc = client_glob_array_open(cont, args->glob, &glob);
    if (rc == 0 && (glob.cell_bytes == 0 || glob.chunk_nr == 0))
        rc = CAIRN_ERR(INVAL);
    if (rc == 0)
        rc = array_new(cont, glob.oid, args->mode != 0 ? args->mode : glob.mode, &array);
    if (rc != 0)
        return rc;
    array->cell_bytes = glob.cell_bytes;
    array->chunk_nr = glob.chunk_nr;
    return array_hdl(array, args->ret_hdl);
}

int
daos_array_global2local(daos_handle_t coh, d_iov_t glob, unsigned int mode, daos_handle_t *oh)
{
    struct client_glob_args args = {.hdl = coh, .glob = &glob, .ret_hdl = oh, .mode = mode};

    if (oh == NULL)
        return client_refuse();
    return client_run_sync(global2local_ult, &args);
}

/* ---- attributes of a handle -------------------------------------------------------------------------------------------------------------- */

static int
get_attr_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, DAOS_TX_NONE, &array);

    if (rc != 0)
        return rc;
    *args->ret_cell = array->cell_bytes;
    *args->ret_chunk = array->chunk_nr;
    client_array_put(array);
    return 0;
}

int
daos_array_get_attr(daos_handle_t oh, daos_size_t *chunk_size, daos_size_t *cell_size)
{
    struct array_args args = {.oh = oh, .ret_cell = cell_size, .ret_chunk = chunk_size};

    if (chunk_size == NULL || cell_size == NULL)
        return client_refuse();
    return client_run_sync(get_attr_ult, &args);
}

static int
update_chunk_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, DAOS_TX_NONE, &array);

    if (rc != 0)
        return rc;
    array->chunk_nr = args->chunk_nr;
    client_array_put(array);
    return 0;
}

int
daos_array_update_chunk_size(daos_handle_t oh, daos_size_t chunk_size)
{
    struct array_args args = {.oh = oh, .chunk_nr = chunk_size};

    if (chunk_size == 0)
        return client_refuse();
    return client_run_sync(update_chunk_ult, &args);
}

/* ---- transfers and sizes ------------------------------------------------------------------------------------------------------------------ */

static int
read_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_array_read(array, args->iod, args->sgl);
    client_array_put(array);
    return rc;
}

int
daos_array_read(
    daos_handle_t oh, daos_handle_t th, daos_array_iod_t *iod, d_sg_list_t *sgl, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th, .iod = iod, .sgl = sgl};

    return client_run(ev, read_ult, &args, sizeof(args));
}

static int
write_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_array_write(array, args->iod, args->sgl);
    client_array_put(array);
    return rc;
}

int
daos_array_write(
    daos_handle_t oh, daos_handle_t th, daos_array_iod_t *iod, d_sg_list_t *sgl, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th, .iod = iod, .sgl = sgl};

    return client_run(ev, write_ult, &args, sizeof(args));
}

static int
punch_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_array_punch(array, args->iod);
    client_array_put(array);
    return rc;
}

int
daos_array_punch(daos_handle_t oh, daos_handle_t th, daos_array_iod_t *iod, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th, .iod = iod};

    return client_run(ev, punch_ult, &args, sizeof(args));
}

static int
get_size_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    uint64_t size;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_array_size(array, &size);
    if (rc == 0)
        *args->ret_size = size;
    client_array_put(array);
    return rc;
}

int
daos_array_get_size(daos_handle_t oh, daos_handle_t th, daos_size_t *size, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th, .ret_size = size};

    if (size == NULL)
        return client_refuse();
    return client_run(ev, get_size_ult, &args, sizeof(args));
}

static int
stat_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    uint64_t size, epoch;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_array_stat(array, &size, &epoch);
    if (rc == 0)
        *args->stbuf = (daos_array_stbuf_t){.st_size = size, .st_max_epoch = epoch};
    client_array_put(array);
    return rc;
}

int
daos_array_stat(daos_handle_t oh, daos_handle_t th, daos_array_stbuf_t *stbuf, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th, .stbuf = stbuf};

    if (stbuf == NULL)
        return client_refuse();
    return client_run(ev, stat_ult, &args, sizeof(args));
}

static int
set_size_ult(void *arg)
{
    struct array_args *args = arg;
    struct client_array *array;
    int rc = client_array_enter(args->oh, args->th, &array);

    if (rc != 0)
        return rc;
    rc = client_array_size_set(array, args->size);
    client_array_put(array);
    return rc;
}

int
daos_array_set_size(daos_handle_t oh, daos_handle_t th, daos_size_t size, daos_event_t *ev)
{
    struct array_args args = {.oh = oh, .th = th, .size = size};

    return client_run(ev, set_size_ult, &args, sizeof(args));
}
