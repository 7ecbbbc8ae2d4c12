/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Snapshots on the client. A view is a container as it was at an epoch: another struct client_cont with the handle of the one it came from. Objects that are
 * opened in it are read there and cannot be written, so nothing below knows of snapshots; a snapshot's transaction handle is a view.
 *
 *   SNP-1  A view's epoch is that of a snapshot which was there when the view was made: what is read at any other epoch is not promised to stay.
 *   SNP-2  Objects of a view count as open objects of the container that it came from.
 */
#ifndef CAIRN_CLIENT_SNAP_H
#define CAIRN_CLIENT_SNAP_H

#include "client/core/client_pool.h"
#include "daos_types.h"

struct client_snap {
    uint64_t epoch;
    uint32_t flags; /* enum proto_snap_flags */
};

/** The snapshot of this name (NULL: any), else of this epoch. Errors: NONEXIST. */
CAIRN_YIELDS CAIRN_MUST_CHECK int client_snap_find(
    struct client_cont *cont, uint64_t epoch, const char *name, struct client_snap *ret_snap);

/** `*ret_view` returns owned: client_cont_put(). Errors: NOMEM. */
CAIRN_MUST_CHECK int
client_cont_view(struct client_cont *cont, uint64_t epoch, struct client_cont **ret_view);

/** The view behind a transaction handle, for `cont`; a reference is not taken. Errors: NO_HDL; INVAL of another container. */
CAIRN_MUST_CHECK int
client_tx_view(daos_handle_t th, const struct client_cont *cont, struct client_cont **ret_view);

#endif
