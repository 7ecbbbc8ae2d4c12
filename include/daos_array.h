/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Arrays of cells of one size, spread in chunks over the dkeys of an object.
 */
#ifndef CAIRN_DAOS_ARRAY_H
#define CAIRN_DAOS_ARRAY_H

#include <daos_obj.h>
#include <daos_obj_class.h>
#include <daos_types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#pragma GCC visibility push(default)

/** Most ranges of one request when ranges are shorter than the threshold. */
#define DAOS_ARRAY_LIST_IO_LIMIT 16384
#define DAOS_ARRAY_RG_LEN_THD 16

/** Cells rg_idx to rg_idx + rg_len - 1. */
typedef struct {
    daos_off_t rg_idx;
    daos_size_t rg_len;
} daos_range_t;

/** Cells of one read or write. */
typedef struct {
    daos_size_t arr_nr;
    daos_range_t *arr_rgs;
    /** Cells beyond the end of the array, after a read. */
    daos_size_t arr_nr_short_read;
    /** Cells before it, holes included. */
    daos_size_t arr_nr_read;
} daos_array_iod_t;

typedef struct {
    daos_size_t st_size;
    daos_epoch_t st_max_epoch;
} daos_array_stbuf_t;

/** Make an id for an array; *add_attr* when cell and chunk size are to be stored in it. */
static inline int
daos_array_generate_oid(daos_handle_t coh, daos_obj_id_t *oid, bool add_attr, daos_oclass_id_t cid,
    daos_oclass_hints_t hints, uint32_t args)
{
    return daos_obj_generate_oid(
        coh, oid, add_attr ? DAOS_OT_ARRAY : DAOS_OT_ARRAY_ATTR, cid, hints, args);
}

/** Create an array that stores its attributes, and open it. -DER_EXIST. Sizes are in bytes and cells. */
int daos_array_create(daos_handle_t coh, daos_obj_id_t oid, daos_handle_t th, daos_size_t cell_size,
    daos_size_t chunk_size, daos_handle_t *oh, daos_event_t *ev);

/** Open such an array; the sizes are filled in. *mode*: DAOS_OO_ bits. -DER_NONEXIST. */
int daos_array_open(daos_handle_t coh, daos_obj_id_t oid, daos_handle_t th, unsigned int mode,
    daos_size_t *cell_size, daos_size_t *chunk_size, daos_handle_t *oh, daos_event_t *ev);

/** Open an array whose attributes the caller keeps. */
int
daos_array_open_with_attr(daos_handle_t coh, daos_obj_id_t oid, daos_handle_t th, unsigned int mode,
    daos_size_t cell_size, daos_size_t chunk_size, daos_handle_t *oh, daos_event_t *ev);

/** Make a handle known to other processes: see daos_pool_local2global(). */
int daos_array_local2global(daos_handle_t oh, d_iov_t *glob);
int daos_array_global2local(daos_handle_t coh, d_iov_t glob, unsigned int mode, daos_handle_t *oh);

int daos_array_close(daos_handle_t oh, daos_event_t *ev);

/** Read and write cells; the memory and the ranges have the same length. Holes read as zeros. */
int daos_array_read(
    daos_handle_t oh, daos_handle_t th, daos_array_iod_t *iod, d_sg_list_t *sgl, daos_event_t *ev);
int daos_array_write(
    daos_handle_t oh, daos_handle_t th, daos_array_iod_t *iod, d_sg_list_t *sgl, daos_event_t *ev);

/** Size in cells; set it (shorter: cells are removed). */
int daos_array_get_size(daos_handle_t oh, daos_handle_t th, daos_size_t *size, daos_event_t *ev);
int daos_array_stat(daos_handle_t oh, daos_handle_t th, daos_array_stbuf_t *stbuf, daos_event_t *ev);
int daos_array_set_size(daos_handle_t oh, daos_handle_t th, daos_size_t size, daos_event_t *ev);

/** Remove the array, or cells of it. */
int daos_array_destroy(daos_handle_t oh, daos_handle_t th, daos_event_t *ev);
int daos_array_punch(daos_handle_t oh, daos_handle_t th, daos_array_iod_t *iod, daos_event_t *ev);

int daos_array_get_attr(daos_handle_t oh, daos_size_t *chunk_size, daos_size_t *cell_size);

/** Change the chunk size of an empty array's handle. */
int daos_array_update_chunk_size(daos_handle_t oh, daos_size_t chunk_size);

#pragma GCC visibility pop

#if defined(__cplusplus)
}
#endif

#endif /* CAIRN_DAOS_ARRAY_H */
