/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shared by the files of client/obj only. Limits are those of the messages, which are those of the store. */
#ifndef CAIRN_CLIENT_OBJ_PRIV_H
#define CAIRN_CLIENT_OBJ_PRIV_H

#include "client/obj/client_obj.h"

enum {
    CLIENT_KEY_LEXICAL_BYTES_MAX = 80,
    CLIENT_IOVS_NR_MAX = 1 << 20,
    CLIENT_FETCH_SIZE_ONLY = 1 << 16,
    CLIENT_STALE_TRIES_NR_MAX = 16,
    CLIENT_CSUM_TRIES_NR_MAX = 3,
};

/** Errors: INVAL no key, or an integer key that is not 8 bytes; KEY2BIG. */
CAIRN_MUST_CHECK int client_obj_key_check(const d_iov_t *key, enum placement_key kind);
struct iov client_obj_key(const d_iov_t *key);
/** Group, first shard and target of a dkey for the newest map (COB-1). */
CAIRN_MUST_CHECK int
client_obj_grp_of(struct client_obj *obj, const d_iov_t *dkey, uint32_t *ret_grp);
CAIRN_MUST_CHECK int
client_obj_target(struct client_obj *obj, uint32_t grp, uint32_t *ret_shard, uint32_t *ret_tgt_id);

/** An open object by its handle, as client_obj_at(). Errors: NO_HDL; those. */
CAIRN_MUST_CHECK int
client_obj_enter(daos_handle_t oh, daos_handle_t th, struct client_obj **ret_obj);

#endif
