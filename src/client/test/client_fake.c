/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "client/test/client_fake.h"
#include "daos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/util.h"
#include "placement/placement.h"
#include "rpc/rpc_priv.h"

static const struct uuid fake_system = {{7, 7, 7}};

/* ---- rules ----------------------------------------------------------------------------------------------------------- */

static struct fake_rule *
rule_match(struct fake_tag *tag, const struct rpc_req *req, enum fake_act act)
{
    for (uint32_t i = 0; i < FAKE_RULES_NR_MAX; i++) {
        struct fake_rule *rule = &tag->fake->rules[i];

        if (rule->nr > 0 && rule->act == act && rule->opcode == req->hdr->opcode &&
            (rule->rank == FAKE_ANY || rule->rank == tag->rank) &&
            (rule->tag == FAKE_ANY || rule->tag == tag->tag)) {
            rule->nr--;
            return rule;
        }
    }
    return NULL;
}

void
fake_rule_add(struct fake *fake, struct fake_rule rule)
{
    for (uint32_t i = 0; i < FAKE_RULES_NR_MAX; i++) {
        if (fake->rules[i].nr == 0) {
            fake->rules[i] = rule;
            return;
        }
    }
    EXPECT(!"too many rules");
}

uint32_t
fake_requests_nr(const struct fake *fake)
{
    uint32_t nr = 0;

    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        for (uint32_t t = 1; t < FAKE_TAGS_NR; t++) {
            nr += fake->tags[r][t].requests_nr;
        }
    }
    return nr;
}

static struct fake_tag *
tag_of(const struct rpc_req *req)
{
    struct fake *fake = req->handler_arg;

    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        for (uint32_t t = 0; t < FAKE_TAGS_NR; t++) {
            if (fake->tags[r][t].ctx == req->ctx)
                return &fake->tags[r][t];
        }
    }
    return NULL;
}

/* Common to all: what the rules say comes first. */
static int
enter(struct rpc_req *req, struct fake_tag **ret_tag)
{
    struct fake_tag *tag = tag_of(req);
    struct fake_rule *rule;

    if (tag == NULL)
        return -DER_SHUTDOWN;
    tag->requests_nr++;
    *ret_tag = tag;
    req->rep_map_ver = tag->fake->map->version;
    rule = rule_match(tag, req, FAKE_FAIL_BEFORE);
    if (rule != NULL)
        return rule->rc;
    if (tag->tag == 0 && tag->rank != FAKE_LEADER) {
        req->hint_rank = FAKE_LEADER;
        return -DER_NOTLEADER;
    }
    if (tag->tag != 0 && req->hdr->map_ver != tag->fake->map->version)
        return -DER_STALE;
    return 0;
}

static void
conns_close(struct rpc_req *req)
{
    struct rpc_conn *conn, *tmp;

    LIST_FOREACH_SAFE(conn, tmp, &req->ctx->conns, struct rpc_conn, link) {
        rpc_conn_close(conn);
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------------- */

static bool
is_key(const struct fake_val *val, struct oid oid, uint32_t shard, struct iov dkey)
{
    return oid_cmp(val->oid, oid) == 0 && val->shard == shard && val->dkey_len == dkey.len &&
        memcmp(val->dkey, dkey.buf, dkey.len) == 0;
}

static struct fake_val *
val_find(struct fake_tag *tag, struct oid oid, uint32_t shard, struct iov dkey, struct iov akey)
{
    for (struct fake_val *val = tag->vals; val != NULL; val = val->next) {
        if (is_key(val, oid, shard, dkey) && val->akey_len == akey.len &&
            memcmp(val->akey, akey.buf, akey.len) == 0)
            return val;
    }
    return NULL;
}

static bool
has_dkey(struct fake_tag *tag, struct oid oid, uint32_t shard, struct iov dkey)
{
    for (struct fake_val *val = tag->vals; val != NULL; val = val->next) {
        if (is_key(val, oid, shard, dkey) && val->size > 0)
            return true;
    }
    return false;
}

static void
val_free(struct fake_val *val)
{
    free(val->data);
    free(val->present);
    free(val);
}

static struct fake_val *
val_get(struct fake_tag *tag, struct oid oid, uint32_t shard, struct iov dkey, struct iov akey)
{
    struct fake_val *val = val_find(tag, oid, shard, dkey, akey);
    struct fake_val **end = &tag->vals;

    if (val != NULL)
        return val;
    val = calloc(1, sizeof(*val));
    val->oid = oid;
    val->shard = shard;
    val->dkey_len = dkey.len;
    val->akey_len = akey.len;
    memcpy(val->dkey, dkey.buf, dkey.len);
    memcpy(val->akey, akey.buf, akey.len);
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = val;
    return val;
}

static void
records_room(struct fake_val *val, uint64_t nr)
{
    if (nr <= val->nr)
        return;
    val->data = realloc(val->data, nr * val->size);
    val->present = realloc(val->present, nr);
    memset(val->data + val->nr * val->size, 0, (nr - val->nr) * val->size);
    memset(val->present + val->nr, 0, nr - val->nr);
    val->nr = nr;
}

/* An update of one akey; *data moves on. */
static void
val_update(struct fake_val *val, const struct proto_iod *iod, const uint8_t **data)
{
    const struct proto_recx *recxs = iod->recxs.items;

    val->type = iod->type;
    if (iod->type == 1) {
        free(val->data);
        val->size = iod->size;
        val->data = malloc(iod->size + 1);
        memcpy(val->data, *data, iod->size);
        *data += iod->size;
        return;
    }
    for (uint32_t i = 0; i < iod->recxs.nr; i++) {
        if (iod->size == 0) {
            for (uint64_t k = recxs[i].idx; k < MIN(recxs[i].idx + recxs[i].nr, val->nr); k++) {
                val->present[k] = 0;
            }
            continue;
        }
        val->size = iod->size;
        records_room(val, recxs[i].idx + recxs[i].nr);
        memcpy(val->data + recxs[i].idx * iod->size, *data, recxs[i].nr * iod->size);
        memset(val->present + recxs[i].idx, 1, recxs[i].nr);
        *data += recxs[i].nr * iod->size;
    }
}

static bool
is_punched(const struct fake_val *val, const struct proto_mod *mod)
{
    const struct proto_iod *iods = mod->iods.items;

    if (oid_cmp(val->oid, mod->oid) != 0 || val->shard != mod->shard)
        return false;
    if (mod->op == 2)
        return true;
    if (!is_key(val, mod->oid, mod->shard, mod->dkey))
        return false;
    for (uint32_t i = 0; i < mod->iods.nr && mod->op == 4; i++) {
        if (val->akey_len == iods[i].akey.len &&
            memcmp(val->akey, iods[i].akey.buf, val->akey_len) == 0)
            return true;
    }
    return mod->op == 3;
}

static int
mod_punch(struct fake_tag *tag, const struct proto_mod *mod)
{
    struct fake_val **link = &tag->vals;
    uint32_t nr = 0;

    while (*link != NULL) {
        struct fake_val *val = *link;

        if (!is_punched(val, mod)) {
            link = &val->next;
            continue;
        }
        nr += val->size > 0;
        *link = val->next;
        val_free(val);
    }
    return nr == 0 && (mod->cond & DAOS_COND_PUNCH) != 0 ? -DER_NONEXIST : 0;
}

static int
mod_apply(struct fake_tag *tag, const struct proto_mod *mod, const uint8_t *data)
{
    const struct proto_iod *iods = mod->iods.items;
    bool is_there;

    if (mod->op != 1)
        return mod_punch(tag, mod);
    is_there = has_dkey(tag, mod->oid, mod->shard, mod->dkey);
    if ((mod->cond & DAOS_COND_DKEY_INSERT) != 0 && is_there)
        return -DER_EXIST;
    if ((mod->cond & DAOS_COND_DKEY_UPDATE) != 0 && !is_there)
        return -DER_NONEXIST;
    for (uint32_t i = 0; i < mod->iods.nr; i++) {
        val_update(val_get(tag, mod->oid, mod->shard, mod->dkey, iods[i].akey), &iods[i], &data);
    }
    return 0;
}

static int
apply_data(struct rpc_req *req, uint8_t **ret_data)
{
    const struct proto_obj_apply_req *in = req->body;
    int rc;

    *ret_data = in->data.buf;
    if (in->data.len == in->data_len)
        return 0;
    *ret_data = arena_alloc(req->arena, in->data_len);
    rc = rpc_bulk_pull(req, &in->bulk, 0, *ret_data, in->data_len);
    return rc;
}

static int
apply_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_obj_apply_req *in = req->body;
    struct proto_obj_apply_rep *rep = rep_arg;
    const struct rpc_hdr *hdr = req->hdr;
    struct fake_tag *tag;
    uint8_t *data;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    rc = apply_data(req, &data);
    if (rc != 0)
        return rc;
    EXPECT_EQ(crc32c(0, data, in->data_len), in->data_crc);
    EXPECT_EQ(hdr->slot < CLIENT_SLOTS_NR, true);
    rep->epoch = 1;
    if (tag->last_seq[hdr->slot] == hdr->seq) {
        EXPECT_EQ(hdr->first_hlc, tag->last_first_hlc); /* MS-2: a resend keeps it */
        rep->is_replay = 1;
        tag->replays_nr++;
        return tag->last_rc[hdr->slot];
    }
    EXPECT_GT(hdr->seq, tag->last_seq[hdr->slot]);
    rc = mod_apply(tag, in->mods.items, data);
    tag->applied_nr++;
    tag->last_seq[hdr->slot] = hdr->seq;
    tag->last_rc[hdr->slot] = rc;
    tag->last_first_hlc = hdr->first_hlc;
    if (rule_match(tag, req, FAKE_FAIL_AFTER) != NULL)
        conns_close(req);
    return rc;
}

/* ---- reads ------------------------------------------------------------------------------------------------------------------ */

/* Segments of the asked ranges, cut where presence changes; and their bytes, one after the other and at their place. */
static void
iod_fetch(struct rpc_req *req, const struct fake_val *val, const struct proto_iod *iod,
    struct proto_fetch_iod *out, uint8_t *packed, uint64_t *packed_len, uint8_t *placed)
{
    const struct proto_recx *recxs = iod->recxs.items;
    struct proto_seg *segs = arena_calloc(req->arena, 4096, sizeof(*segs));
    uint64_t off = 0;

    out->size = val == NULL ? 0 : val->size;
    out->segs.items = segs;
    if (iod->type == 1) {
        segs[0] = (struct proto_seg){0, 1, out->size > 0};
        out->segs.nr = 1;
        if (out->size > 0 && iod->buf_len >= out->size) {
            memcpy(packed + *packed_len, val->data, val->size);
            memcpy(placed, val->data, val->size);
            *packed_len += val->size;
        }
        return;
    }
    for (uint32_t i = 0; i < iod->recxs.nr; i++) {
        for (uint64_t k = recxs[i].idx; k < recxs[i].idx + recxs[i].nr; k++) {
            bool is_there = val != NULL && k < val->nr && val->present[k];
            struct proto_seg *last = out->segs.nr == 0 ? NULL : &segs[out->segs.nr - 1];

            if (last != NULL && last->is_present == is_there && k != recxs[i].idx) {
                last->nr++;
            } else {
                segs[out->segs.nr++] = (struct proto_seg){k, 1, is_there};
            }
            if (is_there && iod->buf_len > 0) {
                memcpy(packed + *packed_len, val->data + k * val->size, val->size);
                memcpy(placed + off, val->data + k * val->size, val->size);
                *packed_len += val->size;
            }
            off += out->size;
        }
    }
}

static int
fetch_push(struct rpc_req *req, const struct proto_obj_fetch_rep *rep, const uint8_t *placed)
{
    const struct proto_obj_fetch_req *in = req->body;
    const struct proto_iod *iods = in->iods.items;
    const struct proto_fetch_iod *out = rep->iods.items;
    uint64_t base = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < in->iods.nr; i++) {
        const struct proto_seg *segs = out[i].segs.items;
        uint64_t off = base;

        for (uint32_t s = 0; rc == 0 && s < out[i].segs.nr; s++) {
            uint64_t bytes = segs[s].nr * out[i].size;

            if (segs[s].is_present)
                rc = rpc_bulk_push(req, &in->bulk, off, placed + off, bytes);
            off += bytes;
        }
        base += iods[i].buf_len;
    }
    return rc;
}

static int
fetch_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_obj_fetch_req *in = req->body;
    struct proto_obj_fetch_rep *rep = rep_arg;
    const struct proto_iod *iods = in->iods.items;
    struct proto_fetch_iod *out;
    uint64_t room = 0, base = 0, len = 0;
    struct fake_tag *tag;
    uint8_t *packed, *placed;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    if ((in->flags & DAOS_COND_DKEY_FETCH) != 0 && !has_dkey(tag, in->oid, in->shard, in->dkey))
        return -DER_NONEXIST;
    for (uint32_t i = 0; i < in->iods.nr; i++) {
        room += iods[i].buf_len;
    }
    packed = arena_calloc(req->arena, 1, room + 1);
    placed = arena_calloc(req->arena, 1, room + 1);
    out = arena_calloc(req->arena, in->iods.nr, sizeof(*out));
    rep->iods = (struct proto_array){.nr = in->iods.nr, .items = out};
    for (uint32_t i = 0; i < in->iods.nr; i++) {
        const struct fake_val *val = val_find(tag, in->oid, in->shard, in->dkey, iods[i].akey);

        if (iods[i].type == 1 && val != NULL && iods[i].buf_len < val->size &&
            (in->flags & 1 << 16) == 0)
            rc = -DER_REC2BIG;
        iod_fetch(req, val, &iods[i], &out[i], packed, &len, placed + base);
        base += iods[i].buf_len;
    }
    if (rc != 0 || (in->flags & 1 << 16) != 0)
        return rc;
    rep->data_len = len;
    rep->data_crc = crc32c(0, packed, len) ^ (rule_match(tag, req, FAKE_BAD_DATA) != NULL);
    if (len > PROTO_INLINE_BYTES_MAX)
        rc = fetch_push(req, rep, placed);
    if (rule_match(tag, req, FAKE_GONE_AFTER) != NULL) {
        for (struct fake_val *val = tag->vals; val != NULL; val = val->next) {
            val->size = 0;
        }
        conns_close(req);
    }
    if (len > PROTO_INLINE_BYTES_MAX)
        return rc;
    rep->data = (struct iov){packed, len};
    return 0;
}

/* ---- listing ---------------------------------------------------------------------------------------------------------------- */

/* Anchor: the number of entries given out so far, in 104 bytes. */
static int
list_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_obj_list_req *in = req->body;
    struct proto_obj_list_rep *rep = rep_arg;
    struct proto_list_entry *entries = arena_calloc(req->arena, in->nr_max + 1, sizeof(*entries));
    uint8_t *anchor = arena_calloc(req->arena, 1, PROTO_ANCHOR_BYTES_MAX);
    uint64_t skip = 0, seen = 0, bytes = 0;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    EXPECT(in->anchor.len == 0 || in->anchor.len == PROTO_ANCHOR_BYTES_MAX);
    if (in->anchor.len > 0)
        memcpy(&skip, in->anchor.buf, sizeof(skip));
    rep->eof = 1;
    for (struct fake_val *val = tag->vals; val != NULL; val = val->next) {
        struct iov key = in->level == 1 ? (struct iov){val->dkey, val->dkey_len}
                                        : (struct iov){val->akey, val->akey_len};

        if (oid_cmp(val->oid, in->oid) != 0 || val->shard != in->shard || val->size == 0)
            continue;
        if (in->level == 2 && !is_key(val, in->oid, in->shard, in->dkey))
            continue;
        if (seen++ < skip)
            continue;
        if (rep->entries.nr ==
                MIN(in->nr_max, tag->fake->list_nr_max != 0 ? tag->fake->list_nr_max : UINT32_MAX) ||
            bytes + key.len > in->bytes_max) {
            rep->eof = 0;
            if (rep->entries.nr == 0) {
                rep->key_len = (uint32_t)key.len;
                rc = -DER_KEY2BIG;
            }
            break;
        }
        entries[rep->entries.nr++].key = key;
        bytes += key.len;
    }
    skip += rep->entries.nr;
    memcpy(anchor, &skip, sizeof(skip));
    rep->entries.items = entries;
    rep->anchor = (struct iov){anchor, PROTO_ANCHOR_BYTES_MAX};
    return rc;
}

static int
query_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_obj_query_req *in = req->body;
    struct proto_obj_query_rep *rep = rep_arg;
    bool is_max = (in->flags & DAOS_GET_MAX) != 0, is_found = false;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    rep->epoch_max = 100 + tag->rank * 10 + tag->tag;
    for (struct fake_val *val = tag->vals; val != NULL; val = val->next) {
        uint64_t dkey, end = 0;

        if (oid_cmp(val->oid, in->oid) != 0 || val->shard != in->shard || val->dkey_len != 8 ||
            val->type != 2)
            continue;
        memcpy(&dkey, val->dkey, 8);
        for (uint64_t k = 0; k < val->nr; k++) {
            if (val->present[k])
                end = k + 1;
        }
        if (end == 0 || (is_found && (is_max ? dkey <= rep->dkey : dkey >= rep->dkey)))
            continue;
        is_found = true;
        rep->dkey = dkey;
        rep->recx = (struct proto_recx){end - 1, 1};
        rep->rec_size = val->size;
    }
    return is_found || in->flags == 0 ? 0 : -DER_NONEXIST;
}

/* ---- services --------------------------------------------------------------------------------------------------------------- */

static struct iov
str_iov(const char *str)
{
    return (struct iov){(void *)(uintptr_t)str, strlen(str)};
}

static struct iov
map_iov(struct rpc_req *req, const struct poolmap *map)
{
    size_t len = poolmap_encoded_bytes(map);
    struct enc enc;

    enc_init(&enc, arena_alloc(req->arena, len), len);
    poolmap_encode(map, &enc);
    return (struct iov){enc.buf, enc.len};
}

static int
resolve_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_sys_resolve_req *in = req->body;
    struct proto_sys_resolve_rep *rep = rep_arg;
    struct fake_tag *tag;
    struct proto_rank *rank = arena_calloc(req->arena, 1, sizeof(*rank));
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    if (in->id.len != strlen(FAKE_POOL_LABEL) || memcmp(in->id.buf, FAKE_POOL_LABEL, in->id.len) != 0)
        return -DER_NONEXIST;
    rep->pool = tag->fake->pool;
    rep->label = str_iov(FAKE_POOL_LABEL);
    rank->rank = 0; /* an old hint */
    rep->svc_ranks = (struct proto_array){1, rank};
    return 0;
}

static int
connect_handler(struct rpc_req *req, void *rep_arg)
{
    struct proto_pool_connect_rep *rep = rep_arg;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc == 0)
        rep->map = map_iov(req, tag->fake->map);
    return rc;
}

static int
map_handler(struct rpc_req *req, void *rep_arg)
{
    struct proto_pool_map_rep *rep = rep_arg;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc == 0)
        rep->map = map_iov(req, tag->fake->map);
    return rc;
}

static int
pool_query_handler(struct rpc_req *req, void *rep_arg)
{
    struct proto_pool_query_rep *rep = rep_arg;
    struct proto_prop *props = arena_calloc(req->arena, 2, sizeof(*props));
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    rep->leader = FAKE_LEADER;
    rep->space = (struct proto_space){.total = {1000, 2000},
        .free = {500, 600},
        .free_min = {1, 2},
        .free_max = {3, 4},
        .free_mean = {5, 6},
        .tgt_nr = 4};
    props[0] = (struct proto_prop){.type = DAOS_PROP_PO_LABEL, .bytes = str_iov(FAKE_POOL_LABEL)};
    props[1] = (struct proto_prop){.type = DAOS_PROP_PO_EC_CELL_SZ, .num = 4096};
    rep->props = (struct proto_array){2, props};
    return 0;
}

static int
empty_handler(struct rpc_req *req, void *rep)
{
    struct fake_tag *tag;

    (void)rep;
    return enter(req, &tag);
}

static struct fake_cont *
cont_find(struct fake *fake, struct iov id)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(fake->conts); i++) {
        struct fake_cont *cont = &fake->conts[i];
        char text[CUUID_TEXT_BYTES];

        if (!cont->is_used)
            continue;
        if (id.len == strlen(cont->label) && memcmp(id.buf, cont->label, id.len) == 0)
            return cont;
        if (id.len == 36 && memcmp(cuuid_format(&cont->uuid, text), id.buf, 36) == 0)
            return cont;
    }
    return NULL;
}

static int
cont_create_handler(struct rpc_req *req, void *rep)
{
    const struct proto_cont_create_req *in = req->body;
    const struct proto_prop *props = in->props.items;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    (void)rep;
    for (uint32_t i = 0; rc == 0 && i < ARRAY_SIZE(tag->fake->conts); i++) {
        struct fake_cont *cont = &tag->fake->conts[i];

        if (cont->is_used)
            continue;
        *cont = (struct fake_cont){.uuid = in->cont, .is_used = true, .oid_next = 1};
        for (uint32_t p = 0; p < in->props.nr; p++) {
            if (props[p].type == DAOS_PROP_CO_LABEL)
                memcpy(cont->label, props[p].bytes.buf, props[p].bytes.len);
        }
        return 0;
    }
    return rc != 0 ? rc : -DER_NOSPACE;
}

static int
cont_open_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_cont_open_req *in = req->body;
    struct proto_cont_open_rep *rep = rep_arg;
    struct fake_cont *cont;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    cont = cont_find(tag->fake, in->id);
    if (cont == NULL)
        return -DER_NONEXIST;
    rep->cont = cont->uuid;
    rep->hdl_nr = ++cont->hdl_nr;
    return 0;
}

static int
oid_alloc_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_cont_oid_alloc_req *in = req->body;
    struct proto_cont_oid_alloc_rep *rep = rep_arg;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    rep->lo = tag->fake->conts[0].oid_next;
    tag->fake->conts[0].oid_next += in->nr;
    return 0;
}

static struct iov
iov_dup(struct iov iov)
{
    struct iov copy = {malloc(iov.len + 1), iov.len};

    if (iov.len > 0)
        memcpy(copy.buf, iov.buf, iov.len);
    return copy;
}

static int
attr_handler(struct rpc_req *req, void *rep_arg)
{
    const struct proto_attr_req *in = req->body;
    const struct proto_attr *attrs = in->attrs.items;
    struct proto_attr_rep *rep = rep_arg;
    struct fake *fake;
    struct fake_tag *tag;
    int rc = enter(req, &tag);

    if (rc != 0)
        return rc;
    fake = tag->fake;
    if (req->hdr->opcode == PROTO_POOL_ATTR_LIST) {
        rep->attrs = (struct proto_array){fake->attr_nr, fake->attrs};
        return 0;
    }
    for (uint32_t i = 0; i < in->attrs.nr && req->hdr->opcode == PROTO_POOL_ATTR_SET; i++) {
        fake->attrs[fake->attr_nr++] =
            (struct proto_attr){iov_dup(attrs[i].name), iov_dup(attrs[i].value)};
    }
    for (uint32_t i = 0; i < fake->attr_nr && req->hdr->opcode == PROTO_POOL_ATTR_GET; i++) {
        if (fake->attrs[i].name.len == attrs[0].name.len &&
            memcmp(fake->attrs[i].name.buf, attrs[0].name.buf, attrs[0].name.len) == 0) {
            rep->attrs = (struct proto_array){1, &fake->attrs[i]};
            return 0;
        }
    }
    return req->hdr->opcode == PROTO_POOL_ATTR_GET ? -DER_NONEXIST : 0;
}

static const struct rpc_handler fake_handlers[] = {
    {PROTO_OBJ_APPLY, ULT_IO, apply_handler},
    {PROTO_OBJ_FETCH, ULT_IO, fetch_handler},
    {PROTO_OBJ_LIST, ULT_IO, list_handler},
    {PROTO_OBJ_QUERY_KEY, ULT_IO, query_handler},
    {PROTO_SYS_POOL_RESOLVE, ULT_SERVICE, resolve_handler},
    {PROTO_POOL_CONNECT, ULT_SERVICE, connect_handler},
    {PROTO_POOL_DISCONNECT, ULT_SERVICE, empty_handler},
    {PROTO_POOL_QUERY, ULT_SERVICE, pool_query_handler},
    {PROTO_POOL_MAP, ULT_SERVICE, map_handler},
    {PROTO_POOL_ATTR_LIST, ULT_SERVICE, attr_handler},
    {PROTO_POOL_ATTR_GET, ULT_SERVICE, attr_handler},
    {PROTO_POOL_ATTR_SET, ULT_SERVICE, attr_handler},
    {PROTO_CONT_CREATE, ULT_SERVICE, cont_create_handler},
    {PROTO_CONT_OPEN, ULT_SERVICE, cont_open_handler},
    {PROTO_CONT_CLOSE, ULT_SERVICE, empty_handler},
    {PROTO_POOL_ATTACH, ULT_SERVICE, empty_handler},
    {PROTO_CONT_OID_ALLOC, ULT_SERVICE, oid_alloc_handler},
};

/* ---- life --------------------------------------------------------------------------------------------------------------------- */

static int
fake_resolve(void *arg, struct rpc_ep ep, struct rpc_addr *ret_addr)
{
    (void)arg;
    (void)ep;
    (void)ret_addr;
    return -DER_OOG; /* servers call nobody */
}

static bool
rank_start(struct fake *fake, uint32_t rank)
{
    char name[16];

    snprintf(name, sizeof(name), "e%u", rank);
    if (fake->sim != NULL && !EXPECT_OK(sim_node_start(fake->sim, name, name, &fake->plats[rank])))
        return false;
    if (!EXPECT_OK(xstream_create(fake->plats[rank],
            &(struct xstream_opts){.name = name, .cpu = UINT32_MAX}, &fake->xss[rank])))
        return false;
    for (uint32_t t = 0; t < FAKE_TAGS_NR; t++) {
        struct fake_tag *tag = &fake->tags[rank][t];
        char *uri = fake->uris[rank][t];
        struct rpc_ctx_opts opts = {
            .xs = fake->xss[rank],
            .listen_uri = uri,
            .system = fake_system,
            .rank = rank,
            .incarnation = 50 + rank,
            .client = {{(uint8_t)(100 + rank)}},
            .handlers = fake_handlers,
            .handler_nr = ARRAY_SIZE(fake_handlers),
            .handler_arg = fake,
            .resolve = fake_resolve,
            .arg = fake,
        };

        *tag = (struct fake_tag){.fake = fake, .rank = rank, .tag = t};
        snprintf(uri, NET_URI_MAX, fake->sim != NULL ? "sim://%s/%u" : "inproc://%s.%u", name, t);
        if (!EXPECT_OK(rpc_ctx_create(&opts, &tag->ctx)))
            return false;
    }
    fake->sys_ranks[rank] = (struct client_rank){
        .rank = rank, .incarnation = 50 + rank, .uri_nr = FAKE_TAGS_NR, .uris = fake->uris[rank]};
    return EXPECT_OK(xstream_start(fake->xss[rank]));
}

static bool
client_start(struct fake *fake)
{
    struct client_opts opts = {.plat = fake->cplat, .sys = &fake->sys};

    fake->sys = (struct client_sys){.name = "fake",
        .uuid = fake_system,
        .leader_rank = 0,
        .rank_nr = FAKE_RANKS_NR,
        .ranks = fake->sys_ranks};
    if (fake->sim == NULL) {
        if (!EXPECT_OK(client_create(&opts, &fake->client)))
            return false;
        client_self_set(fake->client);
        return true;
    }
    if (!EXPECT_OK(sim_node_start(fake->sim, "c", "c", &fake->cplat)))
        return false;
    if (!EXPECT_OK(xstream_create(
            fake->cplat, &(struct xstream_opts){.name = "client", .cpu = UINT32_MAX}, &fake->cxs)))
        return false;
    opts.plat = fake->cplat;
    opts.xs = fake->cxs;
    return EXPECT_OK(client_create(&opts, &fake->client)) && EXPECT_OK(xstream_start(fake->cxs));
}

bool
fake_init(struct fake *fake)
{
    struct sim_opts opts = {.seed = test_seed(), .net_lat_lo_ns = 5000, .net_lat_hi_ns = 60000};
    struct poolmap_rank_desc descs[FAKE_RANKS_NR] = {
        {.rank = {0}, .node_id = 0, .tgts_nr = FAKE_TGTS_NR},
        {.rank = {1}, .node_id = 1, .tgts_nr = FAKE_TGTS_NR}};

    memset(fake, 0, sizeof(*fake));
    fake->pool = (struct uuid){{1, 2, 3, 4}};
    if (!EXPECT_OK(poolmap_create(descs, FAKE_RANKS_NR, &fake->map)))
        return false;
    if (test_backend() == BACKEND_SIM) {
        if (!EXPECT_OK(sim_create(&opts, &fake->sim)))
            return false;
    } else {
        if (!EXPECT_OK(plat_linux_create(&fake->cplat)))
            return false;
        fake->plats[0] = fake->plats[1] = fake->cplat;
    }
    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        if (!rank_start(fake, r))
            return false;
    }
    return client_start(fake);
}

struct fake_job {
    struct fake *fake;
    void (*fn)(struct fake *fake);
    bool is_done;
};

static void
job_main(void *arg)
{
    struct fake_job *job = arg;

    client_self_set(job->fake->client);
    job->fn(job->fake);
    job->is_done = true;
}

static bool
job_is_done(void *arg)
{
    return ((struct fake_job *)arg)->is_done;
}

static void
job_run(struct fake *fake, struct xstream *xs, void (*fn)(struct fake *fake))
{
    struct fake_job job = {.fake = fake, .fn = fn};

    if (fake->sim == NULL) {
        EXPECT_OK(xstream_call(xs, ULT_SERVICE, job_main, &job));
        return;
    }
    EXPECT_OK(xstream_post(xs, ULT_SERVICE, job_main, &job));
    EXPECT_OK(sim_run_until(
        fake->sim, job_is_done, &job, sim_now_ns(fake->sim) + UINT64_C(3600000000000)));
}

void
fake_run(struct fake *fake, void (*fn)(struct fake *fake))
{
    if (fake->sim == NULL) {
        fn(fake);
    } else {
        job_run(fake, fake->cxs, fn);
    }
}

static struct fake_tag *ending_tag;

static void
server_end(struct fake *fake)
{
    uint32_t rank = ending_tag->rank;

    for (uint32_t t = 0; t < FAKE_TAGS_NR; t++) {
        rpc_ctx_destroy(fake->tags[rank][t].ctx);
        fake->tags[rank][t].ctx = NULL;
    }
}

static void
nothing(struct fake *fake)
{
    (void)fake;
    ult_yield();
}

static void
client_end(struct fake *fake)
{
    client_destroy(fake->client);
}

/* TH-2: calls stay far below the 64 KiB of a ULT. */
static void
stack_check(struct daos_client *client)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct ult_stats stats;

    xstream_stats(client->xs, &stats);
    EXPECT_GT(stats.stack_used_bytes_max, 0);
    EXPECT_LT(stats.stack_used_bytes_max, 24 * 1024);
#else
    (void)client;
#endif
}

void
fake_fini(struct fake *fake)
{
    if (fake->sim == NULL) {
        stack_check(fake->client);
        client_self_set(NULL);
        client_destroy(fake->client);
    } else {
        job_run(fake, fake->cxs, client_end);
        fake->client = NULL;
        job_run(fake, fake->cxs, nothing);
    }
    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        ending_tag = &fake->tags[r][0];
        job_run(fake, fake->xss[r], server_end);
        job_run(fake, fake->xss[r], nothing);
    }
    if (fake->sim != NULL) {
        sim_run_for(fake->sim, 1000000);
        xstream_stop(fake->cxs);
        xstream_destroy(fake->cxs);
    }
    for (uint32_t r = 0; r < FAKE_RANKS_NR; r++) {
        xstream_stop(fake->xss[r]);
        xstream_destroy(fake->xss[r]);
        for (uint32_t t = 0; t < FAKE_TAGS_NR; t++) {
            while (fake->tags[r][t].vals != NULL) {
                struct fake_val *val = fake->tags[r][t].vals;

                fake->tags[r][t].vals = val->next;
                val_free(val);
            }
        }
    }
    for (uint32_t i = 0; i < fake->attr_nr; i++) {
        free(fake->attrs[i].name.buf);
        free(fake->attrs[i].value.buf);
    }
    poolmap_destroy(fake->map);
    if (fake->sim != NULL) {
        sim_destroy(fake->sim);
    } else {
        plat_linux_destroy(fake->cplat);
    }
}

bool
fake_open(struct fake *fake, daos_handle_t *poh, daos_handle_t *coh)
{
    (void)fake;
    if (!EXPECT_OK(daos_pool_connect(FAKE_POOL_LABEL, NULL, DAOS_PC_RW, poh, NULL, NULL)))
        return false;
    return EXPECT_OK(daos_cont_create_with_label(*poh, "cont", NULL, NULL, NULL)) &&
        EXPECT_OK(daos_cont_open(*poh, "cont", DAOS_COO_RW, coh, NULL, NULL));
}

void
fake_close(daos_handle_t poh, daos_handle_t coh)
{
    EXPECT_OK(daos_cont_close(coh, NULL));
    EXPECT_OK(daos_pool_disconnect(poh, NULL));
}
