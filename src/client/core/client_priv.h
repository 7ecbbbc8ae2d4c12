/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shared by the files of client/core only. */
#ifndef CAIRN_CLIENT_PRIV_H
#define CAIRN_CLIENT_PRIV_H

#include "client/core/client.h"

/** Deep copy. Errors: NOMEM. */
CAIRN_MUST_CHECK int client_sys_copy(const struct client_sys *src, struct client_sys *ret_sys);
/** On a ULT (or before there are any): open the RPC context to client->sys. */
CAIRN_MUST_CHECK int client_rpc_open(struct daos_client *client);

/** End the objects behind all handles. */
void client_hdl_fini_all(struct daos_client *client);

/** Read the attach file again: ranks may have moved or restarted. Keeps what is known when it cannot be read. */
void client_sys_refresh(struct daos_client *client);
/** A peer refused us as another system's: say so, once. */
void client_sys_foreign(struct daos_client *client);

/**
 * Embedded mode: load the engine library and start the engine on `dir` inside this process. `*ret_embedded` returns owned.
 * Errors: NOSYS the library is not installed (log line names the path); BUSY another process owns the directory; those of the engine.
 */
CAIRN_MUST_CHECK int client_embedded_start(struct plat *plat, const char *dir,
    struct client_sys *ret_sys, struct client_embedded **ret_embedded);
void client_embedded_stop(struct client_embedded *embedded); /* NULL-safe; waits for its checkpoint */
const char *client_embedded_dir(const struct client_embedded *embedded);

#endif
