/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Listing the tree, level by level, old versions included; incarnation logs. */
#include <stdlib.h>
#include <string.h>

#include "base/csum.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "ddb/ddb.h"
#include "vos/vos_look.h"

struct ls {
    struct ddb *d;
    struct ddb_place place; /* whose children are listed */
    bool is_recursive, has_details;
    uint64_t index; /* of the entry at hand */
    bool is_first; /* no entry of this level was told */
    struct ddb_place child;
};

static const char *
state_name(uint32_t state)
{
    return state == VOS_ITER_VISIBLE ? "visible"
        : state == VOS_ITER_COVERED  ? "covered"
                                     : "punched";
}

static json_t *
epoch_json(const struct vos_epoch *e)
{
    return e->epoch == 0 ? json_null()
                         : json_pack("{s:o, s:i}", "epoch", ddb_u64(e->epoch), "minor", e->minor);
}

/* What an object or a key says of its life. */
static void
life_tell(struct ls *l, const struct vos_iter_ent *ent, json_t *row)
{
    if (l->d->is_json) {
        (void)json_object_set_new(row, "state", json_string(state_name(ent->state)));
        (void)json_object_set_new(row, "created", epoch_json(&ent->create));
        (void)json_object_set_new(row, "punched", epoch_json(&ent->punch));
        return;
    }
    ddb_say(l->d, " %s", state_name(ent->state));
    if (ent->create.epoch != 0)
        ddb_say(l->d, ", created @%lu.%u", (unsigned long)ent->create.epoch, ent->create.minor);
    if (ent->punch.epoch != 0)
        ddb_say(l->d, ", punched @%lu.%u", (unsigned long)ent->punch.epoch, ent->punch.minor);
}

static json_t *
hex_json(const void *bytes, size_t len)
{
    char *text = malloc(len * 2 + 1);
    struct strbuf sb;
    json_t *v;

    if (text == NULL)
        return json_null();
    strbuf_init(&sb, text, len * 2 + 1);
    strbuf_add_hex(&sb, bytes, len);
    v = json_string(text);
    free(text);
    return v;
}

static void
version_tell(struct ls *l, const struct vos_iter_ent *ent, json_t *row)
{
    struct ddb *d = l->d;
    const char *where = ent->is_hole ? "none" : ent->is_inline ? "metadata" : "data";

    if (d->is_json) {
        json_t *more =
            json_pack("{s:s, s:o, s:i, s:i, s:b, s:o, s:o, s:s, s:o, s:i, s:i, s:i, s:i, s:o}",
                "state", state_name(ent->state), "epoch", ddb_u64(ent->epoch), "minor", ent->minor,
                "dtx", (int)ent->dtx, "hole", ent->is_hole, "size", ddb_u64(ent->size), "stored",
                ddb_u64(ent->stored_len), "in", where, "address", ddb_u64(ent->addr), "pm_version",
                (int)ent->pm_ver, "csum_type", ent->csum_type, "csum_bytes", ent->csum_len,
                "csum_nr", (int)ent->csum_nr, "csum_chunk",
                ent->csum_nr == 0 ? json_integer(0)
                                  : ddb_u64(UINT64_C(1) << (ent->csum_chunk_bits & 63)));

        (void)json_object_update(row, more);
        json_decref(more);
        if (l->has_details && ent->csums != NULL) {
            (void)json_object_set_new(
                row, "csums", hex_json(ent->csums, (size_t)ent->csum_nr * ent->csum_len));
        }
        if (ent->type == VOS_ITER_EXTENT) {
            (void)json_object_set_new(row, "record_size", ddb_u64(ent->rec_size));
            (void)json_object_set_new(row, "first", ddb_u64(ent->ext.idx));
            (void)json_object_set_new(row, "last", ddb_u64(ent->ext.idx + ent->ext.nr - 1));
            (void)json_object_set_new(row, "part_first", ddb_u64(ent->recx.idx));
            (void)json_object_set_new(row, "part_last", ddb_u64(ent->recx.idx + ent->recx.nr - 1));
        }
        return;
    }
    ddb_say(d, " %s", state_name(ent->state));
    if (ent->recx.nr != ent->ext.nr) {
        ddb_say(d, " in {%lu-%lu}", (unsigned long)ent->recx.idx,
            (unsigned long)(ent->recx.idx + ent->recx.nr - 1));
    }
    if (ent->dtx != 0)
        ddb_say(d, ", not committed (transaction %u)", ent->dtx);
    if (ent->is_hole) {
        ddb_say(d, ", a hole");
        return;
    }
    ddb_say(d, ", %lu bytes", (unsigned long)ent->size);
    if (!l->has_details)
        return;
    ddb_say(d, ", in the %s at %#lx, %u checksums (type %u, %u bytes, of %lu each)", where,
        (unsigned long)ent->addr, ent->csum_nr, ent->csum_type, ent->csum_len,
        UINT64_C(1) << (ent->csum_chunk_bits & 63));
    for (uint32_t i = 0; ent->csums != NULL && i < ent->csum_nr; i++) {
        char text[129];
        struct strbuf sb;

        strbuf_init(&sb, text, sizeof(text));
        strbuf_add_hex(&sb, ent->csums + (size_t)i * ent->csum_len, ent->csum_len);
        ddb_say(d, " %s", text);
    }
}

static bool
ls_ent(void *arg, const struct vos_iter_ent *ent)
{
    static const char *const types[] = {
        "", "pool", "container", "object", "dkey", "akey", "value", "extent"};
    struct ls *l = arg;
    struct ddb *d = l->d;
    char path[4 * DDB_NAME_BYTES], *text, *name;
    json_t *row = NULL;

    if (!l->is_first && (ent->type != VOS_ITER_EXTENT || ent->recx.idx == ent->ext.idx))
        l->index++;
    l->is_first = false;
    ddb_place_set(&l->child, ent);
    ddb_place_text(&l->child, path, sizeof(path));
    name = strrchr(path, '/') + 1; /* a key with a slash is in hexadecimal */
    text = l->is_recursive ? path : name;
    if (d->is_json) {
        row = json_pack("{s:I, s:s, s:s, s:s, s:o}", "index", (json_int_t)l->index, "type",
            types[ent->type], "name", name, "path", path, "record", ddb_hex(ent->off));
    }
    ddb_say(d, "[%lu] %s %s", (unsigned long)l->index, types[ent->type], text);
    switch (ent->type) {
    case VOS_ITER_POOL:
        break;
    case VOS_ITER_CONT:
        if (d->is_json) {
            json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:o}", "objects",
                ddb_u64(ent->cont.obj_nr), "epoch_max", ddb_u64(ent->cont.epoch_max), "meta_used",
                ddb_u64(ent->cont.meta_used), "data_used", ddb_u64(ent->cont.data_used),
                "aggregated_to", ddb_u64(ent->agg_epoch));

            (void)json_object_update(row, more);
            json_decref(more);
        }
        ddb_say(d, " %lu objects, newest change @%lu", (unsigned long)ent->cont.obj_nr,
            (unsigned long)ent->cont.epoch_max);
        break;
    case VOS_ITER_OBJ:
        if (d->is_json)
            (void)json_object_set_new(row, "epoch_max", ddb_u64(ent->epoch_max));
        life_tell(l, ent, row);
        break;
    case VOS_ITER_DKEY:
    case VOS_ITER_AKEY:
        if (d->is_json)
            (void)json_object_set_new(row, "key", hex_json(ent->key.buf, ent->key.len));
        if (d->is_json && ent->type == VOS_ITER_AKEY) {
            (void)json_object_set_new(row, "value_type",
                json_string(ent->value_type == VOS_IOD_SINGLE ? "single"
                        : ent->value_type == VOS_IOD_ARRAY    ? "array"
                                                              : "none"));
            (void)json_object_set_new(row, "record_size", ddb_u64(ent->rec_size));
        }
        life_tell(l, ent, row);
        break;
    default:
        version_tell(l, ent, row);
        break;
    }
    ddb_say(d, "\n");
    if (row != NULL)
        ddb_row(d, "entries", row);
    return true;
}

/* Keys that the listing leaves out, since what leads to them is damaged. */
static void
ls_lost(void *arg, uint64_t lo, uint64_t hi, int rc)
{
    struct ls *l = arg;
    char text[4 * DDB_NAME_BYTES];

    ddb_place_text(&l->place, text, sizeof(text));
    ddb_found(l->d, "the listing of %.700s leaves out what lies between %#lx and %#lx: %s", text,
        (unsigned long)lo, (unsigned long)hi, err_text(rc));
}

static int ls_place(struct ls *l);

/* What lies below the entry just told. */
static int
ls_below(struct ls *l)
{
    struct ls *sub = malloc(sizeof(*sub));
    int rc = 0;

    if (sub == NULL)
        return -DER_NOMEM;
    *sub = *l;
    sub->place = l->child;
    sub->place.dkey.buf = sub->place.dkey_buf;
    sub->place.akey.buf = sub->place.akey_buf;
    sub->place.cont = l->place.cont;
    if (sub->place.level == DDB_CONT)
        rc = vos_cont_open(l->d->vos, sub->place.pool, sub->place.cont_id, &sub->place.cont);
    if (rc == 0)
        rc = ls_place(sub);
    if (sub->place.level == DDB_CONT)
        ddb_place_end(&sub->place);
    free(sub);
    return rc;
}

static bool
is_passable(int rc)
{
    return rc == -DER_CSUM || rc == -DER_DF_INVAL || rc == -DER_NVME_IO;
}

static int
ls_level(struct ls *l, enum vos_iter_type type)
{
    const struct ddb_place *p = &l->place;
    struct vos_iter_args args = {.type = type,
        .flags = VOS_ITER_VISIBLE | VOS_ITER_COVERED | VOS_ITER_PUNCHED | VOS_ITER_HOLES,
        .hi = VOS_EPOCH_MAX,
        .pool = p->pool,
        .cont = p->cont,
        .oid = p->oid,
        .dkey = p->dkey,
        .akey = p->akey,
        .nr_max = l->is_recursive && type <= VOS_ITER_AKEY ? 1 : 0,
        .fn = ls_ent,
        .lost_fn = ls_lost,
        .arg = l};
    struct vos_iter_anchor anchor = {.eof = false};
    int rc = 0;

    l->index = 0;
    l->is_first = true;
    l->child = l->place;
    l->child.dkey.buf = l->child.dkey_buf;
    l->child.akey.buf = l->child.akey_buf;
    while (rc == 0 && !anchor.eof) {
        bool was_first = l->is_first;
        uint64_t index = l->index;

        rc = vos_iter(l->d->vos, &args, &anchor);
        if (rc == 0 && args.nr_max == 1 && (l->is_first != was_first || l->index != index))
            rc = ls_below(l);
    }
    if (is_passable(rc)) {
        char text[4 * DDB_NAME_BYTES];

        ddb_place_text(p, text, sizeof(text));
        ddb_found(l->d, "the listing of %.700s ends early: %s", text, err_text(rc));
        rc = 0;
    }
    return rc;
}

static int
ls_place(struct ls *l)
{
    static const enum vos_iter_type types[DDB_LEVEL_NR] = {
        VOS_ITER_POOL, VOS_ITER_CONT, VOS_ITER_OBJ, VOS_ITER_DKEY, VOS_ITER_AKEY, VOS_ITER_SINGLE};
    int rc = ls_level(l, types[l->place.level]);

    if (rc == 0 && l->place.level == DDB_AKEY && l->is_first)
        rc = ls_level(l, VOS_ITER_EXTENT);
    return rc;
}

int
ddb_cmd_ls(struct ddb *d, uint32_t nr, char **words)
{
    struct ls *l = calloc(1, sizeof(*l));
    const char *path = "/";
    int rc = l == NULL ? -DER_NOMEM : 0;

    for (uint32_t i = 1; rc == 0 && i < nr; i++) {
        if (strcmp(words[i], "-r") == 0 || strcmp(words[i], "--recursive") == 0) {
            l->is_recursive = true;
        } else if (strcmp(words[i], "-d") == 0 || strcmp(words[i], "--details") == 0) {
            l->has_details = true;
        } else if (words[i][0] == '-') {
            rc = ddb_fail(d, -DER_INVAL, "%s: no such option of ls", words[i]);
        } else {
            path = words[i];
        }
    }
    if (rc == 0) {
        l->d = d;
        ddb_set(d, "entries", json_array());
        rc = ddb_place_find(d, path, &l->place);
        if (rc == 0 && l->place.level == DDB_VER)
            rc = ddb_fail(d, -DER_INVAL, "%s is a version: see value_dump", path);
        if (rc == 0)
            rc = ls_place(l);
        ddb_place_end(&l->place);
    }
    free(l);
    return rc;
}

/* ---- logs ----------------------------------------------------------------------------------------------------------- */

static bool
ilog_ent(void *arg, const struct vos_iter_ent *ent)
{
    struct ddb *d = arg;

    ddb_row(d, "events",
        json_pack("{s:o, s:i, s:i, s:i}", "epoch", ddb_u64(ent->epoch), "create_minor",
            ent->create_minor, "punch_minor", ent->punch_minor, "dtx", (int)ent->dtx));
    if (ent->create_minor != 0)
        ddb_say(d, "@%lu.%u created", (unsigned long)ent->epoch, ent->create_minor);
    if (ent->punch_minor != 0) {
        ddb_say(d, "%s@%lu.%u punched", ent->create_minor != 0 ? ", " : "",
            (unsigned long)ent->epoch, ent->punch_minor);
    }
    ddb_say(d, "%s\n", ent->dtx != 0 ? ", not committed" : "");
    return true;
}

int
ddb_cmd_ilog(struct ddb *d, uint32_t nr, char **words)
{
    struct ddb_place *p = malloc(sizeof(*p));
    struct vos_iter_anchor anchor = {.eof = false};
    int rc = p == NULL ? -DER_NOMEM : ddb_place_find(d, words[1], p);

    (void)nr;
    if (p == NULL)
        return rc;
    if (rc == 0 && (p->level < DDB_OBJ || p->level > DDB_AKEY))
        rc = ddb_fail(d, -DER_INVAL, "%s: objects, dkeys and akeys have a log", words[1]);
    ddb_set(d, "events", json_array());
    while (rc == 0 && !anchor.eof) {
        struct vos_iter_args args = {.type = VOS_ITER_LOG,
            .hi = VOS_EPOCH_MAX,
            .cont = p->cont,
            .oid = p->oid,
            .dkey = p->dkey,
            .akey = p->akey,
            .fn = ilog_ent,
            .arg = d};

        rc = vos_iter(d->vos, &args, &anchor);
    }
    ddb_place_end(p);
    free(p);
    return rc;
}

/* ---- transactions --------------------------------------------------------------------------------------------------- */

static void
dtx_tell(struct ddb *d, const struct vos_dtx_info *info)
{
    static const char *const states[] = {"", "prepared", "committable", "committed", "aborted"};
    const char *state = (uint32_t)info->state < ARRAY_SIZE(states) ? states[info->state] : "unknown";
    char id[CUUID_TEXT_BYTES];

    (void)cuuid_format(&info->id.uuid, id);
    ddb_row(d, "transactions",
        json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "uuid", id, "hlc", ddb_u64(info->id.hlc),
            "state", state, "epoch", ddb_u64(info->epoch), "lid", ddb_u64(info->lid), "marks",
            ddb_u64(info->ref_nr), "parts", ddb_u64(info->part_nr)));
    ddb_say(d, "%u: %s.%lu %s @%lu, %lu marks\n", info->lid, id, (unsigned long)info->id.hlc, state,
        (unsigned long)info->epoch, (unsigned long)info->ref_nr);
}

static void
outcome_tell(void *arg, const struct vos_look_dtx *out)
{
    struct ddb *d = arg;
    const char *state = out->is_aborted ? "aborted" : "committed";
    char id[CUUID_TEXT_BYTES];

    (void)cuuid_format(&out->id.uuid, id);
    ddb_row(d, "outcomes",
        json_pack("{s:s, s:o, s:s, s:o}", "uuid", id, "hlc", ddb_u64(out->id.hlc), "state", state,
            "epoch", ddb_u64(out->epoch)));
    ddb_say(d, "settled: %s.%lu %s @%lu\n", id, (unsigned long)out->id.hlc, state,
        (unsigned long)out->epoch);
}

int
ddb_cmd_dtx(struct ddb *d, uint32_t nr, char **words)
{
    struct ddb_place *p = malloc(sizeof(*p));
    int rc = p == NULL ? -DER_NOMEM : ddb_place_find(d, words[1], p);

    (void)nr;
    if (p == NULL)
        return rc;
    if (rc == 0 && p->level != DDB_CONT)
        rc = ddb_fail(d, -DER_INVAL, "%s is not a container", words[1]);
    ddb_set(d, "transactions", json_array());
    for (uint32_t pos = 0; rc == 0 && pos != UINT32_MAX;) {
        struct vos_dtx_info infos[16];
        uint32_t got = 0;

        vos_dtx_list(p->cont, &pos, infos, ARRAY_SIZE(infos), &got);
        for (uint32_t i = 0; i < got; i++) {
            dtx_tell(d, &infos[i]);
        }
    }
    ddb_set(d, "outcomes", json_array());
    if (rc == 0) {
        uint64_t horizon = vos_look_dtxs(p->cont, outcome_tell, d);

        ddb_set(d, "forgotten_to", ddb_u64(horizon));
        if (horizon != 0)
            ddb_say(d, "outcomes up to %lu were forgotten\n", (unsigned long)horizon);
    }
    ddb_place_end(p);
    free(p);
    return rc;
}
