/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Arrays (api.md 5): record i lies at integer dkey i / chunk + 1, akey '0', record i % chunk of its array. Arrays of type ARRAY keep cell and chunk size as a
 * single value of three 64-bit numbers at dkey 0, akey '0'; those of the other types leave them to the caller.
 *
 *   ARR-1  A transfer is cut into parts, one request each: consecutive pieces of one chunk. Parts run side by side, at most CLIENT_PAR_NR_MAX; each is whole
 *          or not at all, the transfer as a whole is not.
 *   ARR-2  The size is the end of the last record of the last chunk. What lies before it and was never written reads as zeros.
 */
#ifndef CAIRN_CLIENT_ARRAY_H
#define CAIRN_CLIENT_ARRAY_H

#include "client/obj/client_obj.h"
#include "daos_array.h"

struct client_array {
    struct client_obj *obj;
    uint32_t ref_nr;
    uint64_t cell_bytes;
    uint64_t chunk_nr; /* records of a chunk */
};

void client_array_put(struct client_array *array);
/** Behind a handle, kept for the time of a call; with a transaction, as that reads it. Errors: NO_HDL; those of client_obj_at(). */
CAIRN_MUST_CHECK int
client_array_enter(daos_handle_t oh, daos_handle_t th, struct client_array **ret_array);

/* client_array_io.c. Errors: INVAL, NOTSUPPORTED ranges; those of objects. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
client_array_read(struct client_array *array, daos_array_iod_t *iod, d_sg_list_t *sgl);
CAIRN_YIELDS CAIRN_MUST_CHECK int
client_array_write(struct client_array *array, daos_array_iod_t *iod, d_sg_list_t *sgl);
CAIRN_YIELDS CAIRN_MUST_CHECK int
client_array_punch(struct client_array *array, daos_array_iod_t *iod);
/** Size, and the epoch of the newest change (0: none ever); one request for each group. */
CAIRN_YIELDS CAIRN_MUST_CHECK int
client_array_stat(struct client_array *array, uint64_t *ret_size, uint64_t *ret_epoch);
CAIRN_YIELDS CAIRN_MUST_CHECK int client_array_size(struct client_array *array, uint64_t *ret_size);
CAIRN_YIELDS CAIRN_MUST_CHECK int client_array_size_set(struct client_array *array, uint64_t size);

#endif
