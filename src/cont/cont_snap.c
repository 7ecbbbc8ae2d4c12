/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Snapshots: names for epochs of a container. Rows: README.md. What a snapshot's epoch promises is
 * CON-6: it is drawn with all targets (pool_epoch_draw()) before its row is committed, so nothing
 * has to stand still and a service that dies in between leaves nothing behind. Tested by
 * src/client/test/client_snap_test.c and test/sim.
 */
#include "base/assert.h"
#include "base/probe.h"
#include "cont_priv.h"

enum { KEY_BYTES = 8, ROW_BYTES_MAX = 1 + 4 + 4 + PROTO_SNAP_NAME_BYTES_MAX };
enum { DESTROY_BATCH_NR = 100 };

#define CONT_PROP_SNAPSHOT_MAX 0x1009
#define KNOWN_FLAGS ((uint32_t)PROTO_SNAP_OIT)

/* ---- rows ----------------------------------------------------------------------------------- */

static int
row_decode(struct iov key, struct iov value, struct proto_snap *ret_snap)
{
    struct proto_snap s;
    struct dec d;
    uint8_t version;

    dec_init(&d, value.buf, value.len);
    version = dec_u8(&d);
    s.flags = dec_u32(&d);
    s.name.buf = (void *)(uintptr_t)dec_blob(&d, PROTO_SNAP_NAME_BYTES_MAX, &s.name.len);
    if (dec_check(&d) != 0 || version != 1 || key.len != KEY_BYTES)
        return CAIRN_ERR(DF_INVAL);
    s.epoch = be64_get(key.buf);
    *ret_snap = s;
    return 0;
}

static void
row_put(struct pool_call *call, const char *table, const struct proto_snap *s)
{
    uint8_t key[KEY_BYTES], row[ROW_BYTES_MAX];
    struct enc e;

    be64_put(key, s->epoch);
    enc_init(&e, row, sizeof(row));
    enc_u8(&e, 1);
    enc_u32(&e, s->flags);
    enc_blob(&e, s->name.buf, s->name.len);
    CAIRN_ASSERT(enc_check(&e) == 0);
    pool_call_put(call, table, (struct iov){key, sizeof(key)}, (struct iov){row, e.len});
}

/* What is looked for among the rows from an epoch on, and what was found. */
struct scan {
    struct arena *arena;
    uint64_t hi; /* not beyond */
    struct iov name; /* not empty: only this one */
    struct proto_snap *snaps; /* NULL: only count */
    uint32_t nr, nr_max;
    uint64_t last;
    bool is_more;
    int rc;
};

static bool
scan_one(void *arg, struct iov key, struct iov value)
{
    struct scan *s = arg;
    struct proto_snap snap;

    s->rc = row_decode(key, value, &snap);
    if (s->rc != 0 || snap.epoch > s->hi)
        return false;
    if (s->name.len > 0 &&
        (snap.name.len != s->name.len || memcmp(snap.name.buf, s->name.buf, s->name.len) != 0))
        return true;
    if (s->nr == s->nr_max) {
        s->is_more = true;
        return false;
    }
    s->last = snap.epoch;
    if (s->snaps != NULL) {
        snap.name.buf = arena_dup(s->arena, snap.name.buf, snap.name.len);
        if (snap.name.buf == NULL) {
            s->rc = CAIRN_ERR(NOMEM);
            return false;
        }
        s->snaps[s->nr] = snap;
    }
    s->nr++;
    return true;
}

static int
scan(struct pool_call *call, const struct uuid *cont, uint64_t from, struct scan *s)
{
    const char *table = cont_table(call, CONT_TABLE_SNAPS, cont);
    uint8_t after[KEY_BYTES];
    int rc;

    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    s->arena = call->arena;
    be64_put(after, from - 1);
    rc = pool_call_list(call, table, (struct iov){after, from == 0 ? 0 : sizeof(after)}, scan_one, s);
    return rc != 0 ? rc : s->rc;
}

int
cont_snap_stat(struct pool_call *call, const struct uuid *cont, uint32_t *ret_nr, uint64_t *ret_last)
{
    struct scan s = {.hi = UINT64_MAX, .nr_max = UINT32_MAX};
    int rc;

    rc = scan(call, cont, 0, &s);
    if (rc != 0)
        return rc;
    *ret_nr = s.nr;
    *ret_last = s.last;
    return 0;
}

/* ---- create --------------------------------------------------------------------------------- */

static int
create_check(struct pool_call *call, const struct proto_snap_create_req *in, struct cont_row *ret_row)
{
    struct scan s = {.hi = UINT64_MAX, .name = in->name, .nr_max = 1};
    const struct pool_prop_def *defs;
    struct proto_prop max;
    const char *props;
    uint32_t nr, snap_nr;
    uint64_t last;
    int rc;

    if ((in->flags & ~KNOWN_FLAGS) != 0)
        return CAIRN_ERR(INVAL);
    rc = cont_hdl_check(call, &in->cont, true);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, ret_row);
    if (rc == 0)
        rc = cont_snap_stat(call, &in->cont, &snap_nr, &last);
    if (rc != 0)
        return rc;
    props = cont_table(call, CONT_TABLE_PROPS, &in->cont);
    if (props == NULL)
        return CAIRN_ERR(NOMEM);
    defs = cont_prop_defs(&nr);
    rc = pool_prop_get(call, props, pool_prop_find(defs, nr, CONT_PROP_SNAPSHOT_MAX), &max);
    if (rc != 0)
        return rc;
    if (snap_nr >= CONT_SNAPS_NR_MAX || (max.num > 0 && snap_nr >= max.num))
        return CAIRN_ERR(NOSPACE);
    if (in->name.len == 0)
        return 0;
    rc = scan(call, &in->cont, 0, &s);
    return rc != 0 ? rc : s.nr > 0 ? CAIRN_ERR(EXIST) : 0;
}

/* The epoch; between two turns, so that a slow target does not hold up the service. */
static int
create_draw(struct pool_svcs *svcs, struct rpc_req *req, const struct proto_snap_create_req *in,
    uint64_t *ret_epoch)
{
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = pool_epoch_draw(call, ret_epoch);
    pool_call_end(call);
    return rc;
}

static int
create_commit(struct pool_call *call, const struct proto_snap_create_req *in, uint64_t epoch)
{
    struct proto_snap snap = {.epoch = epoch, .flags = in->flags, .name = in->name};
    const char *table;
    struct cont_row row;
    uint8_t result[8];
    int rc;

    rc = create_check(call, in, &row);
    if (rc == 0 && !pool_epoch_is_free(call, epoch))
        rc = CAIRN_ERR(AGAIN); /* drawn in an earlier leadership (CON-7) */
    if (rc != 0)
        return rc;
    table = cont_table(call, CONT_TABLE_SNAPS, &in->cont);
    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    row_put(call, table, &snap);
    row.mtime_hlc = pool_call_hlc(call);
    cont_row_put(call, &in->cont, &row);
    le64_put(result, epoch);
    return pool_call_commit(call, (struct iov){result, sizeof(result)});
}

/*
 * One turn: a resend is answered, a request that will be refused is; with an epoch it is committed.
 * *ret_epoch 0: it takes one.
 */
static int
create_turn(struct pool_svcs *svcs, struct rpc_req *req, const struct proto_snap_create_req *in,
    uint64_t epoch, uint64_t *ret_epoch)
{
    struct pool_call *call = NULL;
    struct cont_row row;
    int rc;

    *ret_epoch = 0;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc != 0)
        return rc;
    if (call->is_replay) {
        CAIRN_PROBE("cont.snap.replay");
        if (call->answer.result_len == 8) {
            *ret_epoch = le64_get(call->answer.result);
        } else {
            rc = CAIRN_ERR(DF_INVAL);
        }
    } else if (epoch == 0) {
        rc = create_check(call, in, &row);
    } else {
        rc = create_commit(call, in, epoch);
        if (rc == 0)
            *ret_epoch = epoch;
    }
    pool_call_end(call);
    return rc;
}

int
cont_h_snap_create(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_snap_create_req *in = req->body;
    struct proto_snap_create_rep *out = rep;
    struct pool_draw draw;
    uint64_t drawn;
    int rc;

    rc = create_turn(svcs, req, in, 0, &out->epoch);
    if (rc != 0 || out->epoch != 0)
        return rc;
    rc = pool_draw_begin(svcs, in->pool, &draw);
    if (rc != 0)
        return rc;
    rc = create_draw(svcs, req, in, &drawn);
    if (rc == 0)
        rc = create_turn(svcs, req, in, drawn, &out->epoch);
    pool_draw_end(&draw);
    return rc;
}

/* ---- list ----------------------------------------------------------------------------------- */

static int
list(struct pool_call *call, const struct proto_snap_list_req *in, struct proto_snap_list_rep *out)
{
    struct scan s = {.hi = UINT64_MAX, .name = in->name};
    struct cont_row row;
    uint64_t last;
    int rc;

    s.nr_max = in->nr_max == 0 ? PROTO_SNAPS_NR_MAX : MIN(in->nr_max, (uint32_t)PROTO_SNAPS_NR_MAX);
    rc = cont_hdl_check(call, &in->cont, false);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc == 0)
        rc = cont_snap_stat(call, &in->cont, &out->total, &last);
    if (rc != 0)
        return rc;
    s.snaps = arena_calloc(call->arena, s.nr_max, sizeof(*s.snaps));
    if (s.snaps == NULL)
        return CAIRN_ERR(NOMEM);
    rc = scan(call, &in->cont, in->from, &s);
    if (rc != 0)
        return rc;
    out->snaps = (struct proto_array){s.nr, s.snaps};
    out->eof = !s.is_more;
    return 0;
}

int
cont_h_snap_list(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_snap_list_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0)
        rc = list(call, in, rep);
    pool_call_end(call);
    return rc;
}

/* ---- change and destroy --------------------------------------------------------------------- */

static int
change(struct pool_call *call, const struct proto_snap_set_req *in)
{
    struct proto_snap snap = {.epoch = in->epoch};
    struct scan s = {.hi = in->epoch, .snaps = &snap, .nr_max = 1};
    struct cont_row row;
    const char *table;
    int rc;

    if ((in->flags & ~KNOWN_FLAGS) != 0)
        return CAIRN_ERR(INVAL);
    rc = cont_hdl_check(call, &in->cont, true);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc == 0)
        rc = scan(call, &in->cont, in->epoch, &s);
    if (rc == 0 && s.nr == 0)
        rc = CAIRN_ERR(NONEXIST);
    if (rc != 0)
        return rc;
    table = cont_table(call, CONT_TABLE_SNAPS, &in->cont);
    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    snap.flags = in->flags;
    row_put(call, table, &snap);
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
cont_h_snap_set(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_snap_set_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = change(call, in);
    pool_call_end(call);
    return rc;
}

/* Those of a range, a batch to a commit; the last one has the request's id. */
static int
destroy_range(struct pool_call *call, const struct proto_snap_destroy_req *in, const char *table)
{
    struct scan s;
    uint8_t key[KEY_BYTES];
    struct proto_snap *snaps = arena_calloc(call->arena, DESTROY_BATCH_NR, sizeof(*snaps));
    int rc;

    if (snaps == NULL)
        return CAIRN_ERR(NOMEM);
    do {
        s = (struct scan){.hi = in->hi, .snaps = snaps, .nr_max = DESTROY_BATCH_NR};
        rc = scan(call, &in->cont, in->lo, &s);
        if (rc == 0 && s.nr == 0 && in->lo == in->hi)
            rc = CAIRN_ERR(NONEXIST);
        if (rc != 0)
            return rc;
        for (uint32_t i = 0; i < s.nr; i++) {
            be64_put(key, snaps[i].epoch);
            pool_call_del(call, table, (struct iov){key, sizeof(key)});
        }
        if (s.is_more) {
            CAIRN_PROBE("cont.snap.destroy_part");
            rc = pool_call_commit_part(call);
        }
    } while (rc == 0 && s.is_more);
    return rc;
}

static int
destroy(struct pool_call *call, const struct proto_snap_destroy_req *in)
{
    struct cont_row row;
    const char *table;
    int rc;

    if (in->lo > in->hi)
        return CAIRN_ERR(INVAL);
    rc = cont_hdl_check(call, &in->cont, true);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc != 0)
        return rc;
    table = cont_table(call, CONT_TABLE_SNAPS, &in->cont);
    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    rc = destroy_range(call, in, table);
    if (rc != 0)
        return rc;
    /* Always an effect, so that a late copy does not find later snapshots (MS-2). */
    row.mtime_hlc = pool_call_hlc(call);
    cont_row_put(call, &in->cont, &row);
    return pool_call_commit(call, (struct iov){NULL, 0});
}

int
cont_h_snap_destroy(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_snap_destroy_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = destroy(call, in);
    pool_call_end(call);
    if (rc == 0)
        pool_aggregate(svcs, in->pool, in->cont); /* what only these snapshots kept */
    return rc;
}

/* ---- the stable epoch ----------------------------------------------------------------------- */

struct stable_scan {
    uint64_t hi; /* not beyond */
    uint8_t *epochs;
    uint32_t nr;
    int rc;
};

static bool
stable_one(void *arg, struct iov key, struct iov value)
{
    struct stable_scan *s = arg;
    struct proto_snap snap;

    s->rc = row_decode(key, value, &snap);
    if (s->rc == 0 && s->nr == CONT_SNAPS_NR_MAX)
        s->rc = CAIRN_ERR(DF_INVAL);
    if (s->rc != 0 || snap.epoch > s->hi)
        return false;
    le64_put(s->epochs + (size_t)s->nr * KEY_BYTES, snap.epoch);
    s->nr++;
    return true;
}

/*
 * The stable epoch first (CON-7): a snapshot that is under way then gets an epoch above it, one that was committed before is found by the scan.
 */
static int
scrub_off_get(struct pool_call *call, const struct uuid *cont, uint32_t *ret_is_off)
{
    const char *table = cont_table(call, CONT_TABLE_PROPS, cont);
    const struct pool_prop_def *defs;
    struct proto_prop prop;
    uint32_t nr;
    int rc;

    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    defs = cont_prop_defs(&nr);
    rc = pool_prop_get(call, table, pool_prop_find(defs, nr, CONT_PROP_SCRUB_OFF), &prop);
    if (rc == 0)
        *ret_is_off = prop.num != 0;
    return rc;
}

static int
stable(struct pool_call *call, const struct proto_cont_stable_req *in,
    struct proto_cont_stable_rep *out)
{
    const char *table = cont_table(call, CONT_TABLE_SNAPS, &in->cont);
    struct stable_scan s = {.nr = 0};
    struct cont_row row;
    int rc;

    s.epochs = arena_alloc(call->arena, (size_t)CONT_SNAPS_NR_MAX * KEY_BYTES);
    if (table == NULL || s.epochs == NULL)
        return CAIRN_ERR(NOMEM);
    rc = pool_reclaim_get(call, &out->reclaim);
    if (rc == 0)
        rc = pool_scrub_get(call, &out->scrub_mode, &out->scrub_freq_s, &out->scrub_thresh);
    if (rc == 0)
        rc = cont_row_get(call, &in->cont, &row);
    if (rc == 0)
        rc = scrub_off_get(call, &in->cont, &out->is_scrub_off);
    if (rc == 0)
        rc = pool_epoch_stable(call, &s.hi);
    if (rc == 0)
        rc = pool_call_list(call, table, (struct iov){NULL, 0}, stable_one, &s);
    if (rc == 0)
        rc = s.rc;
    if (rc != 0)
        return rc;
    out->epoch = s.hi;
    out->snaps = (struct iov){s.epochs, (size_t)s.nr * KEY_BYTES};
    return 0;
}

int
cont_h_stable(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_stable_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0 && !pool_call_is_engine(call))
        rc = CAIRN_ERR(NO_PERM);
    if (rc == 0)
        rc = stable(call, in, rep);
    pool_call_end(call);
    return rc;
}
