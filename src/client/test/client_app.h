/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An application on the rig of test/server: a client that finds the engines by an attach file, a pool "tank", a container "box". */
#ifndef CAIRN_CLIENT_APP_H
#define CAIRN_CLIENT_APP_H

#include "client/core/client.h"
#include "daos_types.h"
#include "server/server_rig.h"

struct app {
    struct rig *rig;
    struct daos_client *client;
    daos_handle_t poh, coh;
};

/** Write where the engines are now, as daos_server does. */
void app_attach_write(struct rig *rig);
/** The same in the name of another installation. */
void app_attach_write_as(struct rig *rig, struct uuid system);
/** On the rig's ULT: connect and open. False: an expectation failed. */
bool app_init(struct app *app, struct rig *rig);
void app_fini(struct app *app);

#endif
