/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Listing keys and extents, and the largest and smallest of them (client_obj.h).
 *
 * An anchor of the API: da_buf holds the bytes of the target's anchor, the low half of da_flags their number, da_shard the group; da_type is ZERO before
 * the start, EOF at the end, else KEY. ANCHOR_ONE_GRP in da_flags keeps a listing of dkeys within its group (a part of a split). A listing of dkeys goes
 * through the groups in turn. Anchors come from the application: targets check the bytes, we check the rest.
 */
#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"
#include "client/obj/client_obj_priv.h"

#include <string.h>

enum list_level { LIST_DKEY = 1, LIST_AKEY = 2, LIST_RECX = 3 };
enum { ANCHOR_LEN_MASK = 0xffff };
#define ANCHOR_ONE_GRP (UINT32_C(1) << 31)

CAIRN_STATIC_ASSERT(sizeof(daos_anchor_t) == 120, "size in the API");
CAIRN_STATIC_ASSERT(
    (int)DAOS_ANCHOR_BUF_MAX == (int)PROTO_ANCHOR_BYTES_MAX, "an anchor of a target fits");

/* ---- one request ----------------------------------------------------------------------------------------------------------- */

struct list {
    struct client_obj *obj;
    enum list_level level;
    const d_iov_t *dkey, *akey;
    bool is_descending;
    daos_anchor_t *anchor;
    uint32_t grp_nr; /* groups that the listing goes through, from 0 */
};

static int
list_prepare(struct list *list)
{
    daos_anchor_t *anchor = list->anchor;
    uint32_t grp;
    int rc = client_obj_layout(list->obj);

    if (rc != 0)
        return rc;
    if (anchor->da_type > DAOS_ANCHOR_TYPE_EOF ||
        (anchor->da_flags & ANCHOR_LEN_MASK) > DAOS_ANCHOR_BUF_MAX)
        return CAIRN_ERR(INVAL);
    if (list->level == LIST_DKEY) {
        list->grp_nr = list->obj->layout.grp_nr;
    } else {
        rc = client_obj_grp_of(list->obj, list->dkey, &grp);
        if (rc != 0)
            return rc;
        list->grp_nr = grp + 1;
        anchor->da_shard = (uint16_t)grp;
    }
    return anchor->da_shard < list->grp_nr ? 0 : CAIRN_ERR(INVAL);
}

/* One answer of the group that the anchor stands in; the anchor stays. */
static int
list_send(const struct list *list, uint32_t nr_max, uint64_t bytes_max,
    struct proto_obj_list_rep *rep, struct arena *arena)
{
    const daos_anchor_t *anchor = list->anchor;
    struct proto_obj_list_req req = {
        .oid = list->obj->oid,
        .layout_ver = list->obj->cont->layout_ver,
        .level = (uint8_t)list->level,
        .descending = list->is_descending,
        .epoch = list->obj->epoch,
        .anchor = {.buf = (void *)(uintptr_t)anchor->da_buf,
            .len = anchor->da_flags & ANCHOR_LEN_MASK},
        .nr_max = MIN(nr_max, (uint32_t)PROTO_LIST_NR_MAX),
        .bytes_max = (uint32_t)MIN(bytes_max, (uint64_t)PROTO_LIST_BYTES_MAX),
    };
    uint32_t stale_nr = 0;
    int rc;

    if (list->dkey != NULL)
        req.dkey = client_obj_key(list->dkey);
    if (list->akey != NULL)
        req.akey = client_obj_key(list->akey);
    do {
        uint32_t tgt_id;

        *rep = (struct proto_obj_list_rep){0};
        rc = client_obj_target(list->obj, anchor->da_shard, &req.shard, &tgt_id);
        if (rc == 0)
            rc = client_tgt_call(list->obj->cont, tgt_id, PROTO_OBJ_LIST, &req, rep, arena);
    } while (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX);
    if (rc == 0 && (rep->entries.nr > req.nr_max || rep->anchor.len > DAOS_ANCHOR_BUF_MAX))
        rc = CAIRN_ERR(PROTO);
    return rc;
}

/* Move the anchor behind an answer; true: this group goes on. */
static bool
anchor_move(const struct list *list, const struct proto_obj_list_rep *rep)
{
    daos_anchor_t *anchor = list->anchor;
    uint32_t flags = anchor->da_flags & ~(uint32_t)ANCHOR_LEN_MASK;

    memset(anchor->da_buf, 0, sizeof(anchor->da_buf));
    anchor->da_type = DAOS_ANCHOR_TYPE_KEY;
    anchor->da_flags = flags;
    if (!rep->eof) {
        if (rep->anchor.len > 0)
            memcpy(anchor->da_buf, rep->anchor.buf, rep->anchor.len);
        anchor->da_flags |= (uint32_t)rep->anchor.len;
        return true;
    }
    if (anchor->da_shard + 1U == list->grp_nr || (flags & ANCHOR_ONE_GRP) != 0) {
        anchor->da_type = DAOS_ANCHOR_TYPE_EOF;
    } else {
        anchor->da_shard++;
    }
    return false;
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------------ */

/* Where keys are packed: the API's buffers as one run of bytes. */
struct key_sink {
    d_sg_list_t *sgl;
    struct sgl room;
    uint64_t room_bytes, used_bytes;
    daos_key_desc_t *kds;
    uint32_t nr, nr_max;
};

static int
sink_init(struct key_sink *sink, d_sg_list_t *sgl, struct arena *arena)
{
    if (sgl->sg_nr == 0 || sgl->sg_nr > CLIENT_IOVS_NR_MAX || sgl->sg_iovs == NULL)
        return CAIRN_ERR(INVAL);
    sink->sgl = sgl;
    sink->room.iovs = arena_calloc(arena, sgl->sg_nr, sizeof(*sink->room.iovs));
    if (sink->room.iovs == NULL)
        return CAIRN_ERR(NOMEM);
    sink->room.iov_nr = sgl->sg_nr;
    for (uint32_t i = 0; i < sgl->sg_nr; i++) {
        const d_iov_t *iov = &sgl->sg_iovs[i];

        if (iov->iov_buf == NULL && iov->iov_buf_len > 0)
            return CAIRN_ERR(INVAL);
        sink->room.iovs[i] = (struct iov){.buf = iov->iov_buf, .len = iov->iov_buf_len};
        sink->room_bytes += iov->iov_buf_len;
    }
    return 0;
}

static int
sink_take(struct key_sink *sink, const struct proto_obj_list_rep *rep)
{
    const struct proto_list_entry *entries = rep->entries.items;

    for (uint32_t i = 0; i < rep->entries.nr; i++) {
        size_t len = entries[i].key.len;

        if (sink->nr == sink->nr_max || len > sink->room_bytes - sink->used_bytes)
            return CAIRN_ERR(PROTO); /* more than asked for */
        CAIRN_IGNORE(sgl_copy_in(&sink->room, sink->used_bytes, entries[i].key.buf, len)); /* fits */
        sink->kds[sink->nr++] = (daos_key_desc_t){.kd_key_len = len};
        sink->used_bytes += len;
    }
    return 0;
}

static void
sink_end(const struct key_sink *sink)
{
    uint64_t left = sink->used_bytes;

    sink->sgl->sg_nr_out = 0;
    for (uint32_t i = 0; i < sink->sgl->sg_nr; i++) {
        d_iov_t *iov = &sink->sgl->sg_iovs[i];

        iov->iov_len = MIN(iov->iov_buf_len, left);
        left -= iov->iov_len;
        if (iov->iov_len > 0)
            sink->sgl->sg_nr_out = i + 1;
    }
}

/*
 * Ask group by group until something was found and its group goes on, the room is full, or the end. A key that does not fit ends the call with what there
 * is; when there is nothing, the caller is told its length.
 */
static int
keys_fill(struct list *list, struct key_sink *sink)
{
    bool goes_on = true;
    int rc = 0;

    while (rc == 0 && list->anchor->da_type != DAOS_ANCHOR_TYPE_EOF && sink->nr < sink->nr_max &&
        sink->used_bytes < sink->room_bytes && (sink->nr == 0 || !goes_on)) {
        struct proto_obj_list_rep rep;
        struct arena arena;

        arena_init(&arena, 4096, CLIENT_REPLY_ARENA_BYTES_MAX);
        rc = list_send(
            list, sink->nr_max - sink->nr, sink->room_bytes - sink->used_bytes, &rep, &arena);
        if (rc == -DER_KEY2BIG && sink->nr > 0) {
            arena_fini(&arena);
            return 0;
        }
        if (rc == -DER_KEY2BIG)
            sink->kds[0].kd_key_len = rep.key_len;
        if (rc == 0)
            rc = sink_take(sink, &rep);
        if (rc == 0)
            goes_on = anchor_move(list, &rep);
        arena_fini(&arena);
    }
    return rc;
}

int
client_obj_list_keys(struct client_obj *obj, const d_iov_t *dkey, uint32_t *nr,
    daos_key_desc_t *kds, d_sg_list_t *sgl, daos_anchor_t *anchor)
{
    struct list list = {
        .obj = obj, .level = dkey == NULL ? LIST_DKEY : LIST_AKEY, .dkey = dkey, .anchor = anchor};
    struct key_sink sink = {0};
    struct arena arena;
    int rc;

    if (nr == NULL || *nr == 0 || kds == NULL || sgl == NULL || anchor == NULL)
        return CAIRN_ERR(INVAL);
    if (dkey != NULL) {
        rc = client_obj_key_check(dkey, placement_otype_dkey(obj->otype));
        if (rc != 0)
            return rc;
    }
    rc = list_prepare(&list);
    if (rc != 0)
        return rc;
    sink.kds = kds;
    sink.nr_max = *nr;
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = sink_init(&sink, sgl, &arena);
    if (rc == 0)
        rc = keys_fill(&list, &sink);
    if (rc == 0) {
        sink_end(&sink);
        *nr = sink.nr;
    }
    arena_fini(&arena);
    return rc;
}

struct list_args {
    daos_handle_t oh, th;
    daos_key_t *dkey, *akey;
    uint32_t *nr;
    daos_key_desc_t *kds;
    d_sg_list_t *sgl;
    daos_anchor_t *anchor;
    daos_size_t *size;
    daos_recx_t *recxs;
    daos_epoch_range_t *eprs;
    bool is_descending;
};

static int
list_keys_ult(void *arg)
{
    struct list_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_list_keys(obj, args->dkey, args->nr, args->kds, args->sgl, args->anchor);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_list_dkey(daos_handle_t oh, daos_handle_t th, uint32_t *nr, daos_key_desc_t *kds,
    d_sg_list_t *sgl, daos_anchor_t *anchor, daos_event_t *ev)
{
    struct list_args args = {.oh = oh, .th = th, .nr = nr, .kds = kds, .sgl = sgl, .anchor = anchor};

    return client_run(ev, list_keys_ult, &args, sizeof(args));
}

int
daos_obj_list_akey(daos_handle_t oh, daos_handle_t th, daos_key_t *dkey, uint32_t *nr,
    daos_key_desc_t *kds, d_sg_list_t *sgl, daos_anchor_t *anchor, daos_event_t *ev)
{
    struct list_args args = {
        .oh = oh, .th = th, .dkey = dkey, .nr = nr, .kds = kds, .sgl = sgl, .anchor = anchor};

    if (dkey == NULL)
        return client_refuse();
    return client_run(ev, list_keys_ult, &args, sizeof(args));
}

/* ---- extents ------------------------------------------------------------------------------------------------------------------------ */

static int
list_recxs(struct client_obj *obj, const struct list_args *args)
{
    struct list list = {.obj = obj,
        .level = LIST_RECX,
        .dkey = args->dkey,
        .akey = args->akey,
        .is_descending = args->is_descending,
        .anchor = args->anchor};
    uint32_t nr = 0;
    int rc;

    if (args->nr == NULL || *args->nr == 0 || args->recxs == NULL || args->anchor == NULL)
        return CAIRN_ERR(INVAL);
    rc = client_obj_key_check(args->dkey, placement_otype_dkey(obj->otype));
    if (rc == 0)
        rc = client_obj_key_check(args->akey, placement_otype_akey(obj->otype));
    if (rc == 0)
        rc = list_prepare(&list);
    while (rc == 0 && nr == 0 && args->anchor->da_type != DAOS_ANCHOR_TYPE_EOF) {
        const struct proto_list_entry *entries;
        struct proto_obj_list_rep rep;
        struct arena arena;

        arena_init(&arena, 4096, CLIENT_REPLY_ARENA_BYTES_MAX);
        rc = list_send(&list, *args->nr, PROTO_LIST_BYTES_MAX, &rep, &arena);
        entries = rep.entries.items;
        for (uint32_t i = 0; rc == 0 && i < rep.entries.nr; i++, nr++) {
            args->recxs[nr] = (daos_recx_t){.rx_idx = entries[i].idx, .rx_nr = entries[i].nr};
            if (args->eprs != NULL)
                args->eprs[nr] = (daos_epoch_range_t){entries[i].epoch, entries[i].epoch};
            if (args->size != NULL)
                *args->size = entries[i].size;
        }
        if (rc == 0)
            CAIRN_IGNORE(anchor_move(&list, &rep)); /* one group */
        arena_fini(&arena);
    }
    if (rc == 0)
        *args->nr = nr;
    return rc;
}

static int
list_recxs_ult(void *arg)
{
    struct list_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = list_recxs(obj, args);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_list_recx(daos_handle_t oh, daos_handle_t th, daos_key_t *dkey, daos_key_t *akey,
    daos_size_t *size, uint32_t *nr, daos_recx_t *recxs, daos_epoch_range_t *eprs,
    daos_anchor_t *anchor, bool incr_order, daos_event_t *ev)
{
    struct list_args args = {.oh = oh,
        .th = th,
        .dkey = dkey,
        .akey = akey,
        .nr = nr,
        .size = size,
        .recxs = recxs,
        .eprs = eprs,
        .anchor = anchor,
        .is_descending = !incr_order};

    return client_run(ev, list_recxs_ult, &args, sizeof(args));
}

/* ---- anchors --------------------------------------------------------------------------------------------------------------------------- */

struct anchor_args {
    daos_handle_t oh;
    uint32_t *nr;
    uint32_t index;
    daos_anchor_t *anchors;
};

static void
anchor_part(daos_anchor_t *anchor, uint32_t grp)
{
    *anchor = (daos_anchor_t){.da_shard = (uint16_t)grp, .da_flags = ANCHOR_ONE_GRP};
}

static int
anchor_split_ult(void *arg)
{
    struct anchor_args *args = arg;
    struct client_obj *obj;
    uint32_t grp_nr;
    int rc = client_obj_of(client_self(), args->oh.cookie, &obj);

    if (rc != 0)
        return rc;
    grp_nr = placement_oid_grp_nr(obj->oid);
    if (args->anchors != NULL && *args->nr != 0 && *args->nr != grp_nr)
        return CAIRN_ERR(INVAL); /* one part for each group */
    *args->nr = grp_nr;
    for (uint32_t i = 0; args->anchors != NULL && i < grp_nr; i++) {
        anchor_part(&args->anchors[i], i);
    }
    return 0;
}

int
daos_obj_anchor_split(daos_handle_t oh, uint32_t *nr, daos_anchor_t *anchors)
{
    struct anchor_args args = {.oh = oh, .nr = nr, .anchors = anchors};

    if (nr == NULL || (anchors != NULL && *nr == 0))
        return client_refuse();
    return client_run_sync(anchor_split_ult, &args);
}

static int
anchor_set_ult(void *arg)
{
    struct anchor_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_of(client_self(), args->oh.cookie, &obj);

    if (rc != 0)
        return rc;
    if (args->index >= placement_oid_grp_nr(obj->oid))
        return CAIRN_ERR(INVAL);
    anchor_part(args->anchors, args->index);
    return 0;
}

int
daos_obj_anchor_set(daos_handle_t oh, uint32_t index, daos_anchor_t *anchor)
{
    struct anchor_args args = {.oh = oh, .index = index, .anchors = anchor};

    if (anchor == NULL)
        return client_refuse();
    return client_run_sync(anchor_set_ult, &args);
}

struct key2anchor_args {
    daos_handle_t oh, th;
    daos_key_t *dkey, *akey;
    daos_anchor_t *anchor;
};

static int
anchor_ask(struct client_obj *obj, uint32_t grp, const struct key2anchor_args *args)
{
    struct proto_obj_anchor_req req = {
        .oid = obj->oid,
        .layout_ver = obj->cont->layout_ver,
        .level = args->akey == NULL ? LIST_DKEY : LIST_AKEY,
        .key = client_obj_key(args->akey == NULL ? args->dkey : args->akey),
    };
    struct proto_obj_anchor_rep rep;
    uint32_t stale_nr = 0;
    struct arena arena;
    int rc;

    arena_init(&arena, 512, CLIENT_REPLY_ARENA_BYTES_MAX);
    do {
        uint32_t tgt_id;

        rep = (struct proto_obj_anchor_rep){{0}};
        rc = client_obj_target(obj, grp, &req.shard, &tgt_id);
        if (rc == 0)
            rc = client_tgt_call(obj->cont, tgt_id, PROTO_OBJ_ANCHOR, &req, &rep, &arena);
    } while (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX);
    if (rc == 0 && (rep.anchor.len == 0 || rep.anchor.len > DAOS_ANCHOR_BUF_MAX))
        rc = CAIRN_ERR(PROTO);
    if (rc == 0) {
        *args->anchor = (daos_anchor_t){.da_type = DAOS_ANCHOR_TYPE_KEY,
            .da_shard = (uint16_t)grp,
            .da_flags = (uint32_t)rep.anchor.len};
        memcpy(args->anchor->da_buf, rep.anchor.buf, rep.anchor.len);
    }
    arena_fini(&arena);
    return rc;
}

static int
key2anchor_ult(void *arg)
{
    struct key2anchor_args *args = arg;
    struct client_obj *obj;
    uint32_t grp;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_key_check(args->dkey, placement_otype_dkey(obj->otype));
    if (rc == 0 && args->akey != NULL)
        rc = client_obj_key_check(args->akey, placement_otype_akey(obj->otype));
    if (rc == 0)
        rc = client_obj_grp_of(obj, args->dkey, &grp);
    if (rc == 0)
        rc = anchor_ask(obj, grp, args);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_key2anchor(daos_handle_t oh, daos_handle_t th, daos_key_t *dkey, daos_key_t *akey,
    daos_anchor_t *anchor, daos_event_t *ev)
{
    struct key2anchor_args args = {.oh = oh, .th = th, .dkey = dkey, .akey = akey, .anchor = anchor};

    if (dkey == NULL || anchor == NULL)
        return client_refuse();
    return client_run(ev, key2anchor_ult, &args, sizeof(args));
}

/* ---- largest and smallest ---------------------------------------------------------------------------------------------------------------- */

static int
query_check(const struct client_obj *obj, uint64_t flags, const d_iov_t *dkey, const d_iov_t *akey)
{
    bool wants_dkey = (flags & DAOS_GET_DKEY) != 0, wants_akey = (flags & DAOS_GET_AKEY) != 0;
    bool wants_recx = (flags & DAOS_GET_RECX) != 0;
    uint64_t known = DAOS_GET_MAX | DAOS_GET_MIN | DAOS_GET_DKEY | DAOS_GET_AKEY | DAOS_GET_RECX;
    int rc = 0;

    if ((flags & ~known) != 0 || ((flags & DAOS_GET_MAX) != 0) == ((flags & DAOS_GET_MIN) != 0))
        return CAIRN_ERR(INVAL);
    if (!wants_dkey && !wants_akey && !wants_recx)
        return CAIRN_ERR(INVAL);
    if (wants_dkey && placement_otype_dkey(obj->otype) != PLACEMENT_KEY_UINT64)
        return CAIRN_ERR(INVAL);
    if (wants_akey && placement_otype_akey(obj->otype) != PLACEMENT_KEY_UINT64)
        return CAIRN_ERR(INVAL);
    if (!wants_dkey)
        rc = client_obj_key_check(dkey, placement_otype_dkey(obj->otype));
    if (rc == 0 && !wants_akey && wants_recx)
        rc = client_obj_key_check(akey, placement_otype_akey(obj->otype));
    return rc;
}

struct query {
    struct client_obj *obj;
    uint64_t flags;
    const d_iov_t *dkey, *akey;
    uint32_t grp_first;
    bool is_found;
    struct client_query best;
    uint64_t epoch_max;
};

static bool
is_better(const struct query *query, const struct proto_obj_query_rep *rep)
{
    if (!query->is_found)
        return true;
    return (query->flags & DAOS_GET_MAX) != 0 ? rep->dkey > query->best.dkey
                                              : rep->dkey < query->best.dkey;
}

static int
query_grp(void *arg, uint32_t i)
{
    struct query *query = arg;
    struct proto_obj_query_req req = {
        .oid = query->obj->oid,
        .layout_ver = query->obj->cont->layout_ver,
        .epoch = query->obj->epoch,
        .flags = (uint32_t)query->flags,
    };
    struct proto_obj_query_rep rep = {0};
    uint32_t stale_nr = 0;
    struct arena arena;
    int rc;

    if (query->dkey != NULL)
        req.dkey = client_obj_key(query->dkey);
    if (query->akey != NULL)
        req.akey = client_obj_key(query->akey);
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    do {
        uint32_t tgt_id;

        rc = client_obj_target(query->obj, query->grp_first + i, &req.shard, &tgt_id);
        if (rc == 0)
            rc = client_tgt_call(query->obj->cont, tgt_id, PROTO_OBJ_QUERY_KEY, &req, &rep, &arena);
    } while (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX);
    arena_fini(&arena);
    if (rc == 0 || rc == -DER_NONEXIST)
        query->epoch_max = MAX(query->epoch_max, rep.epoch_max); /* of what was there before, too */
    if (rc == -DER_NONEXIST)
        return 0; /* nothing in this group */
    if (rc != 0)
        return rc;
    if (is_better(query, &rep)) {
        query->best = (struct client_query){
            .dkey = rep.dkey,
            .akey = rep.akey,
            .recx = {.rx_idx = rep.recx.idx, .rx_nr = rep.recx.nr},
            .rec_bytes = rep.rec_size,
        };
    }
    query->is_found = true;
    return 0;
}

int
client_obj_query(struct client_obj *obj, uint64_t flags, const d_iov_t *dkey, const d_iov_t *akey,
    struct client_query *ret_query)
{
    struct query query = {.obj = obj,
        .flags = flags,
        .dkey = (flags & DAOS_GET_DKEY) != 0 ? NULL : dkey,
        .akey = (flags & DAOS_GET_AKEY) != 0 ? NULL : akey};
    int rc = query_check(obj, flags, dkey, akey);

    if (rc == 0)
        rc = client_obj_layout(obj);
    if (rc == 0 && query.dkey != NULL)
        rc = client_obj_grp_of(obj, dkey, &query.grp_first);
    if (rc == 0) {
        rc = client_par(obj->cont->pool->client, query.dkey != NULL ? 1 : obj->layout.grp_nr,
            CLIENT_PAR_NR_MAX, query_grp, &query);
    }
    if (rc != 0)
        return rc;
    query.best.epoch_max = query.epoch_max;
    *ret_query = query.best;
    return query.is_found ? 0 : CAIRN_ERR(NONEXIST);
}

int
client_obj_epoch_max(struct client_obj *obj, uint64_t *ret_epoch)
{
    struct query query = {.obj = obj}; /* no flags: the epoch alone */
    int rc = client_obj_layout(obj);

    if (rc == 0) {
        rc = client_par(
            obj->cont->pool->client, obj->layout.grp_nr, CLIENT_PAR_NR_MAX, query_grp, &query);
    }
    if (rc == 0)
        *ret_epoch = query.epoch_max;
    return rc;
}

struct query_args {
    daos_handle_t oh, th;
    uint64_t flags;
    daos_key_t *dkey, *akey;
    daos_recx_t *recx;
    daos_epoch_t *epoch;
};

/* Integer keys found go back through the caller's buffers. */
static int
key_return(uint64_t value, daos_key_t *key)
{
    if (key->iov_buf == NULL || key->iov_buf_len < sizeof(value))
        return CAIRN_ERR(INVAL);
    memcpy(key->iov_buf, &value, sizeof(value));
    key->iov_len = sizeof(value);
    return 0;
}

static int
query(struct client_obj *obj, const struct query_args *args)
{
    struct client_query found;
    int rc;

    if (((args->flags & DAOS_GET_DKEY) != 0 && args->dkey == NULL) ||
        ((args->flags & DAOS_GET_AKEY) != 0 && args->akey == NULL) ||
        ((args->flags & DAOS_GET_RECX) != 0 && args->recx == NULL))
        return CAIRN_ERR(INVAL);
    rc = client_obj_query(obj, args->flags, args->dkey, args->akey, &found);
    if (rc == 0 && (args->flags & DAOS_GET_DKEY) != 0)
        rc = key_return(found.dkey, args->dkey);
    if (rc == 0 && (args->flags & DAOS_GET_AKEY) != 0)
        rc = key_return(found.akey, args->akey);
    if (rc == 0 && (args->flags & DAOS_GET_RECX) != 0)
        *args->recx = found.recx;
    return rc;
}

static int
query_ult(void *arg)
{
    struct query_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = query(obj, args);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_query_key(daos_handle_t oh, daos_handle_t th, uint64_t flags, daos_key_t *dkey,
    daos_key_t *akey, daos_recx_t *recx, daos_event_t *ev)
{
    struct query_args args = {
        .oh = oh, .th = th, .flags = flags, .dkey = dkey, .akey = akey, .recx = recx};

    return client_run(ev, query_ult, &args, sizeof(args));
}

static int
max_epoch_ult(void *arg)
{
    struct query_args *args = arg;
    struct client_obj *obj;
    int rc = client_obj_enter(args->oh, args->th, &obj);

    if (rc != 0)
        return rc;
    rc = client_obj_epoch_max(obj, args->epoch);
    client_obj_put(obj);
    return rc;
}

int
daos_obj_query_max_epoch(daos_handle_t oh, daos_handle_t th, daos_epoch_t *epoch, daos_event_t *ev)
{
    struct query_args args = {.oh = oh, .th = th, .epoch = epoch};

    if (epoch == NULL)
        return client_refuse();
    return client_run(ev, max_epoch_ult, &args, sizeof(args));
}
