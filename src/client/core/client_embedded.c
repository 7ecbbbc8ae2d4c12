/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Embedded mode: the engine library is loaded into this process and started on a directory; client and engine talk over inproc:// endpoints of one plat.
 * libdaos never links the engine: the only bond is one versioned table of functions (engine.h), whose sizes are checked before use.
 */
#include "base/assert.h"
#include "base/log.h"
#include "client/core/client_priv.h"
#include "client/core/client_tools.h"
#include "engine/engine.h"
#include "plat/plat_linux.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CAIRN_MODULE_DIR
#define CAIRN_MODULE_DIR "/usr/local/lib/cairn"
#endif

#define EMBEDDED_SYS_NAME "embedded"

struct client_embedded {
    void *module;
    const struct cairn_engine_entry_v1 *entry;
    struct engine *engine;
    char dir[ENGINE_DIR_BYTES];
};

static int
module_load(struct plat *plat, struct client_embedded *embedded)
{
    const char *dir = plat->ops->env(plat, "CAIRN_MODULE_DIR");
    const struct cairn_engine_entry_v1 *entry;
    char path[512];
    int len = snprintf(path, sizeof(path), "%s/%s",
        dir != NULL && dir[0] == '/' ? dir : CAIRN_MODULE_DIR, ENGINE_MODULE_NAME);

    if (len < 0 || (size_t)len >= sizeof(path))
        return CAIRN_ERR(INVAL);
    embedded->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (embedded->module == NULL) {
        LOG_ERROR("embedded mode: %s: install the engine, or set CAIRN_MODULE_DIR to where %s is",
            dlerror(), ENGINE_MODULE_NAME);
        return CAIRN_ERR(NOSYS);
    }
    entry = dlsym(embedded->module, ENGINE_ENTRY_SYMBOL);
    if (entry == NULL || entry->version != 1 || entry->struct_bytes != sizeof(*entry) ||
        entry->plat_ops_bytes != sizeof(struct plat_ops) ||
        entry->cfg_bytes != sizeof(struct engine_cfg)) {
        LOG_ERROR("embedded mode: %s belongs to another version of Cairn than libdaos: install "
                  "both from one build",
            path);
        return CAIRN_ERR(NOSYS);
    }
    embedded->entry = entry;
    return 0;
}

static int
sys_describe(const struct client_embedded *embedded, const struct engine_cfg *cfg,
    struct client_sys *ret_sys)
{
    struct client_sys sys = {.leader_rank = cfg->rank};
    struct client_rank *rank = calloc(1, sizeof(*rank));
    uint32_t nr = 1 + cfg->tgt_nr;

    if (rank == NULL)
        return CAIRN_ERR(NOMEM);
    memcpy(sys.name, cfg->system, sizeof(sys.name));
    sys.uuid = embedded->entry->system_uuid(embedded->engine);
    sys.ranks = rank;
    sys.rank_nr = 1;
    rank->rank = cfg->rank;
    rank->incarnation = embedded->entry->incarnation(embedded->engine);
    rank->uris = calloc(nr, sizeof(*rank->uris));
    if (rank->uris == NULL) {
        client_sys_fini(&sys);
        return CAIRN_ERR(NOMEM);
    }
    rank->uri_nr = nr;
    for (uint32_t i = 0; i < nr; i++) {
        CAIRN_IGNORE(snprintf(rank->uris[i], NET_URI_MAX, "%s",
            embedded->entry->uri(embedded->engine, i))); /* same limit */
    }
    *ret_sys = sys;
    return 0;
}

int
client_embedded_start(struct plat *plat, const char *dir, struct client_sys *ret_sys,
    struct client_embedded **ret_embedded)
{
    struct client_embedded *embedded = calloc(1, sizeof(*embedded));
    char err[ENGINE_TEXT_BYTES] = "";
    struct engine_cfg cfg;
    int rc;

    if (embedded == NULL)
        return CAIRN_ERR(NOMEM);
    if (dir[0] != '/' || strlen(dir) >= sizeof(cfg.dir)) {
        LOG_ERROR("embedded mode: %s: give an absolute path of at most %zu bytes", dir,
            sizeof(cfg.dir) - 1);
        rc = CAIRN_ERR(INVAL);
        goto out;
    }
    rc = module_load(plat, embedded);
    if (rc != 0)
        goto out;
    memset(&cfg, 0, sizeof(cfg));
    cfg.struct_bytes = sizeof(cfg);
    cfg.cpu_first = UINT32_MAX;
    cfg.tgt_nr = 1;
    cfg.is_alone = 1;
    memcpy(cfg.system, EMBEDDED_SYS_NAME, sizeof(EMBEDDED_SYS_NAME));
    memcpy(cfg.dir, dir, strlen(dir) + 1);
    memcpy(embedded->dir, dir, strlen(dir) + 1);
    memcpy(cfg.uri_base, "inproc://engine", sizeof("inproc://engine"));
    rc = embedded->entry->start(plat, &cfg, err, &embedded->engine);
    if (rc == 0)
        rc = embedded->entry->wait_ready(embedded->engine);
    if (rc != 0) {
        if (err[0] == '\0' && embedded->engine != NULL) {
            CAIRN_IGNORE(embedded->entry->state_get(
                embedded->engine, err, NULL)); /* only the text is wanted */
        }
        LOG_ERROR("embedded mode: %s", err[0] != '\0' ? err : err_text(rc));
        goto out;
    }
    rc = sys_describe(embedded, &cfg, ret_sys);
    if (rc != 0)
        goto out;
    *ret_embedded = embedded;
    embedded = NULL;
out:
    client_embedded_stop(embedded);
    return rc;
}

void
client_embedded_stop(struct client_embedded *embedded)
{
    if (embedded == NULL)
        return;
    if (embedded->engine != NULL)
        embedded->entry->stop(embedded->engine);
    /* The module stays loaded: threads that it started may still be on their way out of its code. */
    free(embedded);
}

const char *
client_embedded_dir(const struct client_embedded *embedded)
{
    return embedded->dir;
}

/* The newest error line of the library, for the caller of client_embedded_once(). */
struct last_line {
    char *buf;
    size_t bytes;
};

static void
last_line_sink(void *arg, enum log_level level, const char *file, int line, const char *text)
{
    struct last_line *last = arg;

    (void)file;
    (void)line;
    if (level == LOG_LEVEL_ERROR)
        CAIRN_IGNORE(snprintf(last->buf, last->bytes, "%s", text)); /* cut when longer */
}

int
client_embedded_once(const char *dir, const void *req, size_t req_len, void **ret_rep,
    size_t *ret_len, char *err, size_t err_bytes)
{
    struct last_line last = {.buf = err, .bytes = err_bytes};
    struct client_embedded *embedded = NULL;
    struct client_sys sys = {0};
    struct plat *plat = NULL;
    void *rep = NULL;
    size_t len = 0;
    int rc;

    err[0] = '\0';
    log_sink_set(last_line_sink, &last, LOG_LEVEL_ERROR);
    rc = plat_linux_create(&plat);
    if (rc == 0)
        rc = client_embedded_start(plat, dir, &sys, &embedded);
    if (rc == 0)
        rc = embedded->entry->ctl(embedded->engine, req, req_len, &rep, &len);
    if (rc == 0) {
        *ret_rep = malloc(len + 1);
        if (*ret_rep == NULL) {
            rc = CAIRN_ERR(NOMEM);
        } else {
            memcpy(*ret_rep, rep, len);
        }
        *ret_len = len;
        embedded->entry->buf_free(rep);
    }
    client_sys_fini(&sys);
    client_embedded_stop(embedded);
    if (plat != NULL)
        plat_linux_destroy(plat);
    log_sink_set(NULL, NULL, LOG_LEVEL_NONE);
    return rc;
}
