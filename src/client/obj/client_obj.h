/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Objects on the client: the layout, and requests to the shard that holds a dkey. The functions here are the insides of daos_obj_*; KV, arrays and
 * libdfs' own calls come through the public API. All run on ULTs of the client.
 *
 *   COB-1  A request goes where the newest map known says; STALE from a target refreshes the map, the layout is computed anew and the request repeated.
 *   COB-2  Every payload carries a CRC32C; on a mismatch it is recomputed and the request repeated twice, then CSUM (MS-4).
 *   COB-3  Bytes of the caller's buffers that correspond to nothing stored are left untouched.
 */
#ifndef CAIRN_CLIENT_OBJ_H
#define CAIRN_CLIENT_OBJ_H

#include "client/core/client_pool.h"
#include "daos_obj.h"

struct client_obj {
    struct client_cont *cont;
    uint32_t ref_nr;
    struct oid oid;
    unsigned int mode;
    uint32_t otype;
    bool has_layout;
    struct placement_layout layout;
};

CAIRN_MUST_CHECK int client_obj_of(struct daos_client *client, uint64_t cookie, struct client_obj **ret_obj);
void client_obj_get(struct client_obj *obj);
void client_obj_put(struct client_obj *obj);

/** Open without a server: local, checks the id only. `*ret_obj` returns owned: client_obj_put(). Errors: INVAL, NOSCHEMA a bad id; NOMEM. */
CAIRN_MUST_CHECK int client_obj_open(struct client_cont *cont, struct oid oid, unsigned int mode, struct client_obj **ret_obj);

/** The layout for the newest map. Errors: those of placement_layout(). */
CAIRN_MUST_CHECK int client_obj_layout(struct client_obj *obj);

#endif
