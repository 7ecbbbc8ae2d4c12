/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The engine's directory: one owner at a time, one identity for ever (proto/proto_ident.h has its bytes).
 *
 * A new directory joins the system that it is told, or, told none, is the first of a new one: the identity is written durably before anything is formatted,
 * so that stores without one are a loss that is told, never the beginning of another system.
 *
 * Tested by test/engine_dir_test.c.
 */
#include <stdio.h>

#include "base/assert.h"
#include "engine_priv.h"

enum { PATH_BYTES = ENGINE_DIR_BYTES + 32 };
_Static_assert(PROTO_IDENT_NAME_BYTES == (int)ENGINE_SYSTEM_NAME_BYTES, "names of systems");

/* Errors: MISMATCH. */
static int
identity_match(const struct engine *engine, const struct proto_ident *id, char *err)
{
    const struct engine_cfg *cfg = &engine->cfg;
    char theirs[CUUID_TEXT_BYTES], ours[CUUID_TEXT_BYTES];

    if (!proto_ident_has_name(id, cfg->system)) {
        engine_text(
            err, "%s belongs to another system %s%s%s(uuid %s), not to '%s': use its system name, or another directory",
            cfg->dir, id->name[0] != '\0' ? "'" : "", id->name, id->name[0] != '\0' ? "' " : "",
            cuuid_format(&id->system, theirs), cfg->system);
        return CAIRN_ERR(MISMATCH);
    }
    if (!cuuid_is_nil(&cfg->system_uuid) && cuuid_cmp(&id->system, &cfg->system_uuid) != 0) {
        engine_text(
            err, "%s belongs to another system of the name '%s': its uuid is %s, not %s: use directories of one system",
            cfg->dir, cfg->system, cuuid_format(&id->system, theirs),
            cuuid_format(&cfg->system_uuid, ours));
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

/* The identity of a directory that has none. Errors: DF_INVAL it is not new. */
static int
identity_make(struct engine *engine, struct proto_ident *ret_id, char *err)
{
    const struct engine_cfg *cfg = &engine->cfg;
    struct proto_ident id = {.rank = cfg->rank, .tgt_nr = cfg->tgt_nr, .system = cfg->system_uuid};
    char path[PATH_BYTES];
    uint64_t r[2];

    (void)snprintf(path, sizeof(path), "%s/sys", cfg->dir);
    if (bio_is_formatted(engine->plat, path)) {
        engine_text(
            err, "%s/identity is missing, but %s holds data: restore it from a copy, or use another directory",
            cfg->dir, path);
        return CAIRN_ERR(DF_INVAL);
    }
    if (cuuid_is_nil(&id.system)) {
        engine->plat->ops->random(engine->plat, r, sizeof(r));
        id.system = cuuid_from_random(r[0], r[1]);
    }
    *ret_id = id;
    return 0;
}

static int
identity_write(struct engine *engine, char *err)
{
    uint8_t buf[PROTO_IDENT_BYTES];
    char path[PATH_BYTES];
    int rc;

    (void)snprintf(path, sizeof(path), "%s/identity", engine->cfg.dir);
    proto_ident_encode(&engine->ident, buf);
    rc = engine->plat->ops->file_write(engine->plat, path, buf, PROTO_IDENT_BYTES);
    if (rc != 0) {
        engine_text(err, "%s cannot be written: %s: check space and permissions of the directory",
            path, err_text(rc));
    }
    return rc;
}

bool
engine_dir_is_formatted(const struct engine *engine)
{
    return (engine->ident.flags & PROTO_IDENT_FORMATTED) != 0;
}

int
engine_dir_formatted(struct engine *engine)
{
    if (engine_dir_is_formatted(engine))
        return 0;
    engine->ident.flags |= PROTO_IDENT_FORMATTED;
    return identity_write(engine, engine->err);
}

/* Read the identity (of a new directory: make it), draw an incarnation above the last, write it. */
static int
identity_renew(struct engine *engine, char *err)
{
    const struct engine_cfg *cfg = &engine->cfg;
    struct plat *plat = engine->plat;
    uint8_t buf[PROTO_IDENT_BYTES_MAX];
    struct proto_ident id;
    char path[PATH_BYTES];
    size_t len;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/identity", cfg->dir);
    rc = plat->ops->file_read(plat, path, buf, sizeof(buf), &len);
    if (rc == -DER_NONEXIST) {
        rc = identity_make(engine, &id, err);
    } else if (rc != 0 && rc != -DER_TRUNC) {
        engine_text(
            err, "%s cannot be read: %s: check its owner and permissions", path, err_text(rc));
    } else {
        rc = rc != 0 ? CAIRN_ERR(DF_INVAL) : proto_ident_decode(buf, len, &id);
        if (rc != 0) {
            engine_text(err, "%s: %s: %s", path, err_text(rc),
                rc == -DER_DF_INCOMPT ? "use the software that wrote it"
                                      : "restore it from a copy, or format another directory");
        } else {
            rc = identity_match(engine, &id, err);
        }
    }
    if (rc != 0)
        return rc;
    engine->system = id.system;
    memcpy(id.name, cfg->system, sizeof(id.name));
    engine->incarnation =
        MAX(cfg->incarnation != 0 ? cfg->incarnation : plat_wall_ns(plat), id.incarnation + 1);
    id.incarnation = engine->incarnation;
    engine->ident = id;
    return identity_write(engine, err);
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
