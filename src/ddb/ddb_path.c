/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Places in the tree by path: each part an index, as `ls` counts, or a name. A part is looked for among what lies there, old and punched things included, so that what cannot be
 * reached any more in the usual ways can be shown.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "ddb/ddb.h"
#include "vos/vos_rec.h"

/* ---- names ---------------------------------------------------------------------------------------------------------- */

bool
ddb_oid_has_int_dkey(const struct vos_oid *oid)
{
    const struct vos_btr_kind *kind = NULL;

    return vos_kind_of_dkey(oid->oid, &kind) == 0 && kind == &vos_kind_key_uint;
}

bool
ddb_oid_has_int_akey(const struct vos_oid *oid)
{
    const struct vos_btr_kind *kind = NULL;

    return vos_kind_of_akey(oid->oid, &kind) == 0 && kind == &vos_kind_key_uint;
}

static bool
is_plain(const struct iov *key)
{
    const uint8_t *p = key->buf;

    for (size_t i = 0; i < key->len; i++) {
        if (p[i] <= ' ' || p[i] > '~' || strchr("/{}[]\"'\\", p[i]) != NULL)
            return false;
    }
    return key->len > 0 && p[0] != '@' && p[0] != '#';
}

void
ddb_key_text(const struct iov *key, bool is_int, char *buf, size_t bytes)
{
    struct strbuf sb;

    strbuf_init(&sb, buf, bytes);
    if (is_int && key->len == 8) {
        strbuf_add(&sb, "{uint64: %lu}", (unsigned long)le64_get(key->buf));
    } else if (is_plain(key)) {
        strbuf_add(&sb, "%.*s", (int)key->len, (const char *)key->buf);
    } else {
        strbuf_add(&sb, "{bin: 0x");
        strbuf_add_hex(&sb, key->buf, key->len);
        strbuf_add(&sb, "}");
    }
}

void
ddb_oid_text(const struct vos_oid *oid, char *buf, size_t bytes)
{
    (void)snprintf(buf, bytes, "%lu.%lu.%u.%u", (unsigned long)oid->oid.hi,
        (unsigned long)oid->oid.lo, oid->shard, oid->layout_ver);
}

static int
digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
        : c >= 'a' && c <= 'f'  ? c - 'a' + 10
        : c >= 'A' && c <= 'F'  ? c - 'A' + 10
                                : -1;
}

/* Unsigned number up to `stop`. */
static bool
number(const char *text, const char *stop, uint64_t *ret_v)
{
    char *end;

    while (*text == ' ') {
        text++;
    }
    if (digit_of(*text) < 0)
        return false;
    errno = 0;
    *ret_v = strtoul(text, &end, 0);
    while (*end == ' ' && end != stop) {
        end++;
    }
    return errno == 0 && end == stop;
}

/* {uint64: N}, {bin: 0x...}, text{bytes}, text. Errors: INVAL. */
static int
key_parse(const char *text, uint8_t *buf, struct iov *ret_key)
{
    size_t len = strlen(text);
    const char *brace = strchr(text, '{'), *end = text + len - 1;
    uint64_t v;

    ret_key->buf = buf;
    if (brace == text && *end == '}') {
        const char *colon = strchr(text, ':');
        static const struct {
            const char *name;
            size_t len;
        } ints[] = {{"{uint8", 1}, {"{uint16", 2}, {"{uint32", 4}, {"{uint64", 8}};

        for (size_t i = 0; colon != NULL && i < ARRAY_SIZE(ints); i++) {
            uint8_t le[8];

            if ((size_t)(colon - text) != strlen(ints[i].name) ||
                strncmp(text, ints[i].name, strlen(ints[i].name)) != 0)
                continue;
            if (!number(colon + 1, end, &v))
                return -DER_INVAL;
            le64_put(le, v);
            memcpy(buf, le, ints[i].len);
            ret_key->len = ints[i].len;
            return 0;
        }
        if (colon == NULL || strncmp(text, "{bin:", 5) != 0)
            return -DER_INVAL;
        text += 5 + strspn(text + 5, " ");
        if (strncmp(text, "0x", 2) != 0)
            return -DER_INVAL;
        text += 2;
        len = (size_t)(end - text);
        if (len % 2 != 0 || len / 2 > VOS_KEY_BYTES_MAX)
            return -DER_INVAL;
        for (size_t i = 0; i < len / 2; i++) {
            int hi = digit_of(text[2 * i]), lo = digit_of(text[2 * i + 1]);

            if (hi < 0 || lo < 0)
                return -DER_INVAL;
            buf[i] = (uint8_t)(hi << 4 | lo);
        }
        ret_key->len = len / 2;
        return 0;
    }
    if (brace != NULL && *end == '}') { /* zeros follow up to that size */
        if (!number(brace + 1, end, &v) || v < (uint64_t)(brace - text) || v > VOS_KEY_BYTES_MAX)
            return -DER_INVAL;
        len = (size_t)(brace - text);
        memset(buf, 0, v);
        memcpy(buf, text, len);
        ret_key->len = v;
        return 0;
    }
    if (len > VOS_KEY_BYTES_MAX)
        return -DER_INVAL;
    memcpy(buf, text, len);
    ret_key->len = len;
    return 0;
}

/* HI.LO[.SHARD[.LAYOUT]]. */
static bool
oid_parse(const char *text, struct vos_oid *ret_oid)
{
    uint64_t v[4] = {0};
    uint32_t nr = 0;

    for (;;) {
        const char *stop = text + strcspn(text, ".");

        if (nr == 4 || !number(text, stop, &v[nr]))
            return false;
        nr++;
        if (*stop == '\0')
            break;
        text = stop + 1;
    }
    *ret_oid = (struct vos_oid){
        .oid = {.hi = v[0], .lo = v[1]}, .shard = (uint32_t)v[2], .layout_ver = (uint32_t)v[3]};
    return nr >= 2 && v[2] <= UINT32_MAX && v[3] <= UINT32_MAX;
}

/* {first-last}, @EPOCH[.MINOR], or both; either bracket. */
struct ver_name {
    bool has_recx, has_epoch, has_minor;
    uint64_t lo, hi, epoch, minor;
};

static bool
ver_parse(const char *text, struct ver_name *v)
{
    memset(v, 0, sizeof(*v));
    if (*text == '{' || *text == '[') {
        const char *end = strchr(text, *text == '{' ? '}' : ']'), *dash = strchr(text, '-');

        if (end == NULL || dash == NULL || dash > end || !number(text + 1, dash, &v->lo) ||
            !number(dash + 1, end, &v->hi))
            return false;
        v->has_recx = true;
        text = end + 1;
    }
    if (*text == '@') {
        const char *dot = text + strcspn(text, ".");

        v->has_epoch = true;
        if (!number(text + 1, dot, &v->epoch))
            return false;
        v->has_minor = *dot == '.';
        if (v->has_minor && !number(dot + 1, dot + strlen(dot), &v->minor))
            return false;
        return true;
    }
    return *text == '\0' && v->has_recx;
}

/* ---- looking for a part --------------------------------------------------------------------------------------------- */

struct find {
    struct ddb_place *place;
    enum vos_iter_type type;
    bool is_index, is_found;
    uint64_t index, at; /* the one wanted; counted so far */
    int lost_rc; /* not 0: something there is damaged */
    /* by name */
    struct uuid uuid;
    struct vos_oid oid;
    struct iov key;
    struct ver_name ver;
};

static bool
is_wanted(const struct find *f, const struct vos_iter_ent *ent)
{
    switch (f->type) {
    case VOS_ITER_POOL:
    case VOS_ITER_CONT:
        return cuuid_cmp(&ent->uuid, &f->uuid) == 0;
    case VOS_ITER_OBJ:
        return oid_cmp(ent->oid.oid, f->oid.oid) == 0 && ent->oid.shard == f->oid.shard &&
            ent->oid.layout_ver == f->oid.layout_ver;
    case VOS_ITER_DKEY:
    case VOS_ITER_AKEY:
        return ent->key.len == f->key.len && memcmp(ent->key.buf, f->key.buf, f->key.len) == 0;
    default:
        return (!f->ver.has_recx ||
                   (ent->type == VOS_ITER_EXTENT && ent->ext.idx == f->ver.lo &&
                       ent->ext.idx + ent->ext.nr - 1 == f->ver.hi)) &&
            (!f->ver.has_epoch || ent->epoch == f->ver.epoch) &&
            (!f->ver.has_minor || ent->minor == f->ver.minor);
    }
}

static bool
find_ent(void *arg, const struct vos_iter_ent *ent)
{
    struct find *f = arg;

    if (f->is_found)
        return false;
    if (ent->type == VOS_ITER_EXTENT && ent->recx.idx != ent->ext.idx)
        return true; /* a later part of the same extent */
    f->is_found = f->is_index ? f->at == f->index : is_wanted(f, ent);
    f->at++;
    if (f->is_found)
        ddb_place_set(f->place, ent);
    return true;
}

/* What is looked for may lie there; when it is found elsewhere, it does not. */
static void
find_lost(void *arg, uint64_t lo, uint64_t hi, int rc)
{
    struct find *f = arg;

    (void)lo;
    (void)hi;
    f->lost_rc = rc;
}

static int
find_in(struct ddb *d, struct find *f, enum vos_iter_type type)
{
    const struct ddb_place *p = f->place;
    struct vos_iter_args args = {.type = type,
        .flags = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED | VOS_ITER_HOLES,
        .hi = VOS_EPOCH_MAX,
        .pool = p->pool,
        .cont = p->cont,
        .oid = p->oid,
        .dkey = p->dkey,
        .akey = p->akey,
        .fn = find_ent,
        .lost_fn = find_lost,
        .arg = f};
    struct vos_iter_anchor anchor = {.eof = false};
    int rc = 0;

    f->type = type;
    while (rc == 0 && !anchor.eof && !f->is_found) {
        rc = vos_iter(d->vos, &args, &anchor);
    }
    return f->is_found ? 0 : rc != 0 ? rc : f->lost_rc;
}

static int
part_find(struct ddb *d, const char *part, struct ddb_place *p)
{
    static const enum vos_iter_type types[DDB_LEVEL_NR] = {VOS_ITER_POOL, VOS_ITER_CONT,
        VOS_ITER_OBJ, VOS_ITER_DKEY, VOS_ITER_AKEY, VOS_ITER_SINGLE, VOS_ITER_SINGLE};
    static const char *const names[DDB_LEVEL_NR] = {
        "pool", "container", "object", "dkey", "akey", "version", ""};
    uint8_t key[VOS_KEY_BYTES_MAX];
    struct find f = {.place = p};
    size_t len = strlen(part);
    bool ok = true;
    int rc;

    if (p->level == DDB_VER)
        return ddb_fail(d, -DER_INVAL, "%s: nothing lies below a version", part);
    f.is_index = part[0] == '[' && part[len - 1] == ']' && strchr(part, '-') == NULL;
    if (f.is_index) {
        ok = number(part + 1, part + len - 1, &f.index);
    } else if (p->level <= DDB_POOL) {
        ok = cuuid_parse(part, &f.uuid) == 0;
    } else if (p->level == DDB_CONT) {
        ok = oid_parse(part, &f.oid);
    } else if (p->level <= DDB_DKEY) {
        ok = key_parse(part, key, &f.key) == 0;
    } else {
        ok = ver_parse(part, &f.ver);
    }
    if (!ok) {
        return ddb_fail(d, -DER_INVAL, "%s: not the name of a %s, nor an index in brackets", part,
            names[p->level]);
    }
    rc = find_in(d, &f, types[p->level]);
    if (rc == 0 && !f.is_found && p->level == DDB_AKEY)
        rc = find_in(d, &f, VOS_ITER_EXTENT);
    if (rc != 0) {
        return ddb_fail(
            d, rc, "%s: the %ss there cannot be read: %s", part, names[p->level], err_text(rc));
    }
    if (!f.is_found)
        return ddb_fail(d, -DER_NONEXIST, "%s: no such %s there", part, names[p->level]);
    if (p->level == DDB_CONT) {
        rc = vos_cont_open(d->vos, p->pool, p->cont_id, &p->cont);
        if (rc != 0)
            return ddb_fail(d, rc, "%s: the container cannot be opened: %s", part, err_text(rc));
    }
    return 0;
}

void
ddb_place_set(struct ddb_place *p, const struct vos_iter_ent *ent)
{
    switch (ent->type) {
    case VOS_ITER_POOL:
        p->level = DDB_POOL;
        p->pool = ent->uuid;
        break;
    case VOS_ITER_CONT:
        p->level = DDB_CONT;
        p->cont_id = ent->uuid;
        break;
    case VOS_ITER_OBJ:
        p->level = DDB_OBJ;
        p->oid = ent->oid;
        break;
    case VOS_ITER_DKEY:
        p->level = DDB_DKEY;
        memcpy(p->dkey_buf, ent->key.buf, ent->key.len);
        p->dkey = (struct iov){p->dkey_buf, ent->key.len};
        break;
    case VOS_ITER_AKEY:
        p->level = DDB_AKEY;
        memcpy(p->akey_buf, ent->key.buf, ent->key.len);
        p->akey = (struct iov){p->akey_buf, ent->key.len};
        break;
    default:
        p->level = DDB_VER;
        p->is_array = ent->type == VOS_ITER_EXTENT;
        p->recx = p->is_array ? ent->ext : (struct recx){0, 1};
        p->epoch = ent->epoch;
        p->minor = ent->minor;
        break;
    }
}

int
ddb_place_find(struct ddb *d, const char *path, struct ddb_place *place)
{
    char *copy = strdup(path);
    int rc = copy == NULL ? -DER_NOMEM : 0;

    memset(place, 0, sizeof(*place));
    for (char *part = copy; rc == 0 && *part != '\0';) {
        size_t len = strcspn(part, "/");
        char *next = part + len + (part[len] == '/');

        part[len] = '\0';
        if (len > 0)
            rc = part_find(d, part, place);
        part = next;
    }
    free(copy);
    return rc;
}

void
ddb_place_end(struct ddb_place *place)
{
    if (place->cont != NULL)
        vos_cont_close(place->cont);
    place->cont = NULL;
}

void
ddb_place_text(const struct ddb_place *p, char *buf, size_t bytes)
{
    char name[DDB_NAME_BYTES];
    char id[CUUID_TEXT_BYTES];
    struct strbuf sb;

    strbuf_init(&sb, buf, bytes);
    strbuf_add(&sb, "/");
    if (p->level >= DDB_POOL)
        strbuf_add(&sb, "%s", cuuid_format(&p->pool, id));
    if (p->level >= DDB_CONT)
        strbuf_add(&sb, "/%s", cuuid_format(&p->cont_id, id));
    if (p->level >= DDB_OBJ) {
        ddb_oid_text(&p->oid, name, sizeof(name));
        strbuf_add(&sb, "/%s", name);
    }
    if (p->level >= DDB_DKEY) {
        ddb_key_text(&p->dkey, ddb_oid_has_int_dkey(&p->oid), name, sizeof(name));
        strbuf_add(&sb, "/%s", name);
    }
    if (p->level >= DDB_AKEY) {
        ddb_key_text(&p->akey, ddb_oid_has_int_akey(&p->oid), name, sizeof(name));
        strbuf_add(&sb, "/%s", name);
    }
    if (p->level >= DDB_VER) {
        strbuf_add(&sb, "/");
        if (p->is_array) {
            strbuf_add(&sb, "{%lu-%lu}", (unsigned long)p->recx.idx,
                (unsigned long)(p->recx.idx + p->recx.nr - 1));
        }
        strbuf_add(&sb, "@%lu.%u", (unsigned long)p->epoch, p->minor);
    }
}
