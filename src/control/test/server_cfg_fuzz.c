/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Fuzz target: the YAML file of daos_server. Whatever the bytes: an answer, and with a failure one line that says where and what; with success a
 * configuration within the limits of server_cfg.h. The same bytes get the same answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "control/server/server_cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
text_check(const char *text, size_t bytes)
{
    CAIRN_ASSERT(memchr(text, '\0', bytes) != NULL);
}

static void
engine_check(const struct server_engine_cfg *engine)
{
    text_check(engine->dir, sizeof(engine->dir));
    text_check(engine->iface, sizeof(engine->iface));
    text_check(engine->log_file, sizeof(engine->log_file));
    CAIRN_ASSERT(engine->targets >= 1 && engine->targets <= 64);
    CAIRN_ASSERT(engine->dir[0] == '/');
    CAIRN_ASSERT(engine->port <= UINT16_MAX);
    CAIRN_ASSERT(engine->dev_nr <= SERVER_DEVS_NR_MAX);
    for (uint32_t i = 0; i < engine->dev_nr; i++) {
        text_check(engine->devs[i].path, sizeof(engine->devs[i].path));
        text_check(engine->devs[i].roles, sizeof(engine->devs[i].roles));
        CAIRN_ASSERT(engine->devs[i].path[0] == '/' && engine->devs[i].roles[0] != '\0');
    }
}

static void
cfg_check(const struct server_cfg *cfg)
{
    uint32_t tag_nr = 0;

    text_check(cfg->name, sizeof(cfg->name));
    text_check(cfg->runtime_dir, sizeof(cfg->runtime_dir));
    text_check(cfg->provider, sizeof(cfg->provider));
    CAIRN_ASSERT(cfg->name[0] != '\0' && cfg->runtime_dir[0] != '\0');
    CAIRN_ASSERT(cfg->engine_nr >= 1 && cfg->engine_nr <= SERVER_ENGINES_NR_MAX);
    for (uint32_t i = 0; i < cfg->engine_nr; i++) {
        engine_check(&cfg->engines[i]);
        tag_nr += 1 + cfg->engines[i].targets;
    }
    CAIRN_ASSERT(tag_nr <= SERVER_TAGS_NR_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct server_cfg *cfgs[2] = {
        calloc(1, sizeof(struct server_cfg)), calloc(1, sizeof(struct server_cfg))};
    char errs[2][SERVER_ERR_BYTES], path[64];
    int fd = memfd_create("cfg", MFD_CLOEXEC), rcs[2];

    CAIRN_ASSERT(fd >= 0 && cfgs[0] != NULL && cfgs[1] != NULL);
    CAIRN_ASSERT(setenv("CAIRN_RUNTIME_DIR", "/run/x", 1) == 0);
    CAIRN_ASSERT(write(fd, data, len) == (ssize_t)len);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (uint32_t i = 0; i < 2; i++) {
        memset(errs[i], 'x', sizeof(errs[i]));
        rcs[i] = server_cfg_load(path, cfgs[i], errs[i], sizeof(errs[i]));
        text_check(errs[i], sizeof(errs[i]));
        CAIRN_ASSERT(rcs[i] == 0 || rcs[i] == -DER_INVAL);
        CAIRN_ASSERT((errs[i][0] == '\0') == (rcs[i] == 0));
        CAIRN_ASSERT(rcs[i] == 0 || strncmp(errs[i], path, strlen(path)) == 0);
    }
    CAIRN_ASSERT(rcs[0] == rcs[1] && strcmp(errs[0], errs[1]) == 0);
    if (rcs[0] == 0) {
        cfg_check(cfgs[0]);
        CAIRN_ASSERT(memcmp(cfgs[0], cfgs[1], sizeof(*cfgs[0])) == 0);
    }
    (void)close(fd);
    free(cfgs[0]);
    free(cfgs[1]);
    return 0;
}
