/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Global handles: bytes that another process of the same system turns into a handle of the same connection; it tells the service that it does (client_attach_hdl()). Little-endian,
 * checked before use; not a stored format.
 *
 *   magic u32 | version u16 | kind u16 | system name (text) | system uuid | pool uuid | pool handle | ... by kind | crc32c of all before, u32
 *   pool:   flags u64 | leader u32 | map (bytes)
 *   cont:   container uuid | container handle | flags u64 | layout version u32 | redundancy factor u32 | checksum type u32
 *   array:  container uuid | object id | mode u32 | cell size u64 | chunk size u64
 */
#ifndef CAIRN_CLIENT_GLOB_H
#define CAIRN_CLIENT_GLOB_H

#include "client/core/client_pool.h"
#include "daos_types.h"

struct client_glob_args {
    daos_handle_t hdl;
    d_iov_t *glob;
    daos_handle_t *ret_hdl;
    unsigned int mode;
};

struct client_glob_array {
    struct oid oid;
    uint32_t mode;
    uint64_t cell_bytes, chunk_nr;
};

/* Write: with iov_buf NULL the size goes to iov_buf_len. Errors: TRUNC too short; NOMEM. */
CAIRN_MUST_CHECK int client_glob_pool(const struct client_pool *pool, d_iov_t *glob);
CAIRN_MUST_CHECK int client_glob_cont(const struct client_cont *cont, d_iov_t *glob);
CAIRN_MUST_CHECK int client_glob_array(
    const struct client_cont *cont, const struct client_glob_array *array, d_iov_t *glob);

/** Name of the system, into CLIENT_SYS_NAME_BYTES_MAX bytes. Errors: INVAL not such bytes. */
CAIRN_MUST_CHECK int client_glob_sys(const d_iov_t *glob, char *ret_name);

/* Read. Errors: INVAL not such bytes, or of another pool or container; MISMATCH another system; NOMEM. `*ret` returns owned. */
CAIRN_MUST_CHECK int client_glob_pool_open(
    struct daos_client *client, const d_iov_t *glob, struct client_pool **ret_pool);
CAIRN_MUST_CHECK int
client_glob_cont_open(struct client_pool *pool, const d_iov_t *glob, struct client_cont **ret_cont);
CAIRN_MUST_CHECK int client_glob_array_open(
    const struct client_cont *cont, const d_iov_t *glob, struct client_glob_array *ret_array);

#endif
