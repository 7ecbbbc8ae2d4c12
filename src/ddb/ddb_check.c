/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * check: everything that is referenced is read and compared (DDB-4). Whatever one of the parts below finds is a line, said by who found it; the verdict is whether there
 * are any. What is not wrong, but worth knowing, are notes.
 */
#include <string.h>

#include "base/strbuf.h"
#include "base/util.h"
#include "ddb/ddb.h"
#include "vos/vos_format.h"
#include "vos/vos_look.h"

enum { SCRUB_STEP_BYTES = 64 << 20 };

struct check {
    struct ddb *d;
    bool no_data;
    uint64_t pools_nr, records_nr, bytes;
};

static void
note(struct ddb *d, const char *text)
{
    ddb_say(d, "note: %s\n", text);
    if (d->is_json) {
        json_t *notes = json_object_get(d->response, "notes");

        (void)json_array_append_new(notes, json_string(text));
    }
}

/* A part failed, and it or one before has said why: if not, this does. */
static void
part_failed(struct ddb *d, const char *what, int rc)
{
    if (rc != 0 && d->finding_nr == 0)
        ddb_found(d, "%s: %s", what, err_text(rc));
}

static void
bad_value(void *arg, const struct vos_scrub_bad *bad)
{
    struct ddb *d = arg;
    char dkey[DDB_NAME_BYTES], akey[DDB_NAME_BYTES], oid[128], cont[CUUID_TEXT_BYTES],
        pool[CUUID_TEXT_BYTES];

    (void)d;
    ddb_key_text(&bad->dkey, ddb_oid_has_int_dkey(&bad->oid), dkey, sizeof(dkey));
    ddb_key_text(&bad->akey, ddb_oid_has_int_akey(&bad->oid), akey, sizeof(akey));
    ddb_oid_text(&bad->oid, oid, sizeof(oid));
    if (bad->addr == 0 && bad->len == 0) {
        ddb_found(d, "index below /%s/%s/%s/%.100s: %s", cuuid_format(&bad->pool, pool),
            cuuid_format(&bad->cont, cont), oid, dkey, err_text(bad->rc));
        return;
    }
    ddb_found(d, "%s: %lu bytes at %#lx: %s: /%s/%s/%s/%.100s/%.100s, version @%lu.%u",
        bad->is_meta ? "metadata arena" : "data", (unsigned long)bad->len, (unsigned long)bad->addr,
        err_text(bad->rc), cuuid_format(&bad->pool, pool), cuuid_format(&bad->cont, cont), oid,
        dkey, akey, (unsigned long)bad->epoch, bad->minor);
}

/* Every value of a pool, also in the data role. */
static int
pool_values(struct check *c, struct uuid pool)
{
    struct vos_scrub *scrub = NULL;
    uint64_t passes = 1;
    int rc = vos_scrub_create(c->d->vos, pool, bad_value, c->d, &scrub);

    if (rc != 0)
        return rc;
    if (vos_scrub_stats(scrub)->is_running)
        passes = 2; /* it goes on in the middle */
    while (rc == 0 && vos_scrub_stats(scrub)->passes_nr < passes) {
        rc = vos_scrub_step(scrub, SCRUB_STEP_BYTES);
    }
    c->pools_nr++;
    c->records_nr += vos_scrub_stats(scrub)->last.records_nr;
    c->bytes += vos_scrub_stats(scrub)->last.bytes;
    vos_scrub_free(scrub);
    return rc;
}

static int
values_check(struct check *c)
{
    struct uuid after = {{0}}, batch[64];
    uint32_t nr = ARRAY_SIZE(batch);
    int rc = 0;

    while (rc == 0 && nr == ARRAY_SIZE(batch)) {
        rc = vos_pool_list(c->d->vos, after, batch, ARRAY_SIZE(batch), &nr);
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            rc = pool_values(c, batch[i]);
        }
        if (rc == 0 && nr > 0)
            after = batch[nr - 1];
    }
    return rc;
}

/* A part of a tree that cannot be read, by what it belongs to. */
static void
lost_tell(void *arg, const struct vos_look_lost *l)
{
    static const char *const kinds[] = {"things", "pools", "containers", "objects", "keys", "keys",
        "keys", "versions", "extents", "events of a log", "clients"};
    static const char *const bys[] = {"", " of uuid", " of uuid", " of hash", " of hash", "",
        " beginning with", " of epoch", " from index", " of epoch", " of uuid"};
    uint32_t kind = l->kind < ARRAY_SIZE(kinds) ? l->kind : 0;
    const char *what = l->kind < VOS_TREE_KEY_HASHED || l->kind > VOS_TREE_KEY_LEX ? kinds[kind]
        : l->dkey.len > 0                                                          ? "akeys"
                                                                                   : "dkeys";
    struct ddb *d = arg;
    char path[4 * DDB_NAME_BYTES];
    struct ddb_place p = {.level = DDB_ROOT};

    if (!cuuid_is_nil(&l->pool)) {
        p.level = DDB_POOL;
        p.pool = l->pool;
    }
    if (p.level == DDB_POOL && !cuuid_is_nil(&l->cont)) {
        p.level = l->has_obj ? DDB_OBJ : DDB_CONT;
        p.cont_id = l->cont;
        p.oid = l->oid;
    }
    if (p.level == DDB_OBJ && l->dkey.len > 0) {
        p.level = l->akey.len > 0 ? DDB_AKEY : DDB_DKEY;
        p.dkey = l->dkey;
        p.akey = l->akey;
    }
    ddb_place_text(&p, path, sizeof(path));
    ddb_found(d, "lost: %s%s %#lx to %#lx below %.700s (tree at %#lx of the arena): %s", what,
        bys[kind], (unsigned long)l->lo, (unsigned long)l->hi, path, (unsigned long)l->tree_off,
        err_text(l->rc));
    ddb_row(d, "lost",
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:s}", "what", what, "below", path, "first",
            ddb_hex(l->lo), "last", ddb_hex(l->hi), "tree", ddb_hex(l->tree_off), "error",
            err_name(l->rc)));
}

static int
log_nothing(void *arg, const struct bio_look_log *part)
{
    (void)arg;
    (void)part;
    return 0;
}

static int
store_check(struct check *c)
{
    struct ddb *d = c->d;
    uint64_t bad_nr = 0;
    int rc;

    if (d->vos == NULL && d->vos_rc == -DER_NONEXIST) {
        note(d, "the target was formatted, and never served");
        return 0;
    }
    if (d->vos == NULL && d->vos_rc == -DER_DF_INCOMPT) {
        return ddb_fail(
            d, d->vos_rc, "the store is of another version: use the software that wrote it");
    }
    if (d->vos == NULL) {
        part_failed(d, "the store cannot be read", d->vos_rc);
        return d->vos_rc == -DER_NOMEM ? d->vos_rc : 0;
    }
    rc = vos_look_check(d->vos, lost_tell, d, &bad_nr);
    if (rc == -DER_NOMEM)
        return rc;
    part_failed(d, "trees of the store", rc);
    if (c->no_data) {
        note(d, "values in the data role were not read");
        return 0;
    }
    rc = values_check(c);
    if (rc == -DER_NOMEM)
        return rc;
    part_failed(d, "values", rc);
    return 0;
}

static int
all_check(struct check *c)
{
    struct ddb *d = c->d;
    struct bio_look_end end;
    int rc = bio_status(d->bio);

    if (rc != 0) {
        part_failed(d, "the metadata arena cannot be had", rc);
        return rc == -DER_NOMEM ? rc : 0;
    }
    rc = bio_check(d->bio);
    if (rc == -DER_NOMEM)
        return rc;
    part_failed(d, "allocators", rc);
    rc = bio_look_log(d->bio, log_nothing, NULL, &end);
    if (rc != 0)
        return rc;
    if (end.is_damaged && !ddb_is_dax(d, BIO_ROLE_WAL)) {
        ddb_found(d,
            "wal: the group at block %lu (file offset %lu), the last one, was written whole, and "
            "is "
            "damaged",
            (unsigned long)end.pos, (unsigned long)end.file_off);
    } else if (end.is_torn) {
        note(d,
            "the log ends with an incomplete group: cut short when the target died, which loses "
            "nothing that was "
            "promised; damage in one of its last groups looks the same");
    }
    return store_check(c);
}

int
ddb_cmd_check(struct ddb *d, uint32_t nr, char **words)
{
    struct check c = {.d = d, .no_data = nr == 2 && strcmp(words[1], "--no-data") == 0};
    int rc = 0;

    if (nr == 2 && !c.no_data)
        return ddb_fail(d, -DER_INVAL, "usage: check [--no-data]");
    ddb_set(d, "notes", json_array());
    ddb_set(d, "lost", json_array());
    if (!d->is_fresh) { /* what the opening finds belongs to it */
        ddb_close(d);
        ddb_findings_clear(d);
        rc = ddb_open(d);
    }
    if (rc == 0)
        rc = all_check(&c);
    if (rc != 0)
        return rc;
    d->has_verdict = true;
    d->verdict = d->finding_nr == 0 ? DDB_OK : DDB_DAMAGED;
    ddb_set(d, "verdict", json_string(d->finding_nr == 0 ? "sound" : "damaged"));
    ddb_set(d, "damaged_places", json_integer((json_int_t)d->finding_nr));
    ddb_set(d, "pools", ddb_u64(c.pools_nr));
    ddb_set(d, "versions", ddb_u64(c.records_nr));
    ddb_set(d, "bytes", ddb_u64(c.bytes));
    if (d->finding_nr == 0) {
        ddb_say(d, "sound: %lu pools, %lu versions, %lu bytes of values\n",
            (unsigned long)c.pools_nr, (unsigned long)c.records_nr, (unsigned long)c.bytes);
    } else {
        ddb_say(d, "damaged: %u places\n", d->finding_nr);
    }
    return 0;
}
