/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Tables of object ids: which objects a snapshot holds. Nothing is stored: a listing goes through the targets and asks each for the objects that it holds at
 * the snapshot's epoch, which cannot change any more (CON-6).
 *
 *   OIT-1  An object with several shards is given once: with its lowest shard that is there. The targets of lower shards are asked, many objects at a time.
 *   OIT-2  An anchor is the number of a target and that target's own anchor; nothing else is remembered between two calls, so a listing goes on in another
 *          process.
 *
 * Marks are values of one object of the container itself, whose id is made of the epoch and whose type keeps it out of all tables: dkey and akey of a mark are
 * the id it is for and MARK_AKEY. Tested by src/client/test/client_snap_test.c and test/sim.
 */
#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"
#include "client/core/client_snap.h"
#include "client/obj/client_obj_priv.h"

#include <stdlib.h>
#include <string.h>

enum { ANCHOR_LEN_MASK = 0xffff, OID_BYTES = 16, ROOM_NR_MAX = 1 << 20 };
static const char mark_akey[] = "m";

struct client_oit {
    struct client_cont *view; /* of the snapshot */
    struct client_obj *marks;
    uint32_t ref_nr;
};

static void
oit_put(struct client_oit *oit)
{
    if (--oit->ref_nr > 0)
        return;
    client_obj_put(oit->marks);
    client_cont_put(oit->view);
    free(oit);
}

static void
oit_fini(void *ptr)
{
    oit_put(ptr);
}

static int
oit_enter(daos_handle_t oh, struct client_oit **ret_oit)
{
    struct client_oit *oit = client_hdl_get(client_self(), CLIENT_HDL_OIT, oh.cookie);

    if (oit == NULL)
        return CAIRN_ERR(NO_HDL);
    oit->ref_nr++;
    *ret_oit = oit;
    return 0;
}

static bool
is_table(struct oid oid)
{
    uint32_t otype = placement_oid_type(oid);

    return otype == PLACEMENT_OT_OIT || otype == PLACEMENT_OT_OIT_V2;
}

/* ---- open and close --------------------------------------------------------------------------------------------------------- */

struct oit_args {
    daos_handle_t coh, oh;
    uint64_t epoch;
    daos_handle_t *ret_oh;
    daos_obj_id_t *oids, oid;
    uint32_t *nr;
    daos_anchor_t *anchor;
    bool wants_unmarked;
    daos_oit_filter_cb *filter;
    d_iov_t *marker;
};

static int
marks_open(struct client_cont *cont, uint64_t epoch, struct client_obj **ret_obj)
{
    bool can_write = (cont->flags & (DAOS_COO_RW | DAOS_COO_EX)) != 0;
    struct oid oid =
        placement_oid_encode((struct oid){.lo = epoch}, PLACEMENT_OT_OIT_V2, OC_S1 >> 24, 1);

    return client_obj_open(cont, oid, can_write ? DAOS_OO_RW : DAOS_OO_RO, ret_obj);
}

static int
open_it(struct client_cont *cont, const struct oit_args *args)
{
    struct client_oit *oit;
    struct client_snap snap;
    uint64_t cookie;
    int rc;

    if (cont->origin != NULL)
        cont = cont->origin;
    rc = client_snap_find(cont, args->epoch, NULL, &snap);
    if (rc == 0 && (snap.flags & PROTO_SNAP_OIT) == 0)
        rc = CAIRN_ERR(NONEXIST);
    if (rc != 0)
        return rc;
    oit = calloc(1, sizeof(*oit));
    if (oit == NULL)
        return CAIRN_ERR(NOMEM);
    oit->ref_nr = 1;
    rc = client_cont_view(cont, snap.epoch, &oit->view);
    if (rc == 0)
        rc = marks_open(cont, snap.epoch, &oit->marks);
    if (rc == 0)
        rc = client_hdl_new(client_self(), CLIENT_HDL_OIT, oit, oit_fini, &cookie);
    if (rc != 0) {
        oit_put(oit);
        return rc;
    }
    args->ret_oh->cookie = cookie;
    return 0;
}

static int
open_ult(void *arg)
{
    struct oit_args *args = arg;
    struct client_cont *cont;
    int rc = client_cont_take(args->coh.cookie, false, &cont);

    if (rc != 0)
        return rc;
    rc = open_it(cont, args);
    client_cont_put(cont);
    return rc;
}

int
daos_oit_open(daos_handle_t coh, daos_epoch_t epoch, daos_handle_t *oh, daos_event_t *ev)
{
    struct oit_args args = {.coh = coh, .epoch = epoch, .ret_oh = oh};

    if (oh == NULL)
        return client_refuse();
    return client_run(ev, open_ult, &args, sizeof(args));
}

static int
close_ult(void *arg)
{
    struct oit_args *args = arg;
    struct client_oit *oit = client_hdl_del(client_self(), CLIENT_HDL_OIT, args->oh.cookie);

    if (oit == NULL)
        return CAIRN_ERR(NO_HDL);
    oit_put(oit);
    return 0;
}

int
daos_oit_close(daos_handle_t oh, daos_event_t *ev)
{
    struct oit_args args = {.oh = oh};

    return client_run(ev, close_ult, &args, sizeof(args));
}

/* ---- which of several shards gives an object -------------------------------------------------------------------------------- */

/* An object that a target gave. */
struct cand {
    struct oid oid;
    uint32_t shard; /* the one that was given */
    uint32_t tgt_id; /* of the shard that is asked for now */
    bool is_open; /* to be asked for */
    bool is_given;
};

static int
shard_target(struct client_cont *view, struct oid oid, uint32_t shard, uint32_t *ret_tgt_id)
{
    struct placement_layout layout;
    int rc = placement_layout(view->pool->map, oid, view->layout_ver, &layout);

    if (rc != 0)
        return rc;
    if (shard < placement_shards_nr(&layout)) {
        *ret_tgt_id = layout.shards[shard].tgt_id;
    } else {
        rc = CAIRN_ERR(PROTO);
    }
    placement_layout_fini(&layout);
    return rc;
}

/* Which of `nr` shards on a target are there at the view's epoch. */
static int
look_send(struct client_cont *view, uint32_t tgt_id, const struct proto_obj_ref *refs, uint32_t nr,
    uint8_t *ret_is_there)
{
    struct proto_obj_look_req req = {.epoch = view->epoch, .objs = {nr, (void *)(uintptr_t)refs}};
    struct proto_obj_look_rep rep = {0};
    struct arena arena;
    int rc;

    arena_init(&arena, 1024, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_tgt_call(view, tgt_id, PROTO_OBJ_LOOK, &req, &rep, &arena);
    if (rc == 0 && rep.is_there.len != nr)
        rc = CAIRN_ERR(PROTO);
    if (rc == 0)
        memcpy(ret_is_there, rep.is_there.buf, nr);
    arena_fini(&arena);
    return rc;
}

/* One request for the open candidates that lie on the target of the first of them. */
static int
look_at_some(
    struct client_cont *view, struct cand *cands, uint32_t nr, uint32_t shard, struct arena *arena)
{
    struct proto_obj_ref *refs = arena_calloc(arena, PROTO_LOOK_NR_MAX, sizeof(*refs));
    struct cand **asked = arena_calloc(arena, PROTO_LOOK_NR_MAX, sizeof(*asked));
    uint8_t *is_there = arena_calloc(arena, PROTO_LOOK_NR_MAX, 1);
    uint32_t n = 0;
    int rc;

    if (refs == NULL || asked == NULL || is_there == NULL)
        return CAIRN_ERR(NOMEM);
    for (uint32_t i = 0; i < nr && n < PROTO_LOOK_NR_MAX; i++) {
        if (!cands[i].is_open || (n > 0 && cands[i].tgt_id != asked[0]->tgt_id))
            continue;
        asked[n] = &cands[i];
        refs[n++] = (struct proto_obj_ref){cands[i].oid, shard, view->layout_ver};
    }
    rc = look_send(view, asked[0]->tgt_id, refs, n, is_there);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        asked[i]->is_open = false;
        asked[i]->is_given = asked[i]->is_given && is_there[i] == 0;
    }
    return rc;
}

/* OIT-1: shard by shard, from the lowest, until none is left that a lower shard might give. */
static int
cands_judge(struct client_cont *view, struct cand *cands, uint32_t nr, struct arena *arena)
{
    uint32_t open_nr, stale_nr = 0;
    int rc = 0;

    for (uint32_t shard = 0;; shard++) {
        open_nr = 0;
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            cands[i].is_open = cands[i].is_given && cands[i].shard > shard;
            if (!cands[i].is_open)
                continue;
            rc = shard_target(view, cands[i].oid, shard, &cands[i].tgt_id);
            open_nr++;
        }
        if (rc != 0 || open_nr == 0)
            return rc;
        for (uint32_t i = 0; rc == 0 && i < nr; i++) {
            while (rc == 0 && cands[i].is_open) {
                rc = look_at_some(view, cands, nr, shard, arena);
            }
        }
        if (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX) {
            shard--; /* the map is new: this shard once more */
            rc = 0;
        }
        if (rc != 0)
            return rc;
    }
}

/* ---- marks -------------------------------------------------------------------------------------------------------------------- */

struct mark_io {
    uint8_t key[OID_BYTES], mark[DAOS_OIT_MARKER_MAX_LEN];
    d_iov_t dkey, iov;
    daos_iod_t iod;
    d_sg_list_t sgl;
    struct client_io io;
};

static void
mark_io_init(struct mark_io *m, struct oid oid, uint64_t size)
{
    memset(m, 0, sizeof(*m));
    le64_put(m->key, oid.lo);
    le64_put(m->key + 8, oid.hi);
    d_iov_set(&m->dkey, m->key, sizeof(m->key));
    d_iov_set(&m->iod.iod_name, (void *)(uintptr_t)mark_akey, 1);
    m->iod.iod_type = DAOS_IOD_SINGLE;
    m->iod.iod_size = size;
    m->iod.iod_nr = 1;
    d_iov_set(&m->iov, m->mark, size == DAOS_REC_ANY ? sizeof(m->mark) : size);
    m->sgl = (d_sg_list_t){.sg_nr = 1, .sg_iovs = &m->iov};
    m->io = (struct client_io){.dkey = &m->dkey, .nr = 1, .iods = &m->iod, .sgls = &m->sgl};
}

struct marks_read {
    struct client_oit *oit;
    struct cand *cands;
    struct mark_io *ios;
};

static int
mark_read(void *arg, uint32_t i)
{
    struct marks_read *r = arg;

    if (!r->cands[i].is_given)
        return 0;
    mark_io_init(&r->ios[i], r->cands[i].oid, DAOS_REC_ANY);
    return client_obj_fetch(r->oit->marks, &r->ios[i].io);
}

/* Leave what the caller wants by its marks. */
static int
cands_filter(struct client_oit *oit, const struct oit_args *args, struct cand *cands, uint32_t nr,
    struct arena *arena)
{
    struct marks_read r = {.oit = oit, .cands = cands};
    int rc;

    if (!args->wants_unmarked && args->filter == NULL)
        return 0;
    r.ios = arena_calloc(arena, MAX(nr, 1U), sizeof(*r.ios));
    if (r.ios == NULL)
        return CAIRN_ERR(NOMEM);
    rc = client_par(oit->view->pool->client, nr, CLIENT_PAR_NR_MAX, mark_read, &r);
    for (uint32_t i = 0; rc == 0 && i < nr; i++) {
        bool is_marked = r.ios[i].iod.iod_size > 0;

        if (!cands[i].is_given)
            continue;
        if (args->wants_unmarked) {
            cands[i].is_given = !is_marked;
        } else {
            daos_obj_id_t oid = {.lo = cands[i].oid.lo, .hi = cands[i].oid.hi};
            d_iov_t mark = {r.ios[i].mark, r.ios[i].iod.iod_size, r.ios[i].iod.iod_size};

            cands[i].is_given = args->filter(oid, is_marked ? &mark : NULL) != 0;
        }
    }
    return rc;
}

static int
mark(struct client_oit *oit, struct oid oid, const d_iov_t *marker)
{
    struct placement_layout layout;
    struct mark_io m;
    uint8_t is_there = 0;
    int rc = placement_oid_check(oid);

    if (rc == 0)
        rc = placement_layout(oit->view->pool->map, oid, oit->view->layout_ver, &layout);
    if (rc != 0)
        return rc;
    for (uint32_t s = 0; rc == 0 && is_there == 0 && s < placement_shards_nr(&layout); s++) {
        struct proto_obj_ref ref = {oid, s, oit->view->layout_ver};

        rc = look_send(oit->view, layout.shards[s].tgt_id, &ref, 1, &is_there);
    }
    placement_layout_fini(&layout);
    if (rc == 0 && (is_there == 0 || is_table(oid)))
        rc = CAIRN_ERR(NONEXIST);
    if (rc != 0)
        return rc;
    mark_io_init(&m, oid, marker->iov_len);
    memcpy(m.mark, marker->iov_buf, marker->iov_len);
    return client_obj_update(oit->marks, &m.io);
}

static int
mark_ult(void *arg)
{
    struct oit_args *args = arg;
    struct client_oit *oit;
    int rc = oit_enter(args->oh, &oit);

    if (rc != 0)
        return rc;
    rc = mark(oit, (struct oid){.lo = args->oid.lo, .hi = args->oid.hi}, args->marker);
    oit_put(oit);
    return rc;
}

int
daos_oit_mark(daos_handle_t oh, daos_obj_id_t oid, d_iov_t *marker, daos_event_t *ev)
{
    struct oit_args args = {.oh = oh, .oid = oid, .marker = marker};

    if (marker == NULL || marker->iov_buf == NULL || marker->iov_len == 0 ||
        marker->iov_len > DAOS_OIT_MARKER_MAX_LEN)
        return client_refuse();
    return client_run(ev, mark_ult, &args, sizeof(args));
}

/* ---- list --------------------------------------------------------------------------------------------------------------------- */

static int
page_send(const struct client_oit *oit, const daos_anchor_t *anchor, uint32_t nr_max,
    struct proto_obj_list_rep *rep, struct arena *arena)
{
    struct proto_obj_list_req req = {
        .level = 0,
        .epoch = oit->view->epoch,
        .anchor = {.buf = (void *)(uintptr_t)anchor->da_buf,
            .len = anchor->da_flags & ANCHOR_LEN_MASK},
        .nr_max = MIN(nr_max, (uint32_t)PROTO_LIST_NR_MAX),
        .bytes_max = PROTO_LIST_BYTES_MAX,
    };
    uint32_t stale_nr = 0;
    int rc;

    do {
        *rep = (struct proto_obj_list_rep){0};
        rc = client_tgt_call(oit->view, anchor->da_shard, PROTO_OBJ_LIST, &req, rep, arena);
    } while (rc == -DER_STALE && ++stale_nr < CLIENT_STALE_TRIES_NR_MAX);
    if (rc == 0 && (rep->entries.nr > req.nr_max || rep->anchor.len > DAOS_ANCHOR_BUF_MAX))
        rc = CAIRN_ERR(PROTO);
    return rc;
}

/* The next target from this one on; false: there is none. */
static bool
anchor_target(const struct client_oit *oit, daos_anchor_t *anchor)
{
    const struct poolmap_tgt *tgt =
        poolmap_tgt_next(oit->view->pool->map, anchor->da_shard, POOLMAP_SERVING);

    if (tgt == NULL || tgt->id > UINT16_MAX) {
        anchor->da_type = DAOS_ANCHOR_TYPE_EOF;
        return false;
    }
    if (tgt->id != anchor->da_shard) {
        memset(anchor->da_buf, 0, sizeof(anchor->da_buf));
        anchor->da_flags = 0;
        anchor->da_shard = (uint16_t)tgt->id;
    }
    return true;
}

static void
anchor_move(daos_anchor_t *anchor, const struct proto_obj_list_rep *rep)
{
    memset(anchor->da_buf, 0, sizeof(anchor->da_buf));
    anchor->da_type = DAOS_ANCHOR_TYPE_KEY;
    anchor->da_flags = 0;
    if (!rep->eof) {
        if (rep->anchor.len > 0)
            memcpy(anchor->da_buf, rep->anchor.buf, rep->anchor.len);
        anchor->da_flags = (uint32_t)rep->anchor.len;
    } else if (anchor->da_shard == UINT16_MAX) {
        anchor->da_type = DAOS_ANCHOR_TYPE_EOF;
    } else {
        anchor->da_shard++;
    }
}

/* One answer of the target that the anchor stands at. */
static int
page(struct client_oit *oit, const struct oit_args *args, uint32_t room, uint32_t *nr)
{
    const struct proto_list_entry *entries;
    struct proto_obj_list_rep rep;
    struct cand *cands;
    struct arena arena;
    int rc;

    arena_init(&arena, 4096, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = page_send(oit, args->anchor, room - *nr, &rep, &arena);
    if (rc != 0)
        goto out;
    cands = arena_calloc(&arena, MAX(rep.entries.nr, 1U), sizeof(*cands));
    if (cands == NULL) {
        rc = CAIRN_ERR(NOMEM);
        goto out;
    }
    entries = rep.entries.items;
    for (uint32_t i = 0; i < rep.entries.nr; i++) {
        cands[i] = (struct cand){.oid = entries[i].oid,
            .shard = (uint32_t)entries[i].idx,
            .is_given = !is_table(entries[i].oid)};
    }
    rc = cands_judge(oit->view, cands, rep.entries.nr, &arena);
    if (rc == 0)
        rc = cands_filter(oit, args, cands, rep.entries.nr, &arena);
    if (rc != 0)
        goto out;
    for (uint32_t i = 0; i < rep.entries.nr; i++) {
        if (cands[i].is_given)
            args->oids[(*nr)++] = (daos_obj_id_t){.lo = cands[i].oid.lo, .hi = cands[i].oid.hi};
    }
    anchor_move(args->anchor, &rep);
out:
    arena_fini(&arena);
    return rc;
}

/* Until something was found, or the end. */
static int
list(struct client_oit *oit, const struct oit_args *args)
{
    daos_anchor_t *anchor = args->anchor;
    uint32_t nr = 0;
    int rc = 0;

    if (anchor->da_type > DAOS_ANCHOR_TYPE_EOF ||
        (anchor->da_flags & ANCHOR_LEN_MASK) > DAOS_ANCHOR_BUF_MAX)
        return CAIRN_ERR(INVAL);
    while (rc == 0 && nr == 0 && anchor->da_type != DAOS_ANCHOR_TYPE_EOF) {
        if (anchor_target(oit, anchor))
            rc = page(oit, args, MIN(*args->nr, (uint32_t)ROOM_NR_MAX), &nr);
    }
    if (rc == 0 && anchor->da_type != DAOS_ANCHOR_TYPE_EOF)
        CAIRN_IGNORE(anchor_target(oit, anchor)); /* the end is told with the last objects */
    if (rc == 0)
        *args->nr = nr;
    return rc;
}

static int
list_ult(void *arg)
{
    struct oit_args *args = arg;
    struct client_oit *oit;
    int rc = oit_enter(args->oh, &oit);

    if (rc != 0)
        return rc;
    rc = list(oit, args);
    oit_put(oit);
    return rc;
}

static int
list_run(struct oit_args *args, daos_event_t *ev)
{
    if (args->oids == NULL || args->nr == NULL || *args->nr == 0 || args->anchor == NULL)
        return client_refuse();
    return client_run(ev, list_ult, args, sizeof(*args));
}

int
daos_oit_list(daos_handle_t oh, daos_obj_id_t *oids, uint32_t *oids_nr, daos_anchor_t *anchor,
    daos_event_t *ev)
{
    struct oit_args args = {.oh = oh, .oids = oids, .nr = oids_nr, .anchor = anchor};

    return list_run(&args, ev);
}

int
daos_oit_list_unmarked(daos_handle_t oh, daos_obj_id_t *oids, uint32_t *oids_nr,
    daos_anchor_t *anchor, daos_event_t *ev)
{
    struct oit_args args = {
        .oh = oh, .oids = oids, .nr = oids_nr, .anchor = anchor, .wants_unmarked = true};

    return list_run(&args, ev);
}

int
daos_oit_list_filter(daos_handle_t oh, daos_obj_id_t *oids, uint32_t *oids_nr,
    daos_anchor_t *anchor, daos_oit_filter_cb filter, daos_event_t *ev)
{
    struct oit_args args = {
        .oh = oh, .oids = oids, .nr = oids_nr, .anchor = anchor, .filter = filter};

    if (filter == NULL)
        return client_refuse();
    return list_run(&args, ev);
}

/* ---- end of a table ------------------------------------------------------------------------------------------------------------ */

/* The marks, then the table: what is left of one that was given up half-way can be destroyed again. */
static int
destroy(struct client_oit *oit, struct client_cont *cont)
{
    struct proto_snap_set_req req = {
        .pool = cont->pool->uuid, .cont = cont->uuid, .epoch = oit->view->epoch};
    struct proto_empty rep = {0};
    struct arena arena;
    int rc = client_obj_punch(oit->marks, 0);

    if (rc != 0)
        return rc;
    arena_init(&arena, 256, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_SNAP_SET, &req, &rep, &arena);
    arena_fini(&arena);
    return rc;
}

static int
destroy_ult(void *arg)
{
    struct oit_args *args = arg;
    struct client_cont *cont;
    struct client_oit *oit;
    int rc = client_cont_of(client_self(), args->coh.cookie, &cont);

    if (rc == 0)
        rc = oit_enter(args->oh, &oit);
    if (rc != 0)
        return rc;
    client_cont_get(cont);
    if (cuuid_cmp(&cont->uuid, &oit->view->uuid) != 0) {
        rc = CAIRN_ERR(INVAL);
    } else if ((cont->flags & (DAOS_COO_RW | DAOS_COO_EX)) == 0) {
        rc = CAIRN_ERR(NO_PERM);
    } else {
        rc = destroy(oit, cont);
    }
    client_cont_put(cont);
    oit_put(oit);
    return rc;
}

int
daos_cont_snap_oit_destroy(daos_handle_t coh, daos_handle_t oh, daos_event_t *ev)
{
    struct oit_args args = {.coh = coh, .oh = oh};

    return client_run(ev, destroy_ult, &args, sizeof(args));
}
