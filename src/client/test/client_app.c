/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "client/test/client_app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daos.h"

void
app_attach_write(struct rig *rig)
{
    app_attach_write_as(rig, RIG_SYSTEM_UUID);
}

void
app_attach_write_as(struct rig *rig, struct uuid system)
{
    struct plat *plat = rig->client_plat;
    char *text = calloc(1, 16384), dir[256], path[300], uuid[CUUID_TEXT_BYTES];
    size_t len = 0;

    snprintf(dir, sizeof(dir), "%s/%s", rig->sim != NULL ? "/run" : rig->dir, RIG_SYSTEM);
    snprintf(path, sizeof(path), "%s/attach.json", dir);
    len += (size_t)snprintf(text + len, 16384 - len,
        "{\"version\": 1, \"system\": \"%s\", \"uuid\": \"%s\", \"leader\": 0, \"ranks\": [",
        RIG_SYSTEM, cuuid_format(&system, uuid));
    for (uint32_t i = 0; i < rig->engine_nr; i++) {
        struct engine *engine = rig->engines[i].engine;

        if (engine == NULL)
            continue;
        len += (size_t)snprintf(text + len, 16384 - len,
            "%s{\"rank\": %u, \"incarnation\": %llu, \"uris\": [\"%s\", \"%s\", \"%s\"]}",
            text[len - 1] == '[' ? "" : ", ", i, (unsigned long long)engine_incarnation(engine),
            engine_uri(engine, 0), engine_uri(engine, 1), engine_uri(engine, 2));
    }
    len += (size_t)snprintf(text + len, 16384 - len, "]}");
    EXPECT_OK(plat->ops->dir_create(plat, dir));
    EXPECT_OK(plat->ops->file_write(plat, path, text, len));
    free(text);
}

bool
app_init(struct app *app, struct rig *rig)
{
    struct client_opts opts = {.plat = rig->client_plat, .xs = rig->xs};

    *app = (struct app){.rig = rig};
    app_attach_write(rig);
    if (rig->sim != NULL) {
        sim_node_env_set(rig->client_plat, "CAIRN_RUNTIME_DIR", "/run");
    } else {
        setenv("CAIRN_RUNTIME_DIR", rig->dir, 1);
    }
    if (!EXPECT_OK(rig_pool_create(rig, rig_uuid(rig), "tank")))
        return false;
    if (!EXPECT_OK(client_create(&opts, &app->client)))
        return false;
    client_self_set(app->client);
    return EXPECT_OK(daos_pool_connect("tank", RIG_SYSTEM, DAOS_PC_RW, &app->poh, NULL, NULL)) &&
        EXPECT_OK(daos_cont_create_with_label(app->poh, "box", NULL, NULL, NULL)) &&
        EXPECT_OK(daos_cont_open(app->poh, "box", DAOS_COO_RW, &app->coh, NULL, NULL));
}

void
app_fini(struct app *app)
{
    if (app->coh.cookie != 0)
        EXPECT_OK(daos_cont_close(app->coh, NULL));
    if (app->poh.cookie != 0)
        EXPECT_OK(daos_pool_disconnect(app->poh, NULL));
    client_self_set(NULL);
    client_destroy(app->client);
}
