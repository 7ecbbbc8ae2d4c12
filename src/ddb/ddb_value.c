/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Bytes of values: of one version, or of what is visible of an akey; of an array piece by piece, in the order of its extents. They are compared with their checksums, and shown whatever comes of that: a chunk that does not
 * match is a line, with its address.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/csum.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "ddb/ddb.h"

enum { ENT_BYTES = 64 << 10, HEX_BYTES_MAX = (32 << 20) + 1, LINE_NR = 16 };

struct dump {
    struct ddb *d;
    FILE *to; /* NULL: hexadecimal */
    uint64_t bytes, written;
    char *hex; /* for JSON: what fits */
    struct strbuf hex_sb;
    bool is_cut;
    uint8_t *value; /* VOS_VALUE_BYTES_MAX, for those in the data role */
};

static void
hex_lines(const struct ddb *d, uint64_t first, const uint8_t *p, size_t len)
{
    for (size_t off = 0; off < len; off += LINE_NR) {
        size_t nr = MIN(len - off, (size_t)LINE_NR);

        ddb_say(d, "%012lx ", (unsigned long)(first + off));
        for (size_t i = 0; i < LINE_NR; i++) {
            ddb_say(d, i < nr ? " %02x" : "   ", p[off + MIN(i, nr - 1)]);
        }
        ddb_say(d, "  ");
        for (size_t i = 0; i < nr; i++) {
            ddb_say(d, "%c", p[off + i] >= ' ' && p[off + i] <= '~' ? p[off + i] : '.');
        }
        ddb_say(d, "\n");
    }
}

/* All bytes of a version; *ret_p borrows. */
static int
value_read(struct dump *u, const struct vos_iter_ent *ent, const uint8_t **ret_p)
{
    uint64_t chunk = UINT64_C(1) << (ent->csum_chunk_bits & 63);
    struct bio_tgt *bio = u->d->bio;
    int rc = 0;

    if (ent->is_inline) {
        *ret_p = ent->data;
    } else {
        if (ent->stored_len > VOS_VALUE_BYTES_MAX) {
            return ddb_fail(u->d, -DER_DF_INVAL, "the version has %lu bytes, more than any",
                (unsigned long)ent->stored_len);
        }
        rc = bio_look_read(bio, BIO_ROLE_DATA, ent->addr, u->value, (size_t)ent->stored_len);
        *ret_p = u->value;
    }
    if (rc != 0) {
        return ddb_fail(u->d, rc, "the data role cannot be read at %#lx: %s",
            (unsigned long)ent->addr, err_text(rc));
    }
    for (uint32_t i = 0; i < ent->csum_nr && i * chunk < ent->stored_len; i++) {
        size_t len = (size_t)MIN(chunk, ent->stored_len - i * chunk);

        if (!csum_is_good(
                ent->csum_type, *ret_p + i * chunk, len, ent->csums + (size_t)i * ent->csum_len)) {
            ddb_found(u->d, "the %s: bytes %#lx to %#lx do not match their checksum",
                ent->is_inline ? "metadata arena" : "data role",
                (unsigned long)(ent->addr + i * chunk),
                (unsigned long)(ent->addr + i * chunk + len - 1));
        }
    }
    return 0;
}

/* Bytes [off, off + len) of a version, which stand at `at` in the file or the listing. */
static int
piece_put(struct dump *u, const struct vos_iter_ent *ent, uint64_t off, uint64_t len, uint64_t at)
{
    const uint8_t *p = NULL;
    int rc;

    if (ent->is_hole || len == 0)
        return 0;
    rc = value_read(u, ent, &p);
    if (rc != 0)
        return rc;
    if (off > ent->stored_len || len > ent->stored_len - off)
        return ddb_fail(u->d, -DER_DF_INVAL, "the version is shorter than what it covers");
    u->bytes += len;
    if (u->to == NULL && u->hex != NULL) {
        strbuf_init(&u->hex_sb, u->hex, HEX_BYTES_MAX);
        strbuf_add_hex(&u->hex_sb, p + off, (size_t)len);
        u->is_cut |= u->hex_sb.cut;
        ddb_row(u->d, "pieces",
            json_pack("{s:o, s:o, s:s}", "offset", ddb_u64(at), "bytes", ddb_u64(len), "hex", u->hex));
    } else if (u->to == NULL) {
        hex_lines(u->d, at, p + off, (size_t)len);
    } else if (fseeko(u->to, (off_t)at, SEEK_SET) != 0 && errno != ESPIPE) {
        return ddb_fail(u->d, err_from_errno(errno), "the file: %s", strerror(errno));
    } else if (fwrite(p + off, 1, (size_t)len, u->to) != len)
        return ddb_fail(u->d, err_from_errno(errno), "the file: %s", strerror(errno));
    return 0;
}

static int
dump_place(struct dump *u, const struct ddb_place *p)
{
    struct vos_iter_args args = {.flags = VOS_ITER_VISIBLE,
        .hi = VOS_EPOCH_MAX,
        .cont = p->cont,
        .oid = p->oid,
        .dkey = p->dkey,
        .akey = p->akey};
    bool is_ver = p->level == DDB_VER, is_found = false;
    uint8_t *buf = malloc(ENT_BYTES);
    int rc = buf == NULL ? -DER_NOMEM : 0;

    if (is_ver)
        args.flags = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED | VOS_ITER_HOLES;
    for (int pass = 0; rc == 0 && pass < 2 && !is_found; pass++) {
        struct vos_iter_anchor anchor = {.eof = false};

        args.type = pass == 0 ? VOS_ITER_SINGLE : VOS_ITER_EXTENT;
        while (rc == 0 && !anchor.eof && !(is_ver && is_found)) {
            struct vos_iter_ent ent;
            uint64_t first;
            uint32_t nr = 0;

            rc = vos_iter_fill(u->d->vos, &args, &anchor, &ent, 1, buf, ENT_BYTES, &nr);
            if (rc != 0 || nr == 0)
                continue;
            if (is_ver &&
                (ent.epoch != p->epoch || ent.minor != p->minor ||
                    (p->is_array && (ent.ext.idx != p->recx.idx || ent.ext.nr != p->recx.nr))))
                continue;
            is_found = true;
            if (pass == 0 || is_ver) {
                rc = piece_put(u, &ent, 0, ent.stored_len, 0);
                continue;
            }
            if (u->to == stdout) {
                rc = ddb_fail(
                    u->d, -DER_INVAL, "an array has holes: name a file, or one of its versions");
                continue;
            }
            first = (ent.recx.idx - ent.ext.idx) * ent.rec_size;
            rc = piece_put(u, &ent, first, ent.recx.nr * ent.rec_size, ent.recx.idx * ent.rec_size);
        }
    }
    free(buf);
    return rc != 0 || is_found ? rc : ddb_fail(u->d, -DER_NONEXIST, "nothing is visible there");
}

int
ddb_cmd_value(struct ddb *d, uint32_t nr, char **words)
{
    struct dump u = {.d = d};
    const char *path = NULL, *file = NULL;
    struct ddb_place *p = malloc(sizeof(*p));
    int rc = p == NULL ? -DER_NOMEM : 0;

    for (uint32_t i = 1; rc == 0 && i < nr; i++) {
        if (strcmp(words[i], "--hex") == 0)
            continue; /* what is done without a file */
        if (path == NULL) {
            path = words[i];
        } else if (file == NULL) {
            file = words[i];
        } else {
            rc = ddb_fail(d, -DER_INVAL, "usage: value_dump PATH [FILE]");
        }
    }
    if (rc == 0 && path == NULL)
        rc = ddb_fail(d, -DER_INVAL, "usage: value_dump PATH [FILE]");
    if (p == NULL)
        return rc;
    memset(p, 0, sizeof(*p));
    if (rc == 0)
        rc = ddb_place_find(d, path, p);
    if (rc == 0 && p->level < DDB_AKEY)
        rc = ddb_fail(d, -DER_INVAL, "%s: akeys and their versions have values", path);
    u.value = malloc(VOS_VALUE_BYTES_MAX);
    u.hex = d->is_json && file == NULL ? malloc(HEX_BYTES_MAX) : NULL;
    if (rc == 0 && (u.value == NULL || (d->is_json && file == NULL && u.hex == NULL)))
        rc = -DER_NOMEM;
    if (rc == 0 && file != NULL) {
        u.to = strcmp(file, "-") == 0 ? stdout : fopen(file, "w");
        if (u.to == NULL)
            rc = ddb_fail(d, err_from_errno(errno), "%s: %s", file, strerror(errno));
    }
    if (rc == 0)
        rc = dump_place(&u, p);
    if (u.to != NULL && u.to != stdout && fclose(u.to) != 0 && rc == 0)
        rc = ddb_fail(d, err_from_errno(errno), "%s: %s", file, strerror(errno));
    if (rc == 0) {
        ddb_set(d, "bytes", ddb_u64(u.bytes));
        if (u.hex != NULL)
            ddb_set(d, "is_cut", json_boolean(u.is_cut));
        if (file != NULL && u.to != stdout) {
            ddb_say(d, "%lu bytes to %s\n", (unsigned long)u.bytes, file);
            ddb_set(d, "file", json_string(file));
        }
    }
    ddb_place_end(p);
    free(p);
    free(u.value);
    free(u.hex);
    return rc;
}
