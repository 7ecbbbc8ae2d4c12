/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Transfers and sizes of arrays (client_array.h). Workers take part after part from one iterator, so that a transfer of any length needs memory for the
 * parts in flight only.
 */
#include "base/util.h"
#include "client/array/client_array.h"

#include <stdlib.h>
#include <string.h>

enum {
    LIST_KEYS_NR = 256,
    PUNCH_PARTS_NR_MAX = 64, /* more chunks than that: look which of them exist */
    RECXS_NR_MIN = 8,
    PART_BYTES_MAX = 8 << 20, /* of one request; a target takes twice that */
};

static const char akey_name[] = "0";

/* ---- parts ----------------------------------------------------------------------------------------------------------------- */

enum xfer_op { XFER_READ, XFER_WRITE, XFER_PUNCH };

struct xfer {
    struct client_array *array;
    enum xfer_op op;
    const daos_range_t *rgs;
    uint64_t rg_nr;
    struct sgl data;
    /* the iterator */
    uint64_t rg, rg_done, off;
    /* reads: ends of what was asked for, and of what was there */
    uint64_t asked_end, present_end;
};

/* One request: pieces of one chunk; a worker's own. */
struct part {
    uint64_t dkey;
    daos_recx_t *recxs;
    uint32_t recx_nr, recx_room;
    uint64_t off, bytes; /* of the data */
    struct iov *iovs;
    d_iov_t *api_iovs;
};

static int
part_add(struct part *part, uint64_t idx, uint64_t nr)
{
    daos_recx_t *last = part->recx_nr == 0 ? NULL : &part->recxs[part->recx_nr - 1];

    if (last != NULL && last->rx_idx + last->rx_nr == idx) {
        last->rx_nr += nr;
        return 0;
    }
    if (part->recx_nr == part->recx_room) {
        uint32_t room = MAX(part->recx_room * 2, (uint32_t)RECXS_NR_MIN);
        daos_recx_t *recxs = realloc(part->recxs, room * sizeof(*recxs));

        if (recxs == NULL)
            return CAIRN_ERR(NOMEM);
        part->recxs = recxs;
        part->recx_room = room;
    }
    part->recxs[part->recx_nr++] = (daos_recx_t){.rx_idx = idx, .rx_nr = nr};
    return 0;
}

/* Records that still fit a request, at least one. */
static uint64_t
records_left(const struct xfer *xfer, const struct part *part)
{
    uint64_t room = PART_BYTES_MAX - MIN(part->bytes, (uint64_t)PART_BYTES_MAX);

    return MAX(room / xfer->array->cell_bytes, UINT64_C(1));
}

/* The next part; recx_nr 0: none is left. */
static int
part_next(struct xfer *xfer, struct part *part)
{
    uint64_t chunk_nr = xfer->array->chunk_nr;

    part->recx_nr = 0;
    part->off = xfer->off;
    part->bytes = 0;
    while (xfer->rg < xfer->rg_nr && part->recx_nr < PROTO_RECXS_NR_MAX) {
        const daos_range_t *rg = &xfer->rgs[xfer->rg];
        uint64_t idx = rg->rg_idx + xfer->rg_done;
        uint64_t nr = MIN(rg->rg_len - xfer->rg_done, chunk_nr - idx % chunk_nr);
        uint64_t dkey = idx / chunk_nr + 1;
        int rc;

        if (xfer->op != XFER_PUNCH && part->recx_nr > 0 && part->bytes >= PART_BYTES_MAX)
            break;
        if (xfer->op != XFER_PUNCH)
            nr = MIN(nr, records_left(xfer, part));
        if (nr > 0) {
            if (part->recx_nr > 0 && part->dkey != dkey)
                break;
            part->dkey = dkey;
            rc = part_add(part, idx % chunk_nr, nr);
            if (rc != 0)
                return rc;
        }
        part->bytes += nr * xfer->array->cell_bytes;
        xfer->rg_done += nr;
        if (xfer->rg_done == rg->rg_len) {
            xfer->rg++;
            xfer->rg_done = 0;
        }
    }
    xfer->off += part->bytes;
    return 0;
}

static int
part_run(struct xfer *xfer, struct part *part)
{
    struct client_array *array = xfer->array;
    daos_iod_t iod = {.iod_type = DAOS_IOD_ARRAY,
        .iod_size = xfer->op == XFER_PUNCH ? 0 : array->cell_bytes,
        .iod_nr = part->recx_nr,
        .iod_recxs = part->recxs};
    daos_iom_t iom = {0};
    d_sg_list_t sgl = {0};
    d_iov_t dkey;
    struct client_io io = {.dkey = &dkey, .nr = 1, .iods = &iod};
    struct sgl slice = {0};
    int rc;

    d_iov_set(&dkey, &part->dkey, sizeof(part->dkey));
    d_iov_set(&iod.iod_name, (void *)(uintptr_t)akey_name, 1);
    if (xfer->op == XFER_PUNCH) {
        if (part->recx_nr == 1 && part->recxs[0].rx_nr == array->chunk_nr)
            return client_obj_punch_dkey(array->obj, 0, &dkey);
        return client_obj_update(array->obj, &io);
    }
    CAIRN_IGNORE(sgl_slice(&xfer->data, part->off, part->bytes, part->iovs, xfer->data.iov_nr,
        &slice)); /* all of it */
    for (uint32_t i = 0; i < slice.iov_nr; i++) {
        d_iov_set(&part->api_iovs[i], slice.iovs[i].buf, slice.iovs[i].len);
    }
    sgl = (d_sg_list_t){.sg_nr = slice.iov_nr, .sg_iovs = part->api_iovs};
    io.sgls = &sgl;
    if (xfer->op == XFER_WRITE)
        return client_obj_update(array->obj, &io);
    io.ioms = &iom;
    io.zero_holes = true;
    rc = client_obj_fetch(array->obj, &io);
    if (rc == 0 && iom.iom_nr_out > 0) {
        xfer->present_end = MAX(xfer->present_end,
            (part->dkey - 1) * array->chunk_nr + iom.iom_recx_hi.rx_idx + iom.iom_recx_hi.rx_nr);
    }
    return rc;
}

static int
worker(void *arg, uint32_t i)
{
    struct xfer *xfer = arg;
    struct part part = {0};
    int rc = 0;

    (void)i;
    part.iovs = calloc(xfer->data.iov_nr + 1, sizeof(*part.iovs));
    part.api_iovs = calloc(xfer->data.iov_nr + 1, sizeof(*part.api_iovs));
    if (part.iovs == NULL || part.api_iovs == NULL)
        rc = CAIRN_ERR(NOMEM);
    while (rc == 0) {
        rc = part_next(xfer, &part);
        if (rc != 0 || part.recx_nr == 0)
            break;
        rc = part_run(xfer, &part);
    }
    if (rc != 0)
        xfer->rg = xfer->rg_nr; /* the others end too */
    free(part.recxs);
    free(part.iovs);
    free(part.api_iovs);
    return rc;
}

/* About how many parts there are, at most `max`. */
static uint32_t
parts_nr(const struct xfer *xfer, uint32_t max)
{
    uint64_t nr = 0;

    for (uint64_t i = 0; i < xfer->rg_nr && nr < max; i++) {
        const daos_range_t *rg = &xfer->rgs[i];

        if (rg->rg_len > 0) {
            nr += (rg->rg_idx + rg->rg_len - 1) / xfer->array->chunk_nr -
                rg->rg_idx / xfer->array->chunk_nr + 1;
        }
    }
    return (uint32_t)MIN(nr, (uint64_t)max);
}

static int
xfer_run(struct xfer *xfer)
{
    uint32_t worker_nr = parts_nr(xfer, CLIENT_PAR_NR_MAX);

    return client_par(xfer->array->obj->cont->pool->client, worker_nr, worker_nr, worker, xfer);
}

/* ---- arguments ------------------------------------------------------------------------------------------------------------------ */

static int
ranges_check(const struct client_array *array, const daos_array_iod_t *iod, uint64_t *ret_bytes)
{
    uint64_t records = 0;
    bool is_tiny = false;

    if (iod == NULL || (iod->arr_nr > 0 && iod->arr_rgs == NULL))
        return CAIRN_ERR(INVAL);
    for (uint64_t i = 0; i < iod->arr_nr; i++) {
        const daos_range_t *rg = &iod->arr_rgs[i];

        if (rg->rg_len > UINT64_MAX - rg->rg_idx ||
            __builtin_add_overflow(records, rg->rg_len, &records))
            return CAIRN_ERR(INVAL);
        is_tiny = is_tiny || rg->rg_len <= DAOS_ARRAY_RG_LEN_THD;
    }
    if (is_tiny && iod->arr_nr > DAOS_ARRAY_LIST_IO_LIMIT)
        return CAIRN_ERR(NOTSUPPORTED);
    if (__builtin_mul_overflow(records, array->cell_bytes, ret_bytes))
        return CAIRN_ERR(INVAL);
    return 0;
}

/* The caller's buffers as one list; they hold exactly the bytes of the ranges. `ret_sgl->iovs` returns owned: free(). */
static int
sgl_make(const d_sg_list_t *api, bool is_write, uint64_t bytes, struct sgl *ret_sgl)
{
    struct sgl sgl = {0};

    if (api == NULL || (api->sg_nr > 0 && api->sg_iovs == NULL))
        return CAIRN_ERR(INVAL);
    sgl.iovs = calloc((size_t)api->sg_nr + 1, sizeof(*sgl.iovs));
    if (sgl.iovs == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < api->sg_nr; i++) {
        const d_iov_t *iov = &api->sg_iovs[i];
        size_t len = is_write ? iov->iov_len : iov->iov_buf_len;

        if (len == 0)
            continue;
        if (iov->iov_buf == NULL) {
            free(sgl.iovs);
            return CAIRN_ERR(INVAL);
        }
        sgl.iovs[sgl.iov_nr++] = (struct iov){.buf = iov->iov_buf, .len = len};
    }
    if (sgl_bytes(&sgl) != bytes) {
        free(sgl.iovs);
        return CAIRN_ERR(INVAL);
    }
    *ret_sgl = sgl;
    return 0;
}

static int
xfer_init(struct xfer *xfer, struct client_array *array, enum xfer_op op,
    const daos_array_iod_t *iod, const d_sg_list_t *sgl)
{
    uint64_t bytes;
    int rc = ranges_check(array, iod, &bytes);

    if (rc != 0)
        return rc;
    *xfer = (struct xfer){.array = array, .op = op, .rgs = iod->arr_rgs, .rg_nr = iod->arr_nr};
    return op == XFER_PUNCH ? 0 : sgl_make(sgl, op == XFER_WRITE, bytes, &xfer->data);
}

/* ---- read and write ---------------------------------------------------------------------------------------------------------------- */

int
client_array_write(struct client_array *array, daos_array_iod_t *iod, d_sg_list_t *sgl)
{
    struct xfer xfer;
    int rc = xfer_init(&xfer, array, XFER_WRITE, iod, sgl);

    if (rc != 0)
        return rc;
    rc = xfer_run(&xfer);
    free(xfer.data.iovs);
    return rc;
}

/* How much of the ranges lies before the end of the array. When the last record asked for was there, all of it. */
static int
short_read_fill(struct xfer *xfer, daos_array_iod_t *iod)
{
    uint64_t size = xfer->asked_end;
    int rc;

    if (xfer->present_end < xfer->asked_end) {
        rc = client_array_size(xfer->array, &size);
        if (rc != 0)
            return rc;
        size = MAX(size, xfer->present_end);
    }
    iod->arr_nr_read = 0;
    iod->arr_nr_short_read = 0;
    for (uint64_t i = 0; i < iod->arr_nr; i++) {
        const daos_range_t *rg = &iod->arr_rgs[i];
        uint64_t before = size > rg->rg_idx ? MIN(size - rg->rg_idx, rg->rg_len) : 0;

        iod->arr_nr_read += before;
        iod->arr_nr_short_read += rg->rg_len - before;
    }
    return 0;
}

int
client_array_read(struct client_array *array, daos_array_iod_t *iod, d_sg_list_t *sgl)
{
    struct xfer xfer;
    int rc = xfer_init(&xfer, array, XFER_READ, iod, sgl);

    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < iod->arr_nr; i++) {
        if (iod->arr_rgs[i].rg_len > 0)
            xfer.asked_end = MAX(xfer.asked_end, iod->arr_rgs[i].rg_idx + iod->arr_rgs[i].rg_len);
    }
    rc = xfer_run(&xfer);
    if (rc == 0)
        rc = short_read_fill(&xfer, iod);
    free(xfer.data.iovs);
    return rc;
}

/* ---- sizes --------------------------------------------------------------------------------------------------------------------------- */

int
client_array_stat(struct client_array *array, uint64_t *ret_size, uint64_t *ret_epoch)
{
    struct client_query found = {0};
    d_iov_t akey;
    int rc;

    d_iov_set(&akey, (void *)(uintptr_t)akey_name, 1);
    rc = client_obj_query(
        array->obj, DAOS_GET_MAX | DAOS_GET_DKEY | DAOS_GET_RECX, NULL, &akey, &found);
    if (rc != 0 && rc != -DER_NONEXIST)
        return rc;
    if (rc != 0 || found.dkey == 0 || found.recx.rx_nr == 0) {
        *ret_size = 0; /* nothing, or the attributes alone */
    } else {
        *ret_size = (found.dkey - 1) * array->chunk_nr + found.recx.rx_idx + found.recx.rx_nr;
    }
    *ret_epoch = found.epoch_max;
    return 0;
}

int
client_array_size(struct client_array *array, uint64_t *ret_size)
{
    uint64_t epoch;

    return client_array_stat(array, ret_size, &epoch);
}

/* Punch of all chunks that exist between two dkeys, both included; not dkey 0. */
struct sweep {
    struct client_array *array;
    uint64_t first, last;
    uint64_t keys[LIST_KEYS_NR];
    daos_key_desc_t kds[LIST_KEYS_NR];
};

static int
sweep_one(void *arg, uint32_t i)
{
    struct sweep *sweep = arg;
    d_iov_t dkey;

    if (sweep->keys[i] < sweep->first || sweep->keys[i] > sweep->last)
        return 0;
    d_iov_set(&dkey, &sweep->keys[i], sizeof(sweep->keys[i]));
    return client_obj_punch_dkey(sweep->array->obj, 0, &dkey);
}

static int
chunks_punch(struct client_array *array, uint64_t first, uint64_t last)
{
    struct sweep *sweep = calloc(1, sizeof(*sweep));
    daos_anchor_t anchor = DAOS_ANCHOR_INIT;
    int rc = 0;

    if (sweep == NULL)
        return CAIRN_ERR(NOMEM);
    sweep->array = array;
    sweep->first = MAX(first, UINT64_C(1));
    sweep->last = last;
    while (rc == 0 && anchor.da_type != DAOS_ANCHOR_TYPE_EOF) {
        uint32_t nr = LIST_KEYS_NR;
        d_iov_t iov;
        d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};

        d_iov_set(&iov, sweep->keys, sizeof(sweep->keys));
        rc = client_obj_list_keys(array->obj, NULL, &nr, sweep->kds, &sgl, &anchor);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            if (sweep->kds[i].kd_key_len != sizeof(uint64_t))
                rc = CAIRN_ERR(PROTO);
        }
        if (rc == 0)
            rc = client_par(array->obj->cont->pool->client, nr, CLIENT_PAR_NR_MAX, sweep_one, sweep);
    }
    free(sweep);
    return rc;
}

/* Records [from, to) of the chunk at `dkey`. */
static int
records_punch(struct client_array *array, uint64_t dkey, uint64_t from, uint64_t to)
{
    daos_recx_t recx = {.rx_idx = from, .rx_nr = to - from};
    struct part part = {.dkey = dkey, .recxs = &recx, .recx_nr = 1};
    struct xfer xfer = {.array = array, .op = XFER_PUNCH};

    return from == to ? 0 : part_run(&xfer, &part);
}

static int
range_punch(struct client_array *array, const daos_range_t *rg)
{
    uint64_t chunk_nr = array->chunk_nr, end = rg->rg_idx + rg->rg_len;
    struct xfer xfer = {.array = array, .op = XFER_PUNCH, .rgs = rg, .rg_nr = 1};
    uint64_t first, last;
    int rc;

    if (rg->rg_len == 0)
        return 0;
    if (parts_nr(&xfer, PUNCH_PARTS_NR_MAX + 1) <= PUNCH_PARTS_NR_MAX)
        return xfer_run(&xfer);
    first = rg->rg_idx / chunk_nr + 1; /* dkeys of the first and last record */
    last = (end - 1) / chunk_nr + 1;
    rc = records_punch(array, first, rg->rg_idx % chunk_nr, chunk_nr);
    if (rc == 0)
        rc = records_punch(array, last, 0, (end - 1) % chunk_nr + 1);
    if (rc == 0)
        rc = chunks_punch(array, first + 1, last - 1);
    return rc;
}

int
client_array_punch(struct client_array *array, daos_array_iod_t *iod)
{
    uint64_t bytes;
    int rc = ranges_check(array, iod, &bytes);

    for (uint64_t i = 0; rc == 0 && i < iod->arr_nr; i++) {
        rc = range_punch(array, &iod->arr_rgs[i]);
    }
    return rc;
}

/* One record of zeros before the new end. */
static int
end_write(struct client_array *array, uint64_t size)
{
    uint8_t *zeros = calloc(1, array->cell_bytes);
    daos_range_t rg = {.rg_idx = size - 1, .rg_len = 1};
    daos_array_iod_t iod = {.arr_nr = 1, .arr_rgs = &rg};
    d_iov_t iov;
    d_sg_list_t sgl = {.sg_nr = 1, .sg_iovs = &iov};
    int rc;

    if (zeros == NULL)
        return CAIRN_ERR(NOMEM);
    d_iov_set(&iov, zeros, array->cell_bytes);
    rc = client_array_write(array, &iod, &sgl);
    free(zeros);
    return rc;
}

static int
cut(struct client_array *array, uint64_t size)
{
    uint64_t last, keep; /* the last chunk that stays, and how many records of it */
    int rc;

    if (size == 0 && array->obj->otype != PLACEMENT_OT_ARRAY)
        return client_obj_punch(array->obj, 0);
    if (size == 0)
        return chunks_punch(array, 1, UINT64_MAX);
    last = (size - 1) / array->chunk_nr + 1;
    keep = (size - 1) % array->chunk_nr + 1;
    rc = chunks_punch(array, last + 1, UINT64_MAX);
    return rc != 0 ? rc : records_punch(array, last, keep, array->chunk_nr);
}

int
client_array_size_set(struct client_array *array, uint64_t size)
{
    uint64_t now;
    int rc = client_array_size(array, &now);

    if (rc != 0 || size == now)
        return rc;
    if (size < now) {
        rc = cut(array, size);
        if (rc == 0)
            rc = client_array_size(array, &now); /* the new end may lie in a hole */
        if (rc != 0 || now >= size)
            return rc;
    }
    return end_write(array, size);
}
