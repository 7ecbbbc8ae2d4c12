/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A system of one engine for tests that link the client libraries as applications do: api_engine DIR URI_BASE. It makes the pool "tank", writes the attach file below
 * $CAIRN_RUNTIME_DIR, prints "ready", and serves until standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "harness/harness_pool.h"
#include "plat/plat_linux.h"

enum { TGTS_NR = 2, PATH_BYTES = 512 };
#define SYSTEM_NAME "daos_server"

static int
pool_make(struct engine *engine)
{
    uint8_t packed[POOL_REQUEST_BYTES];
    void *rep = NULL;
    size_t rep_len;
    int rc = engine_ctl(engine, packed, pool_request(UINT64_C(1) << 30, packed), &rep, &rep_len);

    if (rc != 0)
        return rc;
    rc = pool_answer(rep, rep_len);
    engine_buf_free(rep);
    return rc == -DER_EXIST ? 0 : rc;
}

static int
attach_write(struct plat *plat, struct engine *engine)
{
    struct uuid system = engine_system_uuid(engine);
    const char *runtime = plat->ops->env(plat, "CAIRN_RUNTIME_DIR");
    char text[2048], dir[PATH_BYTES], path[PATH_BYTES + 16], uuid[CUUID_TEXT_BYTES];
    int len, rc;

    if (runtime == NULL)
        return -DER_INVAL;
    snprintf(dir, sizeof(dir), "%s/%s", runtime, SYSTEM_NAME);
    snprintf(path, sizeof(path), "%s/attach.json", dir);
    len = snprintf(text, sizeof(text),
        "{\"version\": 1, \"system\": \"%s\", \"uuid\": \"%s\", \"leader\": 0, \"ranks\": "
        "[{\"rank\": 0, \"incarnation\": %llu, \"uris\": [\"%s\", \"%s\", \"%s\"]}]}",
        SYSTEM_NAME, cuuid_format(&system, uuid), (unsigned long long)engine_incarnation(engine),
        engine_uri(engine, 0), engine_uri(engine, 1), engine_uri(engine, 2));
    rc = plat->ops->dir_create(plat, dir);
    return rc != 0 ? rc : plat->ops->file_write(plat, path, text, (size_t)len);
}

int
main(int argc, char **argv)
{
    char err[ENGINE_TEXT_BYTES] = "", byte;
    struct engine *engine = NULL;
    struct engine_cfg cfg;
    struct plat *plat;
    int rc;

    if (argc != 3 || plat_linux_create(&plat) != 0)
        return 2;
    engine_cfg_init(&cfg);
    cfg.tgt_nr = TGTS_NR;
    cfg.is_alone = 1;
    snprintf(cfg.system, sizeof(cfg.system), "%s", SYSTEM_NAME);
    snprintf(cfg.dir, sizeof(cfg.dir), "%s", argv[1]);
    snprintf(cfg.uri_base, sizeof(cfg.uri_base), "%s", argv[2]);
    rc = engine_start(plat, &cfg, err, &engine);
    if (rc == 0)
        rc = engine_wait_ready(engine);
    if (rc == 0)
        rc = pool_make(engine);
    if (rc == 0)
        rc = attach_write(plat, engine);
    if (rc != 0) {
        fprintf(stderr, "api_engine: %s %s\n", err_name(rc), err);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    engine_stop(engine);
    plat_linux_destroy(plat);
    return 0;
}
