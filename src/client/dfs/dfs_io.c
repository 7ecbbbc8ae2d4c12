/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Reading and writing files: byte arrays of libdaos. A transfer is a step that runs on a ULT of the client (client_tools_run()), so that an event completes the same way
 * whatever it takes, and the event's own callback stays the caller's. ev_error is a positive errno.
 */
#include "client/dfs/dfs_priv.h"

#include "base/util.h"
#include "client/core/client_tools.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* One transfer; copied when it has an event. What it points to is the caller's until it completes. */
struct io {
    daos_handle_t oh;
    bool is_write;
    uint64_t range_nr; /* 0: the one below */
    daos_range_t *ranges;
    daos_range_t range;
    const d_sg_list_t *sgl;
    daos_size_t *read_size;
};

/* The caller's buffers, as many bytes of them as are valid. EINVAL: more than there can be. */
static int
sgl_bytes(const d_sg_list_t *sgl, uint64_t *ret_bytes)
{
    uint64_t bytes = 0;

    if (sgl->sg_nr > 0 && sgl->sg_iovs == NULL)
        return EINVAL;
    for (uint32_t i = 0; i < sgl->sg_nr; i++) {
        if (sgl->sg_iovs[i].iov_len > 0 && sgl->sg_iovs[i].iov_buf == NULL)
            return EINVAL;
        if (__builtin_add_overflow(bytes, sgl->sg_iovs[i].iov_len, &bytes))
            return EINVAL;
    }
    *ret_bytes = bytes;
    return 0;
}

/* Returns 0 or -DER. The array's calls go by a buffer's room when they read: give them the valid bytes as room, and leave the caller's list as it is. */
static int
io_run(void *arg)
{
    struct io *io = arg;
    daos_array_iod_t iod = {.arr_nr = io->range_nr, .arr_rgs = io->ranges};
    d_sg_list_t sgl = {.sg_nr = io->sgl->sg_nr};
    uint64_t asked = 0;
    int rc;

    if (io->range_nr == 0) {
        iod.arr_nr = 1;
        iod.arr_rgs = &io->range;
    }
    for (uint64_t i = 0; i < iod.arr_nr; i++) {
        asked += iod.arr_rgs[i].rg_len;
    }
    if (asked == 0) {
        if (!io->is_write)
            *io->read_size = 0;
        return 0;
    }
    sgl.sg_iovs = calloc(sgl.sg_nr, sizeof(*sgl.sg_iovs));
    if (sgl.sg_iovs == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < sgl.sg_nr; i++) {
        d_iov_set(&sgl.sg_iovs[i], io->sgl->sg_iovs[i].iov_buf, io->sgl->sg_iovs[i].iov_len);
    }
    if (io->is_write) {
        rc = daos_array_write(io->oh, DAOS_TX_NONE, &iod, &sgl, NULL);
    } else {
        rc = daos_array_read(io->oh, DAOS_TX_NONE, &iod, &sgl, NULL);
        if (rc == 0)
            *io->read_size = asked - iod.arr_nr_short_read;
    }
    free(sgl.sg_iovs);
    return rc;
}

static int
io_start(struct io *io, daos_event_t *ev)
{
    if (ev == NULL)
        return err_to_errno(io_run(io)); /* its calls block by themselves */
    return client_tools_run(ev, io_run, io, sizeof(*io));
}

static int
io_check(dfs_t *dfs, dfs_obj_t *obj, const d_sg_list_t *sgl, bool is_write)
{
    if (dfs == NULL || obj == NULL || sgl == NULL)
        return EINVAL;
    if (!S_ISREG(obj->entry.mode))
        return EINVAL;
    if (is_write && (!dfs_is_writable(dfs) || (obj->flags & O_ACCMODE) == O_RDONLY))
        return EPERM;
    return 0;
}

/* The bytes of sgl at `off`. */
static int
plain(dfs_t *dfs, dfs_obj_t *obj, d_sg_list_t *sgl, daos_off_t off, daos_size_t *read_size,
    bool is_write, daos_event_t *ev)
{
    struct io io = {.is_write = is_write, .sgl = sgl, .read_size = read_size};
    uint64_t bytes;
    int rc = io_check(dfs, obj, sgl, is_write);

    if (rc == 0)
        rc = sgl_bytes(sgl, &bytes);
    if (rc != 0)
        return rc;
    if ((!is_write && read_size == NULL) || bytes > UINT64_MAX - off)
        return EINVAL;
    io.oh = obj->oh;
    io.range = (daos_range_t){.rg_idx = off, .rg_len = bytes};
    return io_start(&io, ev);
}

/* The bytes of sgl at several places. */
static int
listed(dfs_t *dfs, dfs_obj_t *obj, dfs_iod_t *iod, d_sg_list_t *sgl, daos_size_t *read_size,
    bool is_write, daos_event_t *ev)
{
    struct io io = {.is_write = is_write, .sgl = sgl, .read_size = read_size};
    uint64_t bytes, asked = 0;
    int rc = io_check(dfs, obj, sgl, is_write);

    if (rc == 0)
        rc = sgl_bytes(sgl, &bytes);
    if (rc != 0)
        return rc;
    if ((!is_write && read_size == NULL) || iod == NULL || (iod->iod_nr > 0 && iod->iod_rgs == NULL))
        return EINVAL;
    for (uint64_t i = 0; i < iod->iod_nr; i++) {
        const daos_range_t *rg = &iod->iod_rgs[i];

        if (rg->rg_len > UINT64_MAX - rg->rg_idx || __builtin_add_overflow(asked, rg->rg_len, &asked))
            return EINVAL;
    }
    if (asked != bytes)
        return EINVAL;
    io.oh = obj->oh;
    io.range_nr = iod->iod_nr;
    io.ranges = iod->iod_rgs;
    return io_start(&io, ev);
}

int
dfs_read(dfs_t *dfs, dfs_obj_t *obj, d_sg_list_t *sgl, daos_off_t off, daos_size_t *read_size,
    daos_event_t *ev)
{
    return plain(dfs, obj, sgl, off, read_size, false, ev);
}

int
dfs_write(dfs_t *dfs, dfs_obj_t *obj, d_sg_list_t *sgl, daos_off_t off, daos_event_t *ev)
{
    return plain(dfs, obj, sgl, off, NULL, true, ev);
}

int
dfs_readx(dfs_t *dfs, dfs_obj_t *obj, dfs_iod_t *iod, d_sg_list_t *sgl, daos_size_t *read_size,
    daos_event_t *ev)
{
    return listed(dfs, obj, iod, sgl, read_size, false, ev);
}

int
dfs_writex(dfs_t *dfs, dfs_obj_t *obj, dfs_iod_t *iod, d_sg_list_t *sgl, daos_event_t *ev)
{
    return listed(dfs, obj, iod, sgl, NULL, true, ev);
}

int
dfs_get_size(dfs_t *dfs, dfs_obj_t *obj, daos_size_t *size)
{
    if (dfs == NULL || obj == NULL || size == NULL || !S_ISREG(obj->entry.mode))
        return EINVAL;
    return err_to_errno(daos_array_get_size(obj->oh, DAOS_TX_NONE, size, NULL));
}

/* From offset to the end: the size shrinks or grows to the offset; a part in the middle becomes a hole and the size stays. */
int
dfs_punch(dfs_t *dfs, dfs_obj_t *obj, daos_off_t offset, daos_size_t len)
{
    daos_array_iod_t iod = {0};
    daos_range_t range = {.rg_idx = offset, .rg_len = len};
    daos_size_t size;
    int rc;

    if (dfs == NULL || obj == NULL || !S_ISREG(obj->entry.mode))
        return EINVAL;
    if (!dfs_is_writable(dfs) || (obj->flags & O_ACCMODE) == O_RDONLY)
        return EPERM;
    if (len == DFS_MAX_FSIZE || len > DFS_MAX_FSIZE - offset)
        return err_to_errno(daos_array_set_size(obj->oh, DAOS_TX_NONE, offset, NULL));
    rc = dfs_get_size(dfs, obj, &size);
    if (rc != 0 || len == 0 || offset >= size)
        return rc;
    if (offset + len >= size)
        return err_to_errno(daos_array_set_size(obj->oh, DAOS_TX_NONE, offset, NULL));
    iod.arr_nr = 1;
    iod.arr_rgs = &range;
    return err_to_errno(daos_array_punch(obj->oh, DAOS_TX_NONE, &iod, NULL));
}

int
dfs_sync(dfs_t *dfs)
{
    if (dfs == NULL)
        return EINVAL;
    if (!dfs_is_writable(dfs))
        return EPERM;
    return 0; /* every acknowledged write is durable */
}
