/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Snapshots: taking, listing, destroying, reading them (client_snap.h). Tested by src/client/test/client_snap_test.c, test/api and test/sim. */
#include "client/core/client_snap.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/util.h"
#include "client/core/client_tools.h"
#include "daos_api.h"
#include "daos_cont.h"

#include <string.h>

enum { REPLY_ARENA_BYTES = 1024 };

CAIRN_STATIC_ASSERT((int)DAOS_SNAPSHOT_MAX_LEN == (int)PROTO_SNAP_NAME_BYTES_MAX + 1, "names fit");

struct snap_args {
    daos_handle_t coh, th;
    daos_epoch_t epoch;
    daos_epoch_t *ret_epoch;
    char name[DAOS_SNAPSHOT_MAX_LEN];
    uint32_t flags;
    daos_epoch_range_t range;
    int *nr;
    daos_epoch_t *epochs;
    char **names;
    daos_anchor_t *anchor;
    daos_handle_t *ret_hdl;
};

/* False: too long. */
static bool
name_take(struct snap_args *args, const char *name)
{
    size_t len = name == NULL ? 0 : strnlen(name, sizeof(args->name));

    if (len == sizeof(args->name))
        return false;
    if (len > 0)
        memcpy(args->name, name, len);
    args->name[len] = '\0';
    return true;
}

/* ---- take and destroy ---------------------------------------------------------------------------------------------------- */

static int
create_ult(void *arg)
{
    struct snap_args *args = arg;
    struct proto_snap_create_rep rep = {0};
    struct proto_snap_create_req req;
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    req = (struct proto_snap_create_req){.pool = cont->pool->uuid,
        .cont = cont->uuid,
        .flags = args->flags,
        .name = {args->name, strlen(args->name)}};
    arena_init(&arena, REPLY_ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_SNAP_CREATE, &req, &rep, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    if (rc == 0)
        *args->ret_epoch = rep.epoch;
    return rc;
}

int
daos_cont_create_snap_opt(daos_handle_t coh, daos_epoch_t *epoch, char *name,
    enum daos_snapshot_opts opts, daos_event_t *ev)
{
    struct snap_args args = {.coh = coh, .ret_epoch = epoch};
    uint32_t bits = (uint32_t)opts;

    if (epoch == NULL || (bits & ~(uint32_t)(DAOS_SNAP_OPT_CR | DAOS_SNAP_OPT_OIT)) != 0 ||
        (bits & DAOS_SNAP_OPT_CR) == 0 || !name_take(&args, name))
        return client_refuse();
    args.flags = (bits & DAOS_SNAP_OPT_OIT) != 0 ? PROTO_SNAP_OIT : 0;
    return client_run(ev, create_ult, &args, sizeof(args));
}

int
daos_cont_create_snap(daos_handle_t coh, daos_epoch_t *epoch, char *name, daos_event_t *ev)
{
    return daos_cont_create_snap_opt(coh, epoch, name, DAOS_SNAP_OPT_CR, ev);
}

static int
destroy_ult(void *arg)
{
    struct snap_args *args = arg;
    struct proto_snap_destroy_req req = {.lo = args->range.epr_lo, .hi = args->range.epr_hi};
    struct proto_empty rep = {0};
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    req.pool = cont->pool->uuid;
    req.cont = cont->uuid;
    arena_init(&arena, REPLY_ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_SNAP_DESTROY, &req, &rep, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_destroy_snap(daos_handle_t coh, daos_epoch_range_t epr, daos_event_t *ev)
{
    struct snap_args args = {.coh = coh, .range = epr};

    if (epr.epr_lo > epr.epr_hi)
        return client_refuse();
    return client_run(ev, destroy_ult, &args, sizeof(args));
}

static int
set_ult(void *arg)
{
    struct snap_args *args = arg;
    struct proto_snap_set_req req = {.epoch = args->epoch, .flags = args->flags};
    struct proto_empty rep = {0};
    struct client_cont *cont;
    struct arena arena;
    int rc = client_cont_take(args->coh.cookie, true, &cont);

    if (rc != 0)
        return rc;
    req.pool = cont->pool->uuid;
    req.cont = cont->uuid;
    arena_init(&arena, REPLY_ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = client_cont_call(cont, PROTO_CONT_SNAP_SET, &req, &rep, &arena);
    arena_fini(&arena);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_snap_oit_create(daos_handle_t coh, daos_epoch_t epoch, char *name, daos_event_t *ev)
{
    struct snap_args args = {.coh = coh, .epoch = epoch, .flags = PROTO_SNAP_OIT};

    if (name != NULL)
        return client_refuse(); /* it is the snapshot that has one */
    return client_run(ev, set_ult, &args, sizeof(args));
}

/* ---- list ------------------------------------------------------------------------------------------------------------------ */

static int
list_page(struct client_cont *cont, uint64_t from, uint32_t nr_max, const char *name,
    struct proto_snap_list_rep *rep, struct arena *arena)
{
    struct proto_snap_list_req req = {
        .pool = cont->pool->uuid, .cont = cont->uuid, .from = from, .nr_max = nr_max};

    if (name != NULL)
        req.name = (struct iov){(void *)(uintptr_t)name, strlen(name)};
    *rep = (struct proto_snap_list_rep){0};
    return client_cont_call(cont, PROTO_CONT_SNAP_LIST, &req, rep, arena);
}

static void
name_give(const struct proto_snap *snap, char *to)
{
    if (to == NULL)
        return;
    if (snap->name.len > 0)
        memcpy(to, snap->name.buf, snap->name.len);
    to[snap->name.len] = '\0';
}

/* An anchor: da_buf begins with the epoch to go on with. */
static uint64_t
anchor_epoch(const daos_anchor_t *anchor)
{
    return anchor->da_type == DAOS_ANCHOR_TYPE_KEY ? le64_get(anchor->da_buf) : 0;
}

static int
list(struct client_cont *cont, struct snap_args *args)
{
    daos_anchor_t *anchor = args->anchor;
    uint64_t from = anchor_epoch(anchor);
    uint32_t nr = 0, room = (uint32_t)*args->nr, total = 0;
    struct proto_snap_list_rep rep = {0};
    int rc = 0;

    if (anchor->da_type == DAOS_ANCHOR_TYPE_EOF) {
        *args->nr = 0;
        return 0;
    }
    do {
        const struct proto_snap *snaps;
        struct arena arena;

        arena_init(&arena, REPLY_ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
        rc = list_page(cont, from, MAX(room - nr, 1U), NULL, &rep, &arena);
        snaps = rep.snaps.items;
        total = rep.total;
        for (uint32_t i = 0; rc == 0 && i < rep.snaps.nr && nr < room; i++, nr++) {
            if (args->epochs != NULL)
                args->epochs[nr] = snaps[i].epoch;
            if (args->names != NULL)
                name_give(&snaps[i], args->names[nr]);
            from = snaps[i].epoch + 1;
        }
        arena_fini(&arena);
    } while (rc == 0 && !rep.eof && nr < room);
    if (rc != 0)
        return rc;
    *args->nr = (int)total;
    if (room == 0)
        return 0; /* how many are there */
    memset(anchor, 0, sizeof(*anchor));
    anchor->da_type = rep.eof ? DAOS_ANCHOR_TYPE_EOF : DAOS_ANCHOR_TYPE_KEY;
    le64_put(anchor->da_buf, from);
    return 0;
}

static int
list_ult(void *arg)
{
    struct snap_args *args = arg;
    struct client_cont *cont;
    int rc = client_cont_take(args->coh.cookie, false, &cont);

    if (rc != 0)
        return rc;
    rc = list(cont, args);
    client_cont_put(cont);
    return rc;
}

int
daos_cont_list_snap(daos_handle_t coh, int *nr, daos_epoch_t *epochs, char **names,
    daos_anchor_t *anchor, daos_event_t *ev)
{
    struct snap_args args = {
        .coh = coh, .nr = nr, .epochs = epochs, .names = names, .anchor = anchor};

    if (nr == NULL || *nr < 0 || anchor == NULL)
        return client_refuse();
    return client_run(ev, list_ult, &args, sizeof(args));
}

int
client_snap_find(
    struct client_cont *cont, uint64_t epoch, const char *name, struct client_snap *ret_snap)
{
    struct proto_snap_list_rep rep;
    const struct proto_snap *snap;
    struct arena arena;
    int rc;

    arena_init(&arena, REPLY_ARENA_BYTES, CLIENT_REPLY_ARENA_BYTES_MAX);
    rc = list_page(cont, name == NULL ? epoch : 0, 1, name, &rep, &arena);
    snap = rep.snaps.items;
    if (rc == 0 && (rep.snaps.nr == 0 || (name == NULL && snap->epoch != epoch)))
        rc = CAIRN_ERR(NONEXIST);
    if (rc == 0)
        *ret_snap = (struct client_snap){snap->epoch, snap->flags};
    arena_fini(&arena);
    return rc;
}

/* ---- views ------------------------------------------------------------------------------------------------------------------ */

int
client_cont_view(struct client_cont *cont, uint64_t epoch, struct client_cont **ret_view)
{
    struct client_cont *view;
    int rc;

    if (cont->origin != NULL)
        cont = cont->origin;
    rc = client_cont_new(cont->pool, cont->uuid, cont->hdl, DAOS_COO_RO, &view);
    if (rc != 0)
        return rc;
    cont->pool->cont_nr--; /* nobody has to close it */
    view->layout_ver = cont->layout_ver;
    view->rd_fac = cont->rd_fac;
    view->csum_type = cont->csum_type;
    view->is_slave = true;
    view->epoch = epoch;
    view->origin = cont;
    client_cont_get(cont);
    *ret_view = view;
    return 0;
}

int
client_tx_view(daos_handle_t th, const struct client_cont *cont, struct client_cont **ret_view)
{
    struct client_cont *view = client_hdl_get(client_self(), CLIENT_HDL_TX, th.cookie);

    if (view == NULL)
        return CAIRN_ERR(NO_HDL);
    if (view->pool->client != cont->pool->client || cuuid_cmp(&view->uuid, &cont->uuid) != 0)
        return CAIRN_ERR(INVAL);
    *ret_view = view;
    return 0;
}

static int
view_open(struct snap_args *args, const char *name, struct client_cont **ret_view)
{
    struct client_snap snap;
    struct client_cont *cont;
    int rc = client_cont_take(args->coh.cookie, false, &cont);

    if (rc != 0)
        return rc;
    rc = client_snap_find(cont, args->epoch, name, &snap); /* SNP-1 */
    if (rc == 0)
        rc = client_cont_view(cont, snap.epoch, ret_view);
    client_cont_put(cont);
    return rc;
}

static int
open_cont_ult(void *arg)
{
    struct snap_args *args = arg;
    struct client_cont *view;
    uint64_t cookie;
    int rc = view_open(args, args->name[0] == '\0' ? NULL : args->name, &view);

    if (rc == 0) {
        rc = client_cont_hdl_new(view, &cookie);
        if (rc != 0)
            client_cont_put(view);
    }
    if (rc == 0)
        args->ret_hdl->cookie = cookie;
    return rc;
}

int
client_tools_open_snap(uint64_t coh, uint64_t epoch, const char *name, uint64_t *ret_coh)
{
    daos_handle_t view = DAOS_HDL_INVAL;
    struct snap_args args = {.coh = {.cookie = coh}, .epoch = epoch, .ret_hdl = &view};
    int rc;

    if (!name_take(&args, name))
        return client_refuse();
    rc = client_run_sync(open_cont_ult, &args);
    if (rc == 0)
        *ret_coh = view.cookie;
    return rc;
}

/* ---- transactions that read a snapshot -------------------------------------------------------------------------------------- */

static void
tx_fini(void *ptr)
{
    client_cont_put(ptr);
}

static int
tx_open_ult(void *arg)
{
    struct snap_args *args = arg;
    struct client_cont *view;
    uint64_t cookie;
    int rc = view_open(args, NULL, &view);

    if (rc == 0) {
        rc = client_hdl_new(view->pool->client, CLIENT_HDL_TX, view, tx_fini, &cookie);
        if (rc != 0)
            client_cont_put(view);
    }
    if (rc == 0)
        args->ret_hdl->cookie = cookie;
    return rc;
}

int
daos_tx_open_snap(daos_handle_t coh, daos_epoch_t epoch, daos_handle_t *th, daos_event_t *ev)
{
    struct snap_args args = {.coh = coh, .epoch = epoch, .ret_hdl = th};

    if (th == NULL)
        return client_refuse();
    return client_run(ev, tx_open_ult, &args, sizeof(args));
}

/* Nothing to make visible or to forget. */
static int
tx_nothing_ult(void *arg)
{
    struct snap_args *args = arg;

    return client_hdl_get(client_self(), CLIENT_HDL_TX, args->th.cookie) == NULL ? CAIRN_ERR(NO_HDL)
                                                                                 : 0;
}

int
daos_tx_commit(daos_handle_t th, daos_event_t *ev)
{
    struct snap_args args = {.th = th};

    return client_run(ev, tx_nothing_ult, &args, sizeof(args));
}

int
daos_tx_abort(daos_handle_t th, daos_event_t *ev)
{
    struct snap_args args = {.th = th};

    return client_run(ev, tx_nothing_ult, &args, sizeof(args));
}

/* Only a transaction that failed can be started again, and this kind does not fail. */
static int
tx_restart_ult(void *arg)
{
    int rc = tx_nothing_ult(arg);

    return rc != 0 ? rc : CAIRN_ERR(NO_PERM);
}

int
daos_tx_restart(daos_handle_t th, daos_event_t *ev)
{
    struct snap_args args = {.th = th};

    return client_run(ev, tx_restart_ult, &args, sizeof(args));
}

static int
tx_close_ult(void *arg)
{
    struct snap_args *args = arg;
    struct client_cont *view = client_hdl_del(client_self(), CLIENT_HDL_TX, args->th.cookie);

    if (view == NULL)
        return CAIRN_ERR(NO_HDL);
    client_cont_put(view);
    return 0;
}

int
daos_tx_close(daos_handle_t th, daos_event_t *ev)
{
    struct snap_args args = {.th = th};

    return client_run(ev, tx_close_ult, &args, sizeof(args));
}

static int
tx_epoch_ult(void *arg)
{
    struct snap_args *args = arg;
    const struct client_cont *view = client_hdl_get(client_self(), CLIENT_HDL_TX, args->th.cookie);

    if (view == NULL)
        return CAIRN_ERR(NO_HDL);
    *args->ret_epoch = view->epoch;
    return 0;
}

int
daos_tx_hdl2epoch(daos_handle_t th, daos_epoch_t *epoch)
{
    struct snap_args args = {.th = th, .ret_epoch = epoch};

    if (epoch == NULL)
        return client_refuse();
    return client_run_sync(tx_epoch_ult, &args);
}
