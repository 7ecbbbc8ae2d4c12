/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shared by the files of client/obj only. Limits are those of the store (vos.h), which the client does not include. */
#ifndef CAIRN_CLIENT_OBJ_PRIV_H
#define CAIRN_CLIENT_OBJ_PRIV_H

#include "client/obj/client_obj.h"

enum {
    CLIENT_KEY_BYTES_MAX = 4096,
    CLIENT_KEY_LEXICAL_BYTES_MAX = 80,
    CLIENT_IODS_NR_MAX = 256,
    CLIENT_RECXS_NR_MAX = 16384,
    CLIENT_FETCH_SIZE_ONLY = 1 << 16,
};

/** Errors: INVAL no key, or an integer key that is not 8 bytes; KEY2BIG. */
CAIRN_MUST_CHECK int client_obj_key_check(const d_iov_t *key, enum placement_key kind);
struct iov client_obj_key(const d_iov_t *key);
/** Errors: NOSYS a transaction handle. */
CAIRN_MUST_CHECK int client_obj_th_check(daos_handle_t th);

#endif
