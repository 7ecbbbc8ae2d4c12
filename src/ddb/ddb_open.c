/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Finding a target and opening it for a look (DDB-1, DDB-2). PATH is the directory of an engine, of one of its targets, or a device; roles that are regions of the named
 * devices are used there, the others are files of the target's directory. The lock of the engine is shared, on LOCK of its directory and on each device; where
 * there is no LOCK there is no engine (a copy).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "ddb/ddb.h"
#include "proto/proto_ident.h"

static const char *const role_names[BIO_ROLE_NR] = {"target", "wal", "meta", "data"};

const char *
ddb_role_name(enum bio_role role)
{
    return role_names[role];
}

void
ddb_role_text(const struct ddb *d, enum bio_role role, char *buf, size_t bytes)
{
    const struct bio_place *place = &d->cfg.places[role];

    if (place->path[0] == '\0') {
        (void)snprintf(buf, bytes, "%s/%s", d->cfg.dir, role_names[role]);
    } else {
        (void)snprintf(buf, bytes, "%s at %lu", place->path, (unsigned long)place->off);
    }
}

bool
ddb_is_dax(const struct ddb *d, enum bio_role role)
{
    char path[PATH_MAX];
    struct statx st;

    if (d->cfg.places[role].path[0] != '\0')
        return false; /* devices are not mapped */
    (void)snprintf(path, sizeof(path), "%s/%s", d->cfg.dir, role_names[role]);
    return statx(AT_FDCWD, path, 0, 0, &st) == 0 && (st.stx_attributes & STATX_ATTR_DAX) != 0;
}

/* ---- locks ---------------------------------------------------------------------------------------------------------- */

void
ddb_unlock(struct ddb *d)
{
    while (d->lock_nr > 0) {
        close(d->lock_fds[--d->lock_nr]);
    }
}

/* Who has it; "" when nobody says. */
static void
owner_text(int fd, char *buf, size_t bytes)
{
    ssize_t n = pread(fd, buf, bytes - 1, 0);

    buf[MAX(n, (ssize_t)0)] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    if (strspn(buf, "0123456789") != strlen(buf))
        buf[0] = '\0';
}

/* `file` carries the lock of `what`. Absent: nobody has it. */
static int
lock_take(struct ddb *d, const char *file, const char *what)
{
    char owner[16];
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return ddb_fail(d, err_from_errno(errno), "%s: %s", file, strerror(errno));
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        int err = errno;

        owner_text(fd, owner, sizeof(owner));
        close(fd);
        if (err != EWOULDBLOCK)
            return ddb_fail(d, err_from_errno(err), "%s cannot be locked: %s", file, strerror(err));
        return ddb_fail(d, -DER_BUSY, "%s is in use by a running engine%s%s: stop it first", what,
            owner[0] != '\0' ? ", process " : "", owner);
    }
    d->lock_fds[d->lock_nr++] = fd;
    return 0;
}

/* ---- what PATH is --------------------------------------------------------------------------------------------------- */

static bool
file_is_there(const char *dir, const char *name)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) &&
        access(path, F_OK) == 0;
}

static bool
is_tgt_dir(const char *dir)
{
    return file_is_there(dir, "target") || file_is_there(dir, "wal") ||
        file_is_there(dir, "meta") || file_is_there(dir, "data");
}

/* Errors: INVAL. */
static int
tgt_parse(struct ddb *d, uint32_t *ret_idx)
{
    unsigned long v;
    char *end;

    if (strcmp(d->tgt_text, "sys") == 0) {
        *ret_idx = DDB_SYS_IDX;
        return 0;
    }
    errno = 0;
    v = strtoul(d->tgt_text, &end, 10);
    if (end == d->tgt_text || *end != '\0' || errno != 0 || v >= DDB_SYS_IDX)
        return ddb_fail(d, -DER_INVAL, "%s: expected the number of a target, or sys", d->tgt_text);
    *ret_idx = (uint32_t)v;
    return 0;
}

/* The target meant, of an engine's directory. */
static int
engine_tgt(struct ddb *d, const char *dir, uint32_t *ret_idx)
{
    uint8_t buf[PROTO_IDENT_BYTES_MAX];
    struct proto_ident id = {0};
    char path[PATH_MAX];
    size_t len = 0;
    int rc;

    if (d->tgt_text != NULL)
        return tgt_parse(d, ret_idx);
    (void)snprintf(path, sizeof(path), "%.200s/identity", dir);
    rc = d->plat->ops->file_read(d->plat, path, buf, sizeof(buf), &len);
    if (rc == 0)
        rc = proto_ident_decode(buf, len, &id);
    if (rc != 0) {
        ddb_found(d, "%s: %s", path, err_text(rc));
        return ddb_fail(d, rc, "%s is damaged: say with --target which target is meant", path);
    }
    if (id.tgt_nr != 1) {
        return ddb_fail(d,
            -DER_INVAL, "%s is an engine's directory with %u targets: say with --target which is meant, 0 to %u or sys",
            dir, id.tgt_nr, id.tgt_nr - 1);
    }
    *ret_idx = 0;
    return 0;
}

static void
dir_set(struct ddb *d, const char *dir, uint32_t idx)
{
    if (idx == DDB_SYS_IDX) {
        (void)snprintf(d->cfg.dir, sizeof(d->cfg.dir), "%.240s/sys", dir);
    } else {
        (void)snprintf(d->cfg.dir, sizeof(d->cfg.dir), "%.240s/tgt%u", dir, idx);
    }
}

/* A directory: of an engine, or of a target, whose parent has the lock then. */
static int
dir_find(struct ddb *d, const char *dir, uint32_t *ret_idx)
{
    char file[PATH_MAX], parent[PATH_MAX];
    const char *name;
    int rc;

    if (strlen(dir) > 200)
        return ddb_fail(d, -DER_EXCEEDS_PATH_LEN, "%s: the path is too long", dir);
    if (file_is_there(dir, "identity")) {
        (void)snprintf(file, sizeof(file), "%.200s/LOCK", dir);
        rc = lock_take(d, file, dir);
        if (rc == 0)
            rc = engine_tgt(d, dir, ret_idx);
        if (rc == 0)
            dir_set(d, dir, *ret_idx);
        return rc;
    }
    (void)snprintf(parent, sizeof(parent), "%s", dir);
    name = strrchr(dir, '/') == NULL ? dir : strrchr(dir, '/') + 1;
    if (!is_tgt_dir(dir) && d->dev_nr == 0) {
        return ddb_fail(
            d, -DER_NONEXIST, "%s is neither an engine's directory nor that of a target", dir);
    }
    (void)snprintf(file, sizeof(file), "%.*s/LOCK", PATH_MAX - 8, dirname(parent));
    rc = lock_take(d, file, dir);
    if (rc != 0)
        return rc;
    (void)snprintf(d->cfg.dir, sizeof(d->cfg.dir), "%.250s", dir);
    if (d->tgt_text != NULL)
        return tgt_parse(d, ret_idx);
    *ret_idx = 0;
    if (strcmp(name, "sys") == 0)
        *ret_idx = DDB_SYS_IDX;
    if (strncmp(name, "tgt", 3) == 0)
        *ret_idx = (uint32_t)strtoul(name + 3, NULL, 10);
    return 0;
}

/* ---- devices -------------------------------------------------------------------------------------------------------- */

/* The only target of the devices. */
static int
dev_tgt(struct ddb *d, uint32_t *ret_idx)
{
    bool is_known = false, is_several = false;

    for (uint32_t i = 0; i < d->dev_nr; i++) {
        const struct bio_look_dev *look = &d->dev_looks[i];

        for (uint32_t r = 0; look->label_rc == 0 && look->tab_rc == 0 && r < look->label.region_nr;
             r++) {
            uint32_t idx = look->tab.regions[r].tgt_idx;

            if (idx == DDB_SYS_IDX)
                continue;
            is_several |= is_known && *ret_idx != idx;
            *ret_idx = idx;
            is_known = true;
        }
    }
    if (!is_known)
        return ddb_fail(d, -DER_DF_INVAL, "no device has a readable table of targets");
    if (is_several) {
        return ddb_fail(
            d, -DER_INVAL, "the devices hold several targets: say with --target which is meant");
    }
    return 0;
}

static int
devs_look(struct ddb *d)
{
    char real[PATH_MAX];

    if (d->dev_nr == 0 || d->dev_looks != NULL)
        return 0;
    d->dev_looks = calloc(d->dev_nr, sizeof(*d->dev_looks));
    if (d->dev_looks == NULL)
        return -DER_NOMEM;
    for (uint32_t i = 0; i < d->dev_nr; i++) {
        struct bio_look_dev *look = &d->dev_looks[i];
        int rc;

        if (realpath(d->devs[i], real) == NULL)
            return ddb_fail(d, err_from_errno(errno), "%s: %s", d->devs[i], strerror(errno));
        rc = lock_take(d, real, d->devs[i]);
        if (rc == 0)
            rc = bio_look_dev(d->xs, real, look);
        if (rc != 0)
            return d->err[0] != '\0' ? rc : ddb_fail(d, rc, "%s: %s", d->devs[i], err_text(rc));
        if (look->label_rc == -DER_DF_INVAL && look->label.magic != BIO_DEV_MAGIC) {
            return ddb_fail(d, -DER_DF_INVAL,
                "%s carries no label: it is not a device of an engine, or was overwritten",
                d->devs[i]);
        }
        if (look->label_rc != 0)
            ddb_found(d, "%s: the label (offset 0): %s", d->devs[i], err_text(look->label_rc));
        if (look->label_rc == 0 && look->tab_rc != 0) {
            ddb_found(d, "%s: the table (offset %d): %s", d->devs[i], BIO_DEV_TAB_OFF,
                err_text(look->tab_rc));
        }
    }
    return 0;
}

/* Where the devices have roles of the target. */
static int
devs_place(struct ddb *d, uint32_t idx)
{
    char real[PATH_MAX];

    for (uint32_t i = 0; i < d->dev_nr; i++) {
        const struct bio_look_dev *look = &d->dev_looks[i];

        if (realpath(d->devs[i], real) == NULL || strlen(real) >= BIO_PATH_BYTES)
            return ddb_fail(d, -DER_EXCEEDS_PATH_LEN, "%s: the path is too long", d->devs[i]);
        for (uint32_t r = 0; look->label_rc == 0 && look->tab_rc == 0 && r < look->label.region_nr;
             r++) {
            const struct bio_dev_region_df *region = &look->tab.regions[r];
            struct bio_place *place = &d->cfg.places[region->role];

            if (region->tgt_idx != idx)
                continue;
            (void)snprintf(place->path, sizeof(place->path), "%.255s", real);
            place->off = region->off;
            place->bytes = region->bytes;
        }
    }
    return 0;
}

/* ---- open ----------------------------------------------------------------------------------------------------------- */

static int
locate(struct ddb *d)
{
    char real[PATH_MAX];
    uint32_t idx = 0;
    struct stat st;
    int rc;

    if (stat(d->path, &st) != 0 || realpath(d->path, real) == NULL)
        return ddb_fail(d, err_from_errno(errno), "%s: %s", d->path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        bool is_named = false;

        for (uint32_t i = 0; i < d->dev_nr; i++) {
            is_named |= strcmp(d->devs[i], d->path) == 0;
        }
        if (!is_named && d->dev_nr == DDB_DEVS_NR_MAX)
            return ddb_fail(d, -DER_INVAL, "more than %d devices", DDB_DEVS_NR_MAX);
        if (!is_named)
            d->devs[d->dev_nr++] = d->path;
    }
    rc = devs_look(d);
    if (rc == 0 && S_ISDIR(st.st_mode)) {
        rc = dir_find(d, real, &idx);
    } else if (rc == 0) {
        rc = d->tgt_text != NULL ? tgt_parse(d, &idx) : dev_tgt(d, &idx);
        (void)snprintf(d->cfg.dir, sizeof(d->cfg.dir), "(no device)");
    }
    if (rc == 0)
        rc = devs_place(d, idx);
    d->cfg.tgt_idx = idx;
    return rc;
}

int
ddb_open_at(struct ddb *d)
{
    int rc;

    d->cfg.is_rdonly = true;
    d->cfg.is_tolerant = true;
    d->cfg.mem_bytes = DDB_MEM_BYTES;
    d->is_fresh = true;
    rc = bio_open(d->xs, &d->cfg, &d->bio);
    if (rc != 0) {
        return ddb_fail(d, rc, "%s, target %u: %s", d->path, d->cfg.tgt_idx,
            rc == -DER_NONEXIST ? "no superblock is there, or none is readable" : err_text(rc));
    }
    d->vos_rc = bio_status(d->bio);
    if (d->vos_rc == 0)
        d->vos_rc = vos_tgt_open(d->bio, &d->vos);
    if (d->vos_rc != 0)
        d->vos = NULL;
    return 0; /* what can be shown is */
}

int
ddb_open(struct ddb *d)
{
    int rc;

    memset(&d->cfg, 0, sizeof(d->cfg));
    if (d->lock_nr > 0)
        ddb_unlock(d);
    rc = locate(d);
    return rc != 0 ? rc : ddb_open_at(d);
}

void
ddb_close(struct ddb *d)
{
    vos_tgt_close(d->vos);
    d->vos = NULL;
    bio_close(d->bio);
    d->bio = NULL;
    free(d->dev_looks);
    d->dev_looks = NULL;
}
