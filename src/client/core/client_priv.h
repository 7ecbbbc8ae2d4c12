/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Shared by the files of client/core only. */
#ifndef CAIRN_CLIENT_PRIV_H
#define CAIRN_CLIENT_PRIV_H

#include "client/core/client.h"

/** Deep copy. Errors: NOMEM. */
CAIRN_MUST_CHECK int client_sys_copy(const struct client_sys *src, struct client_sys *ret_sys);
/** On a ULT (or before there are any): open the RPC context to client->sys. */
CAIRN_MUST_CHECK int client_rpc_open(struct daos_client *client);

/** The seat of a thread that shall drive, when nobody does and somebody waits. With the gate locked. */
struct plat_seat *client_successor(struct daos_client *client);

/** Before an application thread launches the first call with an event: from now on such calls make progress by themselves. No thread to be had: they don't. */
void client_helper_start(struct daos_client *client);
/** The client ends. NULL-safe in effect: nothing to do without a helper. */
void client_helper_stop(struct daos_client *client);
/** With the gate locked: if it drives, it leaves soon and hands over. */
void client_helper_ask(struct daos_client *client);
/** With the gate locked, nobody driving: its seat if it must be called, because calls run that nobody moves. */
struct plat_seat *client_helper_seat(struct daos_client *client);
/** On the driver: no call with an event is left. */
void client_helper_idle(struct daos_client *client);

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
