/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The engine's directory: one owner at a time, one identity for ever.
 *
 * File "identity", 64 bytes, little-endian:
 *      off  bytes
 *        0      8  magic "CRNENGID"
 *        8      4  format version, 1
 *       12      4  rank
 *       16      4  number of targets
 *       20      4  0
 *       24      8  last incarnation
 *       32     16  uuid of the system
 *       48     12  0
 *       60      4  CRC-32C of bytes 0..59
 *
 * Tested by test/engine_dir_test.c.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/crc.h"
#include "engine_priv.h"

enum { IDENTITY_BYTES = 64, IDENTITY_VERSION = 1, PATH_BYTES = ENGINE_DIR_BYTES + 32 };
static const char identity_magic[8] = {'C', 'R', 'N', 'E', 'N', 'G', 'I', 'D'};

struct identity {
    uint32_t rank, tgt_nr;
    uint64_t incarnation;
    struct uuid system;
};

static void
identity_encode(const struct identity *id, uint8_t *buf)
{
    memset(buf, 0, IDENTITY_BYTES);
    memcpy(buf, identity_magic, sizeof(identity_magic));
    le32_put(buf + 8, IDENTITY_VERSION);
    le32_put(buf + 12, id->rank);
    le32_put(buf + 16, id->tgt_nr);
    le64_put(buf + 24, id->incarnation);
    memcpy(buf + 32, id->system.b, sizeof(id->system.b));
    le32_put(buf + 60, crc32c(0, buf, 60));
}

static int
identity_decode(const uint8_t *buf, size_t len, struct identity *ret_id)
{
    if (len != IDENTITY_BYTES || memcmp(buf, identity_magic, sizeof(identity_magic)) != 0)
        return CAIRN_ERR(DF_INVAL);
    if (le32_get(buf + 60) != crc32c(0, buf, 60))
        return CAIRN_ERR(DF_INVAL);
    if (le32_get(buf + 8) != IDENTITY_VERSION)
        return CAIRN_ERR(DF_INCOMPT);
    ret_id->rank = le32_get(buf + 12);
    ret_id->tgt_nr = le32_get(buf + 16);
    ret_id->incarnation = le64_get(buf + 24);
    memcpy(ret_id->system.b, buf + 32, sizeof(ret_id->system.b));
    return 0;
}

/* Errors: MISMATCH. */
static int
identity_match(const struct engine *engine, const struct identity *id, char *err)
{
    const struct engine_cfg *cfg = &engine->cfg;
    char text[CUUID_TEXT_BYTES];

    if (cuuid_cmp(&id->system, &engine->system) != 0) {
        engine_text(
            err, "%s belongs to another system (uuid %s), not to '%s': use its system name, or another directory",
            cfg->dir, cuuid_format(&id->system, text), cfg->system);
        return CAIRN_ERR(MISMATCH);
    }
    if (id->rank != cfg->rank) {
        engine_text(err, "%s belongs to rank %u, not %u: start that rank, or use another directory",
            cfg->dir, id->rank, cfg->rank);
        return CAIRN_ERR(MISMATCH);
    }
    if (id->tgt_nr != cfg->tgt_nr) {
        engine_text(err,
            "%s was formatted with %u targets, not %u: set targets to %u, or use another directory",
            cfg->dir, id->tgt_nr, cfg->tgt_nr, id->tgt_nr);
        return CAIRN_ERR(MISMATCH);
    }
    return 0;
}

/* Read the identity (of a new directory: make it), draw an incarnation above the last, write it. */
static int
identity_renew(struct engine *engine, char *err)
{
    const struct engine_cfg *cfg = &engine->cfg;
    struct identity id = {.rank = cfg->rank, .tgt_nr = cfg->tgt_nr, .system = engine->system};
    struct plat *plat = engine->plat;
    uint8_t buf[IDENTITY_BYTES + 1];
    char path[PATH_BYTES];
    size_t len;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/identity", cfg->dir);
    rc = plat->ops->file_read(plat, path, buf, sizeof(buf), &len);
    if (rc == 0) {
        rc = identity_decode(buf, len, &id);
        if (rc != 0) {
            engine_text(err, "%s: %s: restore it from a copy, or format another directory", path,
                err_text(rc));
            return rc;
        }
        rc = identity_match(engine, &id, err);
        if (rc != 0)
            return rc;
    } else if (rc != -DER_NONEXIST) {
        engine_text(
            err, "%s cannot be read: %s: check its owner and permissions", path, err_text(rc));
        return rc;
    }
    engine->incarnation =
        MAX(cfg->incarnation != 0 ? cfg->incarnation : plat_wall_ns(plat), id.incarnation + 1);
    id.incarnation = engine->incarnation;
    identity_encode(&id, buf);
    rc = plat->ops->file_write(plat, path, buf, IDENTITY_BYTES);
    if (rc != 0) {
        engine_text(err, "%s cannot be written: %s: check space and permissions of the directory",
            path, err_text(rc));
    }
    return rc;
}

/* Who has the directory, for the message. */
static void
owner_text(struct engine *engine, char *err)
{
    char path[PATH_BYTES], pid[16];
    size_t len = 0;

    (void)snprintf(path, sizeof(path), "%s/LOCK", engine->cfg.dir);
    if (engine->plat->ops->file_read(engine->plat, path, pid, sizeof(pid) - 1, &len) != 0)
        len = 0;
    pid[len] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    engine_text(err, "%s is in use by process %s: stop it, or choose another directory",
        engine->cfg.dir, pid[0] == '\0' ? "(unknown)" : pid);
}

int
engine_dir_take(struct engine *engine, char *err)
{
    struct plat *plat = engine->plat;
    int rc;

    rc = plat->ops->dir_create(plat, engine->cfg.dir);
    if (rc != 0) {
        engine_text(err, "%s cannot be created: %s: check the path and its permissions",
            engine->cfg.dir, err_text(rc));
        return rc;
    }
    rc = plat->ops->dir_lock(plat, engine->cfg.dir, &engine->lock);
    if (rc == -DER_BUSY) {
        owner_text(engine, err);
    } else if (rc != 0)
        engine_text(err, "%s cannot be locked: %s", engine->cfg.dir, err_text(rc));
    return rc != 0 ? rc : identity_renew(engine, err);
}
