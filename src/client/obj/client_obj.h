/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Objects on the client: the layout, and requests to the shard that holds a dkey. The functions here are the insides of daos_obj_*(); KV and arrays
 * use them directly. All run on ULTs of the client.
 *
 *   COB-1  A request goes where the newest map known says; STALE from a target refreshes the map, the layout is computed anew and the request repeated.
 *   COB-2  Every payload carries a CRC32C; on a mismatch it is recomputed and the request repeated twice, then CSUM (MS-4).
 *   COB-3  Bytes of the caller's buffers that correspond to nothing stored are left untouched (but see client_io.zero_holes);
 *          cleared when an attempt that got no answer, or another one, has written there.
 *   COB-4  What concerns one dkey is one request, whole or not at all; what concerns several groups is several requests.
 */
#ifndef CAIRN_CLIENT_OBJ_H
#define CAIRN_CLIENT_OBJ_H

#include "client/core/client_pool.h"
#include "daos_cont.h"
#include "daos_obj.h"

struct client_obj {
    struct client_cont *cont;
    uint32_t ref_nr;
    struct oid oid;
    unsigned int mode;
    uint32_t otype;
    uint64_t epoch; /* at which it is read: that of its container (client_snap.h) */
    bool has_layout;
    struct placement_layout layout;
};

CAIRN_MUST_CHECK int
client_obj_of(struct daos_client *client, uint64_t cookie, struct client_obj **ret_obj);
void client_obj_get(struct client_obj *obj);
void client_obj_put(struct client_obj *obj); /* NULL-safe */

/**
 * Open without a server: local, checks the id and the mode only. `*ret_obj` returns owned: client_obj_put(). Errors: INVAL, NOSCHEMA a bad id; NO_PERM
 * for writing in a container that is open for reading; NOMEM.
 */
CAIRN_MUST_CHECK int client_obj_open(
    struct client_cont *cont, struct oid oid, unsigned int mode, struct client_obj **ret_obj);

/**
 * The object as the transaction `th` reads it, in place of `obj`: the same for none. `*ret_obj` is kept for the time of a call: client_obj_put(). Errors: NO_HDL;
 * INVAL the transaction is of another container; NOMEM.
 */
CAIRN_MUST_CHECK int
client_obj_at(struct client_obj *obj, daos_handle_t th, struct client_obj **ret_obj);

/** The layout for the newest map. Errors: those of placement_layout(). */
CAIRN_MUST_CHECK int client_obj_layout(struct client_obj *obj);

/* One update or fetch of akeys of one dkey, in the terms of the API. */
struct client_io {
    uint64_t flags; /* DAOS_COND_* */
    const d_iov_t *dkey;
    uint32_t nr;
    daos_iod_t *iods;
    d_sg_list_t *sgls; /* fetch: NULL asks for sizes; update: NULL punches (iod_size 0) */
    daos_iom_t *ioms; /* fetch; may be NULL */
    bool zero_holes; /* fetch: clear the bytes of asked records that are not there */
};

/* Errors of all: those of the target (vos.h), and INVAL, KEY2BIG arguments; NO_PERM the object is open for reading; TIMEDOUT. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_update(struct client_obj *obj, struct client_io *io);
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_fetch(struct client_obj *obj, struct client_io *io);
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_punch(struct client_obj *obj, uint64_t flags);
CAIRN_YIELDS CAIRN_MUST_CHECK int
client_obj_punch_dkey(struct client_obj *obj, uint64_t flags, const d_iov_t *dkey);
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_punch_akeys(
    struct client_obj *obj, uint64_t flags, const d_iov_t *dkey, uint32_t nr, const d_iov_t *akeys);

/** As daos_obj_list_dkey() (dkey NULL) and daos_obj_list_akey(). */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_list_keys(struct client_obj *obj, const d_iov_t *dkey,
    uint32_t *nr, daos_key_desc_t *kds, d_sg_list_t *sgl, daos_anchor_t *anchor);

struct client_query {
    uint64_t dkey, akey;
    daos_recx_t recx; /* rx_nr 0: empty */
    uint64_t rec_bytes;
    uint64_t epoch_max;
};

/** As daos_obj_query_key(); the dkey is asked of every group. Errors also: NONEXIST nothing there; then epoch_max alone is filled in. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_query(struct client_obj *obj, uint64_t flags,
    const d_iov_t *dkey, const d_iov_t *akey, struct client_query *ret_query);
/** Newest change of the object, 0: none. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_obj_epoch_max(struct client_obj *obj, uint64_t *ret_epoch);

#endif
