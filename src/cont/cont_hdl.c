/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Container handles: open, close, eviction, what a handle may do. The client chooses the handle's
 * uuid. Each handle has a row in
 * POOL_TABLE_CONT_HDLS and one, with its flags, in its container's own table. Handles have holders as those of pools do (POL-6); they also
 * go with the pool handle that they were opened with. Tested by test/server.
 */
#include "base/assert.h"
#include "base/crc.h"
#include "base/probe.h"
#include "cont_priv.h"

enum {
    HDL_ROW_BYTES_MAX = 1 + 16 + 16 + 8 + 8 + POOL_HOLDERS_BYTES_MAX,
    HDL_ROW_VERSION = 2,
    INDEX_ROW_BYTES = 8,
    REVOKES_NR = 16, /* more are one message about all handles */
};

#define ACCESS_MASK ((uint64_t)(CONT_COO_RO | CONT_COO_RW | CONT_COO_EX))
#define KNOWN_MASK UINT64_C(0xff)

static int
hdl_decode(struct iov row, struct cont_hdl *ret_hdl)
{
    struct dec d;
    uint8_t version;

    dec_init(&d, row.buf, row.len);
    version = dec_u8(&d);
    ret_hdl->cont = dec_uuid(&d);
    ret_hdl->pool_hdl = dec_uuid(&d);
    ret_hdl->flags = dec_u64(&d);
    ret_hdl->hlc = dec_u64(&d);
    ret_hdl->holders.nr = 0;
    ret_hdl->holders.has_unknown = true; /* those who wrote version 1 did not ask */
    if (version == HDL_ROW_VERSION)
        pool_holders_decode(&d, &ret_hdl->holders);
    if (dec_end(&d) != 0 || version == 0 || version > HDL_ROW_VERSION)
        return CAIRN_ERR(DF_INVAL);
    return 0;
}

int
cont_hdl_get(struct pool_call *call, const struct uuid *hdl, struct cont_hdl *ret_hdl)
{
    struct iov row;
    int rc;

    if (cuuid_is_nil(hdl))
        return CAIRN_ERR(NO_HDL);
    rc = pool_call_get(call, POOL_TABLE_CONT_HDLS, pool_key_uuid(hdl), &row);
    if (rc == -DER_NONEXIST)
        return CAIRN_ERR(NO_HDL);
    return rc != 0 ? rc : hdl_decode(row, ret_hdl);
}

int
cont_hdl_check(struct pool_call *call, const struct uuid *cont, bool is_write)
{
    struct cont_hdl hdl;
    int rc;

    if (pool_call_is_engine(call))
        return 0;
    rc = cont_hdl_get(call, &call->req->hdr->cont_hdl, &hdl);
    if (rc != 0)
        return rc;
    if (cuuid_cmp(&hdl.cont, cont) != 0)
        return CAIRN_ERR(NO_HDL);
    return is_write && (hdl.flags & (CONT_COO_RW | CONT_COO_EX)) == 0 ? CAIRN_ERR(NO_PERM) : 0;
}

struct count {
    uint32_t nr;
    bool has_ex;
};

static bool
count_one(void *arg, struct iov key, struct iov value)
{
    struct count *c = arg;

    (void)key;
    c->nr++;
    if (value.len == INDEX_ROW_BYTES && (le64_get(value.buf) & CONT_COO_EX) != 0)
        c->has_ex = true;
    return true;
}

int
cont_hdl_count(struct pool_call *call, const struct uuid *cont, uint32_t *ret_nr, bool *ret_has_ex)
{
    const char *table = cont_table(call, CONT_TABLE_HDLS, cont);
    struct count c = {0, false};
    int rc;

    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    rc = pool_call_list(call, table, (struct iov){NULL, 0}, count_one, &c);
    if (rc != 0)
        return rc;
    *ret_nr = c.nr;
    *ret_has_ex = c.has_ex;
    return 0;
}

/* ---- eviction ------------------------------------------------------------------------------- */

struct batch {
    struct uuid *hdls;
    uint32_t nr, nr_max;
};

static bool
batch_add(void *arg, struct iov key, struct iov value)
{
    struct batch *b = arg;

    (void)value;
    if (b->nr == b->nr_max)
        return false;
    if (key.len == sizeof(struct uuid))
        memcpy(&b->hdls[b->nr++], key.buf, key.len);
    return true;
}

static void
hdl_del(struct pool_call *call, const char *table, const struct uuid *hdl)
{
    pool_call_del(call, POOL_TABLE_CONT_HDLS, pool_key_uuid(hdl));
    pool_call_del(call, table, pool_key_uuid(hdl));
}

int
cont_hdl_evict(struct pool_call *call, const struct uuid *cont, struct proto_array *ret_hdls)
{
    const char *table = cont_table(call, CONT_TABLE_HDLS, cont);
    struct batch b = {.nr_max = CONT_HDLS_NR_MAX};
    int rc;

    b.hdls = arena_calloc(call->arena, CONT_HDLS_NR_MAX, sizeof(*b.hdls));
    if (table == NULL || b.hdls == NULL)
        return CAIRN_ERR(NOMEM);
    rc = pool_call_list(call, table, (struct iov){NULL, 0}, batch_add, &b);
    for (uint32_t i = 0; rc == 0 && i < b.nr; i++) {
        hdl_del(call, table, &b.hdls[i]);
        if (i % CONT_EVICT_BATCH_NR == CONT_EVICT_BATCH_NR - 1)
            rc = pool_call_commit_part(call);
    }
    if (rc == 0)
        rc = pool_call_commit_part(call);
    if (rc == 0 && b.nr > 0)
        CAIRN_PROBE("cont.hdl.evict");
    if (rc == 0)
        *ret_hdls = (struct proto_array){b.nr, b.hdls};
    return rc;
}

/* Handles that go, found by a walk over all of the pool's. */
struct walk {
    struct pool_svcs *svcs;
    const struct uuid *pool_hdls; /* those opened with one of these; NULL: those whose holders have ended */
    uint32_t pool_hdl_nr;
    struct uuid hdls[CONT_EVICT_BATCH_NR], conts[CONT_EVICT_BATCH_NR], last;
    uint32_t nr, seen_nr;
    uint32_t local_nr; /* that stay and whose holders can be looked at */
    bool is_more;
};

static bool
walk_is_victim(struct walk *w, const struct cont_hdl *hdl)
{
    for (uint32_t i = 0; i < w->pool_hdl_nr; i++) {
        if (cuuid_cmp(&hdl->pool_hdl, &w->pool_hdls[i]) == 0)
            return true;
    }
    return w->pool_hdls == NULL && pool_holders_look(w->svcs, &hdl->holders) == POOL_HOLDERS_GONE;
}

static bool
walk_one(void *arg, struct iov key, struct iov value)
{
    struct walk *w = arg;
    struct cont_hdl hdl;

    if (key.len != sizeof(struct uuid) || hdl_decode(value, &hdl) != 0)
        return true;
    memcpy(&w->last, key.buf, key.len);
    w->seen_nr++;
    if (!walk_is_victim(w, &hdl)) {
        w->local_nr += hdl.holders.nr > 0;
        return w->pool_hdls != NULL || w->seen_nr < CONT_LOOK_BATCH_NR;
    }
    if (w->nr == CONT_EVICT_BATCH_NR) {
        w->is_more = true;
        return false;
    }
    w->hdls[w->nr] = w->last;
    w->conts[w->nr++] = hdl.cont;
    return true;
}

static int
walk_del(struct pool_call *call, const struct walk *w)
{
    for (uint32_t i = 0; i < w->nr; i++) {
        const char *table = cont_table(call, CONT_TABLE_HDLS, &w->conts[i]);

        if (table == NULL)
            return CAIRN_ERR(NOMEM);
        hdl_del(call, table, &w->hdls[i]);
    }
    return 0;
}

int
cont_hdl_close(struct pool_call *call, const struct uuid *pool_hdls, uint32_t nr, bool *ret_is_more)
{
    struct walk *w = arena_calloc(call->arena, 1, sizeof(*w));
    int rc;

    if (w == NULL)
        return CAIRN_ERR(NOMEM);
    w->pool_hdls = pool_hdls;
    w->pool_hdl_nr = nr;
    rc = pool_call_list(call, POOL_TABLE_CONT_HDLS, (struct iov){NULL, 0}, walk_one, w);
    if (rc == 0)
        rc = walk_del(call, w);
    if (rc == 0)
        *ret_is_more = w->is_more;
    return rc;
}

int
cont_hdl_evict_gone(struct pool_call *call, uint32_t *ret_nr, uint32_t *ret_local_nr)
{
    struct walk *w = arena_calloc(call->arena, 1, sizeof(*w));
    struct iov after = {NULL, 0};
    int rc;

    if (w == NULL)
        return CAIRN_ERR(NOMEM);
    w->svcs = call->svcs;
    do {
        w->nr = w->seen_nr = 0;
        w->is_more = false;
        rc = pool_call_list(call, POOL_TABLE_CONT_HDLS, after, walk_one, w);
        if (rc == 0)
            rc = walk_del(call, w);
        if (rc == 0)
            rc = pool_call_commit_part(call);
        for (uint32_t i = 0; rc == 0 && i < w->nr; i++) {
            pool_revoke(call, w->hdls[i]);
        }
        *ret_nr += rc == 0 ? w->nr : 0;
        /* One that did not fit any more is the last seen: from the last that went on. */
        after = pool_key_uuid(w->is_more ? &w->hdls[w->nr - 1] : &w->last);
        ult_yield();
    } while (rc == 0 && (w->is_more || w->seen_nr >= CONT_LOOK_BATCH_NR));
    *ret_local_nr += w->local_nr;
    if (*ret_nr > 0)
        CAIRN_PROBE("cont.hdl.evict_gone");
    return rc;
}

/* ---- open ----------------------------------------------------------------------------------- */

static int
open_check(struct pool_call *call, uint64_t flags)
{
    uint64_t access = flags & ACCESS_MASK, pool_flags;
    int rc;

    if ((flags & ~KNOWN_MASK) != 0 || access == 0 || (access & (access - 1)) != 0)
        return CAIRN_ERR(INVAL);
    if ((flags & CONT_COO_EVICT_ALL) != 0 && access != CONT_COO_EX)
        return CAIRN_ERR(INVAL);
    if (pool_call_is_engine(call))
        return 0;
    rc = pool_call_hdl(call, call->req->hdr->pool_hdl, &pool_flags);
    if (rc != 0)
        return rc;
    if (access != CONT_COO_RO && (pool_flags & (POOL_PC_RW | POOL_PC_EX)) == 0)
        return CAIRN_ERR(NO_PERM); /* CON-5 */
    return 0;
}

/* Is there room for this open beside those that there are (CON-3)? */
static int
open_share(struct pool_call *call, const struct uuid *cont, uint64_t flags)
{
    uint32_t nr;
    bool has_ex;
    int rc;

    rc = cont_hdl_count(call, cont, &nr, &has_ex);
    if (rc != 0)
        return rc;
    if (has_ex || (nr > 0 && (flags & CONT_COO_EX) != 0))
        return CAIRN_ERR(BUSY);
    return nr >= CONT_HDLS_NR_MAX ? CAIRN_ERR(OVERLOAD_RETRY) : 0;
}

/* The same, once handles of clients that died are out of the way. */
static int
open_room(struct pool_call *call, const struct uuid *cont, uint64_t flags)
{
    int rc = open_share(call, cont, flags);
    uint32_t nr;

    if (rc == -DER_BUSY || rc == -DER_OVERLOAD_RETRY) {
        int rc2 = pool_evict_gone(call, &nr);

        if (rc2 != 0)
            return rc2;
        if (nr > 0)
            rc = open_share(call, cont, flags);
    }
    return rc;
}

static void
hdl_put(struct pool_call *call, const struct uuid *id, const struct cont_hdl *hdl)
{
    uint8_t row[HDL_ROW_BYTES_MAX];
    struct enc e;

    enc_init(&e, row, sizeof(row));
    enc_u8(&e, HDL_ROW_VERSION);
    enc_uuid(&e, &hdl->cont);
    enc_uuid(&e, &hdl->pool_hdl);
    enc_u64(&e, hdl->flags);
    enc_u64(&e, hdl->hlc);
    pool_holders_encode(&hdl->holders, &e);
    CAIRN_ASSERT(enc_check(&e) == 0);
    pool_call_put(call, POOL_TABLE_CONT_HDLS, pool_key_uuid(id), (struct iov){row, e.len});
}

static void
open_put(struct pool_call *call, const struct uuid *cont, const struct proto_cont_open_req *in)
{
    struct cont_hdl hdl = {.cont = *cont,
        .pool_hdl = call->req->hdr->pool_hdl,
        .flags = in->flags,
        .hlc = pool_call_hlc(call)};
    const char *table = cont_table(call, CONT_TABLE_HDLS, cont);
    uint8_t index[INDEX_ROW_BYTES];

    if (table == NULL)
        return; /* the commit tells */
    CAIRN_IGNORE(pool_holders_add(call->svcs, &hdl.holders, &in->proc));
    if (hdl.holders.nr > 0)
        pool_look_soon(call);
    hdl_put(call, &in->cont_hdl, &hdl);
    le64_put(index, in->flags);
    pool_call_put(call, table, pool_key_uuid(&in->cont_hdl), (struct iov){index, sizeof(index)});
}

static int
open_new(struct pool_call *call, const struct proto_cont_open_req *in, struct uuid *ret_cont,
    struct proto_array *ret_evicted)
{
    struct cont_hdl old;
    struct cont_row row;
    int rc;

    rc = open_check(call, in->flags);
    if (rc == 0)
        rc = cont_resolve(call, in->id, ret_cont, &row);
    if (rc == 0 && cuuid_is_nil(&in->cont_hdl))
        rc = CAIRN_ERR(INVAL);
    if (rc != 0)
        return rc;
    rc = cont_hdl_get(call, &in->cont_hdl, &old);
    if (rc == 0)
        return cuuid_cmp(&old.cont, ret_cont) == 0 && old.flags == in->flags ? 0 : CAIRN_ERR(EXIST);
    if (rc != -DER_NO_HDL)
        return rc;
    if ((in->flags & (CONT_COO_EVICT | CONT_COO_EVICT_ALL)) != 0) {
        rc = cont_hdl_evict(call, ret_cont, ret_evicted);
        if (rc != 0)
            return rc;
    }
    rc = open_room(call, ret_cont, in->flags);
    if (rc != 0)
        return rc;
    open_put(call, ret_cont, in);
    if ((in->flags & CONT_COO_RO_MDSTATS) == 0) {
        row.otime_hlc = pool_call_hlc(call);
        cont_row_put(call, ret_cont, &row);
    }
    return pool_call_commit(call, (struct iov){ret_cont->b, sizeof(ret_cont->b)});
}

static int
open_reply(struct pool_call *call, const struct uuid *cont, struct proto_cont_open_rep *out)
{
    struct cont_row row;
    bool has_ex;
    int rc;

    rc = cont_row_get(call, cont, &row);
    if (rc == 0)
        rc = cont_props_get(call, cont, &row, NULL, &out->props);
    if (rc == 0)
        rc = cont_hdl_count(call, cont, &out->hdl_nr, &has_ex);
    if (rc == 0)
        rc = cont_snap_stat(call, cont, &out->snap_nr, &out->snap_last);
    if (rc != 0)
        return rc;
    out->cont = *cont;
    out->md_otime = row.otime_hlc;
    out->md_mtime = row.mtime_hlc;
    return 0;
}

int
cont_h_open(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_open_req *in = req->body;
    struct proto_array evicted = {0, NULL};
    struct pool_call *call = NULL;
    struct uuid cont;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc != 0)
        return rc;
    if (!call->is_replay) {
        rc = open_new(call, in, &cont, &evicted);
    } else if (call->answer.result_len == sizeof(cont)) {
        memcpy(&cont, call->answer.result, sizeof(cont));
    } else {
        rc = CAIRN_ERR(DF_INVAL);
    }
    if (rc == 0)
        rc = open_reply(call, &cont, rep);
    if (rc == -DER_NONEXIST && call->is_replay) {
        /* It was opened, and destroyed under the handle since: the answer is what it was (MS-2), and the handle is worth nothing. */
        *(struct proto_cont_open_rep *)rep = (struct proto_cont_open_rep){.cont = cont};
        rc = 0;
    }
    pool_call_end(call);
    if (evicted.nr > REVOKES_NR) {
        pool_revoke_wait(svcs, req->arena, in->pool, (struct uuid){{0}});
        return rc;
    }
    for (uint32_t i = 0; i < evicted.nr; i++) {
        pool_revoke_wait(svcs, req->arena, in->pool, ((struct uuid *)evicted.items)[i]);
    }
    return rc;
}

/* ---- close ---------------------------------------------------------------------------------- */

static int
close_one(struct pool_call *call, const struct uuid *id)
{
    struct cont_hdl hdl;
    const char *table;
    int rc;

    rc = cont_hdl_get(call, id, &hdl);
    if (rc != 0)
        return rc;
    table = cont_table(call, CONT_TABLE_HDLS, &hdl.cont);
    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    hdl_del(call, table, id);
    rc = pool_call_commit(call, (struct iov){NULL, 0});
    if (rc == 0)
        pool_revoke(call, *id);
    return rc;
}

int
cont_h_close(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_cont_close_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = close_one(call, &in->cont_hdl);
    pool_call_end(call);
    return rc;
}

/* ---- a process that got a handle from another one ---------------------------------------------- */

static int
attach(struct pool_call *call, const struct rpc_hdr *hdr, const struct proto_proc *proc)
{
    struct cont_hdl hdl;
    int rc;

    if (cuuid_is_nil(&hdr->cont_hdl)) {
        rc = pool_hdl_attach(call, hdr->pool_hdl, proc);
    } else {
        rc = cont_hdl_get(call, &hdr->cont_hdl, &hdl);
        if (rc == 0 && cuuid_cmp(&hdl.pool_hdl, &hdr->pool_hdl) != 0)
            rc = CAIRN_ERR(NO_HDL);
        if (rc == 0 && pool_holders_add(call->svcs, &hdl.holders, proc))
            hdl_put(call, &hdr->cont_hdl, &hdl);
    }
    if (rc == 0 && call->update_nr > 0) {
        rc = pool_call_commit(call, (struct iov){NULL, 0});
        pool_look_soon(call);
    }
    return rc;
}

int
cont_h_attach(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_attach_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    (void)rep;
    rc = pool_call_begin(svcs, req, in->pool, true, &call);
    if (rc == 0 && !call->is_replay)
        rc = attach(call, req->hdr, &in->proc);
    pool_call_end(call);
    return rc;
}

/* ---- what targets ask ----------------------------------------------------------------------- */

static int
hdl_info(struct pool_call *call, const struct proto_pool_hdl_req *in, struct proto_pool_hdl_rep *out)
{
    const struct pool_prop_def *defs, *def;
    struct cont_hdl hdl;
    struct proto_prop csum, chunk;
    struct poolmap *map;
    const char *table;
    uint32_t nr;
    int rc;

    rc = pool_call_hdl(call, in->pool_hdl, &out->pool_flags);
    if (rc == 0)
        rc = pool_call_map(call, &map);
    if (rc != 0)
        return rc;
    out->map_ver = map->version;
    poolmap_destroy(map);
    if (cuuid_is_nil(&in->cont_hdl))
        return 0;
    rc = cont_hdl_get(call, &in->cont_hdl, &hdl);
    if (rc == 0 && cuuid_cmp(&hdl.pool_hdl, &in->pool_hdl) != 0)
        rc = CAIRN_ERR(NO_HDL);
    if (rc != 0)
        return rc;
    table = cont_table(call, CONT_TABLE_PROPS, &hdl.cont);
    if (table == NULL)
        return CAIRN_ERR(NOMEM);
    defs = cont_prop_defs(&nr);
    def = pool_prop_find(defs, nr, CONT_PROP_CSUM);
    rc = pool_prop_get(call, table, def, &csum);
    def = pool_prop_find(defs, nr, CONT_PROP_CSUM_CHUNK);
    if (rc == 0)
        rc = pool_prop_get(call, table, def, &chunk);
    if (rc == 0)
        rc = pool_scrub_get(call, &out->scrub_mode, &out->scrub_freq_s, &out->scrub_thresh);
    if (rc != 0)
        return rc;
    out->cont = hdl.cont;
    out->cont_flags = hdl.flags;
    out->csum_type = (uint32_t)csum.num;
    out->csum_chunk_bytes = chunk.num;
    return 0;
}

int
cont_h_hdl(struct pool_svcs *svcs, struct rpc_req *req, void *rep)
{
    const struct proto_pool_hdl_req *in = req->body;
    struct pool_call *call = NULL;
    int rc;

    rc = pool_call_begin(svcs, req, in->pool, false, &call);
    if (rc == 0 && !pool_call_is_engine(call))
        rc = CAIRN_ERR(NO_PERM);
    if (rc == 0)
        rc = hdl_info(call, in, rep);
    pool_call_end(call);
    return rc;
}
